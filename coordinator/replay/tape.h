// SPDX-License-Identifier: Apache-2.0
/* tape - what a scheduler was told and how it answered, as bytes: written by the recorder, read by replay.
 *
 *      header ('#' lines) | block | block | ...          block = size, CRC-32, records
 *      records:  life  event answer  event answer  remove  event answer ...  stop
 *
 * The header states the records' grammar, and the reader goes by it: fields that a newer Motley added are 0
 * in an older tape, and fields that this one does not know are passed over. A tape is one life of one
 * coordinator. An event without an answer is the step in which the coordinator died. Numbers are exact,
 * doubles too.
 *
 * Pure: bytes in memory only. The tables of fields are in tape_fields.c: a new event, or a new field of
 * sched.h, gets its row there. */
#ifndef TAPE_H
#define TAPE_H

#include "err.h"
#include "sched.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TAPE_FORMAT = 1,
    TAPE_HEADER_MAX = 16384,
    TAPE_BLOCK_MAX = 64 << 20,
    TAPE_SLOTS_MAX = 1 << 16, /* of one worker */
    TAPE_TEXT_MAX = 1 << 16,
};

/* How a life begins. */
struct tape_life {
    struct sched_config config;
    uint64_t term;
    uint64_t wall_us; /* time of day when step time was now_us */
    uint64_t now_us;
};

enum tape_type { TAPE_LIFE, TAPE_EVENT, TAPE_ANSWER, TAPE_SUPPOSE, TAPE_REMOVE, TAPE_STOP };

struct tape_record {
    enum tape_type type;
    struct tape_life life;    /* LIFE */
    uint64_t now_us;          /* EVENT, SUPPOSE */
    struct sched_event event; /* EVENT, SUPPOSE: what it borrows is the reader's, until the next event */
    uint64_t actions_count;   /* ANSWER */
    uint32_t fold;            /* ANSWER: tape_fold of the actions; 0 if there are none */
    uint64_t job;             /* REMOVE: sched_job_remove was called */
    char reason[64];          /* STOP: why the recording ends: "end", "cap" */
};

/* Of all that the actions say, in order; the same on every machine. Fields that are 0 do not count, so that a
 * new field leaves the folds of old tapes as they were. */
uint32_t tape_fold(const struct sched_actions *actions);

const char *tape_event_name(enum sched_event_type type); /* "worker-up"; as in the header */

/* ---- writing ---- */

/* Gathers records into one block. Sticky: once failed (no memory, a block above TAPE_BLOCK_MAX), nothing more
 * is taken. */
struct tape_writer {
    uint8_t *bytes;
    size_t used, whole, capacity; /* whole: up to the end of the last record */
    bool failed;
    uint64_t last_us, last_attempt;
    const struct attributes *before; /* of the slot before, in a worker-up */
};

void tape_writer_init(struct tape_writer *writer);
void tape_writer_fini(struct tape_writer *writer);

/* What a tape begins with, as text; returns its length. */
size_t tape_header(char text[TAPE_HEADER_MAX]);

void tape_write_life(struct tape_writer *writer, const struct tape_life *life);
void tape_write_event(struct tape_writer *writer, uint64_t now_us, const struct sched_event *event);
void tape_write_answer(struct tape_writer *writer, const struct sched_actions *actions);
void tape_write_suppose(struct tape_writer *writer, uint64_t now_us, const struct sched_event *add);
void tape_write_remove(struct tape_writer *writer, uint64_t job);
void tape_write_stop(struct tape_writer *writer, const char *reason);

/* Complete the block of the whole records since the last take: *size bytes, valid until the next write. NULL
 * when there are none. Allocates nothing: may be called in a signal handler. */
const uint8_t *tape_take(struct tape_writer *writer, size_t *size);

/* ---- reading ---- */

enum tape_read {
    TAPE_READ,    /* *record is the next one */
    TAPE_END,     /* the bytes end where a block ends */
    TAPE_TORN,    /* the last block is not whole: as after a kill or a power cut */
    TAPE_DAMAGED, /* the bytes are not what was written, or not for this version: why says what and where */
};

struct tape_reader;

/* Reads from bytes, which must stay. ERR_FORMAT: not a tape; ERR_UNSUPPORTED: of a newer Motley; ERR_MEMORY.
 * why names line or byte. */
MUST_USE enum err tape_reader_new(const uint8_t *bytes, size_t size, struct tape_reader **reader,
                                  struct why *why);
void tape_reader_free(struct tape_reader **reader);

/* After anything but TAPE_READ, the same again. */
enum tape_read tape_next(struct tape_reader *reader, struct tape_record *record, struct why *why);

size_t tape_offset(const struct tape_reader *reader); /* of the next record, in bytes from the beginning */

#endif
