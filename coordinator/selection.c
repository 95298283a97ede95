// SPDX-License-Identifier: Apache-2.0
#include "selection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_ALL, KIND_LAST, KIND_RANGE, KIND_NAME };

struct words {
    enum kind kind;
    bool several;
    uint64_t first, last;
};

/* The digits at *at as a number; false if there are none or too many. */
static bool number(const char **at, uint64_t *value)
{
    if (**at < '0' || **at > '9')
        return false;
    char *end;
    errno = 0;
    *value = strtoull(*at, &end, 10);
    *at = end;
    return errno == 0;
}

static struct words parse(const char *which)
{
    struct words words = { .kind = KIND_NAME };
    const char *at = which;
    if (!*which || strcmp(which, "all") == 0)
        return (struct words){ .kind = KIND_ALL, .several = true };
    if (strcmp(which, "last") == 0)
        return (struct words){ .kind = KIND_LAST };
    if (!number(&at, &words.first))
        return words;
    words.last = words.first;
    if (*at == '-') {
        at++;
        words.several = true;
        if (!number(&at, &words.last))
            return (struct words){ .kind = KIND_NAME };
    }
    if (*at)
        return (struct words){ .kind = KIND_NAME };
    words.kind = KIND_RANGE;
    return words;
}

static bool matches(const struct words *words, const struct record *job, const struct keyring_entry *viewer,
                    const char *which)
{
    if (!record_is_visible(job) || !keyring_sees(viewer, job->tenant))
        return false;
    switch (words->kind) {
    case KIND_ALL:
    case KIND_LAST: return true;
    case KIND_RANGE: return job->number >= words->first && job->number <= words->last;
    case KIND_NAME: return strcmp(job->name, which) == 0;
    }
    return false;
}

static enum err not_found(const struct words *words, const char *which, struct why *why)
{
    if (words->kind == KIND_LAST)
        return why_set(why, ERR_NOT_FOUND, "there is no job yet; submit one");
    return why_set(why, ERR_NOT_FOUND, "no such job: %s; `motley job list` shows those there are", which);
}

enum err selection_init(struct selection *selection, const struct jobs *jobs,
                        const struct keyring_entry *viewer, const char *which, struct why *why)
{
    memset(selection, 0, sizeof *selection);
    struct words words = parse(which);
    if (words.kind == KIND_RANGE && words.first > words.last)
        return why_set(why, ERR_USAGE, "%s: the range runs backwards; write the smaller number first", which);
    uint64_t *numbers = malloc((jobs_count(jobs) + 1) * sizeof *numbers);
    if (!numbers)
        return why_set(why, ERR_MEMORY, "out of memory for a list of jobs");
    size_t count = 0;
    bool newest_only = words.kind == KIND_LAST || words.kind == KIND_NAME;
    for (size_t i = 0; i < jobs_count(jobs); i++) {
        if (!matches(&words, jobs_at(jobs, i), viewer, which))
            continue;
        if (newest_only)
            count = 0;
        numbers[count++] = jobs_at(jobs, i)->number;
    }
    if (!count && words.kind != KIND_ALL) {
        free(numbers);
        return not_found(&words, which, why);
    }
    *selection = (struct selection){ words.several, count, numbers };
    return ERR_OK;
}

void selection_fini(struct selection *selection)
{
    free(selection->numbers);
    memset(selection, 0, sizeof *selection);
}

bool selection_can_name(const char *name) { return parse(name).kind == KIND_NAME; }
