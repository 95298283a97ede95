// SPDX-License-Identifier: Apache-2.0
#include "reference.h"

#ifdef MOTLEY_ORT
#include "ensure.h"
#include "ort_library.h"
#include "ort_signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool reference_available(void)
{
    const struct ort *ort;
    struct why why = { "" };
    enum err err = ort_library(&ort, &why);
    if (err != ERR_OK)
        fprintf(stderr, "%s\n", why.text);
    ENSURE(err == ERR_OK || getenv("MOTLEY_ORT_LIBRARY") == NULL);
    return err == ERR_OK;
}

static OrtValue *make_input(const struct ort *ort, const struct reference_tensor *input)
{
    OrtValue *value = NULL;
    ENSURE(ort->api->CreateTensorWithDataAsOrtValue(ort->memory, input->data, input->bytes, input->dims,
                                                    input->dims_count, ort_type(input->dtype),
                                                    &value) == NULL);
    return value;
}

static void take_output(const struct ort *ort, OrtValue *value, struct reference_tensor *output)
{
    OrtTensorTypeAndShapeInfo *info;
    size_t elements = 0;
    void *data = NULL;
    ENSURE(ort->api->GetTensorTypeAndShape(value, &info) == NULL);
    ENSURE(ort->api->GetTensorShapeElementCount(info, &elements) == NULL);
    ENSURE(ort->api->GetTensorMutableData(value, &data) == NULL);
    output->bytes = elements * dtype_bytes(output->dtype);
    output->data = malloc(output->bytes + 1);
    ENSURE(output->data != NULL);
    memcpy(output->data, data, output->bytes);
    ort->api->ReleaseTensorTypeAndShapeInfo(info);
}

static OrtSession *open_session(const struct ort *ort, const char *path)
{
    OrtSessionOptions *options;
    OrtSession *session = NULL;
    ENSURE(ort->api->CreateSessionOptions(&options) == NULL);
    ENSURE(ort->api->SetIntraOpNumThreads(options, 1) == NULL);
    ENSURE(ort->api->CreateSession(ort->env, path, options, &session) == NULL);
    ort->api->ReleaseSessionOptions(options);
    return session;
}

void reference_run(const char *path, uint32_t inputs_count, const struct reference_tensor *inputs,
                   uint32_t outputs_count, struct reference_tensor *outputs)
{
    const struct ort *ort;
    OrtValue *in[REFERENCE_TENSORS_MAX] = { NULL }, *out[REFERENCE_TENSORS_MAX] = { NULL };
    const char *in_names[REFERENCE_TENSORS_MAX], *out_names[REFERENCE_TENSORS_MAX];
    ENSURE(ort_library(&ort, NULL) == ERR_OK);
    OrtSession *session = open_session(ort, path);
    for (uint32_t i = 0; i < inputs_count; i++) {
        in[i] = make_input(ort, &inputs[i]);
        in_names[i] = inputs[i].name;
    }
    for (uint32_t i = 0; i < outputs_count; i++)
        out_names[i] = outputs[i].name;
    ENSURE(ort->api->Run(session, NULL, in_names, (const OrtValue *const *)in, inputs_count, out_names,
                         outputs_count, out) == NULL);
    for (uint32_t i = 0; i < outputs_count; i++) {
        take_output(ort, out[i], &outputs[i]);
        ort->api->ReleaseValue(out[i]);
    }
    for (uint32_t i = 0; i < inputs_count; i++)
        ort->api->ReleaseValue(in[i]);
    ort->api->ReleaseSession(session);
}

#else
bool reference_available(void) { return false; }

void reference_run(const char *path, uint32_t inputs_count, const struct reference_tensor *inputs,
                   uint32_t outputs_count, struct reference_tensor *outputs)
{
    (void)path, (void)inputs_count, (void)inputs, (void)outputs_count, (void)outputs;
}
#endif
