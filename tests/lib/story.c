#include "tests/lib/story.h"

#include "tests/lib/unit.h"

#define STORY_ARENA_MAX ((size_t)64 << 20)

static const char story_json[] =
    "{\"name\": \"story\", \"version\": 1, \"tables\": ["
    "{\"id\": 16, \"name\": \"customer\", \"delete\": \"revives\", \"bucket\": \"company\","
    " \"title\": \"name\", \"columns\": ["
    "  {\"id\": 1, \"name\": \"name\", \"type\": \"text\"},"
    "  {\"id\": 2, \"name\": \"phone\", \"type\": \"text\"},"
    "  {\"id\": 3, \"name\": \"price\", \"type\": \"integer\", \"merge\": \"upstream\"},"
    "  {\"id\": 4, \"name\": \"signer\", \"type\": \"text\", \"merge\": \"first\"},"
    "  {\"id\": 5, \"name\": \"category\", \"type\": \"text\", \"merge\": \"manual\"},"
    "  {\"id\": 6, \"name\": \"ceiling\", \"type\": \"integer\", \"merge\": \"max\"},"
    "  {\"id\": 7, \"name\": \"since\", \"type\": \"date\", \"merge\": \"min\"},"
    "  {\"id\": 8, \"name\": \"no_calls\", \"type\": \"boolean\", \"default\": false,"
    "   \"merge\": \"restrict\"},"
    "  {\"id\": 9, \"name\": \"consent\", \"type\": \"enum\", \"default\": \"unknown\","
    "   \"merge\": \"restrict\", \"symbols\": [{\"name\": \"granted\"}, {\"name\": \"unknown\"},"
    "   {\"name\": \"refused\"}]},"
    "  {\"id\": 10, \"name\": \"points\", \"type\": \"integer\", \"merge\": \"counter\","
    "   \"default\": 0},"
    "  {\"id\": 11, \"name\": \"tags\", \"type\": \"set\"},"
    "  {\"id\": 12, \"name\": \"note\", \"type\": \"text\", \"merge\": \"text\", \"max\": 200},"
    "  {\"id\": 13, \"name\": \"stage\", \"type\": \"enum\", \"default\": \"draft\","
    "   \"merge\": \"fsm\", \"symbols\": [{\"name\": \"draft\"}, {\"name\": \"sent\"},"
    "   {\"name\": \"paid\"}, {\"name\": \"lost\"}],"
    "   \"transitions\": [[\"draft\", \"sent\"], [\"sent\", \"paid\"], [\"sent\", \"lost\"],"
    "   [\"draft\", \"lost\"]],"
    "   \"ranks\": {\"draft\": 0, \"sent\": 1, \"paid\": 5, \"lost\": 5}},"
    "  {\"id\": 14, \"name\": \"source\", \"type\": \"text\", \"merge\": \"append\"},"
    "  {\"id\": 15, \"name\": \"city\", \"type\": \"text\", \"group\": \"address\"},"
    "  {\"id\": 16, \"name\": \"street\", \"type\": \"text\", \"group\": \"address\"},"
    "  {\"id\": 17, \"name\": \"weight\", \"type\": \"real\", \"merge\": \"counter\"}],"
    " \"groups\": [{\"id\": 201, \"name\": \"address\", \"merge\": \"lww\"}]},"
    "{\"id\": 17, \"name\": \"contact\", \"delete\": \"revives\", \"bucket\": \"inherit\","
    " \"parent\": \"customer\", \"columns\": ["
    "  {\"id\": 1, \"name\": \"customer\", \"type\": \"reference\", \"target\": \"customer\"},"
    "  {\"id\": 2, \"name\": \"name\", \"type\": \"text\"}]},"
    "{\"id\": 18, \"name\": \"line\", \"delete\": \"wins\", \"bucket\": \"inherit\","
    " \"parent\": \"customer\", \"columns\": ["
    "  {\"id\": 1, \"name\": \"customer\", \"type\": \"reference\", \"target\": \"customer\"},"
    "  {\"id\": 2, \"name\": \"name\", \"type\": \"text\"}]},"
    "{\"id\": 19, \"name\": \"memo\", \"delete\": \"manual\", \"bucket\": \"company\","
    " \"columns\": [{\"id\": 1, \"name\": \"name\", \"type\": \"text\"}]},"
    "{\"id\": 20, \"name\": \"entry\", \"delete\": \"never\", \"bucket\": \"company\","
    " \"columns\": [{\"id\": 1, \"name\": \"name\", \"type\": \"text\", \"merge\": \"append\"}]},"
    "{\"id\": 21, \"name\": \"phone\", \"delete\": \"revives\", \"bucket\": \"inherit\","
    " \"parent\": \"contact\", \"columns\": ["
    "  {\"id\": 1, \"name\": \"contact\", \"type\": \"reference\", \"target\": \"contact\"},"
    "  {\"id\": 2, \"name\": \"name\", \"type\": \"text\"}]},"
    "{\"id\": 22, \"name\": \"part\", \"delete\": \"revives\", \"bucket\": \"inherit\","
    " \"parent\": \"line\", \"columns\": ["
    "  {\"id\": 1, \"name\": \"line\", \"type\": \"reference\", \"target\": \"line\"},"
    "  {\"id\": 2, \"name\": \"name\", \"type\": \"text\"}]},"
    "{\"id\": 23, \"name\": \"piece\", \"delete\": \"wins\", \"bucket\": \"inherit\","
    " \"parent\": \"line\", \"columns\": ["
    "  {\"id\": 1, \"name\": \"line\", \"type\": \"reference\", \"target\": \"line\"},"
    "  {\"id\": 2, \"name\": \"name\", \"type\": \"text\"}]}"
    "]}";

static void *story_alloc(struct story *s, size_t count, size_t size)
{
    void *memory = arena_calloc(&s->arena, count, size);

    assert_non_null(memory);
    return memory;
}

void story_init(struct story *s, const char *model_json)
{
    struct err_info info = {.code = ERR_OK};

    memset(s, 0, sizeof(*s));
    arena_init(&s->arena, STORY_ARENA_MAX);
    if (model_parse(bytes_of_text(model_json != NULL ? model_json : story_json), &s->model,
                    &info) != ERR_OK)
        fail_msg("%s", info.message);
    s->mode = MERGE_DECIDE;
    s->stamp = UINT64_C(1000) << 16;
}

void story_done(struct story *s)
{
    arena_done(&s->arena);
    model_free(s->model);
}

struct uuid story_id(unsigned id)
{
    struct uuid uuid = {.byte = {0x01}};

    uuid.byte[14] = (uint8_t)(id >> 8);
    uuid.byte[15] = (uint8_t)id;
    return uuid;
}

static const struct model_table *table_of(struct story *s, const char *name)
{
    const struct model_table *table = model_table_by_name(s->model, bytes_of_text(name));

    if (table == NULL)
        fail_msg("there is no table %s", name);
    return table;
}

static const struct model_column *column_of(const struct model_table *table, const char *name)
{
    const struct model_column *column = model_column_by_name(table, bytes_of_text(name));

    if (column == NULL)
        fail_msg("%s has no column %s", table->name, name);
    return column;
}

const struct model_unit *story_unit(struct story *s, const char *table, const char *unit)
{
    const struct model_table *found = table_of(s, table);

    for (uint16_t i = 0; i < found->unit_count; i++) {
        if (strcmp(found->units[i].name, unit) == 0)
            return &found->units[i];
    }
    fail_msg("%s has no unit %s", table, unit);
    return NULL;
}

/* --- The world -------------------------------------------------------------------------------- */

static struct story_record *find(struct story *s, const struct model_table *table,
                                 const struct uuid *id)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->records[i].table == table && uuid_equal(&s->records[i].id, id))
            return &s->records[i];
    }
    return NULL;
}

static enum err world_get(void *context, const struct model_table *table, const struct uuid *id,
                          struct arena *arena, struct record *ret)
{
    struct story *s = context;
    const struct story_record *found = find(s, table, id);

    (void)arena;
    s->gets++;
    if (s->fail_get != ERR_OK && s->gets >= s->fail_get_from)
        return s->fail_get;
    *ret = found != NULL ? found->record : (struct record){.present = false};
    return ERR_OK;
}

static enum err world_children(void *context, const struct model_table *table,
                               const struct uuid *parent, struct arena *arena,
                               const struct uuid **ret_ids, uint32_t *ret_count)
{
    struct story *s = context;
    struct uuid *ids = arena_alloc(arena, STORY_RECORDS * sizeof(*ids));
    uint32_t count = 0;

    if (ids == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct value *value = &s->records[i].record.values[table->parent_column];

        if (s->records[i].table == table && value->kind == VALUE_BLOB &&
            memcmp(value->as.bytes.data, parent->byte, sizeof(parent->byte)) == 0)
            ids[count++] = s->records[i].id;
    }
    *ret_ids = ids;
    *ret_count = count;
    return ERR_OK;
}

struct story_record story_look(struct story *s, const char *table, unsigned id)
{
    struct uuid uuid = story_id(id);
    const struct story_record *found = find(s, table_of(s, table), &uuid);

    if (found == NULL)
        fail_msg("there is no %s %u to look at", table, id);
    return *found;
}

/* --- Writing ---------------------------------------------------------------------------------- */

void story_begin(struct story *s, unsigned who)
{
    assert_true(who > 0 && who < STORY_PEOPLE);
    s->who = who;
    s->mutation_count = 0;
}

static struct mutation *add_mutation(struct story *s, enum mutation_op op,
                                     const struct model_table *table, const struct uuid *id)
{
    struct mutation *mutation = &s->mutations[s->mutation_count++];

    assert_true(s->mutation_count <= STORY_MUTATIONS);
    *mutation = (struct mutation){.table = table, .op = op, .id = *id};
    return mutation;
}

struct mutation *story_last(struct story *s)
{
    return &s->mutations[s->mutation_count - 1];
}

static struct value parse_value(struct story *s, const struct model_column *column,
                                const char *text)
{
    struct err_info info = {.code = ERR_OK};
    struct value value = value_null();
    struct uuid id;
    unsigned number;

    if (text == NULL)
        return value;
    if (column->type == COLUMN_REFERENCE) {
        assert_int_equal(sscanf(text, "%u", &number), 1);
        id = story_id(number);
        assert_ok(value_copy(&s->arena,
                             &(struct value){.kind = VALUE_BLOB, .as.bytes = bytes_of(id.byte, 16)},
                             &value));
    } else if (model_value_from_text(column, bytes_of_text(text), &s->arena, &value, &info) !=
               ERR_OK) {
        fail_msg("%s: %s", column->name, info.message);
    }
    return value;
}

static struct dot_set copy_frontier(struct story *s, const struct record *record, uint16_t unit)
{
    struct dot *dots = story_alloc(s, FRONTIER_MAX, sizeof(*dots));

    return version_frontier(&record->version, unit, dots);
}

/* "+added -removed ..." */
static void parse_set(struct story *s, const struct story_record *seen, const char *text,
                      struct unit_write *write)
{
    const struct unit_state *state = version_unit(&seen->record.version, write->unit->index);
    struct bytes *adds = story_alloc(s, 64, sizeof(*adds));
    struct set_pair *removes = story_alloc(s, 64, sizeof(*removes));

    write->values = NULL;
    write->adds = adds;
    write->removes = removes;
    for (const char *at = text; *at != '\0';) {
        size_t size = strcspn(at + 1, " ");
        struct bytes element = bytes_of(at + 1, size);

        if (*at == '+')
            adds[write->add_count++] = element;
        for (uint32_t i = 0; *at == '-' && state != NULL && i < state->pair_count; i++) {
            if (bytes_equal(state->pairs[i].element, element))
                removes[write->remove_count++] = state->pairs[i];
        }
        if (*at == '-' && state == NULL)
            removes[write->remove_count++] =
                (struct set_pair){.element = element, .dot = seen->record.version.insert};
        at += 1 + size;
        at += *at == ' ';
    }
}

static struct value *values_of_row(struct story *s, const struct model_unit *unit,
                                   const struct record *record)
{
    struct value *values = story_alloc(s, unit->column_count, sizeof(*values));

    for (uint16_t i = 0; i < unit->column_count; i++)
        values[i] = record->values[unit->columns[i]];
    return values;
}

static void start_write(struct story *s, const struct mutation *mutation,
                        const struct story_record *seen, const struct model_unit *unit,
                        struct unit_write *write)
{
    *write = (struct unit_write){.unit = unit};
    if (seen == NULL) {
        struct value *values = story_alloc(s, unit->column_count, sizeof(*values));

        for (uint16_t i = 0; i < unit->column_count; i++)
            values[i] = mutation->table->columns[unit->columns[i]].fallback;
        write->values = values;
        return;
    }
    write->values = values_of_row(s, unit, &seen->record);
    write->seen = copy_frontier(s, &seen->record, unit->index);
    if (unit->carries_base && mutation->op == MUTATION_UPDATE)
        write->base = values_of_row(s, unit, &seen->record);
}

static int compare_writes(const void *a, const void *b)
{
    const struct unit_write *x = a, *y = b;

    return (x->unit->index > y->unit->index) - (x->unit->index < y->unit->index);
}

/* seen NULL: an insert. */
static void add_writes(struct story *s, struct mutation *mutation, const struct story_record *seen,
                       va_list pairs)
{
    struct unit_write *writes = story_alloc(s, STORY_WRITES, sizeof(*writes));
    uint16_t count = 0;

    for (;;) {
        const char *name = va_arg(pairs, const char *), *text;
        const struct model_column *column;
        const struct model_unit *unit;

        if (name == NULL)
            break;
        text = va_arg(pairs, const char *);
        column = column_of(mutation->table, name);
        unit = &mutation->table->units[column->unit_index];
        if (count == 0 || writes[count - 1].unit != unit)
            start_write(s, mutation, seen, unit, &writes[count++]);
        if (unit->policy == MERGE_SET && seen != NULL)
            parse_set(s, seen, text, &writes[count - 1]);
        else
            ((struct value *)writes[count - 1].values)[column->unit_place] =
                parse_value(s, column, text);
    }
    qsort(writes, count, sizeof(*writes), compare_writes);
    mutation->writes = writes;
    mutation->write_count = count;
}

void story_insert(struct story *s, const char *table, unsigned id, ...)
{
    struct uuid uuid = story_id(id);
    struct mutation *mutation = add_mutation(s, MUTATION_INSERT, table_of(s, table), &uuid);
    va_list pairs;

    va_start(pairs, id);
    add_writes(s, mutation, NULL, pairs);
    va_end(pairs);
}

void story_update(struct story *s, const struct story_record *seen, ...)
{
    struct mutation *mutation = add_mutation(s, MUTATION_UPDATE, seen->table, &seen->id);
    va_list pairs;

    mutation->insert = seen->record.version.insert;
    va_start(pairs, seen);
    add_writes(s, mutation, seen, pairs);
    va_end(pairs);
}

void story_restore(struct story *s, const struct story_record *seen, ...)
{
    struct mutation *mutation = add_mutation(s, MUTATION_RESTORE, seen->table, &seen->id);
    const struct version *version = &seen->record.version;
    struct dot *dots = story_alloc(s, version->delete_count + 1u, sizeof(*dots));
    va_list pairs;

    mutation->insert = version->insert;
    for (uint16_t i = 0; i < version->delete_count; i++)
        dots[i] = version->deletes[i].dot;
    mutation->deletes = (struct dot_set){.dots = dots, .count = version->delete_count};
    va_start(pairs, seen);
    add_writes(s, mutation, seen, pairs);
    va_end(pairs);
}

void story_delete(struct story *s, const struct story_record *seen)
{
    struct mutation *mutation = add_mutation(s, MUTATION_DELETE, seen->table, &seen->id);
    const struct version *version = &seen->record.version;
    struct unit_seen *frontier = story_alloc(s, version->unit_count + 1u, sizeof(*frontier));

    mutation->insert = version->insert;
    for (uint16_t i = 0; i < version->unit_count; i++) {
        frontier[i].unit = version->units[i].unit;
        frontier[i].seen = copy_frontier(s, &seen->record, version->units[i].unit);
    }
    mutation->frontier = frontier;
    mutation->frontier_count = version->unit_count;
}

/* --- Deciding --------------------------------------------------------------------------------- */

static void store(struct story *s, const struct applied_record *applied)
{
    struct story_record *found = find(s, applied->table, &applied->id);

    if (found == NULL) {
        assert_true(s->count < STORY_RECORDS);
        found = &s->records[s->count++];
        found->table = applied->table;
        found->id = applied->id;
    }
    found->record = applied->record;
}

static enum err apply_in(struct story *s, const struct group *group, struct arena *arena,
                         struct apply_report *ret)
{
    struct apply_world world = {.context = s, .get = world_get, .children = world_children};
    struct merge_context context = {
        .dot = group->dot, .stamp = group->stamp, .mode = s->mode, .arena = arena};

    return apply_group(s->model, &context, &world, group, ret);
}

/* Without memory for one allocation, or without one of the records: the error is told, and nothing else
 * is. Returns whether it went well with this limit, or up to this record. */
static bool fails_well(struct story *s, const struct group *group, size_t limit, enum err expected)
{
    struct apply_report report, untouched;
    struct arena arena;
    enum err error;

    memset(&report, 0x5a, sizeof(report));
    untouched = report;
    arena_init(&arena, limit);
    error = apply_in(s, group, &arena, &report);
    arena_done(&arena);
    if (error == ERR_OK)
        return true;
    assert_err(error, expected);
    assert_memory_equal(&report, &untouched, sizeof(report));
    return false;
}

/* Every group of every story is tried with each allocation failing, then with each record unreadable. */
static void try_failures(struct story *s, const struct group *group)
{
    uint32_t gets = s->gets;
    bool done = group->mutation_count > STORY_MUTATIONS || s->fail_get != ERR_OK;

    if (done)
        return;
    for (size_t limit = 0; !done; limit += 16) /* each allocation takes so much at least */
        done = fails_well(s, group, limit, ERR_NOMEM);
    s->fail_get = ERR_IO;
    done = false;
    for (uint32_t k = 1; !done; k++) {
        s->fail_get_from = s->gets + k;
        done = fails_well(s, group, STORY_ARENA_MAX, ERR_IO);
    }
    s->fail_get = ERR_OK;
    s->fail_get_from = 0;
    s->gets = gets;
}

static enum err apply(struct story *s, const struct group *group, struct apply_report *ret)
{
    try_failures(s, group);
    return apply_in(s, group, &s->arena, ret);
}

enum err story_apply(struct story *s, const struct mutation *mutations, uint32_t count,
                     struct apply_report *ret)
{
    s->dot = (struct dot){.origin = s->who, .oseq = ++s->oseq[s->who], .tag = 7};
    s->group = (struct group){
        .dot = s->dot, .stamp = s->stamp, .mutations = mutations, .mutation_count = count};
    s->stamp += UINT64_C(1000) << 16;
    return apply(s, &s->group, ret);
}

enum reason story_replay(struct story *s, const struct group *group)
{
    assert_ok(apply(s, group, &s->report));
    for (uint32_t i = 0; i < s->report.count; i++)
        store(s, &s->report.records[i]);
    return s->report.reason;
}

enum reason story_commit(struct story *s)
{
    struct mutation *mutations = story_alloc(s, s->mutation_count, sizeof(*mutations));

    memcpy(mutations, s->mutations, s->mutation_count * sizeof(*mutations));
    assert_ok(story_apply(s, mutations, s->mutation_count, &s->report));
    for (uint32_t i = 0; i < s->report.count; i++)
        store(s, &s->report.records[i]);
    return s->report.reason;
}

struct group story_group(const struct story *s)
{
    return s->group;
}

void story_must_commit(struct story *s)
{
    enum reason reason = story_commit(s);

    if (reason != REASON_NONE)
        fail_msg("refused: %s", reason_text(reason));
}

/* --- Looking ---------------------------------------------------------------------------------- */

struct record *story_record_of(struct story *s, const char *table, unsigned id)
{
    struct uuid uuid = story_id(id);
    struct story_record *found = find(s, table_of(s, table), &uuid);

    if (found == NULL)
        fail_msg("there is no %s %u", table, id);
    return &found->record;
}

const char *story_shown(struct story *s, const char *table, unsigned id, const char *column)
{
    const struct model_column *found = column_of(table_of(s, table), column);
    const struct value *value = &story_record_of(s, table, id)->values[found->index];
    struct buf text;
    char *copy;

    if (value->kind == VALUE_NULL)
        return "NULL";
    buf_init(&text, 100000);
    assert_ok(model_value_to_text(found, value, &text));
    copy = arena_text(&s->arena, buf_view(&text));
    buf_done(&text);
    assert_non_null(copy);
    return copy;
}

bool story_dead(struct story *s, const char *table, unsigned id)
{
    return story_record_of(s, table, id)->dead;
}

unsigned story_candidates(struct story *s, const char *table, unsigned id, const char *unit)
{
    struct dot dots[FRONTIER_MAX];

    return version_frontier(&story_record_of(s, table, id)->version,
                            story_unit(s, table, unit)->index, dots)
        .count;
}

const struct applied_record *story_applied(struct story *s, const char *table, unsigned id)
{
    struct uuid uuid = story_id(id);

    for (uint32_t i = 0; i < s->report.count; i++) {
        if (s->report.records[i].table == table_of(s, table) &&
            uuid_equal(&s->report.records[i].id, &uuid))
            return &s->report.records[i];
    }
    return NULL;
}
