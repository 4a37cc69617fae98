/* command.h - what the commands of satcheld share: exit codes, arguments, how a failure is told.
 *
 * Reading order: main.c (the list of commands) -> options.c (arguments and --help) -> settings.c (the
 * configuration) -> house.c (a data directory, opened) -> ask.c (a request to the running server or to
 * the store itself) -> one file per command. table.c draws tables for people. */
#ifndef SERVER_MAIN_COMMAND_H
#define SERVER_MAIN_COMMAND_H

#include <jansson.h>

#include "common/error.h"
#include "server/main/options.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_NOTHING = 1, /* not found; verify: something is wrong */
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3, /* exists already, not valid, in use */
    EXIT_NETWORK = 4,
    EXIT_STORAGE = 5,
};

/* A command gets its own name as argv[0] and returns an exit code. */
typedef int command_fn(int argc, char **argv);

command_fn command_init, command_run, command_user, command_branch, command_team, command_enroll,
    command_devices, command_revoke, command_backup, command_restore, command_verify,
    command_compact, command_sql, command_status, command_model;

/* Options that all commands have; the first entries of each command's table. */
struct common_options {
    const char *data; /* NULL: $SATCHELD_DATA, or DATA_DEFAULT */
    bool json;
};
#define DATA_DEFAULT "/var/lib/satcheld"
#define OPTIONS_COMMON(common)                                                           \
    {"data",                                                                             \
     OPTION_TEXT,                                                                        \
     &(common)->data,                                                                    \
     "DIR",                                                                              \
     "the data directory ($SATCHELD_DATA, else " DATA_DEFAULT ")",                       \
     0,                                                                                  \
     0},                                                                                 \
    {                                                                                    \
        "json", OPTION_FLAG, &(common)->json, NULL, "answer as JSON, for programs", 0, 0 \
    }
const char *data_of(const struct common_options *common);

int exit_of(enum err code);
/* Tells a failure, on stderr for people or on stdout as JSON, and returns the exit code. */
int tell_failure(const struct common_options *common, enum err code, const struct err_info *info);
/* Prints a JSON value on stdout. */
void print_json(const json_t *value);
/* "2026-11-22 10:00:05" UTC of milliseconds since 1970; "-" for 0. */
#define WHEN_SIZE 32
const char *when_text(int64_t ms, char out[WHEN_SIZE]);

#endif
