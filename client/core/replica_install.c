/* replica_install.c - entries of pages: rows, deltas, departures and own changes enter the confirmed layer.
 * Source: SPEC.md 8, 10. */
#include "client/core/replica_compare.h"
#include "client/core/replica_kept.h"
#include "client/core/replica_log.h"

#include <stdlib.h>
#include <string.h>

enum { TOUCHED_MAX = 4 << 20, ENTRY_ARENA_MAX = 64 << 20 };

void install_init(struct install *in, struct replica *r)
{
    *in = (struct install){.r = r, .reconcile = r->reconcile};
    arena_init(&in->arena, REPLICA_ARENA_MAX);
    arena_init(&in->entry, ENTRY_ARENA_MAX);
    hash_map_init(&in->index, TOUCHED_MAX, 0);
    hash_map_init(&in->seen, SEEN_MAX, 0);
    hash_map_init(&in->own, SEEN_MAX, 0);
}

void install_done(struct install *in)
{
    arena_done(&in->arena);
    arena_done(&in->entry);
    hash_map_done(&in->index);
    hash_map_done(&in->seen);
    hash_map_done(&in->own);
}

void install_key(const struct model_table *table, const struct uuid *id, uint8_t out[18])
{
    be16_put(out, table->id);
    memcpy(out + 2, id->byte, 16);
}

static enum err touch(struct install *in, const struct model_table *table, const struct uuid *id,
                      const struct base *base, struct touched **ret)
{
    uint8_t key[18];
    install_key(table, id, key);
    struct touched *t = arena_calloc(&in->arena, 1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    *t = (struct touched){.table = table, .id = *id, .base = *base};
    enum err e = hash_map_put_pointer(&in->index, bytes_of(key, sizeof key), t);
    if (e != ERR_OK)
        return e;
    if (in->last)
        in->last->next = t;
    else
        in->first = t;
    in->last = t;
    *ret = t;
    return ERR_OK;
}

enum err install_base(struct install *in, const struct model_table *table, const struct uuid *id,
                      struct touched **ret)
{
    uint8_t key[18];
    install_key(table, id, key);
    union hash_value *found = hash_map_get(&in->index, bytes_of(key, sizeof key));
    *ret = found ? found->pointer : NULL;
    if (found)
        return ERR_OK;
    if (in->direct && in->r->outbox_count == 0)
        return ERR_OK; /* an empty replica has none */
    struct base base;
    enum err e = base_load(in->r, table, id, &in->arena, &base);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    return e == ERR_OK ? touch(in, table, id, &base, ret) : e;
}

/* ---- digests of the confirmed layer ---- */

static enum err account(struct install *in, uint32_t bucket, const struct model_table *table,
                        const struct uuid *id, const struct store_row *row, bool add)
{
    struct replica *r = in->r;
    struct digest digest;
    struct cursor *cursor = cursor_get(r, bucket);
    if (!cursor)
        return ERR_NOMEM;
    enum err e = digest_row(r->config.crypto, table, id, row, &r->scratch, &digest);
    if (e != ERR_OK)
        return e;
    if (add) {
        digest_add(&cursor->sum, &digest);
        cursor->count++;
    } else {
        digest_subtract(&cursor->sum, &digest);
        cursor->count--;
    }
    cursor->dirty = true;
    compare_account(r, bucket, table, id, &digest, add);
    return ERR_OK;
}

static enum err row_copy(struct arena *arena, const struct model_table *table,
                         const struct store_row *in, struct store_row *ret)
{
    struct store_row row = *in;
    row.values = arena_alloc(arena, table->column_count * sizeof *row.values);
    if (!row.values)
        return ERR_NOMEM;
    enum err e = arena_copy(arena, in->version, &row.version);
    for (uint16_t i = 0; e == ERR_OK && i < table->column_count; i++)
        e = value_copy(arena, &in->values[i], &row.values[i]);
    if (e == ERR_OK)
        *ret = row;
    return e;
}

/* An own insert waits until its mark comes, at the end of the checkpoint; but what the checkpoint says of it
 * before, counts. */
static enum err note_confirmed_now(struct install *in, const struct model_table *table,
                                   const struct uuid *id)
{
    uint8_t key[18];
    install_key(table, id, key);
    return hash_map_put_number(&in->own, bytes_of(key, sizeof key), 1);
}

static bool is_confirmed_now(const struct install *in, const struct model_table *table,
                             const struct uuid *id)
{
    uint8_t key[18];
    install_key(table, id, key);
    return hash_map_get(&in->own, bytes_of(key, sizeof key)) != NULL;
}

/* Whether the row that comes is newer than what is here. One that has another insert is the record's next life, after
 * it was purged and brought back, or the one before: their revisions say nothing of each other. */
static enum err is_newer(const struct store_row *old, const struct version_head *comes, bool *ret)
{
    struct version_head have;
    if (version_peek(old->version, &have) != ERR_OK)
        return ERR_CORRUPT;
    if (dot_equal(&have.insert, &comes->insert))
        *ret = comes->revision > have.revision;
    else if (have.insert_stamp != comes->insert_stamp)
        *ret = comes->insert_stamp > have.insert_stamp;
    else
        *ret = dot_compare(&comes->insert, &have.insert) > 0;
    return ERR_OK;
}

static enum err revision_of(const struct store_row *row, uint64_t *ret)
{
    struct version_head head;
    if (version_peek(row->version, &head) != ERR_OK)
        return ERR_CORRUPT;
    *ret = head.revision;
    return ERR_OK;
}

/* Puts a confirmed row where it belongs: into the base copy, or as the row itself. old: the confirmed
 * row before, or NULL. */
static enum err confirm(struct install *in, const struct model_table *table, const struct uuid *id,
                        struct touched *t, const struct store_row *old, const struct store_row *row)
{
    enum err e = ERR_OK;
    if (old && (!in->reconcile || in->again))
        e = account(in, old->bucket, table, id, old, false);
    if (e == ERR_OK)
        e = account(in, row->bucket, table, id, row, true);
    if (e == ERR_OK)
        e = log_row(in, table, id, old, row);
    if (e != ERR_OK)
        return e;
    if (!t)
        return store_row_put(in->r->store, table, id, row);
    t->base.present = true;
    return row_copy(&in->arena, table, row, &t->base.row);
}

/* ---- entries ---- */

/* What the outbox held longer than its bucket is in no sum, and may be old: it counts as absent. */
static bool is_counted(const struct install *in, const struct touched *t)
{
    return t->base.present && bucket_subscribed(in->r, t->base.row.bucket);
}

enum err install_confirmed(struct install *in, const struct model_table *table,
                           const struct uuid *id, const struct touched *t, struct store_row *ret)
{
    if (t) {
        *ret = t->base.row;
        return is_counted(in, t) ? ERR_OK : ERR_NOT_FOUND;
    }
    struct store_row row;
    enum err e = store_row_get(in->r->store, table, id, &in->entry, &row);
    if (e != ERR_OK)
        return e;
    struct version_head head;
    if (version_peek(row.version, &head) != ERR_OK)
        return ERR_CORRUPT;
    if (is_waiting_insert(in->r, &row, &head.insert) && !is_confirmed_now(in, table, id))
        return ERR_NOT_FOUND;
    *ret = row;
    return ERR_OK;
}

static enum err gap(struct install *in)
{
    in->gap = true;
    return ERR_CONFLICT;
}

/* What a repair finds in the place of a row that came may be anything: what cannot be read, or is in a
 * bucket that there is not, is in no sum, and counts as absent. */
static enum err repair_old(struct install *in, enum err e, const struct store_row *old)
{
    if (!in->repair)
        return e;
    if (e == ERR_CORRUPT || (e == ERR_OK && !bucket_subscribed(in->r, old->bucket)))
        return ERR_NOT_FOUND;
    return e;
}

static enum err apply_row(struct install *in, const struct page_entry *entry)
{
    struct replica *r = in->r;
    struct version_head comes;
    if (version_peek(entry->version, &comes) != ERR_OK)
        return ERR_MALFORMED; /* damaged at headquarters: it must not enter this store */
    const struct store_row row = {.values = (struct value *)(uintptr_t)entry->values,
                                  .version = entry->version,
                                  .bucket = in->bucket,
                                  .position = entry->position,
                                  .dead = entry->dead};
    if (in->direct && !row.dead) { /* the common case of a first sync: nothing is there yet */
        enum err e = store_row_insert(r->store, entry->table, &entry->id, &row);
        if (e == ERR_OK)
            e = log_row(in, entry->table, &entry->id, NULL, &row);
        if (e == ERR_OK)
            return account(in, in->bucket, entry->table, &entry->id, &row, true);
        if (e != ERR_EXISTS)
            return e;
    }
    struct touched *t;
    struct store_row old;
    enum err e = install_base(in, entry->table, &entry->id, &t);
    if (e != ERR_OK)
        return e;
    e = install_confirmed(in, entry->table, &entry->id, t, &old);
    e = repair_old(in, e, &old);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    bool had = e == ERR_OK, newer = true;
    e = had ? is_newer(&old, &comes, &newer) : ERR_OK;
    if (e == ERR_OK && !had && is_pending(r, &comes.insert))
        e = note_confirmed_now(in, entry->table, &entry->id);
    if (e != ERR_OK)
        return e;
    if (!newer && !in->reconcile && !in->repair)
        return ERR_OK; /* an older row never replaces a newer one */
    return confirm(in, entry->table, &entry->id, t, had ? &old : NULL, &row);
}

/* The version after a delta: the written units have this one dot. */
static enum err delta_version(struct install *in, const struct page_entry *entry,
                              struct record *record)
{
    struct version *version = &record->version;
    struct unit_state *units =
        arena_calloc(&in->entry, version->unit_count + (size_t)entry->unit_count, sizeof *units);
    if (!units)
        return ERR_NOMEM;
    uint16_t count = 0, a = 0, b = 0;
    while (a < version->unit_count || b < entry->unit_count) {
        if (b == entry->unit_count ||
            (a < version->unit_count && version->units[a].unit < entry->units[b].unit)) {
            units[count++] = version->units[a++];
            continue;
        }
        if (a < version->unit_count && version->units[a].unit == entry->units[b].unit)
            a++;
        struct candidate *candidate = arena_calloc(&in->entry, 1, sizeof *candidate);
        if (!candidate)
            return ERR_NOMEM;
        *candidate = (struct candidate){.dot = entry->dot, .stamp = entry->stamp};
        units[count++] =
            (struct unit_state){.unit = entry->units[b].unit, .count = 1, .candidates = candidate};
        const struct model_unit *unit = &entry->table->units[entry->units[b].unit];
        for (uint16_t k = 0; k < unit->column_count; k++)
            record->values[unit->columns[k]] = entry->units[b].values[k];
        b++;
    }
    version->units = units;
    version->unit_count = count;
    version->revision = entry->revision;
    return ERR_OK;
}

static enum err apply_delta(struct install *in, const struct page_entry *entry)
{
    struct touched *t;
    struct store_row old;
    enum err e = install_base(in, entry->table, &entry->id, &t);
    if (e == ERR_OK)
        e = install_confirmed(in, entry->table, &entry->id, t, &old);
    if (e == ERR_NOT_FOUND)
        return gap(in);
    uint64_t have;
    if (e == ERR_OK)
        e = revision_of(&old, &have);
    if (e != ERR_OK)
        return e;
    if (have >= entry->revision)
        return ERR_OK;
    if (have != entry->previous)
        return gap(in);
    struct record record;
    struct store_row before = old;
    e = record_from_row(entry->table, &old, &in->entry, &record);
    if (e != ERR_OK)
        return e;
    struct value *copy = arena_alloc(&in->entry, entry->table->column_count * sizeof *copy);
    if (!copy)
        return ERR_NOMEM;
    memcpy(copy, record.values, entry->table->column_count * sizeof *copy);
    record.values = copy;
    e = delta_version(in, entry, &record);
    struct store_row row = {.bucket = in->bucket, .position = entry->position};
    if (e == ERR_OK)
        e = row_from_record(in->r, entry->table, &record, &in->entry, &row);
    return e == ERR_OK ? confirm(in, entry->table, &entry->id, t, &before, &row) : e;
}

/* Reconciling: whether the record has come in a row before. */
static bool has_arrived(const struct install *in, const struct page_entry *entry)
{
    uint8_t key[18];
    install_key(entry->table, &entry->id, key);
    return hash_map_get(&in->seen, bytes_of(key, sizeof key)) != NULL;
}

enum err install_remove(struct install *in, const struct model_table *table, const struct uuid *id,
                        struct touched *t, const struct store_row *old)
{
    enum err e = old ? account(in, old->bucket, table, id, old, false) : ERR_OK;
    if (e == ERR_OK)
        e = kept_note(in, table, id, t, old);
    if (e == ERR_OK)
        e = log_removed(in, old);
    if (e != ERR_OK)
        return e;
    if (!t)
        return store_row_delete(in->r->store, table, id);
    t->base.present = false;
    return ERR_OK;
}

/* Others' pending groups that touch a record out of scope may say what is in it: they go with it, as far as
 * they came from above. What they do to other records shows again when they are decided. */
static enum err forget_departed(struct install *in, struct touched *t)
{
    uint16_t count = t->base.pending_count;
    struct dot *dots = arena_calloc(&in->arena, count + 1u, sizeof *dots); /* the base loses them */
    if (!dots)
        return ERR_NOMEM;
    memcpy(dots, t->base.pending, count * sizeof *dots);
    enum err e = ERR_OK;
    for (uint16_t i = 0; e == ERR_OK && i < count; i++)
        if (dots[i].origin != in->r->origin)
            e = install_forget(in, &dots[i]);
    return e;
}

static enum err apply_gone(struct install *in, const struct page_entry *entry)
{
    struct touched *t;
    struct store_row old;
    enum err e = install_base(in, entry->table, &entry->id, &t);
    if (e == ERR_OK)
        e = install_confirmed(in, entry->table, &entry->id, t, &old);
    /* A branch tells of it, too: who comes from elsewhere may have had what was never here. */
    bool other = e == ERR_OK && old.bucket != in->bucket;                     /* of ours already */
    bool uncounted = e == ERR_OK && in->reconcile && !has_arrived(in, entry); /* drop_unseen() */
    if (e == ERR_NOT_FOUND || other || uncounted)
        return log_gone(in, entry->table, &entry->id, entry->position);
    if (e != ERR_OK)
        return e;
    e = install_remove(in, entry->table, &entry->id, t, &old);
    if (e == ERR_OK)
        e = log_gone(in, entry->table, &entry->id, entry->position);
    return e == ERR_OK && t ? forget_departed(in, t) : e;
}

/* An own mutation that was applied as it was written: the author holds the rest of the row. */
static enum err apply_own(struct install *in, const struct page_entry *entry)
{
    struct replica *r = in->r;
    struct group *group;
    enum err e = outbox_group(r, r->origin, entry->oseq, &group);
    if (e != ERR_OK || entry->mutation >= group->mutation_count) {
        in->gap = e == ERR_OK || e == ERR_NOT_FOUND;
        return e == ERR_OK || e == ERR_NOT_FOUND ? ERR_CONFLICT : e;
    }
    const struct mutation *mutation = &group->mutations[entry->mutation];
    struct touched *t;
    struct store_row row;
    e = install_base(in, mutation->table, &mutation->id, &t);
    if (e != ERR_OK)
        return e;
    if (!t && mutation->op == MUTATION_INSERT) {
        if (is_confirmed_now(in, mutation->table, &mutation->id))
            return ERR_OK; /* in another bucket already, and later */
        e = store_row_get(r->store, mutation->table, &mutation->id, &in->entry, &row);
        if (e != ERR_OK)
            return e;
        bool moves = row.bucket != in->bucket;
        row.bucket = in->bucket;
        row.position = entry->position;
        e = account(in, in->bucket, mutation->table, &mutation->id, &row, true);
        if (e == ERR_OK)
            e = note_confirmed_now(in, mutation->table, &mutation->id);
        return e == ERR_OK && moves ? store_row_put(r->store, mutation->table, &mutation->id, &row)
                                    : e;
    }
    struct record record = {0};
    const bool had = t && is_counted(in, t);
    if (!t || had == (mutation->op == MUTATION_INSERT))
        return gap(in);
    struct store_row old = t->base.row;
    if (had) {
        e = record_from_row(mutation->table, &old, &in->entry, &record);
        if (e == ERR_OK && record.version.revision >= entry->revision)
            return ERR_OK;
        struct value *copy = arena_alloc(&in->entry, mutation->table->column_count * sizeof *copy);
        if (!copy)
            return ERR_NOMEM;
        if (e == ERR_OK)
            memcpy(copy, record.values, mutation->table->column_count * sizeof *copy);
        record.values = copy;
    }
    struct merge_result result;
    if (e == ERR_OK)
        e = merge_into(r, mutation, &group->dot, group->stamp, MERGE_DECIDE, &in->entry, &record,
                       &result);
    if (e != ERR_OK)
        return e;
    if (result.reason != REASON_NONE || record.version.revision != entry->revision)
        return gap(in);
    row = (struct store_row){.bucket = in->bucket, .position = entry->position};
    e = row_from_record(r, mutation->table, &record, &in->entry, &row);
    return e == ERR_OK ? confirm(in, mutation->table, &mutation->id, t, had ? &old : NULL, &row)
                       : e;
}

static enum err apply_entry(void *context, const struct page_entry *entry)
{
    struct install *in = context;
    arena_reset(&in->entry);
    if (in->repair && entry->kind != PAGE_ROW)
        return ERR_PROTOCOL;
    if (entry->position <= in->passed)
        return ERR_OK; /* from a branch that is behind what is here */
    in->r->people_changed |=
        entry->table && (entry->table->id <= TABLE_DEVICE || entry->table->id == TABLE_TEAM ||
                         entry->table->id == TABLE_TEAM_MEMBER);
    if ((in->reconcile || in->repair) && entry->kind == PAGE_ROW) {
        uint8_t key[18];
        install_key(entry->table, &entry->id, key);
        in->again = has_arrived(in, entry);
        enum err e = hash_map_put_number(&in->seen, bytes_of(key, sizeof key), 1);
        if (e != ERR_OK)
            return e;
    }
    switch (entry->kind) {
    case PAGE_ROW: return apply_row(in, entry);
    case PAGE_DELTA: return apply_delta(in, entry);
    case PAGE_GONE: return apply_gone(in, entry);
    case PAGE_OWN: return apply_own(in, entry);
    }
    return ERR_BUG;
}

enum err install_body(struct install *in, uint32_t bucket, struct bytes body)
{
    struct arena decode;
    arena_init(&decode, ENTRY_ARENA_MAX);
    in->bucket = bucket;
    in->passed = 0;
    for (uint32_t i = 0; i < in->r->cursor_count && !in->reconcile && !in->repair; i++)
        if (in->r->cursors[i].bucket == bucket)
            in->passed = in->r->cursors[i].position;
    enum err e = page_read(in->r->model, body, &decode, apply_entry, in);
    arena_done(&decode);
    return e;
}
