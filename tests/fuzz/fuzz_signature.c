// SPDX-License-Identifier: Apache-2.0
/* What `motley-worker --check-model` or a coordinator says of a model. */
#include "fuzz.h"
#include "signature.h"

#include <string.h>

static void check_tensors(const struct tensor_spec *specs, uint32_t count)
{
    FUZZ_CHECK(count <= INPUTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        FUZZ_CHECK(specs[i].dtype > DTYPE_NONE && specs[i].dtype < DTYPE_COUNT);
        FUZZ_CHECK(specs[i].dims_count <= TENSOR_DIMS_MAX &&
                   strnlen(specs[i].name, TENSOR_NAME_MAX) < TENSOR_NAME_MAX);
        for (uint32_t k = 0; k < specs[i].dims_count; k++)
            FUZZ_CHECK(specs[i].dims[k] >= -1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct signature signature;
    struct why why = { "" };
    memset(&signature, 0x5A, sizeof signature);
    if (signature_parse((const char *)data, size, "here", &signature, &why)) {
        FUZZ_CHECK(why.text[0]);
        return 0;
    }
    check_tensors(signature.inputs, signature.inputs_count);
    check_tensors(signature.outputs, signature.outputs_count);
    return 0;
}
