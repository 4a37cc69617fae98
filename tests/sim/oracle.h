/* oracle.h - what must always hold, judged from outside: its own log of what each device wrote and was
 * promised, and what the databases show to plain SQL.
 *
 * Model:      each text that is written holds a token that names its transaction and place, "#t12.3@",
 *             and for records that not everybody may see a canary of their bucket, "@@u5@@". Most
 *             transactions also insert a row "#j12;" into an append-only table, which tells that the whole
 *             of it was applied. So fates are found by searching bytes, whatever dots have become.
 * Promise:    a transaction is saved (here), acknowledged (by the uplink's own word), archived. What
 *             takes a promise away is noted when it happens: a disk that was rolled back, a device that was
 *             revoked, a commit whose end nobody saw.
 * Shares:     nothing with the product's merge or store but SQLite, to read. */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "tests/sim/node.h"

enum { PEOPLE_MAX = 40, BRANCHES_MAX = 8, TWINS_MAX = 4, NONE = UINT32_MAX };

/* Buckets as the oracle numbers them: 0 company, 1.. branches, BUCKET_TEAM.. teams, the unassigned one, BUCKET_USER.. users. */
enum { BUCKET_TEAM = 9, TEAMS_MAX = 6, BUCKET_UNASSIGNED = 15, BUCKET_USER = 16 };

enum op_kind { OP_INSERT, OP_TEXT, OP_NUMBER, OP_COUNT, OP_ADD, OP_REMOVE, OP_DELETE, OP_RESTORE };

struct op {
    uint32_t tx, record;
    uint8_t kind;
    uint16_t column; /* index in its table */
    int64_t number;  /* OP_COUNT: the difference; OP_REMOVE: the op that added it */
    bool found;      /* OP_TEXT: the token was found at the end */
};

struct overwrite { /* this transaction has seen the token of that op, and replaced it */
    uint32_t op, tx;
};

struct known_write { /* at a delete: writes to the record that the deleter surely knew */
    uint32_t op, tx;
};

struct ledger_record {
    struct uuid id;
    uint16_t table; /* index */
    uint16_t bucket;
    uint32_t parent; /* NONE */
    uint32_t tx;     /* that inserted it */
};

enum fate { FATE_UNKNOWN, FATE_APPLIED, FATE_PARKED, FATE_WAITING, FATE_LOST, FATE_HELD };

struct tx {
    uint16_t device;
    int64_t at_us;
    int64_t reached_us; /* not at headquarters before; INT64_MAX: never */
    int64_t acked_us;   /* 0: not acknowledged */
    struct dot dot;
    uint32_t first_op, op_count;
    bool journaled, committed, uncertain, failed, forged, discarded, here;
    enum fate fate;
};

struct person {
    struct uuid id;
    uint64_t scope;  /* bits of buckets */
    uint32_t branch; /* NONE */
    bool may_write, all, manager, server;
};

struct ledger {
    struct tx *txs;
    uint32_t tx_count, tx_capacity;
    struct op *ops;
    uint32_t op_count, op_capacity;
    struct overwrite *overwrites;
    uint32_t overwrite_count, overwrite_capacity;
    struct ledger_record *records;
    uint32_t record_count, record_capacity;
    struct known_write *knowns;
    uint32_t known_count, known_capacity;
    bool revoked[SIM_NODES_MAX];
    struct person people[PEOPLE_MAX];
    uint32_t person_count;
    bool people_stale;
    struct uuid branches[BRANCHES_MAX];
    uint32_t branch_count, parents[BRANCHES_MAX]; /* NONE */
    struct uuid teams[TEAMS_MAX];
    uint32_t team_count, teams_made; /* made: a number is not given twice, restores or not */
    uint32_t twins[TWINS_MAX][2];    /* records */
    uint32_t twin_count;
    uint32_t first_unreached[SIM_NODES_MAX]; /* per device: transactions before are dealt with */
    uint32_t first_unacked[SIM_NODES_MAX];
    uint64_t acked_upto[SIM_NODES_MAX];
    uint64_t positions[SIM_NODES_MAX][64]; /* cursors as seen last, by bucket */
    uint64_t cursor_life[SIM_NODES_MAX];
    struct z_stream_s *zlib;
    uint8_t *inflated;                         /* of the frame that is looked into */
    uint64_t frame_hash[16], frame_scopes[16]; /* of frames looked into */
};

struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);
/* The transaction is open: its number. */
uint32_t ledger_begin(struct world *world, uint16_t device);
uint32_t ledger_op(struct ledger *ledger, uint32_t tx, enum op_kind kind, uint32_t record,
                   uint16_t column, int64_t number);
uint32_t ledger_insert(struct ledger *ledger, uint32_t tx, uint16_t table, uint16_t bucket,
                       uint32_t parent, const struct uuid *id);
/* tx replaces a text that held these tokens; those of `kept` stay. */
void ledger_replaces(struct ledger *ledger, uint32_t tx, struct bytes before, struct bytes kept);
/* tx replaces what its device wrote to the cell and still waits, even where its view shows something else: with
 * headquarters' clock a year off and a restore, what all have may hide it. */
void ledger_replaces_own(struct node *node, uint32_t tx, uint32_t record, uint16_t column);
/* One element more, or one less, of a set that is shown as this JSON. ERR_LIMIT: no room. */
struct set_edit {
    char text[1024];
    size_t size;
};
enum err ledger_edit_set(struct ledger *ledger, uint32_t tx, uint32_t record, uint16_t column,
                         struct bytes before, struct seeded_rng *dice, struct set_edit *ret);
/* A delete (or restore) of the record by the node: what it surely knew of is noted. */
void ledger_delete(struct node *node, uint32_t tx, uint32_t record, bool restore);
/* The last op did not come to be. */
void ledger_take_back(struct ledger *ledger, uint32_t tx);
/* The text of a token, canary included; room for 48. Returns its length. */
size_t ledger_token(const struct ledger *ledger, uint32_t op, uint16_t bucket, char *out);
size_t ledger_journal(uint32_t tx, char *out);

/* Calls fn with each token found: op NONE for a journal row's. */
typedef void token_fn(void *context, uint32_t tx, uint32_t op_in_tx);
void tokens_each(struct bytes text, token_fn *fn, void *context);

/* What the device's disk held from this transaction number on is not there any more. */
void ledger_disk_lost(struct world *world, uint16_t device, uint32_t from_tx);
/* A copy of the device may send what it has not sent. */
void ledger_cloned(struct world *world, uint16_t device);
void ledger_revoked(struct world *world, uint16_t device);
/* A branch has lost what it has acknowledged: who has it still brings it again. */
void ledger_branch_lost(struct world *world);
/* Headquarters goes back to this copy. */
void ledger_restored(struct world *world, const struct copy *copy);

/* What happens. */
void oracle_started(struct node *node);
void oracle_ended(struct node *node);
void oracle_erased(struct node *node);
void oracle_session_over(struct node *node);
/* The payload of a frame, inflated if it has to be; of the ledger, until the next. */
struct bytes oracle_payload(struct ledger *ledger, struct bytes frame);
/* The buckets, as bits, whose texts a frame holds. */
uint64_t oracle_canaries(struct ledger *ledger, struct bytes frame);
void oracle_sent_down(struct node *node, struct link *link, struct bytes frame);
void oracle_sent_up(struct node *node, struct link *link, struct bytes frame);
void oracle_reached(struct node *node, struct link *link, struct bytes frame);
void oracle_received(struct node *node, struct link *link);
void oracle_turned(struct node *node);
void oracle_changed(struct node *node); /* a device's view */
/* Rights have changed: who may see what is read anew. */
void oracle_people(struct world *world);
/* What the user may see as far as this server knows; UINT64_MAX where its disk has errors. */
uint64_t oracle_scope_at(struct node *server, uint32_t user);
/* What the users of open connections may see now belongs to what their connections may carry. */
void oracle_scopes(struct world *world);
/* Right after a commit: the device shows what it wrote. */
void oracle_reads_own(struct node *node, uint32_t tx);
/* Every some events: what costs more. */
void oracle_now_and_then(struct world *world);
/* All is quiet: the whole list. */
void oracle_end(struct world *world);

/* oracle_rows.c: what a database shows. */
struct row_digest {
    uint16_t table;
    uint32_t bucket;
    uint8_t id[16];
    uint64_t hash;
    bool dead;
};
struct row_list {
    struct row_digest *items; /* ascending by table, id */
    uint32_t count, capacity;
};
/* Live and dead records of the view. buckets NULL: all, else only those with a true at their number. */
bool rows_read(struct node *node, const bool *buckets, uint32_t bucket_count, struct row_list *ret);
void rows_done(struct row_list *list);
/* A text or id in the packed content of a dead row, by the column's id; empty: none. */
struct bytes rows_packed(struct bytes content, uint32_t column);
/* The bit of a bucket of headquarters. */
uint64_t oracle_bucket_bit(const struct ledger *ledger, unsigned kind, const uint8_t key[16]);
/* oracle_wire.c */
void wire_open(struct ledger *ledger);
void wire_close(struct ledger *ledger);
/* oracle_waiting.c: what is shown as on its way is so, or can come no more. */
void oracle_waiting(struct world *world);
/* oracle_fates.c: what became of each transaction. */
void oracle_fates(struct world *world);

#endif
