// SPDX-License-Identifier: Apache-2.0
/* endpoint - which URLs may be listened on and connected to. Until peers have keys: ipc:///absolute/path (the
 * folder's mode is its guard) and tcp:// to a loopback address. Pure. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "err.h"

#include <stdbool.h>

enum { ENDPOINT_MAX = 256, ENDPOINT_PATH_MAX = 108 /* of a Unix socket (sockaddr_un), the zero included */ };

struct endpoint {
    char url[ENDPOINT_MAX]; /* for ZeroMQ: localhost became 127.0.0.1, which zmq_bind would not resolve */
    const char *path;       /* ipc: the socket's path, in url; NULL for tcp */
    bool ipv6;
};

/* Read url. listening: the port may be `*`, any free one. ERR_USAGE says what was wrong and what is allowed.
 */
MUST_USE enum err endpoint_parse(const char *url, bool listening, struct endpoint *endpoint, struct why *why);

#endif
