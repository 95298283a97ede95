// SPDX-License-Identifier: Apache-2.0
/* spool - the answers of jobs on disk, each row at its sample's place. One writer (the store's thread);
 * readers open the files by the paths given here once the rows they want are journaled. Not thread-safe.
 *
 *     <state>/spool/<job>/<output>.npy    declared shape known: all samples, room taken at spool_reserve
 *     <state>/spool/<job>/<output>.rows   declared shape open: "MOTLEYR1", then {int64 dims[dims_count]; row}
 *     <state>/spool/<job>/<output>.index  per sample {uint64 offset of its record, uint64 length}; 0, 0 =
 * none
 *
 * Numbers are little-endian. What a crash or a failed group leaves behind is harmless: fixed rows are
 * overwritten, and a record that no synced index entry of a done sample names is dead weight at most.
 *
 * The failures of the functions here: ERR_FULL (no room: try again later), ERR_SYSTEM (reading, writing or
 * syncing failed: stop), and refusals of this one request, which changed nothing: ERR_FORMAT, ERR_NOT_FOUND,
 * ERR_LIMIT, ERR_FILE. */
#ifndef SPOOL_H
#define SPOOL_H

#include "dtype.h"
#include "err.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SPOOL_DIR_MAX = 3500,                 /* length of a state directory's path */
    SPOOL_PATH_MAX = SPOOL_DIR_MAX + 596, /* of any path in it: 4096 */
    SPOOL_FILES_MAX = 256,                /* files held open; an eighth of the limit of open files if less */
    SPOOL_MARGIN_BYTES = 16 << 20,        /* left free by spool_reserve, for the journal */
    SPOOL_NAME_MAX = 224,
    SPOOL_ROWS_START = 8, /* bytes before the first record of a .rows file */
};
#define SPOOL_ROWS_MAGIC "MOTLEYR1"

/* What the spool must know of a job. */
struct spool_shape {
    uint64_t job, samples;
    uint32_t outputs_count;
    struct tensor_spec outputs[STORE_OUTPUTS_MAX];
};

struct spool_entry {
    uint64_t offset, length;
};

bool spool_varies(const struct tensor_spec *spec); /* a dimension is open */

/* The file name of output number k, without suffix: its tensor's name with everything but letters, digits,
 * '_', '-' and inner dots as %XX, cut if it is long; "output<k>" if it has none. */
void spool_output_name(const struct spool_shape *shape, uint32_t k, char name[SPOOL_NAME_MAX]);

void spool_job_path(const char *state_dir, uint64_t job, char path[SPOOL_PATH_MAX]);
void spool_output_path(const char *state_dir, const struct spool_shape *shape, uint32_t k, const char *suffix,
                       char path[SPOOL_PATH_MAX]);

struct spool;
MUST_USE enum err spool_new(const char *state_dir, struct spool **spool,
                            struct why *why); /* makes <state>/spool */
void spool_free(struct spool **spool);        /* does not sync; what is gathered goes */

/* Make a job's files and take the room for all fixed rows; spool_sync syncs them. Whatever stood there is
 * removed first. ERR_FULL if it does not fit, ERR_LIMIT for sizes that no file has, ERR_FORMAT for two
 * outputs of one name or without element type. */
MUST_USE enum err spool_reserve(struct spool *spool, const struct spool_shape *shape, struct why *why);

/* Is the job among those whose files are held open? If not, spool_learn opens them (and may sync and close
 * another's). */
bool spool_knows(const struct spool *spool, uint64_t job);
MUST_USE enum err spool_learn(struct spool *spool, const struct spool_shape *shape, struct why *why);

/* Write the rows of a RESULT of a known job. ERR_FORMAT if a shape or a size does not fit. Not yet durable,
 * and small rows that follow each other are only gathered: they are in the file when spool_sync returns. */
MUST_USE enum err spool_write(struct spool *spool, const struct store_op *op, struct why *why);

/* Sync each file written since the last time, once. */
MUST_USE enum err spool_sync(struct spool *spool, struct why *why);

/* Take back the appended bytes that were not synced, and close all files. */
void spool_abort(struct spool *spool);

void spool_forget(struct spool *spool, uint64_t job); /* close a job's files, unsynced */
MUST_USE enum err spool_remove(struct spool *spool, uint64_t job, struct why *why);
MUST_USE enum err spool_discard(struct spool *spool, uint64_t job,
                                struct why *why); /* the same, quickly: its room is freed later (aside.h) */

/* Is there a folder of any job? */
bool spool_find_job(const char *state_dir, uint64_t *job);

/* Remove the folders of jobs that keep(context, job) does not know. */
MUST_USE enum err spool_sweep(struct spool *spool, bool (*keep)(void *context, uint64_t job), void *context,
                              struct why *why);

#endif
