// SPDX-License-Identifier: Apache-2.0
#include "story.h"
#include "story_state.h"

#include <inttypes.h>
#include <stdlib.h>

static void end_text(struct story *story)
{
    char where[96];
    if (!story->telling || story->ended_s < 0 || story->last.last_s <= 0)
        return;
    story_where(story, story->last.worker, story->last.slot, where);
    fprintf(story->out, "The end was held by %s: %" PRIu64 " samples from %" PRIu64 " came at %.6f s", where,
            story->last_chunk.count, story->last_chunk.first, story->last.last_s);
    if (story->before.last_s > 0) {
        story_where(story, story->before.worker, story->before.slot, where);
        fprintf(story->out, ", %.3f s after the last of another slot (%s)",
                story->last.last_s - story->before.last_s, where);
    }
    fprintf(story->out, "; all was on the disk at %.6f s.\n", story->ended_s);
}

static int by_samples(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->samples != y->samples)
        return x->samples < y->samples ? 1 : -1;
    return x->worker != y->worker ? (x->worker > y->worker) - (x->worker < y->worker)
                                  : (x->slot > y->slot) - (x->slot < y->slot);
}

static void parts_text(struct story *story)
{
    char where[96];
    const struct part *parts = story->parts.at;
    size_t count = story->parts.count;
    if (count)
        fprintf(story->out, "%-28s %8s %10s %10s %7s %9s %5s %8s %12s %12s\n", "slot", "chunks", "samples",
                "busy s", "failed", "returned", "lost", "dropped", "first s", "last s");
    for (size_t i = 0; i < count && (i < STORY_SLOTS_SHOWN || story->options->all); i++) {
        story_where(story, parts[i].worker, parts[i].slot, where);
        fprintf(story->out,
                "%-28s %8" PRIu64 " %10" PRIu64 " %10.3f %7" PRIu64 " %9" PRIu64 " %5" PRIu64 " %8" PRIu64
                " %12.6f %12.6f\n",
                where, parts[i].chunks, parts[i].samples, (double)parts[i].busy_us / 1e6, parts[i].failed,
                parts[i].returned, parts[i].lost, parts[i].dropped, parts[i].first_s, parts[i].last_s);
    }
    if (count > STORY_SLOTS_SHOWN && !story->options->all)
        fprintf(story->out, "  and %zu slots; --all shows them\n", count - STORY_SLOTS_SHOWN);
}

static void parts_json(struct story *story)
{
    char name[48];
    yyjson_mut_doc *doc = story->doc;
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, story->root, "slots");
    const struct part *parts = story->parts.at;
    for (size_t i = 0; i < story->parts.count; i++) {
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, array);
        yyjson_mut_obj_add_strcpy(doc, one, "worker_name", story_name(story, parts[i].worker, name));
        yyjson_mut_obj_add_uint(doc, one, "worker", parts[i].worker);
        yyjson_mut_obj_add_uint(doc, one, "slot", parts[i].slot);
        yyjson_mut_obj_add_uint(doc, one, "chunks", parts[i].chunks);
        yyjson_mut_obj_add_uint(doc, one, "samples", parts[i].samples);
        yyjson_mut_obj_add_real(doc, one, "busy_seconds", (double)parts[i].busy_us / 1e6);
        yyjson_mut_obj_add_uint(doc, one, "failed_batches", parts[i].failed);
        yyjson_mut_obj_add_uint(doc, one, "returned", parts[i].returned);
        yyjson_mut_obj_add_uint(doc, one, "lost", parts[i].lost);
        yyjson_mut_obj_add_uint(doc, one, "dropped", parts[i].dropped);
    }
}

static void end_json(struct story *story)
{
    yyjson_mut_doc *doc = story->doc;
    if (story->ended_s < 0 || story->last.last_s <= 0) {
        yyjson_mut_obj_add_null(doc, story->root, "end");
        return;
    }
    yyjson_mut_val *end = yyjson_mut_obj_add_obj(doc, story->root, "end");
    yyjson_mut_obj_add_real(doc, end, "seconds", story->ended_s);
    yyjson_mut_obj_add_uint(doc, end, "worker", story->last.worker);
    yyjson_mut_obj_add_uint(doc, end, "slot", story->last.slot);
    yyjson_mut_obj_add_uint(doc, end, "first", story->last_chunk.first);
    yyjson_mut_obj_add_uint(doc, end, "count", story->last_chunk.count);
    if (story->before.last_s > 0)
        yyjson_mut_obj_add_real(doc, end, "after_others_seconds", story->last.last_s - story->before.last_s);
}

void story_end(struct story *story)
{
    if (story->parts.count)
        qsort(story->parts.at, story->parts.count, sizeof(struct part), by_samples);
    if (story->options->json) {
        end_json(story);
        parts_json(story);
        return;
    }
    end_text(story);
    parts_text(story);
}
