/* agent.h - what the files of satchel_bench_agent share: agent.c (a device and its commands) and
 * agent_fill.c, and agent_fan.c (many live devices in one process). Every failure ends the program. */
#ifndef BENCH_AGENT_H
#define BENCH_AGENT_H

#include <satchel.h>

enum {
    TABLE = 16, /* customers */
    COLUMN_VISIBILITY = 14,
    COLUMN_BRANCH = 15,
    COLUMN_OWNER = 16,
    FAN_FIRST = 30000, /* rows FAN_FIRST .. FAN_FIRST + FAN_COUNT - 1 are the fan's branch's */
    FAN_COUNT = 100,
};

/* A change that a device waits for: rows start + k * stride (k < count) with "tag-k" in a column. */
struct watch {
    bool active;
    unsigned start, count, stride;
    uint16_t column;
    char tag[64];
};

struct agent {
    struct satchel *handle;
    struct satchel_loop *loop;
    struct satchel_id branch;
    struct watch watch;
    struct satchel_sync_event last; /* counts of the session */
    bool connected, caught_up, closed;
    char line[512];
    size_t line_size;
};

typedef void command_fn(struct agent *agent, const char *line);

/* agent.c: until all of ours is decided. agent_fill.c. */
void command_flush(struct agent *agent, const char *arguments);
void command_fill(struct agent *agent, const char *arguments);

void die(const char *what, const char *why);
/* Dies unless the code is SATCHEL_OK; handle may be NULL. */
void check(struct satchel *handle, enum satchel_code code, const char *what);
double now_ms(void); /* monotonic */
/* The whole file, terminated; free() it. */
char *read_file(const char *path);
/* The id of a column of BENCH_DATA by its name there. */
uint16_t column_of(const char *name);
bool row_has(struct satchel *handle, unsigned row, uint16_t column, const char *text);

void enroll(const char *directory, const char *ticket);
struct satchel *open_replica(const char *directory, const char *model, const char *sync,
                             size_t cache_bytes);
void make_loop(struct agent *agent, uint32_t handles_max);
/* Runs the loop until something is told, or timeout_ms (-1: no end) have passed. */
void turn(struct agent *agent, int64_t timeout_ms);
/* Says that it is ready, then serves the network and the lines of stdin; does not return. */
void serve(struct agent *agent, command_fn *run);

/* fan DIR MODEL TICKETS */
int run_fan(char **arguments);

#endif
