/* What a branch's server needs of the cores that the stories of test_branch.c do not come by. */
#include "client/core/replica_relay.h"
#include "common/store_mem/store_mem.h"
#include "tests/lib/pair.h"

/* A branch's store is a branch's from the first day on: its list of runs begins with 1, as an uplink's does. */
static void a_new_branch_numbers_its_runs_from_one(void **state)
{
    struct pair p;
    struct err_info info = {0};
    struct store *store;
    struct replica *replica;
    (void)state;
    pair_init(&p, NULL, 1);
    assert_int_equal(store_mem_open(p.model, &store), ERR_OK);
    const struct replica_config config = {
        .model = p.model, .store = store, .crypto = p.crypto, .rng = &p.rng, .branch = true};
    for (int start = 0; start < 2; start++) {
        assert_int_equal(replica_open(&config, &replica, &info), ERR_OK);
        assert_int_equal(relay_run_end(replica), 1);
        replica_close(replica);
    }
    store_close(store);
    pair_done(&p);
}

struct town {
    struct pair p;
    struct pair_branch *kazan;
    struct pair_device *anna, *boris;
    struct uuid customer;
};

static void town_open(struct town *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    pair_init(&t->p, NULL, seed);
    t->kazan = pair_branch_new(&t->p, "Kazan", NULL);
    t->anna = pair_enrol_at(&t->p, "anna", "Kazan", t->kazan);
    t->boris = pair_enrol_at(&t->p, "boris", "Kazan", t->kazan);
    pair_connect(&t->p, t->anna, false);
    pair_run(&t->p);
    t->customer = pair_insert(&t->p, t->anna, "party", "name", "Acme");
    pair_connect(&t->p, t->boris, true);
    pair_run(&t->p);
}

/* The types of the frames that came down, in order. */
static uint8_t came[64];
static uint32_t came_count;

static void note_frame(struct pair_device *device, bool up, struct bytes frame)
{
    (void)device;
    if (!up && frame.size > 0 && came_count < sizeof came)
        came[came_count++] = frame.data[0];
}

static uint32_t place_of(uint8_t type)
{
    for (uint32_t i = 0; i < came_count; i++)
        if (came[i] == type)
            return i;
    fail_msg("no frame of type %u came", type);
    return 0;
}

/* One exchange brings what colleagues have at the branch, as a session that stays does. */
static void one_exchange_brings_what_is_pending(void **state)
{
    struct town t;
    struct uplink_effects effects;
    (void)state;
    town_open(&t, 2);
    pair_cut(&t.p, t.kazan->link);
    pair_set(&t.p, t.anna, "party", t.customer, "tax_id", "555");
    uplink_local_change(t.anna->uplink, (struct now){{t.p.now_ms}, {t.p.now_ms * 1000}}, &effects);
    pair_run(&t.p);
    t.boris->on_frame = note_frame;
    came_count = 0;
    pair_connect(&t.p, t.boris, true);
    pair_run(&t.p);
    assert_true(t.boris->ended);
    /* it stays until the branch has said that there is no more, which comes behind what there was */
    assert_in_range(place_of(MESSAGE_PENDING), 0, place_of(MESSAGE_PONG) - 1);
    assert_int_equal(t.boris->why, ERR_OK);
    assert_int_equal(replica_pending_count(t.boris->replica), pair_status(t.anna).outbox_count);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.customer, "tax_id"), "555");
    pair_done(&t.p);
}

/* News from headquarters end the session of a device that it has revoked, without waiting for anything else. */
static void a_branch_refuses_a_revoked_device_at_once(void **state)
{
    struct town t;
    char id[UUID_TEXT_SIZE], request[120];
    (void)state;
    town_open(&t, 3);
    pair_run(&t.p);
    uuid_format(&t.anna->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    pair_admin(&t.p, request);
    pair_run(&t.p);
    assert_false(t.anna->up);
    assert_int_equal(t.anna->why, ERR_REVOKED);
    pair_done(&t.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_branch_numbers_its_runs_from_one),
        cmocka_unit_test(one_exchange_brings_what_is_pending),
        cmocka_unit_test(a_branch_refuses_a_revoked_device_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
