/* main.c - satchel_sim: the real cores on simulated disks and networks, from a seed. Exit codes: 0 all
 * invariants held, 1 one is broken, 2 usage. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/unfailing.h"
#include "tests/sim/jobs.h"

#ifdef SATCHEL_EXAM
void satchel_plant(const char *name); /* the exam build has the bugs */
#endif

static const char usage_text[] =
    "usage: satchel_sim --seed N [--trace]      one run; again: the same trace hash\n"
    "       satchel_sim --seconds S [--jobs J]  seeds one after the other, figures at the end\n"
    "       satchel_sim --runs N [--jobs J]     so many seeds\n"
    "       satchel_sim --seeds FILE            the seeds of a file: \"seed devices events  why\"\n"
    "       satchel_sim --shrink SEED           the least of a failing run, and its story\n"
    "       satchel_sim --list                  what can happen, and what is counted\n"
    "  --from N          the first seed (1), or now\n"
    "  --nodes N         devices beside headquarters (12)\n"
    "  --branches N      so many, up to 8 (0); any: 1 to 8 by the seed; some: the same in every "
    "third\n"
    "                    (with --seconds)\n"
    "  --people all      customers change hands, teams and substitutes come and go; some: in two "
    "runs "
    "of five\n"
    "                    (with --seconds)\n"
    "  --models all      the model changes in the middle; some: in one run of four (with "
    "--seconds)\n"
    "  --events N        about so many (2000)     --twice     each seed twice, hashes compared\n"
    "  --real-crypto     Ed25519 in every run     --quiet     no figures\n"
    "  --keep-going      do not stop at the first failure\n"
    "  --bug NAME        plants a bug (builds for the exam only)\n";

enum mode { MODE_NONE, MODE_SEED, MODE_MANY, MODE_SHRINK, MODE_LIST, MODE_FILE };

static int usage(void)
{
    (void)fputs(usage_text, stderr);
    return 2;
}

static void print_list(void)
{
    for (int i = 0; i < ACTION_COUNT; i++)
        printf("action  %-12s %s\n", action_name((enum action_kind)i),
               action_text((enum action_kind)i));
    for (int i = 0; i < COVER_COUNT; i++)
        printf("%s  %s\n", cover_is_fault((enum cover)i) ? "fault " : "state ",
               cover_text((enum cover)i));
}

static void print_outcome(uint64_t seed, const struct outcome *outcome)
{
    printf("seed %llu: hash %016llx, %llu events, %.1f simulated hours%s\n",
           (unsigned long long)seed, (unsigned long long)outcome->hash,
           (unsigned long long)outcome->events, (double)outcome->simulated_us / 3600e6,
           outcome->failed ? ", FAILED" : "");
}

/* The last lines of the story of a run that failed. */
static void print_tail(const struct kit *kit, const struct options *options, uint64_t seed)
{
    enum { LINES = 40 };
    char *text = NULL;
    size_t size = 0;
    struct outcome outcome;
    FILE *story = open_memstream(&text, &size);
    if (!story)
        return;
    run_seed(kit, options, seed, story, &outcome);
    (void)fclose(story);
    size_t from = size;
    for (int lines = 0; from > 0 && lines <= LINES; from--)
        lines += text[from - 1] == '\n';
    printf("%s", text + (from ? from + 1 : 0));
    free(text);
}

static int one_seed(const struct kit *kit, const struct options *options, uint64_t seed, bool twice)
{
    struct outcome outcome, again;
    run_seed(kit, options, seed, options->trace ? stdout : NULL, &outcome);
    print_outcome(seed, &outcome);
    if (twice && !outcome.failed) {
        run_seed(kit, options, seed, NULL, &again);
        if (again.hash != outcome.hash) {
            printf("FAILED seed %llu: a second run has the hash %016llx\n",
                   (unsigned long long)seed, (unsigned long long)again.hash);
            return 1;
        }
    }
    if (!outcome.failed)
        return 0;
    if (!options->trace)
        print_tail(kit, options, seed);
    printf("FAILED seed %llu: %s: %s\n", (unsigned long long)seed, outcome.invariant, outcome.why);
    print_replay(options, seed);
    return 1;
}

/* Lines "seed devices events why", or "seed devices+branches events why"; a seed with an m behind it: the model
 * changes; with a p: customers change hands, teams and substitutes come and go. # begins a comment. */
static int seeds_of_file(const struct options *given, const char *path, bool twice)
{
    struct kit kit;
    char line[400];
    int failed = 0;
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "satchel_sim: cannot read %s\n", path);
        return 2;
    }
    kit_open(&kit);
    while (fgets(line, sizeof line, file)) {
        struct options options = *given;
        unsigned long long seed;
        options.branches = 0;
        options.models = MODELS_NONE;
        options.people = PEOPLE_NONE;
        for (char *mark = line + strspn(line, "0123456789"); *mark == 'm' || *mark == 'p'; mark++) {
            options.models = *mark == 'm' ? MODELS_ALL : options.models;
            options.people = *mark == 'p' ? PEOPLE_ALL : options.people;
            *mark = ' ';
        }
        if (line[0] == '#' ||
            (sscanf(line, "%llu %u+%d %u", &seed, &options.devices, &options.branches,
                    &options.events) != 4 &&
             sscanf(line, "%llu %u %u", &seed, &options.devices, &options.events) != 3))
            continue;
        failed |= one_seed(&kit, &options, seed, twice);
    }
    kit_close(&kit);
    (void)fclose(file);
    return failed;
}

struct command {
    enum mode mode;
    bool branches, models, people; /* were said */
    bool twice;
    const char *file;
    struct options options;
};

static bool flag(struct command *c, const char *name)
{
    if (strcmp(name, "--trace") == 0)
        c->options.trace = true;
    else if (strcmp(name, "--real-crypto") == 0)
        c->options.real_crypto = true;
    else if (strcmp(name, "--quiet") == 0)
        c->options.quiet = true;
    else if (strcmp(name, "--keep-going") == 0)
        c->options.keep_going = true;
    else if (strcmp(name, "--twice") == 0)
        c->twice = true;
    else if (strcmp(name, "--list") == 0)
        c->mode = MODE_LIST;
    else
        return false;
    return true;
}

static bool with_value(struct command *c, const char *name, const char *value)
{
    char *end;
    unsigned long long number = strtoull(value, &end, 0);
    bool is_number = *value && !*end;
    if (strcmp(name, "--bug") == 0) {
        c->options.bug = value;
        return true;
    }
    if (strcmp(name, "--seeds") == 0) {
        c->file = value;
        c->mode = MODE_FILE;
        return true;
    }
    if (strcmp(name, "--seconds") == 0) {
        c->options.seconds = strtod(value, &end);
        c->mode = MODE_MANY;
        return c->options.seconds > 0;
    }
    if (strcmp(name, "--from") == 0 && strcmp(value, "now") == 0) {
        c->options.seed = (uint64_t)time(NULL) * 1000;
        printf("seeds from %llu on\n", (unsigned long long)c->options.seed);
        return true;
    }
    if (strcmp(name, "--branches") == 0) {
        c->branches = true;
        c->options.branches = strcmp(value, "any") == 0    ? BRANCHES_ANY
                              : strcmp(value, "some") == 0 ? BRANCHES_SOME
                                                           : (int32_t)number;
        return (is_number && number <= BRANCHES_MOST) || c->options.branches < 0;
    }
    if (strcmp(name, "--models") == 0) {
        c->models = true;
        c->options.models = strcmp(value, "all") == 0    ? MODELS_ALL
                            : strcmp(value, "some") == 0 ? MODELS_SOME
                                                         : MODELS_NONE;
        return c->options.models != MODELS_NONE || strcmp(value, "none") == 0;
    }
    if (strcmp(name, "--people") == 0) {
        c->people = true;
        c->options.people = strcmp(value, "all") == 0    ? PEOPLE_ALL
                            : strcmp(value, "some") == 0 ? PEOPLE_SOME
                                                         : PEOPLE_NONE;
        return c->options.people != PEOPLE_NONE || strcmp(value, "none") == 0;
    }
    if (!is_number)
        return false;
    if (strcmp(name, "--seed") == 0 || strcmp(name, "--shrink") == 0) {
        c->mode = name[4] == 'e' ? MODE_SEED : MODE_SHRINK;
        c->options.seed = number;
    } else if (strcmp(name, "--runs") == 0) {
        c->options.runs = (uint32_t)number;
        c->mode = MODE_MANY;
    } else if (strcmp(name, "--from") == 0) {
        c->options.seed = number;
    } else if (strcmp(name, "--nodes") == 0) {
        c->options.devices = (uint32_t)number;
    } else if (strcmp(name, "--events") == 0) {
        c->options.events = (uint32_t)number;
    } else if (strcmp(name, "--jobs") == 0) {
        c->options.jobs = (uint32_t)number;
    } else {
        return false;
    }
    return true;
}

static int run(const struct command *c)
{
    struct kit kit;
    switch (c->mode) {
    case MODE_LIST: print_list(); return 0;
    case MODE_MANY: return run_many(&c->options);
    case MODE_SHRINK: return shrink_seed(&c->options);
    case MODE_FILE: return seeds_of_file(&c->options, c->file, c->twice);
    case MODE_SEED: {
        kit_open(&kit);
        int failed = one_seed(&kit, &c->options, c->options.seed, c->twice);
        kit_close(&kit);
        return failed;
    }
    case MODE_NONE: break;
    }
    return usage();
}

int main(int argc, char **argv)
{
    struct command c = {.options = {.seed = 1, .devices = 12, .events = 2000, .jobs = 1}};
    unfailing_libraries(); /* jansson writes where nothing is when its memory fails */
    for (int i = 1; i < argc; i++) {
        if (flag(&c, argv[i]))
            continue;
        if (i + 1 >= argc || !with_value(&c, argv[i], argv[i + 1]))
            return usage();
        i++;
    }
    if (c.options.devices < 1 || c.options.devices > 64 || c.options.jobs < 1)
        return usage();
    if (!c.branches && c.options.seconds > 0)
        c.options.branches = BRANCHES_SOME;
    if (!c.models && c.options.seconds > 0)
        c.options.models = MODELS_SOME;
    if (!c.people && c.options.seconds > 0)
        c.options.people = PEOPLE_SOME;
#ifdef SATCHEL_EXAM
    if (c.options.bug)
        satchel_plant(c.options.bug);
#else
    if (c.options.bug) {
        fprintf(stderr, "satchel_sim: this build has no planted bugs\n");
        return 2;
    }
#endif
    return run(&c);
}
