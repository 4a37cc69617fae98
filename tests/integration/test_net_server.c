/* The server's network against clients that send what no honest one would.
 * ctest: labels=threads,asan timeout=120 */
#include "tests/integration/net_fakes.h"

#include <dirent.h>

#include "client/net/net_message.h"
#include "tests/lib/raw_peer.h"

#define PROTOCOL_LINE "Sec-WebSocket-Protocol: " NET_SUBPROTOCOL "\r\n"

static uint8_t large[NET_MESSAGE_MAX + 1];

/* --- TLS and HTTP ----------------------------------------------------------------------------- */

static void older_tls_is_refused(void **state)
{
    struct fake_server server;
    struct raw_peer peer;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_connect(&peer, server.port));
    assert_false(raw_start_tls(&peer, TLS1_2_VERSION));
    raw_close(&peer);
    assert_true(raw_connect(&peer, server.port));
    assert_true(raw_start_tls(&peer, 0));
    assert_int_equal(SSL_version(peer.tls), TLS1_3_VERSION);
    raw_close(&peer);
    fake_server_stop(&server);
}

static void plain_http_gets_nothing(void **state)
{
    struct fake_server server;
    struct raw_peer peer;
    char text[512];
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_connect(&peer, server.port));
    assert_true(raw_send_text(&peer, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_false(raw_read_head(&peer, text, sizeof text));
    assert_null(strstr(text, "HTTP"));
    assert_true(raw_sees_end(&peer));
    raw_close(&peer);
    fake_server_stop(&server);
}

/* The status code of a request, and that the connection ends with the answer. */
static int status_of(const struct fake_server *server, const char *request)
{
    struct raw_peer peer;
    char text[1024];
    int status = -1;
    assert_true(raw_connect(&peer, server->port));
    assert_true(raw_start_tls(&peer, 0));
    assert_true(raw_send_text(&peer, request));
    if (raw_read_head(&peer, text, sizeof text) && strncmp(text, "HTTP/1.1 ", 9) == 0) {
        status = (int)strtol(text + 9, NULL, 10);
    }
    assert_true(raw_sees_end(&peer));
    raw_close(&peer);
    return status;
}

static void http_has_a_health_page_and_nothing_else(void **state)
{
    struct fake_server server;
    (void)state;
    fake_server_start(&server, NULL);
    assert_int_equal(status_of(&server, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert_int_equal(status_of(&server, "GET /health HTTP/1.0\r\n\r\n"), 200);
    assert_int_equal(status_of(&server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
    assert_int_equal(status_of(&server, "GET /satchel HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
    assert_int_equal(
        status_of(&server, "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), 404);
    assert_int_equal(server.hub->attached, 0);
    fake_server_stop(&server);
}

static void only_websockets_are_upgrades(void **state)
{
    static const char *const requests[] = {
        "GET /satchel HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, "
        "HTTP2-Settings\r\n"
        "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        "GET /satchel HTTP/1.1\r\nHost: x\r\nUpgrade: TLS/1.3\r\nConnection: Upgrade\r\n\r\n",
        "GET /satchel HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: keep-alive, "
        "Upgrade\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\r\n\r\n",
        "GET /../satchel HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    };
    struct fake_server server;
    (void)state;
    fake_server_start(&server, NULL);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int status = status_of(&server, requests[i]);
        assert_true(status == -1 || (status >= 400 && status < 500));
    }
    assert_int_equal(server.hub->attached, 0);
    fake_server_stop(&server);
}

static int upgrade_status(const struct fake_server *server, const char *path, const char *headers,
                          char *text, size_t size)
{
    struct raw_peer peer;
    assert_true(raw_connect(&peer, server->port));
    assert_true(raw_start_tls(&peer, 0));
    int status = raw_upgrade(&peer, path, headers, text, size);
    raw_close(&peer);
    return status;
}

static void a_websocket_must_be_ours(void **state)
{
    struct fake_server server;
    char text[1024];
    (void)state;
    fake_server_start(&server, NULL);
    assert_int_equal(upgrade_status(&server, "/satchel", "", NULL, 0), 400);
    assert_int_equal(
        upgrade_status(&server, "/satchel", "Sec-WebSocket-Protocol: satchel.v10\r\n", NULL, 0),
        400);
    assert_int_equal(upgrade_status(&server, "/other", PROTOCOL_LINE, NULL, 0), 404);
    assert_int_equal(upgrade_status(&server, "/satchel",
                                    "Sec-WebSocket-Protocol: a, " NET_SUBPROTOCOL "\r\n", NULL, 0),
                     101);
    assert_int_equal(upgrade_status(&server, "/satchel",
                                    PROTOCOL_LINE
                                    "Sec-WebSocket-Extensions: permessage-deflate\r\n",
                                    text, sizeof text),
                     101);
    assert_null(strstr(text, "deflate"));
    assert_non_null(strstr(text, "Sec-WebSocket-Protocol: " NET_SUBPROTOCOL));
    fake_wait(&server.hub->detached, 2);
    fake_server_stop(&server);
}

/* --- Messages --------------------------------------------------------------------------------- */

static void assert_refused(const struct fake_server *server, struct raw_peer *peer, enum err why,
                           int status)
{
    assert_int_equal(raw_receive_close(peer), status);
    assert_int_equal(server->hub->violations, 1);
    assert_int_equal(server->hub->last_violation, why);
    raw_close(peer);
}

static void text_is_refused(void **state)
{
    struct fake_server server;
    struct raw_peer peer;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_TEXT, "E", 1));
    assert_refused(&server, &peer, ERR_PROTOCOL, 1002);
    fake_server_stop(&server);
}

static void fragments_make_a_message(void **state)
{
    struct fake_server server;
    struct raw_peer peer;
    char answer[64];
    unsigned opcode = 0;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_send_frame(&peer, RAW_BINARY, "Eab", 3));
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_PING, "p", 1));
    assert_true(raw_send_frame(&peer, RAW_CONTINUATION, "", 0));
    assert_true(raw_send_frame(&peer, RAW_CONTINUATION, "cd", 2));
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_CONTINUATION, "e", 1));
    for (int i = 0; i < 2; i++) { /* in any order */
        ssize_t size = raw_receive_message(&peer, &opcode, answer, sizeof answer);
        if (opcode == RAW_PONG) {
            assert_int_equal(size, 1);
        } else {
            assert_int_equal(size, 6);
            assert_memory_equal(answer, "Eabcde", 6);
        }
    }
    assert_int_equal(server.hub->received, 1);
    /* A new message in the middle of one. */
    assert_true(raw_send_frame(&peer, RAW_BINARY, "E", 1));
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, "E", 1));
    assert_int_equal(raw_receive_close(&peer), 1002);
    raw_close(&peer);
    fake_server_stop(&server);
}

static void messages_have_all_sizes_up_to_the_limit(void **state)
{
    static const size_t sizes[] = {1,    2,     125,   126,   127,   1023,           1024,
                                   1025, 16383, 16384, 65535, 65536, NET_MESSAGE_MAX};
    struct fake_server server;
    struct raw_peer peer;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char answer[64] = "";
        unsigned opcode = 0;
        memset(large, 'S', sizes[i]);
        assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, large, sizes[i]));
        assert_true(raw_receive_message(&peer, &opcode, answer, sizeof answer) > 0);
        assert_int_equal(strtoul(answer, NULL, 10), sizes[i]);
    }
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, "", 0));
    fake_wait(&server.hub->received, (int)(sizeof sizes / sizeof sizes[0]) + 1);
    assert_int_equal(server.hub->last_size, 0);
    raw_close(&peer);
    fake_server_stop(&server);
}

static void a_message_over_the_limit_is_refused(void **state)
{
    struct fake_server server;
    struct raw_peer peer;
    (void)state;
    fake_server_start(&server, NULL);
    /* The header alone says so. */
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_send_frame_part(&peer, RAW_FIN | RAW_BINARY, (uint64_t)1 << 40, large, 2048));
    assert_refused(&server, &peer, ERR_TOO_LARGE, 1009);
    server.hub->violations = 0;
    /* One byte too many. */
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_send_frame_part(&peer, RAW_FIN | RAW_BINARY, NET_MESSAGE_MAX + 1, large, 2048));
    assert_refused(&server, &peer, ERR_TOO_LARGE, 1009);
    server.hub->violations = 0;
    /* In fragments, none of which is large. */
    assert_true(raw_open(&peer, server.port));
    for (size_t sent = 0; sent <= NET_MESSAGE_MAX; sent += 65536) {
        if (!raw_send_frame(&peer, sent == 0 ? RAW_BINARY : RAW_CONTINUATION, large, 65536)) {
            break;
        }
    }
    assert_refused(&server, &peer, ERR_TOO_LARGE, 1009);
    fake_server_stop(&server);
}

static void half_a_message_times_out(void **state)
{
    struct server_net_config config = {.message_timeout_ms = 200};
    struct fake_server server;
    struct raw_peer peer;
    (void)state;
    fake_server_start(&server, &config);
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_send_frame_part(&peer, RAW_FIN | RAW_BINARY, 5000, large, 2500));
    int64_t before_us = clock_mono(&fake_clock).us;
    assert_refused(&server, &peer, ERR_TIMEOUT, 1008);
    assert_in_range(clock_mono(&fake_clock).us - before_us, 100000, 3000000);
    /* A trickle does not help. */
    server.hub->violations = 0;
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_send_frame_part(&peer, RAW_FIN | RAW_BINARY, 5000, large, 1));
    for (int i = 0; i < 100 && server.hub->violations == 0; i++) {
        (void)raw_send(&peer, large, 1);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_refused(&server, &peer, ERR_TIMEOUT, 1008);
    fake_server_stop(&server);
}

static void silence_before_the_handshake_times_out(void **state)
{
    struct server_net_config config = {.handshake_timeout_ms = 200};
    struct fake_server server;
    struct raw_peer tcp, tls;
    (void)state;
    fake_server_start(&server, &config);
    assert_true(raw_connect(&tcp, server.port));
    assert_true(raw_connect(&tls, server.port));
    assert_true(raw_start_tls(&tls, 0));
    assert_true(raw_send_text(&tls, "GET /satchel HTTP/1.1\r\nHost:"));
    assert_true(raw_sees_end(&tcp));
    assert_true(raw_sees_end(&tls));
    raw_close(&tcp);
    raw_close(&tls);
    fake_server_stop(&server);
}

static void hanging_up_sends_what_is_left(void **state)
{
    struct fake_server server;
    struct raw_peer peer;
    char answer[64] = "";
    unsigned opcode = 0;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, "H", 1));
    assert_int_equal(raw_receive_message(&peer, &opcode, answer, sizeof answer), 3);
    assert_string_equal(answer, "bye");
    assert_int_equal(raw_receive_close(&peer), 1008);
    fake_wait(&server.hub->detached, 1); /* before the peer has answered */
    raw_close(&peer);
    fake_server_stop(&server);
}

static void a_peer_that_leaves_is_detached(void **state)
{
    struct fake_server server;
    struct raw_peer peer;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port)); /* with a goodbye */
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_CLOSE, "\x03\xe8", 2));
    assert_int_equal(raw_receive_close(&peer), 1000);
    raw_close(&peer);
    fake_wait(&server.hub->detached, 1);
    assert_true(raw_open(&peer, server.port)); /* without one */
    raw_close(&peer);
    fake_wait(&server.hub->detached, 2);
    fake_server_stop(&server);
}

/* --- Many, slow ones -------------------------------------------------------------------------- */

static int open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(folder);
    while (readdir(folder)) {
        count++;
    }
    closedir(folder);
    return count;
}

static void connections_leave_nothing_behind(void **state)
{
    enum { ROUNDS = 4, PEERS = 50 };
    static struct raw_peer peers[PEERS];
    struct fake_server server;
    int before = open_files();
    (void)state;
    fake_server_start(&server, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PEERS; i++) {
            assert_true(raw_open(&peers[i], server.port));
            assert_true(raw_send_frame(&peers[i], RAW_FIN | RAW_BINARY, "E", 1));
        }
        for (int i = 0; i < PEERS; i++) {
            char answer[8];
            unsigned opcode = 0;
            assert_int_equal(raw_receive_message(&peers[i], &opcode, answer, sizeof answer), 1);
            raw_close(&peers[i]);
        }
        fake_wait(&server.hub->detached, (round + 1) * PEERS);
    }
    fake_server_stop(&server);
    assert_int_equal(open_files(), before);
}

static void an_address_has_so_many_and_all_have_so_many(void **state)
{
    struct server_net_config config = {.per_address_max = 2};
    struct server_net_config few = {.connections_max = 2};
    struct raw_peer first, second, third;
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake_server server;
        fake_server_start(&server, i == 0 ? &config : &few);
        assert_true(raw_open(&first, server.port));
        assert_true(raw_open(&second, server.port));
        assert_false(raw_open(&third, server.port));
        raw_close(&third);
        raw_close(&first);
        fake_wait(&server.hub->detached, 1);
        for (int tries = 0; tries < 100 && !raw_open(&third, server.port); tries++) {
            raw_close(&third);
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        }
        assert_non_null(third.tls);
        raw_close(&second);
        raw_close(&third);
        fake_server_stop(&server);
    }
}

static void a_slow_reader_does_not_hold_up_others(void **state)
{
    enum { COUNT = 40, SIZE = 1 << 20, ECHOES = 50 };
    struct fake_server server;
    struct raw_peer slow, other;
    char request[32], answer[8];
    unsigned opcode = 0;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&slow, server.port));
    assert_true(raw_open(&other, server.port));
    snprintf(request, sizeof request, "B%d %d", SIZE, COUNT);
    assert_true(raw_send_frame(&slow, RAW_FIN | RAW_BINARY, request, strlen(request)));
    for (int i = 0; i < ECHOES; i++) { /* while the slow one does not read at all */
        assert_true(raw_send_frame(&other, RAW_FIN | RAW_BINARY, "E", 1));
        assert_int_equal(raw_receive_message(&other, &opcode, answer, sizeof answer), 1);
    }
    for (int i = 0; i < COUNT; i++) { /* and it gets everything, whole */
        assert_int_equal(raw_receive_message(&slow, &opcode, large, sizeof large), SIZE);
        assert_int_equal(large[0], 'x');
        assert_int_equal(large[SIZE - 1], 'x');
    }
    raw_close(&slow);
    raw_close(&other);
    fake_server_stop(&server);
}

static int records;

static void count_records(int write_p, int version, int content_type, const void *data, size_t size,
                          SSL *tls, void *context)
{
    (void)version, (void)data, (void)size, (void)tls, (void)context;
    records += !write_p && content_type == SSL3_RT_HEADER;
}

static void small_messages_come_together(void **state)
{
    enum { COUNT = 100, SIZE = 120 };
    struct fake_server server;
    struct raw_peer peer;
    char request[32], answer[SIZE + 1];
    unsigned opcode = 0;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port));
    SSL_set_msg_callback(peer.tls, count_records);
    records = 0;
    snprintf(request, sizeof request, "B%d %d", SIZE, COUNT);
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, request, strlen(request)));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(raw_receive_message(&peer, &opcode, answer, sizeof answer), SIZE);
        assert_int_equal(opcode, RAW_BINARY);
    }
    assert_int_equal(records, 1);
    raw_close(&peer);
    fake_server_stop(&server);
}

/* What the socket does not take is kept, and neither what the library has to say meanwhile nor messages of
 * other sizes get in its way. */
static void a_slow_reader_gets_small_messages_in_order(void **state)
{
    static const struct {
        size_t size, count;
    } parts[] = {{16000, 400}, {3, 1000},  {16384 - 16 - 4, 200}, {16384 - 16 - 3, 100},
                 {125, 500},   {126, 500}, {16384 - 16, 50},      {16000, 400}};
    struct fake_server server;
    struct raw_peer peer;
    char request[32];
    unsigned opcode = 0;
    size_t pongs = 0;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(request, sizeof request, "B%zu %zu", parts[i].size, parts[i].count);
        assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, request, strlen(request)));
        fake_wait(&server.hub->received, (int)i + 1);
    }
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* it is stuck by now */
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_PING, "?", 1));
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        for (size_t k = 0; k < parts[i].count; k++) {
            ssize_t size = raw_receive_message(&peer, &opcode, large, sizeof large);
            while (size >= 0 && opcode == RAW_PONG) {
                pongs++;
                size = raw_receive_message(&peer, &opcode, large, sizeof large);
            }
            assert_int_equal(size, parts[i].size);
            assert_int_equal(large[0], 'x');
            assert_int_equal(large[size - 1], 'x');
        }
    }
    assert_int_equal(pongs, 1);
    raw_close(&peer);
    fake_server_stop(&server);
}

static void a_peer_that_does_not_read_is_dropped_when_it_must_go(void **state)
{
    struct server_net_config config = {.hang_up_timeout_ms = 200};
    struct fake_server server;
    struct raw_peer peer;
    (void)state;
    fake_server_start(&server, &config);
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, "B1000000 40", 11));
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, "H", 1));
    fake_wait(&server.hub->detached, 1);
    raw_close(&peer);
    fake_server_stop(&server);
}

/* --- Stopping, errors ------------------------------------------------------------------------- */

static void stopping_says_goodbye(void **state)
{
    struct fake_server server;
    struct raw_peer peer, other;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port));
    assert_true(raw_connect(&other, server.port));
    server_net_stop(server.net);
    assert_int_equal(raw_receive_close(&peer), 1001);
    raw_close(&peer);
    assert_true(raw_sees_end(&other));
    raw_close(&other);
    fake_server_stop(&server);
    assert_ok(server.result);
}

static void a_fatal_error_of_the_hub_ends_the_server(void **state)
{
    struct fake_server server;
    struct raw_peer peer;
    (void)state;
    fake_server_start(&server, NULL);
    assert_true(raw_open(&peer, server.port));
    server.hub->turn_fails = ERR_IO;
    assert_true(raw_send_frame(&peer, RAW_FIN | RAW_BINARY, "E", 1));
    fake_wait(&server.hub->turns, 1);
    fake_server_stop(&server);
    assert_int_equal(server.result, ERR_IO);
    assert_true(raw_sees_end(&peer)); /* without the echo */
    raw_close(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(older_tls_is_refused),
        cmocka_unit_test(plain_http_gets_nothing),
        cmocka_unit_test(http_has_a_health_page_and_nothing_else),
        cmocka_unit_test(only_websockets_are_upgrades),
        cmocka_unit_test(a_websocket_must_be_ours),
        cmocka_unit_test(text_is_refused),
        cmocka_unit_test(fragments_make_a_message),
        cmocka_unit_test(messages_have_all_sizes_up_to_the_limit),
        cmocka_unit_test(a_message_over_the_limit_is_refused),
        cmocka_unit_test(half_a_message_times_out),
        cmocka_unit_test(silence_before_the_handshake_times_out),
        cmocka_unit_test(hanging_up_sends_what_is_left),
        cmocka_unit_test(a_peer_that_leaves_is_detached),
        cmocka_unit_test(connections_leave_nothing_behind),
        cmocka_unit_test(an_address_has_so_many_and_all_have_so_many),
        cmocka_unit_test(a_slow_reader_does_not_hold_up_others),
        cmocka_unit_test(small_messages_come_together),
        cmocka_unit_test(a_slow_reader_gets_small_messages_in_order),
        cmocka_unit_test(a_peer_that_does_not_read_is_dropped_when_it_must_go),
        cmocka_unit_test(stopping_says_goodbye),
        cmocka_unit_test(a_fatal_error_of_the_hub_ends_the_server),
    };
    return cmocka_run_group_tests(tests, fakes_set_up, fakes_tear_down);
}
