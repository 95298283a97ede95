// SPDX-License-Identifier: Apache-2.0
#include "tool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

int tool_fail(enum err err, const struct why *why)
{
    fprintf(stderr, "motley: %s\n", why->text);
    return err_exit_code(err);
}

int tool_fail_error(const struct motley_error *error)
{
    fprintf(stderr, "motley: %s\n", error->text);
    return error->code;
}

bool tool_parse(const struct option_usage *usage, const struct option_row *rows, int argc, char **argv,
                const char **words, size_t words_max, size_t *words_count, int *code)
{
    struct why why;
    bool helped = false;
    size_t own = 0;
    *code = 0;
    enum err err = options_parse(usage, rows, argc, argv, words, words_max, words_count ? words_count : &own,
                                 &helped, &why);
    if (err != ERR_OK)
        *code = tool_fail(err, &why);
    return err == ERR_OK && !helped;
}

motley *tool_connect(const struct tool_link *link, int *code)
{
    struct motley_connect_options options = MOTLEY_CONNECT_INIT;
    struct motley_error error;
    options.coordinator = link->coordinator;
    options.coordinator_key = link->coordinator_key;
    options.timeout_seconds = (double)link->connect_timeout_us / 1e6;
    motley *connection = motley_connect(&options, NULL, &error);
    *code = connection ? 0 : tool_fail_error(&error);
    return connection;
}

yyjson_doc *tool_view(motley *connection, const char *what, const char *which, int *code)
{
    struct motley_error error;
    char *json = motley_view(connection, what, which, &error);
    if (!json) {
        *code = tool_fail_error(&error);
        return NULL;
    }
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    free(json);
    *code = doc ? 0 : 1;
    if (!doc)
        fprintf(stderr, "motley: the coordinator's answer is not JSON; are all programs of one version?\n");
    return doc;
}

void tool_print_json(const yyjson_doc *doc)
{
    char *text = yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
    puts(text ? text : "null");
    free(text);
}

void tool_print_mut(const yyjson_mut_doc *doc)
{
    char *text = doc ? yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL) : NULL;
    puts(text ? text : "null");
    free(text);
}

void tool_gather(yyjson_mut_doc **all, yyjson_doc *doc)
{
    size_t index, count;
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    if (!*all) {
        *all = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(*all, yyjson_mut_arr(*all));
    }
    yyjson_mut_val *array = yyjson_mut_doc_get_root(*all);
    if (root && !yyjson_is_arr(root))
        yyjson_mut_arr_append(array, yyjson_val_mut_copy(*all, root));
    yyjson_arr_foreach(root, index, count, item)
        yyjson_mut_arr_append(array, yyjson_val_mut_copy(*all, item));
}

void tool_print_gathered(yyjson_mut_doc **all)
{
    tool_print_mut(*all);
    yyjson_mut_doc_free(*all);
    *all = NULL;
}

int tool_show_views(const struct tool_link *link, const char *what, const char *const *words,
                    size_t words_count, tool_show *show, void *context)
{
    int code = 0;
    yyjson_mut_doc *all = NULL;
    motley *connection = tool_connect(link, &code);
    for (size_t i = 0; connection && code == 0 && i < words_count; i++) {
        yyjson_doc *doc = tool_view(connection, what, words[i], &code);
        if (doc && link->json && words_count > 1)
            tool_gather(&all, doc);
        else if (doc && link->json)
            tool_print_json(doc);
        else if (doc)
            show(context, yyjson_doc_get_root(doc), i == 0);
        yyjson_doc_free(doc);
    }
    if (all && code == 0)
        tool_print_gathered(&all);
    yyjson_mut_doc_free(all);
    motley_close(&connection);
    return code;
}

bool tool_styled(FILE *stream)
{
    const char *plain = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(stream)) && !(plain && *plain) && !(term && strcmp(term, "dumb") == 0);
}

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void tool_catch_interrupts(void)
{
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };
    interrupted = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool tool_interrupted(void) { return interrupted != 0; }
