#include "tests/lib/messages.h"

#include "tests/lib/codec.h"
#include "tests/lib/unit.h"

#define TYPE_ROW(upper, lower, code, pre) MESSAGE_##upper,
const enum message_type message_types[] = {MESSAGE_LIST(TYPE_ROW)};
#undef TYPE_ROW
const unsigned message_type_count = sizeof(message_types) / sizeof(message_types[0]);

static uint64_t random_uint(struct seeded_rng *r)
{
    return seeded_below(r, 8) == 0 ? UINT64_MAX : seeded_u64(r) >> seeded_below(r, 64);
}

static uint32_t random_u32(struct seeded_rng *r)
{
    return (uint32_t)(seeded_below(r, 8) == 0 ? UINT32_MAX
                                              : seeded_u64(r) >> (32 + seeded_below(r, 32)));
}

static void *need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count, size);

    assert_non_null(memory);
    return memory;
}

static struct oseq_range *random_oseq_ranges(struct seeded_rng *r, struct arena *arena,
                                             uint64_t after, uint32_t count)
{
    struct oseq_range *ranges = need(arena, count, sizeof(*ranges));

    for (uint32_t i = 0; i < count; i++) {
        ranges[i].from = after + 2 + seeded_below(r, 100);
        ranges[i].to = ranges[i].from + seeded_below(r, 3) * seeded_below(r, 1000);
        after = ranges[i].to;
    }
    return ranges;
}

/* --- Elements --------------------------------------------------------------------------------- */

static void random_bytes(struct seeded_rng *r, struct arena *arena, struct bytes *ret)
{
    *ret = codec_bytes(r, arena, (size_t)seeded_below(r, 300));
}

static bool equal_bytes(const struct bytes *a, const struct bytes *b)
{
    return bytes_equal(*a, *b);
}

static void random_oseq_range(struct seeded_rng *r, struct arena *arena, struct oseq_range *ret)
{
    *ret = *random_oseq_ranges(r, arena, seeded_below(r, 1000), 1);
}

static bool equal_oseq_range(const struct oseq_range *a, const struct oseq_range *b)
{
    return a->from == b->from && a->to == b->to;
}

static void random_bucket_name(struct seeded_rng *r, struct arena *arena, struct bucket_name *ret)
{
    (void)arena;
    ret->number = random_u32(r);
    ret->kind = (uint32_t)(1 + seeded_below(r, 5));
    ret->key = codec_id(r);
    ret->head = random_u32(r);
}

static bool equal_bucket_name(const struct bucket_name *a, const struct bucket_name *b)
{
    return a->number == b->number && a->kind == b->kind && uuid_equal(&a->key, &b->key) &&
           a->head == b->head;
}

static void random_bucket_position(struct seeded_rng *r, struct arena *arena,
                                   struct bucket_position *ret)
{
    (void)arena;
    ret->bucket = random_u32(r);
    ret->position = random_uint(r);
}

static bool equal_bucket_position(const struct bucket_position *a, const struct bucket_position *b)
{
    return a->bucket == b->bucket && a->position == b->position;
}

static void random_bucket_digest(struct seeded_rng *r, struct arena *arena,
                                 struct bucket_digest *ret)
{
    (void)arena;
    ret->bucket = random_u32(r);
    ret->position = random_uint(r);
    ret->count = random_uint(r);
    seeded_fill(r, ret->sum, sizeof(ret->sum));
}

static bool equal_bucket_digest(const struct bucket_digest *a, const struct bucket_digest *b)
{
    return a->bucket == b->bucket && a->position == b->position && a->count == b->count &&
           memcmp(a->sum, b->sum, sizeof(a->sum)) == 0;
}

static void random_incarnation(struct seeded_rng *r, struct arena *arena, struct incarnation *ret)
{
    struct bucket_position *first;

    ret->id = random_uint(r);
    ret->first_count = (uint32_t)seeded_below(r, 4);
    first = need(arena, ret->first_count, sizeof(*first));
    for (uint32_t i = 0; i < ret->first_count; i++)
        random_bucket_position(r, arena, &first[i]);
    ret->first = first;
}

static bool equal_incarnation(const struct incarnation *a, const struct incarnation *b)
{
    if (a->id != b->id || a->first_count != b->first_count)
        return false;
    for (uint32_t i = 0; i < a->first_count; i++) {
        if (!equal_bucket_position(&a->first[i], &b->first[i]))
            return false;
    }
    return true;
}

static void random_mark(struct seeded_rng *r, struct arena *arena, struct mark *ret)
{
    ret->origin = random_uint(r);
    ret->upto = seeded_below(r, 2) == 0 ? 0 : seeded_below(r, 1u << 20);
    ret->range_count = (uint32_t)seeded_below(r, 4);
    ret->ranges = random_oseq_ranges(r, arena, ret->upto, ret->range_count);
}

static bool equal_mark(const struct mark *a, const struct mark *b)
{
    if (a->origin != b->origin || a->upto != b->upto || a->range_count != b->range_count)
        return false;
    for (uint32_t i = 0; i < a->range_count; i++) {
        if (!equal_oseq_range(&a->ranges[i], &b->ranges[i]))
            return false;
    }
    return true;
}

static void random_group_result(struct seeded_rng *r, struct arena *arena, struct group_result *ret)
{
    ret->oseq = 1 + seeded_below(r, 1u << 20);
    ret->count = 1 + seeded_below(r, 1000);
    ret->code = (uint32_t)(1 + seeded_below(r, 5));
    ret->reason = random_u32(r);
    ret->detail = codec_text(r, arena, (size_t)seeded_below(r, 2) * 40);
    if (seeded_below(r, 2))
        ret->tags = codec_bytes(r, arena, (size_t)ret->count * RESULT_TAG_SIZE);
}

static bool equal_group_result(const struct group_result *a, const struct group_result *b)
{
    if (a->oseq != b->oseq || a->count != b->count || a->code != b->code ||
        a->reason != b->reason || !bytes_equal(a->detail, b->detail) ||
        !bytes_equal(a->tags, b->tags))
        return false;
    return true;
}

static void random_range_name(struct seeded_rng *r, struct arena *arena, struct range_name *ret)
{
    (void)arena;
    ret->number = random_uint(r);
}

static bool equal_range_name(const struct range_name *a, const struct range_name *b)
{
    return a->number == b->number;
}

static void random_range_count(struct seeded_rng *r, struct arena *arena, struct range_count *ret)
{
    (void)arena;
    ret->number = random_uint(r);
    ret->count = random_uint(r);
}

static bool equal_range_count(const struct range_count *a, const struct range_count *b)
{
    return a->number == b->number && a->count == b->count;
}

static void random_origin_floor(struct seeded_rng *r, struct arena *arena, struct origin_floor *ret)
{
    (void)arena;
    ret->origin = random_uint(r);
    ret->floor = random_uint(r);
}

static bool equal_origin_floor(const struct origin_floor *a, const struct origin_floor *b)
{
    return a->origin == b->origin && a->floor == b->floor;
}

static void random_pending_group(struct seeded_rng *r, struct arena *arena,
                                 struct pending_group *ret)
{
    ret->stamp = random_uint(r);
    ret->group = codec_bytes(r, arena, (size_t)seeded_below(r, 60));
}

static bool equal_pending_group(const struct pending_group *a, const struct pending_group *b)
{
    return a->stamp == b->stamp && bytes_equal(a->group, b->group);
}

static void random_blob_offer(struct seeded_rng *r, struct arena *arena, struct blob_offer *ret)
{
    ret->hash = codec_bytes(r, arena, 32);
    ret->size = random_uint(r);
}

static bool equal_blob_offer(const struct blob_offer *a, const struct blob_offer *b)
{
    return bytes_equal(a->hash, b->hash) && a->size == b->size;
}

static void random_blob_state(struct seeded_rng *r, struct arena *arena, struct blob_state *ret)
{
    ret->hash = codec_bytes(r, arena, 32);
    ret->code = random_uint(r);
    ret->next = random_uint(r);
}

static bool equal_blob_state(const struct blob_state *a, const struct blob_state *b)
{
    return bytes_equal(a->hash, b->hash) && a->code == b->code && a->next == b->next;
}

/* --- Messages --------------------------------------------------------------------------------- */

#define AT_MOST(max, n) ((size_t)seeded_below(r, (max) < (n) ? (max) + 1 : (n) + 1))

#define RANDOM_U(name)      self->name = random_uint(r);
#define RANDOM_I(name)      self->name = (int64_t)random_uint(r);
#define RANDOM_ID(name)     self->name = codec_id(r);
#define RANDOM_B(name, max) self->name = codec_bytes(r, arena, AT_MOST(max, 600));
#define RANDOM_T(name, max) self->name = codec_text(r, arena, AT_MOST(max, 600));
#define RANDOM_L(name, kind, max)                                      \
    {                                                                  \
        uint32_t count = (uint32_t)AT_MOST(max, max_elements);         \
        struct kind *elements = need(arena, count, sizeof(*elements)); \
        for (uint32_t i = 0; i < count; i++)                           \
            random_##kind(r, arena, &elements[i]);                     \
        self->name = elements;                                         \
        self->name##_count = count;                                    \
    }

#define EQUAL_U(name)      &&a->name == b->name
#define EQUAL_I(name)      &&a->name == b->name
#define EQUAL_ID(name)     &&uuid_equal(&a->name, &b->name)
#define EQUAL_B(name, max) &&bytes_equal(a->name, b->name)
#define EQUAL_T(name, max) &&bytes_equal(a->name, b->name)
#define EQUAL_L(name, kind, max) \
    &&lists_equal_##kind(a->name, a->name##_count, b->name, b->name##_count)

#define LISTS_EQUAL(kind)                                                                        \
    static bool lists_equal_##kind(const struct kind *a, uint32_t a_count, const struct kind *b, \
                                   uint32_t b_count)                                             \
    {                                                                                            \
        if (a_count != b_count)                                                                  \
            return false;                                                                        \
        for (uint32_t i = 0; i < a_count; i++) {                                                 \
            if (!equal_##kind(&a[i], &b[i]))                                                     \
                return false;                                                                    \
        }                                                                                        \
        return true;                                                                             \
    }
LISTS_EQUAL(bytes)
LISTS_EQUAL(oseq_range)
LISTS_EQUAL(bucket_name)
LISTS_EQUAL(bucket_position)
LISTS_EQUAL(bucket_digest)
LISTS_EQUAL(incarnation)
LISTS_EQUAL(mark)
LISTS_EQUAL(group_result)
LISTS_EQUAL(range_name)
LISTS_EQUAL(range_count)
LISTS_EQUAL(origin_floor)
LISTS_EQUAL(pending_group)
LISTS_EQUAL(blob_offer)
LISTS_EQUAL(blob_state)

#define MESSAGE_FUNCTIONS(upper, lower, code, pre)                                               \
    static void random_##lower(struct seeded_rng *r, struct arena *arena, uint32_t max_elements, \
                               struct message_##lower *self)                                     \
    {                                                                                            \
        (void)arena;                                                                             \
        (void)max_elements;                                                                      \
        MESSAGE_##upper(RANDOM_U, RANDOM_I, RANDOM_ID, RANDOM_B, RANDOM_T, RANDOM_L)             \
    }                                                                                            \
    static bool equal_##lower(const struct message_##lower *a, const struct message_##lower *b)  \
    {                                                                                            \
        return true MESSAGE_##upper(EQUAL_U, EQUAL_I, EQUAL_ID, EQUAL_B, EQUAL_T, EQUAL_L);      \
    }
MESSAGE_LIST(MESSAGE_FUNCTIONS)

void message_random(struct seeded_rng *r, struct arena *arena, enum message_type type,
                    uint32_t max_elements, struct message *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->type = type;
    switch (type) {
#define RANDOM_CASE(upper, lower, code, pre) \
    case MESSAGE_##upper: random_##lower(r, arena, max_elements, &ret->as.lower); return;
        MESSAGE_LIST(RANDOM_CASE)
    }
}

bool messages_equal(const struct message *a, const struct message *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
#define EQUAL_CASE(upper, lower, code, pre) \
    case MESSAGE_##upper: return equal_##lower(&a->as.lower, &b->as.lower);
        MESSAGE_LIST(EQUAL_CASE)
    }
    return false;
}
