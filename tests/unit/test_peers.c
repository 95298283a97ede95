// SPDX-License-Identifier: Apache-2.0
#include "peers.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { IDS = 500, STEPS = 20000 };

/* Against a plain array: random additions and removals of a few hundred ids. */
static void the_table_remembers(void **state)
{
    (void)state;
    struct peers *peers = peers_new(IDS);
    bool there[IDS + 1] = { false };
    size_t count = 0;
    struct rng rng;
    uint64_t seed = 20260101;
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed);
    for (int step = 0; step < STEPS; step++) {
        wire_peer id = 1 + rng_below(&rng, IDS);
        if (rng_below(&rng, 5) < 3) {
            assert_non_null(peers_add(peers, id, DIALOGUE_CLIENT));
            count += !there[id];
            there[id] = true;
        } else {
            peers_remove(peers, id);
            count -= there[id];
            there[id] = false;
        }
        assert_int_equal(peers_count(peers), count);
        wire_peer other = 1 + rng_below(&rng, IDS);
        assert_int_equal(peers_find(peers, other) != NULL, there[other]);
        assert_int_equal(peers_find(peers, id) != NULL, there[id]);
    }
    for (wire_peer id = 1; id <= IDS; id++)
        assert_int_equal(peers_find(peers, id) != NULL, there[id]);
    peers_free(&peers);
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct peers *peers = peers_new(2);
    assert_non_null(peers_add(peers, 7, DIALOGUE_WORKER));
    assert_non_null(peers_add(peers, 8, DIALOGUE_WORKER));
    assert_null(peers_add(peers, 9, DIALOGUE_WORKER));
    assert_non_null(peers_add(peers, 8, DIALOGUE_CLIENT));
    assert_null(peers_find(peers, 0));
    assert_null(peers_add(peers, 0, DIALOGUE_CLIENT));
    peers_free(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_table_remembers),
                                        cmocka_unit_test(it_is_bounded) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
