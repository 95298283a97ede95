// SPDX-License-Identifier: Apache-2.0
/* fuzz_worker - a worker's loop behind a coordinator that lies about everything (lying_coordinator.h), goes
 * away and comes back; then an honest one takes its place.
 *
 *     fuzz_worker [--seed N] [--seconds N] [--rounds N]
 *
 * The worker may not crash, nor wait for ever: the honest coordinator's job gets its right answers from the
 * very process that was lied to. Memory, descriptors and the state directory stay bounded. A round prints its
 * seed first; `--seed S --rounds 1` says the same again, but for the timing of threads. */
#include "clock.h"
#include "file.h"
#include "log.h"
#include "loop.h"
#include "lying_coordinator.h"
#include "lying_rounds.h"
#include "probe.h"

#include <pthread.h>
#include <sys/stat.h>

enum { SAMPLES = 64, BATCH = 8, PATIENCE_S = 60, ROUND_MS = 300, HONEST_JOB = 1000 };

struct house {
    char dir[128], url[160], state[160];
    struct machine machine;
    struct hello *hello;
    struct loop *loop;
    pthread_t thread;
    int stop[2];
};

static void *run(void *argument)
{
    struct house *house = argument;
    loop_run(house->loop, house->stop[0]);
    return NULL;
}

static void house_open(struct house *house)
{
    struct why why = { "" };
    lying_folder(house->dir, sizeof house->dir);
    snprintf(house->url, sizeof house->url, "ipc://%s/c.sock", house->dir);
    snprintf(house->state, sizeof house->state, "%s/state", house->dir);
    house->machine = (struct machine){ .host = "here", .devices_count = 1 };
    house->machine.devices[0] = (struct device){
        .id = "cpu:0", .kind = "cpu", .numa_node = -1, .threads = 1, .idle_watts = -1, .busy_watts = -1
    };
    FUZZ_CHECK(pipe(house->stop) == 0);
    FUZZ_CHECK(hello_new(&house->machine, NULL, &(struct hello_options){ 0 }, &house->hello, &why) == ERR_OK);
    struct loop_config config = { .url = house->url,
                                  .state_dir = house->state,
                                  .hello = house->hello,
                                  .credit_bytes = 4 << 20,
                                  .spool_bytes_max = 4 << 20,
                                  .cache_bytes_max = 4 << 20 };
    if (loop_new(&config, &house->loop, &why))
        fprintf(stderr, "%s\n", why.text);
    FUZZ_CHECK(house->loop && pthread_create(&house->thread, NULL, run, house) == 0);
}

static void house_close(struct house *house)
{
    FUZZ_CHECK(write(house->stop[1], "x", 1) == 1);
    pthread_join(house->thread, NULL);
    loop_free(&house->loop);
    hello_free(&house->hello);
    close(house->stop[0]);
    close(house->stop[1]);
    lying_folder_check(house->dir);
    FUZZ_CHECK(file_remove_tree(house->dir, NULL) == ERR_OK);
}

/* ---- the coordinator ---- */

/* As a coordinator that is started again. Its context goes too: only that waits until the socket is closed.
 */
static void listen_again(struct lying_coordinator *coordinator)
{
    struct liar *liar = &coordinator->liar;
    int none = 0, queue = 64;
    if (liar->socket) {
        (void)zmq_close(liar->socket);
        (void)zmq_ctx_term(liar->context);
    }
    liar->context = zmq_ctx_new();
    liar->socket = zmq_socket(liar->context, ZMQ_ROUTER);
    FUZZ_CHECK(liar->socket);
    (void)zmq_setsockopt(liar->socket, ZMQ_LINGER, &none, sizeof none);
    (void)zmq_setsockopt(liar->socket, ZMQ_SNDHWM, &queue, sizeof queue);
    FUZZ_CHECK(zmq_bind(liar->socket, liar->url) == 0);
    liar->route_size = 0;
    coordinator->tags_count = 0;
}

static void hear_lies(struct lying_coordinator *coordinator)
{
    zmq_msg_t body;
    const struct message *message;
    (void)zmq_msg_init(&body);
    for (int i = 0; i < 64 && (message = liar_hear(&coordinator->liar, &body)); i++)
        lying_coordinator_take(coordinator, message);
    (void)zmq_msg_close(&body);
}

static void lie(struct lying_coordinator *coordinator)
{
    uint64_t until_us = clock_monotonic_us() + ROUND_MS * 1000ull, acts = 0;
    while (clock_monotonic_us() < until_us) {
        zmq_pollitem_t item = { coordinator->liar.socket, 0, ZMQ_POLLIN, 0 };
        (void)zmq_poll(&item, 1, acts++ % 16 ? 0 : 1);
        hear_lies(coordinator);
        lying_coordinator_act(coordinator);
        if (acts % 512 == 0)
            lying_flip(coordinator->dir, &coordinator->liar.random.rng);
        if (liar_one_in(&coordinator->liar, 3000))
            listen_again(coordinator);
    }
}

/* ---- the honest end ---- */

static void give_job(struct lying_coordinator *coordinator)
{
    struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    struct message_job job = {
        .job = HONEST_JOB, .samples = SAMPLES, .format = "synthetic", .outputs = &output, .outputs_count = 1
    };
    struct message message = { .type = MESSAGE_JOBS };
    message.jobs = (struct message_jobs){ &job, 1 };
    liar_say(&coordinator->liar, &message, NULL, 0, UINT64_MAX);
    message = (struct message){ .type = MESSAGE_LOAD };
    message.load = (struct message_load){ .job = HONEST_JOB };
    liar_say(&coordinator->liar, &message, NULL, 0, UINT64_MAX);
}

static void give_lease(struct lying_coordinator *coordinator, uint64_t first)
{
    static const uint8_t mac[MAC_BYTES] = { 9 };
    struct message_lease lease = { .job = HONEST_JOB,
                                   .first = first,
                                   .count = BATCH,
                                   .term = coordinator->term,
                                   .attempt = ++coordinator->attempt,
                                   .mac = mac };
    struct message message = { .type = MESSAGE_LEASES };
    message.leases = (struct message_leases){ &lease, 1 };
    liar_say(&coordinator->liar, &message, NULL, 0, UINT64_MAX);
}

/* Its rows are in the body, or the first frame: alone says that the message has no other result. */
static uint64_t check_rows(struct lying_coordinator *coordinator, const struct message_result *result,
                           bool alone)
{
    uint64_t rows[BATCH];
    const struct liar *liar = &coordinator->liar;
    bool inside = result->rows_size == sizeof rows,
         known = inside || (alone && liar->head_size == sizeof rows);
    FUZZ_CHECK(result->status == RESULT_OK && result->count == BATCH && result->frames == !inside);
    memcpy(rows, inside ? result->rows : liar->head, sizeof rows);
    for (uint64_t i = 0; known && i < BATCH; i++)
        FUZZ_CHECK(rows[i] == rng_mix64(result->first + i));
    coordinator->answered += result->count;
    return result->first + result->count;
}

/* What it holds of the liars' is dropped, as a coordinator does that knows no such lease; then a job is done.
 * Returns whether it was. */
static bool be_honest(struct lying_coordinator *coordinator)
{
    uint64_t until_us = clock_monotonic_us() + PATIENCE_S * 1000000ull, hellos = coordinator->hellos;
    zmq_msg_t body;
    bool given = false;
    coordinator->honest = true;
    coordinator->attempt += 1000000;
    listen_again(coordinator);
    (void)zmq_msg_init(&body);
    while (coordinator->answered < SAMPLES && clock_monotonic_us() < until_us) {
        zmq_pollitem_t item = { coordinator->liar.socket, 0, ZMQ_POLLIN, 0 };
        (void)zmq_poll(&item, 1, 10);
        const struct message *message = liar_hear(&coordinator->liar, &body);
        if (!message)
            continue;
        lying_coordinator_take(coordinator, message);
        if (coordinator->hellos > hellos && message->type == MESSAGE_HELLO) {
            uint64_t jobs[14];
            for (uint64_t i = 0; i < 14; i++)
                jobs[i] = i + 1;
            struct message forget = { .type = MESSAGE_FORGET };
            forget.forget = (struct message_forget){ jobs, 14 };
            liar_say(&coordinator->liar, &forget, NULL, 0, UINT64_MAX);
            give_job(coordinator);
            given = true;
        }
        if (message->type == MESSAGE_LOADED && given && message->loaded.ok && coordinator->answered == 0)
            give_lease(coordinator, 0);
        for (uint32_t i = 0; message->type == MESSAGE_RESULTS && i < message->results.results_count; i++) {
            const struct message_result *result = &message->results.results[i];
            if (result->job == HONEST_JOB && result->attempt == coordinator->attempt) {
                uint64_t next = check_rows(coordinator, result, message->results.results_count == 1);
                if (next < SAMPLES)
                    give_lease(coordinator, next);
                break;
            }
        }
    }
    (void)zmq_msg_close(&body);
    return coordinator->answered == SAMPLES;
}

static void play(uint64_t seed)
{
    static struct rumours rumours;
    struct lying_coordinator coordinator = { 0 };
    struct house house = { 0 };
    memset(&rumours, 0, sizeof rumours);
    house_open(&house);
    liar_init(&coordinator.liar, &rumours, NULL, house.url, seed);
    coordinator.liar.routed = true;
    coordinator.liar.random.array_max = 1 + (uint32_t)(seed % 7);
    coordinator.dir = house.dir;
    for (uint8_t i = 0; i < 4; i++) {
        uint8_t blob[32] = { (uint8_t)(i + 1) };
        rumour_blob(&rumours, blob);
    }
    listen_again(&coordinator);
    lie(&coordinator);
    bool done = be_honest(&coordinator);
    fprintf(stderr, "seed %llu: %llu lies, %llu results, %llu MB\n", (unsigned long long)seed,
            (unsigned long long)coordinator.attempt - 1000000, (unsigned long long)coordinator.results,
            (unsigned long long)lying_resident_mb());
    FUZZ_CHECK(done);
    house_close(&house);
    zmq_close(coordinator.liar.socket);
    coordinator.liar.socket = NULL;
    zmq_ctx_term(coordinator.liar.context);
    liar_fini(&coordinator.liar);
}

int main(int argc, char **argv) { return lying_rounds(argc, argv, play); }
