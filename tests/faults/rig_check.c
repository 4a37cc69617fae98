/* What must hold: after each start what was promised, in the end everything. */
#include <stdio.h>
#include <string.h>

#include "tests/faults/rig.h"

enum { ARENA_MAX = 64 << 20 };

const struct model_table *rig_table(const struct rig_node *node, const char *name)
{
    return model_table_by_name(node->model, bytes_of_text(name));
}

/* Looking is not part of the story: no fault meets it, and it counts nowhere. */
static void begin_look(struct rig *rig, struct rig_node *node)
{
    sim_disk_pause_faults(node->disk, true);
    enum err e = store_begin(node->store, STORE_READ);
    if (e != ERR_OK)
        rig_fail(rig, "node %d cannot be read: ERR_%s", node->number, err_name(e));
}

static void end_look(struct rig_node *node)
{
    store_rollback(node->store);
    sim_disk_pause_faults(node->disk, false);
}

/* The row, or ERR_NOT_FOUND for a dead one as well. */
static enum err get(struct rig_node *node, const char *table_name, const struct uuid *id,
                    struct arena *arena, struct store_row *ret)
{
    enum err e = store_row_get(node->store, rig_table(node, table_name), id, arena, ret);
    return e == ERR_OK && ret->dead ? ERR_NOT_FOUND : e;
}

const char *rig_name(struct rig *rig, struct rig_node *node, struct uuid id)
{
    static char texts[2][64];
    static int next;
    char *text = texts[next++ % 2];
    const struct model_table *party = rig_table(node, "party");
    const uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
    struct store_row row;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    begin_look(rig, node);
    enum err e = get(node, "party", &id, &arena, &row);
    if (e == ERR_OK)
        (void)snprintf(text, sizeof texts[0], "%.*s", (int)row.values[name].as.bytes.size,
                       (const char *)row.values[name].as.bytes.data);
    else if (e == ERR_NOT_FOUND)
        (void)snprintf(text, sizeof texts[0], "-");
    else
        rig_fail(rig, "a row of node %d cannot be read: ERR_%s", node->number, err_name(e));
    end_look(node);
    arena_done(&arena);
    return text;
}

/* ---- promises ---- */

void rig_check_promises(struct rig *rig, struct rig_node *node)
{
    rig_check_photo(rig, node);
    for (int i = 0; i < rig->write_count; i++) {
        const struct rig_write *write = &rig->writes[i];
        bool promised =
            node->number == RIG_HUB ? write->decided : write->node == node->number && write->saved;
        if (!promised || write->over)
            continue;
        const char *name = rig_name(rig, node, write->id);
        bool there = strcmp(name, "-") != 0;
        /* A value may have lost against another one since, which headquarters' records tell. */
        bool right = write->kind == RIG_DELETE ? !there : there;
        if (write->kind != RIG_DELETE && !write->decided && node->number != RIG_HUB)
            right = strcmp(name, write->name) == 0;
        if (!right)
            rig_fail(rig, "node %d has lost '%s' (transaction %d), which was %s: it shows '%s'",
                     node->number, write->name, i,
                     node->number == RIG_HUB ? "acknowledged" : "saved", name);
    }
}

/* ---- equality ---- */

struct comparison {
    struct rig *rig;
    struct rig_node *from, *to;
    const struct model_table *table;
    uint32_t rows;
    struct arena arena;
};

static int compare_row(void *context, const struct uuid *id)
{
    struct comparison *c = context;
    struct store_row a, b;
    char text[UUID_TEXT_SIZE];
    arena_reset(&c->arena);
    uuid_format(id, text);
    c->rows++;
    if (get(c->from, c->table->name, id, &c->arena, &a) != ERR_OK)
        rig_fail(c->rig, "%s %s cannot be read", c->table->name, text);
    if (get(c->to, c->table->name, id, &c->arena, &b) != ERR_OK)
        rig_fail(c->rig, "%s %s is with node %d and not with node %d", c->table->name, text,
                 c->from->number, c->to->number);
    for (uint16_t i = 0; i < c->table->column_count; i++)
        if (!value_equal(&a.values[i], &b.values[i]))
            rig_fail(c->rig, "%s %s differs in %s", c->table->name, text,
                     c->table->columns[i].name);
    if (!bytes_equal(a.version, b.version) || a.bucket != b.bucket)
        rig_fail(c->rig, "%s %s differs in its version or bucket", c->table->name, text);
    return 0;
}

/* Live rows of a table; each is compared with the other node's. */
static uint32_t compare(struct rig *rig, struct rig_node *from, struct rig_node *to,
                        const struct model_table *table)
{
    struct comparison c = {.rig = rig, .from = from, .to = to, .table = table};
    arena_init(&c.arena, ARENA_MAX);
    enum err e = store_row_scan(from->store, table, NULL, compare_row, &c);
    arena_done(&c.arena);
    if (e != ERR_OK)
        rig_fail(rig, "%s cannot be read: ERR_%s", table->name, err_name(e));
    return c.rows;
}

static void check_equal(struct rig *rig, struct rig_node *device)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    struct replica_status status;
    replica_status(device->replica, &status);
    if (status.outbox_count != 0 || status.parked_count != 0 || status.attention_count != 0 ||
        status.reconcile || status.differs)
        rig_fail(rig, "node %d is not at rest: outbox %llu, parked %llu, attention %llu%s",
                 device->number, (unsigned long long)status.outbox_count,
                 (unsigned long long)status.parked_count,
                 (unsigned long long)status.attention_count,
                 status.reconcile || status.differs ? ", to be reconciled" : "");
    begin_look(rig, device);
    begin_look(rig, hub);
    for (uint16_t i = 0; i < device->model->table_count; i++) {
        const struct model_table *table = &device->model->tables[i];
        uint32_t here = compare(rig, device, hub, table), there = compare(rig, hub, device, table);
        if (here != there)
            rig_fail(rig, "node %d has %u rows of %s, headquarters %u", device->number, here,
                     table->name, there);
    }
    end_look(hub);
    end_look(device);
}

/* ---- the end ---- */

struct count {
    uint32_t rows;
};

static int count_row(void *context, const struct uuid *id)
{
    (void)id;
    ((struct count *)context)->rows++;
    return 0;
}

static uint32_t count_rows(struct rig *rig, struct rig_node *node, const char *table)
{
    struct count count = {0};
    begin_look(rig, node);
    if (store_row_scan(node->store, rig_table(node, table), NULL, count_row, &count) != ERR_OK)
        rig_fail(rig, "%s cannot be read", table);
    end_look(node);
    return count.rows;
}

static int64_t points(struct rig *rig, struct rig_node *node)
{
    const struct model_table *party = rig_table(node, "party");
    struct store_row row;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    begin_look(rig, node);
    if (get(node, "party", &rig->shared, &arena, &row) != ERR_OK)
        rig_fail(rig, "the shared record is gone");
    int64_t value =
        row.values[model_column_by_name(party, bytes_of_text("points"))->index].as.integer;
    end_look(node);
    arena_done(&arena);
    return value;
}

void rig_problem(void *context, const char *text)
{
    rig_fail(context, "verification: %s", text);
}

static void verify(struct rig *rig, struct rig_node *node)
{
    enum err e = store_sqlite_verify(node->store, rig_problem, rig);
    if (e != ERR_OK)
        rig_fail(rig, "verification of node %d: ERR_%s", node->number, err_name(e));
    if (node->number == RIG_HUB) /* digests, audit chain */
        (void)rig_admin(rig, ERR_OK, "{\"do\":\"verify\"}");
}

/* Each insert once, the shared record's counter as often as there were inserts beside its own. */
static void check_totals(struct rig *rig, struct rig_node *node)
{
    uint32_t inserted = 0, deleted = 0;
    for (int i = 0; i < rig->write_count; i++) {
        inserted += rig->writes[i].kind == RIG_INSERT;
        deleted += rig->writes[i].kind == RIG_DELETE;
    }
    uint32_t rows = count_rows(rig, node, "party");
    if (rows != inserted - deleted)
        rig_fail(rig, "node %d has %u records, %u were made", node->number, rows,
                 inserted - deleted);
    if (inserted > 0 && points(rig, node) != inserted - 1)
        rig_fail(rig, "node %d counts %d, %u were added", node->number, (int)points(rig, node),
                 inserted - 1);
    uint32_t conflicts = count_rows(rig, node, "conflict");
    if (conflicts != rig->conflicts)
        rig_fail(rig, "node %d has %u conflict records, not %u", node->number, conflicts,
                 rig->conflicts);
}

void rig_finish(struct rig *rig)
{
    rig_mend(rig);
    rig->in_vain = 0;
    for (int i = rig->count; i-- > 0;) { /* whatever was promised was promised for this case too */
        sim_disk_crash(rig->nodes[i].disk, SIM_DISK_LOSE, 0);
        rig_stop(rig, &rig->nodes[i]);
        sim_disk_start(rig->nodes[i].disk);
    }
    for (int i = 0; i < rig->count; i++)
        rig_ready(rig, &rig->nodes[i]);
    for (int round = 0; round < 2; round++)
        for (int i = 1; i < rig->count; i++)
            if (!rig->nodes[i].revoked && rig->nodes[i].enrolled)
                rig_sync(rig, &rig->nodes[i]);
    verify(rig, &rig->nodes[RIG_HUB]);
    check_totals(rig, &rig->nodes[RIG_HUB]);
    for (int i = 1; i < rig->count; i++) {
        verify(rig, &rig->nodes[i]);
        if (rig->nodes[i].revoked)
            continue;
        check_equal(rig, &rig->nodes[i]);
        check_totals(rig, &rig->nodes[i]);
    }
}
