// SPDX-License-Identifier: Apache-2.0
#include "registry.h"

#include "ensure.h"
#include "precision.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct model {
    char *name, *version, *format, *precision;
    uint8_t blob[SHA256_BYTES];
    uint8_t *spec;
    size_t size;
};

struct registry {
    size_t count, capacity;
    struct model *models; /* by name, version, precision, format */
    uint32_t files_count, files_capacity;
    struct registry_file *files;
    struct decoder *decoder;
};

struct registry *registry_new(void)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry && !(registry->decoder = decoder_new()))
        registry_free(&registry);
    return registry;
}

static void model_fini(struct model *model)
{
    free(model->name);
    free(model->version);
    free(model->format);
    free(model->precision);
    free(model->spec);
}

void registry_free(struct registry **registry)
{
    if (!*registry)
        return;
    for (size_t i = 0; i < (*registry)->count; i++)
        model_fini(&(*registry)->models[i]);
    free((*registry)->models);
    free((*registry)->files);
    if ((*registry)->decoder)
        decoder_free(&(*registry)->decoder);
    free(*registry);
    *registry = NULL;
}

/* Versions as people read them: runs of digits compare as numbers, so that 1.10 is newer than 1.9. */
static int compare_versions(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            while (*a == '0' && isdigit((unsigned char)a[1]))
                a++;
            while (*b == '0' && isdigit((unsigned char)b[1]))
                b++;
            size_t m = strspn(a, "0123456789"), n = strspn(b, "0123456789");
            int order = m != n ? (m < n ? -1 : 1) : strncmp(a, b, m);
            if (order)
                return order;
            a += m;
            b += n;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return *a ? 1 : *b ? -1 : 0;
}

static int compare(const struct model *a, const struct model *b)
{
    int order = strcmp(a->name, b->name);
    if (!order)
        order = compare_versions(a->version, b->version);
    if (!order)
        order = strcmp(a->version, b->version);
    if (!order)
        order = precision_compare(a->precision, b->precision);
    return order ? order : strcmp(a->format, b->format);
}

static bool same_model(const struct model *a, const struct model *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->version, b->version) == 0;
}

static size_t place(const struct registry *registry, const struct model *model)
{
    size_t low = 0, high = registry->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&registry->models[middle], model) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum err reserve(struct registry *registry, struct why *why)
{
    if (registry->count == REGISTRY_MODELS_MAX)
        return why_set(why, ERR_LIMIT, "%d models are registered, which is the most", REGISTRY_MODELS_MAX);
    if (registry->count < registry->capacity)
        return ERR_OK;
    size_t capacity = registry->capacity ? 2 * registry->capacity : 16;
    struct model *models = realloc(registry->models, capacity * sizeof *models);
    if (!models)
        return why_set(why, ERR_MEMORY, "out of memory for %zu models", capacity);
    registry->models = models;
    registry->capacity = capacity;
    return ERR_OK;
}

/* Takes fresh. */
static void put(struct registry *registry, const struct model *fresh)
{
    size_t index = place(registry, fresh);
    struct model *at = &registry->models[index];
    if (index < registry->count && compare(at, fresh) == 0) {
        model_fini(at);
    } else {
        memmove(at + 1, at, (registry->count - index) * sizeof *at);
        registry->count++;
    }
    *at = *fresh;
}

static bool is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return strspn(text, plain) == strlen(text) && *text != '-';
}

/* ---- the files of one model ---- */

static bool same_tensors(const struct message_tensor *a, uint32_t a_count, const struct message_tensor *b,
                         uint32_t b_count)
{
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++)
        if (strcmp(a[i].name, b[i].name) != 0 || a[i].dtype != b[i].dtype ||
            a[i].dims_count != b[i].dims_count ||
            (a[i].dims_count && memcmp(a[i].dims, b[i].dims, a[i].dims_count * sizeof a[i].dims[0]) != 0))
            return false;
    return true;
}

static enum err check_beside(const struct message_model_add *model, const struct message_model_add *other,
                             struct why *why)
{
    bool inputs = same_tensors(model->inputs, model->inputs_count, other->inputs, other->inputs_count);
    bool outputs = same_tensors(model->outputs, model->outputs_count, other->outputs, other->outputs_count);
    const char *precision = *other->precision ? other->precision : "unknown precision";
    if (!inputs || !outputs || model->batch_fixed != other->batch_fixed)
        return why_set(
            why, ERR_USAGE,
            "%s version %s: its %s differ from those of its file in %s %s, and jobs use either; give "
            "another --name or --version",
            model->name, model->version, inputs ? outputs ? "batch sizes" : "outputs" : "inputs",
            other->format, precision);
    if (memcmp(model->blob, other->blob, SHA256_BYTES) == 0)
        return why_set(why, ERR_USAGE, "%s version %s has this file already, in %s %s; give another file",
                       model->name, model->version, other->format, precision);
    return ERR_OK;
}

static enum err check_variants(struct registry *registry, const struct message_model_add *model,
                               struct why *why)
{
    uint32_t others = 0;
    enum err err = ERR_OK;
    for (size_t i = 0; i < registry->count && !err; i++) {
        const struct model *at = &registry->models[i];
        bool same = strcmp(at->name, model->name) == 0 && strcmp(at->version, model->version) == 0;
        bool replaced =
            precision_compare(at->precision, model->precision) == 0 && strcmp(at->format, model->format) == 0;
        if (!same || replaced)
            continue;
        err = check_beside(model, registry_at(registry, i), why);
        others++;
    }
    if (!err && others >= VARIANTS_MAX)
        err = why_set(why, ERR_LIMIT, "%s version %s has %u files, which is the most", model->name,
                      model->version, others);
    return err;
}

enum err registry_check(struct registry *registry, const struct message_model_add *model, struct why *why)
{
    if (!*model->name)
        return why_set(why, ERR_USAGE, "a model needs a name");
    if (!is_plain(model->name))
        return why_set(why, ERR_USAGE,
                       "a model cannot be named '%.100s': use letters, digits and . _ - only, no - first",
                       model->name);
    if (!is_plain(model->version))
        return why_set(why, ERR_USAGE,
                       "a model's version cannot be '%.100s': use letters, digits and . _ - only, no - first",
                       model->version);
    if (strcmp(model->name, "synthetic") == 0)
        return why_set(why, ERR_USAGE, "the name synthetic is the built-in model's; give another");
    if (*model->precision && !precision_bit(model->precision))
        return why_set(why, ERR_USAGE, "a model's precision cannot be '%.100s': use %s", model->precision,
                       PRECISION_NAMES);
    return check_variants(registry, model, why);
}

enum err registry_add(struct registry *registry, const struct message_model_add *model, struct why *why)
{
    if (!*model->name)
        return why_set(why, ERR_USAGE, "a model needs a name");
    enum err err = reserve(registry, why);
    if (err)
        return err;
    struct message message = { .type = MESSAGE_MODEL_ADD };
    message.model_add = *model;
    struct model fresh = { .name = strdup(model->name),
                           .version = strdup(model->version),
                           .format = strdup(model->format),
                           .precision = strdup(model->precision ? model->precision : "") };
    if (!fresh.name || !fresh.version || !fresh.format || !fresh.precision ||
        message_encode(&message, &fresh.spec, &fresh.size)) {
        model_fini(&fresh);
        return why_set(why, ERR_MEMORY, "out of memory for a model");
    }
    if (model->blob)
        memcpy(fresh.blob, model->blob, SHA256_BYTES);
    put(registry, &fresh);
    return ERR_OK;
}

enum err registry_restore(struct registry *registry, const uint8_t *spec, size_t size, struct why *why)
{
    const struct message *message;
    enum err err = decoder_decode(registry->decoder, spec, size, &message, why);
    if (err)
        return err;
    if (message->type != MESSAGE_MODEL_ADD)
        return why_set(why, ERR_FORMAT, "a model's record is a %s", message_name(message->type));
    return registry_add(registry, &message->model_add, why);
}

size_t registry_count(const struct registry *registry) { return registry->count; }

const struct message_model_add *registry_at(struct registry *registry, size_t index)
{
    ENSURE(index < registry->count);
    const struct message *message;
    /* Our own encoder made these bytes. */
    enum err err = decoder_decode(registry->decoder, registry->models[index].spec,
                                  registry->models[index].size, &message, NULL);
    ENSURE(!err);
    return &message->model_add;
}

size_t registry_find(struct registry *registry, const char *which)
{
    for (size_t i = registry->count; i-- > 0;) {
        const struct model *model = &registry->models[i];
        size_t length = strlen(model->name);
        if (strncmp(which, model->name, length) != 0)
            continue;
        if (!which[length])
            return i;
        if ((which[length] == ':' || which[length] == '@') && strcmp(which + length + 1, model->version) == 0)
            return i;
    }
    return SIZE_MAX;
}

/* Does which mean this file? A name alone means every version of it. */
static bool means(const char *which, const struct model *model)
{
    size_t length = strlen(model->name);
    if (strncmp(which, model->name, length) != 0)
        return false;
    bool versioned = which[length] == ':' || which[length] == '@';
    return !which[length] || (versioned && strcmp(which + length + 1, model->version) == 0);
}

size_t registry_remove(struct registry *registry, const char *which)
{
    size_t kept = 0, count = registry->count;
    for (size_t i = 0; i < count; i++) {
        if (means(which, &registry->models[i]))
            model_fini(&registry->models[i]);
        else
            registry->models[kept++] = registry->models[i];
    }
    registry->count = kept;
    return count - kept;
}

const uint8_t *registry_blob(const struct registry *registry, size_t index)
{
    ENSURE(index < registry->count);
    return registry->models[index].blob;
}

size_t registry_first(const struct registry *registry, size_t index)
{
    while (index > 0 && same_model(&registry->models[index - 1], &registry->models[index]))
        index--;
    return index;
}

size_t registry_last(const struct registry *registry, size_t index)
{
    while (index + 1 < registry->count && same_model(&registry->models[index + 1], &registry->models[index]))
        index++;
    return index;
}

uint32_t registry_find_number(const struct registry *registry, const uint8_t blob[SHA256_BYTES])
{
    for (uint32_t i = 0; i < registry->files_count; i++)
        if (memcmp(registry->files[i].blob, blob, SHA256_BYTES) == 0)
            return i;
    return REGISTRY_NONE;
}

uint32_t registry_number(struct registry *registry, const uint8_t blob[SHA256_BYTES])
{
    uint32_t number = registry_find_number(registry, blob);
    if (number != REGISTRY_NONE)
        return number;
    if (registry->files_count == REGISTRY_FILES_MAX)
        return REGISTRY_NONE;
    if (registry->files_count == registry->files_capacity) {
        uint32_t capacity = registry->files_capacity ? 2 * registry->files_capacity : 16;
        struct registry_file *files = realloc(registry->files, capacity * sizeof *files);
        if (!files)
            return REGISTRY_NONE;
        registry->files = files;
        registry->files_capacity = capacity;
    }
    struct registry_file *file = &registry->files[registry->files_count];
    memset(file, 0, sizeof *file);
    memcpy(file->blob, blob, SHA256_BYTES);
    return registry->files_count++;
}

uint32_t registry_numbers(struct registry *registry, const struct message_submit *submit,
                          uint32_t numbers[VARIANTS_MAX])
{
    uint32_t count = submit->variants_count ? submit->variants_count : 1;
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] =
            registry_number(registry, submit->variants_count ? submit->variants[i].blob : submit->model_blob);
        if (numbers[i] == REGISTRY_NONE)
            return 0;
    }
    return count;
}

struct registry_file *registry_file(const struct registry *registry, uint32_t number)
{
    ENSURE(number < registry->files_count);
    return &registry->files[number];
}
