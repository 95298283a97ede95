// SPDX-License-Identifier: Apache-2.0
/* motley model add, model check (list and show are views) */
#include "bounds.h"
#include "command.h"
#include "render.h"
#include "signature.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "models/digits.onnx" -> "digits" */
static void name_of(const char *file, char *name, size_t max)
{
    const char *slash = strrchr(file, '/'), *from = slash ? slash + 1 : file;
    const char *dot = strrchr(from, '.');
    snprintf(name, max, "%.*s", (int)(dot && dot > from ? (size_t)(dot - from) : strlen(from)), from);
}

struct addition {
    const char *name, *version, *precision;
    double accuracy;
};

static int add(const struct tool_link *link, const char *file, const struct addition *as)
{
    struct motley_error error;
    char own[NAME_MAX_BYTES];
    int code;
    name_of(file, own, sizeof own);
    motley *connection = tool_connect(link, &code);
    if (!connection)
        return code;
    const char *under = as->name ? as->name : own;
    if (motley_variant_add(connection, file, under, as->version, as->precision, as->accuracy, &error) !=
        MOTLEY_OK) {
        code = tool_fail_error(&error);
    } else if (link->json) {
        yyjson_doc *doc = tool_view(connection, "model", under, &code);
        if (doc)
            tool_print_json(doc);
        yyjson_doc_free(doc);
    } else {
        printf("%s:%s\n", under, as->version ? as->version : "1");
    }
    motley_close(&connection);
    return code;
}

int command_model_add(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley model add", "FILE [--name NAME] [--version V] [--precision P] [--accuracy A] [--json]",
        "Register a model file, so that jobs can name it. It is checked and uploaded. The same name and\n"
        "version again, in another precision, is a further file of the model, and each device runs the one "
        "that suits it; in the same precision it is replaced.",
        "  motley model add digits.onnx && motley submit --model digits --input digits.npy\n"
        "  motley model add digits-int8.onnx --name digits --precision int8 --accuracy 0.97\n"
    };
    const char *words[1];
    struct addition as = { 0 };
    struct tool_link link = { 0 };
    size_t count = 0;
    int code;
    const struct option_row rows[] = { { "name", 0, OPTION_TEXT, &as.name, "NAME",
                                         "under which name (default: the file's, without its ending)" },
                                       { "version", 0, OPTION_TEXT, &as.version, "V",
                                         "which version (default: 1)" },
                                       { "precision", 0, OPTION_TEXT, &as.precision, "P",
                                         "int4, int8, fp8, fp16, bf16, tf32, fp32 or fp64 (default: as the "
                                         "file says)" },
                                       { "accuracy", 0, OPTION_NUMBER, &as.accuracy, "A",
                                         "how accurate it is, 0 to 1, for --param accuracy_min" },
                                       TOOL_LINK_ROWS(link),
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, words, 1, &count, &code))
        return code;
    if (count == 1)
        return add(&link, words[0], &as);
    fprintf(stderr, "motley: model add: which file? give a model file\n");
    return MOTLEY_USAGE;
}

static int check(const char *file, bool json)
{
    struct signature signature;
    struct why why;
    char *text = NULL;
    enum err err = signature_of_file(file, &signature, &text, &why);
    if (err != ERR_OK)
        return tool_fail(err, &why);
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    if (json)
        tool_print_json(doc);
    else
        render_model(yyjson_doc_get_root(doc), stdout);
    yyjson_doc_free(doc);
    free(text);
    return 0;
}

int command_model_check(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley model check", "FILE [--json]",
        "Load a model file here and show what it takes and gives. No coordinator is needed.", NULL
    };
    const char *words[1];
    size_t count = 0;
    bool json = false;
    int code;
    const struct option_row rows[] = { { "json", 0, OPTION_FLAG, &json, NULL, "print JSON for programs" },
                                       { 0 } };
    if (!tool_parse(&usage, rows, argc, argv, words, 1, &count, &code))
        return code;
    if (count == 1)
        return check(words[0], json);
    fprintf(stderr, "motley: model check: which file? give a model file\n");
    return MOTLEY_USAGE;
}
