// SPDX-License-Identifier: Apache-2.0
/* err - how a function says that the world (a peer, a file, the operating system) refused it.
 *
 * The code is for programs: it selects the exit code. The `struct why` is for people: one sentence that says
 * what went wrong, where, and what to do about it. A function that takes a `struct why *` sets it whenever it
 * returns something other than ERR_OK; the pointer may be NULL where the caller does not care. Pure, any
 * thread. */
#ifndef ERR_H
#define ERR_H

enum err {
    ERR_OK = 0,
    ERR_USAGE,       /* the caller's words make no sense: option, expression, name           -> exit 2 */
    ERR_FILE,        /* a local file cannot be read, written or understood                   -> exit 2 */
    ERR_FORMAT,      /* bytes that are not what they say they are (truncated, wrong type)    -> exit 2 */
    ERR_UNSUPPORTED, /* understood, but this build, device or runtime cannot do it           -> exit 2 */
    ERR_LIMIT,       /* larger than a bound of bounds.h or of the configuration              -> exit 2 */
    ERR_UNREACHABLE, /* no coordinator answered in time, or the connection was lost          -> exit 3 */
    ERR_REFUSED,     /* the other side answered and said no                                  -> exit 3 */
    ERR_NOT_FOUND,   /* no such job, worker, model or sample                                 -> exit 4 */
    ERR_TIMEOUT,     /* the time that the caller allowed passed                              -> exit 5 */
    ERR_CANCELLED,   /* stopped on request                                                   -> exit 6 */
    ERR_FULL,        /* a bounded table, queue or disk has no room now; try again later      -> exit 1 */
    ERR_MEMORY,      /* the allocator said no                                                -> exit 1 */
    ERR_SYSTEM,      /* a system call failed in a way that is nobody's input                 -> exit 1 */
    ERR_RUNTIME,     /* an inference runtime failed                                          -> exit 1 */
};

enum { WHY_MAX = 512 };

struct why {
    char text[WHY_MAX]; /* one sentence, no newline, never empty after a failure */
};

/* Format the sentence into why (which may be NULL) and return err, so that a failure is one statement:
 *     return why_set(why, ERR_FILE, "%s: is empty; give a .npy file", path);
 * Longer text is cut at WHY_MAX - 1 bytes. */
enum err why_set(struct why *why, enum err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with ": <strerror(errno)>" appended. */
enum err why_set_errno(struct why *why, enum err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The exit code of CONTRACT section 2 for err. */
int err_exit_code(enum err err);

/* A stable lower-case name, such as "not-found". */
const char *err_name(enum err err);

#define MUST_USE __attribute__((warn_unused_result))

#endif
