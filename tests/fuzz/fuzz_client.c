// SPDX-License-Identifier: Apache-2.0
/* fuzz_client - the client library before a coordinator that lies: about jobs, files, sizes and itself.
 *
 *     fuzz_client [--seed N] [--seconds N] [--rounds N]
 *
 * The library may not crash, nor wait longer than it was told; each call fails in words or succeeds; and
 * nothing is written but where the caller said. */
#include "liar.h"
#include "lying_rounds.h"
#include "motley.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CALLS_A_ROUND = 25, WAIT_MOST_S = 20 };

/* The coordinator, on a thread of its own. */
struct house {
    struct liar liar;
    char dir[128], url[160];
    pthread_t thread;
    atomic_bool over;
};

/* ---- what it says ---- */

static const char *const views[] = {
    "{\"id\":1,\"uuid\":\"u\",\"name\":\"n\",\"state\":\"done\",\"waiting\":null,\"model\":\"synthetic\","
    "\"output\":null,"
    "\"answer\":true,\"outputs\":[{\"name\":\"answer\",\"file\":\"answer\",\"dtype\":\"uint64\",\"shape\":[]}"
    "],"
    "\"samples_total\":3,\"samples_done\":3,\"samples_failed\":0,\"output_kind\":\"folder\",\"has_names\":"
    "true}",
    "{\"id\":1,\"state\":\"failed\",\"answer\":true,\"reason\":\"x\",\"samples_total\":18446744073709551615,"
    "\"samples_done\":-1,\"samples_failed\":1e308,\"outputs\":[{\"name\":\"a\",\"file\":\"../../canary/x\"},"
    "{\"name\":\"b\",\"file\":\"/tmp/x\"},{\"name\":\"c\",\"file\":\"\"},{\"name\":7}]}",
    "{\"id\":1,\"state\":\"running\",\"answer\":false,\"outputs\":[],\"samples_total\":3,\"samples_done\":1}",
    "{\"format\":\"onnx\",\"runtime\":\"r\",\"batch\":8,\"precision\":\"fp32\",\"inputs\":[{\"name\":\"x\","
    "\"dtype\":"
    "\"float32\",\"shape\":[null,2]}],\"outputs\":[{\"name\":\"y\",\"dtype\":\"float32\",\"shape\":[3]}],"
    "\"sha256\":\"00\"}",
    "[]",
    "{}",
    "null",
    "\"\\u0000\"",
    "[[[[[[[[[[[[[[[[",
    "{\"state\":\"done\",\"state\":7}",
    "",
};

/* A file: an .npy of three numbers, JSON lines, and what is neither. */
static const char *const files[] = {
    "\x93NUMPY\x01\x00\x36\x00{'descr': '<u8', 'fortran_order': False, 'shape': (3,), }\n",
    "\x93NUMPY\x01\x00\xff\xff{'descr': '<u8'",
    "{\"id\":\"0\",\"outputs\":[]}\n",
    "\"a\"\n\"b\"\n",
};

static struct liar_frame lie_payload(struct liar *liar)
{
    const char *text = liar_one_in(liar, 3) ? files[liar_below(liar, sizeof files / sizeof files[0])]
                                            : views[liar_below(liar, sizeof views / sizeof views[0])];
    size_t size = strlen(text);
    if (liar_one_in(liar, 8))
        size = 60000;
    uint8_t *bytes = arena_take(&liar->random.arena, size + 1);
    memcpy(bytes, text, strlen(text) < size ? strlen(text) : size);
    if (size > 0 && liar_one_in(liar, 4))
        liar_damage(liar, bytes, &size);
    return (struct liar_frame){ bytes, size };
}

static void lie_reply(struct liar *liar, uint64_t request)
{
    struct message *message = random_message(&liar->random, MESSAGE_REPLY);
    struct liar_frame frame = lie_payload(liar);
    message->reply.request = liar_one_in(liar, 12) ? liar_number(liar, UINT64_MAX) : request;
    message->reply.code = liar_one_in(liar, 3) ? (uint32_t)liar_below(liar, 15) : 0;
    message->reply.number = liar_one_in(liar, 3) ? liar_number(liar, UINT64_MAX) : liar_below(liar, 100);
    uint32_t frames = liar_one_in(liar, 20) ? 2 : !liar_one_in(liar, 4);
    struct liar_frame two[2] = { frame, frame };
    liar_say(liar, message, two, frames, 60);
}

static void lie_inferred(struct liar *liar, uint64_t request)
{
    struct message *message = random_message(&liar->random, MESSAGE_INFERRED);
    struct liar_frame frames[OUTPUTS_MAX + 1];
    message->inferred.request = request;
    uint32_t count = message->inferred.shapes_count + liar_one_in(liar, 10);
    for (uint32_t i = 0; i < count; i++)
        frames[i] = lie_payload(liar);
    liar_say(liar, message, frames, count, 60);
}

static void lie_welcome(struct liar *liar)
{
    struct message *message = random_message(&liar->random, MESSAGE_CLIENT_WELCOME);
    message->client_welcome.protocol = liar_one_in(liar, 12) ? 9 : 1;
    liar_say(liar, message, NULL, 0, 60);
}

static void answer(struct liar *liar, const struct message *message)
{
    static const enum message_type odd[] = { MESSAGE_REFUSED, MESSAGE_WELCOME, MESSAGE_CLIENT_WELCOME,
                                             MESSAGE_LEASES };
    uint64_t request = message->view.request; /* the first field of every request */
    if (liar_one_in(liar, 40))
        return;
    if (liar_one_in(liar, 40))
        liar_say(liar, random_message(&liar->random, odd[liar_below(liar, 4)]), NULL, 0, 20);
    else if (message->type == MESSAGE_CLIENT_HELLO)
        lie_welcome(liar);
    else if (message->type == MESSAGE_INFER && !liar_one_in(liar, 4))
        lie_inferred(liar, request);
    else
        lie_reply(liar, request);
    arena_reset(&liar->random.arena);
}

static void *serve(void *argument)
{
    struct house *house = argument;
    struct liar *liar = &house->liar;
    zmq_msg_t body;
    (void)zmq_msg_init(&body);
    while (!atomic_load(&house->over)) {
        zmq_pollitem_t item = { liar->socket, 0, ZMQ_POLLIN, 0 };
        (void)zmq_poll(&item, 1, 5);
        const struct message *message;
        while ((message = liar_hear(liar, &body)))
            answer(liar, message);
    }
    (void)zmq_msg_close(&body);
    return NULL;
}

static void house_open(struct house *house, struct rumours *rumours, uint64_t seed)
{
    int none = 0;
    lying_folder(house->dir, sizeof house->dir);
    snprintf(house->url, sizeof house->url, "ipc://%s/c.sock", house->dir);
    liar_init(&house->liar, rumours, zmq_ctx_new(), house->url, seed);
    house->liar.routed = true;
    house->liar.random.array_max = 3;
    house->liar.socket = zmq_socket(house->liar.context, ZMQ_ROUTER);
    FUZZ_CHECK(house->liar.socket && zmq_bind(house->liar.socket, house->url) == 0);
    (void)zmq_setsockopt(house->liar.socket, ZMQ_LINGER, &none, sizeof none);
    FUZZ_CHECK(pthread_create(&house->thread, NULL, serve, house) == 0);
}

static void house_close(struct house *house)
{
    void *context = house->liar.context;
    atomic_store(&house->over, true);
    pthread_join(house->thread, NULL);
    liar_fini(&house->liar);
    zmq_ctx_term(context);
    lying_folder_check(house->dir);
    FUZZ_CHECK(file_remove_tree(house->dir, NULL) == ERR_OK);
}

/* ---- what is asked ---- */

static void submit(motley *connection, const char *output, bool dry, struct motley_error *error)
{
    struct motley_submit options = MOTLEY_SUBMIT_INIT;
    options.model = "synthetic";
    options.samples = 3;
    options.output = output;
    if (dry)
        free(motley_dry_run(connection, &options, error));
    else
        motley_submit(connection, &options, error);
}

static void infer(motley *connection, struct motley_error *error)
{
    struct motley_infer options = MOTLEY_INFER_INIT;
    options.model = "synthetic";
    options.samples = 3;
    options.timeout_seconds = 0.3;
    struct motley_answer *got = motley_infer(connection, &options, error);
    for (size_t i = 0; got && i < got->outputs_count; i++)
        for (size_t k = 0; k < got->outputs[i].bytes; k++)
            (void)((const volatile uint8_t *)got->outputs[i].data)[k];
    motley_answer_free(&got);
}

static void call(motley *connection, struct rng *rng, const char *dir)
{
    struct motley_error error = { 0, "" };
    struct motley_change change = MOTLEY_CHANGE_INIT;
    static const char *const endings[] = { "npy", "jsonl", "d" };
    char output[256];
    snprintf(output, sizeof output, "%s/out/a%u.%s", dir, (unsigned)rng_below(rng, 3),
             endings[rng_below(rng, 3)]);
    change.set_priority = 1;
    switch (rng_below(rng, 10)) {
    case 0: submit(connection, rng_below(rng, 2) ? output : NULL, false, &error); break;
    case 1: submit(connection, output, true, &error); break;
    case 2: motley_wait(connection, 1, 0.2, NULL, NULL, &error); break;
    case 3: free(motley_view(connection, "job", "1", &error)); break;
    case 4: infer(connection, &error); break;
    case 5: motley_cancel(connection, "all", &error); break;
    case 6: motley_change(connection, "1", &change, &error); break;
    case 7: motley_drain(connection, "all", 0, &error); break;
    default: motley_results(connection, 1, output, &error); break;
    }
    FUZZ_CHECK(memchr(error.text, 0, sizeof error.text));
}

static void play(uint64_t seed)
{
    static struct rumours rumours;
    struct house *house = calloc(1, sizeof *house);
    struct motley_connect_options options = MOTLEY_CONNECT_INIT;
    struct motley_error error;
    struct rng rng;
    FUZZ_CHECK(house);
    rng_init(&rng, ~seed);
    house_open(house, &rumours, seed);
    setenv("MOTLEY_STATE_DIR", house->dir, 1);
    options.coordinator = house->url;
    options.timeout_seconds = 0.15;
    for (int i = 0; i < CALLS_A_ROUND; i++) {
        motley *connection = motley_connect(&options, NULL, &error);
        for (int k = 0; connection && k < 4; k++) {
            uint64_t began_us = clock_monotonic_us();
            call(connection, &rng, house->dir);
            FUZZ_CHECK(clock_monotonic_us() - began_us < WAIT_MOST_S * 1000000ull);
        }
        motley_close(&connection);
    }
    house_close(house); /* its thread counts until then */
    fprintf(stderr, "seed %llu: %llu lies, %llu MB\n", (unsigned long long)seed,
            (unsigned long long)house->liar.said, (unsigned long long)lying_resident_mb());
    free(house);
}

int main(int argc, char **argv) { return lying_rounds(argc, argv, play); }
