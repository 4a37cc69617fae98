/* identity.h - who a device is: DIR/identity.json, written at enrolment, and tickets.
 *
 * Secrets:    the seed is the device's private key; the file has mode 0600. identity_done()
 *             wipes. */
#ifndef CLIENT_API_IDENTITY_H
#define CLIENT_API_IDENTITY_H

#include "client/api/satchel.h"
#include "common/bytes.h"
#include "common/error.h"
#include "common/uuid.h"

#define IDENTITY_FILE "identity.json"

/* Where a server is, and its key's pin. */
struct identity_place {
    char host[256];
    uint16_t port;
    uint8_t pin[32];
};

struct identity {
    struct uuid device, user, history;
    uint8_t seed[32]; /* Ed25519 */
    uint8_t pin[32];  /* of the server in use */
    char host[256];
    uint16_t port;
    struct identity_place home; /* headquarters, where the device has enrolled */
    char login[256], name[256];
    int64_t enrolled_ms;
};

/* ERR_NOT_FOUND: there is none; ERR_MALFORMED: damaged; file errors. */
enum err identity_load(const char *path, struct identity *ret, struct err_info *info);
/* File errors, ERR_NOMEM. */
enum err identity_save(const char *path, const struct identity *identity, struct err_info *info);
void identity_done(struct identity *identity);
/* Whether the server in use is headquarters. */
bool identity_is_home(const struct identity *identity);
void identity_use(struct identity *identity, const struct identity_place *place);

bool place_equal(const struct identity_place *a, const struct identity_place *b);
struct identity_place identity_place(const struct identity *identity); /* of the server in use */

enum { PLACE_TEXT_SIZE = 300 };
/* "host:port", "[address]:port". */
void place_text(const char *host, uint16_t port, char out[PLACE_TEXT_SIZE]);
bool place_parse(struct bytes text, struct identity_place *ret);

/* ERR_PARSE. */
enum err ticket_parse(const char *text, struct satchel_ticket *ret, struct err_info *info);

#endif
