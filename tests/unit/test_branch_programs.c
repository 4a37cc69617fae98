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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_branch_numbers_its_runs_from_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
