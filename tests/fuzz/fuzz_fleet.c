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

/* A refusal names line and column; what is accepted has figures to compute with, and more samples never take
 * less time. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fleet *fleet;
    struct why why = { "" };
    char path[32];
    int fd = fuzz_file(data, size, path);
    enum err err = fleet_read(path, &fleet, &why);
    close(fd);
    if (err != ERR_OK) {
        FUZZ_CHECK(!fleet && why.text[0] && strncmp(why.text, path, strlen(path)) == 0);
        return 0;
    }
    for (uint32_t i = 0; i < fleet->workers_count; i++)
        check_worker(&fleet->workers[i]);
    double few = fleet_bound_seconds(fleet, 10), many = fleet_bound_seconds(fleet, 1000);
    FUZZ_CHECK(many < 0 || (few >= 0 && few <= many));
    fleet_free(&fleet);
    return 0;
}
