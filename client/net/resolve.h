/* resolve.h - the address of a host, looked up while the thread goes on.
 *
 * Model:      a question is asked (getaddrinfo_a(), which has threads of its own) and looked at again every
 *             RESOLVE_LOOK_MS until it is answered. For a server whose link upstream is down: a look-up may
 *             take as long as the resolver's timeouts, and its devices would wait for it. */
#ifndef CLIENT_NET_RESOLVE_H
#define CLIENT_NET_RESOLVE_H

#include "common/error.h"

#include <stdint.h>

#define RESOLVE_TEXT_SIZE 64
#define RESOLVE_LOOK_MS   20

struct resolve;

/* ERR_NOMEM, ERR_LINK: no look-up can be made. */
enum err resolve_start(const char *host, struct resolve **ret);
/* ERR_BUSY: not answered yet. Else the address, of several the attempt-th, as numeric text in out.
 * ERR_LINK: the host has none; *ret_why, which may be NULL, says so (a static text). */
enum err resolve_look(const struct resolve *resolve, uint32_t attempt, char out[RESOLVE_TEXT_SIZE],
                      const char **ret_why);
/* Forgets the question. Accepts NULL. */
void resolve_free(struct resolve *resolve);

#endif
