/* The server's control socket.
 * ctest: labels=threads,asan timeout=120 */
#include "tests/integration/net_fakes.h"

#include <sys/socket.h>
#include <sys/un.h>

static int control_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", fake_control);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Reads a line, or to the end. */
static void control_read(int fd, char *line, size_t size)
{
    size_t length = 0;
    while (length + 1 < size && read(fd, line + length, 1) == 1 && line[length] != '\n') {
        length++;
    }
    line[length] = '\0';
}

static void control_ask(int fd, const char *request, const char *answer)
{
    char line[256];
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    control_read(fd, line, sizeof line);
    assert_string_equal(line, answer);
}

static void the_control_socket_answers_lines(void **state)
{
    struct server_net_config config = {.control_path = fake_control};
    struct fake_server server;
    struct stat status;
    (void)state;
    fake_server_start(&server, &config);
    assert_int_equal(lstat(fake_control, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    int first = control_connect();
    int second = control_connect();
    control_ask(first, "{\"do\":\"status\"}\n", "{\"ok\":true,\"size\":15}");
    control_ask(second, "not json\n", "{\"ok\":false,\"size\":8}");
    assert_int_equal(write(first, "{\"do\":", 6), 6); /* the others do not wait for the rest */
    control_ask(second, "{}\n", "{\"ok\":true,\"size\":2}");
    control_ask(first, "\"x\"}\n{12}\n", "{\"ok\":true,\"size\":10}");
    control_ask(first, "", "{\"ok\":true,\"size\":4}");
    close(first);
    close(second);
    fake_server_stop(&server);
    assert_int_equal(lstat(fake_control, &status), -1);
}

static void the_control_socket_has_limits(void **state)
{
    struct server_net_config config = {.control_path = fake_control};
    struct fake_server server;
    static char large[65536];
    int clients[9];
    char line[256];
    (void)state;
    fake_server_start(&server, &config);
    int fd = control_connect();
    memset(large, '{', sizeof large);
    assert_int_equal(send(fd, large, sizeof large, MSG_NOSIGNAL), sizeof large);
    control_read(fd, line, sizeof line);
    assert_non_null(strstr(line, "TOO_LARGE"));
    assert_int_equal(read(fd, line, 1), 0);
    close(fd);
    for (int i = 0; i < 9; i++) {
        clients[i] = control_connect();
        if (i < 8) {
            control_ask(clients[i], "{}\n", "{\"ok\":true,\"size\":2}");
        }
    }
    assert_int_equal(read(clients[8], line, 1), 0);
    for (int i = 0; i < 9; i++) {
        close(clients[i]);
    }
    fake_server_stop(&server);
}

static void the_control_socket_is_not_taken_from_another(void **state)
{
    struct server_net_config config = {.control_path = fake_control};
    struct fake_server server;
    struct server_net *net = NULL;
    struct err_info info;
    (void)state;
    fake_server_start(&server, &config);
    config.address = "127.0.0.1";
    config.certificate_path = config.key_path = fake_certificate;
    config.stop_fd = -1;
    config.clock = &fake_clock;
    config.rng = &fake_rng;
    assert_err(server_net_open(&config, server.hub, &net, &info), ERR_BUSY);
    config.control_path = fake_certificate;
    assert_err(server_net_open(&config, server.hub, &net, &info), ERR_EXISTS);
    config.control_path = NULL;
    config.port = server.port;
    assert_err(server_net_open(&config, server.hub, &net, &info), ERR_BUSY);
    config.port = 0;
    config.key_path = "/nowhere/key.pem";
    assert_err(server_net_open(&config, server.hub, &net, &info), ERR_NOT_FOUND);
    config.key_path = fake_certificate;
    config.address = "no address";
    assert_err(server_net_open(&config, server.hub, &net, &info), ERR_INVALID);
    int fd = control_connect(); /* the first one still has it */
    control_ask(fd, "{}\n", "{\"ok\":true,\"size\":2}");
    close(fd);
    fake_server_stop(&server);
    /* What a killed server left is replaced. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", fake_control);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    config = (struct server_net_config){.control_path = fake_control};
    fake_server_start(&server, &config);
    fake_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_control_socket_answers_lines),
        cmocka_unit_test(the_control_socket_has_limits),
        cmocka_unit_test(the_control_socket_is_not_taken_from_another),
    };
    return cmocka_run_group_tests(tests, fakes_set_up, fakes_tear_down);
}
