/* settings.h - how a server runs: satcheld.conf in the data directory, and the same names as flags.
 *
 * Model:      `name = value` lines, `#` starts a comment; a flag wins over the file, the file over the
 *             default. Paths that do not start with '/' are within the data directory.
 * Limits:     a file of 64 KiB. */
#ifndef SERVER_MAIN_SETTINGS_H
#define SERVER_MAIN_SETTINGS_H

#include "common/buf.h"
#include "common/log.h"
#include "server/main/options.h"

enum { SETTINGS_MAX = 24, PORT_DEFAULT = 7443 };

struct settings {
    const char *name, *listen, *host, *upstream, *upstream_pin, *certificate, *key, *sync, *log;
    int64_t connections, per_address, page_rows, page_kb, live_kb, cache_mb, attachment_mb;
    int64_t horizon_days, lease_days, archive_days;
    struct buf text; /* of the file; the strings above may point into it */
};

/* Defaults. */
void settings_init(struct settings *settings);
void settings_done(struct settings *settings);
/* The options that set them; returns their number (<= SETTINGS_MAX). */
size_t settings_options(struct settings *settings, struct option *out);
/* Reads the file, which may be missing. ERR_PARSE, ERR_INVALID with the line; os_file.h's errors. */
enum err settings_read(struct settings *settings, const char *path, struct err_info *info);
struct settings_given { /* NULL: not set */
    const char *name, *listen, *host, *upstream;
};
/* A file with all settings, their defaults and what they mean. */
enum err settings_write(const char *path, const struct settings_given *given,
                        struct err_info *info);

struct address {
    char host[256]; /* "" : all */
    uint16_t port;
};
/* "ADDR:PORT", "[IPv6]:PORT", "*:PORT", "PORT" or "ADDR". ERR_INVALID. */
enum err address_parse(const char *text, struct address *ret, struct err_info *info);
enum err log_level_parse(const char *text, enum log_level *ret, struct err_info *info);

#endif
