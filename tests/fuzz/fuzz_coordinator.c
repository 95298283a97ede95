// SPDX-License-Identifier: Apache-2.0
/* fuzz_coordinator - a whole coordinator among liars: workers and clients that were admitted, know the
 * grammar and lie about everything (lying_worker.h, lying_client.h), while one honest worker and one honest
 * client do a job. Rounds of a few hundred milliseconds; in some the coordinator is started again, on what
 * the liars left.
 *
 *     fuzz_coordinator [--seed N] [--seconds N] [--rounds N]
 *
 * The coordinator may not crash, nor wait for ever; sched_check holds when it stops; the honest job ends,
 * each sample with its right bytes; every view is JSON; nothing is written where no job may write; memory and
 * descriptors stay bounded. A round is a function of its seed but for the timing of threads; it prints its
 * seed first, and `--seed S --rounds 1` says the same again. */
#include "coordinator.h"
#include "file.h"
#include "honest.h"
#include "loop.h"
#include "lying_client.h"
#include "lying_rounds.h"
#include "lying_worker.h"

#include <pthread.h>

enum {
    WORKERS = 3,
    CLIENTS = 3,
    SAMPLES_MAX_HERE = 300,
    PATIENCE_S = 60,
    ROUND_MS = 400,
};

struct house {
    char dir[128], state[160], url[192], out[192];
    const char *urls[1];
    struct loop_config config;
    struct loop *loop;
    pthread_t thread;
    enum err ended;
    char nonce[NONCE_BYTES_MAX + 1]; /* of this life */
};

struct round {
    struct rng rng;
    struct house house;
    void *context;
    struct rumours rumours;
    struct lying_worker workers[WORKERS];
    struct lying_client clients[CLIENTS];
    struct honest_worker worker;
    struct honest_client client;
    uint64_t samples, job;
    bool lies; /* the liars are at it */
    uint64_t acts;
};

/* ---- the coordinator ---- */

static void *run(void *argument)
{
    struct house *house = argument;
    struct why why = { "" };
    house->ended = loop_run(house->loop, &why);
    if (house->ended)
        fprintf(stderr, "loop_run: %s\n", why.text);
    return NULL;
}

static void read_nonce(const struct house *house, char nonce[NONCE_BYTES_MAX + 1])
{
    char path[256], *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/nonce", house->state);
    FUZZ_CHECK(file_read(path, NONCE_BYTES_MAX, &bytes, &size, NULL) == ERR_OK);
    snprintf(nonce, NONCE_BYTES_MAX + 1, "%s", bytes);
    nonce[strcspn(nonce, "\n")] = 0;
    free(bytes);
}

static void house_start(struct house *house)
{
    struct why why = { "" };
    enum err err = loop_new(&house->config, &house->loop, &why);
    if (err)
        fprintf(stderr, "loop_new: %s\n", why.text);
    FUZZ_CHECK(err == ERR_OK);
    read_nonce(house, house->nonce);
    FUZZ_CHECK(pthread_create(&house->thread, NULL, run, house) == 0);
}

/* The coordinator is the loop's first member. */
static void house_stop(struct house *house)
{
    loop_stop(house->loop);
    pthread_join(house->thread, NULL);
    FUZZ_CHECK(house->ended == ERR_OK);
    sched_check(((struct coordinator *)(void *)house->loop)->sched);
    loop_free(&house->loop);
}

static void house_open(struct house *house)
{
    lying_folder(house->dir, sizeof house->dir);
    snprintf(house->state, sizeof house->state, "%s/state", house->dir);
    snprintf(house->url, sizeof house->url, "ipc://%s/c.sock", house->dir);
    snprintf(house->out, sizeof house->out, "%s/out/honest.npy", house->dir);
    house->urls[0] = house->url;
    house->config = (struct loop_config){ .state_dir = house->state,
                                          .urls = house->urls,
                                          .urls_count = 1,
                                          .heartbeat_ms = 100,
                                          .silence_us = (uint64_t)PATIENCE_S * 1000000 };
    house_start(house);
}

static void house_close(struct house *house) { FUZZ_CHECK(file_remove_tree(house->dir, NULL) == ERR_OK); }

/* ---- what must hold around it ---- */

static void check_confined(const struct house *house)
{
    char nonce[NONCE_BYTES_MAX + 1];
    read_nonce(house, nonce);
    FUZZ_CHECK(strcmp(nonce, house->nonce) == 0);
    lying_folder_check(house->dir);
}

/* ---- the round ---- */

static void meanwhile(void *context)
{
    struct round *round = context;
    honest_worker_pump(&round->worker);
    if (round->lies) {
        uint64_t who = rng_below(&round->rng, WORKERS + CLIENTS);
        if (who < WORKERS)
            lying_worker_act(&round->workers[who]);
        else
            lying_client_act(&round->clients[who - WORKERS]);
        if (++round->acts % 64 == 0)
            lying_flip(round->house.dir, &round->rng);
        return;
    }
    zmq_pollitem_t items[] = { { round->worker.peer.socket, 0, ZMQ_POLLIN, 0 },
                               { round->client.peer.socket, 0, ZMQ_POLLIN, 0 } };
    (void)zmq_poll(items, round->client.peer.socket ? 2 : 1, 5);
}

static void ask(struct round *round, struct message *message)
{
    FUZZ_CHECK(honest_client_ask(&round->client, message, meanwhile, round, PATIENCE_S * 1000000ull));
}

static void submit(struct round *round)
{
    struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    struct message message = { .type = MESSAGE_SUBMIT };
    uint64_t halves[2] = { rng_next(&round->rng), rng_next(&round->rng) };
    message.submit = (struct message_submit){ .uuid = (const uint8_t *)halves,
                                              .name = "honest",
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = round->samples,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_path = round->house.out,
                                              .output_kind = OUTPUT_NPY,
                                              .max_failures = 0,
                                              .priority = INT32_MAX,
                                              .require = "label.room = honest" };
    ask(round, &message);
    if (round->client.code)
        fprintf(stderr, "SUBMIT: %s\n", round->client.text);
    FUZZ_CHECK(round->client.code == 0);
    round->job = round->client.number;
    FUZZ_CHECK(round->job == 1);
    rumour_job(&round->rumours, round->job);
}

static void view(struct round *round, const char *what, const char *which)
{
    struct message message = { .type = MESSAGE_VIEW };
    message.view = (struct message_view){ .what = what, .which = which };
    ask(round, &message);
}

/* As the client gets them: what stands at the output's path may be a later job's. */
static void check_answers(struct round *round)
{
    struct message message = { .type = MESSAGE_OUTPUT_GET };
    message.output_get =
        (struct message_output_get){ .job = round->job, .file = "output.npy", .length = PIECE_BYTES_MAX };
    ask(round, &message);
    size_t rows = (size_t)round->samples * sizeof(uint64_t);
    if (round->client.code)
        fprintf(stderr, "OUTPUT_GET: %s\n", round->client.text);
    FUZZ_CHECK(round->client.code == 0 && round->client.size > rows);
    for (uint64_t i = 0; i < round->samples; i++) {
        uint64_t answer;
        memcpy(&answer, round->client.bytes + round->client.size - rows + i * sizeof answer, sizeof answer);
        FUZZ_CHECK(answer == rng_mix64(i));
    }
}

/* "done" and its like; "" when it is not told. */
static const char *state_of(struct round *round, const char *which)
{
    view(round, "job", which);
    FUZZ_CHECK(round->client.code == 0);
    const char *state = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(round->client.doc), "state"));
    return state ? state : "";
}

static bool is_over(const char *state)
{
    return !strcmp(state, "done") || !strcmp(state, "failed") || !strcmp(state, "cancelled");
}

/* The liars' jobs might run for years: an administrator ends them. */
static void cancel_others(struct round *round)
{
    char number[32];
    view(round, "jobs", "");
    FUZZ_CHECK(round->client.code == 0);
    yyjson_doc *doc = round->client.doc;
    round->client.doc = NULL;
    yyjson_val *job;
    size_t index, count;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, job)
    {
        uint64_t id = yyjson_get_uint(yyjson_obj_get(job, "id"));
        const char *state = yyjson_get_str(yyjson_obj_get(job, "state"));
        if (id == round->job || !state || is_over(state))
            continue;
        struct message message = { .type = MESSAGE_CANCEL };
        snprintf(number, sizeof number, "%llu", (unsigned long long)id);
        message.cancel.which = number;
        ask(round, &message);
    }
    yyjson_doc_free(doc);
}

static void all_views(struct round *round)
{
    static const char *const views[][2] = { { "status", "" },  { "jobs", "" },    { "workers", "" },
                                            { "models", "" },  { "events", "" },  { "worker", "all" },
                                            { "report", "1" }, { "explain", "1" } };
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
        view(round, views[i][0], views[i][1]);
}

static void begin(struct round *round, uint64_t seed)
{
    static const char *const words[] = {
        "honest",    "liar-1",      "w\tx",   "\"quoted\"", "\xC3\xA9\xE2\x82\xAC",
        "../../etc", "%s%n%d",      "answer", "all",        "last",
        "1-999",     "answer/../x", ".",      "",           NULL
    };
    rng_init(&round->rng, seed);
    round->rumours.words = words;
    round->samples = 1 + rng_below(&round->rng, SAMPLES_MAX_HERE);
    round->context = zmq_ctx_new();
    house_open(&round->house);
    const char *url = round->house.url;
    for (int i = 0; i < WORKERS; i++)
        liar_init(&round->workers[i].liar, &round->rumours, round->context, url, rng_next(&round->rng));
    for (int i = 0; i < CLIENTS; i++) {
        liar_init(&round->clients[i].liar, &round->rumours, round->context, url, rng_next(&round->rng));
        round->clients[i].dir = round->house.dir;
        round->clients[i].nonce = round->house.nonce;
        round->clients[i].spares = true;
        round->clients[i].offset = UINT64_MAX;
    }
    for (int i = 0; i < WORKERS + CLIENTS; i++) {
        struct liar *liar = i < WORKERS ? &round->workers[i].liar : &round->clients[i - WORKERS].liar;
        static const uint32_t sizes[] = { 1, 2, 8, 100 };
        liar->random.array_max = sizes[rng_below(&round->rng, 4)];
    }
    liar_init(&round->worker.peer, &round->rumours, round->context, url, 1);
    liar_init(&round->client.peer, &round->rumours, round->context, url, 2);
    memset(round->worker.uuid, 0xAA, UUID_BYTES);
    round->client.nonce = round->house.nonce;
}

static void end(struct round *round)
{
    for (int i = 0; i < WORKERS; i++)
        liar_fini(&round->workers[i].liar);
    for (int i = 0; i < CLIENTS; i++)
        liar_fini(&round->clients[i].liar);
    liar_fini(&round->worker.peer);
    honest_client_fini(&round->client);
    zmq_ctx_term(round->context);
    house_stop(&round->house);
    house_start(&round->house); /* what the liars left must be readable */
    house_stop(&round->house);
    check_confined(&round->house);
    house_close(&round->house);
}

static void lie(struct round *round)
{
    uint64_t until_us = clock_monotonic_us() + ROUND_MS * 1000ull;
    bool restart = rng_below(&round->rng, 3) == 0;
    round->lies = true;
    while (clock_monotonic_us() < until_us) {
        for (int i = 0; i < 50; i++)
            meanwhile(round);
        if (restart && clock_monotonic_us() > until_us - ROUND_MS * 500ull) {
            house_stop(&round->house);
            house_start(&round->house);
            restart = false;
        }
    }
    all_views(round);
    round->lies = false;
    for (int i = 0; i < WORKERS; i++)
        liar_disconnect(&round->workers[i].liar);
    for (int i = 0; i < CLIENTS; i++)
        liar_disconnect(&round->clients[i].liar);
}

static void wait_for_end(struct round *round)
{
    static const char *const views[][2] = {
        { "job", "1" }, { "explain", "1" }, { "workers", "" }, { "events", "" }
    };
    uint64_t until_us = clock_monotonic_us() + PATIENCE_S * 1000000ull;
    const char *state = state_of(round, "1");
    while (!is_over(state) && clock_monotonic_us() < until_us)
        state = state_of(round, "1");
    bool done = strcmp(state, "done") == 0;
    for (size_t i = 0; !done && i < sizeof views / sizeof views[0]; i++) {
        view(round, views[i][0], views[i][1]);
        fprintf(stderr, "%s: %.*s\n", views[i][0], (int)round->client.size, (char *)round->client.bytes);
    }
    FUZZ_CHECK(done);
}

static void play(uint64_t seed)
{
    struct round *round = calloc(1, sizeof *round);
    FUZZ_CHECK(round);
    begin(round, seed);
    submit(round);
    lie(round);
    cancel_others(round);
    wait_for_end(round);
    check_answers(round);
    all_views(round);
    end(round);
    fprintf(stderr, "seed %llu: %llu lies, %llu jobs, %u leases to liars, %llu MB\n",
            (unsigned long long)seed, (unsigned long long)round->acts,
            (unsigned long long)round->rumours.jobs_count, round->rumours.leases_count,
            (unsigned long long)lying_resident_mb());
    free(round);
}

int main(int argc, char **argv) { return lying_rounds(argc, argv, play); }
