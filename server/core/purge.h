/* purge.h - how long things are kept: rounds that purge (purge.c, purge_groups.c), what may go by age (age.c) and by
 * what devices have (seen.c), writes to what has gone (purged.c). Part of hub_internal.h. */
#ifndef SERVER_CORE_PURGE_H
#define SERVER_CORE_PURGE_H

#include "common/hash_map.h"
#include "protocol/group.h"

struct hub;
struct peer;

enum {
    PURGE_LOOKED = 500,  /* rows that a step looks at */
    PURGE_AT_ONCE = 100, /* and that it removes */
    AGE_MARKS = 16,      /* per horizon: what is purged is at most a sixteenth older than it */
};

/* A round of purge.c, and where it is. */
enum purge_phase {
    PURGE_IDLE,
    PURGE_BUCKETS, /* up to which position of each bucket things may go */
    PURGE_DEAD,
    PURGE_CONFLICTS,
    PURGE_DEPARTURES,
    PURGE_WAITING,
    PURGE_ARCHIVE,
    PURGE_END
};
struct purge {
    enum purge_phase phase;
    int64_t due_us, stepped_us;
    struct hash_map limits;   /* bucket BE4 -> position */
    struct hash_map archived; /* origins of which more is archived now */
    uint32_t table;           /* or bucket; and the last key that was looked at */
    uint8_t key[64];
    size_t key_size;
    uint64_t records, departures, given_up; /* of this round */
};

/* purged.c: writes to records that were purged. */
struct purged_writes {
    const struct mutation **lost; /* to records whose delete wins; arena of the turn */
    uint32_t lost_count;
    bool trimmed;                   /* the group is not what its author wrote */
    const struct mutation *refused; /* it has to be parked for this one, or NULL */
};
/* A group that names a record which is not there: takes what cannot take effect out of it. All that the group names is
 * in effect here, so such a record was there. */
enum err purged_look(struct hub *hub, struct group *group, struct purged_writes *ret);
/* The records that say what was lost, in the bucket of the author. */
enum err purged_tell(struct hub *hub, const struct purged_writes *writes, const struct uuid *author,
                     const struct dot *dot, uint64_t stamp);
/* Whether a record that something is put beneath, and that is not there, has been purged. */
enum err purged_parent(struct hub *hub, const struct model_table *table, const struct uuid *id,
                       bool *ret);

/* age.c: where numbers were. Looks at the marks of one; makes another if it is time (every_ms) and it has moved to
 * now_at; *ret_then: where it was by before_ms, 0 if that is not known. */
enum age_of { AGE_OF_BUCKET = 'b', AGE_OF_ORIGIN = 'o' };
enum err age_look(struct hub *hub, enum age_of what, uint64_t number, uint64_t now_at,
                  int64_t before_ms, int64_t every_ms, uint64_t *ret_then);

/* seen.c: cursors of devices, for retention. */
enum err seen_note(struct hub *hub, const struct peer *peer); /* as it has subscribed */
enum err seen_forget(struct hub *hub, const struct uuid *device);
void seen_pinged(struct hub *hub, struct peer *peer);
void seen_answered(struct peer *peer);
/* Lowers limits (bucket BE4 -> position) to what devices have that were here since since_ms, and are not known to
 * have all that was decided by before_ms. */
enum err seen_hold(struct hub *hub, int64_t since_ms, int64_t before_ms, struct hash_map *limits);

/* purge.c */
enum err purge_open(struct hub *hub); /* within a transaction */
void purge_close(struct hub *hub);
void purge_soon(struct hub *hub); /* a round begins with the next tick */
void purge_tick(struct hub *hub); /* begins one if it is time */
int64_t purge_deadline(const struct hub *hub);
bool purge_has_work(const struct hub *hub);
bool purge_starves(const struct hub *hub);       /* there has been other work for long */
enum err purge_step(struct hub *hub);            /* as hub_transact() */
int64_t purge_horizon_ms(const struct hub *hub); /* settings with their defaults; -1: never */
int64_t purge_lease_ms(const struct hub *hub);
int64_t purge_archive_ms(const struct hub *hub);

/* purge_groups.c: steps of a round. */
enum err purge_waiting(struct hub *hub);
enum err purge_archive(struct hub *hub);
void purge_tell_archived(struct hub *hub); /* after the round */
/* purge.c, for these: what was decided or came up to the time returned may go; 0: nothing. */
int64_t purge_before(const struct hub *hub, int64_t kept_ms);
struct bytes purge_behind(struct purge *p); /* from behind the last key on */
void purge_place(struct purge *p, struct bytes key);
void purge_next(struct purge *p, enum purge_phase phase);

#endif
