/* text_fold.h - text without regard to case, for searching.
 *
 * Model:      a character's simple folding: ASCII, Latin-1, Latin Extended-A and Additional, Greek,
 *             Cyrillic, Armenian; other characters stand for themselves. Text that is not UTF-8 is
 *             folded as far as it is. The folded text of a part is part of the folded text.
 * Source:     https://www.unicode.org/Public/UCD/latest/ucd/CaseFolding.txt (status C and S of
 *             these blocks). */
#ifndef COMMON_TEXT_FOLD_H
#define COMMON_TEXT_FOLD_H

#include "common/buf.h"

/* Appends the folded text. ERR_NOMEM, ERR_TOO_LARGE. */
enum err text_fold(struct bytes text, struct buf *out);
/* Whether `part` stands somewhere within `text`, byte by byte. */
bool text_contains(struct bytes text, struct bytes part);

#endif
