/* Copies and restores of either side, and damage: nothing that was written is lost and all agree.
 *
 * ctest: timeout=900 */
#include "client/core/uplink_internal.h"
#include "tests/lib/pair_copy.h"

static struct replica_status status_of(struct pair_device *device)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    return status;
}

static uint16_t column_of(const struct model_table *table, const char *name)
{
    const struct model_column *column = model_column_by_name(table, bytes_of_text(name));
    assert_non_null(column);
    return column->index;
}

static const struct model_table *table_of(struct pair *p, const char *name)
{
    return model_table_by_name(p->model, bytes_of_text(name));
}

/* A contact of the customer. */
static struct uuid add_contact(struct pair *p, struct pair_device *device, struct uuid party,
                               const char *name)
{
    const struct model_table *table = table_of(p, "contact");
    const uint16_t columns[2] = {column_of(table, "party"), column_of(table, "name")};
    struct value values[2] = {value_blob(bytes_of(party.byte, 16)),
                              value_text(bytes_of_text(name))};
    struct uuid id = {{0}};
    struct err_info info = {0};
    struct dot dot;
    assert_ok(replica_begin(device->replica, p->now_ms + device->skew_ms));
    if (replica_insert(device->replica, table, &id, columns, values, 2, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(device->replica, &dot));
    return id;
}

/* Everybody until nothing moves, twice round. */
static void sync_all(struct pair *p)
{
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < p->device_count; i++)
            pair_sync(p, &p->devices[i]);
}

/* ---- copies ---- */

static void both_copies_of_a_replica_go_on_and_nothing_is_lost(void **state)
{
    (void)state;
    for (uint32_t variant = 0; variant < 6; variant++) {
        struct pair p;
        pair_init(&p, NULL, 40 + variant);
        struct pair_device *a = pair_enrol(&p, "anna", "admin"),
                           *c = pair_enrol(&p, "carl", "admin");
        struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
        pair_sync(&p, a);
        if (variant & 1)
            pair_set(&p, a, "party", id, "loyalty_points", "5"); /* pending when it is copied */
        struct pair_device *b = pair_clone_device(&p, a);
        assert_int_equal(status_of(a).origin, status_of(b).origin);
        uint32_t of_a = 3, of_b = variant < 2 ? 2 : variant < 4 ? 3 : 5;
        struct uuid ids[16];
        uint32_t count = 0;
        for (uint32_t i = 0; i < of_a; i++)
            ids[count++] = pair_insert(&p, a, "party", "name", "From the one");
        for (uint32_t i = 0; i < of_b; i++)
            ids[count++] = pair_insert(&p, b, "party", "name", "From the other");
        pair_set(&p, b, "party", ids[of_a], "legal_name", "built upon");
        sync_all(&p);
        assert_int_not_equal(status_of(a).origin, status_of(b).origin);
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t d = 0; d < p.device_count; d++)
                assert_string_equal(pair_cell(&p, &p.devices[d], "party", ids[i], "name"),
                                    i < of_a ? "From the one" : "From the other");
        assert_string_equal(pair_cell(&p, c, "party", ids[of_a], "legal_name"), "built upon");
        assert_string_equal(pair_cell(&p, c, "party", id, "loyalty_points"),
                            variant & 1 ? "5" : "0");
        for (uint32_t d = 0; d < p.device_count; d++)
            pair_assert_equal(&p, &p.devices[d]);
        pair_done(&p);
    }
}

/* The same when the copy hears of what the other one wrote before headquarters has seen its own: the
 * link gives it the catch-up first and takes its pushes after. */
static void a_copy_that_reads_before_it_is_heard_loses_nothing(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 50);
    struct pair_device *a = pair_enrol(&p, "anna", "admin");
    pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    struct pair_device *b = pair_clone_device(&p, a);
    struct uuid one = pair_insert(&p, a, "party", "name", "From the one"), other[3];
    for (int i = 0; i < 3; i++)
        other[i] = pair_insert(&p, b, "party", "name", "From the other");
    pair_sync(&p, a);
    pair_connect(&p, b, false);
    /* frames up one at a time; after each, everything down */
    for (int i = 0; i < 20; i++) {
        struct buf frame;
        struct uplink_effects effects;
        buf_init(&frame, FRAME_MAX);
        if (b->up)
            uplink_next_frame(b->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &frame,
                              &effects);
        if (frame.size)
            hub_receive(p.hub, b->peer, buf_view(&frame),
                        (struct hub_now){{p.now_ms}, {p.now_ms * 1000}});
        bool sent = frame.size > 0;
        while (b->up && hub_has_work(p.hub))
            assert_ok(hub_turn(p.hub, (struct hub_now){{p.now_ms}, {p.now_ms * 1000}}));
        for (bool more = b->up; more;) {
            hub_next_frame(p.hub, b->peer, (struct hub_now){{p.now_ms}, {p.now_ms * 1000}}, &frame);
            more = frame.size > 0;
            if (more)
                uplink_receive(b->uplink, buf_view(&frame),
                               (struct now){{p.now_ms}, {p.now_ms * 1000}}, &effects);
            if (more && effects.hang_up) {
                pair_cut(&p, b);
                more = false;
            }
        }
        buf_done(&frame);
        if (!sent)
            break;
    }
    pair_cut(&p, b);
    sync_all(&p);
    for (uint32_t d = 0; d < p.device_count; d++) {
        assert_string_equal(pair_cell(&p, &p.devices[d], "party", one, "name"), "From the one");
        for (int i = 0; i < 3; i++)
            assert_string_equal(pair_cell(&p, &p.devices[d], "party", other[i], "name"),
                                "From the other");
        pair_assert_equal(&p, &p.devices[d]);
    }
    assert_int_equal(pair_count(&p, NULL, "party"), 5);
    pair_done(&p);
}

static void a_rolled_back_device_goes_on(void **state)
{
    (void)state;
    for (int writes = 0; writes < 8; writes++) { /* fewer, as many, and more than were lost */
        struct pair p;
        pair_init(&p, NULL, 60 + (uint64_t)writes);
        struct pair_device *a = pair_enrol(&p, "anna", "admin"),
                           *b = pair_enrol(&p, "boris", "admin");
        struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
        pair_sync(&p, a);
        struct store *backup = pair_copy_store(&p, a->store);
        for (int i = 0; i < 4; i++)
            pair_insert(&p, a, "party", "name", "After the backup");
        pair_set(&p, a, "party", id, "loyalty_points", "3");
        pair_sync(&p, a);
        pair_put_store(&p, a, backup);
        for (int i = 0; i < writes; i++)
            pair_insert(&p, a, "party", "name", "After the restore");
        if (writes)
            pair_set(&p, a, "party", id, "loyalty_points", "10");
        sync_all(&p);
        assert_int_equal(pair_count(&p, a, "party"), 5 + writes);
        assert_string_equal(pair_cell(&p, b, "party", id, "loyalty_points"), writes ? "13" : "3");
        pair_assert_equal(&p, a);
        pair_assert_equal(&p, b);
        pair_done(&p);
    }
}

/* ---- headquarters restored ---- */

static void a_restored_headquarters_gets_back_what_it_acknowledged(void **state)
{
    (void)state;
    for (uint32_t variant = 0; variant < 2; variant++) {
        struct pair p;
        pair_init(&p, NULL, 70 + variant);
        struct pair_device *a = pair_enrol(&p, "anna", "admin"),
                           *b = pair_enrol(&p, "boris", "admin");
        struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
        sync_all(&p);
        struct store *backup = pair_copy_store(&p, p.hub_store);
        char text[24];
        for (int i = 0; i < 50; i++) { /* each builds upon the other's last */
            snprintf(text, sizeof text, "a%d", i);
            pair_set(&p, a, "party", id, "legal_name", text);
            pair_sync(&p, a);
            pair_sync(&p, b);
            snprintf(text, sizeof text, "b%d", i);
            pair_set(&p, b, "party", id, "legal_name", text);
            pair_sync(&p, b);
            pair_sync(&p, a);
        }
        struct uuid other = pair_insert(&p, b, "party", "name", "Of both");
        pair_sync(&p, b);
        pair_sync(&p, a);
        add_contact(&p, a, other, "Person");
        pair_sync(&p, a);
        pair_sync(&p, b);
        if (variant) { /* an edit whose acknowledgement was lost on its way */
            pair_set(&p, a, "party", id, "tax_id", "unheard");
            pair_connect(&p, a, false);
            a->frames_until_cut = 7;
            pair_run(&p);
            pair_cut(&p, a);
            a->frames_until_cut = 0;
        }
        pair_put_hub_store(&p, backup);
        assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"), "");
        sync_all(&p);
        for (uint32_t d = 0; d < p.device_count; d++) {
            assert_string_equal(pair_cell(&p, &p.devices[d], "party", id, "legal_name"), "b49");
            assert_int_equal(pair_count(&p, &p.devices[d], "contact"), 1);
            pair_assert_equal(&p, &p.devices[d]);
        }
        assert_int_equal(pair_count(&p, NULL, "conflict"), 0);
        if (variant)
            assert_string_equal(pair_cell(&p, b, "party", id, "tax_id"), "unheard");
        pair_done(&p);
    }
}

/* Each change of one column builds on the one before: a chain as long as people type. After a restore it
 * waits for one group of another device, and is taken at once with it. */
static void a_long_chain_of_waiting_groups_is_taken_at_once(void **state)
{
    (void)state;
    const uint32_t chain = unit_rounds(8000);
    struct pair p;
    pair_init(&p, NULL, 35);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    sync_all(&p);
    struct store *backup = pair_copy_store(&p, p.hub_store);
    pair_set(&p, a, "party", id, "legal_name", "first");
    pair_sync(&p, a);
    pair_sync(&p, b);
    char text[24];
    for (uint32_t i = 0; i < chain; i++) {
        snprintf(text, sizeof text, "%u", i);
        pair_set(&p, b, "party", id, "legal_name", text);
        if (i % 900 == 899)
            pair_sync(&p, b);
    }
    pair_sync(&p, b);
    pair_put_hub_store(&p, backup);
    pair_sync(&p, b);
    struct hub_stats stats;
    hub_stats(p.hub, &stats);
    assert_int_equal(stats.groups_waiting, chain);
    assert_string_equal(pair_cell(&p, b, "party", id, "legal_name"),
                        text); /* what was typed is shown */
    sync_all(&p);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"), text);
    assert_int_equal(pair_count(&p, NULL, "conflict"), 0);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_done(&p);
}

/* ---- damage ---- */

static void a_damaged_row_is_noticed_and_repaired(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 80);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_insert(&p, a, "party", "name", "Another");
    sync_all(&p);
    struct arena arena;
    struct store_row row;
    const struct model_table *table = table_of(&p, "party");
    arena_init(&arena, 1 << 20);
    assert_ok(store_begin(b->store, STORE_WRITE));
    assert_ok(store_row_get(b->store, table, &id, &arena, &row));
    row.values[column_of(table, "name")] = value_text(bytes_of_text("Tampered"));
    assert_ok(store_row_put(b->store, table, &id, &row));
    assert_ok(store_commit(b->store));
    arena_done(&arena);
    /* the digest is kept by sums: it shows when the record is next replaced */
    pair_set(&p, a, "party", id, "legal_name", "Ltd");
    pair_sync(&p, a);
    pair_sync(&p, b);
    pair_sync(&p, b);
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "Acme");
    pair_assert_equal(&p, b);
    pair_done(&p);
}

static void a_lost_row_is_noticed_and_repaired(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 81);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme"), kept = {{0}};
    kept = pair_insert(&p, b, "party", "name", "Pending");
    pair_sync(&p, a);
    pair_sync(&p, b);
    assert_ok(store_begin(b->store, STORE_WRITE));
    assert_ok(store_row_delete(b->store, table_of(&p, "party"), &id));
    assert_ok(store_commit(b->store));
    pair_set(&p, b, "party", kept, "legal_name", "an edit that waits");
    pair_set(&p, a, "party", id, "legal_name", "Ltd");
    pair_sync(&p, a);
    pair_sync(&p, b);
    pair_sync(&p, b);
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "Acme");
    assert_string_equal(pair_cell(&p, NULL, "party", kept, "legal_name"), "an edit that waits");
    pair_assert_equal(&p, b);
    pair_done(&p);
}

static int damage_digest(void *context, struct bytes key, struct bytes value)
{
    struct pair *p = context;
    uint8_t bytes[64];
    assert_true(value.size <= sizeof bytes);
    memcpy(bytes, value.data, value.size);
    bytes[value.size - 1] ^= 1; /* of the sum */
    assert_ok(store_side_put(p->hub_store, SIDE_BUCKET, key, bytes_of(bytes, value.size)));
    return 0;
}

static void a_server_that_does_not_add_up_is_left_after_some_tries(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 82);
    struct pair_device *a = pair_enrol(&p, "anna", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    assert_ok(store_begin(p.hub_store, STORE_WRITE));
    assert_ok(store_side_scan(p.hub_store, SIDE_BUCKET, BYTES(""), BYTES(""), damage_digest, &p));
    assert_ok(store_commit(p.hub_store));
    pair_restart_hub(&p);
    pair_set(&p, a, "party", id, "legal_name", "Ltd");
    pair_connect(&p, a, true);
    uint32_t frames = pair_run(&p);
    assert_true(frames < 100);
    assert_true(a->ended);
    assert_int_equal(a->why, ERR_PROTOCOL);
    assert_non_null(strstr(a->message, "satcheld verify"));
    assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"),
                        "Ltd"); /* it still came up */
    pair_done(&p);
}

/* The same, and headquarters is restored from before it heard of these records: they are pending again. */
static void a_first_sync_that_is_cut_and_lost_is_sent_again(void **state)
{
    (void)state;
    for (uint32_t first = 1; first < 16; first++)
        for (uint32_t second = 1; second < 16; second += unit_rounds(10) < 10 ? 6 : 1) {
            struct pair p;
            pair_init(&p, NULL, 60);
            struct pair_device *a = pair_enrol(&p, "anna", "admin");
            struct store *backup = pair_copy_store(&p, p.hub_store);
            struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
            pair_set(&p, a, "party", id, "legal_name", "Acme Ltd");
            struct uuid other = pair_insert(&p, a, "party", "name", "Apex");
            const uint32_t at[] = {first, second};
            for (int i = 0; i < 2; i++) {
                a->frames_until_cut = at[i];
                pair_connect(&p, a, false);
                pair_run(&p);
                pair_cut(&p, a);
            }
            a->frames_until_cut = 0;
            pair_put_hub_store(&p, backup);
            pair_sync(&p, a);
            assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"), "Acme Ltd");
            assert_string_equal(pair_cell(&p, a, "party", other, "name"), "Apex");
            if (a->uplink->repairs > 0)
                fail_msg("cut at frames %u and %u: what is held does not add up", first, second);
            pair_assert_equal(&p, a);
            pair_done(&p);
        }
}

/* Headquarters lost groups that it had set aside, and nothing else: no position tells of that. What comes
 * after is decided, and the device hears of it, though the number below is missing there. */
static void a_restore_that_lost_only_what_was_set_aside(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 58);
    struct pair_device *a = pair_enrol(&p, "anna", "rep");
    pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    struct store *backup = pair_copy_store(&p, p.hub_store);
    pair_insert(&p, a, "product", "name", "Not a rep's to write");
    pair_sync(&p, a);
    assert_int_equal(status_of(a).parked_count, 1);
    pair_put_hub_store(&p, backup);
    struct uuid id = pair_insert(&p, a, "party", "name", "Apex");
    pair_insert(&p, a, "product", "name", "Nor this one");
    pair_sync(&p, a);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "Apex");
    assert_int_equal(status_of(a).outbox_count, 0);
    assert_int_equal(status_of(a).parked_count, 2);
    pair_assert_equal(&p, a);
    pair_done(&p);
}

/* A first sync writes what comes into its tables at once. Cut off before the checkpoint, with an own insert
 * among what has come, it counts no record twice. */
static void a_first_sync_that_is_cut_counts_own_records_once(void **state)
{
    (void)state;
    uint32_t cuts = 0;
    for (uint32_t first = 1; first < 16; first++)
        for (uint32_t second = 1; second < 16; second += unit_rounds(10) < 10 ? 6 : 1) {
            struct pair p;
            pair_init(&p, NULL, 59);
            struct pair_device *a = pair_enrol(&p, "anna", "admin"),
                               *b = pair_enrol(&p, "boris", "admin");
            struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
            pair_set(&p, a, "party", id, "legal_name", "Acme Ltd");
            struct uuid gone = pair_insert(&p, a, "party", "name", "Apex");
            const uint32_t at[] = {first, second};
            for (int i = 0; i < 2; i++) {
                a->frames_until_cut = at[i];
                pair_connect(&p, a, false);
                pair_run(&p);
                cuts += !a->up;
                pair_cut(&p, a);
                pair_sync(&p, b);
                if (strcmp(pair_cell(&p, b, "party", id, "name"), "-") != 0)
                    pair_set(&p, b, "party", id, "name", i ? "Apis" : "Aquila");
                if (i && strcmp(pair_cell(&p, b, "party", gone, "name"), "-") != 0)
                    pair_delete(&p, b, "party", gone);
                pair_sync(&p, b);
            }
            a->frames_until_cut = 0;
            pair_sync(&p, a);
            if (a->uplink->repairs > 0)
                fail_msg("cut at frames %u and %u: what is held does not add up", first, second);
            pair_sync(&p, b);
            pair_assert_equal(&p, a);
            pair_done(&p);
        }
    assert_true(cuts > 50);
}

/* Headquarters is restored to before both, and the other copy comes first with its groups of the same numbers. */
static void a_copy_comes_first_to_a_restored_headquarters(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 90);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *c = pair_enrol(&p, "carl", "admin");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    struct pair_device *b = pair_clone_device(&p, a);
    struct store *backup = pair_copy_store(&p, p.hub_store);
    pair_set(&p, b, "party", id, "fax", "of the copy");
    struct uuid of_b = pair_insert(&p, b, "party", "name", "Of the copy");
    pair_sync(&p, b);
    pair_set(&p, a, "party", id, "legal_name", "of the other");
    struct uuid of_a = pair_insert(&p, a, "party", "name", "Of the other");
    pair_put_hub_store(&p, backup);
    pair_sync(&p, a);
    sync_all(&p);
    assert_string_equal(pair_cell(&p, NULL, "party", of_a, "name"), "Of the other");
    assert_string_equal(pair_cell(&p, NULL, "party", of_b, "name"), "Of the copy");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "fax"), "of the copy");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"), "of the other");
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_assert_equal(&p, c);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_copies_of_a_replica_go_on_and_nothing_is_lost),
        cmocka_unit_test(a_copy_comes_first_to_a_restored_headquarters),
        cmocka_unit_test(a_restore_that_lost_only_what_was_set_aside),
        cmocka_unit_test(a_first_sync_that_is_cut_counts_own_records_once),
        cmocka_unit_test(a_first_sync_that_is_cut_and_lost_is_sent_again),
        cmocka_unit_test(a_copy_that_reads_before_it_is_heard_loses_nothing),
        cmocka_unit_test(a_rolled_back_device_goes_on),
        cmocka_unit_test(a_restored_headquarters_gets_back_what_it_acknowledged),
        cmocka_unit_test(a_long_chain_of_waiting_groups_is_taken_at_once),
        cmocka_unit_test(a_damaged_row_is_noticed_and_repaired),
        cmocka_unit_test(a_lost_row_is_noticed_and_repaired),
        cmocka_unit_test(a_server_that_does_not_add_up_is_left_after_some_tries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
