// SPDX-License-Identifier: Apache-2.0
#include "loop_state.h"

#include "log.h"
#include "sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t SPOOL_BYTES = 1ull << 30;

/* ---- who we are ---- */

/* What the numbers of slots stand for. What may change without making another worker of it is left out:
 * labels, measured figures, free memory. */
static void print_devices(FILE *text, const struct message_hello *hello)
{
    fprintf(text, "%s\n", hello->host);
    for (uint32_t i = 0; i < hello->devices_count; i++) {
        const struct message_device *device = &hello->devices[i];
        fprintf(text, "device %s\n%s\n%s\n%s\n", device->id, device->kind, device->name, device->uuid);
    }
    for (uint32_t i = 0; i < hello->slots_count; i++) {
        const struct message_slot *slot = &hello->slots[i];
        fprintf(text, "slot %s\n%s\n%u", slot->device, slot->runtime, slot->batch_max);
        for (uint32_t k = 0; k < slot->batch_sizes_count; k++)
            fprintf(text, " %u", slot->batch_sizes[k]);
        fprintf(text, "\n");
    }
}

static enum err digest_devices(const struct message_hello *hello, uint8_t digest[SHA256_BYTES],
                               struct why *why)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *text = open_memstream(&bytes, &size);
    if (text != NULL)
        print_devices(text, hello);
    bool good = text != NULL && ferror(text) == 0;
    good = text != NULL && fclose(text) == 0 && good;
    if (good)
        sha256_bytes(bytes, size, digest);
    free(bytes);
    return good ? ERR_OK : why_set(why, ERR_MEMORY, "out of memory for this worker's description");
}

/* ---- what earlier lives left ---- */

struct adoption {
    struct loop *loop;
    uint32_t count;
};

static struct stash_entry *adopt(void *context, const struct stash_result *result, struct stash_map *map)
{
    struct adoption *adoption = context;
    struct loop *loop = adoption->loop;
    const struct agent_lease *lease = &result->lease;
    if (works_find(&loop->works, lease->term, lease->attempt) != NULL)
        return NULL;
    struct work *work = works_add(&loop->works, lease, NULL);
    if (work != NULL && work_adopt(work, result, map) != ERR_OK)
        works_remove(&loop->works, &work);
    if (work == NULL)
        return NULL;
    act_feed(loop, &(struct agent_event){ .type = AGENT_ADOPT, .lease = *lease });
    work = works_find(&loop->works, lease->term, lease->attempt);
    adoption->count += work != NULL;
    return work != NULL ? &work->entry : NULL;
}

static enum err open_stash(struct loop *loop, uint64_t bytes_max, struct why *why)
{
    char folder[PATH_MAX];
    int length = snprintf(folder, sizeof folder, "%s/spool", loop->home.path);
    if (length < 0 || (size_t)length >= sizeof folder)
        return why_set(why, ERR_FILE, "%s: the path is too long", loop->home.path);
    struct stash_config config = { .folder = folder, .uuid = loop->uuid, .bytes_max = bytes_max };
    return stash_open(&config, &loop->stash, why);
}

static enum err settle_down(struct loop *loop, uint64_t bytes_max, struct why *why)
{
    struct message_hello *hello = &loop->config.hello->message;
    uint8_t digest[SHA256_BYTES];
    bool kept = false;
    enum err err = home_open(loop->config.state_dir, hello->name, &loop->home, why);
    if (err != ERR_OK)
        return err;
    err = digest_devices(hello, digest, why);
    if (err == ERR_OK)
        err = home_identity(&loop->home, digest, loop->uuid, &kept, why);
    if (err == ERR_OK)
        err = open_stash(loop, bytes_max, why);
    if (err == ERR_OK)
        hello->worker = loop->uuid;
    return err;
}

/* A worker without a spool works as well: it is not worth less than one that does not start. */
void spool_begin(struct loop *loop)
{
    struct why why;
    uint64_t bytes_max = loop->config.spool_bytes_max;
    loop->home.lock_fd = -1;
    if (bytes_max == LOOP_NO_SPOOL)
        return;
    if (settle_down(loop, bytes_max > 0 ? bytes_max : SPOOL_BYTES, &why) != ERR_OK) {
        log_warn("SPOOL-OFF", "%s; unacknowledged results are kept in memory alone", why.text);
        spool_end(loop);
        return;
    }
    struct adoption adoption = { loop, 0 };
    stash_adopt(loop->stash, adopt, &adoption);
    if (adoption.count > 0)
        log_info("SPOOL-FOUND", "%u results that an earlier process of this worker had not got acknowledged",
                 adoption.count);
}

void spool_end(struct loop *loop)
{
    stash_free(&loop->stash);
    home_close(&loop->home);
}

/* ---- results ---- */

/* Only answers: of a batch that failed in another life the coordinator would try again all the same. */
void spool_result(struct loop *loop, struct work *work)
{
    struct stash_result result;
    if (loop->stash == NULL || work->status != RESULT_OK)
        return;
    work_show(work, &result);
    stash_add(loop->stash, &result, &work->entry);
}

void spool_write(struct loop *loop)
{
    if (loop->stash != NULL)
        stash_write(loop->stash);
}

void spool_drop(struct loop *loop, struct work *work)
{
    if (loop->stash != NULL)
        stash_drop(loop->stash, &work->entry);
}
