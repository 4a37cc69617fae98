#include "protocol/group.h"

#include "tests/lib/story.h"
#include "tests/lib/unit.h"

static int setup(void **state)
{
    struct story *s = calloc(1, sizeof(*s));
    struct story_record start;

    assert_non_null(s);
    story_init(s, NULL);
    STORY_INSERT(s, 1, "customer", 1, "name", "Ada", "tags", "[\"a\",\"b\"]", "points", "10");
    start = story_look(s, "customer", 1);
    STORY_UPDATE(s, 2, &start, "name", "Ada L", "note", "x");
    story_begin(s, 3);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    story_done(*state);
    free(*state);
    return 0;
}

/* What is left of the mutations begun. */
static uint32_t normalise(struct story *s, const struct mutation **ret)
{
    uint32_t count = 1000;

    assert_ok(group_normalise(s->mutations, s->mutation_count, &s->arena, ret, &count));
    return count;
}

static const struct mutation *normalise_to_one(struct story *s, enum mutation_op op)
{
    const struct mutation *out;

    assert_int_equal(normalise(s, &out), 1);
    assert_int_equal(out->op, op);
    for (uint16_t i = 1; i < out->write_count; i++)
        assert_true(out->writes[i - 1].unit->index < out->writes[i].unit->index);
    return out;
}

static const struct unit_write *write_of(const struct mutation *mutation, const char *unit)
{
    for (uint16_t i = 0; i < mutation->write_count; i++) {
        if (strcmp(mutation->writes[i].unit->name, unit) == 0)
            return &mutation->writes[i];
    }
    fail_msg("there is no write of %s", unit);
    return NULL;
}

/* The record as the transaction itself has left it so far: under the group's own dot. */
static struct story_record look_again(struct story *s, uint64_t oseq)
{
    struct story_record seen = story_look(s, "customer", 1);
    struct unit_state *units = arena_calloc(&s->arena, 2, sizeof(*units));
    struct candidate *own = arena_calloc(&s->arena, 2, sizeof(*own));

    for (uint16_t i = 0; i < 2; i++) {
        own[i] = (struct candidate){.dot = {3, oseq, 7}, .stamp = 9};
        units[i] = seen.record.version.units[i];
        units[i].candidates = &own[i];
    }
    seen.record.version.units = units;
    return seen;
}

static void test_a_single_mutation_passes_through(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1);
    const struct mutation *out;

    story_update(s, &seen, "phone", "1", NULL);
    story_insert(s, "customer", 2, "name", "Bob", NULL);
    seen.id = story_id(7);
    story_delete(s, &seen);
    assert_int_equal(normalise(s, &out), 3);
    assert_memory_equal(out, s->mutations, 3 * sizeof(*out));
}

static void test_nothing_stays_nothing(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1);
    const struct mutation *out;

    assert_int_equal(normalise(s, &out), 0);
    story_update(s, &seen, NULL);
    assert_int_equal(normalise(s, &out), 0);
}

static void test_the_last_value_counts_and_the_first_frontier(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1), again = look_again(s, 1);
    const struct mutation *out;
    const struct unit_write *name, *note;

    story_update(s, &seen, "name", "first", "note", "one", NULL);
    story_update(s, &again, "name", "second", "phone", "1", "note", "two", NULL);
    out = normalise_to_one(s, MUTATION_UPDATE);
    assert_int_equal(out->write_count, 3);
    assert_true(dot_equal(&out->insert, &seen.record.version.insert));
    name = write_of(out, "name");
    assert_text(name->values[0].as.bytes, "second");
    assert_int_equal(name->seen.count, 1);
    assert_int_equal(name->seen.dots[0].origin, 2);
    note = write_of(out, "note");
    assert_text(note->values[0].as.bytes, "two");
    assert_text(note->base[0].as.bytes, "x");
    assert_text(write_of(out, "phone")->values[0].as.bytes, "1");
}

static void test_deltas_are_summed(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1);
    const struct mutation *out;

    story_update(s, &seen, "points", "5", "weight", "0.5", NULL);
    story_update(s, &seen, "points", "-7", "weight", "0.25", NULL);
    out = normalise_to_one(s, MUTATION_UPDATE);
    assert_int_equal(write_of(out, "points")->values[0].as.integer, -2);
    assert_true(write_of(out, "weight")->values[0].as.real == 0.75);
}

static void test_sets_gather_what_is_added_and_removed(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1);
    const struct unit_write *tags;

    story_update(s, &seen, "tags", "+z +c -b", NULL);
    story_update(s, &seen, "tags", "+c +d -a", NULL);
    story_update(s, &seen, "tags", "+b", NULL);
    tags = write_of(normalise_to_one(s, MUTATION_UPDATE), "tags");
    assert_int_equal(tags->add_count, 4);
    assert_text(tags->adds[0], "b");
    assert_text(tags->adds[1], "c");
    assert_text(tags->adds[3], "z");
    assert_int_equal(tags->remove_count, 2);
    assert_text(tags->removes[0].element, "a");
    assert_text(tags->removes[1].element, "b");
}

static void test_an_element_added_and_removed_again_leaves_nothing(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1);
    struct set_pair own = {.element = bytes_of_text("c")}; /* no dot yet */
    struct unit_write *write;
    const struct mutation *out;

    story_update(s, &seen, "tags", "+c", NULL);
    story_update(s, &seen, "tags", "", NULL);
    write = (struct unit_write *)story_last(s)->writes;
    write->removes = &own;
    write->remove_count = 1;
    assert_int_equal(normalise(s, &out), 0);
}

static void test_an_insert_takes_later_writes_in(void **state)
{
    struct story *s = *state;
    struct story_record made = story_look(s, "customer", 1);
    const struct mutation *out;

    made.id = story_id(5);
    story_insert(s, "customer", 5, "name", "Eve", "tags", "[\"x\",\"y\"]", "city", "Gyumri", NULL);
    story_update(s, &made, "name", "Eva", "points", "5", "tags", "+b -x", "note", "n", NULL);
    story_update(s, &made, "points", "-2", "city", "Vanadzor", NULL);
    out = normalise_to_one(s, MUTATION_INSERT);
    assert_int_equal(out->write_count, 5);
    assert_true(dot_is_none(&out->insert));
    assert_text(write_of(out, "name")->values[0].as.bytes, "Eva");
    assert_int_equal(write_of(out, "points")->values[0].as.integer, 3);
    assert_text(write_of(out, "tags")->values[0].as.bytes, "[\"b\",\"y\"]");
    assert_text(write_of(out, "address")->values[0].as.bytes, "Vanadzor");
    for (uint16_t i = 0; i < out->write_count; i++) {
        assert_int_equal(out->writes[i].seen.count, 0);
        assert_null(out->writes[i].base);
        assert_int_equal(out->writes[i].add_count + out->writes[i].remove_count, 0);
    }
}

static void test_an_insert_and_its_delete_vanish(void **state)
{
    struct story *s = *state;
    struct story_record made = story_look(s, "customer", 1);
    const struct mutation *out;

    made.id = story_id(5);
    story_insert(s, "customer", 5, "name", "Eve", NULL);
    story_update(s, &made, "name", "Eva", NULL);
    story_delete(s, &made);
    assert_int_equal(normalise(s, &out), 0);
    story_insert(s, "customer", 5, "phone", "2", NULL); /* and here it is again */
    out = normalise_to_one(s, MUTATION_INSERT);
    assert_int_equal(out->write_count, 1);
}

static void test_updates_before_a_delete_leave_the_delete(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1), again = look_again(s, 1);
    const struct mutation *out;

    story_update(s, &seen, "name", "x", "phone", "1", NULL);
    story_delete(s, &again);
    out = normalise_to_one(s, MUTATION_DELETE);
    assert_int_equal(out->write_count, 0);
    assert_int_equal(out->frontier_count, 2); /* name as it was before; note as the delete saw it */
    assert_int_equal(out->frontier[0].seen.dots[0].origin, 2);
    assert_int_equal(out->frontier[1].seen.dots[0].origin, 3);
}

static void test_a_delete_taken_back_leaves_the_updates(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1);
    const struct mutation *out;

    story_update(s, &seen, "name", "x", NULL);
    story_delete(s, &seen);
    story_restore(s, &seen, "phone", "1", NULL);
    out = normalise_to_one(s, MUTATION_UPDATE);
    assert_int_equal(out->write_count, 2);
    story_begin(s, 3);
    story_delete(s, &seen);
    story_restore(s, &seen, NULL);
    assert_int_equal(normalise(s, &out), 0);
    story_begin(s, 3);
    story_delete(s, &seen);
    story_restore(s, &seen, "note", "no base is known", NULL);
    out = normalise_to_one(s, MUTATION_RESTORE);
    assert_int_equal(out->deletes.count, 0);
}

static void test_a_restore_keeps_the_deletes_that_it_names(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1), dead;
    const struct mutation *out;

    STORY_DELETE(s, 4, &seen);
    dead = story_look(s, "customer", 1);
    story_begin(s, 3);
    story_restore(s, &dead, "phone", "1", NULL);
    story_update(s, &seen, "name", "x", "note", "y", NULL);
    out = normalise_to_one(s, MUTATION_RESTORE);
    assert_int_equal(out->deletes.count, 1);
    assert_int_equal(out->deletes.dots[0].origin, 4);
    assert_int_equal(out->write_count, 3);
    assert_null(write_of(out, "note")->base);
    story_delete(s, &dead);
    normalise_to_one(s, MUTATION_DELETE);
}

static void test_order_is_that_of_the_first_touch(void **state)
{
    struct story *s = *state;
    struct story_record one = story_look(s, "customer", 1), two = one;
    const struct mutation *out;

    two.id = story_id(2);
    story_update(s, &two, "name", "b", NULL);
    story_update(s, &one, "name", "a", NULL);
    story_insert(s, "contact", 1, "name", "same id, another table", NULL);
    story_update(s, &two, "phone", "2", NULL);
    assert_int_equal(normalise(s, &out), 3);
    assert_int_equal(out[0].id.byte[15], 2);
    assert_int_equal(out[0].write_count, 2);
    assert_int_equal(out[1].id.byte[15], 1);
    assert_string_equal(out[2].table->name, "contact");
}

static void test_what_no_transaction_can_do_is_refused(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1);
    const struct mutation *out;
    uint32_t count;

    story_update(s, &seen, "name", "x", NULL);
    story_insert(s, "customer", 1, "name", "y", NULL);
    assert_err(group_normalise(s->mutations, 2, &s->arena, &out, &count), ERR_INVALID);
    story_begin(s, 3);
    story_delete(s, &seen);
    story_update(s, &seen, "name", "x", NULL);
    assert_err(group_normalise(s->mutations, 2, &s->arena, &out, &count), ERR_INVALID);
}

static void test_too_many_records_are_refused(void **state)
{
    struct story *s = *state;
    struct mutation *many = calloc(GROUP_MUTATIONS_MAX + 1, sizeof(*many));
    const struct mutation *out;
    struct arena arena;
    uint32_t count;

    arena_init(&arena, (size_t)256 << 20);
    for (uint32_t i = 0; i <= GROUP_MUTATIONS_MAX; i++) {
        many[i] =
            (struct mutation){.table = model_table_by_name(s->model, bytes_of_text("customer")),
                              .op = MUTATION_INSERT};
        be32_put(many[i].id.byte + 12, i);
    }
    assert_ok(group_normalise(many, GROUP_MUTATIONS_MAX, &arena, &out, &count));
    assert_int_equal(count, GROUP_MUTATIONS_MAX);
    assert_err(group_normalise(many, GROUP_MUTATIONS_MAX + 1, &arena, &out, &count), ERR_LIMIT);
    arena_done(&arena);
    free(many);
}

static void test_no_memory(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1), made = seen;
    bool done = false;

    made.id = story_id(5);
    story_update(s, &seen, "tags", "+z +c -b", "points", "1", NULL);
    story_update(s, &seen, "tags", "+c +d -a", "points", "2", NULL);
    story_insert(s, "customer", 5, "tags", "[\"x\",\"y\"]", NULL);
    story_update(s, &made, "tags", "+b -x", NULL);
    for (size_t limit = 0; !done; limit += 16) {
        const struct mutation *out = NULL;
        uint32_t count = 0;
        struct arena arena;
        enum err error;

        arena_init(&arena, limit);
        error = group_normalise(s->mutations, s->mutation_count, &arena, &out, &count);
        done = error == ERR_OK;
        assert_true(done || (error == ERR_NOMEM && out == NULL && count == 0));
        arena_done(&arena);
    }
}

/* --- A new dot -------------------------------------------------------------------------------- */

static void test_renumbering_changes_every_reference(void **state)
{
    struct story *s = *state;
    struct story_record seen = story_look(s, "customer", 1), dead;
    static const uint64_t moved[] = {4, 5}, apart[] = {3, 5};
    struct dot foreign = {9, 4, 1};
    struct group group = {.dot = {2, 5, 77}, .stamp = 3}, out;
    struct dot dots[3] = {{2, 3, 7}, {2, 4, 7}, {5, 1, 7}};
    struct set_pair removes[2] = {{bytes_of_text("a"), {1, 1, 7}}, {bytes_of_text("a"), {2, 4, 8}}};
    struct unit_write *write;

    STORY_DELETE(s, 2, &seen);
    dead = story_look(s, "customer", 1);
    story_begin(s, 2);
    story_update(s, &seen, "name", "x", "tags", "+q", NULL);
    write = (struct unit_write *)story_last(s)->writes;
    write[0].seen = (struct dot_set){.dots = dots, .count = 3};
    write[1].removes = removes;
    write[1].remove_count = 2;
    story_last(s)->insert = (struct dot){2, 4, 1};
    story_delete(s, &seen);
    story_restore(s, &dead, NULL);
    group.mutations = s->mutations;
    group.mutation_count = 3;
    assert_ok(group_renumber(&group, 2, moved, 2, 1, &s->arena, &out));
    assert_true(dot_equal(&out.dot, &(struct dot){1, 2, 77}));
    assert_true(dot_equal(&out.renamed, &group.dot));
    assert_int_equal(out.stamp, 3);
    assert_true(dot_equal(&out.mutations[0].insert, &(struct dot){1, 1, 1}));
    write = (struct unit_write *)out.mutations[0].writes;
    assert_int_equal(write[0].seen.count, 3);
    assert_true(dot_equal(&write[0].seen.dots[0], &(struct dot){1, 1, 7})); /* sorted anew */
    assert_true(dot_equal(&write[0].seen.dots[1], &(struct dot){2, 3, 7})); /* it stays */
    assert_true(dot_equal(&write[0].seen.dots[2], &dots[2]));
    assert_true(dot_equal(&write[1].removes[1].dot, &(struct dot){1, 1, 8}));
    assert_int_equal(out.mutations[1].frontier_count, 2);
    assert_true(dot_equal(&out.mutations[1].frontier[0].seen.dots[0], &(struct dot){2, 1, 7}));
    assert_int_equal(out.mutations[2].deletes.count, 1);
    assert_true(dot_equal(&group.mutations[0].insert, &(struct dot){2, 4, 1})); /* untouched */
    /* what is decided in between keeps its number */
    assert_ok(group_renumber(&group, 2, apart, 2, 1, &s->arena, &out));
    assert_true(dot_equal(&out.dot, &(struct dot){1, 2, 77}));
    assert_true(dot_equal(&out.mutations[0].insert, &(struct dot){2, 4, 1}));
    assert_true(dot_equal(&out.mutations[0].writes[0].seen.dots[0], &(struct dot){1, 1, 7}));
    group.dot = foreign;
    assert_ok(group_renumber(&group, 2, moved, 2, 1, &s->arena, &out));
    assert_true(dot_equal(&out.dot, &foreign));
    assert_true(dot_is_none(&out.renamed));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_single_mutation_passes_through),
        TEST(test_nothing_stays_nothing),
        TEST(test_the_last_value_counts_and_the_first_frontier),
        TEST(test_deltas_are_summed),
        TEST(test_sets_gather_what_is_added_and_removed),
        TEST(test_an_element_added_and_removed_again_leaves_nothing),
        TEST(test_an_insert_takes_later_writes_in),
        TEST(test_an_insert_and_its_delete_vanish),
        TEST(test_updates_before_a_delete_leave_the_delete),
        TEST(test_a_delete_taken_back_leaves_the_updates),
        TEST(test_a_restore_keeps_the_deletes_that_it_names),
        TEST(test_order_is_that_of_the_first_touch),
        TEST(test_what_no_transaction_can_do_is_refused),
        TEST(test_too_many_records_are_refused),
        TEST(test_no_memory),
        TEST(test_renumbering_changes_every_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
