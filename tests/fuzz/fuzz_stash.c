// SPDX-License-Identifier: Apache-2.0
/* A file of a worker's spool, its checksums made good first: what is taken up lies within the file. */
#include "file.h"
#include "fuzz.h"
#include "stash.h"

#include <string.h>
#include <zlib.h>

enum { START_BYTES = 24, HEAD_BYTES = 112 };

static uint64_t read_bytes_of(const uint8_t *head)
{
    uint64_t bytes;
    memcpy(&bytes, head + 8, sizeof bytes);
    return bytes;
}

static void mend(uint8_t *file, size_t size, const uint8_t uuid[STASH_UUID_BYTES])
{
    memcpy(file, "MOTLEYW2", 8);
    memcpy(file + 8, uuid, STASH_UUID_BYTES);
    for (size_t at = START_BYTES; at + HEAD_BYTES <= size;) {
        uint64_t bytes = read_bytes_of(file + at);
        if (bytes < HEAD_BYTES || bytes > size - at)
            return;
        uint32_t check = (uint32_t)crc32_z(0, file + at + 8, (z_size_t)bytes - 8);
        memcpy(file + at + 4, &check, sizeof check);
        at += (size_t)bytes;
    }
}

static uint64_t taken;

static struct stash_entry *visit(void *context, const struct stash_result *result, struct stash_map *map)
{
    static struct stash_entry entries[4];
    uint64_t *sum = context;
    (void)map;
    FUZZ_CHECK(result->outputs_count <= STASH_OUTPUTS_MAX && result->lease.count >= 1);
    for (uint32_t i = 0; i < result->outputs_count; i++)
        for (uint64_t k = 0; k < result->sizes[i]; k++)
            *sum += ((const uint8_t *)result->outputs[i])[k];
    memset(&entries[taken % 4], 0, sizeof entries[0]);
    return taken < 4 ? &entries[taken++] : NULL;
}

/* One folder of the process, in memory where there is such a place. */
static char dir[64];

static void remove_folder(void)
{
    if (file_remove_tree(dir, NULL) != ERR_OK)
        fprintf(stderr, "%s: is left\n", dir);
}

static void make_folder(void)
{
    snprintf(dir, sizeof dir, "%s/motley-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(dir) && atexit(remove_folder) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t uuid[STASH_UUID_BYTES] = { 1, 2, 3 };
    char path[128];
    struct stash *stash;
    struct why why = { "" };
    uint64_t sum = 0;
    if (!*dir)
        make_folder();
    uint8_t *file = malloc(size + START_BYTES);
    FUZZ_CHECK(file);
    memcpy(file + START_BYTES, data, size);
    mend(file, size + START_BYTES, uuid);
    snprintf(path, sizeof path, "%s/0000000000000001.log", dir);
    FUZZ_CHECK(file_replace(path, file, size + START_BYTES, 0600, NULL) == ERR_OK);
    free(file);
    const struct stash_config config = { .folder = dir, .uuid = uuid, .bytes_max = 1 << 20 };
    FUZZ_CHECK(stash_open(&config, &stash, &why) == ERR_OK);
    taken = 0;
    stash_adopt(stash, visit, &sum);
    stash_free(&stash);
    unlink(path);
    return (int)(sum & 0);
}
