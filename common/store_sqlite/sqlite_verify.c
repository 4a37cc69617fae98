/* Verification: reads everything there is, in a snapshot of its own. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/store_sqlite/sqlite_store.h"

/* Whether a finding is a page that there was no memory for: that is no damage, and SQLite tells it in the
 * same words (SQLITE_NOMEM is 7). */
static bool lacks_memory(const char *text)
{
    static const char words[] = "unable to get the page. error code=7";
    const char *at = text == NULL ? NULL : strstr(text, words);
    return text == NULL ||
           (at != NULL && (at[sizeof words - 1] < '0' || at[sizeof words - 1] > '9'));
}

/* fn NULL: only whether there is anything. */
static enum err check_once(sqlite3 *db, store_sqlite_problem_fn *fn, void *context)
{
    sqlite3_stmt *statement = NULL;
    enum err err = ERR_OK;
    int native = sqlite3_prepare_v2(db, "PRAGMA integrity_check(100)", -1, &statement, NULL);
    while (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text != NULL && strcmp(text, "ok") == 0)
            continue;
        if (lacks_memory(text)) {
            err = err == ERR_OK ? ERR_NOMEM : err;
            continue;
        }
        if (fn != NULL)
            fn(context, text);
        err = ERR_CORRUPT;
    }
    native = sqlite_store_finalize(statement, native);
    return err == ERR_OK && native != SQLITE_OK ? sqlite_store_code(native) : err;
}

/* Damage is found again; what SQLite says when it lacks memory for a page, in whatever words, is not. */
enum err sqlite_store_check_integrity(sqlite3 *db, store_sqlite_problem_fn *fn, void *context)
{
    enum err err = check_once(db, NULL, NULL);
    return err == ERR_CORRUPT ? check_once(db, fn, context) : err;
}

struct verifier {
    struct sqlite_store *s; /* the snapshot */
    store_sqlite_problem_fn *fn;
    void *context;
    bool found;
    struct value values[MODEL_COLUMNS_MAX]; /* scratch */
};

static void problem(struct verifier *v, const char *what, const char *where, const struct uuid *id)
{
    char text[200];
    char id_text[UUID_TEXT_SIZE] = "";
    if (id != NULL)
        uuid_format(id, id_text);
    (void)snprintf(text, sizeof text, "%s: %s %s", where, what, id_text);
    v->fn(v->context, text);
    v->found = true;
}

static void note_integrity(void *context, const char *text)
{
    struct verifier *v = context;
    v->fn(v->context, text);
    v->found = true;
}

/* Reports the ids (column 0) that a query finds. sql: %s%w is the table's name. ?1 its id. */
static enum err report_ids(struct verifier *v, const struct model_table *table, const char *sql,
                           const char *what)
{
    sqlite3_stmt *statement = NULL;
    char *text = sqlite3_mprintf(sql, sqlite_store_prefix(v->s), table->name);
    if (text == NULL)
        return ERR_NOMEM;
    int native = sqlite3_prepare_v2(v->s->db, text, -1, &statement, NULL);
    sqlite3_free(text);
    if (native == SQLITE_OK)
        (void)sqlite3_bind_int64(statement, 1, table->id);
    while (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        struct uuid id;
        bool is_id = sqlite_store_column_id(statement, 0, &id) == ERR_OK;
        problem(v, what, table->name, is_id ? &id : NULL);
    }
    return sqlite_store_code(sqlite_store_finalize(statement, native));
}

/* Dead rows or base copies of the table: whether what they hold can be read. */
static enum err check_packed(struct verifier *v, const struct model_table *table, const char *where)
{
    sqlite3_stmt *statement = NULL;
    char *text = sqlite3_mprintf("SELECT id,content FROM %s WHERE table_id=?1", where);
    if (text == NULL)
        return ERR_NOMEM;
    int native = sqlite3_prepare_v2(v->s->db, text, -1, &statement, NULL);
    sqlite3_free(text);
    if (native == SQLITE_OK)
        (void)sqlite3_bind_int64(statement, 1, table->id);
    while (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        struct uuid id;
        struct bytes content = sqlite_store_column(statement, 1);
        bool is_id = sqlite_store_column_id(statement, 0, &id) == ERR_OK;
        if (!is_id ||
            (content.size > 0 && sqlite_store_unpack(content, table, v->values) != ERR_OK))
            problem(v, "a copy cannot be read:", where, is_id ? &id : NULL);
    }
    return sqlite_store_code(sqlite_store_finalize(statement, native));
}

static int read_side(void *context, struct bytes key, struct bytes value)
{
    (void)context;
    (void)value;
    return key.size > STORE_KEY_MAX ? (int)ERR_CORRUPT : 0;
}

static enum err check_table(struct verifier *v, const struct model_table *table)
{
    enum err err = report_ids(v, table, "SELECT id FROM \"%s%w\" WHERE length(id)<>16 AND ?1>0",
                              "an id has not 16 bytes");
    if (err == ERR_OK)
        err = report_ids(v, table,
                         "SELECT id FROM satchel_dead d WHERE table_id=?1 AND EXISTS"
                         "(SELECT 1 FROM \"%s%w\" t WHERE t.id=d.id)",
                         "live and dead at once:");
    if (err == ERR_OK && v->s->options.keeps_log)
        err = report_ids(
            v, table,
            "SELECT id FROM satchel_log l WHERE table_id=?1 AND NOT EXISTS"
            "(SELECT 1 FROM \"%s%w\" t WHERE t.id=l.id) AND NOT EXISTS"
            "(SELECT 1 FROM satchel_dead d WHERE d.table_id=l.table_id AND d.id=l.id)"
            /* a departure: on a branch the record is gone (SIDE_MOVED: table, id, ...) */
            " AND l.id NOT IN (SELECT substr(k,3,16) FROM satchel_moved)",
            "the log names a record that is not there:");
    if (err == ERR_OK)
        err = check_packed(v, table, "satchel_dead");
    return err != ERR_OK ? err : check_packed(v, table, "satchel_base");
}

enum err store_sqlite_verify(struct store *store, store_sqlite_problem_fn *fn, void *context)
{
    struct sqlite_store *s = sqlite_store_of(store);
    struct verifier v = {.fn = fn, .context = context};
    enum err err = sqlite_store_snapshot_open(s, &v.s);
    if (err != ERR_OK)
        return err;
    err = sqlite_store_name_tables(v.s, true);
    if (err == ERR_OK)
        err = sqlite_store_check_integrity(v.s->db, note_integrity, &v);
    if (err == ERR_CORRUPT && v.found)
        goto cleanup; /* further queries may fail in ways that say nothing */
    for (uint16_t i = 0; err == ERR_OK && i < store->model->table_count; i++)
        err = check_table(&v, &store->model->tables[i]);
    for (unsigned side = 0; err == ERR_OK && side < SIDE_COUNT; side++) {
        err = store_side_scan(&v.s->store, (enum store_side)side, bytes_of(NULL, 0),
                              bytes_of(NULL, 0), read_side, NULL);
        if (err == ERR_CORRUPT) {
            problem(&v, "cannot be read", sqlite_store_side_name((enum store_side)side), NULL);
            err = ERR_OK;
        }
    }
cleanup:
    sqlite_store_snapshot_close(s, v.s);
    return err == ERR_OK && v.found ? ERR_CORRUPT : err;
}
