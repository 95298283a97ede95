// SPDX-License-Identifier: Apache-2.0
#include "gantt.h"

#include "ensure.h"
#include "file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the picture's own units, about pixels. */
enum {
    LEFT = 190,
    RIGHT = 40,
    PLOT = 1000,
    WIDTH = LEFT + PLOT + RIGHT,
    TOP = 92,
    ROW_TALL = 30, /* up to ROWS_FEW rows */
    ROW_SMALL = 16,
    ROWS_FEW = 20,
    FOOT = 74,
    COLOURS = 16,
    NAME_SHOWN_MAX = 24, /* characters, ... */
    NAME_END = 8,        /* ... so many of them from the end */
    TIPS_MAX = 4000,     /* bars; more go without a tip of their own */
    TICKS_MAX = 12,
    SEAM_LEAST = 4, /* narrower bars have no outline, which would wash their colour out */
};

static const double hair = 0.35; /* no bar is narrower */

struct bar {
    uint64_t start_us, end_us, first;
    uint32_t batches;
    bool kept;
};

struct row {
    struct bar *bars;
    size_t count, capacity;
};

struct gantt {
    const struct gantt_picture *picture;
    bool short_of_memory;
    struct row rows[GANTT_ROWS_MAX];
};

struct text { /* grows; sticky */
    char *at;
    size_t used, capacity;
    bool bad;
};

/* ---- bars ---- */

struct gantt *gantt_new(const struct gantt_picture *picture)
{
    struct gantt *gantt = calloc(1, sizeof *gantt);
    ENSURE(picture->rows_count <= GANTT_ROWS_MAX);
    if (gantt)
        gantt->picture = picture;
    return gantt;
}

void gantt_free(struct gantt **gantt)
{
    for (int i = 0; *gantt && i < GANTT_ROWS_MAX; i++)
        free((*gantt)->rows[i].bars);
    free(*gantt);
    *gantt = NULL;
}

static double units_per_us(const struct gantt *gantt)
{
    return (double)PLOT / (double)(gantt->picture->end_us ? gantt->picture->end_us : 1);
}

/* Would both together still be narrower than a hair? */
static bool joins(const struct gantt *gantt, const struct bar *last, const struct bar *next)
{
    uint64_t to_us = next->end_us > last->end_us ? next->end_us : last->end_us;
    return last->kept == next->kept && next->start_us >= last->start_us &&
           (double)(to_us - last->start_us) * units_per_us(gantt) < hair;
}

static void add_bar(struct gantt *gantt, struct row *row, const struct bar *bar)
{
    struct bar *last = row->count ? &row->bars[row->count - 1] : NULL;
    if (last && joins(gantt, last, bar)) {
        last->end_us = bar->end_us > last->end_us ? bar->end_us : last->end_us;
        last->batches++;
        return;
    }
    if (row->count == row->capacity || !row->bars) {
        size_t capacity = row->capacity ? 2 * row->capacity : 64;
        struct bar *grown = realloc(row->bars, capacity * sizeof *grown);
        gantt->short_of_memory = gantt->short_of_memory || !grown;
        if (!grown)
            return;
        row->bars = grown;
        row->capacity = capacity;
    }
    row->bars[row->count++] = *bar;
}

void gantt_bar(struct gantt *gantt, uint32_t row, uint64_t start_us, uint64_t end_us, uint64_t first_sample,
               bool kept)
{
    uint64_t last_us = gantt->picture->end_us;
    ENSURE(row < gantt->picture->rows_count);
    if (end_us > last_us)
        end_us = last_us;
    if (start_us >= end_us)
        return;
    add_bar(gantt, &gantt->rows[row], &(struct bar){ start_us, end_us, first_sample, 1, kept });
}

/* ---- text ---- */

static void reserve(struct text *text, size_t more)
{
    size_t capacity = text->capacity ? text->capacity : 1 << 16;
    while (capacity < text->used + more)
        capacity *= 2;
    if (capacity == text->capacity || text->bad)
        return;
    char *grown = realloc(text->at, capacity);
    text->bad = !grown;
    text->at = grown ? grown : text->at;
    text->capacity = grown ? capacity : text->capacity;
}

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *text, const char *format, ...)
{
    enum { PIECE_MAX = 4096 };
    va_list arguments;
    reserve(text, PIECE_MAX);
    if (text->bad)
        return;
    va_start(arguments, format);
    int length = vsnprintf(text->at + text->used, PIECE_MAX, format, arguments);
    va_end(arguments);
    ENSURE(length >= 0 && length < PIECE_MAX);
    text->used += (size_t)length;
}

/* Characters that XML would take for its own, and those that it refuses. */
static void put_escaped(struct text *text, const char *from)
{
    for (; *from; from++) {
        unsigned char byte = (unsigned char)*from;
        switch (byte) {
        case '&': put(text, "&amp;"); break;
        case '<': put(text, "&lt;"); break;
        case '>': put(text, "&gt;"); break;
        case '"': put(text, "&quot;"); break;
        case '\'': put(text, "&#39;"); break;
        default: put(text, "%c", byte < 0x20 || byte == 0x7F ? ' ' : byte);
        }
    }
}

/* A long name keeps its end, where its number is. Names are ASCII but for the fleet's. */
static void put_name(struct text *text, const char *name)
{
    char shortened[NAME_SHOWN_MAX + 8];
    size_t length = strlen(name);
    if (length > NAME_SHOWN_MAX) {
        snprintf(shortened, sizeof shortened, "%.*s\u2026%s", NAME_SHOWN_MAX - NAME_END - 1, name,
                 name + length - NAME_END);
        name = shortened;
    }
    put_escaped(text, name);
}

static void put_text(struct text *text, const char *class, double x, double y, const char *content)
{
    put(text, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    put_escaped(text, content);
    put(text, "</text>\n");
}

/* ---- the picture ---- */

/* From the job's first sample to its last: blue, green, yellow, orange; all of middle brightness. */
static const char *const colours[COLOURS] = { "#3b5fc0", "#3870c4", "#3580c5", "#338fc0",
                                              "#339db5", "#37a8a4", "#44b18f", "#58b878",
                                              "#73bd62", "#91bf4f", "#aebd42", "#c7b53b",
                                              "#d8a739", "#e2953b", "#e67f40", "#e46848" };

static const char style[] =
    "<style>\n"
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:12px;fill:#24292f}\n"
    ".paper{fill:#ffffff}.title{font-size:17px;font-weight:600}.sub{fill:#57606a}\n"
    ".name{text-anchor:end}.about{text-anchor:end;font-size:9px;fill:#6e7781}\n"
    ".small{text-anchor:end;font-size:10px}.tick{text-anchor:middle;fill:#57606a}\n"
    ".band{fill:#eef1f4}.grid{stroke:#d0d7de;stroke-width:.5}\n"
    ".load{fill:none;stroke:#8c959f;stroke-width:1;stroke-dasharray:2 2}\n"
    ".slow{fill:#d4a72c;fill-opacity:.25}.gone{fill:#8c959f;fill-opacity:.25}\n"
    ".dropped{fill:#8c959f}.mark{stroke:#cf222e;stroke-width:2;fill:none}\n"
    ".says,.dead{font-size:10px;paint-order:stroke;stroke:#fff;stroke-width:3}.says{fill:#7d4e00}"
    ".dead{fill:#cf222e}.speed{stroke:#bf8700;stroke-width:3}\n"
    ".bound{stroke:#8250df;stroke-width:1.5;stroke-dasharray:5 3}.boundt{fill:#8250df}\n"
    ".finish{stroke:#1a7f37;stroke-width:1.5}.finisht{fill:#1a7f37}\n"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.sub,.tick{fill:#9198a1}\n"
    ".about{fill:#8d96a0}.band{fill:#161b22}.grid{stroke:#30363d}.says,.dead{stroke:#0d1117}\n"
    ".says{fill:#e3b341}.dead{fill:#ff7b72}.speed{stroke:#e3b341}"
    ".mark{stroke:#ff7b72}.bound{stroke:#bc8cff}.boundt{fill:#bc8cff}.finish{stroke:#3fb950}\n"
    ".finisht{fill:#3fb950}}\n";

static double x_of(const struct gantt *gantt, double us) { return LEFT + us * units_per_us(gantt); }

static int row_height(const struct gantt *gantt)
{
    return gantt->picture->rows_count <= ROWS_FEW ? ROW_TALL : ROW_SMALL;
}

static int bottom(const struct gantt *gantt)
{
    return TOP + row_height(gantt) * (int)gantt->picture->rows_count;
}

static void put_head(struct text *text, const struct gantt *gantt)
{
    int height = bottom(gantt) + FOOT;
    put(text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
        "role=\"img\">\n"
        "<title>",
        WIDTH, height, WIDTH, height);
    put_escaped(text, gantt->picture->title);
    put(text, "</title>\n%s", style);
    for (int i = 0; i < COLOURS; i++)
        put(text, ".c%d{fill:%s}", i, colours[i]);
    put(text, "\n</style>\n<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", WIDTH, height);
    put_text(text, "title", 16, 28, gantt->picture->title);
    put_text(text, "sub", 16, 48, gantt->picture->subtitle);
}

/* The least of 1, 2, 5 times a power of ten that needs no more than TICKS_MAX ticks. */
static double tick_seconds(double seconds)
{
    static const double steps[] = { 1, 2, 5 };
    double power = 1e-6;
    for (int i = 0; i < 18 * 3; i++) {
        if (seconds / (power * steps[i % 3]) <= TICKS_MAX)
            return power * steps[i % 3];
        power *= i % 3 == 2 ? 10 : 1;
    }
    return seconds;
}

static void put_axis(struct text *text, const struct gantt *gantt)
{
    double seconds = (double)gantt->picture->end_us / 1e6, step = tick_seconds(seconds);
    for (int i = 0; i * step <= seconds; i++) {
        double x = x_of(gantt, i * step * 1e6);
        put(text, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", x, x, TOP,
            bottom(gantt));
        put(text, "<text class=\"tick\" x=\"%.1f\" y=\"%d\">%.10g%s</text>\n", x, bottom(gantt) + 16,
            i * step, (i + 1) * step > seconds ? " s" : "");
    }
}

static void put_band(struct text *text, const struct gantt *gantt, uint32_t index)
{
    const struct gantt_row *row = &gantt->picture->rows[index];
    int height = row_height(gantt), y = TOP + height * (int)index;
    bool tall = height == ROW_TALL;
    if (index % 2 == 0)
        put(text, "<rect class=\"band\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT, y, PLOT,
            height);
    put(text, "<text class=\"%s\" x=\"%d\" y=\"%d\">", tall ? "name" : "small", LEFT - 8,
        tall && row->about ? y + 14 : y + height / 2 + 4);
    put_name(text, row->name);
    put(text, "<title>");
    put_escaped(text, row->name);
    put(text, "</title></text>\n");
    if (tall && row->about)
        put_text(text, "about", LEFT - 8, y + 25, row->about);
}

static void put_rect(struct text *text, const struct gantt *gantt, const char *class, uint32_t row,
                     double from_us, double to_us)
{
    double limit = (double)gantt->picture->end_us, x = x_of(gantt, from_us);
    int height = row_height(gantt), gap = height == ROW_TALL ? 4 : 2;
    to_us = to_us < limit ? to_us : limit;
    if (from_us >= to_us)
        return;
    put(text, "<rect class=\"%s\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\"", class, x,
        TOP + height * (int)row + gap, x_of(gantt, to_us) - x, height - 2 * gap);
}

static void put_plain(struct text *text, const struct gantt *gantt, const char *class, uint32_t row,
                      double from_us, double to_us)
{
    size_t before = text->used;
    put_rect(text, gantt, class, row, from_us, to_us);
    if (text->used > before)
        put(text, "/>\n");
}

/* What a slot is like from each mark to the next lies under its bars. */
static void put_states(struct text *text, const struct gantt *gantt, uint32_t index)
{
    const struct gantt_row *row = &gantt->picture->rows[index];
    double end_us = (double)gantt->picture->end_us, joins = (double)row->joins_us;
    put_plain(text, gantt, "gone", index, 0, joins);
    put_plain(text, gantt, "load", index, joins, joins + (double)row->load_us);
    for (uint32_t i = 0; i < row->marks_count; i++) {
        const struct gantt_mark *mark = &row->marks[i];
        double until = i + 1 < row->marks_count ? (double)row->marks[i + 1].at_us : end_us;
        bool over = mark->kind != GANTT_SPEED;
        if (over || mark->factor != 1)
            put_plain(text, gantt, over ? "gone" : "slow", index, (double)mark->at_us, over ? end_us : until);
        if (over)
            break;
    }
}

/* Over the bars, where they hide the ground: from where to where a slot is not at full speed. */
static void put_speed(struct text *text, const struct gantt *gantt, uint32_t index, uint32_t mark)
{
    const struct gantt_row *row = &gantt->picture->rows[index];
    double from_us = (double)row->marks[mark].at_us, to_us = (double)gantt->picture->end_us;
    int y = TOP + row_height(gantt) * (int)(index + 1) - 2;
    if (mark + 1 < row->marks_count && (double)row->marks[mark + 1].at_us < to_us)
        to_us = (double)row->marks[mark + 1].at_us;
    if (row->marks[mark].factor != 1 && from_us < to_us)
        put(text, "<line class=\"speed\" x1=\"%.2f\" x2=\"%.2f\" y1=\"%d\" y2=\"%d\"/>\n",
            x_of(gantt, from_us), x_of(gantt, to_us), y, y);
}

static void put_marks(struct text *text, const struct gantt *gantt, uint32_t index)
{
    const struct gantt_row *row = &gantt->picture->rows[index];
    int height = row_height(gantt), y = TOP + height * (int)index;
    for (uint32_t i = 0; i < row->marks_count; i++) {
        const struct gantt_mark *mark = &row->marks[i];
        double x = x_of(gantt, (double)mark->at_us);
        if (mark->at_us > gantt->picture->end_us)
            break;
        if (mark->kind == GANTT_SPEED)
            put_speed(text, gantt, index, i);
        put(text, "<line class=\"mark\" x1=\"%.2f\" x2=\"%.2f\" y1=\"%d\" y2=\"%d\"/>\n", x, x, y + 1,
            y + height - 1);
        bool right = x > LEFT + PLOT - 70;
        put(text, "<text class=\"%s\" x=\"%.1f\" y=\"%d\"%s>", mark->kind == GANTT_SPEED ? "says" : "dead",
            right ? x - 4 : x + 4, y + height / 2 + 4, right ? " text-anchor=\"end\"" : "");
        if (mark->kind == GANTT_SPEED)
            put(text, "\u00d7%.3g</text>\n", mark->factor);
        else
            put(text, "%s</text>\n", mark->kind == GANTT_DIES ? "\u2715 dies" : "hangs");
        if (mark->kind != GANTT_SPEED)
            break;
    }
}

static void put_bar(struct text *text, const struct gantt *gantt, uint32_t row, const struct bar *bar,
                    bool tip)
{
    char class[16];
    uint64_t samples = gantt->picture->samples;
    double least = hair / units_per_us(gantt), to_us = (double)bar->end_us, place;
    place = samples ? (double)bar->first / (double)samples : 0;
    snprintf(class, sizeof class, "c%d", (int)(place * (COLOURS - 0.001)) % COLOURS);
    if (to_us - (double)bar->start_us < least)
        to_us = (double)bar->start_us + least;
    put_rect(text, gantt, bar->kept ? class : "dropped", row, (double)bar->start_us, to_us);
    if (!tip) {
        put(text, "/>\n");
        return;
    }
    if ((to_us - (double)bar->start_us) * units_per_us(gantt) > SEAM_LEAST)
        put(text, " stroke=\"#fff\" stroke-opacity=\".35\" stroke-width=\".6\"");
    put(text, "><title>%.3f to %.3f s, from sample %llu%s", (double)bar->start_us / 1e6,
        (double)bar->end_us / 1e6, (unsigned long long)bar->first, bar->kept ? "" : ": not kept");
    if (bar->batches > 1)
        put(text, ", %u batches", bar->batches);
    put(text, "</title></rect>\n");
}

static void put_line(struct text *text, const struct gantt *gantt, const char *class, double us, int y_text,
                     const char *what)
{
    double x = x_of(gantt, us);
    bool right = x > LEFT + PLOT - 160;
    put(text, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", class, x, x, TOP - 4,
        bottom(gantt) + 3);
    put(text, "<text class=\"%st\" x=\"%.1f\" y=\"%d\"%s>%s %.4g s</text>\n", class, right ? x + 2 : x - 2,
        y_text, right ? " text-anchor=\"end\"" : "", what, us / 1e6);
}

static void put_swatch(struct text *text, const char *class, int *x, int y, const char *says, int width)
{
    put(text, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"16\" height=\"10\"/>\n", class, *x, y - 9);
    put_text(text, "sub", *x + 22, y, says);
    *x += width;
}

static void put_legend(struct text *text, const struct gantt *gantt)
{
    int x = LEFT, y = bottom(gantt) + 40;
    for (int i = 0; i < COLOURS; i++)
        put(text, "<rect class=\"c%d\" x=\"%d\" y=\"%d\" width=\"6\" height=\"10\"/>\n", i, x + 6 * i, y - 9);
    put_text(text, "sub", x + 6 * COLOURS + 6, y, "first sample to last");
    x += 6 * COLOURS + 140;
    put_swatch(text, "load", &x, y, "loading", 80);
    put_swatch(text, "slow", &x, y, "not at full speed", 130);
    put_swatch(text, "gone", &x, y, "not there", 90);
    put_swatch(text, "dropped", &x, y, "work not kept", 110);
    if (gantt->picture->note)
        put_text(text, "sub", LEFT, y + 20, gantt->picture->note);
}

static void put_rows(struct text *text, const struct gantt *gantt)
{
    size_t bars = 0;
    uint32_t count = gantt->picture->rows_count;
    for (uint32_t i = 0; i < count; i++) {
        bars += gantt->rows[i].count;
        put_states(text, gantt, i);
    }
    for (uint32_t i = 0; i < count; i++) {
        for (size_t b = 0; b < gantt->rows[i].count; b++)
            put_bar(text, gantt, i, &gantt->rows[i].bars[b], bars <= TIPS_MAX);
        put_marks(text, gantt, i);
    }
}

char *gantt_svg(const struct gantt *gantt, size_t *size)
{
    const struct gantt_picture *picture = gantt->picture;
    struct text text = { .bad = gantt->short_of_memory };
    put_head(&text, gantt);
    for (uint32_t i = 0; i < picture->rows_count; i++)
        put_band(&text, gantt, i);
    put_axis(&text, gantt);
    put_rows(&text, gantt);
    if (picture->bound_us >= 0)
        put_line(&text, gantt, "bound", picture->bound_us, TOP - 24, "bound");
    if (picture->finish_us > 0)
        put_line(&text, gantt, "finish", (double)picture->finish_us, TOP - 9, "finish");
    put_legend(&text, gantt);
    put(&text, "</svg>\n");
    *size = text.used;
    if (!text.bad)
        return text.at;
    free(text.at);
    return NULL;
}

enum err gantt_write(const struct gantt *gantt, const char *path, struct why *why)
{
    size_t size;
    char temporary[4200];
    int fd = -1;
    char *svg = gantt_svg(gantt, &size);
    if (!svg)
        return why_set(why, ERR_MEMORY, "no memory for the picture");
    enum err err = file_begin(path, temporary, sizeof temporary, &fd, why);
    if (err == ERR_OK) {
        err = file_pwrite(fd, svg, size, 0, temporary, why);
        if (err == ERR_OK)
            err = file_publish(&fd, temporary, path, why);
        else
            file_discard(&fd, temporary);
    }
    free(svg);
    return err;
}
