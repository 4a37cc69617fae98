/* merge_internal.h - what the files of the merge share: merge.c (a mutation), merge_unit.c (its writes),
 * merge_shown.c (values of candidates), merge_set.c, merge_text.c, and apply_*.c. */
#ifndef PROTOCOL_MERGE_INTERNAL_H
#define PROTOCOL_MERGE_INTERNAL_H

#include "protocol/merge.h"

/* Merges the writes of an UPDATE or RESTORE into *after, which shares its memory with the record
 * before: values and units are replaced, not changed. Sets ret->reason, fast_forward (only to false)
 * and the lists. ERR_NOMEM. */
enum err merge_writes(const struct merge_context *context, const struct mutation *mutation,
                      struct record *after, struct merge_result *ret);

/* The pairs of a set after a write, and the text to show. current: NULL if not written since the
 * insert, shown is then what was inserted. REASON_TOO_LARGE, REASON_MALFORMED through ret_reason;
 * ERR_NOMEM. */
enum err merge_set_write(const struct merge_context *context, const struct dot *insert,
                         const struct unit_state *current, const struct unit_write *write,
                         struct value *shown, struct unit_state *state, enum reason *ret_reason);

/* The place of a value's symbol in an enum column, or -1. */
int merge_symbol(const struct model_column *column, const struct value *value);

/* Whether the delete saw every current dot of the version. The insert is always seen: it is named. */
bool merge_delete_covers(const struct version *version, const struct mutation *mutation);

/* Dead by its own deletes; with DELETE_REVIVES and _MANUAL only those that count are kept. */
static inline bool merge_is_dead(const struct version *version)
{
    return version->delete_count > 0;
}

/* Takes the marks of these dots away from *version (new memory); false in *ret_any: there were none.
 * ERR_NOMEM. */
enum err merge_lift_deletes(struct arena *arena, struct dot_set dots, struct version *version,
                            bool *ret_any);

#endif
