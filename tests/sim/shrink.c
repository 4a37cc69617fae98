/* shrink.c - delta debugging (Zeller, Hildebrandt 2002) over the actions of a plan. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/jobs.h"

struct shrinking {
    struct kit kit;
    const struct options *options;
    const struct plan *whole;
    bool *keep;
    uint32_t left, tries;
    char invariant[48];
};

static bool still_fails(struct shrinking *s, const bool *keep)
{
    struct plan part;
    struct outcome outcome;
    plan_part(s->whole, keep, &part);
    s->tries++;
    bool failed = fails_apart(&s->kit, s->options, &part, &outcome) &&
                  strcmp(outcome.invariant, s->invariant) == 0;
    plan_done(&part);
    return failed;
}

/* Tries without each stretch of `size` of the actions that are left. */
static bool without_stretches(struct shrinking *s, uint32_t size)
{
    bool any = false;
    bool *fewer = malloc(s->whole->count);
    if (!fewer)
        abort();
    for (uint32_t from = 0; from < s->whole->count;) {
        memcpy(fewer, s->keep, s->whole->count);
        uint32_t taken = 0, to = from;
        for (; to < s->whole->count && taken < size; to++) {
            taken += fewer[to];
            fewer[to] = false;
        }
        from = to;
        if (taken && still_fails(s, fewer)) {
            memcpy(s->keep, fewer, s->whole->count);
            s->left -= taken;
            any = true;
        }
    }
    free(fewer);
    return any;
}

static void print_plan(const struct shrinking *s)
{
    printf("%u of %u actions are left, after %u runs:\n", s->left, s->whole->count, s->tries);
    for (uint32_t i = 0; i < s->whole->count; i++)
        if (s->keep[i])
            printf(
                "  %4u %12.3f s  %-12s node %u: %s\n", i, (double)s->whole->actions[i].at_us / 1e6,
                action_name((enum action_kind)s->whole->actions[i].kind), s->whole->actions[i].node,
                action_text((enum action_kind)s->whole->actions[i].kind));
}

int shrink_seed(const struct options *options)
{
    struct plan plan, small;
    struct outcome outcome;
    struct shrinking s = {.options = options, .whole = &plan};
    kit_open(&s.kit);
    plan_of_seed(options, options->seed, &plan);
    s.keep = malloc(plan.count + 1u);
    if (!s.keep)
        abort();
    memset(s.keep, 1, plan.count);
    s.left = plan.count;
    bool failed = fails_apart(&s.kit, options, &plan, &outcome);
    if (!failed) {
        printf("seed %llu does not fail\n", (unsigned long long)options->seed);
    } else {
        memcpy(s.invariant, outcome.invariant, sizeof s.invariant);
        printf("seed %llu: %s: %s\n", (unsigned long long)options->seed, outcome.invariant,
               outcome.why);
        for (uint32_t size = (plan.count + 1) / 2; size >= 1;) {
            bool any = without_stretches(&s, size);
            if (size == 1 && !any)
                break;
            size = size > 1 ? size / 2 : 1;
        }
        print_plan(&s);
        plan_part(&plan, s.keep, &small);
        (void)fflush(stdout);
        run_one_plan(&s.kit, options, &small, stdout, &outcome);
        plan_done(&small);
    }
    plan_done(&plan);
    free(s.keep);
    kit_close(&s.kit);
    return failed ? 1 : 0;
}
