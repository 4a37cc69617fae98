/* Random histories over three tiers and four: headquarters, two branches, one below the first, people at each and one
 * at headquarters. Lines are cut at any frame, people go from server to server, servers and devices die and start
 * again; customers are written, change hands and are deleted wherever people are; people join and leave teams, and
 * stand in for each other for a time. In the end nothing waits, each
 * device and each branch holds exactly what it may, version for version, and headquarters' books add up.
 *
 * tests/lib/histories.h: how to replay one.
 * ctest: timeout=900 */
#include <stdio.h>

#include "tests/lib/hands.h"
#include "tests/lib/histories.h"

enum { PEOPLE = 6, TEAMS = 2, STEPS = 160, RECORDS_MAX = 60, ROUNDS = 10 };

static const struct person {
    const char *login, *role, *branch; /* NULL: at headquarters */
} people[PEOPLE] = {{"anna", "rep", "North"},       {"boris", "rep", "North"},
                    {"carl", "rep", "South"},       {"dora", "rep", "Harbour"},
                    {"emil", "manager", "Harbour"}, {"adam", "admin", NULL}};

struct story {
    struct pair pair;
    struct seeded_rng dice;
    struct pair_device *devices[PEOPLE];
    struct pair_branch *homes[PEOPLE];
    struct uuid users[PEOPLE], teams[TEAMS];
    bool member[PEOPLE][TEAMS];
    struct uuid parties[RECORDS_MAX], contacts[RECORDS_MAX];
    uint32_t party_count, contact_count;
    uint32_t writes, roams, refused, shared, rights;
};

static const char *const team_names[TEAMS] = {"Key", "Far"};

static uint64_t roll(struct story *s, uint64_t sides)
{
    return seeded_below(&s->dice, sides);
}

static bool pick(struct story *s, struct pair_device *d, const char *table, const struct uuid *list,
                 uint32_t count, struct uuid *ret)
{
    for (int tries = 0; count && tries < 4; tries++) {
        *ret = list[roll(s, count)];
        if (hands_shows(&s->pair, d, table, *ret))
            return true;
    }
    return false;
}

static const char *text_of(struct story *s)
{
    static char text[64];
    snprintf(text, sizeof text, "text %u", (unsigned)++s->writes);
    return text;
}

static void add_party(struct story *s, struct pair_device *d, uint32_t who)
{
    static const char *const visibilities[] = {"owner", "branch", "branch", "company", "team"};
    if (s->party_count == RECORDS_MAX)
        return;
    const struct hands_cell cells[] = {{"name", text_of(s), {{0}}},
                                       {"visibility", visibilities[roll(s, 5)], {{0}}},
                                       {"owner", NULL, s->users[who]},
                                       {"team", NULL, s->teams[s->member[who][1]]}};
    s->parties[s->party_count++] = hands_put(&s->pair, d, "party", (struct uuid){{0}}, cells, 4);
}

static void add_contact(struct story *s, struct pair_device *d)
{
    struct uuid party;
    if (s->contact_count == RECORDS_MAX || !pick(s, d, "party", s->parties, s->party_count, &party))
        return;
    s->contacts[s->contact_count++] = hands_contact(&s->pair, d, party, text_of(s));
}

static void edit(struct story *s, struct pair_device *d)
{
    struct uuid id;
    bool contact = roll(s, 2);
    const char *table = contact ? "contact" : "party";
    if (pick(s, d, table, contact ? s->contacts : s->parties,
             contact ? s->contact_count : s->party_count, &id))
        pair_set(&s->pair, d, table, id,
                 roll(s, 2) ? "name"
                 : contact  ? "title"
                            : "website",
                 text_of(s));
}

static void move(struct story *s, struct pair_device *d)
{
    static const char *const visibilities[] = {"owner", "branch", "company", "team"};
    struct uuid id;
    if (!pick(s, d, "party", s->parties, s->party_count, &id))
        return;
    const uint64_t owner = roll(s, PEOPLE);
    const struct hands_cell cells[] = {{"owner", NULL, s->users[owner]},
                                       {"visibility", visibilities[roll(s, 4)], {{0}}},
                                       {"team", NULL, s->teams[s->member[owner][1]]}};
    hands_put(&s->pair, d, "party", id, cells, roll(s, 2) ? 1 : 3);
}

static void erase(struct story *s, struct pair_device *d)
{
    struct uuid id;
    bool contact = roll(s, 3) > 0;
    const char *table = contact ? "contact" : "party";
    if (pick(s, d, table, contact ? s->contacts : s->parties,
             contact ? s->contact_count : s->party_count, &id))
        pair_delete(&s->pair, d, table, id);
}

static void tell(struct story *s, struct pair_device *d)
{
    struct uplink_effects effects;
    if (!d->peer)
        return;
    uplink_local_change(d->uplink, (struct now){{s->pair.now_ms}, {s->pair.now_ms * 1000}},
                        &effects);
    if (roll(s, 3))
        pair_run(&s->pair);
}

static void write(struct story *s, uint32_t who)
{
    struct pair_device *d = s->devices[who];
    uint64_t what = roll(s, 66);
    if (what < 12)
        add_party(s, d, who);
    else if (what < 24)
        add_contact(s, d);
    else if (what < 54)
        edit(s, d);
    else if (what < 62)
        move(s, d);
    else
        erase(s, d);
    tell(s, d);
    s->shared += replica_pending_count(d->replica) > 0;
}

static void connect(struct story *s, struct pair_device *d)
{
    if (!d->peer)
        pair_connect(&s->pair, d, false);
    if (roll(s, 3))
        pair_run(&s->pair);
}

/* To headquarters, home, or anywhere. */
static void roam(struct story *s, uint32_t who)
{
    struct pair_device *d = s->devices[who];
    uint64_t where = roll(s, 2 + s->pair.branch_count);
    pair_cut(&s->pair, d);
    d->at = where == 0 ? NULL : where == 1 ? s->homes[who] : &s->pair.branches[where - 2];
    s->roams++;
    connect(s, d);
}

/* A team, or who stands in for whom, and until when. */
static void change_rights(struct story *s)
{
    const uint64_t who = roll(s, PEOPLE), team = roll(s, TEAMS), other = roll(s, PEOPLE);
    s->rights++;
    if (roll(s, 2) && who != other) {
        hands_substitute(&s->pair, people[who].login, people[other].login,
                         s->pair.now_ms + 1000 + (int64_t)roll(s, 300000));
        return;
    }
    if (s->member[who][team])
        hands_leave(&s->pair, team_names[team], people[who].login);
    else
        hands_join(&s->pair, team_names[team], people[who].login);
    s->member[who][team] = !s->member[who][team];
}

/* Time goes by, by the servers' clocks. */
static void tick(struct story *s)
{
    hub_tick(s->pair.hub, pair_hub_now(&s->pair));
    for (uint32_t i = 0; i < s->pair.branch_count; i++)
        if (s->pair.branches[i].hub)
            hub_tick(s->pair.branches[i].hub, pair_hub_now(&s->pair));
    pair_run(&s->pair);
}

static void trouble(struct story *s, struct pair_device *d)
{
    struct pair_branch *branch = &s->pair.branches[roll(s, s->pair.branch_count)];
    switch (roll(s, 8)) {
    case 0: d->frames_until_cut = d->peer ? 1 + (uint32_t)roll(s, 6) : 0; break;
    case 1: pair_cut(&s->pair, d); break;
    case 2: pair_cut(&s->pair, branch->link); break;
    case 3:
        branch->link->frames_until_cut = branch->link->peer ? 1 + (uint32_t)roll(s, 8) : 0;
        break;
    case 4: pair_restart_device(&s->pair, d); break;
    case 5: pair_restart_branch(&s->pair, branch); break;
    case 6: pair_restart_hub(&s->pair); break;
    default: pair_run(&s->pair); break;
    }
}

static void step(struct story *s)
{
    uint32_t who = (uint32_t)roll(s, PEOPLE);
    uint64_t what = roll(s, 100);
    if (what < 55)
        write(s, who);
    else if (what < 70)
        connect(s, s->devices[who]);
    else if (what < 85)
        connect(s, s->pair.branches[roll(s, s->pair.branch_count)].link);
    else if (what < 88)
        roam(s, who);
    else if (what < 92)
        change_rights(s);
    else if (what < 94)
        tick(s);
    else
        trouble(s, s->devices[who]);
    s->pair.now_ms += (int64_t)roll(s, 5000);
}

/* ---- the end ---- */

/* Everybody connects anew, the servers first. */
static void connect_all(struct story *s)
{
    struct pair *p = &s->pair;
    for (uint32_t i = 0; i < p->device_count; i++)
        p->devices[i].frames_until_cut = 0;
    for (int round = 0; round < 3; round++) /* a fork, or changed rights, end a session */
        for (int links = 1; links >= 0; links--)
            for (uint32_t i = 0; i < p->device_count; i++) {
                struct pair_device *d = &p->devices[i];
                if ((d->serves != NULL) != (links == 1) || (round && d->peer))
                    continue;
                pair_cut(p, d);
                pair_connect(p, d, false);
                pair_run(p);
            }
}

static void assert_quiet(struct pair_device *d, uint32_t i)
{
    struct replica_status status = pair_status(d);
    if (!d->peer)
        fail_msg("device %u is not connected: %s", i, d->message);
    if (status.outbox_count || replica_pending_count(d->replica))
        fail_msg("device %u: %u of its own and %u of others wait", i, (unsigned)status.outbox_count,
                 (unsigned)replica_pending_count(d->replica));
    assert_false(status.differs);
    assert_false(status.reconcile);
}

static void settle(struct story *s)
{
    struct pair *p = &s->pair;
    p->now_ms += 600000; /* all substitutions end */
    tick(s);
    for (uint32_t i = 0; i < PEOPLE; i++) {
        pair_cut(p, s->devices[i]);
        s->devices[i]->at = s->homes[i];
    }
    for (int round = 0; round < ROUNDS; round++) {
        connect_all(s);
        for (uint32_t i = 0; round + 3 < ROUNDS && i < PEOPLE; i++) {
            struct uplink_effects effects;
            s->refused += hands_give_up(s->devices[i]);
            if (s->devices[i]->peer)
                uplink_local_change(s->devices[i]->uplink,
                                    (struct now){{p->now_ms}, {p->now_ms * 1000}}, &effects);
        }
        pair_run(p);
    }
    for (uint32_t i = 0; i < p->device_count; i++) {
        assert_quiet(&p->devices[i], i);
        pair_assert_equal(p, &p->devices[i]);
        hands_assert_holds_its_own(p, &p->devices[i]);
    }
    hands_assert_verified(p);
}

static void play(uint64_t seed, uint64_t sums[5])
{
    struct story *s = calloc(1, sizeof *s);
    assert_non_null(s);
    pair_init(&s->pair, NULL, seed);
    seeded_rng_start(&s->dice, seed ^ 0x6272616e6368);
    struct pair_branch *north = pair_branch_new(&s->pair, "North", NULL);
    struct pair_branch *south = pair_branch_new(&s->pair, "South", NULL);
    struct pair_branch *harbour = pair_branch_new(&s->pair, "Harbour", north);
    pair_links_again(&s->pair);
    for (uint32_t i = 0; i < PEOPLE; i++) {
        const struct person *person = &people[i];
        s->homes[i] = !person->branch                        ? NULL
                      : strcmp(person->branch, "North") == 0 ? north
                      : strcmp(person->branch, "South") == 0 ? south
                                                             : harbour;
        if (!person->branch) {
            s->devices[i] = pair_enrol(&s->pair, person->login, person->role);
        } else {
            char request[200];
            s->devices[i] = pair_enrol_at(&s->pair, person->login, person->branch, s->homes[i]);
            snprintf(request, sizeof request,
                     "{\"do\":\"user-set\",\"login\":\"%s\",\"role\":\"%s\"}", person->login,
                     person->role);
            pair_admin(&s->pair, request);
        }
        s->users[i] = hands_user(&s->pair, person->login);
    }
    for (uint32_t i = 0; i < TEAMS; i++)
        s->teams[i] = hands_team_new(&s->pair, team_names[i], i ? "South" : NULL);
    for (uint32_t i = 0; i < STEPS; i++)
        step(s);
    settle(s);
    sums[0] += s->writes;
    sums[1] += s->roams;
    sums[2] += s->refused;
    sums[3] += s->shared;
    sums[4] += s->rights;
    pair_done(&s->pair);
    free(s);
}

static void everything_comes_together(void **state)
{
    (void)state;
    uint64_t sums[5] = {0};
    uint64_t count = histories_play(25, play, sums);
    print_message(
        "%llu histories: %llu writes, %llu times another server, %llu refused and given up, "
        "%llu writes beside others' that were not decided, %llu changes of rights\n",
        (unsigned long long)count, (unsigned long long)sums[0], (unsigned long long)sums[1],
        (unsigned long long)sums[2], (unsigned long long)sums[3], (unsigned long long)sums[4]);
    assert_true(count < 10 || sums[3] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_comes_together)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
