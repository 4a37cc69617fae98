/* agent.c - satchel_bench_agent: what the benchmark drives; a program over satchel.h like any other.
 *
 *   satchel_bench_agent client DIR MODEL SYNC TICKET BRANCH    one device, commands on stdin
 *   satchel_bench_agent fan DIR MODEL TICKETS                  a live device per line of TICKETS
 *
 * SYNC is normal or full. BRANCH (a UUID) is the branch of the rows from FAN_FIRST on: the devices of
 * `fan` belong to it and have FAN_COUNT rows each; nobody but an administrator sees the others.
 * Commands and answers: see the functions command_*(). Times are monotonic milliseconds. The rows are
 * JSON lines in the file BENCH_DATA; a row's record id is a UUIDv7 made from its index (row_id()), so
 * that every agent finds row i without an index. */
#define _POSIX_C_SOURCE 200809L
#include "agent.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    COLUMNS = 13, /* ids 1..13, in the order of BENCH_DATA */
    ROWS_MAX = 100000,
    LOAD_BATCH = 1000,
    PUSH_TICK_MS = 1, /* how often acknowledgements are looked at */
};

static const char *const column_names[COLUMNS] = {
    "id",  "name",    "company", "email",  "phone",      "street", "city",
    "zip", "country", "balance", "rating", "updated_at", "notes"};

double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void die(const char *what, const char *why)
{
    fprintf(stderr, "satchel_bench_agent: %s: %s\n", what, why);
    exit(1);
}

void check(struct satchel *handle, enum satchel_code code, const char *what)
{
    if (code != SATCHEL_OK)
        die(what, handle != NULL ? satchel_last_error(handle)->message : satchel_error_text(code));
}

static void answer_ms(double start)
{
    printf("{\"ms\":%.3f}\n", now_ms() - start);
}

/* ---- rows ---- */

/* A UUIDv7: 48 bits of time, one millisecond per row, and the rest spread by splitmix64. In a product
 * it is made where the row is made. */
static struct satchel_id row_id(unsigned index)
{
    struct satchel_id id;
    uint64_t ms = UINT64_C(1760000000000) + index;
    uint64_t z = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    for (int i = 0; i < 6; i++)
        id.byte[i] = (uint8_t)(ms >> (40 - 8 * i));
    for (int i = 0; i < 8; i++)
        id.byte[8 + i] = (uint8_t)(z >> (8 * i));
    id.byte[6] = (uint8_t)(0x70 | (z >> 60));
    id.byte[7] = (uint8_t)(z >> 52);
    id.byte[8] = (uint8_t)(0x80 | (id.byte[8] & 0x3f));
    return id;
}

uint16_t column_of(const char *name)
{
    for (uint16_t i = 0; i < COLUMNS; i++)
        if (strcmp(column_names[i], name) == 0)
            return (uint16_t)(i + 1);
    die("no such column", name);
    return 0;
}

/* Takes one member `"name":value` of a flat object and terminates the value where it stands. Values
 * are integers, or strings without escapes. */
static char *take_member(char *at, const char *name, struct satchel_value *ret)
{
    size_t size = strlen(name);
    if (*at == '{' || *at == ',')
        at++;
    if (at[0] != '"' || strncmp(at + 1, name, size) != 0 || strncmp(at + 1 + size, "\":", 2) != 0)
        die("BENCH_DATA: member missing", name);
    at += size + 3;
    if (*at == '"') {
        char *end = strchr(++at, '"');
        if (end == NULL || memchr(at, '\\', (size_t)(end - at)) != NULL)
            die("BENCH_DATA: not a plain string", name);
        *ret = satchel_blob(at, (size_t)(end - at));
        ret->kind = SATCHEL_TEXT;
        return end + 1;
    }
    *ret = satchel_int(strtoll(at, &at, 10));
    return at;
}

char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        die("cannot be read", path);
    long size = ftell(file);
    char *text = size >= 0 ? malloc((size_t)size + 1) : NULL;
    rewind(file);
    if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size)
        die("cannot be read", path);
    text[size] = '\0';
    (void)fclose(file);
    return text;
}

/* The first `count` rows; the values point into *ret_text. */
static struct satchel_value *read_rows(unsigned count, char **ret_text)
{
    const char *path = getenv("BENCH_DATA");
    char *at = *ret_text = read_file(path != NULL ? path : "BENCH_DATA is not set");
    struct satchel_value *values = malloc((size_t)count * COLUMNS * sizeof *values);
    if (values == NULL)
        die("rows", "out of memory");
    for (unsigned i = 0; i < count; i++) {
        for (unsigned c = 0; c < COLUMNS; c++)
            at = take_member(at, column_names[c], &values[(size_t)i * COLUMNS + c]);
        at += strspn(at, "}\r\n");
    }
    return values;
}

/* ---- what the session tells ---- */

bool row_has(struct satchel *handle, unsigned row, uint16_t column, const char *text)
{
    struct satchel_id id = row_id(row % ROWS_MAX);
    struct satchel_value value;
    size_t size = strlen(text);
    return satchel_read(handle, TABLE, &id, &column, &value, 1) == SATCHEL_OK &&
           value.kind == SATCHEL_TEXT && value.as.bytes.size == size &&
           memcmp(value.as.bytes.data, text, size) == 0;
}

/* Answers once all watched values are there. The last is looked at first: they arrive in order. */
static void look(struct agent *agent)
{
    struct watch *watch = &agent->watch;
    while (watch->active && watch->count > 0) {
        char text[96];
        unsigned k = watch->count - 1;
        snprintf(text, sizeof text, "%s-%u", watch->tag, k);
        if (!row_has(agent->handle, watch->start + k * watch->stride, watch->column, text))
            return;
        watch->count = k;
    }
    if (!watch->active)
        return;
    watch->active = false;
    printf("{\"t\":%.4f}\n", now_ms());
    (void)fflush(stdout);
}

static int told(void *context, struct satchel *handle, const struct satchel_sync_event *event)
{
    struct agent *agent = context;
    (void)handle;
    agent->last = *event;
    switch (event->kind) {
    case SATCHEL_SYNC_PENDING:
    case SATCHEL_SYNC_CHECKPOINT: look(agent); break;
    case SATCHEL_SYNC_CAUGHT_UP: agent->caught_up = true; break;
    case SATCHEL_SYNC_CLOSED: agent->closed = true; break;
    case SATCHEL_SYNC_REVOKED:
    case SATCHEL_SYNC_RETRY: die("the session ended", event->message);
    case SATCHEL_SYNC_CONNECTED:
    case SATCHEL_SYNC_PROGRESS:
    case SATCHEL_SYNC_MODEL:
    case SATCHEL_SYNC_RESULTS: break;
    }
    if (agent->closed && event->code != SATCHEL_OK)
        die("the session ended", event->message);
    return 0;
}

static void connect_live(struct agent *agent)
{
    if (agent->connected)
        return;
    agent->caught_up = agent->closed = false;
    agent->last = (struct satchel_sync_event){0};
    check(agent->handle, satchel_connect(agent->handle, agent->loop, SATCHEL_LIVE, told, agent),
          "connecting");
    agent->connected = true;
}

static void hang_up(struct agent *agent)
{
    satchel_disconnect(agent->handle);
    agent->connected = false;
}

static struct satchel_status status_of(struct agent *agent)
{
    struct satchel_status status;
    check(agent->handle, satchel_status(agent->handle, &status), "status");
    return status;
}

void turn(struct agent *agent, int64_t timeout_ms)
{
    check(NULL, satchel_loop_run(agent->loop, -1, timeout_ms, NULL), "the loop");
}

/* ---- commands ---- */

/* load N: stores the first N rows, LOAD_BATCH per transaction. {"ms"} */
static void command_load(struct agent *agent, const char *arguments)
{
    char *text;
    unsigned count = (unsigned)strtoul(arguments, NULL, 10);
    struct satchel_value *rows = read_rows(count, &text), values[COLUMNS + 1];
    uint16_t columns[COLUMNS + 1];
    for (uint16_t c = 0; c < COLUMNS; c++)
        columns[c] = (uint16_t)(c + 1);
    columns[COLUMNS] = COLUMN_BRANCH;
    values[COLUMNS] = satchel_reference(&agent->branch);
    double start = now_ms();
    for (unsigned i = 0; i < count; i++) {
        struct satchel_id id = row_id(i);
        bool fan = i >= FAN_FIRST && i < FAN_FIRST + FAN_COUNT;
        memcpy(values, rows + (size_t)i * COLUMNS, COLUMNS * sizeof *values);
        if (i % LOAD_BATCH == 0)
            check(agent->handle, satchel_begin(agent->handle), "begin");
        check(agent->handle,
              satchel_insert(agent->handle, TABLE, &id, columns, values,
                             (uint16_t)(fan ? COLUMNS + 1 : COLUMNS)),
              "insert");
        if ((i + 1) % LOAD_BATCH == 0 || i + 1 == count)
            check(agent->handle, satchel_commit(agent->handle, NULL), "commit");
    }
    answer_ms(start);
    free(rows);
    free(text);
}

/* push: until the server holds all own transactions durably; what they became arrives while the
 * agent waits for further commands. {"ms"} */
static void command_push(struct agent *agent, const char *arguments)
{
    (void)arguments;
    double start = now_ms();
    connect_live(agent);
    do
        turn(agent, PUSH_TICK_MS);
    while (!agent->caught_up &&
           (agent->last.push_total == 0 || agent->last.pushed < agent->last.push_total));
    answer_ms(start);
}

/* pull: connects, until all that the server had is here; hangs up. {"ms"} */
static void command_pull(struct agent *agent, const char *arguments)
{
    (void)arguments;
    double start = now_ms();
    hang_up(agent);
    connect_live(agent);
    while (!agent->caught_up)
        turn(agent, -1);
    hang_up(agent);
    answer_ms(start);
}

/* sync: push and pull, until all of ours is decided and all that was there is here. {"ms"} */
static void command_sync(struct agent *agent, const char *arguments)
{
    (void)arguments;
    double start = now_ms();
    hang_up(agent);
    connect_live(agent);
    for (;;) {
        struct satchel_status status = status_of(agent);
        if (agent->caught_up && status.decided >= status.written)
            break;
        turn(agent, -1);
    }
    hang_up(agent);
    answer_ms(start);
}

/* live: connects and stays; answers when caught up. {"ms"} */
static void command_live(struct agent *agent, const char *arguments)
{
    (void)arguments;
    double start = now_ms();
    connect_live(agent);
    while (!agent->caught_up)
        turn(agent, -1);
    answer_ms(start);
}

static void command_offline(struct agent *agent, const char *arguments)
{
    (void)arguments;
    hang_up(agent);
    printf("{\"ok\":1}\n");
}

/* START N STRIDE COLUMN TAG */
static struct watch parse_rows(const char *arguments)
{
    struct watch rows = {.active = true};
    char column[32];
    if (sscanf(arguments, "%u %u %u %31s %63s", &rows.start, &rows.count, &rows.stride, column,
               rows.tag) != 5)
        die("needs START N STRIDE COLUMN TAG", arguments);
    rows.column = column_of(column);
    return rows;
}

/* edit START N STRIDE COLUMN TAG: one transaction. {"t0" before the write, "ms"} */
static void command_edit(struct agent *agent, const char *arguments)
{
    struct watch rows = parse_rows(arguments);
    double start = now_ms();
    check(agent->handle, satchel_begin(agent->handle), "begin");
    for (unsigned k = 0; k < rows.count; k++) {
        char text[96];
        struct satchel_id id = row_id((rows.start + k * rows.stride) % ROWS_MAX);
        snprintf(text, sizeof text, "%s-%u", rows.tag, k);
        struct satchel_value value = satchel_text(text);
        check(agent->handle, satchel_update(agent->handle, TABLE, &id, &rows.column, &value, 1),
              "update");
    }
    check(agent->handle, satchel_commit(agent->handle, NULL), "commit");
    if (agent->connected)
        turn(agent, 0); /* on its way before anything is printed */
    printf("{\"t0\":%.4f,\"ms\":%.3f}\n", start, now_ms() - start);
}

/* watch START N STRIDE COLUMN TAG: answers {"t"} when all those values are visible here. */
static void command_watch(struct agent *agent, const char *arguments)
{
    agent->watch = parse_rows(arguments);
    look(agent);
}

/* flush: until all of ours is decided. {"ok"} */
void command_flush(struct agent *agent, const char *arguments)
{
    (void)arguments;
    for (;;) {
        struct satchel_status status = status_of(agent);
        if (!agent->connected || status.decided >= status.written)
            break;
        turn(agent, -1);
    }
    printf("{\"ok\":1}\n");
}

struct hashing {
    EVP_MD_CTX *digest;
    unsigned count;
};

static int hash_row(void *context, int count, const char *const *names,
                    const struct satchel_value *values)
{
    struct hashing *hashing = context;
    (void)names;
    for (int i = 0; i < count; i++) {
        char number[24];
        const char *end = i + 1 < count ? "\x1f" : "\n";
        struct satchel_bytes text = values[i].as.bytes;
        if (values[i].kind == SATCHEL_INT) {
            int size = snprintf(number, sizeof number, "%lld", (long long)values[i].as.integer);
            text = (struct satchel_bytes){(const uint8_t *)number, (size_t)size};
        }
        (void)EVP_DigestUpdate(hashing->digest, text.data, text.size);
        (void)EVP_DigestUpdate(hashing->digest, end, 1);
    }
    hashing->count++;
    return 0;
}

/* hash: {"hash": SHA-1 of the rows in the order of their numbers, "count"} */
static void command_hash(struct agent *agent, const char *arguments)
{
    static const char sql[] = "SELECT uid, name, company, email, phone, street, city, zip, country,"
                              " balance, rating, updated_at, notes FROM customers ORDER BY uid";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    struct hashing hashing = {.digest = EVP_MD_CTX_new()};
    (void)arguments;
    if (hashing.digest == NULL || EVP_DigestInit_ex(hashing.digest, EVP_sha1(), NULL) != 1)
        die("hash", "no SHA-1");
    check(agent->handle, satchel_sql(agent->handle, sql, hash_row, &hashing), "hash");
    (void)EVP_DigestFinal_ex(hashing.digest, sum, &size);
    EVP_MD_CTX_free(hashing.digest);
    printf("{\"hash\":\"");
    for (unsigned i = 0; i < size; i++)
        printf("%02x", sum[i]);
    printf("\",\"count\":%u}\n", hashing.count);
}

/* W6: rows 0..4999 got A's phone and B's city, rows 5000..9999 the notes of both. */
struct survey {
    unsigned phone_a, city_b, notes_a, notes_b, conflicts, kept;
};

static bool has_candidate(const struct satchel_conflict *conflict, char who)
{
    for (size_t i = 0; i < conflict->candidate_count; i++)
        if (conflict->candidates[i].text[0] == who && conflict->candidates[i].text[1] == '-')
            return true;
    return false;
}

static int survey_conflict(void *context, const struct satchel_conflict *conflict)
{
    struct survey *survey = context;
    survey->conflicts++;
    survey->kept += has_candidate(conflict, 'A') && has_candidate(conflict, 'B');
    return 0;
}

/* surv: how many of each are shown; "conflicts": conflict records, "kept": those of them from which
 * A's and B's value can be taken. */
static void command_surv(struct agent *agent, const char *arguments)
{
    struct survey survey = {0};
    (void)arguments;
    for (unsigned i = 0; i < 10000; i++) {
        char a[16], b[16];
        unsigned k = i < 5000 ? i : i - 5000;
        snprintf(a, sizeof a, "A-%u", k);
        snprintf(b, sizeof b, "B-%u", k);
        if (i < 5000) {
            survey.phone_a += row_has(agent->handle, i, column_of("phone"), a);
            survey.city_b += row_has(agent->handle, i, column_of("city"), b);
        } else {
            survey.notes_a += row_has(agent->handle, i, column_of("notes"), a);
            survey.notes_b += row_has(agent->handle, i, column_of("notes"), b);
        }
    }
    const struct satchel_conflict_query query = {.with_settled = true};
    check(agent->handle, satchel_conflicts(agent->handle, &query, survey_conflict, &survey),
          "conflicts");
    printf(
        "{\"phoneA\":%u,\"cityB\":%u,\"notesA\":%u,\"notesB\":%u,\"conflicts\":%u,\"kept\":%u}\n",
        survey.phone_a, survey.city_b, survey.notes_a, survey.notes_b, survey.conflicts,
        survey.kept);
}

static void command_exit(struct agent *agent, const char *arguments)
{
    (void)arguments;
    satchel_loop_free(agent->loop);
    satchel_close(agent->handle);
    exit(0);
}

static void run_command(struct agent *agent, const char *line)
{
    static const struct {
        const char *name;
        command_fn *run;
    } commands[] = {
        {"load", command_load}, {"push", command_push},   {"pull", command_pull},
        {"sync", command_sync}, {"live", command_live},   {"offline", command_offline},
        {"edit", command_edit}, {"watch", command_watch}, {"flush", command_flush},
        {"hash", command_hash}, {"surv", command_surv},   {"exit", command_exit},
        {"fill", command_fill},
    };
    size_t size = strcspn(line, " ");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strlen(commands[i].name) == size && strncmp(commands[i].name, line, size) == 0) {
            commands[i].run(agent, line + size + strspn(line + size, " "));
            (void)fflush(stdout);
            return;
        }
    }
    printf("{\"err\":\"%.*s\"}\n", (int)size, line);
    (void)fflush(stdout);
}

/* ---- stdin ---- */

/* Reads what is there and calls run for each line. */
static void read_commands(struct agent *agent, command_fn *run)
{
    ssize_t size = read(STDIN_FILENO, agent->line + agent->line_size,
                        sizeof agent->line - 1 - agent->line_size);
    if (size <= 0)
        exit(0);
    agent->line_size += (size_t)size;
    char *end;
    while ((end = memchr(agent->line, '\n', agent->line_size)) != NULL) {
        char line[sizeof agent->line];
        size_t length = (size_t)(end - agent->line);
        memcpy(line, agent->line, length);
        line[length] = '\0';
        agent->line_size -= length + 1;
        memmove(agent->line, end + 1, agent->line_size);
        run(agent, line);
    }
    if (agent->line_size == sizeof agent->line - 1)
        die("a command is too long", agent->line);
}

void serve(struct agent *agent, command_fn *run)
{
    printf("{\"ready\":1}\n");
    (void)fflush(stdout);
    for (;;) {
        enum satchel_woken woken;
        check(NULL, satchel_loop_run(agent->loop, STDIN_FILENO, -1, &woken), "the loop");
        if (woken == SATCHEL_WOKEN_BY_FD)
            read_commands(agent, run);
    }
}

/* ---- starting ---- */

void enroll(const char *directory, const char *ticket)
{
    struct satchel_error error;
    const struct satchel_enrollment enrollment = {
        .directory = directory, .ticket = ticket, .device_name = "bench", .platform = "bench"};
    if (satchel_enroll(&enrollment, &error) != SATCHEL_OK)
        die("enrolling", error.message);
}

struct satchel *open_replica(const char *directory, const char *model, const char *sync,
                             size_t cache_bytes)
{
    struct satchel *handle;
    struct satchel_error error;
    const struct satchel_options options = {.directory = directory,
                                            .model_file = model,
                                            .synchronous = strcmp(sync, "full") == 0
                                                               ? SATCHEL_SYNCHRONOUS_FULL
                                                               : SATCHEL_SYNCHRONOUS_NORMAL,
                                            .cache_bytes = cache_bytes};
    if (satchel_open(&options, &handle, &error) != SATCHEL_OK)
        die("opening", error.message);
    return handle;
}

void make_loop(struct agent *agent, uint32_t handles_max)
{
    struct satchel_error error;
    const struct satchel_loop_options options = {.handles_max = handles_max};
    if (satchel_loop_new(&options, &agent->loop, &error) != SATCHEL_OK)
        die("the loop", error.message);
}

static int run_client(char **arguments)
{
    static struct agent agent;
    if (satchel_id_parse(arguments[4], &agent.branch) != SATCHEL_OK)
        die("not a branch's id", arguments[4]);
    enroll(arguments[0], arguments[3]);
    agent.handle = open_replica(arguments[0], arguments[1], arguments[2], 0);
    make_loop(&agent, 1);
    serve(&agent, run_command);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "client") == 0)
        return run_client(argv + 2);
    if (argc == 5 && strcmp(argv[1], "fan") == 0)
        return run_fan(argv + 2);
    fputs("usage: satchel_bench_agent client DIR MODEL SYNC TICKET BRANCH\n"
          "       satchel_bench_agent fan DIR MODEL TICKETS\n",
          stderr);
    return 2;
}
