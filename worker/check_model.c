// SPDX-License-Identifier: Apache-2.0
#include "check_model.h"

#include "inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

static yyjson_mut_val *tensors_json(yyjson_mut_doc *json, const struct tensor_spec *specs, uint32_t count)
{
    yyjson_mut_val *array = yyjson_mut_arr(json);
    for (uint32_t i = 0; i < count; i++) {
        yyjson_mut_val *tensor = yyjson_mut_obj(json), *shape = yyjson_mut_arr(json);
        for (uint32_t k = 0; k < specs[i].dims_count; k++)
            if (specs[i].dims[k] >= 0)
                yyjson_mut_arr_add_sint(json, shape, specs[i].dims[k]);
            else
                yyjson_mut_arr_add_null(json, shape);
        yyjson_mut_obj_add_str(json, tensor, "name", specs[i].name);
        yyjson_mut_obj_add_str(json, tensor, "dtype", dtype_name(specs[i].dtype));
        yyjson_mut_obj_add_val(json, tensor, "shape", shape);
        yyjson_mut_arr_append(array, tensor);
    }
    return array;
}

char *check_model_json(const struct model_signature *signature, const char *runtime)
{
    yyjson_mut_doc *json = yyjson_mut_doc_new(NULL);
    if (json == NULL)
        return NULL;
    yyjson_mut_val *root = yyjson_mut_obj(json);
    yyjson_mut_doc_set_root(json, root);
    yyjson_mut_obj_add_str(json, root, "format", signature->format);
    yyjson_mut_obj_add_str(json, root, "runtime", runtime);
    if (signature->batch_fixed > 0)
        yyjson_mut_obj_add_uint(json, root, "batch", signature->batch_fixed);
    else
        yyjson_mut_obj_add_str(json, root, "batch", "any");
    if (signature->precision[0] != 0)
        yyjson_mut_obj_add_str(json, root, "precision", signature->precision);
    else
        yyjson_mut_obj_add_null(json, root, "precision");
    yyjson_mut_obj_add_val(json, root, "inputs",
                           tensors_json(json, signature->inputs, signature->inputs_count));
    yyjson_mut_obj_add_val(json, root, "outputs",
                           tensors_json(json, signature->outputs, signature->outputs_count));
    char *text =
        yyjson_mut_write(json, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    yyjson_mut_doc_free(json);
    return text;
}

static void print_tensors(const char *what, const struct tensor_spec *specs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char shape[256];
        tensor_print(&specs[i], shape, sizeof shape);
        printf("%s '%s': %s for each sample\n", what, specs[i].name, shape);
    }
}

static void print_signature(const struct model_signature *signature, const char *runtime)
{
    printf("%s, loaded by %s", signature->format, runtime);
    if (signature->precision[0] != 0)
        printf(", %s", signature->precision);
    if (signature->batch_fixed > 0)
        printf(", batches of exactly %u (shorter ones are padded)\n", signature->batch_fixed);
    else
        printf(", any batch\n");
    print_tensors("input", signature->inputs, signature->inputs_count);
    print_tensors("output", signature->outputs, signature->outputs_count);
}

enum err check_model(const char *path, bool json, struct why *why)
{
    struct model_signature signature;
    const char *runtime;
    bool built_in = strcmp(path, "synthetic") == 0 && access(path, F_OK) != 0;
    enum err err = model_inspect(built_in ? NULL : path, &signature, &runtime, why);
    if (err != ERR_OK)
        return err;
    if (!json) {
        print_signature(&signature, runtime);
        return ERR_OK;
    }
    char *text = check_model_json(&signature, runtime);
    if (text == NULL)
        return why_set(why, ERR_MEMORY, "out of memory");
    printf("%s\n", text);
    free(text);
    return ERR_OK;
}
