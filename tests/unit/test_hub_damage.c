/* What is damaged in headquarters' store behind its back: rows in buckets that there are not, side tables whose values
 * are none, people who lack what everybody has. It is found where it is read, nothing is written, and with the damage
 * undone all goes on. And many groups that wait for one. */
#include "server/core/hub_internal.h"
#include "tests/lib/pair.h"
#include "tests/lib/pair_copy.h"
#include "tests/lib/scene.h"

struct play {
    struct pair p;
    struct pair_device *boss, *rep;
    struct uuid party, user;
    const struct model_table *table;
};

static int take_id(void *context, const struct uuid *id)
{
    *(struct uuid *)context = *id;
    return 0;
}

static void play_start(struct play *play)
{
    pair_init(&play->p, NULL, 181);
    pair_admin(&play->p, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    play->boss = pair_enrol(&play->p, "boss", "admin");
    play->rep = pair_enrol(&play->p, "rita", "rep");
    pair_admin(&play->p, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\"}");
    play->table = model_table_by_name(play->p.model, bytes_of_text("party"));
    play->party = pair_insert(&play->p, play->boss, "party", "name", "Acme");
    pair_sync_all(&play->p);
    assert_ok(store_begin(play->p.hub_store, STORE_READ)); /* rita came last */
    assert_ok(store_row_scan(play->p.hub_store, model_table_by_id(play->p.model, TABLE_USER), NULL,
                             take_id, &play->user));
    store_rollback(play->p.hub_store);
}

static void play_end(struct play *play)
{
    pair_set(&play->p, play->rep, "party", play->party, "fax", "goes on");
    pair_sync_all(&play->p);
    pair_assert_equal(&play->p, play->boss);
    assert_string_equal(pair_cell(&play->p, NULL, "party", play->party, "fax"), "goes on");
    (void)pair_admin(&play->p, "{\"do\":\"verify\"}");
    pair_done(&play->p);
}

/* Within a transaction of headquarters, which is taken back. */
static enum err within(struct play *play, hub_body *body)
{
    enum err e = hub_transact(play->p.hub, body, play);
    assert_true(e != ERR_OK);
    if (err_class(e) == ERR_CLASS_FATAL)
        pair_restart_hub(&play->p);
    return e;
}

static struct store_row row_of(struct hub *hub, const struct model_table *table,
                               const struct uuid *id)
{
    struct store_row row;
    assert_ok(store_row_get(hub->store, table, id, &hub->turn, &row));
    return row;
}

static const struct model_table *users(struct hub *hub)
{
    return model_table_by_id(hub->model, TABLE_USER);
}

/* ---- buckets that there are not ---- */

enum { NOWHERE = 4000 };

static enum err depart_from_nowhere(struct hub *hub, void *context)
{
    struct play *play = context;
    return move_depart(hub, play->table, &play->party, NOWHERE, false);
}

static enum err child_of_one_nowhere(struct hub *hub, void *context)
{
    struct play *play = context;
    const struct model_table *contact = model_table_by_name(hub->model, bytes_of_text("contact"));
    struct store_row row = row_of(hub, play->table, &play->party);
    struct value *values = arena_calloc(&hub->turn, contact->column_count, sizeof *values);
    struct bucket *bucket;
    assert_non_null(values);
    values[contact->parent_column] = value_blob(bytes_of(play->party.byte, 16));
    assert_ok(write_route(hub, contact, values, &bucket));
    assert_int_equal(bucket->number, row.bucket);
    row.bucket = NOWHERE;
    assert_ok(store_row_put(hub->store, play->table, &play->party, &row));
    return write_route(hub, contact, values, &bucket);
}

static enum err change_of_one_nowhere(struct hub *hub, void *context)
{
    struct play *play = context;
    struct store_row row = row_of(hub, users(hub), &play->user);
    const uint16_t column = model_column_by_name(users(hub), bytes_of_text("name"))->id;
    const struct value name = value_text(bytes_of_text("Rita"));
    row.bucket = NOWHERE;
    assert_ok(store_row_put(hub->store, users(hub), &play->user, &row));
    return system_put(hub, TABLE_USER, &play->user, &column, &name, 1, 0);
}

static enum err company_with_another_number(struct hub *hub, void *context)
{
    (void)context;
    hub->buckets[0]->number = NOWHERE; /* memory follows the store when this is undone */
    return scope_start(hub);
}

static void rows_in_no_bucket_are_damage(void **state)
{
    (void)state;
    struct play play;
    play_start(&play);
    assert_err(within(&play, depart_from_nowhere), ERR_CORRUPT);
    assert_err(within(&play, child_of_one_nowhere), ERR_CORRUPT);
    assert_err(within(&play, change_of_one_nowhere), ERR_CORRUPT);
    assert_err(within(&play, company_with_another_number), ERR_CORRUPT);
    play_end(&play);
}

/* ---- side tables ---- */

static void moved_key(const struct play *play, uint32_t bucket, uint8_t out[23])
{
    be16_put(out, play->table->id);
    memcpy(out + 2, play->party.byte, 16);
    be32_put(out + 18, bucket);
    out[22] = 0;
}

static enum err arrive_from_a_cut_note(struct hub *hub, void *context)
{
    struct play *play = context;
    uint8_t key[23];
    moved_key(play, 1, key);
    assert_ok(move_arrive(hub, play->table, &play->party, 1)); /* no note: it never left */
    assert_ok(store_side_put(hub->store, SIDE_MOVED, bytes_of(key, 22), bytes_of("cut", 3)));
    return move_arrive(hub, play->table, &play->party, 1);
}

static enum err lease(struct hub *hub, struct play *play, size_t key_size, size_t value_size)
{
    const struct audience all = {.role = ROLE_ADMIN, .all = true};
    const struct author author = {.audience = &all};
    uint8_t key[23], value[16] = {0};
    bool found = true;
    moved_key(play, 1, key);
    assert_ok(move_lease(hub, &author, 0, play->table, &play->party, &found));
    assert_false(found);
    assert_ok(store_side_put(hub->store, SIDE_MOVED, bytes_of(key, key_size),
                             bytes_of(value, value_size)));
    return move_lease(hub, &author, 0, play->table, &play->party, &found);
}

static enum err lease_by_a_long_key(struct hub *hub, void *context)
{
    return lease(hub, context, 23, 16);
}

static enum err lease_by_a_cut_note(struct hub *hub, void *context)
{
    return lease(hub, context, 22, 15);
}

static enum err named_by_a_cut_note(struct hub *hub, void *context)
{
    struct play *play = context;
    const struct dot dot = {pair_status(play->boss).origin, 1, 7};
    uint8_t key[20];
    be64_put(key, dot.origin);
    be64_put(key + 8, dot.oseq);
    be32_put(key + 16, dot.tag);
    hub->renamed_count = 1;
    assert_ok(store_side_put(hub->store, SIDE_RENAMED, bytes_of(key, 20), bytes_of("cut", 3)));
    return dot_in_effect(hub, &dot);
}

static enum err recount_what_is_not_there(struct hub *hub, void *context)
{
    struct play *play = context;
    struct store_row row = row_of(hub, play->table, &play->party);
    const struct bucket *bucket = bucket_by_number(hub, row.bucket);
    uint64_t found, before;
    bool right;
    assert_ok(bucket_recount(hub, bucket, &before, &right));
    assert_true(right);
    row.position += 1000; /* the log says otherwise: it is not the record that was summed up */
    assert_ok(store_row_put(hub->store, play->table, &play->party, &row));
    assert_ok(bucket_recount(hub, bucket, &found, &right));
    assert_true(!right && found == before - 1);
    assert_ok(store_row_delete(hub->store, play->table, &play->party));
    return bucket_recount(hub, bucket, &found, &right);
}

static void values_that_are_none_are_damage(void **state)
{
    (void)state;
    struct play play;
    play_start(&play);
    assert_err(within(&play, arrive_from_a_cut_note), ERR_CORRUPT);
    assert_err(within(&play, lease_by_a_long_key), ERR_CORRUPT);
    assert_err(within(&play, lease_by_a_cut_note), ERR_CORRUPT);
    assert_err(within(&play, named_by_a_cut_note), ERR_CORRUPT);
    assert_err(within(&play, recount_what_is_not_there), ERR_CORRUPT);
    play_end(&play);
}

/* A record that the log names and that is gone ends a catch-up; nobody is sent half of one. */
static void a_catch_up_ends_at_a_hole(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 182, NULL);
    const struct model_table *table = model_table_by_name(s.pair.model, bytes_of_text("party"));
    struct uuid id = pair_insert(&s.pair, s.good, "party", "name", "Acme");
    struct store_row row;
    pair_sync(&s.pair, s.good);
    s.parties = 1;
    assert_ok(store_begin(s.pair.hub_store, STORE_WRITE));
    assert_ok(store_row_get(s.pair.hub_store, table, &id, &s.arena, &row));
    assert_ok(store_row_delete(s.pair.hub_store, table, &id));
    assert_ok(store_commit(s.pair.hub_store));
    scene_again(&s, true);
    hostile_subscribe(&s.h, NULL, 0, 1 << 20);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_CHECKPOINT], 0);
    assert_true(s.h.hung_up);
    assert_ok(store_begin(s.pair.hub_store, STORE_WRITE));
    assert_ok(store_row_put(s.pair.hub_store, table, &id, &row));
    assert_ok(store_commit(s.pair.hub_store));
    scene_again(&s, true);
    hostile_subscribe(&s.h, NULL, 0, 1 << 20);
    hostile_settle(&s.h);
    assert_true(s.h.received[MESSAGE_CHECKPOINT] > 0);
    scene_end(&s);
}

/* ---- people ---- */

static enum err audience_of(struct hub *hub, struct play *play, const char *column,
                            struct value value, struct audience *ret)
{
    struct store_row row = row_of(hub, users(hub), &play->user);
    struct value *values = arena_calloc(&hub->turn, users(hub)->column_count, sizeof *values);
    assert_non_null(values);
    memcpy(values, row.values, users(hub)->column_count * sizeof *values);
    values[model_column_by_name(users(hub), bytes_of_text(column))->index] = value;
    row.values = values;
    assert_ok(store_row_put(hub->store, users(hub), &play->user, &row));
    people_forget(hub); /* as the hub does where it writes one itself */
    *ret = (struct audience){0};
    return scope_audience(hub, &play->user, ret);
}

static enum err people_who_lack_things(struct hub *hub, void *context)
{
    struct play *play = context;
    const struct store_row whole = row_of(hub, users(hub), &play->user);
    struct audience audience;
    assert_ok(scope_audience(hub, &play->user, &audience));
    assert_int_equal(audience.count, 3); /* the company's, the branch's, the own */
    audience_done(&audience);
    assert_ok(
        audience_of(hub, play, "active", value_null(), &audience)); /* as before there was one */
    assert_int_equal(audience.count, 3);
    audience_done(&audience);
    assert_ok(audience_of(hub, play, "role", value_null(), &audience));
    assert_true(audience.role == ROLE_REP && !audience.all);
    audience_done(&audience);
    assert_ok(audience_of(hub, play, "branch", value_blob(bytes_of("cut", 3)), &audience));
    assert_int_equal(audience.count, 2);
    audience_done(&audience);
    struct store_row dead = whole;
    dead.dead = true;
    assert_ok(store_row_put(hub->store, users(hub), &play->user, &dead));
    people_forget(hub);
    assert_err(scope_audience(hub, &play->user, &audience), ERR_AUTH);
    return ERR_CLOSED;
}

static void people_who_lack_things_see_no_more(void **state)
{
    (void)state;
    struct play play;
    play_start(&play);
    assert_err(within(&play, people_who_lack_things), ERR_CLOSED);
    play_end(&play);
}

/* ---- many that wait ---- */

/* More groups wait for one than are looked at together; all are decided when it comes. */
static void many_wait_for_one(void **state)
{
    enum { MANY = 150 };
    (void)state;
    struct play play;
    char text[16];
    play_start(&play);
    struct pair *p = &play.p;
    struct store *backup = pair_copy_store(p, p->hub_store);
    struct uuid id = pair_insert(p, play.boss, "party", "name", "Lost");
    pair_sync(p, play.boss);
    pair_sync(p, play.rep);
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "%u", i);
        pair_set(p, play.rep, "party", id, i % 2 ? "fax" : "legal_name", text);
    }
    pair_put_hub_store(p, backup);
    pair_sync(p, play.rep);
    assert_int_equal(p->hub->waiting_count, MANY);
    pair_restart_hub(p);
    assert_int_equal(p->hub->waiting_count, MANY);
    pair_sync(p, play.boss);
    assert_int_equal(p->hub->waiting_count, 0);
    assert_string_equal(pair_cell(p, NULL, "party", id, "fax"), "149");
    assert_string_equal(pair_cell(p, NULL, "party", id, "legal_name"), "148");
    pair_sync_all(p);
    assert_int_equal(pair_status(play.rep).outbox_count, 0);
    play_end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_in_no_bucket_are_damage),
        cmocka_unit_test(values_that_are_none_are_damage),
        cmocka_unit_test(a_catch_up_ends_at_a_hole),
        cmocka_unit_test(people_who_lack_things_see_no_more),
        cmocka_unit_test(many_wait_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
