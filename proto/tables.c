// SPDX-License-Identifier: Apache-2.0
#include "tables.h"

#include "key.h"
#include "rules.h"
#include "sha256.h"

/* clang-format off */

/* AT: a member's offset; the compiler refuses a member of another type than the row's kind reads. */
#define MEMBER(s, m)   (((struct message_##s *)0)->m)
#define AT(s, m, type) ((uint16_t)(offsetof(struct message_##s, m) + \
                        0 * sizeof(char[_Generic(&MEMBER(s, m), type *: 1, default: -1)])))
#define ROW(n, s, m, k, type) .name = #m, .number = n, .kind = k, .offset = AT(s, m, type)
#define LIST(s, m, most)      .count_offset = AT(s, m##_count, uint32_t), .count_max = most
#define IN(lo, hi)            .min = lo, .max = hi

#define MUST .must = true
#define MAY  .must = false

/* n: number, s: struct message_<s>, m: member, lo..hi: bound, need: MUST or MAY. */
#define FLAG(n, s, m)                     { ROW(n, s, m, FIELD_BOOL, bool) }
#define U32(n, s, m, lo, hi, need)        { ROW(n, s, m, FIELD_U32, uint32_t), IN(lo, hi), need }
#define U64(n, s, m, lo, hi, need)        { ROW(n, s, m, FIELD_U64, uint64_t), IN(lo, hi), need }
#define I32(n, s, m, lo, hi, need)        { ROW(n, s, m, FIELD_I32, int32_t), IN(lo, hi), need }
#define I64(n, s, m, lo, hi, need)        { ROW(n, s, m, FIELD_I64, int64_t), IN(lo, hi), need }
#define F64(n, s, m, lo, hi, need)        { ROW(n, s, m, FIELD_F64, double), IN(lo, hi), need }
#define TEXT(n, s, m, bytes, need)        { ROW(n, s, m, FIELD_TEXT, const char *), IN(0, (bytes) - 1), need }
#define WORDS(n, s, m, bytes)             { ROW(n, s, m, FIELD_WORDS, const char *), IN(0, (bytes) - 1) }
#define FIXED(n, s, m, bytes, need)       { ROW(n, s, m, FIELD_FIXED, const uint8_t *), IN(0, bytes), need }
#define BYTES(n, s, m, bytes)             { ROW(n, s, m, FIELD_BYTES, const uint8_t *), IN(0, bytes), \
                                            .count_offset = AT(s, m##_size, uint32_t) }
#define ONE(n, s, m, of, need)            { ROW(n, s, m, FIELD_STRUCT, struct message_##of), \
                                            .table = &of##_table, need }
#define STRUCTS(n, s, m, of, most, need)  { ROW(n, s, m, FIELD_STRUCT, struct message_##of *), \
                                            LIST(s, m, most), .table = &of##_table, need }
#define TEXTS(n, s, m, bytes, most)       { ROW(n, s, m, FIELD_TEXT, const char **), LIST(s, m, most), \
                                            IN(0, (bytes) - 1) }
#define U32S(n, s, m, lo, hi, most)       { ROW(n, s, m, FIELD_U32, uint32_t *), LIST(s, m, most), \
                                            IN(lo, hi) }
#define U64S(n, s, m, lo, hi, most, need) { ROW(n, s, m, FIELD_U64, uint64_t *), LIST(s, m, most), \
                                            IN(lo, hi), need }
#define I64S(n, s, m, lo, hi, most)       { ROW(n, s, m, FIELD_I64, int64_t *), LIST(s, m, most), IN(lo, hi) }

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])
#define TABLE(s, check) \
    static const struct table s##_table = { \
        .name = #s, .fields = s##_fields, .fields_count = COUNT(s##_fields), \
        .size = sizeof(struct message_##s), .rule = check }

#define VERSION_LAST 65535
#define ANY          UINT64_MAX
#define BIG          INT64_MAX /* numbers that a journal keeps in signed 64 bits */

/* ---- worker to coordinator ---- */

static const struct field label_fields[] = {
    TEXT(1, label, key, NAME_MAX_BYTES, MUST),
    WORDS(2, label, value, NAME_MAX_BYTES),
};
TABLE(label, NULL);

static const struct field figure_fields[] = {
    TEXT(1, figure, name, NAME_MAX_BYTES, MUST),
    F64(2, figure, value, INT64_MIN, ANY, MUST),
    U32(3, figure, grade, MESSAGE_GRADE_NONE, MESSAGE_GRADE_LEARNED, MAY),
};
TABLE(figure, NULL);

static const struct field device_fields[] = {
    TEXT(1, device, id, NAME_MAX_BYTES, MUST),
    TEXT(2, device, kind, NAME_MAX_BYTES, MUST),
    WORDS(3, device, vendor, NAME_MAX_BYTES),
    WORDS(4, device, name, NAME_MAX_BYTES),
    TEXT(5, device, uuid, NAME_MAX_BYTES, MAY),
    U64(6, device, memory_total_bytes, 0, BIG, MAY),
    U64(7, device, memory_free_bytes, 0, BIG, MAY),
    TEXTS(8, device, precisions, NAME_MAX_BYTES, PRECISIONS_MAX),
    STRUCTS(9, device, figures, figure, FIGURES_MAX, MAY),
};
TABLE(device, NULL);

static const struct field slot_fields[] = {
    U32(1, slot, slot, 0, SLOTS_MAX - 1, MUST),
    TEXT(2, slot, device, NAME_MAX_BYTES, MUST),
    TEXT(3, slot, runtime, NAME_MAX_BYTES, MUST),
    TEXTS(4, slot, formats, NAME_MAX_BYTES, FORMATS_MAX),
    U32S(5, slot, batch_sizes, 1, BATCH_MAX, BATCH_SIZES_MAX),
    U32(6, slot, batch_max, 1, BATCH_MAX, MUST),
    U32(7, slot, window, 2, WINDOW_MAX, MUST),
    F64(8, slot, alpha_us, 0, ANY, MAY),
    F64(9, slot, beta_us, 0, ANY, MAY),
    F64(10, slot, load_us, 0, ANY, MAY),
    F64(11, slot, idle_watts, INT64_MIN, ANY, MUST),
    F64(12, slot, busy_watts, INT64_MIN, ANY, MUST),
    F64(13, slot, price_per_hour, INT64_MIN, ANY, MUST),
};
TABLE(slot, rules_slot);

static const struct field attempt_fields[] = {
    U64(1, attempt, job, 1, BIG, MUST),
    U64(2, attempt, first, 0, SAMPLES_MAX - 1, MUST),
    U32(3, attempt, count, 1, BATCH_MAX, MUST),
    U64(4, attempt, term, 0, BIG, MUST),
    U64(5, attempt, attempt, 0, BIG, MUST),
    U32(6, attempt, slot, 0, SLOTS_MAX - 1, MUST),
    FIXED(7, attempt, mac, MAC_BYTES, MAY),
    FLAG(8, attempt, finished),
};
TABLE(attempt, rules_attempt);

static const struct field hello_fields[] = {
    U32(1, hello, protocol_min, 1, VERSION_LAST, MUST),
    U32(2, hello, protocol_max, 1, VERSION_LAST, MUST),
    FIXED(3, hello, worker, UUID_BYTES, MUST),
    TEXT(4, hello, name, NAME_MAX_BYTES, MUST),
    WORDS(5, hello, host, NAME_MAX_BYTES),
    WORDS(6, hello, version, VERSION_MAX_BYTES),
    U64(7, hello, pid, 0, BIG, MAY),
    STRUCTS(8, hello, labels, label, LABELS_MAX, MAY),
    STRUCTS(9, hello, devices, device, DEVICES_MAX, MAY),
    STRUCTS(10, hello, slots, slot, SLOTS_MAX, MAY),
    STRUCTS(11, hello, attempts, attempt, ATTEMPTS_MAX, MAY),
    FLAG(12, hello, draining),
    U64(13, hello, life, 0, BIG, MAY),
};
TABLE(hello, rules_hello);

static const struct field proof_fields[] = {
    BYTES(1, proof, nonce, NONCE_BYTES_MAX),
};
TABLE(proof, NULL);

static const struct field loaded_fields[] = {
    U32(1, loaded, slot, 0, SLOTS_MAX - 1, MUST),
    FIXED(2, loaded, model, SHA256_BYTES, MAY),
    FLAG(3, loaded, ok),
    WORDS(4, loaded, reason, REASON_MAX_BYTES),
    U64(5, loaded, load_us, 0, TIME_US_MAX, MAY),
    F64(6, loaded, alpha_us, 0, ANY, MAY),
    F64(7, loaded, beta_us, 0, ANY, MAY),
    U32(8, loaded, batch_fixed, 0, BATCH_MAX, MAY),
};
TABLE(loaded, NULL);

static const struct field shape_fields[] = {
    U32(1, shape, dtype, 1, DTYPE_COUNT - 1, MUST),
    I64S(2, shape, dims, 0, DIMENSION_MAX, TENSOR_DIMS_MAX),
};
TABLE(shape, NULL);

static const struct field result_fields[] = {
    U32(1, result, slot, 0, SLOTS_MAX - 1, MUST),
    U64(2, result, job, 1, BIG, MUST),
    U64(3, result, first, 0, SAMPLES_MAX - 1, MUST),
    U32(4, result, count, 1, BATCH_MAX, MUST),
    U64(5, result, term, 0, BIG, MUST),
    U64(6, result, attempt, 0, BIG, MUST),
    FIXED(7, result, mac, MAC_BYTES, MAY),
    U32(8, result, status, RESULT_OK, RESULT_INPUT, MAY),
    WORDS(9, result, reason, REASON_MAX_BYTES),
    U64(10, result, wait_us, 0, TIME_US_MAX, MAY),
    U64(11, result, run_us, 0, TIME_US_MAX, MAY),
    F64(12, result, energy_joules, INT64_MIN, ANY, MUST),
    FLAG(13, result, overrun),
    U32(14, result, frames, 0, OUTPUTS_MAX, MAY),
    STRUCTS(15, result, shapes, shape, OUTPUTS_MAX, MAY),
    FLAG(16, result, again),
    BYTES(17, result, rows, ROWS_MAX_BYTES),
};
TABLE(result, rules_result);

static const struct field results_fields[] = {
    STRUCTS(1, results, results, result, RESULTS_MAX, MUST),
};
TABLE(results, NULL);

static const struct field returned_fields[] = {
    U64S(1, returned, attempts, 0, BIG, ATTEMPTS_MAX, MUST),
};
TABLE(returned, NULL);

static const struct field running_fields[] = {
    U32(1, running, slot, 0, SLOTS_MAX - 1, MUST),
    U64(2, running, attempt, 0, BIG, MUST),
    U64(3, running, elapsed_us, 0, TIME_US_MAX, MAY),
};
TABLE(running, NULL);

static const struct field heartbeat_fields[] = {
    U64(1, heartbeat, sequence, 0, BIG, MUST),
    STRUCTS(2, heartbeat, running, running, SLOTS_MAX, MAY),
    U64(3, heartbeat, memory_free_bytes, 0, BIG, MAY),
};
TABLE(heartbeat, NULL);

static const struct field fetch_fields[] = {
    U64(1, fetch, tag, 0, ANY, MUST),
    U32(2, fetch, kind, FETCH_MODEL, FETCH_INPUT, MUST),
    FIXED(3, fetch, model, SHA256_BYTES, MAY),
    U64(4, fetch, job, 0, BIG, MAY),
    U32(5, fetch, input, 0, INPUTS_MAX - 1, MAY),
    U64(6, fetch, offset, 0, BIG, MAY),
    U32(7, fetch, length, 1, PIECE_BYTES_MAX, MUST),
};
TABLE(fetch, rules_fetch);

static const struct field bye_fields[] = {
    WORDS(1, bye, reason, REASON_MAX_BYTES),
};
TABLE(bye, NULL);

/* ---- coordinator to worker ---- */

static const struct field welcome_fields[] = {
    U32(1, welcome, protocol, 1, VERSION_LAST, MUST),
    U64(2, welcome, term, 0, BIG, MUST),
    U64(3, welcome, session, 0, BIG, MUST),
    U32(4, welcome, heartbeat_ms, 1, 3600000, MUST),
    TEXT(5, welcome, proof_path, PATH_MAX_BYTES, MAY),
    U32(6, welcome, silence_ms, 0, 3600000, MAY),
};
TABLE(welcome, NULL);

static const struct field tensor_fields[] = {
    TEXT(1, tensor, name, TENSOR_NAME_MAX, MAY),
    U32(2, tensor, dtype, 1, DTYPE_COUNT - 1, MUST),
    I64S(3, tensor, dims, -1, DIMENSION_MAX, TENSOR_DIMS_MAX),
};
TABLE(tensor, NULL);

static const struct field source_fields[] = {
    TEXT(1, source, path, PATH_MAX_BYTES, MAY),
    U64(2, source, offset, 0, BIG, MAY),
    U64(3, source, row_bytes, 0, BIG, MAY),
    U64(4, source, file_bytes, 0, BIG, MAY),
    I64(5, source, mtime_ns, INT64_MIN, INT64_MAX, MAY),
};
TABLE(source, NULL);

static const struct field job_fields[] = {
    U64(1, job, job, 1, BIG, MUST),
    U64(2, job, samples, 0, SAMPLES_MAX, MUST),
    FIXED(3, job, model, SHA256_BYTES, MAY),
    TEXT(4, job, format, NAME_MAX_BYTES, MUST),
    U64(5, job, model_bytes, 0, BIG, MAY),
    STRUCTS(6, job, inputs, tensor, INPUTS_MAX, MAY),
    STRUCTS(7, job, sources, source, INPUTS_MAX, MAY),
    STRUCTS(8, job, outputs, tensor, OUTPUTS_MAX, MAY),
};
TABLE(job, rules_job);

static const struct field jobs_fields[] = {
    STRUCTS(1, jobs, jobs, job, JOBS_PER_MESSAGE_MAX, MUST),
};
TABLE(jobs, NULL);

static const struct field load_fields[] = {
    U32(1, load, slot, 0, SLOTS_MAX - 1, MUST),
    U64(2, load, job, 1, BIG, MUST),
    FIXED(3, load, model, SHA256_BYTES, MAY),
    U64(4, load, model_bytes, 0, BIG, MAY),
};
TABLE(load, NULL);

static const struct field lease_fields[] = {
    U32(1, lease, slot, 0, SLOTS_MAX - 1, MUST),
    U64(2, lease, job, 1, BIG, MUST),
    U64(3, lease, first, 0, SAMPLES_MAX - 1, MUST),
    U32(4, lease, count, 1, BATCH_MAX, MUST),
    U64(5, lease, term, 0, BIG, MUST),
    U64(6, lease, attempt, 0, BIG, MUST),
    FIXED(7, lease, mac, MAC_BYTES, MAY),
};
TABLE(lease, rules_lease);

static const struct field leases_fields[] = {
    STRUCTS(1, leases, leases, lease, LEASES_MAX, MUST),
};
TABLE(leases, NULL);

static const struct field recall_fields[] = {
    U64S(1, recall, attempts, 0, BIG, ATTEMPTS_MAX, MUST),
};
TABLE(recall, NULL);

static const struct field acks_fields[] = {
    U64(1, acks, term, 0, BIG, MUST),
    U64S(2, acks, attempts, 0, BIG, ATTEMPTS_MAX, MUST),
};
TABLE(acks, NULL);

static const struct field piece_fields[] = {
    U64(1, piece, tag, 0, ANY, MUST),
    FLAG(2, piece, ok),
    WORDS(3, piece, reason, REASON_MAX_BYTES),
    U64(4, piece, total, 0, BIG, MAY),
};
TABLE(piece, NULL);

static const struct field forget_fields[] = {
    U64S(1, forget, jobs, 1, BIG, ATTEMPTS_MAX, MUST),
};
TABLE(forget, NULL);

static const struct field unload_fields[] = {
    U32(1, unload, slot, 0, SLOTS_MAX - 1, MUST),
    FIXED(2, unload, model, SHA256_BYTES, MAY),
};
TABLE(unload, NULL);

static const struct field prefetch_fields[] = {
    U64(1, prefetch, job, 1, BIG, MUST),
    FIXED(2, prefetch, model, SHA256_BYTES, MAY),
    U64(3, prefetch, model_bytes, 0, BIG, MAY),
};
TABLE(prefetch, NULL);

static const struct field draining_fields[] = {
    FLAG(1, draining, on),
};
TABLE(draining, NULL);

static const struct field pulse_fields[] = {
    U64(1, pulse, sequence, 0, BIG, MUST),
};
TABLE(pulse, NULL);

/* ---- client to coordinator ---- */

static const struct field client_hello_fields[] = {
    U32(1, client_hello, protocol_min, 1, VERSION_LAST, MUST),
    U32(2, client_hello, protocol_max, 1, VERSION_LAST, MUST),
    WORDS(3, client_hello, version, VERSION_MAX_BYTES),
    BYTES(4, client_hello, nonce, NONCE_BYTES_MAX),
};
TABLE(client_hello, rules_client_hello);

static const struct field input_fields[] = {
    ONE(1, input, tensor, tensor, MUST),
    ONE(2, input, source, source, MAY),
    FIXED(3, input, blob, SHA256_BYTES, MAY),
};
TABLE(input, NULL);

static const struct field variant_fields[] = {
    FIXED(1, variant, blob, SHA256_BYTES, MUST),
    TEXT(2, variant, format, NAME_MAX_BYTES, MUST),
    TEXT(3, variant, precision, NAME_MAX_BYTES, MAY),
    U64(4, variant, bytes, 0, BIG, MAY),
};
TABLE(variant, NULL);

static const struct field submit_fields[] = {
    U64(1, submit, request, 0, ANY, MUST),
    FIXED(2, submit, uuid, UUID_BYTES, MUST),
    TEXT(3, submit, name, NAME_MAX_BYTES, MAY),
    TEXT(4, submit, model, PATH_MAX_BYTES, MUST),
    FIXED(5, submit, model_blob, SHA256_BYTES, MAY),
    TEXT(6, submit, format, NAME_MAX_BYTES, MUST),
    U64(7, submit, samples, 0, SAMPLES_MAX, MUST),
    STRUCTS(8, submit, inputs, input, INPUTS_MAX, MAY),
    STRUCTS(9, submit, outputs, tensor, OUTPUTS_MAX, MAY),
    U32(10, submit, batch_fixed, 0, BATCH_MAX, MAY),
    TEXT(11, submit, output_path, PATH_MAX_BYTES, MAY),
    U32(12, submit, output_kind, OUTPUT_NONE, OUTPUT_JSONL, MAY),
    FIXED(13, submit, names_blob, SHA256_BYTES, MAY),
    I32(14, submit, priority, INT32_MIN, INT32_MAX, MAY),
    U32(15, submit, batch, 0, BATCH_MAX, MAY),
    U64(16, submit, max_failures, 0, ANY, MUST),
    F64(17, submit, max_failures_share, 0, 1, MUST),
    TEXT(18, submit, require, EXPRESSION_MAX_BYTES, MAY),
    TEXT(19, submit, prefer, EXPRESSION_MAX_BYTES, MAY),
    TEXT(20, submit, tenant, TENANT_MAX_BYTES, MAY),
    U64(21, submit, deadline_us, 0, TIME_US_MAX, MAY),
    U32(22, submit, objective, SUBMIT_FASTEST, SUBMIT_GREENEST, MAY),
    U32(23, submit, verify_ppm, 0, 1000000, MAY),
    FLAG(24, submit, dry_run),
    STRUCTS(25, submit, variants, variant, VARIANTS_MAX, MAY),
    U32S(26, submit, costs, 1, UINT32_MAX, COSTS_MAX),
};
TABLE(submit, NULL);

static const struct field view_fields[] = {
    U64(1, view, request, 0, ANY, MUST),
    TEXT(2, view, what, NAME_MAX_BYTES, MUST),
    TEXT(3, view, which, NAME_MAX_BYTES, MAY),
};
TABLE(view, NULL);

static const struct field cancel_fields[] = {
    U64(1, cancel, request, 0, ANY, MUST),
    TEXT(2, cancel, which, NAME_MAX_BYTES, MUST),
};
TABLE(cancel, NULL);

static const struct field change_fields[] = {
    U64(1, change, request, 0, ANY, MUST),
    TEXT(2, change, which, NAME_MAX_BYTES, MUST),
    U32(3, change, what, 1, CHANGE_ALL, MUST),
    I32(4, change, priority, INT32_MIN, INT32_MAX, MAY),
    U64(5, change, deadline_us, 0, TIME_US_MAX, MAY),
};
TABLE(change, NULL);

static const struct field remove_fields[] = {
    U64(1, remove, request, 0, ANY, MUST),
    U32(2, remove, what, 1, REMOVE_MODEL, MUST),
    TEXT(3, remove, which, 2 * NAME_MAX_BYTES, MUST),
};
TABLE(remove, NULL);

static const struct field retry_fields[] = {
    U64(1, retry, request, 0, ANY, MUST),
    TEXT(2, retry, which, NAME_MAX_BYTES, MUST),
};
TABLE(retry, NULL);

static const struct field blob_find_fields[] = {
    U64(1, blob_find, request, 0, ANY, MUST),
    FIXED(2, blob_find, blob, SHA256_BYTES, MUST),
};
TABLE(blob_find, NULL);

static const struct field blob_put_fields[] = {
    U64(1, blob_put, request, 0, ANY, MUST),
    FIXED(2, blob_put, blob, SHA256_BYTES, MUST),
    U64(3, blob_put, offset, 0, BIG, MUST),
    U64(4, blob_put, total, 0, BIG, MUST),
};
TABLE(blob_put, rules_blob_put);

static const struct field model_add_fields[] = {
    U64(1, model_add, request, 0, ANY, MUST),
    TEXT(2, model_add, name, NAME_MAX_BYTES, MUST),
    TEXT(3, model_add, version, VERSION_MAX_BYTES, MAY),
    TEXT(4, model_add, format, NAME_MAX_BYTES, MUST),
    TEXT(5, model_add, precision, NAME_MAX_BYTES, MAY),
    FIXED(6, model_add, blob, SHA256_BYTES, MAY),
    U64(7, model_add, bytes, 0, BIG, MAY),
    STRUCTS(8, model_add, inputs, tensor, INPUTS_MAX, MAY),
    STRUCTS(9, model_add, outputs, tensor, OUTPUTS_MAX, MAY),
    U32(10, model_add, batch_fixed, 0, BATCH_MAX, MAY),
    F64(11, model_add, accuracy, 0, 1, MAY),
};
TABLE(model_add, NULL);

static const struct field output_get_fields[] = {
    U64(1, output_get, request, 0, ANY, MUST),
    U64(2, output_get, job, 1, BIG, MUST),
    TEXT(3, output_get, file, PATH_MAX_BYTES, MAY),
    U64(4, output_get, offset, 0, BIG, MAY),
    U32(5, output_get, length, 1, PIECE_BYTES_MAX, MUST),
};
TABLE(output_get, NULL);

static const struct field drain_fields[] = {
    U64(1, drain, request, 0, ANY, MUST),
    TEXT(2, drain, which, NAME_MAX_BYTES, MUST),
    FLAG(3, drain, resume),
};
TABLE(drain, NULL);

static const struct field infer_fields[] = {
    U64(1, infer, request, 0, ANY, MUST),
    TEXT(2, infer, model, PATH_MAX_BYTES, MUST),
    FIXED(3, infer, model_blob, SHA256_BYTES, MAY),
    TEXT(4, infer, format, NAME_MAX_BYTES, MUST),
    U32(5, infer, samples, 1, BATCH_MAX, MUST),
    STRUCTS(6, infer, inputs, tensor, INPUTS_MAX, MAY),
    STRUCTS(7, infer, outputs, tensor, OUTPUTS_MAX, MUST),
    U32(8, infer, batch_fixed, 0, BATCH_MAX, MAY),
    U64(9, infer, deadline_us, 0, TIME_US_MAX, MAY),
    U64(10, infer, timeout_us, 0, TIME_US_MAX, MAY),
};
TABLE(infer, NULL);

static const struct field join_fields[] = {
    FIXED(1, join, public_half, KEY_BYTES, MUST),
    TEXT(2, join, name, NAME_MAX_BYTES, MAY),
};
TABLE(join, NULL);

/* ---- coordinator to client ---- */

static const struct field client_welcome_fields[] = {
    U32(1, client_welcome, protocol, 1, VERSION_LAST, MUST),
    U64(2, client_welcome, term, 0, BIG, MUST),
    U64(3, client_welcome, pid, 0, BIG, MAY),
    FLAG(4, client_welcome, same_host),
    TEXT(5, client_welcome, role, NAME_MAX_BYTES, MAY),
};
TABLE(client_welcome, NULL);

static const struct field reply_fields[] = {
    U64(1, reply, request, 0, ANY, MUST),
    U32(2, reply, code, ERR_OK, ERR_RUNTIME, MUST),
    WORDS(3, reply, text, REASON_MAX_BYTES),
    U64(4, reply, number, 0, ANY, MAY),
};
TABLE(reply, NULL);

static const struct field inferred_fields[] = {
    U64(1, inferred, request, 0, ANY, MUST),
    STRUCTS(2, inferred, shapes, shape, OUTPUTS_MAX, MUST),
    U64(3, inferred, total_us, 0, TIME_US_MAX, MAY),
    U64(4, inferred, queue_us, 0, TIME_US_MAX, MAY),
    U64(5, inferred, run_us, 0, TIME_US_MAX, MAY),
    U64(6, inferred, load_us, 0, TIME_US_MAX, MAY),
    U32(7, inferred, chunks, 0, BATCH_MAX, MAY),
    WORDS(8, inferred, worker, NAME_MAX_BYTES),
    WORDS(9, inferred, device, NAME_MAX_BYTES),
};
TABLE(inferred, NULL);

static const struct field refused_fields[] = {
    U32(1, refused, code, ERR_OK, ERR_RUNTIME, MUST),
    WORDS(2, refused, text, REASON_MAX_BYTES),
};
TABLE(refused, NULL);

/* ---- all, by type ---- */

#define MESSAGE(type, s, frames) \
    [MESSAGE_##type] = { MESSAGE_##type, #type, TABLES_FRAMES_##frames, &s##_table }

static const struct tables_row rows[] = {
    MESSAGE(HELLO, hello, NONE),
    MESSAGE(PROOF, proof, NONE),
    MESSAGE(LOADED, loaded, NONE),
    MESSAGE(RESULTS, results, SUM),
    MESSAGE(RETURNED, returned, NONE),
    MESSAGE(HEARTBEAT, heartbeat, NONE),
    MESSAGE(FETCH, fetch, NONE),
    MESSAGE(BYE, bye, NONE),
    MESSAGE(WELCOME, welcome, NONE),
    MESSAGE(JOBS, jobs, NONE),
    MESSAGE(LOAD, load, NONE),
    MESSAGE(LEASES, leases, NONE),
    MESSAGE(RECALL, recall, NONE),
    MESSAGE(ACKS, acks, NONE),
    MESSAGE(PIECE, piece, IF_OK),
    MESSAGE(FORGET, forget, NONE),
    MESSAGE(UNLOAD, unload, NONE),
    MESSAGE(PREFETCH, prefetch, NONE),
    MESSAGE(DRAINING, draining, NONE),
    MESSAGE(PULSE, pulse, NONE),
    MESSAGE(CLIENT_HELLO, client_hello, NONE),
    MESSAGE(SUBMIT, submit, NONE),
    MESSAGE(VIEW, view, NONE),
    MESSAGE(CANCEL, cancel, NONE),
    MESSAGE(BLOB_FIND, blob_find, NONE),
    MESSAGE(BLOB_PUT, blob_put, ONE),
    MESSAGE(MODEL_ADD, model_add, NONE),
    MESSAGE(OUTPUT_GET, output_get, NONE),
    MESSAGE(DRAIN, drain, NONE),
    MESSAGE(INFER, infer, INPUTS),
    MESSAGE(CHANGE, change, NONE),
    MESSAGE(REMOVE, remove, NONE),
    MESSAGE(RETRY, retry, NONE),
    MESSAGE(JOIN, join, NONE),
    MESSAGE(CLIENT_WELCOME, client_welcome, NONE),
    MESSAGE(REPLY, reply, MAY),
    MESSAGE(INFERRED, inferred, SHAPES),
    MESSAGE(REFUSED, refused, NONE),
};
/* clang-format on */

const struct tables_row *tables_find(uint64_t type)
{
    return type < COUNT(rows) && rows[type].table ? &rows[type] : NULL;
}
