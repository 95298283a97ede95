// SPDX-License-Identifier: Apache-2.0
/* npy - NumPy's .npy format (versions 1.0 to 3.0, NEP 1) and .npz archives (ZIP of .npy members).
 *
 * Only headers are read here: the caller maps or reads the data at the offset given. Never misread:
 * big-endian data, Fortran order with more than one axis, structured, object and string dtypes are refused
 * with what was found and what to do (numpy.ascontiguousarray, .astype). Stored ZIP members are addressed in
 * place, deflated ones are streamed out by npz_extract. ZIP64 is understood. No function holds more than one
 * header in memory. Thread-safe: no shared state. */
#ifndef NPY_H
#define NPY_H

#include "dtype.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NPY_HEADER_MAX = 4096, NPZ_MEMBERS_MAX = 64 };

/* One array on disk: sample_count rows of spec, back to back, starting at offset. */
struct npy_array {
    struct tensor_spec spec; /* name: "" for .npy, the member's name less ".npy" for .npz */
    uint64_t sample_count;   /* first axis */
    uint64_t offset;         /* of the first row's first byte, in the file */
    uint64_t row_bytes;      /* may be 0 */
};

/* Parse a header from the first size bytes of a file of file_bytes bytes. Checks that the data it promises is
 * there: a shorter file is ERR_FORMAT ("truncated: header says N bytes, file has M"). A 0-d array is refused:
 * it has no samples. */
MUST_USE enum err npy_parse(const uint8_t *bytes, size_t size, uint64_t file_bytes, struct npy_array *array,
                            struct why *why);

/* Open path and parse its header; *size_bytes and *mtime_ns identify the file's state for a later check. */
MUST_USE enum err npy_open(const char *path, struct npy_array *array, uint64_t *size_bytes, int64_t *mtime_ns,
                           struct why *why);

/* Write the header of a .npy v1.0 (or 2.0) file with sample_count rows of spec (all dims known) into bytes;
 * its length, a multiple of 64, is returned. */
size_t npy_header(const struct tensor_spec *spec, uint64_t sample_count, uint8_t bytes[NPY_HEADER_MAX]);

struct npz_member {
    struct npy_array array; /* offset is valid only when !deflated */
    bool deflated;
    uint64_t packed_offset, packed_bytes, unpacked_bytes; /* of the member's file in the archive */
    uint32_t crc32;
};

struct npz {
    uint32_t count;
    struct npz_member members[NPZ_MEMBERS_MAX];
};

/* Read the directory and each member's header. Members may differ in sample_count: whoever takes several
 * compares those. */
MUST_USE enum err npz_open(const char *path, struct npz *npz, uint64_t *size_bytes, int64_t *mtime_ns,
                           struct why *why);

/* Inflate a member into fd from the present position (the whole .npy, header first), in bounded memory,
 * checking its CRC and its length against unpacked_bytes. */
MUST_USE enum err npz_extract(const char *path, const struct npz_member *member, int fd, struct why *why);

/* The same checks without writing anything, for a stored member that is read in place. */
MUST_USE enum err npz_check(const char *path, const struct npz_member *member, struct why *why);

#endif
