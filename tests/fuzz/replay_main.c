// SPDX-License-Identifier: Apache-2.0
/* replay_main - runs a fuzz target over every file given, and every file in every folder given (and below),
 * in order of their names; then, with `--mutate N`, over N inputs that are made of those, by chance (`--seed
 * S`, printed). It fails when there is nothing to run, so that a corpus that got lost is noticed.
 *
 * What a mutation tries stands in the file `mutated-PID` of the temporary folder while it is tried: after a
 * crash it is there to be replayed. Arguments with one dash are libFuzzer's. */
#include "fuzz.h"
#include "rng.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { INPUTS_MAX = 4096, MUTATED_MAX = 1 << 16 };

static struct input {
    uint8_t *data;
    size_t size;
} inputs[INPUTS_MAX];
static size_t runs;

static void keep(uint8_t *data, size_t size)
{
    FUZZ_CHECK(runs < INPUTS_MAX);
    inputs[runs++] = (struct input){ data, size };
}

static int replay_file(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        perror(path);
        return 1;
    }
    /* Exactly as large as the input, so that a sanitizer sees a read past its end. */
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(data && read(fd, data, size) == (ssize_t)size);
    close(fd);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    keep(data, size);
    return 0;
}

static int replay(const char *path);

static int replay_folder(const char *path)
{
    struct dirent **entries;
    int failures = 0, count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            failures += replay(name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return failures;
}

static int replay(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? replay_folder(path) : replay_file(path);
}

/* ---- mutations ---- */

/* A run of bytes goes, comes twice, or is one of another input. */
static size_t graft(struct rng *rng, uint8_t *bytes, size_t size, const struct input *other)
{
    size_t at = (size_t)rng_below(rng, size + 1), length = (size_t)rng_below(rng, 64) + 1;
    size_t left = size - at;
    switch (rng_below(rng, 3)) {
    case 0:
        length = length < left ? length : left;
        memmove(bytes + at, bytes + at + length, left - length);
        return size - length;
    case 1:
        length = length < left ? length : left;
        if (size + length > MUTATED_MAX)
            return size;
        memmove(bytes + at + length, bytes + at, left);
        return size + length;
    default:
        length = length < other->size ? length : other->size;
        size_t from = (size_t)rng_below(rng, other->size - length + 1);
        if (size + length > MUTATED_MAX)
            return size;
        memmove(bytes + at + length, bytes + at, left);
        memcpy(bytes + at, other->data + from, length);
        return size + length;
    }
}

static void change(struct rng *rng, uint8_t *bytes, size_t size)
{
    static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, 0xdf, 0xdd, 0xc6, '"', '\n', '[', '{' };
    size_t at = (size_t)rng_below(rng, size);
    switch (rng_below(rng, 4)) {
    case 0: bytes[at] ^= (uint8_t)(1u << rng_below(rng, 8)); break;
    case 1: bytes[at] = odd[rng_below(rng, sizeof odd)]; break;
    case 2: bytes[at] = (uint8_t)(bytes[at] + rng_below(rng, 33) - 16); break;
    default:
        for (size_t i = at; i < size && i < at + 8; i++)
            bytes[i] = rng_below(rng, 2) ? 0xff : 0;
        break;
    }
}

static size_t mutate(struct rng *rng, uint8_t *bytes)
{
    const struct input *from = &inputs[rng_below(rng, runs)];
    size_t size = from->size < MUTATED_MAX ? from->size : MUTATED_MAX;
    memcpy(bytes, from->data, size);
    for (uint64_t times = 1 + rng_below(rng, 6); times > 0; times--) {
        if (size == 0 || rng_below(rng, 3) == 0)
            size = graft(rng, bytes, size, &inputs[rng_below(rng, runs)]);
        else
            change(rng, bytes, size);
    }
    return size;
}

/* The input that is tried is written down first, in memory that outlives the process. */
static void try_mutations(uint64_t count, uint64_t seed)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    struct rng rng;
    snprintf(path, sizeof path, "%s/mutated-%d", folder ? folder : "/tmp", (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0600);
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, MUTATED_MAX) == 0);
    uint8_t *bytes = mmap(NULL, MUTATED_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FUZZ_CHECK(bytes != MAP_FAILED);
    fprintf(stderr, "%llu mutations, seed %llu, in %s\n", (unsigned long long)count, (unsigned long long)seed,
            path);
    rng_init(&rng, seed);
    for (uint64_t i = 0; i < count; i++) {
        size_t size = mutate(&rng, bytes);
        uint8_t *exact = malloc(size > 0 ? size : 1);
        FUZZ_CHECK(exact);
        memcpy(exact, bytes, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    munmap(bytes, MUTATED_MAX);
    close(fd);
    unlink(path);
}

int main(int argc, char **argv)
{
    uint64_t mutations = 0, seed = (uint64_t)getpid();
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutate") == 0 && i + 1 < argc)
            mutations = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (argv[i][0] != '-')
            failures += replay(argv[i]);
    }
    fprintf(stderr, "%zu inputs\n", runs);
    if (runs > 0 && mutations > 0)
        try_mutations(mutations, seed);
    for (size_t i = 0; i < runs; i++)
        free(inputs[i].data);
    return failures > 0 || runs == 0;
}
