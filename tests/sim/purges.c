/* purges.c - see purges.h. One world of four has a horizon of some days, so that nights and cut lines are longer. Groups
 * are archived by backups alone: what is archived by age may be lost with a restore, which is its price. */
#include "tests/sim/purges.h"

#include <string.h>

#include "common/store_sqlite/store_sqlite.h"

static const int64_t DAY_MS = (int64_t)24 * 3600 * 1000;

struct hub_retention purges_retention(const struct world *world)
{
    struct seeded_rng dice;
    seeded_rng_start(&dice, world->plan->seed * 97 + 13);
    struct hub_retention retention = {.horizon_ms = -1, .lease_ms = 2 * DAY_MS, .archive_ms = -1};
    if (seeded_below(&dice, 4) == 0)
        retention.horizon_ms = (int64_t)(1 + seeded_below(&dice, 7)) * DAY_MS;
    return retention;
}

static bool writes_to(const struct deed *deed, const struct model_table *table,
                      const struct uuid *id, enum mutation_op *ret_op)
{
    for (uint32_t m = 0; m < deed->group.mutation_count; m++) {
        const struct mutation *mutation = &deed->group.mutations[m];
        if (mutation->table != table || !uuid_equal(&mutation->id, id))
            continue;
        *ret_op = mutation->op;
        return true;
    }
    return false;
}

bool purges_may_have(const struct judge *j, const struct model_table *table, const struct uuid *id)
{
    int64_t horizon_ms = purges_retention(j->world).horizon_ms, deleted_ms = INT64_MAX;
    if (horizon_ms < 0)
        return false;
    /* The first delete is asked for: a later one may have come when the record was gone. */
    for (uint32_t i = 0; i < j->count; i++) {
        enum mutation_op op;
        if (deleted_ms == INT64_MAX && j->deeds[i].in_effect &&
            writes_to(&j->deeds[i], table, id, &op) && op == MUTATION_DELETE)
            deleted_ms = j->deeds[i].told->decided_ms;
    }
    return deleted_ms != INT64_MAX && deleted_ms <= j->world->history->latest_ms - horizon_ms;
}

bool purges_came_back(const struct judge *j, const struct model_table *table, const struct uuid *id)
{
    uint32_t inserts = 0;
    for (uint32_t i = 0; i < j->count; i++) {
        enum mutation_op op;
        inserts += j->deeds[i].in_effect && !j->deeds[i].alias &&
                   writes_to(&j->deeds[i], table, id, &op) && op == MUTATION_INSERT;
    }
    return inserts > 1;
}

static bool deleted_later(const struct judge *j, uint32_t from, const struct mutation *write)
{
    enum mutation_op op;
    for (uint32_t i = from + 1; i < j->count; i++)
        if (j->deeds[i].in_effect && writes_to(&j->deeds[i], write->table, &write->id, &op) &&
            op == MUTATION_DELETE)
            return true;
    return false;
}

/* Where a delete wins, a write to the dead record is merged into it, and goes with it: that is left out. */
void purges_end(struct judge *j)
{
    for (uint32_t i = 0; i < j->count && !j->world->failed; i++) {
        const struct deed *deed = &j->deeds[i];
        if (!deed->in_effect || deed->alias || deed->told->vague)
            continue;
        for (uint32_t m = 0; m < deed->group.mutation_count; m++) {
            const struct mutation *write = &deed->group.mutations[m];
            if ((write->op != MUTATION_UPDATE && write->op != MUTATION_RESTORE) ||
                write->table->delete_policy == DELETE_WINS || deleted_later(j, i, write))
                continue;
            const struct ledger_record record = {.id = write->id, .table = write->table->index};
            if (purges_gone(j->world, &record))
                broken(j->world, "a write is applied to something",
                       "group %016llx/%llu is in effect, and wrote to a %s that is not there",
                       (unsigned long long)deed->told->origin, (unsigned long long)deed->told->oseq,
                       write->table->name);
        }
    }
}

bool purges_gone(const struct world *world, const struct ledger_record *record)
{
    const struct model_table *table = &world->model->tables[record->table];
    sqlite3_stmt *row;
    char sql[200];
    if (purges_retention(world).horizon_ms < 0)
        return false;
    snprintf(sql, sizeof sql,
             "SELECT 1 FROM \"%s\" WHERE id=?1 UNION ALL SELECT 1 FROM satchel_dead"
             " WHERE id=?1 AND table_id=%u",
             table->name, table->id);
    if (sqlite3_prepare_v2(store_sqlite_handle(world->nodes[0].store), sql, -1, &row, NULL) !=
        SQLITE_OK)
        return false;
    sqlite3_bind_blob(row, 1, record->id.byte, 16, SQLITE_TRANSIENT);
    bool gone = sqlite3_step(row) == SQLITE_DONE;
    sqlite3_finalize(row);
    return gone;
}

bool purges_settled(const struct world *world, int64_t at_us)
{
    int64_t horizon_ms = purges_retention(world).horizon_ms;
    return horizon_ms >= 0 && world->now_us - at_us >= horizon_ms * 1000;
}
