#include "tests/faults/flows.h"

#include <stdio.h>
#include <string.h>

static struct rig_node *hub_of(struct rig *rig)
{
    return &rig->nodes[RIG_HUB];
}

/* ---- templates ---- */

static void prepare_nothing(struct rig *rig)
{
    (void)rig;
}

static void prepare_user(struct rig *rig)
{
    rig_add_user(rig, "anna");
    (void)rig_add_node(rig);
}

/* A device with some records, at rest. */
static void prepare_one(struct rig *rig)
{
    rig_add_user(rig, "anna");
    struct rig_node *anna = rig_enrol(rig, "anna");
    (void)rig_insert(rig, anna, "Shared");
    (void)rig_insert(rig, anna, "Acme");
    rig_sync(rig, anna);
}

/* A second device that has it all too. */
static void prepare_two(struct rig *rig)
{
    prepare_one(rig);
    rig_add_user(rig, "boris");
    rig_sync(rig, rig_enrol(rig, "boris"));
    rig_sync(rig, &rig->nodes[1]); /* boris is a record as well */
}

static void prepare_pull(struct rig *rig)
{
    prepare_two(rig);
    struct rig_node *anna = &rig->nodes[1];
    (void)rig_insert(rig, anna, "New one");
    rig_set(rig, anna, rig->writes[1].id, "Acme Ltd", false);
    (void)rig_insert(rig, anna, "New two");
    rig_sync(rig, anna);
}

static void prepare_fetch(struct rig *rig)
{
    prepare_two(rig);
    rig_attach(rig, &rig->nodes[1]);
    rig_sync(rig, &rig->nodes[1]);
}

/* Enough records for some pages of three rows. */
static void prepare_first_sync(struct rig *rig)
{
    static const char *const names[] = {"c", "d", "e", "f", "g", "h"};
    prepare_one(rig);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)rig_insert(rig, &rig->nodes[1], names[i]);
    rig_sync(rig, &rig->nodes[1]);
    rig_add_user(rig, "boris");
    (void)rig_enrol(rig, "boris");
}

/* Stores of the older model, with something pending. */
static void prepare_migrate(struct rig *rig)
{
    prepare_one(rig);
    (void)rig_insert(rig, &rig->nodes[1], "Pending");
}

static void prepare_clone(struct rig *rig)
{
    prepare_one(rig);
    (void)rig_insert(rig, &rig->nodes[1], "Pending");
    rig_settle(rig);
    (void)rig_clone(rig, &rig->nodes[1]);
}

/* ---- flows ---- */

static void run_init(struct rig *rig)
{
    rig_ready(rig, hub_of(rig));
    rig_add_user(rig, "anna");
}

static void run_enrol(struct rig *rig)
{
    struct rig_node *anna = &rig->nodes[1];
    rig_enrol_node(rig, anna, "anna");
    rig_sync(rig, anna);
    (void)rig_insert(rig, anna, "First");
    rig_sync(rig, anna);
}

static void run_write(struct rig *rig)
{
    struct rig_node *anna = &rig->nodes[1];
    struct uuid id = rig_insert(rig, anna, "Written");
    rig_set(rig, anna, id, "Written again", false);
    rig_delete(rig, anna, rig->writes[1].id);
}

static void run_push(struct rig *rig)
{
    struct rig_node *anna = &rig->nodes[1];
    (void)rig_insert(rig, anna, "Pushed one");
    rig_set(rig, anna, rig->writes[1].id, "Acme Ltd", false);
    (void)rig_insert(rig, anna, "Pushed two");
    rig_sync(rig, anna);
}

static void run_attach(struct rig *rig)
{
    rig_attach(rig, &rig->nodes[1]);
    rig_sync(rig, &rig->nodes[1]);
}

static void run_pull(struct rig *rig)
{
    rig_sync(rig, &rig->nodes[2]);
}

static void run_migrate(struct rig *rig)
{
    for (int i = 0; i < rig->count; i++) {
        rig->nodes[i].model = rig->model;
        rig_ready(rig, &rig->nodes[i]);
    }
    (void)rig_insert(rig, &rig->nodes[1], "Migrated");
    rig_sync(rig, &rig->nodes[1]);
}

static void run_revoke(struct rig *rig)
{
    struct rig_node *boris = &rig->nodes[2];
    char id[UUID_TEXT_SIZE];
    uuid_format(&boris->identity.device, id);
    (void)rig_admin(rig, ERR_OK, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    rig_sync(rig, boris);
    if (!boris->revoked)
        rig_fail(rig, "a device that was revoked has synced");
    (void)rig_insert(rig, &rig->nodes[1], "After it");
    rig_sync(rig, &rig->nodes[1]);
}

static void check_revoked(struct rig *rig)
{
    rig_sync(rig, &rig->nodes[2]);
    if (rig->nodes[2].why != ERR_REVOKED)
        rig_fail(rig, "a device that was revoked has synced");
}

static void run_conflict(struct rig *rig)
{
    struct rig_node *anna = &rig->nodes[1], *boris = &rig->nodes[2];
    struct uuid id = rig->writes[1].id;
    rig->conflicts = 1;
    rig_set(rig, anna, id, "Acme East", false);
    rig_set(rig, boris, id, "Acme West", false);
    rig_sync(rig, anna);
    rig_sync(rig, boris);
    rig_sync(rig, anna);
    rig_ready(rig, anna);
    const char *shown = rig_name(rig, anna, id);
    bool east = strcmp(shown, "Acme East") == 0;
    rig_set(rig, anna, id, east ? "Acme West" : "Acme East", true); /* taken back */
    rig_sync(rig, anna);
}

static void check_conflict(struct rig *rig)
{
    const struct rig_write *last = &rig->writes[rig->write_count - 1];
    for (int i = 0; i < rig->count; i++)
        if (strcmp(rig_name(rig, &rig->nodes[i], last->id), last->name) != 0)
            rig_fail(rig, "node %d shows '%s', not '%s', which was taken back", i,
                     rig_name(rig, &rig->nodes[i], last->id), last->name);
}

static void run_fork(struct rig *rig)
{
    struct rig_node *anna = &rig->nodes[1], *clone = &rig->nodes[2];
    (void)rig_insert(rig, anna, "By the one");
    (void)rig_insert(rig, clone, "By the other");
    (void)rig_insert(rig, clone, "And another");
    rig_sync(rig, anna);
    rig_sync(rig, clone);
    rig_sync(rig, anna);
}

/* ---- backups ---- */

static void run_backup(struct rig *rig)
{
    rig_back_up(rig, RIG_STORE, "backup.db");
    (void)rig_admin(rig, ERR_OK, "{\"do\":\"archived\",\"marks\":{}}");
    (void)rig_insert(rig, &rig->nodes[1], "After it");
    rig_sync(rig, &rig->nodes[1]);
}

/* The backup becomes the store: it verifies, and holds what had been acknowledged before it. */
static void check_backup(struct rig *rig)
{
    struct rig_node *hub = hub_of(rig);
    struct sim_disk *other = sim_disk_new(9);
    rig_settle(rig);
    if (!sim_disk_carry(hub->disk, "backup.db", other, RIG_STORE))
        rig_fail(rig, "the backup that was made is not there");
    if (sim_disk_exists(hub->disk, "backup.db.partial"))
        rig_fail(rig, "a partial copy was left");
    sim_disk_free(hub->disk);
    hub->disk = other;
    hub->files = sim_disk_files(other);
    for (int i = 0; i < rig->write_count; i++)
        if (strcmp(rig->writes[i].name, "After it") == 0)
            rig->writes[i].decided = false; /* headquarters is allowed not to know it */
    rig->restored = true;
    rig_finish(rig);
}

static void prepare_restore(struct rig *rig)
{
    prepare_one(rig);
    rig_back_up(rig, RIG_STORE, "backup.db");
    (void)rig_insert(rig, &rig->nodes[1], "Lost by it");
    rig_sync(rig, &rig->nodes[1]);
    rig_settle(rig);
    struct rig_node *hub = hub_of(rig);
    struct sim_disk *other = sim_disk_new(9);
    (void)sim_disk_carry(hub->disk, "backup.db", other, "backup.db");
    sim_disk_free(hub->disk);
    hub->disk = other;
    hub->files = sim_disk_files(other);
    rig->restored = true;
    for (int i = 0; i < rig->write_count; i++)
        rig->writes[i].decided = false; /* until the restored headquarters says so again */
}

/* As satcheld restore does: a copy of the backup, made by the store itself, takes the store's name. */
static void run_restore(struct rig *rig)
{
    struct rig_node *hub = hub_of(rig);
    rig_back_up(rig, "backup.db", RIG_STORE);
    rig_ready(rig, hub);
    rig_sync(rig, &rig->nodes[1]);
}

const struct flow flows[] = {
    {"init", "a new customer file and a user", false, prepare_nothing, run_init, NULL, {0, -1}},
    {"enrol",
     "a device enrols, makes its replica, writes",
     false,
     prepare_user,
     run_enrol,
     NULL,
     {0, 1}},
    {"write",
     "an insert, an update, a delete on a device",
     false,
     prepare_one,
     run_write,
     NULL,
     {1, -1}},
    {"push", "three transactions go up", false, prepare_one, run_push, NULL, {0, 1}},
    {"attach",
     "an attachment of three chunks, and on its way up",
     false,
     prepare_two,
     run_attach,
     rig_check_photo_is_everywhere,
     {0, 1}},
    {"fetch",
     "it comes down",
     false,
     prepare_fetch,
     run_pull,
     rig_check_photo_is_everywhere,
     {0, 2}},
    {"pull", "changes of another device come down", false, prepare_pull, run_pull, NULL, {0, 2}},
    {"first-sync",
     "an empty replica, some pages",
     false,
     prepare_first_sync,
     run_pull,
     NULL,
     {0, 2}},
    {"migrate",
     "both stores get a column and a table",
     true,
     prepare_migrate,
     run_migrate,
     NULL,
     {0, 1}},
    {"conflict",
     "two edits of a cell; the loser is taken back",
     false,
     prepare_two,
     run_conflict,
     check_conflict,
     {0, 1}},
    {"fork", "a replica and its copy both go on", false, prepare_clone, run_fork, NULL, {0, 2}},
    {"revoke",
     "a device is revoked and told so",
     false,
     prepare_two,
     run_revoke,
     check_revoked,
     {0, 2}},
    {"backup",
     "a verified copy while it runs",
     false,
     prepare_one,
     run_backup,
     check_backup,
     {0, -1}},
    {"restore",
     "headquarters from a backup; devices bring the rest",
     false,
     prepare_restore,
     run_restore,
     NULL,
     {0, 1}},
};
const int flow_count = sizeof flows / sizeof *flows;
