/* merge_letters.h - the small alphabet of operations of the exhaustive test: a letter and what its
 * author knows give the mutations of a group.
 *
 * Model:      one record `top`, and in trees one child inserted with it and more inserted later. */
#ifndef TESTS_LIB_MERGE_LETTERS_H
#define TESTS_LIB_MERGE_LETTERS_H

#include "tests/lib/merge_world.h"

enum act {
    ACT_WRITE,
    ACT_ADD,
    ACT_REMOVE,
    ACT_DELETE,
    ACT_RESTORE,
    ACT_RESTORE_WRITE,
    ACT_INSERT_CHILD,
    ACT_WRITE_CHILD,   /* the newest that the author knows, live or dead */
    ACT_DELETE_CHILD,  /* the same, if it is live */
    ACT_RESTORE_CHILD, /* the same, if it is dead */
    ACT_RESTORE_WRITE_CHILD,
};

struct letter {
    enum act act;
    uint8_t unit, value, stamp;
};

enum { LETTER_CHILDREN_MAX = 8, LETTER_MUTATIONS_MAX = 1 + LETTER_CHILDREN_MAX };

/* What a letter is applied to: the ids of the children that the author may know, oldest first. */
struct letter_target {
    const struct model_table *top, *child; /* child NULL: no tree */
    struct uuid children[LETTER_CHILDREN_MAX];
    int child_count;
    int replica;        /* text edits differ by author */
    struct uuid new_id; /* of a child that is inserted */
};

extern const struct uuid letter_top_id, letter_child_id;

/* The insert of a record with a value for every unit. */
struct mutation letter_insert(struct arena *arena, const struct model_table *table,
                              const struct uuid *id);
/* The mutations of a letter by an author with this view, at most LETTER_MUTATIONS_MAX; 0: the letter
 * makes no sense in what he sees. */
uint32_t letter_mutations(const struct letter *letter, const struct letter_target *target,
                          const struct oracle *view, struct arena *arena, struct mutation *out);

#endif
