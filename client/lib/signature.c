// SPDX-License-Identifier: Apache-2.0
#include "signature.h"

#include "child.h"
#include "file.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yyjson.h>

void signature_synthetic(struct signature *signature)
{
    memset(signature, 0, sizeof *signature);
    snprintf(signature->format, sizeof signature->format, "synthetic");
    signature->outputs_count = 1;
    snprintf(signature->outputs[0].name, TENSOR_NAME_MAX, "answer");
    signature->outputs[0].dtype = DTYPE_U64;
}

static bool copy_text(yyjson_val *value, char *text, size_t max)
{
    const char *from = yyjson_get_str(value);
    text[0] = 0;
    if (!from)
        return yyjson_is_null(value) || !value;
    if (strlen(from) >= max)
        return false;
    memcpy(text, from, strlen(from) + 1);
    return true;
}

static bool parse_shape(yyjson_val *shape, struct tensor_spec *spec)
{
    size_t index, count;
    yyjson_val *dim;
    if (!yyjson_is_arr(shape) || yyjson_arr_size(shape) > TENSOR_DIMS_MAX)
        return false;
    spec->dims_count = 0;
    yyjson_arr_foreach(shape, index, count, dim)
    {
        bool unknown = yyjson_is_null(dim) || (yyjson_is_int(dim) && yyjson_get_sint(dim) == -1);
        if (!unknown && (!yyjson_is_uint(dim) || yyjson_get_uint(dim) > INT32_MAX))
            return false;
        spec->dims[spec->dims_count++] = unknown ? -1 : yyjson_get_sint(dim);
    }
    return true;
}

static bool parse_tensors(yyjson_val *list, struct tensor_spec *specs, uint32_t max, uint32_t *count)
{
    size_t index, size;
    yyjson_val *tensor;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > max)
        return false;
    *count = 0;
    yyjson_arr_foreach(list, index, size, tensor)
    {
        struct tensor_spec *spec = &specs[(*count)++];
        const char *dtype = yyjson_get_str(yyjson_obj_get(tensor, "dtype"));
        if (!copy_text(yyjson_obj_get(tensor, "name"), spec->name, sizeof spec->name) || !dtype)
            return false;
        spec->dtype = dtype_from_name(dtype);
        if (spec->dtype == DTYPE_NONE || !parse_shape(yyjson_obj_get(tensor, "shape"), spec))
            return false;
    }
    return true;
}

static bool parse_root(yyjson_val *root, struct signature *signature)
{
    yyjson_val *batch = yyjson_obj_get(root, "batch");
    bool fixed = yyjson_is_uint(batch) && yyjson_get_uint(batch) <= BATCH_MAX;
    if (fixed)
        signature->batch_fixed = (uint32_t)yyjson_get_uint(batch);
    return (fixed || !batch || yyjson_is_str(batch) || yyjson_is_null(batch)) &&
           copy_text(yyjson_obj_get(root, "format"), signature->format, sizeof signature->format) &&
           copy_text(yyjson_obj_get(root, "runtime"), signature->runtime, sizeof signature->runtime) &&
           copy_text(yyjson_obj_get(root, "precision"), signature->precision, sizeof signature->precision) &&
           signature->format[0] != 0 &&
           parse_tensors(yyjson_obj_get(root, "inputs"), signature->inputs, INPUTS_MAX,
                         &signature->inputs_count) &&
           parse_tensors(yyjson_obj_get(root, "outputs"), signature->outputs, OUTPUTS_MAX,
                         &signature->outputs_count);
}

enum err signature_parse(const char *json, size_t size, const char *where, struct signature *signature,
                         struct why *why)
{
    memset(signature, 0, sizeof *signature);
    yyjson_doc *doc = yyjson_read(json, size, 0);
    bool good = doc && parse_root(yyjson_doc_get_root(doc), signature);
    yyjson_doc_free(doc);
    return good ? ERR_OK
                : why_set(why, ERR_FORMAT,
                          "%s: its signature was not understood; are all programs of one version?", where);
}

static bool usable(const char *path) { return access(path, X_OK) == 0; }

static bool beside(const char *folder, const char *step, const char *name, char *path, size_t max)
{
    int length = snprintf(path, max, "%s%s/%s", folder, step, name);
    return length > 0 && (size_t)length < max && usable(path);
}

static bool beside_this_code(const char *name, char *path, size_t max)
{
    Dl_info info;
    char folder[PATH_MAX_BYTES];
    if (file_program_dir(folder, sizeof folder, NULL) == ERR_OK && beside(folder, "", name, path, max))
        return true;
    /* In somebody else's program: the library knows where it was installed. */
    if (!dladdr((void *)(uintptr_t)&signature_program, &info) || !info.dli_fname ||
        !realpath(info.dli_fname, folder))
        return false;
    char *slash = strrchr(folder, '/');
    if (!slash)
        return false;
    *slash = 0;
    return beside(folder, "/../bin", name, path, max) || beside(folder, "/../../bin", name, path, max);
}

static bool in_path(const char *name, char *path, size_t max)
{
    const char *list = getenv("PATH");
    while (list && *list) {
        size_t length = strcspn(list, ":");
        int printed = snprintf(path, max, "%.*s/%s", (int)length, list, name);
        if (length > 0 && printed > 0 && (size_t)printed < max && usable(path))
            return true;
        list += length + (list[length] == ':');
    }
    return false;
}

enum err signature_program(const char *name, const char *variable, char *path, size_t max, struct why *why)
{
    const char *given = getenv(variable);
    if (given && *given) {
        if (strlen(given) >= max || !usable(given))
            return why_set(why, ERR_FILE, "%s=%.300s: is not a program; correct the variable or unset it",
                           variable, given);
        memcpy(path, given, strlen(given) + 1);
        return ERR_OK;
    }
    if (beside_this_code(name, path, max) || in_path(name, path, max))
        return ERR_OK;
    return why_set(why, ERR_FILE, "%s: not found beside this program nor in PATH; install it, or set %s",
                   name, variable);
}

/* The last line that names the program is its sentence; log lines may stand before it. */
static enum err refusal(const char *path, char *text, int status, struct why *why)
{
    static const char prefix[] = "motley-worker: ";
    char *found = NULL;
    for (char *at = text; (at = strstr(at, prefix)) != NULL; at += sizeof prefix - 1)
        if (at == text || at[-1] == '\n')
            found = at + sizeof prefix - 1;
    if (!found)
        found = text;
    found[strcspn(found, "\n")] = 0;
    if (!*found)
        return why_set(why, ERR_RUNTIME,
                       "%s: the model could not be checked: motley-worker ended with status %d", path,
                       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    bool usage = WIFEXITED(status) && WEXITSTATUS(status) == 2;
    return why_set(why, usage ? ERR_FORMAT : ERR_RUNTIME, "%s%s%s", strstr(found, path) ? "" : path,
                   strstr(found, path) ? "" : ": ", found);
}

enum err signature_of_file(const char *path, struct signature *signature, char **json, struct why *why)
{
    char program[PATH_MAX_BYTES];
    struct child_output output = { 0 };
    enum err err = signature_program("motley-worker", "MOTLEY_WORKER", program, sizeof program, why);
    if (err != ERR_OK)
        return err;
    char *argv[] = { program, "--check-model", (char *)(uintptr_t)path, "--json", NULL };
    err = child_run(argv, &output, why);
    if (err == ERR_OK && output.status != 0)
        err = refusal(path, output.errors, output.status, why);
    if (err == ERR_OK)
        err = signature_parse(output.text, strlen(output.text), path, signature, why);
    if (err == ERR_OK && json) {
        *json = output.text;
        output.text = NULL;
    }
    child_output_free(&output);
    return err;
}
