// SPDX-License-Identifier: Apache-2.0
/* clerk - a thread for bulky file work that must delay neither the loop nor the store: publishing outputs, receiving blobs,
 * reading pieces of models and inputs for workers. Commands in order, one event each.
 *
 * Publishing assembles a job's answer under a temporary name beside its final place, syncs, renames: nothing partial ever has the
 * final name. NPY: one output. FOLDER: <path>/<output>.npy each, in a temporary folder renamed at the end. JSONL: an Open Inference
 * response a line, {"id":..., "outputs":[{"name","shape","datatype","data"}]}, in sample order; failed samples are left out there,
 * and are zero rows in .npy. Beside the output: Y.index.jsonl (index, id) where samples have names, Y.errors.jsonl (index, id,
 * reason, worker) where some failed; a stale one of an earlier run is removed. Zero samples: header-only. */
#ifndef CLERK_H
#define CLERK_H

#include "dtype.h"
#include "err.h"
#include "sha256.h"
#include "store.h"

enum clerk_type { CLERK_PUBLISH, CLERK_BLOB_PUT, CLERK_READ };
enum clerk_output { CLERK_NONE = 0, CLERK_NPY = 1, CLERK_FOLDER = 2, CLERK_JSONL = 3 };

struct clerk_failure { uint64_t first, count; char reason[512]; char worker[128]; };

struct clerk_command {
    enum clerk_type type;
    uint64_t tag;
    uint64_t peer;                           /* the caller's, untouched */

    /* PUBLISH: reads the spool; path is absolute. With path "", into spool/<job>/published/ (for clients that fetch bytes) */
    uint64_t job, samples;
    char path[4096];
    enum clerk_output output;
    uint32_t outputs_count;
    struct tensor_spec outputs[STORE_OUTPUTS_MAX];
    uint8_t names[SHA256_BYTES];             /* blob of JSON strings, one a line; all zero = none */
    struct clerk_failure *failures; size_t failures_count;   /* malloc'ed, taken */

    /* BLOB_PUT: bytes at offset of a blob of total bytes; the last piece verifies the digest (ERR_FORMAT if it differs) */
    uint8_t blob[SHA256_BYTES];
    uint64_t offset, total;
    void *bytes; size_t size;
    void (*release)(void *hint); void *hint;

    /* READ: length bytes at offset of path; file_bytes and mtime_ns are compared when not 0 (a changed file is ERR_FORMAT) */
    uint32_t length;
    uint64_t file_bytes; int64_t mtime_ns;
};

struct clerk_event {
    struct clerk_command *command;           /* yours again */
    enum err err;
    struct why why;
    void *bytes; size_t size;                /* READ: malloc'ed, yours */
    uint64_t total;                          /* READ: the file's size; BLOB_PUT: bytes held so far */
};

struct clerk;
MUST_USE enum err clerk_new(void *context, const char *state_dir, struct clerk **clerk, struct why *why);
void clerk_free(struct clerk **clerk);       /* finishes the command in progress, drops the others */
void clerk_post(struct clerk *clerk, struct clerk_command **command);   /* takes command (malloc'ed) */
void *clerk_socket(const struct clerk *clerk);
bool clerk_receive(struct clerk *clerk, struct clerk_event *event);
void clerk_event_free(struct clerk_event *event);

/* Is the blob here, whole and verified? *size_bytes if so. Cheap: a stat. */
bool clerk_blob_find(const char *state_dir, const uint8_t blob[SHA256_BYTES], uint64_t *size_bytes);

/* Can an output be published at path? Checked before a job is accepted: the folder exists and is writable, path is not a folder
 * where a file must go (or the reverse), and no open job publishes there (the caller knows that). */
MUST_USE enum err clerk_output_check(const char *path, enum clerk_output output, struct why *why);

#endif
