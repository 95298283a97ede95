// SPDX-License-Identifier: Apache-2.0
#include "err.h"

#include "ensure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} table[] = {
    [ERR_OK] = { "ok", 0 },
    [ERR_USAGE] = { "usage", 2 },
    [ERR_FILE] = { "file", 2 },
    [ERR_FORMAT] = { "format", 2 },
    [ERR_UNSUPPORTED] = { "unsupported", 2 },
    [ERR_LIMIT] = { "limit", 2 },
    [ERR_UNREACHABLE] = { "unreachable", 3 },
    [ERR_REFUSED] = { "refused", 3 },
    [ERR_NOT_FOUND] = { "not-found", 4 },
    [ERR_TIMEOUT] = { "timeout", 5 },
    [ERR_CANCELLED] = { "cancelled", 6 },
    [ERR_FULL] = { "full", 1 },
    [ERR_MEMORY] = { "memory", 1 },
    [ERR_SYSTEM] = { "system", 1 },
    [ERR_RUNTIME] = { "runtime", 1 },
};

/* Names of files and keys come from outside: a newline in one must not make two lines of the sentence. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void format_into(struct why *why, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void format_into(struct why *why, const char *format, va_list arguments)
{
    if (vsnprintf(why->text, WHY_MAX, format, arguments) <= 0)
        snprintf(why->text, WHY_MAX, "unknown failure");
    make_one_line(why->text);
}

enum err why_set(struct why *why, enum err err, const char *format, ...)
{
    if (why) {
        /* Formatted aside, because an argument may be the old text of why itself. */
        struct why fresh;
        va_list arguments;
        va_start(arguments, format);
        format_into(&fresh, format, arguments);
        va_end(arguments);
        *why = fresh;
    }
    return err;
}

enum err why_set_errno(struct why *why, enum err err, const char *format, ...)
{
    int number = errno;
    if (why) {
        struct why fresh;
        char reason[128];
        va_list arguments;
        va_start(arguments, format);
        format_into(&fresh, format, arguments);
        va_end(arguments);
        size_t length = strlen(fresh.text);
        /* The GNU strerror_r: thread-safe, and may return a constant instead of filling reason. */
        snprintf(fresh.text + length, WHY_MAX - length, ": %s", strerror_r(number, reason, sizeof reason));
        *why = fresh;
    }
    errno = number;
    return err;
}

int err_exit_code(enum err err)
{
    ENSURE((size_t)err < sizeof table / sizeof table[0]);
    return table[err].exit_code;
}

const char *err_name(enum err err)
{
    return (size_t)err < sizeof table / sizeof table[0] ? table[err].name : "unknown";
}
