#include "server/main/ticket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/api/identity.h"
#include "common/text.h"

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

enum err ticket_address(const struct house *house, const char *given, struct address *ret,
                        struct err_info *info)
{
    const char *host = given ? given : house->settings.host;
    if ((strchr(host, ':') && strchr(host, ':') == strrchr(host, ':')) || host[0] == '[')
        return address_parse(host, ret, info); /* with a port of its own: a gateway's */
    enum err e = listening(house, ret, info);
    if (e != ERR_OK)
        return e;
    if (*host) {
        (void)snprintf(ret->host, sizeof ret->host, "%s", host);
    } else if (!ret->host[0] || strcmp(ret->host, "0.0.0.0") == 0 || strcmp(ret->host, "::") == 0) {
        if (gethostname(ret->host, sizeof ret->host - 1) != 0 || !ret->host[0])
            return err_set(info, ERR_NOT_FOUND,
                           "this machine has no name; say with --host how devices reach it");
    }
    return ERR_OK;
}

static enum err write_ticket(const struct house *house, const struct address *address,
                             const char *code_hex, struct buf *out, struct err_info *info)
{
    uint8_t code[16], pin[32];
    enum err e = house_pin(house, pin, info);
    if (e == ERR_OK && text_parse_hex(bytes_of_text(code_hex ? code_hex : ""), code, 16) != ERR_OK)
        e = err_set(info, ERR_BUG, "the server's code could not be read");
    if (e != ERR_OK)
        return e;
    char place[PLACE_TEXT_SIZE];
    place_text(address->host, address->port, place);
    text_append_format(out, "satchel://%s/", place);
    text_append_code(out, bytes_of(code, sizeof code), 0);
    text_append(out, "?pin=");
    text_append_base64url(out, bytes_of(pin, sizeof pin));
    buf_append_byte(out, 0);
    return out->error == ERR_OK ? ERR_OK : err_set(info, out->error, "the ticket is too long");
}

enum err ticket_make(struct house *house, const char *login, const char *name, int64_t minutes,
                     const char *host, struct ticket *ret, struct err_info *info)
{
    json_t *request = ask_for("enroll"), *answer = NULL;
    struct buf text;
    buf_init(&text, 1024);
    ask_with(request, "login", login);
    ask_with(request, "name", name);
    json_object_set_new(request, "minutes", json_integer((json_int_t)minutes));
    enum err e = ask_is_possible(house, request, info);
    if (e == ERR_OK)
        e = ticket_address(house, host, &ret->address, info);
    if (e == ERR_OK)
        e = ask(house, request, true, &answer, NULL, info);
    else
        json_decref(request);
    if (e == ERR_OK)
        e = write_ticket(house, &ret->address, json_string_value(json_object_get(answer, "code")),
                         &text, info);
    ret->expires_ms = json_integer_value(json_object_get(answer, "expires_ms"));
    ret->text = e == ERR_OK ? strdup((const char *)text.data) : NULL;
    if (e == ERR_OK && !ret->text)
        e = err_set(info, ERR_NOMEM, "out of memory");
    json_decref(answer);
    buf_done(&text);
    return e;
}
