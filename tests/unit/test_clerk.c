// SPDX-License-Identifier: Apache-2.0
#include "clerk.h"

#include "npy.h"
#include "store_fixture.h"

static struct clerk *new_clerk(void)
{
    struct clerk *clerk;
    struct why why;
    if (clerk_new(fixture_dir, &clerk, &why) != ERR_OK)
        fail_msg("%s", why.text);
    return clerk;
}

static struct clerk_event receive(struct clerk *clerk)
{
    struct clerk_event event;
    fixture_wait(clerk_fd(clerk));
    assert_true(clerk_receive(clerk, &event));
    return event;
}

static struct clerk_command *read_order(const char *path, uint64_t offset, uint32_t length)
{
    struct clerk_command *command = clerk_command_new(CLERK_READ);
    assert_non_null(command);
    snprintf(command->path, sizeof command->path, "%s", path);
    command->offset = offset;
    command->length = length;
    return command;
}

static struct clerk_event carry_out(struct clerk *clerk, struct clerk_command *command)
{
    clerk_post(clerk, &command);
    assert_null(command);
    return receive(clerk);
}

static void expect_read(struct clerk *clerk, const char *path, uint64_t offset, uint32_t length,
                        const char *text)
{
    struct clerk_event event = carry_out(clerk, read_order(path, offset, length));
    if (event.err != ERR_OK)
        fail_msg("%s", event.why.text);
    assert_int_equal(event.size, strlen(text));
    assert_memory_equal(event.bytes, text, strlen(text));
    assert_int_equal(event.total, 10);
    clerk_event_free(&event);
}

static void expect_no_read(struct clerk *clerk, struct clerk_command *command, enum err err,
                           const char *words)
{
    struct clerk_event event = carry_out(clerk, command);
    assert_int_equal(event.err, err);
    assert_null(event.bytes);
    if (!strstr(event.why.text, words))
        fail_msg("'%s' does not say '%s'", event.why.text, words);
    clerk_event_free(&event);
}

static void test_read(void **state)
{
    (void)state;
    struct why why;
    struct stat status;
    const char *path = fixture_path("input");
    assert_int_equal(file_replace(path, "0123456789", 10, 0600, &why), ERR_OK);
    assert_int_equal(stat(path, &status), 0);
    struct clerk *clerk = new_clerk();
    expect_read(clerk, path, 0, 4, "0123");
    expect_read(clerk, path, 8, 4, "89");
    expect_read(clerk, path, 10, 4, "");
    expect_no_read(clerk, read_order(path, 11, 4), ERR_FORMAT, "none at 11");
    expect_no_read(clerk, read_order(fixture_path("none"), 0, 4), ERR_FILE, "cannot be opened");
    expect_no_read(clerk, read_order(fixture_dir, 0, 4), ERR_FILE, "not a plain file");
    assert_int_equal(mkfifo(fixture_path("pipe"), 0600), 0);
    expect_no_read(clerk, read_order(fixture_path("pipe"), 0, 4), ERR_FILE, "not a plain file");
    struct clerk_command *command = read_order(path, 0, 4);
    command->file_bytes = 11;
    expect_no_read(clerk, command, ERR_FORMAT, "was changed");
    command = read_order(path, 0, 4);
    command->file_bytes = 10;
    command->mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec + 1;
    expect_no_read(clerk, command, ERR_FORMAT, "was changed");
    clerk_free(&clerk);
    assert_null(clerk);
}

static int released;

static void count_release(void *hint)
{
    (void)hint;
    released++;
}

static struct clerk_command *piece(const char *bytes, size_t whole, size_t offset, size_t size)
{
    struct clerk_command *command = clerk_command_new(CLERK_BLOB_PUT);
    assert_non_null(command);
    sha256_bytes(bytes, whole, command->blob);
    command->offset = offset;
    command->total = whole;
    command->bytes = strdup(bytes + offset);
    command->size = size;
    command->release = free;
    command->hint = command->bytes;
    return command;
}

static void test_blob(void **state)
{
    (void)state;
    static const char bytes[] = "a model, in three pieces";
    uint8_t digest[SHA256_BYTES];
    uint64_t size;
    sha256_bytes(bytes, 24, digest);
    struct clerk *clerk = new_clerk();
    assert_false(clerk_blob_find(fixture_dir, digest, &size));
    for (uint64_t i = 0; i < 3; i++) {
        struct clerk_command *command = piece(bytes, 24, i * 8, 8);
        command->tag = i;
        command->peer = 77;
        clerk_post(clerk, &command);
    }
    for (uint64_t i = 0; i < 3; i++) {
        struct clerk_event event = receive(clerk);
        assert_int_equal(event.err, ERR_OK);
        assert_int_equal(event.command->tag, i);
        assert_int_equal(event.command->peer, 77);
        assert_int_equal(event.total, (i + 1) * 8);
        clerk_event_free(&event);
    }
    assert_true(clerk_blob_find(fixture_dir, digest, &size));
    assert_int_equal(size, 24);
    char path[FIXTURE_PATH_MAX];
    clerk_blob_path(fixture_dir, digest, path, sizeof path);
    fixture_expect_file(path, bytes, 24);
    clerk_free(&clerk);
}

/* A publication and reads go side by side, each in its own order. */
static void test_publish(void **state)
{
    (void)state;
    uint8_t rows[5] = { 1, 2, 3, 4, 5 }, file[NPY_HEADER_MAX + 5];
    struct tensor_spec spec = fixture_spec("y", DTYPE_U8, NULL, 0);
    struct store *store = fixture_open(NULL);
    fixture_must(store, fixture_job_add(1, 5, &spec, 1));
    fixture_must(store, fixture_result(1, 0, 5, rows, 5));
    struct clerk *clerk = new_clerk();
    struct clerk_command *command = clerk_command_new(CLERK_PUBLISH);
    command->job = 1;
    command->samples = 5;
    command->output = CLERK_NPY;
    command->outputs_count = 1;
    command->outputs[0] = spec;
    struct clerk_event event = carry_out(clerk, command);
    if (event.err != ERR_OK)
        fail_msg("%s", event.why.text);
    clerk_event_free(&event);
    size_t header = npy_header(&spec, 5, file);
    memcpy(file + header, rows, 5);
    char path[FIXTURE_PATH_MAX];
    struct why why;
    assert_int_equal(clerk_published_path(fixture_dir, 1, "output.npy", path, sizeof path, &why), ERR_OK);
    fixture_expect_file(path, file, header + 5);
    clerk_free(&clerk);
    store_free(&store);
}

static void test_published_path(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "output",         "../x.npy",     "output/../../journal.npy", "output/.npy",
        "/etc/x.npy", "output/a/b.npy", "output/..npy", "journal.sqlite3"
    };
    char path[FIXTURE_PATH_MAX];
    struct why why;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(clerk_published_path("/s", 1, bad[i], path, sizeof path, &why), ERR_USAGE);
    assert_int_equal(clerk_published_path("/s", 1, "output/a.npy", path, sizeof path, &why), ERR_OK);
    assert_string_equal(path, "/s/spool/1/published/output/a.npy");
    assert_int_equal(clerk_published_path("/s", 1, "output.jsonl", path, 10, &why), ERR_LIMIT);
}

/* What was not carried out is dropped, and freed. */
static void test_free_drops(void **state)
{
    (void)state;
    enum { COMMANDS = 200 };
    struct clerk *clerk = new_clerk();
    released = 0;
    for (int i = 0; i < COMMANDS; i++) {
        struct clerk_command *command = read_order(fixture_path("none"), 0, 1);
        command->release = count_release;
        clerk_post(clerk, &command);
    }
    clerk_free(&clerk);
    assert_int_equal(released, COMMANDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_blob, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_publish, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_published_path, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_free_drops, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
