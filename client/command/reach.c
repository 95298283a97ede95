// SPDX-License-Identifier: Apache-2.0
#include "reach.h"

#include "endpoint.h"
#include "holder.h"
#include "roll.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_tcp(const char *url) { return url && strncmp(url, "tcp://", 6) == 0; }

/* ---- which of our addresses ---- */

/* The address that the kernel would send from: connecting a datagram socket sends nothing. The targets are
 * addresses for documentation (RFC 5737, RFC 3849): only the default route leads there. */
static enum err default_address(bool ipv6, char text[INET6_ADDRSTRLEN + 2], struct why *why)
{
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(9) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
    socklen_t four_size = sizeof four, six_size = sizeof six;
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known = false;
    if (fd >= 0 && ipv6)
        known = inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr) == 1 &&
                connect(fd, (const struct sockaddr *)&six, sizeof six) == 0 &&
                getsockname(fd, (struct sockaddr *)&six, &six_size) == 0;
    else if (fd >= 0)
        known = inet_pton(AF_INET, "192.0.2.1", &four.sin_addr) == 1 &&
                connect(fd, (const struct sockaddr *)&four, sizeof four) == 0 &&
                getsockname(fd, (struct sockaddr *)&four, &four_size) == 0;
    if (fd >= 0)
        close(fd);
    char plain[INET6_ADDRSTRLEN] = "";
    if (known)
        (void)inet_ntop(ipv6 ? AF_INET6 : AF_INET, ipv6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr,
                        plain, sizeof plain);
    snprintf(text, INET6_ADDRSTRLEN + 2, ipv6 ? "[%s]" : "%s", plain);
    return plain[0] ? ERR_OK
                    : why_set(why, ERR_USAGE,
                              "the coordinator listens on all addresses, and this host has no default route "
                              "that would tell which one others know; give --url tcp://HOST:PORT");
}

static enum err name_host(const char *listening, char url[ADDRESS_MAX], struct why *why)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *at = listening + strlen("tcp://"), *colon = strrchr(at, ':');
    size_t length = colon ? (size_t)(colon - at) : 0;
    bool four = (length == 1 && *at == '*') || (length == 7 && strncmp(at, "0.0.0.0", 7) == 0);
    bool six = length == 4 && strncmp(at, "[::]", 4) == 0;
    if (!four && !six) {
        snprintf(url, ADDRESS_MAX, "%s", listening);
        return ERR_OK;
    }
    enum err err = default_address(six, host, why);
    if (err == ERR_OK)
        snprintf(url, ADDRESS_MAX, "tcp://%s:%s", host, colon + 1);
    return err;
}

/* ---- where it listens ---- */

static enum err coordinator_listens(const char *state_dir, char listening[ADDRESS_MAX], struct why *why)
{
    struct roll roll;
    struct why ignored;
    bool up = roll_read(state_dir, &roll, &ignored) == ERR_OK && roll_living(&roll) > 0;
    snprintf(listening, ADDRESS_MAX, "%s", up ? roll.listen : "");
    roll_free(&roll);
    if (is_tcp(listening) || holder_listens(state_dir, listening))
        return ERR_OK;
    return why_set(
        why, ERR_USAGE,
        up || holder_pid(state_dir)
            ? "the coordinator of %.200s listens for this machine only; `motley down`, then `motley "
              "up --listen tcp://0.0.0.0:7117`, or give --url tcp://HOST:PORT"
            : "no coordinator runs in %.200s that would tell its address; start it with `motley up "
              "--listen tcp://0.0.0.0:7117`, or give --url tcp://HOST:PORT",
        state_dir);
}

enum err reach_url(const char *given, const char *state_dir, char url[ADDRESS_MAX], struct why *why)
{
    const char *variable = getenv("MOTLEY_COORDINATOR");
    char listening[ADDRESS_MAX];
    struct endpoint endpoint;
    enum err err = ERR_OK;
    if (given && !is_tcp(given))
        return why_set(why, ERR_USAGE, "--url %.200s: other machines need tcp://HOST:PORT", given);
    if (given || is_tcp(variable)) {
        int length = snprintf(listening, sizeof listening, "%s", given ? given : variable);
        if ((size_t)length >= sizeof listening)
            return why_set(why, ERR_USAGE, "the URL is longer than %d bytes", ADDRESS_MAX - 1);
    } else {
        err = coordinator_listens(state_dir, listening, why);
    }
    if (err == ERR_OK)
        err = name_host(listening, url, why);
    return err == ERR_OK ? endpoint_parse(url, false, &endpoint, why) : err;
}

bool reach_is_local(const char *url)
{
    struct endpoint endpoint;
    return endpoint_parse(url, false, &endpoint, NULL) == ERR_OK && (endpoint.path || endpoint.loopback);
}

/* ---- the port ---- */

static int free_port(bool ipv6)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    struct sockaddr_in four = { .sin_family = AF_INET };
    struct sockaddr *address = ipv6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
    socklen_t size = ipv6 ? sizeof six : sizeof four;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd >= 0 && bind(fd, address, size) == 0 && getsockname(fd, address, &size) == 0)
        port = ntohs(ipv6 ? six.sin6_port : four.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

enum err reach_fix_port(const char *listen, char url[ADDRESS_MAX], struct why *why)
{
    struct endpoint endpoint;
    enum err err = endpoint_parse(listen, true, &endpoint, why);
    if (err != ERR_OK)
        return err;
    snprintf(url, ADDRESS_MAX, "%s", listen);
    char *colon = is_tcp(url) ? strrchr(url, ':') : NULL;
    if (!colon || (strcmp(colon, ":0") != 0 && strcmp(colon, ":*") != 0))
        return ERR_OK;
    int port = free_port(endpoint.ipv6);
    if (port == 0)
        return why_set_errno(why, ERR_SYSTEM, "%.200s: no free port was found", listen);
    snprintf(colon, (size_t)(ADDRESS_MAX - (colon - url)), ":%d", port);
    return ERR_OK;
}
