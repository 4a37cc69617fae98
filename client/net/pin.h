/* pin.h - whether a server has the key that the device was enrolled with.
 *
 * Model:      no authority, name or date counts: the SHA-256 of the SubjectPublicKeyInfo is the pin.
 *             The TLS handshake proves that the server holds the private key; it is let through for
 *             any certificate, and the pin is compared when it has ended, before anything is said
 *             over it.
 * Source:     DESIGN.md 12; common/os/os_tls.h makes the pin. */
#ifndef CLIENT_NET_PIN_H
#define CLIENT_NET_PIN_H

#include "common/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define PIN_SIZE 32

/* A TLS 1.3 client without certificate checks: whoever uses it must call pin_check(). NULL: no
 * memory. */
SSL_CTX *pin_tls_new(void);
/* ERR_OK: the peer's key is the pinned one. ERR_PIN: another one, or no TLS 1.3. ERR_CRYPTO: could
 * not be compared. */
enum err pin_check(const SSL *tls, const uint8_t pin[PIN_SIZE]);

#endif
