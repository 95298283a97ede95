// SPDX-License-Identifier: Apache-2.0
/* Reading is exact to the nearest double without strtod (which asks the locale): digits below 10^15 and
 * powers of ten up to 10^22 are both exact doubles, so that one multiplication or division rounds once. The
 * other way round, 15 digits name such a double uniquely. */
#include "quantity.h"

#include "ensure.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const uint64_t DIGITS_END = 1000000000000000ull; /* 10^15 */
static const uint64_t WHOLE_END = 9007199254740992ull;  /* 2^53: whole numbers below are exact */
static const double WHOLE_MAX = 9007199254740992.0;

enum { POWER_MAX = 22, DIGITS_SHOWN = 4 };

static const double powers[POWER_MAX + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* One unit is factor * 10^ten * 2^two base units. Where several rows of a dimension are the same, the first
 * is printed. */
static const struct unit {
    const char *text;
    enum dimension dimension;
    uint32_t factor;
    int ten, two;
} units[] = {
    { "", DIMENSION_PLAIN, 1, 0, 0 },           { "B", DIMENSION_BYTES, 1, 0, 0 },
    { "kB", DIMENSION_BYTES, 1, 3, 0 },         { "KB", DIMENSION_BYTES, 1, 3, 0 },
    { "MB", DIMENSION_BYTES, 1, 6, 0 },         { "GB", DIMENSION_BYTES, 1, 9, 0 },
    { "TB", DIMENSION_BYTES, 1, 12, 0 },        { "PB", DIMENSION_BYTES, 1, 15, 0 },
    { "KiB", DIMENSION_BYTES, 1, 0, 10 },       { "MiB", DIMENSION_BYTES, 1, 0, 20 },
    { "GiB", DIMENSION_BYTES, 1, 0, 30 },       { "TiB", DIMENSION_BYTES, 1, 0, 40 },
    { "PiB", DIMENSION_BYTES, 1, 0, 50 },       { "B/s", DIMENSION_BANDWIDTH, 1, 0, 0 },
    { "kB/s", DIMENSION_BANDWIDTH, 1, 3, 0 },   { "KB/s", DIMENSION_BANDWIDTH, 1, 3, 0 },
    { "MB/s", DIMENSION_BANDWIDTH, 1, 6, 0 },   { "GB/s", DIMENSION_BANDWIDTH, 1, 9, 0 },
    { "TB/s", DIMENSION_BANDWIDTH, 1, 12, 0 },  { "PB/s", DIMENSION_BANDWIDTH, 1, 15, 0 },
    { "KiB/s", DIMENSION_BANDWIDTH, 1, 0, 10 }, { "MiB/s", DIMENSION_BANDWIDTH, 1, 0, 20 },
    { "GiB/s", DIMENSION_BANDWIDTH, 1, 0, 30 }, { "TiB/s", DIMENSION_BANDWIDTH, 1, 0, 40 },
    { "PiB/s", DIMENSION_BANDWIDTH, 1, 0, 50 }, { "W", DIMENSION_WATTS, 1, 0, 0 },
    { "mW", DIMENSION_WATTS, 1, -3, 0 },        { "kW", DIMENSION_WATTS, 1, 3, 0 },
    { "MW", DIMENSION_WATTS, 1, 6, 0 },         { "FLOPS", DIMENSION_OPS, 1, 0, 0 },
    { "KFLOPS", DIMENSION_OPS, 1, 3, 0 },       { "MFLOPS", DIMENSION_OPS, 1, 6, 0 },
    { "GFLOPS", DIMENSION_OPS, 1, 9, 0 },       { "TFLOPS", DIMENSION_OPS, 1, 12, 0 },
    { "PFLOPS", DIMENSION_OPS, 1, 15, 0 },      { "EFLOPS", DIMENSION_OPS, 1, 18, 0 },
    { "OPS", DIMENSION_OPS, 1, 0, 0 },          { "KOPS", DIMENSION_OPS, 1, 3, 0 },
    { "MOPS", DIMENSION_OPS, 1, 6, 0 },         { "GOPS", DIMENSION_OPS, 1, 9, 0 },
    { "TOPS", DIMENSION_OPS, 1, 12, 0 },        { "POPS", DIMENSION_OPS, 1, 15, 0 },
    { "EOPS", DIMENSION_OPS, 1, 18, 0 },        { "s", DIMENSION_SECONDS, 1, 0, 0 },
    { "ns", DIMENSION_SECONDS, 1, -9, 0 },      { "us", DIMENSION_SECONDS, 1, -6, 0 },
    { "ms", DIMENSION_SECONDS, 1, -3, 0 },      { "min", DIMENSION_SECONDS, 60, 0, 0 },
    { "h", DIMENSION_SECONDS, 3600, 0, 0 },     { "d", DIMENSION_SECONDS, 86400, 0, 0 },
    { "Hz", DIMENSION_HERTZ, 1, 0, 0 },         { "kHz", DIMENSION_HERTZ, 1, 3, 0 },
    { "MHz", DIMENSION_HERTZ, 1, 6, 0 },        { "GHz", DIMENSION_HERTZ, 1, 9, 0 },
    { "THz", DIMENSION_HERTZ, 1, 12, 0 },
};

enum { UNITS_COUNT = sizeof units / sizeof units[0] };

static const struct unit *unit_find(const char *text, size_t size)
{
    for (uint32_t i = 0; i < UNITS_COUNT; i++)
        if (strlen(units[i].text) == size && memcmp(units[i].text, text, size) == 0)
            return &units[i];
    return NULL;
}

bool quantity_is_unit(const char *text, size_t size) { return size > 0 && unit_find(text, size); }

static bool is_whole(enum dimension dimension)
{
    return dimension == DIMENSION_BYTES || dimension == DIMENSION_BANDWIDTH;
}

/* ---- reading ---- */

/* digits * 10^ten. Zeros wait in ten until a digit follows them, so that they cost no precision. */
struct decimal {
    uint64_t digits;
    int ten;
};

static bool decimal_add(struct decimal *decimal, unsigned digit)
{
    if (digit == 0) {
        decimal->ten += decimal->digits != 0;
        return true;
    }
    for (; decimal->ten > 0; decimal->ten--) {
        if (decimal->digits >= WHOLE_END / 10)
            return false;
        decimal->digits *= 10;
    }
    decimal->digits = decimal->digits * 10 + digit;
    return decimal->digits < WHOLE_END;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* How much of text is the number; 0 if none. *exact: it has no more digits than we keep. */
static size_t decimal_read(const char *text, size_t size, struct decimal *decimal, bool *exact)
{
    size_t at = 0;
    int behind = 0; /* digits after the point */
    *decimal = (struct decimal){ 0 };
    *exact = true;
    for (; at < size && is_digit(text[at]); at++)
        *exact = *exact && decimal_add(decimal, (unsigned)(text[at] - '0'));
    if (at > 0 && at + 1 < size && text[at] == '.' && is_digit(text[at + 1]))
        for (at++; at < size && is_digit(text[at]); at++, behind++)
            *exact = *exact && decimal_add(decimal, (unsigned)(text[at] - '0'));
    decimal->ten -= behind;
    return at;
}

static bool decimal_scale(struct decimal *decimal, const struct unit *unit)
{
    if (decimal->digits > UINT64_MAX / unit->factor)
        return false;
    decimal->digits *= unit->factor;
    decimal->ten += unit->ten;
    for (; decimal->digits && decimal->digits % 10 == 0; decimal->digits /= 10)
        decimal->ten++;
    return decimal->digits < (is_whole(unit->dimension) ? WHOLE_END : DIGITS_END);
}

static double power_of_two(int two)
{
    ENSURE(two >= 0 && two < 63);
    return (double)(1ull << two);
}

static enum quantity_parse evaluate(const struct decimal *decimal, const struct unit *unit, double *value)
{
    int ten = decimal->ten;
    if (!decimal->digits) {
        *value = 0;
        return QUANTITY_OK;
    }
    if (ten > POWER_MAX || ten < -POWER_MAX)
        return QUANTITY_RANGE;
    double number = (double)decimal->digits;
    number = ten < 0 ? number / powers[-ten] : number * powers[ten];
    number *= power_of_two(unit->two);
    if (number >= (is_whole(unit->dimension) ? WHOLE_MAX : powers[POWER_MAX]))
        return QUANTITY_RANGE;
    if (is_whole(unit->dimension))
        number = (double)(uint64_t)(number + 0.5);
    *value = number;
    return number > 0 ? QUANTITY_OK : QUANTITY_RANGE;
}

enum quantity_parse quantity_parse(const char *text, size_t size, struct quantity *quantity)
{
    struct decimal decimal;
    bool exact;
    size_t number = decimal_read(text, size, &decimal, &exact);
    if (number == 0)
        return QUANTITY_WORD;
    const struct unit *unit = unit_find(text + number, size - number);
    if (!unit)
        return QUANTITY_UNIT;
    if (!exact || !decimal_scale(&decimal, unit))
        return QUANTITY_PRECISION;
    quantity->dimension = unit->dimension;
    return evaluate(&decimal, unit, &quantity->value);
}

/* ---- writing ---- */

/* The first 15 significant digits, without zeros at the end, and the power of ten of the first. */
struct digits {
    char text[16];
    int count, first;
};

static void digits_of(double value, int count_max, struct digits *digits)
{
    char text[32];
    snprintf(text, sizeof text, "%.14e", value);
    digits->count = 0;
    const char *at = text;
    for (; *at && *at != 'e'; at++)
        if (is_digit(*at) && digits->count < count_max)
            digits->text[digits->count++] = *at;
    int exponent = 0;
    bool negative = at[0] == 'e' && at[1] == '-';
    for (at += *at == 'e'; *at; at++)
        exponent = is_digit(*at) ? exponent * 10 + (*at - '0') : exponent;
    digits->first = negative ? -exponent : exponent;
    while (digits->count > 1 && digits->text[digits->count - 1] == '0')
        digits->count--;
    digits->text[digits->count] = 0;
}

/* The digits with a point before the power of ten `ten`-1, and the unit. */
static size_t place(const struct digits *digits, int ten, const char *unit, char text[QUANTITY_TEXT_MAX])
{
    size_t at = 0;
    int before = digits->first - ten + 1; /* digits before the point */
    if (before <= 0)
        text[at++] = '0', text[at++] = '.';
    for (int i = before; i < 0 && at < QUANTITY_TEXT_MAX - 24; i++)
        text[at++] = '0';
    for (int i = 0; i < digits->count; i++) {
        if (i > 0 && i == before)
            text[at++] = '.';
        text[at++] = digits->text[i];
    }
    for (int i = digits->count; i < before && at < QUANTITY_TEXT_MAX - 8; i++)
        text[at++] = '0';
    return at + (size_t)snprintf(text + at, QUANTITY_TEXT_MAX - at, "%s", unit);
}

/* The largest decimal unit that is not above the number; the smallest if all are. */
static const struct unit *fitting_unit(enum dimension dimension, int first)
{
    const struct unit *best = NULL;
    for (uint32_t i = 0; i < UNITS_COUNT; i++) {
        const struct unit *unit = &units[i];
        if (unit->dimension != dimension || unit->factor != 1 || unit->two != 0)
            continue;
        bool fits = unit->ten <= first, best_fits = best && best->ten <= first;
        bool better =
            fits != best_fits ? fits : best && (fits ? unit->ten > best->ten : unit->ten < best->ten);
        if (!best || better)
            best = unit;
    }
    return best;
}

static size_t print_decimal(const struct quantity *quantity, char text[QUANTITY_TEXT_MAX])
{
    struct digits digits;
    if (quantity->value == 0)
        return (size_t)snprintf(text, QUANTITY_TEXT_MAX, "0%s", fitting_unit(quantity->dimension, 0)->text);
    digits_of(quantity->value, 15, &digits);
    const struct unit *unit = fitting_unit(quantity->dimension, digits.first);
    return place(&digits, unit->ten, unit->text, text);
}

static uint64_t unit_size(const struct unit *unit)
{
    uint64_t size = (uint64_t)unit->factor << unit->two;
    for (int i = 0; i < unit->ten; i++)
        size *= 10;
    return size;
}

/* A whole number in the unit that leaves the fewest digits, units listed later (binary ones) winning a tie.
 */
static size_t print_whole(uint64_t value, enum dimension dimension, char text[QUANTITY_TEXT_MAX])
{
    size_t best = 0;
    for (uint32_t i = 0; i < UNITS_COUNT; i++) {
        const struct unit *unit = &units[i];
        bool shadowed =
            i > 0 && units[i - 1].dimension == dimension && unit->ten && units[i - 1].ten == unit->ten;
        if (unit->dimension != dimension || unit->ten < 0 || shadowed || value % unit_size(unit) != 0)
            continue;
        char fresh[QUANTITY_TEXT_MAX];
        size_t size = (size_t)snprintf(fresh, sizeof fresh, "%llu%s",
                                       (unsigned long long)(value / unit_size(unit)), unit->text);
        if (best != 0 && size > best)
            continue;
        memcpy(text, fresh, size + 1);
        best = size;
        if (value == 0)
            break;
    }
    return best;
}

size_t quantity_print(const struct quantity *quantity, char text[QUANTITY_TEXT_MAX])
{
    double value = quantity->value;
    bool whole = value <= WHOLE_MAX && (double)(uint64_t)value == value;
    if (is_whole(quantity->dimension) && value <= WHOLE_MAX)
        return print_whole((uint64_t)value, quantity->dimension, text);
    if (quantity->dimension == DIMENSION_SECONDS && whole && value >= 60 && value < 1e15)
        return print_whole((uint64_t)value, quantity->dimension, text);
    return print_decimal(quantity, text);
}

/* Memory is counted in binary units, whatever else in decimal ones. */
static size_t show_bytes(double value, char text[QUANTITY_TEXT_MAX])
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    struct digits digits;
    int unit = 0;
    for (; unit < 5 && value >= 1024; unit++)
        value /= 1024;
    digits_of(value, DIGITS_SHOWN, &digits);
    return place(&digits, 0, names[unit], text);
}

size_t quantity_show(const struct quantity *quantity, char text[QUANTITY_TEXT_MAX])
{
    struct digits digits;
    size_t exact = quantity_print(quantity, text);
    if (exact <= 7 || quantity->value <= 0)
        return exact;
    if (quantity->dimension == DIMENSION_BYTES)
        return show_bytes(quantity->value, text);
    digits_of(quantity->value, DIGITS_SHOWN, &digits);
    const struct unit *unit = fitting_unit(quantity->dimension, digits.first);
    return place(&digits, unit->ten, unit->text, text);
}

static const struct {
    const char *name, *example;
} dimensions[DIMENSION_COUNT] = {
    [DIMENSION_PLAIN] = { "a plain number", "8" },
    [DIMENSION_BYTES] = { "bytes", "16GiB" },
    [DIMENSION_WATTS] = { "watts", "60W" },
    [DIMENSION_OPS] = { "operations per second", "2.5TFLOPS" },
    [DIMENSION_BANDWIDTH] = { "bytes per second", "100GB/s" },
    [DIMENSION_SECONDS] = { "seconds", "5ms" },
    [DIMENSION_HERTZ] = { "hertz", "1.5GHz" },
};

const char *dimension_name(enum dimension dimension)
{
    ENSURE((unsigned)dimension < DIMENSION_COUNT);
    return dimensions[dimension].name;
}

const char *dimension_example(enum dimension dimension)
{
    ENSURE((unsigned)dimension < DIMENSION_COUNT);
    return dimensions[dimension].example;
}
