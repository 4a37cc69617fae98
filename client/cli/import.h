/* import.h - the parts of `satchel import`.
 *
 * Model:      a file is read whole into rows of texts (import_csv.c, import_json.c; import_text.c finds
 *             encoding and delimiter). A step puts the rows of one file into one table: its fields say
 *             how a column's text comes out of a row's cells (import_map.c reads them from a mapping
 *             file, import_auto.c guesses them). import_value.c makes values of texts, import_lookup.c
 *             finds records by key and by name, import_run.c writes what has changed in groups, and
 *             import_report.c counts and tells.
 * Invariants: read = inserted + updated + unchanged + refused, of every step; what is not taken is
 *             reported with its place and reason.
 * Memory:     the file, its cells, and an index of the names of the tables it speaks of. Out of memory
 *             ends the program: what was committed stands, and importing again goes on from there. */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "cli.h"
#include "text.h"

#define IMPORT_FILE_MAX    ((size_t)1 << 30)
#define IMPORT_COLUMNS_MAX 1024
#define IMPORT_SHOWN       20 /* refused rows on the screen */

/* --- memory that is freed at once --------------------------------------------------------------- */

struct pool {
    struct pool_block *blocks;
};
void *pool_take(struct pool *pool, size_t size);
char *pool_text(struct pool *pool, const char *text, size_t size);
/* Frees all. */
void pool_done(struct pool *pool);

/* --- a map of texts ----------------------------------------------------------------------------- */

struct map {
    struct map_slot *slots;
    size_t count, capacity;
};
/* The value's place, made with 0 if `make`; NULL if it is not there. Valid until the next make. */
uint64_t *map_at(struct map *map, const char *key, bool make);
void map_done(struct map *map);

/* --- a file as rows of texts -------------------------------------------------------------------- */

struct source_row {
    uint64_t number;    /* of the record, from 1, without the header */
    uint64_t line;      /* of the file, from 1; JSON: 0 where it is not known */
    const char **cells; /* column_count; NULL: absent */
    const char *bad;    /* why it cannot be taken, or NULL */
};

struct source {
    struct pool pool;
    const char *name; /* as people read it: the path's last part */
    const char *columns[IMPORT_COLUMNS_MAX];
    size_t column_count;
    struct source_row *rows;
    size_t row_count, row_capacity;
    const char *kind, *encoding; /* "CSV", "UTF-8" */
    char delimiter;              /* CSV */
    char problem[256];           /* why it could not be read */
};

struct source_options {
    const char *encoding;  /* "auto", "utf-8", "windows-1251", "windows-1252", "utf-16" */
    const char *delimiter; /* "auto", ",", ";", "tab", "|" */
    const char *rows;      /* JSON: where the rows are, "orders" or "orders.lines"; NULL */
};

/* Reads CSV or JSON, by its content. False: source->problem says why. */
bool source_read(struct source *source, const char *path, const struct source_options *options);
void source_done(struct source *source);
/* Adds a row of column_count absent cells. */
struct source_row *source_add(struct source *source);
/* The column's index, by name or a like one; -1. */
int source_column(const struct source *source, const char *name);

/* import_text.c: to UTF-8 without a mark. Owned by the caller; *ret_encoding is static. NULL: problem. */
char *import_decode(const char *data, size_t size, const char *encoding, size_t *ret_size,
                    const char **ret_encoding, char *problem, size_t problem_size);
/* The delimiter of a CSV text. */
char import_delimiter(const char *text, size_t size);
bool import_csv(struct source *source, const char *text, size_t size, char delimiter);
bool import_json(struct source *source, const char *text, size_t size, const char *rows);

/* --- records by name ---------------------------------------------------------------------------- */

enum { LOOKUP_COLUMNS_MAX = 8, KEY_COLUMNS_MAX = 128 };

struct lookup {
    struct lookup *next;
    const struct satchel_table *table;
    uint16_t columns[LOOKUP_COLUMNS_MAX]; /* indexes */
    size_t column_count;
    struct map exact, folded; /* value: entry + 1, or LOOKUP_SEVERAL */
    struct lookup_entry {
        struct satchel_id id;
        char *text;
    } * entries;
    size_t entry_count, entry_capacity;
};
#define LOOKUP_SEVERAL UINT64_MAX

enum lookup_result { LOOKUP_NONE, LOOKUP_EXACT, LOOKUP_ALIKE, LOOKUP_AMBIGUOUS };
/* *ret_text (LOOKUP_ALIKE): how the record is really called. */
enum lookup_result lookup_find(struct lookup *lookup, const char *text, struct satchel_id *ret_id,
                               const char **ret_text);
void lookup_add(struct lookup *lookup, const char *text, const struct satchel_id *id);
/* Reads the table's names. Returns EXIT_DONE or what was told. */
int lookup_fill(struct cli *cli, struct lookup *lookup);
void lookup_free(struct lookup *lookup);

/* --- steps -------------------------------------------------------------------------------------- */

enum missing { MISSING_ERROR, MISSING_NULL, MISSING_CREATE };

/* How one column gets its text. Strings belong to the mapping (json_t) or the pool of the import. */
struct field {
    const struct satchel_column *column;
    const char *sources[16]; /* names in the file */
    int source_index[16];    /* resolved against it; -1: absent (optional) */
    size_t source_count;
    const char *join, *template_text, *constant, *fallback, *date, *split, *prefix;
    uint64_t part;  /* with split: the n-th, from 1; 0: all (of sets) */
    json_t *values; /* text -> text; "*": every other; "": empty */
    json_t *aliases, *create;
    bool skip_empty, optional, lower, login;
    char decimal;        /* '.', ',', 0: found */
    unsigned zeros;      /* times 10^zeros */
    const char *slashes; /* form of dates with '/', where the file tells it */
    struct lookup *by;   /* references */
    enum missing missing;
    const struct satchel_column *take; /* this column of the referenced record instead */
};

struct step {
    const struct satchel_table *table;
    char *path;
    struct source_options source;
    struct field *fields;
    size_t field_count;
    uint16_t key[KEY_COLUMNS_MAX]; /* column indexes */
    size_t key_count;
    bool guessed; /* columns were matched by name */
    json_t *nulls;
    json_t *mapping; /* NULL: guessed */
    char where[128]; /* place in the mapping file, for messages */
};

struct counts {
    uint64_t read, inserted, updated, unchanged, refused, created;
};

struct import {
    struct cli *cli;
    bool dry_run;
    uint64_t batch;
    uint64_t writes; /* in the open transaction */
    const char *errors_path;
    struct lookup *lookups;
    struct pool pool;
    struct report *report;
};

/* The lookup of a table by these columns, made if needed; NULL after telling. */
struct lookup *import_lookup(struct import *import, const struct satchel_table *table,
                             const uint16_t *columns, size_t count);
/* By its keys and its title. */
struct lookup *import_lookup_default(struct import *import, const struct satchel_table *table);

/* import_map.c: fills step->table, fields, key from step->mapping. Returns EXIT_DONE or what was told. */
int step_from_mapping(struct import *import, struct step *step);
/* import_auto.c: the same by the names of the columns. table_name may be NULL. */
int step_guess(struct import *import, struct step *step, const struct source *source,
               const char *table_name);
/* Resolves the fields' sources. */
int step_bind(struct import *import, struct step *step, const struct source *source);
int step_set_key(struct import *import, struct step *step, const char *const *names, size_t count);
void step_default_key(struct step *step);

/* import_run.c: opens the transaction of a group, or of a dry run, if none is open. Returns EXIT_DONE or
 * what was told. */
int import_begin(struct import *import);
/* Writes the rows. */
int step_run(struct import *import, struct step *step, const struct source *source);

/* --- values ------------------------------------------------------------------------------------- */

enum made {
    MADE_VALUE,
    MADE_LEAVE,   /* not written */
    MADE_LATER,   /* names a record of the same table that is not there yet */
    MADE_REFUSED, /* outcome.reason */
    MADE_FAILED   /* told: ends the import */
};

struct outcome {
    struct satchel_value value; /* bytes in the pool given */
    const char *text;           /* as it was in the file, for reports */
    char reason[768];
};

/* The value of one field of one row. */
enum made field_value(struct import *import, const struct step *step, const struct field *field,
                      const struct source_row *row, struct pool *pool, struct outcome *outcome);
/* import_number.c: people's forms of numbers and dates as satchel_parse_value() takes them. False: the
 * reason is in `reason`. */
bool import_number(const struct field *field, const char *text, struct text *out, char *reason,
                   size_t size);
bool import_date(const struct field *field, const char *text, struct text *out, char *reason,
                 size_t size);

/* --- the report --------------------------------------------------------------------------------- */

struct report *report_new(struct import *import);
void report_begin(struct report *report, const struct step *step, const struct source *source);
void report_refused(struct report *report, const struct source_row *row, const char *column,
                    const char *value, const char *reason);
/* A note on a row that was taken; notes of the same `what` are told once, with their number. */
void report_note(struct report *report, const struct source_row *row, const char *column,
                 const char *value, const char *what);
struct counts *report_counts(struct report *report);
/* Tells the step's result. */
void report_end(struct report *report);
/* Tells the sum, frees. Returns the exit code. */
int report_done(struct report *report, int failed);

#endif
