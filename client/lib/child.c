// SPDX-License-Identifier: Apache-2.0
#include "child.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Both pipes of the child to their ends, in bounded memory; what passes the bound is dropped. */
struct catch
{
    int fd;
    char *text;
    size_t used;
};

static void catch_some(struct catch *catch)
{
    char spare[4096];
    bool room = catch->used < CHILD_TEXT_MAX;
    ssize_t got = read(catch->fd, room ? catch->text + catch->used : spare,
                       room ? CHILD_TEXT_MAX - catch->used : sizeof spare);
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0) {
        close(catch->fd);
        catch->fd = -1;
    } else if (room) {
        catch->used += (size_t)got;
    }
}

static int poll_ms(uint64_t deadline_us)
{
    uint64_t now_us = clock_monotonic_us();
    if (deadline_us == UINT64_MAX)
        return -1;
    return now_us >= deadline_us ? 0 : (int)((deadline_us - now_us) / 1000 + 1);
}

/* False: the time is over. */
static bool catch_both(struct catch catches[2], uint64_t deadline_us)
{
    while (catches[0].fd >= 0 || catches[1].fd >= 0) {
        struct pollfd polls[2] = { { .fd = catches[0].fd, .events = POLLIN },
                                   { .fd = catches[1].fd, .events = POLLIN } };
        int ready = poll(polls, 2, poll_ms(deadline_us));
        if (ready == 0)
            return false;
        if (ready < 0 && errno != EINTR)
            break;
        for (int i = 0; i < 2; i++)
            if (polls[i].revents)
                catch_some(&catches[i]);
    }
    return true;
}

/* What it left behind may still hold the pipes: they are closed here. */
static void end_child(pid_t pid, struct catch catches[2])
{
    kill(pid, SIGKILL);
    for (int i = 0; i < 2; i++) {
        if (catches[i].fd >= 0)
            close(catches[i].fd);
        catches[i].fd = -1;
    }
}

static int spawn_child(char *const argv[], int out, int errors, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, errors, 2);
    int failed = posix_spawn(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static enum err run(char *const argv[], uint64_t deadline_us, struct catch catches[2], int *status,
                    struct why *why)
{
    int out[2], errors[2];
    pid_t pid;
    if (pipe2(out, O_CLOEXEC) != 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot make a pipe");
    if (pipe2(errors, O_CLOEXEC) != 0) {
        close_both(out);
        return why_set_errno(why, ERR_SYSTEM, "cannot make a pipe");
    }
    int failed = spawn_child(argv, out[1], errors[1], &pid);
    close(out[1]);
    close(errors[1]);
    catches[0].fd = out[0];
    catches[1].fd = errors[0];
    bool in_time = catch_both(catches, failed ? UINT64_MAX : deadline_us);
    if (!in_time)
        end_child(pid, catches);
    if (failed) {
        errno = failed;
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be run", argv[0]);
    }
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return in_time ? ERR_OK : why_set(why, ERR_TIMEOUT, "%s: did not end in time", argv[0]);
}

enum err child_run(char *const argv[], struct child_output *output, struct why *why)
{
    return child_run_for(argv, 0, output, why);
}

enum err child_run_for(char *const argv[], uint64_t timeout_us, struct child_output *output, struct why *why)
{
    uint64_t deadline_us = timeout_us ? clock_monotonic_us() + timeout_us : UINT64_MAX;
    memset(output, 0, sizeof *output);
    output->text = malloc(CHILD_TEXT_MAX + 1);
    output->errors = malloc(CHILD_TEXT_MAX + 1);
    if (!output->text || !output->errors)
        return why_set(why, ERR_MEMORY, "no memory for the words of %s", argv[0]);
    struct catch catches[2] = { { .fd = -1, .text = output->text }, { .fd = -1, .text = output->errors } };
    enum err err = run(argv, deadline_us, catches, &output->status, why);
    output->text[catches[0].used] = 0;
    output->errors[catches[1].used] = 0;
    return err;
}

void child_output_free(struct child_output *output)
{
    free(output->text);
    free(output->errors);
    memset(output, 0, sizeof *output);
}
