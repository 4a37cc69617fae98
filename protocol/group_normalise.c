/* group_normalise.c - what becomes of the writes of one transaction when it closes. Declared in group.h. */
#include "protocol/group.h"

#include "common/set.h"
#include "protocol/record_map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* All that the transaction did to one record. */
struct touched {
    struct record_node node; /* first */
    uint32_t first, last;    /* its mutations; `next` of the run leads on */
    bool several;
};

/* The net write of one unit. */
struct slot {
    struct unit_write write;
    bool used;
    struct bytes *adds; /* MERGE_SET: also what an insert holds */
    uint32_t add_count, add_room;
    struct set_pair *removes;
    uint32_t remove_count, remove_room;
};

/* One record, mutation by mutation. */
struct folding {
    struct arena *arena;
    const struct model_table *table;
    struct slot *slots; /* table->unit_count */
    bool inserted, restored, deleted;
    struct dot_set deletes;             /* of the restore */
    const struct mutation *delete_made; /* the DELETE */
};

/* --- Units ------------------------------------------------------------------------------------ */

/* Room for one more element of *size bytes in an array of the arena. */
static enum err grow(struct arena *arena, void **array, uint32_t count, uint32_t *room, size_t size)
{
    uint32_t more = *room == 0 ? 8 : *room * 2;
    void *larger;

    if (count < *room)
        return ERR_OK;
    larger = arena_alloc(arena, more * size);
    if (larger == NULL)
        return ERR_NOMEM;
    if (count > 0)
        memcpy(larger, *array, count * size);
    *array = larger;
    *room = more;
    return ERR_OK;
}

static enum err add_element(struct arena *arena, struct slot *slot, struct bytes element)
{
    void *array = slot->adds;
    enum err error = grow(arena, &array, slot->add_count, &slot->add_room, sizeof(*slot->adds));

    slot->adds = array;
    if (error == ERR_OK)
        slot->adds[slot->add_count++] = element;
    return error;
}

static void drop_element(struct slot *slot, struct bytes element)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < slot->add_count; i++) {
        if (!bytes_equal(slot->adds[i], element))
            slot->adds[kept++] = slot->adds[i];
    }
    slot->add_count = kept;
}

static enum err add_remove(struct arena *arena, struct slot *slot, const struct set_pair *pair)
{
    void *array = slot->removes;
    enum err error;

    if (dot_is_none(&pair->dot))
        return ERR_OK; /* it was added by this transaction */
    error = grow(arena, &array, slot->remove_count, &slot->remove_room, sizeof(*slot->removes));
    slot->removes = array;
    if (error == ERR_OK)
        slot->removes[slot->remove_count++] = *pair;
    return error;
}

/* The elements that a record starts with. */
static enum err start_set(struct arena *arena, struct slot *slot, const struct value *value)
{
    struct bytes *elements;
    size_t count;
    enum err error;

    if (value->kind != VALUE_TEXT)
        return ERR_OK;
    error = set_parse(value->as.bytes, arena, &elements, &count);
    if (error != ERR_OK)
        return error == ERR_NOMEM ? error : ERR_INVALID;
    for (size_t i = 0; error == ERR_OK && i < count; i++)
        error = add_element(arena, slot, elements[i]);
    return error;
}

static enum err fold_set(struct folding *f, struct slot *slot, const struct unit_write *write)
{
    enum err error = ERR_OK;

    for (uint32_t i = 0; error == ERR_OK && i < write->remove_count; i++) {
        drop_element(slot, write->removes[i].element);
        if (!f->inserted)
            error = add_remove(f->arena, slot, &write->removes[i]);
    }
    for (uint32_t i = 0; error == ERR_OK && i < write->add_count; i++)
        error = add_element(f->arena, slot, write->adds[i]);
    return error;
}

static enum err fold_counter(struct folding *f, struct slot *slot, const struct unit_write *write)
{
    const struct value *old = slot->write.values, *delta = write->values;
    struct value *sum = arena_alloc(f->arena, sizeof(*sum));

    if (sum == NULL)
        return ERR_NOMEM;
    if (old->kind == VALUE_NULL)
        *sum = *delta;
    else if (delta->kind == VALUE_INT)
        *sum = value_int((int64_t)((uint64_t)old->as.integer + (uint64_t)delta->as.integer));
    else
        *sum = value_real(old->as.real + delta->as.real);
    assert(old->kind == VALUE_NULL || old->kind == delta->kind); /* the column's */
    slot->write.values = sum;
    return ERR_OK;
}

/* A unit that is touched for the first time: frontier and base are those before the transaction, and
 * a record made in it has neither. */
static enum err start_slot(struct folding *f, struct slot *slot, const struct unit_write *write)
{
    const struct model_unit *unit = write->unit;

    *slot = (struct slot){.used = true, .write = {.unit = unit}};
    if (!f->inserted) {
        slot->write.seen = write->seen;
        slot->write.base = write->base;
        return ERR_OK;
    }
    if (unit->policy == MERGE_SET)
        return start_set(f->arena, slot, &f->table->columns[unit->columns[0]].fallback);
    if (unit->policy == MERGE_COUNTER)
        slot->write.values = &f->table->columns[unit->columns[0]].fallback;
    return ERR_OK;
}

static enum err fold_write(struct folding *f, const struct unit_write *write)
{
    struct slot *slot = &f->slots[write->unit->index];
    enum err error = ERR_OK;

    if (!slot->used)
        error = start_slot(f, slot, write);
    if (error != ERR_OK)
        return error;
    if (write->unit->policy == MERGE_SET)
        return fold_set(f, slot, write);
    if (write->unit->policy == MERGE_COUNTER && slot->write.values != NULL)
        return fold_counter(f, slot, write);
    slot->write.values = write->values;
    return ERR_OK;
}

static enum err fold_insert(struct folding *f, const struct mutation *mutation)
{
    enum err error = ERR_OK;

    memset(f->slots, 0, f->table->unit_count * sizeof(*f->slots));
    f->inserted = true;
    f->deleted = false;
    for (uint16_t i = 0; error == ERR_OK && i < mutation->write_count; i++) {
        const struct unit_write *write = &mutation->writes[i];
        struct slot *slot = &f->slots[write->unit->index];

        *slot = (struct slot){.used = true, .write = {.unit = write->unit}};
        slot->write.values = write->values;
        if (write->unit->policy == MERGE_SET)
            error = start_set(f->arena, slot, write->values);
    }
    return error;
}

/* --- A record --------------------------------------------------------------------------------- */

static enum err fold(struct folding *f, const struct mutation *mutation, bool first)
{
    bool gone = f->inserted && f->deleted;
    enum err error = ERR_OK;

    switch (mutation->op) {
    case MUTATION_INSERT: return first || gone ? fold_insert(f, mutation) : ERR_INVALID;
    case MUTATION_UPDATE:
        if (f->deleted)
            return ERR_INVALID;
        break;
    case MUTATION_DELETE:
        f->deleted = true;
        f->delete_made = mutation;
        return ERR_OK;
    case MUTATION_RESTORE:
        if (!f->deleted && !f->restored) {
            f->restored = true;
            f->deletes = mutation->deletes;
        }
        f->deleted = false;
        break;
    }
    for (uint16_t i = 0; error == ERR_OK && i < mutation->write_count; i++)
        error = fold_write(f, &mutation->writes[i]);
    return error;
}

static int compare_elements(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;

    return bytes_compare(*x, *y);
}

/* The lists of an update, ascending and without repetitions. */
static void finish_lists(struct slot *slot)
{
    uint32_t adds = 0, removes = 0;

    if (slot->add_count > 1)
        qsort(slot->adds, slot->add_count, sizeof(*slot->adds), compare_elements);
    for (uint32_t i = 0; i < slot->add_count; i++) {
        if (adds == 0 || !bytes_equal(slot->adds[adds - 1], slot->adds[i]))
            slot->adds[adds++] = slot->adds[i];
    }
    if (slot->remove_count > 1)
        qsort(slot->removes, slot->remove_count, sizeof(*slot->removes), set_pair_compare);
    for (uint32_t i = 0; i < slot->remove_count; i++) {
        if (removes == 0 || set_pair_compare(&slot->removes[removes - 1], &slot->removes[i]) != 0)
            slot->removes[removes++] = slot->removes[i];
    }
    slot->write.adds = slot->adds;
    slot->write.add_count = adds;
    slot->write.removes = slot->removes;
    slot->write.remove_count = removes;
}

/* The text of a set that an insert holds. ERR_LIMIT. */
static enum err finish_inserted_set(struct arena *arena, struct slot *slot)
{
    struct value *value = arena_alloc(arena, sizeof(*value));
    struct bytes text;
    struct buf buf;
    enum err error;

    if (value == NULL)
        return ERR_NOMEM;
    if (slot->add_count == 0 && slot->write.values != NULL &&
        slot->write.values->kind == VALUE_NULL)
        return ERR_OK; /* never held anything */
    buf_init(&buf, MODEL_TEXT_MAX);
    error = set_append(slot->adds, slot->add_count, &buf);
    if (error == ERR_OK)
        error = arena_copy(arena, buf_view(&buf), &text);
    buf_done(&buf);
    if (error != ERR_OK)
        return error == ERR_NOMEM ? error : error == ERR_PARSE ? ERR_INVALID : ERR_LIMIT;
    *value = value_text(text);
    slot->write.values = value;
    return ERR_OK;
}

static enum err finish_writes(struct folding *f, struct unit_write **ret_writes,
                              uint16_t *ret_count)
{
    struct unit_write *writes = arena_alloc(f->arena, f->table->unit_count * sizeof(*writes));
    uint16_t count = 0;

    if (writes == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < f->table->unit_count; i++) {
        struct slot *slot = &f->slots[i];
        enum err error = ERR_OK;

        if (!slot->used)
            continue;
        if (slot->write.unit->policy == MERGE_SET && f->inserted)
            error = finish_inserted_set(f->arena, slot);
        else if (slot->write.unit->policy == MERGE_SET)
            finish_lists(slot);
        if (error != ERR_OK)
            return error;
        if (slot->write.unit->policy == MERGE_SET && !f->inserted && slot->write.add_count == 0 &&
            slot->write.remove_count == 0)
            continue; /* added and removed again */
        writes[count++] = slot->write;
    }
    *ret_writes = writes;
    *ret_count = count;
    return ERR_OK;
}

static bool is_insert_alone(struct dot_set seen, const struct dot *insert)
{
    return seen.count == 0 || (seen.count == 1 && dot_equal(&seen.dots[0], insert));
}

/* The frontier map of the delete, with the units that the transaction wrote as they were before. */
static enum err finish_delete(struct folding *f, struct mutation *out)
{
    const struct mutation *made = f->delete_made;
    struct unit_seen *frontier = arena_alloc(f->arena, f->table->unit_count * sizeof(*frontier));
    uint16_t at = 0, count = 0;

    if (frontier == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < f->table->unit_count; i++) {
        struct unit_seen seen = {.unit = i};

        if (at < made->frontier_count && made->frontier[at].unit == i)
            seen = made->frontier[at++];
        if (f->slots[i].used)
            seen.seen = f->slots[i].write.seen;
        if (!is_insert_alone(seen.seen, &made->insert))
            frontier[count++] = seen;
    }
    *out = *made;
    out->frontier = frontier;
    out->frontier_count = count;
    return ERR_OK;
}

/* An UPDATE carries its bases, a RESTORE none. What a restore of a delete of the same transaction was
 * the first to write has no base: the whole is a restore then, if only in name. */
static enum mutation_op choose_op(const struct folding *f, struct unit_write *writes,
                                  uint16_t count)
{
    bool restore = f->restored;

    for (uint16_t i = 0; i < count; i++)
        restore = restore || (writes[i].unit->carries_base && writes[i].base == NULL);
    for (uint16_t i = 0; restore && i < count; i++)
        writes[i].base = NULL;
    return restore ? MUTATION_RESTORE : MUTATION_UPDATE;
}

/* false in *ret_any: nothing is left of it. */
static enum err finish(struct folding *f, const struct mutation *first, struct mutation *out,
                       bool *ret_any)
{
    struct unit_write *writes;
    enum err error;

    *ret_any = !(f->inserted && f->deleted);
    if (f->deleted)
        return f->inserted ? ERR_OK : finish_delete(f, out);
    *out = (struct mutation){.table = f->table, .id = first->id, .op = MUTATION_INSERT};
    error = finish_writes(f, &writes, &out->write_count);
    if (error != ERR_OK)
        return error;
    out->writes = writes;
    if (f->inserted)
        return ERR_OK;
    out->insert = first->insert;
    out->deletes = f->deletes;
    out->op = choose_op(f, writes, out->write_count);
    *ret_any = f->restored || out->write_count > 0;
    return ERR_OK;
}

static enum err fold_all(const struct mutation *in, const uint32_t *next,
                         const struct touched *touched, struct arena *arena, struct mutation *out,
                         bool *ret_any)
{
    const struct mutation *first = &in[touched->first];
    struct folding f = {.arena = arena, .table = first->table};
    uint32_t at = touched->first;
    enum err error;

    f.slots = arena_calloc(arena, f.table->unit_count, sizeof(*f.slots));
    if (f.slots == NULL)
        return ERR_NOMEM;
    for (;;) {
        error = fold(&f, &in[at], at == touched->first);
        if (error != ERR_OK)
            return error;
        if (at == touched->last)
            break;
        at = next[at];
    }
    return finish(&f, first, out, ret_any);
}

/* --- The transaction -------------------------------------------------------------------------- */

/* Sorts mutations by record; touched: in order of first touch. */
static uint32_t find_touched(const struct mutation *in, uint32_t count, struct touched *touched,
                             uint32_t *next)
{
    struct record_map map = {.first = NULL};
    uint32_t touched_count = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct record_key key = record_key_of(in[i].table, &in[i].id);
        struct touched *found = (struct touched *)record_map_find(&map, &key);

        if (found != NULL) {
            next[found->last] = i;
            found->last = i;
            found->several = true;
            continue;
        }
        touched[touched_count] = (struct touched){.node = {.key = key}, .first = i, .last = i};
        record_map_add(&map, &touched[touched_count++].node);
    }
    return touched_count;
}

enum err group_normalise(const struct mutation *in, uint32_t count, struct arena *arena,
                         const struct mutation **ret, uint32_t *ret_count)
{
    struct touched *touched = arena_alloc(arena, count * sizeof(*touched));
    uint32_t *next = arena_alloc(arena, count * sizeof(*next));
    struct mutation *out;
    uint32_t touched_count, out_count = 0;

    if (touched == NULL || next == NULL)
        return ERR_NOMEM;
    touched_count = find_touched(in, count, touched, next);
    out = arena_alloc(arena, touched_count * sizeof(*out));
    if (out == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < touched_count; i++) {
        const struct mutation *only = &in[touched[i].first];
        bool any = only->op != MUTATION_UPDATE || only->write_count > 0;
        enum err error = ERR_OK;

        if (touched[i].several)
            error = fold_all(in, next, &touched[i], arena, &out[out_count], &any);
        else
            out[out_count] = *only;
        if (error != ERR_OK)
            return error;
        out_count += any;
    }
    if (out_count > GROUP_MUTATIONS_MAX)
        return ERR_LIMIT;
    *ret = out;
    *ret_count = out_count;
    return ERR_OK;
}
