/* admin_status.h - for admin.c: what a server holds and does, in figures. */
#ifndef SERVER_CORE_ADMIN_STATUS_H
#define SERVER_CORE_ADMIN_STATUS_H

#include <jansson.h>

#include "server/core/hub.h"

/* Within a transaction. */
enum err admin_status(struct hub *hub, json_t *answer);

#endif
