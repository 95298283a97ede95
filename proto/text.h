// SPDX-License-Identifier: Apache-2.0
/* text - what a text on the wire may be: valid UTF-8 (RFC 3629: no overlong forms, no surrogates) without
 * control characters but tab and newline. Pure. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Are these bytes (no zero among them) such a text? */
bool text_ok(const char *bytes, size_t size);

/* Make one of any zero-terminated bytes: each byte that cannot be is replaced by '?', and the whole is cut at
 * a character's end so that it fits into max bytes with its zero. max > 0. */
void text_clean(const char *bytes, char *text, size_t max);

/* Is it a word that users can type and commands can tell apart: letters, digits and . _ - only, no - first,
 * not empty, less than max bytes? Names of tenants. */
bool text_is_word(const char *text, size_t max);

#endif
