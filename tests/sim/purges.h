/* purges.h - worlds in which headquarters purges: what may be gone, and what may not. */
#ifndef TESTS_SIM_PURGES_H
#define TESTS_SIM_PURGES_H

#include "tests/sim/judge.h"
#include "tests/sim/oracle.h"

/* How long the servers of this world keep things; in most worlds for good. */
struct hub_retention purges_retention(const struct world *world);
/* Whether headquarters may have purged this record: it was deleted longer ago than the horizon. */
bool purges_may_have(const struct judge *j, const struct model_table *table, const struct uuid *id);
/* Whether the record came back after it was purged: what it is made of is two lives. */
bool purges_came_back(const struct judge *j, const struct model_table *table,
                      const struct uuid *id);

/* No group is in effect that wrote to what had been purged: what it wrote would be nowhere. */
void purges_end(struct judge *j);
/* A record that this world's headquarters has purged, or never had: judge.c asks which. */
bool purges_gone(const struct world *world, const struct ledger_record *record);

/* A text of this time that lost may have stood in a conflict record that was settled, and is purged by now. */
bool purges_settled(const struct world *world, int64_t at_us);

#endif
