/* Origins that another device has claimed before their owner came: the owner goes on under a new one, and
 * nothing that it wrote is lost. */
#include "tests/lib/hostile.h"
#include "tests/lib/pair_copy.h"

struct play {
    struct pair pair;
    struct pair_device *owner, *friend, *thief;
    struct uuid id;
};

static uint64_t origin_of(struct pair_device *device)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    return status.origin;
}

static void play_start(struct play *play, uint64_t seed)
{
    pair_init(&play->pair, NULL, seed);
    play->owner = pair_enrol(&play->pair, "olga", "admin");
    play->friend = pair_enrol(&play->pair, "fred", "admin");
    play->thief = pair_enrol(&play->pair, "theo", "admin");
}

/* The thief's device proves itself under this origin, and is let in. */
static void steal(struct play *play, uint64_t origin)
{
    struct hostile h;
    hostile_attach(&h, &play->pair, play->thief);
    h.origin = origin;
    hostile_open(&h);
    hostile_settle(&h);
    hostile_end(&h);
}

static void play_end(struct play *play, uint64_t stolen)
{
    struct pair *p = &play->pair;
    for (int round = 0; round < 3; round++) {
        pair_sync(p, play->owner);
        pair_sync(p, play->friend);
    }
    assert_int_not_equal(origin_of(play->owner), stolen);
    pair_assert_equal(p, play->owner);
    pair_assert_equal(p, play->friend);
    pair_done(p);
}

static void an_origin_that_headquarters_did_not_know(void **state)
{
    (void)state;
    struct play play;
    play_start(&play, 61);
    struct pair *p = &play.pair;
    uint64_t stolen = origin_of(play.owner);
    struct uuid id = pair_insert(p, play.owner, "party", "name", "Acme");
    pair_set(p, play.owner, "party", id, "loyalty_points", "7");
    steal(&play, stolen);
    pair_sync(p, play.owner);
    assert_string_equal(pair_cell(p, NULL, "party", id, "name"), "Acme");
    assert_string_equal(pair_cell(p, NULL, "party", id, "loyalty_points"), "7");
    play_end(&play, stolen);
}

/* Headquarters was restored from before all that the owner ever sent. */
static void an_origin_that_headquarters_has_forgotten(void **state)
{
    (void)state;
    struct play play;
    play_start(&play, 62);
    struct pair *p = &play.pair;
    uint64_t stolen = origin_of(play.owner);
    struct store *backup = pair_copy_store(p, p->hub_store);
    struct uuid id = pair_insert(p, play.owner, "party", "name", "Acme");
    pair_set(p, play.owner, "party", id, "loyalty_points", "7");
    pair_sync(p, play.owner);
    pair_put_hub_store(p, backup);
    pair_set(p, play.owner, "party", id, "legal_name", "Acme Ltd");
    steal(&play, stolen);
    pair_sync(p, play.owner);
    assert_string_equal(pair_cell(p, NULL, "party", id, "name"), "Acme");
    assert_string_equal(pair_cell(p, NULL, "party", id, "legal_name"), "Acme Ltd");
    assert_string_equal(pair_cell(p, NULL, "party", id, "loyalty_points"), "7");
    play_end(&play, stolen);
}

/* The same of an origin that the owner wrote under before it forked; its present one is its own. */
static void an_older_origin_that_headquarters_has_forgotten(void **state)
{
    (void)state;
    struct play play;
    play_start(&play, 63);
    struct pair *p = &play.pair;
    uint64_t stolen = origin_of(play.owner);
    struct store *backup = pair_copy_store(p, p->hub_store);
    struct uuid id = pair_insert(p, play.owner, "party", "name", "Acme");
    pair_set(p, play.owner, "party", id, "loyalty_points", "7");
    pair_sync(p, play.owner);
    assert_ok(replica_fork(play.owner->replica, UINT64_MAX, p->now_ms));
    pair_restart_device(p, play.owner);
    struct uuid other = pair_insert(p, play.owner, "party", "name", "Apex");
    pair_sync(p, play.owner);
    pair_put_hub_store(p, backup);
    steal(&play, stolen);
    pair_sync(p, play.owner);
    assert_string_equal(pair_cell(p, NULL, "party", id, "name"), "Acme");
    assert_string_equal(pair_cell(p, NULL, "party", id, "loyalty_points"), "7");
    assert_string_equal(pair_cell(p, NULL, "party", other, "name"), "Apex");
    play_end(&play, stolen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_that_headquarters_did_not_know),
        cmocka_unit_test(an_origin_that_headquarters_has_forgotten),
        cmocka_unit_test(an_older_origin_that_headquarters_has_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
