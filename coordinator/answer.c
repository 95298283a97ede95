// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include "ensure.h"

#include <stdlib.h>
#include <string.h>

struct parcel *parcel_take(struct wire_in *in)
{
    struct parcel *parcel = malloc(sizeof *parcel + in->frames_count * sizeof parcel->frames[0]);
    if (!parcel)
        return NULL;
    parcel->holders = 1;
    parcel->frames_count = in->frames_count;
    for (uint32_t i = 0; i < in->frames_count; i++)
        wire_take(in, i, &parcel->frames[i]);
    return parcel;
}

void parcel_hold(struct parcel *parcel) { parcel->holders++; }

void parcel_release(void *held)
{
    struct parcel *parcel = held;
    ENSURE(parcel->holders > 0);
    if (--parcel->holders > 0)
        return;
    for (uint32_t i = 0; i < parcel->frames_count; i++)
        zmq_msg_close(&parcel->frames[i]);
    free(parcel);
}

/* What one sample's row takes by the shape that was sent with it, or by the job's declaration; false if
 * neither says. */
static bool row_bytes(const struct answer *answer, uint32_t output, uint64_t *bytes)
{
    const struct message_result *result = answer->result;
    struct tensor_spec spec = answer->record->outputs[output];
    if (result->shapes_count) {
        const struct message_shape *shape = &result->shapes[output];
        if (shape->dims_count > TENSOR_DIMS_MAX || shape->dtype >= DTYPE_COUNT)
            return false;
        spec.dtype = (enum dtype)shape->dtype;
        spec.dims_count = shape->dims_count;
        if (shape->dims_count > 0)
            memcpy(spec.dims, shape->dims, shape->dims_count * sizeof spec.dims[0]);
    }
    bool empty = false;
    for (uint32_t i = 0; i < spec.dims_count; i++) {
        if (spec.dims[i] < 0)
            return false;
        empty = empty || spec.dims[i] == 0;
    }
    *bytes = tensor_row_bytes(&spec);
    return *bytes > 0 || empty;
}

static void take_output(struct answer *answer, uint32_t output, const uint8_t *rows, uint64_t size)
{
    uint64_t each, count = answer->result->count;
    if (!row_bytes(answer, output, &each)) {
        answer->failure = SCHED_FAILED;
        why_set(&answer->reason, ERR_FORMAT, "the worker's answer does not say the shape of output %u",
                output);
        return;
    }
    if (each > size || each * count != size) {
        answer->failure = SCHED_FAILED;
        why_set(&answer->reason, ERR_FORMAT, "the worker's answer has %llu bytes where %llu were declared",
                (unsigned long long)size, (unsigned long long)(each * count));
        return;
    }
    answer->rows[output] = rows;
    answer->row_bytes[output] = each;
}

/* The rows in the body are cut by what each output takes; the last gets what is left, which must fit. */
static void take_small_outputs(struct answer *answer)
{
    const struct message_result *result = answer->result;
    uint32_t outputs = answer->record->outputs_count;
    uint64_t at = 0, each;
    if (outputs == 0 || (result->shapes_count && result->shapes_count != outputs)) {
        answer->failure = SCHED_FAILED;
        why_set(&answer->reason, ERR_FORMAT, "the worker's answer has %u outputs where %u were declared",
                result->shapes_count, outputs);
        return;
    }
    for (uint32_t i = 0; i < outputs && answer->failure == SCHED_OK; i++) {
        uint64_t left = result->rows_size - at;
        bool cut = i + 1 < outputs && row_bytes(answer, i, &each) && each <= left / result->count;
        uint64_t size = cut ? each * result->count : left;
        take_output(answer, i, result->rows + at, size);
        at += size;
    }
}

static void take_outputs(struct answer *answer, uint32_t frames_first)
{
    const struct message_result *result = answer->result;
    uint32_t outputs = answer->record->outputs_count;
    if (result->rows_size > 0) {
        take_small_outputs(answer);
        return;
    }
    if (result->frames != outputs || (result->shapes_count && result->shapes_count != outputs)) {
        answer->failure = SCHED_FAILED;
        why_set(&answer->reason, ERR_FORMAT, "the worker's answer has %u outputs where %u were declared",
                result->frames, outputs);
        return;
    }
    /* Whoever took the parcel saw to it that all its results' frames are there. */
    ENSURE(outputs == 0 || (answer->parcel && frames_first + outputs <= answer->parcel->frames_count));
    for (uint32_t i = 0; i < outputs && answer->failure == SCHED_OK; i++) {
        zmq_msg_t *frame = &answer->parcel->frames[frames_first + i];
        take_output(answer, i, zmq_msg_data(frame), zmq_msg_size(frame));
    }
}

void answer_init(struct answer *answer, const struct message_result *result, const struct record *record,
                 const struct worker *worker, struct parcel *parcel, uint32_t frames_first)
{
    static const enum sched_failure failures[] = { [RESULT_OK] = SCHED_OK,
                                                   [RESULT_FAILED] = SCHED_FAILED,
                                                   [RESULT_MEMORY] = SCHED_MEMORY,
                                                   [RESULT_INPUT] = SCHED_INPUT };
    answer->result = result;
    answer->record = record;
    answer->worker = worker;
    answer->parcel = parcel;
    answer->failure = result->status <= RESULT_INPUT ? failures[result->status] : SCHED_FAILED;
    answer->reason.text[0] = 0;
    if (answer->failure == SCHED_OK)
        take_outputs(answer, frames_first);
    else
        why_set(&answer->reason, ERR_RUNTIME, "%s",
                *result->reason ? result->reason : "the worker gave no reason");
}

/* The store wants every dimension where the job left one open. */
static void describe(const struct answer *answer, uint32_t output, struct tensor_spec *spec)
{
    *spec = (struct tensor_spec){ .dtype = DTYPE_NONE };
    const struct message_shape *shape = &answer->result->shapes[output];
    spec->dtype = (enum dtype)shape->dtype;
    spec->dims_count = shape->dims_count;
    if (shape->dims_count > 0)
        memcpy(spec->dims, shape->dims, shape->dims_count * sizeof spec->dims[0]);
}

struct store_op *answer_op(const struct answer *answer, struct store *store, uint64_t first, uint64_t count)
{
    uint64_t skip = first - answer->result->first;
    ENSURE(first >= answer->result->first && skip + count <= answer->result->count);
    bool shaped = answer->result->shapes_count > 0;
    const uint8_t *small = answer->result->rows_size > 0 ? answer->result->rows : NULL;
    struct store_op *op =
        store_result_new(store, answer->record->outputs_count, shaped, small ? answer->result->rows_size : 0);
    if (!op)
        return NULL;
    if (small)
        memcpy(op->held, small, answer->result->rows_size);
    op->job = answer->record->number;
    op->first = first;
    op->count = (uint32_t)count;
    op->worker = answer->worker->number;
    op->outputs_count = answer->record->outputs_count;
    for (uint32_t i = 0; i < op->outputs_count; i++) {
        if (shaped)
            describe(answer, i, &op->outputs[i]);
        op->rows[i] =
            (small ? op->held + (answer->rows[i] - small) : answer->rows[i]) + skip * answer->row_bytes[i];
        op->rows_bytes[i] = count * answer->row_bytes[i];
    }
    if (!small) {
        parcel_hold(answer->parcel);
        op->release = parcel_release;
        op->hint = answer->parcel;
    }
    return op;
}
