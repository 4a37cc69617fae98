/* import_auto.c - without a mapping: columns by their names; the sources of fields in a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

/* What other programs call things, folded; tried where a table has such a column. */
static const char *const synonyms[][2] = {
    {"company", "name"},
    {"companyname", "name"},
    {"account", "name"},
    {"accountname", "name"},
    {"customername", "name"},
    {"organization", "name"},
    {"organisation", "name"},
    {"fullname", "name"},
    {"productname", "name"},
    {"title", "name"},
    {"customerid", "code"},
    {"accountid", "code"},
    {"productid", "code"},
    {"sku", "code"},
    {"opportunityid", "code"},
    {"dealid", "code"},
    {"key", "code"},
    {"number", "code"},
    {"phone", "phones"},
    {"telephone", "phones"},
    {"phonenumber", "phones"},
    {"mobile", "phones"},
    {"tel", "phones"},
    {"email", "emails"},
    {"emailaddress", "emails"},
    {"mail", "emails"},
    {"address", "street"},
    {"streetaddress", "street"},
    {"addressline1", "street"},
    {"zip", "postal_code"},
    {"zipcode", "postal_code"},
    {"postcode", "postal_code"},
    {"state", "region"},
    {"province", "region"},
    {"url", "website"},
    {"web", "website"},
    {"homepage", "website"},
    {"sector", "industry"},
    {"vat", "tax_id"},
    {"vatnumber", "tax_id"},
    {"taxid", "tax_id"},
    {"inn", "tax_id"},
    {"comment", "notes"},
    {"comments", "notes"},
    {"note", "notes"},
    {"remarks", "notes"},
    {"contact", "contact_name"},
    {"contactperson", "contact_name"},
    {"company", "party"},
    {"account", "party"},
    {"customer", "party"},
    {"client", "party"},
    {"organization", "party"},
    {"owner", "owner"},
    {"salesrep", "owner"},
    {"salesagent", "owner"},
    {"dealstage", "stage"},
    {"status", "stage"},
    {"value", "amount"},
    {"closevalue", "close_value"},
    {"closedate", "closed_on"},
    {"firstname", "first_name"},
    {"lastname", "last_name"},
    {"surname", "last_name"},
    {"unitprice", "price"},
    {"salesprice", "price"},
    {"cost", "price"},
    {"orderdate", "ordered_on"},
    {"orderid", "number"},
};

static bool is_taken(const struct step *step, const struct satchel_column *column)
{
    for (size_t i = 0; i < step->field_count; i++) {
        if (step->fields[i].column == column)
            return true;
    }
    return false;
}

/* The column that a name of the file means and that no other has got; NULL. */
static const struct satchel_column *match(const struct step *step,
                                          const struct satchel_table *table, const char *name)
{
    const struct satchel_column *column = cli_find_column(table, name);
    if (column && !is_taken(step, column))
        return column;
    char *folded = text_fold(name);
    column = NULL;
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms && !column; i++) {
        if (strcmp(synonyms[i][0], folded) != 0)
            continue;
        const struct satchel_column *one = satchel_column(table, synonyms[i][1]);
        column = one && !is_taken(step, one) ? one : NULL;
    }
    free(folded);
    return column;
}

/* A table by the file's name: customers.csv, deal-2024.json. */
static const struct satchel_table *table_of_file(struct import *import, const char *file)
{
    char name[256];
    snprintf(name, sizeof name, "%s", file);
    name[strcspn(name, ".")] = '\0';
    const struct satchel_table *table = cli_find_table(import->cli->handle, name);
    while (!table && strpbrk(name, "-_ 0123456789")) {
        name[strcspn(name, "-_ 0123456789")] = '\0';
        table = name[0] ? cli_find_table(import->cli->handle, name) : NULL;
    }
    return table;
}

static void show(struct cli *cli, const struct step *step, const struct source *source)
{
    struct text taken = {0}, left = {0};
    for (size_t i = 0; i < source->column_count; i++) {
        const char *to = NULL;
        for (size_t k = 0; k < step->field_count && !to; k++) {
            if (step->fields[k].source_index[0] == (int)i)
                to = step->fields[k].column->name;
        }
        struct text *text = to ? &taken : &left;
        text_addf(text, "%s%s", text->size ? ", " : "", source->columns[i]);
        if (to && strcmp(to, source->columns[i]) != 0)
            text_addf(text, " -> %s", to);
    }
    cli_say(cli, "%s -> %s: %s", source->name, step->table->name, text_get(&taken));
    if (left.size > 0)
        cli_say(cli, "  not taken, as %s has no such column (a --map says otherwise): %s",
                step->table->name, text_get(&left));
    text_done(&taken);
    text_done(&left);
}

int step_guess(struct import *import, struct step *step, const struct source *source,
               const char *table_name)
{
    step->table =
        table_name ? cli_table(import->cli, table_name) : table_of_file(import, source->name);
    if (!step->table && table_name)
        return EXIT_USAGE;
    if (!step->table)
        return cli_failf(import->cli, EXIT_USAGE,
                         "%s: which table does it go to? --table NAME says it, 'satchel tables' "
                         "lists them",
                         source->name);
    step->guessed = true;
    for (size_t i = 0; i < source->column_count; i++) {
        const struct satchel_column *column = match(step, step->table, source->columns[i]);
        if (!column)
            continue;
        step->fields = need(realloc(step->fields, (step->field_count + 1) * sizeof *step->fields));
        struct field *field = &step->fields[step->field_count++];
        *field = (struct field){.column = column, .join = " ", .source_count = 1};
        field->sources[0] = source->columns[i];
        field->source_index[0] = (int)i;
        if (column->type == SATCHEL_TYPE_SET)
            field->split = ";";
        if (column->type == SATCHEL_TYPE_REFERENCE && column->target >= 0) {
            field->by = import_lookup_default(
                import, &satchel_schema(import->cli->handle)->tables[column->target]);
            if (!field->by)
                return EXIT_STORAGE;
        }
    }
    if (step->field_count == 0)
        return cli_failf(
            import->cli, EXIT_USAGE,
            "%s: none of its columns (%s, ...) is one of %s; a --map says what goes where",
            source->name, source->columns[0], step->table->name);
    step_default_key(step);
    show(import->cli, step, source);
    return EXIT_DONE;
}

int step_bind(struct import *import, struct step *step, const struct source *source)
{
    for (size_t i = 0; i < step->field_count; i++) {
        struct field *field = &step->fields[i];
        for (size_t k = 0; k < field->source_count; k++) {
            field->source_index[k] = source_column(source, field->sources[k]);
            if (field->source_index[k] >= 0 || field->optional)
                continue;
            const char *near =
                text_nearest(field->sources[k], source->columns, source->column_count);
            return cli_failf(import->cli, EXIT_USAGE,
                             "%s: %s has no column '%s'%s%s%s (\"optional\": true allows that)",
                             step->where, source->name, field->sources[k],
                             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
    }
    return EXIT_DONE;
}
