// SPDX-License-Identifier: Apache-2.0
#include "infer_view.h"

#include "element.h"
#include "file.h"
#include "npy.h"
#include "output.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS_SHOWN = 8, SHORT_ROW = 16, TOP = 5 };

static enum dtype dtype_of(const struct motley_tensor *tensor) { return dtype_from_oip(tensor->datatype); }

static uint64_t elements_of_row(const struct motley_tensor *tensor)
{
    uint64_t count = 1;
    for (uint32_t i = 1; i < tensor->dims_count; i++)
        count *= (uint64_t)tensor->dims[i];
    return count;
}

static const uint8_t *row_at(const struct motley_tensor *tensor, uint64_t sample)
{
    return (const uint8_t *)tensor->data + sample * elements_of_row(tensor) * dtype_bytes(dtype_of(tensor));
}

static void spec_of(const struct motley_tensor *tensor, struct tensor_spec *spec)
{
    *spec = (struct tensor_spec){ .dtype = dtype_of(tensor), .dims_count = tensor->dims_count - 1 };
    snprintf(spec->name, sizeof spec->name, "%s", tensor->name);
    memcpy(spec->dims, tensor->dims + 1, spec->dims_count * sizeof spec->dims[0]);
}

/* ---- for people ---- */

static void print_element(const struct motley_tensor *tensor, const uint8_t *element, FILE *stream)
{
    char text[ELEMENT_TEXT_MAX];
    enum dtype dtype = dtype_of(tensor);
    if (dtype_is_float(dtype)) {
        fprintf(stream, "%.5g", element_number(dtype, element));
        return;
    }
    element_json(dtype, element, text);
    fputs(text, stream);
}

/* The largest numbers of a long row, with their places. */
static void print_top(const struct motley_tensor *tensor, const uint8_t *row, FILE *stream)
{
    enum dtype dtype = dtype_of(tensor);
    uint64_t count = elements_of_row(tensor), shown[TOP], width = dtype_bytes(dtype);
    fprintf(stream, "largest of %" PRIu64 ":", count);
    for (uint32_t k = 0; k < TOP && k < count; k++) {
        double best = -INFINITY;
        bool found = false;
        for (uint64_t i = 0; i < count; i++) {
            double value = element_number(dtype, row + i * width);
            bool taken = false;
            for (uint32_t j = 0; j < k; j++)
                taken = taken || shown[j] == i;
            if (taken || !(value > best || !found))
                continue;
            best = value;
            shown[k] = i;
            found = true;
        }
        fprintf(stream, "%s [%" PRIu64 "] ", k ? "," : "", shown[k]);
        print_element(tensor, row + shown[k] * width, stream);
    }
}

static void print_row(const struct motley_tensor *tensor, uint64_t sample, FILE *stream)
{
    uint64_t count = elements_of_row(tensor);
    const uint8_t *row = row_at(tensor, sample);
    fprintf(stream, "  %4" PRIu64 "  ", sample);
    if (count > SHORT_ROW) {
        print_top(tensor, row, stream);
    } else {
        for (uint64_t i = 0; i < count; i++) {
            fputs(i ? "  " : "", stream);
            print_element(tensor, row + i * dtype_bytes(dtype_of(tensor)), stream);
        }
    }
    fputc('\n', stream);
}

static void print_output(const struct motley_tensor *tensor, uint64_t samples, FILE *stream)
{
    struct tensor_spec spec;
    char text[160];
    spec_of(tensor, &spec);
    tensor_print(&spec, text, sizeof text);
    fprintf(stream, "%s: %s, %" PRIu64 " sample%s\n", *tensor->name ? tensor->name : "output", text, samples,
            samples == 1 ? "" : "s");
    for (uint64_t i = 0; i < samples && i < ROWS_SHOWN; i++)
        print_row(tensor, i, stream);
    if (samples > ROWS_SHOWN)
        fprintf(stream, "        and %" PRIu64 " more; --output or --json has them all\n",
                samples - ROWS_SHOWN);
}

void infer_view_print_times(const struct motley_answer *answer, FILE *stream)
{
    fprintf(stream, "%.4g ms: queue %.4g, run %.4g on %s%s%s, network %.4g\n", answer->total_ms,
            answer->queue_ms, answer->run_ms, answer->worker, *answer->device ? " " : "", answer->device,
            answer->network_ms);
    if (answer->load_ms > 0)
        fprintf(stream, "cold: %.4g ms of it for loading the model\n", answer->load_ms);
}

void infer_view_print(const struct motley_answer *answer, FILE *stream)
{
    for (size_t k = 0; k < answer->outputs_count; k++)
        print_output(&answer->outputs[k], answer->samples, stream);
}

/* ---- JSON ---- */

/* The array as one piece of text: a line, however long. */
static yyjson_mut_val *data_text(yyjson_mut_doc *doc, const struct motley_tensor *tensor, uint64_t first,
                                 uint64_t count)
{
    enum dtype dtype = dtype_of(tensor);
    const uint8_t *element = row_at(tensor, first);
    char *text = malloc(count * ELEMENT_TEXT_MAX + 3);
    size_t used = 0;
    if (!text)
        return yyjson_mut_null(doc);
    text[used++] = '[';
    for (uint64_t i = 0; i < count; i++, element += dtype_bytes(dtype)) {
        if (i)
            text[used++] = ',';
        used += (size_t)element_json(dtype, element, text + used);
    }
    text[used++] = ']';
    yyjson_mut_val *value = yyjson_mut_rawncpy(doc, text, used);
    free(text);
    return value;
}

static void add_data(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct motley_tensor *tensor,
                     uint64_t first, uint64_t samples)
{
    uint64_t count = elements_of_row(tensor);
    yyjson_mut_val *shape = yyjson_mut_obj_add_arr(doc, object, "shape");
    yyjson_mut_arr_add_uint(doc, shape, samples);
    for (uint32_t i = 1; i < tensor->dims_count; i++)
        yyjson_mut_arr_add_sint(doc, shape, tensor->dims[i]);
    yyjson_mut_obj_add_strcpy(doc, object, "datatype", tensor->datatype);
    yyjson_mut_obj_add_val(doc, object, "data", data_text(doc, tensor, first, count * samples));
}

static void add_outputs(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct motley_answer *answer,
                        uint64_t first, uint64_t samples)
{
    yyjson_mut_val *outputs = yyjson_mut_obj_add_arr(doc, object, "outputs");
    for (size_t k = 0; k < answer->outputs_count; k++) {
        yyjson_mut_val *output = yyjson_mut_arr_add_obj(doc, outputs);
        yyjson_mut_obj_add_strcpy(doc, output, "name", answer->outputs[k].name);
        add_data(doc, output, &answer->outputs[k], first, samples);
    }
}

/* The ids' lines are JSON strings. */
static void add_ids(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *ids)
{
    if (!ids)
        return;
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(doc, object, "ids");
    while (*ids) {
        size_t length = strcspn(ids, "\n");
        yyjson_mut_arr_append(array, yyjson_mut_rawncpy(doc, ids, length));
        ids += length + (ids[length] == '\n');
    }
}

void infer_view_json(const struct motley_answer *answer, yyjson_mut_doc *doc, yyjson_mut_val *object)
{
    yyjson_mut_obj_add_uint(doc, object, "samples", answer->samples);
    yyjson_mut_obj_add_strcpy(doc, object, "worker", answer->worker);
    yyjson_mut_obj_add_strcpy(doc, object, "device", answer->device);
    yyjson_mut_obj_add_uint(doc, object, "chunks", answer->chunks);
    yyjson_mut_val *times = yyjson_mut_obj_add_obj(doc, object, "latency_ms");
    yyjson_mut_obj_add_real(doc, times, "total", answer->total_ms);
    yyjson_mut_obj_add_real(doc, times, "queue", answer->queue_ms);
    yyjson_mut_obj_add_real(doc, times, "run", answer->run_ms);
    yyjson_mut_obj_add_real(doc, times, "network", answer->network_ms);
    if (answer->load_ms > 0)
        yyjson_mut_obj_add_real(doc, times, "load", answer->load_ms);
    else
        yyjson_mut_obj_add_null(doc, times, "load");
    add_ids(doc, object, answer->ids);
    add_outputs(doc, object, answer, 0, answer->samples);
}

void infer_view_print_lines(const struct motley_answer *answer, FILE *stream)
{
    const char *ids = answer->ids;
    for (uint64_t i = 0; i < answer->samples; i++) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *line = yyjson_mut_obj(doc);
        size_t length = ids ? strcspn(ids, "\n") : 0;
        char number[24];
        snprintf(number, sizeof number, "\"%" PRIu64 "\"", i);
        yyjson_mut_doc_set_root(doc, line);
        yyjson_mut_obj_add(line, yyjson_mut_str(doc, "id"),
                           length ? yyjson_mut_rawncpy(doc, ids, length) : yyjson_mut_rawcpy(doc, number));
        add_outputs(doc, line, answer, i, 1);
        char *text = yyjson_mut_write(doc, 0, NULL);
        fprintf(stream, "%s\n", text ? text : "");
        free(text);
        yyjson_mut_doc_free(doc);
        if (ids)
            ids += length + (ids[length] == '\n');
    }
}

/* ---- files ---- */

static enum err write_npy(const struct motley_tensor *tensor, uint64_t samples, const char *path,
                          struct why *why)
{
    uint8_t head[NPY_HEADER_MAX];
    char temporary[PATH_MAX_BYTES + 64];
    struct tensor_spec spec;
    int fd = -1;
    spec_of(tensor, &spec);
    size_t size = npy_header(&spec, samples, head);
    enum err err = file_begin(path, temporary, sizeof temporary, &fd, why);
    if (err == ERR_OK)
        err = file_pwrite(fd, head, size, 0, path, why);
    if (err == ERR_OK)
        err = file_pwrite(fd, tensor->data, tensor->bytes, size, path, why);
    if (err == ERR_OK)
        return file_publish(&fd, temporary, path, why);
    if (fd >= 0)
        file_discard(&fd, temporary);
    return err;
}

/* The names that a job's answer has in its folder (spool_output_name) are those of plain words; of others the
 * odd bytes become %XX here too. */
static void file_name(const char *name, size_t k, char *text, size_t max)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t used = 0;
    if (!*name)
        snprintf(text, max, "output%zu", k);
    for (const char *at = name; *at && used + 4 < max; at++) {
        bool odd = !strchr(plain, *at) || (*at == '.' && (at == name || !at[1]));
        used += (size_t)snprintf(text + used, max - used, odd ? "%%%02X" : "%c", (unsigned char)*at);
    }
}

static enum err write_folder(const struct motley_answer *answer, const char *folder, struct why *why)
{
    char path[PATH_MAX_BYTES + 256], name[200];
    enum err err = file_make_dirs(folder, 0777, why);
    for (size_t k = 0; k < answer->outputs_count && err == ERR_OK; k++) {
        file_name(answer->outputs[k].name, k, name, sizeof name);
        snprintf(path, sizeof path, "%s/%s.npy", folder, name);
        err = write_npy(&answer->outputs[k], answer->samples, path, why);
    }
    return err;
}

static enum err write_lines(const struct motley_answer *answer, const char *path, struct why *why)
{
    char temporary[PATH_MAX_BYTES + 64];
    int fd = -1;
    enum err err = file_begin(path, temporary, sizeof temporary, &fd, why);
    if (err != ERR_OK)
        return err;
    int copy = dup(fd);
    FILE *stream = copy >= 0 ? fdopen(copy, "w") : NULL;
    if (stream)
        infer_view_print_lines(answer, stream);
    if (!stream || fclose(stream) != 0) {
        err = why_set_errno(why, ERR_FILE, "%s: cannot be written", path);
        file_discard(&fd, temporary);
        return err;
    }
    return file_publish(&fd, temporary, path, why);
}

enum err infer_view_check_path(const char *path, struct why *why) { return output_check_name(path, why); }

enum err infer_view_write(const struct motley_answer *answer, const char *path, const char *input,
                          const char *model, struct why *why)
{
    struct signature signature = { .outputs_count = (uint32_t)answer->outputs_count };
    struct output_plan plan;
    for (size_t k = 0; k < answer->outputs_count; k++)
        spec_of(&answer->outputs[k], &signature.outputs[k]);
    enum err err = output_plan(path, &signature, answer->ids != NULL, &plan, why);
    if (err == ERR_OK)
        err = output_check(&plan, why);
    if (err == ERR_OK && input)
        err = output_check_source(&plan, input, why);
    if (err == ERR_OK && model)
        err = output_check_source(&plan, model, why);
    if (err != ERR_OK)
        return err;
    if (plan.kind == OUTPUT_JSONL)
        return write_lines(answer, plan.path, why);
    return plan.kind == OUTPUT_FOLDER ? write_folder(answer, plan.path, why)
                                      : write_npy(&answer->outputs[0], answer->samples, plan.path, why);
}
