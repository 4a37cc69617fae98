/* backlog.c - a branch that has been cut off for weeks: tens of thousands of pending groups in a real SQLite store,
 * and how fast it is all the same. The cores are joined in memory (tests/lib/pair.h), so that what is measured is
 * theirs and the store's: no network, no TLS. Prints JSON; the aims are for people to compare.
 *
 *     satchel_bench_backlog FOLDER [GROUPS] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/lib/hands.h"

enum { CUSTOMERS = 5000, BATCH = 500, SAMPLES = 200, READS = 2000 };

static const char *folder;

static struct store *open_file(struct pair *pair, uint32_t n)
{
    char path[4096];
    struct store *store;
    struct err_info info = {0};
    snprintf(path, sizeof path, "%s/%u.db", folder, n);
    const struct store_sqlite_options options = {.path = path,
                                                 .synchronous = n == 0 ? STORE_SQLITE_FULL
                                                                       : STORE_SQLITE_NORMAL,
                                                 .keeps_log = n == 0};
    if (store_sqlite_open(&options, pair->model, &store, &info) != ERR_OK)
        fail_msg("%s", info.message);
    return store;
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct office {
    struct pair pair;
    struct pair_branch *branch;
    struct pair_device *anna, *boris;
    struct uuid customers[CUSTOMERS];
};

static void make_customers(struct office *o)
{
    const struct model_table *party = model_table_by_name(o->pair.model, bytes_of_text("party"));
    const uint16_t columns[] = {model_column_by_name(party, bytes_of_text("name"))->index,
                                model_column_by_name(party, bytes_of_text("visibility"))->index};
    struct err_info info;
    struct dot dot;
    for (int i = 0; i < CUSTOMERS; i += BATCH) {
        assert_ok(replica_begin(o->anna->replica, o->pair.now_ms));
        for (int k = i; k < i + BATCH; k++) {
            char name[40];
            snprintf(name, sizeof name, "Customer %d", k);
            const struct value values[] = {value_text(bytes_of_text(name)),
                                           value_text(bytes_of_text("company"))};
            assert_ok(replica_insert(o->anna->replica, party, &o->customers[k], columns, values, 2,
                                     &info));
        }
        assert_ok(replica_commit(o->anna->replica, &dot));
    }
    pair_say(&o->pair, o->anna);
}

static void pile_up(struct office *o, unsigned groups)
{
    char text[60];
    for (unsigned i = 0; i < groups; i++) {
        snprintf(text, sizeof text, "note %u, as one types it in the field", i);
        pair_set(&o->pair, o->anna, "party", o->customers[i % CUSTOMERS], "notes", text);
        if (i % BATCH == BATCH - 1)
            pair_say(&o->pair, o->anna);
    }
    pair_say(&o->pair, o->anna);
}

/* From the write on one device to its row in the view of another, through the branch: three commits. */
static void measure_writes(struct office *o, const char *what)
{
    double times[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        char text[60];
        snprintf(text, sizeof text, "site-%s-%d.example", what, i);
        struct uuid id = o->customers[(i * 37) % CUSTOMERS];
        double start = now_ms();
        pair_set(&o->pair, o->anna, "party", id, "website", text);
        pair_say(&o->pair, o->anna);
        times[i] = now_ms() - start;
        assert_string_equal(pair_cell(&o->pair, o->boris, "party", id, "website"), text);
    }
    qsort(times, SAMPLES, sizeof *times, ascending);
    printf("\"%s_write_ms\":{\"p50\":%.2f,\"p99\":%.2f},", what, times[SAMPLES / 2],
           times[SAMPLES * 99 / 100]);
}

static void measure_reads(struct office *o, const char *what)
{
    double start = now_ms();
    for (int i = 0; i < READS; i++)
        (void)pair_cell(&o->pair, o->boris, "party", o->customers[(i * 101) % CUSTOMERS], "name");
    printf("\"%s_read_us\":%.1f,", what, (now_ms() - start) * 1e3 / READS);
}

static void run(unsigned groups)
{
    struct office *o = calloc(1, sizeof *o);
    assert_non_null(o);
    pair_init(&o->pair, NULL, 1);
    o->pair.open_store = open_file;
    o->branch = pair_branch_new(&o->pair, "Kazan", NULL);
    o->anna = pair_enrol_at(&o->pair, "anna", "Kazan", o->branch);
    o->boris = pair_enrol_at(&o->pair, "boris", "Kazan", o->branch);
    pair_go_live(&o->pair, o->anna);
    pair_go_live(&o->pair, o->boris);
    make_customers(o);
    printf("{\"groups\":%u,\"customers\":%d,", groups, CUSTOMERS);
    pair_cut(&o->pair, o->branch->link);
    measure_writes(o, "empty");
    measure_reads(o, "empty");
    double start = now_ms();
    pile_up(o, groups);
    printf("\"pile_groups_per_s\":%.0f,", groups / (now_ms() - start) * 1e3);
    printf("\"pending\":%u,", (unsigned)replica_pending_count(o->branch->link->replica));
    measure_writes(o, "full");
    measure_reads(o, "full");
    pair_cut(&o->pair, o->boris);
    start = now_ms();
    pair_go_live(&o->pair, o->boris);
    printf("\"reconnect_ms\":%.1f,", now_ms() - start);
    unsigned waiting = (unsigned)replica_pending_count(o->branch->link->replica);
    start = now_ms();
    pair_go_live(&o->pair, o->branch->link);
    printf("\"drain_s\":%.1f,\"drain_groups_per_s\":%.0f,", (now_ms() - start) / 1e3,
           waiting / (now_ms() - start) * 1e3);
    printf("\"left\":%u}\n", (unsigned)replica_pending_count(o->boris->replica));
    pair_assert_equal(&o->pair, o->boris);
    pair_done(&o->pair);
    free(o);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: satchel_bench_backlog FOLDER [GROUPS]\n");
        return 2;
    }
    folder = argv[1];
    run(argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 50000);
    return 0;
}
