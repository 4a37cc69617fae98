/* sqlite_conceal.c - rows of a first sync that has not ended are not shown.
 *
 * Model:      a concealed table has another name, "satchel_first_" and its own; under its own name there is a view of
 *             the rows without a position: inserts that were made here. So readers, and any other SQL tool, see what
 *             they may see, no row is written twice, and showing all of it is a change of names. Write transactions
 *             use the tables, all others the views.
 * Cost:       conceal and reveal some ms with 30 tables; a write transaction asks whether another connection
 *             has committed since the last one (about 1 us). */
#include "common/store_sqlite/sqlite_store.h"

#include <assert.h>

#define HIDDEN "satchel_first_"

const char *sqlite_store_prefix(const struct sqlite_store *s)
{
    return s->raw ? HIDDEN : "";
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
    enum err err = ERR_OK;
    for (uint16_t i = 0; err == ERR_OK && i < store->model->table_count; i++) {
        const struct model_table *table = &store->model->tables[i];
        err = run(s, "ALTER TABLE \"%w\" RENAME TO \"" HIDDEN "%w\"", table);
        if (err == ERR_OK)
            err = sqlite_store_create_view(s, table);
    }
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
    for (uint16_t i = 0; err == ERR_OK && i < store->model->table_count; i++) {
        const struct model_table *table = &store->model->tables[i];
        err = run(s, "DROP VIEW \"%w\"", table);
        if (err == ERR_OK)
            err = run(s, "ALTER TABLE \"" HIDDEN "%w\" RENAME TO \"%w\"", table);
    }
    if (err != ERR_OK)
        return err;
    s->concealed = false;
    use_names(s, false);
    return ERR_OK;
}
