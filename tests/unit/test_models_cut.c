/* ctest: valgrind=no */
/* A power cut at each call of the disk while headquarters takes a model over: the store has the old model or the new
 * one, whole, and what was there before is there. */
#include "common/model_change.h"
#include "common/store_sqlite/store_sqlite.h"
#include "server/core/hub.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/unit.h"

#include <sqlite3.h>

static const char first_model[] = "{\"name\":\"m\",\"version\":1,\"tables\":[{\"id\":16,\"name\":"
                                  "\"thing\",\"bucket\":\"company\",\"columns\":["
                                  "{\"id\":1,\"name\":\"name\",\"type\":\"text\"}]}]}";
static const char extension[] = "{\"extends\":\"m\",\"tables\":[{\"name\":\"thing\",\"columns\":[{"
                                "\"name\":\"size\",\"type\":\"integer\","
                                "\"default\":5}]},{\"name\":\"extra\",\"bucket\":\"company\","
                                "\"columns\":[{\"name\":\"note\",\"type\":\"text\"}]}]}";

struct place {
    struct sim_disk *disk;
    struct model *model;
    struct store *store;
    struct crypto *crypto;
    struct seeded_rng seeded;
    struct rng rng;
    struct hub *hub;
};

static const struct hub_now now = {{1760000000000}, {1000000}};

static struct hub_config config_of(const struct place *p)
{
    struct hub_config config = {
        .model = p->model, .store = p->store, .crypto = p->crypto, .rng = &p->rng};
    memset(config.server_key, 7, 32);
    return config;
}

static void close_place(struct place *p)
{
    hub_close(p->hub);
    store_close(p->store);
    model_free(p->model);
    p->hub = NULL;
    p->store = NULL;
    p->model = NULL;
}

/* As the programs open: the store's next, or own, model. */
static enum err open_place(struct place *p, bool create)
{
    struct err_info info = {0};
    const struct store_sqlite_options options = {
        .path = "hq.db", .vfs = sim_disk_vfs(p->disk), .keeps_log = true};
    enum err e = create ? ERR_NOT_FOUND : store_sqlite_model(&options, false, &p->model, &info);
    if (e == ERR_NOT_FOUND)
        e = model_parse(bytes_of_text(first_model), &p->model, &info);
    if (e == ERR_OK)
        e = store_sqlite_open(&options, p->model, &p->store, &info);
    const struct hub_config config = config_of(p);
    if (e == ERR_OK && create)
        e = hub_create(&config, now, &info);
    if (e == ERR_OK)
        e = hub_open(&config, now, &p->hub, &info);
    if (e != ERR_OK)
        close_place(p);
    return e;
}

static bool has(struct place *p, const char *sql)
{
    sqlite3_stmt *row = NULL;
    sqlite3 *db = store_sqlite_handle(p->store);
    bool found = sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK &&
                 sqlite3_step(row) == SQLITE_ROW && sqlite3_column_int64(row, 0) > 0;
    sqlite3_finalize(row);
    return found;
}

static void admin(struct place *p, const char *request)
{
    struct buf answer;
    buf_init(&answer, 1 << 20);
    assert_ok(hub_admin(p->hub, bytes_of_text(request), now, &answer));
    assert_ok(buf_append_byte(&answer, 0));
    assert_non_null(strstr((const char *)answer.data, "\"ok\":true"));
    buf_done(&answer);
}

/* Extends, and opens with the new model; whether it was told that the model is the new one. */
static bool change(struct place *p)
{
    struct buf answer;
    buf_init(&answer, 1 << 20);
    bool said = hub_extend(p->hub, bytes_of_text(extension), false, now, &answer) == ERR_OK &&
                hub_reopens(p->hub);
    buf_done(&answer);
    close_place(p);
    if (said)
        (void)open_place(p, false);
    close_place(p);
    return said;
}

/* After the cut: one model, with its tables, and all that was there. */
static uint32_t look(struct place *p, uint64_t at)
{
    assert_ok(open_place(p, false));
    bool later = p->model->version == 2;
    bool column = has(p, "SELECT count(*) FROM pragma_table_info('thing') WHERE name='size'");
    bool table = has(p, "SELECT count(*) FROM sqlite_schema WHERE name='extra'");
    bool next = has(p, "SELECT count(*) FROM satchel_models WHERE k=CAST('next' AS BLOB)");
    bool noted = has(p, "SELECT version=2 FROM satchel_model");
    bool audited =
        has(p, "SELECT count(*) FROM satchel_audit WHERE instr(v,CAST('\"model\"' AS BLOB))>0");
    if (column != later || table != later || noted != later || audited != later || next)
        fail_msg("at call %llu: version %u, column %d, table %d, noted %d, audited %d, next %d",
                 (unsigned long long)at, (unsigned)p->model->version, column, table, noted, audited,
                 next);
    assert_true(has(p, "SELECT count(*) FROM user WHERE login='anna'"));
    admin(p, "{\"do\":\"verify\"}");
    admin(p, "{\"do\":\"user-add\",\"login\":\"bert\"}"); /* it goes on */
    uint32_t version = p->model->version;
    close_place(p);
    return version;
}

static void old_or_new_never_between(void **state)
{
    struct place p = {0};
    struct sim_disk *template = sim_disk_new(1);
    uint32_t seen[3] = {0};
    uint64_t cuts = 0;
    (void)state;
    assert_ok(crypto_new(&p.crypto));
    seeded_rng_start(&p.seeded, 1);
    p.rng = seeded_rng_interface(&p.seeded);
    p.disk = template;
    assert_ok(open_place(&p, true));
    admin(&p, "{\"do\":\"user-add\",\"login\":\"anna\"}");
    close_place(&p);
    sim_disk_sync_all(template);
    for (uint64_t at = 1, hit = 1; hit; at += unit_step(3))
        for (int survivors = 0; survivors < SIM_DISK_SURVIVORS_COUNT; survivors += 2) {
            p.disk = sim_disk_copy(template, at);
            assert_ok(open_place(&p, false));
            const struct sim_disk_fault fault = {
                .calls = SIM_DISK_CHANGES, .at = at, .effect = SIM_DISK_POWER_BEFORE};
            sim_disk_fail(p.disk, &fault);
            bool said = change(&p);
            hit = sim_disk_hits(p.disk);
            if (hit)
                sim_disk_crash(p.disk, (enum sim_disk_survivors)survivors, at);
            else
                sim_disk_no_faults(p.disk);
            if (sim_disk_is_down(p.disk))
                sim_disk_start(p.disk);
            uint32_t version = look(&p, at);
            assert_true(!said || version == 2); /* what was said stays so */
            seen[version]++;
            cuts += hit;
            sim_disk_free(p.disk);
        }
    print_message("%llu cuts: %u times the old model, %u times the new one\n",
                  (unsigned long long)cuts, seen[1], seen[2]);
    assert_true(seen[1] > 10 && seen[2] > 10);
    sim_disk_free(template);
    crypto_free(p.crypto);
}

/* A disk that is full, or fails, at each call: nothing is between either, and the next opening does it. */
static void errors_leave_it_whole(void **state)
{
    struct place p = {0};
    struct sim_disk *template = sim_disk_new(2);
    (void)state;
    assert_ok(crypto_new(&p.crypto));
    seeded_rng_start(&p.seeded, 2);
    p.rng = seeded_rng_interface(&p.seeded);
    p.disk = template;
    assert_ok(open_place(&p, true));
    admin(&p, "{\"do\":\"user-add\",\"login\":\"anna\"}");
    close_place(&p);
    sim_disk_sync_all(template);
    static const int codes[] = {SQLITE_FULL, SQLITE_IOERR_WRITE};
    for (int c = 0; c < 2; c++)
        for (uint64_t at = 1, hit = 1; hit; at += unit_step(3)) {
            p.disk = sim_disk_copy(template, at);
            assert_ok(open_place(&p, false));
            const struct sim_disk_fault fault = {.calls = SIM_DISK_BIT(SIM_DISK_WRITE) |
                                                          SIM_DISK_BIT(SIM_DISK_SYNC),
                                                 .at = at,
                                                 .effect = SIM_DISK_FAILS,
                                                 .code = codes[c]};
            sim_disk_fail(p.disk, &fault);
            bool said = change(&p);
            hit = sim_disk_hits(p.disk);
            sim_disk_no_faults(p.disk);
            uint32_t version = look(&p, at);
            assert_true(!said || version == 2);
            sim_disk_free(p.disk);
        }
    sim_disk_free(template);
    crypto_free(p.crypto);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_or_new_never_between),
        cmocka_unit_test(errors_leave_it_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
