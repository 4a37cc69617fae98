#include "tests/lib/pair.h"

#include "common/store_mem/store_mem.h"
#include "common/text.h"

struct hub *pair_server(struct pair *pair, const struct pair_device *device)
{
    return device->at ? device->at->hub : pair->hub;
}

struct hub_now pair_hub_now(const struct pair *pair)
{
    return (struct hub_now){{pair->now_ms}, {pair->now_ms * 1000}};
}

struct now pair_device_now(const struct pair *pair, const struct pair_device *device)
{
    return (struct now){{pair->now_ms + device->skew_ms}, {pair->now_ms * 1000}};
}

void pair_init(struct pair *pair, const char *model_json, uint64_t seed)
{
    struct err_info info = {0};
    memset(pair, 0, sizeof *pair);
    seeded_rng_start(&pair->seeded, seed);
    pair->rng = seeded_rng_interface(&pair->seeded);
    pair->now_ms = 1760000000000;
    enum err e = model_json ? model_parse(bytes_of_text(model_json), &pair->model, &info)
                            : model_builtin(&pair->model, &info);
    if (e != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(crypto_new(&pair->crypto));
    assert_ok(store_mem_open(pair->model, &pair->hub_store));
    pair->config = (struct hub_config){
        .model = pair->model, .store = pair->hub_store, .crypto = pair->crypto, .rng = &pair->rng};
    memset(pair->config.server_key, 7, 32);
    assert_ok(hub_create(&pair->config, pair_hub_now(pair), &info));
    assert_ok(hub_open(&pair->config, pair_hub_now(pair), &pair->hub, &info));
}

void pair_done(struct pair *pair)
{
    for (uint32_t i = 0; i < pair->branch_count; i++)
        pair_close_branch(&pair->branches[i]);
    for (uint32_t i = 0; i < pair->device_count; i++) {
        uplink_free(pair->devices[i].uplink);
        replica_close(pair->devices[i].replica);
        store_close(pair->devices[i].store);
    }
    hub_close(pair->hub);
    store_close(pair->hub_store);
    crypto_free(pair->crypto);
    model_free(pair->model);
}

const char *pair_admin(struct pair *pair, const char *request)
{
    static char text[65536];
    struct buf answer;
    buf_init(&answer, sizeof text - 1);
    assert_ok(hub_admin(pair->hub, bytes_of_text(request), pair_hub_now(pair), &answer));
    memcpy(text, answer.data, answer.size);
    text[answer.size] = 0;
    buf_done(&answer);
    if (!strstr(text, "\"ok\":true"))
        fail_msg("%s: %s", request, text);
    return text;
}

/* ---- frames ---- */

static void device_ended(struct pair *pair, struct pair_device *device,
                         const struct uplink_effects *effects)
{
    struct uplink_effects ignored;
    device->why = effects->why;
    device->ended = true;
    device->learned = effects->learned;
    snprintf(device->message, sizeof device->message, "%s", effects->message);
    if (device->peer)
        hub_detach(pair_server(pair, device), device->peer, pair_hub_now(pair));
    device->peer = NULL;
    device->up = false;
    uplink_link_down(device->uplink, pair_device_now(pair, device), &ignored);
}

void pair_cut(struct pair *pair, struct pair_device *device)
{
    struct uplink_effects effects = {.why = ERR_LINK};
    if (device->up)
        device_ended(pair, device, &effects);
}

static bool counts_down(struct pair *pair, struct pair_device *device)
{
    if (device->frames_until_cut == 0 || --device->frames_until_cut > 0)
        return false;
    pair_cut(pair, device);
    return true;
}

/* One frame up, if there is one. */
static bool step_up(struct pair *pair, struct pair_device *device)
{
    struct buf frame;
    struct uplink_effects effects;
    if (!device->up)
        return false;
    buf_init(&frame, FRAME_MAX);
    uplink_next_frame(device->uplink, pair_device_now(pair, device), &frame, &effects);
    bool sent = frame.size > 0;
    if (sent)
        device->bytes_up += frame.size;
    if (sent && device->on_frame)
        device->on_frame(device, true, buf_view(&frame));
    if (sent && !counts_down(pair, device) && device->up)
        hub_receive(pair_server(pair, device), device->peer, buf_view(&frame), pair_hub_now(pair));
    buf_done(&frame);
    if (device->up && effects.hang_up)
        device_ended(pair, device, &effects);
    return sent;
}

/* A comparison reads on, and an attachment is checked, when a deadline comes, which is at once. Other deadlines are
 * not of here. */
static bool step_time(struct pair *pair, struct pair_device *device)
{
    struct uplink_effects effects;
    if (!device->up || !device->replica)
        return false;
    if (!uplink_works(device->uplink))
        return false;
    uplink_tick(device->uplink, pair_device_now(pair, device), &effects);
    if (effects.hang_up)
        device_ended(pair, device, &effects);
    return true;
}

static bool step_down(struct pair *pair, struct pair_device *device)
{
    struct buf frame;
    struct uplink_effects effects = {0};
    if (!device->up)
        return false;
    buf_init(&frame, FRAME_MAX);
    hub_next_frame(pair_server(pair, device), device->peer, pair_hub_now(pair), &frame);
    bool sent = frame.size > 0;
    if (sent)
        device->bytes_down += frame.size;
    if (sent && device->on_frame)
        device->on_frame(device, false, buf_view(&frame));
    if (sent && !counts_down(pair, device)) {
        uplink_receive(device->uplink, buf_view(&frame), pair_device_now(pair, device), &effects);
        if (effects.hang_up)
            device_ended(pair, device, &effects);
    }
    buf_done(&frame);
    return sent;
}

/* What the hub asks for; whether an answer is on its way. */
static bool take_effects(struct pair *pair, struct hub *hub)
{
    bool moved = false;
    if (!hub)
        return false;
    for (;;) {
        struct hub_effect effect = hub_next_effect(hub);
        if (effect.kind == HUB_EFFECT_NONE)
            return moved;
        struct pair_device *device = effect.context;
        moved |= effect.kind == HUB_EFFECT_WANT_WRITE && device->up;
        if (effect.kind != HUB_EFFECT_HANG_UP || !device->up)
            continue;
        while (step_down(pair, device))
            continue;
        pair_cut(pair, device);
    }
}

static uint32_t turns(struct pair *pair, struct hub *hub)
{
    uint32_t count = 0;
    while (hub && hub_has_work(hub)) {
        assert_ok(hub_turn(hub, pair_hub_now(pair)));
        count++;
    }
    return count;
}

uint32_t pair_step(struct pair *pair)
{
    uint32_t frames = 0, moved = 0;
    pair->now_ms++;
    for (uint32_t i = 0; i < pair->device_count; i++)
        while (step_up(pair, &pair->devices[i]))
            frames++;
    for (uint32_t i = 0; i < pair->device_count; i++)
        moved += step_time(pair, &pair->devices[i]);
    moved += turns(pair, pair->hub);
    for (uint32_t i = 0; i < pair->branch_count; i++)
        moved += turns(pair, pair->branches[i].hub);
    for (uint32_t i = 0; i < pair->device_count; i++)
        while (step_down(pair, &pair->devices[i]))
            frames++;
    moved += take_effects(pair, pair->hub);
    for (uint32_t i = 0; i < pair->branch_count; i++)
        moved += take_effects(pair, pair->branches[i].hub);
    pair->frames += frames;
    return moved + frames;
}

uint32_t pair_run(struct pair *pair)
{
    uint32_t before = pair->frames;
    while (pair_step(pair))
        if (pair->frames - before > 2000000)
            fail_msg("frames without end");
    return pair->frames - before;
}

static void branch_forked(void *context, uint64_t origin, uint64_t oseq)
{
    struct pair_branch *branch = context;
    if (branch->hub)
        hub_forked(branch->hub, origin, oseq, pair_hub_now(branch->pair));
}

static void branch_pended(void *context)
{
    struct pair_branch *branch = context;
    if (branch->hub)
        hub_pended(branch->hub, pair_hub_now(branch->pair));
}

static void branch_carried(void *context, const uint8_t hash[32])
{
    struct pair_branch *branch = context;
    if (branch->hub)
        hub_blob_changed(branch->hub, hash);
}

static void branch_installed(void *context, const struct message_checkpoint *checkpoint)
{
    struct pair_branch *branch = context;
    if (branch->hub)
        hub_installed(branch->hub, checkpoint, pair_hub_now(branch->pair));
}

enum err pair_try_connect(struct pair *pair, struct pair_device *device, bool once)
{
    struct uplink_effects effects;
    uplink_free(device->uplink);
    device->uplink = NULL;
    const struct uplink_config config = {.replica = device->replica,
                                         .crypto = pair->crypto,
                                         .rng = &pair->rng,
                                         .agent = "test",
                                         .once = once,
                                         .branch = device->serves != NULL,
                                         .forked = device->serves ? branch_forked : NULL,
                                         .pended = device->serves ? branch_pended : NULL,
                                         .carried = device->serves ? branch_carried : NULL,
                                         .context = device->serves};
    enum err e = uplink_new(&config, &device->identity, NULL, &device->uplink);
    if (e == ERR_OK)
        e = hub_attach(pair_server(pair, device), device, pair_hub_now(pair), &device->peer);
    if (e != ERR_OK)
        return e;
    device->up = true;
    device->ended = false;
    device->why = ERR_OK;
    uplink_link_up(device->uplink, pair_device_now(pair, device), &effects);
    if (effects.hang_up)
        device_ended(pair, device, &effects);
    return ERR_OK;
}

void pair_connect(struct pair *pair, struct pair_device *device, bool once)
{
    assert_ok(pair_try_connect(pair, device, once));
}

void pair_sync(struct pair *pair, struct pair_device *device)
{
    for (int i = 0; i < 4; i++) {
        pair_connect(pair, device, true);
        pair_run(pair);
        if (!device->ended)
            fail_msg("the session did not end");
        if (device->why == ERR_OK)
            return;
        if (device->learned && pair->take_model)
            pair->take_model(pair, device);
        if (device->why != ERR_CONFLICT && device->why != ERR_CLOSED)
            fail_msg("the session ended with %s: %s", err_name(device->why), device->message);
    }
    fail_msg("four forks in a row");
}

/* ---- devices ---- */

enum err pair_try_open_device(struct pair *pair, struct pair_device *device)
{
    struct err_info info;
    const struct replica_config config = {.model = device->store->model,
                                          .store = device->store,
                                          .crypto = pair->crypto,
                                          .rng = &pair->rng,
                                          .branch = device->serves != NULL,
                                          .installed = device->serves ? branch_installed : NULL,
                                          .context = device->serves};
    return replica_open(&config, &device->replica, &info);
}

void pair_open_device(struct pair *pair, struct pair_device *device)
{
    assert_ok(pair_try_open_device(pair, device));
}

struct pair_device *pair_enrol(struct pair *pair, const char *login, const char *role)
{
    char request[300];
    struct buf answer;
    buf_init(&answer, 4096);
    snprintf(request, sizeof request, "{\"do\":\"user-add\",\"login\":\"%s\",\"role\":\"%s\"}",
             login, role);
    assert_ok(
        hub_admin(pair->hub, bytes_of_text(request), pair_hub_now(pair), &answer)); /* may exist */
    buf_done(&answer);
    snprintf(request, sizeof request, "{\"do\":\"enroll\",\"login\":\"%s\"}", login);
    const char *code = strstr(pair_admin(pair, request), "\"code\":\"");
    assert_non_null(code);
    struct pair_device *device = &pair->devices[pair->device_count++];
    struct uplink_enrolment enrolment = {.name = login, .platform = "test"};
    assert_ok(text_parse_hex(bytes_of(code + 8, 32), enrolment.code, 16));
    assert_ok(rng_fill(&pair->rng, device->identity.seed, 32));
    memset(device->identity.server_key, 7, 32);
    const struct uplink_config config = {
        .crypto = pair->crypto, .rng = &pair->rng, .agent = "test"};
    assert_ok(uplink_new(&config, &device->identity, &enrolment, &device->uplink));
    assert_ok(hub_attach(pair->hub, device, pair_hub_now(pair), &device->peer));
    struct uplink_effects effects;
    device->up = true;
    uplink_link_up(device->uplink, pair_device_now(pair, device), &effects);
    pair_run(pair);
    struct uuid user, history;
    const char *name;
    if (device->why != ERR_OK)
        fail_msg("%s", device->message);
    assert_ok(uplink_enrolled(device->uplink, &device->identity.device, &user, &history, &name));
    assert_string_equal(name, login);
    if (pair->open_store)
        device->store = pair->open_store(pair, pair->device_count - 1);
    else
        assert_ok(store_mem_open(pair->model, &device->store));
    pair_open_device(pair, device);
    return device;
}

void pair_restart_device(struct pair *pair, struct pair_device *device)
{
    pair_cut(pair, device);
    uplink_free(device->uplink);
    device->uplink = NULL;
    replica_close(device->replica);
    pair_open_device(pair, device);
}

void pair_restart_hub(struct pair *pair)
{
    struct err_info info;
    for (uint32_t i = 0; i < pair->device_count; i++)
        pair_cut(pair, &pair->devices[i]);
    hub_close(pair->hub);
    assert_ok(hub_open(&pair->config, pair_hub_now(pair), &pair->hub, &info));
}

void pair_sync_all(struct pair *pair)
{
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < pair->device_count; i++)
            pair_sync(pair, &pair->devices[i]);
}

struct replica_status pair_status(const struct pair_device *device)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    return status;
}

/* ---- writing and reading ---- */

/* The device's, or headquarters' (NULL): stores may have different models. */
static const struct model_table *table_of(struct pair *pair, const struct pair_device *device,
                                          const char *name)
{
    const struct store *store = device ? device->store : pair->hub_store;
    const struct model_table *table = model_table_by_name(store->model, bytes_of_text(name));
    assert_non_null(table);
    return table;
}

static struct value parse(const struct model_table *table, const char *column, const char *text,
                          struct arena *arena, uint16_t *ret_index)
{
    struct err_info info = {0};
    struct value value;
    const struct model_column *c = model_column_by_name(table, bytes_of_text(column));
    assert_non_null(c);
    if (model_value_from_text(c, bytes_of_text(text), arena, &value, &info) != ERR_OK)
        fail_msg("%s", info.message);
    *ret_index = c->index;
    return value;
}

struct uuid pair_insert(struct pair *pair, struct pair_device *device, const char *table_name,
                        const char *column, const char *text)
{
    const struct model_table *table = table_of(pair, device, table_name);
    struct arena arena;
    struct err_info info = {0};
    struct uuid id = {{0}};
    struct dot dot;
    uint16_t index;
    arena_init(&arena, 1 << 20);
    struct value value = parse(table, column, text, &arena, &index);
    assert_ok(replica_begin(device->replica, pair->now_ms + device->skew_ms));
    if (replica_insert(device->replica, table, &id, &index, &value, 1, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(device->replica, &dot));
    arena_done(&arena);
    pair->now_ms++;
    return id;
}

void pair_set(struct pair *pair, struct pair_device *device, const char *table_name, struct uuid id,
              const char *column, const char *text)
{
    const struct model_table *table = table_of(pair, device, table_name);
    struct arena arena;
    struct err_info info = {0};
    struct dot dot;
    uint16_t index;
    arena_init(&arena, 1 << 20);
    struct value value = parse(table, column, text, &arena, &index);
    assert_ok(replica_begin(device->replica, pair->now_ms + device->skew_ms));
    if (replica_update(device->replica, table, &id, &index, &value, 1, false, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(device->replica, &dot));
    arena_done(&arena);
    pair->now_ms++;
}

void pair_delete(struct pair *pair, struct pair_device *device, const char *table_name,
                 struct uuid id)
{
    struct err_info info = {0};
    struct dot dot;
    assert_ok(replica_begin(device->replica, pair->now_ms + device->skew_ms));
    if (replica_delete(device->replica, table_of(pair, device, table_name), &id, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(device->replica, &dot));
    pair->now_ms++;
}

const char *pair_cell(struct pair *pair, struct pair_device *device, const char *table_name,
                      struct uuid id, const char *column)
{
    static char texts[4][4096];
    static int next;
    char *text = texts[next++ % 4];
    const struct model_table *table = table_of(pair, device, table_name);
    const struct model_column *c = model_column_by_name(table, bytes_of_text(column));
    struct store *store = device ? device->store : pair->hub_store;
    struct arena arena;
    struct store_row row;
    struct buf out;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 4095);
    assert_ok(store_begin(store, STORE_READ));
    enum err e = store_row_get(store, table, &id, &arena, &row);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && row.dead))
        buf_append(&out, "-", 1);
    else {
        assert_ok(e);
        assert_ok(model_value_to_text(c, &row.values[c->index], &out));
    }
    store_rollback(store);
    memcpy(text, out.data ? (const char *)out.data : "", out.size);
    text[out.size] = 0;
    buf_done(&out);
    arena_done(&arena);
    return text;
}

static int count_id(void *context, const struct uuid *id)
{
    (void)id;
    ++*(uint32_t *)context;
    return 0;
}

uint32_t pair_count(struct pair *pair, struct pair_device *device, const char *table)
{
    struct store *store = device ? device->store : pair->hub_store;
    uint32_t count = 0;
    assert_ok(store_begin(store, STORE_READ));
    assert_ok(store_row_scan(store, table_of(pair, device, table), NULL, count_id, &count));
    store_rollback(store);
    return count;
}

/* ---- comparing ---- */

struct comparison {
    struct pair *pair;
    struct store *from, *to;
    struct store *scope; /* NULL, or the device's, whose buckets count */
    const struct model_table *table;
    uint32_t rows;
    const struct model_table *other; /* `to`'s */
};

static bool holds_bucket(struct store *store, uint32_t bucket)
{
    uint8_t key[4];
    struct arena arena;
    struct bytes value;
    be32_put(key, bucket);
    arena_init(&arena, 1 << 16);
    enum err e = store_side_get(store, SIDE_CURSOR, bytes_of(key, 4), &arena, &value);
    arena_done(&arena);
    assert_true(e == ERR_OK || e == ERR_NOT_FOUND);
    return e == ERR_OK;
}

static int compare_row(void *context, const struct uuid *id)
{
    struct comparison *c = context;
    struct arena arena;
    struct store_row a, b;
    char text[UUID_TEXT_SIZE];
    arena_init(&arena, 1 << 24);
    uuid_format(id, text);
    assert_ok(store_row_get(c->from, c->table, id, &arena, &a));
    if (c->scope && !holds_bucket(c->scope, a.bucket)) {
        arena_done(&arena);
        return 0;
    }
    enum err e = store_row_get(c->to, c->other, id, &arena, &b);
    if (e != ERR_OK || b.dead)
        fail_msg("%s %s is on one side only (bucket %u)", c->table->name, text, a.bucket);
    for (uint16_t i = 0; i < c->table->column_count; i++)
        if (!value_equal(&a.values[i], &b.values[i]))
            fail_msg("%s %s differs in %s", c->table->name, text, c->table->columns[i].name);
    if (!bytes_equal(a.version, b.version)) {
        for (int side = 0; side < 2; side++) { /* for whoever looks for the cause */
            struct bytes version = side ? b.version : a.version;
            for (size_t i = 0; i < version.size; i++)
                print_message("%02x", version.data[i]);
            print_message("\n");
        }
        fail_msg("%s %s has two versions", c->table->name, text);
    }
    if (a.bucket != b.bucket)
        fail_msg("%s %s is in buckets %u and %u", c->table->name, text, a.bucket, b.bucket);
    c->rows++;
    arena_done(&arena);
    return 0;
}

void pair_assert_equal(struct pair *pair, struct pair_device *device)
{
    assert_ok(store_begin(device->store, STORE_READ));
    assert_ok(store_begin(pair->hub_store, STORE_READ));
    struct replica_status status;
    replica_status(device->replica, &status);
    assert_int_equal(status.outbox_count, 0);
    assert_false(status.reconcile);
    assert_false(status.differs);
    const struct model *here = device->store->model, *there = pair->hub_store->model;
    assert_int_equal(here->table_count, there->table_count);
    for (uint16_t i = 0; i < here->table_count; i++) {
        struct comparison c = {pair, device->store,    pair->hub_store, NULL, &here->tables[i],
                               0,    &there->tables[i]};
        assert_ok(store_row_scan(device->store, c.table, NULL, compare_row, &c));
        struct comparison d = {
            pair, pair->hub_store, device->store, device->store, &there->tables[i],
            0,    &here->tables[i]};
        assert_ok(store_row_scan(pair->hub_store, d.table, NULL, compare_row, &d));
        assert_int_equal(c.rows, d.rows);
    }
    store_rollback(device->store);
    store_rollback(pair->hub_store);
}
