// SPDX-License-Identifier: Apache-2.0
#include "slot_process.h"

#include "ferry.h"
#include "log.h"
#include "sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The process has this alone to do; its calls are large. */
struct server {
    const struct runtime_ops *(*find)(const char *name);
    struct ferry ferry;
    struct ferry_call call;
    struct ferry_reply reply;
    const struct runtime_ops *ops;
    struct runtime_slot *slot;
    struct runtime_model *models[FERRY_MODELS_MAX];
};

static enum err do_open(struct server *server, struct why *why)
{
    const struct ferry_call *call = &server->call;
    const struct runtime_config config = { .device = call->device,
                                           .threads = call->threads,
                                           .numa_node = call->numa_node };
    server->ops = server->find(call->runtime);
    if (server->ops == NULL)
        return why_set(why, ERR_UNSUPPORTED, "no runtime '%s' in the slot's process", call->runtime);
    return server->ops->open(&config, &server->slot, why);
}

static enum err do_load(struct server *server, struct why *why)
{
    const struct ferry_call *call = &server->call;
    struct ferry_reply *reply = &server->reply;
    return server->ops->load(server->slot, *call->path ? call->path : NULL, &server->models[call->model],
                             &reply->signature, call->measure ? &reply->measure : NULL, why);
}

static enum err do_unload(struct server *server, struct why *why)
{
    struct runtime_model **model = &server->models[server->call.model];
    (void)why;
    if (*model != NULL)
        server->ops->unload(server->slot, model);
    return ERR_OK;
}

static enum err ship(struct server *server, struct batch_out *out, struct why *why)
{
    enum err err = ferry_reserve(
        &server->ferry, ferry_place(out->outputs_bytes, out->outputs_count, out->outputs_count), why);
    for (uint32_t k = 0; k < out->outputs_count && err == ERR_OK; k++)
        if (out->outputs_bytes[k] > 0)
            memcpy(server->ferry.map + ferry_place(out->outputs_bytes, out->outputs_count, k),
                   out->outputs[k], out->outputs_bytes[k]);
    server->reply.out = *out;
    memset(server->reply.out.outputs, 0, sizeof server->reply.out.outputs);
    return err;
}

static enum err do_run(struct server *server, struct why *why)
{
    const struct ferry_call *call = &server->call;
    struct batch_out out = { 0 };
    struct batch_in in = { .first = call->first,
                           .rows = call->rows,
                           .specs = call->has_specs ? call->specs : NULL };
    enum err err = ferry_look(&server->ferry,
                              ferry_place(call->inputs_bytes, call->inputs_count, call->inputs_count), why);
    if (err != ERR_OK)
        return err;
    for (uint32_t k = 0; k < call->inputs_count; k++)
        in.inputs[k] = server->ferry.map + ferry_place(call->inputs_bytes, call->inputs_count, k);
    err = server->ops->run(server->slot, server->models[call->model], &in, &out, why);
    if (err == ERR_OK)
        err = ship(server, &out, why);
    batch_out_free(&out);
    return err;
}

static void serve_call(struct server *server)
{
    static enum err (*const calls[])(struct server *, struct why *) = {
        [FERRY_OPEN] = do_open, [FERRY_LOAD] = do_load, [FERRY_UNLOAD] = do_unload, [FERRY_RUN] = do_run
    };
    struct why why = { "" };
    memset(&server->reply, 0, sizeof server->reply);
    server->reply.err = calls[server->call.type](server, &why);
    snprintf(server->reply.why, sizeof server->reply.why, "%s", why.text);
}

/* The worker is our own program, but for one of another build: then nothing fits. */
static bool call_is_sound(const struct server *server)
{
    const struct ferry_call *call = &server->call;
    return call->type >= FERRY_OPEN && call->type <= FERRY_RUN && call->model < FERRY_MODELS_MAX &&
           call->inputs_count <= RUNTIME_TENSORS_MAX && (call->type == FERRY_OPEN) == (server->slot == NULL);
}

static int serve(struct server *server)
{
    struct why why;
    if (sandbox_enter(&why) != ERR_OK)
        log_debug("SANDBOX", "%s", why.text);
    while (ferry_receive(&server->ferry, &server->call, sizeof server->call)) {
        if (!call_is_sound(server))
            return 1;
        serve_call(server);
        if (!ferry_send(&server->ferry, &server->reply, sizeof server->reply))
            return 1;
        if (server->call.type == FERRY_OPEN && server->reply.err != ERR_OK)
            return 0;
    }
    return 0;
}

int slot_process_main(int argc, char **argv, const struct runtime_ops *(*find)(const char *name))
{
    static struct server server;
    if (argc != 4)
        return 2;
    /* Not at the worker's Ctrl-C: the worker decides, and closes the socket. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    /* A worker that is killed must not leave a process behind that holds a device. One that ended before this
     * line is noticed at the socket. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    server.find = find;
    ferry_take(&server.ferry, atoi(argv[2]), atoi(argv[3]));
    /* Not unloaded and closed: the kernel takes all back at once, and a runtime that broke may not come out
     * of it. */
    _exit(serve(&server));
}
