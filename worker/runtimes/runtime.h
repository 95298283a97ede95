// SPDX-License-Identifier: Apache-2.0
/* runtime - a library that runs models on a device, behind one small struct of functions.
 *
 *     runtime_find(name) -> ops
 *     ops->open(...)            once per slot, on the slot's executor thread
 *       ops->load(...)          once per model; gives the model's signature
 *         ops->run(...)         one batch, blocking, rows in and rows out
 *       ops->unload(...)
 *     ops->close(...)
 *
 * Threads: an opened slot belongs to one executor thread; different slots run at once, so a runtime's shared
 * state (the library handle, its environment) is guarded inside the runtime. `cancel` alone may be called
 * from another thread while run runs. Nothing here knows of jobs, leases or sockets. Adding a runtime: write
 * ops, add it to the table in runtime.c, add its name to tests/conformance. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include "dtype.h"
#include "err.h"
#include "fleet.h"

#include <stdbool.h>
#include <stdint.h>

enum { RUNTIME_TENSORS_MAX = 16, RUNTIME_NAME_MAX = 32, RUNTIME_SIZES_MAX = 32 };

/* What a model takes and gives, per sample. Read from the model itself, never from a file's name. */
struct model_signature {
    uint32_t inputs_count, outputs_count;
    /* The batch axis is taken off. dims -1: of inputs where the caller says, of outputs where only a run
     * shows. */
    struct tensor_spec inputs[RUNTIME_TENSORS_MAX];
    struct tensor_spec outputs[RUNTIME_TENSORS_MAX];
    uint32_t batch_fixed; /* a static batch axis of this size; 0 = any batch */
    char format[16];      /* "onnx", "synthetic" */
    char precision[16];   /* of the widest floating input or weight: "fp32", "fp16", "int8"; "" unknown */
};

/* Rows of one batch: for each input, rows * row_bytes bytes, in the signature's order; padded by the runtime
 * where the model's batch is fixed. */
struct batch_in {
    uint64_t first; /* index of the first sample in its job */
    uint32_t rows;
    const void *inputs[RUNTIME_TENSORS_MAX]; /* borrowed until run returns; may lie in a read-only map */
    const struct tensor_spec *specs; /* of the inputs' rows, all dims known; NULL = the signature's. Needed
                                      * only where the signature has -1 (a text model's length) */
};

/* What a run gave. Buffers are malloc'ed by the runtime, exactly rows rows (padding cut off), and the caller
 * frees them. */
struct batch_out {
    uint32_t outputs_count;
    void *outputs[RUNTIME_TENSORS_MAX];
    uint64_t outputs_bytes[RUNTIME_TENSORS_MAX];
    struct tensor_spec specs[RUNTIME_TENSORS_MAX]; /* the shapes that came out; all dims known */
    uint64_t run_us;                               /* the runtime's own call, stretched time included */
    double energy_joules;                          /* negative = unknown */
    bool overrun; /* emulated: the real computation took longer than the curve */
};

struct runtime_ops;

/* What a slot is opened with. */
struct runtime_config {
    const char *device;        /* probe's device id: "cpu:0", "gpu:0" */
    uint32_t threads;          /* CPU threads this slot may use, >= 1 */
    int32_t numa_node;         /* -1 = any */
    const struct fleet *fleet; /* emulated only: its figures (borrowed for the slot's life) */
    const struct fleet_worker *member;
    uint64_t joined_us;              /* emulated: the monotonic time from which faults count */
    uint64_t seed;                   /* of jitter */
    const struct runtime_ops *inner; /* isolated only: what its process opens */
};

/* A curve measured at load, in microseconds; samples = 0: not measured. */
struct runtime_measure {
    double alpha_us, beta_us;
    uint32_t samples;
};

struct runtime_slot;  /* opened, opaque */
struct runtime_model; /* loaded, opaque */

struct runtime_ops {
    const char *name;           /* "onnxruntime", "synthetic", "emulated" */
    const char *const *formats; /* NULL-terminated: "onnx", "synthetic" */

    /* Is it usable on this machine at all? ERR_UNSUPPORTED with the reason (library not found: where it was
     * looked for). */
    MUST_USE enum err (*available)(struct why *why);

    MUST_USE enum err (*open)(const struct runtime_config *config, struct runtime_slot **slot,
                              struct why *why);
    void (*close)(struct runtime_slot **slot);

    /* Load the model file at path (NULL for the built-in `synthetic`). signature is written on success.
     * measure (may be NULL) receives a short measurement (<= 250 ms) on zero-filled rows, or samples = 0
     * where measuring would cost emulated time. ERR_FORMAT: not a model; ERR_UNSUPPORTED: operators, types or
     * a batch axis that was not found (says what was looked for). */
    MUST_USE enum err (*load)(struct runtime_slot *slot, const char *path, struct runtime_model **model,
                              struct model_signature *signature, struct runtime_measure *measure,
                              struct why *why);
    void (*unload)(struct runtime_slot *slot, struct runtime_model **model);

    /* Run in->rows samples. On error out holds nothing. ERR_MEMORY: the device's memory was short (try a
     * smaller batch); ERR_CANCELLED after cancel; ERR_LIMIT: more rows than the model's fixed batch or the
     * device takes; ERR_RUNTIME: the runtime's own words in why. */
    MUST_USE enum err (*run)(struct runtime_slot *slot, struct runtime_model *model,
                             const struct batch_in *in, struct batch_out *out, struct why *why);

    /* Ask a run (or an emulated load) in progress to stop soon (optional: NULL). Any thread. One that comes
     * between two runs stops the next one, so that a cancel is never lost to a run that is just about to
     * begin. */
    void (*cancel)(struct runtime_slot *slot);
};

/* The runtimes of this build, NULL-terminated, in order of preference. */
const struct runtime_ops *const *runtime_all(void);
const struct runtime_ops *runtime_find(const char *name); /* NULL if this build has none of that name */
bool runtime_reads(const struct runtime_ops *ops, const char *format); /* is format among its formats? */

void batch_out_free(struct batch_out *out); /* idempotent */

/* The batch axis: the leading dimension of every input and output, which must be all unknown (any batch) or
 * all the same number. Takes it off the given full shapes in place. ERR_UNSUPPORTED says which tensor has
 * which shape. */
MUST_USE enum err signature_find_batch(struct model_signature *signature, struct why *why);

#endif
