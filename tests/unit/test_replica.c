/* What a replica has to survive: refused groups, changes of scope, large groups, wrong clocks. In the end
 * nothing that was written is lost and all agree.
 *
 * ctest: timeout=900 */
#include "tests/lib/pair.h"

static struct replica_status status_of(struct pair_device *device)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    return status;
}

static uint16_t column_of(const struct model_table *table, const char *name)
{
    const struct model_column *column = model_column_by_name(table, bytes_of_text(name));
    assert_non_null(column);
    return column->index;
}

static const struct model_table *table_of(struct pair *p, const char *name)
{
    return model_table_by_name(p->model, bytes_of_text(name));
}

/* A contact of the customer. */
static struct uuid add_contact(struct pair *p, struct pair_device *device, struct uuid party,
                               const char *name)
{
    const struct model_table *table = table_of(p, "contact");
    const uint16_t columns[2] = {column_of(table, "party"), column_of(table, "name")};
    struct value values[2] = {value_blob(bytes_of(party.byte, 16)),
                              value_text(bytes_of_text(name))};
    struct uuid id = {{0}};
    struct err_info info = {0};
    struct dot dot;
    assert_ok(replica_begin(device->replica, p->now_ms + device->skew_ms));
    if (replica_insert(device->replica, table, &id, columns, values, 2, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(device->replica, &dot));
    return id;
}

/* Everybody until nothing moves, twice round. */
static void sync_all(struct pair *p)
{
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < p->device_count; i++)
            pair_sync(p, &p->devices[i]);
}

/* ---- parked groups ---- */

struct seen_parked {
    uint32_t count;
    uint64_t oseq;
    enum reason reason;
    char detail[300];
};

static enum err see_parked(void *context, const struct parked_group *parked)
{
    struct seen_parked *seen = context;
    seen->count++;
    seen->oseq = parked->dot.oseq;
    seen->reason = parked->reason;
    snprintf(seen->detail, sizeof seen->detail, "%.*s", (int)parked->detail.size,
             parked->detail.size ? (const char *)parked->detail.data : "");
    return ERR_OK;
}

static struct seen_parked parked_of(struct pair_device *device)
{
    struct seen_parked seen = {0};
    assert_ok(replica_parked(device->replica, see_parked, &seen));
    return seen;
}

static void one_poison_group_of_a_thousand_is_explained_and_the_others_arrive(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 31);
    struct pair_device *a = pair_enrol(&p, "anna", "rep"), *b = pair_enrol(&p, "boss", "admin");
    for (int i = 0; i < 1000; i++)
        pair_insert(&p, a, i == 500 ? "product" : "party", "name", "One of many");
    pair_sync(&p, a);
    struct replica_status status = status_of(a);
    assert_int_equal(status.parked_count, 1);
    assert_int_equal(status.outbox_count, 0);
    assert_int_equal(pair_count(&p, NULL, "party"), 999);
    assert_int_equal(pair_count(&p, NULL, "product"), 0);
    struct seen_parked seen = parked_of(a);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.oseq, 501);
    assert_int_equal(seen.reason, REASON_RIGHTS);
    assert_non_null(strstr(seen.detail, "product"));
    pair_assert_equal(&p, a);
    pair_restart_device(&p, a); /* it is still there after a restart */
    assert_int_equal(parked_of(a).count, 1);
    /* given rights, the same again arrives */
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"anna\",\"role\":\"admin\"}");
    struct err_info info = {0};
    if (replica_parked_retry(a->replica, 501, p.now_ms, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_int_equal(status_of(a).parked_count, 0);
    sync_all(&p);
    assert_int_equal(pair_count(&p, b, "product"), 1);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_done(&p);
}

/* Counts beyond what one checkpoint can tell (10,000 results) are told in several. */
static void more_parked_groups_than_one_checkpoint_tells_are_all_told(void **state)
{
    (void)state;
    enum { COUNT = 10050 };
    struct pair p;
    pair_init(&p, NULL, 32);
    struct pair_device *a = pair_enrol(&p, "anna", "rep");
    for (int i = 0; i < COUNT; i++)
        pair_insert(&p, a, i % 2 ? "product" : "party", "name", "N");
    for (int i = 0; i < COUNT; i++)
        if (i % 2 == 0)
            pair_insert(&p, a, "product", "name", "N");
    pair_sync(&p, a);
    struct replica_status status = status_of(a);
    assert_int_equal(status.outbox_count, 0);
    assert_int_equal(status.parked_count, COUNT);
    assert_int_equal(pair_count(&p, a, "product"), 0);
    pair_assert_equal(&p, a);
    pair_done(&p);
}

/* Two devices insert a record of one id: the second insert is set aside, and its author shows what the
 * first one wrote. */
static void a_parked_insert_leaves_the_record_of_its_id(void **state)
{
    (void)state;
    struct pair p;
    struct dot dot;
    pair_init(&p, NULL, 26);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    const struct model_table *party = table_of(&p, "party");
    const uint16_t name = column_of(party, "name");
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    const struct value value = value_text(bytes_of_text("Apex"));
    assert_ok(replica_begin(b->replica, p.now_ms));
    assert_ok(replica_insert(b->replica, party, &id, &name, &value, 1, NULL));
    assert_ok(replica_commit(b->replica, &dot));
    pair_sync(&p, b);
    assert_int_equal(status_of(b).parked_count, 1);
    assert_string_equal(pair_cell(&p, b, "party", id, "name"), "Acme");
    pair_assert_equal(&p, b);
    pair_done(&p);
}

static void a_mended_group_is_taken(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 33);
    struct pair_device *a = pair_enrol(&p, "anna", "rep");
    struct uuid party = pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    /* a customer whose branch is none of the rep's: refused */
    const struct model_table *table = table_of(&p, "party");
    const uint16_t columns[2] = {column_of(table, "name"), column_of(table, "visibility")};
    struct value values[2] = {value_text(bytes_of_text("Hidden")),
                              value_text(bytes_of_text("branch"))};
    struct uuid id = {{0}};
    struct err_info info = {0};
    struct dot dot;
    assert_ok(replica_begin(a->replica, p.now_ms));
    assert_ok(replica_insert(a->replica, table, &id, columns, values, 2, &info));
    assert_ok(replica_commit(a->replica, &dot));
    pair_sync(&p, a);
    struct seen_parked seen = parked_of(a);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.reason, REASON_SCOPE);
    assert_string_equal(pair_cell(&p, a, "party", id, "name"), "-"); /* a draft, in no view */
    assert_ok(replica_begin(a->replica, p.now_ms));
    if (replica_parked_retry(a->replica, seen.oseq, p.now_ms, &info) != ERR_OK)
        fail_msg("%s", info.message);
    values[1] = value_text(bytes_of_text("company"));
    if (replica_update(a->replica, table, &id, &columns[1], &values[1], 1, false, &info) != ERR_OK)
        fail_msg("%s", info.message);
    assert_ok(replica_commit(a->replica, &dot));
    pair_sync(&p, a);
    assert_int_equal(status_of(a).parked_count, 0);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "Hidden");
    assert_string_equal(pair_cell(&p, a, "party", id, "visibility"), "company");
    pair_assert_equal(&p, a);
    (void)party;
    pair_done(&p);
}

static uint64_t discards_of(struct pair_device *device)
{
    const struct replica_discard *discards;
    uint32_t count;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_ok(replica_discards(device->replica, &arena, &discards, &count));
    arena_done(&arena);
    return count;
}

static void what_builds_on_a_parked_group_waits_and_falls_with_it(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 34);
    struct pair_device *a = pair_enrol(&p, "anna", "rep");
    const struct model_table *table = table_of(&p, "party");
    const uint16_t columns[2] = {column_of(table, "name"), column_of(table, "visibility")};
    struct value values[2] = {value_text(bytes_of_text("Hidden")),
                              value_text(bytes_of_text("branch"))};
    struct uuid id = {{0}};
    struct err_info info = {0};
    struct dot dot;
    assert_ok(replica_begin(a->replica, p.now_ms));
    assert_ok(replica_insert(a->replica, table, &id, columns, values, 2, &info));
    assert_ok(replica_commit(a->replica, &dot));                     /* 1: refused */
    pair_set(&p, a, "party", id, "legal_name", "of the hidden one"); /* 2: names its dot */
    struct uuid contact = add_contact(&p, a, id, "Its person");      /* 3: refers to its record */
    struct uuid other =
        pair_insert(&p, a, "party", "name", "Another"); /* 4: nothing to do with it */
    pair_sync(&p, a);
    struct replica_status status = status_of(a);
    assert_int_equal(status.parked_count, 1);
    assert_int_equal(status.outbox_count, 2); /* they wait at headquarters */
    assert_string_equal(pair_cell(&p, NULL, "party", other, "name"), "Another");
    assert_string_equal(pair_cell(&p, NULL, "contact", contact, "name"), "-");
    pair_sync(&p, a); /* offered again: known to wait */
    assert_int_equal(status_of(a).outbox_count, 2);
    assert_ok(replica_parked_discard(a->replica, 1, &info));
    assert_int_equal(status_of(a).parked_count, 0);
    assert_int_equal(discards_of(a), 1);
    pair_sync(&p, a);
    pair_sync(&p, a);
    assert_int_equal(discards_of(a), 0); /* the server has been told, and said so */
    status = status_of(a);
    assert_int_equal(status.outbox_count, 0);
    assert_int_equal(status.parked_count, 2);
    struct seen_parked seen = parked_of(a);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.reason, REASON_DEPENDS);
    assert_string_equal(pair_cell(&p, a, "contact", contact, "name"), "-");
    pair_assert_equal(&p, a);
    assert_err(replica_parked_discard(a->replica, 77, &info), ERR_NOT_FOUND);
    pair_done(&p);
}

/* ---- scope ---- */

struct found {
    struct uuid ids[64];
    uint32_t count;
};

static int collect_id(void *context, const struct uuid *id)
{
    struct found *c = context;
    assert_true(c->count < 64);
    c->ids[c->count++] = *id;
    return 0;
}

struct branch_search {
    struct pair *pair;
    const char *name;
    struct uuid id;
};

static int find_branch(void *context, const struct uuid *id)
{
    struct branch_search *search = context;
    if (strcmp(pair_cell(search->pair, NULL, "branch", *id, "name"), search->name) == 0)
        search->id = *id;
    return 0;
}

static struct uuid routed(struct pair *p, struct pair_device *device, const char *branch,
                          const char *name)
{
    struct found c = {0};
    struct branch_search search = {p, branch, {{0}}};
    assert_ok(store_begin(p->hub_store, STORE_READ));
    assert_ok(store_row_scan(p->hub_store, table_of(p, "branch"), NULL, collect_id, &c));
    store_rollback(p->hub_store);
    for (uint32_t i = 0; i < c.count; i++)
        find_branch(&search, &c.ids[i]);
    const struct model_table *table = table_of(p, "party");
    const uint16_t columns[3] = {column_of(table, "name"), column_of(table, "visibility"),
                                 column_of(table, "branch")};
    struct value values[3] = {value_text(bytes_of_text(name)), value_text(bytes_of_text("branch")),
                              value_blob(bytes_of(search.id.byte, 16))};
    struct uuid id = {{0}};
    struct err_info info = {0};
    struct dot dot;
    assert_ok(replica_begin(device->replica, p->now_ms));
    assert_ok(replica_insert(device->replica, table, &id, columns, values, 3, &info));
    assert_ok(replica_commit(device->replica, &dot));
    return id;
}

/* A change that comes to nothing names a record all the same: who may not see it has no business there. */
static void a_restore_without_effect_is_judged_by_scope(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 91);
    struct pair_device *boss = pair_enrol(&p, "boss", "admin");
    pair_admin(&p, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&p, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    struct pair_device *rep = pair_enrol(&p, "rita", "rep");
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\"}");
    const struct model_table *party = table_of(&p, "party");
    struct uuid id = routed(&p, boss, "North", "Of the north");
    struct dot dot;
    pair_delete(&p, boss, "party", id);
    sync_all(&p);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "-");
    struct pair_device *both[] = {rep, boss};
    for (int i = 0; i < 2; i++) {
        assert_ok(replica_begin(both[i]->replica, p.now_ms));
        assert_ok(replica_restore(both[i]->replica, party, &id, NULL));
        assert_ok(replica_commit(both[i]->replica, &dot));
    }
    pair_sync(&p, boss); /* so the delete that rita's restore names is there no more */
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"South\"}");
    pair_sync(&p, rep);
    assert_int_equal(parked_of(rep).count, 1);
    assert_int_equal(parked_of(rep).reason, REASON_SCOPE);
    assert_string_equal(pair_cell(&p, rep, "party", id, "name"), "-");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "Of the north");
    pair_done(&p);
}

static void a_user_who_moves_to_another_branch_sees_that_one(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 90);
    struct pair_device *boss = pair_enrol(&p, "boss", "admin");
    pair_admin(&p, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&p, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    struct pair_device *rep = pair_enrol(&p, "rita", "rep");
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\"}");
    struct uuid north = routed(&p, boss, "North", "Of the north"), edited, south;
    edited = routed(&p, boss, "North", "Edited offline");
    south = routed(&p, boss, "South", "Of the south");
    struct uuid person = add_contact(&p, boss, north, "Person");
    pair_sync(&p, boss);
    pair_sync(&p, rep);
    assert_string_equal(pair_cell(&p, rep, "party", north, "name"), "Of the north");
    assert_string_equal(pair_cell(&p, rep, "contact", person, "name"), "Person");
    assert_string_equal(pair_cell(&p, rep, "party", south, "name"), "-");
    pair_set(&p, rep, "party", edited, "legal_name", "typed before the move was known");
    struct uuid made = routed(&p, rep, "North", "Made before the move was known");
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"South\"}");
    sync_all(&p);
    assert_string_equal(pair_cell(&p, rep, "party", north, "name"), "-");
    assert_string_equal(pair_cell(&p, rep, "contact", person, "name"), "-");
    assert_string_equal(pair_cell(&p, rep, "party", south, "name"), "Of the south");
    /* what was typed is not lost: it is with the rep, with the reason */
    struct replica_status status = status_of(rep);
    assert_int_equal(status.outbox_count, 0);
    assert_int_equal(status.parked_count, 2);
    assert_int_equal(parked_of(rep).reason, REASON_SCOPE);
    assert_string_equal(pair_cell(&p, NULL, "party", edited, "legal_name"), "");
    assert_string_equal(pair_cell(&p, NULL, "party", made, "name"), "-");
    /* and back again */
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"rita\",\"branch\":\"North\"}");
    sync_all(&p);
    assert_string_equal(pair_cell(&p, rep, "party", north, "name"), "Of the north");
    assert_string_equal(pair_cell(&p, rep, "contact", person, "name"), "Person");
    assert_string_equal(pair_cell(&p, rep, "party", south, "name"), "-");
    struct err_info info = {0};
    for (int i = 0; i < 2; i++)
        if (replica_parked_retry(rep->replica, parked_of(rep).oseq, p.now_ms, &info) != ERR_OK)
            fail_msg("%s", info.message);
    sync_all(&p);
    assert_int_equal(status_of(rep).parked_count, 0);
    assert_string_equal(pair_cell(&p, boss, "party", edited, "legal_name"),
                        "typed before the move was known");
    assert_string_equal(pair_cell(&p, boss, "party", made, "name"),
                        "Made before the move was known");
    pair_assert_equal(&p, boss);
    pair_done(&p);
}

/* ---- large groups, wrong clocks ---- */

static void large_groups_arrive_whole(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 95);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    const struct model_table *table = table_of(&p, "party");
    const uint16_t columns[2] = {column_of(table, "name"), column_of(table, "notes")};
    struct err_info info = {0};
    struct dot dot;
    char *notes = malloc(60000);
    assert_non_null(notes);
    for (int round = 0; round < 2; round++) { /* 3,000 small ones; 60 large ones, about 3.6 MB */
        assert_ok(replica_begin(a->replica, p.now_ms));
        for (int i = 0; i < (round ? 60 : 3000); i++) {
            struct uuid id = {{0}};
            for (int k = 0; round && k < 60000; k++)
                notes[k] = (char)('a' + seeded_below(&p.seeded, 26));
            struct value values[2] = {value_text(bytes_of_text("Acme")),
                                      value_text(bytes_of(notes, 60000))};
            if (replica_insert(a->replica, table, &id, columns, values, round ? 2 : 1, &info) !=
                ERR_OK)
                fail_msg("%s", info.message);
        }
        assert_ok(replica_commit(a->replica, &dot));
    }
    free(notes);
    assert_int_equal(status_of(a).outbox_count, 2);
    pair_connect(&p, a, true); /* cut between the parts, then again */
    a->frames_until_cut = 8;
    pair_run(&p);
    a->frames_until_cut = 0;
    pair_cut(&p, a);
    sync_all(&p);
    assert_int_equal(pair_count(&p, b, "party"), 3060);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_done(&p);
}

static void a_clock_years_off_changes_nothing_for_others(void **state)
{
    (void)state;
    static const int64_t skews[] = {-(int64_t)20 * 365 * 86400000, (int64_t)20 * 365 * 86400000};
    for (int i = 0; i < 2; i++) {
        struct pair p;
        pair_init(&p, NULL, 97 + (uint64_t)i);
        struct pair_device *a = pair_enrol(&p, "anna", "admin"),
                           *b = pair_enrol(&p, "boris", "admin");
        a->skew_ms = skews[i];
        struct uuid id = pair_insert(&p, b, "party", "name", "Acme");
        sync_all(&p);
        pair_set(&p, a, "party", id, "name", "by the wrong clock");
        p.now_ms += 60000;
        pair_set(&p, b, "party", id, "name", "a minute later");
        sync_all(&p);
        /* written before by true time: it does not win, whatever its clock says */
        assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "a minute later");
        p.now_ms += 60000;
        pair_set(&p, b, "party", id, "legal_name", "first");
        sync_all(&p);
        pair_set(&p, a, "party", id, "legal_name", "then, having seen it");
        sync_all(&p);
        assert_string_equal(pair_cell(&p, b, "party", id, "legal_name"), "then, having seen it");
        pair_assert_equal(&p, a);
        pair_assert_equal(&p, b);
        pair_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_poison_group_of_a_thousand_is_explained_and_the_others_arrive),
        cmocka_unit_test(more_parked_groups_than_one_checkpoint_tells_are_all_told),
        cmocka_unit_test(a_parked_insert_leaves_the_record_of_its_id),
        cmocka_unit_test(a_mended_group_is_taken),
        cmocka_unit_test(what_builds_on_a_parked_group_waits_and_falls_with_it),
        cmocka_unit_test(a_user_who_moves_to_another_branch_sees_that_one),
        cmocka_unit_test(a_restore_without_effect_is_judged_by_scope),
        cmocka_unit_test(large_groups_arrive_whole),
        cmocka_unit_test(a_clock_years_off_changes_nothing_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
