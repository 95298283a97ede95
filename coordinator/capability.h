// SPDX-License-Identifier: Apache-2.0
/* capability - the attributes (core/attributes.h) of a worker's slots, made from what it said in HELLO. Pure;
 * the table in capability.c says which field becomes which attribute. What HELLO leaves open (0 bytes,
 * negative watts) or says absurdly is left out. */
#ifndef CAPABILITY_H
#define CAPABILITY_H

#include "attributes.h"
#include "messages.h"

/* The attributes of hello->slots[slot], yours to free. NULL when out of memory. The slot's device is listed
 * (rules_hello saw to that). */
struct attributes *capability_of(const struct message_hello *hello, uint32_t slot);

#endif
