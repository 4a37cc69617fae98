#include "tests/sim/photos.h"

#include <stdlib.h>
#include <string.h>

#include "client/core/replica_blobs.h"
#include "tests/lib/failing_alloc.h"
#include "tests/sim/oracle.h"

enum { PHOTOS_MOST = 512, SIZE_MOST = 2 * BLOB_CHUNK + 5000 };

struct photo {
    uint8_t hash[BLOB_HASH];
    bool forged;
};

struct photos {
    struct photo list[PHOTOS_MOST];
    uint32_t count;
    uint8_t bytes[SIZE_MOST];
};

struct photos *photos_new(void)
{
    struct photos *photos = calloc(1, sizeof *photos);
    if (!photos)
        abort();
    return photos;
}

void photos_free(struct photos *photos)
{
    free(photos);
}

static bool is_forged(const struct photos *photos, const uint8_t *hash)
{
    for (uint32_t i = 0; i < photos->count; i++)
        if (memcmp(photos->list[i].hash, hash, BLOB_HASH) == 0)
            return photos->list[i].forged;
    return false;
}

/* ---- making ---- */

static size_t fill(struct photos *photos, struct seeded_rng *dice, uint32_t tx, const char *canary)
{
    char piece[64];
    size_t size = 200 + (size_t)seeded_below(dice, 3000), used;
    if (seeded_below(dice, 4) == 0)
        size = BLOB_CHUNK + (size_t)seeded_below(dice, SIZE_MOST - BLOB_CHUNK);
    used = (size_t)snprintf(piece, sizeof piece, "%s#p%u.%u ", canary, tx, photos->count);
    for (size_t i = 0; i < size; i++)
        photos->bytes[i] = (uint8_t)piece[i % used];
    return size;
}

/* Other bytes under the hash, at their maker. */
static enum err forge(struct node *node, const struct photos *photos, const uint8_t *hash,
                      size_t size)
{
    uint8_t key[12] = {0}, other[BLOB_CHUNK];
    struct blob blob;
    size_t first = size < BLOB_CHUNK ? size : BLOB_CHUNK;
    enum err e = blob_get(node->store, hash, &blob);
    memcpy(other, photos->bytes, first);
    other[first / 2] ^= 1;
    be64_put(key, blob.number);
    return e == ERR_OK ? store_side_put(node->store, SIDE_CHUNK, bytes_of(key, sizeof key),
                                        bytes_of(other, first))
                       : e;
}

enum err photos_make(struct node *node, struct seeded_rng *dice, uint32_t tx, const char *canary,
                     uint8_t ret_hash[32])
{
    struct photos *photos = node->world->photos;
    struct blob_writer writer = {.number = 0};
    if (photos->count == PHOTOS_MOST)
        return ERR_LIMIT;
    size_t size = fill(photos, dice, tx, canary);
    enum err e = replica_blob_begin(node->replica, &writer);
    for (size_t at = 0; e == ERR_OK && at < size; at += BLOB_CHUNK)
        e = replica_blob_add(
            node->replica, &writer,
            bytes_of(photos->bytes + at, size - at < BLOB_CHUNK ? size - at : BLOB_CHUNK));
    if (e == ERR_OK)
        e = replica_blob_end(node->replica, &writer, ret_hash);
    blob_writer_done(&writer);
    bool forged = seeded_below(dice, 6) == 0;
    if (e == ERR_OK && forged)
        e = forge(node, photos, ret_hash, size);
    if (e != ERR_OK)
        return e;
    struct photo *photo = &photos->list[photos->count++];
    photo->forged = forged;
    memcpy(photo->hash, ret_hash, BLOB_HASH);
    node->world->cover[COVER_PHOTOS]++;
    return ERR_OK;
}

void photos_ask(struct node *node, struct seeded_rng *dice)
{
    const struct photos *photos = node->world->photos;
    if (photos->count == 0 || seeded_below(dice, 4))
        return;
    const struct photo *photo = &photos->list[seeded_below(dice, photos->count)];
    node_enter(node);
    (void)replica_blob_ask(node->replica, photo->hash); /* a fault may refuse it */
    node_leave(node);
}

/* ---- the end ---- */

struct looking {
    struct world *world;
    struct node *node, *hub;
};

static bool is_whole_at(struct node *node, const uint8_t *hash)
{
    struct blob blob = {.whole = false};
    return blob_get(node->store, hash, &blob) == ERR_OK && blob.whole;
}

static int look_at_whole(void *context, const uint8_t *hash, const struct blob *blob)
{
    struct looking *l = context;
    const struct node *node = l->node;
    bool forged = is_forged(l->world->photos, hash), live = false, here = false, dead;
    if (!blob->whole)
        return 0;
    if (forged && (node == l->hub || node_is_branch(node)))
        broken(l->world, "attachments are what they say", "%s has forged bytes", node->name);
    enum err e = forged ? ERR_OK : blob_verify(node->store, l->world->kit->crypto, hash, blob);
    if (e != ERR_OK)
        broken(l->world, "attachments are what they say", "%s shows one that is not whole: %s",
               node->name, err_name(e));
    if (forged || node == l->hub || is_whole_at(l->hub, hash))
        return 0;
    if (blob->confirmed)
        broken(l->world, "attachments are kept",
               "%s was told that headquarters has one, and it has not", node->name);
    (void)blob_named(l->hub->store, hash, &live, &dead);
    (void)blob_named(node->store, hash, &here, &dead);
    if (live && here)
        broken(l->world, "attachments arrive", "%s has one that headquarters lacks", node->name);
    return 0;
}

static int look_at_missing(void *context, const uint8_t *hash)
{
    struct looking *l = context;
    bool live = false, dead;
    (void)blob_named(l->hub->store, hash, &live, &dead);
    if (live && is_whole_at(l->hub, hash))
        broken(l->world, "attachments arrive", "%s lacks one that headquarters has", l->node->name);
    return 0;
}

static void look(struct world *world, struct node *node)
{
    struct node *hub = &world->nodes[0];
    struct looking l = {.world = world, .node = node, .hub = hub};
    bool same = node == hub, replica = node->replica != NULL && !node_is_branch(node);
    struct replica_status status = {0};
    if (!same)
        replica_status(node->replica, &status);
    enum err e = store_begin(hub->store, STORE_READ);
    if (e == ERR_OK && !same)
        e = store_begin(node->store, STORE_READ);
    if (e == ERR_OK)
        e = blob_scan(node->store, look_at_whole, &l);
    if (e == ERR_OK && replica && status.outbox_count == 0)
        e = blob_list_scan(node->store, BLOB_TO_FETCH, look_at_missing, &l);
    if (!same)
        store_rollback(node->store);
    store_rollback(hub->store);
    if (e != ERR_OK)
        broken(world, "store is whole", "attachments of %s: %s", node->name, err_name(e));
}

void photos_end(struct world *world)
{
    bool paused = failing_alloc_pause(true);
    for (uint32_t i = 0; i < world->node_count && !world->failed; i++) {
        struct node *node = &world->nodes[i];
        if (node->running && node->store && !node->erased && !node->retired)
            look(world, node);
    }
    (void)failing_alloc_pause(paused);
}
