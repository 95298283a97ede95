// SPDX-License-Identifier: Apache-2.0
#include "fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct fleet *fleet;
static struct why why;

static enum err read_text(const char *text)
{
    char path[64];
    int fd = memfd_create("fleet", 0);
    fleet_free(&fleet);
    why.text[0] = 0;
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum err err = fleet_read(path, &fleet, &why);
    close(fd);
    return err;
}

static void accept(const char *text)
{
    if (read_text(text) != ERR_OK)
        fail_msg("refused: %s", why.text);
}

/* Refused as err, at line:column, with a sentence that holds says. */
static void refuse_as(enum err err, const char *text, const char *place, const char *says)
{
    char expected[64];
    assert_int_equal(read_text(text), err);
    assert_null(fleet);
    const char *rest = strchr(why.text, ':');
    snprintf(expected, sizeof expected, ":%s: ", place);
    if (!rest || strncmp(rest, expected, strlen(expected)) != 0 || !strstr(rest, says))
        fail_msg("'%s' is not '...%s...%s...'", why.text, expected, says);
}

static void refuse(const char *text, const char *place, const char *says)
{
    refuse_as(ERR_FORMAT, text, place, says);
}

static int drop_fleet(void **state)
{
    (void)state;
    fleet_free(&fleet);
    return 0;
}

static void near(double got, double expected)
{
    double error = got > expected ? got - expected : expected - got;
    if (!(error <= 1e-12 * (expected < 0 ? -expected : expected)))
        fail_msg("%.17g is not %.17g", got, expected);
}

static void test_every_key(void **state)
{
    (void)state;
    accept("# the contract's example, less the catalog device\n"
           "name: lab\n"
           "workers:\n"
           "  - name: odd-box                       # figures of your own: an emulated device\n"
           "    kind: npu\n"
           "    labels: { room: b12, 'rack row': \"7\" }\n"
           "    batch_sizes: [64, 1, 8]\n"
           "    curve: { alpha_ms: 20, beta_ms: 1.5e1, batch_max: 64 }\n"
           "    load_seconds: 2.0\n"
           "    link: { mbit: 100, rtt_ms: 1.0 }\n"
           "    power: { idle_watts: 2, busy_watts: 9 }\n"
           "    price_per_hour: 0.20\n"
           "    jitter: 0.05\n"
           "    joins_at_seconds: 0.5\n"
           "    faults:\n"
           "      - { at_seconds: 50, hangs: true }\n"
           "      - { at_seconds: 30, throttle: 0.5 }\n"
           "      - { at_seconds: 40, dies: true }\n"
           "  - local: true\n"
           "time_scale: 0.25\n");
    assert_string_equal(fleet->name, "lab");
    near(fleet->time_scale, 0.25);
    assert_int_equal(fleet->workers_count, 2);
    const struct fleet_worker *box = fleet_find(fleet, "odd-box");
    assert_ptr_equal(box, &fleet->workers[0]);
    assert_string_equal(box->kind, "npu");
    assert_int_equal(box->labels_count, 2);
    assert_string_equal(box->labels[0].key, "room");
    assert_string_equal(box->labels[0].value, "b12");
    assert_string_equal(box->labels[1].key, "rack row");
    assert_string_equal(box->labels[1].value, "7");
    assert_true(box->has_curve);
    near(box->curve.alpha_ms, 20);
    near(box->curve.beta_ms, 15);
    assert_int_equal(box->curve.batch_max, 64);
    assert_int_equal(box->sizes_count, 3);
    assert_int_equal(box->sizes[0], 1);
    assert_int_equal(box->sizes[2], 64);
    near(box->load_seconds, 2);
    near(box->link_mbit, 100);
    near(box->link_rtt_ms, 1);
    near(box->idle_watts, 2);
    near(box->busy_watts, 9);
    near(box->price_per_hour, 0.2);
    near(box->jitter, 0.05);
    near(box->joins_at_seconds, 0.5);
    assert_int_equal(box->faults_count, 3);
    assert_int_equal(box->faults[0].kind, FLEET_THROTTLE);
    near(box->faults[0].factor, 0.5);
    assert_int_equal(box->faults[1].kind, FLEET_DIES);
    assert_int_equal(box->faults[2].kind, FLEET_HANGS);
    assert_null(fleet_find(fleet, "odd"));
    assert_true(fleet_find(fleet, "local")->local);
}

static void test_defaults(void **state)
{
    (void)state;
    accept("workers:\n- curve: {alpha_ms: 1, beta_ms: 0}\n");
    const struct fleet_worker *worker = &fleet->workers[0];
    assert_string_equal(worker->name, "worker");
    assert_string_equal(worker->kind, "cpu");
    assert_string_equal(worker->device, "");
    assert_int_equal(worker->curve.batch_max, FLEET_BATCH_MAX_DEFAULT);
    assert_int_equal(worker->sizes_count, 0);
    assert_int_equal(worker->faults_count, 0);
    assert_int_equal(worker->labels_count, 0);
    assert_false(worker->local);
    near(fleet->time_scale, 1);
    assert_true(worker->idle_watts < 0 && worker->busy_watts < 0 && worker->price_per_hour < 0);
    assert_true(worker->link_mbit <= 0 && worker->load_seconds <= 0 && worker->jitter <= 0);
    accept("workers: []\n");
    assert_int_equal(fleet->workers_count, 0);
}

static void test_the_file_names_the_fleet(void **state)
{
    (void)state;
    char folder[] = "/tmp/motley-fleet-XXXXXX", path[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/my.lab.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("workers: []\n", file);
    fclose(file);
    fleet_free(&fleet);
    assert_int_equal(fleet_read(path, &fleet, &why), ERR_OK);
    assert_string_equal(fleet->name, "my.lab");
    unlink(path);
    fleet_free(&fleet);
    assert_int_equal(fleet_read(path, &fleet, &why), ERR_FILE);
    assert_non_null(strstr(why.text, path));
    rmdir(folder);
}

static void test_count_names_each_worker(void **state)
{
    (void)state;
    accept("workers:\n"
           "  - { name: nano, count: 3, curve: { alpha_ms: 1, beta_ms: 1 } }\n"
           "  - { name: one, count: 1, local: true }\n"
           "  - { count: 2, curve: { alpha_ms: 2, beta_ms: 1 } }\n");
    const char *const names[] = { "nano-1", "nano-2", "nano-3", "one-1", "worker-1", "worker-2" };
    assert_int_equal(fleet->workers_count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(fleet->workers[i].name, names[i]);
    near(fleet->workers[2].curve.alpha_ms, 1);
    near(fleet->workers[5].curve.alpha_ms, 2);
}

static void test_names_are_unique_and_plain(void **state)
{
    (void)state;
    refuse("workers:\n  - local: true\n  - local: true\n", "2:3", "two are named 'local'");
    refuse("workers:\n  - { name: a-1, local: true }\n  - { name: a, count: 1, local: true }\n", "2:3",
           "two are named 'a-1'");
    refuse("workers:\n  - name: ../../etc\n", "2:11", "is no name");
    refuse("workers:\n  - name: -x\n", "2:11", "is no name");
    refuse("workers:\n  - name: coordinator\n", "2:11", "one of a fleet's own processes");
    refuse("workers:\n  - name: supervisor\n", "2:11", "one of a fleet's own processes");
    refuse("workers:\n  - name: ''\n", "2:11", "must be a word");
    refuse("workers:\n  - name: \"a\\nb\"\n", "2:11", "control characters");
    refuse("workers:\n  - name: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\n", "2:11",
           "at most 63");
    refuse("workers:\n  - { count: 10, local: true, name: "
           "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn }\n",
           "2:5", "too long to be numbered");
}

static void test_unknown_keys_are_placed(void **state)
{
    (void)state;
    refuse("name: lab\nworker: []\n", "2:1", "unknown key 'worker'; did you mean 'workers'?");
    refuse("workers:\n  - name: a\n    local: true\n    foo: 1\n", "4:5", "unknown key 'foo'; remove it");
    refuse("workers:\n  - name: a\n    curve: { alpha_ms: 1, beta: 2 }\n", "3:27",
           "curve: unknown key 'beta'");
    refuse("workers:\n  - local: true\n    faults:\n      - { at_seconds: 1, throtle: 0.5 }\n", "4:26",
           "did you mean 'throttle'?");
    refuse("workers:\n  - local: true\n    [a, b]: 3\n", "3:5", "unknown key");
    refuse("workers: []\nworkers: []\n", "2:1", "given twice");
    refuse("workers:\n  - local: true\n    labels: { a: 1, a: 2 }\n", "3:21", "label 'a' is given twice");
}

static void test_wrong_values_are_placed(void **state)
{
    (void)state;
    refuse("workers: 3\n", "1:10", "workers: must be a list");
    refuse("workers:\n  - 3\n", "2:5", "must be a mapping");
    refuse("- 1\n", "1:1", "must be a mapping");
    refuse("workers:\n  - local: maybe\n", "2:12", "local: 'maybe' is neither true nor false");
    refuse("workers:\n  - local: [true]\n", "2:12", "is not true or false");
    refuse("workers:\n  - { curve: { alpha_ms: fast, beta_ms: 1 } }\n", "2:26",
           "alpha_ms: 'fast' is not a number");
    refuse("workers:\n  - { curve: { alpha_ms: '1', beta_ms: 1 } }\n", "2:26", "'1' is not a number");
    refuse("workers:\n  - { curve: { alpha_ms: 1 x, beta_ms: 1 } }\n", "2:26", "'1 x' is not a number");
    refuse("workers:\n  - { curve: { alpha_ms: .nan, beta_ms: 1 } }\n", "2:26", "is not a number");
    refuse("workers:\n  - { curve: { alpha_ms: 1e999, beta_ms: 1 } }\n", "2:26", "out of range");
    refuse("workers:\n  - { curve: { alpha_ms: -1, beta_ms: 1 } }\n", "2:26", "out of range");
    refuse("workers:\n  - { curve: { alpha_ms: 1, beta_ms: 1, batch_max: 0 } }\n", "2:52",
           "batch_max: 0 is out of range");
    refuse("workers:\n  - { curve: { alpha_ms: 1, beta_ms: 1, batch_max: 1.5 } }\n", "2:52",
           "not a whole number");
    refuse("workers:\n  - { curve: { alpha_ms: 1, beta_ms: 1, batch_max: 99999999999999999999 } }\n", "2:52",
           "out of range");
    refuse("workers:\n  - { curve: { alpha_ms: 0, beta_ms: 0 } }\n", "2:14", "both 0");
    refuse("workers:\n  - { curve: { alpha_ms: 1 } }\n", "2:14", "needs both alpha_ms and beta_ms");
    refuse("workers:\n  - local: true\n    jitter: 1\n", "3:13", "jitter: 1 is out of range; give 0 to 0.99");
    refuse("workers:\n  - local: true\n    kind: gpi\n", "3:11", "did you mean gpu");
    refuse("workers:\n  - local: true\n    kind: toaster\n", "3:11", "use cpu gpu tpu");
    refuse("workers:\n  - local: true\n    labels: [a]\n", "3:13", "must be a mapping");
    refuse("workers:\n  - local: true\n    labels: { a: }\n", "3:18", "must be a word");
    refuse("time_scale: 0\nworkers: []\n", "1:13", "time_scale: 0 is out of range");
    refuse("name: [a]\nworkers: []\n", "1:7", "must be a word");
}

static void test_sizes(void **state)
{
    (void)state;
    refuse("workers:\n  - batch_sizes: []\n    local: true\n", "2:18", "batch_sizes: is empty");
    refuse("workers:\n  - batch_sizes: [1, 8, 1]\n    local: true\n", "2:18", "names the size 1 twice");
    refuse("workers:\n  - batch_sizes: [1, -8]\n    local: true\n", "2:22", "'-8' is not a whole number");
    refuse("workers:\n  - batch_sizes: [1, 65]\n    curve: { alpha_ms: 1, beta_ms: 1, batch_max: 64 }\n",
           "2:18", "65 is more than the curve's batch_max of 64");
    accept("workers:\n  - batch_sizes: [1, 128]\n    curve: { alpha_ms: 1, beta_ms: 1 }\n");
    assert_int_equal(fleet->workers[0].curve.batch_max, 128);
}

static void test_faults(void **state)
{
    (void)state;
    refuse("workers:\n  - local: true\n    faults: [ { at_seconds: 1 } ]\n", "3:15",
           "one of throttle, dies and hangs");
    refuse("workers:\n  - local: true\n    faults: [ { dies: true } ]\n", "3:15", "needs at_seconds");
    refuse("workers:\n  - local: true\n    faults: [ { at_seconds: 1, dies: true, throttle: 1 } ]\n", "3:15",
           "one of");
    refuse("workers:\n  - local: true\n    faults: [ { at_seconds: 1, dies: false } ]\n", "3:38",
           "can only be true");
    refuse("workers:\n  - local: true\n    faults: [ { at_seconds: 1, throttle: 0 } ]\n", "3:42",
           "out of range");
    refuse("workers:\n  - local: true\n    faults: [ { at_seconds: -1, dies: true } ]\n", "3:29",
           "out of range");
}

static void test_what_this_version_has_not(void **state)
{
    (void)state;
    refuse_as(ERR_UNSUPPORTED, "workers:\n  - device: jetson-orin-nano-8gb\n", "2:13",
              "no device catalog; give kind and curve");
    refuse("workers:\n  - count: 1..20\n    local: true\n", "2:12",
           "'1..20' is a range; ranges are not in this version");
    refuse("workers:\n  - count: 0\n    local: true\n", "2:12", "count: 0 is out of range");
    refuse("workers:\n  - name: x\n", "2:5", "needs a curve");
    refuse("workers:\n  - name: x\n    local: false\n", "2:5", "needs a curve");
    refuse("name: lab\n", "1:1", "needs the key 'workers'");
    refuse_as(
        ERR_LIMIT,
        "workers:\n  - { count: 60000, name: a, local: true }\n  - { count: 60000, name: b, local: true }\n",
        "3:5", "makes 120000 workers");
}

static void test_what_is_no_document(void **state)
{
    (void)state;
    refuse("", "1:1", "is empty");
    refuse("# nothing\n", "1:1", "is empty");
    refuse("workers:\n  - { name: a\n", "3:1", "did not find expected ',' or '}'");
    refuse("workers: []\n---\nworkers: []\n", "3:1", "a second document");
    refuse("workers:\n\t- local: true\n", "2:1", "cannot start any token");
    refuse("workers: *nowhere\n", "1:10", "undefined alias");
    refuse("workers: &a [ *a ]\n", "1:10", "must be a mapping");
    refuse("workers: \xff\n", "1:1", "invalid leading UTF-8");
}

static void test_deep_nesting_is_refused_at_once(void **state)
{
    (void)state;
    static char text[200010] = "workers:\n";
    memset(text + strlen(text), '[', 200000);
    refuse(text, "2:1001", "too many brackets");
}

static void test_aliases_are_followed(void **state)
{
    (void)state;
    accept("workers:\n  - { name: a, curve: &c { alpha_ms: 3, beta_ms: 1 } }\n  - { name: b, curve: *c }\n");
    near(fleet->workers[1].curve.alpha_ms, 3);
}

static void test_local_fleet(void **state)
{
    (void)state;
    fleet_free(&fleet);
    assert_int_equal(fleet_local(&fleet, &why), ERR_OK);
    assert_int_equal(fleet->workers_count, 1);
    assert_true(fleet->workers[0].local);
    assert_true(fleet->workers[0].name[0] != 0);
    assert_true(fleet_bound_seconds(fleet, 10) < 0);
}

static void test_rate_is_that_of_the_best_allowed_batch(void **state)
{
    (void)state;
    accept("workers:\n"
           "  - { name: all, curve: { alpha_ms: 20, beta_ms: 10, batch_max: 50 } }\n"
           "  - { name: some, batch_sizes: [1, 8], curve: { alpha_ms: 20, beta_ms: 10, batch_max: 50 } }\n"
           "  - { name: real, local: true }\n"
           "time_scale: 2\n");
    near(fleet_worker_rate(fleet, &fleet->workers[0]), 50 / 0.52 / 2);
    near(fleet_worker_rate(fleet, &fleet->workers[1]), 8 / 0.1 / 2);
    assert_true(fleet_worker_rate(fleet, &fleet->workers[2]) <= 0);
    assert_true(fleet_bound_seconds(fleet, 10) < 0); /* the real one's figures are unknown */
}

static void test_bound_of_healthy_workers(void **state)
{
    (void)state;
    /* alpha 0, so that a worker of beta b does 1000 / b samples a second */
    accept("workers:\n  - { name: a, curve: { alpha_ms: 0, beta_ms: 100 } }\n  - { name: b, curve: { "
           "alpha_ms: 0, beta_ms: 25 } }\n");
    near(fleet_bound_seconds(fleet, 100), 2);
    near(fleet_bound_seconds(fleet, 1), 0.02);
    assert_true(fleet_bound_seconds(fleet, 0) == 0);
    near(fleet_bound_seconds(fleet, 1000000000000000), 2e13);
    accept("workers: []\n");
    assert_true(fleet_bound_seconds(fleet, 0) == 0);
    assert_true(fleet_bound_seconds(fleet, 1) < 0);
}

static void test_bound_of_the_three_devices(void **state)
{
    (void)state;
    /* alpha 20 ms, beta 40, 10 and 2 ms, 3000 samples: 4.96 s */
    accept("workers:\n"
           "  - { name: a, curve: { alpha_ms: 20, beta_ms: 40, batch_max: 256 } }\n"
           "  - { name: b, curve: { alpha_ms: 20, beta_ms: 10, batch_max: 256 } }\n"
           "  - { name: c, curve: { alpha_ms: 20, beta_ms: 2, batch_max: 256 } }\n");
    near(fleet_bound_seconds(fleet, 3000), 3000 / (256 / 10.26 + 256 / 2.58 + 256 / 0.532));
    assert_true(fleet_bound_seconds(fleet, 3000) > 4.95 && fleet_bound_seconds(fleet, 3000) < 4.96);
}

static void test_bound_with_joins_and_loads(void **state)
{
    (void)state;
    accept("workers:\n"
           "  - { name: a, load_seconds: 2, curve: { alpha_ms: 0, beta_ms: 100 } }\n"
           "  - { name: b, load_seconds: 1, joins_at_seconds: 3, curve: { alpha_ms: 0, beta_ms: 25 } }\n");
    near(fleet_bound_seconds(fleet, 20), 4); /* a alone from 2 on: just when b begins */
    near(fleet_bound_seconds(fleet, 10), 3);
    near(fleet_bound_seconds(fleet, 70), 5); /* 20, then 50 a second */
    fleet->time_scale = 0.1;
    near(fleet_bound_seconds(fleet, 70), 0.5);
}

static void test_bound_with_throttle(void **state)
{
    (void)state;
    accept("workers:\n"
           "  - name: a\n"
           "    joins_at_seconds: 1\n"
           "    load_seconds: 1\n"
           "    curve: { alpha_ms: 0, beta_ms: 100 }\n"
           "    faults: [ { at_seconds: 3, throttle: 0.5 }, { at_seconds: 7, throttle: 1.0 }, { at_seconds: "
           "0, throttle: 0.1 },\n"
           "              { at_seconds: 1.5, throttle: 1.0 } ]\n");
    /* joins at 1, works from 2: at 1 a second until 2.5, at 10 until 4, at 5 until 8, at 10 from then on */
    near(fleet_bound_seconds(fleet, 1), 2 + 1 - 0.5 + 0.05);
    near(fleet_bound_seconds(fleet, 15), 2.5 + 14.5 / 10);
    near(fleet_bound_seconds(fleet, 25), 4 + 9.5 / 5);
    near(fleet_bound_seconds(fleet, 50), 8 + 14.5 / 10);
}

static void test_bound_with_death_and_hang(void **state)
{
    (void)state;
    accept(
        "workers:\n"
        "  - { name: a, curve: { alpha_ms: 0, beta_ms: 100 }, faults: [ { at_seconds: 5, dies: true }, { "
        "at_seconds: 6, throttle: 1 } ] }\n"
        "  - { name: b, curve: { alpha_ms: 0, beta_ms: 100 }, faults: [ { at_seconds: 2, hangs: true } ] }\n"
        "  - { name: c, curve: { alpha_ms: 0, beta_ms: 10 }, load_seconds: 9, faults: [ { at_seconds: 8, "
        "dies: true } ] }\n");
    near(fleet_bound_seconds(fleet, 40), 2);
    near(fleet_bound_seconds(fleet, 50), 3);
    near(fleet_bound_seconds(fleet, 70), 5);
    assert_true(fleet_bound_seconds(fleet, 71) < 0);
}

/* A worker that joins shortly before another's throttle: what comes later must not count yet. */
static void test_bound_between_neighbouring_times(void **state)
{
    (void)state;
    accept("workers:\n"
           "  - { name: a, curve: { alpha_ms: 0, beta_ms: 100 }, faults: [ { at_seconds: 2.5, throttle: 0.5 "
           "} ] }\n"
           "  - { name: b, curve: { alpha_ms: 0, beta_ms: 100 }, joins_at_seconds: 2 }\n");
    near(fleet_bound_seconds(fleet, 23), 2.15);
    near(fleet_bound_seconds(fleet, 45), 3.5);
}

/* A plateau: nobody works between a's death and b's arrival, and the least time is before it. */
static void test_bound_before_a_gap(void **state)
{
    (void)state;
    accept(
        "workers:\n"
        "  - { name: a, curve: { alpha_ms: 0, beta_ms: 100 }, faults: [ { at_seconds: 3, dies: true } ] }\n"
        "  - { name: b, curve: { alpha_ms: 0, beta_ms: 100 }, joins_at_seconds: 1000 }\n");
    near(fleet_bound_seconds(fleet, 30), 3);
    near(fleet_bound_seconds(fleet, 31), 1000.1);
}

/* Large and small rates side by side: what a sum with deltas would lose. */
static void test_bound_does_not_cancel(void **state)
{
    (void)state;
    accept("workers:\n"
           "  - { name: fast, curve: { alpha_ms: 0, beta_ms: 0.000001 }, faults: [ { at_seconds: 1, dies: "
           "true } ] }\n"
           "  - { name: slow, curve: { alpha_ms: 0, beta_ms: 1000000 } }\n");
    near(fleet_bound_seconds(fleet, 1000000000), 1000000000 / (1e9 + 1e-3));
    accept("workers:\n"
           "  - { name: fast, curve: { alpha_ms: 0, beta_ms: 0.000001 }, faults: [ { at_seconds: 0, dies: "
           "true } ] }\n"
           "  - { name: slow, curve: { alpha_ms: 0, beta_ms: 1000000 } }\n");
    near(fleet_bound_seconds(fleet, 3), 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_the_file_names_the_fleet),
        cmocka_unit_test(test_count_names_each_worker),
        cmocka_unit_test(test_names_are_unique_and_plain),
        cmocka_unit_test(test_unknown_keys_are_placed),
        cmocka_unit_test(test_wrong_values_are_placed),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_what_this_version_has_not),
        cmocka_unit_test(test_what_is_no_document),
        cmocka_unit_test(test_deep_nesting_is_refused_at_once),
        cmocka_unit_test(test_aliases_are_followed),
        cmocka_unit_test(test_local_fleet),
        cmocka_unit_test(test_rate_is_that_of_the_best_allowed_batch),
        cmocka_unit_test(test_bound_of_healthy_workers),
        cmocka_unit_test(test_bound_of_the_three_devices),
        cmocka_unit_test(test_bound_with_joins_and_loads),
        cmocka_unit_test(test_bound_with_throttle),
        cmocka_unit_test(test_bound_with_death_and_hang),
        cmocka_unit_test(test_bound_between_neighbouring_times),
        cmocka_unit_test(test_bound_before_a_gap),
        cmocka_unit_test(test_bound_does_not_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, drop_fleet);
}
