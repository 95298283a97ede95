// SPDX-License-Identifier: Apache-2.0
/* blend - the runtimes of a CPU slot behind one set of ops, so that a slot stays one executor: the built-in
 * model goes to `synthetic`, a model file to the first runtime of this build that is usable here and loads
 * it. It runs one model at a time, as every slot does, so two runtimes never compete for its threads. */
#ifndef BLEND_H
#define BLEND_H

#include "runtime.h"

enum { BLEND_FORMATS_MAX = 8 };

extern const struct runtime_ops blend_ops;

/* What to advertise: the name of the preferred runtime that is usable here, and the formats of all of them.
 * The name is static. */
const char *blend_name(void);
uint32_t blend_formats(const char *formats[BLEND_FORMATS_MAX]);

#endif
