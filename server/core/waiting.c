/* waiting.c - groups that came before what they build on: judged again when it is decided.
 *
 * Stored:     WAITING (origin, oseq) -> received BE8, offset BE8, device 16, user 16, hash 32, group;
 *             WAITS_FOR (missing dot, origin, oseq) -> nothing.
 * Source:     SPEC.md 11.2; DESIGN.md 5. */
#include "server/core/hub_internal.h"

#include <string.h>

enum err waiting_put(struct hub *hub, const struct author *author, const struct dot *missing,
                     const struct dot *dot, const uint8_t hash[32], struct bytes raw)
{
    uint8_t key[KEY_ORIGIN_SIZE + 20], head[16];
    key_origin(missing->origin, missing->oseq, key);
    be32_put(key + 16, missing->tag);
    key_origin(dot->origin, dot->oseq, key + 20);
    enum err e =
        store_side_put(hub->store, SIDE_WAITS_FOR, bytes_of(key, sizeof key), bytes_of(NULL, 0));
    if (e != ERR_OK)
        return e;
    struct buf *b = &hub->payload;
    buf_reset(b);
    be64_put(head, (uint64_t)author->envelope.received_ms);
    be64_put(head + 8, (uint64_t)author->envelope.offset_ms);
    buf_append(b, head, sizeof head);
    buf_append(b, author->device.byte, 16);
    buf_append(b, author->user.byte, 16);
    buf_append(b, hash, 32);
    buf_append(b, raw.data, raw.size);
    if (b->error != ERR_OK)
        return b->error;
    hub->waiting_count++;
    hub->stats.groups_waiting++;
    return store_side_put(hub->store, SIDE_WAITING, bytes_of(key + 20, KEY_ORIGIN_SIZE),
                          buf_view(b));
}

struct waiting_keys {
    struct arena *arena;
    struct bytes keys[64];
    uint32_t count;
};

static int collect_waiting(void *context, struct bytes key, struct bytes value)
{
    struct waiting_keys *list = context;
    (void)value;
    if (list->count == 64)
        return STORE_STOP;
    return (int)arena_copy(list->arena, key, &list->keys[list->count++]);
}

/* Dots that groups may wait for, in the order in which they were settled. A list, as a chain of waiting
 * groups can be as long as people type. */
struct settled_dot {
    struct settled_dot *next;
    struct dot dot;
};

static enum err decide_again(struct hub *hub, struct bytes key, bool given_up, bool lapsed,
                             struct settled_dot **tail)
{
    struct bytes value;
    enum err e = store_side_get(hub->store, SIDE_WAITING, key, &hub->turn, &value);
    if (e != ERR_OK)
        return e;
    if (value.size < 80 || key.size != KEY_ORIGIN_SIZE)
        return ERR_CORRUPT;
    struct author author = {.given_up = given_up,
                            .lapsed = lapsed,
                            .envelope = {.received_ms = (int64_t)be64_get(value.data),
                                         .offset_ms = (int64_t)be64_get(value.data + 8)}};
    memcpy(author.device.byte, value.data + 16, 16);
    memcpy(author.user.byte, value.data + 32, 16);
    uint64_t oseq = be64_get(key.data + 8);
    e = origin_get(hub, be64_get(key.data), &author.origin);
    struct audience audience = {0};
    if (e == ERR_OK)
        e = scope_audience(hub, &author.user, &audience);
    if (e == ERR_AUTH)
        e = ERR_OK; /* locked out meanwhile: without any right, which is judged */
    if (e == ERR_OK)
        e = store_side_delete(hub->store, SIDE_WAITING, key);
    if (e != ERR_OK) {
        audience_done(&audience);
        return e;
    }
    hub->waiting_count--;
    author.audience = &audience;
    for (const struct peer *peer = hub->peers; peer; peer = peer->next)
        if (peer->session.state == PEER_OPEN && peer->session.origin == author.origin->id)
            author.peer_number = peer->number;
    enum decision decision;
    e = decide_group(hub, &author, oseq, bytes_of(value.data + 80, value.size - 80),
                     value.data + 48, &decision);
    audience_done(&audience);
    if (e != ERR_OK || decision == DECISION_WAITS)
        return e;
    struct receipt receipt;
    e = receipt_find(hub, author.origin->id, oseq, &receipt);
    if (e != ERR_OK || receipt.code == RESULT_PARKED)
        return e; /* what depends on it goes on waiting */
    const struct dot dots[] = {{author.origin->id, oseq, receipt.tag},
                               dot_before(bytes_of(value.data + 80, value.size - 80))};
    for (int i = 0; i < 2 && !dot_is_none(&dots[i]); i++) {
        struct settled_dot *settled = arena_calloc(&hub->turn, 1, sizeof *settled);
        if (!settled)
            return ERR_NOMEM;
        settled->dot = dots[i];
        (*tail)->next = settled;
        *tail = settled;
    }
    return ERR_OK;
}

struct dot dot_before(struct bytes raw)
{
    struct group head;
    return group_peek(raw, &head) == ERR_OK ? head.renamed : (struct dot){0};
}

/* Those that wait for this one dot. */
static enum err release_waiting(struct hub *hub, const struct dot *dot, struct settled_dot **tail)
{
    uint8_t from[20], to[20];
    enum err in_effect = dot_in_effect(hub, dot);
    if (in_effect != ERR_OK && in_effect != ERR_FORBIDDEN)
        return in_effect == ERR_NOT_FOUND ? ERR_OK : in_effect;
    key_origin(dot->origin, dot->oseq, from);
    be32_put(from + 16, dot->tag);
    memcpy(to, from, sizeof to);
    for (size_t i = sizeof to; i > 0 && ++to[i - 1] == 0; i--)
        continue; /* the next key after all that begin with this dot, whatever origin follows it */
    for (enum err e = ERR_OK; hub->waiting_count > 0;) {
        struct waiting_keys list = {.arena = &hub->turn};
        e = store_side_scan(hub->store, SIDE_WAITS_FOR, bytes_of(from, sizeof from),
                            bytes_of(to, sizeof to), collect_waiting, &list);
        if (e != ERR_OK || list.count == 0)
            return e;
        for (uint32_t i = 0; i < list.count; i++) {
            e = store_side_delete(hub->store, SIDE_WAITS_FOR, list.keys[i]);
            if (e == ERR_OK)
                e = decide_again(hub, bytes_of(list.keys[i].data + 20, KEY_ORIGIN_SIZE),
                                 in_effect == ERR_FORBIDDEN, false, tail);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}

static enum err release_all(struct hub *hub, const struct settled_dot *first,
                            struct settled_dot **tail)
{
    enum err e = ERR_OK;
    for (const struct settled_dot *s = first; e == ERR_OK && s && hub->waiting_count > 0;
         s = s->next)
        e = release_waiting(hub, &s->dot, tail);
    return e;
}

enum err decide_waiting(struct hub *hub, const struct dot *dot)
{
    struct settled_dot first = {.dot = *dot}, *tail = &first;
    return release_all(hub, &first, &tail);
}

enum err waiting_lapse(struct hub *hub, struct bytes key, int64_t before_ms, bool *ret_lapsed)
{
    static const uint8_t later_model[20];
    const struct bytes group = bytes_of(key.data + 20, KEY_ORIGIN_SIZE);
    struct bytes value;
    *ret_lapsed = false;
    if (memcmp(key.data, later_model, sizeof later_model) == 0)
        return ERR_OK; /* it waits for the model, and nothing is missing */
    enum err e = store_side_get(hub->store, SIDE_WAITING, group, &hub->turn, &value);
    if (e == ERR_NOT_FOUND)
        return ERR_OK; /* decided with one before it */
    if (e == ERR_OK && value.size < 80)
        e = ERR_CORRUPT;
    if (e != ERR_OK || (int64_t)be64_get(value.data) > before_ms)
        return e;
    struct settled_dot first = {.dot = {0}}, *tail = &first;
    *ret_lapsed = true;
    e = store_side_delete(hub->store, SIDE_WAITS_FOR, key);
    if (e == ERR_OK)
        e = decide_again(hub, group, false, true, &tail);
    return e == ERR_OK ? release_all(hub, first.next, &tail) : e;
}

struct all_waiting {
    struct arena *arena;
    struct bytes *keys;
    uint32_t count, capacity;
};

static int collect_all(void *context, struct bytes key, struct bytes value)
{
    struct all_waiting *list = context;
    (void)value;
    struct bytes *keys =
        arena_extend(list->arena, list->keys, list->count, &list->capacity, sizeof *keys);
    if (!keys)
        return ERR_NOMEM;
    list->keys = keys;
    return (int)arena_copy(list->arena, key, &keys[list->count++]);
}

enum err decide_waiting_again(struct hub *hub, const struct dot *dot)
{
    uint8_t from[20], to[20];
    struct all_waiting list = {.arena = &hub->turn};
    key_origin(dot->origin, dot->oseq, from);
    be32_put(from + 16, dot->tag);
    memcpy(to, from, sizeof to);
    for (size_t i = sizeof to; i > 0 && ++to[i - 1] == 0; i--)
        continue;
    enum err e = store_side_scan(hub->store, SIDE_WAITS_FOR, bytes_of(from, sizeof from),
                                 bytes_of(to, sizeof to), collect_all, &list);
    for (uint32_t i = 0; e == ERR_OK && i < list.count; i++) {
        struct settled_dot first = {0}, *tail = &first;
        e = store_side_delete(hub->store, SIDE_WAITS_FOR, list.keys[i]);
        if (e == ERR_OK)
            e = decide_again(hub, bytes_of(list.keys[i].data + 20, KEY_ORIGIN_SIZE), false, false,
                             &tail);
        for (const struct settled_dot *s = first.next; e == ERR_OK && s; s = s->next)
            e = decide_waiting(hub, &s->dot);
    }
    return e;
}
