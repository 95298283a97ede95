// SPDX-License-Identifier: Apache-2.0
#include "classes.h"

#include "ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct classes {
    uint32_t count;
    char *names[CLASSES_MAX];
};

struct classes *classes_new(void) { return calloc(1, sizeof(struct classes)); }

void classes_free(struct classes **classes)
{
    for (uint32_t i = 0; *classes && i < (*classes)->count; i++)
        free((*classes)->names[i]);
    free(*classes);
    *classes = NULL;
}

static uint32_t last(const struct classes *classes) { return classes->count ? classes->count - 1 : 0; }

uint32_t classes_number(struct classes *classes, const struct message_device *device,
                        const struct message_slot *slot)
{
    char name[3 * NAME_MAX_BYTES + 3];
    snprintf(name, sizeof name, "%s%s%s/%s", device->kind, *device->vendor ? "/" : "", device->vendor,
             slot->runtime);
    for (uint32_t i = 0; i < classes->count; i++)
        if (strcmp(classes->names[i], name) == 0)
            return i;
    char *copy = classes->count < CLASSES_MAX ? strdup(name) : NULL;
    if (!copy)
        return last(classes);
    classes->names[classes->count] = copy;
    return classes->count++;
}

uint32_t classes_count(const struct classes *classes) { return classes->count; }

const char *classes_name(const struct classes *classes, uint32_t number)
{
    ENSURE(number < classes->count);
    return classes->names[number];
}
