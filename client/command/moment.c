// SPDX-License-Identifier: Apache-2.0
#include "moment.h"

#include "render.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const int64_t SECOND_US = 1000000;

bool moment_parse(yyjson_val *value, int64_t *wall_us)
{
    const char *text = yyjson_get_str(value);
    struct tm day = { 0 };
    double seconds = 0;
    if (!text || sscanf(text, "%d-%d-%dT%d:%d:%lfZ", &day.tm_year, &day.tm_mon, &day.tm_mday, &day.tm_hour,
                        &day.tm_min, &seconds) != 6)
        return false;
    day.tm_year -= 1900;
    day.tm_mon -= 1;
    *wall_us = (int64_t)timegm(&day) * SECOND_US + (int64_t)(seconds * 1e6);
    return true;
}

void moment_print(yyjson_val *value, int64_t now_us, char text[MOMENT_MAX])
{
    int64_t wall_us;
    struct tm then, today;
    if (!moment_parse(value, &wall_us)) {
        snprintf(text, MOMENT_MAX, "-");
        return;
    }
    time_t at = (time_t)(wall_us / SECOND_US), now = (time_t)(now_us / SECOND_US);
    localtime_r(&at, &then);
    localtime_r(&now, &today);
    bool same_day = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
    strftime(text, MOMENT_MAX, same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then);
}

void moment_print_fine(yyjson_val *value, int64_t now_us, int digits, char text[MOMENT_MAX])
{
    int64_t wall_us;
    moment_print(value, now_us, text);
    if (!moment_parse(value, &wall_us))
        return;
    int ms = (int)((wall_us + 500) % SECOND_US / 1000); /* + 500: parsing goes through a double */
    size_t used = strlen(text);
    snprintf(text + used, MOMENT_MAX - used, ".%0*d", digits, digits == 1 ? ms / 100 : ms);
}

void moment_print_distance(int64_t wall_us, int64_t now_us, char text[MOMENT_MAX])
{
    char length[MOMENT_MAX - 8];
    double seconds = (double)(wall_us - now_us) / 1e6;
    render_seconds(seconds < 0 ? -seconds : seconds, length, sizeof length);
    snprintf(text, MOMENT_MAX, seconds < 0 ? "%s ago" : "in %s", length);
}
