// SPDX-License-Identifier: Apache-2.0
#include "home.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <uuid/uuid.h>

enum { NAMESAKES_MAX = 1000, NAME_SHOWN_MAX = 150, IDENTITY_BYTES_MAX = 4096, UUID_TEXT = 36 };

_Static_assert((int)HOME_UUID_BYTES == (int)sizeof(uuid_t), "a UUID is 16 bytes");

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* A name as a file's: what is not a letter, digit, '_' or '-' becomes %XX, also '.', so that no worker's name
 * is another's with a number behind. */
static void file_name_of(const char *name, char *text, size_t max)
{
    size_t used = 0;
    for (; *name != 0 && used + 4 < max; name++)
        used += (size_t)snprintf(text + used, max - used, is_plain(*name) ? "%c" : "%%%02X",
                                 is_plain(*name) ? *name : (unsigned char)*name);
    text[used] = 0;
}

/* ERR_REFUSED: somebody else has it. */
static enum err try_home(struct home *home, struct why *why)
{
    char path[PATH_MAX + 8];
    enum err err = file_make_dirs(home->path, 0700, why);
    if (err != ERR_OK)
        return err;
    snprintf(path, sizeof path, "%s/lock", home->path);
    home->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (home->lock_fd < 0)
        return why_set_errno(why, errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_FILE,
                             "%s: cannot be opened", path);
    if (flock(home->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_OK;
    err = errno == EWOULDBLOCK ? ERR_REFUSED : ERR_FILE;
    (void)why_set_errno(why, err, "%s: cannot be locked", path);
    home_close(home);
    return err;
}

enum err home_open(const char *state_dir, const char *name, struct home *home, struct why *why)
{
    char shown[NAME_SHOWN_MAX];
    file_name_of(name, shown, sizeof shown);
    home->lock_fd = -1;
    for (int nth = 1; nth <= NAMESAKES_MAX; nth++) {
        char suffix[16] = "";
        if (nth > 1)
            snprintf(suffix, sizeof suffix, ".%d", nth);
        int length = snprintf(home->path, sizeof home->path, "%s/workers/%s%s", state_dir, shown, suffix);
        if (length < 0 || (size_t)length >= sizeof home->path - 64)
            return why_set(why, ERR_FILE, "%s: the path of the state folder is too long", state_dir);
        enum err err = try_home(home, why);
        if (err != ERR_REFUSED)
            return err;
    }
    return why_set(why, ERR_FULL, "%s/workers: %d workers of the name %s live there", state_dir,
                   NAMESAKES_MAX, shown);
}

void home_close(struct home *home)
{
    if (home->lock_fd >= 0)
        close(home->lock_fd);
    home->lock_fd = -1;
}

/* ---- identity ---- */

/* Two lines: "uuid <text>" and "devices <hex>". */
static void print_identity(const uint8_t digest[HOME_DIGEST_BYTES], const uint8_t uuid[HOME_UUID_BYTES],
                           char text[IDENTITY_BYTES_MAX])
{
    char words[UUID_TEXT + 1];
    uuid_unparse_lower(uuid, words);
    int used = snprintf(text, IDENTITY_BYTES_MAX, "uuid %s\ndevices ", words);
    for (int i = 0; i < HOME_DIGEST_BYTES; i++)
        used += snprintf(text + used, (size_t)(IDENTITY_BYTES_MAX - used), "%02x", digest[i]);
    snprintf(text + used, (size_t)(IDENTITY_BYTES_MAX - used), "\n");
}

/* Does the file say that this worker has these devices? Then it is the one that would be written now. */
static bool read_identity(const char *path, const uint8_t digest[HOME_DIGEST_BYTES],
                          uint8_t uuid[HOME_UUID_BYTES])
{
    char *text = NULL, words[UUID_TEXT + 1], again[IDENTITY_BYTES_MAX];
    size_t size = 0;
    if (file_read(path, IDENTITY_BYTES_MAX - 1, &text, &size, NULL) != ERR_OK)
        return false;
    bool good = size > 5 + UUID_TEXT && memcmp(text, "uuid ", 5) == 0;
    if (good) {
        memcpy(words, text + 5, UUID_TEXT);
        words[UUID_TEXT] = 0;
        good = uuid_parse(words, uuid) == 0 && !uuid_is_null(uuid);
    }
    if (good) {
        print_identity(digest, uuid, again);
        good = strcmp(text, again) == 0;
    }
    free(text);
    return good;
}

enum err home_identity(const struct home *home, const uint8_t digest[HOME_DIGEST_BYTES],
                       uint8_t uuid[HOME_UUID_BYTES], bool *kept, struct why *why)
{
    char path[PATH_MAX + 16], text[IDENTITY_BYTES_MAX];
    snprintf(path, sizeof path, "%s/identity", home->path);
    *kept = read_identity(path, digest, uuid);
    if (*kept)
        return ERR_OK;
    uuid_generate(uuid);
    print_identity(digest, uuid, text);
    return file_replace(path, text, strlen(text), 0600, why);
}
