/* judging_causes.c - whether all that a group names is in effect: causes come before effects.
 *
 * Model:      a group that names a dot which is not decided, or was set aside, waits for it. One that has waited
 *             until the horizon is decided without (author->lapsed): what it names and is not there counts as
 *             superseded by it, and is noted (GIVEN_UP); the group that comes with such a dot after all is late, and
 *             is set aside for a person. Only a record that it writes to cannot be done without.
 * Source:     SPEC.md 11.2, 13.5; DESIGN.md 5. */
#include "server/core/judging.h"

/* From now on what comes under this dot is late: others have been decided as if they had seen it. */
static enum err do_without(struct judging *j, const struct dot *dot)
{
    struct hub *hub = j->hub;
    uint8_t key[20], at[8];
    struct bytes known;
    j->incomplete = true;
    key_origin(dot->origin, dot->oseq, key);
    be32_put(key + 16, dot->tag);
    be64_put(at, (uint64_t)hub->now.wall.ms);
    enum err e =
        store_side_get(hub->store, SIDE_GIVEN_UP, bytes_of(key, sizeof key), &hub->turn, &known);
    if (e != ERR_NOT_FOUND)
        return e;
    hub->given_up_count++;
    return store_side_put(hub->store, SIDE_GIVEN_UP, bytes_of(key, sizeof key),
                          bytes_of(at, sizeof at));
}

/* Whether the group was given up before it came. */
enum err judging_late(struct judging *j)
{
    const struct dot *dot = &j->group->dot;
    uint8_t key[20];
    struct bytes at;
    if (j->hub->given_up_count == 0)
        return ERR_OK;
    key_origin(dot->origin, dot->oseq, key);
    be32_put(key + 16, dot->tag);
    enum err e =
        store_side_get(j->hub->store, SIDE_GIVEN_UP, bytes_of(key, sizeof key), &j->hub->turn, &at);
    if (e == ERR_OK)
        refuse(j, REASON_LATE, NULL, NULL, NULL);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* needed: there is nothing to write to without it. */
static enum err check_dot(struct judging *j, const struct dot *dot, bool needed)
{
    if (dot_is_none(dot) || !dot_is_none(&j->missing) || j->reason != REASON_NONE)
        return ERR_OK;
    enum err e = dot_in_effect(j->hub, dot);
    if (e == ERR_NOT_FOUND && j->author->lapsed && !needed)
        return do_without(j, dot);
    if (e == ERR_NOT_FOUND && j->author->lapsed) {
        refuse(j, REASON_LAPSED, NULL, NULL, NULL);
        return ERR_OK;
    }
    if (e == ERR_NOT_FOUND) {
        j->missing = *dot;
        return ERR_OK;
    }
    if (e == ERR_FORBIDDEN) {
        refuse(j, REASON_DEPENDS, NULL, NULL, NULL);
        return ERR_OK;
    }
    return e;
}

static enum err check_set(struct judging *j, struct dot_set set)
{
    enum err e = ERR_OK;
    for (uint16_t i = 0; e == ERR_OK && i < set.count; i++)
        e = check_dot(j, &set.dots[i], false);
    return e;
}

/* A reference to a record that a parked group inserts: wait with it. */
static enum err check_reference(struct judging *j, const struct value *value)
{
    if (j->hub->parked_count == 0 || value->kind != VALUE_BLOB || value->as.bytes.size != 16)
        return ERR_OK;
    struct dot by = j->missing;
    enum err e = parked_insert_find(j->hub, value->as.bytes.data, &by);
    if (e != ERR_OK || dot_equal(&by, &j->missing))
        return e;
    if (j->author->lapsed)
        refuse(j, REASON_LAPSED, NULL, NULL, NULL);
    else
        j->missing = by;
    return ERR_OK;
}

enum err judging_causes(struct judging *j)
{
    enum err e = ERR_OK;
    for (uint32_t m = 0; e == ERR_OK && m < j->group->mutation_count; m++) {
        const struct mutation *mutation = &j->group->mutations[m];
        e = check_dot(j, &mutation->insert, true);
        if (e == ERR_OK)
            e = check_set(j, mutation->deletes);
        for (uint16_t i = 0; e == ERR_OK && i < mutation->frontier_count; i++)
            e = check_set(j, mutation->frontier[i].seen);
        for (uint16_t i = 0; e == ERR_OK && i < mutation->write_count; i++) {
            const struct unit_write *write = &mutation->writes[i];
            e = check_set(j, write->seen);
            for (uint32_t k = 0; e == ERR_OK && k < write->remove_count; k++)
                e = check_dot(j, &write->removes[k].dot, false);
            for (uint16_t k = 0; e == ERR_OK && write->values && k < write->unit->column_count; k++)
                if (mutation->table->columns[write->unit->columns[k]].type == COLUMN_REFERENCE)
                    e = check_reference(j, &write->values[k]);
        }
    }
    return e;
}
