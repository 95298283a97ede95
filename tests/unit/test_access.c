// SPDX-License-Identifier: Apache-2.0
/* Who may do what: peers with keys of every role, and with none, against a coordinator that listens on tcp.
 */
#include "access.h"
#include "party.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char *tcp;

static atomic_bool add_fails; /* of the next entry of the allow list */

__attribute__((visibility("default"))) int rename(const char *from, const char *to);
__attribute__((visibility("default"))) int rename(const char *from, const char *to)
{
    if (strstr(to, "/allowed/") && atomic_exchange(&add_fails, false)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int set_up(void **state)
{
    struct party_house *house = calloc(1, sizeof *house);
    struct why why = { "" };
    static const char *urls[2];
    snprintf(house->dir, sizeof house->dir, "/tmp/motley-access-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    snprintf(house->state, sizeof house->state, "%s/state", house->dir);
    assert_int_equal(file_make_dirs(house->state, 0700, NULL), ERR_OK);
    keyed_seed(house->state);
    snprintf(house->url, sizeof house->url, "ipc://%s/c.sock", house->dir);
    urls[0] = "tcp://127.0.0.1:*";
    urls[1] = house->url;
    house->config = (struct loop_config){ .state_dir = house->state,
                                          .urls = urls,
                                          .urls_count = 2,
                                          .heartbeat_ms = 100,
                                          .silence_us = (uint64_t)PARTY_PATIENCE_S * 1000000 };
    if (loop_new(&house->config, &house->loop, &why))
        fail_msg("%s", why.text);
    tcp = loop_url(house->loop);
    assert_int_equal(pthread_create(&house->thread, NULL, party_run, house), 0);
    *state = house;
    return 0;
}

/* ---- parties ---- */

static struct key allow(const struct party_house *house, enum role role, const char *tenant)
{
    struct key key = keyed_make();
    keyed_allow(house->state, &key, role, tenant);
    return key;
}

static void client_of(struct party *client, const struct key *key)
{
    party_connect_keyed(client, tcp, key);
    const struct message *answer = party_greet(client);
    if (answer->type != MESSAGE_CLIENT_WELCOME)
        fail_msg("%s", answer->refused.text);
}

static void worker_of(struct party *worker, const struct key *key, uint8_t uuid)
{
    party_connect_keyed(worker, tcp, key);
    const struct message *answer = party_offer(worker, "lab", "cpu", 1000, uuid);
    if (answer->type != MESSAGE_WELCOME)
        fail_msg("%s", answer->refused.text);
    party_prove(worker);
}

static const struct message_reply *ask(struct party *client, struct message *message)
{
    message->view.request = ++client->request;
    party_say(client, message, NULL, 0);
    const struct message_reply *reply = &party_expect(client, MESSAGE_REPLY)->reply;
    assert_int_equal(reply->request, client->request);
    return reply;
}

static const char *required; /* of the next job */

static const struct message_reply *submit(struct party *client, const char *tenant, uint64_t samples)
{
    static struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    static uint8_t uuid[UUID_BYTES];
    struct message message = { .type = MESSAGE_SUBMIT };
    uuid[0]++;
    message.submit = (struct message_submit){ .uuid = uuid,
                                              .name = "night",
                                              .model = "synthetic",
                                              .format = "synthetic",
                                              .samples = samples,
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_kind = OUTPUT_NPY,
                                              .max_failures = UINT64_MAX,
                                              .require = required,
                                              .tenant = tenant };
    return ask(client, &message);
}

static uint64_t accepted(const struct message_reply *reply)
{
    if (reply->code)
        fail_msg("%s", reply->text);
    return reply->number;
}

static const struct message_reply *about_jobs(struct party *client, enum message_type type, const char *which)
{
    struct message message = { .type = type };
    switch (type) {
    case MESSAGE_CANCEL: message.cancel.which = which; break;
    case MESSAGE_RETRY: message.retry.which = which; break;
    case MESSAGE_CHANGE: message.change = (struct message_change){ 0, which, CHANGE_PRIORITY, 7, 0 }; break;
    default: message.remove = (struct message_remove){ 0, REMOVE_JOBS, which };
    }
    return ask(client, &message);
}

static const struct message_reply *view(struct party *client, const char *what, const char *which)
{
    struct message message = { .type = MESSAGE_VIEW };
    message.view = (struct message_view){ .what = what, .which = which };
    return ask(client, &message);
}

/* How many jobs are listed for it. */
static size_t seen(struct party *client)
{
    yyjson_doc *doc = party_view(client, "jobs", "");
    size_t count = yyjson_arr_size(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return count;
}

static uint64_t counted(const struct party_house *house, const char *what)
{
    struct party owner;
    party_client(&owner, house);
    yyjson_doc *doc = party_view(&owner, "status", "");
    yyjson_val *security = yyjson_obj_get(yyjson_doc_get_root(doc), "security");
    assert_true(yyjson_get_bool(yyjson_obj_get(security, "curve")));
    assert_true(yyjson_is_uint(yyjson_obj_get(security, what)));
    uint64_t count = yyjson_get_uint(yyjson_obj_get(security, what));
    yyjson_doc_free(doc);
    party_leave(&owner);
    return count;
}

/* Events are kept as the log has them. */
static bool is_logged(const struct party_house *house, const char *id)
{
    struct party owner;
    bool found = false;
    party_client(&owner, house);
    yyjson_doc *doc = party_view(&owner, "events", "");
    yyjson_val *events = yyjson_doc_get_root(doc);
    for (size_t i = 0; i < yyjson_arr_size(events); i++)
        found |= strcmp(yyjson_get_str(yyjson_obj_get(yyjson_arr_get(events, i), "id")), id) == 0;
    yyjson_doc_free(doc);
    party_leave(&owner);
    return found;
}

/* What is counted or logged is so by the loop's next sweep at the latest. */
static void await_log(const struct party_house *house, const char *id)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    while (!is_logged(house, id)) {
        assert_true(clock_monotonic_us() < deadline);
        clock_sleep_until_us(clock_monotonic_us() + 20000);
    }
}

/* ---- tests ---- */

/* The first word, by role: what it must be for WELCOME, and who is sent away. */
static void test_greetings(void **state)
{
    const struct party_house *house = *state;
    static const struct {
        enum role role;
        bool works, asks;
    } rows[] = { { ROLE_WORKER, true, false },
                 { ROLE_CLIENT, false, true },
                 { ROLE_READ_ONLY, false, true },
                 { ROLE_ADMIN, true, true } };
    struct party party;
    for (uint8_t i = 0; i < 4; i++) {
        struct key key = allow(house, rows[i].role, NULL);
        party_connect_keyed(&party, tcp, &key);
        const struct message *answer = party_offer(&party, "lab", "cpu", 1000, i);
        assert_int_equal(answer->type, rows[i].works ? MESSAGE_WELCOME : MESSAGE_REFUSED);
        party_leave(&party);
        party_connect_keyed(&party, tcp, &key);
        answer = party_greet(&party);
        assert_int_equal(answer->type, rows[i].asks ? MESSAGE_CLIENT_WELCOME : MESSAGE_REFUSED);
        if (!rows[i].asks) {
            assert_int_equal(answer->refused.code, ERR_REFUSED);
            assert_non_null(strstr(answer->refused.text, "role worker"));
            assert_non_null(strstr(answer->refused.text, "--role client"));
        }
        party_leave(&party);
    }
    assert_int_equal(counted(house, "roles_refused"), 3);
    assert_true(is_logged(house, "AUTH-ROLE-REFUSED"));
    assert_int_equal(counted(house, "keys_allowed"), 5);
    assert_int_equal(counted(house, "keys_accepted"), 8);
}

static void test_a_strange_key(void **state)
{
    const struct party_house *house = *state;
    struct key key = keyed_make();
    struct party party;
    struct why why;
    party_connect_keyed(&party, tcp, &key);
    while (wire_refused(party.wire, &why) == WIRE_NOT_REFUSED) {
        zmq_pollitem_t item = { wire_monitor_socket(party.wire), 0, ZMQ_POLLIN, 0 };
        assert_true(zmq_poll(&item, 1, PARTY_PATIENCE_S * 1000) > 0);
    }
    party_leave(&party);
    assert_int_equal(counted(house, "keys_refused"), 1);
    await_log(house, "AUTH-KEY-REFUSED");
}

static void test_read_only(void **state)
{
    const struct party_house *house = *state;
    static const uint8_t blob[SHA256_BYTES] = { 1 };
    struct key all = allow(house, ROLE_READ_ONLY, NULL), some = allow(house, ROLE_READ_ONLY, "vision");
    struct party owner, viewer;
    party_client(&owner, house);
    accepted(submit(&owner, "vision", 10));
    accepted(submit(&owner, "", 10));
    client_of(&viewer, &all);
    assert_int_equal(seen(&viewer), 2);
    assert_int_equal(view(&viewer, "events", "")->code, ERR_OK);
    assert_int_equal(submit(&viewer, "", 10)->code, ERR_REFUSED);
    assert_int_equal(about_jobs(&viewer, MESSAGE_CANCEL, "all")->code, ERR_REFUSED);
    struct message drain = { .type = MESSAGE_DRAIN };
    drain.drain.which = "all";
    assert_int_equal(ask(&viewer, &drain)->code, ERR_REFUSED);
    struct message find = { .type = MESSAGE_BLOB_FIND };
    find.blob_find.blob = blob;
    assert_int_equal(ask(&viewer, &find)->code, ERR_REFUSED);
    assert_int_equal(seen(&viewer), 2); /* it is still served */
    party_leave(&viewer);
    client_of(&viewer, &some);
    assert_int_equal(seen(&viewer), 1);
    party_leave(&viewer);
    assert_int_equal(counted(house, "roles_refused"), 4);
    party_leave(&owner);
}

static void test_tenants(void **state)
{
    const struct party_house *house = *state;
    struct key vision = allow(house, ROLE_CLIENT, "vision"), speech = allow(house, ROLE_CLIENT, "speech");
    struct party one, other, owner;
    char which[32];
    client_of(&one, &vision);
    client_of(&other, &speech);
    party_client(&owner, house);
    uint64_t number = accepted(submit(&one, "", 10));
    snprintf(which, sizeof which, "%llu", (unsigned long long)number);
    const struct message_reply *refused = submit(&one, "speech", 10);
    assert_int_equal(refused->code, ERR_REFUSED);
    assert_non_null(strstr(refused->text, "'speech'"));
    accepted(submit(&one, "vision", 10));
    accepted(submit(&other, "", 10));
    assert_int_equal(seen(&one), 2);
    assert_int_equal(seen(&other), 1);
    assert_int_equal(seen(&owner), 3);
    yyjson_doc *doc = party_view(&owner, "job", which);
    yyjson_val *tenant = yyjson_obj_get(yyjson_doc_get_root(doc), "tenant");
    assert_string_equal(yyjson_get_str(tenant), "vision");
    yyjson_doc_free(doc);
    static const char *const views[] = { "job", "report", "explain" };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(view(&other, views[i], which)->code, ERR_NOT_FOUND);
        assert_int_equal(view(&one, views[i], which)->code, ERR_OK);
    }
    assert_int_equal(about_jobs(&other, MESSAGE_CANCEL, which)->code, ERR_NOT_FOUND);
    assert_int_equal(about_jobs(&other, MESSAGE_CHANGE, which)->code, ERR_NOT_FOUND);
    assert_int_equal(about_jobs(&other, MESSAGE_REMOVE, which)->code, ERR_NOT_FOUND);
    assert_int_equal(about_jobs(&other, MESSAGE_CANCEL, "all")->number, 1);
    struct message get = { .type = MESSAGE_OUTPUT_GET };
    get.output_get = (struct message_output_get){ .job = number, .file = "answer.npy", .length = 10 };
    refused = ask(&other, &get);
    assert_int_equal(refused->code, ERR_NOT_FOUND);
    assert_non_null(strstr(refused->text, "no such job"));
    assert_int_equal(ask(&one, &get)->code, ERR_REFUSED); /* not done */
    assert_int_equal(view(&one, "events", "")->code, ERR_REFUSED);
    assert_int_equal(view(&one, "workers", "")->code, ERR_OK);
    struct message remove = { .type = MESSAGE_REMOVE };
    remove.remove = (struct message_remove){ 0, REMOVE_MODEL, "digits" };
    assert_int_equal(ask(&one, &remove)->code, ERR_REFUSED);
    assert_int_equal(about_jobs(&one, MESSAGE_CHANGE, which)->number, 1);
    assert_int_equal(about_jobs(&one, MESSAGE_CANCEL, which)->number, 1);
    party_leave(&one);
    party_leave(&other);
    party_leave(&owner);
    assert_int_equal(counted(house, "roles_refused"), 1);
    assert_true(is_logged(house, "AUTH-TENANT-REFUSED"));
}

/* An identity that another tenant's job has finds nothing out about that job. */
static void test_anothers_uuid(void **state)
{
    const struct party_house *house = *state;
    static struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    static const uint8_t uuid[UUID_BYTES] = { 99, 99 };
    struct key keys[2] = { allow(house, ROLE_CLIENT, "vision"), allow(house, ROLE_CLIENT, "speech") };
    struct party client;
    for (int i = 0; i < 4; i++) {
        struct message message = { .type = MESSAGE_SUBMIT };
        message.submit = (struct message_submit){ .uuid = uuid,
                                                  .name = "",
                                                  .model = "synthetic",
                                                  .format = "synthetic",
                                                  .samples = 1,
                                                  .outputs = &output,
                                                  .outputs_count = 1,
                                                  .max_failures = UINT64_MAX };
        client_of(&client, &keys[i % 2]);
        const struct message_reply *reply = ask(&client, &message);
        assert_int_equal(reply->code, i % 2 ? ERR_REFUSED : ERR_OK);
        assert_int_equal(reply->number, i % 2 ? 0 : 1);
        party_leave(&client);
    }
}

static void test_a_dropped_key_ends_at_once(void **state)
{
    const struct party_house *house = *state;
    struct key working = allow(house, ROLE_WORKER, NULL), asking = allow(house, ROLE_CLIENT, NULL);
    struct party worker, client, owner;
    worker_of(&worker, &working, 1);
    client_of(&client, &asking);
    accepted(submit(&client, "", 1));
    party_await(&worker, MESSAGE_LOAD);
    assert_int_equal(keyring_drop(house->state, working.public_half, NULL), ERR_OK);
    assert_int_equal(party_await(&worker, MESSAGE_REFUSED)->refused.code, ERR_REFUSED);
    assert_int_equal(seen(&client), 1);
    keyed_allow(house->state, &asking, ROLE_READ_ONLY, NULL); /* something else now */
    party_await(&client, MESSAGE_REFUSED);
    party_client(&owner, house);
    yyjson_doc *doc = party_view(&owner, "status", "");
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "workers")), 0);
    yyjson_doc_free(doc);
    party_leave(&owner);
    party_leave(&worker);
    party_leave(&client);
}

static void test_an_expiring_key_ends(void **state)
{
    const struct party_house *house = *state;
    struct key key = keyed_make();
    struct keyring_entry entry = { .role = ROLE_CLIENT };
    struct party client;
    memcpy(entry.public_half, key.public_half, KEY_BYTES);
    assert_int_equal(keyring_add(house->state, &entry, NULL), ERR_OK);
    client_of(&client, &key);
    entry.expires_us = clock_wall_us() + 300000;
    assert_int_equal(keyring_add(house->state, &entry, NULL), ERR_OK);
    party_await(&client, MESSAGE_REFUSED);
    assert_true(clock_wall_us() >= entry.expires_us);
    party_leave(&client);
}

/* A file that was edited in place leaves the folder as it was: SIGHUP says so. */
static void test_reload(void **state)
{
    const struct party_house *house = *state;
    struct key key = allow(house, ROLE_CLIENT, NULL);
    struct party client;
    char hex[2 * KEY_BYTES + 1], path[512], *bytes;
    size_t size;
    client_of(&client, &key);
    sodium_bin2hex(hex, sizeof hex, key.public_half, KEY_BYTES);
    snprintf(path, sizeof path, "%s/keys/allowed/%s.json", house->state, hex);
    assert_int_equal(file_read(path, 10000, &bytes, &size, NULL), ERR_OK);
    memcpy(strstr(bytes, "client"), "worker", 6);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    free(bytes);
    loop_reload(house->loop);
    party_await(&client, MESSAGE_REFUSED);
    party_leave(&client);
}

/* ---- joining ---- */

static struct key invite(const struct party_house *house, enum role role, int64_t expires_us)
{
    struct key token = keyed_make();
    struct keyring_entry entry = { .role = ROLE_INVITED,
                                   .invited_as = role,
                                   .name = "for the lab",
                                   .expires_us = expires_us,
                                   .tenants_count = 1,
                                   .tenants = { "vision" } };
    memcpy(entry.public_half, token.public_half, KEY_BYTES);
    assert_int_equal(keyring_add(house->state, &entry, NULL), ERR_OK);
    return token;
}

static const struct message *join(struct party *party, const struct key *token, const uint8_t *half)
{
    struct message message = { .type = MESSAGE_JOIN };
    party_connect_keyed(party, tcp, token);
    message.join = (struct message_join){ half, "lab-7" };
    party_say(party, &message, NULL, 0);
    return party_hear(party);
}

static void test_joining(void **state)
{
    const struct party_house *house = *state;
    struct key token = invite(house, ROLE_CLIENT, 0), own = keyed_make();
    struct party party;
    struct why why;
    party_connect_keyed(&party, tcp, &token);
    assert_int_equal(party_greet(&party)->type, MESSAGE_REFUSED); /* nothing but JOIN */
    party_leave(&party);
    const struct message *answer = join(&party, &token, own.public_half);
    if (answer->type != MESSAGE_REPLY)
        fail_msg("%s", answer->refused.text);
    assert_int_equal(answer->reply.code, ERR_OK);
    /* The same connection: the invitation is used up. */
    struct message again = { .type = MESSAGE_JOIN };
    again.join = (struct message_join){ keyed_house(0)->public_half, "" };
    party_say(&party, &again, NULL, 0);
    party_expect(&party, MESSAGE_REFUSED);
    party_leave(&party);
    /* Another one: it is not even let in. */
    party_connect_keyed(&party, tcp, &token);
    while (wire_refused(party.wire, &why) != WIRE_KEY_REFUSED) {
        zmq_pollitem_t item = { wire_monitor_socket(party.wire), 0, ZMQ_POLLIN, 0 };
        assert_true(zmq_poll(&item, 1, PARTY_PATIENCE_S * 1000) > 0);
    }
    party_leave(&party);
    client_of(&party, &own);
    accepted(submit(&party, "vision", 1)); /* as the invitation said */
    assert_int_equal(submit(&party, "speech", 1)->code, ERR_REFUSED);
    party_leave(&party);
    struct keyring *ring;
    assert_int_equal(keyring_read(house->state, &ring, &why), ERR_OK);
    assert_string_equal(keyring_find(ring, own.public_half, 1)->name, "for the lab");
    assert_int_equal(keyring_count(ring), 2);
    keyring_free(&ring);
    assert_true(is_logged(house, "KEY-JOINED"));
}

/* A failure, or a crash, between the two steps of joining costs the invitation rather than leaving it. */
static void test_joining_fails_closed(void **state)
{
    const struct party_house *house = *state;
    struct key token = invite(house, ROLE_CLIENT, 0), own = keyed_make();
    struct party party;
    struct keyring *ring;
    atomic_store(&add_fails, true);
    const struct message *answer = join(&party, &token, own.public_half);
    assert_int_equal(answer->type, MESSAGE_REFUSED);
    assert_non_null(strstr(answer->refused.text, "new invitation"));
    party_leave(&party);
    assert_int_equal(keyring_read(house->state, &ring, NULL), ERR_OK);
    assert_null(keyring_find(ring, token.public_half, 1));
    assert_null(keyring_find(ring, own.public_half, 1));
    keyring_free(&ring);
}

/* An invitation is no way to take something from others. */
static void test_joining_as_another(void **state)
{
    const struct party_house *house = *state;
    static const uint8_t none[KEY_BYTES];
    struct key token = invite(house, ROLE_WORKER, 0), known = allow(house, ROLE_WORKER, NULL);
    const uint8_t *const bad[] = { keyed_house(1)->public_half, token.public_half, none };
    struct party party;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(join(&party, &token, bad[i])->type, MESSAGE_REFUSED);
        party_leave(&party);
    }
    client_of(&party, keyed_house(1)); /* still the owner */
    accepted(submit(&party, "anyone", 1));
    party_leave(&party);
    assert_int_equal(join(&party, &token, known.public_half)->type, MESSAGE_REPLY); /* what it is already */
    party_leave(&party);
}

static void test_nobody_joins_by_ipc(void **state)
{
    const struct party_house *house = *state;
    struct party party = { 0 };
    struct key own = keyed_make();
    struct message message = { .type = MESSAGE_JOIN };
    party_connect(&party, house);
    message.join = (struct message_join){ own.public_half, "" };
    party_say(&party, &message, NULL, 0);
    party_expect(&party, MESSAGE_REFUSED);
    party_leave(&party);
}

/* ---- workers that lie ---- */

static void next_lease(struct party *worker, struct party_lease *kept)
{
    static const uint8_t built_in[SHA256_BYTES];
    for (;;) {
        const struct message *message = party_hear(worker);
        if (message->type == MESSAGE_LOAD)
            party_loaded(worker, built_in, true, "");
        if (message->type == MESSAGE_LEASES) {
            assert_int_equal(message->leases.leases_count, 1);
            party_keep(kept, &message->leases.leases[0]);
            return;
        }
    }
}

static uint64_t done(struct party *client, const char *which)
{
    yyjson_doc *doc = party_view(client, "job", which);
    uint64_t count = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "samples_done"));
    yyjson_doc_free(doc);
    return count;
}

static void fetch(struct party *worker, enum fetch_kind kind, uint64_t job, const uint8_t *model)
{
    struct message message = { .type = MESSAGE_FETCH };
    message.fetch = (struct message_fetch){ .tag = 5, .kind = kind, .job = job, .model = model, .length = 1 };
    party_say(worker, &message, NULL, 0);
}

static void test_another_process_with_the_same_uuid(void **state)
{
    const struct party_house *house = *state;
    struct key one = allow(house, ROLE_WORKER, NULL), other = allow(house, ROLE_WORKER, NULL);
    struct party worker, thief, owner;
    worker_of(&worker, &one, 1);
    party_connect_keyed(&thief, tcp, &other);
    assert_int_equal(party_offer(&thief, "lab", "cpu", 1000, 1)->type, MESSAGE_REFUSED);
    party_leave(&thief);
    assert_int_equal(counted(house, "lies_refused"), 1);
    assert_true(is_logged(house, "WORKER-LIES"));
    party_client(&owner, house);
    accepted(submit(&owner, "", 1));
    struct party_lease lease;
    next_lease(&worker, &lease); /* it was not disturbed */
    party_leave(&owner);
    party_leave(&worker);
    worker_of(&worker, &one, 1); /* it may come back itself, also with its former connection still there */
    worker_of(&thief, &one, 1);
    assert_int_equal(counted(house, "lies_refused"), 1);
    party_leave(&worker);
    party_leave(&thief);
}

/* One worker shows another's lease; a forged one; and its own again, after it was acknowledged. */
static void test_results_that_are_not_ones_own(void **state)
{
    const struct party_house *house = *state;
    struct key one = allow(house, ROLE_WORKER, NULL), other = allow(house, ROLE_WORKER, NULL);
    struct party worker, thief, owner;
    struct party_lease lease;
    const uint64_t good[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, bad[8] = { 0 };
    party_client(&owner, house);
    accepted(submit(&owner, "", 8));
    worker_of(&worker, &one, 1);
    next_lease(&worker, &lease);
    worker_of(&thief, &other, 2);
    size_t size = lease.lease.count * sizeof good[0];
    party_result(&thief, &lease.lease, bad, size, NULL);
    party_await(&thief, MESSAGE_ACKS); /* dropped: it need not be said again */
    assert_int_equal(counted(house, "lies_refused"), 1);
    lease.mac[0] ^= 1;
    party_result(&worker, &lease.lease, bad, size, NULL);
    party_await(&worker, MESSAGE_ACKS);
    lease.mac[0] ^= 1;
    lease.lease.term--;
    party_result(&worker, &lease.lease, bad, size, NULL); /* of an earlier life that never was */
    party_await(&worker, MESSAGE_ACKS);
    lease.lease.term++;
    assert_int_equal(counted(house, "lies_refused"), 3);
    assert_int_equal(done(&owner, "last"), 0);
    party_result(&worker, &lease.lease, good, size, NULL);
    party_await(&worker, MESSAGE_ACKS);
    uint64_t count = done(&owner, "last");
    assert_int_equal(count, lease.lease.count);
    party_result(&worker, &lease.lease, bad, size, NULL);
    party_await(&worker, MESSAGE_ACKS);
    assert_int_equal(counted(house, "lies_refused"), 4);
    assert_int_equal(done(&owner, "last"), count);
    party_leave(&worker);
    party_leave(&thief);
    party_leave(&owner);
}

static void test_files_of_others(void **state)
{
    const struct party_house *house = *state;
    struct key one = allow(house, ROLE_WORKER, NULL), other = allow(house, ROLE_WORKER, NULL);
    struct party worker, curious, owner;
    static const uint8_t built_in[SHA256_BYTES];
    party_client(&owner, house);
    required = "device.kind = cpu";
    uint64_t number = accepted(submit(&owner, "", 1));
    required = NULL;
    worker_of(&worker, &one, 1);
    party_await(&worker, MESSAGE_JOBS);
    fetch(&worker, FETCH_INPUT, number, built_in); /* it has none, but it may ask */
    assert_non_null(strstr(party_await(&worker, MESSAGE_PIECE)->piece.reason, "has no input"));
    assert_int_equal(counted(house, "lies_refused"), 0);
    party_connect_keyed(&curious, tcp, &other); /* nothing of the job is for it */
    assert_int_equal(party_offer(&curious, "spy", "gpu", 1000, 2)->type, MESSAGE_WELCOME);
    party_prove(&curious);
    fetch(&curious, FETCH_INPUT, number, built_in);
    const struct message_piece *piece = &party_await(&curious, MESSAGE_PIECE)->piece;
    assert_false(piece->ok);
    assert_non_null(strstr(piece->reason, "not told"));
    assert_int_equal(counted(house, "lies_refused"), 1);
    party_leave(&worker);
    party_leave(&curious);
    party_leave(&owner);
}

static const struct message_reply *add_model(struct party *client, const char *file)
{
    static uint8_t digest[SHA256_BYTES];
    struct message message = { .type = MESSAGE_BLOB_PUT };
    struct wire_frame frame = { file, strlen(file), NULL, NULL };
    sha256_bytes(file, strlen(file), digest);
    message.blob_put =
        (struct message_blob_put){ .request = ++client->request, .blob = digest, .total = strlen(file) };
    party_say(client, &message, &frame, 1);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
    message = (struct message){ .type = MESSAGE_MODEL_ADD };
    message.model_add = (struct message_model_add){
        .name = "resnet", .version = "1", .blob = digest, .format = "onnx", .precision = ""
    };
    return ask(client, &message);
}

/* Jobs run the file that their tenant believes to have named. */
static void test_models_of_others(void **state)
{
    const struct party_house *house = *state;
    struct key keys[2] = { allow(house, ROLE_CLIENT, "vision"), allow(house, ROLE_CLIENT, "speech") };
    struct party first, second, owner;
    client_of(&first, &keys[0]);
    client_of(&second, &keys[1]);
    party_client(&owner, house);
    const struct message_reply *reply = add_model(&first, "a model");
    if (reply->code)
        fail_msg("%s", reply->text);
    assert_int_equal(add_model(&second, "a model")->code, ERR_OK); /* the same file */
    reply = add_model(&second, "another model");
    assert_int_equal(reply->code, ERR_REFUSED);
    assert_non_null(strstr(reply->text, "--version"));
    assert_int_equal(add_model(&owner, "another model")->code, ERR_OK);
    party_leave(&first);
    party_leave(&second);
    party_leave(&owner);
}

/* ---- bounds ---- */

static size_t logged(const struct party_house *house, const char *id)
{
    struct party owner;
    size_t count = 0, i, max;
    yyjson_val *event;
    party_client(&owner, house);
    yyjson_doc *doc = party_view(&owner, "events", "");
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_arr_foreach(root, i, max, event) count +=
        strcmp(yyjson_get_str(yyjson_obj_get(event, "id")), id) == 0;
    yyjson_doc_free(doc);
    party_leave(&owner);
    return count;
}

/* What a peer may say as often as it likes is not written down as often. */
static void test_words_without_end_are_not_all_logged(void **state)
{
    enum { ROOM = 1500, TIMES = 200, FEW = 150 };
    const struct party_house *house = *state;
    static const uint8_t built_in[SHA256_BYTES];
    struct key working = allow(house, ROLE_WORKER, NULL), asking = allow(house, ROLE_CLIENT, NULL);
    struct party worker, client;
    const struct message bye = { .type = MESSAGE_BYE, .bye = { "" } };
    client_of(&client, &asking);
    accepted(submit(&client, "", 1));
    worker_of(&worker, &working, 1);
    party_await(&worker, MESSAGE_LOAD);
    for (int i = 0; i < ROOM; i++)
        party_loaded(&worker, built_in, false, "no");
    for (int i = 0; i < TIMES; i++) {
        party_say(&worker, &bye, NULL, 0);
        while (party_offer(&worker, "lab", "cpu", 1000, 1)->type != MESSAGE_WELCOME)
            party_await(&worker, MESSAGE_WELCOME);
    }
    for (int i = 0; i < TIMES; i++)
        about_jobs(&client, MESSAGE_CANCEL, accepted(submit(&client, "", 1)) ? "all" : "");
    assert_in_range(logged(house, "WORKER-UP"), 0, FEW);
    assert_in_range(logged(house, "WORKER-LEFT"), 0, FEW);
    assert_in_range(logged(house, "JOB-ACCEPTED"), 0, FEW);
    assert_in_range(logged(house, "JOB-CANCELLED"), 0, FEW);
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000;
    while (!is_logged(house, "NOTES-LEFT-OUT")) {
        assert_true(clock_monotonic_us() < deadline);
        party_loaded(&worker, built_in, false, "no");
    }
    party_leave(&worker);
    party_leave(&client);
}

static void test_connections_of_one_key(void **state)
{
    const struct party_house *house = *state;
    static struct party parties[CLIENT_KEY_PEERS_MAX + 1];
    struct key key = allow(house, ROLE_CLIENT, NULL);
    for (int i = 0; i < CLIENT_KEY_PEERS_MAX; i++)
        client_of(&parties[i], &key);
    party_connect_keyed(&parties[CLIENT_KEY_PEERS_MAX], tcp, &key);
    const struct message *answer = party_greet(&parties[CLIENT_KEY_PEERS_MAX]);
    assert_int_equal(answer->type, MESSAGE_REFUSED);
    assert_int_equal(answer->refused.code, ERR_FULL);
    for (int i = 0; i <= CLIENT_KEY_PEERS_MAX; i++)
        party_leave(&parties[i]);
}

static void test_untimely_words_are_counted(void **state)
{
    const struct party_house *house = *state;
    struct key key = allow(house, ROLE_WORKER, NULL);
    struct party party;
    const struct message bye = { .type = MESSAGE_BYE, .bye = { "" } };
    party_connect_keyed(&party, tcp, &key);
    party_say(&party, &bye, NULL, 0);
    party_expect(&party, MESSAGE_REFUSED);
    party_leave(&party);
    assert_int_equal(counted(house, "messages_refused"), 1);
    assert_true(is_logged(house, "MESSAGE-REFUSED"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_greetings),
        TEST(test_a_strange_key),
        TEST(test_read_only),
        TEST(test_tenants),
        TEST(test_anothers_uuid),
        TEST(test_a_dropped_key_ends_at_once),
        TEST(test_an_expiring_key_ends),
        TEST(test_reload),
        TEST(test_joining),
        TEST(test_joining_fails_closed),
        TEST(test_joining_as_another),
        TEST(test_nobody_joins_by_ipc),
        TEST(test_another_process_with_the_same_uuid),
        TEST(test_results_that_are_not_ones_own),
        TEST(test_files_of_others),
        TEST(test_models_of_others),
        TEST(test_connections_of_one_key),
        TEST(test_words_without_end_are_not_all_logged),
        TEST(test_untimely_words_are_counted),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
