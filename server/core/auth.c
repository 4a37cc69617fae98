/* auth.c - the handshake: hello, challenge, enrolment, proof, welcome.
 *
 * Model:      a device proves its Ed25519 key over both nonces, the server's key, its id, this start of
 *             headquarters and the origin that it writes under. A newer session of a device closes the
 *             older in the same step.
 * Stored:     SIDE_DEVICE device -> public key 32, user 16, revoked u8, enrolled BE8, seen BE8, origin BE8;
 *             SIDE_CODE SHA-256(code) -> user 16, expires BE8, name.
 * Source:     SPEC.md 7; DESIGN.md 12. */
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <stdio.h>
#include <string.h>

enum err handle_hello(struct hub *hub, struct peer *peer, const struct message_hello *message)
{
    if (peer->session.state != PEER_NEW || message->nonce.size != 32)
        return ERR_PROTOCOL;
    if (message->protocol_min > PROTOCOL_VERSION_MAX ||
        message->protocol_max < PROTOCOL_VERSION_MIN) {
        peer_fail(hub, peer, ERR_VERSION, "no common protocol version; update the older side");
        return ERR_OK;
    }
    if (hub->reopens) {
        peer_fail(hub, peer, ERR_BUSY, "the model is being changed");
        return ERR_OK;
    }
    if (hub->relay && (uuid_is_nil(&hub->history) || !relay_holds_records(hub->relay->replica))) {
        peer_fail(hub, peer, ERR_BUSY, "this branch has not reached headquarters yet");
        return ERR_OK;
    }
    memcpy(peer->client_nonce, message->nonce.data, 32);
    peer->hello_device = message->device;
    enum err e = rng_fill(hub->config.rng, peer->nonce, sizeof peer->nonce);
    if (e != ERR_OK)
        return e;
    uint64_t version =
        message->protocol_max < PROTOCOL_VERSION_MAX ? message->protocol_max : PROTOCOL_VERSION_MAX;
    struct message challenge = {.type = MESSAGE_CHALLENGE,
                                .as.challenge = {.protocol = version,
                                                 .nonce = bytes_of(peer->nonce, 32),
                                                 .server_key = bytes_of(hub->config.server_key, 32),
                                                 .incarnation = hub->incarnation,
                                                 .history = hub->history,
                                                 .wall_ms = hub->now.wall.ms,
                                                 .model_version = hub->model->version,
                                                 .model_hash = bytes_of(hub->model->hash, 32)}};
    peer->session.state = PEER_CHALLENGED;
    return peer_send(hub, peer, &challenge);
}

/* ---- enrolment ---- */

/* The row is how branches know the device, and devices the branch. */
static enum err device_row(struct hub *hub, const struct uuid *device, const struct uuid *user,
                           const struct message_enrol *enrol)
{
    const struct model_table *table = model_table_by_id(hub->model, TABLE_DEVICE);
    static const char *const names[] = {"user",        "name", "platform", "revoked",
                                        "enrolled_at", "key",  "address",  "pin"};
    uint16_t columns[8], count = enrol->address.size ? 8 : 6;
    for (int i = 0; i < 8; i++)
        columns[i] = model_column_by_name(table, bytes_of_text(names[i]))->id;
    struct value values[8] = {value_blob(bytes_of(user->byte, 16)), value_text(enrol->name),
                              value_text(enrol->platform),          value_int(0),
                              value_int(hub->now.wall.ms),          value_blob(enrol->public_key),
                              value_text(enrol->address),           value_blob(enrol->pin)};
    return system_put(hub, TABLE_DEVICE, device, columns, values, count, 0);
}

static enum err take_code(struct hub *hub, struct bytes code, struct uuid *ret_user)
{
    uint8_t hash[32];
    enum err e = crypto_sha256(hub->config.crypto, code, hash);
    struct bytes value;
    if (e == ERR_OK)
        e = store_side_get(hub->store, SIDE_CODE, bytes_of(hash, 32), &hub->turn, &value);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && value.size < 24))
        return ERR_ENROLMENT;
    if (e != ERR_OK)
        return e;
    if ((int64_t)be64_get(value.data + 16) < hub->now.wall.ms)
        return ERR_ENROLMENT;
    memcpy(ret_user->byte, value.data, 16);
    return store_side_delete(hub->store, SIDE_CODE, bytes_of(hash, 32));
}

enum err handle_enrol(struct hub *hub, struct peer *peer, const struct message_enrol *message)
{
    if (peer->session.state != PEER_CHALLENGED || !uuid_is_nil(&peer->hello_device) ||
        message->public_key.size != 32 || message->code.size != 16 ||
        (message->address.size > 0) != (message->pin.size == 32))
        return ERR_PROTOCOL;
    if (hub->relay) {
        peer_fail(hub, peer, ERR_FORBIDDEN, "a branch enrols nobody; use a ticket of headquarters");
        return ERR_OK;
    }
    struct uuid user, device;
    enum err e = take_code(hub, message->code, &user);
    if (e == ERR_ENROLMENT) {
        peer_fail(hub, peer, e, err_text(e));
        return audit_append(hub, "{\"what\":\"enrolment refused\"}");
    }
    if (e == ERR_OK)
        e = system_id(hub, &device);
    struct record record;
    if (e == ERR_OK)
        e = system_get(hub, TABLE_USER, &user, &record);
    if (e == ERR_OK)
        e = device_row(hub, &device, &user, message);
    if (e != ERR_OK)
        return e;
    uint8_t value[DEVICE_VALUE_SIZE] = {0};
    memcpy(value, message->public_key.data, 32);
    memcpy(value + 32, user.byte, 16);
    be64_put(value + 49, (uint64_t)hub->now.wall.ms);
    e = store_side_put(hub->store, SIDE_DEVICE, bytes_of(device.byte, 16),
                       bytes_of(value, sizeof value));
    if (e != ERR_OK)
        return e;
    char id[UUID_TEXT_SIZE], person[UUID_TEXT_SIZE], entry[200];
    uuid_format(&device, id);
    uuid_format(&user, person);
    snprintf(entry, sizeof entry, "{\"what\":\"enrolled\",\"device\":\"%s\",\"user\":\"%s\"}", id,
             person);
    e = audit_append(hub, entry);
    struct value login = system_value(hub, TABLE_USER, &record, "login");
    struct message enrolled = {
        .type = MESSAGE_ENROLLED,
        .as.enrolled = {.device = device,
                        .user = user,
                        .login = login.kind == VALUE_TEXT ? login.as.bytes : bytes_of("", 0),
                        .history = hub->history}};
    peer->session.state = PEER_NEW;
    return e == ERR_OK ? peer_send(hub, peer, &enrolled) : e;
}

/* ---- proof ---- */

static enum err check_signature(struct hub *hub, const struct peer *peer,
                                const struct message_prove *message)
{
    static const char label[] = "satchel-auth-v1";
    uint8_t text[sizeof label - 1 + 32 + 32 + 32 + 16 + 8 + 8 + 8], *at = text;
    memcpy(at, label, sizeof label - 1);
    at += sizeof label - 1;
    memcpy(at, peer->nonce, 32);
    memcpy(at + 32, peer->client_nonce, 32);
    memcpy(at + 64, hub->config.server_key, 32);
    memcpy(at + 96, peer->hello_device.byte, 16);
    be64_put(at + 112, hub->incarnation);
    be64_put(at + 120, message->origin);
    be64_put(at + 128, message->last_oseq);
    return crypto_ed25519_verify(hub->config.crypto, peer->public_key, bytes_of(text, sizeof text),
                                 message->signature.data);
}

/* The origin that the device writes under: known and its own, or new. */
enum err claim_origin(struct hub *hub, const struct uuid *device, const struct uuid *user,
                      uint64_t id, struct origin **ret)
{
    enum err e = origin_get(hub, id, ret);
    if (e == ERR_OK && hub->relay && uuid_is_nil(&(*ret)->device)) {
        (*ret)->device = *device; /* followed, before somebody came with it */
        (*ret)->user = *user;
        return relay_origin_claim(hub, id, device, user);
    }
    if (e == ERR_OK)
        return uuid_equal(&(*ret)->device, device) ? ERR_OK : ERR_AUTH;
    if (e != ERR_NOT_FOUND)
        return e;
    e = origin_new(hub, id, device, user, ret);
    if (hub->relay)
        return e;
    struct uuid row;
    if (e == ERR_OK)
        e = system_id(hub, &row);
    if (e != ERR_OK)
        return e;
    const struct model_table *table = model_table_by_id(hub->model, TABLE_ORIGIN);
    static const char *const names[] = {"device", "user", "started_at", "origin"};
    uint16_t columns[4];
    for (int i = 0; i < 4; i++)
        columns[i] = model_column_by_name(table, bytes_of_text(names[i]))->id;
    struct value values[4] = {value_blob(bytes_of(device->byte, 16)),
                              value_blob(bytes_of(user->byte, 16)), value_int(hub->now.wall.ms),
                              value_int((int64_t)id)};
    return system_put(hub, TABLE_ORIGIN, &row, columns, values, 4, 0);
}

static void close_older(struct hub *hub, struct peer *peer)
{
    for (struct peer *other = hub->peers; other; other = other->next) {
        if (other == peer || other->session.state != PEER_OPEN ||
            !uuid_equal(&other->session.device, &peer->hello_device))
            continue;
        peer_save(other);
        peer_fail(hub, other, ERR_CLOSED, "this device has connected again");
    }
}

struct incarnation_list {
    struct hub *hub;
    const struct audience *audience;
    struct incarnation *items;
    uint32_t count, capacity;
};

static int collect_incarnation(void *context, struct bytes key, struct bytes value)
{
    struct incarnation_list *list = context;
    (void)key;
    if (value.size < 8 || (value.size - 8) % 12 || list->count == list->capacity)
        return ERR_CORRUPT;
    uint32_t count = (uint32_t)((value.size - 8) / 12);
    struct bucket_position *first = arena_calloc(&list->hub->turn, count, sizeof *first);
    if (!first)
        return ERR_NOMEM;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bucket = be32_get(value.data + 8 + i * 12);
        if (audience_has(list->audience, bucket))
            first[kept++] = (struct bucket_position){bucket, be64_get(value.data + 12 + i * 12)};
    }
    list->items[list->count++] = (struct incarnation){be64_get(value.data), first, kept};
    return 0;
}

static enum err welcome(struct hub *hub, struct peer *peer, const struct message_prove *message,
                        const struct origin *origin)
{
    struct incarnation_list list = {.hub = hub, .audience = &peer->audience};
    uint64_t starts = hub->incarnation_count;
    enum err e = hub->relay ? side_count(hub, SIDE_INCARNATION, &starts) : ERR_OK;
    if (e != ERR_OK)
        return e;
    list.capacity = (uint32_t)starts;
    list.items = arena_calloc(&hub->turn, list.capacity + 1u, sizeof *list.items);
    const struct audience *audience = &peer->audience;
    struct bucket_name *names =
        arena_calloc(&hub->turn, hub->bucket_count + audience->absent_count, sizeof *names);
    struct bucket_position *floors = arena_calloc(&hub->turn, hub->bucket_count, sizeof *floors);
    if (!list.items || !names || !floors)
        return ERR_NOMEM;
    e = store_side_scan(hub->store, SIDE_INCARNATION, bytes_of(NULL, 0), bytes_of(NULL, 0),
                        collect_incarnation, &list);
    if (e != ERR_OK)
        return e;
    uint32_t count = 0, floor_count = 0;
    for (uint32_t i = 0; i < hub->bucket_count; i++) {
        const struct bucket *bucket = hub->buckets[i];
        if (!audience_has(&peer->audience, bucket->number))
            continue;
        names[count++] =
            (struct bucket_name){bucket->number, bucket->kind, bucket->key, bucket->head};
        if (bucket->floor)
            floors[floor_count++] = (struct bucket_position){bucket->number, bucket->floor};
    }
    for (uint32_t i = 0; i < audience->absent_count; i++)
        names[count++] = audience->absent[i];
    struct mark *mark = arena_calloc(&hub->turn, 1, sizeof *mark);
    if (!mark)
        return ERR_NOMEM;
    e = own_mark(hub, origin, mark);
    uint64_t highest = mark->range_count ? mark->ranges[mark->range_count - 1].to : mark->upto;
    uint64_t archived;
    if (e == ERR_OK)
        e = archived_get(hub->store, origin->id, &hub->turn, &archived);
    if (e != ERR_OK)
        return e;
    struct message answer = {.type = MESSAGE_WELCOME,
                             .as.welcome = {.user = peer->session.user,
                                            .role = (uint64_t)peer->audience.role,
                                            .scope = hub->scope_revision,
                                            .buckets = names,
                                            .buckets_count = count,
                                            .incarnations = list.items,
                                            .incarnations_count = list.count,
                                            .marks = mark,
                                            .marks_count = 1,
                                            .archived = archived,
                                            .credit = PUSH_CREDIT,
                                            .wall_ms = hub->now.wall.ms,
                                            .fork = highest > message->last_oseq,
                                            .relay = hub->relay ? hub->relay->id : 0,
                                            .online = relay_online(hub),
                                            .floors = floors,
                                            .floors_count = floor_count}};
    return peer_send(hub, peer, &answer);
}

static enum err refuse(struct hub *hub, struct peer *peer, enum err why)
{
    peer_fail(hub, peer, why,
              why == ERR_REVOKED ? "this device has been revoked; its data must be erased"
              : why == ERR_CONFLICT
                  ? "another device writes under this origin; this one has to take a new one"
                  : "this device is not known here");
    return ERR_OK;
}

enum err device_get(struct hub *hub, const struct uuid *device, uint8_t ret_key[32],
                    struct uuid *ret_user)
{
    struct bytes value;
    if (hub->relay)
        return relay_device(hub, device, ret_key, ret_user);
    enum err e =
        store_side_get(hub->store, SIDE_DEVICE, bytes_of(device->byte, 16), &hub->turn, &value);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_AUTH : e;
    if (value.size != DEVICE_VALUE_SIZE)
        return ERR_CORRUPT;
    memcpy(ret_key, value.data, 32);
    memcpy(ret_user->byte, value.data + 32, 16);
    return value.data[DEVICE_REVOKED_AT] ? ERR_REVOKED : ERR_OK;
}

enum err handle_prove(struct hub *hub, struct peer *peer, const struct message_prove *message)
{
    if (peer->session.state != PEER_CHALLENGED || message->signature.size != 64 ||
        message->origin == 0 || message->last_oseq > (uint64_t)INT64_MAX)
        return ERR_PROTOCOL;
    enum err known = device_get(hub, &peer->hello_device, peer->public_key, &peer->session.user);
    if (known == ERR_AUTH && hub->relay) { /* enrolled at headquarters a moment ago, perhaps */
        peer_fail(hub, peer, ERR_BUSY, "this branch does not know the device yet; try again later");
        return ERR_OK;
    }
    if (known == ERR_AUTH)
        return refuse(hub, peer, ERR_AUTH);
    if (known != ERR_OK && known != ERR_REVOKED)
        return known;
    enum err e = check_signature(hub, peer, message);
    if (e != ERR_OK)
        return e == ERR_AUTH ? refuse(hub, peer, e) : e;
    if (known == ERR_REVOKED)
        return refuse(hub, peer, ERR_REVOKED);
    struct audience audience = {0};
    e = scope_audience(hub, &peer->session.user, &audience);
    if (e == ERR_AUTH)
        return refuse(hub, peer, e);
    if (e != ERR_OK)
        return e;
    audience_done(&peer->audience);
    peer->audience = audience;
    struct origin *origin;
    e = claim_origin(hub, &peer->hello_device, &peer->session.user, message->origin, &origin);
    if (e == ERR_AUTH) /* whoever of the two is its true owner: nothing says so here */
        return refuse(hub, peer, ERR_CONFLICT);
    if (e != ERR_OK)
        return e;
    close_older(hub, peer);
    peer->session.state = PEER_OPEN;
    peer->session.device = peer->hello_device;
    peer->session.origin = message->origin;
    /* what a restored headquarters has forgotten is decided anew: its results are told again */
    peer->session.stated = message->floor < origin->upto ? message->floor : origin->upto;
    peer->session.floor = peer->session.stated;
    peer->session.offset_ms = hub->now.wall.ms - message->wall_ms;
    peer->session.scope = hub->scope_revision;
    peer->session.pending_next = 1;
    follows_drop(hub, peer);
    return welcome(hub, peer, message, origin);
}
