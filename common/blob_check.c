/* blob_check.c - checking what came, writing what is new, removing what nobody names. See blob.h. */
#include "common/blob_internal.h"

#include <string.h>

/* ---- checking ---- */

void blob_check_done(struct blob_check *check)
{
    crypto_sha256_done(&check->state);
    check->open = false;
}

static enum err check_open(struct store *store, struct crypto *crypto, struct blob_check *check)
{
    enum err e = blob_list_next(store, BLOB_TO_CHECK, NULL, check->hash);
    if (e == ERR_OK)
        e = blob_get(store, check->hash, &check->blob);
    if (e == ERR_OK)
        e = crypto_sha256_begin(crypto, &check->state);
    check->next = 0;
    check->open = e == ERR_OK;
    return e;
}

/* Whether it is still the blob that the check began with: another may have taken its place. */
static bool is_current(struct store *store, const struct blob_check *check)
{
    struct blob now;
    return blob_get(store, check->hash, &now) == ERR_OK && now.number == check->blob.number;
}

static enum err hash_some(struct store *store, struct blob_check *check, uint32_t chunks)
{
    struct arena arena;
    enum err e = ERR_OK;
    arena_init(&arena, 2 * BLOB_CHUNK);
    for (uint32_t i = 0; e == ERR_OK && i < chunks && check->next < check->blob.have; i++) {
        struct bytes data;
        arena_reset(&arena);
        e = blob_chunk(store, &check->blob, check->next, &arena, &data);
        if (e == ERR_OK)
            e = crypto_sha256_update(&check->state, data);
        check->next++;
    }
    arena_done(&arena);
    return e;
}

enum err blob_check_step(struct store *store, struct crypto *crypto, struct blob_check *check,
                         uint32_t chunks, enum blob_verdict *ret)
{
    uint8_t hash[BLOB_HASH];
    if (check->open && !is_current(store, check))
        check->open = false;
    enum err e = check->open ? ERR_OK : check_open(store, crypto, check);
    if (e == ERR_NOT_FOUND) {
        *ret = BLOB_NOTHING;
        return ERR_OK;
    }
    if (e == ERR_OK)
        e = hash_some(store, check, chunks);
    if (e == ERR_NOT_FOUND) { /* a chunk is missing: damage */
        check->open = false;
        *ret = BLOB_WRONG;
        return ERR_OK;
    }
    if (e == ERR_OK && check->next < check->blob.have) {
        *ret = BLOB_MORE;
        return ERR_OK;
    }
    if (e == ERR_OK)
        e = crypto_sha256_end(&check->state, hash);
    check->open = false;
    if (e == ERR_OK)
        *ret = memcmp(hash, check->hash, BLOB_HASH) == 0 ? BLOB_RIGHT : BLOB_WRONG;
    return e;
}

static enum err now_whole(struct store *store, const uint8_t hash[BLOB_HASH],
                          const struct blob *blob)
{
    bool live, dead;
    enum err e = blob_put(store, hash, blob);
    if (e == ERR_OK)
        e = blob_list_remove(store, BLOB_TO_CHECK, hash);
    if (e == ERR_OK)
        e = blob_list_remove(store, BLOB_TO_FETCH, hash);
    if (e == ERR_OK)
        e = blob_list_remove(store, BLOB_ASKED, hash);
    if (e == ERR_OK)
        e = blob_list_remove(store, BLOB_NEWS, hash);
    if (e == ERR_OK && !blob->confirmed)
        e = blob_list_put(store, BLOB_TO_OFFER, hash);
    if (e == ERR_OK)
        e = blob_named(store, hash, &live, &dead);
    return e == ERR_OK && !live ? blob_list_put(store, BLOB_UNNAMED, hash) : e;
}

enum err blob_checked(struct store *store, const struct blob_check *check, bool right,
                      bool confirmed)
{
    struct blob blob = check->blob;
    if (!is_current(store, check))
        return ERR_OK;
    if (right) {
        blob.whole = true;
        blob.failures = 0;
        blob.confirmed |= confirmed;
        return now_whole(store, check->hash, &blob);
    }
    enum err e = blob_forget(store, check->hash);
    blob = (struct blob){.failures = (uint8_t)(blob.failures + (blob.failures < 255)),
                         .size = blob.size};
    return e == ERR_OK ? blob_put(store, check->hash, &blob) : e;
}

enum err blob_verify(struct store *store, struct crypto *crypto, const uint8_t hash[BLOB_HASH],
                     const struct blob *blob)
{
    struct blob_check check = {.blob = *blob};
    uint8_t found[BLOB_HASH];
    enum err e = crypto_sha256_begin(crypto, &check.state);
    if (e == ERR_OK)
        e = hash_some(store, &check, UINT32_MAX);
    if (e == ERR_OK)
        e = crypto_sha256_end(&check.state, found);
    blob_check_done(&check);
    bool right =
        e == ERR_OK && blob->have == blob_chunks(blob->size) && memcmp(found, hash, BLOB_HASH) == 0;
    if (e == ERR_NOT_FOUND)
        e = ERR_OK; /* a chunk is missing */
    return e == ERR_OK && !right ? ERR_CORRUPT : e;
}

/* ---- removing ---- */

struct unnamed {
    uint8_t hash[BLOB_HASH];
    int64_t since_ms;
    bool found;
    const uint8_t *after;
};

static int first_unnamed(void *context, struct bytes key, struct bytes value)
{
    struct unnamed *unnamed = context;
    if (key.size != 1 + BLOB_HASH || (value.size != 0 && value.size != 8))
        return ERR_CORRUPT;
    if (unnamed->after && memcmp(key.data + 1, unnamed->after, BLOB_HASH) == 0)
        return 0;
    memcpy(unnamed->hash, key.data + 1, BLOB_HASH);
    unnamed->since_ms = value.size ? (int64_t)be64_get(value.data) : 0;
    unnamed->found = true;
    return STORE_STOP;
}

static enum err next_unnamed(struct store *store, const uint8_t *after, struct unnamed *ret)
{
    uint8_t from[1 + BLOB_HASH] = {BLOB_UNNAMED}, to[1] = {BLOB_UNNAMED + 1};
    *ret = (struct unnamed){.after = after};
    if (after)
        memcpy(from + 1, after, BLOB_HASH);
    return store_side_scan(store, SIDE_BLOB_LIST, bytes_of(from, after ? sizeof from : 1),
                           bytes_of(to, 1), first_unnamed, ret);
}

static enum err stamp_unnamed(struct store *store, const uint8_t hash[BLOB_HASH], int64_t now_ms)
{
    uint8_t key[1 + BLOB_HASH] = {BLOB_UNNAMED}, value[8];
    memcpy(key + 1, hash, BLOB_HASH);
    be64_put(value, (uint64_t)now_ms);
    return store_side_put(store, SIDE_BLOB_LIST, bytes_of(key, sizeof key), bytes_of(value, 8));
}

/* Drops it, leaves the list, or stays in it for later. */
static enum err judge(struct store *store, const struct blob_sweep *sweep,
                      const struct unnamed *unnamed)
{
    struct blob blob;
    bool live, dead, replica = sweep->keep_ms < 0;
    enum err e = blob_named(store, unnamed->hash, &live, &dead);
    if (e == ERR_OK)
        e = blob_get(store, unnamed->hash, &blob);
    bool named = live || (dead && !replica);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && named))
        return blob_list_remove(store, BLOB_UNNAMED, unnamed->hash);
    if (e != ERR_OK)
        return e;
    if (replica && blob.whole && !blob.confirmed) /* back in the list when it is confirmed */
        return blob_list_remove(store, BLOB_UNNAMED, unnamed->hash);
    if (!replica && unnamed->since_ms == 0)
        return stamp_unnamed(store, unnamed->hash, sweep->now_ms);
    if (!replica && sweep->now_ms - unnamed->since_ms < sweep->keep_ms)
        return ERR_OK;
    e = blob_forget(store, unnamed->hash);
    return e == ERR_OK ? blob_list_remove(store, BLOB_UNNAMED, unnamed->hash) : e;
}

struct numbered {
    uint64_t number;
    uint32_t chunks;
    bool found;
};

static int first_number(void *context, struct bytes key, struct bytes value)
{
    struct numbered *first = context;
    if (key.size != 9 || value.size != 4)
        return ERR_CORRUPT;
    *first = (struct numbered){be64_get(key.data + 1), be32_get(value.data), true};
    return STORE_STOP;
}

static enum err next_number(struct store *store, enum blob_list list, struct numbered *ret)
{
    const uint8_t from[1] = {(uint8_t)list}, to[1] = {(uint8_t)(list + 1)};
    *ret = (struct numbered){.found = false};
    return store_side_scan(store, SIDE_BLOB_LIST, bytes_of(from, 1), bytes_of(to, 1), first_number,
                           ret);
}

static enum err number_done(struct store *store, enum blob_list list, uint64_t number)
{
    uint8_t key[9] = {(uint8_t)list};
    be64_put(key + 1, number);
    return store_side_delete(store, SIDE_BLOB_LIST, bytes_of(key, sizeof key));
}

/* From the last chunk down, so that what is left is told by one count. */
static enum err remove_some(struct store *store, uint32_t *steps, bool *ret_more)
{
    struct numbered first;
    enum err e = next_number(store, BLOB_TO_REMOVE, &first);
    while (e == ERR_OK && first.found && *steps > 0) {
        for (; e == ERR_OK && first.chunks > 0 && *steps > 0; --*steps)
            e = blob_chunk_remove(store, first.number, --first.chunks);
        if (e == ERR_OK)
            e = first.chunks ? blob_remove_later(store, first.number, first.chunks)
                             : number_done(store, BLOB_TO_REMOVE, first.number);
        if (e == ERR_OK)
            e = next_number(store, BLOB_TO_REMOVE, &first);
    }
    *ret_more = e == ERR_OK && first.found;
    return e;
}

enum err blob_sweep_due(struct store *store, bool *ret)
{
    struct unnamed unnamed;
    struct numbered first = {.found = false};
    enum err e = next_unnamed(store, NULL, &unnamed);
    if (e == ERR_OK && !unnamed.found)
        e = next_number(store, BLOB_TO_REMOVE, &first);
    *ret = unnamed.found || first.found;
    return e;
}

enum err blob_sweep(struct store *store, const struct blob_sweep *sweep, bool *ret_more)
{
    struct unnamed unnamed;
    uint8_t after[BLOB_HASH];
    uint32_t steps = sweep->steps;
    bool more = false;
    enum err e = next_unnamed(store, NULL, &unnamed);
    while (e == ERR_OK && unnamed.found && steps > 0) {
        steps--;
        memcpy(after, unnamed.hash, BLOB_HASH);
        e = judge(store, sweep, &unnamed);
        if (e == ERR_OK)
            e = next_unnamed(store, after, &unnamed);
    }
    if (e == ERR_OK)
        e = remove_some(store, &steps, &more);
    if (e == ERR_OK)
        *ret_more = more || (unnamed.found && sweep->keep_ms < 0);
    return e;
}

/* ---- writing ---- */

static enum err note_writing(struct store *store, uint64_t number, uint32_t chunks)
{
    uint8_t key[9] = {BLOB_WRITING}, value[4];
    be64_put(key + 1, number);
    be32_put(value, chunks);
    return store_side_put(store, SIDE_BLOB_LIST, bytes_of(key, sizeof key), bytes_of(value, 4));
}

static enum err writing_ends(struct store *store, uint64_t number, uint32_t chunks)
{
    enum err e = number_done(store, BLOB_WRITING, number);
    return e == ERR_OK ? blob_remove_later(store, number, chunks) : e;
}

enum err blob_writer_begin(struct store *store, struct crypto *crypto, struct blob_writer *writer)
{
    struct numbered left;
    enum err e = next_number(store, BLOB_WRITING, &left);
    while (e == ERR_OK && left.found) {
        e = writing_ends(store, left.number, left.chunks);
        if (e == ERR_OK)
            e = next_number(store, BLOB_WRITING, &left);
    }
    *writer = (struct blob_writer){.number = 0};
    if (e == ERR_OK)
        e = blob_number_next(store, &writer->number);
    if (e == ERR_OK)
        e = note_writing(store, writer->number, 0);
    return e == ERR_OK ? crypto_sha256_begin(crypto, &writer->state) : e;
}

enum err blob_writer_add(struct store *store, struct blob_writer *writer, struct bytes data)
{
    if (data.size == 0 || data.size > BLOB_CHUNK || writer->size % BLOB_CHUNK != 0)
        return ERR_INVALID;
    if (writer->size + data.size > BLOB_SIZE_LIMIT)
        return ERR_TOO_LARGE;
    enum err e = blob_chunk_put(store, writer->number, writer->chunks, data);
    if (e == ERR_OK)
        e = note_writing(store, writer->number, writer->chunks + 1);
    if (e == ERR_OK)
        e = crypto_sha256_update(&writer->state, data);
    if (e != ERR_OK)
        return e;
    writer->chunks++;
    writer->size += data.size;
    return ERR_OK;
}

enum err blob_writer_end(struct store *store, struct blob_writer *writer,
                         uint8_t ret_hash[BLOB_HASH])
{
    uint8_t hash[BLOB_HASH];
    struct blob blob = {.whole = false};
    if (writer->size == 0)
        return ERR_INVALID;
    enum err e = crypto_sha256_end(&writer->state, hash);
    if (e == ERR_OK)
        e = blob_get(store, hash, &blob);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    if (blob.whole) {
        e = writing_ends(store, writer->number, writer->chunks);
    } else {
        e = number_done(store, BLOB_WRITING, writer->number);
        if (e == ERR_OK) /* of one that was on its way here */
            e = blob_remove_later(store, blob.number, blob.have);
        blob = (struct blob){
            .number = writer->number, .size = writer->size, .have = writer->chunks, .whole = true};
        if (e == ERR_OK)
            e = now_whole(store, hash, &blob);
    }
    if (e == ERR_OK)
        memcpy(ret_hash, hash, BLOB_HASH);
    return e;
}

void blob_writer_done(struct blob_writer *writer)
{
    crypto_sha256_done(&writer->state);
}
