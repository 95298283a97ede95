// SPDX-License-Identifier: Apache-2.0
/* sim_fixture - a fleet from text, for the tests of sim/. */
#ifndef SIM_FIXTURE_H
#define SIM_FIXTURE_H

#include "fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* Ranges are allowed. Fails the test if the text is refused. */
static inline struct fleet *fleet_of(const char *text)
{
    struct fleet *fleet = NULL;
    struct why why = { "" };
    char path[64];
    const struct fleet_reading reading = { .ranges = true };
    int fd = memfd_create("fleet", 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fleet_open(path, &reading, &fleet, &why) != ERR_OK)
        fail_msg("refused: %s", why.text);
    close(fd);
    return fleet;
}

#define THREE_DEVICES                                                                                        \
    "name: three\n"                                                                                          \
    "workers:\n"                                                                                             \
    "  - { name: slow, curve: { alpha_ms: 20, beta_ms: 40, batch_max: 256 } }\n"                             \
    "  - { name: mid, curve: { alpha_ms: 20, beta_ms: 10, batch_max: 256 } }\n"                              \
    "  - { name: fast, curve: { alpha_ms: 20, beta_ms: 2, batch_max: 256 } }\n"

#endif
