#include "tests/lib/codec.h"

#include "tests/lib/unit.h"

#include "common/text.h"
#include "protocol/pack.h"

#include <dirent.h>
#include <jansson.h>
#include <time.h>

static void source_path(const char *path, char *out, size_t size)
{
    const char *source = getenv("SATCHEL_SOURCE");

    snprintf(out, size, "%s/%s", source == NULL ? "." : source, path);
}

bool codec_file(const char *path, struct buf *out)
{
    char full[1024], piece[4096];
    size_t got;
    FILE *file;

    source_path(path, full, sizeof(full));
    file = fopen(full, "rb");
    if (file == NULL)
        return false;
    while ((got = fread(piece, 1, sizeof(piece), file)) > 0)
        assert_ok(buf_append(out, piece, got));
    fclose(file);
    return true;
}

unsigned codec_bombs(const char *prefix, void (*fn)(const char *name, struct bytes data))
{
    char path[1024];
    struct dirent *entry;
    unsigned count = 0;
    DIR *dir;

    source_path("tests/vectors/bombs", path, sizeof(path));
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        struct buf data;

        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        buf_init(&data, 16 << 20);
        snprintf(path, sizeof(path), "tests/vectors/bombs/%.200s", entry->d_name);
        assert_true(codec_file(path, &data));
        fn(entry->d_name, buf_view(&data));
        buf_done(&data);
        count++;
    }
    closedir(dir);
    return count;
}

struct model *codec_model(void)
{
    struct model *model = NULL;
    struct err_info info;
    struct buf json;

    buf_init(&json, MODEL_FILE_MAX);
    assert_true(codec_file("tests/vectors/model.json", &json));
    if (model_parse(buf_view(&json), &model, &info) != ERR_OK)
        fail_msg("tests/vectors/model.json: %s", info.message);
    buf_done(&json);
    return model;
}

/* --- MessagePack from JSON -------------------------------------------------------------------- */

static uint32_t packed_count(const json_t *array)
{
    uint32_t count = 0;
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item) count +=
        json_is_object(item) ? (uint32_t)json_integer_value(json_object_get(item, "repeat")) : 1;
    return count;
}

static void pack_string(const char *text, struct buf *out)
{
    uint8_t data[256];
    size_t size;

    if (strncmp(text, "hex:", 4) != 0) {
        pack_text(out, bytes_of_text(text));
        return;
    }
    size = strlen(text + 4) / 2;
    assert_in_range(size, 0, sizeof(data));
    assert_ok(text_parse_hex(bytes_of_text(text + 4), data, size));
    pack_binary(out, bytes_of(data, size));
}

static void pack_json(const json_t *json, struct buf *out)
{
    size_t i;
    json_t *item;

    switch (json_typeof(json)) {
    case JSON_NULL: pack_nil(out); break;
    case JSON_TRUE: pack_bool(out, true); break;
    case JSON_FALSE: pack_bool(out, false); break;
    case JSON_INTEGER: pack_int(out, json_integer_value(json)); break;
    case JSON_REAL:
        pack_value(out, &(struct value){VALUE_REAL, {.real = json_real_value(json)}});
        break;
    case JSON_STRING: pack_string(json_string_value(json), out); break;
    case JSON_ARRAY:
        pack_array(out, packed_count(json));
        json_array_foreach(json, i, item) pack_json(item, out);
        break;
    case JSON_OBJECT:
        for (json_int_t n = json_integer_value(json_object_get(json, "repeat")); n > 0; n--)
            pack_json(json_object_get(json, "of"), out);
        break;
    }
}

void codec_pack(const char *json, struct buf *out)
{
    json_error_t error;
    json_t *root;
    char *text = malloc(strlen(json) + 1);

    assert_non_null(text);
    for (size_t i = 0; i <= strlen(json); i++)
        text[i] = json[i] == '\'' ? '"' : json[i];
    root = json_loads(text, JSON_DECODE_ANY, &error);
    if (root == NULL)
        fail_msg("%s: %s", text, error.text);
    buf_reset(out);
    pack_json(root, out);
    assert_int_equal(out->error, ERR_OK);
    json_decref(root);
    free(text);
}

/* --- Random content --------------------------------------------------------------------------- */

struct uuid codec_id(struct seeded_rng *r)
{
    struct uuid id;

    seeded_fill(r, id.byte, sizeof(id.byte));
    return id;
}

static void *need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count, size);

    assert_non_null(memory);
    return memory;
}

struct bytes codec_bytes(struct seeded_rng *r, struct arena *arena, size_t size)
{
    uint8_t *data = need(arena, size + 1, 1);

    seeded_fill(r, data, size);
    return bytes_of(data, size);
}

struct bytes codec_text(struct seeded_rng *r, struct arena *arena, size_t size)
{
    uint8_t *data = need(arena, size + 1, 1);
    size_t at = 0;

    while (at < size) {
        if (at + 2 <= size && seeded_below(r, 4) == 0) {
            data[at++] = 0xd0;
            data[at++] = (uint8_t)(0x90 + seeded_below(r, 0x20)); /* Cyrillic */
        } else {
            data[at++] = (uint8_t)('a' + seeded_below(r, 26));
        }
    }
    return bytes_of(data, size);
}

static int64_t random_integer(struct seeded_rng *r)
{
    static const int64_t limits[] = {
        0,    1,     -1,    127,    128,       -32,       -33,        255,       256,      -128,
        -129, 65535, 65536, -32769, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN};

    if (seeded_below(r, 2) == 0)
        return limits[seeded_below(r, sizeof(limits) / sizeof(limits[0]))];
    return (int64_t)(seeded_u64(r) >> seeded_below(r, 64));
}

static size_t random_size(struct seeded_rng *r)
{
    static const size_t limits[] = {0, 1, 31, 32, 255, 256};

    return seeded_below(r, 4) == 0 ? limits[seeded_below(r, 6)] : seeded_below(r, 24);
}

struct value codec_value(struct seeded_rng *r, struct arena *arena,
                         const struct model_column *column)
{
    if (seeded_below(r, 8) == 0)
        return value_null();
    switch (column->type) {
    case COLUMN_TEXT:
    case COLUMN_DATE:
    case COLUMN_ENUM:
    case COLUMN_SET: return value_text(codec_text(r, arena, random_size(r)));
    case COLUMN_INTEGER:
    case COLUMN_MONEY:
    case COLUMN_INSTANT:
    case COLUMN_BOOLEAN: return value_int(random_integer(r));
    case COLUMN_REAL: return value_real((double)random_integer(r) / 8);
    case COLUMN_REFERENCE: return value_blob(codec_bytes(r, arena, 16));
    case COLUMN_BLOB: return value_blob(codec_bytes(r, arena, 32));
    }
    return value_null();
}

struct dot codec_dot(struct seeded_rng *r)
{
    return (struct dot){.origin = 1 + seeded_below(r, 5) * 0x123456789abc,
                        .oseq = 1 + (seeded_u64(r) >> (40 + seeded_below(r, 24))),
                        .tag = (uint32_t)seeded_u64(r)};
}

/* --- Groups ----------------------------------------------------------------------------------- */

static struct dot_set random_dots(struct seeded_rng *r, struct arena *arena, uint32_t max)
{
    uint16_t count = (uint16_t)(1 + seeded_below(r, seeded_below(r, 20) == 0 ? max : 2));
    struct dot *dots = need(arena, count, sizeof(*dots));

    for (uint16_t i = 0; i < count; i++)
        dots[i] = codec_dot(r);
    return (struct dot_set){dots, dot_sort(dots, count)};
}

static const struct value *random_values(struct seeded_rng *r, struct arena *arena,
                                         const struct model_table *table,
                                         const struct model_unit *unit, bool null_allowed)
{
    struct value *values = need(arena, unit->column_count, sizeof(*values));

    for (uint16_t i = 0; i < unit->column_count; i++) {
        do
            values[i] = codec_value(r, arena, &table->columns[unit->columns[i]]);
        while (!null_allowed && values[i].kind == VALUE_NULL);
    }
    return values;
}

static int compare_bytes(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

static void random_elements(struct seeded_rng *r, struct arena *arena, struct unit_write *write)
{
    uint32_t count = (uint32_t)seeded_below(r, 4);
    struct bytes *adds = need(arena, count, sizeof(*adds));
    struct set_pair *removes = need(arena, count, sizeof(*removes));

    for (uint32_t i = 0; i < count; i++)
        adds[i] = codec_text(r, arena, 12 + seeded_below(r, 4));
    qsort(adds, count, sizeof(*adds), compare_bytes);
    for (uint32_t i = 0; i < count; i++)
        removes[i] = (struct set_pair){adds[i], codec_dot(r)};
    write->adds = adds;
    write->add_count = count;
    write->removes = removes;
    write->remove_count = count;
}

static void random_writes(struct seeded_rng *r, struct arena *arena, struct mutation *m)
{
    struct unit_write *writes = need(arena, m->table->unit_count, sizeof(*writes));

    for (uint16_t u = 0; u < m->table->unit_count; u++) {
        const struct model_unit *unit = &m->table->units[u];
        struct unit_write *write = &writes[m->write_count];

        if (seeded_below(r, 2) == 0)
            continue;
        m->write_count++;
        write->unit = unit;
        if (m->op == MUTATION_INSERT) {
            write->values = random_values(r, arena, m->table, unit, true);
            continue;
        }
        if (seeded_below(r, 2) == 0)
            write->seen = random_dots(r, arena, FRONTIER_MAX);
        if (unit->policy == MERGE_SET) {
            random_elements(r, arena, write);
            continue;
        }
        write->values = random_values(r, arena, m->table, unit, unit->policy != MERGE_COUNTER);
        if (unit->policy == MERGE_COUNTER)
            write->values = random_values(r, arena, m->table, unit, false);
        if (unit->carries_base && m->op == MUTATION_UPDATE)
            write->base = random_values(r, arena, m->table, unit, true);
    }
    m->writes = writes;
}

static void random_mutation(struct seeded_rng *r, struct arena *arena, const struct model *model,
                            struct mutation *m)
{
    m->table = model_table_by_id(model, seeded_below(r, 4) == 0 ? CODEC_COUNT : CODEC_ITEM);
    m->op = (enum mutation_op)(MUTATION_INSERT + seeded_below(r, 4));
    m->id = codec_id(r);
    if (m->op != MUTATION_INSERT)
        m->insert = codec_dot(r);
    if (m->op == MUTATION_RESTORE && seeded_below(r, 3) > 0)
        m->deletes = random_dots(r, arena, 100);
    if (m->op != MUTATION_DELETE) {
        random_writes(r, arena, m);
        return;
    }
    struct unit_seen *frontier = need(arena, m->table->unit_count, sizeof(*frontier));

    for (uint16_t u = 0; u < m->table->unit_count; u++) {
        if (seeded_below(r, 2) == 0)
            frontier[m->frontier_count++] =
                (struct unit_seen){u, random_dots(r, arena, FRONTIER_MAX)};
    }
    m->frontier = frontier;
}

struct group codec_group(struct seeded_rng *r, struct arena *arena, const struct model *model,
                         uint32_t mutation_count)
{
    struct mutation *mutations = need(arena, mutation_count, sizeof(*mutations));
    struct group group = {
        .dot = codec_dot(r), .stamp = seeded_u64(r), .model_version = model->version};

    group.dot.origin = UINT64_MAX - seeded_below(r, 3); /* none of what it refers to */
    if (seeded_below(r, 3) == 0)
        group.renamed = codec_dot(r);
    for (uint32_t i = 0; i < mutation_count; i++)
        random_mutation(r, arena, model, &mutations[i]);
    group.mutations = mutations;
    group.mutation_count = mutation_count;
    return group;
}

/* --- Comparison ------------------------------------------------------------------------------- */

bool codec_values_equal(const struct value *a, const struct value *b, size_t count)
{
    if (a == NULL || b == NULL)
        return a == b;
    for (size_t i = 0; i < count; i++) {
        if (!value_equal(&a[i], &b[i]))
            return false;
    }
    return true;
}

static struct dot_set explicit_seen(const struct mutation *m, struct dot_set seen)
{
    return seen.count == 0 && m->op != MUTATION_INSERT ? (struct dot_set){&m->insert, 1} : seen;
}

static void assert_write(const struct mutation *ma, const struct unit_write *a,
                         const struct mutation *mb, const struct unit_write *b)
{
    uint16_t columns = a->unit->column_count;

    assert_ptr_equal(a->unit, b->unit);
    assert_true(dot_set_equal(explicit_seen(ma, a->seen), explicit_seen(mb, b->seen)));
    if (a->unit->policy != MERGE_SET || ma->op == MUTATION_INSERT)
        assert_true(codec_values_equal(a->values, b->values, columns));
    assert_true(codec_values_equal(a->base, b->base, columns));
    assert_int_equal(a->add_count, b->add_count);
    assert_int_equal(a->remove_count, b->remove_count);
    for (uint32_t i = 0; i < a->add_count; i++)
        assert_true(bytes_equal(a->adds[i], b->adds[i]));
    for (uint32_t i = 0; i < a->remove_count; i++) {
        assert_true(bytes_equal(a->removes[i].element, b->removes[i].element));
        assert_true(dot_equal(&a->removes[i].dot, &b->removes[i].dot));
    }
}

static void assert_mutation(const struct mutation *a, const struct mutation *b)
{
    assert_int_equal(a->op, b->op);
    assert_ptr_equal(a->table, b->table);
    assert_true(uuid_equal(&a->id, &b->id));
    if (a->op != MUTATION_INSERT)
        assert_true(dot_equal(&a->insert, &b->insert));
    assert_true(dot_set_equal(a->deletes, b->deletes));
    assert_int_equal(a->write_count, b->write_count);
    for (uint16_t i = 0; i < a->write_count; i++)
        assert_write(a, &a->writes[i], b, &b->writes[i]);
    assert_int_equal(a->frontier_count, b->frontier_count);
    for (uint16_t i = 0; i < a->frontier_count; i++) {
        assert_int_equal(a->frontier[i].unit, b->frontier[i].unit);
        assert_true(dot_set_equal(explicit_seen(a, a->frontier[i].seen),
                                  explicit_seen(b, b->frontier[i].seen)));
    }
}

void codec_assert_group(const struct group *a, const struct group *b)
{
    assert_true(dot_equal(&a->dot, &b->dot));
    assert_true(a->stamp == b->stamp);
    assert_int_equal(a->model_version, b->model_version);
    assert_true(dot_equal(&a->renamed, &b->renamed));
    assert_int_equal(a->mutation_count, b->mutation_count);
    for (uint32_t i = 0; i < a->mutation_count; i++)
        assert_mutation(&a->mutations[i], &b->mutations[i]);
}

/* --- Golden vectors --------------------------------------------------------------------------- */

void vectors_start(struct vectors *v, const char *about)
{
    buf_init(&v->text, 1 << 20);
    v->about = about;
    v->any = false;
    text_append(&v->text, "{\n\"about\": ");
    text_append_json(&v->text, bytes_of_text(about));
    text_append(&v->text, ",\n\"vectors\": [");
}

void vectors_add(struct vectors *v, const char *name, const char *meaning, struct bytes bytes)
{
    text_append(&v->text, v->any ? ",\n {\"name\": " : "\n {\"name\": ");
    text_append_json(&v->text, bytes_of_text(name));
    text_append(&v->text, ",\n  \"meaning\": ");
    text_append_json(&v->text, bytes_of_text(meaning));
    text_append(&v->text, ",\n  \"hex\": \"");
    text_append_hex(&v->text, bytes);
    text_append(&v->text, "\"}");
    v->any = true;
}

static void vectors_write(struct vectors *v, const char *path)
{
    char full[1024];
    FILE *file;

    source_path(path, full, sizeof(full));
    file = fopen(full, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(v->text.data, 1, v->text.size, file), v->text.size);
    assert_int_equal(fclose(file), 0);
    print_message("wrote %s\n", path);
}

void vectors_check(struct vectors *v, const char *path)
{
    struct buf committed;
    size_t at = 0;

    text_append(&v->text, "\n]\n}\n");
    assert_int_equal(v->text.error, ERR_OK);
    if (getenv("SATCHEL_UPDATE_VECTORS") != NULL)
        vectors_write(v, path);
    buf_init(&committed, 1 << 20);
    if (!codec_file(path, &committed))
        fail_msg("there is no %s; SATCHEL_UPDATE_VECTORS=1 writes it", path);
    while (at < committed.size && at < v->text.size && committed.data[at] == v->text.data[at])
        at++;
    if (at < committed.size || at < v->text.size)
        fail_msg("%s: the encoder gives something else from byte %zu on: ...%.*s", path, at,
                 (int)(v->text.size - at > 200 ? 200 : v->text.size - at),
                 (const char *)v->text.data + at);
    buf_done(&committed);
    buf_done(&v->text);
}

bool codec_bench(void)
{
    return getenv("SATCHEL_BENCH") != NULL;
}

double codec_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* others use the machine too */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
