/* act_models.c - the model changes in the middle of a run: what is added, headquarters taking it over, and the end, in
 * which everybody has the last one.
 *
 * Skew:       devices that are offline, branches whose line is down and headquarters that is restored have an earlier
 *             model than the others for as long as that lasts; devices that roam meet servers that are behind. */
#include <sqlite3.h>
#include <string.h>

#include "common/model_change.h"
#include "common/store_sqlite/store_sqlite.h"
#include "tests/sim/act.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sim_model.h"

/* Each policy that a new column may meet others with; a default that is not NULL; a table that belongs to another. */
static const char *const extensions[SIM_MODELS - 1] = {
    "{\"extends\":\"sim\",\"tables\":[{\"name\":\"account\",\"columns\":["
    "{\"name\":\"size\",\"type\":\"integer\",\"default\":5},{\"name\":\"extra\",\"type\":\"text\"},"
    "{\"name\":\"bonus\",\"type\":\"integer\",\"merge\":\"counter\"},{\"name\":\"labels\",\"type\":"
    "\"set\"}]},"
    "{\"name\":\"memo\",\"columns\":[{\"name\":\"more\",\"type\":\"text\",\"merge\":\"text\"}]},"
    "{\"name\":\"gift\",\"delete\":\"wins\",\"bucket\":\"inherit\",\"parent\":\"account\","
    "\"columns\":["
    "{\"name\":\"account\",\"type\":\"reference\",\"target\":\"account\",\"required\":true},"
    "{\"name\":\"what\",\"type\":\"text\"},{\"name\":\"quantity\",\"type\":\"integer\",\"merge\":"
    "\"counter\"}]}]}",
    "{\"extends\":\"sim\",\"tables\":[{\"name\":\"account\",\"columns\":["
    "{\"name\":\"late\",\"type\":\"text\",\"merge\":\"manual\"},"
    "{\"name\":\"peak\",\"type\":\"integer\",\"merge\":\"max\",\"default\":1}]},"
    "{\"name\":\"line\",\"columns\":[{\"name\":\"note\",\"type\":\"text\"}]}]}",
};

enum err models_open(struct kit *kit, const char *text, struct err_info *info)
{
    enum err e = model_parse(bytes_of_text(text), &kit->models[0], info);
    for (int i = 1; e == ERR_OK && i < SIM_MODELS; i++)
        e = model_extend(kit->models[i - 1], bytes_of_text(extensions[i - 1]), &kit->models[i],
                         info);
    return e;
}

const struct model *models_known(struct world *world, const struct node *node, struct bytes text)
{
    for (int i = 0; i < SIM_MODELS; i++)
        if (bytes_equal(world->kit->models[i]->text, text))
            return world->kit->models[i];
    broken(world, "models are headquarters'", "%s has a model that nobody made", node->name);
    return world->kit->models[0];
}

/* The tables are those of the model that the store says it has. */
static int level_of(const struct world *world, const struct model *model)
{
    int level = 0;
    while (level < SIM_MODELS - 1 && world->kit->models[level] != model)
        level++;
    return level;
}

bool models_behind(const struct world *world, const struct node *server, const struct node *node)
{
    return server->model && level_of(world, server->model) < level_of(world, node->model);
}

/* Groups of a later model that headquarters has kept, after it was restored. */
static void count_later(struct world *world, struct node *server)
{
    sqlite3_stmt *row = NULL;
    if (sqlite3_prepare_v2(
            store_sqlite_handle(server->store),
            "SELECT count(*) FROM satchel_waits_for WHERE substr(k,1,20)=zeroblob(20)", -1, &row,
            NULL) == SQLITE_OK &&
        sqlite3_step(row) == SQLITE_ROW)
        world->cover[COVER_LATER] += (uint64_t)sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
}

void models_extend(struct world *world)
{
    struct node *server = &world->nodes[0];
    struct buf answer;
    if (!server->running || !server->hub)
        return;
    int level = level_of(world, server->model);
    if (level == SIM_MODELS - 1)
        return;
    count_later(world, server);
    buf_init(&answer, 1 << 20);
    node_enter(server);
    enum err e = hub_extend(server->hub, bytes_of_text(extensions[level]), false,
                            node_hub_now(server), &answer);
    node_leave(server);
    say(world, "hq: extends the model from %d: %s", level + 1,
        e == ERR_OK && hub_reopens(server->hub) ? "done" : "failed");
    buf_done(&answer);
    if (node_check_power(server) || !hub_reopens(server->hub))
        return;
    world->cover[COVER_MODELS]++;
    hub_node_settle(server); /* who is connected is told */
    if (server->running)
        node_end(server, END_KILLED, 0, 1000);
}

void models_settle(struct world *world)
{
    enum { TRIES = 20 };
    if (!world->plan->models)
        return;
    for (int i = 0; i < TRIES && !world->failed; i++) {
        if (world->nodes[0].running && world->nodes[0].model == world->model)
            return;
        models_extend(world);
        (void)world_settle(world, 3000000, 600000000);
    }
    if (!world->failed)
        broken(world, "liveness", "headquarters does not take the last model over");
}
