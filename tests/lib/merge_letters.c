#include "tests/lib/merge_letters.h"

#include <stdio.h>
#include <stdlib.h>

const struct uuid letter_top_id = {{1}}, letter_child_id = {{2}};

static void *need(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_calloc(arena, count + 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

static const char *const words[] = {"x", "y", "z"};
static const char base_text[] = "one\ntwo\nthree\nfour\nfive\n";

/* The text that the author sees with line 0, 2 or 4 replaced. */
static struct value edited(struct arena *arena, const struct value *seen, int line, int replica)
{
    struct bytes in = seen->as.bytes;
    uint8_t *out = need(arena, in.size + 8, 1);
    size_t size = 0;
    int at = 0;
    for (size_t i = 0; i < in.size; i++) {
        if (at != line)
            out[size++] = in.data[i];
        else if (in.data[i] == '\n')
            size += (size_t)snprintf((char *)out + size, 8, line == 2 ? "B\n" : "%c%d\n",
                                     'A' + line, replica);
        at += in.data[i] == '\n' ? 1 : 0;
    }
    return value_text(bytes_of(out, size));
}

static const struct value *letter_values(struct arena *arena, const struct author *a,
                                         const struct model_unit *unit, uint8_t which, int replica)
{
    struct value *values = need(arena, 2, sizeof *values);
    switch (unit_kind_of(unit)) {
    case KIND_LWW_GROUP:
        values[0] = value_int(which);
        values[1] = value_text(bytes_of_text(words[which]));
        break;
    case KIND_UPSTREAM:
    case KIND_MAX:
    case KIND_MIN:
    case KIND_RESTRICT_FLAG: values[0] = value_int(which); break;
    case KIND_COUNTER: values[0] = value_int(which == 0 ? 1 : -3); break;
    case KIND_RESTRICT_SYMBOL:
        values[0] = value_text(bytes_of_text(restrict_symbols[which]));
        break;
    case KIND_FSM: values[0] = value_text(bytes_of_text(fsm_symbols[which])); break;
    case KIND_TEXT:
        values[0] = edited(arena, &a->state.shown[unit->columns[0]], 2 * which, replica);
        break;
    case KIND_LWW:
    case KIND_FIRST:
    case KIND_MANUAL:
    case KIND_APPEND:
    case KIND_SET:
    case KIND_PARENT:
    case KIND_COUNT:
    default: values[0] = value_text(bytes_of_text(words[which])); break;
    }
    return values;
}

static const struct value *first_values(struct arena *arena, const struct model_unit *unit)
{
    struct value *values = need(arena, 2, sizeof *values);
    values[0] = value_int(1);
    values[1] = value_text(bytes_of_text("o"));
    switch (unit_kind_of(unit)) {
    case KIND_SET: values[0] = value_text(bytes_of_text("[\"x\"]")); break;
    case KIND_TEXT: values[0] = value_text(bytes_of_text(base_text)); break;
    case KIND_FSM: values[0] = value_text(bytes_of_text(fsm_symbols[0])); break;
    case KIND_RESTRICT_FLAG: values[0] = value_int(0); break;
    case KIND_RESTRICT_SYMBOL: values[0] = value_text(bytes_of_text(restrict_symbols[1])); break;
    case KIND_PARENT: values[0] = value_blob(bytes_of(&letter_top_id, sizeof letter_top_id)); break;
    case KIND_LWW:
    case KIND_FIRST:
    case KIND_MANUAL:
    case KIND_APPEND: values[0] = values[1]; break;
    case KIND_LWW_GROUP:
    case KIND_UPSTREAM:
    case KIND_MAX:
    case KIND_MIN:
    case KIND_COUNTER:
    case KIND_COUNT:
    default: break;
    }
    return values;
}

struct mutation letter_insert(struct arena *arena, const struct model_table *table,
                              const struct uuid *id)
{
    struct author a;
    author_start(&a, arena, NULL, MUTATION_INSERT, table, id);
    for (uint16_t i = 0; i < table->unit_count; i++)
        author_write(&a, &table->units[i], first_values(arena, &table->units[i]), false);
    return a.mutation;
}

/* The parent's delete with those of the live children that its author knows. */
static uint32_t delete_tree(const struct letter_target *target, const struct oracle *view,
                            struct arena *arena, struct mutation *out)
{
    struct author a;
    uint32_t count = 1;
    if (oracle_dead(view, target->top, &letter_top_id))
        return 0;
    author_start(&a, arena, view, MUTATION_DELETE, target->top, &letter_top_id);
    out[0] = a.mutation;
    for (int i = 0; i < target->child_count; i++) {
        const struct uuid *id = &target->children[i];
        if (!oracle_present(view, target->child, id) || oracle_dead(view, target->child, id))
            continue;
        author_start(&a, arena, view, MUTATION_DELETE, target->child, id);
        out[count++] = a.mutation;
    }
    return count;
}

static enum mutation_op op_of(enum act act)
{
    switch (act) {
    case ACT_DELETE:
    case ACT_DELETE_CHILD: return MUTATION_DELETE;
    case ACT_RESTORE:
    case ACT_RESTORE_WRITE:
    case ACT_RESTORE_CHILD:
    case ACT_RESTORE_WRITE_CHILD: return MUTATION_RESTORE;
    case ACT_INSERT_CHILD: return MUTATION_INSERT;
    case ACT_WRITE:
    case ACT_ADD:
    case ACT_REMOVE:
    case ACT_WRITE_CHILD: break;
    }
    return MUTATION_UPDATE;
}

/* The newest child that the author knows. */
static struct uuid newest_child(const struct letter_target *target, const struct oracle *view)
{
    int i = target->child_count - 1;
    while (i > 0 && !oracle_present(view, target->child, &target->children[i]))
        i--;
    return target->children[i];
}

uint32_t letter_mutations(const struct letter *letter, const struct letter_target *target,
                          const struct oracle *view, struct arena *arena, struct mutation *out)
{
    struct author a;
    enum mutation_op op = op_of(letter->act);
    bool on_child = letter->act >= ACT_WRITE_CHILD;
    const struct model_table *table = on_child ? target->child : target->top;
    const struct model_unit *unit = &table->units[on_child ? 1 : letter->unit];
    if (op == MUTATION_INSERT) {
        out[0] = letter_insert(arena, target->child, &target->new_id);
        return 1;
    }
    if (letter->act == ACT_DELETE && target->child != NULL)
        return delete_tree(target, view, arena, out);
    struct uuid id = on_child ? newest_child(target, view) : letter_top_id;
    bool dead = oracle_dead(view, table, &id);
    if ((op == MUTATION_DELETE && on_child && dead) || (op == MUTATION_RESTORE && !dead))
        return 0;
    author_start(&a, arena, view, op, table, &id);
    if (letter->act == ACT_ADD)
        author_set(&a, unit, words[letter->value], NULL);
    else if (letter->act == ACT_REMOVE)
        author_set(&a, unit, NULL, words[letter->value]);
    else if (op == MUTATION_UPDATE || letter->act == ACT_RESTORE_WRITE ||
             letter->act == ACT_RESTORE_WRITE_CHILD)
        author_write(&a, unit, letter_values(arena, &a, unit, letter->value, target->replica),
                     false);
    out[0] = a.mutation;
    return 1;
}
