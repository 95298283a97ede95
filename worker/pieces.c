// SPDX-License-Identifier: Apache-2.0
#include "pieces.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

void pieces_init(struct pieces *pieces) { *pieces = (struct pieces){ .next_tag = 1 }; }

void pieces_fini(struct pieces *pieces)
{
    free(pieces->queue);
    pieces_init(pieces);
}

static struct piece *at(const struct pieces *pieces, size_t place)
{
    ENSURE(pieces->capacity > 0);
    return &pieces->queue[(pieces->first + place) % pieces->capacity];
}

static bool reserve(struct pieces *pieces, size_t needed)
{
    size_t capacity = pieces->capacity > 0 ? pieces->capacity : 4 * (size_t)PIECES_IN_FLIGHT;
    while (capacity < needed)
        capacity *= 2;
    if (capacity == pieces->capacity)
        return true;
    struct piece *queue = malloc(capacity * sizeof *queue);
    if (queue == NULL)
        return false;
    for (size_t i = 0; i < pieces->count; i++)
        queue[i] = *at(pieces, i);
    free(pieces->queue);
    pieces->queue = queue;
    pieces->first = 0;
    pieces->capacity = capacity;
    return true;
}

/* Room is kept for what is in flight, so that pieces_again needs no memory. */
bool pieces_add(struct pieces *pieces, const struct piece *piece)
{
    if (!reserve(pieces, pieces->count + 1 + PIECES_IN_FLIGHT))
        return false;
    *at(pieces, pieces->count++) = *piece;
    return true;
}

bool pieces_room(const struct pieces *pieces) { return pieces->asked_count < PIECES_IN_FLIGHT; }

bool pieces_next(struct pieces *pieces, struct piece *piece)
{
    if (pieces->count == 0 || !pieces_room(pieces))
        return false;
    *piece = *at(pieces, 0);
    pieces->first = (pieces->first + 1) % pieces->capacity;
    pieces->count--;
    piece->tag = pieces->next_tag++;
    pieces->asked[pieces->asked_count++] = *piece;
    return true;
}

bool pieces_answer(struct pieces *pieces, uint64_t tag, struct piece *piece)
{
    for (uint32_t i = 0; i < pieces->asked_count; i++) {
        if (pieces->asked[i].tag != tag)
            continue;
        *piece = pieces->asked[i];
        memmove(&pieces->asked[i], &pieces->asked[i + 1], (pieces->asked_count - i - 1) * sizeof *piece);
        pieces->asked_count--;
        return true;
    }
    return false;
}

void pieces_again(struct pieces *pieces)
{
    while (pieces->asked_count > 0) {
        const struct piece *piece = &pieces->asked[--pieces->asked_count];
        if (piece->unwanted)
            continue;
        pieces->first = (pieces->first + pieces->capacity - 1) % pieces->capacity;
        pieces->count++;
        *at(pieces, 0) = *piece;
    }
}

static bool is_of(const struct piece *piece, const struct work *work, uint32_t model)
{
    return work != NULL ? piece->work == work : piece->work == NULL && piece->model == model;
}

static void forget(struct pieces *pieces, const struct work *work, uint32_t model)
{
    size_t kept = 0;
    for (size_t i = 0; i < pieces->count; i++)
        if (!is_of(at(pieces, i), work, model))
            *at(pieces, kept++) = *at(pieces, i);
    pieces->count = kept;
    for (uint32_t i = 0; i < pieces->asked_count; i++)
        if (is_of(&pieces->asked[i], work, model)) {
            pieces->asked[i].unwanted = true;
            pieces->asked[i].work = NULL;
            pieces->asked[i].model = UINT32_MAX;
        }
}

void pieces_forget_work(struct pieces *pieces, const struct work *work) { forget(pieces, work, 0); }

void pieces_forget_model(struct pieces *pieces, uint32_t model) { forget(pieces, NULL, model); }
