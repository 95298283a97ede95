// SPDX-License-Identifier: Apache-2.0
/* variants - the files of a registered model, as the coordinator's view has them, and which of them a job
 * allows. */
#ifndef VARIANTS_H
#define VARIANTS_H

#include "bounds.h"
#include "err.h"
#include "sha256.h"

#include <stddef.h>

struct variant {
    uint8_t blob[SHA256_BYTES];
    char format[64], precision[64]; /* precision "" = not known */
    uint64_t bytes;
    double accuracy; /* 0 = not known */
};

struct variants {
    uint32_t count; /* 0 = a coordinator that knows of none, or no registered model */
    struct variant at[VARIANTS_MAX];
};

/* From the view of the model. ERR_FORMAT. */
MUST_USE enum err variants_parse(const char *json, size_t size, const char *model, struct variants *variants,
                                 struct why *why);

/* Leave those whose precision is listed ("fp16,fp32"; NULL = any) and whose accuracy is known to be at least
 * accuracy_min (0 = any). ERR_USAGE: none is left, or the wish makes no sense. */
MUST_USE enum err variants_choose(struct variants *variants, const char *model, const char *precisions,
                                  double accuracy_min, struct why *why);

#endif
