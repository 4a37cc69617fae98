#include "server/main/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "server/main/command.h"

enum { ANSWER_MAX = 64 << 20, ANSWER_TIMEOUT_S = 120, START_WAIT_MS = 3000, START_STEP_MS = 50 };

json_t *ask_for(const char *what)
{
    return json_pack("{s:s}", "do", what);
}

void ask_with(json_t *request, const char *name, const char *text)
{
    if (text)
        json_object_set_new(request, name, json_string(text));
}

/* A connected socket, or -1 when nobody listens. */
static int connect_control(const struct house *house)
{
    char path[OS_PATH_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (house_path(house, "control.sock", path, NULL) != ERR_OK ||
        strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static enum err exchange(int fd, const char *request, struct buf *answer, struct err_info *info)
{
    struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    for (size_t sent = 0, size = strlen(request); sent < size;) {
        ssize_t n = send(fd, request + sent, size - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return err_set(info, ERR_LINK, "the running server hung up: %s", strerror(errno));
        sent += n > 0 ? (size_t)n : 0;
    }
    for (;;) {
        char part[4096];
        ssize_t n = recv(fd, part, sizeof part, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return err_set(info, ERR_TIMEOUT, "the running server did not answer within %d s",
                           ANSWER_TIMEOUT_S);
        if (n <= 0)
            return err_set(info, ERR_LINK, "the running server hung up before it answered");
        if (buf_append(answer, part, (size_t)n) != ERR_OK)
            return err_set(info, answer->error, "the answer is too large");
        if (part[n - 1] == '\n')
            return ERR_OK;
    }
}

static enum err error_named(const char *name)
{
#define NAMED(code, value, class, text) \
    if (strcmp(#code, name) == 0)       \
        return ERR_##code;
    ERR_LIST(NAMED)
#undef NAMED
    return ERR_BUG;
}

static enum err read_answer(const struct buf *text, json_t **ret_answer, struct err_info *info)
{
    json_t *answer = json_loadb((const char *)text->data, text->size, 0, NULL);
    if (!json_is_object(answer)) {
        json_decref(answer);
        return err_set(info, ERR_BUG, "the server's answer could not be read");
    }
    if (json_is_true(json_object_get(answer, "ok"))) {
        *ret_answer = answer;
        return ERR_OK;
    }
    const char *code = json_string_value(json_object_get(answer, "code"));
    const char *message = json_string_value(json_object_get(answer, "message"));
    enum err e = err_set(info, error_named(code ? code : ""), "%s",
                         message ? message : "the server refused and did not say why");
    json_decref(answer);
    return e;
}

/* Without a server. ERR_BUSY: there is one, or another command is at work. */
static enum err ask_store(struct house *house, const char *request, bool writes, struct buf *answer,
                          struct err_info *info)
{
    enum err e = house_open(house, writes ? HOUSE_SERVE : HOUSE_LOOK, NULL, info);
    if (e == ERR_OK) {
        e = house_admin(house, bytes_of_text(request), answer);
        if (e != ERR_OK)
            err_set(info, e, "the request failed: %s", err_text(e));
    }
    house_leave(house);
    if (house->lock.fd >= 0)
        os_lock_release(&house->lock);
    house->lock.fd = -1;
    return e;
}

enum err ask_is_possible(const struct house *house, const json_t *request, struct err_info *info)
{
    const char *what = json_string_value(json_object_get(request, "do"));
    if (!house_is_branch(house) || (what && strcmp(what, "status") == 0))
        return ERR_OK;
    return err_set(info, ERR_FORBIDDEN,
                   "%s is the server of a branch: people, branches and devices are kept at "
                   "headquarters. Ask there (the server above is %s)",
                   house->dir, house->settings.upstream);
}

enum err ask(struct house *house, json_t *request, bool writes, json_t **ret_answer,
             bool *ret_running, struct err_info *info)
{
    enum err e = ask_is_possible(house, request, info);
    if (e != ERR_OK) {
        json_decref(request);
        return e;
    }
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (!text)
        return err_set(info, ERR_NOMEM, "out of memory, or a text that is not UTF-8");
    size_t size = strlen(text);
    char *line = realloc(text, size + 2);
    if (!line) {
        free(text);
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    bool running = false;
    e = ERR_BUSY;
    house->settings.log = "error"; /* a command, not a server */
    for (int waited = 0; e == ERR_BUSY && waited <= START_WAIT_MS; waited += START_STEP_MS) {
        int fd = connect_control(house);
        running = fd >= 0;
        if (running) {
            memcpy(line + size, "\n", 2);
            e = exchange(fd, line, &answer, info);
            close(fd);
        } else {
            line[size] = 0;
            e = ask_store(house, line, writes, &answer, info);
        }
        if (e == ERR_BUSY) /* a server that is starting or stopping, or another command */
            nanosleep(&(struct timespec){.tv_nsec = START_STEP_MS * 1000000L}, NULL);
    }
    if (e == ERR_OK)
        e = read_answer(&answer, ret_answer, info);
    if (ret_running)
        *ret_running = running;
    buf_done(&answer);
    free(line);
    return e;
}

int ask_once(const struct common_options *common, json_t *request, bool writes, json_t **ret_answer)
{
    struct house house;
    struct err_info info = {0};
    enum err e = house_init(&house, data_of(common), &info);
    if (e == ERR_OK)
        e = ask(&house, request, writes, ret_answer, NULL, &info);
    else
        json_decref(request);
    house_close(&house);
    return e == ERR_OK ? EXIT_DONE : tell_failure(common, e, &info);
}
