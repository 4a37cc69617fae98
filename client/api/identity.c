#include "client/api/identity.h"

#include "common/crypto.h"
#include "common/os/os_file.h"
#include "common/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { IDENTITY_FILE_MAX = 16384, IDENTITY_VERSION = 1 };

static const char scheme[] = "satchel://";

/* ---- tickets ---- */

static enum err bad_ticket(struct err_info *info, const char *what)
{
    return err_set(info, ERR_PARSE,
                   "the ticket %s; a ticket looks like satchel://HOST:PORT/CODE?pin=PIN. Copy it"
                   " whole, in quotes",
                   what);
}

/* The 32 bytes of base64url. */
static bool parse_key(struct bytes text, uint8_t out[32])
{
    struct buf key;
    buf_init(&key, 64);
    bool good = text_parse_base64url(text, &key) == ERR_OK && key.size == 32;
    if (good)
        memcpy(out, key.data, 32);
    buf_done(&key);
    return good;
}

bool place_parse(struct bytes place, struct identity_place *ret)
{
    size_t colon = place.size;
    int64_t port;
    while (colon > 0 && place.data[colon - 1] != ':')
        colon--;
    if (colon < 2)
        return false;
    if (text_parse_int64(bytes_of(place.data + colon, place.size - colon), &port) != ERR_OK ||
        port < 1 || port > UINT16_MAX)
        return false;
    struct bytes host = bytes_of(place.data, colon - 1);
    if (host.data[0] == '[') {
        if (host.size < 3 || host.data[host.size - 1] != ']')
            return false;
        host = bytes_of(host.data + 1, host.size - 2);
    }
    if (host.size == 0 || host.size >= sizeof ret->host)
        return false;
    memcpy(ret->host, host.data, host.size);
    ret->host[host.size] = '\0';
    ret->port = (uint16_t)port;
    return true;
}

enum err ticket_parse(const char *text, struct satchel_ticket *ret, struct err_info *info)
{
    struct satchel_ticket ticket;
    struct identity_place server;
    memset(&ticket, 0, sizeof ticket);
    text += strspn(text, " \t\r\n");
    size_t size = strcspn(text, " \t\r\n");
    if (strncmp(text, scheme, sizeof scheme - 1) != 0)
        return bad_ticket(info, "does not begin with satchel://");
    const char *place = text + sizeof scheme - 1, *end = text + size;
    const char *slash = memchr(place, '/', (size_t)(end - place));
    if (slash == NULL || !place_parse(bytes_of(place, (size_t)(slash - place)), &server))
        return bad_ticket(info, "has no valid address (HOST:PORT)");
    memcpy(ticket.host, server.host, sizeof ticket.host);
    ticket.port = server.port;
    const char *code = slash + 1, *question = memchr(code, '?', (size_t)(end - code));
    if (question == NULL)
        return bad_ticket(info, "has no pin; perhaps the end is missing, or the shell took the ?");
    if (text_parse_code(bytes_of(code, (size_t)(question - code)), ticket.code, 16) != ERR_OK)
        return bad_ticket(info, "has no valid code");
    static const char name[] = "pin=";
    const char *pin = question + 1;
    if ((size_t)(end - pin) < sizeof name || strncmp(pin, name, sizeof name - 1) != 0)
        return bad_ticket(info, "has no pin");
    pin += sizeof name - 1;
    const char *more = memchr(pin, '&', (size_t)(end - pin)); /* room for later parameters */
    if (!parse_key(bytes_of(pin, (size_t)((more != NULL ? more : end) - pin)), ticket.pin))
        return bad_ticket(info, "has no valid pin");
    *ret = ticket;
    crypto_wipe(&ticket, sizeof ticket);
    return ERR_OK;
}

/* ---- the file ---- */

static const char *text_member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static bool copy_text(const json_t *object, const char *name, char *out, size_t size)
{
    const char *text = text_member(object, name);
    if (strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool read_place(const json_t *server, struct identity_place *place)
{
    json_int_t port = json_integer_value(json_object_get(server, "port"));
    place->port = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX &&
           parse_key(bytes_of_text(text_member(server, "pin")), place->pin) &&
           copy_text(server, "host", place->host, sizeof place->host) && place->host[0] != '\0';
}

static bool read_members(const json_t *object, struct identity *identity)
{
    struct identity_place place = {.port = 0};
    const json_t *home = json_object_get(object, "headquarters");
    const json_t *server = json_object_get(object, "server");
    identity->enrolled_ms = json_integer_value(json_object_get(object, "enrolled_at"));
    if (!read_place(server, &place) || !read_place(home ? home : server, &identity->home))
        return false;
    identity_use(identity, &place);
    return json_integer_value(json_object_get(object, "version")) == IDENTITY_VERSION &&
           uuid_parse(bytes_of_text(text_member(object, "device")), &identity->device) == ERR_OK &&
           uuid_parse(bytes_of_text(text_member(object, "user")), &identity->user) == ERR_OK &&
           uuid_parse(bytes_of_text(text_member(object, "history")), &identity->history) ==
               ERR_OK &&
           parse_key(bytes_of_text(text_member(object, "seed")), identity->seed) &&
           copy_text(object, "login", identity->login, sizeof identity->login) &&
           copy_text(object, "name", identity->name, sizeof identity->name);
}

enum err identity_load(const char *path, struct identity *ret, struct err_info *info)
{
    struct buf text;
    struct identity identity = {0};
    buf_init(&text, IDENTITY_FILE_MAX);
    enum err e = os_file_read(path, &text, info);
    if (e == ERR_OK) {
        json_t *object = json_loadb((const char *)text.data, text.size, 0, NULL);
        if (read_members(object, &identity))
            *ret = identity;
        else
            e = err_set(info, ERR_MALFORMED,
                        "'%s' is damaged: restore it, or erase the directory and enrol again",
                        path);
        json_decref(object);
    }
    crypto_wipe(text.data, text.size);
    crypto_wipe(&identity, sizeof identity);
    buf_done(&text);
    return e;
}

static void member(struct buf *out, const char *name, const char *text)
{
    (void)text_append_format(out, "  \"%s\": ", name);
    (void)text_append_json(out, bytes_of_text(text));
    (void)text_append(out, ",\n");
}

static void id_member(struct buf *out, const char *name, const struct uuid *id)
{
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    member(out, name, text);
}

static void place_member(struct buf *out, const char *name, const char *host, uint16_t port,
                         const uint8_t pin[32])
{
    (void)text_append_format(out, "  \"%s\": {\"host\": ", name);
    (void)text_append_json(out, bytes_of_text(host));
    (void)text_append_format(out, ", \"port\": %u, \"pin\": \"", (unsigned)port);
    (void)text_append_base64url(out, bytes_of(pin, 32));
    (void)text_append(out, "\"},\n");
}

bool place_equal(const struct identity_place *a, const struct identity_place *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port &&
           memcmp(a->pin, b->pin, sizeof a->pin) == 0;
}

struct identity_place identity_place(const struct identity *identity)
{
    struct identity_place place = {.port = identity->port};
    memcpy(place.host, identity->host, sizeof place.host);
    memcpy(place.pin, identity->pin, sizeof place.pin);
    return place;
}

bool identity_is_home(const struct identity *identity)
{
    const struct identity_place place = identity_place(identity);
    return place_equal(&place, &identity->home);
}

void place_text(const char *host, uint16_t port, char out[PLACE_TEXT_SIZE])
{
    (void)snprintf(out, PLACE_TEXT_SIZE, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
                   (unsigned)port);
}

void identity_use(struct identity *identity, const struct identity_place *place)
{
    memcpy(identity->host, place->host, sizeof identity->host);
    memcpy(identity->pin, place->pin, sizeof identity->pin);
    identity->port = place->port;
}

enum err identity_save(const char *path, const struct identity *identity, struct err_info *info)
{
    struct buf out;
    buf_init(&out, IDENTITY_FILE_MAX);
    (void)text_append_format(&out, "{\n  \"version\": %d,\n", IDENTITY_VERSION);
    id_member(&out, "device", &identity->device);
    id_member(&out, "user", &identity->user);
    id_member(&out, "history", &identity->history);
    member(&out, "login", identity->login);
    member(&out, "name", identity->name);
    (void)text_append(&out, "  \"seed\": \"");
    (void)text_append_base64url(&out, bytes_of(identity->seed, 32));
    (void)text_append(&out, "\",\n");
    place_member(&out, "server", identity->host, identity->port, identity->pin);
    if (!identity_is_home(identity))
        place_member(&out, "headquarters", identity->home.host, identity->home.port,
                     identity->home.pin);
    (void)text_append_format(&out, "  \"enrolled_at\": %lld\n}\n",
                             (long long)identity->enrolled_ms);
    enum err e = out.error;
    if (e == ERR_OK)
        e = os_file_write(path, buf_view(&out), 0600, info);
    else
        (void)err_set(info, e, "'%s' cannot be written: %s", path, err_text(e));
    crypto_wipe(out.data, out.size);
    buf_done(&out);
    return e;
}

void identity_done(struct identity *identity)
{
    crypto_wipe(identity, sizeof *identity);
}
