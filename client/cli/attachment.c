/* attachment.c - attachments as people and programs read them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

void cli_size(uint64_t bytes, char out[32])
{
    if (bytes < 1000)
        snprintf(out, 32, "%" PRIu64 " B", bytes);
    else if (bytes < 1000000)
        snprintf(out, 32, "%.1f kB", (double)bytes / 1e3);
    else
        snprintf(out, 32, "%.1f MB", (double)bytes / 1e6);
}

bool cli_parse_size(const char *text, uint64_t *ret_bytes)
{
    char *end;
    if (strcmp(text, "none") == 0 || strcmp(text, "all") == 0) {
        *ret_bytes = text[0] == 'a' ? UINT64_MAX : 0;
        return true;
    }
    unsigned long long number = strtoull(text, &end, 10);
    uint64_t unit = *end == 'k' || *end == 'K' ? 1000 : *end == 'M' ? 1000000 : 1;
    if (text[0] < '0' || text[0] > '9' || number > UINT32_MAX || strcmp(end + (unit > 1), "") != 0)
        return false;
    *ret_bytes = number * unit;
    return true;
}

void cli_place(const struct satchel_attachment *a, char out[80])
{
    static const char *const places[] = {"on this device alone", "here and at the branch",
                                         "here and at headquarters", "on the server"};
    unsigned percent = a->size > 0 ? (unsigned)(a->sent * 100 / a->size) : 0;
    if (a->too_large)
        snprintf(out, 80, "on this device alone: too large for headquarters");
    else if (a->sent > 0 && a->place != SATCHEL_ATTACHMENT_AT_HEADQUARTERS)
        snprintf(out, 80, "on its way up, %u %%", percent);
    else if (a->place == SATCHEL_ATTACHMENT_ON_SERVER && a->here > 0)
        snprintf(out, 80, "on the server, %u %% here", (unsigned)(a->here * 100 / a->size));
    else if (a->place == SATCHEL_ATTACHMENT_ON_SERVER && a->asked)
        snprintf(out, 80, "on the server; comes with the next exchange");
    else
        snprintf(out, 80, "%s", places[a->place]);
}

json_t *cli_json_attachment(const struct satchel_attachment *a)
{
    static const char *const places[] = {"here", "at_branch", "at_headquarters", "on_server"};
    static const struct satchel_id none = {{0}};
    char hash[65];
    for (int i = 0; i < 32; i++)
        snprintf(hash + 2 * i, 3, "%02x", a->sha256[i]);
    json_t *json = json_pack(
        "{s:o, s:o, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:b, s:b}", "id", cli_json_id(&a->id),
        "party", cli_json_id(&a->party), "name", a->name, "kind", a->kind, "media_type",
        a->media_type, "size", (json_int_t)a->size, "here", (json_int_t)a->here, "sha256", hash,
        "place", places[a->place], "asked", (int)a->asked, "too_large", (int)a->too_large);
    if (!json)
        cli_out_of_memory();
    bool about = memcmp(&a->about, &none, sizeof none) != 0;
    json_object_set_new(json, "about", about ? cli_json_id(&a->about) : json_null());
    json_object_set_new(json, "taken_at", cli_json_time(a->taken_at_ms));
    return json;
}
