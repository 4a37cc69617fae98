/* conflict.h - conflict records: what was concurrent, who lost, and how to take it back.
 *
 * Model:      one row of the system table `conflict` per (record, unit, set of dots); its id is the first
 *             16 bytes of SHA-256(table id, record id, unit id, sorted dots). A conflict of a superset of
 *             dots supersedes it. `candidates` is a JSON array, ascending by dot: [{"origin": hex16,
 *             "oseq": n, "tag": n, "at": ms, "value": ...}] with value an object by column name; blobs as hex.
 *             What the column `base` cannot say, because the bases differ, stands in each candidate as
 *             "base"; "cut": true marks one whose texts had to be shortened to fit the column. A delete
 *             is a candidate {..., "value": null, "delete": true} among the current writes. state is
 *             `open` where a person has to choose, else `automatic`.
 * Source:     DESIGN.md 4; SPEC.md 6. */
#ifndef PROTOCOL_CONFLICT_H
#define PROTOCOL_CONFLICT_H

#include "common/crypto.h"
#include "common/uuid.h"
#include "protocol/version.h"

enum conflict_kind { CONFLICT_VALUE, CONFLICT_DELETE };

/* The id for a frontier of a unit (unit NULL: delete against update). ERR_CRYPTO. */
enum err conflict_id(struct crypto *crypto, const struct model_table *table,
                     const struct uuid *record, const struct model_unit *unit, struct dot_set dots,
                     struct uuid *ret);
/* The values of the row (TABLE_CONFLICT, by column index; arena) for a unit of a record that has
 * differing candidates. at_ms: when it was decided. ERR_NOMEM. */
enum err conflict_row(const struct model *model, const struct model_table *table,
                      const struct uuid *record_id, const struct record *record,
                      const struct model_unit *unit, int64_t at_ms, struct arena *arena,
                      struct value **ret_values);
/* The same for a delete that met a write that it had not seen (the record lives on); delete_dot none: for a write
 * that came when the deleted record had been purged (`record` has what it wrote). */
enum err conflict_delete_row(const struct model *model, const struct model_table *table,
                             const struct uuid *record_id, const struct record *record,
                             const struct dot *delete_dot, uint64_t delete_stamp, int64_t at_ms,
                             struct arena *arena, struct value **ret_values);

#endif
