// SPDX-License-Identifier: Apache-2.0
#include "inventory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX_HERE = 8, BLOCK_OF_STAT = 512, HEX_BYTES = 2 * SHA256_BYTES };

/* What an entry of a folder is, and whether it is one to look at. */
static bool look(int folder, const char *name, struct stat *status)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           fstatat(folder, name, status, AT_SYMLINK_NOFOLLOW) == 0;
}

static DIR *open_folder(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !entries)
        close(fd);
    return entries;
}

static uint64_t bytes_of(const struct stat *status) { return (uint64_t)status->st_blocks * BLOCK_OF_STAT; }

static uint64_t tree_bytes(int folder, const char *name, int depth)
{
    uint64_t bytes = 0;
    struct stat status;
    DIR *entries = depth < DEPTH_MAX_HERE ? open_folder(folder, name) : NULL;
    for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
        if (!look(dirfd(entries), entry->d_name, &status))
            continue;
        bytes += bytes_of(&status);
        if (S_ISDIR(status.st_mode))
            bytes += tree_bytes(dirfd(entries), entry->d_name, depth + 1);
    }
    if (entries)
        closedir(entries);
    return bytes;
}

/* Room for one more behind count of each bytes; NULL when out of memory. The array's size is a power of two.
 */
static void *grown(void *at, size_t count, size_t each)
{
    bool full = count == 0 || (count & (count - 1)) == 0;
    return full ? realloc(at, (count ? 2 * count : 1) * each) : at;
}

static bool parse_job(const char *name, uint64_t *job)
{
    char *end;
    if (*name < '1' || *name > '9')
        return false;
    errno = 0;
    *job = strtoull(name, &end, 10);
    return errno == 0 && *end == 0;
}

static enum err add_folder(struct inventory *inventory, const char *name, uint64_t bytes)
{
    struct inventory_folder folder = { .bytes = bytes };
    if (!parse_job(name, &folder.job))
        return ERR_OK;
    struct inventory_folder *folders = grown(inventory->folders, inventory->folders_count, sizeof *folders);
    if (!folders)
        return ERR_MEMORY;
    inventory->folders = folders;
    folders[inventory->folders_count++] = folder;
    return ERR_OK;
}

static enum err add_blob(struct inventory *inventory, const char *name, const struct stat *status)
{
    char hex[HEX_BYTES + 1];
    struct inventory_blob blob = { .part = strcmp(name + strnlen(name, HEX_BYTES), ".part") == 0,
                                   .used_us = (int64_t)status->st_mtim.tv_sec * 1000000,
                                   .bytes = bytes_of(status) };
    snprintf(hex, sizeof hex, "%.64s", name);
    if (sha256_parse(hex, blob.digest) || (name[strlen(hex)] && !blob.part))
        return ERR_OK;
    struct inventory_blob *blobs = grown(inventory->blobs, inventory->blobs_count, sizeof *blobs);
    if (!blobs)
        return ERR_MEMORY;
    inventory->blobs = blobs;
    blobs[inventory->blobs_count++] = blob;
    return ERR_OK;
}

static enum err inventory_spool(struct inventory *inventory, int state)
{
    enum err err = ERR_OK;
    DIR *entries = open_folder(state, "spool");
    for (struct dirent *entry; entries && !err && (entry = readdir(entries)) != NULL;)
        if (*entry->d_name != '.')
            err = add_folder(inventory, entry->d_name, tree_bytes(dirfd(entries), entry->d_name, 1));
    if (entries)
        closedir(entries);
    for (size_t i = 0; i < inventory->folders_count; i++)
        inventory->bytes += inventory->folders[i].bytes;
    return err;
}

static enum err inventory_blobs(struct inventory *inventory, int state)
{
    struct stat status;
    enum err err = ERR_OK;
    DIR *entries = open_folder(state, "blobs");
    for (struct dirent *entry; entries && !err && (entry = readdir(entries)) != NULL;)
        if (look(dirfd(entries), entry->d_name, &status) && S_ISREG(status.st_mode))
            err = add_blob(inventory, entry->d_name, &status);
    if (entries)
        closedir(entries);
    for (size_t i = 0; i < inventory->blobs_count; i++)
        inventory->bytes += inventory->blobs[i].bytes;
    return err;
}

/* The journal, recordings, logs. */
static void inventory_rest(struct inventory *inventory, const char *state_dir)
{
    struct stat status;
    DIR *entries = opendir(state_dir);
    for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
        bool counted = strcmp(entry->d_name, "spool") == 0 || strcmp(entry->d_name, "blobs") == 0;
        if (counted || !look(dirfd(entries), entry->d_name, &status))
            continue;
        inventory->bytes += bytes_of(&status);
        if (S_ISDIR(status.st_mode))
            inventory->bytes += tree_bytes(dirfd(entries), entry->d_name, 1);
    }
    if (entries)
        closedir(entries);
}

static int by_job(const void *a, const void *b)
{
    const struct inventory_folder *left = a, *right = b;
    return left->job < right->job ? -1 : left->job > right->job;
}

static int by_digest(const void *a, const void *b)
{
    const struct inventory_blob *left = a, *right = b;
    int order = memcmp(left->digest, right->digest, SHA256_BYTES);
    return order ? order : left->part - right->part;
}

enum err inventory_make(const char *state_dir, struct inventory **inventory, struct why *why)
{
    struct inventory *fresh = *inventory = calloc(1, sizeof *fresh);
    if (!fresh)
        return why_set(why, ERR_MEMORY, "no memory to look over %s", state_dir);
    int state = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err err = state < 0 ? why_set_errno(why, ERR_FILE, "%s: cannot be looked over", state_dir) : ERR_OK;
    if (!err && (inventory_spool(fresh, state) || inventory_blobs(fresh, state)))
        err = why_set(why, ERR_MEMORY, "no memory to look over %s", state_dir);
    if (state >= 0)
        close(state);
    if (err) {
        inventory_free(inventory);
        return err;
    }
    inventory_rest(fresh, state_dir);
    if (fresh->folders_count)
        qsort(fresh->folders, fresh->folders_count, sizeof *fresh->folders, by_job);
    if (fresh->blobs_count)
        qsort(fresh->blobs, fresh->blobs_count, sizeof *fresh->blobs, by_digest);
    return ERR_OK;
}

void inventory_free(struct inventory **inventory)
{
    if (*inventory) {
        free((*inventory)->folders);
        free((*inventory)->blobs);
    }
    free(*inventory);
    *inventory = NULL;
}

struct inventory_blob *inventory_find(const struct inventory *inventory, const uint8_t digest[SHA256_BYTES])
{
    struct inventory_blob wanted = { .part = false };
    memcpy(wanted.digest, digest, SHA256_BYTES);
    return inventory->blobs_count
               ? bsearch(&wanted, inventory->blobs, inventory->blobs_count, sizeof wanted, by_digest)
               : NULL;
}
