// SPDX-License-Identifier: Apache-2.0
/* input: every kind of file gives the same rows; what does not fit the model is refused with what to do. */
#include "client_fixture.h"
#include "input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

static const float rows[3][2] = { { 1.0f, 2.0f }, { -3.5f, 0.25f }, { 1e-8f, 7.0f } };

static void assert_rows(const struct input *input)
{
    float got[3][2];
    const struct input_array *array = &input->arrays[0];
    assert_int_equal(input->samples, 3);
    assert_int_equal(input->count, 1);
    assert_int_equal(array->row_bytes, 8);
    assert_string_equal(array->spec.name, "x");
    assert_int_equal(file_pread(array->fd, got, sizeof got, array->offset, "x", NULL), ERR_OK);
    assert_memory_equal(got, rows, sizeof rows);
}

static void open_ok(const char *path)
{
    struct input input;
    struct why why = { "" };
    struct signature signature = fixture_signature();
    if (input_open(path, &signature, &input, &why) != ERR_OK)
        fail_msg("%s: %s", path, why.text);
    assert_rows(&input);
    input_close(&input);
}

static void open_bad(const char *path, enum err err, const char *words)
{
    struct input input;
    struct why why = { "" };
    struct signature signature = fixture_signature();
    enum err got = input_open(path, &signature, &input, &why);
    input_close(&input);
    if (got != err || !strstr(why.text, words))
        fail_msg("%s: %s, \"%s\"; expected %s with \"%s\"", path, err_name(got), why.text, err_name(err),
                 words);
}

static const char *write_text(const char *name, const char *text)
{
    return fixture_write(name, text, strlen(text));
}

/* A ZIP of one member, stored or deflated (APPNOTE 4.3), as numpy.savez writes it but for its padding. */
static const char *write_npz(const char *name, const char *member, bool deflated)
{
    uint8_t npy[512], packed[1024], out[2048];
    struct tensor_spec spec = fixture_spec("", DTYPE_F32, 1, 2, 0);
    uint8_t header[NPY_HEADER_MAX];
    uint32_t head = (uint32_t)npy_header(&spec, 3, header), size = head + (uint32_t)sizeof rows, used = 0;
    memcpy(npy, header, head);
    memcpy(npy + head, rows, sizeof rows);
    uint32_t crc = (uint32_t)crc32(0, npy, size);
    z_stream stream = { .next_in = npy, .avail_in = size, .next_out = packed, .avail_out = sizeof packed };
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    uint32_t length = deflated ? (uint32_t)stream.total_out : size;
    deflateEnd(&stream);
    uint16_t name_length = (uint16_t)strlen(member), method = deflated ? 8 : 0;
#define PUT(value, bytes) (memcpy(out + used, &(uint32_t){ value }, bytes), used += (bytes))
    PUT(0x04034b50, 4), PUT(20, 2), PUT(0, 2), PUT(method, 2), PUT(0, 4), PUT(crc, 4), PUT(length, 4),
        PUT(size, 4);
    PUT(name_length, 2), PUT(0, 2);
    memcpy(out + used, member, name_length), used += name_length;
    memcpy(out + used, deflated ? packed : npy, length), used += length;
    uint32_t directory = used;
    PUT(0x02014b50, 4), PUT(20, 2), PUT(20, 2), PUT(0, 2), PUT(method, 2), PUT(0, 4), PUT(crc, 4),
        PUT(length, 4);
    PUT(size, 4), PUT(name_length, 2), PUT(0, 2), PUT(0, 2), PUT(0, 2), PUT(0, 2), PUT(0, 4), PUT(0, 4);
    memcpy(out + used, member, name_length), used += name_length;
    uint32_t directory_size = used - directory;
    PUT(0x06054b50, 4), PUT(0, 4), PUT(1, 2), PUT(1, 2), PUT(directory_size, 4), PUT(directory, 4), PUT(0, 2);
#undef PUT
    return fixture_write(name, out, used);
}

static void test_npy_is_left_where_it_is(void **state)
{
    (void)state;
    struct input input;
    struct signature signature = fixture_signature();
    const char *path = fixture_npy("a.npy", fixture_spec("", DTYPE_F32, 1, 2, 0), 3, rows, sizeof rows);
    assert_int_equal(input_open(path, &signature, &input, NULL), ERR_OK);
    assert_rows(&input);
    assert_string_equal(input.arrays[0].path, path);
    assert_int_equal(input.arrays[0].file_bytes, input.arrays[0].offset + sizeof rows);
    assert_int_not_equal(input.arrays[0].mtime_ns, 0);
    assert_int_equal(input.names_fd, -1);
    input_close(&input);
}

static void test_npz_stored_is_addressed_in_place(void **state)
{
    (void)state;
    struct input input;
    struct signature signature = fixture_signature();
    const char *path = write_npz("s.npz", "whatever.npy", false);
    assert_int_equal(input_open(path, &signature, &input, NULL), ERR_OK);
    assert_rows(&input);
    assert_string_equal(input.arrays[0].path, path);
    assert_true(input.arrays[0].offset > 64);
    input_close(&input);
}

static void test_npz_stored_is_checked(void **state)
{
    (void)state;
    char path[128];
    uint8_t last;
    struct stat status;
    snprintf(path, sizeof path, "%s", write_npz("flipped.npz", "x.npy", false));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    off_t at = status.st_size - 22 - 46 - 5 - 1; /* before the directory of one entry named x.npy */
    assert_int_equal(pread(fd, &last, 1, at), 1);
    last ^= 1;
    assert_int_equal(pwrite(fd, &last, 1, at), 1);
    close(fd);
    open_bad(path, ERR_FORMAT, "the bytes of 'x' are damaged");
}

static void test_npz_deflated_is_unpacked(void **state)
{
    (void)state;
    struct input input;
    struct signature signature = fixture_signature();
    assert_int_equal(input_open(write_npz("d.npz", "x.npy", true), &signature, &input, NULL), ERR_OK);
    assert_rows(&input);
    assert_string_equal(input.arrays[0].path, "");
    input_close(&input);
}

/* A ZIP of stored members "x" (float32[2]) and "z" (int64), of so many samples of zero bytes. */
static const char *write_two(const char *name, uint64_t x_samples, uint64_t z_samples)
{
    static const char *const members[2] = { "x.npy", "z.npy" };
    const struct tensor_spec specs[2] = { fixture_spec("", DTYPE_F32, 1, 2, 0),
                                          fixture_spec("", DTYPE_I64, 0, 0, 0) };
    const uint64_t samples[2] = { x_samples, z_samples };
    uint8_t out[4096] = { 0 }, central[256] = { 0 };
    uint32_t used = 0, listed = 0;
    for (int i = 0; i < 2; i++) {
        uint8_t npy[1024] = { 0 }, header[NPY_HEADER_MAX], entry[46 + 5] = { 'P', 'K', 1, 2, 20, 0, 20 };
        uint32_t head = (uint32_t)npy_header(&specs[i], samples[i], header);
        uint32_t size = head + (uint32_t)(samples[i] * 8);
        memcpy(npy, header, head);
        uint32_t sums[3] = { (uint32_t)crc32(0, npy, size), size, size };
        memcpy(entry + 16, sums, sizeof sums);
        entry[28] = 5;
        memcpy(entry + 42, &used, 4);
        memcpy(entry + 46, members[i], 5);
        memcpy(out + used, "PK\3\4\24", 5);
        memcpy(out + used + 14, sums, sizeof sums);
        out[used + 26] = 5;
        memcpy(out + used + 30, members[i], 5);
        memcpy(out + used + 35, npy, size);
        memcpy(central + listed, entry, sizeof entry);
        used += 35 + size;
        listed += (uint32_t)sizeof entry;
    }
    const uint32_t directory[2] = { listed, used };
    memcpy(out + used, central, listed);
    memcpy(out + used + listed, "PK\5\6\0\0\0\0\2\0\2", 11);
    memcpy(out + used + listed + 12, directory, sizeof directory);
    return fixture_write(name, out, used + listed + 22);
}

static void test_only_what_is_taken_must_agree(void **state)
{
    (void)state;
    struct input input;
    struct why why = { "" };
    struct signature one = fixture_signature(), two = one;
    two.inputs_count = 2;
    two.inputs[1] = fixture_spec("z", DTYPE_I64, 0, 0, 0);
    const char *path = write_two("two.npz", 3, 2);
    assert_int_equal(input_open(path, &two, &input, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "'x' has 3 samples and 'z' has 2"));
    input_close(&input);
    if (input_open(path, &one, &input, &why) != ERR_OK)
        fail_msg("%s", why.text);
    assert_int_equal(input.samples, 3);
    input_close(&input);
    assert_int_equal(input_open(write_two("even.npz", 3, 3), &two, &input, &why), ERR_OK);
    assert_int_equal(input.count, 2);
    input_close(&input);
}

static void test_jsonl_gives_the_same_rows(void **state)
{
    (void)state;
    open_ok(write_text(
        "a.jsonl",
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1,2]}]}\n"
        "\n"
        "{\"inputs\":[{\"name\":\"any\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[[-3.5,0.25]]}]}\n"
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1e-8,7.0]}]}"));
}

static void test_kinds_are_told_by_content(void **state)
{
    (void)state;
    open_ok(fixture_npy("named.data", fixture_spec("", DTYPE_F32, 1, 2, 0), 3, rows, sizeof rows));
    open_ok(write_npz("named.bin", "x.npy", false));
    open_bad(write_text("b.bin", "hello"), ERR_FORMAT, "none of the kinds");
    open_bad(write_text("empty.bin", ""), ERR_FORMAT, "is empty");
    open_bad(write_text("e.npy", ""), ERR_FORMAT, "e.npy");
    open_bad(fixture_path("absent.npy"), ERR_FILE, "absent.npy");
    open_bad(fixture_folder, ERR_UNSUPPORTED, "is a folder");
}

static void test_misfits_say_what_to_do(void **state)
{
    (void)state;
    static const double wide[4] = { 1, 2, 3, 4 };
    open_bad(fixture_npy("f64.npy", fixture_spec("", DTYPE_F64, 1, 2, 0), 2, wide, sizeof wide), ERR_USAGE,
             "numpy: x.astype('float32')");
    open_bad(fixture_npy("shape.npy", fixture_spec("", DTYPE_F64, 2, 1, 2), 2, wide, sizeof wide), ERR_USAGE,
             "numpy: x.astype('float32').reshape(len(x), 2)");
    open_bad(fixture_npy("three.npy", fixture_spec("", DTYPE_F32, 1, 3, 0), 2, rows, 24), ERR_USAGE,
             "give rows of that shape");
}

static void test_nothing_but_nan_is_refused(void **state)
{
    (void)state;
    static const uint32_t all[4] = { 0x7FC00000, 0x7FC00001, 0xFFC00000, 0x7F800001 };
    static const uint32_t some[6] = {
        0x7FC00000, 0x7FC00000, 0x7FC00000, 0x7FC00000, 0x7FC00000, 0x3F800000
    };
    struct input input;
    struct signature signature = fixture_signature();
    struct tensor_spec spec = fixture_spec("", DTYPE_F32, 1, 2, 0);
    open_bad(fixture_npy("nan.npy", spec, 2, all, sizeof all), ERR_FORMAT, "nothing but NaN");
    const char *path = fixture_npy("some.npy", spec, 3, some, sizeof some);
    assert_int_equal(input_open(path, &signature, &input, NULL), ERR_OK);
    input_close(&input);
}

static void test_several_inputs_go_by_name(void **state)
{
    (void)state;
    uint32_t pick[INPUTS_MAX];
    struct why why;
    struct signature signature = fixture_signature();
    signature.inputs_count = 2;
    signature.inputs[1] = fixture_spec("z", DTYPE_I64, 0, 0, 0);
    struct tensor_spec given[3] = { fixture_spec("z", DTYPE_I64, 0, 0, 0),
                                    fixture_spec("spare", DTYPE_U8, 0, 0, 0),
                                    fixture_spec("x", DTYPE_F32, 1, 2, 0) };
    assert_int_equal(input_match(given, 3, &signature, pick, &why), ERR_OK);
    assert_int_equal(pick[0], 2);
    assert_int_equal(pick[1], 0);
    assert_int_equal(input_match(given, 2, &signature, pick, &why), ERR_USAGE);
    assert_non_null(strstr(why.text, "input x: is missing"));
}

static void test_open_dimensions_take_any(void **state)
{
    (void)state;
    struct tensor_spec wanted = fixture_spec("x", DTYPE_F32, 2, -1, 3),
                       given = fixture_spec("", DTYPE_F32, 2, 7, 3);
    assert_true(input_fits(&given, &wanted));
    given.dims[1] = 4;
    assert_false(input_fits(&given, &wanted));
    given = fixture_spec("", DTYPE_F32, 1, 3, 0);
    assert_false(input_fits(&given, &wanted));
}

#define LINE(shape, type, data)                                                                              \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":" shape ",\"datatype\":\"" type "\",\"data\":" data "}]}\n"

static void test_bad_lines_are_named(void **state)
{
    (void)state;
    static const char good[] = LINE("[2]", "FP32", "[1,2]");
    static const struct {
        const char *line, *words;
    } cases[] = {
        { "{\"inputs\":[}\n", "line 2, column 12" },
        { "[1]\n", "line 2: is not a JSON object" },
        { "{}\n", "line 2: \"inputs\" is missing" },
        { "{\"inputs\":[],\"priority\":1}\n", "line 2: \"priority\" has no meaning here" },
        { "{\"id\":7,\"inputs\":[]}\n", "line 2: x: this input of the model is missing" },
        { LINE("[65536,65536,65536,65536]", "FP32", "[]"), "does not fit" },
        { LINE("[3]", "FP32", "[1,2,3]"), "line 2: x: \"shape\" does not fit" },
        { LINE("[2,2]", "FP32", "[1,2,3,4]"), "a line is one sample" },
        { LINE("[2]", "FP64", "[1,2]"), "\"datatype\" is FP64 but the model wants FP32" },
        { LINE("[2]", "BYTES", "[\"a\",\"b\"]"), "\"datatype\" is BYTES" },
        { LINE("[2]", "FP32", "[1]"), "fewer values than the 2" },
        { LINE("[2]", "FP32", "[1,2,3]"), "more values than the 2" },
        { LINE("[2]", "FP32", "[1,\"a\"]"), "data[1] is not a value of FP32" },
        { LINE("[2]", "FP32", "[1,1e300]"), "data[1] is not a value of FP32" },
        { LINE("[2]", "FP32", "7"), "\"data\" is not an array" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", good, cases[i].line);
        open_bad(write_text("bad.jsonl", text), ERR_FORMAT, cases[i].words);
    }
}

static void test_a_shape_without_end_is_refused(void **state)
{
    (void)state;
    struct input input;
    struct why why = { "" };
    struct signature signature = fixture_signature();
    signature.inputs[0] = fixture_spec("x", DTYPE_F32, 4, -1, -1);
    signature.inputs[0].dims[2] = signature.inputs[0].dims[3] = -1;
    const char *path = write_text("vast.jsonl", LINE("[65536,65536,65536,65536]", "FP32", "[]"));
    assert_int_equal(input_open(path, &signature, &input, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "larger than a line can hold"));
    input_close(&input);
}

static void test_whole_numbers_keep_their_bits(void **state)
{
    (void)state;
    struct input input;
    struct why why;
    uint64_t got[3];
    struct signature signature = fixture_signature();
    signature.inputs[0] = fixture_spec("x", DTYPE_U64, 0, 0, 0);
    const char *path =
        write_text("u64.jsonl", LINE("[]", "UINT64", "[18446744073709551615]") LINE("[1]", "UINT64", "[0]")
                                    LINE("[1]", "UINT64", "[9007199254740993]"));
    assert_int_equal(input_open(path, &signature, &input, &why), ERR_OK);
    assert_int_equal(file_pread(input.arrays[0].fd, got, sizeof got, 0, "x", NULL), ERR_OK);
    assert_true(got[0] == UINT64_MAX && got[1] == 0 && got[2] == 9007199254740993u);
    input_close(&input);
    signature.inputs[0].dtype = DTYPE_I8;
    path = write_text("i8.jsonl", LINE("[]", "INT8", "[-128]") LINE("[]", "INT8", "[128]"));
    assert_int_equal(input_open(path, &signature, &input, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "line 2: x: data[0] is not a value of INT8"));
    input_close(&input);
}

static void test_no_samples_are_samples_too(void **state)
{
    (void)state;
    struct input input;
    struct signature signature = fixture_signature();
    const char *path = fixture_npy("zero.npy", fixture_spec("", DTYPE_F32, 1, 2, 0), 0, "", 0);
    assert_int_equal(input_open(path, &signature, &input, NULL), ERR_OK);
    assert_int_equal(input.samples, 0);
    input_close(&input);
    assert_int_equal(input_open(write_text("zero.jsonl", "\n"), &signature, &input, NULL), ERR_OK);
    assert_int_equal(input.samples, 0);
    assert_int_equal(input.arrays[0].row_bytes, 8);
    input_close(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_npy_is_left_where_it_is),
        cmocka_unit_test(test_npz_stored_is_addressed_in_place),
        cmocka_unit_test(test_npz_stored_is_checked),
        cmocka_unit_test(test_only_what_is_taken_must_agree),
        cmocka_unit_test(test_npz_deflated_is_unpacked),
        cmocka_unit_test(test_jsonl_gives_the_same_rows),
        cmocka_unit_test(test_kinds_are_told_by_content),
        cmocka_unit_test(test_misfits_say_what_to_do),
        cmocka_unit_test(test_nothing_but_nan_is_refused),
        cmocka_unit_test(test_several_inputs_go_by_name),
        cmocka_unit_test(test_open_dimensions_take_any),
        cmocka_unit_test(test_bad_lines_are_named),
        cmocka_unit_test(test_a_shape_without_end_is_refused),
        cmocka_unit_test(test_whole_numbers_keep_their_bits),
        cmocka_unit_test(test_no_samples_are_samples_too),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
