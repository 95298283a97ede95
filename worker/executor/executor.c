// SPDX-License-Identifier: Apache-2.0
#include "executor.h"

#include "clock.h"
#include "ensure.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* An event in its queue. The event comes first, so that executor_event_free has the node's address. */
struct event_node {
    struct executor_event event;
    struct event_node *next;
};

struct executor {
    const struct runtime_ops *ops;
    struct runtime_config config;
    pthread_t thread;
    int fd; /* eventfd: its counter is above zero exactly while events wait */

    pthread_mutex_t mutex; /* guards what follows up to the blank line */
    pthread_cond_t posted;
    struct executor_command commands[EXECUTOR_QUEUE_MAX]; /* a ring */
    uint32_t first, count;
    uint32_t unanswered; /* posted and not recalled, with its last event not yet in the queue */
    struct event_node *events, **events_tail;
    bool stopping;
    bool busy; /* inside a load or a run: cancel may be called */

    struct runtime_slot *slot; /* the thread's own from here on, but for cancel while busy */
    enum err opened;
    struct why opened_why;
    struct runtime_model *models[EXECUTOR_MODELS_MAX];
};

/* Ten kilobytes without which a command could not be answered: there is no going on without them. */
static struct event_node *event_new(enum executor_event_type type, const struct executor_command *command)
{
    struct event_node *node = calloc(1, sizeof *node);
    ENSURE(node != NULL);
    node->event.type = type;
    if (command != NULL) {
        node->event.tag = command->tag;
        node->event.model = command->model;
    }
    return node;
}

static void signal_event(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    ENSURE(written == (ssize_t)sizeof one);
}

/* Append an event. The mutex is held. */
static void append(struct executor *executor, struct event_node *node, bool answers)
{
    if (executor->events == NULL)
        signal_event(executor->fd);
    *executor->events_tail = node;
    executor->events_tail = &node->next;
    executor->unanswered -= answers ? 1 : 0;
}

static struct event_node *do_load(struct executor *executor, const struct executor_command *command)
{
    struct event_node *node = event_new(EXECUTOR_LOADED, command);
    struct executor_event *event = &node->event;
    struct runtime_model **model = &executor->models[command->model];
    uint64_t started_us = clock_monotonic_us();
    ENSURE(*model == NULL);
    event->err = executor->opened;
    event->why = executor->opened_why;
    if (event->err == ERR_OK)
        event->err = executor->ops->load(executor->slot, command->path, model, &event->signature,
                                         &event->measure, &event->why);
    event->load_us = clock_monotonic_us() - started_us;
    return node;
}

static struct event_node *do_unload(struct executor *executor, const struct executor_command *command)
{
    struct runtime_model **model = &executor->models[command->model];
    if (*model != NULL)
        executor->ops->unload(executor->slot, model);
    return event_new(EXECUTOR_UNLOADED, command);
}

static enum err run_model(struct executor *executor, const struct executor_command *command,
                          struct executor_event *event)
{
    struct runtime_model *model = executor->models[command->model];
    if (executor->opened != ERR_OK) {
        event->why = executor->opened_why;
        return executor->opened;
    }
    if (model == NULL)
        return why_set(&event->why, ERR_NOT_FOUND, "model %u is not loaded on this slot", command->model);
    return executor->ops->run(executor->slot, model, &command->in, &event->out, &event->why);
}

static struct event_node *do_run(struct executor *executor, const struct executor_command *command)
{
    struct event_node *node = event_new(EXECUTOR_RAN, command);
    node->event.started_us = clock_monotonic_us();
    node->event.err = run_model(executor, command, &node->event);
    return node;
}

/* Take the oldest command out, and say STARTED if it is a run. The mutex is held. */
static void take_command(struct executor *executor, struct executor_command *command)
{
    *command = executor->commands[executor->first];
    executor->first = (executor->first + 1) % EXECUTOR_QUEUE_MAX;
    executor->count--;
    executor->busy = executor->opened == ERR_OK;
    if (command->type == EXECUTOR_RUN)
        append(executor, event_new(EXECUTOR_STARTED, command), false);
}

/* Hand over the last command's event and take the next command; false when the executor stops. Both under one
 * lock, so that one wake-up of the loop tells it that a run ended and the next began. */
static bool next_command(struct executor *executor, struct event_node *done, struct executor_command *command)
{
    pthread_mutex_lock(&executor->mutex);
    executor->busy = false;
    append(executor, done, done->event.type != EXECUTOR_OPENED);
    while (executor->count == 0 && !executor->stopping)
        pthread_cond_wait(&executor->posted, &executor->mutex);
    bool goes_on = !executor->stopping;
    if (goes_on)
        take_command(executor, command);
    pthread_mutex_unlock(&executor->mutex);
    return goes_on;
}

static struct event_node *open_slot(struct executor *executor)
{
    struct event_node *node = event_new(EXECUTOR_OPENED, NULL);
    executor->opened = executor->ops->open(&executor->config, &executor->slot, &executor->opened_why);
    node->event.err = executor->opened;
    node->event.why = executor->opened_why;
    return node;
}

static void close_slot(struct executor *executor)
{
    if (executor->opened != ERR_OK)
        return;
    for (uint32_t i = 0; i < EXECUTOR_MODELS_MAX; i++)
        if (executor->models[i] != NULL)
            executor->ops->unload(executor->slot, &executor->models[i]);
    executor->ops->close(&executor->slot);
}

static void *serve(void *argument)
{
    static struct event_node *(*const DO[])(struct executor *, const struct executor_command *) = {
        [EXECUTOR_LOAD] = do_load,
        [EXECUTOR_UNLOAD] = do_unload,
        [EXECUTOR_RUN] = do_run,
    };
    struct executor *executor = argument;
    struct executor_command command;
    struct event_node *done = open_slot(executor);
    while (next_command(executor, done, &command))
        done = DO[command.type](executor, &command);
    close_slot(executor);
    return NULL;
}

/* Signals are for the thread that waits for them in its loop. */
static enum err start_thread(struct executor *executor, struct why *why)
{
    sigset_t all, before;
    const int own[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL };
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&executor->thread, NULL, serve, executor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        return ERR_OK;
    errno = failed;
    return why_set_errno(why, ERR_SYSTEM, "cannot start the thread of a slot");
}

static void destroy(struct executor **executor_taken)
{
    struct executor *executor = *executor_taken;
    pthread_cond_destroy(&executor->posted);
    pthread_mutex_destroy(&executor->mutex);
    close(executor->fd);
    free(executor);
    *executor_taken = NULL;
}

enum err executor_new(const struct runtime_ops *ops, const struct runtime_config *config,
                      struct executor **executor, struct why *why)
{
    *executor = NULL;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot make an eventfd for a slot");
    struct executor *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        close(fd);
        return why_set(why, ERR_MEMORY, "out of memory for a slot");
    }
    fresh->ops = ops;
    fresh->config = *config;
    fresh->fd = fd;
    fresh->events_tail = &fresh->events;
    pthread_mutex_init(&fresh->mutex, NULL);
    pthread_cond_init(&fresh->posted, NULL);
    enum err err = start_thread(fresh, why);
    if (err != ERR_OK)
        destroy(&fresh);
    *executor = fresh;
    return err;
}

void executor_free(struct executor **executor_taken)
{
    struct executor *executor = *executor_taken;
    if (executor == NULL)
        return;
    pthread_mutex_lock(&executor->mutex);
    executor->stopping = true;
    if (executor->busy && executor->ops->cancel != NULL)
        executor->ops->cancel(executor->slot);
    pthread_cond_signal(&executor->posted);
    pthread_mutex_unlock(&executor->mutex);
    pthread_join(executor->thread, NULL);
    struct executor_event *event;
    while (executor_receive(executor, &event))
        executor_event_free(&event);
    destroy(executor_taken);
}

int executor_fd(const struct executor *executor) { return executor->fd; }

void executor_post(struct executor *executor, const struct executor_command *command)
{
    ENSURE(command->model < EXECUTOR_MODELS_MAX);
    pthread_mutex_lock(&executor->mutex);
    ENSURE(executor->unanswered < EXECUTOR_QUEUE_MAX);
    executor->unanswered++;
    executor->commands[(executor->first + executor->count++) % EXECUTOR_QUEUE_MAX] = *command;
    pthread_cond_signal(&executor->posted);
    pthread_mutex_unlock(&executor->mutex);
}

static void clear_signal(int fd)
{
    uint64_t value;
    ssize_t got = read(fd, &value, sizeof value);
    ENSURE(got == (ssize_t)sizeof value);
}

bool executor_receive(struct executor *executor, struct executor_event **event)
{
    pthread_mutex_lock(&executor->mutex);
    struct event_node *node = executor->events;
    if (node != NULL) {
        executor->events = node->next;
        if (executor->events == NULL) {
            executor->events_tail = &executor->events;
            clear_signal(executor->fd);
        }
    }
    pthread_mutex_unlock(&executor->mutex);
    *event = node != NULL ? &node->event : NULL;
    return node != NULL;
}

void executor_event_free(struct executor_event **event)
{
    if (*event == NULL)
        return;
    batch_out_free(&(*event)->out);
    free(*event);
    *event = NULL;
}

static bool is_run(const struct executor *executor, uint32_t place, uint64_t tag)
{
    const struct executor_command *command =
        &executor->commands[(executor->first + place) % EXECUTOR_QUEUE_MAX];
    return command->type == EXECUTOR_RUN && command->tag == tag;
}

/* Close the gap that the command at place leaves. */
static void remove_command(struct executor *executor, uint32_t place)
{
    for (; place + 1 < executor->count; place++)
        executor->commands[(executor->first + place) % EXECUTOR_QUEUE_MAX] =
            executor->commands[(executor->first + place + 1) % EXECUTOR_QUEUE_MAX];
    executor->count--;
    executor->unanswered--;
}

bool executor_recall(struct executor *executor, uint64_t tag)
{
    bool found = false;
    pthread_mutex_lock(&executor->mutex);
    for (uint32_t place = 0; place < executor->count && !found; place++) {
        found = is_run(executor, place, tag);
        if (found)
            remove_command(executor, place);
    }
    pthread_mutex_unlock(&executor->mutex);
    return found;
}
