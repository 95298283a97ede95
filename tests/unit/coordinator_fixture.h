// SPDX-License-Identifier: Apache-2.0
/* coordinator_fixture - messages that the tests of the coordinator's tables start from. */
#ifndef COORDINATOR_FIXTURE_H
#define COORDINATOR_FIXTURE_H

#include "messages.h"

#include <string.h>

/* A HELLO of one CPU with slots_count slots; texts and arrays are static: one at a time. */
static inline struct message_hello fixture_hello(uint8_t uuid, const char *name, uint32_t slots_count)
{
    static uint8_t uuids[256][UUID_BYTES];
    static const char *formats[] = { "onnx", "synthetic", "of-tomorrow" };
    static const char *precisions[] = { "fp32", "int8" };
    static struct message_figure figures[] = { { "copy_bandwidth", 12.5e9, MESSAGE_GRADE_MEASURED } };
    static struct message_label labels[] = { { "room", "b12" } };
    static struct message_device device;
    static struct message_slot slots[8];
    device = (struct message_device){ .id = "cpu0",
                                      .kind = "cpu",
                                      .vendor = "",
                                      .name = "A processor",
                                      .uuid = "",
                                      .memory_total_bytes = 1000,
                                      .precisions = precisions,
                                      .precisions_count = 2,
                                      .figures = figures,
                                      .figures_count = 1 };
    for (uint32_t i = 0; i < 8; i++)
        slots[i] = (struct message_slot){ .slot = i,
                                          .device = "cpu0",
                                          .runtime = i ? "emulated" : "onnxruntime",
                                          .formats = formats,
                                          .formats_count = 3,
                                          .batch_max = 8,
                                          .window = 2,
                                          .alpha_us = 1000,
                                          .beta_us = 10,
                                          .idle_watts = -1,
                                          .busy_watts = -1,
                                          .price_per_hour = -1 };
    memset(uuids[uuid], uuid, UUID_BYTES);
    return (struct message_hello){ .protocol_min = 1,
                                   .protocol_max = 1,
                                   .worker = uuids[uuid],
                                   .name = name,
                                   .host = "lab",
                                   .version = "1",
                                   .pid = 77,
                                   .labels = labels,
                                   .labels_count = 1,
                                   .devices = &device,
                                   .devices_count = 1,
                                   .slots = slots,
                                   .slots_count = slots_count };
}

/* A SUBMIT of the built-in model with one output. */
static inline struct message_submit fixture_submit(uint8_t uuid, const char *name, uint64_t samples)
{
    static uint8_t uuids[256][UUID_BYTES];
    static int64_t dims[] = { 3 };
    static struct message_tensor output;
    output = (struct message_tensor){ .name = "answer", .dtype = DTYPE_F32, .dims = dims, .dims_count = 1 };
    memset(uuids[uuid], uuid, UUID_BYTES);
    return (struct message_submit){ .uuid = uuids[uuid],
                                    .name = name,
                                    .model = "synthetic",
                                    .format = "synthetic",
                                    .samples = samples,
                                    .outputs = &output,
                                    .outputs_count = 1,
                                    .output_path = "",
                                    .max_failures = UINT64_MAX,
                                    .max_failures_share = 0.05 };
}

#endif
