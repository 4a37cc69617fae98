/* rig.h - one headquarters and some devices, each a process with a simulated disk, where one fault (or
 * one and a second while it is recovered from) is put into one of them.
 *
 * Model:      a script calls the functions below; each tries until it has got what it asks for, as
 *             people and adapters do: a process that a fatal error ended is started again, a session
 *             that broke is tried again, and after RIG_PATIENCE attempts in vain whoever runs the
 *             machine mends what fails for good. What a person or a device was told is written down
 *             (saved here; at headquarters) and looked for each time a process starts.
 * Counting:   allocations count and fail only inside the calls into the victim's core and store, calls
 *             of the disk only on the victim's. The rig itself allocates apart.
 * Failures:   rig_fail() prints the story's coordinates and ends the process: run one with
 *             `--only` again.
 * Ownership:  rig_make() and rig_copy() to rig_free(). A copy shares model and crypto. */
#ifndef TESTS_FAULTS_RIG_H
#define TESTS_FAULTS_RIG_H

#include "client/core/uplink.h"
#include "common/store_sqlite/store_sqlite.h"
#include "server/core/hub.h"
#include "tests/lib/seeded_rng.h"
#include "tests/lib/sim_disk.h"

#define RIG_STORE    "store.db"
#define RIG_EPOCH_MS ((int64_t)1760000000000)

enum {
    RIG_NODES = 4, /* node 0 is headquarters */
    RIG_HUB = 0,
    RIG_WRITES = 24,
    RIG_PATIENCE = 4,
    RIG_ATTEMPTS = 40, /* of one thing; more is no progress */
    RIG_FAILED = 99,   /* exit code of rig_fail() */
};

struct rig_node {
    int number;
    struct sim_disk *disk;
    struct store_sqlite_files files;
    const struct model *model; /* what this program knows; the store may be older */
    struct log log;
    struct store *store; /* NULL: the process does not run */
    struct hub *hub;
    struct replica *replica;
    struct uplink *uplink;
    struct uplink_identity identity;
    bool enrolled;
    struct peer *peer;
    bool up;
    enum err why; /* of the last end of a session */
    bool revoked; /* it was told so */
};

enum rig_kind { RIG_INSERT, RIG_SET, RIG_DELETE };

/* A transaction of a device. An insert adds 1 to the counter of the shared record as well. */
struct rig_write {
    enum rig_kind kind;
    int node;
    struct uuid id;
    char name[24];
    struct dot dot;
    bool saved;   /* the device said so */
    bool decided; /* headquarters said so */
    bool over;    /* a later one replaces it */
};

/* What happens to the victim. */
enum rig_fault_kind { RIG_NO_FAULT, RIG_ALLOCATION, RIG_CALL, RIG_POWER };

struct rig_fault {
    enum rig_fault_kind kind;
    uint64_t at; /* the at-th allocation, call, or change of the disk */
    bool forever;
    struct sim_disk_fault call; /* RIG_CALL: without its `at` */
    bool after;                 /* RIG_POWER: after the change, not before */
    bool kills;                 /* RIG_POWER: the process only, not the machine */
    enum sim_disk_survivors survivors;
    uint64_t survivor_seed;
};

enum rig_phase { RIG_WELL, RIG_FIRST, RIG_SECOND };

struct rig {
    const char *story; /* for rig_fail() */
    struct model *model, *old_model;
    struct crypto *crypto;
    bool owns;
    struct seeded_rng seeded;
    struct rng rng;
    int64_t now_ms;
    struct rig_node nodes[RIG_NODES];
    int count;
    struct rig_write writes[RIG_WRITES];
    int write_count;
    struct uuid shared;
    bool restored;                     /* headquarters was, so devices speak of what it has lost */
    uint32_t conflicts;                /* that headquarters shall have in the end */
    uint8_t photo[32];                 /* an attachment's hash */
    int photo_node;                    /* who made it */
    bool photo_saved, photo_confirmed; /* the device said so; headquarters, to it */
    /* The fault: */
    int victim;
    enum rig_phase phase;
    struct rig_fault first, second;
    uint64_t hits_before; /* of the victim's disk, when the fault in force was armed */
    bool first_hit, second_hit;
    int in_vain;               /* attempts since the fault in force was armed */
    uint32_t starts, failures; /* of processes; attempts that failed: in this run */
};

void rig_fail(const struct rig *rig, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* With --only the story is told on stderr. */
extern bool rig_tells;
void rig_tell(const struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Headquarters alone, its customer file made, with a model that has the tables below. old: the store is
 * of the older model, without column `note` and table `contact`. */
struct rig *rig_make(bool old);
struct rig *rig_copy(const struct rig *rig);
void rig_free(struct rig *rig);
/* Every process ends well and all is durable: a template to copy. */
void rig_settle(struct rig *rig);

/* ---- faults ---- */

/* From now on. */
void rig_arm(struct rig *rig, int victim, const struct rig_fault *first,
             const struct rig_fault *second);
/* Ends them: the machine is well again. first_hit and second_hit say what has happened. */
void rig_mend(struct rig *rig);
/* Around each call into a node's code. */
void rig_enter(struct rig *rig, const struct rig_node *node);
void rig_leave(struct rig *rig, const struct rig_node *node);
/* Something failed: waits a little; mends the machine when that was often. */
void rig_in_vain(struct rig *rig, const char *what, enum err why);

/* ---- processes ---- */

struct rig_node *rig_add_node(struct rig *rig);
/* Starts the process unless it runs, until it does. Then what was promised is looked for. */
void rig_ready(struct rig *rig, struct rig_node *node);
/* Starts the machine if it is down, and the next fault if one is due; no process. */
void rig_start_machine(struct rig *rig, struct rig_node *node);
/* Ends it. */
void rig_stop(struct rig *rig, struct rig_node *node);
/* After a call of its store that returned this: ends it if the error is fatal, or the disk is down. */
void rig_after(struct rig *rig, struct rig_node *node, enum err e);

/* Another store on the node's disk. */
enum err rig_open_store(struct rig_node *node, const char *path, bool look, struct store **ret,
                        struct err_info *info);

struct hub_now rig_hub_now(const struct rig *rig);
struct now rig_device_now(const struct rig *rig);

/* ---- what scripts do ---- */

/* Asks until headquarters has done it; `already` is a code that means it had (ERR_OK: none). The answer
 * is static until the next call. */
const char *rig_admin(struct rig *rig, enum err already, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void rig_add_user(struct rig *rig, const char *login);
/* A device of the user, enrolled; its replica is not made yet. */
struct rig_node *rig_enrol(struct rig *rig, const char *login);
void rig_enrol_node(struct rig *rig, struct rig_node *device, const char *login);
/* Sessions until one ends well; the revoked device until it is told so. */
void rig_sync(struct rig *rig, struct rig_node *device);
/* One session; how it ended. */
enum err rig_session(struct rig *rig, struct rig_node *device);
/* Until the device has it. */
struct uuid rig_insert(struct rig *rig, struct rig_node *device, const char *name);
void rig_set(struct rig *rig, struct rig_node *device, struct uuid id, const char *name,
             bool settle);
void rig_delete(struct rig *rig, struct rig_node *device, struct uuid id);
/* Until headquarters has made a verified copy of its store (under RIG_STORE or any name), or of a backup
 * (source RIG_STORE or another). */
void rig_back_up(struct rig *rig, const char *source, const char *path);
/* Until the device has an attachment of three chunks, beside the shared record (attach.c). */
void rig_attach(struct rig *rig, struct rig_node *device);
/* A process of the same identity with a copy of the disk. */
struct rig_node *rig_clone(struct rig *rig, struct rig_node *device);

/* ---- what must hold ---- */

const struct model_table *rig_table(const struct rig_node *node, const char *name);
/* The name of a record as the node shows it; "-": none. Static until the second call after. */
const char *rig_name(struct rig *rig, struct rig_node *node, struct uuid id);
/* After a start: everything that this node has promised. */
void rig_check_promises(struct rig *rig, struct rig_node *node);
/* attach.c: what is shown as whole is, and what was promised of it holds. */
void rig_check_photo(struct rig *rig, struct rig_node *node);
/* Whether the device was told that headquarters has it. */
void rig_note_photo(struct rig *rig, struct rig_node *device);
void rig_check_photo_is_everywhere(struct rig *rig);
/* For store_sqlite_verify(), with the rig: fails. */
void rig_problem(void *context, const char *text);
/* The end: power is cut, all start again, all sync, and everything agrees. */
void rig_finish(struct rig *rig);

#endif
