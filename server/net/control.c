#include "server/net/server_net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_SIZE = 4096, BACKLOG = 8 };

static enum err control_failed(struct err_info *info, const char *path, int native)
{
    enum err err = native == EACCES || native == EPERM || native == EROFS ? ERR_FORBIDDEN
                   : native == ENOENT || native == ENOTDIR                ? ERR_NOT_FOUND
                   : native == EMFILE || native == ENFILE                 ? ERR_LIMIT
                                                                          : ERR_IO;
    char text[128] = "";
    (void)strerror_r(native, text, sizeof text);
    err_set(info, err, "the control socket %s: %s", path, text);
    if (info) {
        info->native = native;
    }
    return err;
}

/* Removes a socket that nobody listens on any more. */
static enum err remove_stale(const char *path, const struct sockaddr_un *address,
                             struct err_info *info)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? ERR_OK : control_failed(info, path, errno);
    }
    if (!S_ISSOCK(status.st_mode)) {
        return err_set(info, ERR_EXISTS,
                       "%s is in the way: the control socket should be there, remove it", path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        return control_failed(info, path, errno);
    }
    bool live = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                errno != ECONNREFUSED;
    close(fd);
    if (live) {
        return err_set(info, ERR_BUSY, "another server answers on the control socket %s", path);
    }
    return unlink(path) == 0 || errno == ENOENT ? ERR_OK : control_failed(info, path, errno);
}

enum err control_open(struct server_net *net, struct err_info *info)
{
    const char *path = net->config.control_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    if (strlen(path) > CONTROL_PATH_MAX) {
        return err_set(info, ERR_INVALID, "the path of the control socket is longer than %d: %s",
                       CONTROL_PATH_MAX, path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    enum err err = remove_stale(path, &address, info);
    if (err != ERR_OK) {
        return err;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    /* The mode of the descriptor becomes the mode of the file, so that it never has another. */
    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        fchmod(fd, S_IRUSR | S_IWUSR) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, S_IRUSR | S_IWUSR) != 0 || listen(fd, BACKLOG) != 0 ||
        lstat(path, &status) != 0) {
        int native = errno;
        if (fd >= 0) {
            close(fd);
        }
        return control_failed(info, path, native);
    }
    net->control_device = (uint64_t)status.st_dev;
    net->control_inode = (uint64_t)status.st_ino;
    err = net_file_adopt(net, &net->control, NET_OWNER_CONTROL, fd);
    return err == ERR_OK ? ERR_OK : err_set(info, err, "too many files are open");
}

void control_close(struct server_net *net)
{
    struct stat status;
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        net_file_close(&net->clients[i].file);
    }
    net_file_close(&net->control);
    /* Only the one that we made. */
    if (net->control_inode != 0 && lstat(net->config.control_path, &status) == 0 &&
        (uint64_t)status.st_dev == net->control_device &&
        (uint64_t)status.st_ino == net->control_inode) {
        (void)unlink(net->config.control_path);
    }
    net->control_inode = 0;
}

static void set_limit(struct control_client *client)
{
    net_timer_set(&client->file.net->timers, &client->limit,
                  net_deadline_us(client->file.net, CONTROL_TIMEOUT_MS));
}

void control_accept(struct server_net *net)
{
    int fd = accept(net->control.fd, NULL, NULL);
    if (fd < 0) {
        return;
    }
    for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &net->clients[i];
        if (client->file.wsi) {
            continue;
        }
        *client = (struct control_client){
            .limit = {.owner = client, .kind = TIMER_CONTROL_CLIENT},
        };
        buf_init(&client->line, CONTROL_LINE_MAX);
        buf_init(&client->answer, CONTROL_ANSWER_MAX);
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (net_file_adopt(net, &client->file, NET_OWNER_CONTROL_CLIENT, fd) == ERR_OK) {
            net->stats.control_clients++;
            set_limit(client);
        }
        return;
    }
    close(fd); /* all places are taken */
}

/* Writes what is left of the answer. */
static int send_answer(struct control_client *client)
{
    while (client->answered < client->answer.size) {
        ssize_t size = send(client->file.fd, client->answer.data + client->answered,
                            client->answer.size - client->answered, MSG_NOSIGNAL);
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            lws_callback_on_writable(client->file.wsi);
            net_settle(client->file.net, &client->unsettled, false);
            return 0;
        }
        if (size < 0 && errno != EINTR) {
            return -1;
        }
        client->answered += size > 0 ? (size_t)size : 0;
    }
    buf_done(&client->answer);
    buf_init(&client->answer, CONTROL_ANSWER_MAX);
    client->answered = 0;
    net_settle(client->file.net, &client->unsettled, true);
    set_limit(client);
    return client->last ? -1 : 0;
}

static int refuse(struct control_client *client)
{
    static const char text[] =
        "{\"ok\":false,\"code\":\"TOO_LARGE\",\"message\":\"a request is one "
        "line of at most 65536 bytes\"}\n";
    client->last = true;
    return buf_append(&client->answer, text, sizeof text - 1) == ERR_OK ? send_answer(client) : -1;
}

/* Answers the lines that are complete, one after the other. */
static int answer_lines(struct control_client *client)
{
    struct server_net *net = client->file.net;
    while (client->answer.size == 0 && client->line.size > 0) {
        const uint8_t *end = memchr(client->line.data, '\n', client->line.size);
        if (!end) {
            return client->line.size == CONTROL_LINE_MAX ? refuse(client) : 0;
        }
        size_t size = (size_t)(end - client->line.data);
        struct bytes line = bytes_of(client->line.data, size);
        enum err err = net->config.admin ? net->config.admin(net->config.admin_context, line,
                                                             net_now(net), &client->answer)
                                         : hub_admin(net->hub, line, net_now(net), &client->answer);
        if (err != ERR_OK || buf_append_byte(&client->answer, '\n') != ERR_OK) {
            return -1;
        }
        client->line.size -= size + 1;
        memmove(client->line.data, end + 1, client->line.size);
        if (send_answer(client) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_lines(struct control_client *client)
{
    uint8_t data[READ_SIZE];
    size_t room = CONTROL_LINE_MAX - client->line.size;
    if (room == 0) {
        return 0; /* an answer is on its way; the rest waits in the socket */
    }
    ssize_t size = read(client->file.fd, data, room < sizeof data ? room : sizeof data);
    if (size < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    }
    if (size == 0 || buf_append(&client->line, data, (size_t)size) != ERR_OK) {
        return -1;
    }
    return answer_lines(client);
}

int control_callback(struct control_client *client, enum lws_callback_reasons reason)
{
    switch ((int)reason) {
    case LWS_CALLBACK_RAW_RX_FILE: return read_lines(client);
    case LWS_CALLBACK_RAW_WRITEABLE_FILE:
        return send_answer(client) != 0 ? -1 : answer_lines(client);
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        net_timer_clear(&client->file.net->timers, &client->limit);
        net_settle(client->file.net, &client->unsettled, true);
        buf_done(&client->line);
        buf_done(&client->answer);
        client->file.net->stats.control_clients--;
        client->file.wsi = NULL;
        return 0;
    default: return 0;
    }
}
