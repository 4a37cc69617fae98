/* crypto_fast.c - signatures for the simulator: most runs sign and verify by a keyed hash, as Ed25519
 * would take half of the time and no run looks into it.
 *
 * Model:      linked with --wrap, so that the product's calls come here. A public key is what Ed25519
 *             makes of the seed; who knows the seed of a public key is kept in a table, so a signature
 *             verifies exactly if it was made with that seed over that text. Real signatures are used
 *             when crypto_real is set (--real-crypto, and one run in 16). */
#include "tests/sim/crypto_fast.h"

#include <string.h>

#include "common/crypto.h"

enum { KEYS = 4096 };

bool crypto_real;

static struct {
    uint8_t public_key[32], seed[32];
} keys[KEYS];
static uint32_t key_count;

enum err __real_crypto_ed25519_public(struct crypto *crypto, const uint8_t seed[32],
                                      uint8_t out[32]);
enum err __real_crypto_ed25519_sign(struct crypto *crypto, const uint8_t seed[32],
                                    struct bytes message, uint8_t out[64]);
enum err __real_crypto_ed25519_verify(struct crypto *crypto, const uint8_t public_key[32],
                                      struct bytes message, const uint8_t signature[64]);
enum err __wrap_crypto_ed25519_public(struct crypto *crypto, const uint8_t seed[32],
                                      uint8_t out[32]);
enum err __wrap_crypto_ed25519_sign(struct crypto *crypto, const uint8_t seed[32],
                                    struct bytes message, uint8_t out[64]);
enum err __wrap_crypto_ed25519_verify(struct crypto *crypto, const uint8_t public_key[32],
                                      struct bytes message, const uint8_t signature[64]);

void crypto_fast_forget(void)
{
    key_count = 0;
}

enum err __wrap_crypto_ed25519_public(struct crypto *crypto, const uint8_t seed[32],
                                      uint8_t out[32])
{
    if (crypto_real)
        return __real_crypto_ed25519_public(crypto, seed, out);
    uint8_t text[40] = "public key";
    memcpy(text + 8, seed, 32);
    enum err e = crypto_sha256(crypto, bytes_of(text, sizeof text), out);
    if (e == ERR_OK && key_count < KEYS) {
        memcpy(keys[key_count].public_key, out, 32);
        memcpy(keys[key_count++].seed, seed, 32);
    }
    return e;
}

enum err __wrap_crypto_ed25519_sign(struct crypto *crypto, const uint8_t seed[32],
                                    struct bytes message, uint8_t out[64])
{
    if (crypto_real)
        return __real_crypto_ed25519_sign(crypto, seed, message, out);
    struct crypto_sha256_state state = {0};
    enum err e = crypto_sha256_begin(crypto, &state);
    if (e == ERR_OK)
        e = crypto_sha256_update(&state, bytes_of(seed, 32));
    if (e == ERR_OK)
        e = crypto_sha256_update(&state, message);
    if (e == ERR_OK)
        e = crypto_sha256_end(&state, out);
    crypto_sha256_done(&state);
    memset(out + 32, 0x5a, 32);
    return e;
}

enum err __wrap_crypto_ed25519_verify(struct crypto *crypto, const uint8_t public_key[32],
                                      struct bytes message, const uint8_t signature[64])
{
    if (crypto_real)
        return __real_crypto_ed25519_verify(crypto, public_key, message, signature);
    for (uint32_t i = 0; i < key_count; i++)
        if (memcmp(keys[i].public_key, public_key, 32) == 0) {
            uint8_t expected[64];
            enum err e = __wrap_crypto_ed25519_sign(crypto, keys[i].seed, message, expected);
            if (e != ERR_OK)
                return e;
            return memcmp(expected, signature, 64) == 0 ? ERR_OK : ERR_AUTH;
        }
    return ERR_AUTH;
}
