/* act_copies.c - disks that are copied, carried away and put back; who is let in and who is not. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/act.h"
#include "tests/sim/oracle.h"

enum { CLONES_MOST = 3 };

static uint64_t seed_of_copy(struct seeded_rng *dice)
{
    return seeded_u64(dice);
}

static void forget_copy(struct node *node, uint32_t which)
{
    sim_disk_free(node->copies[which].disk);
    memmove(node->copies + which, node->copies + which + 1,
            (node->copy_count - which - 1) * sizeof *node->copies);
    node->copy_count--;
}

static struct copy *keep_copy(struct node *node, struct seeded_rng *dice)
{
    if (node->copy_count == BACKUPS_MAX)
        forget_copy(node, 0);
    struct copy *copy = &node->copies[node->copy_count++];
    *copy = (struct copy){.disk = sim_disk_copy(node->disk, seed_of_copy(dice)),
                          .at_us = node->world->now_us,
                          .transactions = node->world->ledger->tx_count};
    return copy;
}

/* ---- headquarters ---- */

/* Devices may forget what a verified backup holds. */
static bool announce(struct node *node)
{
    static char request[65536 + 64];
    const char *marks = hub_node_ask(node, "{\"do\":\"marks\"}");
    const char *from = marks ? strstr(marks, "\"marks\":{") : NULL;
    const char *to = from ? strchr(from, '}') : NULL;
    if (!to)
        return false;
    snprintf(request, sizeof request, "{\"do\":\"archived\",%.*s}", (int)(to - from + 1), from);
    return hub_node_ask(node, request) != NULL;
}

static void backup(struct node *node, struct seeded_rng *dice)
{
    if (!node->running)
        return;
    bool tell = seeded_below(dice, 2);
    struct copy *copy = keep_copy(node, dice);
    node->world->cover[COVER_BACKUPS]++;
    copy->announced = tell; /* also when the answer is not seen: they may have been told */
    if (tell && !announce(node))
        say(node->world, "%s: the backup could not be announced", node->name);
}

/* Not one that is older than the last of which devices were told. */
static void restore(struct node *node, struct seeded_rng *dice)
{
    struct world *world = node->world;
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < node->copy_count; i++)
        if (node->copies[i].announced)
            oldest = i;
    if (node->copy_count == 0 || !node->running)
        return;
    uint32_t which = oldest + (uint32_t)seeded_below(dice, node->copy_count - oldest);
    say(world, "%s: restored from the backup of %.0f s ago", node->name,
        (double)(world->now_us - node->copies[which].at_us) / 1e6);
    node_end(node, END_KILLED, 0, 1000000);
    sim_disk_free(node->disk);
    node->disk = sim_disk_copy(node->copies[which].disk, seed_of_copy(dice));
    ledger_restored(world, &node->copies[which]);
    while (node->copy_count > which + 1)
        forget_copy(node, node->copy_count - 1); /* of a history that is lost */
    world->cover[COVER_RESTORES]++;
}

/* ---- devices ---- */

static void clone(struct world *world, struct node *node, struct seeded_rng *dice)
{
    if (node->erased || world->cover[COVER_CLONES] >= CLONES_MOST)
        return;
    struct node *copy = act_add_device(world, sim_disk_copy(node->disk, seed_of_copy(dice)));
    if (!copy)
        return;
    copy->identity = node->identity;
    if (node->impostor)
        copy->identity.seed[0] ^= 1; /* the key that it really has */
    copy->user = node->user;
    copy->clone_of = node->number;
    world->cover[COVER_CLONES]++;
    say(world, "%s: is a copy of %s", copy->name, node->name);
    ledger_cloned(world, node->number);
    node_start(copy);
}

static void rollback(struct world *world, struct node *node, struct seeded_rng *dice)
{
    if (node->copy_count == 0 || node->erased)
        return;
    uint32_t which = (uint32_t)seeded_below(dice, node->copy_count);
    node_end(node, END_KILLED, 0, 100000);
    sim_disk_free(node->disk);
    node->disk = sim_disk_copy(node->copies[which].disk, seed_of_copy(dice));
    ledger_disk_lost(world, node->number, node->copies[which].transactions);
    world->cover[COVER_ROLLBACKS]++;
    say(world, "%s: its disk is as it was %.0f s ago", node->name,
        (double)(world->now_us - node->copies[which].at_us) / 1e6);
}

/* ---- rights ---- */

static void revoke(struct world *world, struct node *node)
{
    char request[120], id[UUID_TEXT_SIZE];
    struct node *server = &world->nodes[0];
    if (!server->running || node->erased || node->number == 1)
        return;
    uuid_format(&node->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    ledger_revoked(world, node->number);
    if (hub_node_ask(server, request))
        world->cover[COVER_REVOKES]++;
}

static void rights(struct world *world, struct node *node, struct seeded_rng *dice)
{
    static const char *const roles[] = {"none", "rep", "rep", "manager", "admin"};
    char request[160];
    struct node *server = &world->nodes[0];
    if (!server->running || node->user == 0)
        return;
    switch (seeded_below(dice, 3)) {
    case 0:
        snprintf(request, sizeof request, "{\"do\":\"user-set\",\"login\":\"u%u\",\"role\":\"%s\"}",
                 node->user, roles[seeded_below(dice, 5)]);
        break;
    case 1:
        snprintf(request, sizeof request,
                 "{\"do\":\"user-set\",\"login\":\"u%u\",\"branch\":\"b%u\"}", node->user,
                 (unsigned)seeded_below(dice, world->ledger->branch_count));
        break;
    default:
        snprintf(request, sizeof request, "{\"do\":\"user-set\",\"login\":\"u%u\",\"active\":%s}",
                 node->user, seeded_below(dice, 3) ? "true" : "false");
        break;
    }
    say(world, "%s", request);
    oracle_scopes(world); /* what was sent until now was sent under the old rights */
    (void)hub_node_ask(server, request);
    oracle_people(world);
    world->cover[COVER_RIGHTS]++;
}

bool act_copy(struct world *world, struct node *node, const struct action *action,
              struct seeded_rng *dice)
{
    switch ((int)action->kind) {
    case ACTION_BACKUP: backup(node, dice); break;
    case ACTION_RESTORE: restore(node, dice); break;
    case ACTION_CLONE: clone(world, node, dice); break;
    case ACTION_SNAPSHOT:
        if (!node->erased)
            (void)keep_copy(node, dice);
        break;
    case ACTION_ROLLBACK: rollback(world, node, dice); break;
    case ACTION_REVOKE: revoke(world, node); break;
    case ACTION_RIGHTS: rights(world, node, dice); break;
    default: return false;
    }
    return true;
}
