/* api_internal.h - what the files of the public interface share.
 *
 * Reading order: handle.c (opening) -> schema.c -> write.c -> people.c (people's text) ->
 * record.c -> authors.c -> list.c -> export.c -> conflicts.c -> attention.c -> history.c ->
 * status.c -> verify.c -> sync.c -> servers.c -> enroll.c (with identity.c, join.c).
 *
 * Casts:      struct satchel_value, satchel_id, satchel_bytes and satchel_error have the layout of
 *             struct value, uuid, bytes and err_info (asserted in handle.c), so that values pass
 *             without a copy.
 * Errors:     each public function ends with api_end(); what it calls fills handle->error with a
 *             message for people, or leaves it to the code's text. */
#ifndef CLIENT_API_API_INTERNAL_H
#define CLIENT_API_API_INTERNAL_H

#include "client/api/identity.h"
#include "client/api/satchel.h"
#include "client/core/replica_read.h"
#include "client/core/uplink.h"
#include "client/net/backoff.h"
#include "client/net/loop.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/os/os_file.h"
#include "common/store_sqlite/query.h"
#include "common/store_sqlite/store_sqlite.h"

enum {
    API_ARENA_MAX = 1 << 28, /* of one question */
    API_TEXT_MAX = 4 << 20,  /* of one value as text */
    API_LOOKUPS_MAX = 16,
    API_LOOKUP_COLUMNS_MAX = 8,
    API_AUTHORS_MAX = 4096,
};

/* Where log messages go. */
struct api_log {
    satchel_log_fn *fn;
    void *context;
};

/* A prepared look-up that is kept. */
struct api_lookup {
    const struct model_table *table;
    const struct model_column *columns[API_LOOKUP_COLUMNS_MAX];
    uint16_t count;
    struct query_lookup *query;
    uint64_t used; /* when, by handle->lookup_clock */
};

/* Who stands behind an origin; texts in handle->authors_arena. */
struct api_author {
    uint64_t origin;
    const char *device, *login, *user;
};

/* What is under way with the server. */
struct api_sync {
    struct satchel_loop *loop;      /* NULL: not connected */
    struct satchel *before, *after; /* in the loop's list */
    enum satchel_mode mode;
    satchel_sync_fn *fn;
    void *context;
    struct uplink *uplink;
    struct client_link *link; /* NULL: waiting for retry_at */
    struct backoff backoff;
    struct mono_time retry_at;
    struct uplink_progress told; /* what the callback knows */
    uint64_t push_total;         /* groups that waited when the session began, and since */
    uint64_t told_decided, told_parked;
    bool told_connected, told_caught_up;
    bool waiting; /* for retry_at, between two sessions */
    bool over;    /* CLOSED or REVOKED was told */
    enum err why;
    char message[240];
};

struct satchel {
    struct err_info error;
    struct clock clock;
    struct rng rng;
    struct api_log log_to;
    struct log log;
    char *directory;
    struct os_lock lock;
    struct identity identity;
    bool enrolled, read_only, revoked;
    enum satchel_synchronous synchronous;
    size_t cache_bytes;
    struct model *model;
    struct satchel_schema *schema; /* in schema_arena */
    struct arena schema_arena;
    struct crypto *crypto;
    struct store *store;
    struct replica *replica;
    struct uuid_source ids;   /* of records that are made here */
    bool transaction;         /* begun by satchel_begin() */
    unsigned reading;         /* depth of reading calls; their transaction is the outermost one's */
    struct arena parse_arena; /* of satchel_parse_value() */
    struct arena read_arena;  /* of satchel_read() */
    struct arena status_arena; /* of satchel_status() */
    struct arena authors_arena;
    struct api_author *authors; /* of API_AUTHORS_MAX, or NULL */
    uint32_t author_count;
    struct api_lookup lookups[API_LOOKUPS_MAX];
    uint32_t lookup_count;
    uint64_t lookup_clock;
    /* the columns of the last write by ids, and their indexes */
    const struct model_table *map_table;
    uint16_t map_ids[MODEL_COLUMNS_MAX], map_indexes[MODEL_COLUMNS_MAX], map_count;
    int64_t clock_offset_ms, last_exchange_ms;
    bool no_attachments;
    struct api_sync sync;
};

static inline const struct value *api_values(const struct satchel_value *values)
{
    return (const struct value *)(const void *)values;
}

static inline struct satchel_value api_public(const struct value *value)
{
    return *(const struct satchel_value *)(const void *)value;
}

static inline const struct uuid *api_uuid(const struct satchel_id *id)
{
    return (const struct uuid *)(const void *)id;
}

static inline struct satchel_id api_id(const struct uuid *id)
{
    return *(const struct satchel_id *)(const void *)id;
}

/* handle.c */

/* Begins a public function: forgets the last error. ERR_REVOKED when the data were erased. */
enum err api_start(struct satchel *h);
/* Ends it: completes the error. */
enum satchel_code api_end(struct satchel *h, enum err e);
/* A reading transaction around the call and all that it nests; api_read_end() in any case after
 * ERR_OK. In a write transaction it is that one. */
enum err api_read_begin(struct satchel *h);
void api_read_end(struct satchel *h);
/* What a callback's return value means to a scan of the store. */
int api_stop(int result);
/* Removes the replica's files, not the lock. */
enum err api_remove_files(const char *directory, struct err_info *info);
/* Closes replica and store; the handle knows nothing any more. */
void api_drop_data(struct satchel *h);
/* Closes replica and store and opens them with the store's next model. After a failure there are none. */
enum err api_take_model(struct satchel *h);
/* directory/name in out (OS_PATH_MAX). ERR_INVALID: too long. */
enum err api_path(const char *directory, const char *name, char out[OS_PATH_MAX],
                  struct err_info *info);

/* log.c: a log that writes to fn, which may be NULL: quiet. `to` must outlive it. */
struct log api_log(struct api_log *to);

/* schema.c */

enum err api_schema_make(const struct model *model, struct arena *arena,
                         struct satchel_schema **ret);
const struct model_table *api_table_by_name(struct satchel *h, const char *name, enum err *ret_err);
const struct model_table *api_table_by_id(struct satchel *h, uint32_t id, enum err *ret_err);
/* ERR_MODEL with a message that names what there is nearest. */
enum err api_column(struct satchel *h, const struct model_table *table, const char *name,
                    const struct model_column **ret);
const struct satchel_table *api_public_table(const struct satchel *h,
                                             const struct model_table *table);
const struct model_table *api_model_table(const struct satchel *h,
                                          const struct satchel_table *table);

/* write.c */

/* Opens a transaction where none is; *ret_own: this call did. */
enum err api_write_begin(struct satchel *h, bool *ret_own);
/* Commits or rolls back an own one; after an error that leaves the transaction in doubt, any. */
enum err api_write_end(struct satchel *h, bool own, enum err e);

/* people.c */

/* From people's text. arena: of the value. NULL references allowed. */
enum err api_parse(struct satchel *h, const struct model_table *table,
                   const struct model_column *column, const char *text, struct arena *arena,
                   struct value *ret);
/* Columns and values of fields; arrays of `count` in the arena. */
enum err api_fields(struct satchel *h, const struct model_table *table,
                    const struct satchel_field *fields, size_t count, struct arena *arena,
                    uint16_t **ret_columns, struct value **ret_values);
enum err api_resolve(struct satchel *h, const struct model_table *table, const char *text,
                     struct uuid *ret_id);
/* Up to max ids of live rows with these values; *ret_count may be more. */
enum err api_lookup(struct satchel *h, const struct model_table *table,
                    const struct model_column *const *columns, const struct value *values,
                    uint16_t count, struct uuid *ret_ids, size_t max, size_t *ret_count);
void api_lookups_free(struct satchel *h);

/* record.c: within api_read_begin() */

/* The record's name as people read it: the title column's text, or the id. */
enum err api_title(struct satchel *h, const struct model_table *table, const struct uuid *id,
                   const struct value *values, struct arena *arena, const char **ret);
/* The same from the store; the id where the record is not here. */
enum err api_title_of(struct satchel *h, const struct model_table *table, const struct uuid *id,
                      struct arena *arena, const char **ret);
/* A value as people read it. */
enum err api_text(struct satchel *h, const struct model_column *column, const struct value *value,
                  struct arena *arena, const char **ret);
/* ERR_NOT_FOUND. */
enum err api_record(struct satchel *h, const struct model_table *table, const struct uuid *id,
                    unsigned flags, struct arena *arena, struct satchel_record *ret);
/* Cells of some columns. */
enum err api_cells(struct satchel *h, const struct model_table *table, const uint16_t *columns,
                   const struct value *values, size_t count, struct arena *arena,
                   struct satchel_cell **ret);

/* authors.c: within api_read_begin() */

enum err api_author(struct satchel *h, const struct dot *dot, uint64_t stamp,
                    struct satchel_author *ret);
void api_authors_forget(struct satchel *h);

/* conflicts.c */

/* Calls fn for the conflicts of a record or all; used by the history as well. */
enum err api_conflicts(struct satchel *h, const struct satchel_conflict_query *query,
                       satchel_conflict_fn *fn, void *context);

/* provisional.c: within api_read_begin(). fn is told the id that headquarters will give the conflict, if it comes to
 * the same, and the values of its row (TABLE_CONFLICT; valid during the call); it returns as a store_id_fn does. */
typedef int api_provisional_fn(void *context, const struct uuid *id, const struct value *values);
/* Of one table's records, or (NULL) of all. */
enum err api_provisional(struct satchel *h, const struct model_table *table, api_provisional_fn *fn,
                         void *context);
/* Whether there is such a conflict, stored or provisional. ERR_NOT_FOUND, with a message. */
enum err api_conflict_exists(struct satchel *h, const struct uuid *id);
/* attachments.c: the part of the status; within api_read_begin(). */
enum err api_attachments_status(struct satchel *h, struct satchel_status *ret);

/* sync.c */

/* A local change was committed. */
void api_sync_changed(struct satchel *h);
/* status.c: keeps, at the end of a session, how much of what waits here the server has. */
void api_keep_acknowledged(struct satchel *h);
/* While a handle reads or has a transaction open its loop must not run. */
void api_sync_hold(struct satchel *h, int by);

#endif
