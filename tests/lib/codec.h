/* codec.h - what the tests of the wire formats share: the model of tests/vectors, random groups,
 * comparison, and the golden vectors.
 *
 * Ownership: what is made at random lies in the arena given. Failures are cmocka failures. */
#ifndef TESTS_LIB_CODEC_H
#define TESTS_LIB_CODEC_H

#include "common/buf.h"
#include "common/model.h"
#include "protocol/group.h"
#include "tests/lib/seeded_rng.h"

enum { CODEC_ITEM = 20, CODEC_COUNT = 21 }; /* tables of tests/vectors/model.json */

/* Calls fn for each file of tests/vectors/bombs whose name starts with prefix; how many there
 * were. */
unsigned codec_bombs(const char *prefix, void (*fn)(const char *name, struct bytes data));
/* A file of the source tree, by its path from there. False: there is none. */
bool codec_file(const char *path, struct buf *out);
/* tests/vectors/model.json; the caller frees it. */
struct model *codec_model(void);

struct uuid codec_id(struct seeded_rng *r);
struct bytes codec_bytes(struct seeded_rng *r, struct arena *arena, size_t size);
/* Lower-case letters and two-byte UTF-8. */
struct bytes codec_text(struct seeded_rng *r, struct arena *arena, size_t size);
/* Of the column's kind, sometimes NULL, often at a limit of its kind. */
struct value codec_value(struct seeded_rng *r, struct arena *arena,
                         const struct model_column *column);
struct dot codec_dot(struct seeded_rng *r);
/* A valid group on the tables of the model, every op and every unit. */
struct group codec_group(struct seeded_rng *r, struct arena *arena, const struct model *model,
                         uint32_t mutation_count);

/* JSON, with ' for ", to MessagePack: "hex:00ff" is a binary, other strings are text, 1.0 a float
 * 64; {"repeat": n, "of": x} within an array is n times x. Replaces what out has. */
void codec_pack(const char *json, struct buf *out);

/* Asserts that they say the same; an empty frontier is the insert's. */
void codec_assert_group(const struct group *a, const struct group *b);
bool codec_values_equal(const struct value *a, const struct value *b, size_t count);

/* Golden vectors: a file of {name, meaning, hex}. Everything is added in a fixed order, then
 * checked against the committed file byte by byte; with SATCHEL_UPDATE_VECTORS=1 the file is
 * written instead. */
struct vectors {
    struct buf text;
    const char *about;
    bool any;
};
void vectors_start(struct vectors *v, const char *about);
void vectors_add(struct vectors *v, const char *name, const char *meaning, struct bytes bytes);
void vectors_check(struct vectors *v, const char *path);

/* Whether the environment asks for a benchmark; seconds of processor time. */
bool codec_bench(void);
double codec_now(void);

#endif
