/* main.c - satchel_bench_fan: many light devices in one process, driven by fan.js.
 *
 *   satchel_bench_fan PORT MODEL CODES [plain]     CODES: a file, an enrolment code in hexadecimal per line
 *
 * All enrol and prove themselves before anyone subscribes, since each adds rows that go to all who are live.
 * Then lines on stdin, each answered by a line of JSON; times are monotonic milliseconds:
 *
 *   subscribe      until all are live: {"ms"}
 *   stall N        the last N read no more: {"stalled"}
 *   watch TEXT     waits for a row with this text at all that read, in a whole checkpoint; said at once with
 *                  {"ready":1}, then {"first", "median", "last", "count"}
 *   bytes          {"bytes"} received so far, without TLS */
#include "tests/bench/fan/fan.h"

#include "common/model.h"
#include "common/os/os_rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 64, SUBSCRIBE_AT_ONCE = 256, WAIT_MS = 60000 };

void die(const char *what, const char *why)
{
    fprintf(stderr, "satchel_bench_fan: %s: %.200s\n", what, why != NULL ? why : "");
    exit(1);
}

double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static char *read_file(const char *path, size_t *ret_size)
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
    *ret_size = (size_t)size;
    (void)fclose(file);
    return text;
}

static void raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static void read_codes(const char *path)
{
    size_t size;
    char *text = read_file(path, &size);
    unsigned lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    fan.devices = calloc((size_t)lines + 1, sizeof *fan.devices);
    if (fan.devices == NULL)
        die("devices", "out of memory");
    for (char *at = strtok(text, "\n"); at != NULL; at = strtok(NULL, "\n")) {
        struct device *device = &fan.devices[fan.count++];
        for (unsigned i = 0; i < sizeof device->code; i++) {
            unsigned byte;
            if (sscanf(at + (size_t)2 * i, "%2x", &byte) != 1)
                die("not a code", at);
            device->code[i] = (uint8_t)byte;
        }
    }
    free(text);
}

static void open_all(void)
{
    double end = now_ms() + WAIT_MS * 10.0;
    for (unsigned i = 0; i < fan.count; i++) {
        link_open(&fan.net, &fan.devices[i].link);
        while (i + 1 - fan.opened >= AT_ONCE && now_ms() < end)
            net_serve(&fan.net, WAIT_MS, NULL);
    }
    while (fan.opened < fan.count && now_ms() < end)
        net_serve(&fan.net, WAIT_MS, NULL);
    if (fan.opened < fan.count)
        die("enrolling", "not done in time");
}

/* ---- commands ---- */

static void subscribe_all(void)
{
    double start = now_ms(), end = start + WAIT_MS * 5.0;
    for (unsigned i = 0; i < fan.count; i++) {
        device_subscribe(&fan.devices[i]);
        unsigned ahead = i == 0 ? 1 : SUBSCRIBE_AT_ONCE;
        while (i + 1 - fan.live >= ahead && now_ms() < end)
            net_serve(&fan.net, WAIT_MS, NULL);
    }
    while (fan.live < fan.count && now_ms() < end)
        net_serve(&fan.net, WAIT_MS, NULL);
    if (fan.live < fan.count)
        die("subscribing", "not done in time");
    printf("{\"ms\":%.1f}\n", now_ms() - start);
}

static void stall(unsigned count)
{
    for (; fan.stalled < count && fan.stalled < fan.count; fan.stalled++)
        link_stall(&fan.net, &fan.devices[fan.count - 1 - fan.stalled].link);
    printf("{\"stalled\":%u}\n", fan.stalled);
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void watch(const char *text)
{
    unsigned readers = fan.count - fan.stalled, count = 0;
    double end = now_ms() + WAIT_MS;
    double *times = calloc((size_t)readers + 1, sizeof *times);
    if (times == NULL || readers == 0)
        die("watch", "nobody reads");
    device_watch(text);
    printf("{\"ready\":1}\n");
    (void)fflush(stdout);
    while (fan.seen < readers && now_ms() < end)
        net_serve(&fan.net, WAIT_MS, NULL);
    if (fan.seen < readers)
        die("not seen by all in time", text);
    fan.watching = false;
    for (unsigned i = 0; i < readers; i++)
        times[count++] = fan.devices[i].seen_ms;
    qsort(times, count, sizeof *times, by_time);
    printf("{\"first\":%.4f,\"median\":%.4f,\"last\":%.4f,\"count\":%u}\n", times[0],
           times[count / 2], times[count - 1], count);
    free(times);
}

static void run_command(const char *line)
{
    char text[96];
    unsigned count;
    if (strcmp(line, "subscribe") == 0)
        subscribe_all();
    else if (sscanf(line, "stall %u", &count) == 1)
        stall(count);
    else if (sscanf(line, "watch %95s", text) == 1)
        watch(text);
    else if (strcmp(line, "bytes") == 0)
        printf("{\"bytes\":%llu}\n", (unsigned long long)fan.net.bytes_in);
    else
        die("no such command", line);
    (void)fflush(stdout);
}

static bool has_line;

static void line_came(void)
{
    has_line = true;
}

int main(int argc, char **argv)
{
    char line[256];
    size_t size;
    struct model *model;
    struct err_info info = {0};
    bool plain = argc == 5 && strcmp(argv[4], "plain") == 0;
    if (argc != 4 && !plain) {
        fputs("usage: satchel_bench_fan PORT MODEL CODES [plain]\n", stderr);
        return 2;
    }
    raise_files();
    char *json = read_file(argv[2], &size);
    if (model_parse(bytes_of(json, size), &model, &info) != ERR_OK)
        die("the model", info.message);
    free(json);
    fan.model = model;
    fan.rng = os_rng();
    if (crypto_new(&fan.crypto) != ERR_OK || inflater_new(&fan.inflater) != ERR_OK)
        die("start", "out of memory");
    buf_init(&fan.payload, FRAME_INFLATED_MAX);
    buf_init(&fan.out, FRAME_MAX);
    buf_init(&fan.scratch, FRAME_INFLATED_MAX);
    buf_init(&fan.page, FRAME_MAX);
    buf_init(&fan.checkpoint, FRAME_MAX);
    arena_init(&fan.arena, 64 << 20);
    read_codes(argv[3]);
    net_init(&fan.net, (uint16_t)strtoul(argv[1], NULL, 10), plain);
    double start = now_ms();
    open_all();
    printf("{\"devices\":%u,\"ms\":%.1f}\n", fan.count, now_ms() - start);
    (void)fflush(stdout);
    for (;;) {
        /* A line at a time, each written when the one before was answered. */
        has_line = false;
        while (!has_line)
            net_serve(&fan.net, -1, line_came);
        if (fgets(line, sizeof line, stdin) == NULL)
            return 0;
        line[strcspn(line, "\n")] = '\0';
        run_command(line);
    }
}
