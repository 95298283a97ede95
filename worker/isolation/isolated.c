// SPDX-License-Identifier: Apache-2.0
#include "isolated.h"

#include "ferry.h"
#include "log.h"
#include "slot_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct runtime_model {
    uint32_t number;
    char *path; /* NULL = built-in */
    struct model_signature signature;
};

struct runtime_slot {
    struct runtime_config config;
    struct ferry ferry; /* there while pid is */
    struct ferry_call call;
    struct ferry_reply reply;
    struct runtime_model
        *models[FERRY_MODELS_MAX]; /* that the process has, or will have when it starts again */

    pthread_mutex_t mutex; /* guards what follows: cancel comes from another thread */
    pid_t pid;             /* 0 = no process */
    bool calling, cancelled;
};

/* ---- the process ---- */

enum { SOCKET_THERE = 3, MEMORY_THERE = 4, FIRST_TO_CLOSE = 5 };

/* dup2 of a descriptor onto itself would leave it to be closed at exec; neither can be that here, as the
 * first three are taken and each is moved out of the other's way. */
static enum err launch(int child_socket, int memory, pid_t *pid)
{
    char word[] = SLOT_PROCESS_WORD, socket_text[] = "3", memory_text[] = "4", program[] = "motley-worker";
    char *argv[] = { program, word, socket_text, memory_text, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_adddup2(&actions, child_socket, SOCKET_THERE);
    posix_spawn_file_actions_adddup2(&actions, memory, MEMORY_THERE);
    posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_TO_CLOSE);
    errno = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return errno == 0 ? ERR_OK : ERR_SYSTEM;
}

/* Out of the way of the numbers that they get in the process. */
static int move_up(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_TO_CLOSE);
    close(fd);
    return moved;
}

static enum err spawn(struct runtime_slot *slot, struct why *why)
{
    int child_socket;
    pid_t pid = 0;
    enum err err = ferry_make(&slot->ferry, &child_socket, why);
    if (err != ERR_OK)
        return err;
    child_socket = move_up(child_socket);
    slot->ferry.memory = move_up(slot->ferry.memory);
    if (child_socket < 0 || slot->ferry.memory < 0 ||
        launch(child_socket, slot->ferry.memory, &pid) != ERR_OK)
        err = why_set_errno(why, ERR_SYSTEM, "cannot start a slot's process");
    if (child_socket >= 0)
        close(child_socket);
    if (err != ERR_OK) {
        ferry_close(&slot->ferry);
        return err;
    }
    pthread_mutex_lock(&slot->mutex);
    slot->pid = pid;
    pthread_mutex_unlock(&slot->mutex);
    return ERR_OK;
}

static void describe_end(int status, char *text, size_t max)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        snprintf(text, max, "was killed (by the system, when memory is short)");
    else if (WIFSIGNALED(status))
        snprintf(text, max, "crashed: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(text, max, "ended with status %d", WEXITSTATUS(status));
}

/* Its socket is closed, so that one which does not listen any more is not waited for either. */
static void bury(struct runtime_slot *slot, char *text, size_t max)
{
    int status = 0;
    pthread_mutex_lock(&slot->mutex);
    pid_t pid = slot->pid;
    slot->pid = 0;
    pthread_mutex_unlock(&slot->mutex);
    ferry_close(&slot->ferry);
    if (pid == 0)
        return;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    describe_end(status, text, max);
}

/* ---- one call ---- */

/* As much as the protocol carries (proto/bounds.h): what is beyond it is no answer. */
enum { BATCH_FIXED_MOST = 1 << 20, OUTPUT_BYTES_MOST = 64 << 20, OUTPUTS_BYTES_MOST = 252 << 20 };
static const int64_t DIMENSION_MOST = (int64_t)1 << 40;
static const uint64_t RUN_US_MOST = (uint64_t)1 << 50;
static const double FIGURE_MOST = 1e15;

static bool text_ends(const char *text, size_t max) { return memchr(text, 0, max) != NULL; }

static bool figure_is_sound(double figure) { return figure >= -FIGURE_MOST && figure <= FIGURE_MOST; }

static bool spec_is_sound(const struct tensor_spec *spec)
{
    bool sound = text_ends(spec->name, sizeof spec->name) && spec->dtype > DTYPE_NONE &&
                 spec->dtype < DTYPE_COUNT && spec->dims_count <= TENSOR_DIMS_MAX;
    for (uint32_t i = 0; sound && i < spec->dims_count; i++)
        sound = spec->dims[i] >= -1 && spec->dims[i] <= DIMENSION_MOST;
    return sound;
}

static bool specs_are_sound(const struct tensor_spec *specs, uint32_t count)
{
    bool sound = count <= RUNTIME_TENSORS_MAX;
    for (uint32_t i = 0; i < count && sound; i++)
        sound = spec_is_sound(&specs[i]);
    return sound;
}

static bool signature_is_sound(const struct model_signature *signature)
{
    return specs_are_sound(signature->inputs, signature->inputs_count) &&
           specs_are_sound(signature->outputs, signature->outputs_count) &&
           signature->batch_fixed <= BATCH_FIXED_MOST &&
           text_ends(signature->format, sizeof signature->format) &&
           text_ends(signature->precision, sizeof signature->precision);
}

static bool measure_is_sound(const struct runtime_measure *measure)
{
    return measure->alpha_us >= 0 && figure_is_sound(measure->alpha_us) && measure->beta_us >= 0 &&
           figure_is_sound(measure->beta_us);
}

static bool out_is_sound(const struct batch_out *out)
{
    uint64_t bytes = 0;
    bool sound = specs_are_sound(out->specs, out->outputs_count);
    for (uint32_t i = 0; sound && i < out->outputs_count; i++) {
        sound = out->outputs_bytes[i] <= OUTPUT_BYTES_MOST;
        for (uint32_t d = 0; sound && d < out->specs[i].dims_count; d++)
            sound = out->specs[i].dims[d] >= 0; /* what came out is known */
        bytes += out->outputs_bytes[i];
    }
    return sound && bytes <= OUTPUTS_BYTES_MOST && out->run_us <= RUN_US_MOST &&
           figure_is_sound(out->energy_joules);
}

/* A runtime that was taken over can say anything. */
static bool reply_is_sound(struct ferry_reply *reply, enum ferry_type type)
{
    reply->why[sizeof reply->why - 1] = '\0';
    if (reply->err < ERR_OK || reply->err > ERR_RUNTIME)
        return false;
    if (reply->err != ERR_OK || type == FERRY_OPEN || type == FERRY_UNLOAD)
        return true;
    return type == FERRY_LOAD ? signature_is_sound(&reply->signature) && measure_is_sound(&reply->measure)
                              : out_is_sound(&reply->out);
}

/* True: reply has the answer, of whatever kind, and perhaps nonsense. */
static bool exchange(struct runtime_slot *slot)
{
    return ferry_send(&slot->ferry, &slot->call, sizeof slot->call) && ferry_await(&slot->ferry, slot->pid) &&
           ferry_receive(&slot->ferry, &slot->reply, sizeof slot->reply);
}

/* False: somebody cancelled, and did it already. */
static bool kill_process(struct runtime_slot *slot)
{
    pthread_mutex_lock(&slot->mutex);
    bool cancelled = slot->cancelled;
    if (slot->pid > 0)
        kill(slot->pid, SIGKILL);
    pthread_mutex_unlock(&slot->mutex);
    return !cancelled;
}

/* The call as it lies in slot->call. A process that answers nonsense is ended like one that does not answer.
 */
static enum err call_process(struct runtime_slot *slot, const char *doing, struct why *why)
{
    char end[128] = "is gone";
    slot->reply = (struct ferry_reply){ 0 };
    bool answered = exchange(slot);
    if (answered && reply_is_sound(&slot->reply, slot->call.type)) {
        if (slot->reply.err != ERR_OK)
            (void)why_set(why, slot->reply.err, "%s", slot->reply.why);
        return slot->reply.err;
    }
    bool unasked = kill_process(slot);
    bury(slot, end, sizeof end);
    if (answered)
        snprintf(end, sizeof end, "gave an impossible answer and was ended");
    if (unasked)
        log_warn("SLOT-PROCESS-ENDED", "%s: the slot's process %s while it %s", slot->config.device, end,
                 doing);
    return why_set(why, ERR_RUNTIME, "the slot's process %s while it %s", end, doing);
}

static enum err open_runtime(struct runtime_slot *slot, struct why *why)
{
    slot->call = (struct ferry_call){ .type = FERRY_OPEN,
                                      .threads = slot->config.threads,
                                      .numa_node = slot->config.numa_node };
    snprintf(slot->call.runtime, sizeof slot->call.runtime, "%s", slot->config.inner->name);
    snprintf(slot->call.device, sizeof slot->call.device, "%s", slot->config.device);
    return call_process(slot, "opened its runtime", why);
}

static enum err load_one(struct runtime_slot *slot, const struct runtime_model *model, bool measure,
                         struct why *why)
{
    slot->call = (struct ferry_call){ .type = FERRY_LOAD, .model = model->number, .measure = measure };
    if (model->path != NULL)
        snprintf(slot->call.path, sizeof slot->call.path, "%s", model->path);
    return call_process(slot, "loaded the model", why);
}

static enum err start(struct runtime_slot *slot, struct why *why)
{
    enum err err = spawn(slot, why);
    if (err == ERR_OK)
        err = open_runtime(slot, why);
    for (uint32_t i = 0; i < FERRY_MODELS_MAX && err == ERR_OK; i++)
        if (slot->models[i] != NULL)
            err = load_one(slot, slot->models[i], false, why);
    if (err != ERR_OK) {
        char end[128];
        (void)kill_process(slot);
        bury(slot, end, sizeof end);
    }
    return err;
}

/* A cancel that came before the call ends it; so does one that comes in it. */
static bool begin(struct runtime_slot *slot)
{
    pthread_mutex_lock(&slot->mutex);
    bool cancelled = slot->cancelled;
    slot->cancelled = false;
    slot->calling = !cancelled;
    pthread_mutex_unlock(&slot->mutex);
    return !cancelled;
}

static enum err end(struct runtime_slot *slot, enum err err, struct why *why)
{
    pthread_mutex_lock(&slot->mutex);
    bool cancelled = slot->cancelled && err != ERR_OK;
    slot->cancelled = false;
    slot->calling = false;
    pthread_mutex_unlock(&slot->mutex);
    return cancelled ? why_set(why, ERR_CANCELLED, "cancelled") : err;
}

static enum err ready(struct runtime_slot *slot, struct why *why)
{
    if (!begin(slot))
        return why_set(why, ERR_CANCELLED, "cancelled");
    return slot->pid > 0 ? ERR_OK : start(slot, why);
}

/* ---- the runtime's functions ---- */

static enum err isolated_available(struct why *why)
{
    (void)why;
    return ERR_OK;
}

static enum err isolated_open(const struct runtime_config *config, struct runtime_slot **slot,
                              struct why *why)
{
    *slot = NULL;
    if (config->inner == NULL || config->member != NULL)
        return why_set(why, ERR_UNSUPPORTED, "%s: an emulated device has nothing to isolate", config->device);
    struct runtime_slot *made = calloc(1, sizeof *made);
    if (made == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for a slot");
    made->config = *config;
    made->ferry = (struct ferry){ .socket = -1, .memory = -1 };
    pthread_mutex_init(&made->mutex, NULL);
    enum err err = start(made, why);
    if (err == ERR_OK) {
        *slot = made;
        return ERR_OK;
    }
    pthread_mutex_destroy(&made->mutex);
    free(made);
    return err;
}

static void isolated_close(struct runtime_slot **slot)
{
    char end[128];
    (void)kill_process(*slot);
    bury(*slot, end, sizeof end);
    pthread_mutex_destroy(&(*slot)->mutex);
    free(*slot);
    *slot = NULL;
}

static void model_free(struct runtime_model **model)
{
    free((*model)->path);
    free(*model);
    *model = NULL;
}

static enum err add_model(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                          struct why *why)
{
    uint32_t number = 0;
    while (number < FERRY_MODELS_MAX && slot->models[number] != NULL)
        number++;
    if (number == FERRY_MODELS_MAX || (path != NULL && strlen(path) >= FERRY_PATH_MAX))
        return why_set(why, ERR_LIMIT, "a slot's process holds at most %d models, their paths below %d bytes",
                       FERRY_MODELS_MAX, FERRY_PATH_MAX);
    *model = calloc(1, sizeof **model);
    if (*model == NULL)
        return why_set(why, ERR_MEMORY, "out of memory for a model");
    (*model)->number = number;
    if (path != NULL && ((*model)->path = strdup(path)) == NULL) {
        model_free(model);
        return why_set(why, ERR_MEMORY, "out of memory for a model");
    }
    return ERR_OK;
}

static enum err isolated_load(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                              struct model_signature *signature, struct runtime_measure *measure,
                              struct why *why)
{
    *model = NULL;
    enum err err = ready(slot, why);
    if (err == ERR_OK)
        err = add_model(slot, path, model, why);
    if (err == ERR_OK)
        err = load_one(slot, *model, measure != NULL, why);
    err = end(slot, err, why);
    if (err != ERR_OK) {
        if (*model != NULL)
            model_free(model);
        return err;
    }
    (*model)->signature = *signature = slot->reply.signature;
    if (measure != NULL)
        *measure = slot->reply.measure;
    slot->models[(*model)->number] = *model;
    return ERR_OK;
}

static void isolated_unload(struct runtime_slot *slot, struct runtime_model **model)
{
    struct why why;
    slot->models[(*model)->number] = NULL;
    slot->call = (struct ferry_call){ .type = FERRY_UNLOAD, .model = (*model)->number };
    if (slot->pid > 0 && call_process(slot, "unloaded a model", &why) != ERR_OK)
        log_debug("UNLOAD", "%s", why.text);
    model_free(model);
}

/* ---- a run ---- */

static enum err ship_rows(struct runtime_slot *slot, const struct runtime_model *model,
                          const struct batch_in *in, struct why *why)
{
    const struct tensor_spec *specs = in->specs != NULL ? in->specs : model->signature.inputs;
    struct ferry_call *call = &slot->call;
    *call = (struct ferry_call){ .type = FERRY_RUN,
                                 .model = model->number,
                                 .first = in->first,
                                 .rows = in->rows,
                                 .has_specs = in->specs != NULL,
                                 .inputs_count = model->signature.inputs_count };
    for (uint32_t k = 0; k < call->inputs_count; k++) {
        call->inputs_bytes[k] = in->rows * tensor_row_bytes(&specs[k]);
        if (in->specs != NULL)
            call->specs[k] = in->specs[k];
    }
    enum err err = ferry_reserve(
        &slot->ferry, ferry_place(call->inputs_bytes, call->inputs_count, call->inputs_count), why);
    for (uint32_t k = 0; k < call->inputs_count && err == ERR_OK; k++)
        if (call->inputs_bytes[k] > 0)
            memcpy(slot->ferry.map + ferry_place(call->inputs_bytes, call->inputs_count, k), in->inputs[k],
                   call->inputs_bytes[k]);
    return err;
}

static enum err take_output(struct runtime_slot *slot, struct batch_out *out, uint32_t k, struct why *why)
{
    const struct batch_out *told = &slot->reply.out;
    size_t bytes = told->outputs_bytes[k];
    out->outputs[k] = malloc(bytes > 0 ? bytes : 1);
    if (out->outputs[k] == NULL)
        return why_set(why, ERR_MEMORY, "no memory for the answers of a batch");
    if (bytes > 0)
        memcpy(out->outputs[k], slot->ferry.map + ferry_place(told->outputs_bytes, told->outputs_count, k),
               bytes);
    out->outputs_count = k + 1;
    out->outputs_bytes[k] = bytes;
    out->specs[k] = told->specs[k];
    return ERR_OK;
}

static enum err check_output(const struct batch_out *told, uint32_t rows, uint32_t k, struct why *why)
{
    uint64_t row_bytes = tensor_row_bytes(&told->specs[k]);
    if (row_bytes == 0
            ? told->outputs_bytes[k] == 0
            : told->outputs_bytes[k] / row_bytes == rows && told->outputs_bytes[k] % row_bytes == 0)
        return ERR_OK;
    return why_set(why, ERR_RUNTIME, "the slot's process gave %llu bytes of output %u for %u samples",
                   (unsigned long long)told->outputs_bytes[k], k, rows);
}

static enum err take_rows(struct runtime_slot *slot, uint32_t rows, struct batch_out *out, struct why *why)
{
    const struct batch_out *told = &slot->reply.out;
    enum err err = ferry_look(
        &slot->ferry, ferry_place(told->outputs_bytes, told->outputs_count, told->outputs_count), why);
    for (uint32_t k = 0; k < told->outputs_count && err == ERR_OK; k++) {
        err = check_output(told, rows, k, why);
        if (err == ERR_OK)
            err = take_output(slot, out, k, why);
    }
    out->run_us = told->run_us;
    out->energy_joules = told->energy_joules;
    out->overrun = told->overrun;
    if (err != ERR_OK)
        batch_out_free(out);
    return err;
}

static enum err isolated_run(struct runtime_slot *slot, struct runtime_model *model,
                             const struct batch_in *in, struct batch_out *out, struct why *why)
{
    memset(out, 0, sizeof *out);
    enum err err = ready(slot, why);
    if (err == ERR_OK)
        err = ship_rows(slot, model, in, why);
    if (err == ERR_OK)
        err = call_process(slot, "ran a batch", why);
    if (err == ERR_OK)
        err = take_rows(slot, in->rows, out, why);
    return end(slot, err, why);
}

static void isolated_cancel(struct runtime_slot *slot)
{
    pthread_mutex_lock(&slot->mutex);
    slot->cancelled = true;
    if (slot->calling && slot->pid > 0)
        kill(slot->pid, SIGKILL);
    pthread_mutex_unlock(&slot->mutex);
}

static const char *const no_formats[] = { NULL };

const struct runtime_ops isolated_ops = {
    .name = "isolated",
    .formats = no_formats,
    .available = isolated_available,
    .open = isolated_open,
    .close = isolated_close,
    .load = isolated_load,
    .unload = isolated_unload,
    .run = isolated_run,
    .cancel = isolated_cancel,
};
