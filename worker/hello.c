// SPDX-License-Identifier: Apache-2.0
#include "hello.h"

#include "emulated.h"
#include "ensure.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#ifndef MOTLEY_VERSION
#define MOTLEY_VERSION "unknown"
#endif

/* Of one device: texts made fit for the wire, and the arrays that point to them. */
struct device_store {
    struct device device;
    const char *precisions[PROBE_PRECISIONS_MAX];
    struct message_figure figures[PROBE_FIGURES_MAX];
};

struct hello_store {
    uint8_t worker[UUID_BYTES];
    char name[NAME_MAX_BYTES], host[NAME_MAX_BYTES];
    uint32_t labels_count;
    struct fleet_label label_texts[LABELS_MAX];
    struct message_label labels[LABELS_MAX];
    uint32_t devices_count;
    struct device_store device_stores[DEVICES_MAX];
    struct message_device devices[DEVICES_MAX];
    struct message_slot slots[SLOTS_MAX];
    const char *formats[BLEND_FORMATS_MAX];
    uint32_t formats_count;
    uint32_t sizes[FLEET_SIZES_MAX];
};

/* ---- labels ---- */

static enum err add_label(struct hello_store *store, const char *key, size_t key_length, const char *value,
                          struct why *why)
{
    if (store->labels_count == LABELS_MAX)
        return why_set(why, ERR_USAGE, "more than %d labels", LABELS_MAX);
    if (key_length == 0 || key_length >= FLEET_NAME_MAX || strlen(value) >= FLEET_NAME_MAX)
        return why_set(why, ERR_USAGE, "label '%s': give --labels key=value, each of at most %d bytes", key,
                       FLEET_NAME_MAX - 1);
    struct fleet_label *text = &store->label_texts[store->labels_count];
    snprintf(text->key, sizeof text->key, "%.*s", (int)key_length, key);
    text_clean(value, text->value, sizeof text->value);
    if (!text_ok(text->key, strlen(text->key)))
        return why_set(why, ERR_USAGE, "label '%s': its key is not valid UTF-8", key);
    store->labels[store->labels_count++] = (struct message_label){ text->key, text->value };
    return ERR_OK;
}

static enum err add_labels(struct hello_store *store, const struct fleet_worker *member,
                           const struct hello_options *options, struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; member != NULL && i < member->labels_count && err == ERR_OK; i++)
        err = add_label(store, member->labels[i].key, strlen(member->labels[i].key), member->labels[i].value,
                        why);
    for (uint32_t i = 0; i < options->labels_count && err == ERR_OK; i++) {
        const char *equals = strchr(options->labels[i], '=');
        if (equals == NULL)
            return why_set(why, ERR_USAGE, "label '%s': give --labels key=value", options->labels[i]);
        err = add_label(store, options->labels[i], (size_t)(equals - options->labels[i]), equals + 1, why);
    }
    return err;
}

/* ---- devices ---- */

static void clean(char *text, size_t max)
{
    char copy[PROBE_TEXT_MAX];
    ENSURE(max <= sizeof copy);
    text_clean(text, copy, max);
    memcpy(text, copy, strlen(copy) + 1);
}

static void clean_device(struct device *device)
{
    clean(device->id, sizeof device->id);
    clean(device->kind, sizeof device->kind);
    clean(device->vendor, sizeof device->vendor);
    clean(device->name, sizeof device->name);
    clean(device->uuid, sizeof device->uuid);
}

static void add_device(struct hello_store *store, const struct device *device)
{
    struct device_store *into = &store->device_stores[store->devices_count];
    into->device = *device;
    const struct device *it = &into->device;
    clean_device(&into->device);
    for (uint32_t i = 0; i < it->precisions_count; i++)
        into->precisions[i] = it->precisions[i];
    for (uint32_t i = 0; i < it->figures_count; i++)
        into->figures[i] = (struct message_figure){ it->figures[i].name, it->figures[i].value,
                                                    (uint32_t)it->figures[i].grade };
    store->devices[store->devices_count++] = (struct message_device){
        .id = it->id,
        .kind = it->kind,
        .vendor = it->vendor,
        .name = it->name,
        .uuid = it->uuid,
        .memory_total_bytes = it->memory_total_bytes,
        .memory_free_bytes = it->memory_free_bytes,
        .precisions = into->precisions,
        .precisions_count = it->precisions_count,
        .figures = into->figures,
        .figures_count = it->figures_count,
    };
}

static void add_catalog_figure(struct device *device, const char *name, double value)
{
    if (value <= 0)
        return;
    struct figure *figure = &device->figures[device->figures_count++];
    snprintf(figure->name, sizeof figure->name, "%s", name);
    figure->value = value;
    figure->grade = GRADE_CATALOG;
}

/* What the data sheet says of the device that is being emulated. */
static void add_catalog(struct device *device, const struct catalog_device *row)
{
    snprintf(device->vendor, sizeof device->vendor, "%s", row->vendor);
    add_catalog_figure(device, "int4_ops_per_second", row->int4_ops_per_second);
    add_catalog_figure(device, "int8_ops_per_second", row->int8_ops_per_second);
    add_catalog_figure(device, "fp16_ops_per_second", row->fp16_ops_per_second);
    add_catalog_figure(device, "bf16_ops_per_second", row->bf16_ops_per_second);
    add_catalog_figure(device, "fp32_ops_per_second", row->fp32_ops_per_second);
    add_catalog_figure(device, "memory_bandwidth_bytes_per_second", row->bandwidth_bytes_per_second);
    device->precisions_count = row->precisions[0] ? 0 : device->precisions_count;
    for (const char *at = row->precisions; *at && device->precisions_count < PROBE_PRECISIONS_MAX;) {
        size_t length = strcspn(at, " ");
        snprintf(device->precisions[device->precisions_count++], sizeof device->precisions[0], "%.*s",
                 (int)length, at);
        at += length + strspn(at + length, " ");
    }
}

static struct device emulated_device(const struct fleet_worker *member)
{
    struct device device = { .numa_node = -1,
                             .threads = 1,
                             .precisions_count = 1,
                             .precisions = { "fp32" },
                             .memory_total_bytes = (uint64_t)member->memory_bytes,
                             .memory_free_bytes = (uint64_t)member->memory_bytes,
                             .idle_watts = member->idle_watts,
                             .busy_watts = member->busy_watts };
    snprintf(device.kind, sizeof device.kind, "%s", member->kind);
    snprintf(device.id, sizeof device.id, "%s:0", member->kind);
    snprintf(device.name, sizeof device.name, "%s",
             member->device != NULL ? member->device->name : member->name);
    if (member->device != NULL)
        add_catalog(&device, member->device);
    return device;
}

/* ---- slots ---- */

static struct message_slot *add_slot(struct hello *hello, const struct device *device,
                                     const struct runtime_ops *ops)
{
    struct hello_store *store = hello->store;
    uint32_t number = hello->message.slots_count++;
    struct hello_slot *slot = &hello->slots[number];
    *slot = (struct hello_slot){ .ops = ops,
                                 .threads = device->threads > 0 ? device->threads : 1,
                                 .numa_node = device->numa_node };
    snprintf(slot->device, sizeof slot->device, "%s", device->id);
    store->slots[number] = (struct message_slot){
        .slot = number,
        .device = slot->device,
        .runtime = blend_name(),
        .formats = store->formats,
        .formats_count = store->formats_count,
        .batch_max = HELLO_LOCAL_BATCH_MAX,
        .window = HELLO_LOCAL_WINDOW,
        .idle_watts = device->idle_watts,
        .busy_watts = device->busy_watts,
        .price_per_hour = -1,
    };
    return &store->slots[number];
}

static void add_local(struct hello *hello, const struct machine *machine, const struct fleet_worker *member,
                      const struct hello_options *options)
{
    for (uint32_t i = 0; i < machine->devices_count && i < DEVICES_MAX; i++) {
        const struct device *device = &machine->devices[i];
        add_device(hello->store, device);
        if (strcmp(device->kind, "cpu") != 0)
            continue;
        struct message_slot *slot = add_slot(hello, device, &blend_ops);
        if (options->threads > 0)
            hello->slots[slot->slot].threads = options->threads;
        if (member != NULL)
            slot->price_per_hour = member->price_per_hour;
    }
}

static void add_emulated(struct hello *hello, const struct fleet_worker *member,
                         const struct hello_options *options)
{
    double scale = options->time_scale > 0 ? options->time_scale : 1;
    struct device device = emulated_device(member);
    add_device(hello->store, &device);
    struct message_slot *slot = add_slot(hello, &device, &emulated_ops);
    if (member->sizes_count > 0)
        memcpy(hello->store->sizes, member->sizes, member->sizes_count * sizeof member->sizes[0]);
    slot->runtime = emulated_ops.name;
    slot->batch_sizes = hello->store->sizes;
    slot->batch_sizes_count = member->sizes_count;
    slot->batch_max = member->curve.batch_max;
    slot->window = HELLO_EMULATED_WINDOW;
    slot->price_per_hour = member->price_per_hour;
    slot->load_us = member->load_seconds * 1e6 * scale;
    if (member->prior != NULL) {
        slot->alpha_us = member->prior->alpha_ms * 1000 * scale;
        slot->beta_us = member->prior->beta_ms * 1000 * scale;
    }
}

/* ---- all ---- */

static void set_identity(struct hello *hello, const struct machine *machine,
                         const struct fleet_worker *member, const struct hello_options *options)
{
    struct hello_store *store = hello->store;
    const char *name = options->name != NULL ? options->name : member != NULL ? member->name : machine->host;
    uuid_generate(store->worker); /* random also where the worker turns out to have one already */
    memcpy(&hello->message.life, store->worker, sizeof hello->message.life);
    hello->message.life = (hello->message.life & INT64_MAX) | 1;
    text_clean(machine->host, store->host, sizeof store->host);
    text_clean(name[0] != 0 ? name : "worker", store->name, sizeof store->name);
    hello->message.protocol_min = PROTOCOL_MIN;
    hello->message.protocol_max = PROTOCOL_MAX;
    hello->message.worker = store->worker;
    hello->message.name = store->name;
    hello->message.host = store->host;
    hello->message.version = MOTLEY_VERSION;
    hello->message.pid = (uint64_t)getpid();
    hello->message.labels = store->labels;
    hello->message.labels_count = store->labels_count;
    hello->message.devices = store->devices;
    hello->message.slots = store->slots;
}

enum err hello_new(const struct machine *machine, const struct fleet_worker *member,
                   const struct hello_options *options, struct hello **hello, struct why *why)
{
    *hello = calloc(1, sizeof **hello);
    struct hello_store *store = calloc(1, sizeof *store);
    if (*hello != NULL)
        (*hello)->store = store;
    if (*hello == NULL || store == NULL) {
        free(store);
        free(*hello);
        *hello = NULL;
        return why_set(why, ERR_MEMORY, "out of memory for this worker's description");
    }
    enum err err = add_labels(store, member, options, why);
    if (err != ERR_OK) {
        hello_free(hello);
        return err;
    }
    store->formats_count = blend_formats(store->formats);
    set_identity(*hello, machine, member, options);
    if (member == NULL || member->local)
        add_local(*hello, machine, member, options);
    else
        add_emulated(*hello, member, options);
    (*hello)->message.devices_count = store->devices_count;
    return ERR_OK;
}

void hello_free(struct hello **hello)
{
    if (*hello == NULL)
        return;
    free((*hello)->store);
    free(*hello);
    *hello = NULL;
}

void hello_drop_slot(struct hello *hello, uint32_t slot)
{
    ENSURE(slot < hello->message.slots_count);
    uint32_t count = --hello->message.slots_count;
    for (uint32_t i = slot; i < count; i++) {
        hello->slots[i] = hello->slots[i + 1];
        hello->message.slots[i] = hello->message.slots[i + 1];
        hello->message.slots[i].slot = i;
        hello->message.slots[i].device = hello->slots[i].device;
    }
}
