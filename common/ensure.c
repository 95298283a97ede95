// SPDX-License-Identifier: Apache-2.0
#include "ensure.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ensure_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: ENSURE(%s) does not hold: this is a defect in Motley, please report it\n", file,
            line, condition);
    abort();
}
