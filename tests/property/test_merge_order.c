/* test_merge_order.c - random histories: every order in which causes come before effects gives the same
 * records.
 *
 * A history:  replicas write to a few records from what they know, and learn from one another now and
 *             then; a group's causes are all that its author knew.
 * Compared:   shown values, life and death, deletes, frontiers and candidates; not ranks and revisions,
 *             which are the order of decision, nor the shown value of policies that go by rank; in
 *             families only whether something is dead, not by how many deletes.
 * Left out:   upstream (a check against the current frontier), and deletes of a child by itself: whether
 *             a child was dead when its parent's delete came is a matter of order (SPEC.md 5).
 * Seed:       printed; SATCHEL_TEST_SEED replays it. ctest: timeout=600 */
#include "protocol/apply.h"

#include "tests/lib/seeded_rng.h"
#include "tests/lib/story.h"
#include "tests/lib/unit.h"

enum { REPLICAS = 4, OPS = 24, ORDERS = 6, HISTORIES = 1000 };

struct world {
    struct story_record records[STORY_RECORDS];
    uint32_t count;
};

struct operation {
    struct group group;
    uint32_t past; /* bits: the operations that its author knew */
};

struct history {
    struct story story;
    struct seeded_rng rng;
    struct operation ops[OPS];
    uint32_t op_count;
    struct world worlds[REPLICAS];
    uint32_t known[REPLICAS]; /* bits */
    bool family;
};

static void enter(struct history *h, const struct world *world)
{
    memcpy(h->story.records, world->records, sizeof(world->records));
    h->story.count = world->count;
}

static void leave(struct history *h, struct world *world)
{
    memcpy(world->records, h->story.records, sizeof(world->records));
    world->count = h->story.count;
}

static uint32_t below(struct history *h, uint32_t bound)
{
    return (uint32_t)seeded_below(&h->rng, bound);
}

static void learn(struct history *h, uint32_t replica, uint32_t news)
{
    enter(h, &h->worlds[replica]);
    for (uint32_t i = 0; i < h->op_count; i++) {
        if (news >> i & 1 & ~(h->known[replica] >> i))
            assert_int_equal(story_replay(&h->story, &h->ops[i].group), REASON_NONE);
    }
    h->known[replica] |= news;
    leave(h, &h->worlds[replica]);
}

/* --- Writes ----------------------------------------------------------------------------------- */

static const char *pick(struct history *h, const char *const *texts, uint32_t count)
{
    return texts[below(h, count)];
}

static void write_customer(struct history *h, const struct story_record *seen)
{
    static const char *const words[] = {"a", "b", "c", NULL}, *const numbers[] = {"1", "-3", "7"};
    static const char *const dates[] = {"2020-01-01", "2021-06-30", NULL};
    static const char *const flags[] = {"true", "false"};
    static const char *const consents[] = {"granted", "unknown", "refused"};
    static const char *const sets[] = {"+x", "-a", "+a +y", "-x -a", "-y +z"};
    static const char *const notes[] = {"one\ntwo\nthree", "1\ntwo\nthree", "one\ntwo\n3\n4", "one",
                                        NULL};
    struct story *s = &h->story;
    static const char *const stages[] = {"sent", "lost", "draft"};

    switch (below(h, 9)) {
    case 0:
        story_update(s, seen, "name", pick(h, words, 4), "points", pick(h, numbers, 3), NULL);
        break;
    case 1:
        story_update(s, seen, "signer", pick(h, words, 4), "category", pick(h, words, 3), NULL);
        break;
    case 2:
        story_update(s, seen, "ceiling", pick(h, numbers, 3), "since", pick(h, dates, 3), NULL);
        break;
    case 3:
        story_update(s, seen, "no_calls", pick(h, flags, 2), "consent", pick(h, consents, 3), NULL);
        break;
    case 4: story_update(s, seen, "tags", pick(h, sets, 5), NULL); break;
    case 5: story_update(s, seen, "note", pick(h, notes, 5), NULL); break;
    case 6: story_update(s, seen, "city", pick(h, words, 4), NULL); break;
    case 7: /* a base of the author's choice keeps the transition valid */
        story_update(s, seen, "stage", pick(h, stages, 3), NULL);
        ((struct value *)story_last(s)->writes[0].base)[0] = story_last(s)->writes[0].values[0];
        break;
    default:
        story_update(s, seen, "name", pick(h, words, 3), "tags", pick(h, sets, 5), "note",
                     pick(h, notes, 4), "points", pick(h, numbers, 3), NULL);
    }
}

/* A delete of the record with all that lives below it. */
static void delete_family(struct history *h, const struct story_record *top)
{
    static const char *const tables[] = {"contact", "line", "phone"};
    struct story *s = &h->story;

    story_delete(s, top);
    for (uint32_t i = 0; i < s->count && h->family; i++) {
        for (int j = 0; j < 3; j++) {
            if (strcmp(s->records[i].table->name, tables[j]) == 0 && !s->records[i].record.dead)
                story_delete(s, &s->records[i]);
        }
    }
}

static void write_member(struct history *h)
{
    static const char *const names[] = {"a", "b", "c"};
    struct story *s = &h->story;
    const struct story_record seen = s->records[1 + below(h, s->count - 1)];

    if (seen.record.dead && below(h, 2))
        story_restore(s, &seen, below(h, 2) ? "name" : NULL, "r", NULL);
    else if (below(h, 4) == 0 && s->count < 8)
        story_insert(s, "line", 100 + h->op_count, "customer", "1", "name", "new", NULL);
    else
        story_update(s, &seen, "name", pick(h, names, 3), NULL);
}

static void make_operation(struct history *h, uint32_t replica)
{
    struct operation *op = &h->ops[h->op_count];
    struct story *s = &h->story;
    struct story_record top;
    uint32_t choice = below(h, 10);

    enter(h, &h->worlds[replica]);
    top = s->records[0];
    story_begin(s, 1 + replica);
    if (choice < 2 && !top.record.dead)
        delete_family(h, &top);
    else if (choice < 3 && top.record.dead)
        story_restore(s, &top, below(h, 2) ? "name" : NULL, "r", NULL);
    else if (choice < 9 && h->family)
        write_member(h);
    else if (strcmp(top.table->name, "customer") == 0)
        write_customer(h, &top);
    else
        story_update(s, &top, "name", choice % 2 ? "a" : "b", NULL);
    s->stamp -= (uint64_t)below(h, 5000) << 16; /* clocks differ */
    assert_int_equal(story_commit(s), REASON_NONE);
    s->stamp = (UINT64_C(100000) << 16) * (h->op_count + 2);
    op->group = story_group(s);
    op->past = h->known[replica];
    h->known[replica] |= UINT32_C(1) << h->op_count++;
    leave(h, &h->worlds[replica]);
}

static void start(struct history *h, const char *table, uint64_t seed)
{
    struct story *s = &h->story;
    struct group inserts;

    seeded_rng_start(&h->rng, seed);
    arena_reset(&s->arena);
    memset(s->records, 0, sizeof(s->records));
    memset(s->oseq, 0, sizeof(s->oseq));
    memset(h->known, 0, sizeof(h->known));
    s->count = h->op_count = 0;
    s->stamp = UINT64_C(100000) << 16;
    h->family = strcmp(table, "customer") == 0 && seed % 2 == 1;
    story_begin(s, 9);
    story_insert(s, table, 1, "name", "start", NULL);
    if (strcmp(table, "customer") == 0) {
        s->mutation_count = 0;
        story_insert(s, table, 1, "name", "start", "tags", "[\"a\"]", "note", "one\ntwo\nthree",
                     NULL);
    }
    if (h->family) {
        story_insert(s, "contact", 11, "customer", "1", "name", "start", NULL);
        story_insert(s, "line", 21, "customer", "1", "name", "start", NULL);
        story_insert(s, "phone", 31, "contact", "11", "name", "start", NULL);
    }
    story_must_commit(s);
    inserts = story_group(s);
    h->ops[h->op_count++] = (struct operation){.group = inserts, .past = 0};
    for (uint32_t i = 0; i < REPLICAS; i++) {
        leave(h, &h->worlds[i]);
        h->known[i] = 1;
    }
}

/* Families get short histories: in a long one somebody writes to everything in the end. */
static void make_history(struct history *h, const char *table, uint64_t seed)
{
    uint32_t count;

    start(h, table, seed);
    count = h->family || seed % 4 == 0 ? 4 + below(h, 8) : OPS;
    while (h->op_count < count) {
        uint32_t replica = below(h, REPLICAS), other = below(h, REPLICAS);

        if (below(h, 3) == 0)
            learn(h, replica, h->known[other]);
        make_operation(h, replica);
    }
}

/* --- Orders ----------------------------------------------------------------------------------- */

/* Some order in which causes come first. */
static void replay_shuffled(struct history *h, uint8_t *order)
{
    uint32_t done = 0;

    h->story.count = 0;
    for (uint32_t i = 0; i < h->op_count; i++) {
        uint32_t next = below(h, h->op_count);

        while ((done >> next & 1) || (h->ops[next].past & ~done))
            next = (next + 1) % h->op_count;
        order[i] = (uint8_t)next;
        done |= UINT32_C(1) << next;
        assert_int_equal(story_replay(&h->story, &h->ops[next].group), REASON_NONE);
    }
}

static bool shown_by_rank(const struct model_unit *unit)
{
    return unit->policy == MERGE_FIRST || unit->policy == MERGE_MANUAL || unit->policy == MERGE_FSM;
}

static bool same_candidates(const struct model_unit *unit, const struct unit_state *a,
                            const struct unit_state *b)
{
    if (a->count != b->count || a->pair_count != b->pair_count)
        return false;
    for (uint16_t i = 0; i < a->count; i++) {
        const struct candidate *x = &a->candidates[i], *y = &b->candidates[i];

        if (!dot_equal(&x->dot, &y->dot) || x->stamp != y->stamp ||
            (x->values == NULL) != (y->values == NULL) || (x->base == NULL) != (y->base == NULL))
            return false;
        for (uint16_t j = 0; j < unit->column_count; j++) {
            if (x->values != NULL && !value_equal(&x->values[j], &y->values[j]))
                return false;
            if (x->base != NULL && !value_equal(&x->base[j], &y->base[j]))
                return false;
        }
    }
    for (uint32_t i = 0; i < a->pair_count; i++) {
        if (!bytes_equal(a->pairs[i].element, b->pairs[i].element) ||
            !dot_equal(&a->pairs[i].dot, &b->pairs[i].dot))
            return false;
    }
    return true;
}

/* NULL: the same. */
static const char *difference(const struct story_record *x, const struct story_record *y,
                              bool family)
{
    const struct model_table *table = x->table;
    const struct version *a = &x->record.version, *b = &y->record.version;

    if (x->record.dead != y->record.dead)
        return "dead";
    if (a->delete_count != b->delete_count && !family)
        return "deletes";
    for (uint16_t i = 0; i < a->delete_count && !family; i++) {
        if (!dot_equal(&a->deletes[i].dot, &b->deletes[i].dot))
            return "deletes";
    }
    for (uint16_t i = 0; i < table->unit_count; i++) {
        const struct unit_state *m = version_unit(a, i), *n = version_unit(b, i);
        const struct model_unit *unit = &table->units[i];

        if ((m == NULL) != (n == NULL) || (m != NULL && !same_candidates(unit, m, n)))
            return unit->name;
        for (uint16_t j = 0; j < unit->column_count; j++) {
            uint16_t column = unit->columns[j];

            if ((m == NULL || m->count == 1 || !shown_by_rank(unit)) &&
                !value_equal(&x->record.values[column], &y->record.values[column]))
                return table->columns[column].name;
        }
    }
    return NULL;
}

static void compare(struct history *h, const struct world *expected, uint64_t seed,
                    const uint8_t *order)
{
    for (uint32_t i = 0; i < expected->count; i++) {
        const struct story_record *record = NULL;
        const char *where = "presence";

        for (uint32_t j = 0; j < h->story.count; j++) {
            if (h->story.records[j].table == expected->records[i].table &&
                uuid_equal(&h->story.records[j].id, &expected->records[i].id))
                record = &h->story.records[j];
        }
        if (record != NULL)
            where = difference(&expected->records[i], record, h->family);
        if (where == NULL)
            continue;
        print_error("seed %llu, %s: %s differs in the order", (unsigned long long)seed,
                    expected->records[i].table->name, where);
        for (uint32_t j = 0; j < h->op_count; j++)
            print_error(" %u", order[j]);
        print_error("\n");
        fail();
    }
    assert_int_equal(h->story.count, expected->count);
}

static void check(const char *table)
{
    struct history *h = calloc(1, sizeof(*h));
    struct world *expected = calloc(1, sizeof(*expected));
    struct seeded_rng rng;
    uint64_t first;

    assert_non_null(h);
    assert_non_null(expected);
    seeded_rng_init(&rng, 1);
    first = rng.state;
    story_init(&h->story, NULL);
    for (uint64_t seed = first; seed < first + unit_rounds(HISTORIES); seed++) {
        uint8_t order[OPS];

        make_history(h, table, seed);
        replay_shuffled(h, order);
        leave(h, expected);
        for (int i = 1; i < ORDERS; i++) {
            replay_shuffled(h, order);
            compare(h, expected, seed, order);
        }
    }
    story_done(&h->story);
    free(expected);
    free(h);
}

static void test_customers_and_their_families(void **state)
{
    (void)state;
    check("customer");
}

static void test_lines(void **state)
{
    (void)state;
    check("line");
}

static void test_memos(void **state)
{
    (void)state;
    check("memo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_customers_and_their_families),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_memos),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
