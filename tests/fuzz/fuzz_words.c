// SPDX-License-Identifier: Apache-2.0
/* Short texts that people and programs hand over: the first byte says which reader has it. */
#include "endpoint.h"
#include "fuzz.h"
#include "invite.h"
#include "options.h"
#include "sha256.h"
#include "tenants.h"

#include <string.h>

static void read_url(const char *text, bool listening)
{
    struct endpoint endpoint;
    struct why why = { "" };
    if (endpoint_parse(text, listening, &endpoint, &why)) {
        FUZZ_CHECK(why.text[0]);
        return;
    }
    FUZZ_CHECK(strnlen(endpoint.url, ENDPOINT_MAX) < ENDPOINT_MAX);
    FUZZ_CHECK(!endpoint.path || (endpoint.path[0] == '/' && strlen(endpoint.path) < ENDPOINT_PATH_MAX));
}

static void read_key(const char *text)
{
    uint8_t half[KEY_BYTES], same[KEY_BYTES];
    char printed[KEY_TEXT_MAX];
    struct why why = { "" };
    if (key_parse(text, half, &why)) {
        FUZZ_CHECK(why.text[0]);
        return;
    }
    key_text(half, printed);
    FUZZ_CHECK(key_parse(printed, same, NULL) == ERR_OK && key_same(half, same));
}

static void read_invite(const char *text)
{
    struct invite invite, again;
    struct why why = { "" };
    char line[INVITE_LINE_MAX];
    if (invite_parse(text, &invite, &why)) {
        FUZZ_CHECK(why.text[0]);
        return;
    }
    invite_print(&invite, "motley-worker", line);
    FUZZ_CHECK(invite_parse(line, &again, &why) == ERR_OK);
    FUZZ_CHECK(strcmp(invite.url, again.url) == 0 && key_same(invite.server_half, again.server_half));
    FUZZ_CHECK(key_same(invite.token.secret_half, again.token.secret_half));
}

static void read_place(const char *text)
{
    struct invite invite;
    struct why why = { "" };
    char printed[INVITE_MAX];
    FUZZ_CHECK(invite_parse_place(text, &invite, &why) == ERR_OK || why.text[0]);
    if (!why.text[0] && invite.has_server)
        invite_print_place(&invite, printed);
}

static void read_duration(const char *text)
{
    uint64_t us = UINT64_MAX;
    FUZZ_CHECK(options_duration(text, &us) != ERR_OK || us <= 101ull * 366 * 86400 * 1000000);
}

static void read_tenant(const char *text)
{
    struct tenants *tenants = tenants_new();
    struct why why = { "" };
    FUZZ_CHECK(tenants);
    enum err err = tenants_configure(tenants, text, &why);
    FUZZ_CHECK(err == ERR_OK || why.text[0]);
    for (uint32_t i = 0; i < tenants_count(tenants); i++)
        FUZZ_CHECK(tenants_at(tenants, i)->weight > 0 && tenants_at(tenants, i)->weight < 1e300);
    tenants_free(&tenants);
}

static void read_digest(const char *text)
{
    uint8_t digest[SHA256_BYTES];
    FUZZ_CHECK(sha256_parse(text, digest) != ERR_OK || strlen(text) == 2 * SHA256_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = malloc(size);
    FUZZ_CHECK(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    switch (data[0]) {
    case 'l': read_url(text, true); break;
    case 'c': read_url(text, false); break;
    case 'k': read_key(text); break;
    case 'i': read_invite(text); break;
    case 'p': read_place(text); break;
    case 'd': read_duration(text); break;
    case 't': read_tenant(text); break;
    case 's': read_digest(text); break;
    default: break;
    }
    free(text);
    return 0;
}
