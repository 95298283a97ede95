// SPDX-License-Identifier: Apache-2.0
/* invite: what is printed is what is read, whatever letters the keys have; anything less is refused. */
#include "invite.h"

#include "client_fixture.h"

static struct invite example(const char *url)
{
    struct invite invite = { .has_server = true, .has_token = true };
    struct key server;
    struct why why;
    assert_int_equal(key_make(&server, &why), ERR_OK);
    assert_int_equal(key_make(&invite.token, &why), ERR_OK);
    memcpy(invite.server_half, server.public_half, KEY_BYTES);
    snprintf(invite.url, sizeof invite.url, "%s", url);
    return invite;
}

static void check_same(const struct invite *one, const struct invite *other)
{
    assert_string_equal(one->url, other->url);
    assert_int_equal(one->has_token, other->has_token);
    assert_memory_equal(one->server_half, other->server_half, KEY_BYTES);
    assert_memory_equal(&one->token, &other->token, sizeof one->token);
}

static void test_a_line_that_was_printed_is_read(void **state)
{
    (void)state;
    static const char *const urls[] = { "tcp://10.0.0.5:7117", "tcp://gpu.example:1", "tcp://[::1]:65535" };
    char line[INVITE_LINE_MAX];
    struct why why;
    for (int round = 0; round < 12; round++) {
        struct invite invite = example(urls[round % 3]), read;
        invite_print(&invite, "motley-worker", line);
        assert_int_equal(strncmp(line, "motley-worker join ", 19), 0);
        assert_int_equal(strchr(line, '\'') != NULL, round % 3 == 2); /* a shell takes [ for itself */
        assert_int_equal(invite_parse(line, &read, &why), ERR_OK);    /* the line as one word */
        check_same(&invite, &read);
        char *word = line + 19 + (line[19] == '\'');
        word[strcspn(word, "'")] = 0;
        assert_int_equal(invite_parse(word, &read, &why), ERR_OK);
        check_same(&invite, &read);
    }
}

/* Of Z85's letters, these are the ones that the parts are told apart by. */
static void test_keys_may_hold_the_marks(void **state)
{
    (void)state;
    char text[INVITE_MAX], server[KEY_TEXT_MAX], token[KEY_TEXT_MAX];
    struct invite read;
    struct why why;
    snprintf(server, sizeof server, "%s", ".#.#..#.#..#.#..#.#..#.#..#.#..#.#..#.#.");
    snprintf(token, sizeof token, "%s", ".####.####.####.####.####.####.####.####");
    snprintf(text, sizeof text, "tcp://h:1#%s.%s", server, token);
    enum err err = invite_parse(text, &read, &why);
    if (err != ERR_OK)
        fail_msg("%s", why.text);
    char again[KEY_TEXT_MAX];
    key_text(read.server_half, again);
    assert_string_equal(again, server);
    key_text(read.token.secret_half, again);
    assert_string_equal(again, token);
    assert_string_equal(read.url, "tcp://h:1");
}

static void test_less_than_all_of_it_is_refused(void **state)
{
    (void)state;
    char line[INVITE_LINE_MAX];
    struct invite invite = example("tcp://10.0.0.5:7117"), read;
    struct why why;
    invite_print(&invite, "motley", line);
    char *word = line + strlen("motley join ");
    for (size_t size = strlen(word); size-- > 0;) {
        word[size] = 0;
        assert_int_equal(invite_parse(word, &read, &why), ERR_USAGE);
        assert_true(why.text[0] != 0);
    }
    invite_print(&invite, "motley", line);
    word[strlen(word) - 5] = '~'; /* not of Z85 */
    assert_int_equal(invite_parse(word, &read, &why), ERR_USAGE);
}

static void test_doctor_takes_less(void **state)
{
    (void)state;
    char place[INVITE_MAX], line[INVITE_LINE_MAX];
    struct invite invite = example("tcp://10.0.0.5:7117"), read;
    struct why why;
    assert_int_equal(invite_parse_place("tcp://10.0.0.5:7117", &read, &why), ERR_OK);
    assert_false(read.has_server || read.has_token);
    assert_int_equal(invite_parse_place("ipc:///run/x.sock", &read, &why), ERR_OK);
    invite_print_place(&invite, place);
    assert_int_equal(invite_parse_place(place, &read, &why), ERR_OK);
    assert_true(read.has_server && !read.has_token);
    assert_memory_equal(read.server_half, invite.server_half, KEY_BYTES);
    assert_int_equal(invite_parse(place, &read, &why), ERR_USAGE);
    invite_print(&invite, "motley", line);
    assert_int_equal(invite_parse_place(line, &read, &why), ERR_OK);
    assert_true(read.has_server && read.has_token);
    static const char *const wrong[] = { "", "#", "tcp://h", "http://h:1", "tcp://h:1#", "tcp://h:1#abc" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(invite_parse_place(wrong[i], &read, &why), ERR_USAGE);
    char longer[3 * INVITE_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(invite_parse_place(longer, &read, &why), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_that_was_printed_is_read),
        cmocka_unit_test(test_keys_may_hold_the_marks),
        cmocka_unit_test(test_less_than_all_of_it_is_refused),
        cmocka_unit_test(test_doctor_takes_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
