/* os_tls.h - a server's private key and certificate as PEM files, and the pin that clients keep.
 *
 * Model:      a client trusts one public key and nothing else: no name, no date, no authority. The
 *             pin is the SHA-256 of the certificate's SubjectPublicKeyInfo (DER), so a certificate
 *             may be renewed, by us or by an authority, as long as its key stays.
 * Errors:     those of os_file.h; ERR_MALFORMED: not PEM, or no key or certificate in it;
 *             ERR_CRYPTO: OpenSSL failed (info->native has its code). info may be NULL.
 * Source:     RFC 5280, RFC 7469 2.4 (the form of the pin). */
#ifndef COMMON_OS_TLS_H
#define COMMON_OS_TLS_H

#include "common/clock.h"
#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define OS_TLS_PIN_SIZE  32
#define OS_TLS_NAMES_MAX 32
#define OS_TLS_YEARS     10

/* Makes a certificate that is signed with its own key (EC P-256), valid from a day before `now` for
 * OS_TLS_YEARS years, for `names`: 1 to OS_TLS_NAMES_MAX host names or IP addresses, the first one
 * being the common name. Both files are PEM, mode 0600, each written in one step. The paths may be
 * the same: then one file holds both. A key that is there already is kept, and so is the pin.
 * ERR_EXISTS: the certificate is there. ERR_INVALID: a name that cannot be one. */
enum err os_tls_make_certificate(const char *certificate_path, const char *key_path,
                                 const char *const *names, size_t name_count, struct wall_time now,
                                 struct err_info *info);

/* The pin of the first certificate in a PEM file; ret_pin is untouched on failure. */
enum err os_tls_pin(const char *certificate_path, uint8_t ret_pin[OS_TLS_PIN_SIZE],
                    struct err_info *info);

#endif
