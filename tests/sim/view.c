/* view.c - a device's view is its confirmed layer with what waits on top: looked at while things happen,
 * where it can be told without the merge. A counter is the confirmed sum and the waiting differences; an
 * element that waits to be added is shown; who has a confirmed copy has something that waits. */
#include <sqlite3.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/group.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"

struct view {
    struct node *node;
    struct arena arena;
    sqlite3 *db;
    const struct model_table *table;
    struct uuid id;
    struct bytes content; /* confirmed; empty: not there */
    struct dot insert;    /* of the confirmed record, or of the one that waits */
};

static bool number_at(struct bytes in, size_t *at, uint64_t *ret)
{
    return varint_get(in, at, ret) == ERR_OK;
}

/* An integer column of a packed row: format byte, count, then for each column id, kind, value. */
static bool packed_integer(struct bytes in, uint32_t column, int64_t *ret)
{
    size_t at = 1;
    uint64_t count, id, number;
    if (in.size == 0 || !number_at(in, &at, &count))
        return false;
    for (; count > 0; count--) {
        if (!number_at(in, &at, &id) || at >= in.size)
            return false;
        uint8_t kind = in.data[at++];
        if (kind == VALUE_NULL) {
            number = 0;
        } else if (kind == VALUE_REAL) {
            at += 8;
        } else if (!number_at(in, &at, &number)) {
            return false;
        } else if (kind != VALUE_INT) {
            at += number;
        }
        if (id != column)
            continue;
        *ret = kind != VALUE_INT ? 0 : (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
        return kind == VALUE_INT || kind == VALUE_NULL;
    }
    return false;
}

/* ---- one group that waits ---- */

static bool read_group(struct view *v, const uint8_t dot[20], struct group *ret)
{
    sqlite3_stmt *row;
    struct bytes raw = {0};
    if (sqlite3_prepare_v2(v->db, "SELECT v FROM satchel_outbox WHERE k=?", -1, &row, NULL) !=
        SQLITE_OK)
        return false;
    sqlite3_bind_blob(row, 1, dot, 16, SQLITE_TRANSIENT);
    bool found =
        sqlite3_step(row) == SQLITE_ROW &&
        arena_copy(&v->arena,
                   bytes_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0)),
                   &raw) == ERR_OK;
    sqlite3_finalize(row);
    return found && group_decode(v->node->world->model, raw, &v->arena, ret, NULL) == ERR_OK;
}

static const struct mutation *mutation_of(const struct view *v, const struct group *group)
{
    for (uint32_t m = 0; m < group->mutation_count; m++)
        if (group->mutations[m].table == v->table && uuid_equal(&group->mutations[m].id, &v->id))
            return &group->mutations[m];
    return NULL;
}

static bool shown_integer(struct view *v, const struct model_column *column, int64_t *ret)
{
    char sql[200];
    sqlite3_stmt *row;
    snprintf(sql, sizeof sql, "SELECT \"%s\" FROM \"%s\" WHERE id=?", column->name, v->table->name);
    if (sqlite3_prepare_v2(v->db, sql, -1, &row, NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_blob(row, 1, v->id.byte, 16, SQLITE_TRANSIENT);
    bool found = sqlite3_step(row) == SQLITE_ROW;
    *ret = found ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_finalize(row);
    return found;
}

/* What a view hides when it meets it (the frontier is another one by now), with all else that the group
 * writes to the record. */
static bool may_be_hidden(const struct mutation *mutation)
{
    for (uint16_t w = 0; mutation && w < mutation->write_count; w++)
        if (mutation->writes[w].unit->policy == MERGE_UPSTREAM ||
            mutation->writes[w].unit->policy == MERGE_FSM)
            return true;
    return false;
}

static int64_t difference(const struct mutation *mutation, const struct model_unit *unit)
{
    for (uint16_t w = 0; mutation && w < mutation->write_count; w++)
        if (mutation->writes[w].unit == unit && mutation->writes[w].values[0].kind == VALUE_INT)
            return mutation->writes[w].values[0].as.integer;
    return 0;
}

/* pending: count dots of 20 bytes. */
static void check_counters(struct view *v, const uint8_t *pending, uint64_t count)
{
    for (uint16_t u = 0; u < v->table->unit_count; u++) {
        const struct model_unit *unit = &v->table->units[u];
        const struct model_column *column = &v->table->columns[unit->columns[0]];
        int64_t sum = 0, shown;
        char id[UUID_TEXT_SIZE];
        if (unit->policy != MERGE_COUNTER)
            continue;
        if (v->content.size && !packed_integer(v->content, column->id, &sum))
            continue;
        for (uint64_t i = 0; i < count; i++) {
            struct group group;
            if (!read_group(v, pending + i * 20, &group))
                return;
            const struct mutation *mutation = mutation_of(v, &group);
            if (may_be_hidden(mutation) ||
                (mutation && v->content.size && mutation->op == MUTATION_INSERT))
                return; /* or somebody else's has the id */
            if (mutation && mutation->op == MUTATION_INSERT)
                v->insert = group.dot;
            else if (mutation && !dot_equal(&mutation->insert, &v->insert))
                return; /* hidden: it builds on an insert that was set aside */
            sum += difference(mutation, unit);
        }
        uuid_format(&v->id, id);
        if (shown_integer(v, column, &shown) && shown != sum)
            broken(v->node->world, "the view is confirmed and pending",
                   "%s shows %lld in %s.%s of %s; confirmed and %llu waiting groups make %lld",
                   v->node->name, (long long)shown, v->table->name, column->name, id,
                   (unsigned long long)count, (long long)sum);
    }
}

/* ---- base copies: bucket, position, version = size, version, count, dots ---- */

/* What waits is in the outbox. */
static void check_pending(struct view *v, const uint8_t dot[20])
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(v->db, "SELECT 1 FROM satchel_outbox WHERE k=?", -1, &row, NULL) !=
        SQLITE_OK)
        return;
    sqlite3_bind_blob(row, 1, dot, 16, SQLITE_TRANSIENT);
    if (sqlite3_step(row) == SQLITE_DONE)
        broken(v->node->world, "base copies have pending groups",
               "a %s of %s waits for group %016llx/%llu, which is not in the outbox",
               v->table->name, v->node->name, (unsigned long long)be64_get(dot),
               (unsigned long long)be64_get(dot + 8));
    sqlite3_finalize(row);
}

static void check_base(struct view *v, sqlite3_stmt *row)
{
    struct bytes packed =
        bytes_of(sqlite3_column_blob(row, 2), (size_t)sqlite3_column_bytes(row, 2));
    size_t at = 0;
    uint64_t size, count;
    v->table = model_table_by_id(v->node->world->model, (uint32_t)sqlite3_column_int64(row, 0));
    memcpy(v->id.byte, sqlite3_column_blob(row, 1), 16);
    if (!v->table || !number_at(packed, &at, &size))
        return;
    size_t begin = at;
    at += (size_t)size;
    if (!number_at(packed, &at, &count) || packed.size - at != count * 20)
        return;
    struct version_head head = {0};
    if (size && version_peek(bytes_of(packed.data + begin, (size_t)size), &head) != ERR_OK)
        return;
    v->insert = head.insert;
    v->content =
        bytes_of(sqlite3_column_blob(row, 3), size ? (size_t)sqlite3_column_bytes(row, 3) : 0);
    for (uint64_t i = 0; i < count; i++)
        check_pending(v, packed.data + at + i * 20);
    if (count == 0)
        broken(v->node->world, "base copies have pending groups",
               "%s keeps a copy of a %s that nothing waits for", v->node->name, v->table->name);
    else
        check_counters(v, packed.data + at, count);
}

/* ---- the other way round: what waits has a copy below it, or is an insert that waits itself ---- */

struct own_mark {
    uint64_t origin, upto, ranges[64][2];
    uint64_t count;
};

static bool read_mark(struct view *v, uint64_t origin, struct own_mark *ret)
{
    sqlite3_stmt *row;
    uint8_t key[8];
    size_t at = 0;
    *ret = (struct own_mark){.origin = origin};
    be64_put(key, origin);
    if (sqlite3_prepare_v2(v->db, "SELECT v FROM satchel_mark WHERE k=?", -1, &row, NULL) !=
        SQLITE_OK)
        return false;
    sqlite3_bind_blob(row, 1, key, 8, SQLITE_TRANSIENT);
    int result = sqlite3_step(row);
    bool good = result == SQLITE_DONE;
    if (result == SQLITE_ROW) {
        struct bytes value =
            bytes_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
        good = number_at(value, &at, &ret->upto) && number_at(value, &at, &ret->count) &&
               ret->count <= 64;
        for (uint64_t i = 0; good && i < ret->count; i++)
            good = number_at(value, &at, &ret->ranges[i][0]) &&
                   number_at(value, &at, &ret->ranges[i][1]);
    }
    sqlite3_finalize(row);
    return good;
}

static bool is_decided(const struct own_mark *mark, uint64_t oseq)
{
    bool decided = oseq <= mark->upto;
    for (uint64_t i = 0; i < mark->count; i++)
        decided |= oseq >= mark->ranges[i][0] && oseq <= mark->ranges[i][1];
    return decided;
}

static bool lacks_copy(struct view *v, const struct mutation *mutation)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(v->db, "SELECT 1 FROM satchel_base WHERE table_id=? AND id=?", -1, &row,
                           NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_int64(row, 1, mutation->table->id);
    sqlite3_bind_blob(row, 2, mutation->id.byte, 16, SQLITE_TRANSIENT);
    bool lacks = sqlite3_step(row) == SQLITE_DONE;
    sqlite3_finalize(row);
    return lacks;
}

static void check_outbox(struct view *v, const struct own_mark *mark)
{
    sqlite3_stmt *row;
    uint8_t key[16];
    be64_put(key, mark->origin);
    be64_put(key + 8, mark->upto + 1);
    if (sqlite3_prepare_v2(v->db, "SELECT k FROM satchel_outbox WHERE k>=? ORDER BY k", -1, &row,
                           NULL) != SQLITE_OK)
        return;
    sqlite3_bind_blob(row, 1, key, 16, SQLITE_TRANSIENT);
    while (sqlite3_step(row) == SQLITE_ROW && !v->node->world->failed) {
        struct group group;
        uint8_t dot[20] = {0};
        memcpy(dot, sqlite3_column_blob(row, 0), 16);
        arena_reset(&v->arena);
        if (be64_get(dot) != mark->origin)
            break;
        if (is_decided(mark, be64_get(dot + 8)) || !read_group(v, dot, &group))
            continue;
        for (uint32_t m = 0; m < group.mutation_count; m++) {
            const struct mutation *mutation = &group.mutations[m];
            bool on_own =
                mutation->insert.origin == mark->origin && !is_decided(mark, mutation->insert.oseq);
            if (mutation->op != MUTATION_INSERT && !on_own && lacks_copy(v, mutation))
                broken(v->node->world, "base copies have pending groups",
                       "%s has no copy of a %s that its waiting group %llu changes", v->node->name,
                       mutation->table->name, (unsigned long long)be64_get(dot + 8));
        }
    }
    sqlite3_finalize(row);
}

void view_check(struct node *node)
{
    struct view v = {.node = node};
    sqlite3_stmt *row;
    struct replica_status status;
    if (!node->running || node->serves)
        return;
    if (replica_pending_count(node->replica) > 0) {
        node->world->cover[COVER_SHARED]++;
        return; /* others' groups are in it */
    }
    replica_status(node->replica, &status);
    if (status
            .reconcile) /* after a restore: what was confirmed is pending until all has come anew */
        return;
    v.db = store_sqlite_handle(node->store);
    if (sqlite3_prepare_v2(v.db, "SELECT table_id,id,version,content FROM satchel_base", -1, &row,
                           NULL) != SQLITE_OK)
        return;
    arena_init(&v.arena, 64 << 20);
    while (sqlite3_step(row) == SQLITE_ROW && !node->world->failed) {
        arena_reset(&v.arena);
        check_base(&v, row);
    }
    sqlite3_finalize(row);
    struct own_mark mark;
    if (status.outbox_count > 0 && !node->world->failed && read_mark(&v, status.origin, &mark))
        check_outbox(&v, &mark);
    arena_done(&v.arena);
}
