// SPDX-License-Identifier: Apache-2.0
#include "buyer.h"

#include "rng.h"
#include "sim_fixture.h"

static struct why why;

/* Every combination, the slow way: those that the bound allows, by cost. */
static size_t all_costs(const struct fleet *fleet, uint64_t samples, double deadline, double *costs,
                        size_t max)
{
    size_t found = 0;
    uint32_t counts[8];
    for (uint32_t g = 0; g < fleet->groups_count; g++)
        counts[g] = fleet->groups[g].count_min;
    for (;;) {
        double work = 0, cost = 0;
        uint32_t g = 0;
        for (uint32_t i = 0; i < fleet->groups_count; i++) {
            const struct fleet_worker *worker = &fleet->groups[i].worker;
            work += counts[i] * scenario_worker_samples(fleet, worker, deadline);
            cost += counts[i] * worker->price_per_hour;
        }
        if (work >= (double)samples * (1 - 1e-12) && found < max)
            costs[found++] = cost;
        while (g < fleet->groups_count && counts[g] == fleet->groups[g].count_max) {
            counts[g] = fleet->groups[g].count_min;
            g++;
        }
        if (g == fleet->groups_count)
            return found;
        counts[g]++;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct fleet *random_fleet(struct rng *rng)
{
    char text[2048];
    size_t used = (size_t)snprintf(text, sizeof text, "workers:\n");
    uint32_t groups = 1 + (uint32_t)rng_below(rng, 4);
    for (uint32_t i = 0; i < groups; i++) {
        uint32_t least = (uint32_t)rng_below(rng, 3), most = least + 1 + (uint32_t)rng_below(rng, 5);
        used += (size_t)snprintf(
            text + used, sizeof text - used,
            "  - name: g%u\n    count: %u..%u\n    price_per_hour: %g\n    load_seconds: %g\n"
            "    curve: { alpha_ms: 0, beta_ms: %u, batch_max: 4 }\n",
            i, least, most, 0.25 * (double)rng_below(rng, 9), 0.5 * (double)rng_below(rng, 4),
            1 + (uint32_t)rng_below(rng, 40));
    }
    return fleet_of(text);
}

/* In order of cost, none left out, none twice: the same costs as by trying everything. */
static void the_search_finds_all_in_order(void **state)
{
    (void)state;
    static double expected[20000];
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rng rng;
        uint32_t counts[8];
        double hourly;
        bool gave_up = false;
        rng_init(&rng, seed);
        struct fleet *fleet = random_fleet(&rng);
        uint64_t samples = rng_below(&rng, 4000);
        double deadline = 0.5 * (double)(1 + rng_below(&rng, 10));
        size_t count = all_costs(fleet, samples, deadline, expected, 20000), found = 0;
        qsort(expected, count, sizeof *expected, by_value);
        struct buyer_search *search = buyer_search_new(fleet, samples, deadline, BUYER_PRICE);
        for (; buyer_search_next(search, counts, &hourly, &gave_up); found++)
            if (found >= count || hourly < expected[found] - 1e-9 || hourly > expected[found] + 1e-9)
                fail_msg("seed %llu: fleet %zu of %zu costs %g", (unsigned long long)seed, found, count,
                         hourly);
        if (found != count || gave_up)
            fail_msg("seed %llu: %zu of %zu fleets", (unsigned long long)seed, found, count);
        buyer_search_free(&search);
        fleet_free(&fleet);
    }
}

#define SHOP                                                                                                 \
    "workers:\n"                                                                                             \
    "  - { name: big, count: 0..3, price_per_hour: 10, curve: { alpha_ms: 0, beta_ms: 1, batch_max: 16 } "   \
    "}\n"                                                                                                    \
    "  - { name: small, count: 0..20, price_per_hour: 1.5, curve: { alpha_ms: 0, beta_ms: 10, batch_max: 4 " \
    "} }\n"

static struct buyer_question question_of(uint64_t samples, double deadline)
{
    return (struct buyer_question){ .plan = { .samples = samples, .warm = true },
                                    .seed_first = 1,
                                    .seed_last = 1,
                                    .deadline_seconds = deadline };
}

static void the_cheapest_that_is_in_time(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of(SHOP);
    struct buyer_question question = question_of(12600, 10.1);
    struct buyer_answer answer;
    assert_true(buyer_asks(fleet));
    /* 1248 a second: one big one and three small ones, 14.5 an hour; thirteen small ones would cost 19.5. */
    assert_int_equal(buyer_ask(fleet, &question, &answer, &why), ERR_OK);
    assert_true(answer.best.there && answer.exhaustive);
    assert_int_equal(answer.currency, BUYER_PRICE);
    assert_int_equal(answer.best.counts[0], 1);
    assert_int_equal(answer.best.counts[1], 3);
    assert_true(answer.best.hourly == 14.5 && answer.best.makespan_seconds <= 10.1);
    assert_true(answer.runner_up.there && answer.runner_up.hourly >= 14.5);
    assert_true(answer.near.there && answer.near.hourly < 14.5 && answer.near.makespan_seconds > 10.1);
    assert_int_equal(fleet->workers_count, 4);
    buyer_answer_fini(&answer);
    fleet_free(&fleet);
}

static void nothing_is_in_time(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of(SHOP);
    struct buyer_question question = question_of(1000000, 10);
    struct buyer_answer answer;
    assert_int_equal(buyer_ask(fleet, &question, &answer, &why), ERR_OK);
    assert_false(answer.best.there);
    assert_true(answer.near.there && answer.near.makespan_seconds > 10);
    assert_int_equal(answer.near.counts[0], 3);
    assert_int_equal(answer.near.counts[1], 20);
    buyer_answer_fini(&answer);
    fleet_free(&fleet);
}

/* Round trips of 0.6 s, of which the bound knows nothing: of the hundreds of fleets that it allows none is in
 * time. */
static void a_tightened_bound_is_said(void **state)
{
    (void)state;
    struct fleet *fleet =
        fleet_of("workers:\n"
                 "  - { name: a, count: 1..60, price_per_hour: 1, link: { rtt_ms: 600 },\n"
                 "      curve: { alpha_ms: 0, beta_ms: 10, batch_max: 8 } }\n"
                 "  - { name: b, count: 1..60, price_per_hour: 1.01, link: { rtt_ms: 600 },\n"
                 "      curve: { alpha_ms: 0, beta_ms: 10, batch_max: 8 } }\n");
    struct buyer_question question = question_of(1000, 3);
    struct buyer_answer answer;
    assert_int_equal(buyer_ask(fleet, &question, &answer, &why), ERR_OK);
    assert_true(answer.best.there && answer.best.makespan_seconds <= 3);
    assert_in_range(answer.best.workers, 8, 60);
    assert_true(answer.near.there && answer.near.makespan_seconds > 3);
    assert_true(answer.near.hourly < answer.best.hourly);
    assert_in_range(answer.simulated, BUYER_SIMULATIONS_A_ROUND + 1, 2 * BUYER_SIMULATIONS_MAX);
    assert_false(answer.exhaustive);
    buyer_answer_fini(&answer);
    fleet_free(&fleet);
}

static void without_prices_watts_then_workers(void **state)
{
    (void)state;
    struct fleet *fleet =
        fleet_of("workers:\n  - { name: a, count: 1..9, power: { busy_watts: 50 }, curve: { alpha_ms: "
                 "0, beta_ms: 10 } }\n  - { name: b, count: 0..9, power: { busy_watts: 5 }, curve: { "
                 "alpha_ms: 0, beta_ms: 20 } }\n");
    struct buyer_question question = question_of(1980, 10);
    struct buyer_answer answer;
    assert_int_equal(buyer_ask(fleet, &question, &answer, &why), ERR_OK);
    assert_int_equal(answer.currency, BUYER_WATTS);
    assert_int_equal(answer.best.counts[0], 1);
    assert_int_equal(answer.best.counts[1], 2);
    buyer_answer_fini(&answer);
    fleet_free(&fleet);
    fleet = fleet_of("workers:\n  - { name: a, count: 1..9, curve: { alpha_ms: 0, beta_ms: 10 } }\n");
    assert_int_equal(buyer_ask(fleet, &question, &answer, &why), ERR_OK);
    assert_int_equal(answer.currency, BUYER_WORKERS);
    assert_int_equal(answer.best.counts[0], 2);
    assert_int_equal(answer.near.counts[0], 1);
    buyer_answer_fini(&answer);
    fleet_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_search_finds_all_in_order),
        cmocka_unit_test(the_cheapest_that_is_in_time),
        cmocka_unit_test(nothing_is_in_time),
        cmocka_unit_test(a_tightened_bound_is_said),
        cmocka_unit_test(without_prices_watts_then_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
