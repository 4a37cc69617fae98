/* story.h - people who write to records at headquarters, told step by step.
 *
 * Model:      a person looks at a record (and keeps what was seen), later writes a group from it; what
 *             others wrote meanwhile is concurrent. Groups are applied in the order of commits.
 * Values:     as text, the way people type them (model_value_from_text); NULL is no value. In an update
 *             a counter takes its delta, a set "+added -removed ...".
 * Failure:    anything unexpected fails the cmocka test. Each group is first tried with every allocation
 *             and every look at the world failing, which must change nothing.
 * Ownership:  the caller embeds the struct; all memory is its arena's until story_done(). */
#ifndef TESTS_LIB_STORY_H
#define TESTS_LIB_STORY_H

#include "protocol/apply.h"

enum { STORY_RECORDS = 64, STORY_PEOPLE = 10, STORY_MUTATIONS = 16, STORY_WRITES = 32 };

struct story_record {
    const struct model_table *table;
    struct uuid id;
    struct record record;
};

struct story {
    struct arena arena;
    struct model *model;
    struct story_record records[STORY_RECORDS];
    uint32_t count;
    enum merge_mode mode; /* MERGE_DECIDE at first */
    uint64_t stamp;       /* of the next group; a commit adds a second */
    uint64_t oseq[STORY_PEOPLE];
    uint64_t who;
    struct mutation mutations[STORY_MUTATIONS];
    uint32_t mutation_count;
    struct dot dot;             /* of the last commit */
    struct group group;         /* the same */
    struct apply_report report; /* of the last commit */
    uint32_t gets;              /* how often the world was asked for a record */
    enum err fail_get;          /* what the world's get returns, if not ERR_OK, */
    uint32_t fail_get_from;     /* from this `gets` on */
};

/* model_json: NULL for the model of story.c, which has a column of every policy. */
void story_init(struct story *s, const char *model_json);
void story_done(struct story *s);

/* What somebody sees of a record now. */
struct story_record story_look(struct story *s, const char *table, unsigned id);
/* Begins a group of person who: 1 .. STORY_PEOPLE - 1. */
void story_begin(struct story *s, unsigned who);
/* Pairs of column name and text, then NULL as name. Columns of one group in a row. */
void story_insert(struct story *s, const char *table, unsigned id, ...);
void story_update(struct story *s, const struct story_record *seen, ...);
void story_restore(struct story *s, const struct story_record *seen, ...);
void story_delete(struct story *s, const struct story_record *seen);
/* The last mutation begun, to be changed by hand. */
struct mutation *story_last(struct story *s);
/* apply_group() of these mutations as person `who` of story_begin(); the world stays as it is. */
enum err story_apply(struct story *s, const struct mutation *mutations, uint32_t count,
                     struct apply_report *ret);
/* Applies the group; the world takes over what was reported. */
enum reason story_commit(struct story *s);

/* A whole group of one mutation, which must be accepted. */
#define STORY_INSERT(s, who, ...) \
    (story_begin((s), (who)), story_insert((s), __VA_ARGS__, NULL), story_must_commit(s))
#define STORY_UPDATE(s, who, ...) \
    (story_begin((s), (who)), story_update((s), __VA_ARGS__, NULL), story_must_commit(s))
#define STORY_DELETE(s, who, seen) \
    (story_begin((s), (who)), story_delete((s), (seen)), story_must_commit(s))
void story_must_commit(struct story *s);
/* The group of the last commit; its memory is the story's. */
struct group story_group(const struct story *s);
/* Applies a group of another time or place to the world as it is now. */
enum reason story_replay(struct story *s, const struct group *group);

struct record *story_record_of(struct story *s, const char *table, unsigned id);
/* What the record shows; "NULL" for no value. */
const char *story_shown(struct story *s, const char *table, unsigned id, const char *column);
bool story_dead(struct story *s, const char *table, unsigned id);
/* The number of candidates of a unit. */
unsigned story_candidates(struct story *s, const char *table, unsigned id, const char *unit);
const struct model_unit *story_unit(struct story *s, const char *table, const char *unit);
/* What the last commit reports of a record; NULL: nothing. */
const struct applied_record *story_applied(struct story *s, const char *table, unsigned id);
struct uuid story_id(unsigned id);

#endif
