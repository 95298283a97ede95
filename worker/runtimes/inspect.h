// SPDX-License-Identifier: Apache-2.0
/* inspect - what a model file is, found by loading it: behind `motley-worker --check-model FILE` and `motley
 * model check`. */
#ifndef INSPECT_H
#define INSPECT_H

#include "runtime.h"

/* Try path (NULL: the built-in model) in each runtime of this build that is available here, but the emulated
 * one, which loads by another. The first that loads it gives signature and *runtime_name (static). Otherwise
 * why holds each one's refusal and the code is the last one's. */
MUST_USE enum err model_inspect(const char *path, struct model_signature *signature,
                                const char **runtime_name, struct why *why);

#endif
