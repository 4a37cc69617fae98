/* purge.c - how long a step of a purge keeps headquarters from its work, with SQLite beneath; how fast rows are inserted
 * into a file that can give pages back and into one that cannot; and how long giving back takes. Prints JSON.
 *
 *     satchel_bench_purge FOLDER [RECORDS] */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/lib/ages.h"
#include "tests/lib/pair_copy.h"

enum { BATCH = 1000, INSERTS = 200000 };

static const char *folder;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static struct store *open_store(const struct model *model, const char *path)
{
    struct store *store;
    struct err_info info = {0};
    const struct store_sqlite_options options = {.path = path, .keeps_log = true};
    if (store_sqlite_open(&options, model, &store, &info) != ERR_OK)
        fail_msg("%s", info.message);
    return store;
}

/* auto_vacuum 0: as files were that cannot give pages back. */
static struct store *open_file(const struct model *model, const char *name, int auto_vacuum)
{
    char path[4096];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (auto_vacuum == 0) {
        store_close(open_store(model, path));
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "PRAGMA auto_vacuum=0;VACUUM", NULL, NULL, NULL),
                         SQLITE_OK);
        sqlite3_close(db);
    }
    return open_store(model, path);
}

static void measure_inserts(const struct model *model, int auto_vacuum, int round)
{
    char name[40];
    snprintf(name, sizeof name, "insert-%d-%d.db", auto_vacuum, round);
    struct store *store = open_file(model, name, auto_vacuum);
    const struct model_table *party = model_table_by_name(model, bytes_of_text("party"));
    struct value *values = calloc(party->column_count, sizeof *values);
    for (uint16_t c = 0; c < party->column_count; c++)
        values[c] = party->columns[c].type == COLUMN_TEXT && c < 9
                        ? value_text(bytes_of_text("a value of about thirty bytes."))
                        : party->columns[c].fallback;
    uint8_t version[24] = {0};
    struct store_row row = {
        .values = values, .version = bytes_of(version, sizeof version), .bucket = 1};
    clock_t cpu = clock();
    double start = now_ms();
    for (uint32_t i = 0; i < INSERTS; i++) {
        struct uuid id = {{0}};
        be32_put(id.byte + 8, i);
        if (i % BATCH == 0)
            assert_ok(store_begin(store, STORE_WRITE));
        row.position = i + 1;
        assert_ok(store_row_insert(store, party, &id, &row));
        assert_ok(store_log_put(store, 1, row.position, party, &id));
        if (i % BATCH == BATCH - 1)
            assert_ok(store_commit(store));
    }
    printf("{\"auto_vacuum\":%d,\"rows_per_s\":%.0f,\"rows_per_cpu_s\":%.0f}", auto_vacuum,
           INSERTS / (now_ms() - start) * 1e3,
           INSERTS / ((double)(clock() - cpu) / CLOCKS_PER_SEC));
    free(values);
    store_close(store);
}

static void fill(struct pair *p, struct pair_device *anna, uint32_t records)
{
    const struct model_table *party = model_table_by_name(p->model, bytes_of_text("party"));
    const uint16_t column = model_column_by_name(party, bytes_of_text("name"))->index;
    struct uuid *ids = calloc(records, sizeof *ids);
    struct err_info info;
    struct dot dot;
    for (int delete = 0; delete < 2; delete ++) {
        for (uint32_t i = 0; i < records; i += BATCH) {
            assert_ok(replica_begin(anna->replica, p->now_ms));
            for (uint32_t k = i; k < i + BATCH && k < records; k++) {
                char name[40];
                snprintf(name, sizeof name, "Customer %u", k);
                const struct value value = value_text(bytes_of_text(name));
                assert_ok(delete ? replica_delete(anna->replica, party, &ids[k], &info)
                                 : replica_insert(anna->replica, party, &ids[k], &column, &value, 1,
                                                  &info));
            }
            assert_ok(replica_commit(anna->replica, &dot));
            pair_sync(p, anna);
        }
    }
    free(ids);
}

static void tell_times(const char *what, double *times, uint32_t count)
{
    qsort(times, count, sizeof *times, ascending);
    printf("\"%s\":{\"count\":%u,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f},", what, count,
           times[count / 2], times[count * 99 / 100], times[count - 1]);
}

static void tell_sizes(const char *what, struct store *store)
{
    struct store_sizes sizes;
    assert_ok(store_sqlite_checkpoint(store));
    assert_ok(store_begin(store, STORE_READ));
    double start = now_ms();
    assert_ok(store_sqlite_sizes(store, &sizes));
    double took = now_ms() - start;
    store_rollback(store);
    printf("\"%s\":{\"file\":%llu,\"free\":%llu,\"measured_in_ms\":%.1f},", what,
           (unsigned long long)sizes.file_bytes, (unsigned long long)sizes.free_bytes, took);
}

static void measure_purge(uint32_t records)
{
    struct pair p;
    pair_init(&p, NULL, 1);
    struct store *store = open_file(p.model, "hq.db", 2);
    struct hub_config config = p.config;
    struct err_info info;
    config.store = store;
    assert_ok(hub_create(&config, (struct hub_now){{p.now_ms}, {p.now_ms * 1000}}, &info));
    pair_put_hub_store(&p, store);
    struct pair_device *anna = pair_enrol(&p, "anna", "admin");
    fill(&p, anna, records);
    tell_sizes("before", p.hub_store);
    ages_pass(&p, 90);
    p.now_ms += 10 * DAY_MS;
    const struct hub_now now = {{p.now_ms}, {p.now_ms * 1000}};
    double *times = calloc(records + 1000, sizeof *times);
    uint32_t steps = 0;
    hub_tick(p.hub, now);
    double all = now_ms();
    for (; hub_has_work(p.hub); steps++) {
        double start = now_ms();
        assert_ok(hub_turn(p.hub, now));
        times[steps] = now_ms() - start;
    }
    all = now_ms() - all;
    assert_int_equal(ages_dead(&p, p.hub_store), 0);
    tell_times("steps", times, steps);
    printf("\"purged_per_s\":%.0f,", records / all * 1e3);
    tell_sizes("after", p.hub_store);
    uint32_t given = 0;
    for (bool more = true; more; given++) {
        double start = now_ms();
        assert_ok(store_sqlite_give_back(p.hub_store, 256, &more));
        times[given] = now_ms() - start;
    }
    tell_times("given_back", times, given);
    tell_sizes("then", p.hub_store);
    free(times);
    pair_done(&p);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: satchel_bench_purge FOLDER [RECORDS]\n");
        return 2;
    }
    folder = argv[1];
    uint32_t records = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 20000;
    struct model *model;
    assert_ok(model_builtin(&model, NULL));
    printf("{\"records\":%u,", records);
    measure_purge(records);
    printf("\"inserts\":[");
    for (int round = 0; round < 3; round++)
        for (int auto_vacuum = 0; auto_vacuum <= 2; auto_vacuum += 2) {
            printf("%s", round || auto_vacuum ? "," : "");
            measure_inserts(model, auto_vacuum, round);
        }
    printf("]}\n");
    model_free(model);
    return 0;
}
