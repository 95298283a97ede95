// SPDX-License-Identifier: Apache-2.0
/* A file of the allow list, and the same bytes as a key's file and as the record of a coordinator that was
 * joined: who is in doubt stays out. */
#include "file.h"
#include "fuzz.h"
#include "joined.h"
#include "keyring.h"

#include <string.h>
#include <sys/stat.h>
#include <yyjson.h>

/* Its name is its key, if it has one. */
static void name_of(const uint8_t *data, size_t size, char name[80])
{
    uint8_t half[KEY_BYTES] = { 0 };
    yyjson_doc *doc = yyjson_read((const char *)data, size, 0);
    const char *key = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "key"));
    if (key && key_parse(key, half, NULL))
        memset(half, 0, sizeof half);
    yyjson_doc_free(doc);
    for (int i = 0; i < KEY_BYTES; i++)
        snprintf(name + 2 * i, 3, "%02x", half[i]);
    strcat(name, ".json");
}

static const char *put(const char *dir, const char *name, const uint8_t *data, size_t size)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FUZZ_CHECK(file_replace(path, data, size, 0600, NULL) == ERR_OK);
    return path;
}

static void check_entry(const struct keyring_entry *entry)
{
    FUZZ_CHECK(entry->role > ROLE_NONE && entry->role < ROLES_COUNT);
    FUZZ_CHECK(entry->tenants_count <= KEYRING_TENANTS_MAX && entry->expires_us >= 0);
    FUZZ_CHECK(strnlen(entry->name, KEYRING_NAME_MAX) < KEYRING_NAME_MAX);
    for (uint32_t i = 0; i < entry->tenants_count; i++)
        FUZZ_CHECK(strnlen(entry->tenants[i], KEYRING_TENANT_MAX) < KEYRING_TENANT_MAX);
}

/* One folder of the process, in memory where there is such a place. */
static char dir[64];

static void remove_folder(void)
{
    if (file_remove_tree(dir, NULL) != ERR_OK)
        fprintf(stderr, "%s: is left\n", dir);
}

static void make_folder(void)
{
    snprintf(dir, sizeof dir, "%s/motley-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(dir) && atexit(remove_folder) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char allowed[96];
    struct keyring *keyring;
    struct joined joined;
    struct key key;
    struct why why = { "" };
    char name[80];
    if (!*dir) {
        make_folder();
        snprintf(allowed, sizeof allowed, "%s/keys/allowed", dir);
        FUZZ_CHECK(file_make_dirs(allowed, 0700, NULL) == ERR_OK);
    }
    name_of(data, size, name);
    const char *path = put(allowed, name, data, size);
    FUZZ_CHECK(keyring_read(dir, &keyring, &why) == ERR_OK);
    FUZZ_CHECK(keyring_count(keyring) == 1 || *keyring_damage(keyring));
    for (size_t i = 0; i < keyring_count(keyring); i++)
        check_entry(keyring_at(keyring, i));
    keyring_free(&keyring);
    unlink(path);
    path = put(dir, "own.secret", data, size);
    FUZZ_CHECK(key_load(path, &key, &why) == ERR_OK || why.text[0]);
    put(dir, "joined.json", data, size);
    FUZZ_CHECK(joined_read(dir, &joined, &why) == ERR_OK || why.text[0]);
    return 0;
}
