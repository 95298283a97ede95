// SPDX-License-Identifier: Apache-2.0
#include "input.h"

#include "file.h"
#include "jsonl.h"
#include "npy.h"
#include "spill.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPEC_TEXT_MAX = 160, NAN_STEP = 1 << 20 };

enum content { CONTENT_NPY, CONTENT_NPZ, CONTENT_JSONL };

/* ---- fitting ---- */

bool input_fits(const struct tensor_spec *given, const struct tensor_spec *wanted)
{
    if (given->dtype != wanted->dtype || given->dims_count != wanted->dims_count)
        return false;
    for (uint32_t i = 0; i < given->dims_count; i++)
        if (wanted->dims[i] >= 0 && given->dims[i] != wanted->dims[i])
            return false;
    return true;
}

/* ".reshape(len(x), 64)", or "" where no reshape leads there. */
static void print_reshape(const struct tensor_spec *given, const struct tensor_spec *wanted, char *text,
                          size_t size)
{
    uint64_t have = 1, want = 1;
    text[0] = 0;
    for (uint32_t i = 0; i < given->dims_count; i++)
        have *= (uint64_t)given->dims[i];
    for (uint32_t i = 0; i < wanted->dims_count; i++) {
        if (wanted->dims[i] < 0)
            return;
        want *= (uint64_t)wanted->dims[i];
    }
    bool same = given->dims_count == wanted->dims_count &&
                memcmp(given->dims, wanted->dims, given->dims_count * sizeof given->dims[0]) == 0;
    if (have != want || same)
        return;
    size_t used = (size_t)snprintf(text, size, ".reshape(len(x)");
    for (uint32_t i = 0; i < wanted->dims_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, ", %lld", (long long)wanted->dims[i]);
    if (used < size)
        snprintf(text + used, size - used, ")");
}

static enum err misfit(const struct tensor_spec *given, const struct tensor_spec *wanted, struct why *why)
{
    char have[SPEC_TEXT_MAX], want[SPEC_TEXT_MAX], reshape[SPEC_TEXT_MAX], cast[64] = "";
    tensor_print(given, have, sizeof have);
    tensor_print(wanted, want, sizeof want);
    print_reshape(given, wanted, reshape, sizeof reshape);
    if (given->dtype != wanted->dtype)
        snprintf(cast, sizeof cast, ".astype('%s')", dtype_name(wanted->dtype));
    bool way = cast[0] || reshape[0];
    return why_set(why, ERR_USAGE, "input %s: %s a sample, but the model wants %s; %s%s%s", wanted->name,
                   have, want, way ? "numpy: x" : "give rows of that shape", cast, reshape);
}

static void list_names(const struct tensor_spec *specs, uint32_t count, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
                                 specs[i].name[0] ? specs[i].name : "(unnamed)");
}

static enum err unmatched(const struct tensor_spec *given, uint32_t count, const struct signature *signature,
                          const char *missing, struct why *why)
{
    char have[160], want[160];
    list_names(given, count, have, sizeof have);
    list_names(signature->inputs, signature->inputs_count, want, sizeof want);
    return why_set(why, ERR_USAGE,
                   "input %s: is missing: the model takes %s, the file has %s; give an .npz with an array of "
                   "each name",
                   missing, want, have);
}

static uint32_t find_name(const struct tensor_spec *given, uint32_t count, const char *name)
{
    uint32_t i = 0;
    while (i < count && strcmp(given[i].name, name) != 0)
        i++;
    return i;
}

enum err input_match(const struct tensor_spec *given, uint32_t count, const struct signature *signature,
                     uint32_t pick[INPUTS_MAX], struct why *why)
{
    for (uint32_t k = 0; k < signature->inputs_count; k++) {
        const struct tensor_spec *wanted = &signature->inputs[k];
        pick[k] = count == 1 && signature->inputs_count == 1 ? 0 : find_name(given, count, wanted->name);
        if (pick[k] >= count)
            return unmatched(given, count, signature, wanted->name, why);
        if (!input_fits(&given[pick[k]], wanted))
            return misfit(&given[pick[k]], wanted, why);
    }
    return ERR_OK;
}

/* ---- values ---- */

static bool is_nan(const uint8_t *at, enum dtype dtype)
{
    uint16_t half;
    float single;
    double twice;
    switch (dtype) {
    case DTYPE_F16:
        memcpy(&half, at, sizeof half);
        return (half & 0x7C00u) == 0x7C00u && (half & 0x3FFu) != 0;
    case DTYPE_F32: memcpy(&single, at, sizeof single); return single != single;
    case DTYPE_F64: memcpy(&twice, at, sizeof twice); return twice != twice;
    default: return false;
    }
}

/* An array that holds nothing but NaN was never filled. Ends at the first number, so that it costs nothing
 * for real data. */
static enum err check_numbers(const struct input_array *array, uint64_t samples, const char *path,
                              struct why *why)
{
    enum dtype dtype = array->spec.dtype;
    bool floats = dtype == DTYPE_F16 || dtype == DTYPE_F32 || dtype == DTYPE_F64;
    uint64_t total = samples * array->row_bytes, width = dtype_bytes(dtype);
    if (!floats || total == 0)
        return ERR_OK;
    uint8_t *bytes = malloc(NAN_STEP);
    if (!bytes)
        return why_set(why, ERR_MEMORY, "no memory for a buffer");
    enum err err = ERR_OK;
    for (uint64_t at = 0; at < total; at += NAN_STEP) {
        size_t step = total - at < NAN_STEP ? (size_t)(total - at) : NAN_STEP;
        err = file_pread(array->fd, bytes, step, array->offset + at, path, why);
        for (size_t i = 0; err == ERR_OK && i < step; i += width) {
            if (!is_nan(bytes + i, dtype)) {
                free(bytes);
                return ERR_OK;
            }
        }
        if (err != ERR_OK)
            break;
    }
    free(bytes);
    return err != ERR_OK
               ? err
               : why_set(why, ERR_FORMAT, "%.300s: input %s holds nothing but NaN; fill it before submitting",
                         path, array->spec.name);
}

/* ---- files ---- */

static enum err open_array(const char *path, struct input_array *array, struct why *why)
{
    enum err err = file_absolute(path, array->path, sizeof array->path, why);
    if (err != ERR_OK)
        return err;
    array->fd = open(path, O_RDONLY | O_CLOEXEC);
    return array->fd < 0 ? why_set_errno(why, ERR_FILE, "%s: cannot be opened", path) : ERR_OK;
}

static void place_array(struct input_array *array, const struct npy_array *from, const char *name)
{
    array->spec = from->spec;
    snprintf(array->spec.name, sizeof array->spec.name, "%s", name);
    array->offset = from->offset;
    array->row_bytes = from->row_bytes;
}

static enum err take_npy(const char *path, const struct signature *signature, struct input *input,
                         struct why *why)
{
    struct npy_array found;
    struct input_array *array = &input->arrays[0];
    uint32_t pick[INPUTS_MAX];
    enum err err = npy_open(path, &found, &array->file_bytes, &array->mtime_ns, why);
    if (err == ERR_OK)
        err = input_match(&found.spec, 1, signature, pick, why);
    if (err == ERR_OK)
        err = open_array(path, array, why);
    if (err != ERR_OK)
        return err;
    place_array(array, &found, signature->inputs[0].name);
    input->count = 1;
    input->samples = found.sample_count;
    return ERR_OK;
}

/* A .npy behind a descriptor alone: spooled standard input, or an unpacked member. Takes the descriptor. */
static enum err take_npy_fd(int fd, const char *name, struct input_array *array, struct npy_array *found,
                            struct why *why)
{
    uint8_t head[NPY_HEADER_MAX];
    struct stat status;
    struct why inner;
    array->fd = fd;
    if (fstat(fd, &status) != 0)
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be read", name);
    array->file_bytes = (uint64_t)status.st_size;
    size_t size = array->file_bytes < sizeof head ? (size_t)array->file_bytes : sizeof head;
    enum err err = file_pread(fd, head, size, 0, name, why);
    if (err != ERR_OK)
        return err;
    err = npy_parse(head, size, array->file_bytes, found, &inner);
    return err == ERR_OK ? ERR_OK : why_set(why, err, "%s: %s", name, inner.text);
}

static enum err unpack_member(const char *path, const struct npz_member *member, const char *name,
                              struct input_array *array, struct why *why)
{
    int fd;
    struct npy_array found;
    enum err err = spill_file(&fd, why);
    if (err != ERR_OK)
        return err;
    array->fd = fd;
    err = npz_extract(path, member, fd, why);
    if (err == ERR_OK)
        err = take_npy_fd(fd, path, array, &found, why);
    if (err == ERR_OK)
        place_array(array, &found, name);
    return err;
}

static enum err take_member(const char *path, const struct npz_member *member, const char *name,
                            struct input_array *array, struct why *why)
{
    if (member->deflated)
        return unpack_member(path, member, name, array, why);
    place_array(array, &member->array, name);
    enum err err = npz_check(path, member, why);
    return err == ERR_OK ? open_array(path, array, why) : err;
}

/* What the model does not take may be of any length. */
static enum err compare_lengths(const char *path, const struct npz *npz, const uint32_t *pick, uint32_t count,
                                struct why *why)
{
    const struct npy_array *first = &npz->members[pick[0]].array;
    for (uint32_t k = 1; k < count; k++) {
        const struct npy_array *array = &npz->members[pick[k]].array;
        if (array->sample_count != first->sample_count)
            return why_set(
                why, ERR_FORMAT,
                "%.200s: '%.60s' has %llu samples and '%.60s' has %llu; the first axis of all inputs "
                "must be the same",
                path, first->spec.name, (unsigned long long)first->sample_count, array->spec.name,
                (unsigned long long)array->sample_count);
    }
    return ERR_OK;
}

static enum err take_members(const char *path, const struct npz *npz, const struct signature *signature,
                             struct input *input, struct why *why)
{
    struct tensor_spec given[NPZ_MEMBERS_MAX];
    uint32_t pick[INPUTS_MAX];
    for (uint32_t i = 0; i < npz->count; i++)
        given[i] = npz->members[i].array.spec;
    enum err err = input_match(given, npz->count, signature, pick, why);
    if (err == ERR_OK)
        err = compare_lengths(path, npz, pick, signature->inputs_count, why);
    if (err == ERR_OK)
        input->samples = npz->members[pick[0]].array.sample_count;
    for (uint32_t k = 0; err == ERR_OK && k < signature->inputs_count; k++) {
        input->count = k + 1;
        err = take_member(path, &npz->members[pick[k]], signature->inputs[k].name, &input->arrays[k], why);
    }
    return err;
}

static enum err take_npz(const char *path, const struct signature *signature, struct input *input,
                         struct why *why)
{
    uint64_t size;
    int64_t mtime;
    struct npz *npz = calloc(1, sizeof *npz);
    if (!npz)
        return why_set(why, ERR_MEMORY, "no memory for an archive's directory");
    enum err err = npz_open(path, npz, &size, &mtime, why);
    if (err == ERR_OK && npz->count == 0)
        err = why_set(why, ERR_FORMAT, "%s: the archive holds no array; save one with numpy.savez", path);
    if (err == ERR_OK)
        err = take_members(path, npz, signature, input, why);
    for (uint32_t k = 0; err == ERR_OK && k < input->count; k++) {
        if (!input->arrays[k].path[0])
            continue;
        input->arrays[k].file_bytes = size;
        input->arrays[k].mtime_ns = mtime;
    }
    free(npz);
    return err;
}

/* ---- streams ---- */

static enum err spool(int from, const char *name, int *fd, struct why *why)
{
    struct spill spill;
    uint8_t bytes[64 << 10];
    enum err err = spill_open(&spill, why);
    while (err == ERR_OK) {
        ssize_t got = read(from, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            err = why_set_errno(why, ERR_FILE, "%s: cannot be read", name);
        if (got <= 0)
            break;
        err = spill_write(&spill, bytes, (size_t)got, why);
    }
    *fd = -1;
    if (err == ERR_OK && (*fd = spill_finish(&spill, why)) < 0)
        err = ERR_FULL;
    spill_close(&spill);
    return err;
}

static enum err tell_content(const uint8_t *head, size_t size, const char *name, enum content *content,
                             struct why *why)
{
    size_t length = strlen(name);
    bool named_npy = length > 4 && strcmp(name + length - 4, ".npy") == 0;
    bool named_npz = length > 4 && strcmp(name + length - 4, ".npz") == 0;
    size_t i = 0;
    while (i < size && isspace(head[i]))
        i++;
    if (named_npy || (size >= 6 && memcmp(head, "\x93NUMPY", 6) == 0))
        *content = CONTENT_NPY;
    else if (named_npz || (size >= 4 && memcmp(head, "PK", 2) == 0 && head[2] < 8))
        *content = CONTENT_NPZ;
    else if ((i < size && head[i] == '{') || (length > 6 && strcmp(name + length - 6, ".jsonl") == 0))
        *content = CONTENT_JSONL;
    else
        return why_set(why, ERR_FORMAT, "%s: %s; give a .npy, .npz or .jsonl file", name,
                       size == 0 ? "is empty" : "is none of the kinds of input known here");
    return ERR_OK;
}

static enum err take_stream_npy(int fd, const char *name, const struct signature *signature,
                                struct input *input, struct why *why)
{
    struct npy_array found;
    uint32_t pick[INPUTS_MAX];
    input->count = 1;
    enum err err = take_npy_fd(fd, name, &input->arrays[0], &found, why);
    if (err == ERR_OK)
        err = input_match(&found.spec, 1, signature, pick, why);
    if (err != ERR_OK)
        return err;
    place_array(&input->arrays[0], &found, signature->inputs[0].name);
    input->samples = found.sample_count;
    return ERR_OK;
}

/* What has no name to come back to is kept in a nameless file first. */
static enum err take_stream(int from, const char *name, const struct signature *signature,
                            struct input *input, struct why *why)
{
    uint8_t head[16];
    enum content content;
    int fd;
    enum err err = spool(from, name, &fd, why);
    if (err != ERR_OK)
        return err;
    ssize_t got = pread(fd, head, sizeof head, 0);
    err = tell_content(head, got > 0 ? (size_t)got : 0, name, &content, why);
    if (err == ERR_OK && content == CONTENT_NPY)
        return take_stream_npy(fd, name, signature, input, why);
    if (err == ERR_OK && content == CONTENT_NPZ)
        err = why_set(why, ERR_UNSUPPORTED, "%s: an .npz cannot come through a pipe; give its file's name",
                      name);
    if (err == ERR_OK && lseek(fd, 0, SEEK_SET) == 0)
        err = jsonl_convert(fd, name, signature, input, why);
    close(fd);
    return err;
}

static enum err take_file(int fd, const char *path, const struct signature *signature, struct input *input,
                          struct why *why)
{
    uint8_t head[16];
    enum content content;
    ssize_t got = pread(fd, head, sizeof head, 0);
    if (got < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
    enum err err = tell_content(head, (size_t)got, path, &content, why);
    if (err != ERR_OK)
        return err;
    switch (content) {
    case CONTENT_NPY: return take_npy(path, signature, input, why);
    case CONTENT_NPZ: return take_npz(path, signature, input, why);
    case CONTENT_JSONL: return jsonl_convert(fd, path, signature, input, why);
    }
    return ERR_OK;
}

static enum err take_path(const char *path, const struct signature *signature, struct input *input,
                          struct why *why)
{
    struct stat status;
    if (strcmp(path, "-") == 0)
        return take_stream(0, "standard input", signature, input, why);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    enum err err;
    if (fstat(fd, &status) != 0)
        err = why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
    else if (S_ISDIR(status.st_mode))
        err = why_set(why, ERR_UNSUPPORTED, "%s: is a folder; give a .npy, .npz or .jsonl file", path);
    else if (S_ISREG(status.st_mode))
        err = take_file(fd, path, signature, input, why);
    else
        err = take_stream(fd, path, signature, input, why);
    close(fd);
    return err;
}

enum err input_open(const char *path, const struct signature *signature, struct input *input, struct why *why)
{
    memset(input, 0, sizeof *input);
    input->names_fd = -1;
    for (size_t i = 0; i < INPUTS_MAX; i++)
        input->arrays[i].fd = -1;
    if (signature->inputs_count == 0)
        return why_set(why, ERR_USAGE, "%s: this model takes no input; leave --input away", path);
    enum err err = take_path(path, signature, input, why);
    for (uint32_t k = 0; err == ERR_OK && k < input->count; k++)
        err = check_numbers(&input->arrays[k], input->samples, path, why);
    return err;
}

void input_close(struct input *input)
{
    for (size_t i = 0; i < INPUTS_MAX; i++) {
        if (input->arrays[i].fd >= 0)
            close(input->arrays[i].fd);
        input->arrays[i].fd = -1;
    }
    if (input->names_fd >= 0)
        close(input->names_fd);
    input->names_fd = -1;
}
