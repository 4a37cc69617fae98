/* satchel.h - libsatchel: a device's copy of the customer file, offline first.
 *
 * Model:      a data directory holds one replica: an SQLite file with typed tables, the device's
 *             identity, a lock. Reads and writes are local and work without a network; a commit is
 *             safe on this device. Syncing is a loop of its own: what was committed goes up in the
 *             order of committing, and what headquarters has decided comes down in whole
 *             checkpoints.
 * Threads:    a handle belongs to one thread at a time, and so does a loop with all its handles.
 *             Different handles may be used in different threads at once.
 * Errors:     functions return enum satchel_code, SATCHEL_OK is 0. What a person reads about the
 *             last failure of a handle is in satchel_last_error(); functions without a handle take
 *             a struct satchel_error to fill (NULL allowed). Out-parameters `ret_...` are untouched
 *             on failure.
 * Memory:     what a callback is given is valid until the callback returns. What is returned by
 *             pointer is freed by the function named beside it, or belongs to the handle.
 * Callbacks:  return 0 to go on, anything else to stop early (which is no error). A callback of a
 *             reading function must not write, begin, commit or close on the same handle; it may
 *             read, save through satchel_sql().
 * Text:       UTF-8, terminated; times in ms since 1970 UTC.
 * Sections:   errors; ids and values; the data directory: enrolment, opening; the model; writing;
 *             reading; conflicts; what needs attention; history; status; syncing. */
#ifndef SATCHEL_H
#define SATCHEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SATCHEL_API __attribute__((visibility("default")))
#else
#define SATCHEL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SATCHEL_VERSION "0.1.0"

/* --- errors -------------------------------------------------------------------------------- */

enum satchel_code {
    SATCHEL_OK = 0,
    SATCHEL_E_NOMEM = 1,        /* out of memory */
    SATCHEL_E_LIMIT = 2,        /* a limit was exceeded */
    SATCHEL_E_INVALID = 3,      /* an argument is not valid */
    SATCHEL_E_NOT_FOUND = 4,    /* not found */
    SATCHEL_E_EXISTS = 5,       /* exists already */
    SATCHEL_E_BUSY = 6,         /* another process uses the data directory */
    SATCHEL_E_FULL = 7,         /* the disk is full */
    SATCHEL_E_IO = 8,           /* reading or writing failed: close the handle */
    SATCHEL_E_CORRUPT = 9,      /* the store is damaged: close the handle */
    SATCHEL_E_MALFORMED = 10,   /* the data is malformed */
    SATCHEL_E_TOO_LARGE = 11,   /* the data is larger than allowed */
    SATCHEL_E_PROTOCOL = 12,    /* the server broke the protocol, or is not one of ours */
    SATCHEL_E_VERSION = 13,     /* no common protocol or format version */
    SATCHEL_E_AUTH = 14,        /* authentication failed */
    SATCHEL_E_REVOKED = 15,     /* this device has been revoked */
    SATCHEL_E_FORBIDDEN = 16,   /* not allowed */
    SATCHEL_E_MODEL = 17,       /* the model is not valid, or has no such table or column */
    SATCHEL_E_TYPE = 18,        /* the value has the wrong type */
    SATCHEL_E_CRYPTO = 19,      /* a cryptographic operation failed */
    SATCHEL_E_LINK = 20,        /* the connection failed */
    SATCHEL_E_TIMEOUT = 21,     /* timed out */
    SATCHEL_E_CLOSED = 22,      /* closed */
    SATCHEL_E_BUG = 23,         /* a mistake in Satchel */
    SATCHEL_E_INTERRUPTED = 24, /* interrupted */
    SATCHEL_E_OFFLINE = 25,     /* not connected */
    SATCHEL_E_PIN = 26,         /* the server's certificate is not the one pinned at enrolment */
    SATCHEL_E_ENROLMENT = 27,   /* the enrolment code is not valid, used already, or expired */
    SATCHEL_E_PARSE = 28,       /* could not be parsed */
    SATCHEL_E_CONFLICT = 29     /* the state has changed meanwhile */
};

struct satchel_error {
    enum satchel_code code;
    int native;        /* SQLite's, OpenSSL's or errno's code where there is one, else 0 */
    char message[512]; /* which thing, what happened, what to do next; always terminated */
};

/* The stable name ("NOT_FOUND") and the English text of a code; never NULL. */
SATCHEL_API const char *satchel_error_name(enum satchel_code code);
SATCHEL_API const char *satchel_error_text(enum satchel_code code);
/* SATCHEL_VERSION of the library itself. */
SATCHEL_API const char *satchel_version(void);

/* --- ids and values ------------------------------------------------------------------------ */

/* A record's id: a UUIDv7, made where the record is made. */
struct satchel_id {
    uint8_t byte[16];
};

#define SATCHEL_ID_TEXT_SIZE 37 /* with the terminator */

/* Lower-case 8-4-4-4-12. */
SATCHEL_API void satchel_id_format(const struct satchel_id *id, char out[SATCHEL_ID_TEXT_SIZE]);
/* SATCHEL_E_PARSE: not of that form (either case is taken). */
SATCHEL_API enum satchel_code satchel_id_parse(const char *text, struct satchel_id *ret_id);

enum satchel_kind { SATCHEL_NULL, SATCHEL_INT, SATCHEL_REAL, SATCHEL_TEXT, SATCHEL_BLOB };

struct satchel_bytes {
    const uint8_t *data; /* text is not terminated by this alone */
    size_t size;
};

/* Text, date ("YYYY-MM-DD"), enum (its symbol) and set (JSON array of strings) are TEXT; integer,
 * money (minor units), instant (ms) and boolean (0, 1) are INT; real is REAL; a reference (16-byte
 * record id) and a blob reference (SHA-256) are BLOB. Views: the bytes belong to someone else. */
struct satchel_value {
    enum satchel_kind kind;
    union {
        int64_t integer;
        double real;
        struct satchel_bytes bytes;
    } as;
};

SATCHEL_API struct satchel_value satchel_null(void);
SATCHEL_API struct satchel_value satchel_int(int64_t integer);
SATCHEL_API struct satchel_value satchel_real(double real);
SATCHEL_API struct satchel_value satchel_text(const char *text);
SATCHEL_API struct satchel_value satchel_blob(const void *data, size_t size);
SATCHEL_API struct satchel_value satchel_reference(const struct satchel_id *id); /* a view of it */

/* --- the data directory: enrolment, opening ------------------------------------------------ */

enum satchel_log_level {
    SATCHEL_LOG_ERROR,
    SATCHEL_LOG_WARNING,
    SATCHEL_LOG_INFO,
    SATCHEL_LOG_DEBUG
};

/* `message` is one line, valid during the call. Called in the thread that uses the handle. */
typedef void satchel_log_fn(void *context, enum satchel_log_level level, const char *message);

/* What a ticket says, `satchel://HOST:PORT/CODE?pin=PIN`: CODE is the one-time code (16 bytes in
 * Crockford base32, groups allowed), PIN the base64url of the SHA-256 of the server's key. */
struct satchel_ticket {
    char host[256];
    uint16_t port;
    uint8_t code[16];
    uint8_t pin[32];
};

/* SATCHEL_E_PARSE: the message says what is wrong with it. */
SATCHEL_API enum satchel_code satchel_ticket_parse(const char *ticket,
                                                   struct satchel_ticket *ret_ticket,
                                                   struct satchel_error *ret_error);

struct satchel_enrollment {
    const char *directory;   /* made if missing */
    const char *ticket;      /* as the server printed it */
    const char *device_name; /* what people call this device; NULL: the host's name */
    const char *platform;    /* NULL: the operating system's name */
    int64_t timeout_ms;      /* 0: 30,000 */
    satchel_log_fn *log;     /* may be NULL */
    void *log_context;
};

/* Connects (TLS 1.3, the server's key must be the ticket's), gives the code, makes the device's
 * Ed25519 key and keeps the identity in DIR/identity.json (mode 0600). The replica is made by the
 * first satchel_open() and filled by the first sync.
 * SATCHEL_E_EXISTS: the directory is enrolled already; SATCHEL_E_BUSY; SATCHEL_E_PARSE: the ticket;
 * SATCHEL_E_ENROLMENT, SATCHEL_E_PIN, SATCHEL_E_LINK, SATCHEL_E_TIMEOUT, SATCHEL_E_VERSION,
 * SATCHEL_E_IO, SATCHEL_E_FULL, SATCHEL_E_FORBIDDEN, SATCHEL_E_NOMEM. */
SATCHEL_API enum satchel_code satchel_enroll(const struct satchel_enrollment *enrollment,
                                             struct satchel_error *ret_error);

struct satchel; /* an open data directory */

enum satchel_synchronous {
    SATCHEL_SYNCHRONOUS_FULL,  /* a commit survives the loss of power */
    SATCHEL_SYNCHRONOUS_NORMAL /* a crash takes nothing; loss of power the last commits */
};

/* All zero but `directory` is a good default. */
struct satchel_options {
    const char *directory;
    const char
        *model_file; /* of a replica that has none yet (it learns its server's); NULL: the CRM's */
    enum satchel_synchronous synchronous;
    size_t cache_bytes;  /* of SQLite; 0: 64 MiB */
    bool create;         /* make a replica in a directory that was never enrolled: for use without a
                           server (tests, trying things out). It can be enrolled later */
    bool read_only;      /* does not take the lock: reads beside a writer; writing is FORBIDDEN */
    satchel_log_fn *log; /* may be NULL */
    void *log_context;
};

/* Opens the replica. One writer at a time: SATCHEL_E_BUSY names the process that holds it.
 * SATCHEL_E_NOT_FOUND: nothing is enrolled there (see `create`); SATCHEL_E_MODEL, SATCHEL_E_PARSE:
 * the model; SATCHEL_E_VERSION: made by a newer Satchel; SATCHEL_E_CORRUPT, SATCHEL_E_IO,
 * SATCHEL_E_FULL, SATCHEL_E_FORBIDDEN, SATCHEL_E_NOMEM, SATCHEL_E_INVALID. */
SATCHEL_API enum satchel_code satchel_open(const struct satchel_options *options,
                                           struct satchel **ret_handle,
                                           struct satchel_error *ret_error);
/* Disconnects, rolls back what is open, frees. Accepts NULL. */
SATCHEL_API void satchel_close(struct satchel *handle);
/* Removes the replica and the identity of a directory: after a revocation, or to enrol anew.
 * What was not pushed is lost. SATCHEL_E_BUSY: it is open; SATCHEL_E_NOT_FOUND; SATCHEL_E_IO. */
SATCHEL_API enum satchel_code satchel_erase(const char *directory, struct satchel_error *ret_error);

/* About the last call on this handle that failed; valid until the next call on it. Never NULL. */
SATCHEL_API const struct satchel_error *satchel_last_error(const struct satchel *handle);

/* --- the model ----------------------------------------------------------------------------- */

enum satchel_language { SATCHEL_EN, SATCHEL_RU };

struct satchel_label {
    const char *text[2]; /* by enum satchel_language; never NULL */
};

enum satchel_type {
    SATCHEL_TYPE_TEXT,
    SATCHEL_TYPE_INTEGER,
    SATCHEL_TYPE_REAL,
    SATCHEL_TYPE_MONEY,
    SATCHEL_TYPE_DATE,
    SATCHEL_TYPE_INSTANT,
    SATCHEL_TYPE_BOOLEAN,
    SATCHEL_TYPE_ENUM,
    SATCHEL_TYPE_REFERENCE,
    SATCHEL_TYPE_SET,
    SATCHEL_TYPE_BLOB
};

struct satchel_column {
    uint16_t id;    /* stable, never reused */
    uint16_t index; /* in table->columns and in a record's cells */
    const char *name;
    struct satchel_label label;
    enum satchel_type type;
    const char *type_name;         /* "text", "money" ... */
    const char *policy;            /* how concurrent writes merge: "lww", "counter", "fsm" ... */
    const char *unit;              /* what is merged as one: the column's name, or its group's */
    uint16_t unit_id;              /* the column's id, or its group's */
    bool required;                 /* an insert must give a value */
    bool key;                      /* natural key: people and imports find records by it */
    uint16_t digits;               /* money: minor digits */
    const char *currency;          /* money: fixed ISO 4217 code, or NULL */
    int currency_column;           /* money: index of the column with the code, or -1 */
    int target;                    /* reference: index in schema->tables, or -1 */
    int64_t min, max;              /* INT64_MIN, INT64_MAX: none. Of text and sets: bytes */
    struct satchel_value fallback; /* what an insert without a value stores */
    const char *const *symbols;    /* enum: in declared order */
    const struct satchel_label *symbol_labels;
    uint16_t symbol_count;
};

struct satchel_table {
    uint16_t id;
    uint16_t index; /* in schema->tables */
    const char *name;
    struct satchel_label label, label_plural;
    const struct satchel_column *columns; /* ascending by id */
    uint16_t column_count;
    int title_column;  /* what people read as the record's name; -1: none */
    int parent_column; /* the record that this one belongs to, and is deleted with; -1 */
    int visibility_column, branch_column, owner_column, team_column; /* "routed"; else -1 */
    const char *delete_policy; /* "revives", "wins", "manual", "never" */
    const char *bucket_rule;   /* "company", "routed", "inherit", "system" */
    const char *write_role;    /* the least role that may write */
    bool system;               /* branch, user, device, origin, conflict, team, team_member */
};

struct satchel_schema {
    const char *name;
    uint32_t version;
    const struct satchel_table *tables; /* ascending by id, system tables first */
    uint16_t table_count;
    uint8_t hash[32]; /* equal models have equal hashes */
};

/* Belongs to the handle, immutable. */
SATCHEL_API const struct satchel_schema *satchel_schema(const struct satchel *handle);
/* NULL: there is none. By name or by id. */
SATCHEL_API const struct satchel_table *satchel_table(const struct satchel *handle,
                                                      const char *name);
SATCHEL_API const struct satchel_table *satchel_table_by_id(const struct satchel *handle,
                                                            uint32_t id);
SATCHEL_API const struct satchel_column *satchel_column(const struct satchel_table *table,
                                                        const char *name);

/* People's text to a value, by the column's type: dates in ISO, money with its digits ("12.50"),
 * booleans true/false/yes/no/1/0 and in Russian, enums by symbol or label, sets as JSON or `a; b`,
 * references by UUID or by natural key (a deal names its account). "" is NULL except for text.
 * *ret_value is valid until the next call of this function on the handle. SATCHEL_E_TYPE,
 * SATCHEL_E_LIMIT; SATCHEL_E_NOT_FOUND: no such referenced record; SATCHEL_E_CONFLICT: several. */
SATCHEL_API enum satchel_code satchel_parse_value(struct satchel *handle,
                                                  const struct satchel_column *column,
                                                  const char *text,
                                                  struct satchel_value *ret_value);
/* The reverse, as in tables and CSV; a reference is its UUID. Writes at most `size` bytes with the
 * terminator, cut at a character; *ret_size (may be NULL) is the size of the whole without it. */
SATCHEL_API enum satchel_code satchel_format_value(struct satchel *handle,
                                                   const struct satchel_column *column,
                                                   const struct satchel_value *value, char *out,
                                                   size_t size, size_t *ret_size);

/* --- writing ------------------------------------------------------------------------------- */

/* Identity of a committed transaction: a device's transactions count 1, 2, 3 ... */
struct satchel_dot {
    uint64_t origin; /* this replica */
    uint64_t oseq;   /* 0: nothing was written */
    uint32_t tag;
};

/* A transaction is one group: decided as a whole by headquarters, and never seen in parts. Writes
 * outside of one are a transaction each. An error of a single write leaves the transaction as it
 * was before that write, unless its code is NOMEM, FULL, IO, CORRUPT or BUG: then it is gone.
 * SATCHEL_E_INVALID: one is open already; SATCHEL_E_FORBIDDEN: read-only; SATCHEL_E_BUSY. */
SATCHEL_API enum satchel_code satchel_begin(struct satchel *handle);
/* When it returns SATCHEL_OK the transaction is as durable as `synchronous` says. On an error
 * nothing of it is there. ret_dot may be NULL. Connected handles send at once. */
SATCHEL_API enum satchel_code satchel_commit(struct satchel *handle, struct satchel_dot *ret_dot);
/* No error if none is open. */
SATCHEL_API void satchel_rollback(struct satchel *handle);
SATCHEL_API bool satchel_in_transaction(const struct satchel *handle);

/* The fast path: values by column id, borrowed during the call; nothing is allocated per row. *id
 * in: all zero makes one; out: the record's. Columns not named get their fallback.
 * SATCHEL_E_MODEL: no such table or column id; SATCHEL_E_TYPE, SATCHEL_E_LIMIT: the message names
 * table, column and value; SATCHEL_E_EXISTS; SATCHEL_E_FORBIDDEN: a table
 * that the server alone writes. */
SATCHEL_API enum satchel_code satchel_insert(struct satchel *handle, uint32_t table_id,
                                             struct satchel_id *id, const uint16_t *columns,
                                             const struct satchel_value *values, uint16_t count);
/* Columns whose value stays are left out. Of a counter the value is the new total (the difference
 * travels), of a set the whole set. SATCHEL_E_NOT_FOUND: absent or deleted; as satchel_insert(). */
SATCHEL_API enum satchel_code satchel_update(struct satchel *handle, uint32_t table_id,
                                             const struct satchel_id *id, const uint16_t *columns,
                                             const struct satchel_value *values, uint16_t count);
/* Deletes the record and all that belongs to it. SATCHEL_E_NOT_FOUND, SATCHEL_E_FORBIDDEN. */
SATCHEL_API enum satchel_code satchel_delete(struct satchel *handle, uint32_t table_id,
                                             const struct satchel_id *id);
/* Brings a deleted record back. SATCHEL_E_NOT_FOUND: no such deleted record. */
SATCHEL_API enum satchel_code satchel_restore(struct satchel *handle, uint32_t table_id,
                                              const struct satchel_id *id);

/* A column by name, and either people's text or a typed value. */
struct satchel_field {
    const char *column;
    const char *text;                  /* NULL: `value` counts */
    const struct satchel_value *value; /* NULL where text is: SQL NULL */
};

/* The same for people: tables and columns by name, text parsed as satchel_parse_value() does. */
SATCHEL_API enum satchel_code satchel_insert_fields(struct satchel *handle, const char *table,
                                                    struct satchel_id *id,
                                                    const struct satchel_field *fields,
                                                    size_t count);
SATCHEL_API enum satchel_code satchel_update_fields(struct satchel *handle, const char *table,
                                                    const struct satchel_id *id,
                                                    const struct satchel_field *fields,
                                                    size_t count);

/* --- reading ------------------------------------------------------------------------------- */

/* Who wrote something, as far as this replica knows. */
struct satchel_author {
    uint64_t origin, oseq; /* the transaction; oseq 0: nothing is known */
    int64_t at_ms;         /* when, by the author's clock; 0: not known */
    const char *device;    /* the device's name, or "" */
    const char *login;     /* the user's login, or "" */
    const char *user;      /* the user's name, or "" */
    bool own;              /* by this replica */
};

struct satchel_cell {
    const struct satchel_column *column;
    struct satchel_value value;
    const char *text; /* as people read it; of a reference the title of its record, where it is here
                         (else the UUID); "" for NULL */
    struct satchel_author author; /* last write; only where SATCHEL_WITH_AUTHORS was asked for */
    unsigned candidates; /* concurrent values of it: 1 as a rule. With SATCHEL_WITH_AUTHORS */
};

struct satchel_record {
    const struct satchel_table *table;
    struct satchel_id id;
    const char *title; /* text of the title column, else the id */
    bool deleted;
    uint32_t bucket;               /* 0: not decided yet */
    uint64_t revision;             /* raised by headquarters at each decision; 0: not decided yet */
    unsigned pending;              /* own transactions that touch it and are not decided */
    struct satchel_author created; /* with SATCHEL_WITH_AUTHORS */
    const struct satchel_cell *cells; /* table->column_count, by column index */
};

enum { SATCHEL_WITH_AUTHORS = 1 };

/* One record, deleted ones included. satchel_record_free() frees it. SATCHEL_E_NOT_FOUND,
 * SATCHEL_E_MODEL (no such table). */
SATCHEL_API enum satchel_code satchel_get(struct satchel *handle, const char *table,
                                          const struct satchel_id *id, unsigned flags,
                                          struct satchel_record **ret_record);
SATCHEL_API void satchel_record_free(struct satchel_record *record); /* accepts NULL */

/* The fast path: values[i] gets columns[i]; valid until the next call on the handle.
 * SATCHEL_E_NOT_FOUND: absent or deleted; SATCHEL_E_MODEL. */
SATCHEL_API enum satchel_code satchel_read(struct satchel *handle, uint32_t table_id,
                                           const struct satchel_id *id, const uint16_t *columns,
                                           struct satchel_value *ret_values, uint16_t count);

/* The record that a person means: a UUID, the start of one (6 digits or more, if it is of one
 * record), the value of a key column, or the title (exact, else case folded). SATCHEL_E_NOT_FOUND;
 * SATCHEL_E_CONFLICT: several, the message lists some; SATCHEL_E_MODEL. */
SATCHEL_API enum satchel_code satchel_resolve(struct satchel *handle, const char *table,
                                              const char *text, struct satchel_id *ret_id);
/* Live records whose columns have exactly these values (NULL matches NULL), up to `max` of them;
 * *ret_count may be more. The first call for a table and first column makes an index in the
 * replica, so imports may call it for each row. */
SATCHEL_API enum satchel_code satchel_lookup(struct satchel *handle, uint32_t table_id,
                                             const uint16_t *columns,
                                             const struct satchel_value *values, uint16_t count,
                                             struct satchel_id *ret_ids, size_t max,
                                             size_t *ret_count);

enum satchel_op {
    SATCHEL_OP_EQ,      /* = ; with SQL NULL: is not set */
    SATCHEL_OP_NE,      /* != ; with SQL NULL: is set */
    SATCHEL_OP_LT,      /* < */
    SATCHEL_OP_LE,      /* <= */
    SATCHEL_OP_GT,      /* > */
    SATCHEL_OP_GE,      /* >= */
    SATCHEL_OP_CONTAINS /* the text contains it, case folded (Unicode); sets: has the element */
};

/* "=", "!=", "<", "<=", ">", ">=", "contains" (also "~"); SATCHEL_E_PARSE. */
SATCHEL_API enum satchel_code satchel_op_parse(const char *text, enum satchel_op *ret_op);

struct satchel_condition {
    const char *column; /* or "id" */
    enum satchel_op op;
    const char *text;                  /* people's text; NULL: `value` counts */
    const struct satchel_value *value; /* NULL where text is: SQL NULL */
};

/* All zero: every live record, by id (which is the order of making). */
struct satchel_query {
    const struct satchel_condition *conditions; /* all must hold */
    size_t condition_count;                     /* up to 32 */
    const char *order;                          /* column name; NULL: id */
    bool descending;
    uint64_t limit; /* 0: none */
    uint64_t offset;
};

typedef int satchel_record_fn(void *context, const struct satchel_record *record);

/* query may be NULL. SATCHEL_E_MODEL, SATCHEL_E_TYPE, SATCHEL_E_LIMIT. */
SATCHEL_API enum satchel_code satchel_list(struct satchel *handle, const char *table,
                                           const struct satchel_query *query, satchel_record_fn *fn,
                                           void *context);
SATCHEL_API enum satchel_code satchel_count(struct satchel *handle, const char *table,
                                            const struct satchel_query *query, uint64_t *ret_count);

struct satchel_hit {
    const struct satchel_record *record;
    const struct satchel_column *column; /* where the text was found first */
};
typedef int satchel_hit_fn(void *context, const struct satchel_hit *hit);

/* Live records of all tables but the system's (save branch and user) with the text in a text
 * column, case folded. limit 0: 100. */
SATCHEL_API enum satchel_code satchel_find(struct satchel *handle, const char *text, uint64_t limit,
                                           satchel_hit_fn *fn, void *context);

/* names and values: count of them. */
typedef int satchel_row_fn(void *context, int count, const char *const *names,
                           const struct satchel_value *values);

/* One SELECT (also WITH, EXPLAIN) on the replica's typed tables (named as in the model, ids are
 * 16-byte blobs in `id`). SATCHEL_E_FORBIDDEN: it would write, attach or change settings;
 * SATCHEL_E_PARSE: SQLite's message; SATCHEL_E_INVALID: more than one statement. */
SATCHEL_API enum satchel_code satchel_sql(struct satchel *handle, const char *sql,
                                          satchel_row_fn *fn, void *context);

enum satchel_format { SATCHEL_FORMAT_CSV, SATCHEL_FORMAT_JSON_LINES };
/* Receives the text piece by piece. */
typedef int satchel_write_fn(void *context, const char *text, size_t size);

/* All live records of a table (NULL: of every table that is not the system's; in CSV each with an
 * empty line before its header) in the order of their ids, as one consistent cut. CSV: RFC 4180
 * with a header line, `id` first, formatted as satchel_format_value() does. JSON lines: an object
 * per record, `_table` and `id` first; integers, reals and booleans as such, money as text. */
SATCHEL_API enum satchel_code satchel_export(struct satchel *handle, const char *table,
                                             enum satchel_format format, satchel_write_fn *fn,
                                             void *context);

/* --- conflicts ----------------------------------------------------------------------------- */

enum satchel_conflict_state {
    SATCHEL_CONFLICT_OPEN,      /* a person has to choose */
    SATCHEL_CONFLICT_AUTOMATIC, /* the policy chose; may be overruled */
    SATCHEL_CONFLICT_SETTLED    /* somebody chose, or a later write came over it */
};

struct satchel_candidate {
    struct satchel_author author;
    const char *text; /* as people read it; "column: text, ..." of a group of columns */
    const struct satchel_cell *cells; /* the unit's columns with their values */
    size_t cell_count;
    bool deletes; /* the candidate is a delete of the record */
    bool shown;   /* it is what the record shows now */
    bool cut;     /* its text was too long for the conflict record, and was cut */
};

struct satchel_conflict {
    struct satchel_id id;
    const struct satchel_table *table; /* NULL: a table that the model does not have */
    struct satchel_id record;
    const char *record_title;
    const char *unit; /* column or column group; "" when it is about the record (a delete) */
    struct satchel_label unit_label;
    const char *policy;
    enum satchel_conflict_state state;
    bool about_delete; /* a delete met a write that it had not seen */
    bool
        provisional; /* of changes that headquarters has not decided yet: it may come to another end */
    int64_t at_ms, settled_at_ms;
    const char *shown_text; /* what was shown when it was decided */
    const char *base_text;  /* what the authors had seen, "" where it is not known */
    const struct satchel_candidate *candidates;
    size_t candidate_count;
};
typedef int satchel_conflict_fn(void *context, const struct satchel_conflict *conflict);

/* All zero: those that are not settled, newest first. */
struct satchel_conflict_query {
    bool open_only;                  /* only those where a person has to choose */
    bool with_settled;               /* settled ones too */
    const char *table;               /* of this table, or NULL */
    const struct satchel_id *record; /* of this record, or NULL */
    const struct satchel_id *id;     /* this one, or NULL */
    uint64_t limit;                  /* 0: none */
};

SATCHEL_API enum satchel_code satchel_conflicts(struct satchel *handle,
                                                const struct satchel_conflict_query *query,
                                                satchel_conflict_fn *fn, void *context);
/* Provisional ones come first, and have no delete among the candidates; they can be taken like others.
 * Takes candidate k (from 0, as listed): a new write that settles the conflict. Of a delete
 * conflict, taking the delete deletes the record; taking a write keeps it. SATCHEL_E_NOT_FOUND: no
 * such conflict or candidate; SATCHEL_E_CONFLICT: the candidate was cut, give its value by
 * satchel_conflict_set(). */
SATCHEL_API enum satchel_code satchel_conflict_take(struct satchel *handle,
                                                    const struct satchel_id *conflict, size_t k);
/* Settles with another value. fields: columns of the conflict's unit. */
SATCHEL_API enum satchel_code satchel_conflict_set(struct satchel *handle,
                                                   const struct satchel_id *conflict,
                                                   const struct satchel_field *fields,
                                                   size_t count);

/* --- what needs attention: own transactions that headquarters set aside -------------------- */

enum satchel_mutation_op {
    SATCHEL_MUTATION_INSERT = 1,
    SATCHEL_MUTATION_UPDATE = 2,
    SATCHEL_MUTATION_DELETE = 3,
    SATCHEL_MUTATION_RESTORE = 4
};

struct satchel_mutation {
    enum satchel_mutation_op op;
    const struct satchel_table *table;
    struct satchel_id id;
    const char *title;                /* of the record, as known here; else its id */
    const struct satchel_cell *cells; /* what it writes; of a counter the difference */
    size_t cell_count;
};

struct satchel_parked {
    uint64_t oseq;           /* which transaction: what retry and discard take */
    int64_t at_ms;           /* when it was set aside */
    const char *reason;      /* stable name, "RIGHTS" */
    const char *reason_text; /* for people */
    const char *detail;      /* what the server added, "" for nothing */
    const struct satchel_mutation *mutations;
    size_t mutation_count;
};
typedef int satchel_parked_fn(void *context, const struct satchel_parked *parked);

SATCHEL_API enum satchel_code satchel_parked(struct satchel *handle, satchel_parked_fn *fn,
                                             void *context);
/* Writes the transaction again upon what is shown now, as a new one, and gives up the old one.
 * Within a transaction it becomes part of it, so that updates beside it correct what was wrong.
 * SATCHEL_E_NOT_FOUND. */
SATCHEL_API enum satchel_code satchel_parked_retry(struct satchel *handle, uint64_t oseq);
/* Gives it up. SATCHEL_E_NOT_FOUND. */
SATCHEL_API enum satchel_code satchel_parked_discard(struct satchel *handle, uint64_t oseq);

/* --- history ------------------------------------------------------------------------------- */

enum satchel_event_kind {
    SATCHEL_EVENT_CREATED,
    SATCHEL_EVENT_WRITTEN, /* the last write of a column that is still part of the value */
    SATCHEL_EVENT_DELETED,
    SATCHEL_EVENT_CONFLICT,
    SATCHEL_EVENT_PENDING, /* an own transaction that is not decided */
    SATCHEL_EVENT_PARKED   /* an own transaction that was set aside */
};

struct satchel_event {
    enum satchel_event_kind kind;
    int64_t at_ms;
    struct satchel_author author;
    uint64_t revision;          /* CREATED, WRITTEN: the record's now */
    const char *unit;           /* column or column group, "" where it is about the record */
    const char *text;           /* the value, the conflict's candidates, or the reason */
    struct satchel_id conflict; /* CONFLICT */
};
typedef int satchel_event_fn(void *context, const struct satchel_event *event);

/* What this replica knows of a record's past, oldest first. SATCHEL_E_NOT_FOUND;
 * SATCHEL_E_MODEL. */
SATCHEL_API enum satchel_code satchel_history(struct satchel *handle, const char *table,
                                              const struct satchel_id *id, satchel_event_fn *fn,
                                              void *context);

/* --- servers: headquarters, and those of the branches -------------------------------------- */

struct satchel_server {
    const char *name;    /* of the branch; "headquarters" */
    const char *city;    /* of the branch, or "" */
    const char *address; /* "host:port" */
    bool headquarters;
    bool in_use; /* the next exchange goes there */
};

/* Returns other than 0 to stop. */
typedef int satchel_server_fn(void *context, const struct satchel_server *server);

/* Headquarters, where this device has enrolled, and the servers of branches that it knows of from its last
 * exchange. Texts are valid during the call. SATCHEL_E_INVALID: not enrolled; SATCHEL_E_NOMEM, store errors. */
SATCHEL_API enum satchel_code satchel_servers(struct satchel *handle, satchel_server_fn *fn,
                                              void *context);
/* From the next exchange on this device uses the server of the branch of that name, or "headquarters"; address
 * and key are kept in DIR/identity.json. What was not sent yet, and what is shown, stays as it is.
 * SATCHEL_E_NOT_FOUND; SATCHEL_E_INVALID: not enrolled, connected, or a handle for reading only; SATCHEL_E_IO,
 * SATCHEL_E_FULL, SATCHEL_E_FORBIDDEN, SATCHEL_E_NOMEM. */
SATCHEL_API enum satchel_code satchel_use_server(struct satchel *handle, const char *name);

/* --- attachments: photos, signatures, documents -------------------------------------------- */

/* An attachment is a record of the table `attachment`, which travels as records do and is seen by whoever sees its
 * customer, and the bytes that it names by their SHA-256, which follow when nothing else is to be sent. */
enum satchel_attachment_place {
    SATCHEL_ATTACHMENT_HERE,            /* saved on this device alone */
    SATCHEL_ATTACHMENT_AT_BRANCH,       /* here and at a branch, not known to be at headquarters */
    SATCHEL_ATTACHMENT_AT_HEADQUARTERS, /* here and there */
    SATCHEL_ATTACHMENT_ON_SERVER        /* not here, or not whole */
};

struct satchel_attachment {
    struct satchel_id id; /* of its record */
    struct satchel_id party,
        about; /* whose it is; what it is about, zeros: nothing in particular */
    const char *name, *kind, *media_type;
    uint8_t sha256[32];
    uint64_t size; /* bytes, as its record says */
    uint64_t here; /* of these on this device */
    uint64_t sent; /* while this handle sends it: bytes that the server has */
    enum satchel_attachment_place place;
    bool asked;     /* it comes with the next exchange */
    bool too_large; /* headquarters takes none of this size */
    int64_t taken_at_ms;
};

/* Up to `size` bytes to data; returns how many, 0 at the end, -1: it failed. */
typedef long satchel_source_fn(void *context, void *data, size_t size);

struct satchel_attach {
    const char *table; /* what it is about: a customer, or a record that has one */
    const struct satchel_id *record;
    const char *file; /* its bytes, or: */
    satchel_source_fn *source;
    void *source_context;
    const char *name;       /* NULL: the file's */
    const char *kind;       /* photo, signature, document, other; NULL: by the name */
    const char *media_type; /* NULL: by the name */
    int64_t taken_at_ms;    /* 0: not known */
};

/* Saves bytes and record in one transaction (part of an open one). SATCHEL_E_NOT_FOUND: no such record, or file;
 * SATCHEL_E_INVALID: the record has no customer, or the file is empty; SATCHEL_E_TOO_LARGE: larger than
 * headquarters takes, as far as this device knows; SATCHEL_E_IO: the file; SATCHEL_E_MODEL: the model has no
 * attachments. */
SATCHEL_API enum satchel_code satchel_attach(struct satchel *handle,
                                             const struct satchel_attach *what,
                                             struct satchel_id *ret_id);
/* fn gets each attachment: of a record, or (table NULL) all. Strings are valid during the call. */
typedef int satchel_attachment_fn(void *context, const struct satchel_attachment *attachment);
SATCHEL_API enum satchel_code satchel_attachments(struct satchel *handle, const char *table,
                                                  const struct satchel_id *record,
                                                  satchel_attachment_fn *fn, void *context);
/* One by its record's id. Strings are valid until the next call. SATCHEL_E_NOT_FOUND. */
SATCHEL_API enum satchel_code satchel_attachment(struct satchel *handle,
                                                 const struct satchel_id *id,
                                                 struct satchel_attachment *ret_attachment);
/* Its bytes, piece by piece. SATCHEL_E_NOT_FOUND: no such record; SATCHEL_E_OFFLINE: it is on the server only. */
typedef int satchel_bytes_fn(void *context, const void *data, size_t size);
SATCHEL_API enum satchel_code satchel_attachment_read(struct satchel *handle,
                                                      const struct satchel_id *id,
                                                      satchel_bytes_fn *fn, void *context);
/* Asks for it: it comes with the next exchange, or at once while connected. No error if it is here. */
SATCHEL_API enum satchel_code satchel_attachment_fetch(struct satchel *handle,
                                                       const struct satchel_id *id);
/* Attachments of up to so many bytes come by themselves: 0 none, UINT64_MAX all; 1 MiB unless this was called. */
SATCHEL_API enum satchel_code satchel_attachments_automatic(struct satchel *handle, uint64_t bytes);
/* From the next connection on, records alone are exchanged, or (as before) attachments as well. */
SATCHEL_API void satchel_carry_attachments(struct satchel *handle, bool carry);

/* --- status -------------------------------------------------------------------------------- */

/* The last server's model is the one here; an earlier one: what uses what is new waits there; or nothing comes down. */
enum satchel_server_model { SATCHEL_MODEL_SAME, SATCHEL_MODEL_EARLIER, SATCHEL_MODEL_STRANGE };

struct satchel_status {
    const char *directory;
    bool enrolled;
    const char *server;    /* "host:port", "" if not enrolled */
    bool server_is_branch; /* it is a branch's, not headquarters */
    const char *login, *device_name;
    struct satchel_id device, history;
    uint64_t origin;            /* this replica's name in dots; 0: nothing written yet */
    uint64_t written;           /* transactions written here, ever (the last oseq) */
    uint64_t saved_here;        /* of those, only on this device yet, as far as it knows */
    uint64_t at_branch;         /* at the server of a branch, and not known to be decided */
    uint64_t at_server;         /* at headquarters, and not yet covered by a checkpoint here */
    uint64_t decided;           /* all up to this one are decided */
    uint64_t sent_log;          /* decided ones that are kept until archived */
    uint64_t colleagues;        /* changes of others that are shown and not decided */
    uint64_t parked, attention; /* set aside; records that need a look */
    uint64_t conflicts_open, conflicts_automatic;
    uint64_t records;           /* confirmed ones, as of the last checkpoint */
    bool bootstrapped;          /* at least one checkpoint has been installed */
    int64_t last_checkpoint_ms; /* 0: never */
    int64_t last_exchange_ms;   /* when a sync last ended well; 0: never */
    int64_t clock_offset_ms;    /* server minus this device, at the last exchange */
    bool connected, live;
    uint64_t attachments_to_send, photos_to_send; /* photos: of these */
    uint64_t attachment_bytes_to_send;
    uint64_t attachments_to_fetch,
        attachment_bytes_to_fetch; /* seen here, and not on this device */
    uint64_t attachments_here, attachment_bytes_here;
    uint64_t attachments_refused; /* of those to send: too large for headquarters */
    uint64_t attachments_unnamed; /* here alone, and no record names them any more */
    uint64_t attachments_automatic,
        attachment_limit;   /* bytes: what comes by itself, what headquarters takes */
    uint32_t model_version; /* of the data model here */
    enum satchel_server_model server_model;
    uint32_t server_model_version; /* 0: not known yet */
    const char *server_model_why;  /* STRANGE: what is the matter, and what to do; else "" */
    uint64_t file_bytes, free_bytes, wal_bytes; /* free: of the file, to be used again */
};

/* Strings belong to the handle. */
SATCHEL_API enum satchel_code satchel_status(struct satchel *handle, struct satchel_status *ret);

/* What takes how much of the file, in bytes; 0 where this SQLite cannot tell. */
struct satchel_sizes {
    uint64_t records_bytes, conflicts_bytes;
    uint64_t deleted, deleted_bytes; /* records that were deleted, until headquarters purges them */
    uint64_t own_groups_bytes;       /* what waits to be sent, and the sent-log */
    uint64_t pending_bytes, parked_bytes; /* not decided, with copies beneath; set aside */
};
/* Reads the whole file. SATCHEL_E_NOMEM, SATCHEL_E_IO, SATCHEL_E_BUSY. */
SATCHEL_API enum satchel_code satchel_sizes(struct satchel *handle, struct satchel_sizes *ret);

struct satchel_verification {
    uint64_t buckets, records;    /* that were read */
    uint64_t unreadable;          /* records */
    uint64_t problems;            /* told; 0: all is in order */
    uint64_t repairable_problems; /* of these, such as the next exchange mends */
    bool repairable, marked;      /* marked: the next exchange compares with the server */
};
typedef void satchel_problem_fn(void *context, const char *text);

/* Reads everything: the file by SQLite's integrity check, and each bucket's records against the digest
 * that was saved with them. fn gets each problem in words. A handle for reading only marks nothing.
 * SATCHEL_OK: it was read, see problems; SATCHEL_E_INVALID: within a transaction, a callback or an
 * exchange; SATCHEL_E_NOMEM, SATCHEL_E_IO, SATCHEL_E_BUSY. */
SATCHEL_API enum satchel_code satchel_verify(struct satchel *handle, satchel_problem_fn *fn,
                                             void *context,
                                             struct satchel_verification *ret_verification);

/* --- syncing ------------------------------------------------------------------------------- */

enum satchel_sync_kind {
    SATCHEL_SYNC_CONNECTED,  /* authenticated */
    SATCHEL_SYNC_PROGRESS,   /* the counts have moved */
    SATCHEL_SYNC_CHECKPOINT, /* new state from the server is visible now */
    SATCHEL_SYNC_CAUGHT_UP, /* all that was there when it began is here, and all of ours is there */
    SATCHEL_SYNC_RESULTS, /* own transactions were decided, some set aside: see satchel_parked() */
    SATCHEL_SYNC_CLOSED,  /* ended; `code` SATCHEL_OK: all done (SATCHEL_ONCE) */
    SATCHEL_SYNC_RETRY,   /* ended with an error; connects again in retry_ms */
    SATCHEL_SYNC_REVOKED, /* this device was revoked. Afterwards the handle's data are erased:
                                every call but satchel_close() is SATCHEL_E_REVOKED */
    SATCHEL_SYNC_PENDING, /* from a branch: changes of colleagues that are not decided are visible now */
    SATCHEL_SYNC_MODEL /* the model has changed: what satchel_schema() gave before is gone. It goes on */
};

struct satchel_sync_event {
    enum satchel_sync_kind kind;
    enum satchel_code code; /* CLOSED, RETRY, REVOKED */
    const char *message;    /* for people; "" where there is nothing to say */
    int64_t retry_ms;
    uint64_t pushed,
        push_total; /* own transactions acknowledged; of those that wait. Since connecting */
    uint64_t pulled, pull_total; /* rows received; pull_total 0: not known */
    uint64_t pushed_bytes, pulled_bytes;
    uint64_t checkpoints;
    uint64_t attachments_sent, attachment_bytes_sent;
    uint64_t attachments_received, attachment_bytes_received;
};
/* Called from satchel_loop_run() and satchel_sync(). It may use the handle, disconnect it included,
 * but not close it. The return value counts in satchel_sync() alone. */
typedef int satchel_sync_fn(void *context, struct satchel *handle,
                            const struct satchel_sync_event *event);

enum satchel_mode {
    SATCHEL_ONCE, /* push what is here, catch up, hang up */
    SATCHEL_LIVE  /* stay; connect again when the link is lost */
};

struct satchel_loop; /* connections of any number of handles, served by one thread */

struct satchel_loop_options {
    uint32_t handles_max; /* 0: 8. Above 64 the tables are as large as the process may have files */
    satchel_log_fn *log;  /* may be NULL */
    void *log_context;
};

/* options may be NULL. SATCHEL_E_NOMEM, SATCHEL_E_CRYPTO. */
SATCHEL_API enum satchel_code satchel_loop_new(const struct satchel_loop_options *options,
                                               struct satchel_loop **ret_loop,
                                               struct satchel_error *ret_error);
/* Disconnects all handles. Accepts NULL. */
SATCHEL_API void satchel_loop_free(struct satchel_loop *loop);

/* Begins to connect. fn may be NULL. SATCHEL_E_INVALID: connected already, not enrolled, or
 * read-only; SATCHEL_E_NOMEM. */
SATCHEL_API enum satchel_code satchel_connect(struct satchel *handle, struct satchel_loop *loop,
                                              enum satchel_mode mode, satchel_sync_fn *fn,
                                              void *context);
/* Hangs up; nothing is reported any more. No error if it is not connected. */
SATCHEL_API void satchel_disconnect(struct satchel *handle);

enum satchel_woken {
    SATCHEL_WOKEN_BY_EVENT, /* at least one callback was called */
    SATCHEL_WOKEN_BY_FD,    /* wake_fd is readable (or its other end is closed) */
    SATCHEL_WOKEN_BY_TIME
};

/* Runs until something was reported, wake_fd (-1: none; always the same one) is readable, or the
 * time is over. timeout_ms: -1 for ever, 0 what is there now. wake_fd is watched, not read: use a
 * pipe or an eventfd to wake the loop from other threads, or stdin. ret_woken may be NULL.
 * SATCHEL_E_BUG: free the loop. */
SATCHEL_API enum satchel_code satchel_loop_run(struct satchel_loop *loop, int wake_fd,
                                               int64_t timeout_ms, enum satchel_woken *ret_woken);

/* One whole exchange: connects, pushes, catches up, carries attachments, hangs up. SATCHEL_SYNC_CAUGHT_UP
 * comes before the attachments. fn (may be NULL) returns non-zero to
 * give up (SATCHEL_E_INTERRUPTED). Not while connected to a loop. Errors: those of connecting
 * (SATCHEL_E_LINK, TIMEOUT, PIN, AUTH, REVOKED, PROTOCOL, VERSION, CLOSED ...), of the store. */
SATCHEL_API enum satchel_code satchel_sync(struct satchel *handle, satchel_sync_fn *fn,
                                           void *context);

#ifdef __cplusplus
}
#endif

#endif
