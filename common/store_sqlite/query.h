/* query.h - questions that people ask of a replica: lists, searches, keys, SQL.
 *
 * Model:      every question is about live rows of the typed tables and runs on the handle's own
 *             connection, so that it sees what the open transaction wrote. It needs no transaction,
 *             and takes part in one that is open.
 * Callbacks:  return 0 to go on, STORE_STOP to end with ERR_OK, or an error that is returned. They
 *             may ask further questions and get rows; they must not write.
 * Errors:     those of store.h; info (may be NULL) says what, where it says so.
 * Cost:       queries without a suitable index read the whole table. */
#ifndef COMMON_STORE_SQLITE_QUERY_H
#define COMMON_STORE_SQLITE_QUERY_H

#include "common/store.h"

enum query_op { QUERY_EQ, QUERY_NE, QUERY_LT, QUERY_LE, QUERY_GT, QUERY_GE, QUERY_CONTAINS };

enum { QUERY_CONDITIONS_MAX = 32, QUERY_FIND_COLUMNS_MAX = 100 };

struct query_condition {
    const struct model_column *column; /* NULL: the id */
    enum query_op op;
    struct value value; /* NULL: EQ is "is not set", NE "is set", others hold for no row */
};

struct query {
    const struct query_condition *conditions; /* all must hold */
    size_t condition_count;                   /* at most QUERY_CONDITIONS_MAX */
    const struct model_column *order;         /* NULL: the id; equal values by id */
    bool descending;
    uint64_t limit; /* 0: none */
    uint64_t offset;
};

/* The ids of the rows, in order. ERR_LIMIT: too many conditions. */
enum err store_sqlite_query(struct store *store, const struct model_table *table,
                            const struct query *query, store_id_fn *fn, void *context,
                            struct err_info *info);
enum err store_sqlite_count(struct store *store, const struct model_table *table,
                            const struct query *query, uint64_t *ret_count, struct err_info *info);

typedef int query_hit_fn(void *context, const struct uuid *id, const struct model_column *column);
/* Rows with the text, case folded, in a text column (the first QUERY_FIND_COLUMNS_MAX of them); by
 * id. limit 0: none. */
enum err store_sqlite_find(struct store *store, const struct model_table *table, struct bytes text,
                           uint64_t limit, query_hit_fn *fn, void *context, struct err_info *info);
/* Rows whose column is this text, case folded; by id. */
enum err store_sqlite_find_equal(struct store *store, const struct model_table *table,
                                 const struct model_column *column, struct bytes text,
                                 store_id_fn *fn, void *context, struct err_info *info);
/* Ids from `low` to `high`, both included; by id. */
enum err store_sqlite_find_ids(struct store *store, const struct model_table *table,
                               const struct uuid *low, const struct uuid *high, store_id_fn *fn,
                               void *context, struct err_info *info);

/* Records of the table that have a confirmed copy: those that pending groups touch, but for mere inserts; by id. */
enum err store_sqlite_copied(struct store *store, const struct model_table *table, store_id_fn *fn,
                             void *context, struct err_info *info);

/* A prepared look-up by exact values (NULL finds NULL): for imports, which ask once per row. Freed
 * before the store is closed. */
struct query_lookup;

/* index: makes an index on the first column if there is none, in the open write transaction or in
 * one of its own; without it each look-up reads the table. ERR_NOMEM, store errors. */
enum err query_lookup_new(struct store *store, const struct model_table *table,
                          const struct model_column *const *columns, uint16_t count, bool index,
                          struct query_lookup **ret_lookup, struct err_info *info);
void query_lookup_free(struct query_lookup *lookup); /* accepts NULL */
/* values: one for each column. */
enum err query_lookup_run(struct query_lookup *lookup, const struct value *values, store_id_fn *fn,
                          void *context);

typedef int query_row_fn(void *context, int count, const char *const *names,
                         const struct value *values);
/* One statement that only reads, written by a person. ERR_FORBIDDEN: it would write, attach a file
 * or change a setting; ERR_PARSE: SQLite's message; ERR_INVALID: nothing, or more than one. */
enum err store_sqlite_sql(struct store *store, const char *sql, query_row_fn *fn, void *context,
                          struct err_info *info);

#endif
