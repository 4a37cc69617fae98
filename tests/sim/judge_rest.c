/* judge_rest.c - what waits at headquarters waits for something; what is in effect was its author's to
 * write; what was signed wrongly is in the audit. */
#include <sqlite3.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/group.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"

enum { WAITING_HEAD = 80 }; /* bytes before the group */

enum cause { CAUSE_THERE, CAUSE_MISSING, CAUSE_GONE };

/* A dot that no group has come with, or that is set aside, is waited for; one that was given up is not. */
static enum cause look_for(const struct history *h, const struct dot *dot)
{
    const struct told *told = dot_is_none(dot) ? NULL : history_find(h, dot);
    if (dot_is_none(dot))
        return CAUSE_THERE;
    for (uint32_t i = 0; (!told || told->turn == 0) && i < h->count; i++)
        if (h->items[i].turn && dot_equal(&h->items[i].renamed, dot))
            told = &h->items[i]; /* it came under another number */
    if (!told || told->turn == 0 || told->code == RESULT_PARKED)
        return CAUSE_MISSING;
    return told->code == RESULT_APPLIED || told->code == RESULT_MERGED ? CAUSE_THERE : CAUSE_GONE;
}

struct finding {
    const struct history *h;
    bool missing, gone;
};

static void look(struct finding *f, const struct dot *dot)
{
    enum cause cause = look_for(f->h, dot);
    f->missing |= cause == CAUSE_MISSING;
    f->gone |= cause == CAUSE_GONE;
}

static void look_at_set(struct finding *f, struct dot_set set)
{
    for (uint16_t i = 0; i < set.count; i++)
        look(f, &set.dots[i]);
}

static bool holds(struct bytes text, struct bytes part)
{
    for (size_t i = 0; i + part.size <= text.size; i++)
        if (memcmp(text.data + i, part.data, part.size) == 0)
            return true;
    return false;
}

/* A reference to a record whose insert is set aside is waited for as well. */
static void look_at_reference(struct world *world, struct finding *f, const struct value *value)
{
    if (value->kind != VALUE_BLOB || value->as.bytes.size != 16)
        return;
    for (uint32_t i = 0; i < world->history->count; i++) {
        const struct told *told = &world->history->items[i];
        if (told->turn && told->code == RESULT_PARKED && told->raw.size > 16 &&
            holds(told->raw, value->as.bytes))
            f->missing = true;
    }
}

static void look_at_group(struct world *world, struct finding *f, const struct group *group)
{
    for (uint32_t m = 0; m < group->mutation_count; m++) {
        const struct mutation *mutation = &group->mutations[m];
        look(f, &mutation->insert);
        look_at_set(f, mutation->deletes);
        for (uint16_t i = 0; i < mutation->frontier_count; i++)
            look_at_set(f, mutation->frontier[i].seen);
        for (uint16_t i = 0; i < mutation->write_count; i++) {
            const struct unit_write *write = &mutation->writes[i];
            if (mutation->op != MUTATION_INSERT)
                look_at_set(f, write->seen);
            for (uint32_t k = 0; k < write->remove_count; k++)
                look(f, &write->removes[k].dot);
            for (uint16_t k = 0; write->values && k < write->unit->column_count; k++)
                if (mutation->table->columns[write->unit->columns[k]].type == COLUMN_REFERENCE)
                    look_at_reference(world, f, &write->values[k]);
        }
    }
}

static void check_waiting(struct world *world)
{
    sqlite3_stmt *row;
    struct arena arena;
    if (sqlite3_prepare_v2(store_sqlite_handle(world->nodes[0].store),
                           "SELECT k,v FROM satchel_waiting", -1, &row, NULL) != SQLITE_OK)
        return;
    arena_init(&arena, 64 << 20);
    while (sqlite3_step(row) == SQLITE_ROW && !world->failed) {
        struct bytes key = bytes_of(sqlite3_column_blob(row, 0), 16);
        struct bytes value =
            bytes_of(sqlite3_column_blob(row, 1), (size_t)sqlite3_column_bytes(row, 1));
        struct finding f = {.h = world->history};
        struct group group;
        arena_reset(&arena);
        if (value.size < WAITING_HEAD ||
            group_decode(world->model,
                         bytes_of(value.data + WAITING_HEAD, value.size - WAITING_HEAD), &arena,
                         &group, NULL) != ERR_OK)
            continue;
        look_at_group(world, &f, &group);
        if (!f.missing)
            broken(
                world, "who waits waits for something",
                "group %016llx/%llu waits at headquarters, and %s",
                (unsigned long long)be64_get(key.data), (unsigned long long)be64_get(key.data + 8),
                f.gone ? "what it builds on was given up" : "all that it builds on is in effect");
    }
    sqlite3_finalize(row);
    arena_done(&arena);
}

/* ---- lines of what is set aside ---- */

static bool is_held(sqlite3 *db, const struct model_table *table, struct bytes id)
{
    char sql[200];
    sqlite3_stmt *row;
    (void)snprintf(sql, sizeof sql,
                   "SELECT 1 FROM \"%s\" WHERE id=?1 UNION SELECT 1 FROM satchel_dead WHERE id=?1",
                   table->name);
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        return true;
    sqlite3_bind_blob(row, 1, id.data, (int)id.size, SQLITE_TRANSIENT);
    bool held = sqlite3_step(row) != SQLITE_DONE;
    sqlite3_finalize(row);
    return held;
}

struct aside { /* a group that is set aside, and the record that it would insert */
    struct world *world;
    const struct told *told;
    const struct mutation *insert;
};

static void look_at_line(const struct aside *a, const struct told *told,
                         const struct mutation *line)
{
    const struct model_table *table = line->table;
    for (uint16_t i = 0; line->op == MUTATION_INSERT && i < line->write_count; i++) {
        const struct unit_write *write = &line->writes[i];
        uint16_t column = write->unit->columns[0];
        const struct value *value = write->values;
        if (table->parent_column != (int)column || !value || value->kind != VALUE_BLOB ||
            !bytes_equal(value->as.bytes, bytes_of(a->insert->id.byte, 16)) ||
            is_held(store_sqlite_handle(a->world->nodes[0].store), a->insert->table,
                    value->as.bytes))
            continue;
        broken(a->world, "causes before effects",
               "group %016llx/%llu is in effect with a %s of a %s that group %016llx/%llu inserts, "
               "which was set "
               "aside before",
               (unsigned long long)told->origin, (unsigned long long)told->oseq, table->name,
               a->insert->table->name, (unsigned long long)a->told->origin,
               (unsigned long long)a->told->oseq);
    }
}

/* Lines of a customer that is set aside wait with it. */
static void check_aside(struct aside *a)
{
    const struct history *h = a->world->history;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    for (uint32_t i = 0; i < h->count && !a->world->failed; i++) {
        const struct told *told = &h->items[i];
        struct group group;
        arena_reset(&arena);
        if (told->turn <= a->told->turn || told->vague ||
            (told->code != RESULT_APPLIED && told->code != RESULT_MERGED) ||
            group_decode(a->world->model, told->raw, &arena, &group, NULL) != ERR_OK)
            continue;
        for (uint32_t m = 0; m < group.mutation_count; m++)
            look_at_line(a, told, &group.mutations[m]);
    }
    arena_done(&arena);
}

static void check_orphans(struct world *world)
{
    sqlite3 *db = store_sqlite_handle(world->nodes[0].store);
    const struct history *h = world->history;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    for (uint32_t i = 0; i < h->count && !world->failed; i++) {
        struct aside a = {.world = world, .told = &h->items[i]};
        struct group group;
        uint8_t key[16];
        sqlite3_stmt *row;
        be64_put(key, a.told->origin);
        be64_put(key + 8, a.told->oseq);
        arena_reset(&arena);
        if (a.told->turn == 0 || a.told->code != RESULT_PARKED ||
            group_decode(world->model, a.told->raw, &arena, &group, NULL) != ERR_OK ||
            sqlite3_prepare_v2(db, "SELECT 1 FROM satchel_parked WHERE k=?", -1, &row, NULL) !=
                SQLITE_OK)
            continue;
        sqlite3_bind_blob(row, 1, key, 16, SQLITE_TRANSIENT);
        bool still = sqlite3_step(row) == SQLITE_ROW;
        sqlite3_finalize(row);
        for (uint32_t m = 0; still && m < group.mutation_count; m++) {
            a.insert = &group.mutations[m];
            if (a.insert->op == MUTATION_INSERT)
                check_aside(&a);
        }
    }
    arena_done(&arena);
}

/* ---- who may write what ---- */

static const struct ledger_record *record_of(const struct ledger *l,
                                             const struct mutation *mutation)
{
    for (uint32_t i = 0; i < l->record_count; i++)
        if (l->records[i].table == mutation->table->index &&
            uuid_equal(&l->records[i].id, &mutation->id))
            return &l->records[i];
    return NULL;
}

/* Whether the record's insert was in effect when that was decided: a line of a customer that is nowhere is in
 * nobody's bucket, and anybody may have written it. */
static bool is_there(struct world *world, const struct ledger_record *record,
                     const struct told *when)
{
    const struct history *h = world->history;
    bool there = false;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    for (uint32_t i = 0; i < h->count && !there; i++) {
        const struct told *told = &h->items[i];
        struct group group;
        arena_reset(&arena);
        if (told->turn == 0 || told->turn > when->turn ||
            (told->code != RESULT_APPLIED && told->code != RESULT_MERGED) ||
            group_decode(world->model, told->raw, &arena, &group, NULL) != ERR_OK)
            continue;
        for (uint32_t m = 0; m < group.mutation_count; m++)
            there |= group.mutations[m].op == MUTATION_INSERT &&
                     record_of(world->ledger, &group.mutations[m]) == record;
    }
    arena_done(&arena);
    return there;
}

/* vague: decided in a turn whose end nobody saw, when the rights may have been others. */
static void check_rights(struct world *world)
{
    const struct history *h = world->history;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    for (uint32_t i = 0; i < h->count && !world->failed; i++) {
        const struct told *told = &h->items[i];
        struct group group;
        arena_reset(&arena);
        if (told->turn == 0 || told->vague ||
            (told->code != RESULT_APPLIED && told->code != RESULT_MERGED) ||
            group_decode(world->model, told->raw, &arena, &group, NULL) != ERR_OK ||
            !dot_is_none(&group.renamed))
            continue;
        for (uint32_t m = 0; m < group.mutation_count && !world->failed; m++) {
            const struct mutation *mutation = &group.mutations[m];
            const struct ledger_record *record = record_of(world->ledger, mutation);
            bool in_scope = !record || (told->scope >> record->bucket & 1);
            bool may = mutation->table->write_role <= ROLE_REP || told->boss;
            if (!in_scope && record->parent != NONE)
                in_scope = !is_there(world, &world->ledger->records[record->parent], told);
            if (!in_scope || !may)
                broken(world, "rights",
                       "group %016llx/%llu of u%u (scope %llx) is in effect, and writes %s of %s "
                       "in %u",
                       (unsigned long long)told->origin, (unsigned long long)told->oseq, told->user,
                       (unsigned long long)told->scope,
                       in_scope ? "a record" : "a record out of its scope", mutation->table->name,
                       record ? record->bucket : 0);
        }
    }
    arena_done(&arena);
}

/* An origin is one device's: whoever pushes under another's is turned away. */
static void check_owners(struct world *world)
{
    const struct history *h = world->history;
    for (uint32_t i = 0; i < h->count && !world->failed; i++)
        for (uint32_t k = 0; k < i; k++)
            if (h->items[i].turn && h->items[k].turn && h->items[i].origin == h->items[k].origin &&
                h->items[i].user != h->items[k].user) {
                broken(world, "rights", "groups of u%u and of u%u were decided under one origin",
                       h->items[i].user, h->items[k].user);
                break;
            }
}

/* ---- signatures ---- */

static void check_signatures(struct world *world)
{
    const struct history *h = world->history;
    for (uint32_t i = 0; i < h->count && !world->failed; i++) {
        const struct told *told = &h->items[i];
        char sql[200];
        sqlite3_stmt *row;
        if (!told->badly_signed || told->turn == 0 || told->life != world->nodes[0].life)
            continue; /* headquarters may have stopped before it came to verify it */
        snprintf(sql, sizeof sql,
                 "SELECT 1 FROM satchel_audit WHERE instr(v, CAST('bad signature' AS BLOB)) > 0"
                 " AND instr(v, CAST('%016llx' AS BLOB)) > 0",
                 (unsigned long long)told->origin);
        if (sqlite3_prepare_v2(store_sqlite_handle(world->nodes[0].store), sql, -1, &row, NULL) !=
            SQLITE_OK)
            return;
        if (sqlite3_step(row) != SQLITE_ROW)
            broken(world, "signatures are verified",
                   "group %016llx/%llu came with a wrong signature, and nobody says so",
                   (unsigned long long)told->origin, (unsigned long long)told->oseq);
        sqlite3_finalize(row);
    }
}

void judge_rest(struct world *world)
{
    if (!world->history || !world->nodes[0].running)
        return;
    check_waiting(world);
    if (!world->failed)
        check_orphans(world);
    if (!world->failed)
        check_rights(world);
    if (!world->failed)
        check_owners(world);
    if (!world->failed)
        check_signatures(world);
}
