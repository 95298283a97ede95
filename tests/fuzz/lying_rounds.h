// SPDX-License-Identifier: Apache-2.0
/* lying_rounds - what the programs among liars share: a folder with odd files, looks at memory, descriptors
 * and disk, and the rounds, one for each seed. */
#ifndef LYING_ROUNDS_H
#define LYING_ROUNDS_H

#include "clock.h"
#include "file.h"
#include "fuzz.h"
#include "log.h"
#include "rng.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum {
    LYING_RESIDENT_MAX_MB = 1500, /* of a process with sanitizers */
    LYING_DISK_MAX_MB = 1024,
    LYING_FILE_MAX_MB = 16, /* room is taken when a job is accepted: it must not be this machine's disk */
};

static inline uint64_t lying_resident_mb(void)
{
    unsigned long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    FUZZ_CHECK(file && fscanf(file, "%llu %llu", &pages, &resident) == 2);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
}

static inline uint32_t lying_entries(const char *path)
{
    uint32_t count = 0;
    DIR *folder = opendir(path);
    FUZZ_CHECK(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static uint64_t lying_blocks;

static inline int lying_add_blocks(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)path, (void)type, (void)place;
    lying_blocks += (uint64_t)status->st_blocks;
    return 0;
}

/* Blocks that are really there, of a tree. */
static inline uint64_t lying_disk_bytes(const char *path)
{
    lying_blocks = 0;
    FUZZ_CHECK(nftw(path, lying_add_blocks, 16, FTW_PHYS) == 0);
    return lying_blocks * 512;
}

static inline void lying_put(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FUZZ_CHECK(file_replace(path, bytes, size, 0600, NULL) == ERR_OK);
}

/* A fresh folder: state/ and out/, canary/ that nobody may write to, and in/ with files that are to be read,
 * or not. */
static inline void lying_folder(char *dir, size_t max)
{
    static const char *const folders[] = { "state", "out", "in", "canary" };
    static const uint8_t rows[8192];
    char path[256], out[256];
    snprintf(dir, max, "/tmp/motley-fuzz-XXXXXX");
    FUZZ_CHECK(mkdtemp(dir));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
        FUZZ_CHECK(file_make_dirs(path, 0700, NULL) == ERR_OK);
    }
    lying_put(dir, "canary/c0.npy", "alive", 5);
    lying_put(dir, "in/rows0", rows, sizeof rows);
    lying_put(dir, "in/rows1", rows, 100);
    lying_put(dir, "in/flips", "12345678", 8);
    snprintf(path, sizeof path, "%s/in/fifo", dir);
    FUZZ_CHECK(mkfifo(path, 0600) == 0);
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(path, sizeof path, "%s/out/link", dir);
    FUZZ_CHECK(symlink(out, path) == 0);
}

/* A file that a job names is a plain one when it is looked at and a FIFO, or gone, when it is read; unless an
 * answer was published there just now. */
static inline void lying_flip(const char *dir, struct rng *rng)
{
    char path[256];
    snprintf(path, sizeof path, "%s/in/flips", dir);
    if (unlink(path) != 0)
        return;
    if (rng_below(rng, 2))
        (void)(file_replace(path, "12345678abcdefgh", 16, 0600, NULL) == ERR_OK);
    else
        FUZZ_CHECK(mkfifo(path, 0600) == 0 || errno == EEXIST);
}

/* Nothing was written where nothing may be, nor too much where something may. */
static inline void lying_folder_check(const char *dir)
{
    char path[256], *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/canary", dir);
    FUZZ_CHECK(lying_entries(path) == 1);
    snprintf(path, sizeof path, "%s/canary/c0.npy", dir);
    FUZZ_CHECK(file_read(path, 100, &bytes, &size, NULL) == ERR_OK && size == 5 &&
               memcmp(bytes, "alive", 5) == 0);
    free(bytes);
    FUZZ_CHECK(lying_resident_mb() < LYING_RESIDENT_MAX_MB);
    FUZZ_CHECK(lying_disk_bytes(dir) >> 20 < LYING_DISK_MAX_MB);
}

/* ---- rounds ---- */

static inline uint64_t lying_option(int argc, char **argv, const char *name, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoull(argv[i + 1], NULL, 10);
    return otherwise;
}

/* --seed, --seconds, --rounds: one round for each seed, until the time or their number is over. Without
 * --seed each run has others. */
static inline int lying_rounds(int argc, char **argv, void (*play)(uint64_t seed))
{
    const struct rlimit limit = { (rlim_t)LYING_FILE_MAX_MB << 20, (rlim_t)LYING_FILE_MAX_MB << 20 };
    uint64_t began_us = clock_monotonic_us(), played = 0;
    uint64_t seed = lying_option(argc, argv, "--seed", (uint64_t)clock_wall_us() % 1000000000);
    uint64_t rounds = lying_option(argc, argv, "--rounds", UINT64_MAX);
    uint64_t until_us = began_us + lying_option(argc, argv, "--seconds", 10) * 1000000;
    FUZZ_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    log_init("fuzz", lying_option(argc, argv, "--log", 0) ? LOG_DEBUG : LOG_ERROR, 2);
    uint32_t files = lying_entries("/proc/self/fd");
    do {
        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        play(seed++);
        FUZZ_CHECK(lying_entries("/proc/self/fd") == files);
    } while (++played < rounds && clock_monotonic_us() < until_us);
    fprintf(stderr, "%llu rounds\n", (unsigned long long)played);
    return 0;
}

#endif
