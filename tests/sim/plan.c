#include "tests/sim/plan.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/seeded_rng.h"

enum { EVENTS_PER_ACTION = 6 };

/* How often each kind comes among the others; those of 0 to `always` in every plan. */
static const struct {
    uint8_t kind, weight;
    bool always;
} weights[] = {
    {ACTION_WRITE, 60, true},
    {ACTION_SYNC, 12, true},
    {ACTION_LIVE, 8, true},
    {ACTION_OFFLINE, 3, true},
    {ACTION_AGAIN, 2, false},
    {ACTION_CUT, 4, false},
    {ACTION_CUT_INSIDE, 5, false},
    {ACTION_HALF_OPEN, 2, false},
    {ACTION_ONE_WAY, 2, false},
    {ACTION_CLOG, 2, false},
    {ACTION_CLOG_MANY, 1, false},
    {ACTION_NO_NETWORK, 1, false},
    {ACTION_LINK, 3, false},
    {ACTION_KILL, 3, false},
    {ACTION_POWER, 3, false},
    {ACTION_POWER_AT, 3, false},
    {ACTION_PAUSE, 1, false},
    {ACTION_SKEW, 1, false},
    {ACTION_FREEZE, 1, false},
    {ACTION_NOMEM, 3, false},
    {ACTION_FULL, 1, false},
    {ACTION_IO_ERROR, 2, false},
    {ACTION_SYNC_ERROR, 2, false},
    {ACTION_BACKUP, 1, false},
    {ACTION_RESTORE, 1, false},
    {ACTION_CLONE, 1, false},
    {ACTION_SNAPSHOT, 1, false},
    {ACTION_ROLLBACK, 1, false},
    {ACTION_REVOKE, 1, false},
    {ACTION_RIGHTS, 1, false},
    {ACTION_NIGHT, 1, true},
    {ACTION_PARKED, 3, false},
    {ACTION_FORGE, 4, false},
    {ACTION_REPLAY, 2, false},
    {ACTION_CHANGE, 1, false},
    {ACTION_BEYOND, 1, false},
    {ACTION_STEAL, 1, false},
    {ACTION_GARBAGE, 1, false},
    /* only where there are branches */
    {ACTION_ROAM, 5, true},
    {ACTION_LINE, 2, false},
    {ACTION_DISK_LOST, 1, false},
};

enum { KINDS = sizeof weights / sizeof *weights, KINDS_OF_BRANCHES = 3 };

static int64_t gap_us(struct seeded_rng *dice, uint64_t tempo)
{
    uint64_t at = seeded_below(dice, 100);
    if (at < 55 + tempo) {
        int64_t gap = (int64_t)seeded_below(dice, 60000);
        return gap < 15000 ? 0 : gap; /* often in one and the same millisecond: equal stamps */
    }
    if (at < 80 + tempo)
        return (int64_t)seeded_below(dice, 1500000);
    if (at < 99)
        return (int64_t)seeded_below(dice, 20000000);
    return (int64_t)seeded_below(dice, 120000000);
}

static int64_t night_us(uint64_t dice)
{
    int64_t hours = 1 + (int64_t)(dice % 14);
    if (dice >> 20 & 1)
        hours *= 24; /* up to a fortnight */
    return hours * 3600000000;
}

static bool is_of_branches(struct seeded_rng *dice, enum action_kind kind, bool either)
{
    bool line = kind == ACTION_AGAIN || kind == ACTION_CUT || kind == ACTION_CUT_INSIDE ||
                kind == ACTION_HALF_OPEN || kind == ACTION_ONE_WAY || kind == ACTION_CLOG ||
                kind == ACTION_NO_NETWORK || kind == ACTION_LINK;
    return kind == ACTION_LINE || kind == ACTION_DISK_LOST ||
           ((either || line) && seeded_below(dice, 2));
}

/* Headquarters among the nodes more often than one of many, where that makes sense. */
static uint16_t whom(struct seeded_rng *dice, enum action_kind kind, uint32_t devices,
                     uint32_t branches)
{
    bool either = kind == ACTION_KILL || kind == ACTION_POWER || kind == ACTION_POWER_AT ||
                  kind == ACTION_PAUSE || kind == ACTION_SKEW || kind == ACTION_FREEZE ||
                  kind == ACTION_NOMEM || kind == ACTION_FULL || kind == ACTION_IO_ERROR ||
                  kind == ACTION_SYNC_ERROR;
    if (kind == ACTION_BACKUP || kind == ACTION_RESTORE || kind == ACTION_NIGHT ||
        (either && seeded_below(dice, 3) == 0))
        return 0;
    if (branches && is_of_branches(dice, kind, either))
        return (uint16_t)(1 + devices + seeded_below(dice, branches));
    return (uint16_t)(1 + seeded_below(dice, devices));
}

void plan_make(uint64_t seed, uint32_t devices, uint32_t branches, uint32_t events,
               struct plan *ret)
{
    struct seeded_rng dice;
    uint32_t scaled[KINDS] = {0}, total = 0;
    int kinds = branches ? KINDS : KINDS - KINDS_OF_BRANCHES;
    seeded_rng_start(&dice, seed * 2654435761u + 12345);
    uint64_t rough = seeded_below(&dice, 4); /* how many kinds of faults are on: none, some, most */
    for (int i = 0; i < kinds; i++) {
        bool on = weights[i].always || seeded_below(&dice, 4) < rough;
        static const uint32_t factors[] = {1, 2, 2, 5};
        scaled[i] = on ? weights[i].weight * 2u : 0;
        if (on && !weights[i].always)
            scaled[i] = scaled[i] * factors[seeded_below(&dice, 4)] / 2;
        total += scaled[i];
    }
    uint64_t tempo = seeded_below(&dice, 15);
    uint32_t count = events / EVENTS_PER_ACTION + 1;
    *ret = (struct plan){.seed = seed, .devices = devices, .branches = branches};
    ret->actions = calloc(count, sizeof *ret->actions);
    if (!ret->actions)
        abort();
    int64_t now = 1000000;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t pick = seeded_below(&dice, total);
        int k = 0;
        while (pick >= scaled[k])
            pick -= scaled[k++];
        struct action *action = &ret->actions[ret->count++];
        *action = (struct action){.at_us = now, .kind = weights[k].kind};
        action->node = whom(&dice, (enum action_kind)action->kind, devices, branches);
        action->dice = seeded_u64(&dice);
        now += gap_us(&dice, tempo);
        if (action->kind == ACTION_NIGHT)
            now += night_us(action->dice);
    }
    ret->end_us = now;
}

static int by_time(const void *a, const void *b)
{
    const struct action *x = a, *y = b;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    return (x > y) - (x < y);
}

/* Some random time of the plan, and what happens then at headquarters. */
static struct action at_headquarters(const struct plan *plan, enum action_kind kind, uint32_t from,
                                     struct seeded_rng *dice)
{
    uint32_t at = from + (uint32_t)seeded_below(dice, plan->count - from);
    return (struct action){
        .at_us = plan->actions[at].at_us, .kind = (uint8_t)kind, .dice = seeded_u64(dice)};
}

/* These as well, in order of time. */
static void add_actions(struct plan *plan, struct action *added, uint32_t more)
{
    uint32_t from = 0, to = 0;
    struct action *actions = calloc(plan->count + more, sizeof *actions);
    if (!actions)
        abort();
    qsort(added, more, sizeof *added, by_time);
    for (uint32_t i = 0; i < more; i++) {
        while (from < plan->count && plan->actions[from].at_us <= added[i].at_us)
            actions[to++] = plan->actions[from++];
        actions[to++] = added[i];
    }
    while (from < plan->count)
        actions[to++] = plan->actions[from++];
    free(plan->actions);
    plan->actions = actions;
    plan->count = to;
}

void plan_add_models(struct plan *plan)
{
    enum { MOST = 8 };
    struct seeded_rng dice;
    struct action added[MOST + 2];
    uint32_t more = 0;
    seeded_rng_start(&dice, plan->seed * 109 + 19);
    uint32_t models = 2 + (uint32_t)seeded_below(&dice, 4); /* after a restore once more */
    plan->models = true;
    if (plan->count < 2)
        return;
    while (more < models)
        added[more++] = at_headquarters(plan, ACTION_MODEL, 0, &dice);
    if (seeded_below(&dice, 3) ==
        0) { /* headquarters goes back to before a change, once devices know it */
        added[more] = at_headquarters(plan, ACTION_BACKUP, 0, &dice);
        added[more++].at_us = plan->actions[0].at_us;
        added[more++] = at_headquarters(plan, ACTION_RESTORE, plan->count / 2, &dice);
    }
    add_actions(plan, added, more);
}

void plan_add_people(struct plan *plan)
{
    enum { EACH = 10, KINDS_OF_PEOPLE = 4 };
    static const struct {
        uint8_t kind, weight;
    } kinds[KINDS_OF_PEOPLE] = {
        {ACTION_MOVE, 10}, {ACTION_HANDOVER, 2}, {ACTION_TEAM, 4}, {ACTION_SUBSTITUTE, 4}};
    struct seeded_rng dice;
    uint32_t scaled[KINDS_OF_PEOPLE], total = 0, count = plan->count / EACH + 4;
    seeded_rng_start(&dice, plan->seed * 113 + 23);
    plan->people = true;
    if (plan->count < 2)
        return;
    for (int i = 0; i < KINDS_OF_PEOPLE; i++) {
        bool on = kinds[i].kind == ACTION_MOVE || seeded_below(&dice, 4) > 0;
        scaled[i] = on ? kinds[i].weight * (1 + (uint32_t)seeded_below(&dice, 3)) : 0;
        total += scaled[i];
    }
    struct action *added = calloc(count, sizeof *added);
    if (!added)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        uint64_t pick = seeded_below(&dice, total);
        int k = 0;
        while (pick >= scaled[k])
            pick -= scaled[k++];
        added[i] = at_headquarters(plan, (enum action_kind)kinds[k].kind, 0, &dice);
        if (kinds[k].kind == ACTION_MOVE || kinds[k].kind == ACTION_HANDOVER)
            added[i].node = (uint16_t)(1 + seeded_below(&dice, plan->devices));
    }
    add_actions(plan, added, count);
    free(added);
}

void plan_part(const struct plan *plan, const bool *keep, struct plan *ret)
{
    *ret = *plan;
    ret->count = 0;
    ret->actions = calloc(plan->count + 1, sizeof *ret->actions);
    if (!ret->actions)
        abort();
    for (uint32_t i = 0; i < plan->count; i++)
        if (keep[i])
            ret->actions[ret->count++] = plan->actions[i];
}

void plan_done(struct plan *plan)
{
    free(plan->actions);
    *plan = (struct plan){0};
}

static const char *const names[] = {
#define ACTION_NAME(name, text) #name,
    ACTION_LIST(ACTION_NAME)
#undef ACTION_NAME
};
static const char *const texts[] = {
#define ACTION_TEXT(name, text) text,
    ACTION_LIST(ACTION_TEXT)
#undef ACTION_TEXT
};

const char *action_name(enum action_kind kind)
{
    return names[kind];
}

const char *action_text(enum action_kind kind)
{
    return texts[kind];
}
