#include "tests/sim/seats.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/sim/sight.h"

uint32_t seats_number(const char *name)
{
    return name && name[0] ? (uint32_t)strtoul(name + 1, NULL, 10) : NONE;
}

static bool text_is(sqlite3_stmt *row, int column, const char *text)
{
    const unsigned char *shown = sqlite3_column_text(row, column);
    return shown && strcmp((const char *)shown, text) == 0;
}

static uint32_t number_of(sqlite3_stmt *row, int column)
{
    return seats_number((const char *)sqlite3_column_text(row, column));
}

static bool is_id(sqlite3_stmt *row, int column, const struct uuid *id)
{
    return sqlite3_column_bytes(row, column) == 16 &&
           memcmp(id->byte, sqlite3_column_blob(row, column), 16) == 0;
}

static uint32_t branch_of(const struct ledger *l, sqlite3_stmt *row, int column)
{
    for (uint32_t i = 0; i < l->branch_count; i++)
        if (is_id(row, column, &l->branches[i]))
            return i;
    return NONE;
}

static uint32_t person_of(const struct ledger *l, sqlite3_stmt *row, int column)
{
    for (uint32_t i = 0; i < l->person_count; i++)
        if (is_id(row, column, &l->people[i].id))
            return i;
    return NONE;
}

/* ---- reading ---- */

static void read_branches(sqlite3 *db, struct ledger *l)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, "SELECT id,name,parent FROM branch", -1, &row, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW) {
        uint32_t number = number_of(row, 1);
        if (number >= BRANCHES_MAX || sqlite3_column_bytes(row, 0) != 16)
            continue;
        memcpy(l->branches[number].byte, sqlite3_column_blob(row, 0), 16);
        l->branch_count = number >= l->branch_count ? number + 1 : l->branch_count;
        l->parents[number] = NONE; /* whose row may come later: all are read twice in the end */
        for (uint32_t i = 0; i < l->branch_count && sqlite3_column_bytes(row, 2) == 16; i++)
            if (memcmp(l->branches[i].byte, sqlite3_column_blob(row, 2), 16) == 0)
                l->parents[number] = i;
    }
    sqlite3_finalize(row);
}

static bool read_people(sqlite3 *db, struct ledger *l, bool ids, struct seats *ret)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(
            db, "SELECT id,login,role,branch,active,substitute,substitute_until FROM \"user\"", -1,
            &row, NULL) != SQLITE_OK)
        return false;
    int result;
    while ((result = sqlite3_step(row)) == SQLITE_ROW) {
        uint32_t user = number_of(row, 1);
        if (user >= PEOPLE_MAX)
            continue;
        if (ids)
            memcpy(l->people[user].id.byte, sqlite3_column_blob(row, 0), 16);
        ret->count = user >= ret->count ? user + 1 : ret->count;
        ret->people[user] =
            (struct seat){.branch = branch_of(l, row, 3),
                          .substitute = person_of(l, row, 5),
                          .until_ms = sqlite3_column_int64(row, 6),
                          .manager = text_is(row, 2, "manager"),
                          .admin = text_is(row, 2, "admin"),
                          .server = text_is(row, 2, "branch"),
                          .in = !text_is(row, 2, "none") && sqlite3_column_int(row, 4) != 0};
    }
    sqlite3_finalize(row);
    return result == SQLITE_DONE;
}

static bool read_teams(sqlite3 *db, struct ledger *l, bool ids, struct seats *ret)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, "SELECT id,name,branch,active FROM team", -1, &row, NULL) !=
        SQLITE_OK)
        return false;
    int result;
    while ((result = sqlite3_step(row)) == SQLITE_ROW) {
        uint32_t team = number_of(row, 1);
        if (team >= TEAMS_MAX)
            continue;
        if (ids) {
            memcpy(l->teams[team].byte, sqlite3_column_blob(row, 0), 16);
            l->team_count = team >= l->team_count ? team + 1 : l->team_count;
        }
        ret->teams[team] = (struct team_seat){.there = true,
                                              .active = sqlite3_column_int(row, 3) != 0,
                                              .branch = branch_of(l, row, 2)};
    }
    sqlite3_finalize(row);
    return result == SQLITE_DONE;
}

static bool read_members(sqlite3 *db, const struct ledger *l, struct seats *ret)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, "SELECT team,\"user\" FROM team_member WHERE active<>0", -1, &row,
                           NULL) != SQLITE_OK)
        return false;
    int result;
    while ((result = sqlite3_step(row)) == SQLITE_ROW) {
        uint32_t user = person_of(l, row, 1);
        for (uint32_t i = 0; user != NONE && i < l->team_count; i++)
            if (is_id(row, 0, &l->teams[i]))
                ret->teams[i].members |= (uint64_t)1 << user;
    }
    sqlite3_finalize(row);
    return result == SQLITE_DONE;
}

bool seats_read(struct node *server, bool ids, struct seats *ret)
{
    struct ledger *l = server->world->ledger;
    sqlite3 *db = store_sqlite_handle(server->store);
    memset(ret, 0, sizeof *ret);
    ret->now_ms = node_hub_now(server).wall.ms;
    for (uint32_t i = 0; i < PEOPLE_MAX; i++)
        ret->people[i] = (struct seat){.branch = NONE, .substitute = NONE};
    for (uint32_t i = 0; i < TEAMS_MAX; i++)
        ret->teams[i].branch = NONE;
    if (ids)
        read_branches(db, l);
    return read_people(db, l, ids, ret) &&
           (!server->world->plan->people ||
            (read_teams(db, l, ids, ret) && read_members(db, l, ret)));
}

/* ---- the rule ---- */

bool seats_replaced(const struct seats *seats, uint32_t user)
{
    const struct seat *seat = &seats->people[user];
    return seat->substitute != NONE && seat->until_ms > seats->now_ms;
}

static bool is_below(const struct ledger *l, uint32_t branch, uint32_t top)
{
    for (uint32_t i = 0; branch != NONE && branch != top && i < BRANCHES_MAX; i++)
        branch = l->parents[branch];
    return branch == top;
}

/* What is a person's own: the own bucket, those of the teams. */
static uint64_t own_of(const struct seats *seats, uint32_t user)
{
    uint64_t scope = (uint64_t)1 << (BUCKET_USER + user);
    for (uint32_t i = 0; i < TEAMS_MAX; i++)
        if (seats->teams[i].active && (seats->teams[i].members >> user & 1))
            scope |= (uint64_t)1 << (BUCKET_TEAM + i);
    return scope;
}

uint64_t seats_own(const struct seats *seats, uint32_t user)
{
    uint64_t scope = own_of(seats, user);
    for (uint32_t i = 0; i < PEOPLE_MAX; i++)
        if (seats->people[i].substitute == user && seats_replaced(seats, i))
            scope |= own_of(seats, i);
    return scope;
}

/* What a manager of the branch sees of it. */
static uint64_t managed_of(const struct seats *seats, uint32_t branch)
{
    uint64_t scope = 0;
    for (uint32_t i = 0; i < PEOPLE_MAX; i++)
        if (seats->people[i].branch == branch)
            scope |= (uint64_t)1 << (BUCKET_USER + i);
    for (uint32_t i = 0; i < TEAMS_MAX; i++)
        if (seats->teams[i].there && seats->teams[i].branch == branch)
            scope |= (uint64_t)1 << (BUCKET_TEAM + i);
    return scope;
}

/* All that people of the branch, and of those below, may see. */
static uint64_t served_of(const struct ledger *l, const struct seats *seats, uint32_t top)
{
    uint64_t scope = 1;
    for (uint32_t i = 0; i < l->branch_count; i++)
        if (is_below(l, i, top))
            scope |= (uint64_t)1 << (1 + i) | managed_of(seats, i);
    for (uint32_t i = 0; i < PEOPLE_MAX; i++)
        if (seats->people[i].branch != NONE && is_below(l, seats->people[i].branch, top))
            scope |= seats_own(seats, i);
    return scope;
}

uint64_t seats_scope(const struct ledger *l, const struct seats *seats, uint32_t user)
{
    const struct seat *seat = &seats->people[user];
    if (!seat->in)
        return 0;
    if (seat->admin)
        return UINT64_MAX;
    if (seat->server && seat->branch != NONE)
        return served_of(l, seats, seat->branch);
    uint64_t scope = 1 | seats_own(seats, user);
    if (seat->branch == NONE)
        return scope;
    scope |= (uint64_t)1 << (1 + seat->branch);
    return seat->manager ? scope | managed_of(seats, seat->branch) : scope;
}

/* ---- what the oracles ask ---- */

uint64_t oracle_scope_at(struct node *server, uint32_t user)
{
    struct seats seats;
    if (!server->running || !seats_read(server, false, &seats))
        return UINT64_MAX;
    return seats_scope(server->world->ledger, &seats, user);
}

void oracle_people(struct world *world)
{
    struct ledger *l = world->ledger;
    struct seats seats;
    l->people_stale = true; /* its disk may have errors just now: asked again then */
    if (!world->nodes[0].running)
        return;
    if (!seats_read(&world->nodes[0], true, &seats))
        return;
    l->person_count = seats.count > l->person_count ? seats.count : l->person_count;
    l->people_stale = false;
    for (uint32_t i = 0; i < l->person_count; i++) {
        const struct seat *seat = &seats.people[i];
        l->people[i].scope = seats_scope(l, &seats, i);
        l->people[i].may_write = seat->in;
        l->people[i].all = seat->admin;
        l->people[i].manager = seat->manager;
        l->people[i].server = seat->server;
        l->people[i].branch = seat->branch;
    }
}

void oracle_scopes(struct world *world)
{
    for (uint32_t i = 0; i < world->link_count; i++) {
        struct link *link = world->links[i];
        if (link && link->open[UPPER] && link->welcomed && link->ends[UPPER] == 0)
            link->scopes |= world->ledger->people[world->nodes[link->ends[LOWER]].user].scope;
    }
}
