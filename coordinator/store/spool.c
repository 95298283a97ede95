// SPDX-License-Identifier: Apache-2.0
#include "spool.h"

#include "aside.h"
#include "ensure.h"
#include "file.h"
#include "log.h"
#include "npy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    JOBS_MAX = SPOOL_FILES_MAX,
    APPEND_BYTES = 256 << 10,
    FRESH_MAX = 128,
    RUN_BYTES = 64 << 10,
    RUN_ROWS_MAX = 16 << 10 /* larger rows are written as they are */
};

struct output {
    int rows_fd, index_fd;      /* index_fd: varying rows only */
    uint64_t row_bytes;         /* fixed rows */
    uint64_t start;             /* fixed rows: the header's length */
    uint64_t tail, synced_tail; /* varying rows: where the next record goes */
};

struct spooled_job {
    struct spool_shape shape;
    struct output outputs[STORE_OUTPUTS_MAX];
    bool dirty;
    uint64_t used; /* serial of the last use */
};

/* Fixed rows of the k-th output that follow each other in its file and are not written yet: small results of
 * one group mostly do, and a write costs far more than a copy. */
struct run {
    struct spooled_job *job; /* NULL = nothing gathered */
    uint64_t offset;
    size_t used;
    uint8_t *bytes; /* RUN_BYTES; NULL = not yet */
};

struct spool {
    char state_dir[SPOOL_DIR_MAX + 1];
    struct run runs[STORE_OUTPUTS_MAX];
    struct spooled_job *jobs[JOBS_MAX];
    uint32_t jobs_count, files_count, files_max;
    uint64_t serial;
    uint8_t *append; /* APPEND_BYTES */
    uint32_t fresh_count;
    int fresh[FRESH_MAX]; /* files and folders of new jobs, to be synced together */
    bool folder_fresh;    /* that they are in is among them */
};

bool spool_varies(const struct tensor_spec *spec)
{
    for (uint32_t i = 0; i < spec->dims_count; i++)
        if (spec->dims[i] < 0)
            return true;
    return false;
}

/* ---- names ---- */

static bool is_plain(unsigned char c, bool at_start)
{
    bool word =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    return word || (c == '.' && !at_start);
}

void spool_output_name(const struct spool_shape *shape, uint32_t k, char name[SPOOL_NAME_MAX])
{
    const char *from = shape->outputs[k].name;
    size_t used = 0;
    if (!*from) {
        snprintf(name, SPOOL_NAME_MAX, "output%" PRIu32, k);
        return;
    }
    for (; *from && used < SPOOL_NAME_MAX - 16; from++) {
        if (is_plain((unsigned char)*from, used == 0))
            name[used++] = *from;
        else
            used += (size_t)snprintf(name + used, SPOOL_NAME_MAX - used, "%%%02X", (unsigned char)*from);
    }
    name[used] = 0;
    if (*from) /* cut: '~' is in no uncut name */
        snprintf(name + used, SPOOL_NAME_MAX - used, "~%" PRIu32, k);
}

void spool_job_path(const char *state_dir, uint64_t job, char path[SPOOL_PATH_MAX])
{
    snprintf(path, SPOOL_PATH_MAX, "%s/spool/%" PRIu64, state_dir, job);
}

void spool_output_path(const char *state_dir, const struct spool_shape *shape, uint32_t k, const char *suffix,
                       char path[SPOOL_PATH_MAX])
{
    char name[SPOOL_NAME_MAX];
    spool_output_name(shape, k, name);
    snprintf(path, SPOOL_PATH_MAX, "%s/spool/%" PRIu64 "/%s%s", state_dir, shape->job, name, suffix);
}

/* ---- life ---- */

/* Where few files may be open, most of them are for connections, the journal and the answers. */
static uint32_t most_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur / 8 >= SPOOL_FILES_MAX)
        return SPOOL_FILES_MAX;
    return limit.rlim_cur / 8 > 4 ? (uint32_t)(limit.rlim_cur / 8) : 4;
}

enum err spool_new(const char *state_dir, struct spool **spool, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    *spool = NULL;
    if (strlen(state_dir) > SPOOL_DIR_MAX)
        return why_set(why, ERR_LIMIT,
                       "%.100s...: the state directory's path is longer than %d bytes; choose a shorter one",
                       state_dir, SPOOL_DIR_MAX);
    snprintf(path, sizeof path, "%s/spool", state_dir);
    enum err err = file_make_dirs(path, 0700, why);
    if (err != ERR_OK)
        return err;
    struct spool *fresh = calloc(1, sizeof *fresh);
    if (fresh)
        fresh->files_max = most_files();
    if (fresh)
        fresh->append = malloc(APPEND_BYTES);
    if (!fresh || !fresh->append) {
        free(fresh);
        return why_set(why, ERR_MEMORY, "no memory for the spool");
    }
    snprintf(fresh->state_dir, sizeof fresh->state_dir, "%s", state_dir);
    *spool = fresh;
    return ERR_OK;
}

static void close_fd(struct spool *spool, int *fd)
{
    if (*fd < 0)
        return;
    close(*fd);
    *fd = -1;
    spool->files_count--;
}

/* What is still gathered of it goes, too: whoever needs it flushes first. */
static void close_job(struct spool *spool, uint32_t place)
{
    struct spooled_job *job = spool->jobs[place];
    for (uint32_t k = 0; k < job->shape.outputs_count; k++) {
        if (spool->runs[k].job == job)
            spool->runs[k].job = NULL;
        close_fd(spool, &job->outputs[k].rows_fd);
        close_fd(spool, &job->outputs[k].index_fd);
    }
    free(job);
    spool->jobs[place] = spool->jobs[--spool->jobs_count];
}

static void drop_fresh(struct spool *spool)
{
    while (spool->fresh_count > 0)
        close(spool->fresh[--spool->fresh_count]);
    spool->folder_fresh = false;
}

void spool_free(struct spool **spool)
{
    if (!*spool)
        return;
    while ((*spool)->jobs_count > 0)
        close_job(*spool, 0);
    drop_fresh(*spool);
    for (uint32_t k = 0; k < STORE_OUTPUTS_MAX; k++)
        free((*spool)->runs[k].bytes);
    free((*spool)->append);
    free(*spool);
    *spool = NULL;
}

/* ---- reserving ---- */

static enum err check_output(const struct spool_shape *shape, uint32_t k, uint64_t *bytes, struct why *why)
{
    const struct tensor_spec *spec = &shape->outputs[k];
    char name[SPOOL_NAME_MAX], other[SPOOL_NAME_MAX], text[96];
    spool_output_name(shape, k, name);
    for (uint32_t i = 0; i < k; i++) {
        spool_output_name(shape, i, other);
        if (strcmp(name, other) == 0)
            return why_set(why, ERR_FORMAT, "two outputs of the model are named '%s'; rename one",
                           spec->name);
    }
    if (spec->dims_count > TENSOR_DIMS_MAX || dtype_bytes(spec->dtype) == 0)
        return why_set(why, ERR_FORMAT, "output '%s' has no element type or too many dimensions", spec->name);
    uint64_t row = spool_varies(spec) ? sizeof(struct spool_entry) : tensor_row_bytes(spec);
    bool empty = false;
    for (uint32_t i = 0; i < spec->dims_count; i++)
        empty |= spec->dims[i] == 0;
    tensor_print(spec, text, sizeof text);
    if ((row == 0 && !empty) || (row > 0 && shape->samples > (uint64_t)INT64_MAX / 2 / row))
        return why_set(why, ERR_LIMIT, "output '%s': %" PRIu64 " samples of %s are more than a file can hold",
                       spec->name, shape->samples, text);
    *bytes += shape->samples * row;
    return *bytes <= INT64_MAX / 2 ? ERR_OK : why_set(why, ERR_LIMIT, "the outputs of the job are too large");
}

static enum err check_room(const struct spool *spool, const struct spool_shape *shape, uint64_t bytes,
                           struct why *why)
{
    uint64_t room = 0;
    enum err err = file_free_bytes(spool->state_dir, &room, why);
    if (err != ERR_OK || bytes == 0 || bytes + SPOOL_MARGIN_BYTES <= room)
        return err;
    return why_set(why, ERR_FULL,
                   "%s: the outputs of job %" PRIu64
                   " need %.1f MB, %.1f MB are free there (%d MB stay so); free space, or set "
                   "MOTLEY_STATE_DIR to a larger disk",
                   spool->state_dir, shape->job, (double)bytes / 1e6, (double)room / 1e6,
                   SPOOL_MARGIN_BYTES >> 20);
}

/* Take the room. Where the file system cannot, a sparse file must do: check_room has looked whether it fits
 * today. */
static enum err take_room(int fd, uint64_t bytes, const char *path, struct why *why)
{
    int code = 0;
    if (bytes == 0)
        return ERR_OK;
    do
        code = fallocate(fd, 0, 0, (off_t)bytes) == 0 ? 0 : errno;
    while (code == EINTR);
    if ((code == EOPNOTSUPP || code == ENOSYS) && ftruncate(fd, (off_t)bytes) == 0)
        return ERR_OK;
    errno = code;
    if (code == ENOSPC || code == EDQUOT)
        return why_set_errno(why, ERR_FULL, "%s: no room for %.1f MB; free space", path, (double)bytes / 1e6);
    if (code == EFBIG)
        return why_set_errno(why, ERR_FULL,
                             "%s: a file of %.1f MB is more than the file system or `ulimit -f` allows", path,
                             (double)bytes / 1e6);
    return code ? why_set_errno(why, ERR_FILE, "%s: cannot be given its size", path) : ERR_OK;
}

/* The first of many takes most of the time: a file system writes down what it knows of all of them. EINVAL:
 * one that cannot sync folders, where there is nothing more to be done. */
static enum err sync_fresh(struct spool *spool, struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < spool->fresh_count && err == ERR_OK; i++)
        if (fsync(spool->fresh[i]) != 0 && errno != EINVAL)
            err = why_set_errno(why, ERR_SYSTEM, "%s/spool: the files of new jobs cannot be synced",
                                spool->state_dir);
    drop_fresh(spool);
    return err;
}

/* fd is taken. */
static enum err keep_fresh(struct spool *spool, int fd, struct why *why)
{
    enum err err = spool->fresh_count == FRESH_MAX ? sync_fresh(spool, why) : ERR_OK;
    spool->fresh[spool->fresh_count++] = fd;
    return err;
}

static enum err keep_fresh_folder(struct spool *spool, const char *path, struct why *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be opened", path);
    return keep_fresh(spool, fd, why);
}

/* Make a file with first bytes and room for size in all, to be synced with the others. */
static enum err make_file(struct spool *spool, const char *path, const void *start, size_t start_size,
                          uint64_t size, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return why_set_errno(why, errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_FILE,
                             "%s: cannot be made", path);
    enum err err = take_room(fd, size, path, why);
    if (err == ERR_OK)
        err = file_pwrite(fd, start, start_size, 0, path, why);
    if (err == ERR_OK)
        return keep_fresh(spool, fd, why);
    close(fd);
    return err;
}

static enum err make_output(struct spool *spool, const struct spool_shape *shape, uint32_t k, struct why *why)
{
    const struct tensor_spec *spec = &shape->outputs[k];
    char path[SPOOL_PATH_MAX];
    uint8_t header[NPY_HEADER_MAX];
    if (!spool_varies(spec)) {
        size_t size = npy_header(spec, shape->samples, header);
        spool_output_path(spool->state_dir, shape, k, ".npy", path);
        return make_file(spool, path, header, size, size + shape->samples * tensor_row_bytes(spec), why);
    }
    spool_output_path(spool->state_dir, shape, k, ".rows", path);
    enum err err = make_file(spool, path, SPOOL_ROWS_MAGIC, SPOOL_ROWS_START, SPOOL_ROWS_START, why);
    if (err != ERR_OK)
        return err;
    spool_output_path(spool->state_dir, shape, k, ".index", path);
    return make_file(spool, path, "", 0, shape->samples * sizeof(struct spool_entry), why);
}

/* The folder of all jobs is synced once for all that are new, and after the last of them was made. */
static enum err make_folder(struct spool *spool, const char *path, struct why *why)
{
    char parent[SPOOL_PATH_MAX];
    if (mkdir(path, 0700) != 0)
        return file_make_dirs(path, 0700, why);
    if (spool->folder_fresh)
        return ERR_OK;
    snprintf(parent, sizeof parent, "%s/spool", spool->state_dir);
    enum err err = keep_fresh_folder(spool, parent, why);
    spool->folder_fresh = err == ERR_OK;
    return err;
}

static enum err make_job(struct spool *spool, const struct spool_shape *shape, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    spool_job_path(spool->state_dir, shape->job, path);
    enum err err = make_folder(spool, path, why);
    for (uint32_t k = 0; k < shape->outputs_count && err == ERR_OK; k++)
        err = make_output(spool, shape, k, why);
    return err == ERR_OK ? keep_fresh_folder(spool, path, why) : err;
}

enum err spool_reserve(struct spool *spool, const struct spool_shape *shape, struct why *why)
{
    uint64_t bytes = 0;
    enum err err = ERR_OK;
    ENSURE(shape->outputs_count <= STORE_OUTPUTS_MAX);
    for (uint32_t k = 0; k < shape->outputs_count && err == ERR_OK; k++)
        err = check_output(shape, k, &bytes, why);
    if (err == ERR_OK)
        err = spool_remove(spool, shape->job, why);
    if (err == ERR_OK)
        err = check_room(spool, shape, bytes, why);
    if (err != ERR_OK)
        return err;
    err = make_job(spool, shape, why);
    struct why why_left;
    if (err != ERR_OK && spool_remove(spool, shape->job, &why_left) != ERR_OK)
        log_warn("SPOOL-LEFT", "%s; it goes at the next start", why_left.text);
    return err;
}

/* ---- open jobs ---- */

static struct spooled_job *find_job(const struct spool *spool, uint64_t job)
{
    for (uint32_t i = 0; i < spool->jobs_count; i++)
        if (spool->jobs[i]->shape.job == job)
            return spool->jobs[i];
    return NULL;
}

bool spool_knows(const struct spool *spool, uint64_t job) { return find_job(spool, job) != NULL; }

/* EFBIG is a limit that can be raised while we wait; any other failure but a full disk means that nothing is
 * sure. */
static enum err put(int fd, const void *bytes, size_t size, uint64_t offset, const char *what,
                    struct why *why)
{
    enum err err = size ? file_pwrite(fd, bytes, size, offset, what, why) : ERR_OK;
    if (err == ERR_OK || err == ERR_FULL)
        return err;
    return errno == EFBIG ? ERR_FULL : ERR_SYSTEM;
}

static enum err run_flush(struct spool *spool, uint32_t k, struct why *why)
{
    struct run *run = &spool->runs[k];
    char what[SPOOL_PATH_MAX];
    if (!run->job)
        return ERR_OK;
    spool_output_path(spool->state_dir, &run->job->shape, k, ".npy", what);
    enum err err = put(run->job->outputs[k].rows_fd, run->bytes, run->used, run->offset, what, why);
    run->job = NULL;
    return err;
}

static enum err runs_flush(struct spool *spool, struct why *why)
{
    enum err err = ERR_OK;
    for (uint32_t k = 0; k < STORE_OUTPUTS_MAX && err == ERR_OK; k++)
        err = run_flush(spool, k, why);
    return err;
}

/* False: they do not follow the run, or there is no room. */
static bool run_add(struct run *run, const struct spooled_job *job, uint64_t offset, const void *rows,
                    size_t size)
{
    if (run->job != job || run->offset + run->used != offset || run->used + size > RUN_BYTES)
        return false;
    memcpy(run->bytes + run->used, rows, size);
    run->used += size;
    return true;
}

static enum err run_write(struct spool *spool, struct spooled_job *job, uint32_t k, uint64_t offset,
                          const void *rows, size_t size, struct why *why)
{
    struct run *run = &spool->runs[k];
    if (run_add(run, job, offset, rows, size))
        return ERR_OK;
    enum err err = run_flush(spool, k, why);
    if (err == ERR_OK && !run->bytes && !(run->bytes = malloc(RUN_BYTES)))
        err = why_set(why, ERR_MEMORY, "no memory for the spool");
    if (err != ERR_OK)
        return err;
    run->job = job;
    run->offset = offset;
    run->used = 0;
    ENSURE(run_add(run, job, offset, rows, size));
    return ERR_OK;
}

static enum err sync_fd(int fd, const struct spool_shape *shape, uint32_t k, struct why *why)
{
    if (fd < 0 || fdatasync(fd) == 0)
        return ERR_OK;
    return why_set_errno(why, ERR_SYSTEM, "spool/%" PRIu64 ", output '%s': cannot be synced", shape->job,
                         shape->outputs[k].name);
}

static enum err sync_job(struct spooled_job *job, struct why *why)
{
    for (uint32_t k = 0; k < job->shape.outputs_count && job->dirty; k++) {
        struct output *output = &job->outputs[k];
        enum err err = sync_fd(output->rows_fd, &job->shape, k, why);
        if (err == ERR_OK)
            err = sync_fd(output->index_fd, &job->shape, k, why);
        if (err != ERR_OK)
            return err;
        output->synced_tail = output->tail;
    }
    job->dirty = false;
    return ERR_OK;
}

static uint32_t files_of(const struct spool_shape *shape)
{
    uint32_t files = 0;
    for (uint32_t k = 0; k < shape->outputs_count; k++)
        files += spool_varies(&shape->outputs[k]) ? 2 : 1;
    return files;
}

/* Close the jobs that were not used for longest, until there is room for files more. */
static enum err make_way(struct spool *spool, uint32_t files, struct why *why)
{
    while (spool->jobs_count == JOBS_MAX ||
           (spool->jobs_count > 0 && spool->files_count + files > spool->files_max)) {
        uint32_t oldest = 0;
        for (uint32_t i = 1; i < spool->jobs_count; i++)
            if (spool->jobs[i]->used < spool->jobs[oldest]->used)
                oldest = i;
        enum err err = runs_flush(spool, why);
        if (err == ERR_OK)
            err = sync_job(spool->jobs[oldest], why);
        if (err != ERR_OK)
            return err;
        close_job(spool, oldest);
    }
    return ERR_OK;
}

static enum err open_file(struct spool *spool, const char *path, int *fd, uint64_t *size, struct why *why)
{
    struct stat status;
    *fd = open(path, O_RDWR | O_CLOEXEC);
    if (*fd < 0)
        return why_set_errno(why, errno == ENOENT ? ERR_FORMAT : ERR_SYSTEM, "%s: cannot be opened", path);
    spool->files_count++;
    if (fstat(*fd, &status) != 0)
        return why_set_errno(why, ERR_SYSTEM, "%s: cannot be looked at", path);
    *size = (uint64_t)status.st_size;
    return ERR_OK;
}

static enum err open_fixed(struct spool *spool, const struct spool_shape *shape, uint32_t k,
                           struct output *output, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    struct npy_array array;
    uint64_t size;
    int64_t mtime_ns;
    spool_output_path(spool->state_dir, shape, k, ".npy", path);
    enum err err = open_file(spool, path, &output->rows_fd, &size, why);
    if (err != ERR_OK)
        return err;
    output->row_bytes = tensor_row_bytes(&shape->outputs[k]);
    if (npy_open(path, &array, &size, &mtime_ns, why) != ERR_OK || array.sample_count != shape->samples ||
        array.row_bytes != output->row_bytes)
        return why_set(why, ERR_FORMAT, "%s: is damaged; cancel the job and submit it again", path);
    output->start = array.offset;
    return ERR_OK;
}

static enum err open_varying(struct spool *spool, const struct spool_shape *shape, uint32_t k,
                             struct output *output, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    uint64_t index_size = 0;
    spool_output_path(spool->state_dir, shape, k, ".rows", path);
    enum err err = open_file(spool, path, &output->rows_fd, &output->tail, why);
    output->synced_tail = output->tail;
    spool_output_path(spool->state_dir, shape, k, ".index", path);
    if (err == ERR_OK)
        err = open_file(spool, path, &output->index_fd, &index_size, why);
    if (err == ERR_OK &&
        (output->tail < SPOOL_ROWS_START || index_size != shape->samples * sizeof(struct spool_entry)))
        err = why_set(why, ERR_FORMAT, "%s: is damaged; cancel the job and submit it again", path);
    return err;
}

enum err spool_learn(struct spool *spool, const struct spool_shape *shape, struct why *why)
{
    ENSURE(!spool_knows(spool, shape->job));
    enum err err = make_way(spool, files_of(shape), why);
    struct spooled_job *job = err == ERR_OK ? calloc(1, sizeof *job) : NULL;
    if (!job)
        return err == ERR_OK ? why_set(why, ERR_MEMORY, "no memory for the spool of job %" PRIu64, shape->job)
                             : err;
    job->shape = *shape;
    job->used = ++spool->serial;
    for (uint32_t k = 0; k < shape->outputs_count; k++)
        job->outputs[k].rows_fd = job->outputs[k].index_fd = -1;
    spool->jobs[spool->jobs_count++] = job;
    for (uint32_t k = 0; k < shape->outputs_count && err == ERR_OK; k++)
        err = (spool_varies(&shape->outputs[k]) ? open_varying : open_fixed)(spool, shape, k,
                                                                             &job->outputs[k], why);
    if (err != ERR_OK)
        close_job(spool, spool->jobs_count - 1);
    return err;
}

/* ---- writing ---- */

/* Does a result's row fit what was declared? Where nothing is open, saying nothing (DTYPE_NONE) is enough. */
static bool fits(const struct tensor_spec *declared, const struct tensor_spec *given)
{
    if (!given || given->dtype == DTYPE_NONE)
        return !spool_varies(declared);
    if (given->dtype != declared->dtype || given->dims_count != declared->dims_count || spool_varies(given))
        return false;
    for (uint32_t i = 0; i < declared->dims_count; i++)
        if (declared->dims[i] >= 0 && declared->dims[i] != given->dims[i])
            return false;
    return true;
}

static enum err refuse_shape(const struct tensor_spec *declared, const struct tensor_spec *given,
                             struct why *why)
{
    static const struct tensor_spec unsaid;
    char want[96], got[96];
    tensor_print(declared, want, sizeof want);
    tensor_print(given ? given : &unsaid, got, sizeof got);
    return why_set(why, ERR_FORMAT, "output '%s': the model declares rows of %s, this result has %s",
                   declared->name, want, got);
}

static enum err refuse_size(const struct tensor_spec *declared, const struct tensor_spec *given,
                            const struct store_op *op, uint64_t row, uint64_t bytes, struct why *why)
{
    char text[96];
    tensor_print(spool_varies(declared) ? given : declared, text, sizeof text);
    return why_set(why, ERR_FORMAT,
                   "output '%s': %" PRIu32 " rows of %s take %" PRIu64 " bytes, this result has %" PRIu64,
                   declared->name, op->count, text, op->count * row, bytes);
}

static enum err check_rows(const struct spooled_job *job, const struct store_op *op, uint32_t k,
                           struct why *why)
{
    const struct tensor_spec *declared = &job->shape.outputs[k],
                             *given = op->outputs ? &op->outputs[k] : NULL;
    if (!fits(declared, given))
        return refuse_shape(declared, given, why);
    uint64_t row = spool_varies(declared) ? tensor_row_bytes(given) : job->outputs[k].row_bytes;
    if (row > UINT64_MAX / (op->count ? op->count : 1) || op->rows_bytes[k] != op->count * row)
        return refuse_size(declared, given, op, row, op->rows_bytes[k], why);
    return ERR_OK;
}

static enum err check_result(const struct spooled_job *job, const struct store_op *op, struct why *why)
{
    if (op->first > job->shape.samples || op->count > job->shape.samples - op->first)
        return why_set(why, ERR_NOT_FOUND,
                       "job %" PRIu64 " has %" PRIu64 " samples, this result is for %" PRIu64
                       " from %" PRIu64,
                       op->job, job->shape.samples, (uint64_t)op->count, op->first);
    if (op->outputs_count != job->shape.outputs_count)
        return why_set(why, ERR_FORMAT, "job %" PRIu64 " has %" PRIu32 " outputs, this result has %" PRIu32,
                       op->job, job->shape.outputs_count, op->outputs_count);
    for (uint32_t k = 0; k < op->outputs_count; k++) {
        enum err err = check_rows(job, op, k, why);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

struct appender {
    struct spool *spool;
    struct output *output;
    const char *what;
    size_t used; /* of spool->append, to go to output->tail */
};

static enum err append_flush(struct appender *appender, struct why *why)
{
    struct output *output = appender->output;
    enum err err =
        put(output->rows_fd, appender->spool->append, appender->used, output->tail, appender->what, why);
    if (err != ERR_OK)
        return err;
    output->tail += appender->used;
    appender->used = 0;
    return ERR_OK;
}

static enum err append(struct appender *appender, const void *bytes, size_t size, struct why *why)
{
    enum err err = appender->used + size > APPEND_BYTES ? append_flush(appender, why) : ERR_OK;
    if (err != ERR_OK)
        return err;
    if (size <= APPEND_BYTES) {
        if (size)
            memcpy(appender->spool->append + appender->used, bytes, size);
        appender->used += size;
        return ERR_OK;
    }
    err = put(appender->output->rows_fd, bytes, size, appender->output->tail, appender->what, why);
    if (err == ERR_OK)
        appender->output->tail += size;
    return err;
}

static enum err append_rows(struct appender *appender, const struct store_op *op, uint32_t k,
                            uint64_t row_bytes, struct why *why)
{
    const struct tensor_spec *spec = &op->outputs[k];
    const uint8_t *row = op->rows[k];
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < op->count && err == ERR_OK; i++) {
        err = append(appender, spec->dims, spec->dims_count * sizeof spec->dims[0], why);
        if (err == ERR_OK)
            err = append(appender, row ? row + i * row_bytes : NULL, row_bytes, why);
    }
    return err == ERR_OK ? append_flush(appender, why) : err;
}

static enum err put_entries(struct output *output, const struct store_op *op, uint64_t start, uint64_t length,
                            const char *what, struct why *why)
{
    struct spool_entry entries[256];
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < op->count && err == ERR_OK;) {
        uint32_t n = 0;
        uint64_t place = (op->first + i) * sizeof entries[0];
        for (; n < sizeof entries / sizeof entries[0] && i < op->count; n++, i++)
            entries[n] = (struct spool_entry){ start + i * length, length };
        err = put(output->index_fd, entries, n * sizeof entries[0], place, what, why);
    }
    return err;
}

static enum err write_varying(struct spool *spool, struct spooled_job *job, const struct store_op *op,
                              uint32_t k, struct why *why)
{
    struct output *output = &job->outputs[k];
    char what[SPOOL_PATH_MAX];
    spool_output_path(spool->state_dir, &job->shape, k, ".rows", what);
    struct appender appender = { spool, output, what, 0 };
    uint64_t row_bytes = tensor_row_bytes(&op->outputs[k]), start = output->tail;
    enum err err = append_rows(&appender, op, k, row_bytes, why);
    if (err != ERR_OK)
        return err;
    return put_entries(output, op, start, op->outputs[k].dims_count * sizeof(int64_t) + row_bytes, what, why);
}

static enum err write_output(struct spool *spool, struct spooled_job *job, const struct store_op *op,
                             uint32_t k, struct why *why)
{
    struct output *output = &job->outputs[k];
    char what[SPOOL_PATH_MAX];
    uint64_t offset = output->start + op->first * output->row_bytes;
    if (output->index_fd >= 0)
        return write_varying(spool, job, op, k, why);
    if (op->rows_bytes[k] == 0)
        return ERR_OK;
    if (op->rows_bytes[k] <= RUN_ROWS_MAX)
        return run_write(spool, job, k, offset, op->rows[k], op->rows_bytes[k], why);
    spool_output_path(spool->state_dir, &job->shape, k, ".npy", what);
    return put(output->rows_fd, op->rows[k], op->rows_bytes[k], offset, what, why);
}

enum err spool_write(struct spool *spool, const struct store_op *op, struct why *why)
{
    struct spooled_job *job = find_job(spool, op->job);
    ENSURE(job);
    enum err err = check_result(job, op, why);
    if (err != ERR_OK)
        return err;
    job->used = ++spool->serial;
    job->dirty = true;
    for (uint32_t k = 0; k < op->outputs_count && err == ERR_OK; k++)
        err = write_output(spool, job, op, k, why);
    return err;
}

enum err spool_sync(struct spool *spool, struct why *why)
{
    enum err err = sync_fresh(spool, why);
    if (err == ERR_OK)
        err = runs_flush(spool, why);
    for (uint32_t i = 0; i < spool->jobs_count && err == ERR_OK; i++)
        err = sync_job(spool->jobs[i], why);
    return err;
}

void spool_abort(struct spool *spool)
{
    drop_fresh(spool);
    while (spool->jobs_count > 0) {
        struct spooled_job *job = spool->jobs[0];
        for (uint32_t k = 0; k < job->shape.outputs_count && job->dirty; k++)
            /* A cut that fails only leaves dead bytes at the end. */
            if (job->outputs[k].index_fd >= 0 &&
                ftruncate(job->outputs[k].rows_fd, (off_t)job->outputs[k].synced_tail) != 0)
                continue;
        close_job(spool, 0);
    }
}

/* ---- removing ---- */

void spool_forget(struct spool *spool, uint64_t job)
{
    for (uint32_t i = 0; i < spool->jobs_count; i++)
        if (spool->jobs[i]->shape.job == job) {
            close_job(spool, i);
            return;
        }
}

enum err spool_remove(struct spool *spool, uint64_t job, struct why *why)
{
    char path[SPOOL_PATH_MAX];
    spool_forget(spool, job);
    spool_job_path(spool->state_dir, job, path);
    return file_remove_tree(path, why);
}

enum err spool_discard(struct spool *spool, uint64_t job, struct why *why)
{
    char name[48];
    spool_forget(spool, job);
    snprintf(name, sizeof name, "spool/%" PRIu64, job);
    return aside_put(spool->state_dir, name, why) == ERR_OK ? ERR_OK : spool_remove(spool, job, why);
}

static bool parse_job(const char *name, uint64_t *job)
{
    char *end;
    if (*name < '1' || *name > '9')
        return false;
    errno = 0;
    *job = strtoull(name, &end, 10);
    return errno == 0 && *end == 0;
}

bool spool_find_job(const char *state_dir, uint64_t *job)
{
    char path[SPOOL_PATH_MAX];
    bool found = false;
    snprintf(path, sizeof path, "%s/spool", state_dir);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && !found && (entry = readdir(folder)) != NULL;)
        found = parse_job(entry->d_name, job);
    if (folder)
        closedir(folder);
    return found;
}

enum err spool_sweep(struct spool *spool, bool (*keep)(void *context, uint64_t job), void *context,
                     struct why *why)
{
    char path[SPOOL_PATH_MAX];
    uint64_t job;
    snprintf(path, sizeof path, "%s/spool", spool->state_dir);
    DIR *folder = opendir(path);
    if (!folder)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
    enum err err = ERR_OK;
    for (struct dirent *entry; err == ERR_OK && (entry = readdir(folder)) != NULL;)
        if (parse_job(entry->d_name, &job) && !keep(context, job))
            err = spool_remove(spool, job, why);
    closedir(folder);
    return err;
}
