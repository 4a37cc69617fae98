#include "client/core/replica_blobs.h"
#include "client/core/replica_internal.h"

#include <string.h>

static const char limit_name[] = "attachment_max", policy_name[] = "attachment_fetch";

enum { CHECK_CHUNKS = 16, SWEEP_STEPS = 64 };

bool replica_has_blobs(const struct replica *r)
{
    for (uint16_t i = 0; i < r->model->table_count; i++)
        if (blob_table(&r->model->tables[i]))
            return true;
    return false;
}

/* ---- transactions: of a call, or part of the one under way ---- */

static enum err enter(struct replica *r, enum store_mode mode, bool *ret_own)
{
    *ret_own = !r->writing;
    return r->writing ? ERR_OK : replica_enter(r, mode);
}

static enum err leave(struct replica *r, bool own, enum err e)
{
    return own ? replica_leave(r, e) : e;
}

static enum err leave_reading(struct replica *r, bool own, enum err e)
{
    if (own)
        store_rollback(r->store);
    return e;
}

static enum err number_get(struct replica *r, const char *name, uint64_t fallback, uint64_t *ret)
{
    struct arena arena;
    struct bytes value;
    arena_init(&arena, 4096);
    enum err e = store_side_get(r->store, SIDE_META, bytes_of_text(name), &arena, &value);
    if (e == ERR_OK && value.size != 8)
        e = ERR_CORRUPT;
    uint64_t found = e == ERR_OK ? be64_get(value.data) : fallback;
    arena_done(&arena);
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        *ret = found;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err number_put(struct replica *r, const char *name, uint64_t number)
{
    uint8_t value[8];
    be64_put(value, number);
    return store_side_put(r->store, SIDE_META, bytes_of_text(name), bytes_of(value, 8));
}

static enum err policy(struct replica *r, uint64_t *ret)
{
    return number_get(r, policy_name, r->config.branch ? 0 : BLOB_FETCH_DEFAULT, ret);
}

/* ---- up ---- */

/* Whether it may be offered now. */
static enum err offerable(struct replica *r, const uint8_t hash[BLOB_HASH], uint64_t limit,
                          struct blob *ret, bool *ret_may)
{
    bool live = false, dead;
    enum err e = blob_get(r->store, hash, ret);
    *ret_may = false;
    if (e == ERR_NOT_FOUND || (e == ERR_OK && (!ret->whole || (ret->refused && ret->size > limit))))
        return ERR_OK;
    if (e == ERR_OK)
        e = blob_named(r->store, hash, &live, &dead);
    *ret_may = e == ERR_OK && live;
    return e;
}

enum err replica_blob_offers(struct replica *r, const uint8_t *after, uint32_t max,
                             struct arena *arena, struct blob_offer *ret, uint32_t *ret_count,
                             uint8_t ret_after[BLOB_HASH])
{
    bool own, may;
    uint8_t hash[BLOB_HASH];
    uint64_t limit;
    uint32_t count = 0;
    struct blob blob;
    enum err e = enter(r, STORE_READ, &own);
    if (e != ERR_OK)
        return e;
    if (after)
        memcpy(hash, after, BLOB_HASH);
    e = number_get(r, limit_name, BLOB_SIZE_DEFAULT, &limit);
    while (e == ERR_OK && count < max) {
        e = blob_list_next(r->store, BLOB_TO_OFFER, after, hash);
        if (e == ERR_OK)
            e = offerable(r, hash, limit, &blob, &may);
        if (e == ERR_OK && may) {
            e = arena_copy(arena, bytes_of(hash, BLOB_HASH), &ret[count].hash);
            ret[count++].size = blob.size;
        }
        after = hash;
    }
    if (e == ERR_NOT_FOUND)
        e = ERR_OK;
    if (e == ERR_OK) {
        *ret_count = count;
        memcpy(ret_after, hash, BLOB_HASH);
    }
    return leave_reading(r, own, e);
}

enum err replica_blob_chunk(struct replica *r, const uint8_t hash[BLOB_HASH], uint32_t n,
                            struct arena *arena, struct bytes *ret, uint64_t *ret_size)
{
    bool own;
    struct blob blob;
    enum err e = enter(r, STORE_READ, &own);
    if (e != ERR_OK)
        return e;
    e = blob_get(r->store, hash, &blob);
    if (e == ERR_OK)
        e = blob.whole ? blob_chunk(r->store, &blob, n, arena, ret) : ERR_NOT_FOUND;
    if (e == ERR_OK)
        *ret_size = blob.size;
    return leave_reading(r, own, e);
}

static enum err note_refused(struct replica *r, const uint8_t *hash)
{
    struct blob blob;
    enum err e = blob_get(r->store, hash, &blob);
    blob.refused = true;
    return e == ERR_OK ? blob_put(r->store, hash, &blob) : (e == ERR_NOT_FOUND ? ERR_OK : e);
}

/* It is larger than is taken without being asked for: known from now on. */
static enum err note_size(struct replica *r, const uint8_t *hash, uint64_t size)
{
    struct blob blob = {.whole = false};
    enum err e = blob_get(r->store, hash, &blob);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    if (blob.size > 0 || size > BLOB_SIZE_LIMIT)
        return ERR_OK;
    blob.size = size;
    return blob_put(r->store, hash, &blob);
}

/* Its bytes can be had now. */
static enum err note_news(struct replica *r, const uint8_t *hash)
{
    bool asked = false, named = false;
    enum err e = blob_list_has(r->store, BLOB_ASKED, hash, &asked);
    if (e == ERR_OK)
        e = blob_list_has(r->store, BLOB_TO_FETCH, hash, &named);
    return e == ERR_OK && (asked || named) ? blob_list_put(r->store, BLOB_NEWS, hash) : e;
}

static enum err take_state(struct replica *r, const struct blob_state *state)
{
    const uint8_t *hash = state->hash.data;
    enum err e = ERR_OK;
    switch (state->code) {
    case BLOB_AT_BRANCH:
    case BLOB_AT_HEADQUARTERS:
        e = blob_confirm(r->store, hash, state->code == BLOB_AT_HEADQUARTERS);
        return e == ERR_OK ? note_news(r, hash) : e;
    case BLOB_TOO_LARGE: return note_refused(r, hash);
    case BLOB_LARGER: return note_size(r, hash, state->next);
    default: return ERR_OK;
    }
}

enum err replica_blob_told(struct replica *r, const struct message_states *states)
{
    bool own;
    uint64_t limit;
    enum err e = enter(r, STORE_WRITE, &own);
    if (e != ERR_OK)
        return e;
    e = number_get(r, limit_name, 0, &limit);
    if (e == ERR_OK && states->limit != limit && states->limit <= BLOB_SIZE_LIMIT)
        e = number_put(r, limit_name, states->limit);
    for (uint32_t i = 0; e == ERR_OK && i < states->blobs_count; i++)
        e = take_state(r, &states->blobs[i]);
    return leave(r, own, e);
}

/* ---- down ---- */

static enum err may_want(struct replica *r, const uint8_t *hash, uint64_t most, bool *ret_may,
                         struct blob_wanted *ret)
{
    struct blob blob = {.whole = false};
    enum err e = blob_get(r->store, hash, &blob);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    bool all = blob.size > 0 && blob.have == blob_chunks(blob.size);
    *ret_may = !blob.whole && !all && blob.size <= most && blob.failures < BLOB_TRIES;
    *ret = (struct blob_wanted){.number = blob.have, .most = most};
    memcpy(ret->hash, hash, BLOB_HASH);
    return ERR_OK;
}

/* Of a list, after the cursor. ERR_NOT_FOUND. */
static enum err next_listed(struct replica *r, enum blob_list list, uint64_t most,
                            struct blob_cursor *cursor, struct blob_wanted *ret)
{
    bool may = false;
    enum err e = ERR_OK;
    while (e == ERR_OK && !may) {
        e = blob_list_next(r->store, list, cursor->began ? cursor->after : NULL, cursor->after);
        cursor->began = true;
        if (e == ERR_OK)
            e = may_want(r, cursor->after, most, &may, ret);
    }
    return e;
}

/* Takes news out of their list until one is wanted. */
static enum err next_news(struct replica *r, uint64_t most, struct blob_wanted *ret)
{
    uint8_t hash[BLOB_HASH];
    bool may = false, asked = false, named = false;
    enum err e = ERR_OK;
    while (e == ERR_OK && !may) {
        e = blob_list_next(r->store, BLOB_NEWS, NULL, hash);
        if (e == ERR_OK)
            e = blob_list_remove(r->store, BLOB_NEWS, hash);
        if (e == ERR_OK)
            e = blob_list_has(r->store, BLOB_ASKED, hash, &asked);
        if (e == ERR_OK)
            e = blob_list_has(r->store, BLOB_TO_FETCH, hash, &named);
        if (e == ERR_OK && (asked || (named && most > 0)))
            e = may_want(r, hash, asked ? UINT64_MAX : most, &may, ret);
    }
    return e;
}

static enum err wanted(struct replica *r, struct blob_cursor *cursor, struct blob_wanted *ret)
{
    uint64_t most;
    enum err e = policy(r, &most);
    if (e != ERR_OK)
        return e;
    if (cursor->phase == CURSOR_ASKED) {
        e = next_listed(r, BLOB_ASKED, UINT64_MAX, cursor, ret);
        if (e != ERR_NOT_FOUND)
            return e;
        *cursor = (struct blob_cursor){.phase = CURSOR_ALL};
    }
    if (cursor->phase == CURSOR_ALL && most > 0) {
        e = next_listed(r, BLOB_TO_FETCH, most, cursor, ret);
        if (e != ERR_NOT_FOUND)
            return e;
    }
    cursor->phase = CURSOR_NEWS;
    return next_news(r, most, ret);
}

enum err replica_blob_wanted(struct replica *r, struct blob_cursor *cursor, struct blob_wanted *ret)
{
    bool own;
    struct blob_cursor at = *cursor;
    enum err e = enter(r, STORE_WRITE_LATER, &own), found;
    if (e != ERR_OK)
        return e;
    found = wanted(r, &at, ret);
    e = leave(r, own, found == ERR_NOT_FOUND ? ERR_OK : found);
    if (e == ERR_OK)
        *cursor = at;
    return e == ERR_OK ? found : e;
}

enum err replica_blob_take(struct replica *r, const struct message_chunk *chunk, uint32_t *ret_next,
                           bool *ret_all)
{
    bool own;
    struct blob blob;
    const uint8_t *hash = chunk->hash.data;
    if (chunk->hash.size != BLOB_HASH || chunk->number > UINT32_MAX)
        return ERR_PROTOCOL;
    enum err e = enter(r, STORE_WRITE_LATER, &own); /* it can be had again */
    if (e != ERR_OK)
        return e;
    e = blob_take(r->store, hash, chunk->size, (uint32_t)chunk->number, chunk->data, &blob);
    bool all = e == ERR_EXISTS || (e == ERR_OK && blob.have == blob_chunks(blob.size));
    bool at_headquarters = chunk->code == BLOB_AT_HEADQUARTERS;
    if (e == ERR_OK && all && !blob.confirmed && at_headquarters) {
        blob.confirmed = true;
        e = blob_put(r->store, hash, &blob);
    }
    if (e == ERR_EXISTS || e == ERR_CONFLICT) /* came another way meanwhile */
        e = ERR_OK;
    e = leave(r, own, e == ERR_MALFORMED ? ERR_PROTOCOL : e);
    if (e == ERR_OK) {
        *ret_all = all;
        *ret_next = blob.have;
    }
    return e;
}

/* ---- checking, removing ---- */

static enum err check_some(struct replica *r, struct blob_work *work, enum blob_verdict *ret,
                           bool *ret_sweep)
{
    bool own;
    enum err e = enter(r, STORE_READ, &own);
    if (e != ERR_OK)
        return e;
    e = blob_check_step(r->store, r->config.crypto, &work->check, CHECK_CHUNKS, ret);
    if (e == ERR_OK && *ret == BLOB_NOTHING)
        e = blob_sweep_due(r->store, ret_sweep);
    (void)leave_reading(r, own, e);
    if (e != ERR_OK || (*ret != BLOB_RIGHT && *ret != BLOB_WRONG))
        return e;
    e = enter(r, STORE_WRITE, &own);
    if (e != ERR_OK)
        return e;
    return leave(r, own, blob_checked(r->store, &work->check, *ret == BLOB_RIGHT, false));
}

static enum err sweep_some(struct replica *r, bool *ret_more)
{
    const struct blob_sweep sweep = {.steps = SWEEP_STEPS, .keep_ms = -1};
    bool own;
    enum err e = enter(r, STORE_WRITE_LATER, &own);
    return e == ERR_OK ? leave(r, own, blob_sweep(r->store, &sweep, ret_more)) : e;
}

enum err replica_blob_work(struct replica *r, struct blob_work *work, bool *ret_more,
                           bool *ret_whole, bool *ret_wrong, uint8_t ret_hash[BLOB_HASH])
{
    enum blob_verdict verdict = BLOB_NOTHING;
    *ret_whole = *ret_wrong = false;
    bool sweep = false;
    enum err e = check_some(r, work, &verdict, &sweep);
    if (e != ERR_OK)
        return e;
    if (verdict == BLOB_NOTHING) {
        *ret_more = false;
        return sweep ? sweep_some(r, ret_more) : ERR_OK;
    }
    *ret_more = true;
    *ret_whole = verdict == BLOB_RIGHT;
    *ret_wrong = verdict == BLOB_WRONG;
    memcpy(ret_hash, work->check.hash, BLOB_HASH);
    return ERR_OK;
}

/* ---- for people ---- */

enum err replica_blob_ask(struct replica *r, const uint8_t hash[BLOB_HASH])
{
    bool own;
    enum err e = enter(r, STORE_WRITE, &own);
    return e == ERR_OK ? leave(r, own, blob_ask(r->store, hash)) : e;
}

enum err replica_blob_policy(struct replica *r, uint64_t *ret_bytes)
{
    bool own;
    enum err e = enter(r, STORE_READ, &own);
    return e == ERR_OK ? leave_reading(r, own, policy(r, ret_bytes)) : e;
}

enum err replica_blob_set_policy(struct replica *r, uint64_t bytes)
{
    bool own;
    enum err e = enter(r, STORE_WRITE, &own);
    return e == ERR_OK ? leave(r, own, number_put(r, policy_name, bytes)) : e;
}

enum err replica_blob_limit(struct replica *r, uint64_t *ret_bytes)
{
    bool own;
    enum err e = enter(r, STORE_READ, &own);
    if (e != ERR_OK)
        return e;
    return leave_reading(r, own, number_get(r, limit_name, BLOB_SIZE_DEFAULT, ret_bytes));
}

enum err replica_blob_state(struct replica *r, const uint8_t hash[BLOB_HASH], struct blob *ret)
{
    bool own;
    enum err e = enter(r, STORE_READ, &own);
    return e == ERR_OK ? leave_reading(r, own, blob_get(r->store, hash, ret)) : e;
}

struct counting {
    struct replica *r;
    struct blob_counts *counts;
};

static int count_to_fetch(void *context, const uint8_t hash[BLOB_HASH])
{
    struct counting *c = context;
    struct blob blob = {.whole = false};
    enum err e = blob_get(c->r->store, hash, &blob);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return (int)e;
    c->counts->to_fetch++;
    c->counts->bytes_to_fetch += blob.size - blob_here(&blob);
    return 0;
}

static int count_here(void *context, const uint8_t hash[BLOB_HASH], const struct blob *blob)
{
    struct counting *c = context;
    struct blob_counts *counts = c->counts;
    bool live, dead;
    counts->here += blob->whole;
    counts->bytes_here += blob_here(blob);
    if (!blob->whole || blob->confirmed)
        return 0;
    enum err e = blob_named(c->r->store, hash, &live, &dead);
    counts->unnamed += e == ERR_OK && !live;
    counts->refused += live && blob->refused;
    if (e == ERR_OK && live && !blob->at_branch) {
        counts->to_send++;
        counts->bytes_to_send += blob->size;
    }
    return (int)e;
}

enum err replica_blob_counts_within(struct replica *r, struct blob_counts *ret)
{
    struct blob_counts counts = {0};
    struct counting c = {r, &counts};
    enum err e = blob_scan(r->store, count_here, &c);
    if (e == ERR_OK)
        e = blob_list_scan(r->store, BLOB_TO_FETCH, count_to_fetch, &c);
    if (e == ERR_OK)
        *ret = counts;
    return e;
}

enum err replica_blob_counts(struct replica *r, struct blob_counts *ret)
{
    bool own;
    enum err e = enter(r, STORE_READ, &own);
    return e == ERR_OK ? leave_reading(r, own, replica_blob_counts_within(r, ret)) : e;
}

enum err replica_blob_settings_within(struct replica *r, uint64_t *ret_automatic,
                                      uint64_t *ret_limit)
{
    enum err e = policy(r, ret_automatic);
    return e == ERR_OK ? number_get(r, limit_name, BLOB_SIZE_DEFAULT, ret_limit) : e;
}

enum err replica_blob_begin(struct replica *r, struct blob_writer *writer)
{
    bool own;
    enum err e = enter(r, STORE_WRITE, &own);
    return e == ERR_OK ? leave(r, own, blob_writer_begin(r->store, r->config.crypto, writer)) : e;
}

enum err replica_blob_add(struct replica *r, struct blob_writer *writer, struct bytes data)
{
    bool own;
    enum err e = enter(r, STORE_WRITE_LATER, &own); /* the end syncs it */
    return e == ERR_OK ? leave(r, own, blob_writer_add(r->store, writer, data)) : e;
}

enum err replica_blob_end(struct replica *r, struct blob_writer *writer,
                          uint8_t ret_hash[BLOB_HASH])
{
    return r->writing ? blob_writer_end(r->store, writer, ret_hash) : ERR_INVALID;
}
