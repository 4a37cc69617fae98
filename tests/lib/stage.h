/* stage.h - one world in which a step is done again and again, with another call failing each time.
 *
 * Model:      in round k the k-th call of a store, or the k-th allocation (of an arena or a buffer too, for
 *             tests with `ctest: arena`), fails on the way, until a round has no k-th call, or for
 *             STAGE_ROUNDS rounds; far out some k are left out. Who fails tries again (fault_play.h).
 * Failure:    anything unexpected fails the cmocka test. */
#ifndef TESTS_LIB_STAGE_H
#define TESTS_LIB_STAGE_H

#include "tests/lib/failing_place.h"
#include "tests/lib/fault_play.h"

enum { STAGE_ROUNDS = 60, STAGE_PLACES_MAX = 4000 };
enum stage_source {
    STAGE_HUB_STORE,
    STAGE_BOSS_STORE,
    STAGE_REP_STORE,
    STAGE_MEMORY,
    STAGE_SOURCES
};

struct stage {
    struct fault_play run;
    struct pair_device *boss, *rep;
    struct uuid party, doomed;
    uint32_t round, refused, places; /* that have failed */
    enum place_kind kind;            /* of stage_some_places(): what a round looks for */
};

/* Which sources fail, as bits. */
enum {
    STAGE_ALL = 15,
    STAGE_NOT_REP = 11,
    STAGE_BOSS_ONLY = 10,
    STAGE_HUB_ONLY = 9,
    STAGE_REP_ONLY = 12
};

typedef void step_fn(struct stage *s);

/* Two branches, a boss who administers, a rep who does not, and a record that both have. */
void stage_start(struct stage *s, uint64_t seed);
/* All agree, and headquarters verifies. */
void stage_end(struct stage *s);
/* The step again and again, with each call of these sources failing once; prepare and check (may be NULL)
 * run without failures. Prints how many failed. */
void stage_each_fault(struct stage *s, const char *name, unsigned sources, step_fn *prepare,
                      step_fn *step, step_fn *check);
/* The same with each place failing once that this program has not had fail yet, and each place at which something
 * stored is read being given what is damaged (failing_place.h). */
void stage_each_place(struct stage *s, const char *name, step_fn *prepare, step_fn *step,
                      step_fn *check);
/* At most so many of them; whether there may be more. */
bool stage_some_places(struct stage *s, enum place_kind kind, uint32_t most, step_fn *prepare,
                       step_fn *step, step_fn *check);
/* The same in one world after the other, each for so many rounds: for stories that make them large. begin
 * (may be NULL): at the start of each. */
void stage_each_world(const char *name, uint64_t seed, uint32_t most, step_fn *begin,
                      step_fn *prepare, step_fn *step, step_fn *check);
const struct model_table *stage_table(struct stage *s, const char *name);
/* Inserts or updates within a transaction: pairs of column name and text, then NULL. id: the one made, or the
 * one given. Memory for the values does not fail. */
enum err stage_put(struct stage *s, struct pair_device *device, const char *name, bool insert,
                   struct uuid *id, const char *const *pairs);
/* Inserts a record whose column `parent` is `of`. */
enum err stage_put_child(struct stage *s, struct pair_device *device, const char *name,
                         const char *parent, struct uuid of, const char *column, const char *text);
/* A transaction that is tried until it is taken, four times at most. */
void stage_transact(struct stage *s, struct pair_device *device,
                    enum err (*body)(struct stage *s, struct pair_device *device));
/* Static, until the next call. */
const char *stage_number(uint32_t n);
/* Asks headquarters until it is done. One that failed after its commit is found done: EXISTS. */
void stage_admin(struct stage *s, const char *request);
/* A verified backup holds all that the device has sent, and it forgets that: stories in which headquarters is
 * restored again and again would send all of it each time. */
void stage_archive(struct stage *s, struct pair_device *device);

#endif
