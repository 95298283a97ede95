// SPDX-License-Identifier: Apache-2.0
#include "capability.h"

#include "ensure.h"

#include <stdio.h>
#include <string.h>

/* Where several figures tell an attribute, the first of this table that the device has counts. */
static const struct {
    const char *figure, *attribute;
} figures[] = {
    { "memory_bandwidth_bytes_per_second", "device.bandwidth" },
    { "bandwidth_bytes_per_second", "device.bandwidth" },
    { "copy_bandwidth_bytes_per_second", "device.bandwidth" },
    { "bf16_ops_per_second", "device.peak.bf16" },
    { "fp16_ops_per_second", "device.peak.fp16" },
    { "fp32_ops_per_second", "device.peak.fp32" },
    { "fp4_ops_per_second", "device.peak.fp4" },
    { "fp64_ops_per_second", "device.peak.fp64" },
    { "fp8_ops_per_second", "device.peak.fp8" },
    { "int4_ops_per_second", "device.peak.int4" },
    { "int8_ops_per_second", "device.peak.int8" },
    { "tf32_ops_per_second", "device.peak.tf32" },
};

static void add_figures(struct attributes_builder *builder, const struct message_device *device)
{
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        for (uint32_t j = 0; j < device->figures_count; j++)
            if (strcmp(device->figures[j].name, figures[i].figure) == 0)
                attributes_add_number(builder, figures[i].attribute, device->figures[j].value);
}

static void add_device(struct attributes_builder *builder, const struct message_device *device)
{
    attributes_add_text(builder, "device.id", device->id);
    attributes_add_text(builder, "device.kind", device->kind);
    attributes_add_text(builder, "device.vendor", device->vendor);
    attributes_add_text(builder, "device.name", device->name);
    attributes_add_text(builder, "device.uuid", device->uuid);
    if (device->memory_total_bytes)
        attributes_add_number(builder, "device.memory", (double)device->memory_total_bytes);
    if (device->memory_free_bytes)
        attributes_add_number(builder, "device.memory_free", (double)device->memory_free_bytes);
    attributes_add_set(builder, "precision", device->precisions, device->precisions_count);
    add_figures(builder, device);
}

static void add_slot(struct attributes_builder *builder, const struct message_slot *slot)
{
    attributes_add_text(builder, "runtime", slot->runtime);
    attributes_add_set(builder, "format", slot->formats, slot->formats_count);
    attributes_add_number(builder, "batch.max", slot->batch_max);
    attributes_add_whole_set(builder, "batch.sizes", slot->batch_sizes, slot->batch_sizes_count);
    attributes_add_number(builder, "window", slot->window);
    attributes_add_number(builder, "device.power", slot->busy_watts);
    attributes_add_number(builder, "device.power_idle", slot->idle_watts);
    attributes_add_number(builder, "price", slot->price_per_hour);
    if (slot->load_us > 0)
        attributes_add_number(builder, "load_time", slot->load_us / 1e6);
}

static void add_worker(struct attributes_builder *builder, const struct message_hello *hello)
{
    attributes_add_text(builder, "worker", hello->name);
    attributes_add_text(builder, "host", hello->host);
    attributes_add_version(builder, "worker.version", hello->version);
    for (uint32_t i = 0; i < hello->labels_count; i++)
        attributes_add_label(builder, hello->labels[i].key, hello->labels[i].value);
}

static const struct message_device *device_of(const struct message_hello *hello, const char *id)
{
    for (uint32_t i = 0; i < hello->devices_count; i++)
        if (strcmp(hello->devices[i].id, id) == 0)
            return &hello->devices[i];
    return NULL;
}

struct attributes *capability_of(const struct message_hello *hello, uint32_t slot)
{
    struct attributes_builder builder;
    ENSURE(slot < hello->slots_count);
    const struct message_device *device = device_of(hello, hello->slots[slot].device);
    ENSURE(device);
    attributes_begin(&builder);
    add_device(&builder, device);
    add_slot(&builder, &hello->slots[slot]);
    add_worker(&builder, hello);
    return attributes_finish(&builder);
}
