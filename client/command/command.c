// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include "options.h"

#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = 64, NAME_LENGTH_MAX = 64 };

const struct command command_table[] = {
    { "run", "run one job on a private fleet: nothing to set up, nothing left behind", command_run },
    { "up", "start a coordinator and workers on this machine", command_up },
    { "down", "stop them", command_down },
    { "submit", "submit a job", command_submit },
    { "infer", "ask for the answers to a few samples now, before all jobs", command_infer },
    { "job list", "the jobs, newest last", command_job_list },
    { "job status", "how a job stands, and for what it waits", command_job_status },
    { "job wait", "wait until jobs ended; exit as they ended", command_job_wait },
    { "job progress", "follow a job's progress", command_job_progress },
    { "job results", "write a finished job's answers to a file", command_job_results },
    { "job cancel", "cancel jobs", command_job_cancel },
    { "job change", "give jobs another priority or deadline", command_job_change },
    { "job retry", "run again what failed of jobs that are over", command_job_retry },
    { "job remove", "keep jobs that are over no longer", command_job_remove },
    { "job explain", "why a job waits or is slow", command_job_explain },
    { "job report", "what each device did in a job", command_job_report },
    { "worker list", "the workers", command_worker_list },
    { "worker show", "a worker with its devices and slots", command_worker_show },
    { "worker drain", "give workers no new work", command_worker_drain },
    { "worker resume", "let drained workers take part again", command_worker_resume },
    { "worker explain", "why a worker is idle", command_worker_explain },
    { "model add", "register a model file under a name", command_model_add },
    { "model list", "the registered models", command_model_list },
    { "model show", "a registered model's inputs and outputs", command_model_show },
    { "model check", "what a model file takes and gives", command_model_check },
    { "model remove", "register a model no longer", command_model_remove },
    { "key new", "make this user's own key, and print its public half", command_key_new },
    { "key show", "print the coordinator's public key", command_key_show },
    { "key allow", "let the holder of a key connect", command_key_allow },
    { "key invite", "print one line that lets a machine in", command_key_invite },
    { "key revoke", "take a key off the allow list", command_key_revoke },
    { "key list", "the keys that may connect", command_key_list },
    { "join", "use a coordinator on another machine", command_join },
    { "doctor", "test each step to the coordinator, and this machine", command_doctor },
    { "completion", "print a shell's completion script", command_completion },
    { "status", "the coordinator's state", command_status },
    { "events", "what happened lately", command_events },
    { "simulate", "plan: a job on a fleet in virtual time", command_simulate },
    { "bench efficiency", "throughput through Motley against the runtime called directly",
      command_bench_efficiency },
    { "bench dispatch", "chunks a second through a coordinator, against a bare echo",
      command_bench_dispatch },
    { "bench latency", "what a coordinator adds to an online request, against two bare hops",
      command_bench_latency },
    { "bench makespan", "a fleet's makespan against the lower bound", command_bench_makespan },
    { "help", "this list, or the help of a command", command_help_word },
    { NULL, NULL, NULL },
};

static const char *const planned[] = {
    "bench single-stream", "bench multi-stream", "bench server", "bench offline", "bench compare",
};

/* How many of argv's words are the name's; 0 if they are not. */
static int words_matched(const char *name, int argc, char **argv)
{
    char joined[NAME_LENGTH_MAX];
    if (argc >= 1 && strcmp(name, argv[0]) == 0)
        return 1;
    if (argc < 2 || !strchr(name, ' '))
        return 0;
    int length = snprintf(joined, sizeof joined, "%s %s", argv[0], argv[1]);
    return length > 0 && (size_t)length < sizeof joined && strcmp(name, joined) == 0 ? 2 : 0;
}

const struct command *command_find(int argc, char **argv, int *used)
{
    for (const struct command *row = command_table; row->name; row++)
        if ((*used = words_matched(row->name, argc, argv)) > 0)
            return row;
    return NULL;
}

bool command_is_planned(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof planned / sizeof planned[0]; i++)
        if (words_matched(planned[i], argc, argv))
            return true;
    return false;
}

/* "job" alone: its second words. */
static bool print_family(const char *word, FILE *stream)
{
    size_t length = strlen(word);
    bool found = false;
    for (const struct command *row = command_table; row->name; row++) {
        if (strncmp(row->name, word, length) != 0 || row->name[length] != ' ')
            continue;
        if (!found)
            fprintf(stream, "motley: %s: which of these? see `motley help`\n", word);
        fprintf(stream, "  motley %-18s %s\n", row->name, row->about);
        found = true;
    }
    return found;
}

static const char *nearest_command(int argc, char **argv)
{
    const char *names[NAMES_MAX];
    char joined[NAME_LENGTH_MAX];
    size_t count = 0;
    for (const struct command *row = command_table; row->name && count < NAMES_MAX; row++)
        names[count++] = row->name;
    snprintf(joined, sizeof joined, "%s %s", argv[0], argc > 1 ? argv[1] : "");
    const char *found = argc > 1 && argv[1][0] != '-' ? options_nearest(joined, names, count) : NULL;
    return found ? found : options_nearest(argv[0], names, count);
}

int command_unknown(int argc, char **argv)
{
    const char *second = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
    if (command_is_planned(argc, argv)) {
        fprintf(stderr, "motley: %s%s%s: not in this version; see `motley help`\n", argv[0],
                *second ? " " : "", second);
        return 2;
    }
    if (!*second && print_family(argv[0], stderr))
        return 2;
    const char *nearest = nearest_command(argc, argv);
    fprintf(stderr, "motley: %.60s%s%.60s: no such command; ", argv[0], *second ? " " : "", second);
    if (nearest)
        fprintf(stderr, "did you mean `motley %s`?\n", nearest);
    else
        fprintf(stderr, "see `motley help`\n");
    return 2;
}

void command_help(void)
{
    puts(
        "motley - batch inference on unlike hardware, as one machine\n\nusage: motley COMMAND [OPTION...]\n");
    for (const struct command *row = command_table; row->name; row++)
        printf("  %-18s %s\n", row->name, row->about);
    puts("\n`motley COMMAND --help` explains a command. `--json` prints JSON for programs.\n"
         "exit codes: 0 done, 1 failed or failed samples, 2 usage, 3 unreachable, 4 not found, 5 timeout, 6 "
         "cancelled,\n"
         "            130 interrupted while a job goes on");
}

int command_help_word(int argc, char **argv)
{
    static char help[] = "--help";
    int used = 0;
    if (argc <= 1 || argv[1][0] == '-') {
        command_help();
        return 0;
    }
    const struct command *row = command_find(argc - 1, argv + 1, &used);
    if (!row)
        return command_unknown(argc - 1, argv + 1);
    char *call[] = { argv[used], help, NULL };
    return row->run(2, call);
}
