/* admin.c - what an administrator asks of headquarters: JSON in, JSON out.
 *
 * Model:      each command is one function that runs in a transaction of the hub, the same through the
 *             control socket of a running server as on a stopped one's store. */
#include "server/core/admin_internal.h"
#include "server/core/status.h"

#include "common/text.h"

#include <stdlib.h>
#include <string.h>

/* ---- looking for a row by its text ---- */

static int row_matches(void *context, const struct uuid *id)
{
    struct row_search *search = context;
    struct record record;
    enum err e = system_get(search->hub, search->table_id, id, &record);
    if (e != ERR_OK)
        return (int)e;
    struct value value = system_value(search->hub, search->table_id, &record, search->column);
    if (value.kind != VALUE_TEXT || !bytes_equal(value.as.bytes, search->text))
        return 0;
    if (search->active) {
        struct value active = system_value(search->hub, search->table_id, &record, "active");
        if (active.kind == VALUE_INT && active.as.integer == 0)
            return 0;
    }
    search->found = true;
    search->id = *id;
    search->record = record;
    return STORE_STOP;
}

static enum err find_row(struct row_search *search)
{
    return store_row_scan(search->hub->store,
                          model_table_by_id(search->hub->model, search->table_id), NULL,
                          row_matches, search);
}

enum err find_named(struct admin *admin, uint32_t table, const char *column, const char *text,
                    struct row_search *ret)
{
    const char *what = table == TABLE_USER ? "user" : table == TABLE_TEAM ? "team" : "branch";
    *ret = (struct row_search){.hub = admin->hub,
                               .table_id = table,
                               .column = column,
                               .active = table == TABLE_TEAM, /* one that was removed is gone */
                               .text = bytes_of_text(text ? text : "")};
    if (!text || !*text) {
        snprintf(admin->problem, sizeof admin->problem, "say which %s", column);
        return ERR_INVALID;
    }
    enum err e = find_row(ret);
    if (e == ERR_OK && !ret->found) {
        snprintf(admin->problem, sizeof admin->problem, "there is no %s with the %s '%s'", what,
                 column, text);
        e = ERR_NOT_FOUND;
    }
    return e;
}

/* ---- rows of columns given by name ---- */

struct cells {
    uint16_t columns[16];
    struct value values[16];
    uint16_t count;
};

static void cell(struct admin *admin, uint32_t table_id, struct cells *cells, const char *name,
                 struct value value)
{
    const struct model_table *table = model_table_by_id(admin->hub->model, table_id);
    cells->columns[cells->count] = model_column_by_name(table, bytes_of_text(name))->id;
    cells->values[cells->count++] = value;
}

static void cell_given(struct admin *admin, uint32_t table_id, struct cells *cells,
                       const char *name)
{
    const char *text = text_of(admin, name);
    if (text)
        cell(admin, table_id, cells, name, value_text(bytes_of_text(text)));
}

/* The branch that the request names in `key`, if it does, as a reference of the table's column of that name. */
static enum err cell_branch(struct admin *admin, uint32_t table, struct cells *cells,
                            const char *key)
{
    const char *name = text_of(admin, key);
    struct row_search search;
    struct bytes id;
    if (!name)
        return ERR_OK;
    enum err e = find_named(admin, TABLE_BRANCH, "name", name, &search);
    if (e == ERR_OK)
        e = arena_copy(&admin->hub->turn, bytes_of(search.id.byte, 16), &id);
    if (e == ERR_OK)
        cell(admin, table, cells, key, value_blob(id));
    return e;
}

static enum err do_branch_add(struct admin *admin)
{
    const char *name = text_of(admin, "name");
    if (!name || !*name)
        return fail(admin, ERR_INVALID, "a branch needs a name");
    struct row_search search;
    enum err e = find_named(admin, TABLE_BRANCH, "name", name, &search);
    if (e == ERR_OK)
        return fail(admin, ERR_EXISTS, "there is a branch of that name already");
    if (e != ERR_NOT_FOUND)
        return e;
    struct uuid id;
    e = system_id(admin->hub, &id);
    struct cells cells = {0};
    cell_given(admin, TABLE_BRANCH, &cells, "name");
    cell_given(admin, TABLE_BRANCH, &cells, "city");
    struct bucket *bucket;
    if (e == ERR_OK)
        e = cell_branch(admin, TABLE_BRANCH, &cells, "parent");
    if (e == ERR_OK)
        e = system_put(admin->hub, TABLE_BRANCH, &id, cells.columns, cells.values, cells.count, 0);
    if (e == ERR_OK)
        e = bucket_get(admin->hub, BUCKET_KIND_BRANCH, &id, &bucket);
    json_object_set_new(admin->answer, "id", json_id(&id));
    return e;
}

struct user_list {
    struct hub *hub;
    json_t *array;
};

static int add_branch(void *context, const struct uuid *id)
{
    struct user_list *list = context;
    struct record record;
    enum err e = system_get(list->hub, TABLE_BRANCH, id, &record);
    if (e != ERR_OK)
        return (int)e;
    struct value name = system_value(list->hub, TABLE_BRANCH, &record, "name");
    struct value city = system_value(list->hub, TABLE_BRANCH, &record, "city");
    json_t *branch = json_object();
    json_object_set_new(branch, "id", json_id(id));
    json_object_set_new(branch, "name", json_bytes(cell_text(&name)));
    json_object_set_new(branch, "city", json_bytes(cell_text(&city)));
    json_array_append_new(list->array, branch);
    return 0;
}

static enum err do_branch_list(struct admin *admin)
{
    struct user_list list = {admin->hub, json_array()};
    json_object_set_new(admin->answer, "branches", list.array);
    return store_row_scan(admin->hub->store, model_table_by_id(admin->hub->model, TABLE_BRANCH),
                          NULL, add_branch, &list);
}

static enum err user_cells(struct admin *admin, struct cells *cells)
{
    static const char *const names[] = {"name", "email", "phone", "title"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cell_given(admin, TABLE_USER, cells, names[i]);
    const char *role = text_of(admin, "role");
    enum role parsed;
    if (role && strcmp(role, "branch") != 0 && role_parse(bytes_of_text(role), &parsed) != ERR_OK)
        return fail(admin, ERR_INVALID, "a role is one of rep, manager, admin, none");
    cell_given(admin, TABLE_USER, cells, "role");
    const json_t *active = json_object_get(admin->request, "active");
    if (active)
        cell(admin, TABLE_USER, cells, "active", value_int(json_is_true(active)));
    return cell_branch(admin, TABLE_USER, cells, "branch");
}

static enum err do_user_add(struct admin *admin)
{
    const char *login = text_of(admin, "login");
    struct row_search search;
    enum err e = find_named(admin, TABLE_USER, "login", login, &search);
    if (e == ERR_OK)
        return fail(admin, ERR_EXISTS, "there is a user of that login already");
    if (e != ERR_NOT_FOUND)
        return e;
    admin->problem[0] = 0;
    struct cells cells = {0};
    cell_given(admin, TABLE_USER, &cells, "login");
    e = user_cells(admin, &cells);
    struct uuid id;
    struct bucket *bucket;
    if (e == ERR_OK)
        e = system_id(admin->hub, &id);
    if (e == ERR_OK)
        e = system_put(admin->hub, TABLE_USER, &id, cells.columns, cells.values, cells.count, 0);
    if (e == ERR_OK)
        e = bucket_get(admin->hub, BUCKET_KIND_USER, &id, &bucket);
    if (e != ERR_OK)
        return e;
    json_object_set_new(admin->answer, "id", json_id(&id));
    return audit_append(admin->hub, "{\"what\":\"user added\"}");
}

static enum err do_user_set(struct admin *admin)
{
    struct row_search search;
    enum err e = find_named(admin, TABLE_USER, "login", text_of(admin, "login"), &search);
    struct cells cells = {0};
    if (e == ERR_OK)
        e = user_cells(admin, &cells);
    if (e == ERR_OK && cells.count == 0)
        return fail(admin, ERR_INVALID, "nothing to change was given");
    if (e == ERR_OK)
        e = system_put(admin->hub, TABLE_USER, &search.id, cells.columns, cells.values, cells.count,
                       0);
    return e == ERR_OK ? audit_append(admin->hub, "{\"what\":\"user changed\"}") : e;
}

static int add_user(void *context, const struct uuid *id)
{
    struct user_list *list = context;
    struct hub *hub = list->hub;
    struct record record;
    enum err e = system_get(hub, TABLE_USER, id, &record);
    if (e != ERR_OK)
        return (int)e;
    struct value login = system_value(hub, TABLE_USER, &record, "login");
    struct value name = system_value(hub, TABLE_USER, &record, "name");
    struct value role = system_value(hub, TABLE_USER, &record, "role");
    struct value branch = system_value(hub, TABLE_USER, &record, "branch");
    struct value active = system_value(hub, TABLE_USER, &record, "active");
    json_t *user = json_object();
    json_object_set_new(user, "id", json_id(id));
    json_object_set_new(user, "login", json_bytes(cell_text(&login)));
    json_object_set_new(user, "name", json_bytes(cell_text(&name)));
    json_object_set_new(user, "role", json_bytes(cell_text(&role)));
    json_object_set_new(user, "active",
                        json_boolean(active.kind != VALUE_INT || active.as.integer));
    struct record at;
    struct uuid key;
    json_array_append_new(list->array, user);
    e = tell_substitute(hub, id, user);
    if (e != ERR_OK)
        return (int)e;
    if (value_id(&branch, &key)) {
        e = system_get(hub, TABLE_BRANCH, &key, &at);
        if (e == ERR_OK) {
            struct value title = system_value(hub, TABLE_BRANCH, &at, "name");
            json_object_set_new(user, "branch", json_bytes(cell_text(&title)));
        }
    }
    return e == ERR_NOT_FOUND ? 0 : (int)e;
}

static enum err do_user_list(struct admin *admin)
{
    struct user_list list = {admin->hub, json_array()};
    json_object_set_new(admin->answer, "users", list.array);
    return store_row_scan(admin->hub->store, model_table_by_id(admin->hub->model, TABLE_USER), NULL,
                          add_user, &list);
}

/* ---- devices ---- */

static enum err do_enroll(struct admin *admin)
{
    struct hub *hub = admin->hub;
    struct row_search search;
    enum err e = find_named(admin, TABLE_USER, "login", text_of(admin, "login"), &search);
    if (e != ERR_OK)
        return e;
    json_int_t minutes = json_integer_value(json_object_get(admin->request, "minutes"));
    if (minutes <= 0)
        minutes = 60;
    if (minutes > 7 * 24 * 60)
        return fail(admin, ERR_INVALID, "a code may live for a week at most");
    uint8_t code[16], hash[32], value[24];
    e = rng_fill(hub->config.rng, code, sizeof code);
    if (e == ERR_OK)
        e = crypto_sha256(hub->config.crypto, bytes_of(code, 16), hash);
    int64_t expires = hub->now.wall.ms + minutes * 60000;
    memcpy(value, search.id.byte, 16);
    be64_put(value + 16, (uint64_t)expires);
    if (e == ERR_OK)
        e = store_side_put(hub->store, SIDE_CODE, bytes_of(hash, 32), bytes_of(value, 24));
    if (e != ERR_OK)
        return e;
    buf_reset(&hub->row_scratch);
    e = text_append_hex(&hub->row_scratch, bytes_of(code, 16));
    json_object_set_new(admin->answer, "code", json_bytes(buf_view(&hub->row_scratch)));
    json_object_set_new(admin->answer, "expires_ms", json_integer(expires));
    crypto_wipe(code, sizeof code);
    return e == ERR_OK ? audit_append(hub, "{\"what\":\"enrolment code made\"}") : e;
}

static int add_device(void *context, struct bytes key, struct bytes value)
{
    struct user_list *list = context;
    struct hub *hub = list->hub;
    if (key.size != 16 || value.size != DEVICE_VALUE_SIZE)
        return ERR_CORRUPT;
    struct uuid id, user;
    memcpy(id.byte, key.data, 16);
    memcpy(user.byte, value.data + 32, 16);
    struct record record, person;
    enum err e = system_get(hub, TABLE_DEVICE, &id, &record);
    if (e == ERR_OK)
        e = system_get(hub, TABLE_USER, &user, &person);
    if (e != ERR_OK)
        return (int)e;
    struct value name = system_value(hub, TABLE_DEVICE, &record, "name");
    struct value login = system_value(hub, TABLE_USER, &person, "login");
    json_t *device = json_object();
    json_object_set_new(device, "id", json_id(&id));
    json_object_set_new(device, "name", json_bytes(cell_text(&name)));
    json_object_set_new(device, "login", json_bytes(cell_text(&login)));
    json_object_set_new(device, "revoked", json_boolean(value.data[DEVICE_REVOKED_AT]));
    json_object_set_new(device, "enrolled_ms", json_integer((json_int_t)be64_get(value.data + 49)));
    bool connected = false;
    for (const struct peer *peer = hub->peers; peer; peer = peer->next)
        connected |= peer->session.state == PEER_OPEN && uuid_equal(&peer->session.device, &id);
    json_object_set_new(device, "connected", json_boolean(connected));
    json_array_append_new(list->array, device);
    return 0;
}

static enum err do_devices(struct admin *admin)
{
    struct user_list list = {admin->hub, json_array()};
    json_object_set_new(admin->answer, "devices", list.array);
    return store_side_scan(admin->hub->store, SIDE_DEVICE, bytes_of(NULL, 0), bytes_of(NULL, 0),
                           add_device, &list);
}

static enum err do_revoke(struct admin *admin)
{
    struct hub *hub = admin->hub;
    struct uuid id;
    const char *text = text_of(admin, "device");
    if (!text || uuid_parse(bytes_of_text(text), &id) != ERR_OK)
        return fail(admin, ERR_INVALID,
                    "say which device, by its id ('satcheld devices' lists them)");
    struct bytes value;
    enum err e = store_side_get(hub->store, SIDE_DEVICE, bytes_of(id.byte, 16), &hub->turn, &value);
    if (e == ERR_NOT_FOUND)
        return fail(admin, e, "there is no such device");
    struct bytes copy;
    if (e == ERR_OK && value.size != DEVICE_VALUE_SIZE)
        e = ERR_CORRUPT;
    if (e == ERR_OK)
        e = arena_copy(&hub->turn, value, &copy);
    if (e != ERR_OK)
        return e;
    uint8_t *device = (uint8_t *)(uintptr_t)copy.data; /* our own copy */
    if (!device[DEVICE_REVOKED_AT])
        be64_put(device + DEVICE_SEEN_AT, (uint64_t)hub->now.wall.ms);
    device[DEVICE_REVOKED_AT] = 1;
    purge_soon(hub); /* what waits for something of it waits no longer */
    e = seen_forget(hub, &id);
    if (e != ERR_OK)
        return e;
    e = store_side_put(hub->store, SIDE_DEVICE, bytes_of(id.byte, 16), copy);
    struct cells cells = {0};
    cell(admin, TABLE_DEVICE, &cells, "revoked", value_int(1));
    if (e == ERR_OK)
        e = system_put(hub, TABLE_DEVICE, &id, cells.columns, cells.values, cells.count, 0);
    char entry[120];
    snprintf(entry, sizeof entry, "{\"what\":\"revoked\",\"device\":\"%s\"}", text);
    if (e == ERR_OK)
        e = audit_append(hub, entry);
    for (struct peer *peer = hub->peers; e == ERR_OK && peer; peer = peer->next)
        if (peer->session.state == PEER_OPEN && uuid_equal(&peer->session.device, &id)) {
            peer_save(peer);
            peer_fail(hub, peer, ERR_REVOKED,
                      "this device has been revoked; its data must be erased");
        }
    return e;
}

/* ---- the server itself ---- */

static enum err do_archived(struct admin *admin)
{
    json_t *marks = json_object_get(admin->request, "marks");
    const char *origin;
    json_t *upto;
    json_object_foreach(marks, origin, upto)
    {
        char name[64];
        if (strlen(origin) != 16 || !json_is_integer(upto))
            return fail(admin, ERR_INVALID, "marks are origin (16 hex digits) -> oseq");
        snprintf(name, sizeof name, "archived/%s", origin);
        enum err e = meta_put_u64(admin->hub, name, (uint64_t)json_integer_value(upto));
        if (e != ERR_OK)
            return e;
    }
    return audit_append(admin->hub, "{\"what\":\"backup verified\"}");
}

static int add_mark(void *context, struct bytes key, struct bytes value)
{
    struct admin *admin = context;
    struct mark mark;
    struct uuid device, user;
    char origin[17];
    (void)value;
    enum err e = key.size != 8 ? ERR_CORRUPT
                               : mark_get(admin->hub->store, be64_get(key.data), &admin->hub->turn,
                                          &mark, &device, &user);
    if (e != ERR_OK)
        return (int)e;
    snprintf(origin, sizeof origin, "%016llx", (unsigned long long)mark.origin);
    json_object_set_new(json_object_get(admin->answer, "marks"), origin,
                        json_integer((json_int_t)mark.upto));
    return 0;
}

static enum err do_marks(struct admin *admin)
{
    json_object_set_new(admin->answer, "marks", json_object());
    return store_side_scan(admin->hub->store, SIDE_MARK, bytes_of(NULL, 0), bytes_of(NULL, 0),
                           add_mark, admin);
}

static enum err do_status(struct admin *admin)
{
    return status_fill(admin->hub, admin->answer);
}

static void report_bucket(json_t *wrong, const struct bucket *bucket, uint64_t found)
{
    static const char *const kinds[] = {[BUCKET_KIND_COMPANY] = "the company",
                                        [BUCKET_KIND_BRANCH] = "branch",
                                        [BUCKET_KIND_USER] = "user",
                                        [BUCKET_KIND_TEAM] = "team"};
    char of[80], id[UUID_TEXT_SIZE] = "";
    if (bucket->kind != BUCKET_KIND_COMPANY)
        uuid_format(&bucket->key, id);
    snprintf(of, sizeof of, "%s%s%s",
             (size_t)bucket->kind < sizeof kinds / sizeof *kinds && kinds[bucket->kind]
                 ? kinds[bucket->kind]
                 : "unknown",
             id[0] ? " " : "", id);
    json_array_append_new(
        wrong, json_pack("{s:I,s:s,s:I,s:I}", "bucket", (json_int_t)bucket->number, "of", of,
                         "found", (json_int_t)found, "expected", (json_int_t)bucket->count));
}

static enum err do_verify(struct admin *admin)
{
    struct hub *hub = admin->hub;
    uint64_t entries, bad, records = 0;
    json_t *list = json_array();
    json_object_set_new(admin->answer, "wrong", list);
    enum err e = audit_verify(hub, &entries, &bad);
    for (uint32_t i = 0; e == ERR_OK && i < hub->bucket_count; i++) {
        uint64_t found;
        bool right;
        e = bucket_recount(hub, hub->buckets[i], &found, &right);
        if (e == ERR_OK && !right)
            report_bucket(list, hub->buckets[i], found);
        records += found;
    }
    if (e != ERR_OK)
        return e;
    json_object_set_new(admin->answer, "audit_entries", json_integer((json_int_t)entries));
    json_object_set_new(admin->answer, "audit_bad_entry",
                        bad ? json_integer((json_int_t)bad) : json_null());
    json_object_set_new(admin->answer, "buckets", json_integer(hub->bucket_count));
    size_t wrong = json_array_size(list);
    json_object_set_new(admin->answer, "buckets_wrong", json_integer((json_int_t)wrong));
    json_object_set_new(admin->answer, "records", json_integer((json_int_t)records));
    if (bad || wrong)
        return fail(admin, ERR_CORRUPT,
                    bad ? "the audit log was changed or cut"
                        : "a bucket does not add up to its digest");
    return ERR_OK;
}

static const struct {
    const char *name;
    enum err (*run)(struct admin *admin);
    bool reads; /* writes nothing */
} commands[] = {
    {"branch-add", do_branch_add, false},
    {"branch-list", do_branch_list, true},
    {"user-add", do_user_add, false},
    {"user-set", do_user_set, false},
    {"user-list", do_user_list, true},
    {"enroll", do_enroll, false},
    {"devices", do_devices, true},
    {"revoke", do_revoke, false},
    {"archived", do_archived, false},
    {"marks", do_marks, true},
    {"status", do_status, true},
    {"verify", do_verify, true},
    {"team-add", do_team_add, false},
    {"team-list", do_team_list, true},
    {"team-join", do_team_join, false},
    {"team-leave", do_team_leave, false},
    {"team-remove", do_team_remove, false},
    {"user-substitute", do_user_substitute, false},
};

static enum err admin_body(struct hub *hub, void *context)
{
    struct admin *admin = context;
    (void)hub;
    return admin->run(admin);
}

static enum err admin_run(struct hub *hub, struct admin *admin)
{
    const char *what = text_of(admin, "do");
    for (size_t i = 0; what && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, what) == 0) {
            admin->run = commands[i].run;
            if (hub->config.inspect && !commands[i].reads)
                return fail(admin, ERR_FORBIDDEN, "this hub only looks");
        }
    if (!admin->run)
        return fail(admin, ERR_INVALID, "not a command of the control socket");
    return hub_transact(hub, admin_body, admin);
}

enum err hub_admin(struct hub *hub, struct bytes request, struct hub_now now, struct buf *answer)
{
    hub->now = now;
    struct admin admin = {.hub = hub, .answer = json_object()};
    admin.request =
        json_loadb((const char *)request.data, request.size, JSON_REJECT_DUPLICATES, NULL);
    enum err e = json_is_object(admin.request) ? admin_run(hub, &admin)
                                               : fail(&admin, ERR_PARSE, "not a JSON object");
    json_object_set_new(admin.answer, "ok", json_boolean(e == ERR_OK));
    if (e != ERR_OK) {
        json_object_set_new(admin.answer, "code", json_string(err_name(e)));
        json_object_set_new(admin.answer, "message",
                            json_string(admin.problem[0] ? admin.problem : err_text(e)));
    }
    char *text = json_dumps(admin.answer, JSON_COMPACT);
    e = text ? buf_append(answer, text, strlen(text)) : ERR_NOMEM;
    free(text);
    json_decref(admin.request);
    json_decref(admin.answer);
    return e;
}
