// SPDX-License-Identifier: Apache-2.0
#include "window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A server that runs up to `lanes` chunks at full speed each, and no more in total beyond that. */
static uint32_t settled(uint32_t lanes, uint32_t from, uint32_t most)
{
    struct window window;
    window_init(&window, from, most);
    uint64_t now_us = 0;
    const uint64_t chunk_us = 100000;
    for (int i = 0; i < 20000; i++) {
        uint32_t running = window.size < lanes ? window.size : lanes;
        now_us += chunk_us / running;
        window_completed(&window, now_us, chunk_us * window.size / running, window.size);
    }
    return window.size;
}

static void it_grows_to_what_the_server_can_use(void **state)
{
    (void)state;
    for (uint32_t lanes = 2; lanes <= 32; lanes += 5) {
        uint32_t size = settled(lanes, 2, 64);
        assert_in_range(size, lanes, 2 * lanes);
    }
}

static void it_never_passes_its_bound(void **state)
{
    (void)state;
    assert_int_equal(settled(64, 2, 8), 8);
    assert_int_equal(settled(64, 4, 0), 4);
}

static void a_window_that_is_not_full_is_not_judged(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 4, 64);
    for (int i = 1; i < 1000; i++)
        assert_false(window_completed(&window, (uint64_t)i * 1000, 4000, 2));
    assert_int_equal(window.size, 4);
}

static void a_chunk_of_a_shared_slot_costs_its_share(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 8, 16);
    assert_true(window_cost_us(&window, 8000, 8) == 1000);
    window_init(&window, 2, 0);
    assert_true(window_cost_us(&window, 8000, 2) == 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_to_what_the_server_can_use),
        cmocka_unit_test(it_never_passes_its_bound),
        cmocka_unit_test(a_window_that_is_not_full_is_not_judged),
        cmocka_unit_test(a_chunk_of_a_shared_slot_costs_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
