#include "tests/faults/series.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/failing_alloc.h"

/* ---- what is enumerated ---- */

struct call_fault {
    const char *name;
    enum sim_disk_call call;
    enum sim_disk_effect effect;
    int code; /* 0: the call's own */
};

static const struct call_fault call_faults[] = {
    {"open", SIM_DISK_OPEN, SIM_DISK_FAILS, 0},
    {"create", SIM_DISK_CREATE, SIM_DISK_FAILS, 0},
    {"create-full", SIM_DISK_CREATE, SIM_DISK_FAILS, SQLITE_FULL},
    {"delete", SIM_DISK_DELETE, SIM_DISK_FAILS, 0},
    {"access", SIM_DISK_ACCESS, SIM_DISK_FAILS, 0},
    {"read", SIM_DISK_READ, SIM_DISK_FAILS, 0},
    {"read-short", SIM_DISK_READ, SIM_DISK_SHORT_READ, 0},
    {"write", SIM_DISK_WRITE, SIM_DISK_FAILS, 0},
    {"write-half", SIM_DISK_WRITE, SIM_DISK_HALF_WRITE, 0},
    {"write-full", SIM_DISK_WRITE, SIM_DISK_FAILS, SQLITE_FULL},
    {"write-half-full", SIM_DISK_WRITE, SIM_DISK_HALF_WRITE, SQLITE_FULL},
    {"truncate", SIM_DISK_TRUNCATE, SIM_DISK_FAILS, 0},
    {"sync", SIM_DISK_SYNC, SIM_DISK_FAILS, 0},
    {"sync-loses", SIM_DISK_SYNC, SIM_DISK_SYNC_LOSES, 0},
    {"file-size", SIM_DISK_FILE_SIZE, SIM_DISK_FAILS, 0},
    {"lock", SIM_DISK_LOCK, SIM_DISK_FAILS, 0},
    {"lock-busy", SIM_DISK_LOCK, SIM_DISK_FAILS, SQLITE_BUSY},
    {"unlock", SIM_DISK_UNLOCK, SIM_DISK_FAILS, 0},
    {"check-reserved", SIM_DISK_CHECK_RESERVED, SIM_DISK_FAILS, 0},
    {"shm-map", SIM_DISK_SHM_MAP, SIM_DISK_FAILS, 0},
    {"shm-map-size", SIM_DISK_SHM_MAP, SIM_DISK_FAILS, SQLITE_IOERR_SHMSIZE},
    {"shm-map-nomem", SIM_DISK_SHM_MAP, SIM_DISK_FAILS, SQLITE_IOERR_NOMEM},
    {"shm-lock", SIM_DISK_SHM_LOCK, SIM_DISK_FAILS, 0},
    {"shm-lock-busy", SIM_DISK_SHM_LOCK, SIM_DISK_FAILS, SQLITE_BUSY},
    {"rename", SIM_DISK_RENAME, SIM_DISK_FAILS, 0},
};

struct power_fault {
    const char *name;
    enum sim_disk_survivors survivors;
    bool kills;
    uint64_t seed; /* with the number of the change */
};

static const struct power_fault power_faults[] = {
    {"kill", SIM_DISK_ALL, true, 0},
    {"lose", SIM_DISK_LOSE, false, 0},
    {"prefix-a", SIM_DISK_PREFIX, false, 1},
    {"prefix-b", SIM_DISK_PREFIX, false, 3},
    {"prefix-c", SIM_DISK_PREFIX, false, 6},
    {"subset-a", SIM_DISK_SUBSET, false, 10},
    {"subset-b", SIM_DISK_SUBSET, false, 20},
    {"garbage-a", SIM_DISK_GARBAGE, false, 30},
    {"garbage-b", SIM_DISK_GARBAGE, false, 40},
    {"all", SIM_DISK_ALL, false, 0},
};

enum { CALL_FAULTS = sizeof call_faults / sizeof *call_faults };
enum { POWER_FAULTS = sizeof power_faults / sizeof *power_faults };

static struct rig_fault allocation_fault(bool forever, uint64_t k)
{
    return (struct rig_fault){.kind = RIG_ALLOCATION, .at = k, .forever = forever};
}

static struct rig_fault call_fault(const struct call_fault *f, bool forever, uint64_t k)
{
    return (struct rig_fault){
        .kind = RIG_CALL,
        .at = k,
        .forever = forever,
        .call = {.calls = SIM_DISK_BIT(f->call), .effect = f->effect, .code = f->code}};
}

static struct rig_fault power_fault(const struct power_fault *f, bool after, uint64_t k)
{
    return (struct rig_fault){.kind = RIG_POWER,
                              .at = k,
                              .after = after,
                              .kills = f->kills,
                              .survivors = f->survivors,
                              .survivor_seed = f->seed + k};
}

/* ---- a run ---- */

enum { CHILD_SECONDS = 10 };
enum { WRONG_MAX = 3 }; /* of a series, when they run apart: the rest of it is left out then */

struct state {
    const struct flow *flow;
    const struct plan *plan;
    struct rig *template;
    int victim;
    char story[160];
    int64_t live; /* blocks that a run leaves: those of the first, which warms caches */
    uint64_t runs;
    uint64_t seen_allocations, seen[SIM_DISK_CALL_COUNT]; /* of the last run */
    uint64_t allocations, calls[SIM_DISK_CALL_COUNT];     /* of a run without faults */
    uint64_t wrong, wrong_in_series;
};

static void run_here(struct state *s, const struct rig_fault *first, const struct rig_fault *second,
                     bool *ret_first, bool *ret_second)
{
    int64_t before = failing_alloc_live();
    struct rig *rig = rig_copy(s->template);
    rig->story = s->story;
    if (first != NULL)
        rig_arm(rig, s->victim, first, second);
    s->flow->run(rig);
    s->seen_allocations = failing_alloc_seen();
    for (uint32_t i = 0; i < SIM_DISK_CALL_COUNT; i++)
        s->seen[i] = sim_disk_count(rig->nodes[s->victim].disk, SIM_DISK_BIT(i));
    rig_mend(rig);
    *ret_first = rig->first_hit;
    *ret_second = rig->second_hit;
    s->runs++;
    rig_finish(rig);
    if (s->flow->check != NULL)
        s->flow->check(rig);
    int64_t left = failing_alloc_live();
    rig_free(rig);
    left = failing_alloc_live() - before;
    if (left != 0 && s->runs > 2)
        rig_fail(&(const struct rig){.story = s->story},
                 "%" PRId64 " blocks of memory were not given back", left);
}

/* The same in a child, whose end tells. */
static void run_apart(struct state *s, const struct rig_fault *first,
                      const struct rig_fault *second, bool *ret_first, bool *ret_second)
{
    int status = 0;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {CHILD_SECONDS, CHILD_SECONDS};
        (void)setrlimit(RLIMIT_CPU, &limit);
        run_here(s, first, second, ret_first, ret_second);
        _exit((*ret_first ? 1 : 0) | (*ret_second ? 2 : 0));
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        rig_fail(s->template, "no process");
    bool wrong = !WIFEXITED(status) || WEXITSTATUS(status) > 3;
    if (wrong && WIFSIGNALED(status))
        (void)fprintf(stderr, "FAILED %s\n  signal %d\n", s->story, WTERMSIG(status));
    s->runs++;
    s->wrong += wrong;
    s->wrong_in_series += wrong;
    *ret_first = wrong ? s->wrong_in_series < WRONG_MAX : (WEXITSTATUS(status) & 1) != 0;
    *ret_second = wrong ? s->wrong_in_series < WRONG_MAX : (WEXITSTATUS(status) & 2) != 0;
}

static void run(struct state *s, const struct rig_fault *first, const struct rig_fault *second,
                bool *ret_first, bool *ret_second)
{
    if (s->plan->apart)
        run_apart(s, first, second, ret_first, ret_second);
    else
        run_here(s, first, second, ret_first, ret_second);
}

/* Whether this series is asked for, and which of its faults. */
static bool is_asked(const struct state *s, const char *series, uint64_t *ret_k, uint64_t *ret_k2)
{
    char flow[40], name[60];
    int victim = 0;
    *ret_k = *ret_k2 = 0;
    if (s->plan->only != NULL)
        return sscanf(s->plan->only, "%39s %d %59s %" SCNu64 " %" SCNu64, flow, &victim, name,
                      ret_k, ret_k2) >= 4 &&
               strcmp(flow, s->flow->name) == 0 && victim == s->victim && strcmp(name, series) == 0;
    return s->plan->series == NULL ||
           strncmp(s->plan->series, series, strlen(s->plan->series)) == 0;
}

static void name_story(struct state *s, const char *series, uint64_t k, uint64_t k2)
{
    int size = snprintf(s->story, sizeof s->story, "\"%s %d %s %" PRIu64, s->flow->name, s->victim,
                        series, k);
    (void)snprintf(s->story + size, sizeof s->story - (size_t)size,
                   k2 > 0 ? " %" PRIu64 "\"" : "\"", k2);
}

typedef struct rig_fault make_fault(const void *context, uint64_t k);

/* All faults of a series, or each part-th from a first one that depends on its name: together the
 * series of a part meet different places. */
static uint64_t series(struct state *s, const char *name, uint64_t count, make_fault *make,
                       const void *context)
{
    uint64_t asked, ignored, hits = 0, part = s->plan->part;
    bool hit, second;
    if (!is_asked(s, name, &asked, &ignored))
        return 0;
    uint64_t from = 0;
    s->wrong_in_series = 0;
    for (const char *c = name; *c != 0; c++)
        from = from * 31 + (uint64_t)(unsigned char)*c;
    for (uint64_t k = asked > 0 ? asked : 1 + from % part; asked > 0 || k <= count; k += part) {
        const struct rig_fault fault = make(context, k);
        name_story(s, name, k, 0);
        run(s, &fault, NULL, &hit, &second);
        hits += hit;
        if (asked > 0 || s->wrong_in_series >= WRONG_MAX)
            break;
    }
    return hits;
}

static uint64_t sum_of(const struct state *s, uint32_t calls)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SIM_DISK_CALL_COUNT; i++)
        sum += (calls >> i & 1) != 0 ? s->calls[i] : 0;
    return sum;
}

/* ---- single faults ---- */

static struct rig_fault make_allocation(const void *context, uint64_t k)
{
    return allocation_fault(*(const bool *)context, k);
}

struct call_context {
    const struct call_fault *fault;
    bool forever;
};

static struct rig_fault make_call(const void *context, uint64_t k)
{
    const struct call_context *c = context;
    return call_fault(c->fault, c->forever, k);
}

struct power_context {
    const struct power_fault *fault;
    bool after;
};

static struct rig_fault make_power(const void *context, uint64_t k)
{
    const struct power_context *c = context;
    return power_fault(c->fault, c->after, k);
}

static uint64_t allocations(struct state *s)
{
    const bool once = false, forever = true;
    uint64_t hits = 0;
    if (s->plan->allocations) {
        hits += series(s, "alloc", s->allocations, make_allocation, &once);
        hits += series(s, "alloc-on", s->allocations, make_allocation, &forever);
    }
    return hits;
}

static uint64_t calls(struct state *s)
{
    uint64_t hits = 0;
    for (int i = 0; i < CALL_FAULTS; i++)
        for (int forever = 0; forever < 2; forever++) {
            const struct call_context context = {&call_faults[i], forever};
            char name[60];
            (void)snprintf(name, sizeof name, "%s%s", call_faults[i].name, forever ? "-on" : "");
            hits += series(s, name, s->calls[call_faults[i].call], make_call, &context);
        }
    return hits;
}

static uint64_t powers(struct state *s)
{
    uint64_t hits = 0;
    for (int i = 0; i < POWER_FAULTS; i++)
        for (int after = 0; after < 2; after++) {
            const struct power_context context = {&power_faults[i], after};
            char name[60];
            (void)snprintf(name, sizeof name, "%s-%s", after ? "after" : "before",
                           power_faults[i].name);
            hits += series(s, name, sum_of(s, SIM_DISK_CHANGES), make_power, &context);
        }
    return hits;
}

/* ---- second faults ---- */

enum { SECOND_FIRSTS = 3 }; /* each such change is where the power goes first, at part 1 */

struct second {
    const char *name;
    struct rig_fault (*make)(uint64_t first, uint64_t k);
};

static struct rig_fault second_power(uint64_t first, uint64_t k)
{
    return power_fault(&power_faults[(first + k) % POWER_FAULTS], k % 2 == 0, k);
}

/* Any call, with its own error. */
static struct rig_fault second_call(uint64_t first, uint64_t k)
{
    (void)first;
    return (struct rig_fault){
        .kind = RIG_CALL, .at = k, .call = {.calls = SIM_DISK_ANY, .effect = SIM_DISK_SYNC_LOSES}};
}

static struct rig_fault second_full(uint64_t first, uint64_t k)
{
    (void)first;
    return (struct rig_fault){.kind = RIG_CALL,
                              .at = k,
                              .call = {.calls = SIM_DISK_BIT(SIM_DISK_WRITE),
                                       .effect = SIM_DISK_HALF_WRITE,
                                       .code = SQLITE_FULL}};
}

static struct rig_fault second_allocation(uint64_t first, uint64_t k)
{
    (void)first;
    return allocation_fault(false, k);
}

static const struct second seconds[] = {
    {"then-power", second_power},
    {"then-call", second_call},
    {"then-full", second_full},
    {"then-alloc", second_allocation},
};

/* The power goes at sampled changes (what survives differs from one to the next), and while that is
 * recovered from, up to the flow's end, each second fault: of allocations a sample. */
static uint64_t second_faults(struct state *s, const struct second *kind)
{
    uint64_t asked, asked_second, hits = 0;
    bool first_hit = true;
    bool sampled = kind->make == second_allocation;
    if (!is_asked(s, kind->name, &asked, &asked_second) || (sampled && !s->plan->allocations))
        return 0;
    s->wrong_in_series = 0;
    uint64_t step = SECOND_FIRSTS * s->plan->part,
             step_second = sampled ? 28 + s->plan->part : s->plan->part;
    for (uint64_t k = asked > 0 ? asked : 1; first_hit; k += step) {
        const struct rig_fault first = power_fault(&power_faults[k % POWER_FAULTS], false, k);
        bool second_hit = true;
        for (uint64_t k2 = asked_second > 0 ? asked_second : 1 + k % step_second;
             second_hit && first_hit; k2 += step_second) {
            const struct rig_fault second = kind->make(k, k2);
            name_story(s, kind->name, k, k2);
            run(s, &first, &second, &first_hit, &second_hit);
            hits += second_hit;
            if (asked > 0)
                return hits;
        }
    }
    return hits;
}

/* ---- a flow ---- */

/* How many allocations, calls and changes a run without faults has. */
static void count_all(struct state *s)
{
    const struct rig_fault never = allocation_fault(false, UINT64_MAX);
    bool hit, second;
    (void)snprintf(s->story, sizeof s->story, "\"%s %d none 0\"", s->flow->name, s->victim);
    for (int i = 0; i < 3; i++) /* the first ones warm the caches of libraries */
        run_here(s, &never, NULL, &hit, &second);
    s->allocations = s->seen_allocations;
    memcpy(s->calls, s->seen, sizeof s->calls);
}

uint64_t series_of_flow(const struct flow *flow, const struct plan *plan)
{
    struct state s = {.flow = flow, .plan = plan, .template = rig_make(flow->old)};
    flow->prepare(s.template);
    rig_settle(s.template);
    s.template->failures = s.template->starts = 0;
    for (int i = 0; i < 2 && flow->victims[i] >= 0; i++) {
        uint64_t hits[4] = {0};
        s.victim = flow->victims[i];
        s.runs = 0;
        count_all(&s);
        hits[0] = allocations(&s);
        hits[1] = calls(&s);
        hits[2] = powers(&s);
        for (size_t k = 0; k < sizeof seconds / sizeof *seconds; k++)
            hits[3] += second_faults(&s, &seconds[k]);
        (void)printf("%-10s %-12s: %" PRIu64 " allocations, %" PRIu64 " calls of the disk, %" PRIu64
                     " changes of it; failed: %" PRIu64 " allocations, %" PRIu64 " calls, %" PRIu64
                     " power cuts, %" PRIu64 " second faults; %" PRIu64 " runs\n",
                     flow->name, s.victim == RIG_HUB ? "headquarters" : "device", s.allocations,
                     sum_of(&s, SIM_DISK_ANY), sum_of(&s, SIM_DISK_CHANGES), hits[0], hits[1],
                     hits[2], hits[3], s.runs);
        (void)fflush(stdout);
    }
    rig_free(s.template);
    return s.wrong;
}
