/* args.c - see args.h. */
#include "args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

int args_wrong(struct cli *cli, const struct command *command, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return cli_failf(cli, EXIT_USAGE, "%s: %s\nusage: satchel %s %s\nsatchel help %s says more",
                     command->name, message, command->name, command->arguments, command->name);
}

static int unknown(struct cli *cli, const struct command *command, const struct option *options,
                   size_t count, const char *name)
{
    const char *names[16];
    size_t n = 0;
    for (size_t i = 0; i < count && n < 16; i++)
        names[n++] = options[i].name;
    const char *near = text_nearest(name, names, n);
    return args_wrong(cli, command, "there is no option --%s%s%s%s", name,
                      near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

static int store(struct cli *cli, const struct command *command, const struct option *option,
                 const char *value)
{
    if (option->kind == OPTION_TEXT) {
        *(const char **)option->target = value;
        return EXIT_DONE;
    }
    char *end;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0')
        return args_wrong(cli, command, "--%s needs a number, not '%s'", option->name, value);
    *(uint64_t *)option->target = number;
    return EXIT_DONE;
}

/* Takes argv[*at], an option, and its value. */
static int take(struct cli *cli, const struct command *command, const struct option *options,
                size_t count, int argc, char **argv, int *at)
{
    char name[64];
    const char *word = argv[*at] + 2, *equals = strchr(word, '=');
    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - word) : 63, word);
    const struct option *option = NULL;
    for (size_t i = 0; i < count && !option; i++) {
        if (strcmp(options[i].name, name) == 0)
            option = &options[i];
    }
    if (!option)
        return unknown(cli, command, options, count, name);
    if (option->kind == OPTION_FLAG) {
        if (equals)
            return args_wrong(cli, command, "--%s takes no value", name);
        *(bool *)option->target = true;
        return EXIT_DONE;
    }
    if (equals)
        return store(cli, command, option, equals + 1);
    if (*at + 1 >= argc)
        return args_wrong(cli, command, "--%s needs a value", name);
    return store(cli, command, option, argv[++*at]);
}

int args_parse(struct cli *cli, const struct command *command, const struct option *options,
               size_t count, int *argc, char **argv, int least, int most)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            for (i++; i < *argc; i++)
                argv[kept++] = argv[i];
        } else if (strncmp(argv[i], "--", 2) == 0) {
            int failed = take(cli, command, options, count, *argc, argv, &i);
            if (failed)
                return failed;
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    if (kept < least)
        return args_wrong(cli, command, "an argument is missing");
    if (kept > most)
        return args_wrong(cli, command, "'%s' is one argument too many", argv[most]);
    return EXIT_DONE;
}
