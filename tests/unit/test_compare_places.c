/* Comparisons, verifications and groups of stolen origins with each place of the product failing once
 * (stage_each_place): what was refused works when it is tried again, and all agree in the end.
 *
 * ctest: arena timeout=1500 valgrind=no */
#include "tests/lib/hostile.h"
#include "tests/lib/pair_copy.h"
#include "tests/lib/stage.h"
#include "tests/lib/unfailing.h"

enum { RECORDS = 900 };

static struct uuid ids[RECORDS];

static enum err insert_many(struct stage *s, struct pair_device *device)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < RECORDS; i++) {
        ids[i] = (struct uuid){{0}};
        e = stage_put(s, device, "party", true, &ids[i],
                      (const char *const[]){"name", stage_number(i), NULL});
    }
    return e;
}

struct verdict {
    uint32_t buckets, wrong;
};

static void judge(void *context, const struct replica_bucket *bucket)
{
    struct verdict *verdict = context;
    verdict->buckets++;
    verdict->wrong += !bucket->right;
}

static enum err verify(struct stage *s, struct verdict *ret)
{
    uint64_t unreadable = 0;
    *ret = (struct verdict){0};
    enum err e = replica_verify(s->rep->replica, true, judge, ret, &unreadable);
    assert_true(e == ERR_OK || err_class(e) != ERR_CLASS_PEER);
    if (err_class(e) == ERR_CLASS_FATAL)
        pair_restart_device(&s->run.pair, s->rep);
    return e;
}

static void verify_until_done(struct stage *s, struct verdict *ret)
{
    for (int tries = 0; verify(s, ret) != ERR_OK; tries++)
        assert_true(tries < 4);
}

/* ---- verifying ---- */

static void step_verify(struct stage *s)
{
    struct verdict verdict;
    verify_until_done(s, &verdict);
    assert_true(verdict.buckets > 0);
}

/* What a damaged answer of the store made look wrong is compared, and found right. */
static void check_verify(struct stage *s)
{
    struct verdict verdict;
    pair_sync(&s->run.pair, s->rep);
    verify_until_done(s, &verdict);
    assert_int_equal(verdict.wrong, 0);
    pair_assert_equal(&s->run.pair, s->rep);
}

static void verifying_says_the_truth_or_nothing(void **state)
{
    struct stage s;
    (void)state;
    stage_start(&s, 161);
    stage_each_place(&s, "verify", NULL, step_verify, check_verify);
    pair_set(&s.run.pair, s.rep, "party", s.party, "fax", "waits");
    (void)pair_insert(&s.run.pair, s.rep, "party", "name", "Waits");
    stage_each_place(&s, "verify what waits", NULL, step_verify, NULL);
    stage_end(&s);
}

/* ---- comparing ---- */

/* A text of the record, another one of its version's, nothing in its place, or it in another's. */
static void harm(struct stage *s, const struct uuid *id, uint32_t how)
{
    const struct model_table *party = stage_table(s, "party");
    uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
    struct arena arena;
    struct store_row row;
    struct uuid other = *id;
    arena_init(&arena, 1 << 20);
    assert_ok(store_begin(s->rep->store, STORE_WRITE));
    enum err e = store_row_get(s->rep->store, party, id, &arena, &row);
    assert_true(e == ERR_OK || e == ERR_NOT_FOUND);
    if (e == ERR_OK && how == 0)
        assert_ok(store_row_delete(s->rep->store, party, id));
    if (e == ERR_OK && how > 0) {
        struct value changed = value_text(bytes_of_text("harmed"));
        struct value *values = arena_calloc(&arena, party->column_count, sizeof *values);
        assert_non_null(values);
        memcpy(values, row.values, party->column_count * sizeof *values);
        values[name] = changed;
        row.values = how == 1 ? values : row.values;
        row.dead = how == 2;
        row.bucket = how == 3 ? 77 : row.bucket;
        other.byte[15] ^= (uint8_t)(how == 4);
        assert_ok(store_row_put(s->rep->store, party, &other, &row));
    }
    assert_ok(store_commit(s->rep->store));
    arena_done(&arena);
}

/* Some records differ, beside changes that wait: of one of them, and one that is new. */
static void prepare_compare(struct stage *s)
{
    struct pair *p = &s->run.pair;
    uint32_t at = s->round * 37;
    pair_sync_all(p);
    pair_set(p, s->rep, "party", ids[(at + 3) % RECORDS], "fax", stage_number(s->round));
    for (uint32_t i = 0; i < 5; i++)
        harm(s, &ids[(at + i * 101) % RECORDS], (s->round + i) % 5);
    pair_set(p, s->rep, "party", s->party, "loyalty_points", stage_number(s->round + 1));
    (void)pair_insert(p, s->rep, "party", "name", "Waits");
}

static void step_compare(struct stage *s)
{
    struct verdict verdict;
    verify_until_done(s, &verdict);
    fault_play_sync(&s->run, s->rep);
    fault_play_sync(&s->run, s->rep);
}

static void check_compare(struct stage *s)
{
    struct verdict verdict;
    pair_sync_all(&s->run.pair);
    pair_sync(&s->run.pair, s->rep);
    verify_until_done(s, &verdict);
    assert_int_equal(verdict.wrong, 0);
    pair_assert_equal(&s->run.pair, s->rep);
    assert_int_equal(pair_status(s->rep).outbox_count, 0);
    assert_string_equal(pair_cell(&s->run.pair, NULL, "party", s->party, "loyalty_points"),
                        stage_number(s->round));
}

static void begin_compare(struct stage *s)
{
    stage_transact(s, s->boss, insert_many);
    pair_sync_all(&s->run.pair);
}

static void what_differs_is_compared_and_mended(void **state)
{
    (void)state;
    stage_each_world("compare", 162, 60, begin_compare, prepare_compare, step_compare,
                     check_compare);
}

/* ---- an older origin that is another's by now ---- */

static struct pair_device *owner, *thief;

static uint64_t origin_of(const struct pair_device *device)
{
    return pair_status(device).origin;
}

static void steal(struct stage *s, uint64_t origin)
{
    struct hostile h;
    hostile_attach(&h, &s->run.pair, thief);
    h.origin = origin;
    hostile_open(&h);
    hostile_settle(&h);
    hostile_end(&h);
}

static void prepare_stolen(struct stage *s)
{
    struct pair *p = &s->run.pair;
    struct store *backup = pair_copy_store(p, p->hub_store);
    uint64_t stolen = origin_of(owner);
    s->doomed = pair_insert(p, owner, "party", "name", "Of before");
    pair_set(p, owner, "party", s->doomed, "loyalty_points", "7");
    pair_sync(p, owner);
    assert_ok(replica_fork(owner->replica, UINT64_MAX, p->now_ms));
    pair_restart_device(p, owner);
    (void)pair_insert(p, owner, "party", "name", "Of after");
    pair_sync(p, owner);
    pair_put_hub_store(p, backup);
    steal(s, stolen);
}

static void step_stolen(struct stage *s)
{
    fault_play_sync(&s->run, owner);
    fault_play_sync(&s->run, owner);
}

static void check_stolen(struct stage *s)
{
    for (int i = 0; i < 3; i++) {
        pair_sync(&s->run.pair, owner);
        pair_sync(&s->run.pair, s->rep);
    }
    pair_assert_equal(&s->run.pair, owner);
    pair_assert_equal(&s->run.pair, s->rep);
    assert_string_equal(pair_cell(&s->run.pair, NULL, "party", s->doomed, "name"), "Of before");
    assert_string_equal(pair_cell(&s->run.pair, NULL, "party", s->doomed, "loyalty_points"), "7");
}

static void begin_stolen(struct stage *s)
{
    owner = pair_enrol(&s->run.pair, "olga", "admin");
    thief = pair_enrol(&s->run.pair, "theo", "admin");
}

static void a_stolen_older_origin_is_left_whole(void **state)
{
    (void)state;
    stage_each_world("stolen", 163, 1, begin_stolen, prepare_stolen, step_stolen, check_stolen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifying_says_the_truth_or_nothing),
        cmocka_unit_test(what_differs_is_compared_and_mended),
        cmocka_unit_test(a_stolen_older_origin_is_left_whole),
    };
    unfailing_libraries();
    if (getenv("SATCHEL_TEST_FILTER"))
        cmocka_set_test_filter(getenv("SATCHEL_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
