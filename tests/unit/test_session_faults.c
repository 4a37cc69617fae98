/* What devices and headquarters do, with each call of a store and each allocation failing once: what was
 * refused has changed nothing and works when it is tried again, and all agree in the end.
 *
 * ctest: arena timeout=1500 valgrind=no */
#include "tests/lib/pair_copy.h"
#include "tests/lib/stage.h"
#include "tests/lib/unfailing.h"

#include "common/store_mem/store_mem.h"

/* Every kind of column, back and forth. */
static enum err write_all_kinds(struct stage *s, struct pair_device *device)
{
    static const char *const one[] = {"tags",       "[\"a\",\"b\"]", "notes",
                                      "one\ntwo",   "do_not_call",   "true",
                                      "legal_name", "Shared Ltd",    NULL};
    static const char *const two[] = {"tags",       "[\"b\",\"c\"]", "notes",
                                      "one\n2",     "do_not_call",   "false",
                                      "legal_name", "Shared Inc",    NULL};
    struct uuid deal = {{0}};
    enum err e = stage_put(s, device, "party", false, &s->party, s->round % 2 ? one : two);
    if (e == ERR_OK)
        e = stage_put(s, device, "party", false, &s->party,
                      (const char *const[]){"loyalty_points", stage_number(s->round), NULL});
    if (e == ERR_OK)
        e = stage_put(s, device, "deal", true, &deal,
                      (const char *const[]){"name", "A deal", "tags", "[\"x\"]", "amount", "5",
                                            "currency", "EUR", NULL});
    if (e == ERR_OK)
        e = stage_put(s, device, "deal", false, &deal,
                      (const char *const[]){"stage", "won", "tags", "[]", NULL});
    return e;
}

static void step_write(struct stage *s)
{
    stage_transact(s, s->boss, write_all_kinds);
}

static void check_write(struct stage *s)
{
    struct pair *p = &s->run.pair;
    assert_string_equal(pair_cell(p, s->boss, "party", s->party, "loyalty_points"),
                        stage_number(s->round));
    assert_string_equal(pair_cell(p, s->boss, "party", s->party, "notes"),
                        s->round % 2 ? "one\ntwo" : "one\n2");
    assert_string_equal(pair_cell(p, s->boss, "party", s->party, "tags"),
                        s->round % 2 ? "a; b" : "b; c");
    if (s->round % 20 == 0)
        pair_sync(p, s->boss);
}

static enum err insert_family(struct stage *s, struct pair_device *device)
{
    s->doomed = (struct uuid){{0}};
    enum err e = stage_put(s, device, "party", true, &s->doomed,
                           (const char *const[]){"name", "Doomed", NULL});
    if (e == ERR_OK)
        e = stage_put_child(s, device, "contact", "party", s->doomed, "name", "Its person");
    if (e == ERR_OK)
        e = stage_put_child(s, device, "visit", "party", s->doomed, "result", "A visit");
    return e;
}

static enum err delete_family(struct stage *s, struct pair_device *device)
{
    struct err_info info;
    return replica_delete(device->replica, stage_table(s, "party"), &s->doomed, &info);
}

static enum err restore_family(struct stage *s, struct pair_device *device)
{
    struct err_info info;
    return replica_restore(device->replica, stage_table(s, "party"), &s->doomed, &info);
}

static void prepare_family(struct stage *s)
{
    stage_transact(s, s->boss, insert_family);
    if (s->round % 2) /* what is deleted is known to headquarters, or it is not */
        pair_sync(&s->run.pair, s->boss);
}

static void step_delete(struct stage *s)
{
    stage_transact(s, s->boss, insert_family);
    stage_transact(s, s->boss, delete_family);
    stage_transact(s, s->boss, restore_family);
    stage_transact(s, s->boss, delete_family);
}

static void check_delete(struct stage *s)
{
    assert_string_equal(pair_cell(&s->run.pair, s->boss, "party", s->doomed, "name"), "-");
}

static void step_delete_known(struct stage *s)
{
    stage_transact(s, s->boss, delete_family);
    stage_transact(s, s->boss, restore_family);
    stage_transact(s, s->boss, delete_family);
}

static void writes_are_refused_whole(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 5);
    stage_each_fault(&s, "write", STAGE_BOSS_ONLY, NULL, step_write, check_write);
    stage_each_fault(&s, "delete", STAGE_BOSS_ONLY, NULL, step_delete, check_delete);
    stage_each_fault(&s, "delete what is known", STAGE_BOSS_ONLY, prepare_family, step_delete_known,
                     check_delete);
    stage_end(&s);
}

/* ---- administration ---- */

static void step_add(struct stage *s)
{
    char text[200];
    snprintf(text, sizeof text,
             "{\"do\":\"branch-add\",\"name\":\"Branch %u\",\"city\":\"Gyumri\"}", s->round);
    stage_admin(s, text);
    snprintf(text, sizeof text,
             "{\"do\":\"user-add\",\"login\":\"u%u\",\"role\":\"rep\",\"branch\":\"North\"}",
             s->round);
    stage_admin(s, text);
}

static void step_change(struct stage *s)
{
    stage_admin(
        s, s->round % 2
               ? "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"South\",\"active\":false}"
               : "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\",\"active\":true}");
    stage_admin(s, "{\"do\":\"enroll\",\"login\":\"rita\",\"minutes\":5}");
    stage_admin(s, "{\"do\":\"archived\",\"marks\":{\"00000000000000ff\":7}}");
}

static void check_add(struct stage *s)
{
    assert_int_equal(pair_count(&s->run.pair, NULL, "branch"), 2 + s->round);
    assert_int_equal(pair_count(&s->run.pair, NULL, "user"), 2 + s->round);
}

static void step_list(struct stage *s)
{
    static const char *const lists[] = {"branch-list", "user-list", "devices",
                                        "marks",       "status",    "verify"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char text[60];
        snprintf(text, sizeof text, "{\"do\":\"%s\"}", lists[i]);
        stage_admin(s, text);
    }
}

static void step_revoke(struct stage *s)
{
    char id[UUID_TEXT_SIZE], text[120];
    uuid_format(&s->rep->identity.device, id);
    snprintf(text, sizeof text, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    stage_admin(s, text);
}

static void check_revoke(struct stage *s)
{
    pair_connect(&s->run.pair, s->rep, true);
    pair_run(&s->run.pair);
    assert_int_equal(s->rep->why, ERR_REVOKED);
}

static void commands_are_refused_whole(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 6);
    stage_each_fault(&s, "lists", STAGE_HUB_ONLY, NULL, step_list, NULL);
    stage_each_fault(&s, "changes", STAGE_HUB_ONLY, NULL, step_change, NULL);
    s.round = 0;
    stage_each_fault(&s, "users", STAGE_HUB_ONLY, NULL, step_add, check_add);
    pair_sync(&s.run.pair, s.boss);
    pair_assert_equal(&s.run.pair, s.boss);
    stage_each_fault(&s, "revoke", STAGE_HUB_ONLY, NULL, step_revoke, check_revoke);
    (void)pair_admin(&s.run.pair, "{\"do\":\"verify\"}");
    pair_done(&s.run.pair);
}

/* ---- sessions ---- */

/* Both edit one record; the rep writes what it may not, and something that builds on it. */
static void prepare_edits(struct stage *s)
{
    struct pair *p = &s->run.pair;
    pair_set(p, s->boss, "party", s->party, "legal_name",
             s->round % 2 ? "By the boss" : "By the chief");
    pair_set(p, s->boss, "party", s->party, "tags", s->round % 2 ? "a; b" : "b; c");
    pair_set(p, s->rep, "party", s->party, "legal_name", s->round % 2 ? "By the rep" : "By Rita");
    pair_set(p, s->rep, "party", s->party, "tags", s->round % 2 ? "c; d" : "a; d");
    struct uuid product = pair_insert(p, s->rep, "product", "name", "Not hers");
    pair_set(p, s->rep, "product", product, "description", "of a product that is refused");
    s->doomed = pair_insert(p, s->boss, "party", "name", "Passing");
}

struct first {
    uint64_t oseq;
};

static enum err see_first(void *context, const struct parked_group *parked)
{
    struct first *first = context;
    if (first->oseq == 0)
        first->oseq = parked->dot.oseq;
    return ERR_OK;
}

static enum err retry_first(struct stage *s, struct pair_device *device)
{
    struct first first = {0};
    struct err_info info;
    (void)s;
    enum err e = replica_parked(device->replica, see_first, &first);
    return e != ERR_OK || first.oseq == 0
               ? e
               : replica_parked_retry(device->replica, first.oseq, s->run.pair.now_ms, &info);
}

/* Everything that is set aside is given up. */
static void discard_all(struct stage *s, struct pair_device *device)
{
    for (int tries = 0; tries < 20; tries++) {
        struct first first = {0};
        struct err_info info;
        enum err e = replica_parked(device->replica, see_first, &first);
        if (e == ERR_OK && first.oseq == 0)
            return;
        if (e == ERR_OK)
            e = replica_parked_discard(device->replica, first.oseq, &info);
        if (err_class(e) == ERR_CLASS_FATAL)
            pair_restart_device(&s->run.pair, device);
    }
    fail_msg("what is set aside cannot be given up");
}

static void step_sync(struct stage *s)
{
    fault_play_sync(&s->run, s->rep);
    fault_play_sync(&s->run, s->boss);
    stage_transact(s, s->boss, delete_family);
    fault_play_sync(&s->run, s->boss);
    fault_play_sync(&s->run, s->rep);
}

static void check_sync(struct stage *s)
{
    struct pair *p = &s->run.pair;
    assert_string_equal(pair_cell(p, NULL, "party", s->doomed, "name"), "-");
    assert_string_equal(pair_cell(p, s->rep, "party", s->doomed, "name"), "-");
    assert_int_equal(pair_count(p, NULL, "product"), 0);
    assert_true(pair_status(s->rep).parked_count > 0);
    discard_all(s, s->rep);
    for (int i = 0; i < 2; i++) {
        pair_sync(p, s->rep);
        pair_sync(p, s->boss);
        discard_all(s, s->rep);
    }
    if (s->round % 16 == 0) {
        pair_assert_equal(p, s->boss);
        pair_assert_equal(p, s->rep);
    }
}

static void prepare_parked(struct stage *s)
{
    (void)pair_insert(&s->run.pair, s->rep, "product", "name", "Not hers");
    pair_sync(&s->run.pair, s->rep);
}

static void step_parked(struct stage *s)
{
    stage_transact(s, s->rep, retry_first);
    fault_play_sync(&s->run, s->rep);
    discard_all(s, s->rep);
    fault_play_sync(&s->run, s->rep);
}

static void check_parked(struct stage *s)
{
    struct replica_status status = pair_status(s->rep);
    assert_int_equal(status.parked_count, 0);
    assert_int_equal(status.outbox_count, 0);
}

static void sessions_are_done_again(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 7);
    stage_each_fault(&s, "set aside", STAGE_REP_ONLY, prepare_parked, step_parked, check_parked);
    stage_each_fault(&s, "sync", STAGE_ALL, prepare_edits, step_sync, check_sync);
    stage_end(&s);
}

/* ---- starting ---- */

static void step_restart(struct stage *s)
{
    fault_play_restart_hub(&s->run);
}

static void open_replica(struct stage *s)
{
    struct err_info info;
    pair_cut(&s->run.pair, s->boss);
    uplink_free(s->boss->uplink);
    s->boss->uplink = NULL;
    replica_close(s->boss->replica);
    s->boss->replica = NULL;
    const struct replica_config config = {.model = s->run.pair.model,
                                          .store = s->boss->store,
                                          .crypto = s->run.pair.crypto,
                                          .rng = &s->run.pair.rng};
    for (int tries = 0; replica_open(&config, &s->boss->replica, &info) != ERR_OK; tries++)
        assert_true(tries < 3);
}

static void check_restart(struct stage *s)
{
    pair_set(&s->run.pair, s->boss, "party", s->party, "notes",
             s->round % 2 ? "after" : "after it");
    pair_sync(&s->run.pair, s->boss);
}

/* A store that is new: everything comes again, under another origin. */
static void prepare_empty(struct stage *s)
{
    pair_cut(&s->run.pair, s->boss);
    struct store *store;
    assert_ok(store_mem_open(s->run.pair.model, &store));
    pair_put_store(&s->run.pair, s->boss, store);
}

static void step_bootstrap(struct stage *s)
{
    fault_play_sync(&s->run, s->boss);
}

static void check_bootstrap(struct stage *s)
{
    pair_sync(&s->run.pair, s->boss);
    pair_assert_equal(&s->run.pair, s->boss);
}

/* The store is that of some groups ago. */
static void prepare_fork(struct stage *s)
{
    struct pair *p = &s->run.pair;
    struct uuid note = pair_insert(p, s->boss, "party", "name", "Unsent");
    pair_set(p, s->boss, "party", note, "tags", "x; y");
    struct store *copy = pair_copy_store(p, s->boss->store);
    (void)pair_insert(p, s->boss, "party", "name", "Sent");
    pair_sync(p, s->boss);
    pair_put_store(p, s->boss, copy);
    (void)pair_insert(p, s->boss, "party", "name", "Of the copy");
    pair_set(p, s->boss, "party", note, "tags", "y; z");
}

/* Headquarters is that of some groups ago. */
static void prepare_restore(struct stage *s)
{
    struct pair *p = &s->run.pair;
    if (s->round % 8 == 0) {
        stage_archive(s, s->boss);
        assert_true(pair_status(s->boss).sent_count <
                    8); /* a new one, and those of before a fork */
    }
    struct store *copy = pair_copy_store(p, p->hub_store);
    struct uuid note = pair_insert(p, s->boss, "party", "name", "Lost by it");
    pair_sync(p, s->boss);
    pair_set(p, s->boss, "party", note, "tags", "x; y");
    pair_put_hub_store(p, copy);
}

static void beginnings_and_returns_are_done_again(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 8);
    pair_set(&s.run.pair, s.boss, "party", s.party, "notes", "pending");
    stage_each_fault(&s, "start of headquarters", STAGE_HUB_ONLY, NULL, step_restart,
                     check_restart);
    stage_each_fault(&s, "start of a replica", STAGE_BOSS_ONLY, NULL, open_replica, check_restart);
    stage_each_fault(&s, "an empty replica", STAGE_NOT_REP, prepare_empty, step_bootstrap,
                     check_bootstrap);
    stage_each_fault(&s, "a copy", STAGE_NOT_REP, prepare_fork, step_bootstrap, check_bootstrap);
    stage_end(&s);
}

static void restores_are_done_again(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 9);
    prepare_fork(&s); /* there are groups of an older origin, too */
    step_bootstrap(&s);
    check_bootstrap(&s);
    stage_each_fault(&s, "a restored headquarters", STAGE_NOT_REP, prepare_restore, step_bootstrap,
                     check_bootstrap);
    stage_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_refused_whole),
        cmocka_unit_test(commands_are_refused_whole),
        cmocka_unit_test(sessions_are_done_again),
        cmocka_unit_test(beginnings_and_returns_are_done_again),
        cmocka_unit_test(restores_are_done_again),
    };
    unfailing_libraries();
    if (getenv("SATCHEL_TEST_FILTER"))
        cmocka_set_test_filter(getenv("SATCHEL_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
