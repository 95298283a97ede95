// SPDX-License-Identifier: Apache-2.0
/* ferry - carries calls and rows between a worker and the process of one of its slots: fixed structs over a
 * socketpair that keeps their boundaries, rows through a memory file that both have mapped. Both ends are the
 * same program, so structs travel as they are.
 *
 * The memory file is sealed against shrinking, so no end can take pages away under the other. The slot's
 * process owns it while it serves a call, the worker otherwise. One thread on each end. */
#ifndef FERRY_H
#define FERRY_H

#include "runtime.h"

#include <stddef.h>
#include <sys/types.h>

enum ferry_type { FERRY_OPEN = 1, FERRY_LOAD, FERRY_UNLOAD, FERRY_RUN };

enum { FERRY_MODELS_MAX = 64, FERRY_PATH_MAX = 4096 };

/* The worker's. OPEN: runtime, device, threads, numa_node. LOAD: model, path ("" = built-in), measure.
 * RUN: model, first, rows, inputs one after the other in the memory, specs if has_specs. */
struct ferry_call {
    enum ferry_type type;
    char runtime[RUNTIME_NAME_MAX], device[128];
    uint32_t threads;
    int32_t numa_node;
    uint32_t model;
    char path[FERRY_PATH_MAX];
    bool measure, has_specs;
    uint64_t first;
    uint32_t rows, inputs_count;
    uint64_t inputs_bytes[RUNTIME_TENSORS_MAX];
    struct tensor_spec specs[RUNTIME_TENSORS_MAX];
};

/* The slot process's. LOAD: signature, measure. RUN: out, with its rows one after the other in the memory and
 * no pointers. */
struct ferry_reply {
    enum err err;
    char why[WHY_MAX];
    struct model_signature signature;
    struct runtime_measure measure;
    struct batch_out out;
};

struct ferry {
    int socket, memory;
    uint8_t *map;
    size_t mapped;
};

/* The worker's end; child_socket goes to the process, with a copy of ferry's memory. */
MUST_USE enum err ferry_make(struct ferry *ferry, int *child_socket, struct why *why);
/* The process's end, from the descriptors that it was given. */
void ferry_take(struct ferry *ferry, int socket, int memory);
void ferry_close(struct ferry *ferry); /* idempotent */

/* At least bytes of memory, mapped. ERR_MEMORY. */
MUST_USE enum err ferry_reserve(struct ferry *ferry, size_t bytes, struct why *why);
/* The same without making more of it: ERR_FORMAT if the file is smaller than the other end says. */
MUST_USE enum err ferry_look(struct ferry *ferry, size_t bytes, struct why *why);

/* Whole structs. False: the other end is gone, or sent something else. */
bool ferry_send(const struct ferry *ferry, const void *bytes, size_t size);
bool ferry_receive(const struct ferry *ferry, void *bytes, size_t size);

/* Wait for something to receive, or for the end of the process: a child of its own may hold the other end of
 * the socket open beyond that. False: the process is gone and nothing came. */
bool ferry_await(const struct ferry *ferry, pid_t pid);

/* Where the k-th of count arrays begins: each starts at a multiple of 64. Their end for k == count; SIZE_MAX
 * on an overflow, which no memory can hold. */
size_t ferry_place(const uint64_t *bytes, uint32_t count, uint32_t k);

#endif
