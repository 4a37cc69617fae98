/* model_change.h - what differs between two models, and whether the later one continues the earlier.
 *
 * Model:      data, groups, rows and digests made with a model stay what they are under each model that
 *             *extends* it: tables and columns are added (a column with an id above all that its table has, in
 *             no group that exists, and with a default if it is required), bounds get wider, symbols are
 *             appended, transitions added, labels changed. Anything else is refused, with the reason in words.
 * Source:     SPEC.md 14.1, ADR-17. */
#ifndef COMMON_MODEL_CHANGE_H
#define COMMON_MODEL_CHANGE_H

#include "common/model.h"

/* One difference, for people: "party.loyalty: a new column (integer)". Not allowed: why not. */
typedef void model_change_fn(void *context, bool allowed, const char *text);

/* Tells each difference, tables in ascending order of ids, what is refused among the rest. ERR_OK: `later` extends
 * `earlier` (or is the same); ERR_MODEL: it does not, and info has the first reason. fn may be NULL. */
enum err model_changes(const struct model *earlier, const struct model *later, model_change_fn *fn,
                       void *context, struct err_info *info);
/* Whether it does: model_changes() without the telling. */
enum err model_extends(const struct model *earlier, const struct model *later,
                       struct err_info *info);

/* What an administrator hands in: a whole model file, or an extension file (SPEC.md 14.2), which lists what is
 * added to `model` alone. A model that extends `model` comes out, with all ids, its own tables only changed.
 * ERR_MODEL with the place or the reason, ERR_PARSE, ERR_LIMIT, ERR_EXISTS: nothing would change; ERR_NOMEM. */
enum err model_extend(const struct model *model, struct bytes json, struct model **ret_model,
                      struct err_info *info);

#endif
