// SPDX-License-Identifier: Apache-2.0
/* motley key new, show, allow, invite, revoke, list: on the files of the state directory; a coordinator that
 * runs there sees the change by itself. */
#include "bounds.h"
#include "clock.h"
#include "command.h"
#include "file.h"
#include "invite.h"
#include "key_view.h"
#include "keyring.h"
#include "reach.h"
#include "text.h"
#include "tool.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t INVITATION_US_DEFAULT = 3600000000; /* an hour */

/* ---- whose state directory ---- */

static enum err anothers(const char *path, struct why *why)
{
    struct stat status;
    struct passwd entry, *found = NULL;
    char buffer[4096];
    if (!path[0] || stat(path, &status) != 0 || status.st_uid == geteuid())
        return ERR_OK;
    const char *owner =
        getpwuid_r(status.st_uid, &entry, buffer, sizeof buffer, &found) == 0 && found ? found->pw_name : "";
    if (!*owner)
        owner = "its owner";
    return why_set(
        why, ERR_FILE,
        "%.200s: the state directory belongs to %s; run this as %s (sudo -u %s MOTLEY_STATE_DIR=%.200s "
        "motley key ...)",
        path, owner, owner, owner, path);
}

static enum err state_of(char state_dir[PATH_MAX_BYTES], struct why *why)
{
    state_dir[0] = 0;
    enum err err = file_state_dir(state_dir, PATH_MAX_BYTES, why);
    if (err == ERR_FILE && anothers(state_dir, why) != ERR_OK)
        return ERR_FILE;
    return err;
}

/* The same, of a coordinator: where there is none, an allow list would let nobody in anywhere. */
static enum err coordinator_of(char state_dir[PATH_MAX_BYTES], struct key *key, struct why *why)
{
    char path[PATH_MAX_BYTES];
    enum err err = state_of(state_dir, why);
    if (err == ERR_OK)
        err = key_path(state_dir, "coordinator.secret", path, sizeof path, why);
    if (err == ERR_OK)
        err = key_load(path, key, why);
    if (err == ERR_NOT_FOUND)
        err = why_set(why, ERR_FILE,
                      "%.200s: no coordinator has its state here; run this on its host, with its "
                      "MOTLEY_STATE_DIR, or start one here with `motley up --detach`",
                      state_dir);
    return err;
}

/* ---- printing ---- */

static void print_key(const char *path, const uint8_t half[KEY_BYTES], const char *name, bool json)
{
    char text[KEY_TEXT_MAX];
    key_text(half, text);
    if (!json) {
        puts(text);
        return;
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "public_key", text);
    yyjson_mut_obj_add_str(doc, root, "of", name);
    yyjson_mut_obj_add_str(doc, root, "file", path);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

static void print_entry(const struct keyring_entry *entry, const char *what, bool json)
{
    char text[KEY_TEXT_MAX];
    key_text(entry->public_half, text);
    if (!json) {
        printf("%s %s%s%s as %s\n", what, text, entry->name[0] ? " " : "", entry->name,
               role_name(entry->role));
        return;
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, key_view_entry(doc, entry, clock_wall_us()));
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

/* ---- new, show ---- */

static enum err ensure_key(const char *file, char path[PATH_MAX_BYTES], struct key *key, struct why *why)
{
    char state_dir[PATH_MAX_BYTES];
    enum err err = state_of(state_dir, why);
    if (err == ERR_OK)
        err = key_path(state_dir, file, path, PATH_MAX_BYTES, why);
    return err == ERR_OK ? key_ensure(path, key, why) : err;
}

int command_key_new(int argc, char **argv)
{
    static const struct option_usage usage = { "motley key new", "[--name NAME] [--json]",
                                               "Make this user's own key on this machine, unless there is "
                                               "one, and print its public half. The secret "
                                               "half stays in the state directory. On the coordinator's host "
                                               "`motley key allow` then lets its holder "
                                               "in; `motley key invite` is the shorter way.",
                                               "  motley key new --name laptop\n" };
    const char *name = NULL;
    char path[PATH_MAX_BYTES], text[KEY_TEXT_MAX];
    bool json = false;
    struct key key;
    struct why why;
    int code;
    const struct option_row rows[] = { { "name", 'n', OPTION_TEXT, &name, "NAME",
                                         "what the holder is to be called, for the line that is suggested" },
                                       { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    enum err err = ensure_key("own.secret", path, &key, &why);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    print_key(path, key.public_half, "own", json);
    key_text(key.public_half, text);
    if (!json && isatty(STDERR_FILENO))
        fprintf(stderr, "motley: on the coordinator's host: motley key allow %s --role client%s%s\n", text,
                name ? " --name " : "", name ? name : "");
    key_wipe(&key);
    return 0;
}

/* A machine that joined a coordinator elsewhere shows that one's key. */
static enum err coordinators_key(char path[PATH_MAX_BYTES], uint8_t half[KEY_BYTES], struct why *why)
{
    char state_dir[PATH_MAX_BYTES], secret[PATH_MAX_BYTES];
    struct key key;
    enum err err = state_of(state_dir, why);
    if (err == ERR_OK)
        err = key_path(state_dir, "coordinator.secret", secret, sizeof secret, why);
    if (err == ERR_OK)
        err = key_path(state_dir, "coordinator.public", path, PATH_MAX_BYTES, why);
    if (err != ERR_OK)
        return err;
    if (access(secret, F_OK) != 0 && access(path, F_OK) == 0)
        return key_given(path, half, why);
    err = key_ensure(secret, &key, why);
    if (err == ERR_OK)
        memcpy(half, key.public_half, KEY_BYTES);
    key_wipe(&key);
    return err;
}

int command_key_show(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley key show", "[--own] [--json]",
        "Print the public key of the coordinator of this state directory (made if it has none yet): what "
        "others "
        "give as --coordinator-key, so that they speak to no other. On a machine that joined one elsewhere: "
        "that one's. With --own: this user's own public key.",
        "  export MOTLEY_COORDINATOR_KEY=$(motley key show)\n"
    };
    char path[PATH_MAX_BYTES];
    uint8_t half[KEY_BYTES];
    struct key key;
    bool own = false, json = false;
    struct why why;
    int code;
    const struct option_row rows[] = { { "own", 0, OPTION_FLAG, &own, NULL, "our own key instead" },
                                       { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    enum err err;
    if (own) {
        err = ensure_key("own.secret", path, &key, &why);
        if (err == ERR_OK)
            memcpy(half, key.public_half, KEY_BYTES);
        key_wipe(&key);
    } else {
        err = coordinators_key(path, half, &why);
    }
    if (err != ERR_OK)
        return tool_fail(err, &why);
    print_key(path, half, own ? "own" : "coordinator", json);
    return 0;
}

/* ---- who may do what: shared by allow and invite ---- */

struct grant {
    const char *role, *name;
    struct option_list tenants;
    uint64_t expires_us; /* UINT64_MAX: not given */
};

/* clang-format off */
#define GRANT_ROWS(grant, expires_help)                                                                   \
    { "role", 'r', OPTION_TEXT, &(grant).role, "ROLE", "worker, client, read-only or admin" },            \
    { "name", 'n', OPTION_TEXT, &(grant).name, "NAME", "what the holder is called in lists and logs" },   \
    { "tenant", 0, OPTION_LIST, &(grant).tenants, "T",                                                    \
      "client, read-only: for whom it may act; may be repeated, the first is the default" },              \
    { "expires", 0, OPTION_DURATION, &(grant).expires_us, "TIME", expires_help }
/* clang-format on */

static enum err check_role(const struct grant *grant, enum role *role, struct why *why)
{
    if (!grant->role)
        return why_set(why, ERR_USAGE,
                       "which role? give --role worker, --role client, --role read-only or --role admin");
    if (!role_parse(grant->role, role))
        return why_set(why, ERR_USAGE, "--role %.60s: is not worker, client, read-only or admin",
                       grant->role);
    if (grant->tenants.count > 0 && *role != ROLE_CLIENT && *role != ROLE_READ_ONLY)
        return why_set(why, ERR_USAGE, "--tenant: a key with the role %s has no tenant; leave it out",
                       grant->role);
    return ERR_OK;
}

static enum err take_name(const struct grant *grant, struct keyring_entry *entry, struct why *why)
{
    const char *name = grant->name ? grant->name : "";
    uint8_t half[KEY_BYTES];
    bool plain = text_ok(name, strlen(name)) && !strchr(name, '/');
    for (const char *at = name; *at; at++)
        plain = plain && (unsigned char)*at >= ' ' && *at != 0x7f;
    if (!plain || strlen(name) >= KEYRING_NAME_MAX)
        return why_set(why, ERR_USAGE, "--name: give at most %d bytes, without / and control characters",
                       KEYRING_NAME_MAX - 1);
    if (grant->name && !*name)
        return why_set(why, ERR_USAGE, "--name: is empty; leave it out or give a name");
    if (key_parse(name, half, NULL) == ERR_OK)
        return why_set(why, ERR_USAGE, "--name %s: looks like a key, and could be taken for one", name);
    snprintf(entry->name, sizeof entry->name, "%s", name);
    return ERR_OK;
}

static enum err take_tenants(const struct grant *grant, struct keyring_entry *entry, struct why *why)
{
    if (grant->tenants.count > KEYRING_TENANTS_MAX)
        return why_set(why, ERR_USAGE, "--tenant was given %zu times; a key has at most %d",
                       grant->tenants.count, KEYRING_TENANTS_MAX);
    for (size_t i = 0; i < grant->tenants.count; i++) {
        const char *tenant = grant->tenants.at[i];
        if (!text_is_word(tenant, KEYRING_TENANT_MAX))
            return why_set(
                why, ERR_USAGE,
                "--tenant %.80s: a tenant's name has letters, digits and . _ - only, no - first, at "
                "most %d",
                tenant, KEYRING_TENANT_MAX - 1);
        snprintf(entry->tenants[entry->tenants_count++], KEYRING_TENANT_MAX, "%s", tenant);
    }
    return ERR_OK;
}

/* All of the entry but its key. default_us: of --expires, 0 = never. */
static enum err take_grant(const struct grant *grant, uint64_t default_us, struct keyring_entry *entry,
                           struct why *why)
{
    uint64_t lasts_us = grant->expires_us == UINT64_MAX ? default_us : grant->expires_us;
    if (grant->expires_us == 0)
        return why_set(why, ERR_USAGE,
                       "--expires 0: it would be over at once; give a time such as 1h or 30d");
    enum err err = check_role(grant, &entry->role, why);
    if (err == ERR_OK)
        err = take_name(grant, entry, why);
    if (err == ERR_OK)
        err = take_tenants(grant, entry, why);
    entry->added_us = clock_wall_us();
    entry->expires_us = lasts_us ? entry->added_us + (int64_t)lasts_us : 0;
    return err;
}

/* ---- allow ---- */

/* Both halves of a key look alike. A secret one that was put on a list would be one no more. */
static enum err check_public(const char *word, struct why *why)
{
    static const char secret[] = ".secret";
    size_t length = strlen(word), cut = strlen(secret);
    if (length < cut || strcmp(word + length - cut, secret) != 0)
        return ERR_OK;
    return why_set(why, ERR_USAGE,
                   "%.200s: is the secret half, which nobody else may see; give the file .public", word);
}

int command_key_allow(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley key allow", "KEY|FILE --role ROLE [--name NAME] [--tenant T]... [--expires TIME] [--json]",
        "Let the holder of a public key (40 characters, or a file that holds them) connect to this state "
        "directory's coordinator. A worker takes work; a client submits, and sees and changes its tenants' "
        "jobs; "
        "read-only sees everything and changes nothing; admin may do everything. Allowing a key again "
        "replaces "
        "what it may do. A coordinator that runs takes it up by itself.",
        "  motley key allow laptop.public --role client --name laptop --tenant physics\n"
    };
    struct grant grant = { .expires_us = UINT64_MAX };
    struct keyring_entry entry = { .role = ROLE_NONE };
    char state_dir[PATH_MAX_BYTES];
    const char *words[1];
    struct key coordinator;
    size_t count = 0;
    bool json = false;
    struct why why;
    int code;
    const struct option_row rows[] = { GRANT_ROWS(grant, "let it in for so long only, such as 30d"),
                                       { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, words, 1, &count, &code))
        return code;
    enum err err = count == 1
                       ? take_grant(&grant, 0, &entry, &why)
                       : why_set(&why, ERR_USAGE,
                                 "whose key? give its 40 characters, or a file that holds them; `motley "
                                 "key new` prints one");
    if (err == ERR_OK)
        err = check_public(words[0], &why);
    if (err == ERR_OK)
        err = key_given(words[0], entry.public_half, &why);
    if (err == ERR_OK)
        err = coordinator_of(state_dir, &coordinator, &why);
    if (err == ERR_OK)
        err = keyring_add(state_dir, &entry, &why);
    key_wipe(&coordinator);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    print_entry(&entry, "allowed", json);
    return 0;
}

/* ---- invite ---- */

static void print_invitation(const struct invite *invite, const struct keyring_entry *entry, bool json)
{
    char line[INVITE_LINE_MAX], server[KEY_TEXT_MAX], token[KEY_TEXT_MAX], at[CLOCK_RFC3339_MAX];
    invite_print(invite, entry->invited_as == ROLE_WORKER ? "motley-worker" : "motley", line);
    if (!json) {
        puts(line);
        return;
    }
    key_text(invite->server_half, server);
    key_text(invite->token.secret_half, token);
    clock_rfc3339(entry->expires_us, at);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "line", line);
    yyjson_mut_obj_add_str(doc, root, "url", invite->url);
    yyjson_mut_obj_add_str(doc, root, "server_key", server);
    yyjson_mut_obj_add_str(doc, root, "token", token);
    yyjson_mut_obj_add_str(doc, root, "role", role_name(entry->invited_as));
    yyjson_mut_obj_add_str(doc, root, "expires_at", at);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

/* Those that nobody used would fill the list. */
static void forget_old_invitations(const char *state_dir)
{
    struct keyring *keyring = NULL;
    if (keyring_read(state_dir, &keyring, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < keyring_count(keyring); i++) {
        const struct keyring_entry *each = keyring_at(keyring, i);
        if (each->role == ROLE_INVITED && each->expires_us > 0 && each->expires_us <= clock_wall_us())
            (void)!keyring_drop(state_dir, each->public_half, NULL);
    }
    keyring_free(&keyring);
}

static enum err make_invitation(const struct grant *grant, const char *url, struct invite *invite,
                                struct keyring_entry *entry, struct why *why)
{
    char state_dir[PATH_MAX_BYTES];
    struct key coordinator = { { 0 }, { 0 } };
    enum err err = take_grant(grant, INVITATION_US_DEFAULT, entry, why);
    entry->invited_as = entry->role;
    entry->role = ROLE_INVITED;
    if (err == ERR_OK)
        err = coordinator_of(state_dir, &coordinator, why);
    if (err == ERR_OK)
        err = reach_url(url, state_dir, invite->url, why);
    if (err == ERR_OK)
        err = key_make(&invite->token, why);
    memcpy(entry->public_half, invite->token.public_half, KEY_BYTES);
    memcpy(invite->server_half, coordinator.public_half, KEY_BYTES);
    invite->has_server = invite->has_token = true;
    key_wipe(&coordinator);
    if (err == ERR_OK)
        forget_old_invitations(state_dir);
    return err == ERR_OK ? keyring_add(state_dir, entry, why) : err;
}

int command_key_invite(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley key invite",
        "--role ROLE [--name NAME] [--tenant T]... [--expires TIME] [--url URL] [--json]",
        "Print one line that lets one machine in: typed there, it makes that machine's own key, has it put "
        "on "
        "the allow list and (a worker) starts it. It works once, and for an hour unless --expires says "
        "otherwise. Whoever has the line can use it: treat it as a password.",
        "  motley key invite --role worker --name gpu-1\n"
        "  motley key invite --role client --tenant physics --expires 1d\n"
    };
    struct grant grant = { .expires_us = UINT64_MAX };
    struct keyring_entry entry = { .role = ROLE_NONE };
    struct invite invite = { .has_token = false };
    const char *url = NULL;
    bool json = false;
    struct why why;
    int code;
    const struct option_row rows[] = {
        GRANT_ROWS(grant, "the line can be used for so long (default 1h)"),
        { "url", 'u', OPTION_TEXT, &url, "URL",
          "how the other machine reaches the coordinator (default: what it listens on)" },
        { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
        { 0 }
    };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    enum err err = make_invitation(&grant, url, &invite, &entry, &why);
    if (err == ERR_OK)
        print_invitation(&invite, &entry, json);
    if (err == ERR_OK && reach_is_local(invite.url))
        fprintf(stderr,
                "motley: %s is reached from this machine only; for others give --url tcp://HOST:PORT\n",
                invite.url);
    invite_wipe(&invite);
    return err == ERR_OK ? 0 : tool_fail(err, &why);
}

/* ---- revoke ---- */

static const struct keyring_entry *entry_of_key(const struct keyring *keyring, const char *word)
{
    uint8_t half[KEY_BYTES];
    if (key_parse(word, half, NULL) != ERR_OK &&
        (access(word, F_OK) != 0 || key_given(word, half, NULL) != ERR_OK))
        return NULL;
    for (size_t i = 0; i < keyring_count(keyring); i++)
        if (key_same(keyring_at(keyring, i)->public_half, half))
            return keyring_at(keyring, i);
    return NULL;
}

static enum err find_entry(const struct keyring *keyring, const char *word,
                           const struct keyring_entry **entry, struct why *why)
{
    size_t named = 0;
    *entry = NULL;
    for (size_t i = 0; i < keyring_count(keyring); i++) {
        const struct keyring_entry *each = keyring_at(keyring, i);
        if (strcmp(each->name, word) != 0)
            continue;
        *entry = each;
        named++;
    }
    if (named > 1)
        return why_set(why, ERR_USAGE, "%.100s: %zu keys have this name; give the key, see `motley key list`",
                       word, named);
    if (named == 0)
        *entry = entry_of_key(keyring, word);
    return *entry
               ? ERR_OK
               : why_set(
                     why, ERR_NOT_FOUND,
                     "%.100s: no key on the allow list has this name or is this one; see `motley key list`",
                     word);
}

int command_key_revoke(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley key revoke", "KEY|NAME [--json]",
        "Take a key off the allow list, by itself or by its name; also an invitation that was not used. A "
        "coordinator that runs drops its holder's connections at once. A worker's unfinished work goes to "
        "others.",
        "  motley key revoke gpu-1\n"
    };
    char state_dir[PATH_MAX_BYTES];
    const char *words[1];
    const struct keyring_entry *found = NULL;
    struct keyring *keyring = NULL;
    struct keyring_entry entry;
    struct key coordinator;
    size_t count = 0;
    bool json = false;
    struct why why;
    int code;
    const struct option_row rows[] = { { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, words, 1, &count, &code))
        return code;
    enum err err = count == 1
                       ? coordinator_of(state_dir, &coordinator, &why)
                       : why_set(&why, ERR_USAGE, "which key? give it or its name; see `motley key list`");
    if (err == ERR_OK)
        err = keyring_read(state_dir, &keyring, &why);
    if (err == ERR_OK)
        err = find_entry(keyring, words[0], &found, &why);
    if (err == ERR_OK) {
        entry = *found;
        err = keyring_drop(state_dir, entry.public_half, &why);
    }
    keyring_free(&keyring);
    key_wipe(&coordinator);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    print_entry(&entry, "revoked", json);
    return 0;
}

/* ---- list ---- */

int command_key_list(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley key list", "[--json]",
        "The keys that may connect to this state directory's coordinator, and the invitations that are open. "
        "Peers on this machine that use its ipc socket need none.",
        NULL
    };
    char state_dir[PATH_MAX_BYTES];
    struct keyring *keyring = NULL;
    struct key coordinator;
    bool json = false;
    struct why why;
    int code;
    const struct option_row rows[] = { { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    enum err err = coordinator_of(state_dir, &coordinator, &why);
    if (err == ERR_OK)
        err = keyring_read(state_dir, &keyring, &why);
    key_wipe(&coordinator);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    for (size_t i = 0; i < keyring_count(keyring); i++)
        yyjson_mut_arr_append(root, key_view_entry(doc, keyring_at(keyring, i), clock_wall_us()));
    if (keyring_damage(keyring)[0])
        fprintf(stderr, "motley: %s\n", keyring_damage(keyring));
    keyring_free(&keyring);
    if (json) {
        tool_print_mut(doc);
    } else {
        yyjson_doc *copy = yyjson_mut_doc_imut_copy(doc, NULL);
        key_view_list(yyjson_doc_get_root(copy), stdout, tool_styled(stdout), clock_wall_us());
        yyjson_doc_free(copy);
    }
    yyjson_mut_doc_free(doc);
    return 0;
}
