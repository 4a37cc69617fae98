/* oracle_rows.c - what a database shows to plain SQL. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/sim/oracle.h"

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *at = data;
    hash = (hash ^ size) * 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3;
    return hash ^ hash >> 29;
}

static uint64_t hash_cell(uint64_t hash, sqlite3_stmt *row, int column)
{
    int type = sqlite3_column_type(row, column);
    hash = mix(hash, &type, sizeof type);
    if (type == SQLITE_INTEGER) {
        sqlite3_int64 number = sqlite3_column_int64(row, column);
        return mix(hash, &number, sizeof number);
    }
    if (type == SQLITE_FLOAT) {
        double number = sqlite3_column_double(row, column);
        return mix(hash, &number, sizeof number);
    }
    const void *data = sqlite3_column_blob(row, column);
    return data ? mix(hash, data, (size_t)sqlite3_column_bytes(row, column)) : hash;
}

static void add(struct row_list *list, uint16_t table, sqlite3_stmt *row, int from, bool dead)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 512;
        list->items = realloc(list->items, list->capacity * sizeof *list->items);
        if (!list->items)
            abort();
    }
    struct row_digest *item = &list->items[list->count++];
    *item = (struct row_digest){.table = table, .dead = dead};
    memcpy(item->id, sqlite3_column_blob(row, 0), 16);
    item->bucket = (uint32_t)sqlite3_column_int64(row, 1);
    int count = sqlite3_column_count(row);
    for (int i = from; i < count; i++)
        item->hash = hash_cell(item->hash, row, i);
}

/* ---- the content of dead rows: format, count, then for each column id, kind, value ---- */

static bool number_of(struct bytes in, size_t *at, uint64_t *ret)
{
    *ret = 0;
    for (int shift = 0; *at < in.size && shift < 64; shift += 7) {
        uint8_t byte = in.data[(*at)++];
        *ret |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Passes a value; its bytes are those from `at` before to `at` after. */
static bool pass_value(struct bytes in, size_t *at)
{
    uint64_t size;
    if (*at >= in.size)
        return false;
    switch (in.data[(*at)++]) {
    case 0: return true;
    case 1: return number_of(in, at, &size);
    case 2: *at += 8; return *at <= in.size;
    default:
        if (!number_of(in, at, &size) || size > in.size - *at)
            return false;
        *at += (size_t)size;
        return true;
    }
}

/* What a column of a later model shows in a row that was packed before it. */
static size_t pack_default(const struct value *value, uint8_t out[100])
{
    size_t size = 0;
    out[size++] = (uint8_t)value->kind;
    if (value->kind == VALUE_INT) {
        uint64_t bits = (uint64_t)value->as.integer << 1 ^ (uint64_t)(value->as.integer >> 63);
        for (; bits >= 0x80; bits >>= 7)
            out[size++] = (uint8_t)(bits | 0x80);
        out[size++] = (uint8_t)bits;
    } else if (value->kind == VALUE_TEXT && value->as.bytes.size < 90) {
        out[size++] = (uint8_t)value->as.bytes.size;
        memcpy(out + size, value->as.bytes.data, value->as.bytes.size);
        size += value->as.bytes.size;
    }
    return size;
}

static uint64_t hash_content(uint64_t hash, const struct model_table *table, struct bytes in)
{
    uint64_t count = 0, id = 0;
    size_t at = 1;
    uint16_t column = 0;
    bool good = number_of(in, &at, &count);
    for (; good && count > 0; count--, column++) {
        good = number_of(in, &at, &id);
        size_t from = at;
        good = good && pass_value(in, &at);
        if (good)
            hash = mix(hash, in.data + from, at - from);
    }
    for (; good && column < table->column_count; column++) {
        uint8_t packed[100];
        hash = mix(hash, packed, pack_default(&table->columns[column].fallback, packed));
    }
    return good ? hash : mix(hash, in.data, in.size);
}

struct bytes rows_packed(struct bytes in, uint32_t column)
{
    uint64_t count = 0, id = 0, size;
    size_t at = 1;
    for (bool good = number_of(in, &at, &count); good && count > 0; count--) {
        good = number_of(in, &at, &id) && at < in.size;
        size_t from = at;
        good = good && pass_value(in, &at);
        if (!good || id != column || in.data[from] < 3)
            continue;
        from++;
        (void)number_of(in, &from, &size);
        return bytes_of(in.data + from, (size_t)size);
    }
    return bytes_of(NULL, 0);
}

static bool wanted(const bool *buckets, uint32_t count, sqlite3_stmt *row)
{
    sqlite3_int64 bucket = sqlite3_column_int64(row, 1);
    return !buckets || (bucket >= 0 && bucket < count && buckets[bucket]);
}

static int by_place(const void *a, const void *b)
{
    const struct row_digest *x = a, *y = b;
    return x->table != y->table ? (x->table < y->table ? -1 : 1) : memcmp(x->id, y->id, 16);
}

static bool read_live(struct node *node, const struct model_table *table, const bool *buckets,
                      uint32_t count, struct row_list *ret)
{
    char sql[1400];
    sqlite3_stmt *row;
    int size = snprintf(sql, sizeof sql, "SELECT id,_bucket,_version");
    for (uint16_t i = 0; i < table->column_count; i++)
        size += snprintf(sql + size, sizeof sql - (size_t)size, ",\"%s\"", table->columns[i].name);
    snprintf(sql + size, sizeof sql - (size_t)size, " FROM \"%s\"", table->name);
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store), sql, -1, &row, NULL) != SQLITE_OK)
        return false;
    int result;
    while ((result = sqlite3_step(row)) == SQLITE_ROW)
        if (wanted(buckets, count, row))
            add(ret, table->index, row, 2, false);
    sqlite3_finalize(row);
    return result == SQLITE_DONE;
}

static bool read_dead(struct node *node, const bool *buckets, uint32_t count, struct row_list *ret)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store),
                           "SELECT id,bucket,table_id,version,content FROM satchel_dead", -1, &row,
                           NULL) != SQLITE_OK)
        return false;
    int result;
    while ((result = sqlite3_step(row)) == SQLITE_ROW) {
        const struct model_table *table =
            model_table_by_id(node->world->model, (uint32_t)sqlite3_column_int64(row, 2));
        if (!table || !wanted(buckets, count, row))
            continue;
        add(ret, table->index, row, 3, true);
        struct row_digest *item = &ret->items[ret->count - 1];
        item->hash = hash_content(
            hash_cell(0, row, 3), table,
            bytes_of(sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4)));
    }
    sqlite3_finalize(row);
    return result == SQLITE_DONE;
}

bool rows_read(struct node *node, const bool *buckets, uint32_t bucket_count, struct row_list *ret)
{
    const struct model *model = node->world->model;
    bool ok = true;
    *ret = (struct row_list){0};
    for (uint16_t t = 0; ok && t < model->table_count; t++)
        ok = read_live(node, &model->tables[t], buckets, bucket_count, ret);
    ok = ok && read_dead(node, buckets, bucket_count, ret);
    if (ret->count)
        qsort(ret->items, ret->count, sizeof *ret->items, by_place);
    return ok;
}

void rows_done(struct row_list *list)
{
    free(list->items);
    *list = (struct row_list){0};
}
