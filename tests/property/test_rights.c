/* Random histories in which rights change: people join and leave teams, stand in for each other for a time, customers
 * go to owners, teams, branches and everybody, offline and live, with cuts and restarts. Each text that is written has a
 * number. An oracle of its own says after each frame who may see which customer; a text that reaches somebody who
 * was never allowed to see its customer since it was written, on the wire or in the bytes of the files of a replica,
 * is a leak. In the end each device holds what its user may see, and no file a text of anything else.
 *
 * tests/lib/histories.h: how to replay one.
 * ctest: timeout=900 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/deflate.h"
#include "common/store_sqlite/store_sqlite.h"
#include "protocol/frame.h"
#include "tests/lib/hands.h"
#include "tests/lib/histories.h"

enum {
    PEOPLE = 6,
    TEAMS = 3,
    STEPS = 300,
    PARTIES = 40,
    CONTACTS = 40,
    TEXTS = 4000,
    WISHES = 6,
    ROUNDS = 8
};

static const struct person {
    const char *login, *role, *branch;
} people[PEOPLE] = {{"anna", "rep", "North"},     {"boris", "rep", "North"},
                    {"carl", "rep", "South"},     {"dora", "rep", "South"},
                    {"mira", "manager", "North"}, {"adam", "admin", "North"}};
static const char *const team_names[TEAMS] = {"Key", "Far", "Old"};
static const bool team_in_north[TEAMS] = {true, false, false};

/* Where a customer is, or is wished to be. */
struct where {
    char visibility; /* c, b, o, t; 0: nowhere */
    uint8_t owner, team;
    bool north;
};

struct party {
    struct uuid id;
    struct where
        wishes[WISHES]; /* what devices have asked for lately: decided soon, for a moment */
    uint32_t wish_count;
};

struct text {
    uint8_t party, device;
    uint16_t
        may; /* people who were allowed to see the customer at some time since it was written */
};

struct story {
    struct pair pair;
    struct seeded_rng dice;
    struct inflater *inflater;
    struct uuid users[PEOPLE], branches[2], teams[TEAMS];
    bool member[PEOPLE][TEAMS];
    uint8_t substitute[PEOPLE]; /* of whom; PEOPLE: nobody */
    int64_t until_ms[PEOPLE];
    struct party parties[PARTIES];
    struct uuid contacts[CONTACTS];
    uint8_t contact_party[CONTACTS];
    struct text texts[TEXTS];
    uint32_t party_count, contact_count, text_count;
    uint32_t moves, rights, looked, refused;
    char folder[64];
};

static struct story *current;

static uint64_t roll(struct story *s, uint64_t sides)
{
    return seeded_below(&s->dice, sides);
}

/* ---- the oracle ---- */

/* What a person is: rank, branch and memberships, and those of whom they stand in for. */
static bool owns_sight(const struct story *s, uint32_t who, const struct where *w)
{
    return (w->visibility == 'o' && w->owner == who) ||
           (w->visibility == 't' && w->team < TEAMS && s->member[who][w->team]);
}

static bool sees(const struct story *s, uint32_t who, const struct where *w)
{
    const bool north = strcmp(people[who].branch, "North") == 0;
    if (strcmp(people[who].role, "admin") == 0 || w->visibility == 'c')
        return true;
    if (w->visibility == 'b' && w->north == north)
        return true;
    if (owns_sight(s, who, w))
        return true;
    for (uint32_t of = 0; of < PEOPLE; of++)
        if (s->substitute[of] == who && s->until_ms[of] > s->pair.now_ms - 2 &&
            owns_sight(s, of, w))
            return true;
    if (strcmp(people[who].role, "manager") != 0)
        return false;
    return (w->visibility == 'o' && w->owner < PEOPLE &&
            strcmp(people[w->owner].branch, people[who].branch) == 0) ||
           (w->visibility == 't' && w->team < TEAMS && team_in_north[w->team] == north && north);
}

static uint8_t index_of(const struct uuid *list, uint32_t count, const struct value *value)
{
    struct uuid id;
    for (uint32_t i = 0; value_id(value, &id) && i < count; i++)
        if (uuid_equal(&list[i], &id))
            return (uint8_t)i;
    return (uint8_t)count;
}

/* Where headquarters has the customer; nowhere: it does not have it, or nobody but administrators sees it. */
static struct where place_of(struct story *s, const struct party *party)
{
    const struct model_table *table = model_table_by_name(s->pair.model, bytes_of_text("party"));
    struct where where = {0};
    struct arena arena;
    struct store_row row;
    arena_init(&arena, 1 << 20);
    if (store_row_get(s->pair.hub_store, table, &party->id, &arena, &row) == ERR_OK) {
        const struct value *v = row.values;
        where.visibility = (char)v[table->visibility_column].as.bytes.data[0];
        where.owner = index_of(s->users, PEOPLE, &v[table->owner_column]);
        where.team = index_of(s->teams, TEAMS, &v[table->team_column]);
        where.north = index_of(s->branches, 2, &v[table->branch_column]) == 0;
        if (v[table->branch_column].kind == VALUE_NULL && where.visibility == 'b')
            where.visibility = 0;
    }
    arena_done(&arena);
    return where;
}

/* Who may see what, now, is added to what each text's readers may be. */
static void look(struct story *s)
{
    uint16_t may[PARTIES] = {0};
    bool own = store_begin(s->pair.hub_store, STORE_READ) == ERR_OK;
    for (uint32_t p = 0; p < s->party_count; p++) {
        const struct where place = place_of(s, &s->parties[p]);
        for (uint32_t who = 0; who < PEOPLE; who++) {
            bool yes = sees(s, who, &place);
            for (uint32_t w = 0; !yes && w < WISHES; w++)
                yes = sees(s, who, &s->parties[p].wishes[w]);
            may[p] |= (uint16_t)(yes << who);
        }
    }
    if (own)
        store_rollback(s->pair.hub_store);
    for (uint32_t t = 0; t < s->text_count; t++)
        s->texts[t].may |= may[s->texts[t].party];
    s->looked++;
}

static uint32_t person_of(const struct pair_device *d)
{
    uint32_t n = (uint32_t)(d - current->pair.devices);
    return n < PEOPLE ? n : 0; /* the last is Anna's second one */
}

/* The first text of these bytes that the device may not have; TEXTS: none. */
static uint32_t leak_in(struct story *s, uint32_t device, struct bytes bytes, bool at_rest)
{
    const uint32_t who = device < PEOPLE ? device : 0;
    for (size_t i = 0; i + 8 <= bytes.size; i++) {
        const uint8_t *at = memchr(bytes.data + i, '~', bytes.size - i);
        if (!at || (size_t)(at - bytes.data) + 7 > bytes.size)
            break;
        i = (size_t)(at - bytes.data);
        unsigned number = 0, digits = 0;
        for (; digits < 5 && at[1 + digits] >= '0' && at[1 + digits] <= '9'; digits++)
            number = number * 10 + (unsigned)(at[1 + digits] - '0');
        if (digits != 5 || at[6] != '~' || number >= s->text_count)
            continue;
        const struct text *text = &s->texts[number];
        const bool wrote = text->device == device; /* the sent-log keeps what one wrote oneself */
        if (!wrote && (at_rest || !(text->may >> who & 1)))
            return number;
    }
    return TEXTS;
}

static void watch(struct pair_device *device, bool up, struct bytes frame)
{
    struct story *s = current;
    struct buf inflated;
    if (up || frame.size < 6)
        return;
    look(s);
    buf_init(&inflated, FRAME_INFLATED_MAX);
    struct bytes payload = bytes_of(frame.data + 6, frame.size - 6);
    if (frame.data[1] & 1) {
        assert_ok(inflate_frame(s->inflater, payload, FRAME_INFLATED_MAX, &inflated));
        payload = buf_view(&inflated);
    }
    uint32_t n = (uint32_t)(device - s->pair.devices), text = leak_in(s, n, payload, false);
    if (text != TEXTS)
        fail_msg("text %u of customer %u is sent to %s, who may not see it (frame %u)", text,
                 s->texts[text].party, people[person_of(device)].login, frame.data[0]);
    buf_done(&inflated);
}

/* ---- writing ---- */

static const char *text_of(struct story *s, struct pair_device *d, uint32_t party)
{
    static char text[100];
    assert_true(s->text_count < TEXTS);
    snprintf(text, sizeof text, "a text ~%05u~ of %u", s->text_count, party);
    s->texts[s->text_count++] =
        (struct text){.party = (uint8_t)party, .device = (uint8_t)(d - s->pair.devices)};
    return text;
}

static bool pick_party(struct story *s, struct pair_device *d, uint32_t *ret)
{
    for (int tries = 0; s->party_count && tries < 4; tries++) {
        *ret = (uint32_t)roll(s, s->party_count);
        if (hands_shows(&s->pair, d, "party", s->parties[*ret].id))
            return true;
    }
    return false;
}

/* The columns that say where it goes, and that it is wished. */
/* Mostly what headquarters will grant. */
static uint16_t wish(struct story *s, uint32_t who, uint32_t party, bool is_new,
                     struct hands_cell *cells)
{
    static const char *const names[] = {"owner",   "team",  "team", "branch",
                                        "company", "owner", "team"};
    struct party *p = &s->parties[party];
    struct where where = {.owner = (uint8_t)roll(s, PEOPLE), .team = (uint8_t)roll(s, TEAMS)};
    const uint64_t branch = roll(s, 3) ? strcmp(people[who].branch, "North") != 0 : roll(s, 2);
    for (int tries = 0; roll(s, 5) && tries < 8 && !s->member[where.owner][where.team]; tries++) {
        where.team = (uint8_t)roll(s, TEAMS);
        where.owner = (uint8_t)roll(s, PEOPLE);
    }
    if (is_new && roll(s, 4))
        where.owner = (uint8_t)who;
    for (uint32_t t = 0; is_new && t < TEAMS; t++)
        where.team = s->member[who][t] ? (uint8_t)t : where.team;
    const char *name = names[roll(s, roll(s, 3) ? 3 : 7)];
    where.visibility = name[0];
    where.north = branch == 0;
    p->wishes[p->wish_count++ % WISHES] = where;
    cells[0] = (struct hands_cell){"visibility", name, {{0}}};
    cells[1] = (struct hands_cell){"owner", NULL, s->users[where.owner]};
    cells[2] = (struct hands_cell){"team", NULL, s->teams[where.team]};
    cells[3] = (struct hands_cell){"branch", NULL, s->branches[branch]};
    return 4;
}

static void write_some(struct story *s, struct pair_device *d)
{
    struct hands_cell cells[6];
    uint32_t party = 0;
    const uint64_t what = roll(s, 100);
    if (what < 20 && s->party_count < PARTIES) {
        party = s->party_count++;
        uint16_t count = wish(s, person_of(d), party, true, cells);
        cells[count] = (struct hands_cell){"name", text_of(s, d, party), {{0}}};
        s->parties[party].id =
            hands_put(&s->pair, d, "party", (struct uuid){{0}}, cells, count + 1);
    } else if (what < 40 && s->contact_count < CONTACTS && pick_party(s, d, &party)) {
        s->contact_party[s->contact_count] = (uint8_t)party;
        const struct uuid id = s->parties[party].id;
        s->contacts[s->contact_count++] = hands_contact(&s->pair, d, id, text_of(s, d, party));
    } else if (what < 60 && pick_party(s, d, &party)) {
        s->moves++;
        uint16_t count = wish(s, person_of(d), party, false, cells);
        hands_put(&s->pair, d, "party", s->parties[party].id, cells, count);
    } else if (what < 85 && pick_party(s, d, &party)) {
        pair_set(&s->pair, d, "party", s->parties[party].id, roll(s, 2) ? "website" : "name",
                 text_of(s, d, party));
    } else if (s->contact_count) {
        uint32_t contact = (uint32_t)roll(s, s->contact_count);
        if (hands_shows(&s->pair, d, "contact", s->contacts[contact]))
            pair_set(&s->pair, d, "contact", s->contacts[contact], "title",
                     text_of(s, d, s->contact_party[contact]));
    }
    look(s); /* before anything of it is on its way: its author's sight, and what is wished */
}

/* ---- rights ---- */

static void change_rights(struct story *s)
{
    const uint32_t who = (uint32_t)roll(s, PEOPLE), other = (uint32_t)roll(s, PEOPLE);
    const uint32_t team = (uint32_t)roll(s, TEAMS);
    s->rights++;
    if (roll(s, 3)) {
        if (s->member[who][team])
            hands_leave(&s->pair, team_names[team], people[who].login);
        else
            hands_join(&s->pair, team_names[team], people[who].login);
        s->member[who][team] = !s->member[who][team];
    } else if (s->substitute[who] < PEOPLE && s->until_ms[who] > s->pair.now_ms && roll(s, 2)) {
        hands_end(&s->pair, people[who].login);
        s->substitute[who] = PEOPLE;
    } else if (who != other) {
        s->until_ms[who] = s->pair.now_ms + 20000 + (int64_t)roll(s, 300000);
        s->substitute[who] = (uint8_t)other;
        hands_substitute(&s->pair, people[who].login, people[other].login, s->until_ms[who]);
    }
    if (roll(s, 3))
        pair_run(&s->pair);
}

static void tick(struct story *s)
{
    s->pair.now_ms += (int64_t)roll(s, 20000);
    hub_tick(s->pair.hub, pair_hub_now(&s->pair));
    pair_run(&s->pair);
}

static void step(struct story *s)
{
    struct pair_device *d = &s->pair.devices[roll(s, s->pair.device_count)];
    const uint64_t what = roll(s, 100);
    if (what < 50) {
        struct uplink_effects effects;
        write_some(s, d);
        if (d->peer)
            uplink_local_change(d->uplink, (struct now){{s->pair.now_ms}, {s->pair.now_ms * 1000}},
                                &effects);
        if (roll(s, 3))
            pair_run(&s->pair);
    } else if (what < 62) {
        change_rights(s);
    } else if (what < 82) {
        if (!d->peer)
            pair_connect(&s->pair, d, false);
        pair_run(&s->pair);
    } else if (what < 88) {
        d->frames_until_cut = d->peer ? 1 + (uint32_t)roll(s, 6) : 0;
        pair_run(&s->pair);
    } else if (what < 91) {
        pair_cut(&s->pair, d);
    } else if (what < 94) {
        pair_restart_device(&s->pair, d);
    } else if (what < 96) {
        pair_restart_hub(&s->pair);
    } else {
        tick(s);
    }
    s->pair.now_ms += (int64_t)roll(s, 3000);
}

/* ---- the end ---- */

static void look_into_file(struct story *s, uint32_t device, const char *suffix)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%u.db%s", s->folder, device, suffix);
    FILE *file = fopen(path, "rb");
    if (!file)
        return;
    struct stat info;
    assert_int_equal(fstat(fileno(file), &info), 0);
    uint8_t *bytes = malloc((size_t)info.st_size + 1);
    assert_non_null(bytes);
    size_t size = fread(bytes, 1, (size_t)info.st_size, file);
    fclose(file);
    /* at rest, what is seen now may be there, and nothing that was seen before */
    for (uint32_t t = 0; t < s->text_count; t++) {
        const struct party *party = &s->parties[s->texts[t].party];
        const struct where place = place_of(s, party);
        if (sees(s, device < PEOPLE ? device : 0, &place))
            s->texts[t].device = (uint8_t)device; /* as good as the own ones */
    }
    uint32_t text = leak_in(s, device, bytes_of(bytes, size), true);
    if (text != TEXTS)
        fail_msg("text %u of customer %u is in %s", text, s->texts[text].party, path);
    free(bytes);
}

static struct store *open_on_disk(struct pair *pair, uint32_t n);

static void settle(struct story *s)
{
    struct pair *p = &s->pair;
    p->now_ms += 600000; /* substitutions end */
    hub_tick(p->hub, pair_hub_now(p));
    for (uint32_t i = 0; i < p->device_count; i++)
        p->devices[i].frames_until_cut = 0;
    for (int round = 0; round < ROUNDS; round++)
        for (uint32_t i = 0; i < p->device_count; i++) {
            pair_cut(p, &p->devices[i]);
            pair_sync(p, &p->devices[i]);
            if (round + 3 < ROUNDS)
                s->refused += hands_give_up(&p->devices[i]);
        }
    for (uint32_t i = 0; i < p->device_count; i++) {
        pair_assert_equal(p, &p->devices[i]);
        hands_assert_holds_its_own(p, &p->devices[i]);
    }
    hands_assert_verified(p);
    struct text *kept = malloc(sizeof s->texts);
    assert_non_null(kept);
    memcpy(kept, s->texts, sizeof s->texts);
    for (uint32_t i = 0; i < p->device_count; i++) {
        assert_ok(store_begin(p->hub_store, STORE_READ));
        for (uint32_t k = 0; k < s->party_count;
             k++) { /* the oracle and the replica say the same */
            const struct where place = place_of(s, &s->parties[k]);
            if (place.visibility && hands_shows(p, &p->devices[i], "party", s->parties[k].id) !=
                                        sees(s, i < PEOPLE ? i : 0, &place))
                fail_msg("customer %u and %s", k, people[i < PEOPLE ? i : 0].login);
        }
        struct pair_device *d = &p->devices[i];
        pair_restart_device(p, d); /* ends its session */
        replica_close(d->replica);
        store_close(d->store); /* as when the program has ended */
        look_into_file(s, i, "");
        look_into_file(s, i, "-wal");
        store_rollback(p->hub_store);
        d->store = open_on_disk(p, i);
        pair_open_device(p, d);
        memcpy(s->texts, kept, sizeof s->texts);
    }
    free(kept);
}

static struct store *open_on_disk(struct pair *pair, uint32_t n)
{
    char path[100];
    struct store *store;
    struct err_info info = {0};
    snprintf(path, sizeof path, "%s/%u.db", current->folder, n);
    const struct store_sqlite_options options = {
        .path = path, .synchronous = STORE_SQLITE_OFF, .erases = true, .cache_bytes = 1 << 20};
    if (store_sqlite_open(&options, pair->model, &store, &info) != ERR_OK)
        fail_msg("%s", info.message);
    return store;
}

static void play(uint64_t seed, uint64_t sums[4])
{
    struct story *s = calloc(1, sizeof *s);
    char command[100];
    assert_non_null(s);
    current = s;
    snprintf(s->folder, sizeof s->folder, "/tmp/satchel-rights-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    assert_ok(inflater_new(&s->inflater));
    pair_init(&s->pair, NULL, seed);
    s->pair.open_store = open_on_disk;
    seeded_rng_start(&s->dice, seed ^ 0x726967687473);
    pair_admin(&s->pair, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&s->pair, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    for (uint32_t i = 0; i < PEOPLE; i++) {
        char request[200];
        snprintf(request, sizeof request,
                 "{\"do\":\"user-add\",\"login\":\"%s\",\"role\":\"%s\",\"branch\":\"%s\"}",
                 people[i].login, people[i].role, people[i].branch);
        pair_admin(&s->pair, request);
        pair_enrol(&s->pair, people[i].login, people[i].role);
        s->users[i] = hands_user(&s->pair, people[i].login);
        s->substitute[i] = PEOPLE;
    }
    pair_enrol(&s->pair, people[0].login, people[0].role);
    for (uint32_t i = 0; i < 2; i++)
        s->branches[i] = hands_branch(&s->pair, i ? "South" : "North");
    for (uint32_t i = 0; i < TEAMS; i++)
        s->teams[i] = hands_team_new(&s->pair, team_names[i], team_in_north[i] ? "North" : NULL);
    for (uint32_t i = 0; i < PEOPLE; i++)
        for (uint32_t k = 0; k < TEAMS; k++)
            if ((s->member[i][k] = roll(s, 2)))
                hands_join(&s->pair, team_names[k], people[i].login);
    for (uint32_t i = 0; i < s->pair.device_count; i++) {
        pair_sync(&s->pair, &s->pair.devices[i]);
        s->pair.devices[i].on_frame = watch;
    }
    for (int i = 0; i < STEPS; i++)
        step(s);
    settle(s);
    sums[0] += s->text_count;
    sums[1] += s->moves;
    sums[2] += s->rights;
    sums[3] += s->refused;
    inflater_free(s->inflater);
    pair_done(&s->pair);
    snprintf(command, sizeof command, "%s", s->folder);
    for (uint32_t i = 0; i < PAIR_DEVICES; i++)
        for (int k = 0; k < 3; k++) {
            char path[120];
            snprintf(path, sizeof path, "%s/%u.db%s", command, i,
                     k == 0   ? ""
                     : k == 1 ? "-wal"
                              : "-shm");
            (void)unlink(path);
        }
    (void)rmdir(s->folder);
    free(s);
}

static void nobody_learns_what_they_may_not_see(void **state)
{
    (void)state;
    uint64_t sums[4] = {0};
    uint64_t count = histories_play(40, play, sums);
    print_message("%llu histories: %llu texts, %llu moves, %llu changes of rights, %llu refused\n",
                  (unsigned long long)count, (unsigned long long)sums[0],
                  (unsigned long long)sums[1], (unsigned long long)sums[2],
                  (unsigned long long)sums[3]);
    assert_true(count < 10 || (sums[1] > 0 && sums[2] > 0 && sums[3] > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_learns_what_they_may_not_see)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
