// SPDX-License-Identifier: Apache-2.0
/* submit - the parts of motley_submit that others use: which model is meant, and how many failures a job may
 * have. */
#ifndef SUBMIT_H
#define SUBMIT_H

#include "connection.h"
#include "sha256.h"
#include "signature.h"
#include "variants.h"

struct submit_model {
    struct signature signature;
    char path[PATH_MAX_BYTES];  /* a file to upload; "" = registered or built in */
    uint8_t blob[SHA256_BYTES]; /* of a registered one; all zero = built in, or not uploaded yet */
    struct variants variants;   /* of a registered one */
};

/* A file, "synthetic", or the name of a registered model (then connection is asked). */
MUST_USE enum err submit_find_model(struct motley *connection, const char *model, struct submit_model *found,
                                    struct why *why);

/* "N" or "P%" (NULL = 5%) into a count (UINT64_MAX = none given) and a share. Pure. */
MUST_USE enum err submit_parse_failures(const char *text, uint64_t *count, double *share, struct why *why);

#endif
