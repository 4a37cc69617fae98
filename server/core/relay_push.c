/* relay_push.c - what a branch's devices push: verified, kept as it came, shown to the others, and sent up.
 *
 * Forks:      two groups under one number are told apart by the one that is held here, and by the tag of the one that
 *             is decided. Where an earlier program has not stored that, nothing can be said: the device is told to
 *             renumber, which does no harm, as a renumbered group and the one that it was are the same to
 *             headquarters.
 * Source:     SPEC.md 12. */
#include "server/core/relay.h"

#include <string.h>

/* A run that has come, and what is known here of its groups. */
struct arrival {
    const struct origin *origin;
    uint64_t first;
    const struct bytes *groups;
    uint32_t count;
    const struct group_result *results; /* of what is decided */
    uint32_t result_count;
    bool *decided;  /* each of them, and nothing else under its number */
    bool all;       /* are here, or decided */
    bool displaced; /* one of them is decided, and another one is held under its number */
    bool fork;      /* a number is another group's, or may be */
};

static enum err check_group(struct hub *hub, struct arrival *a, uint32_t i)
{
    struct bytes held, raw = a->groups[i];
    struct group head, other;
    bool whole = false;
    uint64_t oseq = a->first + i;
    enum relay_identity identity = RELAY_UNKNOWN;
    enum err e =
        relay_group_below(hub->relay->replica, a->origin->id, oseq, &hub->turn, &held, &whole);
    bool here = e == ERR_OK, have = here && whole && bytes_equal(held, raw);
    if (origin_decided(a->origin, oseq))
        identity = relay_identity_of(a->results, a->result_count, a->origin->id, oseq, raw);
    a->decided[i] = identity == RELAY_SAME;
    hub->stats.duplicates += have || a->decided[i];
    a->all &= have || a->decided[i];
    if (identity == RELAY_OTHER)
        a->fork = true;
    else if (identity == RELAY_SAME)
        a->displaced |= here && whole && !have;
    else if (here && whole)
        a->fork |= !have;
    else
        a->fork |= origin_decided(a->origin, oseq);
    /* what came from above is a part of it, whose place it takes; or of another one */
    if (here && !whole && !a->decided[i] && group_peek(held, &head) == ERR_OK &&
        group_peek(raw, &other) == ERR_OK)
        a->fork |= head.dot.tag != other.dot.tag;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* What is held under a number stays, as it may have to go up with the signature of its run. */
static enum err check_run(struct hub *hub, struct arrival *a)
{
    enum err e = ERR_OK;
    a->all = true;
    a->decided = arena_calloc(&hub->turn, a->count, sizeof *a->decided);
    if (!a->decided)
        return ERR_NOMEM;
    if (origin_decided(a->origin, a->first) || a->origin->range_count)
        e = relay_results_from(hub->store, a->origin->id, a->first - 1, &hub->turn, &a->results,
                               &a->result_count);
    for (uint32_t i = 0; e == ERR_OK && i < a->count && !a->fork; i++)
        e = check_group(hub, a, i);
    a->fork |= a->displaced && !a->all;
    return e;
}

/* The mark with these ranges, too. */
static enum err mark_add(struct hub *hub, struct mark *mark, const struct oseq_range *held,
                         uint32_t held_count)
{
    enum { RANGES = 10000 };
    struct oseq_range *out =
        arena_calloc(&hub->turn, mark->range_count + held_count + 1u, sizeof *out);
    uint32_t count = 0, a = 0, b = 0;
    if (!out)
        return ERR_NOMEM;
    while (a < mark->range_count || b < held_count) {
        bool first =
            b == held_count || (a < mark->range_count && mark->ranges[a].from < held[b].from);
        struct oseq_range next = first ? mark->ranges[a++] : held[b++];
        uint64_t *end = count ? &out[count - 1].to : &mark->upto;
        if (next.from > *end + 1)
            out[count++] = next;
        else if (next.to > *end)
            *end = next.to;
    }
    mark->ranges = out;
    mark->range_count = count < RANGES ? count : RANGES;
    return ERR_OK;
}

enum err relay_push(struct hub *hub, struct peer *peer, struct origin *origin, uint64_t first,
                    const struct bytes *groups, uint32_t count, const uint8_t *hashes,
                    const uint8_t signature[64], bool *ret_fork)
{
    const struct relayed *relayed = &peer->session.relayed;
    bool own = origin->id == peer->session.origin || !peer->audience.branch;
    struct replica *replica = hub->relay->replica;
    struct relay_origin known;
    struct arrival arrival = {.origin = origin, .first = first, .groups = groups, .count = count};
    enum err e = verify_now(hub, own ? peer->public_key : relayed->public_key, origin->id, first,
                            count, hashes, signature);
    if (e == ERR_OK)
        e = relay_origin_get(replica, origin->id, &known);
    if (e != ERR_OK)
        return e;
    arrival.fork = known.forked != 0 && first + count > known.forked;
    e = check_run(hub, &arrival);
    if (e != ERR_OK)
        return e;
    *ret_fork = arrival.fork;
    if (*ret_fork) {
        struct message fork = {.type = MESSAGE_FORK,
                               .as.fork = {.origin = origin->id, .oseq = first}};
        hub->stats.forks++;
        return peer_send(hub, peer, &fork);
    }
    if (arrival.all)
        return ERR_OK;
    struct relay_run run = {.origin = origin->id,
                            .first = first,
                            .count = count,
                            .device = own ? peer->session.device : relayed->device,
                            .received_ms = own ? hub->now.wall.ms : relayed->envelope.received_ms,
                            .offset_ms =
                                own ? peer->session.offset_ms : relayed->envelope.offset_ms};
    memcpy(run.signature, signature, 64);
    e = relay_take(replica, &run, groups, arrival.decided);
    uint64_t received = known.received > origin->upto ? known.received : origin->upto;
    if (e == ERR_OK && first <= received + 1 && first + count - 1 > received) {
        known.received = first + count - 1;
        e = relay_origin_put(replica, &known);
    }
    hub->stats.groups_waiting += count;
    return e;
}

/* What is decided, and what is held here for headquarters. Only where there is a gap is it looked for group by
 * group: an origin may have tens of thousands that wait. */
enum err relay_received(struct hub *hub, const struct origin *origin, uint64_t last,
                        struct mark *ret)
{
    struct relay_origin known;
    struct oseq_range *held;
    uint32_t count;
    enum err e = own_mark(hub, origin, ret);
    if (e == ERR_OK)
        e = relay_origin_get(hub->relay->replica, origin->id, &known);
    if (e != ERR_OK)
        return e;
    if (known.received > ret->upto)
        ret->upto = known.received;
    if (last <= ret->upto) {
        ret->range_count = 0;
        return ERR_OK;
    }
    e = relay_held(hub->relay->replica, origin->id, &hub->turn, &held, &count);
    if (e == ERR_OK)
        e = mark_add(hub, ret, held, count);
    if (e != ERR_OK || ret->upto <= known.received)
        return e;
    known.received = ret->upto;
    return relay_origin_put(hub->relay->replica, &known);
}

/* Whose origin it is, by headquarters' row of it. ERR_NOT_FOUND: this branch has not heard of it. */
static enum err owner_of(struct hub *hub, uint64_t origin, struct uuid *ret_device,
                         struct uuid *ret_user)
{
    struct store_ids rows = {.arena = &hub->turn};
    enum err e = store_row_scan(hub->store, model_table_by_id(hub->model, TABLE_ORIGIN), NULL,
                                store_ids_add, &rows);
    for (uint32_t i = 0; e == ERR_OK && i < rows.count; i++) {
        struct record record;
        e = system_get(hub, TABLE_ORIGIN, &rows.ids[i], &record);
        if (e != ERR_OK)
            break;
        struct value number = system_value(hub, TABLE_ORIGIN, &record, "origin");
        struct value device = system_value(hub, TABLE_ORIGIN, &record, "device");
        struct value user = system_value(hub, TABLE_ORIGIN, &record, "user");
        if (number.kind == VALUE_INT && (uint64_t)number.as.integer == origin)
            return value_id(&device, ret_device) && value_id(&user, ret_user) ? ERR_OK
                                                                              : ERR_NOT_FOUND;
    }
    return e == ERR_OK ? ERR_NOT_FOUND : e;
}

/* An origin that its device had before a fork may be one that this branch only follows, or has never heard of. */
static enum err known_origin(struct hub *hub, uint64_t id, struct relay_origin *ret)
{
    enum err e = relay_origin_get(hub->relay->replica, id, ret);
    bool heard = e == ERR_OK;
    if (e != ERR_NOT_FOUND && (e != ERR_OK || !uuid_is_nil(&ret->device)))
        return e;
    e = owner_of(hub, id, &ret->device, &ret->user);
    if (e != ERR_OK)
        return e;
    return heard ? relay_origin_claim(hub, id, &ret->device, &ret->user)
                 : relay_origin_new(hub, id, &ret->device, &ret->user);
}

enum err relay_discard(struct hub *hub, struct peer *peer, const struct message_discard *message)
{
    struct relay_origin known;
    bool followed = peer->audience.branch && follow_find(peer, message->origin);
    enum err e = known_origin(hub, message->origin, &known);
    if (e == ERR_NOT_FOUND && !followed)
        return ERR_OK; /* not confirmed: its author says it again, here or elsewhere */
    if (e == ERR_OK && !followed && !uuid_equal(&known.device, &peer->session.device))
        return ERR_PROTOCOL;
    return e == ERR_OK || e == ERR_NOT_FOUND
               ? relay_note_discard(hub->relay->replica, message->origin, message->oseq)
               : e;
}
