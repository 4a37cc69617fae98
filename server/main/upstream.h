/* upstream.h - a branch's link to the server above it: headquarters, or another branch.
 *
 * Model:      one uplink (the one of a device) for as long as the server runs, one connection at a time, served
 *             by the server's loop as its guest: one thread. Between two connections it waits as a device does
 *             (backoff.h); a session that ended although all was well (headquarters has changed the branch's
 *             rights, or starts anew) is begun again at once.
 * Files:      DIR/upstream.json, mode 0600: who the branch is at headquarters, its key, and the pin. The
 *             settings `upstream` and `upstream-pin` say where else to connect.
 * Revoked:    the data are erased, as on a device, and the server stops. */
#ifndef SERVER_MAIN_UPSTREAM_H
#define SERVER_MAIN_UPSTREAM_H

#include <jansson.h>

#include "client/api/identity.h"
#include "client/core/replica.h"
#include "server/core/hub.h"
#include "server/net/server_net.h"

#define UPSTREAM_FILE "upstream.json"
#define BRANCH_STORE  "branch.db"

struct house;
struct upstream;

/* Reads the identity. The house is borrowed until upstream_free(). ERR_NOT_FOUND: the branch is not enrolled;
 * ERR_INVALID: a setting; file errors. */
enum err upstream_new(struct house *house, struct upstream **ret, struct err_info *info);
/* Hangs up. Before replica and hub are closed. Accepts NULL. */
void upstream_free(struct upstream *upstream);
/* Wires what the cores tell each other. context of both configs becomes the upstream. */
void upstream_wire(struct upstream *upstream, struct replica_config *replica,
                   struct hub_config *hub);
/* When replica and hub are open; *ret_guest is for the server's loop. */
enum err upstream_start(struct upstream *upstream, struct server_net_guest *ret_guest,
                        struct err_info *info);
/* Why the loop was ended by it: people's text, "" if it was not. */
const char *upstream_failure(const struct upstream *upstream);
/* Adds what there is to say to an answer of `status`. */
void upstream_status(struct upstream *upstream, json_t *answer);

#endif
