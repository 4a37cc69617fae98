/* Devices that come from elsewhere: what they may not see any more goes at whatever branch they come to, and a branch
 * that knows a lost history takes nothing from them. Each story is one of the simulator's. */
#include "client/core/replica_relay.h"
#include "client/core/uplink_internal.h"
#include "common/store_mem/store_mem.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/hands.h"
#include "tests/lib/pair_copy.h"

/* Two branches side by side; Anna is of Kazan. */
struct country {
    struct pair p;
    struct pair_branch *kazan, *omsk;
    struct pair_device *anna, *boris, *olga, *maria;
};

static void country_open(struct country *c, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    pair_init(&c->p, NULL, seed);
    c->kazan = pair_branch_new(&c->p, "Kazan", NULL);
    c->omsk = pair_branch_new(&c->p, "Omsk", NULL);
    c->anna = pair_enrol_at(&c->p, "anna", "Kazan", c->kazan);
    c->boris = pair_enrol_at(&c->p, "boris", "Kazan", c->kazan);
    c->olga = pair_enrol_at(&c->p, "olga", "Omsk", c->omsk);
    c->maria = pair_enrol(&c->p, "maria", "admin");
    pair_go_live(&c->p, c->anna);
    pair_go_live(&c->p, c->boris);
    pair_go_live(&c->p, c->maria);
}

/* branch NULL: for the whole company. */
static struct uuid put(struct country *c, struct pair_device *d, const struct uuid *branch)
{
    const struct hands_cell cells[] = {{"name", "Acme", {{0}}},
                                       {"visibility", branch ? "branch" : "company", {{0}}},
                                       {"branch", NULL, branch ? *branch : (struct uuid){{0}}}};
    struct uuid id = hands_put(&c->p, d, "party", (struct uuid){{0}}, cells, branch ? 3 : 2);
    pair_say(&c->p, d);
    return id;
}

static struct uuid branch_named(struct country *c, const char *name)
{
    struct uuid found = {{0}};
    struct store_ids ids = {0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    ids.arena = &arena;
    assert_ok(store_begin(c->p.hub_store, STORE_READ));
    assert_ok(store_row_scan(c->p.hub_store,
                             model_table_by_name(c->p.model, bytes_of_text("branch")), NULL,
                             store_ids_add, &ids));
    store_rollback(c->p.hub_store);
    for (uint32_t i = 0; i < ids.count; i++)
        if (strcmp(pair_cell(&c->p, NULL, "branch", ids.ids[i], "name"), name) == 0)
            found = ids.ids[i];
    arena_done(&arena);
    assert_false(uuid_is_nil(&found));
    return found;
}

static void user_goes(struct country *c, const char *login, const char *branch)
{
    char request[120];
    snprintf(request, sizeof request, "{\"do\":\"user-set\",\"login\":\"%s\",\"branch\":\"%s\"}",
             login, branch);
    pair_admin(&c->p, request);
    pair_run(&c->p);
    pair_links_again(&c->p);
}

static void goes_to(struct country *c, struct pair_device *d, struct pair_branch *at)
{
    pair_cut(&c->p, d);
    d->at = at;
    pair_go_live(&c->p, d);
}

/* Omsk holds nothing of Kazan, and knows that Anna may not see it any more. */
static void a_branch_takes_away_what_it_does_not_hold(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 1);
    const struct uuid kazan = branch_named(&c, "Kazan");
    struct uuid id = put(&c, c.boris, &kazan);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "Acme");
    pair_cut(&c.p, c.anna);
    user_goes(&c, "anna", "Omsk");
    goes_to(&c, c.anna, c.omsk);
    assert_true(c.anna->up);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "-");
    pair_assert_equal(&c.p, c.anna);
    pair_done(&c.p);
}

/* Olga is in Kazan for a visit, and keeps what she has of Omsk, which Kazan does not hold. Then she leaves Omsk for
 * Perm, of which Kazan holds nothing either; she stays connected. */
static void rights_that_change_elsewhere_reach_a_guest_that_stays(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 2);
    pair_admin(&c.p, "{\"do\":\"branch-add\",\"name\":\"Perm\"}");
    pair_run(&c.p);
    pair_links_again(&c.p);
    pair_go_live(&c.p, c.olga);
    const struct uuid omsk = branch_named(&c, "Omsk");
    struct uuid id = put(&c, c.olga, &omsk);
    goes_to(&c, c.olga, c.kazan);
    assert_string_equal(pair_cell(&c.p, c.olga, "party", id, "name"), "Acme");
    user_goes(&c, "olga", "Perm");
    assert_false(c.olga->up);
    pair_go_live(&c.p, c.olga);
    assert_string_equal(pair_cell(&c.p, c.olga, "party", id, "name"), "-");
    pair_done(&c.p);
}

/* What Anna was given at headquarters a branch that has not heard of it does not take away. */
static void a_branch_that_is_behind_takes_nothing_away(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 3);
    pair_go_live(&c.p, c.olga);
    const struct uuid omsk = branch_named(&c, "Omsk");
    struct uuid id = put(&c, c.olga, &omsk);
    pair_cut(&c.p, c.anna);
    pair_cut(&c.p, c.kazan->link);
    user_goes(&c, "anna", "Omsk");
    goes_to(&c, c.anna, NULL);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "Acme");
    goes_to(&c, c.anna, c.kazan);
    assert_true(c.anna->up);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "Acme");
    pair_done(&c.p);
}

/* Kazan's list of starts is the beginning of Anna's, and yet it has positions that were lost: the backup was made
 * after the last start that Kazan knows of. */
static void a_branch_of_a_lost_history_is_left(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 4);
    struct store *backup = pair_copy_store(&c.p, c.p.hub_store);
    (void)put(&c, c.maria, NULL);
    pair_put_hub_store(&c.p, backup);
    goes_to(&c, c.anna, NULL);
    struct uuid id = put(&c, c.anna, NULL);
    goes_to(&c, c.anna, c.kazan);
    assert_false(c.anna->up);
    assert_int_equal(c.anna->why, ERR_BUSY);
    pair_go_live(&c.p, c.kazan->link);
    pair_go_live(&c.p, c.anna);
    assert_true(c.anna->up);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "Acme");
    pair_assert_equal(&c.p, c.anna);
    pair_done(&c.p);
}

/* A restored headquarters whose clock has gone back: its new start looks older than the one that was lost. A branch
 * that is connected to it is right all the same. */
static void who_is_online_is_right_about_starts(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 5);
    struct store *backup = pair_copy_store(&c.p, c.p.hub_store);
    pair_restart_hub(&c.p);
    (void)put(&c, c.maria, NULL);
    goes_to(&c, c.anna, NULL);
    pair_cut(&c.p, c.anna);
    c.p.now_ms -= 7200000;
    pair_put_hub_store(&c.p, backup);
    pair_go_live(&c.p, c.kazan->link);
    pair_cut(&c.p, c.kazan->link);
    goes_to(&c, c.anna, c.kazan);
    assert_false(c.anna->up); /* which of the two is the later history nobody can tell her */
    assert_int_equal(c.anna->why, ERR_BUSY);
    pair_go_live(&c.p, c.kazan->link);
    pair_go_live(&c.p, c.anna);
    if (!c.anna->up)
        fail_msg("%s: %s", err_name(c.anna->why), c.anna->message);
    struct uuid id = put(&c, c.anna, NULL);
    assert_string_equal(pair_cell(&c.p, NULL, "party", id, "name"), "Acme");
    pair_assert_equal(&c.p, c.anna);
    pair_done(&c.p);
}

/* A copy of Anna's device is at headquarters while she is at Kazan: what it has written under the next number is not
 * hers. */
static void what_a_copy_wrote_meanwhile_is_not_the_own(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 6);
    (void)put(&c, c.anna, NULL);
    struct pair_device *copy = pair_clone_device(&c.p, c.anna);
    pair_go_live(&c.p, copy);
    (void)put(&c, copy, NULL);
    if (!c.anna->up)
        pair_go_live(&c.p, c.anna);
    struct uuid id = put(&c, c.anna, NULL);
    for (int i = 0; i < 3 && !c.anna->up; i++)
        pair_go_live(&c.p, c.anna);
    assert_true(c.anna->up);
    assert_string_equal(pair_cell(&c.p, NULL, "party", id, "name"), "Acme");
    assert_int_equal(pair_status(c.anna).outbox_count, 0);
    pair_done(&c.p);
}

/* What headquarters has for Kazan arrives there, and the k-th allocation fails; whether one did. */
static bool arrives_with(struct country *c, uint64_t k)
{
    const struct now now = {{c->p.now_ms}, {c->p.now_ms * 1000}};
    const struct hub_now there = {{c->p.now_ms}, {c->p.now_ms * 1000}};
    struct pair_device *link = c->kazan->link;
    struct uplink_effects effects = {0};
    struct buf frame;
    buf_init(&frame, FRAME_MAX);
    failing_alloc_start(k);
    failing_alloc_pause(true);
    for (;;) {
        hub_next_frame(c->p.hub, link->peer, there, &frame);
        if (frame.size == 0 || effects.hang_up)
            break;
        failing_alloc_pause(false);
        uplink_receive(link->uplink, buf_view(&frame), now, &effects);
        failing_alloc_pause(true);
    }
    bool failed = failing_alloc_stop();
    buf_done(&frame);
    if (effects.hang_up)
        pair_cut(&c->p, link);
    return failed;
}

/* Memory runs out at Kazan while it passes a commit on: who did not get the checkpoint catches up from where it
 * was. */
static void a_guest_gets_all_of_a_commit_or_catches_up(void **state)
{
    struct country c;
    (void)state;
    if (!failing_alloc_works())
        skip();
    country_open(&c, 7);
    uint64_t k = 1;
    for (bool more = true; more; k++) {
        const struct hands_cell cells[] = {{"name", "Acme", {{0}}},
                                           {"visibility", "company", {{0}}}};
        struct uplink_effects effects;
        struct uuid id = hands_put(&c.p, c.maria, "party", (struct uuid){{0}}, cells, 2);
        struct buf frame;
        buf_init(&frame, FRAME_MAX);
        const struct now now = {{c.p.now_ms}, {c.p.now_ms * 1000}};
        uplink_local_change(c.maria->uplink, now, &effects);
        uplink_next_frame(c.maria->uplink, now, &frame, &effects);
        hub_receive(c.p.hub, c.maria->peer, buf_view(&frame), pair_hub_now(&c.p));
        assert_ok(hub_turn(c.p.hub, pair_hub_now(&c.p)));
        buf_done(&frame);
        more = arrives_with(&c, k);
        for (int i = 0; i < 5; i++) {
            c.p.now_ms += 1000;
            assert_ok(hub_turn(c.kazan->hub, pair_hub_now(&c.p))); /* what failed is done again */
            pair_run(&c.p);
            if (!c.kazan->link->up)
                pair_go_live(&c.p, c.kazan->link);
            if (!c.anna->up)
                pair_go_live(&c.p, c.anna);
        }
        if (c.anna->uplink->repairs > 0 || pair_status(c.anna).differs)
            fail_msg("allocation %llu: Anna has other rows than she was told",
                     (unsigned long long)k);
        if (!hands_shows(&c.p, c.anna, "party", id))
            fail_msg("allocation %llu: Anna lacks a customer (up %d, link %d, at Kazan '%s')",
                     (unsigned long long)k, c.anna->up, c.kazan->link->up,
                     pair_cell(&c.p, c.kazan->link, "party", id, "name"));
    }
    print_message("%llu allocations failed\n", (unsigned long long)k - 2);
    assert_true(k > 2);
    pair_assert_equal(&c.p, c.anna);
    pair_done(&c.p);
}

/* Kazan loses its disk before Anna is told that her change was set aside: she brings it again to the new server, which
 * hears from headquarters what had become of it. */
static void a_new_server_hears_what_was_decided_before(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 9);
    const struct uuid omsk = branch_named(&c, "Omsk");
    pair_cut(&c.p, c.kazan->link);
    (void)put(&c, c.anna, &omsk); /* out of her scope */
    pair_cut(&c.p, c.anna);
    pair_go_live(&c.p, c.kazan->link);
    pair_replace_branch(&c.p, c.kazan);
    assert_int_equal(pair_status(c.anna).parked_count, 0);
    pair_go_live(&c.p, c.anna);
    assert_int_equal(pair_status(c.anna).outbox_count, 0);
    assert_int_equal(pair_status(c.anna).parked_count, 1);
    pair_done(&c.p);
}

/* A copy of Anna's device was first with what both had written before it was made, under a new number. Kazan hears of
 * that, and sends hers up all the same: else she waits for it for ever. */
static void what_was_decided_under_another_number_is_settled_for_its_author(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 10);
    pair_cut(&c.p, c.kazan->link);
    struct uuid id = put(&c, c.anna, NULL);
    pair_cut(&c.p, c.anna);
    struct pair_device *copy = pair_clone_device(&c.p, c.anna);
    assert_ok(replica_fork(copy->replica, 1, c.p.now_ms));
    pair_go_live(&c.p, copy);
    assert_string_equal(pair_cell(&c.p, NULL, "party", id, "name"), "Acme");
    pair_cut(&c.p, copy);
    pair_go_live(&c.p, c.kazan->link);
    pair_go_live(&c.p, c.anna);
    assert_int_equal(pair_status(c.anna).outbox_count, 0);
    assert_int_equal(pair_count(&c.p, NULL, "party"), 1);
    pair_done(&c.p);
}

/* Kazan holds what Olga wrote, as another branch has told it; now she comes herself. What she brings takes the place
 * of that, and goes up. */
static void who_brings_what_a_branch_was_told_of_is_heard(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 11);
    struct pair_branch *port = pair_branch_new(&c.p, "Port", c.kazan);
    pair_links_again(&c.p);
    pair_cut(&c.p, c.kazan->link);
    struct uuid id = put(&c, c.anna, NULL);
    assert_string_equal(pair_cell(&c.p, port->link, "party", id, "name"), "Acme");
    pair_cut(&c.p, port->link);
    pair_replace_branch(&c.p,
                        c.kazan); /* what it had acknowledged is nowhere but here and with Anna */
    goes_to(&c, c.anna, port);
    assert_true(c.anna->up);
    pair_go_live(&c.p, port->link);
    pair_run(&c.p);
    assert_string_equal(pair_cell(&c.p, NULL, "party", id, "name"), "Acme");
    assert_int_equal(pair_status(c.anna).outbox_count, 0);
    pair_done(&c.p);
}

/* Kazan has heard of the restore, and lost its line before all had come anew: there is nothing that it could give. */
static void a_branch_with_nothing_to_give_says_so(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 12);
    struct uuid id = put(&c, c.maria, NULL);
    struct store *backup = pair_copy_store(&c.p, c.p.hub_store);
    (void)put(&c, c.maria, NULL);
    pair_cut(&c.p, c.anna);
    pair_put_hub_store(&c.p, backup);
    pair_connect(&c.p, c.kazan->link, false);
    while (!pair_status(c.kazan->link).reconcile)
        assert_true(pair_step(&c.p) > 0);
    pair_cut(&c.p, c.kazan->link);
    pair_connect(&c.p, c.anna, false);
    for (int steps = 0; pair_step(&c.p); steps++)
        assert_in_range(steps, 0, 1000);
    assert_false(c.anna->up);
    assert_int_equal(c.anna->why, ERR_BUSY);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "Acme");
    pair_go_live(&c.p, c.kazan->link);
    pair_go_live(&c.p, c.anna);
    assert_true(c.anna->up);
    pair_assert_equal(&c.p, c.anna);
    pair_done(&c.p);
}

/* Anna is at Omsk when she comes to belong there; what is hers comes to Omsk a moment later, and reaches her although she
 * stays. */
static void who_stays_hears_of_buckets_that_come(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 13);
    pair_cut(&c.p, c.anna);
    struct uuid id = hands_customer(&c.p, c.maria, "Acme", hands_user(&c.p, "anna"));
    pair_say(&c.p, c.maria);
    pair_cut(&c.p, c.omsk->link);
    pair_go_live(&c.p, c.omsk->link);
    user_goes(&c, "anna", "Omsk");
    pair_cut(&c.p, c.omsk->link);
    c.anna->at = c.omsk;
    pair_go_live(&c.p, c.anna);
    pair_go_live(&c.p, c.omsk->link);
    for (int i = 0; i < 3 && !c.anna->up; i++)
        pair_go_live(&c.p, c.anna);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "Acme");
    pair_assert_equal(&c.p, c.anna);
    pair_done(&c.p);
}

/* Group 12 waited; when it is decided, two ranges grow together, and the mark is newer with fewer of them. */
static void a_mark_whose_holes_close_is_newer(void **state)
{
    const struct oseq_range two[] = {{4, 11}, {13, 14}}, one[] = {{4, 14}};
    const struct mark marks[] = {{0xabc, 2, two, 2}, {0xabc, 2, one, 1}, {0xabc, 2, two, 2}};
    struct country c;
    struct arena arena;
    struct mark got;
    (void)state;
    country_open(&c, 8);
    arena_init(&arena, 1 << 20);
    struct replica *replica = c.kazan->link->replica;
    assert_ok(store_begin(c.kazan->link->store, STORE_WRITE));
    for (int i = 0; i < 3; i++) { /* the last one is late */
        const struct message_fates fates = {.marks = &marks[i], .marks_count = 1};
        assert_ok(relay_note_fate(replica, &fates, &arena));
    }
    assert_ok(relay_mark(replica, 0xabc, &arena, &got));
    assert_int_equal(got.upto, 2);
    assert_int_equal(got.range_count, 1);
    assert_int_equal(got.ranges[0].to, 14);
    store_rollback(c.kazan->link->store);
    arena_done(&arena);
    pair_done(&c.p);
}

/* Headquarters is backed up, and says so. */
static struct store *announced_backup(struct country *c)
{
    char request[400];
    const char *marks = strstr(pair_admin(&c->p, "{\"do\":\"marks\"}"), "\"marks\":{");
    const char *to = marks ? strchr(marks, '}') : NULL;
    assert_non_null(to);
    snprintf(request, sizeof request, "{\"do\":\"archived\",%.*s}", (int)(to - marks + 1), marks);
    pair_admin(&c->p, request);
    return pair_copy_store(&c->p, c->p.hub_store);
}

/* Her own insert is archived, and its group is not kept any more: when headquarters is restored, it does not wait for
 * anything. Omsk does not hold its bucket. */
static void what_is_archived_does_not_wait_after_a_restore(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 9);
    struct uuid kazan = branch_named(&c, "Kazan");
    goes_to(&c, c.anna, NULL);
    struct uuid id = put(&c, c.anna, &kazan);
    struct store *backup = announced_backup(&c);
    goes_to(&c, c.anna, NULL);
    assert_int_equal(pair_status(c.anna).sent_count, 0);
    (void)put(&c, c.maria, NULL);
    pair_put_hub_store(&c.p, backup);
    pair_go_live(&c.p, c.kazan->link);
    (void)put(&c, c.maria, NULL);
    pair_go_live(&c.p, c.maria);
    pair_go_live(&c.p, c.omsk->link);
    goes_to(&c, c.anna, c.omsk);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "-");
    goes_to(&c, c.anna, NULL);
    assert_string_equal(pair_cell(&c.p, c.anna, "party", id, "name"), "Acme");
    assert_false(pair_status(c.anna).differs);
    pair_done(&c.p);
}

static uint32_t comparisons;

static void count_comparisons(struct pair_device *device, bool up, struct bytes frame)
{
    (void)device;
    comparisons += up && frame.data[0] == MESSAGE_RANGES;
}

/* A customer that all had becomes one of Kazan's. Omsk is built anew after that, or never had the customer: Olga, who
 * has it, hears from Omsk that it is gone all the same. */
static void a_branch_passes_on_departures_of_what_it_never_had(void **state)
{
    (void)state;
    for (int built = 0; built < 2; built++) {
        struct country c;
        country_open(&c, 10);
        struct uuid kazan = branch_named(&c, "Kazan");
        const struct hands_cell cells[] = {{"visibility", "branch", {{0}}},
                                           {"branch", NULL, kazan}};
        if (!built)
            pair_cut(&c.p, c.omsk->link);
        struct uuid id = put(&c, c.maria, NULL);
        goes_to(&c, c.olga, NULL);
        assert_string_equal(pair_cell(&c.p, c.olga, "party", id, "name"), "Acme");
        pair_cut(&c.p, c.olga);
        (void)hands_put(&c.p, c.maria, "party", id, cells, 2);
        pair_say(&c.p, c.maria);
        if (built)
            pair_replace_branch(&c.p, c.omsk);
        else
            pair_go_live(&c.p, c.omsk->link);
        comparisons = 0;
        c.olga->on_frame = count_comparisons;
        goes_to(&c, c.olga, c.omsk);
        assert_string_equal(pair_cell(&c.p, c.olga, "party", id, "name"), "-");
        assert_int_equal(comparisons, 0); /* it would mend itself */
        pair_done(&c.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_takes_away_what_it_does_not_hold),
        cmocka_unit_test(rights_that_change_elsewhere_reach_a_guest_that_stays),
        cmocka_unit_test(a_branch_that_is_behind_takes_nothing_away),
        cmocka_unit_test(a_branch_of_a_lost_history_is_left),
        cmocka_unit_test(who_is_online_is_right_about_starts),
        cmocka_unit_test(what_a_copy_wrote_meanwhile_is_not_the_own),
        cmocka_unit_test(a_guest_gets_all_of_a_commit_or_catches_up),
        cmocka_unit_test(a_mark_whose_holes_close_is_newer),
        cmocka_unit_test(what_is_archived_does_not_wait_after_a_restore),
        cmocka_unit_test(a_branch_passes_on_departures_of_what_it_never_had),
        cmocka_unit_test(a_new_server_hears_what_was_decided_before),
        cmocka_unit_test(what_was_decided_under_another_number_is_settled_for_its_author),
        cmocka_unit_test(who_brings_what_a_branch_was_told_of_is_heard),
        cmocka_unit_test(a_branch_with_nothing_to_give_says_so),
        cmocka_unit_test(who_stays_hears_of_buckets_that_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
