// SPDX-License-Identifier: Apache-2.0
#include "capability.h"

#include "coordinator_fixture.h"
#include "require.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The attributes as "name=value" one after the other, in order. */
static const char *listed(const struct attributes *attributes)
{
    static char text[4096];
    char value[256];
    text[0] = 0;
    for (uint32_t i = 0; i < attributes_count(attributes); i++) {
        struct attribute attribute;
        attributes_at(attributes, i, &attribute);
        attribute_show(&attribute, value, sizeof value);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s=%s", i ? " " : "", attribute.name, value);
    }
    return text;
}

static bool holds(const struct message_hello *hello, uint32_t slot, const char *text)
{
    struct require *require;
    struct why why;
    if (require_parse(text, strlen(text), &require, NULL, &why))
        fail_msg("%s: %s", text, why.text);
    struct attributes *attributes = capability_of(hello, slot);
    bool result = require_eval(require, attributes);
    attributes_free(&attributes);
    require_free(&require);
    return result;
}

static void what_is_unknown_is_left_out(void **state)
{
    (void)state;
    struct message_hello hello = fixture_hello(1, "a", 2);
    struct attributes *attributes = capability_of(&hello, 1);
    assert_string_equal(
        listed(attributes),
        "batch.max=8 device.id=cpu0 device.kind=cpu device.memory=1kB device.name=A processor "
        "format=[of-tomorrow, onnx, synthetic] host=lab precision=[fp32, int8] runtime=emulated "
        "window=2 worker=a worker.version=1 label.room=b12");
    attributes_free(&attributes);
}

static void what_is_known_can_be_asked(void **state)
{
    (void)state;
    struct message_hello hello = fixture_hello(1, "a", 1);
    struct message_figure figures[] = { { "copy_bandwidth_bytes_per_second", 10e9, MESSAGE_GRADE_MEASURED },
                                        { "memory_bandwidth_bytes_per_second", 300e9, MESSAGE_GRADE_CATALOG },
                                        { "fp16_ops_per_second", 65e12, MESSAGE_GRADE_CATALOG },
                                        { "int8_ops_per_second", 130e12, MESSAGE_GRADE_CATALOG } };
    uint32_t sizes[] = { 1, 8 };
    hello.devices[0].vendor = "NVIDIA";
    hello.devices[0].uuid = "GPU-1";
    hello.devices[0].memory_free_bytes = 900;
    hello.devices[0].figures = figures;
    hello.devices[0].figures_count = 4;
    hello.slots[0].batch_sizes = sizes;
    hello.slots[0].batch_sizes_count = 2;
    hello.slots[0].load_us = 2.5e6;
    hello.slots[0].idle_watts = 10;
    hello.slots[0].busy_watts = 70;
    hello.slots[0].price_per_hour = 0;
    hello.version = "1.4.2-7-gabc";
    static const char *const held[] = { "device.vendor = nvidia",
                                        "device.uuid = GPU-1",
                                        "device.memory_free = 900B",
                                        "device.bandwidth = 300GB/s",
                                        "device.peak.fp16 = 65TFLOPS",
                                        "device.peak.int8 >= 130TOPS",
                                        "batch.sizes has 8, not batch.sizes has 4",
                                        "load_time = 2500ms",
                                        "device.power_idle = 10W, device.power = 70W",
                                        "price = 0",
                                        "worker.version >= 1.4, worker.version < 1.5",
                                        "label.room = b12" };
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
        if (!holds(&hello, 0, held[i]))
            fail_msg("%s does not hold", held[i]);
}

static void slots_alike_are_equal(void **state)
{
    (void)state;
    struct message_hello hello = fixture_hello(1, "a", 3);
    struct attributes *first = capability_of(&hello, 0), *second = capability_of(&hello, 1),
                      *third = capability_of(&hello, 2);
    assert_false(attributes_equal(first, second)); /* another runtime */
    assert_true(attributes_equal(second, third));
    assert_true(attributes_hash(second) == attributes_hash(third));
    attributes_free(&first);
    attributes_free(&second);
    attributes_free(&third);
}

static void lies_are_left_out(void **state)
{
    (void)state;
    struct message_hello hello = fixture_hello(1, "", 1);
    struct message_figure figures[] = { { "memory_bandwidth_bytes_per_second", NAN, MESSAGE_GRADE_MEASURED },
                                        { "copy_bandwidth_bytes_per_second", 10e9, MESSAGE_GRADE_MEASURED },
                                        { "fp16_ops_per_second", -1, MESSAGE_GRADE_MEASURED } };
    struct message_label labels[] = { { "two words", "x" }, { "room", "a" }, { "room", "b" }, { "", "x" } };
    hello.devices[0].figures = figures;
    hello.devices[0].figures_count = 3;
    hello.devices[0].memory_total_bytes = UINT64_MAX;
    hello.slots[0].busy_watts = INFINITY;
    hello.slots[0].load_us = NAN;
    hello.labels = labels;
    hello.labels_count = 4;
    hello.version = "unknown";
    struct attributes *attributes = capability_of(&hello, 0);
    assert_null(strstr(listed(attributes), "power"));
    assert_null(strstr(listed(attributes), "peak"));
    assert_null(strstr(listed(attributes), "load"));
    assert_null(strstr(listed(attributes), "version"));
    assert_non_null(strstr(listed(attributes), "device.bandwidth=10GB/s"));
    assert_non_null(strstr(listed(attributes), "label.room=a"));
    attributes_free(&attributes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_unknown_is_left_out),
        cmocka_unit_test(what_is_known_can_be_asked),
        cmocka_unit_test(slots_alike_are_equal),
        cmocka_unit_test(lies_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
