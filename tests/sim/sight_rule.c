/* sight_rule.c - who may write what where customers change hands: judged by the trails of headquarters (sight.h). */
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/group.h"
#include "tests/sim/history.h"
#include "tests/sim/purges.h"
#include "tests/sim/sight.h"

enum { TABLE_ACCOUNT = 16, MARGIN_MS = 600000 };
static const int64_t LEASE_MS = (int64_t)14 * 24 * 3600 * 1000;

/* ---- what was so when a group was decided ---- */

/* Within its turn: from the last step before it to the last that it made. */
struct range {
    const struct trail *trail;
    uint32_t first, last;
    bool known;
};

static struct range at_turn(const struct trail *trail, int64_t at_us)
{
    struct range r = {.trail = trail};
    for (uint32_t i = 0; trail && i < trail->count && trail->steps[i].at_us <= at_us; i++) {
        if (trail->steps[i].at_us < at_us)
            r.first = i;
        r.last = i;
        r.known = true;
    }
    return r;
}

static const struct trail *customer_trail(const struct world *world, uint32_t record)
{
    const struct lookout *hq = &world->sight->servers[0];
    return record < hq->capacity && hq->customers[record].count ? &hq->customers[record] : NULL;
}

static bool is_in(uint64_t scope, uint8_t bucket)
{
    return bucket < 64 ? scope >> bucket & 1 : bucket == BLIND;
}

struct cover_of { /* of a customer by a person, around a turn */
    bool known;   /* it was there */
    bool any, all;
    bool lately; /* may be by a lease */
    bool leased; /* must be by a lease */
};

/* When it was over, by the server's clock, which may have jumped since. */
static int64_t end_ms(const struct range *range, uint32_t step)
{
    return step < range->last ? range->trail->steps[step + 1].at_ms : INT64_MAX;
}

static bool had_lately(const struct range *person, uint8_t bucket, int64_t since_ms)
{
    bool of_people = bucket >= BUCKET_TEAM && bucket != BUCKET_UNASSIGNED;
    for (uint32_t i = 0; of_people && i <= person->last; i++)
        if (end_ms(person, i) >= since_ms && is_in(person->trail->steps[i].own, bucket))
            return true;
    return bucket == BLIND;
}

static void look_at_lease(const struct world *world, const struct range *where,
                          const struct range *person, int64_t now_ms, struct cover_of *ret)
{
    int64_t horizon_ms = purges_retention(world).horizon_ms;
    int64_t surely_ms = horizon_ms >= 0 && horizon_ms < LEASE_MS ? horizon_ms : LEASE_MS;
    for (uint32_t i = 0; i <= where->last; i++) {
        const struct step *step = &where->trail->steps[i];
        int64_t end = end_ms(where, i);
        bool now = false, always = true;
        if (end < now_ms - LEASE_MS)
            continue;
        for (uint32_t k = person->first; k <= person->last; k++) {
            now |= is_in(person->trail->steps[k].bits, step->bucket);
            always = always && is_in(person->trail->steps[k].bits, step->bucket);
        }
        ret->lately |= now || had_lately(person, step->bucket, now_ms - LEASE_MS);
        ret->leased |= always && step->bucket < 64 && i < where->first &&
                       end > now_ms - surely_ms + MARGIN_MS && end <= now_ms;
    }
}

static struct cover_of covers(const struct world *world, const struct told *told, uint32_t record)
{
    const struct range where = at_turn(customer_trail(world, record), told->at_us);
    const struct range person = at_turn(&world->sight->servers[0].people[told->user], told->at_us);
    struct cover_of c = {.all = true};
    for (uint32_t i = where.first; where.known && person.known && i <= where.last; i++)
        for (uint32_t k = person.first; k <= person.last; k++) {
            uint8_t bucket = where.trail->steps[i].bucket;
            if (bucket == NOWHERE)
                continue;
            bool in = is_in(person.trail->steps[k].bits, bucket);
            c.known = true;
            c.any |= in;
            c.all = c.all && in;
        }
    if (c.known)
        look_at_lease(world, &where, &person, told->decided_ms, &c);
    return c;
}

/* ---- groups ---- */

/* The customer of a record that the group writes to; NONE: it is nobody's. */
static uint32_t customer_of(const struct world *world, const struct mutation *mutation)
{
    const struct ledger *l = world->ledger;
    for (uint32_t i = 0; i < l->record_count; i++)
        if (l->records[i].table == mutation->table->index &&
            uuid_equal(&l->records[i].id, &mutation->id))
            return l->records[i].parent != NONE ? l->records[i].parent
                   : world->model->tables[l->records[i].table].id == TABLE_ACCOUNT ? i
                                                                                   : NONE;
    return NONE;
}

static bool routes(const struct mutation *mutation)
{
    const struct model_table *table = mutation->table;
    if (table->id != TABLE_ACCOUNT || mutation->op != MUTATION_UPDATE)
        return false;
    for (uint16_t i = 0; i < mutation->write_count; i++) {
        int column = mutation->writes[i].unit->columns[0];
        if (column == table->visibility_column || column == table->branch_column ||
            column == table->owner_column || column == table->team_column)
            return true;
    }
    return false;
}

static bool holds(struct bytes text, const struct uuid *id)
{
    for (size_t i = 0; i + 16 <= text.size; i++)
        if (memcmp(text.data + i, id->byte, 16) == 0)
            return true;
    return false;
}

/* Another group of the same turn has to do with the record. */
static bool disputed(const struct history *h, const struct told *told, const struct uuid *id)
{
    for (uint32_t i = 0; i < h->count; i++)
        if (&h->items[i] != told && h->items[i].turn == told->turn && holds(h->items[i].raw, id))
            return true;
    return false;
}

/* Who routes a customer owns it, stands in for who does (and sees what is that person's), or manages. */
static void check_router(struct world *world, const struct told *told,
                         const struct mutation *mutation, uint32_t record)
{
    const struct range where = at_turn(customer_trail(world, record), told->at_us);
    const struct range person = at_turn(&world->sight->servers[0].people[told->user], told->at_us);
    if (!where.known || !person.known || told->boss || where.first == where.last ||
        disputed(world->history, told, &mutation->id))
        return;
    const struct step *from = &where.trail->steps[where.first],
                      *to = &where.trail->steps[where.last];
    if (from->bucket >= 64 || to->bucket >= 64 || from->bucket == to->bucket ||
        from->place.owner == told->user)
        return;
    for (uint32_t k = person.first; from->place.owner != NONE && k <= person.last; k++)
        if (is_in(person.trail->steps[k].bits, (uint8_t)(BUCKET_USER + from->place.owner)))
            return;
    for (uint32_t k = person.first; k <= person.last; k++)
        if (person.trail->steps[k].bits == UINT64_MAX)
            return;
    broken(world, "rights",
           "group %016llx/%llu of u%u lets account %u go from bucket %u to %u, and is in effect",
           (unsigned long long)told->origin, (unsigned long long)told->oseq, told->user, record,
           from->bucket, to->bucket);
}

static void check_effect(struct world *world, const struct told *told, const struct group *group)
{
    bool former = false;
    for (uint32_t m = 0; m < group->mutation_count && !world->failed; m++) {
        const struct mutation *mutation = &group->mutations[m];
        uint32_t record = customer_of(world, mutation);
        if (mutation->table->write_role > ROLE_REP && !told->boss)
            broken(world, "rights", "group %016llx/%llu of u%u is in effect, and writes a %s",
                   (unsigned long long)told->origin, (unsigned long long)told->oseq, told->user,
                   mutation->table->name);
        if (record == NONE)
            continue;
        const struct cover_of c = covers(world, told, record);
        former |= c.known && !c.any;
        if (c.known && !c.any && !c.lately && !disputed(world->history, told, &mutation->id)) {
            sight_tell(world, 0, record, told->user);
            broken(
                world, "rights",
                "group %016llx/%llu of u%u is in effect, and writes a %s of account %u, which was "
                "out of its scope for a fortnight",
                (unsigned long long)told->origin, (unsigned long long)told->oseq, told->user,
                mutation->table->name, record);
        }
        if (routes(mutation))
            check_router(world, told, mutation, record);
    }
    world->cover[COVER_FORMER] += former;
}

static bool is_out(const struct world *world, uint16_t user)
{
    const struct person *person = &world->ledger->people[user];
    for (uint32_t i = 0; i < world->node_count; i++)
        if (world->nodes[i].user == user && world->ledger->revoked[i])
            return true;
    return !person->may_write;
}

/* A group is set aside for its scope: something in it has to be out of it. */
static void check_refusal(struct world *world, const struct told *told, const struct group *group)
{
    for (uint32_t m = 0; m < group->mutation_count; m++) {
        const struct mutation *mutation = &group->mutations[m];
        uint32_t record = customer_of(world, mutation);
        if (mutation->table->bucket_rule == BUCKET_COMPANY)
            continue;
        if (record == NONE || routes(mutation) ||
            (mutation->table->id == TABLE_ACCOUNT && mutation->op == MUTATION_INSERT))
            return; /* where it is to go is not looked at here */
        const struct cover_of c = covers(world, told, record);
        bool leased = c.leased && world->cover[COVER_RESTORES] == 0;
        if (!c.known || (!c.all && !leased) || disputed(world->history, told, &mutation->id))
            return;
    }
    if (!is_out(world, told->user))
        broken(world, "refusals have a reason",
               "group %016llx/%llu of u%u was set aside as out of scope, and nothing in it is",
               (unsigned long long)told->origin, (unsigned long long)told->oseq, told->user);
}

static void check_groups(struct world *world)
{
    const struct history *h = world->history;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    for (uint32_t i = 0; h && i < h->count && !world->failed; i++) {
        const struct told *told = &h->items[i];
        struct group group;
        arena_reset(&arena);
        if (told->turn == 0 || told->vague ||
            group_decode(world->model, told->raw, &arena, &group, NULL) != ERR_OK ||
            !dot_is_none(&group.renamed))
            continue;
        if (told->code == RESULT_APPLIED || told->code == RESULT_MERGED)
            check_effect(world, told, &group);
        else if (told->code == RESULT_PARKED && told->reason == REASON_SCOPE)
            check_refusal(world, told, &group);
    }
    arena_done(&arena);
}

/* ---- where customers were between two groups of a turn ---- */

enum { MOMENTS_MOST = 512 };

struct moments {
    uint32_t records[MOMENTS_MOST], count;
    struct place places[MOMENTS_MOST];
};

static void note_moment(struct world *world, struct moments *moments,
                        const struct mutation *mutation)
{
    uint32_t record = customer_of(world, mutation), at = 0;
    if (mutation->table->id != TABLE_ACCOUNT || record == NONE ||
        (mutation->op != MUTATION_INSERT && !routes(mutation)))
        return;
    while (at < moments->count && moments->records[at] != record)
        at++;
    if (at == MOMENTS_MOST)
        return;
    struct place *place = &moments->places[at];
    if (at == moments->count) {
        moments->records[moments->count++] = record;
        *place = sight_place_before(world, record);
    }
    if (mutation->op == MUTATION_INSERT)
        *place = (struct place){'c', NONE, NONE, NONE};
    for (uint16_t i = 0; i < mutation->write_count; i++) {
        const struct unit_write *write = &mutation->writes[i];
        const struct value *value = write->values;
        bool bytes = value && (value->kind == VALUE_TEXT || value->kind == VALUE_BLOB);
        sight_set_place(world, place, mutation->table->columns[write->unit->columns[0]].id,
                        bytes ? value->as.bytes : bytes_of(NULL, 0));
    }
    sight_moment(world, record, place);
}

/* ---- a move is whole ---- */

static bool shows(sqlite3 *db, const struct mutation *mutation, const struct unit_write *write)
{
    const struct model_table *table = mutation->table;
    const struct value *value = &write->values[0];
    char sql[200];
    sqlite3_stmt *row;
    snprintf(sql, sizeof sql, "SELECT \"%s\" FROM \"%s\" WHERE id=?",
             table->columns[write->unit->columns[0]].name, table->name);
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        return true;
    sqlite3_bind_blob(row, 1, mutation->id.byte, 16, SQLITE_STATIC);
    bool same = true;
    if (sqlite3_step(row) == SQLITE_ROW) {
        struct bytes shown =
            bytes_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
        same = value->kind == VALUE_NULL ? sqlite3_column_type(row, 0) == SQLITE_NULL
                                         : bytes_equal(shown, value->as.bytes);
    }
    sqlite3_finalize(row);
    return same;
}

static void check_move(struct world *world, const struct told *told, const struct group *group)
{
    sqlite3 *db = store_sqlite_handle(world->nodes[0].store);
    for (uint32_t m = 0; m < group->mutation_count && !world->failed; m++) {
        const struct mutation *mutation = &group->mutations[m];
        if (!routes(mutation) || disputed(world->history, told, &mutation->id))
            continue;
        world->cover[COVER_WHOLE_MOVES]++;
        for (uint16_t i = 0; i < mutation->write_count; i++) {
            const struct unit_write *write = &mutation->writes[i];
            if (write->values && write->unit->policy == MERGE_UPSTREAM &&
                mutation->table->columns[write->unit->columns[0]].type != COLUMN_INTEGER &&
                !shows(db, mutation, write))
                broken(world, "a move is whole",
                       "group %016llx/%llu is in effect, and an account does not have the %s that "
                       "it gives it",
                       (unsigned long long)told->origin, (unsigned long long)told->oseq,
                       write->unit->name);
        }
    }
}

void sight_turned(struct world *world)
{
    const struct history *h = world->history;
    struct arena arena;
    if (!world->sight || !h || !world->nodes[0].running)
        return;
    struct moments *moments = calloc(1, sizeof *moments);
    if (!moments)
        abort();
    sight_changed(&world->nodes[0]);
    arena_init(&arena, 64 << 20);
    for (uint32_t i = 0; i < h->count && !world->failed; i++) {
        const struct told *told = &h->items[i];
        struct group group;
        arena_reset(&arena);
        if (told->turn != h->turns ||
            (told->code != RESULT_APPLIED && told->code != RESULT_MERGED) ||
            group_decode(world->model, told->raw, &arena, &group, NULL) != ERR_OK)
            continue;
        for (uint32_t m = 0; m < group.mutation_count; m++)
            note_moment(world, moments, &group.mutations[m]);
        if (!told->vague && dot_is_none(&group.renamed))
            check_move(world, told, &group);
    }
    arena_done(&arena);
    free(moments);
}

/* ---- rows are where they belong ---- */

static int by_place(const void *a, const void *b)
{
    const struct row_digest *x = a, *y = b;
    return x->table != y->table ? (x->table < y->table ? -1 : 1) : memcmp(x->id, y->id, 16);
}

static const struct row_digest *find(const struct row_list *all, uint16_t table, const void *id)
{
    struct row_digest wanted = {.table = table};
    memcpy(wanted.id, id, 16);
    return all->count ? bsearch(&wanted, all->items, all->count, sizeof wanted, by_place) : NULL;
}

static uint64_t bit_of(struct world *world, uint32_t bucket)
{
    sqlite3_stmt *row;
    uint8_t key[4];
    uint64_t bit = 0;
    be32_put(key, bucket);
    if (sqlite3_prepare_v2(store_sqlite_handle(world->nodes[0].store),
                           "SELECT v FROM satchel_bucket WHERE k=?", -1, &row, NULL) != SQLITE_OK)
        return 0;
    sqlite3_bind_blob(row, 1, key, 4, SQLITE_STATIC);
    if (sqlite3_step(row) == SQLITE_ROW && sqlite3_column_bytes(row, 0) == 49) {
        const uint8_t *value = sqlite3_column_blob(row, 0);
        bit = oracle_bucket_bit(world->ledger, value[0], value + 1);
    }
    sqlite3_finalize(row);
    return bit;
}

static void check_record(struct world *world, const struct row_list *all, uint32_t number)
{
    const struct ledger *l = world->ledger;
    const struct ledger_record *record = &l->records[number];
    const struct row_digest *row = find(all, record->table, record->id.byte);
    const struct trail *trail = customer_trail(world, number);
    if (!row)
        return;
    if (record->parent != NONE) {
        const struct ledger_record *parent = &l->records[record->parent];
        const struct row_digest *above = find(all, parent->table, parent->id.byte);
        if (above && above->bucket != row->bucket)
            broken(world, "what belongs to a customer goes with it",
                   "a %s%s of account %u is in bucket %u, and the account in %u",
                   world->model->tables[record->table].name, row->dead ? " (dead)" : "",
                   record->parent, row->bucket, above->bucket);
    } else if (trail && trail->steps[trail->count - 1].bucket < 64) {
        uint8_t bucket = trail->steps[trail->count - 1].bucket;
        if (bit_of(world, row->bucket) != (uint64_t)1 << bucket)
            broken(world, "a customer is where its columns say",
                   "account %u%s is in bucket %u, which is not that of its owner, branch or team "
                   "(%u)",
                   number, row->dead ? " (dead)" : "", row->bucket, bucket);
    }
}

/* Conflict records are where their record is. */
static void check_conflicts(struct world *world, const struct row_list *all)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(world->nodes[0].store),
                           "SELECT _bucket,record,table_id FROM conflict", -1, &row,
                           NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW && !world->failed) {
        const struct model_table *table =
            model_table_by_id(world->model, (uint32_t)sqlite3_column_int64(row, 2));
        if (!table || sqlite3_column_bytes(row, 1) != 16)
            continue;
        const struct row_digest *of = find(all, table->index, sqlite3_column_blob(row, 1));
        if (of && of->bucket != (uint32_t)sqlite3_column_int64(row, 0))
            broken(world, "what belongs to a customer goes with it",
                   "a conflict record of a %s is in bucket %u, and the record in %u", table->name,
                   (uint32_t)sqlite3_column_int64(row, 0), of->bucket);
    }
    sqlite3_finalize(row);
}

void sight_end(struct world *world)
{
    struct row_list all;
    if (!world->sight || !world->nodes[0].running)
        return;
    sight_look(&world->nodes[0]);
    if (!rows_read(&world->nodes[0], NULL, 0, &all)) {
        broken(world, "store is whole", "headquarters cannot be read");
        return;
    }
    for (uint32_t i = 0; i < world->ledger->record_count && !world->failed; i++)
        check_record(world, &all, i);
    if (!world->failed)
        check_conflicts(world, &all);
    rows_done(&all);
    if (!world->failed)
        check_groups(world);
}
