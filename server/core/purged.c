/* purged.c - writes to records that were purged: a device was away for longer than the horizon.
 *
 * Model:      a group names only what is in effect here, so a record that it writes to and that is not there was
 *             there once, or is there anew under another insert. Its delete does nothing more. An update of a record
 *             whose deletes win is told of in a conflict record, and the rest of the group counts. Any other write, a
 *             restore among them, parks the group: its author's device has the record that it saw, and can bring it back.
 *             An insert beneath such a record names no dot of it: what is known of the record is its departure,
 *             or the age that its id (UUIDv7) tells; one from within the horizon may only be on its way.
 * Source:     SPEC.md 13.4; DESIGN.md 9. */
#include "server/core/hub_internal.h"

#include <string.h>

static enum err is_there(struct hub *hub, const struct mutation *mutation, bool *ret)
{
    struct store_row row;
    struct version_head head;
    enum err e = store_row_get(hub->store, mutation->table, &mutation->id, &hub->turn, &row);
    *ret = false;
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK && version_peek(row.version, &head) != ERR_OK)
        e = ERR_CORRUPT;
    *ret = e == ERR_OK && dot_equal(&head.insert, &mutation->insert);
    return e;
}

enum err purged_look(struct hub *hub, struct group *group, struct purged_writes *ret)
{
    struct mutation *kept = arena_calloc(&hub->turn, group->mutation_count, sizeof *kept);
    struct purged_writes writes = {
        .lost = arena_calloc(&hub->turn, group->mutation_count, sizeof *writes.lost)};
    uint32_t count = 0;
    enum err e = kept && writes.lost ? ERR_OK : ERR_NOMEM;
    for (uint32_t m = 0; e == ERR_OK && m < group->mutation_count && !writes.refused; m++) {
        const struct mutation *mutation = &group->mutations[m];
        bool there = mutation->op == MUTATION_INSERT;
        if (!there)
            e = is_there(hub, mutation, &there);
        if (e != ERR_OK)
            break;
        if (there)
            kept[count++] = *mutation;
        else if (mutation->op == MUTATION_DELETE)
            continue;
        else if (mutation->table->delete_policy == DELETE_WINS && mutation->op == MUTATION_UPDATE)
            writes.lost[writes.lost_count++] = mutation;
        else
            writes.refused = mutation;
    }
    if (e != ERR_OK)
        return e;
    writes.trimmed = true;
    group->mutations = kept;
    group->mutation_count = count;
    *ret = writes;
    return ERR_OK;
}

/* ---- what was lost ---- */

/* The record as the write alone would have it. */
static enum err written(struct hub *hub, const struct mutation *mutation, const struct dot *dot,
                        uint64_t stamp, struct record *ret)
{
    const struct model_table *table = mutation->table;
    struct value *values = arena_calloc(&hub->turn, table->column_count, sizeof *values);
    struct unit_state *units = arena_calloc(&hub->turn, mutation->write_count + 1u, sizeof *units);
    struct candidate *candidates =
        arena_calloc(&hub->turn, mutation->write_count + 1u, sizeof *candidates);
    if (!values || !units || !candidates)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < mutation->write_count; i++) {
        const struct unit_write *write = &mutation->writes[i];
        candidates[i] = (struct candidate){.dot = *dot, .stamp = stamp};
        units[i] = (struct unit_state){
            .unit = write->unit->index, .count = 1, .candidates = &candidates[i]};
        for (uint16_t k = 0; write->values && k < write->unit->column_count; k++)
            values[write->unit->columns[k]] = write->values[k];
        struct set_pair *pairs = arena_calloc(&hub->turn, write->add_count + 1u, sizeof *pairs);
        struct bytes text;
        if (!pairs)
            return ERR_NOMEM;
        for (uint32_t k = 0; k < write->add_count; k++)
            pairs[k].element = write->adds[k];
        enum err e = write->unit->policy == MERGE_SET
                         ? merge_set_shown(pairs, write->add_count, &hub->turn, &text)
                         : ERR_OK;
        if (e != ERR_OK)
            return e;
        if (write->unit->policy == MERGE_SET)
            values[write->unit->columns[0]] = value_text(text);
    }
    *ret = (struct record){.present = true, .dead = true, .values = values};
    ret->version = (struct version){
        .insert = mutation->insert, .units = units, .unit_count = mutation->write_count};
    return ERR_OK;
}

enum err purged_tell(struct hub *hub, const struct purged_writes *writes, const struct uuid *author,
                     const struct dot *dot, uint64_t stamp)
{
    static const struct dot no_dot;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < writes->lost_count; i++) {
        const struct mutation *mutation = writes->lost[i];
        struct record record;
        struct uuid id;
        struct value *values;
        struct bucket *bucket;
        e = written(hub, mutation, dot, stamp, &record);
        if (e == ERR_OK)
            e = conflict_id(hub->config.crypto, mutation->table, &mutation->id, NULL,
                            (struct dot_set){dot, 1}, &id);
        if (e == ERR_OK)
            e = conflict_delete_row(hub->model, mutation->table, &mutation->id, &record, &no_dot, 0,
                                    hub->now.wall.ms, &hub->turn, &values);
        if (e == ERR_OK)
            e = bucket_get(hub, BUCKET_KIND_USER, author, &bucket);
        if (e == ERR_OK)
            e = conflict_put_into(hub, &id, values, bucket->number);
    }
    return e;
}

/* ---- parents ---- */

enum err purged_parent(struct hub *hub, const struct model_table *table, const struct uuid *id,
                       bool *ret)
{
    int64_t horizon_ms = purge_horizon_ms(hub), made_ms = 0;
    enum err e = move_was_purged(hub, table, id, ret);
    if (e != ERR_OK || *ret || horizon_ms <= 0)
        return e;
    for (int i = 0; i < 6; i++)
        made_ms = made_ms << 8 | id->byte[i];
    *ret = id->byte[6] >> 4 == 7 && made_ms < hub->now.wall.ms - horizon_ms;
    return ERR_OK;
}
