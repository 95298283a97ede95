// SPDX-License-Identifier: Apache-2.0
/* The catalog's rows (units, plausibility, sources, names) and the curves that are made of them. */
#include "catalog.h"
#include "fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct why why;
static const struct catalog_device *devices;
static const struct catalog_benchmark *benchmarks;
static const struct catalog_result *results;
static size_t devices_count, benchmarks_count, results_count;

static void near(double got, double expected)
{
    double error = got > expected ? got - expected : expected - got;
    if (!(error <= 1e-9 * (expected < 0 ? -expected : expected)))
        fail_msg("%.12g is not %.12g", got, expected);
}

static const struct catalog_device *device(const char *name)
{
    const struct catalog_device *found = catalog_find(name);
    if (found == NULL)
        fail_msg("no device %s", name);
    return found;
}

static struct catalog_prior prior_of(const char *name, const char *benchmark)
{
    struct catalog_prior prior;
    const struct catalog_workload workload = { .benchmark = benchmark };
    if (catalog_prior(device(name), &workload, &prior, &why) != ERR_OK)
        fail_msg("%s with %s: %s", name, benchmark, why.text);
    return prior;
}

/* ---- rows ---- */

/* Not published, or a rate that a device of that time can have: 10^9 (a microcontroller) to 10^16 of one
 * device. */
static void check_rate(const struct catalog_device *row, double rate)
{
    if (rate > 0 && (rate < 1e9 || rate > 1e16 * row->parts))
        fail_msg("%s: %g operations per second", row->name, rate);
}

static void test_units(void **state)
{
    (void)state;
    for (size_t i = 0; i < devices_count; i++) {
        const struct catalog_device *row = &devices[i];
        check_rate(row, row->int4_ops_per_second);
        check_rate(row, row->int8_ops_per_second);
        check_rate(row, row->fp16_ops_per_second);
        check_rate(row, row->bf16_ops_per_second);
        check_rate(row, row->fp32_ops_per_second);
        if (row->memory_bytes >= 0 && (row->memory_bytes < 1e5 || row->memory_bytes > 4e11 * row->parts))
            fail_msg("%s: %g bytes of memory", row->name, row->memory_bytes);
        if (row->bandwidth_bytes_per_second >= 0 &&
            (row->bandwidth_bytes_per_second < 1e8 || row->bandwidth_bytes_per_second > 3e16))
            fail_msg("%s: %g bytes per second", row->name, row->bandwidth_bytes_per_second);
        if (row->power_watts >= 0 && (row->power_watts < 1e-4 || row->power_watts > 2e4 * row->parts))
            fail_msg("%s: %g watts", row->name, row->power_watts);
        if (row->year != 0 && (row->year < 2010 || row->year > 2030))
            fail_msg("%s: year %u", row->name, row->year);
    }
}

/* Dense rates: half the bits, twice to four times the rate and never less; and no device does more than 10^13
 * operations per joule. Sparse figures among dense ones, and TOPS among TFLOPS, fail here. */
static void test_rates_fit_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < devices_count; i++) {
        const struct catalog_device *row = &devices[i];
        double int8 = row->int8_ops_per_second, fp16 = row->fp16_ops_per_second,
               fp32 = row->fp32_ops_per_second;
        if (int8 > 0 && fp16 > 0 && (int8 < fp16 || (int8 > 4.1 * fp16 && strstr(row->note, "DLA") == NULL)))
            fail_msg("%s: int8 %g, fp16 %g", row->name, int8, fp16);
        if (fp16 > 0 && fp32 > 0 && fp16 < fp32)
            fail_msg("%s: fp16 %g, fp32 %g", row->name, fp16, fp32);
        if (catalog_peak(row) > 0 && row->power_watts > 0 && catalog_peak(row) / row->power_watts > 1e13)
            fail_msg("%s: %g operations per joule", row->name, catalog_peak(row) / row->power_watts);
    }
    for (size_t i = 0; i < devices_count; i++) {
        const struct catalog_device *row = &devices[i];
        const struct catalog_device *part = row->part[0] ? device(row->part) : NULL;
        double times = part ? catalog_peak(row) / catalog_peak(part) / row->parts : 1;
        if (times < 0.98 || times > 1.02)
            fail_msg("%s is not %u x %s", row->name, row->parts, part->name);
    }
}

static void test_every_figure_has_a_source(void **state)
{
    (void)state;
    for (size_t i = 0; i < devices_count; i++)
        if (strlen(devices[i].source) < 6)
            fail_msg("%s has no source", devices[i].name);
    for (size_t i = 0; i < benchmarks_count; i++)
        if ((benchmarks[i].operations_per_sample >= 0 || benchmarks[i].parameters >= 0) &&
            !benchmarks[i].source[0])
            fail_msg("%s has no source", benchmarks[i].name);
    for (size_t i = 0; i < results_count; i++)
        if (strncmp(results[i].source, "mlcommons/", 10) != 0)
            fail_msg("%s with %s has no source", results[i].device, results[i].benchmark);
}

static void test_kinds(void **state)
{
    (void)state;
    static const char kinds[] = " cpu gpu tpu npu fpga dsp mcu remote ";
    char kind[32];
    for (size_t i = 0; i < devices_count; i++) {
        snprintf(kind, sizeof kind, " %s ", devices[i].kind);
        if (!strstr(kinds, kind))
            fail_msg("%s is a '%s'", devices[i].name, devices[i].kind);
    }
}

/* Names and aliases lead to their row, which they would not if another row had them too. */
static void test_names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < devices_count; i++) {
        char aliases[2048], *rest = aliases, *alias;
        assert_ptr_equal(catalog_find(devices[i].name), &devices[i]);
        assert_true(strlen(devices[i].name) < FLEET_NAME_MAX && strlen(devices[i].aliases) < sizeof aliases);
        snprintf(aliases, sizeof aliases, "%s", devices[i].aliases);
        while ((alias = strsep(&rest, " ")) != NULL)
            if (alias[0] && (catalog_find(alias) != &devices[i] || strlen(alias) >= FLEET_NAME_MAX))
                fail_msg("%s: the alias '%s' leads elsewhere", devices[i].name, alias);
    }
    for (size_t i = 0; i < benchmarks_count; i++) {
        char aliases[256], *rest = aliases, *alias;
        assert_ptr_equal(catalog_find_benchmark(benchmarks[i].name), &benchmarks[i]);
        snprintf(aliases, sizeof aliases, "%s", benchmarks[i].aliases);
        while ((alias = strsep(&rest, " ")) != NULL)
            assert_true(!alias[0] || catalog_find_benchmark(alias) == &benchmarks[i]);
    }
    assert_null(catalog_find(""));
    assert_null(catalog_find("no-such-device"));
}

static void test_published_names_join(void **state)
{
    (void)state;
    assert_ptr_equal(device("nvidia-h200"), device("nvidia-h200-sxm"));
    assert_ptr_equal(device("mcu:NUCLEO_L4R5ZI"), device("mcu-stm32l4r5-reference"));
    assert_ptr_equal(device("armnn-cortex-a72"), device("arm-cortex-a72-rpi4"));
    assert_int_equal(device("nvidia-dgx-h200")->parts, 8);
    for (size_t i = 0; i < results_count; i++) {
        assert_non_null(device(results[i].device));
        assert_non_null(catalog_find_benchmark(results[i].benchmark));
        assert_true(results[i].value > 0 && results[i].devices > 0);
    }
}

/* With figures of the user's own where nothing is published: no row is good for nothing. */
static void test_every_row_is_usable_in_a_fleet_file(void **state)
{
    (void)state;
    size_t without = 0;
    for (size_t i = 0; i < devices_count; i++) {
        char path[64];
        struct fleet *fleet;
        struct catalog_prior prior;
        const struct catalog_workload workload = { .benchmark = CATALOG_DEFAULT_BENCHMARK };
        int fd = memfd_create("fleet", 0);
        bool bare = catalog_prior(&devices[i], &workload, &prior, &why) == ERR_OK;
        without += !bare;
        assert_true(bare || strstr(why.text, "give curve"));
        assert_true(dprintf(fd, "workers: [ { device: '%s', count: 2%s } ]\n", devices[i].name,
                            bare ? "" : ", curve: { alpha_ms: 1, beta_ms: 2 }") > 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (fleet_read(path, &fleet, &why) != ERR_OK)
            fail_msg("%s", why.text);
        assert_ptr_equal(fleet->workers[1].device, &devices[i]);
        assert_string_equal(fleet->workers[1].kind, devices[i].kind);
        assert_true(fleet_worker_rate(fleet, &fleet->workers[1]) > 0);
        fleet_free(&fleet);
        close(fd);
    }
    assert_true(devices_count >= 58 && without < devices_count / 2);
}

/* ---- curves ---- */

/* What is achieved of the peak, wherever both are published. */
static void test_shares_of_peak(void **state)
{
    (void)state;
    size_t seen = 0;
    double least = 1, most = 0;
    for (size_t i = 0; i < devices_count; i++) {
        for (size_t j = 0; j < benchmarks_count; j++) {
            struct catalog_prior prior;
            const struct catalog_workload workload = { .benchmark = benchmarks[j].name };
            if (catalog_prior(&devices[i], &workload, &prior, &why) != ERR_OK || prior.share < 0)
                continue;
            if (!(prior.share > 0.01 && prior.share < 0.95))
                fail_msg("%s achieves %.3f of its peak on %s", devices[i].name, prior.share,
                         benchmarks[j].name);
            bool resnet = strcmp(benchmarks[j].name, "resnet50") == 0;
            least = resnet && prior.share < least ? prior.share : least;
            most = resnet && prior.share > most ? prior.share : most;
            seen++;
        }
    }
    assert_true(seen > 50 && least < 0.1 && most > 0.7);
}

static void test_curve_of_published_results(void **state)
{
    (void)state;
    struct catalog_prior a100 = prior_of("nvidia-a100-sxm4-80gb", "resnet50");
    assert_int_equal(a100.origin, CATALOG_PUBLISHED);
    near(a100.beta_ms, 1000 / 42379.3);
    near(a100.alpha_ms + a100.beta_ms, 0.457265);
    near(a100.share, 8.2e9 * 42379.3 / 624e12);
    assert_false(a100.alpha_is_estimated);
    near(a100.busy_watts, 400);
    assert_int_equal(a100.batch_max, 1024);
    assert_non_null(strstr(a100.source, "mlcommons"));
    struct catalog_prior xeon = prior_of("intel-xeon-8380-icelake", "resnet50"); /* two sockets measured */
    near(xeon.beta_ms, 2 * 1000.0 / 4223.33);
    struct catalog_prior h100 = prior_of("nvidia-h100-sxm5", "resnet50"); /* no latency published */
    assert_true(h100.alpha_is_estimated && h100.alpha_ms > 0.2 && h100.alpha_ms < 1);
    struct catalog_prior board = prior_of("mcu-stm32l4r5-reference", "tiny-kws"); /* one at a time */
    assert_int_equal(board.batch_max, 1);
    near(board.alpha_ms + 1, 1);
    near(board.busy_watts * board.beta_ms / 1000, board.energy_joules_per_sample);
    assert_true(board.busy_watts > 0.005 && board.busy_watts < 0.5);
}

static void test_systems_and_their_parts(void **state)
{
    (void)state;
    struct catalog_prior one = prior_of("nvidia-h200-sxm", "resnet50");
    struct catalog_prior eight = prior_of("nvidia-dgx-h200", "resnet50");
    assert_int_equal(one.origin, CATALOG_PARTS);
    assert_int_equal(eight.origin, CATALOG_PUBLISHED);
    near(one.beta_ms, 8 * eight.beta_ms);
    near(eight.busy_watts, 4954); /* at the wall: the data sheet's is not there */
    struct catalog_prior dgx =
        prior_of("nvidia-dgx-a100", "resnet50"); /* one sample takes what one part takes */
    near(dgx.alpha_ms + dgx.beta_ms, 0.457265);
    assert_false(dgx.alpha_is_estimated);
    struct catalog_prior chip = prior_of("google-tpu-v3", "gnmt");
    near(chip.beta_ms, 4 * prior_of("google-cloud-tpu-v3-8", "gnmt").beta_ms);
    struct catalog_prior v100 = prior_of("nvidia-v100", "resnet50"),
                         dgx2 = prior_of("nvidia-dgx-2", "resnet50");
    near(v100.beta_ms, 16 * dgx2.beta_ms);
}

static void test_curve_of_operations(void **state)
{
    (void)state;
    struct catalog_prior coral = prior_of("coral-usb-edgetpu", "resnet50");
    assert_int_equal(coral.origin, CATALOG_SCALED);
    near(coral.beta_ms, 19.5566 * 8.2 / 2.47);
    struct catalog_prior nano = prior_of("jetson-nano", "resnet50");
    assert_int_equal(nano.origin, CATALOG_ROOFLINE);
    near(nano.beta_ms, 1000 * 8.2e9 / (nano.share * 0.472e12));
    assert_true(nano.share > 0.3 && nano.share < 0.7 && nano.alpha_is_estimated);
    struct catalog_prior prior;
    struct catalog_workload workload = { .operations_per_sample = 1e6, .bytes_per_sample = 25.6e9 };
    assert_int_equal(catalog_prior(device("jetson-nano"), &workload, &prior, &why), ERR_OK);
    near(prior.beta_ms, 1000); /* one second's worth of its memory */
    near(prior.busy_watts, 10);
    assert_null(prior.benchmark);
}

static void test_what_nothing_is_known_of(void **state)
{
    (void)state;
    struct catalog_prior prior;
    struct catalog_workload unknown = { .benchmark = "no-such" }, bert = { .benchmark = "bert" },
                            figures = { .operations_per_sample = 1e9 }, none = { .benchmark = NULL };
    assert_int_equal(catalog_prior(device("nvidia-t4"), &unknown, &prior, &why), ERR_USAGE);
    assert_int_equal(catalog_prior(device("jetson-nano"), &bert, &prior, &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "no result is published for bert-99, nor how many operations"));
    assert_int_equal(catalog_prior(device("cerebras-wse2"), &figures, &prior, &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "neither a rate in operations per second nor a result"));
    assert_int_equal(catalog_prior(device("nvidia-t4"), &none, &prior, &why), ERR_UNSUPPORTED);
}

static void test_nearest_names(void **state)
{
    (void)state;
    char text[CATALOG_NEAREST_MAX];
    catalog_nearest("nvidia-h20", text);
    assert_int_equal(strncmp(text, "nvidia-h200-sxm, ", 17), 0); /* through its alias */
    catalog_nearest("Coral-USB-EdgeTPU", text);
    assert_int_equal(strncmp(text, "coral-usb-edgetpu, ", 19), 0);
    catalog_nearest("coral-usb", text);
    assert_int_equal(strncmp(text, "coral-usb-edgetpu, ", 19), 0);
    catalog_nearest("", text);
    assert_true(text[0] != 0);
}

int main(void)
{
    devices_count = catalog_devices(&devices);
    benchmarks_count = catalog_benchmarks(&benchmarks);
    results_count = catalog_results(&results);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_rates_fit_each_other),
        cmocka_unit_test(test_every_figure_has_a_source),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_published_names_join),
        cmocka_unit_test(test_every_row_is_usable_in_a_fleet_file),
        cmocka_unit_test(test_shares_of_peak),
        cmocka_unit_test(test_curve_of_published_results),
        cmocka_unit_test(test_systems_and_their_parts),
        cmocka_unit_test(test_curve_of_operations),
        cmocka_unit_test(test_what_nothing_is_known_of),
        cmocka_unit_test(test_nearest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
