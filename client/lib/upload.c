// SPDX-License-Identifier: Apache-2.0
#include "upload.h"

#include "clock.h"
#include "file.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES_MAX = 5 };

struct upload {
    struct motley *connection;
    int fd;
    uint64_t offset, size;
    const char *name;
    const uint8_t *digest;
    uint8_t *piece;
};

static enum err hash(const struct upload *upload, uint8_t digest[SHA256_BYTES], struct why *why)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (uint64_t at = 0; at < upload->size; at += UPLOAD_PIECE) {
        size_t step = upload->size - at < UPLOAD_PIECE ? (size_t)(upload->size - at) : UPLOAD_PIECE;
        enum err err = file_pread(upload->fd, upload->piece, step, upload->offset + at, upload->name, why);
        if (err != ERR_OK)
            return err;
        crypto_hash_sha256_update(&state, upload->piece, step);
    }
    crypto_hash_sha256_final(&state, digest);
    return ERR_OK;
}

static enum err post_piece(struct upload *upload, uint64_t at, size_t step, struct why *why)
{
    struct message message = { .type = MESSAGE_BLOB_PUT };
    uint64_t request;
    enum err err = file_pread(upload->fd, upload->piece, step, upload->offset + at, upload->name, why);
    if (err != ERR_OK)
        return err;
    message.blob_put.blob = upload->digest;
    message.blob_put.offset = at;
    message.blob_put.total = upload->size;
    return connection_post(upload->connection, &message, upload->piece, step, &request, why);
}

static enum err collect_piece(struct upload *upload, struct why *why)
{
    struct answer answer;
    /* The last piece is answered when the whole was verified and synced: allow for a disk of 20 MB/s. */
    uint64_t deadline = clock_monotonic_us() + upload->connection->timeout_us + upload->size / 20;
    enum err err = connection_collect(upload->connection, deadline, &answer, why);
    if (err == ERR_OK && answer.code != ERR_OK)
        err = why_set(why, answer.code, "%s", answer.text);
    if (err == ERR_TIMEOUT) {
        connection_close(upload->connection);
        err = ERR_UNREACHABLE;
    }
    answer_free(&answer);
    return err;
}

/* Each reply is the credit for one more piece. An empty blob is one empty piece. */
static enum err put_all(struct upload *upload, struct why *why)
{
    uint64_t at = 0;
    unsigned flying = 0;
    bool first = true;
    enum err err = ERR_OK;
    while (err == ERR_OK && (first || at < upload->size || flying > 0)) {
        if ((first || at < upload->size) && flying < UPLOAD_FLIGHT) {
            size_t step = upload->size - at < UPLOAD_PIECE ? (size_t)(upload->size - at) : UPLOAD_PIECE;
            err = post_piece(upload, at, step, why);
            at += step;
            flying++;
            first = false;
        } else {
            err = collect_piece(upload, why);
            flying--;
        }
    }
    return err;
}

static enum err put_unless_there(struct upload *upload, struct why *why)
{
    struct message find = { .type = MESSAGE_BLOB_FIND };
    find.blob_find.blob = upload->digest;
    enum err err = connection_insist(upload->connection, &find, NULL, why);
    return err == ERR_NOT_FOUND ? put_all(upload, why) : err;
}

enum err upload_bytes(struct motley *connection, int fd, uint64_t offset, uint64_t size, const char *name,
                      uint8_t digest[SHA256_BYTES], struct why *why)
{
    struct upload upload = { connection, fd, offset, size, name, digest, malloc(UPLOAD_PIECE) };
    if (!upload.piece)
        return why_set(why, ERR_MEMORY, "no memory to upload %s", name);
    enum err err = hash(&upload, digest, why);
    for (int tries = 0; err == ERR_OK && tries < TRIES_MAX; tries++) {
        err = put_unless_there(&upload, why);
        if (err != ERR_UNREACHABLE || connection->wire)
            break;
        /* The line broke in the middle: once more from the start, with what the next coordinator holds. */
        if (tries + 1 < TRIES_MAX)
            err = ERR_OK;
    }
    free(upload.piece);
    return err;
}

static enum err open_file(const char *path, int *fd, uint64_t *size, struct why *why)
{
    struct stat status;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    *size = 0;
    if (*fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    if (fstat(*fd, &status) == 0 && S_ISREG(status.st_mode)) {
        *size = (uint64_t)status.st_size;
        return ERR_OK;
    }
    close(*fd);
    return why_set(why, ERR_FILE, "%s: is not a plain file", path);
}

enum err upload_digest(const char *path, uint8_t digest[SHA256_BYTES], struct why *why)
{
    int fd;
    struct upload upload = { .name = path, .digest = digest };
    enum err err = open_file(path, &fd, &upload.size, why);
    if (err != ERR_OK)
        return err;
    upload.fd = fd;
    upload.piece = malloc(UPLOAD_PIECE);
    err = upload.piece ? hash(&upload, digest, why) : why_set(why, ERR_MEMORY, "no memory to read %s", path);
    free(upload.piece);
    close(fd);
    return err;
}

enum err upload_file(struct motley *connection, const char *path, uint8_t digest[SHA256_BYTES],
                     uint64_t *size, struct why *why)
{
    int fd;
    enum err err = open_file(path, &fd, size, why);
    if (err != ERR_OK)
        return err;
    err = upload_bytes(connection, fd, 0, *size, path, digest, why);
    close(fd);
    return err;
}
