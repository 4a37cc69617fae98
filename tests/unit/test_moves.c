/* Customers that change hands: what leaves, what follows, who may, and what former owners send. */
#include "client/core/replica_internal.h"
#include "server/core/hub_internal.h"
#include "tests/lib/hands.h"
#include "tests/lib/pair_copy.h"

static void assert_holds(struct pair *p, struct pair_device *d, const char *table, struct uuid id,
                         bool holds)
{
    assert_int_equal(strcmp(pair_cell(p, d, table, id, "name"), "-") != 0, holds);
}

static uint64_t catch_ups(struct pair *p)
{
    struct hub_stats stats;
    hub_stats(p->hub, &stats);
    assert_int_equal(stats.fallbacks, 0);
    return stats.catch_ups;
}

/* Anna, a rep, and Boris, a rep; Maria is an administrator, who sees all. */
struct office {
    struct pair p;
    struct pair_device *anna, *boris, *maria;
    struct uuid a, b;
    struct uuid customer, person;
};

static void office_open(struct office *o, uint64_t seed, bool live)
{
    pair_init(&o->p, NULL, seed);
    o->anna = pair_enrol(&o->p, "anna", "rep");
    o->boris = pair_enrol(&o->p, "boris", "rep");
    o->maria = pair_enrol(&o->p, "maria", "admin");
    o->a = hands_user(&o->p, "anna");
    o->b = hands_user(&o->p, "boris");
    o->customer = hands_customer(&o->p, o->anna, "Acme", o->a);
    o->person = hands_contact(&o->p, o->anna, o->customer, "Ada");
    pair_sync(&o->p, o->anna);
    pair_sync(&o->p, o->boris);
    pair_sync(&o->p, o->maria);
    if (live) {
        pair_go_live(&o->p, o->anna);
        pair_go_live(&o->p, o->boris);
        pair_go_live(&o->p, o->maria);
    }
    assert_holds(&o->p, o->anna, "party", o->customer, true);
    assert_holds(&o->p, o->boris, "party", o->customer, false);
}

static void assert_owner(struct office *o, struct pair_device *has, struct pair_device *has_not)
{
    assert_holds(&o->p, has, "party", o->customer, true);
    assert_holds(&o->p, has, "contact", o->person, true);
    assert_holds(&o->p, has_not, "party", o->customer, false);
    assert_holds(&o->p, has_not, "contact", o->person, false);
    assert_holds(&o->p, o->maria, "party", o->customer, true);
    assert_holds(&o->p, o->maria, "contact", o->person, true);
    pair_assert_equal(&o->p, o->anna);
    pair_assert_equal(&o->p, o->boris);
    pair_assert_equal(&o->p, o->maria);
    hands_assert_verified(&o->p);
}

static void a_customer_given_away_takes_its_people_along(void **state)
{
    (void)state;
    for (int live = 0; live < 2; live++) {
        struct office o;
        office_open(&o, 1, live);
        uint64_t before = catch_ups(&o.p);
        hands_give(&o.p, o.anna, o.customer, o.b);
        if (live)
            pair_say(&o.p, o.anna);
        else
            pair_sync_all(&o.p);
        assert_int_equal(pair_status(o.anna).parked_count, 0);
        assert_owner(&o, o.boris, o.anna);
        hands_give(&o.p, o.boris, o.customer, o.a); /* and back: the departure is forgotten */
        if (live)
            pair_say(&o.p, o.boris);
        else
            pair_sync_all(&o.p);
        assert_owner(&o, o.anna, o.boris);
        if (live)
            assert_int_equal(catch_ups(&o.p), before);
        pair_done(&o.p);
    }
}

static void new_things_go_where_their_customer_goes(void **state)
{
    (void)state;
    for (int live = 0; live < 2; live++) {
        struct office o;
        office_open(&o, 2, live);
        uint64_t subscribed = catch_ups(&o.p);
        /* in one push: a person, the move, and another person by the one who has given it away */
        struct uuid before = hands_contact(&o.p, o.anna, o.customer, "Bea");
        hands_give(&o.p, o.anna, o.customer, o.b);
        struct uuid after = hands_contact(&o.p, o.anna, o.customer, "Cleo");
        if (live)
            pair_say(&o.p, o.anna);
        else
            pair_sync_all(&o.p);
        assert_int_equal(pair_status(o.anna).parked_count, 0);
        assert_owner(&o, o.boris, o.anna);
        assert_holds(&o.p, o.boris, "contact", before, true);
        assert_holds(&o.p, o.boris, "contact", after, true);
        assert_holds(&o.p, o.anna, "contact", before, false);
        assert_holds(&o.p, o.anna, "contact", after, false);
        if (live)
            assert_int_equal(catch_ups(&o.p), subscribed);
        pair_done(&o.p);
    }
}

/* Anna edits and adds without knowing that Maria has given the customer to Boris. */
static void a_former_owners_edits_count_for_the_lease(void **state)
{
    (void)state;
    const int64_t day = 24 * 3600 * 1000;
    for (int late = 0; late < 2; late++) {
        struct office o;
        office_open(&o, 3, false);
        hands_give(&o.p, o.maria, o.customer, o.b);
        pair_sync(&o.p, o.maria);
        pair_sync(&o.p, o.boris);
        pair_set(&o.p, o.boris, "party", o.customer, "website", "boris.example");
        pair_sync(&o.p, o.boris);
        pair_set(&o.p, o.anna, "party", o.customer, "website", "anna.example");
        struct uuid person = hands_contact(&o.p, o.anna, o.customer, "Bea");
        o.p.now_ms += late ? 15 * day : 13 * day;
        pair_sync_all(&o.p);
        assert_int_equal(pair_status(o.anna).parked_count, late ? 2 : 0);
        assert_holds(&o.p, o.boris, "contact", person, !late);
        assert_int_equal(pair_count(&o.p, o.boris, "conflict"), late ? 0 : 1);
        assert_int_equal(pair_count(&o.p, o.anna, "conflict"), 0); /* it is not hers to see */
        assert_owner(&o, o.boris, o.anna);
        pair_done(&o.p);
    }
}

static void conflicts_go_with_their_record(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 4, false);
    pair_set(&o.p, o.anna, "party", o.customer, "website", "one.example");
    pair_set(&o.p, o.maria, "party", o.customer, "website", "two.example");
    pair_sync_all(&o.p);
    assert_int_equal(pair_count(&o.p, o.anna, "conflict"), 1);
    assert_int_equal(pair_count(&o.p, o.boris, "conflict"), 0);
    hands_give(&o.p, o.maria, o.customer, o.b);
    pair_sync_all(&o.p);
    assert_int_equal(pair_count(&o.p, o.anna, "conflict"), 0);
    assert_int_equal(pair_count(&o.p, o.boris, "conflict"), 1);
    assert_owner(&o, o.boris, o.anna);
    pair_done(&o.p);
}

static void only_owners_and_managers_give_away(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 5, false);
    hands_put(&o.p, o.anna, "party", o.customer,
              (struct hands_cell[]){{"visibility", "company", {{0}}}}, 1);
    pair_sync_all(&o.p);
    assert_holds(&o.p, o.boris, "party", o.customer, true);
    assert_holds(&o.p, o.boris, "contact", o.person, true);
    /* Boris sees it now, and may not take it for himself */
    hands_put(&o.p, o.boris, "party", o.customer,
              (struct hands_cell[]){{"visibility", "owner", {{0}}}, {"owner", NULL, o.b}}, 2);
    pair_sync_all(&o.p);
    assert_int_equal(pair_status(o.boris).parked_count, 1);
    assert_holds(&o.p, o.anna, "party", o.customer, true);
    /* nor can anybody give it to nobody */
    hands_put(&o.p, o.anna, "party", o.customer,
              (struct hands_cell[]){{"visibility", "owner", {{0}}}, {"owner", NULL, o.customer}},
              2);
    pair_sync_all(&o.p);
    assert_int_equal(pair_status(o.anna).parked_count, 1);
    assert_string_equal(pair_cell(&o.p, NULL, "party", o.customer, "visibility"), "company");
    pair_assert_equal(&o.p, o.anna);
    hands_assert_verified(&o.p);
    pair_done(&o.p);
}

/* A device that comes for the first time hears nothing of what was there before. */
static void departures_are_no_news_to_newcomers(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 6, false);
    hands_give(&o.p, o.anna, o.customer, o.b);
    pair_sync_all(&o.p);
    struct pair_device *second = pair_enrol(&o.p, "anna", "rep");
    struct hub_stats before, after;
    hub_stats(o.p.hub, &before);
    pair_sync(&o.p, second);
    hub_stats(o.p.hub, &after);
    pair_assert_equal(&o.p, second);
    uint32_t rows = 0;
    for (uint16_t i = 0; i < o.p.model->table_count; i++)
        rows += pair_count(&o.p, second, o.p.model->tables[i].name);
    assert_int_equal(after.rows_sent - before.rows_sent, rows);
    pair_done(&o.p);
}

static void a_restart_knows_the_departures(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 7, false);
    hands_give(&o.p, o.anna, o.customer, o.b);
    pair_sync(&o.p, o.anna);
    pair_restart_hub(&o.p);
    pair_restart_device(&o.p, o.boris);
    pair_sync_all(&o.p);
    assert_owner(&o, o.boris, o.anna);
    hands_give(&o.p, o.maria, o.customer, o.a);
    pair_sync(&o.p, o.maria);
    pair_restart_hub(&o.p);
    pair_sync_all(&o.p);
    assert_owner(&o, o.anna, o.boris);
    pair_done(&o.p);
}

enum meanwhile { NOTHING, EDITED, GIVEN_ON, GIVEN_TO_HER, MADE_PUBLIC, DELETED, MEANWHILE_COUNT };

static void something_happens(struct office *o, enum meanwhile what)
{
    switch (what) {
    case EDITED: pair_set(&o->p, o->anna, "party", o->customer, "fax", "newer"); break;
    case GIVEN_ON: hands_give(&o->p, o->anna, o->customer, o->b); break;
    case GIVEN_TO_HER: hands_give(&o->p, o->anna, o->customer, hands_user(&o->p, "maria")); break;
    case MADE_PUBLIC:
        hands_put(&o->p, o->anna, "party", o->customer,
                  (struct hands_cell[]){{"visibility", "company", {{0}}}}, 1);
        break;
    case DELETED: pair_delete(&o->p, o->anna, "party", o->customer); break;
    case NOTHING:
    case MEANWHILE_COUNT: break;
    }
    pair_sync(&o->p, o->anna);
}

/* One catch-up brings everything, and each bucket adds up at once: nothing has to be compared. */
static void assert_adds_up(struct pair *p, struct pair_device *d)
{
    const uint64_t before = catch_ups(p);
    pair_sync(p, d);
    assert_int_equal(catch_ups(p), before + 1);
    for (uint32_t i = 0; i < d->replica->cursor_count; i++)
        assert_int_not_equal(d->replica->cursors[i].bucket, 0);
    pair_assert_equal(p, d);
}

/* Maria has edited what she may not see any more: it stays until that was sent, but in no bucket;
 * when she may see it again it comes anew, and counts once. Where the link breaks says whether it
 * comes back before her edit is decided. */
static void what_the_outbox_holds_counts_when_its_bucket_comes_again(void **state)
{
    (void)state;
    for (enum meanwhile what = NOTHING; what < MEANWHILE_COUNT; what++) {
        uint32_t held = 0;
        for (uint32_t cut = 1; cut <= 10; cut++) {
            struct office o;
            office_open(&o, 8, false);
            uint32_t buckets = o.maria->replica->cursor_count;
            pair_set(&o.p, o.maria, "party", o.customer, "website", "maria.example");
            pair_admin(&o.p, "{\"do\":\"user-set\",\"login\":\"maria\",\"role\":\"rep\"}");
            o.maria->frames_until_cut = cut;
            pair_connect(&o.p, o.maria, true);
            pair_run(&o.p);
            pair_cut(&o.p, o.maria);
            o.maria->frames_until_cut = 0;
            struct replica_status status;
            replica_status(o.maria->replica, &status);
            held += o.maria->replica->cursor_count < buckets && status.outbox_count == 1;
            something_happens(&o, what);
            pair_admin(&o.p, "{\"do\":\"user-set\",\"login\":\"maria\",\"role\":\"admin\"}");
            assert_adds_up(&o.p, o.maria);
            pair_sync_all(&o.p);
            assert_adds_up(&o.p, o.maria);
            hands_assert_verified(&o.p);
            pair_done(&o.p);
        }
        assert_true(held > 0);
    }
}

/* After a restore Boris brings a person of Anna's customer before she has brought the customer again. */
static void what_comes_before_its_customer_goes_to_it(void **state)
{
    (void)state;
    struct office o;
    office_open(&o, 9, false);
    struct store *backup = pair_copy_store(&o.p, o.p.hub_store);
    struct uuid customer = pair_insert(&o.p, o.anna, "party", "name", "Everybody's");
    pair_sync_all(&o.p);
    struct uuid person = hands_contact(&o.p, o.boris, customer, "Bea");
    pair_put_hub_store(&o.p, backup);
    pair_sync(&o.p, o.boris);
    pair_sync_all(&o.p);
    pair_sync_all(&o.p);
    assert_holds(&o.p, o.anna, "contact", person, true);
    assert_holds(&o.p, o.boris, "contact", person, true);
    assert_holds(&o.p, o.maria, "contact", person, true);
    hands_assert_verified(&o.p);
    pair_done(&o.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_customer_given_away_takes_its_people_along),
        cmocka_unit_test(new_things_go_where_their_customer_goes),
        cmocka_unit_test(a_former_owners_edits_count_for_the_lease),
        cmocka_unit_test(conflicts_go_with_their_record),
        cmocka_unit_test(only_owners_and_managers_give_away),
        cmocka_unit_test(departures_are_no_news_to_newcomers),
        cmocka_unit_test(a_restart_knows_the_departures),
        cmocka_unit_test(what_the_outbox_holds_counts_when_its_bucket_comes_again),
        cmocka_unit_test(what_comes_before_its_customer_goes_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
