// SPDX-License-Identifier: Apache-2.0
/* recorder - writes a tape (tape.h) of one coordinator's life into a file, beside its work: so that what
 * happened can be replayed, explained, and kept as a test. docs/replay.md.
 *
 * Records are gathered in memory and written without a sync in pieces of 64 KiB, at least once a second, when
 * the recorder is closed, and when the program aborts: a killed coordinator loses its last second at most.
 * The file is bounded: at its cap, and when it cannot be written, the recording stops with a line in the log,
 * and the coordinator goes on. A NULL recorder is one that is switched off: it does nothing. One owner, one
 * thread. */
#ifndef RECORDER_H
#define RECORDER_H

#include "err.h"
#include "sched.h"

#include <stddef.h>
#include <stdint.h>

enum { RECORDER_BYTES_DEFAULT = 256 << 20 };

struct recorder;

struct recorder_life {
    const struct sched_config *config; /* and term: as given to sched_new */
    uint64_t term, now_us;
    int64_t wall_us;    /* time of day at now_us */
    uint64_t max_bytes; /* 0 = RECORDER_BYTES_DEFAULT */
};

/* Begin the file anew. ERR_FILE names it. */
MUST_USE enum err recorder_open(const char *path, const struct recorder_life *life,
                                struct recorder **recorder, struct why *why);

/* The same in STATE_DIR/events/TERM.tape. Those of earlier terms are removed, the oldest first, until they
 * take at most max_bytes. */
MUST_USE enum err recorder_open_state(const char *state_dir, const struct recorder_life *life,
                                      struct recorder **recorder, struct why *why);

/* Right before sched_step, and right after. */
void recorder_event(struct recorder *recorder, uint64_t now_us, const struct sched_event *event);
void recorder_answer(struct recorder *recorder, const struct sched_actions *actions);

/* Right before sched_suppose: it should leave nothing behind, but does the scheduler's work. */
void recorder_suppose(struct recorder *recorder, uint64_t now_us, const struct sched_event *add);

/* With sched_job_remove. */
void recorder_remove(struct recorder *recorder, uint64_t job);

/* Now and then, so that what was gathered is written also when nothing more happens. */
void recorder_breathe(struct recorder *recorder, uint64_t now_us);

/* Write the rest. */
void recorder_close(struct recorder **recorder);

/* In a handler of SIGABRT or SIGSEGV: write what was gathered by the recorders that are open, up to the event
 * that is being worked on. */
void recorder_rescue(void);

#endif
