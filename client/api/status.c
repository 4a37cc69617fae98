#include "client/api/api_internal.h"

#include <stdio.h>
#include <string.h>

static enum err count_conflicts(struct satchel *h, const char *state, uint64_t *ret)
{
    const struct model_table *conflicts = model_table_by_id(h->model, TABLE_CONFLICT);
    const struct query_condition condition = {
        .column = model_column_by_id(conflicts, SYSTEM_CONFLICT_STATE),
        .op = QUERY_EQ,
        .value = value_text(bytes_of_text(state))};
    const struct query query = {.conditions = &condition, .condition_count = 1};
    return store_sqlite_count(h->store, conflicts, &query, ret, &h->error);
}

static enum err server_text(struct satchel *h, const char **ret)
{
    char text[PLACE_TEXT_SIZE] = "";
    if (h->enrolled)
        place_text(h->identity.host, h->identity.port, text);
    *ret = arena_text(&h->status_arena, bytes_of_text(text));
    return *ret != NULL ? ERR_OK : ERR_NOMEM;
}

/* What is known of the second mark: own groups up to `upto` are at a server. Stored when a session ends, under
 * this name: origin BE8, upto BE8, at a branch u8. */
static const char acknowledged_name[] = "acknowledged";
enum { ACKNOWLEDGED_SIZE = 17 };

struct acknowledged {
    uint64_t upto;
    bool at_branch;
};

/* Within a transaction. */
static enum err load_acknowledged(struct satchel *h, const struct replica_status *status,
                                  struct acknowledged *ret)
{
    struct bytes value;
    *ret = (struct acknowledged){0};
    enum err e = store_side_get(h->store, SIDE_META, bytes_of_text(acknowledged_name),
                                &h->status_arena, &value);
    if (e == ERR_OK && value.size == ACKNOWLEDGED_SIZE && be64_get(value.data) == status->origin)
        *ret = (struct acknowledged){be64_get(value.data + 8), value.data[16] != 0};
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static struct acknowledged of_session(const struct satchel *h)
{
    struct uplink_progress progress = {0};
    if (h->sync.uplink != NULL)
        uplink_progress(h->sync.uplink, &progress);
    return (struct acknowledged){progress.acknowledged_upto, !identity_is_home(&h->identity)};
}

/* Own groups up to upto that wait here. */
static uint64_t waiting_upto(const struct replica_status *status, uint64_t upto)
{
    uint64_t held = upto > status->decided_upto ? upto - status->decided_upto : 0;
    return held < status->outbox_count ? held : status->outbox_count;
}

static enum err keep(struct satchel *h, const struct replica_status *status,
                     struct acknowledged now)
{
    uint8_t value[ACKNOWLEDGED_SIZE];
    struct acknowledged before;
    enum err e = store_begin(h->store, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    be64_put(value, status->origin);
    be64_put(value + 8, now.upto);
    value[16] = now.at_branch;
    arena_reset(&h->status_arena);
    e = load_acknowledged(h, status, &before);
    if (e == ERR_OK && (before.upto != now.upto || before.at_branch != now.at_branch))
        e = store_side_put(h->store, SIDE_META, bytes_of_text(acknowledged_name),
                           bytes_of(value, sizeof value));
    if (e == ERR_OK)
        return store_commit(h->store);
    store_rollback(h->store);
    return e;
}

void api_keep_acknowledged(struct satchel *h)
{
    struct replica_status status;
    if (h->replica == NULL || h->store == NULL || h->transaction || h->reading > 0)
        return;
    replica_status(h->replica, &status);
    struct acknowledged now = of_session(h);
    if (waiting_upto(&status, now.upto) == 0)
        return;
    enum err e = keep(h, &status, now); /* else more is said to be here alone than is */
    if (e != ERR_OK)
        log_write(&h->log, LOG_LEVEL_WARNING, "what the server has was not noted: %s", err_text(e));
}

/* What waits here: here alone, at a branch, at headquarters. */
static enum err fill_places(struct satchel *h, struct satchel_status *ret)
{
    struct replica_status status;
    struct acknowledged kept;
    replica_status(h->replica, &status);
    struct acknowledged now = of_session(h);
    enum err e = load_acknowledged(h, &status, &kept);
    if (now.upto >= kept.upto)
        kept = now;
    uint64_t held = waiting_upto(&status, kept.upto);
    ret->at_branch = kept.at_branch ? held : 0;
    ret->at_server = held - ret->at_branch;
    ret->saved_here = status.outbox_count - held;
    return e;
}

static void fill(struct satchel *h, struct satchel_status *ret)
{
    struct replica_status status;
    struct uplink_progress progress = {0};
    replica_status(h->replica, &status);
    if (h->sync.uplink != NULL)
        uplink_progress(h->sync.uplink, &progress);
    ret->directory = h->directory;
    ret->enrolled = h->enrolled;
    ret->login = h->identity.login;
    ret->device_name = h->identity.name;
    ret->device = api_id(&h->identity.device);
    ret->history = api_id(h->enrolled ? &h->identity.history : &status.history);
    ret->origin = status.origin;
    ret->written = status.last_oseq;
    ret->server_is_branch = h->enrolled && !identity_is_home(&h->identity);
    ret->colleagues = replica_pending_count(h->replica);
    ret->decided = status.decided_upto;
    ret->sent_log = status.sent_count;
    ret->parked = status.parked_count;
    ret->attention = status.attention_count;
    ret->records = status.records;
    ret->bootstrapped = status.bootstrapped;
    ret->last_checkpoint_ms = status.last_checkpoint_ms;
    ret->last_exchange_ms = h->last_exchange_ms > status.last_checkpoint_ms
                                ? h->last_exchange_ms
                                : status.last_checkpoint_ms;
    ret->clock_offset_ms = h->clock_offset_ms;
    ret->connected = progress.connected && progress.authenticated;
    ret->live = progress.live;
}

static enum err fill_model(struct satchel *h, struct satchel_status *ret)
{
    enum replica_model state;
    enum err e = replica_server_model(h->store, &h->status_arena, &state,
                                      &ret->server_model_version, &ret->server_model_why);
    if (e != ERR_OK)
        return e;
    ret->model_version = h->model->version;
    ret->server_model = state == MODEL_SAME      ? SATCHEL_MODEL_SAME
                        : state == MODEL_EARLIER ? SATCHEL_MODEL_EARLIER
                                                 : SATCHEL_MODEL_STRANGE;
    return e;
}

static enum err fill_sizes(struct satchel *h, struct satchel_status *ret)
{
    struct store_sizes sizes;
    enum err e = store_sqlite_sizes(h->store, false, &sizes);
    if (e != ERR_OK)
        return e;
    ret->file_bytes = sizes.file_bytes;
    ret->free_bytes = sizes.free_bytes;
    ret->wal_bytes = sizes.wal_bytes;
    return ERR_OK;
}

enum satchel_code satchel_sizes(struct satchel *handle, struct satchel_sizes *ret)
{
    struct store_sizes sizes;
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    e = store_sqlite_sizes(handle->store, true, &sizes);
    api_read_end(handle);
    if (e == ERR_OK)
        *ret = (struct satchel_sizes){.records_bytes = sizes.areas[STORE_AREA_RECORDS].bytes,
                                      .conflicts_bytes = sizes.areas[STORE_AREA_CONFLICTS].bytes,
                                      .deleted = sizes.areas[STORE_AREA_DELETED].rows,
                                      .deleted_bytes = sizes.areas[STORE_AREA_DELETED].bytes,
                                      .own_groups_bytes = sizes.areas[STORE_AREA_OWN_GROUPS].bytes,
                                      .pending_bytes = sizes.areas[STORE_AREA_PENDING].bytes,
                                      .parked_bytes = sizes.areas[STORE_AREA_PARKED].bytes};
    return api_end(handle, e);
}

enum satchel_code satchel_status(struct satchel *handle, struct satchel_status *ret)
{
    struct satchel_status status = {0};
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    arena_reset(&handle->status_arena);
    fill(handle, &status);
    e = server_text(handle, &status.server);
    if (e == ERR_OK)
        e = fill_places(handle, &status);
    if (e == ERR_OK)
        e = fill_model(handle, &status);
    if (e == ERR_OK)
        e = count_conflicts(handle, "open", &status.conflicts_open);
    if (e == ERR_OK)
        e = count_conflicts(handle, "automatic", &status.conflicts_automatic);
    if (e == ERR_OK)
        e = api_attachments_status(handle, &status);
    if (e == ERR_OK)
        e = fill_sizes(handle, &status);
    api_read_end(handle);
    if (e == ERR_OK)
        *ret = status;
    return api_end(handle, e);
}
