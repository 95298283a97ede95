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

static bool is_any(const char *host)
{
    return strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "[::]") == 0;
}

/* [2001:db8::1], and [fe80::1%eth0]. */
static bool is_ipv6(const char *host)
{
    char inner[64];
    struct in6_addr address;
    size_t length = strlen(host);
    if (length < 4 || host[0] != '[' || host[length - 1] != ']' || length - 2 >= sizeof inner)
        return false;
    snprintf(inner, sizeof inner, "%.*s", (int)(length - 2), host + 1);
    char *scope = strchr(inner, '%');
    if (scope)
        *scope = '\0';
    return inet_pton(AF_INET6, inner, &address) == 1;
}

static bool is_ipv4(const char *host)
{
    struct in_addr address;
    return inet_pton(AF_INET, host, &address) == 1;
}

static bool is_name(const char *host)
{
    size_t length = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
    return length > 0 && host[length] == '\0' && host[0] != '.' && host[0] != '-';
}

/* A name is not listened on: it may mean another address tomorrow. */
static bool is_host(const char *host, bool listening)
{
    if (is_any(host))
        return listening;
    if (strcmp(host, "localhost") == 0 || is_ipv4(host) || is_ipv6(host))
        return true;
    return !listening && is_name(host);
}

static bool is_port(const char *port, bool listening)
{
    if (strcmp(port, "*") == 0)
        return listening;
    size_t digits = strspn(port, "0123456789");
    return digits > 0 && digits <= 5 && port[digits] == '\0' && atol(port) >= !listening &&
           atol(port) <= 65535;
}

static enum err parse_tcp(const char *url, bool listening, struct endpoint *endpoint, struct why *why)
{
    char host[ENDPOINT_MAX - 16];
    const char *at = url + strlen("tcp://");
    const char *colon = strrchr(at, ':');
    if (!colon || (size_t)(colon - at) >= sizeof host)
        return why_set(why, ERR_USAGE, "%.200s: is not tcp://HOST:PORT", url);
    snprintf(host, sizeof host, "%.*s", (int)(colon - at), at);
    if (!is_host(host, listening))
        return why_set(why, ERR_USAGE, "%.200s: %s is not %s", url, *host ? host : "nothing",
                       listening ? "an address to listen on: give one of this host, such as 192.0.2.7 or "
                                   "[2001:db8::7], or * for all of them"
                                 : "a host to connect to: give its name or address");
    if (!is_port(colon + 1, listening))
        return why_set(why, ERR_USAGE, "%.200s: the port must be 1 to 65535%s", url,
                       listening ? " or *" : "");
    bool named = strcmp(host, "localhost") == 0;
    snprintf(endpoint->url, sizeof endpoint->url, "tcp://%s:%s", named ? "127.0.0.1" : host, colon + 1);
    endpoint->ipv6 = host[0] == '[';
    endpoint->loopback = is_loopback(host);
    return ERR_OK;
}

enum err endpoint_parse(const char *url, bool listening, struct endpoint *endpoint, struct why *why)
{
    *endpoint = (struct endpoint){ .path = NULL };
    if (strncmp(url, "ipc://", 6) == 0)
        return parse_ipc(url, endpoint, why);
    if (strncmp(url, "tcp://", 6) == 0)
        return parse_tcp(url, listening, endpoint, why);
    return why_set(why, ERR_USAGE, "%.200s: is neither ipc:///folder/socket nor tcp://HOST:PORT", url);
}
