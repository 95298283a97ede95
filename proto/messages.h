// SPDX-License-Identifier: Apache-2.0
/* messages - every message of the protocol as a struct, and its encoding. protocol.md is the specification;
 * this is its C face.
 *
 * Pure: bytes <-> struct, no socket. A body is msgpack `[type, {field number: value, ...}]`; the bulk (tensor
 * rows, pieces of blobs, JSON views) travels beside it in payload frames of its own and never through
 * msgpack. A struct's field table (tables.c) gives each field's number, kind, bound and whether it must be
 * there; one generic writer and one reader follow the tables. Unknown fields are skipped, so versions mix;
 * absent optional fields are zero (texts: "", arrays: NULL and 0, SHA-256s and MACs: a pointer to zero bytes,
 * never NULL).
 *
 * Decoding: a bounded pre-scan first (prescan.h), then msgpack-c, then the table.
 * Texts and arrays of a decoded message live in the decoder's arena until its next use. Every text is
 * zero-terminated, valid UTF-8 and without control characters but tab and newline. Enumerations with unknown
 * values are refused.
 *
 * Encoding: a NULL text is "", a NULL SHA-256 or MAC is all zero, and neither travels. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "bounds.h"
#include "dtype.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_type {
    MESSAGE_NONE = 0,
    /* worker -> coordinator */
    MESSAGE_HELLO = 1,
    MESSAGE_PROOF = 2,
    MESSAGE_LOADED = 3,
    MESSAGE_RESULTS = 4,
    MESSAGE_RETURNED = 5,
    MESSAGE_HEARTBEAT = 6,
    MESSAGE_FETCH = 7,
    MESSAGE_BYE = 8,
    /* coordinator -> worker */
    MESSAGE_WELCOME = 16,
    MESSAGE_JOBS = 17,
    MESSAGE_LOAD = 18,
    MESSAGE_LEASES = 19,
    MESSAGE_RECALL = 20,
    MESSAGE_ACKS = 21,
    MESSAGE_PIECE = 22,
    MESSAGE_FORGET = 23,
    MESSAGE_UNLOAD = 24,
    MESSAGE_PREFETCH = 25,
    MESSAGE_DRAINING = 26,
    MESSAGE_PULSE = 27,
    /* client -> coordinator */
    MESSAGE_CLIENT_HELLO = 32,
    MESSAGE_SUBMIT = 33,
    MESSAGE_VIEW = 34,
    MESSAGE_CANCEL = 35,
    MESSAGE_BLOB_FIND = 36,
    MESSAGE_BLOB_PUT = 37,
    MESSAGE_MODEL_ADD = 38,
    MESSAGE_OUTPUT_GET = 39,
    MESSAGE_DRAIN = 40,
    MESSAGE_INFER = 41,
    MESSAGE_CHANGE = 42,
    MESSAGE_REMOVE = 43,
    MESSAGE_RETRY = 44,
    MESSAGE_JOIN = 45,
    /* coordinator -> client */
    MESSAGE_CLIENT_WELCOME = 48,
    MESSAGE_REPLY = 49,
    MESSAGE_INFERRED = 50,
    /* coordinator -> anyone */
    MESSAGE_REFUSED = 63,
};

enum message_grade {
    MESSAGE_GRADE_NONE = 0,
    MESSAGE_GRADE_CATALOG = 1,
    MESSAGE_GRADE_MEASURED = 2,
    MESSAGE_GRADE_LEARNED = 3
};

/* ---- worker to coordinator ---- */

struct message_label {
    const char *key;
    const char *value;
};

struct message_figure {
    const char *name;
    double value;
    uint32_t grade; /* enum message_grade */
};

struct message_device {
    const char *id;
    const char *kind;
    const char *vendor;
    const char *name;
    const char *uuid;
    uint64_t memory_total_bytes; /* 0 = unknown */
    uint64_t memory_free_bytes;
    const char **precisions;
    uint32_t precisions_count;
    struct message_figure *figures;
    uint32_t figures_count;
};

struct message_slot {
    uint32_t slot;      /* this worker's number for it: slots[i].slot == i */
    const char *device; /* a device id of the same HELLO */
    const char *runtime;
    const char **formats;
    uint32_t formats_count;
    uint32_t *batch_sizes; /* strictly ascending; none = any up to batch_max */
    uint32_t batch_sizes_count;
    uint32_t batch_max;
    uint32_t window; /* chunks it takes in flight, >= 2 */
    double alpha_us; /* a prior curve, 0 = none */
    double beta_us;
    double load_us;    /* expected model load, 0 = unknown */
    double idle_watts; /* negative = unknown, as the next two */
    double busy_watts;
    double price_per_hour;
};

/* An attempt that the worker still holds: running, queued, or finished and not acknowledged. */
struct message_attempt {
    uint64_t job;
    uint64_t first;
    uint32_t count;
    uint64_t term;
    uint64_t attempt;
    uint32_t slot;
    const uint8_t *mac; /* MAC_BYTES, as given in the lease */
    bool finished;
};

struct message_hello {
    uint32_t protocol_min;
    uint32_t protocol_max;
    const uint8_t *worker; /* UUID_BYTES: this worker's identity, kept over reconnects and restarts */
    const char *name;
    const char *host;
    const char *version;
    uint64_t pid;
    struct message_label *labels;
    uint32_t labels_count;
    struct message_device *devices;
    uint32_t devices_count;
    struct message_slot *slots;
    uint32_t slots_count;
    struct message_attempt *attempts;
    uint32_t attempts_count;
    bool draining; /* as the last DRAINING of this process's life said */
    uint64_t life; /* of this process: random; 0 = of a version that kept its identity for one life */
};

/* Answer to WELCOME's proof_path: the nonce read from that file; empty if it could not be read (storage is
 * not shared). */
struct message_proof {
    const uint8_t *nonce;
    uint32_t nonce_size;
};

struct message_loaded {
    uint32_t slot;
    const uint8_t *model; /* SHA-256; all zero = built-in */
    bool ok;
    const char *reason; /* !ok */
    uint64_t load_us;
    double alpha_us; /* measured at load, 0 = not measured */
    double beta_us;
    uint32_t batch_fixed; /* a static batch axis, 0 = any */
};

enum result_status { RESULT_OK = 0, RESULT_FAILED = 1, RESULT_MEMORY = 2, RESULT_INPUT = 3 };

/* The shape of one output's row, sent where the job's declared shape left something open. */
struct message_shape {
    uint32_t dtype;
    int64_t *dims; /* all known */
    uint32_t dims_count;
};

struct message_result {
    uint32_t slot;
    uint64_t job;
    uint64_t first;
    uint32_t count;
    uint64_t term;
    uint64_t attempt;
    const uint8_t *mac;
    uint32_t status;    /* enum result_status */
    const char *reason; /* not OK: the runtime's or the reader's words */
    uint64_t wait_us;   /* in the worker before the run */
    uint64_t run_us;
    double energy_joules; /* negative = unknown */
    bool overrun;         /* emulated device whose real computation was slower than its curve */
    uint32_t
        frames; /* payload frames of this result: one per output when OK, else 0; in order of the results */
    struct message_shape *shapes;
    uint32_t shapes_count; /* none, or one per output */
    bool again;            /* it may have been sent before, on another connection or in an earlier life */
    const uint8_t
        *rows; /* in place of frames, where all is small: the outputs' rows, one output after the other */
    uint32_t rows_size;
};

struct message_results {
    struct message_result *results;
    uint32_t results_count;
};

/* Recalled attempts that had not started: they are given back. Those that had started are not named; their
 * results come. */
struct message_returned {
    uint64_t *attempts;
    uint32_t attempts_count;
};

struct message_running {
    uint32_t slot;
    uint64_t attempt;
    uint64_t elapsed_us;
};

struct message_heartbeat {
    uint64_t sequence;
    struct message_running *running;
    uint32_t running_count;
    uint64_t memory_free_bytes;
};

enum fetch_kind { FETCH_MODEL = 1, FETCH_INPUT = 2 };

/* Ask for length bytes at offset: of a model's file, or of an input's rows (row 0 = offset 0). */
struct message_fetch {
    uint64_t tag;         /* the worker's, handed back in the PIECE */
    uint32_t kind;        /* enum fetch_kind */
    const uint8_t *model; /* MODEL: SHA-256 */
    uint64_t job;         /* INPUT */
    uint32_t input;
    uint64_t offset;
    uint32_t length;
};

struct message_bye {
    const char *reason;
};

/* ---- coordinator to worker ---- */

struct message_welcome {
    uint32_t protocol;
    uint64_t term;
    uint64_t session;
    uint32_t heartbeat_ms;
    const char *proof_path; /* read it and answer PROOF */
    uint32_t silence_ms;    /* no word for so long: the connection is dead; 0 = nothing is promised */
};

/* What a row of an input or an output looks like. */
struct message_tensor {
    const char *name;
    uint32_t dtype;
    int64_t *dims; /* -1 = unknown */
    uint32_t dims_count;
};

/* Where an input's rows are, for a worker that sees the coordinator's storage: rows back to back from offset.
 * file_bytes and mtime_ns are checked when it is opened: a changed file fails the chunk with RESULT_INPUT. */
struct message_source {
    const char *path; /* "" = not to be read directly: FETCH */
    uint64_t offset;
    uint64_t row_bytes;
    uint64_t file_bytes;
    int64_t mtime_ns;
};

struct message_job {
    uint64_t job;
    uint64_t samples;
    const uint8_t *model; /* SHA-256; all zero = built-in */
    const char *format;   /* "onnx", "synthetic" */
    uint64_t model_bytes;
    struct message_tensor *inputs;
    uint32_t inputs_count;
    struct message_source *sources; /* one per input, or none: FETCH all */
    uint32_t sources_count;
    struct message_tensor *outputs;
    uint32_t outputs_count;
};

/* Sent before the first LOAD or lease that names them. */
struct message_jobs {
    struct message_job *jobs;
    uint32_t jobs_count;
};

/* Load the job's model on the slot; answered by LOADED. Leases of the job on the slot run what was loaded for
 * it there last. */
struct message_load {
    uint32_t slot;
    uint64_t job;
    const uint8_t *model; /* which of its files, SHA-256; all zero = the one that JOBS names */
    uint64_t model_bytes; /* of that file */
};

struct message_lease {
    uint32_t slot;
    uint64_t job;
    uint64_t first;
    uint32_t count;
    uint64_t term;
    uint64_t attempt;
    const uint8_t *mac;
};

struct message_leases {
    struct message_lease *leases;
    uint32_t leases_count;
};

struct message_recall {
    uint64_t *attempts;
    uint32_t attempts_count;
};

/* The coordinator is done with these attempts (stored, or not wanted): the worker may forget them. */
struct message_acks {
    uint64_t term;
    uint64_t *attempts;
    uint32_t attempts_count;
};

/* The answer to FETCH. When ok, one payload frame of exactly the length asked. */
struct message_piece {
    uint64_t tag;
    bool ok;
    const char *reason; /* !ok */
    uint64_t total;     /* bytes of the whole */
};

/* These jobs are over: drop their leases and files. */
struct message_forget {
    uint64_t *jobs;
    uint32_t jobs_count;
};

/* The slot's memory is needed: unload this model. Not answered; ignored while leases of the model are held
 * there, or if it is not loaded. */
struct message_unload {
    uint32_t slot;
    const uint8_t *model; /* SHA-256; all zero = built-in */
};

/* The job is next: have its model in the cache. Not answered. */
struct message_prefetch {
    uint64_t job;
    const uint8_t *model; /* as in LOAD */
    uint64_t model_bytes;
};

/* To be remembered while the process lives, and said in HELLO: so that a drain outlives the coordinator. */
struct message_draining {
    bool on;
};

/* We hear you: answers a HEARTBEAT where nothing else was to be said. */
struct message_pulse {
    uint64_t sequence; /* the HEARTBEAT's */
};

/* ---- client to coordinator ---- */

struct message_client_hello {
    uint32_t protocol_min;
    uint32_t protocol_max;
    const char *version;
    const uint8_t *nonce; /* the content of <state dir>/nonce, if the client can read it; else empty */
    uint32_t nonce_size;
};

struct message_input {
    struct message_tensor tensor;
    struct message_source source; /* path set: a file on the coordinator's host */
    const uint8_t *blob;          /* else an uploaded blob's SHA-256; all zero = none */
};

/* One of the files of a model that has several, for unlike hardware. */
struct message_variant {
    const uint8_t *blob; /* SHA-256 */
    const char *format;
    const char *precision; /* "" = not known */
    uint64_t bytes;
};

enum submit_objective { SUBMIT_FASTEST = 0, SUBMIT_CHEAPEST = 1, SUBMIT_GREENEST = 2 };

enum output_kind { OUTPUT_NONE = 0, OUTPUT_NPY = 1, OUTPUT_FOLDER = 2, OUTPUT_JSONL = 3 };

struct message_submit {
    uint64_t request;
    const uint8_t
        *uuid; /* chosen by the client: a repeated SUBMIT of the same uuid answers with the same job */
    const char *name;
    const char *model;         /* what the user calls it */
    const uint8_t *model_blob; /* SHA-256; all zero = built-in */
    const char *format;
    uint64_t samples;
    struct message_input *inputs;
    uint32_t inputs_count;
    struct message_tensor *outputs;
    uint32_t outputs_count;
    uint32_t batch_fixed;    /* a static batch axis, 0 = any */
    const char *output_path; /* absolute, on the coordinator's host; "" = the client will ask for the bytes */
    uint32_t output_kind;    /* enum output_kind */
    const uint8_t
        *names_blob; /* JSON strings, one a line, one per sample; all zero = samples have no names */
    int32_t priority;
    uint32_t batch;               /* samples per chunk, 0 = learned */
    uint64_t max_failures;        /* UINT64_MAX = none given */
    double max_failures_share;    /* of the samples, 0..1, used if max_failures is not given; the client's
                                     default is 0.05 */
    const char *require, *prefer; /* expressions over the attributes of a slot; "" = any slot will do */
    const char *tenant;           /* "" = the default one */
    uint64_t deadline_us;         /* after it was accepted; 0 = none */
    uint32_t objective;           /* enum submit_objective */
    uint32_t *costs;              /* of each sample in relation to the others; none = they cost the same */
    uint32_t costs_count;         /* 0, or samples */
    uint32_t verify_ppm;          /* this share of the samples is run again on another class of device */
    bool dry_run; /* answer with a frame of JSON, what would become of it; submit nothing. Its blobs need not
                     have been uploaded */
    struct message_variant *variants; /* the registered model's files that the job allows, the best for a
                                         device that has their precision first; the last runs everywhere and
                                         is model_blob. None = model_blob alone */
    uint32_t variants_count;
};

/* Ask for a view. The reply's payload is one frame of JSON. */
struct message_view {
    uint64_t request;
    const char *what;  /* status, jobs, job, report, explain, workers, worker, worker-explain, models, model,
                          events */
    const char *which; /* number, name, last, all, 3-7; "" where it does not apply */
};

struct message_cancel {
    uint64_t request;
    const char *which;
};

enum { CHANGE_PRIORITY = 1, CHANGE_DEADLINE = 2, CHANGE_ALL = 3 };

/* From now on open jobs have this priority, this deadline, or both. */
struct message_change {
    uint64_t request;
    const char *which;
    uint32_t what; /* bits of CHANGE_*: which of those below are meant; the others stay as they are */
    int32_t priority;
    uint64_t deadline_us; /* after this came; 0 = none any more */
};

enum { REMOVE_JOBS = 1, REMOVE_MODEL = 2 };

/* Ended jobs with their answers, or a registered model, are kept no longer. */
struct message_remove {
    uint64_t request;
    uint32_t what;     /* REMOVE_* */
    const char *which; /* jobs, as in VIEW; or NAME, NAME@VERSION or NAME:VERSION */
};

/* Ended jobs go on: what failed, and what was never run, is run. */
struct message_retry {
    uint64_t request;
    const char *which;
};

struct message_blob_find {
    uint64_t request;
    const uint8_t *blob;
};

/* One piece of an upload, in order; the payload is one frame. The last piece (offset + payload = total) is
 * answered once the blob is whole, verified and synced; the others at once (that is the upload's credit). */
struct message_blob_put {
    uint64_t request;
    const uint8_t *blob;
    uint64_t offset;
    uint64_t total;
};

struct message_model_add {
    uint64_t request;
    const char *name;
    const char *version;
    const char *format;
    const char *precision;
    const uint8_t *blob;
    uint64_t bytes;
    struct message_tensor *inputs;
    uint32_t inputs_count;
    struct message_tensor *outputs;
    uint32_t outputs_count;
    uint32_t batch_fixed; /* a static batch axis, 0 = any */
    double accuracy;      /* what its owner says of it, 0..1; 0 = not known */
};

/* Read bytes of a finished job's published or assembled output; the reply's payload is one frame. */
struct message_output_get {
    uint64_t request;
    uint64_t job;
    const char *file;
    uint64_t offset;
    uint32_t length;
};

/* The worker gets no new leases and gives back what it has not started, or (resume) takes part again. */
struct message_drain {
    uint64_t request;
    const char *which; /* a worker's name or id, or all */
    bool resume;
};

/* One online request: the rows of each input are a payload frame, in order. Answered by INFERRED, or by a
 * REPLY that says why not. Nothing of it outlives the connection or the coordinator. */
struct message_infer {
    uint64_t request;
    const char *model;         /* what the user calls it */
    const uint8_t *model_blob; /* SHA-256; all zero = built-in */
    const char *format;
    uint32_t samples;
    struct message_tensor *inputs; /* all dims known */
    uint32_t inputs_count;
    struct message_tensor *outputs;
    uint32_t outputs_count;
    uint32_t batch_fixed; /* a static batch axis, 0 = any */
    uint64_t deadline_us; /* after it came: refused at once if that cannot be; 0 = none */
    uint64_t timeout_us;  /* after it came: given up then; 0 = the coordinator's default */
};

/* From one who was invited, over the invitation's key, as the only word of a connection: this is the key that
 * I shall have. Answered by REPLY (request 0) once the key is on the allow list and the invitation off it. If
 * the answer is lost, the invitation is refused from then on, and the new key is let in. */
struct message_join {
    const uint8_t *public_half; /* 32 bytes */
    const char *name;           /* for people; may be empty */
};

/* ---- coordinator to client ---- */

struct message_client_welcome {
    uint32_t protocol;
    uint64_t term;
    uint64_t pid;
    bool same_host;   /* the nonce was right: paths may be named */
    const char *role; /* of the client's key */
};

struct message_reply {
    uint64_t request;
    uint32_t code;    /* enum err */
    const char *text; /* code != 0: one sentence; JOIN: the name that the inviter gave */
    uint64_t number;  /* SUBMIT: the job; CANCEL, CHANGE, DRAIN: how many; BLOB_PUT: bytes held; OUTPUT_GET:
                         the file's size */
};

/* The answer to INFER: for each output what a row looks like, and a payload frame with all rows in order of
 * the samples. Times are those of the chunk that came last: what passed before it ran, and its run. */
struct message_inferred {
    uint64_t request;
    struct message_shape *shapes;
    uint32_t shapes_count;
    uint64_t total_us; /* from the request's coming to its answer's going */
    uint64_t queue_us;
    uint64_t run_us;
    uint64_t load_us;   /* of the model's load that it waited for; 0 = it was loaded */
    uint32_t chunks;    /* how many parts it was run in */
    const char *worker; /* that answered last */
    const char *device;
};

struct message_refused {
    uint32_t code; /* enum err */
    const char *text;
};

/* ---- all ---- */

struct message {
    enum message_type type;
    union {
        struct message_hello hello;
        struct message_proof proof;
        struct message_loaded loaded;
        struct message_results results;
        struct message_returned returned;
        struct message_heartbeat heartbeat;
        struct message_fetch fetch;
        struct message_bye bye;
        struct message_welcome welcome;
        struct message_jobs jobs;
        struct message_load load;
        struct message_leases leases;
        struct message_recall recall;
        struct message_acks acks;
        struct message_piece piece;
        struct message_forget forget;
        struct message_unload unload;
        struct message_prefetch prefetch;
        struct message_draining draining;
        struct message_pulse pulse;
        struct message_client_hello client_hello;
        struct message_submit submit;
        struct message_view view;
        struct message_cancel cancel;
        struct message_blob_find blob_find;
        struct message_blob_put blob_put;
        struct message_model_add model_add;
        struct message_output_get output_get;
        struct message_drain drain;
        struct message_infer infer;
        struct message_change change;
        struct message_remove remove;
        struct message_retry retry;
        struct message_join join;
        struct message_client_welcome client_welcome;
        struct message_reply reply;
        struct message_inferred inferred;
        struct message_refused refused;
    };
};

const char *message_name(enum message_type type); /* "HELLO"; "?" if unknown */

/* A reusable decoder: its arena and msgpack zone keep their memory between messages, so that a steady state
 * allocates nothing. One owner, not thread-safe. */
struct decoder;
struct decoder *decoder_new(void); /* NULL when out of memory */
void decoder_free(struct decoder **decoder);

/* Decode one body. The result is valid until the next use of the decoder; byte fields point into body, which
 * must live as long. ERR_FORMAT with what is wrong ("RESULTS: results[3].count: 0 is out of 1..1048576");
 * ERR_LIMIT for what passes a bound; ERR_MEMORY. After a failure *message is NULL. */
MUST_USE enum err decoder_decode(struct decoder *decoder, const uint8_t *body, size_t size,
                                 const struct message **message, struct why *why);

/* Encode into a fresh buffer (yours to free with free()). The message must obey its own table and rules
 * (ENSURE): what came from a user, a file or a library is checked before, with message_check or
 * message_text_ok. Texts that only describe (hosts, versions, vendors, device names, labels, reasons) need no
 * check: they are cut and cleaned here. ERR_MEMORY; ERR_LIMIT when the body would pass BODY_BYTES_MAX or
 * ELEMENTS_MAX (send the array in two messages). */
MUST_USE enum err message_encode(const struct message *message, uint8_t **body, size_t *size);

/* What message_encode would ENSURE, as an answer: for messages made of a user's words. ERR_USAGE naming the
 * field, ERR_LIMIT, ERR_MEMORY. */
MUST_USE enum err message_check(const struct message *message, struct why *why);

/* May this text travel where the bound is max bytes with its zero (NAME_MAX_BYTES, PATH_MAX_BYTES)? */
bool message_text_ok(const char *text, size_t max);

/* How many payload frames must come with the message? ERR_FORMAT if frames_count is another number. */
MUST_USE enum err message_frames_check(const struct message *message, uint32_t frames_count, struct why *why);

/* Between the program's tensors and the wire's. dims of the wire form point into spec. */
void message_tensor_from_spec(const struct tensor_spec *spec, struct message_tensor *tensor);
MUST_USE enum err message_tensor_to_spec(const struct message_tensor *tensor, struct tensor_spec *spec,
                                         struct why *why);

#endif
