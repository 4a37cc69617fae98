#include "common/crypto.h"

#ifdef __SANITIZE_ADDRESS__ /* gcc's name; clang's builds here are for fuzzing */
#include <sanitizer/lsan_interface.h>
#endif

#include "common/text.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/unit.h"

static int set_up(void **state)
{
    struct crypto *crypto = NULL;

    if (crypto_new(&crypto) != ERR_OK)
        return -1;
    *state = crypto;
    return 0;
}

static int tear_down(void **state)
{
    crypto_free(*state);
    return 0;
}

static void from_hex(const char *hex, uint8_t *out, size_t size)
{
    assert_ok(text_parse_hex(bytes_of_text(hex), out, size));
}

static void assert_hash(const uint8_t hash[32], const char *hex)
{
    uint8_t expected[32];

    from_hex(hex, expected, sizeof(expected));
    assert_memory_equal(hash, expected, sizeof(expected));
}

/* FIPS 180-2 appendix B, and the empty message. */
static void sha256_of_the_standard(void **state)
{
    static const char long_message[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    uint8_t hash[32];

    assert_ok(crypto_sha256(*state, bytes_of_text("abc"), hash));
    assert_hash(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(crypto_sha256(*state, bytes_of_text(long_message), hash));
    assert_hash(hash, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_ok(crypto_sha256(*state, bytes_of(NULL, 0), hash));
    assert_hash(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void sha256_of_a_million_in_parts(void **state)
{
    struct crypto_sha256_state hashing = {0};
    uint8_t hash[32], part[999];
    size_t left = 1000000;

    memset(part, 'a', sizeof(part));
    assert_ok(crypto_sha256_begin(*state, &hashing));
    while (left > 0) {
        size_t size = left < sizeof(part) ? left : sizeof(part);

        assert_ok(crypto_sha256_update(&hashing, bytes_of(part, size)));
        left -= size;
    }
    assert_ok(crypto_sha256_end(&hashing, hash));
    assert_hash(hash, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    crypto_sha256_done(&hashing);
}

static void parts_hash_as_the_whole(void **state)
{
    struct crypto_sha256_state one = {0}, other = {0};
    struct seeded_rng r;
    uint8_t data[1000], whole[32], parts[32];

    seeded_rng_init(&r, 10);
    seeded_fill(&r, data, sizeof(data));
    for (int i = 0; i < 300; i++) {
        size_t size = (size_t)seeded_below(&r, sizeof(data) + 1);
        size_t cut = (size_t)seeded_below(&r, size + 1);

        assert_ok(crypto_sha256_begin(*state, &other)); /* left open: independent */
        assert_ok(crypto_sha256_begin(*state, &one));
        assert_ok(crypto_sha256_update(&one, bytes_of(data, cut)));
        assert_ok(crypto_sha256_update(&other, bytes_of_text("noise")));
        assert_ok(crypto_sha256(*state, bytes_of(data, size), whole));
        assert_ok(crypto_sha256_update(&one, bytes_of(data + cut, size - cut)));
        assert_ok(crypto_sha256_end(&one, parts));
        assert_memory_equal(whole, parts, sizeof(whole));
    }
    crypto_sha256_done(&one);
    crypto_sha256_done(&other);
    crypto_sha256_done(&other); /* done twice, and on a zeroed one, is fine */
}

/* RFC 4231, cases 1, 2 and 6. */
static void hmac_of_the_rfc(void **state)
{
    uint8_t key[131], mac[32];

    memset(key, 0x0b, 20);
    assert_ok(crypto_hmac_sha256(*state, bytes_of(key, 20), bytes_of_text("Hi There"), mac));
    assert_hash(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_ok(crypto_hmac_sha256(*state, bytes_of_text("Jefe"),
                                 bytes_of_text("what do ya want for nothing?"), mac));
    assert_hash(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    assert_ok(crypto_hmac_sha256(
        *state, bytes_of(key, sizeof(key)),
        bytes_of_text("Test Using Larger Than Block-Size Key - Hash Key First"), mac));
    assert_hash(mac, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* The value is the one that RFC 2104 gives for a key of no bytes and no message. */
static void hmac_with_an_empty_key_does_not_use_the_one_before(void **state)
{
    uint8_t mac[32];

    assert_ok(crypto_hmac_sha256(*state, bytes_of_text("a secret"), bytes_of(NULL, 0), mac));
    assert_ok(crypto_hmac_sha256(*state, bytes_of(NULL, 0), bytes_of(NULL, 0), mac));
    assert_hash(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static const struct {
    const char *seed, *public_key, *message, *signature;
} ed25519_rows[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

/* RFC 8032, 7.1, tests 1 to 3. */
static void ed25519_of_the_rfc(void **state)
{
    for (size_t i = 0; i < sizeof(ed25519_rows) / sizeof(ed25519_rows[0]); i++) {
        uint8_t seed[32], public_key[32], expected[64], made[64], message[2];
        struct bytes view = bytes_of(message, strlen(ed25519_rows[i].message) / 2);

        from_hex(ed25519_rows[i].seed, seed, sizeof(seed));
        from_hex(ed25519_rows[i].message, message, view.size);
        from_hex(ed25519_rows[i].public_key, expected, 32);
        assert_ok(crypto_ed25519_public(*state, seed, public_key));
        assert_memory_equal(public_key, expected, 32);
        from_hex(ed25519_rows[i].signature, expected, sizeof(expected));
        assert_ok(crypto_ed25519_sign(*state, seed, view, made));
        assert_memory_equal(made, expected, sizeof(expected));
        assert_ok(crypto_ed25519_verify(*state, public_key, view, made));
    }
}

static void ed25519_takes_views_of_nothing(void **state)
{
    uint8_t seed[32] = {1}, public_key[32], signature[64];

    assert_ok(crypto_ed25519_public(*state, seed, public_key));
    assert_ok(crypto_ed25519_sign(*state, seed, bytes_of(NULL, 0), signature));
    assert_ok(crypto_ed25519_verify(*state, public_key, bytes_of(NULL, 0), signature));
}

static void a_changed_bit_anywhere_is_refused(void **state)
{
    uint8_t seed[32] = {2}, public_key[32], signature[64], message[40] = {3};
    struct bytes view = bytes_of(message, sizeof(message));

    assert_ok(crypto_ed25519_public(*state, seed, public_key));
    assert_ok(crypto_ed25519_sign(*state, seed, view, signature));
    for (size_t bit = 0; bit < 8 * sizeof(signature); bit += 7) {
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_err(crypto_ed25519_verify(*state, public_key, view, signature), ERR_AUTH);
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(message); bit += 13) {
        message[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_err(crypto_ed25519_verify(*state, public_key, view, signature), ERR_AUTH);
        message[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(public_key); bit += 11) {
        public_key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_err(crypto_ed25519_verify(*state, public_key, view, signature), ERR_AUTH);
        public_key[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    view.size--;
    assert_err(crypto_ed25519_verify(*state, public_key, view, signature), ERR_AUTH);
    view.size++;
    assert_ok(crypto_ed25519_verify(*state, public_key, view, signature));
}

/* S + L verifies as S does where the range of S is not checked (RFC 8032, 5.1.7). */
static void a_signature_has_one_form(void **state)
{
    uint8_t seed[32] = {4}, public_key[32], signature[64], order[32];
    unsigned carry = 0;

    from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order, 32);
    assert_ok(crypto_ed25519_public(*state, seed, public_key));
    assert_ok(crypto_ed25519_sign(*state, seed, bytes_of_text("m"), signature));
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_err(crypto_ed25519_verify(*state, public_key, bytes_of_text("m"), signature), ERR_AUTH);
}

static void equal_compares_all(void **state)
{
    uint8_t a[100] = {0}, b[100] = {0};

    (void)state;
    assert_true(crypto_equal(bytes_of(NULL, 0), bytes_of(a, 0)));
    assert_false(crypto_equal(bytes_of(a, 99), bytes_of(b, 100)));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] = 0x80;
        assert_false(crypto_equal(bytes_of(a, sizeof(a)), bytes_of(b, sizeof(b))));
        b[i] = 0;
    }
    assert_true(crypto_equal(bytes_of(a, sizeof(a)), bytes_of(b, sizeof(b))));
}

static void wipe_clears(void **state)
{
    uint8_t secret[33], zeros[32] = {0};

    (void)state;
    memset(secret, 0xee, sizeof(secret));
    crypto_wipe(secret, 32);
    assert_memory_equal(secret, zeros, 32);
    assert_int_equal(secret[32], 0xee);
    crypto_wipe(NULL, 0);
}

static enum err make(void *context)
{
    struct crypto *crypto = NULL;
    enum err error = crypto_new(&crypto);

    (void)context;
    assert_true((error == ERR_OK) == (crypto != NULL));
    crypto_free(crypto);
    return error;
}

static enum err use(void *context)
{
    struct crypto *crypto = context;
    struct crypto_sha256_state hashing = {0};
    uint8_t seed[32] = {5}, hash[32], public_key[32], signature[64];
    enum err error = crypto_sha256(crypto, bytes_of_text("m"), hash);

    if (error == ERR_OK)
        error = crypto_hmac_sha256(crypto, bytes_of_text("k"), bytes_of_text("m"), hash);
    if (error == ERR_OK)
        error = crypto_sha256_begin(crypto, &hashing);
    if (error == ERR_OK)
        error = crypto_sha256_update(&hashing, bytes_of_text("m"));
    if (error == ERR_OK)
        error = crypto_sha256_end(&hashing, hash);
    if (error == ERR_OK)
        error = crypto_ed25519_public(crypto, seed, public_key);
    if (error == ERR_OK)
        error = crypto_ed25519_sign(crypto, seed, bytes_of_text("m"), signature);
    if (error == ERR_OK)
        error = crypto_ed25519_verify(crypto, public_key, bytes_of_text("m"), signature);
    crypto_sha256_done(&hashing);
    return error;
}

/* Fails each allocation once. OpenSSL does without some of them, so success is fine too, and it says
 * only "failed". Returns how often it did. */
static unsigned fail_each(enum err (*run)(void *context), void *context)
{
    unsigned failures = 0;

    assert_ok(run(context)); /* what the library does once is done */
    for (uint64_t k = 1;; k++) {
        enum err error;

        failing_alloc_start(k);
        error = run(context);
        if (!failing_alloc_stop())
            break;
        if (error != ERR_OK && error != ERR_NOMEM)
            assert_err(error, ERR_CRYPTO);
        failures += error != ERR_OK;
    }
    assert_ok(run(context));
    return failures;
}

static void using_it_without_memory_is_an_error(void **state)
{
    if (!failing_alloc_works())
        skip();
    assert_true(fail_each(use, *state) > 5);
}

static void making_it_without_memory_is_an_error(void **state)
{
    (void)state;
    if (!failing_alloc_works())
        skip();
#ifdef __SANITIZE_ADDRESS__
    __lsan_disable(); /* OpenSSL 3.0 leaks names of algorithms when it cannot add all of them */
#endif
    assert_true(fail_each(make, NULL) > 50);
#ifdef __SANITIZE_ADDRESS__
    __lsan_enable();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_the_standard),
        cmocka_unit_test(sha256_of_a_million_in_parts),
        cmocka_unit_test(parts_hash_as_the_whole),
        cmocka_unit_test(hmac_of_the_rfc),
        cmocka_unit_test(hmac_with_an_empty_key_does_not_use_the_one_before),
        cmocka_unit_test(ed25519_of_the_rfc),
        cmocka_unit_test(ed25519_takes_views_of_nothing),
        cmocka_unit_test(a_changed_bit_anywhere_is_refused),
        cmocka_unit_test(a_signature_has_one_form),
        cmocka_unit_test(equal_compares_all),
        cmocka_unit_test(wipe_clears),
        cmocka_unit_test(using_it_without_memory_is_an_error),
        cmocka_unit_test(making_it_without_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
