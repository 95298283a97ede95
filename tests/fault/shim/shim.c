// SPDX-License-Identifier: Apache-2.0
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HISTORY_BYTES = 1 << 30 };

struct shim_head *shim_head;
char shim_dir[PATH_MAX], shim_side[PATH_MAX - 64];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void shim_lock(void) { pthread_mutex_lock(&mutex); }

void shim_unlock(void)
{
    int kept = errno;
    pthread_mutex_unlock(&mutex);
    errno = kept;
}

void shim_say(const char *format, ...)
{
    char text[PATH_MAX + 200] = "fault: ";
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text + 7, sizeof text - 8, format, arguments);
    va_end(arguments);
    size_t size = 7 + (size_t)(length < (int)sizeof text - 9 ? length : (int)sizeof text - 9);
    text[size++] = '\n';
    syscall(SYS_write, 2, text, size);
}

/* ---- paths ---- */

bool shim_watches(const char *path)
{
    size_t length = strlen(shim_dir);
    return shim_head && strncmp(path, shim_dir, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* Where the kernel says that it is: so copies of descriptors and renamed files need no tables. */
static bool path_of(int fd, char path[PATH_MAX])
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, name, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

bool shim_watches_fd(int fd, char path[PATH_MAX])
{
    int kept = errno;
    bool watched = shim_head && path_of(fd, path) && shim_watches(path);
    errno = kept;
    return watched;
}

bool shim_watches_at(int folder, const char *name, char path[PATH_MAX])
{
    int kept = errno;
    char base[PATH_MAX] = "";
    if (!shim_head)
        return false;
    if (name[0] != '/' && !(folder == AT_FDCWD ? getcwd(base, sizeof base) != NULL : path_of(folder, base)))
        base[0] = 0;
    int length =
        snprintf(path, PATH_MAX, "%s%s%s", name[0] == '/' ? "" : base, name[0] == '/' ? "" : "/", name);
    errno = kept;
    return length > 0 && length < PATH_MAX && shim_watches(path);
}

/* ---- life ---- */

static bool is_meant(void)
{
    char program[PATH_MAX];
    const char *wanted = getenv("MOTLEY_FAULT_PROGRAM");
    long length = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    const char *name = strrchr(program, '/');
    return wanted && name && strcmp(name + 1, wanted) == 0;
}

static struct shim_head *map_history(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/history", shim_side);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, (off_t)HISTORY_BYTES) != 0)
        return NULL;
    void *map = mmap(NULL, HISTORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    return map == MAP_FAILED ? NULL : map;
}

__attribute__((constructor)) static void load(void)
{
    const char *dir = getenv("MOTLEY_FAULT_DIR"), *side = getenv("MOTLEY_FAULT_SIDE"),
               *history = getenv("MOTLEY_FAULT_HISTORY");
    if (!dir || !side || !is_meant())
        return;
    snprintf(shim_dir, sizeof shim_dir, "%s", dir);
    snprintf(shim_side, sizeof shim_side, "%s", side);
    struct shim_head *head = map_history();
    if (!head) {
        shim_say("%s cannot be used", side);
        _exit(99);
    }
    if (memcmp(head->mark, "MOTLEYF1", sizeof head->mark) != 0)
        head->used = 0;
    memcpy(head->mark, "MOTLEYF1", sizeof head->mark);
    memset(head->counts, 0, sizeof head->counts);
    head->fired = 0;
    shim_head = head;
    faults_load();
    history_load(history && *history == '1');
    const char *fault = getenv("MOTLEY_FAULT");
    if (fault && strcmp(fault, "cut") == 0) {
        history_cut();
        _exit(0);
    }
}
