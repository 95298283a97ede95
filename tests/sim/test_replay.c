// SPDX-License-Identifier: Apache-2.0
/* Histories of the simulator, in harsh weather and with restarts of the coordinator, are recorded as a
 * coordinator does, each life on a tape of its own; replayed, every step must give the very same actions.
 * With some events left out the scheduler must bear it, as when a policy changed since the recording.
 *
 *     test_sim_replay [FIRST [COUNT]]            default 1 40
 *     test_sim_replay --record SEED FILE         keep the last life of a seed, for tests/replay */
#include "recorder.h"
#include "replay.h"
#include "rng.h"
#include "world.h"

#include "sched.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEVICES = 6, JOBS = 3 };

static uint64_t failures, lives, steps, steps_changed;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            printf("seed %" PRIu64 ": %s (line %d)\n", seed_now, #condition, __LINE__);                      \
            failures++;                                                                                      \
            return;                                                                                          \
        }                                                                                                    \
    } while (0)

static uint64_t seed_now;

/* ---- recording ---- */

struct studio {
    char path[128];
    struct recorder *recorder;
};

static void replay_file(const char *path);

static void end_life(struct studio *studio)
{
    if (!studio->recorder)
        return;
    recorder_close(&studio->recorder);
    replay_file(studio->path);
}

static void on_begin(void *context, const struct sched_config *config, uint64_t term, uint64_t now_us)
{
    struct studio *studio = context;
    struct why why = { "" };
    const struct recorder_life life = { .config = config, .term = term, .now_us = now_us };
    end_life(studio);
    lives++;
    if (recorder_open(studio->path, &life, &studio->recorder, &why)) {
        printf("%s\n", why.text);
        exit(1);
    }
}

static void on_step(void *context, uint64_t now_us, const struct sched_event *event,
                    const struct sched_actions *actions)
{
    struct studio *studio = context;
    recorder_event(studio->recorder, now_us, event);
    recorder_answer(studio->recorder, actions);
}

/* ---- replaying ---- */

static char *read_bytes(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    if (bytes && fread(bytes, 1, *size, file) != *size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

static void play(const char *bytes, size_t size)
{
    struct replay *replay;
    struct replay_step step;
    struct why why = { "" };
    enum tape_read read;
    CHECK(replay_new((const uint8_t *)bytes, size, &replay, &why) == ERR_OK);
    while ((read = replay_next(replay, &step, &why)) == TAPE_READ && (step.kind != REPLAY_EVENT || step.same))
        steps++;
    if (read == TAPE_READ)
        printf("event %" PRIu64 " at %.6f s: %zu actions, then %" PRIu64 "\n", step.number, step.seconds,
               step.actions->count, step.actions_then);
    replay_free(&replay);
    CHECK(read == TAPE_END);
}

/* ---- another policy's events ---- */

static bool is_lost(struct rng *rng, const struct sched_event *event)
{
    bool spoken = event->type == SCHED_RESULT || event->type == SCHED_LOADED ||
                  event->type == SCHED_RETURNED || event->type == SCHED_HELD;
    return (spoken && rng_below(rng, 20) == 0) || rng_below(rng, 100) == 0;
}

/* The same tape with some events left out and answers that nobody gives. */
static void forget_some(const char *bytes, size_t size, struct rng *rng, struct tape_writer *writer)
{
    static const struct sched_actions other = { .count = 1 };
    struct tape_reader *reader;
    struct tape_record record;
    bool lost = false;
    if (tape_reader_new((const uint8_t *)bytes, size, &reader, NULL))
        return;
    while (tape_next(reader, &record, NULL) == TAPE_READ) {
        if (record.type == TAPE_LIFE)
            tape_write_life(writer, &record.life);
        if (record.type == TAPE_EVENT && !(lost = is_lost(rng, &record.event)))
            tape_write_event(writer, record.now_us, &record.event);
        if (record.type == TAPE_ANSWER && !lost)
            tape_write_answer(writer, &other);
    }
    tape_reader_free(&reader);
}

/* A scheduler that hears what happened to one that did otherwise: no crash, and all its tables agree. */
static void play_changed(const char *bytes, size_t size)
{
    static uint8_t changed[TAPE_HEADER_MAX + (4 << 20)];
    struct tape_writer writer;
    struct rng rng;
    struct replay *replay;
    struct replay_step step;
    struct why why = { "" };
    size_t block_size, header = tape_header((char *)changed);
    rng_init(&rng, seed_now ^ size);
    tape_writer_init(&writer);
    forget_some(bytes, size, &rng, &writer);
    const uint8_t *block = tape_take(&writer, &block_size);
    CHECK(block && header + block_size <= sizeof changed);
    memcpy(changed + header, block, block_size);
    tape_writer_fini(&writer);
    CHECK(replay_new(changed, header + block_size, &replay, &why) == ERR_OK);
    while (replay_next(replay, &step, &why) == TAPE_READ) {
        sched_check(replay_sched(replay));
        steps_changed++;
    }
    replay_free(&replay);
}

static void replay_file(const char *path)
{
    size_t size;
    char *bytes = read_bytes(path, &size);
    CHECK(bytes);
    play(bytes, size);
    play_changed(bytes, size);
    free(bytes);
}

/* ---- histories ---- */

static void draw(struct rng *rng, struct world_device *devices, struct world_job *jobs)
{
    for (uint32_t i = 0; i < DEVICES; i++)
        devices[i] = (struct world_device){ .alpha_us = (double)(1000 + rng_below(rng, 20000)),
                                            .beta_us = (double)(100 + rng_below(rng, 20000)),
                                            .batch_max = 1 + (uint32_t)rng_below(rng, 64),
                                            .jitter = 0.05,
                                            .load_us = rng_below(rng, 500000),
                                            .joins_us = i ? rng_below(rng, 1000000) : 0,
                                            .slots = 1 + (uint32_t)rng_below(rng, 2),
                                            .warm = rng_below(rng, 2),
                                            .failures_per_mille = i == 1 ? 100 : 0 };
    for (uint32_t j = 0; j < JOBS; j++)
        jobs[j] = (struct world_job){ .samples = 1 + rng_below(rng, 3000),
                                      .arrives_us = rng_below(rng, 1000000),
                                      .cancel_at_us = j == 2 && rng_below(rng, 4) == 0 ? 1500000 : 0,
                                      .priority = (int32_t)rng_below(rng, 3),
                                      .model = (uint32_t)rng_below(rng, 2) };
}

static void run_seed(uint64_t seed, struct studio *studio)
{
    struct rng rng;
    struct world_device devices[DEVICES];
    struct world_job jobs[JOBS];
    struct world_report report;
    seed_now = seed;
    rng_init(&rng, seed);
    draw(&rng, devices, jobs);
    const struct world_config config = {
        .seed = seed,
        .devices = devices,
        .devices_count = DEVICES,
        .jobs = jobs,
        .jobs_count = JOBS,
        .weather = { .calm_us = 3000000,
                     .delay_us = 100,
                     .delay_spread_us = 5000,
                     .disk_us = 1000,
                     .disk_spread_us = 3000,
                     .breaks_per_mille = (uint32_t)rng_below(&rng, 4),
                     .crashes_per_mille = (uint32_t)rng_below(&rng, 4),
                     .restarts_per_mille = (uint32_t)rng_below(&rng, 10),
                     .failures_per_mille = 5,
                     .poison_every = rng_below(&rng, 2) ? 701 : 0,
                     .lies = rng_below(&rng, 2),
                     .accidents = (1u << WORLD_ACCIDENTS) - 1,
                     .accident_every_us = 700000 },
        .context = studio,
        .on_begin = on_begin,
        .on_step = on_step,
    };
    world_run(&config, &report);
    CHECK(report.finished && report.violation[0] == 0);
    end_life(studio);
}

int main(int argc, char **argv)
{
    struct studio studio = { .recorder = NULL };
    if (argc == 4 && strcmp(argv[1], "--record") == 0) {
        snprintf(studio.path, sizeof studio.path, "%s", argv[3]);
        run_seed(strtoull(argv[2], NULL, 10), &studio);
    } else {
        snprintf(studio.path, sizeof studio.path, "/tmp/motley-sim-replay-%d", (int)getpid());
        uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
        uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 40;
        for (uint64_t seed = first; seed < first + count && failures == 0; seed++)
            run_seed(seed, &studio);
        unlink(studio.path);
    }
    printf("%" PRIu64 " lives, %" PRIu64 " steps the same; %" PRIu64 " of changed lives\n", lives, steps,
           steps_changed);
    return failures || lives == 0;
}
