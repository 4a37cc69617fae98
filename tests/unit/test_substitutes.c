/* Who stands in for somebody for a time: what is seen, what may be written, and what counts when it is over. */
#include "client/core/replica_internal.h"
#include "server/core/hub_internal.h"
#include "tests/lib/hands.h"

static const int64_t day = 24 * 3600 * 1000;

/* Anna of North has customers of her own, of her branch and of her team; Boris of South will stand in for her, and
 * Carl, of South as well, for Boris. Maria is an administrator. */
struct office {
    struct pair p;
    struct pair_device *anna, *boris, *carl, *maria;
    struct uuid a, b, c;
    struct uuid team, own, person, teams, branchs;
};

static struct pair_device *enrol(struct office *o, const char *login, const char *branch)
{
    char request[200];
    snprintf(request, sizeof request,
             "{\"do\":\"user-add\",\"login\":\"%s\",\"role\":\"rep\",\"branch\":\"%s\"}", login,
             branch);
    pair_admin(&o->p, request);
    return pair_enrol(&o->p, login, "rep");
}

static void go_live(struct office *o)
{
    for (uint32_t i = 0; i < o->p.device_count; i++)
        if (!o->p.devices[i].peer)
            pair_go_live(&o->p, &o->p.devices[i]);
}

static void office_open(struct office *o, uint64_t seed)
{
    memset(o, 0, sizeof *o);
    pair_init(&o->p, NULL, seed);
    pair_admin(&o->p, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&o->p, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    o->anna = enrol(o, "anna", "North");
    o->boris = enrol(o, "boris", "South");
    o->carl = enrol(o, "carl", "South");
    o->maria = pair_enrol(&o->p, "maria", "admin");
    o->a = hands_user(&o->p, "anna");
    o->b = hands_user(&o->p, "boris");
    o->c = hands_user(&o->p, "carl");
    o->team = hands_team_new(&o->p, "Key", NULL);
    hands_join(&o->p, "Key", "anna");
    pair_sync_all(&o->p);
    o->own = hands_customer(&o->p, o->anna, "Own", o->a);
    o->person = hands_contact(&o->p, o->anna, o->own, "Ada");
    o->teams = hands_team_customer(&o->p, o->anna, "Team's", o->a, o->team);
    o->branchs = hands_customer(&o->p, o->anna, "Branch's", o->a);
    hands_put(&o->p, o->anna, "party", o->branchs,
              (struct hands_cell[]){{"visibility", "branch", {{0}}}}, 1);
    pair_sync_all(&o->p);
}

static void office_close(struct office *o)
{
    for (uint32_t i = 0; i < o->p.device_count; i++) {
        pair_assert_equal(&o->p, &o->p.devices[i]);
        hands_assert_holds_its_own(&o->p, &o->p.devices[i]);
    }
    hands_assert_verified(&o->p);
    pair_done(&o->p);
}

static void assert_sees_annas(struct office *o, struct pair_device *d, bool sees)
{
    assert_int_equal(hands_shows(&o->p, d, "party", o->own), sees);
    assert_int_equal(hands_shows(&o->p, d, "contact", o->person), sees);
    assert_int_equal(hands_shows(&o->p, d, "party", o->teams), sees);
    assert_false(hands_shows(&o->p, d, "party", o->branchs)); /* that is not Anna's own */
}

static void tick(struct office *o)
{
    hub_tick(o->p.hub, pair_hub_now(&o->p));
    pair_run(&o->p);
}

static void a_substitute_does_what_the_owner_may(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 1);
    go_live(&o);
    assert_sees_annas(&o, o.boris, false);
    hands_substitute(&o.p, "anna", "boris", o.p.now_ms + 7 * day);
    hands_substitute(&o.p, "boris", "carl", o.p.now_ms + 7 * day);
    pair_run(&o.p);
    assert_false(o.boris->up); /* told at once */
    go_live(&o);
    assert_sees_annas(&o, o.boris, true);
    assert_sees_annas(&o, o.carl, false); /* no further than one */
    assert_true(hands_shows(&o.p, o.anna, "party", o.own));
    const char *list = pair_admin(&o.p, "{\"do\":\"user-list\"}");
    assert_non_null(strstr(list, "\"substitute\":\"boris\""));
    pair_set(&o.p, o.boris, "party", o.own, "website", "boris.example");
    struct uuid more = hands_customer(&o.p, o.boris, "More", o.a);
    hands_give(&o.p, o.boris, o.teams, o.a);
    hands_put(&o.p, o.boris, "party", o.own, /* as Anna could have given it */
              (struct hands_cell[]){{"visibility", "team", {{0}}}, {"team", NULL, o.team}}, 2);
    pair_say(&o.p, o.boris);
    assert_int_equal(pair_status(o.boris).parked_count, 0);
    assert_true(hands_shows(&o.p, o.anna, "party", more));
    assert_string_equal(pair_cell(&o.p, o.anna, "party", o.own, "visibility"), "team");
    hands_give(&o.p, o.boris, more, o.c);
    pair_say(&o.p, o.boris);
    assert_int_equal(pair_status(o.boris).parked_count, 0);
    assert_true(hands_shows(&o.p, o.carl, "party", more));
    assert_false(hands_shows(&o.p, o.anna, "party", more));
    office_close(&o);
}

/* By headquarters' clock, in the middle of a session; and at the next contact of who was away. */
static void when_the_time_is_over_nothing_is_left(void **state)
{
    (void)state;
    for (int live = 0; live < 2; live++) {
        struct office o;
        office_open(&o, 2);
        hands_substitute(&o.p, "anna", "boris", o.p.now_ms + day);
        pair_sync_all(&o.p);
        assert_sees_annas(&o, o.boris, true);
        if (live)
            go_live(&o);
        const uint64_t scope = pair_status(o.boris).scope;
        o.p.now_ms += day - 60000;
        if (live) {
            tick(&o); /* pings, no more */
            assert_true(o.boris->up);
            assert_true(hub_deadline(o.p.hub) <= (o.p.now_ms + 60000) * 1000);
            o.p.now_ms += 60000;
            tick(&o);
            assert_false(o.boris->up);
            go_live(&o);
        } else {
            o.p.now_ms += 60000;
            pair_sync_all(&o.p);
        }
        assert_true(pair_status(o.boris).scope > scope);
        assert_sees_annas(&o, o.boris, false);
        assert_null(strstr(pair_admin(&o.p, "{\"do\":\"user-list\"}"), "\"substitute\""));
        office_close(&o);
    }
}

/* A server that was down as it ended. */
static void an_end_is_not_missed(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 3);
    hands_substitute(&o.p, "anna", "boris", o.p.now_ms + day);
    pair_sync_all(&o.p);
    pair_set(&o.p, o.boris, "party", o.own, "website", "boris.example");
    o.p.now_ms += 3 * day;
    pair_restart_hub(&o.p);
    pair_sync_all(&o.p);
    assert_sees_annas(&o, o.boris, false);
    assert_int_equal(pair_status(o.boris).parked_count, 0);
    assert_string_equal(pair_cell(&o.p, o.anna, "party", o.own, "website"), "boris.example");
    office_close(&o);
}

enum when { BEFORE_THE_END, AFTER_THE_END, BEFORE_AND_LATE, WHEN_COUNT };

/* What Boris wrote offline before the end counts for 14 days; what he wrote after it, or brings later, does not. */
static void what_was_written_before_the_end_counts(void **state)
{
    (void)state;
    for (enum when when = BEFORE_THE_END; when < WHEN_COUNT; when++) {
        struct office o;
        office_open(&o, 4);
        const bool counts = when == BEFORE_THE_END;
        const int64_t end_ms = o.p.now_ms + 3 * day;
        hands_substitute(&o.p, "anna", "boris", end_ms);
        pair_sync_all(&o.p);
        o.p.now_ms += when == AFTER_THE_END ? 3 * day + day / 24 : 2 * day;
        pair_set(&o.p, o.boris, "party", o.own, "website", "boris.example");
        pair_set(&o.p, o.boris, "party", o.teams, "website", "boris.example");
        struct uuid person = hands_contact(&o.p, o.boris, o.own, "Bea");
        struct uuid more = hands_customer(&o.p, o.boris, "More", o.a);
        o.p.now_ms = end_ms + (when == BEFORE_AND_LATE ? 15 * day : 13 * day);
        pair_sync_all(&o.p);
        assert_int_equal(pair_status(o.boris).parked_count, counts ? 0 : 4);
        assert_int_equal(hands_shows(&o.p, o.anna, "contact", person), counts);
        assert_int_equal(hands_shows(&o.p, o.anna, "party", more), counts);
        assert_string_equal(pair_cell(&o.p, o.anna, "party", o.own, "website"),
                            counts ? "boris.example" : "");
        assert_string_equal(pair_cell(&o.p, o.anna, "party", o.teams, "website"),
                            counts ? "boris.example" : "");
        assert_sees_annas(&o, o.boris, false);
        office_close(&o);
    }
}

/* It ends earlier than was said, or another one comes: what Boris wrote before he heard of it counts. */
static void an_end_that_nobody_knew_of_is_like_a_move(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct office o;
        office_open(&o, 5);
        hands_substitute(&o.p, "anna", "boris", o.p.now_ms + 30 * day);
        pair_sync_all(&o.p);
        if (other)
            hands_substitute(&o.p, "anna", "carl", o.p.now_ms + 30 * day);
        else
            hands_end(&o.p, "anna");
        o.p.now_ms += day;
        pair_set(&o.p, o.boris, "party", o.own, "website", "boris.example");
        hands_give(&o.p, o.boris, o.own, o.b); /* but nobody routes what they do not see */
        pair_sync_all(&o.p);
        assert_int_equal(pair_status(o.boris).parked_count, 1);
        assert_string_equal(pair_cell(&o.p, o.anna, "party", o.own, "website"), "boris.example");
        assert_sees_annas(&o, o.boris, false);
        assert_sees_annas(&o, o.carl, other);
        office_close(&o);
    }
}

/* Anna leaves her team while Boris stands in for her: neither sees it any more. */
static void what_the_person_loses_the_substitute_loses(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 6);
    hands_substitute(&o.p, "anna", "boris", o.p.now_ms + 30 * day);
    pair_sync_all(&o.p);
    go_live(&o);
    pair_cut(&o.p, o.boris);
    hands_leave(&o.p, "Key", "anna");
    pair_set(&o.p, o.boris, "party", o.teams, "website", "boris.example");
    pair_run(&o.p);
    go_live(&o);
    assert_false(hands_shows(&o.p, o.boris, "party", o.teams));
    assert_false(hands_shows(&o.p, o.anna, "party", o.teams));
    assert_true(hands_shows(&o.p, o.boris, "party", o.own));
    assert_int_equal(pair_status(o.boris).parked_count, 0);
    assert_string_equal(pair_cell(&o.p, o.maria, "party", o.teams, "website"), "boris.example");
    office_close(&o);
}

/* Boris wrote to a customer that then went on, to Carl, and his time was over before he came. */
static void both_leases_hold_together(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 7);
    hands_substitute(&o.p, "anna", "boris", o.p.now_ms + 2 * day);
    pair_sync_all(&o.p);
    pair_set(&o.p, o.boris, "party", o.own, "website", "boris.example");
    o.p.now_ms += 3 * day;
    hands_give(&o.p, o.anna, o.own, o.c);
    pair_sync(&o.p, o.anna);
    pair_sync_all(&o.p);
    assert_int_equal(pair_status(o.boris).parked_count, 0);
    assert_string_equal(pair_cell(&o.p, o.carl, "party", o.own, "website"), "boris.example");
    assert_false(hands_shows(&o.p, o.boris, "party", o.own));
    office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_substitute_does_what_the_owner_may),
        cmocka_unit_test(when_the_time_is_over_nothing_is_left),
        cmocka_unit_test(an_end_is_not_missed),
        cmocka_unit_test(what_was_written_before_the_end_counts),
        cmocka_unit_test(an_end_that_nobody_knew_of_is_like_a_move),
        cmocka_unit_test(what_the_person_loses_the_substitute_loses),
        cmocka_unit_test(both_leases_hold_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
