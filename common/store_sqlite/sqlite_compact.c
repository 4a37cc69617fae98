/* Free pages are given back: some at a time, or all at once. */
#include <assert.h>

#include "common/store_sqlite/sqlite_store.h"

enum { FREE_PART = 8, FREE_MIN = 128 /* pages: 1 MiB */, CAN_GIVE_BACK = 2 /* auto_vacuum */ };

static enum err failed(struct sqlite_store *s, int native)
{
    enum err err = sqlite_store_code(native);
    if (err == ERR_IO || err == ERR_CORRUPT)
        s->ended = err;
    return err == ERR_BUSY ? ERR_OK : err;
}

enum err store_sqlite_give_back(struct store *store, uint32_t pages, bool *ret_more)
{
    struct sqlite_store *s = sqlite_store_of(store);
    int64_t mode = 0, all = 0, unused = 0;
    char sql[60];
    assert(s->state == SQLITE_STORE_IDLE);
    *ret_more = false;
    if (s->ended != ERR_OK || s->options.read_only)
        return s->ended;
    enum err err = sqlite_store_query_int(s, "PRAGMA auto_vacuum", &mode, NULL);
    if (err == ERR_OK)
        err = sqlite_store_query_int(s, "PRAGMA page_count", &all, NULL);
    if (err == ERR_OK)
        err = sqlite_store_query_int(s, "PRAGMA freelist_count", &unused, NULL);
    if (err != ERR_OK || mode != CAN_GIVE_BACK || unused < FREE_MIN || unused < all / FREE_PART)
        return err;
    (void)sqlite3_snprintf(sizeof sql, sql, "PRAGMA incremental_vacuum(%u)", pages);
    int native = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    if (native != SQLITE_OK)
        return failed(s, native);
    *ret_more = unused - pages >= FREE_MIN && unused - pages >= (all - pages) / FREE_PART;
    return ERR_OK;
}

enum err store_sqlite_compact(struct store *store, struct err_info *info)
{
    struct sqlite_store *s = sqlite_store_of(store);
    assert(s->state == SQLITE_STORE_IDLE);
    if (s->ended != ERR_OK)
        return err_set(info, s->ended, "'%s': %s", s->path, err_text(s->ended));
    int native = sqlite3_exec(s->db, "PRAGMA auto_vacuum=INCREMENTAL;VACUUM", NULL, NULL, NULL);
    if (native != SQLITE_OK) {
        enum err err = sqlite_store_report(s, native, "cannot be compacted", info);
        if (err == ERR_IO || err == ERR_CORRUPT)
            s->ended = err;
        return err;
    }
    return store_sqlite_checkpoint(store);
}
