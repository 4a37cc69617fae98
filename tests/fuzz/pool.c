#include "tests/fuzz/pool.h"

static void *need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count, size);
    fuzz_check(memory, "no memory");
    return memory;
}

/* --- what was seen ---------------------------------------------------------------------------- */

/* The place for one more; the oldest is forgotten. */
static unsigned place(unsigned *count)
{
    return (*count)++ % POOL_MAX;
}

static unsigned held(unsigned count)
{
    return count < POOL_MAX ? count : POOL_MAX;
}

void pool_add_number(struct pool *pool, uint64_t number)
{
    for (unsigned i = 0; i < held(pool->number_count); i++)
        if (pool->numbers[i] == number)
            return;
    pool->numbers[place(&pool->number_count)] = number;
}

void pool_add_dot(struct pool *pool, const struct dot *dot)
{
    for (unsigned i = 0; i < held(pool->dot_count); i++)
        if (dot_equal(&pool->dots[i], dot))
            return;
    pool->dots[place(&pool->dot_count)] = *dot;
}

void pool_add_id(struct pool *pool, const struct uuid *id)
{
    for (unsigned i = 0; i < held(pool->id_count); i++)
        if (uuid_equal(&pool->ids[i], id))
            return;
    pool->ids[place(&pool->id_count)] = *id;
}

void pool_add_blob(struct pool *pool, struct bytes blob)
{
    if (blob.size == 0 || blob.size > POOL_BLOB_MAX)
        return;
    for (unsigned i = 0; i < held(pool->blob_count); i++)
        if (bytes_equal(bytes_of(pool->blobs[i].byte, pool->blobs[i].size), blob))
            return;
    struct pool_blob *to = &pool->blobs[place(&pool->blob_count)];
    memcpy(to->byte, blob.data, blob.size);
    to->size = blob.size;
}

static void add_bytes(struct pool *pool, const struct bytes *bytes)
{
    pool_add_blob(pool, *bytes);
}

static void add_oseq_range(struct pool *pool, const struct oseq_range *range)
{
    pool_add_number(pool, range->from);
    pool_add_number(pool, range->to);
}

static void add_bucket_name(struct pool *pool, const struct bucket_name *name)
{
    pool_add_number(pool, name->number);
    pool_add_number(pool, name->head);
    pool_add_id(pool, &name->key);
}

static void add_bucket_position(struct pool *pool, const struct bucket_position *position)
{
    pool_add_number(pool, position->bucket);
    pool_add_number(pool, position->position);
}

static void add_bucket_digest(struct pool *pool, const struct bucket_digest *digest)
{
    pool_add_number(pool, digest->bucket);
    pool_add_number(pool, digest->position);
    pool_add_number(pool, digest->count);
}

static void add_incarnation(struct pool *pool, const struct incarnation *incarnation)
{
    pool_add_number(pool, incarnation->id);
}

static void add_mark(struct pool *pool, const struct mark *mark)
{
    pool_add_number(pool, mark->origin);
    pool_add_number(pool, mark->upto);
}

static void add_range_name(struct pool *pool, const struct range_name *name)
{
    pool_add_number(pool, name->number);
}

static void add_range_count(struct pool *pool, const struct range_count *range)
{
    pool_add_number(pool, range->number);
}

static void add_origin_floor(struct pool *pool, const struct origin_floor *floor)
{
    pool_add_number(pool, floor->origin);
    pool_add_number(pool, floor->floor);
}

static void add_pending_group(struct pool *pool, const struct pending_group *pending)
{
    pool_add_number(pool, pending->stamp);
    pool_add_blob(pool, pending->group);
}

static void add_blob_offer(struct pool *pool, const struct blob_offer *offer)
{
    pool_add_blob(pool, offer->hash);
    pool_add_number(pool, offer->size);
}

static void add_blob_state(struct pool *pool, const struct blob_state *state)
{
    pool_add_blob(pool, state->hash);
    pool_add_number(pool, state->next);
}

static void add_group_result(struct pool *pool, const struct group_result *result)
{
    pool_add_number(pool, result->oseq);
}

#define ADD_U(name)      pool_add_number(pool, m->name);
#define ADD_I(name)      pool_add_number(pool, (uint64_t)m->name);
#define ADD_ID(name)     pool_add_id(pool, &m->name);
#define ADD_B(name, max) pool_add_blob(pool, m->name);
#define ADD_T(name, max)
#define ADD_L(name, element, max)                           \
    for (uint32_t i = 0; i < m->name##_count && i < 8; i++) \
        add_##element(pool, &m->name[i]);
#define ADD_FUNCTION(upper, lower, code, pre)                                   \
    static void add_##lower(struct pool *pool, const struct message_##lower *m) \
    {                                                                           \
        MESSAGE_##upper(ADD_U, ADD_I, ADD_ID, ADD_B, ADD_T, ADD_L)              \
    }
MESSAGE_LIST(ADD_FUNCTION)

void pool_add_message(struct pool *pool, const struct message *message)
{
    switch (message->type) {
#define ADD_CASE(upper, lower, code, pre) \
    case MESSAGE_##upper: add_##lower(pool, &message->as.lower); return;
        MESSAGE_LIST(ADD_CASE)
    }
}

void pool_add_group(struct pool *pool, const struct group *group)
{
    pool_add_dot(pool, &group->dot);
    pool_add_number(pool, group->stamp);
    for (uint32_t i = 0; i < group->mutation_count; i++) {
        pool_add_id(pool, &group->mutations[i].id);
        if (!dot_is_none(&group->mutations[i].insert))
            pool_add_dot(pool, &group->mutations[i].insert);
    }
}

/* --- choices ---------------------------------------------------------------------------------- */

uint64_t pool_number(const struct pool *pool, struct fuzz_input *in)
{
    unsigned count = held(pool->number_count);
    uint8_t choice = fuzz_u8(in);
    if (count == 0 || choice >= 192)
        return fuzz_number(in);
    uint64_t number = pool->numbers[choice % count];
    return choice < 144 ? number : number + fuzz_u8(in) % 5 - 2;
}

struct dot pool_dot(const struct pool *pool, struct fuzz_input *in)
{
    unsigned count = held(pool->dot_count);
    uint8_t choice = fuzz_u8(in);
    struct dot dot = {1, 1, 1};
    if (count)
        dot = pool->dots[choice % count];
    if (choice >= 240) {
        dot.origin = fuzz_number(in);
        dot.oseq = fuzz_number(in);
        dot.tag = (uint32_t)fuzz_number(in);
    } else if (choice >= 224)
        dot.oseq += fuzz_u8(in) % 5 - 1u;
    else if (choice >= 216)
        dot.tag ^= fuzz_u8(in);
    return dot;
}

struct uuid pool_id(const struct pool *pool, struct fuzz_input *in)
{
    unsigned count = held(pool->id_count);
    uint8_t choice = fuzz_u8(in);
    if (count && choice < 208)
        return pool->ids[choice % count];
    struct uuid id = {{0}};
    if (choice < 248) { /* one of a few that nobody has yet */
        memset(id.byte, 0x40, sizeof id.byte);
        id.byte[15] = choice % 8;
    }
    return id; /* else nil */
}

struct bytes pool_blob(const struct pool *pool, struct fuzz_input *in, size_t max,
                       struct arena *arena)
{
    unsigned count = held(pool->blob_count);
    uint8_t choice = fuzz_u8(in);
    struct bytes blob = bytes_of("", 0);
    if (count && choice < 160) {
        const struct pool_blob *known = &pool->blobs[choice % count];
        blob = bytes_of(known->byte, known->size);
    } else if (choice < 224) {
        blob = fuzz_take(in, fuzz_u8(in));
    } else if (choice < 250) { /* zeros of a size that means something */
        static const size_t sizes[] = {16, 32, 64, 33};
        size_t size = sizes[choice % 4];
        blob = bytes_of(need(arena, size, 1), size);
    }
    return bytes_of(blob.data, blob.size < max ? blob.size : max);
}

struct bytes pool_text(struct fuzz_input *in, size_t max, struct arena *arena)
{
    static const char *const texts[] = {
        "a",   "b",          "one\ntwo\nthree", "one\n2\nthree", "sent",   "paid",
        "EUR", "2024-02-29", "company",         "owner",         "branch", "[\"x\",\"y\"]",
        "",    "\xd1\x8f",   "\xff\xfe",        "\"\\\n\x01"};
    uint8_t choice = fuzz_u8(in);
    struct bytes text;
    if (choice < 160) {
        text = bytes_of_text(texts[choice % 16]);
    } else if (choice < 240) {
        text = fuzz_take(in, fuzz_u8(in) % 64);
    } else { /* a long one */
        size_t size = (size_t)fuzz_u16(in) * 2;
        char *letters = need(arena, size + 1, 1);
        memset(letters, 'l', size);
        text = bytes_of(letters, size);
    }
    return bytes_of(text.data, text.size < max ? text.size : max);
}

/* --- messages --------------------------------------------------------------------------------- */

struct making {
    const struct pool *pool;
    struct fuzz_input *in;
    struct arena *arena;
};

static struct bytes make_bytes(const struct making *m)
{
    return pool_blob(m->pool, m->in, SIZE_MAX, m->arena);
}

static struct oseq_range make_oseq_range(const struct making *m)
{
    uint64_t from = pool_number(m->pool, m->in);
    return (struct oseq_range){from, from + fuzz_number(m->in)};
}

static struct bucket_name make_bucket_name(const struct making *m)
{
    struct bucket_name name = {.number = (uint32_t)pool_number(m->pool, m->in)};
    name.kind = fuzz_u8(m->in) % 6;
    name.key = pool_id(m->pool, m->in);
    name.head = pool_number(m->pool, m->in);
    return name;
}

static struct bucket_position make_bucket_position(const struct making *m)
{
    struct bucket_position position = {.bucket = (uint32_t)pool_number(m->pool, m->in)};
    position.position = pool_number(m->pool, m->in);
    return position;
}

static struct bucket_digest make_bucket_digest(const struct making *m)
{
    struct bucket_digest digest = {.bucket = (uint32_t)pool_number(m->pool, m->in)};
    digest.position = pool_number(m->pool, m->in);
    digest.count = pool_number(m->pool, m->in);
    digest.sum[0] = fuzz_u8(m->in);
    return digest;
}

static struct incarnation make_incarnation(const struct making *m)
{
    struct bucket_position *first = need(m->arena, 2, sizeof *first);
    struct incarnation made = {.id = pool_number(m->pool, m->in), .first = first};
    made.first_count = fuzz_u8(m->in) % 3;
    for (uint32_t i = 0; i < made.first_count; i++)
        first[i] = make_bucket_position(m);
    return made;
}

static struct mark make_mark(const struct making *m)
{
    struct oseq_range *ranges = need(m->arena, 3, sizeof *ranges);
    struct mark mark = {.origin = pool_number(m->pool, m->in), .ranges = ranges};
    mark.upto = pool_number(m->pool, m->in);
    mark.range_count = fuzz_u8(m->in) % 4;
    for (uint32_t i = 0; i < mark.range_count; i++)
        ranges[i] = make_oseq_range(m);
    return mark;
}

static struct range_name make_range_name(const struct making *m)
{
    return (struct range_name){pool_number(m->pool, m->in)};
}

static struct range_count make_range_count(const struct making *m)
{
    uint64_t number = pool_number(m->pool, m->in);
    return (struct range_count){number, fuzz_u8(m->in)};
}

static struct origin_floor make_origin_floor(const struct making *m)
{
    uint64_t origin = pool_number(m->pool, m->in);
    return (struct origin_floor){origin, pool_number(m->pool, m->in)};
}

static struct pending_group make_pending_group(const struct making *m)
{
    uint64_t stamp = pool_number(m->pool, m->in);
    return (struct pending_group){stamp, make_bytes(m)};
}

/* Of 32 bytes, as the decoder would let through no other: one that was seen, or one that was made up. */
static struct bytes make_hash(const struct making *m)
{
    struct bytes seen = make_bytes(m);
    uint8_t *hash = arena_calloc(m->arena, 32, 1);
    if (hash && seen.size)
        memcpy(hash, seen.data, seen.size < 32 ? seen.size : 32);
    return hash ? bytes_of(hash, 32) : (struct bytes){0};
}

static struct blob_offer make_blob_offer(const struct making *m)
{
    struct blob_offer offer = {.hash = make_hash(m)};
    offer.size = pool_number(m->pool, m->in);
    return offer;
}

static struct blob_state make_blob_state(const struct making *m)
{
    struct blob_state state = {.hash = make_hash(m)};
    state.code = fuzz_u8(m->in) % 12;
    state.next = pool_number(m->pool, m->in);
    return state;
}

static struct group_result make_group_result(const struct making *m)
{
    struct group_result result = {.oseq = pool_number(m->pool, m->in)};
    result.count = pool_number(m->pool, m->in);
    result.code = fuzz_u8(m->in) % 8;
    result.reason = fuzz_u8(m->in) % 20;
    result.detail = pool_text(m->in, 100, m->arena);
    return result;
}

/* Field by field; with `only` >= 0 that field alone. */
#define MAKE_IF           if (only < 0 || only == field++)
#define MAKE_U(name)      MAKE_IF m->name = pool_number(made->pool, made->in);
#define MAKE_I(name)      MAKE_IF m->name = (int64_t)pool_number(made->pool, made->in);
#define MAKE_ID(name)     MAKE_IF m->name = pool_id(made->pool, made->in);
#define MAKE_B(name, max) MAKE_IF m->name = pool_blob(made->pool, made->in, max, made->arena);
#define MAKE_T(name, max) MAKE_IF m->name = pool_text(made->in, max, made->arena);
#define MAKE_L(name, element, max)                                                 \
    MAKE_IF                                                                        \
    {                                                                              \
        uint32_t count = fuzz_u8(made->in) % 5;                                    \
        count = count < (max) ? count : (max);                                     \
        struct element *elements = need(made->arena, count + 1, sizeof *elements); \
        for (uint32_t i = 0; i < count; i++)                                       \
            elements[i] = make_##element(made);                                    \
        m->name = elements;                                                        \
        m->name##_count = count;                                                   \
    }
#define MAKE_FUNCTION(upper, lower, code, pre)                                               \
    static void make_##lower(const struct making *made, struct message_##lower *m, int only) \
    {                                                                                        \
        int field = 0;                                                                       \
        MESSAGE_##upper(MAKE_U, MAKE_I, MAKE_ID, MAKE_B, MAKE_T, MAKE_L)(void) field;        \
    }
MESSAGE_LIST(MAKE_FUNCTION)

static void make(const struct making *made, struct message *message, int only)
{
    switch (message->type) {
#define MAKE_CASE(upper, lower, code, pre) \
    case MESSAGE_##upper: make_##lower(made, &message->as.lower, only); return;
        MESSAGE_LIST(MAKE_CASE)
    }
}

void pool_message(const struct pool *pool, struct fuzz_input *in, enum message_type type,
                  struct arena *arena, struct message *ret)
{
    const struct making made = {pool, in, arena};
    memset(ret, 0, sizeof *ret);
    ret->type = type;
    make(&made, ret, -1);
}

void pool_change(const struct pool *pool, struct fuzz_input *in, struct arena *arena,
                 struct message *message)
{
    const struct making made = {pool, in, arena};
    make(&made, message, fuzz_u8(in) % 13);
}
