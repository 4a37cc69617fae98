/* photos.h - attachments in random histories: the bytes of each are known here, and what must hold of them.
 *
 * Model:      a photo's bytes are the canary of its bucket (of its customer, where that may move), again and again, and a number of its own. Some are forged:
 *             the device keeps other bytes under the hash, and offers them as if they were right. Now and then
 *             a device asks for the hash of any photo there is, whether it may see it or not.
 * Judged:     at the end, what is whole has its hash; what headquarters has is with every device that names it; what
 *             a device has and headquarters' records name is at headquarters, and what headquarters confirmed is
 *             there; forged bytes are nowhere but at their maker. On the wire, as texts are (oracle_wire.c). */
#ifndef TESTS_SIM_PHOTOS_H
#define TESTS_SIM_PHOTOS_H

#include "tests/sim/node.h"

struct photos;

struct photos *photos_new(void);
void photos_free(struct photos *photos); /* accepts NULL */
/* Within a transaction of the node's replica: a new one; its hash. */
enum err photos_make(struct node *node, struct seeded_rng *dice, uint32_t tx, const char *canary,
                     uint8_t ret_hash[32]);
/* The device asks for one that it may have no right to. */
void photos_ask(struct node *node, struct seeded_rng *dice);
void photos_end(struct world *world);

#endif
