/* model.h - the data model as data: tables, columns, merge policies, buckets, rights, labels.
 *
 * Model:      a model file (JSON) declares everything that SQLite tables, the wire and validation
 *             follow from. Every model also contains the system tables (ids 1..15, model_system.json
 *             built in): branch, user, device, origin, conflict.
 * Ids:        tables, columns and column groups carry stable integers that are never reused; the wire
 *             speaks of them and never of names. A column group's id lives in the same space as the
 *             column ids of its table. A *unit* is what is merged as one: a column that is in no
 *             group, or a column group; its id is the column's or the group's.
 * Ownership:  model_parse() gives one object that owns everything reachable from it; immutable.
 * Source:     ../protocol/SPEC.md "The model". */
#ifndef COMMON_MODEL_H
#define COMMON_MODEL_H

#include "common/buf.h"
#include "common/error.h"
#include "common/value.h"

enum {
    MODEL_TABLES_MAX = 256,
    MODEL_COLUMNS_MAX = 512,
    MODEL_SYMBOLS_MAX = 256,
    MODEL_ID_MAX = 0x7fff,     /* table, column and group ids: 1..MODEL_ID_MAX */
    MODEL_TABLE_ID_FIRST = 16, /* below: system tables */
    MODEL_FILE_MAX = 4 << 20,
    MODEL_WHOLE_MAX = MODEL_FILE_MAX + (1 << 20), /* with the system tables */
    MODEL_DEPTH_MAX = 12,                         /* of the file's nesting */
    MODEL_NAME_MAX = 63,
    MODEL_LABEL_MAX = 200,        /* bytes */
    MODEL_TEXT_MAX = 65536,       /* bytes of a text value; also the default `max` */
    MODEL_TRANSITIONS_MAX = 4096, /* per fsm */
    MODEL_PARENTS_MAX = 8,        /* length of a chain of parents */
};

enum column_type {
    COLUMN_TEXT,
    COLUMN_INTEGER,
    COLUMN_REAL,
    COLUMN_MONEY, /* minor units; `digits` of them; currency in `currency` or `currency_column` */
    COLUMN_DATE,
    COLUMN_INSTANT,
    COLUMN_BOOLEAN,
    COLUMN_ENUM,
    COLUMN_REFERENCE,
    COLUMN_SET,
    COLUMN_BLOB, /* SHA-256 of a blob */
};

/* DESIGN.md section 4. */
enum merge_policy {
    MERGE_LWW,
    MERGE_UPSTREAM,
    MERGE_FIRST,
    MERGE_MANUAL,
    MERGE_MAX,
    MERGE_MIN,
    MERGE_RESTRICT, /* the stricter: for booleans true, for enums the later symbol, for numbers the larger */
    MERGE_COUNTER,
    MERGE_SET,
    MERGE_APPEND, /* set at the insert only */
    MERGE_TEXT,
    MERGE_FSM,
};

enum delete_policy { DELETE_REVIVES, DELETE_WINS, DELETE_MANUAL, DELETE_NEVER };

/* Each includes those before. */
enum role { ROLE_NONE, ROLE_REP, ROLE_MANAGER, ROLE_ADMIN, ROLE_SERVER };

enum bucket_rule {
    BUCKET_COMPANY, /* every record is in the company bucket */
    BUCKET_ROUTED, /* by the columns visibility (enum company|branch|owner[|team]), branch, owner, team */
    BUCKET_INHERIT, /* the bucket of the record that `parent` refers to */
    BUCKET_SYSTEM,  /* set by the engine row by row (conflict) */
};

enum { MODEL_LANGUAGES = 2 }; /* "en", "ru" */
struct model_label {
    const char *text[MODEL_LANGUAGES]; /* never NULL: falls back to English, then to the name */
};

struct model_transition {
    uint16_t from, to; /* symbol indexes */
};

struct model_column {
    uint16_t id;
    uint16_t index;      /* its place in table->columns and in value arrays */
    uint16_t unit_index; /* its unit in table->units */
    uint16_t unit_place; /* its place among the unit's columns */
    const char *name;
    struct model_label label;
    enum column_type type;
    bool required;           /* an insert must give a value that is not NULL (and not "") */
    bool key;                /* natural key: what import matches by default and people search by */
    struct value fallback;   /* "default": what an insert that names no value stores; else NULL */
    int64_t min, max;        /* integer, money, instant, real: inclusive; text, set: bytes in max.
                                INT64_MIN, INT64_MAX: no bound of its own */
    uint16_t digits;         /* money: minor digits, 0..4 (default 2) */
    const char *currency;    /* money: fixed ISO 4217 code, or NULL */
    int16_t currency_column; /* money: index of the text column with the code, or -1 */
    int16_t target;          /* reference: index in model->tables, else -1 */
    const char *const *symbols; /* enum (and fsm): in declared order */
    const struct model_label *symbol_labels;
    uint16_t symbol_count;
};

struct model_unit {
    uint16_t id;
    uint16_t index;
    const char *name;
    struct model_label label;
    enum merge_policy policy;
    const uint16_t *columns; /* indexes, ascending by column id */
    uint16_t column_count;
    /* fsm, on one enum column: allowed transitions; `rank[symbol]`: who wins among concurrent ones
     * (higher first); equal ranks of different symbols are never decided by a machine. */
    const struct model_transition *transitions; /* ascending by from, to */
    uint16_t transition_count;
    const uint16_t *ranks;
    bool carries_base; /* text, fsm, manual, column groups: a mutation carries its base values */
};

struct model_table {
    uint16_t id;
    uint16_t index;
    const char *name;
    struct model_label label, label_plural;
    const struct model_column *columns; /* ascending by id */
    uint16_t column_count;
    const struct model_unit *units; /* ascending by id */
    uint16_t unit_count;
    enum delete_policy delete_policy;
    enum bucket_rule bucket_rule;
    int16_t visibility_column, branch_column, owner_column; /* BUCKET_ROUTED; indexes or -1 */
    int16_t team_column; /* BUCKET_ROUTED with the visibility 'team'; or -1 */
    int16_t
        parent_column; /* reference to the record that this one belongs to and is deleted with; -1 */
    int16_t title_column; /* what people read as the record's name; -1: the id */
    enum role write_role; /* the least role that may write records of it */
    bool system;
};

struct model {
    const char *name;
    uint32_t version;
    const struct model_table *tables; /* ascending by id, system tables first */
    uint16_t table_count;
    uint8_t hash[32]; /* SHA-256 of the canonical form: equal models have equal hashes */
    /* The whole text (SPEC.md 14.2): the file with the system tables that are in effect, for
     * model_parse_whole(): what stores keep and servers tell. */
    struct bytes text;
};

/* System table and column ids: fixed by model_system.json, used by the engine. */
enum {
    TABLE_BRANCH = 1,
    TABLE_USER = 2,
    TABLE_DEVICE = 3,
    TABLE_ORIGIN = 4,
    TABLE_CONFLICT = 5,
    TABLE_TEAM = 6,
    TABLE_TEAM_MEMBER = 7,
};

/* Column ids of the system tables. */
enum {
    SYSTEM_BRANCH_NAME = 1,
    SYSTEM_BRANCH_CITY = 2,
    SYSTEM_BRANCH_PARENT = 3,
    SYSTEM_BRANCH_CODE = 4,
    SYSTEM_BRANCH_TIME_ZONE = 5,

    SYSTEM_USER_LOGIN = 1,
    SYSTEM_USER_NAME = 2,
    SYSTEM_USER_BRANCH = 3,
    SYSTEM_USER_ROLE = 4, /* symbols: role_name() of ROLE_NONE to ROLE_ADMIN */
    SYSTEM_USER_ACTIVE = 5,
    SYSTEM_USER_EMAIL = 6,
    SYSTEM_USER_PHONE = 7,
    SYSTEM_USER_TITLE = 8,
    SYSTEM_USER_CODE = 9,
    SYSTEM_USER_FIRST_NAME = 10,
    SYSTEM_USER_LAST_NAME = 11,
    SYSTEM_USER_MANAGER = 12,
    SYSTEM_USER_EXTENSION = 13,
    SYSTEM_USER_LANGUAGE = 14,
    SYSTEM_USER_SUBSTITUTE = 15,
    SYSTEM_USER_SUBSTITUTE_UNTIL = 16,

    SYSTEM_DEVICE_USER = 1,
    SYSTEM_DEVICE_NAME = 2,
    SYSTEM_DEVICE_PLATFORM = 3,
    SYSTEM_DEVICE_REVOKED = 4,
    SYSTEM_DEVICE_LAST_SEEN = 5,
    SYSTEM_DEVICE_ENROLLED_AT = 6,

    SYSTEM_ORIGIN_DEVICE = 1,
    SYSTEM_ORIGIN_USER = 2,
    SYSTEM_ORIGIN_STARTED_AT = 3,
    SYSTEM_ORIGIN_ORIGIN = 4, /* the 64 bits as a signed integer */

    SYSTEM_CONFLICT_TABLE_ID = 1,
    SYSTEM_CONFLICT_RECORD = 2,
    SYSTEM_CONFLICT_RECORD_TITLE = 3,
    SYSTEM_CONFLICT_UNIT_ID = 4, /* 0: the record itself (a delete) */
    SYSTEM_CONFLICT_UNIT = 5,
    SYSTEM_CONFLICT_POLICY = 6,
    SYSTEM_CONFLICT_SHOWN = 7,
    SYSTEM_CONFLICT_CANDIDATES = 8,
    SYSTEM_CONFLICT_BASE = 9,
    SYSTEM_CONFLICT_STATE = 10,
    SYSTEM_CONFLICT_AT = 11,
    SYSTEM_CONFLICT_SETTLED_AT = 12,
    SYSTEM_CONFLICT_KIND = 13,

    SYSTEM_TEAM_NAME = 1,
    SYSTEM_TEAM_BRANCH = 2,
    SYSTEM_TEAM_ACTIVE = 3,

    SYSTEM_TEAM_MEMBER_TEAM = 1,
    SYSTEM_TEAM_MEMBER_USER = 2,
    SYSTEM_TEAM_MEMBER_ACTIVE = 3,
};

/* Parses and validates a model file. On failure info names the place ("tables[2].columns[4].merge:
 * 'lwww' is not a merge policy; did you mean 'lww'?"). ERR_MODEL, ERR_PARSE, ERR_LIMIT,
 * ERR_NOMEM, ERR_CRYPTO (the hash, for lack of memory as well). */
enum err model_parse(struct bytes json, struct model **ret_model, struct err_info *info);
/* The same of a whole text. Its system tables are another program's: they, or this program's, are taken,
 * whichever extends the other (model_change.h). hash: NULL, or 32 bytes that the model as the text has it must
 * have: ERR_MALFORMED if it does not. ERR_VERSION: neither extends the other; what model_parse() returns, also where
 * the text is of a later program and has what this one does not know. */
enum err model_parse_whole(struct bytes text, const uint8_t *hash, struct model **ret_model,
                           struct err_info *info);
/* The same with the system tables of the text, whatever this program's are: for reading what is there. */
enum err model_parse_given(struct bytes text, struct model **ret_model, struct err_info *info);
/* The CRM's model that is built in (model_crm.json compiled in as text). Same errors. */
enum err model_builtin(struct model **ret_model, struct err_info *info);
void model_free(struct model *model); /* accepts NULL */
/* The source text of the built-in model. */
struct bytes model_builtin_json(void);

/* NULL when there is none. O(log n) by id, O(n) by name. */
const struct model_table *model_table_by_id(const struct model *model, uint32_t id);
const struct model_table *model_table_by_name(const struct model *model, struct bytes name);
const struct model_column *model_column_by_id(const struct model_table *table, uint32_t id);
const struct model_column *model_column_by_name(const struct model_table *table, struct bytes name);
const struct model_unit *model_unit_by_id(const struct model_table *table, uint32_t id);

/* Whether a value may be stored in the column: kind, range, symbol, UTF-8, size, required.
 * ERR_TYPE or ERR_LIMIT, info says which column and why. A set's value is the JSON array text. */
enum err model_check_value(const struct model_column *column, const struct value *value,
                           struct err_info *info);
/* From what a person or a CSV cell says to a value (arena owns text): dates in ISO (a time of day of
 * 0:00 after it is taken, another is not), instants in ISO (without a zone: UTC) or ms, booleans
 * true/false/yes/no/1/0 and in Russian, money as decimal with the column's digits, enums by symbol or
 * label (either language, case folded), references as UUID text (natural keys are resolved by the
 * caller), blobs as hexadecimal, sets as JSON array or `a; b`. "" is NULL except for text columns,
 * where it is "". White space around is dropped, except in text. Ranges, sizes and `required` are
 * model_check_value()'s. ERR_TYPE with the reason; ERR_NOMEM. */
enum err model_value_from_text(const struct model_column *column, struct bytes text,
                               struct arena *arena, struct value *ret, struct err_info *info);
/* The reverse, for tables and CSV: appended to out. ERR_NOMEM, ERR_TOO_LARGE. */
enum err model_value_to_text(const struct model_column *column, const struct value *value,
                             struct buf *out);
const char *merge_policy_name(enum merge_policy policy);
const char *column_type_name(enum column_type type);
const char *role_name(enum role role);
/* ERR_NOT_FOUND. */
enum err role_parse(struct bytes text, enum role *ret_role);

#endif
