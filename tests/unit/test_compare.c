/* A digest that differs: found by ranges and mended, on a pair of real cores.
 *
 * SATCHEL_COMPARE_RECORDS: how many records the test on SQLite has (20,000; a million takes minutes, most of
 * them to make the records). It prints what the repair took.
 *
 * ctest: timeout=900 valgrind=no */
#include "tests/lib/pair.h"

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/frame.h"

#include <time.h>
#include <unistd.h>

struct wire { /* of one device's session, from its RANGES subscription on */
    uint32_t subscribes, questions, pages, rows_asked, trips;
    bool counting, up_last, everything;
    uint64_t bytes;
};
static struct wire wire;

/* A round trip: something goes up after something came down (or first). */
static void count_frame(struct pair_device *device, bool up, struct bytes frame)
{
    struct arena arena;
    struct inflater *inflater;
    struct buf inflated;
    struct message m;
    (void)device;
    arena_init(&arena, 64 << 20);
    buf_init(&inflated, FRAME_INFLATED_MAX);
    assert_ok(inflater_new(&inflater));
    assert_ok(frame_decode(frame, true, inflater, &inflated, &arena, &m));
    if (m.type == MESSAGE_SUBSCRIBE && m.as.subscribe.reconcile == RECONCILE_RANGES) {
        wire.subscribes++;
        wire.counting = true;
        wire.up_last = false;
    }
    if (m.type == MESSAGE_SUBSCRIBE && m.as.subscribe.reconcile == RECONCILE_ALL)
        wire.everything = true;
    wire.questions += m.type == MESSAGE_RANGES;
    wire.pages += m.type == MESSAGE_PAGE && m.as.page.live == FEED_REPAIR;
    if (wire.counting) {
        wire.trips += up && !wire.up_last;
        wire.up_last = up;
        wire.bytes += frame.size;
    }
    if (m.type == MESSAGE_CHECKPOINT && m.as.checkpoint.live == FEED_REPAIR)
        wire.counting = false;
    inflater_free(inflater);
    buf_done(&inflated);
    arena_done(&arena);
}

/* ---- a world: headquarters with records, and a device that has them ---- */

enum { RECORDS_OF_A_GROUP = 500 };

static void insert_many(struct pair *p, struct pair_device *device, uint32_t count)
{
    const struct model_table *table = model_table_by_name(p->model, bytes_of_text("party"));
    uint16_t column = model_column_by_name(table, bytes_of_text("name"))->index;
    struct err_info info;
    struct dot dot;
    for (uint32_t i = 0; i < count;) {
        assert_ok(replica_begin(device->replica, p->now_ms));
        for (uint32_t k = 0; k < RECORDS_OF_A_GROUP && i < count; k++, i++) {
            char text[40];
            struct uuid id = {{0}};
            snprintf(text, sizeof text, "Customer %u", i);
            struct value value = value_text(bytes_of_text(text));
            assert_ok(replica_insert(device->replica, table, &id, &column, &value, 1, &info));
        }
        assert_ok(replica_commit(device->replica, &dot));
        p->now_ms++;
    }
}

struct ids {
    struct uuid *items;
    uint32_t count;
};

static int keep_id(void *context, const struct uuid *id)
{
    struct ids *ids = context;
    ids->items = realloc(ids->items, (ids->count + 1u) * sizeof *id);
    assert_non_null(ids->items);
    ids->items[ids->count++] = *id;
    return 0;
}

static struct ids all_ids(struct store *store, const struct model_table *table)
{
    struct ids ids = {0};
    assert_ok(store_begin(store, STORE_READ));
    assert_ok(store_row_scan(store, table, NULL, keep_id, &ids));
    store_rollback(store);
    return ids;
}

enum harm { HARM_BIT, HARM_VERSION, HARM_LOST, HARM_INVENTED, HARM_BUCKET, HARM_DEAD };

/* Changes a row behind the replica's back. */
static void plant(struct pair *p, struct pair_device *device, const struct uuid *id, enum harm harm)
{
    const struct model_table *table = model_table_by_name(p->model, bytes_of_text("party"));
    uint16_t column = model_column_by_name(table, bytes_of_text("name"))->index;
    struct arena arena;
    struct store_row row;
    struct uuid other = *id;
    arena_init(&arena, 1 << 20);
    assert_ok(store_begin(device->store, STORE_WRITE));
    assert_ok(store_row_get(device->store, table, id, &arena, &row));
    uint8_t *text = (uint8_t *)(uintptr_t)row.values[column].as.bytes.data;
    uint8_t *version = (uint8_t *)(uintptr_t)row.version.data;
    switch (harm) {
    case HARM_BIT: text[0] ^= 1; break;
    case HARM_VERSION: version[8] ^= 1; break; /* of the insert's dot */
    case HARM_INVENTED: other.byte[15] ^= 1; break;
    case HARM_BUCKET: row.bucket = 77; break;
    case HARM_DEAD: row.dead = true; break;
    case HARM_LOST: break;
    }
    if (harm == HARM_LOST)
        assert_ok(store_row_delete(device->store, table, id));
    else
        assert_ok(store_row_put(device->store, table, &other, &row));
    assert_ok(store_commit(device->store));
    arena_done(&arena);
}

struct verdict {
    uint32_t buckets, wrong;
};

static void judge(void *context, const struct replica_bucket *bucket)
{
    struct verdict *verdict = context;
    verdict->buckets++;
    verdict->wrong += !bucket->right;
    assert_true(bucket->right || bucket->kind != 0);
}

static uint32_t verify(struct pair_device *device)
{
    struct verdict verdict = {0};
    uint64_t unreadable = 0;
    assert_ok(replica_verify(device->replica, true, judge, &verdict, &unreadable));
    assert_true(verdict.buckets > 0);
    assert_int_equal(unreadable, 0);
    return verdict.wrong;
}

static struct pair_device *world(struct pair *p, uint32_t records)
{
    pair_init(p, NULL, 20261122);
    struct pair_device *writer = pair_enrol(p, "root", "admin");
    struct pair_device *device = pair_enrol(p, "root", "admin");
    insert_many(p, writer, records);
    pair_sync(p, writer);
    pair_sync(p, device);
    pair_assert_equal(p, device);
    assert_int_equal(verify(device), 0);
    wire = (struct wire){0};
    device->on_frame = count_frame;
    return device;
}

static void mend(struct pair *p, struct pair_device *device)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    assert_true(status.differs);
    pair_sync(p, device);
    pair_assert_equal(p, device);
    assert_int_equal(verify(device), 0);
}

/* ---- tests ---- */

static void one_bit_in_ten_thousand_records(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 10000);
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    struct ids ids = all_ids(device->store, table);
    assert_int_equal(ids.count, 10000);
    plant(&p, device, &ids.items[7777], HARM_BIT);
    assert_int_equal(verify(device), 1);
    pair_restart_device(&p, device); /* what has to be compared is known after a restart too */
    mend(&p, device);
    assert_int_equal(wire.subscribes, 1);
    assert_int_equal(wire.questions, 2);
    assert_int_equal(wire.trips, 3);
    assert_false(wire.everything);
    if (wire.bytes > 6000)
        fail_msg("%u bytes", (unsigned)wire.bytes);
    free(ids.items);
    pair_done(&p);
}

static void every_kind_of_harm_is_mended(void **state)
{
    (void)state;
    for (int harm = HARM_BIT; harm <= HARM_DEAD; harm++) {
        struct pair p;
        struct pair_device *device = world(&p, 600);
        const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
        struct ids ids = all_ids(device->store, table);
        plant(&p, device, &ids.items[333], (enum harm)harm);
        assert_int_equal(verify(device), 1);
        mend(&p, device);
        assert_int_equal(wire.subscribes, 1);
        assert_true(wire.trips <= 3);
        assert_false(wire.everything);
        free(ids.items);
        pair_done(&p);
    }
}

static void several_differences_at_once(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 3000);
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    struct ids ids = all_ids(device->store, table);
    for (uint32_t i = 0; i < 60; i++)
        plant(&p, device, &ids.items[i * 50], (enum harm)(i % 6));
    assert_int_equal(verify(device), 1);
    mend(&p, device);
    assert_false(wire.everything);
    free(ids.items);
    pair_done(&p);
}

/* Customers that moved: the log still knows the bucket that they left, and a device that has one where it
 * was loses it there and gets it where it is. */
static void records_that_moved(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 500), *writer = &p.devices[0];
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    const struct model_table *users = model_table_by_name(p.model, bytes_of_text("user"));
    struct ids ids = all_ids(device->store, table), people = all_ids(device->store, users);
    struct arena arena;
    struct store_row before, after;
    char owner[UUID_TEXT_SIZE];
    arena_init(&arena, 1 << 20);
    assert_ok(store_begin(device->store, STORE_READ));
    assert_ok(store_row_get(device->store, table, &ids.items[5], &arena, &before));
    store_rollback(device->store);
    uuid_format(&people.items[0], owner);
    for (uint32_t i = 0; i < 20; i++) {
        pair_set(&p, writer, "party", ids.items[i], "visibility", "owner");
        pair_set(&p, writer, "party", ids.items[i], "owner", owner);
    }
    pair_sync(&p, writer);
    pair_sync(&p, device);
    pair_assert_equal(&p, device);
    assert_int_equal(verify(device), 0);
    assert_ok(store_begin(device->store, STORE_WRITE));
    assert_ok(store_row_get(device->store, table, &ids.items[5], &arena, &after));
    assert_int_not_equal(before.bucket, after.bucket);
    assert_ok(store_row_put(device->store, table, &ids.items[5], &before)); /* where it was */
    assert_ok(store_commit(device->store));
    plant(&p, device, &ids.items[6], HARM_BIT);
    plant(&p, device, &ids.items[200], HARM_LOST);
    assert_int_equal(verify(device), 2);
    mend(&p, device);
    assert_int_equal(wire.subscribes, 1);
    assert_true(wire.trips <= 3);
    assert_false(wire.everything);
    arena_done(&arena);
    free(ids.items);
    free(people.items);
    pair_done(&p);
}

/* ---- on SQLite, many ---- */

static double seconds(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static struct store *open_file(struct pair *p, const char *folder, const char *name, bool log)
{
    char path[200];
    struct err_info info = {0};
    struct store *store;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const struct store_sqlite_options options = {
        .path = path, .synchronous = STORE_SQLITE_OFF, .keeps_log = log};
    if (store_sqlite_open(&options, p->model, &store, &info) != ERR_OK)
        fail_msg("%s", info.message);
    return store;
}

static void hub_on_file(struct pair *p, const char *folder)
{
    const struct hub_now now = {{p->now_ms}, {p->now_ms * 1000}};
    struct err_info info = {0};
    hub_close(p->hub);
    store_close(p->hub_store);
    p->config.store = p->hub_store = open_file(p, folder, "hub", true);
    assert_ok(hub_create(&p->config, now, &info));
    assert_ok(hub_open(&p->config, now, &p->hub, &info));
}

static struct pair_device *device_on_file(struct pair *p, const char *folder, const char *name)
{
    struct pair_device *device = pair_enrol(p, "root", "admin");
    struct err_info info = {0};
    replica_close(device->replica);
    store_close(device->store);
    device->store = open_file(p, folder, name, false);
    const struct replica_config config = {
        .model = p->model, .store = device->store, .crypto = p->crypto, .rng = &p->rng};
    assert_ok(replica_open(&config, &device->replica, &info));
    return device;
}

/* Runs to the end; the longest round, which has at most one slice of either side in it. */
static double run_measured(struct pair *p)
{
    double longest = 0;
    for (bool moved = true; moved;) {
        double begun = seconds();
        moved = pair_step(p) > 0;
        double took = seconds() - begun;
        longest = took > longest ? took : longest;
    }
    return longest;
}

static void one_bit_on_sqlite(void **state)
{
    (void)state;
    const char *asked = getenv("SATCHEL_COMPARE_RECORDS");
    uint32_t records = asked ? (uint32_t)strtoul(asked, NULL, 10) : unit_rounds(20000);
    char folder[] = "/tmp/satchel-compare-XXXXXX", path[100];
    static const char *const files[] = {"hub", "writer", "device"};
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct pair p;
    assert_non_null(mkdtemp(folder));
    pair_init(&p, NULL, 20261123);
    hub_on_file(&p, folder);
    struct pair_device *writer = device_on_file(&p, folder, "writer");
    struct pair_device *device = device_on_file(&p, folder, "device");
    for (uint32_t made = 0; made < records;) {
        uint32_t some = records - made < 50000 ? records - made : 50000;
        insert_many(&p, writer, some);
        pair_sync(&p, writer);
        made += some;
    }
    pair_sync(&p, device);
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    struct ids ids = all_ids(device->store, table);
    plant(&p, device, &ids.items[ids.count / 3], HARM_BIT);
    double begun = seconds();
    assert_int_equal(verify(device), 1);
    double verified = seconds();
    wire = (struct wire){0};
    device->on_frame = count_frame;
    pair_connect(&p, device, true);
    double longest = run_measured(&p);
    print_message("%u records: verify %.2f s; repair %.2f s, %u round trips, %llu bytes (all that "
                  "travelled: %llu up, %llu down), longest step %.1f ms\n",
                  records, verified - begun, seconds() - verified, wire.trips,
                  (unsigned long long)wire.bytes, (unsigned long long)device->bytes_up,
                  (unsigned long long)device->bytes_down, longest * 1000);
    assert_err(device->why, ERR_OK);
    assert_true(wire.trips > 0 && wire.trips <= 3);
    assert_true(wire.bytes < 10000);
    assert_false(wire.everything);
    assert_int_equal(verify(device), 0);
    pair_assert_equal(&p, device);
    free(ids.items);
    pair_done(&p);
    for (int i = 0; i < 9; i++) {
        snprintf(path, sizeof path, "%s/%s%s", folder, files[i / 3], ends[i % 3]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

/* No verify: the difference shows when the record is changed at headquarters. */
static void a_checkpoint_shows_it(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 1000), *writer = &p.devices[0];
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    struct ids ids = all_ids(device->store, table);
    pair_connect(&p, device, false);
    pair_run(&p);
    plant(&p, device, &ids.items[500], HARM_BIT);
    pair_set(&p, writer, "party", ids.items[500], "industry", "Kazan");
    pair_connect(&p, writer, false);
    pair_run(&p);
    assert_int_equal(wire.subscribes, 1);
    assert_false(wire.everything);
    pair_assert_equal(&p, device);
    pair_set(&p, writer, "party", ids.items[501], "industry", "Omsk"); /* it is live again */
    struct uplink_effects effects;
    uplink_local_change(writer->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &effects);
    pair_run(&p);
    assert_string_equal(pair_cell(&p, device, "party", ids.items[501], "industry"), "Omsk");
    pair_assert_equal(&p, device);
    free(ids.items);
    pair_done(&p);
}

/* Records with pending changes: it is the confirmed copy that counts, and the view is made anew. */
static void pending_changes_stay(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 1000);
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    struct ids ids = all_ids(device->store, table);
    plant(&p, device, &ids.items[10], HARM_BIT);
    pair_set(&p, device, "party", ids.items[10], "industry", "Perm");
    pair_set(&p, device, "party", ids.items[11], "industry", "Tver");
    struct uuid fresh = pair_insert(&p, device, "party", "name", "Fresh");
    pair_delete(&p, device, "party", ids.items[12]);
    assert_int_equal(verify(device), 1);
    mend(&p, device);
    assert_string_equal(pair_cell(&p, device, "party", ids.items[10], "industry"), "Perm");
    assert_string_equal(pair_cell(&p, device, "party", ids.items[12], "industry"), "-");
    assert_string_equal(pair_cell(&p, NULL, "party", fresh, "name"), "Fresh");
    assert_string_equal(pair_cell(&p, device, "party", ids.items[10], "name"),
                        pair_cell(&p, NULL, "party", ids.items[10], "name"));
    assert_false(wire.everything);
    free(ids.items);
    pair_done(&p);
}

/* The line is cut at each frame of the repair in turn: it begins again, and ends well. */
static void a_cut_at_any_frame(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 700);
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    struct ids ids = all_ids(device->store, table);
    for (uint32_t cut = 1; cut < 16; cut++) {
        plant(&p, device, &ids.items[cut * 40], HARM_BIT);
        assert_int_equal(verify(device), 1);
        device->frames_until_cut = cut;
        pair_connect(&p, device, true);
        pair_run(&p);
        device->frames_until_cut = 0;
        pair_restart_device(&p, device);
        pair_sync(&p, device);
        pair_assert_equal(&p, device);
        assert_int_equal(verify(device), 0);
    }
    assert_false(wire.everything);
    free(ids.items);
    pair_done(&p);
}

/* Others write while it is repaired: the snapshot is kept, and what came meanwhile follows. */
static void headquarters_goes_on(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 2000), *writer = &p.devices[0];
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    struct ids ids = all_ids(device->store, table);
    plant(&p, device, &ids.items[1234], HARM_BIT);
    assert_int_equal(verify(device), 1);
    pair_connect(&p, writer, false);
    pair_connect(&p, device, false);
    for (uint32_t i = 0; i < 40; i++) {
        struct uplink_effects effects;
        pair_set(&p, writer, "party", ids.items[i], "industry", i % 2 ? "Sochi" : "Tomsk");
        uplink_local_change(writer->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &effects);
        pair_step(&p);
    }
    pair_run(&p);
    pair_assert_equal(&p, device);
    assert_int_equal(wire.subscribes, 1);
    assert_false(wire.everything);
    free(ids.items);
    pair_done(&p);
}

/* Almost everything differs: it is read anew, and that in the same session. */
static void too_much_is_read_anew(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 40000);
    const struct model_table *table = model_table_by_name(p.model, bytes_of_text("party"));
    struct ids ids = all_ids(device->store, table);
    for (uint32_t i = 0; i < ids.count; i++)
        plant(&p, device, &ids.items[i], HARM_BIT);
    assert_int_equal(verify(device), 1);
    mend(&p, device);
    assert_int_equal(wire.subscribes, 1);
    free(ids.items);
    pair_done(&p);
}

/* The server's digest is wrong and no row is: nothing is read anew for it, and the words say where. */
static void a_wrong_digest_at_the_server(void **state)
{
    (void)state;
    struct pair p;
    struct pair_device *device = world(&p, 300);
    struct arena arena;
    struct bytes value;
    const uint8_t key[4] = {0, 0, 0, 2};
    arena_init(&arena, 1 << 20);
    for (int i = 0; i < (int)p.device_count; i++)
        pair_cut(&p, &p.devices[i]);
    hub_close(p.hub);
    assert_ok(store_begin(p.hub_store, STORE_WRITE));
    assert_ok(store_side_get(p.hub_store, SIDE_BUCKET, bytes_of(key, 4), &arena, &value));
    ((uint8_t *)(uintptr_t)value.data)[value.size - 1] ^= 0x40;
    assert_ok(store_side_put(p.hub_store, SIDE_BUCKET, bytes_of(key, 4), value));
    assert_ok(store_commit(p.hub_store));
    struct err_info info;
    assert_ok(hub_open(&p.config, (struct hub_now){{p.now_ms}, {p.now_ms * 1000}}, &p.hub, &info));
    pair_connect(&p, device, true);
    pair_run(&p);
    assert_true(device->ended);
    assert_err(device->why, ERR_PROTOCOL);
    assert_non_null(strstr(device->message, "satcheld verify"));
    assert_false(wire.everything);
    arena_done(&arena);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_bit_in_ten_thousand_records),
        cmocka_unit_test(every_kind_of_harm_is_mended),
        cmocka_unit_test(several_differences_at_once),
        cmocka_unit_test(records_that_moved),
        cmocka_unit_test(one_bit_on_sqlite),
        cmocka_unit_test(a_checkpoint_shows_it),
        cmocka_unit_test(pending_changes_stay),
        cmocka_unit_test(a_cut_at_any_frame),
        cmocka_unit_test(headquarters_goes_on),
        cmocka_unit_test(too_much_is_read_anew),
        cmocka_unit_test(a_wrong_digest_at_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
