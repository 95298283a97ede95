// SPDX-License-Identifier: Apache-2.0
/* motley-filetypes - the two ends of the job "what is on this machine": files to rows, and answers to a
 * table.
 *
 *     motley-filetypes prepare --config config.min.json --limit 300 --output files.npy --list files.txt /usr
 *     motley run --model model.onnx --input files.npy --output answers.npy
 *     motley-filetypes summary --config config.min.json --types content_types_kb.min.json --answers
 * answers.npy --list files.txt
 */
#include "choice.h"
#include "ensure.h"
#include "err.h"
#include "file.h"
#include "magika.h"
#include "npy.h"
#include "options.h"
#include "tokens.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDERS_MAX = 32, LIMIT_MAX = 1000000, LIST_BYTES_MAX = 1 << 28, TEMPORARY_MAX = PATH_MAX + 64 };

/* -- prepare -- */

struct output {
    const char *path;
    char temporary[TEMPORARY_MAX];
    int fd;
    uint64_t offset;
};

static enum err output_begin(struct output *output, const char *path, struct why *why)
{
    *output = (struct output){ .path = path, .fd = -1 };
    return file_begin(path, output->temporary, sizeof output->temporary, &output->fd, why);
}

static enum err output_append(struct output *output, const void *bytes, size_t size, struct why *why)
{
    enum err err = file_pwrite(output->fd, bytes, size, output->offset, output->path, why);
    output->offset += size;
    return err;
}

static size_t header_of(const struct magika *config, uint64_t rows, uint8_t header[NPY_HEADER_MAX])
{
    struct tensor_spec spec = { .name = "bytes", .dtype = DTYPE_I32, .dims_count = 1 };
    spec.dims[0] = (int64_t)tokens_count(config);
    return npy_header(&spec, rows, header);
}

/* Files that cannot be read now, or have too few bytes for the model, are left out of both outputs. */
static enum err write_row(const struct magika *config, const char *path, int32_t *row, struct output *rows,
                          struct output *list, uint64_t *count, struct why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return ERR_OK;
    enum err err = tokens_read(config, fd, path, row, NULL);
    close(fd);
    if (err)
        return err == ERR_MEMORY ? why_set(why, err, "no memory for a block of %s", path) : ERR_OK;
    (*count)++;
    err = output_append(rows, row, tokens_count(config) * sizeof *row, why);
    if (!err)
        err = output_append(list, path, strlen(path), why);
    return err ? err : output_append(list, "\n", 1, why);
}

/* The header's length does not depend on the number of rows up to LIMIT_MAX: it is padded. It is written
 * twice. */
static enum err write_rows(const struct magika *config, const struct choice *choice, struct output *rows,
                           struct output *list, uint64_t *count, struct why *why)
{
    uint8_t header[NPY_HEADER_MAX];
    int32_t *row = malloc(tokens_count(config) * sizeof *row);
    if (!row)
        return why_set(why, ERR_MEMORY, "no memory for a row");
    enum err err = output_append(rows, header, header_of(config, 0, header), why);
    for (size_t i = 0; i < choice->count && !err; i++)
        err = write_row(config, choice->paths[i], row, rows, list, count, why);
    free(row);
    if (err)
        return err;
    size_t header_bytes = header_of(config, *count, header);
    ENSURE(rows->offset == header_bytes + *count * tokens_count(config) * sizeof *row);
    return file_pwrite(rows->fd, header, header_bytes, 0, rows->path, why);
}

struct prepare {
    const char *config, *output, *list;
    uint64_t limit;
};

static enum err write_choice(const struct prepare *options, const struct magika *config,
                             const struct choice *choice, uint64_t *count, struct why *why)
{
    struct output rows = { .fd = -1 }, list = { .fd = -1 };
    enum err err = output_begin(&rows, options->output, why);
    if (!err)
        err = output_begin(&list, options->list, why);
    if (!err)
        err = write_rows(config, choice, &rows, &list, count, why);
    if (!err)
        err = file_publish(&rows.fd, rows.temporary, rows.path, why);
    if (!err)
        err = file_publish(&list.fd, list.temporary, list.path, why);
    if (rows.fd >= 0)
        file_discard(&rows.fd, rows.temporary);
    if (list.fd >= 0)
        file_discard(&list.fd, list.temporary);
    return err;
}

static enum err prepare_files(const struct prepare *options, const char **folders, struct why *why)
{
    static struct magika config;
    struct choice choice = { 0 };
    uint64_t count = 0;
    enum err err = magika_read(options->config, &config, why);
    if (!err)
        err = choice_make(&choice, (char *const *)(uintptr_t)folders, options->limit, why);
    if (!err)
        err = write_choice(options, &config, &choice, &count, why);
    if (!err)
        printf("%" PRIu64 " files taken of %" PRIu64 ", each as %zu numbers\n", count, choice.files_seen,
               tokens_count(&config));
    choice_fini(&choice);
    return err;
}

static enum err prepare(int argc, char **argv, struct why *why)
{
    struct prepare options = { .limit = 1000 };
    const char *folders[FOLDERS_MAX + 1] = { NULL };
    size_t folders_count = 0;
    bool helped = false;
    const struct option_row rows[] = {
        { "config", 'c', OPTION_TEXT, &options.config, "FILE", "the model's config.min.json" },
        { "limit", 'n', OPTION_COUNT, &options.limit, "N", "files to take at most (default: 1000)" },
        { "output", 'o', OPTION_TEXT, &options.output, "FILE", "the rows, INT32[N, tokens], as .npy" },
        { "list", 'l', OPTION_TEXT, &options.list, "FILE",
          "the files' names, one per line, in the rows' order" },
        { 0 },
    };
    const struct option_usage usage = { "motley-filetypes prepare",
                                        "--config FILE --output FILE --list FILE [--limit N] FOLDER...",
                                        "Choose files below the folders, the same on every run, and write "
                                        "what Magika's model wants to see of them.",
                                        NULL };
    enum err err =
        options_parse(&usage, rows, argc, argv, folders, FOLDERS_MAX, &folders_count, &helped, why);
    if (err || helped)
        return err;
    if (!options.config || !options.output || !options.list || folders_count == 0)
        return why_set(why, ERR_USAGE,
                       "prepare needs --config, --output, --list and a folder; see prepare --help");
    if (options.limit == 0 || options.limit > LIMIT_MAX)
        return why_set(why, ERR_USAGE, "--limit %" PRIu64 ": give 1 to %d", options.limit, LIMIT_MAX);
    return prepare_files(&options, folders, why);
}

/* -- summary -- */

struct summary {
    const char *config, *types, *answers, *list;
    uint64_t top;
    bool files;
};

struct tally {
    const char *label;
    uint64_t count;
};

struct tallies {
    size_t count;
    struct tally at[MAGIKA_LABELS_MAX + 2]; /* "txt" and "unknown" need not be labels */
};

static void tally_add(struct tallies *tallies, const char *label)
{
    size_t i = 0;
    while (i < tallies->count && strcmp(tallies->at[i].label, label) != 0)
        i++;
    if (i == tallies->count)
        tallies->at[tallies->count++] = (struct tally){ label, 0 };
    tallies->at[i].count++;
}

static int by_count(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->label, y->label);
}

static void print_tallies(struct tallies *tallies, uint64_t files, uint64_t top)
{
    uint64_t rest = files;
    qsort(tallies->at, tallies->count, sizeof tallies->at[0], by_count);
    printf("%10s %7s  %s\n", "files", "share", "type");
    for (size_t i = 0; i < tallies->count && i < top; i++) {
        rest -= tallies->at[i].count;
        printf("%10" PRIu64 " %6.1f%%  %s\n", tallies->at[i].count,
               100.0 * (double)tallies->at[i].count / (double)files, tallies->at[i].label);
    }
    if (rest > 0)
        printf("%10" PRIu64 " %6.1f%%  (%zu other types)\n", rest, 100.0 * (double)rest / (double)files,
               tallies->count - (size_t)top);
}

static enum err check_answers(const char *path, const struct magika *config, const struct npy_array *array,
                              struct why *why)
{
    if (array->spec.dtype != DTYPE_F32 || array->spec.dims_count != 1 ||
        array->spec.dims[0] != config->labels_count)
        return why_set(why, ERR_FORMAT, "%s: not float32[N,%u], which is what the model answers", path,
                       config->labels_count);
    return ERR_OK;
}

/* One pass over answers and names together: neither is held whole but for the names. */
static enum err sum_up(const struct summary *options, const struct magika *config, int fd,
                       const struct npy_array *array, char *names, struct why *why)
{
    static struct tallies tallies;
    static float scores[MAGIKA_LABELS_MAX];
    char *rest = names;
    for (uint64_t i = 0; i < array->sample_count; i++) {
        const char *name = strsep(&rest, "\n");
        if (!name || !*name)
            return why_set(why, ERR_FORMAT, "%s: fewer names than the %" PRIu64 " answers", options->list,
                           array->sample_count);
        enum err err = file_pread(fd, scores, array->row_bytes, array->offset + i * array->row_bytes,
                                  options->answers, why);
        if (err)
            return err;
        const char *answer = magika_answer(config, scores);
        tally_add(&tallies, answer);
        if (options->files)
            printf("%s\t%s\n", answer, name);
    }
    if (rest && *rest)
        return why_set(why, ERR_FORMAT, "%s: more names than the %" PRIu64 " answers", options->list,
                       array->sample_count);
    if (!options->files)
        print_tallies(&tallies, array->sample_count, options->top);
    return ERR_OK;
}

static enum err sum_up_files(const struct summary *options, struct why *why)
{
    static struct magika config;
    struct npy_array array;
    char *names = NULL;
    size_t names_bytes = 0;
    uint64_t size = 0;
    int64_t mtime = 0;
    enum err err = magika_read(options->config, &config, why);
    if (!err)
        err = magika_read_types(options->types, &config, why);
    if (!err)
        err = npy_open(options->answers, &array, &size, &mtime, why);
    if (!err)
        err = check_answers(options->answers, &config, &array, why);
    if (!err)
        err = file_read(options->list, LIST_BYTES_MAX, &names, &names_bytes, why);
    int fd = err ? -1 : open(options->answers, O_RDONLY | O_CLOEXEC);
    if (!err && fd < 0)
        err = why_set_errno(why, ERR_FILE, "%s: cannot be opened", options->answers);
    if (!err)
        err = sum_up(options, &config, fd, &array, names, why);
    if (fd >= 0)
        close(fd);
    free(names);
    return err;
}

static enum err summary(int argc, char **argv, struct why *why)
{
    struct summary options = { .top = 15 };
    const char *words[1];
    size_t words_count = 0;
    bool helped = false;
    const struct option_row rows[] = {
        { "config", 'c', OPTION_TEXT, &options.config, "FILE", "the model's config.min.json" },
        { "types", 't', OPTION_TEXT, &options.types, "FILE", "the package's content_types_kb.min.json" },
        { "answers", 'a', OPTION_TEXT, &options.answers, "FILE", "what the job wrote" },
        { "list", 'l', OPTION_TEXT, &options.list, "FILE", "the names that prepare wrote" },
        { "top", 0, OPTION_COUNT, &options.top, "N", "types to show (default: 15)" },
        { "files", 'f', OPTION_FLAG, &options.files, NULL, "show each file's type instead of the table" },
        { 0 },
    };
    const struct option_usage usage = {
        "motley-filetypes summary",
        "--config FILE --types FILE --answers FILE --list FILE [--top N | --files]",
        "Say what the files are, by type, the most frequent first.", NULL
    };
    enum err err = options_parse(&usage, rows, argc, argv, words, 0, &words_count, &helped, why);
    if (err || helped)
        return err;
    if (!options.config || !options.types || !options.answers || !options.list)
        return why_set(why, ERR_USAGE,
                       "summary needs --config, --types, --answers and --list; see summary --help");
    return sum_up_files(&options, why);
}

int main(int argc, char **argv)
{
    struct why why = { "give a command: prepare or summary" };
    enum err err = ERR_USAGE;
    if (argc > 1 && strcmp(argv[1], "prepare") == 0)
        err = prepare(argc - 1, argv + 1, &why);
    else if (argc > 1 && strcmp(argv[1], "summary") == 0)
        err = summary(argc - 1, argv + 1, &why);
    if (!err && (fflush(stdout) != 0 || ferror(stdout)))
        err = why_set_errno(&why, ERR_FILE, "standard output: cannot be written");
    if (err)
        fprintf(stderr, "motley-filetypes: %s\n", why.text);
    return err_exit_code(err);
}
