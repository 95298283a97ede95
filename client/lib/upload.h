// SPDX-License-Identifier: Apache-2.0
/* upload - bytes of a file to the coordinator, as a blob named by their SHA-256. Memory: a few pieces,
 * whatever the size. */
#ifndef UPLOAD_H
#define UPLOAD_H

#include "connection.h"
#include "sha256.h"

enum { UPLOAD_PIECE = 1 << 20, UPLOAD_FLIGHT = 4 };

/* Upload size bytes of fd from offset, unless the coordinator has them. name is for errors. A lost line is
 * opened again. */
MUST_USE enum err upload_bytes(struct motley *connection, int fd, uint64_t offset, uint64_t size,
                               const char *name, uint8_t digest[SHA256_BYTES], struct why *why);

/* The digest alone of a whole file. */
MUST_USE enum err upload_digest(const char *path, uint8_t digest[SHA256_BYTES], struct why *why);

/* A whole file. */
MUST_USE enum err upload_file(struct motley *connection, const char *path, uint8_t digest[SHA256_BYTES],
                              uint64_t *size, struct why *why);

#endif
