// SPDX-License-Identifier: Apache-2.0
/* floor - what workers say, and what it means: HELLO and PROOF, results, loads, fetches, silence. */
#ifndef FLOOR_H
#define FLOOR_H

#include "coordinator.h"

/* A message that the dialogue allows to its peer. */
void floor_hello(struct coordinator *coordinator, struct wire_in *in);
void floor_proof(struct coordinator *coordinator, struct wire_in *in);
void floor_loaded(struct coordinator *coordinator, struct wire_in *in);
void floor_results(struct coordinator *coordinator, struct wire_in *in);
void floor_returned(struct coordinator *coordinator, struct wire_in *in);
void floor_heartbeat(struct coordinator *coordinator, struct wire_in *in);
void floor_fetch(struct coordinator *coordinator, struct wire_in *in);
void floor_bye(struct coordinator *coordinator, struct wire_in *in);

/* Have the worker remember whether it is drained: worker->draining. */
void floor_tell_draining(struct coordinator *coordinator, struct worker *worker);

/* The clerk read a piece for a worker. */
void floor_piece(struct coordinator *coordinator, struct clerk_event *event, const struct fetch *fetch);

/* Lose the workers that have said nothing for too long. */
void floor_listen(struct coordinator *coordinator);

/* Nobody could be heard for a while: nobody's silence counts. */
void floor_excuse(struct coordinator *coordinator);

#endif
