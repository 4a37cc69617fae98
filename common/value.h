/* value.h - one column's value as the engine handles it: SQLite's five kinds.
 *
 * How the model's types map (model.h): text, date ("YYYY-MM-DD"), enum (its symbol) -> TEXT;
 * integer, money (minor units), instant (ms since 1970 UTC), boolean (0, 1) -> INT; real -> REAL;
 * reference (16-byte record id), blob reference (32-byte SHA-256) -> BLOB;
 * set -> TEXT, a JSON array of strings, sorted by bytes, no duplicates.
 * Ownership: text and blob are views. */
#ifndef COMMON_VALUE_H
#define COMMON_VALUE_H

#include "common/arena.h"
#include "common/bytes.h"
#include "common/uuid.h"

enum value_kind { VALUE_NULL, VALUE_INT, VALUE_REAL, VALUE_TEXT, VALUE_BLOB };

struct value {
    enum value_kind kind;
    union {
        int64_t integer;
        double real;
        struct bytes bytes; /* TEXT (UTF-8, no NUL) and BLOB */
    } as;
};

struct value value_null(void);
struct value value_int(int64_t integer);
struct value value_real(double real);
struct value value_text(struct bytes text);
struct value value_blob(struct bytes blob);
/* Same kind and same content; reals by bit pattern (NaN is never stored: the model refuses it). */
bool value_equal(const struct value *a, const struct value *b);
/* Total order: NULL < INT and REAL by number < TEXT < BLOB by bytes. 0 exactly when value_equal():
 * an INT comes before the REAL of the same number, -0.0 before 0.0, NaN before all numbers. */
int value_compare(const struct value *a, const struct value *b);
/* Whether it is a reference's value; then *ret is the record's id. */
bool value_id(const struct value *value, struct uuid *ret);
/* Copies text and blob into the arena. ERR_NOMEM. */
enum err value_copy(struct arena *arena, const struct value *in, struct value *ret);

#endif
