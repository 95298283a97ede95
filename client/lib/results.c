// SPDX-License-Identifier: Apache-2.0
/* The answer of a finished job lies with the coordinator as output.npy, output.jsonl or output/<name>.npy,
 * and beside it output.index.jsonl and output.errors.jsonl. Which of them exist is found by asking. What
 * stands at the path that the job was given is never read: it may be another job's answer by now. */
#include "results.h"

#include "client.h"
#include "clock.h"
#include "connection.h"
#include "file.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

enum { PIECE = 1 << 20 };
static const uint64_t ASSEMBLY_US = 3600000000;

struct fetch {
    struct motley *connection;
    uint64_t job;
    struct signature outputs; /* only the names of the outputs' files are known */
    struct output_plan plan;
};

/* The coordinator may have to assemble the file first, which takes longer than an answer may: it is asked
 * again as long as it can be reached. */
static enum err get_piece(struct fetch *fetch, const char *file, uint64_t offset, struct answer *answer,
                          struct why *why)
{
    struct motley *connection = fetch->connection;
    uint64_t deadline = clock_monotonic_us() + ASSEMBLY_US;
    struct message message = { .type = MESSAGE_OUTPUT_GET };
    message.output_get.job = fetch->job;
    message.output_get.file = file;
    message.output_get.offset = offset;
    message.output_get.length = PIECE;
    for (;;) {
        enum err err = connection_insist(connection, &message, answer, why);
        if (err != ERR_UNREACHABLE || clock_monotonic_us() >= deadline)
            return err;
        if (connection_open(connection, clock_monotonic_us() + connection->timeout_us, why) != ERR_OK)
            return err;
    }
}

static enum err copy_pieces(struct fetch *fetch, const char *file, struct answer *answer, int fd,
                            const char *path, struct why *why)
{
    uint64_t at = 0;
    for (;;) {
        uint64_t total = answer->number, size = answer->payload_size;
        enum err err = file_pwrite(fd, answer->payload ? answer->payload : "", (size_t)size, at, path, why);
        answer_free(answer);
        at += size;
        if (err != ERR_OK || at >= total)
            return err;
        if (size == 0)
            return why_set(why, ERR_FORMAT, "job %llu: the coordinator's %s ended early; try again",
                           (unsigned long long)fetch->job, file);
        err = get_piece(fetch, file, at, answer, why);
        if (err != ERR_OK)
            return err;
    }
}

/* ERR_NOT_FOUND: the job has no such file; nothing was made here then. */
static enum err fetch_file(struct fetch *fetch, const char *file, const char *path, struct why *why)
{
    struct answer answer = { 0 };
    char temporary[PATH_MAX_BYTES + 64];
    int fd = -1;
    enum err err = get_piece(fetch, file, 0, &answer, why);
    if (err != ERR_OK)
        return err;
    err = file_begin(path, temporary, sizeof temporary, &fd, why);
    if (err == ERR_OK)
        err = copy_pieces(fetch, file, &answer, fd, path, why);
    answer_free(&answer);
    if (err == ERR_OK)
        return file_publish(&fd, temporary, path, why);
    if (fd >= 0)
        file_discard(&fd, temporary);
    return err;
}

/* Is there such a file? */
static enum err probe(struct fetch *fetch, const char *file, bool *there, struct why *why)
{
    struct answer answer = { 0 };
    struct why inner;
    enum err err = get_piece(fetch, file, 0, &answer, &inner);
    *there = err == ERR_OK;
    answer_free(&answer);
    return err == ERR_OK || err == ERR_NOT_FOUND || err == ERR_FILE ? ERR_OK
                                                                    : why_set(why, err, "%s", inner.text);
}

static enum err find_kind(struct fetch *fetch, enum output_kind *kind, struct why *why)
{
    bool npy, jsonl = false;
    enum err err = probe(fetch, "output.npy", &npy, why);
    if (err == ERR_OK && !npy)
        err = probe(fetch, "output.jsonl", &jsonl, why);
    *kind = npy ? OUTPUT_NPY : jsonl ? OUTPUT_JSONL : OUTPUT_FOLDER;
    return err;
}

static void add_output(struct fetch *fetch, const char *name, size_t length)
{
    if (length == 0 || length >= TENSOR_NAME_MAX || memchr(name, '/', length) ||
        fetch->outputs.outputs_count == OUTPUTS_MAX)
        return;
    snprintf(fetch->outputs.outputs[fetch->outputs.outputs_count++].name, TENSOR_NAME_MAX, "%.*s",
             (int)length, name);
}

static enum err fetch_folder(struct fetch *fetch, struct why *why)
{
    if (fetch->outputs.outputs_count == 0)
        return why_set(why, ERR_NOT_FOUND,
                       "job %llu: the coordinator does not say which files its answer has; see its log",
                       (unsigned long long)fetch->job);

    char file[TENSOR_NAME_MAX + 32], path[PATH_MAX_BYTES + TENSOR_NAME_MAX + 32];
    enum err err = file_make_dirs(fetch->plan.path, 0777, why);
    for (uint32_t i = 0; err == ERR_OK && i < fetch->outputs.outputs_count; i++) {
        snprintf(file, sizeof file, "output/%s.npy", fetch->outputs.outputs[i].name);
        snprintf(path, sizeof path, "%s/%s.npy", fetch->plan.path, fetch->outputs.outputs[i].name);
        err = fetch_file(fetch, file, path, why);
    }
    return err;
}

static enum err fetch_beside(struct fetch *fetch, struct why *why)
{
    static const char *const endings[] = { ".index.jsonl", ".errors.jsonl" };
    char stem[PATH_MAX_BYTES], path[PATH_MAX_BYTES + 16], file[32];
    output_stem(&fetch->plan, stem, sizeof stem);
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "output%s", endings[i]);
        snprintf(path, sizeof path, "%s%s", stem, endings[i]);
        enum err err = fetch_file(fetch, file, path, why);
        if (err == ERR_NOT_FOUND || err == ERR_FILE)
            unlink(path); /* one of an earlier answer would be a lie */
        else if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err fetch_all(struct fetch *fetch, struct why *why)
{
    enum err err = ERR_OK;
    switch (fetch->plan.kind) {
    case OUTPUT_NPY: err = fetch_file(fetch, "output.npy", fetch->plan.path, why); break;
    case OUTPUT_JSONL: err = fetch_file(fetch, "output.jsonl", fetch->plan.path, why); break;
    default: err = fetch_folder(fetch, why); break;
    }
    return err == ERR_OK ? fetch_beside(fetch, why) : err;
}

/* A whole answer is there for a job that is done, and for one that failed only because its output could not
 * be written. */
static enum err read_job(struct fetch *fetch, yyjson_val *job, struct why *why)
{
    size_t index, count;
    yyjson_val *output;
    yyjson_val *list = yyjson_obj_get(job, "outputs");
    const char *state = yyjson_get_str(yyjson_obj_get(job, "state"));
    bool done = state && strcmp(state, "done") == 0;
    if (!done && !yyjson_is_true(yyjson_obj_get(job, "answer")))
        return why_set(why, ERR_USAGE, "job %llu is %s: there is no whole answer; see motley job status %llu",
                       (unsigned long long)fetch->job, state ? state : "unknown",
                       (unsigned long long)fetch->job);
    yyjson_arr_foreach(list, index, count, output)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(output, "file"));
        if (name)
            add_output(fetch, name, strlen(name));
    }
    return ERR_OK;
}

static enum err look_up(struct fetch *fetch, struct why *why)
{
    char which[24];
    struct message view = { .type = MESSAGE_VIEW };
    struct answer answer = { 0 };
    snprintf(which, sizeof which, "%llu", (unsigned long long)fetch->job);
    view.view.what = "job";
    view.view.which = which;
    enum err err = connection_insist(fetch->connection, &view, &answer, why);
    if (err != ERR_OK)
        return err;
    yyjson_doc *doc = answer.payload ? yyjson_read(answer.payload, answer.payload_size, 0) : NULL;
    err = read_job(fetch, yyjson_doc_get_root(doc), why);
    yyjson_doc_free(doc);
    answer_free(&answer);
    return err;
}

/* The name must suit what is there; a name without an ending gets the right one. */
static enum err plan_fetch(struct fetch *fetch, const char *output, struct why *why)
{
    static const char *const what[] = { "", "one .npy", "a folder of .npy files", "a .jsonl file" };
    enum output_kind kind;
    struct signature natural;
    enum err err = find_kind(fetch, &kind, why);
    if (err != ERR_OK)
        return err;
    memset(&natural, 0, sizeof natural);
    natural.outputs_count = kind == OUTPUT_FOLDER ? 2 : 1;
    err = output_plan(output, &natural, kind == OUTPUT_JSONL, &fetch->plan, why);
    if (err == ERR_OK && fetch->plan.kind != kind)
        err = why_set(why, ERR_USAGE, "%s: the answer of job %llu is %s; give a name that suits it", output,
                      (unsigned long long)fetch->job, what[kind]);
    return err == ERR_OK ? output_check(&fetch->plan, why) : err;
}

enum err results_write(struct motley *connection, int64_t job, const char *output, char path[PATH_MAX_BYTES],
                       struct why *why)
{
    if (!output || job <= 0)
        return why_set(why, ERR_USAGE, "give a job's number and where its answer goes");
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch)
        return why_set(why, ERR_MEMORY, "no memory to fetch an answer");
    fetch->connection = connection;
    fetch->job = (uint64_t)job;
    enum err err = output_check_name(output, why);
    if (err == ERR_OK)
        err = look_up(fetch, why);
    if (err == ERR_OK)
        err = plan_fetch(fetch, output, why);
    if (err == ERR_OK)
        err = fetch_all(fetch, why);
    snprintf(path, PATH_MAX_BYTES, "%s", fetch->plan.path);
    free(fetch);
    return err;
}

int motley_results(motley *connection, int64_t job, const char *output, struct motley_error *error)
{
    char path[PATH_MAX_BYTES];
    struct why why = { "" };
    enum err err = results_write(connection, job, output, path, &why);
    motley_error_set(error, err, &why);
    return err_exit_code(err);
}
