/* Attachments between devices, branches and headquarters: real cores, joined in memory. */
#include "tests/lib/hands.h"
#include "tests/lib/pair_copy.h"
#include "tests/lib/photos.h"

enum { SMALL = 3000, LARGE = 10 * BLOB_CHUNK + 17 };

static void what_is_attached_reaches_who_may_see_it(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 1);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep"),
                       *boris = pair_enrol(&p, "boris", "rep");
    pair_sync_all(&p);
    struct uuid open = pair_insert(&p, anna, "party", "name", "Acme");
    struct uuid hers = hands_customer(&p, anna, "Secret", hands_user(&p, "anna"));
    struct photo small = photo_attach(&p, anna, open, 1, SMALL),
                 large = photo_attach(&p, anna, open, 2, LARGE),
                 secret = photo_attach(&p, anna, hers, 3, SMALL);
    assert_int_equal(photo_counts(anna).to_send, 3);
    assert_int_equal(photo_counts(anna).bytes_to_send, 2 * SMALL + LARGE);
    pair_sync(&p, anna);
    assert_int_equal(photo_counts(anna).to_send, 0);
    assert_true(photo_is_at(&p, NULL, &small) && photo_is_at(&p, NULL, &large) &&
                photo_is_at(&p, NULL, &secret));
    assert_true(photo_state(&p, anna, &large).confirmed);
    assert_ok(replica_blob_set_policy(boris->replica, SMALL));
    pair_sync(&p, boris);
    assert_true(photo_is_at(&p, boris, &small));  /* by itself */
    assert_false(photo_is_at(&p, boris, &large)); /* on demand, its size is known */
    assert_int_equal(photo_state(&p, boris, &large).size, LARGE);
    assert_int_equal(photo_counts(boris).to_fetch, 1);
    assert_int_equal(photo_counts(boris).bytes_to_fetch, LARGE);
    photo_ask(&p, boris, &large);
    photo_ask(&p, boris, &secret); /* he has heard of the hash */
    pair_sync(&p, boris);
    assert_true(photo_is_at(&p, boris, &large));
    assert_false(photo_is_at(&p, boris, &secret));
    assert_int_equal(photo_counts(boris).to_fetch, 0);
    pair_done(&p);
}

/* Cut after every number of frames: nothing half is shown, and nothing that was acknowledged is sent again. */
static void no_cut_starts_over(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 2);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep"),
                       *boris = pair_enrol(&p, "boris", "rep");
    pair_sync_all(&p);
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme");
    struct photo photo = photo_attach(&p, anna, acme, 4, LARGE);
    uint32_t sessions = 0;
    anna->bytes_up = 0;
    for (; photo_counts(anna).to_send > 0; sessions++) {
        pair_connect(&p, anna, true);
        anna->frames_until_cut = 7 + sessions % 23;
        pair_run(&p);
        (void)photo_is_at(&p, NULL, &photo); /* asserts that it is right, if it is whole */
        if (sessions % 5 == 4)
            pair_restart_hub(&p);
        if (sessions % 5 == 2)
            pair_restart_device(&p, anna);
        assert_true(sessions < 200);
    }
    assert_true(sessions > 3);
    assert_true(photo_is_at(&p, NULL, &photo));
    /* a chunk that was on its way at a cut is sent once more, no other */
    assert_true(anna->bytes_up < LARGE + sessions * (BLOB_CHUNK + 4096u));
    photo_ask(&p, boris, &photo);
    boris->bytes_down = 0;
    for (sessions = 0; !photo_is_at(&p, boris, &photo); sessions++) {
        pair_connect(&p, boris, true);
        boris->frames_until_cut = 9 + sessions % 23;
        pair_run(&p);
        if (sessions % 5 == 2)
            pair_restart_device(&p, boris);
        if (sessions % 5 == 4)
            pair_restart_hub(&p);
        assert_true(sessions < 200);
    }
    assert_true(sessions > 3);
    assert_true(boris->bytes_down < LARGE + sessions * (BLOB_CHUNK + 8192u));
    pair_done(&p);
}

static void what_is_there_is_not_sent_again(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 3);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep"),
                       *boris = pair_enrol(&p, "boris", "rep");
    pair_sync_all(&p);
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme"),
                other = pair_insert(&p, boris, "party", "name", "Other");
    struct photo one = photo_attach(&p, anna, acme, 5, LARGE);
    pair_sync(&p, anna);
    struct photo same = photo_attach(&p, boris, other, 5, LARGE);
    assert_memory_equal(one.hash, same.hash, BLOB_HASH);
    boris->bytes_up = 0;
    pair_sync(&p, boris);
    assert_true(boris->bytes_up < 4096);
    assert_true(photo_state(&p, boris, &same).confirmed);
    assert_int_equal(photo_chunks(&p, NULL), blob_chunks(LARGE));
    pair_done(&p);
}

/* Two that bring the same at the same time bring it together. */
static void two_bring_one_together(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 4);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep"),
                       *boris = pair_enrol(&p, "boris", "rep");
    pair_sync_all(&p);
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme"),
                other = pair_insert(&p, boris, "party", "name", "Other");
    struct photo one = photo_attach(&p, anna, acme, 6, LARGE);
    photo_attach(&p, boris, other, 6, LARGE);
    pair_connect(&p, anna, true);
    pair_connect(&p, boris, true);
    pair_run(&p);
    assert_true(photo_is_at(&p, NULL, &one));
    assert_int_equal(photo_counts(anna).to_send + photo_counts(boris).to_send, 0);
    assert_int_equal(photo_chunks(&p, NULL), blob_chunks(LARGE));
    pair_done(&p);
}

/* Frames since the application wrote, until the server has the write. */
static uint32_t chunks_seen;

static void count_chunks(struct pair_device *device, bool up, struct bytes frame)
{
    (void)device;
    chunks_seen += up && frame.data[0] == MESSAGE_CHUNK;
}

static void a_write_waits_behind_one_chunk_at_most(void **state)
{
    struct pair p;
    struct uplink_effects effects;
    (void)state;
    pair_init(&p, NULL, 5);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep");
    pair_sync_all(&p);
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme");
    pair_sync(&p, anna);
    struct photo photo = photo_attach(&p, anna, acme, 7, LARGE);
    pair_connect(&p, anna, false);
    anna->on_frame = count_chunks;
    chunks_seen = 0;
    while (chunks_seen < 3)
        assert_true(pair_step(&p) > 0);
    for (int i = 0; i < 5 && !photo_is_at(&p, NULL, &photo); i++) {
        pair_set(&p, anna, "party", acme, "city", i % 2 ? "Gyumri" : "Tbilisi");
        uplink_local_change(anna->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &effects);
        chunks_seen = 0;
        while (strcmp(pair_cell(&p, NULL, "party", acme, "city"), i % 2 ? "Gyumri" : "Tbilisi"))
            assert_true(pair_step(&p) > 0);
        assert_true(chunks_seen <= 1);
    }
    pair_run(&p);
    assert_true(photo_is_at(&p, NULL, &photo));
    pair_done(&p);
}

static void a_branch_that_is_cut_off_serves_its_own(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 6);
    struct pair_branch *tbilisi = pair_branch_new(&p, "Tbilisi", NULL);
    struct pair_device *anna = pair_enrol_at(&p, "anna", "Tbilisi", tbilisi),
                       *boris = pair_enrol_at(&p, "boris", "Tbilisi", tbilisi),
                       *vera = pair_enrol(&p, "vera", "rep");
    pair_go_live(&p, anna);
    pair_go_live(&p, boris);
    pair_cut(&p, tbilisi->link);
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme");
    struct photo photo = photo_attach(&p, anna, acme, 8, LARGE);
    assert_ok(replica_blob_set_policy(boris->replica, UINT64_MAX));
    assert_ok(replica_blob_set_policy(anna->replica, 0));
    pair_say(&p, anna);
    assert_true(photo_is_at(&p, tbilisi->link, &photo));
    assert_true(photo_is_at(&p, boris, &photo)); /* at once */
    assert_false(photo_is_at(&p, NULL, &photo));
    assert_true(photo_state(&p, anna, &photo).at_branch);
    assert_false(photo_state(&p, anna, &photo).confirmed);
    pair_connect(&p, tbilisi->link, false);
    pair_run(&p);
    assert_true(photo_is_at(&p, NULL, &photo));
    assert_true(photo_state(&p, tbilisi->link, &photo).confirmed);
    assert_true(photo_state(&p, anna, &photo).confirmed); /* and they have been told */
    assert_true(photo_state(&p, boris, &photo).confirmed);
    /* down again, by a branch that does not have it: on demand */
    struct uuid other = pair_insert(&p, vera, "party", "name", "Other");
    struct photo fresh = photo_attach(&p, vera, other, 9, LARGE);
    pair_sync(&p, vera);
    pair_run(&p);
    assert_true(photo_is_at(&p, boris, &fresh));         /* takes all */
    assert_true(photo_is_at(&p, tbilisi->link, &fresh)); /* what passes is kept */
    assert_false(photo_is_at(&p, anna, &fresh));
    pair_cut(&p, tbilisi->link);
    photo_ask(&p, anna, &fresh);
    pair_say(&p, anna);
    assert_true(photo_is_at(&p, anna, &fresh)); /* headquarters is not needed */
    pair_done(&p);
}

static void what_nobody_names_goes(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 7);
    struct pair_device *anna = pair_enrol(&p, "anna", "admin"),
                       *boris = pair_enrol(&p, "boris", "rep");
    pair_sync_all(&p);
    struct uuid acme = hands_customer(&p, anna, "Acme", hands_user(&p, "boris"));
    struct photo photo = photo_attach(&p, anna, acme, 10, LARGE),
                 gone = photo_attach(&p, anna, acme, 11, SMALL);
    pair_sync(&p, anna);
    assert_ok(replica_blob_set_policy(boris->replica, UINT64_MAX));
    pair_sync(&p, boris);
    assert_true(photo_is_at(&p, boris, &photo) && photo_is_at(&p, boris, &gone));
    pair_delete(&p, anna, "attachment", gone.record);
    pair_sync_all(&p);
    assert_int_equal(photo_state(&p, boris, &gone).number, 0);
    assert_int_equal(photo_chunks(&p, boris), blob_chunks(LARGE));
    assert_true(photo_is_at(&p, NULL, &gone));          /* a tombstone names it */
    hands_give(&p, anna, acme, hands_user(&p, "anna")); /* out of his sight */
    pair_sync_all(&p);
    assert_int_equal(photo_chunks(&p, boris), 0);
    assert_true(photo_is_at(&p, anna, &photo) && photo_is_at(&p, NULL, &photo));
    pair_done(&p);
}

/* Deleted before headquarters had it: the bytes are this device's alone, and stay. */
static void what_is_here_alone_stays(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 8);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep");
    pair_sync_all(&p);
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme");
    struct photo photo = photo_attach(&p, anna, acme, 12, SMALL);
    pair_delete(&p, anna, "attachment", photo.record);
    pair_sync(&p, anna);
    assert_true(photo_is_at(&p, anna, &photo));
    assert_int_equal(photo_counts(anna).unnamed, 1);
    assert_int_equal(photo_counts(anna).to_send, 0);
    pair_done(&p);
}

static void a_restored_headquarters_gets_back_what_it_lost(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 9);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep"),
                       *boris = pair_enrol(&p, "boris", "rep");
    pair_sync_all(&p);
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme");
    struct photo kept = photo_attach(&p, anna, acme, 13, SMALL);
    pair_sync(&p, anna);
    struct store *backup = pair_copy_store(&p, p.hub_store);
    struct photo lost = photo_attach(&p, anna, acme, 14, LARGE);
    assert_ok(replica_blob_set_policy(boris->replica, UINT64_MAX));
    pair_sync_all(&p);
    assert_true(photo_is_at(&p, boris, &lost));
    pair_put_hub_store(&p, backup);
    assert_true(photo_is_at(&p, NULL, &kept));
    assert_false(photo_is_at(&p, NULL, &lost));
    anna->bytes_up = 0;
    pair_sync(&p, anna);
    assert_true(photo_is_at(&p, NULL, &lost));
    assert_true(anna->bytes_up < LARGE + BLOB_CHUNK); /* not what was kept */
    pair_sync_all(&p);
    assert_true(photo_state(&p, anna, &lost).confirmed && photo_state(&p, boris, &lost).confirmed);
    pair_done(&p);
}

static void too_large_is_told_before_a_byte(void **state)
{
    struct pair p;
    uint64_t limit;
    (void)state;
    pair_init(&p, NULL, 10);
    p.config.limits.attachment_bytes = LARGE - 1;
    pair_restart_hub(&p);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep");
    pair_sync_all(&p);
    assert_ok(replica_blob_limit(anna->replica, &limit));
    assert_int_equal(limit, LARGE - 1); /* known before it is needed */
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme");
    struct photo photo = photo_attach(&p, anna, acme, 15, LARGE);
    anna->bytes_up = 0;
    pair_sync(&p, anna);
    assert_true(anna->bytes_up < 4096);
    assert_int_equal(photo_counts(anna).refused, 1);
    assert_true(photo_is_at(&p, anna, &photo));
    p.config.limits.attachment_bytes = LARGE;
    pair_restart_hub(&p);
    pair_sync(&p, anna); /* hears of the new limit */
    pair_sync(&p, anna);
    assert_true(photo_is_at(&p, NULL, &photo));
    assert_int_equal(photo_counts(anna).refused, 0);
    pair_done(&p);
}

static void without_attachments_records_go_alone(void **state)
{
    struct pair p;
    struct uplink_effects effects;
    (void)state;
    pair_init(&p, NULL, 11);
    struct pair_device *anna = pair_enrol(&p, "anna", "rep");
    pair_sync_all(&p);
    struct uuid acme = pair_insert(&p, anna, "party", "name", "Acme");
    struct photo photo = photo_attach(&p, anna, acme, 16, SMALL);
    const struct uplink_config config = {.replica = anna->replica,
                                         .crypto = p.crypto,
                                         .rng = &p.rng,
                                         .agent = "test",
                                         .once = true,
                                         .no_attachments = true};
    uplink_free(anna->uplink);
    assert_ok(uplink_new(&config, &anna->identity, NULL, &anna->uplink));
    assert_ok(hub_attach(p.hub, anna, pair_hub_now(&p), &anna->peer));
    anna->up = true;
    uplink_link_up(anna->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &effects);
    pair_run(&p);
    assert_true(anna->ended);
    assert_err(anna->why, ERR_OK);
    assert_int_equal(pair_count(&p, NULL, "attachment"), 1);
    assert_false(photo_is_at(&p, NULL, &photo));
    pair_sync(&p, anna);
    assert_true(photo_is_at(&p, NULL, &photo));
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_attached_reaches_who_may_see_it),
        cmocka_unit_test(no_cut_starts_over),
        cmocka_unit_test(what_is_there_is_not_sent_again),
        cmocka_unit_test(two_bring_one_together),
        cmocka_unit_test(a_write_waits_behind_one_chunk_at_most),
        cmocka_unit_test(a_branch_that_is_cut_off_serves_its_own),
        cmocka_unit_test(what_nobody_names_goes),
        cmocka_unit_test(what_is_here_alone_stays),
        cmocka_unit_test(a_restored_headquarters_gets_back_what_it_lost),
        cmocka_unit_test(too_large_is_told_before_a_byte),
        cmocka_unit_test(without_attachments_records_go_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
