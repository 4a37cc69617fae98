/* The world: processes, faults, what is tried again. */
#include "tests/faults/rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/failing_alloc.h"
#include "tests/lib/unfailing.h"

static const char model_text[] =
    "{\"name\":\"faults\",\"version\":%d,\"tables\":["
    "{\"id\":16,\"name\":\"party\",\"label\":{\"en\":\"Customer\"},\"delete\":\"revives\","
    "\"bucket\":\"company\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}},"
    "%s"
    "{\"id\":3,\"name\":\"points\",\"type\":\"integer\",\"merge\":\"counter\",\"default\":0,"
    "\"label\":{\"en\":\"Points\"}}]}"
    "%s]}";
static const char note_column[] =
    "{\"id\":2,\"name\":\"note\",\"type\":\"text\",\"default\":\"none\",\"label\":{\"en\":"
    "\"Note\"}},";
static const char contact_table[] =
    ",{\"id\":17,\"name\":\"contact\",\"label\":{\"en\":\"Contact\"},\"delete\":\"wins\","
    "\"bucket\":\"inherit\",\"parent\":\"party\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}},"
    "{\"id\":2,\"name\":\"party\",\"type\":\"reference\",\"target\":\"party\",\"required\":true,"
    "\"label\":{\"en\":\"Customer\"}},{\"id\":3,\"name\":\"picture\",\"type\":\"blob\"}]}";

void rig_fail(const struct rig *rig, const char *format, ...)
{
    va_list arguments;
    (void)failing_alloc_stop();
    (void)fflush(stdout);
    (void)fprintf(stderr, "FAILED %s\n  ", rig->story);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\n");
    _Exit(RIG_FAILED);
}

bool rig_tells;

void rig_tell(const struct rig *rig, const char *format, ...)
{
    va_list arguments;
    if (!rig_tells)
        return;
    (void)fprintf(stderr, "[%lld] ", (long long)(rig->now_ms - RIG_EPOCH_MS));
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\n");
}

static void hear(void *context, enum log_level level, const char *text)
{
    (void)level;
    rig_tell(context, "  headquarters: %s", text);
}

static void must(const struct rig *rig, enum err e, const char *what)
{
    if (e != ERR_OK)
        rig_fail(rig, "%s: ERR_%s", what, err_name(e));
}

struct hub_now rig_hub_now(const struct rig *rig)
{
    return (struct hub_now){{rig->now_ms}, {rig->now_ms * 1000}};
}

struct now rig_device_now(const struct rig *rig)
{
    return (struct now){{rig->now_ms}, {rig->now_ms * 1000}};
}

/* ---- making, copying ---- */

static struct model *make_model(struct rig *rig, bool old)
{
    char text[2000];
    struct model *model = NULL;
    struct err_info info = {0};
    (void)snprintf(text, sizeof text, model_text, old ? 1 : 2, old ? "" : note_column,
                   old ? "" : contact_table);
    if (model_parse(bytes_of_text(text), &model, &info) != ERR_OK)
        rig_fail(rig, "%s", info.message);
    return model;
}

struct rig_node *rig_add_node(struct rig *rig)
{
    struct rig_node *node = &rig->nodes[rig->count];
    if (rig->count == RIG_NODES)
        rig_fail(rig, "too many nodes");
    *node = (struct rig_node){.number = rig->count, .model = rig->nodes[0].model};
    node->disk = sim_disk_new((uint64_t)rig->count);
    node->files = sim_disk_files(node->disk);
    rig->count++;
    return node;
}

struct rig *rig_make(bool old)
{
    struct rig *rig = unfailing_malloc(sizeof *rig);
    rig->story = "the template";
    rig->owns = true;
    rig->victim = -1;
    rig->now_ms = RIG_EPOCH_MS;
    seeded_rng_start(&rig->seeded, 1);
    rig->rng = seeded_rng_interface(&rig->seeded);
    rig->model = make_model(rig, false);
    rig->old_model = make_model(rig, true);
    must(rig, crypto_new(&rig->crypto), "crypto");
    rig_add_node(rig)->model = old ? rig->old_model : rig->model;
    return rig;
}

struct rig *rig_copy(const struct rig *from)
{
    struct rig *rig = unfailing_malloc(sizeof *rig);
    *rig = *from;
    rig->owns = false;
    rig->rng = seeded_rng_interface(&rig->seeded);
    for (int i = 0; i < rig->count; i++) {
        struct rig_node *node = &rig->nodes[i];
        node->disk = sim_disk_copy(from->nodes[i].disk, (uint64_t)i);
        node->files = sim_disk_files(node->disk);
    }
    sim_disk_seed_sqlite(1);
    return rig;
}

void rig_free(struct rig *rig)
{
    if (rig == NULL)
        return;
    for (int i = rig->count; i-- > 0;) { /* devices first: their peers are headquarters' */
        rig_stop(rig, &rig->nodes[i]);
        sim_disk_free(rig->nodes[i].disk);
    }
    if (rig->owns) {
        model_free(rig->model);
        model_free(rig->old_model);
        crypto_free(rig->crypto);
    }
    unfailing_free(rig);
}

void rig_settle(struct rig *rig)
{
    for (int i = rig->count; i-- > 0;) {
        rig_stop(rig, &rig->nodes[i]);
        sim_disk_sync_all(rig->nodes[i].disk);
    }
}

struct rig_node *rig_clone(struct rig *rig, struct rig_node *device)
{
    struct rig_node *clone = rig_add_node(rig);
    sim_disk_free(clone->disk);
    clone->disk = sim_disk_copy(device->disk, (uint64_t)clone->number);
    clone->files = sim_disk_files(clone->disk);
    clone->identity = device->identity;
    clone->enrolled = device->enrolled;
    return clone;
}

/* ---- faults ---- */

static bool is_victim(const struct rig *rig, const struct rig_node *node)
{
    return rig->victim == node->number;
}

void rig_enter(struct rig *rig, const struct rig_node *node)
{
    if (is_victim(rig, node))
        (void)failing_alloc_pause(false);
}

void rig_leave(struct rig *rig, const struct rig_node *node)
{
    if (is_victim(rig, node))
        (void)failing_alloc_pause(true);
}

static void start_fault(struct rig *rig, const struct rig_fault *fault)
{
    struct sim_disk *disk = rig->nodes[rig->victim].disk;
    struct sim_disk_fault call = fault->call;
    switch (fault->kind) {
    case RIG_NO_FAULT: break;
    case RIG_ALLOCATION:
        if (fault->forever)
            failing_alloc_start_forever(fault->at);
        else
            failing_alloc_start(fault->at);
        (void)failing_alloc_pause(true);
        break;
    case RIG_CALL:
        call.at = fault->at;
        call.forever = fault->forever;
        sim_disk_fail(disk, &call);
        break;
    case RIG_POWER:
        call = (struct sim_disk_fault){.calls = SIM_DISK_CHANGES,
                                       .at = fault->at,
                                       .effect = fault->after ? SIM_DISK_POWER_AFTER
                                                              : SIM_DISK_POWER_BEFORE};
        sim_disk_fail(disk, &call);
        break;
    }
}

static void start_phase(struct rig *rig, enum rig_phase phase, const struct rig_fault *fault)
{
    rig_tell(rig, "the %s fault is in force", phase == RIG_FIRST ? "first" : "second");
    rig->phase = phase;
    rig->in_vain = 0;
    rig->hits_before = sim_disk_hits(rig->nodes[rig->victim].disk);
    start_fault(rig, fault);
}

void rig_arm(struct rig *rig, int victim, const struct rig_fault *first,
             const struct rig_fault *second)
{
    rig->victim = victim;
    rig->first = *first;
    rig->second = second == NULL ? (struct rig_fault){.kind = RIG_NO_FAULT} : *second;
    rig->first_hit = rig->second_hit = false;
    start_phase(rig, RIG_FIRST, first);
}

/* Notes whether the fault in force has hit. */
static bool has_hit(struct rig *rig)
{
    if (rig->phase == RIG_WELL)
        return false;
    bool hit =
        failing_alloc_hit() || sim_disk_hits(rig->nodes[rig->victim].disk) > rig->hits_before;
    rig->first_hit |= hit && rig->phase == RIG_FIRST;
    rig->second_hit |= hit && rig->phase == RIG_SECOND;
    return hit;
}

void rig_mend(struct rig *rig)
{
    (void)has_hit(rig);
    (void)failing_alloc_stop();
    if (rig->phase != RIG_WELL)
        rig_tell(rig, "the machine is well");
    if (rig->victim >= 0)
        sim_disk_no_faults(rig->nodes[rig->victim].disk);
    rig->phase = RIG_WELL;
}

void rig_in_vain(struct rig *rig, const char *what, enum err why)
{
    rig->failures++;
    rig_tell(rig, "%s failed: ERR_%s", what, err_name(why));
    rig->now_ms += 150; /* headquarters does a batch again after 100 ms */
    if (++rig->in_vain >= RIG_PATIENCE && has_hit(rig) &&
        !sim_disk_is_down(rig->nodes[rig->victim].disk))
        rig_mend(rig);
    if (rig->in_vain > RIG_ATTEMPTS)
        rig_fail(rig, "%s: no progress, at last ERR_%s", what, err_name(why));
}

/* ---- processes ---- */

/* After a power cut, or when the process was killed on a machine that runs on. */
static void power_on(struct rig *rig, struct rig_node *node)
{
    const struct rig_fault *fault = rig->phase == RIG_SECOND ? &rig->second : &rig->first;
    (void)has_hit(rig);
    rig_tell(rig, "node %d starts after a %s", node->number, fault->kills ? "kill" : "power cut");
    if (!fault->kills)
        sim_disk_crash(node->disk, fault->survivors, fault->survivor_seed);
    sim_disk_start(node->disk);
}

/* The victim starts again: the first fault is over, unless it is for good, and the second in force. */
static void next_phase(struct rig *rig)
{
    if (!has_hit(rig))
        return;
    bool first = rig->phase == RIG_FIRST;
    if (first && rig->second.kind != RIG_NO_FAULT) {
        rig_mend(rig);
        start_phase(rig, RIG_SECOND, &rig->second);
    } else if (!(first ? &rig->first : &rig->second)->forever) {
        rig_mend(rig);
    }
}

void rig_start_machine(struct rig *rig, struct rig_node *node)
{
    if (sim_disk_is_down(node->disk))
        power_on(rig, node);
    if (is_victim(rig, node))
        next_phase(rig);
}

enum err rig_open_store(struct rig_node *node, const char *path, bool look, struct store **ret,
                        struct err_info *info)
{
    const struct store_sqlite_options options = {.path = path,
                                                 .read_only = look,
                                                 .synchronous = STORE_SQLITE_FULL,
                                                 .keeps_log = node->number == RIG_HUB,
                                                 .cache_bytes = 2 << 20,
                                                 .busy_timeout_ms = 1000,
                                                 .vfs = sim_disk_vfs(node->disk),
                                                 .files = &node->files,
                                                 .wal_autocheckpoint_pages = 12};
    return store_sqlite_open(&options, node->model, ret, info);
}

static enum err open_node(struct rig *rig, struct rig_node *node, struct err_info *info)
{
    enum err e = rig_open_store(node, RIG_STORE, false, &node->store, info);
    if (e != ERR_OK)
        return e;
    if (node->number == RIG_HUB) {
        node->log = (struct log){.write = hear, .context = rig, .level = LOG_LEVEL_DEBUG};
        const struct hub_config config = {.model = node->model,
                                          .store = node->store,
                                          .crypto = rig->crypto,
                                          .rng = &rig->rng,
                                          .log = &node->log,
                                          .server_key = {7},
                                          .limits = {.page_rows = 3}};
        e = hub_create(&config, rig_hub_now(rig), info);
        if (e == ERR_OK || e == ERR_EXISTS)
            e = hub_open(&config, rig_hub_now(rig), &node->hub, info);
        return e;
    }
    const struct replica_config config = {
        .model = node->model, .store = node->store, .crypto = rig->crypto, .rng = &rig->rng};
    return replica_open(&config, &node->replica, info);
}

static void cut(struct rig *rig, struct rig_node *device)
{
    struct uplink_effects effects;
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    if (device->up) {
        rig_enter(rig, device);
        uplink_link_down(device->uplink, rig_device_now(rig), &effects);
        rig_leave(rig, device);
    }
    if (device->peer != NULL && hub->hub != NULL) {
        rig_enter(rig, hub);
        hub_detach(hub->hub, device->peer, rig_hub_now(rig));
        rig_leave(rig, hub);
    }
    device->peer = NULL;
    device->up = false;
}

void rig_stop(struct rig *rig, struct rig_node *node)
{
    if (node->number == RIG_HUB)
        for (int i = 1; i < rig->count; i++)
            cut(rig, &rig->nodes[i]);
    else
        cut(rig, node);
    rig_enter(rig, node);
    uplink_free(node->uplink);
    replica_close(node->replica);
    hub_close(node->hub);
    store_close(node->store);
    rig_leave(rig, node);
    node->uplink = NULL;
    node->replica = NULL;
    node->hub = NULL;
    node->store = NULL;
}

void rig_after(struct rig *rig, struct rig_node *node, enum err e)
{
    if (err_class(e) == ERR_CLASS_FATAL || sim_disk_is_down(node->disk))
        rig_stop(rig, node);
}

/* A checkpoint that failed after the last commit of the start shows at the next transaction. */
static enum err probe(struct rig_node *node)
{
    sim_disk_pause_faults(node->disk, true);
    enum err e = store_begin(node->store, STORE_READ);
    if (e == ERR_OK)
        store_rollback(node->store);
    sim_disk_pause_faults(node->disk, false);
    return e;
}

void rig_ready(struct rig *rig, struct rig_node *node)
{
    while (node->store == NULL || sim_disk_is_down(node->disk)) {
        struct err_info info = {0};
        rig_stop(rig, node);
        rig_start_machine(rig, node);
        rig->starts++;
        rig_tell(rig, "node %d starts", node->number);
        rig_enter(rig, node);
        enum err e = open_node(rig, node, &info);
        rig_leave(rig, node);
        if (e == ERR_OK)
            e = probe(node);
        if (e == ERR_OK && !sim_disk_is_down(node->disk)) {
            rig_check_promises(rig, node);
            return;
        }
        if (e != ERR_OK && e != ERR_NOMEM && e != ERR_BUSY && e != ERR_FULL && e != ERR_IO)
            rig_fail(rig, "node %d does not start: ERR_%s: %s", node->number, err_name(e),
                     info.message);
        rig_stop(rig, node);
        rig_in_vain(rig, "starting a process", e);
    }
}
