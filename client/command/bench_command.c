// SPDX-License-Identifier: Apache-2.0
/* motley bench makespan, bench efficiency: what Motley costs, with the reference measured in the same run. */
#include "child.h"
#include "clock.h"
#include "command.h"
#include "direct.h"
#include "file.h"
#include "follow.h"
#include "input.h"
#include "npy.h"
#include "render.h"
#include "signature.h"
#include "solo.h"
#include "spill.h"
#include "tool.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_solo(void *context, yyjson_val *job)
{
    (void)job;
    return !solo_poll(context);
}

/* Submit and follow in a private fleet. The report; NULL after saying why. */
static yyjson_doc *run_job(struct solo *solo, motley *connection, const struct motley_submit *asked,
                           bool quiet, int *code)
{
    struct motley_error error;
    char which[24];
    int64_t job = motley_submit(connection, asked, &error);
    if (job < 0) {
        *code = tool_fail_error(&error);
        return NULL;
    }
    struct follow_plan plan = { job, -1.0, quiet, check_solo, solo };
    *code = follow(connection, &plan, &error);
    if (*code == TOOL_INTERRUPTED && !tool_interrupted()) {
        fprintf(stderr, "motley: the benchmark's fleet ended: %s\n", solo->complaint);
        *code = MOTLEY_FAILED;
    } else if (*code == TOOL_INTERRUPTED) {
        *code = MOTLEY_CANCELLED;
    } else if (*code != MOTLEY_OK) {
        tool_fail_error(&error);
    }
    snprintf(which, sizeof which, "%" PRId64, job);
    return *code == MOTLEY_OK ? tool_view(connection, "report", which, code) : NULL;
}

static void add_real(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, double value)
{
    if (value > 0.0)
        yyjson_mut_obj_add_real(doc, object, key, value);
    else
        yyjson_mut_obj_add_null(doc, object, key);
}

static void print_figures(const char *const keys[3], const double values[3])
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    for (int i = 0; i < 3; i++)
        add_real(doc, root, keys[i], values[i]);
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
    puts(text ? text : "null");
    free(text);
    yyjson_mut_doc_free(doc);
}

/* ---- makespan
 * -------------------------------------------------------------------------------------------------------- */

static int makespan(const char *fleet, uint64_t samples, bool json)
{
    static const char *const keys[3] = { "makespan_seconds", "bound_seconds", "ratio" };
    struct solo solo;
    struct why why;
    struct motley_submit asked = MOTLEY_SUBMIT_INIT;
    int code = 0;
    enum err err = solo_start(fleet, &solo, &why);
    motley *connection = err == ERR_OK ? solo_connect(&solo, &err, &why) : NULL;
    double bound = connection ? fleet_bound_seconds(solo.fleet, samples) : 0.0;
    asked.model = "synthetic";
    asked.samples = samples;
    yyjson_doc *doc = connection ? run_job(&solo, connection, &asked, json, &code) : NULL;
    if (err != ERR_OK)
        code = tool_fail(err, &why);
    if (doc) {
        double span = yyjson_get_num(yyjson_obj_get(yyjson_doc_get_root(doc), "makespan_seconds"));
        const double values[3] = { span, bound, bound > 0.0 ? span / bound : 0.0 };
        if (json)
            print_figures(keys, values);
        else
            render_report(yyjson_doc_get_root(doc), stdout, tool_styled(stdout));
        if (!json && bound > 0.0)
            printf("\nmakespan    %.3f s, of the fleet file's bound %.3f s: ratio %.4f\n", span, bound,
                   span / bound);
        else if (!json)
            printf("\nmakespan    %.3f s; a worker without a curve has no bound\n", span);
    }
    yyjson_doc_free(doc);
    motley_close(&connection);
    solo_stop(&solo);
    return code;
}

int command_bench_makespan(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley bench makespan", "--fleet F --samples N [--json]",
        "Run the model synthetic over a fleet of emulated devices, with real processes in real time, and "
        "compare the makespan with the\n"
        "least that these devices could take (CONTRACT: bound_seconds). The clock starts when every worker "
        "said hello.",
        "  motley bench makespan --fleet fleet.yaml --samples 3000\n"
    };
    const char *fleet = NULL;
    uint64_t samples = UINT64_MAX;
    bool json = false;
    int code;
    const struct option_row rows[] = { { "fleet", 'f', OPTION_TEXT, &fleet, "FILE", "a fleet file" },
                                       { "samples", 'n', OPTION_COUNT, &samples, "N", "how many samples" },
                                       { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    if (samples == 0) {
        fprintf(stderr, "motley: bench makespan: --samples 0: takes no time on any fleet; give some\n");
        return MOTLEY_USAGE;
    }
    if (!fleet || samples == UINT64_MAX) {
        fprintf(stderr, "motley: bench makespan: give --fleet F and --samples N\n");
        return MOTLEY_USAGE;
    }
    tool_catch_interrupts();
    return makespan(fleet, samples, json);
}

/* ---- efficiency
 * ------------------------------------------------------------------------------------------------------- */

enum { TILED_BYTES_MAX_GIB = 4, RATE_POINTS_MAX = 1 << 16, TILE_ROWS_MIN = 1024 };

struct efficiency {
    const char *model, *input;
    double seconds;
    struct signature signature;
    struct input source;
    char folder[PATH_MAX_BYTES], tiled[PATH_MAX_BYTES]; /* the input, repeated, as one .npz-free .npy */
    uint64_t rows;
    uint8_t *map;
    size_t map_bytes;
    const void *inputs[INPUTS_MAX];
    uint64_t row_bytes[INPUTS_MAX];
    uint32_t threads, batch;
    struct direct *direct;
    struct solo solo;
    motley *connection;
    double direct_rate, through_rate;
};

/* The threads that a worker here gives its slot of this runtime: it is asked itself. */
static enum err find_threads(struct efficiency *e, struct why *why)
{
    char program[PATH_MAX_BYTES];
    struct child_output output = { 0 };
    size_t index, count;
    yyjson_val *slot;
    enum err err = signature_program("motley-worker", "MOTLEY_WORKER", program, sizeof program, why);
    char *argv[] = { program, "--dry-run", "--json", NULL };
    if (err == ERR_OK)
        err = child_run(argv, &output, why);
    yyjson_doc *doc = err == ERR_OK ? yyjson_read(output.text, strlen(output.text), 0) : NULL;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "slots"), index, count, slot)
    {
        if (e->threads == 0 && yyjson_equals_str(yyjson_obj_get(slot, "runtime"), e->signature.runtime))
            e->threads = (uint32_t)yyjson_get_uint(yyjson_obj_get(slot, "threads"));
    }
    yyjson_doc_free(doc);
    child_output_free(&output);
    if (err == ERR_OK && e->threads == 0)
        err = why_set(why, ERR_UNSUPPORTED, "no device here has a slot for %s; see `motley-worker --dry-run`",
                      e->signature.runtime);
    return err;
}

/* Rows enough for a direct run that does not stay in the caches, and for batches of any size. */
static enum err read_tile(const struct efficiency *e, uint8_t **tile, uint64_t *tile_rows, struct why *why)
{
    const struct input_array *array = &e->source.arrays[0];
    uint64_t bytes = e->source.samples * array->row_bytes, copies = 1;
    if (bytes == 0 || bytes > (256ull << 20))
        return why_set(why, ERR_USAGE, "%s: give an input of 1 sample to 256 MiB", e->input);
    while (copies * e->source.samples < TILE_ROWS_MIN)
        copies *= 2;
    *tile = malloc((size_t)(bytes * copies));
    if (!*tile)
        return why_set(why, ERR_MEMORY, "no memory for %s", e->input);
    for (uint64_t i = 0; i < copies; i++) {
        enum err err = file_pread(array->fd, *tile + i * bytes, (size_t)bytes, array->offset, e->input, why);
        if (err != ERR_OK)
            return err;
    }
    *tile_rows = copies * e->source.samples;
    return ERR_OK;
}

static enum err write_rows(struct efficiency *e, int fd, const uint8_t *tile, uint64_t tile_rows,
                           struct why *why)
{
    uint8_t header[NPY_HEADER_MAX];
    const struct input_array *array = &e->source.arrays[0];
    size_t head = npy_header(&array->spec, e->rows, header);
    enum err err = file_pwrite(fd, header, head, 0, e->tiled, why);
    for (uint64_t at = 0; err == ERR_OK && at < e->rows; at += tile_rows) {
        uint64_t rows = e->rows - at < tile_rows ? e->rows - at : tile_rows;
        err = file_pwrite(fd, tile, (size_t)(rows * array->row_bytes), head + at * array->row_bytes, e->tiled,
                          why);
    }
    e->map_bytes = head + (size_t)(e->rows * array->row_bytes);
    if (err == ERR_OK) {
        e->map = mmap(NULL, e->map_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (e->map == MAP_FAILED) {
            e->map = NULL;
            return why_set_errno(why, ERR_SYSTEM, "%s: cannot be mapped", e->tiled);
        }
        e->inputs[0] = e->map + head;
        e->row_bytes[0] = array->row_bytes;
    }
    return err;
}

static void unmap(struct efficiency *e)
{
    if (e->map)
        munmap(e->map, e->map_bytes);
    e->map = NULL;
}

/* rows samples: the input over and over. */
static enum err tile_input(struct efficiency *e, uint64_t rows, struct why *why)
{
    uint8_t *tile = NULL;
    uint64_t tile_rows = 0, most = ((uint64_t)TILED_BYTES_MAX_GIB << 30) / e->source.arrays[0].row_bytes;
    unmap(e);
    enum err err = read_tile(e, &tile, &tile_rows, why);
    e->rows = rows < tile_rows ? tile_rows : rows;
    e->rows = e->rows > most ? most : e->rows;
    int fd = err == ERR_OK ? open(e->tiled, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (err == ERR_OK && fd < 0)
        err = why_set_errno(why, ERR_FILE, "%s: cannot be made", e->tiled);
    if (err == ERR_OK)
        err = write_rows(e, fd, tile, tile_rows, why);
    if (fd >= 0)
        close(fd);
    free(tile);
    return err;
}

static enum err prepare(struct efficiency *e, struct why *why)
{
    enum err err = signature_of_file(e->model, &e->signature, NULL, why);
    if (err == ERR_OK && e->signature.inputs_count != 1)
        err = why_set(why, ERR_UNSUPPORTED, "%s: this benchmark takes models of one input", e->model);
    if (err == ERR_OK)
        err = find_threads(e, why);
    if (err == ERR_OK)
        err = input_open(e->input, &e->signature, &e->source, why);
    snprintf(e->folder, sizeof e->folder, "%.3900s/motley-bench-XXXXXX", spill_folder());
    if (err == ERR_OK && !mkdtemp(e->folder)) {
        err = why_set_errno(why, ERR_FILE, "%.300s: cannot make a folder there; set TMPDIR", spill_folder());
        e->folder[0] = 0;
    }
    snprintf(e->tiled, sizeof e->tiled, "%.3990s/input.npy", e->folder);
    return err;
}

/* The reference: half before, half after the run through Motley, so that a machine that slows down does so
 * for both. */
static enum err measure_direct(struct efficiency *e, struct why *why)
{
    double rate;
    direct_feed(e->direct, e->inputs, e->rows, e->row_bytes);
    enum err err = direct_measure(e->direct, e->batch, e->seconds / 2.0, &rate, why);
    e->direct_rate = e->direct_rate > 0.0 ? (e->direct_rate + rate) / 2.0 : rate;
    return err;
}

static enum err begin_direct(struct efficiency *e, struct why *why)
{
    enum err err = tile_input(e, TILE_ROWS_MIN, why);
    if (err == ERR_OK)
        err = direct_open(e->signature.runtime, e->model, e->threads, &e->direct, why);
    if (err != ERR_OK)
        return err;
    direct_feed(e->direct, e->inputs, e->rows, e->row_bytes);
    err = direct_best_batch(e->direct, &e->batch, why);
    return err == ERR_OK ? measure_direct(e, why) : err;
}

/* Where the job stood when, to take the rate between its first tenth and its last twentieth: the steady
 * state. */
struct points {
    struct solo *solo;
    size_t count;
    uint64_t total;
    struct {
        uint64_t at_us, done;
    } at[RATE_POINTS_MAX];
};

static int note_point(void *context, const char *status_json)
{
    struct points *points = context;
    yyjson_doc *doc = yyjson_read(status_json, strlen(status_json), 0);
    yyjson_val *job = yyjson_doc_get_root(doc);
    uint64_t done = yyjson_get_uint(yyjson_obj_get(job, "samples_done"));
    points->total = yyjson_get_uint(yyjson_obj_get(job, "samples_total"));
    bool moved = points->count == 0 || done != points->at[points->count - 1].done;
    if (moved && points->count < RATE_POINTS_MAX) {
        points->at[points->count].at_us = clock_monotonic_us();
        points->at[points->count++].done = done;
    }
    yyjson_doc_free(doc);
    return tool_interrupted() || !solo_poll(points->solo);
}

static double steady_rate(const struct points *points)
{
    size_t from = 0, to = points->count;
    while (from < points->count && points->at[from].done * 10 < points->total)
        from++;
    while (to > from && points->at[to - 1].done * 20 > points->total * 19)
        to--;
    if (to < from + 2)
        return 0.0;
    return (double)(points->at[to - 1].done - points->at[from].done) * 1e6 /
           (double)(points->at[to - 1].at_us - points->at[from].at_us);
}

static enum err measure_through(struct efficiency *e, struct why *why)
{
    struct motley_submit asked = MOTLEY_SUBMIT_INIT;
    struct motley_error error = { 0, "" };
    struct points *points = calloc(1, sizeof *points);
    if (!points)
        return why_set(why, ERR_MEMORY, "no memory for a measurement");
    points->solo = &e->solo;
    asked.model = e->model;
    asked.input = e->tiled;
    asked.batch = e->batch;
    int64_t job = motley_submit(e->connection, &asked, &error);
    int code = job < 0 ? error.code : motley_wait(e->connection, job, -1.0, note_point, points, &error);
    e->through_rate = steady_rate(points);
    free(points);
    if (code == TOOL_INTERRUPTED)
        return why_set(why, tool_interrupted() ? ERR_CANCELLED : ERR_SYSTEM, "%s",
                       tool_interrupted() ? "cancelled" : e->solo.complaint);
    if (code != MOTLEY_OK)
        return why_set(why, code == MOTLEY_USAGE ? ERR_USAGE : ERR_SYSTEM, "%s", error.text);
    return e->through_rate > 0.0
               ? ERR_OK
               : why_set(why, ERR_USAGE, "the run was too short for a steady state; give more --seconds");
}

static enum err measure(struct efficiency *e, struct why *why)
{
    enum err err = prepare(e, why);
    if (err == ERR_OK)
        err = solo_start(NULL, &e->solo, why);
    if (err == ERR_OK)
        e->connection = solo_connect(&e->solo, &err, why);
    if (err == ERR_OK)
        err = begin_direct(e, why);
    if (err == ERR_OK)
        err = tile_input(e, (uint64_t)(e->direct_rate * e->seconds * 1.2), why);
    if (err == ERR_OK)
        err = measure_through(e, why);
    return err == ERR_OK ? measure_direct(e, why) : err;
}

static int efficiency(struct efficiency *e, bool json)
{
    static const char *const keys[3] = { "direct_samples_per_second", "through_samples_per_second", "ratio" };
    struct why why;
    enum err err = measure(e, &why);
    direct_close(&e->direct);
    motley_close(&e->connection);
    solo_stop(&e->solo);
    input_close(&e->source);
    unmap(e);
    if (e->folder[0])
        (void)!file_remove_tree(e->folder, NULL);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    const double values[3] = { e->direct_rate, e->through_rate, e->through_rate / e->direct_rate };
    if (json)
        print_figures(keys, values);
    else
        printf("direct      %.1f samples/s: %s, %u threads, batches of %u\nthrough     %.1f samples/s\nratio "
               "      %.4f\n",
               values[0], e->signature.runtime, e->threads, e->batch, values[1], values[2]);
    return 0;
}

int command_bench_efficiency(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley bench efficiency", "--model M --input X [--seconds 10] [--json]",
        "Throughput of a model through a private fleet of this machine, against the same runtime called "
        "directly in this process with\n"
        "the same threads and the same batch, both in steady state. The input is repeated as often as "
        "needed.",
        "  motley bench efficiency --model digits.onnx --input digits.npy --seconds 10\n"
    };
    struct efficiency *e = calloc(1, sizeof *e);
    bool json = false;
    int code;
    if (!e) {
        fprintf(stderr, "motley: no memory for a benchmark\n");
        return MOTLEY_FAILED;
    }
    e->seconds = 10.0;
    e->source.names_fd = e->solo.control_fd = e->solo.status_fd = -1;
    for (size_t k = 0; k < INPUTS_MAX; k++)
        e->source.arrays[k].fd = -1;
    const struct option_row rows[] = {
        { "model", 'm', OPTION_TEXT, &e->model, "FILE", "a model file of one input" },
        { "input", 'i', OPTION_TEXT, &e->input, "FILE", "some of its samples" },
        { "seconds", 0, OPTION_NUMBER, &e->seconds, "S", "how long each of the two runs (default 10)" },
        { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
        { 0 }
    };
    bool parsed = tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code);
    if (parsed && (!e->model || !e->input || !(e->seconds >= 1.0 && e->seconds <= 3600.0))) {
        fprintf(stderr, "motley: bench efficiency: give --model M, --input X and --seconds from 1 to 3600\n");
        code = MOTLEY_USAGE;
    } else if (parsed) {
        tool_catch_interrupts();
        code = efficiency(e, json);
    }
    free(e);
    return code;
}
