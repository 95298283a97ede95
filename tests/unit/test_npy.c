// SPDX-License-Identifier: Apache-2.0
/* npy and npz: archives are put together here byte by byte, so that each of their lies can be told alone. */
#include "npy.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

enum { BYTES_MAX = 64 << 10, DATA_OFFSET = 128 };

struct bytes {
    uint8_t at[BYTES_MAX];
    size_t count;
};

static void put(struct bytes *bytes, const void *from, size_t size)
{
    assert_true(bytes->count + size <= BYTES_MAX);
    if (size > 0)
        memcpy(bytes->at + bytes->count, from, size);
    bytes->count += size;
}

static void put_le(struct bytes *bytes, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(bytes, &byte, 1);
    }
}

/* A .npy of the given version whose header is dictionary and whose data are data_bytes bytes 0, 1, 2, ... */
static void put_npy(struct bytes *bytes, uint8_t version, const char *dictionary, size_t data_bytes)
{
    size_t length = DATA_OFFSET - (version == 1 ? 10 : 12);
    put(bytes, "\x93NUMPY", 6);
    put_le(bytes, version, 1);
    put_le(bytes, 0, 1);
    put_le(bytes, length, version == 1 ? 2 : 4);
    size_t used = strlen(dictionary);
    assert_true(used < length);
    put(bytes, dictionary, used);
    for (; used + 1 < length; used++)
        put(bytes, " ", 1);
    put(bytes, "\n", 1);
    for (size_t i = 0; i < data_bytes; i++)
        put_le(bytes, i & 0xff, 1);
}

static enum err parse_dictionary(const char *dictionary, size_t data_bytes, struct npy_array *array,
                                 struct why *why)
{
    static struct bytes bytes;
    bytes.count = 0;
    put_npy(&bytes, 1, dictionary, data_bytes);
    return npy_parse(bytes.at, bytes.count, bytes.count, array, why);
}

static const char plain[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

static void check_plain(const struct npy_array *array)
{
    assert_int_equal(array->spec.dtype, DTYPE_F32);
    assert_int_equal(array->sample_count, 2);
    assert_int_equal(array->spec.dims_count, 1);
    assert_int_equal(array->spec.dims[0], 3);
    assert_int_equal(array->row_bytes, 12);
}

static void test_all_versions(void **state)
{
    (void)state;
    static struct bytes bytes;
    struct npy_array array;
    for (uint8_t version = 1; version <= 3; version++) {
        bytes.count = 0;
        put_npy(&bytes, version, plain, 24);
        assert_int_equal(npy_parse(bytes.at, bytes.count, bytes.count, &array, NULL), ERR_OK);
        check_plain(&array);
        assert_int_equal(array.offset, DATA_OFFSET);
        assert_string_equal(array.spec.name, "");
    }
    bytes.at[6] = 4;
    assert_int_equal(npy_parse(bytes.at, bytes.count, bytes.count, &array, NULL), ERR_UNSUPPORTED);
    bytes.at[6] = 0;
    assert_int_equal(npy_parse(bytes.at, bytes.count, bytes.count, &array, NULL), ERR_UNSUPPORTED);
    bytes.at[6] = 3;
    bytes.at[7] = 1;
    assert_int_equal(npy_parse(bytes.at, bytes.count, bytes.count, &array, NULL), ERR_UNSUPPORTED);
}

static void test_every_prefix_is_refused(void **state)
{
    (void)state;
    static struct bytes bytes;
    for (uint8_t version = 1; version <= 3; version++) {
        bytes.count = 0;
        put_npy(&bytes, version, plain, 24);
        for (size_t cut = 0; cut < bytes.count; cut++) {
            struct npy_array array;
            struct why why = { "" };
            uint8_t *exact = malloc(cut ? cut : 1); /* so that a read past the end is seen */
            memcpy(exact, bytes.at, cut);
            assert_int_equal(npy_parse(exact, cut, cut, &array, &why), ERR_FORMAT);
            assert_true(why.text[0] != 0);
            free(exact);
        }
    }
}

static void test_truncated_data_says_both_sizes(void **state)
{
    (void)state;
    struct npy_array array;
    struct why why;
    assert_int_equal(parse_dictionary(plain, 23, &array, &why), ERR_FORMAT);
    assert_string_equal(why.text, "truncated: header says 152 bytes, file has 151");
    assert_int_equal(parse_dictionary(plain, 25, &array, &why), ERR_OK);
}

static void test_dictionaries_that_are_understood(void **state)
{
    (void)state;
    struct npy_array array;
    const char *const good[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'shape': (2, 3,), 'fortran_order': False, 'descr': '<f4'}",
        "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(2,3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(parse_dictionary(good[i], 24, &array, NULL), ERR_OK);
        check_plain(&array);
    }
}

static void test_dictionaries_that_are_not(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",
        "{",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': false, 'shape': (2, 3)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (, )}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<\\x664', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': <f4, 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct npy_array array;
        struct why why;
        assert_int_equal(parse_dictionary(bad[i], 24, &array, &why), ERR_FORMAT);
        assert_non_null(strstr(why.text, "numpy.save"));
    }
}

static void test_each_dtype(void **state)
{
    (void)state;
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT; i++) {
        char dictionary[120];
        struct npy_array array;
        snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': (3,), }",
                 dtype_npy((enum dtype)i));
        assert_int_equal(parse_dictionary(dictionary, 24, &array, NULL), ERR_OK);
        assert_int_equal(array.spec.dtype, i);
        assert_int_equal(array.spec.dims_count, 0);
        assert_int_equal(array.sample_count, 3);
        assert_int_equal(array.row_bytes, dtype_bytes((enum dtype)i));
    }
}

static void test_what_cannot_be_read_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *descr, *found, *advice;
    } rows[] = {
        { "'>f4'", "big-endian", "astype('<f4')" },
        { "'>i8'", "big-endian", "astype('<i8')" },
        { "'|O'", "Python objects", "astype" },
        { "'<U12'", "strings", "astype" },
        { "'|S4'", "strings", "astype" },
        { "'|V8'", "raw records", "astype" },
        { "'<c8'", "complex", "astype" },
        { "'<M8[us]'", "dates", "astype" },
        { "'<f16'", "unusual size", "astype" },
        { "'<q9'", "unknown type", "astype" },
        { "''", "unknown type", "astype" },
        { "[('a', '<i4'), ('b', '<f8')]", "structured", "each of its fields" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char dictionary[160];
        struct npy_array array;
        struct why why;
        snprintf(dictionary, sizeof dictionary, "{'descr': %s, 'fortran_order': False, 'shape': (3,), }",
                 rows[i].descr);
        assert_int_equal(parse_dictionary(dictionary, 300, &array, &why), ERR_UNSUPPORTED);
        assert_non_null(strstr(why.text, rows[i].found));
        assert_non_null(strstr(why.text, rows[i].advice));
    }
}

static void test_fortran_order(void **state)
{
    (void)state;
    struct npy_array array;
    struct why why;
    assert_int_equal(
        parse_dictionary("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", 24, &array, &why),
        ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "ascontiguousarray"));
    assert_int_equal(
        parse_dictionary("{'descr': '<f4', 'fortran_order': True, 'shape': (6,)}", 24, &array, NULL), ERR_OK);
}

static void test_shapes(void **state)
{
    (void)state;
    struct npy_array array;
    struct why why;
    assert_int_equal(
        parse_dictionary("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4, &array, &why),
        ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "no samples"));
    assert_int_equal(
        parse_dictionary("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4)}", 0, &array, NULL),
        ERR_OK);
    assert_int_equal(array.sample_count, 0);
    assert_int_equal(array.row_bytes, 16);
    assert_int_equal(
        parse_dictionary("{'descr': '<f4', 'fortran_order': False, 'shape': (5, 0)}", 0, &array, NULL),
        ERR_OK);
    assert_int_equal(array.sample_count, 5);
    assert_int_equal(array.row_bytes, 0);
    assert_int_equal(
        parse_dictionary("{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 1, &array,
                         NULL),
        ERR_OK);
    assert_int_equal(array.spec.dims_count, 8);
    assert_int_equal(
        parse_dictionary("{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1)}", 1,
                         &array, &why),
        ERR_LIMIT);
    assert_non_null(strstr(why.text, "10 axes"));
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    struct npy_array array;
    assert_int_equal(
        parse_dictionary("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4294967296, 4294967296)}", 8,
                         &array, NULL),
        ERR_LIMIT);
    assert_int_equal(
        parse_dictionary("{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 8)}", 8,
                         &array, NULL),
        ERR_LIMIT);
    assert_int_equal(
        parse_dictionary("{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807, 2)}", 8,
                         &array, NULL),
        ERR_LIMIT);
    assert_int_equal(
        parse_dictionary("{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807,)}", 8,
                         &array, NULL),
        ERR_FORMAT);
}

static void test_oversized_header(void **state)
{
    (void)state;
    static uint8_t bytes[100000] = "\x93NUMPY\x02\x00\x00\x80\x01\x00{'descr': [('a',";
    struct npy_array array;
    struct why why;
    assert_int_equal(npy_parse(bytes, NPY_HEADER_MAX, sizeof bytes + 1, &array, &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, "structured"));
}

static void test_header_is_what_numpy_writes(void **state)
{
    (void)state;
    static const char numpy[] =
        "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
        "                                                          \n";
    uint8_t bytes[NPY_HEADER_MAX];
    struct tensor_spec spec = { .dtype = DTYPE_F32, .dims_count = 1, .dims = { 3 } };
    assert_int_equal(npy_header(&spec, 2, bytes), sizeof numpy - 1);
    assert_memory_equal(bytes, numpy, sizeof numpy - 1);
}

static void test_header_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[NPY_HEADER_MAX];
    struct npy_array array;
    for (uint32_t dims = 0; dims <= TENSOR_DIMS_MAX; dims++) {
        struct tensor_spec spec = { .dtype = DTYPE_U64, .dims_count = dims };
        for (uint32_t i = 0; i < dims; i++)
            spec.dims[i] = i == 3 ? 0 : INT64_MAX;
        size_t size = npy_header(&spec, dims == 0 ? 7 : 0, bytes);
        assert_int_equal(size % 64, 0);
        assert_int_equal(bytes[size - 1], '\n');
        enum err err = npy_parse(bytes, size, size + 56, &array, NULL);
        bool too_large = dims > 0 && dims <= 3;
        assert_int_equal(err, too_large ? ERR_LIMIT : ERR_OK);
        if (!too_large) {
            assert_int_equal(array.offset, size);
            assert_memory_equal(array.spec.dims, spec.dims, sizeof spec.dims);
        }
    }
}

/* A name under which the bytes can be opened; free it with close_file. */
static const char *file_of(const uint8_t *at, size_t count, int *fd)
{
    static char path[64];
    *fd = memfd_create("npy", 0);
    assert_true(*fd >= 0);
    assert_int_equal(write(*fd, at, count), (ssize_t)count);
    snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
    return path;
}

static void test_open(void **state)
{
    (void)state;
    static struct bytes bytes;
    struct npy_array array;
    struct why why;
    uint64_t size;
    int64_t mtime;
    int fd;
    bytes.count = 0;
    put_npy(&bytes, 1, plain, 24);
    assert_int_equal(npy_open(file_of(bytes.at, bytes.count, &fd), &array, &size, &mtime, &why), ERR_OK);
    check_plain(&array);
    assert_int_equal(size, bytes.count);
    assert_true(mtime > 1577836800000000000);
    close(fd);
    const char *path = file_of(bytes.at, 0, &fd);
    assert_int_equal(npy_open(path, &array, &size, &mtime, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "is empty"));
    assert_int_equal(strncmp(why.text, path, strlen(path)), 0);
    close(fd);
    path = file_of(bytes.at, 100, &fd);
    assert_int_equal(npy_open(path, &array, &size, &mtime, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "truncated"));
    assert_int_equal(strncmp(why.text, path, strlen(path)), 0);
    close(fd);
    assert_int_equal(npy_open("/nonexistent/x.npy", &array, &size, &mtime, &why), ERR_FILE);
    assert_int_equal(npy_open("/", &array, &size, &mtime, &why), ERR_FILE);
    assert_int_equal(npy_open("/dev/null", &array, &size, &mtime, &why), ERR_FILE);
}

/* What is put into an archive, and the lies told about it. */
struct part {
    const char *name;
    const uint8_t *at;
    size_t count;
    bool deflate, zip64;
    uint32_t crc_flip;      /* xor to the CRC */
    int64_t unpacked_extra; /* added to the unpacked size in the directory */
    uint16_t flags;
    const char *local_name; /* if other than name */
    uint16_t method;        /* if not 0: what both headers claim */
    uint32_t beyond;        /* added to both sizes: data that would reach into what follows */
};

struct archive_lies {
    const char *comment;
    bool zip64_end;
    int64_t directory_shift;
};

static size_t pack(const struct part *part, uint8_t *packed, size_t max)
{
    if (!part->deflate) {
        memcpy(packed, part->at, part->count);
        return part->count;
    }
    z_stream stream = { .next_in = (Bytef *)(uintptr_t)part->at,
                        .avail_in = (unsigned)part->count,
                        .next_out = packed,
                        .avail_out = (unsigned)max };
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t size = stream.total_out;
    deflateEnd(&stream);
    return size;
}

static uint16_t method_of(const struct part *part)
{
    return part->method ? part->method : part->deflate ? 8 : 0;
}

static void put_local(struct bytes *out, const struct part *part, size_t packed, uint32_t crc)
{
    const char *name = part->local_name ? part->local_name : part->name;
    put_le(out, 0x04034b50, 4);
    put_le(out, 45, 2);
    put_le(out, part->flags, 2);
    put_le(out, method_of(part), 2);
    put_le(out, 0, 2);
    put_le(out, 0x21, 2);
    put_le(out, crc, 4);
    put_le(out, part->zip64 ? 0xffffffff : packed, 4);
    put_le(out, part->zip64 ? 0xffffffff : part->count, 4);
    put_le(out, strlen(name), 2);
    put_le(out, part->zip64 ? 20 : 0, 2);
    put(out, name, strlen(name));
    if (part->zip64) {
        put_le(out, 1, 2);
        put_le(out, 16, 2);
        put_le(out, part->count, 8);
        put_le(out, packed, 8);
    }
}

static void put_central(struct bytes *out, const struct part *part, size_t packed, uint32_t crc, size_t local)
{
    uint64_t unpacked = (uint64_t)((int64_t)part->count + part->unpacked_extra);
    put_le(out, 0x02014b50, 4);
    put_le(out, 0x032d, 2);
    put_le(out, 45, 2);
    put_le(out, part->flags, 2);
    put_le(out, method_of(part), 2);
    put_le(out, 0, 2);
    put_le(out, 0x21, 2);
    put_le(out, crc, 4);
    put_le(out, part->zip64 ? 0xffffffff : packed + part->beyond, 4);
    put_le(out, part->zip64 ? 0xffffffff : unpacked + part->beyond, 4);
    put_le(out, strlen(part->name), 2);
    put_le(out, part->zip64 ? 8 + 28 : 0, 2);
    put_le(out, 0, 8);
    put_le(out, 0, 2);
    put_le(out, part->zip64 ? 0xffffffff : local, 4);
    put(out, part->name, strlen(part->name));
    if (part->zip64) {
        put_le(out, 0x5455, 2); /* another field first: it is to be skipped */
        put_le(out, 4, 2);
        put_le(out, 0, 4);
        put_le(out, 1, 2);
        put_le(out, 24, 2);
        put_le(out, unpacked, 8);
        put_le(out, packed, 8);
        put_le(out, local, 8);
    }
}

static void put_end(struct bytes *out, size_t entries, size_t directory, const struct archive_lies *lies)
{
    size_t size = out->count - directory;
    uint64_t shown = (uint64_t)((int64_t)directory + lies->directory_shift);
    if (lies->zip64_end) {
        size_t end64 = out->count;
        put_le(out, 0x06064b50, 4);
        put_le(out, 44, 8);
        put_le(out, 0x002d002d, 4);
        put_le(out, 0, 8);
        put_le(out, entries, 8);
        put_le(out, entries, 8);
        put_le(out, size, 8);
        put_le(out, shown, 8);
        put_le(out, 0x07064b50, 4);
        put_le(out, 0, 4);
        put_le(out, end64, 8);
        put_le(out, 1, 4);
    }
    put_le(out, 0x06054b50, 4);
    put_le(out, 0, 4);
    put_le(out, lies->zip64_end ? 0xffff : entries, 2);
    put_le(out, lies->zip64_end ? 0xffff : entries, 2);
    put_le(out, lies->zip64_end ? 0xffffffff : size, 4);
    put_le(out, lies->zip64_end ? 0xffffffff : shown, 4);
    size_t comment = lies->comment ? strlen(lies->comment) : 0;
    put_le(out, comment, 2);
    put(out, lies->comment, comment);
}

static void put_zip(struct bytes *out, const struct part *parts, size_t count,
                    const struct archive_lies *lies)
{
    static uint8_t packed[BYTES_MAX];
    size_t local[80], packed_bytes[80];
    out->count = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t crc = (uint32_t)crc32(0, parts[i].at, (uInt)parts[i].count) ^ parts[i].crc_flip;
        packed_bytes[i] = pack(&parts[i], packed, sizeof packed);
        local[i] = out->count;
        put_local(out, &parts[i], packed_bytes[i], crc);
        put(out, packed, packed_bytes[i]);
    }
    size_t directory = out->count;
    for (size_t i = 0; i < count; i++) {
        uint32_t crc = (uint32_t)crc32(0, parts[i].at, (uInt)parts[i].count) ^ parts[i].crc_flip;
        put_central(out, &parts[i], packed_bytes[i], crc, local[i]);
    }
    put_end(out, count, directory, lies);
}

static const struct archive_lies honest = { 0 };
static struct npz npz;

static enum err open_zip(const struct bytes *bytes, struct why *why)
{
    uint64_t size;
    int64_t mtime;
    int fd;
    enum err err = npz_open(file_of(bytes->at, bytes->count, &fd), &npz, &size, &mtime, why);
    close(fd);
    return err;
}

/* Extract a member of the archive, compare it with what was put in. */
static enum err extract(const struct bytes *archive, uint32_t index, const struct part *part, struct why *why)
{
    static uint8_t back[BYTES_MAX];
    int in, out = memfd_create("out", 0);
    const char *path = file_of(archive->at, archive->count, &in);
    enum err err = npz_extract(path, &npz.members[index], out, why);
    if (err == ERR_OK) {
        assert_int_equal(pread(out, back, sizeof back, 0), (ssize_t)part->count);
        assert_memory_equal(back, part->at, part->count);
    }
    close(in);
    close(out);
    return err;
}

static enum err check(const struct bytes *archive, uint32_t index, struct why *why)
{
    int in;
    const char *path = file_of(archive->at, archive->count, &in);
    enum err err = npz_check(path, &npz.members[index], why);
    close(in);
    return err;
}

static struct bytes one, two, archive;

static void make_two_arrays(void)
{
    one.count = two.count = 0;
    put_npy(&one, 1, plain, 24);
    put_npy(&two, 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", 16);
}

static void test_npz_in_all_forms(void **state)
{
    (void)state;
    make_two_arrays();
    for (int form = 0; form < 16; form++) {
        const bool deflated = form & 1, zip64 = form & 2, zip64_end = form & 4;
        struct part parts[] = {
            { .name = "images.npy", .at = one.at, .count = one.count, .deflate = deflated, .zip64 = zip64 },
            { .name = "serving/ids:0.npy", .at = two.at, .count = two.count, .zip64 = zip64 },
        };
        struct archive_lies form_of_end = { .comment = form & 8 ? "a comment with PK\5\6 in it" : NULL,
                                            .zip64_end = zip64_end };
        put_zip(&archive, parts, 2, &form_of_end);
        assert_int_equal(open_zip(&archive, NULL), ERR_OK);
        assert_int_equal(npz.count, 2);
        check_plain(&npz.members[0].array);
        assert_string_equal(npz.members[0].array.spec.name, "images");
        assert_string_equal(npz.members[1].array.spec.name, "serving/ids:0");
        assert_int_equal(npz.members[0].deflated, deflated);
        assert_int_equal(npz.members[0].unpacked_bytes, one.count);
        assert_int_equal(npz.members[1].array.row_bytes, 8);
        assert_memory_equal(archive.at + npz.members[1].array.offset, two.at + DATA_OFFSET, 16);
        if (!deflated)
            assert_memory_equal(archive.at + npz.members[0].array.offset, one.at + DATA_OFFSET, 24);
        assert_int_equal(extract(&archive, 0, &parts[0], NULL), ERR_OK);
        assert_int_equal(extract(&archive, 1, &parts[1], NULL), ERR_OK);
    }
}

/* numpy.savez_compressed(file, x=arange(6, dtype='<f4').reshape(2, 3), y=array([7, -8], dtype='<i8')),
 * NumPy 2.4 */
static const uint8_t numpy_compressed[] = {
    0x50, 0x4b, 0x03, 0x04, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0x4f, 0xe9, 0x00,
    0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x05, 0x00, 0x14, 0x00, 0x78, 0x2e, 0x6e, 0x70,
    0x79, 0x01, 0x00, 0x10, 0x00, 0x98, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x55, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x9b, 0xec, 0x17, 0xea, 0x1b, 0x10, 0xc9, 0xc8, 0x50, 0xc6, 0x50, 0xad, 0x9e,
    0x92, 0x5a, 0x9c, 0x5c, 0xa4, 0x6e, 0xa5, 0xa0, 0x6e, 0x93, 0x66, 0xa2, 0xae, 0xa3, 0xa0, 0x9e, 0x96,
    0x5f, 0x54, 0x52, 0x94, 0x98, 0x17, 0x9f, 0x5f, 0x94, 0x92, 0x0a, 0x12, 0x77, 0x4b, 0xcc, 0x29, 0x4e,
    0x05, 0x8a, 0x17, 0x67, 0x24, 0x16, 0xa4, 0x02, 0xf9, 0x1a, 0x46, 0x3a, 0x0a, 0xc6, 0x9a, 0x3a, 0x0a,
    0xb5, 0x0a, 0x64, 0x03, 0x2e, 0x06, 0x30, 0x68, 0xb0, 0x07, 0x12, 0x0e, 0x40, 0x04, 0xc4, 0x0d, 0x40,
    0xbc, 0xc0, 0x01, 0x00, 0x50, 0x4b, 0x03, 0x04, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21,
    0x00, 0xf9, 0x9b, 0x0b, 0xb6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x05, 0x00, 0x14, 0x00,
    0x79, 0x2e, 0x6e, 0x70, 0x79, 0x01, 0x00, 0x10, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x4b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9b, 0xec, 0x17, 0xea, 0x1b, 0x10, 0xc9, 0xc8, 0x50,
    0xc6, 0x50, 0xad, 0x9e, 0x92, 0x5a, 0x9c, 0x5c, 0xa4, 0x6e, 0xa5, 0xa0, 0x6e, 0x93, 0x69, 0xa1, 0xae,
    0xa3, 0xa0, 0x9e, 0x96, 0x5f, 0x54, 0x52, 0x94, 0x98, 0x17, 0x9f, 0x5f, 0x94, 0x92, 0x0a, 0x12, 0x77,
    0x4b, 0xcc, 0x29, 0x4e, 0x05, 0x8a, 0x17, 0x67, 0x24, 0x16, 0xa4, 0x02, 0xf9, 0x1a, 0x46, 0x3a, 0x9a,
    0x3a, 0x0a, 0xb5, 0x0a, 0x14, 0x00, 0x2e, 0x76, 0x06, 0x08, 0xf8, 0xf1, 0x1f, 0x02, 0x00, 0x50, 0x4b,
    0x01, 0x02, 0x2d, 0x03, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0x4f, 0xe9, 0x00,
    0x2a, 0x55, 0x00, 0x00, 0x00, 0x98, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x80, 0x01, 0x00, 0x00, 0x00, 0x00, 0x78, 0x2e, 0x6e, 0x70, 0x79, 0x50, 0x4b,
    0x01, 0x02, 0x2d, 0x03, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0xf9, 0x9b, 0x0b,
    0xb6, 0x4b, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x80, 0x01, 0x8c, 0x00, 0x00, 0x00, 0x79, 0x2e, 0x6e, 0x70, 0x79, 0x50, 0x4b,
    0x05, 0x06, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x02, 0x00, 0x66, 0x00, 0x00, 0x00, 0x0e, 0x01, 0x00,
    0x00, 0x00, 0x00,
};

static void test_npz_written_by_numpy(void **state)
{
    (void)state;
    static const uint8_t ones[] = { 0, 0, 0,    0,    0, 0, 0x80, 0x3f, 0, 0, 0,    0x40,
                                    0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40, 0, 0, 0xa0, 0x40 };
    uint8_t back[512];
    struct why why;
    archive.count = 0;
    put(&archive, numpy_compressed, sizeof numpy_compressed);
    assert_int_equal(open_zip(&archive, &why), ERR_OK);
    assert_int_equal(npz.count, 2);
    check_plain(&npz.members[0].array);
    assert_string_equal(npz.members[0].array.spec.name, "x");
    assert_int_equal(npz.members[1].array.spec.dtype, DTYPE_I64);
    int in, out = memfd_create("out", 0);
    const char *path = file_of(archive.at, archive.count, &in);
    assert_int_equal(npz_extract(path, &npz.members[0], out, &why), ERR_OK);
    assert_int_equal(pread(out, back, sizeof back, 0), 152);
    assert_memory_equal(back + 128, ones, sizeof ones);
    close(in);
    close(out);
}

static void test_every_prefix_of_an_archive_is_refused(void **state)
{
    (void)state;
    static struct bytes cut;
    make_two_arrays();
    struct part parts[] = { { .name = "x.npy", .at = one.at, .count = one.count, .deflate = true },
                            { .name = "y.npy", .at = two.at, .count = two.count } };
    put_zip(&archive, parts, 2, &(struct archive_lies){ .zip64_end = true });
    for (size_t size = 0; size < archive.count; size++) {
        struct why why = { "" };
        cut.count = 0;
        put(&cut, archive.at, size);
        assert_int_equal(open_zip(&cut, &why), ERR_FORMAT);
        assert_non_null(strstr(why.text, "/proc/self/fd"));
    }
}

/* Any single damaged byte: no crash, and what is accepted and extracted is bounded by what the directory
 * says. */
static void test_damaged_bytes_do_no_harm(void **state)
{
    (void)state;
    static struct bytes damaged;
    make_two_arrays();
    struct part parts[] = { { .name = "x.npy", .at = one.at, .count = one.count, .deflate = true },
                            { .name = "y.npy", .at = two.at, .count = two.count, .zip64 = true } };
    put_zip(&archive, parts, 2, &(struct archive_lies){ .zip64_end = true });
    for (size_t i = 0; i < archive.count; i++) {
        damaged.count = 0;
        put(&damaged, archive.at, archive.count);
        damaged.at[i] ^= 0xff;
        if (open_zip(&damaged, NULL) != ERR_OK)
            continue;
        int in, out = memfd_create("out", 0);
        const char *path = file_of(damaged.at, damaged.count, &in);
        for (uint32_t m = 0; m < npz.count; m++)
            (void)!npz_extract(path, &npz.members[m], out, NULL);
        assert_true(lseek(out, 0, SEEK_END) <= (off_t)(one.count + two.count));
        close(in);
        close(out);
    }
}

static void refuse_zip(const struct part *parts, size_t count, const struct archive_lies *lies,
                       enum err expected, const char *word)
{
    struct why why = { "" };
    put_zip(&archive, parts, count, lies);
    assert_int_equal(open_zip(&archive, &why), expected);
    if (!strstr(why.text, word))
        fail_msg("'%s' does not say '%s'", why.text, word);
}

static void test_archives_that_lie(void **state)
{
    (void)state;
    make_two_arrays();
    const struct part good = { .name = "x.npy", .at = one.at, .count = one.count };
    struct part bad = good;
    refuse_zip(&good, 1, &(struct archive_lies){ .directory_shift = -1 }, ERR_FORMAT, "directory");
    refuse_zip(&good, 1, &(struct archive_lies){ .directory_shift = 1000000 }, ERR_FORMAT, "outside");
    refuse_zip(&good, 1, &(struct archive_lies){ .directory_shift = -1000000, .zip64_end = true }, ERR_FORMAT,
               "outside");
    bad.name = "x.txt";
    refuse_zip(&bad, 1, &honest, ERR_FORMAT, "'x.txt' is not a .npy array");
    bad.name = ".npy";
    refuse_zip(&bad, 1, &honest, ERR_FORMAT, "not a .npy array");
    bad.name = "x\n.npy";
    refuse_zip(&bad, 1, &honest, ERR_FORMAT, "not text");
    bad = good;
    bad.local_name = "y.npy";
    refuse_zip(&bad, 1, &honest, ERR_FORMAT, "two names");
    bad = good;
    bad.flags = 1;
    refuse_zip(&bad, 1, &honest, ERR_UNSUPPORTED, "encrypted");
    bad = good;
    bad.method = 12;
    refuse_zip(&bad, 1, &honest, ERR_UNSUPPORTED, "method 12");
    bad = good;
    bad.unpacked_extra = 1;
    refuse_zip(&bad, 1, &honest, ERR_FORMAT, "two sizes");
    bad = good;
    bad.beyond = 10;
    refuse_zip(&bad, 1, &honest, ERR_FORMAT, "longer than the archive");
    bad = good;
    bad.count = 100;
    refuse_zip(&bad, 1, &honest, ERR_FORMAT, "member 'x.npy': truncated");
    refuse_zip(&good, 0, &honest, ERR_FORMAT, "no array");
}

/* The end record is searched in pieces: wherever a piece ends, it is found, and marks in the comment are not
 * taken for it. */
static void test_end_record_before_any_comment(void **state)
{
    (void)state;
    static char comment[9000];
    make_two_arrays();
    const struct part part = { .name = "x.npy", .at = one.at, .count = one.count };
    for (size_t length = 4096 - 50; length < 4096 + 10; length++) {
        memset(comment, 1, sizeof comment);
        comment[length] = 0;
        memcpy(comment + length / 2, "PK\5\6",
               4); /* a whole record whose own comment of 257 bytes ends too early */
        put_zip(&archive, &part, 1, &(struct archive_lies){ .comment = comment });
        assert_int_equal(open_zip(&archive, NULL), ERR_OK);
        check_plain(&npz.members[0].array);
    }
}

static void test_archives_of_arrays_that_do_not_fit_together(void **state)
{
    (void)state;
    make_two_arrays();
    static struct bytes three;
    three.count = 0;
    put_npy(&three, 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }", 24);
    struct part parts[NPZ_MEMBERS_MAX + 1] = { { .name = "x.npy", .at = one.at, .count = one.count },
                                               { .name = "y.npy", .at = three.at, .count = three.count } };
    put_zip(&archive, parts, 2, &honest);
    assert_int_equal(open_zip(&archive, NULL), ERR_OK); /* whoever takes both compares them */
    parts[1] = parts[0];
    refuse_zip(parts, 2, &honest, ERR_FORMAT, "two members are named 'x'");
    for (size_t i = 0; i <= NPZ_MEMBERS_MAX; i++)
        parts[i] = parts[0];
    refuse_zip(parts, NPZ_MEMBERS_MAX + 1, &honest, ERR_LIMIT, "at most 64");
}

static void test_long_names(void **state)
{
    (void)state;
    char name[200];
    struct part part = { .name = name, .at = one.at, .count = one.count };
    make_two_arrays();
    part.count = one.count;
    memset(name, 'n', sizeof name);
    strcpy(name + TENSOR_NAME_MAX - 1, ".npy");
    put_zip(&archive, &part, 1, &honest);
    assert_int_equal(open_zip(&archive, NULL), ERR_OK);
    assert_int_equal(strlen(npz.members[0].array.spec.name), TENSOR_NAME_MAX - 1);
    name[TENSOR_NAME_MAX - 1] = 'n';
    strcpy(name + TENSOR_NAME_MAX, ".npy");
    refuse_zip(&part, 1, &honest, ERR_LIMIT, "name of a member");
}

static void refuse_extract(struct part part, const char *word)
{
    struct why why = { "" };
    put_zip(&archive, &part, 1, &honest);
    assert_int_equal(open_zip(&archive, &why), ERR_OK);
    assert_int_equal(extract(&archive, 0, &part, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, word));
    assert_int_equal(check(&archive, 0, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, word));
}

static void test_extract_checks_crc_and_length(void **state)
{
    (void)state;
    make_two_arrays();
    const struct part stored = { .name = "x.npy", .at = one.at, .count = one.count };
    struct part deflated = stored, bad;
    deflated.deflate = true;
    put_zip(&archive, &stored, 1, &honest);
    assert_int_equal(open_zip(&archive, NULL), ERR_OK);
    assert_int_equal(check(&archive, 0, NULL), ERR_OK);
    bad = stored;
    bad.crc_flip = 1;
    refuse_extract(bad, "damaged");
    bad = deflated;
    bad.crc_flip = 1;
    refuse_extract(bad, "damaged");
    bad = deflated;
    bad.unpacked_extra = 1;
    refuse_extract(bad, "damaged");
}

static void test_extract_of_a_large_member(void **state)
{
    (void)state;
    static struct bytes large;
    large.count = 0;
    put_npy(&large, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (60000,), }", 60000);
    struct part part = { .name = "x.npy", .at = large.at, .count = large.count, .deflate = true };
    struct why why;
    put_zip(&archive, &part, 1, &honest);
    assert_int_equal(open_zip(&archive, &why), ERR_OK);
    assert_int_equal(extract(&archive, 0, &part, &why), ERR_OK);
    npz.members[0].unpacked_bytes -= 1; /* the archive was changed after it was looked at */
    assert_int_equal(extract(&archive, 0, &part, &why), ERR_FORMAT);
    npz.members[0].unpacked_bytes += 1;
    npz.members[0].packed_bytes -= 1;
    assert_int_equal(extract(&archive, 0, &part, &why), ERR_FORMAT);
    npz.members[0].packed_bytes += 2;
    assert_int_equal(extract(&archive, 0, &part, &why), ERR_FORMAT);
    npz.members[0].packed_bytes = UINT64_MAX;
    assert_int_equal(extract(&archive, 0, &part, &why), ERR_FORMAT);
}

static void test_extract_to_a_full_disk(void **state)
{
    (void)state;
    make_two_arrays();
    struct part part = { .name = "x.npy", .at = one.at, .count = one.count, .deflate = true };
    struct why why;
    int in, full = open("/dev/full", O_WRONLY);
    if (full < 0)
        skip();
    put_zip(&archive, &part, 1, &honest);
    assert_int_equal(open_zip(&archive, &why), ERR_OK);
    assert_int_equal(npz_extract(file_of(archive.at, archive.count, &in), &npz.members[0], full, &why),
                     ERR_FULL);
    close(in);
    close(full);
}

static void test_not_an_archive(void **state)
{
    (void)state;
    uint64_t size;
    int64_t mtime;
    struct why why;
    archive.count = 0;
    for (int i = 0; i < 20000; i++)
        put_le(&archive, 0x0605, 2);
    assert_int_equal(open_zip(&archive, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "another kind of file"));
    archive.count = 0;
    assert_int_equal(open_zip(&archive, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "is empty"));
    assert_int_equal(npz_open("/nonexistent/x.npz", &npz, &size, &mtime, &why), ERR_FILE);
    assert_int_equal(npz_open("/", &npz, &size, &mtime, &why), ERR_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_versions),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_truncated_data_says_both_sizes),
        cmocka_unit_test(test_dictionaries_that_are_understood),
        cmocka_unit_test(test_dictionaries_that_are_not),
        cmocka_unit_test(test_each_dtype),
        cmocka_unit_test(test_what_cannot_be_read_is_refused_by_name),
        cmocka_unit_test(test_fortran_order),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_oversized_header),
        cmocka_unit_test(test_header_is_what_numpy_writes),
        cmocka_unit_test(test_header_comes_back),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_npz_in_all_forms),
        cmocka_unit_test(test_npz_written_by_numpy),
        cmocka_unit_test(test_every_prefix_of_an_archive_is_refused),
        cmocka_unit_test(test_damaged_bytes_do_no_harm),
        cmocka_unit_test(test_archives_that_lie),
        cmocka_unit_test(test_end_record_before_any_comment),
        cmocka_unit_test(test_archives_of_arrays_that_do_not_fit_together),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_extract_checks_crc_and_length),
        cmocka_unit_test(test_extract_of_a_large_member),
        cmocka_unit_test(test_extract_to_a_full_disk),
        cmocka_unit_test(test_not_an_archive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
