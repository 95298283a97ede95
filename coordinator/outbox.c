// SPDX-License-Identifier: Apache-2.0
#include "outbox.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct lines {
    size_t count, capacity;
    void *at;
};

struct lease {
    struct message_lease lease;
    uint8_t mac[MAC_BYTES];
};

struct ack {
    uint64_t term, attempt;
};

struct said {
    uint8_t *body;
    size_t size;
};

struct box {
    bool dirty, urgent; /* urgent: some line is not calm */
    struct lines said, leases, recalls, acks, forgets;
};

struct outbox {
    bool calm;
    size_t count; /* of boxes: by worker number */
    struct box *boxes;
    struct lines dirty;   /* uint32_t worker, in order */
    struct lines scratch; /* what a message's array points to while it is sent */
};

struct outbox *outbox_new(void) { return calloc(1, sizeof(struct outbox)); }

static void drop_said(struct box *box)
{
    for (size_t i = 0; i < box->said.count; i++)
        free(((struct said *)box->said.at)[i].body);
    box->said.count = 0;
}

void outbox_free(struct outbox **outbox)
{
    if (!*outbox)
        return;
    for (size_t i = 0; i < (*outbox)->count; i++) {
        struct box *box = &(*outbox)->boxes[i];
        drop_said(box);
        free(box->said.at);
        free(box->leases.at);
        free(box->recalls.at);
        free(box->acks.at);
        free(box->forgets.at);
    }
    free((*outbox)->boxes);
    free((*outbox)->dirty.at);
    free((*outbox)->scratch.at);
    free(*outbox);
    *outbox = NULL;
}

static void *grown(void *at, size_t *capacity, size_t wanted, size_t each)
{
    size_t target = *capacity ? *capacity : 16;
    while (target < wanted)
        target *= 2;
    void *fresh = realloc(at, target * each);
    if (fresh)
        *capacity = target;
    return fresh;
}

static bool reserve(struct lines *lines, size_t wanted, size_t each)
{
    if (wanted <= lines->capacity)
        return true;
    void *fresh = grown(lines->at, &lines->capacity, wanted, each);
    if (fresh)
        lines->at = fresh;
    return fresh != NULL;
}

static void *append(struct lines *lines, size_t each)
{
    if (!reserve(lines, lines->count + 1, each))
        return NULL;
    return (char *)lines->at + each * lines->count++;
}

static bool have_boxes(struct outbox *outbox, size_t count)
{
    if (count <= outbox->count)
        return true;
    size_t capacity = outbox->count;
    struct box *boxes = grown(outbox->boxes, &capacity, count, sizeof *boxes);
    if (!boxes)
        return false;
    memset(boxes + outbox->count, 0, (capacity - outbox->count) * sizeof *boxes);
    outbox->boxes = boxes;
    outbox->count = capacity;
    return true;
}

static struct box *box_of(struct outbox *outbox, uint32_t worker, bool urgent)
{
    if (!have_boxes(outbox, (size_t)worker + 1))
        return NULL;
    struct box *box = &outbox->boxes[worker];
    if (!box->dirty) {
        uint32_t *line = append(&outbox->dirty, sizeof *line);
        if (!line)
            return NULL;
        *line = worker;
        box->dirty = true;
        box->urgent = false;
    }
    box->urgent = box->urgent || urgent;
    return box;
}

void outbox_calm(struct outbox *outbox, bool calm) { outbox->calm = calm; }

void outbox_say(struct outbox *outbox, uint32_t worker, uint8_t **body, size_t size)
{
    struct box *box = box_of(outbox, worker, true);
    struct said *line = box ? append(&box->said, sizeof *line) : NULL;
    if (line)
        *line = (struct said){ *body, size };
    else
        free(*body);
    *body = NULL;
}

void outbox_lease(struct outbox *outbox, uint32_t worker, const struct message_lease *lease)
{
    struct box *box = box_of(outbox, worker, true);
    struct lease *line = box ? append(&box->leases, sizeof *line) : NULL;
    if (!line)
        return;
    line->lease = *lease;
    memcpy(line->mac, lease->mac, MAC_BYTES);
}

void outbox_recall(struct outbox *outbox, uint32_t worker, uint64_t attempt)
{
    struct box *box = box_of(outbox, worker, true);
    uint64_t *line = box ? append(&box->recalls, sizeof *line) : NULL;
    if (line)
        *line = attempt;
}

void outbox_ack(struct outbox *outbox, uint32_t worker, uint64_t term, uint64_t attempt)
{
    struct box *box = box_of(outbox, worker, !outbox->calm);
    struct ack *line = box ? append(&box->acks, sizeof *line) : NULL;
    if (line)
        *line = (struct ack){ term, attempt };
}

void outbox_forget(struct outbox *outbox, uint32_t worker, uint64_t job)
{
    struct box *box = box_of(outbox, worker, !outbox->calm);
    uint64_t *line = box ? append(&box->forgets, sizeof *line) : NULL;
    if (line)
        *line = job;
}

void outbox_drop(struct outbox *outbox, uint32_t worker)
{
    if (worker >= outbox->count)
        return;
    struct box *box = &outbox->boxes[worker];
    drop_said(box);
    box->leases.count = box->recalls.count = box->acks.count = box->forgets.count = 0;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void send_said(uint32_t worker, struct box *box, const struct outbox_ways *ways)
{
    struct said *lines = box->said.at;
    for (size_t i = 0; i < box->said.count; i++)
        ways->send_encoded(ways->context, worker, &lines[i].body, lines[i].size);
    box->said.count = 0;
}

static void send_leases(struct outbox *outbox, uint32_t worker, struct box *box,
                        const struct outbox_ways *ways)
{
    for (size_t done = 0, part; done < box->leases.count; done += part) {
        part = least(box->leases.count - done, LEASES_MAX);
        if (!reserve(&outbox->scratch, part, sizeof(struct message_lease)))
            return;
        struct message_lease *leases = outbox->scratch.at;
        const struct lease *lines = box->leases.at;
        for (size_t i = 0; i < part; i++) {
            leases[i] = lines[done + i].lease;
            leases[i].mac = lines[done + i].mac;
        }
        struct message message = { .type = MESSAGE_LEASES };
        message.leases.leases = leases;
        message.leases.leases_count = (uint32_t)part;
        ways->send(ways->context, worker, &message);
    }
}

/* A message names one term; acknowledgements of another life of the coordinator make a message of their own.
 */
static void send_acks(struct outbox *outbox, uint32_t worker, struct box *box, const struct outbox_ways *ways)
{
    const struct ack *lines = box->acks.at;
    for (size_t done = 0, part; done < box->acks.count; done += part) {
        part = 1;
        while (done + part < box->acks.count && part < ATTEMPTS_MAX &&
               lines[done + part].term == lines[done].term)
            part++;
        if (!reserve(&outbox->scratch, part, sizeof(struct message_lease)))
            return;
        uint64_t *attempts = outbox->scratch.at;
        for (size_t i = 0; i < part; i++)
            attempts[i] = lines[done + i].attempt;
        struct message message = { .type = MESSAGE_ACKS };
        message.acks.term = lines[done].term;
        message.acks.attempts = attempts;
        message.acks.attempts_count = (uint32_t)part;
        ways->send(ways->context, worker, &message);
    }
}

static void send_recalls(uint32_t worker, struct box *box, const struct outbox_ways *ways)
{
    for (size_t done = 0, part; done < box->recalls.count; done += part) {
        part = least(box->recalls.count - done, ATTEMPTS_MAX);
        struct message message = { .type = MESSAGE_RECALL };
        message.recall.attempts = (uint64_t *)box->recalls.at + done;
        message.recall.attempts_count = (uint32_t)part;
        ways->send(ways->context, worker, &message);
    }
}

static void send_forgets(uint32_t worker, struct box *box, const struct outbox_ways *ways)
{
    for (size_t done = 0, part; done < box->forgets.count; done += part) {
        part = least(box->forgets.count - done, JOBS_PER_MESSAGE_MAX);
        struct message message = { .type = MESSAGE_FORGET };
        message.forget.jobs = (uint64_t *)box->forgets.at + done;
        message.forget.jobs_count = (uint32_t)part;
        ways->send(ways->context, worker, &message);
    }
}

static void send_box(struct outbox *outbox, uint32_t worker, const struct outbox_ways *ways)
{
    struct box *box = &outbox->boxes[worker];
    send_said(worker, box, ways);
    send_leases(outbox, worker, box, ways);
    send_recalls(worker, box, ways);
    send_acks(outbox, worker, box, ways);
    send_forgets(worker, box, ways);
    outbox_drop(outbox, worker);
    box->dirty = false;
}

void outbox_flush(struct outbox *outbox, bool all, const struct outbox_ways *ways)
{
    uint32_t *dirty = outbox->dirty.at;
    size_t kept = 0;
    for (size_t i = 0; i < outbox->dirty.count; i++)
        if (all || outbox->boxes[dirty[i]].urgent)
            send_box(outbox, dirty[i], ways);
        else
            dirty[kept++] = dirty[i];
    outbox->dirty.count = kept;
}
