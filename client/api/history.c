/* What a replica knows of a record's past: the insert, the writes that are still part of its
 * values, deletes, conflicts, own transactions under way and set aside. */
#include "client/api/api_internal.h"

#include "common/text.h"
#include "protocol/hlc.h"
#include "protocol/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_MAX = 10000 };

struct history {
    struct satchel *h;
    const struct model_table *table;
    struct uuid id;
    struct arena *arena;
    struct satchel_event *events;
    size_t count, capacity;
    enum err error;
};

/* A place for one more; NULL: no memory, or enough of them. */
static struct satchel_event *add(struct history *y, enum satchel_event_kind kind)
{
    if (y->count == EVENTS_MAX)
        return NULL;
    if (y->count == y->capacity) {
        size_t capacity = y->capacity > 0 ? y->capacity * 2 : 32;
        struct satchel_event *grown = arena_calloc(y->arena, capacity, sizeof *grown);
        if (grown == NULL) {
            y->error = ERR_NOMEM;
            return NULL;
        }
        if (y->count > 0)
            memcpy(grown, y->events, y->count * sizeof *grown);
        y->events = grown;
        y->capacity = capacity;
    }
    struct satchel_event *event = &y->events[y->count++];
    *event = (struct satchel_event){.kind = kind, .unit = "", .text = ""};
    event->author.device = event->author.login = event->author.user = "";
    return event;
}

static enum err unit_text(struct history *y, const struct model_unit *unit,
                          const struct value *values, const char **ret)
{
    struct buf out;
    enum err e = ERR_OK;
    buf_init(&out, API_TEXT_MAX);
    for (uint16_t k = 0; e == ERR_OK && k < unit->column_count; k++) {
        const struct model_column *column = &y->table->columns[unit->columns[k]];
        const char *text;
        e = api_text(y->h, column, &values[k], y->arena, &text);
        if (e == ERR_OK && unit->column_count > 1)
            e = text_append_format(&out, "%s%s: ", k > 0 ? ", " : "", column->name);
        if (e == ERR_OK)
            e = text_append(&out, text);
    }
    if (e == ERR_OK) {
        *ret = arena_text(y->arena, buf_view(&out));
        e = *ret != NULL ? ERR_OK : ERR_NOMEM;
    }
    buf_done(&out);
    return e;
}

static enum err add_candidate(struct history *y, const struct record *record,
                              const struct model_unit *unit, const struct candidate *candidate)
{
    struct value shown[MODEL_COLUMNS_MAX];
    struct satchel_event *event = add(y, SATCHEL_EVENT_WRITTEN);
    if (event == NULL)
        return y->error;
    for (uint16_t k = 0; k < unit->column_count; k++)
        shown[k] =
            candidate->values != NULL ? candidate->values[k] : record->values[unit->columns[k]];
    event->at_ms = hlc_ms(candidate->stamp);
    event->revision = record->version.revision;
    event->unit = unit->name;
    enum err e = api_author(y->h, &candidate->dot, candidate->stamp, &event->author);
    return e == ERR_OK ? unit_text(y, unit, shown, &event->text) : e;
}

static enum err add_version(struct history *y, const struct record *record)
{
    const struct version *version = &record->version;
    struct satchel_event *event = add(y, SATCHEL_EVENT_CREATED);
    if (event == NULL)
        return y->error;
    event->at_ms = hlc_ms(version->insert_stamp);
    event->revision = version->revision;
    enum err e = api_author(y->h, &version->insert, version->insert_stamp, &event->author);
    if (e == ERR_OK)
        e = api_title(y->h, y->table, &y->id, record->values, y->arena, &event->text);
    for (uint16_t u = 0; e == ERR_OK && u < version->unit_count; u++)
        for (uint16_t c = 0; e == ERR_OK && c < version->units[u].count; c++)
            e = add_candidate(y, record, &y->table->units[version->units[u].unit],
                              &version->units[u].candidates[c]);
    for (uint16_t d = 0; e == ERR_OK && d < version->delete_count; d++) {
        event = add(y, SATCHEL_EVENT_DELETED);
        if (event == NULL)
            return y->error;
        event->at_ms = hlc_ms(version->deletes[d].stamp);
        e = api_author(y->h, &version->deletes[d].dot, version->deletes[d].stamp, &event->author);
    }
    return e;
}

static const char *verb(enum mutation_op op)
{
    switch (op) {
    case MUTATION_INSERT: return "insert";
    case MUTATION_UPDATE: return "update";
    case MUTATION_DELETE: return "delete";
    case MUTATION_RESTORE: return "restore";
    }
    return "";
}

/* "update city, phone" */
static enum err mutation_text(struct history *y, const struct mutation *mutation, const char **ret)
{
    struct buf out;
    buf_init(&out, API_TEXT_MAX);
    (void)text_append(&out, verb(mutation->op));
    for (uint16_t i = 0; i < mutation->write_count; i++)
        (void)text_append_format(&out, "%s%s", i > 0 ? ", " : " ", mutation->writes[i].unit->name);
    *ret = arena_text(y->arena, buf_view(&out));
    buf_done(&out);
    return *ret != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err add_pending(struct history *y, const struct store_row *row)
{
    const struct dot *dots;
    uint16_t count;
    enum err e = replica_touching(y->h->replica, y->table, &y->id, row, y->arena, &dots, &count);
    for (uint16_t i = 0; e == ERR_OK && i < count; i++) {
        const struct mutation *mutation;
        uint64_t stamp;
        e = replica_own_mutation(y->h->replica, &dots[i], y->table, &y->id, &mutation, &stamp);
        if (e == ERR_NOT_FOUND) {
            e = ERR_OK;
            continue;
        }
        struct satchel_event *event = e == ERR_OK ? add(y, SATCHEL_EVENT_PENDING) : NULL;
        if (event == NULL)
            return e == ERR_OK ? y->error : e;
        event->at_ms = hlc_ms(stamp);
        e = mutation_text(y, mutation, &event->text);
        if (e == ERR_OK)
            e = api_author(y->h, &dots[i], stamp, &event->author);
    }
    return e;
}

static int add_conflict(void *context, const struct satchel_conflict *conflict)
{
    struct history *y = context;
    struct buf out;
    struct satchel_event *event = add(y, SATCHEL_EVENT_CONFLICT);
    if (event == NULL)
        return 1;
    buf_init(&out, API_TEXT_MAX);
    for (size_t i = 0; i < conflict->candidate_count; i++) {
        const struct satchel_candidate *candidate = &conflict->candidates[i];
        (void)text_append_format(&out, "%s%s: ", i > 0 ? "; " : "",
                                 candidate->author.login[0] != '\0' ? candidate->author.login
                                                                    : "someone");
        (void)text_append(&out, candidate->deletes ? "(deleted)" : candidate->text);
    }
    event->at_ms = conflict->at_ms;
    event->conflict = conflict->id;
    event->unit = arena_text(y->arena, bytes_of_text(conflict->unit));
    event->text = arena_text(y->arena, buf_view(&out));
    if (event->unit == NULL || event->text == NULL)
        y->error = ERR_NOMEM;
    buf_done(&out);
    return y->error != ERR_OK;
}

static enum err add_parked(void *context, const struct parked_group *parked)
{
    struct history *y = context;
    for (uint32_t i = 0; i < parked->group.mutation_count; i++) {
        const struct mutation *mutation = &parked->group.mutations[i];
        if (mutation->table != y->table || !uuid_equal(&mutation->id, &y->id))
            continue;
        struct satchel_event *event = add(y, SATCHEL_EVENT_PARKED);
        if (event == NULL)
            return y->error;
        event->at_ms = parked->at_ms;
        event->text = reason_text(parked->reason);
        event->author.oseq = parked->dot.oseq;
        event->author.origin = parked->dot.origin;
        event->author.own = true;
    }
    return ERR_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct satchel_event *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    if (x->author.oseq != y->author.oseq && x->author.origin == y->author.origin)
        return x->author.oseq < y->author.oseq ? -1 : 1;
    return (x->kind > y->kind) - (x->kind < y->kind);
}

static enum err collect(struct history *y)
{
    struct store_row row;
    struct record record = {.present = true};
    enum err e = store_row_get(y->h->store, y->table, &y->id, y->arena, &row);
    if (e == ERR_NOT_FOUND)
        return err_set(&y->h->error, e, "there is no such %s here", y->table->name);
    if (e == ERR_OK)
        e = version_decode(y->table, row.version, y->arena, &record.version) == ERR_OK
                ? ERR_OK
                : ERR_CORRUPT;
    record.values = row.values;
    if (e == ERR_OK)
        e = add_version(y, &record);
    if (e == ERR_OK)
        e = add_pending(y, &row);
    if (e != ERR_OK)
        return e;
    const struct satchel_id id = api_id(&y->id);
    const struct satchel_conflict_query query = {
        .with_settled = true, .table = y->table->name, .record = &id};
    e = api_conflicts(y->h, &query, add_conflict, y);
    return e == ERR_OK ? y->error : e;
}

static enum err run(struct history *y, satchel_event_fn *fn, void *context)
{
    struct satchel *h = y->h;
    /* Before the read transaction: the replica opens one of its own. */
    enum err e = h->reading > 0 ? ERR_OK : replica_parked(h->replica, add_parked, y);
    if (e == ERR_OK)
        e = api_read_begin(h);
    if (e != ERR_OK)
        return e;
    e = collect(y);
    if (e == ERR_OK) {
        qsort(y->events, y->count, sizeof *y->events, by_time);
        for (size_t i = 0; i < y->count; i++)
            if (fn(context, &y->events[i]) != 0)
                break;
    }
    api_read_end(h);
    return e;
}

enum satchel_code satchel_history(struct satchel *handle, const char *table,
                                  const struct satchel_id *id, satchel_event_fn *fn, void *context)
{
    struct arena arena;
    enum err e = api_start(handle);
    const struct model_table *found = e == ERR_OK ? api_table_by_name(handle, table, &e) : NULL;
    if (found == NULL)
        return api_end(handle, e);
    arena_init(&arena, API_ARENA_MAX);
    struct history y = {.h = handle, .table = found, .id = *api_uuid(id), .arena = &arena};
    e = run(&y, fn, context);
    arena_done(&arena);
    return api_end(handle, e);
}
