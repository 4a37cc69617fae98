/* join.h - enrolment: a ticket is given at a server, which makes a device of it.
 *
 * Model:      one connection, one question, one answer. The same for a device (satchel_enroll()) and for the
 *             server of a branch (satcheld init), which says as well where its devices find it.
 * Source:     SPEC.md 7.1. */
#ifndef CLIENT_API_JOIN_H
#define CLIENT_API_JOIN_H

#include "client/api/identity.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/rng.h"

struct join {
    const char *ticket;
    const char *name;     /* of the device; NULL: the host's */
    const char *platform; /* NULL: the operating system's name */
    const char *address;  /* a branch's: HOST:PORT for its devices; NULL: a device */
    uint8_t pin[32];      /* with it */
    int64_t timeout_ms;   /* 0: 30,000 */
    const struct clock *clock;
    const struct rng *rng;
    const struct log *log;
};

/* Makes the key, connects (the server's key must be the ticket's) and gives the code. *ret is who the device is
 * now; it is not saved. ERR_PARSE: the ticket; ERR_ENROLMENT, ERR_PIN, ERR_LINK, ERR_TIMEOUT, ERR_VERSION,
 * ERR_NOMEM, ERR_IO. */
enum err join_run(const struct join *input, struct identity *ret, struct err_info *info);

#endif
