/* pool.h - what a peer knows, for inputs that build messages: the input picks, mostly from here, so
 * that it reaches what lies behind the first checks.
 *
 * Model:      small sets of the numbers, dots, ids and blobs that were seen in messages and groups;
 *             pool_x() takes one of them or, by the input's choice, something else.
 * Ownership:  the caller embeds the struct; what is made lies in the arena given. */
#ifndef TESTS_FUZZ_POOL_H
#define TESTS_FUZZ_POOL_H

#include "protocol/group.h"
#include "protocol/message.h"
#include "protocol/page.h"
#include "tests/fuzz/fuzz.h"

enum { POOL_MAX = 48, POOL_BLOB_MAX = 64 };

struct pool {
    uint64_t numbers[POOL_MAX];
    struct dot dots[POOL_MAX];
    struct uuid ids[POOL_MAX];
    struct pool_blob {
        uint8_t byte[POOL_BLOB_MAX];
        size_t size;
    } blobs[POOL_MAX];
    unsigned number_count, dot_count, id_count, blob_count;
};

/* Each forgets the oldest when there are too many; what is there already is not added again. */
void pool_add_number(struct pool *pool, uint64_t number);
void pool_add_dot(struct pool *pool, const struct dot *dot);
void pool_add_id(struct pool *pool, const struct uuid *id);
void pool_add_blob(struct pool *pool, struct bytes blob);
/* All that a message or a group says. */
void pool_add_message(struct pool *pool, const struct message *message);
void pool_add_group(struct pool *pool, const struct group *group);

uint64_t pool_number(const struct pool *pool, struct fuzz_input *in);
struct dot pool_dot(const struct pool *pool, struct fuzz_input *in);
struct uuid pool_id(const struct pool *pool, struct fuzz_input *in);
/* At most max bytes. */
struct bytes pool_blob(const struct pool *pool, struct fuzz_input *in, size_t max,
                       struct arena *arena);
/* Mostly UTF-8. */
struct bytes pool_text(struct fuzz_input *in, size_t max, struct arena *arena);

/* A message of this type, every field chosen; and one that differs in one field. */
void pool_message(const struct pool *pool, struct fuzz_input *in, enum message_type type,
                  struct arena *arena, struct message *ret);
void pool_change(const struct pool *pool, struct fuzz_input *in, struct arena *arena,
                 struct message *message);
/* A value for the column; mostly of its kind. */
struct value pool_value(const struct pool *pool, struct fuzz_input *in,
                        const struct model_column *column, struct arena *arena);
/* A group of up to 4 mutations of the model; it may be one that cannot be encoded. */
void pool_group(const struct pool *pool, struct fuzz_input *in, const struct model *model,
                struct arena *arena, struct group *ret);
/* A version of a record of the table. */
void pool_version(const struct pool *pool, struct fuzz_input *in, const struct model_table *table,
                  struct arena *arena, struct version *ret);
/* The body of a page, of up to 8 entries from position `from` + 1 on; *ret_to: the last one's. */
struct bytes pool_page(const struct pool *pool, struct fuzz_input *in, const struct model *model,
                       uint64_t from, struct arena *arena, uint64_t *ret_to);

#endif
