/* raw_insert.c - satchel_bench_raw REPLICA TABLE OUT [PAGE CACHE]: the rows of a replica's table once more, into a new database
 * without what Satchel keeps beside them: prepared INSERTs in one transaction, in the order of the ids. Only
 * these and the commit, with the log's way into the file, are timed. PAGE: bytes; CACHE: KiB; without them
 * SQLite's own. Prints {"rows", "ms"}. */
#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 10000, COLUMNS_MAX = 100 };

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void check(sqlite3 *db, int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
        return;
    fprintf(stderr, "satchel_bench_raw: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static void execute(sqlite3 *db, const char *sql)
{
    check(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* What each column but the engine's own (_version ...) is, as SQL: names, and names with types. */
static int list_columns(sqlite3 *db, const char *table, char *names, char *typed, size_t size)
{
    sqlite3_stmt *columns;
    int count = 0;
    check(db, sqlite3_prepare_v2(db, "SELECT name, type FROM pragma_table_info(?1)", -1, &columns,
                                 NULL));
    check(db, sqlite3_bind_text(columns, 1, table, -1, SQLITE_STATIC));
    names[0] = typed[0] = '\0';
    while (sqlite3_step(columns) == SQLITE_ROW && count < COLUMNS_MAX) {
        const char *name = (const char *)sqlite3_column_text(columns, 0);
        if (name[0] == '_')
            continue;
        size_t a = strlen(names), b = strlen(typed);
        const char *comma = count > 0 ? ", " : "";
        snprintf(names + a, size - a, "%s\"%s\"", comma, name);
        snprintf(typed + b, size - b, "%s\"%s\" %s%s", comma, name,
                 (const char *)sqlite3_column_text(columns, 1),
                 strcmp(name, "id") == 0 ? " PRIMARY KEY" : "");
        count++;
    }
    check(db, sqlite3_finalize(columns));
    return count;
}

struct copy {
    sqlite3 *from, *to;
    sqlite3_stmt *read, *write;
    int columns;
    sqlite3_value **values; /* CHUNK rows */
    long rows;
    double ms;
};

static int read_chunk(struct copy *copy)
{
    int rows = 0;
    while (rows < CHUNK && sqlite3_step(copy->read) == SQLITE_ROW) {
        for (int c = 0; c < copy->columns; c++)
            copy->values[rows * copy->columns + c] =
                sqlite3_value_dup(sqlite3_column_value(copy->read, c));
        rows++;
    }
    return rows;
}

static void write_chunk(struct copy *copy, int rows)
{
    double start = now_ms();
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < copy->columns; c++)
            (void)sqlite3_bind_value(copy->write, c + 1, copy->values[r * copy->columns + c]);
        check(copy->to, sqlite3_step(copy->write));
        check(copy->to, sqlite3_reset(copy->write));
    }
    copy->ms += now_ms() - start;
    copy->rows += rows;
    for (int i = 0; i < rows * copy->columns; i++)
        sqlite3_value_free(copy->values[i]);
}

int main(int argc, char **argv)
{
    struct copy copy = {0};
    char names[8192], typed[8192], sql[20000];
    if (argc != 4 && argc != 6) {
        fputs("usage: satchel_bench_raw REPLICA TABLE OUT [PAGE CACHE]\n", stderr);
        return 2;
    }
    check(copy.from, sqlite3_open_v2(argv[1], &copy.from, SQLITE_OPEN_READONLY, NULL));
    check(copy.to, sqlite3_open(argv[3], &copy.to));
    copy.columns = list_columns(copy.from, argv[2], names, typed, sizeof names);
    if (argc == 6) {
        snprintf(sql, sizeof sql, "PRAGMA page_size=%lu; PRAGMA cache_size=-%lu",
                 strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
        execute(copy.to, sql);
    }
    execute(copy.to, "PRAGMA journal_mode=WAL");
    execute(copy.to, "PRAGMA synchronous=NORMAL");
    snprintf(sql, sizeof sql, "CREATE TABLE raw(%s) WITHOUT ROWID, STRICT", typed);
    execute(copy.to, sql);
    snprintf(sql, sizeof sql, "SELECT %s FROM \"%s\" ORDER BY id", names, argv[2]);
    check(copy.from, sqlite3_prepare_v2(copy.from, sql, -1, &copy.read, NULL));
    char marks[2 * COLUMNS_MAX + 2] = "?";
    for (int i = 1; i < copy.columns; i++)
        memcpy(marks + 2 * i - 1, ",?", 3);
    snprintf(sql, sizeof sql, "INSERT INTO raw VALUES(%s)", marks);
    check(copy.to, sqlite3_prepare_v2(copy.to, sql, -1, &copy.write, NULL));
    copy.values = calloc((size_t)CHUNK * (size_t)copy.columns, sizeof(sqlite3_value *));
    if (copy.values == NULL)
        return 1;
    execute(copy.to, "BEGIN");
    for (int rows = read_chunk(&copy); rows > 0; rows = read_chunk(&copy))
        write_chunk(&copy, rows);
    double start = now_ms();
    execute(copy.to, "COMMIT");
    copy.ms += now_ms() - start;
    printf("{\"rows\":%ld,\"ms\":%.1f}\n", copy.rows, copy.ms);
    free(copy.values);
    (void)sqlite3_finalize(copy.read);
    (void)sqlite3_finalize(copy.write);
    (void)sqlite3_close(copy.from);
    (void)sqlite3_close(copy.to);
    return 0;
}
