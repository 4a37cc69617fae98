/* provisional.c - conflicts of what headquarters has not decided yet: nobody has stored them, they follow from what
 * is shown. They end when it has decided, as a conflict record of the same id or as none (DESIGN.md 3).
 *
 * Cost:       one read of each record that has a confirmed copy, as those have that pending groups touch. */
#include "client/api/api_internal.h"

#include "common/store_sqlite/query.h"
#include "protocol/conflict.h"
#include "protocol/merge.h"
#include "protocol/version.h"

struct derivation {
    struct satchel *h;
    const struct model_table *table; /* whose records are looked at */
    api_provisional_fn *fn;
    void *context;
    struct arena arena;
};

static int64_t latest_ms(const struct unit_state *state)
{
    uint64_t latest = 0;
    for (uint16_t i = 0; i < state->count; i++)
        latest = state->candidates[i].stamp > latest ? state->candidates[i].stamp : latest;
    return (int64_t)(latest >> 16);
}

/* Whether headquarters has a record of it. */
static enum err is_stored(struct derivation *d, const struct uuid *id, bool *ret)
{
    struct store_row row;
    enum err e = store_row_get(d->h->store, model_table_by_id(d->h->model, TABLE_CONFLICT), id,
                               &d->arena, &row);
    *ret = e == ERR_OK;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static int tell_unit(struct derivation *d, const struct uuid *id, const struct record *record,
                     const struct unit_state *state)
{
    const struct model_table *table = d->table;
    const struct model_unit *unit = &table->units[state->unit];
    struct dot dots[FRONTIER_MAX];
    struct uuid conflict;
    struct value *values;
    bool stored = false;
    if (state->count < 2 || !merge_values_differ(unit, state->candidates, state->count))
        return 0;
    enum err e = conflict_id(d->h->crypto, table, id, unit,
                             version_frontier(&record->version, state->unit, dots), &conflict);
    if (e == ERR_OK)
        e = is_stored(d, &conflict, &stored);
    if (e == ERR_OK && !stored)
        e = conflict_row(d->h->model, table, id, record, unit, latest_ms(state), &d->arena,
                         &values);
    if (e != ERR_OK || stored)
        return (int)e;
    return d->fn(d->context, &conflict, values);
}

static int look_at(void *context, const struct uuid *id)
{
    struct derivation *d = context;
    struct store_row row;
    struct record record = {.present = true};
    arena_reset(&d->arena);
    enum err e = store_row_get(d->h->store, d->table, id, &d->arena, &row);
    if (e != ERR_OK || row.dead)
        return e == ERR_NOT_FOUND ? 0 : (int)e;
    record.values = row.values;
    e = version_decode(d->table, row.version, &d->arena, &record.version);
    for (uint16_t i = 0; e == ERR_OK && i < record.version.unit_count; i++) {
        int stop = tell_unit(d, id, &record, &record.version.units[i]);
        if (stop != 0)
            return stop;
    }
    return (int)e;
}

enum err api_provisional(struct satchel *h, const struct model_table *table, api_provisional_fn *fn,
                         void *context)
{
    struct derivation d = {.h = h, .fn = fn, .context = context};
    enum err e = ERR_OK;
    arena_init(&d.arena, API_ARENA_MAX);
    for (uint16_t i = 0; e == ERR_OK && i < h->model->table_count; i++) {
        d.table = &h->model->tables[i];
        if (table == NULL || table == d.table)
            e = store_sqlite_copied(h->store, d.table, look_at, &d, &h->error);
    }
    arena_done(&d.arena);
    return e;
}
