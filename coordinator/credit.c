// SPDX-License-Identifier: Apache-2.0
#include "credit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct credits {
    _Atomic uint64_t bytes;
};

struct credit {
    struct credits *all;
    _Atomic uint64_t bytes, left;
    _Atomic uint32_t holders; /* the peer, and each frame */
};

/* What a frame's release is told of it. */
struct load {
    struct credit *credit;
    size_t size;
    void (*release)(void *bytes, void *hint);
    void *hint;
};

struct credits *credits_new(void) { return calloc(1, sizeof(struct credits)); }

void credits_free(struct credits **credits)
{
    free(*credits);
    *credits = NULL;
}

uint64_t credits_bytes(const struct credits *credits) { return atomic_load(&credits->bytes); }

struct credit *credit_new(struct credits *credits)
{
    struct credit *credit = calloc(1, sizeof *credit);
    if (!credit)
        return NULL;
    credit->all = credits;
    atomic_init(&credit->holders, 1);
    return credit;
}

static void let_go(struct credit *credit)
{
    if (atomic_fetch_sub(&credit->holders, 1) == 1)
        free(credit);
}

void credit_drop(struct credit **credit)
{
    if (*credit)
        let_go(*credit);
    *credit = NULL;
}

uint64_t credit_bytes(const struct credit *credit) { return credit ? atomic_load(&credit->bytes) : 0; }

uint64_t credit_progress(const struct credit *credit) { return credit ? atomic_load(&credit->left) : 0; }

static void has_left(void *bytes, void *hint)
{
    struct load *load = hint;
    atomic_fetch_sub(&load->credit->all->bytes, load->size);
    atomic_fetch_sub(&load->credit->bytes, load->size);
    atomic_fetch_add(&load->credit->left, 1);
    load->release(bytes, load->hint);
    let_go(load->credit);
    free(load);
}

static void free_copy(void *bytes, void *hint)
{
    (void)hint;
    free(bytes);
}

static bool own(struct wire_frame *frame)
{
    if (frame->release)
        return true;
    void *copy = malloc(frame->size ? frame->size : 1);
    if (!copy)
        return false;
    if (frame->size)
        memcpy(copy, frame->bytes, frame->size);
    frame->bytes = copy;
    frame->release = free_copy;
    return true;
}

void credit_count(struct credit *credit, struct wire_frame *frame)
{
    struct load *load = own(frame) ? malloc(sizeof *load) : NULL;
    if (!load)
        return;
    *load = (struct load){ credit, frame->size, frame->release, frame->hint };
    frame->release = has_left;
    frame->hint = load;
    atomic_fetch_add(&credit->holders, 1);
    atomic_fetch_add(&credit->bytes, frame->size);
    atomic_fetch_add(&credit->all->bytes, frame->size);
}
