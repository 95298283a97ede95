// SPDX-License-Identifier: Apache-2.0
#include "verify_view.h"

#include <inttypes.h>

static uint64_t number_of(yyjson_val *object, const char *key)
{
    return yyjson_get_uint(yyjson_obj_get(object, key));
}

static const char *text_of(yyjson_val *object, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, key));
    return text ? text : "?";
}

static const char *plural(uint64_t count) { return count == 1 ? "" : "s"; }

static void print_pair(yyjson_val *pair, FILE *stream)
{
    uint64_t samples = number_of(pair, "samples"), differing = number_of(pair, "differing");
    yyjson_val *apart = yyjson_obj_get(pair, "max_abs");
    fprintf(stream, "%-11s %s against %s: %" PRIu64 " sample%s", "verified", text_of(pair, "device"),
            text_of(pair, "against"), samples, plural(samples));
    if (yyjson_is_num(apart))
        fprintf(stream, ", largest difference %.2g (%.2g of the sample's largest number)",
                yyjson_get_num(apart), yyjson_get_num(yyjson_obj_get(pair, "max_rel")));
    if (differing)
        fprintf(stream, ", %" PRIu64 " differ%s", differing, differing == 1 ? "s" : "");
    else if (!yyjson_is_num(apart))
        fprintf(stream, ", all equal");
    fputc('\n', stream);
}

void verify_view_print(yyjson_val *verify, FILE *stream)
{
    size_t index, size;
    yyjson_val *pair;
    uint64_t unchecked = number_of(verify, "samples_unchecked");
    if (!yyjson_is_obj(verify))
        return;
    yyjson_arr_foreach(yyjson_obj_get(verify, "pairs"), index, size, pair) print_pair(pair, stream);
    if (unchecked)
        fprintf(stream, "%-11s %" PRIu64 " sample%s: %s\n", "unverified", unchecked, plural(unchecked),
                text_of(verify, "note"));
}
