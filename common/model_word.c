#include "common/model_word.h"

#include "common/model.h"

#include <stdlib.h>
#include <string.h>

bool word_is_name(const char *word)
{
    size_t size = strlen(word);

    return size >= 1 && size <= MODEL_NAME_MAX && word[0] >= 'a' && word[0] <= 'z' &&
           strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_") == size;
}

/* Sorted. SQLite's keywords that its grammar never takes as a name, or not everywhere, and its
 * aliases of the rowid. */
static const char *const sql_words[] = {
    "add",        "all",         "alter",   "and",          "as",           "autoincrement",
    "between",    "case",        "cast",    "check",        "collate",      "commit",
    "constraint", "create",      "cross",   "current_date", "current_time", "current_timestamp",
    "default",    "deferrable",  "delete",  "distinct",     "drop",         "else",
    "end",        "escape",      "except",  "exists",       "for",          "foreign",
    "from",       "full",        "group",   "having",       "if",           "in",
    "index",      "inner",       "insert",  "intersect",    "into",         "is",
    "isnull",     "join",        "left",    "limit",        "natural",      "not",
    "nothing",    "notnull",     "null",    "oid",          "on",           "or",
    "order",      "outer",       "primary", "raise",        "references",   "returning",
    "right",      "rowid",       "select",  "set",          "table",        "then",
    "to",         "transaction", "union",   "unique",       "update",       "using",
    "values",     "when",        "where",   "with",
};

static int compare_word(const void *key, const void *word)
{
    return strcmp(key, *(const char *const *)word);
}

bool word_is_sql(const char *word)
{
    return bsearch(word, sql_words, sizeof(sql_words) / sizeof(sql_words[0]), sizeof(sql_words[0]),
                   compare_word) != NULL;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, changes, and two neighbours swapped. Only for
 * words up to MODEL_NAME_MAX bytes; SIZE_MAX for longer ones. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][MODEL_NAME_MAX + 1];
    size_t a_size = strlen(a), b_size = strlen(b);

    if (a_size > MODEL_NAME_MAX || b_size > MODEL_NAME_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(row[j], least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

const char *word_nearest(const char *word, const char *const *list, size_t count)
{
    size_t best = strlen(word) / 4 + 2; /* not near any more */
    const char *nearest = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t found = list[i] != NULL ? distance(word, list[i]) : SIZE_MAX;

        if (found < best && found < strlen(list[i])) {
            best = found;
            nearest = list[i];
        }
    }
    return nearest;
}

/* The next character of text at *at, folded. Two-byte sequences are all that folding needs; any
 * other byte stands for itself (plus an offset that keeps the two kinds apart). */
static uint32_t next_folded(struct bytes text, size_t *at)
{
    uint32_t first = text.data[(*at)++];
    uint32_t c;

    if (first < 0x80)
        return first >= 'A' && first <= 'Z' ? first + 32 : first;
    if (first < 0xc2 || first > 0xdf || *at >= text.size || (text.data[*at] & 0xc0) != 0x80)
        return 0x10000 + first;
    c = (first & 0x1f) << 6 | (text.data[(*at)++] & 0x3fu);
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x410 && c <= 0x42f))
        return c + 0x20;
    if (c >= 0x400 && c <= 0x40f)
        return c + 0x50;
    if (c >= 0x531 && c <= 0x556)
        return c + 0x30;
    return c;
}

int word_compare_folded(struct bytes a, struct bytes b)
{
    size_t a_at = 0, b_at = 0;

    while (a_at < a.size && b_at < b.size) {
        uint32_t x = next_folded(a, &a_at), y = next_folded(b, &b_at);

        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a_at < a.size) - (b_at < b.size);
}
