/* satcheld.conf, and addresses.
 * sources: server/main/settings.c server/main/options.c
 *
 * Input:   the text of the file.
 * Asserts: documented errors, each with the file and line; numbers are within their ranges, strings lie
 *          within the text that was read; an address that is taken has a host without brackets, and
 *          written out is taken as the same; what settings_write() writes of a name, address and host is
 *          read back as those; memory is bounded.
 * ctest: labels=asan */
#include "server/main/settings.h"
#include "tests/fuzz/fuzz.h"

/* A file of this content. */
static const char *file_of(struct bytes content)
{
    const char *path = fuzz_path("conf");
    FILE *file = fopen(path, "wb");
    fuzz_check(file && fwrite(content.data, 1, content.size, file) == content.size, "%s", path);
    fclose(file);
    return path;
}

static void check_address(const char *text)
{
    struct address address, again;
    struct err_info info = {0};
    char written[300];
    memset(&address, 0xa5, sizeof address);
    enum err e = address_parse(text, &address, &info);
    if (e != ERR_OK) {
        fuzz_err(e, ERR_INVALID);
        fuzz_check(info.message[0], "no message");
        return;
    }
    fuzz_check(memchr(address.host, 0, sizeof address.host), "a host without an end");
    bool six = strchr(address.host, ':') != NULL;
    if (strchr(address.host, ']') || strchr(address.host, '['))
        return; /* no address has these: connecting says so */
    snprintf(written, sizeof written, "%s%s%s:%u", six ? "[" : "",
             address.host[0] ? address.host : "*", six ? "]" : "", address.port);
    fuzz_ok(address_parse(written, &again, &info));
    fuzz_check(strcmp(address.host, again.host) == 0 && address.port == again.port,
               "'%s' is '%s' and %u, written %s", text, address.host, address.port, written);
}

static void check_settings(const struct settings *settings)
{
    const char *const texts[] = {settings->name,        settings->listen, settings->host,
                                 settings->certificate, settings->key,    settings->sync,
                                 settings->log};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t size = strlen(texts[i]);
        fuzz_check(size <= settings->text.size + 16, "a text of %zu bytes", size);
        fuzz_check(!strchr(texts[i], '\n'), "a line's end within a text");
    }
    fuzz_check(settings->connections >= 0 && settings->connections <= 1000000, "connections");
    fuzz_check(settings->per_address >= 0 && settings->per_address <= 1000000, "per-address");
    fuzz_check(settings->page_rows >= 0 && settings->page_rows <= 100000, "page-rows");
    fuzz_check(settings->page_kb >= 0 && settings->page_kb <= 1024, "page-kb");
    fuzz_check(settings->live_kb >= 0 && settings->live_kb <= 1 << 20, "live-kb");
    fuzz_check(settings->cache_mb >= 1 && settings->cache_mb <= 65536, "cache-mb");
    check_address(settings->listen);
    enum log_level level;
    struct err_info info = {0};
    if (log_level_parse(settings->log, &level, &info) == ERR_OK)
        fuzz_check(strcmp(log_level_name(level), settings->log) == 0, "%s", settings->log);
}

/* What people may give to `satcheld init`: one line each, no white space around. */
static bool writable(const char *text)
{
    size_t size = strlen(text);
    return !strpbrk(text, "\n\r") &&
           (size == 0 || (!strchr(" \t", text[0]) && !strchr(" \t", text[size - 1])));
}

static void write_and_read(const struct settings *settings, const char *path)
{
    struct settings again;
    struct err_info info = {0};
    const struct settings_given given = {settings->name, settings->listen, settings->host,
                                         settings->upstream};
    if (!writable(settings->name) || !writable(settings->host) || !writable(settings->upstream))
        return;
    if (settings_write(path, &given, &info) != ERR_OK)
        return; /* larger than a file may be */
    settings_init(&again);
    enum err e = settings_read(&again, path, &info);
    fuzz_check(e == ERR_OK || e == ERR_TOO_LARGE || e == ERR_LIMIT, "%s", info.message);
    if (e == ERR_OK)
        fuzz_check(strcmp(settings->name, again.name) == 0 &&
                       strcmp(settings->listen, again.listen) == 0 &&
                       strcmp(settings->host, again.host) == 0 &&
                       strcmp(settings->upstream, again.upstream) == 0,
                   "'%s' '%s' '%s' is read as '%s' '%s' '%s'", settings->name, settings->listen,
                   settings->host, again.name, again.listen, again.host);
    settings_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum err documented[] = {ERR_PARSE, ERR_INVALID, ERR_TOO_LARGE, ERR_LIMIT, ERR_OK};
    struct settings settings;
    struct err_info info = {0};
    const char *path = file_of(bytes_of(data, size));
    fuzz_begin(FUZZ_MEMORY_MAX);
    settings_init(&settings);
    enum err e = settings_read(&settings, path, &info);
    fuzz_one_of(e, "settings_read", documented);
    fuzz_check(e == ERR_OK || strstr(info.message, path), "%s: %s", err_name(e), info.message);
    if (e == ERR_OK) {
        check_settings(&settings);
        write_and_read(&settings, path);
    }
    settings_done(&settings);
    fuzz_end(0);
    return 0;
}
