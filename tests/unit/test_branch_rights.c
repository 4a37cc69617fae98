/* Rights at a branch: teams and substitutes among its people, what it takes away, and what gives nobody a right. */
#include "client/core/replica_internal.h"
#include "server/core/hub_internal.h"
#include "tests/lib/hands.h"

static const int64_t day = 24 * 3600 * 1000;

/* The branch of Kazan with Anna and Boris, that of Tula with Carl; Maria, an administrator, at headquarters. The team
 * has Carl, and a customer of his. */
struct towns {
    struct pair p;
    struct pair_branch *kazan, *tula;
    struct pair_device *anna, *boris, *carl, *maria;
    struct uuid a, b, c;
    struct uuid team, teams, carls, person;
};

static void again(struct towns *t)
{
    struct pair_device *const people[] = {t->anna, t->boris, t->carl, t->maria};
    pair_run(&t->p);
    for (int round = 0; round < 3; round++) {
        pair_links_again(&t->p);
        for (size_t i = 0; i < sizeof people / sizeof *people; i++)
            if (!people[i]->peer)
                pair_go_live(&t->p, people[i]);
    }
    pair_run(&t->p);
}

static void towns_open(struct towns *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    pair_init(&t->p, NULL, seed);
    t->kazan = pair_branch_new(&t->p, "Kazan", NULL);
    t->tula = pair_branch_new(&t->p, "Tula", NULL);
    pair_links_again(&t->p);
    t->anna = pair_enrol_at(&t->p, "anna", "Kazan", t->kazan);
    t->boris = pair_enrol_at(&t->p, "boris", "Kazan", t->kazan);
    t->carl = pair_enrol_at(&t->p, "carl", "Tula", t->tula);
    t->maria = pair_enrol(&t->p, "maria", "admin");
    t->a = hands_user(&t->p, "anna");
    t->b = hands_user(&t->p, "boris");
    t->c = hands_user(&t->p, "carl");
    t->team = hands_team_new(&t->p, "Key", NULL);
    hands_join(&t->p, "Key", "carl");
    again(t);
    t->teams = hands_team_customer(&t->p, t->carl, "Team's", t->c, t->team);
    t->carls = hands_customer(&t->p, t->carl, "Carl's", t->c);
    t->person = hands_contact(&t->p, t->carl, t->carls, "Ada");
    pair_say(&t->p, t->carl);
}

static bool shows(struct towns *t, struct pair_device *d, struct uuid customer)
{
    return hands_shows(&t->p, d, "party", customer);
}

static void towns_close(struct towns *t)
{
    again(t);
    for (uint32_t i = 0; i < t->p.device_count; i++) {
        struct pair_device *d = &t->p.devices[i];
        assert_int_equal(pair_status(d).outbox_count, 0);
        assert_int_equal(replica_pending_count(d->replica), 0);
        pair_assert_equal(&t->p, d);
        hands_assert_holds_its_own(&t->p, d);
    }
    hands_assert_verified(&t->p);
    pair_done(&t->p);
}

static void a_branch_holds_the_teams_of_its_people(void **state)
{
    struct towns t;
    (void)state;
    towns_open(&t, 1);
    assert_true(shows(&t, t.tula->link, t.teams));
    assert_false(shows(&t, t.kazan->link, t.teams));
    hands_join(&t.p, "Key", "anna");
    again(&t);
    assert_true(shows(&t, t.kazan->link, t.teams));
    assert_true(shows(&t, t.anna, t.teams));
    assert_false(shows(&t, t.boris, t.teams)); /* the branch holds it, and not for him */
    hands_join(&t.p, "Key", "boris");
    again(&t);
    assert_true(shows(&t, t.boris, t.teams));
    hands_leave(&t.p, "Key", "anna");
    again(&t);
    assert_false(shows(&t, t.anna, t.teams));
    assert_true(shows(&t, t.boris, t.teams));
    assert_true(shows(&t, t.kazan->link, t.teams));
    towns_close(&t);
}

/* The last of the team leaves: the branch has nothing of it any more, and takes it away all the same. */
static void what_a_branch_does_not_hold_any_more_is_taken_away(void **state)
{
    (void)state;
    for (int away = 0; away < 2; away++) {
        struct towns t;
        towns_open(&t, 2);
        hands_join(&t.p, "Key", "anna");
        again(&t);
        assert_true(shows(&t, t.anna, t.teams));
        if (away)
            pair_cut(&t.p, t.anna);
        hands_leave(&t.p, "Key", "anna");
        pair_run(&t.p);
        pair_links_again(&t.p);
        assert_false(shows(&t, t.kazan->link, t.teams));
        pair_go_live(&t.p, t.anna);
        assert_false(shows(&t, t.anna, t.teams));
        towns_close(&t);
    }
}

static void a_substitute_at_another_branch_is_served_there(void **state)
{
    struct towns t;
    (void)state;
    towns_open(&t, 3);
    hands_substitute(&t.p, "carl", "anna", t.p.now_ms + 7 * day);
    again(&t);
    assert_true(shows(&t, t.anna, t.carls));
    assert_true(shows(&t, t.anna, t.teams));
    assert_true(hands_shows(&t.p, t.anna, "contact", t.person));
    assert_false(shows(&t, t.boris, t.carls));
    pair_set(&t.p, t.anna, "party", t.carls, "website", "anna.example");
    pair_say(&t.p, t.anna);
    assert_string_equal(pair_cell(&t.p, t.carl, "party", t.carls, "website"), "anna.example");
    hands_end(&t.p, "carl");
    again(&t);
    assert_false(shows(&t, t.anna, t.carls));
    assert_false(shows(&t, t.kazan->link, t.carls));
    assert_false(hands_shows(&t.p, t.anna, "contact", t.person));
    towns_close(&t);
}

/* No line to headquarters: the branch goes by its own clock. */
static void a_cut_off_branch_ends_it_by_its_clock(void **state)
{
    struct towns t;
    (void)state;
    towns_open(&t, 4);
    struct uuid bs = hands_customer(&t.p, t.boris, "Boris'", t.b);
    struct uuid other = hands_customer(&t.p, t.boris, "Another", t.b);
    pair_say(&t.p, t.boris);
    hands_substitute(&t.p, "boris", "anna", t.p.now_ms + day);
    again(&t);
    assert_true(shows(&t, t.anna, bs));
    pair_cut(&t.p, t.kazan->link);
    t.p.now_ms += day - 600000;
    hub_tick(t.kazan->hub, pair_hub_now(&t.p));
    pair_run(&t.p);
    if (!t.anna->peer)
        pair_go_live(&t.p, t.anna);
    assert_true(shows(&t, t.anna, bs));
    pair_set(&t.p, t.anna, "party", bs, "website", "anna.example");
    pair_say(&t.p, t.anna);
    t.p.now_ms += 600000;
    assert_true(hub_deadline(t.kazan->hub) <= t.p.now_ms * 1000);
    hub_tick(t.kazan->hub, pair_hub_now(&t.p));
    pair_run(&t.p);
    assert_null(t.anna->peer);
    pair_go_live(&t.p, t.anna);
    assert_false(shows(&t, t.anna, other));
    assert_true(shows(&t, t.anna, bs)); /* her own edit waits for headquarters (SPEC.md 10.10) */
    assert_true(shows(&t, t.boris, other));
    hub_tick(t.p.hub, pair_hub_now(&t.p));
    pair_go_live(&t.p, t.kazan->link);
    again(&t);
    assert_false(shows(&t, t.anna, bs));
    /* it was written before the end, and reaches headquarters after it */
    assert_string_equal(pair_cell(&t.p, t.boris, "party", bs, "website"), "anna.example");
    assert_int_equal(pair_status(t.anna).parked_count, 0);
    towns_close(&t);
}

static uint32_t told;

static void look_for_secret(struct pair_device *device, bool up, struct bytes frame)
{
    (void)device;
    told += !up && hands_frame_has(frame, "secret");
}

/* Headquarters' commit takes Anna's right and writes what she had a right to: the branch passes on the first. */
static void what_is_written_as_one_leaves_does_not_reach_her(void **state)
{
    struct towns t;
    (void)state;
    towns_open(&t, 5);
    hands_join(&t.p, "Key", "anna");
    hands_join(&t.p, "Key", "boris");
    again(&t);
    told = 0;
    t.anna->on_frame = look_for_secret;
    const struct model_table *table = model_table_by_id(t.p.model, TABLE_TEAM_MEMBER);
    struct arena arena;
    struct store_row row;
    struct uuid who;
    arena_init(&arena, 1 << 20);
    struct store_ids ids = {.arena = &arena};
    assert_ok(store_begin(t.p.hub_store, STORE_READ));
    assert_ok(store_row_scan(t.p.hub_store, table, NULL, store_ids_add, &ids));
    for (uint32_t i = 0; i < ids.count; i++)
        assert_ok(store_row_get(t.p.hub_store, table, &ids.ids[i], &arena, &row));
    store_rollback(t.p.hub_store);
    for (uint32_t i = 0; i < ids.count; i++) {
        assert_ok(store_begin(t.p.hub_store, STORE_READ));
        assert_ok(store_row_get(t.p.hub_store, table, &ids.ids[i], &arena, &row));
        store_rollback(t.p.hub_store);
        if (value_id(&row.values[model_column_by_id(table, SYSTEM_TEAM_MEMBER_USER)->index],
                     &who) &&
            uuid_equal(&who, &t.a))
            pair_set(&t.p, t.maria, "team_member", ids.ids[i], "active", "no");
    }
    pair_set(&t.p, t.maria, "party", t.teams, "fax", "secret");
    pair_say(&t.p, t.maria);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.teams, "fax"), "secret");
    again(&t);
    assert_int_equal(told, 0);
    assert_false(shows(&t, t.anna, t.teams));
    arena_done(&arena);
    towns_close(&t);
}

/* Anna says that she is an administrator. Headquarters will refuse; her branch does not believe it, either. */
static void what_is_pending_gives_nobody_a_right(void **state)
{
    struct towns t;
    (void)state;
    towns_open(&t, 6);
    struct uuid bs = hands_customer(&t.p, t.boris, "Boris'", t.b);
    pair_say(&t.p, t.boris);
    pair_cut(&t.p, t.kazan->link);
    pair_set(&t.p, t.anna, "user", t.a, "role", "admin");
    pair_say(&t.p, t.anna);
    pair_cut(&t.p, t.anna);
    pair_go_live(&t.p, t.anna);
    assert_false(shows(&t, t.anna, bs));
    struct audience audience;
    assert_ok(store_begin(t.kazan->link->store, STORE_READ));
    people_forget(t.kazan->hub);
    assert_ok(scope_audience(t.kazan->hub, &t.a, &audience));
    store_rollback(t.kazan->link->store);
    assert_false(audience.all);
    audience_done(&audience);
    pair_go_live(&t.p, t.kazan->link);
    again(&t);
    assert_int_equal(hands_give_up(t.anna), 1);
    towns_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_holds_the_teams_of_its_people),
        cmocka_unit_test(what_a_branch_does_not_hold_any_more_is_taken_away),
        cmocka_unit_test(a_substitute_at_another_branch_is_served_there),
        cmocka_unit_test(a_cut_off_branch_ends_it_by_its_clock),
        cmocka_unit_test(what_is_written_as_one_leaves_does_not_reach_her),
        cmocka_unit_test(what_is_pending_gives_nobody_a_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
