// SPDX-License-Identifier: Apache-2.0
/* forgetful FILE HOW: replaces a file again and again by a new version of 3,000 equal bytes, and says on its
 * standard output which version stands there for certain. HOW names what it forgets:
 *     nothing; file (fsync), folder (fsync of it), rename (it writes in place), order (it says it too early)
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES = 3000, VERSIONS = 5 };

static void write_version(const char *path, int version, int flags, int syncs)
{
    char bytes[BYTES];
    memset(bytes, 'a' + version, sizeof bytes);
    int fd = open(path, flags, 0600);
    if (fd < 0 || write(fd, bytes, 1000) != 1000 || pwrite(fd, bytes, 2000, 1000) != 2000)
        _exit(1);
    if (syncs && fsync(fd) != 0)
        _exit(2);
    close(fd);
}

static void sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY);
    if (fd < 0 || fsync(fd) != 0)
        _exit(3);
    close(fd);
}

static void say(int version)
{
    char word = (char)('a' + version);
    if (write(1, &word, 1) != 1)
        _exit(4);
}

static int sync_only(const char *path)
{
    int fd = open(path, O_RDWR);
    if (fd < 0 || fsync(fd) != 0)
        return 6;
    close(fd);
    sync_folder(path);
    return 0;
}

int main(int argc, char **argv)
{
    char temporary[PATH_MAX];
    if (argc != 3)
        return 9;
    const char *path = argv[1], *how = argv[2];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (strcmp(how, "writing") == 0)
        return sync_only(path);
    for (int version = 0; version < VERSIONS; version++) {
        if (strcmp(how, "order") == 0)
            say(version);
        if (strcmp(how, "rename") == 0) {
            write_version(path, version, O_WRONLY | O_CREAT, 1);
        } else {
            write_version(temporary, version, O_WRONLY | O_CREAT | O_EXCL, strcmp(how, "file") != 0);
            if (rename(temporary, path) != 0)
                return 5;
        }
        if (strcmp(how, "folder") != 0)
            sync_folder(path);
        if (strcmp(how, "order") != 0)
            say(version);
    }
    return 0;
}
