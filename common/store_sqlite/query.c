#include "common/store_sqlite/query.h"

#include "common/store_sqlite/sqlite_store.h"
#include "common/text.h"
#include "common/text_fold.h"

#include <assert.h>
#include <string.h>

enum { FOLDED_MAX = 4 << 20 };

/* ---- functions of SQL: satchel_first(folded, column...) is the number of the first column that
 * contains it, satchel_equal(folded, column) whether it is the same ---- */

static struct bytes argument(sqlite3_value *value)
{
    const void *data = sqlite3_value_blob(value);
    int size = sqlite3_value_bytes(value);
    return bytes_of(data, data == NULL ? 0 : (size_t)size);
}

static void sql_first(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct bytes part = argument(values[0]);
    struct buf folded;
    buf_init(&folded, FOLDED_MAX);
    for (int i = 1; i < count; i++) {
        if (sqlite3_value_type(values[i]) != SQLITE_TEXT)
            continue;
        buf_reset(&folded);
        if (text_fold(argument(values[i]), &folded) == ERR_NOMEM) {
            sqlite3_result_error_nomem(context);
            break;
        }
        if (text_contains(buf_view(&folded), part)) {
            sqlite3_result_int(context, i);
            break;
        }
    }
    buf_done(&folded);
}

static void sql_equal(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct buf folded;
    (void)count;
    if (sqlite3_value_type(values[1]) != SQLITE_TEXT)
        return;
    buf_init(&folded, FOLDED_MAX);
    if (text_fold(argument(values[1]), &folded) == ERR_NOMEM)
        sqlite3_result_error_nomem(context);
    else
        sqlite3_result_int(context, bytes_equal(buf_view(&folded), argument(values[0])));
    buf_done(&folded);
}

/* Registering again is cheap and changes nothing; only the first time is there a cost. */
static int add_functions(sqlite3 *db)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    sqlite3_stmt *there = NULL;
    int native = sqlite3_prepare_v2(db, "SELECT satchel_equal('a','A')", -1, &there, NULL);
    (void)sqlite3_finalize(there);
    if (native == SQLITE_OK)
        return SQLITE_OK;
    native = sqlite3_create_function_v2(db, "satchel_first", -1, flags, NULL, sql_first, NULL, NULL,
                                        NULL);
    return native != SQLITE_OK ? native
                               : sqlite3_create_function_v2(db, "satchel_equal", 2, flags, NULL,
                                                            sql_equal, NULL, NULL, NULL);
}

/* ---- statements ---- */

/* Takes the text of `sql`, which it frees. */
static enum err prepare(struct sqlite_store *s, sqlite3_str *sql, sqlite3_stmt **ret,
                        struct err_info *info)
{
    char *text = sqlite3_str_finish(sql);
    if (text == NULL)
        return err_set(info, ERR_NOMEM, "'%s': out of memory", s->path);
    int native = add_functions(s->db);
    if (native == SQLITE_OK)
        native = sqlite3_prepare_v2(s->db, text, -1, ret, NULL);
    sqlite3_free(text);
    return native == SQLITE_OK ? ERR_OK : sqlite_store_report(s, native, "cannot be read", info);
}

static enum err is_usable(const struct sqlite_store *s, struct err_info *info)
{
    enum err err = s->ended != ERR_OK ? s->ended : s->lost;
    return err == ERR_OK ? ERR_OK : err_set(info, err, "'%s': %s", s->path, err_text(err));
}

static void bind(sqlite3_stmt *statement, int parameter, const struct value *value)
{
    const struct bytes *bytes = &value->as.bytes;
    int native = SQLITE_OK;
    switch (value->kind) {
    case VALUE_NULL: native = sqlite3_bind_null(statement, parameter); break;
    case VALUE_INT: native = sqlite3_bind_int64(statement, parameter, value->as.integer); break;
    case VALUE_REAL: native = sqlite3_bind_double(statement, parameter, value->as.real); break;
    case VALUE_TEXT:
        native = sqlite3_bind_text64(statement, parameter,
                                     bytes->size == 0 ? "" : (const char *)bytes->data, bytes->size,
                                     SQLITE_STATIC, SQLITE_UTF8);
        break;
    case VALUE_BLOB: sqlite_store_bind_bytes(statement, parameter, *bytes); break;
    }
    assert(native == SQLITE_OK);
    (void)native;
}

/* Calls fn for the ids in column 0, and finalizes the statement. */
static enum err scan_ids(struct sqlite_store *s, sqlite3_stmt *statement, store_id_fn *fn,
                         void *context, struct err_info *info)
{
    enum err err = ERR_OK;
    int native, result = 0;
    while (err == ERR_OK && result == 0 && (native = sqlite3_step(statement)) != SQLITE_DONE) {
        struct uuid id;
        if (native != SQLITE_ROW)
            err = sqlite_store_report(s, native, "cannot be read", info);
        else
            err = sqlite_store_column_id(statement, 0, &id);
        if (err == ERR_OK)
            result = fn(context, &id);
    }
    (void)sqlite3_finalize(statement);
    return err == ERR_OK && result != 0 ? sqlite_store_fn_result(result) : err;
}

/* ---- lists ---- */

static const char *const comparisons[] = {
    [QUERY_EQ] = " IS ?", [QUERY_NE] = " IS NOT ?", [QUERY_LT] = "<?",
    [QUERY_LE] = "<=?",   [QUERY_GT] = ">?",        [QUERY_GE] = ">=?",
};

static void append_name(sqlite3_str *sql, const struct model_column *column)
{
    if (column == NULL)
        sqlite3_str_appendall(sql, "id");
    else
        sqlite3_str_appendf(sql, "\"%w\"", column->name);
}

static void append_conditions(sqlite3_str *sql, const struct query *query)
{
    for (size_t i = 0; i < query->condition_count; i++) {
        const struct query_condition *condition = &query->conditions[i];
        sqlite3_str_appendall(sql, i == 0 ? " WHERE " : " AND ");
        if (condition->op == QUERY_CONTAINS)
            sqlite3_str_appendall(sql, "satchel_first(?,");
        append_name(sql, condition->column);
        sqlite3_str_appendall(sql, condition->op == QUERY_CONTAINS ? ") IS NOT NULL"
                                                                   : comparisons[condition->op]);
    }
}

/* What is compared with: folded text for CONTAINS, of a set the element as it stands in JSON. */
static enum err needle(const struct query_condition *condition, struct arena *arena,
                       struct value *ret)
{
    struct bytes text =
        condition->value.kind == VALUE_TEXT ? condition->value.as.bytes : bytes_of(NULL, 0);
    struct buf quoted, folded;
    struct bytes copy = {0};
    *ret = condition->value;
    if (condition->op != QUERY_CONTAINS)
        return ERR_OK;
    buf_init(&quoted, FOLDED_MAX);
    buf_init(&folded, FOLDED_MAX);
    bool is_set = condition->column != NULL && condition->column->type == COLUMN_SET;
    enum err err = is_set ? text_append_json(&quoted, text) : ERR_OK;
    if (err == ERR_OK)
        err = text_fold(is_set ? buf_view(&quoted) : text, &folded);
    if (err == ERR_OK)
        err = arena_copy(arena, buf_view(&folded), &copy);
    buf_done(&quoted);
    buf_done(&folded);
    *ret = value_text(copy);
    return err;
}

/* Fills `values`, which the statement refers to. */
static enum err bind_conditions(sqlite3_stmt *statement, const struct query *query,
                                struct arena *arena, struct value *values)
{
    for (size_t i = 0; i < query->condition_count; i++) {
        enum err err = needle(&query->conditions[i], arena, &values[i]);
        if (err != ERR_OK)
            return err;
        bind(statement, (int)i + 1, &values[i]);
    }
    return ERR_OK;
}

static enum err check_query(const struct sqlite_store *s, const struct query *query,
                            struct err_info *info)
{
    if (query->condition_count > QUERY_CONDITIONS_MAX)
        return err_set(info, ERR_LIMIT, "more than %d conditions", QUERY_CONDITIONS_MAX);
    return is_usable(s, info);
}

enum err store_sqlite_query(struct store *store, const struct model_table *table,
                            const struct query *query, store_id_fn *fn, void *context,
                            struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    struct value values[QUERY_CONDITIONS_MAX];
    struct arena arena;
    sqlite3_stmt *statement = NULL;
    enum err err = check_query(s, query, info);
    if (err != ERR_OK)
        return err;
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendf(sql, "SELECT id FROM \"%w\"", table->name);
    append_conditions(sql, query);
    sqlite3_str_appendall(sql, " ORDER BY ");
    append_name(sql, query->order);
    sqlite3_str_appendall(sql, query->descending ? " DESC" : "");
    if (query->order != NULL)
        sqlite3_str_appendall(sql, query->descending ? ",id DESC" : ",id");
    if (query->limit > 0 || query->offset > 0)
        sqlite3_str_appendf(
            sql, " LIMIT %lld OFFSET %lld",
            query->limit == 0 || query->limit > INT64_MAX ? -1LL : (long long)query->limit,
            query->offset > INT64_MAX ? (long long)INT64_MAX : (long long)query->offset);
    err = prepare(s, sql, &statement, info);
    if (err != ERR_OK)
        return err;
    arena_init(&arena, FOLDED_MAX);
    err = bind_conditions(statement, query, &arena, values);
    if (err == ERR_OK)
        err = scan_ids(s, statement, fn, context, info);
    else
        (void)sqlite3_finalize(statement);
    arena_done(&arena);
    return err;
}

enum err store_sqlite_count(struct store *store, const struct model_table *table,
                            const struct query *query, uint64_t *ret_count, struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    struct value values[QUERY_CONDITIONS_MAX];
    struct arena arena;
    sqlite3_stmt *statement = NULL;
    enum err err = check_query(s, query, info);
    if (err != ERR_OK)
        return err;
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendf(sql, "SELECT count(*) FROM \"%w\"", table->name);
    append_conditions(sql, query);
    err = prepare(s, sql, &statement, info);
    if (err != ERR_OK)
        return err;
    arena_init(&arena, FOLDED_MAX);
    err = bind_conditions(statement, query, &arena, values);
    if (err == ERR_OK && sqlite3_step(statement) == SQLITE_ROW)
        *ret_count = (uint64_t)sqlite3_column_int64(statement, 0);
    int native = sqlite3_finalize(statement);
    if (err == ERR_OK && native != SQLITE_OK)
        err = sqlite_store_report(s, native, "cannot be read", info);
    arena_done(&arena);
    return err;
}

/* ---- searches ---- */

static bool is_searched(const struct model_column *column)
{
    return column->type == COLUMN_TEXT || column->type == COLUMN_SET;
}

static enum err scan_hits(struct sqlite_store *s, sqlite3_stmt *statement,
                          const struct model_column *const *columns, query_hit_fn *fn,
                          void *context, struct err_info *info)
{
    enum err err = ERR_OK;
    int native, result = 0;
    while (err == ERR_OK && result == 0 && (native = sqlite3_step(statement)) != SQLITE_DONE) {
        struct uuid id;
        if (native != SQLITE_ROW)
            err = sqlite_store_report(s, native, "cannot be read", info);
        else
            err = sqlite_store_column_id(statement, 0, &id);
        if (err == ERR_OK)
            result = fn(context, &id, columns[sqlite3_column_int(statement, 1) - 1]);
    }
    return err == ERR_OK && result != 0 ? sqlite_store_fn_result(result) : err;
}

enum err store_sqlite_find(struct store *store, const struct model_table *table, struct bytes text,
                           uint64_t limit, query_hit_fn *fn, void *context, struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    const struct model_column *columns[QUERY_FIND_COLUMNS_MAX];
    int count = 0;
    struct buf folded;
    sqlite3_stmt *statement = NULL;
    enum err err = is_usable(s, info);
    if (err != ERR_OK)
        return err;
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendall(sql, "SELECT id,satchel_first(?");
    for (uint16_t i = 0; i < table->column_count && count < QUERY_FIND_COLUMNS_MAX; i++)
        if (is_searched(&table->columns[i])) {
            columns[count++] = &table->columns[i];
            sqlite3_str_appendf(sql, ",\"%w\"", table->columns[i].name);
        }
    sqlite3_str_appendf(sql, ")AS hit FROM \"%w\" WHERE hit IS NOT NULL ORDER BY id LIMIT %lld",
                        table->name, limit == 0 || limit > INT64_MAX ? -1LL : (long long)limit);
    err = prepare(s, sql, &statement, info);
    if (err != ERR_OK || count == 0) {
        (void)sqlite3_finalize(statement);
        return err;
    }
    buf_init(&folded, FOLDED_MAX);
    err = text_fold(text, &folded);
    if (err == ERR_OK) {
        const struct value value = value_text(buf_view(&folded));
        bind(statement, 1, &value);
        err = scan_hits(s, statement, columns, fn, context, info);
    }
    (void)sqlite3_finalize(statement);
    buf_done(&folded);
    return err;
}

enum err store_sqlite_find_equal(struct store *store, const struct model_table *table,
                                 const struct model_column *column, struct bytes text,
                                 store_id_fn *fn, void *context, struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    struct buf folded;
    sqlite3_stmt *statement = NULL;
    enum err err = is_usable(s, info);
    if (err != ERR_OK)
        return err;
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendf(sql, "SELECT id FROM \"%w\" WHERE satchel_equal(?,\"%w\") ORDER BY id",
                        table->name, column->name);
    err = prepare(s, sql, &statement, info);
    if (err != ERR_OK)
        return err;
    buf_init(&folded, FOLDED_MAX);
    err = text_fold(text, &folded);
    const struct value value = value_text(buf_view(&folded));
    bind(statement, 1, &value);
    if (err == ERR_OK)
        err = scan_ids(s, statement, fn, context, info);
    else
        (void)sqlite3_finalize(statement);
    buf_done(&folded);
    return err;
}

enum err store_sqlite_find_ids(struct store *store, const struct model_table *table,
                               const struct uuid *low, const struct uuid *high, store_id_fn *fn,
                               void *context, struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    sqlite3_stmt *statement = NULL;
    enum err err = is_usable(s, info);
    if (err != ERR_OK)
        return err;
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendf(sql, "SELECT id FROM \"%w\" WHERE id>=? AND id<=? ORDER BY id",
                        table->name);
    err = prepare(s, sql, &statement, info);
    if (err != ERR_OK)
        return err;
    sqlite_store_bind_id(statement, 1, low);
    sqlite_store_bind_id(statement, 2, high);
    return scan_ids(s, statement, fn, context, info);
}

enum err store_sqlite_copied(struct store *store, const struct model_table *table, store_id_fn *fn,
                             void *context, struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    sqlite3_stmt *statement = NULL;
    enum err err = is_usable(s, info);
    if (err != ERR_OK)
        return err;
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendf(sql, "SELECT id FROM satchel_base WHERE table_id=%u ORDER BY id",
                        (unsigned)table->id);
    err = prepare(s, sql, &statement, info);
    return err == ERR_OK ? scan_ids(s, statement, fn, context, info) : err;
}

/* ---- look-ups ---- */

struct query_lookup {
    struct sqlite_store *store;
    sqlite3_stmt *statement;
    uint16_t count;
};

static enum err make_index(struct sqlite_store *s, const struct model_table *table,
                           const struct model_column *column, struct err_info *info)
{
    enum err err = sqlite_store_name_tables(s, true);
    if (err != ERR_OK)
        return err_set(info, err, "'%s': an index cannot be created: %s", s->path, err_text(err));
    char *sql = sqlite3_mprintf("CREATE INDEX IF NOT EXISTS \"satchel_key_%w_%w\" ON"
                                " \"%s%w\"(\"%w\")",
                                table->name, column->name, sqlite_store_prefix(s), table->name,
                                column->name);
    if (sql == NULL)
        return err_set(info, ERR_NOMEM, "'%s': out of memory", s->path);
    int native = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return native == SQLITE_OK ? ERR_OK
                               : sqlite_store_report(s, native, "an index cannot be created", info);
}

enum err query_lookup_new(struct store *store, const struct model_table *table,
                          const struct model_column *const *columns, uint16_t count, bool index,
                          struct query_lookup **ret_lookup, struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    enum err err = is_usable(s, info);
    if (err == ERR_OK && index && !s->options.read_only)
        err = make_index(s, table, columns[0], info);
    if (err != ERR_OK)
        return err;
    struct query_lookup *lookup = sqlite3_malloc64(sizeof *lookup);
    if (lookup == NULL)
        return err_set(info, ERR_NOMEM, "'%s': out of memory", s->path);
    *lookup = (struct query_lookup){.store = s, .count = count};
    sqlite3_str *sql = sqlite3_str_new(s->db);
    sqlite3_str_appendf(sql, "SELECT id FROM \"%w\" WHERE ", table->name);
    for (uint16_t i = 0; i < count; i++)
        sqlite3_str_appendf(sql, "%s\"%w\" IS ?", i == 0 ? "" : " AND ", columns[i]->name);
    sqlite3_str_appendall(sql, " ORDER BY id");
    err = prepare(s, sql, &lookup->statement, info);
    if (err == ERR_OK)
        *ret_lookup = lookup;
    else
        query_lookup_free(lookup);
    return err;
}

void query_lookup_free(struct query_lookup *lookup)
{
    if (lookup == NULL)
        return;
    (void)sqlite3_finalize(lookup->statement);
    sqlite3_free(lookup);
}

enum err query_lookup_run(struct query_lookup *lookup, const struct value *values, store_id_fn *fn,
                          void *context)
{
    sqlite3_stmt *statement = lookup->statement;
    enum err err = is_usable(lookup->store, NULL);
    int native = SQLITE_DONE, result = 0;
    for (uint16_t i = 0; err == ERR_OK && i < lookup->count; i++)
        bind(statement, i + 1, &values[i]);
    while (err == ERR_OK && result == 0 && (native = sqlite3_step(statement)) == SQLITE_ROW) {
        struct uuid id;
        err = sqlite_store_column_id(statement, 0, &id);
        if (err == ERR_OK)
            result = fn(context, &id);
    }
    if (err == ERR_OK && native != SQLITE_ROW && native != SQLITE_DONE)
        err = sqlite_store_failed(lookup->store, native);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return err == ERR_OK && result != 0 ? sqlite_store_fn_result(result) : err;
}
