// SPDX-License-Identifier: Apache-2.0
#include "blend.h"
#include "check_model.h"
#include "clock.h"
#include "endpoint.h"
#include "file.h"
#include "fleet.h"
#include "hello.h"
#include "join.h"
#include "log.h"
#include "loop.h"
#include "options.h"
#include "probe.h"
#include "sandbox.h"
#include "slot_process.h"
#include "wire.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct settings {
    const char *line; /* of `join`: an invitation */
    const char *coordinator, *coordinator_key, *name, *fleet, *member, *state_dir, *root, *check_model,
        *log_level;
    struct option_list labels;
    uint64_t threads, connect_timeout_us, spool_bytes;
    bool dry_run, json, supervised, isolate, version, joining, no_start;
    char state_path[PATH_MAX], url[ENDPOINT_MAX], joined_name[JOINED_NAME_MAX]; /* found, not given */
};

static const struct option_usage USAGE = {
    .command = "motley-worker",
    .synopsis = "--coordinator URL [OPTION...] | join URL#SERVERKEY.TOKEN | --dry-run | --check-model FILE",
    .about = "Offers the devices of this machine to a coordinator and runs the batches that it gives them. "
             "It keeps running and "
             "computing when the coordinator is away, and connects again when it is back. To come to one on "
             "another "
             "machine, type the line there that `motley key invite --role worker` prints on the "
             "coordinator's host: "
             "`motley-worker join --help`.",
    .examples = "motley-worker --coordinator ipc:///run/motley/coordinator.ipc\n"
                "motley-worker --dry-run --json\n"
                "motley-worker --check-model digits.onnx",
};

static const struct option_usage JOIN_USAGE = {
    .command = "motley-worker join",
    .synopsis = "URL#SERVERKEY.TOKEN [OPTION...]",
    .about =
        "Makes this machine a worker of a coordinator on another one, with the line that `motley key invite "
        "--role worker` printed there: makes this machine's own key, has it put on the coordinator's list, "
        "remembers the coordinator, and starts the worker. The line works once; typed again on this machine "
        "it starts the worker, as `motley-worker` alone then does.",
    .examples = "motley-worker join tcp://10.0.0.5:7117#SERVERKEY.TOKEN --name gpu-1\n",
};

static enum err parse(struct settings *settings, int argc, char **argv, bool *helped, struct why *why)
{
    const char *words[1] = { NULL };
    const struct option_row rows[] = {
        { "coordinator", 'c', OPTION_TEXT, &settings->coordinator, "URL",
          "ipc:///path or tcp://HOST:PORT (default: $MOTLEY_COORDINATOR, else the one that was joined, or "
          "that runs in the state directory)" },
        { "coordinator-key", 0, OPTION_TEXT, &settings->coordinator_key, "KEY|FILE",
          "its public key, for tcp (default: $MOTLEY_COORDINATOR_KEY, else as joined)" },
        { "name", 'n', OPTION_TEXT, &settings->name, "NAME",
          "this worker's name (default: the fleet member's, as joined, or the host's)" },
        { "fleet", 0, OPTION_TEXT, &settings->fleet, "FILE",
          "a fleet file; with --member, be that worker of it" },
        { "member", 0, OPTION_TEXT, &settings->member, "NAME", "a worker's name in --fleet" },
        { "threads", 0, OPTION_COUNT, &settings->threads, "N",
          "CPU threads of a slot (default: all cores but one)" },
        { "labels", 0, OPTION_LIST, &settings->labels, "KEY=VALUE", "a label; may be given several times" },
        { "state-dir", 0, OPTION_TEXT, &settings->state_dir, "DIR",
          "where keys are, and models are cached (default: $MOTLEY_STATE_DIR)" },
        { "supervised", 0, OPTION_FLAG, &settings->supervised, NULL,
          "stop when the process that started this one ends" },
        { "spool-bytes", 0, OPTION_COUNT, &settings->spool_bytes, "N",
          "disk for results until the coordinator has them, which survive a restart (default 1G; 0: none)" },
        { "isolate", 0, OPTION_FLAG, &settings->isolate, NULL,
          "run models in a sandboxed process per slot: one that crashes ends an attempt, not the worker" },
        { "dry-run", 0, OPTION_FLAG, &settings->dry_run, NULL,
          "print what this machine would advertise, and stop" },
        { "root", 0, OPTION_TEXT, &settings->root, "DIR",
          "with --dry-run: the top of a recorded tree of /proc and /sys" },
        { "check-model", 0, OPTION_TEXT, &settings->check_model, "FILE",
          "print what a model takes and gives, and stop" },
        { "json", 0, OPTION_FLAG, &settings->json, NULL, "with --dry-run and --check-model: JSON" },
        { "log-level", 0, OPTION_TEXT, &settings->log_level, "LEVEL",
          "error, warn, info or debug (default: info)" },
        { "no-start", 0, OPTION_FLAG, &settings->no_start, NULL, "with join: stop when that is done" },
        { "connect-timeout", 0, OPTION_DURATION, &settings->connect_timeout_us, "TIME",
          "with join: give up after this (default 5s)" },
        { "version", 0, OPTION_FLAG, &settings->version, NULL, "print the version, and stop" },
        { 0 },
    };
    size_t words_count = 0;
    settings->joining = argc > 1 && strcmp(argv[1], "join") == 0;
    int skipped = settings->joining ? 1 : 0;
    enum err err = options_parse(settings->joining ? &JOIN_USAGE : &USAGE, rows, argc - skipped,
                                 argv + skipped, words, settings->joining ? 1 : 0, &words_count, helped, why);
    settings->line = words[0];
    return err;
}

/* ---- what to be ---- */

static enum err find_member(const struct settings *settings, struct fleet **fleet,
                            const struct fleet_worker **member, struct why *why)
{
    *fleet = NULL;
    *member = NULL;
    if ((settings->fleet == NULL) != (settings->member == NULL))
        return why_set(why, ERR_USAGE, "--fleet and --member belong together: give both or none");
    if (settings->fleet == NULL)
        return ERR_OK;
    enum err err = fleet_read(settings->fleet, fleet, why);
    if (err != ERR_OK)
        return err;
    *member = fleet_find(*fleet, settings->member);
    if (*member == NULL)
        return why_set(why, ERR_USAGE, "%s: has no worker '%s'", settings->fleet, settings->member);
    return ERR_OK;
}

static enum err describe(const struct settings *settings, const struct fleet *fleet,
                         const struct fleet_worker *member, struct machine *machine, struct hello **hello,
                         struct why *why)
{
    struct hello_options options = {
        .name = settings->name,
        .labels = settings->labels.at,
        .labels_count = (uint32_t)settings->labels.count,
        .threads = (uint32_t)settings->threads,
        .time_scale = fleet != NULL ? fleet->time_scale : 1,
    };
    if (settings->threads > 1024)
        return why_set(why, ERR_USAGE, "--threads %llu: at most 1024", (unsigned long long)settings->threads);
    enum err err = probe_machine(settings->root != NULL ? settings->root : "", machine, why);
    if (err != ERR_OK)
        return err;
    bool real = member == NULL || member->local;
    if (real && settings->root == NULL)
        probe_measure(machine);
    return hello_new(machine, member, &options, hello, why);
}

static enum err dry_run(const struct settings *settings, const struct fleet *fleet,
                        const struct fleet_worker *member, struct why *why)
{
    static struct machine machine; /* tens of kilobytes */
    struct hello *hello = NULL;
    enum err err = describe(settings, fleet, member, &machine, &hello, why);
    if (err != ERR_OK)
        return err;
    char *text = settings->json ? hello_json(hello, &machine) : NULL;
    if (!settings->json)
        hello_print(hello, &machine);
    else if (text != NULL)
        printf("%s\n", text);
    else
        err = why_set(why, ERR_MEMORY, "out of memory");
    free(text);
    hello_free(&hello);
    return err;
}

/* ---- serving ---- */

/* Signals are read from a descriptor by the loop; every thread that is started later has them blocked too. */
static enum err block_signals(int *stop_fd, struct why *why)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    *stop_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *stop_fd >= 0 ? ERR_OK : why_set_errno(why, ERR_SYSTEM, "cannot wait for signals");
}

/* The inputs of a thousand jobs, mapped, pass the usual soft limit. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The parent may have ended before we asked to be told: then its child is an orphan by now. */
static bool tie_to_parent(const struct settings *settings, pid_t parent)
{
    if (settings->supervised)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    return !settings->supervised || getppid() == parent;
}

static enum err find_state_dir(const struct settings *settings, char state_dir[PATH_MAX], struct why *why)
{
    if (settings->state_dir == NULL)
        return file_state_dir(state_dir, PATH_MAX, why);
    enum err err = file_absolute(settings->state_dir, state_dir, PATH_MAX, why);
    return err == ERR_OK ? file_make_dirs(state_dir, 0700, why) : err;
}

/* False if we were asked to stop meanwhile. */
static bool wait_to_join(const struct fleet *fleet, const struct fleet_worker *member, int stop_fd)
{
    if (member == NULL || member->local)
        return true;
    uint64_t joins_us = clock_monotonic_us() + (uint64_t)(member->joins_at_seconds * fleet->time_scale * 1e6);
    for (uint64_t now_us; (now_us = clock_monotonic_us()) < joins_us;) {
        struct pollfd fd = { .fd = stop_fd, .events = POLLIN };
        uint64_t left_ms = (joins_us - now_us + 999) / 1000;
        if (poll(&fd, 1, left_ms < 60000 ? (int)left_ms : 60000) > 0)
            return false;
    }
    return true;
}

/* Whose time it is that is being emulated, and with what model. */
static void tell_prior(const struct fleet_worker *member)
{
    if (member == NULL || member->prior == NULL)
        return;
    const struct catalog_prior *prior = member->prior;
    log_info("CATALOG-CURVE", "%s emulates %s as with %s (%s): alpha %.4g ms, beta %.4g ms, batches up to %u",
             member->name, member->device->name, prior->benchmark ? prior->benchmark : "the model's figures",
             catalog_origin_name(prior->origin), prior->alpha_ms, prior->beta_ms, member->curve.batch_max);
}

static enum err serve(const struct settings *settings, const struct fleet *fleet,
                      const struct fleet_worker *member, struct why *why)
{
    static struct machine machine;
    struct identity identity = { .keyed = false };
    struct wire_keys keys = { .own = &identity.own, .server_half = identity.server_half, .role = "worker" };
    int stop_fd;
    struct hello *hello = NULL;
    struct loop *loop = NULL;
    pid_t parent = getppid();
    bool emulated = member != NULL && !member->local;
    raise_limits();
    enum err err = block_signals(&stop_fd, why);
    if (err == ERR_OK)
        err =
            join_keys(settings->state_path, settings->coordinator, settings->coordinator_key, &identity, why);
    if (err == ERR_OK)
        err = describe(settings, fleet, member, &machine, &hello, why);
    if (err != ERR_OK || !tie_to_parent(settings, parent) || !wait_to_join(fleet, member, stop_fd)) {
        hello_free(&hello);
        return err;
    }
    tell_prior(member);
    struct loop_config config = {
        .url = settings->coordinator,
        .keys = identity.keyed ? &keys : NULL,
        .state_dir = settings->state_path,
        .hello = hello,
        .fleet = emulated ? fleet : NULL,
        .member = emulated ? member : NULL,
        .isolate = settings->isolate,
        .spool_bytes_max = settings->spool_bytes > 0 ? settings->spool_bytes : LOOP_NO_SPOOL,
    };
    sandbox_no_new_privileges();
    err = loop_new(&config, &loop, why);
    if (err == ERR_OK)
        loop_run(loop, stop_fd);
    /* From here on a second signal ends a process that a stuck runtime holds up. */
    sigset_t set;
    sigfillset(&set);
    struct signalfd_siginfo first;
    ssize_t taken = read(stop_fd, &first, sizeof first);
    (void)taken;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    loop_free(&loop);
    hello_free(&hello);
    identity_wipe(&identity);
    close(stop_fd);
    return err;
}

/* ---- main ---- */

static enum err set_log(const struct settings *settings, struct why *why)
{
    enum log_level level = LOG_INFO;
    if (settings->log_level != NULL && !log_level_parse(settings->log_level, &level))
        return why_set(why, ERR_USAGE, "--log-level %s: give error, warn, info or debug",
                       settings->log_level);
    log_init("motley-worker", level, STDERR_FILENO);
    return ERR_OK;
}

/* Given, in the environment, or joined: by this line or earlier. */
static enum err find_coordinator(struct settings *settings, struct why *why)
{
    enum err err = find_state_dir(settings, settings->state_path, why);
    if (err == ERR_OK && settings->joining) {
        struct join_wish wish = {
            .line = settings->line,
            .name = settings->name != NULL ? settings->name : settings->member,
            .state_dir = settings->state_path,
            .timeout_us = settings->connect_timeout_us > 0 ? settings->connect_timeout_us : 5000000,
        };
        settings->coordinator = settings->url;
        return join_in(&wish, settings->url, sizeof settings->url, why);
    }
    if (err == ERR_OK && settings->coordinator == NULL)
        settings->coordinator = getenv("MOTLEY_COORDINATOR");
    if (err == ERR_OK && settings->coordinator == NULL) {
        settings->coordinator = settings->url;
        err = join_remembered(settings->state_path, settings->url, sizeof settings->url, why);
    }
    return err;
}

static enum err check_join(const struct settings *settings, struct why *why)
{
    if (!settings->joining)
        return settings->no_start ? why_set(why, ERR_USAGE, "--no-start belongs to `motley-worker join`")
                                  : ERR_OK;
    if (settings->line == NULL)
        return why_set(
            why, ERR_USAGE,
            "join: which invitation? Give the URL#SERVERKEY.TOKEN that `motley key invite --role worker` "
            "prints on the coordinator's host");
    if (settings->coordinator != NULL || settings->coordinator_key != NULL || settings->dry_run)
        return why_set(why, ERR_USAGE,
                       "join: the line names the coordinator and its key; leave out --coordinator, "
                       "--coordinator-key and --dry-run");
    return ERR_OK;
}

static enum err run(struct settings *settings, struct why *why)
{
    struct fleet *fleet = NULL;
    const struct fleet_worker *member = NULL;
    enum err err = set_log(settings, why);
    if (err != ERR_OK)
        return err;
    if (settings->check_model != NULL)
        return check_model(settings->check_model, settings->json, why);
    if (settings->root != NULL && !settings->dry_run)
        return why_set(why, ERR_USAGE, "--root belongs to --dry-run");
    err = check_join(settings, why);
    if (err == ERR_OK)
        err = find_member(settings, &fleet, &member, why);
    if (err == ERR_OK && !settings->dry_run)
        err = find_coordinator(settings, why);
    if (err == ERR_OK && !settings->dry_run && settings->name == NULL && member == NULL &&
        join_name(settings->state_path, settings->coordinator, settings->joined_name))
        settings->name = settings->joined_name;
    if (err == ERR_OK && !settings->no_start)
        err = settings->dry_run ? dry_run(settings, fleet, member, why) : serve(settings, fleet, member, why);
    fleet_free(&fleet);
    return err;
}

static const struct runtime_ops *find_runtime(const char *name)
{
    return strcmp(name, blend_ops.name) == 0 ? &blend_ops : runtime_find(name);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], SLOT_PROCESS_WORD) == 0)
        return slot_process_main(argc, argv, find_runtime);
    static struct settings settings = { .spool_bytes = 1000000000 }; /* holds paths */
    struct why why = { "" };
    bool helped = false;
    enum err err = parse(&settings, argc, argv, &helped, &why);
    if (err == ERR_OK && !helped && settings.version)
        printf("motley-worker %s\n", MOTLEY_VERSION);
    else if (err == ERR_OK && !helped)
        err = run(&settings, &why);
    if (err == ERR_OK)
        return 0;
    fprintf(stderr, "motley-worker: %s\n", why.text);
    return err_exit_code(err);
}
