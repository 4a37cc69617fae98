/* Random histories of months, with deletes, moves, late writes and devices that stay away: the log never grows past the
 * data, digests agree at every exchange, and when all is quiet for long enough nothing is left of what was deleted.
 * ctest: timeout=300 */
#include "tests/lib/ages.h"
#include "tests/lib/hands.h"

enum { DEVICES = 4, SEEDS = 6, EVENTS = 150, HORIZON_DAYS = 10, RECORDS = 400 };

struct months {
    struct pair p;
    struct pair_device *devices[DEVICES];
    struct uuid users[DEVICES];
    struct uuid records[RECORDS]; /* customers; some have gone */
    uint32_t count;
    struct seeded_rng dice;
};

static uint32_t draw(struct months *m, uint32_t below)
{
    return (uint32_t)seeded_below(&m->dice, below);
}

static void months_open(struct months *m, uint64_t seed)
{
    static const char *const logins[DEVICES] = {"anna", "boris", "cleo", "maria"};
    m->count = 0;
    seeded_rng_start(&m->dice, seed);
    pair_init(&m->p, NULL, seed);
    m->p.config.retention.horizon_ms = HORIZON_DAYS * DAY_MS;
    m->p.config.retention.lease_ms = 3 * DAY_MS;
    m->p.config.retention.archive_ms = 2 * HORIZON_DAYS * DAY_MS;
    pair_restart_hub(&m->p);
    for (int i = 0; i < DEVICES; i++) {
        m->devices[i] = pair_enrol(&m->p, logins[i], i == 3 ? "admin" : "rep");
        m->users[i] = hands_user(&m->p, logins[i]);
    }
    pair_sync_all(&m->p);
}

static void write_something(struct months *m)
{
    struct pair_device *d = m->devices[draw(m, DEVICES)];
    uint32_t kind = draw(m, 10);
    if (m->count < 5 || (kind < 3 && m->count < RECORDS)) {
        m->records[m->count++] = draw(m, 2)
                                     ? pair_insert(&m->p, d, "party", "name", "Acme")
                                     : hands_customer(&m->p, d, "Acme", m->users[d - m->p.devices]);
        return;
    }
    struct uuid id = m->records[draw(m, m->count)];
    if (!hands_shows(&m->p, d, "party", id))
        return;
    if (kind < 5)
        hands_contact(&m->p, d, id, "Ada");
    else if (kind < 7)
        pair_set(&m->p, d, "party", id, "website", draw(m, 2) ? "a.example" : "b.example");
    else if (kind < 9)
        pair_delete(&m->p, d, "party", id);
    else
        hands_give(&m->p, d, id, m->users[draw(m, DEVICES)]);
}

static void sync_one(struct months *m, struct pair_device *d)
{
    struct err_info info;
    uint64_t oseq;
    pair_sync(&m->p, d);
    assert_false(pair_status(d).differs);
    enum reason reason = ages_parked(d, &oseq);
    if (reason == REASON_PURGED && draw(m, 2))
        (void)replica_parked_retry(d->replica, oseq, m->p.now_ms, &info);
    else if (reason != REASON_NONE && draw(m, 2))
        assert_ok(replica_parked_discard(d->replica, oseq, &info));
}

/* One entry for each record, dead ones among them, and one for each departure. */
static void assert_log_is_bounded(struct months *m)
{
    assert_int_equal(ages_log(m->p.hub_store),
                     ages_records(&m->p, m->p.hub_store) + ages_side(m->p.hub_store, SIDE_MOVED));
}

static void the_log_never_grows_past_the_data(void **state)
{
    (void)state;
    uint64_t purged = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct months m;
        struct hub_stats stats;
        months_open(&m, seed);
        for (int i = 0; i < EVENTS; i++) {
            for (uint32_t n = draw(&m, 4); n > 0; n--)
                write_something(&m);
            if (draw(&m, 3))
                sync_one(&m, m.devices[draw(&m, DEVICES)]);
            if (draw(&m, 3) == 0)
                ages_pass(&m.p, 1 + (int)draw(&m, 4));
            assert_log_is_bounded(&m);
        }
        for (int i = 0; i < 20;
             i++) { /* nobody writes, and who has something set aside gives it up */
            for (int d = 0; d < DEVICES; d++)
                (void)hands_give_up(m.devices[d]);
            pair_sync_all(&m.p);
            ages_pass(&m.p, 3);
        }
        pair_sync_all(&m.p);
        hub_stats(m.p.hub, &stats);
        purged += stats.records_purged;
        assert_log_is_bounded(&m);
        assert_int_equal(ages_dead(&m.p, m.p.hub_store), 0);
        assert_int_equal(ages_side(m.p.hub_store, SIDE_MOVED), 0);
        assert_int_equal(ages_side(m.p.hub_store, SIDE_WAITING), 0);
        for (int d = 0; d < DEVICES; d++) {
            assert_int_equal(ages_dead(&m.p, m.devices[d]->store), 0);
            assert_int_equal(pair_status(m.devices[d]).sent_count, 0);
            assert_int_equal(ages_side(m.devices[d]->store, SIDE_KEPT), 0);
            pair_assert_equal(&m.p, m.devices[d]);
        }
        hands_assert_verified(&m.p);
        pair_done(&m.p);
    }
    print_message("%u histories, %llu records purged\n", SEEDS, (unsigned long long)purged);
    assert_true(purged > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_never_grows_past_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
