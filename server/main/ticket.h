/* ticket.h - one-time tickets: satchel://HOST:PORT/CODE?pin=PIN, where CODE is 16 bytes in Crockford's base32 and
 * PIN the server's pin in base64url. */
#ifndef SERVER_MAIN_TICKET_H
#define SERVER_MAIN_TICKET_H

#include "server/main/ask.h"

enum { TICKET_MINUTES_MAX = 7 * 24 * 60 };

struct ticket {
    char *text;         /* owned; free() */
    int64_t expires_ms; /* wall clock */
    struct address address;
};

/* Where devices reach this server: `given` (HOST[:PORT], may be NULL), else the setting `host`, else where it
 * listens. ERR_OFFLINE: the port is not known yet; ERR_INVALID, ERR_NOT_FOUND. */
enum err ticket_address(const struct house *house, const char *given, struct address *ret,
                        struct err_info *info);
/* Asks headquarters for a code for one device of the user. name: of the device; NULL: its own. */
enum err ticket_make(struct house *house, const char *login, const char *name, int64_t minutes,
                     const char *host, struct ticket *ret, struct err_info *info);

#endif
