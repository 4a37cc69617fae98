/* model_word.h - inside of the model module: names, near misses, case folding. */
#ifndef COMMON_MODEL_WORD_H
#define COMMON_MODEL_WORD_H

#include "common/bytes.h"

/* [a-z][a-z0-9_]*, at most MODEL_NAME_MAX bytes. */
bool word_is_name(const char *word);
/* A word that SQL (SQLite or PostgreSQL's DDL core) does not take as a plain identifier. */
bool word_is_sql(const char *word);
/* The word of the list that a person most likely meant, or NULL when none is near. NULL entries
 * are skipped. O(sum of sizes). */
const char *word_nearest(const char *word, const char *const *list, size_t count);
/* Order and equality without regard to case: ASCII, Latin-1, Cyrillic, Armenian. Text that is not
 * UTF-8 compares by its bytes. */
int word_compare_folded(struct bytes a, struct bytes b);

#endif
