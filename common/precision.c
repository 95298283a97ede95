// SPDX-License-Identifier: Apache-2.0
#include "precision.h"

#include <string.h>
#include <strings.h>

uint32_t precision_bit(const char *name)
{
    static const char *const names[] = { "int4", "int8", "fp8", "fp16", "bf16", "tf32", "fp32", "fp64" };
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(name, names[i]) == 0)
            return 1u << i;
    return 0;
}

int precision_compare(const char *a, const char *b)
{
    uint32_t x = precision_bit(a) - 1, y = precision_bit(b) - 1; /* not known: the largest */
    return x != y ? (x < y ? -1 : 1) : x == UINT32_MAX ? strcmp(a, b) : 0;
}
