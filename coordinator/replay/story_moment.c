// SPDX-License-Identifier: Apache-2.0
#include "explain.h"
#include "story.h"
#include "story_state.h"

#include <inttypes.h>

static void because_text(const struct story *story, const struct explain_slot *slot, char *text, size_t size)
{
    struct require_findings findings;
    text[0] = 0;
    if (slot->reason == EXPLAIN_REQUIRED &&
        explain_requirement(replay_sched(story->replay), story->job, slot->worker, slot->slot, &findings))
        for (uint32_t i = 0; i < findings.count && !text[0]; i++)
            if (!findings.at[i].holds)
                require_finding_print(&findings.at[i], text, size);
    if (slot->reason == EXPLAIN_OTHERS && slot->job)
        snprintf(text, size, story_is_online(slot->job) ? "an online request" : "job %" PRIu64, slot->job);
    if (slot->until_us)
        snprintf(text, size, "until %.3f s from now", story_seconds_until(story, slot->until_us));
    if (slot->reason == EXPLAIN_LATE && slot->finish_us != UINT64_MAX)
        snprintf(text, size, "it could start in %.3f s, the job ends in %.3f s",
                 story_seconds_until(story, slot->start_us), story_seconds_until(story, slot->finish_us));
}

static void json_slot(struct story *story, yyjson_mut_val *array, const struct explain_slot *slot,
                      const char *because)
{
    char name[48];
    yyjson_mut_doc *doc = story->doc;
    yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, array);
    yyjson_mut_obj_add_strcpy(doc, one, "worker_name", story_name(story, slot->worker, name));
    yyjson_mut_obj_add_uint(doc, one, "worker", slot->worker);
    yyjson_mut_obj_add_uint(doc, one, "slot", slot->slot);
    yyjson_mut_obj_add_str(doc, one, "reason", explain_reason_name(slot->reason));
    yyjson_mut_obj_add_strcpy(doc, one, "because", because);
    yyjson_mut_obj_add_uint(doc, one, "in_flight", slot->in_flight);
    yyjson_mut_obj_add_uint(doc, one, "best_batch", slot->batch);
    if (slot->samples_per_second < 0)
        yyjson_mut_obj_add_null(doc, one, "samples_per_second");
    else
        yyjson_mut_obj_add_real(doc, one, "samples_per_second", slot->samples_per_second);
}

static void stand_slot(struct story *story, yyjson_mut_val *array, const struct explain_slot *slot)
{
    char where[96], because[256], rate[48] = "speed not known yet";
    because_text(story, slot, because, sizeof because);
    if (story->options->json) {
        json_slot(story, array, slot, because);
        return;
    }
    story_where(story, slot->worker, slot->slot, where);
    if (slot->samples_per_second >= 0)
        snprintf(rate, sizeof rate, "%.1f samples/s in batches of %u", slot->samples_per_second, slot->batch);
    fprintf(story->out, "  %-28s %-10s %u chunks, %s%s%s\n", where, explain_reason_name(slot->reason),
            slot->in_flight, rate, *because ? "; " : "", because);
}

/* In the order in which the slots came; a slot's worker may have gone since. */
static void stand_slots(struct story *story)
{
    struct explain_slot slot;
    size_t shown = 0, left_out = 0;
    const struct name *names = story->names.at;
    yyjson_mut_val *array =
        story->options->json ? yyjson_mut_obj_add_arr(story->doc, story->root, "slots") : NULL;
    for (size_t i = 0; i < story->names.count; i++)
        for (uint32_t k = 0; k < names[i].slots; k++) {
            bool tell = story->options->all || shown < STORY_SLOTS_SHOWN;
            if (!tell || !explain_slot(replay_sched(story->replay), story->job, names[i].worker, k, &slot)) {
                left_out += !tell;
                continue;
            }
            stand_slot(story, array, &slot);
            shown++;
        }
    if (left_out && !story->options->json)
        fprintf(story->out, "  and %zu slots; --all shows them\n", left_out);
}

static void stand_text(struct story *story, const struct sched_job_look *look, const struct explain_job *job)
{
    char where[96];
    fprintf(story->out,
            "job %" PRIu64 " at %.6f s: %s; %" PRIu64 " samples: %" PRIu64 " done, %" PRIu64
            " failed, %" PRIu64 " being stored, %" PRIu64 " out, %" PRIu64 " ready\n",
            story->job, story->step->seconds, story_state_words(look->state), look->samples, look->done,
            look->failed, look->settling, look->leased, look->ready);
    if (job->finish_us != UINT64_MAX && look->state < SCHED_JOB_COMPLETE)
        fprintf(story->out, "  would end in %.3f s\n", story_seconds_until(story, job->finish_us));
    if (job->held) {
        story_where(story, job->worker, job->slot, where);
        fprintf(story->out,
                "  its end is held by %s: %" PRIu64 " samples from %" PRIu64 "%s, to end in %.3f s%s\n",
                where, job->count, job->first, job->unstarted ? ", not begun" : "",
                story_seconds_until(story, job->end_us), job->hedged ? "; somebody else runs them, too" : "");
    }
    fprintf(story->out,
            "  so far: %" PRIu64 " chunks, %" PRIu64 " asked back (%" PRIu64 " came), %" PRIu64
            " hedged, %" PRIu64 " lost, %" PRIu64 " expired, %" PRIu64 " failed\n",
            look->attempts, job->recalls, job->returned, job->hedges, job->lost, job->expired,
            job->failed_batches);
}

static void stand_json(struct story *story, const struct sched_job_look *look, const struct explain_job *job)
{
    yyjson_mut_doc *doc = story->doc;
    yyjson_mut_val *root = story->root, *held;
    yyjson_mut_obj_add_real(doc, root, "at_seconds", story->step->seconds);
    yyjson_mut_obj_add_uint(doc, root, "samples_total", look->samples);
    yyjson_mut_obj_add_uint(doc, root, "samples_done", look->done);
    yyjson_mut_obj_add_uint(doc, root, "samples_failed", look->failed);
    yyjson_mut_obj_add_uint(doc, root, "samples_settling", look->settling);
    yyjson_mut_obj_add_uint(doc, root, "samples_leased", look->leased);
    yyjson_mut_obj_add_uint(doc, root, "samples_ready", look->ready);
    yyjson_mut_obj_add_uint(doc, root, "attempts", look->attempts);
    if (job->finish_us != UINT64_MAX && look->state < SCHED_JOB_COMPLETE)
        yyjson_mut_obj_add_real(doc, root, "eta_seconds", story_seconds_until(story, job->finish_us));
    else
        yyjson_mut_obj_add_null(doc, root, "eta_seconds");
    if (!job->held)
        return;
    held = yyjson_mut_obj_add_obj(doc, root, "held_by");
    yyjson_mut_obj_add_uint(doc, held, "worker", job->worker);
    yyjson_mut_obj_add_uint(doc, held, "slot", job->slot);
    yyjson_mut_obj_add_uint(doc, held, "first", job->first);
    yyjson_mut_obj_add_uint(doc, held, "count", job->count);
    yyjson_mut_obj_add_real(doc, held, "ends_in_seconds", story_seconds_until(story, job->end_us));
}

void story_stand(struct story *story)
{
    struct sched_job_look look;
    struct explain_job job;
    if (!sched_job_look(replay_sched(story->replay), story->job, &look) ||
        !explain_job(replay_sched(story->replay), story->job, &job)) {
        story->found = false;
        return;
    }
    if (story->options->json)
        stand_json(story, &look, &job);
    else
        stand_text(story, &look, &job);
    stand_slots(story);
}
