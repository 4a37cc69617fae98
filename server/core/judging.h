/* judging.h - one group while headquarters decides it: decide.c, judging_causes.c. */
#ifndef SERVER_CORE_JUDGING_H
#define SERVER_CORE_JUDGING_H

#include "server/core/hub_internal.h"

#include <stdio.h>

struct judging {
    struct hub *hub;
    const struct author *author;
    const struct group *group;
    struct bytes raw;
    const uint8_t *hash;
    enum reason reason;
    bool former; /* writes to a record that has left the author's sight */
    char detail[256];
    struct dot missing; /* what it has to wait for */
    bool again;         /* decided already, under another dot */
    bool translated;    /* it names others than its author did: renamed.c */
    bool incomplete;    /* it is decided without something that it names */
    struct purged_writes purged;
};

/* It is set aside: the reason, and what it is about; all but the reason may be NULL. */
static inline void refuse(struct judging *j, enum reason reason, const struct model_table *table,
                          const char *column, const char *what)
{
    j->reason = reason;
    snprintf(j->detail, sizeof j->detail, "%s%s%s%s%.180s", table ? table->name : "",
             column ? "." : "", column ? column : "", what && *what ? ": " : "", what ? what : "");
}

/* judging_causes.c: looks at all that the group names: j->missing is the first that it has to wait for. */
enum err judging_causes(struct judging *j);
/* Whether the group was given up before it came: then it is set aside. */
enum err judging_late(struct judging *j);

#endif
