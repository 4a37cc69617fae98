/* Pages made by hand, as a server of another kind or a later one would send them: what does not fit is a gap, after which
 * everything is as it was and all comes again; what fits is shown; a departure takes a record away. */
#include "client/core/replica_internal.h"
#include "tests/lib/pair.h"

struct act {
    struct pair p;
    struct pair_device *device;
    const struct model_table *party;
    struct uuid id;       /* held, with nothing of our own */
    struct uuid pending;  /* held, with a change that waits */
    struct uuid inserted; /* waits whole */
    uint64_t oseq;        /* of the change that waits; the insert's is the next */
    struct page_writer w;
    uint64_t position;
};

static void sync(struct act *a)
{
    pair_sync(&a->p, a->device);
}

static void act_start(struct act *a, uint64_t seed)
{
    *a = (struct act){0};
    pair_init(&a->p, NULL, seed);
    a->device = pair_enrol(&a->p, "anna", "admin");
    a->party = model_table_by_name(a->p.model, bytes_of_text("party"));
    a->id = pair_insert(&a->p, a->device, "party", "name", "Plain");
    a->pending = pair_insert(&a->p, a->device, "party", "name", "Edited");
    sync(a);
    struct replica_status status;
    replica_status(a->device->replica, &status);
    a->oseq = status.last_oseq + 1;
    pair_set(&a->p, a->device, "party", a->pending, "legal_name", "typed");
    a->inserted = pair_insert(&a->p, a->device, "party", "name", "New");
    page_writer_init(&a->w);
    a->position = 100;
}

static struct cursor *company(struct act *a)
{
    struct cursor *cursor = cursor_get(a->device->replica, 1);
    assert_non_null(cursor);
    return cursor;
}

/* After a gap nothing is lost: the next session brings both together. */
static void act_end(struct act *a)
{
    page_writer_done(&a->w);
    pair_restart_device(&a->p, a->device);
    sync(a);
    sync(a);
    pair_assert_equal(&a->p, a->device);
    assert_string_equal(pair_cell(&a->p, NULL, "party", a->pending, "legal_name"), "typed");
    assert_string_equal(pair_cell(&a->p, NULL, "party", a->inserted, "name"), "New");
    pair_done(&a->p);
}

/* The page so far, live, and its checkpoint, whose digest is of what is held then or of nothing. */
static enum err give(struct act *a, bool *ret_gap)
{
    struct bytes body;
    struct replica *r = a->device->replica;
    assert_ok(page_writer_finish(&a->w, &body));
    const struct message_page page = {
        .bucket = 1, .from = a->position, .to = a->position + 9, .live = 1, .body = body};
    const struct message_checkpoint checkpoint = {.live = 1, .scope = 1};
    *ret_gap = false;
    assert_ok(replica_page(r, &page));
    enum err e = replica_checkpoint(r, &checkpoint, a->p.now_ms, ret_gap);
    page_writer_reset(&a->w);
    a->position += 10;
    return e;
}

static void expect_gap(struct act *a)
{
    bool gap;
    struct digest sum = company(a)->sum;
    uint64_t count = company(a)->count;
    assert_ok(give(a, &gap));
    assert_true(gap);
    assert_memory_equal(&sum, &company(a)->sum, sizeof sum);
    assert_int_equal(company(a)->count, count);
    assert_string_equal(pair_cell(&a->p, a->device, "party", a->id, "name"), "Plain");
    assert_string_equal(pair_cell(&a->p, a->device, "party", a->pending, "legal_name"), "typed");
    assert_string_equal(pair_cell(&a->p, a->device, "party", a->inserted, "name"), "New");
}

static void fits(struct act *a)
{
    bool gap;
    assert_ok(give(a, &gap));
    assert_false(gap);
}

static uint64_t revision_of(struct act *a, struct uuid id)
{
    struct arena arena;
    struct store_row row;
    struct base base;
    struct version_head head;
    arena_init(&arena, 1 << 20);
    assert_ok(store_begin(a->device->store, STORE_READ));
    if (base_load(a->device->replica, a->party, &id, &arena, &base) == ERR_OK)
        row = base.row;
    else
        assert_ok(store_row_get(a->device->store, a->party, &id, &arena, &row));
    store_rollback(a->device->store);
    assert_ok(version_peek(row.version, &head));
    arena_done(&arena);
    return head.revision;
}

/* A change of one column by another device. */
static void write_delta(struct act *a, struct uuid id, uint64_t previous, uint64_t revision,
                        const char *column, const char *text)
{
    const struct model_column *c = model_column_by_name(a->party, bytes_of_text(column));
    const struct value value = value_text(bytes_of_text(text));
    uint16_t index = 0;
    while (a->party->units[index].columns[0] != c->index)
        index++;
    const struct page_unit unit = {.unit = index, .values = &value};
    const struct dot dot = {777, revision, 1};
    assert_ok(page_write_delta(&a->w, a->position + 1, a->party, &id, previous, revision, &dot,
                               (uint64_t)a->p.now_ms << 16, &unit, 1));
}

static void deltas_fit_the_revision_that_is_held(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 111);
    for (int pending = 0; pending < 2; pending++) {
        struct uuid id = pending ? a.pending : a.id;
        uint64_t now = revision_of(&a, id);
        write_delta(&a, id, now + 1, now + 2, "fax", "one is missing");
        expect_gap(&a);
        write_delta(&a, (struct uuid){{1, 2, 3}}, now, now + 1, "fax", "of nothing");
        expect_gap(&a);
        write_delta(&a, a.inserted, now, now + 1, "fax", "of what only we have");
        expect_gap(&a);
        write_delta(&a, id, now - 1, now, "fax", "known already");
        fits(&a);
        assert_string_equal(pair_cell(&a.p, a.device, "party", id, "fax"), "");
        write_delta(&a, id, now, now + 1, "fax", "new");
        fits(&a);
        assert_string_equal(pair_cell(&a.p, a.device, "party", id, "fax"), "new");
        write_delta(&a, id, now + 1, now + 2, "source", "another");
        fits(&a);
        write_delta(&a, id, now + 2, now + 3, "fax", "newer");
        fits(&a);
        assert_string_equal(pair_cell(&a.p, a.device, "party", id, "fax"), "newer");
        assert_string_equal(pair_cell(&a.p, a.device, "party", id, "source"), "another");
        assert_int_equal(revision_of(&a, id), now + 3);
    }
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.pending, "legal_name"), "typed");
    /* headquarters knows nothing of this: the digests differ, and all comes anew */
    act_end(&a);
}

static void departures_take_records_away(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 112);
    uint64_t count = company(&a)->count;
    assert_ok(page_write_gone(&a.w, a.position + 1, a.party, &(struct uuid){{1, 2, 3}}));
    assert_ok(page_write_gone(&a.w, a.position + 2, a.party, &a.inserted)); /* only we have it */
    fits(&a);
    assert_int_equal(company(&a)->count, count);
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.inserted, "name"), "New");
    assert_ok(page_write_gone(&a.w, a.position + 1, a.party, &a.id));
    assert_ok(page_write_gone(&a.w, a.position + 2, a.party, &a.pending));
    fits(&a);
    assert_int_equal(company(&a)->count, count - 2);
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.id, "name"), "-");
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.inserted, "name"), "New");
    /* the change that waits does not show a record that is not there, and stays */
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.pending, "name"), "-");
    act_end(&a);
}

/* Gone from a bucket that it is not in any more. */
static void a_departure_from_another_bucket_is_passed_over(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 113);
    struct replica *r = a.device->replica;
    assert_ok(page_write_gone(&a.w, 5, a.party, &a.id));
    struct bytes body;
    assert_ok(page_writer_finish(&a.w, &body));
    const struct message_page page = {.bucket = 2, .from = 4, .to = 5, .live = 1, .body = body};
    const struct message_checkpoint checkpoint = {.live = 1, .scope = 1};
    bool gap = true;
    assert_ok(replica_page(r, &page));
    assert_ok(replica_checkpoint(r, &checkpoint, a.p.now_ms, &gap));
    assert_false(gap);
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.id, "name"), "Plain");
    act_end(&a);
}

/* Headquarters tells that it applied a group of ours as it was written; what does not agree with that is a gap. */
static void own_entries_fit_what_waits(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 114);
    uint64_t now = revision_of(&a, a.pending);
    const uint64_t bad[][3] = {
        {a.oseq + 50, 0, now + 1}, /* no such group */
        {a.oseq, 1, now + 1},      /* no such mutation */
        {a.oseq, 0, now + 2},      /* merged with something that is not here */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_ok(page_write_own(&a.w, a.position + 1, bad[i][0], (uint32_t)bad[i][1], bad[i][2]));
        expect_gap(&a);
    }
    /* the record of a change left meanwhile */
    assert_ok(page_write_gone(&a.w, a.position + 1, a.party, &a.pending));
    assert_ok(page_write_own(&a.w, a.position + 2, a.oseq, 0, now + 1));
    expect_gap(&a);
    /* the record of an insert came meanwhile, from another device */
    struct arena arena;
    struct store_row row;
    arena_init(&arena, 1 << 20);
    assert_ok(store_begin(a.device->store, STORE_READ));
    assert_ok(store_row_get(a.device->store, a.party, &a.id, &arena, &row));
    store_rollback(a.device->store);
    pair_set(&a.p, a.device, "party", a.inserted, "fax", "so that it has a copy");
    assert_ok(page_write_row(&a.w, a.position + 1, a.party, &a.inserted, &row));
    assert_ok(page_write_own(&a.w, a.position + 2, a.oseq + 1, 0, 1));
    expect_gap(&a);
    arena_done(&arena);
    assert_ok(page_write_own(&a.w, a.position + 1, a.oseq, 0, now + 1));
    fits(&a);
    assert_int_equal(revision_of(&a, a.pending), now + 1);
    act_end(&a);
}

/* Rows that are older than what is held change nothing; bytes that are no row are refused whole. */
static void older_and_damaged_rows_are_passed_over_or_refused(void **state)
{
    (void)state;
    struct act a;
    struct arena arena;
    struct store_row row;
    bool gap;
    act_start(&a, 115);
    arena_init(&arena, 1 << 20);
    assert_ok(store_begin(a.device->store, STORE_READ));
    assert_ok(store_row_get(a.device->store, a.party, &a.id, &arena, &row));
    store_rollback(a.device->store);
    struct value *values = arena_alloc(&arena, a.party->column_count * sizeof *values);
    assert_non_null(values);
    memcpy(values, row.values, a.party->column_count * sizeof *values);
    values[model_column_by_name(a.party, bytes_of_text("fax"))->index] =
        value_text(bytes_of_text("not newer"));
    row.values = values;
    assert_ok(page_write_row(&a.w, a.position + 1, a.party, &a.id, &row));
    fits(&a);
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.id, "fax"), "");
    row.version.size = 0;
    assert_ok(page_write_row(&a.w, a.position + 1, a.party, &a.id, &row));
    assert_err(give(&a, &gap), ERR_MALFORMED);
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.id, "fax"), "");
    assert_string_equal(pair_cell(&a.p, a.device, "party", a.pending, "legal_name"), "typed");
    arena_done(&arena);
    act_end(&a);
}

/* A long catch-up goes to disk page by page, and is looked at with its checkpoint: what does not fit then must not be
 * there for ever, in the way of each session. */
static void a_page_on_disk_that_does_not_fit_comes_again(void **state)
{
    (void)state;
    for (int gap_only = 0; gap_only < 2; gap_only++) {
        struct act a;
        bool gap = false;
        act_start(&a, 116);
        struct replica *r = a.device->replica;
        struct bytes body = bytes_of_text("no rows");
        if (gap_only) {
            assert_ok(page_write_own(&a.w, a.position + 1, a.oseq + 50, 0, 9)); /* no such group */
            assert_ok(page_writer_finish(&a.w, &body));
        }
        const struct message_page page = {.bucket = 1,
                                          .from = company(&a)->position,
                                          .to = company(&a)->position + 5,
                                          .body = body};
        const struct bucket_digest head = {.bucket = 1, .position = page.to};
        const struct message_checkpoint checkpoint = {.scope = 1, .heads = &head, .heads_count = 1};
        r->caught_bytes = REPLICA_STAGE_FROM; /* as much has come */
        assert_ok(replica_page(r, &page));
        assert_int_equal(r->stage_next, 1);
        pair_restart_device(&a.p, a.device);
        r = a.device->replica;
        assert_int_equal(r->stage_next, 1);
        enum err e = replica_checkpoint(r, &checkpoint, a.p.now_ms, &gap);
        assert_int_equal(e, gap_only ? ERR_OK : ERR_MALFORMED);
        assert_int_equal(gap, gap_only);
        assert_int_equal(r->stage_next, 0);
        assert_string_equal(pair_cell(&a.p, a.device, "party", a.id, "name"), "Plain");
        act_end(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deltas_fit_the_revision_that_is_held),
        cmocka_unit_test(departures_take_records_away),
        cmocka_unit_test(a_departure_from_another_bucket_is_passed_over),
        cmocka_unit_test(own_entries_fit_what_waits),
        cmocka_unit_test(older_and_damaged_rows_are_passed_over_or_refused),
        cmocka_unit_test(a_page_on_disk_that_does_not_fit_comes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
