// SPDX-License-Identifier: Apache-2.0
/* embed - a program of your own that has a job done: connect, submit, wait with progress, read the report.
 *
 *     cc embed.c $(pkg-config --cflags --libs motley) -o embed
 *     motley up --detach && ./embed digits.onnx digits.npy answers.npy
 *
 * With only a number of samples instead of files it runs the built-in model `synthetic`: ./embed 1000
 * answers.npy */
#include <motley.h>

#include <stdio.h>
#include <stdlib.h>

static int complain(const struct motley_error *error)
{
    fprintf(stderr, "embed: %s\n", error->text);
    return error->code;
}

/* Called about ten times a second. */
static int show_progress(void *context, const char *status_json)
{
    unsigned *looks = context;
    (void)status_json;
    ++*looks;
    return 0;
}

static int run_job(motley *connection, const struct motley_submit *job)
{
    struct motley_error error;
    char which[24];
    unsigned looks = 0;
    int64_t number = motley_submit(connection, job, &error);
    if (number < 0)
        return complain(&error);
    int code = motley_wait(connection, number, -1.0, show_progress, &looks, &error);
    if (code != MOTLEY_OK)
        return complain(&error);
    snprintf(which, sizeof which, "%lld", (long long)number);
    char *report = motley_view(connection, "report", which, &error);
    if (!report)
        return complain(&error);
    printf("job %lld, looked at %u times\n%s\n", (long long)number, looks, report);
    free(report);
    return 0;
}

int main(int argc, char **argv)
{
    struct motley_submit job = MOTLEY_SUBMIT_INIT;
    struct motley_error error;
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: embed MODEL INPUT OUTPUT | embed SAMPLES OUTPUT\n");
        return MOTLEY_USAGE;
    }
    job.model = argc == 4 ? argv[1] : "synthetic";
    job.input = argc == 4 ? argv[2] : NULL;
    job.samples = argc == 4 ? 0 : strtoull(argv[1], NULL, 10);
    job.output = argv[argc - 1];
    motley *connection = motley_connect(NULL, NULL, &error);
    if (!connection)
        return complain(&error);
    int code = run_job(connection, &job);
    motley_close(&connection);
    return code;
}
