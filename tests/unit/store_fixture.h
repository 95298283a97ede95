// SPDX-License-Identifier: Apache-2.0
/* store_fixture - what the tests of the coordinator's store share: a folder for each test, operations,
 * waiting for events with a deadline, and a disk that fails when told to. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "file.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define UNUSED __attribute__((unused))

enum { FIXTURE_WAIT_MS = 20000, FIXTURE_PATH_MAX = 4096 };

static char fixture_dir[256];

UNUSED static int fixture_setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(fixture_dir, sizeof fixture_dir, "%s/motley-store-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(fixture_dir) ? 0 : -1;
}

/* The same in memory where that is possible, for tests that sync a lot but never look what a disk keeps. */
UNUSED static int fixture_setup_in_memory(void **state)
{
    snprintf(fixture_dir, sizeof fixture_dir, "/dev/shm/motley-store-XXXXXX");
    return mkdtemp(fixture_dir) ? 0 : fixture_setup(state);
}

static char fixture_disk[FIXTURE_PATH_MAX]; /* where fixture_mount put one; "" = nowhere */

UNUSED static int fixture_teardown(void **state)
{
    (void)state;
    struct why why;
    if (*fixture_disk)
        umount2(fixture_disk, MNT_DETACH);
    fixture_disk[0] = 0;
    return file_remove_tree(fixture_dir, &why) == ERR_OK ? 0 : -1;
}

/* A name inside the folder; valid until the next eight calls. */
UNUSED static const char *fixture_path(const char *name)
{
    static char names[8][FIXTURE_PATH_MAX];
    static unsigned next;
    char *path = names[next++ % 8];
    snprintf(path, sizeof names[0], "%s/%s", fixture_dir, name);
    return path;
}

UNUSED static void fixture_expect_file(const char *path, const void *bytes, size_t size)
{
    char *got;
    size_t got_size;
    struct why why;
    if (file_read(path, 1 << 26, &got, &got_size, &why) != ERR_OK)
        fail_msg("%s", why.text);
    if (got_size != size || memcmp(got, bytes, size) != 0)
        fail_msg("%s: holds %zu other bytes than the %zu expected: %.600s", path, got_size, size, got);
    free(got);
}

UNUSED static void fixture_expect_text(const char *path, const char *text)
{
    fixture_expect_file(path, text, strlen(text));
}

UNUSED static bool fixture_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

UNUSED static struct tensor_spec fixture_spec(const char *name, enum dtype dtype, const int64_t *dims,
                                              uint32_t count)
{
    struct tensor_spec spec = { .dtype = dtype, .dims_count = count };
    snprintf(spec.name, sizeof spec.name, "%s", name);
    if (count > 0)
        memcpy(spec.dims, dims, count * sizeof *dims);
    return spec;
}

UNUSED static struct store_op *fixture_op(enum store_op_type type, uint64_t job)
{
    struct store_op *op = store_op_new(type);
    assert_non_null(op);
    op->job = job;
    return op;
}

UNUSED static struct store_op *fixture_job_add(uint64_t job, uint64_t samples,
                                               const struct tensor_spec *outputs, uint32_t count)
{
    struct store_op *op = fixture_op(STORE_JOB_ADD, job);
    op->samples = samples;
    op->at_us = 1000 + (int64_t)job;
    memset(op->uuid, (int)job, sizeof op->uuid);
    op->blob = malloc(4);
    memcpy(op->blob, "spec", 4);
    op->blob_size = 4;
    op->outputs_count = count;
    memcpy(op->outputs, outputs, count * sizeof *outputs);
    return op;
}

/* A result of one output of as declared; the rows are borrowed. */
UNUSED static struct store_op *fixture_result(uint64_t job, uint64_t first, uint32_t count, const void *rows,
                                              uint64_t bytes)
{
    struct store_op *op = fixture_op(STORE_RESULT, job);
    op->first = first;
    op->count = count;
    op->outputs_count = 1;
    op->rows[0] = rows;
    op->rows_bytes[0] = bytes;
    return op;
}

UNUSED static void fixture_wait(int fd)
{
    struct pollfd poller = { .fd = fd, .events = POLLIN };
    int ready;
    do
        ready = poll(&poller, 1, FIXTURE_WAIT_MS);
    while (ready < 0 && errno == EINTR);
    if (ready != 1)
        fail_msg("nothing came within %d ms", FIXTURE_WAIT_MS);
}

UNUSED static struct store_event fixture_event(struct store *store)
{
    struct store_event event;
    fixture_wait(store_fd(store));
    assert_true(store_receive(store, &event));
    return event;
}

/* Wait for the next event, which must be that of the operation with tag; its outcome. */
UNUSED static enum err fixture_outcome(struct store *store, uint64_t tag, struct why *why)
{
    struct store_event event = fixture_event(store);
    if (event.type != STORE_DONE)
        fail_msg("event %d: %s", (int)event.type, event.why.text);
    assert_int_equal(event.op->tag, tag);
    store_op_free(&event.op);
    if (why)
        *why = event.why;
    return event.err;
}

/* Post op and wait for its outcome. */
UNUSED static enum err fixture_do(struct store *store, struct store_op *op, struct why *why)
{
    static uint64_t tag;
    op->tag = ++tag;
    store_post(store, &op);
    return fixture_outcome(store, tag, why);
}

UNUSED static void fixture_must(struct store *store, struct store_op *op)
{
    struct why why;
    if (fixture_do(store, op, &why) != ERR_OK)
        fail_msg("%s", why.text);
}

UNUSED static struct store *fixture_open(const struct store_recovery *recovery)
{
    struct store *store;
    struct why why;
    if (store_open(fixture_dir, recovery, &store, &why) != ERR_OK)
        fail_msg("%s", why.text);
    return store;
}

/* Put a disk of size_mb over a folder until the end of the test; false where that is not allowed. */
UNUSED static bool fixture_mount(const char *path, int size_mb)
{
    char options[32];
    snprintf(options, sizeof options, "size=%dm", size_mb);
    if (mount("tmpfs", path, "tmpfs", 0, options) == 0) {
        snprintf(fixture_disk, sizeof fixture_disk, "%s", path);
        return true;
    }
    print_message("skipped: no small disk can be mounted here (%s)\n", strerror(errno));
    return false;
}

/* ---- a recovery that remembers what it was told, as one text ---- */

struct fixture_memory {
    char text[65536];
};

UNUSED static void remember(struct fixture_memory *memory, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
UNUSED static void remember(struct fixture_memory *memory, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(memory->text);
    va_start(arguments, format);
    vsnprintf(memory->text + used, sizeof memory->text - used, format, arguments);
    va_end(arguments);
}

UNUSED static void remember_job(void *context, const struct store_job_row *row)
{
    remember(context, "job %d of %d: state %d, %d-%d-%d, '%s', %.*s, %02x%02x\n", (int)row->job,
             (int)row->samples, (int)row->state, (int)row->submitted_us, (int)row->started_us,
             (int)row->finished_us, row->reason, (int)row->spec_size, (const char *)row->spec, row->uuid[0],
             row->uuid[15]);
}

UNUSED static void remember_done(void *context, uint64_t job, uint64_t first, uint64_t count)
{
    remember(context, "done %d: %d+%d\n", (int)job, (int)first, (int)count);
}

UNUSED static void remember_failure(void *context, uint64_t job, uint64_t first, uint64_t count,
                                    const char *reason, const char *worker)
{
    remember(context, "failure %d: %d+%d '%s' '%s'\n", (int)job, (int)first, (int)count, reason, worker);
}

UNUSED static void remember_tally(void *context, uint64_t job, const char *key, const uint8_t *value,
                                  size_t size)
{
    remember(context, "tally %d: %s=%.*s\n", (int)job, key, (int)size, (const char *)value);
}

UNUSED static void remember_model(void *context, const char *name, const char *version, const uint8_t *spec,
                                  size_t size)
{
    remember(context, "model %s %s=%.*s\n", name, version, (int)size, (const char *)spec);
}

UNUSED static struct store_recovery fixture_recovery(struct fixture_memory *memory)
{
    memory->text[0] = 0;
    return (struct store_recovery){ memory,           remember_job,   remember_done,
                                    remember_failure, remember_tally, remember_model };
}

#endif
