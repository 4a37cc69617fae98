/* store_models.h - what a store keeps of models, beside its tables.
 *
 * Model:      a model is for as long as the store is open. The text that it was opened with is kept in the store; a
 *             text that is noted as *next* is taken when the store is opened again, and its tables are brought to it
 *             in the same transaction in which it becomes the one that is kept. The hashes of all that the
 *             store had are kept for good, and of those that a server had which this model continues: so a model is
 *             known for an earlier one without its text.
 * Stored:     MODELS "text", "next" -> text (model_parse_whole()); "anew" -> the tables, which are empty, are made
 *             anew for what is next; "was" + hash -> version BE4.
 * Source:     SPEC.md 14, ADR-17. */
#ifndef COMMON_STORE_MODELS_H
#define COMMON_STORE_MODELS_H

#include "common/store.h"

#define STORE_MODELS_TEXT "text"
#define STORE_MODELS_NEXT "next"
#define STORE_MODELS_ANEW "anew"
#define STORE_MODELS_WAS  "was"

enum { STORE_MODELS_MAX = 1000 }; /* earlier ones that are told */

struct model_name { /* of an earlier model */
    uint32_t version;
    uint8_t hash[32];
};
enum { MODEL_NAME_SIZE = 36 }; /* on the wire: version BE4, hash */

/* Within a transaction. */

/* Whether the store's model has been, or continues, the one of this hash. */
enum err store_models_was(struct store *store, const uint8_t hash[32], bool *ret);
enum err store_models_add(struct store *store, const struct model_name *name);
/* The latest STORE_MODELS_MAX of them, as on the wire; in the arena. */
enum err store_models_list(struct store *store, struct arena *arena, const struct bytes **ret,
                           uint32_t *ret_count);
/* The reverse. ERR_MALFORMED. */
enum err model_name_read(struct bytes wire, struct model_name *ret);
/* The next opening takes this one. anew: the store has no records, and its tables may be another model's. */
enum err store_models_next(struct store *store, struct bytes text, bool anew);

#endif
