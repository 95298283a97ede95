// SPDX-License-Identifier: Apache-2.0
/* motley join: come in by an invitation, as a client. */
#include "admission.h"
#include "bounds.h"
#include "command.h"
#include "file.h"
#include "tool.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_US_DEFAULT = 5000000 };

static void print_joined(const struct admission *admission, bool json)
{
    char own[KEY_TEXT_MAX];
    const struct joined *joined = &admission->joined;
    const char *role = role_name(joined->role);
    key_text(admission->own.public_half, own);
    if (!json) {
        printf("%s %s as %s; try `%s`\n", admission->known ? "is joined already:" : "joined", joined->url,
               role, joined->role == ROLE_WORKER ? "motley-worker" : "motley status");
        return;
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "url", joined->url);
    yyjson_mut_obj_add_str(doc, root, "server_key", joined->server_key);
    yyjson_mut_obj_add_str(doc, root, "public_key", own);
    yyjson_mut_obj_add_str(doc, root, "role", role);
    yyjson_mut_obj_add_str(doc, root, "name", joined->name);
    tool_print_mut(doc);
    yyjson_mut_doc_free(doc);
}

/* Where to look when it was the way that failed, not the words. */
static int fail_join(enum err err, const struct why *why, const struct invite *invite)
{
    char place[INVITE_MAX];
    int code = tool_fail(err, why);
    invite_print_place(invite, place);
    if (err == ERR_UNREACHABLE || err == ERR_REFUSED)
        fprintf(stderr, "motley: `motley doctor '%s'` tests each step\n", place);
    return code;
}

int command_join(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley join", "URL#SERVERKEY.TOKEN [--name NAME] [--json]",
        "Use a coordinator on another machine from now on, with the line that `motley key invite --role "
        "client` "
        "(or read-only, or admin) printed there. It makes this user's own key, has it put on the "
        "coordinator's "
        "list, and remembers both: the other commands then need no option.",
        "  motley join tcp://10.0.0.5:7117#SERVERKEY.TOKEN && motley status\n"
    };
    char state_dir[PATH_MAX_BYTES], host[256] = "";
    const char *words[1], *name = NULL;
    uint64_t timeout_us = TIMEOUT_US_DEFAULT;
    struct invite invite = { .has_token = false };
    struct admission admission;
    size_t count = 0;
    bool json = false;
    struct why why;
    int code;
    const struct option_row rows[] = { { "name", 'n', OPTION_TEXT, &name, "NAME",
                                         "what we are to be called there (default: this host's name)" },
                                       { "connect-timeout", 0, OPTION_DURATION, &timeout_us, "TIME",
                                         "give up after this (default 5s)" },
                                       { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, words, 1, &count, &code))
        return code;
    (void)gethostname(host, sizeof host - 1);
    enum err err = count == 1
                       ? invite_parse(words[0], &invite, &why)
                       : why_set(&why, ERR_USAGE,
                                 "which invitation? give the URL#SERVERKEY.TOKEN that `motley key invite` "
                                 "prints on the coordinator's host");
    if (err == ERR_OK)
        err = file_state_dir(state_dir, sizeof state_dir, &why);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    err = admission_ask(state_dir, &invite, name ? name : host, timeout_us, &admission, &why);
    if (err == ERR_OK)
        print_joined(&admission, json);
    code = err == ERR_OK ? 0 : fail_join(err, &why, &invite);
    admission_wipe(&admission);
    invite_wipe(&invite);
    return code;
}
