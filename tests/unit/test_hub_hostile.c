/* What no honest device would do to headquarters, and the answer to each: the session ends with a
 * defined code, or goes on; what is held stays bounded; a well-behaved device still syncs after.
 *
 * ctest: timeout=300 */
#include "server/core/hub_internal.h"
#include "tests/lib/hostile.h"

#include <malloc.h>

/* One headquarters, a device that behaves and one whose key the hostile peer has. */
struct scene {
    struct pair pair;
    struct pair_device *good, *bad;
    struct hostile h;
    struct arena arena;
    uint32_t parties; /* that headquarters ought to have */
};

static void scene_start(struct scene *s, uint64_t seed, const struct hub_limits *limits)
{
    pair_init(&s->pair, NULL, seed);
    if (limits) {
        s->pair.config.limits = *limits;
        pair_restart_hub(&s->pair);
    }
    s->good = pair_enrol(&s->pair, "good", "admin");
    s->bad = pair_enrol(&s->pair, "bad", "admin");
    arena_init(&s->arena, 1 << 30);
    s->parties = 0;
    hostile_attach(&s->h, &s->pair, s->bad);
}

/* The hostile peer has had its answer: others go on. */
static void others_go_on(struct scene *s)
{
    pair_insert(&s->pair, s->good, "party", "name", "Another");
    pair_sync(&s->pair, s->good);
    assert_int_equal(pair_count(&s->pair, NULL, "party"), ++s->parties);
    pair_assert_equal(&s->pair, s->good);
}

static void scene_end(struct scene *s)
{
    others_go_on(s);
    hostile_end(&s->h);
    others_go_on(s);
    arena_done(&s->arena);
    pair_done(&s->pair);
}

static struct hub_stats stats_of(struct scene *s)
{
    struct hub_stats stats;
    hub_stats(s->pair.hub, &stats);
    return stats;
}

static void tick(struct scene *s, int64_t after_ms)
{
    s->pair.now_ms += after_ms;
    hub_tick(s->pair.hub, (struct hub_now){{s->pair.now_ms}, {s->pair.now_ms * 1000}});
}

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
    struct hub_stats before = stats_of(&s);
    hostile_push(&s.h, 1, groups, 3);
    hostile_push(&s.h, 2, groups + 1, 1);
    hostile_settle(&s.h);
    struct hub_stats after = stats_of(&s);
    assert_int_equal(s.h.received[MESSAGE_ACK], 3);
    assert_int_equal(s.h.acked_upto, 3);
    assert_int_equal(after.duplicates, before.duplicates + 4);
    assert_int_equal(after.rows_written, before.rows_written);
    assert_int_equal(after.groups_applied + after.groups_merged, before.groups_applied + before.groups_merged);
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
    assert_int_equal(stats_of(&s).forks, 1);
    s.parties = 1;
    scene_end(&s);
}

static void nobody_writes_under_another_devices_origin(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 3, NULL);
    others_go_on(&s);
    struct replica_status theirs;
    replica_status(s.good->replica, &theirs);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    const struct bytes *groups;
    hostile_open(&s.h);
    hostile_groups(&s.h, 1, &s.arena, &groups);
    s.h.origin = theirs.origin;
    hostile_push(&s.h, theirs.last_oseq + 1, groups, 1);
    hostile_expect(&s.h, ERR_PROTOCOL);
    hostile_end(&s.h);

    hostile_attach(&s.h, &s.pair, s.bad); /* the proof itself under the other's origin */
    s.h.origin = theirs.origin;
    uint8_t signature[64];
    hostile_hello(&s.h);
    const struct message proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof);
    hostile_expect(&s.h, ERR_AUTH);
    hostile_end(&s.h);

    hostile_attach(&s.h, &s.pair, s.bad); /* a discard of the other's group */
    hostile_open(&s.h);
    const struct message discard = {.type = MESSAGE_DISCARD,
                                    .as.discard = {.origin = theirs.origin, .oseq = 1}};
    hostile_send(&s.h, &discard);
    hostile_expect(&s.h, ERR_PROTOCOL);
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
        {.oseq = 1, .part = 0, .parts = 1, .total = 3},       {.oseq = 1, .part = 2, .parts = 2, .total = 3},
        {.oseq = 1, .part = 0, .parts = 257, .total = 3},     {.oseq = 0, .part = 0, .parts = 2, .total = 3},
        {.oseq = 1, .part = 0, .parts = 2, .total = 1 << 30}, {.oseq = 1, .part = 1, .parts = 2, .total = 3},
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

static void ten_thousand_tiny_pushes_are_taken(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct scene s;
    scene_start(&s, 5, NULL);
    struct uuid id = pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    char text[24];
    for (int i = 1; i < COUNT; i++) {
        snprintf(text, sizeof text, "%d", i);
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
    uint64_t duplicates = stats_of(&s).duplicates;
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
    assert_int_equal(stats_of(&s).duplicates - duplicates, last);
    assert_int_equal(s.h.received[MESSAGE_ACK], last);
    assert_true(last >= COUNT);
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
    assert_int_equal(stats_of(&s).bad_signatures, 1);
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
    const struct value *name = &row.values[model_column_by_name(table, bytes_of_text("name"))->index];
    if (bytes_equal(name->as.bytes, bytes_of_text(search->name)))
        search->id = *id;
    return 0;
}

static struct uuid branch_id(struct scene *s, const char *name)
{
    struct branch_search search = {.s = s, .name = name};
    assert_ok(store_begin(s->pair.hub_store, STORE_READ));
    assert_ok(store_row_scan(s->pair.hub_store, model_table_by_id(s->pair.model, TABLE_BRANCH), NULL,
                             find_branch, &search));
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
    struct value values[3] = {value_text(bytes_of_text("Routed")), value_text(bytes_of_text("branch")),
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

/* ---- frames ---- */

/* Attaches anew, authenticated or not. */
static void again(struct scene *s, bool open)
{
    hostile_end(&s->h);
    hostile_attach(&s->h, &s->pair, s->bad);
    if (open)
        hostile_open(&s->h);
}

static void frames_past_their_limit_end_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 11, NULL);
    uint8_t *frame = calloc(1, FRAME_MAX + 1);
    assert_non_null(frame);
    frame[0] = MESSAGE_HELLO;
    be32_put(frame + 2, FRAME_BEFORE_AUTH_MAX + 1 - FRAME_HEADER_SIZE);
    hostile_send_bytes(&s.h, bytes_of(frame, FRAME_BEFORE_AUTH_MAX + 1));
    hostile_expect(&s.h, ERR_TOO_LARGE);
    again(&s, true);
    frame[0] = MESSAGE_PUSH;
    be32_put(frame + 2, FRAME_MAX + 1 - FRAME_HEADER_SIZE);
    hostile_send_bytes(&s.h, bytes_of(frame, FRAME_MAX + 1));
    hostile_expect(&s.h, ERR_TOO_LARGE);
    again(&s, true);
    be32_put(frame + 2, UINT32_MAX); /* a size that is only claimed */
    hostile_send_bytes(&s.h, bytes_of(frame, 64));
    hostile_expect(&s.h, ERR_TOO_LARGE);
    again(&s, true);
    hostile_send_bytes(&s.h, bytes_of(frame, 0));
    hostile_expect(&s.h, ERR_MALFORMED);
    free(frame);
    again(&s, true);
    hub_violation(s.pair.hub, s.h.peer, ERR_PROTOCOL, (struct hub_now){{s.pair.now_ms}, {s.pair.now_ms * 1000}});
    hostile_expect(&s.h, ERR_PROTOCOL); /* a text frame, as the adapter tells of it */
    scene_end(&s);
}

static void a_decompression_bomb_is_refused_in_bounded_memory(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 12, NULL);
    struct buf zeros, bomb;
    buf_init(&zeros, FRAME_INFLATED_MAX);
    buf_init(&bomb, FRAME_MAX);
    uint8_t *zero = calloc(1, FRAME_INFLATED_MAX);
    assert_non_null(zero);
    assert_ok(buf_append(&zeros, zero, FRAME_INFLATED_MAX));
    free(zero);
    static const uint8_t header[] = {MESSAGE_PUSH, 1, 0, 0x80, 0, 0};
    hostile_open(&s.h);
    assert_ok(buf_append(&bomb, header, sizeof header));
    assert_ok(deflate_frame(s.h.deflater, buf_view(&zeros), &bomb));
    buf_done(&zeros);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 50; i++) {
        hostile_send_bytes(&s.h, buf_view(&bomb));
        hostile_expect(&s.h, ERR_TOO_LARGE);
        again(&s, true);
    }
    assert_true(mallinfo2().uordblks < before + (4 << 20));
    buf_done(&bomb);
    scene_end(&s);
}

static void unknown_and_servers_messages_end_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 13, NULL);
    for (unsigned type = 0; type < 256; type++) {
        for (int open = 0; open < 2; open++) {
            if (open && (type == MESSAGE_PING || type == MESSAGE_PONG))
                continue;
            again(&s, open);
            const uint8_t frame[] = {(uint8_t)type, 0, 0, 0, 0, 1, 0x90}; /* an empty array */
            hostile_send_bytes(&s.h, bytes_of(frame, sizeof frame));
            hostile_settle(&s.h);
            assert_true(s.h.hung_up);
            assert_true(s.h.failure == ERR_PROTOCOL || s.h.failure == ERR_MALFORMED);
        }
    }
    static const enum message_type servers[] = {MESSAGE_CHALLENGE, MESSAGE_ENROLLED, MESSAGE_WELCOME,
                                                MESSAGE_FAILURE,   MESSAGE_ACK,      MESSAGE_FORK,
                                                MESSAGE_PAGE,      MESSAGE_CHECKPOINT};
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        struct message message = {.type = servers[i]};
        again(&s, true);
        hostile_send(&s.h, &message); /* well-formed, from the wrong side */
        hostile_expect(&s.h, ERR_PROTOCOL);
    }
    scene_end(&s);
}

/* Every message that a client sends, cut after every byte, before or after authentication. */
static void every_truncation_is_malformed(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 14, NULL);
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    static const uint8_t raw[100] = {1};
    const struct bytes groups[] = {bytes_of(raw, 100), bytes_of(raw, 3)};
    const struct bucket_position cursors[] = {{1, 0}, {2, 0}};
    const struct bytes b16 = bytes_of(raw, 16), b32 = bytes_of(raw, 32), b64 = bytes_of(raw, 64);
    const struct message messages[] = {
        {.type = MESSAGE_HELLO, .as.hello = {1, 1, s.bad->identity.device, b32, bytes_of_text("x")}},
        {.type = MESSAGE_ENROL, .as.enrol = {b16, b32, bytes_of_text("name"), bytes_of_text("test")}},
        {.type = MESSAGE_PROVE, .as.prove = {b64, 5, 5, 5, 5, 5}},
        {.type = MESSAGE_PUSH, .as.push = {5, 1, groups, 2, b64}},
        {.type = MESSAGE_PART, .as.part = {5, 1, 0, 2, 6, b16, b64}},
        {.type = MESSAGE_SUBSCRIBE, .as.subscribe = {1, cursors, 2, 100, 0}},
        {.type = MESSAGE_CREDIT, .as.credit = {1000}},
        {.type = MESSAGE_PING, .as.ping = {1000}},
        {.type = MESSAGE_PONG, .as.pong = {1000}},
        {.type = MESSAGE_DISCARD, .as.discard = {1000, 1000}},
    };
    uint32_t cuts = 0;
    for (size_t m = 0; m < sizeof messages / sizeof *messages; m++) {
        bool before = message_before_auth(messages[m].type);
        struct buf whole;
        buf_init(&whole, FRAME_MAX);
        assert_ok(frame_encode(&messages[m], NULL, &s.h.payload, &whole));
        for (size_t size = 0; size < whole.size; size++) {
            again(&s, !before);
            /* as it was cut, and with a header that fits what is left */
            uint8_t copy[1024];
            assert_true(size <= sizeof copy);
            memcpy(copy, whole.data, size);
            if (size >= FRAME_HEADER_SIZE && cuts % 2)
                be32_put(copy + 2, (uint32_t)(size - FRAME_HEADER_SIZE));
            hostile_send_bytes(&s.h, bytes_of(copy, size));
            hostile_expect(&s.h, ERR_MALFORMED);
            cuts++;
        }
        buf_done(&whole);
    }
    print_message("%u truncations\n", cuts);
    scene_end(&s);
}

/* ---- order and proof ---- */

static void messages_out_of_order_end_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 15, NULL);
    const struct bytes *groups;
    uint8_t signature[64];
    pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    again(&s, false);
    hostile_groups(&s.h, 1, &s.arena, &groups);
    hostile_push(&s.h, 1, groups, 1); /* PUSH first of all */
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, false);
    hostile_hello(&s.h);
    hostile_push(&s.h, 1, groups, 1); /* PUSH before PROVE */
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, false);
    struct message proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof); /* PROVE before HELLO */
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, false);
    hostile_hello(&s.h);
    hostile_hello(&s.h); /* HELLO twice */
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, true);
    proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof); /* PROVE twice */
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, true);
    hostile_hello(&s.h); /* HELLO in an open session */
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, false);
    hostile_hello(&s.h);
    const struct message enrol = {.type = MESSAGE_ENROL,
                                  .as.enrol = {bytes_of(signature, 16), bytes_of(signature, 32),
                                               bytes_of_text("x"), bytes_of_text("x")}};
    hostile_send(&s.h, &enrol); /* a device that is enrolled already */
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, false);
    s.h.device = &(struct pair_device){.identity = {.device = {{0}}}};
    hostile_hello(&s.h);
    hostile_send(&s.h, &enrol); /* a code that nobody was given */
    hostile_expect(&s.h, ERR_ENROLMENT);
    scene_end(&s);
}

static void nobody_gets_in_with_a_false_proof(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 16, NULL);
    uint8_t signature[64];
    for (size_t i = 0; i < 64; i += 7) {
        again(&s, false);
        hostile_hello(&s.h);
        struct message proof = hostile_proof(&s.h, signature);
        signature[i] ^= 0x10;
        hostile_send(&s.h, &proof);
        hostile_expect(&s.h, ERR_AUTH);
    }
    again(&s, false); /* the proof of an earlier session, word for word */
    hostile_hello(&s.h);
    struct message proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_WELCOME], 1);
    again(&s, false);
    hostile_hello(&s.h);
    hostile_send(&s.h, &proof);
    hostile_expect(&s.h, ERR_AUTH);
    again(&s, false); /* another origin than the one that was signed for */
    hostile_hello(&s.h);
    proof = hostile_proof(&s.h, signature);
    proof.as.prove.origin++;
    hostile_send(&s.h, &proof);
    hostile_expect(&s.h, ERR_AUTH);
    char request[100], id[UUID_TEXT_SIZE];
    uuid_format(&s.bad->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    again(&s, true);
    pair_admin(&s.pair, request); /* the live session ends, and no other is let in */
    hostile_expect(&s.h, ERR_REVOKED);
    again(&s, false);
    hostile_hello(&s.h);
    proof = hostile_proof(&s.h, signature);
    hostile_send(&s.h, &proof);
    hostile_expect(&s.h, ERR_REVOKED);
    scene_end(&s);
}

/* ---- silence ---- */

static void a_silent_peer_is_closed_in_time(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 17, NULL);
    tick(&s, 4990);
    hostile_settle(&s.h);
    assert_false(s.h.hung_up);
    tick(&s, 20);
    hostile_expect(&s.h, ERR_TIMEOUT); /* nothing at all within 5 s */
    again(&s, false);
    hostile_hello(&s.h);
    tick(&s, 5010);
    hostile_expect(&s.h, ERR_TIMEOUT); /* greeted, and no proof */
    again(&s, true);
    tick(&s, 29000);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PING], 0);
    tick(&s, 1010);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PING], 1);
    const struct message pong = {.type = MESSAGE_PONG, .as.pong = {.token = 1}};
    hostile_send(&s.h, &pong);
    tick(&s, 30010);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PING], 2); /* it was heard: another 30 s */
    tick(&s, 14000);
    hostile_settle(&s.h);
    assert_false(s.h.hung_up);
    tick(&s, 1010);
    hostile_expect(&s.h, ERR_TIMEOUT);
    scene_end(&s);
}

/* ---- queues ---- */

static void a_peer_that_never_reads_falls_back_and_stays_bounded(void **state)
{
    (void)state;
    const struct hub_limits limits = {.live_queue_bytes = 64 << 10, .page_bytes = 8 << 10};
    struct scene s;
    scene_start(&s, 18, &limits);
    hostile_open(&s.h);
    hostile_subscribe(&s.h, NULL, 0, 4 << 20);
    hostile_settle(&s.h);
    assert_int_equal(stats_of(&s).peers_live, 1);
    struct uuid id = pair_insert(&s.pair, s.good, "party", "name", "Acme");
    char text[2001] = {0};
    pair_connect(&s.pair, s.good, false);
    size_t most = 0;
    for (int i = 0; i < 400; i++) {
        struct uplink_effects effects;
        memset(text, 'a' + i % 20, sizeof text - 1);
        for (size_t k = 0; k + 1 < sizeof text; k += 3) /* not to be deflated away */
            text[k] = (char)('a' + seeded_below(&s.pair.seeded, 26));
        pair_set(&s.pair, s.good, "party", id, "bank_details", text);
        uplink_local_change(s.good->uplink, (struct now){{s.pair.now_ms}, {s.pair.now_ms * 1000}}, &effects);
        pair_run(&s.pair);
        most = s.h.peer->out_bytes > most ? s.h.peer->out_bytes : most;
    }
    assert_true(stats_of(&s).fallbacks >= 1);
    assert_true(most > (32 << 10) && most < (96 << 10));
    assert_string_equal(pair_cell(&s.pair, NULL, "party", id, "bank_details"), text);
    /* when it reads again it is brought to the head, and is live */
    hostile_settle(&s.h);
    assert_int_equal(s.h.failure, ERR_OK);
    assert_int_equal(stats_of(&s).peers_live, 2);
    pair_cut(&s.pair, s.good);
    s.parties = 1;
    scene_end(&s);
}

static void answers_to_a_peer_that_does_not_read_them_are_bounded(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 19, NULL);
    hostile_open(&s.h);
    const struct message ping = {.type = MESSAGE_PING, .as.ping = {.token = UINT64_MAX}};
    uint32_t sent = 0;
    while (!s.h.hung_up && sent < 4000000) {
        for (int i = 0; i < 1000; i++)
            hostile_send(&s.h, &ping);
        sent += 1000;
        hostile_turn(&s.h);
        assert_true(s.h.peer->out_bytes < (8 << 20));
    }
    assert_true(s.h.hung_up);
    hostile_expect(&s.h, ERR_LIMIT);
    print_message("closed after %u pings\n", sent);
    scene_end(&s);
}

static void credit_is_bounded(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 20, NULL);
    struct message credit = {.type = MESSAGE_CREDIT, .as.credit = {.bytes = UINT64_MAX}};
    hostile_open(&s.h);
    hostile_send(&s.h, &credit);
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, true);
    hostile_subscribe(&s.h, NULL, 0, UINT64_MAX);
    hostile_expect(&s.h, ERR_PROTOCOL);
    again(&s, true);
    credit.as.credit.bytes = (uint64_t)64 << 20;
    for (int i = 0; i < 1000; i++)
        hostile_send(&s.h, &credit); /* never more than one such */
    assert_int_equal(s.h.peer->page_credit, 64 << 20);
    assert_int_equal(s.h.failure, ERR_OK);
    for (int i = 0; i < 200; i++)
        pair_insert(&s.pair, s.good, "party", "name", "A rather long name of a customer, repeated");
    pair_sync(&s.pair, s.good);
    s.parties = 200;
    hostile_subscribe(&s.h, NULL, 0, 0); /* no credit, no pages */
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PAGE], 0);
    credit.as.credit.bytes = 1;
    hostile_send(&s.h, &credit);
    hostile_settle(&s.h);
    assert_int_equal(s.h.received[MESSAGE_PAGE], 1); /* one page may overdraw it */
    scene_end(&s);
}

static void a_flood_beyond_the_push_credit_ends_the_session(void **state)
{
    (void)state;
    struct scene s;
    scene_start(&s, 21, NULL);
    hostile_open(&s.h);
    static uint8_t junk[512 << 10];
    const struct bytes groups[] = {bytes_of(junk, 60000), bytes_of(junk, 60000), bytes_of(junk, 60000),
                                   bytes_of(junk, 60000), bytes_of(junk, 60000), bytes_of(junk, 60000)};
    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (uint8_t)seeded_below(&s.pair.seeded, 256);
    uint32_t sent = 0;
    for (; s.h.peer->session.state == PEER_OPEN && sent < 1000; sent++) {
        hostile_push(&s.h, 1 + sent * 6, groups, 6);
        assert_true(s.pair.hub->intent_bytes < (14 << 20));
    }
    assert_true(sent < 100);
    hostile_expect(&s.h, ERR_LIMIT);
    scene_end(&s);
}

static void more_peers_than_allowed_are_not_attached(void **state)
{
    (void)state;
    const struct hub_limits limits = {.peers_max = 50};
    struct scene s;
    scene_start(&s, 22, &limits);
    struct peer *peers[60];
    uint32_t count = 0;
    const struct hub_now now = {{s.pair.now_ms}, {s.pair.now_ms * 1000}};
    while (count < 60 && hub_attach(s.pair.hub, &s.h, now, &peers[count]) == ERR_OK)
        count++;
    assert_int_equal(count, 49); /* and the one of the scene */
    assert_err(hub_attach(s.pair.hub, &s.h, now, &peers[count]), ERR_LIMIT);
    while (count)
        hub_detach(s.pair.hub, peers[--count], now);
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
    const struct group head = {.dot = {s.h.origin, 1, 77}, .stamp = hlc_make(s.pair.now_ms, 0), .model_version = 1};
    assert_ok(group_encode(&head, &whole));
    print_message("head of %zu bytes\n", whole.size);
    struct message part = {.type = MESSAGE_PART,
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
        cmocka_unit_test(another_group_under_a_number_in_use_is_a_fork),
        cmocka_unit_test(nobody_writes_under_another_devices_origin),
        cmocka_unit_test(numbers_without_sense_end_the_session),
        cmocka_unit_test(ten_thousand_tiny_pushes_are_taken),
        cmocka_unit_test(a_wrong_run_signature_ends_the_session_and_is_audited),
        cmocka_unit_test(signatures_are_checked_while_others_keep_the_hub_busy),
        cmocka_unit_test(a_forged_subscription_gives_nothing_more),
        cmocka_unit_test(what_a_rep_may_not_see_does_not_change_what_it_gets),
        cmocka_unit_test(a_write_outside_the_scope_is_parked_and_the_rest_arrives),
        cmocka_unit_test(a_cursor_beyond_the_head_ends_the_session),
        cmocka_unit_test(frames_past_their_limit_end_the_session),
        cmocka_unit_test(a_decompression_bomb_is_refused_in_bounded_memory),
        cmocka_unit_test(unknown_and_servers_messages_end_the_session),
        cmocka_unit_test(every_truncation_is_malformed),
        cmocka_unit_test(messages_out_of_order_end_the_session),
        cmocka_unit_test(nobody_gets_in_with_a_false_proof),
        cmocka_unit_test(a_silent_peer_is_closed_in_time),
        cmocka_unit_test(a_peer_that_never_reads_falls_back_and_stays_bounded),
        cmocka_unit_test(answers_to_a_peer_that_does_not_read_them_are_bounded),
        cmocka_unit_test(credit_is_bounded),
        cmocka_unit_test(a_flood_beyond_the_push_credit_ends_the_session),
        cmocka_unit_test(more_peers_than_allowed_are_not_attached),
        cmocka_unit_test(a_message_that_cannot_be_handled_does_not_stop_the_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
