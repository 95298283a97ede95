// SPDX-License-Identifier: Apache-2.0
#include "record.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS_LOOKED_AT = 64 };

void record_free(struct record **record)
{
    struct record *gone = *record;
    if (!gone)
        return;
    for (size_t i = 0; i < gone->shares_count; i++)
        share_fini(&gone->shares[i]);
    for (size_t i = 0; i < gone->texts_count; i++)
        free(gone->texts[i]);
    verification_free(&gone->verification);
    free(gone->shares);
    free(gone->failures);
    free(gone->texts);
    free(gone->name);
    free(gone->model);
    free(gone->reason);
    free(gone->spec);
    free(gone->outputs);
    free(gone->output);
    free(gone->full);
    free(gone->blobs);
    free(gone->past);
    free(gone);
    *record = NULL;
}

bool record_open(const struct record *record) { return record->state <= RECORD_FINISHING; }

bool record_is_visible(const struct record *record) { return record->state != RECORD_STORING; }

bool record_has_answer(const struct record *record)
{
    bool over = record->state == RECORD_DONE || record->state == RECORD_FAILED;
    return over && record->output_kind != OUTPUT_NONE && record->failed <= record->failures_max &&
           record->done + record->failed == record->samples;
}

const char *record_state_name(enum record_state state)
{
    static const char *const names[] = { "storing", "queued", "running",  "finishing",
                                         "done",    "failed", "cancelled" };
    ENSURE((size_t)state < sizeof names / sizeof names[0]);
    return names[state];
}

uint64_t record_failures_max(const struct message_submit *submit)
{
    if (submit->max_failures != UINT64_MAX)
        return submit->max_failures;
    double share = submit->max_failures_share > 0 ? submit->max_failures_share : 0;
    return share >= 1 ? submit->samples : (uint64_t)((double)submit->samples * share);
}

/* Room for one more, zeroed and not yet counted; NULL when out of memory. */
static struct share *next_share(struct record *record)
{
    struct share *shares = realloc(record->shares, (record->shares_count + 1) * sizeof *shares);
    if (!shares)
        return NULL;
    record->shares = shares;
    memset(&shares[record->shares_count], 0, sizeof *shares);
    return &shares[record->shares_count];
}

size_t record_share(struct record *record, uint32_t number, const struct message_hello *hello, uint32_t slot,
                    const char *variant)
{
    for (size_t i = 0; i < record->shares_count; i++) {
        struct share *share = &record->shares[i];
        if (share->slot == slot && memcmp(share->worker, hello->worker, UUID_BYTES) == 0) {
            share->number = number;
            return i;
        }
    }
    struct share *share = next_share(record);
    if (!share || share_init(share, number, hello, slot, variant))
        return SIZE_MAX;
    return record->shares_count++;
}

enum err record_restore_share(struct record *record, const char *key, const uint8_t *value, size_t size)
{
    struct share *share = next_share(record);
    enum err err = share ? share_unpack(share, key, value, size) : ERR_MEMORY;
    if (!err)
        record->shares_count++;
    return err;
}

/* Words repeat, and repeat soon; looking far back would cost the square of the failures when each has words
 * of its own. */
static const char *keep_text(struct record *record, const char *text)
{
    for (size_t i = record->texts_count, looked = 0; i-- > 0 && looked < TEXTS_LOOKED_AT; looked++)
        if (strcmp(record->texts[i], text) == 0)
            return record->texts[i];
    char **texts = realloc(record->texts, (record->texts_count + 1) * sizeof *texts);
    if (!texts)
        return NULL;
    record->texts = texts;
    texts[record->texts_count] = strdup(text);
    return texts[record->texts_count] ? texts[record->texts_count++] : NULL;
}

/* Samples that fail one after the other for one reason are one entry. */
static bool extend_failure(struct record *record, uint64_t first, uint64_t count, const char *reason,
                           const char *worker)
{
    struct record_failure *last =
        record->failures_count ? &record->failures[record->failures_count - 1] : NULL;
    if (!last || last->first + last->count != first || strcmp(last->reason, reason) != 0 ||
        strcmp(last->worker, worker) != 0)
        return false;
    last->count += count;
    return true;
}

enum err record_add_failure(struct record *record, uint64_t first, uint64_t count, const char *reason,
                            const char *worker)
{
    if (extend_failure(record, first, count, reason, worker))
        return ERR_OK;
    if (record->failures_count == record->failures_capacity) {
        size_t capacity = record->failures_capacity ? 2 * record->failures_capacity : 16;
        struct record_failure *failures = realloc(record->failures, capacity * sizeof *failures);
        if (!failures)
            return ERR_MEMORY;
        record->failures = failures;
        record->failures_capacity = capacity;
    }
    const char *kept_reason = keep_text(record, reason), *kept_worker = keep_text(record, worker);
    if (!kept_reason || !kept_worker)
        return ERR_MEMORY;
    record->failures[record->failures_count++] =
        (struct record_failure){ first, count, kept_reason, kept_worker };
    return ERR_OK;
}

enum err record_set_past(struct record *record, const uint8_t *bytes, size_t size)
{
    uint8_t *past = malloc(size ? size : 1);
    if (!past)
        return ERR_MEMORY;
    memcpy(past, bytes, size);
    free(record->past);
    record->past = past;
    record->past_size = size;
    return ERR_OK;
}

enum err record_set_reason(struct record *record, const char *reason)
{
    char *copy = strdup(reason);
    if (!copy)
        return ERR_MEMORY;
    free(record->reason);
    record->reason = copy;
    return ERR_OK;
}

/* A job that was accepted in an earlier life has only the wall clock to say how long it took. */
bool record_summary(const struct record *record, const struct sched *sched, struct summary *summary,
                    struct sched_job_look *look)
{
    if (!record->past || !summary_unpack(summary, record->past, record->past_size))
        summary_init(summary);
    bool live = record->in_sched && sched && sched_job_look(sched, record->number, look);
    if (!live)
        return false;
    summary->makespan_us = 0;
    summary_add(summary, look);
    if (record->recovered && record->finished_us > record->submitted_us)
        summary->makespan_us = (uint64_t)(record->finished_us - record->submitted_us);
    return true;
}

void record_drop_failures(struct record *record)
{
    for (size_t i = 0; i < record->texts_count; i++)
        free(record->texts[i]);
    free(record->texts);
    free(record->failures);
    record->texts = NULL;
    record->failures = NULL;
    record->texts_count = record->failures_count = record->failures_capacity = 0;
}

void record_reopen(struct record *record)
{
    record_drop_failures(record);
    free(record->reason);
    record->reason = NULL;
    record->state = RECORD_QUEUED;
    record->closing = RECORD_STORING;
    record->failing = record->completing = record->full_fails = false;
    record->publishing = NULL;
    record->publish_again_us = 0;
    free(record->full);
    record->full = NULL;
    record->finished_us = 0;
    record->done = record->failed = 0;
    record->recovered = true; /* only the wall clock can say how long it took in all */
}

void record_settle(struct record *record, const struct sched *sched)
{
    struct summary summary;
    struct sched_job_look look;
    uint8_t bytes[SUMMARY_BYTES_MAX];
    if (!record_summary(record, sched, &summary, &look))
        return;
    record->done = look.done;
    record->failed = look.failed;
    uint64_t unchecked = verification_unchecked(NULL, sched, record->number);
    if (unchecked)
        verification_skip(&record->verification, unchecked);
    enum err err = record_set_past(record, bytes, summary_pack(&summary, bytes));
    for (size_t i = 0; !err && i < record->shares_count; i++) {
        struct tally tally;
        share_tally(&record->shares[i], sched, record->number, &tally);
        err = share_settle(&record->shares[i], &tally);
    }
}

bool record_wait(struct record *record, wire_peer peer, uint64_t request, uint64_t number)
{
    if (record->waiters_count == RECORD_WAITERS_MAX)
        return false;
    record->waiters[record->waiters_count++] = (struct record_waiter){ peer, request, number };
    return true;
}
