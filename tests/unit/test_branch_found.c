/* What the simulator has found in branches: the smallest story of each. */
#include "client/core/replica_internal.h"
#include "client/core/replica_relay.h"
#include "common/store_mem/store_mem.h"
#include "server/core/hub_internal.h"
#include "tests/lib/hands.h"

/* The branch of Kazan, with Anna and Boris; Maria, an administrator, at headquarters. */
struct town {
    struct pair p;
    struct pair_branch *kazan;
    struct pair_device *anna, *boris, *maria;
    struct uuid customer;
};

static void go_live(struct town *t, struct pair_device *d)
{
    pair_connect(&t->p, d, false);
    pair_run(&t->p);
}

static void write_and_say(struct town *t, struct pair_device *d, const char *column,
                          const char *text)
{
    struct uplink_effects effects;
    pair_set(&t->p, d, "party", t->customer, column, text);
    uplink_local_change(d->uplink, (struct now){{t->p.now_ms}, {t->p.now_ms * 1000}}, &effects);
    pair_run(&t->p);
}

static void town_open(struct town *t, uint64_t seed)
{
    const struct hands_cell cells[] = {{"name", "Acme", {{0}}}, {"visibility", "company", {{0}}}};
    struct uplink_effects effects;
    memset(t, 0, sizeof *t);
    pair_init(&t->p, NULL, seed);
    t->kazan = pair_branch_new(&t->p, "Kazan", NULL);
    t->anna = pair_enrol_at(&t->p, "anna", "Kazan", t->kazan);
    t->boris = pair_enrol_at(&t->p, "boris", "Kazan", t->kazan);
    t->maria = pair_enrol(&t->p, "maria", "admin");
    go_live(t, t->anna);
    go_live(t, t->boris);
    go_live(t, t->maria);
    t->customer = hands_put(&t->p, t->maria, "party", (struct uuid){{0}}, cells, 2);
    uplink_local_change(t->maria->uplink, (struct now){{t->p.now_ms}, {t->p.now_ms * 1000}},
                        &effects);
    pair_run(&t->p);
}

/* The uplink asks for runs from 1 on. */
static void a_new_branch_numbers_its_runs_from_1(void **state)
{
    struct pair p;
    struct err_info info;
    struct store *store;
    struct replica *replica;
    (void)state;
    pair_init(&p, NULL, 1);
    assert_ok(store_mem_open(p.model, &store));
    const struct replica_config config = {
        .model = p.model, .store = store, .crypto = p.crypto, .rng = &p.rng, .branch = true};
    for (int i = 0; i < 2; i++) {
        assert_ok(replica_open(&config, &replica, &info));
        assert_int_equal(relay_run_end(replica), 1);
        replica_close(replica);
    }
    store_close(store);
    pair_done(&p);
}

/* What is archived goes, its run with it; a number that devices have passed is not given again. */
static void a_number_is_not_given_twice(void **state)
{
    struct town t;
    char request[400];
    (void)state;
    town_open(&t, 2);
    write_and_say(&t, t.anna, "tax_id", "555");
    uint64_t end = relay_run_end(t.kazan->link->replica);
    const char *marks = strstr(pair_admin(&t.p, "{\"do\":\"marks\"}"), "\"marks\":{");
    const char *to = marks ? strchr(marks, '}') : NULL;
    assert_non_null(to);
    snprintf(request, sizeof request, "{\"do\":\"archived\",%.*s}", (int)(to - marks + 1), marks);
    pair_admin(&t.p, request);
    write_and_say(&t, t.maria, "website", "acme.example");
    pair_cut(&t.p, t.kazan->link);
    go_live(&t, t.kazan->link);
    struct relay_run run;
    assert_ok(store_begin(t.kazan->link->store, STORE_READ));
    assert_int_equal(relay_run_next(t.kazan->link->replica, 1, &run), ERR_NOT_FOUND);
    store_rollback(t.kazan->link->store);
    pair_restart_branch(&t.p, t.kazan);
    assert_int_equal(relay_run_end(t.kazan->link->replica), end);
    go_live(&t, t.anna);
    go_live(&t, t.boris);
    write_and_say(&t, t.anna, "tax_id", "777");
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.customer, "tax_id"), "777");
    pair_done(&t.p);
}

/* Nor one whose run is gone while an earlier one is still kept. */
static void a_number_is_not_given_twice_beside_an_older_run(void **state)
{
    struct town t;
    struct relay_run run;
    (void)state;
    town_open(&t, 2);
    struct replica *r = t.kazan->link->replica;
    const uint64_t end = relay_run_end(r);
    assert_ok(store_begin(r->store, STORE_WRITE));
    assert_ok(relay_note_discard(r, 77, 1)); /* numbered as any run */
    assert_ok(relay_note_discard(r, 77, 2));
    const struct message_fates fates = {
        .marks = &(struct mark){.origin = 77},
        .marks_count = 1,
        .results = &(struct group_result){.oseq = 2, .count = 1, .code = RESULT_DISCARDED},
        .results_count = 1};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_ok(relay_note_fate(r, &fates, &arena));
    arena_done(&arena);
    assert_err(relay_run_next(r, end + 1, &run), ERR_NOT_FOUND);
    assert_ok(store_commit(r->store));
    assert_int_equal(relay_run_end(r), end + 2);
    pair_restart_branch(&t.p, t.kazan);
    assert_int_equal(relay_run_end(t.kazan->link->replica), end + 2);
    pair_done(&t.p);
}

/* Who is live at a branch hears of a start of headquarters before anything that was decided since; else it would
 * take that start, when it connects again, for a restore. */
static void a_start_of_headquarters_is_no_restore(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 3);
    struct err_info info;
    pair_cut(&t.p, t.maria);
    pair_cut(&t.p, t.kazan->link);
    hub_close(t.p.hub);
    assert_ok(hub_open(&t.p.config, pair_hub_now(&t.p), &t.p.hub, &info));
    go_live(&t, t.maria);
    go_live(&t, t.kazan->link);
    write_and_say(&t, t.maria, "website", "acme.example");
    if (!t.anna->up)
        go_live(&t, t.anna);
    assert_string_equal(pair_cell(&t.p, t.anna, "party", t.customer, "website"), "acme.example");
    pair_cut(&t.p, t.anna);
    pair_connect(&t.p, t.anna, false);
    while (pair_step(&t.p))
        assert_false(pair_status(t.anna).reconcile);
    pair_done(&t.p);
}

/* A device that comes from another branch holds groups of an origin that this one has never heard of: their fate is
 * asked for above at once, not with the next session or run. */
static void who_comes_from_another_branch_learns_the_fates_of_what_it_holds(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 4);
    struct pair_branch *omsk = pair_branch_new(&t.p, "Omsk", NULL);
    pair_cut(&t.p, t.kazan->link);
    write_and_say(&t, t.boris, "tax_id", "555");
    assert_int_equal(replica_pending_count(t.anna->replica), 1);
    pair_cut(&t.p, t.anna);
    t.anna->at = omsk;
    go_live(&t, t.anna);
    go_live(&t, t.kazan->link);
    assert_string_equal(pair_cell(&t.p, t.anna, "party", t.customer, "tax_id"), "555");
    assert_int_equal(replica_pending_count(t.anna->replica), 0);
    pair_done(&t.p);
}

/* A branch may know what is decided of an origin before its device comes for the first time: it is live when it has
 * caught up, and not told the same without end. */
static void the_mark_of_a_new_guest_may_be_known(void **state)
{
    struct town t;
    uint8_t key[8];
    (void)state;
    town_open(&t, 5);
    struct replica_status maria = pair_status(t.maria);
    const uint8_t mark[2] = {(uint8_t)maria.decided_upto, 0};
    assert_in_range(maria.decided_upto, 1, 127);
    be64_put(key, maria.origin);
    assert_ok(store_begin(t.kazan->link->store, STORE_WRITE));
    assert_ok(store_side_put(t.kazan->link->store, SIDE_MARK, bytes_of(key, sizeof key),
                             bytes_of(mark, sizeof mark)));
    assert_ok(store_commit(t.kazan->link->store));
    pair_cut(&t.p, t.maria);
    t.maria->at = t.kazan;
    pair_connect(&t.p, t.maria, false);
    uint32_t steps = 0;
    while (pair_step(&t.p))
        assert_in_range(++steps, 1, 1000);
    pair_done(&t.p);
}

/* What a revoked device has left at a branch below another one goes up; it is not that branch which is revoked. */
static void a_revoked_device_does_not_revoke_its_branch(void **state)
{
    struct town t;
    char request[120], id[UUID_TEXT_SIZE];
    (void)state;
    town_open(&t, 6);
    struct pair_branch *port = pair_branch_new(&t.p, "Port", t.kazan);
    pair_links_again(&t.p);
    struct pair_device *carl = pair_enrol_at(&t.p, "carl", "Port", port);
    go_live(&t, carl);
    pair_cut(&t.p, port->link);
    write_and_say(&t, carl, "tax_id", "555");
    uuid_format(&carl->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    pair_admin(&t.p, request);
    pair_run(&t.p);
    go_live(&t, port->link);
    assert_true(port->link->up);
    assert_int_equal(port->link->why, ERR_OK);
    pair_done(&t.p);
}

/* Boris has seen what Anna wrote; she goes on under a new origin before anybody above has heard of it. */
static void what_was_decided_under_another_number_leaves_the_view(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 77);
    struct pair_branch *kazan = pair_branch_new(&p, "Kazan", NULL);
    struct pair_device *anna = pair_enrol_at(&p, "anna", "Kazan", kazan),
                       *boris = pair_enrol_at(&p, "boris", "Kazan", kazan);
    const struct hands_cell cells[] = {{"name", "Acme", {{0}}}, {"visibility", "company", {{0}}}};
    pair_go_live(&p, anna);
    pair_go_live(&p, boris);
    pair_cut(&p, kazan->link);
    struct uuid id = hands_put(&p, anna, "party", (struct uuid){{0}}, cells, 2);
    pair_say(&p, anna);
    assert_int_equal(replica_pending_count(boris->replica), 1);
    pair_replace_branch(&p, kazan);
    assert_ok(replica_fork(anna->replica, 1, p.now_ms));
    pair_go_live(&p, boris);
    pair_go_live(&p, anna);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "Acme");
    assert_int_equal(replica_pending_count(boris->replica), 0);
    pair_assert_equal(&p, boris);
    /* and for who hears of it later */
    pair_cut(&p, boris);
    pair_go_live(&p, boris);
    assert_int_equal(replica_pending_count(boris->replica), 0);
    pair_done(&p);
}

/* What comes from above while they are live: the devices of a branch below are woken for it, not served with the next
 * turn that comes by. */
static void what_comes_from_above_wakes_the_devices_below(void **state)
{
    struct town t;
    struct buf frame;
    struct uplink_effects effects;
    (void)state;
    town_open(&t, 7);
    struct pair_branch *port = pair_branch_new(&t.p, "Port", t.kazan);
    pair_links_again(&t.p);
    struct pair_device *carl = pair_enrol_at(&t.p, "carl", "Port", port);
    go_live(&t, carl);
    go_live(&t, port->link);
    pair_cut(&t.p, t.kazan->link);
    write_and_say(&t, t.boris, "fax", "1"); /* all that there was is told */
    const struct now now = {{t.p.now_ms}, {t.p.now_ms * 1000}};
    const struct hub_now hub_now = {now.wall, now.mono};
    pair_cut(&t.p, port->link);
    write_and_say(&t, t.anna, "tax_id", "555");
    go_live(&t, port->link); /* takes it, and everybody has been asked */
    assert_string_equal(pair_cell(&t.p, carl, "party", t.customer, "tax_id"), "555");
    pair_set(&t.p, t.anna, "party", t.customer, "tax_id", "777");
    uplink_local_change(t.anna->uplink, now, &effects);
    buf_init(&frame, FRAME_MAX);
    uplink_next_frame(t.anna->uplink, now, &frame, &effects);
    hub_receive(t.kazan->hub, t.anna->peer, buf_view(&frame), hub_now);
    assert_ok(hub_turn(t.kazan->hub, hub_now));
    while (hub_next_effect(port->hub).kind != HUB_EFFECT_NONE)
        continue;
    for (;;) {
        hub_next_frame(t.kazan->hub, port->link->peer, hub_now, &frame);
        if (frame.size == 0)
            break;
        uplink_receive(port->link->uplink, buf_view(&frame), now, &effects);
    }
    struct hub_effect effect = hub_next_effect(port->hub);
    assert_int_equal(effect.kind, HUB_EFFECT_WANT_WRITE);
    assert_ptr_equal(effect.context, carl);
    buf_done(&frame);
    pair_run(&t.p);
    assert_string_equal(pair_cell(&t.p, carl, "party", t.customer, "tax_id"), "777");
    pair_done(&t.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_decided_under_another_number_leaves_the_view),
        cmocka_unit_test(a_new_branch_numbers_its_runs_from_1),
        cmocka_unit_test(a_number_is_not_given_twice),
        cmocka_unit_test(a_number_is_not_given_twice_beside_an_older_run),
        cmocka_unit_test(a_start_of_headquarters_is_no_restore),
        cmocka_unit_test(who_comes_from_another_branch_learns_the_fates_of_what_it_holds),
        cmocka_unit_test(the_mark_of_a_new_guest_may_be_known),
        cmocka_unit_test(a_revoked_device_does_not_revoke_its_branch),
        cmocka_unit_test(what_comes_from_above_wakes_the_devices_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
