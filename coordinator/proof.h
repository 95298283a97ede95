// SPDX-License-Identifier: Apache-2.0
/* proof - the short MAC in every lease: who shows it again was given that lease by a coordinator of this
 * state directory, in this life or an earlier one. Leases are not journaled; this is what replaces their
 * record after a restart. Pure. */
#ifndef PROOF_H
#define PROOF_H

#include "bounds.h"
#include "sha256.h"

#include <stdbool.h>
#include <stdint.h>

/* What a lease says and to whom: all of it is under the MAC. */
struct proof {
    uint64_t job, first, term, attempt;
    uint32_t count, slot;
    uint8_t worker[UUID_BYTES]; /* its process and its key: worker.holder */
};

void proof_make(const struct proof *proof, const uint8_t key[MAC_KEY_BYTES], uint8_t mac[MAC_BYTES]);

/* In constant time. */
bool proof_holds(const struct proof *proof, const uint8_t key[MAC_KEY_BYTES], const uint8_t mac[MAC_BYTES]);

#endif
