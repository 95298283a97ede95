// SPDX-License-Identifier: Apache-2.0
#include "roll.h"

#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

enum { ROLL_BYTES_MAX = 64 << 20 };

static enum err roll_path(const char *state_dir, char path[PATH_MAX_BYTES], struct why *why)
{
    int length = snprintf(path, PATH_MAX_BYTES, "%s/fleet.json", state_dir);
    return length < PATH_MAX_BYTES ? ERR_OK
                                   : why_set(why, ERR_LIMIT, "the state directory's name is too long");
}

static void copy_text(yyjson_val *object, const char *key, char *text, size_t max)
{
    const char *from = yyjson_get_str(yyjson_obj_get(object, key));
    snprintf(text, max, "%s", from ? from : "");
}

static enum err take_entries(yyjson_val *list, bool same_boot, struct roll *roll, struct why *why)
{
    size_t index, count;
    yyjson_val *item;
    roll->entries = calloc(yyjson_arr_size(list) + 1, sizeof *roll->entries);
    if (!roll->entries)
        return why_set(why, ERR_MEMORY, "no memory for a fleet's record");
    yyjson_arr_foreach(list, index, count, item)
    {
        struct roll_entry *entry = &roll->entries[roll->count++];
        copy_text(item, "role", entry->role, sizeof entry->role);
        copy_text(item, "name", entry->name, sizeof entry->name);
        entry->process.pid = same_boot ? (pid_t)yyjson_get_int(yyjson_obj_get(item, "pid")) : 0;
        entry->process.start_ticks = yyjson_get_uint(yyjson_obj_get(item, "start"));
    }
    return ERR_OK;
}

enum err roll_read(const char *state_dir, struct roll *roll, struct why *why)
{
    char path[PATH_MAX_BYTES], boot[PROCESS_BOOT_MAX], then[PROCESS_BOOT_MAX], *bytes;
    size_t size;
    memset(roll, 0, sizeof *roll);
    enum err err = roll_path(state_dir, path, why);
    if (err != ERR_OK)
        return err;
    if (access(path, F_OK) != 0)
        return why_set(why, ERR_NOT_FOUND, "no fleet is up here (%s is not there)", path);
    err = file_read(path, ROLL_BYTES_MAX, &bytes, &size, why);
    if (err != ERR_OK)
        return err;
    yyjson_doc *doc = yyjson_read(bytes, size, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    process_boot_id(boot);
    copy_text(root, "url", roll->url, sizeof roll->url);
    copy_text(root, "listen", roll->listen, sizeof roll->listen);
    copy_text(root, "short", roll->short_dir, sizeof roll->short_dir);
    copy_text(root, "boot", then, sizeof then);
    err = doc ? take_entries(yyjson_obj_get(root, "processes"), strcmp(boot, then) == 0, roll, why)
              : why_set(why, ERR_FORMAT, "%s: is not a fleet's record; remove it when no motley process runs",
                        path);
    yyjson_doc_free(doc);
    free(bytes);
    return err;
}

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text)
{
    if (*text)
        yyjson_mut_obj_add_str(doc, object, key, text);
    else
        yyjson_mut_obj_add_null(doc, object, key);
}

static char *roll_print(const struct roll *roll, size_t *size)
{
    char boot[PROCESS_BOOT_MAX];
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    process_boot_id(boot);
    yyjson_mut_obj_add_str(doc, root, "url", roll->url);
    add_text(doc, root, "listen", roll->listen);
    add_text(doc, root, "short", roll->short_dir);
    yyjson_mut_obj_add_str(doc, root, "boot", boot);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "processes");
    for (size_t i = 0; i < roll->count; i++) {
        const struct roll_entry *entry = &roll->entries[i];
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_str(doc, item, "role", entry->role);
        yyjson_mut_obj_add_str(doc, item, "name", entry->name);
        yyjson_mut_obj_add_int(doc, item, "pid", entry->process.pid);
        yyjson_mut_obj_add_uint(doc, item, "start", entry->process.start_ticks);
    }
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY, size);
    yyjson_mut_doc_free(doc);
    return text;
}

enum err roll_write(const char *state_dir, const struct roll *roll, struct why *why)
{
    char path[PATH_MAX_BYTES];
    size_t size;
    enum err err = roll_path(state_dir, path, why);
    if (err != ERR_OK)
        return err;
    char *text = roll_print(roll, &size);
    if (!text)
        return why_set(why, ERR_MEMORY, "no memory for a fleet's record");
    err = file_replace(path, text, size, 0600, why);
    free(text);
    return err;
}

void roll_free(struct roll *roll)
{
    free(roll->entries);
    memset(roll, 0, sizeof *roll);
}

size_t roll_living(const struct roll *roll)
{
    size_t living = 0;
    for (size_t i = 0; i < roll->count; i++)
        living += process_lives(&roll->entries[i].process);
    return living;
}

void roll_remove(const char *state_dir, const struct roll *roll)
{
    char path[PATH_MAX_BYTES];
    if (roll->short_dir[0])
        (void)!file_remove_tree(roll->short_dir, NULL);
    if (roll_path(state_dir, path, NULL) == ERR_OK)
        unlink(path);
}
