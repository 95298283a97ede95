// SPDX-License-Identifier: Apache-2.0
#include "lock.h"

#include "file.h"
#include "log.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { WORDS_MAX = 400 };

struct holder {
    char host[256], boot[64];
    long pid;
};

static void find_self(struct holder *self)
{
    char *boot;
    size_t size;
    memset(self, 0, sizeof *self);
    if (gethostname(self->host, sizeof self->host - 1) != 0 || !*self->host)
        snprintf(self->host, sizeof self->host, "?");
    self->pid = (long)getpid();
    snprintf(self->boot, sizeof self->boot, "?");
    if (file_read("/proc/sys/kernel/random/boot_id", sizeof self->boot - 1, &boot, &size, NULL) != ERR_OK)
        return;
    snprintf(self->boot, sizeof self->boot, "%.*s", (int)strcspn(boot, "\n"), boot);
    free(boot);
}

/* False: it names nobody, or a crash left less than its words. */
static bool read_holder(int fd, struct holder *holder)
{
    char words[WORDS_MAX + 1];
    memset(holder, 0, sizeof *holder);
    ssize_t got = pread(fd, words, WORDS_MAX, 0);
    words[got > 0 ? got : 0] = 0;
    return sscanf(words, "host %255[^,], pid %ld\nkernel %63s\n", holder->host, &holder->pid, holder->boot) >=
           2;
}

static enum err is_held(const char *path, int fd, struct why *why)
{
    struct holder holder;
    char who[320] = "it has not said who it is";
    if (read_holder(fd, &holder))
        snprintf(who, sizeof who, "host %s, pid %ld", holder.host, holder.pid);
    return why_set(why, ERR_REFUSED,
                   "%s: another coordinator uses this state directory (%s); stop it, or set MOTLEY_STATE_DIR "
                   "to another folder",
                   path, who);
}

static enum err check_last(const char *path, int fd, const struct holder *self, struct why *why)
{
    struct holder last;
    if (!read_holder(fd, &last))
        return ERR_OK;
    bool here = strcmp(last.host, self->host) == 0 || (*last.boot && strcmp(last.boot, self->boot) == 0);
    if (!here)
        return why_set(why, ERR_REFUSED,
                       "%s: a coordinator on host %.100s (pid %ld) uses this state directory, or died there; "
                       "stop it, and if none runs there any more remove this file",
                       path, last.host, last.pid);
    log_info("LOCK-TAKEN-OVER", "%s: the coordinator of pid %ld did not end well", path, last.pid);
    return ERR_OK;
}

/* Written over in place and cut afterwards: on a full disk the block that it has is enough. */
static enum err write_self(const char *path, int fd, const struct holder *self, struct why *why)
{
    char words[WORDS_MAX];
    int length =
        snprintf(words, sizeof words, "host %s, pid %ld\nkernel %s\n", self->host, self->pid, self->boot);
    enum err err = file_pwrite(fd, words, (size_t)length, 0, path, why);
    if (err == ERR_OK && ftruncate(fd, length) != 0)
        err = why_set_errno(why, ERR_SYSTEM, "%s: cannot be written", path);
    return err;
}

enum err lock_take(const char *state_dir, int *fd, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    struct holder self;
    snprintf(path, sizeof path, "%s/lock", state_dir);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return why_set_errno(why, errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_FILE,
                             "%s: cannot be opened", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        enum err err = errno == EWOULDBLOCK ? is_held(path, *fd, why)
                                            : why_set_errno(why, ERR_FILE, "%s: cannot be locked", path);
        close(*fd);
        *fd = -1;
        return err;
    }
    find_self(&self);
    enum err err = check_last(path, *fd, &self, why);
    if (err == ERR_OK)
        return write_self(path, *fd, &self, why);
    close(*fd); /* not given back: its words stay */
    *fd = -1;
    return err;
}

void lock_give_back(int *fd)
{
    if (*fd < 0)
        return;
    if (ftruncate(*fd, 0) != 0)
        log_debug("LOCK", "its words stay; they name this host");
    close(*fd);
    *fd = -1;
}
