/* A group that was renumbered is one with what it was: whichever of the two comes first takes effect, once,
 * and what names either builds on it. */
#include "tests/lib/hands.h"
#include "tests/lib/hostile.h"
#include "tests/lib/pair_copy.h"

static struct replica_status status_of(struct pair_device *device)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    return status;
}

static void sync_all(struct pair *p)
{
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < p->device_count; i++)
            pair_sync(p, &p->devices[i]);
}

static void all_agree(struct pair *p)
{
    sync_all(p);
    for (uint32_t i = 0; i < p->device_count; i++) {
        assert_int_equal(status_of(&p->devices[i]).parked_count, 0);
        assert_int_equal(status_of(&p->devices[i]).outbox_count, 0);
        pair_assert_equal(p, &p->devices[i]);
    }
}

/* A copy has built on what the other copy has sent in the meantime, and is renumbered. */
static void a_copy_builds_on_what_both_copies_have(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 81);
    struct pair_device *a = pair_enrol(&p, "anna", "admin");
    pair_sync(&p, a);
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme"); /* not sent when it is copied */
    pair_set(&p, a, "party", id, "loyalty_points", "5");
    struct pair_device *b = pair_clone_device(&p, a);
    pair_set(&p, a, "party", id, "legal_name", "From the one");
    pair_set(&p, b, "party", id, "website", "From the other");
    pair_set(&p, b, "party", id, "loyalty_points", "8");
    pair_sync(&p, a);
    pair_sync(&p, b);
    assert_int_not_equal(status_of(a).origin, status_of(b).origin);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"), "From the one");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "website"), "From the other");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "loyalty_points"), "8");
    pair_delete(&p, b, "party", id);
    pair_sync(&p, b);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "-");
    all_agree(&p);
    pair_done(&p);
}

/* After a restore the renumbered one comes first, and the other copy sends its own after it. */
static void what_was_renumbered_comes_first(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 82);
    struct pair_device *a = pair_enrol(&p, "anna", "admin");
    pair_sync(&p, a);
    struct store *backup = pair_copy_store(&p, p.hub_store);
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_set(&p, a, "party", id, "loyalty_points", "5");
    struct pair_device *b = pair_clone_device(&p, a);
    pair_set(&p, a, "party", id, "legal_name", "From the one");
    pair_set(&p, b, "party", id, "website", "From the other");
    pair_sync(&p, a);
    pair_sync(&p, b);
    assert_int_not_equal(status_of(a).origin, status_of(b).origin);
    pair_put_hub_store(&p, backup);
    pair_sync(&p, b);
    pair_set(&p, a, "party", id, "city", "Omsk");
    pair_sync(&p, a);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "loyalty_points"), "5");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"), "From the one");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "website"), "From the other");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "city"), "Omsk");
    all_agree(&p);
    pair_done(&p);
}

/* Others have built on the groups of an origin that was stolen from a restored headquarters, and come before
 * its owner. */
static void others_built_on_what_is_renumbered(void **state)
{
    (void)state;
    struct pair p;
    struct hostile h;
    pair_init(&p, NULL, 83);
    struct pair_device *owner = pair_enrol(&p, "olga", "admin"),
                       *friend = pair_enrol(&p, "fred", "admin"),
                       *thief = pair_enrol(&p, "theo", "admin");
    pair_sync(&p, friend); /* the owner has not been there yet */
    struct store *backup = pair_copy_store(&p, p.hub_store);
    struct uuid id = pair_insert(&p, owner, "party", "name", "Acme");
    pair_set(&p, owner, "party", id, "legal_name", "First");
    pair_sync(&p, owner);
    pair_sync(&p, friend);
    pair_set(&p, friend, "party", id, "legal_name", "Second");
    pair_put_hub_store(&p, backup);
    hostile_attach(&h, &p, thief);
    h.origin = status_of(owner).origin;
    hostile_open(&h);
    hostile_settle(&h);
    hostile_end(&h);
    pair_connect(&p, friend, false);
    pair_run(&p);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"),
                        "-"); /* it waits for the owner's */
    pair_sync(&p, owner);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "Acme");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"), "Second");
    pair_cut(&p, friend);
    all_agree(&p);
    assert_int_equal(pair_count(&p, NULL, "conflict"), 0); /* the second had seen the first */
    pair_done(&p);
}

static enum err note_first(void *context, const struct parked_group *parked)
{
    uint64_t *oseq = context;
    if (*oseq == 0)
        *oseq = parked->dot.oseq;
    return ERR_OK;
}

/* Both copies wait for a group that was set aside; one of them gives it up. */
static void give_up_for_both(bool first)
{
    struct pair p;
    struct err_info info;
    uint64_t oseq = 0;
    pair_init(&p, NULL, 84);
    struct pair_device *a = pair_enrol(&p, "anna", "admin");
    pair_sync(&p, a);
    struct uuid id = pair_insert(&p, a, "territory", "name", "Far East"); /* administrators may */
    const struct hands_cell cells[] = {
        {"name", "Acme", {{0}}}, {"visibility", "company", {{0}}}, {"territory", NULL, id}};
    hands_put(&p, a, "party", (struct uuid){{0}}, cells, 3);
    struct pair_device *b = pair_clone_device(&p, a);
    pair_insert(&p, a, "party", "name", "From the one");
    pair_insert(&p, b, "party", "name", "From the other");
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"anna\",\"role\":\"rep\"}");
    pair_sync(&p, a);
    pair_sync(&p, b);
    assert_int_not_equal(status_of(a).origin, status_of(b).origin);
    assert_int_equal(status_of(b).parked_count, 1);
    assert_int_equal(status_of(b).outbox_count, 1);
    struct pair_device *gives_up = first ? a : b;
    assert_ok(replica_parked(gives_up->replica, note_first, &oseq));
    assert_ok(replica_parked_discard(gives_up->replica, oseq, &info));
    pair_sync(&p, gives_up);
    pair_sync(&p, a);
    pair_sync(&p, b);
    assert_int_equal(status_of(b).outbox_count,
                     0); /* set aside now: it depends on what was given up */
    assert_int_equal(status_of(a).outbox_count, 0);
    pair_done(&p);
}

static void what_was_renumbered_is_given_up_for_both(void **state)
{
    (void)state;
    give_up_for_both(false);
    give_up_for_both(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_builds_on_what_both_copies_have),
        cmocka_unit_test(what_was_renumbered_comes_first),
        cmocka_unit_test(others_built_on_what_is_renumbered),
        cmocka_unit_test(what_was_renumbered_is_given_up_for_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
