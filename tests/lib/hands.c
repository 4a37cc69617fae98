#include "tests/lib/hands.h"

#include "common/deflate.h"
#include "protocol/frame.h"

#include <inttypes.h>
#include <stdio.h>

struct find {
    struct pair *pair;
    const struct model_table *table;
    const char *column, *text;
    struct uuid id;
};

static int look(void *context, const struct uuid *id)
{
    struct find *find = context;
    find->id = *id;
    struct arena arena;
    struct store_row row;
    arena_init(&arena, 1 << 20);
    assert_ok(store_row_get(find->pair->hub_store, find->table, id, &arena, &row));
    const struct model_column *column =
        model_column_by_name(find->table, bytes_of_text(find->column));
    bool same = bytes_equal(row.values[column->index].as.bytes, bytes_of_text(find->text));
    arena_done(&arena);
    return same ? STORE_STOP : 0;
}

static struct uuid find_id(struct pair *p, uint32_t table, const char *column, const char *text)
{
    struct find find = {
        .pair = p, .table = model_table_by_id(p->model, table), .column = column, .text = text};
    assert_ok(store_begin(p->hub_store, STORE_READ));
    assert_ok(store_row_scan(p->hub_store, find.table, NULL, look, &find));
    store_rollback(p->hub_store);
    return find.id;
}

struct uuid hands_user(struct pair *p, const char *login)
{
    return find_id(p, TABLE_USER, "login", login);
}

struct uuid hands_branch(struct pair *p, const char *name)
{
    return find_id(p, TABLE_BRANCH, "name", name);
}

struct uuid hands_team(struct pair *p, const char *name)
{
    return find_id(p, TABLE_TEAM, "name", name);
}

static const char *ask(struct pair *p, const char *what, const char *a, const char *b,
                       const char *c, const char *d)
{
    char request[300];
    snprintf(request, sizeof request, "{\"do\":\"%s\",\"%s\":\"%s\"%s%s%s%s%s}", what, a, b,
             c ? ",\"" : "", c ? c : "", c ? "\":\"" : "", c ? d : "", c ? "\"" : "");
    return pair_admin(p, request);
}

struct uuid hands_team_new(struct pair *p, const char *name, const char *branch)
{
    (void)ask(p, "team-add", "name", name, branch ? "branch" : NULL, branch);
    return hands_team(p, name);
}

void hands_join(struct pair *p, const char *team, const char *login)
{
    (void)ask(p, "team-join", "team", team, "login", login);
}

void hands_leave(struct pair *p, const char *team, const char *login)
{
    (void)ask(p, "team-leave", "team", team, "login", login);
}

void hands_substitute(struct pair *p, const char *login, const char *by, int64_t until_ms)
{
    char request[200];
    snprintf(request, sizeof request,
             "{\"do\":\"user-substitute\",\"login\":\"%s\",\"by\":\"%s\",\"until_ms\":%" PRId64 "}",
             login, by, until_ms);
    pair_admin(p, request);
}

void hands_end(struct pair *p, const char *login)
{
    (void)ask(p, "user-substitute", "login", login, NULL, NULL);
}

struct uuid hands_team_customer(struct pair *p, struct pair_device *d, const char *name,
                                struct uuid owner, struct uuid team)
{
    return hands_put(p, d, "party", (struct uuid){{0}},
                     (struct hands_cell[]){{"name", name, {{0}}},
                                           {"visibility", "team", {{0}}},
                                           {"owner", NULL, owner},
                                           {"team", NULL, team}},
                     4);
}

struct uuid hands_put(struct pair *p, struct pair_device *d, const char *name, struct uuid id,
                      const struct hands_cell *cells, uint16_t count)
{
    const struct model_table *table = model_table_by_name(p->model, bytes_of_text(name));
    struct value values[8];
    uint16_t columns[8];
    struct err_info info = {0};
    struct arena arena;
    struct dot dot;
    arena_init(&arena, 1 << 20);
    for (uint16_t i = 0; i < count; i++) {
        const struct model_column *c = model_column_by_name(table, bytes_of_text(cells[i].column));
        assert_non_null(c);
        columns[i] = c->index;
        if (!cells[i].text)
            values[i] = value_blob(bytes_of(cells[i].id.byte, 16));
        else
            assert_ok(
                model_value_from_text(c, bytes_of_text(cells[i].text), &arena, &values[i], &info));
    }
    assert_ok(replica_begin(d->replica, p->now_ms + d->skew_ms));
    bool is_new = uuid_is_nil(&id);
    enum err e = is_new
                     ? replica_insert(d->replica, table, &id, columns, values, count, &info)
                     : replica_update(d->replica, table, &id, columns, values, count, false, &info);
    if (e != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(d->replica, &dot));
    p->now_ms++;
    arena_done(&arena);
    return id;
}

struct uuid hands_customer(struct pair *p, struct pair_device *d, const char *name,
                           struct uuid owner)
{
    return hands_put(p, d, "party", (struct uuid){{0}},
                     (struct hands_cell[]){{"name", name, {{0}}},
                                           {"visibility", "owner", {{0}}},
                                           {"owner", NULL, owner}},
                     3);
}

struct uuid hands_contact(struct pair *p, struct pair_device *d, struct uuid party,
                          const char *name)
{
    return hands_put(p, d, "contact", (struct uuid){{0}},
                     (struct hands_cell[]){{"name", name, {{0}}}, {"party", NULL, party}}, 2);
}

void hands_give(struct pair *p, struct pair_device *d, struct uuid party, struct uuid owner)
{
    hands_put(p, d, "party", party, (struct hands_cell[]){{"owner", NULL, owner}}, 1);
}

static int count_log(void *context, uint64_t position, const struct model_table *table,
                     const struct uuid *id)
{
    (void)position;
    (void)table;
    (void)id;
    ++*(uint64_t *)context;
    return 0;
}

static int count_side(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return 0;
}

/* The digests are right, and the log has a row for each record and each departure. */
void hands_assert_verified(struct pair *p)
{
    uint64_t log = 0, departures = 0, records = 0;
    const char *answer = pair_admin(p, "{\"do\":\"verify\"}");
    const char *at = strstr(answer, "\"records\":");
    assert_non_null(at);
    sscanf(at, "\"records\":%" SCNu64, &records);
    const struct bytes none = bytes_of(NULL, 0);
    assert_ok(store_begin(p->hub_store, STORE_READ));
    for (uint32_t bucket = 1; bucket < 60; bucket++)
        assert_ok(store_log_scan(p->hub_store, bucket, 0, count_log, &log));
    assert_ok(store_side_scan(p->hub_store, SIDE_MOVED, none, none, count_side, &departures));
    store_rollback(p->hub_store);
    assert_true(records > 0);
    assert_int_equal(log, records + departures);
}

bool hands_shows(struct pair *p, struct pair_device *d, const char *table, struct uuid id)
{
    return strcmp(pair_cell(p, d, table, id, "name"), "-") != 0;
}

static enum err note_parked(void *context, const struct parked_group *parked)
{
    uint64_t *oseq = context;
    if (*oseq == 0)
        *oseq = parked->dot.oseq;
    return ERR_OK;
}

uint32_t hands_give_up(struct pair_device *d)
{
    struct err_info info;
    for (uint32_t count = 0;; count++) {
        uint64_t oseq = 0;
        assert_ok(replica_parked(d->replica, note_parked, &oseq));
        if (oseq == 0)
            return count;
        assert_ok(replica_parked_discard(d->replica, oseq, &info));
    }
}

static int note_bucket(void *context, struct bytes key, struct bytes value)
{
    (void)value;
    *(uint64_t *)context |= (uint64_t)1 << be32_get(key.data);
    return 0;
}

struct holding {
    struct store *store;
    const struct model_table *table;
    uint64_t buckets;
};

static int look_at(void *context, const struct uuid *id)
{
    struct holding *h = context;
    struct arena arena;
    struct store_row row;
    arena_init(&arena, 1 << 22);
    assert_ok(store_row_get(h->store, h->table, id, &arena, &row));
    if (!(h->buckets >> row.bucket & 1))
        fail_msg("a device holds a %s of bucket %u", h->table->name, row.bucket);
    arena_done(&arena);
    return 0;
}

void hands_assert_holds_its_own(struct pair *p, struct pair_device *d)
{
    const struct bytes none = bytes_of(NULL, 0);
    struct holding h = {.store = d->store};
    assert_ok(store_begin(d->store, STORE_READ));
    assert_ok(store_side_scan(d->store, SIDE_CURSOR, none, none, note_bucket, &h.buckets));
    for (uint16_t i = 0; i < p->model->table_count; i++) {
        h.table = &p->model->tables[i];
        assert_ok(store_row_scan(d->store, h.table, NULL, look_at, &h));
        assert_ok(store_dead_scan(d->store, h.table, NULL, look_at, &h));
    }
    store_rollback(d->store);
}

bool hands_frame_has(struct bytes frame, const char *text)
{
    enum { HEADER = 6 };
    const size_t length = strlen(text);
    struct inflater *inflater;
    struct buf inflated;
    bool found = false;
    if (frame.size < HEADER)
        return false;
    struct bytes payload = bytes_of(frame.data + HEADER, frame.size - HEADER);
    assert_ok(inflater_new(&inflater));
    buf_init(&inflated, FRAME_INFLATED_MAX);
    if (frame.data[1] & 1) {
        assert_ok(inflate_frame(inflater, payload, FRAME_INFLATED_MAX, &inflated));
        payload = buf_view(&inflated);
    }
    for (size_t i = 0; !found && i + length <= payload.size; i++)
        found = memcmp(payload.data + i, text, length) == 0;
    buf_done(&inflated);
    inflater_free(inflater);
    return found;
}
