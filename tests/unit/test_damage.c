/* What the side tables hold, damaged in each way, one entry after the other: a start says CORRUPT or passes it over, and
 * does not crash; with the damage undone all is as it was. And first starts in which each place fails once.
 *
 * ctest: arena valgrind=no */
#include "client/core/replica_relay.h"
#include "common/store_mem/store_mem.h"
#include "server/core/hub_internal.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/failing_place.h"
#include "tests/lib/scene.h"
#include "tests/lib/unfailing.h"

enum { KEY_MAX = 64, CUTS_MAX = 48 };

struct entry {
    enum store_side side;
    uint8_t key[KEY_MAX + 1], *value;
    size_t key_size, value_size;
};

struct entries {
    enum store_side side;
    struct entry *list;
    uint32_t count, capacity;
};

static int take_entry(void *context, struct bytes key, struct bytes value)
{
    struct entries *all = context;
    if (key.size > KEY_MAX)
        return 0;
    if (all->count == all->capacity) {
        all->capacity = all->capacity ? 2 * all->capacity : 64;
        all->list = realloc(all->list, all->capacity * sizeof *all->list);
        assert_non_null(all->list);
    }
    struct entry *entry = &all->list[all->count++];
    *entry = (struct entry){.side = all->side, .key_size = key.size, .value_size = value.size};
    memcpy(entry->key, key.data, key.size);
    entry->value = calloc(1, value.size + 1);
    assert_non_null(entry->value);
    if (value.size)
        memcpy(entry->value, value.data, value.size);
    return 0;
}

static struct entries entries_of(struct store *store)
{
    struct entries all = {0};
    assert_ok(store_begin(store, STORE_READ));
    for (int side = 0; side < SIDE_COUNT; side++) {
        all.side = (enum store_side)side;
        assert_ok(store_side_scan(store, all.side, bytes_of(NULL, 0), bytes_of(NULL, 0), take_entry,
                                  &all));
    }
    store_rollback(store);
    return all;
}

static void put(struct store *store, const struct entry *entry, size_t key_size, size_t value_size)
{
    assert_ok(store_begin(store, STORE_WRITE));
    assert_ok(store_side_put(store, entry->side, bytes_of(entry->key, key_size),
                             bytes_of(entry->value, value_size)));
    assert_ok(store_commit(store));
}

static void take_away(struct store *store, const struct entry *entry, size_t key_size)
{
    assert_ok(store_begin(store, STORE_WRITE));
    assert_ok(store_side_delete(store, entry->side, bytes_of(entry->key, key_size)));
    assert_ok(store_commit(store));
}

typedef enum err start_fn(struct pair *p);

/* Each entry cut after each byte, a byte longer, with another key, and missing; returns how often it was noticed. */
static uint32_t each_damage(struct pair *p, struct store *store, start_fn *start)
{
    struct entries all = entries_of(store);
    uint32_t noticed = 0, tries = 0;
    for (uint32_t i = 0; i < all.count; i++) {
        const struct entry *entry = &all.list[i];
        size_t size = entry->value_size, most = size < CUTS_MAX ? size : CUTS_MAX;
        for (size_t cut = 0; cut <= most; cut++) { /* the last one: longer */
            put(store, entry, entry->key_size, cut < most ? cut : size + 1);
            enum err e = start(p);
            assert_true(e == ERR_OK || e == ERR_CORRUPT);
            noticed += e == ERR_CORRUPT;
            tries++;
        }
        for (int key = -1; key <= 1; key++) {
            take_away(store, entry, entry->key_size);
            if (key)
                put(store, entry, (size_t)((int)entry->key_size + key), size);
            enum err e = start(p);
            assert_true(e == ERR_OK || e == ERR_CORRUPT || e == ERR_NOT_FOUND);
            noticed += e != ERR_OK;
            tries++;
            if (key)
                take_away(store, entry, (size_t)((int)entry->key_size + key));
            put(store, entry, entry->key_size, size);
        }
        assert_ok(start(p));
        free(entry->value);
    }
    free(all.list);
    print_message("%u entries, %u damages, %u noticed by a start\n", all.count, tries, noticed);
    return noticed;
}

/* ---- headquarters ---- */

static enum err start_hub(struct pair *p)
{
    struct hub *hub = NULL;
    struct err_info info = {0};
    const struct hub_now now = {{p->now_ms}, {p->now_ms * 1000}};
    struct hub_config config = p->config;
    config.inspect = true; /* only looks */
    enum err e = hub_open(&config, now, &hub, &info);
    if (e != ERR_OK) {
        assert_null(hub);
        assert_int_equal(info.code, e);
        return e;
    }
    static const char *const reads[] = {"{\"do\":\"status\"}", "{\"do\":\"devices\"}",
                                        "{\"do\":\"marks\"}", "{\"do\":\"user-list\"}"};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        struct buf answer;
        buf_init(&answer, 1 << 20);
        assert_ok(hub_admin(hub, bytes_of_text(reads[i]), now, &answer));
        assert_ok(buf_append(&answer, "", 1));
        if (!strstr((const char *)answer.data, "\"ok\":true"))
            e = ERR_CORRUPT;
        buf_done(&answer);
    }
    hub_close(hub);
    return e;
}

static void headquarters_says_what_is_damaged(void **state)
{
    (void)state;
    struct scene s;
    const struct bytes *groups;
    scene_start(&s, 121, NULL);
    for (int i = 0; i < 5; i++)
        pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    hostile_open(&s.h); /* a mark with a hole */
    assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), 5);
    hostile_push(&s.h, 1, groups, 1);
    hostile_push(&s.h, 3, groups + 2, 1);
    hostile_push(&s.h, 5, groups + 4, 1);
    hostile_settle(&s.h);
    s.parties = 3;
    assert_true(each_damage(&s.pair, s.pair.hub_store, start_hub) > 100);
    scene_end(&s);
}

/* ---- a device ---- */

static enum err start_replica(struct pair *p)
{
    struct replica *replica = NULL;
    struct err_info info = {0};
    const struct replica_config config = {
        .model = p->model, .store = p->devices[0].store, .crypto = p->crypto, .rng = &p->rng};
    struct store *store = p->devices[0].store;
    assert_ok(store_begin(store, STORE_READ)); /* without its state it would be a new one */
    struct bytes value;
    struct arena arena;
    arena_init(&arena, 1 << 16);
    enum err e = store_side_get(store, SIDE_META, bytes_of_text("state"), &arena, &value);
    store_rollback(store);
    arena_done(&arena);
    if (e != ERR_OK)
        return e;
    e = replica_open(&config, &replica, &info);
    if (e == ERR_OK)
        replica_close(replica);
    else
        assert_int_equal(info.code, e);
    return e;
}

static void a_device_says_what_is_damaged(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device;
    pair_init(&p, NULL, 122);
    device = pair_enrol(&p, "rita", "rep");
    pair_insert(&p, device, "product", "name", "Not hers");
    pair_sync(&p, device);
    struct uuid id = pair_insert(&p, device, "party", "name", "Acme");
    pair_set(&p, device, "party", id, "notes", "typed");
    /* a mark with holes */
    struct replica_status before, after;
    replica_status(device->replica, &before);
    uint8_t key[8], mark[] = {1, 2, 3, 4, 6, 7};
    be64_put(key, before.origin);
    assert_ok(store_begin(device->store, STORE_WRITE));
    assert_ok(
        store_side_put(device->store, SIDE_MARK, bytes_of(key, 8), bytes_of(mark, sizeof mark)));
    assert_ok(store_commit(device->store));
    assert_true(each_damage(&p, device->store, start_replica) > 100);
    mark[1] = 0;
    assert_ok(store_begin(device->store, STORE_WRITE));
    assert_ok(store_side_put(device->store, SIDE_MARK, bytes_of(key, 8), bytes_of(mark, 2)));
    assert_ok(store_commit(device->store));
    pair_restart_device(&p, device);
    replica_status(device->replica, &after);
    assert_int_equal(after.outbox_count, before.outbox_count);
    assert_int_equal(after.parked_count, before.parked_count);
    pair_sync(&p, device);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "notes"), "typed");
    pair_assert_equal(&p, device);
    pair_done(&p);
}

/* ---- a branch ---- */

static struct pair_branch *kazan;

static enum err start_branch(struct pair *p)
{
    struct store *store = kazan->link->store;
    struct replica *replica = NULL;
    struct hub *hub = NULL;
    struct err_info info = {0};
    struct arena arena;
    struct bytes value;
    struct relay_run run = {0};
    const struct bytes *groups;
    const struct group_result *results;
    struct message_follow follow;
    uint32_t count;
    const struct hub_now now = {{p->now_ms}, {p->now_ms * 1000}};
    const struct replica_config config = {
        .model = p->model, .store = store, .crypto = p->crypto, .rng = &p->rng, .branch = true};
    arena_init(&arena, 1 << 24);
    assert_ok(store_begin(store, STORE_READ));
    enum err e = store_side_get(store, SIDE_META, bytes_of_text("state"), &arena, &value);
    store_rollback(store);
    if (e == ERR_OK)
        e = replica_open(&config, &replica, &info);
    struct hub_config served = {
        .model = p->model, .store = store, .crypto = p->crypto, .rng = &p->rng, .replica = replica};
    if (e == ERR_OK)
        e = hub_open(&served, now, &hub, &info);
    if (e == ERR_OK)
        e = replica_follow(replica, 0, &arena, &follow);
    for (bool more = true; e == ERR_OK && more; more = run.kind != RUN_NONE)
        e = replica_run(replica, run.number + 1, &arena, &run, &groups);
    for (uint32_t i = 0; e == ERR_OK && i < follow.origins_count; i++) {
        assert_ok(store_begin(store, STORE_READ));
        e = relay_results_from(store, follow.origins[i].origin, 0, &arena, &results, &count);
        store_rollback(store);
    }
    hub_close(hub);
    replica_close(replica);
    arena_done(&arena);
    return e;
}

/* Runs that wait, one that is decided, results, a discard that is on its way. */
static void a_branch_says_what_is_damaged(void **state)
{
    struct pair p;
    struct err_info info;
    (void)state;
    pair_init(&p, NULL, 124);
    kazan = pair_branch_new(&p, "Kazan", NULL);
    struct pair_device *anna = pair_enrol_at(&p, "anna", "Kazan", kazan);
    pair_go_live(&p, anna);
    (void)pair_insert(&p, anna, "product", "name", "Not hers");
    struct uuid id = pair_insert(&p, anna, "party", "name", "Acme");
    pair_say(&p, anna);
    pair_cut(&p, kazan->link);
    pair_set(&p, anna, "party", id, "notes", "typed");
    assert_ok(replica_parked_discard(anna->replica, 1, &info));
    pair_say(&p, anna);
    pair_cut(&p, anna);
    pair_close_branch(kazan);
    uplink_free(kazan->link->uplink);
    kazan->link->uplink = NULL;
    replica_close(kazan->link->replica);
    kazan->link->replica = NULL;
    assert_true(each_damage(&p, kazan->link->store, start_branch) > 100);
    assert_ok(pair_try_open_device(&p, kazan->link));
    assert_ok(pair_try_serve(&p, kazan));
    pair_go_live(&p, kazan->link);
    pair_go_live(&p, anna);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "notes"), "typed");
    assert_int_equal(pair_status(anna).parked_count, 0);
    pair_assert_equal(&p, anna);
    pair_done(&p);
}

/* ---- first starts ---- */

static void a_first_start_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    static const enum place_kind kinds[] = {PLACE_ERRORS, PLACE_DAMAGE};
    struct pair p;
    pair_init(&p, NULL, 123);
    const struct hub_now now = {{p.now_ms}, {p.now_ms * 1000}};
    uint32_t refused = 0;
    for (size_t kind = 0; kind < 2 && failing_alloc_works(); kind++)
        for (bool met = true; met;) {
            struct err_info info = {0};
            struct hub_config config = p.config;
            struct store *store;
            struct hub *hub = NULL;
            assert_ok(store_mem_open(p.model, &store));
            config.store = store;
            failing_place_start(kinds[kind]);
            enum err e = hub_create(&config, now, &info);
            met = failing_place_stop();
            if (e != ERR_OK) {
                assert_true(met);
                assert_int_equal(info.code, e);
                refused++;
                assert_ok(hub_create(&config, now, &info)); /* nothing was there */
            }
            assert_err(hub_create(&config, now, &info), ERR_EXISTS);
            assert_ok(hub_open(&config, now, &hub, &info));
            hub_close(hub);
            store_close(store);
        }
    print_message("headquarters: %u refused\n", refused);
    refused = 0;
    for (bool met = failing_alloc_works(); met;) {
        struct err_info info = {0};
        struct store *store;
        struct replica *replica = NULL;
        assert_ok(store_mem_open(p.model, &store));
        const struct replica_config config = {
            .model = p.model, .store = store, .crypto = p.crypto, .rng = &p.rng};
        failing_place_start(PLACE_ERRORS);
        enum err e = replica_open(&config, &replica, &info);
        met = failing_place_stop();
        if (e != ERR_OK) {
            assert_null(replica);
            refused++;
            assert_ok(replica_open(&config, &replica, &info));
        }
        replica_close(replica);
        store_close(store);
    }
    print_message("replica: %u refused\n", refused);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headquarters_says_what_is_damaged),
        cmocka_unit_test(a_device_says_what_is_damaged),
        cmocka_unit_test(a_branch_says_what_is_damaged),
        cmocka_unit_test(a_first_start_is_made_whole_or_not_at_all),
    };
    unfailing_libraries();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
