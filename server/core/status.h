/* status.h - headquarters' answer to "status". */
#ifndef SERVER_CORE_STATUS_H
#define SERVER_CORE_STATUS_H

#include <jansson.h>

#include "server/core/hub.h"

/* Within a transaction. Store errors. */
enum err status_fill(struct hub *hub, json_t *answer);

#endif
