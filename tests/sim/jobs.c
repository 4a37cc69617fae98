#include "tests/sim/jobs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/crypto_fast.h"

enum { JOBS_MOST = 64, SECONDS_OF_A_RUN = 120 };

struct board { /* what a worker tells; shared memory */
    uint64_t seed, seeds, events;
    uint32_t next, failures; /* the next to run, counted from the first */
    int64_t simulated_us;
    uint64_t cover[COVER_COUNT], reached[COVER_COUNT]; /* seeds in which it was more than none */
    bool failed, stop;
    struct outcome outcome;
};

void run_one_plan(const struct kit *kit, const struct options *options, const struct plan *plan,
                  FILE *story, struct outcome *ret)
{
    crypto_fast_forget();
    crypto_real = options->real_crypto || plan->seed % 16 == 0;
    alarm(SECONDS_OF_A_RUN);
    world_run(kit, plan, story, ret);
    alarm(0);
}

uint32_t branches_of(const struct options *options, uint64_t seed)
{
    uint32_t drawn = 1 + (uint32_t)(seed / 3 * 2654435761u >> 7) % BRANCHES_MOST;
    switch (options->branches) {
    case BRANCHES_ANY: return drawn;
    case BRANCHES_SOME: return seed % 3 == 2 ? drawn : 0;
    default: return (uint32_t)options->branches;
    }
}

bool models_change(const struct options *options, uint64_t seed)
{
    return options->models == MODELS_ALL || (options->models == MODELS_SOME && seed % 4 == 1);
}

bool people_change(const struct options *options, uint64_t seed)
{
    return options->people == PEOPLE_ALL || (options->people == PEOPLE_SOME && seed % 5 < 2);
}

void plan_of_seed(const struct options *options, uint64_t seed, struct plan *ret)
{
    plan_make(seed, options->devices, branches_of(options, seed), options->events, ret);
    if (models_change(options, seed))
        plan_add_models(ret);
    if (people_change(options, seed))
        plan_add_people(ret);
}

void run_seed(const struct kit *kit, const struct options *options, uint64_t seed, FILE *story,
              struct outcome *ret)
{
    struct plan plan;
    plan_of_seed(options, seed, &plan);
    run_one_plan(kit, options, &plan, story, ret);
    plan_done(&plan);
}

bool fails_apart(const struct kit *kit, const struct options *options, const struct plan *plan,
                 struct outcome *ret)
{
    struct outcome *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    memset(shared, 0, sizeof *shared);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(3);
        run_one_plan(kit, options, plan, NULL, shared);
        _exit(0);
    }
    int status = 0;
    (void)waitpid(child, &status, 0);
    *ret = *shared;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        ret->failed = true;
        snprintf(ret->invariant, sizeof ret->invariant, "no crash");
        snprintf(ret->why, sizeof ret->why, "the process ended with %s %d",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    munmap(shared, sizeof *shared);
    return ret->failed;
}

/* ---- workers ---- */

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Runs its seeds until one fails, or it is told to stop. */
static void work(const struct options *options, struct board *board, double until)
{
    struct kit kit;
    kit_open(&kit);
    board->failed = false;
    for (uint32_t i = board->next;
         !board->stop && (options->seconds > 0 ? now_s() < until : i < options->runs);
         i += options->jobs) {
        board->next = i + options->jobs;
        board->seed = options->seed + i;
        run_seed(&kit, options, board->seed, NULL, &board->outcome);
        board->seeds++;
        board->events += board->outcome.events;
        board->simulated_us += board->outcome.simulated_us;
        for (int k = 0; k < COVER_COUNT; k++) {
            board->cover[k] += board->outcome.cover[k];
            board->reached[k] += board->outcome.cover[k] > 0;
        }
        if (board->outcome.failed) {
            board->failed = true;
            break;
        }
    }
    kit_close(&kit);
}

static void print_figures(const struct board *sum, double seconds, uint32_t jobs)
{
    uint64_t faults = 0;
    for (int k = 0; k < COVER_COUNT; k++)
        if (cover_is_fault((enum cover)k))
            faults += sum->cover[k];
    printf("%llu seeds in %.1f s on %u workers: %.2f seeds/s (%.2f per worker), %.0f events/s, "
           "%.1f faults/s, "
           "%.1f simulated days\n",
           (unsigned long long)sum->seeds, seconds, jobs, (double)sum->seeds / seconds,
           (double)sum->seeds / seconds / jobs, (double)sum->events / seconds,
           (double)faults / seconds, (double)sum->simulated_us / 86400e6);
    for (int fault = 1; fault >= 0; fault--) {
        printf("%-58s %12s %10s %9s\n", fault ? "injected faults" : "states reached", "in all",
               "per s", "of seeds");
        for (int k = 0; k < COVER_COUNT; k++)
            if (cover_is_fault((enum cover)k) == fault)
                printf("  %-56s %12llu %10.1f %8.0f%%\n", cover_text((enum cover)k),
                       (unsigned long long)sum->cover[k], (double)sum->cover[k] / seconds,
                       sum->seeds ? 100.0 * (double)sum->reached[k] / (double)sum->seeds : 0);
    }
}

void print_replay(const struct options *options, uint64_t seed)
{
    char branches[32] = "";
    if (branches_of(options, seed))
        snprintf(branches, sizeof branches, " --branches %u", branches_of(options, seed));
    printf("replay: ./dev sim --seed %llu --nodes %u%s%s%s --events %u --trace%s%s%s\n",
           (unsigned long long)seed, options->devices, branches,
           models_change(options, seed) ? " --models all" : "",
           people_change(options, seed) ? " --people all" : "", options->events,
           options->real_crypto ? " --real-crypto" : "", options->bug ? " --bug " : "",
           options->bug ? options->bug : "");
}

static void print_failure(const struct options *options, const struct board *board, int status)
{
    printf("FAILED seed %llu: ", (unsigned long long)board->seed);
    if (board->failed)
        printf("%s: %s\n", board->outcome.invariant, board->outcome.why);
    else
        printf("the process ended with %s %d\n", WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    print_replay(options, board->seed);
}

static void add_up(struct board *sum, const struct board *board)
{
    sum->seeds += board->seeds;
    sum->events += board->events;
    sum->simulated_us += board->simulated_us;
    for (int k = 0; k < COVER_COUNT; k++) {
        sum->cover[k] += board->cover[k];
        sum->reached[k] += board->reached[k];
    }
}

static pid_t start(const struct options *options, struct board *board, double until)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        work(options, board, until);
        exit(board->failed ? 1 : 0);
    }
    return child;
}

/* A worker has ended. Returns whether another one goes on in its place. */
static bool ended(const struct options *options, struct board *boards, uint32_t jobs,
                  uint32_t which, int status)
{
    if (status == 0)
        return false;
    print_failure(options, &boards[which], status);
    boards[which].failures++;
    for (uint32_t i = 0; i < jobs && !options->keep_going; i++)
        boards[i].stop = true;
    return options->keep_going;
}

int run_many(const struct options *options)
{
    uint32_t jobs = options->jobs < JOBS_MOST ? options->jobs : JOBS_MOST, failures = 0;
    struct board *boards = mmap(NULL, jobs * sizeof *boards, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[JOBS_MOST];
    struct board sum = {0};
    if (boards == MAP_FAILED)
        abort();
    memset(boards, 0, jobs * sizeof *boards);
    double from = now_s();
    for (uint32_t i = 0; i < jobs; i++) {
        boards[i].next = i;
        children[i] = start(options, &boards[i], from + options->seconds);
    }
    for (uint32_t left = jobs; left > 0;) {
        int status = 0;
        pid_t child = wait(&status);
        uint32_t i = 0;
        while (i < jobs && children[i] != child)
            i++;
        if (i == jobs)
            break;
        if (ended(options, boards, jobs, i, status))
            children[i] = start(options, &boards[i], from + options->seconds);
        else
            left--;
    }
    for (uint32_t i = 0; i < jobs; i++) {
        add_up(&sum, &boards[i]);
        failures += boards[i].failures;
    }
    if (!options->quiet)
        print_figures(&sum, now_s() - from, jobs);
    if (failures)
        printf("%u seeds failed\n", failures);
    munmap(boards, jobs * sizeof *boards);
    return failures > 0;
}
