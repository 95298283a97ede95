// SPDX-License-Identifier: Apache-2.0
/* starve - what a program does when memory runs out: one allocation of a story fails, in a process of its own
 * for each allocation. It must either go on or stop with the reason on stderr: any other end (a crash, a
 * sanitizer's finding, a table that does not agree with another) is a failure. To be linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc, so that only our own allocations are counted. */
#ifndef STARVE_H
#define STARVE_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *bytes, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *bytes, size_t size);

static long starve_count, starve_at; /* allocations so far; the one that fails, 0 = none */

static bool starve_fails(void)
{
    bool fails = ++starve_count == starve_at;
    if (fails)
        errno = ENOMEM;
    return fails;
}

void *__wrap_malloc(size_t size) { return starve_fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return starve_fails() ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *bytes, size_t size) { return starve_fails() ? NULL : __real_realloc(bytes, size); }

enum starve_end { STARVE_WENT_ON, STARVE_STOPPED, STARVE_BROKE };

static inline void starve_child(void (*story)(void), long at, int words)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    dup2(words, STDERR_FILENO);
    starve_count = 0;
    starve_at = at;
    story();
    starve_at = 0;
    _exit(0);
}

/* The story with its at-th allocation failing; its last words in text. */
static inline enum starve_end starve(void (*story)(void), long at, char *text, size_t max)
{
    int words[2], status;
    size_t used = 0;
    ssize_t got;
    fflush(NULL);
    if (pipe(words) != 0)
        return STARVE_BROKE;
    pid_t child = fork();
    if (child == 0)
        starve_child(story, at, words[1]);
    close(words[1]);
    while (used + 1 < max && (got = read(words[0], text + used, max - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = 0;
    close(words[0]);
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return STARVE_WENT_ON;
    bool stopped =
        WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(text, "out of memory") != NULL;
    return stopped ? STARVE_STOPPED : STARVE_BROKE;
}

/* Every step-th allocation of the story. False, and it is told, when one of them breaks it. */
static inline bool starve_all(const char *name, void (*story)(void), long step)
{
    char text[4096];
    long ends[3] = { 0 };
    starve_count = starve_at = 0;
    story();
    long all = starve_count;
    for (long at = 1; at <= all; at += step) {
        enum starve_end end = starve(story, at, text, sizeof text);
        ends[end]++;
        if (end == STARVE_BROKE)
            printf("%s, allocation %ld: %s\n", name, at, text);
    }
    printf("%s: %ld allocations; %ld times it went on, %ld it stopped, %ld it broke\n", name, all, ends[0],
           ends[1], ends[2]);
    return ends[STARVE_BROKE] == 0;
}

#endif
