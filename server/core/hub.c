/* hub.c - opening and closing, the turn. */
#include "server/core/blobs.h"
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening and closing ---- */

static void set_default_limits(struct hub_limits *l)
{
#define DEFAULT(field, value) l->field = l->field ? l->field : (value)
    DEFAULT(peers_max, 20000);
    DEFAULT(page_bytes, PAGE_BYTES_TARGET);
    DEFAULT(page_rows, 1000);
    DEFAULT(readers_max, 4);
    DEFAULT(chunk_bytes, 64 << 20);
    DEFAULT(live_queue_bytes, 1 << 20);
    DEFAULT(receive_queue_bytes, 4 << 20);
    DEFAULT(auth_timeout_us, 5000000);
    DEFAULT(idle_ping_us, 30000000);
    DEFAULT(idle_close_us, 45000000);
    DEFAULT(message_timeout_us, 15000000);
    DEFAULT(reader_timeout_us, 60000000);
    DEFAULT(attachment_bytes, BLOB_SIZE_DEFAULT);
    DEFAULT(attachment_keep_ms, (int64_t)90 * 86400000);
#undef DEFAULT
}

static enum err hub_allocate(const struct hub_config *config, struct hub_now now, struct hub **ret)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return ERR_NOMEM;
    hub->config = *config;
    hub->limits = config->limits;
    set_default_limits(&hub->limits);
    hub->model = config->model;
    hub->store = config->store;
    hub->now = now;
    hub->blob_checks = !config->inspect; /* left from before */
    arena_init(&hub->turn, TURN_ARENA_MAX);
    buf_init(&hub->encode, FRAME_INFLATED_MAX + 1024);
    buf_init(&hub->payload, GROUP_KEPT_MAX);
    buf_init(&hub->row_scratch, GROUP_BYTES_MAX);
    page_writer_init(&hub->writer);
    hash_map_init(&hub->bucket_keys, HUB_BUCKETS_MAX, 0);
    hash_map_init(&hub->origins, HUB_ORIGINS_MAX, 0);
    enum err e = deflater_new(1, &hub->deflater);
    if (e == ERR_OK)
        e = inflater_new(&hub->inflater);
    hub->readers = calloc(hub->limits.readers_max, sizeof *hub->readers);
    if (e == ERR_OK && !hub->readers)
        e = ERR_NOMEM;
    if (e == ERR_OK)
        *ret = hub;
    else
        hub_close(hub);
    return e;
}

void hub_close(struct hub *hub)
{
    if (!hub)
        return;
    while (hub->peers)
        hub_detach(hub, hub->peers, hub->now);
    while (hub->intents) {
        struct intent *next = hub->intents->next;
        arena_done(&hub->intents->arena);
        free(hub->intents);
        hub->intents = next;
    }
    checks_drop(hub, NULL);
    chunks_drop(hub);
    blob_check_done(&hub->blob_check);
    purge_close(hub);
    for (uint32_t i = 0; hub->readers && i < hub->reader_count; i++)
        store_close(hub->readers[i]);
    free(hub->readers);
    state_drop(hub);
    arena_done(&hub->people.arena);
    relay_close(hub);
    frame_release(hub->model_frame);
    free(hub->buckets);
    free(hub->fetched);
    hash_map_done(&hub->bucket_keys);
    hash_map_done(&hub->origins);
    page_writer_done(&hub->writer);
    buf_done(&hub->encode);
    buf_done(&hub->payload);
    buf_done(&hub->row_scratch);
    arena_done(&hub->turn);
    deflater_free(hub->deflater);
    inflater_free(hub->inflater);
    free(hub);
}

enum err hub_create(const struct hub_config *config, struct hub_now now, struct err_info *info)
{
    struct hub *hub;
    enum err e = hub_allocate(config, now, &hub);
    if (e != ERR_OK)
        return err_set(info, e, "cannot start: %s", err_text(e));
    uint8_t random[10];
    struct bytes value;
    e = store_begin(hub->store, STORE_WRITE);
    if (e == ERR_OK) {
        e = store_side_get(hub->store, SIDE_META, bytes_of_text("history"), &hub->turn, &value);
        if (e == ERR_OK)
            e = err_set(info, ERR_EXISTS, "this data directory holds a customer file already");
        else if (e == ERR_NOT_FOUND)
            e = rng_fill(config->rng, random, sizeof random);
        struct uuid history = uuid_v7((uint64_t)now.wall.ms, random);
        if (e == ERR_OK)
            e = store_side_put(hub->store, SIDE_META, bytes_of_text("history"),
                               bytes_of(history.byte, 16));
        if (e == ERR_OK)
            e = audit_append(hub, "{\"what\":\"created\"}");
        if (e == ERR_OK)
            e = meta_put_u64(hub, "scope_revision", 1);
        if (e == ERR_OK)
            e = store_commit(hub->store);
        else
            store_rollback(hub->store);
    }
    if (e != ERR_OK && info && info->code != e)
        err_set(info, e, "the store could not be set up: %s", err_text(e));
    hub_close(hub);
    return e;
}

/* Of two starts the later one has the higher id, as far as headquarters' clock is right: so a device can tell
 * which of two histories that part is the later one (SPEC.md 12.7). */
enum { INCARNATION_RANDOM = 20 };

/* INCARNATION: number BE8 -> id BE8, then per bucket number BE4, first position BE8. */
static enum err incarnation_add(struct hub *hub)
{
    enum err e = side_count(hub, SIDE_INCARNATION, &hub->incarnation_count);
    uint32_t random = 0;
    if (e == ERR_OK)
        e = rng_u32(hub->config.rng, &random);
    hub->incarnation = (uint64_t)hub->now.wall.ms << INCARNATION_RANDOM |
                       (random & ((1u << INCARNATION_RANDOM) - 1));
    struct buf *b = &hub->row_scratch;
    buf_reset(b);
    uint8_t raw[12];
    be64_put(raw, hub->incarnation);
    buf_append(b, raw, 8);
    for (uint32_t i = 0; i < hub->bucket_count; i++) {
        be32_put(raw, hub->buckets[i]->number);
        be64_put(raw + 4, hub->buckets[i]->head + 1);
        buf_append(b, raw, sizeof raw);
    }
    if (e == ERR_OK)
        e = b->error;
    be64_put(raw, ++hub->incarnation_count);
    if (e == ERR_OK)
        e = store_side_put(hub->store, SIDE_INCARNATION, bytes_of(raw, 8), buf_view(b));
    struct uuid nil = {{0}};
    struct origin *origin;
    if (e == ERR_OK)
        e = origin_new(hub, hub->incarnation, &nil, &nil, &origin);
    return e;
}

static enum err hub_start(struct hub *hub, struct err_info *info)
{
    struct bytes value;
    enum err e =
        store_side_get(hub->store, SIDE_META, bytes_of_text("history"), &hub->turn, &value);
    if (e == ERR_NOT_FOUND)
        return err_set(info, e, "there is no customer file here yet; run 'satcheld init' first");
    if (e == ERR_OK && value.size != 16)
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return e;
    memcpy(hub->history.byte, value.data, 16);
    e = state_load(hub);
    if (e == ERR_OK)
        e = meta_get_u64(hub, "scope_revision", 1, &hub->scope_revision);
    if (e == ERR_OK)
        e = side_count(hub, SIDE_WAITING, &hub->waiting_count);
    if (e == ERR_OK)
        e = side_count(hub, SIDE_PARKED, &hub->parked_count);
    if (e == ERR_OK)
        e = side_count(hub, SIDE_RENAMED, &hub->renamed_count);
    if (e == ERR_OK)
        e = models_load(hub);
    if (e == ERR_OK)
        e = purge_open(hub);
    if (e == ERR_OK && hub->config.inspect)
        return side_count(hub, SIDE_INCARNATION, &hub->incarnation_count);
    if (e == ERR_OK)
        e = incarnation_add(hub);
    if (e == ERR_OK)
        e = scope_start(hub);
    if (e == ERR_OK)
        e = audit_append(hub, "{\"what\":\"started\"}");
    if (e == ERR_OK)
        e = state_flush(hub);
    return e;
}

enum err hub_open(const struct hub_config *config, struct hub_now now, struct hub **ret,
                  struct err_info *info)
{
    struct hub *hub;
    enum err e = hub_allocate(config, now, &hub);
    if (e != ERR_OK)
        return err_set(info, e, "cannot start: %s", err_text(e));
    hub->hlc = hlc_make(now.wall.ms, 0);
    if (info)
        info->code = ERR_OK;
    e = config->replica ? relay_open(hub, info)
                        : store_begin(hub->store, config->inspect ? STORE_READ : STORE_WRITE);
    if (e == ERR_OK && !config->replica) {
        e = hub_start(hub, info);
        if (e == ERR_OK && !config->inspect)
            e = store_commit(hub->store);
        else
            store_rollback(hub->store);
    }
    arena_reset(&hub->turn);
    if (e == ERR_OK) {
        *ret = hub;
        return ERR_OK;
    }
    if (info && info->code == ERR_OK)
        err_set(info, e, "the store could not be opened: %s", err_text(e));
    hub_close(hub);
    return e;
}

/* ---- the turn ---- */

bool hub_has_work(const struct hub *hub)
{
    bool rights = hub->relay && hub->scope_due; /* what came from above has changed them */
    return hub->retry_us == 0 && (hub->intents != NULL || hub->checks != NULL || rights ||
                                  hub->models_due || blobs_work(hub) || purge_has_work(hub));
}

static enum err handle(struct hub *hub, struct peer *peer, const struct message *message)
{
    peer_save(peer);
    switch ((int)message->type) {
    case MESSAGE_HELLO: return handle_hello(hub, peer, &message->as.hello);
    case MESSAGE_ENROL: return handle_enrol(hub, peer, &message->as.enrol);
    case MESSAGE_PROVE: return handle_prove(hub, peer, &message->as.prove);
    case MESSAGE_PUSH: return handle_push(hub, peer, &message->as.push);
    case MESSAGE_PART: return handle_part(hub, peer, &message->as.part);
    case MESSAGE_SUBSCRIBE: return handle_subscribe(hub, peer, &message->as.subscribe);
    case MESSAGE_DISCARD: return handle_discard(hub, peer, &message->as.discard);
    case MESSAGE_RELAY: return handle_relay(hub, peer, &message->as.relay);
    case MESSAGE_FOLLOW: return handle_follow(hub, peer, &message->as.follow);
    case MESSAGE_OFFER: return handle_offer(hub, peer, &message->as.offer);
    case MESSAGE_WANT: return handle_want(hub, peer, &message->as.want);
    case MESSAGE_CHUNK: return handle_chunk(hub, peer, &message->as.chunk);
    case MESSAGE_MODEL_ASK: return handle_model_ask(hub, peer, &message->as.model_ask);
    case MESSAGE_PING:
        peer->session.pong_due = true;
        peer->session.pong_token = message->as.ping.token;
        return ERR_OK;
    default: return ERR_PROTOCOL;
    }
}

/* Errors that belong to the peer end its session; those of the store end the turn. */
static bool is_peers_fault(enum err e)
{
    return err_class(e) == ERR_CLASS_PEER || (err_class(e) == ERR_CLASS_INPUT && e != ERR_LIMIT);
}

static void turn_clear(struct hub *hub)
{
    hub->live_head = hub->live_tail = NULL;
    hub->results_head = hub->results_tail = NULL;
    hub->runs = NULL;
    hub->scope_changed = false;
    hub->fetched_count = 0;
    arena_reset(&hub->turn);
}

struct turn {
    struct intent *end; /* the first one not taken */
    uint32_t taken;     /* where it fails, the one that failed included */
};

static enum err turn_body(struct hub *hub, void *context)
{
    struct turn *turn = context;
    size_t bytes = 0, chunks = 0;
    struct intent *intent = hub->intents;
    uint32_t most = hub->one_by_one ? 1 : UINT32_MAX;
    enum err released = hub->models_due ? models_release(hub) : ERR_OK;
    for (; released == ERR_OK && intent && bytes < TURN_BYTES_MAX && turn->taken < most;
         intent = intent->next) {
        chunks += intent->message.type == MESSAGE_CHUNK;
        if (chunks > TURN_CHUNKS_MAX)
            break;
        bytes += intent->size;
        turn->taken++;
        struct peer *peer = intent->peer;
        if (!peer || peer->session.state == PEER_CLOSING)
            continue;
        enum err e = handle(hub, peer, &intent->message);
        if (is_peers_fault(e)) {
            /* handlers check before they write: the session ends, what others sent goes on */
            peer_fail(hub, peer, e, err_text(e));
            e = ERR_OK;
        }
        if (e != ERR_OK)
            return e;
    }
    turn->end = intent;
    if (bytes > hub->stats.largest_batch)
        hub->stats.largest_batch = bytes;
    return released;
}

static void turn_undo(struct hub *hub)
{
    scope_undo(hub);
    for (struct peer *peer = hub->peers; peer; peer = peer->next) {
        for (const struct queued_frame *n = peer->staged_head; n; n = n->next)
            peer->answers -= !frame_is_feed(n->frame);
        frames_drop(&peer->staged_head, &peer->staged_tail);
        if (peer->saved_valid) {
            follows_undo(hub, peer);
            peer->session = peer->saved;
            if (peer->session.state != PEER_CLOSING)
                peer->wants_hang_up = false;
        }
        peer->saved_valid = false;
    }
    checks_drop(hub, hub->checks_saved);
    hub->stats = hub->stats_saved;
    state_drop(hub);
}

static void turn_done(struct hub *hub, struct intent *end)
{
    while (hub->intents != end) {
        struct intent *next = hub->intents->next;
        if (hub->plain_tail == hub->intents)
            hub->plain_tail = NULL;
        if (hub->intents->peer)
            hub->intents->peer->in_bytes -= hub->intents->held;
        hub->intent_bytes -= hub->intents->held;
        intent_free(hub->intents);
        hub->intents = next;
    }
    if (!hub->intents)
        hub->intents_tail = NULL;
}

static enum err turn_failed(struct hub *hub, enum err e)
{
    if (err_class(e) != ERR_CLASS_INPUT) /* what an administrator asked wrongly is in the answer */
        log_write(hub->config.log, LOG_LEVEL_ERROR, "a commit failed: %s", err_text(e));
    turn_undo(hub);
    turn_clear(hub);
    if (err_class(e) == ERR_CLASS_FATAL)
        return e;
    hub->stale = true;
    enum err again = hub_refresh(hub);
    return again == ERR_OK ? e : again;
}

/* One snapshot, with memory as in it. */
static enum err inspect(struct hub *hub, hub_body *body, void *context)
{
    enum err e = store_begin(hub->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    state_drop(hub);
    people_forget(hub);
    e = state_load(hub);
    if (e == ERR_OK)
        e = body(hub, context);
    store_rollback(hub->store);
    turn_clear(hub);
    return e;
}

enum err hub_end(struct hub *hub, enum err e)
{
    if (hub->relay)
        return relay_end(hub, e);
    if (e == ERR_OK)
        return store_commit(hub->store);
    store_rollback(hub->store);
    return e;
}

enum err hub_transact(struct hub *hub, hub_body *body, void *context)
{
    if (hub->config.inspect)
        return inspect(hub, body, context);
    enum err e = hub_refresh(hub);
    if (e != ERR_OK)
        return e;
    hub->stats_saved = hub->stats;
    hub->checks_saved = hub->checks_tail;
    hub->in_turn = true; /* frames are held until the commit */
    e = hub->relay ? relay_begin(hub) : store_begin(hub->store, STORE_WRITE);
    if (e == ERR_OK) {
        e = body(hub, context);
        if (e == ERR_OK)
            e = state_flush(hub);
        e = hub_end(hub, e);
    }
    hub->in_turn = false;
    if (e != ERR_OK)
        return turn_failed(hub, e);
    hub->stats.commits++;
    for (struct peer *peer = hub->peers; peer; peer = peer->next) {
        peer->saved_valid = false;
        peer_publish_staged(peer);
    }
    e = hub_renew_rights(hub); /* before anything of this commit leaves */
    feed_publish(hub);
    if (hub->relay)
        relay_published(hub);
    if (hub->blob_asks && hub->config.pushed)
        hub->config.pushed(hub->config.context);
    hub->blob_asks = false;
    for (struct peer *peer = hub->peers; peer; peer = peer->next)
        peer_pong(hub, peer);
    turn_clear(hub);
    return e;
}

/* A message that fails alone, again and again or for a reason that will not go away, ends its peer's
 * session: what others sent goes on. */
static bool is_to_blame(struct intent *intent, enum err e)
{
    if (err_class(e) != ERR_CLASS_RETRY)
        return true;
    return e == ERR_NOMEM && ++intent->failures >= 3;
}

/* Nobody is to blame for a full disk, but who waits is told, instead of waiting until there is room: a
 * device keeps what it sent until it is acknowledged. */
static void give_up_waiting(struct hub *hub)
{
    for (struct intent *intent = hub->intents; intent; intent = intent->next)
        if (intent->peer)
            peer_fail(hub, intent->peer, ERR_TIMEOUT, "headquarters cannot save: its disk is full");
    turn_done(hub, NULL);
}

static enum err turn_again(struct hub *hub, const struct turn *turn, enum err e)
{
    enum { FULL_TRIES = 50 }; /* of HUB_RETRY_US each: 5 s */
    if (err_class(e) == ERR_CLASS_FATAL)
        return e;
    if (err_class(e) == ERR_CLASS_RETRY)
        hub->retry_us =
            hub->now.mono.us + HUB_RETRY_US; /* nothing is lost: the batch is done again */
    if (turn->taken > 1) {
        hub->one_by_one = turn->taken;
    } else if (e == ERR_FULL && hub->intents) { /* at its begin, too */
        if (++hub->intents->failures >= FULL_TRIES)
            give_up_waiting(hub);
    } else if (turn->taken == 1 && is_to_blame(hub->intents, e)) {
        if (hub->intents->peer)
            peer_fail(hub, hub->intents->peer, e, err_text(e));
        turn_done(hub, hub->intents->next);
        hub->retry_us = hub->stale ? hub->retry_us : 0;
    }
    return ERR_OK;
}

enum err hub_turn(struct hub *hub, struct hub_now now)
{
    hub->now = now;
    if (hub->retry_us > 0 && now.mono.us < hub->retry_us)
        return ERR_OK;
    const struct turn none = {0};
    hub->retry_us = 0;
    enum err e = hub_refresh(hub);
    if (e == ERR_OK)
        e = hub_renew_rights(hub);
    if (e == ERR_OK)
        e = scope_clock(hub);
    if (e != ERR_OK)
        return turn_again(hub, &none, e);
    if (!hub->intents || hub->check_count > CHECKS_MAX) { /* when nobody waits for an answer */
        e = verify_some(hub);
        if (e != ERR_OK)
            return turn_again(hub, &none, e);
    }
    e = blobs_turn(hub);
    if (e != ERR_OK)
        return turn_again(hub, &none, e);
    if (purge_has_work(hub) && (!hub->intents || purge_starves(hub)))
        return turn_again(hub, &none, purge_step(hub));
    if (!hub->intents && !hub->models_due)
        return ERR_OK;
    struct turn turn = {0};
    e = hub_transact(hub, turn_body, &turn);
    if (hub->one_by_one)
        hub->one_by_one--;
    if (e != ERR_OK)
        return turn_again(hub, &turn, e);
    hub->models_due = false;
    turn_done(hub, turn.end);
    return ERR_OK;
}
