#include "tests/fuzz/world.h"

#include "common/text.h"
#include "tests/lib/codec.h"
#include "tests/lib/pair_copy.h"

#include <jansson.h>

/* --- setting up ------------------------------------------------------------------------------- */

static const char *model_json(void)
{
    static char text[16384];
    if (text[0] == 0) {
        struct buf file;
        buf_init(&file, sizeof text - 1);
        fuzz_check(codec_file("tests/fuzz/model.json", &file), "run me from the source tree");
        memcpy(text, file.data, file.size);
        buf_done(&file);
    }
    return text;
}

static struct hub_now hub_now(const struct world *w)
{
    return (struct hub_now){{w->pair.now_ms}, {w->pair.now_ms * 1000}};
}

const char *world_ask(struct world *w, const char *request)
{
    static char text[65536];
    struct buf answer;
    buf_init(&answer, sizeof text - 1);
    fuzz_ok(hub_admin(w->pair.hub, bytes_of_text(request), hub_now(w), &answer));
    memcpy(text, answer.data, answer.size);
    text[answer.size] = 0;
    buf_done(&answer);
    return text;
}

static struct uuid branch(struct world *w, const char *name)
{
    char request[100];
    struct uuid id = {{0}};
    snprintf(request, sizeof request, "{\"do\":\"branch-add\",\"name\":\"%s\"}", name);
    const char *answer = strstr(world_ask(w, request), "\"id\":\"");
    fuzz_check(answer && uuid_parse(bytes_of(answer + 6, 36), &id) == ERR_OK, "no id");
    return id;
}

static struct pair_device *person(struct world *w, const char *login, const char *role,
                                  const char *where)
{
    char request[200];
    snprintf(request, sizeof request,
             "{\"do\":\"user-add\",\"login\":\"%s\",\"role\":\"%s\"%s%s%s}", login, role,
             where ? ",\"branch\":\"" : "", where ? where : "", where ? "\"" : "");
    const char *answer = world_ask(w, request);
    fuzz_check(strstr(answer, "\"ok\":true"), "%s: %s", request, answer);
    return pair_enrol(&w->pair, login, role);
}

/* A customer that its branch sees. */
static struct uuid customer(struct world *w, struct pair_device *device, const struct uuid *where,
                            const char *name)
{
    const struct model_table *table = model_table_by_name(w->pair.model, bytes_of_text("customer"));
    static const char *const names[] = {"name", "visibility", "branch", "tags", "note"};
    uint16_t columns[5];
    struct value values[5] = {value_text(bytes_of_text(name)), value_text(bytes_of_text("branch")),
                              value_blob(bytes_of(where->byte, 16)),
                              value_text(bytes_of_text("[\"a\"]")),
                              value_text(bytes_of_text("one\ntwo\nthree"))};
    struct uuid id = {{0}};
    struct dot dot;
    for (int i = 0; i < 5; i++)
        columns[i] = model_column_by_name(table, bytes_of_text(names[i]))->index;
    fuzz_ok(replica_begin(device->replica, w->pair.now_ms));
    fuzz_ok(replica_insert(device->replica, table, &id, columns, values, 5, NULL));
    fuzz_ok(replica_commit(device->replica, &dot));
    w->pair.now_ms++;
    return id;
}

/* Everybody has enrolled, written and synced: done once, then copied. */
static void make(struct world *w)
{
    memset(w, 0, sizeof *w);
    pair_init(&w->pair, model_json(), 1);
    arena_init(&w->arena, (size_t)32 << 20);
    w->north = branch(w, "north");
    w->south = branch(w, "south");
    w->boss = person(w, "boss", "admin", NULL);
    w->near = person(w, "near", "rep", "north");
    w->far = person(w, "far", "rep", "south");
    pair_sync(&w->pair, w->boss);
    pair_sync(&w->pair, w->near);
    pair_sync(&w->pair, w->far);
    w->shared = pair_insert(&w->pair, w->boss, "customer", "name", "shared");
    w->mine = customer(w, w->near, &w->north, "mine");
    w->secret = customer(w, w->far, &w->south, WORLD_SECRET);
    world_learn(w, w->near);
    world_learn(w, w->boss);
    pair_sync(&w->pair, w->boss);
    pair_sync(&w->pair, w->far);
    pair_sync(&w->pair, w->near);
    const struct uuid *ids[] = {&w->shared, &w->mine,  &w->secret,
                                &w->north,  &w->south, &w->near->identity.device};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        pool_add_id(&w->pool, ids[i]);
}

static void copy_device(struct pair *pair, const struct pair_device *from, struct pair_device *to)
{
    struct err_info info;
    *to = (struct pair_device){.identity = from->identity,
                               .store = pair_copy_store(pair, from->store)};
    const struct replica_config config = {
        .model = pair->model, .store = to->store, .crypto = pair->crypto, .rng = &pair->rng};
    fuzz_ok(replica_open(&config, &to->replica, &info));
}

void world_start(struct world *w)
{
    static struct world first;
    struct err_info info;
    if (!first.boss)
        make(&first);
    *w = first;
    struct pair *pair = &w->pair;
    pair->rng = seeded_rng_interface(&pair->seeded);
    pair->config.rng = &pair->rng;
    pair->hub_store = pair->config.store = pair_copy_store(pair, first.pair.hub_store);
    fuzz_ok(hub_open(&pair->config, hub_now(w), &pair->hub, &info));
    for (uint32_t i = 0; i < pair->device_count; i++)
        copy_device(pair, &first.pair.devices[i], &pair->devices[i]);
    w->boss = &pair->devices[first.boss - first.pair.devices];
    w->near = &pair->devices[first.near - first.pair.devices];
    w->far = &pair->devices[first.far - first.pair.devices];
    arena_init(&w->arena, (size_t)32 << 20);
}

/* pair_done() but for what all worlds share: model and crypto. */
void world_end(struct world *w)
{
    struct pair *pair = &w->pair;
    for (uint32_t i = 0; i < pair->device_count; i++) {
        uplink_free(pair->devices[i].uplink);
        replica_close(pair->devices[i].replica);
        store_close(pair->devices[i].store);
    }
    hub_close(pair->hub);
    store_close(pair->hub_store);
    arena_done(&w->arena);
}

/* --- playing ---------------------------------------------------------------------------------- */

void world_learn(struct world *w, struct pair_device *device)
{
    const struct bytes *groups;
    uint32_t count;
    uint64_t first;
    struct replica_status status = {0};
    replica_status(device->replica, &status);
    pool_add_number(&w->pool, status.origin);
    fuzz_ok(replica_outbox(device->replica, 1, 1 << 20, 100, &w->arena, &groups, &count, &first));
    for (uint32_t i = 0; i < count; i++) {
        struct group group;
        pool_add_number(&w->pool, first + i);
        fuzz_ok(group_decode(w->pair.model, groups[i], &w->arena, &group, NULL));
        pool_add_group(&w->pool, &group);
    }
}

void world_write(struct world *w, struct pair_device *device, struct fuzz_input *in)
{
    const struct model *model = w->pair.model;
    const struct model_table *table = &model->tables[fuzz_u8(in) % model->table_count];
    struct replica *replica = device->replica;
    struct uuid id = pool_id(&w->pool, in);
    uint16_t columns[4], count = 0;
    struct value values[4];
    struct dot dot;
    uint8_t kind = fuzz_u8(in);
    for (uint16_t i = 0; i < 1 + kind / 16 % 4; i++) {
        columns[count] = (uint16_t)(fuzz_u8(in) % table->column_count);
        values[count] = pool_value(&w->pool, in, &table->columns[columns[count]], &w->arena);
        bool twice = false;
        for (uint16_t k = 0; k < count; k++)
            twice |= columns[k] == columns[count];
        count = (uint16_t)(count + !twice);
    }
    fuzz_ok(replica_begin(replica, w->pair.now_ms + device->skew_ms));
    enum err e = ERR_OK;
    switch (kind % 4) {
    case 0:
    case 1: e = replica_insert(replica, table, &id, columns, values, count, NULL); break;
    case 2:
        e = replica_update(replica, table, &id, columns, values, count, kind & 128, NULL);
        break;
    default:
        e = kind & 128 ? replica_delete(replica, table, &id, NULL)
                       : replica_restore(replica, table, &id, NULL);
    }
    if (e == ERR_OK)
        e = replica_commit(replica, &dot);
    else
        replica_rollback(replica);
    fuzz_check(e == ERR_OK || err_class(e) == ERR_CLASS_INPUT, "a local write: %s", err_name(e));
    w->pair.now_ms++;
}

/* --- what must hold --------------------------------------------------------------------------- */

static bool contains(struct bytes in, struct bytes what)
{
    for (size_t i = 0; in.size >= what.size && i <= in.size - what.size; i++)
        if (in.data[i] == what.data[0] && memcmp(in.data + i, what.data, what.size) == 0)
            return true;
    return false;
}

void world_no_secret(struct world *w, struct bytes frame)
{
    struct message message;
    struct inflater *inflater;
    struct buf inflated;
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    buf_init(&inflated, FRAME_INFLATED_MAX);
    fuzz_ok(inflater_new(&inflater));
    fuzz_ok(frame_decode(frame, true, inflater, &inflated, &arena, &message));
    if (message.type == MESSAGE_PAGE) {
        fuzz_check(!contains(message.as.page.body, bytes_of_text(WORLD_SECRET)),
                   "a page of bucket %u has the secret's text", (unsigned)message.as.page.bucket);
    }
    inflater_free(inflater);
    buf_done(&inflated);
    arena_done(&arena);
    (void)w;
}

static void same_after_restart(struct world *w)
{
    char *before = fuzz_text(bytes_of_text(world_ask(w, "{\"do\":\"marks\"}")));
    pair_restart_hub(&w->pair);
    const char *after = world_ask(w, "{\"do\":\"marks\"}");
    json_t *a = json_loads(before, 0, NULL), *b = json_loads(after, 0, NULL);
    const char *origin;
    json_t *mark;
    fuzz_check(a && b, "%s", before);
    json_object_foreach(json_object_get(a, "marks"), origin, mark)
        fuzz_check(json_equal(mark, json_object_get(json_object_get(b, "marks"), origin)),
                   "before %s, after %s", before, after);
    json_decref(a);
    json_decref(b);
    free(before);
}

struct comparison {
    struct world *w;
    const struct model_table *table;
};

static int same_row(void *context, const struct uuid *id)
{
    const struct comparison *c = context;
    struct world *w = c->w;
    struct store_row here, there;
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    fuzz_ok(store_row_get(w->far->store, c->table, id, &w->arena, &here));
    enum err e = store_row_get(w->pair.hub_store, c->table, id, &w->arena, &there);
    fuzz_check(e == ERR_OK && !there.dead, "%s %s is not at headquarters", c->table->name, text);
    for (uint16_t i = 0; i < c->table->column_count; i++)
        fuzz_check(value_equal(&here.values[i], &there.values[i]), "%s %s differs in %s",
                   c->table->name, text, c->table->columns[i].name);
    fuzz_check(bytes_equal(here.version, there.version), "%s %s", c->table->name, text);
    return 0;
}

/* A device with a part of all: what it shows is what headquarters has. */
static void far_is_right(struct world *w)
{
    arena_reset(&w->arena);
    fuzz_ok(store_begin(w->far->store, STORE_READ));
    fuzz_ok(store_begin(w->pair.hub_store, STORE_READ));
    for (uint16_t i = 0; i < w->pair.model->table_count; i++) {
        struct comparison c = {w, &w->pair.model->tables[i]};
        fuzz_ok(store_row_scan(w->far->store, c.table, NULL, same_row, &c));
    }
    store_rollback(w->far->store);
    store_rollback(w->pair.hub_store);
    fuzz_check(strcmp(pair_cell(&w->pair, w->far, "customer", w->secret, "name"), "-") != 0 ||
                   strcmp(pair_cell(&w->pair, NULL, "customer", w->secret, "name"), "-") == 0,
               "a record of its own is missing");
}

void world_is_whole(struct world *w)
{
    const char *verified = world_ask(w, "{\"do\":\"verify\"}");
    fuzz_check(strstr(verified, "\"ok\":true"), "%s", verified);
    same_after_restart(w);
    verified = world_ask(w, "{\"do\":\"verify\"}");
    fuzz_check(strstr(verified, "\"ok\":true"), "after a restart: %s", verified);
    pair_sync(&w->pair, w->boss);
    pair_assert_equal(&w->pair, w->boss);
    pair_sync(&w->pair, w->far);
    far_is_right(w);
    struct pair_device *fresh = pair_enrol(&w->pair, "fresh", "admin");
    pair_sync(&w->pair, fresh);
    pair_assert_equal(&w->pair, fresh);
}
