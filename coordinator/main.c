// SPDX-License-Identifier: Apache-2.0
/* motley-coordinator - takes jobs from clients, gives work to workers, keeps what must not be lost. */
#include "accept.h"
#include "endpoint.h"
#include "file.h"
#include "log.h"
#include "loop.h"
#include "options.h"
#include "recorder.h"
#include "replay_report.h"
#include "retention_words.h"
#include "roots.h"
#include "tenants.h"
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define COORDINATOR_VERSION "0.1.0"

enum { FILES_LEAST = 64 }; /* a worker, a client, and what a job writes */

struct settings {
    const char *state_dir, *log_level;
    struct option_list listen, tenants, roots_given;
    struct roots roots;
    uint64_t heartbeat_us, silence_us;
    const char *keep, *keep_jobs, *keep_bytes;
    struct retention_words keeping;
    bool check_config, dump_config, supervised, version, helped;
    const char *record;
    uint64_t record_max;
    struct replay_options replay;
    const char *explain;
    uint64_t replay_at_us;
    char state_path[4096], default_url[4096 + 32];
};

static struct loop *running; /* for the signal handler */

static void on_signal(int number)
{
    (void)number;
    if (running)
        loop_stop(running);
}

static void on_hangup(int number)
{
    (void)number;
    if (running)
        loop_reload(running);
}

/* The event that the program dies of is the one to replay. The signal comes again, and ends it. */
static void on_our_bug(int number)
{
    recorder_rescue();
    raise(number);
}

static void catch_signals(void)
{
    static const int bugs[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    struct sigaction action = { .sa_handler = on_signal };
    struct sigaction reload = { .sa_handler = on_hangup, .sa_flags = SA_RESTART };
    struct sigaction rescue = { .sa_handler = on_our_bug, .sa_flags = (int)SA_RESETHAND };
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++)
        sigaction(bugs[i], &rescue, NULL);
    sigaction(SIGHUP, &reload, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/* Broken pipes and limits on file sizes are then errors of the write; the store waits the latter out like a
 * full disk. */
static void ignore_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* A worker is a descriptor, and a thousand of them pass the usual soft limit. */
static enum err raise_limits(struct why *why)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return ERR_OK;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        log_debug("LIMITS", "the limit of open files stays as it is");
    accept_guard();
    if (limit.rlim_max >= FILES_LEAST)
        return ERR_OK;
    return why_set(why, ERR_SYSTEM,
                   "only %llu files may be open at a time, and %d are needed: raise the limit (`ulimit -n`, "
                   "LimitNOFILE= of the service)",
                   (unsigned long long)limit.rlim_max, FILES_LEAST);
}

static enum err read_options(int argc, char **argv, struct settings *settings, struct why *why)
{
    const struct option_usage usage = {
        .command = "motley-coordinator",
        .synopsis = "[--state-dir DIR] [--listen URL]... [OPTION...]",
        .about = "Takes jobs from clients, gives work to workers and keeps what must not be lost. `motley "
                 "up` starts one for you; start it yourself to run it as a service. SIGTERM ends it: jobs go "
                 "on when it is started again. SIGHUP: the list of keys that may connect is read anew.",
        .examples = "  motley-coordinator --state-dir /var/lib/motley --listen tcp://127.0.0.1:7117\n"
                    "  motley-coordinator --check-config --listen tcp://127.0.0.1:7117\n",
    };
    const struct option_row rows[] = {
        { "state-dir", 's', OPTION_TEXT, &settings->state_dir, "DIR",
          "where jobs and results are kept (default: $MOTLEY_STATE_DIR)" },
        { "listen", 'l', OPTION_LIST, &settings->listen, "URL",
          "ipc:///path, or tcp://ADDRESS:PORT for peers with keys (* = every address); may be repeated" },
        { "root", 0, OPTION_LIST, &settings->roots_given, "DIR",
          "clients may name inputs and outputs of this host only in this folder; may be repeated "
          "(default: anywhere, for those who can read the state directory)" },
        { "tenant", 0, OPTION_LIST, &settings->tenants, "NAME=WEIGHT[:SLOTS]",
          "a tenant's share of the devices, and how many slots it may hold at "
          "a time; may be repeated (default: weight 1, any number)" },
        { "heartbeat", 0, OPTION_DURATION, &settings->heartbeat_us, "TIME",
          "how often workers must say that they live (default 500ms)" },
        { "silence", 0, OPTION_DURATION, &settings->silence_us, "TIME",
          "after which a silent worker is lost (default 2.5s)" },
        { "keep", 0, OPTION_TEXT, &settings->keep, "TIME",
          "how long jobs that are over are kept, with their answers (default 30d; forever)" },
        { "keep-jobs", 0, OPTION_TEXT, &settings->keep_jobs, "N",
          "how many of them at most, the oldest go first (default 100k; all)" },
        { "keep-bytes", 0, OPTION_TEXT, &settings->keep_bytes, "BYTES",
          "the state directory's size at most, as far as jobs that are over make it, such as 100GB "
          "(default: any)" },
        { "log-level", 0, OPTION_TEXT, &settings->log_level, "LEVEL",
          "error, warn, info or debug (default info)" },
        { "supervised", 0, OPTION_FLAG, &settings->supervised, NULL,
          "end when the process that started this one ends" },
        { "record", 0, OPTION_TEXT, &settings->record, "WHERE",
          "events for --replay: always-on (default: in the state directory), "
          "off, or a file" },
        { "record-max", 0, OPTION_COUNT, &settings->record_max, "BYTES",
          "where the recording stops (default 268M)" },
        { "replay", 0, OPTION_TEXT, &settings->replay.path, "FILE",
          "say what a recording holds, and whether all is done as then; end" },
        { "explain", 0, OPTION_TEXT, &settings->explain, "JOB",
          "with --replay: the story of this job; a number, or last" },
        { "at", 0, OPTION_DURATION, &settings->replay_at_us, "TIME",
          "with --explain: how things stood then, from the first event" },
        { "all", 0, OPTION_FLAG, &settings->replay.all, NULL, "with --replay: every line, however many" },
        { "json", 0, OPTION_FLAG, &settings->replay.json, NULL, "with --replay: one JSON object" },
        { "check-config", 0, OPTION_FLAG, &settings->check_config, NULL,
          "say whether it could start like this, and end" },
        { "dump-config", 0, OPTION_FLAG, &settings->dump_config, NULL,
          "print the settings in effect, and end" },
        { "version", 0, OPTION_FLAG, &settings->version, NULL, "print the version, and end" },
        { 0 }
    };
    size_t words_count;
    return options_parse(&usage, rows, argc, argv, NULL, 0, &words_count, &settings->helped, why);
}

static enum err find_state_dir(struct settings *settings, struct why *why)
{
    char absolute[sizeof settings->state_path];
    /* One rule for folders that were named and folders that were found: file_state_dir's. */
    if (settings->state_dir) {
        enum err err = file_absolute(settings->state_dir, absolute, sizeof absolute, why);
        if (err)
            return err;
        if (setenv("MOTLEY_STATE_DIR", absolute, 1))
            return why_set(why, ERR_MEMORY, "out of memory");
    }
    return file_state_dir(settings->state_path, sizeof settings->state_path, why);
}

static enum err check_urls(struct settings *settings, struct why *why)
{
    struct endpoint endpoint;
    if (!settings->listen.count) {
        snprintf(settings->default_url, sizeof settings->default_url, "ipc://%s/coordinator.sock",
                 settings->state_path);
        settings->listen.at[settings->listen.count++] = settings->default_url;
    }
    if (settings->listen.count > WIRE_URLS_MAX)
        return why_set(why, ERR_USAGE, "--listen was given %zu times; at most %d", settings->listen.count,
                       WIRE_URLS_MAX);
    for (size_t i = 0; i < settings->listen.count; i++) {
        enum err err = endpoint_parse(settings->listen.at[i], true, &endpoint, why);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err check_tenants(const struct settings *settings, struct why *why)
{
    struct tenants *tenants = tenants_new();
    enum err err = tenants ? ERR_OK : why_set(why, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < settings->tenants.count && !err; i++)
        err = tenants_configure(tenants, settings->tenants.at[i], why);
    tenants_free(&tenants);
    return err;
}

static enum err check_roots(struct settings *settings, struct why *why)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < settings->roots_given.count && !err; i++)
        err = roots_add(&settings->roots, settings->roots_given.at[i], why);
    return err;
}

static enum err check_settings(struct settings *settings, enum log_level *level, struct why *why)
{
    if (settings->log_level && !log_level_parse(settings->log_level, level))
        return why_set(why, ERR_USAGE, "--log-level %s: use error, warn, info or debug", settings->log_level);
    if (settings->heartbeat_us < 1000 || settings->heartbeat_us > 60000000)
        return why_set(why, ERR_USAGE, "--heartbeat: between 1ms and 60s");
    if (settings->silence_us < 2 * settings->heartbeat_us)
        return why_set(why, ERR_USAGE, "--silence: at least twice the heartbeat of %.3f s",
                       (double)settings->heartbeat_us / 1e6);
    enum err err = retention_words_read(settings->keep, settings->keep_jobs, settings->keep_bytes,
                                        &settings->keeping, why);
    if (!err)
        err = check_tenants(settings, why);
    if (!err)
        err = check_roots(settings, why);
    if (!err)
        err = find_state_dir(settings, why);
    return err ? err : check_urls(settings, why);
}

static void dump(const struct settings *settings, enum log_level level)
{
    static const char *const levels[] = { "error", "warn", "info", "debug" };
    printf("state_dir: %s\nlisten:\n", settings->state_path);
    for (size_t i = 0; i < settings->listen.count; i++)
        printf("  - %s\n", settings->listen.at[i]);
    printf("roots:\n");
    for (uint32_t i = 0; i < settings->roots.count; i++)
        printf("  - %s\n", settings->roots.at[i]);
    printf("tenants:\n");
    for (size_t i = 0; i < settings->tenants.count; i++)
        printf("  - %s\n", settings->tenants.at[i]);
    printf("heartbeat_seconds: %.3f\nsilence_seconds: %.3f\nkeep: %s\nkeep_jobs: %s\nkeep_bytes: %s\n"
           "log_level: %s\nsupervised: %s\nrecord: %s\nrecord_max: %" PRIu64 "\n",
           (double)settings->heartbeat_us / 1e6, (double)settings->silence_us / 1e6,
           settings->keep ? settings->keep : "30d", settings->keep_jobs ? settings->keep_jobs : "100k",
           settings->keep_bytes ? settings->keep_bytes : "any", levels[level],
           settings->supervised ? "true" : "false", settings->record,
           settings->record_max ? settings->record_max : (uint64_t)RECORDER_BYTES_DEFAULT);
}

/* The parent may have ended before the kernel was asked to tell. */
static void follow_parent(void)
{
    pid_t parent = getppid();
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
        raise(SIGTERM);
}

static enum err serve(const struct settings *settings, struct why *why)
{
    const struct loop_config config = { .state_dir = settings->state_path,
                                        .urls = settings->listen.at,
                                        .urls_count = (uint32_t)settings->listen.count,
                                        .heartbeat_ms = (uint32_t)(settings->heartbeat_us / 1000),
                                        .silence_us = settings->silence_us,
                                        .tenants = settings->tenants.at,
                                        .tenants_count = (uint32_t)settings->tenants.count,
                                        .record = strcmp(settings->record, "off") ? settings->record : NULL,
                                        .record_max_bytes = settings->record_max,
                                        .roots = &settings->roots,
                                        .keep_us = settings->keeping.age_us,
                                        .keep_jobs = settings->keeping.jobs,
                                        .keep_bytes = settings->keeping.bytes };
    struct loop *loop;
    enum err err = raise_limits(why);
    if (err)
        return err;
    ignore_signals();
    if (settings->supervised)
        follow_parent();
    err = loop_new(&config, &loop, why);
    if (err)
        return err;
    running = loop;
    catch_signals();
    err = loop_run(loop, why);
    running = NULL;
    loop_free(&loop);
    if (!err)
        log_info("STOPPED", "all that was accepted is kept in %s", settings->state_path);
    return err;
}

static enum err take_explain(struct settings *settings, struct why *why)
{
    char *end;
    const char *text = settings->explain;
    settings->replay.explain_last = text && strcmp(text, "last") == 0;
    if (!text || settings->replay.explain_last)
        return ERR_OK;
    errno = 0;
    settings->replay.explain = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && !*end && !errno && settings->replay.explain)
        return ERR_OK;
    return why_set(why, ERR_USAGE, "--explain %.60s: give a job's number, or last", text);
}

static enum err replay(struct settings *settings, struct why *why)
{
    enum err err = take_explain(settings, why);
    if (err)
        return err;
    bool at = settings->replay_at_us != UINT64_MAX;
    settings->replay.at_seconds = at ? (double)settings->replay_at_us / 1e6 : -1;
    if (at && !settings->explain)
        return why_set(why, ERR_USAGE, "--at: of which job? give --explain JOB, too");
    return replay_report(&settings->replay, stdout, why);
}

/* What is for --replay would otherwise start a coordinator. */
static enum err check_replay_given(const struct settings *settings, struct why *why)
{
    const char *name = settings->explain                      ? "explain"
                       : settings->replay_at_us != UINT64_MAX ? "at"
                       : settings->replay.all                 ? "all"
                       : settings->replay.json                ? "json"
                                                              : NULL;
    return name ? why_set(why, ERR_USAGE, "--%s needs --replay FILE", name) : ERR_OK;
}

static enum err act(int argc, char **argv, struct why *why)
{
    struct settings settings = {
        .heartbeat_us = 500000, .silence_us = 2500000, .record = "always-on", .replay_at_us = UINT64_MAX
    };
    enum log_level level = LOG_INFO;
    enum err err = read_options(argc, argv, &settings, why);
    if (err || settings.helped)
        return err;
    if (settings.version) {
        printf("motley-coordinator %s\n", COORDINATOR_VERSION);
        return ERR_OK;
    }
    if (settings.replay.path)
        return replay(&settings, why);
    err = check_replay_given(&settings, why);
    if (!err)
        err = check_settings(&settings, &level, why);
    if (err)
        return err;
    log_init("motley-coordinator", level, 2);
    if (settings.dump_config)
        dump(&settings, level);
    else if (settings.check_config)
        printf("ok\n");
    else
        return serve(&settings, why);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    struct why why;
    enum err err = act(argc, argv, &why);
    if (err)
        fprintf(stderr, "motley-coordinator: %s\n", why.text);
    return err_exit_code(err);
}
