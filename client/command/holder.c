// SPDX-License-Identifier: Apache-2.0
#include "holder.h"

#include "bounds.h"
#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 16 };

static char *read_text(const char *folder, const char *name)
{
    char path[PATH_MAX_BYTES], *text;
    size_t size;
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    bool fits = length > 0 && (size_t)length < sizeof path;
    return fits && file_read(path, FILE_BYTES_MAX, &text, &size, NULL) == ERR_OK ? text : NULL;
}

static bool is_coordinator(long pid)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%ld", pid);
    char *name = pid > 0 ? read_text(folder, "comm") : NULL;
    bool is = name && strncmp(name, "motley-coordina", 15) == 0; /* the kernel keeps 15 letters */
    free(name);
    return is;
}

long holder_pid(const char *state_dir)
{
    char host[256] = "", ours[256] = "";
    long pid = 0;
    char *text = read_text(state_dir, "lock");
    int fields = text ? sscanf(text, "host %255[^,], pid %ld", host, &pid) : 0;
    free(text);
    (void)gethostname(ours, sizeof ours - 1);
    return fields == 2 && strcmp(host, ours) == 0 && is_coordinator(pid) ? pid : 0;
}

bool holder_listens(const char *state_dir, char url[ADDRESS_MAX])
{
    char *text = holder_pid(state_dir) ? read_text(state_dir, "listening") : NULL, *rest = text;
    bool found = false;
    for (char *line; text && !found && (line = strsep(&rest, "\n")) != NULL;) {
        found = strncmp(line, "tcp://", 6) == 0 && strlen(line) < ADDRESS_MAX;
        if (found)
            snprintf(url, ADDRESS_MAX, "%s", line);
    }
    free(text);
    return found;
}
