/* judge_groups.c - the groups in the order of decision; causes and stamps. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/judge.h"

void *judge_need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count + 1, size);
    if (!memory)
        abort();
    return memory;
}

/* ---- the groups ---- */

static int by_decision(const void *a, const void *b)
{
    const struct told *x = ((const struct deed *)a)->told, *y = ((const struct deed *)b)->told;
    if (x->turn != y->turn)
        return x->turn < y->turn ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool names_dot(struct dot_set set, const struct dot *dot)
{
    for (uint16_t i = 0; i < set.count; i++)
        if (dot_equal(&set.dots[i], dot))
            return true;
    return false;
}

static bool builds_on(const struct group *group, const struct dot *dot)
{
    for (uint32_t m = 0; m < group->mutation_count; m++) {
        const struct mutation *mutation = &group->mutations[m];
        bool named = dot_equal(&mutation->insert, dot) || names_dot(mutation->deletes, dot);
        for (uint16_t i = 0; i < mutation->frontier_count; i++)
            named |= names_dot(mutation->frontier[i].seen, dot);
        for (uint16_t i = 0; i < mutation->write_count; i++) {
            named |= names_dot(mutation->writes[i].seen, dot);
            for (uint32_t k = 0; k < mutation->writes[i].remove_count; k++)
                named |= dot_equal(&mutation->writes[i].removes[k].dot, dot);
        }
        if (named)
            return true;
    }
    return false;
}

/* What waited was decided after what it waited for, whenever it had arrived. */
static void order_causes(struct judge *j)
{
    for (uint32_t i = 0; i < j->count; i++)
        for (uint32_t k = i + 1, moves = 0; k < j->count && moves < j->count; k++) {
            if (j->deeds[k].told->turn != j->deeds[i].told->turn)
                break;
            if (!builds_on(&j->deeds[i].group, &j->deeds[k].group.dot))
                continue;
            struct deed cause = j->deeds[k];
            memmove(&j->deeds[i + 1], &j->deeds[i], (k - i) * sizeof *j->deeds);
            j->deeds[i] = cause;
            k = i;
            moves++;
        }
}

/* ---- groups that were renumbered: one group, whatever the number ---- */

struct selves {
    struct self {
        struct dot dot;
        uint32_t first; /* the deed that stands for it */
    } * items;
    uint32_t count;
    const struct judge *judge;
};

static struct self *self_of(const struct selves *selves, const struct dot *dot)
{
    for (uint32_t i = 0; i < selves->count; i++)
        if (dot_equal(&selves->items[i].dot, dot))
            return &selves->items[i];
    return NULL;
}

static struct dot as_it_stands(void *context, struct dot dot)
{
    const struct selves *selves = context;
    const struct self *self = self_of(selves, &dot);
    return self ? selves->judge->deeds[self->first].group.dot : dot;
}

/* The first one of each group that is decided stands for all: the others are aliases, and who names one of
 * them has seen it. */
static void join_selves(struct judge *j)
{
    struct selves selves = {.judge = j};
    bool any = false;
    for (uint32_t i = 0; i < j->count && !any; i++)
        any = !dot_is_none(&j->deeds[i].group.renamed);
    if (!any)
        return;
    selves.items = judge_need(&j->arena, (size_t)j->count * 2, sizeof *selves.items);
    for (uint32_t i = 0; i < j->count; i++) {
        struct deed *deed = &j->deeds[i];
        const struct dot *names[] = {&deed->group.dot, &deed->group.renamed};
        const struct self *known = self_of(&selves, names[0]);
        if (!known && !dot_is_none(names[1]))
            known = self_of(&selves, names[1]);
        uint32_t first = known ? known->first : i;
        deed->alias = known != NULL;
        for (int k = 0; k < 2; k++)
            if (!dot_is_none(names[k]) && !self_of(&selves, names[k]))
                selves.items[selves.count++] = (struct self){*names[k], first};
    }
    for (uint32_t i = 0; i < j->count; i++)
        if (group_map_dots(&j->deeds[i].group, as_it_stands, &selves, &j->arena,
                           &j->deeds[i].group) != ERR_OK)
            abort();
}

static bool same_group(const struct group *a, const struct group *b)
{
    return dot_equal(&a->renamed, &b->dot) || dot_equal(&b->renamed, &a->dot) ||
           (!dot_is_none(&a->renamed) && dot_equal(&a->renamed, &b->renamed));
}

static void put_dot(const struct dot *dot, uint8_t out[20])
{
    be64_put(out, dot->origin);
    be64_put(out + 8, dot->oseq);
    be32_put(out + 16, dot->tag);
}

/* Whether headquarters says so. */
static bool stands_for(const struct judge *j, const struct dot *stands, const struct dot *dot)
{
    sqlite3_stmt *row;
    uint8_t key[20], value[20];
    put_dot(dot, key);
    put_dot(stands, value);
    if (sqlite3_prepare_v2(j->db, "SELECT 1 FROM satchel_renamed WHERE k=? AND v=?", -1, &row,
                           NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_blob(row, 1, key, sizeof key, SQLITE_STATIC);
    sqlite3_bind_blob(row, 2, value, sizeof value, SQLITE_STATIC);
    bool found = sqlite3_step(row) == SQLITE_ROW;
    sqlite3_finalize(row);
    return found;
}

/* What waited is settled together with another self of it: which of the two was looked at first nothing shows, and
 * either may stand for both. */
static void order_selves(struct judge *j)
{
    for (uint32_t i = 0; i < j->count; i++)
        for (uint32_t k = i + 1; j->deeds[i].told->waited && k < j->count; k++) {
            const struct group *waited = &j->deeds[i].group, *other = &j->deeds[k].group;
            if (j->deeds[k].told->turn != j->deeds[i].told->turn)
                break;
            if (!same_group(waited, other) || !stands_for(j, &other->dot, &waited->dot))
                continue;
            struct deed first = j->deeds[k];
            memmove(&j->deeds[i + 1], &j->deeds[i], (k - i) * sizeof *j->deeds);
            j->deeds[i] = first;
        }
}

void judge_read(struct judge *j)
{
    const struct history *h = j->world->history;
    j->deeds = judge_need(&j->arena, h->count, sizeof *j->deeds);
    for (uint32_t i = 0; i < h->count; i++) {
        struct deed *deed = &j->deeds[j->count];
        const struct told *told = &h->items[i];
        if (told->turn == 0 ||
            group_decode(j->world->model, told->raw, &j->arena, &deed->group, NULL) != ERR_OK)
            continue;
        deed->told = told;
        deed->in_effect = told->code == RESULT_APPLIED || told->code == RESULT_MERGED;
        j->count++;
    }
    qsort(j->deeds, j->count, sizeof *j->deeds, by_decision);
    order_selves(j);
    join_selves(j);
    order_causes(j);
}

/* ---- causes before effects; clocks ---- */

static void check_cause(struct judge *j, const struct deed *deed, const struct dot *dot)
{
    if (dot_is_none(dot) || j->world->failed)
        return;
    const struct told *cause = history_find(j->world->history, dot);
    bool effect =
        cause && cause->turn && (cause->code == RESULT_APPLIED || cause->code == RESULT_MERGED);
    if (!effect || (cause->turn > deed->told->turn && !cause->unread))
        broken(j->world, "causes before effects",
               "group %016llx/%llu is in effect, and %016llx/%llu that it builds on %s",
               (unsigned long long)deed->told->origin, (unsigned long long)deed->told->oseq,
               (unsigned long long)dot->origin, (unsigned long long)dot->oseq,
               !cause             ? "was never sent"
               : cause->turn == 0 ? "is not decided"
               : !effect          ? "was set aside"
                                  : "was decided later");
}

void judge_causes(struct judge *j, const struct deed *deed)
{
    if (deed->told->reason == REASON_LAPSED)
        return; /* decided without what did not come, and says so */
    for (uint32_t m = 0; m < deed->group.mutation_count; m++) {
        const struct mutation *mutation = &deed->group.mutations[m];
        check_cause(j, deed, &mutation->insert);
        for (uint16_t i = 0; i < mutation->deletes.count; i++)
            check_cause(j, deed, &mutation->deletes.dots[i]);
        for (uint16_t i = 0; i < mutation->frontier_count; i++)
            for (uint16_t k = 0; k < mutation->frontier[i].seen.count; k++)
                check_cause(j, deed, &mutation->frontier[i].seen.dots[k]);
        for (uint16_t i = 0; i < mutation->write_count; i++) {
            const struct unit_write *write = &mutation->writes[i];
            for (uint16_t k = 0; k < write->seen.count && mutation->op != MUTATION_INSERT; k++)
                check_cause(j, deed, &write->seen.dots[k]);
            for (uint32_t k = 0; k < write->remove_count; k++)
                check_cause(j, deed, &write->removes[k].dot);
        }
    }
}

/* A device's stamps only rise, whatever its clock does. */
void judge_stamps(struct judge *j)
{
    for (uint32_t a = 0; a < j->count && !j->world->failed; a++) {
        const struct deed *before = NULL, *deed = &j->deeds[a];
        for (uint32_t b = 0; b < j->count; b++) {
            const struct deed *other = &j->deeds[b];
            if (other->told->origin == deed->told->origin && other->told->oseq < deed->told->oseq &&
                (!before || other->told->oseq > before->told->oseq))
                before = other;
        }
        if (before && before->group.stamp >= deed->group.stamp)
            broken(j->world, "clocks go forward",
                   "group %016llx/%llu has a stamp not above that of %llu",
                   (unsigned long long)deed->told->origin, (unsigned long long)deed->told->oseq,
                   (unsigned long long)before->told->oseq);
    }
}
