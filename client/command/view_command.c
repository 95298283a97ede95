// SPDX-License-Identifier: Apache-2.0
/* motley worker list, worker show, status, events: views, printed. */
#include "command.h"
#include "render.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 64 };

typedef void show_view(yyjson_val *root);

/* all: several views are asked for. */
static int print_view(motley *connection, const struct tool_link *link, const char *what, const char *which,
                      show_view *show, yyjson_mut_doc **all)
{
    int code = 0;
    yyjson_doc *doc = tool_view(connection, what, which, &code);
    if (doc && link->json && all)
        tool_gather(all, doc);
    else if (doc && link->json)
        tool_print_json(doc);
    else if (doc)
        show(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return code;
}

/* words_min 0: no word asks for all. */
static int view_command(const struct option_usage *usage, const char *what, size_t words_min,
                        size_t words_max, show_view *show, int argc, char **argv)
{
    const char *words[WORDS_MAX];
    struct tool_link link = { 0 };
    yyjson_mut_doc *all = NULL;
    size_t count = 0;
    int code;
    const struct option_row rows[] = { TOOL_LINK_ROWS(link), { 0 } };
    if (!tool_parse(usage, rows, argc, argv, words, words_max, &count, &code))
        return code;
    if (count < words_min) {
        fprintf(stderr, "motley: %s: give a name; see `%s --help`\n", usage->command, usage->command);
        return MOTLEY_USAGE;
    }
    motley *connection = tool_connect(&link, &code);
    if (connection && count == 0)
        code = print_view(connection, &link, what, "", show, NULL);
    for (size_t i = 0; connection && code == 0 && i < count; i++)
        code = print_view(connection, &link, what, words[i], show, count > 1 ? &all : NULL);
    if (code == 0 && all)
        tool_print_gathered(&all);
    yyjson_mut_doc_free(all);
    motley_close(&connection);
    return code;
}

static void show_workers(yyjson_val *root) { render_workers(root, stdout, tool_styled(stdout)); }
static void show_worker(yyjson_val *root) { render_worker(root, stdout, tool_styled(stdout)); }
static void show_models(yyjson_val *root) { render_models(root, stdout, tool_styled(stdout)); }
static void show_model(yyjson_val *root) { render_model(root, stdout); }
static void show_status(yyjson_val *root) { render_coordinator(root, stdout); }

int command_worker_list(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley worker list", "[WORKER...] [--json]",
        "List the workers that are connected, and those that went lately.", NULL
    };
    return view_command(&usage, "workers", 0, WORDS_MAX, show_workers, argc, argv);
}

int command_worker_show(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley worker show", "WORKER... [--json]",
        "Show a worker (by name or id) with its devices, slots and learned curves.", NULL
    };
    return view_command(&usage, "worker", 1, WORDS_MAX, show_worker, argc, argv);
}

int command_model_list(int argc, char **argv)
{
    static const struct option_usage usage = { "motley model list", "[NAME...] [--json]",
                                               "List the registered models.", NULL };
    return view_command(&usage, "models", 0, WORDS_MAX, show_models, argc, argv);
}

int command_model_show(int argc, char **argv)
{
    static const struct option_usage usage = { "motley model show", "NAME[:VERSION]... [--json]",
                                               "Show what a registered model takes and gives.", NULL };
    return view_command(&usage, "model", 1, WORDS_MAX, show_model, argc, argv);
}

int command_status(int argc, char **argv)
{
    static const struct option_usage usage = { "motley status", "[--json]",
                                               "Show the coordinator's state in a few lines.", NULL };
    return view_command(&usage, "status", 0, 0, show_status, argc, argv);
}

/* A stream: with --json one object a line. */
static int print_events(motley *connection, bool json)
{
    int code = 0;
    size_t index, count;
    yyjson_val *event;
    yyjson_doc *doc = tool_view(connection, "events", "", &code);
    if (doc && !json)
        render_events(yyjson_doc_get_root(doc), stdout);
    if (doc && json) {
        yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, event)
        {
            char *line = yyjson_val_write(event, 0, NULL);
            puts(line ? line : "null");
            free(line);
        }
    }
    yyjson_doc_free(doc);
    return code;
}

int command_events(int argc, char **argv)
{
    static const struct option_usage usage = { "motley events", "[--json]",
                                               "Show what happened lately, the oldest first.", NULL };
    struct tool_link link = { 0 };
    int code;
    const struct option_row rows[] = { TOOL_LINK_ROWS(link), { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, NULL, 0, NULL, &code))
        return code;
    motley *connection = tool_connect(&link, &code);
    if (connection)
        code = print_events(connection, link.json);
    motley_close(&connection);
    return code;
}
