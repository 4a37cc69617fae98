/* admin_teams.c - teams, who is of them, and who stands in for whom. */
#include "server/core/admin_internal.h"

#include <inttypes.h>
#include <string.h>

/* ---- rows ---- */

static enum err reference(struct hub *hub, const struct uuid *id, struct value *ret)
{
    struct bytes copy;
    enum err e = arena_copy(&hub->turn, bytes_of(id->byte, 16), &copy);
    if (e == ERR_OK)
        *ret = value_blob(copy);
    return e;
}

struct member_search {
    struct hub *hub;
    const struct uuid *team, *user;
    struct uuid *found; /* all rows of the two */
    uint32_t count, capacity;
};

static int member_matches(void *context, const struct uuid *id)
{
    struct member_search *search = context;
    struct record record;
    struct uuid team, user;
    enum err e = system_get(search->hub, TABLE_TEAM_MEMBER, id, &record);
    if (e != ERR_OK)
        return (int)e;
    struct value of = system_value(search->hub, TABLE_TEAM_MEMBER, &record, "team");
    struct value who = system_value(search->hub, TABLE_TEAM_MEMBER, &record, "user");
    if (!value_id(&of, &team) || !value_id(&who, &user) || !uuid_equal(&team, search->team) ||
        !uuid_equal(&user, search->user))
        return 0;
    struct uuid *list = arena_extend(&search->hub->turn, search->found, search->count,
                                     &search->capacity, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    search->found = list;
    list[search->count++] = *id;
    return 0;
}

/* The team and the user that the request names, and the rows that make one the other's. */
struct membership_request {
    struct row_search team, user;
    struct member_search rows;
    bool member; /* now */
};

static enum err find_membership(struct admin *admin, struct membership_request *ret)
{
    struct hub *hub = admin->hub;
    enum err e = find_named(admin, TABLE_TEAM, "name", text_of(admin, "team"), &ret->team);
    if (e == ERR_OK)
        e = find_named(admin, TABLE_USER, "login", text_of(admin, "login"), &ret->user);
    if (e != ERR_OK)
        return e;
    ret->rows = (struct member_search){.hub = hub, .team = &ret->team.id, .user = &ret->user.id};
    e = store_row_scan(hub->store, model_table_by_id(hub->model, TABLE_TEAM_MEMBER), NULL,
                       member_matches, &ret->rows);
    if (e == ERR_OK)
        e = people_load(hub);
    ret->member = e == ERR_OK && is_member(hub, &ret->user.id, &ret->team.id);
    return e;
}

static enum err set_active(struct hub *hub, uint32_t table, const struct uuid *id, bool active)
{
    const uint16_t column =
        model_column_by_name(model_table_by_id(hub->model, table), bytes_of_text("active"))->id;
    const struct value value = value_int(active);
    return system_put(hub, table, id, &column, &value, 1, 0);
}

/* ---- what is a team's ---- */

struct holding {
    struct hub *hub;
    uint32_t bucket;
    const struct uuid *owner; /* NULL: anybody */
    uint64_t count;
};

static int count_record(void *context, uint64_t position, const struct model_table *table,
                        const struct uuid *id)
{
    struct holding *h = context;
    struct store_row row;
    struct uuid owner;
    if (table->bucket_rule != BUCKET_ROUTED)
        return 0;
    enum err e = store_row_get(h->hub->store, table, id, &h->hub->turn, &row);
    if (e != ERR_OK)
        return (int)e;
    if (row.dead || row.bucket != h->bucket || row.position != position)
        return 0; /* deleted, or gone from here */
    h->count += !h->owner || (value_id(&row.values[table->owner_column], &owner) &&
                              uuid_equal(&owner, h->owner));
    return 0;
}

/* How many customers, deals and the like only this team sees; of one owner or of all. */
static enum err count_held(struct hub *hub, const struct uuid *team, const struct uuid *owner,
                           uint64_t *ret)
{
    uint8_t key[ROUTE_KEY_SIZE];
    route_key(BUCKET_KIND_TEAM, team, key);
    const union hash_value *number = hash_map_get(&hub->bucket_keys, bytes_of(key, sizeof key));
    *ret = 0;
    if (!number)
        return ERR_OK;
    struct holding h = {.hub = hub, .bucket = (uint32_t)number->number, .owner = owner};
    enum err e = store_log_scan(hub->store, h.bucket, 0, count_record, &h);
    *ret = h.count;
    return e;
}

/* ---- commands ---- */

enum err do_team_add(struct admin *admin)
{
    struct hub *hub = admin->hub;
    const char *name = text_of(admin, "name"), *branch = text_of(admin, "branch");
    struct row_search search;
    struct bucket *bucket;
    struct uuid id;
    if (!name || !*name)
        return fail(admin, ERR_INVALID, "a team needs a name");
    enum err e = find_named(admin, TABLE_TEAM, "name", name, &search);
    if (e == ERR_OK)
        return fail(admin, ERR_EXISTS, "there is a team of that name already");
    if (e != ERR_NOT_FOUND)
        return e;
    admin->problem[0] = 0;
    const uint16_t columns[] = {SYSTEM_TEAM_NAME, SYSTEM_TEAM_BRANCH};
    struct value values[] = {value_text(bytes_of_text(name)), value_null()};
    e = branch ? find_named(admin, TABLE_BRANCH, "name", branch, &search) : ERR_OK;
    if (e == ERR_OK && branch)
        e = reference(hub, &search.id, &values[1]);
    if (e == ERR_OK)
        e = system_id(hub, &id);
    if (e == ERR_OK)
        e = system_put(hub, TABLE_TEAM, &id, columns, values, branch ? 2 : 1, 0);
    if (e == ERR_OK)
        e = bucket_get(hub, BUCKET_KIND_TEAM, &id, &bucket);
    if (e != ERR_OK)
        return e;
    json_object_set_new(admin->answer, "id", json_id(&id));
    return audit_append(hub, "{\"what\":\"team added\"}");
}

static enum err tell_members(struct hub *hub, const struct uuid *team, json_t *members)
{
    const struct people *p = &hub->people;
    for (uint32_t i = 0; i < p->member_count; i++) {
        struct record record;
        if (!uuid_equal(&p->members[i].team, team))
            continue;
        if (i > 0 && memcmp(&p->members[i], &p->members[i - 1], sizeof *p->members) == 0)
            continue; /* told */
        enum err e = system_get(hub, TABLE_USER, &p->members[i].person, &record);
        if (e == ERR_NOT_FOUND)
            continue;
        if (e != ERR_OK)
            return e;
        struct value login = system_value(hub, TABLE_USER, &record, "login");
        json_array_append_new(members, json_bytes(cell_text(&login)));
    }
    return ERR_OK;
}

static enum err tell_team(struct hub *hub, const struct team *team, json_t *entry)
{
    struct record record;
    uint64_t held;
    enum err e = system_get(hub, TABLE_TEAM, &team->id, &record);
    if (e != ERR_OK)
        return e;
    struct value name = system_value(hub, TABLE_TEAM, &record, "name");
    json_object_set_new(entry, "id", json_id(&team->id));
    json_object_set_new(entry, "name", json_bytes(cell_text(&name)));
    if (!uuid_is_nil(&team->branch)) {
        e = system_get(hub, TABLE_BRANCH, &team->branch, &record);
        if (e == ERR_OK) {
            name = system_value(hub, TABLE_BRANCH, &record, "name");
            json_object_set_new(entry, "branch", json_bytes(cell_text(&name)));
        } else if (e != ERR_NOT_FOUND) {
            return e;
        }
    }
    json_object_set_new(entry, "members", json_array());
    e = tell_members(hub, &team->id, json_object_get(entry, "members"));
    if (e == ERR_OK)
        e = count_held(hub, &team->id, NULL, &held);
    if (e == ERR_OK)
        json_object_set_new(entry, "records", json_integer((json_int_t)held));
    return e;
}

enum err do_team_list(struct admin *admin)
{
    struct hub *hub = admin->hub;
    json_t *list = json_array();
    json_object_set_new(admin->answer, "teams", list);
    enum err e = people_load(hub);
    for (uint32_t i = 0; e == ERR_OK && i < hub->people.team_count; i++) {
        const struct team *team = &hub->people.teams[i];
        if (!team->active)
            continue;
        json_t *entry = json_object();
        json_array_append_new(list, entry);
        e = tell_team(hub, team, entry);
    }
    return e;
}

enum err do_team_join(struct admin *admin)
{
    struct hub *hub = admin->hub;
    struct membership_request r = {0};
    enum err e = find_membership(admin, &r);
    if (e != ERR_OK)
        return e;
    if (r.member) {
        snprintf(admin->problem, sizeof admin->problem, "%s is of that team already",
                 text_of(admin, "login"));
        return ERR_EXISTS;
    }
    if (r.rows.count > 0) {
        e = set_active(hub, TABLE_TEAM_MEMBER, &r.rows.found[0], true);
    } else {
        const uint16_t columns[] = {SYSTEM_TEAM_MEMBER_TEAM, SYSTEM_TEAM_MEMBER_USER};
        struct value values[2];
        struct uuid id;
        e = reference(hub, &r.team.id, &values[0]);
        if (e == ERR_OK)
            e = reference(hub, &r.user.id, &values[1]);
        if (e == ERR_OK)
            e = system_id(hub, &id);
        if (e == ERR_OK)
            e = system_put(hub, TABLE_TEAM_MEMBER, &id, columns, values, 2, 0);
    }
    return e == ERR_OK ? audit_append(hub, "{\"what\":\"team joined\"}") : e;
}

enum err do_team_leave(struct admin *admin)
{
    struct hub *hub = admin->hub;
    struct membership_request r = {0};
    uint64_t owned = 0;
    enum err e = find_membership(admin, &r);
    if (e != ERR_OK)
        return e;
    if (!r.member) {
        snprintf(admin->problem, sizeof admin->problem, "%s is not of that team",
                 text_of(admin, "login"));
        return ERR_NOT_FOUND;
    }
    e = count_held(hub, &r.team.id, &r.user.id, &owned);
    for (uint32_t i = 0; e == ERR_OK && i < r.rows.count; i++)
        e = set_active(hub, TABLE_TEAM_MEMBER, &r.rows.found[i], false);
    json_object_set_new(admin->answer, "owns", json_integer((json_int_t)owned));
    return e == ERR_OK ? audit_append(hub, "{\"what\":\"team left\"}") : e;
}

enum err do_team_remove(struct admin *admin)
{
    struct hub *hub = admin->hub;
    struct row_search search;
    uint64_t held = 0;
    enum err e = find_named(admin, TABLE_TEAM, "name", text_of(admin, "team"), &search);
    if (e == ERR_OK)
        e = count_held(hub, &search.id, NULL, &held);
    if (e != ERR_OK)
        return e;
    if (held > 0) {
        snprintf(admin->problem, sizeof admin->problem,
                 "%" PRIu64 " records are this team's alone; let others see them first "
                 "('satchel set TABLE RECORD visibility=...')",
                 held);
        return ERR_FORBIDDEN;
    }
    e = set_active(hub, TABLE_TEAM, &search.id, false);
    return e == ERR_OK ? audit_append(hub, "{\"what\":\"team removed\"}") : e;
}

/* ---- substitutes ---- */

enum err do_user_substitute(struct admin *admin)
{
    struct hub *hub = admin->hub;
    const char *by = text_of(admin, "by");
    const json_t *until = json_object_get(admin->request, "until_ms");
    const uint16_t columns[] = {SYSTEM_USER_SUBSTITUTE, SYSTEM_USER_SUBSTITUTE_UNTIL};
    struct value values[] = {value_null(), value_null()};
    struct row_search user, other;
    struct err_info info = {0};
    enum err e = find_named(admin, TABLE_USER, "login", text_of(admin, "login"), &user);
    if (e == ERR_OK)
        e = people_load(hub);
    if (e != ERR_OK)
        return e;
    const struct person *person = person_find(hub, &user.id);
    if (!by) {
        if (!person || !is_replaced(hub, person))
            return fail(admin, ERR_NOT_FOUND, "nobody stands in for this user");
        e = system_put(hub, TABLE_USER, &user.id, columns, values, 2, 0);
        return e == ERR_OK ? audit_append(hub, "{\"what\":\"substitution ended\"}") : e;
    }
    e = find_named(admin, TABLE_USER, "login", by, &other);
    if (e != ERR_OK)
        return e;
    if (uuid_equal(&user.id, &other.id))
        return fail(admin, ERR_INVALID, "nobody stands in for themselves");
    if (!json_is_integer(until) || json_integer_value(until) <= hub->now.wall.ms)
        return fail(admin, ERR_INVALID, "say until when: a moment that is still to come");
    const struct model_column *column =
        model_column_by_id(model_table_by_id(hub->model, TABLE_USER), SYSTEM_USER_SUBSTITUTE_UNTIL);
    values[1] = value_int(json_integer_value(until));
    if (model_check_value(column, &values[1], &info) != ERR_OK)
        return fail(admin, ERR_INVALID, "the end is too far away");
    e = reference(hub, &other.id, &values[0]);
    if (e == ERR_OK)
        e = system_put(hub, TABLE_USER, &user.id, columns, values, 2, 0);
    return e == ERR_OK ? audit_append(hub, "{\"what\":\"substitution began\"}") : e;
}

enum err tell_substitute(struct hub *hub, const struct uuid *user, json_t *entry)
{
    struct record record;
    enum err e = people_load(hub);
    const struct person *person = e == ERR_OK ? person_find(hub, user) : NULL;
    if (!person || !is_replaced(hub, person))
        return e;
    e = system_get(hub, TABLE_USER, &person->substitute, &record);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    struct value login = system_value(hub, TABLE_USER, &record, "login");
    json_object_set_new(entry, "substitute", json_bytes(cell_text(&login)));
    json_object_set_new(entry, "substitute_until_ms", json_integer((json_int_t)person->until_ms));
    return ERR_OK;
}
