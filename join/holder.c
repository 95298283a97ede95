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

static bool first_of(const char *state_dir, const char *scheme, char url[ENDPOINT_MAX])
{
    char *text = holder_pid(state_dir) ? read_text(state_dir, "listening") : NULL, *rest = text;
    bool found = false;
    for (char *line; text && !found && (line = strsep(&rest, "\n")) != NULL;) {
        found = strncmp(line, scheme, strlen(scheme)) == 0 && strlen(line) < ENDPOINT_MAX;
        if (found)
            snprintf(url, ENDPOINT_MAX, "%s", line);
    }
    free(text);
    return found;
}

bool holder_listens(const char *state_dir, char url[ENDPOINT_MAX])
{
    return first_of(state_dir, "tcp://", url);
}

/* All addresses are none to connect to. */
static void turn_home(const char *any, const char *home, char url[ENDPOINT_MAX])
{
    char port[16];
    size_t length = strlen(any);
    if (strncmp(url, any, length) != 0)
        return;
    snprintf(port, sizeof port, "%.15s", url + length);
    snprintf(url, ENDPOINT_MAX, "%s%s", home, port);
}

bool holder_here(const char *state_dir, char url[ENDPOINT_MAX])
{
    if (first_of(state_dir, "ipc://", url))
        return true;
    if (!first_of(state_dir, "tcp://", url))
        return false;
    turn_home("tcp://0.0.0.0:", "tcp://127.0.0.1:", url);
    turn_home("tcp://[::]:", "tcp://[::1]:", url);
    return true;
}
