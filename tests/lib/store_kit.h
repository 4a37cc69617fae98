/* store_kit.h - a store of any kind with a small model, for the tests of the seam.
 *
 * Model:      table `thing` has a column of every type and `part` belongs to it.
 * Ownership:  the caller embeds the struct; store_kit_done() removes the files. */
#ifndef TESTS_LIB_STORE_KIT_H
#define TESTS_LIB_STORE_KIT_H

#include "common/store.h"
#include "common/store_sqlite/store_sqlite.h"
#include "tests/lib/unit.h"

enum store_kind { STORE_KIND_MEM, STORE_KIND_SQLITE_FILE, STORE_KIND_SQLITE_MEMORY };

struct store_kit {
    enum store_kind kind;
    struct model *model;
    const struct model_table *thing, *part, *purchase;
    struct store *store;
    struct arena arena;
    char folder[64];
    char path[96];
    struct store_sqlite_options options;
};

extern const char *const store_kit_model_json;

/* Asserts (cmocka) that all goes well, as do those below. */
void store_kit_init(struct store_kit *kit, enum store_kind kind);
void store_kit_done(struct store_kit *kit);
/* Closes and opens the store again, with kit->options; only of STORE_KIND_SQLITE_FILE. */
void store_kit_reopen(struct store_kit *kit);
struct model *store_kit_model(const char *json);

/* The id with this number; ids are ordered as their numbers. */
struct uuid store_kit_id(uint32_t number);
/* A live row whose content follows from the seed; in the arena. Its parent column, if there is one,
 * names a record of number 0 to 7, or nothing. */
struct store_row store_kit_row(struct arena *arena, const struct model_table *table, uint64_t seed);
void store_kit_assert_row(const struct model_table *table, const struct store_row *got,
                          const struct store_row *expected);

void store_kit_begin(struct store_kit *kit); /* for writing */
void store_kit_commit(struct store_kit *kit);
void store_kit_put(struct store_kit *kit, const struct model_table *table, uint32_t number,
                   uint64_t seed, bool dead);
/* Asserts that the record is the row of this seed; of seed 0, that there is none. */
void store_kit_assert_is(struct store_kit *kit, struct store *store,
                         const struct model_table *table, uint32_t number, uint64_t seed,
                         bool dead);

/* Collects what a scan shows as text: numbers of ids, keys, positions, a space after each. */
struct store_kit_list {
    char text[1024];
    int stop_after; /* > 0: the scan is stopped at this one */
    int fail_after; /* > 0: it is failed at this one, with ERR_CLOSED */
    int count;
};

/* Asserts that the scan went well and showed this; empties the list. */
void store_kit_assert_list(enum err err, struct store_kit_list *list, const char *expected);

int store_kit_list_id(void *context, const struct uuid *id);
int store_kit_list_side(void *context, struct bytes key, struct bytes value);
int store_kit_list_log(void *context, uint64_t position, const struct model_table *table,
                       const struct uuid *id);

/* A test of the conformance suite; its state is a kit with a new store. */
#define STORE_KIT_TEST(name) \
    cmocka_unit_test_setup_teardown(name, store_kit_setup, store_kit_teardown)

extern enum store_kind store_kit_kind; /* that store_kit_setup() makes */
int store_kit_setup(void **state);
int store_kit_teardown(void **state);

/* Runs an array of tests once for each kind of store and adds up the failures. */
#define STORE_KIT_RUN(tests, ret_failed)                                                \
    do {                                                                                \
        store_kit_kind = STORE_KIND_MEM;                                                \
        ret_failed = cmocka_run_group_tests_name("memory store", tests, NULL, NULL);    \
        store_kit_kind = STORE_KIND_SQLITE_FILE;                                        \
        ret_failed += cmocka_run_group_tests_name("SQLite, file", tests, NULL, NULL);   \
        store_kit_kind = STORE_KIND_SQLITE_MEMORY;                                      \
        ret_failed += cmocka_run_group_tests_name("SQLite, memory", tests, NULL, NULL); \
    } while (0)

#endif
