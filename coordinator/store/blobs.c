// SPDX-License-Identifier: Apache-2.0
#include "blobs.h"

#include "ensure.h"
#include "file.h"
#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_BYTES = 256 << 10, PART_SECONDS_MAX = 24 * 3600, TOUCH_SECONDS = 10 };

struct upload {
    uint8_t digest[SHA256_BYTES];
    int fd;
    uint64_t held, total;
    uint64_t used;                 /* serial of the last use */
    bool resumed;                  /* some of what is held was found: it may be what a power cut left of it */
    crypto_hash_sha256_state hash; /* of what is held */
};

struct blobs {
    char folder[SPOOL_PATH_MAX];
    char state_dir[SPOOL_DIR_MAX + 1];
    struct upload uploads[BLOBS_UPLOADS_MAX];
    uint32_t count;
    uint64_t serial;
    uint8_t *block; /* BLOCK_BYTES */
};

void blobs_path(const char *state_dir, const uint8_t digest[SHA256_BYTES], char *path, size_t max)
{
    char hex[SHA256_HEX_MAX];
    sha256_hex(digest, hex);
    snprintf(path, max, "%s/blobs/%s", state_dir, hex);
}

bool blobs_find(const char *state_dir, const uint8_t digest[SHA256_BYTES], uint64_t *size_bytes)
{
    char path[SPOOL_PATH_MAX];
    struct stat status;
    blobs_path(state_dir, digest, path, sizeof path);
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    *size_bytes = (uint64_t)status.st_size;
    return true;
}

void blobs_touch(const char *state_dir, const uint8_t digest[SHA256_BYTES])
{
    char path[SPOOL_PATH_MAX];
    struct stat status;
    blobs_path(state_dir, digest, path, sizeof path);
    /* A file system that does not let us keeps the time of the upload, which is as good until it is old. */
    if (stat(path, &status) == 0 && time(NULL) - status.st_mtime > TOUCH_SECONDS &&
        utimensat(AT_FDCWD, path, NULL, 0) != 0)
        return;
}

static void part_path(const struct blobs *blobs, const uint8_t digest[SHA256_BYTES],
                      char path[SPOOL_PATH_MAX])
{
    blobs_path(blobs->state_dir, digest, path, SPOOL_PATH_MAX - 8);
    memcpy(path + strlen(path), ".part", sizeof ".part");
}

static void remove_old_parts(const struct blobs *blobs)
{
    time_t now = time(NULL);
    DIR *folder = opendir(blobs->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        struct stat status;
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".part") == 0 &&
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            now - status.st_mtime > PART_SECONDS_MAX)
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder)
        closedir(folder);
}

enum err blobs_new(const char *state_dir, struct blobs **blobs, struct why *why)
{
    *blobs = NULL;
    if (strlen(state_dir) > SPOOL_DIR_MAX)
        return why_set(why, ERR_LIMIT,
                       "%.100s...: the state directory's path is too long; choose a shorter one", state_dir);
    struct blobs *fresh = calloc(1, sizeof *fresh);
    if (fresh)
        fresh->block = malloc(BLOCK_BYTES);
    if (!fresh || !fresh->block) {
        free(fresh);
        return why_set(why, ERR_MEMORY, "no memory for uploads");
    }
    snprintf(fresh->state_dir, sizeof fresh->state_dir, "%s", state_dir);
    snprintf(fresh->folder, sizeof fresh->folder, "%s/blobs", state_dir);
    enum err err = file_make_dirs(fresh->folder, 0700, why);
    /* That a killed coordinator made a name does not say that it was synced, and what is found is relied on.
     */
    if (err == ERR_OK)
        err = file_sync_dir(state_dir, why);
    if (err == ERR_OK)
        err = file_sync_dir(fresh->folder, why);
    if (err != ERR_OK) {
        blobs_free(&fresh);
        return err;
    }
    remove_old_parts(fresh);
    *blobs = fresh;
    return ERR_OK;
}

static void close_upload(struct blobs *blobs, struct upload *upload)
{
    close(upload->fd);
    *upload = blobs->uploads[--blobs->count];
}

void blobs_free(struct blobs **blobs)
{
    if (!*blobs)
        return;
    while ((*blobs)->count > 0)
        close_upload(*blobs, &(*blobs)->uploads[0]);
    free((*blobs)->block);
    free(*blobs);
    *blobs = NULL;
}

static void drop_upload(struct blobs *blobs, struct upload *upload)
{
    char path[SPOOL_PATH_MAX];
    part_path(blobs, upload->digest, path);
    unlink(path);
    close_upload(blobs, upload);
}

/* ---- taking up ---- */

/* After a restart, or once closed for others: what is held must be hashed again. */
static enum err hash_held(struct blobs *blobs, struct upload *upload, uint64_t size, const char *path,
                          struct why *why)
{
    while (upload->held < size) {
        size_t part = size - upload->held < BLOCK_BYTES ? (size_t)(size - upload->held) : BLOCK_BYTES;
        enum err err = file_pread(upload->fd, blobs->block, part, upload->held, path, why);
        if (err != ERR_OK)
            return err;
        crypto_hash_sha256_update(&upload->hash, blobs->block, part);
        upload->held += part;
    }
    return ERR_OK;
}

static enum err restart(const struct blobs *blobs, struct upload *upload, uint64_t total, struct why *why)
{
    uint64_t room = 0;
    enum err err = file_free_bytes(blobs->folder, &room, why);
    if (err != ERR_OK)
        return err;
    if (total > room)
        return why_set(why, ERR_FULL,
                       "%s: an upload of %.1f MB does not fit, %.1f MB are free; free space there",
                       blobs->folder, (double)total / 1e6, (double)room / 1e6);
    if (ftruncate(upload->fd, 0) != 0)
        return why_set_errno(why, ERR_FILE, "%s: an upload cannot be started again", blobs->folder);
    upload->held = 0;
    upload->total = total;
    crypto_hash_sha256_init(&upload->hash);
    return ERR_OK;
}

static void close_oldest(struct blobs *blobs)
{
    struct upload *oldest = &blobs->uploads[0];
    for (uint32_t i = 1; i < blobs->count; i++)
        if (blobs->uploads[i].used < oldest->used)
            oldest = &blobs->uploads[i];
    close_upload(blobs, oldest);
}

static enum err open_upload(struct blobs *blobs, const uint8_t digest[SHA256_BYTES], uint64_t total,
                            struct upload **upload, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    struct stat status;
    if (blobs->count == BLOBS_UPLOADS_MAX)
        close_oldest(blobs);
    part_path(blobs, digest, path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return why_set_errno(why, errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_FILE,
                             "%s: cannot be made", path);
    struct upload *fresh = &blobs->uploads[blobs->count++];
    memset(fresh, 0, sizeof *fresh);
    memcpy(fresh->digest, digest, SHA256_BYTES);
    fresh->fd = fd;
    fresh->total = total;
    crypto_hash_sha256_init(&fresh->hash);
    bool known = fstat(fd, &status) == 0;
    bool fresh_start = !known || status.st_size == 0 || (uint64_t)status.st_size > total;
    fresh->resumed = !fresh_start;
    enum err err = fresh_start ? restart(blobs, fresh, total, why)
                               : hash_held(blobs, fresh, (uint64_t)status.st_size, path, why);
    if (err != ERR_OK)
        drop_upload(blobs, fresh);
    *upload = fresh;
    return err;
}

static enum err find_upload(struct blobs *blobs, const uint8_t digest[SHA256_BYTES], uint64_t total,
                            struct upload **upload, struct why *why)
{
    enum err err = ERR_OK;
    *upload = NULL;
    for (uint32_t i = 0; i < blobs->count && !*upload; i++)
        if (memcmp(blobs->uploads[i].digest, digest, SHA256_BYTES) == 0)
            *upload = &blobs->uploads[i];
    if (!*upload)
        err = open_upload(blobs, digest, total, upload, why);
    if (err == ERR_OK)
        (*upload)->used = ++blobs->serial;
    return err;
}

/* ---- a piece ---- */

/* Is what is held from offset on the same as bytes? */
static enum err compare(struct blobs *blobs, const struct upload *upload, uint64_t offset,
                        const uint8_t *bytes, size_t size, bool *same, struct why *why)
{
    *same = true;
    for (size_t done = 0; done < size && *same;) {
        size_t part = size - done < BLOCK_BYTES ? size - done : BLOCK_BYTES;
        enum err err = file_pread(upload->fd, blobs->block, part, offset + done, blobs->folder, why);
        if (err != ERR_OK)
            return err;
        *same = memcmp(blobs->block, bytes + done, part) == 0;
        done += part;
    }
    return ERR_OK;
}

/* What is held from offset on is none of it: let go. */
static enum err cut_back(struct blobs *blobs, struct upload *upload, uint64_t offset, struct why *why)
{
    if (ftruncate(upload->fd, (off_t)offset) != 0)
        return why_set_errno(why, ERR_FILE, "%s: an upload cannot be started again", blobs->folder);
    upload->resumed = false;
    upload->held = 0;
    crypto_hash_sha256_init(&upload->hash);
    return hash_held(blobs, upload, offset, blobs->folder, why);
}

/* How many of the piece's first bytes are held already? A piece at the start that disagrees begins the blob
 * anew; a later one, once, lets go of what was found from there on. */
static enum err overlap(struct blobs *blobs, struct upload *upload, uint64_t offset, uint64_t total,
                        const void *bytes, size_t size, size_t *known, struct why *why)
{
    bool same = upload->total == total;
    enum err err = ERR_OK;
    *known = 0;
    if (offset > upload->held)
        return why_set(why, ERR_FORMAT,
                       "the piece starts at byte %" PRIu64 ", but %" PRIu64
                       " bytes of the blob are held; go on there",
                       offset, upload->held);
    if (same) {
        *known = upload->held - offset < size ? (size_t)(upload->held - offset) : size;
        err = compare(blobs, upload, offset, bytes, *known, &same, why);
    }
    if (err != ERR_OK || same)
        return err;
    *known = 0;
    if (offset == 0)
        return restart(blobs, upload, total, why);
    if (upload->resumed && upload->total == total)
        return cut_back(blobs, upload, offset, why);
    return why_set(why, ERR_FORMAT,
                   "the piece at byte %" PRIu64 " disagrees with what is held of the blob; start again at 0",
                   offset);
}

static enum err append(struct blobs *blobs, struct upload *upload, const void *bytes, size_t size,
                       struct why *why)
{
    enum err err = size ? file_pwrite(upload->fd, bytes, size, upload->held, blobs->folder, why) : ERR_OK;
    if (err != ERR_OK) {
        if (ftruncate(upload->fd, (off_t)upload->held) != 0)
            drop_upload(blobs, upload);
        return err;
    }
    if (size)
        crypto_hash_sha256_update(&upload->hash, bytes, size);
    upload->held += size;
    return ERR_OK;
}

static enum err finish(struct blobs *blobs, struct upload *upload, struct why *why)
{
    char part[SPOOL_PATH_MAX], path[SPOOL_PATH_MAX];
    uint8_t digest[SHA256_BYTES];
    enum err err = ERR_OK;
    part_path(blobs, upload->digest, part);
    blobs_path(blobs->state_dir, upload->digest, path, sizeof path);
    crypto_hash_sha256_final(&upload->hash, digest);
    if (memcmp(digest, upload->digest, sizeof digest) != 0)
        err = why_set(why, ERR_FORMAT,
                      "the bytes received are not those that the SHA-256 names; send the file again");
    else if (fsync(upload->fd) != 0 || rename(part, path) != 0)
        err = why_set_errno(why, errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_SYSTEM,
                            "%s: cannot be written", path);
    if (err != ERR_OK) {
        drop_upload(blobs, upload);
        return err;
    }
    close_upload(blobs, upload);
    err = file_sync_dir(blobs->folder, why);
    if (err != ERR_OK) /* or it would count as kept from here on */
        unlink(path);
    return err;
}

enum err blobs_put(struct blobs *blobs, const uint8_t digest[SHA256_BYTES], uint64_t offset, uint64_t total,
                   const void *bytes, size_t size, uint64_t *held, struct why *why)
{
    struct upload *upload;
    uint64_t whole = 0;
    size_t known = 0;
    *held = 0;
    if (blobs_find(blobs->state_dir, digest, &whole)) {
        blobs_touch(blobs->state_dir, digest);
        *held = whole;
        return whole == total ? ERR_OK
                              : why_set(why, ERR_FORMAT,
                                        "the blob has %" PRIu64 " bytes, not %" PRIu64 " as this piece says",
                                        whole, total);
    }
    if (offset > total || size > total - offset || total > INT64_MAX)
        return why_set(why, ERR_FORMAT,
                       "the piece (%zu bytes at %" PRIu64 ") is outside the blob of %" PRIu64 " bytes", size,
                       offset, total);
    enum err err = find_upload(blobs, digest, total, &upload, why);
    if (err != ERR_OK)
        return err;
    err = overlap(blobs, upload, offset, total, bytes, size, &known, why);
    *held = upload->held;
    if (err == ERR_OK)
        err = append(blobs, upload, (const uint8_t *)bytes + known, size - known, why);
    if (err != ERR_OK)
        return err;
    *held = upload->held;
    if (upload->held < upload->total)
        return ERR_OK;
    err = finish(blobs, upload, why);
    if (err != ERR_OK)
        *held = 0;
    return err;
}
