// SPDX-License-Identifier: Apache-2.0
/* Peers that ask and do not read: what is held for them stays bounded, the others are served, and who does
 * not stop is cut off. */
#include "bounds.h"
#include "credit.h"
#include "party.h"
#include "unread.h"

enum { JOBS = 60, PIECES = 6, WISH_BYTES = 4000 };

/* ---- the count ---- */

static int released;

static void count_release(void *bytes, void *hint)
{
    (void)bytes, (void)hint;
    released++;
}

static void frames_count_until_they_have_left(void **state)
{
    (void)state;
    char bytes[100];
    struct credits *all = credits_new();
    struct credit *one = credit_new(all), *other = credit_new(all);
    struct wire_frame given = { bytes, 100, count_release, NULL }, copied = { bytes, 7, NULL, NULL };
    released = 0;
    assert_int_equal(credit_bytes(NULL), 0);
    credit_count(one, &given);
    credit_count(other, &copied);
    assert_ptr_not_equal(copied.bytes, bytes);
    assert_int_equal(credit_bytes(one), 100);
    assert_int_equal(credits_bytes(all), 107);
    uint64_t progress = credit_progress(one);
    credit_drop(&one); /* the peer went first */
    given.release((void *)(uintptr_t)given.bytes, given.hint);
    assert_int_equal(released, 1);
    assert_int_equal(credits_bytes(all), 7);
    progress = credit_progress(other);
    copied.release((void *)(uintptr_t)copied.bytes, copied.hint);
    assert_int_not_equal(credit_progress(other), progress);
    assert_int_equal(credits_bytes(all), 0);
    credit_drop(&other);
    credits_free(&all);
}

/* Pieces are read so far ahead for one peer; the others' are not held up by it. */
static void pieces_wait_for_their_reader(void **state)
{
    (void)state;
    static struct coordinator coordinator;
    struct fetch fetch = { .peer = 1, .length = PIECE_BYTES_MAX },
                 other = { .peer = 2, .length = PIECE_BYTES_MAX };
    struct wire_frame frame = { "", 1, count_release, NULL };
    coordinator.peers = peers_new(4);
    coordinator.credits = credits_new();
    struct peer *peer = peers_add(coordinator.peers, 1, DIALOGUE_WORKER);
    peer->credit = credit_new(coordinator.credits);
    peers_add(coordinator.peers, 2, DIALOGUE_WORKER);
    for (int i = 0; i < PEER_AHEAD_BYTES / PIECE_BYTES_MAX; i++)
        assert_true(unread_room(&coordinator, &fetch));
    assert_false(unread_room(&coordinator, &fetch));
    assert_true(unread_room(&coordinator, &other));
    unread_answered(&coordinator, &fetch);
    assert_true(unread_room(&coordinator, &fetch));
    unread_answered(&coordinator, &fetch);
    frame.size = PIECE_BYTES_MAX; /* read, and sent */
    credit_count(peers_find(coordinator.peers, 1)->credit, &frame);
    assert_false(unread_room(&coordinator, &fetch));
    frame.release((void *)(uintptr_t)frame.bytes, frame.hint); /* and taken */
    assert_true(unread_room(&coordinator, &fetch));
    peers_free(&coordinator.peers);
    credits_free(&coordinator.credits);
}

/* ---- dialogues ---- */

/* Long, so that a view of few jobs is large. */
static const char *long_wish(void)
{
    static char text[WISH_BYTES + 1];
    size_t used = 0;
    for (int i = 0; i < 60; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%sdevice.name = '%042d'", i ? " or " : "", i);
    return text;
}

static void submit(struct party *client, const uint8_t *model)
{
    static struct message_tensor output = { .name = "answer", .dtype = DTYPE_U64 };
    uint8_t uuid[UUID_BYTES] = { 1 };
    memcpy(uuid + 1, &client->request, sizeof client->request);
    struct message message = { .type = MESSAGE_SUBMIT };
    message.submit = (struct message_submit){ .request = ++client->request,
                                              .uuid = uuid,
                                              .name = "job",
                                              .model = model ? "m" : "synthetic",
                                              .model_blob = model,
                                              .format = model ? "onnx" : "synthetic",
                                              .samples = 10,
                                              .require = model ? "" : long_wish(),
                                              .outputs = &output,
                                              .outputs_count = 1,
                                              .output_kind = OUTPUT_NONE,
                                              .max_failures = UINT64_MAX };
    party_say(client, &message, NULL, 0);
    assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
}

static uint64_t unread_bytes(struct party *client)
{
    yyjson_doc *doc = party_view(client, "status", "");
    uint64_t bytes = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "unread_bytes"));
    yyjson_doc_free(doc);
    return bytes;
}

static bool was_cut(struct party *client)
{
    yyjson_doc *doc = party_view(client, "events", "");
    size_t index, count;
    yyjson_val *event;
    bool cut = false;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, event) cut =
        cut || strcmp(yyjson_get_str(yyjson_obj_get(event, "id")), "PEER-CUT") == 0;
    yyjson_doc_free(doc);
    return cut;
}

/* It asks for one large view after the other, and reads none of them. */
static void a_client_that_does_not_read_is_cut_off(void **state)
{
    struct party client, deaf;
    struct message message = { .type = MESSAGE_VIEW };
    uint64_t deadline = clock_monotonic_us() + (uint64_t)PARTY_PATIENCE_S * 1000000, most = 0;
    party_client(&client, *state);
    for (int i = 0; i < JOBS; i++)
        submit(&client, NULL);
    party_client(&deaf, *state);
    message.view = (struct message_view){ .what = "jobs", .which = "all" };
    while (!was_cut(&client)) {
        assert_true(clock_monotonic_us() < deadline);
        message.view.request++;
        for (int i = 0; i < 16; i++)
            if (wire_send(deaf.wire, 0, &message, NULL, 0))
                break;
        uint64_t bytes = unread_bytes(&client); /* somebody else is answered all the while */
        most = bytes > most ? bytes : most;
    }
    assert_true(most < PEER_UNREAD_BYTES + (8 << 20));
    while (unread_bytes(&client) > 1 << 20) /* what was held for it is free, although it is still there */
        assert_true(clock_monotonic_us() < deadline);
    party_leave(&deaf);
    party_leave(&client);
}

static void upload(struct party *client, uint8_t digest[SHA256_BYTES])
{
    size_t size = (size_t)PIECES * PIECE_BYTES_MAX;
    uint8_t *bytes = calloc(1, size);
    struct message message = { .type = MESSAGE_BLOB_PUT };
    sha256_bytes(bytes, size, digest);
    for (size_t i = 0; i < PIECES; i++) {
        struct wire_frame frame = { bytes + i * PIECE_BYTES_MAX, PIECE_BYTES_MAX, NULL, NULL };
        message.blob_put = (struct message_blob_put){ ++client->request, digest, i * PIECE_BYTES_MAX, size };
        party_say(client, &message, &frame, 1);
        assert_int_equal(party_expect(client, MESSAGE_REPLY)->reply.code, ERR_OK);
    }
    free(bytes);
}

static void fetch(struct party *worker, const uint8_t digest[SHA256_BYTES], uint64_t piece)
{
    struct message message = { .type = MESSAGE_FETCH };
    message.fetch = (struct message_fetch){ .tag = piece,
                                            .kind = FETCH_MODEL,
                                            .model = digest,
                                            .offset = piece % PIECES * PIECE_BYTES_MAX,
                                            .length = PIECE_BYTES_MAX };
    party_say(worker, &message, NULL, 0);
}

/* One worker leaves all its credit unread; another gets every piece at once. */
static void a_worker_that_does_not_read_holds_up_nobody(void **state)
{
    struct party client, deaf, worker;
    uint8_t model[SHA256_BYTES];
    party_client(&client, *state);
    upload(&client, model);
    party_worker(&deaf, *state, "deaf", "cpu", 1000, 1);
    submit(&client, model);
    party_await(&deaf, MESSAGE_LOAD);
    for (uint64_t i = 0; i < PIECES_IN_FLIGHT; i++)
        fetch(&deaf, model, i);
    party_worker(&worker, *state, "good", "cpu", 1000, 2);
    for (uint64_t i = 0; i < 4 * PIECES; i++) {
        fetch(&worker, model, i);
        const struct message *message = party_await(&worker, MESSAGE_PIECE);
        assert_true(message->piece.ok);
        assert_int_equal(message->piece.tag, i);
        assert_true(unread_bytes(&client) <= PEER_AHEAD_BYTES + 2 * PIECE_BYTES_MAX);
    }
    /* It reads at last, and nothing was lost. */
    for (uint64_t i = 0; i < PIECES_IN_FLIGHT; i++)
        assert_true(party_await(&deaf, MESSAGE_PIECE)->piece.ok);
    party_leave(&worker);
    party_leave(&deaf);
    party_leave(&client);
}

#define DIALOGUE(test) cmocka_unit_test_setup_teardown(test, party_set_up, party_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_count_until_they_have_left),
        cmocka_unit_test(pieces_wait_for_their_reader),
        DIALOGUE(a_client_that_does_not_read_is_cut_off),
        DIALOGUE(a_worker_that_does_not_read_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
