// SPDX-License-Identifier: Apache-2.0
/* The search. With a deadline D, a worker of group g does at most w_g samples by D, so that the bound of a
 * fleet is within D exactly when the sum of n_g * w_g reaches the samples: a covering knapsack. Groups are
 * fixed one after the other, those that cost most per sample first; what the rest needs at least is the
 * knapsack's linear relaxation (cheapest per sample first, fractions allowed). In this order a group's next
 * count never has a smaller least cost, so that a node is pushed only when its smaller sibling is popped.
 * Complete nodes leave the heap in the order of their cost. */
#include "buyer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct group {
    uint32_t index; /* in the fleet */
    uint32_t min, max;
    double price, work; /* of one worker */
};

struct node {
    double least; /* cost of anything that it may become */
    double hourly, work;
    uint64_t order;
    uint32_t depth; /* groups fixed */
    uint32_t counts[BUYER_RANGES_MAX];
};

struct buyer_search {
    const struct fleet *fleet;
    uint32_t groups_count;
    struct group groups[BUYER_RANGES_MAX];
    double need; /* samples */
    double base_hourly, base_work;
    uint64_t order;
    size_t count, capacity;
    bool gave_up;
    struct node *heap;
};

/* ---- the heap of nodes ---- */

static bool before(const struct node *a, const struct node *b)
{
    return a->least < b->least || (a->least == b->least && a->order < b->order);
}

static void swap(struct node *a, struct node *b)
{
    struct node kept = *a;
    *a = *b;
    *b = kept;
}

static void push(struct buyer_search *search, const struct node *node)
{
    if (search->count == search->capacity) {
        size_t capacity = search->capacity ? 2 * search->capacity : 1024;
        struct node *grown =
            capacity <= 2 * BUYER_NODES_MAX ? realloc(search->heap, capacity * sizeof *grown) : NULL;
        search->gave_up = search->gave_up || !grown;
        if (!grown)
            return;
        search->heap = grown;
        search->capacity = capacity;
    }
    size_t at = search->count++;
    search->heap[at] = *node;
    search->heap[at].order = search->order++;
    for (; at > 0 && before(&search->heap[at], &search->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&search->heap[at], &search->heap[(at - 1) / 2]);
}

static bool pop(struct buyer_search *search, struct node *node)
{
    if (search->count == 0)
        return false;
    *node = search->heap[0];
    search->heap[0] = search->heap[--search->count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < search->count; child++)
            if (before(&search->heap[child], &search->heap[least]))
                least = child;
        if (least == at)
            return true;
        swap(&search->heap[at], &search->heap[least]);
        at = least;
    }
}

/* ---- the order of fleets ---- */

static double price_of(const struct fleet_worker *worker, enum buyer_currency currency)
{
    if (currency == BUYER_PRICE)
        return worker->price_per_hour > 0 ? worker->price_per_hour : 0;
    if (currency == BUYER_WATTS)
        return worker->busy_watts > 0 ? worker->busy_watts : 0;
    return 1;
}

/* The dearest per sample first; what does nothing in time before all. */
static int by_dearness(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    double left = x->price * y->work, right = y->price * x->work;
    if ((x->work <= 0) != (y->work <= 0))
        return x->work <= 0 ? -1 : 1;
    if (x->work > 0 && left != right)
        return left > right ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* The least that groups from depth on cost, if work samples are done by the others; negative: they cannot. */
static double relaxed(const struct buyer_search *search, uint32_t depth, double work)
{
    double hourly = 0;
    for (uint32_t g = depth; g < search->groups_count; g++) {
        hourly += search->groups[g].min * search->groups[g].price;
        work += search->groups[g].min * search->groups[g].work;
    }
    for (uint32_t g = search->groups_count; g-- > depth && work < search->need;) {
        const struct group *group = &search->groups[g];
        double more = group->max - group->min, wanted;
        if (group->work <= 0)
            continue;
        wanted = (search->need - work) / group->work;
        more = wanted < more ? wanted : more;
        hourly += more * group->price;
        work += more * group->work;
    }
    return work >= search->need * (1 - 1e-12) ? hourly : -1;
}

/* Fix the next group of node at the least count, from `from` on, that leaves a way. */
static void push_child(struct buyer_search *search, const struct node *parent, uint32_t from)
{
    const struct group *group = &search->groups[parent->depth];
    uint32_t low = from, high = group->max;
    struct node child = *parent;
    child.depth = parent->depth + 1;
    if (from > group->max || relaxed(search, child.depth, parent->work + high * group->work) < 0)
        return;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (relaxed(search, child.depth, parent->work + middle * group->work) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    child.counts[parent->depth] = low;
    child.work = parent->work + low * group->work;
    child.hourly = parent->hourly + low * group->price;
    child.least = child.hourly + relaxed(search, child.depth, child.work);
    push(search, &child);
}

static void push_sibling(struct buyer_search *search, const struct node *node)
{
    const struct group *group = &search->groups[node->depth - 1];
    struct node parent = *node;
    uint32_t count = node->counts[node->depth - 1];
    parent.depth = node->depth - 1;
    parent.work -= count * group->work;
    parent.hourly -= count * group->price;
    push_child(search, &parent, count + 1);
}

struct buyer_search *buyer_search_new(const struct fleet *fleet, uint64_t samples, double deadline_seconds,
                                      enum buyer_currency currency)
{
    struct buyer_search *search = calloc(1, sizeof *search);
    if (!search)
        return NULL;
    search->fleet = fleet;
    search->need = (double)samples;
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        const struct fleet_group *from = &fleet->groups[i];
        double price = price_of(&from->worker, currency),
               work = scenario_worker_samples(fleet, &from->worker, deadline_seconds);
        if (from->count_min < from->count_max && search->groups_count < BUYER_RANGES_MAX) {
            search->groups[search->groups_count++] =
                (struct group){ i, from->count_min, from->count_max, price, work };
            continue;
        }
        search->base_hourly += from->count_min * price;
        search->base_work += from->count_min * work;
    }
    qsort(search->groups, search->groups_count, sizeof *search->groups, by_dearness);
    struct node root = { .hourly = search->base_hourly, .work = search->base_work };
    root.least = root.hourly + relaxed(search, 0, root.work);
    if (relaxed(search, 0, root.work) >= 0)
        push(search, &root);
    return search;
}

void buyer_search_free(struct buyer_search **search)
{
    if (*search)
        free((*search)->heap);
    free(*search);
    *search = NULL;
}

bool buyer_search_next(struct buyer_search *search, uint32_t *counts, double *hourly, bool *gave_up)
{
    struct node node;
    while (!search->gave_up && pop(search, &node)) {
        if (node.depth > 0)
            push_sibling(search, &node);
        if (node.depth < search->groups_count) {
            push_child(search, &node, search->groups[node.depth].min);
            continue;
        }
        for (uint32_t i = 0; i < search->fleet->groups_count; i++)
            counts[i] = search->fleet->groups[i].count_min;
        for (uint32_t g = 0; g < search->groups_count; g++)
            counts[search->groups[g].index] = node.counts[g];
        *hourly = node.hourly;
        *gave_up = search->gave_up;
        return true;
    }
    *gave_up = search->gave_up;
    return false;
}

/* ---- offers ---- */

struct asking {
    struct fleet *fleet;
    const struct buyer_question *question;
    struct buyer_answer *answer;
    struct buyer_offer trial; /* the last that was simulated */
    double round_best;        /* the least makespan of this round; negative = none */
    uint32_t round_simulated;
};

static void take_offer(const struct fleet *fleet, struct buyer_offer *to, const struct buyer_offer *from)
{
    struct buyer_offer copy = *from;
    copy.counts = to->counts;
    memcpy(copy.counts, from->counts, fleet->groups_count * sizeof *copy.counts);
    *to = copy;
}

static bool in_time(const struct asking *asking, const struct buyer_offer *offer)
{
    return offer->finished && offer->makespan_seconds <= asking->question->deadline_seconds;
}

static void keep_worst(const struct plan_outcome *outcome, struct buyer_offer *trial)
{
    bool worse = !outcome->finished || outcome->makespan_seconds > trial->makespan_seconds;
    if (!trial->finished || !worse)
        return;
    trial->finished = outcome->finished;
    trial->makespan_seconds = outcome->makespan_seconds;
    trial->bound_seconds = outcome->bound_seconds;
    trial->price_per_hour = outcome->price_per_hour;
    trial->cost = outcome->fleet_cost;
    trial->energy_joules = outcome->energy_joules;
}

/* Simulate counts with every seed, until one is late. */
static enum err try_counts(struct asking *asking, const uint32_t *counts, double hourly, struct why *why)
{
    const struct buyer_question *question = asking->question;
    struct buyer_offer *trial = &asking->trial;
    struct plan plan = question->plan;
    if (counts != trial->counts)
        memcpy(trial->counts, counts, asking->fleet->groups_count * sizeof *counts);
    enum err err = fleet_choose(asking->fleet, trial->counts, why);
    trial->there = trial->finished = true;
    trial->workers = asking->fleet->workers_count;
    trial->hourly = hourly;
    trial->makespan_seconds = -1;
    plan.fleet = asking->fleet;
    for (plan.seed = question->seed_first; err == ERR_OK; plan.seed++) {
        struct plan_outcome outcome;
        err = plan_run(&plan, &outcome, why);
        if (err == ERR_OK)
            keep_worst(&outcome, trial);
        plan_outcome_fini(&outcome);
        if (plan.seed == question->seed_last || (err == ERR_OK && !in_time(asking, trial)))
            break;
    }
    asking->answer->simulated++;
    asking->round_simulated++;
    if (trial->finished && (asking->round_best < 0 || trial->makespan_seconds < asking->round_best))
        asking->round_best = trial->makespan_seconds;
    if (question->progress)
        question->progress(question->context, asking->answer->simulated, hourly);
    return err;
}

/* The best is the first in time; the runner-up the second; near the last late one before the best. */
static void judge(struct asking *asking)
{
    struct buyer_answer *answer = asking->answer;
    const struct buyer_offer *trial = &asking->trial;
    if (in_time(asking, trial))
        take_offer(asking->fleet, answer->best.there ? &answer->runner_up : &answer->best, trial);
    else if (!answer->best.there && (!answer->near.there || trial->hourly >= answer->near.hourly))
        take_offer(asking->fleet, &answer->near, trial);
}

static bool is_complete(const struct asking *asking)
{
    const struct buyer_answer *answer = asking->answer;
    return answer->best.there &&
           (answer->runner_up.there || asking->round_simulated >= BUYER_SIMULATIONS_A_ROUND / 2);
}

/* One pass in order of cost. *again: late ones filled it, a tighter bound is needed. */
static enum err search_round(struct asking *asking, double deadline_seconds, bool *again, struct why *why)
{
    double hourly;
    bool gave_up = false;
    enum err err = ERR_OK;
    struct buyer_search *search = buyer_search_new(asking->fleet, asking->question->plan.samples,
                                                   deadline_seconds, asking->answer->currency);
    if (!search)
        return why_set(why, ERR_MEMORY, "no memory to search");
    *again = false;
    asking->round_simulated = 0;
    asking->round_best = -1;
    while (err == ERR_OK && !is_complete(asking) && !*again &&
           buyer_search_next(search, asking->trial.counts, &hourly, &gave_up)) {
        bool had = asking->answer->best.there;
        err = try_counts(asking, asking->trial.counts, hourly, why);
        if (err == ERR_OK)
            judge(asking);
        if (!had && asking->answer->best.there)
            asking->round_simulated = 0; /* so many more for the runner-up */
        *again = !asking->answer->best.there && asking->round_simulated >= BUYER_SIMULATIONS_A_ROUND;
    }
    if (gave_up)
        asking->answer->exhaustive = false;
    buyer_search_free(&search);
    return err;
}

/* Each round tightens twice as much as the last, in the exponent: lateness need not shrink with the bound. */
static enum err search_all(struct asking *asking, struct why *why)
{
    double deadline = asking->question->deadline_seconds, tighter = 0.999;
    bool again = true;
    enum err err = ERR_OK;
    while (err == ERR_OK && again && asking->answer->simulated < BUYER_SIMULATIONS_MAX) {
        err = search_round(asking, deadline, &again, why);
        if (!again)
            break;
        asking->answer->exhaustive = false;
        double late =
            asking->round_best > 0 ? asking->question->deadline_seconds / asking->round_best : tighter;
        tighter = late < tighter * tighter ? late : tighter * tighter;
        deadline *= tighter;
    }
    if (again)
        asking->answer->exhaustive = false;
    return err;
}

/* ---- when few were simulated ---- */

static double hourly_of(const struct fleet *fleet, const uint32_t *counts, enum buyer_currency currency)
{
    double hourly = 0;
    for (uint32_t i = 0; i < fleet->groups_count; i++)
        hourly += counts[i] * price_of(&fleet->groups[i].worker, currency);
    return hourly;
}

/* One worker fewer of this kind. In time, which a search that was not exhaustive may have missed: the new
 * best. */
static enum err try_one_fewer(struct asking *asking, uint32_t group, bool *better, struct why *why)
{
    struct buyer_answer *answer = asking->answer;
    struct buyer_offer *near = &answer->near;
    const struct buyer_offer *trial = &asking->trial;
    memcpy(asking->trial.counts, answer->best.counts, asking->fleet->groups_count * sizeof(uint32_t));
    asking->trial.counts[group]--;
    enum err err = try_counts(asking, asking->trial.counts,
                              hourly_of(asking->fleet, asking->trial.counts, answer->currency), why);
    if (err != ERR_OK)
        return err;
    *better = in_time(asking, trial) && !answer->exhaustive;
    if (*better) {
        take_offer(asking->fleet, &answer->runner_up, &answer->best);
        take_offer(asking->fleet, &answer->best, trial);
    } else if (trial->finished && !in_time(asking, trial) &&
               (!near->there || trial->makespan_seconds < near->makespan_seconds)) {
        take_offer(asking->fleet, near, trial);
    }
    return ERR_OK;
}

static enum err try_count(struct asking *asking, uint32_t group, uint32_t count, bool *good, struct why *why)
{
    struct buyer_answer *answer = asking->answer;
    memcpy(asking->trial.counts, answer->best.counts, asking->fleet->groups_count * sizeof(uint32_t));
    asking->trial.counts[group] = count;
    *good = false;
    if (answer->best.workers - answer->best.counts[group] + count == 0)
        return ERR_OK; /* a fleet of nobody */
    enum err err = try_counts(asking, asking->trial.counts,
                              hourly_of(asking->fleet, asking->trial.counts, answer->currency), why);
    *good = err == ERR_OK && in_time(asking, &asking->trial);
    if (*good) {
        take_offer(asking->fleet, &answer->best, &asking->trial);
        answer->runner_up.there = false; /* it was one of a larger size */
    }
    return err;
}

/* An unproven best may be far too large: of each kind, those that are dearest per sample first, as few as are
 * in time, by halving. */
static enum err shrink(struct asking *asking, struct why *why)
{
    struct buyer_answer *answer = asking->answer;
    enum err err = ERR_OK;
    struct buyer_search *order = buyer_search_new(asking->fleet, asking->question->plan.samples,
                                                  asking->question->deadline_seconds, answer->currency);
    if (!order)
        return why_set(why, ERR_MEMORY, "no memory to search");
    for (uint32_t g = 0; err == ERR_OK && g < order->groups_count; g++) {
        const struct group *group = &order->groups[g];
        uint32_t low = group->min, high = answer->best.counts[group->index];
        while (err == ERR_OK && low < high) {
            bool good = false;
            uint32_t middle = low + (high - low) / 2;
            err = try_count(asking, group->index, middle, &good, why);
            if (good)
                high = middle;
            else
                low = middle + 1;
        }
    }
    buyer_search_free(&order);
    return err;
}

/* Until no worker can be spared. */
static enum err try_neighbours(struct asking *asking, struct why *why)
{
    const struct buyer_answer *answer = asking->answer;
    bool better = true;
    enum err err = ERR_OK;
    while (err == ERR_OK && better) {
        better = false;
        for (uint32_t i = 0; err == ERR_OK && !better && i < asking->fleet->groups_count; i++)
            if (answer->best.counts[i] > asking->fleet->groups[i].count_min && answer->best.workers > 1 &&
                answer->simulated < 2 * BUYER_SIMULATIONS_MAX)
                err = try_one_fewer(asking, i, &better, why);
    }
    return err;
}

/* Nothing is in time: how fast is the largest? */
static enum err try_largest(struct asking *asking, struct why *why)
{
    const struct fleet *fleet = asking->fleet;
    for (uint32_t i = 0; i < fleet->groups_count; i++)
        asking->trial.counts[i] = fleet->groups[i].count_max;
    enum err err = try_counts(asking, asking->trial.counts,
                              hourly_of(fleet, asking->trial.counts, asking->answer->currency), why);
    if (err != ERR_OK)
        return err;
    if (in_time(asking, &asking->trial))
        take_offer(fleet, &asking->answer->best, &asking->trial);
    else
        take_offer(fleet, &asking->answer->near, &asking->trial);
    return ERR_OK;
}

/* ---- the question ---- */

bool buyer_asks(const struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->groups_count; i++)
        if (fleet->groups[i].count_min < fleet->groups[i].count_max)
            return true;
    return false;
}

static enum buyer_currency currency_of(const struct fleet *fleet, bool greenest)
{
    bool prices = true, watts = true;
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        const struct fleet_group *group = &fleet->groups[i];
        if (group->count_min == group->count_max)
            continue;
        prices = prices && group->worker.price_per_hour >= 0;
        watts = watts && group->worker.busy_watts > 0;
    }
    if (prices && !(greenest && watts))
        return BUYER_PRICE;
    return watts ? BUYER_WATTS : BUYER_WORKERS;
}

static enum err begin(const struct fleet *fleet, struct asking *asking, struct why *why)
{
    struct buyer_answer *answer = asking->answer;
    size_t size = (size_t)fleet->groups_count + 1;
    uint32_t ranges = 0;
    answer->combinations = 1;
    for (uint32_t i = 0; i < fleet->groups_count; i++) {
        ranges += fleet->groups[i].count_min < fleet->groups[i].count_max;
        answer->combinations *= fleet->groups[i].count_max - fleet->groups[i].count_min + 1.0;
    }
    if (ranges > BUYER_RANGES_MAX)
        return why_set(why, ERR_LIMIT, "%s: has %u ranges of counts; at most %d can be searched, fix some",
                       fleet->name, ranges, BUYER_RANGES_MAX);
    answer->memory = calloc(4 * size, sizeof *answer->memory);
    if (!answer->memory)
        return why_set(why, ERR_MEMORY, "no memory to search");
    answer->best.counts = answer->memory;
    answer->runner_up.counts = answer->memory + size;
    answer->near.counts = answer->memory + 2 * size;
    asking->trial.counts = answer->memory + 3 * size;
    return ERR_OK;
}

enum err buyer_ask(struct fleet *fleet, const struct buyer_question *question, struct buyer_answer *answer,
                   struct why *why)
{
    struct asking asking = { .fleet = fleet, .question = question, .answer = answer };
    *answer = (struct buyer_answer){ .currency = currency_of(fleet, question->greenest), .exhaustive = true };
    enum err err = begin(fleet, &asking, why);
    if (err == ERR_OK)
        err = search_all(&asking, why);
    if (err == ERR_OK && !answer->best.there)
        err = try_largest(&asking, why);
    if (err == ERR_OK && answer->best.there && !answer->exhaustive)
        err = shrink(&asking, why);
    if (err == ERR_OK && answer->best.there && (!answer->near.there || !answer->exhaustive))
        err = try_neighbours(&asking, why);
    if (err == ERR_OK)
        err = fleet_choose(fleet, answer->best.there ? answer->best.counts : answer->near.counts, why);
    return err;
}

void buyer_answer_fini(struct buyer_answer *answer)
{
    free(answer->memory);
    *answer = (struct buyer_answer){ 0 };
}
