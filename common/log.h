// SPDX-License-Identifier: Apache-2.0
/* log - one line per event on stderr (or a file): time, level, stable id, sentence.
 *
 *     2026-11-22T12:00:00.123Z warn WORKER-LOST worker 3 (lab-1) said nothing for 3.0 s; its 2 chunks are
 * ready again
 *
 * The id is upper case with dashes, never changes once released, and is what an operator greps for. Colours
 * only when the stream is a terminal and NO_COLOR is unset. Thread-safe; a line is written with one write().
 */
#ifndef LOG_H
#define LOG_H

enum log_level { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* The program's name in each line, the least important level shown (default LOG_INFO), and the file
 * descriptor (default 2). */
void log_init(const char *program, enum log_level level, int fd);

/* "error", "warn", "info", "debug" -> level; false for any other word. */
_Bool log_level_parse(const char *word, enum log_level *level);

void log_event(enum log_level level, const char *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(id, ...) log_event(LOG_ERROR, id, __VA_ARGS__)
#define log_warn(id, ...)  log_event(LOG_WARN, id, __VA_ARGS__)
#define log_info(id, ...)  log_event(LOG_INFO, id, __VA_ARGS__)
#define log_debug(id, ...) log_event(LOG_DEBUG, id, __VA_ARGS__)

#endif
