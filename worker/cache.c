// SPDX-License-Identifier: Apache-2.0
#include "cache.h"

#include "bounds.h"
#include "ensure.h"
#include "file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FOLDER_MAX = PATH_MAX - SHA256_HEX_MAX - 32, ENTRIES_MAX = 65536 };

struct cache {
    uint64_t bytes_max;
    char folder[FOLDER_MAX];
};

struct cache_fetch {
    uint8_t model[SHA256_BYTES];
    uint64_t bytes, asked, got;
    uint64_t hashed; /* how far hash has come: pieces that come in order are hashed as they come */
    crypto_hash_sha256_state hash;
    int fd;
    char path[PATH_MAX], temporary[PATH_MAX + 32];
};

enum err cache_open(const char *state_dir, uint64_t bytes_max, struct cache **cache, struct why *why)
{
    *cache = calloc(1, sizeof **cache);
    if (*cache == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for the model cache");
    (*cache)->bytes_max = bytes_max;
    int length = snprintf((*cache)->folder, FOLDER_MAX, "%s/cache/models", state_dir);
    enum err err = length < FOLDER_MAX
                       ? file_make_dirs((*cache)->folder, 0700, why)
                       : why_set(why, ERR_FILE, "%s: the path is too long for a model cache", state_dir);
    if (err != ERR_OK)
        cache_free(cache);
    return err;
}

void cache_free(struct cache **cache)
{
    free(*cache);
    *cache = NULL;
}

static void path_of(const struct cache *cache, const uint8_t model[SHA256_BYTES], char path[PATH_MAX])
{
    char hex[SHA256_HEX_MAX];
    sha256_hex(model, hex);
    snprintf(path, PATH_MAX, "%s/%s", cache->folder, hex);
}

bool cache_find(struct cache *cache, const uint8_t model[SHA256_BYTES], uint64_t bytes, char path[PATH_MAX])
{
    struct stat found;
    path_of(cache, model, path);
    /* Touched first: from then on no other worker removes it. */
    if (utimensat(AT_FDCWD, path, NULL, 0) != 0 || stat(path, &found) != 0)
        return false;
    return S_ISREG(found.st_mode) && (uint64_t)found.st_size == bytes;
}

/* ---- removal ---- */

struct entry {
    char name[NAME_MAX + 1];
    uint64_t bytes;
    time_t used;
};

static int by_use(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    if (left->used != right->used)
        return left->used < right->used ? -1 : 1;
    return strcmp(left->name, right->name);
}

/* The entry of name, or false if it is none of ours or not old enough for removal. Old temporaries are
 * removed at once. */
static bool read_entry(int folder, const char *name, time_t now, struct entry *entry)
{
    struct stat found;
    uint8_t digest[SHA256_BYTES];
    if (fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(found.st_mode))
        return false;
    if (strstr(name, ".tmp-") != NULL && now - found.st_mtime > CACHE_TEMPORARY_SECONDS)
        (void)unlinkat(folder, name, 0);
    if (sha256_parse(name, digest) != ERR_OK)
        return false;
    *entry = (struct entry){ .bytes = (uint64_t)found.st_size, .used = found.st_mtime };
    snprintf(entry->name, sizeof entry->name, "%s", name);
    return true;
}

static size_t list_entries(DIR *folder, time_t now, struct entry **entries)
{
    size_t count = 0, capacity = 0;
    *entries = NULL;
    for (struct dirent *name; (name = readdir(folder)) != NULL && count < ENTRIES_MAX;) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            struct entry *grown = realloc(*entries, capacity * sizeof *grown);
            if (grown == NULL)
                break;
            *entries = grown;
        }
        count += read_entry(dirfd(folder), name->d_name, now, &(*entries)[count]);
    }
    return count;
}

void cache_trim(struct cache *cache, uint64_t bytes)
{
    DIR *folder = opendir(cache->folder);
    if (folder == NULL)
        return;
    struct entry *entries;
    time_t now = time(NULL);
    size_t count = list_entries(folder, now, &entries);
    uint64_t sum = bytes;
    for (size_t i = 0; i < count; i++)
        sum += entries[i].bytes;
    if (count > 0)
        qsort(entries, count, sizeof *entries, by_use);
    for (size_t i = 0; i < count && sum > cache->bytes_max && now - entries[i].used > CACHE_KEEP_SECONDS; i++)
        if (unlinkat(dirfd(folder), entries[i].name, 0) == 0)
            sum -= entries[i].bytes;
    free(entries);
    closedir(folder);
}

/* ---- fetching ---- */

static enum err check_room(const struct cache *cache, uint64_t bytes, struct why *why)
{
    uint64_t free_bytes;
    if (bytes == 0 || bytes > (uint64_t)MODEL_BYTES_MAX_GIB << 30)
        return why_set(why, ERR_LIMIT, "a model of %llu bytes; 1 to %d GiB are possible",
                       (unsigned long long)bytes, MODEL_BYTES_MAX_GIB);
    enum err err = file_free_bytes(cache->folder, &free_bytes, why);
    if (err == ERR_OK && free_bytes < bytes)
        err = why_set(why, ERR_FULL, "%s: the model needs %llu bytes, %llu are free", cache->folder,
                      (unsigned long long)bytes, (unsigned long long)free_bytes);
    return err;
}

enum err cache_fetch_new(struct cache *cache, const uint8_t model[SHA256_BYTES], uint64_t bytes,
                         struct cache_fetch **fetch, struct why *why)
{
    *fetch = NULL;
    cache_trim(cache, bytes);
    enum err err = check_room(cache, bytes, why);
    if (err != ERR_OK)
        return err;
    struct cache_fetch *made = calloc(1, sizeof *made);
    if (made == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for a model");
    made->bytes = bytes;
    made->fd = -1;
    memcpy(made->model, model, SHA256_BYTES);
    crypto_hash_sha256_init(&made->hash);
    path_of(cache, model, made->path);
    err = file_begin(made->path, made->temporary, sizeof made->temporary, &made->fd, why);
    if (err != ERR_OK)
        cache_fetch_free(&made);
    *fetch = made;
    return err;
}

void cache_fetch_free(struct cache_fetch **fetch)
{
    if (*fetch == NULL)
        return;
    if ((*fetch)->fd >= 0)
        file_discard(&(*fetch)->fd, (*fetch)->temporary);
    free(*fetch);
    *fetch = NULL;
}

bool cache_fetch_next(struct cache_fetch *fetch, uint64_t *offset, uint32_t *length)
{
    uint64_t left = fetch->bytes - fetch->asked;
    if (left == 0)
        return false;
    *offset = fetch->asked;
    *length = left < PIECE_BYTES_MAX ? (uint32_t)left : PIECE_BYTES_MAX;
    fetch->asked += *length;
    return true;
}

static enum err verify(struct cache_fetch *fetch, struct why *why)
{
    uint8_t digest[SHA256_BYTES];
    uint64_t bytes = fetch->bytes;
    enum err err = ERR_OK;
    if (fetch->hashed == fetch->bytes)
        crypto_hash_sha256_final(&fetch->hash, digest);
    else
        err = sha256_file(fetch->temporary, digest, &bytes, why);
    if (err != ERR_OK)
        return err;
    if (bytes != fetch->bytes || memcmp(digest, fetch->model, SHA256_BYTES) != 0)
        return why_set(why, ERR_FORMAT, "the model that came is not the one asked for: its SHA-256 differs");
    return ERR_OK;
}

enum err cache_fetch_put(struct cache_fetch *fetch, uint64_t offset, const void *bytes, uint64_t size,
                         bool *whole, struct why *why)
{
    *whole = false;
    ENSURE(fetch->fd >= 0);
    if (size == 0 || offset > fetch->bytes || size > fetch->bytes - offset ||
        size > fetch->bytes - fetch->got)
        return why_set(why, ERR_FORMAT, "a piece of the model lies outside of it");
    enum err err = file_pwrite(fetch->fd, bytes, size, offset, fetch->temporary, why);
    if (err != ERR_OK)
        return err;
    /* Begun now, the sync at the end has little left to do and holds up the loop only shortly. */
    (void)sync_file_range(fetch->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
    if (offset == fetch->hashed) {
        crypto_hash_sha256_update(&fetch->hash, bytes, size);
        fetch->hashed += size;
    }
    fetch->got += size;
    if (fetch->got < fetch->bytes)
        return ERR_OK;
    err = verify(fetch, why);
    if (err == ERR_OK)
        err = file_publish(&fetch->fd, fetch->temporary, fetch->path, why);
    *whole = err == ERR_OK;
    return err;
}
