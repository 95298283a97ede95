// SPDX-License-Identifier: Apache-2.0
#include "roster_check.h"

#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

static bool is_listed(yyjson_val *workers, const char *name)
{
    size_t index, count;
    yyjson_val *worker;
    yyjson_arr_foreach(workers, index, count, worker)
    {
        if (yyjson_equals_str(yyjson_obj_get(worker, "name"), name))
            return true;
    }
    return false;
}

static bool may_be_gone(const struct fleet *fleet, const struct fleet_worker *worker, double waited_seconds)
{
    for (uint32_t i = 0; i < worker->faults_count; i++)
        if (worker->faults[i].kind == FLEET_DIES &&
            worker->faults[i].at_seconds * fleet->time_scale <= waited_seconds)
            return true;
    return false;
}

bool roster_check_json(const char *json, const struct fleet *fleet, double waited_seconds)
{
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    yyjson_val *workers = yyjson_doc_get_root(doc);
    bool all = doc != NULL;
    for (uint32_t i = 0; all && i < fleet->workers_count; i++)
        all = fleet->workers[i].joins_at_seconds > 0.0 || is_listed(workers, fleet->workers[i].name) ||
              may_be_gone(fleet, &fleet->workers[i], waited_seconds);
    yyjson_doc_free(doc);
    return all;
}

bool roster_check(motley *connection, const struct fleet *fleet, double waited_seconds)
{
    char *json = motley_view(connection, "workers", "", NULL);
    bool all = json && roster_check_json(json, fleet, waited_seconds);
    free(json);
    return all;
}
