/* args.h - options of one command. `--name value` and `--name=value`, anywhere among the other
 * arguments; `--` ends them. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdint.h>

#include "cli.h"

enum option_kind {
    OPTION_FLAG,  /* target: bool * */
    OPTION_TEXT,  /* const char ** */
    OPTION_NUMBER /* uint64_t * */
};

struct option {
    const char *name; /* without the dashes */
    enum option_kind kind;
    void *target;
};

/* Takes the options out of argv; what is left is argv[0 .. *argc - 1]. Tells and returns EXIT_USAGE
 * when one is unknown or lacks its value, or when fewer than `least` or more than `most` arguments
 * are left. */
int args_parse(struct cli *cli, const struct command *command, const struct option *options,
               size_t count, int *argc, char **argv, int least, int most);
/* "satchel list: ..." with the way to the help; returns EXIT_USAGE. */
__attribute__((format(printf, 3, 4))) int args_wrong(struct cli *cli, const struct command *command,
                                                     const char *format, ...);

#define ARGS_MANY 1000000

#endif
