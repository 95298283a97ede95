// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <stdint.h>
#include <string.h>

/* The length of the multi-byte character that a first byte announces; 0 if no character begins so. */
static size_t announced(unsigned char first)
{
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

/* The length of the allowed character at the front of bytes; 0 if there is none. */
static size_t character(const unsigned char *bytes, size_t size)
{
    unsigned char first = bytes[0];
    if (first < 0x80)
        return (first >= 0x20 && first != 0x7F) || first == '\t' || first == '\n';
    size_t length = announced(first);
    if (length == 0 || length > size)
        return 0;
    uint32_t code = first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3F);
    }
    static const uint32_t least[] = { 0, 0, 0xA0, 0x800, 0x10000 }; /* 0xA0: U+0080..U+009F are controls */
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code >= least[length] && code <= 0x10FFFF && !surrogate ? length : 0;
}

bool text_ok(const char *bytes, size_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;
    while (size > 0) {
        size_t length = character(at, size);
        if (length == 0)
            return false;
        at += length;
        size -= length;
    }
    return true;
}

void text_clean(const char *bytes, char *text, size_t max)
{
    size_t size = strlen(bytes);
    size_t used = 0;
    for (size_t i = 0; i < size;) {
        size_t length = character((const unsigned char *)bytes + i, size - i);
        size_t step = length > 0 ? length : 1;
        if (used + step >= max)
            break;
        if (length > 0)
            memcpy(text + used, bytes + i, length);
        else
            text[used] = '?';
        used += step;
        i += step;
    }
    text[used] = '\0';
}

bool text_is_word(const char *text, size_t max)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strnlen(text, max);
    return size > 0 && size < max && *text != '-' && strspn(text, plain) == size;
}
