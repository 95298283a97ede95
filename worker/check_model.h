// SPDX-License-Identifier: Apache-2.0
/* check_model - `motley-worker --check-model FILE`: what a model file is, by loading it here. The client runs
 * it to learn a model's signature, so that no client links with a runtime. */
#ifndef CHECK_MODEL_H
#define CHECK_MODEL_H

#include "runtime.h"

#include <stdbool.h>

/* Print the signature on stdout, as JSON or for people. The word `synthetic`, where no such file exists, is
 * the built-in model. */
MUST_USE enum err check_model(const char *path, bool json, struct why *why);

/* {"format","runtime","batch":"any"|N,"precision","inputs":[{"name","dtype","shape"}],"outputs":[...]};
 * shapes are rows', null where unknown. malloc'ed; NULL when out of memory. */
char *check_model_json(const struct model_signature *signature, const char *runtime);

#endif
