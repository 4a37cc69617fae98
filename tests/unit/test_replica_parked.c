/* Groups that were set aside and are tried again: every kind of change upon what is shown then, or nothing at all; and
 * what is given up after the replica went on under another origin. */
#include "server/core/hub_internal.h"
#include "tests/lib/pair_copy.h"

static const char model[] =
    "{\"name\":\"parked\",\"version\":1,\"tables\":["
    "{\"id\":16,\"name\":\"item\",\"label\":{\"en\":\"Item\"},\"delete\":\"revives\","
    "\"bucket\":\"company\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"required\":true,\"label\":{\"en\":\"Name\"}},"
    "{\"id\":2,\"name\":\"amount\",\"type\":\"integer\",\"merge\":\"counter\",\"label\":{\"en\":"
    "\"Amount\"}},"
    "{\"id\":3,\"name\":\"weight\",\"type\":\"real\",\"merge\":\"counter\",\"label\":{\"en\":"
    "\"Weight\"}},"
    "{\"id\":4,\"name\":\"tags\",\"type\":\"set\",\"label\":{\"en\":\"Tags\"}},"
    "{\"id\":5,\"name\":\"note\",\"type\":\"text\",\"label\":{\"en\":\"Note\"}}]},"
    "{\"id\":17,\"name\":\"secret\",\"label\":{\"en\":\"Secret\"},\"delete\":\"revives\","
    "\"bucket\":\"company\",\"title\":\"name\",\"write\":\"admin\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}}]}]}";

struct act {
    struct pair p;
    struct pair_device *boss, *rep;
    struct uuid item, plain, doomed, gone;
    uint64_t oseq; /* of the group that was set aside */
};

static struct replica_status status_of(struct pair_device *device)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    return status;
}

static void sync_all(struct act *a)
{
    for (int round = 0; round < 2; round++) {
        pair_sync(&a->p, a->rep);
        pair_sync(&a->p, a->boss);
    }
}

static void put(struct act *a, struct pair_device *device, const char *table_name, struct uuid id,
                bool insert, const char *column, const char *text)
{
    struct err_info info = {0};
    struct arena arena;
    struct value value;
    const struct model_table *table = model_table_by_name(a->p.model, bytes_of_text(table_name));
    const struct model_column *c = model_column_by_name(table, bytes_of_text(column));
    arena_init(&arena, 1 << 20);
    assert_ok(model_value_from_text(c, bytes_of_text(text), &arena, &value, &info));
    enum err e =
        insert ? replica_insert(device->replica, table, &id, &c->index, &value, 1, &info)
               : replica_update(device->replica, table, &id, &c->index, &value, 1, false, &info);
    if (e != ERR_OK)
        fail_msg("%s", info.message);
    arena_done(&arena);
}

static const struct model_table *item(struct act *a)
{
    return model_table_by_name(a->p.model, bytes_of_text("item"));
}

/* One group of the rep with every kind of change, beside one that only administrators may make. */
static void act_start(struct act *a, uint64_t seed)
{
    struct dot dot;
    *a = (struct act){0};
    pair_init(&a->p, model, seed);
    a->boss = pair_enrol(&a->p, "boss", "admin");
    a->rep = pair_enrol(&a->p, "rita", "rep");
    a->item = pair_insert(&a->p, a->boss, "item", "name", "Item");
    a->plain = pair_insert(&a->p, a->boss, "item", "name", "Without values");
    a->doomed = pair_insert(&a->p, a->boss, "item", "name", "Doomed");
    a->gone = pair_insert(&a->p, a->boss, "item", "name", "Gone");
    pair_set(&a->p, a->boss, "item", a->item, "amount", "10");
    pair_set(&a->p, a->boss, "item", a->item, "weight", "1.5");
    pair_set(&a->p, a->boss, "item", a->item, "tags", "[\"a\",\"b\"]");
    sync_all(a);
    pair_delete(&a->p, a->boss, "item", a->gone);
    sync_all(a);
    assert_ok(replica_begin(a->rep->replica, a->p.now_ms));
    put(a, a->rep, "secret", (struct uuid){{0}}, true, "name", "Not hers");
    const struct uuid *both[] = {&a->item, &a->plain};
    for (int i = 0; i < 2; i++) {
        put(a, a->rep, "item", *both[i], false, "amount", i ? "5" : "15");
        put(a, a->rep, "item", *both[i], false, "weight", i ? "0.5" : "2");
        put(a, a->rep, "item", *both[i], false, "tags", i ? "[\"c\"]" : "[\"b\",\"c\"]");
        put(a, a->rep, "item", *both[i], false, "note", "typed");
    }
    assert_ok(replica_delete(a->rep->replica, item(a), &a->doomed, NULL));
    assert_ok(replica_restore(a->rep->replica, item(a), &a->gone, NULL));
    assert_ok(replica_commit(a->rep->replica, &dot));
    a->oseq = dot.oseq;
    sync_all(a);
    assert_int_equal(status_of(a->rep).parked_count, 1);
    assert_string_equal(pair_cell(&a->p, a->rep, "item", a->item, "amount"), "10");
    assert_string_equal(pair_cell(&a->p, a->rep, "item", a->gone, "name"), "-");
    pair_admin(&a->p, "{\"do\":\"user-set\",\"login\":\"rita\",\"role\":\"admin\"}");
}

static void act_end(struct act *a)
{
    sync_all(a);
    pair_assert_equal(&a->p, a->rep);
    pair_assert_equal(&a->p, a->boss);
    pair_done(&a->p);
}

static void retry(struct act *a)
{
    struct err_info info = {0};
    if (replica_parked_retry(a->rep->replica, a->oseq, a->p.now_ms, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_int_equal(status_of(a->rep).parked_count, 0);
    sync_all(a);
}

static void every_kind_of_change_is_made_upon_what_is_shown(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 101);
    pair_set(&a.p, a.boss, "item", a.item, "amount", "110");
    pair_set(&a.p, a.boss, "item", a.item, "weight", "10");
    pair_set(&a.p, a.boss, "item", a.item, "tags", "[\"b\",\"d\"]");
    sync_all(&a);
    retry(&a);
    for (int side = 0; side < 2; side++) {
        struct pair_device *at = side ? a.rep : NULL;
        assert_string_equal(pair_cell(&a.p, at, "item", a.item, "amount"), "115");
        assert_string_equal(pair_cell(&a.p, at, "item", a.item, "weight"), "10.5");
        assert_string_equal(pair_cell(&a.p, at, "item", a.item, "tags"), "b; c; d");
        assert_string_equal(pair_cell(&a.p, at, "item", a.item, "note"), "typed");
        assert_string_equal(pair_cell(&a.p, at, "item", a.plain, "amount"), "5");
        assert_string_equal(pair_cell(&a.p, at, "item", a.plain, "weight"), "0.5");
        assert_string_equal(pair_cell(&a.p, at, "item", a.plain, "tags"), "c");
        assert_string_equal(pair_cell(&a.p, at, "item", a.doomed, "name"), "-");
        assert_string_equal(pair_cell(&a.p, at, "item", a.gone, "name"), "Gone");
        assert_int_equal(pair_count(&a.p, at, "secret"), 1);
    }
    act_end(&a);
}

/* What it deletes is deleted already, what it restores is there already. */
static void what_others_did_meanwhile_is_not_done_again(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 102);
    pair_delete(&a.p, a.boss, "item", a.doomed);
    assert_ok(replica_begin(a.boss->replica, a.p.now_ms));
    assert_ok(replica_restore(a.boss->replica, item(&a), &a.gone, NULL));
    struct dot dot;
    assert_ok(replica_commit(a.boss->replica, &dot));
    sync_all(&a);
    retry(&a);
    assert_string_equal(pair_cell(&a.p, NULL, "item", a.doomed, "name"), "-");
    assert_string_equal(pair_cell(&a.p, NULL, "item", a.gone, "name"), "Gone");
    act_end(&a);
}

static void assert_still_parked(struct act *a)
{
    struct replica_status status = status_of(a->rep);
    assert_int_equal(status.parked_count, 1);
    assert_int_equal(status.outbox_count, 0);
    assert_int_equal(pair_count(&a->p, a->rep, "secret"), 0);
    assert_string_equal(pair_cell(&a->p, a->rep, "item", a->gone, "name"), "-");
}

/* A sum that no counter holds, a record that is not there any more: nothing of the group is made. */
static void what_cannot_be_made_leaves_it_as_it_was(void **state)
{
    (void)state;
    struct act a;
    struct err_info info = {0};
    act_start(&a, 103);
    pair_set(&a.p, a.boss, "item", a.item, "amount", "9223372036854775807");
    sync_all(&a);
    assert_err(replica_parked_retry(a.rep->replica, a.oseq, a.p.now_ms, &info), ERR_LIMIT);
    assert_still_parked(&a);
    pair_set(&a.p, a.boss, "item", a.item, "amount", "0");
    pair_delete(&a.p, a.boss, "item", a.item);
    sync_all(&a);
    assert_err(replica_parked_retry(a.rep->replica, a.oseq, a.p.now_ms, &info), ERR_NOT_FOUND);
    assert_non_null(strstr(info.message, "not there any more"));
    assert_still_parked(&a);
    assert_err(replica_parked_retry(a.rep->replica, a.oseq + 7, a.p.now_ms, &info), ERR_NOT_FOUND);
    assert_ok(replica_parked_discard(a.rep->replica, a.oseq, &info));
    act_end(&a);
}

/* Within a transaction of the application, which goes on after an error of it. */
static void a_retry_is_part_of_the_open_transaction(void **state)
{
    (void)state;
    struct act a;
    struct err_info info = {0};
    struct dot dot;
    act_start(&a, 104);
    assert_ok(replica_begin(a.rep->replica, a.p.now_ms));
    assert_err(replica_parked_retry(a.rep->replica, a.oseq + 7, a.p.now_ms, &info), ERR_NOT_FOUND);
    assert_true(replica_in_transaction(a.rep->replica));
    assert_ok(replica_parked_retry(a.rep->replica, a.oseq, a.p.now_ms, &info));
    put(&a, a.rep, "item", a.item, false, "note", "mended");
    replica_rollback(a.rep->replica);
    assert_still_parked(&a);
    assert_ok(replica_begin(a.rep->replica, a.p.now_ms));
    assert_ok(replica_parked_retry(a.rep->replica, a.oseq, a.p.now_ms, &info));
    put(&a, a.rep, "item", a.item, false, "note", "mended");
    assert_ok(replica_commit(a.rep->replica, &dot));
    sync_all(&a);
    assert_string_equal(pair_cell(&a.p, NULL, "item", a.item, "note"), "mended");
    assert_string_equal(pair_cell(&a.p, NULL, "item", a.item, "amount"), "15");
    act_end(&a);
}

static uint32_t discards_of(struct pair_device *device)
{
    const struct replica_discard *discards;
    uint32_t count;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_ok(replica_discards(device->replica, &arena, &discards, &count));
    arena_done(&arena);
    return count;
}

/* The answer to a discard names no origin, and the replica has another one by then. */
static void what_is_given_up_under_an_older_origin_is_told_once(void **state)
{
    (void)state;
    struct act a;
    struct err_info info = {0};
    act_start(&a, 105);
    struct store *copy = pair_copy_store(&a.p, a.rep->store);
    pair_insert(&a.p, a.rep, "item", "name", "Sent");
    pair_sync(&a.p, a.rep);
    pair_put_store(&a.p, a.rep, copy);
    pair_insert(&a.p, a.rep, "item", "name", "Of the copy");
    uint64_t origin = status_of(a.rep).origin;
    assert_ok(replica_parked_discard(a.rep->replica, a.oseq, &info));
    assert_int_equal(discards_of(a.rep), 1);
    sync_all(&a);
    assert_int_not_equal(status_of(a.rep).origin, origin);
    assert_int_equal(discards_of(a.rep), 0);
    assert_ok(replica_discarded(a.rep->replica, origin, a.oseq)); /* told again: nothing to do */
    assert_int_equal(discards_of(a.rep), 0);
    act_end(&a);
}

static int count_kept(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(uint32_t *)context;
    return 0;
}

/* Of what was given up, as it stands in the store. */
static uint32_t kept_discards(struct pair_device *device)
{
    uint32_t count = 0;
    assert_ok(store_begin(device->store, STORE_READ));
    assert_ok(store_side_scan(device->store, SIDE_META, bytes_of_text("discard/"),
                              bytes_of_text("discard0"), count_kept, &count));
    store_rollback(device->store);
    return count;
}

/* Headquarters forgets with a restore what it was told; who waits for such a group would wait for good. */
static void a_restored_headquarters_is_told_again(void **state)
{
    (void)state;
    struct act a;
    struct err_info info = {0};
    act_start(&a, 106);
    struct store *backup = pair_copy_store(&a.p, a.p.hub_store);
    assert_ok(replica_parked_discard(a.rep->replica, a.oseq, &info));
    sync_all(&a);
    assert_int_equal(a.p.hub->parked_count, 0);
    pair_put_hub_store(&a.p, backup);
    assert_int_equal(a.p.hub->parked_count, 1);
    sync_all(&a);
    assert_int_equal(a.p.hub->parked_count, 0);
    assert_int_equal(discards_of(a.rep), 0);
    assert_int_equal(kept_discards(a.rep), 1);
    char archived[120];
    (void)snprintf(archived, sizeof archived, "{\"do\":\"archived\",\"marks\":{\"%016llx\":%llu}}",
                   (unsigned long long)status_of(a.rep).origin, (unsigned long long)a.oseq);
    pair_admin(&a.p, archived);
    pair_insert(&a.p, a.rep, "item", "name", "After the backup");
    sync_all(&a);
    assert_int_equal(kept_discards(a.rep), 0);
    act_end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_change_is_made_upon_what_is_shown),
        cmocka_unit_test(what_others_did_meanwhile_is_not_done_again),
        cmocka_unit_test(what_cannot_be_made_leaves_it_as_it_was),
        cmocka_unit_test(a_retry_is_part_of_the_open_transaction),
        cmocka_unit_test(what_is_given_up_under_an_older_origin_is_told_once),
        cmocka_unit_test(a_restored_headquarters_is_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
