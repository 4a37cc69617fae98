/* blob_internal.h - what blob.c and blob_check.c share: chunks by number. */
#ifndef COMMON_BLOB_INTERNAL_H
#define COMMON_BLOB_INTERNAL_H

#include "common/blob.h"

/* A number that was never given before. */
enum err blob_number_next(struct store *store, uint64_t *ret);
enum err blob_chunk_put(struct store *store, uint64_t number, uint32_t n, struct bytes data);
enum err blob_chunk_remove(struct store *store, uint64_t number, uint32_t n);
/* Chunks 0..chunks-1 of the number are to be removed, in steps. None: nothing. */
enum err blob_remove_later(struct store *store, uint64_t number, uint32_t chunks);

#endif
