// SPDX-License-Identifier: Apache-2.0
/* hello - what this worker says of itself: machine or fleet member -> struct message_hello. Pure but for the
 * process's id, the uuid that names it, and the question which runtimes are usable here.
 *
 * A real worker lists every device that was found, and a slot for each CPU device: its runtime (blend) takes
 * every format that is usable here. A device without a runtime in this build is listed without a slot. An
 * emulated member of a fleet file lists one device of its kind with one slot of runtime `emulated`; the CPU
 * that plays it is not listed. */
#ifndef HELLO_H
#define HELLO_H

#include "blend.h"
#include "fleet.h"
#include "messages.h"
#include "probe.h"

enum {
    HELLO_LOCAL_WINDOW = 4, /* covers a round trip and a group commit of batches that take a millisecond */
    HELLO_EMULATED_WINDOW = 2,
    HELLO_LOCAL_BATCH_MAX = 65536,
};

/* How a slot of the message is opened. */
struct hello_slot {
    const struct runtime_ops *ops;
    char device[32];
    uint32_t threads;
    int32_t numa_node;
};

struct hello_options {
    const char *name;          /* NULL: the member's, else the host's */
    const char *const *labels; /* "key=value"; added to the member's */
    uint32_t labels_count;
    uint32_t threads;  /* of each CPU slot, 0 = as probed */
    double time_scale; /* the fleet's, for the prior curve of a catalog device; 0 = 1 */
};

struct hello {
    struct message_hello message; /* its attempts are the loop's to set before each sending */
    struct hello_slot slots[SLOTS_MAX];
    struct hello_store *store; /* what message points to */
};

/* member NULL or local: a real worker. Else an emulated one. ERR_USAGE: a label that is none. */
MUST_USE enum err hello_new(const struct machine *machine, const struct fleet_worker *member,
                            const struct hello_options *options, struct hello **hello, struct why *why);
void hello_free(struct hello **hello);

/* Take out a slot that could not be opened; those after it move up. */
void hello_drop_slot(struct hello *hello, uint32_t slot);

/* For --dry-run: the same as JSON (malloc'ed, NULL when out of memory), or as lines of text on stdout. */
char *hello_json(const struct hello *hello, const struct machine *machine);
void hello_print(const struct hello *hello, const struct machine *machine);

#endif
