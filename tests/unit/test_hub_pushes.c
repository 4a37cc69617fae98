/* What no honest device would push or ask for: each is answered as decided, applied once, refused or
 * parked, and others go on (tests/lib/scene.h).
 *
 * ctest: timeout=900 */
#include "server/core/hub_internal.h"
#include "tests/lib/scene.h"

/* ---- what is pushed ---- */

static void a_group_pushed_twice_is_applied_once(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 1, NULL);
    struct uuid id = pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    pair_set(&s.pair, s.bad, "party", id, "loyalty_points", "7");
    pair_set(&s.pair, s.bad, "party", id, "loyalty_points", "12");
    const struct bytes *groups;
    hostile_open(&s.h);
    assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), 3);
    hostile_push(&s.h, 1, groups, 3);
    hostile_settle(&s.h);
    assert_int_equal(s.h.acked_upto, 3);
    assert_string_equal(pair_cell(&s.pair, NULL, "party", id, "loyalty_points"), "12");
    struct hub_stats before = scene_stats(&s);
    hostile_push(&s.h, 1, groups, 3);
    hostile_push(&s.h, 2, groups + 1, 1);
    hostile_settle(&s.h);
    struct hub_stats after = scene_stats(&s);
    assert_int_equal(s.h.received[MESSAGE_ACK], 3);
    assert_int_equal(s.h.acked_upto, 3);
    assert_int_equal(after.duplicates, before.duplicates + 4);
    assert_int_equal(after.rows_written, before.rows_written);
    assert_int_equal(after.groups_applied + after.groups_merged,
                     before.groups_applied + before.groups_merged);
    assert_string_equal(pair_cell(&s.pair, NULL, "party", id, "loyalty_points"), "12");
    /* the device itself, which knows nothing of this, offers them once more */
    s.parties = 1;
    pair_sync(&s.pair, s.bad);
    assert_string_equal(pair_cell(&s.pair, NULL, "party", id, "loyalty_points"), "12");
    pair_assert_equal(&s.pair, s.bad);
    hostile_read(&s.h); /* a newer session of a device has ended the older */
    assert_int_equal(s.h.failure, ERR_CLOSED);
    scene_end(&s);
}

/* A device that subscribes again has dropped what it was sent before: the results come once more. */
static void results_are_told_again_to_who_subscribes_again(void **state)
{
    (void)state;
    struct scene s;
    struct dot dot;
    scene_start(&s, 23, NULL);
    const struct model_table *party = model_table_by_name(s.pair.model, bytes_of_text("party"));
    const uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
    const struct value value = value_text(bytes_of_text("Apex"));
    struct uuid id = pair_insert(&s.pair, s.good, "party", "name", "Acme");
    pair_sync(&s.pair, s.good);
    assert_ok(replica_begin(s.bad->replica, s.pair.now_ms));
    assert_ok(replica_insert(s.bad->replica, party, &id, &name, &value, 1, NULL));
    assert_ok(replica_commit(s.bad->replica, &dot));
    const struct bytes *groups;
    hostile_open(&s.h);
    hostile_subscribe(&s.h, NULL, 0, 1 << 20);
    hostile_settle(&s.h);
    assert_int_equal(s.h.results, 0);
    assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), 1);
    hostile_push(&s.h, 1, groups, 1);
    hostile_settle(&s.h);
    assert_int_equal(s.h.results, 1); /* live */
    hostile_subscribe(&s.h, NULL, 0, 1 << 20);
    hostile_settle(&s.h);
    assert_int_equal(s.h.results, 2);
    hostile_subscribe(&s.h, NULL, 0, 1 << 20);
    hostile_settle(&s.h);
    assert_int_equal(s.h.results, 3);
    s.parties = 1;
    scene_end(&s);
}

static void another_group_under_a_number_in_use_is_a_fork(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 2, NULL);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    pair_insert(&s.pair, s.bad, "party", "name", "Bcme");
    const struct bytes *groups;
    hostile_open(&s.h);
    hostile_groups(&s.h, 1, &s.arena, &groups);
    hostile_push(&s.h, 1, groups, 1);
    hostile_settle(&s.h);
    hostile_push(&s.h, 1, groups + 1, 1); /* its dot says 2: not even readable as number 1 */
    hostile_settle(&s.h);
    assert_int_equal(s.h.fork_oseq, 1);
    hostile_push(&s.h, 2, groups + 1, 1); /* after that nothing more is taken in this session */
    hostile_settle(&s.h);
    assert_int_equal(s.h.acked_upto, 1);
    assert_int_equal(scene_stats(&s).forks, 1);
    s.parties = 1;
    scene_end(&s);
}

static void nobody_writes_under_another_devices_origin(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 3, NULL);
    scene_others_go_on(&s);
    struct replica_status theirs;
    replica_status(s.good->replica, &theirs);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    const struct bytes *groups;
    hostile_open(&s.h);
    hostile_groups(&s.h, 1, &s.arena, &groups);
    s.h.origin = theirs.origin;
    for (uint32_t i = 1; i <= 256; i++) { /* it is told to take another, so often and no more */
        hostile_push(&s.h, theirs.last_oseq + 1, groups, 1);
        hostile_settle(&s.h);
        assert_false(s.h.hung_up);
        assert_int_equal(s.h.received[MESSAGE_FORK], i);
        assert_int_equal(s.h.received[MESSAGE_ACK], 0);
    }
    hostile_push(&s.h, theirs.last_oseq + 1, groups, 1);
    hostile_expect(&s.h, ERR_PROTOCOL);
    hostile_end(&s.h);

    hostile_attach(&s.h, &s.pair, s.bad); /* the proof itself under the other's origin */
    s.h.origin = theirs.origin;
    uint8_t signature[64];
    hostile_hello(&s.h);
    const struct message proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof);
    hostile_expect(&s.h, ERR_CONFLICT);
    hostile_end(&s.h);

    pair_admin(&s.pair, "{\"do\":\"user-set\",\"login\":\"good\",\"role\":\"rep\"}");
    pair_insert(&s.pair, s.good, "product", "name", "Not a rep's to write");
    pair_sync(&s.pair, s.good);
    replica_status(s.good->replica, &theirs);
    hostile_attach(&s.h, &s.pair, s.bad); /* a discard of the other's group: it stays */
    hostile_open(&s.h);
    const struct message discard = {
        .type = MESSAGE_DISCARD, .as.discard = {.origin = theirs.origin, .oseq = theirs.last_oseq}};
    hostile_send(&s.h, &discard);
    hostile_settle(&s.h);
    assert_int_equal(s.pair.hub->parked_count, 1);
    scene_end(&s);
}

static void numbers_without_sense_end_the_session(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {0, 5000000, UINT64_MAX};
    struct scene s;
    scene_start(&s, 4, NULL);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        const struct bytes *groups;
        hostile_end(&s.h);
        hostile_attach(&s.h, &s.pair, s.bad);
        hostile_open(&s.h);
        hostile_groups(&s.h, 1, &s.arena, &groups);
        hostile_push(&s.h, firsts[i], groups, 1);
        hostile_expect(&s.h, ERR_PROTOCOL);
    }
    static const struct message_part parts[] = {
        {.oseq = 1, .part = 0, .parts = 1, .total = 3},
        {.oseq = 1, .part = 2, .parts = 2, .total = 3},
        {.oseq = 1, .part = 0, .parts = 257, .total = 3},
        {.oseq = 0, .part = 0, .parts = 2, .total = 3},
        {.oseq = 1, .part = 0, .parts = 2, .total = 1 << 30},
        {.oseq = 1, .part = 1, .parts = 2, .total = 3},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct message part = {.type = MESSAGE_PART, .as.part = parts[i]};
        hostile_end(&s.h);
        hostile_attach(&s.h, &s.pair, s.bad);
        hostile_open(&s.h);
        part.as.part.origin = s.h.origin;
        part.as.part.data = bytes_of("abc", 3);
        hostile_send(&s.h, &part);
        hostile_expect(&s.h, ERR_PROTOCOL); /* the last one: the parts before it never came */
    }
    scene_end(&s);
}

static int count_part(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)context;
    return 0;
}

static unsigned kept_parts(struct scene *s)
{
    unsigned count = 0;
    hostile_settle(&s->h);
    assert_ok(store_begin(s->pair.hub_store, STORE_READ));
    assert_ok(
        store_side_scan(s->pair.hub_store, SIDE_PART, BYTES(""), BYTES(""), count_part, &count));
    store_rollback(s->pair.hub_store);
    return count;
}

static void send_part(struct scene *s, uint64_t oseq, uint64_t part)
{
    const struct message message = {.type = MESSAGE_PART,
                                    .as.part = {.origin = s->h.origin,
                                                .oseq = oseq,
                                                .part = part,
                                                .parts = 4,
                                                .total = 12,
                                                .data = bytes_of("abc", 3)}};
    hostile_send(&s->h, &message);
}

static void parts_are_kept_of_one_large_group_at_a_time(void **state)
{
    (void)state;
    const uint64_t bad[][2] = {
        {40, 1}, {41, 3}, {5000000, 0}}; /* another's, past a gap, far ahead */
    struct scene s;
    scene_start(&s, 6, NULL);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hostile_end(&s.h);
        hostile_attach(&s.h, &s.pair, s.bad);
        hostile_open(&s.h);
        for (uint64_t oseq = 1; oseq <= 41; oseq++)
            send_part(&s, oseq, 0);
        assert_int_equal(kept_parts(&s), 1);
        send_part(&s, 41, 1);
        assert_int_equal(kept_parts(&s), 2);
        assert_int_equal(s.h.failure, ERR_OK);
        send_part(&s, bad[i][0], bad[i][1]);
        hostile_expect(&s.h, ERR_PROTOCOL);
    }
    scene_end(&s);
}

static void ten_thousand_tiny_pushes_are_taken(void **state)
{
    (void)state;
    const unsigned count = unit_rounds(10000);
    struct scene s;
    scene_start(&s, 5, NULL);
    struct uuid id = pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    char text[24];
    for (unsigned i = 1; i < count; i++) {
        snprintf(text, sizeof text, "%u", i);
        pair_set(&s.pair, s.bad, "party", id, "loyalty_points", i % 900 ? text : "0");
        if (i % 900 == 0) { /* as many pending changes of one record as a replica holds */
            pair_sync(&s.pair, s.bad);
            hostile_end(&s.h);
            hostile_attach(&s.h, &s.pair, s.bad);
        }
    }
    pair_sync(&s.pair, s.bad);
    hostile_end(&s.h);
    hostile_attach(&s.h, &s.pair, s.bad);
    hostile_open(&s.h);
    const uint64_t last = s.h.last_oseq;
    uint64_t duplicates = scene_stats(&s).duplicates;
    for (uint64_t oseq = 1; oseq <= last; oseq++) { /* each alone, again, a thousand in a turn */
        uint8_t key[16];
        struct bytes raw;
        key_origin(s.h.origin, oseq, key);
        arena_reset(&s.arena);
        assert_ok(store_begin(s.bad->store, STORE_READ));
        assert_ok(store_side_get(s.bad->store, SIDE_OUTBOX, bytes_of(key, 16), &s.arena, &raw));
        store_rollback(s.bad->store);
        hostile_push(&s.h, oseq, &raw, 1);
        if (oseq % 1000 == 0)
            hostile_turn(&s.h);
    }
    hostile_settle(&s.h);
    assert_int_equal(s.h.failure, ERR_OK);
    assert_int_equal(scene_stats(&s).duplicates - duplicates, last);
    assert_int_equal(s.h.received[MESSAGE_ACK], last);
    assert_true(last >= count);
    s.parties = 1;
    scene_end(&s);
}

static void a_wrong_run_signature_ends_the_session_and_is_audited(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 6, NULL);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    const struct bytes *groups;
    hostile_open(&s.h);
    hostile_groups(&s.h, 1, &s.arena, &groups);
    uint8_t signature[64];
    hostile_sign(&s.h, 1, groups, 1, signature);
    signature[5] ^= 1;
    const struct message push = {.type = MESSAGE_PUSH,
                                 .as.push = {.origin = s.h.origin,
                                             .first = 1,
                                             .groups = groups,
                                             .groups_count = 1,
                                             .signature = bytes_of(signature, 64)}};
    hostile_send(&s.h, &push);
    hostile_expect(&s.h, ERR_AUTH);
    assert_int_equal(scene_stats(&s).bad_signatures, 1);
    bool told = false;
    for (uint64_t n = 1; n <= s.pair.hub->audit_count; n++) {
        uint8_t key[8];
        struct bytes value;
        be64_put(key, n);
        assert_ok(store_begin(s.pair.hub_store, STORE_READ));
        assert_ok(store_side_get(s.pair.hub_store, SIDE_AUDIT, bytes_of(key, 8), &s.arena, &value));
        store_rollback(s.pair.hub_store);
        for (size_t i = 32; i + 13 <= value.size; i++)
            told |= memcmp(value.data + i, "bad signature", 13) == 0;
    }
    assert_true(told);
    pair_admin(&s.pair, "{\"do\":\"verify\"}");
    s.parties = 1; /* what was acknowledged stands */
    scene_end(&s);
}

/* A run of groups that all wait for another one is kept, and decided later: it is looked at as well. */
static void a_wrong_signature_of_a_run_that_waits_is_noticed(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 9, NULL);
    struct uuid id = pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    pair_set(&s.pair, s.bad, "party", id, "loyalty_points", "7");
    const struct bytes *groups;
    hostile_open(&s.h);
    hostile_groups(&s.h, 1, &s.arena, &groups);
    uint8_t signature[64];
    hostile_sign(&s.h, 2, groups + 1, 1, signature);
    signature[5] ^= 1;
    const struct message push = {.type = MESSAGE_PUSH,
                                 .as.push = {.origin = s.h.origin,
                                             .first = 2,
                                             .groups = groups + 1,
                                             .groups_count = 1,
                                             .signature = bytes_of(signature, 64)}};
    hostile_send(&s.h, &push);
    hostile_expect(&s.h, ERR_AUTH);
    assert_int_equal(s.pair.hub->waiting_count, 1);
    assert_int_equal(scene_stats(&s).bad_signatures, 1);
    scene_end(&s);
}

static void signatures_are_checked_while_others_keep_the_hub_busy(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 7, NULL);
    const struct bytes *groups;
    for (int i = 0; i < 900; i++)
        pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    hostile_open(&s.h);
    assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), 900);
    const struct message discard = {.type = MESSAGE_DISCARD,
                                    .as.discard = {.origin = s.h.origin, .oseq = 1u << 20}};
    uint32_t most = 0;
    for (uint32_t i = 0; i < 900; i++) {
        hostile_push(&s.h, i + 1, groups + i, 1);
        assert_ok(hub_turn(s.pair.hub, (struct hub_now){{s.pair.now_ms}, {s.pair.now_ms * 1000}}));
        hostile_send(&s.h, &discard); /* there is always a next message */
        uint32_t checks = 0;
        for (const struct run_check *c = s.pair.hub->checks; c; c = c->next)
            checks++;
        most = checks > most ? checks : most;
    }
    hostile_settle(&s.h);
    assert_int_equal(s.h.failure, ERR_OK);
    assert_true(most <= 300);
    s.parties = 900;
    scene_end(&s);
}

/* ---- scope ---- */

struct branch_search {
    struct scene *s;
    const char *name;
    struct uuid id;
};

static int find_branch(void *context, const struct uuid *id)
{
    struct branch_search *search = context;
    const struct model_table *table = model_table_by_id(search->s->pair.model, TABLE_BRANCH);
    struct store_row row;
    assert_ok(store_row_get(search->s->pair.hub_store, table, id, &search->s->arena, &row));
    const struct value *name =
        &row.values[model_column_by_name(table, bytes_of_text("name"))->index];
    if (bytes_equal(name->as.bytes, bytes_of_text(search->name)))
        search->id = *id;
    return 0;
}

static struct uuid branch_id(struct scene *s, const char *name)
{
    struct branch_search search = {.s = s, .name = name};
    assert_ok(store_begin(s->pair.hub_store, STORE_READ));
    assert_ok(store_row_scan(s->pair.hub_store, model_table_by_id(s->pair.model, TABLE_BRANCH),
                             NULL, find_branch, &search));
    store_rollback(s->pair.hub_store);
    assert_false(uuid_is_nil(&search.id));
    return search.id;
}

/* A customer that its branch alone sees. */
static struct uuid insert_routed(struct scene *s, struct pair_device *device, const char *branch)
{
    static const char *const names[] = {"name", "visibility", "branch"};
    const struct model_table *party = model_table_by_name(s->pair.model, bytes_of_text("party"));
    struct uuid id = {{0}}, at = branch_id(s, branch);
    struct value values[3] = {value_text(bytes_of_text("Routed")),
                              value_text(bytes_of_text("branch")),
                              value_blob(bytes_of(at.byte, 16))};
    uint16_t columns[3];
    struct err_info info = {0};
    struct dot dot;
    for (int k = 0; k < 3; k++)
        columns[k] = model_column_by_name(party, bytes_of_text(names[k]))->index;
    assert_ok(replica_begin(device->replica, s->pair.now_ms));
    assert_ok(replica_insert(device->replica, party, &id, columns, values, 3, &info));
    assert_ok(replica_commit(device->replica, &dot));
    return id;
}

/* A rep of the branch North, whose key the hostile peer has. */
static struct pair_device *two_branches(struct scene *s, uint64_t seed)
{
    scene_start(s, seed, NULL);
    pair_admin(&s->pair, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&s->pair, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    struct pair_device *rep = pair_enrol(&s->pair, "rita", "rep");
    pair_admin(&s->pair, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\"}");
    hostile_end(&s->h);
    pair_sync(&s->pair, rep);
    pair_sync(&s->pair, s->good);
    hostile_attach(&s->h, &s->pair, rep);
    return rep;
}

/* Everything that a rep is sent while headquarters gets records of North, and of South if `hidden`. */
static void rep_feed(bool hidden, bool forged, struct buf *feed)
{
    struct scene s;
    two_branches(&s, 8);
    struct bucket_position cursors[20];
    hostile_open(&s.h);
    for (uint32_t i = 0; i < 20; i++)
        cursors[i] = (struct bucket_position){i + 1, 0};
    hostile_subscribe(&s.h, cursors, forged ? 20 : 0, 4 << 20);
    hostile_settle(&s.h);
    for (int i = 0; i < 4; i++) { /* live */
        insert_routed(&s, s.good, "North");
        pair_sync(&s.pair, s.good);
        hostile_read(&s.h);
        if (hidden) {
            insert_routed(&s, s.good, "South");
            pair_sync(&s.pair, s.good);
            hostile_read(&s.h);
        }
    }
    assert_int_equal(s.h.failure, ERR_OK);
    assert_true(s.h.received[MESSAGE_CHECKPOINT] >= 5);
    feed->data = NULL;
    buf_init(feed, (size_t)64 << 20);
    assert_ok(buf_append(feed, s.h.feed.data, s.h.feed.size));
    s.parties = hidden ? 8 : 4;
    scene_end(&s);
}

static void a_forged_subscription_gives_nothing_more(void **state)
{
    (void)state;
    struct buf honest, forged;
    rep_feed(true, false, &honest);
    rep_feed(true, true, &forged);
    assert_true(bytes_equal(buf_view(&honest), buf_view(&forged)));
    buf_done(&honest);
    buf_done(&forged);
}

/* The ids of the North records are drawn from the same generator, so only sizes can be compared. */
static void what_a_rep_may_not_see_does_not_change_what_it_gets(void **state)
{
    (void)state;
    struct buf with, without;
    rep_feed(true, false, &with);
    rep_feed(false, false, &without);
    assert_int_equal(with.size, without.size);
    buf_done(&with);
    buf_done(&without);
}

static void a_write_outside_the_scope_is_parked_and_the_rest_arrives(void **state)
{
    (void)state;
    struct scene s;
    struct pair_device *rep = two_branches(&s, 9);
    struct uuid south = insert_routed(&s, s.good, "South");
    pair_sync(&s.pair, s.good);
    hostile_end(&s.h);
    /* the rep forges an insert into the other branch, between two that are right */
    struct uuid first = insert_routed(&s, rep, "North");
    struct uuid forged = insert_routed(&s, rep, "South");
    struct uuid last = insert_routed(&s, rep, "North");
    pair_sync(&s.pair, rep);
    struct replica_status status;
    replica_status(rep->replica, &status);
    assert_int_equal(status.parked_count, 1);
    assert_int_equal(status.outbox_count, 0);
    assert_string_equal(pair_cell(&s.pair, NULL, "party", first, "name"), "Routed");
    assert_string_equal(pair_cell(&s.pair, NULL, "party", last, "name"), "Routed");
    assert_string_equal(pair_cell(&s.pair, NULL, "party", forged, "name"), "-");
    assert_string_equal(pair_cell(&s.pair, rep, "party", south, "name"), "-");
    s.parties = 3;
    hostile_attach(&s.h, &s.pair, rep);
    scene_end(&s);
}

static void a_cursor_beyond_the_head_ends_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 10, NULL);
    hostile_open(&s.h);
    const struct bucket_position cursor = {1, UINT64_MAX};
    hostile_subscribe(&s.h, &cursor, 1, 1 << 20);
    hostile_expect(&s.h, ERR_PROTOCOL);
    scene_end(&s);
}

/* ---- work that fails each time ---- */

/* A group so large that headquarters cannot park it must not keep the others' from being decided. */
static void a_message_that_cannot_be_handled_does_not_stop_the_hub(void **state)
{
    (void)state;
    enum { PART = 512 << 10, PARTS = 128 };
    struct scene s;
    scene_start(&s, 23, NULL);
    hostile_open(&s.h);
    uint8_t *bytes = calloc(1, PART);
    assert_non_null(bytes);
    struct buf whole;
    buf_init(&whole, GROUP_BYTES_MAX);
    /* readable as a group of ours (its head is), refused by the decoder: parked with all its bytes */
    const struct group head = {
        .dot = {s.h.origin, 1, 77}, .stamp = hlc_make(s.pair.now_ms, 0), .model_version = 1};
    assert_ok(group_encode(&head, &whole));
    print_message("head of %zu bytes\n", whole.size);
    struct message part = {
        .type = MESSAGE_PART,
        .as.part = {.origin = s.h.origin, .oseq = 1, .parts = PARTS, .total = GROUP_BYTES_MAX}};
    memcpy(bytes, whole.data, whole.size);
    uint8_t signature[64] = {0};
    for (uint32_t i = 0; i < PARTS; i++) {
        part.as.part.part = i;
        part.as.part.data = bytes_of(bytes, PART);
        if (i + 1 == PARTS)
            part.as.part.signature = bytes_of(signature, 64);
        hostile_send(&s.h, &part);
        hostile_turn(&s.h);
        memset(bytes, 0, whole.size);
    }
    hostile_settle(&s.h);
    free(bytes);
    buf_done(&whole);
    assert_false(hub_has_work(s.pair.hub));
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_pushed_twice_is_applied_once),
        cmocka_unit_test(results_are_told_again_to_who_subscribes_again),
        cmocka_unit_test(another_group_under_a_number_in_use_is_a_fork),
        cmocka_unit_test(nobody_writes_under_another_devices_origin),
        cmocka_unit_test(numbers_without_sense_end_the_session),
        cmocka_unit_test(parts_are_kept_of_one_large_group_at_a_time),
        cmocka_unit_test(ten_thousand_tiny_pushes_are_taken),
        cmocka_unit_test(a_wrong_run_signature_ends_the_session_and_is_audited),
        cmocka_unit_test(a_wrong_signature_of_a_run_that_waits_is_noticed),
        cmocka_unit_test(signatures_are_checked_while_others_keep_the_hub_busy),
        cmocka_unit_test(a_forged_subscription_gives_nothing_more),
        cmocka_unit_test(what_a_rep_may_not_see_does_not_change_what_it_gets),
        cmocka_unit_test(a_write_outside_the_scope_is_parked_and_the_rest_arrives),
        cmocka_unit_test(a_cursor_beyond_the_head_ends_the_session),
        cmocka_unit_test(a_message_that_cannot_be_handled_does_not_stop_the_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
