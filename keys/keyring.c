// SPDX-License-Identifier: Apache-2.0
#include "keyring.h"

#include "clock.h"
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

enum {
    ENTRY_BYTES_MAX = 16 << 10,
    HEX_MAX = 2 * KEY_BYTES + 1,
    DAMAGE_MAX = 512,
};

/* How long after a change of the folder another one could leave its times as they are. The kernel stamps
 * files by its tick (10 ms at most); file systems without fractions of seconds by 1 or 2 s. */
static const int64_t TICK_NS = 50000000, COARSE_TICK_NS = 3000000000;

struct keyring {
    atomic_uint references;
    char folder[PATH_MAX];
    bool exists;
    struct stat status; /* of the folder, before it was read */
    int64_t read_ns;    /* wall clock, before it was read */
    char damage[DAMAGE_MAX];
    size_t count, capacity;
    struct keyring_entry *entries; /* ascending by key */
};

/* ---- the folder ---- */

static enum err folder_path(const char *state_dir, char folder[PATH_MAX], struct why *why)
{
    return key_path(state_dir, "allowed", folder, PATH_MAX, why);
}

static enum err entry_path(const char *state_dir, const uint8_t half[KEY_BYTES], char path[PATH_MAX],
                           struct why *why)
{
    char hex[HEX_MAX], name[HEX_MAX + 16];
    sodium_bin2hex(hex, sizeof hex, half, KEY_BYTES);
    snprintf(name, sizeof name, "allowed/%s.json", hex);
    return key_path(state_dir, name, path, PATH_MAX, why);
}

static int64_t wall_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t changed_ns(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static bool same_time(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

/* Was it read so soon after its last change that a further one could not be told from that? A clock that was
 * set back makes it so, too. */
static bool is_doubtful(const struct keyring *keyring)
{
    int64_t tick_ns = keyring->status.st_mtim.tv_nsec == 0 ? COARSE_TICK_NS : TICK_NS;
    return keyring->read_ns - changed_ns(&keyring->status) < tick_ns;
}

bool keyring_is_fresh(const struct keyring *keyring)
{
    struct stat now;
    const struct stat *then = &keyring->status;
    if (stat(keyring->folder, &now) != 0)
        return !keyring->exists;
    return keyring->exists && !is_doubtful(keyring) && now.st_ino == then->st_ino &&
           now.st_dev == then->st_dev && now.st_size == then->st_size &&
           same_time(&now.st_mtim, &then->st_mtim) && same_time(&now.st_ctim, &then->st_ctim);
}

/* ---- one entry ---- */

static bool read_role(yyjson_val *root, const char *name, enum role *role)
{
    const char *text = yyjson_get_str(yyjson_obj_get(root, name));
    if (!text)
        return false;
    if (strcmp(text, role_name(ROLE_INVITED)) == 0) {
        *role = ROLE_INVITED;
        return true;
    }
    return role_parse(text, role);
}

static bool read_text(yyjson_val *value, char *text, size_t max)
{
    const char *given = yyjson_get_str(value);
    size_t length = yyjson_get_len(value);
    if (!given || length >= max || strlen(given) != length)
        return false;
    memcpy(text, given, length + 1);
    return true;
}

static bool read_tenants(yyjson_val *list, struct keyring_entry *entry)
{
    size_t count = yyjson_arr_size(list);
    if (count > KEYRING_TENANTS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!read_text(yyjson_arr_get(list, i), entry->tenants[i], KEYRING_TENANT_MAX) || !*entry->tenants[i])
            return false;
    entry->tenants_count = (uint32_t)count;
    return true;
}

/* Times that are no numbers would make a key that never expires of one that should. */
static bool read_time(yyjson_val *value, int64_t *time_us)
{
    *time_us = yyjson_get_sint(value);
    return yyjson_is_int(value) && *time_us >= 0;
}

static bool parse_entry(yyjson_val *root, struct keyring_entry *entry)
{
    const char *key = yyjson_get_str(yyjson_obj_get(root, "key"));
    if (!key || key_parse(key, entry->public_half, NULL) || !read_role(root, "role", &entry->role))
        return false;
    if (entry->role == ROLE_INVITED &&
        (!read_role(root, "invited_as", &entry->invited_as) || entry->invited_as == ROLE_INVITED))
        return false;
    yyjson_val *tenants = yyjson_obj_get(root, "tenants");
    return read_text(yyjson_obj_get(root, "name"), entry->name, sizeof entry->name) &&
           read_time(yyjson_obj_get(root, "added_us"), &entry->added_us) &&
           read_time(yyjson_obj_get(root, "expires_us"), &entry->expires_us) && yyjson_is_arr(tenants) &&
           read_tenants(tenants, entry);
}

/* The name says whose entry it is, so that one key has one entry. */
static bool is_named(const struct keyring_entry *entry, const char *file)
{
    char hex[HEX_MAX + 8];
    sodium_bin2hex(hex, HEX_MAX, entry->public_half, KEY_BYTES);
    strcat(hex, ".json");
    return strcmp(hex, file) == 0;
}

static enum err read_entry(const char *folder, const char *file, struct keyring_entry *entry, struct why *why)
{
    char path[PATH_MAX], *bytes;
    size_t size;
    int printed = snprintf(path, sizeof path, "%s/%s", folder, file);
    if (printed < 0 || (size_t)printed >= sizeof path)
        return why_set(why, ERR_FORMAT, "%.200s: a name in it is too long", folder);
    enum err err = file_read(path, ENTRY_BYTES_MAX, &bytes, &size, why);
    if (err)
        return err;
    *entry = (struct keyring_entry){ .role = ROLE_NONE };
    yyjson_read_err trouble;
    yyjson_doc *document = yyjson_read_opts(bytes, size, 0, NULL, &trouble);
    if (!document && trouble.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        free(bytes);
        return why_set(why, ERR_MEMORY, "out of memory for the allow list");
    }
    bool good = document && parse_entry(yyjson_doc_get_root(document), entry) && is_named(entry, file);
    yyjson_doc_free(document);
    free(bytes);
    return good ? ERR_OK
                : why_set(why, ERR_FORMAT,
                          "%.300s: is no entry of the allow list, so its key is not allowed; remove it, and "
                          "`motley key allow` its key again",
                          path);
}

/* ---- reading ---- */

static enum err append(struct keyring *keyring, const struct keyring_entry *entry, struct why *why)
{
    if (keyring->count == KEYRING_KEYS_MAX)
        return why_set(why, ERR_LIMIT, "%.200s: more than %d keys", keyring->folder, KEYRING_KEYS_MAX);
    if (keyring->count == keyring->capacity) {
        size_t capacity = keyring->capacity ? 2 * keyring->capacity : 16;
        struct keyring_entry *grown = realloc(keyring->entries, capacity * sizeof *grown);
        if (!grown)
            return why_set(why, ERR_MEMORY, "out of memory for the allow list");
        keyring->entries = grown;
        keyring->capacity = capacity;
    }
    keyring->entries[keyring->count++] = *entry;
    return ERR_OK;
}

static bool is_entry_name(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && name[0] != '.' && strcmp(name + length - 5, ".json") == 0;
}

/* Is it the entry that is at fault, rather than the moment? */
static bool is_of_the_entry(enum err err, int code)
{
    static const int codes[] = { ENOENT, EACCES, EPERM, ELOOP, EISDIR, ENXIO, ENODEV };
    if (err == ERR_FORMAT || err == ERR_LIMIT)
        return true;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (err == ERR_FILE && code == codes[i])
            return true;
    return false;
}

/* A file that goes while the folder is read was dropped just then. One that cannot be read for the moment
 * fails all of it: without its key the list would be taken for whole, and its owner be sent away. */
static enum err take_file(struct keyring *keyring, const char *file, struct why *why)
{
    char path[PATH_MAX + 300];
    struct keyring_entry entry;
    struct why damage;
    enum err err = read_entry(keyring->folder, file, &entry, &damage);
    if (err == ERR_OK)
        return append(keyring, &entry, why);
    if (!is_of_the_entry(err, errno))
        return why_set(why, err, "%s", damage.text);
    snprintf(path, sizeof path, "%s/%s", keyring->folder, file);
    if (access(path, F_OK) == 0 && !*keyring->damage)
        snprintf(keyring->damage, sizeof keyring->damage, "%s", damage.text);
    return ERR_OK;
}

static int by_key(const void *one, const void *other)
{
    return memcmp(((const struct keyring_entry *)one)->public_half,
                  ((const struct keyring_entry *)other)->public_half, KEY_BYTES);
}

static enum err read_folder(struct keyring *keyring, DIR *folder, struct why *why)
{
    enum err err = ERR_OK;
    struct dirent *entry;
    errno = 0;
    while (!err && (entry = readdir(folder)) != NULL) {
        if (is_entry_name(entry->d_name))
            err = take_file(keyring, entry->d_name, why);
        errno = 0;
    }
    if (!err && errno)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", keyring->folder);
    if (keyring->count)
        qsort(keyring->entries, keyring->count, sizeof *keyring->entries, by_key);
    return err;
}

/* Whoever can write there decides who may connect. */
static enum err check_guarded(const struct keyring *keyring, struct why *why)
{
    const struct stat *status = &keyring->status;
    if (status->st_uid == geteuid() && !(status->st_mode & 022))
        return ERR_OK;
    return why_set(why, ERR_REFUSED,
                   "%.300s: others may write to this folder, or it is not ours, so it is not taken for the "
                   "list of who may connect; check what is in it and `chmod 700` it",
                   keyring->folder);
}

static enum err read_all(struct keyring *keyring, struct why *why)
{
    keyring->read_ns = wall_ns();
    if (stat(keyring->folder, &keyring->status) != 0)
        return errno == ENOENT ? ERR_OK : why_set_errno(why, ERR_FILE, "%s: cannot be read", keyring->folder);
    keyring->exists = true;
    enum err err = check_guarded(keyring, why);
    if (err)
        return err;
    DIR *folder = opendir(keyring->folder);
    if (!folder)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", keyring->folder);
    err = read_folder(keyring, folder, why);
    (void)closedir(folder);
    return err;
}

enum err keyring_read(const char *state_dir, struct keyring **keyring, struct why *why)
{
    struct keyring *made = calloc(1, sizeof *made);
    *keyring = NULL;
    if (!made)
        return why_set(why, ERR_MEMORY, "out of memory for the allow list");
    atomic_init(&made->references, 1);
    enum err err = folder_path(state_dir, made->folder, why);
    if (!err)
        err = read_all(made, why);
    if (err)
        keyring_free(&made);
    *keyring = made;
    return err;
}

struct keyring *keyring_hold(struct keyring *keyring)
{
    atomic_fetch_add(&keyring->references, 1);
    return keyring;
}

void keyring_free(struct keyring **keyring)
{
    struct keyring *it = *keyring;
    *keyring = NULL;
    if (!it || atomic_fetch_sub(&it->references, 1) != 1)
        return;
    free(it->entries);
    free(it);
}

/* ---- looking ---- */

const struct keyring_entry *keyring_find(const struct keyring *keyring, const uint8_t public_half[KEY_BYTES],
                                         int64_t now_us)
{
    size_t low = 0, high = keyring->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct keyring_entry *entry = &keyring->entries[middle];
        int order = memcmp(entry->public_half, public_half, KEY_BYTES);
        if (order == 0)
            return entry->expires_us && entry->expires_us <= now_us ? NULL : entry;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

size_t keyring_count(const struct keyring *keyring) { return keyring->count; }

size_t keyring_invitations(const struct keyring *keyring)
{
    size_t count = 0;
    for (size_t i = 0; i < keyring->count; i++)
        count += keyring->entries[i].role == ROLE_INVITED;
    return count;
}

const struct keyring_entry *keyring_at(const struct keyring *keyring, size_t index)
{
    return index < keyring->count ? &keyring->entries[index] : NULL;
}

const char *keyring_damage(const struct keyring *keyring) { return keyring->damage; }

enum err keyring_tenant(const struct keyring_entry *entry, const char *asked, char chosen[KEYRING_TENANT_MAX],
                        struct why *why)
{
    const char *first = entry->tenants_count ? entry->tenants[0] : "default";
    if (!*asked || strcmp(asked, first) == 0) {
        snprintf(chosen, KEYRING_TENANT_MAX, "%s", first);
        return ERR_OK;
    }
    if (entry->role == ROLE_ADMIN && strlen(asked) < KEYRING_TENANT_MAX) {
        snprintf(chosen, KEYRING_TENANT_MAX, "%s", asked);
        return ERR_OK;
    }
    for (uint32_t i = 1; i < entry->tenants_count; i++)
        if (strcmp(asked, entry->tenants[i]) == 0) {
            snprintf(chosen, KEYRING_TENANT_MAX, "%s", entry->tenants[i]);
            return ERR_OK;
        }
    return why_set(why, ERR_REFUSED,
                   "your key may not act for tenant '%.64s', only for '%.64s'%s; ask for `motley key allow "
                   "... --tenant %.64s`",
                   asked, first, entry->tenants_count > 1 ? " and others" : "", asked);
}

bool keyring_sees(const struct keyring_entry *entry, const char *tenant)
{
    const char *name = *tenant ? tenant : "default";
    if (!entry || entry->role == ROLE_ADMIN || (entry->role == ROLE_READ_ONLY && !entry->tenants_count))
        return true;
    if (!entry->tenants_count)
        return entry->role == ROLE_CLIENT && strcmp(name, "default") == 0;
    for (uint32_t i = 0; i < entry->tenants_count; i++)
        if (strcmp(name, entry->tenants[i]) == 0)
            return true;
    return false;
}

/* ---- changing ---- */

static bool add_tenants(yyjson_mut_doc *document, yyjson_mut_val *root, const struct keyring_entry *entry)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(document, root, "tenants");
    for (uint32_t i = 0; list && i < entry->tenants_count; i++)
        if (!yyjson_mut_arr_add_str(document, list, entry->tenants[i]))
            return false;
    return list != NULL;
}

static char *entry_json(const struct keyring_entry *entry, size_t *size)
{
    char text[KEY_TEXT_MAX], *json = NULL;
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(document);
    key_text(entry->public_half, text);
    yyjson_mut_doc_set_root(document, root);
    bool good = root && yyjson_mut_obj_add_str(document, root, "key", text) &&
                yyjson_mut_obj_add_str(document, root, "role", role_name(entry->role)) &&
                (entry->role != ROLE_INVITED ||
                 yyjson_mut_obj_add_str(document, root, "invited_as", role_name(entry->invited_as))) &&
                yyjson_mut_obj_add_str(document, root, "name", entry->name) &&
                yyjson_mut_obj_add_sint(document, root, "added_us", entry->added_us) &&
                yyjson_mut_obj_add_sint(document, root, "expires_us", entry->expires_us) &&
                add_tenants(document, root, entry);
    if (good)
        json = yyjson_mut_write(document, YYJSON_WRITE_PRETTY, size);
    yyjson_mut_doc_free(document);
    return json;
}

static enum err make_folder(const char *state_dir, struct why *why)
{
    char folder[PATH_MAX];
    enum err err = folder_path(state_dir, folder, why);
    if (!err)
        err = file_make_dirs(folder, 0700, why);
    if (err)
        return err;
    /* keys/ itself may be new, too. */
    *strrchr(folder, '/') = '\0';
    return file_sync_dir(folder, why);
}

enum err keyring_add(const char *state_dir, const struct keyring_entry *entry, struct why *why)
{
    char path[PATH_MAX];
    size_t size;
    if (entry->role <= ROLE_NONE || entry->role >= ROLES_COUNT || entry->tenants_count > KEYRING_TENANTS_MAX)
        return why_set(why, ERR_USAGE, "a key needs a role, and has at most %d tenants", KEYRING_TENANTS_MAX);
    enum err err = make_folder(state_dir, why);
    if (!err)
        err = entry_path(state_dir, entry->public_half, path, why);
    if (err)
        return err;
    char *json = entry_json(entry, &size);
    if (!json)
        return why_set(why, ERR_FORMAT, "the key's name cannot be written as UTF-8 text");
    err = file_replace(path, json, size, 0600, why);
    free(json);
    return err;
}

enum err keyring_drop(const char *state_dir, const uint8_t public_half[KEY_BYTES], struct why *why)
{
    char path[PATH_MAX], folder[PATH_MAX];
    enum err err = entry_path(state_dir, public_half, path, why);
    if (!err)
        err = folder_path(state_dir, folder, why);
    if (err)
        return err;
    if (unlink(path) != 0)
        return errno == ENOENT
                   ? why_set(why, ERR_NOT_FOUND, "this key is not on the list; `motley key list` shows it")
                   : why_set_errno(why, ERR_FILE, "%s: cannot be removed", path);
    return file_sync_dir(folder, why);
}
