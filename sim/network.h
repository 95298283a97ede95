// SPDX-License-Identifier: Apache-2.0
/* network - connections between puppets and the coordinator: words in order on each, loss only as the end of
 * the connection, which the two sides may notice at different times. Private to sim. */
#ifndef NETWORK_H
#define NETWORK_H

#include "scene.h"

/* Send; nothing if there is no connection. */
void network_say_to_coordinator(struct world *world, uint32_t at, const struct sched_event *event);
void network_say_to_agent(struct world *world, uint32_t at, const struct agent_event *event);

/* Arrivals. True: it has to wait, and was put into the agenda once more. */
bool network_at_coordinator(struct world *world, struct happening *happening);
bool network_at_agent(struct world *world, struct happening *happening);

/* The connection breaks and both sides know. */
void network_reset(struct world *world, uint32_t at);
/* One side gives it up; the other finds out later. */
void network_coordinator_gives_up(struct world *world, uint32_t at);
void network_agent_gives_up(struct world *world, uint32_t at);

/* Nothing is heard from now on: who listens gives up after the silence, if it lasts. */
void network_silent(struct world *world, uint32_t at);
void network_silence_over(struct world *world, uint32_t at, uint64_t connection);

/* HELLO. */
void network_connect(struct world *world, uint32_t at);

#endif
