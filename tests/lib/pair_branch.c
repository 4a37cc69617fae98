#include "common/store_mem/store_mem.h"
#include "tests/lib/pair.h"

void pair_go_live(struct pair *pair, struct pair_device *device)
{
    pair_connect(pair, device, false);
    pair_run(pair);
}

void pair_say(struct pair *pair, struct pair_device *device)
{
    struct uplink_effects effects;
    uplink_local_change(device->uplink, (struct now){{pair->now_ms}, {pair->now_ms * 1000}},
                        &effects);
    pair_run(pair);
}

void pair_close_branch(struct pair_branch *branch)
{
    hub_close(branch->hub);
    branch->hub = NULL;
}

static void pushed(void *context)
{
    struct pair_branch *branch = context;
    struct uplink_effects effects;
    const struct now now = {{branch->pair->now_ms}, {branch->pair->now_ms * 1000}};
    if (branch->link->up)
        uplink_local_change(branch->link->uplink, now, &effects);
}

enum err pair_try_serve(struct pair *pair, struct pair_branch *branch)
{
    struct err_info info = {0};
    struct hub_config config = {.model = branch->link->store->model,
                                .store = branch->link->store,
                                .crypto = pair->crypto,
                                .rng = &pair->rng,
                                .replica = branch->link->replica,
                                .pushed = pushed,
                                .context = branch};
    memset(config.server_key, 7, 32);
    return hub_open(&config, pair_hub_now(pair), &branch->hub, &info);
}

static void open_hub(struct pair *pair, struct pair_branch *branch)
{
    assert_ok(pair_try_serve(pair, branch));
}

static void set_user(struct pair *pair, const char *login, const char *branch, const char *role)
{
    char request[300];
    snprintf(request, sizeof request,
             "{\"do\":\"user-set\",\"login\":\"%s\",\"branch\":\"%s\",\"role\":\"%s\"}", login,
             branch, role);
    pair_admin(pair, request);
}

struct pair_branch *pair_branch_new(struct pair *pair, const char *name, struct pair_branch *above)
{
    char request[300], login[100];
    struct pair_branch *branch = &pair->branches[pair->branch_count++];
    snprintf(request, sizeof request, "{\"do\":\"branch-add\",\"name\":\"%s\"%s%s%s}", name,
             above ? ",\"parent\":\"" : "", above ? above->name : "", above ? "\"" : "");
    pair_admin(pair, request);
    snprintf(login, sizeof login, "server-%s", name);
    struct pair_device *link = pair_enrol(pair, login, "branch");
    set_user(pair, login, name, "branch");
    *branch = (struct pair_branch){.pair = pair, .link = link, .name = name};
    link->serves = branch;
    link->at = above;
    replica_close(link->replica);
    pair_open_device(pair, link);
    open_hub(pair, branch);
    pair_connect(pair, link, false);
    pair_run(pair);
    pair_links_again(pair); /* those above have heard of it now */
    return branch;
}

void pair_links_again(struct pair *pair)
{
    for (uint32_t i = 0; i < pair->branch_count; i++) {
        struct pair_device *link = pair->branches[i].link;
        if (link && !link->up && link->ended && link->why != ERR_LINK)
            pair_connect(pair, link, false);
        pair_run(pair);
    }
}

struct pair_device *pair_enrol_at(struct pair *pair, const char *login, const char *branch,
                                  struct pair_branch *at)
{
    struct pair_device *device = pair_enrol(pair, login, "rep");
    set_user(pair, login, branch, "rep");
    device->at = at;
    pair_run(pair);
    pair_links_again(pair); /* the branch hears of the device */
    return device;
}

void pair_restart_branch(struct pair *pair, struct pair_branch *branch)
{
    for (uint32_t i = 0; i < pair->device_count; i++)
        if (pair->devices[i].at == branch)
            pair_cut(pair, &pair->devices[i]);
    pair_cut(pair, branch->link);
    pair_close_branch(branch);
    pair_restart_device(pair, branch->link);
    open_hub(pair, branch);
}

void pair_replace_branch(struct pair *pair, struct pair_branch *branch)
{
    struct pair_device *old = branch->link;
    char login[100];
    for (uint32_t i = 0; i < pair->device_count; i++)
        if (pair->devices[i].at == branch)
            pair_cut(pair, &pair->devices[i]);
    pair_cut(pair, old);
    pair_close_branch(branch);
    snprintf(login, sizeof login, "server-%s", branch->name);
    struct pair_device *fresh = pair_enrol(pair, login, "branch");
    const struct uplink_identity identity = fresh->identity;
    replica_close(fresh->replica);
    replica_close(old->replica);
    store_close(old->store);
    old->store = fresh->store;
    old->identity = identity;
    uplink_free(fresh->uplink);
    *fresh = (struct pair_device){0};
    pair->device_count--;
    pair_open_device(pair, old);
    open_hub(pair, branch);
    pair_connect(pair, old, false);
    pair_run(pair);
}
