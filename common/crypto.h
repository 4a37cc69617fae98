/* crypto.h - SHA-256, HMAC and Ed25519 on OpenSSL 3.
 *
 * Model:      a context holds the algorithms, fetched once (fetching by name per call costs more
 *             than hashing a row does). It uses a library context of its own and reads no
 *             configuration. Nothing here makes a secret: seeds and nonces come from struct rng.
 * Threads:    a context serves one thread at a time; make one per thread.
 * Cost:       crypto_sha256 0.15 us and the hashing itself (0.3 us for 300 bytes with SHA-NI); sign
 *             and verify 100 to 200 us; a context about 1 ms to make.
 * Ownership:  heap; crypto_free() accepts NULL.
 * Errors:     ERR_CRYPTO where OpenSSL fails without a cause that a caller could treat (memory
 *             included, except in the functions that say ERR_NOMEM).
 * Source:     FIPS 180-4, RFC 2104, RFC 8032 (pure Ed25519: no context, no prehash). */
#ifndef COMMON_CRYPTO_H
#define COMMON_CRYPTO_H

#include "common/bytes.h"
#include "common/error.h"

#define CRYPTO_SHA256_SIZE            32
#define CRYPTO_ED25519_SEED_SIZE      32
#define CRYPTO_ED25519_PUBLIC_SIZE    32
#define CRYPTO_ED25519_SIGNATURE_SIZE 64

struct crypto;

/* ERR_NOMEM (no context could be made), ERR_CRYPTO (an algorithm is missing). */
enum err crypto_new(struct crypto **ret_crypto);
void crypto_free(struct crypto *crypto);

/* out is untouched on failure. ERR_CRYPTO. */
enum err crypto_sha256(struct crypto *crypto, struct bytes in, uint8_t out[CRYPTO_SHA256_SIZE]);
/* Any key size; an empty key is allowed. ERR_CRYPTO. */
enum err crypto_hmac_sha256(struct crypto *crypto, struct bytes key, struct bytes in,
                            uint8_t out[CRYPTO_SHA256_SIZE]);

/* A hash in parts. The caller embeds the struct, zeroed before the first begin; it may begin again
 * after an end, or instead of one. done frees and accepts a zeroed struct; the crypto context must
 * outlive it. Several may be open on one context. */
struct crypto_sha256_state {
    void *native; /* EVP_MD_CTX */
};

/* ERR_NOMEM, ERR_CRYPTO. */
enum err crypto_sha256_begin(struct crypto *crypto, struct crypto_sha256_state *state);
/* ERR_CRYPTO. */
enum err crypto_sha256_update(struct crypto_sha256_state *state, struct bytes in);
/* ERR_CRYPTO; out is untouched on failure. */
enum err crypto_sha256_end(struct crypto_sha256_state *state, uint8_t out[CRYPTO_SHA256_SIZE]);
void crypto_sha256_done(struct crypto_sha256_state *state);

/* The public key of a 32-byte private seed. ERR_CRYPTO. */
enum err crypto_ed25519_public(struct crypto *crypto, const uint8_t seed[CRYPTO_ED25519_SEED_SIZE],
                               uint8_t ret_public[CRYPTO_ED25519_PUBLIC_SIZE]);
/* Deterministic: the same seed and message give the same signature. ERR_CRYPTO. */
enum err crypto_ed25519_sign(struct crypto *crypto, const uint8_t seed[CRYPTO_ED25519_SEED_SIZE],
                             struct bytes message,
                             uint8_t ret_signature[CRYPTO_ED25519_SIGNATURE_SIZE]);
/* ERR_OK: the signature is valid. ERR_AUTH: it is not, or the key is not a point of the curve.
 * ERR_CRYPTO: could not be checked. Only ERR_OK may be taken as valid. */
enum err crypto_ed25519_verify(struct crypto *crypto,
                               const uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE],
                               struct bytes message,
                               const uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE]);

/* Same size and content, in a time that depends on the sizes alone. For codes, tokens and MACs. */
bool crypto_equal(struct bytes a, struct bytes b);
/* Clears memory that held a secret, in a way that a compiler cannot drop. data may be NULL when
 * size is 0. */
void crypto_wipe(void *data, size_t size);

#endif
