#include "server/net/server_net_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PATH_MAX_SIZE = 64, HEADER_MAX_SIZE = 128, ANSWER_MAX_SIZE = 512 };

/* Answers, and -1: each answer ends its connection. headers: more of them, a line each, or "". */
static int answer_with(struct lws *wsi, const char *status, const char *headers, const char *type,
                       const char *body)
{
    char text[LWS_PRE + ANSWER_MAX_SIZE];
    int size = snprintf(text + LWS_PRE, ANSWER_MAX_SIZE,
                        "HTTP/1.1 %s\r\n%scontent-type: %s\r\ncontent-length: %zu\r\n"
                        "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
                        "connection: close\r\n\r\n%s",
                        status, headers, type, strlen(body), body);
    if (size > 0 && size < ANSWER_MAX_SIZE) {
        (void)lws_write(wsi, (unsigned char *)text + LWS_PRE, (size_t)size, LWS_WRITE_HTTP_HEADERS);
    }
    return -1;
}

static int answer(struct lws *wsi, const char *status, const char *type, const char *body)
{
    return answer_with(wsi, status, "", type, body);
}

/* "" when the method is not GET. */
static void get_path(struct lws *wsi, char path[PATH_MAX_SIZE])
{
    if (lws_hdr_copy(wsi, path, PATH_MAX_SIZE, WSI_TOKEN_GET_URI) <= 0) {
        path[0] = '\0';
    }
}

int http_answer(struct lws *wsi)
{
    char path[PATH_MAX_SIZE];
    get_path(wsi, path);
    if (strcmp(path, "/health") == 0) {
        return answer(wsi, "200 OK", "application/json", "{\"ok\":true}\n");
    }
    return answer(wsi, "404 Not Found", "text/plain; charset=utf-8",
                  "This is a Satchel server. There is nothing to see here.\n");
}

/* Whether a comma-separated header has this item. */
static bool header_has(struct lws *wsi, enum lws_token_indexes header, const char *item)
{
    char text[HEADER_MAX_SIZE];
    size_t item_size = strlen(item);
    if (lws_hdr_copy(wsi, text, (int)sizeof text, header) <= 0) {
        return false;
    }
    for (const char *at = text; *at != '\0';) {
        at += strspn(at, ", \t");
        size_t size = strcspn(at, ", \t");
        if (size == item_size && memcmp(at, item, size) == 0) {
            return true;
        }
        at += size;
    }
    return false;
}

static bool is_websocket(struct lws *wsi)
{
    char upgrade[sizeof "websocket"];
    return lws_hdr_copy(wsi, upgrade, (int)sizeof upgrade, WSI_TOKEN_UPGRADE) > 0 &&
           strcasecmp(upgrade, "websocket") == 0;
}

static bool is_http_1_1(struct lws *wsi)
{
    char version[sizeof "HTTP/1.1"];
    return lws_hdr_copy(wsi, version, (int)sizeof version, WSI_TOKEN_HTTP) > 0 &&
           strcmp(version, "HTTP/1.1") == 0;
}

/* 16 bytes in base64, of which the library looks at none. */
static bool has_key(struct lws *wsi)
{
    enum { KEY_SIZE = 24, PADDING = 2 };
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char key[KEY_SIZE + 2];
    return lws_hdr_copy(wsi, key, (int)sizeof key, WSI_TOKEN_KEY) == KEY_SIZE &&
           strspn(key, letters) == KEY_SIZE - PADDING &&
           strcmp(key + KEY_SIZE - PADDING, "==") == 0;
}

int http_check_upgrade(struct lws *wsi)
{
    /* Only what the library's look-up gives: for an upgrade that it does not know, 4.1.6 calls with
     * a pointer into headers that it has freed already. */
    char path[PATH_MAX_SIZE];
    get_path(wsi, path);
    if (!is_http_1_1(wsi) || !is_websocket(wsi)) {
        return answer(wsi, "400 Bad Request", "text/plain; charset=utf-8",
                      "The only upgrade here is to a WebSocket.\n");
    }
    if (strcmp(path, NET_PATH) != 0) {
        return http_answer(wsi);
    }
    if (!header_has(wsi, WSI_TOKEN_PROTOCOL, NET_SUBPROTOCOL)) {
        return answer(wsi, "400 Bad Request", "text/plain; charset=utf-8",
                      "The WebSocket subprotocol must be " NET_SUBPROTOCOL ".\n");
    }
    if (!header_has(wsi, WSI_TOKEN_VERSION, "13")) {
        return answer_with(wsi, "426 Upgrade Required",
                           "upgrade: websocket\r\nsec-websocket-version: 13\r\n",
                           "text/plain; charset=utf-8", "The WebSocket version must be 13.\n");
    }
    if (!has_key(wsi)) {
        return answer(wsi, "400 Bad Request", "text/plain; charset=utf-8",
                      "The key of a WebSocket is 16 bytes in base64.\n");
    }
    return 0;
}
