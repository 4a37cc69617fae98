/* sqlite_conceal.c - rows of a first sync that has not ended are not shown.
 *
 * Model:      a concealed table has another name, "satchel_first_" and its own; under its own name there is a view of
 *             the rows without a position: inserts that were made here. So readers, and any other SQL tool, see what
 *             they may see, no row is written twice, and showing all of it is a change of names. Write transactions
 *             use the tables, all others the views.
 * Names:      ALTER TABLE reads the whole schema several times per table, so that 30 tables took tens of ms. Tables and
 *             indexes of the form that this store gives them get their names in sqlite_schema instead, all at once
 *             (sqlite.org/pragma.html#pragma_writable_schema); what somebody else has added to one makes it go
 *             the slow way. The cookie of the schema is raised first: whatever fails, a rollback reads it anew.
 * Cost:       conceal and reveal about a ms with 30 tables; a write transaction asks whether another connection
 *             has committed since the last one (about 1 us). */
#include "common/store_sqlite/sqlite_store.h"

#include <assert.h>
#include <string.h>

#define HIDDEN "satchel_first_"

const char *sqlite_store_prefix(const struct sqlite_store *s)
{
    return s->raw ? HIDDEN : "";
}

const char *sqlite_store_shown_name(const char *table)
{
    size_t size = sizeof HIDDEN - 1;
    return strncmp(table, HIDDEN, size) == 0 ? table + size : table;
}

static void use_names(struct sqlite_store *s, bool raw)
{
    if (s->raw == raw)
        return;
    s->raw = raw;
    for (size_t i = 0; i < s->statement_count; i++)
        if (sqlite_store_is_of_table(s, i)) {
            assert(s->statements[i] == NULL || !sqlite3_stmt_busy(s->statements[i]));
            (void)sqlite3_finalize(s->statements[i]);
            s->statements[i] = NULL;
        }
}

static enum err data_version(struct sqlite_store *s, int64_t *ret)
{
    enum err err = ERR_OK;
    sqlite3_stmt *taken = sqlite_store_take(s, STATEMENT_DATA_VERSION, &err);
    if (taken == NULL)
        return err;
    int native = sqlite3_step(taken);
    if (native == SQLITE_ROW)
        *ret = sqlite3_column_int64(taken, 0);
    else
        err = sqlite_store_failed(s, native);
    sqlite_store_give(s, STATEMENT_DATA_VERSION, taken);
    return err;
}

enum err sqlite_store_name_tables(struct sqlite_store *s, bool raw)
{
    int64_t version = -1, found = 0;
    if (!raw && !s->raw)
        return ERR_OK;
    enum err err = data_version(s, &version);
    if (err == ERR_OK && version != s->names_version) {
        err = sqlite_store_query_int(
            s, "SELECT count(*) FROM sqlite_schema WHERE name='" HIDDEN "branch'", &found, NULL);
        s->concealed = err == ERR_OK && found != 0;
        s->names_version = err == ERR_OK ? version : -1;
    }
    if (err == ERR_OK)
        use_names(s, raw && s->concealed);
    return err;
}

void sqlite_store_names_lost(struct sqlite_store *s)
{
    s->names_version = -1;
}

static enum err run(struct sqlite_store *s, const char *sql, const struct model_table *table)
{
    char *text = sqlite3_mprintf(sql, table->name, table->name);
    if (text == NULL)
        return ERR_NOMEM;
    int native = sqlite3_exec(s->db, text, NULL, NULL, NULL);
    sqlite3_free(text);
    return native == SQLITE_OK ? ERR_OK : sqlite_store_failed(s, native);
}

/* ---- names ---- */

/* A table that is called `from` and its own name gets `to` and its own name. */
struct renaming {
    const char *from, *to, *alter;
};
static const struct renaming hide = {"", HIDDEN, "ALTER TABLE \"%w\" RENAME TO \"" HIDDEN "%w\""};
static const struct renaming show = {HIDDEN, "", "ALTER TABLE \"" HIDDEN "%w\" RENAME TO \"%w\""};

/* What belongs to a table and is not of the form that this store writes. */
static const char count_others[] =
    "SELECT count(*) FROM sqlite_schema WHERE tbl_name=?1||?3 AND CASE type"
    " WHEN 'table' THEN instr(sql,'CREATE TABLE \"'||?1||?3||'\"(')<>1"
    " WHEN 'index' THEN ifnull(instr(sql,' ON \"'||?1||?3||'\"('),0)=0 ELSE 1 END";
static const char give_name[] =
    "UPDATE sqlite_schema SET "
    "name=iif(type='table',?2||?3,name),tbl_name=?2||?3,sql=iif(type='table',"
    "'CREATE TABLE \"'||?2||?3||substr(sql,length('CREATE TABLE \"'||?1||?3)+1),"
    "replace(sql,' ON \"'||?1||?3||'\"(',' ON \"'||?2||?3||'\"(')) WHERE tbl_name=?1||?3";

/* Runs it with the names as parameters; *ret (may be NULL): the value of its row. */
static enum err run_named(struct sqlite_store *s, const char *sql, const struct renaming *renaming,
                          const struct model_table *table, int64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    int native = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    if (native == SQLITE_OK)
        native = sqlite3_bind_text(statement, 1, renaming->from, -1, SQLITE_STATIC);
    if (native == SQLITE_OK)
        native = sqlite3_bind_text(statement, 2, renaming->to, -1, SQLITE_STATIC);
    if (native == SQLITE_OK)
        native = sqlite3_bind_text(statement, 3, table->name, -1, SQLITE_STATIC);
    if (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW && ret)
        *ret = sqlite3_column_int64(statement, 0);
    native = sqlite_store_finalize(statement, native);
    return native == SQLITE_OK ? ERR_OK : sqlite_store_failed(s, native);
}

static void allow_schema_writes(struct sqlite_store *s, bool allow)
{
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, !allow, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, allow, NULL);
}

static enum err raise_cookie(struct sqlite_store *s)
{
    int64_t cookie = 0;
    char sql[60];
    enum err err = sqlite_store_query_int(s, "PRAGMA schema_version", &cookie, NULL);
    if (err != ERR_OK)
        return err;
    (void)sqlite3_snprintf(sizeof sql, sql, "PRAGMA schema_version=%u", (uint32_t)cookie + 1);
    int native = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return native == SQLITE_OK ? ERR_OK : sqlite_store_failed(s, native);
}

static enum err rename_tables(struct sqlite_store *s, const struct renaming *renaming)
{
    const struct model *model = s->store.model;
    enum err err = ERR_OK;
    for (uint16_t i = 0; err == ERR_OK && i < model->table_count; i++) {
        int64_t others = 0;
        err = run_named(s, count_others, renaming, &model->tables[i], &others);
        if (err == ERR_OK && others > 0)
            err = run(s, renaming->alter, &model->tables[i]);
    }
    allow_schema_writes(s, true);
    if (err == ERR_OK)
        err = raise_cookie(s);
    for (uint16_t i = 0; err == ERR_OK && i < model->table_count; i++)
        err = run_named(s, give_name, renaming, &model->tables[i], NULL);
    if (err ==
        ERR_OK) { /* this connection reads the schema anew; the others do at the new cookie */
        int native = sqlite3_exec(s->db, "PRAGMA writable_schema=RESET", NULL, NULL, NULL);
        err = native == SQLITE_OK ? ERR_OK : sqlite_store_failed(s, native);
    }
    allow_schema_writes(s, false);
    return err;
}

enum err sqlite_store_create_view(struct sqlite_store *s, const struct model_table *table)
{
    return run(s, "CREATE VIEW \"%w\" AS SELECT * FROM \"" HIDDEN "%w\" WHERE _position=0", table);
}

enum err sqlite_store_conceal(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING && !s->savepoint);
    if (s->concealed)
        return ERR_OK;
    enum err err = rename_tables(s, &hide);
    for (uint16_t i = 0; err == ERR_OK && i < store->model->table_count; i++)
        err = sqlite_store_create_view(s, &store->model->tables[i]);
    if (err != ERR_OK)
        return err;
    s->concealed = true;
    use_names(s, true);
    return ERR_OK;
}

enum err sqlite_store_reveal(struct store *store)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_WRITING && !s->savepoint);
    if (!s->concealed)
        return ERR_OK;
    enum err err = ERR_OK;
    for (uint16_t i = 0; err == ERR_OK && i < store->model->table_count; i++)
        err = run(s, "DROP VIEW \"%w\"", &store->model->tables[i]);
    if (err == ERR_OK)
        err = rename_tables(s, &show);
    if (err != ERR_OK)
        return err;
    s->concealed = false;
    use_names(s, false);
    return ERR_OK;
}
