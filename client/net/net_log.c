#include "client/net/net_log.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <string.h>

#define LAST_MAX 256

static _Thread_local const struct log *current;
static _Thread_local char last[LAST_MAX];
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static void emit(int level, const char *line)
{
    size_t size = strcspn(line, "\r\n");
    (void)level;
    if (size >= LAST_MAX) {
        size = LAST_MAX - 1;
    }
    memcpy(last, line, size);
    last[size] = '\0';
    log_write(current, LOG_LEVEL_DEBUG, "libwebsockets: %s", last);
}

static void install(void)
{
    lws_set_log_level(LLL_ERR | LLL_WARN, emit);
}

const struct log *net_log_enter(const struct log *log)
{
    const struct log *before = current;
    current = log;
    (void)pthread_once(&installed, install);
    return before;
}

void net_log_leave(const struct log *before)
{
    current = before;
}

const char *net_log_last(void)
{
    return last;
}

void net_log_clear(void)
{
    last[0] = '\0';
}
