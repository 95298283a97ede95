// SPDX-License-Identifier: Apache-2.0
#include "spill.h"

#include "bounds.h"
#include "file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char about[] = "a temporary file";

const char *spill_folder(void)
{
    const char *given = getenv("TMPDIR");
    if (given && *given)
        return given;
    return access("/var/tmp", W_OK | X_OK) == 0 ? "/var/tmp" : "/tmp";
}

enum err spill_file(int *fd, struct why *why)
{
    char path[PATH_MAX_BYTES];
    int length = snprintf(path, sizeof path, "%s/motley-XXXXXX", spill_folder());
    *fd = -1;
    if (length > 0 && (size_t)length < sizeof path)
        *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0)
        return why_set_errno(why, ERR_FILE, "%.300s: cannot make a temporary file there; set TMPDIR",
                             spill_folder());
    unlink(path);
    return ERR_OK;
}

enum err spill_open(struct spill *spill, struct why *why)
{
    *spill = (struct spill)SPILL_INIT;
    spill->buffer = malloc(SPILL_BUFFER);
    if (!spill->buffer)
        return why_set(why, ERR_MEMORY, "no memory for a buffer");
    return spill_file(&spill->fd, why);
}

enum err spill_flush(struct spill *spill, struct why *why)
{
    enum err err = file_pwrite(spill->fd, spill->buffer, spill->used, spill->bytes - spill->used, about, why);
    if (err == ERR_FULL)
        (void)why_set(why, ERR_FULL,
                      "%.300s: has no room for the input's temporary copy; set TMPDIR to a larger disk",
                      spill_folder());
    spill->used = 0;
    return err;
}

enum err spill_write(struct spill *spill, const void *bytes, size_t size, struct why *why)
{
    const uint8_t *from = bytes;
    while (size > 0) {
        size_t room = SPILL_BUFFER - spill->used, step = size < room ? size : room;
        memcpy(spill->buffer + spill->used, from, step);
        spill->used += step;
        spill->bytes += step;
        from += step;
        size -= step;
        if (spill->used == SPILL_BUFFER) {
            enum err err = spill_flush(spill, why);
            if (err != ERR_OK)
                return err;
        }
    }
    return ERR_OK;
}

int spill_finish(struct spill *spill, struct why *why)
{
    int fd = spill_flush(spill, why) == ERR_OK ? spill->fd : -1;
    if (fd >= 0)
        spill->fd = -1;
    spill_close(spill);
    return fd;
}

void spill_close(struct spill *spill)
{
    if (spill->fd >= 0)
        close(spill->fd);
    free(spill->buffer);
    *spill = (struct spill)SPILL_INIT;
}
