// SPDX-License-Identifier: Apache-2.0
/* slot - what the scheduler knows of one slot: its leases in flight, in the order in which they run, and per
 * model whether it is loaded there and how fast it is. Pure. Private to the core. */
#ifndef SLOT_H
#define SLOT_H

#include "attributes.h"
#include "blame.h"
#include "curve.h"
#include "fill.h"
#include "heap.h"
#include "policy.h"
#include "sched.h"
#include "window.h"

struct lease {
    uint64_t job, first;
    uint32_t count, runs; /* runs: the size that the device really runs, padding included */
    double cost;          /* what it costs in mean samples; runs, where all cost the same */
    uint32_t smallest;    /* size that the slot could run of this model */
    uint32_t model;
    uint64_t term, attempt;
    uint64_t leased_us;      /* 0 = before the worker came: it may have run for any time */
    double start_us, end_us; /* expected, by the curve as it is now */
    struct blame blame;      /* where exactly this chunk failed before */
    uint32_t tenant;
    double charged_us; /* to its tenant and job */
    bool check;        /* to be compared with what is stored, not to be stored; of class check_class */
    uint32_t check_class;
    uint32_t partner; /* id of a slot that runs some of it too; 0 = none did */
    bool alone;       /* nothing else was in flight when it was leased */
    bool recalled;    /* asked back; the answer is on its way */
    bool expired;     /* its samples are READY again; a late result is still welcome */
};

enum slot_model_state { SLOT_MODEL_UNLOADED = 0, SLOT_MODEL_LOADING, SLOT_MODEL_READY, SLOT_MODEL_REFUSED };

struct slot_model {
    struct slot *slot;
    uint32_t model;
    enum slot_model_state state;
    struct curve curve;
    uint32_t batch_cap;     /* what memory has shown; starts at batch_max */
    uint32_t batch_short;   /* the least size for which memory was too short; 0 = none, or long ago */
    uint32_t batch_fine;    /* the largest that fitted since memory was short for it, or less */
    uint32_t batches_good;  /* at the cap since it changed, or since the last thought of changing it */
    uint32_t patience;      /* so many let it grow; doubles with each time that memory was short */
    uint32_t thoughts;      /* of growing to where memory was short */
    uint32_t batch_fixed;   /* the model's static batch axis: the one size that runs; 0 = any */
    uint64_t ready_us;      /* step time when it was loaded */
    uint64_t load_job;      /* while LOADING: on whose behalf; if that job ends first, no answer may come */
    bool load_late;         /* loading takes longer than was expected: it is not counted on */
    uint64_t load_began_us; /* step time of the LOAD */
    uint64_t memory_bytes;  /* while loading or loaded; 0 = unknown */
    uint64_t used_us;       /* step time of its last lease here */
    uint64_t asked;         /* slot.asks when it was last asked for by slot_model */
    uint64_t load_us;       /* measured; 0 = not yet */
    double best_rate;       /* samples per microsecond of the fastest batch so far; 0 = none */
};

/* A slot's place in a pool of slots that may run the same jobs (pool.h). */
struct member {
    struct fill_slot
        fill; /* in the pool's fill while the slot could take a chunk of these jobs; its owner: model */
    uint32_t pool;
    struct slot_model *model;
    bool preferred, admitted; /* admitted: the jobs' objective wants it */
};

struct slot {
    uint32_t id; /* dense over all slots ever, from 1 */
    uint32_t worker, index;
    struct sched_slot_info info;
    struct attributes *attributes; /* info's, its own copy */
    bool up;
    uint64_t up_us, down_us; /* step times of its last coming and going */
    uint32_t leases_count;
    uint32_t leases_capacity;
    struct lease *leases; /* oldest first; pointers into it end with the next push */
    struct window window;
    double busy_until_us; /* expected end of all leases; 0 when idle */
    uint32_t models_count;
    struct slot_model **models;
    uint64_t asks; /* of slot_model */
    uint32_t members_count;
    struct member **members; /* ascending by pool */
    bool draining;           /* its worker gets nothing new */
    uint32_t
        strikes; /* chunks that failed here since one went well, and nothing shows that it was their fault */
    uint32_t bars;             /* how often it was barred since */
    uint64_t barred_until_us;  /* no new chunks until then; 0 = it is trusted */
    double online_cap_us;      /* what online requests leave a batch, ... */
    uint64_t online_until_us;  /* ... until then */
    struct slot_model *latest; /* of the last lease, for looks */
    struct heap_item expiry;   /* wakes at expires_us or before */
    uint64_t expires_us;       /* the oldest live lease does; UINT64_MAX = none */
    struct slot *next_asking;  /* queue of slots with room in their window */
    struct slot *next_sitting, *previous_sitting;
    bool asking, sitting;
};

/* NULL when out of memory. info is clamped to what makes sense: a lying worker is bounded by what it shows.
 */
struct slot *slot_new(uint32_t id, uint32_t worker, uint32_t index, const struct sched_slot_info *info);
void slot_free(struct slot **slot);

/* The slot's entry for a model, made at first use; NULL when out of memory. Of more than SLOT_MODELS_MAX
 * those that were not asked for longest are forgotten, with what was learned, unless they are loaded or jobs
 * wait for them. */
enum { SLOT_MODELS_MAX = 64 };
struct slot_model *slot_model(struct slot *slot, uint32_t model);
/* Its place in a pool; NULL if it has none. */
struct member *slot_member(const struct slot *slot, uint32_t pool);
struct member *slot_member_add(struct slot *slot, uint32_t pool,
                               struct slot_model *model); /* NULL: no memory */
void slot_member_remove(struct slot *slot, uint32_t pool);
/* Can it be counted on for new chunks of these jobs? */
bool slot_member_ready(const struct slot *slot, const struct member *member);
/* The same, or soon: its model is being loaded, and not for longer than was expected. */
bool slot_member_counts(const struct slot *slot, const struct member *member);
/* When the model will be there: 0 if it is, or nobody knows. */
double slot_model_there_us(const struct slot_model *model);

/* The model runs in batches of exactly this size; 0 = any. */
void slot_model_fix(struct slot_model *model, uint32_t batch_fixed);

/* The device's memory was short for this lease: smaller batches from now on, if there are any. */
void slot_model_shrink(struct slot_model *model, const struct lease *lease);

/* A batch of that size went well: after many at the cap it grows by a quarter, and after many more to where
 * memory was short before: whatever filled it may be gone. */
void slot_model_grow(struct slot_model *model, uint32_t runs);

/* The smallest size that can run there: what a memory failure of it cannot be helped by halving. */
uint32_t slot_model_smallest(const struct slot_model *model);

struct slot_model *slot_model_find(const struct slot *slot, uint32_t model);

/* How long ago its oldest lease should have ended. What is late is expected to take as long again. */
double slot_late_us(const struct slot *slot, uint64_t now_us);

/* The view that the policy gets, for a chunk that would start when all leases have ended, but not before now.
 */
struct policy_slot slot_policy(const struct slot *slot, const struct slot_model *model, uint64_t now_us);

/* Its oldest lease expired and nothing came since: it gets no new ones until it answers, and nobody counts on
 * it. */
bool slot_overdue(const struct slot *slot);

/* It is here and gets new chunks: neither draining nor barred nor overdue. */
bool slot_serves(const struct slot *slot);

bool slot_has_room(const struct slot *slot);

struct lease *slot_lease_find(const struct slot *slot, uint64_t term, uint64_t attempt);
/* By its number alone, which is unique over all terms; for words that do not carry the term. */
struct lease *slot_lease_named(const struct slot *slot, uint64_t attempt);
struct lease *slot_lease_push(struct slot *slot, const struct lease *lease);
void slot_lease_drop(struct slot *slot, struct lease *lease);

/* Expect anew when each lease starts and ends: the oldest runs since its expected start, or since now if that
 * just changed. */
void slot_expect(struct slot *slot, uint64_t now_us);

void slot_check(const struct slot *slot);

#endif
