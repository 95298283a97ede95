// SPDX-License-Identifier: Apache-2.0
#include "roster.h"

#include "ensure.h"
#include "sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct roster {
    uint32_t max, count, capacity;
    uint32_t up_count, up_slots;
    uint64_t sessions;
    struct worker **at;
    struct worker *quietest, *loudest;
    struct decoder *decoder;
    const struct worker *decoded; /* whose HELLO the decoder holds */
    const struct message *message;
};

struct roster *roster_new(uint32_t max)
{
    struct roster *roster = calloc(1, sizeof *roster);
    if (!roster)
        return NULL;
    roster->max = max;
    roster->decoder = decoder_new();
    if (!roster->decoder)
        roster_free(&roster);
    return roster;
}

static void worker_free(struct worker *worker)
{
    free(worker->hello);
    free(worker->told);
    trail_fini(&worker->trail);
    free(worker->shares);
    free(worker->barred_until_us);
    free(worker->runs);
    free(worker);
}

void roster_free(struct roster **roster)
{
    if (!*roster)
        return;
    for (uint32_t i = 0; i < (*roster)->count; i++)
        worker_free((*roster)->at[i]);
    free((*roster)->at);
    if ((*roster)->decoder)
        decoder_free(&(*roster)->decoder);
    free(*roster);
    *roster = NULL;
}

uint32_t roster_formats(const struct message_slot *slot)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < slot->formats_count; i++) {
        if (strcmp(slot->formats[i], "onnx") == 0)
            bits |= SCHED_FORMAT_ONNX;
        else if (strcmp(slot->formats[i], "synthetic") == 0)
            bits |= SCHED_FORMAT_SYNTHETIC;
    }
    return bits;
}

static bool has_device(const struct message_hello *hello, const char *id)
{
    for (uint32_t i = 0; i < hello->devices_count; i++)
        if (strcmp(hello->devices[i].id, id) == 0)
            return true;
    return false;
}

static enum err check(const struct message_hello *hello, struct why *why)
{
    for (uint32_t i = 0; i < hello->slots_count; i++) {
        if (hello->slots[i].slot != i)
            return why_set(why, ERR_FORMAT, "HELLO: slots[%u] says it is slot %u; number them from 0", i,
                           hello->slots[i].slot);
        if (!has_device(hello, hello->slots[i].device))
            return why_set(why, ERR_FORMAT, "HELLO: slot %u is on device '%s', which is not listed", i,
                           hello->slots[i].device);
    }
    return ERR_OK;
}

static enum err find_room(struct roster *roster, struct why *why)
{
    if (roster->count == roster->max)
        return why_set(why, ERR_FULL, "%u workers have come since the coordinator started, which is the most",
                       roster->max);
    if (roster->count < roster->capacity)
        return ERR_OK;
    uint32_t capacity = roster->capacity ? 2 * roster->capacity : 64;
    struct worker **at = realloc(roster->at, capacity * sizeof *at);
    if (!at)
        return why_set(why, ERR_MEMORY, "out of memory for %u workers", capacity);
    roster->at = at;
    roster->capacity = capacity;
    return ERR_OK;
}

static enum err record(struct roster *roster, const uint8_t uuid[UUID_BYTES], struct worker **worker,
                       struct why *why)
{
    *worker = roster_find(roster, uuid);
    if (*worker)
        return ERR_OK;
    enum err err = find_room(roster, why);
    if (err)
        return err;
    struct worker *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return why_set(why, ERR_MEMORY, "out of memory for a worker");
    fresh->number = roster->count;
    fresh->state = ROSTER_LEFT;
    memcpy(fresh->uuid, uuid, UUID_BYTES);
    roster->at[roster->count++] = *worker = fresh;
    return ERR_OK;
}

static enum err keep_hello(struct roster *roster, struct worker *worker, const struct message_hello *hello)
{
    struct message message = { .type = MESSAGE_HELLO };
    message.hello = *hello;
    uint8_t *bytes;
    size_t size;
    if (message_encode(&message, &bytes, &size))
        return ERR_MEMORY;
    free(worker->hello);
    worker->hello = bytes;
    worker->hello_size = size;
    if (roster->decoded == worker)
        roster->decoded = NULL;
    return ERR_OK;
}

static void become_loudest(struct roster *roster, struct worker *worker)
{
    worker->quieter = roster->loudest;
    worker->louder = NULL;
    *(roster->loudest ? &roster->loudest->louder : &roster->quietest) = worker;
    roster->loudest = worker;
}

static void fall_silent(struct roster *roster, struct worker *worker)
{
    *(worker->quieter ? &worker->quieter->louder : &roster->quietest) = worker->louder;
    *(worker->louder ? &worker->louder->quieter : &roster->loudest) = worker->quieter;
    worker->quieter = worker->louder = NULL;
}

void roster_heard(struct roster *roster, struct worker *worker, uint64_t now_us)
{
    if (worker->heard_us == now_us || worker->state != ROSTER_UP)
        return;
    worker->heard_us = now_us;
    fall_silent(roster, worker);
    become_loudest(roster, worker);
}

struct worker *roster_quietest(const struct roster *roster) { return roster->quietest; }

static bool make_slot_tables(struct worker *worker, size_t slots)
{
    if (!worker->barred_until_us)
        worker->barred_until_us = calloc(slots, sizeof *worker->barred_until_us);
    if (!worker->runs)
        worker->runs = calloc(slots, sizeof *worker->runs);
    return worker->barred_until_us && worker->runs;
}

/* What the coordinator wanted of a process ends with it. */
static void take_over(struct worker *worker, const struct message_hello *hello, bool news)
{
    bool reborn = !news && worker->life != hello->life;
    worker->undrained = reborn && worker->draining && !hello->draining;
    worker->draining = news || reborn ? hello->draining : worker->draining;
    worker->life = hello->life;
}

enum err roster_greet(struct roster *roster, wire_peer peer, const struct message_hello *hello,
                      struct worker **worker, struct why *why)
{
    struct worker *found;
    enum err err = check(hello, why);
    if (!err)
        err = record(roster, hello->worker, &found, why);
    if (err)
        return err;
    ENSURE(found->state != ROSTER_UP);
    if (found->hello && found->slots_count != hello->slots_count)
        return why_set(
            why, ERR_FORMAT,
            "HELLO: %u slots, but this worker process came with %u; a changed worker needs a new uuid",
            hello->slots_count, found->slots_count);
    bool news = !found->hello;
    size_t slots = hello->slots_count ? hello->slots_count : 1;
    size_t *shares = malloc(slots * sizeof *shares);
    if (!shares || !make_slot_tables(found, slots) || keep_hello(roster, found, hello)) {
        free(shares);
        return why_set(why, ERR_MEMORY, "out of memory for a worker's description");
    }
    free(found->shares);
    found->shares = shares;
    take_over(found, hello, news);
    found->share_job = 0;
    snprintf(found->name, sizeof found->name, "%s", hello->name);
    found->state = ROSTER_UP;
    found->serving = found->shares_storage = found->doomed = false;
    found->peer = peer;
    found->session = ++roster->sessions;
    found->left_us = 0;
    found->memory_free_bytes = 0;
    found->told_us = found->runs_us = 0;
    memset(found->runs, 0, slots * sizeof *found->runs);
    found->slots_count = hello->slots_count;
    found->formats = 0;
    for (uint32_t i = 0; i < hello->slots_count; i++)
        found->formats |= roster_formats(&hello->slots[i]);
    roster->up_count++;
    roster->up_slots += found->slots_count;
    found->heard_us = 0;
    become_loudest(roster, found);
    *worker = found;
    return ERR_OK;
}

void roster_dismiss(struct roster *roster, struct worker *worker, enum roster_state state, int64_t wall_us)
{
    ENSURE(worker->state == ROSTER_UP && state != ROSTER_UP);
    roster->up_count--;
    roster->up_slots -= worker->slots_count;
    fall_silent(roster, worker);
    worker->state = state;
    worker->serving = worker->doomed = false;
    worker->peer = 0;
    worker->left_us = wall_us;
}

uint32_t roster_count(const struct roster *roster) { return roster->count; }

struct worker *roster_at(const struct roster *roster, uint32_t number)
{
    return number < roster->count ? roster->at[number] : NULL;
}

struct worker *roster_find(const struct roster *roster, const uint8_t uuid[UUID_BYTES])
{
    for (uint32_t i = 0; i < roster->count; i++)
        if (memcmp(roster->at[i]->uuid, uuid, UUID_BYTES) == 0)
            return roster->at[i];
    return NULL;
}

struct worker *roster_find_name(const struct roster *roster, const char *name)
{
    struct worker *gone = NULL;
    for (uint32_t i = roster->count; i-- > 0;) {
        if (strcmp(roster->at[i]->name, name) != 0)
            continue;
        if (roster->at[i]->state == ROSTER_UP)
            return roster->at[i];
        if (!gone)
            gone = roster->at[i];
    }
    return gone;
}

struct worker *roster_find_word(const struct roster *roster, const char *which)
{
    uint8_t uuid[UUID_BYTES];
    int digits = 0;
    memset(uuid, 0, sizeof uuid);
    for (const char *at = which; *at && digits < 2 * UUID_BYTES; at++) {
        const char *hex = "0123456789abcdef", *found = strchr(hex, *at);
        if (*at == '-')
            continue;
        if (!found)
            return roster_find_name(roster, which);
        uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | (found - hex));
        digits++;
    }
    struct worker *worker = digits == 2 * UUID_BYTES ? roster_find(roster, uuid) : NULL;
    return worker ? worker : roster_find_name(roster, which);
}

uint32_t roster_up_count(const struct roster *roster) { return roster->up_count; }

uint32_t roster_up_slots(const struct roster *roster) { return roster->up_slots; }

uint32_t roster_up_formats(const struct roster *roster)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < roster->count; i++)
        bits |= roster->at[i]->state == ROSTER_UP ? roster->at[i]->formats : 0;
    return bits;
}

const struct message_hello *worker_hello(struct roster *roster, const struct worker *worker)
{
    if (roster->decoded != worker) {
        /* Our own encoder made these bytes. */
        enum err err =
            decoder_decode(roster->decoder, worker->hello, worker->hello_size, &roster->message, NULL);
        ENSURE(!err);
        roster->decoded = worker;
    }
    return &roster->message->hello;
}

void worker_settle_hello(struct roster *roster, struct worker *worker)
{
    struct message_hello hello = *worker_hello(roster, worker);
    if (!hello.attempts_count)
        return;
    hello.attempts = NULL;
    hello.attempts_count = 0;
    /* Without memory for the shorter form the longer one serves as well. */
    if (keep_hello(roster, worker, &hello))
        return;
}

static size_t told_place(const struct worker *worker, uint64_t job)
{
    size_t low = 0, high = worker->told_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (worker->told[middle] < job)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool worker_tell(struct worker *worker, uint64_t job)
{
    size_t place = told_place(worker, job);
    if (place < worker->told_count && worker->told[place] == job)
        return false;
    if (worker->told_count == worker->told_capacity) {
        size_t capacity = worker->told_capacity ? 2 * worker->told_capacity : 8;
        uint64_t *told = realloc(worker->told, capacity * sizeof *told);
        if (!told)
            return true;
        worker->told = told;
        worker->told_capacity = capacity;
    }
    memmove(worker->told + place + 1, worker->told + place,
            (worker->told_count - place) * sizeof *worker->told);
    worker->told[place] = job;
    worker->told_count++;
    return true;
}

bool worker_untell(struct worker *worker, uint64_t job)
{
    size_t place = told_place(worker, job);
    if (place == worker->told_count || worker->told[place] != job)
        return false;
    worker->told_count--;
    memmove(worker->told + place, worker->told + place + 1,
            (worker->told_count - place) * sizeof *worker->told);
    return true;
}

const char *roster_state_name(enum roster_state state)
{
    static const char *const names[] = { "up", "lost", "left" };
    ENSURE((size_t)state < sizeof names / sizeof names[0]);
    return names[state];
}
