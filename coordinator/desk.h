// SPDX-License-Identifier: Apache-2.0
/* desk - what clients ask, and the answers. Every request gets exactly one REPLY, when what it asked for is
 * durable. */
#ifndef DESK_H
#define DESK_H

#include "coordinator.h"

/* A message that the dialogue allows to its peer. */
void desk_hello(struct coordinator *coordinator, struct wire_in *in);
void desk_submit(struct coordinator *coordinator, struct wire_in *in);
void desk_view(struct coordinator *coordinator, struct wire_in *in);
void desk_cancel(struct coordinator *coordinator, struct wire_in *in);
void desk_change(struct coordinator *coordinator, struct wire_in *in);
void desk_remove(struct coordinator *coordinator, struct wire_in *in);
void desk_retry(struct coordinator *coordinator, struct wire_in *in);
void desk_blob_find(struct coordinator *coordinator, struct wire_in *in);
void desk_blob_put(struct coordinator *coordinator, struct wire_in *in);
void desk_model_add(struct coordinator *coordinator, struct wire_in *in);
void desk_drain(struct coordinator *coordinator, struct wire_in *in);
void desk_output_get(struct coordinator *coordinator, struct wire_in *in);

/* The clerk took a piece of an upload, or read a piece of an output. */
void desk_blob_taken(struct coordinator *coordinator, struct clerk_event *event);
void desk_piece(struct coordinator *coordinator, struct clerk_event *event, const struct fetch *fetch);

#endif
