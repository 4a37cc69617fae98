/* Random histories in which customers change hands: owners, branches and visibility move, people and visits
 * beneath them are written, moved to other customers and deleted, offline and live, with cuts and restarts. In
 * the end each device holds exactly what its user may see, and headquarters' books add up.
 *
 * tests/lib/histories.h: how to replay one.
 * ctest: timeout=900 */
#include <stdio.h>

#include "tests/lib/hands.h"
#include "tests/lib/histories.h"

enum { PEOPLE = 5, STEPS = 150, RECORDS_MAX = 80, ROUNDS = 8 };

struct story {
    struct pair pair;
    struct seeded_rng dice;
    struct uuid users[PEOPLE];
    struct uuid parties[RECORDS_MAX], contacts[RECORDS_MAX];
    uint32_t party_count, contact_count;
    uint32_t writes, moves, refused;
};

static const char *const logins[PEOPLE] = {"anna", "boris", "carl", "mira", "adam"};

static uint64_t roll(struct story *s, uint64_t sides)
{
    return seeded_below(&s->dice, sides);
}

/* A record of the list that the device shows, or false. */
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
    static const char *const visibilities[] = {"owner", "owner", "branch", "company"};
    if (s->party_count == RECORDS_MAX)
        return;
    const char *visibility = visibilities[roll(s, 4)];
    const struct hands_cell cells[] = {{"name", text_of(s), {{0}}},
                                       {"visibility", visibility, {{0}}},
                                       {"owner", NULL, s->users[who]}};
    s->parties[s->party_count++] = hands_put(&s->pair, d, "party", (struct uuid){{0}}, cells, 3);
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
    static const char *const visibilities[] = {"owner", "branch", "company"};
    struct uuid id, to;
    s->moves++;
    if (roll(s, 4) == 0 && pick(s, d, "contact", s->contacts, s->contact_count, &id) &&
        pick(s, d, "party", s->parties, s->party_count, &to)) {
        hands_put(&s->pair, d, "contact", id, (struct hands_cell[]){{"party", NULL, to}}, 1);
    } else if (pick(s, d, "party", s->parties, s->party_count, &id)) {
        const struct hands_cell cells[] = {{"owner", NULL, s->users[roll(s, PEOPLE)]},
                                           {"visibility", visibilities[roll(s, 3)], {{0}}}};
        hands_put(&s->pair, d, "party", id, cells, roll(s, 2) ? 1 : 2);
    }
}

/* Several changes in one transaction: a customer goes, with a person that is written, or new, in it. */
static void move_in_one(struct story *s, struct pair_device *d)
{
    const struct model *model = s->pair.model;
    const struct model_table *party = model_table_by_name(model, bytes_of_text("party"));
    const struct model_table *contact = model_table_by_name(model, bytes_of_text("contact"));
    const uint16_t owner = model_column_by_name(party, bytes_of_text("owner"))->index;
    const uint16_t columns[2] = {model_column_by_name(contact, bytes_of_text("name"))->index,
                                 model_column_by_name(contact, bytes_of_text("party"))->index};
    struct uuid id, person = {{0}};
    struct err_info info;
    struct dot dot;
    if (s->contact_count == RECORDS_MAX || !pick(s, d, "party", s->parties, s->party_count, &id))
        return;
    bool known = pick(s, d, "contact", s->contacts, s->contact_count, &person);
    const struct uuid *to = &s->users[roll(s, PEOPLE)];
    const struct value values[2] = {value_text(bytes_of_text(text_of(s))),
                                    value_blob(bytes_of(id.byte, 16))};
    const struct value new_owner = value_blob(bytes_of(to->byte, 16));
    struct uuid made = {{0}};
    assert_ok(replica_begin(d->replica, s->pair.now_ms));
    bool first = roll(s, 2);
    if (known && first)
        assert_ok(replica_update(d->replica, contact, &person, columns, values,
                                 (uint16_t)(1 + roll(s, 2)), false, &info));
    assert_ok(replica_update(d->replica, party, &id, &owner, &new_owner, 1, false, &info));
    assert_ok(replica_insert(d->replica, contact, &made, columns, values, 2, &info));
    if (known && !first)
        assert_ok(replica_update(d->replica, contact, &person, columns, values,
                                 (uint16_t)(1 + roll(s, 2)), false, &info));
    assert_ok(replica_commit(d->replica, &dot));
    s->contacts[s->contact_count++] = made;
    s->pair.now_ms++;
    s->moves++;
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

static void step(struct story *s)
{
    uint32_t who = (uint32_t)roll(s, s->pair.device_count);
    struct pair_device *d = &s->pair.devices[who];
    uint64_t what = roll(s, 100);
    if (what < 10) {
        add_party(s, d, who % PEOPLE);
    } else if (what < 22) {
        add_contact(s, d);
    } else if (what < 42) {
        edit(s, d);
    } else if (what < 48) {
        move_in_one(s, d);
    } else if (what < 62) {
        move(s, d);
    } else if (what < 66) {
        erase(s, d);
    } else if (what < 80) {
        if (!d->peer)
            pair_connect(&s->pair, d, false);
        pair_run(&s->pair);
    } else if (what < 90) {
        if (d->peer)
            d->frames_until_cut = 1 + (uint32_t)roll(s, 6);
        pair_run(&s->pair);
    } else if (what < 95) {
        pair_cut(&s->pair, d);
    } else if (what < 98) {
        pair_restart_device(&s->pair, d);
    } else {
        pair_restart_hub(&s->pair);
    }
    if (what < 66)
        tell(s, d);
    s->pair.now_ms += (int64_t)roll(s, 5000);
}

struct placing {
    struct story *s;
    const struct model_table *table;
    const char *of; /* the column that names the record that it goes with */
};

static int look_at_place(void *context, const struct uuid *id)
{
    struct placing *p = context;
    struct pair *pair = &p->s->pair;
    struct arena arena;
    struct store_row row, with;
    struct uuid of;
    arena_init(&arena, 1 << 22);
    assert_ok(store_row_get(pair->hub_store, p->table, id, &arena, &row));
    const struct value *value =
        &row.values[model_column_by_name(p->table, bytes_of_text(p->of))->index];
    assert_int_equal(value->as.bytes.size, 16);
    memcpy(of.byte, value->as.bytes.data, 16);
    for (uint16_t i = 0; i < pair->model->table_count; i++)
        if (store_row_get(pair->hub_store, &pair->model->tables[i], &of, &arena, &with) == ERR_OK)
            assert_int_equal(row.bucket, with.bucket);
    arena_done(&arena);
    return 0;
}

/* At headquarters people are where their customer is, and conflicts where their record is. */
static void assert_placed(struct story *s)
{
    static const char *const pairs[][2] = {{"contact", "party"}, {"conflict", "record"}};
    assert_ok(store_begin(s->pair.hub_store, STORE_READ));
    for (size_t i = 0; i < 2; i++) {
        struct placing p = {s, model_table_by_name(s->pair.model, bytes_of_text(pairs[i][0])),
                            pairs[i][1]};
        assert_ok(store_row_scan(s->pair.hub_store, p.table, NULL, look_at_place, &p));
        assert_ok(store_dead_scan(s->pair.hub_store, p.table, NULL, look_at_place, &p));
    }
    store_rollback(s->pair.hub_store);
}

static void settle(struct story *s)
{
    s->pair.now_ms += 60000;
    for (uint32_t i = 0; i < s->pair.device_count; i++)
        s->pair.devices[i].frames_until_cut = 0;
    for (int round = 0; round < ROUNDS; round++)
        for (uint32_t i = 0; i < s->pair.device_count; i++) {
            pair_cut(&s->pair, &s->pair.devices[i]);
            pair_sync(&s->pair, &s->pair.devices[i]);
            if (round + 3 < ROUNDS)
                s->refused += hands_give_up(&s->pair.devices[i]);
        }
    for (uint32_t i = 0; i < s->pair.device_count; i++) {
        pair_assert_equal(&s->pair, &s->pair.devices[i]);
        hands_assert_holds_its_own(&s->pair, &s->pair.devices[i]);
    }
    assert_placed(s);
    hands_assert_verified(&s->pair);
}

static void play(uint64_t seed, uint64_t sums[3])
{
    static const char *const roles[PEOPLE] = {"rep", "rep", "rep", "manager", "admin"};
    struct story *s = calloc(1, sizeof *s);
    assert_non_null(s);
    pair_init(&s->pair, NULL, seed);
    seeded_rng_start(&s->dice, seed ^ 0x6d6f766573);
    pair_admin(&s->pair, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&s->pair, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    for (uint32_t i = 0; i < PEOPLE; i++) {
        char request[200];
        snprintf(request, sizeof request,
                 "{\"do\":\"user-add\",\"login\":\"%s\",\"role\":\"%s\",\"branch\":\"%s\"}",
                 logins[i], roles[i], i == 2 ? "South" : "North");
        pair_admin(&s->pair, request);
        pair_enrol(&s->pair, logins[i], roles[i]);
        s->users[i] = hands_user(&s->pair, logins[i]);
    }
    pair_enrol(&s->pair, logins[0], roles[0]); /* a second device */
    for (uint32_t i = 0; i < s->pair.device_count; i++)
        pair_sync(&s->pair, &s->pair.devices[i]);
    for (int i = 0; i < STEPS; i++)
        step(s);
    settle(s);
    sums[0] += s->writes;
    sums[1] += s->moves;
    sums[2] += s->refused;
    pair_done(&s->pair);
    free(s);
}

static void customers_change_hands(void **state)
{
    (void)state;
    uint64_t sums[3] = {0};
    uint64_t count = histories_play(60, play, sums);
    print_message("%llu histories: %llu texts, %llu moves, %llu groups refused\n",
                  (unsigned long long)count, (unsigned long long)sums[0],
                  (unsigned long long)sums[1], (unsigned long long)sums[2]);
    assert_true(count < 10 || (sums[1] > 0 && sums[2] > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(customers_change_hands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
