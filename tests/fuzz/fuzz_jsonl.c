// SPDX-License-Identifier: Apache-2.0
/* Lines of requests for a model of two inputs: what is accepted has a row of each and a name for each line.
 */
#include "fuzz.h"
#include "jsonl.h"

#include <string.h>

static void check_input(const struct input *input)
{
    FUZZ_CHECK(input->jsonl && input->count == 2);
    for (uint32_t i = 0; i < input->count; i++) {
        const struct input_array *array = &input->arrays[i];
        FUZZ_CHECK(array->row_bytes * input->samples == array->file_bytes);
        FUZZ_CHECK(array->file_bytes == (uint64_t)lseek(array->fd, 0, SEEK_END));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct input input;
    static const struct signature model = {
        .format = "onnx",
        .inputs_count = 2,
        .outputs_count = 1,
        .inputs = { { .name = "x", .dtype = DTYPE_F32, .dims_count = 2, .dims = { -1, 2 } },
                    { .name = "flag", .dtype = DTYPE_BOOL, .dims_count = 0 } },
        .outputs = { { .name = "y", .dtype = DTYPE_F32, .dims_count = 1, .dims = { 3 } } },
    };
    struct why why = { "" };
    char path[32];
    int fd = fuzz_file(data, size, path);
    FUZZ_CHECK(lseek(fd, 0, SEEK_SET) == 0);
    memset(&input, 0, sizeof input);
    input.names_fd = -1;
    for (uint32_t i = 0; i < INPUTS_MAX; i++)
        input.arrays[i].fd = -1;
    enum err err = jsonl_convert(fd, "lines", &model, &input, &why);
    if (err == ERR_OK)
        check_input(&input);
    else
        FUZZ_CHECK(why.text[0]);
    input_close(&input);
    close(fd);
    return 0;
}
