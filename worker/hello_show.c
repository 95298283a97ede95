// SPDX-License-Identifier: Apache-2.0
#include "hello.h"

#include <stdio.h>
#include <string.h>
#include <yyjson.h>

typedef yyjson_mut_doc doc;
typedef yyjson_mut_val val;

static void add_bytes(doc *json, val *object, const char *key, uint64_t bytes)
{
    if (bytes > 0)
        yyjson_mut_obj_add_uint(json, object, key, bytes);
    else
        yyjson_mut_obj_add_null(json, object, key);
}

static void add_known(doc *json, val *object, const char *key, double value)
{
    if (value >= 0)
        yyjson_mut_obj_add_real(json, object, key, value);
    else
        yyjson_mut_obj_add_null(json, object, key);
}

static void add_text(doc *json, val *object, const char *key, const char *text)
{
    if (text[0] != 0)
        yyjson_mut_obj_add_str(json, object, key, text);
    else
        yyjson_mut_obj_add_null(json, object, key);
}

static val *figures_json(doc *json, const struct message_device *device)
{
    val *figures = yyjson_mut_obj(json);
    for (uint32_t i = 0; i < device->figures_count; i++) {
        val *figure = yyjson_mut_obj(json);
        yyjson_mut_obj_add_real(json, figure, "value", device->figures[i].value);
        yyjson_mut_obj_add_str(json, figure, "grade", grade_name((enum grade)device->figures[i].grade));
        yyjson_mut_obj_add_val(json, figures, device->figures[i].name, figure);
    }
    return figures;
}

static val *device_json(doc *json, const struct message_device *device)
{
    val *object = yyjson_mut_obj(json);
    val *precisions = yyjson_mut_obj(json);
    yyjson_mut_obj_add_str(json, object, "id", device->id);
    yyjson_mut_obj_add_str(json, object, "kind", device->kind);
    add_text(json, object, "vendor", device->vendor);
    add_text(json, object, "name", device->name);
    add_text(json, object, "uuid", device->uuid);
    add_bytes(json, object, "memory_total_bytes", device->memory_total_bytes);
    add_bytes(json, object, "memory_free_bytes", device->memory_free_bytes);
    for (uint32_t i = 0; i < device->precisions_count; i++)
        yyjson_mut_obj_add_bool(json, precisions, device->precisions[i], true);
    yyjson_mut_obj_add_val(json, object, "precisions", precisions);
    yyjson_mut_obj_add_val(json, object, "figures", figures_json(json, device));
    return object;
}

static val *slot_json(doc *json, const struct message_slot *slot, uint32_t threads)
{
    val *object = yyjson_mut_obj(json);
    val *formats = yyjson_mut_arr(json), *sizes = yyjson_mut_arr(json);
    for (uint32_t i = 0; i < slot->formats_count; i++)
        yyjson_mut_arr_add_str(json, formats, slot->formats[i]);
    for (uint32_t i = 0; i < slot->batch_sizes_count; i++)
        yyjson_mut_arr_add_uint(json, sizes, slot->batch_sizes[i]);
    yyjson_mut_obj_add_uint(json, object, "id", slot->slot);
    yyjson_mut_obj_add_str(json, object, "device", slot->device);
    yyjson_mut_obj_add_str(json, object, "runtime", slot->runtime);
    yyjson_mut_obj_add_val(json, object, "formats", formats);
    yyjson_mut_obj_add_val(json, object, "batch_sizes", sizes);
    yyjson_mut_obj_add_uint(json, object, "batch_max", slot->batch_max);
    yyjson_mut_obj_add_uint(json, object, "window", slot->window);
    yyjson_mut_obj_add_uint(json, object, "threads", threads);
    add_known(json, object, "idle_watts", slot->idle_watts);
    add_known(json, object, "busy_watts", slot->busy_watts);
    add_known(json, object, "price_per_hour", slot->price_per_hour);
    return object;
}

char *hello_json(const struct hello *hello, const struct machine *machine)
{
    const struct message_hello *message = &hello->message;
    doc *json = yyjson_mut_doc_new(NULL);
    if (json == NULL)
        return NULL;
    val *root = yyjson_mut_obj(json), *labels = yyjson_mut_obj(json);
    val *devices = yyjson_mut_arr(json), *slots = yyjson_mut_arr(json);
    yyjson_mut_doc_set_root(json, root);
    for (uint32_t i = 0; i < message->labels_count; i++)
        yyjson_mut_obj_add_str(json, labels, message->labels[i].key, message->labels[i].value);
    for (uint32_t i = 0; i < message->devices_count; i++)
        yyjson_mut_arr_append(devices, device_json(json, &message->devices[i]));
    for (uint32_t i = 0; i < message->slots_count; i++)
        yyjson_mut_arr_append(slots, slot_json(json, &message->slots[i], hello->slots[i].threads));
    yyjson_mut_obj_add_str(json, root, "name", message->name);
    yyjson_mut_obj_add_str(json, root, "host", message->host);
    yyjson_mut_obj_add_str(json, root, "version", message->version);
    add_text(json, root, "os", machine->os);
    add_text(json, root, "architecture", machine->architecture);
    yyjson_mut_obj_add_val(json, root, "labels", labels);
    yyjson_mut_obj_add_val(json, root, "devices", devices);
    yyjson_mut_obj_add_val(json, root, "slots", slots);
    char *text = yyjson_mut_write(json, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
    yyjson_mut_doc_free(json);
    return text;
}

static void print_device(const struct message_device *device)
{
    printf("device %s: %s%s%s", device->id, device->kind, device->name[0] != 0 ? ", " : "", device->name);
    if (device->memory_total_bytes > 0)
        printf(", %.1f GiB of memory (%.1f free)", (double)device->memory_total_bytes / (1 << 30),
               (double)device->memory_free_bytes / (1 << 30));
    printf("\n");
    for (uint32_t i = 0; i < device->figures_count; i++)
        printf("  %s %.4g (%s)\n", device->figures[i].name, device->figures[i].value,
               grade_name((enum grade)device->figures[i].grade));
}

static void print_slot(const struct message_slot *slot, uint32_t threads)
{
    printf("slot %u: %s through %s, %u thread%s, formats", slot->slot, slot->device, slot->runtime, threads,
           threads == 1 ? "" : "s");
    for (uint32_t i = 0; i < slot->formats_count; i++)
        printf("%s %s", i > 0 ? "," : "", slot->formats[i]);
    printf(", batches up to %u\n", slot->batch_max);
}

void hello_print(const struct hello *hello, const struct machine *machine)
{
    const struct message_hello *message = &hello->message;
    printf("worker %s on %s (%s, %s)\n", message->name, message->host, machine->os, machine->architecture);
    for (uint32_t i = 0; i < message->devices_count; i++)
        print_device(&message->devices[i]);
    for (uint32_t i = 0; i < message->slots_count; i++)
        print_slot(&message->slots[i], hello->slots[i].threads);
    if (message->slots_count == 0)
        printf("no slot: nothing here can run a model\n");
}
