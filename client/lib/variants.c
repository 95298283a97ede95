// SPDX-License-Identifier: Apache-2.0
#include "variants.h"

#include "precision.h"

#include <stdio.h>
#include <string.h>
#include <yyjson.h>

enum { WORD_MAX = 16, LIST_MAX = 256 };

static bool parse_one(yyjson_val *from, struct variant *variant)
{
    const char *hex = yyjson_get_str(yyjson_obj_get(from, "blob"));
    const char *format = yyjson_get_str(yyjson_obj_get(from, "format"));
    const char *precision = yyjson_get_str(yyjson_obj_get(from, "precision"));
    if (!hex || sha256_parse(hex, variant->blob) != ERR_OK || !format)
        return false;
    snprintf(variant->format, sizeof variant->format, "%s", format);
    snprintf(variant->precision, sizeof variant->precision, "%s", precision ? precision : "");
    variant->bytes = yyjson_get_uint(yyjson_obj_get(from, "bytes"));
    variant->accuracy = yyjson_get_num(yyjson_obj_get(from, "accuracy"));
    return true;
}

enum err variants_parse(const char *json, size_t size, const char *model, struct variants *variants,
                        struct why *why)
{
    size_t index, count;
    yyjson_val *from;
    bool good = true;
    yyjson_doc *doc = yyjson_read(json, size, 0);
    variants->count = 0;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "variants"), index, count, from)
    {
        good = good && variants->count < VARIANTS_MAX && parse_one(from, &variants->at[variants->count]);
        variants->count += good;
    }
    yyjson_doc_free(doc);
    return good ? ERR_OK
                : why_set(why, ERR_FORMAT, "%s: the coordinator's list of its files was not understood",
                          model);
}

/* ---- choosing ---- */

/* "fp16,fp32" into bits. */
static enum err parse_precisions(const char *list, uint32_t *bits, struct why *why)
{
    *bits = 0;
    for (const char *at = list; *at;) {
        char word[WORD_MAX];
        size_t length = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)length, at);
        uint32_t bit = length < sizeof word ? precision_bit(word) : 0;
        if (!bit)
            return why_set(why, ERR_USAGE, "precisions=%.100s: give %s, several with commas between", list,
                           PRECISION_NAMES);
        *bits |= bit;
        at += length + (at[length] == ',');
    }
    return *bits ? ERR_OK : why_set(why, ERR_USAGE, "precisions=: give at least one of %s", PRECISION_NAMES);
}

/* "int8 (accuracy 0.74), fp32 (accuracy not known)" */
static void list_files(const struct variants *variants, char text[LIST_MAX])
{
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < variants->count && used < LIST_MAX; i++) {
        const struct variant *at = &variants->at[i];
        char accuracy[32] = "not known";
        if (at->accuracy > 0)
            snprintf(accuracy, sizeof accuracy, "%.6g", at->accuracy);
        used += (size_t)snprintf(text + used, LIST_MAX - used, "%s%s (accuracy %s)", i ? ", " : "",
                                 at->precision[0] ? at->precision : "unknown precision", accuracy);
    }
}

enum err variants_choose(struct variants *variants, const char *model, const char *precisions,
                         double accuracy_min, struct why *why)
{
    struct variants left = { 0 };
    char files[LIST_MAX];
    uint32_t bits = UINT32_MAX;
    if (!precisions && accuracy_min <= 0)
        return ERR_OK;
    enum err err = precisions ? parse_precisions(precisions, &bits, why) : ERR_OK;
    if (err != ERR_OK)
        return err;
    if (variants->count == 0)
        return why_set(why, ERR_USAGE,
                       "precisions and accuracy_min choose among the files of a registered model, and %.200s "
                       "is none; see `motley model add`",
                       model);
    for (uint32_t i = 0; i < variants->count; i++) {
        const struct variant *at = &variants->at[i];
        bool precise = !precisions || (precision_bit(at->precision) & bits);
        bool accurate = accuracy_min <= 0 || (at->accuracy > 0 && at->accuracy >= accuracy_min);
        if (precise && accurate)
            left.at[left.count++] = *at;
    }
    list_files(variants, files);
    if (left.count == 0)
        return why_set(why, ERR_USAGE,
                       "model %.100s: none of its files is allowed; it has %s. An accuracy that is not known "
                       "meets no accuracy_min",
                       model, files);
    *variants = left;
    return ERR_OK;
}
