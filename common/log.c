// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include "clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 2048, LOG_PROGRAM_MAX = 32 };

static const char *const words[] = { "error", "warn", "info", "debug" };
static const char *const colours[] = { "\033[31m", "\033[33m", "", "\033[2m" };

/* Set by log_init before threads start; atomic so that a log line before it is not a race. */
static char name[LOG_PROGRAM_MAX];
static atomic_int least = LOG_INFO;
static atomic_int stream = 2;
static atomic_bool coloured;

void log_init(const char *program, enum log_level level, int fd)
{
    const char *no_colour = getenv("NO_COLOR");
    snprintf(name, sizeof name, "%s", program);
    atomic_store(&least, level);
    atomic_store(&stream, fd);
    atomic_store(&coloured, isatty(fd) && !(no_colour && *no_colour));
}

_Bool log_level_parse(const char *word, enum log_level *level)
{
    for (int i = 0; i <= LOG_DEBUG; i++) {
        if (strcmp(word, words[i]) == 0) {
            *level = (enum log_level)i;
            return 1;
        }
    }
    return 0;
}

static size_t clamp(int printed, size_t room)
{
    if (printed < 0)
        return 0;
    return (size_t)printed < room ? (size_t)printed : room - 1;
}

/* "time [program] level ID " */
static size_t print_head(char *line, size_t room, enum log_level level, const char *id)
{
    char when[CLOCK_RFC3339_MAX];
    clock_rfc3339(clock_wall_us(), when);
    bool colour = atomic_load(&coloured) && colours[level][0];
    return clamp(snprintf(line, room, "%s %s%s%s%s%s %s ", when, name, name[0] ? " " : "",
                          colour ? colours[level] : "", words[level], colour ? "\033[0m" : "", id),
                 room);
}

static void write_line(const char *line, size_t size)
{
    /* One write() keeps lines of several threads and processes whole. A log that cannot be written is not
     * worth dying for. */
    int saved = errno;
    while (write(atomic_load(&stream), line, size) < 0 && errno == EINTR)
        continue;
    errno = saved;
}

void log_event(enum log_level level, const char *id, const char *format, ...)
{
    if ((int)level > atomic_load(&least))
        return;
    char line[LOG_LINE_MAX];
    size_t head = print_head(line, sizeof line - 1, level, id);
    va_list arguments;
    va_start(arguments, format);
    size_t length = head + clamp(vsnprintf(line + head, sizeof line - 1 - head, format, arguments),
                                 sizeof line - 1 - head);
    va_end(arguments);
    for (size_t i = head; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[length++] = '\n';
    write_line(line, length);
}
