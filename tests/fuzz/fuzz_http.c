/* plain HTTP requests to the server's port, as far as our code sees them.
 * sources: server/net/http.c
 *
 * Requests are read by libwebsockets; ours are http_answer() and http_check_upgrade(), which look up
 * the path and some headers. The library's look-up and writing are replaced here.
 * Input:   GET path, Upgrade, Sec-WebSocket-Protocol, Sec-WebSocket-Version, the version of HTTP and
 *          Sec-WebSocket-Key: a line each; a line "-"
 *          is a header that is not there.
 * Asserts: every refusal is one whole answer of HTTP with the right content-length, and ends the
 *          connection; only the one path is 200; an upgrade is let through exactly if it is a WebSocket
 *          to our path with our subprotocol, version 13 and a key, by a second reading of the same headers.
 * ctest: labels=asan */
#include "server/net/server_net_internal.h"
#include "tests/fuzz/fuzz.h"

#include <strings.h>

enum { GET, UPGRADE, PROTOCOL, VERSION, HTTP, KEY, HEADERS };

static struct bytes headers[HEADERS]; /* data NULL: not there */
static char written[1024];
static size_t written_size;
static unsigned writes;

/* --- in the library's place ------------------------------------------------------------------- */

static const struct bytes *header_of(enum lws_token_indexes header)
{
    switch ((int)header) {
    case WSI_TOKEN_GET_URI: return &headers[GET];
    case WSI_TOKEN_UPGRADE: return &headers[UPGRADE];
    case WSI_TOKEN_PROTOCOL: return &headers[PROTOCOL];
    case WSI_TOKEN_VERSION: return &headers[VERSION];
    case WSI_TOKEN_HTTP: return &headers[HTTP];
    case WSI_TOKEN_KEY: return &headers[KEY];
    default: fuzz_check(false, "header %d", (int)header); return NULL;
    }
}

/* As documented: copied and terminated, -1 if it does not fit, 0 if it is not there. */
int lws_hdr_copy(struct lws *wsi, char *out, int size, enum lws_token_indexes header)
{
    const struct bytes *value = header_of(header);
    (void)wsi;
    if (!value->data)
        return 0;
    if (value->size >= (size_t)size)
        return -1;
    memcpy(out, value->data, value->size);
    out[value->size] = 0;
    return (int)value->size;
}

int lws_write(struct lws *wsi, unsigned char *data, size_t size, enum lws_write_protocol protocol)
{
    (void)wsi;
    fuzz_check(protocol == LWS_WRITE_HTTP_HEADERS && size < sizeof written, "%zu bytes", size);
    memcpy(written, data, size);
    written[size] = 0;
    written_size = size;
    writes++;
    return (int)size;
}

/* --- a second reading ------------------------------------------------------------------------- */

static bool is(struct bytes value, const char *text)
{
    return value.data && bytes_equal(value, bytes_of_text(text));
}

static bool listed(struct bytes list, const char *item)
{
    size_t start = 0;
    for (size_t i = 0; list.data && i <= list.size; i++) {
        if (i < list.size && list.data[i] != ',' && list.data[i] != ' ' && list.data[i] != '\t')
            continue;
        if (bytes_equal(bytes_of(list.data + start, i - start), bytes_of_text(item)))
            return true;
        start = i + 1;
    }
    return false;
}

static bool is_key(struct bytes key)
{
    for (size_t i = 0; i < 22 && key.size == 24; i++) {
        unsigned char c = key.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '+' || c == '/'))
            return false;
    }
    return key.size == 24 && key.data[22] == '=' && key.data[23] == '=';
}

static bool welcome(void)
{
    return is(headers[HTTP], "HTTP/1.1") && is_key(headers[KEY]) && is(headers[GET], NET_PATH) &&
           headers[UPGRADE].data && headers[UPGRADE].size == 9 &&
           strncasecmp((const char *)headers[UPGRADE].data, "websocket", 9) == 0 &&
           headers[PROTOCOL].size < 128 && listed(headers[PROTOCOL], NET_SUBPROTOCOL) &&
           headers[VERSION].size < 128 && listed(headers[VERSION], "13");
}

/* One whole answer; its status. */
static unsigned status(int result)
{
    unsigned code;
    size_t length;
    fuzz_check(result == -1 && writes == 1, "%d after %u answers", result, writes);
    fuzz_check(sscanf(written, "HTTP/1.1 %3u ", &code) == 1, "%s", written);
    const char *body = strstr(written, "\r\n\r\n"), *at = strstr(written, "content-length: ");
    fuzz_check(body && at && at < body && sscanf(at, "content-length: %zu\r\n", &length) == 1, "%s",
               written);
    fuzz_check(strlen(body + 4) == length && body + 4 + length == written + written_size, "%s",
               written);
    fuzz_check(strstr(written, "connection: close\r\n"), "%s", written);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input_of(data, size);
    fuzz_begin(FUZZ_MEMORY_MAX);
    for (int i = 0; i < HEADERS; i++) {
        size_t left = in.size - in.at;
        const uint8_t *end = left ? memchr(in.data + in.at, '\n', left) : NULL;
        struct bytes line = fuzz_take(&in, end ? (size_t)(end - in.data) - in.at : left);
        (void)fuzz_u8(&in);
        if (memchr(line.data, 0, line.size)) /* the library refuses it */
            line.size = 0;
        headers[i] = line.size == 0 || is(line, "-") ? bytes_of(NULL, 0) : line;
    }
    writes = 0;
    unsigned code = status(http_answer(NULL));
    fuzz_check(code == (is(headers[GET], "/health") ? 200u : 404u), "%u", code);
    writes = 0;
    int upgraded = http_check_upgrade(NULL);
    fuzz_check((upgraded == 0) == welcome(), "%d, where it should be%s let through", upgraded,
               welcome() ? "" : " not");
    if (upgraded == 0) {
        fuzz_check(writes == 0, "an answer as well");
    } else {
        code = status(upgraded);
        fuzz_check(code == 400 || code == 404 || code == 426 ||
                       (code == 200 && is(headers[GET], "/health")),
                   "%u", code);
    }
    fuzz_end(0);
    return 0;
}
