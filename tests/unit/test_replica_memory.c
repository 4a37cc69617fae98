/* Memory runs out at each allocation of a local write: what a commit says is there is there, whole.
 *
 * ctest: valgrind=no */
#include "tests/lib/failing_alloc.h"
#include "tests/lib/pair.h"

static enum err write_set(struct pair *p, struct pair_device *device, const struct uuid *id,
                          const char *json)
{
    const struct model_table *party = model_table_by_name(p->model, bytes_of_text("party"));
    const uint16_t column = model_column_by_name(party, bytes_of_text("phones"))->index;
    const struct value value = value_text(bytes_of_text(json));
    struct err_info info;
    struct dot dot;
    enum err e = replica_begin(device->replica, p->now_ms);
    if (e != ERR_OK)
        return e;
    e = replica_update(device->replica, party, id, &column, &value, 1, false, &info);
    if (e == ERR_OK)
        return replica_commit(device->replica, &dot);
    replica_rollback(device->replica);
    return e;
}

/* An element that was lost on the way would be a number that somebody typed. */
static void a_set_is_written_whole_or_not(void **state)
{
    (void)state;
    static struct pair p;
    pair_init(&p, NULL, 1);
    struct pair_device *device = pair_enrol(&p, "anna", "admin");
    struct uuid id = pair_insert(&p, device, "party", "name", "Acme");
    bool failed = failing_alloc_works();
    for (uint64_t k = 1; failed; k++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "[\"%u\",\"x\"]", (unsigned)(100000 + k));
        failing_alloc_start(k);
        enum err e = write_set(&p, device, &id, wanted);
        failed = failing_alloc_stop();
        char shown[64];
        snprintf(shown, sizeof shown, "%u; x", (unsigned)(100000 + k));
        if (e == ERR_OK)
            assert_string_equal(pair_cell(&p, device, "party", id, "phones"), shown);
        else
            assert_int_equal(e, ERR_NOMEM);
    }
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_set_is_written_whole_or_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
