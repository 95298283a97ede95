// SPDX-License-Identifier: Apache-2.0
#include "view.h"

#include "bounds.h"
#include "explanation.h"
#include "online.h"
#include "report.h"
#include "selection.h"

#include <stdlib.h>
#include <string.h>

static const int64_t GONE_SHOWN_US = 10ll * 60 * 1000 * 1000;

/* Each fills root, or says why not. */
typedef enum err make_view(const struct view *view, yyjson_mut_doc *doc, const char *which,
                           yyjson_mut_val **root, struct why *why);

/* The path whose disk is full: the state's, or a finished job's output's. NULL: none is. */
static const char *full_path(const struct view *view)
{
    if (*view->full)
        return view->full;
    for (size_t i = 0; i < jobs_count(view->jobs); i++) {
        const struct record *record = jobs_at(view->jobs, i);
        if (record->full && !record->full_fails && keyring_sees(view->viewer, record->tenant))
            return record->full;
    }
    return NULL;
}

static void add_count(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, uint64_t value)
{
    if (value)
        yyjson_mut_obj_add_uint(doc, object, key, value);
    else
        yyjson_mut_obj_add_null(doc, object, key);
}

static void add_security(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
    yyjson_mut_val *security = yyjson_mut_obj_add_obj(doc, root, "security");
    yyjson_mut_obj_add_bool(doc, security, "curve", view->curve);
    yyjson_mut_obj_add_uint(doc, security, "keys_allowed", view->keys_allowed);
    yyjson_mut_obj_add_uint(doc, security, "invitations_open", view->invitations_open);
    yyjson_mut_obj_add_uint(doc, security, "keys_accepted", view->counts.keys_accepted);
    yyjson_mut_obj_add_uint(doc, security, "keys_refused", view->counts.keys_refused);
    yyjson_mut_obj_add_uint(doc, security, "roles_refused", view->counts.roles_refused);
    yyjson_mut_obj_add_uint(doc, security, "lies_refused", view->counts.lies_refused);
    yyjson_mut_obj_add_uint(doc, security, "messages_refused", view->counts.messages_refused);
}

static enum err make_status(const struct view *view, yyjson_mut_doc *doc, const char *which,
                            yyjson_mut_val **root, struct why *why)
{
    (void)which;
    (void)why;
    uint64_t queued = 0, running = 0, kept = 0;
    for (size_t i = 0; i < jobs_count(view->jobs); i++) {
        enum record_state state = jobs_at(view->jobs, i)->state;
        queued += state == RECORD_QUEUED;
        running += state == RECORD_RUNNING || state == RECORD_FINISHING;
        kept += state > RECORD_FINISHING;
    }
    *root = yyjson_mut_obj(doc);
    yyjson_mut_val *coordinator = yyjson_mut_obj_add_obj(doc, *root, "coordinator");
    yyjson_mut_obj_add_uint(doc, coordinator, "pid", view->pid);
    report_text(doc, coordinator, "url", view->url);
    yyjson_mut_obj_add_uint(doc, coordinator, "term", view->term);
    yyjson_mut_obj_add_real(doc, coordinator, "uptime_seconds",
                            (double)(view->now_us - view->started_us) / 1e6);
    report_text(doc, coordinator, "state_dir", view->state_dir);
    report_text(doc, coordinator, "disk_full", full_path(view));
    yyjson_mut_obj_add_uint(doc, *root, "workers", roster_up_count(view->roster));
    yyjson_mut_obj_add_uint(doc, *root, "slots", roster_up_slots(view->roster));
    yyjson_mut_val *jobs = yyjson_mut_obj_add_obj(doc, *root, "jobs");
    yyjson_mut_obj_add_uint(doc, jobs, "queued", queued);
    yyjson_mut_obj_add_uint(doc, jobs, "running", running);
    yyjson_mut_obj_add_uint(doc, jobs, "kept", kept);
    yyjson_mut_obj_add_uint(doc, *root, "unread_bytes", view->unread_bytes);
    add_count(doc, *root, "state_bytes", view->state_bytes);
    add_count(doc, *root, "state_free_bytes", view->state_free_bytes);
    struct online_counts counts = view->online ? online_counts(view->online) : (struct online_counts){ 0 };
    yyjson_mut_val *online = yyjson_mut_obj_add_obj(doc, *root, "online");
    yyjson_mut_obj_add_uint(doc, online, "in_flight", counts.in_flight);
    yyjson_mut_obj_add_uint(doc, online, "answered", counts.answered);
    yyjson_mut_obj_add_uint(doc, online, "refused", counts.refused);
    yyjson_mut_obj_add_uint(doc, online, "late", counts.late);
    yyjson_mut_obj_add_uint(doc, online, "failed", counts.failed);
    add_security(view, doc, *root);
    return ERR_OK;
}

static void fill_listed(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct record *record)
{
    report_job(view, doc, object, record, false);
}

static void fill_whole(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                       const struct record *record)
{
    report_job(view, doc, object, record, true);
}

typedef void fill_job(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                      const struct record *record);

static enum err make_selected(const struct view *view, yyjson_mut_doc *doc, const char *which, fill_job *fill,
                              bool several, yyjson_mut_val **root, struct why *why)
{
    struct selection selection;
    enum err err = selection_init(&selection, view->jobs, view->viewer, which, why);
    if (err)
        return err;
    several = several || selection.several;
    *root = several ? yyjson_mut_arr(doc) : yyjson_mut_obj(doc);
    for (size_t i = 0; i < selection.count; i++) {
        yyjson_mut_val *object = several ? yyjson_mut_arr_add_obj(doc, *root) : *root;
        fill(view, doc, object, jobs_find(view->jobs, selection.numbers[i]));
    }
    selection_fini(&selection);
    return ERR_OK;
}

static enum err make_jobs(const struct view *view, yyjson_mut_doc *doc, const char *which,
                          yyjson_mut_val **root, struct why *why)
{
    return make_selected(view, doc, which, fill_listed, true, root, why);
}

static enum err no_job(struct why *why)
{
    return why_set(why, ERR_USAGE,
                   "which job? give its number or name, `last`, `all` or a range such as 3-7");
}

static enum err make_job(const struct view *view, yyjson_mut_doc *doc, const char *which,
                         yyjson_mut_val **root, struct why *why)
{
    return *which ? make_selected(view, doc, which, fill_whole, false, root, why) : no_job(why);
}

static enum err make_explain(const struct view *view, yyjson_mut_doc *doc, const char *which,
                             yyjson_mut_val **root, struct why *why)
{
    return *which ? make_selected(view, doc, which, explanation_job, false, root, why) : no_job(why);
}

static const char *grade_name(uint32_t grade)
{
    return grade == MESSAGE_GRADE_CATALOG    ? "catalog"
           : grade == MESSAGE_GRADE_MEASURED ? "measured"
           : grade == MESSAGE_GRADE_LEARNED  ? "learned"
                                             : NULL;
}

/* Never more than there is: a worker's host may have more than the worker may use. 0 = unknown. */
static uint64_t memory_free(const struct worker *worker, const struct message_device *device)
{
    bool host = strcmp(device->kind, "cpu") == 0 && worker->memory_free_bytes;
    uint64_t free_bytes = host ? worker->memory_free_bytes : device->memory_free_bytes;
    return free_bytes < device->memory_total_bytes ? free_bytes : device->memory_total_bytes;
}

/* HELLO tells only what is there: what it leaves out is absent, or unknown to it. */
static void add_device(yyjson_mut_doc *doc, yyjson_mut_val *array, const struct worker *worker,
                       const struct message_device *device)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    report_text(doc, object, "id", device->id);
    report_text(doc, object, "kind", device->kind);
    report_text(doc, object, "vendor", *device->vendor ? device->vendor : NULL);
    report_text(doc, object, "name", device->name);
    add_count(doc, object, "memory_total_bytes", device->memory_total_bytes);
    add_count(doc, object, "memory_free_bytes", memory_free(worker, device));
    yyjson_mut_val *precisions = yyjson_mut_obj_add_obj(doc, object, "precisions");
    for (uint32_t i = 0; i < device->precisions_count; i++)
        yyjson_mut_obj_add(precisions, yyjson_mut_strcpy(doc, device->precisions[i]),
                           yyjson_mut_bool(doc, true));
    yyjson_mut_val *figures = yyjson_mut_obj_add_obj(doc, object, "figures");
    for (uint32_t i = 0; i < device->figures_count; i++) {
        yyjson_mut_val *figure = yyjson_mut_obj(doc);
        report_number(doc, figure, "value", true, device->figures[i].value);
        report_text(doc, figure, "grade", grade_name(device->figures[i].grade));
        yyjson_mut_obj_add(figures, yyjson_mut_strcpy(doc, device->figures[i].name), figure);
    }
}

static void add_curve(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                      const struct worker *worker, const struct message_slot *slot)
{
    struct sched_slot_look look = { 0 };
    if (!view->sched || !worker->serving ||
        !sched_slot_look(view->sched, worker->number, slot->slot, &look)) {
        look.alpha_us = slot->alpha_us;
        look.beta_us = slot->beta_us;
        look.curve_samples = 0;
    }
    bool known = look.alpha_us > 0 || look.beta_us > 0;
    yyjson_mut_val *curve = yyjson_mut_obj_add_obj(doc, object, "curve");
    report_number(doc, curve, "alpha_ms", known, look.alpha_us / 1e3);
    report_number(doc, curve, "beta_ms", known, look.beta_us / 1e3);
    yyjson_mut_obj_add_uint(doc, curve, "samples", look.curve_samples);
    report_number(doc, curve, "error", look.curve_samples > 0, look.error);
}

static void add_slot(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *array,
                     const struct worker *worker, const struct message_slot *slot)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    yyjson_mut_obj_add_uint(doc, object, "id", slot->slot);
    report_text(doc, object, "device", slot->device);
    report_text(doc, object, "runtime", slot->runtime);
    yyjson_mut_val *formats = yyjson_mut_obj_add_arr(doc, object, "formats");
    for (uint32_t i = 0; i < slot->formats_count; i++)
        yyjson_mut_arr_add_strcpy(doc, formats, slot->formats[i]);
    yyjson_mut_val *sizes = yyjson_mut_obj_add_arr(doc, object, "batch_sizes");
    for (uint32_t i = 0; i < slot->batch_sizes_count; i++)
        yyjson_mut_arr_add_uint(doc, sizes, slot->batch_sizes[i]);
    yyjson_mut_obj_add_uint(doc, object, "batch_max", slot->batch_max);
    yyjson_mut_obj_add_uint(doc, object, "window", slot->window);
    add_curve(view, doc, object, worker, slot);
    report_step_time(view, doc, object, "barred_until", worker->barred_until_us[slot->slot]);
    report_run(view, doc, object, worker, slot->slot);
}

static void fill_worker(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object,
                        const struct worker *worker)
{
    const struct message_hello *hello = worker_hello(view->roster, worker);
    report_uuid(doc, object, "id", worker->uuid);
    report_text(doc, object, "name", worker->name);
    report_text(doc, object, "host", hello->host);
    yyjson_mut_obj_add_uint(doc, object, "pid", hello->pid);
    report_text(doc, object, "state", roster_state_name(worker->state));
    yyjson_mut_obj_add_bool(doc, object, "draining", worker->draining);
    report_text(doc, object, "version", hello->version);
    report_text(doc, object, "storage",
                !worker->serving         ? NULL
                : worker->shares_storage ? "shared"
                                         : "fetched");
    report_time(doc, object, "joined_at", worker->joined_us);
    report_time(doc, object, "left_at", worker->left_us);
    yyjson_mut_val *labels = yyjson_mut_obj_add_obj(doc, object, "labels");
    for (uint32_t i = 0; i < hello->labels_count; i++)
        yyjson_mut_obj_add(labels, yyjson_mut_strcpy(doc, hello->labels[i].key),
                           yyjson_mut_strcpy(doc, hello->labels[i].value));
    yyjson_mut_obj_add_arr(doc, object, "models");
    yyjson_mut_val *devices = yyjson_mut_obj_add_arr(doc, object, "devices");
    for (uint32_t i = 0; i < hello->devices_count; i++)
        add_device(doc, devices, worker, &hello->devices[i]);
    yyjson_mut_val *slots = yyjson_mut_obj_add_arr(doc, object, "slots");
    for (uint32_t i = 0; i < hello->slots_count; i++)
        add_slot(view, doc, slots, worker, &hello->slots[i]);
}

static enum err find_worker(const struct view *view, const char *which, const struct worker **worker,
                            struct why *why)
{
    if (!*which)
        return why_set(why, ERR_USAGE, "which worker? give its name or id");
    *worker = roster_find_word(view->roster, which);
    return *worker ? ERR_OK
                   : why_set(why, ERR_NOT_FOUND,
                             "no such worker: %s; `motley worker list` shows those there are", which);
}

static enum err make_worker(const struct view *view, yyjson_mut_doc *doc, const char *which,
                            yyjson_mut_val **root, struct why *why)
{
    const struct worker *worker;
    enum err err = find_worker(view, which, &worker, why);
    if (err)
        return err;
    *root = yyjson_mut_obj(doc);
    fill_worker(view, doc, *root, worker);
    return ERR_OK;
}

static void explain_workers(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *array)
{
    for (uint32_t i = 0; i < roster_count(view->roster); i++) {
        const struct worker *worker = roster_at(view->roster, i);
        if (worker->state == ROSTER_UP || view->wall_us - worker->left_us < GONE_SHOWN_US)
            explanation_worker(view, doc, yyjson_mut_arr_add_obj(doc, array), worker);
    }
}

static enum err make_worker_explain(const struct view *view, yyjson_mut_doc *doc, const char *which,
                                    yyjson_mut_val **root, struct why *why)
{
    const struct worker *worker;
    if (strcmp(which, "all") == 0) {
        *root = yyjson_mut_arr(doc);
        explain_workers(view, doc, *root);
        return ERR_OK;
    }
    enum err err = find_worker(view, which, &worker, why);
    if (err)
        return err;
    *root = yyjson_mut_obj(doc);
    explanation_worker(view, doc, *root, worker);
    return ERR_OK;
}

static enum err make_workers(const struct view *view, yyjson_mut_doc *doc, const char *which,
                             yyjson_mut_val **root, struct why *why)
{
    *root = yyjson_mut_arr(doc);
    if (*which && strcmp(which, "all") != 0) {
        yyjson_mut_val *one;
        enum err err = make_worker(view, doc, which, &one, why);
        return !err && !yyjson_mut_arr_append(*root, one) ? ERR_MEMORY : err;
    }
    for (uint32_t i = 0; i < roster_count(view->roster); i++) {
        const struct worker *worker = roster_at(view->roster, i);
        if (worker->state == ROSTER_UP || view->wall_us - worker->left_us < GONE_SHOWN_US)
            fill_worker(view, doc, yyjson_mut_arr_add_obj(doc, *root), worker);
    }
    return ERR_OK;
}

static void add_tensors(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                        const struct message_tensor *tensors, uint32_t count)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, key);
    for (uint32_t i = 0; i < count; i++) {
        yyjson_mut_val *tensor = yyjson_mut_arr_add_obj(doc, array);
        report_text(doc, tensor, "name", tensors[i].name);
        report_text(doc, tensor, "dtype", dtype_name((enum dtype)tensors[i].dtype));
        yyjson_mut_val *shape = yyjson_mut_obj_add_arr(doc, tensor, "shape");
        for (uint32_t k = 0; k < tensors[i].dims_count; k++) {
            if (tensors[i].dims[k] < 0)
                yyjson_mut_arr_add_null(doc, shape);
            else
                yyjson_mut_arr_add_sint(doc, shape, tensors[i].dims[k]);
        }
    }
}

static void fill_model(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct message_model_add *model)
{
    char hex[SHA256_HEX_MAX];
    sha256_hex(model->blob, hex);
    report_text(doc, object, "name", model->name);
    report_text(doc, object, "version", model->version);
    report_text(doc, object, "format", model->format);
    report_text(doc, object, "runtime", NULL);
    report_text(doc, object, "precision", model->precision);
    if (model->batch_fixed)
        yyjson_mut_obj_add_uint(doc, object, "batch", model->batch_fixed);
    else
        yyjson_mut_obj_add_str(doc, object, "batch", "any");
    report_text(doc, object, "blob", hex);
    yyjson_mut_obj_add_uint(doc, object, "bytes", model->bytes);
    add_tensors(doc, object, "inputs", model->inputs, model->inputs_count);
    add_tensors(doc, object, "outputs", model->outputs, model->outputs_count);
}

static void add_accuracy(yyjson_mut_doc *doc, yyjson_mut_val *object, double accuracy)
{
    if (accuracy > 0)
        yyjson_mut_obj_add_real(doc, object, "accuracy", accuracy);
    else
        yyjson_mut_obj_add_null(doc, object, "accuracy");
}

/* The model whose files are first to last: what is said of all of them, the last one, and each. */
static void fill_files(const struct view *view, yyjson_mut_doc *doc, yyjson_mut_val *object, size_t first,
                       size_t last)
{
    char hex[SHA256_HEX_MAX];
    fill_model(doc, object, registry_at(view->registry, last));
    yyjson_mut_val *variants = yyjson_mut_obj_add_arr(doc, object, "variants");
    for (size_t i = first; i <= last; i++) {
        const struct message_model_add *model = registry_at(view->registry, i);
        yyjson_mut_val *variant = yyjson_mut_arr_add_obj(doc, variants);
        sha256_hex(model->blob, hex);
        report_text(doc, variant, "format", model->format);
        report_text(doc, variant, "precision", model->precision);
        report_text(doc, variant, "blob", hex);
        yyjson_mut_obj_add_uint(doc, variant, "bytes", model->bytes);
        add_accuracy(doc, variant, model->accuracy);
    }
}

static enum err make_model(const struct view *view, yyjson_mut_doc *doc, const char *which,
                           yyjson_mut_val **root, struct why *why)
{
    size_t index = registry_find(view->registry, which);
    if (index == SIZE_MAX)
        return why_set(why, ERR_NOT_FOUND, "no such model: %s; `motley model list` shows those there are",
                       which);
    *root = yyjson_mut_obj(doc);
    fill_files(view, doc, *root, registry_first(view->registry, index), index);
    return ERR_OK;
}

static enum err make_models(const struct view *view, yyjson_mut_doc *doc, const char *which,
                            yyjson_mut_val **root, struct why *why)
{
    (void)why;
    bool all = !*which || strcmp(which, "all") == 0;
    *root = yyjson_mut_arr(doc);
    for (size_t i = 0; i < registry_count(view->registry); i++) {
        size_t first = i;
        i = registry_last(view->registry, i);
        if (all || strcmp(which, registry_at(view->registry, i)->name) == 0)
            fill_files(view, doc, yyjson_mut_arr_add_obj(doc, *root), first, i);
    }
    return ERR_OK;
}

static enum err make_events(const struct view *view, yyjson_mut_doc *doc, const char *which,
                            yyjson_mut_val **root, struct why *why)
{
    (void)which;
    if (view->viewer)
        return why_set(why, ERR_REFUSED,
                       "the events name everybody's jobs: that needs a key with the role admin, or read-only "
                       "for all tenants");
    *root = yyjson_mut_arr(doc);
    for (size_t i = 0; i < events_count(view->events); i++) {
        const struct event *event = events_at(view->events, i);
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, *root);
        report_time(doc, object, "time", event->at_us);
        report_text(doc, object, "id", event->id);
        report_text(doc, object, "text", event->text);
    }
    return ERR_OK;
}

static const struct {
    const char *what;
    make_view *make;
} views[] = {
    { "status", make_status },   { "jobs", make_jobs },
    { "job", make_job },         { "report", make_job },
    { "workers", make_workers }, { "worker", make_worker },
    { "explain", make_explain }, { "worker-explain", make_worker_explain },
    { "models", make_models },   { "model", make_model },
    { "events", make_events },
};

enum err view_write(const yyjson_mut_doc *doc, char **json, size_t *size, struct why *why)
{
    yyjson_write_err failure;
    /* A sentence that was cut in the middle of a character must not cost the whole view. */
    *json = yyjson_mut_write_opts(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL, size, &failure);
    if (!*json)
        return why_set(why, ERR_MEMORY, "the view cannot be written: %s", failure.msg);
    if (*size <= PAYLOAD_BYTES_MAX)
        return ERR_OK;
    free(*json);
    *json = NULL;
    return why_set(why, ERR_LIMIT,
                   "the view is larger than a message may be; ask for less, such as a range of jobs");
}

enum err view_json(const struct view *view, const char *what, const char *which, char **json, size_t *size,
                   struct why *why)
{
    *json = NULL;
    make_view *make = NULL;
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
        if (strcmp(what, views[i].what) == 0)
            make = views[i].make;
    if (!make)
        return why_set(why, ERR_USAGE, "there is no view '%s'", what);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return why_set(why, ERR_MEMORY, "out of memory for a view");
    yyjson_mut_val *root = NULL;
    enum err err = make(view, doc, which, &root, why);
    if (!err) {
        yyjson_mut_doc_set_root(doc, root);
        err = view_write(doc, json, size, why);
    }
    yyjson_mut_doc_free(doc);
    return err;
}
