// SPDX-License-Identifier: Apache-2.0
/* client - what the parts of libmotley share beyond the public header. */
#ifndef CLIENT_H
#define CLIENT_H

#include "err.h"
#include "motley.h"

/* The public error (may be NULL) from ours; its text is empty for ERR_OK. */
void motley_error_set(struct motley_error *error, enum err err, const struct why *why);

#endif
