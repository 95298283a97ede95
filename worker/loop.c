// SPDX-License-Identifier: Apache-2.0
#include "loop_state.h"

#include "clock.h"
#include "ensure.h"
#include "isolated.h"
#include "log.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint64_t CREDIT_BYTES = 256ull << 20, CACHE_BYTES_MAX = 16ull << 30, HEARTBEAT_US = 1000000;
static const uint64_t RESULTS_BYTES_MAX = 512ull << 20; /* more than a worker with a living coordinator has */
static const uint64_t LINGER_US = 500000; /* results on their way are worth waiting for so long at the end */

/* ---- life ---- */

static uint64_t seed_of(const struct hello *hello)
{
    uint64_t seed;
    memcpy(&seed, hello->message.worker, sizeof seed);
    return rng_mix64(seed);
}

static void set_up_links(struct loop *loop)
{
    const struct fleet_worker *member = loop->config.member;
    if (member == NULL)
        return;
    double scale = loop->config.fleet->time_scale;
    struct link link = { .half_rtt_us = member->link_rtt_ms * 500 * scale };
    if (member->link_mbit > 0)
        link.us_per_byte = 8 / member->link_mbit * scale;
    loop->up = loop->down = link;
}

static enum err start_executor(struct loop *loop, uint32_t slot, struct why *why)
{
    const struct hello_slot *from = &loop->config.hello->slots[slot];
    struct runtime_config config = {
        .device = from->device,
        .threads = from->threads,
        .numa_node = from->numa_node,
        .fleet = loop->config.fleet,
        .member = loop->config.member,
        .joined_us = loop->started_us,
        .seed = seed_of(loop->config.hello) + slot,
    };
    if (!loop->config.isolate)
        return executor_new(from->ops, &config, &loop->executors[slot], why);
    config.inner = from->ops;
    return executor_new(&isolated_ops, &config, &loop->executors[slot], why);
}

/* Wait for the slot's runtime to open. An executor's first event says how that went. */
static enum err await_open(struct executor *executor, struct why *why)
{
    struct executor_event *event;
    while (!executor_receive(executor, &event)) {
        struct pollfd fd = { .fd = executor_fd(executor), .events = POLLIN };
        (void)poll(&fd, 1, -1);
    }
    enum err err = event->err;
    *why = event->why;
    executor_event_free(&event);
    return err;
}

/* Slots that do not open are not advertised; those after them move up. */
static enum err open_slots(struct loop *loop, struct why *why)
{
    struct message_hello *hello = &loop->config.hello->message;
    enum err err = ERR_OK, last = ERR_OK;
    for (uint32_t slot = 0; slot < hello->slots_count && err == ERR_OK; slot++)
        err = start_executor(loop, slot, why);
    for (uint32_t from = 0; err == ERR_OK && loop->slots_count < hello->slots_count; from++) {
        last = await_open(loop->executors[from], why);
        if (last == ERR_OK) {
            struct executor *opened = loop->executors[from];
            loop->executors[from] = NULL;
            loop->executors[loop->slots_count++] = opened;
            continue;
        }
        log_error("SLOT-FAILED", "%s: %s", loop->config.hello->slots[loop->slots_count].device, why->text);
        hello_drop_slot(loop->config.hello, loop->slots_count);
        executor_free(&loop->executors[from]);
    }
    if (err == ERR_OK && loop->slots_count == 0)
        err =
            last != ERR_OK ? last : why_set(why, ERR_UNSUPPORTED, "nothing on this machine can run a model");
    return err;
}

enum err loop_new(const struct loop_config *config, struct loop **loop, struct why *why)
{
    struct loop *made = calloc(1, sizeof *made);
    *loop = made;
    if (made == NULL)
        return why_set(why, ERR_MEMORY, "out of memory");
    made->config = *config;
    made->started_us = clock_monotonic_us();
    made->home.lock_fd = -1;
    rng_init(&made->rng, seed_of(config->hello));
    works_init(&made->works);
    pieces_init(&made->pieces);
    heap_init(&made->delays);
    set_up_links(made);
    source_guard();
    enum err err =
        cache_open(config->state_dir, config->cache_bytes_max > 0 ? config->cache_bytes_max : CACHE_BYTES_MAX,
                   &made->cache, why);
    if (err == ERR_OK && (made->context = zmq_ctx_new()) == NULL)
        err = why_set_errno(why, ERR_SYSTEM, "cannot start ZeroMQ");
    if (err == ERR_OK)
        err = wire_connect(made->context, config->url, config->keys, &made->wire, why);
    if (err == ERR_OK)
        wire_free(&made->wire); /* the URL is good; the real connection is made once the slots are open */
    if (err == ERR_OK)
        err = open_slots(made, why);
    models_init(&made->models, made->slots_count);
    if (err == ERR_OK)
        made->agent = agent_new(&(struct agent_config){
            .slots_count = made->slots_count,
            .heartbeat_us = HEARTBEAT_US,
            .credit_bytes = config->credit_bytes > 0 ? config->credit_bytes : CREDIT_BYTES,
            .results_bytes_max = RESULTS_BYTES_MAX,
        });
    if (err == ERR_OK && made->agent == NULL)
        err = why_set(why, ERR_MEMORY, "out of memory");
    if (err == ERR_OK)
        spool_begin(made);
    if (err != ERR_OK)
        loop_free(loop);
    return err;
}

void loop_free(struct loop **loop)
{
    struct loop *it = *loop;
    if (it == NULL)
        return;
    wire_free(&it->wire);
    for (uint32_t slot = 0; slot < SLOTS_MAX; slot++)
        executor_free(&it->executors[slot]);
    heap_fini(&it->delays);
    spool_end(it);
    works_fini(&it->works);
    for (uint32_t i = 0; i < it->jobs_count; i++)
        job_unref(&it->jobs[i]);
    models_fini(&it->models);
    pieces_fini(&it->pieces);
    cache_free(&it->cache);
    agent_free(&it->agent);
    free(it->events.at);
    free(it->outgoing.at);
    free(it->batch);
    free(it->returned.at);
    if (it->context != NULL)
        zmq_ctx_term(it->context);
    free(it);
    *loop = NULL;
}

/* ---- turns ---- */

enum { ITEM_STOP = 0, ITEM_WIRE, ITEM_MONITOR, ITEMS_FIXED };

static int fill_items(const struct loop *loop, int stop_fd, zmq_pollitem_t *items)
{
    int count = ITEM_WIRE;
    items[ITEM_STOP] = (zmq_pollitem_t){ .fd = stop_fd, .events = ZMQ_POLLIN };
    for (uint32_t slot = 0; slot < loop->slots_count; slot++)
        items[count++] = (zmq_pollitem_t){ .fd = executor_fd(loop->executors[slot]), .events = ZMQ_POLLIN };
    if (loop->wire == NULL)
        return count;
    items[count++] = (zmq_pollitem_t){ .socket = wire_socket(loop->wire), .events = ZMQ_POLLIN };
    items[count++] = (zmq_pollitem_t){ .socket = wire_monitor_socket(loop->wire), .events = ZMQ_POLLIN };
    return count;
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* In milliseconds, rounded up, so that what is due is due when the poll returns. */
static long timeout_ms(const struct loop *loop)
{
    const struct heap_item *held_back = heap_first(&loop->delays);
    uint64_t due_us = earlier(agent_deadline_us(loop->agent), link_deadline_us(loop));
    due_us = earlier(due_us, held_back != NULL ? held_back->key : UINT64_MAX);
    uint64_t now_us = clock_monotonic_us();
    if (due_us <= now_us)
        return 0;
    uint64_t left_ms = (due_us - now_us + 999) / 1000;
    return left_ms < 60000 ? (long)left_ms : 60000;
}

static void serve_wire(struct loop *loop)
{
    wire_peer peer;
    if (loop->dialogue == DIALOGUE_NEW && wire_is_connected(loop->wire))
        link_greet(loop);
    hear_all(loop);
    if (loop->wire != NULL && wire_lost(loop->wire, &peer))
        link_lose(loop, "the connection was lost");
}

static void turn(struct loop *loop, const zmq_pollitem_t *items)
{
    if (loop->wire != NULL)
        serve_wire(loop);
    for (uint32_t slot = 0; slot < loop->slots_count; slot++)
        if (items[ITEM_WIRE + slot].revents != 0)
            act_executor(loop, slot);
    act_due(loop, clock_monotonic_us());
    if (agent_deadline_us(loop->agent) <= clock_monotonic_us())
        act_feed(loop, &(struct agent_event){ .type = AGENT_TICK });
    spool_write(loop);
    link_settle(loop);
}

static void count_finished(void *context, const struct agent_lease *lease, bool finished)
{
    (void)lease;
    *(uint32_t *)context += finished;
}

/* What was sent and is acknowledged before we go need not be offered again. */
static bool is_awaiting_acks(const struct loop *loop)
{
    uint32_t finished = 0;
    if (loop->dialogue == DIALOGUE_SERVING)
        agent_held(loop->agent, count_finished, &finished);
    return finished > 0;
}

static void await_events(struct loop *loop, int stop_fd, uint64_t until_us, zmq_pollitem_t *items)
{
    int count = fill_items(loop, stop_fd, items);
    long wait_ms = timeout_ms(loop), left_ms = LONG_MAX;
    if (until_us < UINT64_MAX) {
        uint64_t now_us = clock_monotonic_us();
        left_ms = until_us > now_us ? (long)((until_us - now_us + 999) / 1000) : 0;
        items[ITEM_STOP].events = 0; /* heard */
    }
    if (zmq_poll(items, count, wait_ms < left_ms ? wait_ms : left_ms) < 0 && zmq_errno() != EINTR)
        ENSURE(false);
}

void loop_run(struct loop *loop, int stop_fd)
{
    zmq_pollitem_t items[ITEMS_FIXED + SLOTS_MAX];
    uint64_t until_us = UINT64_MAX;
    for (;;) {
        link_open(loop);
        await_events(loop, stop_fd, until_us, items);
        if (items[ITEM_STOP].revents != 0 && until_us == UINT64_MAX)
            until_us = clock_monotonic_us() + LINGER_US;
        if (until_us < UINT64_MAX && (!is_awaiting_acks(loop) || clock_monotonic_us() >= until_us))
            break;
        turn(loop, items);
    }
    link_settle(loop);
    link_bye(loop);
    log_info("WORKER-STOPPED", "%s", loop->config.hello->message.name);
}
