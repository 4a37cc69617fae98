/* Attachments' bytes in a store, on every kind of store. ctest: labels=asan */
#include "common/blob.h"

#include "tests/lib/store_kit.h"

struct fixture {
    struct store_kit kit;
    struct crypto *crypto;
};

static const uint8_t some[BLOB_HASH] = {7, 7, 7};

static int start(void **state, enum store_kind kind)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    store_kit_init(&f->kit, kind);
    assert_ok(crypto_new(&f->crypto));
    *state = f;
    return 0;
}

static int start_mem(void **state)
{
    return start(state, STORE_KIND_MEM);
}

static int start_file(void **state)
{
    return start(state, STORE_KIND_SQLITE_FILE);
}

static int stop(void **state)
{
    struct fixture *f = *state;
    crypto_free(f->crypto);
    store_kit_done(&f->kit);
    free(f);
    return 0;
}

/* Content of this size whose every chunk is another. */
static struct bytes content(struct fixture *f, size_t size, uint8_t hash[BLOB_HASH])
{
    static uint8_t data[64 * BLOB_CHUNK];
    assert_true(size <= sizeof data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 31 + i / BLOB_CHUNK * 7 + size);
    assert_ok(crypto_sha256(f->crypto, bytes_of(data, size), hash));
    return bytes_of(data, size);
}

static struct bytes piece(struct bytes whole, uint32_t n)
{
    size_t at = (size_t)n * BLOB_CHUNK, left = whole.size - at;
    return bytes_of(whole.data + at, left < BLOB_CHUNK ? left : BLOB_CHUNK);
}

static void name_it(struct fixture *f, uint32_t number, const uint8_t *hash, bool dead)
{
    struct store_row row = store_kit_row(&f->kit.arena, f->kit.thing, number);
    const struct model_column *photo = model_column_by_name(f->kit.thing, bytes_of_text("photo"));
    struct uuid id = store_kit_id(number);
    row.values[photo->index] = hash ? value_blob(bytes_of(hash, BLOB_HASH)) : value_null();
    row.dead = dead;
    assert_ok(store_row_put(f->kit.store, f->kit.thing, &id, &row));
}

static void assert_listed(struct fixture *f, enum blob_list list, const uint8_t *hash, bool is)
{
    bool has;
    assert_ok(blob_list_has(f->kit.store, list, hash, &has));
    assert_int_equal(has, is);
}

/* Until there is nothing to check; the last verdict that was one. */
static enum blob_verdict check_all(struct fixture *f)
{
    struct blob_check check = {.open = false};
    enum blob_verdict verdict = BLOB_MORE, last = BLOB_NOTHING;
    while (verdict != BLOB_NOTHING) {
        assert_ok(blob_check_step(f->kit.store, f->crypto, &check, 2, &verdict));
        if (verdict != BLOB_RIGHT && verdict != BLOB_WRONG)
            continue;
        last = verdict;
        assert_ok(blob_checked(f->kit.store, &check, verdict == BLOB_RIGHT, false));
    }
    blob_check_done(&check);
    return last;
}

static void take_all(struct fixture *f, const uint8_t *hash, struct bytes whole, uint32_t from)
{
    struct blob blob;
    for (uint32_t n = from; n < blob_chunks(whole.size); n++)
        assert_ok(blob_take(f->kit.store, hash, whole.size, n, piece(whole, n), &blob));
}

static void chunks_come_in_order_and_make_a_whole(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH];
    struct bytes whole = content(f, 5 * BLOB_CHUNK + 100, hash), back;
    struct blob blob;
    store_kit_begin(&f->kit);
    name_it(f, 1, hash, false);
    assert_listed(f, BLOB_TO_FETCH, hash, true);
    assert_ok(blob_take(f->kit.store, hash, whole.size, 0, piece(whole, 0), &blob));
    assert_err(blob_take(f->kit.store, hash, whole.size, 2, piece(whole, 2), &blob), ERR_CONFLICT);
    assert_int_equal(blob.have, 1);
    assert_err(blob_take(f->kit.store, hash, whole.size, 1, piece(whole, 5), &blob), ERR_MALFORMED);
    assert_err(blob_take(f->kit.store, hash, whole.size, 6, piece(whole, 5), &blob), ERR_MALFORMED);
    store_kit_commit(&f->kit);
    store_kit_begin(&f->kit); /* a cut, and it goes on */
    take_all(f, hash, whole, 1);
    assert_err(blob_take(f->kit.store, hash, whole.size, 5, piece(whole, 5), &blob), ERR_EXISTS);
    assert_false(blob.whole);
    assert_int_equal(check_all(f), BLOB_RIGHT);
    assert_ok(blob_get(f->kit.store, hash, &blob));
    assert_true(blob.whole);
    assert_int_equal(blob_here(&blob), whole.size);
    assert_listed(f, BLOB_TO_FETCH, hash, false);
    assert_listed(f, BLOB_TO_OFFER, hash, true);
    for (uint32_t n = 0; n < 6; n++) {
        assert_ok(blob_chunk(f->kit.store, &blob, n, &f->kit.arena, &back));
        assert_true(bytes_equal(back, piece(whole, n)));
    }
    assert_err(blob_chunk(f->kit.store, &blob, 6, &f->kit.arena, &back), ERR_NOT_FOUND);
    assert_ok(blob_verify(f->kit.store, f->crypto, hash, &blob));
    store_kit_commit(&f->kit);
}

static void other_bytes_are_thrown_away_and_counted(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH];
    struct bytes whole = content(f, 3 * BLOB_CHUNK, hash);
    struct blob_sweep sweep = {.steps = 100, .keep_ms = -1};
    struct blob blob;
    bool more;
    store_kit_begin(&f->kit);
    name_it(f, 1, some, false);
    take_all(f, some, whole, 0);
    assert_int_equal(check_all(f), BLOB_WRONG);
    assert_ok(blob_get(f->kit.store, some, &blob));
    assert_false(blob.whole);
    assert_int_equal(blob.have, 0);
    assert_int_equal(blob.failures, 1);
    assert_listed(f, BLOB_TO_FETCH, some, true);
    assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    assert_false(more);
    struct store_kit_list list = {0};
    store_kit_assert_list(
        store_side_scan(f->kit.store, SIDE_CHUNK, BYTES(""), BYTES(""), store_kit_list_side, &list),
        &list, "");
    store_kit_commit(&f->kit);
}

static void another_size_starts_anew(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH];
    struct bytes whole = content(f, 2 * BLOB_CHUNK, hash);
    struct blob blob;
    store_kit_begin(&f->kit);
    assert_ok(blob_take(f->kit.store, hash, 3 * BLOB_CHUNK, 0, piece(whole, 1), &blob));
    assert_err(blob_take(f->kit.store, hash, whole.size, 1, piece(whole, 1), &blob), ERR_CONFLICT);
    assert_int_equal(blob.have, 0);
    take_all(f, hash, whole, 0);
    assert_int_equal(check_all(f), BLOB_RIGHT);
    assert_err(blob_take(f->kit.store, some, 0, 0, BYTES(""), &blob), ERR_MALFORMED);
    assert_err(
        blob_take(f->kit.store, some, (uint64_t)BLOB_SIZE_LIMIT + 1, 0, piece(whole, 0), &blob),
        ERR_MALFORMED);
    store_kit_commit(&f->kit);
}

static void rows_say_what_is_wanted(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH];
    bool live, dead;
    content(f, 1000, hash);
    store_kit_begin(&f->kit);
    name_it(f, 1, hash, false);
    name_it(f, 2, hash, false);
    name_it(f, 1, some, false); /* another photo */
    assert_ok(blob_named(f->kit.store, hash, &live, &dead));
    assert_true(live);
    assert_listed(f, BLOB_UNNAMED, hash, false);
    name_it(f, 2, hash, true); /* deleted, and kept as a tombstone */
    assert_ok(blob_named(f->kit.store, hash, &live, &dead));
    assert_false(live);
    assert_true(dead);
    assert_listed(f, BLOB_UNNAMED, hash, true);
    assert_listed(f, BLOB_TO_FETCH, hash, false);
    name_it(f, 2, hash, false); /* brought back */
    assert_listed(f, BLOB_UNNAMED, hash, false);
    assert_listed(f, BLOB_TO_FETCH, hash, true);
    struct uuid id = store_kit_id(2);
    assert_ok(store_row_delete(f->kit.store, f->kit.thing, &id));
    assert_ok(blob_named(f->kit.store, hash, &live, &dead));
    assert_false(live || dead);
    assert_listed(f, BLOB_TO_FETCH, hash, false);
    name_it(f, 1, NULL, false);
    assert_listed(f, BLOB_UNNAMED, some, true);
    struct store_row row = store_kit_row(&f->kit.arena, f->kit.thing, 3);
    row.values[model_column_by_name(f->kit.thing, bytes_of_text("photo"))->index] =
        value_blob(bytes_of(hash, BLOB_HASH));
    id = store_kit_id(3);
    assert_ok(store_row_insert(f->kit.store, f->kit.thing, &id, &row));
    assert_listed(f, BLOB_TO_FETCH, hash, true);
    store_rollback(f->kit.store);
    store_kit_begin(&f->kit);
    assert_ok(blob_named(f->kit.store, hash, &live, &dead));
    assert_false(live || dead);
    store_kit_commit(&f->kit);
}

/* A device lets go what nobody names, but never what headquarters does not have. */
static void a_replica_lets_go_what_is_elsewhere(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH];
    struct bytes whole = content(f, 40 * BLOB_CHUNK, hash);
    struct blob_sweep sweep = {.steps = 16, .keep_ms = -1};
    struct blob blob;
    bool more = true;
    store_kit_begin(&f->kit);
    name_it(f, 1, hash, false);
    take_all(f, hash, whole, 0);
    assert_int_equal(check_all(f), BLOB_RIGHT);
    name_it(f, 1, NULL, false);
    while (more)
        assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    assert_ok(blob_get(f->kit.store, hash, &blob));
    assert_true(blob.whole);
    assert_ok(blob_confirm(f->kit.store, hash, false)); /* a branch has it: not enough */
    more = true;
    while (more)
        assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    assert_ok(blob_get(f->kit.store, hash, &blob));
    assert_true(blob.at_branch);
    assert_ok(blob_confirm(f->kit.store, hash, true));
    assert_listed(f, BLOB_TO_OFFER, hash, false);
    unsigned rounds = 0;
    for (more = true; more; rounds++)
        assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    assert_true(rounds >= 3); /* in steps */
    assert_err(blob_get(f->kit.store, hash, &blob), ERR_NOT_FOUND);
    struct store_kit_list list = {0};
    store_kit_assert_list(
        store_side_scan(f->kit.store, SIDE_CHUNK, BYTES(""), BYTES(""), store_kit_list_side, &list),
        &list, "");
    store_kit_assert_list(store_side_scan(f->kit.store, SIDE_BLOB_LIST, BYTES(""), BYTES(""),
                                          store_kit_list_side, &list),
                          &list, "");
    store_kit_commit(&f->kit);
}

static void headquarters_keeps_for_the_horizon(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH];
    struct bytes whole = content(f, 1000, hash);
    struct blob_sweep sweep = {.steps = 16, .keep_ms = 100, .now_ms = 5000};
    struct blob blob;
    bool more;
    store_kit_begin(&f->kit);
    name_it(f, 1, hash, false);
    take_all(f, hash, whole, 0);
    assert_int_equal(check_all(f), BLOB_RIGHT);
    name_it(f, 1, hash, true); /* a tombstone names it: kept for as long as there is one */
    assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    sweep.now_ms = 9000;
    assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    assert_ok(blob_get(f->kit.store, hash, &blob));
    struct uuid id = store_kit_id(1);
    assert_ok(store_row_delete(f->kit.store, f->kit.thing, &id));
    assert_ok(blob_sweep(f->kit.store, &sweep, &more)); /* from now on */
    sweep.now_ms = 9099;
    assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    assert_ok(blob_get(f->kit.store, hash, &blob));
    sweep.now_ms = 9100;
    assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    assert_err(blob_get(f->kit.store, hash, &blob), ERR_NOT_FOUND);
    store_kit_commit(&f->kit);
}

static void a_restore_makes_all_unconfirmed(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH];
    struct bytes whole = content(f, 1000, hash);
    struct blob blob;
    store_kit_begin(&f->kit);
    name_it(f, 1, hash, false);
    take_all(f, hash, whole, 0);
    check_all(f);
    assert_ok(blob_confirm(f->kit.store, hash, true));
    assert_ok(blob_confirm(f->kit.store, some, true)); /* not here: no matter */
    assert_ok(blob_unconfirm_all(f->kit.store));
    assert_ok(blob_get(f->kit.store, hash, &blob));
    assert_false(blob.confirmed);
    assert_listed(f, BLOB_TO_OFFER, hash, true);
    store_kit_commit(&f->kit);
}

static void write_it(struct fixture *f, struct bytes whole, uint8_t hash[BLOB_HASH])
{
    struct blob_writer writer;
    assert_ok(blob_writer_begin(f->kit.store, f->crypto, &writer));
    for (uint32_t n = 0; n < blob_chunks(whole.size); n++)
        assert_ok(blob_writer_add(f->kit.store, &writer, piece(whole, n)));
    assert_ok(blob_writer_end(f->kit.store, &writer, hash));
    blob_writer_done(&writer);
}

static void a_stream_gets_its_hash_at_the_end(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH], found[BLOB_HASH];
    struct bytes whole = content(f, 2 * BLOB_CHUNK + 5, hash);
    struct blob_writer writer;
    struct blob blob, again;
    struct blob_sweep sweep = {.steps = 100, .keep_ms = -1};
    bool more;
    store_kit_begin(&f->kit);
    assert_ok(blob_writer_begin(f->kit.store, f->crypto, &writer));
    assert_ok(blob_writer_add(f->kit.store, &writer, piece(whole, 0)));
    store_kit_commit(&f->kit);
    blob_writer_done(&writer); /* the program ends: what it wrote is removed by the next */
    store_kit_begin(&f->kit);
    write_it(f, whole, found);
    name_it(f, 1, found, false);
    assert_memory_equal(found, hash, BLOB_HASH);
    assert_ok(blob_get(f->kit.store, hash, &blob));
    assert_true(blob.whole);
    assert_listed(f, BLOB_TO_OFFER, hash, true);
    write_it(f, whole, found); /* the same once more: one copy is kept */
    assert_ok(blob_get(f->kit.store, hash, &again));
    assert_int_equal(again.number, blob.number);
    assert_ok(blob_sweep(f->kit.store, &sweep, &more));
    struct store_kit_list list = {0};
    assert_ok(store_side_scan(f->kit.store, SIDE_CHUNK, BYTES(""), BYTES(""), store_kit_list_side,
                              &list));
    assert_int_equal(list.count, 3);
    assert_ok(blob_writer_begin(f->kit.store, f->crypto, &writer));
    assert_err(blob_writer_end(f->kit.store, &writer, found), ERR_INVALID);
    assert_ok(blob_writer_add(f->kit.store, &writer, piece(whole, 2)));
    assert_err(blob_writer_add(f->kit.store, &writer, piece(whole, 1)), ERR_INVALID);
    blob_writer_done(&writer);
    store_kit_commit(&f->kit);
}

/* What comes while somebody writes the same: the writer's is taken. */
static void a_writer_takes_the_place_of_what_was_coming(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH], found[BLOB_HASH];
    struct bytes whole = content(f, 2 * BLOB_CHUNK, hash);
    struct blob_check check = {.open = false};
    enum blob_verdict verdict;
    struct blob blob;
    store_kit_begin(&f->kit);
    name_it(f, 1, hash, false);
    take_all(f, hash, whole, 0);
    assert_ok(blob_check_step(f->kit.store, f->crypto, &check, 1, &verdict));
    assert_int_equal(verdict, BLOB_MORE);
    write_it(f, whole, found);
    assert_ok(blob_check_step(f->kit.store, f->crypto, &check, 1, &verdict));
    assert_int_equal(verdict, BLOB_NOTHING); /* that one is gone */
    blob_check_done(&check);
    assert_ok(blob_get(f->kit.store, hash, &blob));
    assert_true(blob.whole);
    assert_err(blob_take(f->kit.store, hash, whole.size, 0, piece(whole, 0), &blob), ERR_EXISTS);
    store_kit_commit(&f->kit);
}

static void damage_is_found(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BLOB_HASH], key[12] = {0};
    struct bytes whole = content(f, 2 * BLOB_CHUNK, hash);
    struct blob blob;
    store_kit_begin(&f->kit);
    write_it(f, whole, hash);
    assert_ok(blob_get(f->kit.store, hash, &blob));
    be64_put(key, blob.number);
    assert_ok(store_side_put(f->kit.store, SIDE_CHUNK, bytes_of(key, 12), piece(whole, 1)));
    assert_err(blob_verify(f->kit.store, f->crypto, hash, &blob), ERR_CORRUPT);
    assert_ok(store_side_delete(f->kit.store, SIDE_CHUNK, bytes_of(key, 12)));
    assert_err(blob_verify(f->kit.store, f->crypto, hash, &blob), ERR_CORRUPT);
    assert_ok(store_side_put(f->kit.store, SIDE_BLOB, bytes_of(hash, 32), BYTES("x")));
    assert_err(blob_get(f->kit.store, hash, &blob), ERR_CORRUPT);
    store_rollback(f->kit.store);
}

static void who_asks_by_name_gets_another_try(void **state)
{
    struct fixture *f = *state;
    uint8_t first[BLOB_HASH];
    struct blob blob = {.failures = 3, .size = 10};
    store_kit_begin(&f->kit);
    assert_ok(blob_put(f->kit.store, some, &blob));
    assert_ok(blob_ask(f->kit.store, some));
    assert_ok(blob_get(f->kit.store, some, &blob));
    assert_int_equal(blob.failures, 0);
    assert_ok(blob_list_next(f->kit.store, BLOB_ASKED, NULL, first));
    assert_memory_equal(first, some, BLOB_HASH);
    assert_err(blob_list_next(f->kit.store, BLOB_ASKED, some, first), ERR_NOT_FOUND);
    store_kit_commit(&f->kit);
}

#define ON_EACH(test)                                       \
    cmocka_unit_test_setup_teardown(test, start_mem, stop), \
        cmocka_unit_test_setup_teardown(test, start_file, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH(chunks_come_in_order_and_make_a_whole),
        ON_EACH(other_bytes_are_thrown_away_and_counted),
        ON_EACH(another_size_starts_anew),
        ON_EACH(rows_say_what_is_wanted),
        ON_EACH(a_replica_lets_go_what_is_elsewhere),
        ON_EACH(headquarters_keeps_for_the_horizon),
        ON_EACH(a_restore_makes_all_unconfirmed),
        ON_EACH(a_stream_gets_its_hash_at_the_end),
        ON_EACH(a_writer_takes_the_place_of_what_was_coming),
        ON_EACH(damage_is_found),
        ON_EACH(who_asks_by_name_gets_another_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
