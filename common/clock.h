// SPDX-License-Identifier: Apache-2.0
/* clock - the only place that reads the time. All durations and deadlines are monotonic; wall-clock time is
 * for people. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

enum { CLOCK_RFC3339_MAX = 32 };

uint64_t clock_monotonic_us(void); /* CLOCK_MONOTONIC: never goes back, stops in suspend */
int64_t clock_wall_us(void);       /* microseconds since 1970-01-01 UTC */

/* "2026-11-22T12:00:00.123Z"; writes at most CLOCK_RFC3339_MAX bytes, the zero included. */
void clock_rfc3339(int64_t wall_us, char text[CLOCK_RFC3339_MAX]);

/* Sleep, restarted after signals. For supervisors and emulated devices; never in a loop that serves sockets.
 */
void clock_sleep_until_us(uint64_t monotonic_us);

#endif
