// SPDX-License-Identifier: Apache-2.0
/* moment - times of day of the coordinator's JSON (RFC 3339, UTC) for people, in local time. */
#ifndef MOMENT_H
#define MOMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

enum { MOMENT_MAX = 48 };

/* Microseconds since 1970. False: it is null, or not such a text. */
bool moment_parse(yyjson_val *value, int64_t *wall_us);

/* "12:03:10"; with its date if that is not now_us's day; "-" for what is no time. */
void moment_print(yyjson_val *value, int64_t now_us, char text[MOMENT_MAX]);

/* The same with 1 or 3 digits of the second, for times that are close: "12:03:10.4". */
void moment_print_fine(yyjson_val *value, int64_t now_us, int digits, char text[MOMENT_MAX]);

/* "in 3m 20s", "2 s ago". */
void moment_print_distance(int64_t wall_us, int64_t now_us, char text[MOMENT_MAX]);

#endif
