/* admin_internal.h - what the files of headquarters' administration share: admin.c, admin_teams.c. */
#ifndef SERVER_CORE_ADMIN_INTERNAL_H
#define SERVER_CORE_ADMIN_INTERNAL_H

#include <jansson.h>
#include <stdio.h>

#include "server/core/hub_internal.h"

struct admin {
    struct hub *hub;
    json_t *request, *answer;
    enum err (*run)(struct admin *admin);
    char problem[300];
};

static inline enum err fail(struct admin *admin, enum err code, const char *text)
{
    snprintf(admin->problem, sizeof admin->problem, "%s", text);
    return code;
}

static inline const char *text_of(const struct admin *admin, const char *name)
{
    return json_string_value(json_object_get(admin->request, name));
}

static inline struct bytes cell_text(const struct value *value)
{
    return value->kind == VALUE_TEXT ? value->as.bytes : bytes_of("", 0);
}

static inline json_t *json_bytes(struct bytes text)
{
    return json_stringn((const char *)text.data, text.size);
}

static inline json_t *json_id(const struct uuid *id)
{
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    return json_string(text);
}

struct row_search {
    struct hub *hub;
    uint32_t table_id;
    const char *column;
    struct bytes text;
    bool active; /* only rows that are */
    struct uuid id;
    struct record record;
    bool found;
};

/* The row whose column has this text. ERR_NOT_FOUND, ERR_INVALID (no text), both explained in admin->problem. */
enum err find_named(struct admin *admin, uint32_t table, const char *column, const char *text,
                    struct row_search *ret);

/* Adds the person's substitute, if there is one now, to an entry of the list of users. */
enum err tell_substitute(struct hub *hub, const struct uuid *user, json_t *entry);

enum err do_team_add(struct admin *admin);
enum err do_team_list(struct admin *admin);
enum err do_team_join(struct admin *admin);
enum err do_team_leave(struct admin *admin);
enum err do_team_remove(struct admin *admin);
enum err do_user_substitute(struct admin *admin);

#endif
