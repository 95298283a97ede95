// SPDX-License-Identifier: Apache-2.0
#include "accept.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KEPT_LEAST = 24, KEPT_MOST = 320, KEPT_SHARE = 3 };

/* As <sys/socket.h> has it, whose own words for it depend on the C library. */
int accept4(int listener, void *peer, unsigned *size, int flags);

static atomic_int first_kept = INT_MAX;
static atomic_uint refused;

void accept_guard(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > INT_MAX)
        return;
    int all = (int)limit.rlim_cur, kept = all / KEPT_SHARE;
    kept = kept < KEPT_LEAST ? KEPT_LEAST : kept > KEPT_MOST ? KEPT_MOST : kept;
    atomic_store(&first_kept, all > kept ? all - kept : 0);
}

uint32_t accept_refused(void) { return atomic_exchange(&refused, 0); }

static int refuse(int fd)
{
    if (fd >= 0)
        close(fd);
    atomic_fetch_add(&refused, 1);
    errno = ECONNABORTED; /* which a listener takes for a peer that changed its mind */
    return -1;
}

/* In place of the C library's. The kernel gives the lowest free number, so a high one means that few are
 * left. The connection was taken and closed, so that the listening socket is not readable for ever. */
__attribute__((visibility("default"))) int accept4(int listener, void *peer, unsigned *size, int flags)
{
    int fd = (int)syscall(SYS_accept4, listener, peer, size, flags);
    bool none_left = fd < 0 && (errno == EMFILE || errno == ENFILE);
    return none_left || fd >= atomic_load(&first_kept) ? refuse(fd) : fd;
}
