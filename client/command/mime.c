// SPDX-License-Identifier: Apache-2.0
#include "mime.h"

#include "ensure.h"
#include "rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All mimes' one model: the built-in one. */
static const uint8_t built_in[SHA256_BYTES];
static const char *formats[] = { "synthetic" };
static struct message_device device = { .id = "cpu:0", .kind = "cpu", .vendor = "", .name = "mime" };

static void describe_slot(const struct mime_plan *plan, uint32_t number, struct message_slot *slot)
{
    *slot = (struct message_slot){ .slot = number,
                                   .device = device.id,
                                   .runtime = "synthetic",
                                   .formats = formats,
                                   .formats_count = 1,
                                   .batch_max = BATCH_MAX,
                                   .window = plan->window,
                                   .idle_watts = -1,
                                   .busy_watts = -1,
                                   .price_per_hour = -1 };
}

enum err mime_new(const struct mime_plan *plan, uint32_t number, struct mime **mime)
{
    struct mime *made = *mime = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    made->plan = *plan;
    made->held_capacity = plan->slots * WINDOW_MAX; /* what a coordinator may give, whatever was asked for */
    snprintf(made->name, sizeof made->name, "mime-%u", number + 1);
    memcpy(made->uuid, "motley-mime-", 13);
    for (int i = 0; i < 3; i++)
        made->uuid[13 + i] = (uint8_t)(number >> (8 * i));
    made->held = calloc(made->held_capacity, sizeof *made->held);
    made->said = calloc(made->held_capacity, sizeof *made->said);
    made->free_us = calloc(plan->slots, sizeof *made->free_us);
    made->slots = calloc(plan->slots, sizeof *made->slots);
    made->results = calloc(RESULTS_MAX, sizeof *made->results);
    made->answers = calloc(RESULTS_MAX, sizeof *made->answers);
    if (!made->held || !made->said || !made->free_us || !made->slots || !made->results || !made->answers) {
        mime_free(mime);
        return ERR_MEMORY;
    }
    for (uint32_t i = 0; i < plan->slots; i++)
        describe_slot(plan, i, &made->slots[i]);
    return ERR_OK;
}

void mime_free(struct mime **mime)
{
    if (!*mime)
        return;
    free((*mime)->held);
    free((*mime)->said);
    free((*mime)->free_us);
    free((*mime)->slots);
    free((*mime)->results);
    free((*mime)->answers);
    free(*mime);
    *mime = NULL;
}

void mime_hello(struct mime *mime, struct message *message)
{
    *message = (struct message){ .type = MESSAGE_HELLO };
    message->hello = (struct message_hello){ .protocol_min = PROTOCOL_MIN,
                                             .protocol_max = PROTOCOL_MAX,
                                             .worker = mime->uuid,
                                             .name = mime->name,
                                             .host = "",
                                             .version = "",
                                             .devices = &device,
                                             .devices_count = 1,
                                             .slots = mime->slots,
                                             .slots_count = mime->plan.slots };
}

static void take_leases(struct mime *mime, const struct message_leases *leases, uint64_t now_us)
{
    for (uint32_t i = 0; i < leases->leases_count; i++) {
        const struct message_lease *lease = &leases->leases[i];
        if (lease->slot >= mime->plan.slots || mime->held_count == mime->held_capacity)
            continue; /* no coordinator of ours does that */
        struct mime_lease *held = &mime->held[mime->held_count++];
        uint64_t *free_us = &mime->free_us[lease->slot];
        *free_us = (*free_us > now_us ? *free_us : now_us) + mime->plan.batch_us;
        held->lease = *lease;
        memcpy(held->mac, lease->mac, MAC_BYTES);
        held->due_us = *free_us;
    }
    mime->leased += leases->leases_count;
}

void mime_begin(struct mime *mime)
{
    static const uint8_t mac[MAC_BYTES] = { 1 };
    enum { TERM = 1, ATTEMPT_BITS = 40 };
    mime->welcome = true;
    mime->heartbeat_ms = 1000;
    for (uint32_t i = 0; i < mime->plan.slots * mime->plan.window; i++) {
        struct message_lease lease = { .slot = i % mime->plan.slots,
                                       .job = 1,
                                       .first = 1000000 + i,
                                       .count = 1,
                                       .term = TERM,
                                       .attempt = ((uint64_t)TERM << ATTEMPT_BITS) + 1000000 + i,
                                       .mac = mac };
        take_leases(mime, &(struct message_leases){ &lease, 1 }, 0);
    }
}

bool mime_hear(struct mime *mime, const struct message *message, uint64_t now_us, struct message *reply)
{
    switch (message->type) {
    case MESSAGE_WELCOME:
        mime->welcome = true;
        mime->heartbeat_ms = message->welcome.heartbeat_ms;
        *reply = (struct message){ .type = MESSAGE_PROOF };
        return true;
    case MESSAGE_LOAD:
        mime->loaded = true;
        *reply = (struct message){ .type = MESSAGE_LOADED };
        reply->loaded = (struct message_loaded){ .slot = message->load.slot, .model = built_in, .ok = true };
        return true;
    case MESSAGE_LEASES: take_leases(mime, &message->leases, now_us); return false;
    case MESSAGE_ACKS: mime->acknowledged += message->acks.attempts_count; return false;
    default: return false; /* what a worker that computes would have to know */
    }
}

uint64_t mime_due_us(const struct mime *mime)
{
    uint64_t due_us = UINT64_MAX;
    for (uint32_t i = 0; i < mime->held_count; i++)
        due_us = mime->held[i].due_us < due_us ? mime->held[i].due_us : due_us;
    return due_us;
}

static void answer(struct mime *mime, uint32_t at)
{
    const struct message_lease *lease = &mime->said[at].lease;
    mime->answers[at] = rng_mix64(lease->first);
    mime->results[at] = (struct message_result){ .slot = lease->slot,
                                                 .job = lease->job,
                                                 .first = lease->first,
                                                 .count = lease->count,
                                                 .term = lease->term,
                                                 .attempt = lease->attempt,
                                                 .mac = mime->said[at].mac,
                                                 .run_us = mime->plan.batch_us ? mime->plan.batch_us : 1,
                                                 .energy_joules = -1,
                                                 .rows = (const uint8_t *)&mime->answers[at],
                                                 .rows_size = sizeof mime->answers[at] };
}

/* Those that are due move to said, the others close the ranks. */
static uint32_t take_due(struct mime *mime, uint64_t now_us)
{
    uint32_t due = 0, kept = 0;
    for (uint32_t i = 0; i < mime->held_count; i++)
        if (due < RESULTS_MAX && mime->held[i].due_us <= now_us)
            mime->said[due++] = mime->held[i];
        else if (kept++ < i)
            mime->held[kept - 1] = mime->held[i];
    mime->held_count = kept;
    return due;
}

bool mime_results(struct mime *mime, uint64_t now_us, struct message *message)
{
    uint32_t due = take_due(mime, now_us);
    for (uint32_t i = 0; i < due; i++) {
        ENSURE(mime->said[i].lease.count == 1); /* the bench submits with --batch 1 */
        answer(mime, i);
    }
    *message = (struct message){ .type = MESSAGE_RESULTS };
    message->results.results = mime->results;
    message->results.results_count = due;
    mime->finished += due;
    return due > 0;
}

void mime_heartbeat(struct mime *mime, struct message *message)
{
    *message = (struct message){ .type = MESSAGE_HEARTBEAT };
    message->heartbeat.sequence = ++mime->beats;
}
