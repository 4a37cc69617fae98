#include "tests/sim/act.h"

#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/group.h"
#include "tests/sim/oracle.h"

static const int64_t second = 1000000;

/* ---- setting up ---- */

struct sim_disk *act_template(const struct kit *kit, bool serves)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct store *store;
    struct err_info info = {0};
    const struct store_sqlite_options options = {
        .path = "store.db", .vfs = sim_disk_vfs(disk), .keeps_log = serves};
    if (store_sqlite_open(&options, kit->models[0], &store, &info) != ERR_OK) {
        fprintf(stderr, "satchel_sim: %s\n", info.message);
        exit(2);
    }
    store_close(store);
    sim_disk_sync_all(disk);
    return disk;
}

struct node *act_add_node(struct world *world, bool serves, int32_t upstream, struct sim_disk *disk)
{
    if (world->node_count == world->node_capacity)
        return NULL;
    struct node *node = &world->nodes[world->node_count];
    node_init(world, node, (uint16_t)world->node_count++, serves, upstream);
    node->disk = disk;
    return node;
}

struct node *act_add_device(struct world *world, struct sim_disk *disk)
{
    return act_add_node(world, false, 0, disk);
}

static struct sim_disk *fresh_disk(struct world *world, bool serves)
{
    return sim_disk_copy(world->kit->template[serves],
                         world -> plan -> seed * 64 + world -> node_count);
}

static void make_people(struct world *world, struct seeded_rng *dice)
{
    static const char *const roles[] = {"rep", "rep", "rep", "manager", "admin"};
    char request[160];
    uint32_t branches = 1 + (uint32_t)seeded_below(dice, 3);
    uint32_t people = 2 + (uint32_t)seeded_below(dice, world->plan->devices);
    int32_t parents[BRANCHES_MAX];
    if (world->plan->branches)
        branches = world->plan->branches;
    if (people > PEOPLE_MAX - world->plan->branches)
        people = PEOPLE_MAX - world->plan->branches;
    branches_draw(world->plan, parents);
    for (uint32_t i = 0; i < branches; i++) {
        char above[32] = "";
        if (world->plan->branches && parents[i] >= 0)
            snprintf(above, sizeof above, ",\"parent\":\"b%d\"", (int)parents[i]);
        snprintf(request, sizeof request, "{\"do\":\"branch-add\",\"name\":\"b%u\"%s}", i, above);
        (void)hub_node_ask(&world->nodes[0], request);
    }
    for (uint32_t i = 0; i < people; i++) {
        const char *role = i == 0 ? "admin" : i == 1 ? "manager" : roles[seeded_below(dice, 5)];
        snprintf(request, sizeof request,
                 "{\"do\":\"user-add\",\"login\":\"u%u\",\"role\":\"%s\",\"branch\":\"b%u\"}", i,
                 role, (unsigned)seeded_below(dice, branches));
        (void)hub_node_ask(&world->nodes[0], request);
    }
    oracle_people(world);
    if (world->ledger->person_count != people || world->ledger->branch_count != branches)
        broken(world, "setting up", "the people are not there");
}

void act_set_up(struct world *world)
{
    struct seeded_rng dice;
    seeded_rng_start(&dice, world->plan->seed * 17 + 3);
    node_prepare(act_add_node(world, true, -1, fresh_disk(world, true)));
    node_start(&world->nodes[0]);
    if (!world->nodes[0].running)
        broken(world, "setting up", "headquarters does not start");
    if (!world->failed)
        make_people(world, &dice);
    for (uint32_t i = 0; i < world->plan->devices && !world->failed; i++) {
        struct node *node = act_add_device(world, fresh_disk(world, false));
        uint32_t people = world->ledger->person_count;
        uint16_t user = (uint16_t)(i < people ? i : seeded_below(&dice, people));
        device_node_enrol(node, user);
        node_start(node);
        if (i == 0)
            write_twins(node);
        if (i == 0 || seeded_below(&dice, 2))
            device_node_mode(node, MODE_LIVE);
    }
    if (world->plan->branches && !world->failed)
        branches_set_up(world, fresh_disk);
    people_set_up(world);
}

/* ---- actions ---- */

static void night(struct world *world)
{
    world->cover[COVER_NIGHTS]++;
    for (uint32_t i = 0; i < world->node_count; i++)
        if (world->nodes[i].upstream >= 0)
            device_node_mode(&world->nodes[i], MODE_OFF);
}

static enum err look_at_parked(void *context, const struct parked_group *parked)
{
    uint64_t *ret = context;
    if (parked->result == RESULT_PARKED)
        *ret = parked->dot.oseq;
    return ERR_OK;
}

/* What a group that is tried again is written upon: it replaces what is shown now. */
enum { REPLACED_MOST = 64 };

struct given_up {
    struct node *node;
    struct world *world;
    uint64_t oseq;
    struct arena arena;
    struct {
        struct bytes before, after;
    } replaced[REPLACED_MOST];
    struct bytes value;
    uint32_t count, tx; /* tx: the newest that its texts are of; NONE */
    uint32_t account;   /* that it inserts: a record; NONE */
};

static void newest(void *context, uint32_t tx, uint32_t op)
{
    struct given_up *given = context;
    (void)op;
    if (given->tx == NONE || tx > given->tx)
        given->tx = tx;
}

static void look_at_write(struct given_up *given, const struct unit_write *write,
                          const struct replica_record *shown)
{
    for (uint16_t k = 0; write->values && k < write->unit->column_count; k++) {
        const struct value *before = &shown->record.values[write->unit->columns[k]];
        const struct value *after = &write->values[k];
        if (write->unit->policy == MERGE_COUNTER || after->kind != VALUE_TEXT)
            continue;
        tokens_each(after->as.bytes, newest, given);
        if (before->kind != VALUE_TEXT || given->count == REPLACED_MOST)
            continue;
        given->replaced[given->count].before = before->as.bytes;
        given->replaced[given->count++].after = after->as.bytes;
    }
}

static void look_at_insert(struct given_up *given, const struct mutation *mutation)
{
    const struct ledger *l = given->world->ledger;
    for (uint32_t i = 0; mutation->op == MUTATION_INSERT && i < l->record_count; i++)
        if (l->records[i].table == mutation->table->index &&
            mutation->table->bucket_rule == BUCKET_ROUTED &&
            uuid_equal(&l->records[i].id, &mutation->id))
            given->account = i;
}

static void look_at_given(struct given_up *given, struct bytes value)
{
    const struct model *model = replica_model(given->node->replica);
    size_t head = value.size < 12 ? value.size : 12u + be16_get(value.data + 10);
    struct group group;
    struct bytes raw;
    if (head > value.size ||
        arena_copy(&given->arena, bytes_of(value.data + head, value.size - head), &raw) != ERR_OK ||
        group_decode(model, raw, &given->arena, &group, NULL) != ERR_OK)
        return;
    for (uint32_t m = 0; m < group.mutation_count; m++) {
        const struct mutation *mutation = &group.mutations[m];
        struct replica_record shown;
        look_at_insert(given, mutation);
        if (mutation->op == MUTATION_INSERT ||
            replica_get(given->node->replica, mutation->table, &mutation->id, &given->arena,
                        &shown) != ERR_OK)
            continue;
        for (uint16_t i = 0; i < mutation->write_count; i++)
            look_at_write(given, &mutation->writes[i], &shown);
    }
}

static void mark_discarded(void *context, uint32_t tx, uint32_t op)
{
    struct world *world = context;
    (void)op;
    if (tx < world->ledger->tx_count)
        world->ledger->txs[tx].discarded = true;
}

static int discard_found(void *context, struct bytes key, struct bytes value)
{
    struct given_up *given = context;
    if (key.size != 16 || be64_get(key.data + 8) != given->oseq)
        return 0;
    tokens_each(value, mark_discarded, given->world);
    return (int)arena_copy(&given->arena, value, &given->value);
}

/* The next device that has something set aside. */
static struct node *with_parked(struct node *node, uint64_t *ret_oseq)
{
    struct world *world = node->world;
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct node *next = &world->nodes[(node->number + i) % world->node_count];
        if (!next->serves && next->running &&
            replica_parked(next->replica, look_at_parked, ret_oseq) == ERR_OK && *ret_oseq != 0)
            return next;
    }
    return NULL;
}

static void parked(struct node *from, struct seeded_rng *dice)
{
    struct world *world = from->world;
    struct err_info info = {0};
    uint64_t oseq = 0;
    struct node *node = with_parked(from, &oseq);
    if (!node)
        return;
    struct given_up given = {
        .node = node, .world = world, .oseq = oseq, .tx = NONE, .account = NONE};
    arena_init(&given.arena, 64 << 20);
    bool again = seeded_below(dice, 2);
    if (store_begin(node->store, STORE_READ) == ERR_OK) {
        (void)store_side_scan(node->store, SIDE_PARKED, bytes_of(NULL, 0), bytes_of(NULL, 0),
                              discard_found, &given);
        store_rollback(node->store);
    }
    look_at_given(&given, given.value);
    enum err e = again ? replica_parked_retry(node->replica, oseq, node_now(node).wall.ms, &info)
                       : replica_parked_discard(node->replica, oseq, &info);
    for (uint32_t i = 0; again && e == ERR_OK && given.tx != NONE && i < given.count; i++)
        ledger_replaces(world->ledger, given.tx, given.replaced[i].before, given.replaced[i].after);
    arena_done(&given.arena);
    say(world, "%s: %s the parked group %llu: %s %s", node->name, again ? "retries" : "discards",
        (unsigned long long)oseq, err_name(e), info.message);
    if (node_check_power(node))
        return;
    if (e == ERR_IO || e == ERR_CORRUPT) {
        node_stop(node, e);
        return;
    }
    world->cover[again ? COVER_RETRIES : COVER_DISCARDS]++;
    device_node_wrote(node);
    /* Who has mended a customer goes on with it. */
    if (again && e == ERR_OK && given.account != NONE && node->running)
        write_line(node, dice, given.account);
}

static void again(struct node *node)
{
    if (!node->up || !node->running)
        return;
    node->world->cover[COVER_TWO_SESSIONS]++;
    struct link *old = node->up;
    old->why = ERR_LINK;
    enum node_mode mode = node->mode;
    device_node_over(node, ERR_LINK);
    link_close(old, LOWER, true); /* as when a phone changes its network: what it sent goes on */
    node->mode = mode == MODE_OFF ? MODE_ONCE : mode;
    node->failures = 0;
    device_node_connect(node);
}

/* What happens to a device happens to it or to a copy of it. */
static struct node *whom(struct world *world, const struct action *action)
{
    uint32_t at = action->node ? 1 + (action->node - 1u) % (world->node_count - 1) : 0;
    for (uint32_t i = at + 1; at && i < world->node_count; i++)
        if (world->nodes[i].clone_of == (int32_t)at && (action->dice >> (40 + i % 16) & 1))
            at = i;
    return &world->nodes[at];
}

void act(struct world *world, const struct action *action)
{
    struct seeded_rng dice;
    seeded_rng_start(&dice, action->dice);
    struct node *node = whom(world, action);
    if (action->kind != ACTION_NIGHT && action->kind != ACTION_MODEL)
        branches_wake(world);
    if (action->kind != ACTION_WRITE)
        say(world, "%s: %s", node->name, action_text((enum action_kind)action->kind));
    switch ((int)action->kind) {
    case ACTION_WRITE: write_transaction(node, &dice, false); break;
    case ACTION_SYNC: device_node_mode(node, MODE_ONCE); break;
    case ACTION_LIVE: device_node_mode(node, MODE_LIVE); break;
    case ACTION_OFFLINE: device_node_mode(node, MODE_OFF); break;
    case ACTION_AGAIN: again(node); break;
    case ACTION_NIGHT: night(world); break;
    case ACTION_PARKED: parked(node, &dice); break;
    case ACTION_MODEL: models_extend(world); break;
    default:
        if (!act_people(world, node, action, &dice) && !act_branch(world, node, action, &dice) &&
            !act_fault(world, node, action, &dice) && !act_copy(world, node, action, &dice))
            (void)act_byzantine(world, node, action, &dice);
        break;
    }
}

/* ---- the faults stop ---- */

static void heal(struct world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct node *node = &world->nodes[i];
        sim_disk_no_faults(node->disk);
        sim_disk_set_capacity(node->disk, 0);
        node->frozen_ms = -1;
        node->paused_us = 0;
        node->nomem_in = 0;
        node->refused_us = 0;
        node->clogged_us[0] = node->clogged_us[1] = 0;
        node->profile = (struct profile){500, 2000, 0, 256 << 10};
        world_at(world, world->now_us + 1000,
                 (struct event){.kind = EVENT_START, .node = node->number, .life = node->life});
    }
    for (uint32_t i = 0; i < world->link_count; i++)
        for (int side = 0; side < 2; side++) {
            struct link *link = world->links[i];
            if (!link)
                continue;
            link->profile = world->nodes[link->ends[LOWER]].profile;
            link->pipes[side].cut_at = 0;
            if (link->pipes[side].clogged_us != INT64_MAX)
                link->pipes[side].clogged_us = 0;
        }
}

static bool shares_identity(const struct world *world, const struct node *node)
{
    for (uint32_t i = 1; i < world->node_count; i++) {
        const struct node *one = &world->nodes[i];
        if (one != node && uuid_equal(&one->identity.device, &node->identity.device))
            return true;
    }
    return false;
}

/* Everybody who is to stay connected is live and has all. */
static const struct node *not_live(const struct world *world)
{
    for (uint32_t i = 1; i < world->node_count; i++) {
        const struct node *node = &world->nodes[i];
        struct uplink_progress progress = {0};
        if (node->erased || node->mode != MODE_LIVE)
            continue;
        if (node->uplink && node->running)
            uplink_progress(node->uplink, &progress);
        if (!node->up || !node->up->open[UPPER] || !progress.live || !progress.caught_up)
            return node;
    }
    return NULL;
}

static void until_live(struct world *world)
{
    int64_t limit = world->now_us + 7200 * second;
    while (!world->failed) {
        (void)world_settle(world, 3 * second, 600 * second);
        const struct node *node = not_live(world);
        if (!node || world->failed)
            return;
        if (world->now_us > limit) {
            broken(world, "liveness",
                   "%s does not come up to date, 2 hours after the last fault (%s)", node->name,
                   err_name(node->last_why));
            return;
        }
        int64_t until = world->now_us + 10 * second;
        while (world->now_us < until && world_step(world))
            continue;
    }
}

/* Those that share one identity connect one after the other. */
static void in_turn(struct world *world)
{
    for (uint32_t i = 1; i < world->node_count && !world->failed; i++) {
        struct node *node = &world->nodes[i];
        if (node->erased || !shares_identity(world, node))
            continue;
        device_node_mode(node, MODE_ONCE);
        int64_t limit = world->now_us + 7200 * second;
        while (node->mode != MODE_OFF && !node->erased && world_step(world))
            if (world->now_us > limit) {
                broken(world, "liveness", "%s does not finish its sync (%s)", node->name,
                       err_name(node->last_why));
                return;
            }
        (void)world_settle(world, 3 * second, 600 * second);
    }
}

static void let_in(struct world *world)
{
    char request[120];
    for (uint32_t i = 0; i < world->ledger->person_count && !world->failed; i++) {
        const struct person *person = &world->ledger->people[i];
        if (person->may_write)
            continue;
        snprintf(request, sizeof request,
                 "{\"do\":\"user-set\",\"login\":\"u%u\",\"role\":\"rep\",\"active\":true}", i);
        for (int tries = 0; !hub_node_ask(&world->nodes[0], request) && tries < 3; tries++)
            (void)world_settle(world, 3 * second, 600 * second); /* a last fault stopped it */
    }
    oracle_people(world);
}

void act_settle(struct world *world)
{
    say(world, "the faults stop");
    world->settling = true;
    heal(world);
    /* In some runs who is connected stays so: a session that has come through it all has to go on. */
    bool stay = world->plan->seed >> 4 & 1;
    for (uint32_t i = 1; i < world->node_count; i++)
        if (!stay || world->nodes[i].evil || world->nodes[i].mode != MODE_LIVE ||
            shares_identity(world, &world->nodes[i]))
            device_node_mode(&world->nodes[i], MODE_OFF);
    (void)world_settle(world, 3 * second, 600 * second);
    for (uint32_t i = 0; i < world->node_count && !world->failed; i++)
        if (!world->nodes[i].running && !world->nodes[i].erased)
            broken(world, "liveness", "%s does not start again", world->nodes[i].name);
    /* Who stays connected over a line that is dead finds that out by its heartbeat. */
    for (int64_t until = world->now_us + 120 * second; stay && world->now_us < until;)
        if (!world_step(world))
            break;
    if (world->failed)
        return;
    models_settle(world);
    oracle_people(world); /* they may have been asked for while its disk had errors */
    let_in(world);
    people_settle(world);
    branches_settle(world);
    for (uint32_t i = 1; i < world->node_count; i++)
        if (!world->nodes[i].erased && !shares_identity(world, &world->nodes[i]))
            device_node_mode(&world->nodes[i], MODE_LIVE);
    until_live(world);
    int rounds = world->plan->branches ? 6 : 3; /* a fork is told later */
    for (int round = 0; round < rounds && !world->failed; round++)
        in_turn(world);
    if (!world->failed)
        until_live(world);
}
