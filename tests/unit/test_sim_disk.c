/* The simulated disk: what survives a power cut, what a fault does, and SQLite on it. */
#include <sqlite3.h>

#include "tests/lib/seeded_rng.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/unit.h"

/* ---- a file, by the VFS's own functions ---- */

struct open_file {
    max_align_t memory[64];
};

static sqlite3_file *open_file(struct sim_disk *disk, struct open_file *memory, const char *name,
                               int type)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(sim_disk_vfs(disk));
    sqlite3_file *file = (sqlite3_file *)(void *)memory;
    assert_non_null(vfs);
    assert_true((size_t)vfs->szOsFile <= sizeof *memory);
    assert_int_equal(
        vfs->xOpen(vfs, name, file, type | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
        SQLITE_OK);
    return file;
}

static int put(sqlite3_file *file, char letter, int size, int offset)
{
    char text[4096];
    memset(text, letter, sizeof text);
    return file->pMethods->xWrite(file, text, size, offset);
}

static int sync_file(sqlite3_file *file)
{
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

/* A letter per sector of the file; '?' for a sector of more than one kind of byte. */
static const char *sectors(struct sim_disk *disk, const char *name)
{
    static char text[65];
    uint64_t size = sim_disk_size(disk, name);
    size_t count = 0;
    if (!sim_disk_exists(disk, name))
        return "none";
    for (uint64_t at = 0; at < size; at += SIM_DISK_SECTOR) {
        char sector[SIM_DISK_SECTOR];
        size_t got = sim_disk_peek(disk, name, at, sector, sizeof sector);
        text[count] = sector[0] == 0 ? '.' : sector[0];
        for (size_t i = 1; i < got; i++)
            if (sector[i] != sector[0])
                text[count] = '?';
        count++;
    }
    text[count] = 0;
    return text;
}

/* A file "f" of four sectors a that are synced, then b written over the middle two, c behind. */
static struct sim_disk *scene(void)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct open_file memory;
    sqlite3_file *file = open_file(disk, &memory, "f", SQLITE_OPEN_MAIN_DB);
    assert_int_equal(put(file, 'a', 2048, 0), SQLITE_OK);
    assert_int_equal(sync_file(file), SQLITE_OK);
    assert_int_equal(sim_disk_sync_folder(disk), SQLITE_OK);
    assert_int_equal(sim_disk_unsynced(disk), 0);
    assert_int_equal(put(file, 'b', 1024, 512), SQLITE_OK);
    assert_int_equal(put(file, 'c', 1024, 2048), SQLITE_OK);
    assert_int_equal(sim_disk_unsynced(disk), 2);
    file->pMethods->xClose(file);
    assert_string_equal(sectors(disk, "f"), "abbacc");
    return disk;
}

static void a_power_cut_leaves_what_its_kind_says(void **state)
{
    static const struct {
        enum sim_disk_survivors survivors;
        uint64_t seed;
        const char *left;
    } cases[] = {
        {SIM_DISK_LOSE, 5, "aaaa"},   {SIM_DISK_ALL, 5, "abbacc"},    {SIM_DISK_PREFIX, 0, "aaaa"},
        {SIM_DISK_PREFIX, 1, "abba"}, {SIM_DISK_PREFIX, 2, "abbacc"}, {SIM_DISK_PREFIX, 3, "aaaa"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sim_disk *disk = scene();
        sim_disk_crash(disk, cases[i].survivors, cases[i].seed);
        assert_string_equal(sectors(disk, "f"), cases[i].left);
        assert_int_equal(sim_disk_unsynced(disk), 0);
        sim_disk_free(disk);
    }
}

static void a_subset_is_of_sectors_and_garbage_is_one(void **state)
{
    bool seen[16] = {false};
    unsigned kinds = 0, spoiled = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_disk *disk = scene(), *twin = sim_disk_copy(disk, 9);
        unsigned kind = 0, garbage = 0;
        sim_disk_crash(disk, SIM_DISK_SUBSET, seed);
        const char *left = sectors(disk, "f");
        assert_true(left[0] == 'a' && left[3] == 'a');
        kind |= left[1] == 'b' ? 1 : 0;
        kind |= left[2] == 'b' ? 2 : 0;
        for (size_t i = 4; i < strlen(left); i++)
            kind |= left[i] == 'c' ? 4u << (i - 4) : 0;
        kinds += !seen[kind];
        seen[kind] = true;
        sim_disk_crash(twin, SIM_DISK_GARBAGE, seed);
        left = sectors(twin, "f");
        assert_true(left[0] == 'a' && left[3] == 'a'); /* was synced, and no write touched it */
        for (size_t i = 0; i < strlen(left); i++)
            garbage += left[i] == '?';
        assert_int_equal(garbage, 1);
        spoiled += garbage;
        sim_disk_free(disk);
        sim_disk_free(twin);
    }
    assert_int_equal(kinds, 16); /* 2 to the power of 4 sectors */
    assert_int_equal(spoiled, 200);
}

/* A write of 100 bytes within a synced sector: only a disk that promises nothing spoils the rest. */
static void garbage_stays_within_the_write_where_that_is_promised(void **state)
{
    (void)state;
    for (int powersafe = 0; powersafe < 2; powersafe++) {
        char text[512];
        unsigned kept = 0;
        struct sim_disk *disk = sim_disk_new(1);
        struct open_file memory;
        sqlite3_file *file = open_file(disk, &memory, "f", SQLITE_OPEN_MAIN_DB);
        sim_disk_set_powersafe(disk, powersafe);
        assert_int_equal(put(file, 'a', 512, 0), SQLITE_OK);
        sim_disk_sync_all(disk);
        assert_int_equal(put(file, 'b', 100, 100), SQLITE_OK);
        file->pMethods->xClose(file);
        sim_disk_crash(disk, SIM_DISK_GARBAGE, 4);
        assert_int_equal(sim_disk_peek(disk, "f", 0, text, sizeof text), 512);
        for (size_t i = 0; i < 512; i++)
            kept += (i < 100 || i >= 200) && text[i] == 'a';
        assert_true(powersafe ? kept == 412 : kept < 100);
        sim_disk_free(disk);
    }
}

static void names_last_when_the_folder_is_synced(void **state)
{
    struct open_file memory;
    struct sim_disk *disk = sim_disk_new(1);
    (void)state;
    sqlite3_file *file = open_file(disk, &memory, "db", SQLITE_OPEN_MAIN_DB);
    assert_int_equal(put(file, 'a', 512, 0), SQLITE_OK);
    assert_int_equal(sync_file(file), SQLITE_OK);
    file->pMethods->xClose(file);
    struct sim_disk *other = sim_disk_copy(disk, 2);
    sim_disk_crash(other, SIM_DISK_LOSE, 0);
    assert_string_equal(sectors(other, "db"), "none"); /* the content lasts, its name does not */
    sim_disk_free(other);

    file = open_file(disk, &memory, "db-wal", SQLITE_OPEN_WAL); /* syncs the folder with itself */
    assert_int_equal(sync_file(file), SQLITE_OK);
    file->pMethods->xClose(file);
    sim_disk_crash(disk, SIM_DISK_LOSE, 0);
    sim_disk_start(disk);
    assert_string_equal(sectors(disk, "db"), "a");
    assert_true(sim_disk_exists(disk, "db-wal"));

    assert_int_equal(sim_disk_rename(disk, "db", "db-wal"), SQLITE_CONSTRAINT);
    assert_int_equal(sim_disk_rename(disk, "db", "new"), SQLITE_OK);
    assert_int_equal(sim_disk_remove(disk, "db-wal"), SQLITE_OK);
    assert_int_equal(sim_disk_remove(disk, "db-wal"), SQLITE_IOERR_DELETE_NOENT);
    other = sim_disk_copy(disk, 2);
    sim_disk_crash(other, SIM_DISK_LOSE, 0);
    assert_string_equal(sectors(other, "db"), "a");
    assert_true(sim_disk_exists(other, "db-wal") && !sim_disk_exists(other, "new"));
    sim_disk_free(other);
    assert_int_equal(sim_disk_sync_folder(disk), SQLITE_OK);
    sim_disk_crash(disk, SIM_DISK_LOSE, 0);
    assert_string_equal(sectors(disk, "new"), "a");
    assert_false(sim_disk_exists(disk, "db") || sim_disk_exists(disk, "db-wal"));
    sim_disk_free(disk);
}

static void a_truncation_is_an_operation(void **state)
{
    struct open_file memory;
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        static const char *const left[] = {"aabb", "aa", "aa.c"};
        struct sim_disk *disk = sim_disk_new(1);
        sqlite3_file *file = open_file(disk, &memory, "f", SQLITE_OPEN_MAIN_DB);
        assert_int_equal(put(file, 'b', 2048, 0), SQLITE_OK);
        assert_int_equal(put(file, 'a', 1024, 0), SQLITE_OK);
        sim_disk_sync_all(disk);
        assert_int_equal(file->pMethods->xTruncate(file, 1024), SQLITE_OK);
        assert_int_equal(put(file, 'c', 512, 1536), SQLITE_OK);
        assert_string_equal(sectors(disk, "f"), "aa.c");
        struct sim_disk *twin = sim_disk_copy(disk, 1);
        sim_disk_crash(twin, SIM_DISK_PREFIX, seed);
        assert_string_equal(sectors(twin, "f"), left[seed]);
        sim_disk_free(twin);
        assert_int_equal(sync_file(file), SQLITE_OK);
        file->pMethods->xClose(file);
        assert_int_equal(sim_disk_sync_folder(disk), SQLITE_OK);
        sim_disk_crash(disk, SIM_DISK_LOSE, 0);
        assert_string_equal(sectors(disk, "f"), "aa.c");
        sim_disk_free(disk);
    }
}

/* ---- faults ---- */

static void the_kth_call_fails_once_or_for_good(void **state)
{
    const struct sim_disk_fault once = {.calls = SIM_DISK_BIT(SIM_DISK_WRITE), .at = 2};
    const struct sim_disk_fault for_good = {.calls = SIM_DISK_BIT(SIM_DISK_WRITE),
                                            .at = 2,
                                            .forever = true,
                                            .effect = SIM_DISK_HALF_WRITE,
                                            .code = SQLITE_FULL};
    struct open_file memory;
    struct sim_disk *disk = sim_disk_new(1);
    (void)state;
    sqlite3_file *file = open_file(disk, &memory, "f", SQLITE_OPEN_MAIN_DB);
    sim_disk_fail(disk, &once);
    assert_int_equal(put(file, 'a', 1024, 0), SQLITE_OK);
    assert_int_equal(put(file, 'b', 1024, 0), SQLITE_IOERR_WRITE);
    assert_int_equal(put(file, 'c', 512, 0), SQLITE_OK);
    assert_string_equal(sectors(disk, "f"), "ca");
    sim_disk_no_faults(disk);
    sim_disk_fail(disk, &for_good);
    assert_int_equal(put(file, 'd', 1024, 0), SQLITE_OK);
    assert_int_equal(put(file, 'e', 1024, 0), SQLITE_FULL);
    assert_string_equal(sectors(disk, "f"), "ed");
    assert_int_equal(put(file, 'f', 1024, 0), SQLITE_FULL);
    assert_int_equal(sim_disk_hits(disk), 3);
    assert_int_equal(sim_disk_count(disk, SIM_DISK_BIT(SIM_DISK_WRITE)), 6);
    assert_int_equal(sim_disk_count(disk, SIM_DISK_CHANGES), 7); /* it was created as well */
    file->pMethods->xClose(file);
    sim_disk_free(disk);
}

static uint64_t failed_reads(uint64_t seed)
{
    const struct sim_disk_fault now_and_then = {.calls = SIM_DISK_BIT(SIM_DISK_READ),
                                                .rate_ppm = 500000};
    struct open_file memory;
    uint64_t which = 0;
    struct sim_disk *disk = sim_disk_new(seed);
    sqlite3_file *file = open_file(disk, &memory, "f", SQLITE_OPEN_MAIN_DB);
    assert_int_equal(put(file, 'a', 16, 0), SQLITE_OK);
    sim_disk_fail(disk, &now_and_then);
    for (unsigned i = 0; i < 64; i++) {
        char text[16];
        int code = file->pMethods->xRead(file, text, sizeof text, 0);
        assert_true(code == SQLITE_OK || code == SQLITE_IOERR_READ);
        which |= (uint64_t)(code != SQLITE_OK) << i;
    }
    file->pMethods->xClose(file);
    sim_disk_free(disk);
    return which;
}

static void a_rate_follows_the_seed(void **state)
{
    (void)state;
    assert_true(failed_reads(3) == failed_reads(3));
    assert_true(failed_reads(3) != failed_reads(4));
    assert_true(failed_reads(3) != 0 && ~failed_reads(3) != 0);
}

/* Reads go on showing what the failed sync has lost, and the next sync does not bring it back. */
static void a_failed_sync_may_lose_what_it_should_have_written(void **state)
{
    const struct sim_disk_fault fault = {
        .calls = SIM_DISK_BIT(SIM_DISK_SYNC), .at = 1, .effect = SIM_DISK_SYNC_LOSES};
    unsigned lost = 0, kept = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct open_file memory;
        struct sim_disk *disk = sim_disk_new(seed);
        sqlite3_file *file = open_file(disk, &memory, "f", SQLITE_OPEN_MAIN_DB);
        assert_int_equal(put(file, 'a', 512, 0), SQLITE_OK);
        sim_disk_sync_all(disk);
        assert_int_equal(put(file, 'b', 512, 0), SQLITE_OK);
        sim_disk_fail(disk, &fault);
        assert_int_equal(sync_file(file), SQLITE_IOERR_FSYNC);
        assert_string_equal(sectors(disk, "f"), "b");
        assert_int_equal(put(file, 'c', 512, 8192), SQLITE_OK); /* of another block */
        assert_int_equal(sync_file(file), SQLITE_OK);
        assert_int_equal(sim_disk_unsynced(disk), 0);
        file->pMethods->xClose(file);
        sim_disk_crash(disk, SIM_DISK_LOSE, 0);
        lost += sectors(disk, "f")[0] == 'a';
        kept += sectors(disk, "f")[0] == 'b';
        assert_int_equal(sectors(disk, "f")[16], 'c');
        sim_disk_free(disk);
    }
    assert_true(lost > 3 && kept > 3 && lost + kept == 20);
}

static void a_full_disk_takes_what_fits(void **state)
{
    struct open_file memory;
    struct sim_disk *disk = sim_disk_new(1);
    (void)state;
    sqlite3_file *file = open_file(disk, &memory, "f", SQLITE_OPEN_MAIN_DB);
    sim_disk_set_capacity(disk, 8192);
    assert_int_equal(put(file, 'a', 4096, 0), SQLITE_OK);
    assert_int_equal(put(file, 'b', 4096, 6144), SQLITE_FULL);
    assert_int_equal(sim_disk_size(disk, "f"), 8192);
    assert_int_equal(put(file, 'c', 4096, 8192), SQLITE_FULL);
    assert_int_equal(put(file, 'd', 4096, 4096), SQLITE_OK); /* it has these bytes already */
    assert_int_equal(sim_disk_used(disk), 8192);
    sim_disk_set_capacity(disk, 16384);
    assert_int_equal(put(file, 'c', 4096, 8192), SQLITE_OK);
    file->pMethods->xClose(file);
    sim_disk_free(disk);
}

static void the_power_goes_before_or_after_a_call(void **state)
{
    (void)state;
    for (int after = 0; after < 2; after++) {
        const struct sim_disk_fault fault = {.calls = SIM_DISK_CHANGES,
                                             .at = 2,
                                             .effect = after ? SIM_DISK_POWER_AFTER
                                                             : SIM_DISK_POWER_BEFORE};
        struct open_file memory, second;
        char text[4];
        struct sim_disk *disk = sim_disk_new(1);
        sqlite3_file *file = open_file(disk, &memory, "f", SQLITE_OPEN_MAIN_DB);
        sim_disk_fail(disk, &fault);
        assert_int_equal(put(file, 'a', 512, 0), SQLITE_OK);
        assert_int_equal(put(file, 'b', 512, 512), SQLITE_IOERR_WRITE);
        assert_true(sim_disk_is_down(disk));
        assert_int_equal(file->pMethods->xRead(file, text, 4, 0), SQLITE_IOERR);
        assert_int_equal(sync_file(file), SQLITE_IOERR);
        assert_int_equal(sim_disk_unsynced(disk), 2 + after);
        sim_disk_kill(disk); /* the page cache is the kernel's */
        assert_int_equal(sim_disk_remove(disk, "f"), SQLITE_IOERR);
        sim_disk_start(disk);
        assert_string_equal(sectors(disk, "f"), after ? "ab" : "a");
        sqlite3_file *later = open_file(disk, &second, "f", SQLITE_OPEN_MAIN_DB);
        assert_int_equal(later->pMethods->xLock(later, SQLITE_LOCK_SHARED), SQLITE_OK);
        assert_int_equal(put(file, 'x', 512, 0), SQLITE_IOERR); /* still of the dead process */
        file->pMethods->xClose(file);
        assert_int_equal(later->pMethods->xRead(later, text, 4, 0), SQLITE_OK);
        assert_memory_equal(text, "aaaa", 4);
        later->pMethods->xClose(later);
        sim_disk_free(disk);
    }
}

static void a_copy_is_a_disk_of_its_own(void **state)
{
    struct open_file memory;
    struct sim_disk *disk = scene(), *copy = sim_disk_copy(disk, 2);
    (void)state;
    assert_string_not_equal(sim_disk_vfs(disk), sim_disk_vfs(copy));
    sqlite3_file *file = open_file(copy, &memory, "f", SQLITE_OPEN_MAIN_DB);
    assert_int_equal(put(file, 'd', 512, 0), SQLITE_OK);
    assert_int_equal(sync_file(file), SQLITE_OK);
    file->pMethods->xClose(file);
    assert_string_equal(sectors(disk, "f"), "abbacc");
    sim_disk_poke(disk, "f", 0, BYTES("rot"));
    sim_disk_crash(copy, SIM_DISK_LOSE, 0);
    assert_string_equal(sectors(copy, "f"), "dbbacc");
    sim_disk_start(copy);
    assert_true(sim_disk_carry(disk, "f", copy, "g"));
    assert_false(sim_disk_carry(disk, "none", copy, "g"));
    sim_disk_free(disk);
    sim_disk_crash(copy, SIM_DISK_LOSE, 0);
    assert_string_equal(sectors(copy, "g"), "?bbacc");
    sim_disk_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_what_its_kind_says),
        cmocka_unit_test(a_subset_is_of_sectors_and_garbage_is_one),
        cmocka_unit_test(garbage_stays_within_the_write_where_that_is_promised),
        cmocka_unit_test(names_last_when_the_folder_is_synced),
        cmocka_unit_test(a_truncation_is_an_operation),
        cmocka_unit_test(the_kth_call_fails_once_or_for_good),
        cmocka_unit_test(a_rate_follows_the_seed),
        cmocka_unit_test(a_failed_sync_may_lose_what_it_should_have_written),
        cmocka_unit_test(a_full_disk_takes_what_fits),
        cmocka_unit_test(the_power_goes_before_or_after_a_call),
        cmocka_unit_test(a_copy_is_a_disk_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
