// SPDX-License-Identifier: Apache-2.0
/* tenants - whose jobs these are: names, the small numbers by which the scheduler knows them, and the weights
 * and quotas of the configuration. Pure, one owner.
 *
 * Numbers are given in order of first appearance: `default`, which jobs without a tenant belong to, then
 * those of the configuration in its order, then those of the journal's open jobs in order of their numbers,
 * then as jobs come. A number is never given to another name. */
#ifndef TENANTS_H
#define TENANTS_H

#include "bounds.h"
#include "err.h"
#include "sched.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENANTS_NONE = UINT32_MAX };

struct tenant_row {
    char name[TENANT_MAX_BYTES];
    double weight;        /* 1 unless configured */
    uint32_t slots_quota; /* 0 = none */
    bool configured;
};

struct tenants;

struct tenants *tenants_new(void); /* with `default`; NULL when out of memory */
void tenants_free(struct tenants **tenants);

/* "NAME=WEIGHT" or "NAME=WEIGHT:SLOTS", as --tenant has it. ERR_USAGE, also for a name that was given before;
 * ERR_LIMIT: SCHED_TENANTS_MAX are known.
 */
MUST_USE enum err tenants_configure(struct tenants *tenants, const char *text, struct why *why);

/* The number of a name ("" = default), given at first use. TENANTS_NONE: SCHED_TENANTS_MAX are known. */
uint32_t tenants_number(struct tenants *tenants, const char *name);

uint32_t tenants_count(const struct tenants *tenants);
const struct tenant_row *tenants_at(const struct tenants *tenants, uint32_t number);

#endif
