// SPDX-License-Identifier: Apache-2.0
#include "invite.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { KEY_LETTERS = KEY_TEXT_MAX - 1 };

static const char unquoted[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@^_#";

/* The last word: whoever quotes the whole line gives "motley-worker join URL#...". No key and no URL of ours
 * has a blank. */
static enum err take_word(const char *text, char word[INVITE_MAX], struct why *why)
{
    size_t end = strlen(text), begin;
    while (end > 0 && (isspace((unsigned char)text[end - 1]) || text[end - 1] == '\''))
        end--;
    begin = end;
    while (begin > 0 && !isspace((unsigned char)text[begin - 1]))
        begin--;
    begin += begin < end && text[begin] == '\'';
    if (end - begin >= INVITE_MAX)
        return why_set(why, ERR_USAGE, "%.40s...: is too long for URL#KEY.TOKEN", text);
    memcpy(word, text + begin, end - begin);
    word[end - begin] = 0;
    return ERR_OK;
}

/* Cut a key off the end of text, where mark stands before it. False: there is none. */
static bool cut_key(char *text, char mark, char key[KEY_TEXT_MAX])
{
    size_t length = strlen(text);
    if (length <= KEY_LETTERS || text[length - KEY_LETTERS - 1] != mark)
        return false;
    memcpy(key, text + length - KEY_LETTERS, KEY_TEXT_MAX);
    text[length - KEY_LETTERS - 1] = 0;
    return true;
}

static enum err take_token(const char *text, struct invite *invite, struct why *why)
{
    enum err err = key_parse(text, invite->token.secret_half, why);
    if (err != ERR_OK)
        return why_set(why, ERR_USAGE, "the last 40 characters are no key; paste the line as it was printed");
    if (crypto_scalarmult_base(invite->token.public_half, invite->token.secret_half) != 0)
        return why_set(why, ERR_USAGE, "the last 40 characters are no secret key");
    invite->has_token = true;
    return ERR_OK;
}

static enum err take_server(const char *text, struct invite *invite, struct why *why)
{
    struct why ignored;
    if (key_parse(text, invite->server_half, &ignored) != ERR_OK)
        return why_set(why, ERR_USAGE, "%.60s: is no key of 40 characters; paste the line as it was printed",
                       text);
    invite->has_server = true;
    return ERR_OK;
}

static enum err take_url(const char *text, struct invite *invite, struct why *why)
{
    struct endpoint endpoint;
    if (!*text)
        return why_set(why, ERR_USAGE, "there is no URL before the #; paste the line as it was printed");
    enum err err = endpoint_parse(text, false, &endpoint, why);
    if (err == ERR_OK)
        snprintf(invite->url, sizeof invite->url, "%s", text);
    return err;
}

enum err invite_parse_place(const char *text, struct invite *invite, struct why *why)
{
    char word[INVITE_MAX], first[KEY_TEXT_MAX], last[KEY_TEXT_MAX];
    memset(invite, 0, sizeof *invite);
    enum err err = take_word(text, word, why);
    if (err != ERR_OK)
        return err;
    size_t length = strlen(word);
    bool whole = length > 2 * KEY_LETTERS + 2 && word[length - 2 * KEY_LETTERS - 2] == '#';
    if (whole && cut_key(word, '.', last) && cut_key(word, '#', first)) {
        err = take_token(last, invite, why);
        if (err == ERR_OK)
            err = take_server(first, invite, why);
    } else if (cut_key(word, '#', first)) {
        err = take_server(first, invite, why);
    } else if (strchr(word, '#')) {
        err =
            why_set(why, ERR_USAGE,
                    "%.60s: what follows the # is neither KEY nor KEY.TOKEN of 40 characters each; paste the "
                    "line as it was printed",
                    word);
    }
    if (err == ERR_OK)
        err = take_url(word, invite, why);
    sodium_memzero(word, sizeof word);
    sodium_memzero(last, sizeof last);
    return err;
}

enum err invite_parse(const char *text, struct invite *invite, struct why *why)
{
    enum err err = invite_parse_place(text, invite, why);
    if (err == ERR_OK && !invite->has_token)
        err = why_set(why, ERR_USAGE,
                      "%.100s: is not URL#SERVERKEY.TOKEN; `motley key invite` prints such a line on the "
                      "coordinator's host",
                      text);
    return err;
}

void invite_print_place(const struct invite *invite, char text[INVITE_MAX])
{
    char key[KEY_TEXT_MAX];
    key_text(invite->server_half, key);
    snprintf(text, INVITE_MAX, "%s%s%s", invite->url, invite->has_server ? "#" : "",
             invite->has_server ? key : "");
}

void invite_print(const struct invite *invite, const char *program, char line[INVITE_LINE_MAX])
{
    char place[INVITE_MAX], token[KEY_TEXT_MAX];
    invite_print_place(invite, place);
    key_text(invite->token.secret_half, token);
    bool plain = strspn(place, unquoted) == strlen(place) && strspn(token, unquoted) == strlen(token);
    const char *quote = plain ? "" : "'";
    snprintf(line, INVITE_LINE_MAX, "%s join %s%s.%s%s", program, quote, place, token, quote);
    sodium_memzero(token, sizeof token);
}

void invite_wipe(struct invite *invite) { sodium_memzero(invite, sizeof *invite); }
