/* Opening, readers, transactions. */
#include "common/store_sqlite/store_sqlite.h"

#include <assert.h>
#include <string.h>

#include "common/store_sqlite/sqlite_store.h"

enum {
    CACHE_BYTES = 64 << 20,
    AUTOCHECKPOINT_PAGES = 4000, /* 32 MiB */
    TIDY_PAGES = 128,            /* 1 MiB */
};

struct sqlite_store *sqlite_store_of(struct store *store)
{
    return (struct sqlite_store *)store;
}

struct sqlite3 *store_sqlite_handle(struct store *store)
{
    return sqlite_store_of(store)->db;
}

static void close_connection(sqlite3 *db)
{
    int native = sqlite3_close(db);
    assert(native == SQLITE_OK); /* otherwise a statement was not finalized */
    (void)native;
}

static void sqlite_store_close(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    if (s->db != NULL && !sqlite3_get_autocommit(s->db))
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    for (size_t i = 0; s->statements != NULL && i < s->statement_count; i++)
        (void)sqlite3_finalize(s->statements[i]);
    if (s->db != NULL && s->ended != ERR_OK) /* do not build on what may not have been synced */
        (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    close_connection(s->source);
    close_connection(s->db);
    sqlite3_free(s->statements);
    sqlite3_free(s->dead_rows);
    sqlite3_free(s->path);
    sqlite3_free(s->vfs);
    buf_done(&s->packed);
    sqlite3_free(s);
}

/* A failed sync leaves unknown what is on the disk, and a second one may wrongly succeed: SQLite
 * itself would pass over the error of an automatic checkpoint, so the checkpoint is made here. */
static void tidy(struct sqlite_store *s)
{
    int native =
        sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, &s->tidied_pages);
    enum err err = sqlite_store_code(native);
    if (err == ERR_IO || err == ERR_CORRUPT)
        s->ended = err;
}

static int after_commit(void *context, sqlite3 *db, const char *name, int frames)
{
    struct sqlite_store *s = context;
    (void)db;
    (void)name;
    if (frames < s->log_end)
        s->tidied_pages = 0; /* the log began anew */
    s->log_end = frames;
    if (!s->later) {
        s->log_pages = frames;
        sqlite_store_log_note(s);
    }
    if (frames >= s->options.wal_autocheckpoint_pages)
        tidy(s);
    return SQLITE_OK; /* the commit itself stands */
}

enum err store_sqlite_tidy(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_IDLE);
    if (s->ended == ERR_OK && s->log_end - s->tidied_pages >= TIDY_PAGES)
        tidy(s);
    return s->ended;
}

/* Memory-mapped I/O stays off: an I/O error would then be a signal, not a code, and a stray write
 * of the program would reach the file. cell_size_check finds damaged pages before they are used.
 * Triggers, should someone have added any, do not run here. */
static enum err configure(struct sqlite_store *s, struct err_info *info)
{
    char *sql = sqlite3_mprintf(
        "PRAGMA trusted_schema=OFF;PRAGMA cell_size_check=ON;PRAGMA mmap_size=0;"
        "PRAGMA temp_store=MEMORY;PRAGMA foreign_keys=OFF;PRAGMA locking_mode=%s;"
        "PRAGMA page_size=%d;PRAGMA cache_size=-%d;PRAGMA journal_size_limit=%d;"
        "PRAGMA secure_delete=%s",
        s->options.exclusive ? "EXCLUSIVE" : "NORMAL", SQLITE_STORE_PAGE_SIZE,
        (int)(s->options.cache_bytes / 1024), 64 << 20, s->options.erases ? "ON" : "OFF");
    if (sql == NULL)
        return err_set(info, ERR_NOMEM, "'%s': out of memory", s->path);
    (void)sqlite3_busy_timeout(s->db, s->options.busy_timeout_ms);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    int native = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    if (native != SQLITE_OK && sqlite_store_code(native) == ERR_CORRUPT)
        return sqlite_store_refuse_corrupt(s, info);
    return native == SQLITE_OK ? ERR_OK : sqlite_store_report(s, native, "cannot be opened", info);
}

static const char *synchronous_pragma(const struct sqlite_store *s)
{
    static const char *const pragmas[] = {
        [STORE_SQLITE_FULL] = "PRAGMA synchronous=FULL",
        [STORE_SQLITE_EXTRA] = "PRAGMA synchronous=EXTRA",
        [STORE_SQLITE_NORMAL] = "PRAGMA synchronous=NORMAL",
        [STORE_SQLITE_OFF] = "PRAGMA synchronous=OFF",
    };
    return pragmas[s->options.synchronous];
}

/* Only now that the file is known to be ours: this writes to it. A file that is new can give free pages back
 * (sqlite_compact.c). */
static enum err configure_journal(struct sqlite_store *s, bool empty, struct err_info *info)
{
    static const char *const modes[] = {"PRAGMA journal_mode=WAL", "PRAGMA journal_mode=MEMORY"};
    sqlite3_stmt *statement = NULL;
    bool set = false;
    int native = sqlite3_exec(s->db, synchronous_pragma(s), NULL, NULL, NULL);
    if (native == SQLITE_OK && empty)
        native = sqlite3_exec(s->db, "PRAGMA auto_vacuum=INCREMENTAL", NULL, NULL, NULL);
    if (native == SQLITE_OK)
        native = sqlite3_prepare_v2(s->db, modes[s->memory], -1, &statement, NULL);
    if (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        set = s->memory ||
              sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    native = sqlite_store_finalize(statement, native);
    if (native != SQLITE_OK)
        return sqlite_store_report(s, native, "cannot be opened for writing", info);
    if (!set)
        return err_set(info, ERR_IO,
                       "'%s': this place cannot hold a write-ahead log (no shared memory). Use a"
                       " local disk, not a network share",
                       s->path);
    if (s->memory) /* a spilled page would lock out the readers */
        native = sqlite3_exec(s->db, "PRAGMA cache_spill=OFF", NULL, NULL, NULL);
    else
        (void)sqlite3_wal_hook(s->db, after_commit, s);
    sqlite_store_log_begin(s);
    return native == SQLITE_OK ? ERR_OK : sqlite_store_report(s, native, "cannot be opened", info);
}

static enum err connect(struct sqlite_store *s, struct err_info *info)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |=
        s->options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int native = sqlite3_open_v2(s->path, &s->db, flags, s->vfs);
    if (native != SQLITE_OK) {
        enum err err = sqlite_store_report(s, native, "cannot be opened", info);
        return err;
    }
    return configure(s, info);
}

/* Copies the options; nothing is opened yet. */
static struct sqlite_store *allocate(const struct store_sqlite_options *options,
                                     const struct model *model, const struct store_ops *ops)
{
    struct sqlite_store *s = sqlite3_malloc64(sizeof *s);
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof *s);
    s->store = (struct store){.ops = ops, .model = model};
    s->options = *options;
    s->source_version = -1;
    s->names_version = -1;
    s->memory = strcmp(options->path, ":memory:") == 0;
    s->path = s->memory ? sqlite3_mprintf("/satchel-%p", (void *)s)
                        : sqlite3_mprintf("%s", options->path);
    s->vfs = s->memory ? sqlite3_mprintf("memdb") : NULL;
    if (!s->memory && options->vfs != NULL)
        s->vfs = sqlite3_mprintf("%s", options->vfs);
    s->statement_count = sqlite_store_statement_count(model);
    s->statements = sqlite3_malloc64(s->statement_count * sizeof(sqlite3_stmt *));
    s->dead_rows = sqlite3_malloc64(model->table_count);
    buf_init(&s->packed, SQLITE_STORE_PACKED_MAX);
    if (s->statements != NULL)
        memset(s->statements, 0, s->statement_count * sizeof(sqlite3_stmt *));
    if (s->path == NULL || (s->vfs == NULL && (s->memory || options->vfs != NULL)) ||
        s->statements == NULL || s->dead_rows == NULL) {
        sqlite_store_close(&s->store);
        return NULL;
    }
    memset(s->dead_rows, DEAD_ROWS_UNKNOWN, model->table_count);
    s->options.path = s->path;
    s->options.vfs = s->vfs;
    if (s->options.cache_bytes == 0)
        s->options.cache_bytes = CACHE_BYTES;
    if (s->options.cache_bytes > (size_t)1 << 40)
        s->options.cache_bytes = (size_t)1 << 40;
    if (s->options.wal_autocheckpoint_pages == 0)
        s->options.wal_autocheckpoint_pages = AUTOCHECKPOINT_PAGES;
    if (s->options.wal_autocheckpoint_pages < 0)
        s->options.wal_autocheckpoint_pages = INT32_MAX;
    return s;
}

static enum err sqlite_store_reader(struct store *store, struct store **ret_reader)
{
    struct sqlite_store *s = sqlite_store_of(store);
    if (s->options.exclusive || s->source != NULL)
        return ERR_INVALID;
    struct store_sqlite_options options = s->options;
    options.read_only = true;
    struct sqlite_store *reader = allocate(&options, store->model, store->ops);
    if (reader == NULL)
        return ERR_NOMEM;
    enum err err = ERR_OK;
    if (s->memory) { /* a connection to copy from, and the memory to copy to */
        int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE;
        int native = sqlite3_open_v2(s->path, &reader->source, flags, s->vfs);
        if (native == SQLITE_OK)
            native = sqlite3_open_v2(":memory:", &reader->db, flags, NULL);
        reader->memory = true;
        err = native == SQLITE_OK ? configure(reader, NULL) : sqlite_store_code(native);
    } else {
        err = connect(reader, NULL);
    }
    if (err == ERR_OK)
        *ret_reader = &reader->store;
    else
        sqlite_store_close(&reader->store);
    return err;
}

/* Reader of ":memory:": takes a copy if there has been a commit since the last one. */
static enum err refresh_copy(struct sqlite_store *s)
{
    sqlite3_stmt *statement = NULL;
    int64_t version = -1;
    int native = sqlite3_prepare_v2(s->source, "PRAGMA data_version", -1, &statement, NULL);
    if (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int64(statement, 0);
    native = sqlite_store_finalize(statement, native);
    if (native != SQLITE_OK)
        return sqlite_store_code(native);
    if (version == s->source_version)
        return ERR_OK;
    s->source_version = -1;
    sqlite3_backup *copy = sqlite3_backup_init(s->db, "main", s->source, "main");
    if (copy == NULL)
        return sqlite_store_code(sqlite3_extended_errcode(s->db));
    native = sqlite3_backup_step(copy, -1);
    int finished = sqlite3_backup_finish(copy);
    if (native != SQLITE_DONE)
        return sqlite_store_code(native);
    if (finished != SQLITE_OK)
        return sqlite_store_code(finished);
    s->source_version = version;
    return ERR_OK;
}

/* BEGIN alone fixes no snapshot: the first read does. */
static enum err take_snapshot(struct sqlite_store *s)
{
    enum err err = ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, STATEMENT_SNAPSHOT, &err);
    if (taken == NULL)
        return err;
    int native = sqlite3_step(taken);
    if (native != SQLITE_ROW)
        err = native == SQLITE_DONE ? ERR_CORRUPT : sqlite_store_failed(s, native);
    sqlite_store_give(s, STATEMENT_SNAPSHOT, taken);
    return err;
}

/* Ends the transaction whatever has happened to it. */
static void abandon(struct sqlite_store *s)
{
    if (!sqlite3_get_autocommit(s->db)) {
        int native = sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        if (native != SQLITE_OK && !sqlite3_get_autocommit(s->db))
            s->ended = sqlite_store_code(native);
    }
    s->state = SQLITE_STORE_IDLE;
    s->savepoint = false;
    s->lost = ERR_OK;
    sqlite_store_names_lost(s);
}

/* Whether commits from now on wait for the disk, where that was asked for at all. */
static enum err sync_commits(struct sqlite_store *s, bool later)
{
    if (s->later == later || s->memory || s->options.synchronous == STORE_SQLITE_NORMAL ||
        s->options.synchronous == STORE_SQLITE_OFF)
        return ERR_OK;
    int native = sqlite3_exec(s->db, later ? "PRAGMA synchronous=NORMAL" : synchronous_pragma(s),
                              NULL, NULL, NULL);
    if (native != SQLITE_OK)
        return sqlite_store_failed(s, native);
    s->later = later;
    return ERR_OK;
}

static enum err sqlite_store_begin(struct store *store, enum store_mode mode)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_IDLE);
    if (s->ended != ERR_OK)
        return s->ended;
    bool writes = mode != STORE_READ;
    if (writes && s->options.read_only)
        return ERR_FORBIDDEN;
    enum err err = s->source == NULL ? ERR_OK : refresh_copy(s);
    if (err == ERR_OK && writes)
        err = sync_commits(s, mode == STORE_WRITE_LATER);
    if (err == ERR_OK)
        err = sqlite_store_execute(s, writes ? STATEMENT_BEGIN_WRITE : STATEMENT_BEGIN_READ);
    if (err != ERR_OK)
        return err;
    s->state = writes ? SQLITE_STORE_WRITING : SQLITE_STORE_READING;
    memset(s->dead_rows, DEAD_ROWS_UNKNOWN, store->model->table_count);
    err = writes ? ERR_OK : take_snapshot(s);
    if (err == ERR_OK && !s->options.read_only)
        err = sqlite_store_name_tables(s, writes);
    if (err != ERR_OK)
        abandon(s);
    return err;
}

static enum err sqlite_store_commit(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    bool writing = s->state == SQLITE_STORE_WRITING;
    assert(s->state != SQLITE_STORE_IDLE);
    assert(!s->savepoint);
    enum err err = sqlite_store_execute(s, STATEMENT_COMMIT);
    if (err == ERR_OK) {
        s->state = SQLITE_STORE_IDLE;
        return ERR_OK;
    }
    abandon(s);
    if (writing && (err == ERR_IO || err == ERR_CORRUPT))
        s->ended = err;
    return err;
}

static void sqlite_store_rollback(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state != SQLITE_STORE_IDLE);
    if (s->lost == ERR_OK && s->ended == ERR_OK)
        (void)sqlite_store_execute(s, STATEMENT_ROLLBACK);
    abandon(s);
}

static enum err sqlite_store_savepoint(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING);
    assert(!s->savepoint);
    enum err err = sqlite_store_execute(s, STATEMENT_SAVEPOINT);
    s->savepoint = err == ERR_OK;
    return err;
}

static enum err sqlite_store_release(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING);
    assert(s->savepoint);
    s->savepoint = false;
    return sqlite_store_execute(s, STATEMENT_RELEASE);
}

static enum err sqlite_store_rollback_to(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING);
    assert(s->savepoint);
    s->savepoint = false;
    enum err err = sqlite_store_execute(s, STATEMENT_ROLLBACK_TO);
    return err != ERR_OK ? err : sqlite_store_execute(s, STATEMENT_RELEASE);
}

enum err sqlite_store_snapshot_open(struct sqlite_store *s, struct sqlite_store **ret_snapshot)
{
    struct store *snapshot = &s->store;
    assert(s->state == SQLITE_STORE_IDLE);
    if (s->ended != ERR_OK)
        return s->ended;
    enum err err =
        s->options.exclusive || s->source != NULL ? ERR_OK : store_reader(&s->store, &snapshot);
    if (err != ERR_OK)
        return err;
    err = store_begin(snapshot, STORE_READ);
    if (err == ERR_OK)
        *ret_snapshot = sqlite_store_of(snapshot);
    else if (snapshot != &s->store)
        store_close(snapshot);
    return err;
}

void sqlite_store_snapshot_close(struct sqlite_store *s, struct sqlite_store *snapshot)
{
    store_rollback(&snapshot->store);
    if (snapshot != s)
        store_close(&snapshot->store);
}

enum err store_sqlite_checkpoint(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_IDLE);
    if (s->ended != ERR_OK)
        return s->ended;
    int native = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (native == SQLITE_OK || (native & 0xff) == SQLITE_BUSY) /* readers hold the rest of it */
        return ERR_OK;
    enum err err = sqlite_store_failed(s, native);
    if (err == ERR_IO || err == ERR_CORRUPT)
        s->ended = err;
    return err;
}

static const struct store_ops sqlite_store_ops = {
    .close = sqlite_store_close,
    .reader = sqlite_store_reader,
    .begin = sqlite_store_begin,
    .commit = sqlite_store_commit,
    .rollback = sqlite_store_rollback,
    .savepoint = sqlite_store_savepoint,
    .release = sqlite_store_release,
    .rollback_to = sqlite_store_rollback_to,
    .row_get = sqlite_store_row_get,
    .row_put = sqlite_store_row_put,
    .row_insert = sqlite_store_row_insert,
    .row_delete = sqlite_store_row_delete,
    .children = sqlite_store_children,
    .base_get = sqlite_store_base_get,
    .base_put = sqlite_store_base_put,
    .base_delete = sqlite_store_base_delete,
    .log_put = sqlite_store_log_put,
    .log_delete = sqlite_store_log_delete,
    .log_scan = sqlite_store_log_scan,
    .side_get = sqlite_store_side_get,
    .side_put = sqlite_store_side_put,
    .side_delete = sqlite_store_side_delete,
    .side_scan = sqlite_store_side_scan,
    .row_scan = sqlite_store_row_scan,
    .dead_scan = sqlite_store_dead_scan,
    .conceal = sqlite_store_conceal,
    .reveal = sqlite_store_reveal,
};

enum err store_sqlite_open(const struct store_sqlite_options *options, const struct model *model,
                           struct store **ret_store, struct err_info *info)
{
    bool empty;
    assert(options != NULL && model != NULL && ret_store != NULL);
    if (options->path == NULL || options->path[0] == 0)
        return err_set(info, ERR_INVALID, "the store has no path");
    struct sqlite_store *s = allocate(options, model, &sqlite_store_ops);
    if (s == NULL)
        return err_set(info, ERR_NOMEM, "'%s': out of memory", options->path);
    enum err err = connect(s, info);
    if (err == ERR_OK)
        err = sqlite_store_identify(s, &empty, info);
    if (err == ERR_OK && !s->options.read_only)
        err = configure_journal(s, empty, info);
    if (err == ERR_OK)
        err = sqlite_store_migrate(s, info);
    if (err == ERR_OK)
        *ret_store = &s->store;
    else
        sqlite_store_close(&s->store);
    return err;
}
