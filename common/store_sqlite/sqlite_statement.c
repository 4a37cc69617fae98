#include "common/store_sqlite/sqlite_store.h"

#include <assert.h>
#include <string.h>

static const char *const fixed_sql[STATEMENT_FIXED_COUNT] = {
    [STATEMENT_BEGIN_READ] = "BEGIN",
    [STATEMENT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [STATEMENT_SNAPSHOT] = "SELECT version FROM satchel_model",
    [STATEMENT_DATA_VERSION] = "PRAGMA data_version",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_SAVEPOINT] = "SAVEPOINT satchel",
    [STATEMENT_RELEASE] = "RELEASE satchel",
    [STATEMENT_ROLLBACK_TO] = "ROLLBACK TO satchel",
    [STATEMENT_DEAD_ANY] = "SELECT 1 FROM satchel_dead WHERE table_id=? LIMIT 1",
    [STATEMENT_DEAD_GET] = "SELECT bucket,position,version,content FROM satchel_dead"
                           " WHERE table_id=? AND id=?",
    [STATEMENT_DEAD_PUT] = "REPLACE INTO satchel_dead"
                           "(table_id,id,bucket,position,version,content,parent)"
                           " VALUES(?,?,?,?,?,?,?)",
    [STATEMENT_DEAD_DELETE] = "DELETE FROM satchel_dead WHERE table_id=? AND id=?",
    [STATEMENT_DEAD_SCAN] = "SELECT id FROM satchel_dead WHERE table_id=? AND id>? ORDER BY id",
    [STATEMENT_BASE_GET] = "SELECT bucket,position,version,content,dead FROM satchel_base"
                           " WHERE table_id=? AND id=?",
    [STATEMENT_BASE_PUT] = "REPLACE INTO satchel_base"
                           "(table_id,id,bucket,position,version,content,dead)"
                           " VALUES(?,?,?,?,?,?,?)",
    [STATEMENT_BASE_DELETE] = "DELETE FROM satchel_base WHERE table_id=? AND id=?",
    [STATEMENT_LOG_PUT] = "INSERT INTO satchel_log(bucket,position,table_id,id) VALUES(?,?,?,?)"
                          " ON CONFLICT DO NOTHING",
    [STATEMENT_LOG_DELETE] = "DELETE FROM satchel_log WHERE bucket=? AND position=?",
    [STATEMENT_LOG_SCAN] = "SELECT position,table_id,id FROM satchel_log"
                           " WHERE bucket=? AND position>? ORDER BY position",
};

static const char *const side_sql[SIDE_STATEMENT_COUNT] = {
    [SIDE_GET] = "SELECT v FROM satchel_%s WHERE k=?",
    [SIDE_PUT] =
        "INSERT INTO satchel_%s(k,v) VALUES(?,?) ON CONFLICT(k) DO UPDATE SET v=excluded.v",
    [SIDE_DELETE] = "DELETE FROM satchel_%s WHERE k=?",
    [SIDE_SCAN] = "SELECT k,v FROM satchel_%s WHERE k>=? ORDER BY k",
    [SIDE_SCAN_TO] = "SELECT k,v FROM satchel_%s WHERE k>=? AND k<? ORDER BY k",
};

enum err sqlite_store_code(int native)
{
    if (native == SQLITE_IOERR_NOMEM)
        return ERR_NOMEM;
    if (native == SQLITE_IOERR_SHMSIZE) /* the index of the log cannot grow */
        return ERR_FULL;
    switch (native & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return ERR_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_BUSY;
    case SQLITE_FULL: return ERR_FULL;
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ERR_CORRUPT;
    case SQLITE_INTERRUPT: return ERR_INTERRUPTED;
    case SQLITE_TOOBIG: return ERR_LIMIT;
    case SQLITE_MISUSE: return ERR_BUG;
    default: return ERR_IO;
    }
}

enum err sqlite_store_failed(struct sqlite_store *s, int native)
{
    enum err err = sqlite_store_code(native);
    assert(err != ERR_OK);
    if (native == SQLITE_IOERR_FSYNC || native == SQLITE_IOERR_DIR_FSYNC) {
        sqlite_store_log_forget(s);
        s->ended = err;
    }
    if (s->state != SQLITE_STORE_IDLE && sqlite3_get_autocommit(s->db))
        s->lost = err;
    return err;
}

enum err sqlite_store_report(struct sqlite_store *s, int native, const char *what,
                             struct err_info *info)
{
    enum err err = sqlite_store_failed(s, native);
    (void)err_set(info, err, "'%s': %s: %s", s->path, what,
                  s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(native));
    if (info != NULL)
        info->native = native;
    return err;
}

size_t sqlite_store_statement_count(const struct model *model)
{
    return STATEMENT_FIXED_COUNT + (size_t)model->table_count * TABLE_STATEMENT_COUNT +
           (size_t)SIDE_COUNT * SIDE_STATEMENT_COUNT;
}

size_t sqlite_store_table_statement(const struct model_table *table, enum table_statement statement)
{
    return STATEMENT_FIXED_COUNT + (size_t)table->index * TABLE_STATEMENT_COUNT + (size_t)statement;
}

size_t sqlite_store_side_statement(const struct model *model, enum store_side side,
                                   enum side_statement statement)
{
    return STATEMENT_FIXED_COUNT + (size_t)model->table_count * TABLE_STATEMENT_COUNT +
           (size_t)side * SIDE_STATEMENT_COUNT + (size_t)statement;
}

bool sqlite_store_is_of_table(const struct sqlite_store *s, size_t statement)
{
    return statement >= STATEMENT_FIXED_COUNT &&
           statement <
               STATEMENT_FIXED_COUNT + (size_t)s->store.model->table_count * TABLE_STATEMENT_COUNT;
}

/* Parameters: id, the columns, version, bucket, position. */
static void append_insert(sqlite3_str *sql, const char *prefix, const struct model_table *table)
{
    sqlite3_str_appendf(sql, "INSERT INTO \"%s%w\"(id", prefix, table->name);
    for (uint16_t i = 0; i < table->column_count; i++)
        sqlite3_str_appendf(sql, ",\"%w\"", table->columns[i].name);
    sqlite3_str_appendall(sql, ",_version,_bucket,_position) VALUES(?,?,?,?");
    for (uint16_t i = 0; i < table->column_count; i++)
        sqlite3_str_appendall(sql, ",?");
    sqlite3_str_appendall(sql, ")");
}

static void append_table_sql(sqlite3_str *sql, const char *prefix, const struct model_table *table,
                             enum table_statement statement)
{
    switch (statement) {
    case TABLE_GET:
        sqlite3_str_appendall(sql, "SELECT ");
        for (uint16_t i = 0; i < table->column_count; i++)
            sqlite3_str_appendf(sql, "\"%w\",", table->columns[i].name);
        sqlite3_str_appendf(sql, "_version,_bucket,_position FROM \"%s%w\" WHERE id=?", prefix,
                            table->name);
        return;
    case TABLE_INSERT:
        append_insert(sql, prefix, table);
        sqlite3_str_appendall(sql, " ON CONFLICT DO NOTHING");
        return;
    case TABLE_PUT:
        append_insert(sql, prefix, table);
        sqlite3_str_appendall(sql, " ON CONFLICT(id) DO UPDATE SET ");
        for (uint16_t i = 0; i < table->column_count; i++)
            sqlite3_str_appendf(sql, "\"%w\"=excluded.\"%w\",", table->columns[i].name,
                                table->columns[i].name);
        sqlite3_str_appendall(sql, "_version=excluded._version,_bucket=excluded._bucket,"
                                   "_position=excluded._position");
        return;
    case TABLE_DELETE:
        sqlite3_str_appendf(sql, "DELETE FROM \"%s%w\" WHERE id=?", prefix, table->name);
        return;
    case TABLE_SCAN:
        sqlite3_str_appendf(sql, "SELECT id FROM \"%s%w\" WHERE id>? ORDER BY id", prefix,
                            table->name);
        return;
    case TABLE_CHILDREN:
        sqlite3_str_appendf(sql,
                            "SELECT id FROM \"%s%w\" WHERE \"%w\"=?1 UNION ALL SELECT id FROM"
                            " satchel_dead WHERE table_id=?2 AND parent=?1 ORDER BY id",
                            prefix, table->name, table->columns[table->parent_column].name);
        return;
    case TABLE_STATEMENT_COUNT: break;
    }
    assert(!"no such statement");
}

/* NULL: no memory. The caller frees it with sqlite3_free(). */
static char *statement_sql(const struct sqlite_store *s, size_t statement)
{
    const struct model *model = s->store.model;
    if (statement < STATEMENT_FIXED_COUNT)
        return sqlite3_mprintf("%s", fixed_sql[statement]);
    size_t rest = statement - STATEMENT_FIXED_COUNT;
    size_t of_tables = (size_t)model->table_count * TABLE_STATEMENT_COUNT;
    sqlite3_str *sql = sqlite3_str_new(s->db);
    if (rest < of_tables) {
        append_table_sql(sql, sqlite_store_prefix(s), &model->tables[rest / TABLE_STATEMENT_COUNT],
                         (enum table_statement)(rest % TABLE_STATEMENT_COUNT));
    } else {
        rest -= of_tables;
        const char *text = side_sql[rest % SIDE_STATEMENT_COUNT];
        const char *name = sqlite_store_side_name((enum store_side)(rest / SIDE_STATEMENT_COUNT));
        const char *mark = strstr(text, "%s");
        sqlite3_str_append(sql, text, (int)(mark - text));
        sqlite3_str_appendall(sql, name);
        sqlite3_str_appendall(sql, mark + 2);
    }
    return sqlite3_str_finish(sql);
}

static sqlite3_stmt *statement_prepare(struct sqlite_store *s, size_t statement, unsigned flags,
                                       enum err *ret_err)
{
    char *sql = statement_sql(s, statement);
    if (sql == NULL) {
        *ret_err = ERR_NOMEM;
        return NULL;
    }
    sqlite3_stmt *made = NULL;
    int native = sqlite3_prepare_v3(s->db, sql, -1, flags, &made, NULL);
    sqlite3_free(sql);
    if (native != SQLITE_OK)
        *ret_err = sqlite_store_failed(s, native);
    return made;
}

sqlite3_stmt *sqlite_store_take(struct sqlite_store *s, size_t statement, enum err *ret_err)
{
    assert(statement < s->statement_count);
    if (s->ended != ERR_OK || s->lost != ERR_OK) {
        *ret_err = s->ended != ERR_OK ? s->ended : s->lost;
        return NULL;
    }
    sqlite3_stmt *cached = s->statements[statement];
    if (cached != NULL && !sqlite3_stmt_busy(cached))
        return cached;
    if (cached != NULL)
        return statement_prepare(s, statement, 0, ret_err);
    s->statements[statement] = statement_prepare(s, statement, SQLITE_PREPARE_PERSISTENT, ret_err);
    return s->statements[statement];
}

void sqlite_store_give(struct sqlite_store *s, size_t statement, sqlite3_stmt *taken)
{
    if (taken == s->statements[statement])
        (void)sqlite3_reset(taken); /* repeats the error of the last step */
    else
        (void)sqlite3_finalize(taken);
}

enum err sqlite_store_finish(struct sqlite_store *s, size_t statement, sqlite3_stmt *taken)
{
    int native = sqlite3_step(taken);
    assert(native != SQLITE_ROW);
    enum err err = native == SQLITE_DONE ? ERR_OK : sqlite_store_failed(s, native);
    sqlite_store_give(s, statement, taken);
    return err;
}

enum err sqlite_store_execute(struct sqlite_store *s, enum statement statement)
{
    enum err err = ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, statement, &err);
    return taken == NULL ? err : sqlite_store_finish(s, statement, taken);
}

void sqlite_store_bind_bytes(sqlite3_stmt *statement, int parameter, struct bytes bytes)
{
    const void *data = bytes.size == 0 ? "" : (const void *)bytes.data;
    int native = sqlite3_bind_blob64(statement, parameter, data, bytes.size, SQLITE_STATIC);
    assert(native == SQLITE_OK);
    (void)native;
}

void sqlite_store_bind_id(sqlite3_stmt *statement, int parameter, const struct uuid *id)
{
    sqlite_store_bind_bytes(statement, parameter, bytes_of(id->byte, sizeof id->byte));
}

struct bytes sqlite_store_column(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    int size = sqlite3_column_bytes(statement, column);
    return bytes_of(data, data == NULL ? 0 : (size_t)size);
}

enum err sqlite_store_column_id(sqlite3_stmt *statement, int column, struct uuid *ret_id)
{
    struct bytes id = sqlite_store_column(statement, column);
    if (id.size != sizeof ret_id->byte)
        return ERR_CORRUPT;
    memcpy(ret_id->byte, id.data, sizeof ret_id->byte);
    return ERR_OK;
}

int sqlite_store_finalize(sqlite3_stmt *statement, int native)
{
    int last = sqlite3_finalize(statement);
    return native == SQLITE_OK ? last : native;
}

enum err sqlite_store_fn_result(int result)
{
    return result == STORE_STOP ? ERR_OK : (enum err)result;
}

enum err sqlite_store_scan_ids(struct sqlite_store *s, size_t statement, sqlite3_stmt *taken,
                               store_id_fn *fn, void *context)
{
    enum err err = ERR_OK;
    int native;
    while ((native = sqlite3_step(taken)) == SQLITE_ROW) {
        struct uuid id;
        err = sqlite_store_column_id(taken, 0, &id);
        int result = err != ERR_OK ? (int)err : fn(context, &id);
        if (result != 0) {
            err = sqlite_store_fn_result(result);
            goto cleanup;
        }
    }
    if (native != SQLITE_DONE)
        err = sqlite_store_failed(s, native);
cleanup:
    sqlite_store_give(s, statement, taken);
    return err;
}
