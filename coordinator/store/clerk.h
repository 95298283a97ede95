// SPDX-License-Identifier: Apache-2.0
/* clerk - bulky file work that must delay neither the loop nor the store: publishing outputs on a thread of
 * its own, receiving blobs and reading pieces of models and inputs on another (workers must not wait for a
 * long publication). Commands in order on each thread, one event each.
 *
 * Publishing assembles a job's answer under a temporary name beside its final place, syncs, renames: nothing
 * partial ever has the final name. NPY: one output. FOLDER: <path>/<output>.npy each, in a temporary folder
 * renamed at the end. JSONL: an Open Inference response a line, {"id":...,
 * "outputs":[{"name","shape","datatype","data"}]}, in sample order; failed samples are left out there, and
 * are zero rows in .npy. Beside the output: Y.index.jsonl (index, id) where samples have names,
 * Y.errors.jsonl (index, id, reason, worker) where some failed; a stale one of an earlier run is removed.
 * Zero samples: header-only.
 *
 * Y is the path without the .npy or .jsonl that its kind of output asks for. A sample's id is its name, else
 * (JSONL only) its index as a string. "shape" is that of a batch of one: 1, then the row's dimensions.
 * Numbers read back exactly; NaN and the infinities are the strings "NaN", "Infinity", "-Infinity". An output
 * whose declared shape is open (-1) is published as .npy if all its rows turned out alike, else ERR_FORMAT
 * names two samples that differ and asks for .jsonl.
 *
 * Comparing fresh answers with the stored ones (--verify) is done on a third thread, looking over the state
 * directory and freeing the room of what was set aside (aside.h) on a fourth.
 *
 * A publication is either stopped or named, never both (clerk_stop). */
#ifndef CLERK_H
#define CLERK_H

#include "compare.h"
#include "dtype.h"
#include "err.h"
#include "inventory.h"
#include "sha256.h"
#include "store.h"

#include <stdatomic.h>

enum clerk_type { CLERK_PUBLISH, CLERK_BLOB_PUT, CLERK_READ, CLERK_COMPARE, CLERK_INVENTORY };
enum clerk_output { CLERK_NONE = 0, CLERK_NPY = 1, CLERK_FOLDER = 2, CLERK_JSONL = 3 };
enum clerk_part { CLERK_WHOLE, CLERK_ONLY_INDEX, CLERK_ONLY_ERRORS }; /* of what PUBLISH writes */

struct clerk_failure {
    uint64_t first, count;
    char reason[512];
    char worker[128];
};

struct clerk_command {
    enum clerk_type type;
    uint64_t tag;
    uint64_t peer; /* the caller's, untouched */

    /* PUBLISH: reads the spool; path is absolute. With path "", the path is spool/<job>/published/output.npy,
     * output or output.jsonl (for clients that fetch bytes: clerk_published_path) */
    uint64_t job, samples;
    char path[4096];
    enum clerk_output output;
    enum clerk_part part;
    uint32_t outputs_count;
    struct tensor_spec outputs[STORE_OUTPUTS_MAX];
    uint8_t names[SHA256_BYTES]; /* blob of JSON strings, one a line; all zero = none */
    struct clerk_failure *failures;
    size_t failures_count; /* malloc'ed, taken */
    atomic_int progress;   /* the clerk's own; see clerk_stop */

    /* BLOB_PUT: bytes at offset of a blob of total bytes; the last piece verifies the digest (ERR_FORMAT if
     * it differs, and what was held is dropped). A piece that starts within what is held must agree with it
     * (two clients may upload the same blob at once, and one may resume); one that starts past it is
     * ERR_FORMAT. At offset 0 a differing piece starts the blob anew. */
    uint8_t blob[SHA256_BYTES];
    uint64_t offset, total;
    void *bytes; /* borrowed until clerk_receive, which calls release */
    size_t size;
    void (*release)(void *hint);
    void *hint;

    /* READ: length bytes at offset of path, fewer at its end; file_bytes and mtime_ns are compared when not 0
     * (a changed file is ERR_FORMAT) */
    uint32_t length;
    uint64_t file_bytes;
    int64_t mtime_ns;

    /* COMPARE: job, samples, outputs as in PUBLISH; the fresh rows (release is called as for BLOB_PUT), and
     * the answer */
    struct compare_fresh fresh;
    struct comparison comparison;

    /* INVENTORY: what was found; NULL if it failed */
    struct inventory *inventory;

    struct clerk_command *next; /* these are the clerk's own, from clerk_post to clerk_receive */
    enum err err;
    struct why why;
    void *answer;
    size_t answer_size;
    uint64_t answer_total;
};

struct clerk_event {
    struct clerk_command *command; /* yours again */
    enum err err;
    struct why why;
    void *bytes; /* READ: malloc'ed, yours */
    size_t size; /* READ */
    uint64_t
        total; /* READ: the file's size; BLOB_PUT: bytes held so far, total once it is whole and synced */
};

struct clerk_command *clerk_command_new(enum clerk_type type); /* NULL when out of memory */
void clerk_command_free(struct clerk_command **command);       /* and its failures; calls release */

struct clerk;
MUST_USE enum err clerk_new(const char *state_dir, struct clerk **clerk, struct why *why);
void clerk_free(struct clerk **clerk); /* finishes the commands in progress, drops the others */
void clerk_post(struct clerk *clerk, struct clerk_command **command); /* takes command */

/* Stop a PUBLISH that was posted and not yet received. True: nothing of it will get its final name, and its
 * event says ERR_REFUSED, or what went wrong before. False: it is too late. */
bool clerk_stop(struct clerk_command *publication);
int clerk_fd(const struct clerk *clerk); /* readable while clerk_receive has something */
bool clerk_receive(struct clerk *clerk, struct clerk_event *event);
void clerk_event_free(struct clerk_event *event); /* the command and the bytes */

/* Is the blob here, whole and verified? *size_bytes if so. Cheap: a stat. */
bool clerk_blob_find(const char *state_dir, const uint8_t blob[SHA256_BYTES], uint64_t *size_bytes);

/* Somebody is about to need it: it is not removed for a while. */
void clerk_blob_touch(const char *state_dir, const uint8_t blob[SHA256_BYTES]);

/* Where a blob is, or will be. */
void clerk_blob_path(const char *state_dir, const uint8_t blob[SHA256_BYTES], char *path, size_t max);

/* Where a file of a job published with path "" is: file is "output.npy", "output/<name>.npy", "output.jsonl",
 * "output.index.jsonl" or "output.errors.jsonl". It comes from a peer: ERR_USAGE if it points elsewhere. */
MUST_USE enum err clerk_published_path(const char *state_dir, uint64_t job, const char *file, char *path,
                                       size_t max, struct why *why);

/* How much of an output's path is Y, its name without the ending that its kind asks for. */
size_t clerk_output_stem(const char *path, enum clerk_output output);

/* Can an output be published at path? Checked before a job is accepted: the folder exists and is writable,
 * path is not a folder where a file must go (or the reverse), a folder that is there holds nothing but .npy
 * files of an earlier run (it is replaced whole), and no open job publishes there (the caller knows that). */
MUST_USE enum err clerk_output_check(const char *path, enum clerk_output output, struct why *why);

#endif
