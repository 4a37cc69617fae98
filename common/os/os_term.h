/* os_term.h - the terminal: is there one, how wide, and a progress line on stderr.
 *
 * Model:      progress_step() is cheap and may be called for each item; it redraws at most 10 times
 *             a second on a terminal. Off a terminal it is silent unless asked, and then writes a
 *             whole line at most every second.
 * Ownership:  the caller embeds struct progress; `label`, `unit` and `clock` are borrowed and must
 *             outlive it. */
#ifndef COMMON_OS_TERM_H
#define COMMON_OS_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"

#define OS_TERM_WIDTH_DEFAULT 80
#define PROGRESS_LINE_MAX     256 /* bytes with the terminator */

bool os_term_is_tty(int fd);
/* Columns, at least 20; OS_TERM_WIDTH_DEFAULT when unknown. */
int os_term_width(int fd);

struct progress {
    const char *label; /* "importing customers" */
    const char *unit;  /* "rows" */
    const struct clock *clock;
    uint64_t done, total; /* total 0: not known, so no bar and no time left */
    struct mono_time start, drawn;
    int fd;
    int width;         /* columns */
    bool tty, enabled; /* enabled: writes at all */
    bool shown;        /* something has been written */
};

/* To stderr. always: write even if stderr is not a terminal. */
void progress_init(struct progress *p, const char *label, const char *unit, uint64_t total,
                   const struct clock *clock, bool always);
/* done: so many of total are done (not: more). */
void progress_step(struct progress *p, uint64_t done);
/* Draws the last state and ends the line. No error when nothing was shown. */
void progress_end(struct progress *p);
/* The line as it would be drawn at `now`, terminated, fewer than `width` columns and size - 1 bytes:
 * "label  [=====>    ]  42%  1234/3000 rows  310/s  6 s left". */
void progress_render(const struct progress *p, struct mono_time now, char *out, size_t size);

#endif
