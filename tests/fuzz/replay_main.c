// SPDX-License-Identifier: Apache-2.0
/* replay_main - runs a fuzz target over every file given, and every file in every folder given (and below),
 * in order of their names. It fails when there is nothing to run, so that a corpus that got lost is noticed.
 * Arguments with a dash are libFuzzer's. */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static size_t runs;

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
    free(data);
    runs++;
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

int main(int argc, char **argv)
{
    int failures = 0;
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-')
            failures += replay(argv[i]);
    fprintf(stderr, "%zu inputs\n", runs);
    return failures > 0 || runs == 0;
}
