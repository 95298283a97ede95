// SPDX-License-Identifier: Apache-2.0
/* A command line: words end with a zero byte. What is accepted is what the table promises. */
#include "fuzz.h"
#include "options.h"

#include <math.h>
#include <string.h>

enum { ARGUMENTS_MAX = 100, WORDS_MAX = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings {
        bool flag, helped;
        const char *text, *words[WORDS_MAX];
        uint64_t count, duration;
        double number;
        struct option_list list;
        size_t words_count;
    } o = { 0 };
    const struct option_row rows[] = { { "flag", 'f', OPTION_FLAG, &o.flag, NULL, "a flag" },
                                       { "text", 't', OPTION_TEXT, &o.text, "TEXT", "a text" },
                                       { "count", 'c', OPTION_COUNT, &o.count, "N", "a count" },
                                       { "number", 0, OPTION_NUMBER, &o.number, "X", "a number" },
                                       { "duration", 0, OPTION_DURATION, &o.duration, "D", "a duration" },
                                       { "list", 'l', OPTION_LIST, &o.list, "WORD", "several" },
                                       { 0 } };
    const struct option_usage usage = { .command = "fuzz", .synopsis = "", .about = "" };
    char *argv[ARGUMENTS_MAX + 1] = { "fuzz" }, *bytes = malloc(size + 1);
    int argc = 1;
    struct why why = { "" };
    FUZZ_CHECK(bytes);
    memcpy(bytes, data, size);
    bytes[size] = 0;
    for (size_t at = 0; at < size && argc < ARGUMENTS_MAX; at += strlen(bytes + at) + 1)
        if (strcmp(bytes + at, "--help") != 0 && strncmp(bytes + at, "-h", 2) != 0)
            argv[argc++] = bytes + at;
    enum err err =
        options_parse(&usage, rows, argc, argv, o.words, WORDS_MAX, &o.words_count, &o.helped, &why);
    FUZZ_CHECK(err == ERR_OK || why.text[0]);
    FUZZ_CHECK(o.words_count <= WORDS_MAX && o.list.count <= OPTION_LIST_MAX && isfinite(o.number));
    free(bytes);
    return 0;
}
