// SPDX-License-Identifier: Apache-2.0
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

static void catch_both(struct catch catches[2])
{
    while (catches[0].fd >= 0 || catches[1].fd >= 0) {
        struct pollfd polls[2] = { { .fd = catches[0].fd, .events = POLLIN },
                                   { .fd = catches[1].fd, .events = POLLIN } };
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            break;
        for (int i = 0; i < 2; i++)
            if (polls[i].revents)
                catch_some(&catches[i]);
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

static enum err run(char *const argv[], struct catch catches[2], int *status, struct why *why)
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
    catch_both(catches);
    if (failed) {
        errno = failed;
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be run", argv[0]);
    }
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return ERR_OK;
}

enum err child_run(char *const argv[], struct child_output *output, struct why *why)
{
    memset(output, 0, sizeof *output);
    output->text = malloc(CHILD_TEXT_MAX + 1);
    output->errors = malloc(CHILD_TEXT_MAX + 1);
    if (!output->text || !output->errors)
        return why_set(why, ERR_MEMORY, "no memory for the words of %s", argv[0]);
    struct catch catches[2] = { { .fd = -1, .text = output->text }, { .fd = -1, .text = output->errors } };
    enum err err = run(argv, catches, &output->status, why);
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
