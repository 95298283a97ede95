// SPDX-License-Identifier: Apache-2.0
/* connection - a client's line to the coordinator: greeting, requests with numbers, their replies,
 * reconnection.
 *
 *      closed --connection_open--> greeted --ask/post/collect--> ... --line lost--> closed
 *
 * One thread at a time. A request is posted and its REPLY collected by its number; several may be in flight
 * (uploads). When the line is lost, or the coordinator is another one than was greeted, everything in flight
 * is ERR_UNREACHABLE and the connection is closed; the caller opens it again and repeats what is safe to
 * repeat. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "address.h"
#include "identity.h"
#include "messages.h"

#include <stdbool.h>

struct wire;
struct wire_frame;

struct motley {
    void *context;     /* ZeroMQ's */
    struct wire *wire; /* NULL when closed */
    char url[ADDRESS_MAX];
    struct identity identity; /* with which keys */
    uint64_t timeout_us;      /* to connect, and for each answer */
    uint64_t next_request;
    uint64_t term, pid; /* of the coordinator that was greeted */
    bool same_host;     /* it can read our files */
    char role[16];      /* of our key, by the list there; "" = it did not say */
    struct kept_output
        *kept; /* outputs that motley_wait must fetch, because the coordinator cannot write them here */
    struct known_model *known; /* infer.c's: the model file last used, uploaded; NULL = none */
};

struct kept_output {
    int64_t job;
    char *output;
    struct kept_output *next;
};

/* What INFERRED said; the specs have no names. */
struct inferred {
    uint64_t total_us, queue_us, run_us, load_us;
    uint32_t chunks, outputs_count;
    char worker[NAME_MAX_BYTES], device[NAME_MAX_BYTES];
    struct tensor_spec specs[OUTPUTS_MAX];
    void *rows[OUTPUTS_MAX];
    size_t bytes[OUTPUTS_MAX];
};

/* The answer to one request. payload is malloc'ed and zero-terminated, NULL if there was none. */
struct answer {
    uint64_t request;
    enum err code;
    uint64_t number;
    char text[WHY_MAX];
    char *payload;
    size_t payload_size;
    struct inferred *inferred; /* of an INFER that was answered, else NULL */
};

/* Connect and greet, until deadline_us (monotonic). ERR_UNREACHABLE, or ERR_REFUSED with the coordinator's
 * words. */
MUST_USE enum err connection_open(struct motley *connection, uint64_t deadline_us, struct why *why);
void connection_close(struct motley *connection);

/* Send a request (its `request` field is set here; *request returns it), with at most one payload frame,
 * which is copied. ERR_USAGE or ERR_LIMIT when a user's words do not fit into the message. */
MUST_USE enum err connection_post(struct motley *connection, struct message *message, const void *payload,
                                  size_t size, uint64_t *request, struct why *why);

/* The same with any number of payload frames. */
MUST_USE enum err connection_post_frames(struct motley *connection, struct message *message,
                                         const struct wire_frame *frames, uint32_t count, uint64_t *request,
                                         struct why *why);

/* The next reply to any request. ERR_TIMEOUT when none came before the deadline: the connection stays open.
 */
MUST_USE enum err connection_collect(struct motley *connection, uint64_t deadline_us, struct answer *answer,
                                     struct why *why);

/* Post and collect; replies to other requests are dropped. A reply with a code other than 0 is that error,
 * with its words. ERR_UNREACHABLE when no answer came in the connection's time-out. answer may be NULL; free
 * it with answer_free. */
MUST_USE enum err connection_ask(struct motley *connection, struct message *message, struct answer *answer,
                                 struct why *why);
void answer_free(struct answer *answer);

/* connection_ask, but a lost line is opened again and the request repeated, until one time-out has passed.
 * Only for requests that may be repeated: VIEW, CANCEL, CHANGE, BLOB_FIND, SUBMIT (whose uuid makes
 * it one), MODEL_ADD, OUTPUT_GET. */
MUST_USE enum err connection_insist(struct motley *connection, struct message *message, struct answer *answer,
                                    struct why *why);

#endif
