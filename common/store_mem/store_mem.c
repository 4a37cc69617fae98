/* Handles, transactions, and the list of changes. */
#include "common/store_mem/store_mem.h"

#include <assert.h>
#include <stdlib.h>

#include "common/store_mem/mem_store.h"

struct mem_store *mem_of(struct store *store)
{
    return (struct mem_store *)store;
}

enum err mem_counted(struct mem_store *s)
{
    s->calls++;
    if (s->fail_at == 0 || s->calls != s->fail_at)
        return ERR_OK;
    s->fail_at = 0;
    return s->failure;
}

enum err mem_counted_write(struct mem_store *s)
{
    assert(s->state == MEM_WRITING);
    return mem_counted(s);
}

enum err mem_counted_read(struct mem_store *s)
{
    assert(s->state != MEM_IDLE);
    return mem_counted(s);
}

/* Room for the notes of `count` changes, so that a call that makes several does all or nothing. */
enum err mem_reserve_changes(struct mem_store *s, size_t count)
{
    if (s->change_count + count <= s->change_capacity)
        return ERR_OK;
    size_t capacity = s->change_capacity * 2 + count + 16;
    struct mem_change *changes = realloc(s->changes, capacity * sizeof *changes);
    if (changes == NULL)
        return ERR_NOMEM;
    s->changes = changes;
    s->change_capacity = capacity;
    return ERR_OK;
}

/* Notes what is replaced and does it; room is there. Takes over the caller's reference. */
void mem_change(struct mem_store *s, uint32_t map, struct mem_entry *before,
                struct mem_entry *after)
{
    assert(s->change_count < s->change_capacity);
    if (before == NULL && after == NULL)
        return;
    if (before != NULL)
        (void)mem_entry_hold(before);
    s->changes[s->change_count++] =
        (struct mem_change){.map = map, .before = before, .after = after};
    if (after != NULL)
        mem_map_set(&s->maps[map], after);
    else
        mem_map_remove(&s->maps[map], before->key);
}

static void undo(struct mem_map *maps, const struct mem_change *changed)
{
    struct mem_map *map = &maps[changed->map];
    if (changed->before != NULL)
        mem_map_set(map, changed->before); /* there is room: it was there before */
    else
        mem_map_remove(map, changed->after->key);
}

static void forget_changes(struct mem_store *s, size_t down_to)
{
    while (s->change_count > down_to) {
        s->change_count--;
        mem_entry_drop(s->changes[s->change_count].before);
        mem_entry_drop(s->changes[s->change_count].after);
    }
}

static void undo_changes(struct mem_store *s, size_t down_to)
{
    for (size_t i = s->change_count; i > down_to; i--)
        undo(s->maps, &s->changes[i - 1]);
    forget_changes(s, down_to);
}

enum err mem_put(struct mem_store *s, uint32_t map, struct mem_entry *entry)
{
    enum err err = entry == NULL ? ERR_NOMEM : mem_reserve_changes(s, 1);
    if (err == ERR_OK)
        err = mem_map_reserve(&s->maps[map]);
    if (err == ERR_OK)
        mem_change(s, map, mem_map_get(&s->maps[map], entry->key), entry);
    else
        mem_entry_drop(entry);
    return err;
}

enum err mem_erase(struct mem_store *s, uint32_t map, struct bytes key)
{
    enum err err = mem_reserve_changes(s, 1);
    if (err == ERR_OK)
        mem_change(s, map, mem_map_get(&s->maps[map], key), NULL);
    return err;
}

/* Scans look the next key up anew each time, so that fn may change other tables. Each returns the
 * entry to show, held, or NULL at the end. */
static struct mem_entry *next_entry(struct mem_store *s, uint32_t map, struct bytes key, bool after,
                                    struct bytes to)
{
    const struct mem_map *in = &s->maps[map];
    size_t place = mem_map_find(in, key);
    if (after && place < in->count && bytes_equal(in->entries[place]->key, key))
        place++;
    if (place >= in->count || (to.size > 0 && bytes_compare(in->entries[place]->key, to) >= 0))
        return NULL;
    return mem_entry_hold(in->entries[place]);
}

enum err mem_scan(struct mem_store *s, uint32_t map, struct bytes from, bool after, struct bytes to,
                  entry_fn *fn, void *context)
{
    enum err err = mem_counted_read(s);
    int result = 0;
    struct mem_entry *entry = err == ERR_OK ? next_entry(s, map, from, after, to) : NULL;
    while (entry != NULL && (result = fn(context, entry)) == 0) {
        struct mem_entry *next = next_entry(s, map, entry->key, true, to);
        mem_entry_drop(entry);
        entry = next;
    }
    mem_entry_drop(entry);
    if (err != ERR_OK)
        return err;
    return result == STORE_STOP ? ERR_OK : (enum err)result;
}

/* Handles and transactions. */

static void mem_close(struct store *store)
{
    struct mem_store *s = mem_of(store);
    undo_changes(s, 0);
    free(s->changes);
    for (uint32_t i = 0; i < s->map_count; i++)
        mem_map_done(&s->maps[i]);
    free(s->maps);
    free(s);
}

static struct mem_store *mem_new(const struct model *model, const struct store_ops *ops,
                                 struct mem_store *writer)
{
    struct mem_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->store = (struct store){.ops = ops, .model = model};
    s->writer = writer;
    s->commits = writer == NULL ? 0 : UINT64_MAX;
    s->map_count = MAP_TABLES + (uint32_t)model->table_count * TABLE_MAP_COUNT;
    s->maps = calloc(s->map_count, sizeof *s->maps);
    if (s->maps == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

static enum err mem_reader(struct store *store, struct store **ret_reader)
{
    struct mem_store *s = mem_of(store);
    enum err err = mem_counted(s);
    if (err != ERR_OK)
        return err;
    struct mem_store *reader = mem_new(store->model, store->ops, s->writer != NULL ? s->writer : s);
    if (reader == NULL)
        return ERR_NOMEM;
    *ret_reader = &reader->store;
    return ERR_OK;
}

/* The writer's maps as of its last commit: a copy, and its open changes undone in the copy. */
static enum err copy_committed(struct mem_store *s)
{
    const struct mem_store *writer = s->writer;
    enum err err = ERR_OK;
    if (s->commits == writer->commits)
        return ERR_OK;
    s->commits = UINT64_MAX;
    for (uint32_t i = 0; err == ERR_OK && i < s->map_count; i++)
        err = mem_map_copy(&s->maps[i], &writer->maps[i]);
    for (size_t i = writer->change_count; err == ERR_OK && i > 0; i--) {
        err = mem_map_reserve(&s->maps[writer->changes[i - 1].map]);
        if (err == ERR_OK)
            undo(s->maps, &writer->changes[i - 1]);
    }
    if (err == ERR_OK)
        s->commits = writer->commits;
    return err;
}

static enum err mem_begin(struct store *store, enum store_mode mode)
{
    struct mem_store *s = mem_of(store);
    assert(s->state == MEM_IDLE);
    enum err err = mem_counted(s);
    if (err == ERR_OK && mode != STORE_READ && s->writer != NULL)
        err = ERR_FORBIDDEN;
    if (err == ERR_OK && s->writer != NULL)
        err = copy_committed(s);
    if (err == ERR_OK)
        s->state = mode == STORE_READ ? MEM_READING : MEM_WRITING;
    return err;
}

static void mem_rollback(struct store *store)
{
    struct mem_store *s = mem_of(store);
    assert(s->state != MEM_IDLE);
    undo_changes(s, 0);
    s->has_savepoint = false;
    s->state = MEM_IDLE;
}

static enum err mem_commit(struct store *store)
{
    struct mem_store *s = mem_of(store);
    assert(s->state != MEM_IDLE);
    assert(!s->has_savepoint);
    enum err err = mem_counted(s);
    if (err != ERR_OK) {
        mem_rollback(store);
        return err;
    }
    if (s->change_count > 0)
        s->commits++;
    forget_changes(s, 0);
    s->state = MEM_IDLE;
    return ERR_OK;
}

static enum err mem_savepoint(struct store *store)
{
    struct mem_store *s = mem_of(store);
    assert(!s->has_savepoint);
    enum err err = mem_counted_write(s);
    if (err != ERR_OK)
        return err;
    s->has_savepoint = true;
    s->savepoint = s->change_count;
    return ERR_OK;
}

static enum err mem_release(struct store *store)
{
    struct mem_store *s = mem_of(store);
    assert(s->has_savepoint);
    s->has_savepoint = false;
    return mem_counted_write(s);
}

static enum err mem_rollback_to(struct store *store)
{
    struct mem_store *s = mem_of(store);
    assert(s->has_savepoint);
    s->has_savepoint = false;
    enum err err = mem_counted_write(s);
    if (err == ERR_OK)
        undo_changes(s, s->savepoint);
    return err;
}

static const struct store_ops mem_ops = {
    .close = mem_close,
    .reader = mem_reader,
    .begin = mem_begin,
    .commit = mem_commit,
    .rollback = mem_rollback,
    .savepoint = mem_savepoint,
    .release = mem_release,
    .rollback_to = mem_rollback_to,
    .row_get = mem_row_get,
    .row_put = mem_row_put,
    .row_insert = mem_row_insert,
    .row_delete = mem_row_delete,
    .children = mem_children,
    .base_get = mem_base_get,
    .base_put = mem_base_put,
    .base_delete = mem_base_delete,
    .log_put = mem_log_put,
    .log_delete = mem_log_delete,
    .log_scan = mem_log_scan,
    .side_get = mem_side_get,
    .side_put = mem_side_put,
    .side_delete = mem_side_delete,
    .side_scan = mem_side_scan,
    .row_scan = mem_row_scan,
    .dead_scan = mem_dead_scan,
};

enum err store_mem_open(const struct model *model, struct store **ret_store)
{
    assert(model != NULL && ret_store != NULL);
    struct mem_store *s = mem_new(model, &mem_ops, NULL);
    if (s == NULL)
        return ERR_NOMEM;
    *ret_store = &s->store;
    return ERR_OK;
}

void store_mem_fail_at(struct store *store, uint64_t k, enum err error)
{
    struct mem_store *s = mem_of(store);
    assert(k == 0 || error != ERR_OK);
    s->fail_at = k == 0 ? 0 : s->calls + k;
    s->failure = error;
}

uint64_t store_mem_call_count(const struct store *store)
{
    return ((const struct mem_store *)store)->calls;
}
