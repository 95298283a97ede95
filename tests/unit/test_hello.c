// SPDX-License-Identifier: Apache-2.0
/* What a worker says of itself, for real machines, odd ones and emulated devices: it always passes the
 * protocol's own tables. */
#include "hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include <cmocka.h>

static struct machine machine;
static struct hello *hello;
static struct why why;

static int set_up(void **state)
{
    (void)state;
    machine = (struct machine){ .host = "lab", .os = "Linux", .architecture = "x86_64", .devices_count = 2 };
    machine.devices[0] = (struct device){
        .id = "cpu:0",
        .kind = "cpu",
        .vendor = "V",
        .name = "N",
        .uuid = "u",
        .memory_total_bytes = 4096,
        .memory_free_bytes = 1024,
        .numa_node = -1,
        .threads = 3,
        .idle_watts = -1,
        .busy_watts = -1,
        .precisions_count = 1,
        .precisions = { "fp32" },
        .figures_count = 1,
        .figures = { { "copy_bandwidth_bytes_per_second", 1e9, GRADE_MEASURED } },
    };
    machine.devices[1] = (struct device){ .id = "gpu:0", .kind = "gpu", .idle_watts = 10, .busy_watts = 300 };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hello_free(&hello);
    hello_free(&hello);
    return 0;
}

static struct fleet_worker emulated_member(void)
{
    static const uint32_t sizes[] = { 1, 8, 64 };
    static const struct fleet_label labels[] = { { "room", "b12" } };
    struct fleet_worker member = {
        .name = "odd-box-2",
        .kind = "npu",
        .has_curve = true,
        .curve = { 20, 10, 64 },
        .sizes_count = 3,
        .sizes = sizes,
        .idle_watts = 2,
        .busy_watts = 9,
        .price_per_hour = 0.2,
        .labels_count = 1,
        .labels = labels,
    };
    return member;
}

/* Through the wire and back: the encoder ENSUREs that it obeys its table, the decoder checks every bound. */
static void pass_the_wire(void)
{
    uint8_t *body;
    size_t size;
    const struct message *decoded;
    struct message message = { .type = MESSAGE_HELLO, .hello = hello->message };
    struct decoder *decoder = decoder_new();
    assert_int_equal(message_encode(&message, &body, &size), ERR_OK);
    if (decoder_decode(decoder, body, size, &decoded, &why) != ERR_OK)
        fail_msg("%s", why.text);
    assert_int_equal(decoded->hello.slots_count, hello->message.slots_count);
    assert_string_equal(decoded->hello.name, hello->message.name);
    free(body);
    decoder_free(&decoder);
}

static enum err make(const struct fleet_worker *member, struct hello_options options)
{
    return hello_new(&machine, member, &options, &hello, &why);
}

static void test_real_machine(void **state)
{
    (void)state;
    assert_int_equal(make(NULL, (struct hello_options){ 0 }), ERR_OK);
    assert_string_equal(hello->message.name, "lab");
    assert_int_equal(hello->message.devices_count, 2);
    assert_int_equal(hello->message.slots_count, 1);
    const struct message_slot *slot = &hello->message.slots[0];
    assert_string_equal(slot->device, "cpu:0");
    assert_string_equal(slot->runtime, blend_name());
    assert_int_equal(slot->window, HELLO_LOCAL_WINDOW);
    assert_true(slot->idle_watts < 0 && slot->price_per_hour < 0);
    assert_string_equal(slot->formats[slot->formats_count - 1], "synthetic");
    assert_int_equal(hello->slots[0].threads, 3);
    assert_ptr_equal(hello->slots[0].ops, &blend_ops);
    assert_string_equal(hello->message.devices[0].figures[0].name, "copy_bandwidth_bytes_per_second");
    assert_int_equal(hello->message.devices[0].figures[0].grade, MESSAGE_GRADE_MEASURED);
    pass_the_wire();
}

static void test_options(void **state)
{
    (void)state;
    const char *labels[] = { "room=b12", "empty=", "x=a=b" };
    assert_int_equal(
        make(NULL, (struct hello_options){ .name = "me", .labels = labels, .labels_count = 3, .threads = 7 }),
        ERR_OK);
    assert_string_equal(hello->message.name, "me");
    assert_int_equal(hello->slots[0].threads, 7);
    assert_int_equal(hello->message.labels_count, 3);
    assert_string_equal(hello->message.labels[1].value, "");
    assert_string_equal(hello->message.labels[2].key, "x");
    assert_string_equal(hello->message.labels[2].value, "a=b");
    pass_the_wire();
}

static void test_labels_that_are_none(void **state)
{
    (void)state;
    const char *bad[] = { "room", "=b", "\xff=1" };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(make(NULL, (struct hello_options){ .labels = &bad[i], .labels_count = 1 }),
                         ERR_USAGE);
        assert_null(hello);
        assert_non_null(strstr(why.text, "label"));
    }
}

static void test_emulated_member(void **state)
{
    (void)state;
    struct fleet_worker member = emulated_member();
    assert_int_equal(make(&member, (struct hello_options){ 0 }), ERR_OK);
    assert_string_equal(hello->message.name, "odd-box-2");
    assert_int_equal(hello->message.devices_count, 1);
    assert_string_equal(hello->message.devices[0].kind, "npu");
    assert_int_equal(hello->message.slots_count, 1);
    const struct message_slot *slot = &hello->message.slots[0];
    assert_string_equal(slot->runtime, "emulated");
    assert_string_equal(slot->device, hello->message.devices[0].id);
    assert_int_equal(slot->batch_sizes_count, 3);
    assert_int_equal(slot->batch_sizes[2], 64);
    assert_int_equal(slot->batch_max, 64);
    assert_int_equal(slot->window, HELLO_EMULATED_WINDOW);
    assert_true(slot->alpha_us == 0 && slot->beta_us == 0);
    assert_true(slot->busy_watts == 9 && slot->price_per_hour == 0.2);
    assert_string_equal(hello->message.labels[0].value, "b12");
    pass_the_wire();
}

static void test_catalog_member(void **state)
{
    (void)state;
    const struct catalog_prior prior = { .alpha_ms = 2, .beta_ms = 0.5 };
    struct fleet_worker member = { .name = "t4",
                                   .kind = "gpu",
                                   .device = catalog_find("nvidia-t4"),
                                   .prior = &prior,
                                   .has_curve = true,
                                   .curve = { 2, 0.5, 256 },
                                   .memory_bytes = 17179869184.0,
                                   .idle_watts = -1,
                                   .busy_watts = 70,
                                   .price_per_hour = -1 };
    assert_int_equal(make(&member, (struct hello_options){ .time_scale = 0.5 }), ERR_OK);
    const struct message_device *device = &hello->message.devices[0];
    assert_string_equal(device->name, "nvidia-t4");
    assert_string_equal(device->vendor, "NVIDIA");
    assert_int_equal(device->memory_total_bytes, 17179869184);
    assert_int_equal(device->precisions_count, 4);
    assert_string_equal(device->precisions[2], "int8");
    assert_int_equal(device->figures_count, 3); /* what is not published or 0 is left out */
    assert_string_equal(device->figures[0].name, "fp16_ops_per_second");
    assert_true(device->figures[0].value == 64.8e12);
    assert_int_equal(device->figures[0].grade, MESSAGE_GRADE_CATALOG);
    assert_true(hello->message.slots[0].alpha_us == 1000 && hello->message.slots[0].beta_us == 250);
    pass_the_wire();
}

static void test_local_member(void **state)
{
    (void)state;
    struct fleet_worker member = { .name = "here", .local = true, .price_per_hour = 0.5 };
    assert_int_equal(make(&member, (struct hello_options){ 0 }), ERR_OK);
    assert_string_equal(hello->message.name, "here");
    assert_string_equal(hello->message.slots[0].device, "cpu:0");
    assert_true(hello->message.slots[0].price_per_hour == 0.5);
    pass_the_wire();
}

static void test_odd_texts_are_cleaned(void **state)
{
    (void)state;
    memset(machine.devices[0].name, 0xff, sizeof machine.devices[0].name - 1);
    snprintf(machine.devices[0].vendor, sizeof machine.devices[0].vendor, "a\x01\x1b[31m");
    snprintf(machine.host, sizeof machine.host, "%s", "");
    assert_int_equal(make(NULL, (struct hello_options){ 0 }), ERR_OK);
    assert_string_equal(hello->message.name, "worker");
    pass_the_wire();
}

static void test_nothing_found(void **state)
{
    (void)state;
    machine.devices_count = 0;
    assert_int_equal(make(NULL, (struct hello_options){ 0 }), ERR_OK);
    assert_int_equal(hello->message.slots_count, 0);
    pass_the_wire();
}

static void test_most_devices(void **state)
{
    (void)state;
    machine.devices_count = PROBE_DEVICES_MAX;
    for (uint32_t i = 0; i < PROBE_DEVICES_MAX; i++) {
        machine.devices[i] = machine.devices[0];
        snprintf(machine.devices[i].id, sizeof machine.devices[i].id, "cpu:%u", i);
    }
    assert_int_equal(make(NULL, (struct hello_options){ 0 }), ERR_OK);
    assert_int_equal(hello->message.slots_count, PROBE_DEVICES_MAX);
    pass_the_wire();
    hello_drop_slot(hello, 0);
    hello_drop_slot(hello, 10);
    hello_drop_slot(hello, PROBE_DEVICES_MAX - 3);
    assert_int_equal(hello->message.slots_count, PROBE_DEVICES_MAX - 3);
    assert_string_equal(hello->message.slots[0].device, "cpu:1");
    assert_string_equal(hello->slots[10].device, "cpu:12");
    pass_the_wire();
}

static void test_json(void **state)
{
    (void)state;
    assert_int_equal(make(NULL, (struct hello_options){ 0 }), ERR_OK);
    char *text = hello_json(hello, &machine);
    assert_non_null(text);
    yyjson_doc *json = yyjson_read(text, strlen(text), 0);
    assert_non_null(json);
    yyjson_val *root = yyjson_doc_get_root(json);
    yyjson_val *device = yyjson_arr_get(yyjson_obj_get(root, "devices"), 1);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(device, "kind")), "gpu");
    assert_true(yyjson_is_null(yyjson_obj_get(device, "memory_total_bytes")));
    yyjson_val *slot = yyjson_arr_get(yyjson_obj_get(root, "slots"), 0);
    assert_true(yyjson_is_null(yyjson_obj_get(slot, "busy_watts")));
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(slot, "batch_max")), HELLO_LOCAL_BATCH_MAX);
    yyjson_doc_free(json);
    free(text);
}

static void test_identity_is_new_each_time(void **state)
{
    (void)state;
    uint8_t first[UUID_BYTES];
    assert_int_equal(make(NULL, (struct hello_options){ 0 }), ERR_OK);
    memcpy(first, hello->message.worker, UUID_BYTES);
    hello_free(&hello);
    assert_int_equal(make(NULL, (struct hello_options){ 0 }), ERR_OK);
    assert_memory_not_equal(first, hello->message.worker, UUID_BYTES);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_real_machine),
        STORY(test_options),
        STORY(test_labels_that_are_none),
        STORY(test_emulated_member),
        STORY(test_catalog_member),
        STORY(test_local_member),
        STORY(test_odd_texts_are_cleaned),
        STORY(test_nothing_found),
        STORY(test_most_devices),
        STORY(test_json),
        STORY(test_identity_is_new_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
