/* Teams: who sees what is a team's, who may bring it there, and what is left of it with who leaves. */
#include "client/core/replica_internal.h"
#include "server/core/hub_internal.h"
#include "tests/lib/hands.h"

static const int64_t day = 24 * 3600 * 1000;

static void assert_holds(struct pair *p, struct pair_device *d, const char *table, struct uuid id,
                         bool holds)
{
    assert_int_equal(hands_shows(p, d, table, id), holds);
}

/* Anna of North and Boris of South are a team, Carl of North is not; Mona manages North, which the team is of, Sven
 * South; Maria is an administrator. The customer is Anna's and the team's. */
struct office {
    struct pair p;
    struct pair_device *anna, *boris, *carl, *mona, *sven, *maria;
    struct uuid a, b, c;
    struct uuid team, customer, person;
};

static struct pair_device *enrol(struct office *o, const char *login, const char *role,
                                 const char *branch)
{
    char request[200];
    snprintf(request, sizeof request,
             "{\"do\":\"user-add\",\"login\":\"%s\",\"role\":\"%s\",\"branch\":\"%s\"}", login,
             role, branch);
    pair_admin(&o->p, request);
    return pair_enrol(&o->p, login, role);
}

static void go_live(struct office *o)
{
    for (uint32_t i = 0; i < o->p.device_count; i++)
        if (!o->p.devices[i].peer)
            pair_go_live(&o->p, &o->p.devices[i]);
}

static void office_open(struct office *o, uint64_t seed, bool live)
{
    memset(o, 0, sizeof *o);
    pair_init(&o->p, NULL, seed);
    pair_admin(&o->p, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&o->p, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    o->anna = enrol(o, "anna", "rep", "North");
    o->boris = enrol(o, "boris", "rep", "South");
    o->carl = enrol(o, "carl", "rep", "North");
    o->mona = enrol(o, "mona", "manager", "North");
    o->sven = enrol(o, "sven", "manager", "South");
    o->maria = pair_enrol(&o->p, "maria", "admin");
    o->a = hands_user(&o->p, "anna");
    o->b = hands_user(&o->p, "boris");
    o->c = hands_user(&o->p, "carl");
    o->team = hands_team_new(&o->p, "Key", "North");
    hands_join(&o->p, "Key", "anna");
    hands_join(&o->p, "Key", "boris");
    pair_sync_all(&o->p);
    o->customer = hands_team_customer(&o->p, o->anna, "Acme", o->a, o->team);
    o->person = hands_contact(&o->p, o->anna, o->customer, "Ada");
    pair_sync_all(&o->p);
    if (live)
        go_live(o);
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

static void assert_seen_by(struct office *o, struct uuid customer, const char *names)
{
    const struct {
        struct pair_device *d;
        char name;
    } all[] = {{o->anna, 'a'}, {o->boris, 'b'}, {o->carl, 'c'},
               {o->mona, 'm'}, {o->sven, 's'},  {o->maria, 'M'}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (hands_shows(&o->p, all[i].d, "party", customer) != (strchr(names, all[i].name) != NULL))
            fail_msg("'%c' of '%s'", all[i].name, names);
}

static void a_team_and_its_manager_see_what_is_its(void **state)
{
    (void)state;
    for (int live = 0; live < 2; live++) {
        struct office o;
        office_open(&o, 1, live);
        assert_int_equal(pair_status(o.anna).parked_count, 0);
        assert_seen_by(&o, o.customer, "abmM");
        assert_holds(&o.p, o.boris, "contact", o.person, true);
        assert_holds(&o.p, o.carl, "contact", o.person, false);
        pair_set(&o.p, o.boris, "party", o.customer, "website", "boris.example");
        if (live)
            pair_say(&o.p, o.boris);
        else
            pair_sync_all(&o.p);
        assert_string_equal(pair_cell(&o.p, o.anna, "party", o.customer, "website"),
                            "boris.example");
        office_close(&o);
    }
}

/* The reason why the device's only group that was set aside was. */
static enum err note_reason(void *context, const struct parked_group *parked)
{
    *(enum reason *)context = (enum reason)parked->reason;
    return ERR_OK;
}

static enum reason refused(struct pair_device *d)
{
    enum reason reason = REASON_NONE;
    assert_int_equal(pair_status(d).parked_count, 1);
    assert_ok(replica_parked(d->replica, note_reason, &reason));
    assert_int_equal(hands_give_up(d), 1);
    return reason;
}

static void an_owner_belongs_to_the_team(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 2, false);
    /* Carl may neither get it nor bring his own */
    hands_give(&o.p, o.anna, o.customer, o.c);
    pair_sync(&o.p, o.anna);
    assert_int_equal(refused(o.anna), REASON_TEAM);
    hands_team_customer(&o.p, o.anna, "Carl's", o.c, o.team);
    pair_sync(&o.p, o.anna);
    assert_int_equal(refused(o.anna), REASON_TEAM);
    struct uuid own = hands_customer(&o.p, o.carl, "Own", o.c);
    pair_sync(&o.p, o.carl);
    const struct hands_cell cells[] = {{"visibility", "team", {{0}}}, {"team", NULL, o.team}};
    hands_put(&o.p, o.carl, "party", own, cells, 2);
    pair_sync(&o.p, o.carl);
    assert_int_equal(refused(o.carl), REASON_TEAM);
    hands_team_customer(&o.p, o.carl, "For Anna", o.a, o.team);
    pair_sync(&o.p, o.carl);
    assert_int_equal(refused(o.carl), REASON_SCOPE);
    /* by rank one belongs to it, too; and a record need not have an owner */
    hands_give(&o.p, o.anna, o.customer, hands_user(&o.p, "mona"));
    pair_sync(&o.p, o.anna);
    pair_sync(&o.p, o.mona);
    hands_give(&o.p, o.mona, o.customer, hands_user(&o.p, "sven"));
    pair_sync_all(&o.p);
    assert_int_equal(refused(o.mona), REASON_TEAM);
    hands_give(&o.p, o.mona, o.customer, o.b);
    pair_sync_all(&o.p);
    assert_seen_by(&o, o.customer, "abmM");
    assert_int_equal(pair_status(o.mona).parked_count, 0);
    office_close(&o);
}

static void nobody_goes_where_no_team_is(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 3, false);
    hands_put(&o.p, o.anna, "party", o.customer, (struct hands_cell[]){{"team", NULL, o.a}}, 1);
    pair_sync(&o.p, o.anna);
    assert_int_equal(refused(o.anna), REASON_MOVE);
    hands_team_customer(&o.p, o.maria, "Nowhere", o.a, o.a);
    pair_sync(&o.p, o.maria);
    assert_int_equal(refused(o.maria), REASON_MOVE);
    struct uuid old = hands_team_new(&o.p, "Old", NULL);
    hands_join(&o.p, "Old", "anna");
    pair_admin(&o.p, "{\"do\":\"team-remove\",\"team\":\"Old\"}");
    hands_put(&o.p, o.anna, "party", o.customer, (struct hands_cell[]){{"team", NULL, old}}, 1);
    pair_sync(&o.p, o.anna);
    assert_int_equal(refused(o.anna), REASON_MOVE);
    pair_sync_all(&o.p);
    assert_seen_by(&o, o.customer, "abmM");
    office_close(&o);
}

static void a_customer_goes_from_team_to_team(void **state)
{
    (void)state;
    for (int live = 0; live < 2; live++) {
        struct office o;
        office_open(&o, 4, false);
        struct uuid other = hands_team_new(&o.p, "Other", NULL);
        hands_join(&o.p, "Other", "anna");
        hands_join(&o.p, "Other", "carl");
        pair_sync_all(&o.p);
        if (live)
            go_live(&o);
        hands_put(&o.p, o.anna, "party", o.customer, (struct hands_cell[]){{"team", NULL, other}},
                  1);
        if (live)
            pair_say(&o.p, o.anna);
        else
            pair_sync_all(&o.p);
        assert_seen_by(&o, o.customer, "acM");
        assert_holds(&o.p, o.carl, "contact", o.person, true);
        assert_holds(&o.p, o.boris, "contact", o.person, false);
        assert_holds(&o.p, o.mona, "contact", o.person, false);
        office_close(&o);
    }
}

static void who_leaves_keeps_nothing_and_is_told_at_once(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 5, true);
    const uint64_t scope = pair_status(o.boris).scope;
    hands_leave(&o.p, "Key", "boris");
    pair_run(&o.p);
    assert_false(o.boris->up); /* the live session ended */
    assert_true(o.anna->up);
    go_live(&o);
    assert_true(pair_status(o.boris).scope > scope);
    assert_seen_by(&o, o.customer, "amM");
    assert_holds(&o.p, o.boris, "contact", o.person, false);
    hands_join(&o.p, "Key", "boris");
    pair_run(&o.p);
    assert_false(o.boris->up);
    go_live(&o);
    assert_seen_by(&o, o.customer, "abmM");
    assert_holds(&o.p, o.boris, "contact", o.person, true);
    office_close(&o);
}

/* What Boris wrote before he heard that he is of the team no longer. */
static void a_leavers_edits_count_for_the_lease(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct office o;
        office_open(&o, 6, false);
        hands_leave(&o.p, "Key", "boris");
        o.p.now_ms += day;
        pair_set(&o.p, o.boris, "party", o.customer, "website", "boris.example");
        struct uuid person = hands_contact(&o.p, o.boris, o.customer, "Bea");
        struct uuid fresh = hands_team_customer(&o.p, o.boris, "Fresh", o.a, o.team);
        hands_give(&o.p, o.boris, o.customer, o.b); /* this he may not: he was not its owner */
        o.p.now_ms += late ? 14 * day : 12 * day;
        pair_sync_all(&o.p);
        assert_int_equal(pair_status(o.boris).parked_count, late ? 4 : 1);
        assert_holds(&o.p, o.anna, "contact", person, !late);
        assert_holds(&o.p, o.anna, "party", fresh, !late);
        assert_string_equal(pair_cell(&o.p, o.anna, "party", o.customer, "website"),
                            late ? "" : "boris.example");
        assert_holds(&o.p, o.boris, "party", o.customer, false);
        assert_holds(&o.p, o.boris, "party", fresh, false);
        office_close(&o);
    }
}

/* In one transaction of an administrator's device Boris leaves and the customer is written: not a byte of that
 * comes to him. */
static uint32_t told;

static void look_for_secret(struct pair_device *device, bool up, struct bytes frame)
{
    (void)device;
    told += !up && hands_frame_has(frame, "secret");
}

static struct uuid member_row(struct office *o, struct uuid user)
{
    const struct model_table *table = model_table_by_id(o->p.model, TABLE_TEAM_MEMBER);
    struct arena arena;
    struct store_row row;
    struct uuid who;
    arena_init(&arena, 1 << 20);
    struct store_ids ids = {.arena = &arena};
    assert_ok(store_begin(o->p.hub_store, STORE_READ));
    assert_ok(store_row_scan(o->p.hub_store, table, NULL, store_ids_add, &ids));
    struct uuid found = {{0}};
    for (uint32_t i = 0; i < ids.count; i++) {
        assert_ok(store_row_get(o->p.hub_store, table, &ids.ids[i], &arena, &row));
        const struct model_column *c = model_column_by_id(table, SYSTEM_TEAM_MEMBER_USER);
        if (value_id(&row.values[c->index], &who) && uuid_equal(&who, &user))
            found = ids.ids[i];
    }
    store_rollback(o->p.hub_store);
    arena_done(&arena);
    return found;
}

static void what_is_written_as_one_leaves_does_not_reach_him(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct office o;
        office_open(&o, 7, true);
        told = 0;
        o.boris->on_frame = look_for_secret;
        struct uuid row = member_row(&o, o.b);
        if (order)
            pair_set(&o.p, o.maria, "party", o.customer, "website", "secret");
        pair_set(&o.p, o.maria, "team_member", row, "active", "no");
        pair_set(&o.p, o.maria, "party", o.customer, "fax", "secret");
        pair_say(&o.p, o.maria); /* one push, one turn, one commit */
        assert_false(o.boris->up);
        go_live(&o);
        assert_int_equal(told, 0);
        assert_string_equal(pair_cell(&o.p, o.anna, "party", o.customer, "fax"), "secret");
        assert_seen_by(&o, o.customer, "amM");
        office_close(&o);
    }
}

static void a_team_is_removed_when_nothing_is_its_alone(void **state)
{
    (void)state;
    struct office o;
    struct buf answer;
    office_open(&o, 8, true);
    buf_init(&answer, 1 << 16);
    assert_ok(hub_admin(o.p.hub, bytes_of_text("{\"do\":\"team-remove\",\"team\":\"Key\"}"),
                        pair_hub_now(&o.p), &answer));
    assert_ok(buf_append(&answer, "", 1));
    assert_non_null(strstr((const char *)answer.data, "\"code\":\"FORBIDDEN\""));
    assert_non_null(strstr((const char *)answer.data, "1 records are this team's alone"));
    buf_done(&answer);
    assert_non_null(strstr(pair_admin(&o.p, "{\"do\":\"team-list\"}"), "\"records\":1"));
    assert_non_null(strstr(pair_admin(&o.p, "{\"do\":\"team-list\"}"), "\"branch\":\"North\""));
    const char *left =
        pair_admin(&o.p, "{\"do\":\"team-leave\",\"team\":\"Key\",\"login\":\"anna\"}");
    assert_non_null(strstr(left, "\"owns\":1"));
    pair_run(&o.p);
    go_live(&o);
    assert_seen_by(&o, o.customer, "bmM"); /* the owner is no exception */
    hands_put(&o.p, o.mona, "party", o.customer,
              (struct hands_cell[]){{"visibility", "company", {{0}}}}, 1);
    pair_say(&o.p, o.mona);
    pair_admin(&o.p, "{\"do\":\"team-remove\",\"team\":\"Key\"}");
    assert_null(strstr(pair_admin(&o.p, "{\"do\":\"team-list\"}"), "Key"));
    pair_run(&o.p);
    go_live(&o);
    assert_seen_by(&o, o.customer, "abcmsM");
    hands_team_new(&o.p, "Key", NULL); /* the name is free again */
    pair_run(&o.p);
    office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_team_and_its_manager_see_what_is_its),
        cmocka_unit_test(an_owner_belongs_to_the_team),
        cmocka_unit_test(nobody_goes_where_no_team_is),
        cmocka_unit_test(a_customer_goes_from_team_to_team),
        cmocka_unit_test(who_leaves_keeps_nothing_and_is_told_at_once),
        cmocka_unit_test(a_leavers_edits_count_for_the_lease),
        cmocka_unit_test(what_is_written_as_one_leaves_does_not_reach_him),
        cmocka_unit_test(a_team_is_removed_when_nothing_is_its_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
