// SPDX-License-Identifier: Apache-2.0
#include "costs.h"

#include "element.h"
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum err check(const char *path, const struct npy_array *array, uint64_t samples, struct why *why)
{
    if (samples > COSTS_MAX)
        return why_set(why, ERR_LIMIT, "%.400s: costs can be given for %d samples at most, the job has %llu",
                       path, COSTS_MAX, (unsigned long long)samples);
    if (array->spec.dims_count != 0 || array->spec.dtype == DTYPE_F16 || array->spec.dtype == DTYPE_BOOL)
        return why_set(why, ERR_FORMAT,
                       "%.400s: costs are one number for each sample (one axis, not float16)", path);
    if (array->sample_count != samples)
        return why_set(why, ERR_USAGE, "%.400s: holds %llu costs, the job has %llu samples", path,
                       (unsigned long long)array->sample_count, (unsigned long long)samples);
    return ERR_OK;
}

static enum err read_rows(const char *path, const struct npy_array *array, uint8_t *rows, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t left = (size_t)(array->sample_count * array->row_bytes), done = 0;
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && done < left) {
        got = pread(fd, rows + done, left - done, (off_t)(array->offset + done));
        done += got > 0 ? (size_t)got : 0;
    }
    int number = errno;
    if (fd >= 0)
        close(fd);
    if (done == left)
        return ERR_OK;
    return why_set(why, ERR_FILE, "%.400s: %s", path,
                   got < 0 ? strerror(number) : "it was cut while it was read");
}

static enum err scale(const char *path, const struct npy_array *array, const uint8_t *rows, uint32_t *costs,
                      struct why *why)
{
    double most = 0;
    for (uint64_t i = 0; i < array->sample_count; i++) {
        double cost = element_number(array->spec.dtype, rows + i * array->row_bytes);
        if (!(cost > 0) || !isfinite(cost))
            return why_set(why, ERR_FORMAT, "%.400s: the cost of sample %llu is %g; it must be above 0", path,
                           (unsigned long long)i, cost);
        most = cost > most ? cost : most;
    }
    for (uint64_t i = 0; i < array->sample_count; i++) {
        double cost = element_number(array->spec.dtype, rows + i * array->row_bytes) / most * COSTS_SCALE;
        costs[i] = cost < 1 ? 1 : (uint32_t)cost;
    }
    return ERR_OK;
}

enum err costs_read(const char *path, uint64_t samples, uint32_t **costs, struct why *why)
{
    struct npy_array array;
    uint64_t bytes;
    int64_t mtime_ns;
    *costs = NULL;
    enum err err = npy_open(path, &array, &bytes, &mtime_ns, why);
    if (!err)
        err = check(path, &array, samples, why);
    if (err)
        return err;
    uint8_t *rows = malloc((size_t)(samples * array.row_bytes) + 1);
    *costs = calloc((size_t)samples + 1, sizeof **costs);
    err = rows && *costs ? read_rows(path, &array, rows, why) : why_set(why, ERR_MEMORY, "out of memory");
    if (!err)
        err = scale(path, &array, rows, *costs, why);
    free(rows);
    if (err) {
        free(*costs);
        *costs = NULL;
    }
    return err;
}
