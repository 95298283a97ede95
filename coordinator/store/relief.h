// SPDX-License-Identifier: Apache-2.0
/* relief - what need not wait for room on a full disk, although it was posted behind what must: whoever wants
 * to make room must be able to. Pure but for memory; the order of the operations of any one job is kept.
 *
 *      JOB_ADD, MODEL_ADD                      refused, so that whoever asks is told and nothing is accepted
 * later all of a job that is dropped, or was    goes first: it makes room, or takes hardly any; its RESULTs
 * are cancelled                               wanted by nobody any more and refused with ERR_CANCELLED all
 * else                                waits */
#ifndef RELIEF_H
#define RELIEF_H

#include "op_list.h"

struct relief {
    struct op_list
        refused; /* each with its err; those with ERR_FULL also with why, as far as there was memory */
    struct op_list unwanted; /* RESULTs, with ERR_CANCELLED: not to be told before `first` is durable */
    struct op_list first;
};

/* Take them out of waiting; why: in what words the disk is full. */
void relief_take(struct op_list *waiting, struct relief *relief, const struct why *why);

#endif
