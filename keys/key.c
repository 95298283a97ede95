// SPDX-License-Identifier: Apache-2.0
#include "key.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { WORD_BYTES = 4, WORD_CHARACTERS = 5, FILE_BYTES_MAX = 256, TEXT_LENGTH = KEY_TEXT_MAX - 1 };

/* ---- making ---- */

static enum err start(struct why *why)
{
    return sodium_init() >= 0 ? ERR_OK
                              : why_set(why, ERR_SYSTEM, "the system gives no randomness to make keys from");
}

/* Needs no quoting in any usual shell, nor in a URL's fragment. */
static bool is_plain(const char *text, size_t size)
{
    static const char plain[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=/@%";
    return strspn(text, plain) >= size;
}

/* A text that began with a sign could look like an option, or like zsh's `=program`. */
static bool is_plain_key(const uint8_t half[KEY_BYTES])
{
    char text[KEY_TEXT_MAX];
    key_text(half, text);
    return is_plain(text, TEXT_LENGTH) && strchr(".-:+=/@%", text[0]) == NULL;
}

/* Z85 writes 4 bytes as 5 characters, each word for itself: so plain words make a plain text. */
static void draw_secret(uint8_t half[KEY_BYTES])
{
    char text[WORD_CHARACTERS + 1];
    do
        for (size_t at = 0; at < KEY_BYTES; at += WORD_BYTES)
            do {
                randombytes_buf(half + at, WORD_BYTES);
                zmq_z85_encode(text, half + at, WORD_BYTES);
            } while (!is_plain(text, WORD_CHARACTERS));
    while (!is_plain_key(half));
}

enum err key_make(struct key *key, struct why *why)
{
    enum err err = start(why);
    if (err)
        return err;
    do
        draw_secret(key->secret_half);
    while (crypto_scalarmult_base(key->public_half, key->secret_half) != 0 ||
           !is_plain_key(key->public_half));
    return ERR_OK;
}

/* ---- text ---- */

void key_text(const uint8_t half[KEY_BYTES], char text[KEY_TEXT_MAX])
{
    zmq_z85_encode(text, half, KEY_BYTES);
}

/* Without white space around it, and without one pair of quotes. */
static void trim(const char **text, size_t *length)
{
    const char *space = " \t\r\n";
    *text += strspn(*text, space);
    *length = strlen(*text);
    while (*length && strchr(space, (*text)[*length - 1]))
        --*length;
    char first = **text;
    if (*length >= 2 && (first == '"' || first == '\'') && (*text)[*length - 1] == first) {
        ++*text;
        *length -= 2;
    }
}

enum err key_parse(const char *text, uint8_t half[KEY_BYTES], struct why *why)
{
    char exact[KEY_TEXT_MAX];
    size_t length;
    trim(&text, &length);
    if (length != TEXT_LENGTH)
        return why_set(why, ERR_USAGE,
                       "a key has %d characters, this one %zu; is a part of it missing, or was a part of it "
                       "taken by the shell (quote it: '...')?",
                       TEXT_LENGTH, length);
    memcpy(exact, text, length);
    exact[length] = '\0';
    bool good = zmq_z85_decode(half, exact) != NULL;
    sodium_memzero(exact, sizeof exact);
    return good ? ERR_OK : why_set(why, ERR_USAGE, "this is no key: a character in it is not one of Z85");
}

enum err key_given(const char *text_or_path, uint8_t public_half[KEY_BYTES], struct why *why)
{
    struct why as_text, as_file;
    char *bytes;
    size_t size;
    if (key_parse(text_or_path, public_half, &as_text) == ERR_OK)
        return ERR_OK;
    if (file_read(text_or_path, FILE_BYTES_MAX, &bytes, &size, &as_file) != ERR_OK)
        return why_set(why, ERR_USAGE, "%.80s: is neither a key nor a file with one: %.180s", text_or_path,
                       strlen(text_or_path) == TEXT_LENGTH ? as_text.text : as_file.text);
    enum err err = key_parse(bytes, public_half, &as_text);
    free(bytes);
    return err ? why_set(why, ERR_FORMAT, "%.200s: %.250s", text_or_path, as_text.text) : ERR_OK;
}

/* ---- files ---- */

static enum err check_guarded(int fd, const char *path, struct why *why)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be looked at", path);
    if (!S_ISREG(status.st_mode))
        return why_set(why, ERR_REFUSED, "%s: is not a plain file, so it is not taken for a key", path);
    if (status.st_uid != geteuid())
        return why_set(why, ERR_REFUSED, "%s: belongs to another user, so it is not taken for a key", path);
    if (status.st_mode & 077)
        return why_set(why, ERR_REFUSED,
                       "%s: others may read or write this secret key (mode %o); if nobody has, `chmod 600` "
                       "it, else remove it and make a new one",
                       path, status.st_mode & 07777);
    return ERR_OK;
}

static enum err read_secret(int fd, const char *path, struct key *key, struct why *why)
{
    char text[FILE_BYTES_MAX];
    struct why reason;
    enum err err = check_guarded(fd, path, why);
    if (err)
        return err;
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    if (size < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be read", path);
    text[size] = '\0';
    err = key_parse(text, key->secret_half, &reason);
    sodium_memzero(text, sizeof text);
    if (err)
        return why_set(why, ERR_FORMAT, "%.200s: %.250s", path, reason.text);
    if (crypto_scalarmult_base(key->public_half, key->secret_half) != 0)
        return why_set(why, ERR_FORMAT, "%s: holds no usable key", path);
    return ERR_OK;
}

/* O_NONBLOCK: a FIFO that stands there must not hold us up. */
enum err key_load(const char *path, struct key *key, struct why *why)
{
    enum err err = start(why);
    if (err)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return why_set(why, ERR_NOT_FOUND, "%s: there is no such key", path);
    if (fd < 0 && errno == ELOOP)
        return why_set(why, ERR_REFUSED, "%s: is a symbolic link, so it is not taken for a key", path);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    err = read_secret(fd, path, key, why);
    (void)close(fd);
    return err;
}

static enum err folder_of(const char *path, char *folder, size_t max, struct why *why)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path || (size_t)(slash - path) >= max)
        return why_set(why, ERR_USAGE, "%s: is not a path for a key", path);
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    return ERR_OK;
}

/* own.secret -> own.public */
static enum err public_path(const char *path, char *other, size_t max, struct why *why)
{
    static const char suffix[] = ".secret";
    size_t length = strlen(path), cut = strlen(suffix);
    if (length <= cut || strcmp(path + length - cut, suffix) != 0 || length >= max)
        return why_set(why, ERR_USAGE, "%s: a secret key's file is named ....secret", path);
    snprintf(other, max, "%.*s.public", (int)(length - cut), path);
    return ERR_OK;
}

static enum err save_public(const char *path, const struct key *key, struct why *why)
{
    char other[PATH_MAX], text[KEY_TEXT_MAX + 1];
    enum err err = public_path(path, other, sizeof other, why);
    if (err)
        return err;
    key_text(key->public_half, text);
    strcat(text, "\n");
    return file_replace(other, text, strlen(text), 0644, why);
}

/* A name appears with all of its bytes or not at all, and never in the place of another. */
static enum err publish_new(const char *path, const char *text, struct why *why)
{
    char temporary[PATH_MAX];
    int printed = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (printed < 0 || (size_t)printed >= sizeof temporary)
        return why_set(why, ERR_USAGE, "%s: the path is too long", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be made", path);
    enum err err = file_pwrite(fd, text, strlen(text), 0, temporary, why);
    if (!err && (fchmod(fd, 0600) != 0 || fsync(fd) != 0))
        err = why_set_errno(why, ERR_FILE, "%s: cannot be written", path);
    if (!err && link(temporary, path) != 0)
        err = errno == EEXIST
                  ? why_set(why, ERR_REFUSED,
                            "%s: there is a key already; remove it first if you mean to lose it", path)
                  : why_set_errno(why, ERR_FILE, "%s: cannot be made", path);
    (void)close(fd);
    (void)unlink(temporary);
    return err;
}

enum err key_save(const char *path, const struct key *key, struct why *why)
{
    char folder[PATH_MAX], text[KEY_TEXT_MAX + 1];
    enum err err = folder_of(path, folder, sizeof folder, why);
    if (!err)
        err = file_make_dirs(folder, 0700, why);
    if (err)
        return err;
    key_text(key->secret_half, text);
    strcat(text, "\n");
    err = publish_new(path, text, why);
    sodium_memzero(text, sizeof text);
    if (!err)
        err = save_public(path, key, why);
    return err ? err : file_sync_dir(folder, why);
}

/* A start that was cut between the two files left the secret one alone. */
static enum err mend_public(const char *path, const struct key *key, struct why *why)
{
    char other[PATH_MAX];
    uint8_t half[KEY_BYTES];
    enum err err = public_path(path, other, sizeof other, why);
    if (err)
        return err;
    if (key_given(other, half, NULL) == ERR_OK && key_same(half, key->public_half))
        return ERR_OK;
    return save_public(path, key, why);
}

enum err key_ensure(const char *path, struct key *key, struct why *why)
{
    enum err err = key_load(path, key, why);
    if (err == ERR_OK)
        return mend_public(path, key, why);
    if (err != ERR_NOT_FOUND)
        return err;
    err = key_make(key, why);
    if (!err)
        err = key_save(path, key, why);
    if (err != ERR_REFUSED)
        return err;
    err = key_load(path, key, why); /* another process was faster */
    return err ? err : mend_public(path, key, why);
}

enum err key_path(const char *state_dir, const char *name, char *path, size_t max, struct why *why)
{
    int printed = snprintf(path, max, "%s/keys/%s", state_dir, name);
    return printed < 0 || (size_t)printed >= max
               ? why_set(why, ERR_USAGE, "%.200s: the path of the state directory is too long", state_dir)
               : ERR_OK;
}

/* ---- use ---- */

bool key_same(const uint8_t one[KEY_BYTES], const uint8_t other[KEY_BYTES])
{
    return sodium_memcmp(one, other, KEY_BYTES) == 0;
}

void key_wipe(struct key *key) { sodium_memzero(key, sizeof *key); }
