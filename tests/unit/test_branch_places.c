/* A branch with each place of its processes failing once, and each place at which it reads from its store being given
 * what is damaged: an office that is cut off and comes back, groups that were set aside and given up, a start, a
 * headquarters that was restored, copies of a device. Then the same with the devices', and headquarters', places.
 * What was refused has changed nothing and works when it is tried again; nothing that anyone wrote is lost.
 *
 * ctest: arena timeout=1500 valgrind=no */
#include "client/core/replica_relay.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/fault_branch.h"
#include "tests/lib/hands.h"
#include "tests/lib/pair_copy.h"
#include "tests/lib/stage.h"
#include "tests/lib/unfailing.h"

/* Kazan with Anna and Boris, below it Port with Carl; the boss and Rita are at headquarters. */
static struct fault_branch world;
static struct pair_branch *kazan, *port;
static struct pair_device *anna, *boris, *carl;
static unsigned sides; /* of the story */

static void set_away(const struct pair_device *device, bool away)
{
    world.away[device - world.play->pair.devices] = away;
    if (away)
        pair_cut(&world.play->pair, &world.play->pair.devices[device - world.play->pair.devices]);
}

static void say(struct pair_device *device)
{
    struct uplink_effects effects;
    struct pair *p = &world.play->pair;
    if (device->up)
        uplink_local_change(device->uplink, pair_device_now(p, device), &effects);
}

static void run(void)
{
    struct pair *p = &world.play->pair;
    for (uint32_t i = 0; i < p->device_count; i++)
        say(&p->devices[i]);
    fault_branch_run(&world);
}

static const char *typed(struct stage *s, const char *who)
{
    static char texts[4][40];
    static int next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof texts[0], "%s %u", who, s->round);
    return text;
}

/* Who is at headquarters is not there while something fails. */
static void settle(struct stage *s)
{
    for (int i = 0; i < PAIR_DEVICES; i++)
        world.away[i] = false;
    fault_branch_meet(&world);
    fault_branch_assert_settled(&world);
    set_away(s->boss, true);
    set_away(s->rep, true);
}

static void begin(struct stage *s)
{
    struct pair *p = &s->run.pair;
    kazan = pair_branch_new(p, "Kazan", NULL);
    port = pair_branch_new(p, "Port", kazan);
    anna = pair_enrol_at(p, "anna", "Kazan", kazan);
    boris = pair_enrol_at(p, "boris", "Kazan", kazan);
    carl = pair_enrol_at(p, "carl", "Port", port);
    hands_put(p, s->boss, "party", s->party,
              (struct hands_cell[]){{"visibility", "company", {{0}}}}, 1);
    world = (struct fault_branch){.play = &s->run, .sides = sides};
    settle(s);
}

/* ---- an office that is cut off ---- */

static struct uuid fresh, below;
static char written[40], seen[40]; /* before the round, by the first and the second */
static bool built_on;

static void prepare_office(struct stage *s)
{
    (void)failing_alloc_pause(true);
    if (!anna->up)
        fault_branch_meet(&world);
    set_away(kazan->link, true);
    (void)s;
}

/* A group that is read as damaged is kept, and not shown before it is decided. */
static void assert_shown(struct stage *s, struct pair_device *device, struct uuid id,
                         const char *column, const char *who)
{
    if (s->kind != PLACE_DAMAGE)
        assert_string_equal(pair_cell(&s->run.pair, device, "party", id, column), typed(s, who));
}

static void assert_shown_as(struct stage *s, struct pair_device *device, struct uuid id,
                            const char *name)
{
    if (s->kind != PLACE_DAMAGE)
        assert_string_equal(pair_cell(&s->run.pair, device, "party", id, "name"), name);
}

static void write_more(struct stage *s, struct pair_device *device, struct uuid id)
{
    struct pair *p = &s->run.pair;
    pair_set(p, device, "party", id, "website", typed(s, "seen"));
    pair_set(p, device, "party", id, "loyalty_points", "1");
}

/* Anna, and Carl below, write; Boris builds on what Anna wrote; the line comes back. */
static void step_office(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    fresh = pair_insert(p, anna, "party", "name", typed(s, "anna"));
    pair_set(p, anna, "party", s->party, "fax", typed(s, "anna"));
    below = pair_insert(p, carl, "party", "name", typed(s, "carl"));
    pair_set(p, carl, "party", s->party, "tax_id", typed(s, "carl"));
    run();
    assert_shown(s, boris, fresh, "name", "anna");
    assert_shown(s, boris, s->party, "tax_id", "carl");
    built_on = hands_shows(p, boris, "party", fresh);
    if (built_on) {
        write_more(s, boris, fresh);
        hands_contact(p, boris, fresh, "Of Boris");
    }
    run();
    assert_shown(s, carl, fresh, "website", "seen");
    set_away(kazan->link, false);
    run();
    (void)failing_alloc_pause(false);
}

static void check_office(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    settle(s);
    assert_string_equal(pair_cell(p, NULL, "party", fresh, "name"), typed(s, "anna"));
    assert_string_equal(pair_cell(p, NULL, "party", fresh, "website"),
                        built_on ? typed(s, "seen") : "");
    assert_string_equal(pair_cell(p, NULL, "party", fresh, "loyalty_points"), built_on ? "1" : "0");
    assert_string_equal(pair_cell(p, NULL, "party", below, "name"), typed(s, "carl"));
    assert_string_equal(pair_cell(p, NULL, "party", s->party, "fax"), typed(s, "anna"));
    assert_string_equal(pair_cell(p, NULL, "party", s->party, "tax_id"), typed(s, "carl"));
    (void)failing_alloc_pause(false);
}

static void an_office_works_whatever_fails_at(const char *name, unsigned where)
{
    sides = where;
    stage_each_world(name, 160, 40, begin, prepare_office, step_office, check_office);
}

static void an_office_works_whatever_fails_at_its_branch(void **state)
{
    (void)state;
    an_office_works_whatever_fails_at("an office: branches", FAULT_BRANCHES);
}

static void an_office_works_whatever_fails_at_its_devices(void **state)
{
    (void)state;
    an_office_works_whatever_fails_at("an office: devices", FAULT_DEVICES);
}

static void an_office_works_whatever_fails_at_headquarters(void **state)
{
    (void)state;
    an_office_works_whatever_fails_at("an office: headquarters", FAULT_HEADQUARTERS);
}

/* ---- groups that were set aside and are given up, groups that a backup holds ---- */

static enum err see_first(void *context, const struct parked_group *parked)
{
    *(uint64_t *)context = parked->dot.oseq;
    return ERR_OK;
}

static void give_up_one(struct pair_device *device)
{
    struct err_info info;
    uint64_t oseq = 0;
    assert_ok(replica_parked(device->replica, see_first, &oseq));
    assert_ok(replica_parked_discard(device->replica, oseq, &info));
}

/* Only administrators write products. */
static void prepare_given_up(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    fault_branch_meet(&world);
    fresh = pair_insert(p, anna, "product", "name", typed(s, "anna"));
    below = pair_insert(p, carl, "product", "name", typed(s, "carl"));
    run();
    assert_int_equal(pair_status(anna).parked_count, 1);
    assert_int_equal(pair_status(carl).parked_count, 1);
}

/* What a verified backup has decided is not kept any more. */
static void archive_all(struct stage *s)
{
    char request[2000];
    const char *marks = strstr(pair_admin(&s->run.pair, "{\"do\":\"marks\"}"), "\"marks\":{");
    const char *to = marks ? strchr(marks, '}') : NULL;
    assert_non_null(to);
    snprintf(request, sizeof request, "{\"do\":\"archived\",%.*s}", (int)(to - marks + 1), marks);
    pair_admin(&s->run.pair, request);
}

static void step_given_up(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    set_away(kazan->link, true);
    give_up_one(anna);
    give_up_one(carl);
    pair_set(p, carl, "party", s->party, "fax", typed(s, "carl"));
    run();
    archive_all(s);
    set_away(kazan->link, false);
    run();
    (void)failing_alloc_pause(false);
}

static uint32_t runs_of(struct pair_branch *branch, enum relay_run_kind kind)
{
    struct relay_run run = {0};
    uint32_t count = 0;
    assert_ok(store_begin(branch->link->store, STORE_READ));
    while (relay_run_next(branch->link->replica, run.number + 1, &run) == ERR_OK)
        count += run.kind == kind;
    store_rollback(branch->link->store);
    return count;
}

static void check_given_up(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    settle(s);
    assert_int_equal(pair_status(anna).parked_count, 0);
    assert_int_equal(pair_status(carl).parked_count, 0);
    assert_string_equal(pair_cell(p, NULL, "party", s->party, "fax"), typed(s, "carl"));
    assert_int_equal(pair_count(p, NULL, "product"), 0);
    assert_non_null(strstr(pair_admin(p, "{\"do\":\"status\"}"), "\"parked\":0"));
    assert_int_equal(runs_of(kazan, RUN_DISCARD), 0);
    assert_int_equal(runs_of(port, RUN_DISCARD), 0);
    assert_true(runs_of(kazan, RUN_BELOW) < 12); /* the last round's */
    (void)failing_alloc_pause(false);
}

static void what_is_given_up_or_archived_goes_whole(void **state)
{
    (void)state;
    sides = FAULT_BRANCHES;
    stage_each_world("given up: branches", 161, 20, begin, prepare_given_up, step_given_up,
                     check_given_up);
    sides = FAULT_HEADQUARTERS;
    stage_each_world("given up: headquarters", 161, 20, begin, prepare_given_up, step_given_up,
                     check_given_up);
}

/* ---- a start ---- */

static void note_typed(struct stage *s, const char *first, const char *second)
{
    snprintf(written, sizeof written, "%s", typed(s, first));
    snprintf(seen, sizeof seen, "%s", typed(s, second));
}

static void prepare_start(struct stage *s)
{
    struct pair *p = &s->run.pair;
    prepare_office(s);
    note_typed(s, "anna", "carl");
    fresh = pair_insert(p, anna, "party", "name", typed(s, "anna"));
    pair_set(p, carl, "party", s->party, "fax", typed(s, "carl"));
    run();
}

static void step_start(struct stage *s)
{
    (void)s;
    (void)failing_alloc_pause(true);
    fault_branch_restart(&world, kazan);
    fault_branch_restart(&world, port);
    run();
    (void)failing_alloc_pause(false);
}

static void check_start(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    settle(s);
    assert_string_equal(pair_cell(p, NULL, "party", fresh, "name"), written);
    (void)failing_alloc_pause(false);
}

static void a_branch_starts_whole_or_not_at_all(void **state)
{
    (void)state;
    sides = FAULT_BRANCHES;
    stage_each_world("a start", 162, 40, begin, prepare_start, step_start, check_start);
}

/* ---- a headquarters that was restored ---- */

static void prepare_restored(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    fault_branch_meet(&world);
    note_typed(s, "anna", "seen");
    struct store *backup = pair_copy_store(p, p->hub_store);
    fresh = pair_insert(p, anna, "party", "name", typed(s, "anna"));
    below = pair_insert(p, carl, "party", "name", typed(s, "carl"));
    run();
    pair_set(p, boris, "party", fresh, "website", typed(s, "seen"));
    run();
    pair_put_hub_store(p, backup);
    set_away(anna, true); /* lost, with her device: the branch has what she wrote */
}

static void step_restored(struct stage *s)
{
    (void)s;
    (void)failing_alloc_pause(true);
    run();
    (void)failing_alloc_pause(false);
}

static void check_restored(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    settle(s);
    assert_string_equal(pair_cell(p, NULL, "party", fresh, "name"), written);
    assert_string_equal(pair_cell(p, NULL, "party", fresh, "website"), seen);
    (void)failing_alloc_pause(false);
}

static void a_branch_brings_back_whole_what_headquarters_lost(void **state)
{
    (void)state;
    sides = FAULT_BRANCHES;
    stage_each_world("a restored headquarters", 163, 10, begin, prepare_restored, step_restored,
                     check_restored);
}

/* ---- copies of a device ---- */

static struct pair_device *twin;
static struct uuid of_anna, of_twin;

static void begin_copies(struct stage *s)
{
    begin(s);
    set_away(anna, true);
    twin = pair_clone_device(&s->run.pair, anna);
    set_away(twin, true);
}

/* Anna and her copy have used the same number; the second to come goes on under another origin. */
static void prepare_copies(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    set_away(twin, true);
    set_away(anna, false);
    fault_branch_meet(&world);
    set_away(anna, true);
    pair_put_store(p, twin, pair_copy_store(p, anna->store));
    note_typed(s, "anna", "twin");
    set_away(kazan->link, true);
    of_anna = pair_insert(p, anna, "party", "name", typed(s, "anna"));
    of_twin = pair_insert(p, twin, "party", "name", typed(s, "twin"));
    pair_set(p, twin, "party", of_twin, "website", typed(s, "twin"));
    twin->at = s->round % 2 ? NULL : kazan;
    set_away(anna, false);
    run();
    if (s->round % 2 == 0) /* at one server only one of them is heard */
        set_away(anna, true);
}

static void step_copies(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    set_away(twin, false);
    run();
    set_away(kazan->link, false);
    run();
    (void)p;
    (void)failing_alloc_pause(false);
}

static void check_copies(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    for (int i = 0; i < 3; i++) {
        set_away(i % 2 ? anna : twin, true);
        set_away(i % 2 ? twin : anna, false);
        set_away(kazan->link, false);
        fault_branch_meet(&world);
    }
    set_away(s->boss, false);
    set_away(s->rep, false);
    fault_branch_meet(&world);
    fault_branch_assert_settled(&world);
    set_away(s->boss, true);
    set_away(s->rep, true);
    assert_int_not_equal(pair_status(anna).origin, pair_status(twin).origin);
    assert_string_equal(pair_cell(p, NULL, "party", of_anna, "name"), written);
    assert_string_equal(pair_cell(p, NULL, "party", of_twin, "name"), seen);
    assert_string_equal(pair_cell(p, NULL, "party", of_twin, "website"), seen);
    (void)failing_alloc_pause(false);
}

static void copies_are_told_apart_whatever_fails(void **state)
{
    (void)state;
    sides = FAULT_BRANCHES;
    stage_each_world("copies", 164, 20, begin_copies, prepare_copies, step_copies, check_copies);
}

/* ---- customers that leave a branch and come back ---- */

static void show_to(struct stage *s, const char *visibility)
{
    struct pair *p = &s->run.pair;
    const struct hands_cell cells[] = {{"visibility", visibility, {{0}}},
                                       {"owner", NULL, hands_user(p, "boss")}};
    hands_put(p, s->boss, "party", s->party, cells, 2);
    pair_say(p, s->boss);
}

static void prepare_moves(struct stage *s)
{
    (void)failing_alloc_pause(true);
    fault_branch_meet(&world);
    set_away(s->boss, false);
    pair_connect(&s->run.pair, s->boss, false);
    pair_run(&s->run.pair);
    set_away(kazan->link, true);
    below = pair_insert(&s->run.pair, s->boss, "party", "name", typed(s, "boss"));
    show_to(s, "owner");
    note_typed(s, "boss", "boss");
}

/* It is gone, and comes back with another one that is deleted. */
static void step_moves(struct stage *s)
{
    (void)failing_alloc_pause(true);
    set_away(kazan->link, false);
    run();
    assert_shown_as(s, boris, s->party, "-");
    show_to(s, "company");
    pair_delete(&s->run.pair, s->boss, "party", below);
    pair_say(&s->run.pair, s->boss);
    run();
    (void)failing_alloc_pause(false);
}

static void check_moves(struct stage *s)
{
    struct pair *p = &s->run.pair;
    (void)failing_alloc_pause(true);
    settle(s);
    assert_string_equal(pair_cell(p, boris, "party", s->party, "name"), "Shared");
    assert_string_equal(pair_cell(p, carl, "party", below, "name"), "-");
    (void)failing_alloc_pause(false);
}

static void customers_leave_a_branch_and_come_back_whole(void **state)
{
    (void)state;
    sides = FAULT_BRANCHES;
    stage_each_world("moves", 166, 20, begin, prepare_moves, step_moves, check_moves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_office_works_whatever_fails_at_its_branch),
        cmocka_unit_test(an_office_works_whatever_fails_at_its_devices),
        cmocka_unit_test(an_office_works_whatever_fails_at_headquarters),
        cmocka_unit_test(what_is_given_up_or_archived_goes_whole),
        cmocka_unit_test(a_branch_starts_whole_or_not_at_all),
        cmocka_unit_test(a_branch_brings_back_whole_what_headquarters_lost),
        cmocka_unit_test(copies_are_told_apart_whatever_fails),
        cmocka_unit_test(customers_leave_a_branch_and_come_back_whole),
    };
    unfailing_libraries();
    if (getenv("SATCHEL_TEST_FILTER"))
        cmocka_set_test_filter(getenv("SATCHEL_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
