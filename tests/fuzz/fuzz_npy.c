// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"
#include "npy.h"

#include <string.h>

/* What is accepted must lie within the file, and its header, written anew, must say the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct npy_array array, again;
    struct why why = { "" };
    uint8_t header[NPY_HEADER_MAX];
    size_t look = size < NPY_HEADER_MAX ? size : NPY_HEADER_MAX;
    if (npy_parse(data, look, size, &array, &why) != ERR_OK) {
        FUZZ_CHECK(why.text[0] != 0 && !strchr(why.text, '\n'));
        return 0;
    }
    FUZZ_CHECK(array.offset <= size);
    FUZZ_CHECK(array.row_bytes == 0 || array.sample_count <= (size - array.offset) / array.row_bytes);
    size_t length = npy_header(&array.spec, array.sample_count, header);
    FUZZ_CHECK(length % 64 == 0 && length <= NPY_HEADER_MAX);
    uint64_t total = length + array.sample_count * array.row_bytes;
    FUZZ_CHECK(npy_parse(header, length, total, &again, &why) == ERR_OK);
    FUZZ_CHECK(memcmp(&again.spec, &array.spec, sizeof again.spec) == 0);
    FUZZ_CHECK(again.sample_count == array.sample_count && again.row_bytes == array.row_bytes);
    return 0;
}
