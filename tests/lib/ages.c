#include "tests/lib/ages.h"

static void serve(struct pair *p, struct hub *hub)
{
    const struct hub_now now = {{p->now_ms}, {p->now_ms * 1000}};
    if (!hub)
        return;
    hub_tick(hub, now);
    for (int turns = 0; hub_has_work(hub); turns++) {
        assert_ok(hub_turn(hub, now));
        assert_true(turns < 100000);
    }
}

void ages_pass(struct pair *p, int days)
{
    for (int day = 0; day < days; day++) {
        p->now_ms += DAY_MS;
        serve(p, p->hub);
        for (uint32_t i = 0; i < p->branch_count; i++)
            serve(p, p->branches[i].hub);
    }
}

static int count_id(void *context, const struct uuid *id)
{
    (void)id;
    ++*(uint64_t *)context;
    return 0;
}

static int count_log(void *context, uint64_t position, const struct model_table *table,
                     const struct uuid *id)
{
    (void)position;
    (void)table;
    (void)id;
    ++*(uint64_t *)context;
    return 0;
}

static int count_side(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return 0;
}

uint64_t ages_dead(struct pair *p, struct store *store)
{
    uint64_t count = 0;
    assert_ok(store_begin(store, STORE_READ));
    for (uint16_t t = 0; t < p->model->table_count; t++)
        assert_ok(store_dead_scan(store, &p->model->tables[t], NULL, count_id, &count));
    store_rollback(store);
    return count;
}

uint64_t ages_records(struct pair *p, struct store *store)
{
    uint64_t count = ages_dead(p, store);
    assert_ok(store_begin(store, STORE_READ));
    for (uint16_t t = 0; t < p->model->table_count; t++)
        assert_ok(store_row_scan(store, &p->model->tables[t], NULL, count_id, &count));
    store_rollback(store);
    return count;
}

uint64_t ages_log(struct store *store)
{
    enum { BUCKETS = 100 };
    uint64_t count = 0;
    assert_ok(store_begin(store, STORE_READ));
    for (uint32_t bucket = 1; bucket < BUCKETS; bucket++)
        assert_ok(store_log_scan(store, bucket, 0, count_log, &count));
    store_rollback(store);
    return count;
}

uint64_t ages_side(struct store *store, enum store_side side)
{
    const struct bytes none = bytes_of(NULL, 0);
    uint64_t count = 0;
    assert_ok(store_begin(store, STORE_READ));
    assert_ok(store_side_scan(store, side, none, none, count_side, &count));
    store_rollback(store);
    return count;
}

struct first_parked {
    enum reason reason;
    uint64_t oseq;
};

static enum err note_first(void *context, const struct parked_group *parked)
{
    struct first_parked *first = context;
    if (first->reason == REASON_NONE)
        *first = (struct first_parked){parked->reason, parked->dot.oseq};
    return ERR_OK;
}

enum reason ages_parked(struct pair_device *d, uint64_t *ret_oseq)
{
    struct first_parked first = {REASON_NONE, 0};
    assert_ok(replica_parked(d->replica, note_first, &first));
    if (ret_oseq)
        *ret_oseq = first.oseq;
    return first.reason;
}

void ages_retry(struct pair *p, struct pair_device *d, uint64_t oseq)
{
    struct err_info info = {0};
    if (replica_parked_retry(d->replica, oseq, p->now_ms, &info) != ERR_OK)
        fail_msg("%s", info.message);
    pair_sync(p, d);
}
