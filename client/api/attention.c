/* Own transactions that headquarters set aside. */
#include "client/api/api_internal.h"

#include <string.h>

struct listing {
    struct satchel *h;
    satchel_parked_fn *fn;
    void *context;
    bool stopped;
};

/* What a mutation writes; of sets what it adds, of counters the difference. */
static enum err mutation_cells(struct satchel *h, const struct mutation *in, struct arena *arena,
                               struct satchel_mutation *ret)
{
    uint16_t columns[MODEL_COLUMNS_MAX];
    struct value values[MODEL_COLUMNS_MAX];
    struct satchel_cell *cells;
    size_t count = 0;
    for (uint16_t i = 0; i < in->write_count; i++) {
        const struct unit_write *write = &in->writes[i];
        for (uint16_t k = 0; k < write->unit->column_count; k++) {
            columns[count] = write->unit->columns[k];
            values[count] = write->values != NULL ? write->values[k] : value_null();
            if (write->values == NULL && write->add_count > 0)
                values[count] = value_text(write->adds[0]);
            count++;
        }
    }
    enum err e = api_cells(h, in->table, columns, values, count, arena, &cells);
    if (e == ERR_OK) {
        ret->cells = cells;
        ret->cell_count = count;
    }
    return e;
}

/* The record's name here, or in the insert itself. */
static enum err mutation_title(struct satchel *h, const struct mutation *in, struct arena *arena,
                               struct satchel_mutation *ret)
{
    enum err e = api_title_of(h, in->table, &in->id, arena, &ret->title);
    for (size_t i = 0; e == ERR_OK && in->op == MUTATION_INSERT && i < ret->cell_count; i++)
        if (ret->cells[i].column->index == in->table->title_column && ret->cells[i].text[0] != '\0')
            ret->title = ret->cells[i].text;
    return e;
}

static enum err give(struct listing *l, const struct parked_group *in, struct arena *arena)
{
    uint32_t count = in->group.mutation_count;
    struct satchel_mutation *mutations = arena_calloc(arena, count + (size_t)1, sizeof *mutations);
    const char *detail = arena_text(arena, in->detail);
    enum err e = mutations != NULL && detail != NULL ? ERR_OK : ERR_NOMEM;
    for (uint32_t i = 0; e == ERR_OK && i < count; i++) {
        const struct mutation *mutation = &in->group.mutations[i];
        mutations[i].op = (enum satchel_mutation_op)mutation->op;
        mutations[i].table = api_public_table(l->h, mutation->table);
        mutations[i].id = api_id(&mutation->id);
        e = mutation_cells(l->h, mutation, arena, &mutations[i]);
        if (e == ERR_OK)
            e = mutation_title(l->h, mutation, arena, &mutations[i]);
    }
    if (e != ERR_OK)
        return e;
    const struct satchel_parked parked = {.oseq = in->dot.oseq,
                                          .at_ms = in->at_ms,
                                          .reason = reason_name(in->reason),
                                          .reason_text = reason_text(in->reason),
                                          .detail = detail,
                                          .mutations = mutations,
                                          .mutation_count = count};
    l->stopped = l->fn(l->context, &parked) != 0;
    return ERR_OK;
}

static enum err give_parked(void *context, const struct parked_group *parked)
{
    struct listing *l = context;
    struct arena arena;
    if (l->stopped)
        return ERR_OK;
    arena_init(&arena, API_ARENA_MAX);
    enum err e = give(l, parked, &arena);
    arena_done(&arena);
    return e;
}

enum satchel_code satchel_parked(struct satchel *handle, satchel_parked_fn *fn, void *context)
{
    struct listing l = {.h = handle, .fn = fn, .context = context};
    enum err e = api_start(handle);
    if (e == ERR_OK && handle->reading > 0)
        e = err_set(&handle->error, ERR_INVALID, "not within a callback of a reading function");
    if (e != ERR_OK)
        return api_end(handle, e);
    /* The replica opens the read transaction: what is asked meanwhile takes part in it. */
    handle->reading++;
    api_sync_hold(handle, 1);
    e = replica_parked(handle->replica, give_parked, &l);
    api_sync_hold(handle, -1);
    handle->reading--;
    return api_end(handle, e);
}

enum satchel_code satchel_parked_retry(struct satchel *handle, uint64_t oseq)
{
    bool own;
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = api_write_begin(handle, &own);
    if (e != ERR_OK)
        return api_end(handle, e);
    e = replica_parked_retry(handle->replica, oseq, clock_wall(&handle->clock).ms, &handle->error);
    return api_end(handle, api_write_end(handle, own, e));
}

enum satchel_code satchel_parked_discard(struct satchel *handle, uint64_t oseq)
{
    enum err e = api_start(handle);
    if (e == ERR_OK && handle->read_only)
        e = err_set(&handle->error, ERR_FORBIDDEN, "this handle was opened for reading only");
    if (e == ERR_OK && (handle->transaction || handle->reading > 0))
        e = err_set(&handle->error, ERR_INVALID, "not within a transaction or a callback");
    if (e == ERR_OK)
        e = replica_parked_discard(handle->replica, oseq, &handle->error);
    if (e == ERR_OK)
        api_sync_changed(handle);
    return api_end(handle, e);
}
