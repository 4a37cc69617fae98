/* failing_calls.c - calls of stores, ciphers and randomness fail at each place once, or a store hands out what is
 * damaged (failing_place.h). What fails is not done; a commit that fails is over, as store.h says.
 *
 * Use:        `ctest: arena` in the head of a test links it with --wrap. */
#include "common/crypto.h"
#include "common/rng.h"
#include "common/store.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/failing_place.h"

/* clang-format off */
#define TABLE const struct model_table *t
#define RECORD TABLE, const struct uuid *id
#define STORE_CALLS(X) \
    X(store_reader, (struct store *s, struct store **ret), (s, ret)) \
    X(store_begin, (struct store *s, enum store_mode mode), (s, mode)) \
    X(store_savepoint, (struct store *s), (s)) \
    X(store_row_put, (struct store *s, RECORD, const struct store_row *row), (s, t, id, row)) \
    X(store_row_insert, (struct store *s, RECORD, const struct store_row *row), (s, t, id, row)) \
    X(store_row_delete, (struct store *s, RECORD), (s, t, id)) \
    X(store_row_scan, (struct store *s, RECORD, store_id_fn *fn, void *c), (s, t, id, fn, c)) \
    X(store_dead_scan, (struct store *s, RECORD, store_id_fn *fn, void *c), (s, t, id, fn, c)) \
    X(store_children, (struct store *s, RECORD, store_id_fn *fn, void *c), (s, t, id, fn, c)) \
    X(store_base_put, (struct store *s, RECORD, const struct store_row *row), (s, t, id, row)) \
    X(store_base_delete, (struct store *s, RECORD), (s, t, id)) \
    X(store_log_put, (struct store *s, uint32_t bucket, uint64_t at, RECORD), (s, bucket, at, t, id)) \
    X(store_log_delete, (struct store *s, uint32_t bucket, uint64_t at), (s, bucket, at)) \
    X(store_log_scan, (struct store *s, uint32_t bucket, uint64_t after, store_log_fn *fn, void *c), \
      (s, bucket, after, fn, c)) \
    X(store_side_put, (struct store *s, enum store_side side, struct bytes key, struct bytes value), \
      (s, side, key, value)) \
    X(store_side_delete, (struct store *s, enum store_side side, struct bytes key), (s, side, key))

#define CRYPTO_CALLS(X) \
    X(crypto_sha256, (struct crypto *c, struct bytes in, uint8_t *out), (c, in, out)) \
    X(crypto_sha256_begin, (struct crypto *c, struct crypto_sha256_state *state), (c, state)) \
    X(crypto_sha256_update, (struct crypto_sha256_state *state, struct bytes in), (state, in)) \
    X(crypto_sha256_end, (struct crypto_sha256_state *state, uint8_t *out), (state, out)) \
    X(crypto_ed25519_public, (struct crypto *c, const uint8_t *seed, uint8_t *out), (c, seed, out)) \
    X(crypto_ed25519_sign, (struct crypto *c, const uint8_t *seed, struct bytes in, uint8_t *out), \
      (c, seed, in, out)) \
    X(crypto_ed25519_verify, (struct crypto *c, const uint8_t *key, struct bytes in, const uint8_t *is), \
      (c, key, in, is))

#define RNG_CALLS(X) \
    X(rng_fill, (const struct rng *rng, void *out, size_t size), (rng, out, size)) \
    X(rng_u64, (const struct rng *rng, uint64_t *ret), (rng, ret))
/* clang-format on */

static const enum err store_errors[] = {ERR_BUSY, ERR_FULL, ERR_NOMEM, ERR_IO};

#define FAILS() failing_place_now(PLACE_ERRORS, 0, PLACE_HERE)

static enum err store_error(void)
{
    return store_errors[failing_place_number() % 4];
}

/* What the linker calls the product's, and ours. */
#define WRAP(name, parameters, arguments, error)             \
    enum err __real_##name parameters __attribute__((weak)); \
    enum err __wrap_##name parameters;                       \
    enum err __wrap_##name parameters                        \
    {                                                        \
        return FAILS() ? (error) : __real_##name arguments;  \
    }
#define WRAP_STORE(name, parameters, arguments)  WRAP(name, parameters, arguments, store_error())
#define WRAP_CRYPTO(name, parameters, arguments) WRAP(name, parameters, arguments, ERR_CRYPTO)
#define WRAP_RNG(name, parameters, arguments)    WRAP(name, parameters, arguments, ERR_IO)

STORE_CALLS(WRAP_STORE)
CRYPTO_CALLS(WRAP_CRYPTO)
RNG_CALLS(WRAP_RNG)

enum err __real_store_commit(struct store *s) __attribute__((weak));
enum err __wrap_store_commit(struct store *s);

enum err __wrap_store_commit(struct store *s)
{
    if (!FAILS())
        return __real_store_commit(s);
    store_rollback(s);
    return store_error();
}

/* ---- damage ---- */

enum damage { DAMAGE_NONE, DAMAGE_EMPTY, DAMAGE_SHORT, DAMAGE_LONG, DAMAGE_COUNT };

static enum damage damage_now(unsigned kinds, const void *from, const void *frame)
{
    for (unsigned kind = DAMAGE_EMPTY; kind < kinds; kind++)
        if (failing_place_now(PLACE_DAMAGE, kind, from, frame))
            return (enum damage)kind;
    return DAMAGE_NONE;
}

/* scratch holds one byte more than `in`. */
static struct bytes damaged(enum damage damage, struct bytes in, uint8_t *scratch)
{
    if (damage == DAMAGE_EMPTY)
        return bytes_of(scratch, 0);
    if (damage == DAMAGE_SHORT)
        return bytes_of(in.data, in.size - 1);
    if (in.size)
        memcpy(scratch, in.data, in.size);
    scratch[in.size] = 0;
    return bytes_of(scratch, in.size + 1);
}

/* What was read, in arena, with damage at this place if it is due. An empty value stays what it is. A version
 * is only ever empty: what is no more than a head of it may be passed on unread. */
static enum err hand_out(enum err e, struct arena *arena, struct bytes *value, unsigned kinds,
                         const void *from, const void *frame)
{
    enum damage damage;
    if (e != ERR_OK || value->size == 0 || (damage = damage_now(kinds, from, frame)) == DAMAGE_NONE)
        return e;
    uint8_t *scratch = arena_alloc(arena, value->size + 1);
    if (!scratch)
        return ERR_NOMEM;
    *value = damaged(damage, *value, scratch);
    return ERR_OK;
}

typedef enum err row_get_fn(struct store *s, const struct model_table *t, const struct uuid *id,
                            struct arena *arena, struct store_row *ret);
row_get_fn __real_store_row_get __attribute__((weak)), __wrap_store_row_get;
row_get_fn __real_store_base_get __attribute__((weak)), __wrap_store_base_get;

enum err __wrap_store_row_get(struct store *s, const struct model_table *t, const struct uuid *id,
                              struct arena *arena, struct store_row *ret)
{
    if (FAILS())
        return store_error();
    enum err e = __real_store_row_get(s, t, id, arena, ret);
    return e == ERR_OK ? hand_out(e, arena, &ret->version, DAMAGE_SHORT, PLACE_HERE) : e;
}

enum err __wrap_store_base_get(struct store *s, const struct model_table *t, const struct uuid *id,
                               struct arena *arena, struct store_row *ret)
{
    if (FAILS())
        return store_error();
    enum err e = __real_store_base_get(s, t, id, arena, ret);
    return e == ERR_OK ? hand_out(e, arena, &ret->version, DAMAGE_SHORT, PLACE_HERE) : e;
}

enum err __real_store_side_get(struct store *s, enum store_side side, struct bytes key,
                               struct arena *arena, struct bytes *ret) __attribute__((weak));
enum err __wrap_store_side_get(struct store *s, enum store_side side, struct bytes key,
                               struct arena *arena, struct bytes *ret);

enum err __wrap_store_side_get(struct store *s, enum store_side side, struct bytes key,
                               struct arena *arena, struct bytes *ret)
{
    if (FAILS())
        return store_error();
    enum err e = __real_store_side_get(s, side, key, arena, ret);
    return e == ERR_OK ? hand_out(e, arena, ret, DAMAGE_COUNT, PLACE_HERE) : e;
}

/* A scan in which the first entry that has a value comes with another one. */
struct damaging {
    enum damage damage;
    store_side_fn *fn;
    void *context;
};

static int show_damaged(void *context, struct bytes key, struct bytes value)
{
    struct damaging *d = context;
    if (d->damage == DAMAGE_NONE || value.size == 0)
        return d->fn(d->context, key, value);
    uint8_t *scratch = malloc(value.size + 1);
    if (!scratch)
        abort();
    enum damage damage = d->damage;
    d->damage = DAMAGE_NONE;
    int result = d->fn(d->context, key, damaged(damage, value, scratch));
    free(scratch);
    return result;
}

typedef enum err side_scan_fn(struct store *s, enum store_side side, struct bytes from,
                              struct bytes to, store_side_fn *fn, void *context);
side_scan_fn __real_store_side_scan __attribute__((weak)), __wrap_store_side_scan;

enum err __wrap_store_side_scan(struct store *s, enum store_side side, struct bytes from,
                                struct bytes to, store_side_fn *fn, void *context)
{
    if (FAILS())
        return store_error();
    if (!failing_place_looks_for(PLACE_DAMAGE))
        return __real_store_side_scan(s, side, from, to, fn, context);
    struct damaging damaging = {damage_now(DAMAGE_COUNT, PLACE_HERE), fn, context};
    return __real_store_side_scan(s, side, from, to, show_damaged, &damaging);
}
