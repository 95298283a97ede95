// SPDX-License-Identifier: Apache-2.0
/* compare - how far fresh answers are from the stored ones of the same samples: the arithmetic of --verify.
 * Pure but for compare_stored, which reads the spool. Any thread.
 *
 * Integers and booleans are equal or not. Floats have an absolute difference and a relative one: against the
 * largest number of the sample's row (of either answer), so that noise about zero counts for nothing. Two NaN
 * are equal, and so are infinities of one sign; one without the other differs by 1, relatively. A sample
 * differs when an integer does, or a float by more than COMPARE_TOLERANCE, relatively. */
#ifndef COMPARE_H
#define COMPARE_H

#include "spool.h"

#define COMPARE_TOLERANCE 1e-3

/* Of one output. */
struct difference {
    uint64_t differing; /* samples */
    double max_abs, max_rel;
    bool floats; /* it has the two above */
};

struct comparison {
    uint64_t samples, differing; /* differing: in any output */
    uint32_t outputs_count;
    struct difference outputs[STORE_OUTPUTS_MAX];
};

/* Add up. */
void comparison_merge(struct comparison *into, const struct comparison *from);

/* One row of count elements. True: it differs. */
bool compare_row(struct difference *difference, enum dtype dtype, const void *fresh, const void *stored,
                 uint64_t count);

/* Rows of count samples from first: of output k they are at rows[k], back to back, and look like specs[k]
 * (dtype DTYPE_NONE: as declared in shape). The samples are done. ERR_FILE and its like: nothing is known. */
struct compare_fresh {
    uint64_t first;
    uint32_t count;
    const void *rows[STORE_OUTPUTS_MAX];
    struct tensor_spec specs[STORE_OUTPUTS_MAX];
};
MUST_USE enum err compare_stored(const char *state_dir, const struct spool_shape *shape,
                                 const struct compare_fresh *fresh, struct comparison *comparison,
                                 struct why *why);

#endif
