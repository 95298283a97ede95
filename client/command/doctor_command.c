// SPDX-License-Identifier: Apache-2.0
/* motley doctor: each step from this machine to the coordinator, tested alone, and what this machine has to
 * offer.
 *
 *     state directory, disk, lock, keys, allow list          this machine
 *     coordinator -> name -> connection -> zmtp -> handshake -> admission -> greeting -> role, workers
 *     runtimes                                               this machine
 *
 * Each network step bounds its time, and the first that fails makes the later ones "skipped". */
#include "address.h"
#include "bounds.h"
#include "child.h"
#include "clock.h"
#include "command.h"
#include "connection.h"
#include "file.h"
#include "holder.h"
#include "hop.h"
#include "joined.h"
#include "keyring.h"
#include "signature.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP_US_DEFAULT = 5000000, RUNTIMES_US = 30000000, ROOM_BYTES_MIN = 256 << 20, SECONDS_US = 1000000 };

struct doctor {
    const char *word; /* what the user gave */
    struct tool_link link;
    char state_dir[PATH_MAX_BYTES]; /* "" = cannot be used */
    char url[ADDRESS_MAX];          /* "" = unknown */
    const char *origin;             /* of url */
    struct invite place;            /* what the word says */
    struct joined joined;
    bool has_joined, has_own, tcp, server_known;
    struct key own; /* a fresh one if there is none */
    uint8_t server_half[KEY_BYTES];
    struct hop_place where;
    int fd;
    enum hop_entry entry;
    motley *connection;
    bool broken; /* a step towards the coordinator failed: what comes after it is skipped */
    bool worker; /* our key is a worker's, as far as is known */
};

static uint64_t deadline(const struct doctor *doctor)
{
    return clock_monotonic_us() + doctor->link.connect_timeout_us;
}

/* ---- this machine ---- */

static void test_state(struct doctor *doctor, struct hop *hop)
{
    struct why why;
    struct stat status;
    if (file_state_dir(doctor->state_dir, sizeof doctor->state_dir, &why) != ERR_OK) {
        hop_fail(hop, "%.390s", why.text);
        hop_todo(hop, "chmod 700 it, or set MOTLEY_STATE_DIR to a folder of your own on a local disk");
        doctor->state_dir[0] = 0;
        return;
    }
    unsigned mode = stat(doctor->state_dir, &status) == 0 ? (unsigned)status.st_mode & 07777u : 0;
    hop_ok(hop, "%.200s, mode %04o, ours, on a local disk", doctor->state_dir, mode);
    if (joined_read(doctor->state_dir, &doctor->joined, NULL) == ERR_OK)
        doctor->has_joined = true;
}

static void test_disk(struct doctor *doctor, struct hop *hop)
{
    uint64_t bytes;
    struct why why;
    if (!doctor->state_dir[0]) {
        hop_skip(hop, "there is no state directory");
    } else if (file_free_bytes(doctor->state_dir, &bytes, &why) != ERR_OK) {
        hop_fail(hop, "%.390s", why.text);
    } else if (bytes < ROOM_BYTES_MIN) {
        hop_fail(hop, "%.1f MB are free there", (double)bytes / 1e6);
        hop_todo(hop, "make room on that disk, or set MOTLEY_STATE_DIR to a folder on a larger one");
    } else {
        hop_ok(hop, "%.1f GB free", (double)bytes / 1e9);
    }
}

static void test_lock(struct doctor *doctor, struct hop *hop)
{
    char path[PATH_MAX_BYTES + 8];
    snprintf(path, sizeof path, "%s/lock", doctor->state_dir);
    long pid = doctor->state_dir[0] ? holder_pid(doctor->state_dir) : 0;
    if (pid)
        hop_ok(hop, "a coordinator runs here: pid %ld", pid);
    else if (doctor->state_dir[0] && access(path, F_OK) == 0)
        hop_ok(hop, "free: no coordinator runs here now");
    else
        hop_skip(hop, "no coordinator ran here yet");
}

static void tell_bad_key(struct hop *hop, enum err err, const char *path, const struct why *why)
{
    hop_fail(hop, "%.390s", why->text);
    if (err == ERR_REFUSED)
        hop_todo(hop, "if nobody else can have read it: chmod 600 %.200s", path);
    else
        hop_todo(hop,
                 "restore %.200s from a backup, or remove it: a new key is made, and must be let in anew",
                 path);
}

static void test_own_key(struct doctor *doctor, struct hop *hop)
{
    char path[PATH_MAX_BYTES], text[KEY_TEXT_MAX];
    struct why why = { "" };
    enum err err = doctor->state_dir[0] ? key_path(doctor->state_dir, "own.secret", path, sizeof path, &why)
                                        : ERR_NOT_FOUND;
    if (err == ERR_OK)
        err = key_load(path, &doctor->own, &why);
    doctor->has_own = err == ERR_OK;
    if (err == ERR_OK) {
        key_text(doctor->own.public_half, text);
        hop_ok(hop, "%s", text);
        return;
    }
    if (err == ERR_NOT_FOUND) {
        hop_skip(hop, "none yet: joining or connecting by tcp makes it, and `motley key new`");
    } else {
        tell_bad_key(hop, err, path, &why);
    }
    if (key_make(&doctor->own, &why) != ERR_OK)
        hop_fail(hop, "%.390s", why.text);
}

/* What went wrong; what to do. */
static void tell_damage(const char *damage, struct hop *hop)
{
    const char *todo = strstr(damage, "; ");
    size_t length = todo ? (size_t)(todo - damage) : strlen(damage);
    hop_fail(hop, "%.*s", (int)(length < 390 ? length : 390), damage);
    hop_todo(hop, "%.200s", todo ? todo + 2 : "repair it, or remove it and `motley key allow` its key again");
}

static void judge_list(const struct doctor *doctor, struct hop *hop)
{
    struct keyring *keyring = NULL;
    struct why why;
    if (keyring_read(doctor->state_dir, &keyring, &why) != ERR_OK) {
        hop_fail(hop, "%.390s", why.text);
        hop_todo(hop, "repair %.200s/keys/allowed", doctor->state_dir);
    } else if (keyring_damage(keyring)[0]) {
        tell_damage(keyring_damage(keyring), hop);
    } else {
        size_t open = keyring_invitations(keyring);
        hop_ok(hop,
               "%zu keys may connect to the coordinator of this state directory; %zu invitations are open",
               keyring_count(keyring) - open, open);
    }
    keyring_free(&keyring);
}

static void test_list(struct doctor *doctor, struct hop *hop)
{
    char path[PATH_MAX_BYTES];
    struct key key;
    struct why why = { "" };
    enum err err = doctor->state_dir[0]
                       ? key_path(doctor->state_dir, "coordinator.secret", path, sizeof path, &why)
                       : ERR_NOT_FOUND;
    if (err == ERR_OK)
        err = key_load(path, &key, &why);
    key_wipe(&key);
    if (err == ERR_NOT_FOUND) {
        hop_skip(hop, "no coordinator has its state here");
    } else if (err != ERR_OK && err != ERR_REFUSED) {
        hop_fail(hop, "%.390s", why.text);
        hop_todo(hop, "restore %.200s from a backup; or remove it, and let everyone join anew", path);
    } else if (err != ERR_OK) {
        tell_bad_key(hop, err, path, &why);
    } else {
        judge_list(doctor, hop);
    }
}

/* ---- the way ---- */

static const char *origin_of(const struct doctor *doctor)
{
    const char *variable = getenv("MOTLEY_COORDINATOR");
    if (doctor->word || doctor->link.coordinator)
        return "as given";
    if (variable && *variable)
        return "$MOTLEY_COORDINATOR";
    char here[ENDPOINT_MAX], path[PATH_MAX_BYTES + 16];
    if (doctor->has_joined && strcmp(doctor->joined.url, doctor->url) == 0)
        return "as joined";
    snprintf(path, sizeof path, "%s/fleet.json", doctor->state_dir);
    bool runs = access(path, F_OK) != 0 && holder_here(doctor->state_dir, here);
    return runs ? "the one that runs in the state directory" : "the fleet of `motley up`";
}

static void test_coordinator(struct doctor *doctor, struct hop *hop)
{
    struct why why;
    const char *given = doctor->word ? doctor->place.url : doctor->link.coordinator;
    enum err err = address_resolve(given, doctor->url, &why);
    if (err != ERR_OK) {
        hop_fail(hop, "%.390s", err == ERR_UNREACHABLE ? "none is named, up, joined or runs here" : why.text);
        hop_todo(hop,
                 "start one with `motley up --detach`, join one with the line of `motley key invite`, or "
                 "name it: motley doctor URL");
        doctor->url[0] = 0;
        return;
    }
    doctor->tcp = strncmp(doctor->url, "tcp://", 6) == 0;
    hop_ok(hop, "%s, %s", doctor->url, origin_of(doctor));
}

static void test_server_key(struct doctor *doctor, struct hop *hop)
{
    char text[KEY_TEXT_MAX], joined[KEY_TEXT_MAX];
    struct why why;
    const char *given = doctor->link.coordinator_key;
    if (!doctor->tcp) {
        hop_skip(hop, "a socket of this machine needs no key");
        return;
    }
    if (doctor->place.has_server) {
        key_text(doctor->place.server_half, text);
        given = text;
    } else if (!given) {
        given = joined_key(doctor->state_dir, doctor->url, joined);
    }
    if (identity_server(doctor->state_dir, doctor->url, given, doctor->server_half, &why) != ERR_OK) {
        hop_fail(hop, "%.390s", why.text);
        hop_todo(hop,
                 "name it: motley doctor URL#KEY, with the KEY that `motley key show` prints on its host");
        return;
    }
    doctor->server_known = true;
    key_text(doctor->server_half, text);
    hop_ok(hop, "%s", text);
}

static void test_name(struct doctor *doctor, struct hop *hop)
{
    hop_bound_lookups();
    hop_resolve(doctor->url, &doctor->where, hop);
}

static void test_connection(struct doctor *doctor, struct hop *hop)
{
    hop_connect(&doctor->where, deadline(doctor), &doctor->fd, hop);
}

static void test_zmtp(struct doctor *doctor, struct hop *hop)
{
    hop_greet(doctor->fd, doctor->tcp, deadline(doctor), hop);
    close(doctor->fd);
    doctor->fd = -1;
}

static void test_handshake(struct doctor *doctor, struct hop *hop)
{
    if (!doctor->tcp) {
        hop_skip(hop, "a socket of this machine needs no key");
        return;
    }
    doctor->entry = hop_enter(doctor->url, &doctor->own, doctor->server_half, deadline(doctor));
    switch (doctor->entry) {
    case HOP_LET_IN:
    case HOP_KEY_REFUSED: hop_ok(hop, "the coordinator has the key that is expected"); return;
    case HOP_WRONG_SERVER:
        hop_fail(hop, "what listens there does not have the key that is expected");
        hop_todo(hop,
                 "it is another coordinator, or its key was made anew: `motley key show` on its host prints "
                 "the right one; then join again");
        return;
    case HOP_NO_CURVE:
        hop_fail(hop, "what listens there takes no keys (CURVE)");
        hop_todo(hop, "is it a Motley coordinator of this version? Check host and port");
        return;
    case HOP_NO_ANSWER:
        hop_fail(hop, "no answer to the handshake in time");
        hop_todo(hop,
                 "the coordinator is overloaded or stopped, or a firewall cuts the connection: see its log");
        return;
    }
}

static void test_admission(struct doctor *doctor, struct hop *hop)
{
    char text[KEY_TEXT_MAX];
    if (!doctor->tcp) {
        hop_skip(hop, "whoever can open this machine's socket is its owner");
        return;
    }
    if (doctor->entry == HOP_LET_IN) {
        hop_ok(hop, "our key is on the coordinator's list");
        return;
    }
    key_text(doctor->own.public_half, text);
    if (doctor->has_own)
        hop_fail(hop, "our key is not, or no longer, on the coordinator's list");
    else
        hop_fail(hop, "this machine has no key of its own yet, so it is on no list");
    hop_todo(hop, "on the coordinator's host: `motley key invite --role ROLE`, and paste its line here%s%s%s",
             doctor->has_own ? "; or `motley key allow " : "", doctor->has_own ? text : "",
             doctor->has_own ? " --role ROLE`" : "");
}

/* ---- the conversation ---- */

/* A worker's key may not greet as a client; that it was let in has been seen. */
static bool is_worker(const struct doctor *doctor)
{
    return doctor->has_joined && doctor->joined.role == ROLE_WORKER && doctor->tcp &&
           strcmp(doctor->joined.url, doctor->url) == 0;
}

static void test_greeting(struct doctor *doctor, struct hop *hop)
{
    char text[KEY_TEXT_MAX];
    struct motley_connect_options options = MOTLEY_CONNECT_INIT;
    struct motley_error error;
    doctor->worker = is_worker(doctor);
    if (doctor->worker) {
        hop_skip(hop, "this machine joined as a worker: `motley-worker` greets");
        return;
    }
    options.coordinator = doctor->url;
    options.timeout_seconds = (double)doctor->link.connect_timeout_us / SECONDS_US;
    key_text(doctor->server_half, text);
    if (doctor->server_known)
        options.coordinator_key = text;
    doctor->connection = motley_connect(&options, NULL, &error);
    if (doctor->connection) {
        hop_ok(hop, "it answers: protocol %d, term %llu, pid %llu", PROTOCOL_MAX,
               (unsigned long long)doctor->connection->term, (unsigned long long)doctor->connection->pid);
    } else {
        hop_fail(hop, "%.390s", error.text);
        hop_todo(hop, "see the coordinator's log; are both of one version?");
    }
}

static void test_role(struct doctor *doctor, struct hop *hop)
{
    if (doctor->worker)
        hop_ok(hop, "worker: `motley-worker` starts it; jobs are seen and submitted with another key");
    else if (!doctor->connection->role[0])
        hop_skip(hop, "the coordinator does not say; it is of an earlier version");
    else
        hop_ok(hop, "%s", doctor->connection->role);
}

static void test_workers(struct doctor *doctor, struct hop *hop)
{
    int code = 0;
    size_t index, count, here = 0;
    yyjson_val *worker;
    if (doctor->worker) {
        hop_skip(hop, "a worker's key does not see them");
        return;
    }
    yyjson_doc *doc = tool_view(doctor->connection, "workers", NULL, &code);
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, worker)
    {
        const char *state = yyjson_get_str(yyjson_obj_get(worker, "state"));
        here += state && strcmp(state, "up") == 0; /* also one that drains */
    }
    yyjson_doc_free(doc);
    if (here > 0) {
        hop_ok(hop, "%zu here", here);
        return;
    }
    hop_fail(hop, code ? "the coordinator did not say" : "there are none, so no job runs");
    hop_todo(hop,
             "start one: `motley-worker --coordinator URL` on its host, or elsewhere the line of `motley key "
             "invite --role worker`");
}

/* ---- runtimes ---- */

static size_t name_runtimes(yyjson_val *root, char *text, size_t max)
{
    size_t index, count, used = 0;
    yyjson_val *slot;
    *text = 0;
    yyjson_arr_foreach(yyjson_obj_get(root, "slots"), index, count, slot)
    {
        const char *runtime = yyjson_get_str(yyjson_obj_get(slot, "runtime"));
        const char *device = yyjson_get_str(yyjson_obj_get(slot, "device"));
        int length = snprintf(text + used, max - used, "%s%s on %s", index > 0 ? ", " : "",
                              runtime ? runtime : "?", device ? device : "?");
        used += length > 0 && (size_t)length < max - used ? (size_t)length : 0;
    }
    return yyjson_arr_size(yyjson_obj_get(root, "slots"));
}

static void test_runtimes(struct doctor *doctor, struct hop *hop)
{
    char program[PATH_MAX_BYTES], text[HOP_TEXT_MAX - 16];
    char dry[] = "--dry-run", json[] = "--json";
    char *const argv[] = { program, dry, json, NULL };
    struct child_output output = { NULL, NULL, 0 };
    struct why why;
    (void)doctor;
    enum err err = signature_program("motley-worker", "MOTLEY_WORKER", program, sizeof program, &why);
    if (err == ERR_OK)
        err = child_run_for(argv, RUNTIMES_US, &output, &why);
    yyjson_doc *doc = err == ERR_OK && output.status == 0 && output.text
                          ? yyjson_read(output.text, strlen(output.text), 0)
                          : NULL;
    if (err != ERR_OK || !doc) {
        hop_fail(hop, "%.390s", err != ERR_OK ? why.text : "motley-worker --dry-run failed");
        hop_todo(hop, "run `motley-worker --dry-run` and see what it says");
    } else if (name_runtimes(yyjson_doc_get_root(doc), text, sizeof text) == 0) {
        hop_fail(hop, "no device of this machine can run a model");
        hop_todo(hop, "`motley-worker --dry-run` says what was found");
    } else {
        hop_ok(hop, "%s", text);
    }
    yyjson_doc_free(doc);
    child_output_free(&output);
}

/* ---- all of them ---- */

struct step {
    const char *name;
    void (*test)(struct doctor *doctor, struct hop *hop);
    bool on_the_way; /* to the coordinator */
};

static const struct step steps[] = {
    { "state directory", test_state, false },
    { "disk", test_disk, false },
    { "lock", test_lock, false },
    { "own key", test_own_key, false },
    { "allow list", test_list, false },
    { "coordinator", test_coordinator, true },
    { "its key", test_server_key, true },
    { "address", test_name, true },
    { "connection", test_connection, true },
    { "zmtp", test_zmtp, true },
    { "handshake", test_handshake, true },
    { "admission", test_admission, true },
    { "greeting", test_greeting, true },
    { "role", test_role, true },
    { "workers", test_workers, true },
    { "runtimes", test_runtimes, false },
};

enum { STEPS_COUNT = sizeof steps / sizeof steps[0] };

static const char *const state_names[] = {
    [HOP_OK] = "ok",
    [HOP_FAILED] = "failed",
    [HOP_SKIPPED] = "skipped",
};

static void print_hop(const char *name, const struct hop *hop)
{
    printf("%-8s %-16s %s\n", state_names[hop->state], name, hop->text);
    if (hop->todo[0])
        printf("%-8s %-16s -> %s\n", "", "", hop->todo);
    fflush(stdout);
}

static void add_hop(yyjson_mut_doc *doc, yyjson_mut_val *list, const char *name, const struct hop *hop)
{
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_str(doc, item, "step", name);
    yyjson_mut_obj_add_str(doc, item, "state", state_names[hop->state]);
    yyjson_mut_obj_add_strcpy(doc, item, "found", hop->text);
    if (hop->todo[0])
        yyjson_mut_obj_add_strcpy(doc, item, "todo", hop->todo);
    else
        yyjson_mut_obj_add_null(doc, item, "todo");
}

static void run_step(struct doctor *doctor, const struct step *step, struct hop *hop)
{
    memset(hop, 0, sizeof *hop);
    if (step->on_the_way && doctor->broken)
        hop_skip(hop, "a step before it failed");
    else
        step->test(doctor, hop);
    doctor->broken = doctor->broken || (step->on_the_way && hop->state == HOP_FAILED);
}

static void print_json(const struct doctor *doctor, const struct hop hops[STEPS_COUNT], bool well)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_bool(doc, root, "ok", well);
    if (doctor->url[0])
        yyjson_mut_obj_add_str(doc, root, "coordinator", doctor->url);
    else
        yyjson_mut_obj_add_null(doc, root, "coordinator");
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "steps");
    for (size_t i = 0; i < STEPS_COUNT; i++)
        add_hop(doc, list, steps[i].name, &hops[i]);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

static int examine(struct doctor *doctor)
{
    static struct hop hops[STEPS_COUNT];
    bool well = true;
    for (size_t i = 0; i < STEPS_COUNT; i++) {
        run_step(doctor, &steps[i], &hops[i]);
        well = well && hops[i].state != HOP_FAILED;
        if (!doctor->link.json)
            print_hop(steps[i].name, &hops[i]);
    }
    if (doctor->link.json)
        print_json(doctor, hops, well);
    if (doctor->fd >= 0)
        close(doctor->fd);
    motley_close(&doctor->connection);
    key_wipe(&doctor->own);
    invite_wipe(&doctor->place);
    return well ? 0 : MOTLEY_FAILED;
}

int command_doctor(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley doctor", "[URL[#KEY]] [--json]",
        "Test each step from this machine to the coordinator, and this machine itself, and say of each "
        "whether "
        "it works and what to do if not. Without URL: the coordinator that other commands would use. KEY is "
        "the "
        "coordinator's public key. Exits 0 if all is well, else 1.",
        "  motley doctor\n"
        "  motley doctor tcp://10.0.0.5:7117#$(cat coordinator.public)\n"
    };
    struct doctor doctor = { .fd = -1, .link = { .connect_timeout_us = STEP_US_DEFAULT } };
    const char *words[1];
    size_t count = 0;
    struct why why;
    int code;
    const struct option_row rows[] = { TOOL_LINK_ROWS(doctor.link), { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, words, 1, &count, &code))
        return code;
    if (count == 1 && doctor.link.coordinator) {
        fprintf(stderr, "motley: doctor: give the URL once, as a word or with --coordinator\n");
        return MOTLEY_USAGE;
    }
    doctor.word = count == 1 ? words[0] : NULL;
    enum err err = count == 1 ? invite_parse_place(words[0], &doctor.place, &why) : ERR_OK;
    return err == ERR_OK ? examine(&doctor) : tool_fail(err, &why);
}
