/* errors.c - what went wrong, told once: on stderr for people, on stdout as JSON for programs. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "term.h"

int cli_exit_of(enum satchel_code code)
{
    switch (code) {
    case SATCHEL_OK: return EXIT_DONE;
    case SATCHEL_E_NOT_FOUND: return EXIT_NOT_FOUND;
    case SATCHEL_E_INVALID:
    case SATCHEL_E_MODEL:
    case SATCHEL_E_TYPE:
    case SATCHEL_E_LIMIT:
    case SATCHEL_E_TOO_LARGE:
    case SATCHEL_E_MALFORMED:
    case SATCHEL_E_PARSE: return EXIT_USAGE;
    case SATCHEL_E_EXISTS:
    case SATCHEL_E_FORBIDDEN:
    case SATCHEL_E_CONFLICT: return EXIT_REFUSED;
    case SATCHEL_E_PROTOCOL:
    case SATCHEL_E_LINK:
    case SATCHEL_E_TIMEOUT:
    case SATCHEL_E_CLOSED:
    case SATCHEL_E_OFFLINE:
    case SATCHEL_E_INTERRUPTED: return EXIT_NETWORK;
    case SATCHEL_E_AUTH:
    case SATCHEL_E_REVOKED:
    case SATCHEL_E_PIN:
    case SATCHEL_E_ENROLMENT: return EXIT_AUTH;
    case SATCHEL_E_NOMEM:
    case SATCHEL_E_BUSY:
    case SATCHEL_E_FULL:
    case SATCHEL_E_IO:
    case SATCHEL_E_CORRUPT:
    case SATCHEL_E_VERSION:
    case SATCHEL_E_CRYPTO:
    case SATCHEL_E_BUG: return EXIT_STORAGE;
    }
    return EXIT_STORAGE;
}

/* What to do next, where the message of the library cannot know it. */
static const char *advice(enum satchel_code code)
{
    switch ((int)code) {
    case SATCHEL_E_BUSY: return "end the other program, or use another --dir";
    case SATCHEL_E_FULL: return "make room on the disk and try again; nothing of this was written";
    case SATCHEL_E_LINK:
    case SATCHEL_E_TIMEOUT:
    case SATCHEL_E_OFFLINE:
        return "everything is safe on this device; run 'satchel sync' again when there is a "
               "network";
    case SATCHEL_E_REVOKED:
        return "ask headquarters for a new ticket, then 'satchel enroll TICKET'";
    case SATCHEL_E_ENROLMENT: return "ask headquarters for a new ticket: each works once";
    case SATCHEL_E_PIN:
        return "this is not the server that the device was enrolled at: do not go on, ask "
               "headquarters";
    default: return NULL;
    }
}

static int tell(struct cli *cli, const char *name, int exit_code, const char *message,
                const char *next)
{
    fflush(stdout);
    if (cli->json) {
        json_t *error = json_pack("{s:{s:s, s:o, s:i}}", "error", "code", name, "message",
                                  cli_json_text(message), "exit", exit_code);
        if (error && next)
            json_object_set_new(json_object_get(error, "error"), "next", json_string(next));
        cli_print_json(error);
    } else {
        bool color = cli->color && term_width(STDERR_FILENO) > 0;
        fprintf(stderr, "%ssatchel:%s %s\n", color ? "\033[31m" : "", color ? "\033[0m" : "",
                message);
        if (next)
            fprintf(stderr, "         %s\n", next);
    }
    return exit_code;
}

int cli_fail(struct cli *cli, enum satchel_code code, const char *message)
{
    const char *text = message && message[0] ? message : satchel_error_text(code);
    return tell(cli, satchel_error_name(code), cli_exit_of(code), text, advice(code));
}

int cli_fail_exchange(struct cli *cli, enum satchel_code code, const char *message)
{
    if (code != SATCHEL_E_MALFORMED && code != SATCHEL_E_TOO_LARGE && code != SATCHEL_E_LIMIT)
        return cli_fail(cli, code, message);
    char text[600];
    snprintf(text, sizeof text, "the exchange with the server failed: %s",
             message && message[0] ? message : satchel_error_text(code));
    return tell(cli, satchel_error_name(code), EXIT_NETWORK, text, advice(SATCHEL_E_LINK));
}

int cli_failed(struct cli *cli)
{
    const struct satchel_error *error = satchel_last_error(cli->handle);
    return cli_fail(cli, error->code, error->message);
}

int cli_failf(struct cli *cli, int exit_code, const char *format, ...)
{
    static const char *const names[] = {"DONE",    "NOT_FOUND", "USAGE", "REFUSED",
                                        "NETWORK", "STORAGE",   "AUTH"};
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return tell(cli, names[exit_code], exit_code, message, NULL);
}

void cli_say(struct cli *cli, const char *format, ...)
{
    if (cli->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

_Noreturn void cli_out_of_memory(void)
{
    static const char message[] = "satchel: out of memory\n";
    if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
        _exit(EXIT_STORAGE);
    _exit(EXIT_STORAGE);
}

const char *cli_style(const struct cli *cli, enum style style)
{
    static const char *const codes[] = {"",         "\033[1m",  "\033[2m",
                                        "\033[31m", "\033[32m", "\033[33m"};
    return cli->color ? codes[style] : "";
}

const char *cli_plain(const struct cli *cli)
{
    return cli->color ? "\033[0m" : "";
}
