#include "common/crypto.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

struct crypto {
    OSSL_LIB_CTX *library; /* our own: no configuration file, no engines */
    EVP_MD *sha256;
    EVP_MD_CTX *hashing; /* for crypto_sha256(), used again and again */
    EVP_MAC *hmac;
    EVP_MAC_CTX *authenticating;
    EVP_MD_CTX *signing;
};

/* OpenSSL notes failures in a queue of the thread, where the TLS code of the same thread would take
 * them for its own. So what can fail because of a peer runs between ERR_set_mark() and
 * ERR_pop_to_mark(), which drops what was noted in between. */

enum err crypto_new(struct crypto **ret_crypto)
{
    struct crypto *c = calloc(1, sizeof(*c));
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    if (c == NULL)
        return ERR_NOMEM;
    c->library = OSSL_LIB_CTX_new();
    if (c->library == NULL) {
        crypto_free(c);
        return ERR_NOMEM;
    }
    c->sha256 = EVP_MD_fetch(c->library, "SHA256", NULL);
    c->hmac = EVP_MAC_fetch(c->library, "HMAC", NULL);
    c->hashing = EVP_MD_CTX_new();
    c->signing = EVP_MD_CTX_new();
    if (c->hmac != NULL)
        c->authenticating = EVP_MAC_CTX_new(c->hmac);
    if (c->sha256 == NULL || c->hashing == NULL || c->signing == NULL ||
        c->authenticating == NULL || !EVP_MAC_CTX_set_params(c->authenticating, parameters)) {
        crypto_free(c);
        return ERR_CRYPTO;
    }
    *ret_crypto = c;
    return ERR_OK;
}

void crypto_free(struct crypto *c)
{
    if (c == NULL)
        return;
    EVP_MD_CTX_free(c->signing);
    EVP_MAC_CTX_free(c->authenticating);
    EVP_MD_CTX_free(c->hashing);
    EVP_MAC_free(c->hmac);
    EVP_MD_free(c->sha256);
    OSSL_LIB_CTX_free(c->library);
    free(c);
}

enum err crypto_sha256(struct crypto *c, struct bytes in, uint8_t out[CRYPTO_SHA256_SIZE])
{
    uint8_t hash[CRYPTO_SHA256_SIZE];

    if (!EVP_DigestInit_ex2(c->hashing, c->sha256, NULL) ||
        !EVP_DigestUpdate(c->hashing, in.data, in.size) ||
        !EVP_DigestFinal_ex(c->hashing, hash, NULL))
        return ERR_CRYPTO;
    memcpy(out, hash, sizeof(hash));
    return ERR_OK;
}

enum err crypto_hmac_sha256(struct crypto *c, struct bytes key, struct bytes in,
                            uint8_t out[CRYPTO_SHA256_SIZE])
{
    static const uint8_t empty[1];
    uint8_t mac[CRYPTO_SHA256_SIZE];
    size_t size;

    /* A key of NULL would mean the one before. */
    if (!EVP_MAC_init(c->authenticating, key.size == 0 ? empty : key.data, key.size, NULL) ||
        !EVP_MAC_update(c->authenticating, in.data, in.size) ||
        !EVP_MAC_final(c->authenticating, mac, &size, sizeof(mac)) || size != sizeof(mac))
        return ERR_CRYPTO;
    memcpy(out, mac, sizeof(mac));
    return ERR_OK;
}

enum err crypto_sha256_begin(struct crypto *c, struct crypto_sha256_state *state)
{
    if (state->native == NULL)
        state->native = EVP_MD_CTX_new();
    if (state->native == NULL)
        return ERR_NOMEM;
    return EVP_DigestInit_ex2(state->native, c->sha256, NULL) ? ERR_OK : ERR_CRYPTO;
}

enum err crypto_sha256_update(struct crypto_sha256_state *state, struct bytes in)
{
    return EVP_DigestUpdate(state->native, in.data, in.size) ? ERR_OK : ERR_CRYPTO;
}

enum err crypto_sha256_end(struct crypto_sha256_state *state, uint8_t out[CRYPTO_SHA256_SIZE])
{
    uint8_t hash[CRYPTO_SHA256_SIZE];

    if (!EVP_DigestFinal_ex(state->native, hash, NULL))
        return ERR_CRYPTO;
    memcpy(out, hash, sizeof(hash));
    return ERR_OK;
}

void crypto_sha256_done(struct crypto_sha256_state *state)
{
    EVP_MD_CTX_free(state->native);
    state->native = NULL;
}

enum err crypto_ed25519_public(struct crypto *c, const uint8_t seed[CRYPTO_ED25519_SEED_SIZE],
                               uint8_t ret_public[CRYPTO_ED25519_PUBLIC_SIZE])
{
    EVP_PKEY *key;
    uint8_t raw[CRYPTO_ED25519_PUBLIC_SIZE];
    size_t size = sizeof(raw);
    enum err error = ERR_CRYPTO;

    ERR_set_mark();
    key = EVP_PKEY_new_raw_private_key_ex(c->library, "ED25519", NULL, seed,
                                          CRYPTO_ED25519_SEED_SIZE);
    if (key != NULL && EVP_PKEY_get_raw_public_key(key, raw, &size) && size == sizeof(raw)) {
        memcpy(ret_public, raw, sizeof(raw));
        error = ERR_OK;
    }
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    return error;
}

enum err crypto_ed25519_sign(struct crypto *c, const uint8_t seed[CRYPTO_ED25519_SEED_SIZE],
                             struct bytes message,
                             uint8_t ret_signature[CRYPTO_ED25519_SIGNATURE_SIZE])
{
    EVP_PKEY *key;
    uint8_t raw[CRYPTO_ED25519_SIGNATURE_SIZE];
    size_t size = sizeof(raw);
    enum err error = ERR_CRYPTO;

    ERR_set_mark();
    key = EVP_PKEY_new_raw_private_key_ex(c->library, "ED25519", NULL, seed,
                                          CRYPTO_ED25519_SEED_SIZE);
    if (key != NULL && EVP_DigestSignInit_ex(c->signing, NULL, NULL, c->library, NULL, key, NULL) &&
        EVP_DigestSign(c->signing, raw, &size, message.data, message.size) == 1 &&
        size == sizeof(raw)) {
        memcpy(ret_signature, raw, sizeof(raw));
        error = ERR_OK;
    }
    EVP_MD_CTX_reset(c->signing); /* it holds the key */
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    return error;
}

/* 1: valid, 0: not valid, or no memory to find out; negative: could not be checked. */
static int verify_once(struct crypto *c, EVP_PKEY *key, struct bytes message,
                       const uint8_t *signature)
{
    int verdict = -1;

    if (EVP_DigestVerifyInit_ex(c->signing, NULL, NULL, c->library, NULL, key, NULL))
        verdict = EVP_DigestVerify(c->signing, signature, CRYPTO_ED25519_SIGNATURE_SIZE,
                                   message.data, message.size);
    EVP_MD_CTX_reset(c->signing);
    return verdict;
}

enum err crypto_ed25519_verify(struct crypto *c,
                               const uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE],
                               struct bytes message,
                               const uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE])
{
    EVP_PKEY *key;
    int verdict = -1;

    ERR_set_mark();
    key = EVP_PKEY_new_raw_public_key_ex(c->library, "ED25519", NULL, public_key,
                                         CRYPTO_ED25519_PUBLIC_SIZE);
    if (key != NULL)
        verdict = verify_once(c, key, message, signature);
    if (verdict == 0) /* a signature stays wrong; an allocation that failed may succeed now */
        verdict = verify_once(c, key, message, signature);
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    if (verdict == 1)
        return ERR_OK;
    return verdict == 0 ? ERR_AUTH : ERR_CRYPTO;
}

bool crypto_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || CRYPTO_memcmp(a.data, b.data, a.size) == 0);
}

void crypto_wipe(void *data, size_t size)
{
    if (size > 0)
        OPENSSL_cleanse(data, size);
}
