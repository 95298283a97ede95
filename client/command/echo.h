// SPDX-License-Identifier: Apache-2.0
/* echo - the reference of `bench dispatch` and `bench latency`: a process with a bare ROUTER that answers
 * with the same messages as a coordinator, encoded in advance and over CURVE, and does nothing else: no
 * scheduler, no journal, nothing is decoded.
 *
 *      RESULTS of n from a worker --> ACKS of n and LEASES of n to it        (dispatch)
 *      INFER from a client --> LEASES of 1 to the worker that said HELLO last,
 *      whose RESULTS --> INFERRED to the client that asked last              (latency, one at a time) */
#ifndef ECHO_H
#define ECHO_H

#include "address.h"
#include "err.h"
#include "key.h"

#include <stdbool.h>
#include <sys/types.h>

struct echo {
    pid_t pid; /* 0 = none */
    char url[ADDRESS_MAX];
    struct key key; /* by which it is known; it lets every key in */
};

/* Start the process and learn where it listens, on tcp loopback. latency chooses the lower two lines above.
 * It ends with us. */
MUST_USE enum err echo_start(bool latency, struct echo *echo, struct why *why);
void echo_stop(struct echo *echo); /* idempotent */

/* How many results a RESULTS body names, read from its head alone; 0 if it is something else. */
uint32_t echo_results(const uint8_t *body, size_t size);

#endif
