/* Copies of a device at branches: they write under the same numbers, and what headquarters has decided of one is not
 * the fate of the other's. Each story is one of the simulator's. */
#include "client/core/replica_relay.h"
#include "client/core/uplink_internal.h"
#include "tests/lib/hands.h"
#include "tests/lib/pair_copy.h"

/* Two branches side by side, or Kazan below Omsk; Anna and Boris are of Kazan, and the copy of Anna's device goes elsewhere. */
struct country {
    struct pair p;
    struct pair_branch *kazan, *omsk;
    struct pair_device *anna, *boris, *copy;
};

static struct uuid put(struct country *c, struct pair_device *d, const char *name)
{
    const struct hands_cell cells[] = {{"name", name, {{0}}}, {"visibility", "company", {{0}}}};
    return hands_put(&c->p, d, "party", (struct uuid){{0}}, cells, 2);
}

/* Kazan has pushed for Anna, and is told of her origin from then on; not so in a chain. */
static void country_open(struct country *c, uint64_t seed, bool chain)
{
    memset(c, 0, sizeof *c);
    pair_init(&c->p, NULL, seed);
    c->omsk = pair_branch_new(&c->p, "Omsk", NULL);
    c->kazan = pair_branch_new(&c->p, "Kazan", chain ? c->omsk : NULL);
    c->anna = pair_enrol_at(&c->p, "anna", "Kazan", c->kazan);
    c->boris = pair_enrol_at(&c->p, "boris", "Kazan", c->kazan);
    pair_go_live(&c->p, c->anna);
    pair_go_live(&c->p, c->boris);
    if (chain)
        return;
    (void)put(c, c->anna, "First");
    pair_say(&c->p, c->anna);
}

static void come(struct country *c, struct pair_device *d)
{
    for (int i = 0; i < 3 && !d->up; i++)
        pair_go_live(&c->p, d);
    assert_true(d->up);
}

static void assert_everywhere(struct country *c, struct uuid id, const char *name)
{
    assert_string_equal(pair_cell(&c->p, NULL, "party", id, "name"), name);
    assert_string_equal(pair_cell(&c->p, c->anna, "party", id, "name"), name);
    assert_string_equal(pair_cell(&c->p, c->boris, "party", id, "name"), name);
}

/* Anna's change is at Kazan, whose line is down, when the copy's comes to headquarters under its number. */
static void a_number_is_decided_elsewhere(struct country *c)
{
    pair_cut(&c->p, c->anna);
    c->copy = pair_clone_device(&c->p, c->anna);
    pair_cut(&c->p, c->kazan->link);
    struct uuid mine = put(c, c->anna, "Mine"), other = put(c, c->copy, "Other");
    struct uuid more = put(c, c->anna, "More"); /* in one run with hers, and of no number there */
    pair_go_live(&c->p, c->anna);
    pair_go_live(&c->p, c->copy);
    assert_string_equal(pair_cell(&c->p, c->boris, "party", mine, "name"), "Mine");
    assert_string_equal(pair_cell(&c->p, NULL, "party", other, "name"), "Other");
    pair_go_live(&c->p, c->kazan->link);
    come(c, c->anna);
    assert_everywhere(c, mine, "Mine");
    assert_everywhere(c, more, "More");
    assert_everywhere(c, other, "Other");
    assert_int_equal(pair_status(c->anna).outbox_count, 0);
    assert_int_not_equal(pair_status(c->anna).origin, pair_status(c->copy).origin);
    assert_int_equal(c->kazan->link->uplink->push.sent_count, 0); /* what was refused, too */
    pair_done(&c->p);
}

static void what_a_copy_wrote_at_headquarters_is_not_the_own(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 1, false);
    a_number_is_decided_elsewhere(&c);
}

/* It is not told while she is away, and she does not come back to Kazan. */
static void what_a_branch_holds_of_a_copy_comes_when_its_author_does(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 2, false);
    pair_cut(&c.p, c.anna);
    c.copy = pair_clone_device(&c.p, c.anna);
    pair_cut(&c.p, c.kazan->link);
    struct uuid mine = put(&c, c.anna, "Mine"), other = put(&c, c.copy, "Other");
    pair_go_live(&c.p, c.anna);
    pair_cut(&c.p, c.anna);
    pair_go_live(&c.p, c.copy);
    pair_go_live(&c.p, c.kazan->link);
    c.anna->at = c.omsk;
    come(&c, c.anna);
    assert_everywhere(&c, mine, "Mine");
    assert_everywhere(&c, other, "Other");
    pair_done(&c.p);
}

/* The branch above is told, too, and tells the one below. */
static void a_branch_below_compares_for_itself(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 3, true);
    a_number_is_decided_elsewhere(&c);
}

/* The copy has brought the same group: there is no reason to renumber it, nor to send it up. */
static void a_group_that_is_decided_is_known_by_its_tag(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 4, false);
    pair_cut(&c.p, c.anna);
    struct uuid mine = put(&c, c.anna, "Mine");
    c.copy = pair_clone_device(&c.p, c.anna);
    pair_go_live(&c.p, c.copy);
    const uint64_t origin = pair_status(c.anna).origin;
    pair_go_live(&c.p, c.anna);
    assert_true(c.anna->up);
    assert_int_equal(pair_status(c.anna).origin, origin);
    assert_int_equal(pair_status(c.anna).outbox_count, 0);
    assert_everywhere(&c, mine, "Mine");
    pair_done(&c.p);
}

/* The same with one more behind it in the same run: the first one goes up with it, and is no pending one. */
static void a_run_may_begin_with_what_is_decided(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 5, false);
    pair_cut(&c.p, c.anna);
    struct uuid mine = put(&c, c.anna, "Mine");
    c.copy = pair_clone_device(&c.p, c.anna);
    pair_go_live(&c.p, c.copy);
    pair_set(&c.p, c.anna, "party", mine, "website", "a.example");
    const uint64_t origin = pair_status(c.anna).origin;
    come(&c, c.anna);
    assert_int_equal(pair_status(c.anna).origin, origin);
    assert_int_equal(pair_status(c.anna).outbox_count, 0);
    assert_everywhere(&c, mine, "Mine");
    assert_string_equal(pair_cell(&c.p, NULL, "party", mine, "website"), "a.example");
    assert_string_equal(pair_cell(&c.p, c.boris, "party", mine, "website"), "a.example");
    assert_int_equal(replica_pending_count(c.kazan->link->replica), 0);
    pair_done(&c.p);
}

/* Two groups came in one run, and go up with its one signature: the first of them is archived, the other not decided. */
static void a_run_stays_whole_until_all_of_it_is_archived(void **state)
{
    struct country c;
    struct arena arena;
    struct relay_run run;
    const struct bytes *groups;
    bool gap;
    (void)state;
    country_open(&c, 7, false);
    struct replica *replica = c.kazan->link->replica;
    pair_cut(&c.p, c.anna);
    (void)put(&c, c.anna, "Second");
    (void)put(&c, c.anna, "Third");
    pair_cut(&c.p, c.kazan->link);
    pair_go_live(&c.p, c.anna);
    const struct mark mark = {.origin = pair_status(c.anna).origin, .upto = 2};
    const struct message_fates fates = {
        .live = FEED_LIVE, .marks = &mark, .marks_count = 1, .archived = 2};
    const struct message_checkpoint checkpoint = {.live = FEED_LIVE};
    assert_ok(replica_fates(replica, &fates));
    assert_ok(replica_checkpoint(replica, &checkpoint, c.p.now_ms, &gap));
    arena_init(&arena, 1 << 20);
    assert_ok(replica_run(replica, 1, &arena, &run, &groups));
    assert_int_equal(run.first, 2);
    assert_int_equal(run.count, 2);
    assert_non_null(groups);
    arena_done(&arena);
    pair_done(&c.p);
}

/* Kazan has heard of Olga's origin by a pending group alone, when one comes to it that was decided before. */
static void who_brings_an_origin_hears_what_was_decided_of_it(void **state)
{
    struct country c;
    (void)state;
    country_open(&c, 6, true);
    struct pair_device *olga = pair_enrol_at(&c.p, "olga", "Omsk", c.omsk);
    (void)put(&c, olga, "First");
    c.copy = pair_clone_device(&c.p, olga);
    c.copy->at = c.kazan;
    pair_cut(&c.p, c.kazan->link);
    pair_go_live(&c.p, olga);
    pair_cut(&c.p, c.omsk->link);
    pair_go_live(&c.p, c.kazan->link);
    struct uuid second = put(&c, olga, "Second");
    pair_say(&c.p, olga);
    assert_string_equal(pair_cell(&c.p, c.boris, "party", second, "name"), "Second");
    come(&c, c.copy);
    assert_int_equal(pair_status(c.copy).outbox_count, 0);
    pair_go_live(&c.p, c.omsk->link);
    assert_everywhere(&c, second, "Second");
    pair_done(&c.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_copy_wrote_at_headquarters_is_not_the_own),
        cmocka_unit_test(what_a_branch_holds_of_a_copy_comes_when_its_author_does),
        cmocka_unit_test(a_branch_below_compares_for_itself),
        cmocka_unit_test(a_group_that_is_decided_is_known_by_its_tag),
        cmocka_unit_test(a_run_may_begin_with_what_is_decided),
        cmocka_unit_test(a_run_stays_whole_until_all_of_it_is_archived),
        cmocka_unit_test(who_brings_an_origin_hears_what_was_decided_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
