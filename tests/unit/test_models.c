/* The model changes while the cores are at work: learning it, servers that are behind, groups of a later model, programs
 * that are too old, and who sends models that nobody asked for. Stores are files, opened anew as the programs do. */
#include "tests/lib/pair.h"

#include "common/model_change.h"
#include "common/os/os_file.h"
#include "common/store_models.h"
#include "common/store_sqlite/store_sqlite.h"

#include <dirent.h>
#include <unistd.h>

#define THING                                                                               \
    "{\"id\":16,\"name\":\"thing\",\"bucket\":\"company\",\"title\":\"name\",\"columns\":[" \
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\"},{\"id\":2,\"name\":\"city\",\"type\":"  \
    "\"text\"},"                                                                            \
    "{\"id\":3,\"name\":\"level\",\"type\":\"enum\",\"symbols\":[\"low\",\"mid\"]}]}"
static const char first_model[] = "{\"name\":\"m\",\"version\":1,\"tables\":[" THING "]}";
static const char extension[] = "{\"extends\":\"m\",\"tables\":[{\"name\":\"thing\",\"columns\":[{"
                                "\"name\":\"size\",\"type\":\"integer\","
                                "\"default\":5},{\"name\":\"level\",\"symbols\":[\"top\"]}]},{"
                                "\"name\":\"extra\",\"bucket\":\"company\","
                                "\"columns\":[{\"name\":\"note\",\"type\":\"text\"}]}]}";
/* another one, of the same version, that uses the id for something else */
static const char other_extension[] = "{\"extends\":\"m\",\"tables\":[{\"name\":\"thing\","
                                      "\"columns\":[{\"name\":\"colour\",\"type\":\"text\"}]}]}";

enum { MODELS_MAX = 64 };
static char folder[] = "/tmp/satchel-models-XXXXXX";
static struct model *opened[MODELS_MAX];
static uint32_t opened_count;

static void path_of(const char *name, char out[100])
{
    snprintf(out, 100, "%s/%s.db", folder, name);
}

/* The store with its own, or next, model; with `fresh` where it has none. */
static struct store *open_file(const char *name, const struct model *fresh, bool keeps_log)
{
    char path[100];
    struct err_info info = {0};
    struct model *own = NULL;
    struct store *store;
    path_of(name, path);
    const struct store_sqlite_options options = {
        .path = path, .synchronous = STORE_SQLITE_OFF, .keeps_log = keeps_log};
    enum err e = os_file_exists(path) ? store_sqlite_model(&options, &own, &info) : ERR_NOT_FOUND;
    assert_true(e == ERR_OK || e == ERR_NOT_FOUND);
    if (e == ERR_OK)
        opened[opened_count++] = own;
    if (store_sqlite_open(&options, e == ERR_OK ? own : fresh, &store, &info) != ERR_OK)
        fail_msg("%s", info.message);
    return store;
}

static void name_of(const struct pair *p, const struct pair_device *device, char out[20])
{
    snprintf(out, 20, "d%u", (unsigned)(device - p->devices));
}

static struct store *open_device_store(struct pair *p, uint32_t n)
{
    char name[20];
    name_of(p, &p->devices[n], name);
    return open_file(name, p->model, true);
}

static void open_branch_hub(struct pair *p, struct pair_branch *branch)
{
    struct err_info info = {0};
    struct hub_config config = {.model = branch->link->store->model,
                                .store = branch->link->store,
                                .crypto = p->crypto,
                                .rng = &p->rng,
                                .replica = branch->link->replica};
    memset(config.server_key, 7, 32);
    assert_ok(hub_open(&config, pair_hub_now(p), &branch->hub, &info));
}

/* As the programs do: everything is closed, and opened with the model that is next. */
static void take_model(struct pair *p, struct pair_device *device)
{
    char name[20];
    name_of(p, device, name);
    if (device->serves) {
        for (uint32_t i = 0; i < p->device_count; i++)
            if (p->devices[i].at == device->serves)
                pair_cut(p, &p->devices[i]);
        pair_close_branch(device->serves);
    }
    pair_cut(p, device);
    uplink_free(device->uplink);
    device->uplink = NULL;
    replica_close(device->replica);
    store_close(device->store);
    device->store = open_file(name, p->model, true);
    pair_open_device(p, device);
    if (device->serves)
        open_branch_hub(p, device->serves);
}

static void reopen_hub(struct pair *p, const char *name)
{
    struct err_info info = {0};
    for (uint32_t i = 0; i < p->device_count; i++)
        if (!p->devices[i].at)
            pair_cut(p, &p->devices[i]);
    hub_close(p->hub);
    store_close(p->hub_store);
    p->hub_store = p->config.store = open_file(name, p->model, true);
    p->config.model = p->hub_store->model;
    if (hub_open(&p->config, pair_hub_now(p), &p->hub, &info) != ERR_OK)
        fail_msg("%s", info.message);
}

static void start_with(struct pair *p, const char *model, uint64_t seed)
{
    struct err_info info = {0};
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    opened_count = 0;
    pair_init(p, model, seed);
    p->open_store = open_device_store;
    p->take_model = take_model;
    hub_close(p->hub);
    store_close(p->hub_store);
    p->hub_store = p->config.store = open_file("hq", p->model, true);
    assert_ok(hub_create(&p->config, pair_hub_now(p), &info));
    assert_ok(hub_open(&p->config, pair_hub_now(p), &p->hub, &info));
}

static void start(struct pair *p, uint64_t seed)
{
    start_with(p, first_model, seed);
}

static void stop(struct pair *p)
{
    pair_done(p);
    for (uint32_t i = 0; i < opened_count; i++)
        model_free(opened[i]);
    char path[400];
    DIR *list = opendir(folder);
    assert_non_null(list);
    for (const struct dirent *item; (item = readdir(list)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, item->d_name);
        (void)unlink(path);
    }
    closedir(list);
    assert_int_equal(rmdir(folder), 0);
}

static const char *extend_with(struct pair *p, const char *text, bool dry)
{
    static char said[4096];
    struct buf answer;
    buf_init(&answer, sizeof said - 1);
    assert_ok(hub_extend(p->hub, bytes_of_text(text), dry, pair_hub_now(p), &answer));
    memcpy(said, answer.data, answer.size);
    said[answer.size] = 0;
    buf_done(&answer);
    return said;
}

static void extend(struct pair *p)
{
    const char *said = extend_with(p, extension, false);
    if (!strstr(said, "\"ok\":true"))
        fail_msg("%s", said);
    assert_true(hub_reopens(p->hub));
    pair_run(p);
    reopen_hub(p, "hq");
}

/* A branch whose link has learned goes on with it. */
static void branch_learns(struct pair *p, struct pair_branch *branch)
{
    pair_connect(p, branch->link, false);
    pair_run(p);
    if (branch->link->learned)
        take_model(p, branch->link);
    pair_connect(p, branch->link, false);
    pair_run(p);
}

static uint32_t version_of(const struct pair_device *device)
{
    return device->store->model->version;
}

static enum replica_model server_model(const struct pair_device *device, uint32_t *ret_version)
{
    struct arena arena;
    enum replica_model state;
    const char *why;
    arena_init(&arena, 1 << 16);
    assert_ok(store_begin(device->store, STORE_READ));
    assert_ok(replica_server_model(device->store, &arena, &state, ret_version, &why));
    store_rollback(device->store);
    arena_done(&arena);
    return state;
}

static uint64_t waiting(struct pair *p)
{
    const char *text = strstr(pair_admin(p, "{\"do\":\"status\"}"), "\"waiting\":");
    return strtoull(text + 10, NULL, 10);
}

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
    assert_int_equal(pair_status(a).outbox_count, 2); /* kept: what headquarters has of it is not looked at */
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

/* ---- programs that are too old ---- */

/* Headquarters' text as a later program would have it: with a key that this one does not know. */
static void spoil(struct pair *p, struct model **ret)
{
    static struct model spoilt;
    static char text[200000];
    const struct model *model = p->hub_store->model;
    int size = snprintf(text, sizeof text, "{\"glow\":1,%.*s", (int)model->text.size - 1,
                        (const char *)model->text.data + 1);
    spoilt = *model;
    spoilt.text = bytes_of(text, (size_t)size);
    *ret = &spoilt;
}

static void a_program_that_is_too_old_pushes_and_is_told(void **state)
{
    struct pair p;
    struct err_info info;
    struct model *later;
    uint32_t version;
    (void)state;
    start(&p, 10);
    struct pair_device *a = pair_enrol(&p, "a", "rep"), *b = pair_enrol(&p, "b", "rep");
    pair_sync(&p, a);
    extend(&p);
    spoil(&p, &later);
    hub_close(p.hub);
    p.config.model = later;
    assert_ok(hub_open(&p.config, pair_hub_now(&p), &p.hub, &info));
    struct uuid one = pair_insert(&p, a, "thing", "name", "written meanwhile");
    pair_connect(&p, a, true);
    pair_run(&p);
    assert_true(a->ended);
    assert_err(a->why, ERR_MODEL);
    assert_non_null(strstr(a->message, "too old"));
    assert_non_null(strstr(a->message, "glow"));
    assert_int_equal(server_model(a, &version), MODEL_STRANGE);
    assert_int_equal(version, 2);
    assert_string_equal(pair_cell(&p, NULL, "thing", one, "name"), "written meanwhile");
    assert_int_equal(version_of(a), 1);
    /* live as well: it stays, and pushes */
    pair_go_live(&p, a);
    assert_true(a->up);
    struct uuid two = pair_insert(&p, a, "thing", "name", "live");
    pair_say(&p, a);
    assert_string_equal(pair_cell(&p, NULL, "thing", two, "name"), "live");
    assert_true(a->up);
    pair_cut(&p, a);
    /* who has nothing in common with it says nothing: a first sync */
    pair_insert(&p, b, "thing", "name", "alone");
    uint32_t count = pair_count(&p, NULL, "thing");
    pair_connect(&p, b, true);
    pair_run(&p);
    assert_err(b->why, ERR_MODEL);
    assert_int_equal(pair_count(&p, NULL, "thing"),
                     count + (b->message[0] && strstr(b->message, "too old") ? 1 : 0));
    /* updated: the same text without the key */
    hub_close(p.hub);
    p.config.model = p.hub_store->model;
    assert_ok(hub_open(&p.config, pair_hub_now(&p), &p.hub, &info));
    pair_sync(&p, a);
    pair_sync(&p, a);
    assert_int_equal(version_of(a), 2);
    assert_int_equal(pair_status(a).outbox_count, 0);
    pair_assert_equal(&p, a);
    stop(&p);
}

/* ---- pieces, and what nobody asked for ---- */

static void a_large_model_comes_in_pieces(void **state)
{
    struct pair p;
    (void)state;
    start(&p, 11);
    struct pair_device *a = pair_enrol(&p, "a", "rep");
    pair_sync(&p, a);
    /* noise in labels, so that it does not deflate away: 24 tables of 100 columns, about 1.2 MB */
    struct buf text;
    buf_init(&text, MODEL_FILE_MAX);
    const char *head = "{\"extends\":\"m\",\"tables\":[";
    assert_ok(buf_append(&text, head, strlen(head)));
    for (int t = 0; t < 24; t++) {
        char piece[700];
        int size =
            snprintf(piece, sizeof piece,
                     "%s{\"name\":\"big%d\",\"bucket\":\"company\",\"columns\":[", t ? "," : "", t);
        assert_ok(buf_append(&text, piece, (size_t)size));
        for (int c = 0; c < 100; c++) {
            char label[190];
            for (size_t i = 0; i + 1 < sizeof label; i++)
                label[i] = (char)('a' + seeded_below(&p.seeded, 26));
            label[sizeof label - 1] = 0;
            size = snprintf(
                piece, sizeof piece,
                "%s{\"name\":\"c%d\",\"type\":\"text\",\"label\":{\"en\":\"%s\",\"ru\":\"%s\"}}",
                c ? "," : "", c, label, label);
            assert_ok(buf_append(&text, piece, (size_t)size));
        }
        assert_ok(buf_append(&text, "]}", 2));
    }
    assert_ok(buf_append(&text, "]}", 3));
    assert_non_null(strstr(extend_with(&p, (const char *)text.data, true), "\"ok\":true"));
    struct buf answer;
    buf_init(&answer, 1 << 20);
    assert_ok(
        hub_extend(p.hub, bytes_of(text.data, text.size - 1), false, pair_hub_now(&p), &answer));
    buf_done(&answer);
    buf_done(&text);
    pair_run(&p);
    reopen_hub(&p, "hq");
    assert_true(p.config.model->text.size > 2 * (512 << 10));
    pair_sync(&p, a);
    assert_int_equal(a->store->model->table_count, p.config.model->table_count);
    assert_true(bytes_equal(a->store->model->text, p.config.model->text));
    stop(&p);
}

static struct bytes forged(const struct message_model *m, struct buf *out)
{
    static struct deflater *deflater;
    struct buf payload;
    const struct message message = {.type = MESSAGE_MODEL, .as.model = *m};
    buf_init(&payload, 2 << 20);
    if (!deflater)
        assert_ok(deflater_new(1, &deflater));
    buf_reset(out);
    assert_ok(frame_encode(&message, deflater, &payload, out));
    buf_done(&payload);
    return buf_view(out);
}

/* A device that has asked, and what it gets instead of an answer. */
static enum err told(uint64_t seed, const struct message_model *m)
{
    struct pair p;
    struct uplink_effects effects;
    struct buf frame;
    start(&p, seed);
    struct pair_device *a = pair_enrol(&p, "a", "rep");
    pair_sync(&p, a);
    extend(&p);
    pair_connect(&p, a, false);
    buf_init(&frame, FRAME_MAX);
    for (int i = 0; i < 3; i++) { /* until MODEL_ASK has gone */
        for (int k = 0; k < 8; k++) {
            uplink_next_frame(a->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &frame,
                              &effects);
            if (!frame.size)
                break;
            if (frame.data[0] == MESSAGE_MODEL_ASK)
                goto asked;
            hub_receive(p.hub, a->peer, buf_view(&frame), pair_hub_now(&p));
        }
        assert_ok(hub_turn(p.hub, pair_hub_now(&p)));
        for (;;) {
            hub_next_frame(p.hub, a->peer, pair_hub_now(&p), &frame);
            if (!frame.size)
                break;
            uplink_receive(a->uplink, buf_view(&frame), (struct now){{p.now_ms}, {p.now_ms * 1000}},
                           &effects);
        }
    }
    fail_msg("nothing was asked");
asked:;
    struct message_model answer = *m;
    if (answer.hash.size == 1)
        answer.hash = bytes_of(p.config.model->hash, 32);
    uplink_receive(a->uplink, forged(&answer, &frame), (struct now){{p.now_ms}, {p.now_ms * 1000}},
                   &effects);
    enum err why = effects.hang_up ? effects.why : ERR_OK;
    assert_false(effects.learned);
    assert_int_equal(version_of(a), 1);
    buf_done(&frame);
    stop(&p);
    return why;
}

static void forged_models_are_refused(void **state)
{
    static const uint8_t wrong[32] = {1};
    const struct bytes right = bytes_of("h", 1), data = bytes_of_text("{\"a\":1}");
    (void)state;
    assert_err(told(20, &(struct message_model){2, bytes_of(wrong, 32), 7, 0, data, NULL, 0}),
               ERR_PROTOCOL);
    assert_err(told(21, &(struct message_model){2, right, 7, 1, data, NULL, 0}), ERR_PROTOCOL);
    assert_err(told(22, &(struct message_model){2, right, 6, 0, data, NULL, 0}), ERR_PROTOCOL);
    assert_err(told(23, &(struct message_model){2, right, 7, 0, bytes_of("", 0), NULL, 0}),
               ERR_PROTOCOL);
    assert_err(told(24, &(struct message_model){2, right, MODEL_WHOLE_MAX + 1u, 0, data, NULL, 0}),
               ERR_PROTOCOL);
    assert_err(told(25, &(struct message_model){2, right, 7, 0, data, NULL, 0}),
               ERR_MODEL); /* not readable, unknown */
    /* a readable one of another hash */
    struct model *other;
    struct err_info info;
    assert_ok(model_parse(bytes_of_text(first_model), &other, &info));
    assert_err(
        told(26, &(struct message_model){2, right, other->text.size, 0, other->text, NULL, 0}),
        ERR_MALFORMED);
    model_free(other);
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
        cmocka_unit_test(a_program_that_is_too_old_pushes_and_is_told),
        cmocka_unit_test(a_large_model_comes_in_pieces),
        cmocka_unit_test(forged_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
