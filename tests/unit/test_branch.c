/* A branch between devices and headquarters: what its devices see of each other while the line is down, and
 * what becomes of it when it is back. */
#include "client/core/replica_internal.h"
#include "server/core/hub_internal.h"
#include "tests/lib/hands.h"
#include "tests/lib/pair_copy.h"

static void set_and_say(struct pair *p, struct pair_device *d, struct uuid id, const char *column,
                        const char *text)
{
    pair_set(p, d, "party", id, column, text);
    pair_say(p, d);
}

/* The branch of Kazan, with Anna and Boris; Maria, an administrator, at headquarters. */
struct town {
    struct pair p;
    struct pair_branch *kazan;
    struct pair_device *anna, *boris, *maria;
    struct uuid customer;
};

static struct uuid add_customer(struct town *t, struct pair_device *d, const char *name)
{
    const struct hands_cell cells[] = {{"name", name, {{0}}}, {"visibility", "company", {{0}}}};
    return hands_put(&t->p, d, "party", (struct uuid){{0}}, cells, 2);
}

static void town_open(struct town *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    pair_init(&t->p, NULL, seed);
    t->kazan = pair_branch_new(&t->p, "Kazan", NULL);
    t->anna = pair_enrol_at(&t->p, "anna", "Kazan", t->kazan);
    t->boris = pair_enrol_at(&t->p, "boris", "Kazan", t->kazan);
    t->maria = pair_enrol(&t->p, "maria", "admin");
    pair_go_live(&t->p, t->anna);
    pair_go_live(&t->p, t->boris);
    pair_go_live(&t->p, t->maria);
    t->customer = add_customer(t, t->maria, "Acme");
    pair_say(&t->p, t->maria);
}

static const char *cell(struct town *t, struct pair_device *d, const char *column)
{
    return pair_cell(&t->p, d, "party", t->customer, column);
}

static void assert_settled(struct town *t, struct pair_device *d)
{
    assert_int_equal(pair_status(d).outbox_count, 0);
    assert_int_equal(replica_pending_count(d->replica), 0);
    assert_false(pair_status(d).differs);
    assert_false(pair_status(d).reconcile);
    pair_assert_equal(&t->p, d);
}

static void assert_all_settled(struct town *t)
{
    pair_run(&t->p);
    for (uint32_t i = 0; i < t->p.device_count; i++)
        assert_settled(t, &t->p.devices[i]);
}

static void headquarters_changes_reach_the_devices(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 1);
    assert_string_equal(cell(&t, t.anna, "name"), "Acme");
    set_and_say(&t.p, t.maria, t.customer, "name", "Acme Ltd");
    assert_string_equal(cell(&t, t.anna, "name"), "Acme Ltd");
    assert_string_equal(cell(&t, t.boris, "name"), "Acme Ltd");
    assert_all_settled(&t);
    pair_done(&t.p);
}

static void a_device_s_changes_reach_headquarters(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 2);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    assert_string_equal(cell(&t, t.maria, "tax_id"), "555");
    assert_string_equal(cell(&t, t.boris, "tax_id"), "555");
    assert_all_settled(&t);
    assert_int_equal(pair_status(t.anna).decided_upto, 1);
    pair_done(&t.p);
}

static void a_cut_off_branch_is_a_working_office(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 3);
    pair_cut(&t.p, t.kazan->link);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    assert_string_equal(cell(&t, t.boris, "tax_id"), "555");
    assert_string_equal(cell(&t, t.maria, "tax_id"), "");
    assert_int_equal(replica_pending_count(t.boris->replica), 1);
    struct uuid fresh = add_customer(&t, t.anna, "Fresh");
    pair_say(&t.p, t.anna);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", fresh, "name"), "Fresh");
    /* Boris builds upon what Anna wrote */
    set_and_say(&t.p, t.boris, fresh, "name", "Fresh Ltd");
    set_and_say(&t.p, t.boris, t.customer, "tax_id", "777");
    assert_string_equal(pair_cell(&t.p, t.anna, "party", fresh, "name"), "Fresh Ltd");
    assert_string_equal(cell(&t, t.anna, "tax_id"), "777");
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(cell(&t, t.maria, "tax_id"), "777");
    assert_string_equal(pair_cell(&t.p, t.maria, "party", fresh, "name"), "Fresh Ltd");
    assert_all_settled(&t);
    pair_done(&t.p);
}

static void who_was_away_catches_up_from_the_branch(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 4);
    pair_cut(&t.p, t.boris);
    for (int i = 0; i < 5; i++)
        set_and_say(&t.p, t.maria, t.customer, "name", i % 2 ? "Acme" : "Acme Ltd");
    pair_delete(&t.p, t.maria, "party", add_customer(&t, t.maria, "Gone again"));
    pair_say(&t.p, t.maria);
    pair_cut(&t.p, t.kazan->link);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    pair_go_live(&t.p, t.boris);
    assert_string_equal(cell(&t, t.boris, "name"), "Acme Ltd");
    assert_string_equal(cell(&t, t.boris, "tax_id"), "555");
    pair_go_live(&t.p, t.kazan->link);
    assert_all_settled(&t);
    pair_done(&t.p);
}

static void both_sides_of_the_line_write_the_same_field(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 5);
    pair_cut(&t.p, t.kazan->link);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "anna's");
    t.p.now_ms += 1000;
    set_and_say(&t.p, t.maria, t.customer, "tax_id", "maria's");
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(cell(&t, t.anna, "tax_id"), "maria's");
    assert_int_equal(pair_count(&t.p, t.boris, "conflict"), 1);
    assert_all_settled(&t);
    pair_done(&t.p);
}

/* Only administrators write territories: Anna was one when she wrote. */
static void what_headquarters_sets_aside_leaves_the_colleagues_view(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 6);
    pair_admin(&t.p, "{\"do\":\"user-set\",\"login\":\"anna\",\"role\":\"admin\"}");
    pair_links_again(&t.p);
    pair_cut(&t.p, t.kazan->link);
    pair_admin(&t.p, "{\"do\":\"user-set\",\"login\":\"anna\",\"role\":\"rep\"}");
    if (!t.anna->peer)
        pair_go_live(&t.p, t.anna);
    struct uuid id = pair_insert(&t.p, t.anna, "territory", "name", "Far East");
    pair_say(&t.p, t.anna);
    assert_string_equal(pair_cell(&t.p, t.boris, "territory", id, "name"), "Far East");
    pair_go_live(&t.p, t.kazan->link);
    pair_links_again(&t.p);
    if (!t.anna->peer)
        pair_go_live(&t.p, t.anna);
    pair_run(&t.p);
    assert_string_equal(pair_cell(&t.p, t.boris, "territory", id, "name"), "-");
    assert_string_equal(pair_cell(&t.p, t.anna, "territory", id, "name"), "-");
    assert_int_equal(pair_status(t.anna).parked_count, 1);
    assert_all_settled(&t);
    pair_done(&t.p);
}

static int find_text(void *context, struct bytes key, struct bytes value)
{
    const char *text = context;
    size_t size = strlen(text);
    (void)key;
    for (size_t i = 0; i + size <= value.size; i++)
        assert_int_not_equal(memcmp(value.data + i, text, size), 0);
    return 0;
}

static void assert_nowhere(struct pair_device *d, const char *text)
{
    assert_ok(store_begin(d->store, STORE_READ));
    for (int side = 0; side < SIDE_COUNT; side++)
        assert_ok(store_side_scan(d->store, (enum store_side)side, bytes_of(NULL, 0),
                                  bytes_of(NULL, 0), find_text, (void *)(uintptr_t)text));
    store_rollback(d->store);
}

/* One transaction writes a customer of the branch and one that is Anna's alone. */
static void colleagues_get_the_part_that_they_may_see(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 7);
    const struct model_table *party = model_table_by_name(t.p.model, bytes_of_text("party"));
    const uint16_t columns[] = {model_column_by_name(party, bytes_of_text("name"))->index,
                                model_column_by_name(party, bytes_of_text("visibility"))->index,
                                model_column_by_name(party, bytes_of_text("owner"))->index,
                                model_column_by_name(party, bytes_of_text("branch"))->index};
    struct uuid anna = hands_user(&t.p, "anna"), shared = {{0}}, own = {{0}};
    struct err_info info;
    struct dot dot;
    struct value values[] = {value_text(bytes_of_text("For all")),
                             value_text(bytes_of_text("company")),
                             value_blob(bytes_of(anna.byte, 16)), value_null()};
    pair_cut(&t.p, t.kazan->link);
    assert_ok(replica_begin(t.anna->replica, t.p.now_ms));
    assert_ok(replica_insert(t.anna->replica, party, &shared, columns, values, 3, &info));
    values[0] = value_text(bytes_of_text("CANARY"));
    values[1] = value_text(bytes_of_text("owner"));
    assert_ok(replica_insert(t.anna->replica, party, &own, columns, values, 3, &info));
    assert_ok(replica_commit(t.anna->replica, &dot));
    pair_say(&t.p, t.anna);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", shared, "name"), "For all");
    assert_string_equal(pair_cell(&t.p, t.boris, "party", own, "name"), "-");
    assert_nowhere(t.boris, "CANARY");
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(pair_cell(&t.p, NULL, "party", own, "name"), "CANARY");
    assert_nowhere(t.boris, "CANARY");
    assert_all_settled(&t);
    pair_done(&t.p);
}

/* A customer that all may see, and a contact of it; then it becomes Anna's alone. The branch hears of all that at once,
 * and nothing is decided: nobody else has seen the contact, and nobody does. */
static void what_belongs_to_a_moved_customer_goes_with_it(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 16);
    pair_cut(&t.p, t.kazan->link);
    pair_cut(&t.p, t.anna);
    struct uuid customer = add_customer(&t, t.anna, "Moved");
    const struct hands_cell contact[] = {{"party", NULL, customer}, {"name", "CANARY", {{0}}}};
    struct uuid person = hands_put(&t.p, t.anna, "contact", (struct uuid){{0}}, contact, 2);
    const struct hands_cell move[] = {{"visibility", "owner", {{0}}},
                                      {"owner", NULL, hands_user(&t.p, "anna")}};
    hands_put(&t.p, t.anna, "party", customer, move, 2);
    pair_go_live(&t.p, t.anna);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", customer, "name"), "-");
    assert_nowhere(t.boris, "CANARY");
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(pair_cell(&t.p, NULL, "contact", person, "name"), "CANARY");
    assert_nowhere(t.boris, "CANARY");
    assert_all_settled(&t);
    pair_done(&t.p);
}

/* What Boris shows of a group of Anna's is confirmed by the checkpoint that takes another record of that group from him. */
static void what_is_confirmed_stays_when_its_group_is_forgotten(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 18);
    struct err_info info;
    struct dot dot;
    struct uuid fresh = {{0}};
    const struct model_table *party = model_table_by_name(t.p.model, bytes_of_text("party"));
    const uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
    const struct value text = value_text(bytes_of_text("Fresh"));
    pair_cut(&t.p, t.kazan->link);
    assert_ok(replica_begin(t.anna->replica, t.p.now_ms));
    assert_ok(replica_insert(t.anna->replica, party, &fresh, &name, &text, 1, &info));
    assert_ok(replica_update(t.anna->replica, party, &t.customer, &name, &text, 1, false, &info));
    assert_ok(replica_commit(t.anna->replica, &dot));
    pair_say(&t.p, t.anna);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", fresh, "name"), "Fresh");
    pair_cut(&t.p, t.boris);
    pair_go_live(&t.p, t.kazan->link);
    const struct hands_cell move[] = {{"visibility", "owner", {{0}}},
                                      {"owner", NULL, hands_user(&t.p, "anna")}};
    hands_put(&t.p, t.maria, "party", t.customer, move, 2);
    pair_say(&t.p, t.maria);
    pair_go_live(&t.p, t.boris);
    assert_string_equal(cell(&t, t.boris, "name"), "-");
    assert_string_equal(pair_cell(&t.p, t.boris, "party", fresh, "name"), "Fresh");
    assert_all_settled(&t);
    pair_done(&t.p);
}

/* Boris loses the branch while he is away; its server has heard of it, and says so. */
static void a_branch_takes_away_what_is_out_of_scope(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 15);
    const struct hands_cell cells[] = {{"visibility", "branch", {{0}}}};
    pair_admin(&t.p, "{\"do\":\"user-set\",\"login\":\"maria\",\"branch\":\"Kazan\"}");
    pair_run(&t.p);
    if (!t.maria->peer)
        pair_go_live(&t.p, t.maria);
    hands_put(&t.p, t.maria, "party", t.customer,
              (struct hands_cell[]){{"owner", NULL, hands_user(&t.p, "maria")}}, 1);
    hands_put(&t.p, t.maria, "party", t.customer, cells, 1);
    pair_say(&t.p, t.maria);
    assert_string_equal(cell(&t, t.boris, "name"), "Acme");
    pair_cut(&t.p, t.boris);
    pair_admin(&t.p, "{\"do\":\"branch-add\",\"name\":\"Omsk\"}");
    pair_admin(&t.p, "{\"do\":\"user-set\",\"login\":\"boris\",\"branch\":\"Omsk\"}");
    pair_run(&t.p);
    pair_links_again(&t.p);
    pair_go_live(&t.p, t.boris);
    assert_string_equal(cell(&t, t.boris, "name"), "-");
    assert_nowhere(t.boris, "Acme");
    hands_assert_holds_its_own(&t.p, t.boris);
    pair_done(&t.p);
}

/* Boris has seen what Anna wrote, and goes to headquarters before the branch has sent it. */
static void a_roaming_device_keeps_what_it_has_seen(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 8);
    pair_cut(&t.p, t.kazan->link);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    pair_cut(&t.p, t.boris);
    t.boris->at = NULL;
    pair_go_live(&t.p, t.boris);
    assert_string_equal(cell(&t, t.boris, "tax_id"), "555");
    assert_int_equal(replica_pending_count(t.boris->replica), 1);
    set_and_say(&t.p, t.boris, t.customer, "tax_id", "777"); /* waits there for Anna's */
    assert_string_equal(cell(&t, t.maria, "tax_id"), "");
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(cell(&t, t.maria, "tax_id"), "777");
    assert_string_equal(cell(&t, t.boris, "tax_id"), "777");
    assert_all_settled(&t);
    pair_done(&t.p);
}

static void a_branch_goes_on_after_a_restart(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 9);
    pair_cut(&t.p, t.kazan->link);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    pair_restart_branch(&t.p, t.kazan);
    pair_go_live(&t.p, t.boris);
    pair_go_live(&t.p, t.anna);
    assert_string_equal(cell(&t, t.boris, "tax_id"), "555");
    set_and_say(&t.p, t.boris, t.customer, "website", "acme.example");
    assert_string_equal(cell(&t, t.anna, "website"), "acme.example");
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(cell(&t, t.maria, "tax_id"), "555");
    assert_all_settled(&t);
    pair_done(&t.p);
}

/* A new machine takes the place of the one whose disk is gone; what the branch had acknowledged, and not sent,
 * comes from its authors again. */
static void a_branch_that_lost_its_disk_is_built_anew(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 10);
    pair_cut(&t.p, t.kazan->link);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    set_and_say(&t.p, t.boris, t.customer, "tax_id", "777");
    pair_replace_branch(&t.p, t.kazan);
    pair_go_live(&t.p, t.anna);
    pair_go_live(&t.p, t.boris);
    assert_string_equal(cell(&t, t.maria, "tax_id"), "777");
    set_and_say(&t.p, t.anna, t.customer, "website", "acme.example");
    assert_string_equal(cell(&t, t.boris, "website"), "acme.example");
    assert_all_settled(&t);
    pair_done(&t.p);
}

static void copies_of_a_device_are_told_apart_at_a_branch(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 11);
    struct uuid fresh = add_customer(&t, t.anna, "Fresh");
    pair_cut(&t.p, t.anna);
    struct pair_device *copy = pair_clone_device(&t.p, t.anna);
    copy->at = t.kazan;
    pair_cut(&t.p, t.kazan->link);
    pair_set(&t.p, t.anna, "party", fresh, "tax_id", "the one");
    pair_set(&t.p, copy, "party", fresh, "website", "the other");
    pair_go_live(&t.p, t.anna);
    pair_cut(&t.p, t.anna);
    pair_go_live(&t.p, copy);
    assert_int_equal(copy->why, ERR_CONFLICT);
    pair_go_live(&t.p, copy);
    assert_int_not_equal(pair_status(copy).origin, pair_status(t.anna).origin);
    pair_cut(&t.p, copy);
    pair_go_live(&t.p, t.anna);
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(pair_cell(&t.p, t.maria, "party", fresh, "tax_id"), "the one");
    assert_string_equal(pair_cell(&t.p, t.maria, "party", fresh, "website"), "the other");
    assert_string_equal(pair_cell(&t.p, t.boris, "party", fresh, "website"), "the other");
    pair_go_live(&t.p, copy);
    assert_settled(&t, copy);
    pair_done(&t.p);
}

/* Headquarters comes back from a backup; the branch has what it lost, and nobody else is there. */
static void a_branch_brings_back_what_headquarters_lost(void **state)
{
    struct town t;
    (void)state;
    town_open(&t, 12);
    struct store *backup = pair_copy_store(&t.p, t.p.hub_store);
    set_and_say(&t.p, t.anna, t.customer, "tax_id", "555");
    struct uuid fresh = add_customer(&t, t.boris, "Fresh");
    pair_say(&t.p, t.boris);
    assert_string_equal(cell(&t, t.maria, "tax_id"), "555");
    pair_put_hub_store(&t.p, backup);
    pair_cut(&t.p, t.anna); /* lost for good, with her device */
    pair_cut(&t.p, t.boris);
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "tax_id"), "555");
    assert_string_equal(pair_cell(&t.p, NULL, "party", fresh, "name"), "Fresh");
    pair_go_live(&t.p, t.anna);
    pair_go_live(&t.p, t.boris);
    pair_go_live(&t.p, t.maria);
    assert_all_settled(&t);
    pair_done(&t.p);
}

static enum err see_first(void *context, const struct parked_group *parked)
{
    *(uint64_t *)context = parked->dot.oseq;
    return ERR_OK;
}

/* The same, and the group is one that its author has given up: the branch brings it before its author comes. */
static void what_was_given_up_is_given_up_again(void **state)
{
    struct town t;
    struct err_info info;
    uint64_t oseq = 0;
    (void)state;
    town_open(&t, 13);
    struct store *backup = pair_copy_store(&t.p, t.p.hub_store);
    pair_insert(&t.p, t.boris, "territory", "name", "Not his to write");
    pair_say(&t.p, t.boris);
    assert_ok(replica_parked(t.boris->replica, see_first, &oseq));
    pair_cut(&t.p, t.boris);
    assert_ok(replica_parked_discard(t.boris->replica, oseq, &info));
    pair_go_live(&t.p, t.boris);
    pair_go_live(&t.p, t.boris);
    assert_int_equal(t.p.hub->parked_count, 0);
    pair_put_hub_store(&t.p, backup);
    pair_cut(&t.p, t.boris);
    pair_go_live(&t.p, t.kazan->link);
    assert_int_equal(t.p.hub->parked_count, 1);
    pair_go_live(&t.p, t.boris);
    pair_go_live(&t.p, t.boris);
    assert_int_equal(t.p.hub->parked_count, 0);
    pair_go_live(&t.p, t.anna);
    pair_go_live(&t.p, t.maria);
    assert_all_settled(&t);
    pair_done(&t.p);
}

static void a_revoked_device_is_not_let_in(void **state)
{
    struct town t;
    char id[UUID_TEXT_SIZE], request[100];
    (void)state;
    town_open(&t, 13);
    uuid_format(&t.anna->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    pair_admin(&t.p, request);
    pair_run(&t.p);
    assert_false(t.anna->up);
    assert_int_equal(t.anna->why, ERR_REVOKED);
    pair_cut(&t.p, t.kazan->link);
    pair_go_live(&t.p, t.anna);
    assert_int_equal(t.anna->why, ERR_REVOKED);
    pair_done(&t.p);
}

/* Headquarters, a region, a city, a shop, a device: four tiers of servers. */
static void changes_pass_through_a_chain_of_servers(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, NULL, 14);
    struct pair_branch *region = pair_branch_new(&p, "Region", NULL),
                       *city = pair_branch_new(&p, "City", region),
                       *shop = pair_branch_new(&p, "Shop", city);
    struct pair_device *olga = pair_enrol_at(&p, "olga", "Shop", shop),
                       *pyotr = pair_enrol_at(&p, "pyotr", "City", city);
    for (int i = 0; i < 3; i++)
        pair_links_again(&p);
    pair_go_live(&p, olga);
    pair_go_live(&p, pyotr);
    struct uuid id = pair_insert(&p, olga, "party", "name", "Below");
    hands_put(&p, olga, "party", id, (struct hands_cell[]){{"visibility", "branch", {{0}}}}, 1);
    const struct hands_cell cells[] = {{"name", "Everybody's", {{0}}},
                                       {"visibility", "company", {{0}}}};
    struct uuid all = hands_put(&p, olga, "party", (struct uuid){{0}}, cells, 2);
    pair_cut(&p, region->link);
    pair_say(&p, olga);
    assert_string_equal(pair_cell(&p, pyotr, "party", all, "name"), "Everybody's");
    pair_set(&p, pyotr, "party", all, "name", "Everybody's, said Pyotr");
    pair_say(&p, pyotr);
    assert_string_equal(pair_cell(&p, olga, "party", all, "name"), "Everybody's, said Pyotr");
    pair_connect(&p, region->link, false);
    pair_run(&p);
    assert_string_equal(pair_cell(&p, NULL, "party", all, "name"), "Everybody's, said Pyotr");
    for (uint32_t i = 0; i < p.device_count; i++) {
        assert_int_equal(pair_status(&p.devices[i]).outbox_count, 0);
        assert_int_equal(replica_pending_count(p.devices[i].replica), 0);
        pair_assert_equal(&p, &p.devices[i]);
    }
    pair_done(&p);
}

/* Past what one message takes: in parts up, in several messages to the colleagues; one of more than 4 MiB only when it
 * is decided. */
static void large_groups_and_many_pass_a_branch(void **state)
{
    enum { BYTES = 60000, LARGE = 12, HUGE = 75, MANY = 520 };
    struct town t;
    char *text = malloc(BYTES + 1);
    const struct model_table *party;
    struct dot dot;
    struct err_info info;
    struct uuid ids[2];
    (void)state;
    town_open(&t, 16);
    party = model_table_by_name(t.p.model, bytes_of_text("party"));
    const uint16_t columns[] = {model_column_by_name(party, bytes_of_text("name"))->index,
                                model_column_by_name(party, bytes_of_text("notes"))->index};
    assert_non_null(text);
    pair_cut(&t.p, t.kazan->link);
    for (int large = 0; large < 2; large++) {
        assert_ok(replica_begin(t.anna->replica, t.p.now_ms));
        for (int i = 0; i < (large ? HUGE : LARGE); i++) {
            for (int k = 0; k < BYTES; k++) /* not to be deflated away */
                text[k] = (char)('a' + seeded_below(&t.p.seeded, 26));
            text[BYTES] = 0;
            const struct value values[] = {value_text(bytes_of_text("Large")),
                                           value_text(bytes_of_text(text))};
            ids[large] = (struct uuid){{0}};
            assert_ok(
                replica_insert(t.anna->replica, party, &ids[large], columns, values, 2, &info));
        }
        assert_ok(replica_commit(t.anna->replica, &dot));
    }
    free(text);
    pair_cut(&t.p, t.boris);
    for (int i = 0; i < MANY; i++)
        pair_set(&t.p, t.anna, "party", t.customer, "fax", i % 2 ? "odd" : "even");
    pair_say(&t.p, t.anna);
    pair_go_live(&t.p, t.boris);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", ids[0], "name"), "Large");
    assert_string_equal(pair_cell(&t.p, t.boris, "party", ids[1], "name"), "-");
    pair_connect(&t.p, t.kazan->link, false);
    for (int i = 0; i < 20; i++)
        pair_step(&t.p);
    pair_cut(&t.p, t.kazan->link); /* in the middle of it */
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(pair_cell(&t.p, NULL, "party", ids[1], "name"), "Large");
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "fax"), "odd");
    assert_all_settled(&t);
    pair_done(&t.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headquarters_changes_reach_the_devices),
        cmocka_unit_test(a_device_s_changes_reach_headquarters),
        cmocka_unit_test(a_cut_off_branch_is_a_working_office),
        cmocka_unit_test(who_was_away_catches_up_from_the_branch),
        cmocka_unit_test(both_sides_of_the_line_write_the_same_field),
        cmocka_unit_test(what_headquarters_sets_aside_leaves_the_colleagues_view),
        cmocka_unit_test(colleagues_get_the_part_that_they_may_see),
        cmocka_unit_test(what_belongs_to_a_moved_customer_goes_with_it),
        cmocka_unit_test(what_is_confirmed_stays_when_its_group_is_forgotten),
        cmocka_unit_test(a_branch_takes_away_what_is_out_of_scope),
        cmocka_unit_test(a_roaming_device_keeps_what_it_has_seen),
        cmocka_unit_test(a_branch_goes_on_after_a_restart),
        cmocka_unit_test(a_branch_that_lost_its_disk_is_built_anew),
        cmocka_unit_test(copies_of_a_device_are_told_apart_at_a_branch),
        cmocka_unit_test(a_branch_brings_back_what_headquarters_lost),
        cmocka_unit_test(what_was_given_up_is_given_up_again),
        cmocka_unit_test(a_revoked_device_is_not_let_in),
        cmocka_unit_test(changes_pass_through_a_chain_of_servers),
        cmocka_unit_test(large_groups_and_many_pass_a_branch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
