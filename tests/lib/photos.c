#include "tests/lib/photos.h"

uint8_t *photo_bytes(uint64_t seed, size_t size)
{
    uint8_t *data = malloc(size);
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    assert_non_null(data);
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (uint8_t)(x >> 32);
    }
    return data;
}

static uint16_t column(const struct model_table *table, const char *name)
{
    const struct model_column *c = model_column_by_name(table, bytes_of_text(name));
    assert_non_null(c);
    return c->index;
}

struct photo photo_attach(struct pair *pair, struct pair_device *device, struct uuid party,
                          uint64_t seed, size_t size)
{
    struct photo photo = {.size = size, .seed = seed};
    const struct model_table *table = model_table_by_name(pair->model, bytes_of_text("attachment"));
    uint8_t *data = photo_bytes(seed, size);
    struct blob_writer writer;
    struct err_info info = {0};
    struct dot dot;
    assert_ok(replica_blob_begin(device->replica, &writer));
    for (size_t at = 0; at < size; at += BLOB_CHUNK)
        assert_ok(
            replica_blob_add(device->replica, &writer,
                             bytes_of(data + at, size - at < BLOB_CHUNK ? size - at : BLOB_CHUNK)));
    assert_ok(replica_begin(device->replica, pair->now_ms + device->skew_ms));
    assert_ok(replica_blob_end(device->replica, &writer, photo.hash));
    blob_writer_done(&writer);
    const uint16_t columns[] = {column(table, "party"), column(table, "name"),
                                column(table, "sha256"), column(table, "size")};
    const struct value values[] = {
        value_blob(bytes_of(party.byte, 16)), value_text(bytes_of_text("photo.jpg")),
        value_blob(bytes_of(photo.hash, BLOB_HASH)), value_int((int64_t)size)};
    if (replica_insert(device->replica, table, &photo.record, columns, values, 4, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(device->replica, &dot));
    free(data);
    pair->now_ms++;
    return photo;
}

static struct store *store_of(struct pair *pair, struct pair_device *device)
{
    return device ? device->store : pair->hub_store;
}

struct blob photo_state(struct pair *pair, struct pair_device *device, const struct photo *photo)
{
    struct store *store = store_of(pair, device);
    struct blob blob = {.whole = false};
    assert_ok(store_begin(store, STORE_READ));
    enum err e = blob_get(store, photo->hash, &blob);
    if (e != ERR_NOT_FOUND)
        assert_ok(e);
    store_rollback(store);
    return blob;
}

bool photo_is_at(struct pair *pair, struct pair_device *device, const struct photo *photo)
{
    struct store *store = store_of(pair, device);
    struct blob blob = photo_state(pair, device, photo);
    struct arena arena;
    if (!blob.whole)
        return false;
    uint8_t *data = photo_bytes(photo->seed, photo->size);
    arena_init(&arena, 1 << 20);
    assert_int_equal(blob.size, photo->size);
    assert_ok(store_begin(store, STORE_READ));
    for (uint32_t n = 0; n < blob_chunks(blob.size); n++) {
        struct bytes chunk;
        arena_reset(&arena);
        assert_ok(blob_chunk(store, &blob, n, &arena, &chunk));
        assert_memory_equal(chunk.data, data + (size_t)n * BLOB_CHUNK, chunk.size);
    }
    store_rollback(store);
    arena_done(&arena);
    free(data);
    return true;
}

void photo_ask(struct pair *pair, struct pair_device *device, const struct photo *photo)
{
    (void)pair;
    assert_ok(replica_blob_ask(device->replica, photo->hash));
}

struct blob_counts photo_counts(struct pair_device *device)
{
    struct blob_counts counts;
    assert_ok(replica_blob_counts(device->replica, &counts));
    return counts;
}

static int count(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(uint32_t *)context;
    return 0;
}

uint32_t photo_chunks(struct pair *pair, struct pair_device *device)
{
    struct store *store = store_of(pair, device);
    uint32_t chunks = 0;
    assert_ok(store_begin(store, STORE_READ));
    assert_ok(
        store_side_scan(store, SIDE_CHUNK, bytes_of(NULL, 0), bytes_of(NULL, 0), count, &chunks));
    store_rollback(store);
    return chunks;
}
