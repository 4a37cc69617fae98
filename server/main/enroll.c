/* satcheld enroll - a one-time ticket for a device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os/os_term.h"
#include "server/main/command.h"
#include "server/main/qr.h"
#include "server/main/ticket.h"

struct enroll {
    struct common_options common;
    int64_t minutes;
    const char *host, *name;
    bool qr;
};

static void print_ticket(const struct enroll *with, const char *login, const struct ticket *ticket)
{
    if (with->common.json) {
        json_t *answer = json_pack("{s:b,s:s,s:s,s:I,s:s,s:i}", "ok", 1, "ticket", ticket->text,
                                   "login", login, "expires_ms", (json_int_t)ticket->expires_ms,
                                   "host", ticket->address.host, "port", (int)ticket->address.port);
        print_json(answer);
        json_decref(answer);
        return;
    }
    char when[WHEN_SIZE];
    printf("A ticket for one device of %s, good once, until %s UTC:\n\n  %s\n\n", login,
           when_text(ticket->expires_ms, when), ticket->text);
    if (with->qr || os_term_is_tty(STDOUT_FILENO))
        qr_print(ticket->text);
    printf("On the device: satchel enroll '%s'\n", ticket->text);
}

int command_enroll(int argc, char **argv)
{
    struct enroll with = {.minutes = 60};
    const char *login;
    const struct option options[] = {
        OPTIONS_COMMON(&with.common),
        {"minutes", OPTION_NUMBER, &with.minutes, "N", "how long the ticket is good (60)", 1,
         TICKET_MINUTES_MAX},
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
    struct ticket ticket = {0};
    enum err e = house_init(&house, data_of(&with.common), &info);
    if (e == ERR_OK)
        e = ticket_make(&house, login, with.name, with.minutes, with.host, &ticket, &info);
    if (e == ERR_OK)
        print_ticket(&with, login, &ticket);
    free(ticket.text);
    house_close(&house);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&with.common, e, &info);
}
