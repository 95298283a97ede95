// SPDX-License-Identifier: Apache-2.0
/* A heap of four children a node, with the keys beside the pointers: half the levels of a binary one, and a
 * comparison touches no happening. */
#include "agenda.h"

#include "ensure.h"

#include <stdlib.h>

enum { CHILDREN = 4, BLOCK = 128 };

struct block {
    struct block *next;
    struct happening happenings[BLOCK];
};

struct word word_of(const struct sched_event *event)
{
    struct word word = { .type = event->type,
                         .worker = event->worker,
                         .slot = event->slot,
                         .job = event->job,
                         .attempt = event->attempt,
                         .term = event->term,
                         .first = event->first,
                         .count = event->count };
    if (event->type == SCHED_RESULT) {
        word.us = event->result.run_us;
        word.failure = event->result.failure;
        word.proven = event->result.proven;
        word.again = event->result.again;
        word.energy_joules = event->result.energy_joules;
    } else if (event->type == SCHED_LOADED) {
        word.us = event->loaded.load_us;
        word.ok = event->loaded.ok;
        word.model = event->loaded.model;
        word.alpha_us = event->loaded.alpha_us;
        word.beta_us = event->loaded.beta_us;
    } else if (event->type == SCHED_STORED || event->type == SCHED_UNSTORABLE) {
        word.settle = event->stored.settle;
    } else if (event->type == SCHED_HELD) {
        word.finished = event->held.finished;
    }
    return word;
}

void word_say(const struct word *word, struct sched_event *event)
{
    event->type = word->type;
    event->worker = word->worker;
    event->slot = word->slot;
    event->job = word->job;
    event->attempt = word->attempt;
    event->term = word->term;
    event->first = word->first;
    event->count = word->count;
    if (word->type == SCHED_RESULT) {
        event->result.run_us = word->us;
        event->result.wait_us = 0;
        event->result.overrun = false;
        event->result.failure = word->failure;
        event->result.proven = word->proven;
        event->result.again = word->again;
        event->result.energy_joules = word->energy_joules;
    } else if (word->type == SCHED_LOADED) {
        event->loaded.load_us = word->us;
        event->loaded.ok = word->ok;
        event->loaded.model = word->model;
        event->loaded.alpha_us = word->alpha_us;
        event->loaded.beta_us = word->beta_us;
    } else if (word->type == SCHED_STORED || word->type == SCHED_UNSTORABLE) {
        event->stored.settle = word->settle;
    } else if (word->type == SCHED_HELD) {
        event->held.finished = word->finished;
    }
}

void agenda_init(struct agenda *agenda) { *agenda = (struct agenda){ 0 }; }

void agenda_fini(struct agenda *agenda)
{
    struct block *next, *block = agenda->blocks;
    for (; block; block = next) {
        next = block->next;
        free(block);
    }
    free(agenda->at);
    agenda_init(agenda);
}

static bool before(const struct agenda_entry *a, const struct agenda_entry *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void insert(struct agenda *agenda, uint64_t at_us, struct happening *happening)
{
    if (agenda->count == agenda->capacity) {
        agenda->capacity = agenda->capacity ? 2 * agenda->capacity : 64;
        agenda->at = realloc(agenda->at, agenda->capacity * sizeof *agenda->at);
        ENSURE(agenda->at);
    }
    struct agenda_entry entry = { .at_us = at_us, .order = happening->order, .happening = happening };
    size_t index = agenda->count++;
    while (index > 0 && before(&entry, &agenda->at[(index - 1) / CHILDREN])) {
        agenda->at[index] = agenda->at[(index - 1) / CHILDREN];
        index = (index - 1) / CHILDREN;
    }
    agenda->at[index] = entry;
}

static struct happening *take_spare(struct agenda *agenda)
{
    if (!agenda->spare) {
        struct block *block = malloc(sizeof *block);
        ENSURE(block);
        block->next = agenda->blocks;
        agenda->blocks = block;
        for (int i = BLOCK - 1; i >= 0; i--)
            agenda_done(agenda, &block->happenings[i]);
    }
    struct happening *happening = agenda->spare;
    agenda->spare = happening->next;
    return happening;
}

struct happening *agenda_add(struct agenda *agenda, uint64_t at_us, enum happening_type type, uint32_t worker,
                             uint64_t epoch)
{
    struct happening *happening = take_spare(agenda);
    happening->type = type;
    happening->worker = worker;
    happening->epoch = epoch;
    happening->order = ++agenda->order;
    insert(agenda, at_us, happening);
    return happening;
}

void agenda_again(struct agenda *agenda, struct happening *happening, uint64_t at_us)
{
    insert(agenda, at_us, happening);
}

static size_t smallest_child(const struct agenda *agenda, size_t index)
{
    size_t first = CHILDREN * index + 1, best = first;
    for (size_t child = first + 1; child < first + CHILDREN && child < agenda->count; child++)
        if (before(&agenda->at[child], &agenda->at[best]))
            best = child;
    return best;
}

struct happening *agenda_take(struct agenda *agenda, uint64_t *at_us)
{
    if (agenda->count == 0)
        return NULL;
    struct happening *first = agenda->at[0].happening;
    *at_us = agenda->at[0].at_us;
    struct agenda_entry last = agenda->at[--agenda->count];
    size_t index = 0;
    while (CHILDREN * index + 1 < agenda->count) {
        size_t child = smallest_child(agenda, index);
        if (!before(&agenda->at[child], &last))
            break;
        agenda->at[index] = agenda->at[child];
        index = child;
    }
    if (agenda->count > 0)
        agenda->at[index] = last;
    return first;
}

void agenda_done(struct agenda *agenda, struct happening *happening)
{
    happening->next = agenda->spare;
    agenda->spare = happening;
}
