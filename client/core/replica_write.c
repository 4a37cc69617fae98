/* replica_write.c - local transactions: the view changes at once, the group is made at the commit.
 *
 * Invariant:  a write's dot is known from the beginning of the transaction, as the view's versions name
 *             it; view rows, base copies and the group in the outbox are one store transaction. */
#include "client/core/replica_internal.h"
#include "common/set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool replica_in_transaction(const struct replica *r)
{
    return r->writing;
}

enum err replica_begin(struct replica *r, int64_t wall_ms)
{
    assert(!r->writing);
    uint32_t tag;
    enum err e = rng_u32(r->config.rng, &tag);
    if (e == ERR_OK)
        e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    r->writing = true;
    r->dot = (struct dot){r->origin, r->last_oseq + 1, tag};
    r->stamp = hlc_next(r->hlc, wall_ms);
    r->mutation_count = 0;
    return ERR_OK;
}

void replica_rollback(struct replica *r)
{
    if (r->writing)
        replica_abort(r);
}

enum err write_mutation(struct replica *r, const struct model_table *table, enum mutation_op op,
                        const struct uuid *id, struct mutation **ret, struct err_info *info)
{
    if (r->mutation_count >= GROUP_MUTATIONS_MAX)
        return err_set(info, ERR_LIMIT, "the transaction has too many changes");
    if (r->mutation_count == r->mutation_capacity) {
        uint32_t capacity = r->mutation_capacity ? r->mutation_capacity * 2 : 1024;
        struct mutation *grown = realloc(r->mutations, capacity * sizeof *grown);
        if (!grown)
            return err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
        r->mutations = grown;
        r->mutation_capacity = capacity;
    }
    *ret = &r->mutations[r->mutation_count++];
    **ret = (struct mutation){.table = table, .op = op, .id = *id};
    return ERR_OK;
}

/* ---- checking ---- */

enum err write_check_table(const struct model_table *table, struct err_info *info)
{
    if (table->write_role == ROLE_SERVER)
        return err_set(info, ERR_FORBIDDEN, "records of '%s' are written by the server alone",
                       table->name);
    return ERR_OK;
}

static enum err check_values(const struct model_table *table, const uint16_t *columns,
                             const struct value *values, uint16_t count, struct err_info *info)
{
    for (uint16_t i = 0; i < count; i++) {
        enum err e = model_check_value(&table->columns[columns[i]], &values[i], info);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err check_required(const struct model_table *table, const struct value *row,
                               struct err_info *info)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct model_column *column = &table->columns[i];
        bool empty =
            row[i].kind == VALUE_NULL || (row[i].kind == VALUE_TEXT && row[i].as.bytes.size == 0);
        if (column->required && empty)
            return err_set(info, ERR_TYPE, "%s.%s needs a value", table->name, column->name);
    }
    return ERR_OK;
}

/* ---- insert ---- */

/* Unit writes for the units of which a column is given. */
static enum err insert_writes(struct replica *r, const struct model_table *table,
                              const struct value *row, const bool *given, struct mutation *mutation)
{
    struct unit_write *writes = arena_calloc(&r->arena, table->unit_count, sizeof *writes);
    if (!writes)
        return ERR_NOMEM;
    for (uint16_t u = 0; u < table->unit_count; u++) {
        const struct model_unit *unit = &table->units[u];
        bool any = false;
        for (uint16_t k = 0; k < unit->column_count; k++)
            any |= given[unit->columns[k]];
        if (!any)
            continue;
        struct value *values = arena_alloc(&r->arena, unit->column_count * sizeof *values);
        if (!values)
            return ERR_NOMEM;
        for (uint16_t k = 0; k < unit->column_count; k++)
            values[k] = row[unit->columns[k]];
        writes[mutation->write_count++] = (struct unit_write){.unit = unit, .values = values};
    }
    mutation->writes = writes;
    return ERR_OK;
}

static enum err make_id(struct replica *r, struct uuid *id)
{
    uint8_t random[10];
    if (!uuid_is_nil(id))
        return ERR_OK;
    enum err e = rng_fill(r->config.rng, random, sizeof random);
    if (e == ERR_OK)
        *id = uuid_v7((uint64_t)hlc_ms(r->stamp), random);
    return e;
}

static enum err insert_row(struct replica *r, const struct mutation *mutation, struct value *values)
{
    const struct model_table *table = mutation->table;
    struct record record = {0};
    struct merge_result result;
    enum err e =
        merge_into(r, mutation, &r->dot, r->stamp, MERGE_SHOW, &r->arena, &record, &result);
    if (e != ERR_OK)
        return e;
    record.version.revision = 1;
    record.values = record.values ? record.values : values;
    struct store_row row = {0};
    if (record.version.unit_count == 0) {
        uint8_t raw[VERSION_SIMPLE_MAX];
        row = (struct store_row){.values = record.values,
                                 .version =
                                     bytes_of(raw, version_encode_simple(&record.version, raw))};
        row.bucket = route_bucket(r, table, record.values);
        return store_row_insert(r->store, table, &mutation->id, &row);
    }
    e = row_from_record(r, table, &record, &r->arena, &row);
    row.bucket = route_bucket(r, table, record.values);
    return e == ERR_OK ? store_row_insert(r->store, table, &mutation->id, &row) : e;
}

enum err replica_insert(struct replica *r, const struct model_table *table, struct uuid *id,
                        const uint16_t *columns, const struct value *values, uint16_t count,
                        struct err_info *info)
{
    assert(r->writing);
    enum err e = write_check_table(table, info);
    if (e == ERR_OK)
        e = check_values(table, columns, values, count, info);
    if (e != ERR_OK)
        return e;
    bool given[MODEL_COLUMNS_MAX] = {false};
    struct value *row = arena_alloc(&r->arena, table->column_count * sizeof *row);
    if (!row)
        return err_set(info, ERR_NOMEM, "out of memory");
    for (uint16_t i = 0; i < table->column_count; i++)
        row[i] = table->columns[i].fallback;
    for (uint16_t i = 0; i < count; i++) {
        given[columns[i]] = true;
        e = value_copy(&r->arena, &values[i], &row[columns[i]]);
        if (e != ERR_OK)
            return err_set(info, e, "%s", err_text(e));
    }
    e = check_required(table, row, info);
    if (e != ERR_OK)
        return e;
    e = make_id(r, id);
    if (e != ERR_OK)
        return err_set(info, e, "%s", err_text(e));
    struct mutation *mutation;
    e = write_mutation(r, table, MUTATION_INSERT, id, &mutation, info);
    if (e != ERR_OK)
        return e;
    e = insert_writes(r, table, row, given, mutation);
    if (e == ERR_OK)
        e = insert_row(r, mutation, row);
    if (e == ERR_EXISTS)
        r->mutation_count--;
    return e == ERR_OK ? e : err_set(info, e, "%s: %s", table->name, err_text(e));
}

/* ---- update ---- */

/* The elements of a set column's JSON text. What is stored, and what was checked, has the one form. (A reader of
 * any JSON is more than is needed, and libjansson's crashes when memory fails.) */
static enum err set_elements(struct replica *r, const struct value *value, struct bytes **ret,
                             uint32_t *ret_count)
{
    size_t count = 0;
    *ret = NULL;
    *ret_count = 0;
    if (value->kind != VALUE_TEXT)
        return ERR_OK;
    enum err e = set_parse(value->as.bytes, &r->arena, ret, &count);
    *ret_count = (uint32_t)count;
    return e;
}

static bool has_element(const struct bytes *elements, uint32_t count, struct bytes element)
{
    for (uint32_t i = 0; i < count; i++)
        if (bytes_equal(elements[i], element))
            return true;
    return false;
}

/* What a set's new value adds to and removes from what is there. */
static enum err set_difference(struct replica *r, const struct record *record,
                               const struct model_unit *unit, const struct value *wanted,
                               struct unit_write *write)
{
    struct bytes *before, *after;
    uint32_t before_count, after_count;
    enum err e = set_elements(r, &record->values[unit->columns[0]], &before, &before_count);
    if (e == ERR_OK)
        e = set_elements(r, wanted, &after, &after_count);
    if (e != ERR_OK)
        return e;
    const struct unit_state *state = version_unit(&record->version, unit->index);
    uint32_t pairs = state ? state->pair_count : before_count;
    struct bytes *adds = arena_calloc(&r->arena, after_count + 1u, sizeof *adds);
    struct set_pair *removes = arena_calloc(&r->arena, pairs + 1u, sizeof *removes);
    if (!adds || !removes)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < after_count; i++)
        if (!has_element(before, before_count, after[i]))
            adds[write->add_count++] = after[i];
    for (uint32_t i = 0; i < pairs; i++) {
        struct set_pair pair =
            state ? state->pairs[i] : (struct set_pair){before[i], record->version.insert};
        if (!has_element(after, after_count, pair.element))
            removes[write->remove_count++] = pair;
    }
    write->adds = adds;
    write->removes = removes;
    return ERR_OK;
}

static enum err counter_delta(struct replica *r, const struct value *before,
                              const struct value *after, struct unit_write *write)
{
    struct value *delta = arena_alloc(&r->arena, sizeof *delta);
    if (!delta)
        return ERR_NOMEM;
    if (after->kind == VALUE_REAL || before->kind == VALUE_REAL) {
        double from = before->kind == VALUE_REAL  ? before->as.real
                      : before->kind == VALUE_INT ? (double)before->as.integer
                                                  : 0;
        double to = after->kind == VALUE_REAL ? after->as.real : (double)after->as.integer;
        *delta = value_real(to - from);
    } else {
        int64_t from = before->kind == VALUE_INT ? before->as.integer : 0, difference;
        int64_t to = after->kind == VALUE_INT ? after->as.integer : 0;
        if (__builtin_sub_overflow(to, from, &difference))
            return ERR_LIMIT;
        *delta = value_int(difference);
    }
    write->values = delta;
    return ERR_OK;
}

static enum err check_transition(const struct model_table *table, const struct model_unit *unit,
                                 const struct value *from, const struct value *to,
                                 struct err_info *info)
{
    const struct model_column *column = &table->columns[unit->columns[0]];
    if (unit->policy != MERGE_FSM || value_equal(from, to) || from->kind != VALUE_TEXT ||
        to->kind != VALUE_TEXT)
        return ERR_OK;
    for (uint16_t i = 0; i < unit->transition_count; i++)
        if (bytes_equal(bytes_of_text(column->symbols[unit->transitions[i].from]),
                        from->as.bytes) &&
            bytes_equal(bytes_of_text(column->symbols[unit->transitions[i].to]), to->as.bytes))
            return ERR_OK;
    return err_set(info, ERR_INVALID, "%s.%s cannot go from '%.*s' to '%.*s'", table->name,
                   column->name, (int)from->as.bytes.size, (const char *)from->as.bytes.data,
                   (int)to->as.bytes.size, (const char *)to->as.bytes.data);
}

/* Fills the write of one unit. row: the whole row as wanted. */
static enum err unit_update(struct replica *r, const struct model_table *table,
                            const struct record *record, const struct model_unit *unit,
                            const struct value *row, struct unit_write *write,
                            struct err_info *info)
{
    write->unit = unit;
    if (version_unit(&record->version, unit->index)) {
        struct dot *dots = arena_calloc(&r->arena, FRONTIER_MAX, sizeof *dots);
        if (!dots)
            return ERR_NOMEM;
        write->seen = version_frontier(&record->version, unit->index, dots);
    }
    if (unit->policy == MERGE_SET)
        return set_difference(r, record, unit, &row[unit->columns[0]], write);
    if (unit->policy == MERGE_COUNTER)
        return counter_delta(r, &record->values[unit->columns[0]], &row[unit->columns[0]], write);
    if (unit->policy == MERGE_APPEND)
        return err_set(info, ERR_FORBIDDEN, "%s.%s is never changed once it is written",
                       table->name, unit->name);
    enum err e = check_transition(table, unit, &record->values[unit->columns[0]],
                                  &row[unit->columns[0]], info);
    struct value *values = arena_alloc(&r->arena, unit->column_count * sizeof *values);
    struct value *base = arena_alloc(&r->arena, unit->column_count * sizeof *base);
    if (e != ERR_OK || !values || !base)
        return e != ERR_OK ? e : ERR_NOMEM;
    for (uint16_t k = 0; k < unit->column_count; k++) {
        values[k] = row[unit->columns[k]];
        base[k] = record->values[unit->columns[k]];
    }
    write->values = values;
    write->base = unit->carries_base ? base : NULL;
    return ERR_OK;
}

/* Whether the unit has to be written: a value changes, or there are candidates to settle. */
static bool unit_changes(const struct record *record, const struct model_unit *unit,
                         const struct value *row, const bool *given, bool settle)
{
    bool changes = false, named = false;
    for (uint16_t k = 0; k < unit->column_count; k++) {
        uint16_t column = unit->columns[k];
        named |= given[column];
        changes |= given[column] && !value_equal(&row[column], &record->values[column]);
    }
    const struct unit_state *state = version_unit(&record->version, unit->index);
    return changes || (settle && named && state && state->count > 1);
}

/* Elements that this very transaction added have no dot yet for the group (group_normalise). */
static void forget_own_pairs(struct replica *r, struct unit_write *writes, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        struct set_pair *removes =
            (struct set_pair *)(uintptr_t)writes[i].removes; /* our arena's */
        for (uint32_t k = 0; k < writes[i].remove_count; k++)
            if (dot_equal(&removes[k].dot, &r->dot))
                removes[k].dot = (struct dot){0};
    }
}

enum err write_view(struct replica *r, const struct mutation *mutation, const struct store_row *old,
                    struct record *record, struct err_info *info)
{
    const struct model_table *table = mutation->table;
    struct merge_result result;
    enum err e = base_touch(r, table, &mutation->id, old, &r->dot);
    struct value *copy = arena_alloc(&r->arena, table->column_count * sizeof *copy);
    if (!copy)
        e = ERR_NOMEM;
    if (e != ERR_OK)
        return e;
    memcpy(copy, record->values, table->column_count * sizeof *copy);
    record->values = copy;
    e = merge_into(r, mutation, &r->dot, r->stamp, MERGE_SHOW, &r->arena, record, &result);
    if (e != ERR_OK)
        return e;
    if (result.reason != REASON_NONE)
        return err_set(info, ERR_FORBIDDEN, "%s: %s", table->name, reason_text(result.reason));
    struct store_row row = {0};
    e = row_from_record(r, table, record, &r->arena, &row);
    row.bucket = old->bucket;
    row.position = old->position;
    return e == ERR_OK ? store_row_put(r->store, table, &mutation->id, &row) : e;
}

enum err shown_row(struct replica *r, const struct model_table *table, const struct uuid *id,
                   struct arena *arena, struct store_row *ret)
{
    enum err e = store_row_get(r->store, table, id, arena, ret);
    return e == ERR_OK && !r->bootstrapped && ret->position > 0 ? ERR_NOT_FOUND : e;
}

enum err write_read(struct replica *r, const struct model_table *table, const struct uuid *id,
                    bool dead, struct store_row *ret_row, struct record *ret, struct err_info *info)
{
    enum err e = shown_row(r, table, id, &r->arena, ret_row);
    if (e == ERR_OK)
        e = record_from_row(table, ret_row, &r->arena, ret);
    if (e == ERR_OK && ret->dead != dead)
        e = ERR_NOT_FOUND;
    if (e == ERR_NOT_FOUND)
        return err_set(info, e,
                       dead ? "there is no deleted %s with this id" : "there is no %s with this id",
                       table->name);
    return e == ERR_OK ? e : err_set(info, e, "%s", err_text(e));
}

enum err replica_update(struct replica *r, const struct model_table *table, const struct uuid *id,
                        const uint16_t *columns, const struct value *values, uint16_t count,
                        bool settle, struct err_info *info)
{
    assert(r->writing);
    struct store_row old;
    struct record record;
    enum err e = write_check_table(table, info);
    if (e == ERR_OK)
        e = check_values(table, columns, values, count, info);
    if (e == ERR_OK)
        e = write_read(r, table, id, false, &old, &record, info);
    if (e != ERR_OK)
        return e;
    bool given[MODEL_COLUMNS_MAX] = {false};
    struct value *row = arena_alloc(&r->arena, table->column_count * sizeof *row);
    struct unit_write *writes = arena_calloc(&r->arena, table->unit_count, sizeof *writes);
    if (!row || !writes)
        return err_set(info, ERR_NOMEM, "out of memory");
    memcpy(row, record.values, table->column_count * sizeof *row);
    for (uint16_t i = 0; e == ERR_OK && i < count; i++) {
        given[columns[i]] = true;
        e = value_copy(&r->arena, &values[i], &row[columns[i]]);
    }
    if (e == ERR_OK)
        e = check_required(table, row, info);
    uint16_t write_count = 0;
    for (uint16_t u = 0; e == ERR_OK && u < table->unit_count; u++)
        if (unit_changes(&record, &table->units[u], row, given, settle))
            e = unit_update(r, table, &record, &table->units[u], row, &writes[write_count++], info);
    if (e != ERR_OK || write_count == 0)
        return e;
    struct mutation *mutation;
    e = write_mutation(r, table, MUTATION_UPDATE, id, &mutation, info);
    if (e != ERR_OK)
        return e;
    mutation->insert = record.version.insert;
    mutation->writes = writes;
    mutation->write_count = write_count;
    if (dot_equal(&record.version.insert, &r->dot)) {
        old.values = row; /* made in this very group: its insert gets the new values */
        old.bucket = route_bucket(r, table, row);
        return store_row_put(r->store, table, id, &old);
    }
    e = write_view(r, mutation, &old, &record, info);
    if (e != ERR_OK)
        r->mutation_count--; /* a refused change leaves the others of the transaction */
    forget_own_pairs(r, writes, write_count);
    return e;
}

/* ---- commit ---- */

static enum err put_group(struct replica *r, const struct mutation *mutations, uint32_t count)
{
    const struct group group = {.dot = r->dot,
                                .stamp = r->stamp,
                                .model_version = r->model->version,
                                .mutations = mutations,
                                .mutation_count = count};
    buf_reset(&r->encode);
    enum err e = group_encode(&group, &r->encode);
    uint8_t key[REPLICA_KEY];
    own_key(r->dot.origin, r->dot.oseq, key);
    if (e == ERR_OK)
        e = store_side_put(r->store, SIDE_OUTBOX, bytes_of(key, sizeof key), buf_view(&r->encode));
    r->last_oseq = r->dot.oseq;
    r->hlc = r->stamp;
    return e == ERR_OK ? replica_save(r) : e;
}

static void record_key(const struct mutation *mutation, uint8_t out[18])
{
    be16_put(out, mutation->table->id);
    memcpy(out + 2, mutation->id.byte, 16);
}

/* A record whose changes undid each other is not in the group: its view has to forget the dot. */
static enum err forget_undone(struct replica *r, const struct mutation *kept, uint32_t count)
{
    struct hash_map left;
    uint8_t key[18];
    enum err e = ERR_OK;
    if (count == r->mutation_count)
        return ERR_OK;
    hash_map_init(&left, GROUP_MUTATIONS_MAX, 0);
    for (uint32_t i = 0; e == ERR_OK && i < count; i++) {
        record_key(&kept[i], key);
        e = hash_map_put_number(&left, bytes_of(key, sizeof key), 1);
    }
    for (uint32_t i = 0; e == ERR_OK && i < r->mutation_count; i++) {
        const struct mutation *mutation = &r->mutations[i];
        struct base base;
        record_key(mutation, key);
        if (hash_map_get(&left, bytes_of(key, sizeof key)))
            continue;
        e = base_load(r, mutation->table, &mutation->id, &r->arena, &base);
        if (e == ERR_OK) {
            base_remove_pending(&base, &r->dot);
            e = base_show(r, mutation->table, &mutation->id, &base, &r->arena);
        } else if (e == ERR_NOT_FOUND) {
            e = ERR_OK; /* made and unmade here, or seen to above */
        }
    }
    hash_map_done(&left);
    return e;
}

/* A delete swallows what its own transaction wrote to the record before: the view has to forget that. */
static enum err forget_swallowed(struct replica *r, const struct mutation *kept, uint32_t count)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < count && count < r->mutation_count; i++) {
        struct base base;
        if (kept[i].op != MUTATION_DELETE)
            continue;
        e = base_load(r, kept[i].table, &kept[i].id, &r->arena, &base);
        if (e == ERR_OK)
            e = base_show(r, kept[i].table, &kept[i].id, &base, &r->arena);
    }
    return e;
}

enum err replica_commit(struct replica *r, struct dot *ret_dot)
{
    assert(r->writing);
    const struct mutation *mutations;
    uint32_t count = 0;
    enum err e = group_normalise(r->mutations, r->mutation_count, &r->arena, &mutations, &count);
    if (e == ERR_OK && count == 0 && r->mutation_count > 0) {
        replica_abort(r); /* the changes undid each other: the view keeps no trace of their dot */
        if (ret_dot)
            *ret_dot = (struct dot){0};
        return ERR_OK;
    }
    if (e == ERR_OK && count > 0)
        e = forget_undone(r, mutations, count);
    if (e == ERR_OK && count > 0)
        e = put_group(r, mutations, count);
    if (e == ERR_OK)
        e = forget_swallowed(r, mutations, count);
    e = replica_leave(r, e);
    if (e != ERR_OK)
        return e;
    r->writing = false;
    r->mutation_count = 0;
    arena_reset(&r->arena);
    if (ret_dot)
        *ret_dot = count ? r->dot : (struct dot){0};
    r->outbox_count += count > 0;
    return ERR_OK;
}
