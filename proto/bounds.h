// SPDX-License-Identifier: Apache-2.0
/* bounds - every bound of the protocol and of the tables behind it, in one place. A message over a bound is
 * refused whole.
 *
 * Bounds of texts (NAME_MAX_BYTES and its like) count the terminating zero, so that `char
 * name[NAME_MAX_BYTES]` holds every decoded name: on the wire a name has at most NAME_MAX_BYTES - 1 bytes. */
#ifndef BOUNDS_H
#define BOUNDS_H

enum {
    PROTOCOL_MIN = 1, /* oldest and newest protocol version this build speaks */
    PROTOCOL_MAX = 1,

    BODY_BYTES_MAX = 4 << 20,      /* the msgpack body of one message */
    PAYLOAD_BYTES_MAX = 64 << 20,  /* one payload frame */
    PAYLOAD_FRAMES_MAX = 4096,     /* payload frames of one message */
    MESSAGE_BYTES_MAX = 256 << 20, /* all frames of one message together */
    DEPTH_MAX = 8,                 /* nesting of msgpack containers */
    ELEMENTS_MAX =
        1 << 20, /* msgpack elements of one body, keys included: the tree of the largest takes 25 MB */
    PIECE_BYTES_MAX = 4 << 20, /* one piece of a blob or of an input */
    PIECES_IN_FLIGHT = 8,      /* unanswered FETCH of one worker, BLOB_PUT of one client */

    /* What the coordinator holds of answers that were not read yet, so that a peer that asks and does not
     * read costs so much and no more. */
    PEER_AHEAD_BYTES = 16 << 20,  /* pieces read for one peer beyond what it has taken: more of them wait */
    PEER_UNREAD_BYTES = 64 << 20, /* of one peer: it may ask for nothing more, or is cut off */
    ALL_UNREAD_BYTES =
        256 << 20,           /* of all peers: pieces wait, large views are refused, who stalls is cut off */
    PEER_STALL_SECONDS = 10, /* not taking anything for so long while others wait, or ... */
    PEER_STALL_MOST_SECONDS = 300, /* ... so long in any case */

    UUID_BYTES = 16,
    NONCE_BYTES_MAX = 64,
    NAME_MAX_BYTES = 128,   /* worker, model, job, device names */
    REASON_MAX_BYTES = 512, /* a failure in words */
    PATH_MAX_BYTES = 4096,
    VERSION_MAX_BYTES = 64,
    TENANT_MAX_BYTES = 64,
    EXPRESSION_MAX_BYTES = 4097, /* of --require and --prefer */

    LABELS_MAX = 32,
    DEVICES_MAX = 64, /* of one worker */
    SLOTS_MAX = 256,  /* of one worker */
    FIGURES_MAX = 32, /* of one device */
    FORMATS_MAX = 16, /* of one slot */
    PRECISIONS_MAX = 16,
    VARIANTS_MAX = 8,  /* files of one model */
    COSTS_MAX = 65536, /* samples of a job that has a cost for each */
    BATCH_SIZES_MAX = 64,
    MODELS_LOADED_MAX = 256, /* named in a HELLO */
    INPUTS_MAX = 16,         /* tensors of a model, in and out */
    OUTPUTS_MAX = 16,
    JOBS_PER_MESSAGE_MAX = 64,
    LEASES_MAX = 4096, /* in one message */
    RESULTS_MAX = 4096,
    ATTEMPTS_MAX = 8192,  /* offered again in one HELLO, acknowledged or recalled in one message */
    ROWS_MAX_BYTES = 256, /* of one result's answers that travel in the body */
    WINDOW_MAX = 64,      /* chunks in flight on one slot */
    BATCH_MAX = 1 << 20,  /* samples in a chunk */

    WORKERS_MAX = 100000,
    JOBS_OPEN_MAX = 100000,
    CLIENTS_MAX = 10000,
    WORKER_KEY_PEERS_MAX = 1000, /* connections of one key; an admin's are not bounded */
    CLIENT_KEY_PEERS_MAX = 64,
    TENANT_JOBS_OPEN_MAX = JOBS_OPEN_MAX / 2, /* of a tenant whose clients have keys of their own */
    MODEL_BYTES_MAX_GIB = 64,
};

#define DIMENSION_MAX (1ull << 40) /* one axis of a tensor */
#define TIME_US_MAX   (1ull << 50) /* a duration on the wire: 35 years */

#define SAMPLES_MAX                                                                                          \
    1000000000000000ull /* in one job: 10^15, so that sums of microseconds stay in 64 bits                   \
                         */

#endif
