/* import_lookup.c - records by what people call them: exactly, else alike. */
#include <stdlib.h>
#include <string.h>

#include "import.h"

static void map_name(struct lookup *lookup, struct map *map, const char *key, size_t entry)
{
    uint64_t *at = map_at(map, key, true);
    if (*at == 0)
        *at = entry + 1;
    else if (*at != LOOKUP_SEVERAL &&
             memcmp(&lookup->entries[*at - 1].id, &lookup->entries[entry].id, 16) != 0)
        *at = LOOKUP_SEVERAL;
}

void lookup_add(struct lookup *lookup, const char *text, const struct satchel_id *id)
{
    if (text[0] == '\0')
        return;
    if (lookup->entry_count == lookup->entry_capacity) {
        lookup->entry_capacity = lookup->entry_capacity ? lookup->entry_capacity * 2 : 256;
        lookup->entries =
            need(realloc(lookup->entries, lookup->entry_capacity * sizeof *lookup->entries));
    }
    size_t entry = lookup->entry_count++;
    lookup->entries[entry] = (struct lookup_entry){.id = *id, .text = text_copy(text)};
    char *folded = text_fold(text);
    map_name(lookup, &lookup->exact, text, entry);
    if (folded[0] != '\0')
        map_name(lookup, &lookup->folded, folded, entry);
    free(folded);
}

struct filling {
    struct cli *cli;
    struct lookup *lookup;
};

static int on_record(void *context, const struct satchel_record *record)
{
    struct filling *filling = context;
    for (size_t i = 0; i < filling->lookup->column_count; i++) {
        const struct satchel_cell *cell = &record->cells[filling->lookup->columns[i]];
        if (cell->value.kind != SATCHEL_NULL)
            lookup_add(filling->lookup, cell->text, &record->id);
    }
    return 0;
}

int lookup_fill(struct cli *cli, struct lookup *lookup)
{
    struct filling filling = {cli, lookup};
    if (satchel_list(cli->handle, lookup->table->name, NULL, on_record, &filling) != SATCHEL_OK)
        return cli_failed(cli);
    return EXIT_DONE;
}

void lookup_free(struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->entry_count; i++)
        free(lookup->entries[i].text);
    free(lookup->entries);
    map_done(&lookup->exact);
    map_done(&lookup->folded);
    free(lookup);
}

enum lookup_result lookup_find(struct lookup *lookup, const char *text, struct satchel_id *ret_id,
                               const char **ret_text)
{
    const uint64_t *at = map_at(&lookup->exact, text, false);
    enum lookup_result result = LOOKUP_EXACT;
    if (!at) {
        char *folded = text_fold(text);
        at = folded[0] ? map_at(&lookup->folded, folded, false) : NULL;
        result = LOOKUP_ALIKE;
        free(folded);
    }
    if (!at)
        return LOOKUP_NONE;
    if (*at == LOOKUP_SEVERAL)
        return LOOKUP_AMBIGUOUS;
    *ret_id = lookup->entries[*at - 1].id;
    *ret_text = lookup->entries[*at - 1].text;
    return result;
}

struct lookup *import_lookup(struct import *import, const struct satchel_table *table,
                             const uint16_t *columns, size_t count)
{
    for (struct lookup *one = import->lookups; one; one = one->next) {
        if (one->table == table && one->column_count == count &&
            memcmp(one->columns, columns, count * sizeof *columns) == 0)
            return one;
    }
    struct lookup *lookup = need(calloc(1, sizeof *lookup));
    lookup->table = table;
    lookup->column_count = count;
    memcpy(lookup->columns, columns, count * sizeof *columns);
    if (lookup_fill(import->cli, lookup) != EXIT_DONE) {
        lookup_free(lookup);
        return NULL;
    }
    lookup->next = import->lookups;
    import->lookups = lookup;
    return lookup;
}

struct lookup *import_lookup_default(struct import *import, const struct satchel_table *table)
{
    uint16_t columns[LOOKUP_COLUMNS_MAX];
    size_t count = 0;
    for (uint16_t i = 0; i < table->column_count && count < LOOKUP_COLUMNS_MAX; i++) {
        if (table->columns[i].key || (int)i == table->title_column)
            columns[count++] = i;
    }
    return import_lookup(import, table, columns, count);
}
