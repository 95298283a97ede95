// SPDX-License-Identifier: Apache-2.0
#include "share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_VERSION = 1, TEXTS = 5 };

static bool copy(char **into, const char *text) { return (*into = strdup(text ? text : "")) != NULL; }

static char **text_of(struct share *share, int index)
{
    char **texts[TEXTS] = { &share->worker_name, &share->device, &share->kind, &share->runtime,
                            &share->variant };
    return texts[index];
}

static const char *text_at(const struct share *share, int index)
{
    const char *texts[TEXTS] = { share->worker_name, share->device, share->kind, share->runtime,
                                 share->variant };
    return texts[index];
}

static const char *kind_of(const struct message_hello *hello, const char *device)
{
    for (uint32_t i = 0; i < hello->devices_count; i++)
        if (strcmp(hello->devices[i].id, device) == 0)
            return hello->devices[i].kind;
    return "";
}

/* A slot runs the built-in model by itself, whatever library it was opened for; an emulated one stays
 * emulated. */
static const char *runtime_of(const struct message_slot *slot, const char *variant)
{
    bool built_in = strcmp(variant, "synthetic") == 0 && strcmp(slot->runtime, "emulated") != 0;
    return built_in ? "synthetic" : slot->runtime;
}

enum err share_init(struct share *share, uint32_t number, const struct message_hello *hello, uint32_t slot,
                    const char *variant)
{
    const struct message_slot *row = &hello->slots[slot];
    share->number = number;
    share->slot = slot;
    memcpy(share->worker, hello->worker, UUID_BYTES);
    bool ok = copy(&share->worker_name, hello->name) && copy(&share->device, row->device) &&
              copy(&share->kind, kind_of(hello, row->device)) &&
              copy(&share->runtime, runtime_of(row, variant)) && copy(&share->variant, variant);
    if (!ok)
        share_fini(share);
    return ok ? ERR_OK : ERR_MEMORY;
}

void share_fini(struct share *share)
{
    for (int i = 0; i < TEXTS; i++)
        free(*text_of(share, i));
    free(share->past);
    memset(share, 0, sizeof *share);
}

void share_tally(const struct share *share, const struct sched *sched, uint64_t job, struct tally *tally)
{
    tally_init(tally);
    if (share->past && !tally_unpack(tally, share->past, share->past_size))
        tally_init(tally);
    const struct tally *live = sched && share->number != SHARE_PAST_ONLY
                                   ? sched_tally(sched, job, share->number, share->slot)
                                   : NULL;
    if (live)
        tally_merge(tally, live);
}

enum err share_settle(struct share *share, const struct tally *tally)
{
    uint8_t bytes[TALLY_BYTES_MAX];
    uint32_t size = tally_pack(tally, bytes);
    uint8_t *past = malloc(size);
    if (!past)
        return ERR_MEMORY;
    memcpy(past, bytes, size);
    free(share->past);
    share->past = past;
    share->past_size = size;
    share->number = SHARE_PAST_ONLY;
    return ERR_OK;
}

uint64_t share_mark(const struct tally *tally)
{
    return tally->samples + tally->batches + tally->busy_us + tally->duplicate_samples +
           tally->failed_batches + tally->best_batch;
}

void share_key(const struct share *share, char key[SHARE_KEY_MAX])
{
    int at = 0;
    for (int i = 0; i < UUID_BYTES; i++)
        at += snprintf(key + at, SHARE_KEY_MAX - (size_t)at, "%02x", share->worker[i]);
    snprintf(key + at, SHARE_KEY_MAX - (size_t)at, "/%u", share->slot);
}

/* Value: version, the five texts with their zeros, the packed tally. */
enum err share_pack(const struct share *share, const struct tally *tally, uint8_t **value, size_t *size)
{
    size_t texts = 0;
    for (int i = 0; i < TEXTS; i++)
        texts += strlen(text_at(share, i)) + 1;
    uint8_t *bytes = malloc(1 + texts + TALLY_BYTES_MAX);
    if (!bytes)
        return ERR_MEMORY;
    uint8_t *at = bytes;
    *at++ = VALUE_VERSION;
    for (int i = 0; i < TEXTS; i++) {
        size_t length = strlen(text_at(share, i)) + 1;
        memcpy(at, text_at(share, i), length);
        at += length;
    }
    at += tally_pack(tally, at);
    *value = bytes;
    *size = (size_t)(at - bytes);
    return ERR_OK;
}

static bool parse_key(struct share *share, const char *key)
{
    for (size_t i = 0; i < UUID_BYTES; i++) {
        unsigned byte;
        if (sscanf(key + 2 * i, "%2x", &byte) != 1)
            return false;
        share->worker[i] = (uint8_t)byte;
    }
    return sscanf(key + (size_t)2 * UUID_BYTES, "/%u", &share->slot) == 1;
}

static enum err unpack(struct share *share, const uint8_t *value, size_t size)
{
    size_t at = 1;
    for (int i = 0; i < TEXTS; i++) {
        const uint8_t *end = at < size ? memchr(value + at, 0, size - at) : NULL;
        if (!end)
            return ERR_FORMAT;
        if (!copy(text_of(share, i), (const char *)value + at))
            return ERR_MEMORY;
        at = (size_t)(end - value) + 1;
    }
    struct tally tally;
    if (size - at > TALLY_BYTES_MAX || !tally_unpack(&tally, value + at, (uint32_t)(size - at)))
        return ERR_FORMAT;
    share->told = share_mark(&tally);
    return share_settle(share, &tally);
}

enum err share_unpack(struct share *share, const char *key, const uint8_t *value, size_t size)
{
    if (strlen(key) < 2 * UUID_BYTES + 2 || !parse_key(share, key) || size < 1 || value[0] != VALUE_VERSION)
        return ERR_FORMAT;
    enum err err = unpack(share, value, size);
    if (err)
        share_fini(share);
    return err;
}
