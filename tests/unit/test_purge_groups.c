/* Groups that wait for what does not come, and groups that nobody needs any more. */
#include "server/core/hub_internal.h"
#include "tests/lib/ages.h"
#include "tests/lib/hands.h"
#include "tests/lib/pair_copy.h"

/* Headquarters was restored and has lost what Anna wrote last; Boris has seen it, and has written upon it. Anna is
 * away. */
struct lost {
    struct pair p;
    struct pair_device *anna, *boris;
    struct uuid id;
};

/* insert: what was lost is the record itself. */
static void lost_open(struct lost *s, uint64_t seed, bool insert)
{
    pair_init(&s->p, NULL, seed);
    s->anna = pair_enrol(&s->p, "anna", "admin");
    s->boris = pair_enrol(&s->p, "boris", "admin");
    if (!insert)
        s->id = pair_insert(&s->p, s->anna, "party", "name", "Acme");
    pair_sync_all(&s->p);
    struct store *backup = pair_copy_store(&s->p, s->p.hub_store);
    if (insert)
        s->id = pair_insert(&s->p, s->anna, "party", "name", "Acme");
    else
        pair_set(&s->p, s->anna, "party", s->id, "website", "anna.example");
    pair_sync_all(&s->p);
    pair_put_hub_store(&s->p, backup);
    pair_set(&s->p, s->boris, "party", s->id, "website", "boris.example");
    pair_sync(&s->p, s->boris);
    assert_int_equal(s->p.hub->waiting_count, 1);
}

static void a_cause_that_does_not_come_is_given_up_at_the_horizon(void **state)
{
    (void)state;
    struct lost s;
    lost_open(&s, 1, false);
    ages_pass(&s.p, 85);
    assert_int_equal(s.p.hub->waiting_count, 1);
    assert_string_equal(pair_cell(&s.p, NULL, "party", s.id, "website"), "");
    ages_pass(&s.p, 10);
    assert_int_equal(s.p.hub->waiting_count, 0);
    assert_int_equal(ages_side(s.p.hub_store, SIDE_WAITS_FOR), 0);
    assert_int_equal(ages_side(s.p.hub_store, SIDE_GIVEN_UP), 1);
    assert_string_equal(pair_cell(&s.p, NULL, "party", s.id, "website"), "boris.example");
    pair_sync(&s.p, s.boris);
    assert_int_equal(pair_status(s.boris).outbox_count, 0);
    assert_int_equal(ages_parked(s.boris, NULL), REASON_NONE);
    /* it comes after all: what was built on it was decided without, so a person looks at it */
    pair_sync(&s.p, s.anna);
    assert_int_equal(ages_parked(s.anna, NULL), REASON_LATE);
    assert_string_equal(pair_cell(&s.p, NULL, "party", s.id, "website"), "boris.example");
    uint64_t oseq;
    (void)ages_parked(s.anna, &oseq);
    ages_retry(&s.p, s.anna, oseq);
    pair_sync(&s.p, s.boris);
    assert_string_equal(pair_cell(&s.p, s.boris, "party", s.id, "website"), "anna.example");
    pair_assert_equal(&s.p, s.anna);
    pair_assert_equal(&s.p, s.boris);
    hands_assert_verified(&s.p);
    pair_done(&s.p);
}

static void what_writes_to_a_record_that_does_not_come_goes_to_a_person(void **state)
{
    (void)state;
    struct lost s;
    lost_open(&s, 2, true);
    ages_pass(&s.p, 95);
    assert_int_equal(s.p.hub->waiting_count, 0);
    assert_int_equal(s.p.hub->parked_count, 1);
    pair_sync(&s.p, s.boris);
    assert_int_equal(ages_parked(s.boris, NULL), REASON_LAPSED);
    /* the record itself is not late: nothing was decided in its place */
    pair_sync(&s.p, s.anna);
    assert_int_equal(ages_parked(s.anna, NULL), REASON_NONE);
    assert_string_equal(pair_cell(&s.p, NULL, "party", s.id, "name"), "Acme");
    pair_sync(&s.p, s.boris);
    uint64_t oseq;
    (void)ages_parked(s.boris, &oseq);
    ages_retry(&s.p, s.boris, oseq);
    assert_string_equal(pair_cell(&s.p, NULL, "party", s.id, "website"), "boris.example");
    pair_sync_all(&s.p);
    pair_assert_equal(&s.p, s.anna);
    pair_done(&s.p);
}

/* Nobody waits for a device that was revoked; those that wait for the group that waited go on as well. */
static void a_revoked_device_is_not_waited_for(void **state)
{
    (void)state;
    struct lost s;
    char request[200], id[UUID_TEXT_SIZE];
    lost_open(&s, 3, false);
    pair_set(&s.p, s.boris, "party", s.id, "website", "again.example");
    pair_set(&s.p, s.boris, "party", s.id, "city", "Batumi");
    pair_sync(&s.p, s.boris);
    assert_int_equal(s.p.hub->waiting_count, 2); /* the city is another matter */
    ages_pass(&s.p, 2);
    assert_int_equal(s.p.hub->waiting_count, 2);
    uuid_format(&s.anna->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    pair_admin(&s.p, request);
    hub_tick(s.p.hub, (struct hub_now){{s.p.now_ms}, {s.p.now_ms * 1000}});
    pair_run(&s.p);
    assert_int_equal(s.p.hub->waiting_count, 0);
    pair_sync(&s.p, s.boris);
    assert_int_equal(ages_parked(s.boris, NULL), REASON_NONE);
    assert_string_equal(pair_cell(&s.p, NULL, "party", s.id, "website"), "again.example");
    assert_string_equal(pair_cell(&s.p, NULL, "party", s.id, "city"), "Batumi");
    pair_assert_equal(&s.p, s.boris);
    pair_done(&s.p);
}

/* ---- archived by age ---- */

static void own_groups_are_forgotten_after_the_bound(void **state)
{
    (void)state;
    for (int never = 0; never < 2; never++) {
        struct pair p;
        pair_init(&p, NULL, 4);
        p.config.retention.archive_ms = never ? -1 : 40 * DAY_MS;
        pair_restart_hub(&p);
        struct pair_device *anna = pair_enrol(&p, "anna", "rep");
        struct uuid id = pair_insert(&p, anna, "party", "name", "Acme");
        pair_sync(&p, anna);
        ages_pass(&p, 30);
        pair_sync(&p, anna);
        assert_int_equal(pair_status(anna).sent_count, 1);
        pair_set(&p, anna, "party", id, "city", "Batumi");
        pair_sync(&p, anna);
        ages_pass(&p, 20);
        pair_sync(&p, anna);
        assert_int_equal(pair_status(anna).sent_count, never ? 2 : 1); /* the first one is old */
        pair_go_live(&p, anna);
        p.now_ms += 30 * DAY_MS;
        anna->peer->last_received_us = p.now_ms * 1000;
        hub_tick(p.hub, (struct hub_now){{p.now_ms}, {p.now_ms * 1000}});
        pair_run(&p); /* a session that lasts hears of it as well */
        assert_int_equal(pair_status(anna).sent_count, never ? 2 : 0);
        pair_cut(&p, anna);
        pair_sync(&p, anna);
        pair_assert_equal(&p, anna);
        pair_done(&p);
    }
}

static void a_branch_does_not_grow_for_ever(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 5);
    struct pair_branch *branch = pair_branch_new(&p, "Tbilisi", NULL);
    struct pair_device *boris = pair_enrol_at(&p, "boris", "Tbilisi", branch);
    for (int i = 0; i < 5; i++) {
        pair_insert(&p, boris, "party", "name", "Acme");
        pair_sync(&p, boris);
    }
    pair_run(&p);
    pair_sync(&p, boris);
    assert_int_equal(ages_side(branch->link->store, SIDE_RUN), 5);
    assert_int_equal(ages_side(branch->link->store, SIDE_PENDING), 5);
    pair_cut(&p, branch->link);
    for (int i = 0; i < 20; i++) {
        ages_pass(&p, 10);
        for (int tries = 0; tries < 3 && !branch->link->up; tries++) {
            pair_connect(&p, branch->link, false);
            pair_run(&p);
        }
        pair_sync(&p, boris);
        pair_cut(&p, branch->link);
    }
    assert_int_equal(ages_side(branch->link->store, SIDE_RUN), 0);
    assert_int_equal(ages_side(branch->link->store, SIDE_PENDING), 0);
    assert_int_equal(pair_status(boris).sent_count, 0);
    pair_assert_equal(&p, boris);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cause_that_does_not_come_is_given_up_at_the_horizon),
        cmocka_unit_test(what_writes_to_a_record_that_does_not_come_goes_to_a_person),
        cmocka_unit_test(a_revoked_device_is_not_waited_for),
        cmocka_unit_test(own_groups_are_forgotten_after_the_bound),
        cmocka_unit_test(a_branch_does_not_grow_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
