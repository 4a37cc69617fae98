#include "common/os/os_tls.h"

#include "common/buf.h"
#include "common/os/os_file.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#define PEM_FILE_MAX  ((size_t)256 * 1024)
#define NAME_SIZE_MAX 253 /* RFC 1035 2.3.4, as text */
#define CN_SIZE_MAX   64  /* RFC 5280, ub-common-name */
#define SERIAL_BITS   127

static enum err openssl_failed(struct err_info *info, const char *what)
{
    unsigned long native = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(native);
    enum err err = err_set(info, ERR_CRYPTO, "%s: %s", what, reason ? reason : "unknown reason");
    if (info) {
        info->native = (int)ERR_GET_REASON(native);
    }
    ERR_clear_error();
    return err;
}

/* Letters, digits, '-', '.', '*' for names, ':' for IPv6: nothing that has a meaning to OpenSSL's
 * configuration syntax, which takes the list below. */
static bool name_is_valid(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= NAME_SIZE_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*:_") ==
               size;
}

static bool add_name(GENERAL_NAMES *list, const char *name)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
    GENERAL_NAME *entry = GENERAL_NAME_new();
    ASN1_IA5STRING *text = NULL;
    bool added = false;
    ERR_clear_error(); /* a name that is no address is none */
    if (!entry) {
        goto cleanup;
    }
    if (address) {
        GENERAL_NAME_set0_value(entry, GEN_IPADD, address);
        address = NULL;
    } else {
        text = ASN1_IA5STRING_new();
        if (!text || !ASN1_STRING_set(text, name, -1)) {
            goto cleanup;
        }
        GENERAL_NAME_set0_value(entry, GEN_DNS, text);
        text = NULL;
    }
    if (!sk_GENERAL_NAME_push(list, entry)) {
        goto cleanup;
    }
    entry = NULL;
    added = true;
cleanup:
    ASN1_IA5STRING_free(text);
    ASN1_OCTET_STRING_free(address);
    GENERAL_NAME_free(entry);
    return added;
}

static bool set_names(X509 *certificate, const char *const *names, size_t count)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    bool set = list != NULL;
    for (size_t i = 0; set && i < count; i++) {
        set = add_name(list, names[i]);
    }
    set = set && X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, 0);
    GENERAL_NAMES_free(list);
    return set;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool added = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

static bool set_serial(X509 *certificate)
{
    BIGNUM *serial = BN_new();
    bool set = serial && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
               BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate));
    BN_free(serial);
    return set;
}

/* NULL: see OpenSSL's errors. */
static X509 *make_certificate(EVP_PKEY *key, const char *const *names, size_t count,
                              struct wall_time now)
{
    static const int64_t day_s = INT64_C(24) * 3600;
    time_t from = (time_t)(now.ms / 1000 - day_s);
    time_t until = (time_t)(now.ms / 1000 + INT64_C(365) * OS_TLS_YEARS * day_s);
    size_t common_size = strlen(names[0]);
    X509 *certificate = X509_new();
    X509_NAME *subject = certificate ? X509_get_subject_name(certificate) : NULL;
    if (!subject || !X509_set_version(certificate, X509_VERSION_3) || !set_serial(certificate) ||
        !X509_time_adj_ex(X509_getm_notBefore(certificate), 0, 0, &from) ||
        !X509_time_adj_ex(X509_getm_notAfter(certificate), 0, 0, &until) ||
        !X509_NAME_add_entry_by_NID(
            subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)names[0],
            (int)(common_size < CN_SIZE_MAX ? common_size : CN_SIZE_MAX), -1, 0) ||
        !X509_set_issuer_name(certificate, subject) || !X509_set_pubkey(certificate, key) ||
        !add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(certificate, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(certificate, NID_ext_key_usage, "serverAuth") ||
        !set_names(certificate, names, count) || !X509_sign(certificate, key, EVP_sha256())) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

/* The text of a memory BIO; valid until the BIO is freed. */
static struct bytes bio_view(BIO *bio)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    return bytes_of(data, size > 0 ? (size_t)size : 0);
}

/* ERR_NOT_FOUND: no such file. */
static enum err read_key(const char *path, EVP_PKEY **ret_key, struct err_info *info)
{
    struct buf pem;
    buf_init(&pem, PEM_FILE_MAX);
    enum err err = os_file_read(path, &pem, info);
    if (err == ERR_OK) {
        BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
        if (key) {
            *ret_key = key;
        } else {
            ERR_clear_error();
            err = err_set(info, ERR_MALFORMED, "%s holds no private key in PEM form", path);
        }
    }
    if (pem.data) {
        OPENSSL_cleanse(pem.data, pem.size);
    }
    buf_done(&pem);
    return err;
}

/* Writes the key (if given) and the certificate (if given) into one file. */
static enum err write_pem(const char *path, EVP_PKEY *key, X509 *certificate, struct err_info *info)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    enum err err;
    if (!bio || (key && !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) ||
        (certificate && !PEM_write_bio_X509(bio, certificate))) {
        err = openssl_failed(info, "writing PEM");
    } else {
        err = os_file_write(path, bio_view(bio), 0600, info);
    }
    BIO_free(bio);
    return err;
}

enum err os_tls_make_certificate(const char *certificate_path, const char *key_path,
                                 const char *const *names, size_t name_count, struct wall_time now,
                                 struct err_info *info)
{
    bool one_file = strcmp(certificate_path, key_path) == 0;
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    if (name_count == 0 || name_count > OS_TLS_NAMES_MAX) {
        return err_set(info, ERR_INVALID, "a certificate needs 1 to %d names", OS_TLS_NAMES_MAX);
    }
    for (size_t i = 0; i < name_count; i++) {
        if (!name_is_valid(names[i])) {
            return err_set(info, ERR_INVALID, "\"%.64s\" is no host name or address", names[i]);
        }
    }
    if (os_file_exists(certificate_path)) {
        return err_set(info, ERR_EXISTS,
                       "%s exists already; move it away to make a new certificate",
                       certificate_path);
    }
    enum err err = one_file ? ERR_NOT_FOUND : read_key(key_path, &key, info);
    bool new_key = err == ERR_NOT_FOUND;
    if (new_key) {
        key = EVP_EC_gen("P-256");
        err = key ? ERR_OK : openssl_failed(info, "making a key");
    }
    if (err != ERR_OK) {
        goto cleanup;
    }
    certificate = make_certificate(key, names, name_count, now);
    if (!certificate) {
        err = openssl_failed(info, "making a certificate");
        goto cleanup;
    }
    /* The key first: a crash in between leaves a key that the next call takes up. */
    if (new_key && !one_file) {
        err = write_pem(key_path, key, NULL, info);
    }
    if (err == ERR_OK) {
        err = write_pem(certificate_path, one_file ? key : NULL, certificate, info);
    }
cleanup:
    X509_free(certificate);
    EVP_PKEY_free(key);
    return err;
}

enum err os_tls_pin(const char *certificate_path, uint8_t ret_pin[OS_TLS_PIN_SIZE],
                    struct err_info *info)
{
    struct buf pem;
    unsigned char *der = NULL;
    BIO *bio = NULL;
    X509 *certificate = NULL;
    buf_init(&pem, PEM_FILE_MAX);
    enum err err = os_file_read(certificate_path, &pem, info);
    if (err != ERR_OK) {
        goto cleanup;
    }
    bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (!certificate) {
        ERR_clear_error();
        err = err_set(info, ERR_MALFORMED, "%s holds no certificate in PEM form", certificate_path);
        goto cleanup;
    }
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    uint8_t pin[OS_TLS_PIN_SIZE];
    unsigned pin_size = sizeof pin;
    if (size <= 0 || !EVP_Digest(der, (size_t)size, pin, &pin_size, EVP_sha256(), NULL)) {
        err = openssl_failed(info, "hashing a public key");
        goto cleanup;
    }
    memcpy(ret_pin, pin, sizeof pin);
cleanup:
    OPENSSL_free(der);
    X509_free(certificate);
    BIO_free(bio);
    if (pem.data) {
        OPENSSL_cleanse(pem.data, pem.size); /* one file may hold the key as well */
    }
    buf_done(&pem);
    return err;
}
