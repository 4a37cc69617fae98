/* route.h - which bucket a record belongs to, by its own values: the same answer on every tier.
 *
 * Model:   a bucket is an audience: the company, a branch, a user, a team, or nobody but administrators
 *          (unassigned: a routing column is empty). Records with a parent go where the parent goes.
 * Source:  DESIGN.md 8; SPEC.md 1. */
#ifndef PROTOCOL_ROUTE_H
#define PROTOCOL_ROUTE_H

#include "common/model.h"
#include "common/uuid.h"
#include "protocol/message.h"

struct route {
    bool inherit;          /* as the parent; unassigned if the parent is not there */
    struct uuid parent;    /* of table->columns[parent_column].target */
    enum bucket_kind kind; /* not inherit */
    struct uuid key;
};

/* values: table->column_count of them. BUCKET_SYSTEM tables give the company bucket here; the
 * engine places their rows itself. */
struct route route_record(const struct model_table *table, const struct value *values);

enum { ROUTE_KEY_SIZE = 17 };
/* The key of SIDE_BUCKET_KEY: kind, then key. */
void route_key(enum bucket_kind kind, const struct uuid *key, uint8_t out[ROUTE_KEY_SIZE]);

#endif
