/* Longer stories with each place of the product failing once (stage_each_place): live sessions, managers, groups that
 * wait for another device, large groups, catch-ups that go to disk, a replica that differs, enrolments, groups that
 * were set aside and are tried again. What was refused has changed nothing and works when it is tried again.
 *
 * ctest: arena timeout=1500 valgrind=no */
#include "tests/lib/pair_copy.h"
#include "tests/lib/stage.h"
#include "tests/lib/unfailing.h"

#include "common/store_mem/store_mem.h"
#include "common/text.h"

static void check_all(struct stage *s)
{
    pair_sync_all(&s->run.pair);
    pair_assert_equal(&s->run.pair, s->boss);
    assert_int_equal(pair_status(s->rep).outbox_count, 0);
}

/* ---- live ---- */

static void prepare_live(struct stage *s)
{
    pair_sync(&s->run.pair, s->boss);
    pair_connect(&s->run.pair, s->rep, false);
    pair_run(&s->run.pair);
    assert_true(s->rep->up);
}

static enum err edit_live(struct stage *s, struct pair_device *device)
{
    struct uuid id = {{0}};
    enum err e = stage_put(s, device, "party", false, &s->party,
                           (const char *const[]){"notes", stage_number(s->round), "tags",
                                                 s->round % 2 ? "[\"a\"]" : "[\"b\"]", NULL});
    if (e == ERR_OK)
        e = stage_put(s, device, "party", false, &s->party,
                      (const char *const[]){"loyalty_points", stage_number(s->round), NULL});
    if (e == ERR_OK)
        e = stage_put(s, device, "party", true, &id, (const char *const[]){"name", "Live", NULL});
    return e;
}

static void step_live(struct stage *s)
{
    struct uplink_effects effects;
    stage_transact(s, s->rep, edit_live);
    if (s->rep->up)
        uplink_local_change(s->rep->uplink,
                            (struct now){{s->run.pair.now_ms}, {s->run.pair.now_ms * 1000}},
                            &effects);
    fault_play_live(&s->run, s->rep);
    stage_transact(s, s->boss, edit_live);
    fault_play_sync(&s->run, s->boss);
    fault_play_live(&s->run, s->rep);
}

static void check_live(struct stage *s)
{
    pair_cut(&s->run.pair, s->rep);
    check_all(s);
    pair_assert_equal(&s->run.pair, s->rep);
    assert_string_equal(pair_cell(&s->run.pair, s->rep, "party", s->party, "notes"),
                        stage_number(s->round));
}

static void live_sessions_go_on(void **state)
{
    (void)state;
    stage_each_world("live", 40, 40, NULL, prepare_live, step_live, check_live);
}

/* ---- rights ---- */

static void prepare_rights(struct stage *s)
{
    pair_admin(&s->run.pair,
               "{\"do\":\"user-set\",\"login\":\"mona\",\"role\":\"manager\",\"branch\":\"North\","
               "\"active\":true}");
    pair_admin(&s->run.pair, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"South\"}");
    pair_sync_all(&s->run.pair);
    for (uint32_t i = 0; i < s->run.pair.device_count; i++)
        pair_connect(&s->run.pair, &s->run.pair.devices[i], false);
    pair_run(&s->run.pair);
}

static void step_rights(struct stage *s)
{
    struct pair_device *mona = &s->run.pair.devices[2];
    stage_admin(s, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\"}");
    fault_play_live(&s->run, mona);
    fault_play_sync(&s->run, mona);
    stage_admin(s,
                "{\"do\":\"user-set\",\"login\":\"mona\",\"role\":\"rep\",\"branch\":\"South\"}");
    fault_play_sync(&s->run, mona);
}

static void check_rights(struct stage *s)
{
    for (uint32_t i = 0; i < s->run.pair.device_count; i++)
        pair_cut(&s->run.pair, &s->run.pair.devices[i]);
    check_all(s);
}

static void rights_change_whole(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 41);
    (void)pair_enrol(&s.run.pair, "mona", "rep");
    pair_admin(&s.run.pair, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\"}");
    stage_each_place(&s, "rights", prepare_rights, step_rights, check_rights);
    stage_end(&s);
}

/* ---- groups that wait for another device's ---- */

/* Headquarters lost what the boss wrote and the rep built on. */
static void prepare_waiting(struct stage *s)
{
    struct pair *p = &s->run.pair;
    struct store *copy = pair_copy_store(p, p->hub_store);
    pair_set(p, s->boss, "party", s->party, "notes", stage_number(s->round));
    pair_sync(p, s->boss);
    pair_sync(p, s->rep);
    pair_set(p, s->rep, "party", s->party, "notes", "built on it");
    pair_set(p, s->rep, "party", s->party, "loyalty_points", stage_number(s->round));
    pair_put_hub_store(p, copy);
}

static void step_waiting(struct stage *s)
{
    fault_play_sync(&s->run, s->rep);
    fault_play_sync(&s->run, s->boss);
    fault_play_sync(&s->run, s->rep);
}

static void check_waiting(struct stage *s)
{
    check_all(s);
    pair_assert_equal(&s->run.pair, s->rep);
    assert_string_equal(pair_cell(&s->run.pair, NULL, "party", s->party, "notes"), "built on it");
    assert_string_equal(pair_cell(&s->run.pair, NULL, "party", s->party, "loyalty_points"),
                        stage_number(s->round - 1));
}

static void what_waits_is_decided_whole(void **state)
{
    (void)state;
    stage_each_world("waiting", 42, 16, NULL, prepare_waiting, step_waiting, check_waiting);
}

/* ---- much at once ---- */

enum { LARGE = 11, LARGE_BYTES = 60000 };

static char large_text[LARGE_BYTES + 1];

static enum err write_large(struct stage *s, struct pair_device *device)
{
    enum err e = stage_put(s, device, "party", false, &s->party,
                           (const char *const[]){"legal_name", stage_number(s->round), NULL});
    for (int i = 0; e == ERR_OK && i < LARGE; i++) {
        struct uuid id = {{0}};
        e = stage_put(s, device, "party", true, &id,
                      (const char *const[]){"name", "Large", "notes", large_text, NULL});
        s->doomed = id;
    }
    return e;
}

static enum err delete_doomed(struct stage *s, struct pair_device *device)
{
    struct err_info info;
    return replica_delete(device->replica, stage_table(s, "party"), &s->doomed, &info);
}

static void prepare_large(struct stage *s)
{
    stage_transact(s, s->boss, write_large);
}

static void step_large(struct stage *s)
{
    fault_play_sync(&s->run, s->boss);
}

static void check_large(struct stage *s)
{
    assert_string_equal(pair_cell(&s->run.pair, NULL, "party", s->doomed, "name"), "Large");
    assert_int_equal(pair_status(s->boss).outbox_count, 0);
}

/* More than is held in memory comes, beside own changes of what comes. */
static void prepare_catch_up(struct stage *s)
{
    for (int i = 0; i < 2; i++) {
        stage_transact(s, s->boss, write_large);
        pair_sync(&s->run.pair, s->boss);
    }
    pair_set(&s->run.pair, s->rep, "party", s->party, "loyalty_points", stage_number(s->round));
    stage_transact(s, s->boss, delete_doomed);
    pair_sync(&s->run.pair, s->boss);
}

static void step_catch_up(struct stage *s)
{
    fault_play_sync(&s->run, s->rep);
}

static void large_groups_and_catch_ups_arrive_whole(void **state)
{
    (void)state;
    memset(large_text, 'x', LARGE_BYTES);
    stage_each_world("large groups", 43, 12, NULL, prepare_large, step_large, check_large);
    stage_each_world("catch-ups", 43, 12, NULL, prepare_catch_up, step_catch_up, check_all);
}

/* ---- a replica that differs ---- */

/* A row is lost on its disk, another one is there that headquarters has not. */
static void prepare_difference(struct stage *s)
{
    struct pair *p = &s->run.pair;
    struct arena arena;
    struct store_row row;
    const struct model_table *party = stage_table(s, "party");
    arena_init(&arena, 1 << 20);
    s->doomed = pair_insert(p, s->boss, "party", "name", "Lost on its disk");
    pair_sync_all(&s->run.pair);
    pair_insert(p, s->rep, "party", "name", "Waits meanwhile");
    pair_set(p, s->rep, "party", s->party, "loyalty_points", stage_number(s->round));
    assert_ok(store_begin(s->rep->store, STORE_WRITE));
    assert_ok(store_row_get(s->rep->store, party, &s->doomed, &arena, &row));
    assert_ok(store_row_delete(s->rep->store, party, &s->doomed));
    struct uuid id = s->doomed;
    id.byte[15] ^= 1;
    assert_ok(store_row_put(s->rep->store, party, &id, &row));
    assert_ok(store_commit(s->rep->store));
    pair_set(p, s->boss, "party", s->doomed, "notes", "seen now");
    pair_sync(p, s->boss);
    arena_done(&arena);
}

static void step_difference(struct stage *s)
{
    fault_play_sync(&s->run, s->rep);
    fault_play_sync(&s->run, s->rep);
}

static void check_difference(struct stage *s)
{
    check_all(s);
    pair_assert_equal(&s->run.pair, s->rep);
}

static void what_differs_is_mended(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 44);
    stage_each_place(&s, "difference", prepare_difference, step_difference, check_difference);
    stage_end(&s);
}

/* ---- enrolment ---- */

static struct uplink_enrolment enrolment;
static struct uplink_identity identity;

static void prepare_enrolment(struct stage *s)
{
    const char *code =
        strstr(pair_admin(&s->run.pair, "{\"do\":\"enroll\",\"login\":\"rita\"}"), "\"code\":\"");
    assert_non_null(code);
    enrolment = (struct uplink_enrolment){.name = "phone", .platform = "test"};
    identity = (struct uplink_identity){.seed = {3}};
    identity.seed[1] = (uint8_t)s->round;
    identity.seed[2] = (uint8_t)(s->round >> 8);
    assert_ok(text_parse_hex(bytes_of(code + 8, 32), enrolment.code, 16));
    memset(identity.server_key, 7, 32);
}

/* Tries until it is let in; a code that was used has let it in, and the answer is lost. */
static void step_enrolment(struct stage *s)
{
    struct pair *p = &s->run.pair;
    struct pair_device *phone = &p->devices[2];
    p->device_count = 3;
    for (int tries = 0; tries < 5; tries++) {
        struct uplink_effects effects = {0};
        const struct now now = {{p->now_ms}, {p->now_ms * 1000}};
        const struct hub_now hub_now = {now.wall, now.mono};
        const struct uplink_config config = {.crypto = p->crypto, .rng = &p->rng, .agent = "test"};
        *phone = (struct pair_device){.identity = identity};
        enum err e = uplink_new(&config, &identity, &enrolment, &phone->uplink);
        if (e == ERR_OK)
            e = hub_attach(p->hub, phone, hub_now, &phone->peer);
        if (e == ERR_OK) {
            phone->up = true;
            uplink_link_up(phone->uplink, now, &effects);
            fault_play_live(&s->run, phone);
            struct uuid user, history;
            const char *name;
            e = uplink_enrolled(phone->uplink, &phone->identity.device, &user, &history, &name);
        }
        pair_cut(p, phone);
        uplink_free(phone->uplink);
        enum err why = phone->why;
        phone->uplink = NULL;
        p->now_ms += 200;
        if (e == ERR_OK || (tries > 0 && why == ERR_ENROLMENT)) {
            p->device_count = 2;
            return;
        }
    }
    fail_msg("five enrolments were refused");
}

static void enrolments_are_done_once(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 45);
    uint32_t before = pair_count(&s.run.pair, NULL, "device");
    stage_each_place(&s, "enrolment", prepare_enrolment, step_enrolment, check_all);
    assert_int_equal(pair_count(&s.run.pair, NULL, "device"), before + s.round);
    stage_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_sessions_go_on),
        cmocka_unit_test(rights_change_whole),
        cmocka_unit_test(what_waits_is_decided_whole),
        cmocka_unit_test(large_groups_and_catch_ups_arrive_whole),
        cmocka_unit_test(what_differs_is_mended),
        cmocka_unit_test(enrolments_are_done_once),
    };
    unfailing_libraries();
    if (getenv("SATCHEL_TEST_FILTER"))
        cmocka_set_test_filter(getenv("SATCHEL_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
