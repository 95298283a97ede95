// SPDX-License-Identifier: Apache-2.0
/* The order in which jobs are tried, against a second book-keeping that sorts everything each time. */
#include "queue.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { JOBS = 64, TENANTS = 2, POOLS = 2, STEPS = 20000 };

static struct job *make(uint64_t id, int32_t priority, uint32_t tenant, uint32_t pool, uint64_t deadline_us)
{
    struct sched_event add = { .type = SCHED_JOB_ADD, .job = id };
    add.add.samples = 1000000;
    add.add.priority = priority;
    add.add.tenant = tenant;
    add.add.deadline_us = deadline_us;
    struct job *job = job_new(&add, 0);
    assert_non_null(job);
    job->pool = pool;
    return job;
}

static void set_work(struct queues *queues, struct job *job, bool work, uint64_t now)
{
    ranges_remove(&job->ready, 0, job->samples);
    if (work)
        ranges_add(&job->ready, 0, job->samples);
    queue_touch(queues, job, now);
}

/* ---- walks ---- */

struct walk {
    uint32_t count, most;
    uint64_t ids[JOBS];
    uint32_t closed_pool; /* no queue of this pool is able; UINT32_MAX = all are */
};

static bool able(void *context, const struct queue *queue)
{
    const struct walk *walk = context;
    return queue->pool != walk->closed_pool;
}

static bool visit(void *context, struct job *job)
{
    struct walk *walk = context;
    walk->ids[walk->count++] = job->id;
    return walk->count < walk->most;
}

static void take_walk(struct queues *queues, uint64_t now, uint32_t most, uint32_t closed, struct walk *walk)
{
    *walk = (struct walk){ .most = most, .closed_pool = closed };
    queue_walk(queues, now, able, visit, walk);
}

static uint64_t first_of(struct queues *queues, uint64_t now)
{
    struct walk walk;
    take_walk(queues, now, 1, UINT32_MAX, &walk);
    return walk.count ? walk.ids[0] : 0;
}

/* ---- scripted ---- */

static void the_more_urgent_goes_first_until_the_other_has_aged(void **state)
{
    (void)state;
    struct queues queues;
    queues_init(&queues);
    struct job *low = make(1, 0, 0, 0, 0), *high = make(2, 2, 0, 0, 0), *all[] = { low, high };
    queue_touch(&queues, low, 0);
    queue_touch(&queues, high, 0);
    uint64_t turned = 0;
    for (uint64_t now = 0; now < 100000000 && !turned; now += 1000000) {
        uint64_t first = first_of(&queues, now);
        if (first == 1)
            turned = now;
        else
            queue_charge(&queues, high, 1000, 1, now); /* it is served all the time */
        queues_check(&queues, all, 2);
    }
    assert_int_equal(turned, 60000000); /* two levels: as urgent after 60 s, and its tenant's older queue */
    queue_charge(&queues, low, 1000, 1, turned);
    assert_int_equal(first_of(&queues, turned + 1000000), 2); /* one chunk, and it is young again */
    struct job *jobs[] = { low, high };
    for (int i = 0; i < 2; i++) {
        queue_leave(&queues, jobs[i]);
        job_free(&jobs[i]);
    }
    queues_fini(&queues);
}

static void tenants_get_device_time_by_weight(void **state)
{
    (void)state;
    struct queues queues;
    queues_init(&queues);
    struct job *jobs[] = { make(1, 0, 0, 0, 0), make(2, 0, 1, 0, 0) };
    queues.tenants[0].weight = 3;
    double used[2] = { 0, 0 };
    struct rng rng;
    rng_init(&rng, 11);
    for (int i = 0; i < 2; i++)
        queue_touch(&queues, jobs[i], 0);
    for (int i = 0; i < 4000; i++) {
        uint64_t first = first_of(&queues, (uint64_t)i);
        double us = 1000 + (double)rng_below(&rng, 2000);
        queue_charge(&queues, jobs[first - 1], us, 100000, (uint64_t)i);
        used[first - 1] += us;
    }
    double share = used[0] / (used[0] + used[1]);
    assert_true(share > 0.749 && share < 0.751);
    /* what was charged too much is given back: it may go first for as long */
    queue_correct(&queues, 1, -50000);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(first_of(&queues, 5000), 2);
        queue_charge(&queues, jobs[1], 4000, 100000, 5000);
    }
    for (int i = 0; i < 2; i++) {
        queue_leave(&queues, jobs[i]);
        job_free(&jobs[i]);
    }
    queues_fini(&queues);
}

static void who_comes_back_brings_no_old_claims(void **state)
{
    (void)state;
    struct queues queues;
    queues_init(&queues);
    struct job *jobs[] = { make(1, 0, 0, 0, 0), make(2, 0, 1, 0, 0) };
    queue_touch(&queues, jobs[0], 0);
    for (int i = 0; i < 1000; i++)
        queue_charge(&queues, jobs[0], 1000, 100000, 0);
    queue_touch(&queues, jobs[1], 0); /* it slept through a million microseconds */
    uint32_t in_a_row = 0;
    while (first_of(&queues, 0) == 2 && in_a_row < 100) {
        queue_charge(&queues, jobs[1], 1000, 100000, 0);
        in_a_row++;
    }
    assert_true(in_a_row <= 2);
    for (int i = 0; i < 2; i++) {
        queue_leave(&queues, jobs[i]);
        job_free(&jobs[i]);
    }
    queues_fini(&queues);
}

static void deadlines_first_then_age(void **state)
{
    (void)state;
    struct queues queues;
    queues_init(&queues);
    struct job *jobs[] = { make(1, 0, 0, 0, 0), make(2, 0, 0, 0, 900), make(3, 0, 0, 0, 700),
                           make(4, 0, 0, 0, 0) };
    struct walk walk;
    for (int i = 3; i >= 0; i--)
        queue_touch(&queues, jobs[i], 0);
    take_walk(&queues, 0, JOBS, UINT32_MAX, &walk);
    const uint64_t order[] = { 3, 2, 1, 4 };
    assert_int_equal(walk.count, 4);
    assert_memory_equal(walk.ids, order, sizeof order);
    /* one with a deadline does not sink, however long it runs */
    queue_charge(&queues, jobs[2], 1e12, 1, 0);
    queue_charge(&queues, jobs[0], 1e12, 1, 0);
    assert_int_equal(jobs[2]->level, 0);
    assert_int_equal(jobs[0]->level, QUEUE_LEVELS - 1);
    for (int i = 0; i < 4; i++) {
        queue_leave(&queues, jobs[i]);
        job_free(&jobs[i]);
    }
    queues_fini(&queues);
}

/* One job on each level, all with work without end: their shares are as the levels' weights. */
static void levels_share_8_4_2_1(void **state)
{
    (void)state;
    struct queues queues;
    queues_init(&queues);
    const double past_us[] = { 0, 50e6, 500e6, 5000e6 }; /* on one slot: levels 1 to 4 */
    struct job *jobs[4];
    double used[4] = { 0 };
    for (int i = 0; i < 4; i++) {
        jobs[i] = make((uint64_t)i + 1, 0, 0, 0, 0);
        queue_charge(&queues, jobs[i], past_us[i], 1, 0);
        queue_touch(&queues, jobs[i], 0);
        assert_int_equal(jobs[i]->level, i + 1);
    }
    for (int i = 0; i < 1500; i++) {
        uint64_t first = first_of(&queues, 0);
        queue_charge(&queues, jobs[first - 1], 100, 1, 0);
        used[first - 1] += 100;
    }
    for (int i = 0; i < 4; i++) {
        double wanted = 150000 * (double)(8 >> i) / 15;
        assert_true(used[i] > wanted - 200 && used[i] < wanted + 200);
        assert_int_equal(jobs[i]->level, i + 1);
    }
    /* the same time on ten slots is a tenth for each: it stays where short jobs are */
    struct job *wide = make(9, 0, 0, 1, 0);
    queue_touch(&queues, wide, 0);
    queue_charge(&queues, wide, 50e6, 10, 0);
    assert_int_equal(wide->level, 1);
    queue_leave(&queues, wide);
    job_free(&wide);
    for (int i = 0; i < 4; i++) {
        queue_leave(&queues, jobs[i]);
        job_free(&jobs[i]);
    }
    queues_fini(&queues);
}

/* ---- at random, against a reference ---- */

struct book_queue {
    int32_t priority;
    uint32_t tenant, pool;
    uint64_t served_us;
    double level_us[QUEUE_LEVELS];
};

struct book {
    struct book_queue queues[JOBS * 8];
    uint32_t count;
    double tenant_us[TENANTS], weight[TENANTS], floor_us;
    struct job *jobs[JOBS];
    bool inside[JOBS];
    uint32_t level[JOBS];
    double used_us[JOBS];
};

static struct book_queue *book_queue(struct book *book, const struct job *job)
{
    for (uint32_t i = 0; i < book->count; i++)
        if (book->queues[i].priority == job->priority && book->queues[i].tenant == job->tenant &&
            book->queues[i].pool == job->pool)
            return &book->queues[i];
    struct book_queue *fresh = &book->queues[book->count++];
    *fresh = (struct book_queue){ .priority = job->priority, .tenant = job->tenant, .pool = job->pool };
    return fresh;
}

static void book_enter(struct book *book, uint32_t at, uint64_t now)
{
    const struct job *job = book->jobs[at];
    struct book_queue *queue = book_queue(book, job);
    bool tenant_was_idle = true, queue_was_empty = true, level_was_empty = true;
    double least = -1;
    for (uint32_t i = 0; i < JOBS; i++) {
        if (!book->inside[i])
            continue;
        bool same = book_queue(book, book->jobs[i]) == queue;
        tenant_was_idle = tenant_was_idle && book->jobs[i]->tenant != job->tenant;
        queue_was_empty = queue_was_empty && !same;
        level_was_empty = level_was_empty && !(same && book->level[i] == book->level[at]);
        double us = queue->level_us[book->level[i]];
        if (same && (least < 0 || us < least))
            least = us;
    }
    double claim_us = -1; /* the least of those who wait for the same slots */
    for (uint32_t i = 0; i < JOBS; i++) {
        const struct job *other = book->jobs[i];
        double us = book->inside[i] ? book->tenant_us[other->tenant] / book->weight[other->tenant] : 0;
        if (book->inside[i] && other->pool == job->pool && other->tenant != job->tenant &&
            (claim_us < 0 || us < claim_us))
            claim_us = us;
    }
    double floor_us = (claim_us < 0 ? book->floor_us : claim_us) * book->weight[job->tenant];
    if (tenant_was_idle && book->tenant_us[job->tenant] < floor_us)
        book->tenant_us[job->tenant] = floor_us;
    if (queue_was_empty)
        queue->served_us = now;
    if (level_was_empty && queue->level_us[book->level[at]] < least)
        queue->level_us[book->level[at]] = least;
    book->inside[at] = true;
}

static void book_charge(struct book *book, uint32_t at, double us, uint64_t slots, uint64_t now)
{
    static const double limits[] = { 10e6, 100e6, 1000e6 }, weights[] = { 1, 8, 4, 2, 1 };
    const struct job *job = book->jobs[at];
    double before = book->tenant_us[job->tenant] / book->weight[job->tenant];
    book->floor_us = before > book->floor_us ? before : book->floor_us;
    book->tenant_us[job->tenant] += us;
    book->used_us[at] += us;
    struct book_queue *queue = book_queue(book, job);
    if (book->inside[at]) {
        queue->served_us = now;
        queue->level_us[book->level[at]] += us / weights[book->level[at]];
    }
    uint32_t level = job->deadline_us ? 0 : 1;
    for (uint32_t i = 0; i < 3 && !job->deadline_us; i++)
        level += book->used_us[at] / (double)slots > limits[i];
    if (level == book->level[at])
        return;
    bool inside = book->inside[at];
    book->inside[at] = false;
    book->level[at] = level;
    if (inside)
        book_enter(book, at, now);
}

static struct book *sorting;
static uint64_t sorting_now;

static int compare_doubles(double a, double b) { return a < b ? -1 : a > b; }

static int by_turn(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const struct job *p = sorting->jobs[x], *q = sorting->jobs[y];
    struct book_queue *m = book_queue(sorting, p), *n = book_queue(sorting, q);
    int order = 0;
    if (m != n) {
        int64_t u = m->priority + (int64_t)((sorting_now - m->served_us) / 30000000),
                v = n->priority + (int64_t)((sorting_now - n->served_us) / 30000000);
        order = u > v ? -1 : u < v;
        order = order ? order
                      : compare_doubles(sorting->tenant_us[m->tenant] / sorting->weight[m->tenant],
                                        sorting->tenant_us[n->tenant] / sorting->weight[n->tenant]);
        order = order ? order : m->tenant < n->tenant ? -1 : m->tenant > n->tenant;
        order = order ? order : m->served_us < n->served_us ? -1 : m->served_us > n->served_us;
        order = order ? order : m->pool < n->pool ? -1 : m->pool > n->pool;
        /* two priorities of one tenant and pool may be as urgent: the ordinarily more urgent first */
        return order ? order : m->priority > n->priority ? -1 : 1;
    }
    if (sorting->level[x] != sorting->level[y]) {
        if (sorting->level[x] == 0 || sorting->level[y] == 0)
            return sorting->level[x] == 0 ? -1 : 1;
        order = compare_doubles(m->level_us[sorting->level[x]], m->level_us[sorting->level[y]]);
        return order ? order : sorting->level[x] < sorting->level[y] ? -1 : 1;
    }
    uint64_t d = p->deadline_us ? p->deadline_us : UINT64_MAX,
             e = q->deadline_us ? q->deadline_us : UINT64_MAX;
    return d != e ? (d < e ? -1 : 1) : p->id < q->id ? -1 : 1;
}

static void compare_walks(struct book *book, struct queues *queues, uint64_t now, uint32_t closed)
{
    uint32_t order[JOBS], count = 0;
    struct walk walk;
    for (uint32_t i = 0; i < JOBS; i++)
        if (book->inside[i] && book->jobs[i]->pool != closed)
            order[count++] = i;
    sorting = book;
    sorting_now = now;
    qsort(order, count, sizeof order[0], by_turn);
    take_walk(queues, now, JOBS + 1, closed, &walk);
    assert_int_equal(walk.count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(walk.ids[i], book->jobs[order[i]]->id);
}

static void draw_jobs(struct rng *rng, struct book *book, struct queues *queues)
{
    for (uint32_t i = 0; i < TENANTS; i++)
        queues->tenants[i].weight = book->weight[i] = 1 + (double)i;
    for (uint32_t i = 0; i < JOBS; i++) {
        book->jobs[i] =
            make(i + 1, (int32_t)rng_below(rng, 2), (uint32_t)rng_below(rng, TENANTS),
                 (uint32_t)rng_below(rng, POOLS), rng_below(rng, 4) ? 0 : 1 + rng_below(rng, 1000));
        book->level[i] = book->jobs[i]->level;
        set_work(queues, book->jobs[i], false, 0);
    }
}

static void any_order_of_events_gives_the_same_turns(void **state)
{
    (void)state;
    static struct book book;
    static struct queues queues;
    uint64_t now = 0, seed = 20240607;
    struct rng rng;
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed);
    queues_init(&queues);
    draw_jobs(&rng, &book, &queues);
    for (int step = 0; step < STEPS; step++) {
        uint32_t at = (uint32_t)rng_below(&rng, JOBS);
        struct job *job = book.jobs[at];
        now += rng_below(&rng, 2000000);
        double us = (double)rng_below(&rng, 20000000);
        uint64_t slots = 1 + rng_below(&rng, 8);
        switch (rng_below(&rng, 4)) {
        case 0:
            if (!book.inside[at])
                book_enter(&book, at, now);
            set_work(&queues, job, true, now);
            break;
        case 1:
            book.inside[at] = false;
            set_work(&queues, job, false, now);
            break;
        case 2:
            queue_charge(&queues, job, us, slots, now);
            book_charge(&book, at, us, slots, now);
            break;
        default: queue_correct(&queues, job->tenant, -us / 2); book.tenant_us[job->tenant] -= us / 2;
        }
        assert_int_equal(job->level, book.level[at]);
        compare_walks(&book, &queues, now, rng_below(&rng, 3) ? UINT32_MAX : 1);
        if (step % 64 == 0)
            queues_check(&queues, book.jobs, JOBS);
    }
    for (uint32_t i = 0; i < JOBS; i++) {
        queue_leave(&queues, book.jobs[i]);
        job_free(&book.jobs[i]);
    }
    assert_false(queues_waiting(&queues));
    queues_fini(&queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_more_urgent_goes_first_until_the_other_has_aged),
        cmocka_unit_test(tenants_get_device_time_by_weight),
        cmocka_unit_test(who_comes_back_brings_no_old_claims),
        cmocka_unit_test(deadlines_first_then_age),
        cmocka_unit_test(levels_share_8_4_2_1),
        cmocka_unit_test(any_order_of_events_gives_the_same_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
