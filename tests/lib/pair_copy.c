#include "tests/lib/pair_copy.h"

#include "common/store_mem/store_mem.h"

struct copying {
    struct store *from, *to;
    const struct model_table *table;
    enum store_side side;
    struct uuid *ids;
    uint32_t count, capacity;
};

static int copy_side(void *context, struct bytes key, struct bytes value)
{
    struct copying *c = context;
    assert_ok(store_side_put(c->to, c->side, key, value));
    return 0;
}

static int collect_id(void *context, const struct uuid *id)
{
    struct copying *c = context;
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 64;
        c->ids = realloc(c->ids, c->capacity * sizeof *c->ids);
        assert_non_null(c->ids);
    }
    c->ids[c->count++] = *id;
    return 0;
}

struct log_copying {
    struct store *to;
    uint32_t bucket;
};

static int copy_log(void *context, uint64_t position, const struct model_table *table,
                    const struct uuid *id)
{
    struct log_copying *c = context;
    assert_ok(store_log_put(c->to, c->bucket, position, table, id));
    return 0;
}

/* Rows that are dead are found through the log and through their parents only: stories here that copy
 * a store delete nothing before. */
struct store *pair_copy_store(struct pair *p, struct store *from)
{
    struct store *to;
    struct arena arena;
    assert_ok(store_mem_open(p->model, &to));
    assert_ok(store_begin(from, STORE_READ));
    assert_ok(store_begin(to, STORE_WRITE));
    for (int side = 0; side < SIDE_COUNT; side++) {
        struct copying c = {.from = from, .to = to, .side = (enum store_side)side};
        assert_ok(
            store_side_scan(from, c.side, bytes_of(NULL, 0), bytes_of(NULL, 0), copy_side, &c));
    }
    arena_init(&arena, 1 << 30);
    for (uint16_t t = 0; t < p->model->table_count; t++) {
        struct copying c = {.from = from, .to = to, .table = &p->model->tables[t]};
        assert_ok(store_row_scan(from, c.table, NULL, collect_id, &c));
        for (uint32_t i = 0; i < c.count; i++) {
            struct store_row row;
            arena_reset(&arena);
            assert_ok(store_row_get(from, c.table, &c.ids[i], &arena, &row));
            assert_ok(store_row_put(to, c.table, &c.ids[i], &row));
            if (store_base_get(from, c.table, &c.ids[i], &arena, &row) == ERR_OK)
                assert_ok(store_base_put(to, c.table, &c.ids[i], &row));
        }
        free(c.ids);
    }
    for (uint32_t bucket = 1; bucket < 64; bucket++) {
        struct log_copying c = {to, bucket};
        assert_ok(store_log_scan(from, bucket, 0, copy_log, &c));
    }
    arena_done(&arena);
    assert_ok(store_commit(to));
    store_rollback(from);
    return to;
}

static void open_replica(struct pair *p, struct pair_device *device)
{
    struct err_info info;
    const struct replica_config config = {
        .model = p->model, .store = device->store, .crypto = p->crypto, .rng = &p->rng};
    assert_ok(replica_open(&config, &device->replica, &info));
}

/* The device's process dies; its store is this one from now on. */
void pair_put_store(struct pair *p, struct pair_device *device, struct store *store)
{
    pair_cut(p, device);
    uplink_free(device->uplink);
    device->uplink = NULL;
    replica_close(device->replica);
    store_close(device->store);
    device->store = store;
    open_replica(p, device);
}

/* A second device that is a copy of the first: same key, same origin, same pending groups. */
struct pair_device *pair_clone_device(struct pair *p, struct pair_device *device)
{
    struct pair_device *other = &p->devices[p->device_count++];
    *other = (struct pair_device){.identity = device->identity};
    other->store = pair_copy_store(p, device->store);
    open_replica(p, other);
    return other;
}

void pair_put_hub_store(struct pair *p, struct store *store)
{
    struct err_info info;
    for (uint32_t i = 0; i < p->device_count; i++)
        pair_cut(p, &p->devices[i]);
    hub_close(p->hub);
    store_close(p->hub_store);
    p->hub_store = p->config.store = store;
    assert_ok(
        hub_open(&p->config, (struct hub_now){{p->now_ms}, {p->now_ms * 1000}}, &p->hub, &info));
}
