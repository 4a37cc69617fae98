/* byzantine.c - devices that hold a true key and do what no honest one would. */
#include <string.h>

#include "client/core/uplink_internal.h"
#include "protocol/group.h"
#include "tests/sim/act.h"
#include "tests/sim/oracle.h"

static bool in_session(const struct node *node)
{
    struct uplink_progress progress = {0};
    if (!node->running || !node->up || !node->uplink || !node->up->attached)
        return false;
    uplink_progress(node->uplink, &progress);
    return progress.authenticated;
}

static bool send_message(struct node *node, const struct message *message)
{
    struct buf payload, frame;
    buf_init(&payload, 8 << 20);
    buf_init(&frame, 2 << 20);
    bool sent = frame_encode(message, NULL, &payload, &frame) == ERR_OK &&
                link_inject(node->up, LOWER, buf_view(&frame));
    buf_done(&payload);
    buf_done(&frame);
    return sent;
}

/* A push of its own earlier, as it was. */
static bool replay(struct node *node, struct seeded_rng *dice)
{
    struct buf *old = &node->pushes[seeded_below(dice, OLD_PUSHES)];
    return old->size && link_inject(node->up, LOWER, buf_view(old));
}

static void sign(struct node *node, uint64_t origin, uint64_t first, struct bytes group,
                 uint8_t out[64])
{
    static const char label[] = "satchel-run-v1";
    struct crypto *crypto = node->world->kit->crypto;
    uint8_t text[sizeof label - 1 + 24 + 32], hash[32];
    memcpy(text, label, sizeof label - 1);
    be64_put(text + sizeof label - 1, origin);
    be64_put(text + sizeof label + 7, first);
    be64_put(text + sizeof label + 15, 1);
    (void)crypto_sha256(crypto, group, hash);
    (void)crypto_sha256(crypto, bytes_of(hash, 32), text + sizeof label + 23);
    (void)crypto_ed25519_sign(crypto, node->identity.seed, bytes_of(text, sizeof text), out);
}

/* What is decided must stay as it is. (Before it is decided its author may change its mind.) */
static bool may_repeat(const struct node *node, const struct replica_status *status,
                       const struct message_push *push)
{
    return push->origin == status->origin && push->first <= status->decided_upto &&
           node->world->cover[COVER_RESTORES] == 0;
}

/* A branch that has not heard that the number is decided shows what the author says now, as a whole group: halves that
 * do not belong together are the author's own doing then, and "no half group" would blame the branch. */
static bool would_part_twins(struct world *world, struct bytes group)
{
    struct arena arena;
    struct group decoded;
    bool twins = false;
    arena_init(&arena, 64 << 20);
    if (world->plan->branches &&
        group_decode(world->model, group, &arena, &decoded, NULL) == ERR_OK)
        for (uint32_t i = 0; i < decoded.mutation_count; i++)
            twins |= strcmp(decoded.mutations[i].table->name, "twin") == 0;
    arena_done(&arena);
    return twins;
}

/* The next number of somebody else. */
static void steal_origin(struct node *node, struct seeded_rng *dice, struct message_push *push)
{
    struct world *world = node->world;
    const struct node *victim = &world->nodes[1 + seeded_below(dice, world->node_count - 1)];
    struct replica_status status;
    push->origin ^= 1 + seeded_below(dice, 255); /* of nobody */
    if (!victim->running || victim->user == node->user)
        return;
    replica_status(victim->replica, &status);
    push->origin = status.origin;
    push->first = status.last_oseq + 1;
}

/* The first group of an earlier push: under its own dot with a byte changed, or as another origin's. */
static bool push_again(struct node *node, struct seeded_rng *dice, bool changed)
{
    const struct buf *old = &node->pushes[seeded_below(dice, OLD_PUSHES)];
    struct arena arena;
    struct buf inflated;
    struct message message;
    struct inflater *inflater;
    uint8_t signature[64];
    if (old->size == 0 || inflater_new(&inflater) != ERR_OK)
        return false;
    arena_init(&arena, 64 << 20);
    buf_init(&inflated, FRAME_INFLATED_MAX);
    bool sent = false;
    struct bytes group;
    struct replica_status status;
    replica_status(node->replica, &status);
    if (frame_decode(buf_view(old), true, inflater, &inflated, &arena, &message) == ERR_OK &&
        arena_copy(&arena, message.as.push.groups[0], &group) == ERR_OK && group.size > 40 &&
        may_repeat(node, &status, &message.as.push) &&
        !(changed && would_part_twins(node->world, group))) {
        uint8_t *bytes = (uint8_t *)(uintptr_t)group.data; /* our own copy */
        struct message_push *push = &message.as.push;
        if (changed)
            bytes[group.size - 1 - seeded_below(dice, 8)] ^= (uint8_t)(1 + seeded_below(dice, 3));
        else
            steal_origin(node, dice, push);
        sign(node, push->origin, push->first, group, signature);
        push->groups = &group;
        push->groups_count = 1;
        push->signature = bytes_of(signature, 64);
        sent = send_message(node, &message);
    }
    inflater_free(inflater);
    buf_done(&inflated);
    arena_done(&arena);
    return sent;
}

static bool beyond(struct node *node, struct seeded_rng *dice)
{
    const struct bucket_position cursors[1] = {
        {(uint32_t)(1 + seeded_below(dice, 8)), seeded_u64(dice) >> seeded_below(dice, 60)}};
    const struct message message = {
        .type = MESSAGE_SUBSCRIBE,
        .as.subscribe = {.scope = 1, .cursors = cursors, .cursors_count = 1, .credit = 1 << 20}};
    return send_message(node, &message);
}

/* With a key that is not its own: headquarters must not let it in. */
static bool impostor(struct node *node)
{
    if (!node->running || node->impostor)
        return false;
    if (node->up) {
        struct link *old = node->up;
        device_node_over(node, ERR_LINK);
        link_close(old, LOWER, false);
    }
    node->impostor = true;
    node->identity.seed[0] ^= 1; /* device_node_unplug() puts it right again */
    node->mode = MODE_ONCE;
    device_node_connect(node);
    if (!node->up) {
        node->impostor = false;
        node->identity.seed[0] ^= 1;
    }
    return node->impostor;
}

/* What it pushes from now on is signed with another key. */
static bool missign(struct node *node)
{
    node->uplink->identity.seed[0] ^= 1;
    return true;
}

/* Gives credit for next to nothing, and wants everything. */
static bool stingy(struct node *node, struct seeded_rng *dice)
{
    const struct message message = {.type = MESSAGE_SUBSCRIBE,
                                    .as.subscribe = {.scope = 1,
                                                     .credit = 1 + seeded_below(dice, 2000),
                                                     .reconcile = 1 + seeded_below(dice, 2)}};
    node->evil = true; /* it will have to connect again to get the rest */
    return send_message(node, &message);
}

static bool garbage(struct node *node, struct seeded_rng *dice)
{
    uint8_t bytes[300];
    size_t size = 1 + seeded_below(dice, sizeof bytes);
    seeded_fill(dice, bytes, size);
    if (seeded_below(dice, 2) && size > 6) { /* a good header, at least */
        bytes[0] = (uint8_t)(1 + seeded_below(dice, 31));
        bytes[1] = 0;
        be32_put(bytes + 2, (uint32_t)size - 6);
    }
    return link_inject(node->up, LOWER, bytes_of(bytes, size));
}

bool act_byzantine(struct world *world, struct node *node, const struct action *action,
                   struct seeded_rng *dice)
{
    if (node->serves || node->erased)
        return true;
    if (action->kind == ACTION_FORGE) {
        world->cover[COVER_FORGED] += node->running;
        write_transaction(node, dice, true);
        return true;
    }
    uint64_t how = seeded_below(dice, 3);
    if (action->kind == ACTION_STEAL && how == 0) {
        world->cover[COVER_STOLEN] += impostor(node);
        return true;
    }
    if (!in_session(node))
        return true;
    node->dishonest |= action->kind == ACTION_REPLAY || action->kind == ACTION_CHANGE ||
                       action->kind == ACTION_STEAL;
    switch ((int)action->kind) {
    case ACTION_REPLAY: world->cover[COVER_REPLAYED] += replay(node, dice); break;
    case ACTION_CHANGE: world->cover[COVER_CHANGED] += push_again(node, dice, true); break;
    case ACTION_STEAL:
        world->cover[COVER_STOLEN] += how == 1 ? missign(node) : push_again(node, dice, false);
        break;
    case ACTION_BEYOND:
        world->cover[COVER_BEYOND] += how ? beyond(node, dice) : stingy(node, dice);
        break;
    case ACTION_GARBAGE: world->cover[COVER_GARBAGE] += garbage(node, dice); break;
    default: return false;
    }
    return true;
}
