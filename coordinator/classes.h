// SPDX-License-Identifier: Apache-2.0
/* classes - which slots answer alike: a small number for each combination of device kind, vendor and runtime
 * that was seen in this life. What --verify compares is answers of unlike classes. Pure, one owner. */
#ifndef CLASSES_H
#define CLASSES_H

#include "messages.h"

enum { CLASSES_MAX = 1024 }; /* what comes after shares the last number */

struct classes;

struct classes *classes_new(void); /* NULL when out of memory */
void classes_free(struct classes **classes);

uint32_t classes_number(struct classes *classes, const struct message_device *device,
                        const struct message_slot *slot);

uint32_t classes_count(const struct classes *classes);

/* "gpu/nvidia/onnxruntime"; an unknown vendor is left out. number < classes_count(). */
const char *classes_name(const struct classes *classes, uint32_t number);

#endif
