/* Stories of devices and headquarters: the real cores, joined in memory (tests/lib/pair.h). */
#include "tests/lib/pair.h"

static void edits_of_two_columns_both_survive(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 1);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    pair_sync(&p, b);
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "Acme");
    pair_set(&p, a, "party", id, "name", "Acme Ltd");
    pair_set(&p, b, "party", id, "legal_name", "Acme Limited");
    pair_sync(&p, a);
    pair_sync(&p, b);
    pair_sync(&p, a);
    assert_string_equal(pair_cell(&p, a, "party", id, "legal_name"), "Acme Limited");
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "Acme Ltd");
    assert_int_equal(pair_count(&p, NULL, "conflict"), 0);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_done(&p);
}

static void the_same_column_leaves_a_conflict_record(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 2);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    pair_sync(&p, b);
    pair_set(&p, a, "party", id, "name", "Acme East");
    pair_set(&p, b, "party", id, "name", "Acme West");
    pair_sync(&p, b);
    pair_sync(&p, a);
    pair_sync(&p, b);
    assert_string_equal(pair_cell(&p, a, "party", id, "name"), "Acme West");
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "Acme West");
    assert_int_equal(pair_count(&p, a, "conflict"), 1);
    assert_int_equal(pair_count(&p, b, "conflict"), 1);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_done(&p);
}

static void live_sessions_see_each_other(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 3);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    pair_connect(&p, a, false);
    pair_connect(&p, b, false);
    pair_run(&p);
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    struct uplink_effects effects;
    uplink_local_change(a->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &effects);
    pair_run(&p);
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "Acme");
    pair_set(&p, b, "party", id, "name", "Acme 2");
    uplink_local_change(b->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &effects);
    pair_run(&p);
    assert_string_equal(pair_cell(&p, a, "party", id, "name"), "Acme 2");
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    struct hub_stats stats;
    hub_stats(p.hub, &stats);
    assert_int_equal(stats.fallbacks, 0);
    assert_int_equal(stats.peers_live, 2);
    pair_done(&p);
}

static void a_customer_goes_with_its_people_and_comes_back(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 4);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    pair_sync(&p, b);
    pair_delete(&p, a, "party", id);
    assert_string_equal(pair_cell(&p, a, "party", id, "name"), "-");
    pair_set(&p, b, "party", id, "legal_name", "still here");
    pair_sync(&p, a);
    pair_sync(&p, b);
    pair_sync(&p, a);
    assert_string_equal(pair_cell(&p, a, "party", id, "legal_name"), "still here");
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_delete(&p, a, "party", id);
    pair_sync(&p, a);
    pair_sync(&p, b);
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "-");
    pair_assert_equal(&p, b);
    pair_done(&p);
}

static void a_rep_cannot_write_products(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 5);
    struct pair_device *a = pair_enrol(&p, "anna", "rep");
    struct uuid id = pair_insert(&p, a, "product", "name", "Gold");
    pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    struct replica_status status;
    replica_status(a->replica, &status);
    assert_int_equal(status.parked_count, 1);
    assert_int_equal(status.outbox_count, 0);
    assert_string_equal(pair_cell(&p, a, "product", id, "name"), "-");
    assert_int_equal(pair_count(&p, NULL, "party"), 1);
    pair_assert_equal(&p, a);
    pair_done(&p);
}

static void a_restart_of_either_side_loses_nothing(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 6);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_restart_device(&p, a);
    pair_sync(&p, a);
    pair_restart_hub(&p);
    pair_sync(&p, b);
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "Acme");
    pair_set(&p, b, "party", id, "name", "Acme 2");
    pair_restart_device(&p, b);
    pair_sync(&p, b);
    pair_sync(&p, a);
    assert_string_equal(pair_cell(&p, a, "party", id, "name"), "Acme 2");
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_of_two_columns_both_survive),
        cmocka_unit_test(the_same_column_leaves_a_conflict_record),
        cmocka_unit_test(live_sessions_see_each_other),
        cmocka_unit_test(a_customer_goes_with_its_people_and_comes_back),
        cmocka_unit_test(a_rep_cannot_write_products),
        cmocka_unit_test(a_restart_of_either_side_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
