// SPDX-License-Identifier: Apache-2.0
#include "recorder.h"

#include "file.h"
#include "replay.h"
#include "replay_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static const struct sched_config tables = { .workers_max = 10, .slots_max = 10, .jobs_max = 10 };

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/motley-recorder-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) == ERR_OK ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static uint64_t size_of(const char *name)
{
    struct stat status;
    return stat(path_of(name), &status) == 0 ? (uint64_t)status.st_size : 0;
}

static struct recorder *record(const char *name, uint64_t max_bytes)
{
    struct recorder *recorder;
    const struct recorder_life life = {
        .config = &tables, .term = 2, .now_us = 1000, .max_bytes = max_bytes
    };
    assert_int_equal(recorder_open(path_of(name), &life, &recorder, NULL), ERR_OK);
    return recorder;
}

/* A coordinator of one worker, one job of `samples`, and chunks that end after a millisecond. */
struct story {
    struct recorder *recorder;
    struct sched *sched;
    uint64_t now_us;
    bool storeless; /* what the store says is not recorded */
};

static struct sched_actions actions;

static void step(struct story *story, struct sched_event event)
{
    struct recorder *recorder = story->storeless && event.type == SCHED_STORED ? NULL : story->recorder;
    recorder_event(recorder, story->now_us, &event);
    sched_step(story->sched, story->now_us, &event, &actions);
    recorder_answer(recorder, &actions);
}

static void begin_story(struct story *story, struct recorder *recorder)
{
    static const struct sched_slot_info slot = { .formats = SCHED_FORMAT_SYNTHETIC,
                                                 .batch_max = 8,
                                                 .window = 2 };
    *story = (struct story){ .recorder = recorder, .sched = sched_new(&tables, 2), .now_us = 1000 };
    assert_non_null(story->sched);
    step(story, (struct sched_event){ .type = SCHED_WORKER_UP, .up = { .slots_count = 1, .slots = &slot } });
}

/* Load and run whatever is asked for, until nothing is. */
static void run_job(struct story *story, uint64_t job, uint64_t samples)
{
    struct sched_event queue[4096];
    size_t first = 0, count = 0;
    queue[count++] = (struct sched_event){ .type = SCHED_JOB_ADD,
                                           .job = job,
                                           .add = { .formats = SCHED_FORMAT_SYNTHETIC, .samples = samples } };
    while (first < count) {
        story->now_us += 1000;
        step(story, queue[first++]);
        for (size_t i = 0; i < actions.count && count < 4096; i++) {
            const struct sched_action *a = &actions.at[i];
            if (a->type == SCHED_LOAD)
                queue[count++] =
                    (struct sched_event){ .type = SCHED_LOADED, .loaded = { .model = a->model, .ok = true } };
            if (a->type == SCHED_LEASE)
                queue[count++] =
                    (struct sched_event){ .type = SCHED_RESULT,
                                          .job = job,
                                          .term = 2,
                                          .attempt = a->attempt,
                                          .first = a->first,
                                          .count = a->count,
                                          .result = { .proven = true, .run_us = 900, .energy_joules = 0.1 } };
            if (a->type == SCHED_STORE)
                queue[count++] = (struct sched_event){ .type = SCHED_STORED,
                                                       .job = job,
                                                       .first = a->first,
                                                       .count = a->count,
                                                       .stored = { a->settle } };
        }
    }
    struct sched_job_look look;
    assert_true(sched_job_look(story->sched, job, &look));
    assert_int_equal(look.done, samples);
}

static void end_story(struct story *story) { sched_free(&story->sched); }

/* The report of a recording as text, and what the program would exit with. */
static enum err report(struct replay_options options, char *text, size_t size, struct why *why)
{
    FILE *out = tmpfile();
    assert_non_null(out);
    enum err err = replay_report(&options, out, why);
    rewind(out);
    size_t length = fread(text, 1, size - 1, out);
    text[length] = 0;
    fclose(out);
    return err;
}

static void says(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("'%s' is not in:\n%s", what, text);
}

static void test_what_is_recorded_is_replayed(void **state)
{
    static char text[65536];
    struct why why = { "" };
    struct story story;
    (void)state;
    begin_story(&story, record("a", 0));
    run_job(&story, 5, 100);
    recorder_remove(story.recorder, 5);
    sched_job_remove(story.sched, 5);
    run_job(&story, 6, 50);
    recorder_close(&story.recorder);
    end_story(&story);
    enum err err = report((struct replay_options){ .path = path_of("a"), .check = true, .at_seconds = -1 },
                          text, sizeof text, &why);
    if (err)
        fail_msg("%s", why.text);
    says(text, "the same actions as then in every step");
    says(text, "the coordinator was stopped");
    says(text, "term 2");
    assert_int_equal(report((struct replay_options){ .path = path_of("a"), .json = true, .at_seconds = -1 },
                            text, sizeof text, &why),
                     ERR_OK);
    says(text, "\"first_difference\": null");
    says(text, "\"samples_done\": 100");
    /* Removed from the scheduler, it is not there any more. */
    struct replay_options later = { .path = path_of("a"), .explain = 5, .at_seconds = 100 };
    assert_int_equal(report(later, text, sizeof text, &why), ERR_NOT_FOUND);
}

static void test_a_job_is_explained(void **state)
{
    static char text[65536];
    struct why why = { "" };
    struct story story;
    (void)state;
    begin_story(&story, record("a", 0));
    run_job(&story, 5, 300);
    recorder_close(&story.recorder);
    end_story(&story);
    struct replay_options options = { .path = path_of("a"), .explain = 5, .at_seconds = -1 };
    assert_int_equal(report(options, text, sizeof text, &why), ERR_OK);
    says(text, "300 samples of model number 0");
    says(text, "lines; --all shows them");
    says(text, "The end was held by worker 0 slot 0");
    options.all = true;
    assert_int_equal(report(options, text, sizeof text, &why), ERR_OK);
    assert_null(strstr(text, "--all"));
    options.json = true;
    assert_int_equal(report(options, text, sizeof text, &why), ERR_OK);
    says(text, "\"what\": \"lease\"");
    says(text, "\"expected_seconds\"");
    says(text, "\"end\": {");
    options.at_seconds = 0.02;
    assert_int_equal(report(options, text, sizeof text, &why), ERR_OK);
    says(text, "\"held_by\"");
    options.json = false;
    assert_int_equal(report(options, text, sizeof text, &why), ERR_OK);
    says(text, "its end is held by worker 0 slot 0");
    options.at_seconds = 0;
    assert_int_equal(report(options, text, sizeof text, &why), ERR_NOT_FOUND);
    options.explain = 7;
    options.at_seconds = -1;
    assert_int_equal(report(options, text, sizeof text, &why), ERR_NOT_FOUND);
    says(why.text, "job 7 is not in this recording");
}

/* One step of another coordinator: its answer is not what this one gives. */
static void test_the_first_difference_is_named(void **state)
{
    static char text[65536];
    struct why why = { "" };
    struct story story;
    (void)state;
    begin_story(&story, record("a", 0));
    run_job(&story, 5, 20);
    recorder_event(story.recorder, story.now_us + 500000, &(struct sched_event){ .type = SCHED_TICK });
    actions.count = 1;
    actions.at[0] = (struct sched_action){ .type = SCHED_RECALL, .attempt = 77 };
    recorder_answer(story.recorder, &actions);
    recorder_close(&story.recorder);
    end_story(&story);
    struct replay_options options = { .path = path_of("a"), .at_seconds = -1 };
    assert_int_equal(report(options, text, sizeof text, &why), ERR_RUNTIME);
    says(text, "OTHER ACTIONS than then in 1 of");
    says(text, "1 actions then, 0 now");
    says(why.text, "(tick)");
}

/* As many, but not the same. */
static void test_a_changed_action_is_seen(void **state)
{
    static char text[65536];
    struct why why = { "" };
    struct story story;
    (void)state;
    begin_story(&story, record("a", 0));
    run_job(&story, 5, 20);
    const struct sched_event add = { .type = SCHED_JOB_ADD,
                                     .job = 6,
                                     .add = { .formats = SCHED_FORMAT_SYNTHETIC, .samples = 9 } };
    recorder_event(story.recorder, story.now_us, &add);
    sched_step(story.sched, story.now_us, &add, &actions);
    assert_true(actions.count > 0);
    actions.at[actions.count - 1].count++;
    recorder_answer(story.recorder, &actions);
    recorder_close(&story.recorder);
    end_story(&story);
    struct replay_options options = { .path = path_of("a"), .at_seconds = -1 };
    assert_int_equal(report(options, text, sizeof text, &why), ERR_RUNTIME);
    says(why.text, "(job-add, job 6)");
}

/* From the first difference on replay is the store: jobs end though the tape says nothing of it. */
static void test_after_a_difference_replay_stores(void **state)
{
    static char text[65536];
    struct why why = { "" };
    struct story story;
    (void)state;
    begin_story(&story, record("a", 0));
    recorder_event(story.recorder, story.now_us, &(struct sched_event){ .type = SCHED_TICK });
    actions.count = 1;
    actions.at[0] = (struct sched_action){ .type = SCHED_RECALL, .attempt = 77 };
    recorder_answer(story.recorder, &actions);
    story.storeless = true;
    run_job(&story, 5, 20);
    story.now_us += 1000000;
    step(&story, (struct sched_event){ .type = SCHED_TICK });
    step(&story, (struct sched_event){ .type = SCHED_TICK });
    recorder_close(&story.recorder);
    end_story(&story);
    struct replay_options options = { .path = path_of("a"), .at_seconds = -1, .check = true };
    assert_int_equal(report(options, text, sizeof text, &why), ERR_RUNTIME);
    says(text, "5 complete");
}

static void test_the_cap_stops_the_recording(void **state)
{
    static char text[65536];
    struct why why = { "" };
    struct recorder *recorder = record("a", 100000);
    (void)state;
    actions.count = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        recorder_event(recorder, 1000 + i, &(struct sched_event){ .type = SCHED_TICK });
        recorder_answer(recorder, &actions);
    }
    uint64_t size = size_of("a");
    assert_in_range(size, 60000, 100000 + 66000);
    recorder_close(&recorder);
    assert_int_equal(size_of("a"), size);
    assert_int_equal(
        report((struct replay_options){ .path = path_of("a"), .at_seconds = -1 }, text, sizeof text, &why),
        ERR_OK);
    says(text, "the recording reached its cap");
}

static void test_it_breathes_once_a_second(void **state)
{
    struct recorder *recorder = record("a", 0);
    (void)state;
    uint64_t size = size_of("a");
    actions.count = 0;
    recorder_event(recorder, 1000, &(struct sched_event){ .type = SCHED_TICK });
    recorder_answer(recorder, &actions);
    recorder_breathe(recorder, 900000);
    assert_int_equal(size_of("a"), size);
    recorder_breathe(recorder, 1001000);
    assert_true(size_of("a") > size);
    size = size_of("a");
    recorder_breathe(recorder, 3001000);
    assert_int_equal(size_of("a"), size);
    recorder_close(&recorder);
}

/* What the program dies of is the last event, and has no answer. */
static void test_a_crash_keeps_its_event(void **state)
{
    static char text[65536];
    struct why why = { "" };
    int status;
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct story story;
        begin_story(&story, record("a", 0));
        recorder_event(story.recorder, 2000, &(struct sched_event){ .type = SCHED_PAUSE });
        recorder_rescue();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(
        report((struct replay_options){ .path = path_of("a"), .at_seconds = -1 }, text, sizeof text, &why),
        ERR_OK);
    says(text, "the coordinator died in the step of event 2");
    says(text, "1 pause");
}

static void test_old_lives_are_removed(void **state)
{
    struct recorder *recorder;
    struct recorder_life life = { .config = &tables, .max_bytes = 12000 };
    (void)state;
    for (life.term = 1; life.term < 12; life.term++) {
        assert_int_equal(recorder_open_state(folder, &life, &recorder, NULL), ERR_OK);
        recorder_close(&recorder);
    }
    assert_true(size_of("events/11.tape") > 0);
    assert_true(size_of("events/10.tape") > 0);
    assert_int_equal(size_of("events/1.tape"), 0);
    assert_int_equal(size_of("events/5.tape"), 0);
}

static void test_what_cannot_be_written_is_said(void **state)
{
    struct recorder *recorder;
    struct why why = { "" };
    const struct recorder_life life = { .config = &tables, .term = 2 };
    (void)state;
    assert_int_equal(recorder_open(path_of("no/such/folder"), &life, &recorder, &why), ERR_FILE);
    assert_null(recorder);
    says(why.text, "no/such/folder");
    /* A full disk: the recording stops, nothing else does. */
    assert_int_equal(recorder_open("/dev/full", &life, &recorder, &why), ERR_FILE);
}

static void test_none_does_nothing(void **state)
{
    struct recorder *none = NULL;
    (void)state;
    actions.count = 0;
    recorder_event(none, 1, &(struct sched_event){ .type = SCHED_TICK });
    recorder_answer(none, &actions);
    recorder_suppose(none, 1, &(struct sched_event){ .type = SCHED_JOB_ADD });
    recorder_remove(none, 1);
    recorder_breathe(none, 5000000);
    recorder_close(&none);
}

static void test_no_recording_is_refused(void **state)
{
    static char text[1024];
    struct why why = { "" };
    FILE *file = fopen(path_of("a"), "w");
    (void)state;
    assert_non_null(file);
    fputs("something else\n", file);
    fclose(file);
    assert_int_equal(
        report((struct replay_options){ .path = path_of("a"), .at_seconds = -1 }, text, sizeof text, &why),
        ERR_FORMAT);
    says(why.text, "line 1: not a recording");
    assert_int_equal(
        report((struct replay_options){ .path = path_of("b"), .at_seconds = -1 }, text, sizeof text, &why),
        ERR_FILE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_recorded_is_replayed),
        TEST(test_a_job_is_explained),
        TEST(test_the_first_difference_is_named),
        TEST(test_a_changed_action_is_seen),
        TEST(test_after_a_difference_replay_stores),
        TEST(test_the_cap_stops_the_recording),
        TEST(test_it_breathes_once_a_second),
        TEST(test_a_crash_keeps_its_event),
        TEST(test_old_lives_are_removed),
        TEST(test_what_cannot_be_written_is_said),
        TEST(test_none_does_nothing),
        TEST(test_no_recording_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
