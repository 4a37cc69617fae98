#include "server/main/settings.h"

#include <stdio.h>
#include <string.h>

#include "common/os/os_file.h"
#include "common/text.h"

enum { FILE_MAX = 64 << 10 };

void settings_init(struct settings *settings)
{
    *settings = (struct settings){.name = "",
                                  .listen = "*:7443",
                                  .host = "",
                                  .upstream = "",
                                  .upstream_pin = "",
                                  .certificate = "tls.crt",
                                  .key = "tls.key",
                                  .sync = "full",
                                  .log = "info",
                                  .cache_mb = 64,
                                  .horizon_days = 90,
                                  .lease_days = 30,
                                  .archive_days = 180};
    buf_init(&settings->text, FILE_MAX);
}

void settings_done(struct settings *settings)
{
    buf_done(&settings->text);
}

size_t settings_options(struct settings *s, struct option *out)
{
    const struct option options[] = {
        {"name", OPTION_TEXT, &s->name, "COMPANY", "what people call this server", 0, 0},
        {"listen", OPTION_TEXT, &s->listen, "ADDR:PORT",
         "where to listen; *:7443 is every address, port 0 lets the system choose", 0, 0},
        {"host", OPTION_TEXT, &s->host, "HOST",
         "the host name or address that tickets name (else the one listened on)", 0, 0},
        {"upstream", OPTION_TEXT, &s->upstream, "HOST:PORT",
         "a branch's: the server above it, headquarters or another branch", 0, 0},
        {"upstream-pin", OPTION_TEXT, &s->upstream_pin, "PIN",
         "its pin, if it is not the one of the branch's ticket", 0, 0},
        {"certificate", OPTION_TEXT, &s->certificate, "FILE", "TLS certificate, PEM (tls.crt)", 0,
         0},
        {"key", OPTION_TEXT, &s->key, "FILE", "its private key, PEM (tls.key)", 0, 0},
        {"sync", OPTION_TEXT, &s->sync, "full|normal",
         "full: a commit survives power loss; normal: it survives a crash", 0, 0},
        {"log", OPTION_TEXT, &s->log, "LEVEL", "error, warning, info or debug, on stderr", 0, 0},
        {"connections", OPTION_NUMBER, &s->connections, "N", "at most so many (0: 10500)", 0,
         1000000},
        {"per-address", OPTION_NUMBER, &s->per_address, "N", "and from one address (0: 256)", 0,
         1000000},
        {"page-rows", OPTION_NUMBER, &s->page_rows, "N", "records per page of a catch-up (0: 1000)",
         0, 100000},
        {"page-kb", OPTION_NUMBER, &s->page_kb, "N", "and KiB (0: 256)", 0, 1024},
        {"live-kb", OPTION_NUMBER, &s->live_kb, "N",
         "KiB queued for a slow device before it catches up from the log instead (0: 1024)", 0,
         1 << 20},
        {"attachment-mb", OPTION_NUMBER, &s->attachment_mb, "N",
         "MiB that one attachment may have (0: 32); headquarters' counts", 0, 1024},
        {"cache-mb", OPTION_NUMBER, &s->cache_mb, "N", "MiB of the database held in memory (64)", 1,
         65536},
        {"horizon-days", OPTION_NUMBER, &s->horizon_days, "N",
         "deleted records, settled conflicts and waiting changes are kept so long (90; 0: for "
         "good)",
         0, 36500},
        {"lease-days", OPTION_NUMBER, &s->lease_days, "N",
         "a device that was here so lately holds back what it has not received yet (30)", 1, 36500},
        {"archive-days", OPTION_NUMBER, &s->archive_days, "N",
         "devices and branches keep what they sent so long without a backup (180; 0: for good)", 0,
         36500},
    };
    _Static_assert(sizeof options / sizeof *options <= SETTINGS_MAX, "room for the settings");
    memcpy(out, options, sizeof options);
    return sizeof options / sizeof *options;
}

static char *trimmed(char *text)
{
    text += strspn(text, " \t\r");
    size_t size = strlen(text);
    while (size > 0 && strchr(" \t\r", text[size - 1]))
        size--;
    text[size] = 0;
    return text;
}

static enum err read_line(const struct option *options, size_t count, char *line, const char *path,
                          int number, struct err_info *info)
{
    char *text = trimmed(line);
    if (*text == 0 || *text == '#')
        return ERR_OK;
    char *equals = strchr(text, '=');
    if (!equals)
        return err_set(info, ERR_PARSE, "%s:%d: a line is 'name = value', or a comment after '#'",
                       path, number);
    *equals = 0;
    const char *name = trimmed(text), *value = trimmed(equals + 1);
    const struct option *option = option_find(options, count, name);
    if (!option) {
        const char *names[SETTINGS_MAX + 1] = {NULL};
        for (size_t i = 0; i < count; i++)
            names[i] = options[i].name;
        const char *close = nearest(name, names);
        return err_set(info, ERR_INVALID, "%s:%d: there is no setting '%s'%s%s%s", path, number,
                       name, close ? "; did you mean '" : "", close ? close : "",
                       close ? "'?" : "");
    }
    char problem[200];
    const char *wrong = option_set(option, value, problem, sizeof problem);
    return wrong ? err_set(info, ERR_INVALID, "%s:%d: %s %s", path, number, name, wrong) : ERR_OK;
}

enum err settings_read(struct settings *settings, const char *path, struct err_info *info)
{
    buf_reset(&settings->text);
    enum err e = os_file_read(path, &settings->text, info);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK && buf_append_byte(&settings->text, 0) != ERR_OK)
        e = err_set(info, settings->text.error, "%s: larger than 64 KiB", path);
    if (e != ERR_OK)
        return e;
    struct option options[SETTINGS_MAX];
    size_t count = settings_options(settings, options);
    char *line = (char *)settings->text.data;
    for (int number = 1; e == ERR_OK && line; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        e = read_line(options, count, line, path, number, info);
        line = end ? end + 1 : NULL;
    }
    return e;
}

enum err settings_write(const char *path, const struct settings_given *with, struct err_info *info)
{
    struct settings settings;
    struct option options[SETTINGS_MAX];
    struct buf text;
    settings_init(&settings);
    buf_init(&text, FILE_MAX);
    size_t count = settings_options(&settings, options);
    text_append(&text, "# satcheld.conf - read by 'satcheld run'; each line is also a flag of it.\n"
                       "# Take the '#' away to set one.\n\n");
    const struct {
        const char *name, *value;
    } given[] = {{"name", with->name},
                 {"listen", with->listen},
                 {"host", with->host},
                 {"upstream", with->upstream}};
    for (size_t i = 0; i < count; i++) {
        const char *value = NULL;
        for (size_t j = 0; j < sizeof given / sizeof *given; j++)
            if (strcmp(given[j].name, options[i].name) == 0)
                value = given[j].value;
        text_append_format(&text, "# %s\n%s%s = ", options[i].help, value ? "" : "#",
                           options[i].name);
        if (options[i].kind == OPTION_NUMBER)
            text_append_format(&text, "%lld\n", (long long)*(int64_t *)options[i].target);
        else
            text_append_format(&text, "%s\n", value ? value : *(const char **)options[i].target);
    }
    enum err e = text.error == ERR_OK ? os_file_write(path, buf_view(&text), 0600, info)
                                      : err_set(info, text.error, "%s: cannot be made", path);
    buf_done(&text);
    settings_done(&settings);
    return e;
}

enum err address_parse(const char *text, struct address *ret, struct err_info *info)
{
    struct address address = {.port = PORT_DEFAULT};
    const char *colon = strrchr(text, ':'), *host = text, *port = NULL;
    size_t size = strlen(text);
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (!end || (end[1] != 0 && end[1] != ':'))
            goto wrong;
        host = text + 1;
        size = (size_t)(end - host);
        port = end[1] ? end + 2 : NULL;
    } else if (colon && strchr(text, ':') == colon) {
        size = (size_t)(colon - text);
        port = colon + 1;
    } else if (!colon && strspn(text, "0123456789") == size) {
        port = text;
        size = 0;
    }
    int64_t number = PORT_DEFAULT;
    if (port &&
        (text_parse_int64(bytes_of_text(port), &number) != ERR_OK || number < 0 || number > 65535))
        goto wrong;
    if (size >= sizeof address.host)
        goto wrong;
    memcpy(address.host, host, size);
    if (strcmp(address.host, "*") == 0)
        address.host[0] = 0;
    address.port = (uint16_t)number;
    *ret = address;
    return ERR_OK;
wrong:
    return err_set(info, ERR_INVALID,
                   "'%s' is not an address: say 127.0.0.1:7443, [::1]:7443 or *:7443", text);
}

enum err log_level_parse(const char *text, enum log_level *ret, struct err_info *info)
{
    for (enum log_level level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
        if (strcmp(log_level_name(level), text) == 0) {
            *ret = level;
            return ERR_OK;
        }
    return err_set(info, ERR_INVALID, "'%s' is not a log level: error, warning, info or debug",
                   text);
}
