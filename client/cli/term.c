/* term.c - see term.h. */
#define _DEFAULT_SOURCE 1 /* struct winsize */
#include "term.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

int term_width(int fd)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    int given = columns ? atoi(columns) : 0;
    if (!isatty(fd))
        return 0;
    if (given >= 20)
        return given;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
        return size.ws_col;
    return 80;
}

int64_t term_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- progress ----------------------------------------------------------------------------------- */

void progress_begin(struct progress *progress, const struct cli *cli, const char *label,
                    const char *unit, uint64_t total)
{
    *progress = (struct progress){.label = label, .unit = unit, .total = total};
    progress->start_ms = term_now_ms();
    progress->enabled = isatty(STDERR_FILENO) && !cli->quiet && !cli->json;
}

static void draw(struct progress *progress, int64_t now_ms)
{
    struct text line = {0};
    int64_t elapsed = now_ms - progress->start_ms;
    uint64_t rate = elapsed > 0 ? progress->done * 1000 / (uint64_t)elapsed : 0;
    text_addf(&line, "%s  ", progress->label);
    if (progress->total > 0) {
        uint64_t done = progress->done > progress->total ? progress->total : progress->done;
        int filled = (int)(done * 20 / progress->total);
        text_add(&line, "[");
        for (int i = 0; i < 20; i++)
            text_add(&line, i < filled ? "=" : i == filled ? ">" : " ");
        text_addf(&line, "] %3d %%  %" PRIu64 "/%" PRIu64 " %s",
                  (int)(done * 100 / progress->total), done, progress->total, progress->unit);
        if (rate > 0)
            text_addf(&line, "  %" PRIu64 "/s  %" PRIu64 " s left", rate,
                      (progress->total - done + rate - 1) / rate);
    } else {
        text_addf(&line, "%" PRIu64 " %s  %" PRIu64 "/s", progress->done, progress->unit, rate);
    }
    int width = term_width(STDERR_FILENO) - 1;
    fprintf(stderr, "\r\033[K%.*s", width > 0 ? width : 79, line.data);
    fflush(stderr);
    text_done(&line);
    progress->shown = true;
    progress->drawn_ms = now_ms;
}

void progress_step(struct progress *progress, uint64_t done)
{
    progress->done = done;
    if (!progress->enabled)
        return;
    int64_t now_ms = term_now_ms();
    if (now_ms - progress->drawn_ms >= 100)
        draw(progress, now_ms);
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
    progress->enabled = false;
}

/* --- tables ------------------------------------------------------------------------------------- */

enum { GAP = 2, NARROWEST = 6 };

void table_begin(struct table *table, size_t columns)
{
    *table = (struct table){.columns = columns};
    table->headings = need(calloc(columns, sizeof *table->headings));
    table->right = need(calloc(columns, sizeof *table->right));
}

void table_heading(struct table *table, size_t column, const char *heading, bool right)
{
    table->headings[column] = heading;
    table->right[column] = right;
}

void table_cell(struct table *table, const char *text)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 256;
        table->cells = need(realloc(table->cells, table->capacity * sizeof *table->cells));
    }
    /* One line per row: what would break it is shown as a space. */
    char *copy = text_copy(text ? text : "");
    for (char *c = copy; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    }
    table->cells[table->count++] = copy;
}

/* Takes columns away from the widest until all fit. */
static void fit(int *widths, size_t columns, int total)
{
    for (;;) {
        int sum = -GAP;
        size_t widest = 0;
        for (size_t i = 0; i < columns; i++) {
            sum += widths[i] < 0 ? 0 : widths[i] + GAP;
            if (widths[i] > widths[widest])
                widest = i;
        }
        if (sum <= total || widths[widest] <= NARROWEST)
            return;
        widths[widest]--;
    }
}

static void print_cell(const char *text, int width, bool right, bool last)
{
    if (width < 0)
        return; /* left out */
    int own = text_width(text), shown = 0;
    if (own <= width) {
        printf("%*s%s", right ? width - own : 0, "", text);
        if (!last)
            printf("%*s", GAP + (right ? 0 : width - own), "");
        return;
    }
    for (size_t left = strlen(text); left > 0;) {
        uint32_t c;
        size_t bytes = text_decode(text, left, &c);
        if (shown + text_character_width(c) > width - 1)
            break;
        shown += text_character_width(c);
        fwrite(text, 1, bytes, stdout);
        text += bytes;
        left -= bytes;
    }
    fputs("…", stdout);
    if (!last)
        printf("%*s", GAP + width - 1 - shown, "");
}

void table_end(struct table *table, const struct cli *cli)
{
    size_t columns = table->columns;
    int *widths = need(calloc(columns, sizeof *widths));
    for (size_t i = 0; i < columns; i++)
        widths[i] = table->drop_empty && table->count > 0 ? -1 : text_width(table->headings[i]);
    for (size_t i = 0; i < table->count; i++) {
        int width = text_width(table->cells[i]), heading = text_width(table->headings[i % columns]);
        if (width > 0 && widths[i % columns] < heading)
            widths[i % columns] = heading;
        if (width > 0 && width > widths[i % columns])
            widths[i % columns] = width;
    }
    if (cli->width > 0)
        fit(widths, columns, cli->width);
    fputs(cli_style(cli, STYLE_BOLD), stdout);
    for (size_t i = 0; i < columns; i++)
        print_cell(table->headings[i], widths[i], table->right[i], i + 1 == columns);
    printf("%s\n", cli_plain(cli));
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % columns;
        print_cell(table->cells[i], widths[column], table->right[column], column + 1 == columns);
        if (column + 1 == columns)
            putchar('\n');
        free(table->cells[i]);
    }
    free(widths);
    free(table->cells);
    free(table->headings);
    free(table->right);
    *table = (struct table){0};
}
