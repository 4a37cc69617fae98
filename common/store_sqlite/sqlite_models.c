/* The model's text in the file: read before it is opened, written in the transaction that brings its tables to
 * it. Source: common/store_models.h. */
#include "common/store_models.h"
#include "common/store_sqlite/sqlite_store.h"

#include <string.h>

/* ---- before opening ---- */

static int look(sqlite3 *db, const char *key, struct buf *out, bool *ret_found)
{
    sqlite3_stmt *statement = NULL;
    int native = sqlite3_prepare_v2(db, "SELECT v FROM satchel_models WHERE k=CAST(?1 AS BLOB)", -1,
                                    &statement, NULL);
    *ret_found = false;
    if (native != SQLITE_OK)
        return native;
    (void)sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    native = sqlite3_step(statement);
    if (native == SQLITE_ROW) {
        struct bytes text = sqlite_store_column(statement, 0);
        *ret_found = true;
        if (buf_append(out, text.data, text.size) != ERR_OK)
            native = SQLITE_NOMEM;
    }
    int finished = sqlite3_finalize(statement);
    return native == SQLITE_ROW || native == SQLITE_DONE ? finished : native;
}

/* What is wrong with the file itself is said by who opens it: here it has no text then. */
static enum err read_text(sqlite3 *db, const struct store_sqlite_options *options, bool as_it_is,
                          struct buf *out)
{
    bool found = false;
    if (options->exclusive)
        (void)sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    (void)sqlite3_busy_timeout(db, options->busy_timeout_ms);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int native = SQLITE_OK;
    if (!as_it_is)
        native = look(db, STORE_MODELS_NEXT, out, &found);
    if (native == SQLITE_OK && !found)
        native = look(db, STORE_MODELS_TEXT, out, &found);
    if (native == SQLITE_OK)
        return found ? ERR_OK : ERR_NOT_FOUND;
    int primary = native & 0xff; /* ERROR: no such table */
    bool tells = primary == SQLITE_NOMEM || primary == SQLITE_BUSY || primary == SQLITE_IOERR ||
                 primary == SQLITE_FULL;
    return tells ? sqlite_store_code(native) : ERR_NOT_FOUND;
}

enum err store_sqlite_model_text(const struct store_sqlite_options *options, bool as_it_is,
                                 struct buf *out, struct err_info *info)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |= options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    int native = sqlite3_open_v2(options->path, &db, flags, options->vfs);
    enum err err = native == SQLITE_OK      ? read_text(db, options, as_it_is, out)
                   : native == SQLITE_NOMEM ? ERR_NOMEM
                                            : ERR_NOT_FOUND;
    (void)sqlite3_close(db);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        (void)err_set(info, err, "'%s' cannot be read: %s", options->path, err_text(err));
    return err;
}

enum err store_sqlite_model(const struct store_sqlite_options *options, bool as_it_is,
                            struct model **ret_model, struct err_info *info)
{
    struct buf text;
    buf_init(&text, MODEL_WHOLE_MAX);
    enum err err = store_sqlite_model_text(options, as_it_is, &text, info);
    if (err == ERR_OK) {
        err = as_it_is ? model_parse_given(buf_view(&text), ret_model, info)
                       : model_parse_whole(buf_view(&text), NULL, ret_model, info);
        if (err != ERR_OK && err != ERR_NOMEM && info != NULL) {
            struct err_info why = *info;
            (void)err_set(info, err,
                          "'%s': its model is of a later program: %.300s. Update this program",
                          options->path, why.message);
        }
    }
    buf_done(&text);
    return err;
}

/* ---- within the transaction that migrates ---- */

static enum err report(struct sqlite_store *s, int native, struct err_info *info)
{
    return native == SQLITE_OK ? ERR_OK : sqlite_store_report(s, native, "cannot be written", info);
}

/* Drops the table if it has no rows. */
static int drop_empty(struct sqlite_store *s, const char *name)
{
    int64_t rows = 0;
    char *sql = sqlite3_mprintf("SELECT count(*) FROM (SELECT 1 FROM \"%w\" LIMIT 1)", name);
    if (sql == NULL)
        return SQLITE_NOMEM;
    enum err err = sqlite_store_query_int(s, sql, &rows, NULL);
    sqlite3_free(sql);
    if (err != ERR_OK)
        return err == ERR_NOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
    if (rows > 0)
        return SQLITE_OK; /* then its columns have to fit */
    sql = sqlite3_mprintf("DROP TABLE \"%w\"", name);
    if (sql == NULL)
        return SQLITE_NOMEM;
    int native = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return native;
}

enum err sqlite_store_models_anew(struct sqlite_store *s, struct err_info *info)
{
    static const char next_table[] =
        "SELECT name FROM sqlite_schema WHERE type='table' AND name>?1"
        " AND name NOT LIKE 'satchel\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY name LIMIT 1";
    int64_t anew = 0;
    char *name = sqlite3_mprintf("");
    enum err err = sqlite_store_query_int(
        s, "SELECT count(*) FROM satchel_models WHERE k=CAST('" STORE_MODELS_ANEW "' AS BLOB)",
        &anew, info);
    int native = name != NULL ? SQLITE_OK : SQLITE_NOMEM;
    while (err == ERR_OK && anew > 0 && native == SQLITE_OK) {
        sqlite3_stmt *statement = NULL;
        char *next = NULL;
        native = sqlite3_prepare_v2(s->db, next_table, -1, &statement, NULL);
        if (native == SQLITE_OK)
            native = sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        if (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
            next = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
        native = sqlite_store_finalize(statement, native);
        sqlite3_free(name);
        name = next;
        if (name == NULL)
            break;
        if (native == SQLITE_OK)
            native = drop_empty(s, name);
    }
    sqlite3_free(name);
    if (err == ERR_OK && anew > 0 && native == SQLITE_OK) /* it was never in use */
        native = sqlite3_exec(s->db, "DELETE FROM satchel_model", NULL, NULL, NULL);
    return err != ERR_OK ? err : report(s, native, info);
}

static int put(struct sqlite_store *s, const char *prefix, struct bytes key, struct bytes value)
{
    sqlite3_stmt *statement = NULL;
    uint8_t whole[64];
    size_t size = strlen(prefix);
    memcpy(whole, prefix, size);
    if (key.size > 0)
        memcpy(whole + size, key.data, key.size);
    int native = sqlite3_prepare_v2(
        s->db, "INSERT INTO satchel_models(k,v) VALUES(?1,?2) ON CONFLICT(k) DO UPDATE SET v=?2",
        -1, &statement, NULL);
    if (native != SQLITE_OK)
        return native;
    sqlite_store_bind_bytes(statement, 1, bytes_of(whole, size + key.size));
    sqlite_store_bind_bytes(statement, 2, value);
    (void)sqlite3_step(statement);
    return sqlite_store_finalize(statement, native);
}

/* The model that is noted in the file: whether the one it is opened with takes its place; its name, if it is
 * another one. */
static int noted(struct sqlite_store *s, struct model_name *ret_was, bool *ret_other,
                 bool *ret_takes)
{
    const struct model *model = s->store.model;
    sqlite3_stmt *statement = NULL;
    *ret_other = false;
    *ret_takes = true;
    int native =
        sqlite3_prepare_v2(s->db, "SELECT hash,version FROM satchel_model", -1, &statement, NULL);
    if (native == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        struct bytes hash = sqlite_store_column(statement, 0);
        ret_was->version = (uint32_t)sqlite3_column_int64(statement, 1);
        *ret_other = hash.size == 32 && memcmp(hash.data, model->hash, 32) != 0;
        if (*ret_other)
            memcpy(ret_was->hash, hash.data, 32);
        *ret_takes = ret_was->version <= model->version;
    }
    return sqlite_store_finalize(statement, native);
}

enum err sqlite_store_models_note(struct sqlite_store *s, struct err_info *info)
{
    struct model_name was;
    bool other, takes;
    uint8_t version[4];
    int native = noted(s, &was, &other, &takes);
    if (native == SQLITE_OK && other && takes) {
        be32_put(version, was.version);
        native = put(s, STORE_MODELS_WAS, bytes_of(was.hash, 32), bytes_of(version, 4));
    }
    if (native == SQLITE_OK && takes)
        native = put(s, STORE_MODELS_TEXT, bytes_of(NULL, 0), s->store.model->text);
    if (native == SQLITE_OK && takes)
        native = sqlite3_exec(s->db,
                              "DELETE FROM satchel_models WHERE k IN (CAST('" STORE_MODELS_NEXT
                              "' AS BLOB),CAST('" STORE_MODELS_ANEW "' AS BLOB))",
                              NULL, NULL, NULL);
    return report(s, native, info);
}
