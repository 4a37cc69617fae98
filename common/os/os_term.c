#include "common/os/os_term.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MIN       20
#define REDRAW_TTY_US   100000
#define REDRAW_PLAIN_US 1000000
#define BAR_MIN         10
#define BAR_MAX         40

bool os_term_is_tty(int fd)
{
    return isatty(fd) == 1;
}

int os_term_width(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return OS_TERM_WIDTH_DEFAULT;
    return size.ws_col < WIDTH_MIN ? WIDTH_MIN : size.ws_col;
}

void progress_init(struct progress *p, const char *label, const char *unit, uint64_t total,
                   const struct clock *clock, bool always)
{
    *p = (struct progress){
        .label = label,
        .unit = unit,
        .clock = clock,
        .total = total,
        .start = clock_mono(clock),
        .fd = STDERR_FILENO,
        .width = os_term_width(STDERR_FILENO),
        .tty = os_term_is_tty(STDERR_FILENO),
    };
    p->drawn = p->start;
    p->enabled = p->tty || always;
}

/* Things a second since the start; 0 while unknown. */
static double rate_of(const struct progress *p, struct mono_time now)
{
    double seconds = (double)mono_elapsed_us(p->start, now) / 1e6;

    return seconds > 0 ? (double)p->done / seconds : 0;
}

/* "4 s", "2 min 5 s", "3 h 10 min". */
static void format_duration(double seconds, char *out, size_t size)
{
    if (seconds < 60)
        snprintf(out, size, "%.0f s", seconds);
    else if (seconds < 3600)
        snprintf(out, size, "%d min %d s", (int)(seconds / 60), (int)seconds % 60);
    else if (seconds < 1e6)
        snprintf(out, size, "%d h %d min", (int)(seconds / 3600), (int)seconds / 60 % 60);
    else
        snprintf(out, size, "days");
}

static void render_numbers(const struct progress *p, struct mono_time now, char *out, size_t size)
{
    double rate = rate_of(p, now);
    char left[32] = "";
    char of[32] = "";
    char percent[16] = "";
    uint64_t done = p->done < p->total ? p->done : p->total;

    if (p->total > 0) {
        snprintf(percent, sizeof(percent), "%3d%%  ", (int)((double)done * 100 / (double)p->total));
        snprintf(of, sizeof(of), "/%llu", (unsigned long long)p->total);
    }
    if (rate > 0 && done < p->total) {
        char duration[24];

        format_duration((double)(p->total - done) / rate, duration, sizeof(duration));
        snprintf(left, sizeof(left), "  %s left", duration);
    }
    snprintf(out, size, "%s%llu%s %s  %.0f/s%s", percent, (unsigned long long)p->done, of, p->unit,
             rate, left);
}

/* "[====>     ]  " into out, as wide as `columns` allows; nothing when that is too little. */
static void render_bar(const struct progress *p, int columns, char out[BAR_MAX + 8])
{
    int width = columns - 4; /* the brackets and two spaces */
    int filled;

    out[0] = '\0';
    if (p->total == 0 || width < BAR_MIN)
        return;
    if (width > BAR_MAX)
        width = BAR_MAX;
    filled = p->done >= p->total ? width : (int)((double)p->done * width / (double)p->total);
    out[0] = '[';
    for (int i = 0; i < width; i++)
        out[1 + i] = i < filled ? '=' : ' ';
    if (filled > 0 && filled < width)
        out[filled] = '>';
    memcpy(out + 1 + width, "]  ", 4);
}

/* Columns that UTF-8 text takes, a character for a column (labels are ours: no wide ones). */
static int columns_of(const char *text)
{
    int columns = 0;

    for (; *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

/* Ends the text after `columns` columns. */
static void cut_columns(char *text, int columns)
{
    for (; *text != '\0'; text++) {
        bool starts = ((unsigned char)*text & 0xc0) != 0x80;

        if (starts && columns-- == 0) {
            *text = '\0';
            return;
        }
    }
}

void progress_render(const struct progress *p, struct mono_time now, char *out, size_t size)
{
    char numbers[128];
    char bar[BAR_MAX + 8];
    char line[PROGRESS_LINE_MAX];
    int taken;

    render_numbers(p, now, numbers, sizeof(numbers));
    taken = columns_of(p->label) + 2 + columns_of(numbers);
    render_bar(p, p->width - 1 - taken, bar); /* terminals wrap when the last column is used */
    snprintf(line, sizeof(line), "%s  %s%s", p->label, bar, numbers);
    cut_columns(line, p->width - 1);
    snprintf(out, size, "%s", line);
}

static void draw(struct progress *p, struct mono_time now, bool last)
{
    char text[PROGRESS_LINE_MAX];
    char line[2 * PROGRESS_LINE_MAX];
    int padding = 0, size;
    ssize_t written;

    progress_render(p, now, text, sizeof(text));
    if (p->tty && p->width > columns_of(text) + 1)
        padding = p->width - 1 - columns_of(text); /* over what the line before left behind */
    if (padding > PROGRESS_LINE_MAX - 8)
        padding = PROGRESS_LINE_MAX - 8;
    size = snprintf(line, sizeof(line), "%s%s%*s%s", p->tty ? "\r" : "", text, padding, "",
                    last || !p->tty ? "\n" : "");
    written = write(p->fd, line, (size_t)size);
    (void)written; /* a progress line that cannot be written is no error */
    p->drawn = now;
    p->shown = true;
}

void progress_step(struct progress *p, uint64_t done)
{
    struct mono_time now;

    p->done = done;
    if (!p->enabled)
        return;
    now = clock_mono(p->clock);
    if (mono_elapsed_us(p->drawn, now) >= (p->tty ? REDRAW_TTY_US : REDRAW_PLAIN_US))
        draw(p, now, false);
}

void progress_end(struct progress *p)
{
    if (p->shown)
        draw(p, clock_mono(p->clock), true);
    p->enabled = false;
    p->shown = false;
}
