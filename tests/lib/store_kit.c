#include "tests/lib/store_kit.h"

#include <unistd.h>

#include "common/store_mem/store_mem.h"
#include "tests/lib/seeded_rng.h"

enum { ARENA_MAX = 256 << 20 };

const char *const store_kit_model_json =
    "{\"name\":\"kit\",\"version\":2,\"tables\":["
    "{\"id\":16,\"name\":\"thing\",\"label\":{\"en\":\"Thing\"},\"delete\":\"revives\","
    "\"bucket\":\"company\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}},"
    "{\"id\":2,\"name\":\"amount\",\"type\":\"integer\",\"label\":{\"en\":\"Amount\"}},"
    "{\"id\":3,\"name\":\"weight\",\"type\":\"real\",\"label\":{\"en\":\"Weight\"}},"
    "{\"id\":4,\"name\":\"price\",\"type\":\"money\",\"currency\":\"EUR\","
    "\"label\":{\"en\":\"Price\"}},"
    "{\"id\":5,\"name\":\"born\",\"type\":\"date\",\"label\":{\"en\":\"Born\"}},"
    "{\"id\":6,\"name\":\"seen\",\"type\":\"instant\",\"label\":{\"en\":\"Seen\"}},"
    "{\"id\":7,\"name\":\"active\",\"type\":\"boolean\",\"default\":true,"
    "\"label\":{\"en\":\"Active\"}},"
    "{\"id\":8,\"name\":\"tags\",\"type\":\"set\",\"label\":{\"en\":\"Tags\"}},"
    "{\"id\":9,\"name\":\"photo\",\"type\":\"blob\",\"label\":{\"en\":\"Photo\"}},"
    "{\"id\":10,\"name\":\"state\",\"type\":\"enum\",\"default\":\"new\","
    "\"label\":{\"en\":\"State\"},\"symbols\":["
    "{\"name\":\"new\",\"label\":{\"en\":\"New\"}},{\"name\":\"old\",\"label\":{\"en\":\"Old\"}}]},"
    "{\"id\":12,\"name\":\"note\",\"type\":\"text\",\"default\":\"it's \\\"so\\\"\","
    "\"label\":{\"en\":\"Note\"}}]},"
    "{\"id\":17,\"name\":\"part\",\"label\":{\"en\":\"Part\"},\"delete\":\"wins\","
    "\"bucket\":\"inherit\",\"parent\":\"thing\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}},"
    "{\"id\":2,\"name\":\"thing\",\"type\":\"reference\",\"target\":\"thing\","
    "\"label\":{\"en\":\"Thing\"}}]},"
    "{\"id\":18,\"name\":\"purchase\",\"label\":{\"en\":\"Purchase\"},\"delete\":\"revives\","
    "\"bucket\":\"company\",\"title\":\"sku\",\"columns\":["
    "{\"id\":1,\"name\":\"sku\",\"type\":\"text\",\"label\":{\"en\":\"SKU\"}},"
    "{\"id\":2,\"name\":\"pieces\",\"type\":\"integer\",\"label\":{\"en\":\"Pieces\"}}]}]}";

struct model *store_kit_model(const char *json)
{
    struct model *model = NULL;
    struct err_info info = {0};
    if (model_parse(bytes_of_text(json), &model, &info) != ERR_OK)
        fail_msg("%s", info.message);
    return model;
}

static void open_store(struct store_kit *kit)
{
    struct err_info info = {0};
    enum err err = ERR_OK;
    if (kit->kind == STORE_KIND_MEM)
        err = store_mem_open(kit->model, &kit->store);
    else
        err = store_sqlite_open(&kit->options, kit->model, &kit->store, &info);
    if (err != ERR_OK)
        fail_msg("ERR_%s: %s", err_name(err), info.message);
}

void store_kit_init(struct store_kit *kit, enum store_kind kind)
{
    *kit = (struct store_kit){.kind = kind};
    kit->model = store_kit_model(store_kit_model_json);
    kit->thing = model_table_by_id(kit->model, 16);
    kit->part = model_table_by_id(kit->model, 17);
    kit->purchase = model_table_by_id(kit->model, 18);
    arena_init(&kit->arena, ARENA_MAX);
    (void)snprintf(kit->folder, sizeof kit->folder, "/tmp/satchel-store-XXXXXX");
    assert_non_null(mkdtemp(kit->folder));
    (void)snprintf(kit->path, sizeof kit->path, "%s/store.db", kit->folder);
    kit->options = (struct store_sqlite_options){
        .path = kind == STORE_KIND_SQLITE_MEMORY ? ":memory:" : kit->path, .keeps_log = true};
    open_store(kit);
}

void store_kit_done(struct store_kit *kit)
{
    static const char *const names[] = {"store.db",         "store.db-wal", "store.db-shm",
                                        "store.db-journal", "backup.db",    "backup.db.partial",
                                        "other.db"};
    char path[128];
    store_close(kit->store);
    model_free(kit->model);
    arena_done(&kit->arena);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", kit->folder, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(kit->folder), 0); /* nothing else is left there */
}

void store_kit_reopen(struct store_kit *kit)
{
    assert_int_equal(kit->kind, STORE_KIND_SQLITE_FILE);
    store_close(kit->store);
    kit->store = NULL;
    open_store(kit);
}

struct uuid store_kit_id(uint32_t number)
{
    uint8_t random[10] = {0};
    return uuid_v7(1700000000000u + number, random);
}

static struct value random_value(struct seeded_rng *rng, struct arena *arena,
                                 const struct model_column *column)
{
    static const int64_t integers[] = {0,         1,         -1,        127,       -128,
                                       INT32_MAX, INT32_MIN, 1LL << 47, INT64_MAX, INT64_MIN};
    static const double reals[] = {0.0, 1.0, -1.5, 0.1, 1e300, -1e-300, 123456789.0, 4.9e-324};
    uint8_t *data;
    size_t size;
    if (column->type == COLUMN_REFERENCE) {
        struct uuid id = store_kit_id((uint32_t)seeded_below(rng, 8));
        data = arena_alloc(arena, sizeof id);
        assert_non_null(data);
        memcpy(data, &id, sizeof id);
        return seeded_below(rng, 5) == 0 ? value_null() : value_blob(bytes_of(data, sizeof id));
    }
    if (seeded_below(rng, 5) == 0)
        return value_null();
    switch (store_column_kind(column)) {
    case VALUE_INT:
        return value_int(integers[seeded_below(rng, sizeof integers / sizeof integers[0])]);
    case VALUE_REAL: return value_real(reals[seeded_below(rng, sizeof reals / sizeof reals[0])]);
    case VALUE_NULL:
    case VALUE_TEXT:
    case VALUE_BLOB: break;
    }
    size = seeded_below(rng, 40) == 0 ? 20000 : (size_t)seeded_below(rng, 60);
    data = arena_alloc(arena, size);
    assert_non_null(data);
    if (store_column_kind(column) == VALUE_BLOB) {
        seeded_fill(rng, data, size);
        return value_blob(bytes_of(data, size));
    }
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(' ' + seeded_below(rng, 95));
    return value_text(bytes_of(data, size));
}

struct store_row store_kit_row(struct arena *arena, const struct model_table *table, uint64_t seed)
{
    struct seeded_rng rng;
    seeded_rng_start(&rng, seed);
    struct store_row row = {.bucket = (uint32_t)seeded_u64(&rng),
                            .position = seeded_u64(&rng) >> 1};
    size_t size = 1 + (size_t)seeded_below(&rng, 30);
    uint8_t *version = arena_alloc(arena, size);
    row.values = arena_calloc(arena, table->column_count, sizeof *row.values);
    assert_non_null(version);
    assert_non_null(row.values);
    seeded_fill(&rng, version, size);
    row.version = bytes_of(version, size);
    for (uint16_t i = 0; i < table->column_count; i++)
        row.values[i] = random_value(&rng, arena, &table->columns[i]);
    return row;
}

void store_kit_assert_row(const struct model_table *table, const struct store_row *got,
                          const struct store_row *expected)
{
    assert_true(bytes_equal(got->version, expected->version));
    assert_int_equal(got->bucket, expected->bucket);
    assert_true(got->position == expected->position);
    assert_int_equal(got->dead, expected->dead);
    for (uint16_t i = 0; i < table->column_count; i++)
        if (!value_equal(&got->values[i], &expected->values[i]))
            fail_msg("column %s of %s differs", table->columns[i].name, table->name);
}

void store_kit_begin(struct store_kit *kit)
{
    assert_ok(store_begin(kit->store, STORE_WRITE));
}

void store_kit_commit(struct store_kit *kit)
{
    assert_ok(store_commit(kit->store));
    arena_reset(&kit->arena);
}

void store_kit_put(struct store_kit *kit, const struct model_table *table, uint32_t number,
                   uint64_t seed, bool dead)
{
    struct uuid id = store_kit_id(number);
    struct store_row row = store_kit_row(&kit->arena, table, seed);
    row.dead = dead;
    assert_ok(store_row_put(kit->store, table, &id, &row));
}

void store_kit_assert_is(struct store_kit *kit, struct store *store,
                         const struct model_table *table, uint32_t number, uint64_t seed, bool dead)
{
    struct uuid id = store_kit_id(number);
    struct store_row got = {0};
    enum err err = store_row_get(store, table, &id, &kit->arena, &got);
    assert_err(err, seed == 0 ? ERR_NOT_FOUND : ERR_OK);
    if (seed == 0)
        return;
    struct store_row expected = store_kit_row(&kit->arena, table, seed);
    expected.dead = dead;
    store_kit_assert_row(table, &got, &expected);
}

void store_kit_assert_list(enum err err, struct store_kit_list *list, const char *expected)
{
    assert_ok(err);
    assert_string_equal(list->text, expected);
    *list = (struct store_kit_list){0};
}

static int listed(struct store_kit_list *list, const char *item)
{
    size_t used = strlen(list->text);
    (void)snprintf(list->text + used, sizeof list->text - used, "%s ", item);
    list->count++;
    if (list->count == list->fail_after)
        return ERR_CLOSED;
    return list->count == list->stop_after ? STORE_STOP : 0;
}

int store_kit_list_id(void *context, const struct uuid *id)
{
    char text[32];
    uint64_t ms = be64_get(id->byte) >> 16;
    (void)snprintf(text, sizeof text, "%d", (int)(ms - 1700000000000u));
    return listed(context, text);
}

int store_kit_list_side(void *context, struct bytes key, struct bytes value)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.*s=%.*s", (int)key.size,
                   key.size == 0 ? "" : (const char *)key.data, (int)value.size,
                   value.size == 0 ? "" : (const char *)value.data);
    return listed(context, text);
}

int store_kit_list_log(void *context, uint64_t position, const struct model_table *table,
                       const struct uuid *id)
{
    char text[64];
    uint64_t ms = be64_get(id->byte) >> 16;
    (void)snprintf(text, sizeof text, "%llu:%s/%d", (unsigned long long)position, table->name,
                   (int)(ms - 1700000000000u));
    return listed(context, text);
}

enum store_kind store_kit_kind;

int store_kit_setup(void **state)
{
    struct store_kit *kit = malloc(sizeof *kit);
    if (kit == NULL)
        return -1;
    store_kit_init(kit, store_kit_kind);
    *state = kit;
    return 0;
}

int store_kit_teardown(void **state)
{
    store_kit_done(*state);
    free(*state);
    return 0;
}
