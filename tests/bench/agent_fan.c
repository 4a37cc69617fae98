/* agent_fan.c - many live devices in one process, for W5: each is enrolled by a ticket of its own and has a
 * replica of its own with its branch's rows, so a time measured here includes a thousand installs. */
#define _POSIX_C_SOURCE 200809L
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    FAN_CACHE = 256 << 10, /* bytes per device */
    FAN_AT_ONCE = 32,      /* that connect at the same time */
};

struct fan_device {
    struct satchel *handle;
    struct fan *fan;
    bool caught_up, seen;
};

struct fan {
    struct agent agent;
    struct fan_device *devices;
    unsigned count, caught_up, seen;
    bool watching;
    unsigned row;
    uint16_t column;
    char value[96];
    double first;
};

static void fan_saw(struct fan_device *device)
{
    struct fan *fan = device->fan;
    if (!fan->watching || device->seen ||
        !row_has(device->handle, fan->row, fan->column, fan->value))
        return;
    device->seen = true;
    if (fan->seen++ == 0)
        fan->first = now_ms();
    if (fan->seen < fan->count)
        return;
    fan->watching = false;
    printf("{\"t\":%.4f,\"first\":%.4f}\n", now_ms(), fan->first);
    (void)fflush(stdout);
}

static int fan_told(void *context, struct satchel *handle, const struct satchel_sync_event *event)
{
    struct fan_device *device = context;
    (void)handle;
    if (event->kind == SATCHEL_SYNC_CHECKPOINT)
        fan_saw(device);
    else if (event->kind == SATCHEL_SYNC_CAUGHT_UP) {
        device->fan->caught_up += !device->caught_up;
        device->caught_up = true;
        fan_saw(device); /* after a new connection the change comes so */
    } else if (event->kind == SATCHEL_SYNC_CLOSED) {
        die("a session of the fan ended", event->message);
    } else if (event->kind == SATCHEL_SYNC_RETRY) { /* it connects again by itself */
        fprintf(stderr, "a device of the fan connects again: %s\n", event->message);
    }
    return 0;
}

/* w ROW COLUMN VALUE: answers {"t","first"} when all, and when the first, have that value. */
static void fan_command(struct agent *agent, const char *line)
{
    struct fan *fan = (struct fan *)(void *)agent;
    char column[32];
    if (sscanf(line, "w %u %31s %95s", &fan->row, column, fan->value) != 3)
        die("needs w ROW COLUMN VALUE", line);
    fan->column = column_of(column);
    fan->seen = 0;
    fan->watching = true;
    for (unsigned i = 0; i < fan->count; i++)
        fan->devices[i].seen = false;
    for (unsigned i = 0; i < fan->count; i++)
        fan_saw(&fan->devices[i]); /* the change may have been faster than this line */
}

static void fan_enroll(struct fan *fan, const char *directory, const char *model, char *tickets)
{
    for (char *at = strtok(tickets, "\n"); at != NULL; at = strtok(NULL, "\n")) {
        char path[4096];
        struct fan_device *device = &fan->devices[fan->count];
        snprintf(path, sizeof path, "%s/%u", directory, fan->count++);
        enroll(path, at);
        device->fan = fan;
        device->handle = open_replica(path, model, "normal", FAN_CACHE);
    }
}

int run_fan(char **arguments)
{
    static struct fan fan;
    struct rlimit files;
    char *tickets = read_file(arguments[2]);
    unsigned lines = 0;
    for (const char *at = tickets; *at != '\0'; at++)
        lines += *at == '\n';
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    fan.devices = calloc(lines + 1, sizeof *fan.devices);
    if (fan.devices == NULL)
        die("fan", "out of memory");
    fan_enroll(&fan, arguments[0], arguments[1], tickets);
    make_loop(&fan.agent, lines + 64);
    for (unsigned i = 0; i < fan.count; i++) {
        struct fan_device *device = &fan.devices[i];
        check(device->handle,
              satchel_connect(device->handle, fan.agent.loop, SATCHEL_LIVE, fan_told, device),
              "connecting");
        while (i + 1 - fan.caught_up > FAN_AT_ONCE)
            turn(&fan.agent, -1);
    }
    while (fan.caught_up < fan.count)
        turn(&fan.agent, -1);
    free(tickets);
    serve(&fan.agent, fan_command);
    return 0;
}
