// SPDX-License-Identifier: Apache-2.0
#include "file.h"
#include "key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

static char folder[64], path[128], other[128];
static struct why why;

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/motley-key-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/keys/own.secret", folder);
    snprintf(other, sizeof other, "%s/keys/own.public", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return file_remove_tree(folder, &why);
}

static const char *read_text(const char *from)
{
    static char text[256];
    FILE *file = fopen(from, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void write_text(const char *to, const char *text, mode_t mode)
{
    FILE *file = fopen(to, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(to, mode), 0);
}

/* RFC 32's own example, and a key whose halves libzmq agrees belong together. */
static void test_text(void **state)
{
    (void)state;
    char text[KEY_TEXT_MAX], derived[KEY_TEXT_MAX], secret[KEY_TEXT_MAX];
    struct key key;
    uint8_t half[KEY_BYTES];
    assert_int_equal(key_make(&key, &why), ERR_OK);
    key_text(key.public_half, text);
    key_text(key.secret_half, secret);
    assert_int_equal(strlen(text), 40);
    assert_int_equal(zmq_curve_public(derived, secret), 0);
    assert_string_equal(derived, text);
    assert_int_equal(key_parse(text, half, &why), ERR_OK);
    assert_true(key_same(half, key.public_half));
    assert_false(key_same(half, key.secret_half));
    char quoted[64];
    snprintf(quoted, sizeof quoted, "  '%s'\n", text);
    assert_int_equal(key_parse(quoted, half, &why), ERR_OK);
    snprintf(quoted, sizeof quoted, "\"%s\"", text);
    assert_int_equal(key_parse(quoted, half, &why), ERR_OK);
}

static void test_bad_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "'",
        "''",
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf",
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf77",
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]y~7",
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]y 7",
        "%nSc0%nSc1%nSc1%nSc1%nSc1%nSc1%nSc1%nSc\xff",
        "#################################%nSc1##",
    };
    uint8_t half[KEY_BYTES];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (key_parse(texts[i], half, &why) != ERR_USAGE || !*why.text)
            fail_msg("'%s' was taken for a key", texts[i]);
}

/* What is pasted must be what was printed. */
static void test_plain_to_paste(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct key key;
        char halves[2][KEY_TEXT_MAX];
        assert_int_equal(key_make(&key, &why), ERR_OK);
        key_text(key.public_half, halves[0]);
        key_text(key.secret_half, halves[1]);
        for (int k = 0; k < 2; k++) {
            char command[128], echoed[64] = "";
            assert_null(strpbrk(halves[k], "!#$&()*<>?[]^`{}'\"\\|;~ "));
            snprintf(command, sizeof command, "echo %s", halves[k]);
            FILE *pipe = popen(command, "r");
            assert_non_null(fgets(echoed, sizeof echoed, pipe));
            assert_int_equal(pclose(pipe), 0);
            echoed[strcspn(echoed, "\n")] = '\0';
            assert_string_equal(echoed, halves[k]);
        }
    }
}

static void test_files(void **state)
{
    (void)state;
    static const struct key none;
    struct key key, loaded;
    struct stat status;
    uint8_t half[KEY_BYTES];
    assert_int_equal(key_load(path, &loaded, &why), ERR_NOT_FOUND);
    assert_int_equal(key_make(&key, &why), ERR_OK);
    assert_int_equal(key_save(path, &key, &why), ERR_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(stat(other, &status), 0);
    assert_int_equal(status.st_mode & 0111, 0);
    assert_int_equal(key_load(path, &loaded, &why), ERR_OK);
    assert_memory_equal(&loaded, &key, sizeof key);
    assert_int_equal(key_given(other, half, &why), ERR_OK);
    assert_memory_equal(half, key.public_half, KEY_BYTES);
    /* Never replaced, and nothing is left beside it. */
    assert_int_equal(key_make(&key, &why), ERR_OK);
    assert_int_equal(key_save(path, &key, &why), ERR_REFUSED);
    assert_int_equal(key_load(path, &key, &why), ERR_OK);
    assert_memory_equal(&loaded, &key, sizeof key);
    char command[160];
    snprintf(command, sizeof command, "test $(ls -A %s/keys | wc -l) = 2", folder);
    assert_int_equal(system(command), 0);
    key_wipe(&key);
    assert_memory_equal(&key, &none, sizeof key);
}

static void test_loose_files(void **state)
{
    (void)state;
    static const mode_t loose[] = { 0640, 0604, 0660, 0602, 0610, 0644 };
    struct key key;
    char linked[160];
    assert_int_equal(key_ensure(path, &key, &why), ERR_OK);
    for (size_t i = 0; i < sizeof loose / sizeof loose[0]; i++) {
        assert_int_equal(chmod(path, loose[i]), 0);
        assert_int_equal(key_load(path, &key, &why), ERR_REFUSED);
        assert_non_null(strstr(why.text, "chmod 600"));
        assert_int_equal(key_ensure(path, &key, &why), ERR_REFUSED);
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(key_load(path, &key, &why), ERR_OK);
    snprintf(linked, sizeof linked, "%s/linked.secret", folder);
    assert_int_equal(symlink(path, linked), 0);
    assert_int_equal(key_load(linked, &key, &why), ERR_REFUSED);
    assert_int_equal(unlink(linked), 0);
    assert_int_equal(mkfifo(linked, 0600), 0);
    assert_int_equal(key_load(linked, &key, &why), ERR_REFUSED);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 1, 1), 0);
        assert_int_equal(key_load(path, &key, &why), ERR_REFUSED);
    }
}

static void test_damaged_files(void **state)
{
    (void)state;
    struct key key;
    uint8_t half[KEY_BYTES];
    char text[KEY_TEXT_MAX];
    assert_int_equal(key_ensure(path, &key, &why), ERR_OK);
    write_text(path, "no key\n", 0600);
    assert_int_equal(key_load(path, &key, &why), ERR_FORMAT);
    assert_int_equal(key_ensure(path, &key, &why), ERR_FORMAT);
    assert_string_equal(read_text(path), "no key\n");
    assert_int_equal(key_given("/no/such/file", half, &why), ERR_USAGE);
    assert_int_equal(key_given(path, half, &why), ERR_FORMAT);
    /* A start that was cut between the two files. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(key_ensure(path, &key, &why), ERR_OK);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(key_ensure(path, &key, &why), ERR_OK);
    key_text(key.public_half, text);
    assert_memory_equal(read_text(other), text, 40);
}

/* Processes that start together end with one key. */
static void test_ensure_at_once(void **state)
{
    (void)state;
    enum { PROCESSES = 6 };
    int pipes[2];
    struct key key, one;
    assert_int_equal(pipe(pipes), 0);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() != 0)
            continue;
        enum err err = key_ensure(path, &key, &why);
        ssize_t written = write(pipes[1], &key, sizeof key);
        _exit(err == ERR_OK && written == sizeof key ? 0 : 1);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(key_load(path, &key, &why), ERR_OK);
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(read(pipes[0], &one, sizeof one), sizeof one);
        assert_memory_equal(&one, &key, sizeof key);
    }
    close(pipes[0]);
    close(pipes[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_text),        TEST(test_bad_text),      TEST(test_plain_to_paste), TEST(test_files),
        TEST(test_loose_files), TEST(test_damaged_files), TEST(test_ensure_at_once),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
