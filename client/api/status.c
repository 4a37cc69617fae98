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
    char text[300] = "";
    if (h->enrolled)
        snprintf(text, sizeof text, strchr(h->identity.host, ':') != NULL ? "[%s]:%u" : "%s:%u",
                 h->identity.host, (unsigned)h->identity.port);
    *ret = arena_text(&h->status_arena, bytes_of_text(text));
    return *ret != NULL ? ERR_OK : ERR_NOMEM;
}

/* Of what waits here, how much the server is known to hold. */
static uint64_t held_by_server(const struct satchel *h, const struct replica_status *status)
{
    struct uplink_progress progress;
    if (h->sync.uplink == NULL)
        return 0;
    uplink_progress(h->sync.uplink, &progress);
    if (progress.acknowledged_upto <= status->decided_upto)
        return 0;
    uint64_t held = progress.acknowledged_upto - status->decided_upto;
    return held < status->outbox_count ? held : status->outbox_count;
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
    ret->at_server = held_by_server(h, &status);
    ret->saved_here = status.outbox_count - ret->at_server;
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

enum satchel_code satchel_status(struct satchel *handle, struct satchel_status *ret_status)
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
        e = count_conflicts(handle, "open", &status.conflicts_open);
    if (e == ERR_OK)
        e = count_conflicts(handle, "automatic", &status.conflicts_automatic);
    api_read_end(handle);
    if (e == ERR_OK)
        *ret_status = status;
    return api_end(handle, e);
}
