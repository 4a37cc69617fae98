/* Writes to what was purged: a device was away for longer than the horizon. Nothing of them is lost, applied to
 * nothing, or waits for ever. */
#include "tests/lib/ages.h"
#include "tests/lib/hands.h"

/* Anna and Boris see all that is said here; Boris was away when Anna deleted. */
struct away {
    struct pair p;
    struct pair_device *anna, *boris;
    struct uuid customer, person;
};

static void away_open(struct away *s, uint64_t seed)
{
    pair_init(&s->p, NULL, seed);
    s->anna = pair_enrol(&s->p, "anna", "rep");
    s->boris = pair_enrol(&s->p, "boris", "rep");
    s->customer = pair_insert(&s->p, s->anna, "party", "name", "Acme");
    pair_set(&s->p, s->anna, "party", s->customer, "city", "Gyumri");
    s->person = hands_contact(&s->p, s->anna, s->customer, "Ada");
    pair_sync_all(&s->p);
    pair_delete(&s->p, s->anna, "party", s->customer); /* and Ada */
    pair_sync(&s->p, s->anna);
}

/* So long that only the record has gone, or its departure as well; Anna syncs now and then. */
static void away_for(struct away *s, bool very)
{
    for (int i = 0; i < (very ? 15 : 8); i++) {
        ages_pass(&s->p, 14);
        pair_sync(&s->p, s->anna);
    }
    assert_int_equal(ages_dead(&s->p, s->p.hub_store), 0);
    assert_int_equal(ages_side(s->p.hub_store, SIDE_MOVED), very ? 0 : 2);
}

static void away_close(struct away *s)
{
    pair_sync_all(&s->p);
    assert_int_equal(pair_status(s->anna).outbox_count, 0);
    assert_int_equal(pair_status(s->boris).outbox_count, 0);
    assert_int_equal(ages_side(s->boris->store, SIDE_KEPT), 0);
    pair_assert_equal(&s->p, s->anna);
    pair_assert_equal(&s->p, s->boris);
    hands_assert_verified(&s->p);
    pair_done(&s->p);
}

static void a_customer_that_somebody_still_works_on_comes_back_with_one_action(void **state)
{
    (void)state;
    for (int very = 0; very < 2; very++)
        for (int again = 0; again < 2; again++) {
            struct away s;
            uint64_t oseq;
            away_open(&s, 1);
            pair_set(&s.p, s.boris, "party", s.customer, "website", "acme.example");
            away_for(&s, very);
            pair_sync(&s.p, s.boris);
            assert_int_equal(pair_status(s.boris).outbox_count, 0);
            assert_int_equal(ages_parked(s.boris, &oseq), REASON_PURGED);
            assert_string_equal(pair_cell(&s.p, s.boris, "party", s.customer, "name"), "-");
            if (!again) { /* or it is given up */
                assert_int_equal(hands_give_up(s.boris), 1);
                away_close(&s);
                continue;
            }
            pair_restart_device(&s.p, s.boris);
            ages_retry(&s.p, s.boris, oseq);
            assert_int_equal(ages_parked(s.boris, NULL), REASON_NONE);
            pair_sync(&s.p, s.anna);
            assert_string_equal(pair_cell(&s.p, s.anna, "party", s.customer, "name"), "Acme");
            assert_string_equal(pair_cell(&s.p, s.anna, "party", s.customer, "city"), "Gyumri");
            assert_string_equal(pair_cell(&s.p, s.anna, "party", s.customer, "website"),
                                "acme.example");
            away_close(&s);
        }
}

/* The retry of one brings it back, that of the other is written to what is there then. */
static void two_people_bring_back_one_customer(void **state)
{
    (void)state;
    struct away s;
    uint64_t oseq, other;
    away_open(&s, 2);
    struct pair_device *maria = NULL;
    pair_set(&s.p, s.boris, "party", s.customer, "website", "acme.example");
    away_for(&s, true);
    maria = pair_enrol(&s.p, "boris", "rep"); /* a second device, with no copy */
    pair_sync(&s.p, maria);
    pair_sync(&s.p, s.boris);
    assert_int_equal(ages_parked(s.boris, &oseq), REASON_PURGED);
    ages_retry(&s.p, s.boris, oseq);
    pair_sync(&s.p, maria);
    assert_string_equal(pair_cell(&s.p, maria, "party", s.customer, "website"), "acme.example");
    pair_delete(&s.p, maria, "party", s.customer); /* its next life ends as well */
    pair_sync(&s.p, maria);
    pair_set(&s.p, s.boris, "party", s.customer, "city", "Tbilisi");
    for (int i = 0; i < 15; i++) {
        ages_pass(&s.p, 14);
        pair_sync(&s.p, s.anna);
        pair_sync(&s.p, maria);
    }
    pair_sync(&s.p, s.boris);
    assert_int_equal(ages_parked(s.boris, &other), REASON_PURGED);
    ages_retry(&s.p, s.boris, other);
    pair_sync(&s.p, maria);
    assert_string_equal(pair_cell(&s.p, maria, "party", s.customer, "city"), "Tbilisi");
    assert_string_equal(pair_cell(&s.p, maria, "party", s.customer, "website"), "acme.example");
    pair_assert_equal(&s.p, maria);
    away_close(&s);
}

/* A new contact of the customer names no dot of it: the customer comes back with the contact. */
static void what_is_put_beneath_it_brings_it_back(void **state)
{
    (void)state;
    for (int very = 0; very < 2; very++) {
        struct away s;
        uint64_t oseq;
        away_open(&s, 3);
        struct uuid eve = hands_contact(&s.p, s.boris, s.customer, "Eve");
        away_for(&s, very);
        pair_sync(&s.p, s.boris);
        assert_int_equal(ages_parked(s.boris, &oseq), REASON_PURGED);
        assert_string_equal(pair_cell(&s.p, NULL, "contact", eve, "name"), "-");
        ages_retry(&s.p, s.boris, oseq);
        assert_int_equal(ages_parked(s.boris, NULL), REASON_NONE);
        pair_sync(&s.p, s.anna);
        assert_string_equal(pair_cell(&s.p, s.anna, "party", s.customer, "name"), "Acme");
        assert_string_equal(pair_cell(&s.p, s.anna, "contact", eve, "name"), "Eve");
        assert_string_equal(pair_cell(&s.p, s.anna, "contact", s.person, "name"), "-");
        away_close(&s);
    }
}

/* And a change of a contact brings the contact and its customer back. */
static void a_child_comes_with_its_parent(void **state)
{
    (void)state;
    for (int very = 0; very < 2; very++) {
        struct away s;
        uint64_t oseq;
        away_open(&s, 4);
        pair_set(&s.p, s.boris, "contact", s.person, "name", "Ada Lovelace");
        away_for(&s, very);
        pair_sync(&s.p, s.boris);
        assert_int_equal(ages_parked(s.boris, &oseq), REASON_PURGED);
        ages_retry(&s.p, s.boris, oseq);
        pair_sync(&s.p, s.anna);
        /* the customer was not touched by him: it is there as far as his device kept it */
        assert_string_equal(pair_cell(&s.p, s.anna, "contact", s.person, "name"), "Ada Lovelace");
        assert_string_equal(pair_cell(&s.p, s.anna, "party", s.customer, "name"), "Acme");
        away_close(&s);
    }
}

static void a_delete_of_it_is_what_happened_anyway(void **state)
{
    (void)state;
    struct away s;
    away_open(&s, 5);
    pair_delete(&s.p, s.boris, "party", s.customer);
    struct uuid other = pair_insert(&s.p, s.boris, "party", "name", "Bona");
    away_for(&s, true);
    pair_sync(&s.p, s.boris);
    assert_int_equal(ages_parked(s.boris, NULL), REASON_NONE);
    assert_string_equal(pair_cell(&s.p, NULL, "party", other, "name"), "Bona");
    away_close(&s);
}

struct one {
    struct pair *p;
    struct uuid id;
};

static int take_id(void *context, const struct uuid *id)
{
    ((struct one *)context)->id = *id;
    return STORE_STOP;
}

/* Of a record whose deletes win the write is told of, and the rest of the group counts. */
static void where_deletes_win_a_conflict_record_says_what_was_lost(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 6);
    struct pair_device *anna = pair_enrol(&p, "anna", "admin"),
                       *boris = pair_enrol(&p, "boris", "manager");
    const struct uuid none = {{0}};
    struct uuid territory =
        hands_put(&p, anna, "territory", none, (struct hands_cell[]){{"name", "South", {{0}}}}, 1);
    struct uuid line = hands_put(&p, anna, "territory_user", none,
                                 (struct hands_cell[]){{"territory", NULL, territory},
                                                       {"user", NULL, hands_user(&p, "anna")}},
                                 2);
    pair_sync_all(&p);
    pair_delete(&p, anna, "territory_user", line);
    pair_sync(&p, anna);
    hands_put(&p, boris, "territory_user", line,
              (struct hands_cell[]){{"user", NULL, hands_user(&p, "boris")}}, 1);
    for (int i = 0; i < 15; i++) {
        ages_pass(&p, 14);
        pair_sync(&p, anna);
    }
    pair_sync(&p, boris);
    assert_int_equal(ages_parked(boris, NULL), REASON_NONE);
    assert_int_equal(pair_count(&p, boris, "conflict"), 1);
    struct one one = {.p = &p};
    const struct model_table *table = model_table_by_id(p.model, TABLE_CONFLICT);
    assert_ok(store_begin(boris->store, STORE_READ));
    assert_ok(store_row_scan(boris->store, table, NULL, take_id, &one));
    store_rollback(boris->store);
    assert_non_null(strstr(pair_cell(&p, boris, "conflict", one.id, "candidates"), "\"user\":"));
    assert_string_equal(pair_cell(&p, boris, "conflict", one.id, "kind"), "delete");
    assert_string_equal(pair_cell(&p, boris, "conflict", one.id, "policy"), "wins");
    for (int i = 0; i < 8; i++) { /* it, too, is kept for a horizon, and no longer */
        ages_pass(&p, 14);
        pair_sync(&p, boris);
        assert_int_equal(pair_count(&p, boris, "conflict"),
                         i < 6 ? 1 : pair_count(&p, NULL, "conflict"));
    }
    assert_int_equal(pair_count(&p, NULL, "conflict"), 0);
    pair_sync_all(&p);
    pair_assert_equal(&p, anna);
    pair_assert_equal(&p, boris);
    hands_assert_verified(&p);
    pair_done(&p);
}

/* Who restores one wants it back: that is no write which a delete wins against. */
static void where_deletes_win_a_restore_still_brings_back(void **state)
{
    (void)state;
    struct pair p;
    struct err_info info;
    struct dot dot;
    uint64_t oseq;
    const struct uuid none = {{0}};
    pair_init(&p, NULL, 8);
    struct pair_device *anna = pair_enrol(&p, "anna", "admin"),
                       *boris = pair_enrol(&p, "boris", "admin");
    struct uuid territory =
        hands_put(&p, anna, "territory", none, (struct hands_cell[]){{"name", "South", {{0}}}}, 1);
    struct uuid line = hands_put(&p, anna, "territory_user", none,
                                 (struct hands_cell[]){{"territory", NULL, territory},
                                                       {"user", NULL, hands_user(&p, "anna")}},
                                 2);
    pair_delete(&p, anna, "territory_user", line);
    pair_sync_all(&p);
    assert_ok(replica_begin(boris->replica, p.now_ms));
    assert_ok(replica_restore(boris->replica,
                              model_table_by_name(p.model, bytes_of_text("territory_user")), &line,
                              &info));
    assert_ok(replica_commit(boris->replica, &dot));
    for (int i = 0; i < 8; i++) {
        ages_pass(&p, 14);
        pair_sync(&p, anna);
    }
    assert_int_equal(ages_dead(&p, p.hub_store), 0);
    pair_sync(&p, boris);
    assert_int_equal(ages_parked(boris, &oseq), REASON_PURGED);
    ages_retry(&p, boris, oseq);
    pair_sync(&p, anna);
    assert_int_equal(pair_count(&p, anna, "territory_user"), 1);
    pair_assert_equal(&p, anna);
    pair_assert_equal(&p, boris);
    pair_done(&p);
}

/* What is kept of a record goes when nothing waits for it, and is not shown meanwhile. */
static void what_is_kept_is_hidden_and_goes(void **state)
{
    (void)state;
    struct away s;
    away_open(&s, 7);
    hands_contact(&s.p, s.boris, s.customer, "Eve");
    away_for(&s, false);
    /* the first exchange is cut when the checkpoint has come, before anything was decided */
    pair_connect(&s.p, s.boris, true);
    for (int i = 0; i < 200 && ages_side(s.boris->store, SIDE_KEPT) == 0; i++)
        if (!pair_step(&s.p))
            break;
    pair_cut(&s.p, s.boris);
    assert_string_equal(pair_cell(&s.p, s.boris, "party", s.customer, "name"), "-");
    pair_restart_device(&s.p, s.boris);
    pair_sync(&s.p, s.boris);
    uint64_t oseq;
    assert_int_equal(ages_parked(s.boris, &oseq), REASON_PURGED);
    assert_int_equal(ages_side(s.boris->store, SIDE_KEPT), 0);
    ages_retry(&s.p, s.boris, oseq);
    pair_sync(&s.p, s.anna);
    assert_string_equal(pair_cell(&s.p, s.anna, "party", s.customer, "name"), "Acme");
    away_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_customer_that_somebody_still_works_on_comes_back_with_one_action),
        cmocka_unit_test(two_people_bring_back_one_customer),
        cmocka_unit_test(what_is_put_beneath_it_brings_it_back),
        cmocka_unit_test(a_child_comes_with_its_parent),
        cmocka_unit_test(a_delete_of_it_is_what_happened_anyway),
        cmocka_unit_test(where_deletes_win_a_conflict_record_says_what_was_lost),
        cmocka_unit_test(where_deletes_win_a_restore_still_brings_back),
        cmocka_unit_test(what_is_kept_is_hidden_and_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
