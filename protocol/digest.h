/* digest.h - what the confirmed layer of a bucket adds up to.
 *
 * Model:   a record's digest is 128 bits of SHA-256 over its canonical form: table id, record id,
 *          dead, each column (id and value) that is not NULL, and its version blob, revision
 *          included (it is the same everywhere). A bucket's digest is the count of its records
 *          (live and dead) and the sum of their digests modulo 2^128: order does not matter, and a
 *          change subtracts the old and adds the new.
 * Source:  SPEC.md 9. */
#ifndef PROTOCOL_DIGEST_H
#define PROTOCOL_DIGEST_H

#include "common/crypto.h"
#include "common/store.h"

struct digest {
    uint8_t byte[16]; /* little-endian 128-bit number */
};

/* scratch is reset and used. ERR_NOMEM, ERR_CRYPTO. */
enum err digest_row(struct crypto *crypto, const struct model_table *table, const struct uuid *id,
                    const struct store_row *row, struct buf *scratch, struct digest *ret);
void digest_add(struct digest *sum, const struct digest *item);
void digest_subtract(struct digest *sum, const struct digest *item);

#endif
