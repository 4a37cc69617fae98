/* test_merge_random.c - random histories: many replicas, records, units, groups of several records,
 * parents, wild clocks. What the exhaustive test does in full for small histories, here in samples.
 *
 * SATCHEL_SEED=n replays the history of seed n alone. SATCHEL_ROUNDS=n: so many histories. */
#include "tests/lib/unit.h"

#include <inttypes.h>

#include "tests/lib/merge_history.h"

enum {
    OPS = HISTORY_OPS,
    RECORDS = HISTORY_RECORDS,
    ROUNDS = 3000,
    ROUNDS_SLOW = 1000,
    ORDERS = 4
};

static uint64_t checked_orders, checked_records, checked_views, refusals, losers, undecided_deaths;

static void *need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count + 1, size);
    assert_non_null(memory);
    return memory;
}

static void fail_history(const struct history *h, const int *order, int count, const char *what,
                         const char *why)
{
    static char line[8000];
    print_error("SATCHEL_SEED=%" PRIu64 ": %s: %s\n", h->seed, what, why);
    for (int i = 0; i < h->op_count; i++) {
        group_print(&h->ops[i].group, h->ops[i].op.stamp, line, sizeof line);
        print_error("  %d: knew %" PRIx64 ": %s\n", i, h->ops[i].past, line);
    }
    print_error("  delivered:");
    for (int i = 0; i < count; i++)
        print_error(" %d", order[i]);
    print_error("\n");
    fail();
}

/* --- Orders --------------------------------------------------------------------------------------- */

/* A random order of the operations that respects causes. */
static void random_order(struct history *h, int *order)
{
    uint64_t done = 0;
    for (int n = 0; n < h->op_count; n++) {
        int pick;
        do
            pick = history_below(h, h->op_count);
        while ((done >> pick & 1) != 0 || (h->ops[pick].past & ~done) != 0);
        done |= 1ull << pick;
        order[n] = pick;
    }
}

static bool earlier(const struct operation *a, const struct operation *b)
{
    if (a->op.stamp != b->op.stamp)
        return a->op.stamp < b->op.stamp;
    return dot_compare(&a->group.dot, &b->group.dot) < 0;
}

/* The order of a view: the least (stamp, dot) whose causes among these were taken. */
static void view_order(const struct history *h, int *order, int count)
{
    uint64_t open = 0;
    for (int i = 0; i < count; i++)
        open |= 1ull << order[i];
    for (int n = 0; n < count; n++) {
        int best = -1;
        for (int i = 0; i < h->op_count; i++)
            if ((open >> i & 1) != 0 && (h->ops[i].past & open) == 0 &&
                (best < 0 || earlier(&h->ops[i], &h->ops[best])))
                best = i;
        open &= ~(1ull << best);
        order[n] = best;
    }
}

/* --- Checks ---------------------------------------------------------------------------------------- */

struct replay {
    struct arena arena;
    struct merge_world world;
    struct oracle oracle;
    const struct oracle_op *ops[OPS];
    int order[OPS];
    int count;
    uint64_t refused;
};

static void replay_start(struct history *h, struct replay *p)
{
    memset(p, 0, sizeof *p);
    arena_init(&p->arena, 64 << 20);
    p->world = (struct merge_world){&h->model.model,
                                    need(&p->arena, RECORDS, sizeof *p->world.slots), 0, RECORDS};
}

static bool unit_among(const uint16_t *units, uint16_t count, uint16_t unit)
{
    for (uint16_t i = 0; i < count; i++)
        if (units[i] == unit)
            return true;
    return false;
}

static bool differing(const struct model_table *table, const struct record *record, uint16_t unit)
{
    const struct model_unit *u = &table->units[unit];
    for (uint16_t i = 0; i < record->version.unit_count; i++) {
        const struct unit_state *state = &record->version.units[i];
        if (state->unit != unit || state->count < 2 || state->candidates[0].values == NULL)
            continue;
        for (uint16_t j = 1; j < state->count; j++)
            for (uint16_t c = 0; c < u->column_count; c++)
                if (!value_equal(&state->candidates[j].values[c], &state->candidates[0].values[c]))
                    return true;
    }
    return false;
}

static bool saw_frontier(const struct record *before, const struct unit_write *write)
{
    for (uint16_t i = 0; i < before->version.unit_count; i++) {
        const struct unit_state *state = &before->version.units[i];
        if (state->unit != write->unit->index)
            continue;
        if (write->seen.count != state->count)
            return false;
        for (uint16_t j = 0; j < state->count; j++)
            if (!dot_equal(&state->candidates[j].dot, &write->seen.dots[j]))
                return false;
        return true;
    }
    return write->seen.count == 0 ||
           (write->seen.count == 1 && dot_equal(&write->seen.dots[0], &before->version.insert));
}

/* What apply says about one record, against the record before and after. NULL: all well. */
static const char *wrong_report(const struct applied_record *applied, const struct mutation *m)
{
    const struct merge_result *result = &applied->result;
    const struct record *after = &applied->record, *before = &applied->before;
    if (applied->inserted != (m != NULL && m->op == MUTATION_INSERT))
        return "inserted";
    if (!applied->inserted && (applied->was_dead != before->dead ||
                               applied->previous_revision != before->version.revision))
        return "before";
    if (!applied->inserted && (result->died != (!before->dead && after->dead) ||
                               result->revived != (before->dead && !after->dead)))
        return "died or revived";
    if (applied->inserted || m == NULL)
        return NULL;
    bool forward = true;
    for (uint16_t i = 0; i < m->write_count; i++) {
        const struct model_unit *unit = m->writes[i].unit;
        bool differ = differing(m->table, after, unit->index);
        forward = forward && saw_frontier(before, &m->writes[i]);
        if (!unit_among(result->written, result->written_count, unit->index))
            return "written";
        if (unit->policy == MERGE_COUNTER || unit->policy == MERGE_SET)
            differ = false;
        if (differ != unit_among(result->conflicts, result->conflict_count, unit->index))
            return "conflicts";
        if (unit_among(result->settled, result->settled_count, unit->index) !=
            (differing(m->table, before, unit->index) && !differ))
            return "settled";
    }
    if (m->op == MUTATION_UPDATE && forward != result->fast_forward)
        return "fast_forward";
    return NULL;
}

static void check_report(const struct history *h, const struct replay *p, const struct group *group,
                         const struct apply_report *report)
{
    for (uint32_t i = 0; i < report->count; i++) {
        const struct applied_record *applied = &report->records[i];
        const struct mutation *m = NULL;
        for (uint32_t j = 0; j < group->mutation_count; j++)
            if (group->mutations[j].table == applied->table &&
                uuid_equal(&group->mutations[j].id, &applied->id))
                m = &group->mutations[j];
        const char *wrong = wrong_report(applied, m);
        if (wrong != NULL)
            fail_history(h, p->order, p->count, "the report of apply", wrong);
    }
}

static void deliver(struct history *h, struct replay *p, int op, enum merge_mode mode)
{
    const struct operation *operation = &h->ops[op];
    struct merge_context context = {operation->group.dot, operation->op.stamp, false, mode,
                                    &p->arena};
    struct apply_report report;
    p->ops[p->count] = mode == MERGE_SHOW ? &operation->shown : &operation->op;
    p->order[p->count++] = op;
    assert_ok(world_apply(&p->world, &context, &operation->group, &report));
    if (mode == MERGE_DECIDE && report.reason != REASON_NONE)
        p->refused |= 1ull << op;
    else
        check_report(h, p, &operation->group, &report);
}

static void compare(struct history *h, struct replay *p, const char *what)
{
    char why[MERGE_WHY_SIZE];
    oracle_init(&p->oracle, &h->model.model, p->ops, (uint32_t)p->count, &p->arena);
    for (int i = 0; i < p->count; i++) {
        bool refused = (p->refused >> p->order[i] & 1) != 0;
        if (!p->ops[i]->pending && refused != (p->oracle.reason[i] != REASON_NONE))
            fail_history(h, p->order, p->count, what, "refused or not?");
        refusals += refused ? 1 : 0;
    }
    for (int i = 0; i < h->record_count; i++) {
        const struct known_record *k = &h->records[i];
        struct oracle_record expected;
        oracle_record(&p->oracle, k->table, &k->id, &expected);
        if (!same_as_oracle(k->table, world_find(&p->world, k->table, &k->id), &expected, &p->arena,
                            why)) {
            print_error("%s:%x\n", k->table->name, k->id.byte[15]);
            fail_history(h, p->order, p->count, what, why);
        }
        checked_records++;
    }
}

static bool by_rank(const struct model_unit *unit)
{
    return unit->policy == MERGE_FIRST || unit->policy == MERGE_MANUAL ||
           unit->policy == MERGE_FSM || unit->policy == MERGE_UPSTREAM;
}

/* The same values, wherever the order has no say. */
static void compare_values(const struct history *h, struct replay *a, struct replay *b,
                           const char *what)
{
    for (int i = 0; i < h->record_count; i++) {
        const struct known_record *k = &h->records[i];
        const struct record *x = world_find(&a->world, k->table, &k->id);
        const struct record *y = world_find(&b->world, k->table, &k->id);
        if (x == NULL && y == NULL)
            continue; /* inserted by a group that was refused or left out */
        if (x == NULL || y == NULL)
            fail_history(h, b->order, b->count, what, "a record is missing");
        for (uint16_t u = 0; u < k->table->unit_count; u++) {
            const struct model_unit *unit = &k->table->units[u];
            for (uint16_t c = 0; !by_rank(unit) && c < unit->column_count; c++)
                if (!value_equal(&x->values[unit->columns[c]], &y->values[unit->columns[c]]))
                    fail_history(h, b->order, b->count, what, unit->name);
        }
        undecided_deaths += x->dead != y->dead ? 1 : 0;
    }
}

static bool is_candidate(const struct record *record, uint16_t unit, const struct dot *dot)
{
    for (uint16_t u = 0; u < record->version.unit_count; u++)
        for (uint16_t c = 0; c < record->version.units[u].count; c++)
            if (record->version.units[u].unit == unit &&
                dot_equal(&record->version.units[u].candidates[c].dot, dot))
                return true;
    return false;
}

/* Whether the mutation says that its author saw this dot in the unit. */
static bool names_dot(const struct mutation *m, uint16_t unit, const struct dot *dot)
{
    for (uint16_t i = 0; i < m->write_count; i++)
        if (m->writes[i].unit->index == unit && dot_set_has(m->writes[i].seen, dot))
            return true;
    return false;
}

static bool seen_later(const struct history *h, uint64_t refused, int op, const struct mutation *m,
                       uint16_t unit)
{
    for (int i = op + 1; i < h->op_count; i++) {
        const struct group *group = &h->ops[i].group;
        for (uint32_t j = 0; (refused >> i & 1) == 0 && j < group->mutation_count; j++)
            if (uuid_equal(&group->mutations[j].id, &m->id) &&
                names_dot(&group->mutations[j], unit, &h->ops[op].group.dot))
                return true;
    }
    return false;
}

/* Every value that anyone wrote is a candidate, or somebody who wrote later had seen it. */
static void check_losers(const struct history *h, struct replay *p)
{
    for (int i = 0; i < h->op_count; i++) {
        const struct group *group = &h->ops[i].group;
        for (uint32_t j = 0; (p->refused >> i & 1) == 0 && j < group->mutation_count; j++) {
            const struct mutation *m = &group->mutations[j];
            const struct record *record = world_find(&p->world, m->table, &m->id);
            for (uint16_t w = 0; m->op != MUTATION_INSERT && w < m->write_count; w++) {
                uint16_t unit = m->writes[w].unit->index;
                losers++;
                if (!is_candidate(record, unit, &group->dot) &&
                    !seen_later(h, p->refused, i, m, unit))
                    fail_history(h, p->order, p->count, "a value is lost", m->writes[w].unit->name);
            }
        }
    }
}

/* Confirmed up to some point of a random order, the rest shown, with or without all of it. */
static void check_view(struct history *h)
{
    int order[OPS];
    struct replay *view = need(&h->scratch, 1, sizeof *view);
    struct replay *decided = need(&h->scratch, 1, sizeof *decided);
    replay_start(h, view);
    replay_start(h, decided);
    random_order(h, order);
    int confirmed = 1 + history_below(h, h->op_count), pending = 0, rest[OPS];
    bool drop = history_below(h, 2) > 0;
    for (int i = confirmed; i < h->op_count; i++)
        if (!drop || history_below(h, 4) > 0)
            rest[pending++] = order[i];
    if (history_below(h, 2) > 0) /* else as they arrived: a view must not depend on that */
        view_order(h, rest, pending);
    for (int i = 0; i < confirmed; i++) {
        deliver(h, view, order[i], MERGE_DECIDE);
        deliver(h, decided, order[i], MERGE_DECIDE);
    }
    uint64_t refused = view->refused;
    for (int i = 0; i < pending; i++) {
        deliver(h, view, rest[i], MERGE_SHOW);
        deliver(h, decided, rest[i], MERGE_DECIDE);
    }
    compare(h, view, "a view");
    compare(h, decided, "a view, decided");
    bool hidden = decided->refused != refused;
    for (int i = confirmed; i < view->count; i++)
        hidden = hidden || view->oracle.reason[i] != REASON_NONE;
    uint64_t before = undecided_deaths;
    if (!hidden)
        compare_values(h, decided, view, "a view is not what is decided");
    if (undecided_deaths != before)
        fail_history(h, view->order, view->count, "a view", "dead where it is not decided dead");
    checked_views++;
    arena_done(&view->arena);
    arena_done(&decided->arena);
}

static void check_history(struct history *h)
{
    struct replay *first = need(&h->arena, 1, sizeof *first);
    for (int n = 0; n < ORDERS; n++) {
        int order[OPS];
        struct replay *p = n == 0 ? first : need(&h->scratch, 1, sizeof *p);
        replay_start(h, p);
        random_order(h, order);
        int stop = history_below(h, h->op_count);
        for (int i = 0; i < h->op_count; i++) {
            deliver(h, p, order[i], MERGE_DECIDE);
            if (i == stop)
                compare(h, p, "half way");
        }
        compare(h, p, "decided");
        check_losers(h, p);
        if (n > 0 && first->refused == p->refused)
            compare_values(h, first, p, "another order");
        checked_orders++;
        if (n > 0)
            arena_done(&p->arena);
        arena_reset(&h->scratch);
    }
    arena_done(&first->arena);
    check_view(h);
    arena_reset(&h->scratch);
}

static int64_t setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoll(text, NULL, 10);
}

static void test_random_histories(void **context)
{
    (void)context;
#ifdef __SANITIZE_ADDRESS__
    int64_t rounds = ROUNDS_SLOW;
#else
    int64_t rounds = ROUNDS;
#endif
    int64_t seed = setting("SATCHEL_SEED", -1), operations = 0;
    rounds = seed >= 0 ? 1 : setting("SATCHEL_ROUNDS", rounds);
    for (int64_t i = 0; i < rounds; i++) {
        struct history *h = calloc(1, sizeof *h);
        assert_non_null(h);
        history_make(h, (uint64_t)(seed >= 0 ? seed : 20260000 + i));
        check_history(h);
        operations += h->op_count;
        history_done(h);
        free(h);
    }
    print_message(
        "seeds %" PRId64 "..%" PRId64 ": %" PRId64 " histories, %" PRId64 " groups, %" PRIu64
        " orders, %" PRIu64 " views, %" PRIu64 " records compared, %" PRIu64
        " groups refused, %" PRIu64 " values traced, %" PRIu64 " deaths decided by the order\n",
        seed >= 0 ? seed : 20260000, (seed >= 0 ? seed : 20260000) + rounds - 1, rounds, operations,
        checked_orders, checked_views, checked_records, refusals, losers, undecided_deaths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_histories)};
    return cmocka_run_group_tests_name("merge_random", tests, NULL, NULL);
}
