// SPDX-License-Identifier: Apache-2.0
#include "tenants.h"

#include "ensure.h"
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char DEFAULT_NAME[] = "default";
static const double WEIGHT_MIN = 1e-3, WEIGHT_MAX = 1e6;
enum { QUOTA_MAX = 1000000 };

struct tenants {
    uint32_t count;
    struct tenant_row at[SCHED_TENANTS_MAX];
};

struct tenants *tenants_new(void)
{
    struct tenants *tenants = calloc(1, sizeof *tenants);
    if (tenants)
        tenants_number(tenants, DEFAULT_NAME);
    return tenants;
}

void tenants_free(struct tenants **tenants)
{
    free(*tenants);
    *tenants = NULL;
}

uint32_t tenants_number(struct tenants *tenants, const char *name)
{
    if (!*name)
        name = DEFAULT_NAME;
    for (uint32_t i = 0; i < tenants->count; i++)
        if (strcmp(tenants->at[i].name, name) == 0)
            return i;
    if (tenants->count == SCHED_TENANTS_MAX)
        return TENANTS_NONE;
    struct tenant_row *row = &tenants->at[tenants->count];
    snprintf(row->name, sizeof row->name, "%s", name);
    row->weight = 1;
    return tenants->count++;
}

/* The figures after the name; false if they are none. */
static bool read_figures(const char *text, double *weight, uint32_t *quota)
{
    char *end;
    *quota = 0;
    if (*text < '0' || *text > '9')
        return false;
    *weight = strtod(text, &end);
    if (!isfinite(*weight) || *weight < WEIGHT_MIN || *weight > WEIGHT_MAX)
        return false;
    if (*end == ':' && end[1] >= '0' && end[1] <= '9') {
        errno = 0;
        unsigned long slots = strtoul(end + 1, &end, 10);
        if (errno || slots == 0 || slots > QUOTA_MAX)
            return false;
        *quota = (uint32_t)slots;
    }
    return *end == 0;
}

enum err tenants_configure(struct tenants *tenants, const char *text, struct why *why)
{
    char name[TENANT_MAX_BYTES];
    double weight;
    uint32_t quota;
    size_t size = strcspn(text, "=");
    snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1), text);
    if (size >= sizeof name || !text_is_word(name, sizeof name))
        return why_set(why, ERR_USAGE,
                       "--tenant %.80s: a tenant's name has letters, digits and . _ - only, at most %d", text,
                       TENANT_MAX_BYTES - 1);
    if (text[size] != '=' || !read_figures(text + size + 1, &weight, &quota))
        return why_set(why, ERR_USAGE,
                       "--tenant %.80s: give NAME=WEIGHT or NAME=WEIGHT:SLOTS, such as lab=3 or lab=0.5:8",
                       text);
    uint32_t number = tenants_number(tenants, name);
    if (number == TENANTS_NONE)
        return why_set(why, ERR_LIMIT, "--tenant %.80s: at most %d tenants", text, SCHED_TENANTS_MAX);
    if (tenants->at[number].configured)
        return why_set(why, ERR_USAGE, "--tenant %.80s: %s was given before; give each tenant once", text,
                       name);
    tenants->at[number].configured = true;
    tenants->at[number].weight = weight;
    tenants->at[number].slots_quota = quota;
    return ERR_OK;
}

uint32_t tenants_count(const struct tenants *tenants) { return tenants->count; }

const struct tenant_row *tenants_at(const struct tenants *tenants, uint32_t number)
{
    ENSURE(number < tenants->count);
    return &tenants->at[number];
}
