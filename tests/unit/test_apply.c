/* Stories of groups: customers (DELETE_REVIVES) with contacts (REVIVES), their phones (REVIVES), and lines
 * (DELETE_WINS) with parts (REVIVES) and pieces (WINS). Customer 1 has contact 11 and line 21; contact 11
 * has phone 31; line 21 has part 41 and piece 51. */
#include "protocol/apply.h"

#include "tests/lib/story.h"
#include "tests/lib/unit.h"

static int setup(void **state)
{
    struct story *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    story_init(s, NULL);
    STORY_INSERT(s, 1, "customer", 1, "name", "Ada");
    STORY_INSERT(s, 1, "contact", 11, "customer", "1", "name", "Anna");
    STORY_INSERT(s, 1, "contact", 12, "customer", "1", "name", "Aram");
    STORY_INSERT(s, 1, "line", 21, "customer", "1", "name", "Bolts");
    STORY_INSERT(s, 1, "customer", 2, "name", "Bob");
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    story_done(*state);
    free(*state);
    return 0;
}

static void add_grandchildren(struct story *s)
{
    STORY_INSERT(s, 1, "phone", 31, "contact", "11", "name", "1");
    STORY_INSERT(s, 1, "part", 41, "line", "21", "name", "M5");
    STORY_INSERT(s, 1, "piece", 51, "line", "21", "name", "one");
}

/* A delete of customer 1 with all that belongs to it, as it is now. */
struct plan {
    struct story_record records[8];
    uint32_t count;
};

static struct plan plan_delete(struct story *s)
{
    struct plan plan = {.count = 0};

    for (uint32_t i = 0; i < s->count; i++) {
        if (!s->records[i].record.dead && !uuid_equal(&s->records[i].id, &(struct uuid){{0}}) &&
            s->records[i].id.byte[15] != 2)
            plan.records[plan.count++] = s->records[i];
    }
    return plan;
}

static void carry_out(struct story *s, unsigned who, const struct plan *plan)
{
    story_begin(s, who);
    for (uint32_t i = 0; i < plan->count; i++)
        story_delete(s, &plan->records[i]);
    story_must_commit(s);
}

static void assert_dead(struct story *s, bool customer, bool anna, bool aram, bool line)
{
    assert_int_equal(story_dead(s, "customer", 1), customer);
    assert_int_equal(story_dead(s, "contact", 11), anna);
    assert_int_equal(story_dead(s, "contact", 12), aram);
    assert_int_equal(story_dead(s, "line", 21), line);
}

/* --- Groups ----------------------------------------------------------------------------------- */

static void test_a_group_reports_its_records_in_order(void **state)
{
    struct story *s = *state;
    struct story_record ada = story_look(s, "customer", 1), anna = story_look(s, "contact", 11);

    story_begin(s, 2);
    story_update(s, &anna, "name", "Anna K", NULL);
    story_insert(s, "customer", 3, "name", "Cid", NULL);
    story_update(s, &ada, "name", "Ada L", "phone", "1", NULL);
    story_must_commit(s);
    assert_int_equal(s->report.count, 3);
    assert_true(s->report.clean);
    assert_string_equal(s->report.records[0].table->name, "contact");
    assert_true(s->report.records[1].inserted);
    assert_int_equal(s->report.records[1].previous_revision, 0);
    assert_int_equal(s->report.records[2].previous_revision, 1);
    assert_int_equal(s->report.records[2].record.version.revision, 2);
    assert_int_equal(s->report.records[2].result.written_count, 2);
    assert_true(s->report.records[2].delta_simple);
    assert_false(s->report.records[1].delta_simple);
    assert_string_equal((const char *)s->report.records[2].before.values[0].as.bytes.data, "Ada");
}

static void test_a_refused_mutation_refuses_the_group(void **state)
{
    struct story *s = *state;
    struct story_record ada = story_look(s, "customer", 1), ghost = ada;

    ghost.id = story_id(99);
    story_begin(s, 2);
    story_update(s, &ada, "name", "Ada L", NULL);
    story_delete(s, &ghost);
    assert_int_equal(story_commit(s), REASON_NO_RECORD);
    assert_int_equal(s->report.refused_mutation, 1);
    assert_null(s->report.refused_column);
    assert_null(s->report.records);
    assert_string_equal(story_shown(s, "customer", 1, "name"), "Ada");
}

static void test_a_view_leaves_out_what_cannot_be_shown(void **state)
{
    struct story *s = *state;
    struct story_record ada = story_look(s, "customer", 1), ghost = ada;

    ghost.id = story_id(99);
    s->mode = MERGE_SHOW;
    story_begin(s, 2);
    story_update(s, &ghost, "name", "x", NULL);
    story_update(s, &ada, "name", "Ada L", NULL);
    story_insert(s, "customer", 2, "name", "exists", NULL);
    ghost.id = story_id(98);
    story_delete(s, &ghost);
    assert_int_equal(story_commit(s), REASON_NONE);
    assert_int_equal(s->report.hidden_count, 3);
    assert_int_equal(s->report.count, 1);
    assert_false(s->report.clean);
    assert_string_equal(story_shown(s, "customer", 1, "name"), "Ada L");
    assert_string_equal(story_shown(s, "customer", 2, "name"), "Bob");
    assert_int_equal(story_record_of(s, "customer", 1)->version.revision, 1);
}

static void test_a_record_twice_in_a_group_is_refused(void **state)
{
    struct story *s = *state;
    struct story_record ada = story_look(s, "customer", 1);

    story_begin(s, 2);
    story_update(s, &ada, "name", "x", NULL);
    story_update(s, &ada, "phone", "1", NULL);
    assert_int_equal(story_commit(s), REASON_MALFORMED);
    s->mode = MERGE_SHOW;
    assert_int_equal(story_commit(s), REASON_NONE);
    assert_int_equal(s->report.hidden_count, 1);
    assert_string_equal(story_shown(s, "customer", 1, "name"), "x");
}

static void test_the_world_is_asked_once_for_a_record(void **state)
{
    struct story *s = *state;
    struct plan plan = plan_delete(s);

    s->gets = 0;
    carry_out(s, 2, &plan);
    assert_int_equal(s->gets, 4);
    s->gets = 0;
    story_begin(s, 3); /* two children of one parent */
    story_insert(s, "contact", 13, "customer", "2", "name", "x", NULL);
    story_insert(s, "contact", 14, "customer", "2", "name", "y", NULL);
    story_must_commit(s);
    assert_int_equal(s->gets, 3);
}

static void test_an_error_of_the_world_is_passed_on(void **state)
{
    struct story *s = *state;
    struct apply_report report = {.count = 77};

    story_begin(s, 2);
    story_insert(s, "contact", 13, "customer", "2", NULL);
    s->fail_get = ERR_IO;
    assert_err(story_apply(s, s->mutations, s->mutation_count, &report), ERR_IO);
    assert_int_equal(report.count, 77);
}

/* --- Parents and children --------------------------------------------------------------------- */

static void test_a_customer_dies_with_all_that_belongs_to_it(void **state)
{
    struct story *s = *state;
    struct plan plan;

    add_grandchildren(s);
    plan = plan_delete(s);
    carry_out(s, 2, &plan);
    assert_dead(s, true, true, true, true);
    assert_true(story_dead(s, "phone", 31) && story_dead(s, "part", 41) &&
                story_dead(s, "piece", 51));
    assert_false(story_dead(s, "customer", 2));
    assert_true(s->report.clean);
    assert_int_equal(s->report.count, 7);
}

static void test_a_child_left_out_keeps_its_parent(void **state)
{
    struct story *s = *state;
    struct plan plan = plan_delete(s);

    plan.count--; /* the line */
    carry_out(s, 2, &plan);
    assert_dead(s, false, false, false, false);
    assert_int_equal(s->report.count, 1); /* who asked for the customer's end is told, once */
    assert_true(story_applied(s, "customer", 1)->result.delete_lost);
    assert_false(s->report.clean);
}

static void test_a_write_to_a_child_before_the_delete_voids_all_of_it(void **state)
{
    struct story *s = *state;
    struct plan plan = plan_delete(s);
    struct story_record anna = story_look(s, "contact", 11);

    STORY_UPDATE(s, 3, &anna, "name", "Anna K");
    carry_out(s, 2, &plan);
    assert_dead(s, false, false, false, false);
    assert_true(story_applied(s, "customer", 1)->result.delete_lost);
    assert_true(story_applied(s, "contact", 11)->result.delete_lost);
    assert_null(story_applied(s, "contact", 12));
}

static void test_a_write_to_a_child_after_the_delete_brings_all_of_it_back(void **state)
{
    struct story *s = *state;
    struct plan plan = plan_delete(s);
    struct story_record anna = story_look(s, "contact", 11);

    carry_out(s, 2, &plan);
    STORY_UPDATE(s, 3, &anna, "name", "Anna K");
    assert_dead(s, false, false, false, false);
    assert_true(story_applied(s, "customer", 1)->result.revived);
    assert_int_equal(story_record_of(s, "customer", 1)->version.revision, 3);
    assert_int_equal(s->report.count, 4);
    assert_string_equal(s->report.records[0].table->name, "contact"); /* the group's own first */
    assert_false(s->report.clean);
}

static void test_a_write_to_a_line_before_or_after_does_the_same(void **state)
{
    struct story *s = *state;
    struct plan plan = plan_delete(s);
    struct story_record line = story_look(s, "line", 21);

    carry_out(s, 2, &plan);
    STORY_UPDATE(s, 3, &line, "name", "Nuts");
    assert_dead(s, false, false, false, false);
    carry_out(s, 4, &plan); /* 4 has not seen the nuts either */
    assert_dead(s, false, false, false, false);
}

static void test_a_new_child_brings_its_parent_back(void **state)
{
    struct story *s = *state;
    struct plan plan = plan_delete(s);

    carry_out(s, 2, &plan);
    STORY_INSERT(s, 3, "line", 22, "customer", "1", "name", "Screws");
    assert_dead(s, false, false, false, false);
    assert_true(story_applied(s, "customer", 1)->result.revived);
    carry_out(s, 4, &plan); /* knows nothing of the screws */
    assert_dead(s, false, false, false, false);
}

static void test_a_write_to_the_parent_itself_brings_the_children_back(void **state)
{
    struct story *s = *state;
    struct plan plan = plan_delete(s);

    carry_out(s, 2, &plan);
    STORY_UPDATE(s, 3, &plan.records[0], "phone", "1");
    assert_dead(s, false, false, false, false);
}

static void test_a_write_to_a_grandchild_brings_back_the_whole_line_of_ancestors(void **state)
{
    struct story *s = *state;
    struct story_record phone, part;
    struct plan plan;

    add_grandchildren(s);
    plan = plan_delete(s);
    phone = story_look(s, "phone", 31);
    part = story_look(s, "part", 41);
    carry_out(s, 2, &plan);
    STORY_UPDATE(s, 3, &phone, "name", "2");
    assert_dead(s, false, false, false, false);
    assert_false(story_dead(s, "part", 41) || story_dead(s, "piece", 51));
    carry_out(s, 4, &plan);
    assert_dead(s, false, false, false, false);
    plan = plan_delete(s);
    carry_out(s, 2, &plan);
    assert_dead(s, true, true, true, true);
    STORY_UPDATE(s, 3, &part, "name", "M6"); /* through a line, which by itself dies for good */
    assert_dead(s, false, false, false, false);
    assert_false(story_dead(s, "phone", 31));
}

static void test_a_line_deleted_by_itself_does_not_hold_its_customer(void **state)
{
    struct story *s = *state;
    struct story_record line = story_look(s, "line", 21);
    struct plan plan;

    STORY_DELETE(s, 3, &line);
    plan = plan_delete(s);
    assert_int_equal(plan.count, 3);
    carry_out(s, 2, &plan);
    assert_dead(s, true, true, true, true);
    STORY_UPDATE(s, 4, &line, "name", "Nuts"); /* dead on its own account: nobody comes back */
    assert_dead(s, true, true, true, true);
    assert_string_equal(story_shown(s, "line", 21, "name"), "Nuts");
}

static void test_siblings_dead_by_their_own_deletes_stay_dead(void **state)
{
    struct story *s = *state;
    struct story_record aram = story_look(s, "contact", 12), anna = story_look(s, "contact", 11);
    struct plan plan = plan_delete(s);

    carry_out(s, 2, &plan);
    STORY_DELETE(s, 3, &aram);
    STORY_UPDATE(s, 4, &anna, "name", "Anna K");
    assert_dead(s, false, false, true, false);
}

static void test_two_deletes_of_a_customer_fall_together(void **state)
{
    struct story *s = *state;
    struct story_record anna = story_look(s, "contact", 11);
    struct plan plan = plan_delete(s);

    carry_out(s, 2, &plan);
    carry_out(s, 3, &plan);
    assert_int_equal(story_record_of(s, "customer", 1)->version.delete_count, 2);
    STORY_UPDATE(s, 4, &anna, "name", "Anna K");
    assert_dead(s, false, false, false, false);
    assert_int_equal(story_record_of(s, "line", 21)->version.delete_count, 0);
}

static void test_a_restore_of_the_customer_restores_what_went_with_it(void **state)
{
    struct story *s = *state;
    struct story_record line = story_look(s, "line", 21), dead;
    struct plan plan;

    STORY_DELETE(s, 3, &line);
    plan = plan_delete(s);
    carry_out(s, 2, &plan);
    dead = story_look(s, "customer", 1);
    story_begin(s, 2);
    story_restore(s, &dead, NULL);
    story_must_commit(s);
    assert_dead(s, false, false, false, true);
    assert_true(s->report.clean); /* it was asked for */
    assert_int_equal(s->report.count, 3);
}

static void test_a_restore_of_a_child_restores_its_parent(void **state)
{
    struct story *s = *state;
    struct story_record dead;
    struct plan plan = plan_delete(s);

    carry_out(s, 2, &plan);
    dead = story_look(s, "line", 21);
    story_begin(s, 2);
    story_restore(s, &dead, NULL);
    story_must_commit(s);
    assert_dead(s, false, false, false, false);
}

static void test_two_customers_in_one_group_are_judged_apart(void **state)
{
    struct story *s = *state;
    struct story_record anna = story_look(s, "contact", 11), bob = story_look(s, "customer", 2);
    struct plan plan = plan_delete(s);

    plan.records[plan.count++] = bob;
    STORY_UPDATE(s, 3, &anna, "name", "Anna K");
    carry_out(s, 2, &plan);
    assert_dead(s, false, false, false, false);
    assert_true(story_dead(s, "customer", 2));
}

static void test_a_line_takes_its_pieces_whatever_was_written(void **state)
{
    struct story *s = *state;
    struct story_record line, part, piece;

    add_grandchildren(s);
    line = story_look(s, "line", 21);
    part = story_look(s, "part", 41);
    piece = story_look(s, "piece", 51);
    STORY_UPDATE(s, 3, &part, "name", "M6");
    STORY_UPDATE(s, 3, &piece, "name", "two");
    story_begin(s, 2);
    story_delete(s, &line);
    story_delete(s, &part);
    story_delete(s, &piece);
    story_must_commit(s);
    assert_true(story_dead(s, "line", 21));
    assert_true(story_dead(s, "piece", 51));
    assert_false(story_dead(s, "part", 41)); /* its own policy: what was written lives */
    assert_true(story_applied(s, "part", 41)->result.delete_lost);
    assert_false(story_dead(s, "customer", 1));
    part = story_look(s, "part", 41);
    STORY_UPDATE(s, 3, &part, "name", "M7");
    assert_true(story_dead(s, "line", 21)); /* not revived by what lies below it */
}

static void test_a_child_that_moves_is_judged_by_its_new_parent(void **state)
{
    struct story *s = *state;
    struct story_record anna = story_look(s, "contact", 11);
    struct plan plan = plan_delete(s);

    carry_out(s, 2, &plan);
    STORY_UPDATE(s, 3, &anna, "customer", "2");
    assert_false(story_dead(s, "contact", 11));
    assert_true(story_dead(s, "customer", 1)); /* it went away: nothing holds the old one */
    anna = story_look(s, "contact", 11);
    STORY_UPDATE(s, 3, &anna, "customer", "1"); /* and back, to a dead one */
    assert_dead(s, false, false, false, false);
}

static void test_a_group_may_write_below_what_it_deletes(void **state)
{
    struct story *s = *state;
    struct plan plan = plan_delete(s);

    story_begin(s, 2);
    for (uint32_t i = 0; i < plan.count; i++)
        story_delete(s, &plan.records[i]);
    story_insert(s, "line", 22, "customer", "1", "name", "Screws", NULL);
    story_must_commit(s);
    assert_dead(s, false, false, false, false); /* that line was not seen by the delete */
}

/* No model allows it; nothing hangs all the same. */
static void test_deletes_that_go_in_circles_end(void **state)
{
    static const char json[] =
        "{\"name\": \"circle\", \"version\": 1, \"tables\": ["
        "{\"id\": 16, \"name\": \"node\", \"delete\": \"revives\", \"bucket\": \"company\","
        " \"columns\": [{\"id\": 1, \"name\": \"above\", \"type\": \"reference\","
        " \"target\": \"node\"}]},"
        "{\"id\": 17, \"name\": \"line\", \"delete\": \"wins\", \"bucket\": \"company\","
        " \"columns\": [{\"id\": 1, \"name\": \"above\", \"type\": \"reference\","
        " \"target\": \"line\"}]}]}";
    static const char *const tables[] = {"node", "line"};
    struct story s;

    (void)state;
    story_init(&s, json);
    for (int i = 0; i < 2; i++) {
        const struct model_table *table = model_table_by_name(s.model, bytes_of_text(tables[i]));
        struct story_record one, two;

        ((struct model_table *)table)->parent_column = 0;
        STORY_INSERT(&s, 1, tables[i], 1, "above", "2");
        STORY_INSERT(&s, 1, tables[i], 2, "above", "1");
        STORY_INSERT(&s, 1, tables[i], 3, "above", "3");
        one = story_look(&s, tables[i], 1);
        two = story_look(&s, tables[i], 2);
        story_begin(&s, 2);
        story_delete(&s, &one);
        story_delete(&s, &two);
        story_must_commit(&s);
        assert_true(story_dead(&s, tables[i], 1) && story_dead(&s, tables[i], 2));
        STORY_UPDATE(&s, 3, &one, "above", "2");
        assert_int_equal(story_dead(&s, tables[i], 1), i == 1);
        assert_int_equal(story_dead(&s, tables[i], 2), i == 1);
        one = story_look(&s, tables[i], 3);
        story_begin(&s, 2);
        story_delete(&s, &one); /* its own parent */
        story_must_commit(&s);
        STORY_UPDATE(&s, 3, &one, "above", "1");
    }
    story_done(&s);
}

/* Twenty thousand records take no quadratic time. */
static void test_a_large_group(void **state)
{
    enum { COUNT = 20000 };
    struct story *s = *state;
    const struct model_table *table = model_table_by_name(s->model, bytes_of_text("customer"));
    struct mutation *mutations = calloc(COUNT, sizeof(*mutations));
    struct apply_report report;

    for (uint32_t i = 0; i < COUNT; i++) {
        mutations[i] = (struct mutation){.table = table, .op = MUTATION_INSERT};
        be32_put(mutations[i].id.byte + 4, i * 2654435761u);
    }
    story_begin(s, 2);
    assert_ok(story_apply(s, mutations, COUNT, &report));
    assert_int_equal(report.reason, REASON_NONE);
    assert_int_equal(report.count, COUNT);
    assert_true(report.clean);
    free(mutations);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_group_reports_its_records_in_order),
        TEST(test_a_refused_mutation_refuses_the_group),
        TEST(test_a_view_leaves_out_what_cannot_be_shown),
        TEST(test_a_record_twice_in_a_group_is_refused),
        TEST(test_the_world_is_asked_once_for_a_record),
        TEST(test_an_error_of_the_world_is_passed_on),
        TEST(test_a_customer_dies_with_all_that_belongs_to_it),
        TEST(test_a_child_left_out_keeps_its_parent),
        TEST(test_a_write_to_a_child_before_the_delete_voids_all_of_it),
        TEST(test_a_write_to_a_child_after_the_delete_brings_all_of_it_back),
        TEST(test_a_write_to_a_line_before_or_after_does_the_same),
        TEST(test_a_new_child_brings_its_parent_back),
        TEST(test_a_write_to_the_parent_itself_brings_the_children_back),
        TEST(test_a_write_to_a_grandchild_brings_back_the_whole_line_of_ancestors),
        TEST(test_a_line_deleted_by_itself_does_not_hold_its_customer),
        TEST(test_siblings_dead_by_their_own_deletes_stay_dead),
        TEST(test_two_deletes_of_a_customer_fall_together),
        TEST(test_a_restore_of_the_customer_restores_what_went_with_it),
        TEST(test_a_restore_of_a_child_restores_its_parent),
        TEST(test_two_customers_in_one_group_are_judged_apart),
        TEST(test_a_line_takes_its_pieces_whatever_was_written),
        TEST(test_a_child_that_moves_is_judged_by_its_new_parent),
        TEST(test_a_group_may_write_below_what_it_deletes),
        TEST(test_deletes_that_go_in_circles_end),
        TEST(test_a_large_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
