/* satcheld enroll - a one-time ticket for a device: satchel://HOST:PORT/CODE?pin=PIN, where CODE is 16
 * bytes in Crockford's base32 and PIN the server's pin in base64url. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/os/os_term.h"
#include "common/text.h"
#include "server/main/ask.h"
#include "server/main/command.h"
#include "server/main/qr.h"

enum { MINUTES_MAX = 7 * 24 * 60 };

struct enroll {
    struct common_options common;
    int64_t minutes;
    const char *host, *name;
    bool qr;
};

/* Where the server listens: as it wrote it down when it started, else as configured. */
static enum err listening(const struct house *house, struct address *ret, struct err_info *info)
{
    char path[OS_PATH_MAX], text[300] = "";
    struct buf file;
    buf_init(&file, sizeof text - 1);
    enum err e = house_path(house, "address", path, info);
    if (e == ERR_OK && os_file_read(path, &file, NULL) == ERR_OK)
        memcpy(text, file.data, file.size);
    buf_done(&file);
    text[strcspn(text, "\n")] = 0;
    if (e == ERR_OK)
        e = address_parse(text[0] ? text : house->settings.listen, ret, info);
    if (e == ERR_OK && ret->port == 0)
        e = err_set(info, ERR_OFFLINE,
                    "the port is not known before the server runs: start 'satcheld run' first");
    return e;
}

static enum err advertised(const struct house *house, const char *given, struct address *ret,
                           struct err_info *info)
{
    struct address other;
    enum err e = listening(house, ret, info);
    if (e != ERR_OK)
        return e;
    const char *host = given ? given : house->settings.host;
    if (host && *host) {
        if ((strchr(host, ':') && strchr(host, ':') == strrchr(host, ':')) || host[0] == '[') {
            e = address_parse(host, &other, info); /* with a port of its own: a gateway's */
            if (e == ERR_OK)
                *ret = other;
            return e;
        }
        (void)snprintf(ret->host, sizeof ret->host, "%s", host);
    } else if (!ret->host[0] || strcmp(ret->host, "0.0.0.0") == 0 || strcmp(ret->host, "::") == 0) {
        if (gethostname(ret->host, sizeof ret->host - 1) != 0 || !ret->host[0])
            return err_set(info, ERR_NOT_FOUND,
                           "this machine has no name; say with --host how devices reach it");
    }
    return ERR_OK;
}

static enum err make_ticket(const struct house *house, const struct address *address,
                            const char *code_hex, struct buf *out, struct err_info *info)
{
    uint8_t code[16], pin[32];
    enum err e = house_pin(house, pin, info);
    if (e == ERR_OK && text_parse_hex(bytes_of_text(code_hex ? code_hex : ""), code, 16) != ERR_OK)
        e = err_set(info, ERR_BUG, "the server's code could not be read");
    if (e != ERR_OK)
        return e;
    bool six = strchr(address->host, ':') != NULL;
    text_append_format(out, "satchel://%s%s%s:%u/", six ? "[" : "", address->host, six ? "]" : "",
                       (unsigned)address->port);
    text_append_code(out, bytes_of(code, sizeof code), 0);
    text_append(out, "?pin=");
    text_append_base64url(out, bytes_of(pin, sizeof pin));
    buf_append_byte(out, 0);
    return out->error == ERR_OK ? ERR_OK : err_set(info, out->error, "the ticket is too long");
}

static void print_ticket(const struct enroll *with, const char *login, const char *ticket,
                         int64_t expires_ms, const struct address *address)
{
    if (with->common.json) {
        json_t *answer = json_pack("{s:b,s:s,s:s,s:I,s:s,s:i}", "ok", 1, "ticket", ticket, "login",
                                   login, "expires_ms", (json_int_t)expires_ms, "host",
                                   address->host, "port", (int)address->port);
        print_json(answer);
        json_decref(answer);
        return;
    }
    char when[WHEN_SIZE];
    printf("A ticket for one device of %s, good once, until %s UTC:\n\n  %s\n\n", login,
           when_text(expires_ms, when), ticket);
    if (with->qr || os_term_is_tty(STDOUT_FILENO))
        qr_print(ticket);
    printf("On the device: satchel enroll '%s'\n", ticket);
}

static enum err enroll(struct house *house, const struct enroll *with, const char *login,
                       struct err_info *info)
{
    json_t *request = ask_for("enroll"), *answer = NULL;
    struct address address;
    struct buf ticket;
    buf_init(&ticket, 1024);
    ask_with(request, "login", login);
    ask_with(request, "name", with->name);
    json_object_set_new(request, "minutes", json_integer((json_int_t)with->minutes));
    enum err e = advertised(house, with->host, &address, info);
    if (e == ERR_OK)
        e = ask(house, request, true, &answer, NULL, info);
    else
        json_decref(request);
    if (e == ERR_OK)
        e = make_ticket(house, &address, json_string_value(json_object_get(answer, "code")),
                        &ticket, info);
    if (e == ERR_OK)
        print_ticket(with, login, (const char *)ticket.data,
                     json_integer_value(json_object_get(answer, "expires_ms")), &address);
    json_decref(answer);
    buf_done(&ticket);
    return e;
}

int command_enroll(int argc, char **argv)
{
    struct enroll with = {.minutes = 60};
    const char *login;
    const struct option options[] = {
        OPTIONS_COMMON(&with.common),
        {"minutes", OPTION_NUMBER, &with.minutes, "N", "how long the ticket is good (60)", 1,
         MINUTES_MAX},
        {"host", OPTION_TEXT, &with.host, "HOST[:PORT]", "how the device reaches this server", 0,
         0},
        {"name", OPTION_TEXT, &with.name, "NAME", "a name for the device", 0, 0},
        {"qr", OPTION_FLAG, &with.qr, NULL, "as a QR code too (always on a terminal)", 0, 0},
    };
    const struct usage usage = {"satcheld enroll",
                                "LOGIN",
                                "Makes a one-time ticket with which one device of the user joins.",
                                "  satcheld enroll anna --minutes 15\n"
                                "  satcheld enroll anna --host hq.acme.example --qr",
                                options,
                                sizeof options / sizeof *options,
                                1,
                                1};
    int code = options_parse(&usage, argc, argv, &login);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house;
    struct err_info info = {0};
    enum err e = house_init(&house, data_of(&with.common), &info);
    if (e == ERR_OK)
        e = enroll(&house, &with, login, &info);
    house_close(&house);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&with.common, e, &info);
}
