/* merge_set.c - sets: pairs of an element and the dot that added it. */
#include "protocol/merge_internal.h"

#include "common/set.h"

#include <stdlib.h>

/* Elements that are added again and again by people who do not see each other. */
enum { PAIRS_MAX = 4 * SET_ELEMENTS_MAX };

enum err merge_set_shown(const struct set_pair *pairs, uint32_t count, struct arena *arena,
                         struct bytes *ret)
{
    struct bytes *elements = arena_alloc(arena, count * sizeof(*elements));
    struct buf text;
    enum err error;

    if (elements == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < count; i++)
        elements[i] = pairs[i].element;
    buf_init(&text, MODEL_TEXT_MAX);
    error = set_append(elements, count, &text);
    if (error == ERR_OK)
        error = arena_copy(arena, buf_view(&text), ret);
    buf_done(&text);
    return error;
}

/* What the set holds: the unit's pairs, or the inserted elements with the insert's dot. Leaves room for
 * `more` behind them. Text that is not a set holds nothing. */
static enum err current_pairs(struct arena *arena, const struct dot *insert,
                              const struct unit_state *current, const struct value *shown,
                              uint32_t more, struct set_pair **ret_pairs, uint32_t *ret_count)
{
    struct bytes *elements = NULL;
    size_t count = current == NULL ? 0 : current->pair_count;
    struct set_pair *pairs;
    enum err error = ERR_OK;

    if (current == NULL && shown->kind == VALUE_TEXT)
        error = set_parse(shown->as.bytes, arena, &elements, &count);
    if (error == ERR_NOMEM)
        return error;
    if (error != ERR_OK)
        count = 0;
    pairs = arena_alloc(arena, (count + more) * sizeof(*pairs));
    if (pairs == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        pairs[i] = current == NULL ? (struct set_pair){.element = elements[i], .dot = *insert}
                                   : current->pairs[i];
    *ret_pairs = pairs;
    *ret_count = (uint32_t)count;
    return ERR_OK;
}

static enum err sorted_removes(struct arena *arena, const struct unit_write *write,
                               const struct set_pair **ret)
{
    struct set_pair *removes = arena_alloc(arena, write->remove_count * sizeof(*removes));

    if (removes == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < write->remove_count; i++)
        removes[i] = write->removes[i];
    if (write->remove_count > 1)
        qsort(removes, write->remove_count, sizeof(*removes), set_pair_compare);
    *ret = removes;
    return ERR_OK;
}

static enum reason reason_of(enum err error)
{
    if (error == ERR_LIMIT || error == ERR_TOO_LARGE)
        return REASON_TOO_LARGE;
    return error == ERR_PARSE ? REASON_MALFORMED : REASON_NONE;
}

enum err merge_set_write(const struct merge_context *context, const struct dot *insert,
                         const struct unit_state *current, const struct unit_write *write,
                         struct value *shown, struct unit_state *state, enum reason *ret_reason)
{
    const struct set_pair *removes;
    struct set_pair *pairs;
    uint32_t count, kept = 0, unique = 0;
    struct bytes text;
    enum err error;

    error = current_pairs(context->arena, insert, current, shown, write->add_count, &pairs, &count);
    if (error == ERR_OK)
        error = sorted_removes(context->arena, write, &removes);
    if (error != ERR_OK)
        return error;
    for (uint32_t i = 0; i < count; i++) {
        if (write->remove_count == 0 || bsearch(&pairs[i], removes, write->remove_count,
                                                sizeof(*removes), set_pair_compare) == NULL)
            pairs[kept++] = pairs[i];
    }
    for (uint32_t i = 0; i < write->add_count; i++)
        pairs[kept++] = (struct set_pair){.element = write->adds[i], .dot = context->dot};
    if (kept > 1)
        qsort(pairs, kept, sizeof(*pairs), set_pair_compare);
    for (uint32_t i = 0; i < kept; i++) {
        if (unique == 0 || set_pair_compare(&pairs[unique - 1], &pairs[i]) != 0)
            pairs[unique++] = pairs[i];
    }
    error = unique > PAIRS_MAX ? ERR_LIMIT : merge_set_shown(pairs, unique, context->arena, &text);
    *ret_reason = reason_of(error);
    if (error != ERR_OK)
        return *ret_reason == REASON_NONE ? error : ERR_OK;
    *shown = value_text(text);
    state->pairs = pairs;
    state->pair_count = unique;
    return ERR_OK;
}
