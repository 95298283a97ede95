// SPDX-License-Identifier: Apache-2.0
/* motley - the command line. */
#include "command.h"
#include "log.h"
#include "motley.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    int used = 0;
    log_init("motley", LOG_INFO, 2);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        command_help();
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("motley " MOTLEY_VERSION);
        return 0;
    }
    const struct command *row = command_find(argc - 1, argv + 1, &used);
    int code = row ? row->run(argc - used, argv + used) : command_unknown(argc - 1, argv + 1);
    /* What could not be written was not done: a full disk, a closed pipe. */
    if (fflush(stdout) != 0 && code == 0) {
        fprintf(stderr, "motley: the answer could not be written to standard output\n");
        code = 1;
    }
    return code;
}
