// SPDX-License-Identifier: Apache-2.0
/* accident - the weather's larger events, drawn from the seed until the calm: none lasts longer. Private to
 * sim. */
#ifndef ACCIDENT_H
#define ACCIDENT_H

#include "scene.h"

void accident_plan(struct world *world); /* the next one, if the weather has any */
void accident_happens(struct world *world);

#endif
