/* The canonical form of a record: a MessagePack array, everything in its shortest form:
 *
 *   [table id, id, dead, version, (column id, value) ...]
 *
 * The columns are those whose value is not their default, ascending: a column that a later model adds
 * changes no digest, since every store fills it with its default. */
#include "protocol/digest.h"

#include "protocol/pack.h"

#include <string.h>

enum { DIGEST_FIELDS = 4, COLUMN_WORDS = (MODEL_COLUMNS_MAX + 63) / 64 };

/* As a store gives it back: -0.0 is 0.0 (store.h). */
static struct value as_stored(const struct value *value)
{
    struct value stored = *value;

    if (stored.kind == VALUE_REAL)
        stored.as.real += 0.0;
    return stored;
}

static bool is_default(const struct value *value, const struct value *fallback)
{
    if (value->kind != fallback->kind)
        return false;
    if (value->kind == VALUE_NULL) /* most of them */
        return true;
    const struct value stored = as_stored(value);

    return value_equal(&stored, fallback);
}

/* The columns that count, a bit each, and how many they are. */
static uint32_t find_present(const struct model_table *table, const struct store_row *row,
                             uint64_t present[COLUMN_WORDS])
{
    uint32_t count = 0;

    for (uint16_t i = 0; i < table->column_count; i++) {
        if (i % 64 == 0)
            present[i / 64] = 0;
        if (is_default(&row->values[i], &table->columns[i].fallback))
            continue;
        present[i / 64] |= UINT64_C(1) << i % 64;
        count++;
    }
    return count;
}

enum err digest_row(struct crypto *crypto, const struct model_table *table, const struct uuid *id,
                    const struct store_row *row, struct buf *scratch, struct digest *ret)
{
    uint8_t hash[CRYPTO_SHA256_SIZE];
    uint64_t present[COLUMN_WORDS];
    uint32_t count = find_present(table, row, present);
    enum err err;

    buf_reset(scratch);
    pack_array(scratch, DIGEST_FIELDS + 2 * count);
    pack_uint(scratch, table->id);
    pack_id(scratch, id);
    pack_bool(scratch, row->dead);
    pack_binary(scratch, row->version);
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (!(present[i / 64] >> i % 64 & 1))
            continue;
        const struct value value = as_stored(&row->values[i]);

        pack_uint(scratch, table->columns[i].id);
        pack_value(scratch, &value);
    }
    if (scratch->error != ERR_OK)
        return scratch->error;
    err = crypto_sha256(crypto, buf_view(scratch), hash);
    if (err == ERR_OK)
        memcpy(ret->byte, hash, sizeof(ret->byte));
    return err;
}

void digest_add(struct digest *sum, const struct digest *item)
{
    unsigned carry = 0;

    for (size_t i = 0; i < sizeof(sum->byte); i++) {
        carry += (unsigned)sum->byte[i] + item->byte[i];
        sum->byte[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

void digest_subtract(struct digest *sum, const struct digest *item)
{
    unsigned borrow = 0;

    for (size_t i = 0; i < sizeof(sum->byte); i++) {
        unsigned difference = 0x100u + sum->byte[i] - item->byte[i] - borrow;

        sum->byte[i] = (uint8_t)difference;
        borrow = difference < 0x100 ? 1 : 0;
    }
}
