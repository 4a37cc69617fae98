#include "server/main/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/text.h"

enum { NEAREST_MAX = 40, HELP_COLUMN = 26 };

/* Levenshtein distance of short words. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NEAREST_MAX + 1];
    size_t width = strlen(b);
    if (width > NEAREST_MAX)
        return NEAREST_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != 0; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            size_t best = corner + (a[i] != b[j]);
            corner = row[j + 1];
            if (corner + 1 < best)
                best = corner + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    return row[width];
}

const char *nearest(const char *name, const char *const *names)
{
    const char *found = NULL;
    size_t least = strlen(name) / 3 + 2;
    for (; *names != NULL; names++) {
        size_t d = distance(name, *names);
        if (d < least) {
            least = d;
            found = *names;
        }
    }
    return found;
}

const struct option *option_find(const struct option *options, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

const char *option_set(const struct option *option, const char *text, char *problem, size_t size)
{
    int64_t number = 0;
    switch (option->kind) {
    case OPTION_FLAG:
        if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0) {
            (void)snprintf(problem, size, "must be yes or no, not '%s'", text);
            return problem;
        }
        *(bool *)option->target = strcmp(text, "yes") == 0;
        return NULL;
    case OPTION_TEXT: *(const char **)option->target = text; return NULL;
    case OPTION_NUMBER:
        if (text_parse_int64(bytes_of_text(text), &number) != ERR_OK || number < option->min ||
            number > option->max) {
            (void)snprintf(problem, size, "must be a number from %lld to %lld, not '%s'",
                           (long long)option->min, (long long)option->max, text);
            return problem;
        }
        *(int64_t *)option->target = number;
        return NULL;
    }
    return "cannot be set";
}

static void print_help(const struct usage *usage)
{
    printf("usage: %s%s%s [options]\n\n%s\n\noptions:\n", usage->command,
           usage->arguments[0] ? " " : "", usage->arguments, usage->about);
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct option *option = &usage->options[i];
        int size = printf("  --%s%s%s", option->name, option->argument ? " " : "",
                          option->argument ? option->argument : "");
        printf("%*s%s\n", size < HELP_COLUMN ? HELP_COLUMN - size : 1, "", option->help);
    }
    printf("  --help%*sthis text\n", HELP_COLUMN - 8, "");
    if (usage->examples)
        printf("\nexamples:\n%s\n", usage->examples);
}

static int mistake(const struct usage *usage, const char *what, const char *which)
{
    fprintf(stderr, "%s: %s%s\nTry '%s --help'.\n", usage->command, what, which, usage->command);
    return 2;
}

static int unknown_option(const struct usage *usage, const char *name)
{
    const char *names[64];
    size_t count = usage->option_count < 63 ? usage->option_count : 63;
    for (size_t i = 0; i < count; i++)
        names[i] = usage->options[i].name;
    names[count] = NULL;
    const char *close = nearest(name, names);
    char text[200];
    (void)snprintf(text, sizeof text, "--%.60s%s%s%s", name, close ? "; did you mean --" : "",
                   close ? close : "", close ? "?" : "");
    return mistake(usage, "there is no option ", text);
}

/* Takes the option at argv[*at]; moves *at to the last argument that belongs to it. */
static int take_option(const struct usage *usage, int argc, char **argv, int *at)
{
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    char name[64];
    size_t size = equals ? (size_t)(equals - text) : strlen(text);
    (void)snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1),
                   text);
    if (strcmp(name, "help") == 0) {
        print_help(usage);
        return 0;
    }
    const struct option *option = option_find(usage->options, usage->option_count, name);
    if (!option)
        return unknown_option(usage, name);
    char problem[200], line[300];
    const char *wrong = NULL;
    if (option->kind == OPTION_FLAG && !equals) {
        *(bool *)option->target = true;
        return OPTIONS_GO_ON;
    }
    if (!equals && *at + 1 >= argc)
        wrong = "needs a value";
    else
        wrong = option_set(option, equals ? equals + 1 : argv[++*at], problem, sizeof problem);
    if (!wrong)
        return OPTIONS_GO_ON;
    (void)snprintf(line, sizeof line, "--%s %s", name, wrong);
    return mistake(usage, line, "");
}

int options_parse(const struct usage *usage, int argc, char **argv, const char **positional)
{
    size_t count = 0;
    bool ended = false;
    for (size_t i = 0; i < usage->max; i++)
        positional[i] = NULL;
    for (int i = 1; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && argv[i][0] == '-' && argv[i][1] == '-') {
            int code = take_option(usage, argc, argv, &i);
            if (code != OPTIONS_GO_ON)
                return code;
        } else if (!ended && strcmp(argv[i], "-h") == 0) {
            print_help(usage);
            return 0;
        } else if (count == usage->max) {
            return mistake(usage, "does not know what to do with ", argv[i]);
        } else {
            positional[count++] = argv[i];
        }
    }
    return count < usage->min ? mistake(usage, "needs ", usage->arguments) : OPTIONS_GO_ON;
}
