/* sqlite_store.h - what the files of this folder share; nobody else includes it.
 *
 * Model:      a connection, its transaction, and one cached statement per operation and table, made
 *             at its first use. A statement that is being stepped (a scan within a scan) is not
 *             taken a second time: the second taker gets one of its own.
 * Invariants: a record is live (its typed table) or dead (satchel_dead), never both.
 *             While `lost` or `ended` is set, nothing is executed: a statement that SQLite would run
 *             outside the transaction would commit by itself. */
#ifndef COMMON_STORE_SQLITE_SQLITE_STORE_H
#define COMMON_STORE_SQLITE_SQLITE_STORE_H

#include <sqlite3.h>

#include "common/buf.h"
#include "common/store_sqlite/store_sqlite.h"

enum {
    SQLITE_STORE_APPLICATION_ID = 0x53746368, /* "Stch" */
    /* Of the tables that are not the model's. Raised when a program that knows the lower one could
     * not use the file any more; a new side table needs no new number. */
    SQLITE_STORE_VERSION = 1,
    SQLITE_STORE_PAGE_SIZE = 8192, /* protocol/adr/0003-store-layout.md */
    SQLITE_STORE_PACKED_MAX = 256 << 20,
};

enum statement {
    STATEMENT_BEGIN_READ,
    STATEMENT_BEGIN_WRITE,
    STATEMENT_SNAPSHOT,
    STATEMENT_DATA_VERSION,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_SAVEPOINT,
    STATEMENT_RELEASE,
    STATEMENT_ROLLBACK_TO,
    STATEMENT_DEAD_ANY,
    STATEMENT_DEAD_GET,
    STATEMENT_DEAD_PUT,
    STATEMENT_DEAD_DELETE,
    STATEMENT_DEAD_SCAN,
    STATEMENT_BASE_GET,
    STATEMENT_BASE_PUT,
    STATEMENT_BASE_DELETE,
    STATEMENT_LOG_PUT,
    STATEMENT_LOG_DELETE,
    STATEMENT_LOG_SCAN,
    STATEMENT_FIXED_COUNT
};

enum table_statement {
    TABLE_GET,
    TABLE_INSERT,
    TABLE_PUT,
    TABLE_DELETE,
    TABLE_SCAN,
    TABLE_CHILDREN,
    TABLE_STATEMENT_COUNT
};

enum side_statement {
    SIDE_GET,
    SIDE_PUT,
    SIDE_DELETE,
    SIDE_SCAN,
    SIDE_SCAN_TO,
    SIDE_STATEMENT_COUNT
};

enum sqlite_state { SQLITE_STORE_IDLE, SQLITE_STORE_READING, SQLITE_STORE_WRITING };
enum dead_rows { DEAD_ROWS_UNKNOWN, DEAD_ROWS_NONE, DEAD_ROWS_SOME };

struct sqlite_store {
    struct store store; /* first: a struct store * is one of these */
    sqlite3 *db;
    sqlite3 *source;        /* reader of ":memory:": where begin() copies from; else NULL */
    int64_t source_version; /* of the copy; -1: none yet */
    uint8_t log_salt[8];    /* of the log then, if log_known */
    bool log_known;
    int log_pages;    /* in the log after the last commit that was synced, and noted */
    int log_end;      /* in the log */
    int tidied_pages; /* of them in the file too, and synced before */
    bool later;       /* commits are not synced: STORE_WRITE_LATER */
    char *path;       /* as SQLite is given it */
    char *vfs;        /* or NULL */
    bool memory;
    struct store_sqlite_options options; /* path and vfs point to those above */
    enum sqlite_state state;
    bool savepoint;
    bool concealed, raw; /* sqlite_conceal.c: whether tables are; whether statements name them so */
    int64_t names_version; /* the file's data_version when that was looked at; -1: never */
    enum err lost;         /* the transaction is gone: the answer until rollback */
    enum err ended;        /* the answer to everything until close */
    uint8_t *dead_rows;    /* enum dead_rows per table, of this write transaction */
    sqlite3_stmt **statements;
    size_t statement_count;
    struct buf packed; /* scratch of dead_put and base_put */
};

struct sqlite_store *sqlite_store_of(struct store *store);

/* sqlite_statement.c */

/* SQLite's code as ours; no side effect. */
enum err sqlite_store_code(int native);
/* The same for what failed on the store's connection; notes a transaction or a handle that is lost. */
enum err sqlite_store_failed(struct sqlite_store *s, int native);
/* As sqlite_store_failed(), with SQLite's message: "'file': what: message". */
enum err sqlite_store_report(struct sqlite_store *s, int native, const char *what,
                             struct err_info *info);
size_t sqlite_store_statement_count(const struct model *model);
size_t sqlite_store_table_statement(const struct model_table *table,
                                    enum table_statement statement);
size_t sqlite_store_side_statement(const struct model *model, enum store_side side,
                                   enum side_statement statement);
/* A statement ready to bind; NULL with *ret_err set: lost, ended, or SQLite's error. */
sqlite3_stmt *sqlite_store_take(struct sqlite_store *s, size_t statement, enum err *ret_err);
/* Ends its use. */
void sqlite_store_give(struct sqlite_store *s, size_t statement, sqlite3_stmt *taken);
/* Takes, steps once, gives; for statements without parameters and rows. */
enum err sqlite_store_execute(struct sqlite_store *s, enum statement statement);
/* Steps once a statement that returns no rows, and gives it. */
enum err sqlite_store_finish(struct sqlite_store *s, size_t statement, sqlite3_stmt *taken);
/* Empty views are bound as empty, not as NULL. */
void sqlite_store_bind_bytes(sqlite3_stmt *statement, int parameter, struct bytes bytes);
void sqlite_store_bind_id(sqlite3_stmt *statement, int parameter, const struct uuid *id);
/* A view of a column, valid until the next step. */
struct bytes sqlite_store_column(sqlite3_stmt *statement, int column);
/* ERR_CORRUPT: not 16 bytes. */
enum err sqlite_store_column_id(sqlite3_stmt *statement, int column, struct uuid *ret_id);
/* Finalizes (NULL: nothing) and returns the first error: `native`, or that of the last step. */
int sqlite_store_finalize(sqlite3_stmt *statement, int native);
/* Calls fn for the ids in column 0 of the rows, then gives the statement. */
enum err sqlite_store_scan_ids(struct sqlite_store *s, size_t statement, sqlite3_stmt *taken,
                               store_id_fn *fn, void *context);
/* What a scan answers to what its fn returned. */
enum err sqlite_store_fn_result(int result);

/* Whether it is one of enum table_statement. */
bool sqlite_store_is_of_table(const struct sqlite_store *s, size_t statement);

/* sqlite_conceal.c */

/* What stands before a table's name in SQL. */
const char *sqlite_store_prefix(const struct sqlite_store *s);
/* The model's name of a table of the file, which may be concealed. */
const char *sqlite_store_shown_name(const char *table);
/* Finds out whether the tables are concealed; from now on statements are about the tables themselves (raw), or
 * about what is shown. */
enum err sqlite_store_name_tables(struct sqlite_store *s, bool raw);
/* After a rollback: they may have other names again. */
void sqlite_store_names_lost(struct sqlite_store *s);
/* What is shown of a concealed table. */
enum err sqlite_store_create_view(struct sqlite_store *s, const struct model_table *table);
enum err sqlite_store_conceal(struct store *store);
enum err sqlite_store_reveal(struct store *store);

/* sqlite_log.c */

/* After the log was opened, and after each commit that was synced (log_pages is set): notes where it ends. */
void sqlite_store_log_begin(struct sqlite_store *s);
void sqlite_store_log_note(struct sqlite_store *s);
/* A sync has failed: nothing after that end is found by who opens the file next. As far as the disk lets
 * it; nothing where the end is not known. */
void sqlite_store_log_forget(struct sqlite_store *s);

/* sqlite_schema.c */

const char *sqlite_store_side_name(enum store_side side);
const char *sqlite_store_column_type(const struct model_column *column);
/* Refuses what is not ours; *ret_empty: there is nothing in it yet. Changes nothing. */
enum err sqlite_store_identify(struct sqlite_store *s, bool *ret_empty, struct err_info *info);
/* ERR_CORRUPT, with a message for a file that SQLite cannot read from the start. */
enum err sqlite_store_refuse_corrupt(const struct sqlite_store *s, struct err_info *info);
/* Brings the tables to the model (or, read-only, checks that they are). */
enum err sqlite_store_migrate(struct sqlite_store *s, struct err_info *info);

/* sqlite_models.c: within the migration. Before the tables: drops those of a model that was never in use, where that
 * was asked for; after them: the model's text, and the hash of the one before. */
enum err sqlite_store_models_anew(struct sqlite_store *s, struct err_info *info);
enum err sqlite_store_models_note(struct sqlite_store *s, struct err_info *info);
/* First column of the first row of a query that has one. */
enum err sqlite_store_query_int(struct sqlite_store *s, const char *sql, int64_t *ret_value,
                                struct err_info *info);

/* sqlite_packed.c: the values of a dead row or base copy as one blob, by column id:
 *   byte 1 (format), varint count, count * { varint column id, byte kind, content }
 * content: integer zigzag varint; real 8 bytes; text and blob varint size, bytes. */
enum err sqlite_store_pack(struct buf *out, const struct model_table *table,
                           const struct value *values);
/* Columns that the blob does not have get their default; ids that the model does not have are passed
 * over. Text and blobs are views into `in`. ERR_CORRUPT. */
enum err sqlite_store_unpack(struct bytes in, const struct model_table *table,
                             struct value *ret_values);

/* The operations: sqlite_rows.c, sqlite_copies.c (dead rows, base copies), sqlite_sides.c. */

enum err sqlite_store_row_get(struct store *store, const struct model_table *table,
                              const struct uuid *id, struct arena *arena,
                              struct store_row *ret_row);
enum err sqlite_store_row_put(struct store *store, const struct model_table *table,
                              const struct uuid *id, const struct store_row *row);
enum err sqlite_store_row_insert(struct store *store, const struct model_table *table,
                                 const struct uuid *id, const struct store_row *row);
enum err sqlite_store_row_delete(struct store *store, const struct model_table *table,
                                 const struct uuid *id);
enum err sqlite_store_row_scan(struct store *store, const struct model_table *table,
                               const struct uuid *after, store_id_fn *fn, void *context);
enum err sqlite_store_children(struct store *store, const struct model_table *table,
                               const struct uuid *parent, store_id_fn *fn, void *context);

/* Whether the table has any dead row; answered from memory after the first time in a transaction. */
enum err sqlite_store_dead_any(struct sqlite_store *s, const struct model_table *table,
                               bool *ret_any);
/* ERR_NOT_FOUND. */
enum err sqlite_store_dead_get(struct sqlite_store *s, const struct model_table *table,
                               const struct uuid *id, struct arena *arena,
                               struct store_row *ret_row);
enum err sqlite_store_dead_put(struct sqlite_store *s, const struct model_table *table,
                               const struct uuid *id, const struct store_row *row);
enum err sqlite_store_dead_delete(struct sqlite_store *s, const struct model_table *table,
                                  const struct uuid *id);
enum err sqlite_store_dead_scan(struct store *store, const struct model_table *table,
                                const struct uuid *after, store_id_fn *fn, void *context);
enum err sqlite_store_base_get(struct store *store, const struct model_table *table,
                               const struct uuid *id, struct arena *arena,
                               struct store_row *ret_row);
enum err sqlite_store_base_put(struct store *store, const struct model_table *table,
                               const struct uuid *id, const struct store_row *row);
enum err sqlite_store_base_delete(struct store *store, const struct model_table *table,
                                  const struct uuid *id);

enum err sqlite_store_log_put(struct store *store, uint32_t bucket, uint64_t position,
                              const struct model_table *table, const struct uuid *id);
enum err sqlite_store_log_delete(struct store *store, uint32_t bucket, uint64_t position);
enum err sqlite_store_log_scan(struct store *store, uint32_t bucket, uint64_t after,
                               store_log_fn *fn, void *context);
enum err sqlite_store_side_get(struct store *store, enum store_side side, struct bytes key,
                               struct arena *arena, struct bytes *ret_value);
enum err sqlite_store_side_put(struct store *store, enum store_side side, struct bytes key,
                               struct bytes value);
enum err sqlite_store_side_delete(struct store *store, enum store_side side, struct bytes key);
enum err sqlite_store_side_scan(struct store *store, enum store_side side, struct bytes from,
                                struct bytes to, store_side_fn *fn, void *context);

/* store_sqlite.c: a snapshot of the store to read at leisure: a reader, or the handle itself where it
 * can have none. Within a read transaction. */
enum err sqlite_store_snapshot_open(struct sqlite_store *s, struct sqlite_store **ret_snapshot);
void sqlite_store_snapshot_close(struct sqlite_store *s, struct sqlite_store *snapshot);

/* sqlite_verify.c: calls fn with all that integrity_check says but "ok"; ERR_CORRUPT if it did. */
enum err sqlite_store_check_integrity(sqlite3 *db, store_sqlite_problem_fn *fn, void *context);

#endif
