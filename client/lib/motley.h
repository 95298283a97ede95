/* SPDX-License-Identifier: Apache-2.0 */
/* libmotley - submit batch inference jobs to a Motley coordinator and get their answers, from C (C89 callers
 * may include this).
 *
 *     struct motley_error error;
 *     motley *m = motley_connect(NULL, NULL, &error);                  the fleet of `motley up`
 *     struct motley_submit job = MOTLEY_SUBMIT_INIT;
 *     job.model = "digits.onnx"; job.input = "digits.npy"; job.output = "answers.npy";
 *     int64_t number = motley_submit(m, &job, &error);
 *     if (number < 0 || motley_wait(m, number, -1.0, NULL, NULL, &error) != MOTLEY_OK) fprintf(stderr,
 * "%s\n", error.text); char *report = motley_view(m, "report", "last", &error);          JSON, yours to
 * free() motley_close(&m);
 *
 * A connection belongs to one thread at a time; several connections may be used at once. Calls block, at most
 * for the connect timeout where no other limit is named. Strings are UTF-8. On failure the error says in one
 * sentence what went wrong, where and what to do. JSON results have the keys of docs/json.md; unknown values
 * are null. The ABI is stable within a major version. */
#ifndef MOTLEY_H
#define MOTLEY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MOTLEY_API __attribute__((visibility("default")))
#else
#define MOTLEY_API
#endif

#define MOTLEY_VERSION "0.1.0"

/* Codes equal the exit codes of the `motley` command. */
enum motley_code {
    MOTLEY_OK = 0,
    MOTLEY_FAILED = 1,      /* the job failed, or ended with failed samples; or the system refused us */
    MOTLEY_USAGE = 2,       /* arguments, or a local file, model or option that cannot be used */
    MOTLEY_UNREACHABLE = 3, /* no coordinator answered in time, or it refused us */
    MOTLEY_NOT_FOUND = 4,   /* no such job, worker or model */
    MOTLEY_TIMEOUT = 5,
    MOTLEY_CANCELLED = 6
};

struct motley_error {
    int code; /* enum motley_code */
    char text[512];
};

typedef struct motley motley;

struct motley_connect_options {
    size_t size;             /* sizeof this struct, so that it can grow */
    const char *coordinator; /* URL; NULL = $MOTLEY_COORDINATOR, else the fleet that `motley up` left in the
                                state directory, else the one that `motley join` joined */
    double timeout_seconds;  /* to connect and for each answer; <= 0 = 5 */
    const char
        *coordinator_key; /* for tcp: its public key, as 40 characters or a file that holds them; NULL =
                             $MOTLEY_COORDINATOR_KEY, else as joined. Our own is in the state directory */
};
#define MOTLEY_CONNECT_INIT                                                                                  \
    {                                                                                                        \
        sizeof(struct motley_connect_options), NULL, 0.0, NULL                                               \
    }

/* options may be NULL. NULL on failure. reserved must be NULL. */
MOTLEY_API motley *motley_connect(const struct motley_connect_options *options, void *reserved,
                                  struct motley_error *error);
MOTLEY_API void motley_close(motley **connection); /* jobs go on; sets the pointer to NULL */

struct motley_submit {
    size_t size; /* sizeof this struct */
    const char
        *model; /* a model file, a registered model NAME or NAME:VERSION, or the built-in "synthetic" */
    const char
        *input; /* .npy .npz .jsonl file; "-" = standard input (.npy or .jsonl); NULL only for "synthetic" */
    uint64_t samples; /* for "synthetic" without input */
    const char
        *output; /* where the answer goes (CONTRACT: Y.npy, Y/, Y.jsonl); NULL = kept, see motley_results */
    const char *name;         /* NULL = the model's name */
    int priority;             /* larger first */
    uint32_t batch;           /* samples per batch, 0 = learned */
    const char *max_failures; /* "N" or "P%"; NULL = 5% */
    const char *require;      /* an expression that a device must satisfy; NULL = any will do */
    const char *prefer;       /* one that it had better satisfy */
    const char *tenant;       /* whose job it is; NULL = default */
    const char *objective;    /* fastest (or NULL), cheapest, greenest */
    double deadline_seconds;  /* after it was accepted; 0 = none */
    double verify_share;      /* of the samples, 0..1: run again on another class of device */
    const char *precisions;   /* of a model's files run only these, such as "fp16,fp32"; NULL = all */
    double accuracy_min;      /* ... and only those that are known to be so accurate, 0..1; 0 = all */
    const char *costs;        /* .npy of a number for each sample: what it costs; NULL = all the same */
};
#define MOTLEY_SUBMIT_INIT                                                                                   \
    {                                                                                                        \
        sizeof(struct motley_submit), NULL, NULL, 0, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, 0.0,    \
            0.0, NULL, 0.0, NULL                                                                             \
    }

/* Check everything that can be checked before the job runs (files, shapes, types, the output's folder),
 * upload what must be uploaded, submit. The job's number, or -1. When it returns, the job is durable. */
MOTLEY_API int64_t motley_submit(motley *connection, const struct motley_submit *submit,
                                 struct motley_error *error);

/* What would become of it, as JSON: the forecast, and which devices would take part. Nothing is uploaded,
 * nothing is submitted. Yours to free(). NULL on failure. */
MOTLEY_API char *motley_dry_run(motley *connection, const struct motley_submit *submit,
                                struct motley_error *error);

/* Called about ten times a second while waiting with the job's progress as JSON (borrowed). While the
 * coordinator is away, after 3 s, it is the last that was known, with a key more: coordinator_away_since.
 * Return non-zero to stop waiting. */
typedef int motley_progress(void *context, const char *status_json);

/* Wait until the job ended, at most timeout_seconds (negative = for ever), across restarts of the
 * coordinator. MOTLEY_OK: done without failed samples; MOTLEY_FAILED: failed or with failed samples;
 * MOTLEY_CANCELLED; MOTLEY_TIMEOUT; 130 when progress asked to stop. */
MOTLEY_API int motley_wait(motley *connection, int64_t job, double timeout_seconds, motley_progress *progress,
                           void *context, struct motley_error *error);

/* A view as JSON: what = status, jobs, job, report, explain, workers, worker, worker-explain, models, model,
 * events; which = a job selection, a worker or a model, or NULL. Yours to free(). NULL on failure. */
MOTLEY_API char *motley_view(motley *connection, const char *what, const char *which,
                             struct motley_error *error);

/* Cancel the selected jobs (number, name, last, all, 3-7). How many were cancelled, or -1. */
MOTLEY_API int motley_cancel(motley *connection, const char *which, struct motley_error *error);

/* Keep the selected jobs that are over no longer, nor their answers. Of several, those that are not over are
 * passed over; one alone is refused. How many are gone, durably, or -1. */
MOTLEY_API int64_t motley_remove(motley *connection, const char *which, struct motley_error *error);

/* Jobs that are over go on: what failed of them, and what was never run, is run, under the same numbers. Of
 * several, those of which nothing is left are passed over; one alone is refused. How many go on, durably, or
 * -1. */
MOTLEY_API int motley_retry(motley *connection, const char *which, struct motley_error *error);

/* A model is registered no longer: NAME (all its versions) or NAME@VERSION. Jobs that use it go on. How many
 * files that were, or -1. */
MOTLEY_API int motley_model_remove(motley *connection, const char *which, struct motley_error *error);

struct motley_change {
    size_t size;                    /* sizeof this struct */
    int set_priority, set_deadline; /* which of these is meant; the other stays as it is */
    int priority;                   /* as in motley_submit */
    double deadline_seconds;        /* from now on; 0 = none any more */
};
#define MOTLEY_CHANGE_INIT                                                                                   \
    {                                                                                                        \
        sizeof(struct motley_change), 0, 0, 0, 0.0                                                           \
    }

/* Change the selected jobs' priority, deadline or both from now on; jobs that are over are passed over. How
 * many were changed, durably, or -1. */
MOTLEY_API int motley_change(motley *connection, const char *which, const struct motley_change *change,
                             struct motley_error *error);

/* A worker (name, id, or all) gets no new work until it is resumed, or (resume) takes part again. How many
 * workers that changed, or -1. */
MOTLEY_API int motley_drain(motley *connection, const char *which, int resume, struct motley_error *error);

/* Write a job's answer to output (path rules as in submit): of a job that is done, or that failed only
 * because its output could not be written ("answer": true in its view). It is the job's own answer, whatever
 * stands at the path that was given when it was submitted. */
MOTLEY_API int motley_results(motley *connection, int64_t job, const char *output,
                              struct motley_error *error);

/* An array of samples: the first of its dimensions counts them. In C order, numbers as this host has them. */
struct motley_tensor {
    const char *name;     /* the model's name for it; NULL or "" where the model has but one */
    const char *datatype; /* as in the Open Inference Protocol: BOOL, INT8 ... UINT64, FP16, FP32, FP64 */
    int64_t dims[9];
    uint32_t dims_count; /* >= 1 */
    const void *data;
    size_t bytes;
};

struct motley_infer {
    size_t size;                        /* sizeof this struct */
    const char *model;                  /* as in motley_submit */
    const char *input;                  /* a file as in motley_submit, or NULL: */
    const struct motley_tensor *inputs; /* arrays in memory, borrowed until the return */
    size_t inputs_count;
    uint64_t samples;        /* for "synthetic" */
    double deadline_seconds; /* the answer is of use for so long: refused at once if it cannot come in time,
                                and dropped then; 0 = none */
    double timeout_seconds;  /* give up after; 0 = a minute */
};
#define MOTLEY_INFER_INIT                                                                                    \
    {                                                                                                        \
        sizeof(struct motley_infer), NULL, NULL, NULL, 0, 0, 0.0, 0.0                                        \
    }

struct motley_answer {
    uint64_t samples;
    size_t outputs_count;
    const struct motley_tensor *outputs; /* in the model's order */
    const char *ids; /* of a .jsonl input that has them: JSON strings, one a line and sample; else NULL */
    double total_ms; /* from asking to the answer, of which: */
    double queue_ms, run_ms, network_ms; /* before it ran (load_ms included), running, and on the way */
    double load_ms;                      /* waited for the model to be loaded; 0 = it was */
    uint32_t chunks;                     /* parts it was run in; the times are those of the last */
    const char *worker, *device;         /* that answered last */
};

/* Ask for the answers to a few samples now: one online request, run before all jobs. All input and all output
 * is one message each (64 MiB an array); larger is for motley_submit. Nothing of it is kept: when the
 * coordinator restarts meanwhile it is asked again, until the time is over. The answer is yours, to be freed
 * with motley_answer_free, and does not depend on the connection. NULL on failure: MOTLEY_TIMEOUT when the
 * deadline or the time-out passed or cannot be kept, MOTLEY_FAILED when the model failed or too many ask at
 * once ("busy": try again). A model file is checked and uploaded at its first use on a connection. Several
 * requests at once need several connections. */
MOTLEY_API struct motley_answer *motley_infer(motley *connection, const struct motley_infer *infer,
                                              struct motley_error *error);
MOTLEY_API void motley_answer_free(struct motley_answer **answer); /* sets the pointer to NULL */

/* Register a model file under name (and version, NULL = "1"): letters, digits, '.', '_' and '-'. A model may
 * have several files, each in another precision (or format), that take and give the same: each device runs
 * the one that suits it. */
MOTLEY_API int motley_model_add(motley *connection, const char *file, const char *name, const char *version,
                                struct motley_error *error);

/* The same, saying what its precision is ("fp16", ...; NULL = as the file says) and how accurate it is (0..1;
 * 0 = not known). */
MOTLEY_API int motley_variant_add(motley *connection, const char *file, const char *name, const char *version,
                                  const char *precision, double accuracy, struct motley_error *error);

#ifdef __cplusplus
}
#endif
#endif
