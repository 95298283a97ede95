// SPDX-License-Identifier: Apache-2.0
#include "clerk.h"

#include "aside.h"
#include "blobs.h"
#include "ensure.h"
#include "file.h"
#include "publish.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct command_list {
    struct clerk_command *first, **end;
};

struct lane {
    struct clerk *clerk;
    struct command_list posted; /* under the clerk's mutex */
    pthread_cond_t wake;
    pthread_t thread;
    bool runs;
};

enum { LANE_PUBLISH, LANE_BYTES, LANE_COMPARE, LANE_INVENTORY, LANES };

struct clerk {
    char state_dir[SPOOL_DIR_MAX + 1];
    struct blobs *blobs; /* LANE_BYTES's */
    int event_fd;
    struct lane lanes[LANES];
    pthread_mutex_t mutex; /* guards what follows, and what is posted */
    struct command_list finished;
    bool stopping, signalled;
};

struct clerk_command *clerk_command_new(enum clerk_type type)
{
    struct clerk_command *command = calloc(1, sizeof *command);
    if (command)
        command->type = type;
    return command;
}

static void release_bytes(struct clerk_command *command)
{
    if (command->release)
        command->release(command->hint);
    command->release = NULL;
}

void clerk_command_free(struct clerk_command **command)
{
    if (!*command)
        return;
    release_bytes(*command);
    free((*command)->failures);
    free((*command)->answer);
    inventory_free(&(*command)->inventory);
    free(*command);
    *command = NULL;
}

static void list_push(struct command_list *list, struct clerk_command *command)
{
    command->next = NULL;
    *list->end = command;
    list->end = &command->next;
}

static struct clerk_command *list_pop(struct command_list *list)
{
    struct clerk_command *command = list->first;
    if (command && !(list->first = command->next))
        list->end = &list->first;
    return command;
}

static void list_clear(struct command_list *list)
{
    for (struct clerk_command *command; (command = list_pop(list)) != NULL;)
        clerk_command_free(&command);
}

/* ---- reading ---- */

static int64_t mtime_ns(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static enum err check_file(const struct clerk_command *command, int fd, struct stat *status, struct why *why)
{
    if (fstat(fd, status) != 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", command->path);
    if (!S_ISREG(status->st_mode))
        return why_set(why, ERR_FILE, "%s: is not a plain file", command->path);
    bool same = (command->file_bytes == 0 || command->file_bytes == (uint64_t)status->st_size) &&
                (command->mtime_ns == 0 || command->mtime_ns == mtime_ns(status));
    return same ? ERR_OK
                : why_set(why, ERR_FORMAT, "%s: was changed since the job was submitted; submit it again",
                          command->path);
}

static enum err read_piece(struct clerk_command *command, int fd, struct why *why)
{
    struct stat status;
    enum err err = check_file(command, fd, &status, why);
    if (err != ERR_OK)
        return err;
    uint64_t size = (uint64_t)status.st_size;
    command->answer_total = size;
    if (command->offset > size)
        return why_set(why, ERR_FORMAT, "%s: has %" PRIu64 " bytes, none at %" PRIu64, command->path, size,
                       command->offset);
    uint64_t left = size - command->offset;
    command->answer_size = left < command->length ? (size_t)left : command->length;
    command->answer = malloc(command->answer_size ? command->answer_size : 1);
    if (!command->answer)
        return why_set(why, ERR_MEMORY, "%s: no memory for %zu bytes of it", command->path,
                       command->answer_size);
    err = file_pread(fd, command->answer, command->answer_size, command->offset, command->path, why);
    /* Looked at again: it may have been changed under our hands. */
    return err == ERR_OK ? check_file(command, fd, &status, why) : err;
}

static enum err do_read(struct clerk_command *command, struct why *why)
{
    /* Without waiting, should it be a pipe. */
    int fd = open(command->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", command->path);
    enum err err = read_piece(command, fd, why);
    close(fd);
    if (err == ERR_OK)
        return ERR_OK;
    free(command->answer);
    command->answer = NULL;
    command->answer_size = 0;
    return err;
}

/* ---- comparing ---- */

static enum err do_compare(const struct clerk *clerk, struct clerk_command *command, struct why *why)
{
    struct spool_shape shape = { .job = command->job,
                                 .samples = command->samples,
                                 .outputs_count = command->outputs_count };
    memcpy(shape.outputs, command->outputs, sizeof shape.outputs);
    return compare_stored(clerk->state_dir, &shape, &command->fresh, &command->comparison, why);
}

/* ---- looking over ---- */

static enum err do_inventory(const struct clerk *clerk, struct clerk_command *command, struct why *why)
{
    enum err emptied = aside_empty(clerk->state_dir, why);
    enum err err = inventory_make(clerk->state_dir, &command->inventory, emptied ? NULL : why);
    return emptied ? emptied : err;
}

/* ---- the threads ---- */

static void carry_out(struct clerk *clerk, struct clerk_command *command)
{
    switch (command->type) {
    case CLERK_PUBLISH: command->err = publish(clerk->state_dir, command, &command->why); break;
    case CLERK_BLOB_PUT:
        command->err = blobs_put(clerk->blobs, command->blob, command->offset, command->total, command->bytes,
                                 command->size, &command->answer_total, &command->why);
        break;
    case CLERK_READ: command->err = do_read(command, &command->why); break;
    case CLERK_COMPARE: command->err = do_compare(clerk, command, &command->why); break;
    case CLERK_INVENTORY: command->err = do_inventory(clerk, command, &command->why); break;
    }
}

/* The descriptor is readable exactly while there are events. Under the mutex. */
static void update_signal(struct clerk *clerk)
{
    uint64_t number = 1;
    bool news = clerk->finished.first != NULL;
    if (news == clerk->signalled)
        return;
    ssize_t moved =
        news ? write(clerk->event_fd, &number, sizeof number) : read(clerk->event_fd, &number, sizeof number);
    ENSURE(moved == (ssize_t)sizeof number);
    clerk->signalled = news;
}

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    struct clerk *clerk = lane->clerk;
    pthread_mutex_lock(&clerk->mutex);
    while (!clerk->stopping) {
        struct clerk_command *command = list_pop(&lane->posted);
        if (!command) {
            pthread_cond_wait(&lane->wake, &clerk->mutex);
            continue;
        }
        pthread_mutex_unlock(&clerk->mutex);
        carry_out(clerk, command);
        pthread_mutex_lock(&clerk->mutex);
        list_push(&clerk->finished, command);
        update_signal(clerk);
    }
    pthread_mutex_unlock(&clerk->mutex);
    return NULL;
}

/* ---- life ---- */

static void init_waiting(struct clerk *clerk)
{
    pthread_mutex_init(&clerk->mutex, NULL);
    clerk->finished.end = &clerk->finished.first;
    for (int i = 0; i < LANES; i++) {
        clerk->lanes[i].clerk = clerk;
        clerk->lanes[i].posted.end = &clerk->lanes[i].posted.first;
        pthread_cond_init(&clerk->lanes[i].wake, NULL);
    }
}

static enum err start(struct clerk *clerk, struct why *why)
{
    enum err err = blobs_new(clerk->state_dir, &clerk->blobs, why);
    if (err != ERR_OK)
        return err;
    clerk->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (clerk->event_fd < 0)
        return why_set_errno(why, ERR_SYSTEM, "the clerk cannot make an eventfd");
    for (int i = 0; i < LANES; i++) {
        errno = pthread_create(&clerk->lanes[i].thread, NULL, lane_main, &clerk->lanes[i]);
        if (errno != 0)
            return why_set_errno(why, ERR_SYSTEM, "the clerk cannot start a thread");
        clerk->lanes[i].runs = true;
    }
    return ERR_OK;
}

enum err clerk_new(const char *state_dir, struct clerk **clerk, struct why *why)
{
    *clerk = NULL;
    if (strlen(state_dir) > SPOOL_DIR_MAX)
        return why_set(why, ERR_LIMIT,
                       "%.100s...: the state directory's path is too long; choose a shorter one", state_dir);
    struct clerk *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return why_set(why, ERR_MEMORY, "no memory for the clerk");
    snprintf(fresh->state_dir, sizeof fresh->state_dir, "%s", state_dir);
    fresh->event_fd = -1;
    init_waiting(fresh);
    enum err err = start(fresh, why);
    if (err == ERR_OK)
        *clerk = fresh;
    else
        clerk_free(&fresh);
    return err;
}

static void stop_threads(struct clerk *clerk)
{
    pthread_mutex_lock(&clerk->mutex);
    clerk->stopping = true;
    for (int i = 0; i < LANES; i++)
        pthread_cond_signal(&clerk->lanes[i].wake);
    pthread_mutex_unlock(&clerk->mutex);
    for (int i = 0; i < LANES; i++)
        if (clerk->lanes[i].runs)
            pthread_join(clerk->lanes[i].thread, NULL);
}

void clerk_free(struct clerk **clerk)
{
    struct clerk *old = *clerk;
    if (!old)
        return;
    stop_threads(old);
    for (int i = 0; i < LANES; i++) {
        list_clear(&old->lanes[i].posted);
        pthread_cond_destroy(&old->lanes[i].wake);
    }
    list_clear(&old->finished);
    blobs_free(&old->blobs);
    if (old->event_fd >= 0)
        close(old->event_fd);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *clerk = NULL;
}

/* ---- the loop's side ---- */

void clerk_post(struct clerk *clerk, struct clerk_command **command)
{
    static const int lanes[] = { [CLERK_PUBLISH] = LANE_PUBLISH,
                                 [CLERK_BLOB_PUT] = LANE_BYTES,
                                 [CLERK_READ] = LANE_BYTES,
                                 [CLERK_COMPARE] = LANE_COMPARE,
                                 [CLERK_INVENTORY] = LANE_INVENTORY };
    struct lane *lane = &clerk->lanes[lanes[(*command)->type]];
    pthread_mutex_lock(&clerk->mutex);
    list_push(&lane->posted, *command);
    pthread_cond_signal(&lane->wake);
    pthread_mutex_unlock(&clerk->mutex);
    *command = NULL;
}

bool clerk_stop(struct clerk_command *publication)
{
    int expected = PUBLISH_GOES_ON;
    return atomic_compare_exchange_strong(&publication->progress, &expected, PUBLISH_STOPPED) ||
           expected == PUBLISH_STOPPED;
}

int clerk_fd(const struct clerk *clerk) { return clerk->event_fd; }

bool clerk_receive(struct clerk *clerk, struct clerk_event *event)
{
    memset(event, 0, sizeof *event);
    pthread_mutex_lock(&clerk->mutex);
    struct clerk_command *command = list_pop(&clerk->finished);
    update_signal(clerk);
    pthread_mutex_unlock(&clerk->mutex);
    if (!command)
        return false;
    release_bytes(command);
    event->command = command;
    event->err = command->err;
    event->why = command->why;
    event->bytes = command->answer;
    event->size = command->answer_size;
    event->total = command->answer_total;
    command->answer = NULL;
    return true;
}

void clerk_event_free(struct clerk_event *event)
{
    clerk_command_free(&event->command);
    free(event->bytes);
    event->bytes = NULL;
}

/* ---- looks ---- */

bool clerk_blob_find(const char *state_dir, const uint8_t blob[SHA256_BYTES], uint64_t *size_bytes)
{
    return blobs_find(state_dir, blob, size_bytes);
}

void clerk_blob_touch(const char *state_dir, const uint8_t blob[SHA256_BYTES])
{
    blobs_touch(state_dir, blob);
}

void clerk_blob_path(const char *state_dir, const uint8_t blob[SHA256_BYTES], char *path, size_t max)
{
    blobs_path(state_dir, blob, path, max);
}

static bool is_published_name(const char *file)
{
    static const char *const plain[] = { "output.npy", "output.jsonl", "output.index.jsonl",
                                         "output.errors.jsonl" };
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strcmp(file, plain[i]) == 0)
            return true;
    size_t folder = strlen("output/"), length = strlen(file);
    return strncmp(file, "output/", folder) == 0 && length > folder + 4 && file[folder] != '.' &&
           !strchr(file + folder, '/') && strcmp(file + length - 4, ".npy") == 0;
}

enum err clerk_published_path(const char *state_dir, uint64_t job, const char *file, char *path, size_t max,
                              struct why *why)
{
    if (!is_published_name(file))
        return why_set(why, ERR_USAGE,
                       "'%.100s' is no file of an answer; output.npy, output.jsonl and output/<name>.npy are",
                       file);
    if (snprintf(path, max, "%s/spool/%" PRIu64 "/published/%s", state_dir, job, file) >= (int)max)
        return why_set(why, ERR_LIMIT, "%s: the path is too long", state_dir);
    return ERR_OK;
}

size_t clerk_output_stem(const char *path, enum clerk_output output) { return publish_stem(path, output); }

enum err clerk_output_check(const char *path, enum clerk_output output, struct why *why)
{
    return publish_check(path, output, why);
}
