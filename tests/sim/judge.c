/* judge.c - all is quiet: what headquarters holds is what the naive oracle of tests/lib makes of the groups
 * that are in effect, read from the wire; and what was refused had to be.
 *
 * Model:      records are judged by trees (an account with its lines, else one record), each from the
 *             part of the groups that touches it, in the order of decision. Where that order is not known
 *             within a turn, what depends on it (ranks, refusals) is left out.
 * Shares:     with the product the decoding of groups and versions; nothing of the merge or the store.
 * Bound:      trees that are too large for the oracle are passed over. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/hlc.h"
#include "tests/lib/oracle.h"
#include "tests/sim/purges.h"

enum { TREE_OPS = 60, ARENA_MOST = 1 << 28 };

struct part { /* of a tree */
    struct oracle_op op;
    struct group group;
    const struct deed *deed;
};

/* ---- trees ---- */

/* The parent of a record of a table that has one, from its insert. */
static const struct uuid *parent_of(const struct judge *j, const struct model_table *table,
                                    const struct uuid *id)
{
    if (table->parent_column < 0)
        return NULL;
    const struct model_unit *unit = &table->units[table->columns[table->parent_column].unit_index];
    for (uint32_t i = 0; i < j->count; i++) {
        const struct group *group = &j->deeds[i].group;
        for (uint32_t m = 0; j->deeds[i].in_effect && m < group->mutation_count; m++) {
            const struct mutation *mutation = &group->mutations[m];
            if (mutation->table != table || mutation->op != MUTATION_INSERT ||
                !uuid_equal(&mutation->id, id))
                continue;
            for (uint16_t w = 0; w < mutation->write_count; w++)
                if (mutation->writes[w].unit == unit &&
                    mutation->writes[w].values[0].kind == VALUE_BLOB)
                    return (const struct uuid *)(const void *)mutation->writes[w]
                        .values[0]
                        .as.bytes.data;
        }
    }
    return NULL;
}

static bool in_tree(const struct judge *j, const struct mutation *mutation,
                    const struct model_table *table, const struct uuid *root)
{
    if (mutation->table == table && uuid_equal(&mutation->id, root))
        return true;
    const struct uuid *parent = parent_of(j, mutation->table, &mutation->id);
    return parent && uuid_equal(parent, root);
}

/* The part of a group that touches the tree; false: none. */
static bool part_of(struct judge *j, const struct deed *deed, const struct model_table *table,
                    const struct uuid *root, struct part *ret)
{
    struct mutation *mutations =
        judge_need(&j->tree, deed->group.mutation_count, sizeof *mutations);
    uint32_t count = 0;
    for (uint32_t m = 0; m < deed->group.mutation_count; m++)
        if (in_tree(j, &deed->group.mutations[m], table, root))
            mutations[count++] = deed->group.mutations[m];
    ret->group = deed->group;
    ret->group.mutations = mutations;
    ret->group.mutation_count = count;
    ret->deed = deed;
    ret->op = (struct oracle_op){.group = &ret->group, .stamp = deed->group.stamp};
    return count > 0 && count <= ORACLE_MUTATIONS_MAX;
}

/* The parts of a tree before the deed at `end`, which is the last one if `also`. */
static uint32_t collect(struct judge *j, const struct model_table *table, const struct uuid *root,
                        uint32_t end, bool also, struct part *parts, const struct oracle_op **ops,
                        bool *ret_vague)
{
    uint32_t count = 0;
    *ret_vague = false;
    for (uint32_t i = 0; i < end + also && i < j->count; i++) {
        const struct deed *deed = &j->deeds[i];
        bool last = also && i == end;
        if ((!last && (!deed->in_effect || deed->alias)) ||
            !part_of(j, deed, table, root, &parts[count]))
            continue;
        if (count == TREE_OPS)
            return 0;
        if (count && deed->told->turn == parts[count - 1].deed->told->turn &&
            (deed->told->vague || parts[count - 1].deed->told->vague))
            *ret_vague = true;
        ops[count] = &parts[count].op;
        count++;
    }
    return count;
}

/* ---- one record ---- */

struct held { /* as headquarters has it */
    bool present, dead;
    struct version version;
    sqlite3_stmt *row; /* live: its columns */
};

static bool decode(struct judge *j, const struct model_table *table, sqlite3_stmt *row,
                   struct held *ret)
{
    struct bytes blob,
        view = bytes_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
    return arena_copy(&j->tree, view, &blob) == ERR_OK &&
           version_decode(table, blob, &j->tree, &ret->version) == ERR_OK;
}

static bool read_held(struct judge *j, const struct model_table *table, const struct uuid *id,
                      struct held *ret)
{
    char sql[1400];
    int size = snprintf(sql, sizeof sql, "SELECT _version");
    *ret = (struct held){0};
    for (uint16_t i = 0; i < table->column_count; i++)
        size += snprintf(sql + size, sizeof sql - (size_t)size, ",\"%s\"", table->columns[i].name);
    snprintf(sql + size, sizeof sql - (size_t)size, " FROM \"%s\" WHERE id=?", table->name);
    for (int dead = 0; dead < 2; dead++) {
        if (dead)
            snprintf(sql, sizeof sql, "SELECT version FROM satchel_dead WHERE id=? AND table_id=%u",
                     table->id);
        if (sqlite3_prepare_v2(j->db, sql, -1, &ret->row, NULL) != SQLITE_OK)
            return false;
        sqlite3_bind_blob(ret->row, 1, id->byte, 16, SQLITE_TRANSIENT);
        if (sqlite3_step(ret->row) == SQLITE_ROW) {
            ret->present = true;
            ret->dead = dead != 0;
            return decode(j, table, ret->row, ret);
        }
        sqlite3_finalize(ret->row);
        ret->row = NULL;
    }
    return true;
}

static bool shows(sqlite3_stmt *row, int column, const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL: return sqlite3_column_type(row, column) == SQLITE_NULL;
    case VALUE_INT:
        return sqlite3_column_type(row, column) == SQLITE_INTEGER &&
               sqlite3_column_int64(row, column) == value->as.integer;
    case VALUE_REAL: return sqlite3_column_double(row, column) == value->as.real;
    case VALUE_TEXT:
    case VALUE_BLOB: break;
    }
    const struct bytes shown =
        bytes_of(sqlite3_column_blob(row, column), (size_t)sqlite3_column_bytes(row, column));
    return sqlite3_column_type(row, column) != SQLITE_NULL && bytes_equal(shown, value->as.bytes);
}

static bool has_line(struct bytes text, struct bytes line)
{
    for (size_t at = 0; at + line.size <= text.size; at++)
        if ((at == 0 || text.data[at - 1] == '\n') &&
            memcmp(text.data + at, line.data, line.size) == 0 &&
            (at + line.size == text.size || text.data[at + line.size] == '\n'))
            return true;
    return false;
}

/* Whatever else a merge of texts does: each line that a candidate has and its base has not is shown. */
static bool shows_lines(sqlite3_stmt *row, int column, const struct oracle_unit *unit)
{
    const struct bytes shown =
        bytes_of(sqlite3_column_blob(row, column), (size_t)sqlite3_column_bytes(row, column));
    for (uint32_t i = 0; i < unit->count; i++) {
        const struct value *value = unit->candidates[i].values, *base = unit->candidates[i].base;
        struct bytes none = bytes_of(NULL, 0);
        struct bytes text = value->kind == VALUE_TEXT ? value->as.bytes : none;
        struct bytes from = base && base->kind == VALUE_TEXT ? base->as.bytes : none;
        for (size_t start = 0, end; start < text.size; start = end + 1) {
            for (end = start; end < text.size && text.data[end] != '\n'; end++)
                continue;
            struct bytes line = bytes_of(text.data + start, end - start);
            if (line.size && !has_line(from, line) && !has_line(shown, line))
                return false;
        }
    }
    return true;
}

static void name_record(const struct model_table *table, const struct uuid *id, char out[120])
{
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    snprintf(out, 120, "%s %s", table->name, text);
}

static size_t name_dot(const struct dot *dot, char *out, size_t at, size_t size)
{
    int more = snprintf(out + at, size - at, " %016llx/%llu", (unsigned long long)dot->origin,
                        (unsigned long long)dot->oseq);
    return at + (size_t)more < size ? at + (size_t)more : at;
}

static void check_frontier(struct judge *j, const struct model_table *table, const struct uuid *id,
                           const struct held *held, uint16_t u, const struct oracle_unit *expected)
{
    const struct unit_state *state = version_unit(&held->version, u);
    struct candidate inserted = {.dot = held->version.insert};
    const struct candidate *have = state ? state->candidates : &inserted;
    uint32_t count = state ? state->count : 1;
    bool same = count == expected->count;
    for (uint32_t i = 0; same && i < count; i++)
        same = dot_equal(&have[i].dot, &expected->candidates[i].dot);
    char what[120];
    name_record(table, id, what);
    if (!same) {
        char has[200], wants[200];
        size_t a = 0, b = 0;
        for (uint32_t i = 0; i < count; i++)
            a = name_dot(&have[i].dot, has, a, sizeof has);
        for (uint32_t i = 0; i < expected->count; i++)
            b = name_dot(&expected->candidates[i].dot, wants, b, sizeof wants);
        broken(j->world, "the merge", "%s.%s has the frontier%s, and what was not superseded is%s",
               what, table->units[u].name, has, wants);
    }
    for (uint32_t i = 0; state && i < count && !j->world->failed; i++)
        if (hlc_ms(have[i].stamp) > j->world->history->latest_ms + HLC_TOLERANCE_MS)
            broken(j->world, "stamps are clamped",
                   "%s.%s has a stamp %lld ms ahead of any clock of headquarters", what,
                   table->units[u].name,
                   (long long)(hlc_ms(have[i].stamp) - j->world->history->latest_ms));
}

static bool by_rank(const struct model_unit *unit)
{
    return unit->policy == MERGE_FIRST || unit->policy == MERGE_MANUAL ||
           unit->policy == MERGE_FSM || unit->policy == MERGE_TEXT;
}

static void check_shown(struct judge *j, const struct model_table *table, const struct uuid *id,
                        const struct held *held, uint16_t u, const struct oracle_record *record,
                        bool vague)
{
    const struct model_unit *unit = &table->units[u];
    const struct oracle_unit *expected = &record->units[u];
    char what[120];
    if (expected->count > 1 && vague && by_rank(unit))
        return;
    name_record(table, id, what);
    if (!expected->exact) {
        if (!shows_lines(held->row, 1 + unit->columns[0], expected))
            broken(j->world, "the merge", "%s.%s does not show each line that was added", what,
                   unit->name);
        return;
    }
    for (uint16_t k = 0; k < unit->column_count && !j->world->failed; k++)
        if (!shows(held->row, 1 + unit->columns[k], &record->shown[unit->columns[k]]))
            broken(j->world, "the merge", "%s.%s shows another value than its %u candidates make",
                   what, unit->name, expected->count);
}

static void check_conflict(struct judge *j, const struct model_table *table, const struct uuid *id,
                           const struct model_unit *unit)
{
    sqlite3_stmt *row;
    char what[120];
    if (sqlite3_prepare_v2(j->db,
                           "SELECT 1 FROM conflict WHERE record=? AND table_id=? AND unit_id=?"
                           " AND state<>'settled' AND kind='value'",
                           -1, &row, NULL) != SQLITE_OK)
        return;
    name_record(table, id, what);
    sqlite3_bind_blob(row, 1, id->byte, 16, SQLITE_TRANSIENT);
    sqlite3_bind_int64(row, 2, table->id);
    sqlite3_bind_int64(row, 3, unit->id);
    if (sqlite3_step(row) != SQLITE_ROW)
        broken(j->world, "conflicts explain what lost",
               "%s.%s has candidates that differ, and no conflict record", what, unit->name);
    sqlite3_finalize(row);
}

static void check_record(struct judge *j, struct oracle *oracle, const struct model_table *table,
                         const struct uuid *id, bool vague, bool late)
{
    struct held held;
    struct oracle_record record;
    char what[120];
    name_record(table, id, what);
    if (!read_held(j, table, id, &held)) {
        broken(j->world, "store is whole", "%s cannot be read", what);
        return;
    }
    oracle_record(oracle, table, id, &record);
    if (record.present && !held.present &&
        (late || ((record.dead || vague) && purges_may_have(j, table, id))))
        j->world->cover[COVER_PURGED]++;
    else if (record.present != held.present)
        broken(j->world, "the merge", "%s is %s, and should %sbe", what,
               held.present ? "there" : "not there", record.present ? "" : "not ");
    else if (held.present && record.dead != held.dead && !vague && !late)
        broken(j->world, "the merge", "%s is %s, and should be %s", what,
               held.dead ? "dead" : "alive", record.dead ? "dead" : "alive");
    for (uint16_t u = 0;
         held.present && record.present && u < table->unit_count && !j->world->failed; u++) {
        check_frontier(j, table, id, &held, u, &record.units[u]);
        if (!j->world->failed && !held.dead && !record.dead)
            check_shown(j, table, id, &held, u, &record, vague);
        if (!j->world->failed && record.units[u].differ)
            check_conflict(j, table, id, &table->units[u]);
    }
    sqlite3_finalize(held.row);
}

/* ---- the stamps that headquarters gave ---- */

static void stamp_from(struct part *parts, uint32_t count, const struct dot *dot, uint64_t stamp)
{
    for (uint32_t i = 0; i < count; i++)
        if (dot_equal(&parts[i].group.dot, dot))
            parts[i].op.stamp = stamp;
}

static void take_stamps(struct judge *j, const struct model_table *table, const struct uuid *id,
                        struct part *parts, uint32_t count)
{
    struct held held;
    if (!read_held(j, table, id, &held))
        return;
    if (held.present)
        stamp_from(parts, count, &held.version.insert, held.version.insert_stamp);
    for (uint16_t u = 0; held.present && u < held.version.unit_count; u++)
        for (uint16_t i = 0; i < held.version.units[u].count; i++)
            stamp_from(parts, count, &held.version.units[u].candidates[i].dot,
                       held.version.units[u].candidates[i].stamp);
    sqlite3_finalize(held.row);
}

/* ---- a tree ---- */

static bool seen_before(const struct part *parts, uint32_t at, uint32_t m)
{
    const struct mutation *wanted = &parts[at].group.mutations[m];
    for (uint32_t i = 0; i <= at; i++)
        for (uint32_t k = 0; k < (i == at ? m : parts[i].group.mutation_count); k++)
            if (parts[i].group.mutations[k].table == wanted->table &&
                uuid_equal(&parts[i].group.mutations[k].id, &wanted->id))
                return true;
    return false;
}

/* For the story of a run that fails. */
/* What a delete saw. */
static void tell_delete(struct judge *j, const struct mutation *mutation)
{
    char seen[400] = "";
    size_t at = 0;
    if (mutation->op != MUTATION_DELETE)
        return;
    for (uint16_t i = 0; i < mutation->frontier_count; i++)
        for (uint16_t k = 0; k < mutation->frontier[i].seen.count; k++)
            at = name_dot(&mutation->frontier[i].seen.dots[k], seen, at, sizeof seen);
    say(j->world, "    deletes a %s: saw%s", mutation->table->name, seen);
}

static void tell_tree(struct judge *j, const struct part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct told *told = parts[i].deed->told;
        const struct group *group = &parts[i].group;
        say(j->world, "%016llx/%llu, turn %llu%s, renamed from %016llx/%llu",
            (unsigned long long)told->origin, (unsigned long long)told->oseq,
            (unsigned long long)told->turn, told->vague ? " (vague)" : "",
            (unsigned long long)group->renamed.origin, (unsigned long long)group->renamed.oseq);
        for (uint32_t m = 0; m < group->mutation_count; m++)
            tell_delete(j, &group->mutations[m]);
        for (uint32_t m = 0; m < group->mutation_count; m++)
            for (uint16_t w = 0; w < group->mutations[m].write_count; w++) {
                const struct unit_write *write = &group->mutations[m].writes[w];
                char seen[200] = "";
                size_t at = 0;
                for (uint16_t k = 0; k < write->seen.count; k++)
                    at = name_dot(&write->seen.dots[k], seen, at, sizeof seen);
                say(j->world, "    op %d, %s.%s saw%s", group->mutations[m].op,
                    group->mutations[m].table->name, write->unit->name, seen);
            }
    }
}

/* A late write to a record that belongs to another brings both back, for the naive merge. If they had been purged, it
 * made a conflict record where deletes win (SPEC 13.4), and is in effect as well. */
static bool written_when_gone(const struct judge *j, const struct part *parts, uint32_t count)
{
    int64_t horizon_ms = purges_retention(j->world).horizon_ms, deleted_ms = INT64_MAX;
    for (uint32_t i = 0; horizon_ms >= 0 && i < count; i++)
        for (uint32_t m = 0; m < parts[i].group.mutation_count; m++) {
            const struct mutation *mutation = &parts[i].group.mutations[m];
            int64_t at_ms = parts[i].deed->told->decided_ms;
            if (mutation->op == MUTATION_DELETE && at_ms < deleted_ms)
                deleted_ms = at_ms;
            if (mutation->op == MUTATION_UPDATE && deleted_ms < INT64_MAX &&
                mutation->table->delete_policy == DELETE_WINS && at_ms - deleted_ms >= horizon_ms)
                return true;
        }
    return false;
}

/* Who deletes a customer names what belongs to it, and cannot name what was purged before: the naive merge knows that
 * still, and takes it for unseen. */
static bool deleted_when_part_was_gone(const struct judge *j, const struct part *parts,
                                       uint32_t count)
{
    int64_t horizon_ms = purges_retention(j->world).horizon_ms, deleted_ms = INT64_MAX;
    for (uint32_t i = 0; horizon_ms >= 0 && i < count; i++)
        for (uint32_t m = 0; m < parts[i].group.mutation_count; m++) {
            const struct mutation *mutation = &parts[i].group.mutations[m];
            int64_t at_ms = parts[i].deed->told->decided_ms;
            if (mutation->op != MUTATION_DELETE)
                continue;
            if (mutation->table->parent_column >= 0 && at_ms < deleted_ms)
                deleted_ms = at_ms;
            else if (mutation->table->parent_column < 0 && deleted_ms < INT64_MAX &&
                     at_ms - deleted_ms >= horizon_ms)
                return true;
        }
    return false;
}

static void judge_tree(struct judge *j, const struct model_table *table, const struct uuid *root)
{
    const struct model *model = j->world->model;
    struct part *parts = judge_need(&j->tree, TREE_OPS, sizeof *parts);
    const struct oracle_op **ops = judge_need(&j->tree, TREE_OPS, sizeof *ops);
    struct oracle oracle;
    bool vague;
    uint32_t count = collect(j, table, root, j->count, false, parts, ops, &vague);
    if (count == 0)
        return; /* or too many */
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t m = 0; m < parts[i].group.mutation_count; m++)
            if (purges_came_back(j, parts[i].group.mutations[m].table,
                                 &parts[i].group.mutations[m].id))
                return; /* the naive merge knows one life of a record */
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t m = 0; m < parts[i].group.mutation_count; m++)
            if (!seen_before(parts, i, m))
                take_stamps(j, parts[i].group.mutations[m].table, &parts[i].group.mutations[m].id,
                            parts, count);
    bool late = written_when_gone(j, parts, count) || deleted_when_part_was_gone(j, parts, count);
    oracle_init(&oracle, model, ops, count, &j->tree);
    for (uint32_t i = 0; i < count && !vague; i++)
        if (oracle.reason[i] != REASON_NONE) {
            broken(j->world, "the merge",
                   "group %016llx/%llu is in effect, and had to be refused: %s",
                   (unsigned long long)parts[i].group.dot.origin,
                   (unsigned long long)parts[i].group.dot.oseq, reason_text(oracle.reason[i]));
            return;
        }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t m = 0; m < parts[i].group.mutation_count && !j->world->failed; m++)
            if (!seen_before(parts, i, m))
                check_record(j, &oracle, parts[i].group.mutations[m].table,
                             &parts[i].group.mutations[m].id, vague, late);
    if (j->world->failed && j->world->story)
        tell_tree(j, parts, count);
}

static void judge_trees(struct judge *j)
{
    for (uint32_t i = 0; i < j->count; i++) {
        const struct deed *deed = &j->deeds[i];
        for (uint32_t m = 0; deed->in_effect && !deed->alias && m < deed->group.mutation_count;
             m++) {
            const struct mutation *mutation = &deed->group.mutations[m];
            if (j->world->failed)
                return;
            if (mutation->op != MUTATION_INSERT || parent_of(j, mutation->table, &mutation->id))
                continue;
            arena_reset(&j->tree);
            judge_tree(j, mutation->table, &mutation->id);
        }
    }
}

/* ---- refusals ---- */

/* Reasons that the oracle has as well. */
static bool is_judged(uint8_t reason)
{
    return reason == REASON_UPSTREAM || reason == REASON_NO_RECORD || reason == REASON_EXISTS ||
           reason == REASON_APPEND_ONLY || reason == REASON_NO_DELETE ||
           reason == REASON_TRANSITION;
}

static void judge_refusal(struct judge *j, uint32_t at)
{
    const struct deed *deed = &j->deeds[at];
    struct part *parts = judge_need(&j->tree, TREE_OPS, sizeof *parts);
    const struct oracle_op **ops = judge_need(&j->tree, TREE_OPS, sizeof *ops);
    struct oracle oracle;
    bool vague;
    for (uint32_t m = 0; m < deed->group.mutation_count; m++) {
        const struct mutation *mutation = &deed->group.mutations[m];
        uint32_t count = collect(j, mutation->table, &mutation->id, at, true, parts, ops, &vague);
        if (count == 0 || vague)
            return;
        oracle_init(&oracle, j->world->model, ops, count, &j->tree);
        if (oracle.reason[count - 1] != REASON_NONE)
            return;
    }
    broken(j->world, "refusals have a reason",
           "group %016llx/%llu was set aside (%s), and nothing in it is wrong",
           (unsigned long long)deed->told->origin, (unsigned long long)deed->told->oseq,
           reason_text((enum reason)deed->told->reason));
}

void judge_world(struct world *world)
{
    struct judge j = {.world = world};
    if (!world->history || !world->nodes[0].running)
        return;
    history_started(&world->nodes[0]); /* codes as they are now */
    j.db = store_sqlite_handle(world->nodes[0].store);
    arena_init(&j.arena, ARENA_MOST);
    arena_init(&j.tree, ARENA_MOST);
    judge_read(&j);
    for (uint32_t i = 0; i < j.count && !world->failed; i++)
        if (j.deeds[i].in_effect && !j.deeds[i].alias)
            judge_causes(&j, &j.deeds[i]);
    if (!world->failed)
        judge_stamps(&j);
    if (!world->failed)
        judge_trees(&j);
    if (!world->failed)
        purges_end(&j);
    for (uint32_t i = 0; i < j.count && !world->failed; i++) {
        arena_reset(&j.tree);
        if (!j.deeds[i].in_effect && !j.deeds[i].alias && is_judged(j.deeds[i].told->reason))
            judge_refusal(&j, i);
    }
    arena_done(&j.arena);
    arena_done(&j.tree);
}
