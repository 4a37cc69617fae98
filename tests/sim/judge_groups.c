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

void judge_read(struct judge *j)
{
    const struct history *h = j->world->history;
    j->deeds = judge_need(&j->arena, h->count, sizeof *j->deeds);
    for (uint32_t i = 0; i < h->count; i++) {
        struct deed *deed = &j->deeds[j->count];
        const struct told *told = &h->items[i];
        if (told->turn == 0 ||
            group_decode(j->world->kit->model, told->raw, &j->arena, &deed->group, NULL) != ERR_OK)
            continue;
        const struct told *first =
            dot_is_none(&deed->group.renamed) ? NULL : history_find(h, &deed->group.renamed);
        deed->told = told;
        deed->alias = first && first->turn && first->turn <= told->turn;
        deed->in_effect = told->code == RESULT_APPLIED || told->code == RESULT_MERGED;
        j->count++;
    }
    qsort(j->deeds, j->count, sizeof *j->deeds, by_decision);
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
    if (!effect || cause->turn > deed->told->turn)
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
