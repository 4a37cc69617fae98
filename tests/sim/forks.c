/* forks.c - a device has just gone on under a new origin: each group that waits says which number it had, and
 * none names another one by its old number, which nobody else may ever have heard of. */
#include <sqlite3.h>

#include "common/store_sqlite/store_sqlite.h"
#include "protocol/group.h"
#include "tests/sim/history.h"

enum { GROUPS_MOST = 400 };

struct forks {
    struct node *node;
    struct arena arena;
    struct group groups[GROUPS_MOST];
    uint32_t count;
};

static void read_groups(struct forks *f, uint64_t origin)
{
    sqlite3_stmt *row;
    uint8_t key[8];
    be64_put(key, origin);
    if (sqlite3_prepare_v2(store_sqlite_handle(f->node->store),
                           "SELECT v FROM satchel_outbox WHERE substr(k,1,8)=? ORDER BY k", -1,
                           &row, NULL) != SQLITE_OK)
        return;
    sqlite3_bind_blob(row, 1, key, sizeof key, SQLITE_TRANSIENT);
    while (f->count < GROUPS_MOST && sqlite3_step(row) == SQLITE_ROW) {
        struct bytes raw,
            view = bytes_of(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
        if (arena_copy(&f->arena, view, &raw) == ERR_OK &&
            group_decode(f->node->world->model, raw, &f->arena, &f->groups[f->count], NULL) ==
                ERR_OK)
            f->count++;
    }
    sqlite3_finalize(row);
}

static void look_at_dot(const struct forks *f, const struct dot *dot)
{
    for (uint32_t i = 0; !dot_is_none(dot) && i < f->count; i++)
        if (dot_equal(&f->groups[i].renamed, dot))
            broken(f->node->world, "a fork renumbers all",
                   "a waiting group of %s names %016llx/%llu, which is %llu of its new origin",
                   f->node->name, (unsigned long long)dot->origin, (unsigned long long)dot->oseq,
                   (unsigned long long)f->groups[i].dot.oseq);
}

static void look_at_set(const struct forks *f, struct dot_set set)
{
    for (uint16_t i = 0; i < set.count; i++)
        look_at_dot(f, &set.dots[i]);
}

static void look_at_group(const struct forks *f, const struct group *group)
{
    for (uint32_t m = 0; m < group->mutation_count; m++) {
        const struct mutation *mutation = &group->mutations[m];
        look_at_dot(f, &mutation->insert);
        look_at_set(f, mutation->deletes);
        for (uint16_t i = 0; i < mutation->frontier_count; i++)
            look_at_set(f, mutation->frontier[i].seen);
        for (uint16_t i = 0; i < mutation->write_count; i++) {
            look_at_set(f, mutation->writes[i].seen);
            for (uint32_t k = 0; k < mutation->writes[i].remove_count; k++)
                look_at_dot(f, &mutation->writes[i].removes[k].dot);
        }
    }
}

void fork_check(struct node *node, uint64_t old)
{
    static struct forks f;
    struct replica_status status;
    replica_status(node->replica, &status);
    f.node = node;
    f.count = 0;
    arena_init(&f.arena, 64 << 20);
    read_groups(&f, status.origin);
    for (uint32_t i = 0; i < f.count; i++) {
        if (f.groups[i].renamed.origin != old)
            broken(node->world, "a fork renumbers all",
                   "waiting group %llu of %s does not say which number it had",
                   (unsigned long long)f.groups[i].dot.oseq, node->name);
        look_at_group(&f, &f.groups[i]);
    }
    arena_done(&f.arena);
}
