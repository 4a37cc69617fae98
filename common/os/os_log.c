#include "common/os/os_log.h"

#include <string.h>
#include <unistd.h>

#include "common/os/os_clock.h"
#include "common/text.h"

#define LINE_MAX_BYTES ((size_t)LOG_MESSAGE_MAX + 64)

static void write_line(void *context, enum log_level level, const char *message)
{
    struct clock clock = os_clock();
    struct buf line;
    size_t start;
    ssize_t written;

    (void)context;
    buf_init(&line, LINE_MAX_BYTES);
    if (text_append_instant(&line, clock_wall(&clock).ms) != ERR_OK)
        text_append(&line, "-"); /* a clock beyond the year 9999 */
    text_append_format(&line, " %s ", log_level_name(level));
    start = line.size;
    buf_append(&line, message, strlen(message));
    for (size_t i = start; i < line.size; i++) {
        if (line.data[i] < 0x20 || line.data[i] == 0x7f)
            line.data[i] = '?';
    }
    buf_append_byte(&line, '\n');
    /* There is nowhere to report a failure to. */
    written = line.error == ERR_OK ? write(STDERR_FILENO, line.data, line.size) : 0;
    (void)written;
    buf_done(&line);
}

struct log os_log(enum log_level level)
{
    return (struct log){.write = write_line, .context = NULL, .level = level};
}
