// SPDX-License-Identifier: Apache-2.0
#include "npy.h"

#include "ensure.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC_BYTES = 6, DESCR_MAX = 32, V1_PREFIX = 10, V2_PREFIX = 12, ALIGNMENT = 64 };

static const uint8_t magic[MAGIC_BYTES] = { 0x93, 'N', 'U', 'M', 'P', 'Y' };

/* The header is a Python dictionary literal. This reads just the grammar that NumPy's writer can produce, and
 * is sticky: after the first mismatch `bad` stays set and everything else is a no-op, so that the caller asks
 * once. */
struct reader {
    const char *at, *end;
    bool bad;
};

static void skip_spaces(struct reader *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

static bool accept(struct reader *in, char wanted)
{
    skip_spaces(in);
    if (in->bad || in->at >= in->end || *in->at != wanted)
        return false;
    in->at++;
    return true;
}

static void expect(struct reader *in, char wanted)
{
    if (!accept(in, wanted))
        in->bad = true;
}

static bool accept_word(struct reader *in, const char *word)
{
    size_t length = strlen(word);
    skip_spaces(in);
    if (in->bad || (size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0)
        return false;
    in->at += length;
    return true;
}

/* A quoted string without escapes: NumPy needs none in keys and type descriptions. */
static void read_string(struct reader *in, char *text, size_t max)
{
    char quote = accept(in, '\'') ? '\'' : '"';
    size_t length = 0;
    text[0] = 0;
    if (quote == '"')
        expect(in, '"');
    while (!in->bad && in->at < in->end && *in->at != quote && *in->at != '\\' && length + 1 < max)
        text[length++] = *in->at++;
    text[length] = 0;
    if (memchr(text, 0, length) || in->bad || in->at >= in->end || *in->at != quote)
        in->bad = true;
    else
        in->at++;
}

static bool read_bool(struct reader *in)
{
    if (accept_word(in, "True"))
        return true;
    if (!accept_word(in, "False"))
        in->bad = true;
    return false;
}

static int64_t read_count(struct reader *in)
{
    int64_t value = 0;
    skip_spaces(in);
    const char *first = in->at;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *in->at - '0', &value))
            in->bad = true;
    if (in->at == first)
        in->bad = true;
    if (in->at < in->end && *in->at == 'L') /* written by Python 2 */
        in->at++;
    return value;
}

struct header {
    bool has_descr, has_order, has_shape, structured, fortran;
    char descr[DESCR_MAX];
    uint32_t axes; /* may be larger than what dims can hold: the rest was only counted */
    int64_t dims[TENSOR_DIMS_MAX + 1];
};

/* "()", "(3,)", "(3, 4)", "(3, 4,)"; "(3)" is no tuple. */
static void read_shape(struct reader *in, struct header *header)
{
    bool comma = true;
    expect(in, '(');
    while (!in->bad && !accept(in, ')')) {
        if (!comma) {
            in->bad = true;
            return;
        }
        int64_t dim = read_count(in);
        if (header->axes <= TENSOR_DIMS_MAX)
            header->dims[header->axes] = dim;
        header->axes++;
        comma = accept(in, ',');
    }
    if (header->axes == 1 && !comma)
        in->bad = true;
}

static void read_descr(struct reader *in, struct header *header)
{
    skip_spaces(in);
    if (in->at < in->end && *in->at == '[')
        header->structured = true; /* refused whatever follows, so the rest is not read */
    else
        read_string(in, header->descr, sizeof header->descr);
}

static void read_entry(struct reader *in, struct header *header)
{
    char key[16];
    read_string(in, key, sizeof key);
    expect(in, ':');
    if (in->bad)
        return;
    if (strcmp(key, "descr") == 0 && !header->has_descr) {
        header->has_descr = true;
        read_descr(in, header);
    } else if (strcmp(key, "fortran_order") == 0 && !header->has_order) {
        header->has_order = true;
        header->fortran = read_bool(in);
    } else if (strcmp(key, "shape") == 0 && !header->has_shape) {
        header->has_shape = true;
        read_shape(in, header);
    } else {
        in->bad = true;
    }
}

static bool read_header(const char *text, size_t size, struct header *header)
{
    struct reader in = { text, text + size, false };
    bool comma = true;
    expect(&in, '{');
    while (!in.bad && !header->structured && !accept(&in, '}')) {
        if (!comma)
            return false;
        read_entry(&in, header);
        comma = accept(&in, ',');
    }
    if (header->structured)
        return !in.bad;
    skip_spaces(&in);
    return !in.bad && in.at == in.end && header->has_descr && header->has_order && header->has_shape;
}

static enum err refuse_dtype(const char *descr, struct why *why)
{
    char little[DESCR_MAX];
    snprintf(little, sizeof little, "<%.*s", DESCR_MAX - 2, descr[0] ? descr + 1 : "");
    if (descr[0] == '>' && dtype_from_npy(little) != DTYPE_NONE)
        return why_set(why, ERR_UNSUPPORTED, "big-endian elements (%s); save it again as array.astype('%s')",
                       descr, little);
    const char *what = "elements of an unknown type";
    switch (descr[0] ? descr[1] : 0) {
    case 'O': what = "Python objects"; break;
    case 'S':
    case 'a':
    case 'U': what = "strings"; break;
    case 'V': what = "raw records"; break;
    case 'c': what = "complex numbers"; break;
    case 'm':
    case 'M': what = "dates or times"; break;
    case 'f': what = "floats of an unusual size"; break;
    default: break;
    }
    return why_set(why, ERR_UNSUPPORTED, "%s (%s); save it again as numbers, such as array.astype('float32')",
                   what, descr);
}

static enum err check_layout(const struct header *header, struct why *why)
{
    if (header->structured)
        return why_set(why, ERR_UNSUPPORTED,
                       "a structured array; save each of its fields as an array of its own");
    if (header->axes == 0)
        return why_set(why, ERR_UNSUPPORTED, "a 0-d array has no samples; save it again as array.reshape(1)");
    if (header->fortran && header->axes > 1)
        return why_set(why, ERR_UNSUPPORTED,
                       "in Fortran order; save it again as numpy.ascontiguousarray(array)");
    if (header->axes > TENSOR_DIMS_MAX + 1)
        return why_set(why, ERR_LIMIT, "%u axes; at most %d are supported", header->axes,
                       TENSOR_DIMS_MAX + 1);
    return ERR_OK;
}

static enum err fill_array(const struct header *header, struct npy_array *array, struct why *why)
{
    struct tensor_spec *spec = &array->spec;
    bool empty = false;
    spec->dtype = dtype_from_npy(header->descr);
    if (spec->dtype == DTYPE_NONE)
        return refuse_dtype(header->descr, why);
    array->sample_count = (uint64_t)header->dims[0];
    spec->dims_count = header->axes - 1;
    for (uint32_t i = 0; i < spec->dims_count; i++) {
        spec->dims[i] = header->dims[i + 1];
        empty = empty || spec->dims[i] == 0;
    }
    array->row_bytes = tensor_row_bytes(spec);
    if (array->row_bytes == 0 && !empty)
        return why_set(why, ERR_LIMIT, "a sample of more than 2^63 bytes");
    return ERR_OK;
}

static enum err check_size(const struct npy_array *array, uint64_t file_bytes, struct why *why)
{
    uint64_t data, total;
    if (__builtin_mul_overflow(array->sample_count, array->row_bytes, &data) ||
        __builtin_add_overflow(data, array->offset, &total))
        return why_set(why, ERR_LIMIT, "its shape takes more than 2^64 bytes");
    if (total > file_bytes)
        return why_set(why, ERR_FORMAT, "truncated: header says %llu bytes, file has %llu",
                       (unsigned long long)total, (unsigned long long)file_bytes);
    return ERR_OK;
}

/* Where the dictionary lies: after the magic, two bytes of version, and its length in 2 or 4 bytes. */
static enum err find_header(const uint8_t *bytes, size_t size, uint64_t file_bytes, size_t *start,
                            size_t *length, struct why *why)
{
    if (size < MAGIC_BYTES || memcmp(bytes, magic, MAGIC_BYTES) != 0)
        return why_set(why, ERR_FORMAT, "is not a .npy array (it does not begin with NumPy's mark)");
    if (size < V1_PREFIX)
        return why_set(why, ERR_FORMAT, "truncated: it ends within the header");
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return why_set(why, ERR_UNSUPPORTED, "version %u.%u of the .npy format; 1.0, 2.0 and 3.0 are known",
                       bytes[6], bytes[7]);
    *start = bytes[6] == 1 ? V1_PREFIX : V2_PREFIX;
    *length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1 && size >= V2_PREFIX)
        *length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (size < *start || *start + *length > file_bytes)
        return why_set(why, ERR_FORMAT, "truncated: it ends within the header");
    if (*start + *length > NPY_HEADER_MAX)
        return why_set(
            why, ERR_LIMIT,
            "its header of %zu bytes is too long (a structured array?); plain arrays of numbers need none "
            "over %d",
            *length, NPY_HEADER_MAX);
    if (*start + *length > size)
        return why_set(why, ERR_FORMAT, "truncated: it ends within the header");
    return ERR_OK;
}

enum err npy_parse(const uint8_t *bytes, size_t size, uint64_t file_bytes, struct npy_array *array,
                   struct why *why)
{
    struct header header = { 0 };
    size_t start = 0, length = 0;
    memset(array, 0, sizeof *array);
    enum err err = find_header(bytes, size, file_bytes, &start, &length, why);
    if (err != ERR_OK)
        return err;
    if (!read_header((const char *)bytes + start, length, &header))
        return why_set(why, ERR_FORMAT,
                       "its .npy header cannot be understood; save it again with numpy.save");
    err = check_layout(&header, why);
    if (err == ERR_OK)
        err = fill_array(&header, array, why);
    if (err != ERR_OK)
        return err;
    array->offset = start + length;
    return check_size(array, file_bytes, why);
}

static enum err open_fd(int fd, const char *path, struct npy_array *array, uint64_t *size_bytes,
                        int64_t *mtime_ns, struct why *why)
{
    struct stat status;
    uint8_t bytes[NPY_HEADER_MAX];
    struct why inner;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return why_set(why, ERR_FILE, "%s: is not a plain file; give a .npy file", path);
    if (status.st_size == 0)
        return why_set(why, ERR_FORMAT, "%s: is empty; give a .npy file", path);
    *size_bytes = (uint64_t)status.st_size;
    *mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    size_t size = *size_bytes < sizeof bytes ? (size_t)*size_bytes : sizeof bytes;
    enum err err = file_pread(fd, bytes, size, 0, path, why);
    if (err != ERR_OK)
        return err;
    err = npy_parse(bytes, size, *size_bytes, array, &inner);
    return err == ERR_OK ? ERR_OK : why_set(why, err, "%s: %s", path, inner.text);
}

enum err npy_open(const char *path, struct npy_array *array, uint64_t *size_bytes, int64_t *mtime_ns,
                  struct why *why)
{
    /* O_NONBLOCK: a pipe without a writer must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    enum err err = open_fd(fd, path, array, size_bytes, mtime_ns, why);
    close(fd);
    return err;
}

static int print_shape(const struct tensor_spec *spec, uint64_t sample_count, char *text, size_t room)
{
    int used = snprintf(text, room, "(%llu,", (unsigned long long)sample_count);
    for (uint32_t i = 0; i < spec->dims_count; i++)
        used += snprintf(text + used, room - (size_t)used, " %lld%s", (long long)spec->dims[i],
                         i + 1 < spec->dims_count ? "," : "");
    return used + snprintf(text + used, room - (size_t)used, ")");
}

size_t npy_header(const struct tensor_spec *spec, uint64_t sample_count, uint8_t bytes[NPY_HEADER_MAX])
{
    char *text = (char *)bytes + V1_PREFIX;
    const size_t room = NPY_HEADER_MAX - V1_PREFIX;
    ENSURE(dtype_bytes(spec->dtype) > 0 && spec->dims_count <= TENSOR_DIMS_MAX);
    for (uint32_t i = 0; i < spec->dims_count; i++)
        ENSURE(spec->dims[i] >= 0);
    int used =
        snprintf(text, room, "{'descr': '%s', 'fortran_order': False, 'shape': ", dtype_npy(spec->dtype));
    used += print_shape(spec, sample_count, text + used, room - (size_t)used);
    used += snprintf(text + used, room - (size_t)used, ", }");
    size_t total = (V1_PREFIX + (size_t)used + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(text + used, ' ', total - V1_PREFIX - (size_t)used);
    bytes[total - 1] = '\n';
    size_t length = total - V1_PREFIX;
    memcpy(bytes, magic, MAGIC_BYTES);
    bytes[6] = 1;
    bytes[7] = 0;
    bytes[8] = (uint8_t)(length & 0xff);
    bytes[9] = (uint8_t)(length >> 8);
    return total;
}
