#include "tests/sim/history.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/frame.h"
#include "protocol/group.h"
#include "tests/sim/oracle.h"

enum { RECEIPT_SIZE = 22 };

static const char receipts_sql[] = "SELECT k,v FROM satchel_receipt WHERE k>=? ORDER BY k LIMIT 1";
static const char waiting_sql[] = "SELECT 1 FROM satchel_waiting WHERE k=?";

static struct history *history_of(struct world *world)
{
    if (!world->history) {
        world->history = calloc(1, sizeof *world->history);
        if (!world->history || inflater_new(&world->history->inflater) != ERR_OK)
            abort();
    }
    return world->history;
}

void history_free(struct world *world)
{
    struct history *h = world->history;
    if (!h)
        return;
    for (uint32_t i = 0; i < h->count; i++)
        free((void *)(uintptr_t)h->items[i].raw.data);
    free(h->items);
    inflater_free(h->inflater);
    free(h);
    world->history = NULL;
}

/* ---- arrivals ---- */

static struct told *find_told(struct history *h, uint64_t origin, uint64_t oseq,
                              const uint8_t hash[16])
{
    for (uint32_t i = h->count; i > 0; i--) {
        struct told *told = &h->items[i - 1];
        if (told->oseq == oseq && told->origin == origin && memcmp(told->hash, hash, 16) == 0)
            return told;
    }
    return NULL;
}

static struct told *add_told(struct history *h, struct bytes raw)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity ? h->capacity * 2 : 256;
        h->items = realloc(h->items, h->capacity * sizeof *h->items);
    }
    uint8_t *copy = malloc(raw.size + 1);
    if (!h->items || !copy)
        abort();
    memcpy(copy, raw.data, raw.size);
    struct told *told = &h->items[h->count++];
    *told = (struct told){.raw = bytes_of(copy, raw.size)};
    return told;
}

static void take_group(struct world *world, uint16_t user, const struct message_push *push,
                       uint32_t which, bool good)
{
    uint64_t origin = push->origin, oseq = push->first + which;
    struct bytes raw = push->groups[which];
    struct history *h = history_of(world);
    uint8_t hash[32];
    struct group head;
    if (crypto_sha256(world->kit->crypto, raw, hash) != ERR_OK)
        abort();
    struct told *told = find_told(h, origin, oseq, hash);
    if (told) {
        told->arrived_again |= told->turn == 0;
    } else {
        told = add_told(h, raw);
        told->origin = origin;
        told->oseq = oseq;
        memcpy(told->hash, hash, 16);
        if (group_peek(raw, &head) == ERR_OK) {
            told->tag = head.dot.tag;
            told->renamed = head.renamed;
        }
    }
    if (told->turn != 0)
        return;
    told->number = ++h->arrivals;
    told->user = user;
    told->badly_signed = !good;
}

/* Whether the run is signed by the key of the device that sends it. */
static bool signed_well(const struct node *device, const struct message_push *push)
{
    static const char label[] = "satchel-run-v1";
    struct crypto *crypto = device->world->kit->crypto;
    uint8_t text[sizeof label - 1 + 24 + 32], key[32];
    struct buf hashes;
    buf_init(&hashes, 1 << 20);
    for (uint32_t i = 0; i < push->groups_count; i++) {
        uint8_t hash[32];
        if (crypto_sha256(crypto, push->groups[i], hash) != ERR_OK ||
            buf_append(&hashes, hash, 32) != ERR_OK)
            abort();
    }
    memcpy(text, label, sizeof label - 1);
    be64_put(text + sizeof label - 1, push->origin);
    be64_put(text + sizeof label + 7, push->first);
    be64_put(text + sizeof label + 15, push->groups_count);
    bool good = crypto_sha256(crypto, buf_view(&hashes), text + sizeof label + 23) == ERR_OK &&
                crypto_ed25519_public(crypto, device->identity.seed, key) == ERR_OK &&
                push->signature.size == 64 &&
                crypto_ed25519_verify(crypto, key, bytes_of(text, sizeof text),
                                      push->signature.data) == ERR_OK;
    buf_done(&hashes);
    return good;
}

static void note_clock(struct history *h, const struct node *node)
{
    int64_t now_ms = node_hub_now(node).wall.ms;
    if (now_ms > h->latest_ms)
        h->latest_ms = now_ms;
}

/* 0: of none. */
static uint16_t node_of_device(const struct world *world, const struct uuid *device)
{
    for (uint16_t i = 1; i < world->node_count; i++)
        if (uuid_equal(&world->nodes[i].identity.device, device))
            return i;
    return 0;
}

void history_reached(struct node *node, struct link *link, struct bytes frame)
{
    struct world *world = node->world;
    struct history *h = history_of(world);
    note_clock(h, node); /* a branch's as well: it says when a run has come to it */
    if (frame.size == 0 || (frame.data[0] != MESSAGE_PUSH && frame.data[0] != MESSAGE_RELAY))
        return;
    link->asked += frame.data[0] == MESSAGE_PUSH;
    if (node->number > 0)
        return; /* a branch decides nothing */
    struct arena arena;
    struct buf inflated;
    struct message message;
    arena_init(&arena, 64 << 20);
    buf_init(&inflated, FRAME_INFLATED_MAX);
    if (frame_decode(frame, true, h->inflater, &inflated, &arena, &message) != ERR_OK) {
        /* garbage */
    } else if (message.type == MESSAGE_RELAY) {
        link->relayed = node_of_device(world, &message.as.relay.device);
    } else {
        const struct node *device = &world->nodes[link->ends[LOWER]];
        if (device->serves && link->relayed) {
            device = &world->nodes[link->relayed];
            world->cover[COVER_RELAYED] += message.as.push.groups_count;
        }
        bool good = signed_well(device, &message.as.push);
        for (uint32_t i = 0; i < message.as.push.groups_count; i++)
            take_group(world, device->user, &message.as.push, i, good);
    }
    buf_done(&inflated);
    arena_done(&arena);
}

/* ---- decisions ---- */

/* The receipt of a number: (origin, last) -> first, then for each tag, code, reason, hash.
 * ret_unread: the disk fails just now. */
static bool look_up(sqlite3_stmt *query, struct told *told, bool *ret_other, bool *ret_unread)
{
    uint8_t key[16];
    be64_put(key, told->origin);
    be64_put(key + 8, told->oseq);
    sqlite3_reset(query);
    sqlite3_bind_blob(query, 1, key, sizeof key, SQLITE_TRANSIENT);
    *ret_other = false;
    int result = sqlite3_step(query);
    *ret_unread = result != SQLITE_ROW && result != SQLITE_DONE;
    if (result != SQLITE_ROW)
        return false;
    const uint8_t *found = sqlite3_column_blob(query, 0), *value = sqlite3_column_blob(query, 1);
    size_t size = (size_t)sqlite3_column_bytes(query, 1);
    uint64_t first = be64_get(value);
    if (be64_get(found) != told->origin || told->oseq < first ||
        (told->oseq - first + 1) * RECEIPT_SIZE + 8 > size)
        return false;
    const uint8_t *receipt = value + 8 + (told->oseq - first) * RECEIPT_SIZE;
    *ret_other = memcmp(receipt + 6, told->hash, 16) != 0;
    if (*ret_other)
        return false;
    told->code = receipt[4];
    told->reason = receipt[5];
    return true;
}

static bool is_waiting(sqlite3_stmt *query, const struct told *told)
{
    uint8_t key[16];
    be64_put(key, told->origin);
    be64_put(key + 8, told->oseq);
    sqlite3_reset(query);
    sqlite3_bind_blob(query, 1, key, sizeof key, SQLITE_TRANSIENT);
    return sqlite3_step(query) == SQLITE_ROW;
}

/* all: also those that are decided already, whose code may have changed, or which may be so no more. */
static void look(struct node *node, bool all, bool vague)
{
    struct history *h = history_of(node->world);
    sqlite3 *db = store_sqlite_handle(node->store);
    sqlite3_stmt *receipts = NULL, *waiting = NULL;
    bool any = all;
    for (uint32_t i = 0; i < h->count && !any; i++)
        any = h->items[i].turn == 0 && !h->items[i].passed;
    h->turns++;
    if (!any)
        return;
    (void)sqlite3_prepare_v2(db, receipts_sql, -1, &receipts, NULL);
    (void)sqlite3_prepare_v2(db, waiting_sql, -1, &waiting, NULL);
    for (uint32_t i = 0; i < h->count && receipts && waiting; i++) {
        struct told *told = &h->items[i];
        bool other, unread;
        if (!all && (told->turn || told->passed))
            continue;
        bool decided = look_up(receipts, told, &other, &unread);
        told->unread |= unread && told->turn == 0;
        if (unread)
            continue;
        told->passed = other;
        if (decided && told->turn == 0) {
            const struct person *person = &node->world->ledger->people[told->user];
            static const char *const codes[] = {"?",      "applied",  "merged",
                                                "parked", "rejected", "discarded"};
            say(node->world, "hq: group %016llx/%llu: %s", (unsigned long long)told->origin,
                (unsigned long long)told->oseq,
                codes[told->code <= RESULT_DISCARDED ? told->code : 0]);
            told->turn = h->turns;
            told->decided_ms = node_hub_now(node).wall.ms;
            told->at_us = node->world->now_us;
            told->life = node->life;
            told->scope = person->scope;
            told->boss = person->all || person->manager;
            told->vague = vague || told->arrived_again || told->waited || told->unread;
        } else if (!decided) {
            bool waits = !other && is_waiting(waiting, told);
            if (waits && !told->waited)
                say(node->world, "hq: group %016llx/%llu waits", (unsigned long long)told->origin,
                    (unsigned long long)told->oseq);
            told->turn = 0;
            told->waited |= waits;
        }
    }
    sqlite3_finalize(receipts);
    sqlite3_finalize(waiting);
}

bool history_lacks(struct node *node, const struct told *told)
{
    sqlite3 *db = store_sqlite_handle(node->store);
    sqlite3_stmt *receipts = NULL, *waiting = NULL;
    struct told copy = *told;
    bool other = false, unread = true, lacks = false;
    (void)sqlite3_prepare_v2(db, receipts_sql, -1, &receipts, NULL);
    (void)sqlite3_prepare_v2(db, waiting_sql, -1, &waiting, NULL);
    if (receipts && waiting && !look_up(receipts, &copy, &other, &unread) && !other && !unread) {
        lacks = !is_waiting(waiting, told);
        lacks = lacks && sqlite3_errcode(db) == SQLITE_DONE;
    }
    sqlite3_finalize(receipts);
    sqlite3_finalize(waiting);
    return lacks;
}

void history_turned(struct node *node)
{
    note_clock(history_of(node->world), node);
    if (node->running)
        look(node, false, false);
}

void history_started(struct node *node)
{
    look(node, true, true);
}

const struct told *history_find(const struct history *h, const struct dot *dot)
{
    for (uint32_t i = 0; h && i < h->count; i++) {
        const struct told *told = &h->items[i];
        if (told->oseq == dot->oseq && told->origin == dot->origin && told->tag == dot->tag &&
            !told->passed)
            return told;
    }
    return NULL;
}
