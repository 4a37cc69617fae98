/* photos.h - attachments, for tests with tests/lib/pair.h. */
#ifndef TESTS_LIB_PHOTOS_H
#define TESTS_LIB_PHOTOS_H

#include "client/core/replica_blobs.h"
#include "tests/lib/pair.h"

struct photo {
    uint8_t hash[BLOB_HASH];
    size_t size;
    uint64_t seed;
    struct uuid record;
};

/* The bytes of size and seed, which look like a compressed file; heap. */
uint8_t *photo_bytes(uint64_t seed, size_t size);
/* Attached to a customer in one transaction, as a program would. */
struct photo photo_attach(struct pair *pair, struct pair_device *device, struct uuid party,
                          uint64_t seed, size_t size);
/* Whether a device (NULL: headquarters) has it whole, and that its bytes are right if so; a branch by its link. */
bool photo_is_at(struct pair *pair, struct pair_device *device, const struct photo *photo);
/* What is known of it there; all zeros: nothing. */
struct blob photo_state(struct pair *pair, struct pair_device *device, const struct photo *photo);
/* Somebody at the device asks for it. */
void photo_ask(struct pair *pair, struct pair_device *device, const struct photo *photo);
struct blob_counts photo_counts(struct pair_device *device);
/* Chunks in the store, of whatever. */
uint32_t photo_chunks(struct pair *pair, struct pair_device *device);

#endif
