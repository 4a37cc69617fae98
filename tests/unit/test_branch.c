/* A branch between devices and headquarters: what its devices see of each other while the line is down, and
 * what becomes of it when it is back. */
#include "client/core/replica_internal.h"
#include "server/core/hub_internal.h"
#include "tests/lib/hands.h"

static void go_live(struct pair *p, struct pair_device *d)
{
    pair_connect(p, d, false);
    pair_run(p);
}

static void say(struct pair *p, struct pair_device *d)
{
    struct uplink_effects effects;
    uplink_local_change(d->uplink, (struct now){{p->now_ms}, {p->now_ms * 1000}}, &effects);
    pair_run(p);
}

static void set_and_say(struct pair *p, struct pair_device *d, struct uuid id, const char *column,
                        const char *text)
{
    pair_set(p, d, "party", id, column, text);
    say(p, d);
}

/* The branch of Kazan, with Anna and Boris; Maria, an administrator, at headquarters. */
struct town {
    struct pair p;
    struct pair_branch *kazan;
    struct pair_device *anna, *boris, *maria;
    struct uuid customer;
};

static struct uuid add_customer(struct town *t, struct pair_device *d, const char *name)
{
    const struct hands_cell cells[] = {{"name", name, {{0}}}, {"visibility", "company", {{0}}}};
    return hands_put(&t->p, d, "party", (struct uuid){{0}}, cells, 2);
}

static void town_open(struct town *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    pair_init(&t->p, NULL, seed);
    t->kazan = pair_branch_new(&t->p, "Kazan", NULL);
    t->anna = pair_enrol_at(&t->p, "anna", "Kazan", t->kazan);
    t->boris = pair_enrol_at(&t->p, "boris", "Kazan", t->kazan);
    t->maria = pair_enrol(&t->p, "maria", "admin");
    go_live(&t->p, t->anna);
    go_live(&t->p, t->boris);
    go_live(&t->p, t->maria);
    t->customer = add_customer(t, t->maria, "Acme");
    say(&t->p, t->maria);
}

static const char *cell(struct town *t, struct pair_device *d, const char *column)
{
    return pair_cell(&t->p, d, "party", t->customer, column);
}

static void assert_settled(struct town *t, struct pair_device *d)
{
    assert_int_equal(pair_status(d).outbox_count, 0);
    assert_int_equal(replica_pending_count(d->replica), 0);
    assert_false(pair_status(d).differs);
    assert_false(pair_status(d).reconcile);
    pair_assert_equal(&t->p, d);
}

static void assert_all_settled(struct town *t)
{
    pair_run(&t->p);
    for (uint32_t i = 0; i < t->p.device_count; i++)
        assert_settled(t, &t->p.devices[i]);
}

static void headquarters_changes_reach_the_devices(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 1);
    assert_string_equal(cell(&t, t.anna, "name"), "Acme");
    set_and_say(&t.p, t.maria, t.customer, "name", "Acme Ltd");
    assert_string_equal(cell(&t, t.anna, "name"), "Acme Ltd");
    assert_string_equal(cell(&t, t.boris, "name"), "Acme Ltd");
    assert_all_settled(&t);
    pair_done(&t.p);
}

static void a_device_s_changes_reach_headquarters(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 2);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    assert_string_equal(cell(&t, t.maria, "tax_id"), "555");
    assert_string_equal(cell(&t, t.boris, "tax_id"), "555");
    assert_all_settled(&t);
    assert_int_equal(pair_status(t.anna).decided_upto, 1);
    pair_done(&t.p);
}

static void a_cut_off_branch_is_a_working_office(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 3);
    pair_cut(&t.p, t.kazan->link);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    assert_string_equal(cell(&t, t.boris, "tax_id"), "555");
    assert_string_equal(cell(&t, t.maria, "tax_id"), "");
    assert_int_equal(replica_pending_count(t.boris->replica), 1);
    struct uuid fresh = add_customer(&t, t.anna, "Fresh");
    say(&t.p, t.anna);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", fresh, "name"), "Fresh");
    /* Boris builds upon what Anna wrote */
    set_and_say(&t.p, t.boris, fresh, "name", "Fresh Ltd");
    set_and_say(&t.p, t.boris, t.customer, "tax_id", "777");
    assert_string_equal(pair_cell(&t.p, t.anna, "party", fresh, "name"), "Fresh Ltd");
    assert_string_equal(cell(&t, t.anna, "tax_id"), "777");
    go_live(&t.p, t.kazan->link);
    assert_string_equal(cell(&t, t.maria, "tax_id"), "777");
    assert_string_equal(pair_cell(&t.p, t.maria, "party", fresh, "name"), "Fresh Ltd");
    assert_all_settled(&t);
    pair_done(&t.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headquarters_changes_reach_the_devices),
        cmocka_unit_test(a_device_s_changes_reach_headquarters),
        cmocka_unit_test(a_cut_off_branch_is_a_working_office),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
