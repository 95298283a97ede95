// SPDX-License-Identifier: Apache-2.0
/* work - the bytes behind a lease that the agent holds: its input rows, then its result until the ACK. One
 * owner, but for the outputs' bytes, which ZeroMQ's threads may still be sending when the work is gone: they
 * are counted. */
#ifndef WORK_H
#define WORK_H

#include "agent.h"
#include "heap.h"
#include "job.h"
#include "stash.h"

#include <stdatomic.h>

struct output {
    atomic_uint refs;
    void *bytes;
    uint64_t size;
    struct stash_map *map; /* a reference: bytes are in it; NULL: they are malloc'ed */
};

/* What an emulated link holds back. */
enum work_delayed { WORK_NOT_DELAYED = 0, WORK_INPUT_DELAYED, WORK_RESULT_DELAYED };

struct work {
    struct agent_lease lease;
    struct job *job; /* one reference; NULL: the result is of an earlier life, see work_adopt */
    uint32_t model;
    uint64_t received_us, input_due_us;
    const void *inputs[RUNTIME_TENSORS_MAX]; /* in the job's order */
    struct gather *gathers;                  /* one per input; NULL where all inputs are mapped */

    uint32_t status; /* enum result_status */
    char *reason;    /* NULL where OK */
    uint64_t wait_us, run_us;
    double energy_joules;
    bool overrun;
    uint32_t outputs_count;
    struct output *outputs[RUNTIME_TENSORS_MAX];
    struct tensor_spec
        *shapes; /* one per output, where the job's declared shapes leave something open; else NULL */

    struct stash_entry entry; /* its place in the spool */
    bool sent;                /* before, perhaps: the coordinator may know it already */
    struct heap_item delay;   /* id: a number of its own */
    enum work_delayed delayed;
    bool outgoing; /* in the loop's list of results to send */
    struct work *bucket_next;
};

struct works {
    struct work **buckets;
    uint32_t buckets_count, count;
    uint64_t next_id;
};

void works_init(struct works *works);
void works_fini(struct works *works); /* frees all that is in it */

/* NULL when out of memory. The lease must not be there; job, if there is one, gets a reference. */
struct work *works_add(struct works *works, const struct agent_lease *lease, struct job *job);
struct work *works_find(const struct works *works, uint64_t term, uint64_t attempt);
void works_remove(struct works *works, struct work **work); /* frees it */

/* Give up the input rows; the gathers' bytes are freed. */
void work_drop_input(struct work *work);

/* Set a status that is not OK and its reason. The first one given stays. */
void work_fail(struct work *work, uint32_t status, const char *reason);

/* Take the buffers of out, which is then empty. ERR_MEMORY; ERR_LIMIT: an output is larger than a frame may
 * be. */
MUST_USE enum err work_take_outputs(struct work *work, struct batch_out *out, struct why *why);

uint64_t work_output_bytes(const struct work *work);

/* Between work and spool: a look at a result that is OK; and a fresh work's result from what was found there,
 * whose outputs are in map. ERR_MEMORY. */
void work_show(const struct work *work, struct stash_result *result);
MUST_USE enum err work_adopt(struct work *work, const struct stash_result *result, struct stash_map *map);

void output_unref(struct output *output);
void output_release(void *bytes, void *output); /* a wire_frame's release; hint is the output */

#endif
