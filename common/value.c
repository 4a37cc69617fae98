#include "common/value.h"

#include <math.h>
#include <string.h>

struct value value_null(void)
{
    return (struct value){.kind = VALUE_NULL};
}

struct value value_int(int64_t integer)
{
    return (struct value){.kind = VALUE_INT, .as.integer = integer};
}

struct value value_real(double real)
{
    return (struct value){.kind = VALUE_REAL, .as.real = real};
}

struct value value_text(struct bytes text)
{
    return (struct value){.kind = VALUE_TEXT, .as.bytes = text};
}

struct value value_blob(struct bytes blob)
{
    return (struct value){.kind = VALUE_BLOB, .as.bytes = blob};
}

static uint64_t real_bits(double real)
{
    uint64_t bits;

    _Static_assert(sizeof(bits) == sizeof(real), "a double has 64 bits");
    memcpy(&bits, &real, sizeof(bits));
    return bits;
}

bool value_equal(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NULL: return true;
    case VALUE_INT: return a->as.integer == b->as.integer;
    case VALUE_REAL: return real_bits(a->as.real) == real_bits(b->as.real);
    case VALUE_TEXT:
    case VALUE_BLOB: return bytes_equal(a->as.bytes, b->as.bytes);
    }
    return false;
}

static int sign_of(bool less, bool greater)
{
    return less ? -1 : greater;
}

/* Exactly, where a conversion of the integer to double would round. -1, 0, 1. */
static int compare_int_real(int64_t integer, double real)
{
    int64_t whole;

    if (isnan(real) || real < -0x1p63)
        return 1;
    if (real >= 0x1p63)
        return -1;
    whole = (int64_t)real; /* towards 0; and it converts back without rounding */
    if (integer != whole)
        return integer < whole ? -1 : 1;
    return sign_of(real > (double)whole, real < (double)whole);
}

static int compare_reals(double a, double b)
{
    uint64_t a_bits = real_bits(a), b_bits = real_bits(b);

    if (a_bits == b_bits)
        return 0;
    if (isnan(a) || isnan(b)) {
        if (isnan(a) && isnan(b))
            return a_bits < b_bits ? -1 : 1;
        return isnan(a) ? -1 : 1;
    }
    if (a < b || a > b)
        return a < b ? -1 : 1;
    return signbit(a) ? -1 : 1; /* -0.0 and 0.0 */
}

/* Both INT or REAL. */
static int compare_numbers(const struct value *a, const struct value *b)
{
    int order;

    if (a->kind == VALUE_INT && b->kind == VALUE_INT)
        return sign_of(a->as.integer<b->as.integer, a->as.integer> b->as.integer);
    if (a->kind == VALUE_REAL && b->kind == VALUE_REAL)
        return compare_reals(a->as.real, b->as.real);
    if (a->kind == VALUE_REAL)
        return -compare_numbers(b, a);
    order = compare_int_real(a->as.integer, b->as.real);
    if (order != 0)
        return order;
    return -1; /* the same number: the integer first, before -0.0 and 0.0 alike */
}

/* NULL 0, numbers 1, TEXT 2, BLOB 3. */
static int kind_rank(enum value_kind kind)
{
    switch (kind) {
    case VALUE_NULL: return 0;
    case VALUE_INT:
    case VALUE_REAL: return 1;
    case VALUE_TEXT: return 2;
    case VALUE_BLOB: return 3;
    }
    return 4;
}

int value_compare(const struct value *a, const struct value *b)
{
    int a_rank = kind_rank(a->kind), b_rank = kind_rank(b->kind);

    if (a_rank != b_rank)
        return a_rank < b_rank ? -1 : 1;
    if (a_rank == 1)
        return compare_numbers(a, b);
    return a_rank == 0 ? 0 : bytes_compare(a->as.bytes, b->as.bytes);
}

bool value_id(const struct value *value, struct uuid *ret)
{
    if (value->kind != VALUE_BLOB || value->as.bytes.size != sizeof ret->byte)
        return false;
    memcpy(ret->byte, value->as.bytes.data, sizeof ret->byte);
    return true;
}

enum err value_copy(struct arena *arena, const struct value *in, struct value *ret)
{
    struct value copy = *in;

    if (in->kind == VALUE_TEXT || in->kind == VALUE_BLOB) {
        enum err error = arena_copy(arena, in->as.bytes, &copy.as.bytes);

        if (error != ERR_OK)
            return error;
    }
    *ret = copy;
    return ERR_OK;
}
