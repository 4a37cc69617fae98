#include "common/blob_internal.h"

#include <assert.h>
#include <string.h>

enum {
    STATE_SIZE = 8 + 8 + 4 + 1 + 1,
    FLAG_WHOLE = 1,
    FLAG_CONFIRMED = 2,
    FLAG_AT_BRANCH = 4,
    FLAG_REFUSED = 8,
    ENTRY_ARENA_MAX = 4096, /* a state, a counter */
};

static const char number_name[] = "blob_number"; /* the last one given: META */

uint32_t blob_chunks(uint64_t size)
{
    return (uint32_t)((size + BLOB_CHUNK - 1) / BLOB_CHUNK);
}

uint64_t blob_here(const struct blob *blob)
{
    uint64_t bytes = (uint64_t)blob->have * BLOB_CHUNK;
    return bytes < blob->size ? bytes : blob->size;
}

static struct bytes hash_key(const uint8_t hash[BLOB_HASH])
{
    return bytes_of(hash, BLOB_HASH);
}

static enum err blob_decode(struct bytes value, struct blob *ret)
{
    if (value.size != STATE_SIZE)
        return ERR_CORRUPT;
    uint8_t flags = value.data[20];
    *ret = (struct blob){.number = be64_get(value.data),
                         .size = be64_get(value.data + 8),
                         .have = be32_get(value.data + 16),
                         .whole = (flags & FLAG_WHOLE) != 0,
                         .confirmed = (flags & FLAG_CONFIRMED) != 0,
                         .at_branch = (flags & FLAG_AT_BRANCH) != 0,
                         .refused = (flags & FLAG_REFUSED) != 0,
                         .failures = value.data[21]};
    return ERR_OK;
}

enum err blob_get(struct store *store, const uint8_t hash[BLOB_HASH], struct blob *ret)
{
    struct arena arena;
    struct bytes value;
    arena_init(&arena, ENTRY_ARENA_MAX);
    enum err e = store_side_get(store, SIDE_BLOB, hash_key(hash), &arena, &value);
    if (e == ERR_OK)
        e = blob_decode(value, ret);
    arena_done(&arena);
    return e;
}

enum err blob_put(struct store *store, const uint8_t hash[BLOB_HASH], const struct blob *blob)
{
    uint8_t value[STATE_SIZE];
    be64_put(value, blob->number);
    be64_put(value + 8, blob->size);
    be32_put(value + 16, blob->have);
    value[20] =
        (uint8_t)((blob->whole ? FLAG_WHOLE : 0) | (blob->confirmed ? FLAG_CONFIRMED : 0) |
                  (blob->at_branch ? FLAG_AT_BRANCH : 0) | (blob->refused ? FLAG_REFUSED : 0));
    value[21] = blob->failures;
    return store_side_put(store, SIDE_BLOB, hash_key(hash), bytes_of(value, sizeof value));
}

static void chunk_key(uint64_t number, uint32_t n, uint8_t out[12])
{
    be64_put(out, number);
    be32_put(out + 8, n);
}

enum err blob_chunk(struct store *store, const struct blob *blob, uint32_t n, struct arena *arena,
                    struct bytes *ret)
{
    uint8_t key[12];
    if (n >= blob->have)
        return ERR_NOT_FOUND;
    chunk_key(blob->number, n, key);
    return store_side_get(store, SIDE_CHUNK, bytes_of(key, sizeof key), arena, ret);
}

enum err blob_number_next(struct store *store, uint64_t *ret)
{
    struct arena arena;
    struct bytes value;
    uint8_t number[8];
    arena_init(&arena, ENTRY_ARENA_MAX);
    enum err e = store_side_get(store, SIDE_META, bytes_of_text(number_name), &arena, &value);
    if (e == ERR_OK && value.size != 8)
        e = ERR_CORRUPT;
    uint64_t next = e == ERR_OK ? be64_get(value.data) + 1 : 1;
    arena_done(&arena);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    be64_put(number, next);
    e = store_side_put(store, SIDE_META, bytes_of_text(number_name), bytes_of(number, 8));
    if (e == ERR_OK)
        *ret = next;
    return e;
}

enum err blob_chunk_put(struct store *store, uint64_t number, uint32_t n, struct bytes data)
{
    uint8_t key[12];
    chunk_key(number, n, key);
    return store_side_put(store, SIDE_CHUNK, bytes_of(key, sizeof key), data);
}

enum err blob_chunk_remove(struct store *store, uint64_t number, uint32_t n)
{
    uint8_t key[12];
    chunk_key(number, n, key);
    return store_side_delete(store, SIDE_CHUNK, bytes_of(key, sizeof key));
}

/* ---- lists ---- */

/* Of a hash, or (BLOB_TO_REMOVE, BLOB_WRITING) of a number. */
static struct bytes list_key(enum blob_list list, struct bytes name, uint8_t out[1 + BLOB_HASH])
{
    assert(name.size <= BLOB_HASH);
    out[0] = (uint8_t)list;
    memcpy(out + 1, name.data, name.size);
    return bytes_of(out, 1 + name.size);
}

enum err blob_list_put(struct store *store, enum blob_list list, const uint8_t hash[BLOB_HASH])
{
    uint8_t key[1 + BLOB_HASH];
    return store_side_put(store, SIDE_BLOB_LIST, list_key(list, hash_key(hash), key),
                          bytes_of(NULL, 0));
}

enum err blob_list_remove(struct store *store, enum blob_list list, const uint8_t hash[BLOB_HASH])
{
    uint8_t key[1 + BLOB_HASH];
    return store_side_delete(store, SIDE_BLOB_LIST, list_key(list, hash_key(hash), key));
}

enum err blob_list_has(struct store *store, enum blob_list list, const uint8_t hash[BLOB_HASH],
                       bool *ret)
{
    uint8_t key[1 + BLOB_HASH];
    struct arena arena;
    struct bytes value;
    arena_init(&arena, ENTRY_ARENA_MAX);
    enum err e =
        store_side_get(store, SIDE_BLOB_LIST, list_key(list, hash_key(hash), key), &arena, &value);
    arena_done(&arena);
    *ret = e == ERR_OK;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

struct list_scan {
    blob_fn *fn;
    void *context;
    const uint8_t *after;
};

static int each_in_list(void *context, struct bytes key, struct bytes value)
{
    const struct list_scan *scan = context;
    (void)value;
    if (key.size != 1 + BLOB_HASH)
        return ERR_CORRUPT;
    if (scan->after && memcmp(key.data + 1, scan->after, BLOB_HASH) == 0)
        return 0;
    return scan->fn(scan->context, key.data + 1);
}

static enum err list_scan(struct store *store, enum blob_list list, const struct list_scan *scan)
{
    uint8_t from[1 + BLOB_HASH] = {(uint8_t)list}, to[1] = {(uint8_t)(list + 1)};
    struct bytes first = bytes_of(from, 1);
    if (scan->after)
        first = list_key(list, hash_key(scan->after), from);
    return store_side_scan(store, SIDE_BLOB_LIST, first, bytes_of(to, 1), each_in_list,
                           (void *)scan);
}

enum err blob_list_scan(struct store *store, enum blob_list list, blob_fn *fn, void *context)
{
    const struct list_scan scan = {fn, context, NULL};
    return list_scan(store, list, &scan);
}

struct first_hash {
    uint8_t hash[BLOB_HASH];
    bool found;
};

static int take_first(void *context, const uint8_t hash[BLOB_HASH])
{
    struct first_hash *first = context;
    memcpy(first->hash, hash, BLOB_HASH);
    first->found = true;
    return STORE_STOP;
}

enum err blob_list_next(struct store *store, enum blob_list list, const uint8_t *after,
                        uint8_t ret_hash[BLOB_HASH])
{
    struct first_hash first = {.found = false};
    const struct list_scan scan = {take_first, &first, after};
    enum err e = list_scan(store, list, &scan);
    if (e == ERR_OK && first.found)
        memcpy(ret_hash, first.hash, BLOB_HASH);
    return e == ERR_OK && !first.found ? ERR_NOT_FOUND : e;
}

struct state_scan {
    blob_state_fn *fn;
    void *context;
};

static int each_state(void *context, struct bytes key, struct bytes value)
{
    const struct state_scan *scan = context;
    struct blob blob;
    if (key.size != BLOB_HASH || blob_decode(value, &blob) != ERR_OK)
        return ERR_CORRUPT;
    return scan->fn(scan->context, key.data, &blob);
}

enum err blob_scan(struct store *store, blob_state_fn *fn, void *context)
{
    const struct bytes none = bytes_of(NULL, 0);
    struct state_scan scan = {fn, context};
    return store_side_scan(store, SIDE_BLOB, none, none, each_state, &scan);
}

/* ---- incoming ---- */

enum err blob_remove_later(struct store *store, uint64_t number, uint32_t chunks)
{
    uint8_t name[8], key[1 + BLOB_HASH], value[4];
    if (number == 0 || chunks == 0)
        return ERR_OK;
    be64_put(name, number);
    be32_put(value, chunks);
    return store_side_put(store, SIDE_BLOB_LIST, list_key(BLOB_TO_REMOVE, bytes_of(name, 8), key),
                          bytes_of(value, 4));
}

static enum err start(struct store *store, uint64_t size, struct blob *blob)
{
    enum err e = blob_remove_later(store, blob->number, blob->have);
    if (e == ERR_OK)
        e = blob_number_next(store, &blob->number);
    blob->size = size;
    blob->have = 0;
    blob->confirmed = blob->at_branch = false;
    return e;
}

enum err blob_take(struct store *store, const uint8_t hash[BLOB_HASH], uint64_t size, uint32_t n,
                   struct bytes data, struct blob *ret)
{
    struct blob blob = {.number = 0};
    enum err e = blob_get(store, hash, &blob);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    const uint32_t chunks = blob_chunks(size);
    if (size == 0 || size > BLOB_SIZE_LIMIT || n >= chunks)
        return ERR_MALFORMED;
    const uint64_t due = n + 1 < chunks ? BLOB_CHUNK : size - (uint64_t)n * BLOB_CHUNK;
    if (data.size != due)
        return ERR_MALFORMED;
    if (blob.whole || (blob.size > 0 && blob.have == blob_chunks(blob.size))) {
        *ret = blob;
        return ERR_EXISTS;
    }
    e = blob.number == 0 || blob.size != size ? start(store, size, &blob) : ERR_OK;
    if (e != ERR_OK)
        return e;
    if (n != blob.have) {
        *ret = blob;
        return ERR_CONFLICT;
    }
    e = blob_chunk_put(store, blob.number, n, data);
    blob.have++;
    if (e == ERR_OK)
        e = blob_put(store, hash, &blob);
    if (e == ERR_OK && blob.have == chunks)
        e = blob_list_put(store, BLOB_TO_CHECK, hash);
    if (e == ERR_OK)
        *ret = blob;
    return e;
}

enum err blob_ask(struct store *store, const uint8_t hash[BLOB_HASH])
{
    struct blob blob = {.number = 0};
    enum err e = blob_get(store, hash, &blob);
    if (e == ERR_OK && blob.whole)
        return ERR_OK;
    if (e == ERR_OK && blob.failures > 0) { /* asked by name: tried again */
        blob.failures = 0;
        e = blob_put(store, hash, &blob);
    }
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        e = blob_list_put(store, BLOB_ASKED, hash);
    return e == ERR_OK ? blob_list_put(store, BLOB_NEWS, hash) : e;
}

/* ---- what is known of it elsewhere ---- */

enum err blob_confirm(struct store *store, const uint8_t hash[BLOB_HASH], bool headquarters)
{
    struct blob blob;
    bool live, dead;
    enum err e = blob_get(store, hash, &blob);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && !blob.whole))
        return ERR_OK;
    if (e != ERR_OK || blob.confirmed || (blob.at_branch && !headquarters))
        return e;
    blob.at_branch |= !headquarters;
    blob.confirmed = headquarters;
    blob.refused = false;
    e = blob_put(store, hash, &blob);
    if (e != ERR_OK || !headquarters)
        return e;
    e = blob_list_remove(store, BLOB_TO_OFFER, hash);
    if (e == ERR_OK)
        e = blob_named(store, hash, &live, &dead);
    return e == ERR_OK && !live ? blob_list_put(store, BLOB_UNNAMED, hash) : e;
}

/* Two ids are a hash. */
static int note_confirmed(void *context, const uint8_t hash[BLOB_HASH], const struct blob *blob)
{
    struct store_ids *halves = context;
    struct uuid half[2];
    if (!blob->confirmed && !blob->at_branch)
        return 0;
    memcpy(half, hash, BLOB_HASH);
    int failed = store_ids_add(halves, &half[0]);
    return failed ? failed : store_ids_add(halves, &half[1]);
}

enum err blob_unconfirm_all(struct store *store)
{
    struct arena arena;
    arena_init(&arena, (size_t)256 << 20);
    struct store_ids halves = {.arena = &arena};
    enum err e = blob_scan(store, note_confirmed, &halves);
    for (uint32_t i = 0; e == ERR_OK && i + 1 < halves.count; i += 2) {
        uint8_t hash[BLOB_HASH];
        struct blob blob;
        memcpy(hash, &halves.ids[i], BLOB_HASH);
        e = blob_get(store, hash, &blob);
        blob.confirmed = blob.at_branch = false;
        if (e == ERR_OK)
            e = blob_put(store, hash, &blob);
        if (e == ERR_OK && blob.whole)
            e = blob_list_put(store, BLOB_TO_OFFER, hash);
    }
    arena_done(&arena);
    return e;
}

enum err blob_forget(struct store *store, const uint8_t hash[BLOB_HASH])
{
    struct blob blob;
    bool live, dead;
    enum err e = blob_get(store, hash, &blob);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK)
        e = blob_remove_later(store, blob.number, blob.have);
    if (e == ERR_OK)
        e = store_side_delete(store, SIDE_BLOB, hash_key(hash));
    if (e == ERR_OK)
        e = blob_list_remove(store, BLOB_TO_OFFER, hash);
    if (e == ERR_OK)
        e = blob_list_remove(store, BLOB_TO_CHECK, hash);
    if (e == ERR_OK)
        e = blob_named(store, hash, &live, &dead);
    return e == ERR_OK && live ? blob_list_put(store, BLOB_TO_FETCH, hash) : e;
}
