/* SQLite and the store on the simulated disk: commits are power-cut at each call, locks hold, and two
 * runs of one seed are the same. */
#include <sqlite3.h>

#include "tests/lib/seeded_rng.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/store_kit.h"

static sqlite3 *open_db(struct sim_disk *disk)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2("db", &db, flags, sim_disk_vfs(disk)) != SQLITE_OK) {
        (void)sqlite3_close(db);
        return NULL;
    }
    return db;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The number that a query answers with; -1: it fails. */
static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t result = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        result = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return result;
}

/* Commits of increasing numbers, with checkpoints; returns the last one that was acknowledged. */
static int work(struct sim_disk *disk, const char *journal)
{
    char sql[200];
    int done = 0;
    sqlite3 *db = open_db(disk);
    if (db == NULL)
        return 0;
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA journal_mode=%s;PRAGMA synchronous=EXTRA;PRAGMA wal_autocheckpoint=6;"
                   "CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY,pad)",
                   journal);
    if (run(db, sql) == SQLITE_OK)
        for (int n = 1; n <= 8; n++) {
            (void)snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%d,zeroblob(%d));", n, n * 700);
            if (run(db, sql) != SQLITE_OK)
                break;
            done = n;
        }
    (void)sqlite3_close(db);
    return done;
}

static void assert_intact(struct sim_disk *disk, int acknowledged)
{
    sqlite3 *db = open_db(disk);
    assert_non_null(db);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    (void)sqlite3_finalize(statement);
    int64_t count = acknowledged > 0 ? number(db, "SELECT count(*) FROM t") : 0;
    if (count < acknowledged)
        fail_msg("%d of %d commits are there", (int)count, acknowledged);
    if (acknowledged > 0)
        assert_int_equal(number(db, "SELECT max(n) FROM t"), count); /* and in order */
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* EXTRA: with FULL a removed rollback journal may come back and undo the commit.
 * Garbage is kept to what a powersafe disk allows: SQLite promises no more on its default VFS. */
static void each_power_cut_keeps_each_commit(const char *journal)
{
    uint64_t points = 0, crashes = 0;
    for (uint64_t k = 1;; k++) {
        const struct sim_disk_fault cut = {
            .calls = SIM_DISK_CHANGES, .at = k, .effect = SIM_DISK_POWER_BEFORE};
        struct sim_disk *disk = sim_disk_new(k);
        sim_disk_fail(disk, &cut);
        int acknowledged = work(disk, journal);
        bool hit = sim_disk_is_down(disk);
        for (int survivors = 0; survivors < SIM_DISK_SURVIVORS_COUNT; survivors++)
            for (uint64_t seed = 0; seed < 3; seed++) {
                struct sim_disk *left = sim_disk_copy(disk, seed);
                sim_disk_crash(left, (enum sim_disk_survivors)survivors, seed);
                sim_disk_start(left);
                assert_intact(left, acknowledged);
                sim_disk_free(left);
                crashes++;
            }
        sim_disk_free(disk);
        if (!hit)
            break;
        points++;
    }
    assert_true(points > 40);
    print_message("%s: %llu points, %llu power cuts\n", journal, (unsigned long long)points,
                  (unsigned long long)crashes);
}

static void commits_survive_each_power_cut(void **state)
{
    (void)state;
    each_power_cut_keeps_each_commit("WAL");
    each_power_cut_keeps_each_commit("DELETE");
}

/* What the check above can see: without syncs commits are lost. */
static void without_syncs_they_do_not(void **state)
{
    struct sim_disk *disk = sim_disk_new(1);
    (void)state;
    sqlite3 *db = open_db(disk);
    assert_int_equal(run(db, "PRAGMA journal_mode=WAL;PRAGMA synchronous=OFF;CREATE TABLE t(n)"),
                     SQLITE_OK);
    sim_disk_sync_all(disk);
    assert_int_equal(run(db, "INSERT INTO t VALUES(1)"), SQLITE_OK);
    sim_disk_crash(disk, SIM_DISK_LOSE, 0);
    assert_int_equal(run(db, "INSERT INTO t VALUES(2)"), SQLITE_IOERR);
    (void)sqlite3_close(db);
    sim_disk_start(disk);
    db = open_db(disk);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 0);
    (void)sqlite3_close(db);
    sim_disk_free(disk);
}

static void a_killed_process_loses_its_locks_and_no_commit(void **state)
{
    struct sim_disk *disk = sim_disk_new(1);
    (void)state;
    sqlite3 *db = open_db(disk), *reader = open_db(disk), *next;
    assert_int_equal(run(db, "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"
                             "CREATE TABLE t(n);INSERT INTO t VALUES(1)"),
                     SQLITE_OK);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
    assert_int_equal(run(db, "BEGIN IMMEDIATE;INSERT INTO t VALUES(2)"), SQLITE_OK);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
    assert_int_equal(run(reader, "INSERT INTO t VALUES(3)"), SQLITE_BUSY);
    sim_disk_kill(disk);
    sim_disk_start(disk);
    next = open_db(disk);
    assert_int_equal(run(next, "INSERT INTO t VALUES(3)"), SQLITE_OK);
    assert_int_equal(number(next, "SELECT count(*) FROM t"), 2);
    assert_int_not_equal(run(db, "COMMIT"), SQLITE_OK);
    (void)sqlite3_close(db);
    (void)sqlite3_close(reader);
    assert_int_equal(number(next, "SELECT count(*) FROM t"), 2);
    assert_int_equal(sqlite3_close(next), SQLITE_OK);
    sim_disk_free(disk);
}

static void a_busy_timeout_takes_no_real_time(void **state)
{
    struct sim_disk *disk = sim_disk_new(1);
    (void)state;
    sim_disk_set_time(disk, 1760000000000);
    sqlite3 *db = open_db(disk), *other = open_db(disk);
    assert_int_equal(run(db, "CREATE TABLE t(n);BEGIN IMMEDIATE"), SQLITE_OK);
    (void)sqlite3_busy_timeout(other, 3600 * 1000);
    assert_int_equal(run(other, "INSERT INTO t VALUES(1)"), SQLITE_BUSY);
    assert_int_equal(number(other, "SELECT CAST(strftime('%s','now') AS INTEGER)>=1760003600"), 1);
    (void)sqlite3_close(other);
    (void)sqlite3_close(db);
    sim_disk_free(disk);
}

/* FNV-1a over each call and what it was given. */
static void note_call(void *context, enum sim_disk_call call, const char *name, uint64_t offset,
                      uint64_t size)
{
    uint64_t *hash = context;
    uint64_t words[4] = {call, offset, size, strlen(name)};
    for (size_t i = 0; i < 4; i++)
        *hash = (*hash ^ words[i]) * 0x100000001b3;
}

static void two_runs_of_a_seed_are_the_same(void **state)
{
    uint64_t hashes[2] = {0};
    static uint8_t content[2][64 << 10];
    size_t sizes[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct sim_disk_fault fault = {.calls = SIM_DISK_ANY, .rate_ppm = 2000};
        struct sim_disk *disk = sim_disk_new(12);
        sim_disk_seed_sqlite(12);
        sim_disk_observe(disk, note_call, &hashes[i]);
        (void)work(disk, "WAL");
        sim_disk_fail(disk, &fault);
        (void)work(disk, "WAL");
        sim_disk_crash(disk, SIM_DISK_GARBAGE, 3);
        sizes[i] = sim_disk_peek(disk, "db", 0, content[i], sizeof content[i]);
        sim_disk_free(disk);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(sizes[0] > 20000 && sizes[0] == sizes[1]);
    assert_memory_equal(content[0], content[1], sizes[0]);
}

static void the_store_lives_on_it(void **state)
{
    struct store_kit kit;
    struct store *reader = NULL;
    struct sim_disk *disk = sim_disk_new(1);
    const struct store_sqlite_files files = sim_disk_files(disk);
    struct err_info info;
    (void)state;
    store_kit_init(&kit, STORE_KIND_SQLITE_FILE);
    store_close(kit.store);
    kit.store = NULL;
    kit.options.vfs = sim_disk_vfs(disk);
    kit.options.files = &files;
    store_kit_reopen(&kit);
    store_kit_begin(&kit);
    store_kit_put(&kit, kit.thing, 1, 1, false);
    store_kit_commit(&kit);
    assert_ok(store_reader(kit.store, &reader));
    assert_ok(store_begin(reader, STORE_READ));
    store_kit_begin(&kit);
    store_kit_put(&kit, kit.thing, 2, 2, false);
    store_kit_commit(&kit);
    store_kit_assert_is(&kit, reader, kit.thing, 1, 1, false);
    store_kit_assert_is(&kit, reader, kit.thing, 2, 0, false);
    store_rollback(reader);
    store_close(reader);
    assert_ok(store_sqlite_backup(kit.store, "backup", NULL, NULL, &info));
    assert_err(store_sqlite_backup(kit.store, "backup", NULL, NULL, &info), ERR_EXISTS);
    sim_disk_crash(disk, SIM_DISK_LOSE, 0);
    store_close(kit.store);
    kit.store = NULL;
    sim_disk_start(disk);
    store_kit_reopen(&kit);
    assert_ok(store_begin(kit.store, STORE_READ));
    store_kit_assert_is(&kit, kit.store, kit.thing, 2, 2, false);
    store_rollback(kit.store);
    store_close(kit.store);
    assert_true(sim_disk_exists(disk, "backup"));
    assert_false(sim_disk_exists(disk, "backup.partial"));
    kit.store = NULL;
    store_kit_done(&kit);
    sim_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_survive_each_power_cut),
        cmocka_unit_test(without_syncs_they_do_not),
        cmocka_unit_test(a_killed_process_loses_its_locks_and_no_commit),
        cmocka_unit_test(a_busy_timeout_takes_no_real_time),
        cmocka_unit_test(two_runs_of_a_seed_are_the_same),
        cmocka_unit_test(the_store_lives_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
