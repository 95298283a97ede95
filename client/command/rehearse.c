// SPDX-License-Identifier: Apache-2.0
#include "rehearse.h"

#include "clock.h"
#include "reasons.h"

#include <stdlib.h>
#include <string.h>

int rehearse(motley *connection, const struct motley_submit *asked, bool json)
{
    struct motley_error error;
    char *text = motley_dry_run(connection, asked, &error);
    yyjson_doc *doc = text ? yyjson_read(text, strlen(text), 0) : NULL;
    struct reasons_style style = { clock_wall_us(), false, tool_styled(stdout), "--json" };
    if (!text)
        return tool_fail_error(&error);
    if (doc && json)
        tool_print_json(doc);
    else if (doc)
        reasons_dry_run(yyjson_doc_get_root(doc), stdout, &style);
    else
        fprintf(stderr, "motley: the coordinator's answer is not JSON; are all programs of one version?\n");
    int code = doc ? 0 : 1;
    yyjson_doc_free(doc);
    free(text);
    return code;
}

int rehearse_on(const struct tool_link *link, const struct motley_submit *asked)
{
    int code;
    motley *connection = tool_connect(link, &code);
    if (connection)
        code = rehearse(connection, asked, link->json);
    motley_close(&connection);
    return code;
}
