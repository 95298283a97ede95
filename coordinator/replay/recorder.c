// SPDX-License-Identifier: Apache-2.0
#include "recorder.h"

#include "file.h"
#include "log.h"
#include "tape.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 16, STOP_BYTES = 64, NAMES_MAX = 4096 };
static const uint64_t BREATH_US = 1000000;

struct recorder {
    int fd;
    bool stopped;
    char path[PATH_MAX];
    uint64_t max_bytes, written, breathed_us;
    struct tape_writer tape;
};

/* For recorder_rescue: the latest that was opened. A program has one. */
static struct recorder *volatile open_recorder;

/* ---- writing ---- */

static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, bytes, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        bytes += count;
        size -= (size_t)count;
    }
    return true;
}

static void stop(struct recorder *recorder, const char *reason)
{
    recorder->stopped = true;
    log_warn("RECORDING-STOPPED", "%s: %s; the coordinator goes on without. What is recorded can be replayed",
             recorder->path, reason);
}

static void write_piece(struct recorder *recorder)
{
    size_t size;
    const uint8_t *bytes = tape_take(&recorder->tape, &size);
    if (!bytes)
        return;
    recorder->written += size;
    if (!write_all(recorder->fd, bytes, size))
        stop(recorder, strerror(errno));
}

static void look_at_bounds(struct recorder *recorder)
{
    char reason[80];
    if (recorder->tape.failed) {
        write_piece(recorder);
        stop(recorder, "an event is too large for it, or memory is short");
    } else if (recorder->written + recorder->tape.used + STOP_BYTES > recorder->max_bytes) {
        tape_write_stop(&recorder->tape, "cap");
        write_piece(recorder);
        snprintf(reason, sizeof reason, "the cap of %" PRIu64 " bytes is reached (--record-max)",
                 recorder->max_bytes);
        stop(recorder, reason);
    }
}

/* ---- life ---- */

static enum err begin(struct recorder *recorder, const struct recorder_life *life, struct why *why)
{
    char header[TAPE_HEADER_MAX];
    size_t size = tape_header(header);
    recorder->fd = open(recorder->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (recorder->fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be written; give --record off, or another file",
                             recorder->path);
    if (!write_all(recorder->fd, (const uint8_t *)header, size))
        return why_set_errno(why, ERR_FILE, "%s: cannot be written", recorder->path);
    const struct tape_life first = {
        .config = *life->config,
        .term = life->term,
        .now_us = life->now_us,
        .wall_us = life->wall_us > 0 ? (uint64_t)life->wall_us : 0,
    };
    recorder->written = size;
    recorder->breathed_us = life->now_us;
    tape_write_life(&recorder->tape, &first);
    write_piece(recorder);
    return ERR_OK;
}

enum err recorder_open(const char *path, const struct recorder_life *life, struct recorder **recorder,
                       struct why *why)
{
    struct recorder *fresh = calloc(1, sizeof *fresh);
    *recorder = NULL;
    if (!fresh)
        return why_set(why, ERR_MEMORY, "out of memory for the recording");
    snprintf(fresh->path, sizeof fresh->path, "%s", path);
    fresh->fd = -1;
    fresh->max_bytes = life->max_bytes ? life->max_bytes : RECORDER_BYTES_DEFAULT;
    tape_writer_init(&fresh->tape);
    enum err err = begin(fresh, life, why);
    if (err) {
        fresh->stopped = true;
        recorder_close(&fresh);
        return err;
    }
    open_recorder = *recorder = fresh;
    return ERR_OK;
}

void recorder_close(struct recorder **recorder_p)
{
    struct recorder *recorder = *recorder_p;
    *recorder_p = NULL;
    if (!recorder)
        return;
    if (open_recorder == recorder)
        open_recorder = NULL;
    if (!recorder->stopped) {
        tape_write_stop(&recorder->tape, "end");
        write_piece(recorder);
    }
    if (recorder->fd >= 0)
        close(recorder->fd);
    tape_writer_fini(&recorder->tape);
    free(recorder);
}

void recorder_rescue(void)
{
    struct recorder *recorder = open_recorder;
    size_t size;
    open_recorder = NULL;
    const uint8_t *bytes = recorder && !recorder->stopped ? tape_take(&recorder->tape, &size) : NULL;
    if (bytes && !write_all(recorder->fd, bytes, size))
        return;
}

/* ---- the lives of a state directory ---- */

struct old_tape {
    uint64_t term, bytes;
};

static int by_term_down(const void *a, const void *b)
{
    const struct old_tape *x = a, *y = b;
    return x->term < y->term ? 1 : x->term > y->term ? -1 : 0;
}

static bool is_tape(const char *name, uint64_t *term)
{
    char again[32];
    *term = strtoull(name, NULL, 10);
    snprintf(again, sizeof again, "%" PRIu64 ".tape", *term);
    return strcmp(name, again) == 0;
}

static size_t list_tapes(const char *folder, struct old_tape *tapes, size_t max)
{
    size_t count = 0;
    struct stat status;
    struct dirent *entry;
    DIR *entries = opendir(folder);
    while (entries && count < max && (entry = readdir(entries)))
        if (is_tape(entry->d_name, &tapes[count].term) &&
            fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            tapes[count++].bytes = (uint64_t)status.st_size;
    if (entries)
        closedir(entries);
    return count;
}

/* What cannot be removed is left: it is no reason not to start. */
static void remove_old(const char *folder, uint64_t max_bytes)
{
    char path[PATH_MAX];
    struct old_tape *tapes = calloc(NAMES_MAX, sizeof *tapes);
    size_t count = tapes ? list_tapes(folder, tapes, NAMES_MAX) : 0;
    uint64_t bytes = 0;
    if (count)
        qsort(tapes, count, sizeof *tapes, by_term_down);
    for (size_t i = 0; i < count; i++) {
        bytes += tapes[i].bytes;
        snprintf(path, sizeof path, "%s/%" PRIu64 ".tape", folder, tapes[i].term);
        if (bytes > max_bytes && unlink(path))
            log_debug("RECORDING", "%s: %s", path, strerror(errno));
    }
    free(tapes);
}

enum err recorder_open_state(const char *state_dir, const struct recorder_life *life,
                             struct recorder **recorder, struct why *why)
{
    char folder[PATH_MAX - 32], path[PATH_MAX];
    *recorder = NULL;
    snprintf(folder, sizeof folder, "%s/events", state_dir);
    enum err err = file_make_dirs(folder, 0700, why);
    if (err)
        return err;
    remove_old(folder, life->max_bytes ? life->max_bytes : RECORDER_BYTES_DEFAULT);
    snprintf(path, sizeof path, "%s/%" PRIu64 ".tape", folder, life->term);
    return recorder_open(path, life, recorder, why);
}

/* ---- records ---- */

void recorder_event(struct recorder *recorder, uint64_t now_us, const struct sched_event *event)
{
    if (recorder && !recorder->stopped)
        tape_write_event(&recorder->tape, now_us, event);
}

void recorder_answer(struct recorder *recorder, const struct sched_actions *actions)
{
    if (!recorder || recorder->stopped)
        return;
    tape_write_answer(&recorder->tape, actions);
    if (recorder->tape.used >= PIECE_BYTES || recorder->tape.failed)
        look_at_bounds(recorder);
    if (recorder->tape.used >= PIECE_BYTES && !recorder->stopped)
        write_piece(recorder);
}

void recorder_suppose(struct recorder *recorder, uint64_t now_us, const struct sched_event *add)
{
    if (recorder && !recorder->stopped)
        tape_write_suppose(&recorder->tape, now_us, add);
}

void recorder_remove(struct recorder *recorder, uint64_t job)
{
    if (recorder && !recorder->stopped)
        tape_write_remove(&recorder->tape, job);
}

void recorder_breathe(struct recorder *recorder, uint64_t now_us)
{
    if (!recorder || recorder->stopped || now_us - recorder->breathed_us < BREATH_US)
        return;
    recorder->breathed_us = now_us;
    look_at_bounds(recorder);
    if (!recorder->stopped)
        write_piece(recorder);
}
