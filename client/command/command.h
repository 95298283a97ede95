// SPDX-License-Identifier: Apache-2.0
/* command - the table of what `motley` can do: one row and one file per command. */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct command {
    const char *name;                  /* "run", "job wait" */
    const char *about;                 /* one line */
    int (*run)(int argc, char **argv); /* argv[0] is the command's last word; returns the exit code */
};

extern const struct command command_table[]; /* ends with a row without a name */

/* The row for these words, and how many of them name it; NULL: none. */
const struct command *command_find(int argc, char **argv, int *used);

/* A command of a later version: refused, never taken for something else. */
bool command_is_planned(int argc, char **argv);

/* Complain that argv names no command. The exit code. */
int command_unknown(int argc, char **argv);

void command_help(void);

int command_run(int argc, char **argv);
int command_up(int argc, char **argv);
int command_down(int argc, char **argv);
int command_submit(int argc, char **argv);
int command_infer(int argc, char **argv);
int command_job_list(int argc, char **argv);
int command_job_status(int argc, char **argv);
int command_job_wait(int argc, char **argv);
int command_job_progress(int argc, char **argv);
int command_job_results(int argc, char **argv);
int command_job_cancel(int argc, char **argv);
int command_job_change(int argc, char **argv);
int command_job_remove(int argc, char **argv);
int command_job_retry(int argc, char **argv);
int command_job_report(int argc, char **argv);
int command_worker_list(int argc, char **argv);
int command_job_explain(int argc, char **argv);
int command_worker_show(int argc, char **argv);
int command_worker_drain(int argc, char **argv);
int command_worker_resume(int argc, char **argv);
int command_worker_explain(int argc, char **argv);
int command_model_add(int argc, char **argv);
int command_model_list(int argc, char **argv);
int command_model_show(int argc, char **argv);
int command_model_remove(int argc, char **argv);
int command_model_check(int argc, char **argv);
int command_key_new(int argc, char **argv);
int command_key_show(int argc, char **argv);
int command_key_allow(int argc, char **argv);
int command_key_invite(int argc, char **argv);
int command_key_revoke(int argc, char **argv);
int command_key_list(int argc, char **argv);
int command_join(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_completion(int argc, char **argv);
int command_status(int argc, char **argv);
int command_events(int argc, char **argv);
int command_simulate(int argc, char **argv);
int command_bench_efficiency(int argc, char **argv);
int command_bench_dispatch(int argc, char **argv);
int command_bench_latency(int argc, char **argv);
int command_bench_makespan(int argc, char **argv);
int command_help_word(int argc, char **argv);

#endif
