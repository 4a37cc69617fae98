/* judging.h - what the files that judge a group share: decide.c, decide_scope.c, judging_causes.c. */
#ifndef SERVER_CORE_JUDGING_H
#define SERVER_CORE_JUDGING_H

#include "server/core/hub_internal.h"

struct judging {
    struct hub *hub;
    const struct author *author;
    const struct group *group;
    struct bytes raw;
    const uint8_t *hash;
    enum reason reason;
    int64_t stamp_ms; /* when it was written: the effective stamp's */
    bool former;      /* writes to a record that has left the author's sight */
    char detail[256];
    struct dot missing; /* what it has to wait for */
    bool again;         /* decided already, under another dot */
    bool translated;    /* it names others than its author did: renamed.c */
    bool incomplete;    /* it is decided without something that it names */
    struct purged_writes purged;
};

/* The group is to be parked, for this reason. table, column, what: where, or NULL. */
void refuse(struct judging *j, enum reason reason, const struct model_table *table,
            const char *column, const char *what);

/* decide_scope.c: whether its author may write all that it writes, and bring it where it goes; else refuses. Before
 * anything is written. Store errors, ERR_NOMEM. */
enum err check_scope(struct judging *j, const struct apply_report *report);

/* judging_causes.c: looks at all that the group names: j->missing is the first that it has to wait for. */
enum err judging_causes(struct judging *j);
/* Whether the group was given up before it came: then it is set aside. */
enum err judging_late(struct judging *j);

#endif
