#include "protocol/route.h"

#include <string.h>

static bool reference_value(const struct value *values, int16_t column, struct uuid *ret)
{
    return column >= 0 && value_id(&values[column], ret);
}

static struct route routed(const struct model_table *table, const struct value *values)
{
    struct route route = {.kind = BUCKET_KIND_UNASSIGNED};
    const struct value *visibility = &values[table->visibility_column];
    struct bytes name = bytes_of_text("company");
    if (visibility->kind == VALUE_TEXT)
        name = visibility->as.bytes;
    if (bytes_equal(name, bytes_of_text("company"))) {
        route.kind = BUCKET_KIND_COMPANY;
    } else if (bytes_equal(name, bytes_of_text("branch"))) {
        if (reference_value(values, table->branch_column, &route.key))
            route.kind = BUCKET_KIND_BRANCH;
    } else if (bytes_equal(name, bytes_of_text("team"))) {
        if (reference_value(values, table->team_column, &route.key))
            route.kind = BUCKET_KIND_TEAM;
    } else if (reference_value(values, table->owner_column, &route.key)) {
        route.kind = BUCKET_KIND_USER;
    }
    return route;
}

struct route route_record(const struct model_table *table, const struct value *values)
{
    struct route route = {.kind = BUCKET_KIND_COMPANY};
    switch (table->bucket_rule) {
    case BUCKET_ROUTED: return routed(table, values);
    case BUCKET_INHERIT:
        if (reference_value(values, table->parent_column, &route.parent))
            route.inherit = true;
        else
            route.kind = BUCKET_KIND_UNASSIGNED;
        return route;
    case BUCKET_COMPANY:
    case BUCKET_SYSTEM: break;
    }
    return route;
}

void route_key(enum bucket_kind kind, const struct uuid *key, uint8_t out[ROUTE_KEY_SIZE])
{
    out[0] = (uint8_t)kind;
    memcpy(out + 1, key->byte, 16);
}
