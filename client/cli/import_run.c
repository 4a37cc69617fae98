/* import_run.c - one step: finds each row's record by its key, writes what differs, in groups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "term.h"

/* A dry run writes too, and rolls back; so often, as a transaction has a largest size. */
enum { DRY_WRITES_MAX = 50000 };

struct known {
    struct satchel_id id;
    const struct source_row *row; /* that wrote it in this import; NULL: it was there before */
};

struct running {
    struct import *import;
    struct step *step;
    const struct source *source;
    struct map keys; /* key text -> index in known + 1 */
    struct known *known;
    size_t known_count, known_capacity;
    struct pool pool;       /* of the row in hand */
    struct outcome outcome; /* of the field in hand */
    uint16_t *columns;      /* ids, of the row in hand */
    const struct field **fields;
    struct satchel_value *values, *now;
    uint16_t count;
    struct progress progress;
    uint64_t passed;
    struct map promised; /* folded names of records that rows which wait will make */
    bool cut;            /* the row in hand was taken without a reference to one of those */
    bool again;          /* a second look at such a row: it has been counted */
};

/* --- keys --------------------------------------------------------------------------------------- */

static void known_add(struct running *run, const char *key, const struct satchel_id *id,
                      const struct source_row *row)
{
    uint64_t *at = map_at(&run->keys, key, true);
    if (*at != 0)
        return; /* of records that share a key the eldest is meant */
    if (run->known_count == run->known_capacity) {
        run->known_capacity = run->known_capacity ? run->known_capacity * 2 : 1024;
        run->known = need(realloc(run->known, run->known_capacity * sizeof *run->known));
    }
    run->known[run->known_count++] = (struct known){.id = *id, .row = row};
    *at = run->known_count;
}

static void key_add(struct running *run, struct text *key, const struct satchel_column *column,
                    const struct satchel_value *value)
{
    char *text = value->kind == SATCHEL_NULL ? text_copy("")
                                             : cli_value_text(run->import->cli, column, value);
    text_addf(key, "%s%s\x1f", value->kind == SATCHEL_NULL ? "0" : "1", text);
    free(text);
}

static int on_existing(void *context, const struct satchel_record *record)
{
    struct running *run = context;
    struct text key = {0};
    for (size_t i = 0; i < run->step->key_count; i++) {
        const struct satchel_cell *cell = &record->cells[run->step->key[i]];
        key_add(run, &key, cell->column, &cell->value);
    }
    known_add(run, text_get(&key), &record->id, NULL);
    text_done(&key);
    return 0;
}

/* The key of the row in hand, freed by the caller; NULL: all its columns are empty. */
static char *row_key(struct running *run)
{
    struct text key = {0};
    bool any = false;
    for (size_t i = 0; i < run->step->key_count; i++) {
        struct satchel_value value = satchel_null();
        const struct satchel_column *column = &run->step->table->columns[run->step->key[i]];
        for (uint16_t k = 0; k < run->count; k++) {
            if (run->fields[k]->column == column)
                value = run->values[k];
        }
        any |= value.kind != SATCHEL_NULL;
        key_add(run, &key, column, &value);
    }
    if (!any)
        text_done(&key);
    return any ? text_take(&key) : NULL;
}

/* --- writing ------------------------------------------------------------------------------------ */

int import_begin(struct import *import)
{
    if (satchel_in_transaction(import->cli->handle))
        return EXIT_DONE;
    import->writes = 0;
    if (satchel_begin(import->cli->handle) != SATCHEL_OK)
        return cli_failed(import->cli);
    return EXIT_DONE;
}

static int end_group(struct running *run, bool last)
{
    struct import *import = run->import;
    if (!satchel_in_transaction(import->cli->handle))
        return EXIT_DONE;
    if (import->dry_run) {
        if (run->import->writes >= DRY_WRITES_MAX)
            satchel_rollback(import->cli->handle);
        return EXIT_DONE;
    }
    if (!last && run->import->writes < import->batch)
        return EXIT_DONE;
    if (satchel_commit(import->cli->handle, NULL) != SATCHEL_OK)
        return cli_failed(import->cli);
    return EXIT_DONE;
}

/* Makes the record known by its names, for the references of rows to come. */
static void tell_lookups(struct running *run, const struct satchel_id *id)
{
    for (struct lookup *one = run->import->lookups; one; one = one->next) {
        if (one->table != run->step->table)
            continue;
        for (size_t i = 0; i < one->column_count; i++) {
            for (uint16_t k = 0; k < run->count; k++) {
                if (run->fields[k]->column->index != one->columns[i] ||
                    run->values[k].kind == SATCHEL_NULL)
                    continue;
                char *text =
                    cli_value_text(run->import->cli, run->fields[k]->column, &run->values[k]);
                lookup_add(one, text, id);
                free(text);
            }
        }
    }
}

static bool same(const struct satchel_value *a, const struct satchel_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case SATCHEL_NULL: return true;
    case SATCHEL_INT: return a->as.integer == b->as.integer;
    case SATCHEL_REAL: return a->as.real <= b->as.real && a->as.real >= b->as.real;
    case SATCHEL_TEXT:
    case SATCHEL_BLOB:
        return a->as.bytes.size == b->as.bytes.size &&
               (a->as.bytes.size == 0 ||
                memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.size) == 0);
    }
    return false;
}

/* A write that the engine does not take: of the row, or the end of the import. */
static int not_written(struct running *run, const struct source_row *row)
{
    const struct satchel_error *error = satchel_last_error(run->import->cli->handle);
    if (cli_exit_of(error->code) == EXIT_STORAGE)
        return cli_failed(run->import->cli);
    report_refused(run->import->report, row, "", "", error->message);
    return EXIT_DONE;
}

static int insert(struct running *run, const struct source_row *row, const char *key)
{
    struct satchel_id id = {{0}};
    uint16_t count = 0;
    /* What is empty is left to the column's default. */
    for (uint16_t i = 0; i < run->count; i++) {
        if (run->values[i].kind == SATCHEL_NULL)
            continue;
        run->columns[count] = run->columns[i];
        run->fields[count] = run->fields[i];
        run->values[count++] = run->values[i];
    }
    run->count = count;
    int failed = import_begin(run->import);
    if (failed)
        return failed;
    if (satchel_insert(run->import->cli->handle, run->step->table->id, &id, run->columns,
                       run->values, count) != SATCHEL_OK)
        return not_written(run, row);
    run->import->writes++;
    report_counts(run->import->report)->inserted++;
    known_add(run, key, &id, row);
    tell_lookups(run, &id);
    return EXIT_DONE;
}

/* Keeps of the row in hand only what differs from the record. *ret_names: which columns those are. */
static int keep_changes(struct running *run, const struct satchel_id *id, struct text *ret_names)
{
    uint16_t count = 0;
    enum satchel_code code = satchel_read(run->import->cli->handle, run->step->table->id, id,
                                          run->columns, run->now, run->count);
    if (code == SATCHEL_E_NOT_FOUND && run->import->dry_run) {
        run->count = 0; /* an earlier row of this dry run made it, and it was rolled back since */
        return EXIT_DONE;
    }
    if (code != SATCHEL_OK)
        return cli_failed(run->import->cli);
    for (uint16_t i = 0; i < run->count; i++) {
        const struct satchel_column *column = run->fields[i]->column;
        bool unsettable = run->values[i].kind == SATCHEL_NULL &&
                          (column->required || column->fallback.kind != SATCHEL_NULL);
        if (unsettable || same(&run->values[i], &run->now[i]))
            continue;
        text_addf(ret_names, "%s%s", ret_names->size ? ", " : "", column->name);
        run->columns[count] = run->columns[i];
        run->fields[count] = run->fields[i];
        run->values[count++] = run->values[i];
    }
    run->count = count;
    return EXIT_DONE;
}

static int update(struct running *run, const struct source_row *row, size_t known)
{
    struct import *import = run->import;
    struct text names = {0};
    const struct satchel_id id = run->known[known].id;
    const struct source_row *first = run->known[known].row;
    int failed = keep_changes(run, &id, &names);
    if (!failed && run->count == 0) {
        report_counts(import->report)->unchanged += !run->again;
        if (!first) /* later rows of the key are held against this one, as when it was new */
            run->known[known].row = row;
    } else if (!failed && first && first != row) {
        char reason[512];
        snprintf(reason, sizeof reason,
                 "the key was in line %llu already, with another %s; the first was taken",
                 (unsigned long long)(first->line > 0 ? first->line : first->number),
                 text_get(&names));
        report_refused(import->report, row, "", "", reason);
    } else if (!failed) {
        failed = import_begin(run->import);
        enum satchel_code code = failed
                                     ? SATCHEL_OK
                                     : satchel_update(import->cli->handle, run->step->table->id,
                                                      &id, run->columns, run->values, run->count);
        if (!failed && code != SATCHEL_OK) {
            failed = not_written(run, row);
        } else if (!failed) {
            run->import->writes++;
            run->known[known].row = row;
            report_counts(import->report)->updated += !run->again;
            tell_lookups(run, &id);
        }
    }
    text_done(&names);
    return failed;
}

/* --- rows --------------------------------------------------------------------------------------- */

static bool is_empty(const struct source *source, const struct source_row *row)
{
    for (size_t i = 0; i < source->column_count; i++) {
        if (row->cells[i] && strspn(row->cells[i], " \t\r\n") < strlen(row->cells[i]))
            return false;
    }
    return true;
}

static bool is_promised(struct running *run)
{
    char *folded = text_fold(run->outcome.text);
    bool promised = map_at(&run->promised, folded, false) != NULL;
    free(folded);
    return promised;
}

/* The names that the row will be known by to references of its own table. */
static void promise(struct running *run, const struct source_row *row)
{
    struct step *step = run->step;
    for (size_t i = 0; i < step->field_count; i++) {
        const struct lookup *by = step->fields[i].by;
        for (size_t k = 0; by && by->table == step->table && k < by->column_count; k++) {
            for (size_t n = 0; n < step->field_count; n++) {
                const struct field *field = &step->fields[n];
                if (field->column->index != by->columns[k] || field->by ||
                    field_value(run->import, step, field, row, &run->pool, &run->outcome) !=
                        MADE_VALUE)
                    continue;
                char *folded = text_fold(run->outcome.text);
                map_at(&run->promised, folded, true);
                free(folded);
            }
        }
    }
    pool_done(&run->pool);
}

/* Makes the values of the row. MADE_VALUE: all are there; else the row is refused, or is for later. */
static enum made make(struct running *run, const struct source_row *row, bool last_time)
{
    struct step *step = run->step;
    run->count = 0;
    for (size_t i = 0; i < step->field_count; i++) {
        const struct field *field = &step->fields[i];
        enum made made = field_value(run->import, step, field, row, &run->pool, &run->outcome);
        if (made == MADE_LEAVE)
            continue;
        if (made == MADE_LATER && last_time && (run->again || is_promised(run))) {
            run->cut = true;
            continue;
        }
        if (made == MADE_LATER && last_time) {
            made = field->missing == MISSING_NULL ? MADE_VALUE : MADE_REFUSED;
            run->outcome.value = satchel_null();
            if (made == MADE_VALUE)
                report_note(run->import->report, row, field->column->name, run->outcome.text,
                            "names nothing here: left empty");
        }
        bool empty = made == MADE_VALUE && run->outcome.value.kind == SATCHEL_NULL;
        if (empty && field->column->required && field->column->fallback.kind == SATCHEL_NULL) {
            snprintf(run->outcome.reason, sizeof run->outcome.reason, "must not be empty");
            made = MADE_REFUSED;
        }
        if (made == MADE_REFUSED)
            report_refused(run->import->report, row, field->column->name, run->outcome.text,
                           run->outcome.reason);
        if (made != MADE_VALUE)
            return made;
        run->columns[run->count] = field->column->id;
        run->fields[run->count] = field;
        run->values[run->count++] = run->outcome.value;
    }
    return MADE_VALUE;
}

/* A required column that no field goes to: no row can be taken, so say it once. */
static int check_required(struct running *run)
{
    const struct satchel_table *table = run->step->table;
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct satchel_column *column = &table->columns[i];
        bool mapped = !column->required || column->fallback.kind != SATCHEL_NULL;
        for (size_t k = 0; k < run->step->field_count; k++)
            mapped |= run->step->fields[k].column == column;
        if (!mapped)
            cli_say(run->import->cli, "  %s: no column goes to '%s', which new records need",
                    table->name, column->name);
    }
    return EXIT_DONE;
}

/* *ret_later: it names a record of this table that is not there yet. */
static int take(struct running *run, const struct source_row *row, bool last_time, bool *ret_later)
{
    struct report *report = run->import->report;
    *ret_later = false;
    if (row->bad || is_empty(run->source, row)) {
        report_refused(report, row, "", "", row->bad ? row->bad : "every field is empty");
        return EXIT_DONE;
    }
    enum made made = make(run, row, last_time);
    int failed = EXIT_DONE;
    if (made == MADE_LATER) {
        *ret_later = true;
    } else if (made == MADE_FAILED) {
        failed = EXIT_STORAGE;
    } else if (made == MADE_VALUE) {
        char *key = row_key(run);
        uint64_t *known = key ? map_at(&run->keys, key, false) : NULL;
        if (!key)
            report_refused(report, row, run->step->table->columns[run->step->key[0]].name, "",
                           "the key is empty");
        else if (known)
            failed = update(run, row, *known - 1);
        else
            failed = insert(run, row, key);
        free(key);
    }
    pool_done(&run->pool);
    return failed ? failed : end_group(run, false);
}

/* Rows that name others of the same file wait until those are there, round by round; what then still
 * waits for another that waits (or for itself) is taken without, and looked at again. */
static int take_all(struct running *run)
{
    size_t waiting = run->source->row_count, before, cut = 0;
    size_t *rows = need(calloc(waiting + 1, sizeof *rows));
    int failed = EXIT_DONE;
    bool last_time = false;
    for (size_t i = 0; i < waiting; i++)
        rows[i] = i;
    do {
        before = waiting;
        waiting = 0;
        for (size_t i = 0; i < before && !failed; i++) {
            bool later;
            run->cut = false;
            failed = take(run, &run->source->rows[rows[i]], last_time, &later);
            if (later)
                rows[waiting++] = rows[i];
            else
                progress_step(&run->progress, ++run->passed);
            if (run->cut)
                rows[cut++] = rows[i];
        }
        last_time = waiting == before;
        for (size_t i = 0; i < waiting && last_time; i++)
            promise(run, &run->source->rows[rows[i]]);
    } while (waiting > 0 && !failed);
    run->again = true;
    for (size_t i = 0; i < cut && !failed; i++) {
        bool later;
        failed = take(run, &run->source->rows[rows[i]], true, &later);
    }
    free(rows);
    return failed;
}

int step_run(struct import *import, struct step *step, const struct source *source)
{
    struct running run = {.import = import, .step = step, .source = source};
    size_t size = step->field_count + 1;
    if (step->key_count == 0) {
        /* Nothing names a record: one with the same values is the same. */
        for (size_t i = 0; i < step->field_count && step->key_count < KEY_COLUMNS_MAX; i++) {
            if (!step->fields[i].constant)
                step->key[step->key_count++] = step->fields[i].column->index;
        }
        cli_say(import->cli, "  %s: no key column: rows with the same values are the same record",
                source->name);
    }
    run.columns = need(calloc(size, sizeof *run.columns));
    run.fields = need(calloc(size, sizeof *run.fields));
    run.values = need(calloc(size, sizeof *run.values));
    run.now = need(calloc(size, sizeof *run.now));
    report_begin(import->report, step, source);
    report_counts(import->report)->read = source->row_count;
    int failed = check_required(&run);
    if (!failed &&
        satchel_list(import->cli->handle, step->table->name, NULL, on_existing, &run) != SATCHEL_OK)
        failed = cli_failed(import->cli);
    progress_begin(&run.progress, import->cli, source->name, "rows", source->row_count);
    if (!failed)
        failed = take_all(&run);
    if (!failed)
        failed = end_group(&run, true);
    progress_end(&run.progress);
    if (!failed)
        report_end(import->report);
    pool_done(&run.pool);
    map_done(&run.keys);
    map_done(&run.promised);
    free(run.known);
    free(run.columns);
    free(run.fields);
    free(run.values);
    free(run.now);
    return failed;
}
