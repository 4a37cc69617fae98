/* The client's network: against the real server's network, and against servers that send what no
 * honest one would.
 * ctest: labels=threads,asan timeout=120 */
#include "tests/integration/net_fakes.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "client/net/net_message.h"
#include "tests/lib/raw_peer.h"

#define PROTOCOL_LINE "Sec-WebSocket-Protocol: " NET_SUBPROTOCOL "\r\n"

/* A loop with one link and its uplink, and what was reported. */
struct one {
    struct client_loop *loop;
    struct client_link *link;
    struct uplink *uplink;
    int ups, changes, closes;
    enum err why;
    char message[256];
};

static void report(void *context, struct client_link *link, const struct client_report *report)
{
    struct one *one = context;
    assert_ptr_equal(client_link_context(link), one);
    one->ups += report->up;
    one->changes += report->changed;
    if (report->closed) {
        one->closes++;
        one->why = report->why;
        snprintf(one->message, sizeof one->message, "%s", report->message);
        client_link_close(link);
        one->link = NULL;
    }
}

static void one_start(struct one *one, uint16_t port, const struct client_link_config *config)
{
    struct client_link_config own = config ? *config : (struct client_link_config){0};
    struct client_loop_config loop = {.clock = &fake_clock, .log = &fake_log};
    struct err_info info;
    *one = (struct one){0};
    assert_ok(client_loop_new(&loop, &one->loop, &info));
    assert_ok(uplink_new(NULL, NULL, NULL, &one->uplink));
    own.host = own.host ? own.host : "127.0.0.1";
    own.port = port;
    own.uplink = one->uplink;
    own.report = report;
    own.context = one;
    if (!config) {
        assert_ok(os_tls_pin(fake_certificate, own.pin, &info));
    }
    assert_ok(client_link_open(one->loop, &own, &one->link));
}

static void one_stop(struct one *one)
{
    client_loop_free(one->loop);
    assert_int_equal(one->uplink->ups, one->uplink->downs);
    uplink_free(one->uplink);
}

static void one_run(struct one *one)
{
    enum client_woken woken;
    assert_ok(client_loop_run(one->loop, -1, 5000, &woken));
    assert_int_equal(woken, CLIENT_WOKEN_BY_REPORT);
}

static void one_runs_until_closed(struct one *one, enum err why)
{
    while (one->closes == 0) {
        one_run(one);
    }
    if (one->why != why) {
        fail_msg("%s, not %s: %s", err_name(one->why), err_name(why), one->message);
    }
    assert_int_equal(one->closes, 1);
}

static void one_runs_until_up(struct one *one)
{
    while (one->ups == 0) {
        one_run(one);
        assert_int_equal(one->closes, 0);
    }
}

static struct client_link_config pinned(void)
{
    struct client_link_config config = {0};
    struct err_info info;
    assert_ok(os_tls_pin(fake_certificate, config.pin, &info));
    return config;
}

/* --- With a server ---------------------------------------------------------------------------- */

static void messages_go_and_come(void **state)
{
    static const size_t sizes[] = {1, 125, 126, 1024, 65535, 65536, NET_MESSAGE_MAX};
    static uint8_t data[NET_MESSAGE_MAX];
    struct fake_server server;
    struct one one;
    (void)state;
    fake_server_start(&server, NULL);
    one_start(&one, server.port, NULL);
    one_runs_until_up(&one);
    assert_true(client_link_is_up(one.link));
    memset(data, 'E', sizeof data);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fake_put(&one.uplink->out, data, sizes[i]);
        client_link_wake(one.link);
        while (one.uplink->received <= (int)i) {
            one_run(&one);
        }
        assert_int_equal(one.uplink->last_size, sizes[i]);
        assert_int_equal(one.uplink->last[0], 'E');
    }
    client_link_close(one.link);
    one_stop(&one);
    fake_server_stop(&server);
}

static void what_waits_is_sent_when_the_link_is_up(void **state)
{
    struct fake_server server;
    struct one one;
    (void)state;
    fake_server_start(&server, NULL);
    one_start(&one, server.port, NULL);
    fake_put(&one.uplink->out, "E1", 2);
    fake_put(&one.uplink->out, "E2", 2);
    client_link_wake(one.link); /* too early: nothing happens */
    while (one.uplink->received < 2) {
        one_run(&one);
    }
    assert_memory_equal(one.uplink->last, "E2", 2);
    one_stop(&one);
    fake_server_stop(&server);
}

static void a_finished_uplink_hangs_up(void **state)
{
    struct fake_server server;
    struct one one;
    (void)state;
    fake_server_start(&server, NULL);
    one_start(&one, server.port, NULL);
    one.uplink->hangs_up = true;
    fake_put(&one.uplink->out, "E", 1);
    one_runs_until_closed(&one, ERR_OK);
    one_stop(&one);
    fake_wait(&server.hub->detached, 1);
    fake_server_stop(&server);
}

static void the_servers_reason_is_told(void **state)
{
    struct fake_server server;
    struct one one;
    (void)state;
    fake_server_start(&server, NULL);
    one_start(&one, server.port, NULL);
    fake_put(&one.uplink->out, "H", 1);
    one_runs_until_closed(&one, ERR_CLOSED);
    assert_memory_equal(one.uplink->last, "bye", 3);
    assert_non_null(strstr(one.message, "1008"));
    assert_non_null(strstr(one.message, "REVOKED"));
    one_stop(&one);
    fake_server_stop(&server);
}

static void many_links_in_one_loop(void **state)
{
    enum { LINKS = 200 };
    static struct one ones[LINKS];
    struct client_loop_config config = {.clock = &fake_clock, .log = &fake_log, .links_max = LINKS};
    struct client_link_config link = pinned();
    struct fake_server server;
    struct client_loop *loop;
    enum client_woken woken;
    struct err_info info;
    int received = 0;
    (void)state;
    /* Two hundred handshakes, perhaps under a sanitizer on a busy machine. */
    const struct server_net_config patient = {.handshake_timeout_ms = 60000};
    link.connect_timeout_ms = 60000;
    fake_server_start(&server, &patient);
    assert_ok(client_loop_new(&config, &loop, &info));
    for (int i = 0; i < LINKS; i++) {
        ones[i] = (struct one){.loop = loop};
        assert_ok(uplink_new(NULL, NULL, NULL, &ones[i].uplink));
        fake_put(&ones[i].uplink->out, "E", 1);
        link.host = "127.0.0.1";
        link.port = server.port;
        link.uplink = ones[i].uplink;
        link.report = report;
        link.context = &ones[i];
        assert_ok(client_link_open(loop, &link, &ones[i].link));
    }
    while (received < LINKS) {
        assert_ok(client_loop_run(loop, -1, 60000, &woken));
        assert_int_equal(woken, CLIENT_WOKEN_BY_REPORT);
        received = 0;
        for (int i = 0; i < LINKS; i++) {
            assert_int_equal(ones[i].closes, 0);
            received += ones[i].uplink->received;
        }
    }
    for (int i = 0; i < LINKS / 2; i++) {
        client_link_close(ones[i].link);
    }
    assert_ok(client_loop_run(loop, -1, 100, &woken));
    client_loop_free(loop); /* with the other half open */
    for (int i = 0; i < LINKS; i++) {
        assert_int_equal(ones[i].uplink->downs, 1);
        uplink_free(ones[i].uplink);
    }
    fake_wait(&server.hub->detached, LINKS);
    fake_server_stop(&server);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static void a_descriptor_wakes(void **state)
{
    struct fake_server server;
    struct one one;
    enum client_woken woken;
    int ends[2];
    char byte;
    (void)state;
    fake_server_start(&server, NULL);
    one_start(&one, server.port, NULL);
    one_runs_until_up(&one);
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < 3; i++) {
        assert_ok(client_loop_run(one.loop, ends[0], 20, &woken));
        assert_int_equal(woken, CLIENT_WOKEN_BY_TIME);
        assert_int_equal(write(ends[1], "x", 1), 1);
        assert_ok(client_loop_run(one.loop, ends[0], 5000, &woken));
        assert_int_equal(woken, CLIENT_WOKEN_BY_FD);
        assert_int_equal(read(ends[0], &byte, 1), 1); /* which the loop has not done */
    }
    assert_int_equal(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    close(ends[1]);
    assert_ok(client_loop_run(one.loop, ends[0], 5000, &woken));
    assert_int_equal(woken, CLIENT_WOKEN_BY_FD);
    assert_ok(client_loop_run(one.loop, -1, 0, &woken));
    assert_int_equal(woken, CLIENT_WOKEN_BY_TIME);
    close(ends[0]);
    one_stop(&one);
    fake_server_stop(&server);
}

static void an_uplink_is_ticked_when_it_asked(void **state)
{
    struct fake_server server;
    struct one one;
    enum client_woken woken;
    (void)state;
    fake_server_start(&server, NULL);
    one_start(&one, server.port, NULL);
    one_runs_until_up(&one);
    int64_t before_us = clock_mono(&fake_clock).us;
    one.uplink->tick_us = before_us + 50000;
    client_link_wake(one.link);
    while (one.uplink->ticks == 0) {
        assert_ok(client_loop_run(one.loop, -1, 10, &woken));
    }
    assert_in_range(clock_mono(&fake_clock).us - before_us, 50000, 2000000);
    one_stop(&one);
    fake_server_stop(&server);
}

/* --- With other servers ----------------------------------------------------------------------- */

enum script {
    SCRIPT_TLS_ONLY, /* and then notes what comes */
    SCRIPT_TLS_1_2,
    SCRIPT_NOT_FOUND,
    SCRIPT_REDIRECT,
    SCRIPT_NO_SUBPROTOCOL,
    SCRIPT_EXTENSIONS,
    SCRIPT_TEXT,
    SCRIPT_TOO_LARGE,
    SCRIPT_HALF,
    SCRIPT_FRAGMENTS,
};

struct raw_server {
    pthread_t thread;
    enum script script;
    int listener;
    uint16_t port;
    ssize_t heard; /* after TLS: bytes that came, 0: the client left */
};

static void act(struct raw_server *server, struct raw_peer *peer)
{
    char head[4096];
    if (server->script == SCRIPT_TLS_ONLY) {
        server->heard = raw_receive(peer, head, sizeof head);
        return;
    }
    if (!raw_read_head(peer, head, sizeof head)) {
        return;
    }
    switch (server->script) {
    case SCRIPT_NOT_FOUND:
        (void)raw_send_text(peer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        break;
    case SCRIPT_REDIRECT:
        (void)raw_send_text(peer, "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/satchel\r\n"
                                  "Content-Length: 0\r\n\r\n");
        break;
    case SCRIPT_NO_SUBPROTOCOL: (void)raw_accept_upgrade(peer, head, ""); break;
    case SCRIPT_EXTENSIONS:
        (void)raw_accept_upgrade(
            peer, head,
            PROTOCOL_LINE "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate\r\n");
        (void)raw_send_frame(peer, RAW_FIN | RAW_BINARY | 0x40, "compressed?", 11);
        break;
    case SCRIPT_TEXT:
        (void)raw_accept_upgrade(peer, head, PROTOCOL_LINE);
        (void)raw_send_frame(peer, RAW_FIN | RAW_TEXT, "x", 1);
        break;
    case SCRIPT_TOO_LARGE:
        (void)raw_accept_upgrade(peer, head, PROTOCOL_LINE);
        (void)raw_send_frame_part(peer, RAW_FIN | RAW_BINARY, NET_MESSAGE_MAX + 2048, head, 2048);
        break;
    case SCRIPT_HALF:
        (void)raw_accept_upgrade(peer, head, PROTOCOL_LINE);
        (void)raw_send_frame_part(peer, RAW_FIN | RAW_BINARY, 5000, head, 2500);
        break;
    case SCRIPT_FRAGMENTS:
        (void)raw_accept_upgrade(peer, head, PROTOCOL_LINE);
        (void)raw_send_frame(peer, RAW_BINARY, "ab", 2);
        (void)raw_send_frame(peer, RAW_FIN | RAW_PING, "p", 1);
        (void)raw_send_frame(peer, RAW_FIN | RAW_CONTINUATION, "cd", 2);
        break;
    case SCRIPT_TLS_ONLY:
    case SCRIPT_TLS_1_2: break;
    }
    (void)raw_sees_end(peer);
}

static void *raw_server_thread(void *argument)
{
    struct raw_server *server = argument;
    struct raw_peer peer;
    int version = server->script == SCRIPT_TLS_1_2 ? TLS1_2_VERSION : 0;
    if (raw_accept(&peer, server->listener, fake_certificate, version)) {
        act(server, &peer);
    }
    raw_close(&peer);
    return NULL;
}

static void raw_server_start(struct raw_server *server, enum script script)
{
    *server = (struct raw_server){.script = script, .heard = -1};
    server->listener = raw_listen(&server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, raw_server_thread, server), 0);
}

static void raw_server_stop(struct raw_server *server)
{
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close(server->listener);
}

/* What becomes of a link to such a server. */
static void assert_ends(enum script script, const struct client_link_config *config, enum err why)
{
    struct raw_server server;
    struct one one;
    raw_server_start(&server, script);
    one_start(&one, server.port, config);
    one_runs_until_closed(&one, why);
    assert_int_equal(one.uplink->received, 0);
    one_stop(&one);
    raw_server_stop(&server);
}

static void another_key_is_refused_before_a_byte_is_said(void **state)
{
    struct client_link_config config = pinned();
    struct raw_server server;
    struct one one;
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct client_link_config other = config;
        other.pin[i == 0 ? 0 : i == 1 ? 15 : 31] ^= 1;
        raw_server_start(&server, SCRIPT_TLS_ONLY);
        one_start(&one, server.port, &other);
        one_runs_until_closed(&one, ERR_PIN);
        assert_int_equal(one.uplink->ups, 0);
        one_stop(&one);
        raw_server_stop(&server);
        assert_int_equal(server.heard, 0);
    }
}

static void odd_servers_are_refused(void **state)
{
    (void)state;
    assert_ends(SCRIPT_TLS_1_2, NULL, ERR_LINK);
    assert_ends(SCRIPT_NOT_FOUND, NULL, ERR_LINK);
    assert_ends(SCRIPT_REDIRECT, NULL, ERR_LINK);
    assert_ends(SCRIPT_NO_SUBPROTOCOL, NULL, ERR_PROTOCOL);
    assert_ends(SCRIPT_TEXT, NULL, ERR_PROTOCOL);
    assert_ends(SCRIPT_TOO_LARGE, NULL, ERR_TOO_LARGE);
}

static void extensions_that_were_not_asked_for_are_refused(void **state)
{
    struct raw_server server;
    struct one one;
    (void)state;
    raw_server_start(&server, SCRIPT_EXTENSIONS);
    one_start(&one, server.port, NULL);
    while (one.closes == 0) {
        one_run(&one);
    }
    assert_true(one.why == ERR_LINK || one.why == ERR_CLOSED);
    assert_int_equal(one.uplink->received, 0);
    one_stop(&one);
    raw_server_stop(&server);
}

static void half_a_message_times_out(void **state)
{
    struct client_link_config config = pinned();
    (void)state;
    config.message_timeout_ms = 100;
    assert_ends(SCRIPT_HALF, &config, ERR_TIMEOUT);
}

static void fragments_make_a_message(void **state)
{
    struct raw_server server;
    struct one one;
    (void)state;
    raw_server_start(&server, SCRIPT_FRAGMENTS);
    one_start(&one, server.port, NULL);
    while (one.uplink->received == 0) {
        one_run(&one);
    }
    assert_int_equal(one.uplink->last_size, 4);
    assert_memory_equal(one.uplink->last, "abcd", 4);
    client_link_close(one.link);
    one_stop(&one);
    raw_server_stop(&server);
}

static void nobody_there(void **state)
{
    struct client_link_config config = pinned();
    struct one one;
    uint16_t port;
    (void)state;
    int listener = raw_listen(&port);
    config.connect_timeout_ms = 200; /* connected, but nobody speaks */
    one_start(&one, port, &config);
    one_runs_until_closed(&one, ERR_TIMEOUT);
    one_stop(&one);
    close(listener);
    one_start(&one, port, &config); /* refused */
    one_runs_until_closed(&one, ERR_LINK);
    one_stop(&one);
    config.host = "no-such-host.invalid";
    one_start(&one, port, &config);
    one_runs_until_closed(&one, ERR_LINK);
    one_stop(&one);
    config.host = "localhost"; /* two addresses, perhaps */
    one_start(&one, port, &config);
    one_runs_until_closed(&one, ERR_LINK);
    one_stop(&one);
}

static void a_link_can_be_closed_at_any_time(void **state)
{
    struct fake_server server;
    struct one one;
    enum client_woken woken;
    (void)state;
    fake_server_start(&server, NULL);
    for (int runs = 0; runs < 12; runs++) {
        one_start(&one, server.port, NULL);
        for (int i = 0; i < runs; i++) {
            assert_ok(client_loop_run(one.loop, -1, 0, &woken));
        }
        client_link_close(one.link);
        assert_ok(client_loop_run(one.loop, -1, 5, &woken));
        assert_int_equal(one.closes, 0);
        one_stop(&one);
    }
    fake_server_stop(&server);
}

static void arguments_are_checked(void **state)
{
    struct client_loop_config config = {.clock = &fake_clock};
    struct client_link_config link = {.host = "", .port = 1, .uplink = (struct uplink *)state};
    struct client_loop *loop;
    struct client_link *ret = NULL;
    enum client_woken woken;
    assert_ok(client_loop_new(&config, &loop, NULL));
    assert_err(client_link_open(loop, &link, &ret), ERR_INVALID);
    link.host = "localhost";
    link.port = 0;
    assert_err(client_link_open(loop, &link, &ret), ERR_INVALID);
    assert_null(ret);
    assert_err(client_loop_run(loop, 9999, 0, &woken), ERR_INVALID);
    client_loop_free(loop);
    client_loop_free(NULL);
    client_link_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_and_come),
        cmocka_unit_test(what_waits_is_sent_when_the_link_is_up),
        cmocka_unit_test(a_finished_uplink_hangs_up),
        cmocka_unit_test(the_servers_reason_is_told),
        cmocka_unit_test(many_links_in_one_loop),
        cmocka_unit_test(a_descriptor_wakes),
        cmocka_unit_test(an_uplink_is_ticked_when_it_asked),
        cmocka_unit_test(another_key_is_refused_before_a_byte_is_said),
        cmocka_unit_test(odd_servers_are_refused),
        cmocka_unit_test(extensions_that_were_not_asked_for_are_refused),
        cmocka_unit_test(half_a_message_times_out),
        cmocka_unit_test(fragments_make_a_message),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(a_link_can_be_closed_at_any_time),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests(tests, fakes_set_up, fakes_tear_down);
}
