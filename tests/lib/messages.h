/* messages.h - random messages and their comparison, made from the lists of message.h.
 *
 * Ownership: what is made lies in the arena given. */
#ifndef TESTS_LIB_MESSAGES_H
#define TESTS_LIB_MESSAGES_H

#include "protocol/message.h"
#include "tests/lib/seeded_rng.h"

extern const enum message_type message_types[];
extern const unsigned message_type_count;

/* Every field random within its limits; lists of up to max_elements. */
void message_random(struct seeded_rng *r, struct arena *arena, enum message_type type,
                    uint32_t max_elements, struct message *ret);
bool messages_equal(const struct message *a, const struct message *b);

#endif
