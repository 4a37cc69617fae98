/* options.h - arguments of a command line, and the help that follows from them.
 *
 * Model:      a command states its options in a table; parsing fills their targets, `--help` prints the
 *             same table. `--name value` and `--name=value`; `--` ends the options. */
#ifndef SERVER_MAIN_OPTIONS_H
#define SERVER_MAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,   /* bool * */
    OPTION_TEXT,   /* const char ** : borrowed from argv */
    OPTION_NUMBER, /* int64_t * within min..max */
};

struct option {
    const char *name; /* without -- */
    enum option_kind kind;
    void *target;
    const char *argument; /* as shown in the help; NULL for flags */
    const char *help;
    int64_t min, max; /* numbers */
};

struct usage {
    const char *command;   /* "satcheld enroll" */
    const char *arguments; /* "LOGIN", or "" */
    const char *about;     /* what it does, one or more lines */
    const char *examples;  /* or NULL */
    const struct option *options;
    size_t option_count;
    size_t min, max; /* positional arguments */
};

enum { OPTIONS_POSITIONAL_MAX = 8, OPTIONS_GO_ON = -1 };

/* Fills targets and positional (usage->max of them, NULL where not given). Returns OPTIONS_GO_ON, or
 * the exit code: 0 after --help, 2 after a mistake, which has been told. */
int options_parse(const struct usage *usage, int argc, char **argv, const char **positional);
/* Sets one option from text. Returns NULL, or what is wrong with the text ("must be a number ..."). */
const char *option_set(const struct option *option, const char *text, char *problem, size_t size);
const struct option *option_find(const struct option *options, size_t count, const char *name);
/* The name that looks most like `name`, or NULL. `names` end with NULL. */
const char *nearest(const char *name, const char *const *names);

#endif
