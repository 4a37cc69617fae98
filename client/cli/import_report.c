/* import_report.c - what became of each row: counts, refused rows, notes; on the screen, in the errors
 * file, as JSON. */
#include <csv.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "import.h"
#include "term.h"

enum { NOTES_SHOWN = 20, JSON_REFUSALS_MAX = 1000 };

struct note {
    char *text; /* "city: blanks around it taken off" */
    uint64_t count, line;
};

struct report {
    struct import *import;
    FILE *errors; /* NULL: none asked for */
    bool errors_failed;
    const struct step *step;
    const struct source *source;
    struct counts counts, sum;
    uint64_t refused_shown;
    struct map note_map; /* text -> index + 1 */
    struct note *notes;
    size_t note_count;
    json_t *steps, *refusals;
};

static void write_line(struct report *report, const char *const *cells, size_t count)
{
    for (size_t i = 0; i < count && report->errors; i++) {
        if (i > 0)
            fputc(',', report->errors);
        csv_fwrite(report->errors, cells[i], strlen(cells[i]));
    }
    if (report->errors && fputs("\r\n", report->errors) < 0)
        report->errors_failed = true;
}

struct report *report_new(struct import *import)
{
    struct report *report = need(calloc(1, sizeof *report));
    report->import = import;
    report->steps = json_array();
    if (import->errors_path) {
        static const char *const header[] = {"kind",   "file",  "row",   "line",
                                             "column", "value", "reason"};
        report->errors = fopen(import->errors_path, "wb");
        if (!report->errors) {
            cli_failf(import->cli, EXIT_STORAGE, "%s: %s", import->errors_path, strerror(errno));
            json_decref(report->steps);
            free(report);
            return NULL;
        }
        write_line(report, header, 7);
    }
    return report;
}

struct counts *report_counts(struct report *report)
{
    return &report->counts;
}

void report_begin(struct report *report, const struct step *step, const struct source *source)
{
    report->step = step;
    report->source = source;
    report->counts = (struct counts){0};
    report->refusals = json_array();
    report->refused_shown = 0;
}

static void write_entry(struct report *report, const char *kind, const struct source_row *row,
                        const char *column, const char *value, const char *what)
{
    char number[24], line[24] = "";
    snprintf(number, sizeof number, "%" PRIu64, row->number);
    if (row->line > 0)
        snprintf(line, sizeof line, "%" PRIu64, row->line);
    const char *const cells[] = {kind, report->source->name, number, line, column, value, what};
    write_line(report, cells, 7);
}

void report_refused(struct report *report, const struct source_row *row, const char *column,
                    const char *value, const char *reason)
{
    struct cli *cli = report->import->cli;
    report->counts.refused++;
    write_entry(report, "refused", row, column, value, reason);
    if (json_array_size(report->refusals) < JSON_REFUSALS_MAX)
        json_array_append_new(report->refusals,
                              json_pack("{s:I, s:I, s:s, s:o, s:o}", "row", (json_int_t)row->number,
                                        "line", (json_int_t)row->line, "column", column, "value",
                                        cli_json_text(value), "reason", cli_json_text(reason)));
    if (report->refused_shown++ >= IMPORT_SHOWN || cli->json)
        return;
    if (term_width(STDERR_FILENO) > 0)
        fputs("\r\033[K", stderr); /* over the progress line */
    fprintf(stderr, "  %s:%" PRIu64 ": not taken: %s%s%.60s%s%s\n", report->source->name,
            row->line > 0 ? row->line : row->number, column,
            value[0]    ? " '"
            : column[0] ? ": "
                        : "",
            value, value[0] ? "': " : "", reason);
    if (report->refused_shown == IMPORT_SHOWN)
        fprintf(stderr, "  further ones are counted%s\n",
                report->errors ? ", and written to the errors file"
                               : "; --errors FILE has them all");
}

void report_note(struct report *report, const struct source_row *row, const char *column,
                 const char *value, const char *what)
{
    struct text text = {0};
    write_entry(report, "note", row, column, value, what);
    /* Names that were found in another spelling are told each, blanks per column. */
    if (strncmp(what, "blanks", 6) == 0 || strncmp(what, "the row", 7) == 0)
        text_addf(&text, "%s: %s", column, what);
    else
        text_addf(&text, "%s: '%.80s' %s", column, value, what);
    uint64_t *at = map_at(&report->note_map, text_get(&text), true);
    if (*at == 0) {
        report->notes =
            need(realloc(report->notes, (report->note_count + 1) * sizeof(struct note)));
        report->notes[report->note_count++] = (struct note){
            .text = text_copy(text_get(&text)), .line = row->line > 0 ? row->line : row->number};
        *at = report->note_count;
    }
    report->notes[*at - 1].count++;
    text_done(&text);
}

static json_t *counts_json(const struct counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "read", (json_int_t)counts->read, "inserted",
                     (json_int_t)counts->inserted, "updated", (json_int_t)counts->updated,
                     "unchanged", (json_int_t)counts->unchanged, "refused",
                     (json_int_t)counts->refused, "created", (json_int_t)counts->created);
}

static void tell_notes(struct report *report)
{
    for (size_t i = 0; i < report->note_count; i++) {
        const struct note *note = &report->notes[i];
        if (i < NOTES_SHOWN && !report->import->cli->json)
            cli_say(report->import->cli, "  note: %s (%" PRIu64 " %s, first at %" PRIu64 ")",
                    note->text, note->count, note->count == 1 ? "row" : "rows", note->line);
        if (i == NOTES_SHOWN && !report->import->cli->json)
            cli_say(report->import->cli, "  further notes: %zu; --errors FILE has them all",
                    report->note_count - NOTES_SHOWN);
    }
}

static void forget_notes(struct report *report)
{
    for (size_t i = 0; i < report->note_count; i++)
        free(report->notes[i].text);
    free(report->notes);
    report->notes = NULL;
    report->note_count = 0;
    map_done(&report->note_map);
}

void report_end(struct report *report)
{
    const struct counts *counts = &report->counts;
    struct cli *cli = report->import->cli;
    struct text form = {0};
    report->sum.read += counts->read;
    report->sum.inserted += counts->inserted;
    report->sum.updated += counts->updated;
    report->sum.unchanged += counts->unchanged;
    report->sum.refused += counts->refused;
    report->sum.created += counts->created;
    text_addf(&form, "%s, %s", report->source->kind, report->source->encoding);
    if (report->source->delimiter)
        text_addf(&form, ", delimiter %.1s",
                  report->source->delimiter == '\t' ? "t" : &report->source->delimiter);
    if (cli->json) {
        json_t *step = counts_json(counts), *notes = json_array();
        for (size_t i = 0; i < report->note_count; i++)
            json_array_append_new(notes, json_pack("{s:o, s:I, s:I}", "note",
                                                   cli_json_text(report->notes[i].text), "rows",
                                                   (json_int_t)report->notes[i].count, "first",
                                                   (json_int_t)report->notes[i].line));
        json_object_set_new(step, "file", cli_json_text(report->source->name));
        json_object_set_new(step, "table", json_string(report->step->table->name));
        json_object_set_new(step, "form", json_string(text_get(&form)));
        json_object_set_new(step, "notes", notes);
        json_object_set(step, "refusals", report->refusals);
        json_array_append_new(report->steps, step);
    } else {
        tell_notes(report);
        cli_say(cli,
                "%s (%s) -> %s: %" PRIu64 " read = %" PRIu64 " %s + %" PRIu64 " %s + %" PRIu64
                " unchanged + %" PRIu64 " not taken%s",
                report->source->name, text_get(&form), report->step->table->name, counts->read,
                counts->inserted, report->import->dry_run ? "would be new" : "new", counts->updated,
                report->import->dry_run ? "would change" : "changed", counts->unchanged,
                counts->refused, counts->created > 0 ? "; names made for references" : "");
    }
    text_done(&form);
    forget_notes(report);
    json_decref(report->refusals);
    report->refusals = NULL;
}

int report_done(struct report *report, int failed)
{
    struct cli *cli = report->import->cli;
    const struct counts *sum = &report->sum;
    if (report->errors) {
        report->errors_failed |= ferror(report->errors) != 0;
        report->errors_failed |= fclose(report->errors) != 0;
    }
    if (!failed && report->errors_failed)
        failed = cli_failf(cli, EXIT_STORAGE, "%s could not be written whole",
                           report->import->errors_path);
    if (!failed && cli->json) {
        json_t *json = json_object();
        json_object_set_new(json, "dry_run", json_boolean(report->import->dry_run));
        json_object_set_new(json, "total", counts_json(sum));
        json_object_set(json, "steps", report->steps);
        cli_print_json(json);
    } else if (!failed && !cli->quiet) {
        printf("%s: %" PRIu64 " rows read = %" PRIu64 " new + %" PRIu64 " changed + %" PRIu64
               " unchanged + %" PRIu64 " not taken\n",
               report->import->dry_run ? "dry run, nothing was written" : "imported", sum->read,
               sum->inserted, sum->updated, sum->unchanged, sum->refused);
        if (sum->refused > 0 && report->import->errors_path)
            printf("each row not taken, with its reason: %s\n", report->import->errors_path);
    }
    forget_notes(report);
    json_decref(report->refusals);
    json_decref(report->steps);
    if (!failed && sum->refused > 0)
        failed = EXIT_REFUSED;
    free(report);
    return failed;
}
