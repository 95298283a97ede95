// SPDX-License-Identifier: Apache-2.0
#include "joined.h"

#include "bounds.h"
#include "clock.h"
#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

enum { RECORD_BYTES_MAX = 65536 };

static enum err record_path(const char *state_dir, const char *name, char path[PATH_MAX_BYTES],
                            struct why *why)
{
    int length = snprintf(path, PATH_MAX_BYTES, "%s/%s", state_dir, name);
    return length > 0 && length < PATH_MAX_BYTES
               ? ERR_OK
               : why_set(why, ERR_LIMIT, "the state directory's name is too long");
}

static bool copy_text(yyjson_val *object, const char *key, char *text, size_t max)
{
    const char *from = yyjson_get_str(yyjson_obj_get(object, key));
    int length = snprintf(text, max, "%s", from ? from : "");
    return from && length >= 0 && (size_t)length < max;
}

static enum err take_record(yyjson_val *root, const char *path, struct joined *joined, struct why *why)
{
    char role[16];
    uint8_t half[KEY_BYTES];
    bool whole = copy_text(root, "url", joined->url, sizeof joined->url) && joined->url[0] &&
                 copy_text(root, "server_key", joined->server_key, sizeof joined->server_key) &&
                 key_parse(joined->server_key, half, NULL) == ERR_OK;
    (void)copy_text(root, "token", joined->token, sizeof joined->token);
    (void)copy_text(root, "name", joined->name, sizeof joined->name);
    if (!copy_text(root, "role", role, sizeof role) || !role_parse(role, &joined->role))
        joined->role = ROLE_NONE;
    return whole ? ERR_OK
                 : why_set(why, ERR_FORMAT,
                           "%s: is damaged; remove it and join again with a new line of "
                           "`motley key invite`",
                           path);
}

enum err joined_read(const char *state_dir, struct joined *joined, struct why *why)
{
    char path[PATH_MAX_BYTES], *bytes;
    size_t size;
    memset(joined, 0, sizeof *joined);
    enum err err = record_path(state_dir, "joined.json", path, why);
    if (err != ERR_OK)
        return err;
    if (access(path, F_OK) != 0)
        return why_set(why, ERR_NOT_FOUND, "%s: no coordinator was joined from here", state_dir);
    err = file_read(path, RECORD_BYTES_MAX, &bytes, &size, why);
    if (err != ERR_OK)
        return err;
    yyjson_doc *doc = yyjson_read(bytes, size, 0);
    err = take_record(yyjson_doc_get_root(doc), path, joined, why);
    yyjson_doc_free(doc);
    free(bytes);
    return err;
}

static char *print_record(const struct joined *joined, size_t *size)
{
    char at[CLOCK_RFC3339_MAX];
    clock_rfc3339(joined->joined_us, at);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "url", joined->url);
    yyjson_mut_obj_add_str(doc, root, "server_key", joined->server_key);
    yyjson_mut_obj_add_str(doc, root, "token", joined->token);
    yyjson_mut_obj_add_str(doc, root, "role", role_name(joined->role));
    yyjson_mut_obj_add_str(doc, root, "name", joined->name);
    yyjson_mut_obj_add_str(doc, root, "joined_at", at);
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, size);
    yyjson_mut_doc_free(doc);
    return text;
}

static enum err write_server_key(const char *state_dir, const struct joined *joined, struct why *why)
{
    char secret[PATH_MAX_BYTES], path[PATH_MAX_BYTES], line[KEY_TEXT_MAX + 1];
    enum err err = key_path(state_dir, "coordinator.secret", secret, sizeof secret, why);
    if (err == ERR_OK)
        err = key_path(state_dir, "coordinator.public", path, sizeof path, why);
    if (err != ERR_OK || access(secret, F_OK) == 0)
        return err;
    int length = snprintf(line, sizeof line, "%s\n", joined->server_key);
    return file_replace(path, line, (size_t)length, 0644, why);
}

enum err joined_write(const char *state_dir, const struct joined *joined, struct why *why)
{
    char path[PATH_MAX_BYTES];
    size_t size = 0;
    enum err err = write_server_key(state_dir, joined, why);
    if (err == ERR_OK)
        err = record_path(state_dir, "joined.json", path, why);
    char *text = err == ERR_OK ? print_record(joined, &size) : NULL;
    if (err == ERR_OK)
        err = text ? file_replace(path, text, size, 0600, why)
                   : why_set(why, ERR_MEMORY, "no memory for the record of a coordinator");
    free(text);
    return err;
}

bool joined_by(const struct joined *joined, const struct invite *invite)
{
    char server[KEY_TEXT_MAX], token[KEY_TEXT_MAX];
    key_text(invite->server_half, server);
    key_text(invite->token.public_half, token);
    return strcmp(joined->url, invite->url) == 0 && strcmp(joined->server_key, server) == 0 &&
           strcmp(joined->token, token) == 0;
}

const char *joined_key(const char *state_dir, const char *url, char text[KEY_TEXT_MAX])
{
    struct joined joined;
    const char *variable = getenv("MOTLEY_COORDINATOR_KEY");
    if ((variable && *variable) || joined_read(state_dir, &joined, NULL) != ERR_OK ||
        strcmp(joined.url, url) != 0)
        return NULL;
    memcpy(text, joined.server_key, KEY_TEXT_MAX);
    return text;
}
