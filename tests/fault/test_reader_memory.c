// SPDX-License-Identifier: Apache-2.0
/* Readers of files when an allocation fails, each in turn until none does: ERR_MEMORY, and nothing leaks (the
 * sanitizer looks). What is read afterwards is whole. */
#include "ensure.h"
#include "file.h"
#include "fleet.h"
#include "key.h"
#include "keyring.h"
#include "npy.h"
#include "require.h"
#include "starve.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { KEYS = 5, ALLOCATIONS_MAX = 2000 };

static char folder[64], path[128];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/motley-starve-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    struct why why;
    (void)state;
    return file_remove_tree(folder, &why) != ERR_OK;
}

/* read must fail with ERR_MEMORY as long as an allocation of it fails. */
static void starve_reader(enum err (*read)(struct why *why))
{
    struct why why;
    long at = 0, made;
    enum err err;
    do {
        assert_true(++at < ALLOCATIONS_MAX);
        starve_count = 0;
        starve_at = at;
        err = read(&why);
        made = starve_count;
        starve_at = 0;
        if (err != ERR_OK && err != ERR_MEMORY)
            printf("allocation %ld: %s\n", at, why.text);
        assert_true(err == ERR_MEMORY || err == ERR_OK);
    } while (made >= at);
    assert_int_equal(err, ERR_OK);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static enum err read_npy(struct why *why)
{
    struct npy_array array;
    uint64_t size;
    int64_t mtime_ns;
    return npy_open(path, &array, &size, &mtime_ns, why);
}

static void test_npy(void **state)
{
    (void)state;
    struct tensor_spec spec = { .dtype = DTYPE_F32, .dims_count = 1, .dims = { 4 } };
    uint8_t bytes[4096] = { 0 };
    size_t head = npy_header(&spec, 10, bytes);
    write_file("a.npy", bytes, head + 160);
    starve_reader(read_npy);
}

static enum err read_fleet(struct why *why)
{
    struct fleet *fleet = NULL;
    enum err err = fleet_read(path, &fleet, why);
    assert_true(err != ERR_OK || fleet->workers_count == 3);
    fleet_free(&fleet);
    return err;
}

static void test_fleet(void **state)
{
    (void)state;
    static const char text[] =
        "name: lab\nworkers:\n  - name: a\n    count: 2\n    curve: { alpha_ms: 1, beta_ms: 2 }\n"
        "    labels: { room: b12 }\n  - name: b\n    kind: gpu\n    curve: { alpha_ms: 1, "
        "beta_ms: 2 }\n    faults:\n      - { at_seconds: 1, dies: true }\n";
    write_file("a.yaml", text, sizeof text - 1);
    starve_reader(read_fleet);
}

static enum err add_key(struct why *why)
{
    struct keyring_entry entry = { .role = ROLE_CLIENT, .name = "somebody", .public_half = { 9 } };
    return keyring_add(folder, &entry, why);
}

static enum err read_keyring(struct why *why)
{
    struct keyring *keyring = NULL;
    enum err err = keyring_read(folder, &keyring, why);
    if (err == ERR_OK) {
        assert_int_equal(keyring_count(keyring), KEYS + 1);
        assert_string_equal(keyring_damage(keyring), "");
    }
    keyring_free(&keyring);
    return err;
}

static enum err ensure_key(struct why *why)
{
    struct key key;
    char name[256];
    enum err err = key_path(folder, "own.secret", name, sizeof name, why);
    err = err == ERR_OK ? key_ensure(name, &key, why) : err;
    key_wipe(&key);
    return err;
}

static void test_keys(void **state)
{
    struct why why;
    (void)state;
    for (uint8_t i = 1; i <= KEYS; i++) {
        struct keyring_entry entry = { .role = ROLE_WORKER, .public_half = { i } };
        snprintf(entry.name, sizeof entry.name, "worker %d", i);
        assert_int_equal(keyring_add(folder, &entry, &why), ERR_OK);
    }
    starve_reader(add_key);
    starve_reader(read_keyring);
    starve_reader(ensure_key);
}

static enum err parse_requirement(struct why *why)
{
    static const char text[] = "device.memory >= 16GiB and not (device.kind = cpu or precision has fp16)";
    struct require *require = NULL;
    size_t at;
    enum err err = require_parse(text, sizeof text - 1, &require, &at, why);
    require_free(&require);
    return err;
}

static void test_requirement(void **state)
{
    (void)state;
    starve_reader(parse_requirement);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_npy), cmocka_unit_test(test_fleet),
                                        cmocka_unit_test(test_keys), cmocka_unit_test(test_requirement) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
