// SPDX-License-Identifier: Apache-2.0
/* bench_fleet URL WORKERS SECONDS PID: as many workers as wanted that do nothing but stay in touch, in one
 * process, and what that costs the coordinator whose process id is given: its CPU time over the seconds,
 * without the first two. Whenever it was away, how the workers came back is said, too. */
#include "clock.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SETTLE_US = 2000000, PAUSE_US = 20000, AWAY_MIN = 10 };

struct puppet {
    struct wire *wire;
    uint8_t uuid[UUID_BYTES];
    bool greeted, welcomed;
    uint64_t heartbeat_us, due_us, sequence, welcomed_us;
};

static void *context;
static const char *url;
static uint64_t heartbeats, pulses, others;

static void die(const char *what)
{
    fprintf(stderr, "bench_fleet: %s\n", what);
    exit(2);
}

static void join(struct puppet *puppet, uint32_t number)
{
    const char *formats[] = { "synthetic" };
    struct message_device device = { .id = "d:0", .kind = "cpu", .vendor = "", .name = "", .uuid = "" };
    struct message_slot slot = { .device = "d:0",
                                 .runtime = "none",
                                 .formats = formats,
                                 .formats_count = 1,
                                 .batch_max = 1,
                                 .window = 2,
                                 .idle_watts = -1,
                                 .busy_watts = -1,
                                 .price_per_hour = -1 };
    struct message message = { .type = MESSAGE_HELLO };
    char name[32];
    snprintf(name, sizeof name, "puppet-%u", number);
    memcpy(puppet->uuid, &number, sizeof number);
    puppet->uuid[8] = 1;
    message.hello = (struct message_hello){ .protocol_min = 1,
                                            .protocol_max = 1,
                                            .worker = puppet->uuid,
                                            .name = name,
                                            .host = "",
                                            .version = "",
                                            .devices = &device,
                                            .devices_count = 1,
                                            .slots = &slot,
                                            .slots_count = 1,
                                            .life = 1 };
    puppet->greeted = wire_send(puppet->wire, 0, &message, NULL, 0) == ERR_OK;
}

static void be_welcome(struct puppet *puppet, const struct message_welcome *welcome)
{
    struct message proof = { .type = MESSAGE_PROOF };
    proof.proof.nonce = (const uint8_t *)"";
    puppet->welcomed = wire_send(puppet->wire, 0, &proof, NULL, 0) == ERR_OK;
    puppet->welcomed_us = clock_monotonic_us();
    puppet->heartbeat_us = welcome->heartbeat_ms * 1000ull;
    puppet->due_us = puppet->welcomed_us + puppet->heartbeat_us;
}

static void beat(struct puppet *puppet, uint64_t now_us)
{
    struct message message = { .type = MESSAGE_HEARTBEAT };
    if (!puppet->welcomed || now_us < puppet->due_us)
        return;
    message.heartbeat.sequence = ++puppet->sequence;
    heartbeats += wire_send(puppet->wire, 0, &message, NULL, 0) == ERR_OK;
    puppet->due_us += puppet->heartbeat_us;
}

static void turn(struct puppet *puppet, uint32_t number, uint64_t now_us)
{
    struct wire_in in;
    wire_peer lost;
    while (wire_receive(puppet->wire, &in)) {
        if (in.message && in.message->type == MESSAGE_WELCOME)
            be_welcome(puppet, &in.message->welcome);
        else if (in.message && in.message->type == MESSAGE_PULSE)
            pulses++;
        else
            others++;
    }
    if (wire_lost(puppet->wire, &lost))
        puppet->greeted = puppet->welcomed = false;
    if (!puppet->greeted && wire_is_connected(puppet->wire))
        join(puppet, number);
    beat(puppet, now_us);
}

/* User and system time of a process so far, in seconds. */
static double cpu_seconds(const char *pid)
{
    char path[64];
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file ||
        fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
        user = kernel = 0;
    if (file)
        fclose(file);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* After the coordinator was away: when the others came, counted from the first. */
static void tell_return(const struct puppet *puppets, uint32_t count)
{
    uint64_t *at = calloc(count, sizeof *at);
    if (!at)
        die("out of memory");
    for (uint32_t i = 0; i < count; i++)
        at[i] = puppets[i].welcomed_us;
    qsort(at, count, sizeof *at, ascending);
    printf("back: half of them after %.0f ms, 9 of 10 after %.0f ms, the last after %.0f ms\n",
           (double)(at[count / 2] - at[0]) / 1e3, (double)(at[count * 9 / 10] - at[0]) / 1e3,
           (double)(at[count - 1] - at[0]) / 1e3);
    free(at);
}

static uint32_t welcome_count(const struct puppet *puppets, uint32_t count)
{
    uint32_t welcomed = 0;
    for (uint32_t i = 0; i < count; i++)
        welcomed += puppets[i].welcomed;
    return welcomed;
}

static void serve(struct puppet *puppets, uint32_t count, uint64_t until_us)
{
    bool away = false;
    for (uint64_t now_us; (now_us = clock_monotonic_us()) < until_us; usleep(PAUSE_US)) {
        for (uint32_t i = 0; i < count; i++)
            turn(&puppets[i], i, now_us);
        uint32_t welcomed = welcome_count(puppets, count);
        if (away && welcomed == count)
            tell_return(puppets, count);
        away = welcomed == count ? false : away || welcomed < count / AWAY_MIN;
    }
}

static void connect_all(struct puppet *puppets, uint32_t count)
{
    struct why why;
    for (uint32_t i = 0; i < count; i++)
        if (wire_connect(context, url, NULL, &puppets[i].wire, &why))
            die(why.text);
    while (welcome_count(puppets, count) < count)
        serve(puppets, count, clock_monotonic_us() + PAUSE_US);
}

static void tell(uint32_t count, double seconds, double cpu)
{
    printf("%u workers, %.0f s: %.0f heartbeats/s, %.0f pulses/s, %.2f %% of a core", count, seconds,
           (double)heartbeats / seconds, (double)pulses / seconds, 100 * cpu / seconds);
    printf(others > 0 ? ", %llu other messages\n" : "\n", (unsigned long long)others);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("give URL WORKERS SECONDS PID");
    uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    struct puppet *puppets = calloc(count + 1u, sizeof *puppets);
    struct rlimit files;
    url = argv[1];
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)!setrlimit(RLIMIT_NOFILE, &files);
    }
    context = zmq_ctx_new();
    if (!puppets || !context || zmq_ctx_set(context, ZMQ_MAX_SOCKETS, (int)(3 * count + 64)) != 0)
        die("out of memory");
    connect_all(puppets, count);
    serve(puppets, count, clock_monotonic_us() + SETTLE_US);
    heartbeats = pulses = others = 0;
    double before = cpu_seconds(argv[4]);
    serve(puppets, count, clock_monotonic_us() + (uint64_t)(seconds * 1e6));
    tell(count, seconds, cpu_seconds(argv[4]) - before);
    for (uint32_t i = 0; i < count; i++)
        wire_free(&puppets[i].wire);
    zmq_ctx_term(context);
    free(puppets);
    return 0;
}
