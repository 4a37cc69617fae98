/* More stories with each place of the product failing once (stage_each_place): customers that change hands, changes of
 * one column that come live, groups of older origins, large ones among them, that go up again to a restored
 * headquarters, groups that were set aside and are tried again, what a person is told of a record.
 *
 * ctest: arena timeout=1500 valgrind=no */
#include "client/core/replica_read.h"
#include "tests/lib/hands.h"
#include "tests/lib/pair_copy.h"
#include "tests/lib/stage.h"
#include "tests/lib/unfailing.h"

#include "client/core/replica_internal.h"
#include "common/store_mem/store_mem.h"

static void check_all(struct stage *s)
{
    pair_sync_all(&s->run.pair);
    pair_assert_equal(&s->run.pair, s->boss);
    for (uint32_t i = 0; i < s->run.pair.device_count; i++)
        assert_int_equal(pair_status(&s->run.pair.devices[i]).outbox_count, 0);
}

/* ---- customers that change hands ---- */

static struct pair_device *mona;
static struct uuid users[2]; /* rita, mona */
static struct uuid person;

static enum err add_customer(struct stage *s, struct pair_device *device)
{
    char owner[UUID_TEXT_SIZE];
    uuid_format(&users[0], owner);
    s->doomed = (struct uuid){{0}};
    enum err e = stage_put(
        s, device, "party", true, &s->doomed,
        (const char *const[]){"name", "Rita's", "visibility", "owner", "owner", owner, NULL});
    return e == ERR_OK ? stage_put_child(s, device, "contact", "party", s->doomed, "name", "Person")
                       : e;
}

static enum err give_away(struct stage *s, struct pair_device *device)
{
    char owner[UUID_TEXT_SIZE];
    uuid_format(&users[1], owner);
    return stage_put(s, device, "party", false, &s->doomed,
                     (const char *const[]){"owner", owner, NULL});
}

/* The former owner has changes that headquarters does not know yet. */
static void prepare_move(struct stage *s)
{
    stage_transact(s, s->boss, add_customer);
    pair_sync_all(&s->run.pair);
    pair_set(&s->run.pair, s->rep, "party", s->doomed, "fax", stage_number(s->round));
    pair_insert(&s->run.pair, s->rep, "party", "name", "Between");
    pair_connect(&s->run.pair, mona, false);
    pair_run(&s->run.pair);
}

static void step_move(struct stage *s)
{
    stage_transact(s, s->boss, give_away);
    fault_play_sync(&s->run, s->boss);
    fault_play_live(&s->run, mona);
    fault_play_sync(&s->run, s->rep);
    fault_play_live(&s->run, mona);
    fault_play_sync(&s->run, mona);
}

static void check_move(struct stage *s)
{
    pair_cut(&s->run.pair, mona);
    check_all(s);
    assert_string_equal(pair_cell(&s->run.pair, s->rep, "party", s->doomed, "name"), "-");
    assert_string_equal(pair_cell(&s->run.pair, mona, "party", s->doomed, "name"), "Rita's");
    assert_string_equal(pair_cell(&s->run.pair, mona, "party", s->doomed, "fax"),
                        stage_number(s->round - 1));
}

static void begin_moves(struct stage *s)
{
    mona = pair_enrol(&s->run.pair, "mona", "rep");
    users[0] = hands_user(&s->run.pair, "rita");
    users[1] = hands_user(&s->run.pair, "mona");
}

static void customers_change_hands_whole(void **state)
{
    (void)state;
    stage_each_world("moves", 151, 40, begin_moves, prepare_move, step_move, check_move);
}

/* ---- changes of one column, live ---- */

static void prepare_delta(struct stage *s)
{
    pair_sync_all(&s->run.pair);
    pair_connect(&s->run.pair, s->rep, false);
    pair_run(&s->run.pair);
    s->doomed = pair_insert(&s->run.pair, s->boss, "party", "name", "Another");
    pair_sync(&s->run.pair, s->boss);
    pair_run(&s->run.pair);
    /* not pushed: nobody tells the session of it */
    pair_set(&s->run.pair, s->rep, "party", s->party, "fax", stage_number(s->round));
}

static enum err rename_both(struct stage *s, struct pair_device *device)
{
    enum err e = stage_put(s, device, "party", false, &s->party,
                           (const char *const[]){"legal_name", stage_number(s->round), NULL});
    return e == ERR_OK
               ? stage_put(s, device, "party", false, &s->doomed,
                           (const char *const[]){"legal_name", stage_number(s->round), NULL})
               : e;
}

static void step_delta(struct stage *s)
{
    stage_transact(s, s->boss, rename_both);
    fault_play_sync(&s->run, s->boss);
    fault_play_live(&s->run, s->rep);
}

static void check_delta(struct stage *s)
{
    pair_cut(&s->run.pair, s->rep);
    check_all(s);
    pair_assert_equal(&s->run.pair, s->rep);
    assert_string_equal(pair_cell(&s->run.pair, s->rep, "party", s->party, "legal_name"),
                        stage_number(s->round));
    assert_string_equal(pair_cell(&s->run.pair, NULL, "party", s->party, "fax"),
                        stage_number(s->round - 1));
}

static void changes_come_live_whole(void **state)
{
    (void)state;
    stage_each_world("changes", 152, 40, NULL, prepare_delta, step_delta, check_delta);
}

/* ---- groups of older origins ---- */

enum { LARGE = 10, LARGE_BYTES = 60000 };

static char large_text[LARGE_BYTES + 1];

static enum err write_large(struct stage *s, struct pair_device *device)
{
    enum err e = ERR_OK;
    for (int i = 0; e == ERR_OK && i < LARGE; i++) {
        s->doomed = (struct uuid){{0}};
        e = stage_put(s, device, "party", true, &s->doomed,
                      (const char *const[]){"name", "Large", "notes", large_text, NULL});
    }
    return e;
}

/* Headquarters lost a large group and small ones that the boss wrote under an origin of before a fork. */
static void prepare_older(struct stage *s)
{
    struct pair *p = &s->run.pair;
    struct store *lost = pair_copy_store(p, p->hub_store);
    pair_insert(p, s->boss, "party", "name", "Small");
    stage_transact(s, s->boss, write_large);
    pair_insert(p, s->boss, "party", "name", "Small");
    pair_sync(p, s->boss);
    struct store *copy = pair_copy_store(p, s->boss->store);
    pair_insert(p, s->boss, "party", "name", "Sent");
    pair_sync(p, s->boss);
    pair_put_store(p, s->boss, copy);
    pair_insert(p, s->boss, "party", "name", "Of the copy");
    pair_sync(p, s->boss);
    pair_put_hub_store(p, lost);
}

static void step_older(struct stage *s)
{
    fault_play_sync(&s->run, s->boss);
}

static void check_older(struct stage *s)
{
    check_all(s);
    assert_string_equal(pair_cell(&s->run.pair, NULL, "party", s->doomed, "name"), "Large");
}

static void groups_of_older_origins_go_up_again_whole(void **state)
{
    (void)state;
    memset(large_text, 'x', LARGE_BYTES);
    stage_each_world("older origins", 153, 8, NULL, prepare_older, step_older, check_older);
}

/* ---- groups that were set aside ---- */

static enum err write_all_kinds(struct stage *s, struct pair_device *device)
{
    struct uuid product = {{0}};
    struct err_info info;
    enum err e = stage_put(s, device, "product", true, &product,
                           (const char *const[]){"name", "Not hers", NULL});
    if (e == ERR_OK)
        e = stage_put(s, device, "party", false, &s->party,
                      (const char *const[]){"loyalty_points", stage_number(s->round + 1), "tags",
                                            s->round % 2 ? "[\"a\"]" : "[\"b\"]", "fax",
                                            s->round % 2 ? "odd" : "even", NULL});
    if (e == ERR_OK)
        e = replica_delete(device->replica, stage_table(s, "party"), &s->doomed, &info);
    return e == ERR_OK ? replica_restore(device->replica, stage_table(s, "party"), &person, &info)
                       : e;
}

static void role(struct stage *s, const char *name)
{
    char text[100];
    snprintf(text, sizeof text, "{\"do\":\"user-set\",\"login\":\"rita\",\"role\":\"%s\"}", name);
    pair_admin(&s->run.pair, text);
}

static void prepare_again(struct stage *s)
{
    struct pair *p = &s->run.pair;
    role(s, "rep");
    s->doomed = pair_insert(p, s->boss, "party", "name", "Doomed");
    person = pair_insert(p, s->boss, "party", "name", "Gone");
    pair_sync_all(&s->run.pair);
    pair_delete(p, s->boss, "party", person);
    pair_sync_all(&s->run.pair);
    stage_transact(s, s->rep, write_all_kinds);
    pair_sync(p, s->rep);
    assert_int_equal(pair_status(s->rep).parked_count, 1);
    role(s, "admin");
    pair_sync(p, s->rep);
}

struct first {
    uint64_t oseq;
};

static enum err see_first(void *context, const struct parked_group *parked)
{
    ((struct first *)context)->oseq = parked->dot.oseq;
    return ERR_OK;
}

static enum err retry(struct stage *s, struct pair_device *device)
{
    struct first first = {0};
    struct err_info info;
    enum err e = replica_parked(device->replica, see_first, &first);
    return e != ERR_OK
               ? e
               : replica_parked_retry(device->replica, first.oseq, s->run.pair.now_ms, &info);
}

static void step_again(struct stage *s)
{
    stage_transact(s, s->rep, retry);
    fault_play_sync(&s->run, s->rep);
}

static void check_again(struct stage *s)
{
    struct pair *p = &s->run.pair;
    check_all(s);
    pair_assert_equal(p, s->rep);
    assert_int_equal(pair_status(s->rep).parked_count, 0);
    assert_string_equal(pair_cell(p, NULL, "party", s->party, "fax"),
                        s->round % 2 ? "even" : "odd");
    assert_string_equal(pair_cell(p, NULL, "party", s->party, "loyalty_points"),
                        stage_number(s->round));
    assert_string_equal(pair_cell(p, NULL, "party", s->doomed, "name"), "-");
    assert_string_equal(pair_cell(p, NULL, "party", person, "name"), "Gone");
}

static void groups_are_tried_again_whole(void **state)
{
    (void)state;
    stage_each_world("again", 154, 40, NULL, prepare_again, step_again, check_again);
}

/* ---- what a person is told of a record ---- */

static struct uuid told[3]; /* with a change that waits, made here, and as it was confirmed */

/* Which groups touch each, and what the last one did to it. */
static enum err ask(struct stage *s, uint32_t *ret_touching)
{
    const struct model_table *table = stage_table(s, "party");
    struct replica *r = s->boss->replica;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    *ret_touching = 0;
    enum err e = store_begin(s->boss->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    for (int i = 0; e == ERR_OK && i < 3; i++) {
        struct store_row row;
        const struct dot *dots;
        uint16_t count = 0;
        const struct mutation *mutation = NULL;
        uint64_t stamp;
        e = store_row_get(s->boss->store, table, &told[i], &arena, &row);
        if (e == ERR_OK)
            e = replica_touching(r, table, &told[i], &row, &arena, &dots, &count);
        for (uint16_t k = 0; e == ERR_OK && k < count; k++) {
            e = replica_own_mutation(r, &dots[k], table, &told[i], &mutation, &stamp);
            if (e == ERR_OK)
                assert_true(uuid_equal(&mutation->id, &told[i]) && stamp > 0);
            ++*ret_touching;
        }
        if (e == ERR_OK && count) { /* nothing of it about another record */
            struct uuid none = {{7}};
            enum err other = replica_own_mutation(r, &dots[0], table, &none, &mutation, &stamp);
            e = other == ERR_NOT_FOUND ? ERR_OK : other;
        }
    }
    store_rollback(s->boss->store);
    cache_drop(r);
    arena_done(&arena);
    return e;
}

static void step_ask(struct stage *s)
{
    uint32_t touching;
    enum err e = ask(s, &touching);
    if (e == ERR_OK)
        assert_int_equal(touching, 2);
    else
        assert_true(err_class(e) == ERR_CLASS_RETRY || err_class(e) == ERR_CLASS_FATAL);
}

static void check_ask(struct stage *s)
{
    uint32_t touching;
    assert_ok(ask(s, &touching));
    assert_int_equal(touching, 2);
}

static void what_is_told_of_a_record_is_right_or_refused(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 155);
    struct pair *p = &s.run.pair;
    told[2] = pair_insert(p, s.boss, "party", "name", "Confirmed");
    pair_sync(p, s.boss);
    told[0] = s.party;
    pair_set(p, s.boss, "party", s.party, "fax", "waits");
    told[1] = pair_insert(p, s.boss, "party", "name", "Made here");
    stage_each_place(&s, "questions", NULL, step_ask, check_ask);
    stage_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(customers_change_hands_whole),
        cmocka_unit_test(changes_come_live_whole),
        cmocka_unit_test(groups_of_older_origins_go_up_again_whole),
        cmocka_unit_test(groups_are_tried_again_whole),
        cmocka_unit_test(what_is_told_of_a_record_is_right_or_refused),
    };
    unfailing_libraries();
    if (getenv("SATCHEL_TEST_FILTER"))
        cmocka_set_test_filter(getenv("SATCHEL_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
