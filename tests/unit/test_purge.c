/* What is purged, and when: deleted records, departures, conflict records; what devices hear of it. */
#include "server/core/hub_internal.h"
#include "tests/lib/ages.h"
#include "tests/lib/hands.h"

/* Anna and Boris, reps, and Maria, an administrator. All have all. */
struct firm {
    struct pair p;
    struct pair_device *anna, *boris, *maria;
    struct uuid a, b;
};

static void firm_open(struct firm *f, uint64_t seed)
{
    pair_init(&f->p, NULL, seed);
    f->anna = pair_enrol(&f->p, "anna", "rep");
    f->boris = pair_enrol(&f->p, "boris", "rep");
    f->maria = pair_enrol(&f->p, "maria", "admin");
    f->a = hands_user(&f->p, "anna");
    f->b = hands_user(&f->p, "boris");
    pair_sync_all(&f->p);
}

static void firm_close(struct firm *f)
{
    pair_sync_all(&f->p);
    pair_sync_all(&f->p);
    pair_assert_equal(&f->p, f->anna);
    pair_assert_equal(&f->p, f->boris);
    pair_assert_equal(&f->p, f->maria);
    hands_assert_verified(&f->p);
    pair_done(&f->p);
}

static bool reads_anew(struct firm *f, struct pair_device *d)
{
    pair_connect(&f->p, d, true);
    bool anew = false;
    while (pair_step(&f->p))
        anew |= pair_status(d).reconcile;
    assert_int_equal(d->why, ERR_OK);
    return anew;
}

static void a_deleted_record_goes_after_the_horizon(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 1);
    struct uuid id = pair_insert(&f.p, f.anna, "party", "name", "Acme");
    pair_sync_all(&f.p);
    ages_pass(&f.p, 200); /* its age does not matter */
    pair_sync_all(&f.p);
    assert_string_equal(pair_cell(&f.p, NULL, "party", id, "name"), "Acme");
    pair_delete(&f.p, f.anna, "party", id);
    pair_sync_all(&f.p);
    ages_pass(&f.p, 85);
    pair_sync_all(&f.p);
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 1);
    ages_pass(&f.p, 15);
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 0);
    assert_int_equal(ages_side(f.p.hub_store, SIDE_MOVED), 1);
    assert_int_equal(ages_dead(&f.p, f.anna->store), 1);
    assert_false(reads_anew(&f, f.anna)); /* it is told by the log */
    assert_int_equal(ages_dead(&f.p, f.anna->store), 0);
    assert_int_equal(pair_status(f.anna).differs, 0);
    firm_close(&f);
}

/* The delete was written long before it was decided: what counts is when others could hear of it. */
static void a_delete_that_comes_late_is_kept_from_then_on(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 2);
    struct uuid id = pair_insert(&f.p, f.anna, "party", "name", "Acme");
    pair_sync_all(&f.p);
    pair_delete(&f.p, f.anna, "party", id);
    ages_pass(&f.p, 85);
    pair_sync(&f.p, f.anna);
    ages_pass(&f.p, 80);
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 1);
    ages_pass(&f.p, 20);
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 0);
    firm_close(&f);
}

static void live_devices_hear_at_once(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 3);
    struct uuid id = pair_insert(&f.p, f.anna, "party", "name", "Acme");
    pair_delete(&f.p, f.anna, "party", id);
    struct uuid other = pair_insert(&f.p, f.anna, "party", "name", "Bona");
    pair_delete(&f.p, f.anna, "party", other);
    pair_sync_all(&f.p);
    ages_pass(&f.p, 89);
    pair_sync_all(&f.p);
    pair_go_live(&f.p, f.boris);
    f.p.now_ms += 10 * DAY_MS;
    f.boris->peer->last_received_us = f.p.now_ms * 1000; /* heartbeats are not of here */
    hub_tick(f.p.hub, (struct hub_now){{f.p.now_ms}, {f.p.now_ms * 1000}});
    pair_run(&f.p);
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 0);
    assert_int_equal(ages_dead(&f.p, f.boris->store), 0);
    assert_true(f.boris->up);
    struct hub_stats stats;
    hub_stats(f.p.hub, &stats);
    assert_int_equal(stats.records_purged, 2);
    pair_cut(&f.p, f.boris);
    firm_close(&f);
}

/* A contact that was deleted long before its customer waits for it: till then one late change of the customer brings
 * back what was deleted with it. */
static void what_was_deleted_together_goes_and_comes_back_together(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 12);
    struct uuid customer = hands_customer(&f.p, f.anna, "Acme", f.a);
    struct uuid early = hands_contact(&f.p, f.anna, customer, "Early");
    struct uuid late = hands_contact(&f.p, f.anna, customer, "Late");
    pair_sync_all(&f.p);
    pair_delete(&f.p, f.anna, "party", customer); /* and both */
    pair_sync(&f.p, f.anna);
    ages_pass(&f.p, 80);
    /* a write to a contact that is in effect, and makes it younger: a delete that comes late */
    pair_delete(&f.p, f.maria, "contact", late);
    pair_sync(&f.p, f.maria);
    ages_pass(&f.p, 20); /* the others are old now */
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 3);
    pair_sync(&f.p, f.maria);
    ages_pass(&f.p, 90);
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 0);
    (void)early;
    firm_close(&f);
}

static void what_belongs_together_goes_at_once(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 4);
    struct uuid kept = hands_customer(&f.p, f.anna, "Acme", f.a);
    struct uuid person = hands_contact(&f.p, f.anna, kept, "Ada");
    struct uuid gone = hands_customer(&f.p, f.anna, "Bona", f.a);
    hands_contact(&f.p, f.anna, gone, "Bea");
    pair_sync_all(&f.p);
    pair_delete(&f.p, f.anna, "contact", person);
    pair_delete(&f.p, f.anna, "party", gone); /* and Bea */
    pair_sync_all(&f.p);
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 3);
    ages_pass(&f.p, 100);
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 0);
    assert_string_equal(pair_cell(&f.p, NULL, "party", kept, "name"), "Acme");
    firm_close(&f);
}

/* A horizon after a record, its departure goes, and who has not heard of it reads anew, with all that it wrote. */
static void who_stays_away_for_too_long_reads_anew_and_keeps_its_outbox(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 5);
    struct uuid gone = pair_insert(&f.p, f.anna, "party", "name", "Acme");
    struct uuid stays = pair_insert(&f.p, f.anna, "party", "name", "Bona");
    pair_sync_all(&f.p);
    pair_delete(&f.p, f.anna, "party", gone);
    pair_sync(&f.p, f.anna);
    struct uuid written = pair_insert(&f.p, f.boris, "party", "name", "Cargo");
    pair_set(&f.p, f.boris, "party", stays, "website", "bona.example");
    for (int week = 0; week < 15; week++) { /* Anna goes on */
        ages_pass(&f.p, 14);
        pair_sync(&f.p, f.anna);
    }
    assert_int_equal(ages_side(f.p.hub_store, SIDE_MOVED), 0);
    assert_int_equal(ages_side(f.p.hub_store, SIDE_FLOOR), 1);
    assert_int_equal(ages_dead(&f.p, f.anna->store), 0);
    assert_string_equal(pair_cell(&f.p, f.boris, "party", gone, "name"), "Acme");
    assert_true(reads_anew(&f, f.boris));
    assert_int_equal(pair_status(f.boris).outbox_count, 0);
    assert_string_equal(pair_cell(&f.p, f.boris, "party", gone, "name"), "-");
    assert_string_equal(pair_cell(&f.p, NULL, "party", written, "name"), "Cargo");
    assert_string_equal(pair_cell(&f.p, NULL, "party", stays, "website"), "bona.example");
    assert_false(reads_anew(&f, f.boris));
    firm_close(&f);
}

/* A server takes no cursor below a floor, whatever a client makes of the WELCOME. */
static void a_cursor_below_the_floor_is_sent_away(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 6);
    struct uuid gone = pair_insert(&f.p, f.anna, "party", "name", "Acme");
    pair_sync_all(&f.p);
    pair_delete(&f.p, f.anna, "party", gone);
    pair_sync(&f.p, f.anna);
    /* Boris is welcomed, and the floor rises before he subscribes */
    f.boris->frames_until_cut = 0;
    pair_connect(&f.p, f.boris, true);
    for (int i = 0; i < 2; i++)
        pair_step(&f.p);
    assert_int_equal(f.boris->peer->session.pull, PULL_NONE);
    f.p.hub->buckets[0]->floor = f.p.hub->buckets[0]->head;
    pair_run(&f.p);
    assert_int_equal(f.boris->why, ERR_CLOSED);
    f.p.hub->buckets[0]->floor = 0;
    firm_close(&f);
}

static void departures_of_those_that_moved_go_too(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 7);
    struct uuid customer = hands_customer(&f.p, f.anna, "Acme", f.a);
    hands_contact(&f.p, f.anna, customer, "Ada");
    pair_sync_all(&f.p);
    hands_give(&f.p, f.maria, customer, f.b);
    pair_sync(&f.p, f.maria);
    assert_int_equal(ages_side(f.p.hub_store, SIDE_MOVED), 2);
    ages_pass(&f.p, 85);
    pair_sync(&f.p, f.maria);
    assert_int_equal(ages_side(f.p.hub_store, SIDE_MOVED), 2);
    ages_pass(&f.p, 15);
    assert_int_equal(ages_side(f.p.hub_store, SIDE_MOVED), 0);
    assert_true(reads_anew(&f, f.anna));
    assert_false(hands_shows(&f.p, f.anna, "party", customer));
    firm_close(&f);
}

/* Its departure from where it was before names a record that is nowhere any more. */
static void what_moved_and_was_purged_then_is_no_damage(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 13);
    struct uuid customer = hands_customer(&f.p, f.anna, "Acme", f.a);
    pair_sync_all(&f.p);
    hands_give(&f.p, f.maria, customer, f.b);
    pair_sync_all(&f.p);
    pair_delete(&f.p, f.boris, "party", customer);
    pair_sync_all(&f.p);
    f.p.hub->config.retention.horizon_ms = 5 * DAY_MS; /* less than the lease of who had it */
    for (int days = 0; days < 10; days += 5) {
        ages_pass(&f.p, 5);
        pair_sync_all(&f.p);
    }
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 0);
    assert_int_equal(ages_side(f.p.hub_store, SIDE_MOVED), 2);
    struct pair_device *newcomer = pair_enrol(&f.p, "anna", NULL);
    pair_sync(&f.p, newcomer);
    assert_int_equal(newcomer->why, ERR_OK);
    firm_close(&f);
}

/* A device that comes, and does not get on, holds back what it has not taken. */
static void a_live_device_holds_back(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 8);
    struct uuid id = pair_insert(&f.p, f.anna, "party", "name", "Acme");
    pair_sync_all(&f.p);
    pair_delete(&f.p, f.anna, "party", id);
    pair_sync(&f.p, f.anna);
    pair_sync(&f.p, f.maria);
    for (int day = 0; day < 120; day += 5) {
        f.boris->frames_until_cut = 6; /* it subscribes, and no more */
        pair_connect(&f.p, f.boris, true);
        pair_run(&f.p);
        assert_int_equal(f.boris->why, ERR_LINK);
        ages_pass(&f.p, 5);
    }
    assert_int_equal(ages_dead(&f.p, f.boris->store), 0);
    assert_string_equal(pair_cell(&f.p, f.boris, "party", id, "name"), "Acme");
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 1);
    ages_pass(&f.p, 31); /* now it has not been seen for its lease */
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), 0);
    f.boris->frames_until_cut = 0;
    firm_close(&f);
}

static void settled_conflicts_go_and_open_ones_stay(void **state)
{
    (void)state;
    struct firm f;
    firm_open(&f, 9);
    struct uuid id = pair_insert(&f.p, f.anna, "party", "name", "Acme");
    struct uuid other = pair_insert(&f.p, f.anna, "party", "name", "Bona");
    pair_sync_all(&f.p);
    pair_set(&f.p, f.anna, "party", id, "website", "a.example");
    pair_set(&f.p, f.boris, "party", id, "website", "b.example");
    pair_set(&f.p, f.anna, "party", other, "website", "c.example");
    pair_set(&f.p, f.boris, "party", other, "website", "d.example");
    pair_sync_all(&f.p);
    assert_int_equal(pair_count(&f.p, NULL, "conflict"), 2);
    pair_set(&f.p, f.anna, "party", id, "website", "e.example"); /* she has seen both */
    pair_sync_all(&f.p);
    ages_pass(&f.p, 85);
    pair_sync_all(&f.p);
    assert_int_equal(pair_count(&f.p, NULL, "conflict"), 2);
    ages_pass(&f.p, 15);
    assert_int_equal(pair_count(&f.p, NULL, "conflict"), 1);
    pair_sync_all(&f.p);
    assert_int_equal(pair_count(&f.p, f.anna, "conflict"), 1);
    /* with its record the other one goes as well */
    pair_delete(&f.p, f.anna, "party", other);
    pair_sync_all(&f.p);
    for (int i = 0; i < 10; i++) {
        ages_pass(&f.p, 20);
        pair_sync_all(&f.p);
    }
    assert_int_equal(pair_count(&f.p, NULL, "conflict"), 0);
    firm_close(&f);
}

/* Many steps; work that comes in between is done first. */
static void a_large_purge_goes_in_steps(void **state)
{
    (void)state;
    enum { COUNT = 1234 };
    struct firm f;
    firm_open(&f, 10);
    const struct model_table *table = model_table_by_name(f.p.model, bytes_of_text("party"));
    struct uuid ids[COUNT];
    struct err_info info;
    struct dot dot;
    uint16_t column = model_column_by_name(table, bytes_of_text("name"))->index;
    const struct value name = value_text(bytes_of_text("Acme"));
    for (int delete = 0; delete < 2; delete ++) {
        assert_ok(replica_begin(f.anna->replica, f.p.now_ms));
        for (int i = 0; i < COUNT; i++) {
            if (delete) {
                assert_ok(replica_delete(f.anna->replica, table, &ids[i], &info));
                continue;
            }
            ids[i] = (struct uuid){{0}};
            assert_ok(replica_insert(f.anna->replica, table, &ids[i], &column, &name, 1, &info));
        }
        assert_ok(replica_commit(f.anna->replica, &dot));
        pair_sync_all(&f.p);
    }
    assert_int_equal(ages_dead(&f.p, f.p.hub_store), COUNT);
    ages_pass(&f.p, 89);
    f.p.now_ms += 10 * DAY_MS;
    const struct hub_now now = {{f.p.now_ms}, {f.p.now_ms * 1000}};
    hub_tick(f.p.hub, now);
    uint64_t left = COUNT;
    uint32_t steps = 0;
    for (; hub_has_work(f.p.hub); steps++) {
        assert_ok(hub_turn(f.p.hub, now));
        uint64_t dead = ages_dead(&f.p, f.p.hub_store);
        assert_true(left - dead <= 100);
        left = dead;
    }
    assert_int_equal(left, 0);
    assert_true(steps >= COUNT / 100);
    firm_close(&f);
}

/* Nothing is purged by a clock that is far ahead for a moment but what it would have been anyway: everybody
 * reads anew, and nothing is lost. And with the setting that says never, nothing goes. */
static void settings_and_clocks(void **state)
{
    (void)state;
    for (int never = 0; never < 2; never++) {
        struct firm f;
        firm_open(&f, 11);
        f.p.config.retention.horizon_ms = never ? -1 : 7 * DAY_MS;
        f.p.config.retention.archive_ms = -1;
        pair_restart_hub(&f.p);
        struct uuid id = pair_insert(&f.p, f.anna, "party", "name", "Acme");
        pair_sync_all(&f.p);
        pair_delete(&f.p, f.anna, "party", id);
        pair_sync_all(&f.p);
        ages_pass(&f.p, 5);
        assert_int_equal(ages_dead(&f.p, f.p.hub_store), 1);
        pair_restart_hub(&f.p); /* what is known of ages outlives it */
        ages_pass(&f.p, 35);
        assert_int_equal(ages_dead(&f.p, f.p.hub_store), never ? 1 : 0);
        firm_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deleted_record_goes_after_the_horizon),
        cmocka_unit_test(a_delete_that_comes_late_is_kept_from_then_on),
        cmocka_unit_test(live_devices_hear_at_once),
        cmocka_unit_test(what_was_deleted_together_goes_and_comes_back_together),
        cmocka_unit_test(what_belongs_together_goes_at_once),
        cmocka_unit_test(who_stays_away_for_too_long_reads_anew_and_keeps_its_outbox),
        cmocka_unit_test(a_cursor_below_the_floor_is_sent_away),
        cmocka_unit_test(departures_of_those_that_moved_go_too),
        cmocka_unit_test(what_moved_and_was_purged_then_is_no_damage),
        cmocka_unit_test(a_live_device_holds_back),
        cmocka_unit_test(settled_conflicts_go_and_open_ones_stay),
        cmocka_unit_test(a_large_purge_goes_in_steps),
        cmocka_unit_test(settings_and_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
