/* The model changes while the cores are at work: learning it, servers that are behind, groups of a later model, what
 * is refused. */
#include "tests/lib/models_kit.h"

/* ---- learning ---- */

static void a_device_learns_and_loses_nothing(void **state)
{
    struct pair p;
    (void)state;
    start(&p, 1);
    struct pair_device *a = pair_enrol(&p, "a", "rep"), *b = pair_enrol(&p, "b", "rep");
    struct uuid one = pair_insert(&p, a, "thing", "name", "one");
    pair_sync(&p, a);
    pair_sync(&p, b);
    struct uuid old = pair_insert(&p, b, "thing", "name", "old group");
    assert_non_null(strstr(extend_with(&p, extension, true), "thing.size: a new column"));
    assert_false(hub_reopens(p.hub));
    extend(&p);
    assert_int_equal(p.config.model->version, 2);

    pair_sync(&p, a);
    assert_int_equal(version_of(a), 2);
    assert_string_equal(pair_cell(&p, a, "thing", one, "size"), "5");
    pair_set(&p, a, "thing", one, "size", "44");
    pair_set(&p, a, "thing", one, "level", "top");
    struct uuid note = pair_insert(&p, a, "extra", "note", "hello");
    pair_sync(&p, a);
    pair_sync(&p, b); /* pushes its group of the old model, too */
    pair_sync(&p, a);
    assert_string_equal(pair_cell(&p, b, "thing", one, "size"), "44");
    assert_string_equal(pair_cell(&p, b, "extra", note, "note"), "hello");
    assert_string_equal(pair_cell(&p, a, "thing", old, "name"), "old group");
    assert_string_equal(pair_cell(&p, a, "thing", old, "size"), "5");
    assert_int_equal(pair_status(b).outbox_count + pair_status(b).parked_count, 0);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    struct pair_device *c = pair_enrol(&p, "c", "rep");
    pair_sync(&p, c);
    pair_assert_equal(&p, c);
    assert_non_null(strstr(pair_admin(&p, "{\"do\":\"verify\"}"), "\"buckets_wrong\":0"));
    stop(&p);
}

/* The digests of what was there do not change, no log entry is made: a device that is up to date gets nothing. */
static void adding_a_column_sends_no_rows(void **state)
{
    struct pair p;
    (void)state;
    start(&p, 2);
    struct pair_device *a = pair_enrol(&p, "a", "rep");
    for (int i = 0; i < 50; i++)
        pair_insert(&p, a, "thing", "name",
                    "a thing with a name that takes some bytes on the wire");
    pair_sync(&p, a);
    pair_sync(&p, a);
    uint64_t before = a->bytes_down;
    pair_sync(&p, a);
    uint64_t idle = a->bytes_down - before;
    extend(&p);
    pair_sync(&p, a); /* the model, and two handshakes */
    assert_int_equal(version_of(a), 2);
    before = a->bytes_down;
    pair_sync(&p, a);
    assert_true(a->bytes_down - before <= idle + 200); /* one more start of headquarters */
    pair_assert_equal(&p, a);
    stop(&p);
}

static void labels_travel_as_well(void **state)
{
    struct pair p;
    (void)state;
    start(&p, 3);
    struct pair_device *a = pair_enrol(&p, "a", "rep");
    pair_sync(&p, a);
    uint8_t hash[32];
    memcpy(hash, a->store->model->hash, 32);
    assert_non_null(strstr(
        extend_with(
            &p,
            "{\"extends\":\"m\",\"tables\":[{\"name\":\"thing\",\"label\":{\"en\":\"Object\"}}]}",
            false),
        "\"ok\":true"));
    pair_run(&p);
    reopen_hub(&p, "hq");
    pair_sync(&p, a);
    assert_memory_equal(a->store->model->hash, hash, 32);
    assert_string_equal(model_table_by_id(a->store->model, 16)->label.text[0], "Object");
    pair_sync(&p, a);
    assert_int_equal(version_of(a), 2);
    stop(&p);
}

static void the_first_model_may_be_any(void **state)
{
    struct pair p;
    struct model *other = NULL;
    struct err_info info;
    char name[20];
    (void)state;
    start(&p, 4);
    struct pair_device *a = pair_enrol(&p, "a", "rep");
    /* its program came with another model, whose table of that name is another */
    assert_ok(model_parse(
        bytes_of_text("{\"name\":\"q\",\"version\":7,\"tables\":[{\"id\":30,\"name\":\"thing\","
                      "\"bucket\":\"company\",\"columns\":[{\"id\":1,\"name\":\"city\",\"type\":"
                      "\"real\"}]}]}"),
        &other, &info));
    replica_close(a->replica);
    store_close(a->store);
    char path[100];
    name_of(&p, a, name);
    path_of(name, path);
    assert_int_equal(unlink(path), 0);
    a->store = open_file(name, other, true);
    pair_open_device(&p, a);
    pair_sync(&p, a);
    assert_int_equal(version_of(a), 1);
    assert_string_equal(a->store->model->name, "m");
    struct uuid one = pair_insert(&p, a, "thing", "city", "Oslo");
    pair_sync(&p, a);
    assert_string_equal(pair_cell(&p, NULL, "thing", one, "city"), "Oslo");
    model_free(other);
    stop(&p);
}

/* ---- servers that are behind ---- */

static void a_later_device_at_an_earlier_branch(void **state)
{
    struct pair p;
    uint32_t version;
    (void)state;
    start(&p, 5);
    struct pair_branch *north = pair_branch_new(&p, "North", NULL);
    struct pair_device *a = pair_enrol_at(&p, "a", "North", north);
    struct pair_device *b = pair_enrol_at(&p, "b", "North", north);
    struct uuid one = pair_insert(&p, a, "thing", "name", "one");
    pair_sync(&p, a);
    pair_run(&p);
    pair_sync(&p, b);
    pair_cut(&p, north->link); /* for weeks */
    a->at = NULL;              /* and a is at headquarters meanwhile */
    extend(&p);
    pair_sync(&p, a);
    pair_set(&p, a, "thing", one, "size", "44");
    pair_sync(&p, a);

    a->at = north;
    struct uuid note = pair_insert(&p, a, "extra", "note", "of later");
    struct uuid two =
        pair_insert(&p, a, "thing", "name", "two"); /* names size, too, by its default */
    pair_set(&p, a, "thing", two, "size", "46");
    pair_sync(&p, a);
    assert_int_equal(server_model(a, &version), MODEL_EARLIER);
    assert_int_equal(version, 1);
    assert_string_equal(pair_cell(&p, a, "thing", one, "size"), "44"); /* nothing steps back */
    pair_set(&p, b, "thing", one, "city", "Rome");                     /* of the old model */
    pair_sync(&p, b);
    pair_sync(&p, a);
    assert_string_equal(pair_cell(&p, a, "thing", one, "city"), "Rome");
    assert_string_equal(pair_cell(&p, a, "thing", one, "size"), "44");
    assert_string_equal(pair_cell(&p, b, "thing", two, "name"),
                        "two"); /* a group that the branch can read */
    assert_int_equal(version_of(b), 1);

    branch_learns(&p, north);
    pair_run(&p);
    assert_int_equal(version_of(north->link), 2);
    for (int i = 0; i < 3; i++) {
        pair_sync(&p, b);
        pair_sync(&p, a);
    }
    assert_int_equal(version_of(b), 2);
    assert_string_equal(pair_cell(&p, b, "extra", note, "note"), "of later");
    assert_string_equal(pair_cell(&p, b, "thing", two, "size"), "46");
    assert_int_equal(server_model(a, &version), MODEL_SAME);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    stop(&p);
}

/* What a branch could not read it shows when it has learned the model, before headquarters has decided it. */
static void a_branch_shows_what_it_can_read_now(void **state)
{
    struct pair p;
    (void)state;
    start(&p, 6);
    struct pair_branch *north = pair_branch_new(&p, "North", NULL);
    struct pair_device *a = pair_enrol_at(&p, "a", "North", north);
    pair_sync(&p, a);
    pair_cut(&p, north->link);
    a->at = NULL;
    extend(&p);
    pair_sync(&p, a);
    a->at = north;
    struct uuid note = pair_insert(&p, a, "extra", "note", "kept");
    pair_sync(&p, a);
    assert_int_equal(replica_pending_count(north->link->replica), 1);
    /* the model comes, and the line is cut again before anything goes up */
    pair_connect(&p, north->link, false);
    while (north->link->up && pair_step(&p))
        continue;
    assert_true(north->link->learned);
    assert_int_equal(waiting(&p), 0);
    take_model(&p, north->link);
    assert_int_equal(replica_pending_count(north->link->replica), 1);
    assert_string_equal(pair_cell(&p, north->link, "extra", note, "note"), "kept");
    pair_connect(&p, north->link, false);
    pair_run(&p);
    assert_string_equal(pair_cell(&p, NULL, "extra", note, "note"), "kept");
    stop(&p);
}

static void copy_file(const char *from, const char *to)
{
    char a[100], b[100];
    struct buf text;
    struct err_info info;
    path_of(from, a);
    path_of(to, b);
    buf_init(&text, 64 << 20);
    assert_ok(os_file_read(a, &text, &info));
    assert_ok(os_file_write(b, buf_view(&text), 0600, &info));
    buf_done(&text);
}

/* Headquarters goes back to a copy of its store: restored. */
static void backup(struct pair *p)
{
    char path[100];
    struct err_info info = {0};
    path_of("backup", path);
    assert_ok(store_sqlite_backup(p->hub_store, path, NULL, NULL, &info));
}

static void restore(struct pair *p)
{
    p->now_ms += 1000;
    copy_file("backup", "restored");
    reopen_hub(p, "restored");
}

static void restored_to_before_the_change(void **state)
{
    struct pair p;
    uint32_t version;
    (void)state;
    start(&p, 7);
    struct pair_device *a = pair_enrol(&p, "a", "rep"), *b = pair_enrol(&p, "b", "rep");
    struct uuid one = pair_insert(&p, a, "thing", "name", "one");
    pair_sync(&p, a);
    pair_sync(&p, b);
    backup(&p);
    extend(&p);
    pair_sync(&p, a);
    pair_set(&p, a, "thing", one, "size", "44");
    pair_set(&p, a, "thing", one, "level",
             "top"); /* a symbol that the earlier model does not have */
    struct uuid note = pair_insert(&p, a, "extra", "note", "hello");
    pair_sync(&p, a);
    pair_sync(&p, b);
    pair_set(&p, b, "thing", one, "city", "Oslo"); /* builds on nothing that waits */
    pair_set(&p, b, "thing", one, "size", "45");   /* on what a wrote */
    pair_sync(&p, b);

    restore(&p);
    assert_int_equal(p.config.model->version, 1);
    for (int i = 0; i < 2; i++) {
        pair_sync(&p, a);
        pair_sync(&p, b);
    }
    assert_int_equal(server_model(a, &version), MODEL_EARLIER);
    assert_true(waiting(&p) > 0);
    assert_int_equal(pair_status(a).parked_count + pair_status(b).parked_count, 0);
    assert_string_equal(pair_cell(&p, NULL, "thing", one, "city"), "Oslo");
    assert_string_equal(pair_cell(&p, a, "extra", note, "note"), "hello"); /* pending again */
    assert_string_equal(pair_cell(&p, b, "thing", one, "size"), "45");

    /* once more, by the same file */
    assert_non_null(strstr(extend_with(&p, extension, false), "\"ok\":true"));
    pair_run(&p);
    reopen_hub(&p, "restored");
    for (int i = 0; i < 3; i++) {
        pair_sync(&p, a);
        pair_sync(&p, b);
    }
    assert_int_equal(waiting(&p), 0);
    assert_string_equal(pair_cell(&p, a, "thing", one, "size"), "45");
    assert_string_equal(pair_cell(&p, b, "thing", one, "level"), "top");
    assert_string_equal(pair_cell(&p, b, "extra", note, "note"), "hello");
    assert_int_equal(pair_status(a).outbox_count + pair_status(b).outbox_count, 0);
    assert_int_equal(pair_status(a).parked_count + pair_status(b).parked_count, 0);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    stop(&p);
}

/* Extended twice from one state, differently: no group may be taken for what it is not. */
static void a_model_that_is_no_continuation(void **state)
{
    struct pair p;
    uint32_t version;
    (void)state;
    start(&p, 8);
    struct pair_device *a = pair_enrol(&p, "a", "rep");
    struct uuid one = pair_insert(&p, a, "thing", "name", "one");
    pair_sync(&p, a);
    backup(&p);
    extend(&p);
    pair_sync(&p, a);
    restore(&p);
    assert_non_null(strstr(extend_with(&p, other_extension, false), "\"ok\":true"));
    pair_run(&p);
    reopen_hub(&p, "restored");
    pair_set(&p, a, "thing", one, "size", "44");
    pair_connect(&p, a, true);
    pair_run(&p);
    assert_true(a->ended);
    assert_err(a->why, ERR_MODEL);
    assert_non_null(strstr(a->message, "does not continue"));
    assert_int_equal(server_model(a, &version), MODEL_STRANGE);
    assert_int_equal(pair_status(a).outbox_count,
                     2); /* kept: what headquarters has of it is not looked at */
    assert_int_equal(pair_status(a).parked_count, 0);
    stop(&p);
}

static void the_other_way_round_it_is_refused(void **state)
{
    struct pair p;
    (void)state;
    start(&p, 9);
    assert_non_null(
        strstr(extend_with(&p, "{\"name\":\"m\",\"version\":2,\"tables\":[]}", false), "is gone"));
    assert_non_null(strstr(extend_with(&p, "{\"name\":\"m\",\"version\":2,\"tables\":[]}", false),
                           "\"allowed\":false"));
    assert_non_null(strstr(extend_with(&p, first_model, false), "\"EXISTS\""));
    assert_non_null(strstr(extend_with(&p, "[", false), "\"PARSE\""));
    assert_false(hub_reopens(p.hub));
    extend(&p);
    assert_non_null(strstr(extend_with(&p, extension, false), "\"EXISTS\""));
    stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_learns_and_loses_nothing),
        cmocka_unit_test(adding_a_column_sends_no_rows),
        cmocka_unit_test(labels_travel_as_well),
        cmocka_unit_test(the_first_model_may_be_any),
        cmocka_unit_test(a_later_device_at_an_earlier_branch),
        cmocka_unit_test(a_branch_shows_what_it_can_read_now),
        cmocka_unit_test(restored_to_before_the_change),
        cmocka_unit_test(a_model_that_is_no_continuation),
        cmocka_unit_test(the_other_way_round_it_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
