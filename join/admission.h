// SPDX-License-Identifier: Apache-2.0
/* admission - a machine comes in by an invitation:
 *
 *      own key (made if absent) --connect with the one-time key--> JOIN(own public half, name) --> on the
 * list
 *
 * and the state directory remembers whom it joined (joined.h). The same invitation again, after it worked, is
 * no error: the machine is in. Blocks; any thread. */
#ifndef ADMISSION_H
#define ADMISSION_H

#include "joined.h"

struct admission {
    struct joined joined; /* what is remembered now */
    struct key own;
    bool known; /* it was in already */
};

/* name: what the machine is to be called where the invitation has no name; "" = nothing. ERR_REFUSED: used,
 * over, or revoked; the coordinator has another key. ERR_UNREACHABLE: which step fails. why says what to do.
 * admission_wipe in any case. */
MUST_USE enum err admission_ask(const char *state_dir, const struct invite *invite, const char *name,
                                uint64_t timeout_us, struct admission *admission, struct why *why);
void admission_wipe(struct admission *admission);

#endif
