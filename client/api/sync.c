/* sync.c - handles connected to a loop: sessions, what is told about them, connecting again.
 *
 * Model:      each connected handle has one uplink for as long as it is connected, and one link per
 *             session. Reports of the links become events; between the reports, while something
 *             is under way, the counts are looked at every PROGRESS_MS.
 * Told:       a callback may disconnect its handle, so after each event `sync.loop` says whether
 *             the session goes on. */
#include "client/api/api_internal.h"

#include "common/os/os_clock.h"
#include "common/os/os_rng.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_MS = 200, REST_MS = 30 };

struct satchel_loop {
    struct client_loop *net;
    struct clock clock;
    struct api_log log_to;
    struct log log;
    struct satchel *first;
    unsigned held;    /* open transactions and reads of its handles */
    unsigned waiting; /* handles between two sessions */
    unsigned busy;    /* handles that are not caught up */
    bool told;        /* a callback was called */
    int64_t rest_us; /* when the stores may be tidied, if nothing happens until then; 0: they are */
};

/* ---- the loop ---- */

enum satchel_code satchel_loop_new(const struct satchel_loop_options *options,
                                   struct satchel_loop **ret_loop, struct satchel_error *ret_error)
{
    struct err_info *info = (struct err_info *)(void *)ret_error;
    struct satchel_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return (enum satchel_code)err_set(info, ERR_NOMEM, "out of memory");
    loop->clock = os_clock();
    if (options != NULL)
        loop->log_to = (struct api_log){options->log, options->log_context};
    loop->log = api_log(&loop->log_to);
    const struct client_loop_config config = {.clock = &loop->clock,
                                              .log = &loop->log,
                                              .links_max =
                                                  options != NULL ? options->handles_max : 0};
    enum err e = client_loop_new(&config, &loop->net, info);
    if (e != ERR_OK) {
        free(loop);
        return (enum satchel_code)e;
    }
    *ret_loop = loop;
    return SATCHEL_OK;
}

void satchel_loop_free(struct satchel_loop *loop)
{
    if (loop == NULL)
        return;
    while (loop->first != NULL)
        satchel_disconnect(loop->first);
    client_loop_free(loop->net);
    free(loop);
}

void api_sync_hold(struct satchel *h, int by)
{
    if (h->sync.loop != NULL)
        h->sync.loop->held += (unsigned)by;
}

void api_sync_changed(struct satchel *h)
{
    struct api_sync *sync = &h->sync;
    if (sync->loop == NULL)
        return;
    if (sync->told_caught_up) {
        sync->told_caught_up = false;
        sync->loop->busy++;
    }
    sync->push_total++;
    if (sync->link != NULL)
        client_link_wake(sync->link);
}

/* ---- events ---- */

/* Returns whether the handle is still connected afterwards. */
static bool tell(struct satchel *h, enum satchel_sync_kind kind, enum err code, const char *message,
                 int64_t retry_ms)
{
    struct api_sync *sync = &h->sync;
    struct satchel_loop *loop = sync->loop;
    uint64_t pushed = sync->told.acknowledged_upto;
    struct replica_status status = {0};
    if (sync->fn == NULL)
        return true;
    if (h->replica != NULL)
        replica_status(h->replica, &status);
    uint64_t open = status.outbox_count; /* of those, acknowledged: */
    if (pushed > status.decided_upto)
        open -= pushed - status.decided_upto < open ? pushed - status.decided_upto : open;
    const struct satchel_sync_event event = {
        .kind = kind,
        .code = (enum satchel_code)code,
        .message = message,
        .retry_ms = retry_ms,
        .pushed = sync->push_total > open ? sync->push_total - open : 0,
        .push_total = sync->push_total,
        .pulled = sync->told.pulled_rows,
        .pushed_bytes = sync->told.pushed_bytes,
        .pulled_bytes = sync->told.pulled_bytes,
        .checkpoints = sync->told.checkpoints,
        .attachments_sent = sync->told.attachments_sent,
        .attachment_bytes_sent = sync->told.attachment_bytes_sent,
        .attachments_received = sync->told.attachments_received,
        .attachment_bytes_received = sync->told.attachment_bytes_received,
    };
    loop->told = true;
    (void)sync->fn(sync->context, h, &event);
    return sync->loop == loop;
}

static bool counts_moved(const struct uplink_progress *a, const struct uplink_progress *b)
{
    return a->acknowledged_upto != b->acknowledged_upto || a->pushed_bytes != b->pushed_bytes ||
           a->pulled_rows != b->pulled_rows || a->pulled_bytes != b->pulled_bytes ||
           a->attachments_sent != b->attachments_sent ||
           a->attachment_bytes_sent != b->attachment_bytes_sent ||
           a->attachments_received != b->attachments_received ||
           a->attachment_bytes_received != b->attachment_bytes_received;
}

/* All that was to be exchanged has been. */
static bool is_caught_up(const struct satchel *h, const struct uplink_progress *progress)
{
    struct replica_status status;
    replica_status(h->replica, &status);
    return progress->caught_up &&
           (status.outbox_count == 0 || progress->acknowledged_upto >= status.last_oseq);
}

static bool tell_results(struct satchel *h)
{
    struct api_sync *sync = &h->sync;
    struct replica_status status;
    replica_status(h->replica, &status);
    if (status.decided_upto == sync->told_decided && status.parked_count == sync->told_parked)
        return true;
    sync->told_decided = status.decided_upto;
    sync->told_parked = status.parked_count;
    return tell(h, SATCHEL_SYNC_RESULTS, ERR_OK, "", 0);
}

/* Compares what there is with what was told, and tells the difference. */
static bool tell_changes(struct satchel *h)
{
    struct api_sync *sync = &h->sync;
    struct uplink_progress before = sync->told, now;
    if (sync->uplink == NULL)
        return true;
    uplink_progress(sync->uplink, &now);
    sync->told = now;
    bool checkpoint = now.checkpoints != before.checkpoints;
    if (checkpoint)
        api_authors_forget(h);
    if (now.authenticated) {
        h->clock_offset_ms = now.clock_offset_ms;
        if (!sync->told_connected) {
            sync->told_connected = true;
            if (!tell(h, SATCHEL_SYNC_CONNECTED, ERR_OK, "", 0))
                return false;
        }
    }
    if (counts_moved(&before, &now) && !tell(h, SATCHEL_SYNC_PROGRESS, ERR_OK, "", 0))
        return false;
    if (checkpoint && !tell(h, SATCHEL_SYNC_CHECKPOINT, ERR_OK, "", 0))
        return false;
    if (now.pending_groups != before.pending_groups &&
        !tell(h, SATCHEL_SYNC_PENDING, ERR_OK, "", 0))
        return false;
    if (!tell_results(h))
        return false;
    if (sync->told_caught_up || !is_caught_up(h, &now))
        return true;
    sync->told_caught_up = true;
    sync->loop->busy--;
    backoff_reset(&sync->backoff);
    h->last_exchange_ms = clock_wall(&h->clock).ms;
    return tell(h, SATCHEL_SYNC_CAUGHT_UP, ERR_OK, "", 0);
}

/* ---- sessions ---- */

static void report(void *context, struct client_link *link, const struct client_report *report);

static enum err open_link(struct satchel *h)
{
    struct api_sync *sync = &h->sync;
    struct client_link_config config = {.host = h->identity.host,
                                        .port = h->identity.port,
                                        .uplink = sync->uplink,
                                        .report = report,
                                        .context = h};
    memcpy(config.pin, h->identity.pin, sizeof config.pin);
    sync->told = (struct uplink_progress){0};
    sync->told_connected = false;
    return client_link_open(sync->loop->net, &config, &sync->link);
}

/* Whether trying again may help. Another key, a refused login or a damaged store does not go away
 * by itself. */
static bool is_worth_a_retry(enum err why)
{
    switch ((int)why) {
    case ERR_PIN:
    case ERR_AUTH:
    case ERR_REVOKED:
    case ERR_VERSION:
    case ERR_IO:
    case ERR_CORRUPT: return false;
    default: return true;
    }
}

static void wait_for_retry(struct satchel *h, enum err why, const char *message)
{
    struct api_sync *sync = &h->sync;
    /* ERR_CONFLICT: the replica goes on under a new origin, at once. */
    int64_t wait_ms = why == ERR_CONFLICT ? 0 : backoff_next(&sync->backoff, &h->rng);
    sync->retry_at = mono_add_ms(clock_mono(&h->clock), wait_ms);
    sync->waiting = true;
    sync->loop->waiting++;
    if (sync->told_caught_up) {
        sync->told_caught_up = false;
        sync->loop->busy++;
    }
    if (why != ERR_CONFLICT)
        (void)tell(h, SATCHEL_SYNC_RETRY, why, message, wait_ms);
}

static void session_over(struct satchel *h, enum satchel_sync_kind kind, enum err why,
                         const char *message)
{
    struct api_sync *sync = &h->sync;
    sync->over = true;
    sync->why = why;
    snprintf(sync->message, sizeof sync->message, "%s", message);
    if (kind != SATCHEL_SYNC_REVOKED) {
        if (tell(h, kind, why, sync->message, 0))
            satchel_disconnect(h);
        return;
    }
    (void)tell(h, kind, why, sync->message, 0);
    satchel_disconnect(h);
    satchel_rollback(h);
    assert(h->reading == 0);
    api_drop_data(h);
    if (api_remove_files(h->directory, NULL) != ERR_OK)
        log_write(&h->log, LOG_LEVEL_ERROR, "the data in '%s' could not be erased", h->directory);
    identity_done(&h->identity);
    h->revoked = true;
}

static enum err make_uplink(struct satchel *h, enum satchel_mode mode);

/* The replica is opened with the model that has come, and the session goes on at once. */
static void learned(struct satchel *h, const char *message)
{
    struct api_sync *sync = &h->sync;
    uplink_free(sync->uplink);
    sync->uplink = NULL;
    enum err e = api_take_model(h);
    if (e == ERR_OK)
        e = make_uplink(h, sync->mode);
    if (e != ERR_OK) {
        char why[sizeof sync->message];
        snprintf(why, sizeof why, "the new model could not be taken over: %.150s",
                 h->error.message);
        session_over(h, SATCHEL_SYNC_CLOSED, e, why);
        return;
    }
    if (!tell(h, SATCHEL_SYNC_MODEL, ERR_OK, message, 0))
        return;
    wait_for_retry(h, ERR_CONFLICT, message); /* at once */
}

static void link_closed(struct satchel *h, const struct client_report *report)
{
    struct api_sync *sync = &h->sync;
    char message[240];
    enum err why = report->why;
    snprintf(message, sizeof message, "%s", report->message != NULL ? report->message : "");
    client_link_close(sync->link);
    sync->link = NULL;
    if (report->learned)
        learned(h, message);
    else if (why != ERR_OK && sync->mode == SATCHEL_LIVE && is_worth_a_retry(why))
        wait_for_retry(h, why, message);
    else if (why == ERR_CONFLICT)
        wait_for_retry(h, why, message);
    else
        session_over(h, SATCHEL_SYNC_CLOSED, why, message);
}

static void report(void *context, struct client_link *link, const struct client_report *report)
{
    struct satchel *h = context;
    (void)link;
    if (report->erase) {
        session_over(h, SATCHEL_SYNC_REVOKED, ERR_REVOKED,
                     report->message != NULL && report->message[0] != '\0' ? report->message
                                                                           : err_text(ERR_REVOKED));
        return;
    }
    if (tell_changes(h) && report->closed)
        link_closed(h, report);
}

/* ---- connecting ---- */

static enum err may_connect(struct satchel *h)
{
    if (h->sync.loop != NULL)
        return err_set(&h->error, ERR_INVALID, "this handle is connected already");
    if (!h->enrolled)
        return err_set(&h->error, ERR_INVALID,
                       "this device is not enrolled: there is no server to connect to");
    if (h->read_only)
        return err_set(&h->error, ERR_INVALID, "a handle for reading only cannot sync");
    if (h->transaction || h->reading > 0)
        return err_set(&h->error, ERR_INVALID, "a transaction is open");
    return ERR_OK;
}

static enum err make_uplink(struct satchel *h, enum satchel_mode mode)
{
    const struct uplink_config config = {.replica = h->replica,
                                         .crypto = h->crypto,
                                         .rng = &h->rng,
                                         .log = &h->log,
                                         .agent = "satchel/" SATCHEL_VERSION,
                                         .once = mode == SATCHEL_ONCE,
                                         .no_attachments = h->no_attachments};
    struct uplink_identity identity = {.device = h->identity.device};
    memcpy(identity.seed, h->identity.seed, sizeof identity.seed);
    memcpy(identity.server_key, h->identity.pin, sizeof identity.server_key);
    enum err e = uplink_new(&config, &identity, NULL, &h->sync.uplink);
    crypto_wipe(&identity, sizeof identity);
    return e;
}

enum satchel_code satchel_connect(struct satchel *handle, struct satchel_loop *loop,
                                  enum satchel_mode mode, satchel_sync_fn *fn, void *context)
{
    struct api_sync *sync = &handle->sync;
    struct replica_status status;
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = may_connect(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    replica_status(handle->replica, &status);
    *sync = (struct api_sync){.loop = loop,
                              .mode = mode,
                              .fn = fn,
                              .context = context,
                              .push_total = status.outbox_count,
                              .told_decided = status.decided_upto,
                              .told_parked = status.parked_count};
    sync->after = loop->first;
    if (loop->first != NULL)
        loop->first->sync.before = handle;
    loop->first = handle;
    loop->busy++;
    e = make_uplink(handle, mode);
    if (e == ERR_OK)
        e = open_link(handle);
    if (e != ERR_OK)
        satchel_disconnect(handle);
    return api_end(handle, e);
}

void satchel_disconnect(struct satchel *handle)
{
    struct api_sync *sync = &handle->sync;
    struct satchel_loop *loop = sync->loop;
    if (loop == NULL)
        return;
    if (handle->transaction)
        loop->held--;
    loop->held -= handle->reading;
    if (sync->waiting)
        loop->waiting--;
    if (!sync->told_caught_up)
        loop->busy--;
    client_link_close(sync->link);
    api_keep_acknowledged(handle);
    uplink_free(sync->uplink);
    if (sync->before != NULL)
        sync->before->sync.after = sync->after;
    else
        loop->first = sync->after;
    if (sync->after != NULL)
        sync->after->sync.before = sync->before;
    sync->link = NULL;
    sync->uplink = NULL;
    sync->loop = NULL;
    sync->waiting = false;
    sync->before = sync->after = NULL;
}

/* ---- running ---- */

/* Opens the links whose time has come; how long until the next, or -1. */
static int64_t retry_links(struct satchel_loop *loop)
{
    int64_t next_ms = -1;
    struct satchel *after;
    for (struct satchel *h = loop->waiting > 0 ? loop->first : NULL; h != NULL; h = after) {
        after = h->sync.after;
        if (!h->sync.waiting)
            continue;
        int64_t left_us = mono_elapsed_us(clock_mono(&h->clock), h->sync.retry_at);
        int64_t left_ms = left_us > 0 ? left_us / 1000 + 1 : 0;
        if (left_ms == 0) {
            h->sync.waiting = false;
            loop->waiting--;
            enum err e = open_link(h);
            if (e != ERR_OK)
                wait_for_retry(h, e, err_text(e));
        } else if (next_ms < 0 || left_ms < next_ms) {
            next_ms = left_ms;
        }
    }
    return next_ms;
}

/* The counts of those that are under way. */
static void tell_progress(struct satchel_loop *loop)
{
    struct satchel *after;
    for (struct satchel *h = loop->busy > 0 ? loop->first : NULL; h != NULL; h = after) {
        after = h->sync.after;
        if (!h->sync.told_caught_up && h->sync.link != NULL && h->sync.fn != NULL)
            (void)tell_changes(h);
    }
}

/* What a commit would otherwise have to do is done while nobody waits. A failure is met again, and told,
 * at the handle's next use of its store. */
static void tidy_stores(struct satchel_loop *loop, bool resting)
{
    enum { GIVE_BACK_PAGES = 256 }; /* 2 MiB */
    int64_t now_us = clock_mono(&loop->clock).us;
    bool more;
    if (!resting) {
        loop->rest_us = now_us + REST_MS * 1000;
    } else if (loop->rest_us != 0 && loop->rest_us <= now_us) {
        loop->rest_us = 0;
        for (struct satchel *h = loop->first; h != NULL; h = h->sync.after)
            if (store_sqlite_tidy(h->store) == ERR_OK)
                (void)store_sqlite_give_back(h->store, GIVE_BACK_PAGES, &more);
    }
}

static int64_t shorter(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

enum satchel_code satchel_loop_run(struct satchel_loop *loop, int wake_fd, int64_t timeout_ms,
                                   enum satchel_woken *ret_woken)
{
    struct mono_time start = clock_mono(&loop->clock);
    if (loop->held > 0)
        return SATCHEL_E_INVALID; /* a handle of it reads or has a transaction open */
    loop->told = false;
    for (;;) {
        enum client_woken woken;
        int64_t left_ms = -1;
        if (timeout_ms >= 0) {
            int64_t gone_ms = mono_elapsed_us(start, clock_mono(&loop->clock)) / 1000;
            left_ms = gone_ms < timeout_ms ? timeout_ms - gone_ms : 0;
        }
        int64_t slice_ms = shorter(left_ms, retry_links(loop));
        if (loop->busy > loop->waiting)
            slice_ms = shorter(slice_ms, PROGRESS_MS);
        if (loop->rest_us != 0)
            slice_ms = shorter(slice_ms, REST_MS);
        enum err e = client_loop_run(loop->net, wake_fd, slice_ms, &woken);
        if (e != ERR_OK)
            return (enum satchel_code)e;
        tidy_stores(loop, woken == CLIENT_WOKEN_BY_TIME);
        if (woken == CLIENT_WOKEN_BY_TIME)
            tell_progress(loop);
        bool over = timeout_ms >= 0 &&
                    mono_elapsed_us(start, clock_mono(&loop->clock)) / 1000 >= timeout_ms;
        if (!loop->told && woken != CLIENT_WOKEN_BY_FD && !over)
            continue;
        if (ret_woken != NULL)
            *ret_woken = loop->told                    ? SATCHEL_WOKEN_BY_EVENT
                         : woken == CLIENT_WOKEN_BY_FD ? SATCHEL_WOKEN_BY_FD
                                                       : SATCHEL_WOKEN_BY_TIME;
        return SATCHEL_OK;
    }
}

/* ---- one whole exchange ---- */

struct exchange {
    satchel_sync_fn *fn;
    void *context;
    bool given_up;
};

static int exchange_event(void *context, struct satchel *handle,
                          const struct satchel_sync_event *event)
{
    struct exchange *exchange = context;
    if (exchange->fn != NULL && exchange->fn(exchange->context, handle, event) != 0 &&
        event->kind != SATCHEL_SYNC_CLOSED && event->kind != SATCHEL_SYNC_REVOKED)
        exchange->given_up = true;
    return 0;
}

enum satchel_code satchel_sync(struct satchel *handle, satchel_sync_fn *fn, void *context)
{
    struct satchel_loop *loop;
    struct exchange exchange = {fn, context, false};
    const struct satchel_loop_options options = {
        .handles_max = 1, .log = handle->log_to.fn, .log_context = handle->log_to.context};
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = may_connect(handle);
    if (e == ERR_OK)
        e = (enum err)satchel_loop_new(&options, &loop,
                                       (struct satchel_error *)(void *)&handle->error);
    if (e != ERR_OK)
        return api_end(handle, e);
    e = (enum err)satchel_connect(handle, loop, SATCHEL_ONCE, exchange_event, &exchange);
    while (e == ERR_OK && handle->sync.loop != NULL && !exchange.given_up)
        e = (enum err)satchel_loop_run(loop, -1, -1, NULL);
    satchel_loop_free(loop);
    if (e == ERR_OK && handle->sync.over) {
        e = handle->sync.why;
        if (e != ERR_OK)
            (void)err_set(&handle->error, e, "%s", handle->sync.message);
    } else if (e == ERR_OK) {
        e = err_set(&handle->error, ERR_INTERRUPTED, "the exchange was given up");
    }
    return api_end(handle, e);
}
