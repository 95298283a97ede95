// SPDX-License-Identifier: Apache-2.0
#include "key_view.h"

#include "clock.h"
#include "moment.h"
#include "table.h"

#include <string.h>

static void add_moment(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, int64_t wall_us)
{
    char text[CLOCK_RFC3339_MAX];
    if (wall_us <= 0) {
        yyjson_mut_obj_add_null(doc, object, name);
        return;
    }
    clock_rfc3339(wall_us, text);
    yyjson_mut_obj_add_strcpy(doc, object, name, text);
}

static void add_name(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, const char *text)
{
    if (text && *text)
        yyjson_mut_obj_add_strcpy(doc, object, name, text);
    else
        yyjson_mut_obj_add_null(doc, object, name);
}

yyjson_mut_val *key_view_entry(yyjson_mut_doc *doc, const struct keyring_entry *entry, int64_t now_us)
{
    char key[KEY_TEXT_MAX];
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    key_text(entry->public_half, key);
    add_name(doc, object, "name", entry->name);
    yyjson_mut_obj_add_str(doc, object, "role", role_name(entry->role));
    add_name(doc, object, "invited_as", entry->role == ROLE_INVITED ? role_name(entry->invited_as) : NULL);
    yyjson_mut_obj_add_strcpy(doc, object, "public_key", key);
    yyjson_mut_val *tenants = yyjson_mut_obj_add_arr(doc, object, "tenants");
    for (uint32_t i = 0; i < entry->tenants_count; i++)
        yyjson_mut_arr_add_strcpy(doc, tenants, entry->tenants[i]);
    add_moment(doc, object, "added_at", entry->added_us);
    add_moment(doc, object, "expires_at", entry->expires_us);
    yyjson_mut_obj_add_bool(doc, object, "expired", entry->expires_us > 0 && entry->expires_us <= now_us);
    return object;
}

static const char *text_of(yyjson_val *object, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, key));
    return text ? text : "-";
}

static void join_tenants(yyjson_val *list, char *text, size_t max)
{
    size_t index, count, used = 0;
    yyjson_val *item;
    snprintf(text, max, "-");
    yyjson_arr_foreach(list, index, count, item)
    {
        int length = snprintf(text + used, max - used, "%s%s", index > 0 ? "," : "", yyjson_get_str(item));
        used += length > 0 && (size_t)length < max - used ? (size_t)length : 0;
    }
}

static void fill_row(struct table *table, yyjson_val *entry, int64_t now_us)
{
    char added[MOMENT_MAX], expires[MOMENT_MAX], tenants[TABLE_CELL_MAX];
    bool invited = yyjson_is_str(yyjson_obj_get(entry, "invited_as"));
    join_tenants(yyjson_obj_get(entry, "tenants"), tenants, sizeof tenants);
    moment_print(yyjson_obj_get(entry, "added_at"), now_us, added);
    moment_print(yyjson_obj_get(entry, "expires_at"), now_us, expires);
    table_row(table);
    table_cell(table, "%s", text_of(entry, "name"));
    table_cell(table, "%s%s%s", text_of(entry, "role"), invited ? " as " : "",
               invited ? text_of(entry, "invited_as") : "");
    table_cell(table, "%s", text_of(entry, "public_key"));
    table_cell(table, "%s", tenants);
    table_cell(table, "%s", added);
    table_cell(table, "%s%s", expires, yyjson_get_bool(yyjson_obj_get(entry, "expired")) ? " (over)" : "");
}

void key_view_list(yyjson_val *entries, FILE *stream, bool styled, int64_t now_us)
{
    static const struct table_column columns[] = { { "name", 0 },    { "role", 0 },  { "public key", 0 },
                                                   { "tenants", 0 }, { "added", 0 }, { "expires", 0 } };
    size_t index, count;
    yyjson_val *entry;
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    if (!table)
        return;
    yyjson_arr_foreach(entries, index, count, entry) fill_row(table, entry, now_us);
    table_print(table, stream, styled);
    table_free(&table);
}
