// SPDX-License-Identifier: Apache-2.0
#include "journal.h"

#include "ensure.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { APPLICATION_ID = 0x4d4f544c /* "MOTL" */, WAL_PAGES_MAX = 2000, BUSY_MS = 1000 };

static const char schema[] =
    "CREATE TABLE meta (term INTEGER NOT NULL, next_job INTEGER NOT NULL, mac_key BLOB NOT NULL);"
    "CREATE TABLE job (job INTEGER PRIMARY KEY, uuid BLOB NOT NULL, samples INTEGER NOT NULL, state INTEGER "
    "NOT NULL,"
    " submitted_us INTEGER NOT NULL, started_us INTEGER NOT NULL, finished_us INTEGER NOT NULL, reason TEXT, "
    "spec BLOB);"
    "CREATE TABLE output (job INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, dtype INTEGER "
    "NOT NULL,"
    " dims TEXT NOT NULL, PRIMARY KEY (job, number)) WITHOUT ROWID;"
    "CREATE TABLE done (job INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY (job, first)) WITHOUT ROWID;"
    "CREATE TABLE failure (job INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, reason TEXT "
    "NOT NULL,"
    " worker TEXT NOT NULL, PRIMARY KEY (job, first)) WITHOUT ROWID;"
    "CREATE TABLE tally (job INTEGER NOT NULL, key TEXT NOT NULL, value BLOB,"
    " PRIMARY KEY (job, key)) WITHOUT ROWID;"
    "CREATE TABLE model (name TEXT NOT NULL, version TEXT NOT NULL, spec BLOB,"
    " PRIMARY KEY (name, version)) WITHOUT ROWID;";

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    META_TERM,
    META_READ,
    META_NEXT_JOB,
    JOB_HAS,
    JOB_SAMPLES,
    JOB_ADD,
    JOB_OPEN,
    JOB_CLOSE,
    JOB_SPEC,
    JOB_LIST,
    OUTPUT_ADD,
    OUTPUT_LIST,
    DONE_BEFORE,
    DONE_AFTER,
    DONE_REMOVE,
    DONE_PUT,
    DONE_LIST,
    FAILURE_PUT,
    FAILURE_LIST,
    TALLY_PUT,
    TALLY_LIST,
    MODEL_PUT,
    MODEL_LIST,
    MODEL_DROP,
    DROP_JOB,
    DROP_OUTPUT,
    DROP_DONE,
    DROP_FAILURE,
    DROP_TALLY,
    STATEMENT_COUNT
};

static const char *const sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [META_TERM] = "UPDATE meta SET term = term + 1",
    [META_READ] = "SELECT term, next_job, mac_key FROM meta",
    [META_NEXT_JOB] = "UPDATE meta SET next_job = max(next_job, ?1)",
    [JOB_HAS] = "SELECT 1 FROM job WHERE job = ?1",
    [JOB_SAMPLES] = "SELECT samples FROM job WHERE job = ?1",
    [JOB_ADD] = "INSERT INTO job VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, NULL, ?6)",
    [JOB_OPEN] = "UPDATE job SET state = ?2, started_us = iif(started_us = 0, ?4, started_us), finished_us = "
                 "0, reason = ?3"
                 " WHERE job = ?1",
    [JOB_CLOSE] = "UPDATE job SET state = ?2, reason = coalesce(?3, reason),"
                  " finished_us = iif(finished_us = 0, ?4, finished_us) WHERE job = ?1",
    [JOB_SPEC] = "UPDATE job SET spec = ?2 WHERE job = ?1",
    [JOB_LIST] = "SELECT job, samples, uuid, state, submitted_us, started_us, finished_us, reason, spec FROM "
                 "job ORDER BY job",
    [OUTPUT_ADD] = "INSERT INTO output VALUES (?1, ?2, ?3, ?4, ?5)",
    [OUTPUT_LIST] = "SELECT name, dtype, dims FROM output WHERE job = ?1 ORDER BY number",
    [DONE_BEFORE] =
        "SELECT first, count FROM done WHERE job = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
    [DONE_AFTER] = "SELECT first, count FROM done WHERE job = ?1 AND first > ?2 ORDER BY first LIMIT 1",
    [DONE_REMOVE] = "DELETE FROM done WHERE job = ?1 AND first = ?2",
    [DONE_PUT] = "INSERT OR REPLACE INTO done VALUES (?1, ?2, ?3)",
    [DONE_LIST] = "SELECT first, count FROM done WHERE job = ?1 ORDER BY first",
    [FAILURE_PUT] = "INSERT OR REPLACE INTO failure SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM "
                    "job WHERE job = ?1)",
    [FAILURE_LIST] = "SELECT first, count, reason, worker FROM failure WHERE job = ?1 ORDER BY first",
    [TALLY_PUT] =
        "INSERT OR REPLACE INTO tally SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM job WHERE job = ?1)",
    [TALLY_LIST] = "SELECT key, value FROM tally WHERE job = ?1 ORDER BY key",
    [MODEL_PUT] = "INSERT OR REPLACE INTO model VALUES (?1, ?2, ?3)",
    [MODEL_LIST] = "SELECT name, version, spec FROM model ORDER BY name, version",
    /* A row's version is VERSION/FORMAT/PRECISION, or of old only VERSION. */
    [MODEL_DROP] = "DELETE FROM model WHERE name = ?1 AND (?2 IS NULL OR version = ?2 OR"
                   " substr(version, 1, length(?2) + 1) = ?2 || '/')",
    [DROP_JOB] = "DELETE FROM job WHERE job = ?1",
    [DROP_OUTPUT] = "DELETE FROM output WHERE job = ?1",
    [DROP_DONE] = "DELETE FROM done WHERE job = ?1",
    [DROP_FAILURE] = "DELETE FROM failure WHERE job = ?1",
    [DROP_TALLY] = "DELETE FROM tally WHERE job = ?1",
};

struct journal {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    uint64_t term, next_job;
    uint8_t mac_key[MAC_KEY_BYTES];
    int wal_pages; /* after the last commit */
    bool open;     /* journal_open is over */
};

static bool is_room_errno(int number) { return number == ENOSPC || number == EDQUOT || number == EFBIG; }

/* Why the last write to a file of the database failed; 0 if none did. */
static int write_errno(sqlite3_file *file)
{
    int number = 0;
    if (file && file->pMethods)
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

/* SQLite calls a quota that is used up an I/O error, and keeps the reason with the file (sqlite3_system_errno
 * stays 0 after a failed COMMIT). A failed fsync is never "full", even where it says ENOSPC: what was written
 * before it may be lost. */
static bool is_full(sqlite3 *db)
{
    sqlite3_file *main_file = NULL, *wal = NULL;
    int code = sqlite3_extended_errcode(db);
    if ((code & 0xff) == SQLITE_FULL)
        return true;
    if (code != SQLITE_IOERR_WRITE)
        return false;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &main_file);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    int one = write_errno(main_file), other = write_errno(wal);
    return (one || other) && (!one || is_room_errno(one)) && (!other || is_room_errno(other));
}

/* Before the journal is open a person can set things right; afterwards nothing is sure any more. */
static enum err failed(struct journal *journal, struct why *why)
{
    int code = sqlite3_extended_errcode(journal->db) & 0xff;
    if (is_full(journal->db))
        return why_set(why, ERR_FULL, "%s: no room for the journal; free space on its disk", journal->path);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return why_set(why, journal->open ? ERR_SYSTEM : ERR_FORMAT,
                       "%s: is damaged or no journal (%s); move it away, or restore it from a backup",
                       journal->path, sqlite3_errmsg(journal->db));
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        return why_set(why, journal->open ? ERR_SYSTEM : ERR_REFUSED,
                       "%s: another program has the journal open; close it", journal->path);
    return why_set(why, code == SQLITE_NOMEM ? ERR_MEMORY : ERR_SYSTEM, "%s: %s (SQLite code %d)",
                   journal->path, sqlite3_errmsg(journal->db), sqlite3_extended_errcode(journal->db));
}

static sqlite3_stmt *use(struct journal *journal, enum statement which)
{
    sqlite3_stmt *statement = journal->statements[which];
    ENSURE(statement);
    return statement;
}

static void bind_number(sqlite3_stmt *statement, int place, uint64_t number)
{
    sqlite3_bind_int64(statement, place, (sqlite3_int64)number);
}

/* NULL text binds NULL. */
static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
}

static void bind_bytes(sqlite3_stmt *statement, int place, const void *bytes, size_t size)
{
    sqlite3_bind_blob64(statement, place, size ? bytes : "", size, SQLITE_STATIC);
}

static uint64_t column_number(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

static void finish(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* Run a statement that returns no rows. */
static enum err run(struct journal *journal, sqlite3_stmt *statement, struct why *why)
{
    int code = sqlite3_step(statement);
    enum err err = code == SQLITE_DONE ? ERR_OK : failed(journal, why);
    finish(statement);
    return err;
}

/* Step a SELECT: *row says whether there is one; its statement is finished when there is none, or after a
 * failure. */
static enum err step(struct journal *journal, sqlite3_stmt *statement, bool *row, struct why *why)
{
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (*row)
        return ERR_OK;
    enum err err = code == SQLITE_DONE ? ERR_OK : failed(journal, why);
    finish(statement);
    return err;
}

static enum err run_changing(struct journal *journal, sqlite3_stmt *statement, uint64_t job, struct why *why)
{
    enum err err = run(journal, statement, why);
    if (err == ERR_OK && sqlite3_changes(journal->db) == 0)
        return why_set(why, ERR_NOT_FOUND, "there is no job %" PRIu64, job);
    return err;
}

static enum err run_job(struct journal *journal, enum statement which, uint64_t job, struct why *why)
{
    sqlite3_stmt *statement = use(journal, which);
    bind_number(statement, 1, job);
    return run(journal, statement, why);
}

static enum err execute(struct journal *journal, const char *text, struct why *why)
{
    return sqlite3_exec(journal->db, text, NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : failed(journal, why);
}

/* The first column of the first row of a query, as text; "" if there is none. */
static enum err ask(struct journal *journal, const char *text, char *answer, size_t max, struct why *why)
{
    sqlite3_stmt *statement = NULL;
    *answer = 0;
    if (sqlite3_prepare_v2(journal->db, text, -1, &statement, NULL) != SQLITE_OK)
        return failed(journal, why);
    int code = sqlite3_step(statement);
    enum err err = code == SQLITE_ROW || code == SQLITE_DONE ? ERR_OK : failed(journal, why);
    if (code == SQLITE_ROW && sqlite3_column_text(statement, 0))
        snprintf(answer, max, "%s", (const char *)sqlite3_column_text(statement, 0));
    /* A pragma that writes, as journal_mode does, commits only now. */
    int end = sqlite3_finalize(statement);
    return err == ERR_OK && end != SQLITE_OK ? failed(journal, why) : err;
}

static enum err ask_number(struct journal *journal, const char *text, long *number, struct why *why)
{
    char answer[32];
    enum err err = ask(journal, text, answer, sizeof answer, why);
    *number = strtol(answer, NULL, 10);
    return err;
}

static int on_wal_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    struct journal *journal = context;
    (void)db, (void)name;
    journal->wal_pages = pages;
    return SQLITE_OK;
}

/* Nothing may be written before this has answered: the file may be another program's or a newer version's. */
static enum err check_owner(struct journal *journal, bool *fresh, struct why *why)
{
    long application = 0, version = 0, tables = 0;
    enum err err = ask_number(journal, "PRAGMA application_id", &application, why);
    if (err == ERR_OK)
        err = ask_number(journal, "PRAGMA user_version", &version, why);
    if (err == ERR_OK)
        err = ask_number(journal, "SELECT count(*) FROM sqlite_schema", &tables, why);
    if (err != ERR_OK)
        return err;
    *fresh = application == 0 && version == 0 && tables == 0;
    if (*fresh)
        return ERR_OK;
    if (application != APPLICATION_ID)
        return why_set(why, ERR_REFUSED,
                       "%s: is another program's database; set MOTLEY_STATE_DIR to another folder",
                       journal->path);
    if (version > STORE_SCHEMA)
        return why_set(why, ERR_REFUSED,
                       "%s: was written by a newer Motley (schema %ld, this one knows %d); upgrade, or set "
                       "MOTLEY_STATE_DIR to "
                       "another folder",
                       journal->path, version, STORE_SCHEMA);
    if (version < 1)
        return why_set(why, ERR_FORMAT, "%s: has no schema version; restore it from a backup", journal->path);
    return ERR_OK;
}

static enum err configure(struct journal *journal, struct why *why)
{
    char mode[16];
    enum err err = ask(journal, "PRAGMA journal_mode = WAL", mode, sizeof mode, why);
    if (err == ERR_OK && strcmp(mode, "wal") != 0)
        return why_set(why, ERR_SYSTEM,
                       "%s: SQLite cannot keep a write-ahead log here (it offers '%s'); use a local disk",
                       journal->path, mode);
    if (err == ERR_OK)
        err = execute(journal,
                      "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA wal_autocheckpoint = 0;"
                      "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA cell_size_check = ON;",
                      why);
    sqlite3_wal_hook(journal->db, on_wal_commit, journal);
    return err;
}

static enum err make_schema(struct journal *journal, struct why *why)
{
    char text[sizeof schema + 512], key[2 * MAC_KEY_BYTES + 1];
    uint8_t random[MAC_KEY_BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return why_set_errno(why, ERR_SYSTEM, "the system gives no random bytes");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(key + 2 * i, 3, "%02x", random[i]);
    snprintf(text, sizeof text,
             "BEGIN IMMEDIATE; %s INSERT INTO meta VALUES (0, 1, x'%s'); PRAGMA application_id = %d; PRAGMA "
             "user_version = %d; COMMIT;",
             schema, key, APPLICATION_ID, STORE_SCHEMA);
    return execute(journal, text, why);
}

static enum err prepare_all(struct journal *journal, struct why *why)
{
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(journal->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &journal->statements[i],
                               NULL) != SQLITE_OK)
            return failed(journal, why);
    return ERR_OK;
}

static enum err read_meta(struct journal *journal, struct why *why)
{
    sqlite3_stmt *meta = use(journal, META_READ);
    bool row;
    enum err err = step(journal, meta, &row, why);
    if (err != ERR_OK)
        return err;
    if (!row || sqlite3_column_bytes(meta, 2) != MAC_KEY_BYTES) {
        finish(meta);
        return why_set(why, ERR_FORMAT, "%s: its first table is empty; restore it from a backup",
                       journal->path);
    }
    journal->term = column_number(meta, 0);
    journal->next_job = column_number(meta, 1);
    memcpy(journal->mac_key, sqlite3_column_blob(meta, 2), MAC_KEY_BYTES);
    finish(meta);
    return ERR_OK;
}

/* What an earlier life left in the log may never have reached the disk: after a sync that failed Linux takes
 * its pages for clean, and no later sync of the log says otherwise. Copied into the main file they are
 * written again. A full disk loses nothing by waiting. */
static enum err settle_log(struct journal *journal, struct why *why)
{
    bool ok =
        sqlite3_wal_checkpoint_v2(journal->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK;
    return ok || is_full(journal->db) ? ERR_OK : failed(journal, why);
}

static enum err open_steps(struct journal *journal, struct why *why)
{
    bool fresh = false;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(journal->path, &journal->db, flags, NULL) != SQLITE_OK)
        return journal->db ? failed(journal, why)
                           : why_set(why, ERR_MEMORY, "%s: no memory to open it", journal->path);
    sqlite3_extended_result_codes(journal->db, 1);
    sqlite3_busy_timeout(journal->db, BUSY_MS);
    enum err err = execute(journal, "PRAGMA locking_mode = EXCLUSIVE", why);
    if (err == ERR_OK)
        err = check_owner(journal, &fresh, why);
    if (err == ERR_OK)
        err = configure(journal, why);
    if (err == ERR_OK && fresh)
        err = make_schema(journal, why);
    if (err == ERR_OK)
        err = prepare_all(journal, why);
    if (err == ERR_OK)
        err = run(journal, use(journal, META_TERM), why);
    if (err == ERR_OK)
        err = settle_log(journal, why);
    return err == ERR_OK ? read_meta(journal, why) : err;
}

enum err journal_open(const char *path, struct journal **journal, struct why *why)
{
    struct journal *fresh = calloc(1, sizeof *fresh);
    *journal = NULL;
    if (fresh)
        fresh->path = strdup(path);
    if (!fresh || !fresh->path) {
        free(fresh);
        return why_set(why, ERR_MEMORY, "%s: no memory to open it", path);
    }
    enum err err = open_steps(fresh, why);
    fresh->open = err == ERR_OK;
    if (err == ERR_OK)
        *journal = fresh;
    else
        journal_close(&fresh);
    return err;
}

void journal_close(struct journal **journal)
{
    struct journal *old = *journal;
    if (!old)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(old->statements[i]);
    sqlite3_close(old->db);
    free(old->path);
    free(old);
    *journal = NULL;
}

uint64_t journal_term(const struct journal *journal) { return journal->term; }

uint64_t journal_next_job(const struct journal *journal) { return journal->next_job; }

const uint8_t *journal_mac_key(const struct journal *journal) { return journal->mac_key; }

enum err journal_begin(struct journal *journal, struct why *why)
{
    return run(journal, use(journal, BEGIN), why);
}

/* A checkpoint that finds the disk full loses nothing and is tried again after the next commit; one that
 * fails otherwise (its fsync, above all) leaves a main file that nobody can vouch for. */
static enum err checkpoint(struct journal *journal, struct why *why)
{
    if (journal->wal_pages < WAL_PAGES_MAX)
        return ERR_OK;
    if (sqlite3_wal_checkpoint_v2(journal->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) == SQLITE_OK ||
        is_full(journal->db))
        return ERR_OK;
    return failed(journal, why);
}

enum err journal_commit(struct journal *journal, struct why *why)
{
    enum err err = run(journal, use(journal, COMMIT), why);
    return err == ERR_OK ? checkpoint(journal, why) : err;
}

void journal_rollback(struct journal *journal)
{
    /* SQLite may have rolled back by itself after a full disk. */
    if (!sqlite3_get_autocommit(journal->db))
        (void)run(journal, use(journal, ROLLBACK), NULL);
}

/* ---- jobs ---- */

enum err journal_find_job(struct journal *journal, uint64_t job, bool *found, struct why *why)
{
    sqlite3_stmt *has = use(journal, JOB_HAS);
    bind_number(has, 1, job);
    enum err err = step(journal, has, found, why);
    if (*found)
        finish(has);
    return err;
}

static void print_dims(const struct tensor_spec *spec, char *text, size_t max)
{
    size_t used = 0;
    *text = 0;
    for (uint32_t i = 0; i < spec->dims_count; i++)
        used += (size_t)snprintf(text + used, max - used, "%s%" PRId64, i ? "," : "", spec->dims[i]);
}

static bool parse_dims(const char *text, struct tensor_spec *spec)
{
    for (spec->dims_count = 0; *text; spec->dims_count++) {
        char *end;
        if (spec->dims_count == TENSOR_DIMS_MAX)
            return false;
        spec->dims[spec->dims_count] = strtoll(text, &end, 10);
        if (end == text || (*end && *end != ','))
            return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

static enum err add_output(struct journal *journal, uint64_t job, uint32_t number,
                           const struct tensor_spec *spec, struct why *why)
{
    sqlite3_stmt *add = use(journal, OUTPUT_ADD);
    char dims[TENSOR_DIMS_MAX * 24];
    print_dims(spec, dims, sizeof dims);
    bind_number(add, 1, job);
    bind_number(add, 2, number);
    bind_text(add, 3, spec->name);
    bind_number(add, 4, spec->dtype);
    bind_text(add, 5, dims);
    return run(journal, add, why);
}

enum err journal_job_add(struct journal *journal, const struct store_op *op, struct why *why)
{
    sqlite3_stmt *add = use(journal, JOB_ADD), *next = use(journal, META_NEXT_JOB);
    bind_number(add, 1, op->job);
    bind_bytes(add, 2, op->uuid, sizeof op->uuid);
    bind_number(add, 3, op->samples);
    bind_number(add, 4, STORE_JOB_OPEN);
    sqlite3_bind_int64(add, 5, op->at_us);
    bind_bytes(add, 6, op->blob, op->blob_size);
    enum err err = run(journal, add, why);
    bind_number(next, 1, op->job + 1);
    if (err == ERR_OK)
        err = run(journal, next, why);
    for (uint32_t k = 0; k < op->outputs_count && err == ERR_OK; k++)
        err = add_output(journal, op->job, k, &op->outputs[k], why);
    return err;
}

enum err journal_job_mark(struct journal *journal, const struct store_op *op, struct why *why)
{
    sqlite3_stmt *mark = use(journal, op->state == STORE_JOB_OPEN ? JOB_OPEN : JOB_CLOSE);
    bind_number(mark, 1, op->job);
    bind_number(mark, 2, op->state);
    bind_text(mark, 3, op->text);
    sqlite3_bind_int64(mark, 4, op->at_us);
    return run_changing(journal, mark, op->job, why);
}

enum err journal_job_spec(struct journal *journal, const struct store_op *op, struct why *why)
{
    sqlite3_stmt *change = use(journal, JOB_SPEC);
    bind_number(change, 1, op->job);
    bind_bytes(change, 2, op->blob, op->blob_size);
    return run_changing(journal, change, op->job, why);
}

enum err journal_job_drop(struct journal *journal, uint64_t job, struct why *why)
{
    static const enum statement rows[] = { DROP_OUTPUT, DROP_DONE, DROP_FAILURE, DROP_TALLY };
    sqlite3_stmt *drop = use(journal, DROP_JOB);
    bind_number(drop, 1, job);
    enum err err = run_changing(journal, drop, job, why);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && err == ERR_OK; i++)
        err = run_job(journal, rows[i], job, why);
    return err;
}

/* One row of OUTPUT_LIST. */
static bool read_output(sqlite3_stmt *row, struct tensor_spec *spec)
{
    const char *name = (const char *)sqlite3_column_text(row, 0),
               *dims = (const char *)sqlite3_column_text(row, 2);
    memset(spec, 0, sizeof *spec);
    if (!name || !dims || strlen(name) >= sizeof spec->name || !parse_dims(dims, spec))
        return false;
    memcpy(spec->name, name, strlen(name) + 1);
    spec->dtype = (enum dtype)sqlite3_column_int(row, 1);
    return dtype_bytes(spec->dtype) > 0;
}

static enum err read_outputs(struct journal *journal, struct spool_shape *shape, struct why *why)
{
    sqlite3_stmt *list = use(journal, OUTPUT_LIST);
    bool row;
    bind_number(list, 1, shape->job);
    for (;;) {
        enum err err = step(journal, list, &row, why);
        if (err != ERR_OK || !row)
            return err;
        if (shape->outputs_count == STORE_OUTPUTS_MAX ||
            !read_output(list, &shape->outputs[shape->outputs_count])) {
            finish(list);
            return why_set(why, ERR_FORMAT,
                           "%s: the outputs of job %" PRIu64 " make no sense; restore it from a backup",
                           journal->path, shape->job);
        }
        shape->outputs_count++;
    }
}

enum err journal_shape(struct journal *journal, uint64_t job, struct spool_shape *shape, struct why *why)
{
    sqlite3_stmt *samples = use(journal, JOB_SAMPLES);
    bool row;
    memset(shape, 0, sizeof *shape);
    shape->job = job;
    bind_number(samples, 1, job);
    enum err err = step(journal, samples, &row, why);
    if (err != ERR_OK)
        return err;
    if (!row)
        return why_set(why, ERR_NOT_FOUND, "there is no job %" PRIu64, job);
    shape->samples = column_number(samples, 0);
    finish(samples);
    return read_outputs(journal, shape, why);
}

/* ---- ranges ---- */

static enum err find_range(struct journal *journal, enum statement which, uint64_t job, uint64_t place,
                           bool *found, uint64_t *first, uint64_t *end, struct why *why)
{
    sqlite3_stmt *find = use(journal, which);
    bind_number(find, 1, job);
    bind_number(find, 2, place);
    enum err err = step(journal, find, found, why);
    if (err == ERR_OK && *found) {
        *first = column_number(find, 0);
        *end = *first + column_number(find, 1);
        finish(find);
    }
    return err;
}

static enum err remove_range(struct journal *journal, uint64_t job, uint64_t first, struct why *why)
{
    sqlite3_stmt *drop = use(journal, DONE_REMOVE);
    bind_number(drop, 1, job);
    bind_number(drop, 2, first);
    return run(journal, drop, why);
}

enum err journal_done(struct journal *journal, uint64_t job, uint64_t first, uint64_t count, struct why *why)
{
    uint64_t end = first + count, other = 0, other_end = 0;
    bool found = false;
    enum err err = find_range(journal, DONE_BEFORE, job, first, &found, &other, &other_end, why);
    if (err == ERR_OK && found && other_end >= first) {
        first = other;
        end = other_end > end ? other_end : end;
    }
    while (err == ERR_OK) {
        err = find_range(journal, DONE_AFTER, job, first, &found, &other, &other_end, why);
        if (err != ERR_OK || !found || other > end)
            break;
        end = other_end > end ? other_end : end;
        err = remove_range(journal, job, other, why);
    }
    if (err != ERR_OK)
        return err;
    sqlite3_stmt *put = use(journal, DONE_PUT);
    bind_number(put, 1, job);
    bind_number(put, 2, first);
    bind_number(put, 3, end - first);
    return run(journal, put, why);
}

/* What is done of the job, into the operation's blob; what an earlier try left there is replaced. */
static enum err read_done(struct journal *journal, struct store_op *op, struct why *why)
{
    sqlite3_stmt *list = use(journal, DONE_LIST);
    size_t count = 0, capacity = 0;
    struct store_range *ranges = NULL;
    bool row;
    enum err err;
    bind_number(list, 1, op->job);
    while ((err = step(journal, list, &row, why)) == ERR_OK && row) {
        if (count == capacity) {
            struct store_range *grown = realloc(ranges, (capacity = 2 * capacity + 16) * sizeof *grown);
            if (!grown) {
                finish(list);
                free(ranges);
                return why_set(why, ERR_MEMORY, "no memory for what is done of job %" PRIu64, op->job);
            }
            ranges = grown;
        }
        ranges[count++] = (struct store_range){ column_number(list, 0), column_number(list, 1) };
    }
    free(op->blob);
    op->blob = (uint8_t *)ranges;
    op->blob_size = count * sizeof *ranges;
    return err;
}

enum err journal_job_retry(struct journal *journal, struct store_op *op, struct why *why)
{
    sqlite3_stmt *open = use(journal, JOB_OPEN);
    bind_number(open, 1, op->job);
    bind_number(open, 2, STORE_JOB_OPEN);
    bind_text(open, 3, NULL);
    sqlite3_bind_int64(open, 4, 0); /* it begins when it runs */
    enum err err = run_changing(journal, open, op->job, why);
    if (err == ERR_OK)
        err = run_job(journal, DROP_FAILURE, op->job, why);
    return err == ERR_OK ? read_done(journal, op, why) : err;
}

/* ---- the rest ---- */

enum err journal_failure(struct journal *journal, const struct store_op *op, struct why *why)
{
    sqlite3_stmt *put = use(journal, FAILURE_PUT);
    bind_number(put, 1, op->job);
    bind_number(put, 2, op->first);
    bind_number(put, 3, op->count);
    bind_text(put, 4, op->text ? op->text : "");
    bind_text(put, 5, op->text2 ? op->text2 : "");
    return run_changing(journal, put, op->job, why);
}

enum err journal_tally(struct journal *journal, const struct store_op *op, struct why *why)
{
    sqlite3_stmt *put = use(journal, TALLY_PUT);
    bind_number(put, 1, op->job);
    bind_text(put, 2, op->text ? op->text : "");
    bind_bytes(put, 3, op->blob, op->blob_size);
    return run_changing(journal, put, op->job, why);
}

enum err journal_model_add(struct journal *journal, const struct store_op *op, struct why *why)
{
    sqlite3_stmt *put = use(journal, MODEL_PUT);
    bind_text(put, 1, op->text ? op->text : "");
    bind_text(put, 2, op->text2 ? op->text2 : "");
    bind_bytes(put, 3, op->blob, op->blob_size);
    return run(journal, put, why);
}

enum err journal_model_drop(struct journal *journal, const struct store_op *op, struct why *why)
{
    sqlite3_stmt *drop = use(journal, MODEL_DROP);
    bind_text(drop, 1, op->text ? op->text : "");
    bind_text(drop, 2, op->text2);
    return run(journal, drop, why);
}

/* ---- recovery ---- */

static const char *column_string(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "";
}

static void tell_done(const struct store_recovery *recovery, uint64_t job, sqlite3_stmt *row)
{
    if (recovery->done)
        recovery->done(recovery->context, job, column_number(row, 0), column_number(row, 1));
}

static void tell_failure(const struct store_recovery *recovery, uint64_t job, sqlite3_stmt *row)
{
    if (recovery->failure)
        recovery->failure(recovery->context, job, column_number(row, 0), column_number(row, 1),
                          column_string(row, 2), column_string(row, 3));
}

static void tell_tally(const struct store_recovery *recovery, uint64_t job, sqlite3_stmt *row)
{
    if (recovery->tally)
        recovery->tally(recovery->context, job, column_string(row, 0), sqlite3_column_blob(row, 1),
                        (size_t)sqlite3_column_bytes(row, 1));
}

static void tell_model(const struct store_recovery *recovery, uint64_t job, sqlite3_stmt *row)
{
    (void)job;
    if (recovery->model)
        recovery->model(recovery->context, column_string(row, 0), column_string(row, 1),
                        sqlite3_column_blob(row, 2), (size_t)sqlite3_column_bytes(row, 2));
}

static enum err tell_rows(struct journal *journal, enum statement which, uint64_t job,
                          const struct store_recovery *recovery,
                          void (*tell)(const struct store_recovery *, uint64_t, sqlite3_stmt *),
                          struct why *why)
{
    sqlite3_stmt *list = use(journal, which);
    bool row;
    if (sqlite3_bind_parameter_count(list) > 0)
        bind_number(list, 1, job);
    for (;;) {
        enum err err = step(journal, list, &row, why);
        if (err != ERR_OK || !row)
            return err;
        tell(recovery, job, list);
    }
}

static void tell_job(const struct store_recovery *recovery, sqlite3_stmt *row)
{
    struct store_job_row job = {
        .job = column_number(row, 0),
        .samples = column_number(row, 1),
        .state = (enum store_job_state)sqlite3_column_int(row, 3),
        .submitted_us = sqlite3_column_int64(row, 4),
        .started_us = sqlite3_column_int64(row, 5),
        .finished_us = sqlite3_column_int64(row, 6),
        .reason = column_string(row, 7),
        .spec = sqlite3_column_blob(row, 8),
        .spec_size = (size_t)sqlite3_column_bytes(row, 8),
    };
    if (sqlite3_column_bytes(row, 2) == (int)sizeof job.uuid)
        memcpy(job.uuid, sqlite3_column_blob(row, 2), sizeof job.uuid);
    if (recovery->job)
        recovery->job(recovery->context, &job);
}

static enum err tell_whole_job(struct journal *journal, const struct store_recovery *recovery,
                               sqlite3_stmt *row, struct why *why)
{
    uint64_t job = column_number(row, 0);
    tell_job(recovery, row);
    enum err err = tell_rows(journal, DONE_LIST, job, recovery, tell_done, why);
    if (err == ERR_OK)
        err = tell_rows(journal, FAILURE_LIST, job, recovery, tell_failure, why);
    return err == ERR_OK ? tell_rows(journal, TALLY_LIST, job, recovery, tell_tally, why) : err;
}

enum err journal_recover(struct journal *journal, const struct store_recovery *recovery, struct why *why)
{
    sqlite3_stmt *jobs = use(journal, JOB_LIST);
    enum err err = tell_rows(journal, MODEL_LIST, 0, recovery, tell_model, why);
    bool row = err == ERR_OK;
    while (row) {
        err = step(journal, jobs, &row, why);
        if (row && (err = tell_whole_job(journal, recovery, jobs, why)) != ERR_OK) {
            finish(jobs);
            return err;
        }
    }
    return err;
}
