// SPDX-License-Identifier: Apache-2.0
/* verification - what --verify found in one job: for each class of device that answered and class that
 * checked, how far the answers differ. Its sums go with the job's accounts in the journal, under
 * VERIFICATION_KEY, so that a report survives a restart; after kill -9 what was compared in the last second
 * may be missing from them, and what was chosen and not yet run again is not run again.
 *
 *      SCHED_COMPARE --fresh rows--> clerk (reads the stored ones) --comparison--> the pair's sums
 *
 * A job is not finished before its comparisons are. The rows that wait for the clerk are bounded; what comes
 * beyond is left out and counted as unchecked. verification_* take part in the loop's thread; the struct and
 * its packing are pure. */
#ifndef VERIFICATION_H
#define VERIFICATION_H

#include "compare.h"
#include "sched.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERIFICATION_KEY         "verify"
#define VERIFICATION_WAITING_MAX (64ull << 20) /* bytes of rows that wait to be compared */

enum { VERIFICATION_PAIRS_MAX = 256 };

struct verified_pair {
    char *device, *against; /* classes: who answered, who checked */
    struct comparison sums;
};

struct verification {
    uint64_t unchecked; /* chosen, but not compared; those that the scheduler still knows are added on top */
    uint32_t pairs_count;
    struct verified_pair *pairs; /* in the order in which they first came */
};

void verification_free(struct verification **verification);

/* Add to a pair, made at first use. *verification is made too. False: no memory, or too many pairs. */
bool verification_add(struct verification **verification, const char *device, const char *against,
                      const struct comparison *comparison);
void verification_skip(struct verification **verification, uint64_t samples);

uint64_t verification_checked(const struct verification *verification); /* NULL = 0, as the next */

/* In this life and the ones before. sched may be NULL. */
uint64_t verification_unchecked(const struct verification *verification, const struct sched *sched,
                                uint64_t job);

/* The journal's value; unchecked is all of it. *value is yours. Unpack: ERR_FORMAT, ERR_MEMORY. */
MUST_USE enum err verification_pack(const struct verification *verification, uint64_t unchecked,
                                    uint8_t **value, size_t *size);
MUST_USE enum err verification_unpack(struct verification **verification, const uint8_t *value, size_t size);

/* ---- the loop's side ---- */

struct coordinator;
struct clerk_event;

void verification_compare(struct coordinator *coordinator, const struct sched_action *action);
void verification_compared(struct coordinator *coordinator, struct clerk_event *event);

#endif
