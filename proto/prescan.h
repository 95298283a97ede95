// SPDX-License-Identifier: Apache-2.0
/* prescan - may these bytes be handed to a msgpack library at all? Pure, allocates nothing, one pass.
 *
 * A msgpack reader reserves room for as many elements as a header promises: the five bytes df 0f ff ff ff
 * make msgpack-c ask for 16.8 GB. So before any tree is built: exactly one object that fills the bytes,
 * containers nested at most DEPTH_MAX deep, the elements promised but not yet seen never more than the bytes
 * left (each takes at least one), at most ELEMENTS_MAX in all, and no extension types. */
#ifndef PRESCAN_H
#define PRESCAN_H

#include "bounds.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

/* What was found, to size the tree's memory. */
struct prescan {
    uint32_t elements; /* objects of every kind, keys included */
    uint32_t depth;    /* of the deepest container; 0 = a lone scalar */
};

/* ERR_FORMAT: truncated, trailing bytes, extension type, a byte that msgpack never uses. ERR_LIMIT: depth or
 * elements. */
MUST_USE enum err prescan_check(const uint8_t *bytes, size_t size, struct prescan *prescan, struct why *why);

#endif
