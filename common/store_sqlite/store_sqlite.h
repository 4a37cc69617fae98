/* store_sqlite.h - the store on SQLite: one file that any SQL tool can read.
 *
 * Model:      a typed table per model table, named as in the model, `id` a 16-byte blob; beside it
 *             tables `satchel_...`: log, dead rows, base copies, one per side table.
 * Writers:    one handle writes and checkpoints; readers (store_reader) are read-only. WAL.
 * Threads:    a handle stays with one thread at a time; a reader may live in another thread.
 * Durability: a commit is as durable as `synchronous` says. A commit that fails with an I/O error,
 *             and a checkpoint that does, end the handle: every later call is ERR_IO, until the file
 *             is opened anew (what a failed sync has written cannot be known; with FULL and EXTRA a
 *             commit whose sync failed is not found there).
 * ":memory:": a private database of this handle; a reader of it takes a copy at begin(), which is
 *             ERR_BUSY while the writer has a write transaction open.
 * Source:     protocol/adr/0003-store-layout.md, https://sqlite.org/atomiccommit.html,
 *             https://sqlite.org/wal.html. */
#ifndef COMMON_STORE_SQLITE_STORE_SQLITE_H
#define COMMON_STORE_SQLITE_STORE_SQLITE_H

#include "common/buf.h"
#include "common/store.h"

struct sqlite3;

enum store_sqlite_synchronous {
    STORE_SQLITE_FULL, /* the log is synced at each commit: what was committed survives power loss */
    STORE_SQLITE_EXTRA, /* as FULL; the folder is synced too where a journal is removed */
    STORE_SQLITE_NORMAL, /* synced at checkpoints: power loss may take the last commits, a crash not */
    STORE_SQLITE_OFF,    /* never synced: power loss may destroy the file. Tests */
};

/* What a backup does to files beside SQLite's own calls. Each returns 0 or an errno value. */
struct store_sqlite_files {
    bool (*exists)(void *context, const char *path);
    int (*remove)(void *context, const char *path);
    int (*rename)(void *context, const char *from, const char *to); /* never replaces: EEXIST */
    int (*sync)(void *context, const char *path);
    int (*sync_folder)(void *context, const char *path); /* the one that holds this path */
    void *context;
};

/* All zero but path is a good default. Strings are copied. */
struct store_sqlite_options {
    const char *path; /* ":memory:" allowed */
    enum store_sqlite_synchronous synchronous;
    bool
        keeps_log; /* servers. Otherwise log_put and log_delete do nothing and scans find nothing */
    bool erases;   /* what is deleted is overwritten with zeros: nothing of it stays in the file */
    bool read_only; /* the file must exist and fit the model; begin(STORE_WRITE) is ERR_FORBIDDEN */
    bool any_model; /* with read_only: the file may lack tables and columns, as it is only copied */
    bool exclusive; /* for a VFS without shared memory: no other handle, no reader (ERR_INVALID) */
    size_t cache_bytes;  /* 0: 64 MiB */
    int busy_timeout_ms; /* how long begin() waits for another process; 0: not at all */
    const char *vfs;     /* name of a registered VFS; NULL: the default */
    const struct store_sqlite_files
        *files;                   /* that go with vfs; NULL: the operating system's. Borrowed */
    int wal_autocheckpoint_pages; /* 0: 4000 (32 MiB); -1: only when asked */
};

/* Opens or creates the file and brings it to the model: tables and columns that the file lacks are
 * added, nothing is dropped. The model is borrowed until close.
 * On failure info says which file, what and what to do: ERR_VERSION made by a newer Satchel;
 * ERR_INVALID a database of another program, or no path; ERR_CORRUPT not a database; ERR_MODEL a
 * column of the file has another type, or a read-only file lacks a table or column; ERR_IO cannot be
 * opened; ERR_BUSY, ERR_FULL, ERR_NOMEM. */
enum err store_sqlite_open(const struct store_sqlite_options *options, const struct model *model,
                           struct store **ret_store, struct err_info *info);

/* The model that the file is to be opened with: the one that is next, or the one that it has, with this program's
 * system tables if they are later. as_it_is: the one that it has, as it has it, for reading a file that is not to be
 * touched. ERR_NOT_FOUND: it has none, or is not there, or not ours: opening it says which. Otherwise what
 * model_parse_whole() says; ERR_BUSY, ERR_IO, ERR_NOMEM. */
enum err store_sqlite_model(const struct store_sqlite_options *options, bool as_it_is,
                            struct model **ret_model, struct err_info *info);
/* Its text, as model_parse_given() takes it, appended to out. Errors: as above, without those of parsing. */
enum err store_sqlite_model_text(const struct store_sqlite_options *options, bool as_it_is,
                                 struct buf *out, struct err_info *info);

/* The connection, for reports and the read-only SQL command: of a reader, within its transaction.
 * Never write through it. */
struct sqlite3 *store_sqlite_handle(struct store *store);

/* Returns false to stop (ERR_INTERRUPTED). Pages. */
typedef bool store_sqlite_progress_fn(void *context, int remaining, int total);

/* Writes a consistent copy to `path`, while the store goes on being written (from the progress
 * function as well). The copy is synced and has passed integrity_check before it has its name; until
 * then it is "<path>.partial". progress may be NULL. No transaction may be open on the handle.
 * ERR_EXISTS path exists (it is never overwritten); ERR_INTERRUPTED; ERR_CORRUPT the copy is
 * damaged; ERR_FULL, ERR_IO, ERR_NOMEM, ERR_BUSY. */
enum err store_sqlite_backup(struct store *store, const char *path,
                             store_sqlite_progress_fn *progress, void *context,
                             struct err_info *info);

typedef void store_sqlite_problem_fn(void *context, const char *text);

/* Reads everything: integrity_check, each log row has its record, dead rows, base copies and side
 * tables can be read. No transaction may be open on the handle. ERR_CORRUPT when fn was called. */
enum err store_sqlite_verify(struct store *store, store_sqlite_problem_fn *fn, void *context);

/* What takes place in the file. */
enum store_area {
    STORE_AREA_RECORDS,    /* live ones */
    STORE_AREA_CONFLICTS,  /* conflict records */
    STORE_AREA_DELETED,    /* records that were deleted, until they are purged */
    STORE_AREA_LOG,        /* servers: the order of changes, and departures */
    STORE_AREA_OWN_GROUPS, /* a replica's own groups: those that wait, and the sent-log */
    STORE_AREA_PENDING, /* others' groups that are not decided, or are kept for headquarters; copies beneath */
    STORE_AREA_WAITING,  /* headquarters: groups that wait for others, or have not come whole */
    STORE_AREA_PARKED,   /* groups that were set aside */
    STORE_AREA_RECEIPTS, /* what was decided of whom: kept for good */
    STORE_AREA_AUDIT,    /* kept for good */
    STORE_AREA_OTHER,
    STORE_AREA_COUNT
};
const char *store_area_name(enum store_area area); /* a word, for programs */
struct store_size {
    uint64_t rows, bytes; /* bytes of whole pages, indexes included */
};
struct store_sizes {
    uint64_t file_bytes, free_bytes,
        wal_bytes; /* free: of the file, to be used again or given back */
    bool measured; /* false: the areas were not asked for, or this SQLite cannot tell them */
    struct store_size areas[STORE_AREA_COUNT];
};
/* Within a transaction. by_area: the areas as well, for which the file is read once. ERR_NOMEM, ERR_IO, ERR_CORRUPT. */
enum err store_sqlite_sizes(struct store *store, bool by_area, struct store_sizes *ret);

/* For a moment when nobody waits: moves the log into the database file if enough has gathered (1 MiB),
 * so that commits need not. No transaction may be open on the handle. ERR_IO, ERR_CORRUPT end it. */
enum err store_sqlite_tidy(struct store *store);

/* For such a moment as well: makes the file shorter by up to `pages` free pages (of 8 KiB), if more than an eighth of it
 * is free; what is left is used again. *ret_more: there is more to give back. Nothing happens to a file that was
 * made before files could do it (see store_sqlite_compact()), or while another process writes. ERR_IO, ERR_CORRUPT
 * end it; ERR_FULL, ERR_NOMEM. */
enum err store_sqlite_give_back(struct store *store, uint32_t pages, bool *ret_more);

/* Writes the file anew, without free pages: needs as much room again meanwhile, and that nobody else uses the file. A
 * file of an earlier program can give pages back from then on. No transaction may be open on the handle. ERR_BUSY,
 * ERR_FULL, ERR_IO, ERR_NOMEM, with info. */
enum err store_sqlite_compact(struct store *store, struct err_info *info);

/* Moves the log into the database file and empties it, as far as readers allow (no error if they
 * hold it). ERR_BUSY, ERR_FULL, ERR_IO. */
enum err store_sqlite_checkpoint(struct store *store);

#endif
