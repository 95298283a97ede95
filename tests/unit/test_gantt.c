// SPDX-License-Identifier: Apache-2.0
#include "gantt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct gantt_mark marks[] = { { .at_us = 200000, .kind = GANTT_SPEED, .factor = 0.5 },
                                           { .at_us = 600000, .kind = GANTT_DIES } };

static struct gantt_row rows[] = {
    { .name = "one",
      .about = "10 samples",
      .joins_us = 100000,
      .load_us = 50000,
      .marks = marks,
      .marks_count = 2 },
    { .name = "a<b>&\"c'\x01" },
};

static struct gantt_picture picture = { .title = "fl<ee>t & co",
                                        .subtitle = "policy motley",
                                        .note = "2 of 2",
                                        .rows = rows,
                                        .rows_count = 2,
                                        .samples = 100,
                                        .finish_us = 1000000,
                                        .end_us = 1000000,
                                        .bound_us = 900000 };

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        count++;
    return count;
}

static char *draw(struct gantt *gantt)
{
    size_t size;
    char *svg = gantt_svg(gantt, &size);
    assert_non_null(svg);
    assert_int_equal(strlen(svg), size);
    return svg;
}

static void names_are_escaped(void **state)
{
    (void)state;
    struct gantt *gantt = gantt_new(&picture);
    char *svg = draw(gantt);
    assert_non_null(strstr(svg, "fl&lt;ee&gt;t &amp; co"));
    assert_non_null(strstr(svg, "a&lt;b&gt;&amp;&quot;c&#39; <"));
    assert_null(strstr(svg, "a<b"));
    assert_int_equal(count_of(svg, "<svg"), 1);
    assert_string_equal(svg + strlen(svg) - 7, "</svg>\n");
    assert_null(strstr(svg, "<script"));
    assert_int_equal(count_of(svg, "http"), 1); /* the name space alone */
    free(svg);
    gantt_free(&gantt);
}

static void faults_lines_and_bars_are_there(void **state)
{
    (void)state;
    struct gantt *gantt = gantt_new(&picture);
    gantt_bar(gantt, 0, 150000, 300000, 0, true);
    gantt_bar(gantt, 0, 300000, 600000, 99, true);
    gantt_bar(gantt, 1, 0, 2000000, 50, false); /* cut at the end of the axis */
    gantt_bar(gantt, 1, 1500000, 2000000, 60, true);
    char *svg = draw(gantt);
    assert_int_equal(count_of(svg, "class=\"mark\""), 2);
    assert_int_equal(count_of(svg, "\u2715 dies"), 1);
    assert_int_equal(count_of(svg, "\u00d70.5"), 1);
    assert_int_equal(count_of(svg, "class=\"bound\""), 1);
    assert_int_equal(count_of(svg, "class=\"finish\""), 1);
    assert_int_equal(count_of(svg, "bound 0.9 s"), 1);
    assert_int_equal(count_of(svg, "from sample 0<"), 1);
    assert_int_equal(count_of(svg, "from sample 99<"), 1);
    assert_int_equal(count_of(svg, "0.000 to 1.000 s, from sample 50: not kept"), 1);
    assert_int_equal(count_of(svg, "from sample 60"), 0);
    free(svg);
    gantt_free(&gantt);
}

static void what_is_thinner_than_a_hair_is_joined(void **state)
{
    (void)state;
    struct gantt *gantt = gantt_new(&picture);
    for (uint64_t i = 0; i < 1000000; i++)
        gantt_bar(gantt, 0, i, i + 1, i / 10000, true);
    char *svg = draw(gantt);
    size_t bars = count_of(svg, "from sample");
    assert_in_range(bars, 1000, 4000);
    free(svg);
    gantt_free(&gantt);
}

static void nothing_at_all(void **state)
{
    (void)state;
    const struct gantt_picture empty = { .title = "", .subtitle = "", .bound_us = -1 };
    struct gantt *gantt = gantt_new(&empty);
    char *svg = draw(gantt);
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "class=\"bound\""));
    free(svg);
    gantt_free(&gantt);
}

static void a_file_stands_complete_or_not_at_all(void **state)
{
    (void)state;
    char folder[] = "/tmp/gantt-XXXXXX", path[64], absent[64];
    struct why why = { "" };
    struct stat info;
    struct gantt *gantt = gantt_new(&picture);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.svg", folder);
    snprintf(absent, sizeof absent, "%s/none/a.svg", folder);
    assert_int_equal(gantt_write(gantt, path, &why), ERR_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size > 1000);
    assert_int_not_equal(gantt_write(gantt, absent, &why), ERR_OK);
    assert_non_null(strstr(why.text, "none"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* no temporary is left */
    gantt_free(&gantt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(faults_lines_and_bars_are_there),
        cmocka_unit_test(what_is_thinner_than_a_hair_is_joined),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(a_file_stands_complete_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
