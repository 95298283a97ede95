// SPDX-License-Identifier: Apache-2.0
/* motley completion: the files of deploy/completions, as they were when this was built. */
#include "command.h"
#include "completion_scripts.h"
#include "tool.h"

#include <stdio.h>
#include <string.h>

int command_completion(int argc, char **argv)
{
    static const struct option_usage usage = {
        "motley completion", "bash|zsh|fish",
        "Print the script that completes motley's words with the tab key in this shell. It asks the programs "
        "what they know, so it need not be renewed with them.",
        "  source <(motley completion bash)\n"
        "  source <(motley completion zsh)                         # after compinit\n"
        "  motley completion fish > ~/.config/fish/completions/motley.fish\n"
    };
    static const struct option_row none[] = { { 0 } };
    const char *words[1];
    size_t count = 0;
    int code;
    if (!tool_parse(&usage, none, argc, argv, words, 1, &count, &code))
        return code;
    for (size_t i = 0; count == 1 && i < sizeof completion_scripts / sizeof completion_scripts[0]; i++) {
        const struct completion_script *script = &completion_scripts[i];
        if (strcmp(words[0], script->shell) != 0)
            continue;
        fwrite(script->bytes, 1, script->size, stdout);
        return 0;
    }
    fprintf(stderr, "motley: completion%s%.40s: which shell? give bash, zsh or fish\n", count ? " " : "",
            count ? words[0] : "");
    return MOTLEY_USAGE;
}
