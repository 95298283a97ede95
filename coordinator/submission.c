// SPDX-License-Identifier: Apache-2.0
#include "submission.h"

#include "clerk.h"
#include "file.h"
#include "require.h"
#include "selection.h"
#include "text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const uint8_t no_blob[SHA256_BYTES];

static bool is_set(const uint8_t blob[SHA256_BYTES]) { return memcmp(blob, no_blob, SHA256_BYTES) != 0; }

static enum err check_names(const struct message_submit *submit, const char *state_dir, struct why *why)
{
    uint64_t bytes;
    if (*submit->name && !selection_can_name(submit->name))
        return why_set(why, ERR_USAGE,
                       "a job cannot be named '%s': numbers, ranges, last and all mean other jobs",
                       submit->name);
    if (is_set(submit->names_blob) && !submit->dry_run &&
        !clerk_blob_find(state_dir, submit->names_blob, &bytes))
        return why_set(why, ERR_NOT_FOUND,
                       "the samples' names were not uploaded; upload them before the job");
    return ERR_OK;
}

static enum err check_variants(const struct message_submit *submit, const char *state_dir, struct why *why)
{
    uint64_t bytes;
    for (uint32_t i = 0; i < submit->variants_count; i++) {
        const struct message_variant *variant = &submit->variants[i];
        if (strcmp(variant->format, "onnx") != 0)
            return why_set(why, ERR_UNSUPPORTED, "model %s: format '%s' is not known; use onnx",
                           submit->model, variant->format);
        for (uint32_t k = 0; k < i; k++)
            if (memcmp(submit->variants[k].blob, variant->blob, SHA256_BYTES) == 0)
                return why_set(why, ERR_USAGE, "model %s: one file is named twice", submit->model);
        if (!submit->dry_run && !clerk_blob_find(state_dir, variant->blob, &bytes))
            return why_set(why, ERR_NOT_FOUND, "model %s: its file in %s was not uploaded", submit->model,
                           variant->precision);
    }
    if (submit->variants_count &&
        memcmp(submit->variants[submit->variants_count - 1].blob, submit->model_blob, SHA256_BYTES) != 0)
        return why_set(why, ERR_USAGE, "model %s: its file is not the last of its variants", submit->model);
    return ERR_OK;
}

static enum err check_model(const struct message_submit *submit, const char *state_dir, struct why *why)
{
    uint64_t bytes;
    bool synthetic = strcmp(submit->format, "synthetic") == 0;
    if (!synthetic && strcmp(submit->format, "onnx") != 0)
        return why_set(why, ERR_UNSUPPORTED,
                       "model format '%s' is not known; use onnx, or the built-in model synthetic",
                       submit->format);
    if (synthetic != !is_set(submit->model_blob))
        return why_set(why, ERR_USAGE, "model %s: format %s needs %s", submit->model, submit->format,
                       synthetic ? "no file" : "a model file");
    if (!synthetic && !submit->dry_run && !clerk_blob_find(state_dir, submit->model_blob, &bytes))
        return why_set(why, ERR_NOT_FOUND, "model %s: its file was not uploaded; upload it before the job",
                       submit->model);
    if (submit->batch_fixed && submit->batch && submit->batch != submit->batch_fixed)
        return why_set(why, ERR_USAGE, "batch %u: the model takes batches of %u only", submit->batch,
                       submit->batch_fixed);
    return check_variants(submit, state_dir, why);
}

static enum err check_rows(const struct message_input *input, uint64_t samples, struct why *why)
{
    struct tensor_spec spec;
    enum err err = message_tensor_to_spec(&input->tensor, &spec, why);
    if (err)
        return err;
    uint64_t row_bytes = tensor_row_bytes(&spec);
    if (row_bytes && row_bytes != input->source.row_bytes)
        return why_set(why, ERR_FORMAT, "input '%s': rows of %" PRIu64 " bytes, but its shape takes %" PRIu64,
                       spec.name, input->source.row_bytes, row_bytes);
    if (input->source.row_bytes && samples > INT64_MAX / input->source.row_bytes)
        return why_set(why, ERR_LIMIT, "input '%s': more bytes than can be counted", spec.name);
    return ERR_OK;
}

/* total: what the rows take; it did not overflow. */
static enum err check_length(const struct message_input *input, uint64_t total, uint64_t file_bytes,
                             struct why *why)
{
    if (input->source.offset > file_bytes || total > file_bytes - input->source.offset)
        return why_set(why, ERR_FORMAT,
                       "input '%s': its file has %" PRIu64 " bytes, its rows end at %" PRIu64,
                       input->tensor.name, file_bytes, input->source.offset + total);
    return ERR_OK;
}

/* Is path, links followed, the folder or something in it? */
static bool is_within(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* What is in the state directory is the coordinator's own: its journal, its keys, others' answers. A job may
 * neither read nor replace it. real: path with the links on its way followed. */
static enum err check_not_ours(const char *path, const char *real, const char *state_dir, struct why *why)
{
    char ours[PATH_MAX];
    if (!realpath(state_dir, ours))
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be found", state_dir);
    if (is_within(real, ours) || is_within(ours, real))
        return why_set(why, ERR_REFUSED, "%s: lies in the coordinator's state directory; give another path",
                       path);
    return ERR_OK;
}

static enum err check_path(const struct message_input *input, uint64_t total, const char *state_dir,
                           bool same_host, struct why *why)
{
    struct stat status;
    char real[PATH_MAX];
    const char *path = input->source.path;
    if (!same_host)
        return why_set(why, ERR_REFUSED,
                       "%s: you are not on the coordinator's host, where this path is; upload the input",
                       path);
    if (*path != '/')
        return why_set(why, ERR_USAGE, "%s: give an absolute path", path);
    if (stat(path, &status) || !realpath(path, real))
        return why_set_errno(why, ERR_FILE, "%s: the coordinator cannot read it", path);
    enum err err = check_not_ours(path, real, state_dir, why);
    if (err)
        return err;
    if (!S_ISREG(status.st_mode))
        return why_set(why, ERR_FILE, "%s: is not a file", path);
    int64_t mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    if ((input->source.file_bytes && (uint64_t)status.st_size != input->source.file_bytes) ||
        (input->source.mtime_ns && mtime_ns != input->source.mtime_ns))
        return why_set(why, ERR_FILE, "%s: changed while the job was being submitted; submit it again", path);
    return check_length(input, total, (uint64_t)status.st_size, why);
}

static enum err check_blob(const struct message_input *input, uint64_t total, const char *state_dir,
                           struct why *why)
{
    uint64_t bytes;
    if (!is_set(input->blob))
        return why_set(why, ERR_USAGE, "input '%s': neither a path nor an upload", input->tensor.name);
    if (!clerk_blob_find(state_dir, input->blob, &bytes))
        return why_set(why, ERR_NOT_FOUND, "input '%s': it was not uploaded; upload it before the job",
                       input->tensor.name);
    return check_length(input, total, bytes, why);
}

static enum err check_inputs(const struct message_submit *submit, const char *state_dir, bool same_host,
                             struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < submit->inputs_count && !err; i++) {
        const struct message_input *input = &submit->inputs[i];
        err = check_rows(input, submit->samples, why);
        if (err)
            return err;
        uint64_t total = submit->samples * input->source.row_bytes;
        if (*input->source.path)
            err = check_path(input, total, state_dir, same_host, why);
        else if (!submit->dry_run)
            err = check_blob(input, total, state_dir, why);
    }
    return err;
}

static enum err check_output_path(const struct message_submit *submit, const char *state_dir, bool same_host,
                                  struct jobs *jobs, struct why *why)
{
    char clean[PATH_MAX_BYTES], real[PATH_MAX];
    const char *path = submit->output_path;
    if (!same_host)
        return why_set(why, ERR_REFUSED,
                       "%s: you are not on the coordinator's host, where this path is; fetch the results",
                       path);
    if (submit->output_kind == OUTPUT_NONE)
        return why_set(why, ERR_USAGE, "%s: say what kind of output goes there", path);
    if (*path != '/' || file_absolute(path, clean, sizeof clean, why) || strcmp(path, clean) != 0)
        return why_set(why, ERR_USAGE, "%s: give an absolute path without . and ..", path);
    enum err err = file_canonical(path, real, sizeof real, why);
    if (!err)
        err = check_not_ours(path, real, state_dir, why);
    if (err)
        return err;
    const struct record *other = jobs_find_output(jobs, path, (enum output_kind)submit->output_kind);
    if (other)
        return why_set(why, ERR_REFUSED,
                       "%s: job %" PRIu64
                       " writes there, or to files beside it (%s); wait for it, cancel it, or give another "
                       "path",
                       path, other->number, other->output);
    return clerk_output_check(path, (enum clerk_output)submit->output_kind, why);
}

static enum err check_outputs(const struct message_submit *submit, const char *state_dir, bool same_host,
                              struct jobs *jobs, struct why *why)
{
    struct tensor_spec spec;
    enum err err = ERR_OK;
    if (!submit->outputs_count)
        return why_set(why, ERR_USAGE, "model %s: a job needs at least one output", submit->model);
    if (submit->output_kind == OUTPUT_NPY && submit->outputs_count > 1)
        return why_set(why, ERR_USAGE,
                       "model %s has %u outputs, which one .npy file cannot hold; give a folder or .jsonl",
                       submit->model, submit->outputs_count);
    for (uint32_t i = 0; i < submit->outputs_count && !err; i++)
        err = message_tensor_to_spec(&submit->outputs[i], &spec, why);
    return err || !*submit->output_path ? err : check_output_path(submit, state_dir, same_host, jobs, why);
}

static enum err check_expression(const char *option, const char *text, bool must, struct why *why)
{
    struct require *require;
    struct why inner;
    if (!*text)
        return ERR_OK;
    enum err err = require_parse(text, strlen(text), &require, NULL, &inner);
    if (err)
        return why_set(why, err, "%s: %s", option, inner.text);
    if (must && require_contradiction(require, &inner))
        err = why_set(why, ERR_USAGE, "%s: no device can ever satisfy it: %s", option, inner.text);
    require_free(&require);
    return err;
}

static enum err check_wishes(const struct message_submit *submit, struct why *why)
{
    if (*submit->tenant && !text_is_word(submit->tenant, TENANT_MAX_BYTES))
        return why_set(why, ERR_USAGE,
                       "--tenant %s: a tenant's name has letters, digits and . _ - only, no - first",
                       submit->tenant);
    enum err err = check_expression("--require", submit->require, true, why);
    return err ? err : check_expression("--prefer", submit->prefer, false, why);
}

/* Who is on another host is told that first. */
static enum err check_roots(const struct message_submit *submit, const struct roots *roots, bool same_host,
                            struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < submit->inputs_count && !err && same_host; i++)
        if (*submit->inputs[i].source.path)
            err = roots_check(roots, submit->inputs[i].source.path, why);
    return err || !same_host || !*submit->output_path ? err : roots_check(roots, submit->output_path, why);
}

enum err submission_check(const struct message_submit *submit, const char *state_dir, bool same_host,
                          const struct roots *roots, struct jobs *jobs, struct why *why)
{
    enum err err = check_names(submit, state_dir, why);
    if (!err)
        err = check_wishes(submit, why);
    if (!err && submit->costs_count > 0 && submit->costs_count != submit->samples)
        err = why_set(why, ERR_USAGE, "there are %u costs for %llu samples; give one for each",
                      submit->costs_count, (unsigned long long)submit->samples);
    if (!err)
        err = check_model(submit, state_dir, why);
    if (!err)
        err = check_roots(submit, roots, same_host, why);
    if (!err)
        err = check_inputs(submit, state_dir, same_host, why);
    return err ? err : check_outputs(submit, state_dir, same_host, jobs, why);
}
