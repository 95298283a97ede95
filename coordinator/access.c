// SPDX-License-Identifier: Apache-2.0
#include "access.h"

#include "clock.h"
#include "online.h"
#include "permit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys also end by time, which changes no file. */
static const uint64_t LOOK_US = 1000000;

/* Who was on the list when it connected, and is not now, sees nothing until it is dropped. */
static const struct keyring_entry nobody = { .role = ROLE_NONE };

/* ---- who ---- */

void access_key(const struct wire_in *in, uint8_t key[KEY_BYTES])
{
    if (!wire_key(in, key))
        memset(key, 0, KEY_BYTES);
}

static enum role role_of_key(const struct coordinator *coordinator, bool keyed, const uint8_t key[KEY_BYTES])
{
    const struct keyring_entry *entry = keyed ? gate_entry(coordinator->gate, key) : NULL;
    return !keyed ? ROLE_ADMIN : entry ? entry->role : ROLE_NONE;
}

enum role access_role(const struct coordinator *coordinator, const struct wire_in *in)
{
    uint8_t key[KEY_BYTES];
    bool keyed = wire_key(in, key);
    return role_of_key(coordinator, keyed, key);
}

void access_note(struct coordinator *coordinator, const struct wire_in *in)
{
    struct peer *peer = peers_find(coordinator->peers, in->peer);
    if (!peer)
        return;
    peer->keyed = wire_key(in, peer->key);
    peer->role = role_of_key(coordinator, peer->keyed, peer->key);
}

/* ---- messages ---- */

static void tell_role(struct coordinator *coordinator, const struct wire_in *in, const uint8_t key[KEY_BYTES],
                      enum role role, char text[WHY_MAX])
{
    char half[KEY_TEXT_MAX];
    const char *said = message_name(in->message->type), *needed = permit_needs(in->message->type);
    key_text(key, half);
    gate_counts(coordinator->gate)->roles_refused++;
    coordinator_complain(coordinator, "AUTH-ROLE-REFUSED", "key %s has the role %s, which may not say %s",
                         half, role_name(role), said);
    if (role == ROLE_WORKER) /* to let this very key in as something else would end the worker */
        snprintf(text, WHY_MAX,
                 "your key has the role worker, which may not do this (%s): use another state directory "
                 "(MOTLEY_STATE_DIR), and ask for `motley key invite --role %s`",
                 said, needed);
    else
        snprintf(text, WHY_MAX,
                 "your key has the role %s, which may not do this (%s): that needs the role %s%s; ask for "
                 "`motley key allow %s --role %s`",
                 role_name(role), said, needed, strcmp(needed, "admin") == 0 ? "" : " or admin", half,
                 needed);
}

/* How many connections one key may have: a program that runs wild must not take everyone's. */
static bool is_crowded(const struct coordinator *coordinator, enum role role, const uint8_t key[KEY_BYTES])
{
    uint32_t count = 0, most = role == ROLE_WORKER ? WORKER_KEY_PEERS_MAX : CLIENT_KEY_PEERS_MAX;
    const struct peer *peer;
    if (role == ROLE_ADMIN)
        return false;
    for (size_t at = 0; (peer = peers_next(coordinator->peers, &at)) != NULL;)
        count += peer->keyed && memcmp(peer->key, key, KEY_BYTES) == 0;
    return count >= most;
}

static bool permits_greeting(struct coordinator *coordinator, const struct wire_in *in)
{
    uint8_t key[KEY_BYTES];
    char text[WHY_MAX];
    bool keyed = wire_key(in, key);
    if (keyed && gate_follow(coordinator->gate))
        coordinator->looked_us = 0; /* who is not on the new list goes at the next look */
    enum role role = role_of_key(coordinator, keyed, key);
    enum message_type type = in->message->type;
    if (permit(role, type) && (!keyed || !is_crowded(coordinator, role, key)))
        return true;
    if (permit(role, type)) {
        gate_counts(coordinator->gate)->roles_refused++;
        coordinator_refuse(coordinator, in->peer, ERR_FULL,
                           "your key has as many connections as one key may have; close some of them");
        return false;
    }
    if (role == ROLE_NONE)
        snprintf(text, sizeof text, "your key is not on the list of those who may connect, or not any more");
    else
        tell_role(coordinator, in, key, role, text);
    coordinator_refuse(coordinator, in->peer, ERR_REFUSED, text);
    return false;
}

/* A client's requests begin with their number, so any of them gives access to it. */
bool access_permits(struct coordinator *coordinator, const struct peer *peer, const struct wire_in *in)
{
    char text[WHY_MAX];
    if (!peer)
        return permits_greeting(coordinator, in);
    if (!peer->keyed || permit(peer->role, in->message->type))
        return true;
    tell_role(coordinator, in, peer->key, peer->role, text);
    coordinator_reply(coordinator, in->peer, in->message->view.request, ERR_REFUSED, text, 0);
    return false;
}

void access_lie(struct coordinator *coordinator, const struct worker *worker, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gate_counts(coordinator->gate)->lies_refused++;
    coordinator_complain(coordinator, "WORKER-LIES", "worker %u (%s): %s", worker->number, worker->name,
                         text);
}

/* ---- tenants ---- */

const struct keyring_entry *access_viewer(const struct coordinator *coordinator, wire_peer id)
{
    const struct peer *peer = peers_find(coordinator->peers, id);
    if (!peer)
        return &nobody;
    if (!peer->keyed)
        return NULL;
    const struct keyring_entry *entry = gate_entry(coordinator->gate, peer->key);
    if (!entry)
        return &nobody;
    bool sees_all = entry->role == ROLE_ADMIN || (entry->role == ROLE_READ_ONLY && !entry->tenants_count);
    return sees_all ? NULL : entry;
}

enum err access_tenant(struct coordinator *coordinator, wire_peer id, const char *asked,
                       char chosen[KEYRING_TENANT_MAX], struct why *why)
{
    const struct keyring_entry *viewer = access_viewer(coordinator, id);
    char half[KEY_TEXT_MAX];
    if (!viewer) {
        snprintf(chosen, KEYRING_TENANT_MAX, "%s", asked);
        return ERR_OK;
    }
    enum err err = keyring_tenant(viewer, asked, chosen, why);
    if (!err)
        return ERR_OK;
    key_text(viewer->public_half, half);
    gate_counts(coordinator->gate)->roles_refused++;
    coordinator_complain(coordinator, "AUTH-TENANT-REFUSED", "key %s may not act for tenant '%.64s'", half,
                         asked);
    return err;
}

/* ---- joining ---- */

/* Whoever was invited could name another's key, which everybody may know, to make it something else. */
static enum err check_joiner(const struct coordinator *coordinator, const struct keyring_entry *invitation,
                             const uint8_t key[KEY_BYTES], struct why *why)
{
    static const uint8_t none[KEY_BYTES];
    const struct keyring_entry *known = gate_entry(coordinator->gate, key);
    if (memcmp(key, none, KEY_BYTES) == 0 || memcmp(key, invitation->public_half, KEY_BYTES) == 0)
        return why_set(why, ERR_REFUSED, "JOIN: this cannot be a key of your own; make one");
    if (known && known->role != invitation->invited_as)
        return why_set(why, ERR_REFUSED,
                       "this key is on the list already, as %s; an invitation does not change that: use "
                       "another key, or ask for `motley key allow`",
                       role_name(known->role));
    return ERR_OK;
}

/* The invitation goes first: a crash between the two must not leave one that can be used again. */
static enum err admit(struct coordinator *coordinator, const struct keyring_entry *invitation,
                      const struct message_join *join, struct why *why)
{
    struct keyring_entry entry = *invitation;
    uint8_t used[KEY_BYTES];
    bool known = gate_entry(coordinator->gate, join->public_half) != NULL;
    memcpy(used, invitation->public_half, KEY_BYTES);
    memcpy(entry.public_half, join->public_half, KEY_BYTES);
    entry.role = invitation->invited_as;
    entry.invited_as = ROLE_NONE;
    entry.added_us = clock_wall_us();
    entry.expires_us = 0;
    if (!entry.name[0]) /* the name that its inviter gave goes before its own */
        snprintf(entry.name, sizeof entry.name, "%s", join->name);
    struct why trouble;
    enum err err = keyring_drop(coordinator->state_dir, used, why);
    if (err || known)
        return err;
    err = keyring_add(coordinator->state_dir, &entry, &trouble);
    return err ? why_set(why, err,
                         "%.300s; the invitation is used up all the same: ask for a new invitation (`motley "
                         "key invite`)",
                         trouble.text)
               : ERR_OK;
}

void access_join(struct coordinator *coordinator, struct wire_in *in)
{
    const struct message_join *join = &in->message->join;
    uint8_t invited[KEY_BYTES];
    char half[KEY_TEXT_MAX], name[KEYRING_NAME_MAX];
    struct why why;
    access_key(in, invited);
    const struct keyring_entry *invitation = gate_entry(coordinator->gate, invited);
    enum role role = invitation ? invitation->invited_as : ROLE_NONE;
    enum err err = invitation ? check_joiner(coordinator, invitation, join->public_half, &why)
                              : why_set(&why, ERR_REFUSED, "this invitation is over");
    if (!err)
        err = admit(coordinator, invitation, join, &why);
    if (err) {
        coordinator_refuse(coordinator, in->peer, err, why.text);
        return;
    }
    snprintf(name, sizeof name, "%s", invitation->name); /* the list is read anew below */
    key_text(join->public_half, half);
    coordinator_note(coordinator, LOG_INFO, "KEY-JOINED", "%s joined as %s (%s)", half, role_name(role),
                     *join->name ? join->name : "no name");
    access_turn(coordinator, true);
    const struct message reply = { .type = MESSAGE_REPLY,
                                   .reply = { .text = name, .number = (uint64_t)role } };
    if (!coordinator_send_frames(coordinator, in->peer, &reply, NULL, 0))
        log_debug("REPLY-LOST", "who joined did not wait for the answer");
}

/* ---- the list ---- */

static bool may_stay(const struct coordinator *coordinator, const struct peer *peer)
{
    return !peer->keyed || role_of_key(coordinator, true, peer->key) == peer->role;
}

static void drop(struct coordinator *coordinator, wire_peer id)
{
    coordinator_refuse(coordinator, id, ERR_REFUSED,
                       "your key was taken off the list of those who may connect, or it is for something "
                       "else now");
    if (!peers_find(coordinator->peers, id))
        return; /* a worker is lost by that already */
    online_peer_gone(coordinator, id);
    peers_remove(coordinator->peers, id);
}

/* Dropping moves entries about, so who is to go is gathered first; more than fit, in the next round. */
static void drop_the_unwelcome(struct coordinator *coordinator)
{
    enum { AT_ONCE = 64 };
    wire_peer gone[AT_ONCE];
    size_t count;
    do {
        const struct peer *peer;
        count = 0;
        for (size_t at = 0; count < AT_ONCE && (peer = peers_next(coordinator->peers, &at)) != NULL;)
            if (!may_stay(coordinator, peer))
                gone[count++] = peer->id;
        for (size_t i = 0; i < count; i++)
            drop(coordinator, gone[i]);
    } while (count == AT_ONCE);
}

static bool reload_list(struct coordinator *coordinator, bool reload)
{
    struct why why;
    bool changed = gate_refresh(coordinator->gate, reload, &why);
    if (*why.text && strcmp(why.text, coordinator->list_trouble) != 0)
        coordinator_note(coordinator, LOG_WARN, "KEYS-DAMAGED", "%s", why.text);
    snprintf(coordinator->list_trouble, sizeof coordinator->list_trouble, "%s", why.text);
    return changed;
}

void access_turn(struct coordinator *coordinator, bool reload)
{
    char text[256];
    size_t before = gate_keys_count(coordinator->gate);
    bool changed = reload_list(coordinator, reload);
    if (changed && (reload || gate_keys_count(coordinator->gate) != before))
        coordinator_note(coordinator, LOG_INFO, "KEYS-READ", "%zu keys are on the list",
                         gate_keys_count(coordinator->gate));
    if (changed || coordinator->now_us - coordinator->looked_us >= LOOK_US) {
        coordinator->looked_us = coordinator->now_us;
        drop_the_unwelcome(coordinator);
    }
    while (gate_refusal(coordinator->gate, text, sizeof text))
        coordinator_note(coordinator, LOG_WARN, "AUTH-KEY-REFUSED", "%s is not on the list", text);
}
