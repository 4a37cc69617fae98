/* Changes of one transaction that undo each other leave nothing, in the view neither. */
#include "tests/lib/pair.h"

static void set_phones(struct pair *p, struct pair_device *device, const struct uuid *id,
                       const char *json)
{
    const struct model_table *party = model_table_by_name(p->model, bytes_of_text("party"));
    const uint16_t column = model_column_by_name(party, bytes_of_text("phones"))->index;
    const struct value value = value_text(bytes_of_text(json));
    struct err_info info = {0};
    if (replica_update(device->replica, party, id, &column, &value, 1, false, &info) != ERR_OK)
        fail_msg("%s", info.message);
}

static void a_set_that_is_as_before_is_not_pending(void **state)
{
    (void)state;
    static struct pair p;
    struct err_info info = {0};
    struct dot dot;
    pair_init(&p, NULL, 1);
    struct pair_device *device = pair_enrol(&p, "anna", "admin");
    struct uuid id = pair_insert(&p, device, "party", "name", "Acme"), other = {{0}};
    pair_sync(&p, device);

    const struct model_table *party = model_table_by_name(p.model, bytes_of_text("party"));
    const uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
    const struct value text = value_text(bytes_of_text("Globex"));
    assert_ok(replica_begin(device->replica, p.now_ms));
    set_phones(&p, device, &id, "[\"1\"]");
    set_phones(&p, device, &id, "[]");
    assert_ok(replica_insert(device->replica, party, &other, &name, &text, 1, &info));
    assert_ok(replica_commit(device->replica, &dot));
    assert_false(dot_is_none(&dot));
    pair_sync(&p, device);
    pair_assert_equal(&p, device);
    pair_done(&p);
}

/* Of a change and a delete in one transaction the delete alone is sent: what comes back when it is lifted is
 * the record without the change, here as at headquarters. */
static void a_change_that_its_delete_swallowed_does_not_come_back(void **state)
{
    (void)state;
    static struct pair p;
    struct err_info info = {0};
    struct dot dot;
    pair_init(&p, NULL, 2);
    struct pair_device *device = pair_enrol(&p, "anna", "admin");
    struct uuid id = pair_insert(&p, device, "party", "name", "Acme");
    pair_sync(&p, device);
    const struct model_table *party = model_table_by_name(p.model, bytes_of_text("party"));
    const uint16_t points = model_column_by_name(party, bytes_of_text("loyalty_points"))->index;
    const struct value value = value_int(7);
    assert_ok(replica_begin(device->replica, p.now_ms));
    assert_ok(replica_update(device->replica, party, &id, &points, &value, 1, false, &info));
    assert_ok(replica_delete(device->replica, party, &id, &info));
    assert_ok(replica_commit(device->replica, &dot));
    assert_ok(replica_begin(device->replica, p.now_ms));
    assert_ok(replica_restore(device->replica, party, &id, &info));
    assert_ok(replica_commit(device->replica, &dot));
    assert_string_equal(pair_cell(&p, device, "party", id, "loyalty_points"), "0");
    pair_sync(&p, device);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "loyalty_points"), "0");
    pair_assert_equal(&p, device);
    pair_done(&p);
}

/* A unit that is as before, of a record that is changed in another one. */
static void a_set_that_is_as_before_beside_a_change_is_not_pending(void **state)
{
    (void)state;
    static struct pair p;
    struct err_info info = {0};
    struct dot dot;
    pair_init(&p, NULL, 3);
    struct pair_device *device = pair_enrol(&p, "anna", "admin");
    struct uuid id = pair_insert(&p, device, "party", "name", "Acme");
    pair_sync(&p, device);
    const struct model_table *party = model_table_by_name(p.model, bytes_of_text("party"));
    const uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
    const struct value text = value_text(bytes_of_text("Globex"));
    assert_ok(replica_begin(device->replica, p.now_ms));
    set_phones(&p, device, &id, "[\"1\"]");
    set_phones(&p, device, &id, "[]");
    assert_ok(replica_update(device->replica, party, &id, &name, &text, 1, false, &info));
    assert_ok(replica_commit(device->replica, &dot));
    pair_sync(&p, device);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "Globex");
    pair_assert_equal(&p, device);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_that_is_as_before_is_not_pending),
        cmocka_unit_test(a_set_that_is_as_before_beside_a_change_is_not_pending),
        cmocka_unit_test(a_change_that_its_delete_swallowed_does_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
