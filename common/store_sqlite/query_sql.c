/* SQL that a person wrote. Two gates: the authorizer, which sees every thing that the statement
 * would touch, and SQLite's own verdict that it only reads. */
#include "common/store_sqlite/query.h"

#include "common/store_sqlite/sqlite_store.h"

#include <string.h>

static int authorize(void *context, int action, const char *first, const char *second,
                     const char *database, const char *trigger)
{
    (void)context;
    (void)first;
    (void)second;
    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE: return SQLITE_OK;
    default: return SQLITE_DENY;
    }
}

static bool is_blank(const char *sql)
{
    return sql[strspn(sql, " \t\r\n;")] == '\0';
}

static enum err prepare_reading(struct sqlite_store *s, const char *sql, sqlite3_stmt **ret,
                                struct err_info *info)
{
    const char *rest = "";
    (void)sqlite3_set_authorizer(s->db, authorize, NULL);
    int native = sqlite3_prepare_v2(s->db, sql, -1, ret, &rest);
    (void)sqlite3_set_authorizer(s->db, NULL, NULL);
    if ((native & 0xff) == SQLITE_AUTH)
        return err_set(info, ERR_FORBIDDEN,
                       "only reading is allowed here: one SELECT (%s). Use the other commands to"
                       " change data",
                       sqlite3_errmsg(s->db));
    if ((native & 0xff) == SQLITE_ERROR) {
        (void)err_set(info, ERR_PARSE, "%s", sqlite3_errmsg(s->db));
        if (info != NULL)
            info->native = native;
        return ERR_PARSE;
    }
    if (native != SQLITE_OK)
        return sqlite_store_report(s, native, "cannot be read", info);
    if (*ret == NULL)
        return err_set(info, ERR_INVALID, "there is no statement in this text");
    if (!is_blank(rest))
        return err_set(info, ERR_INVALID, "one statement at a time, please");
    if (!sqlite3_stmt_readonly(*ret))
        return err_set(info, ERR_FORBIDDEN, "only reading is allowed here: one SELECT");
    return ERR_OK;
}

static struct value column_value(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return value_int(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT: return value_real(sqlite3_column_double(statement, column));
    case SQLITE_TEXT: {
        const void *text = sqlite3_column_text(statement, column);
        return value_text(bytes_of(text, (size_t)sqlite3_column_bytes(statement, column)));
    }
    case SQLITE_BLOB: return value_blob(sqlite_store_column(statement, column));
    default: return value_null();
    }
}

static enum err scan(struct sqlite_store *s, sqlite3_stmt *statement, const char **names,
                     struct value *values, query_row_fn *fn, void *context, struct err_info *info)
{
    int count = sqlite3_column_count(statement);
    int native, result = 0;
    while (result == 0 && (native = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < count; i++) {
            /* Not before the first step, which may prepare anew and drop the names of before. */
            names[i] = sqlite3_column_name(statement, i);
            values[i] = column_value(statement, i);
        }
        result = fn(context, count, names, values);
    }
    if (result != 0)
        return sqlite_store_fn_result(result);
    if (native == SQLITE_DONE)
        return ERR_OK;
    enum err err = sqlite_store_code(native);
    if (err != ERR_IO || (native & 0xff) != SQLITE_ERROR)
        return sqlite_store_report(s, native, "cannot be read", info);
    return err_set(info, ERR_PARSE, "%s", sqlite3_errmsg(s->db)); /* an overflow, say */
}

enum err store_sqlite_sql(struct store *store, const char *sql, query_row_fn *fn, void *context,
                          struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    sqlite3_stmt *statement = NULL;
    enum err err = s->ended != ERR_OK ? s->ended : s->lost;
    if (err != ERR_OK)
        return err_set(info, err, "'%s': %s", s->path, err_text(err));
    err = prepare_reading(s, sql, &statement, info);
    if (err == ERR_OK) {
        size_t count = (size_t)sqlite3_column_count(statement) + 1;
        const char **names = sqlite3_malloc64(count * sizeof *names);
        struct value *values = sqlite3_malloc64(count * sizeof *values);
        err = names != NULL && values != NULL ? scan(s, statement, names, values, fn, context, info)
                                              : err_set(info, ERR_NOMEM, "out of memory");
        sqlite3_free(names);
        sqlite3_free(values);
    }
    (void)sqlite3_finalize(statement);
    return err;
}
