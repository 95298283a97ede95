// SPDX-License-Identifier: Apache-2.0
#include "ensure.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void ensure_failed(const char *condition, const char *file, int line)
{
    bool starved = errno == ENOMEM; /* what was acknowledged is on the disk, so this is a safe end */
    fprintf(stderr, "%s:%d: ENSURE(%s) does not hold: %s\n", file, line, condition,
            starved ? "out of memory, most likely: stopping here; what was acknowledged is kept"
                    : "this is a defect in Motley, please report it");
    abort();
}
