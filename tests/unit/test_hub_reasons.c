/* Why headquarters sets a group aside, reason by reason, and groups that wait and come again: the author is told which it
 * is, nothing of the group is there, and what comes after it is taken. */
#include "server/core/hub_internal.h"
#include "tests/lib/scene.h"

/* ---- by what is in it: a hostile device that changes its own groups ---- */

/* The group of number `oseq`, to be changed, in the scene's arena. */
static struct group *group_of(struct scene *s, const struct bytes *groups, uint32_t oseq)
{
    struct group *group = arena_calloc(&s->arena, 1, sizeof *group);
    assert_non_null(group);
    assert_ok(group_decode(s->pair.model, groups[oseq - 1], &s->arena, group, NULL));
    return group;
}

static struct bytes encoded(struct scene *s, const struct group *group)
{
    struct buf out;
    struct bytes copy;
    buf_init(&out, 1 << 20);
    assert_ok(group_encode(group, &out));
    assert_ok(arena_copy(&s->arena, buf_view(&out), &copy));
    buf_done(&out);
    return copy;
}

static struct unit_write *write_of(struct group *group, uint32_t index)
{
    return (struct unit_write *)(uintptr_t)&group->mutations[0].writes[index];
}

struct judged {
    enum result_code code;
    enum reason reason;
};

static struct judged receipt_of(struct scene *s, uint64_t oseq)
{
    struct receipt receipt;
    assert_ok(store_begin(s->pair.hub_store, STORE_READ));
    assert_ok(receipt_find(s->pair.hub, s->h.origin, oseq, &receipt));
    store_rollback(s->pair.hub_store);
    arena_reset(&s->pair.hub->turn);
    return (struct judged){receipt.code, (enum reason)receipt.reason};
}

static void push_one(struct scene *s, uint64_t oseq, struct bytes group)
{
    hostile_push(&s->h, oseq, &group, 1);
    hostile_settle(&s->h);
    assert_int_equal(s->h.failure, ERR_OK);
}

static const char later_model[] =
    "{\"name\":\"later\",\"version\":9,\"tables\":["
    "{\"id\":999,\"name\":\"thing\",\"label\":{\"en\":\"Thing\"},\"delete\":\"revives\","
    "\"bucket\":\"company\",\"title\":\"name\",\"columns\":["
    "{\"id\":1,\"name\":\"name\",\"type\":\"text\",\"label\":{\"en\":\"Name\"}}]}]}";

static void what_cannot_be_read_or_stored_is_set_aside(void **state)
{
    (void)state;
    struct scene s;
    const struct bytes *groups;
    struct err_info info = {0};
    scene_start(&s, 131, NULL);
    for (int i = 0; i < 8; i++)
        pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    hostile_open(&s.h);
    assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), 8);

    /* 1: a table that a later model has */
    struct model *later = NULL;
    assert_ok(model_parse(bytes_of_text(later_model), &later, &info));
    struct group *group = group_of(&s, groups, 1);
    struct mutation foreign = group->mutations[0];
    struct unit_write only = {.unit = &model_table_by_id(later, 999)->units[0]};
    const struct value text = value_text(bytes_of_text("of later"));
    only.values = &text;
    foreign.table = model_table_by_id(later, 999);
    foreign.writes = &only;
    foreign.write_count = 1;
    group->mutations = &foreign;
    push_one(&s, 1, encoded(&s, group));
    struct judged judged = receipt_of(&s, 1);
    assert_int_equal(judged.code, RESULT_PARKED);
    assert_int_equal(judged.reason, REASON_MODEL);
    model_free(later);

    /* 2: a value that its column does not take */
    group = group_of(&s, groups, 2);
    struct value value = value_text(bytes_of_text(
        "a name that is too long: 0123456789012345678901234567890123456789012345678901234567890123"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
        "7"));
    write_of(group, 0)->values = &value;
    push_one(&s, 2, encoded(&s, group));
    judged = receipt_of(&s, 2);
    assert_int_equal(judged.code, RESULT_PARKED);
    assert_int_equal(judged.reason, REASON_MODEL);

    /* 3: what is required is empty */
    group = group_of(&s, groups, 3);
    ((struct mutation *)(uintptr_t)group->mutations)->write_count = 0;
    push_one(&s, 3, encoded(&s, group));
    assert_int_equal(receipt_of(&s, 3).reason, REASON_REQUIRED);

    /* 4: its head says 4, what follows is no group; and 5: no group at all */
    struct bytes broken = encoded(&s, group_of(&s, groups, 4));
    ((uint8_t *)(uintptr_t)broken.data)[broken.size - 1] ^= 0x80;
    push_one(&s, 4, broken);
    judged = receipt_of(&s, 4);
    assert_true(judged.code == RESULT_PARKED || judged.code == RESULT_REJECTED);
    push_one(&s, 5, bytes_of("\xc1", 1));
    judged = receipt_of(&s, 5);
    assert_int_equal(judged.code, RESULT_REJECTED);
    assert_int_equal(judged.reason, REASON_MALFORMED);

    push_one(&s, 6, groups[5]);
    assert_int_equal(receipt_of(&s, 6).code, RESULT_APPLIED);
    assert_int_equal(s.h.acked_upto, 6);
    s.parties = 1;
    scene_end(&s);
}

/* A group that was renumbered names what it was: known, another one, or not known. */
static void renumbered_groups_are_known_again(void **state)
{
    (void)state;
    struct scene s;
    const struct bytes *groups;
    scene_start(&s, 132, NULL);
    for (int i = 0; i < 5; i++)
        pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    hostile_open(&s.h);
    assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), 5);
    push_one(&s, 1, groups[0]);
    struct group *first = group_of(&s, groups, 1);
    const struct dot was[] = {
        first->dot,                                                /* the same */
        {first->dot.origin, first->dot.oseq, first->dot.tag ^ 1},  /* another of that number */
        {first->dot.origin, first->dot.oseq + 50, first->dot.tag}, /* not here */
        {first->dot.origin ^ 1, first->dot.oseq, first->dot.tag},  /* of nobody */
    };
    for (uint32_t i = 0; i < 4; i++) {
        struct group *group = group_of(&s, groups, i + 2);
        group->renamed = was[i];
        push_one(&s, i + 2, encoded(&s, group));
        assert_int_equal(receipt_of(&s, i + 2).code, RESULT_APPLIED);
    }
    assert_int_equal(pair_count(&s.pair, NULL, "party"), 4); /* the second was the first */
    s.parties = 4;
    scene_end(&s);
}

static void what_waits_and_comes_again_is_known(void **state)
{
    (void)state;
    struct scene s;
    const struct bytes *groups;
    scene_start(&s, 133, NULL);
    struct uuid id = pair_insert(&s.pair, s.bad, "party", "name", "Acme");
    pair_set(&s.pair, s.bad, "party", id, "fax", "1");
    pair_set(&s.pair, s.bad, "party", id, "fax", "2");
    hostile_open(&s.h);
    assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), 3);
    push_one(&s, 3, groups[2]);
    push_one(&s, 2, groups[1]);
    assert_int_equal(s.pair.hub->waiting_count, 2);
    assert_int_equal(s.h.acked_upto, 0);
    assert_int_equal(s.h.acked_ranges, 1);
    push_one(&s, 3, groups[2]); /* again */
    assert_int_equal(s.pair.hub->waiting_count, 2);
    assert_int_equal(scene_stats(&s).forks, 0);
    struct group *other = group_of(&s, groups, 2);
    other->stamp++;
    push_one(&s, 2, encoded(&s, other)); /* another one of that number */
    assert_int_equal(scene_stats(&s).forks, 1);
    assert_int_equal(s.h.fork_oseq, 2);
    scene_again(&s, true);
    push_one(&s, 1, groups[0]);
    assert_int_equal(s.pair.hub->waiting_count, 0);
    assert_int_equal(s.h.acked_upto, 3);
    assert_string_equal(pair_cell(&s.pair, NULL, "party", id, "fax"), "2");
    s.parties = 1;
    scene_end(&s);
}

/* ---- by where it is ---- */

struct act {
    struct pair p;
    struct pair_device *boss, *rep;
    struct uuid branches[2]; /* north, where the rep is, and south */
    struct uuid open, north, south;
};

static struct uuid put(struct act *a, struct pair_device *device, const char *table_name,
                       struct uuid id, bool insert, const char *const *pairs)
{
    const struct model_table *table = model_table_by_name(a->p.model, bytes_of_text(table_name));
    struct err_info info = {0};
    struct arena arena;
    struct dot dot;
    uint16_t columns[8], count = 0;
    struct value values[8];
    arena_init(&arena, 1 << 20);
    for (; *pairs; pairs += 2, count++) {
        const struct model_column *c = model_column_by_name(table, bytes_of_text(pairs[0]));
        columns[count] = c->index;
        assert_ok(model_value_from_text(c, bytes_of_text(pairs[1]), &arena, &values[count], &info));
    }
    assert_ok(replica_begin(device->replica, a->p.now_ms));
    enum err e =
        insert ? replica_insert(device->replica, table, &id, columns, values, count, &info)
               : replica_update(device->replica, table, &id, columns, values, count, false, &info);
    if (e != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(device->replica, &dot));
    arena_done(&arena);
    a->p.now_ms++;
    return id;
}

static struct uuid party(struct act *a, struct pair_device *device, const char *name, int branch)
{
    char id[UUID_TEXT_SIZE];
    if (branch < 0)
        return put(a, device, "party", (struct uuid){{0}}, true,
                   (const char *const[]){"name", name, NULL});
    uuid_format(&a->branches[branch], id);
    return put(a, device, "party", (struct uuid){{0}}, true,
               (const char *const[]){"name", name, "visibility", "branch", "branch", id, NULL});
}

static struct uuid contact(struct act *a, struct pair_device *device, struct uuid id, bool insert,
                           struct uuid parent)
{
    char text[UUID_TEXT_SIZE];
    uuid_format(&parent, text);
    return put(a, device, "contact", id, insert,
               (const char *const[]){"party", text, "name", "Person", NULL});
}

static int take_branch(void *context, const struct uuid *id)
{
    struct act *a = context;
    a->branches[strcmp(pair_cell(&a->p, a->boss, "branch", *id, "name"), "North") != 0] = *id;
    return 0;
}

static void act_start(struct act *a, uint64_t seed)
{
    struct store_ids ids = {0};
    struct arena arena;
    *a = (struct act){0};
    pair_init(&a->p, NULL, seed);
    a->boss = pair_enrol(&a->p, "boss", "admin");
    pair_admin(&a->p, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&a->p, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    a->rep = pair_enrol(&a->p, "rita", "rep");
    pair_admin(&a->p, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\"}");
    pair_sync(&a->p, a->boss);
    arena_init(&arena, 1 << 16);
    ids.arena = &arena;
    assert_ok(store_begin(a->boss->store, STORE_READ));
    assert_ok(store_row_scan(a->boss->store,
                             model_table_by_name(a->p.model, bytes_of_text("branch")), NULL,
                             store_ids_add, &ids));
    store_rollback(a->boss->store);
    for (uint32_t i = 0; i < ids.count; i++)
        (void)take_branch(a, &ids.ids[i]);
    arena_done(&arena);
    a->open = party(a, a->boss, "Open", -1);
    a->north = party(a, a->boss, "Of the north", 0);
    a->south = party(a, a->boss, "Of the south", 1);
    pair_sync(&a->p, a->boss);
    pair_sync(&a->p, a->rep);
    assert_string_equal(pair_cell(&a->p, a->rep, "party", a->south, "name"), "-");
}

struct seen {
    uint32_t count;
    uint64_t oseq;
    enum reason reason;
    char detail[200];
};

static enum err see(void *context, const struct parked_group *parked)
{
    struct seen *seen = context;
    seen->count++;
    seen->oseq = parked->dot.oseq;
    seen->reason = parked->reason;
    snprintf(seen->detail, sizeof seen->detail, "%.*s", (int)parked->detail.size,
             (const char *)parked->detail.data);
    return ERR_OK;
}

/* What the device wrote last is set aside for this reason, and given up. */
static void refused(struct act *a, struct pair_device *device, enum reason reason,
                    const char *table)
{
    struct seen seen = {0};
    struct err_info info;
    pair_sync(&a->p, device);
    assert_ok(replica_parked(device->replica, see, &seen));
    assert_int_equal(seen.count, 1);
    if (seen.reason != reason)
        fail_msg("reason %d, not %d: %s", seen.reason, reason, seen.detail);
    if (!strstr(seen.detail, table))
        fail_msg("%s is not told of: %s", table, seen.detail);
    assert_ok(replica_parked_discard(device->replica, seen.oseq, &info));
    pair_sync(&a->p, device);
    pair_sync(&a->p, device);
}

static void nothing_is_written_where_the_author_may_not_see(void **state)
{
    (void)state;
    struct act a;
    act_start(&a, 134);
    struct uuid made = party(&a, a.rep, "There", 1);
    refused(&a, a.rep, REASON_SCOPE, "party");
    assert_string_equal(pair_cell(&a.p, NULL, "party", made, "name"), "-");
    made = contact(&a, a.rep, (struct uuid){{0}}, true, a.south);
    refused(&a, a.rep, REASON_SCOPE, "party"); /* what it belongs to */
    assert_string_equal(pair_cell(&a.p, NULL, "contact", made, "name"), "-");
    made = party(&a, a.boss, "There", 1); /* who may see all may write there */
    contact(&a, a.boss, (struct uuid){{0}}, true, a.south);
    contact(&a, a.rep, (struct uuid){{0}}, true, a.north);
    pair_sync(&a.p, a.boss);
    pair_sync(&a.p, a.rep);
    assert_string_equal(pair_cell(&a.p, NULL, "party", made, "name"), "There");
    assert_int_equal(pair_count(&a.p, NULL, "contact"), 2);
    pair_done(&a.p);
}

/* A refused customer is tried again, and refused again; then the first one is given up. What belongs to the customer
 * goes on waiting for the second. */
static void what_is_tried_again_is_waited_for(void **state)
{
    struct act a;
    struct seen seen = {0};
    struct err_info info;
    (void)state;
    act_start(&a, 78);
    struct uuid id = party(&a, a.rep, "Out of reach", 1);
    pair_sync(&a.p, a.rep);
    assert_ok(replica_parked(a.rep->replica, see, &seen));
    assert_int_equal(seen.count, 1);
    assert_ok(replica_parked_retry(a.rep->replica, seen.oseq, a.p.now_ms, &info));
    pair_sync(&a.p, a.rep);
    pair_sync(&a.p, a.rep);
    assert_int_equal(a.p.hub->parked_count, 1);
    struct uuid person = contact(&a, a.rep, (struct uuid){{0}}, true, id);
    pair_sync(&a.p, a.rep);
    assert_string_equal(pair_cell(&a.p, NULL, "contact", person, "name"), "-");
    assert_int_equal(a.p.hub->waiting_count, 1);
    seen = (struct seen){0};
    assert_ok(replica_parked(a.rep->replica, see, &seen));
    assert_ok(replica_parked_discard(a.rep->replica, seen.oseq, &info));
    pair_sync(&a.p, a.rep);
    assert_int_equal(a.p.hub->waiting_count, 0);
    pair_done(&a.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_read_or_stored_is_set_aside),
        cmocka_unit_test(renumbered_groups_are_known_again),
        cmocka_unit_test(what_waits_and_comes_again_is_known),
        cmocka_unit_test(nothing_is_written_where_the_author_may_not_see),
        cmocka_unit_test(what_is_tried_again_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
