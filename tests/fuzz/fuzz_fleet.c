// SPDX-License-Identifier: Apache-2.0
#include "fleet.h"
#include "fuzz.h"

#include <string.h>

static void check_worker(const struct fleet_worker *worker)
{
    FUZZ_CHECK(worker->name[0] && worker->kind[0] && !strchr(worker->name, '/'));
    FUZZ_CHECK(worker->local || worker->has_curve);
    FUZZ_CHECK(worker->sizes_count <= FLEET_SIZES_MAX && worker->faults_count <= FLEET_FAULTS_MAX);
    for (uint32_t i = 0; i < worker->sizes_count; i++)
        FUZZ_CHECK(worker->sizes[i] >= 1 && (i == 0 || worker->sizes[i] > worker->sizes[i - 1]));
    for (uint32_t i = 1; i < worker->faults_count; i++)
        FUZZ_CHECK(worker->faults[i].at_seconds >= worker->faults[i - 1].at_seconds);
}

/* The smallest choice of a fleet with ranges, then the curves of another model. */
static void check_choices(struct fleet *fleet)
{
    struct why why = { "" };
    const struct catalog_workload mobilenet = { .benchmark = "mobilenet" };
    uint32_t counts[256], sum = 0;
    for (uint32_t i = 0; i < fleet->groups_count && i < 256; i++)
        sum += counts[i] = fleet->groups[i].count_min;
    if (fleet->groups_count > 256)
        return;
    FUZZ_CHECK(fleet_choose(fleet, counts, &why) == ERR_OK && fleet->workers_count == sum);
    enum err err = fleet_resolve(fleet, &mobilenet, &why);
    FUZZ_CHECK(err == ERR_OK || why.text[0]);
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        check_worker(&fleet->workers[i]);
}

static void check_fleet(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        check_worker(&fleet->workers[i]);
    double few = fleet_bound_seconds(fleet, 10), many = fleet_bound_seconds(fleet, 1000);
    FUZZ_CHECK(many < 0 || (few >= 0 && few <= many));
}

/* A refusal names line and column; what is accepted has figures to compute with, and more samples never take
 * less time. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fleet *fleet;
    struct why why = { "" };
    char path[32];
    int fd = fuzz_file(data, size, path);
    const struct fleet_reading reading = { .ranges = true };
    enum err err = fleet_open(path, &reading, &fleet, &why);
    close(fd);
    if (err != ERR_OK) {
        FUZZ_CHECK(!fleet && why.text[0] && strncmp(why.text, path, strlen(path)) == 0);
        return 0;
    }
    check_fleet(fleet);
    check_choices(fleet);
    fleet_free(&fleet);
    return 0;
}
