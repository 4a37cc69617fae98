/* set.h - the text of a set column: the one form in which equal sets are equal bytes.
 *
 * Model:      a JSON array of strings without white space, written by text_append_json(); elements
 *             ascending by their bytes, no repetitions, none empty; "[]" is the empty set.
 * Limits:     SET_ELEMENTS_MAX elements of SET_ELEMENT_MAX bytes.
 * Source:     protocol/SPEC.md "The model". */
#ifndef COMMON_SET_H
#define COMMON_SET_H

#include "common/arena.h"
#include "common/buf.h"

enum { SET_ELEMENTS_MAX = 1000, SET_ELEMENT_MAX = 1024 };

/* Whether the text has that form and keeps the limits. Allocates nothing. */
bool set_valid(struct bytes text);
/* The elements, in the arena. ERR_PARSE: not of that form; ERR_NOMEM. */
enum err set_parse(struct bytes text, struct arena *arena, struct bytes **ret_elements,
                   size_t *ret_count);
/* Appends the set of these elements, which are sorted in place; repetitions are written once.
 * ERR_PARSE: an element is empty, too long, not UTF-8 or holds a NUL; ERR_LIMIT: too many;
 * ERR_NOMEM, ERR_TOO_LARGE: as the buffer says, nothing is appended then. */
enum err set_append(struct bytes *elements, size_t count, struct buf *out);

#endif
