/* cli.h - what the commands of the program `satchel` share.
 *
 * Model:      main.c takes the global options out of the arguments, then one command of the table in
 *             main.c runs. A command parses its own options (args.h), opens the replica
 *             (cli_open()), works, and returns an exit code. What went wrong is told where it is
 *             found, once, by cli_fail() and its kin; they return the exit code.
 * Output:     results on stdout, for people or (--json) for programs; messages on stderr. With
 *             --json an error is an object {"error": {"code", "message", "exit"}} on stdout too. */
#ifndef CLI_H
#define CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "satchel.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_NOT_FOUND = 1, /* no such record, or nothing to do as asked */
    EXIT_USAGE = 2,     /* the command line or a file that it names is not right */
    EXIT_REFUSED = 3,   /* refused by a rule, or something needs attention */
    EXIT_NETWORK = 4,
    EXIT_STORAGE = 5,
    EXIT_AUTH = 6 /* not authenticated, or revoked */
};

struct cli {
    const char *directory; /* owned */
    bool json, quiet, create;
    bool color;    /* on stdout */
    bool terminal; /* stdout is one */
    int width;     /* columns of stdout; 0: not a terminal, cut nothing */
    struct satchel *handle;
};

struct command {
    const char *name;
    const char *arguments; /* "TABLE column=value..." */
    const char *summary;   /* one line */
    const char *help;      /* options and examples, several lines */
    /* argv without the command's name. Returns an exit code. */
    int (*run)(struct cli *cli, int argc, char **argv);
};

extern const struct command command_add, command_attach, command_attachments, command_attention,
    command_conflicts, command_enroll, command_export, command_fetch, command_find,
    command_handover, command_history, command_import, command_list, command_restore, command_rm,
    command_server, command_set, command_show, command_sql, command_status, command_sync,
    command_tables, command_verify;

/* --- errors: tell, and return the exit code ----------------------------------------------------- */

int cli_exit_of(enum satchel_code code);
/* The last error of the handle. */
int cli_failed(struct cli *cli);
int cli_fail(struct cli *cli, enum satchel_code code, const char *message);
/* The same of an exchange: what is wrong with the data came over the network, nobody typed it. */
int cli_fail_exchange(struct cli *cli, enum satchel_code code, const char *message);
__attribute__((format(printf, 3, 4))) int cli_failf(struct cli *cli, int exit_code,
                                                    const char *format, ...);
/* A note on stderr, unless --quiet. */
__attribute__((format(printf, 2, 3))) void cli_say(struct cli *cli, const char *format, ...);
/* Ends the program: there is no sensible way to go on. */
_Noreturn void cli_out_of_memory(void);

/* --- the replica -------------------------------------------------------------------------------- */

/* Opens it into cli->handle. read_only: beside a writer. Returns EXIT_DONE or what was told. */
int cli_open(struct cli *cli, bool read_only);
/* A table by name or label, NULL after telling (with the nearest name). */
const struct satchel_table *cli_table(struct cli *cli, const char *name);
const struct satchel_column *cli_column(struct cli *cli, const struct satchel_table *table,
                                        const char *name);
/* The same without telling; NULL if there is none. */
const struct satchel_table *cli_find_table(const struct satchel *handle, const char *name);
const struct satchel_column *cli_find_column(const struct satchel_table *table, const char *name);
/* A record by UUID, start of one, key or title. */
int cli_resolve(struct cli *cli, const struct satchel_table *table, const char *text,
                struct satchel_id *ret_id);
/* Parses `column=value` arguments. *ret_fields is freed by the caller; its strings are within argv,
 * which is cut at the '='. */
int cli_fields(struct cli *cli, const struct satchel_table *table, int argc, char **argv,
               struct satchel_field **ret_fields);

/* --- text of values ----------------------------------------------------------------------------- */

/* As satchel_format_value(), whole; freed by the caller. */
char *cli_value_text(struct cli *cli, const struct satchel_column *column,
                     const struct satchel_value *value);
/* Money with its currency, instants in local time; freed by the caller. */
char *cli_cell_text(struct cli *cli, const struct satchel_record *record,
                    const struct satchel_cell *cell);
/* "2026-11-22 10:15" in local time; "" for 0. out: 32 bytes. */
void cli_time(int64_t at_ms, char out[32]);
/* "4.1 MB". out: 32 bytes. */
void cli_size(uint64_t bytes, char out[32]);
/* none, all, 500k, 2M; false: it is none of these. */
bool cli_parse_size(const char *text, uint64_t *ret_bytes);
/* Where an attachment is, in words. out: 80 bytes. */
void cli_place(const struct satchel_attachment *attachment, char out[80]);
/* Who: "Nancy Davolio (laptop)". Freed by the caller. */
char *cli_author(const struct satchel_author *author);

/* Whether to go on: `yes` was said, or the person at the terminal says so now. 0, or the exit code with which
 * the command ends (told: `nothing` says that nothing was done). */
int cli_agree(struct cli *cli, bool yes, const char *question, const char *nothing);

/* --- JSON --------------------------------------------------------------------------------------- */

/* Numbers and booleans as such, money as decimal text, sets as arrays, references as UUID. */
json_t *cli_json_value(struct cli *cli, const struct satchel_column *column,
                       const struct satchel_value *value);
/* {"id", "table", "title", "deleted", "revision", "pending", "values": {...}, "titles": {...}} */
json_t *cli_json_record(struct cli *cli, const struct satchel_record *record);
/* A string. Bytes that are no UTF-8, of a message that was cut, become U+FFFD. */
json_t *cli_json_text(const char *text);
json_t *cli_json_author(const struct satchel_author *author);
json_t *cli_json_id(const struct satchel_id *id);
json_t *cli_json_time(int64_t at_ms); /* "2026-11-22T10:15:00.000Z", null for 0 */
json_t *cli_json_attachment(const struct satchel_attachment *attachment);
/* Prints and releases. */
void cli_print_json(json_t *value);

/* --- colours: "" without --color ---------------------------------------------------------------- */

enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_GREEN, STYLE_YELLOW };
const char *cli_style(const struct cli *cli, enum style style);
/* The end of one. */
const char *cli_plain(const struct cli *cli);

/* "✓" saved here, "✓✓✓" at headquarters. */
const char *cli_mark(const struct satchel_record *record);

#endif
