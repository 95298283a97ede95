// SPDX-License-Identifier: Apache-2.0
/* explain - why things are as they are, from the tables that decide them. Pure; looks only.
 *
 * For one slot and one job there is one reason, the first that applies in the order of the enumeration: what
 * keeps the slot from working for the job now. The figures beside it are those of the decision. */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "require.h"
#include "sched.h"

enum explain_reason {
    EXPLAIN_RUNS,      /* nothing does: it holds chunks of the job */
    EXPLAIN_GONE,      /* the worker is not connected */
    EXPLAIN_FORMAT,    /* no runtime there takes the model's format */
    EXPLAIN_REQUIRED,  /* a requirement does not hold: explain_requirement says which */
    EXPLAIN_DRAINING,  /* its worker was told to take nothing new */
    EXPLAIN_BARRED,    /* it failed good samples; until_us */
    EXPLAIN_OVERDUE,   /* its oldest chunk is far past its time; nothing more until it answers */
    EXPLAIN_REFUSED,   /* the model could not be loaded there */
    EXPLAIN_OBJECTIVE, /* dearer per sample than what is needed (objective), or not preferred; cost */
    EXPLAIN_LOADING,   /* the model is being loaded; until_us expected, 0 = unknown */
    EXPLAIN_NOT_WORTH, /* loading the model would take longer than the job will; load_us */
    EXPLAIN_PAUSED,    /* no leases at all: the coordinator's disk is full, or it just restarted */
    EXPLAIN_QUOTA,     /* the job's tenant holds all the slots that it may */
    EXPLAIN_NOTHING,   /* all samples of the job are leased or settled */
    EXPLAIN_OTHERS,    /* it works for jobs that go before this one: job */
    EXPLAIN_LATE, /* it could only start, or end a batch, after the time at which the job ends: finish_us */
    EXPLAIN_NEXT, /* it may get a chunk at the next occasion */
};

struct explain_slot {
    uint32_t worker, slot;
    enum explain_reason reason;
    uint32_t in_flight;              /* its chunks of this job */
    uint64_t start_us;               /* when it could start a new chunk (step time) */
    uint64_t finish_us;              /* when the job ends, by water-filling; UINT64_MAX unknown */
    uint64_t until_us, load_us, job; /* as the reasons say; 0 = does not apply */
    double samples_per_second;       /* at its best batch; negative = not known yet */
    double cost;    /* joules or money per sample by the job's objective; negative = unknown or none */
    uint32_t batch; /* its best batch; 0 = not known yet */
};

/* False: no such slot, or no such job. */
bool explain_slot(const struct sched *sched, uint64_t job, uint32_t worker, uint32_t slot,
                  struct explain_slot *explain);

/* The same for many slots: finish_us is explain_job's of this moment, and a slot costs only its leases. */
bool explain_slot_by(const struct sched *sched, uint64_t job, uint32_t worker, uint32_t slot,
                     uint64_t finish_us, struct explain_slot *explain);

/* The clauses of the job's requirement at that slot; false if the job has none. */
bool explain_requirement(const struct sched *sched, uint64_t job, uint32_t worker, uint32_t slot,
                         struct require_findings *findings);

/* What holds the job's end, and what was done about it. */
struct explain_job {
    uint64_t finish_us;         /* expected end of all, UINT64_MAX unknown */
    bool held;                  /* somebody holds samples of it: */
    uint32_t worker, slot;      /* ... the one expected to end last, */
    uint64_t first, count;      /* its last chunk, */
    uint64_t since_us, end_us;  /* since when it runs or would run, and when it is expected to end */
    bool unstarted;             /* it waits behind others there */
    bool hedged;                /* somebody else runs the same samples, too */
    uint64_t recalls, returned; /* chunks asked back, and those that came back unstarted */
    uint64_t hedges, hedged_samples;
    uint64_t lost, expired; /* leases lost with their workers, and taken from slots that did not answer */
    uint64_t failed_batches, suspects; /* chunks that failed; what is left of them to be found out */
    uint64_t checked, unchecked; /* --verify: samples run again; that no other class of device could run */
    uint32_t slots_serving;      /* that hold chunks of it */
    uint32_t jobs_before;        /* open jobs that go before it on some slot of its own */
    double tenant_used_seconds, tenant_weight; /* device time charged to its tenant so far */
};
bool explain_job(const struct sched *sched, uint64_t job, struct explain_job *explain);

const char *explain_reason_name(enum explain_reason reason); /* "draining"; stable, for --json */

#endif
