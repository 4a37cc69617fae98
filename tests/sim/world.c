#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/act.h"
#include "tests/sim/oracle.h"
#include "tests/sim/photos.h"
#include "tests/sim/sight.h"
#include "tests/sim/sim_model.h"

static const int64_t epoch_ms = 1760000000000;
enum { OFTEN = 64, EVENTS_MOST = 400000, PAUSE_STEP_US = 60000000 };
#define HOUR_US INT64_C(3600000000)

int64_t world_ms(const struct world *world)
{
    return epoch_ms + world->now_us / 1000;
}

/* ---- what is told ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 29;
}

void world_note(struct world *world, uint64_t a, uint64_t b, uint64_t c)
{
    world->hash = mix(mix(mix(world->hash, a), b), c);
}

void world_note_bytes(struct world *world, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t hash = mix(world->hash, size), word;
    for (; size >= 8; at += 8, size -= 8) {
        memcpy(&word, at, 8);
        hash = mix(hash, word);
    }
    for (; size > 0; at++, size--)
        hash = mix(hash, *at);
    world->hash = hash;
}

void say(struct world *world, const char *format, ...)
{
    va_list arguments;
    if (!world->story)
        return;
    int64_t ms = world->now_us / 1000;
    fprintf(world->story, "%4lld:%02lld:%02lld:%02lld.%03lld ", (long long)(ms / 86400000),
            (long long)(ms / 3600000 % 24), (long long)(ms / 60000 % 60),
            (long long)(ms / 1000 % 60), (long long)(ms % 1000));
    va_start(arguments, format);
    vfprintf(world->story, format, arguments);
    va_end(arguments);
    fputc('\n', world->story);
}

void broken(struct world *world, const char *invariant, const char *format, ...)
{
    va_list arguments;
    if (world->failed)
        return;
    world->failed = true;
    snprintf(world->invariant, sizeof world->invariant, "%s", invariant);
    va_start(arguments, format);
    vsnprintf(world->why, sizeof world->why, format, arguments);
    va_end(arguments);
    say(world, "BROKEN: %s: %s", world->invariant, world->why);
}

/* ---- events ---- */

void world_at(struct world *world, int64_t at_us, struct event event)
{
    event.at_us = at_us;
    heap_put(&world->heap, event);
}

struct link *world_link(struct world *world, uint32_t number)
{
    return number < world->link_count ? world->links[number] : NULL;
}

bool world_step(struct world *world)
{
    struct event event;
    if (world->failed || !heap_take(&world->heap, &event))
        return false;
    if (event.at_us > world->now_us)
        world->now_us = event.at_us;
    if (event.kind == EVENT_ACTION && world->settling)
        return true; /* planned for the last moment */
    if (event.kind == EVENT_ACTION) {
        world_note(world, (uint64_t)event.at_us, event.kind, event.what);
        world->events++;
        world->activity++;
        act(world, &world->plan->actions[event.what]);
        return true;
    }
    struct node *node = &world->nodes[event.node];
    if (event.life && event.life != node->life)
        return true;
    if (node->paused_us > world->now_us && event.kind != EVENT_MEND) {
        /* In steps, so that it comes soon where the pause ends before its time. */
        int64_t step_us = world->now_us + PAUSE_STEP_US;
        event.at_us = node->paused_us < step_us ? node->paused_us : step_us;
        int64_t left_us = node->paused_us - world->now_us;
        if (event.kind == EVENT_DELIVER && left_us > HOUR_US && left_us <= HOUR_US + PAUSE_STEP_US)
            world->cover[COVER_LONG_DELAY]++; /* in one of the steps */
        heap_put(&world->heap, event);
        return true;
    }
    world_note(world, (uint64_t)world->now_us, event.kind, (uint64_t)event.node << 32 | event.what);
    world->events++;
    world->kinds[event.kind]++;
    world->activity += event.kind == EVENT_TURN || event.kind == EVENT_START ||
                       event.kind == EVENT_OPEN || event.kind == EVENT_CONNECT ||
                       event.kind == EVENT_END;
    node_event(node, &event);
    if (world->events % OFTEN == 0)
        oracle_now_and_then(world);
    if (world->events > EVENTS_MOST)
        broken(world, "liveness",
               "%u events and no end (%llu of links, %llu turns, %llu ticks, %llu of clients)",
               EVENTS_MOST, (unsigned long long)world->kinds[EVENT_DELIVER],
               (unsigned long long)world->kinds[EVENT_TURN],
               (unsigned long long)world->kinds[EVENT_TICK],
               (unsigned long long)world->kinds[EVENT_UPLINK_TICK]);
    return !world->failed;
}

bool world_settle(struct world *world, int64_t quiet_us, int64_t limit_us)
{
    int64_t until = world->now_us + limit_us, since = world->now_us;
    uint64_t before = world->activity;
    while (world->now_us - since < quiet_us && world->now_us < until) {
        if (world->heap.count == 0)
            return true;
        if (!world_step(world))
            return false;
        if (world->activity != before) {
            before = world->activity;
            since = world->now_us;
        }
    }
    return world->now_us - since >= quiet_us;
}

/* ---- the kit ---- */

static void open_kit(struct kit *kit, const char *model)
{
    struct err_info info = {0};
    *kit = (struct kit){0};
    if (models_open(kit, model, &info) != ERR_OK || crypto_new(&kit->crypto) != ERR_OK) {
        fprintf(stderr, "satchel_sim: %s\n", info.message);
        exit(2);
    }
    for (int i = 0; i < 2; i++)
        kit->template[i] = act_template(kit, i == 1);
}

void kit_open(struct kit *kit)
{
    char *with_teams = sim_model_with_teams();
    open_kit(kit, sim_model_json);
    kit->teams = malloc(sizeof *kit->teams);
    if (!kit->teams)
        abort();
    open_kit(kit->teams, with_teams);
    free(with_teams);
}

void kit_close(struct kit *kit)
{
    if (kit->teams)
        kit_close(kit->teams);
    free(kit->teams);
    for (int i = 0; i < 2; i++)
        sim_disk_free(kit->template[i]);
    crypto_free(kit->crypto);
    for (int i = 0; i < SIM_MODELS; i++)
        model_free(kit->models[i]);
}

/* ---- a run ---- */

static void run_plan(struct world *world)
{
    const struct plan *plan = world->plan;
    for (uint32_t i = 0; i < plan->count && !world->failed; i++) {
        const struct event event = {.kind = EVENT_ACTION, .what = i};
        world_at(world, plan->actions[i].at_us, event);
    }
    while (!world->failed && world->now_us < plan->end_us && world_step(world))
        continue;
    if (world->now_us < plan->end_us)
        world->now_us = plan->end_us;
}

/* The disks as they are, for sqlite3 and people: a folder's name comes from the environment. */
static void dump_disks(const struct world *world, const char *folder)
{
    static const char *const files[] = {"store.db", "store.db-wal"};
    char path[500];
    for (uint32_t i = 0; i < world->node_count; i++)
        for (int k = 0; k < 2; k++) {
            size_t size = (size_t)sim_disk_size(world->nodes[i].disk, files[k]);
            uint8_t *data = malloc(size + 1);
            snprintf(path, sizeof path, "%s/%s.db%s", folder, world->nodes[i].name,
                     k ? "-wal" : "");
            FILE *file = data ? fopen(path, "w") : NULL;
            if (file) {
                size = sim_disk_peek(world->nodes[i].disk, files[k], 0, data, size);
                (void)fwrite(data, 1, size, file);
                (void)fclose(file);
            }
            free(data);
        }
}

void world_run(const struct kit *given, const struct plan *plan, FILE *story, struct outcome *ret)
{
    const struct kit *kit = plan->people ? given->teams : given;
    struct world world = {.kit = kit, .plan = plan, .story = story, .hash = plan->seed};
    seeded_rng_start(&world.dice, plan->seed ^ 0x5eed);
    sim_disk_seed_sqlite((uint32_t)plan->seed);
    world.model = kit->models[plan->models ? SIM_MODELS - 1 : 0];
    world.ledger = ledger_new();
    world.photos = photos_new();
    sight_open(&world);
    world.node_capacity = SIM_NODES_MAX;
    world.nodes = calloc(world.node_capacity, sizeof *world.nodes);
    if (!world.nodes)
        abort();
    act_set_up(&world);
    run_plan(&world);
    if (!world.failed)
        act_settle(&world);
    if (!world.failed)
        oracle_end(&world);
    *ret = (struct outcome){.failed = world.failed,
                            .hash = world.hash,
                            .events = world.events,
                            .simulated_us = world.now_us};
    memcpy(ret->invariant, world.invariant, sizeof ret->invariant);
    memcpy(ret->why, world.why, sizeof ret->why);
    const char *folder = getenv("SATCHEL_SIM_DUMP");
    if (world.failed && story && folder)
        dump_disks(&world, folder);
    for (uint32_t i = 0; i < world.node_count; i++)
        node_done(&world.nodes[i]);
    memcpy(ret->cover, world.cover, sizeof ret->cover);
    for (uint32_t i = 0; i < world.link_count; i++)
        link_free(world.links[i]);
    free(world.links);
    free(world.nodes);
    heap_done(&world.heap);
    ledger_free(world.ledger);
    photos_free(world.photos);
    sight_close(&world);
}
