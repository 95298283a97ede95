// SPDX-License-Identifier: Apache-2.0
#include "probe_text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool probe_read(const char *root, const char *path, char *text, size_t size)
{
    char full[PATH_MAX];
    size_t length = 0;
    text[0] = '\0';
    if ((size_t)snprintf(full, sizeof full, "%s%s", root, path) >= sizeof full)
        return false;
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    for (ssize_t got = 1; got > 0 && length + 1 < size; length += got > 0 ? (size_t)got : 0)
        got = read(fd, text + length, size - 1 - length);
    close(fd);
    while (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    return length > 0;
}

/* The value part of a line that is for key, or NULL. */
static char *match_line(char *line, const char *key, char separator)
{
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0)
        return NULL;
    line += length + strspn(line + length, " \t");
    return *line == separator ? line + 1 + strspn(line + 1, " \t") : NULL;
}

static void copy_value(const char *from, char *value, size_t size)
{
    size_t length = strlen(from);
    if (length >= 2 && from[0] == '"' && from[length - 1] == '"') {
        from++;
        length -= 2;
    }
    length = length < size ? length : size - 1;
    memcpy(value, from, length);
    value[length] = '\0';
}

bool probe_value(const char *root, const char *path, const char *key, char separator, char *value,
                 size_t size)
{
    char *text = malloc(PROBE_FILE_MAX), *rest = text, *line;
    value[0] = '\0';
    if (text == NULL || !probe_read(root, path, text, PROBE_FILE_MAX))
        rest = NULL;
    while (rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
        char *found = match_line(line, key, separator);
        if (found == NULL)
            continue;
        copy_value(found, value, size);
        break;
    }
    free(text);
    return value[0] != '\0';
}

uint64_t probe_number(const char *root, const char *path)
{
    char text[64];
    return probe_read(root, path, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

uint64_t probe_kilobytes(const char *root, const char *path, const char *key)
{
    char value[64];
    return probe_value(root, path, key, ':', value, sizeof value) ? strtoull(value, NULL, 10) * 1024 : 0;
}
