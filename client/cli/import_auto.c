/* import_auto.c - without a mapping: columns by their names; the sources of fields in a file. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

/* What other programs call things, folded; tried in this order where a table has such a column. */
static const char *const synonyms[][2] = {
    {"productid", "product"},
    {"orderid", "sales_order"},
    {"dealid", "deal"},
    {"opportunityid", "deal"},
    {"companyname", "party"},
    {"accountname", "party"},
    {"customername", "party"},
    {"associatedcompany", "party"},
    {"company", "party"},
    {"account", "party"},
    {"customer", "party"},
    {"client", "party"},
    {"organization", "party"},
    {"organisation", "party"},
    {"customerid", "party"},
    {"accountid", "party"},
    {"companyname", "name"},
    {"company", "name"},
    {"accountname", "name"},
    {"account", "name"},
    {"customername", "name"},
    {"customer", "name"},
    {"client", "name"},
    {"organization", "name"},
    {"organisation", "name"},
    {"fullname", "name"},
    {"productname", "name"},
    {"dealname", "name"},
    {"opportunityname", "name"},
    {"opportunity", "name"},
    {"categoryname", "name"},
    {"contactname", "name"},
    {"subject", "name"},
    {"title", "name"},
    {"customerid", "code"},
    {"accountid", "code"},
    {"productid", "code"},
    {"sku", "code"},
    {"opportunityid", "code"},
    {"dealid", "code"},
    {"contactid", "code"},
    {"recordid", "code"},
    {"orderid", "number"},
    {"ordernumber", "number"},
    {"phone", "phones"},
    {"telephone", "phones"},
    {"phonenumber", "phones"},
    {"mobile", "phones"},
    {"mobilephone", "phones"},
    {"mobilephonenumber", "phones"},
    {"tel", "phones"},
    {"email", "emails"},
    {"emailaddress", "emails"},
    {"mail", "emails"},
    {"faxnumber", "fax"},
    {"address", "street"},
    {"streetaddress", "street"},
    {"addressline1", "street"},
    {"billingstreet", "street"},
    {"mailingstreet", "street"},
    {"town", "city"},
    {"billingcity", "city"},
    {"mailingcity", "city"},
    {"zip", "postal_code"},
    {"zipcode", "postal_code"},
    {"postcode", "postal_code"},
    {"billingpostalcode", "postal_code"},
    {"billingzip", "postal_code"},
    {"mailingpostalcode", "postal_code"},
    {"state", "region"},
    {"province", "region"},
    {"stateregion", "region"},
    {"billingstate", "region"},
    {"mailingstate", "region"},
    {"billingcountry", "country"},
    {"mailingcountry", "country"},
    {"officelocation", "country"},
    {"url", "website"},
    {"web", "website"},
    {"homepage", "website"},
    {"companydomainname", "website"},
    {"sector", "industry"},
    {"annualrevenue", "revenue"},
    {"numberofemployees", "employees"},
    {"employeecount", "employees"},
    {"yearestablished", "founded_year"},
    {"yearfounded", "founded_year"},
    {"founded", "founded_year"},
    {"subsidiaryof", "parent_party"},
    {"parentcompany", "parent_party"},
    {"parentaccount", "parent_party"},
    {"vat", "tax_id"},
    {"vatnumber", "tax_id"},
    {"taxid", "tax_id"},
    {"inn", "tax_id"},
    {"description", "notes"},
    {"comment", "notes"},
    {"comments", "notes"},
    {"note", "notes"},
    {"remarks", "notes"},
    {"contact", "contact_name"},
    {"contactperson", "contact_name"},
    {"contactname", "contact_name"},
    {"salesrep", "owner"},
    {"salesagent", "owner"},
    {"companyowner", "owner"},
    {"contactowner", "owner"},
    {"dealowner", "owner"},
    {"accountowner", "owner"},
    {"manager", "owner"},
    {"leadsource", "source"},
    {"dealstage", "stage"},
    {"stagename", "stage"},
    {"status", "stage"},
    {"value", "amount"},
    {"dealvalue", "amount"},
    {"closevalue", "close_value"},
    {"closedate", "closed_on"},
    {"expectedclosedate", "expected_close"},
    {"engagedate", "engaged_on"},
    {"createdate", "created_on"},
    {"createddate", "created_on"},
    {"created", "created_on"},
    {"firstname", "first_name"},
    {"givenname", "first_name"},
    {"lastname", "last_name"},
    {"surname", "last_name"},
    {"familyname", "last_name"},
    {"jobtitle", "title"},
    {"position", "title"},
    {"unitprice", "unit_price"},
    {"unitprice", "price"},
    {"salesprice", "price"},
    {"listprice", "price"},
    {"cost", "price"},
    {"unitsinstock", "stock"},
    {"categoryid", "category"},
    {"categoryname", "category"},
    {"productname", "product"},
    {"qty", "quantity"},
    {"orderdate", "ordered_on"},
    {"requireddate", "required_on"},
    {"shippeddate", "shipped_on"},
    {"shipdate", "shipped_on"},
    {"employeeid", "sold_by"},
    {"shipaddress", "ship_street"},
};

static struct field *taken_by(const struct step *step, const struct satchel_column *column)
{
    for (size_t i = 0; i < step->field_count; i++) {
        if (step->fields[i].column == column)
            return &step->fields[i];
    }
    return NULL;
}

/* The column of the table that a name of a file means; NULL. */
static const struct satchel_column *match(const struct satchel_table *table, const char *name)
{
    const struct satchel_column *column = cli_find_column(table, name);
    if (column)
        return column;
    /* A column named as the table is holds the records' names. */
    if (table->title_column >= 0 &&
        (text_alike(name, table->name) || text_alike(name, table->label.text[SATCHEL_EN])))
        return &table->columns[table->title_column];
    char *folded = text_fold(name), *own = text_fold(table->name);
    size_t size = strlen(own);
    const char *rest = strncmp(folded, own, size) == 0 ? folded + size : "";
    if (strcmp(rest, "id") == 0 || strcmp(rest, "code") == 0)
        column = satchel_column(table, "code"); /* CategoryID of a category */
    else if ((strcmp(rest, "name") == 0 || strcmp(rest, "description") == 0) &&
             table->title_column >= 0)
        column = &table->columns[table->title_column];
    free(own);
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms && !column; i++) {
        if (strcmp(synonyms[i][0], folded) == 0)
            column = satchel_column(table, synonyms[i][1]);
    }
    free(folded);
    return column;
}

/* The table that has most of the file's columns, all that a record needs among them; NULL: none, or
 * not one alone. */
static const struct satchel_table *table_of_columns(struct import *import,
                                                    const struct source *source)
{
    const struct satchel_schema *schema = satchel_schema(import->cli->handle);
    const struct satchel_table *best = NULL;
    size_t best_count = 1;
    for (uint16_t i = 0; i < schema->table_count; i++) {
        const struct satchel_table *table = &schema->tables[i];
        size_t count = 0;
        bool *has = need(calloc(table->column_count, sizeof *has));
        for (size_t k = 0; k < source->column_count; k++) {
            const struct satchel_column *column = match(table, source->columns[k]);
            count += column && !has[column->index];
            if (column)
                has[column->index] = true;
        }
        for (uint16_t k = 0; k < table->column_count; k++) {
            const struct satchel_column *column = &table->columns[k];
            bool made = strcmp(column->name, "name") == 0 && source_column(source, "lastname") >= 0;
            if (column->required && column->fallback.kind == SATCHEL_NULL && !has[k] && !made)
                count = 0;
        }
        free(has);
        if (!table->system && count >= best_count) {
            best = count > best_count ? table : NULL;
            best_count = count;
        }
    }
    return best;
}

/* The table that a word means: "customers", "categories". */
static const struct satchel_table *table_of_word(struct import *import, const char *word)
{
    const struct satchel_table *table = cli_find_table(import->cli->handle, word);
    size_t size = strlen(word);
    char one[256];
    if (table || size < 3 || size >= sizeof one || word[size - 1] != 's')
        return table;
    bool ies = strcmp(word + size - 3, "ies") == 0;
    snprintf(one, sizeof one, "%.*s%s", (int)(size - (ies ? 3 : 1)), word, ies ? "y" : "");
    return cli_find_table(import->cli->handle, one);
}

/* A table by the file's name: customers.csv; with `cut`, by its first word too: deals-2024.json. */
static const struct satchel_table *table_of_file(struct import *import, const char *file, bool cut)
{
    char name[256];
    snprintf(name, sizeof name, "%s", file);
    name[strcspn(name, ".")] = '\0';
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (cut)
        name[strcspn(name, "-_ 0123456789")] = '\0';
    return name[0] ? table_of_word(import, name) : NULL;
}

static void show(struct cli *cli, const struct step *step, const struct source *source)
{
    struct text taken = {0}, left = {0};
    for (size_t i = 0; i < source->column_count; i++) {
        const char *to = NULL;
        for (size_t k = 0; k < step->field_count && !to; k++) {
            for (size_t n = 0; n < step->fields[k].source_count && !to; n++)
                to =
                    step->fields[k].source_index[n] == (int)i ? step->fields[k].column->name : NULL;
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

static struct field *add(struct step *step, const struct satchel_column *column)
{
    step->fields = need(realloc(step->fields, (step->field_count + 1) * sizeof *step->fields));
    struct field *field = &step->fields[step->field_count++];
    *field = (struct field){.column = column, .join = " ", .missing = MISSING_NULL};
    if (column->required)
        field->missing = MISSING_ERROR;
    if (column->type == SATCHEL_TYPE_SET)
        field->split = ";";
    return field;
}

static void add_source(struct field *field, const struct source *source, int index)
{
    if (field->source_count == sizeof field->sources / sizeof *field->sources)
        return;
    field->sources[field->source_count] = source->columns[index];
    field->source_index[field->source_count++] = index;
}

/* Records need a name: "First name" and "Last name" make one. */
static void add_full_name(struct step *step, const struct source *source)
{
    static const char *const parts[] = {"firstname", "lastname", "givenname", "surname",
                                        "familyname"};
    const struct satchel_column *name = satchel_column(step->table, "name");
    struct field *field = NULL;
    if (!name || taken_by(step, name))
        return;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int index = source_column(source, parts[i]);
        if (index < 0)
            continue;
        if (!field)
            field = add(step, name);
        add_source(field, source, index);
    }
}

static int choose_table(struct import *import, struct step *step, const struct source *source,
                        const char *name)
{
    if (name) {
        step->table = cli_table(import->cli, name);
        return step->table ? EXIT_DONE : EXIT_USAGE;
    }
    step->table = table_of_file(import, source->name, false);
    if (!step->table)
        step->table = table_of_columns(import, source);
    if (!step->table)
        step->table = table_of_file(import, source->name, true);
    if (step->table)
        return EXIT_DONE;
    return cli_failf(import->cli, EXIT_USAGE,
                     "%s: which table does it go to? --table NAME says it, 'satchel tables' lists "
                     "them",
                     source->name);
}

int step_guess(struct import *import, struct step *step, const struct source *source,
               const char *table_name)
{
    int failed = choose_table(import, step, source, table_name);
    if (failed)
        return failed;
    step->guessed = true;
    for (size_t i = 0; i < source->column_count; i++) {
        const struct satchel_column *column = match(step->table, source->columns[i]);
        struct field *field = column ? taken_by(step, column) : NULL;
        if (!column || (field && column->type != SATCHEL_TYPE_SET))
            continue;
        if (!field)
            field = add(step, column);
        add_source(field, source, (int)i);
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
            source->name, source->column_count > 0 ? source->columns[0] : "", step->table->name);
    add_full_name(step, source);
    step_default_key(step);
    show(import->cli, step, source);
    return EXIT_DONE;
}

/* What the other rows tell about a column's form: whether 03/04/2024 begins with the day, whether 1,234
 * has a fraction. */
static void learn(struct field *field, const struct source *source)
{
    size_t day_first = 0, month_first = 0, dots = 0, commas = 0;
    for (size_t i = 0; i < source->row_count && field->source_count == 1; i++) {
        const char *cell =
            field->source_index[0] >= 0 ? source->rows[i].cells[field->source_index[0]] : NULL;
        int first, second, year, end = 0;
        if (!cell)
            continue;
        if (sscanf(cell, "%2d/%2d/%4d%n", &first, &second, &year, &end) == 3 && end >= 8) {
            day_first += first > 12 && second <= 12;
            month_first += second > 12 && first <= 12;
        }
        const char *dot = strrchr(cell, '.'), *comma = strrchr(cell, ',');
        size_t after = comma ? strspn(comma + 1, "0123456789") : 0;
        if (comma && dot)
            *(dot > comma ? &dots : &commas) += 1;
        else if (comma && (strchr(cell, ',') != comma))
            dots++;
        else if (comma && after != 3)
            commas++;
    }
    if (!field->date && (day_first > 0) != (month_first > 0))
        field->slashes = day_first > 0 ? "%d/%m/%Y" : "%m/%d/%Y";
    if (!field->decimal && (dots > 0) != (commas > 0))
        field->decimal = dots > 0 ? '.' : ',';
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
        learn(field, source);
    }
    return EXIT_DONE;
}
