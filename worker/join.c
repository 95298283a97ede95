// SPDX-License-Identifier: Apache-2.0
#include "join.h"

#include "admission.h"
#include "holder.h"
#include "log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void offer_doctor(const struct invite *invite)
{
    char place[INVITE_MAX];
    invite_print_place(invite, place);
    fprintf(stderr, "motley-worker: `motley doctor '%s'` tests each step of the way\n", place);
}

static enum err check_role(const struct joined *joined, struct why *why)
{
    if (joined->role == ROLE_WORKER || joined->role == ROLE_ADMIN || joined->role == ROLE_NONE)
        return ERR_OK;
    return why_set(
        why, ERR_REFUSED,
        "%.200s: this was an invitation for a %s: use `motley` here; a worker needs a line of `motley "
        "key invite --role worker`",
        joined->url, role_name(joined->role));
}

static void tell(const struct admission *admission)
{
    char own[KEY_TEXT_MAX];
    key_text(admission->own.public_half, own);
    if (admission->known)
        log_info("WORKER-JOINED", "%s: joined already, with the key %s", admission->joined.url, own);
    else
        log_info("WORKER-JOINED", "%s: joined, with the key %s", admission->joined.url, own);
}

enum err join_in(const struct join_wish *wish, char url[], size_t url_max, struct why *why)
{
    char host[256] = "";
    struct invite invite;
    struct admission admission;
    enum err err = invite_parse(wish->line, &invite, why);
    if (err != ERR_OK)
        return err;
    (void)gethostname(host, sizeof host - 1);
    err = admission_ask(wish->state_dir, &invite, wish->name != NULL ? wish->name : host, wish->timeout_us,
                        &admission, why);
    if (err == ERR_UNREACHABLE || err == ERR_REFUSED)
        offer_doctor(&invite);
    if (err == ERR_OK)
        err = check_role(&admission.joined, why);
    if (err == ERR_OK) {
        tell(&admission);
        snprintf(url, url_max, "%s", invite.url);
    }
    admission_wipe(&admission);
    invite_wipe(&invite);
    return err;
}

enum err join_remembered(const char *state_dir, char url[], size_t url_max, struct why *why)
{
    struct joined joined;
    enum err err = joined_read(state_dir, &joined, why);
    if (err == ERR_NOT_FOUND && holder_here(state_dir, url))
        return ERR_OK;
    if (err == ERR_NOT_FOUND)
        return why_set(
            why, ERR_USAGE,
            "which coordinator? None runs in this state directory; give --coordinator URL or set "
            "MOTLEY_COORDINATOR, or join one with the line that `motley key invite` prints on its host");
    if (err == ERR_OK)
        snprintf(url, url_max, "%s", joined.url);
    return err;
}

bool join_name(const char *state_dir, const char *url, char name[JOINED_NAME_MAX])
{
    struct joined joined;
    if (joined_read(state_dir, &joined, NULL) != ERR_OK || strcmp(joined.url, url) != 0 || !joined.name[0])
        return false;
    memcpy(name, joined.name, JOINED_NAME_MAX);
    return true;
}

enum err join_keys(const char *state_dir, const char *url, const char *server_key, struct identity *identity,
                   struct why *why)
{
    char joined[KEY_TEXT_MAX];
    if (server_key == NULL || *server_key == 0)
        server_key = joined_key(state_dir, url, joined);
    return identity_find(state_dir, url, server_key, identity, why);
}
