/* pair_copy.h - stores that are copied and put back: clones, rollbacks, restores. */
#ifndef TESTS_LIB_PAIR_COPY_H
#define TESTS_LIB_PAIR_COPY_H

#include "tests/lib/pair.h"

/* Everything in a store but dead rows: stories that copy one delete nothing before. */
struct store *pair_copy_store(struct pair *p, struct store *from);
/* The device's, or the server's, process dies; its store is this one from now on (and is closed with
 * it). */
void pair_put_store(struct pair *p, struct pair_device *device, struct store *store);
void pair_put_hub_store(struct pair *p, struct store *store);
/* A further device that is a copy of this one: same key, same origin, same pending groups. */
struct pair_device *pair_clone_device(struct pair *p, struct pair_device *device);

#endif
