/* model_check.c - rules between the tables of a model; see model_build.h. */
#include "common/model_build.h"

static const struct draft_table *parent_of(const struct builder *b, const struct draft_table *draft)
{
    int16_t column = draft->table.parent_column;

    return column < 0 ? NULL : &b->tables[draft->columns[column].column.target];
}

/* Chains of parents end, and soon. */
static enum err check_chain(const struct builder *b, const struct place *at,
                            const struct draft_table *draft)
{
    struct place place = {at, "parent", 0};
    const struct draft_table *above = draft;
    size_t steps = 0;

    while ((above = parent_of(b, above)) != NULL) {
        steps++;
        if (above == draft || steps > b->table_count)
            return build_fail(b, &place, ERR_MODEL, "the parents of '%s' lead back to it",
                              above->table.name);
    }
    if (steps > MODEL_PARENTS_MAX)
        return build_fail(b, &place, ERR_LIMIT, "has %zu tables above it; at most %d are possible",
                          steps, MODEL_PARENTS_MAX);
    return ERR_OK;
}

/* A record is deleted with its parent, so it must be possible to delete it. */
static enum err check_delete(const struct builder *b, const struct place *at,
                             const struct draft_table *draft)
{
    const struct draft_table *parent = parent_of(b, draft);

    if (parent != NULL && draft->table.delete_policy == DELETE_NEVER &&
        parent->table.delete_policy != DELETE_NEVER)
        return build_fail(b, &(struct place){at, "delete", 0}, ERR_MODEL,
                          "'never' needs a parent that is never deleted; '%s' may be",
                          parent->table.name);
    return ERR_OK;
}

enum err build_check(const struct builder *b)
{
    struct place tables = {NULL, "tables", 0};
    enum err err = ERR_OK;

    for (size_t i = 0; i < b->table_count && err == ERR_OK; i++) {
        const struct draft_table *draft = &b->tables[i];
        struct place at = {&tables, NULL, draft->place};

        err = check_chain(b, &at, draft);
        if (err == ERR_OK)
            err = check_delete(b, &at, draft);
    }
    return err;
}
