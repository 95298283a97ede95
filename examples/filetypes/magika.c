// SPDX-License-Identifier: Apache-2.0
#include "magika.h"

#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

enum { FILE_BYTES_MAX = 1 << 20 };

static enum err read_json(const char *path, yyjson_doc **doc, struct why *why)
{
    char *bytes = NULL;
    size_t size = 0;
    enum err err = file_read(path, FILE_BYTES_MAX, &bytes, &size, why);
    if (err)
        return err;
    *doc = yyjson_read(bytes, size, YYJSON_READ_NOFLAG);
    free(bytes);
    if (!*doc || !yyjson_is_obj(yyjson_doc_get_root(*doc))) {
        yyjson_doc_free(*doc);
        return why_set(why, ERR_FORMAT, "%s: not a JSON object; give the file of Magika's package", path);
    }
    return ERR_OK;
}

/* A whole number in [0, max]; anything else makes *good false and stays 0. */
static uint32_t number_at(yyjson_val *root, const char *key, uint32_t max, bool *good)
{
    yyjson_val *value = yyjson_obj_get(root, key);
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) > max) {
        *good = false;
        return 0;
    }
    return (uint32_t)yyjson_get_uint(value);
}

static bool read_sizes(struct magika *config, yyjson_val *root)
{
    bool good = true;
    config->block_size = number_at(root, "block_size", MAGIKA_BLOCK_MAX, &good);
    config->beg_size = number_at(root, "beg_size", MAGIKA_BLOCK_MAX, &good);
    config->end_size = number_at(root, "end_size", MAGIKA_BLOCK_MAX, &good);
    config->padding_token = (int32_t)number_at(root, "padding_token", 65535, &good);
    config->min_file_size = number_at(root, "min_file_size_for_dl", MAGIKA_BLOCK_MAX, &good);
    return good && config->block_size > config->beg_size && config->block_size > config->end_size &&
           config->min_file_size >= 1 && config->min_file_size <= config->beg_size;
}

static bool copy_label(char label[MAGIKA_LABEL_MAX], const char *text)
{
    return text && *text && snprintf(label, MAGIKA_LABEL_MAX, "%s", text) < MAGIKA_LABEL_MAX;
}

static bool read_label(struct magika_label *label, yyjson_val *name, yyjson_val *root)
{
    if (!copy_label(label->name, yyjson_get_str(name)))
        return false;
    const char *shown = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(root, "overwrite_map"), label->name));
    yyjson_val *threshold = yyjson_obj_get(yyjson_obj_get(root, "thresholds"), label->name);
    if (!yyjson_is_num(threshold))
        threshold = yyjson_obj_get(root, "medium_confidence_threshold");
    label->threshold = (float)yyjson_get_num(threshold);
    return yyjson_is_num(threshold) && copy_label(label->shown, shown ? shown : label->name);
}

static bool read_labels(struct magika *config, yyjson_val *root)
{
    yyjson_val *names = yyjson_obj_get(root, "target_labels_space"), *name = NULL;
    size_t index = 0, count = 0;
    if (!yyjson_is_arr(names) || yyjson_arr_size(names) == 0 || yyjson_arr_size(names) > MAGIKA_LABELS_MAX)
        return false;
    yyjson_arr_foreach(names, index, count,
                       name) if (!read_label(&config->labels[index], name, root)) return false;
    config->labels_count = (uint32_t)count;
    return true;
}

enum err magika_read(const char *path, struct magika *config, struct why *why)
{
    yyjson_doc *doc = NULL;
    enum err err = read_json(path, &doc, why);
    if (err)
        return err;
    yyjson_val *root = yyjson_doc_get_root(doc);
    memset(config, 0, sizeof *config);
    if (yyjson_get_uint(yyjson_obj_get(root, "mid_size")) > 0 ||
        yyjson_get_bool(yyjson_obj_get(root, "use_inputs_at_offsets")))
        err =
            why_set(why, ERR_UNSUPPORTED,
                    "%s: a model that looks at a file's middle; only beginning and end are known here", path);
    else if (!read_sizes(config, root) || !read_labels(config, root))
        err = why_set(why, ERR_FORMAT,
                      "%s: not the configuration of a Magika model; give its config.min.json", path);
    yyjson_doc_free(doc);
    return err;
}

enum err magika_read_types(const char *path, struct magika *config, struct why *why)
{
    yyjson_doc *doc = NULL;
    enum err err = read_json(path, &doc, why);
    if (err)
        return err;
    for (uint32_t i = 0; i < config->labels_count; i++) {
        yyjson_val *type = yyjson_obj_get(yyjson_doc_get_root(doc), config->labels[i].shown);
        if (!yyjson_is_obj(type)) {
            err = why_set(why, ERR_FORMAT,
                          "%s: does not know \"%s\"; give content_types_kb.min.json of the model's release",
                          path, config->labels[i].shown);
            break;
        }
        config->labels[i].is_text = yyjson_get_bool(yyjson_obj_get(type, "is_text"));
    }
    yyjson_doc_free(doc);
    return err;
}

const char *magika_answer(const struct magika *config, const float *scores)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < config->labels_count; i++)
        if (scores[i] > scores[best])
            best = i;
    const struct magika_label *label = &config->labels[best];
    if (scores[best] >= label->threshold)
        return label->shown;
    return label->is_text ? "txt" : "unknown";
}
