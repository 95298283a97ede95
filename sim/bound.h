// SPDX-License-Identifier: Apache-2.0
/* bound - the clairvoyant fluid bound of a world: see world_bound_us. Pure. Private to sim. */
#ifndef BOUND_H
#define BOUND_H

#include "world.h"

double bound_us(const struct world_config *config);

#endif
