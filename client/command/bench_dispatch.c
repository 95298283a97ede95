// SPDX-License-Identifier: Apache-2.0
/* motley bench dispatch: how many chunks a second a coordinator gives out, takes back and makes durable. The
 * workers are mimes, so that the figure is the coordinator's own; the reference is a bare echo of the same
 * messages. */
#include "clock.h"
#include "command.h"
#include "echo.h"
#include "file.h"
#include "mimes.h"
#include "npy.h"
#include "rng.h"
#include "stage.h"
#include "tool.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROUNDS_MAX = 99, SAMPLE_US = 2000, STALL_US = 30000000, WARM_CHUNKS = 20000, CHUNKS_MAX = 50000000 };

struct crowd {
    uint32_t workers;
    struct mime_plan each;
};

struct plan {
    double seconds; /* of each round */
    uint64_t rounds;
    const char *folder;
    bool json;
};

struct figures {
    double rate, reference;
    double coordinator_cores;        /* processor time of the coordinator by time that passed */
    double coordinator_us, mimes_us; /* processor time a chunk */
};

/* A crowd before a coordinator. */
struct show {
    const struct plan *plan;
    const struct crowd *crowd;
    struct stage stage;
    struct mimes *mimes;
    double rate;
};

/* ---- counting ---- */

/* Between a tenth and nine tenths of a number of chunks: the steady state. */
struct stretch {
    uint64_t from, until; /* counts */
    uint64_t from_us, until_us, from_count, until_count;
    double cpu_from, cpu_until, strings_from, strings_until;
    uint64_t begin_us;
    double cpu_begin, strings_begin;
};

static void stretch_look(struct stretch *stretch, const struct show *show, uint64_t count)
{
    uint64_t now_us = clock_monotonic_us();
    double cpu = stage_cpu_seconds(&show->stage), strings = mimes_cpu_seconds(show->mimes);
    if (count >= stretch->from && stretch->from_us == 0) {
        stretch->from_us = now_us;
        stretch->from_count = count;
        stretch->cpu_from = cpu;
        stretch->strings_from = strings;
    }
    if (count < stretch->until || stretch->until_us == 0) {
        stretch->until_us = now_us;
        stretch->until_count = count;
        stretch->cpu_until = cpu;
        stretch->strings_until = strings;
    }
}

static void stretch_begin(struct stretch *stretch, const struct show *show, uint64_t chunks)
{
    *stretch = (struct stretch){ .from = chunks / 10,
                                 .until = chunks - chunks / 10,
                                 .begin_us = clock_monotonic_us(),
                                 .cpu_begin = stage_cpu_seconds(&show->stage),
                                 .strings_begin = mimes_cpu_seconds(show->mimes) };
}

/* Nobody looked in between, as other programs had the processors: all of it must do. */
static void stretch_end(struct stretch *stretch)
{
    if (stretch->from_us > 0 && stretch->until_us > stretch->from_us)
        return;
    stretch->from_us = stretch->begin_us;
    stretch->from_count = 0;
    stretch->cpu_from = stretch->cpu_begin;
    stretch->strings_from = stretch->strings_begin;
}

static double stretch_rate(const struct stretch *stretch)
{
    if (stretch->until_us <= stretch->from_us || stretch->from_us == 0)
        return 0.0;
    return (double)(stretch->until_count - stretch->from_count) * 1e6 /
           (double)(stretch->until_us - stretch->from_us);
}

/* Until so many more are acknowledged. ERR_TIMEOUT: none were for a long time. */
static enum err count_to(struct show *show, uint64_t base, uint64_t chunks, struct stretch *stretch,
                         struct why *why)
{
    uint64_t last = base, moved_us = clock_monotonic_us();
    for (;;) {
        struct mimes_counts counts;
        mimes_look(show->mimes, &counts);
        enum err err = stage_check(&show->stage, why);
        if (err != ERR_OK)
            return err;
        if (counts.lost > 0)
            return why_set(why, ERR_SYSTEM, "%u of the benchmark's workers lost their coordinator",
                           counts.lost);
        uint64_t now_us = clock_monotonic_us();
        stretch_look(stretch, show, counts.acknowledged - base);
        if (counts.acknowledged - base >= chunks)
            return ERR_OK;
        if (counts.acknowledged != last)
            moved_us = now_us;
        last = counts.acknowledged;
        if (now_us - moved_us > STALL_US)
            return why_set(why, ERR_TIMEOUT,
                           "%" PRIu64 " of %" PRIu64 " chunks came back, then none for %d s", last - base,
                           chunks, STALL_US / 1000000);
        clock_sleep_until_us(now_us + SAMPLE_US);
    }
}

/* ---- a job ---- */

static enum err check_answers(const char *path, uint64_t samples, struct why *why)
{
    struct npy_array array;
    uint64_t size;
    int64_t mtime_ns;
    enum err err = npy_open(path, &array, &size, &mtime_ns, why);
    if (err != ERR_OK)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *map = fd >= 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED)
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be read", path);
    if (array.sample_count != samples || array.row_bytes != sizeof(uint64_t))
        err = why_set(why, ERR_FORMAT, "%s: is not the answer to %" PRIu64 " samples", path, samples);
    for (uint64_t i = 0; i < samples && err == ERR_OK; i++) {
        uint64_t answer;
        memcpy(&answer, map + array.offset + i * sizeof answer, sizeof answer);
        if (answer != rng_mix64(i))
            err = why_set(why, ERR_FORMAT, "%s: the answer to sample %" PRIu64 " is wrong", path, i);
    }
    munmap(map, (size_t)size);
    return err;
}

static int go_on(void *context, const char *status)
{
    const struct show *show = context;
    (void)status;
    struct why why;
    return stage_check(&show->stage, &why) != ERR_OK;
}

static enum err run_job(struct show *show, uint64_t chunks, struct stretch *stretch, struct why *why)
{
    struct motley_submit asked = MOTLEY_SUBMIT_INIT;
    struct motley_error error = { 0, "" };
    struct mimes_counts before;
    char output[PATH_MAX_BYTES + 32];
    snprintf(output, sizeof output, "%s/answers.npy", show->stage.folder);
    asked.model = "synthetic";
    asked.samples = chunks;
    asked.batch = 1;
    asked.output = output;
    stretch_begin(stretch, show, chunks);
    mimes_look(show->mimes, &before);
    int64_t job = motley_submit(show->stage.connection, &asked, &error);
    if (job < 0)
        return why_set(why, ERR_SYSTEM, "%s", error.text);
    enum err err = count_to(show, before.acknowledged, chunks, stretch, why);
    stretch_end(stretch);
    if (err != ERR_OK)
        return err;
    int code = motley_wait(show->stage.connection, job, STALL_US / 1e6, go_on, show, &error);
    if (code != MOTLEY_OK)
        return stage_check(&show->stage, why) != ERR_OK
                   ? ERR_SYSTEM
                   : why_set(why, ERR_SYSTEM, "the benchmark's job did not end well: %s", error.text);
    err = check_answers(output, chunks, why);
    (void)unlink(output);
    return err;
}

/* ---- a crowd ---- */

static enum err await_crowd(struct show *show, struct why *why)
{
    uint64_t deadline_us = clock_monotonic_us() + STALL_US;
    struct mimes_counts counts = { 0 };
    enum err err = ERR_OK;
    while (err == ERR_OK && counts.welcome < show->crowd->workers) {
        mimes_look(show->mimes, &counts);
        if (show->stage.coordinator.pid > 0)
            err = stage_check(&show->stage, why);
        if (err == ERR_OK && clock_monotonic_us() > deadline_us)
            err = why_set(why, ERR_TIMEOUT, "%u of %u workers were welcome within %d s", counts.welcome,
                          show->crowd->workers, STALL_US / 1000000);
        clock_sleep_until_us(clock_monotonic_us() + SAMPLE_US);
    }
    return err;
}

static uint64_t chunks_for(double rate, double seconds)
{
    double chunks = rate * seconds / 0.8;
    return chunks < 1000 ? 1000 : chunks > CHUNKS_MAX ? CHUNKS_MAX : (uint64_t)chunks;
}

/* The first job finds out how fast the slots are; what a slot needs for that is no part of the steady state.
 */
static enum err warm_up(struct show *show, struct why *why)
{
    struct stretch stretch;
    double slots = (double)show->crowd->workers * show->crowd->each.slots,
           batch = (double)show->crowd->each.batch_us / 1e6;
    uint64_t chunks = batch > 0.0 ? (uint64_t)(slots * 5) : WARM_CHUNKS, from_us = clock_monotonic_us();
    enum err err = run_job(show, chunks, &stretch, why);
    show->rate = (double)chunks * 1e6 / (double)(clock_monotonic_us() - from_us);
    if (err == ERR_OK && !(batch > 0.0))
        err = run_job(show, chunks_for(show->rate, show->plan->seconds / 4), &stretch, why);
    double rate = batch > 0.0 ? slots / batch : stretch_rate(&stretch);
    show->rate = rate > show->rate ? rate : show->rate;
    return err;
}

static int by_rate(const void *a, const void *b)
{
    const struct figures *x = a, *y = b;
    return x->rate < y->rate ? -1 : x->rate > y->rate;
}

static enum err measure_rounds(struct show *show, struct figures *figures, struct why *why)
{
    struct figures rounds[ROUNDS_MAX];
    enum err err = ERR_OK;
    for (uint64_t i = 0; i < show->plan->rounds && err == ERR_OK; i++) {
        struct stretch stretch;
        err = run_job(show, chunks_for(show->rate, show->plan->seconds), &stretch, why);
        double count = (double)(stretch.until_count - stretch.from_count),
               us = (double)(stretch.until_us - stretch.from_us), cpu = stretch.cpu_until - stretch.cpu_from;
        rounds[i] = (struct figures){
            .rate = stretch_rate(&stretch),
            .coordinator_cores = us > 0 ? cpu * 1e6 / us : 0,
            .coordinator_us = count > 0 ? cpu * 1e6 / count : 0,
            .mimes_us = count > 0 ? (stretch.strings_until - stretch.strings_from) * 1e6 / count : 0
        };
    }
    if (err != ERR_OK)
        return err;
    qsort(rounds, show->plan->rounds, sizeof rounds[0], by_rate);
    *figures = rounds[show->plan->rounds / 2];
    return figures->rate > 0
               ? ERR_OK
               : why_set(why, ERR_USAGE, "the rounds were too short to measure; give more --seconds");
}

static enum err measure_coordinator(const struct plan *plan, const struct crowd *crowd,
                                    struct figures *figures, char journal[128], struct why *why)
{
    struct show show = { .plan = plan, .crowd = crowd };
    enum err err = stage_start(plan->folder, &show.stage, why);
    struct mimes_plan mimes = { .url = show.stage.url,
                                .server_half = show.stage.coordinator_half,
                                .key = &show.stage.worker,
                                .workers = crowd->workers,
                                .each = crowd->each };
    if (err == ERR_OK)
        err = mimes_start(&mimes, &show.mimes, why);
    if (err == ERR_OK)
        err = await_crowd(&show, why);
    if (err == ERR_OK)
        err = warm_up(&show, why);
    if (err == ERR_OK)
        err = measure_rounds(&show, figures, why);
    stage_journal(&show.stage, journal, 128);
    mimes_stop(&show.mimes);
    stage_stop(&show.stage);
    return err;
}

/* ---- the reference ---- */

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double echo_rate(const struct show *show, double seconds)
{
    struct mimes_counts before, after;
    mimes_look(show->mimes, &before);
    uint64_t from_us = clock_monotonic_us();
    clock_sleep_until_us(from_us + (uint64_t)(seconds * 1e6));
    mimes_look(show->mimes, &after);
    return (double)(after.acknowledged - before.acknowledged) * 1e6 /
           (double)(clock_monotonic_us() - from_us);
}

static enum err measure_echo(const struct plan *plan, const struct crowd *crowd, struct figures *figures,
                             struct why *why)
{
    struct show show = { .plan = plan, .crowd = crowd };
    struct echo echo;
    double rates[ROUNDS_MAX];
    enum err err = echo_start(false, &echo, why);
    struct mimes_plan mimes = { .url = echo.url,
                                .server_half = echo.key.public_half,
                                .key = &echo.key,
                                .workers = crowd->workers,
                                .each = crowd->each,
                                .begins = true };
    if (err == ERR_OK)
        err = mimes_start(&mimes, &show.mimes, why);
    if (err == ERR_OK)
        err = await_crowd(&show, why);
    if (err == ERR_OK)
        (void)echo_rate(&show, plan->seconds / 4);
    for (uint64_t i = 0; i < plan->rounds && err == ERR_OK; i++) {
        rates[i] = echo_rate(&show, plan->seconds);
        if (tool_interrupted())
            err = why_set(why, ERR_CANCELLED, "cancelled");
    }
    mimes_stop(&show.mimes);
    echo_stop(&echo);
    if (err != ERR_OK)
        return err;
    qsort(rates, plan->rounds, sizeof rates[0], by_value);
    figures->reference = rates[plan->rounds / 2];
    return ERR_OK;
}

/* ---- telling ---- */

static void add_crowd(yyjson_mut_doc *doc, const char *key, const struct crowd *crowd,
                      const struct figures *figures)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_val(doc, yyjson_mut_doc_get_root(doc), key, object);
    yyjson_mut_obj_add_uint(doc, object, "workers", crowd->workers);
    yyjson_mut_obj_add_uint(doc, object, "slots", (uint64_t)crowd->workers * crowd->each.slots);
    yyjson_mut_obj_add_uint(doc, object, "window", crowd->each.window);
    yyjson_mut_obj_add_real(doc, object, "batch_ms", (double)crowd->each.batch_us / 1e3);
    yyjson_mut_obj_add_real(doc, object, "chunks_per_second", figures->rate);
    if (figures->reference > 0) {
        yyjson_mut_obj_add_real(doc, object, "reference_per_second", figures->reference);
        yyjson_mut_obj_add_real(doc, object, "ratio", figures->rate / figures->reference);
    } else {
        yyjson_mut_obj_add_null(doc, object, "reference_per_second");
        yyjson_mut_obj_add_null(doc, object, "ratio");
    }
    yyjson_mut_obj_add_real(doc, object, "coordinator_cores", figures->coordinator_cores);
    yyjson_mut_obj_add_real(doc, object, "coordinator_us_per_chunk", figures->coordinator_us);
}

static void print_crowd(const char *name, const struct crowd *crowd, const struct figures *figures)
{
    printf("%-11s %u slots behind %u worker%s: %.0f chunks/s", name, crowd->workers * crowd->each.slots,
           crowd->workers, crowd->workers == 1 ? "" : "s", figures->rate);
    if (figures->reference > 0)
        printf("; a bare echo of the same messages %.0f: %.3f of it", figures->reference,
               figures->rate / figures->reference);
    printf("\n            coordinator: %.2f cores, %.2f us a chunk; mimes %.2f us\n",
           figures->coordinator_cores, figures->coordinator_us, figures->mimes_us);
}

struct act {
    const char *key, *name;
    struct crowd crowd;
    bool reference;
};

static int perform(const struct plan *plan, const struct act *acts, size_t count)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    char journal[128] = "";
    struct why why;
    enum err err = doc ? ERR_OK : why_set(&why, ERR_MEMORY, "no memory for a benchmark");
    if (doc)
        yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        struct figures figures = { 0 };
        err = measure_coordinator(plan, &acts[i].crowd, &figures, journal, &why);
        if (err == ERR_OK && acts[i].reference)
            err = measure_echo(plan, &acts[i].crowd, &figures, &why);
        if (err == ERR_OK && plan->json)
            add_crowd(doc, acts[i].key, &acts[i].crowd, &figures);
        else if (err == ERR_OK)
            print_crowd(acts[i].name, &acts[i].crowd, &figures);
    }
    if (err == ERR_OK && plan->json) {
        yyjson_mut_obj_add_str(doc, yyjson_mut_doc_get_root(doc), "journal", journal);
        yyjson_mut_obj_add_str(doc, yyjson_mut_doc_get_root(doc), "security", STAGE_SECURITY);
        tool_print_mut(doc);
    } else if (err == ERR_OK) {
        printf("journal     %s\nsecurity    %s\n", journal, STAGE_SECURITY);
    }
    yyjson_mut_doc_free(doc);
    return err == ERR_OK ? MOTLEY_OK : tool_fail(err, &why);
}

/* ---- the command ---- */

struct asked {
    struct plan plan;
    uint64_t workers, slots, window, batch_us;
};

static bool check(const struct asked *asked)
{
    const char *wrong = NULL;
    if (!(asked->plan.seconds >= 0.01 && asked->plan.seconds <= 600.0))
        wrong = "--seconds: from 0.01 to 600";
    else if (asked->plan.rounds < 1 || asked->plan.rounds > ROUNDS_MAX)
        wrong = "--rounds: from 1 to 99";
    else if (asked->workers > 10000)
        wrong = "--workers: from 1 to 10000";
    else if (asked->slots < 1 || asked->slots > SLOTS_MAX)
        wrong = "--slots: from 1 to 256";
    else if (asked->window < 2 || asked->window > WINDOW_MAX)
        wrong = "--window: from 2 to 64";
    else if (asked->batch_us > 60000000)
        wrong = "--batch-time: at most 60s";
    if (wrong)
        fprintf(stderr, "motley: bench dispatch: %s\n", wrong);
    return !wrong;
}

static int run(const struct asked *asked)
{
    struct mime_plan many = { .slots = 32, .window = (uint32_t)asked->window },
                     one = { .slots = 1, .window = (uint32_t)asked->window };
    const struct act both[] = { { "many_slots", "many slots", { 2, many }, true },
                                { "one_slot", "one slot", { 64, one }, true } };
    struct act own = { "crowd", "crowd", { (uint32_t)asked->workers, one }, asked->batch_us == 0 };
    own.crowd.each.slots = (uint32_t)asked->slots;
    own.crowd.each.batch_us = asked->batch_us;
    tool_catch_interrupts();
    return asked->workers ? perform(&asked->plan, &own, 1) : perform(&asked->plan, both, 2);
}

int command_bench_dispatch(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley bench dispatch", "[--seconds 3] [--rounds 3] [--folder DIR] [--json]",
        "How many chunks a second a coordinator gives out, takes back, journals and acknowledges: with 64 "
        "slots "
        "behind two workers, and with 64 workers of one slot. The coordinator is a real one with its state "
        "on a "
        "disk; the workers are mimes that have every answer ready, over tcp loopback; each chunk is one "
        "sample "
        "of the model synthetic, and all answers are checked. The reference is a process that echoes the "
        "same "
        "messages, with neither scheduler nor journal. With --workers a crowd of your own is measured "
        "instead.",
        "  motley bench dispatch --json\n"
        "  motley bench dispatch --workers 1000 --batch-time 100ms\n"
    };
    struct asked asked = { .plan = { .seconds = 3.0, .rounds = 3 }, .slots = 1, .window = 16 };
    int code;
    const struct option_row rows[] = {
        { "seconds", 0, OPTION_NUMBER, &asked.plan.seconds, "S",
          "how long each round is measured (default 3)" },
        { "rounds", 0, OPTION_COUNT, &asked.plan.rounds, "N", "of which the middle one counts (default 3)" },
        { "folder", 0, OPTION_TEXT, &asked.plan.folder, "DIR",
          "where the coordinator keeps its state meanwhile (default $TMPDIR, else /var/tmp)" },
        { "workers", 0, OPTION_COUNT, &asked.workers, "N", "measure so many workers instead" },
        { "slots", 0, OPTION_COUNT, &asked.slots, "N", "of each of them (default 1)" },
        { "batch-time", 0, OPTION_DURATION, &asked.batch_us, "TIME",
          "that each batch takes them (default 0)" },
        { "window", 0, OPTION_COUNT, &asked.window, "N", "chunks in flight on a slot (default 16)" },
        { "json", 0, OPTION_FLAG, &asked.plan.json, NULL, "print JSON for programs" },
        { 0 }
    };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    return check(&asked) ? run(&asked) : MOTLEY_USAGE;
}
