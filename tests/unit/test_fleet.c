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
    assert_null(worker->device);
    assert_null(worker->prior);
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

static void test_counts_and_missing_curves(void **state)
{
    (void)state;
    refuse("workers:\n  - count: 1..20\n    local: true\n", "2:12",
           "1..20 is a range, which only `motley simulate` can choose from");
    refuse("workers:\n  - count: 20..1\n    local: true\n", "2:12", "'20..1' is no range");
    refuse("workers:\n  - count: 0..0\n    local: true\n", "2:12", "'0..0' is no range");
    refuse("workers:\n  - count: 1..2..3\n    local: true\n", "2:12", "is no range");
    refuse("workers:\n  - count: 1..99999999999\n    local: true\n", "2:12", "is no range");
    refuse("workers:\n  - count: ..\n    local: true\n", "2:12", "is no range");
    refuse("workers:\n  - count: 0\n    local: true\n", "2:12", "count: 0 is out of range");
    refuse("workers:\n  - name: x\n", "2:5", "needs a curve");
    refuse("workers:\n  - name: x\n    local: false\n", "2:5", "needs a curve");
    refuse("name: lab\n", "1:1", "needs the key 'workers'");
    refuse_as(
        ERR_LIMIT,
        "workers:\n  - { count: 60000, name: a, local: true }\n  - { count: 60000, name: b, local: true }\n",
        "3:5", "makes 120000 workers");
}

static void test_catalog_devices(void **state)
{
    (void)state;
    accept("workers:\n  - device: nvidia-h200\n  - { device: jetson-xavier-nx, count: 2 }\n");
    assert_int_equal(fleet->workers_count, 3);
    const struct fleet_worker *h200 = &fleet->workers[0], *nx = &fleet->workers[2];
    assert_string_equal(h200->name, "nvidia-h200");
    assert_string_equal(h200->device->name, "nvidia-h200-sxm");
    assert_string_equal(h200->kind, "gpu");
    assert_true(h200->has_curve && h200->prior);
    near(h200->curve.beta_ms, 8 * 1000.0 / 756960);
    near(h200->busy_watts, 700);
    assert_true(h200->idle_watts < 0 && h200->price_per_hour < 0);
    near(h200->memory_bytes, 143771.0 * 1048576);
    assert_string_equal(nx->name, "jetson-xavier-nx-2");
    near(nx->curve.beta_ms, 1000 / 1245.1);
    near(nx->curve.alpha_ms + nx->curve.beta_ms, 2.43749);
    assert_string_equal(nx->prior->benchmark, "resnet50");
    assert_ptr_equal(nx->prior, fleet->workers[1].prior);
    accept("workers:\n  - { device: 'cpu:raspberry-pi-4' }\n");
    assert_string_equal(fleet->workers[0].name, "arm-cortex-a72-rpi4"); /* the alias is no name */
}

static void test_own_figures_before_the_catalogs(void **state)
{
    (void)state;
    accept("workers:\n"
           "  - { device: nvidia-t4, kind: npu, name: odd, power: { idle_watts: 17, busy_watts: 66 } }\n"
           "  - { device: kneron-kl720, curve: { alpha_ms: 3, beta_ms: 4 }, price_per_hour: 0.1 }\n"
           "  - { device: nvidia-t4, name: sized, batch_sizes: [ 1, 4096 ] }\n");
    const struct fleet_worker *odd = fleet_find(fleet, "odd"), *own = fleet_find(fleet, "kneron-kl720"),
                              *sized = fleet_find(fleet, "sized");
    assert_string_equal(odd->kind, "npu");
    near(odd->busy_watts, 66);
    near(odd->idle_watts, 17);
    assert_non_null(odd->prior);
    assert_string_equal(own->kind, "npu");
    near(own->curve.beta_ms, 4);
    near(own->price_per_hour, 0.1);
    assert_int_equal(own->curve.batch_max, FLEET_BATCH_MAX_DEFAULT);
    assert_null(own->prior);
    assert_int_equal(sized->curve.batch_max, 4096);
    near(sized->busy_watts, 70);
}

static void test_catalog_devices_that_are_refused(void **state)
{
    (void)state;
    refuse("workers:\n  - device: jetson-orin-nanno\n", "2:13", "the nearest are jetson-orin-nano-8gb, ");
    refuse_as(ERR_UNSUPPORTED, "workers:\n  - device: nvidia-t4\n  - device: kneron-kl720\n", "3:5",
              "give curve: { alpha_ms: ..., beta_ms: ... } (resnet50 stands for a model not known yet)");
    refuse("workers:\n  - { device: nvidia-t4, local: true }\n", "2:5", "both local and device");
}

static enum err read_with(const char *text, bool ranges, const char *benchmark)
{
    char path[64];
    const struct catalog_workload workload = { .benchmark = benchmark };
    const struct fleet_reading reading = { .ranges = ranges, .workload = benchmark ? &workload : NULL };
    int fd = memfd_create("fleet", 0);
    fleet_free(&fleet);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum err err = fleet_open(path, &reading, &fleet, &why);
    close(fd);
    return err;
}

static void test_another_workload(void **state)
{
    (void)state;
    const struct catalog_workload bert = { .benchmark = "bert" }, own = { .operations_per_sample = 4.1e9 },
                                  unknown = { .benchmark = "bart" };
    const char *text =
        "workers:\n  - { device: nvidia-t4, count: 2 }\n  - { curve: { alpha_ms: 1, beta_ms: 1 } }\n";
    assert_int_equal(read_with(text, false, "mobilenet"), ERR_OK);
    near(fleet->workers[1].curve.beta_ms, 8 * 1000.0 / 141807);
    assert_int_equal(fleet_resolve(fleet, &bert, &why), ERR_OK);
    near(fleet->workers[1].curve.beta_ms, 1000 / 443.145);
    assert_string_equal(fleet->workers[1].name, "nvidia-t4-2");
    near(fleet->workers[2].curve.beta_ms, 1);
    assert_int_equal(fleet_resolve(fleet, &unknown, &why), ERR_USAGE);
    near(fleet->workers[0].curve.beta_ms, 1000 / 443.145); /* as before */
    assert_int_equal(fleet_resolve(fleet, &own, &why), ERR_OK);
    assert_int_equal(fleet->workers[0].prior->origin, CATALOG_SCALED);
    assert_int_equal(read_with("workers:\n  - device: canaan-k210\n", false, "resnet50"), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "25.6 MB of weights"));
    assert_int_equal(read_with("workers:\n  - device: canaan-k210\n", false, NULL), ERR_OK);
    assert_int_equal(read_with("workers:\n  - device: gap9\n", false, "tiny-kws"), ERR_OK);
    assert_int_equal(fleet->workers[0].curve.batch_max, 1);
}

static void test_ranges(void **state)
{
    (void)state;
    static const uint32_t few[] = { 1, 2, 1 };
    const char *text =
        "workers:\n  - { device: nvidia-t4, count: 1..20, labels: { room: b12 } }\n"
        "  - { name: box, count: 2, curve: { alpha_ms: 1, beta_ms: 1 } }\n"
        "  - { name: one, curve: { alpha_ms: 1, beta_ms: 1 }, faults: [ { at_seconds: 1, dies: true } ] }\n";
    assert_int_equal(read_with(text, true, NULL), ERR_OK);
    assert_int_equal(fleet->groups_count, 3);
    assert_int_equal(fleet->groups[0].count_min, 1);
    assert_int_equal(fleet->groups[0].count_max, 20);
    assert_int_equal(fleet->workers_count, 23);
    assert_string_equal(fleet->workers[19].name, "nvidia-t4-20");
    assert_int_equal(fleet_choose(fleet, few, &why), ERR_OK);
    assert_int_equal(fleet->workers_count, 4);
    assert_string_equal(fleet->workers[0].name, "nvidia-t4-1");
    assert_string_equal(fleet->workers[0].labels[0].value, "b12");
    assert_string_equal(fleet->workers[2].name, "box-2");
    assert_string_equal(fleet->workers[3].name, "one");
    assert_true(fleet->workers[0].has_curve);
    assert_int_equal(fleet->groups[0].count, 1);
    assert_true(fleet_bound_seconds(fleet, 1000) > 0);
    assert_int_equal(read_with("workers:\n  - { count: 1..60000, name: a, local: true }\n"
                               "  - { count: 1..60000, name: b, local: true }\n",
                               true, NULL),
                     ERR_LIMIT);
}

static void test_a_hundred_thousand_share_what_is_alike(void **state)
{
    (void)state;
    accept(
        "workers:\n  - { name: e, count: 100000, curve: { alpha_ms: 1, beta_ms: 1 }, labels: { a: b } }\n");
    assert_int_equal(fleet->workers_count, 100000);
    assert_ptr_equal(fleet->workers[0].labels, fleet->workers[99999].labels);
    assert_string_equal(fleet->workers[99999].name, "e-100000");
    assert_true(sizeof(struct fleet_worker) <= 200);
    assert_true(fleet_bound_seconds(fleet, 1000000000) > 0);
}

/* The fleets that come with Motley: their sizes, and that one of them has something to choose. */
static void test_shipped_fleets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t workers;
    } shipped[] = {
        { "home-lab", 7 }, { "cluster-edge", 84 }, { "thousand-mixed", 1000 }, { "edge-100k", 100000 }
    };
    const struct catalog_workload workload = { .benchmark = "resnet50" };
    const struct fleet_reading reading = { .ranges = true, .workload = &workload };
    for (size_t i = 0; i < sizeof shipped / sizeof shipped[0]; i++) {
        char path[512];
        fleet_free(&fleet);
        snprintf(path, sizeof path, FLEETS_DIR "/%s.yaml", shipped[i].name);
        if (fleet_open(path, &reading, &fleet, &why) != ERR_OK)
            fail_msg("%s", why.text);
        assert_string_equal(fleet->name, shipped[i].name);
        assert_int_equal(fleet->workers_count, shipped[i].workers);
        assert_true(fleet_bound_seconds(fleet, 1000000) > 0);
    }
}

static int by_energy(const void *a, const void *b)
{
    const struct fleet_worker *x = a, *y = b;
    double each_x = x->busy_watts * x->curve.beta_ms, each_y = y->busy_watts * y->curve.beta_ms;
    return (each_x > each_y) - (each_x < each_y);
}

/* Fluid, without idle watts: everybody until T, against the most frugal ones until 1.5 T. */
static void test_the_cluster_has_a_greener_way(void **state)
{
    (void)state;
    const char *path = FLEETS_DIR "/cluster-edge.yaml";
    double watts = 0, rate = 0, green_watts = 0, green_rate = 0;
    fleet_free(&fleet);
    if (fleet_read(path, &fleet, &why) != ERR_OK)
        fail_msg("%s", why.text);
    for (uint32_t i = 0; i < fleet->workers_count; i++) {
        assert_true(fleet->workers[i].busy_watts > 0 && fleet->workers[i].price_per_hour > 0);
        watts += fleet->workers[i].busy_watts;
        rate += fleet_worker_rate(fleet, &fleet->workers[i]);
    }
    qsort(fleet->workers, fleet->workers_count, sizeof *fleet->workers, by_energy);
    for (uint32_t i = 0; i < fleet->workers_count && green_rate < rate / 1.5; i++) {
        green_watts += fleet->workers[i].busy_watts;
        green_rate += fleet_worker_rate(fleet, &fleet->workers[i]);
    }
    assert_true(green_watts / green_rate < 0.7 * watts / rate);
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
        cmocka_unit_test(test_counts_and_missing_curves),
        cmocka_unit_test(test_catalog_devices),
        cmocka_unit_test(test_own_figures_before_the_catalogs),
        cmocka_unit_test(test_catalog_devices_that_are_refused),
        cmocka_unit_test(test_another_workload),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_shipped_fleets),
        cmocka_unit_test(test_the_cluster_has_a_greener_way),
        cmocka_unit_test(test_a_hundred_thousand_share_what_is_alike),
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
