// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

#include "ensure.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

uint64_t clock_monotonic_us(void)
{
    struct timespec now;
    ENSURE(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

int64_t clock_wall_us(void)
{
    struct timespec now;
    ENSURE(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void clock_rfc3339(int64_t wall_us, char text[CLOCK_RFC3339_MAX])
{
    int64_t ms = wall_us / 1000 - (wall_us % 1000 < 0);
    int64_t seconds = ms / 1000 - (ms % 1000 < 0);
    time_t when = (time_t)seconds;
    struct tm utc;
    /* RFC 3339 has four digits for the year. */
    if (!gmtime_r(&when, &utc) || utc.tm_year < -1900 || utc.tm_year > 8099) {
        snprintf(text, CLOCK_RFC3339_MAX, "%s",
                 wall_us < 0 ? "0000-01-01T00:00:00.000Z" : "9999-12-31T23:59:59.999Z");
        return;
    }
    snprintf(text, CLOCK_RFC3339_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)(utc.tm_year + 1900) % 10000u, (unsigned)(utc.tm_mon + 1) % 100u,
             (unsigned)utc.tm_mday % 100u, (unsigned)utc.tm_hour % 100u, (unsigned)utc.tm_min % 100u,
             (unsigned)utc.tm_sec % 100u, (unsigned)(ms - seconds * 1000) % 1000u);
}

void clock_sleep_until_us(uint64_t monotonic_us)
{
    struct timespec until = { .tv_sec = (time_t)(monotonic_us / 1000000u),
                              .tv_nsec = (long)(monotonic_us % 1000000u) * 1000 };
    int rc;
    do
        rc = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    while (rc == EINTR);
    ENSURE(rc == 0);
}
