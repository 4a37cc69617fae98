/* The end of the write-ahead log. When the sync of a commit fails, the kernel may have thrown away what it
 * should have written and yet show it to whoever reads, and the next sync succeeds: the next process
 * would find the commit in the log, build on it, and lose both with the power. So what no commit was
 * acknowledged for is taken out of the log at once. The frame after the last acknowledged one gets an
 * empty head; a log ends, for SQLite, at the first frame that does not fit. If the log had begun anew
 * with the commit that failed, everything before it is in the database file, and its head goes. Commits that
 * were not synced (STORE_WRITE_LATER) move that end only when a checkpoint has synced them.
 *
 * Source: https://sqlite.org/fileformat2.html 4, https://wiki.postgresql.org/wiki/Fsync_Errors. */
#include <string.h>

#include "common/store_sqlite/sqlite_store.h"

enum { LOG_HEAD = 32, FRAME_HEAD = 24, SALT_AT = 16, PAGE_SIZE_AT = 8 };

#ifndef SQLITE_CHECKPOINT_NOOP /* of the distribution's, which is older */
#define SQLITE_CHECKPOINT_NOOP SQLITE_CHECKPOINT_PASSIVE
#endif

/* Only a log that is synced at each commit ends where the last commit does. */
static bool is_synced(const struct sqlite_store *s)
{
    return !s->memory && (s->options.synchronous == STORE_SQLITE_FULL ||
                          s->options.synchronous == STORE_SQLITE_EXTRA);
}

static sqlite3_file *log_file(struct sqlite_store *s)
{
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK)
        return NULL;
    return file != NULL && file->pMethods != NULL ? file : NULL;
}

void sqlite_store_log_note(struct sqlite_store *s)
{
    sqlite3_file *file = is_synced(s) ? log_file(s) : NULL;
    s->log_known = file != NULL && file->pMethods->xRead(file, s->log_salt, sizeof s->log_salt,
                                                         SALT_AT) == SQLITE_OK;
}

void sqlite_store_log_begin(struct sqlite_store *s)
{
    int pages = -1;
    s->log_known = false;
    if (!is_synced(s) ||
        sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_NOOP, &pages, NULL) != SQLITE_OK)
        return;
    s->log_pages = s->log_end = pages < 0 ? 0 : pages;
    if (s->log_pages > 0) {
        sqlite_store_log_note(s);
        return;
    }
    memset(s->log_salt, 0, sizeof s->log_salt); /* any head will be a new one */
    s->log_known = true;
}

void sqlite_store_log_forget(struct sqlite_store *s)
{
    static const uint8_t zeros[LOG_HEAD];
    uint8_t head[LOG_HEAD];
    sqlite3_file *file = s->log_known ? log_file(s) : NULL;
    if (file == NULL || file->pMethods->xRead(file, head, sizeof head, 0) != SQLITE_OK)
        return;
    const uint8_t *size = head + PAGE_SIZE_AT;
    sqlite3_int64 page = (sqlite3_int64)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
    bool anew = memcmp(head + SALT_AT, s->log_salt, sizeof s->log_salt) != 0;
    /* What is in the database file stays in the log, or older pages there would stand before it. */
    int kept = s->log_pages > s->tidied_pages ? s->log_pages : s->tidied_pages;
    sqlite3_int64 at = anew ? 0 : LOG_HEAD + kept * (FRAME_HEAD + page);
    (void)file->pMethods->xWrite(file, zeros, anew ? LOG_HEAD : FRAME_HEAD, at);
}
