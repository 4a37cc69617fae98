/* Purging and branches: what headquarters purges reaches the devices of a branch, also where the branch itself was
 * away for longer than departures are kept; and a branch purges departures of its own accord. */
#include "server/core/hub_internal.h"
#include "tests/lib/ages.h"
#include "tests/lib/hands.h"

/* Anna is at headquarters; Boris and Cleo are at the branch, whose line is cut at will. */
struct city {
    struct pair p;
    struct pair_branch *branch;
    struct pair_device *anna, *boris, *cleo;
};

static void city_open(struct city *c, uint64_t seed)
{
    pair_init(&c->p, NULL, seed);
    c->branch = pair_branch_new(&c->p, "Tbilisi", NULL);
    c->anna = pair_enrol(&c->p, "anna", "admin");
    c->boris = pair_enrol_at(&c->p, "boris", "Tbilisi", c->branch);
    c->cleo = pair_enrol_at(&c->p, "cleo", "Tbilisi", c->branch);
    pair_sync(&c->p, c->anna);
    pair_sync(&c->p, c->boris);
    pair_sync(&c->p, c->cleo);
}

static void connect_branch(struct city *c)
{
    for (int i = 0; i < 3 && !c->branch->link->up; i++) {
        pair_connect(&c->p, c->branch->link, false);
        pair_run(&c->p);
    }
    assert_true(c->branch->link->up);
    assert_false(pair_status(c->branch->link).differs);
    assert_false(pair_status(c->branch->link).reconcile);
}

static void cut_branch(struct city *c)
{
    pair_cut(&c->p, c->branch->link);
}

/* Time passes at headquarters, where Anna goes on, and at the branch. */
static void pass(struct city *c, int fortnights)
{
    cut_branch(c);
    for (int i = 0; i < fortnights; i++) {
        ages_pass(&c->p, 14);
        pair_sync(&c->p, c->anna);
    }
}

static void city_close(struct city *c)
{
    pair_sync(&c->p, c->anna);
    pair_sync(&c->p, c->boris);
    pair_sync(&c->p, c->cleo);
    pair_assert_equal(&c->p, c->anna);
    pair_assert_equal(&c->p, c->boris);
    pair_assert_equal(&c->p, c->cleo);
    hands_assert_verified(&c->p);
    pair_done(&c->p);
}

static bool reads_anew(struct city *c, struct pair_device *d)
{
    pair_connect(&c->p, d, true);
    bool anew = false;
    while (pair_step(&c->p))
        anew |= pair_status(d).reconcile;
    assert_int_equal(d->why, ERR_OK);
    return anew;
}

static void a_branch_passes_on_what_was_purged(void **state)
{
    (void)state;
    struct city c;
    city_open(&c, 1);
    struct uuid id = pair_insert(&c.p, c.anna, "party", "name", "Acme");
    pair_sync(&c.p, c.anna);
    pair_sync(&c.p, c.boris);
    pair_delete(&c.p, c.anna, "party", id);
    pair_sync(&c.p, c.anna);
    pair_sync(&c.p, c.cleo);
    pass(&c, 8);
    assert_int_equal(ages_dead(&c.p, c.p.hub_store), 0);
    connect_branch(&c);
    assert_int_equal(ages_dead(&c.p, c.branch->link->store), 0);
    assert_int_equal(ages_side(c.branch->link->store, SIDE_MOVED), 1);
    assert_false(reads_anew(&c, c.boris));
    assert_false(reads_anew(&c, c.cleo));
    assert_int_equal(ages_dead(&c.p, c.cleo->store), 0);
    assert_string_equal(pair_cell(&c.p, c.boris, "party", id, "name"), "-");
    city_close(&c);
}

/* The branch was cut off until even the departures were gone. It reads anew by difference; its devices do not: they
 * hear of what vanished from its log. */
static void a_branch_that_was_away_tells_its_devices_what_vanished(void **state)
{
    (void)state;
    for (int moves = 0; moves < 2; moves++) {
        struct city c;
        city_open(&c, 2);
        enum { COUNT = 5 };
        struct uuid gone[COUNT], stays = pair_insert(&c.p, c.anna, "party", "name", "Stays");
        struct uuid anna = hands_user(&c.p, "anna"), boris = hands_user(&c.p, "boris");
        for (int i = 0; i < COUNT; i++)
            gone[i] = hands_customer(&c.p, c.anna, "Acme", boris);
        pair_sync(&c.p, c.anna);
        pair_sync(&c.p, c.boris);
        cut_branch(&c);
        for (int i = 0; i < COUNT; i++)
            if (moves)
                hands_give(&c.p, c.anna, gone[i], anna);
            else
                pair_delete(&c.p, c.anna, "party", gone[i]);
        struct uuid fresh = pair_insert(&c.p, c.anna, "party", "name", "Fresh");
        pair_set(&c.p, c.anna, "party", stays, "city", "Batumi");
        pair_sync(&c.p, c.anna);
        pass(&c, 16);
        assert_int_equal(ages_side(c.p.hub_store, SIDE_MOVED), 0);
        connect_branch(&c);
        assert_int_equal(ages_side(c.branch->link->store, SIDE_FLOOR), 0);
        assert_int_equal(ages_side(c.branch->link->store, SIDE_MOVED), COUNT);
        assert_int_equal(ages_log(c.branch->link->store),
                         ages_records(&c.p, c.branch->link->store) + COUNT);
        assert_false(reads_anew(&c, c.boris));
        for (int i = 0; i < COUNT; i++)
            assert_false(hands_shows(&c.p, c.boris, "party", gone[i]));
        assert_string_equal(pair_cell(&c.p, c.boris, "party", fresh, "name"), "Fresh");
        assert_string_equal(pair_cell(&c.p, c.boris, "party", stays, "city"), "Batumi");
        assert_false(pair_status(c.boris).differs);
        city_close(&c);
    }
}

/* The branch is in touch, and keeps departures no longer than headquarters; its devices that stay away read anew, and
 * keep what they wrote. */
static void a_branch_purges_departures_itself(void **state)
{
    (void)state;
    struct city c;
    city_open(&c, 3);
    struct uuid id = pair_insert(&c.p, c.anna, "party", "name", "Acme");
    pair_sync(&c.p, c.anna);
    pair_sync(&c.p, c.boris);
    pair_delete(&c.p, c.anna, "party", id);
    pair_sync(&c.p, c.anna);
    struct uuid written = pair_insert(&c.p, c.cleo, "party", "name", "Written");
    struct uuid late;
    pair_set(&c.p, c.boris, "party", id, "city", "Batumi");
    for (int i = 0; i < 16; i++) {
        pass(&c, 1);
        connect_branch(&c);
    }
    late = pair_insert(&c.p, c.anna, "party", "name", "Late");
    pair_sync(&c.p, c.anna);
    assert_int_equal(ages_dead(&c.p, c.branch->link->store), 0);
    assert_int_equal(ages_side(c.branch->link->store, SIDE_MOVED), 0);
    assert_int_equal(ages_side(c.branch->link->store, SIDE_FLOOR), 1);
    assert_int_equal(ages_log(c.branch->link->store), ages_records(&c.p, c.branch->link->store));
    assert_true(reads_anew(&c, c.boris));
    assert_true(reads_anew(&c, c.cleo));
    pair_run(&c.p);
    pair_sync(&c.p, c.boris);
    uint64_t oseq;
    assert_int_equal(ages_parked(c.boris, &oseq), REASON_PURGED);
    assert_string_equal(pair_cell(&c.p, NULL, "party", written, "name"), "Written");
    ages_retry(&c.p, c.boris, oseq);
    pair_run(&c.p);
    pair_sync(&c.p, c.boris);
    assert_string_equal(pair_cell(&c.p, NULL, "party", id, "city"), "Batumi");
    assert_string_equal(pair_cell(&c.p, NULL, "party", id, "name"), "Acme");
    assert_string_equal(pair_cell(&c.p, c.boris, "party", late, "name"), "Late");
    city_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_passes_on_what_was_purged),
        cmocka_unit_test(a_branch_that_was_away_tells_its_devices_what_vanished),
        cmocka_unit_test(a_branch_purges_departures_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
