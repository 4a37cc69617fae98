#include "server/core/people.h"

#include "server/core/hub_internal.h"
#include "server/core/relay.h"

#include <stdlib.h>
#include <string.h>

enum { PEOPLE_MAX = 256 << 20 }; /* bytes: a million of them */

static bool is_true(const struct value *value)
{
    return value->kind != VALUE_INT || value->as.integer != 0;
}

static const struct value *cell(const struct model_table *table, const struct store_row *row,
                                uint32_t column_id)
{
    return &row->values[model_column_by_id(table, column_id)->index];
}

static struct uuid id_in(const struct value *value)
{
    struct uuid id = {{0}};
    (void)value_id(value, &id);
    return id;
}

/* ---- reading ---- */

typedef enum err take_fn(struct people *people, const struct model_table *table,
                         const struct uuid *id, const struct store_row *row);

static enum err take_branch(struct people *p, const struct model_table *table,
                            const struct uuid *id, const struct store_row *row)
{
    struct place *list =
        arena_extend(&p->arena, p->branches, p->branch_count, &p->branch_room, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    p->branches = list;
    list[p->branch_count++] =
        (struct place){.id = *id, .parent = id_in(cell(table, row, SYSTEM_BRANCH_PARENT))};
    return ERR_OK;
}

static enum err take_person(struct people *p, const struct model_table *table,
                            const struct uuid *id, const struct store_row *row)
{
    struct person *list =
        arena_extend(&p->arena, p->persons, p->person_count, &p->person_room, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    p->persons = list;
    struct person *person = &list[p->person_count++];
    const struct value *role = cell(table, row, SYSTEM_USER_ROLE);
    const struct value *until = cell(table, row, SYSTEM_USER_SUBSTITUTE_UNTIL);
    *person = (struct person){.id = *id,
                              .branch = id_in(cell(table, row, SYSTEM_USER_BRANCH)),
                              .substitute = id_in(cell(table, row, SYSTEM_USER_SUBSTITUTE)),
                              .role = ROLE_REP,
                              .active = is_true(cell(table, row, SYSTEM_USER_ACTIVE))};
    person->serves =
        role->kind == VALUE_TEXT && bytes_equal(role->as.bytes, bytes_of_text("branch"));
    if (role->kind == VALUE_TEXT && !person->serves)
        (void)role_parse(role->as.bytes, &person->role);
    if (until->kind == VALUE_INT && !uuid_is_nil(&person->substitute))
        person->until_ms = until->as.integer;
    return ERR_OK;
}

static enum err take_team(struct people *p, const struct model_table *table, const struct uuid *id,
                          const struct store_row *row)
{
    struct team *list =
        arena_extend(&p->arena, p->teams, p->team_count, &p->team_room, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    p->teams = list;
    list[p->team_count++] = (struct team){.id = *id,
                                          .branch = id_in(cell(table, row, SYSTEM_TEAM_BRANCH)),
                                          .active = is_true(cell(table, row, SYSTEM_TEAM_ACTIVE))};
    return ERR_OK;
}

static enum err take_member(struct people *p, const struct model_table *table,
                            const struct uuid *id, const struct store_row *row)
{
    (void)id;
    if (!is_true(cell(table, row, SYSTEM_TEAM_MEMBER_ACTIVE)))
        return ERR_OK;
    struct membership *list =
        arena_extend(&p->arena, p->members, p->member_count, &p->member_room, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    p->members = list;
    list[p->member_count++] =
        (struct membership){.person = id_in(cell(table, row, SYSTEM_TEAM_MEMBER_USER)),
                            .team = id_in(cell(table, row, SYSTEM_TEAM_MEMBER_TEAM))};
    return ERR_OK;
}

/* All records of a table, dead ones not, as headquarters has decided them. */
static enum err take_all(struct hub *hub, uint32_t table_id, take_fn *take)
{
    enum { IDS_MAX = 64 << 20 };
    const struct model_table *table = model_table_by_id(hub->model, table_id);
    struct arena arena, row_arena;
    struct store_ids ids = {.arena = &arena};
    arena_init(&arena, IDS_MAX);
    arena_init(&row_arena, IDS_MAX);
    enum err e = store_row_scan(hub->store, table, NULL, store_ids_add, &ids);
    if (e == ERR_OK && hub->relay) /* deleted there, but not at headquarters yet */
        e = store_dead_scan(hub->store, table, NULL, store_ids_add, &ids);
    for (uint32_t i = 0; e == ERR_OK && i < ids.count; i++) {
        struct store_row row;
        arena_reset(&row_arena);
        e = hub->relay ? relay_confirmed(hub->store, table, &ids.ids[i], &row_arena, &row)
                       : store_row_get(hub->store, table, &ids.ids[i], &row_arena, &row);
        if (e == ERR_OK && !row.dead)
            e = take(&hub->people, table, &ids.ids[i], &row);
        else if (e == ERR_NOT_FOUND && hub->relay)
            e = ERR_OK;
    }
    arena_done(&arena);
    arena_done(&row_arena);
    return e;
}

/* ---- order ---- */

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid)); /* each begins with its id */
}

static int by_membership(const void *a, const void *b)
{
    return memcmp(a, b, 2 * sizeof(struct uuid));
}

static int by_substitute(const void *a, const void *b)
{
    const struct person *x = *(const struct person *const *)a;
    const struct person *y = *(const struct person *const *)b;
    int order = memcmp(&x->substitute, &y->substitute, sizeof x->substitute);
    return order ? order : memcmp(&x->id, &y->id, sizeof x->id);
}

static void sort(void *items, uint32_t count, size_t size,
                 int (*compare)(const void *, const void *))
{
    if (count)
        qsort(items, count, size, compare);
}

static enum err put_in_order(struct people *p)
{
    sort(p->persons, p->person_count, sizeof *p->persons, by_id);
    sort(p->teams, p->team_count, sizeof *p->teams, by_id);
    sort(p->branches, p->branch_count, sizeof *p->branches, by_id);
    p->replaced = arena_calloc(&p->arena, p->person_count + 1u, sizeof *p->replaced);
    if (!p->replaced)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < p->person_count; i++)
        if (p->persons[i].until_ms)
            p->replaced[p->replaced_count++] = &p->persons[i];
    sort(p->replaced, p->replaced_count, sizeof *p->replaced, by_substitute);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->member_count; i++) {
        const struct team *team = p->team_count ? bsearch(&p->members[i].team, p->teams,
                                                          p->team_count, sizeof *p->teams, by_id)
                                                : NULL;
        if (team && team->active)
            p->members[kept++] = p->members[i];
    }
    p->member_count = kept;
    sort(p->members, p->member_count, sizeof *p->members, by_membership);
    return ERR_OK;
}

enum err people_load(struct hub *hub)
{
    static const struct {
        uint32_t table;
        take_fn *take;
    } parts[] = {{TABLE_BRANCH, take_branch},
                 {TABLE_USER, take_person},
                 {TABLE_TEAM, take_team},
                 {TABLE_TEAM_MEMBER, take_member}};
    if (hub->people.known)
        return ERR_OK;
    people_forget(hub);
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < sizeof parts / sizeof *parts; i++)
        e = take_all(hub, parts[i].table, parts[i].take);
    if (e == ERR_OK)
        e = put_in_order(&hub->people);
    if (e != ERR_OK) {
        people_forget(hub);
        return e;
    }
    hub->people.known = true;
    hub->ends_ms = 0;
    for (uint32_t i = 0; i < hub->people.replaced_count; i++) {
        int64_t until_ms = hub->people.replaced[i]->until_ms;
        bool due = !hub->relay || until_ms > hub->now.wall.ms; /* a branch writes no end */
        if (due && (hub->ends_ms == 0 || until_ms < hub->ends_ms))
            hub->ends_ms = until_ms;
    }
    scope_deadline(hub);
    return ERR_OK;
}

void people_forget(struct hub *hub)
{
    arena_done(&hub->people.arena);
    hub->people = (struct people){0};
    arena_init(&hub->people.arena, PEOPLE_MAX);
}

/* ---- asking ---- */

const struct person *person_find(const struct hub *hub, const struct uuid *id)
{
    const struct people *p = &hub->people;
    return p->person_count ? bsearch(id, p->persons, p->person_count, sizeof *p->persons, by_id)
                           : NULL;
}

const struct team *team_find(const struct hub *hub, const struct uuid *id)
{
    const struct people *p = &hub->people;
    return p->team_count ? bsearch(id, p->teams, p->team_count, sizeof *p->teams, by_id) : NULL;
}

const struct membership *person_teams(const struct hub *hub, const struct uuid *id,
                                      uint32_t *ret_count)
{
    const struct people *p = &hub->people;
    uint32_t from = 0, to = p->member_count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (memcmp(&p->members[middle].person, id, sizeof *id) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    for (to = from; to < p->member_count && uuid_equal(&p->members[to].person, id); to++)
        continue;
    *ret_count = to - from;
    return p->members + from;
}

bool is_member(const struct hub *hub, const struct uuid *person, const struct uuid *team)
{
    const struct people *p = &hub->people;
    const struct membership wanted = {*person, *team};
    return p->member_count &&
           bsearch(&wanted, p->members, p->member_count, sizeof *p->members, by_membership);
}

const struct person *const *person_replaces(const struct hub *hub, const struct uuid *id,
                                            uint32_t *ret_count)
{
    const struct people *p = &hub->people;
    uint32_t from = 0, to = p->replaced_count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (memcmp(&p->replaced[middle]->substitute, id, sizeof *id) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    for (to = from; to < p->replaced_count && uuid_equal(&p->replaced[to]->substitute, id); to++)
        continue;
    *ret_count = to - from;
    return p->replaced + from;
}

bool is_replaced(const struct hub *hub, const struct person *person)
{
    return person->until_ms > hub->now.wall.ms;
}

bool stands_in(const struct hub *hub, const struct uuid *by, const struct uuid *id)
{
    const struct person *person = person_find(hub, id);
    return person && is_replaced(hub, person) && uuid_equal(&person->substitute, by);
}
