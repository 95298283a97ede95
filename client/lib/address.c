// SPDX-License-Identifier: Apache-2.0
#include "address.h"

#include "bounds.h"
#include "file.h"
#include "holder.h"
#include "joined.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

enum { FLEET_FILE_MAX = 64 << 20 };

static enum err copy_url(const char *from, char url[ADDRESS_MAX], struct why *why)
{
    if (strlen(from) >= ADDRESS_MAX)
        return why_set(why, ERR_USAGE, "the coordinator's address is longer than %d bytes", ADDRESS_MAX - 1);
    memcpy(url, from, strlen(from) + 1);
    return ERR_OK;
}

static enum err from_fleet_file(const char *path, char url[ADDRESS_MAX], struct why *why)
{
    char *bytes;
    size_t size;
    enum err err = file_read(path, FLEET_FILE_MAX, &bytes, &size, why);
    if (err != ERR_OK)
        return err;
    yyjson_doc *doc = yyjson_read(bytes, size, 0);
    const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "url"));
    err =
        text ? copy_url(text, url, why)
             : why_set(why, ERR_FILE, "%s: is not a fleet's record; run `motley down` and `motley up`", path);
    yyjson_doc_free(doc);
    free(bytes);
    return err;
}

enum err address_resolve(const char *given, char url[ADDRESS_MAX], struct why *why)
{
    const char *variable = getenv("MOTLEY_COORDINATOR");
    char path[PATH_MAX_BYTES];
    struct joined joined;
    if (given && *given)
        return copy_url(given, url, why);
    if (variable && *variable)
        return copy_url(variable, url, why);
    enum err err = file_state_dir(path, sizeof path - 16, why);
    if (err != ERR_OK)
        return err;
    size_t length = strlen(path);
    strcat(path, "/fleet.json");
    if (access(path, R_OK) == 0)
        return from_fleet_file(path, url, why);
    path[length] = 0;
    err = joined_read(path, &joined, why);
    if (err == ERR_OK)
        return copy_url(joined.url, url, why);
    if (err != ERR_NOT_FOUND)
        return err;
    if (holder_here(path, url))
        return ERR_OK;
    return why_set(
        why, ERR_UNREACHABLE,
        "no coordinator is named, no fleet is up (%.200s/fleet.json is not there), none was "
        "joined and none runs there; start one with `motley up --detach`, or give --coordinator URL",
        path);
}

static size_t read_nonce(const char *folder, size_t length, uint8_t nonce[ADDRESS_NONCE_MAX])
{
    char path[PATH_MAX_BYTES], *bytes;
    size_t size;
    int printed = snprintf(path, sizeof path, "%.*s/nonce", (int)length, folder);
    if (printed < 0 || (size_t)printed >= sizeof path)
        return 0;
    if (file_read(path, ADDRESS_NONCE_MAX, &bytes, &size, NULL) != ERR_OK)
        return 0;
    while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == ' '))
        size--;
    memcpy(nonce, bytes, size);
    free(bytes);
    return size;
}

size_t address_nonce(const char *url, uint8_t nonce[ADDRESS_NONCE_MAX])
{
    char folder[PATH_MAX_BYTES];
    size_t size = 0;
    const char *slash = strrchr(url, '/');
    if (strncmp(url, "ipc://", 6) == 0 && slash > url + 6)
        size = read_nonce(url + 6, (size_t)(slash - (url + 6)), nonce);
    if (size == 0 && file_state_dir(folder, sizeof folder, NULL) == ERR_OK)
        size = read_nonce(folder, strlen(folder), nonce);
    return size;
}
