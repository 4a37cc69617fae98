#include "server/main/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/core/replica_blobs.h"
#include "client/core/uplink.h"
#include "client/net/backoff.h"
#include "client/net/loop.h"
#include "client/net/resolve.h"
#include "common/text.h"
#include "server/main/house.h"

enum {
    ROUNDS_MAX = 64,         /* of the link's loop, then the devices have their turn */
    AT_ONCE_EVERY_MS = 1000, /* a session that ends again and again is no reason to hurry */
};

struct upstream {
    struct house *house;
    struct identity identity; /* its server: where to connect */
    struct client_loop *loop;
    struct uplink *uplink;
    struct client_link *link;
    struct resolve *resolve; /* under way, between two links */
    struct backoff backoff;
    int64_t retry_us;   /* monotonic: when there is neither; 0: at once */
    int64_t hurried_us; /* when a session was begun again at once the last time */
    uint32_t attempts;
    bool wake;          /* there is something to send up */
    bool was_caught_up; /* this session */
    int64_t contact_ms; /* wall clock: something was heard; 0: not since the start */
    enum err why;       /* of the last session's end; ERR_OK while one is under way */
    char message[240];
    enum err fatal;
};

/* ---- what the cores tell each other ---- */

static void installed(void *context, const struct message_checkpoint *checkpoint)
{
    struct upstream *u = context;
    if (u->house->hub)
        hub_installed(u->house->hub, checkpoint, house_now(u->house));
}

static void pushed(void *context)
{
    struct upstream *u = context;
    u->wake = true;
}

static void forked(void *context, uint64_t origin, uint64_t oseq)
{
    struct upstream *u = context;
    if (u->house->hub)
        hub_forked(u->house->hub, origin, oseq, house_now(u->house));
}

static void pended(void *context)
{
    struct upstream *u = context;
    if (u->house->hub)
        hub_pended(u->house->hub, house_now(u->house));
}

static void carried(void *context, const uint8_t hash[32])
{
    struct upstream *u = context;
    if (u->house->hub)
        hub_blob_changed(u->house->hub, hash);
}

void upstream_wire(struct upstream *u, struct replica_config *replica, struct hub_config *hub)
{
    replica->branch = true;
    replica->installed = installed;
    replica->context = u;
    hub->pushed = pushed;
    hub->context = u;
}

/* ---- the end of a session ---- */

static void note_end(struct upstream *u, enum err why, const char *message)
{
    bool news = u->why != why;
    u->why = why;
    snprintf(u->message, sizeof u->message, "%s", message && message[0] ? message : err_text(why));
    log_write(&u->house->log, news ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "no link to %s: %s",
              u->identity.host, u->message);
}

static void wait_for_retry(struct upstream *u, enum err why)
{
    struct mono_time now = clock_mono(&u->house->clock);
    /* ERR_CONFLICT: the replica goes on under a new origin. */
    bool hurry = why == ERR_CONFLICT || (why == ERR_CLOSED && u->was_caught_up);
    if (hurry && (u->hurried_us == 0 || now.us - u->hurried_us > AT_ONCE_EVERY_MS * 1000LL)) {
        u->hurried_us = now.us;
        u->retry_us = now.us;
    } else {
        u->retry_us = mono_add_ms(now, backoff_next(&u->backoff, &u->house->rng)).us;
    }
}

/* As on a device: the identity first, without it the rest is of no use to anyone. */
static void erase(struct upstream *u, const char *message)
{
    static const char *const names[] = {UPSTREAM_FILE, BRANCH_STORE, BRANCH_STORE "-wal",
                                        BRANCH_STORE "-shm"};
    char path[OS_PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (house_path(u->house, names[i], path, NULL) == ERR_OK)
            (void)os_file_remove(path, NULL);
    u->fatal = ERR_REVOKED;
    snprintf(u->message, sizeof u->message,
             "headquarters has revoked this branch (%.120s); its data were erased", message);
}

/* Whoever runs the server opens the house anew, with the model that has come. */
static void learned(struct upstream *u, const char *message)
{
    log_write(&u->house->log, LOG_LEVEL_INFO, "%s", message);
    client_link_close(u->link);
    u->link = NULL;
    u->retry_us = INT64_MAX;
    u->house->learned = true;
    if (u->house->reopen)
        u->house->reopen(u->house->reopen_context);
}

static void link_closed(struct upstream *u, const struct client_report *report)
{
    enum err why = report->why;
    if (report->learned) {
        learned(u, report->message);
        return;
    }
    note_end(u, why, report->message);
    client_link_close(u->link); /* and with it the report's message */
    u->link = NULL;
    if (err_class(why) == ERR_CLASS_FATAL) /* the store: nothing may be promised any more */
        u->fatal = why;
    wait_for_retry(u, why);
}

static void look_at_progress(struct upstream *u)
{
    struct uplink_progress progress;
    uplink_progress(u->uplink, &progress);
    if (progress.authenticated)
        u->contact_ms = clock_wall(&u->house->clock).ms;
    if (!progress.caught_up || u->was_caught_up)
        return;
    u->was_caught_up = true;
    u->why = ERR_OK;
    u->message[0] = '\0';
    backoff_reset(&u->backoff);
    log_write(&u->house->log, LOG_LEVEL_INFO, "in touch with %s", u->identity.host);
}

static void report(void *context, struct client_link *link, const struct client_report *report)
{
    struct upstream *u = context;
    (void)link;
    look_at_progress(u);
    if (report->erase)
        erase(u, report->message ? report->message : "");
    else if (report->closed)
        link_closed(u, report);
}

/* ---- connecting ---- */

static enum err open_link(struct upstream *u, const char *address)
{
    struct client_link_config config = {.host = u->identity.host,
                                        .address = address,
                                        .port = u->identity.port,
                                        .uplink = u->uplink,
                                        .report = report,
                                        .context = u};
    memcpy(config.pin, u->identity.pin, sizeof config.pin);
    u->was_caught_up = false;
    u->attempts++;
    return client_link_open(u->loop, &config, &u->link);
}

/* A step towards a link. */
static void connect_on(struct upstream *u)
{
    char address[RESOLVE_TEXT_SIZE];
    const char *why = NULL;
    enum err e = u->resolve ? ERR_OK : resolve_start(u->identity.host, &u->resolve);
    if (e == ERR_OK)
        e = resolve_look(u->resolve, u->attempts, address, &why);
    if (e == ERR_BUSY) {
        u->retry_us = mono_add_ms(clock_mono(&u->house->clock), RESOLVE_LOOK_MS).us;
        return;
    }
    resolve_free(u->resolve);
    u->resolve = NULL;
    if (e == ERR_OK)
        e = open_link(u, address);
    if (e == ERR_OK)
        return;
    note_end(u, e, why);
    wait_for_retry(u, e);
}

/* ---- the guest of the server's loop ---- */

static int64_t deadline_us(void *context)
{
    const struct upstream *u = context;
    int64_t due_us = client_loop_deadline(u->loop);
    if (u->wake && u->link)
        return 1;
    if (!u->link && (u->retry_us < due_us || u->retry_us == 0))
        return u->retry_us ? u->retry_us : 1;
    return due_us;
}

static enum err serve(void *context)
{
    struct upstream *u = context;
    enum client_woken woken = CLIENT_WOKEN_BY_REPORT;
    enum err e = ERR_OK;
    for (int round = 0;
         e == ERR_OK && u->fatal == ERR_OK && round < ROUNDS_MAX && woken != CLIENT_WOKEN_BY_TIME;
         round++) {
        if (!u->link && clock_mono(&u->house->clock).us >= u->retry_us)
            connect_on(u);
        if (u->link && u->wake) {
            u->wake = false;
            client_link_wake(u->link);
        }
        e = client_loop_run(u->loop, -1, 0, &woken);
    }
    return e == ERR_OK ? u->fatal : e;
}

const char *upstream_failure(const struct upstream *u)
{
    return u && u->fatal != ERR_OK ? u->message : "";
}

/* ---- opening ---- */

/* The settings win over the ticket: headquarters may have moved, or the link goes to another branch. */
static enum err place(struct upstream *u, struct err_info *info)
{
    const struct settings *s = &u->house->settings;
    struct address address;
    enum err e = address_parse(s->upstream, &address, info);
    if (e == ERR_OK && (!address.host[0] || address.port == 0))
        e = err_set(info, ERR_INVALID, "upstream is HOST:PORT of the server above, not '%s'",
                    s->upstream);
    if (e != ERR_OK)
        return e;
    memcpy(u->identity.host, address.host, sizeof u->identity.host);
    u->identity.port = address.port;
    if (!s->upstream_pin[0])
        return ERR_OK;
    struct buf pin;
    buf_init(&pin, 64);
    bool good = text_parse_base64url(bytes_of_text(s->upstream_pin), &pin) == ERR_OK &&
                pin.size == sizeof u->identity.pin;
    if (good)
        memcpy(u->identity.pin, pin.data, sizeof u->identity.pin);
    buf_done(&pin);
    return good ? ERR_OK
                : err_set(info, ERR_INVALID,
                          "upstream-pin is the pin that the server above prints when it starts");
}

enum err upstream_new(struct house *house, struct upstream **ret, struct err_info *info)
{
    char path[OS_PATH_MAX];
    struct upstream *u = calloc(1, sizeof *u);
    if (!u)
        return err_set(info, ERR_NOMEM, "out of memory");
    u->house = house;
    enum err e = house_path(house, UPSTREAM_FILE, path, info);
    if (e == ERR_OK && !os_file_exists(path))
        e = err_set(info, ERR_NOT_FOUND,
                    "%s is missing: this branch is not enrolled, or was revoked. At headquarters: "
                    "satcheld branch ticket NAME; here: satcheld init --upstream TICKET --data %s",
                    path, house->dir);
    if (e == ERR_OK)
        e = identity_load(path, &u->identity, info);
    if (e == ERR_OK)
        e = place(u, info);
    if (e != ERR_OK) {
        upstream_free(u);
        return e;
    }
    *ret = u;
    return ERR_OK;
}

enum err upstream_start(struct upstream *u, struct server_net_guest *ret_guest,
                        struct err_info *info)
{
    struct house *house = u->house;
    const struct client_loop_config loop = {
        .clock = &house->clock, .log = &house->log, .links_max = 1, .nested = true};
    const struct uplink_config config = {.replica = house->replica,
                                         .crypto = house->crypto,
                                         .rng = &house->rng,
                                         .log = &house->log,
                                         .agent = "satcheld/" SATCHEL_VERSION,
                                         .branch = true,
                                         .forked = forked,
                                         .pended = pended,
                                         .carried = carried,
                                         .context = u};
    struct uplink_identity identity = {.device = u->identity.device};
    memcpy(identity.seed, u->identity.seed, sizeof identity.seed);
    memcpy(identity.server_key, u->identity.pin, sizeof identity.server_key);
    enum err e = uplink_new(&config, &identity, NULL, &u->uplink);
    crypto_wipe(&identity, sizeof identity);
    if (e != ERR_OK)
        return err_set(info, e, "%s", err_text(e));
    e = client_loop_new(&loop, &u->loop, info);
    if (e == ERR_OK)
        *ret_guest = (struct server_net_guest){.fd = client_loop_fd(u->loop),
                                               .deadline_us = deadline_us,
                                               .serve = serve,
                                               .context = u};
    return e;
}

void upstream_free(struct upstream *u)
{
    if (!u)
        return;
    client_link_close(u->link);
    client_loop_free(u->loop);
    uplink_free(u->uplink);
    resolve_free(u->resolve);
    identity_done(&u->identity);
    free(u);
}

/* ---- status ---- */

/* A text of a row: of the user's branch its name, or "". */
static void branch_name(const struct upstream *u, char *out, size_t size)
{
    static const struct {
        uint32_t table;
        const char *column;
    } steps[] = {{TABLE_USER, "branch"}, {TABLE_BRANCH, "name"}};
    const struct house *house = u->house;
    struct replica_record found;
    struct uuid id = u->identity.user;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    out[0] = '\0';
    for (size_t i = 0; i < 2; i++) {
        const struct model_table *table = model_table_by_id(house->model, steps[i].table);
        const struct model_column *column =
            model_column_by_name(table, bytes_of_text(steps[i].column));
        if (replica_get(house->replica, table, &id, &arena, &found) != ERR_OK)
            break;
        const struct value *value = &found.record.values[column->index];
        if (value->kind == VALUE_TEXT)
            snprintf(out, size, "%.*s", (int)value->as.bytes.size,
                     (const char *)value->as.bytes.data);
        else if (!value_id(value, &id))
            break;
    }
    arena_done(&arena);
}

/* Without a transaction, which would be a commit: status may be asked often. */
static void add_stats(const struct hub *hub, json_t *answer)
{
    struct hub_stats s;
    hub_stats(hub, &s);
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {
        {"sessions", s.peers},    {"live", s.peers_live},     {"duplicates", s.duplicates},
        {"forks", s.forks},       {"commits", s.commits},     {"rows_sent", s.rows_sent},
        {"bytes_in", s.bytes_in}, {"bytes_out", s.bytes_out}, {"fallbacks", s.fallbacks}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(answer, numbers[i].name, json_integer((json_int_t)numbers[i].number));
}

void upstream_status(struct upstream *u, json_t *answer)
{
    char name[256], place[PLACE_TEXT_SIZE];
    struct replica_status status;
    struct uplink_progress progress = {0};
    replica_status(u->house->replica, &status);
    if (u->uplink)
        uplink_progress(u->uplink, &progress);
    bool connected = progress.connected && progress.authenticated;
    int64_t contact_ms = connected ? clock_wall(&u->house->clock).ms : u->contact_ms;
    if (contact_ms < status.last_checkpoint_ms)
        contact_ms = status.last_checkpoint_ms;
    place_text(u->identity.host, u->identity.port, place);
    branch_name(u, name, sizeof name);
    json_t *more = json_pack(
        "{s:s,s:s,s:s,s:b,s:I,s:I,s:b,s:I,s:s}", "role", "branch", "branch", name, "upstream",
        place, "connected", connected, "last_contact_ms", (json_int_t)contact_ms, "pending",
        (json_int_t)replica_pending_count(u->house->replica), "ready", status.bootstrapped,
        "records", (json_int_t)status.records, "failure", connected ? "" : u->message);
    json_object_update(answer, more);
    json_decref(more);
    struct blob_counts blobs;
    if (replica_blob_counts(u->house->replica, &blobs) == ERR_OK) {
        json_object_set_new(answer, "attachments", json_integer((json_int_t)blobs.here));
        json_object_set_new(answer, "attachment_bytes", json_integer((json_int_t)blobs.bytes_here));
        json_object_set_new(answer, "attachments_pending", json_integer((json_int_t)blobs.to_send));
    }
    if (u->house->hub)
        add_stats(u->house->hub, answer);
}
