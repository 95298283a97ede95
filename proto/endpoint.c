// SPDX-License-Identifier: Apache-2.0
#include "endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err parse_ipc(const char *url, struct endpoint *endpoint, struct why *why)
{
    const char *path = url + strlen("ipc://");
    if (path[0] != '/')
        return why_set(why, ERR_USAGE, "%s: the path must be absolute: ipc:///folder/socket", url);
    if (strlen(path) >= ENDPOINT_PATH_MAX)
        return why_set(why, ERR_USAGE,
                       "%.60s...: the socket's path has %zu bytes, at most %d are possible; use a shorter "
                       "state directory",
                       url, strlen(path), ENDPOINT_PATH_MAX - 1);
    snprintf(endpoint->url, sizeof endpoint->url, "%s", url);
    endpoint->path = endpoint->url + strlen("ipc://");
    return ERR_OK;
}

static bool is_loopback(const char *host)
{
    struct in_addr address;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool is_port(const char *port, bool listening)
{
    if (strcmp(port, "*") == 0)
        return listening;
    size_t digits = strspn(port, "0123456789");
    return digits > 0 && digits <= 5 && port[digits] == '\0' && atol(port) >= 1 && atol(port) <= 65535;
}

static enum err parse_tcp(const char *url, bool listening, struct endpoint *endpoint, struct why *why)
{
    char host[64];
    const char *at = url + strlen("tcp://");
    const char *colon = strrchr(at, ':');
    if (!colon || (size_t)(colon - at) >= sizeof host)
        return why_set(why, ERR_USAGE, "%.200s: is not tcp://HOST:PORT", url);
    snprintf(host, sizeof host, "%.*s", (int)(colon - at), at);
    if (!is_loopback(host))
        return why_set(
            why, ERR_USAGE,
            "%.200s: %s is not a loopback address; use tcp://127.0.0.1:PORT or ipc:///folder/socket", url,
            host);
    if (!is_port(colon + 1, listening))
        return why_set(why, ERR_USAGE, "%.200s: the port must be 1 to 65535%s", url,
                       listening ? " or *" : "");
    bool named = strcmp(host, "localhost") == 0;
    snprintf(endpoint->url, sizeof endpoint->url, "tcp://%s:%s", named ? "127.0.0.1" : host, colon + 1);
    endpoint->ipv6 = host[0] == '[';
    return ERR_OK;
}

enum err endpoint_parse(const char *url, bool listening, struct endpoint *endpoint, struct why *why)
{
    *endpoint = (struct endpoint){ .path = NULL };
    if (strncmp(url, "ipc://", 6) == 0)
        return parse_ipc(url, endpoint, why);
    if (strncmp(url, "tcp://", 6) == 0)
        return parse_tcp(url, listening, endpoint, why);
    return why_set(why, ERR_USAGE, "%.200s: is neither ipc:///folder/socket nor tcp://127.0.0.1:PORT", url);
}
