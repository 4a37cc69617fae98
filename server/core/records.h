/* records.h - how decided records are written: into their bucket, into another one, out of sight; headquarters' own rows.
 * Part of hub_internal.h, which includes it. */
#ifndef SERVER_CORE_RECORDS_H
#define SERVER_CORE_RECORDS_H

#include "server/core/hub_internal.h"

/* write.c */
struct write_origin {     /* whose write it is, for the live feed */
    uint64_t peer_number; /* 0 unless clean */
    uint64_t oseq;
    uint32_t mutation;
    struct dot dot;
    uint64_t stamp;
};
void world_reset(struct hub *hub); /* before each group */
/* The row as world_get() read it, or NULL. */
const struct store_row *world_row(struct hub *hub, const struct model_table *table,
                                  const struct uuid *id);
/* Takes a record out of its bucket's log and digest; the row stays. */
enum err write_forget(struct hub *hub, const struct model_table *table, const struct uuid *id,
                      const struct store_row *old);
/* Stores a decided record: row, log, digest, live entry; bucket 0: by its route; another bucket than it is
 * in: it moves (alone: see move_write). */
enum err write_record(struct hub *hub, const struct applied_record *applied, uint32_t bucket,
                      const struct write_origin *origin);
/* The live entry of a record that has left the bucket, at its head. */
enum err live_note_gone(struct hub *hub, const struct bucket *bucket,
                        const struct model_table *table, const struct uuid *id);
enum err write_route(struct hub *hub, const struct model_table *table, const struct value *values,
                     struct bucket **ret);
enum err world_get(void *context, const struct model_table *table, const struct uuid *id,
                   struct arena *arena, struct record *ret);
enum err world_children(void *context, const struct model_table *table, const struct uuid *parent,
                        struct arena *arena, const struct uuid **ret_ids, uint32_t *ret_count);
enum err record_of_row(const struct model_table *table, const struct store_row *row,
                       struct arena *arena, struct record *ret);
/* A new conflict record. */
enum err conflict_put_into(struct hub *hub, const struct uuid *id, const struct value *values,
                           uint32_t bucket);
bool needs_conflicts(const struct applied_record *applied);
/* restore: the record was asked back, so that nobody has to be told that it lives. */
enum err write_conflicts(struct hub *hub, const struct applied_record *applied,
                         const struct dot *dot, uint64_t stamp, bool restore);

/* move.c: records that change their bucket. */
/* Whether the group writes what a bucket comes from, or a record that others have waited for in nobody's bucket. */
enum err move_in(struct hub *hub, const struct apply_report *report, bool *ret);
/* Stores all records of such a group, and what belongs to them. */
enum err move_write(struct hub *hub, const struct apply_report *report,
                    const struct write_origin *origin);
/* purged: not into another bucket, but for good. */
enum err move_depart(struct hub *hub, const struct model_table *table, const struct uuid *id,
                     uint32_t from, bool purged);
struct departure { /* a value of MOVED */
    uint64_t position;
    int64_t at_ms;
    bool purged;
};
enum err move_departure(struct bytes value, struct departure *ret); /* ERR_CORRUPT */
/* Whether it still gives those who had the record the right to write to it. */
bool move_in_lease(const struct hub *hub, const struct departure *departure);
/* A log entry names a record that is not there: ERR_NOT_FOUND if that is its departure (it was purged here, or has moved and was
 * purged elsewhere); ERR_CORRUPT. */
enum err move_explains(struct store *store, uint32_t bucket, uint64_t position,
                       const struct model_table *table, const struct uuid *id, struct arena *arena);
/* Whether a departure says that the record was purged. */
enum err move_was_purged(struct hub *hub, const struct model_table *table, const struct uuid *id,
                         bool *ret);
enum err move_arrive(struct hub *hub, const struct model_table *table, const struct uuid *id,
                     uint32_t to); /* an earlier departure from there is forgotten */
/* Whether the record left a bucket that this author sees, or saw until lately, so lately that writes to it still
 * count. */
enum { LEASE_DAYS = 14 };
enum err move_lease(struct hub *hub, const struct author *author, int64_t stamp_ms,
                    const struct model_table *table, const struct uuid *id, bool *ret);

/* lapse.c: what people saw until lately, for the lease. */
/* Before a user, team or membership is written: whom it takes something from. */
enum err lapse_note(struct hub *hub, const struct applied_record *applied);
/* Whether the author saw the bucket until lately, so that what was written at `stamp_ms` still counts. */
enum err lapse_lease(struct hub *hub, const struct uuid *user, uint32_t bucket, int64_t stamp_ms,
                     bool *ret);
/* What is past its lease goes. Once per start. */
enum err lapse_purge(struct hub *hub);

/* system.c: rows of headquarters' own. values by column index; NULL kinds are left out of inserts. */
enum err system_put(struct hub *hub, uint32_t table_id, const struct uuid *id,
                    const uint16_t *column_ids, const struct value *values, uint16_t count,
                    uint32_t bucket);
enum err system_get(struct hub *hub, uint32_t table_id, const struct uuid *id, struct record *ret);
struct value system_value(struct hub *hub, uint32_t table_id, const struct record *record,
                          const char *column);
enum err system_id(struct hub *hub, struct uuid *ret);

#endif
