/* What the file must look like, and how an older one gets there. */
#include "common/store_models.h"
#include "common/store_sqlite/sqlite_store.h"

#include <assert.h>
#include <string.h>

static const char *const side_names[SIDE_COUNT] = {
#define SIDE_NAME(name, sql, about) [SIDE_##name] = #sql,
    STORE_SIDE_LIST(SIDE_NAME)
#undef SIDE_NAME
};

/* Sides whose values can be whole groups or pages: an ordinary table and an index of the keys. In a table
 * WITHOUT ROWID, a search reads each value whole that it compares a key with. Files that have such a table
 * already keep it. */
static const bool has_large_values[SIDE_COUNT] = {
    [SIDE_OUTBOX] = true, [SIDE_PENDING] = true, [SIDE_WAITING] = true, [SIDE_PARKED] = true,
    [SIDE_STAGE] = true,  [SIDE_PART] = true,    [SIDE_MODELS] = true,  [SIDE_CHUNK] = true,
};

static const char *const fixed_tables =
    "CREATE TABLE IF NOT EXISTS satchel_model("
    "id INTEGER PRIMARY KEY CHECK(id=1),"
    "name TEXT NOT NULL,version INTEGER NOT NULL,hash BLOB NOT NULL,"
    "sides INTEGER NOT NULL) STRICT;" /* side tables that there are: fewer than SIDE_COUNT, add */
    "CREATE TABLE IF NOT EXISTS satchel_log("
    "bucket INTEGER,position INTEGER,table_id INTEGER NOT NULL,id BLOB NOT NULL,"
    "PRIMARY KEY(bucket,position)) WITHOUT ROWID,STRICT;"
    "CREATE TABLE IF NOT EXISTS satchel_dead("
    "table_id INTEGER,id BLOB,bucket INTEGER NOT NULL,position INTEGER NOT NULL,"
    "version BLOB NOT NULL,content BLOB NOT NULL,parent BLOB,"
    "PRIMARY KEY(table_id,id)) WITHOUT ROWID,STRICT;"
    "CREATE INDEX IF NOT EXISTS satchel_dead_parent ON satchel_dead(table_id,parent)"
    " WHERE parent IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS satchel_base("
    "table_id INTEGER,id BLOB,bucket INTEGER NOT NULL,position INTEGER NOT NULL,"
    "version BLOB NOT NULL,content BLOB NOT NULL,dead INTEGER NOT NULL,"
    "PRIMARY KEY(table_id,id)) WITHOUT ROWID,STRICT;";

const char *sqlite_store_side_name(enum store_side side)
{
    assert(side < SIDE_COUNT);
    return side_names[side];
}

const char *sqlite_store_column_type(const struct model_column *column)
{
    static const char *const types[] = {[VALUE_INT] = "INTEGER",
                                        [VALUE_REAL] = "REAL",
                                        [VALUE_TEXT] = "TEXT",
                                        [VALUE_BLOB] = "BLOB"};
    return types[store_column_kind(column)];
}

static enum err run(struct sqlite_store *s, const char *sql, const char *what,
                    struct err_info *info)
{
    if (sql == NULL)
        return err_set(info, ERR_NOMEM, "'%s': out of memory", s->path);
    int native = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return native == SQLITE_OK ? ERR_OK : sqlite_store_report(s, native, what, info);
}

enum err sqlite_store_query_int(struct sqlite_store *s, const char *sql, int64_t *ret_value,
                                struct err_info *info)
{
    sqlite3_stmt *statement = NULL;
    enum err err = ERR_OK;
    int native = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    if (native == SQLITE_OK)
        native = sqlite3_step(statement);
    if (native == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    else
        err = sqlite_store_report(s, native, "cannot be read", info);
    (void)sqlite3_finalize(statement);
    return err;
}

enum err sqlite_store_refuse_corrupt(const struct sqlite_store *s, struct err_info *info)
{
    return err_set(info, ERR_CORRUPT,
                   "'%s' is not a Satchel database: it is another kind of file, encrypted, or"
                   " damaged. Check the path, or restore the file from a backup",
                   s->path);
}

enum err sqlite_store_identify(struct sqlite_store *s, bool *ret_empty, struct err_info *info)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t things = 0;
    enum err err = sqlite_store_query_int(s, "PRAGMA application_id", &application, info);
    if (err == ERR_OK)
        err = sqlite_store_query_int(s, "PRAGMA user_version", &version, info);
    if (err == ERR_OK)
        err = sqlite_store_query_int(s, "SELECT count(*) FROM sqlite_schema", &things, info);
    if (err != ERR_OK)
        return err == ERR_CORRUPT ? sqlite_store_refuse_corrupt(s, info) : err;
    bool empty = application == 0 && version == 0 && things == 0;
    if (!empty && application != SQLITE_STORE_APPLICATION_ID)
        return err_set(info, ERR_INVALID,
                       "'%s' is a database of another program, not Satchel's. Check the path",
                       s->path);
    if (version > SQLITE_STORE_VERSION)
        return err_set(info, ERR_VERSION,
                       "'%s' was made by a newer Satchel (format %d; this program knows %d)."
                       " Update this program",
                       s->path, (int)version, SQLITE_STORE_VERSION);
    if (empty && s->options.read_only)
        return err_set(info, ERR_INVALID,
                       "'%s' is empty. Open it once for writing to make a database of it", s->path);
    *ret_empty = empty;
    return ERR_OK;
}

/* Names are the model's, which takes none that the store has itself (build_name() in common/model_build.c).
 * `"name" TYPE DEFAULT literal`. The default is what rows from before the column answer. */
static void append_column(sqlite3_str *sql, const struct model_column *column)
{
    const struct value *value = &column->fallback;
    sqlite3_str_appendf(sql, "\"%w\" %s", column->name, sqlite_store_column_type(column));
    assert(value->kind != VALUE_BLOB); /* the model lets no such defaults in */
    if (value->kind == VALUE_INT)
        sqlite3_str_appendf(sql, " DEFAULT %lld", (long long)value->as.integer);
    if (value->kind == VALUE_REAL)
        sqlite3_str_appendf(sql, " DEFAULT(%!.17g)", value->as.real);
    if (value->kind != VALUE_TEXT)
        return;
    sqlite3_str_appendall(sql, " DEFAULT '");
    for (size_t i = 0; i < value->as.bytes.size; i++)
        sqlite3_str_appendchar(sql, value->as.bytes.data[i] == '\'' ? 2 : 1,
                               (char)value->as.bytes.data[i]);
    sqlite3_str_appendall(sql, "'");
}

static enum err create_table(struct sqlite_store *s, const struct model_table *table,
                             struct err_info *info)
{
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendf(sql, "CREATE TABLE \"%s%w\"(id BLOB PRIMARY KEY", sqlite_store_prefix(s),
                        table->name);
    for (uint16_t i = 0; i < table->column_count; i++) {
        sqlite3_str_appendall(sql, ",");
        append_column(sql, &table->columns[i]);
    }
    sqlite3_str_appendall(sql, ",_version BLOB NOT NULL,_bucket INTEGER NOT NULL,"
                               "_position INTEGER NOT NULL) WITHOUT ROWID,STRICT");
    char *text = sqlite3_str_finish(sql);
    enum err err = run(s, text, "a table cannot be created", info);
    sqlite3_free(text);
    return err == ERR_OK && s->raw ? sqlite_store_create_view(s, table) : err;
}

static enum err add_column(struct sqlite_store *s, const struct model_table *table,
                           const struct model_column *column, struct err_info *info)
{
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendf(sql, "ALTER TABLE \"%s%w\" ADD COLUMN ", sqlite_store_prefix(s),
                        table->name);
    append_column(sql, column);
    char *text = sqlite3_str_finish(sql);
    enum err err = run(s, text, "a column cannot be added", info);
    sqlite3_free(text);
    return err;
}

static enum err create_parent_index(struct sqlite_store *s, const struct model_table *table,
                                    struct err_info *info)
{
    if (table->parent_column < 0)
        return ERR_OK;
    const char *column = table->columns[table->parent_column].name;
    char *sql = sqlite3_mprintf("CREATE INDEX IF NOT EXISTS \"satchel_parent_%w_%w\" ON"
                                " \"%s%w\"(\"%w\")",
                                table->name, column, sqlite_store_prefix(s), table->name, column);
    enum err err = run(s, sql, "an index cannot be created", info);
    sqlite3_free(sql);
    return err;
}

/* Marks in `present` the columns that the file's table has; *ret_exists: the table is there. */
static enum err present_columns(struct sqlite_store *s, const struct model_table *table,
                                bool *present, bool *ret_exists, struct err_info *info)
{
    sqlite3_stmt *statement = NULL;
    enum err err = ERR_OK;
    *ret_exists = false;
    int native = sqlite3_prepare_v2(s->db, "SELECT name,type FROM pragma_table_info(?||?)", -1,
                                    &statement, NULL);
    if (native == SQLITE_OK)
        native = sqlite3_bind_text(statement, 1, sqlite_store_prefix(s), -1, SQLITE_STATIC);
    if (native == SQLITE_OK)
        native = sqlite3_bind_text(statement, 2, table->name, -1, SQLITE_STATIC);
    while (native == SQLITE_OK && err == ERR_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        const char *type = (const char *)sqlite3_column_text(statement, 1);
        *ret_exists = true;
        if (name == NULL || type == NULL) {
            err = err_set(info, ERR_NOMEM, "'%s': out of memory", s->path);
            break;
        }
        const struct model_column *column = model_column_by_name(table, bytes_of_text(name));
        if (column == NULL)
            continue;
        present[column->index] = true;
        if (sqlite3_stricmp(type, sqlite_store_column_type(column)) != 0)
            err = err_set(info, ERR_MODEL,
                          "'%s': column '%s' of table '%s' is %s in the file and %s in the model."
                          " A column's type cannot change: add a new one",
                          s->path, name, table->name, type, sqlite_store_column_type(column));
    }
    native = sqlite_store_finalize(statement, native);
    if (err == ERR_OK && native != SQLITE_OK)
        err = sqlite_store_report(s, native, "cannot be read", info);
    return err;
}

static enum err refuse_missing(const struct sqlite_store *s, const struct model_table *table,
                               struct err_info *info)
{
    return err_set(info, ERR_MODEL,
                   "'%s' lacks table '%s' or a column of it, and is opened for reading only."
                   " Open it once for writing to bring it to this model",
                   s->path, table->name);
}

static enum err migrate_table(struct sqlite_store *s, const struct model_table *table,
                              struct err_info *info)
{
    bool present[MODEL_COLUMNS_MAX] = {false};
    bool exists;
    enum err err = present_columns(s, table, present, &exists, info);
    if (err != ERR_OK)
        return err;
    if (!exists)
        err = s->options.read_only ? refuse_missing(s, table, info) : create_table(s, table, info);
    for (uint16_t i = 0; exists && err == ERR_OK && i < table->column_count; i++)
        if (!present[i])
            err = s->options.read_only ? refuse_missing(s, table, info)
                                       : add_column(s, table, &table->columns[i], info);
    if (err == ERR_OK && !s->options.read_only)
        err = create_parent_index(s, table, info);
    return err;
}

static enum err create_fixed(struct sqlite_store *s, struct err_info *info)
{
    enum err err = run(s, fixed_tables, "a table cannot be created", info);
    for (unsigned i = 0; err == ERR_OK && i < SIDE_COUNT; i++) {
        char *sql =
            sqlite3_mprintf("CREATE TABLE IF NOT EXISTS satchel_%s("
                            "k BLOB PRIMARY KEY NOT NULL,v BLOB NOT NULL) %s",
                            side_names[i], has_large_values[i] ? "STRICT" : "WITHOUT ROWID,STRICT");
        err = run(s, sql, "a table cannot be created", info);
        sqlite3_free(sql);
    }
    if (err == ERR_OK) {
        char *sql = sqlite3_mprintf("PRAGMA application_id=%d;PRAGMA user_version=%d",
                                    SQLITE_STORE_APPLICATION_ID, SQLITE_STORE_VERSION);
        err = run(s, sql, "cannot be written", info);
        sqlite3_free(sql);
    }
    return err;
}

/* The model that is noted in the file is the newest that it was opened with. */
static enum err note_model(struct sqlite_store *s, struct err_info *info)
{
    const struct model *model = s->store.model;
    sqlite3_stmt *statement = NULL;
    int native = sqlite3_prepare_v2(
        s->db,
        "INSERT INTO satchel_model(id,name,version,hash,sides) VALUES(1,?1,?2,?3,?4)"
        " ON CONFLICT(id) DO UPDATE SET"
        " name=iif(version>?2,name,?1),hash=iif(version>?2,hash,?3),"
        " version=max(version,?2),sides=max(sides,?4)",
        -1, &statement, NULL);
    if (native == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, model->name, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(statement, 2, model->version);
        sqlite_store_bind_bytes(statement, 3, bytes_of(model->hash, sizeof model->hash));
        (void)sqlite3_bind_int64(statement, 4, SIDE_COUNT);
        (void)sqlite3_step(statement);
        native = sqlite_store_finalize(statement, native);
    }
    return native == SQLITE_OK ? ERR_OK : sqlite_store_report(s, native, "cannot be written", info);
}

/* Whether the file was last opened with this very model and these side tables, and no other is next. */
static enum err is_current(struct sqlite_store *s, bool *ret_current, struct err_info *info)
{
    sqlite3_stmt *statement = NULL;
    int64_t next = 0;
    *ret_current = false;
    int native = sqlite3_prepare_v2(s->db, "SELECT hash,sides,version FROM satchel_model", -1,
                                    &statement, NULL);
    if (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        struct bytes hash = bytes_of(s->store.model->hash, sizeof s->store.model->hash);
        *ret_current = bytes_equal(sqlite_store_column(statement, 0), hash) &&
                       sqlite3_column_int64(statement, 1) >= SIDE_COUNT &&
                       sqlite3_column_int64(statement, 2) == s->store.model->version;
    }
    native = sqlite_store_finalize(statement, native);
    if (native != SQLITE_OK)
        return sqlite_store_report(s, native, "cannot be read", info);
    if (!*ret_current || s->options.read_only)
        return ERR_OK;
    enum err err = sqlite_store_query_int(s,
                                          "SELECT count(*) FROM satchel_models"
                                          " WHERE k=CAST('" STORE_MODELS_NEXT "' AS BLOB)",
                                          &next, info);
    *ret_current = next == 0;
    return err;
}

static enum err migrate_within(struct sqlite_store *s, bool empty, struct err_info *info)
{
    bool current = false;
    enum err err = empty ? ERR_OK : is_current(s, &current, info);
    if (err != ERR_OK || current)
        return err;
    err = sqlite_store_name_tables(s, true);
    if (err != ERR_OK)
        return err_set(info, err, "'%s' cannot be read: %s", s->path, err_text(err));
    if (!s->options.read_only)
        err = create_fixed(s, info);
    if (err == ERR_OK && !s->options.read_only)
        err = sqlite_store_models_anew(s, info);
    for (uint16_t i = 0; err == ERR_OK && i < s->store.model->table_count; i++)
        err = migrate_table(s, &s->store.model->tables[i], info);
    if (err == ERR_OK && !s->options.read_only)
        err = sqlite_store_models_note(s, info);
    if (err == ERR_OK && !s->options.read_only)
        err = note_model(s, info);
    return err;
}

enum err sqlite_store_migrate(struct sqlite_store *s, struct err_info *info)
{
    bool empty = false;
    bool current = false;
    enum err err = sqlite_store_identify(s, &empty, info);
    if (err == ERR_OK && !empty && s->options.any_model)
        return ERR_OK;
    if (err == ERR_OK && !empty)
        err = is_current(s, &current, info);
    if (err != ERR_OK || current)
        return err;
    err = run(s, s->options.read_only ? "BEGIN" : "BEGIN IMMEDIATE", "cannot be opened", info);
    if (err != ERR_OK)
        return err;
    err = sqlite_store_identify(s, &empty, info); /* another process may have been faster */
    if (err == ERR_OK)
        err = migrate_within(s, empty, info);
    if (err == ERR_OK)
        err = run(s, "COMMIT", "cannot be written", info);
    if (err != ERR_OK && !sqlite3_get_autocommit(s->db))
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}
