// SPDX-License-Identifier: Apache-2.0
#include "require.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what the tables stand on: one GPU ---- */

static struct attributes *a_gpu(void)
{
    static const char *const precisions[] = { "fp16", "fp32", "int8" };
    static const uint32_t sizes[] = { 1, 8, 64 };
    struct attributes_builder builder;
    attributes_begin(&builder);
    assert_true(attributes_add_text(&builder, "device.kind", "gpu"));
    assert_true(attributes_add_text(&builder, "device.name", "Tesla T4"));
    assert_true(attributes_add_number(&builder, "device.memory", 16.0 * (1 << 30)));
    assert_true(attributes_add_number(&builder, "device.power", 70));
    assert_true(attributes_add_number(&builder, "device.peak.fp16", 65e12));
    assert_true(attributes_add_number(&builder, "batch.max", 64));
    assert_true(attributes_add_number(&builder, "load_time", 2.5));
    assert_true(attributes_add_set(&builder, "precision", precisions, 3));
    assert_true(attributes_add_whole_set(&builder, "batch.sizes", sizes, 3));
    assert_true(attributes_add_version(&builder, "worker.version", "1.2.3-rc1"));
    assert_true(attributes_add_text(&builder, "worker", "gpu-3"));
    assert_true(attributes_add_label(&builder, "room", "B12"));
    assert_true(attributes_add_label(&builder, "rack", "7"));
    assert_true(attributes_add_label(&builder, "os", "5.10.2"));
    return attributes_finish(&builder);
}

static struct require *parse(const char *text)
{
    struct require *require;
    struct why why = { "" };
    size_t at;
    if (require_parse(text, strlen(text), &require, &at, &why))
        fail_msg("%s: %s", text, why.text);
    return require;
}

/* ---- tables ---- */

static const struct {
    const char *text;
    bool holds;
    const char *canonical; /* NULL: as text */
} good[] = {
    { "device.kind = gpu", true, NULL },
    { "device.kind=GPU", true, "device.kind = GPU" },
    { "device.kind = 'gpu'", true, "device.kind = gpu" },
    { "device.kind = \"gpu\"", true, "device.kind = gpu" },
    { "device.kind != cpu", true, NULL },
    { "device.kind = cpu", false, NULL },
    { "device.name = 'tesla t4'", true, NULL },
    { "device.name = 'Al''s'", false, NULL },
    { "device.name = \"Al's\"", false, "device.name = 'Al''s'" },
    { "device.memory >= 16GiB", true, NULL },
    { "device.memory >= 16 GiB", true, "device.memory >= 16GiB" },
    { "device.memory >= 16384MiB", true, "device.memory >= 16GiB" },
    { "device.memory > 16GiB", false, NULL },
    { "device.memory <= 16GiB", true, NULL },
    { "device.memory < 16GiB", false, NULL },
    { "device.memory = 17179869184B", true, "device.memory = 16GiB" },
    { "device.memory != 16GiB", false, NULL },
    { "device.memory > 16GB", true, NULL },
    { "device.memory > 0", true, "device.memory > 0B" },
    { "device.power <= 0.07kW", true, "device.power <= 70W" },
    { "device.peak.fp16 >= 65TFLOPS", true, NULL },
    { "device.peak.fp16 > 65 TOPS", false, "device.peak.fp16 > 65TFLOPS" },
    { "load_time < 3s", true, NULL },
    { "load_time < 2400ms", false, "load_time < 2.4s" },
    { "batch.max >= 64", true, NULL },
    { "precision has fp16", true, NULL },
    { "precision HAS FP16", true, "precision has FP16" },
    { "precision has bf16", false, NULL },
    { "batch.sizes has 8", true, NULL },
    { "batch.sizes has 08.0", true, "batch.sizes has 8" },
    { "batch.sizes has 16", false, NULL },
    { "worker.version >= 1.2", true, NULL },
    { "worker.version = 1.2.3.0", true, "worker.version = 1.2.3" },
    { "worker.version > 1.2.3", false, NULL },
    { "worker.version in [1, 2.0]", false, "worker.version in [1, 2]" },
    { "device.kind in [tpu, gpu]", true, "device.kind in [gpu, tpu]" },
    { "device.kind in [tpu,tpu]", false, "device.kind = tpu" },
    { "device.memory in [8GiB, 16GiB, 16384MiB]", true, "device.memory in [8GiB, 16GiB]" },
    { "worker in [and, or, not]", false, "worker in [and, not, or]" },
    { "worker = gpu-3", true, NULL },
    { "worker = in", false, NULL },
    { "label.room = b12", true, NULL },
    { "label.room != 3", true, NULL },
    { "label.room > 3", false, NULL },
    { "label.rack = 7.0", true, "label.rack = 7" },
    { "label.rack = '7'", true, NULL },
    { "label.rack = '7.0'", false, NULL },
    { "label.rack >= 7s", false, NULL },
    { "label.os >= 5.9.0", true, NULL },
    { "label.os > 5.10.2", false, NULL },
    { "label.os in [5.10.2, x]", true, "label.os in [x, 5.10.2]" },
    { "label.rack in [7s, 7]", true, "label.rack in [7, 7s]" },
    /* lacking */
    { "host = a", false, NULL },
    { "host != a", false, NULL },
    { "not host = a", true, NULL },
    { "not (host != a)", true, "not host != a" },
    { "not label.other = 1", true, NULL },
    /* and, or, not */
    { "device.kind = gpu, device.memory >= 16GiB, precision has fp16", true,
      "device.kind = gpu and device.memory >= 16GiB and precision has fp16" },
    { "precision has fp16 AND device.kind = gpu", true, "device.kind = gpu and precision has fp16" },
    { "device.kind = tpu or device.kind = gpu and batch.max > 64", false,
      "device.kind = tpu or batch.max > 64 and device.kind = gpu" },
    { "(device.kind = tpu or device.kind = gpu) and batch.max > 1", true,
      "batch.max > 1 and (device.kind = gpu or device.kind = tpu)" },
    { "device.kind = tpu | device.kind = gpu", true, "device.kind = gpu or device.kind = tpu" },
    { "not device.kind = tpu, device.kind = gpu", true, "device.kind = gpu and not device.kind = tpu" },
    { "not (device.kind = tpu or worker = a)", true, "not device.kind = tpu and not worker = a" },
    { "not (device.kind = gpu and worker = a)", true, "not device.kind = gpu or not worker = a" },
    { "not (not (device.kind = gpu))", true, "device.kind = gpu" },
    { "((device.kind = gpu))", true, "device.kind = gpu" },
    { "device.kind = gpu or (device.kind = gpu)", true, "device.kind = gpu" },
    { "(worker = a or worker = a) or device.kind = gpu", true, "device.kind = gpu or worker = a" },
    { "worker = a and (worker = b and (worker = c and worker = a))", false,
      "worker = a and worker = b and worker = c" },
    { "\tdevice.kind\n=\r gpu ", true, "device.kind = gpu" },
};

static void good_ones_are_evaluated(void **state)
{
    (void)state;
    struct attributes *gpu = a_gpu();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct require *require = parse(good[i].text);
        print_message("%s\n", good[i].text);
        assert_string_equal(require_text(require), good[i].canonical ? good[i].canonical : good[i].text);
        assert_int_equal(require_eval(require, gpu), good[i].holds);
        assert_int_equal(require_distance(require, gpu) == 0, good[i].holds);
        require_free(&require);
    }
    assert_true(require_eval(NULL, gpu));
    attributes_free(&gpu);
}

static const struct {
    const char *text;
    size_t at;
    const char *says;
} bad[] = {
    { "", 0, "it is empty; write for example device.kind = gpu" },
    { "  ", 0, "it is empty" },
    { "device.memroy >= 16GiB", 0,
      "'device.memroy' at character 1 is no attribute; the nearest: device.memory" },
    { "device.kind = gpu, memory > 1GiB", 19,
      "'memory' at character 20 is no attribute; the nearest: device.memory" },
    { "flavour = sweet", 0, "is no attribute; see docs/requirements.md" },
    { "label. = 3", 0, "is no attribute; the nearest: label.KEY" },
    { "device.kind", 11, "it ends at character 12, where one of = != < <= > >= in has must follow" },
    { "device.kind =", 13, "it ends at character 14, where a value must follow" },
    { "device.kind = ,", 14, "',' at character 15 is not expected; a value must stand there" },
    { "device.kind == gpu", 13, "'=' at character 14 is not expected; a value" },
    { "device.kind is gpu", 12, "'is' at character 13 is not expected; one of =" },
    { "device.kind ! gpu", 12, "'!' at character 13 is not expected" },
    { "device.kind = gpu device.memory > 1GiB", 18,
      "'device.memory' at character 19 is not expected; 'and', 'or' or the end must stand there" },
    { "device.kind = gpu,", 18, "it ends at character 19, where an attribute, 'not' or '(' must follow" },
    { "device.kind = gpu and and", 22, "'and' at character 23 is not expected; an attribute, 'not' or '('" },
    { "or device.kind = gpu", 0, "'or' at character 1 is not expected; an attribute, 'not' or '('" },
    { "not not device.kind = gpu", 4, "'not' at character 5 is not expected; an attribute or '('" },
    { "device.kind not in [gpu]", 12, "'not' at character 13 is not expected" },
    { "(device.kind = gpu", 18, "it ends at character 19, where 'and', 'or' or ')' must follow" },
    { "device.kind = gpu)", 17,
      "')' at character 18 is not expected; 'and', 'or' or the end (no parenthesis is" },
    { "()", 1, "')' at character 2 is not expected; an attribute" },
    { "device.kind in gpu", 15, "'gpu' at character 16 is not expected; '[' and values" },
    { "device.kind in []", 16, "']' at character 17 is not expected; a value" },
    { "device.kind in [gpu tpu]", 20, "'tpu' at character 21 is not expected; ',' or ']'" },
    { "device.kind in [gpu,]", 20, "']' at character 21 is not expected; a value" },
    { "device.kind in [gpu", 19, "it ends at character 20, where ',' or ']' must follow" },
    { "device.name = 'Tesla", 14, "the text that begins with a quote at character 15 does not end" },
    { "device.name = 'Tes\nla'", 14, "the text that begins with a quote" },
    { "device.name = \"Tesla'", 14, "the text that begins with a quote" },
    { "device.kind = gpu\x01", 17, "at character 18 is not expected" },
    { "device.name = ''", 14, "at character 15: an empty text" },
    /* types */
    { "device.memory > 60W", 16,
      "at character 17: '60W' is in watts, but device.memory is in bytes, such as 16GiB" },
    { "device.memory > 16", 16,
      "at character 17: '16' has no unit; device.memory is in bytes, such as 16GiB" },
    { "device.memory > 16gib", 16,
      "'16gib' does not end with a unit that is known; device.memory is in bytes" },
    { "device.memory > lots", 16, "'lots' is no number; device.memory is in bytes" },
    { "device.memory > -1GiB", 16, "'-1GiB' is no number" },
    { "device.memory > '16GiB'", 16,
      "'16GiB' in quotes is text, but device.memory is a number; write it without" },
    { "device.memory > 12345678GB", 16, "is too large or too small" },
    { "device.power > 1.2345678901234567W", 15, "has more than 15 digits; device.power is in watts" },
    { "device.memory > 16 W", 16, "'16W' is in watts" },
    { "device.memory has 16GiB", 14,
      "at character 15: device.memory is a number and no set; write device.memory = 16GiB" },
    { "batch.max > 8GiB", 12, "'8GiB' is in bytes, but batch.max is a plain number, such as 8" },
    { "device.kind < gpu", 12,
      "at character 13: device.kind is text, which '<' does not compare; use =, != or in" },
    { "device.kind has gpu", 12, "device.kind is a text and no set; write device.kind = gpu" },
    { "precision = fp16", 10, "precision is a set, which '=' does not compare; write precision has fp16" },
    { "precision in [fp16]", 10, "precision is a set, which 'in' does not compare" },
    { "batch.sizes has big", 16, "'big' is no number; batch.sizes is a plain number" },
    { "batch.sizes has 1.5", 16, "'1.5' is no whole number" },
    { "batch.sizes has '8'", 16, "in quotes is text" },
    { "worker.version > new", 17, "'new' is no version; worker.version is up to 4 numbers divided by dots" },
    { "worker.version > 1.2-rc1", 17, "'1.2-rc1' is no version" },
    { "worker.version > '1.2'", 17, "is no version" },
    { "label.room > b12", 13, "'b12' is text, which '>' does not compare; write a number or a version" },
    { "label.room > '12'", 13, "'12' is text" },
    { "label.room has b12", 11, "label.room is a label and no set; write label.room = b12" },
};

static void bad_ones_say_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct require *require;
        struct why why;
        size_t at = SIZE_MAX;
        assert_int_equal(require_parse(bad[i].text, strlen(bad[i].text), &require, &at, &why), ERR_USAGE);
        assert_null(require);
        print_message("%s\n    %s\n", bad[i].text, why.text);
        assert_non_null(strstr(why.text, bad[i].says));
        assert_int_equal(at, bad[i].at);
        assert_int_equal(require_parse(bad[i].text, strlen(bad[i].text), &require, NULL, NULL), ERR_USAGE);
    }
}

/* ---- bounds ---- */

static enum err parse_err(const char *text, const char *says)
{
    struct require *require;
    struct why why;
    enum err err = require_parse(text, strlen(text), &require, NULL, &why);
    if (err)
        assert_non_null(strstr(why.text, says));
    require_free(&require);
    return err;
}

static char *repeated(const char *first, const char *more, int times, const char *last)
{
    static char text[20000];
    char *at = text + sprintf(text, "%s", first);
    for (int i = 0; i < times; i++)
        at += sprintf(at, "%s", more);
    sprintf(at, "%s", last);
    return text;
}

static void everything_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(parse_err(repeated("worker=a", ",host=b", 63, ""), ""), ERR_OK);
    assert_int_equal(parse_err(repeated("worker=a", ",host=b", 64, ""), "more than 64 clauses"), ERR_LIMIT);
    assert_int_equal(parse_err(repeated("host=a", " ", 4090, ""), ""), ERR_OK);
    assert_int_equal(
        parse_err(repeated("host=a", " ", 4091, ""), "4097 bytes; an expression has at most 4096"),
        ERR_LIMIT);
    assert_int_equal(parse_err(repeated("host='", "x", 255, "'"), ""), ERR_OK);
    assert_int_equal(parse_err(repeated("host='", "x", 256, "'"), "a text of 256 bytes"), ERR_LIMIT);
    assert_int_equal(parse_err(repeated("host in [a", ",b", 511, "]"), ""), ERR_OK);
    assert_int_equal(parse_err(repeated("host in [a", ",b", 512, "]"), "more than 512 values"), ERR_LIMIT);
    assert_int_equal(parse_err(repeated("(host=a)", ",(host=b)", 20, ""), ""), ERR_OK);
    char nested[200];
    for (int depth = 15; depth <= 17; depth++) {
        sprintf(nested, "%.*shost=a%.*s", depth, "(((((((((((((((((((((", depth, ")))))))))))))))))))))");
        assert_int_equal(parse_err(nested, "more than 16 parentheses"), depth > 16 ? ERR_LIMIT : ERR_OK);
    }
    struct require *require;
    assert_int_equal(require_parse("host=a\0", 7, &require, NULL, NULL), ERR_USAGE);
}

/* The longest that a short text can become: what require_text gives, require_restore takes. */
static void long_canonical_texts_come_back(void **state)
{
    (void)state;
    char text[REQUIRE_TEXT_MAX + 1], *at = text;
    at += sprintf(at, "device.memory in[0.1PiB");
    for (int i = 0; at < text + REQUIRE_TEXT_MAX - 20; i++)
        at += sprintf(at, ",0.%03dPiB", i + 100);
    sprintf(at, "]");
    struct require *require = parse(text), *again;
    assert_true(strlen(require_text(require)) > REQUIRE_TEXT_MAX);
    assert_int_equal(require_restore(require_text(require), strlen(require_text(require)), &again, NULL),
                     ERR_OK);
    assert_string_equal(require_text(require), require_text(again));
    require_free(&require);
    require_free(&again);
}

/* ---- explain ---- */

static void misses_are_explained(void **state)
{
    (void)state;
    struct attributes *gpu = a_gpu();
    struct require_findings findings;
    char text[400];
    struct require *require = parse(
        "device.memory >= 24GiB, device.kind = gpu, precision has bf16, host = a, worker.version >= 1.4,"
        "(batch.max >= 128 or batch.max >= 80 and device.kind = gpu or device.power > 700W), not worker = "
        "gpu-3");
    require_explain(require, gpu, &findings);
    static const struct {
        const char *print, *attribute, *wanted, *has;
        double distance;
        bool lacks, alternative;
    } rows[] = {
        { "device.kind = gpu: has gpu", "device.kind", "gpu", "gpu", 0, false, false },
        { "device.memory >= 24GiB: has 16GiB", "device.memory", "24GiB", "16GiB", 1.0 / 3, false, false },
        { "host = a: host is not known there", "host", "a", "", 1, true, false },
        { "precision has bf16: has [fp16, fp32, int8]", "precision", "bf16", "[fp16, fp32, int8]", 1, false,
          false },
        { "not worker = gpu-3: has gpu-3", "worker", "gpu-3", "gpu-3", 1, false, false },
        { "worker.version >= 1.4: has 1.2.3-rc1", "worker.version", "1.4", "1.2.3-rc1", 0.5, false, false },
        { "batch.max >= 80: has 64", "batch.max", "80", "64", 0.2, false, true },
        { "device.kind = gpu: has gpu", "device.kind", "gpu", "gpu", 0, false, true },
    };
    assert_int_equal(findings.count, sizeof rows / sizeof rows[0]);
    for (uint32_t i = 0; i < findings.count; i++) {
        const struct require_finding *finding = &findings.at[i];
        require_finding_print(finding, text, sizeof text);
        print_message("%s\n", text);
        assert_string_equal(text, rows[i].print);
        assert_string_equal(finding->attribute, rows[i].attribute);
        assert_string_equal(finding->wanted, rows[i].wanted);
        assert_string_equal(finding->has, rows[i].has);
        assert_true(finding->distance > rows[i].distance - 1e-9 &&
                    finding->distance < rows[i].distance + 1e-9);
        assert_int_equal(finding->holds, rows[i].distance == 0);
        assert_int_equal(finding->lacks, rows[i].lacks);
        assert_int_equal(finding->alternative, rows[i].alternative);
    }
    assert_true(require_asks(require, "host"));
    assert_false(require_asks(require, "device.name"));
    require_explain(NULL, gpu, &findings);
    assert_int_equal(findings.count, 0);
    require_free(&require);
    attributes_free(&gpu);
}

static void a_slot_of_which_nothing_is_known_lacks_all(void **state)
{
    (void)state;
    struct require *require = parse("device.kind = gpu, not label.room = b12");
    struct require_findings findings;
    require_explain(require, NULL, &findings);
    assert_int_equal(findings.count, 2);
    assert_true(findings.at[0].lacks && !findings.at[0].holds && findings.at[1].lacks &&
                findings.at[1].holds);
    assert_false(require_eval(require, NULL));
    assert_true(require_distance(require, NULL) == 1);
    require_free(&require);
}

static void a_strict_bound_just_missed_is_still_a_miss(void **state)
{
    (void)state;
    struct attributes *gpu = a_gpu();
    struct require *require = parse("device.memory > 16GiB");
    assert_true(require_distance(require, gpu) > 0 && require_distance(require, gpu) < 0.001);
    require_free(&require);
    attributes_free(&gpu);
}

/* ---- contradictions ---- */

static void contradictions_are_seen(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says; /* NULL: none */
    } rows[] = {
        { "device.memory > 16GiB, device.memory < 8GiB",
          "'device.memory < 8GiB' and 'device.memory > 16GiB' exclude each other" },
        { "device.memory > 8GiB, device.memory < 8GiB", "exclude" },
        { "device.memory >= 8GiB, device.memory < 8GiB", "exclude" },
        { "device.memory >= 8GiB, device.memory <= 8GiB", NULL },
        { "device.memory >= 8GiB, device.memory < 16GiB", NULL },
        { "device.memory = 8GiB, device.memory > 8GiB", "exclude" },
        { "device.memory < 0", "nothing is below zero" },
        { "device.memory <= 0", NULL },
        { "device.kind = gpu, device.kind = cpu", "exclude" },
        { "device.kind = gpu, device.kind != GPU", "exclude" },
        { "device.kind in [gpu, cpu], device.kind = tpu", "exclude" },
        { "device.kind in [gpu, cpu], device.kind in [tpu, cpu]", NULL },
        { "device.kind in [gpu, cpu], device.kind != cpu, device.kind != gpu",
          "none of the values of 'device.kind in [cpu, gpu]'" },
        { "device.kind = gpu, not device.kind = gpu", "exclude" },
        { "host = a, not host != a", NULL },
        { "host = a, not host in [a, b]", "exclude" },
        { "not host = a, not host != a", NULL }, /* who has no host passes */
        { "batch.max > 8, not batch.max > 4", "exclude" },
        { "precision has fp16, precision has fp32", NULL },
        { "precision has fp16, not precision has fp16", "exclude" },
        { "worker.version > 2, worker.version < 1.9", "exclude" },
        { "worker.version = 2.0, worker.version = 2", NULL },
        { "label.a = 3, label.a = 4", "exclude" },
        { "label.a = 3, label.a = '3'", NULL },
        { "label.a > 3, label.a < 3", "exclude" },
        { "label.a > 3s, label.a < 3", NULL },
        { "label.a > 3, not label.a > 2", NULL }, /* sound, not complete */
        { "label.a = 3, label.b = 4", NULL },
        { "device.kind = gpu and (device.memory > 2GiB and device.kind = cpu)", "exclude" },
        { "device.kind = gpu or device.kind = cpu", NULL },
        { "host = a and host = b or host = c and host = d", "exclude" },
        { "host = a and host = b or host = c", NULL },
        { "worker = x and (host = a and host = b or host = c and host = d)", "exclude" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct require *require = parse(rows[i].text);
        struct why why = { "" };
        bool seen = require_contradiction(require, &why);
        print_message("%s: %s\n", rows[i].text, why.text);
        assert_int_equal(seen, rows[i].says != NULL);
        if (rows[i].says)
            assert_non_null(strstr(why.text, rows[i].says));
        require_free(&require);
    }
    assert_false(require_contradiction(NULL, NULL));
}

/* ---- against a reference ---- */

/* Random slots and random expressions over six attributes with few values each, so that they often meet. The
 * reference evaluates the tree that was drawn, not the text, by its own tables. */

enum { LACKS = -1 };

struct model {
    int kind, memory, version, room; /* index of the value, or LACKS */
    unsigned precisions;             /* bits; 0 = lacks */
};

static const char *const kinds[] = { "cpu", "gpu", "tpu" };
static const double memories[] = { 4294967296.0, 8e9, 8589934592.0, 17179869184.0 };
static const char *const memory_words[][3] = { { "4GiB", "4096MiB", "4096 MiB" },
                                               { "8GB", "8000MB", "8000000000 B" },
                                               { "8GiB", "0.0078125TiB", "8192MiB" },
                                               { "16GiB", "17179869184B", "16 GiB" } };
static const char *const versions[] = { "1.0", "1.2", "1.2.3", "1.10" };
static const char *const version_words[][3] = { { "1", "1.0", "v1.0.0" },
                                                { "1.2", "1.2.0", "1.2.0.0" },
                                                { "1.2.3", "1.2.3.0", "v1.2.3" },
                                                { "1.10", "1.10.0", "1.10" } };
static const char *const precisions[] = { "fp16", "fp32", "int8" };

/* Labels: how each reads as a number (rank, dimension) and as a version (rank), 0 = not at all. */
static const struct room {
    const char *text;
    int number, dimension, version;
} rooms[] = { { "a", 0, 0, 0 },     { "B12", 0, 0, 0 }, { "3", 2, 1, 3 },  { "5", 3, 1, 4 },
              { "1.2.3", 0, 0, 2 }, { "5ms", 2, 2, 0 }, { "2ms", 1, 2, 0 } };
static const struct room_word {
    const char *text, *spelled[3];
    int number, dimension, version;
} room_words[] = {
    { "a", { "a", "A", "'a'" }, 0, 0, 0 },
    { "b12", { "b12", "'B12'", "\"b12\"" }, 0, 0, 0 },
    { "", { "3", "3.0", "003" }, 2, 1, 0 },
    { "3", { "'3'", "\"3\"", "'3'" }, 0, 0, 0 },
    { "", { "2", "2.00", "2" }, 1, 1, 0 },
    { "", { "1.2.3", "1.2.3.0", "1.2.3" }, 0, 0, 2 },
    { "", { "2.0.0", "2.0.0.0", "2.0.0" }, 0, 0, 2 + 100 },
    { "", { "5ms", "0.005s", "5 ms" }, 2, 2, 0 },
};

struct tree {
    int kind; /* 0 clause, 1 and, 2 or */
    bool negated;
    int attribute, op, values[3], values_count;
    int members_count;
    struct tree *members[3];
};

static struct tree pool[64];
static int pool_used;

static int values_of(int attribute)
{
    static const int counts[] = { 3, 4, 4, 8, 3 };
    return counts[attribute];
}

static struct tree *draw(struct rng *rng, int depth)
{
    struct tree *tree = &pool[pool_used++];
    *tree =
        (struct tree){ .kind = depth == 0 ? 0 : (int)rng_below(rng, 3), .negated = rng_below(rng, 3) == 0 };
    if (tree->kind > 0) {
        tree->members_count = 1 + (int)rng_below(rng, 3);
        for (int i = 0; i < tree->members_count; i++)
            tree->members[i] = draw(rng, depth - 1);
        return tree;
    }
    tree->attribute = (int)rng_below(rng, 5);
    tree->op = tree->attribute == 4 ? 7 : (int)rng_below(rng, 7);
    if (tree->attribute == 0 && tree->op >= 2 && tree->op <= 5)
        tree->op = 6;
    tree->values_count = tree->op == 6 ? 1 + (int)rng_below(rng, 3) : 1;
    for (int i = 0; i < tree->values_count; i++)
        do
            tree->values[i] = (int)rng_below(rng, (uint64_t)values_of(tree->attribute));
        while (tree->attribute == 3 && tree->op >= 2 && tree->op <= 5 &&
               !room_words[tree->values[i]].number && !room_words[tree->values[i]].version);
    return tree;
}

static bool text_same(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && attribute_text_compare(a, strlen(a), b, strlen(b)) == 0;
}

/* -1, 0, 1, or 2 = not comparable. Versions by rank: 1.2.3 < 2.0.0 < 3 < 5. */
static int room_order(const struct room *room, const struct room_word *word)
{
    static const int version_ranks[] = { 0, 0, 10, 30, 40 };
    int wanted = word->version == 2 ? 10 : 20, has = version_ranks[room->version];
    if (word->number)
        return room->dimension != word->dimension ? 2
               : room->number < word->number      ? -1
                                                  : room->number > word->number;
    if (word->version)
        return !room->version ? 2 : has < wanted ? -1 : has > wanted;
    return text_same(room->text, word->text) ? 0 : 2;
}

static int order_of(const struct model *model, int attribute, int value)
{
    int has = attribute == 0 ? model->kind : attribute == 1 ? model->memory : model->version;
    if (attribute == 3)
        return room_order(&rooms[model->room], &room_words[value]);
    return has < value ? -1 : has > value;
}

static bool reference_clause(const struct model *model, const struct tree *tree)
{
    const int has[] = { model->kind, model->memory, model->version, model->room };
    if (tree->attribute == 4)
        return model->precisions & (1u << tree->values[0]);
    if (has[tree->attribute] == LACKS)
        return false;
    int order = order_of(model, tree->attribute, tree->values[0]);
    switch (tree->op) {
    case 0: return order == 0;
    case 1: return order != 0;
    case 2: return order == -1;
    case 3: return order == -1 || order == 0;
    case 4: return order == 1;
    case 5: return order == 1 || order == 0;
    default: break;
    }
    for (int i = 0; i < tree->values_count; i++)
        if (order_of(model, tree->attribute, tree->values[i]) == 0)
            return true;
    return false;
}

static bool reference(const struct model *model, const struct tree *tree)
{
    bool result = tree->kind == 1;
    if (tree->kind == 0)
        return reference_clause(model, tree) != tree->negated;
    for (int i = 0; i < tree->members_count; i++)
        result = tree->kind == 1 ? result && reference(model, tree->members[i])
                                 : result || reference(model, tree->members[i]);
    return result != tree->negated;
}

/* Spelled at random: blanks, case of keywords, quotes, order of members, superfluous parentheses. */
static char *spell_value(struct rng *rng, const struct tree *tree, int index, char *at)
{
    int value = tree->values[index];
    uint64_t form = rng_below(rng, 3);
    switch (tree->attribute) {
    case 0: return at + sprintf(at, form == 0 ? "%s" : form == 1 ? "'%s'" : "\"%s\"", kinds[value]);
    case 1: return at + sprintf(at, "%s", memory_words[value][form]);
    case 2: return at + sprintf(at, "%s", version_words[value][form]);
    case 3: return at + sprintf(at, "%s", room_words[value].spelled[form]);
    default: return at + sprintf(at, form ? "%s" : "'%s'", precisions[value]);
    }
}

static char *spell_clause(struct rng *rng, const struct tree *tree, char *at)
{
    static const char *const names[] = { "device.kind", "device.memory", "worker.version", "label.room",
                                         "precision" };
    static const char *const ops[][2] = { { "=", " = " },       { "!=", " != " },     { "<", "<  " },
                                          { "<=", " <=" },      { ">", " > " },       { ">=", ">= " },
                                          { " in [", " IN[ " }, { " has ", " Has\t" } };
    int order[] = { 0, 1, 2 }, first = (int)rng_below(rng, (uint64_t)tree->values_count);
    at += sprintf(at, "%s%s", names[tree->attribute], ops[tree->op][rng_below(rng, 2)]);
    for (int i = 0; i < tree->values_count; i++) {
        at += sprintf(at, i ? ", " : "");
        at = spell_value(rng, tree, order[(i + first) % tree->values_count], at);
    }
    return at + sprintf(at, tree->op == 6 ? "]" : "");
}

static char *spell(struct rng *rng, const struct tree *tree, char *at)
{
    static const char *const ands[] = { ", ", " and ", " AND ", "," }, *const ors[] = { " or ", " | ", "|",
                                                                                        " Or " };
    bool group = tree->kind > 0, enclosed = group || rng_below(rng, 4) == 0;
    int first = group ? (int)rng_below(rng, (uint64_t)tree->members_count) : 0;
    at += sprintf(at, "%s%s", tree->negated ? "not " : "", enclosed ? "( " : "");
    if (!group)
        at = spell_clause(rng, tree, at);
    for (int i = 0; i < tree->members_count; i++) {
        if (i)
            at += sprintf(at, "%s", tree->kind == 1 ? ands[rng_below(rng, 4)] : ors[rng_below(rng, 4)]);
        at = spell(rng, tree->members[(i + first) % tree->members_count], at);
    }
    return at + sprintf(at, enclosed ? ")" : "");
}

static int pick(struct rng *rng, int count) { return (int)rng_below(rng, (uint64_t)count + 1) - 1; }

static struct model draw_model(struct rng *rng)
{
    return (struct model){ pick(rng, 3), pick(rng, 4), pick(rng, 4), pick(rng, 7),
                           (unsigned)rng_below(rng, 8) };
}

static struct attributes *model_attributes(const struct model *model)
{
    struct attributes_builder builder;
    const char *members[3];
    uint32_t count = 0;
    attributes_begin(&builder);
    if (model->kind != LACKS)
        assert_true(attributes_add_text(&builder, "device.kind", kinds[model->kind]));
    if (model->memory != LACKS)
        assert_true(attributes_add_number(&builder, "device.memory", memories[model->memory]));
    if (model->version != LACKS)
        assert_true(attributes_add_version(&builder, "worker.version", versions[model->version]));
    if (model->room != LACKS)
        assert_true(attributes_add_label(&builder, "room", rooms[model->room].text));
    for (int i = 0; i < 3; i++)
        if (model->precisions & (1u << i))
            members[count++] = precisions[i];
    if (count)
        assert_true(attributes_add_set(&builder, "precision", members, count));
    return attributes_finish(&builder);
}

static void check_findings(const struct require *require, const struct attributes *slot, bool holds)
{
    static struct require_findings findings;
    require_explain(require, slot, &findings);
    bool all = true;
    for (uint32_t i = 0; i < findings.count; i++) {
        all = all && findings.at[i].holds;
        assert_int_equal(findings.at[i].holds, findings.at[i].distance == 0);
        assert_true(findings.at[i].distance >= 0 && findings.at[i].distance <= 1);
    }
    assert_true(findings.count > 0);
    assert_int_equal(all, holds);
    assert_int_equal(require_distance(require, slot) == 0, holds);
}

static void the_reference_agrees(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 7, held = 0, contradictions = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rng rng;
    rng_init(&rng, seed);
    for (int round = 0; round < 5000; round++) {
        static char text[20000], other[20000];
        pool_used = 0;
        struct tree *tree = draw(&rng, (int)rng_below(&rng, 4));
        spell(&rng, tree, text);
        spell(&rng, tree, other);
        if (strlen(text) > REQUIRE_TEXT_MAX || strlen(other) > REQUIRE_TEXT_MAX)
            continue;
        struct require *require = parse(text), *twin = parse(other), *again;
        const char *canonical = require_text(require);
        assert_int_equal(require_restore(canonical, strlen(canonical), &again, NULL), ERR_OK);
        assert_string_equal(canonical, require_text(again));
        assert_true(require_hash(require) == require_hash(again));
        if (!strstr(text, "label") || (!strstr(text, "A") && !strstr(other, "A")))
            assert_int_equal(strlen(canonical), strlen(require_text(twin)));
        bool contradictory = require_contradiction(require, NULL);
        contradictions += contradictory;
        for (int i = 0; i < 20; i++) {
            struct model model = draw_model(&rng);
            struct attributes *slot = model_attributes(&model);
            bool expected = reference(&model, tree);
            if (require_eval(require, slot) != expected)
                fail_msg("%s\n%s\nexpected %d", text, canonical, expected);
            assert_int_equal(require_eval(twin, slot), expected);
            assert_int_equal(require_eval(again, slot), expected);
            assert_false(contradictory && expected);
            check_findings(require, slot, expected);
            held += expected;
            attributes_free(&slot);
        }
        require_free(&require);
        require_free(&twin);
        require_free(&again);
    }
    print_message("%llu held, %llu contradictory\n", (unsigned long long)held,
                  (unsigned long long)contradictions);
    assert_true(held > 10000 && held < 90000 && contradictions > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_are_evaluated),
        cmocka_unit_test(bad_ones_say_what_is_wrong),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(long_canonical_texts_come_back),
        cmocka_unit_test(misses_are_explained),
        cmocka_unit_test(a_slot_of_which_nothing_is_known_lacks_all),
        cmocka_unit_test(a_strict_bound_just_missed_is_still_a_miss),
        cmocka_unit_test(contradictions_are_seen),
        cmocka_unit_test(the_reference_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
