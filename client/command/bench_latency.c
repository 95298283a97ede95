// SPDX-License-Identifier: Apache-2.0
/* motley bench latency: how long one online request takes through a coordinator, one after the other, against
 * two bare hops (DEALER, ROUTER, DEALER) of messages of the same sizes. Both are measured by turns, so that
 * what else the machine does hits both. */
#include "clock.h"
#include "command.h"
#include "echo.h"
#include "mimes.h"
#include "rng.h"
#include "stage.h"
#include "tool.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MAX = 99, ANSWER_MS = 10000, READY_US = 30000000, WARM_REQUESTS = 200, TIMES_MAX = 1 << 20 };

/* A client that asks one thing at a time. */
struct asker {
    void *context;
    struct wire *wire;
    uint64_t requests;
};

struct times {
    size_t count;
    double *us;
};

struct side {
    struct asker asker;
    struct mimes *mimes;
    struct times times;
};

/* ---- asking ---- */

static enum err hear(struct asker *asker, struct wire_in *in, struct why *why)
{
    zmq_pollitem_t item = { .socket = wire_socket(asker->wire), .events = ZMQ_POLLIN };
    while (!wire_receive(asker->wire, in))
        if (zmq_poll(&item, 1, ANSWER_MS) == 0)
            return why_set(why, ERR_TIMEOUT, "no answer came within %d s", ANSWER_MS / 1000);
    return in->message ? ERR_OK : why_set(why, ERR_FORMAT, "%.400s", in->why.text);
}

static enum err connect_to(struct asker *asker, const char *url, const struct wire_keys *keys,
                           struct why *why)
{
    uint64_t deadline_us = clock_monotonic_us() + READY_US;
    asker->context = zmq_ctx_new();
    if (!asker->context)
        return why_set(why, ERR_MEMORY, "no memory for a benchmark");
    enum err err = wire_connect(asker->context, url, keys, &asker->wire, why);
    while (err == ERR_OK && !wire_is_connected(asker->wire)) {
        if (clock_monotonic_us() > deadline_us)
            err = why_set(why, ERR_TIMEOUT, "%s: no connection", url);
        clock_sleep_until_us(clock_monotonic_us() + 1000);
    }
    return err;
}

static enum err greet(struct asker *asker, struct why *why)
{
    struct message hello = { .type = MESSAGE_CLIENT_HELLO };
    struct wire_in in;
    hello.client_hello.protocol_min = PROTOCOL_MIN;
    hello.client_hello.protocol_max = PROTOCOL_MAX;
    hello.client_hello.version = MOTLEY_VERSION;
    if (wire_send(asker->wire, 0, &hello, NULL, 0) != ERR_OK)
        return why_set(why, ERR_SYSTEM, "the benchmark's client lost its coordinator");
    enum err err = hear(asker, &in, why);
    if (err == ERR_OK && in.message->type != MESSAGE_CLIENT_WELCOME)
        err = why_set(why, ERR_REFUSED, "the benchmark's client was refused");
    return err;
}

static void compose(struct asker *asker, struct message *message)
{
    static const uint8_t built_in[SHA256_BYTES];
    static struct message_tensor answer = { .name = "answer", .dtype = DTYPE_U64 };
    *message = (struct message){ .type = MESSAGE_INFER };
    message->infer = (struct message_infer){ .request = ++asker->requests,
                                             .model = "synthetic",
                                             .model_blob = built_in,
                                             .format = "synthetic",
                                             .samples = 1,
                                             .outputs = &answer,
                                             .outputs_count = 1 };
}

/* Sample 0 of the model synthetic; the echo answers anything. */
static enum err judge(const struct wire_in *in, bool checked, struct why *why)
{
    uint64_t answer;
    if (in->message->type == MESSAGE_REPLY)
        return why_set(why, ERR_RUNTIME, "%.400s", in->message->reply.text);
    if (in->message->type != MESSAGE_INFERRED || in->frames_count != 1 ||
        zmq_msg_size(&in->frames[0]) != sizeof answer)
        return why_set(why, ERR_FORMAT, "what came is no answer");
    memcpy(&answer, zmq_msg_data(&in->frames[0]), sizeof answer);
    return !checked || answer == rng_mix64(0) ? ERR_OK : why_set(why, ERR_FORMAT, "the answer is wrong");
}

static double now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static enum err ask(struct asker *asker, bool checked, double *us, struct why *why)
{
    struct message message;
    struct wire_in in;
    compose(asker, &message);
    double from_us = now_us();
    if (wire_send(asker->wire, 0, &message, NULL, 0) != ERR_OK)
        return why_set(why, ERR_SYSTEM, "the benchmark's client lost its coordinator");
    enum err err = hear(asker, &in, why);
    *us = now_us() - from_us;
    return err == ERR_OK ? judge(&in, checked, why) : err;
}

static enum err ask_for(struct side *side, bool checked, double seconds, struct why *why)
{
    double until_us = now_us() + seconds * 1e6, us = 0;
    enum err err = ERR_OK;
    for (int i = 0; i < WARM_REQUESTS && err == ERR_OK; i++)
        err = ask(&side->asker, checked, &us, why);
    do {
        if (err == ERR_OK)
            err = ask(&side->asker, checked, &us, why);
        if (err == ERR_OK && side->times.count < TIMES_MAX)
            side->times.us[side->times.count++] = us;
        if (tool_interrupted())
            err = why_set(why, ERR_CANCELLED, "cancelled");
    } while (err == ERR_OK && now_us() < until_us);
    return err;
}

/* ---- both sides ---- */

struct end {
    const char *url;
    const uint8_t *server_half;
    const struct key *worker, *client;
};

static enum err prepare(struct side *side, const struct end *end, bool echo, struct why *why)
{
    const struct wire_keys keys = { end->client, end->server_half, "client" };
    const struct mimes_plan plan = { .url = end->url,
                                     .server_half = end->server_half,
                                     .key = end->worker,
                                     .workers = 1,
                                     .each = { .slots = 1, .window = 2 } };
    uint64_t deadline_us = clock_monotonic_us() + READY_US;
    struct mimes_counts counts = { 0 };
    side->times.us = malloc(TIMES_MAX * sizeof *side->times.us);
    enum err err = side->times.us ? mimes_start(&plan, &side->mimes, why)
                                  : why_set(why, ERR_MEMORY, "no memory for a benchmark");
    while (err == ERR_OK && (echo ? counts.greeted : counts.welcome) == 0) {
        mimes_look(side->mimes, &counts);
        if (clock_monotonic_us() > deadline_us)
            err = why_set(why, ERR_TIMEOUT, "the benchmark's worker was not welcome");
        clock_sleep_until_us(clock_monotonic_us() + 1000);
    }
    if (err == ERR_OK)
        err = connect_to(&side->asker, end->url, &keys, why);
    return err == ERR_OK && !echo ? greet(&side->asker, why) : err;
}

static void finish(struct side *side)
{
    mimes_stop(&side->mimes);
    wire_free(&side->asker.wire);
    if (side->asker.context)
        zmq_ctx_term(side->asker.context);
    free(side->times.us);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double percentile(const struct times *times, double share)
{
    size_t at = (size_t)(share * (double)times->count);
    return times->count > 0 ? times->us[at < times->count ? at : times->count - 1] : 0;
}

/* ---- telling ---- */

static void print_json(const struct side *through, const struct side *bare, const char *journal)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_real(doc, root, "p50_us", percentile(&through->times, 0.5));
    yyjson_mut_obj_add_real(doc, root, "p99_us", percentile(&through->times, 0.99));
    yyjson_mut_obj_add_real(doc, root, "raw_two_hop_p50_us", percentile(&bare->times, 0.5));
    yyjson_mut_obj_add_real(doc, root, "raw_two_hop_p99_us", percentile(&bare->times, 0.99));
    yyjson_mut_obj_add_uint(doc, root, "requests", through->times.count);
    yyjson_mut_obj_add_str(doc, root, "journal", journal);
    yyjson_mut_obj_add_str(doc, root, "security", STAGE_SECURITY);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

static void print_line(const char *name, const struct times *times)
{
    printf("%-11s p50 %.0f us, p99 %.0f us, of %zu\n", name, percentile(times, 0.5), percentile(times, 0.99),
           times->count);
}

static void print_text(const struct side *through, const struct side *bare)
{
    print_line("through", &through->times);
    print_line("two hops", &bare->times);
    printf("added       p50 %.0f us, p99 %.0f us\nsecurity    %s\n",
           percentile(&through->times, 0.5) - percentile(&bare->times, 0.5),
           percentile(&through->times, 0.99) - percentile(&bare->times, 0.99), STAGE_SECURITY);
}

/* ---- the command ---- */

struct plan {
    double seconds;
    uint64_t rounds;
    const char *folder;
    bool json;
};

static enum err measure(const struct plan *plan, struct side *through, struct side *bare, struct why *why)
{
    enum err err = ERR_OK;
    for (uint64_t i = 0; i < plan->rounds && err == ERR_OK; i++) {
        err = ask_for(bare, false, plan->seconds, why);
        if (err == ERR_OK)
            err = ask_for(through, true, plan->seconds, why);
    }
    qsort(through->times.us, through->times.count, sizeof through->times.us[0], by_value);
    qsort(bare->times.us, bare->times.count, sizeof bare->times.us[0], by_value);
    return err;
}

static int perform(const struct plan *plan)
{
    struct stage stage = { 0 };
    struct echo echo;
    struct side through = { 0 }, bare = { 0 };
    char journal[128];
    struct why why;
    enum err err = echo_start(true, &echo, &why);
    if (err == ERR_OK)
        err = stage_start(plan->folder, &stage, &why);
    if (err == ERR_OK)
        err = prepare(&bare, &(struct end){ echo.url, echo.key.public_half, &stage.worker, &stage.client },
                      true, &why);
    if (err == ERR_OK)
        err = prepare(&through,
                      &(struct end){ stage.url, stage.coordinator_half, &stage.worker, &stage.client }, false,
                      &why);
    if (err == ERR_OK)
        err = measure(plan, &through, &bare, &why);
    stage_journal(&stage, journal, sizeof journal);
    if (err == ERR_OK && plan->json)
        print_json(&through, &bare, journal);
    else if (err == ERR_OK)
        print_text(&through, &bare);
    finish(&through);
    finish(&bare);
    stage_stop(&stage);
    echo_stop(&echo);
    return err == ERR_OK ? MOTLEY_OK : tool_fail(err, &why);
}

int command_bench_latency(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley bench latency", "[--seconds 1] [--rounds 5] [--folder DIR] [--json]",
        "How long an online request takes through a coordinator when one is asked after the other, over tcp "
        "loopback, with a worker that has the answer ready; and how long two bare hops take with messages of "
        "the same sizes, measured by turns. What lies between the two is the coordinator's own.",
        "  motley bench latency --json\n"
    };
    struct plan plan = { .seconds = 1.0, .rounds = 5 };
    int code;
    const struct option_row rows[] = {
        { "seconds", 0, OPTION_NUMBER, &plan.seconds, "S", "how long each round asks each side (default 1)" },
        { "rounds", 0, OPTION_COUNT, &plan.rounds, "N", "of asking one side, then the other (default 5)" },
        { "folder", 0, OPTION_TEXT, &plan.folder, "DIR",
          "where the coordinator keeps its state meanwhile (default $TMPDIR, else /var/tmp)" },
        { "json", 0, OPTION_FLAG, &plan.json, NULL, "print JSON for programs" },
        { 0 }
    };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    if (!(plan.seconds >= 0.01 && plan.seconds <= 600.0) || plan.rounds < 1 || plan.rounds > ROUNDS_MAX) {
        fprintf(stderr, "motley: bench latency: --seconds from 0.01 to 600, --rounds from 1 to 99\n");
        return MOTLEY_USAGE;
    }
    tool_catch_interrupts();
    return perform(&plan);
}
