/* latency.c - satchel_bench_latency: from a commit on one device until another one shows it, both live at the
 * server that they use.
 *
 *   satchel_bench_latency DIR_A DIR_B TABLE RECORD COLUMN COUNT
 *
 * A writes COUNT texts into the column of the record, one at a time; each is waited for at B, which reads it
 * through its own replica. Prints {"ms": [...]}: monotonic, from before the commit. */
#define _POSIX_C_SOURCE 200809L
#include "satchel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CATCH_UP_MS = 30000, SEEN_MS = 10000, TEXT_SIZE = 64 };

struct end {
    struct satchel *handle;
    bool caught_up;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "satchel_bench_latency: %s: %s\n", what, why);
    exit(1);
}

static void check(struct satchel *handle, enum satchel_code code, const char *what)
{
    if (code != SATCHEL_OK)
        die(what, handle != NULL ? satchel_last_error(handle)->message : satchel_error_text(code));
}

static int told(void *context, struct satchel *handle, const struct satchel_sync_event *event)
{
    struct end *end = context;
    (void)handle;
    if (event->kind == SATCHEL_SYNC_CAUGHT_UP)
        end->caught_up = true;
    if (event->kind == SATCHEL_SYNC_CLOSED || event->kind == SATCHEL_SYNC_RETRY)
        die("a session ended", event->message);
    return 0;
}

static void open_end(struct end *end, struct satchel_loop *loop, const char *directory)
{
    struct satchel_error error;
    const struct satchel_options options = {.directory = directory};
    if (satchel_open(&options, &end->handle, &error) != SATCHEL_OK)
        die(directory, error.message);
    check(end->handle, satchel_connect(end->handle, loop, SATCHEL_LIVE, told, end), "connecting");
}

static void run_loop(struct satchel_loop *loop, double end_ms, const char *what)
{
    if (now_ms() > end_ms)
        die(what, "not in time");
    check(NULL, satchel_loop_run(loop, -1, 100, NULL), what);
}

struct target {
    uint16_t table, column;
    struct satchel_id id;
};

static bool shows(struct satchel *handle, const struct target *target, const char *text)
{
    struct satchel_value value;
    return satchel_read(handle, target->table, &target->id, &target->column, &value, 1) ==
               SATCHEL_OK &&
           value.kind == SATCHEL_TEXT && value.as.bytes.size == strlen(text) &&
           memcmp(value.as.bytes.data, text, value.as.bytes.size) == 0;
}

static double once(struct satchel_loop *loop, struct end ends[2], const struct target *target,
                   unsigned number)
{
    char text[TEXT_SIZE];
    struct satchel *a = ends[0].handle;
    snprintf(text, sizeof text, "round %u of %ld", number, (long)time(NULL));
    const struct satchel_value value = satchel_text(text);
    double start = now_ms();
    check(a, satchel_begin(a), "writing");
    check(a, satchel_update(a, target->table, &target->id, &target->column, &value, 1), "writing");
    check(a, satchel_commit(a, NULL), "writing");
    while (!shows(ends[1].handle, target, text))
        run_loop(loop, start + SEEN_MS, "waiting for the other device");
    return now_ms() - start;
}

static void find_target(struct satchel *handle, char **argv, struct target *ret)
{
    const struct satchel_table *table = satchel_table(handle, argv[0]);
    for (uint16_t i = 0; table != NULL && i < table->column_count; i++)
        if (strcmp(table->columns[i].name, argv[2]) == 0)
            ret->column = table->columns[i].id;
    if (table == NULL || ret->column == 0 || satchel_id_parse(argv[1], &ret->id) != SATCHEL_OK)
        die("the record", "no such table or column, or no id");
    ret->table = table->id;
}

int main(int argc, char **argv)
{
    struct end ends[2] = {{0}, {0}};
    struct satchel_loop *loop;
    struct target target = {0};
    if (argc != 7) {
        fputs("usage: satchel_bench_latency DIR_A DIR_B TABLE RECORD COLUMN COUNT\n", stderr);
        return 2;
    }
    check(NULL, satchel_loop_new(NULL, &loop, NULL), "a loop");
    open_end(&ends[0], loop, argv[1]);
    open_end(&ends[1], loop, argv[2]);
    find_target(ends[0].handle, argv + 3, &target);
    double end_ms = now_ms() + CATCH_UP_MS;
    while (!ends[0].caught_up || !ends[1].caught_up)
        run_loop(loop, end_ms, "catching up");
    unsigned count = (unsigned)strtoul(argv[6], NULL, 10);
    fputs("{\"ms\":[", stdout);
    for (unsigned i = 0; i < count; i++)
        printf("%s%.3f", i > 0 ? "," : "", once(loop, ends, &target, i));
    puts("]}");
    satchel_close(ends[0].handle);
    satchel_close(ends[1].handle);
    satchel_loop_free(loop);
    return 0;
}
