// SPDX-License-Identifier: Apache-2.0
/* probe_text - the small text files below /proc, /sys and /etc, of this machine or of a recorded tree of
 * them. A file that is absent, empty or odd is simply not known. Any thread. */
#ifndef PROBE_TEXT_H
#define PROBE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROBE_FILE_MAX = 65536 };

/* The start of root/path (path begins with a slash) as a string without its last line feed. False, and "", if
 * there is none. */
bool probe_read(const char *root, const char *path, char *text, size_t size);

/* The value of the first line of root/path that is `key`, blanks, `separator`, value: "model name", ':'.
 * Quotes around it are taken off. False, and "", if there is none. */
bool probe_value(const char *root, const char *path, const char *key, char separator, char *value,
                 size_t size);

/* A file of one number, or a key's number in kB as in meminfo (given in bytes). 0 if unknown, or if it says
 * "max". */
uint64_t probe_number(const char *root, const char *path);
uint64_t probe_kilobytes(const char *root, const char *path, const char *key);

#endif
