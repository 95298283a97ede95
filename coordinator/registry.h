// SPDX-License-Identifier: Apache-2.0
/* registry - the models that were added by name and version, and the small numbers by which the scheduler
 * knows model files, added by name or not. One owner.
 *
 * A model may have several files (variants) that take and give the same, each in another format or precision.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "messages.h"
#include "sha256.h"

#include <stddef.h>
#include <stdint.h>

enum { REGISTRY_NONE = UINT32_MAX, REGISTRY_MODELS_MAX = 100000, REGISTRY_FILES_MAX = 65536 };

/* A model file that some job uses or used. */
struct registry_file {
    uint8_t blob[SHA256_BYTES];      /* all zero = built-in */
    char refused_by[NAME_MAX_BYTES]; /* the worker that last could not load it; "" = none */
    char refusal[REASON_MAX_BYTES];  /* in its words */
};

struct registry;

struct registry *registry_new(void); /* NULL when out of memory */
void registry_free(struct registry **registry);

/* Whether its name and version are such as users can type and commands can tell apart: letters, digits and
 * . _ - only; its precision is one that is known; and its tensors are those of the model's other files.
 * ERR_USAGE; ERR_LIMIT. */
MUST_USE enum err registry_check(struct registry *registry, const struct message_model_add *model,
                                 struct why *why);

/* Add, or replace the file of the same name, version, format and precision. ERR_USAGE: it has no name;
 * ERR_LIMIT; ERR_MEMORY.
 */
MUST_USE enum err registry_add(struct registry *registry, const struct message_model_add *model,
                               struct why *why);

/* The same from the journal. ERR_FORMAT: not a MODEL_ADD of this version. */
MUST_USE enum err registry_restore(struct registry *registry, const uint8_t *spec, size_t size,
                                   struct why *why);

size_t registry_count(const struct registry *registry);

/* Files by name, then version, then precision, the cheapest first. A look: valid until the next call with the
 * same registry. */
const struct message_model_add *registry_at(struct registry *registry, size_t index);

/* "name" (its newest version) or "name:version" or "name@version": the last of its files. SIZE_MAX: there is
 * none. */
size_t registry_find(struct registry *registry, const char *which);

/* Remove NAME (all its versions), NAME:VERSION or NAME@VERSION: how many files that were. */
size_t registry_remove(struct registry *registry, const char *which);

/* The file at index: its SHA-256. A look. */
const uint8_t *registry_blob(const struct registry *registry, size_t index);

/* The first and the last file of the model that the file at index belongs to. */
size_t registry_first(const struct registry *registry, size_t index);
size_t registry_last(const struct registry *registry, size_t index);

/* The number of a model file, given at first use; REGISTRY_NONE when out of memory, or of room:
 * REGISTRY_FILES_MAX in one life of the coordinator. */
uint32_t registry_number(struct registry *registry, const uint8_t blob[SHA256_BYTES]);
uint32_t registry_find_number(const struct registry *registry,
                              const uint8_t blob[SHA256_BYTES]); /* REGISTRY_NONE: not used */

/* The numbers of the files that a SUBMIT names: its variants', in order, or its only one's. How many; 0 when
 * out of memory. */
uint32_t registry_numbers(struct registry *registry, const struct message_submit *submit,
                          uint32_t numbers[VARIANTS_MAX]);
struct registry_file *registry_file(const struct registry *registry, uint32_t number);

#endif
