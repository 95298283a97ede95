// SPDX-License-Identifier: Apache-2.0
/* checker - stands between the scheduler and the world, hears every event and every action, and knows what is
 * on the disk. It shares nothing with the scheduler but the words of sched.h. Private to sim.
 *
 * The rules, by the names under which a violation is reported:
 *      LEASE-TWICE       an attempt's number is used once, over all terms, and of this term
 *      LEASE-NOBODY      leases and loads go to workers that are up
 *      LEASE-DRAINING    ... and not draining
 *      LEASE-UNLOADED    the slot said LOADED for the job's model since its worker came, and was not told to
 *                        unload it
 *      LEASE-WINDOW      no more in flight than HELLO said
 *      LEASE-SIZE        1 to the largest allowed batch, and the model's fixed one
 *      LEASE-RANGE       samples of an open job
 *      LEASE-DONE        nothing that is claimed or done (but to verify it)
 *      HEDGE-BUDGET      samples leased while somebody else has a good lease of them: not more than the share
 *                        of the job and one largest batch. A lease is good until it ends, is recalled, or is
 *                        lease_floor old (then it may have expired)
 *      RECALL-DEAD       a recall names a lease that is out
 *      ACK-UNREPORTED    an ACK answers a RESULT or HELD of that worker
 *      ACK-EARLY         ... and what was claimed of it is durable: nothing acknowledged can be lost
 *      ACK-LIVE          ... and the lease is not out, unless HELD was the answer
 *      STORE-STRANGE     a STORE or FAIL is part of the result just given
 *      STORE-TWICE       each sample is claimed once
 *      FAIL-GOOD         a sample fails only if the result just given is a failure; and where nothing else
 *                        fails, only the poisoned ones
 *      STATE-AGAIN       a job ends once
 *      COMPLETE-EARLY    a complete job is whole on the disk
 *
 * What expired is not announced; the checker counts an expired lease as in flight, as the scheduler does. */
#ifndef CHECKER_H
#define CHECKER_H

#include "sched.h"

struct world;
struct checker;

/* For a world whose puppets are placed. Running out of memory aborts. */
struct checker *checker_new(const struct world *world);
void checker_free(struct checker **checker);

void checker_number(struct checker *checker, uint32_t number, uint32_t at); /* who is who in this term */
void checker_term(struct checker *checker);                                 /* a new coordinator */
/* Before the step that is given the event; number is of the world's event. */
void checker_event(struct checker *checker, uint64_t now_us, uint64_t number,
                   const struct sched_event *event);
void checker_action(struct checker *checker, const struct sched_action *action);
/* count samples of what was stored of the attempt are durable: the scheduler is told next. */
void checker_durable(struct checker *checker, uint64_t attempt, uint64_t count);

/* "" while all is well. */
const char *checker_violation(const struct checker *checker);
uint64_t checker_hedged(const struct checker *checker);

#endif
