/* act_people.c - customers change hands, one by one or all that somebody owns; teams are made, entered, left and
 * removed; somebody stands in for somebody for a time.
 *
 * Who:        moves are local transactions of devices, hand-overs too (of managers, or of who owns it all); teams and
 *             substitutes are what an administrator asks of headquarters.
 * Restores:   a team that a restore has undone is not made again under its number. */
#include <string.h>

#include "tests/sim/act.h"
#include "tests/sim/seats.h"
#include "tests/sim/sight.h"
#include "tests/sim/write.h"

enum { HANDED_OVER_MOST = 40, OF_PEOPLE = 16 /* buckets before those of users */ };

static const int64_t minute_ms = 60000, hour_ms = 60 * 60000;

/* ---- teams and substitutes ---- */

/* Somebody who is no server. */
static uint32_t any_user(const struct world *world, struct seeded_rng *dice)
{
    const struct ledger *l = world->ledger;
    uint32_t user = (uint32_t)seeded_below(dice, l->person_count);
    return l->people[user].server ? 0 : user;
}

static void ask(struct world *world, const char *request, enum cover cover)
{
    say(world, "%s", request);
    if (hub_node_ask(&world->nodes[0], request))
        world->cover[cover]++;
    oracle_people(world);
}

static void add_team(struct world *world, struct seeded_rng *dice)
{
    struct ledger *l = world->ledger;
    char request[120], branch[32] = "";
    if (l->teams_made == TEAMS_MAX)
        return;
    if (seeded_below(dice, 2))
        snprintf(branch, sizeof branch, ",\"branch\":\"b%u\"",
                 (unsigned)seeded_below(dice, l->branch_count));
    snprintf(request, sizeof request, "{\"do\":\"team-add\",\"name\":\"t%u\"%s}", l->teams_made++,
             branch);
    ask(world, request, COVER_TEAMS);
}

static void change_member(struct world *world, struct seeded_rng *dice, bool joins)
{
    const struct ledger *l = world->ledger;
    char request[120];
    if (l->teams_made == 0)
        return;
    snprintf(request, sizeof request, "{\"do\":\"%s\",\"team\":\"t%u\",\"login\":\"u%u\"}",
             joins ? "team-join" : "team-leave", (unsigned)seeded_below(dice, l->teams_made),
             any_user(world, dice));
    ask(world, request, COVER_TEAMS);
}

static void remove_team(struct world *world, struct seeded_rng *dice)
{
    char request[120];
    if (world->ledger->teams_made == 0)
        return;
    snprintf(request, sizeof request, "{\"do\":\"team-remove\",\"team\":\"t%u\"}",
             (unsigned)seeded_below(dice, world->ledger->teams_made));
    ask(world, request, COVER_TEAMS);
}

static void change_team(struct world *world, struct seeded_rng *dice)
{
    uint64_t what = seeded_below(dice, 16);
    if (what < 2)
        add_team(world, dice);
    else if (what < 9)
        change_member(world, dice, true);
    else if (what < 15)
        change_member(world, dice, false);
    else
        remove_team(world, dice);
}

/* From seconds to weeks. */
static int64_t some_time_ms(struct seeded_rng *dice)
{
    switch (seeded_below(dice, 3)) {
    case 0: return 1000 + (int64_t)seeded_below(dice, 10 * (uint64_t)minute_ms);
    case 1: return minute_ms + (int64_t)seeded_below(dice, 48 * (uint64_t)hour_ms);
    default: return hour_ms + (int64_t)seeded_below(dice, 20 * 24 * (uint64_t)hour_ms);
    }
}

static void substitute(struct world *world, struct seeded_rng *dice)
{
    char request[160];
    uint32_t user = any_user(world, dice), by = any_user(world, dice);
    int64_t until_ms = node_hub_now(&world->nodes[0]).wall.ms + some_time_ms(dice);
    if (seeded_below(dice, 6) == 0)
        snprintf(request, sizeof request, "{\"do\":\"user-substitute\",\"login\":\"u%u\"}", user);
    else
        snprintf(request, sizeof request,
                 "{\"do\":\"user-substitute\",\"login\":\"u%u\",\"by\":\"u%u\",\"until_ms\":%lld}",
                 user, by, (long long)until_ms);
    ask(world, request, COVER_SUBSTITUTES);
}

void people_set_up(struct world *world)
{
    struct seeded_rng dice;
    if (!world->sight || world->failed)
        return;
    seeded_rng_start(&dice, world->plan->seed * 127 + 29);
    uint64_t teams = seeded_below(&dice, 4);
    for (uint64_t i = 0; i < teams; i++)
        add_team(world, &dice);
    for (uint64_t i = 0; i < 4 * teams; i++)
        change_member(world, &dice, true);
}

/* ---- where a customer is ---- */

uint16_t people_bucket(struct writing *w, bool forged)
{
    const struct ledger *l = w->ledger;
    uint64_t scope = l->people[w->node->user].scope;
    for (int tries = 0; tries < 40; tries++) {
        uint16_t bucket = (uint16_t)seeded_below(w->dice, OF_PEOPLE + l->person_count);
        bool there = bucket >= BUCKET_TEAM
                         ? bucket - BUCKET_TEAM < (int)l->team_count || bucket >= BUCKET_USER
                         : bucket <= l->branch_count;
        if (there && (scope >> bucket & 1) != forged)
            return bucket;
    }
    return 0;
}

static struct value reference(const struct uuid *id)
{
    return value_blob(bytes_of(id->byte, 16));
}

static struct value visibility_of(uint16_t bucket)
{
    return value_text(bytes_of_text(bucket == 0            ? "company"
                                    : bucket < BUCKET_TEAM ? "branch"
                                    : bucket < BUCKET_USER ? "team"
                                                           : "owner"));
}

void people_route(struct writing *w, uint16_t bucket, struct value values[4])
{
    const struct ledger *l = w->ledger;
    uint32_t owner = bucket >= BUCKET_USER ? (uint32_t)(bucket - BUCKET_USER)
                     : seeded_below(w->dice, 4)
                         ? w->node->user
                         : (uint32_t)seeded_below(w->dice, 2) * 1000; /* nobody */
    uint32_t branch =
        bucket > 0 && bucket < BUCKET_TEAM ? bucket - 1u : l->people[w->node->user].branch;
    values[0] = visibility_of(bucket);
    values[1] = branch < l->branch_count ? reference(&l->branches[branch]) : value_null();
    values[2] = owner < l->person_count ? reference(&l->people[owner].id) : value_null();
    values[3] = bucket >= BUCKET_TEAM && bucket < BUCKET_USER
                    ? reference(&l->teams[bucket - BUCKET_TEAM])
                    : value_null();
}

/* ---- moves ---- */

struct going {
    uint16_t columns[4];
    struct value values[4];
    uint16_t count;
};

static void put(struct going *going, int16_t column, struct value value)
{
    going->columns[going->count] = (uint16_t)column;
    going->values[going->count++] = value;
}

/* To somebody, with that one's branch, as `satchel handover` writes it. */
static void put_owner(struct writing *w, struct going *going, uint32_t at, uint32_t owner,
                      bool with_branch)
{
    const struct ledger *l = w->ledger;
    const struct model_table *table = write_table(w, "account");
    put(going, table->owner_column, reference(&l->people[owner].id));
    (void)ledger_op(w->ledger, w->tx, OP_NUMBER, at, (uint16_t)table->owner_column, owner);
    if (with_branch && l->people[owner].branch != NONE)
        put(going, table->branch_column, reference(&l->branches[l->people[owner].branch]));
}

static void put_bucket(struct writing *w, struct going *going)
{
    const struct ledger *l = w->ledger;
    const struct model_table *table = write_table(w, "account");
    uint16_t bucket = people_bucket(w, seeded_below(w->dice, 4) == 0);
    put(going, table->visibility_column, visibility_of(bucket));
    (void)ledger_op(w->ledger, w->tx, OP_NUMBER, w->account, (uint16_t)table->visibility_column, 0);
    if (bucket >= BUCKET_TEAM && bucket < BUCKET_USER)
        put(going, table->team_column, reference(&l->teams[bucket - BUCKET_TEAM]));
    else if (bucket > 0 && bucket < BUCKET_TEAM && seeded_below(w->dice, 2))
        put(going, table->branch_column, reference(&l->branches[bucket - 1]));
}

static bool is_of(const struct replica_record *shown, const struct model_table *table,
                  const struct uuid *user)
{
    const struct value *owner = &shown->record.values[table->owner_column];
    return owner->kind == VALUE_BLOB && bytes_equal(owner->as.bytes, bytes_of(user->byte, 16));
}

/* One that the user may let go, as a rule. */
static enum err pick(struct writing *w, const struct model_table *table,
                     struct replica_record *ret_shown)
{
    const struct person *person = &w->ledger->people[w->node->user];
    for (int tries = 0; tries < 10; tries++) {
        uint32_t at = write_any_record(w, table);
        if (at == NONE)
            continue;
        enum err e =
            replica_get(w->node->replica, table, &w->ledger->records[at].id, &w->arena, ret_shown);
        if (e != ERR_OK && e != ERR_NOT_FOUND)
            return e;
        if (e == ERR_OK && !ret_shown->record.dead &&
            (person->all || person->manager || is_of(ret_shown, table, &person->id) ||
             seeded_below(w->dice, 8) == 0)) {
            w->account = at;
            return ERR_OK;
        }
    }
    return ERR_OK;
}

static enum err move_one(struct writing *w)
{
    const struct model_table *table = write_table(w, "account");
    struct replica_record shown;
    struct going going = {.count = 0};
    w->account = NONE;
    enum err e = write_journal(w);
    if (e == ERR_OK)
        e = pick(w, table, &shown);
    if (e != ERR_OK || w->account == NONE)
        return e;
    uint64_t what = seeded_below(w->dice, 6), beside = seeded_below(w->dice, 4);
    const uint32_t at = w->account;
    if (what < 3)
        put_owner(w, &going, at, any_user(w->world, w->dice), seeded_below(w->dice, 3) > 0);
    if (what >= 3 || seeded_below(w->dice, 3) == 0) {
        going.count = what < 3 ? 1 : 0; /* the branch is the bucket's */
        put_bucket(w, &going);
    }
    if (beside == 0) /* with something else, before or after */
        e = write_text(w, at, 1, &shown.record.values[1], false);
    if (e == ERR_OK)
        e = replica_update(w->node->replica, table, &w->ledger->records[at].id, going.columns,
                           going.values, going.count, false, &w->info);
    if (e == ERR_OK && beside == 1)
        e = write_line_of(w);
    return e;
}

static enum err hand_over(struct writing *w)
{
    const struct ledger *l = w->ledger;
    const struct model_table *table = write_table(w, "account");
    const struct person *person = &l->people[w->node->user];
    bool manages = person->all || person->manager;
    uint32_t from = manages ? any_user(w->world, w->dice) : w->node->user, count = 0;
    uint32_t to = any_user(w->world, w->dice);
    enum err e = write_journal(w);
    if (e != ERR_OK || from == to)
        return e;
    sight_hands_over(w->world, w->tx, from);
    for (uint32_t i = 0; e == ERR_OK && i < l->record_count && count < HANDED_OVER_MOST; i++) {
        struct replica_record shown;
        struct going going = {.count = 0};
        if (l->records[i].table != table->index)
            continue;
        e = replica_get(w->node->replica, table, &l->records[i].id, &w->arena, &shown);
        if (e == ERR_NOT_FOUND ||
            (e == ERR_OK && (shown.record.dead || !is_of(&shown, table, &l->people[from].id)))) {
            e = ERR_OK;
            continue;
        }
        if (e != ERR_OK)
            break;
        put_owner(w, &going, i, to, true);
        e = replica_update(w->node->replica, table, &l->records[i].id, going.columns, going.values,
                           going.count, false, &w->info);
        sight_handed(w->world, w->tx, i);
        count++;
    }
    return e;
}

bool act_people(struct world *world, struct node *node, const struct action *action,
                struct seeded_rng *dice)
{
    bool asks = action->kind == ACTION_TEAM || action->kind == ACTION_SUBSTITUTE;
    if (action->kind != ACTION_MOVE && action->kind != ACTION_HANDOVER && !asks)
        return false;
    if ((asks && !world->nodes[0].running) || (!asks && (node->serves || node->erased)))
        return true;
    switch ((int)action->kind) {
    case ACTION_TEAM: change_team(world, dice); break;
    case ACTION_SUBSTITUTE: substitute(world, dice); break;
    default: {
        uint64_t before = world->cover[COVER_WRITES];
        bool all = action->kind == ACTION_HANDOVER;
        write_transact(node, dice, all ? hand_over : move_one, false, NONE);
        world->cover[all ? COVER_HANDOVERS : COVER_MOVES] += world->cover[COVER_WRITES] - before;
        break;
    }
    }
    return true;
}

/* ---- the end ---- */

/* One that would end while all is compared is ended before. */
static bool end_those_that_end_soon(struct world *world)
{
    struct seats seats;
    char request[120];
    bool any = false;
    if (!world->nodes[0].running || !seats_read(&world->nodes[0], true, &seats))
        return true;
    for (uint32_t i = 0; i < world->ledger->person_count && world->nodes[0].running; i++) {
        if (!seats_replaced(&seats, i) || seats.people[i].until_ms > seats.now_ms + 12 * hour_ms)
            continue;
        any = true;
        snprintf(request, sizeof request, "{\"do\":\"user-substitute\",\"login\":\"u%u\"}", i);
        (void)hub_node_ask(&world->nodes[0], request);
    }
    return any;
}

void people_settle(struct world *world)
{
    for (int tries = 0; world->sight && tries < 5 && !world->failed; tries++) {
        if (!end_those_that_end_soon(world))
            break;
        (void)world_settle(world, 3000000, 600000000);
    }
    if (world->sight)
        oracle_people(world);
}
