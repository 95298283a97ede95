// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include "ensure.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

enum err names_open(struct names *names, const char *path, struct why *why)
{
    memset(names, 0, sizeof *names);
    names->path = path;
    if (!*path)
        return ERR_OK;
    names->line = malloc(NAMES_LINE_MAX);
    if (!names->line)
        return why_set(why, ERR_MEMORY, "no memory to read %s", path);
    names->file = fopen(path, "re");
    if (names->file)
        return ERR_OK;
    enum err err = why_set_errno(why, ERR_FILE, "%s: the samples' names cannot be read", path);
    names_close(names);
    return err;
}

void names_close(struct names *names)
{
    if (names->file)
        fclose(names->file);
    free(names->line);
    memset(names, 0, sizeof *names);
}

static enum err read_line(struct names *names, struct why *why)
{
    if (!fgets(names->line, NAMES_LINE_MAX, names->file))
        return why_set(why, ERR_FORMAT,
                       "%s: has names for %" PRIu64 " samples only; upload one line for each sample",
                       names->path, names->next);
    size_t length = strcspn(names->line, "\r\n");
    bool whole = names->line[length] != 0 || feof(names->file);
    names->line[length] = 0;
    if (!whole)
        return why_set(why, ERR_FORMAT, "%s: the name of sample %" PRIu64 " is longer than %d bytes",
                       names->path, names->next, NAMES_LINE_MAX - 2);
    names->next++;
    return ERR_OK;
}

static enum err check_line(const struct names *names, struct why *why)
{
    yyjson_doc *document = yyjson_read(names->line, strlen(names->line), YYJSON_READ_NOFLAG);
    yyjson_val *root = yyjson_doc_get_root(document);
    bool good = yyjson_is_str(root) || yyjson_is_null(root);
    yyjson_doc_free(document);
    if (good)
        return ERR_OK;
    return why_set(why, ERR_FORMAT, "%s: line %" PRIu64 " is no JSON string", names->path, names->next);
}

enum err names_read(struct names *names, uint64_t sample, const char **json, struct why *why)
{
    *json = "null";
    if (!names->file)
        return ERR_OK;
    ENSURE(sample >= names->next);
    enum err err = ERR_OK;
    while (err == ERR_OK && names->next <= sample)
        err = read_line(names, why);
    if (err == ERR_OK)
        err = check_line(names, why);
    if (err == ERR_OK)
        *json = names->line;
    return err;
}
