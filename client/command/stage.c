// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include "clock.h"
#include "connection.h"
#include "file.h"
#include "keyring.h"
#include "signature.h"
#include "spill.h"
#include "supervise.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_US = 30000000, LOOK_US = 20000, ANSWER_US = 30000000, STOP_US = 10000000 };

#define WORD(text) ((char *)(uintptr_t)(text)) /* argv is not written to */

/* ---- keys ---- */

static enum err allow(const char *state, const struct key *key, enum role role, const char *name,
                      struct why *why)
{
    struct keyring_entry entry = { .role = role, .added_us = clock_wall_us() };
    memcpy(entry.public_half, key->public_half, KEY_BYTES);
    snprintf(entry.name, sizeof entry.name, "%s", name);
    return keyring_add(state, &entry, why);
}

/* Before it starts, so that it reads its list once. */
static enum err make_keys(struct stage *stage, struct why *why)
{
    char state[PATH_MAX_BYTES + 16];
    snprintf(state, sizeof state, "%s/state", stage->folder);
    enum err err = key_make(&stage->client, why);
    if (err == ERR_OK)
        err = key_make(&stage->worker, why);
    if (err == ERR_OK)
        err = allow(state, &stage->client, ROLE_CLIENT, "bench", why);
    /* An admin's key may be a worker's, and have any number of connections. */
    return err == ERR_OK ? allow(state, &stage->worker, ROLE_ADMIN, "mimes", why) : err;
}

static enum err learn_key(struct stage *stage, struct why *why)
{
    char path[PATH_MAX_BYTES + 64];
    snprintf(path, sizeof path, "%s/state/keys/coordinator.public", stage->folder);
    return key_given(path, stage->coordinator_half, why);
}

/* ---- starting ---- */

static enum err make_folders(const char *parent, struct stage *stage, struct why *why)
{
    char path[PATH_MAX_BYTES + 16];
    snprintf(stage->folder, sizeof stage->folder, "%.3900s/motley-bench-XXXXXX", parent);
    if (!mkdtemp(stage->folder)) { /* mode 0700 */
        enum err err = why_set_errno(why, ERR_FILE, "%.300s: cannot make a folder there", parent);
        stage->folder[0] = 0;
        return err;
    }
    snprintf(path, sizeof path, "%s/state", stage->folder);
    if (mkdir(path, 0700) != 0)
        return why_set_errno(why, ERR_FILE, "%.300s: cannot be made", path);
    snprintf(path, sizeof path, "%s/logs", stage->folder);
    if (mkdir(path, 0700) != 0)
        return why_set_errno(why, ERR_FILE, "%.300s: cannot be made", path);
    struct supervise_plan plan = { .state_dir = stage->folder };
    enum err err = supervise_place(&plan, why);
    snprintf(stage->ipc, sizeof stage->ipc, "%s", plan.url);
    snprintf(stage->short_dir, sizeof stage->short_dir, "%s", plan.short_dir);
    return err;
}

static enum err start_process(struct stage *stage, struct why *why)
{
    char program[PATH_MAX_BYTES], state[PATH_MAX_BYTES + 16], log[PATH_MAX_BYTES + 32];
    enum err err =
        signature_program("motley-coordinator", "MOTLEY_COORDINATOR_PROGRAM", program, sizeof program, why);
    snprintf(state, sizeof state, "%s/state", stage->folder);
    snprintf(log, sizeof log, "%s/logs/coordinator.log", stage->folder);
    char *argv[] = { program,          WORD("--state-dir"),       state,
                     WORD("--listen"), WORD("tcp://127.0.0.1:*"), WORD("--listen"),
                     stage->ipc,       WORD("--supervised"),      NULL };
    int fd = err == ERR_OK ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (err == ERR_OK)
        err = process_start(argv, fd, true, NULL, &stage->coordinator, why);
    if (fd >= 0)
        close(fd);
    return err;
}

static motley *try_connect(const struct stage *stage, struct motley_error *error)
{
    struct motley_connect_options options = MOTLEY_CONNECT_INIT;
    options.coordinator = stage->ipc;
    options.timeout_seconds = 0.5; /* short, so that the end of the process is noticed between two */
    motley *connection = motley_connect(&options, NULL, error);
    if (connection)
        connection->timeout_us = ANSWER_US;
    return connection;
}

enum err stage_check(const struct stage *stage, struct why *why)
{
    char words[300];
    if (tool_interrupted())
        return why_set(why, ERR_CANCELLED, "cancelled");
    if (process_lives(&stage->coordinator))
        return ERR_OK;
    supervise_last_words(stage->folder, "coordinator", words, sizeof words);
    return why_set(why, ERR_SYSTEM, "the benchmark's coordinator ended%s%s", words[0] ? ": " : "", words);
}

static enum err connect_to(struct stage *stage, struct why *why)
{
    struct motley_error error = { 0, "" };
    uint64_t deadline_us = clock_monotonic_us() + START_US;
    enum err err = ERR_OK;
    while (err == ERR_OK && !stage->connection) {
        stage->connection = try_connect(stage, &error);
        if (stage->connection)
            return ERR_OK;
        err = stage_check(stage, why);
        if (err == ERR_OK && clock_monotonic_us() > deadline_us)
            err = why_set(why, ERR_TIMEOUT, "the benchmark's coordinator did not start: %s", error.text);
        clock_sleep_until_us(clock_monotonic_us() + LOOK_US);
    }
    return err;
}

static enum err ask_url(struct stage *stage, struct why *why)
{
    struct motley_error error = { 0, "" };
    char *text = motley_view(stage->connection, "status", NULL, &error);
    yyjson_doc *doc = text ? yyjson_read(text, strlen(text), 0) : NULL;
    yyjson_val *url = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "coordinator"), "url");
    snprintf(stage->url, sizeof stage->url, "%s", yyjson_is_str(url) ? yyjson_get_str(url) : "");
    yyjson_doc_free(doc);
    free(text);
    return stage->url[0]
               ? ERR_OK
               : why_set(why, ERR_SYSTEM, "the benchmark's coordinator does not say where it listens%s%s",
                         error.text[0] ? ": " : "", error.text);
}

enum err stage_start(const char *parent, struct stage *stage, struct why *why)
{
    char absolute[PATH_MAX_BYTES];
    *stage = (struct stage){ 0 };
    enum err err = file_absolute(parent ? parent : spill_folder(), absolute, sizeof absolute, why);
    if (err == ERR_OK)
        err = make_folders(absolute, stage, why);
    if (err == ERR_OK)
        err = make_keys(stage, why);
    if (err == ERR_OK)
        err = start_process(stage, why);
    if (err == ERR_OK)
        err = connect_to(stage, why);
    if (err == ERR_OK)
        err = learn_key(stage, why);
    return err == ERR_OK ? ask_url(stage, why) : err;
}

/* ---- stopping ---- */

static bool has_ended(const struct stage *stage)
{
    pid_t got = waitpid(stage->coordinator.pid, NULL, WNOHANG);
    return got == stage->coordinator.pid || (got < 0 && errno == ECHILD);
}

static void end_process(struct stage *stage)
{
    uint64_t deadline_us = clock_monotonic_us() + STOP_US;
    kill(stage->coordinator.pid, SIGTERM);
    while (!has_ended(stage)) {
        if (clock_monotonic_us() > deadline_us)
            kill(stage->coordinator.pid, SIGKILL);
        clock_sleep_until_us(clock_monotonic_us() + LOOK_US);
    }
}

void stage_stop(struct stage *stage)
{
    motley_close(&stage->connection);
    if (stage->coordinator.pid > 0)
        end_process(stage);
    if (stage->folder[0])
        (void)!file_remove_tree(stage->folder, NULL);
    if (stage->short_dir[0])
        (void)!file_remove_tree(stage->short_dir, NULL);
    *stage = (struct stage){ 0 };
}

/* ---- looking ---- */

double stage_cpu_seconds(const struct stage *stage)
{
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(stage->coordinator.pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return 0.0;
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void stage_file_system(unsigned long type, char *text, size_t max)
{
    static const struct {
        unsigned long type;
        const char *name;
    } known[] = { { 0xEF53, "ext4" },          { 0x58465342, "xfs" },
                  { 0x9123683E, "btrfs" },     { 0x2FC12FC1, "zfs" },
                  { 0xF2F52010, "f2fs" },      { 0xCA451A4E, "bcachefs" },
                  { 0x794C7630, "overlayfs" }, { 0x01021994, "tmpfs (memory: not a disk)" } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].type == type) {
            snprintf(text, max, "%s", known[i].name);
            return;
        }
    snprintf(text, max, "file system 0x%lx", type);
}

void stage_journal(const struct stage *stage, char *text, size_t max)
{
    struct statfs status;
    char name[64] = "an unknown file system";
    if (statfs(stage->folder, &status) == 0)
        stage_file_system((unsigned long)status.f_type & 0xFFFFFFFFul, name, sizeof name);
    snprintf(text, max, "sqlite, WAL, synchronous=FULL, on %s", name);
}
