// SPDX-License-Identifier: Apache-2.0
#include "admission.h"

#include "bounds.h"
#include "clock.h"
#include "dialogue.h"
#include "hop.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- what stands in the way ---- */

static enum err tell_hop(const char *url, const struct hop *hop, struct why *why)
{
    return hop->state != HOP_FAILED
               ? ERR_OK
               : why_set(why, ERR_UNREACHABLE, "%.100s: %.180s; %.200s", url, hop->text, hop->todo);
}

/* The steps before the handshake, which keeps trying: so that what cannot succeed is told at once. */
static enum err check_way(const char *url, uint64_t timeout_us, struct why *why)
{
    struct hop_place place;
    struct hop hop;
    int fd = -1;
    hop_resolve(url, &place, &hop);
    if (hop.state == HOP_OK)
        hop_connect(&place, clock_monotonic_us() + timeout_us, &fd, &hop);
    if (hop.state == HOP_OK)
        hop_greet(fd, true, clock_monotonic_us() + timeout_us, &hop);
    if (fd >= 0)
        close(fd);
    return tell_hop(url, &hop, why);
}

static enum err explain_refusal(const struct invite *invite, enum hop_entry entry, struct why *why)
{
    switch (entry) {
    case HOP_WRONG_SERVER:
        return why_set(
            why, ERR_REFUSED,
            "%.200s: the coordinator there has another key than this line says: it is another one, "
            "or the line is old; ask for a new one (`motley key invite`)",
            invite->url);
    case HOP_KEY_REFUSED:
        return why_set(
            why, ERR_REFUSED,
            "%.200s: the invitation is not good any more: it was used already, its time is over, or "
            "it was revoked; ask for a new line (`motley key invite`)",
            invite->url);
    default:
        return why_set(
            why, ERR_UNREACHABLE,
            "%.200s: it did not answer the handshake in time; see the coordinator's log, and try again",
            invite->url);
    }
}

/* ---- saying JOIN ---- */

/* The role and name that we have now, which the answer says. */
static enum err judge_answer(const struct wire_in *in, struct joined *joined, struct why *why)
{
    const struct message *message = in->message;
    if (!message)
        return why_set(why, ERR_REFUSED, "%.200s: is not a coordinator that we understand: %.200s",
                       joined->url, in->why.text);
    if (message->type == MESSAGE_REFUSED)
        return why_set(why, ERR_REFUSED, "the coordinator at %.200s refused us: %.250s", joined->url,
                       message->refused.text);
    if (!dialogue_allows(DIALOGUE_JOINING, message->type) || message->reply.code != ERR_OK)
        return why_set(why, ERR_REFUSED, "the coordinator at %.200s did not let us in: %.250s", joined->url,
                       message->type == MESSAGE_REPLY && message->reply.text ? message->reply.text
                                                                             : message_name(message->type));
    joined->role = message->reply.number < ROLE_INVITED ? (enum role)message->reply.number : ROLE_NONE;
    if (message->reply.text && message->reply.text[0])
        snprintf(joined->name, sizeof joined->name, "%s", message->reply.text);
    return ERR_OK;
}

static enum err await_answer(struct wire *wire, uint64_t deadline_us, struct joined *joined, struct why *why)
{
    struct wire_in in;
    zmq_pollitem_t items[WIRE_ITEMS_MAX];
    int count = wire_poll_items(wire, items);
    wire_peer lost;
    while (!wire_receive(wire, &in)) {
        uint64_t now_us = clock_monotonic_us();
        if (now_us >= deadline_us || wire_lost(wire, &lost))
            return why_set(why, ERR_UNREACHABLE,
                           "%.200s: the coordinator let us in and did not answer; run the same line again",
                           joined->url);
        (void)zmq_poll(items, count, (long)((deadline_us - now_us) / 1000 + 1));
    }
    return judge_answer(&in, joined, why);
}

static enum err speak(struct wire *wire, const struct key *own, const char *name, uint64_t deadline_us,
                      struct joined *joined, struct why *why)
{
    struct message message = { .type = MESSAGE_JOIN,
                               .join = { .public_half = own->public_half, .name = name } };
    enum err err = message_check(&message, why);
    if (err != ERR_OK)
        return err;
    if (wire_send(wire, 0, &message, NULL, 0) != ERR_OK)
        return why_set(why, ERR_UNREACHABLE, "%.200s: the connection was lost; run the same line again",
                       joined->url);
    return await_answer(wire, deadline_us, joined, why);
}

/* HOP_LET_IN: the answer counts, or its absence. */
static enum err say_join(const struct invite *invite, const char *name, uint64_t deadline_us,
                         struct admission *admission, enum hop_entry *entry, struct why *why)
{
    struct wire_keys keys = { .own = &invite->token, .server_half = invite->server_half, .role = "invited" };
    struct wire *wire = NULL;
    void *context = zmq_ctx_new();
    enum err err = context ? wire_connect(context, invite->url, &keys, &wire, why)
                           : why_set(why, ERR_SYSTEM, "cannot start ZeroMQ");
    *entry = HOP_NO_ANSWER;
    if (err == ERR_OK && (*entry = hop_await(wire, deadline_us)) == HOP_LET_IN)
        err = speak(wire, &admission->own, name, deadline_us, &admission->joined, why);
    else if (err == ERR_OK)
        err = ERR_UNREACHABLE; /* the caller says why */
    wire_free(&wire);
    if (context)
        (void)zmq_ctx_term(context);
    return err;
}

/* ---- all of it ---- */

static void note(const struct invite *invite, const char *name, struct joined *joined)
{
    snprintf(joined->url, sizeof joined->url, "%s", invite->url);
    key_text(invite->server_half, joined->server_key);
    key_text(invite->token.public_half, joined->token);
    snprintf(joined->name, sizeof joined->name, "%s", name);
    joined->joined_us = clock_wall_us();
}

static enum err enter(const struct invite *invite, const char *name, uint64_t timeout_us,
                      struct admission *admission, struct why *why)
{
    enum hop_entry entry = HOP_NO_ANSWER;
    enum err err = check_way(invite->url, timeout_us, why);
    if (err != ERR_OK)
        return err;
    err = say_join(invite, name, clock_monotonic_us() + timeout_us, admission, &entry, why);
    if (err == ERR_OK || entry == HOP_LET_IN)
        return err;
    /* The answer to an earlier JOIN may have been lost: then we are in, and the one-time key is not. */
    if (entry == HOP_KEY_REFUSED && hop_enter(invite->url, &admission->own, invite->server_half,
                                              clock_monotonic_us() + timeout_us) == HOP_LET_IN) {
        admission->known = true;
        return ERR_OK;
    }
    return explain_refusal(invite, entry, why);
}

enum err admission_ask(const char *state_dir, const struct invite *invite, const char *name,
                       uint64_t timeout_us, struct admission *admission, struct why *why)
{
    char path[PATH_MAX_BYTES];
    memset(admission, 0, sizeof *admission);
    hop_bound_lookups();
    enum err err = key_path(state_dir, "own.secret", path, sizeof path, why);
    bool had_key = err == ERR_OK && access(path, F_OK) == 0;
    if (err == ERR_OK)
        err = key_ensure(path, &admission->own, why);
    if (err != ERR_OK)
        return err;
    if (had_key && joined_read(state_dir, &admission->joined, NULL) == ERR_OK &&
        joined_by(&admission->joined, invite)) {
        admission->known = true;
        return ERR_OK;
    }
    memset(&admission->joined, 0, sizeof admission->joined);
    note(invite, name, &admission->joined);
    err = enter(invite, name, timeout_us, admission, why);
    return err != ERR_OK ? err : joined_write(state_dir, &admission->joined, why);
}

void admission_wipe(struct admission *admission) { key_wipe(&admission->own); }
