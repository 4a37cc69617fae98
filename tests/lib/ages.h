/* ages.h - time that passes for servers, with the purging that they do meanwhile (tests/lib/pair.h). */
#ifndef TESTS_LIB_AGES_H
#define TESTS_LIB_AGES_H

#include "tests/lib/pair.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

/* Day by day; every server that is open purges when it is due. Nobody may be connected. */
void ages_pass(struct pair *p, int days);
/* Rows of a store, dead ones among them; entries of its log; rows of a side table. */
uint64_t ages_dead(struct pair *p, struct store *store);
uint64_t ages_records(struct pair *p, struct store *store);
uint64_t ages_log(struct store *store);
uint64_t ages_side(struct store *store, enum store_side side);
/* The first group that the device has set aside; its reason, and its number. REASON_NONE: there is none. */
enum reason ages_parked(struct pair_device *d, uint64_t *ret_oseq);
/* Tries it again, and says so to the server. */
void ages_retry(struct pair *p, struct pair_device *d, uint64_t oseq);

#endif
