// SPDX-License-Identifier: Apache-2.0
/* endpoint - which URLs may be listened on and connected to: ipc:///absolute/path (the mode of the socket and
 * of its folder is its guard) and tcp://HOST:PORT (for peers with keys; without, wire.c takes loopback only).
 * Pure.
 *
 *      listening    tcp://127.0.0.1:7117   tcp://0.0.0.0:7117 or a star for the host: all of IPv4
 *                   tcp://[::]:7117: all    the port a star or 0: a free one
 *      connecting   tcp://10.0.0.7:7117   tcp://[fe80::1]:7117   tcp://name.example:7117 (its IPv4 address)
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "err.h"

#include <stdbool.h>

enum { ENDPOINT_MAX = 256, ENDPOINT_PATH_MAX = 108 /* of a Unix socket (sockaddr_un), the zero included */ };

struct endpoint {
    char url[ENDPOINT_MAX]; /* for ZeroMQ: localhost became 127.0.0.1, which zmq_bind would not resolve */
    const char *path;       /* ipc: the socket's path, in url; NULL for tcp */
    bool ipv6;
    bool loopback; /* tcp: reachable from this host alone */
};

/* Read url. ERR_USAGE says what was wrong and what is allowed. */
MUST_USE enum err endpoint_parse(const char *url, bool listening, struct endpoint *endpoint, struct why *why);

#endif
