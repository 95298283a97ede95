// SPDX-License-Identifier: Apache-2.0
#include "waiting.h"

#include <stdio.h>

static const char *format_name(uint32_t formats)
{
    return formats == SCHED_FORMAT_ONNX ? "onnx" : "synthetic";
}

static void refused(const struct view *view, const struct record *record, char text[WAITING_MAX])
{
    const struct registry_file *file = registry_file(view->registry, record->model_number);
    if (*file->refused_by)
        snprintf(text, WAITING_MAX, "the model %s loads on no worker: %s (%s)", record->model, file->refusal,
                 file->refused_by);
    else
        snprintf(text, WAITING_MAX, "the model %s loads on no worker", record->model);
}

bool waiting_text(const struct view *view, const struct record *record, const struct sched_job_look *look,
                  char text[WAITING_MAX])
{
    if (*view->full)
        return snprintf(text, WAITING_MAX, "disk full on %.900s", view->full) > 0;
    if (record->full)
        return snprintf(text, WAITING_MAX, "disk full on %.900s", record->full) > 0;
    if (record->state == RECORD_FINISHING || look->leased || look->settling || !look->ready)
        return false;
    if (!roster_up_count(view->roster))
        return snprintf(text, WAITING_MAX, "no worker") > 0;
    if (!(roster_up_formats(view->roster) & record->formats))
        return snprintf(text, WAITING_MAX, "no worker can take it: none has the format %s",
                        format_name(record->formats)) > 0;
    if (look->slots_loading)
        return snprintf(text, WAITING_MAX, "loading the model on %u slot%s", look->slots_loading,
                        look->slots_loading == 1 ? "" : "s") > 0;
    if (!look->slots_able)
        refused(view, record, text);
    else
        snprintf(text, WAITING_MAX, "its turn: the workers are busy with other jobs");
    return true;
}
