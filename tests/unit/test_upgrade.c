/* A later program opens what an earlier one has left: its system tables have more columns. The earlier one is
 * this program with a part of its system tables taken away, which is what its whole texts say. */
#include "client/api/satchel.h"
#include "common/os/os_clock.h"
#include "common/os/os_rng.h"
#include "common/store_sqlite/store_sqlite.h"
#include "server/core/hub.h"
#include "tests/lib/unit.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/satchel-upgrade-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    char path[400];
    DIR *list = opendir(folder);
    (void)state;
    for (const struct dirent *item; list && (item = readdir(list)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, item->d_name);
        (void)unlink(path);
    }
    closedir(list);
    return rmdir(folder);
}

/* Without the last column of `branch`. */
static struct model *earlier_model(void)
{
    struct model *now, *earlier;
    struct err_info info = {0};
    assert_ok(model_builtin(&now, &info));
    char *text = malloc(now->text.size + 1);
    memcpy(text, now->text.data, now->text.size);
    text[now->text.size] = 0;
    char *from = strstr(text, ",{\"id\":5,\"name\":\"time_zone\""), *to = strstr(from, "}}") + 2;
    memmove(from, to, strlen(to) + 1);
    if (model_parse_given(bytes_of_text(text), &earlier, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_int_equal(model_table_by_id(earlier, TABLE_BRANCH)->column_count + 1,
                     model_table_by_id(now, TABLE_BRANCH)->column_count);
    free(text);
    model_free(now);
    return earlier;
}

/* A replica of the earlier program. forget: as the programs before texts were kept. */
static void leave_replica(const char *name, bool forget)
{
    char path[128];
    struct err_info info = {0};
    struct store *store;
    struct replica *replica;
    struct crypto *crypto;
    struct rng rng = os_rng();
    struct model *model = earlier_model();
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const struct store_sqlite_options options = {.path = path};
    assert_ok(crypto_new(&crypto));
    assert_ok(store_sqlite_open(&options, model, &store, &info));
    const struct replica_config config = {
        .model = model, .store = store, .crypto = crypto, .rng = &rng};
    assert_ok(replica_open(&config, &replica, &info));
    const struct model_table *table = model_table_by_name(model, bytes_of_text("party"));
    const uint16_t column = model_column_by_name(table, bytes_of_text("name"))->index;
    const struct value value = value_text(bytes_of_text("Acme"));
    struct uuid id = {{0}};
    struct dot dot;
    assert_ok(replica_begin(replica, 1760000000000));
    assert_ok(replica_insert(replica, table, &id, &column, &value, 1, &info));
    assert_ok(replica_commit(replica, &dot));
    if (forget) {
        assert_ok(store_begin(store, STORE_WRITE));
        assert_ok(store_side_delete(store, SIDE_MODELS, bytes_of_text("text")));
        assert_ok(store_commit(store));
    }
    replica_close(replica);
    store_close(store);
    crypto_free(crypto);
    model_free(model);
}

static void check(bool read_only)
{
    struct satchel *h = NULL;
    struct satchel_error error = {0};
    struct satchel_status status;
    struct satchel_id id;
    const struct satchel_options options = {
        .directory = folder, .create = true, .read_only = read_only};
    if (satchel_open(&options, &h, &error) != SATCHEL_OK)
        fail_msg("%s", error.message);
    assert_non_null(satchel_column(satchel_table(h, "branch"), "time_zone"));
    assert_int_equal(satchel_resolve(h, "party", "Acme", &id), SATCHEL_OK);
    assert_int_equal(satchel_status(h, &status), SATCHEL_OK);
    assert_int_equal(status.saved_here, 1);
    satchel_close(h);
}

static void a_device_that_writes(void **state)
{
    (void)state;
    leave_replica("replica.db", false);
    check(false);
    check(true);
}

static void a_device_that_only_reads(void **state)
{
    (void)state;
    leave_replica("replica.db", false);
    check(true);
    check(false);
}

static void one_from_before_texts_were_kept(void **state)
{
    (void)state;
    leave_replica("replica.db", true);
    check(true);
    check(false);
}

/* A file that is not to be touched is read with the tables that it has. */
static void a_backup_as_it_is(void **state)
{
    char path[128];
    struct model *model, *later;
    struct store *store;
    struct err_info info = {0};
    (void)state;
    leave_replica("old.db", false);
    snprintf(path, sizeof path, "%s/old.db", folder);
    const struct store_sqlite_options options = {.path = path, .read_only = true};
    assert_ok(store_sqlite_model(&options, true, &model, &info));
    assert_ok(store_sqlite_model(&options, false, &later, &info));
    assert_err(store_sqlite_open(&options, later, &store, &info), ERR_MODEL);
    assert_ok(store_sqlite_open(&options, model, &store, &info));
    store_close(store);
    const struct store_sqlite_options any = {.path = path, .read_only = true, .any_model = true};
    assert_ok(store_sqlite_open(&any, later, &store, &info));
    store_close(store);
    model_free(model);
    model_free(later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_device_that_writes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_device_that_only_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_from_before_texts_were_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_backup_as_it_is, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
