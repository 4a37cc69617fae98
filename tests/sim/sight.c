#include "tests/sim/sight.h"

#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/lib/failing_alloc.h"
#include "tests/sim/seats.h"

enum { TABLE_ACCOUNT = 16, COLUMN_VISIBILITY = 15, COLUMN_BRANCH, COLUMN_OWNER, COLUMN_TEAM = 19 };

void sight_open(struct world *world)
{
    if (!world->plan->people)
        return;
    world->sight = calloc(1, sizeof *world->sight);
    if (!world->sight)
        abort();
}

void sight_close(struct world *world)
{
    for (int i = 0; world->sight && i < SIM_NODES_MAX; i++) {
        struct lookout *lookout = &world->sight->servers[i];
        for (uint32_t k = 0; k < lookout->capacity; k++)
            free(lookout->customers[k].steps);
        for (uint32_t k = 0; k < PEOPLE_MAX; k++)
            free(lookout->people[k].steps);
        free(lookout->customers);
    }
    free(world->sight);
    world->sight = NULL;
}

uint64_t sight_changes(const struct world *world)
{
    return world->sight ? world->sight->changes : 0;
}

/* ---- trails ---- */

static void *more(void *items, uint32_t *capacity, uint32_t wanted, size_t size)
{
    uint32_t before = *capacity;
    if (wanted < before)
        return items;
    *capacity = wanted < 16 ? 16 : wanted * 2;
    bool paused = failing_alloc_pause(true); /* the oracle's memory is not the device's */
    items = realloc(items, *capacity * size);
    (void)failing_alloc_pause(paused);
    if (!items)
        abort();
    memset((char *)items + before * size, 0, (*capacity - before) * size);
    return items;
}

/* Whether it is another one than the last. */
static bool go_on(struct trail *trail, const struct step *step)
{
    const struct step *last = trail->count ? &trail->steps[trail->count - 1] : NULL;
    if (last && last->bits == step->bits && last->own == step->own &&
        last->bucket == step->bucket && last->place.owner == step->place.owner)
        return false;
    trail->steps = more(trail->steps, &trail->capacity, trail->count, sizeof *trail->steps);
    trail->steps[trail->count++] = *step;
    return true;
}

/* ---- looking ---- */

struct looking {
    struct world *world;
    struct node *server;
    struct lookout *lookout;
    struct seats seats;
    uint64_t kept[64]; /* the bit of each of a branch's buckets */
    bool *seen;        /* of records */
    uint32_t next;     /* record that is likely */
    uint16_t table;
};

static uint32_t number_of_id(const struct uuid *ids, size_t stride, uint32_t count, struct bytes id)
{
    for (uint32_t i = 0; id.size == 16 && i < count; i++)
        if (memcmp((const char *)ids + i * stride, id.data, 16) == 0)
            return i;
    return NONE;
}

static uint8_t bucket_of(const struct place *place)
{
    switch (place->visibility) {
    case 'c': return 0;
    case 'b': return place->branch == NONE ? BUCKET_UNASSIGNED : (uint8_t)(1 + place->branch);
    case 'o':
        return place->owner == NONE ? BUCKET_UNASSIGNED : (uint8_t)(BUCKET_USER + place->owner);
    case 't': return place->team == NONE ? BUCKET_UNASSIGNED : (uint8_t)(BUCKET_TEAM + place->team);
    default: return BLIND;
    }
}

void sight_set_place(const struct world *world, struct place *place, uint32_t column_id,
                     struct bytes cell)
{
    const struct ledger *l = world->ledger;
    if (column_id == COLUMN_VISIBILITY)
        place->visibility = cell.size ? (char)cell.data[0] : 0;
    else if (column_id == COLUMN_BRANCH)
        place->branch = number_of_id(l->branches, sizeof *l->branches, l->branch_count, cell);
    else if (column_id == COLUMN_OWNER)
        place->owner = number_of_id(&l->people[0].id, sizeof l->people[0], l->person_count, cell);
    else if (column_id == COLUMN_TEAM)
        place->team = number_of_id(l->teams, sizeof *l->teams, l->team_count, cell);
}

static uint32_t record_of(struct looking *l, const uint8_t *id)
{
    const struct ledger *ledger = l->world->ledger;
    for (uint32_t i = 0; i < ledger->record_count; i++) {
        uint32_t at = (l->next + i) % ledger->record_count;
        if (ledger->records[at].table == l->table &&
            memcmp(ledger->records[at].id.byte, id, 16) == 0) {
            l->next = at + 1;
            return at;
        }
    }
    return NONE;
}

/* Users who see one of these buckets. */
static uint64_t readers_of(const struct looking *l, uint64_t buckets)
{
    uint64_t readers = 0;
    for (uint32_t b = 0; b < 64; b++)
        readers |= buckets >> b & 1 ? l->lookout->readers[b] : 0;
    return readers;
}

static struct trail *trail_of(struct lookout *lookout, uint32_t record)
{
    lookout->customers =
        more(lookout->customers, &lookout->capacity, record, sizeof *lookout->customers);
    return &lookout->customers[record];
}

/* bucket: where the row is kept. At a branch that is where it was when headquarters decided last, or where it is new:
 * until a move is decided, who saw the customer before goes on seeing it. */
static void take(struct looking *l, const uint8_t *id, const struct place *place, int64_t bucket)
{
    uint32_t record = record_of(l, id);
    if (record == NONE)
        return;
    struct step step = {.at_us = l->world->now_us,
                        .at_ms = l->seats.now_ms,
                        .place = *place,
                        .bucket = bucket_of(place)};
    step.bits = step.bucket == BLIND ? UINT64_MAX : l->lookout->readers[step.bucket];
    if (l->server->number > 0 && bucket > 0 && bucket < 64)
        step.bits |= readers_of(l, l->kept[bucket]);
    l->seen[record] = true;
    struct trail *trail = trail_of(l->lookout, record);
    uint8_t before = trail->count ? trail->steps[trail->count - 1].bucket : NOWHERE;
    if (go_on(trail, &step) && before < 64 && step.bucket < 64 && before != step.bucket &&
        l->server->number == 0)
        l->world->cover[COVER_MOVED]++;
}

static struct bytes cell(sqlite3_stmt *row, int column)
{
    return bytes_of(sqlite3_column_blob(row, column), (size_t)sqlite3_column_bytes(row, column));
}

/* The numbers of buckets at a branch are headquarters'. */
static void look_at_buckets(struct looking *l)
{
    sqlite3_stmt *row;
    if (l->server->number == 0 ||
        sqlite3_prepare_v2(store_sqlite_handle(l->server->store),
                           "SELECT k,v FROM satchel_bucket_key", -1, &row, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW) {
        const uint8_t *key = sqlite3_column_blob(row, 0);
        uint32_t number =
            sqlite3_column_bytes(row, 1) == 4 ? be32_get(sqlite3_column_blob(row, 1)) : 0;
        if (sqlite3_column_bytes(row, 0) == 17 && number < 64)
            l->kept[number] = oracle_bucket_bit(l->world->ledger, key[0], key + 1);
    }
    sqlite3_finalize(row);
}

static bool look_at_customers(struct looking *l)
{
    static const char sql[] =
        "SELECT id,visibility,branch,owner,team,NULL,_bucket FROM account UNION ALL"
        " SELECT id,0,0,0,0,content,bucket FROM satchel_dead WHERE table_id=16";
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(l->server->store), sql, -1, &row, NULL) != SQLITE_OK)
        return false;
    int result;
    while ((result = sqlite3_step(row)) == SQLITE_ROW) {
        struct place place = {0, NONE, NONE, NONE};
        bool dead = sqlite3_column_type(row, 5) != SQLITE_NULL;
        static const uint32_t columns[] = {COLUMN_VISIBILITY, COLUMN_BRANCH, COLUMN_OWNER,
                                           COLUMN_TEAM};
        for (int i = 0; i < 4; i++)
            sight_set_place(l->world, &place, columns[i],
                            dead ? rows_packed(cell(row, 5), columns[i]) : cell(row, 1 + i));
        take(l, sqlite3_column_blob(row, 0), &place, sqlite3_column_int64(row, 6));
    }
    sqlite3_finalize(row);
    return result == SQLITE_DONE;
}

/* What nobody can read just now may be anybody's to see. */
static void all_blind(struct looking *l)
{
    const struct step step = {.at_us = l->world->now_us,
                              .at_ms = l->seats.now_ms,
                              .bits = UINT64_MAX,
                              .own = UINT64_MAX,
                              .bucket = BLIND};
    for (uint32_t i = 0; i < l->lookout->capacity; i++)
        if (l->lookout->customers[i].count)
            (void)go_on(&l->lookout->customers[i], &step);
    for (uint32_t i = 0; i < l->world->ledger->person_count; i++)
        (void)go_on(&l->lookout->people[i], &step);
    l->lookout->life = UINT32_MAX;
}

static void look_at_people(struct looking *l)
{
    const struct ledger *ledger = l->world->ledger;
    l->lookout->until_ms = INT64_MAX;
    memset(l->lookout->readers, 0, sizeof l->lookout->readers);
    for (uint32_t i = 0; i < ledger->person_count; i++) {
        const struct step step = {.at_us = l->world->now_us,
                                  .at_ms = l->seats.now_ms,
                                  .bits = seats_scope(ledger, &l->seats, i),
                                  .own = seats_own(&l->seats, i)};
        if (go_on(&l->lookout->people[i], &step) && l->server->number == 0)
            l->world->sight->changes++;
        for (uint32_t b = 0; b < 64; b++)
            l->lookout->readers[b] |= (step.bits >> b & 1) << i;
        int64_t ends_ms = seats_replaced(&l->seats, i) ? l->seats.people[i].until_ms : 0;
        if (ends_ms && ends_ms < l->lookout->until_ms)
            l->lookout->until_ms = ends_ms;
        l->world->cover[COVER_LAPSES] += l->server->number == 0 && l->lookout->ends_ms[i] &&
                                         !ends_ms && l->lookout->ends_ms[i] <= l->seats.now_ms;
        l->lookout->ends_ms[i] = ends_ms;
    }
}

/* Purged, or lost with a restore. What is written to it afterwards is told where it was last (SPEC.md 13.4). */
static void go_nowhere(struct looking *l, struct trail *trail)
{
    uint32_t last = trail->count;
    while (last > 0 && trail->steps[last - 1].bucket >= 64)
        last--;
    const struct step gone = {.at_us = l->world->now_us,
                              .at_ms = l->seats.now_ms,
                              .bits =
                                  l->lookout->readers[BUCKET_UNASSIGNED] | /* administrators */
                                  (last ? l->lookout->readers[trail->steps[last - 1].bucket] : 0),
                              .bucket = NOWHERE};
    (void)go_on(trail, &gone);
}

static void look(struct looking *l)
{
    const struct ledger *ledger = l->world->ledger;
    look_at_people(l);
    l->table = model_table_by_id(l->world->model, TABLE_ACCOUNT)->index;
    l->seen = calloc(ledger->record_count + 1u, 1);
    if (!l->seen)
        abort();
    look_at_buckets(l);
    if (!look_at_customers(l)) {
        all_blind(l);
    } else {
        for (uint32_t i = 0; i < l->lookout->capacity && i < ledger->record_count; i++)
            if (!l->seen[i] && l->lookout->customers[i].count)
                go_nowhere(l, &l->lookout->customers[i]);
    }
    free(l->seen);
}

void sight_look(struct node *server)
{
    struct world *world = server->world;
    if (!world->sight || !server->running || !server->serves || world->ledger->person_count == 0)
        return;
    struct looking l = {
        .world = world, .server = server, .lookout = &world->sight->servers[server->number]};
    sqlite3 *db = store_sqlite_handle(server->store);
    sqlite3_int64 changes = sqlite3_total_changes64(db);
    l.seats.now_ms = node_hub_now(server).wall.ms;
    if (l.lookout->life == server->life + 1 && l.lookout->changes == changes &&
        l.seats.now_ms < l.lookout->until_ms)
        return;
    bool paused = failing_alloc_pause(true);
    l.lookout->life = server->life + 1;
    l.lookout->changes = changes;
    if (seats_read(server, server->number == 0, &l.seats))
        look(&l);
    else
        all_blind(&l);
    (void)failing_alloc_pause(paused);
}

/* ---- within a turn ---- */

struct place sight_place_before(const struct world *world, uint32_t record)
{
    const struct lookout *hq = &world->sight->servers[0];
    const struct trail *trail = record < hq->capacity ? &hq->customers[record] : NULL;
    for (uint32_t i = trail ? trail->count : 0; i > 0; i--)
        if (trail->steps[i - 1].at_us < world->now_us && trail->steps[i - 1].bucket < 64)
            return trail->steps[i - 1].place;
    return (struct place){0, NONE, NONE, NONE};
}

void sight_moment(struct world *world, uint32_t record, const struct place *place)
{
    struct lookout *hq = &world->sight->servers[0];
    struct trail *trail = trail_of(hq, record);
    struct step last = {.bucket = NOWHERE}, step;
    if (trail->count)
        last = trail->steps[trail->count - 1];
    step = last;
    step.at_us = last.at_us = world->now_us;
    step.at_ms = last.at_ms = node_hub_now(&world->nodes[0]).wall.ms;
    step.place = *place;
    step.bucket = bucket_of(place);
    step.bits = step.bucket < 64 ? hq->readers[step.bucket] : UINT64_MAX;
    if (go_on(trail, &step))
        (void)go_on(trail, &last);
}

/* ---- the wire ---- */

static bool could_see(const struct lookout *lookout, uint32_t record, uint32_t user,
                      int64_t since_us)
{
    const struct trail *trail = record < lookout->capacity ? &lookout->customers[record] : NULL;
    for (uint32_t i = trail ? trail->count : 0; i > 0; i--) {
        if (trail->steps[i - 1].bits >> user & 1)
            return true;
        if (trail->steps[i - 1].at_us < since_us)
            break;
    }
    return false;
}

struct wire {
    struct node *server;
    const struct node *device;
    const char *type;
};

void sight_tell(struct world *world, uint32_t server, uint32_t record, uint32_t user)
{
    const struct lookout *lookout = &world->sight->servers[server];
    const struct trail *rights = &lookout->people[user];
    for (uint32_t i = 0; i < rights->count; i++)
        say(world, "  from %.6f s u%u sees %016llx", (double)rights->steps[i].at_us / 1e6, user,
            (unsigned long long)rights->steps[i].bits);
    const struct trail *trail = record < lookout->capacity ? &lookout->customers[record] : NULL;
    for (uint32_t i = 0; trail && i < trail->count; i++)
        say(world, "  from %.6f s on account %u is in %u, of u%d: u%u %s",
            (double)trail->steps[i].at_us / 1e6, record, trail->steps[i].bucket,
            (int)trail->steps[i].place.owner, user,
            trail->steps[i].bits >> user & 1 ? "sees it" : "does not see it");
}

static void check_text(struct wire *w, uint32_t number, uint32_t customer)
{
    struct world *world = w->server->world;
    const struct tx *tx = &world->ledger->txs[number];
    const struct sight *sight = world->sight;
    uint32_t user = w->device->user;
    int64_t since_us = tx->reached_us == INT64_MAX ? tx->at_us : tx->reached_us;
    const struct trail *rights = &sight->servers[0].people[user];
    if (rights->count && rights->steps[rights->count - 1].bits == UINT64_MAX)
        return; /* an administrator, also of what is nobody's */
    bool may = w->server->number == 0
                   ? could_see(&sight->servers[0], customer, user, since_us)
                   : could_see(&sight->servers[w->server->number], customer, user, tx->at_us) ||
                         could_see(&sight->servers[0], customer, user, tx->at_us);
    char id[UUID_TEXT_SIZE];
    if (may || world->failed)
        return;
    uuid_format(&world->ledger->records[customer].id, id);
    sight_tell(world, w->server->number, customer, user);
    broken(world, "nothing out of scope",
           "%s sends %s in a %s what transaction %u wrote of account %s (%u), which user u%u could "
           "not see "
           "since",
           w->server->name, w->device->name, w->type, number, id, customer, user);
}

static uint32_t customer_of(const struct ledger *l, uint32_t record)
{
    if (l->records[record].parent != NONE)
        record = l->records[record].parent;
    return record;
}

static void on_the_wire(void *context, uint32_t tx, uint32_t op)
{
    struct wire *w = context;
    const struct world *world = w->server->world;
    const struct ledger *l = world->ledger;
    if (tx >= l->tx_count || op == NONE || op >= l->txs[tx].op_count)
        return;
    uint32_t record = customer_of(l, l->ops[l->txs[tx].first_op + op].record);
    if (world->model->tables[l->records[record].table].id == TABLE_ACCOUNT)
        check_text(w, tx, record);
}

/* Pieces of attachments: "@@r5@@#p12.3 ", again and again (photos.c). */
static void check_pieces(struct wire *w, struct bytes text)
{
    const struct ledger *l = w->server->world->ledger;
    unsigned record, tx, last = NONE;
    for (size_t i = 0; i + 8 < text.size; i++) {
        const uint8_t *at = memchr(text.data + i, '@', text.size - i);
        char piece[40];
        if (!at)
            return;
        i = (size_t)(at - text.data);
        size_t size = text.size - i < sizeof piece ? text.size - i : sizeof piece;
        snprintf(piece, sizeof piece, "%.*s", (int)size, (const char *)at);
        if (sscanf(piece, "@@r%u@@#p%u.", &record, &tx) != 2 || record >= l->record_count ||
            tx >= l->tx_count || record == last)
            continue;
        check_text(w, tx, record);
        last = record;
    }
}

void sight_wire(struct node *server, struct link *link, const char *type, struct bytes payload)
{
    struct wire w = {server, &server->world->nodes[link->ends[LOWER]], type};
    tokens_each(payload, on_the_wire, &w);
    check_pieces(&w, payload);
}

/* ---- hand-overs ---- */

void sight_hands_over(struct world *world, uint32_t tx, uint32_t from)
{
    struct sight *sight = world->sight;
    if (sight->handover_count < HANDOVERS_MOST)
        sight->handovers[sight->handover_count++] = (struct handover){.tx = tx, .from = from};
}

void sight_handed(struct world *world, uint32_t tx, uint32_t record)
{
    struct sight *sight = world->sight;
    struct handover *h =
        sight->handover_count ? &sight->handovers[sight->handover_count - 1] : NULL;
    if (h && h->tx == tx && h->count < HANDED_MOST)
        h->records[h->count++] = record;
}

/* Somebody else has given it to that one. */
static bool given_by_others(const struct ledger *l, const struct handover *h, uint32_t record,
                            uint16_t owner_column)
{
    for (uint32_t i = 0; i < l->op_count; i++)
        if (l->ops[i].record == record && l->ops[i].tx != h->tx && l->ops[i].kind == OP_NUMBER &&
            l->ops[i].column == owner_column && l->ops[i].number == h->from)
            return true;
    return false;
}

static bool shows_journal(sqlite3 *db, uint32_t tx)
{
    char text[32];
    sqlite3_stmt *row;
    size_t size = ledger_journal(tx, text);
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM journal WHERE text=? AND _position>0", -1, &row,
                           NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_text(row, 1, text, (int)size, SQLITE_STATIC);
    bool shown = sqlite3_step(row) == SQLITE_ROW;
    sqlite3_finalize(row);
    return shown;
}

/* What is not there, or somebody else's, is well. */
static bool is_still_of(sqlite3 *db, const struct uuid *record, const struct uuid *owner)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM account WHERE id=? AND owner=?", -1, &row, NULL) !=
        SQLITE_OK)
        return false;
    sqlite3_bind_blob(row, 1, record->byte, 16, SQLITE_STATIC);
    sqlite3_bind_blob(row, 2, owner->byte, 16, SQLITE_STATIC);
    bool still = sqlite3_step(row) == SQLITE_ROW;
    sqlite3_finalize(row);
    return still;
}

void sight_changed(struct node *node)
{
    struct world *world = node->world;
    const struct ledger *l = world->ledger;
    if (!world->sight || !node->running ||
        (node->replica && replica_pending_count(node->replica) > 0)) /* of others, by parts */
        return;
    sqlite3 *db = store_sqlite_handle(node->store);
    const struct model_table *table = model_table_by_id(world->model, TABLE_ACCOUNT);
    for (uint32_t i = 0; i < world->sight->handover_count && !world->failed; i++) {
        const struct handover *h = &world->sight->handovers[i];
        if (!shows_journal(db, h->tx))
            continue;
        for (uint32_t k = 0; k < h->count; k++)
            if (is_still_of(db, &l->records[h->records[k]].id, &l->people[h->from].id) &&
                !given_by_others(l, h, h->records[k], (uint16_t)table->owner_column))
                broken(
                    world, "no half group",
                    "%s shows that transaction %u has handed over what u%u owned, and account %u "
                    "as still theirs",
                    node->name, h->tx, h->from, h->records[k]);
    }
}
