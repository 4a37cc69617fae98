/* What takes place in the file, by what people know things as. */
#include <assert.h>
#include <string.h>

#include "common/store_sqlite/sqlite_store.h"

/* Beside the typed tables. What is not named is of the store itself. */
static const struct {
    const char *table;
    enum store_area area;
} areas[] = {
    {"satchel_dead", STORE_AREA_DELETED},      {"satchel_log", STORE_AREA_LOG},
    {"satchel_moved", STORE_AREA_LOG},         {"satchel_outbox", STORE_AREA_OWN_GROUPS},
    {"satchel_pending", STORE_AREA_PENDING},   {"satchel_run", STORE_AREA_PENDING},
    {"satchel_base", STORE_AREA_PENDING},      {"satchel_waiting", STORE_AREA_WAITING},
    {"satchel_waits_for", STORE_AREA_WAITING}, {"satchel_part", STORE_AREA_WAITING},
    {"satchel_parked", STORE_AREA_PARKED},     {"satchel_parked_insert", STORE_AREA_PARKED},
    {"satchel_kept", STORE_AREA_PARKED},       {"satchel_audit", STORE_AREA_AUDIT},
    {"satchel_receipt", STORE_AREA_RECEIPTS},  {"satchel_mark", STORE_AREA_RECEIPTS},
    {"satchel_renamed", STORE_AREA_RECEIPTS},  {"satchel_given_up", STORE_AREA_RECEIPTS},
    {"conflict", STORE_AREA_CONFLICTS},
};

static enum store_area area_of(const struct sqlite_store *s, const char *name)
{
    const char *table = sqlite_store_shown_name(name);
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
        if (strcmp(areas[i].table, table) == 0)
            return areas[i].area;
    return model_table_by_name(s->store.model, bytes_of_text(table)) ? STORE_AREA_RECORDS
                                                                     : STORE_AREA_OTHER;
}

const char *store_area_name(enum store_area area)
{
    static const char *const names[STORE_AREA_COUNT] = {[STORE_AREA_RECORDS] = "records",
                                                        [STORE_AREA_CONFLICTS] = "conflicts",
                                                        [STORE_AREA_DELETED] = "deleted",
                                                        [STORE_AREA_LOG] = "log",
                                                        [STORE_AREA_OWN_GROUPS] = "own_groups",
                                                        [STORE_AREA_PENDING] = "pending",
                                                        [STORE_AREA_WAITING] = "waiting",
                                                        [STORE_AREA_PARKED] = "parked",
                                                        [STORE_AREA_RECEIPTS] = "receipts",
                                                        [STORE_AREA_AUDIT] = "audit",
                                                        [STORE_AREA_OTHER] = "other"};
    return names[area];
}

/* An entry stands once in a table WITHOUT ROWID and in an index; of a table with rowids the index of its keys is
 * counted. */
static const char measure_sql[] =
    "SELECT s.tbl_name,sum(d.pgsize),"
    "max(CASE WHEN d.name LIKE 'sqlite_autoindex%' THEN d.ncell END),"
    "max(CASE WHEN d.name=s.tbl_name THEN d.ncell END)"
    " FROM dbstat('main',1) d JOIN sqlite_schema s ON s.name=d.name GROUP BY s.tbl_name";

static enum err measure(struct sqlite_store *s, struct store_sizes *sizes)
{
    sqlite3_stmt *statement = NULL;
    int native = sqlite3_prepare_v2(s->db, measure_sql, -1, &statement, NULL);
    if (native == SQLITE_ERROR) /* a SQLite without dbstat: the file's own figures stand */
        return ERR_OK;
    while (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(statement, 0);
        if (table == NULL) {
            (void)sqlite3_finalize(statement);
            return ERR_NOMEM;
        }
        struct store_size *size = &sizes->areas[area_of(s, table)];
        bool indexed = sqlite3_column_type(statement, 2) != SQLITE_NULL;
        size->bytes += (uint64_t)sqlite3_column_int64(statement, 1);
        size->rows += (uint64_t)sqlite3_column_int64(statement, indexed ? 2 : 3);
    }
    sizes->measured = true;
    native = sqlite_store_finalize(statement, native);
    return native == SQLITE_OK ? ERR_OK : sqlite_store_failed(s, native);
}

static enum err wal_size(struct sqlite_store *s, uint64_t *ret)
{
    sqlite3_file *wal = NULL;
    sqlite3_int64 size = 0;
    *ret = 0;
    int native = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (s->memory || native != SQLITE_OK || wal == NULL || wal->pMethods == NULL)
        return ERR_OK;
    native = wal->pMethods->xFileSize(wal, &size);
    if (native != SQLITE_OK)
        return sqlite_store_code(native);
    *ret = (uint64_t)size;
    return ERR_OK;
}

enum err store_sqlite_sizes(struct store *store, bool by_area, struct store_sizes *ret)
{
    struct sqlite_store *s = sqlite_store_of(store);
    struct store_sizes sizes = {.measured = false};
    int64_t pages = 0, unused = 0, page_size = 0;
    assert(s->state != SQLITE_STORE_IDLE);
    enum err err = sqlite_store_query_int(s, "PRAGMA page_size", &page_size, NULL);
    if (err == ERR_OK)
        err = sqlite_store_query_int(s, "PRAGMA page_count", &pages, NULL);
    if (err == ERR_OK)
        err = sqlite_store_query_int(s, "PRAGMA freelist_count", &unused, NULL);
    if (err == ERR_OK)
        err = wal_size(s, &sizes.wal_bytes);
    if (err == ERR_OK && by_area)
        err = measure(s, &sizes);
    sizes.file_bytes = (uint64_t)(pages * page_size);
    sizes.free_bytes = (uint64_t)(unused * page_size);
    if (err == ERR_OK)
        *ret = sizes;
    return err;
}
