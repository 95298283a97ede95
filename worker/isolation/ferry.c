// SPDX-License-Identifier: Apache-2.0
#include "ferry.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ALIGNMENT = 64 };
static const size_t MEMORY_STEP = (size_t)1 << 20;

static enum err make_memory(int *memory, struct why *why)
{
    *memory = memfd_create("motley-slot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*memory >= 0 && fcntl(*memory, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
        return ERR_OK;
    return why_set_errno(why, ERR_SYSTEM, "cannot make the shared memory of an isolated slot");
}

enum err ferry_make(struct ferry *ferry, int *child_socket, struct why *why)
{
    int pair[2];
    *ferry = (struct ferry){ .socket = -1, .memory = -1 };
    *child_socket = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return why_set_errno(why, ERR_SYSTEM, "cannot make the socket of an isolated slot");
    ferry->socket = pair[0];
    *child_socket = pair[1];
    enum err err = make_memory(&ferry->memory, why);
    if (err == ERR_OK)
        return ERR_OK;
    ferry_close(ferry);
    close(*child_socket);
    *child_socket = -1;
    return err;
}

void ferry_take(struct ferry *ferry, int socket, int memory)
{
    *ferry = (struct ferry){ .socket = socket, .memory = memory };
    (void)fcntl(socket, F_SETFD, FD_CLOEXEC);
    (void)fcntl(memory, F_SETFD, FD_CLOEXEC);
}

void ferry_close(struct ferry *ferry)
{
    if (ferry->map != NULL)
        munmap(ferry->map, ferry->mapped);
    if (ferry->memory >= 0)
        close(ferry->memory);
    if (ferry->socket >= 0)
        close(ferry->socket);
    *ferry = (struct ferry){ .socket = -1, .memory = -1 };
}

static enum err map_all(struct ferry *ferry, size_t size, struct why *why)
{
    if (ferry->map != NULL)
        munmap(ferry->map, ferry->mapped);
    ferry->map = NULL;
    ferry->mapped = 0;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ferry->memory, 0);
    if (map == MAP_FAILED)
        return why_set_errno(why, ERR_MEMORY, "no room for %zu bytes of a batch", size);
    ferry->map = map;
    ferry->mapped = size;
    return ERR_OK;
}

enum err ferry_look(struct ferry *ferry, size_t bytes, struct why *why)
{
    struct stat stat;
    if (bytes <= ferry->mapped)
        return ERR_OK;
    if (fstat(ferry->memory, &stat) != 0 || stat.st_size < 0 || (size_t)stat.st_size < bytes)
        return why_set(why, ERR_FORMAT, "the shared memory is smaller than the %zu bytes that were told",
                       bytes);
    return map_all(ferry, (size_t)stat.st_size, why);
}

enum err ferry_reserve(struct ferry *ferry, size_t bytes, struct why *why)
{
    struct stat stat;
    size_t size = (bytes + MEMORY_STEP - 1) / MEMORY_STEP * MEMORY_STEP;
    if (bytes <= ferry->mapped)
        return ERR_OK;
    if (size < bytes || fstat(ferry->memory, &stat) != 0)
        return why_set(why, ERR_MEMORY, "no room for %zu bytes of a batch", bytes);
    /* The other end may have made it larger already, and it cannot shrink. */
    if ((size_t)stat.st_size < size && ftruncate(ferry->memory, (off_t)size) != 0)
        return why_set_errno(why, ERR_MEMORY, "no room for %zu bytes of a batch", bytes);
    return map_all(ferry, (size_t)stat.st_size < size ? size : (size_t)stat.st_size, why);
}

bool ferry_send(const struct ferry *ferry, const void *bytes, size_t size)
{
    ssize_t sent;
    do {
        sent = send(ferry->socket, bytes, size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 && (size_t)sent == size;
}

bool ferry_receive(const struct ferry *ferry, void *bytes, size_t size)
{
    ssize_t got;
    do {
        got = recv(ferry->socket, bytes, size, MSG_TRUNC);
    } while (got < 0 && errno == EINTR);
    return got >= 0 && (size_t)got == size;
}

/* Kernels before 5.3 have no such descriptor; there the end of the socket alone tells. */
bool ferry_await(const struct ferry *ferry, pid_t pid)
{
    struct pollfd items[] = { { .fd = ferry->socket, .events = POLLIN },
                              { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN } };
    int ready;
    do {
        ready = poll(items, 2, -1);
    } while (ready < 0 && errno == EINTR);
    if (items[1].fd >= 0)
        close(items[1].fd);
    return ready > 0 && (items[0].revents & POLLIN) != 0;
}

size_t ferry_place(const uint64_t *bytes, uint32_t count, uint32_t k)
{
    size_t end = 0, place = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == k)
            place = end;
        if (bytes[i] > SIZE_MAX / 2 - ALIGNMENT - end)
            return SIZE_MAX;
        end = (end + (size_t)bytes[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return k == count ? end : place;
}
