/* log.h - where messages for whoever runs a program go.
 *
 * Model:      an interface: the application decides what becomes of a message (os/os_log.h writes
 *             it to stderr); the cores only speak to this. A function either logs or returns an
 *             error.
 * Cost:       a message above `level` costs a comparison; others are formatted on the stack.
 * Ownership:  the caller embeds the struct; `context` belongs to whoever filled it in. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

/* Most severe first; the order is that of the comparison in log_write(). */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

#define LOG_MESSAGE_MAX 1024 /* bytes with the terminator; longer messages are cut */

struct log {
    /* `message` is one terminated line of UTF-8 without its line end, valid during the call. */
    void (*write)(void *context, enum log_level level, const char *message);
    void *context;
    enum log_level level; /* the least severe level that is written */
};

/* Formats (printf-like) and writes; does nothing when log or its write is NULL. */
void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "error", "warning", "info", "debug"; never NULL ("unknown"). */
const char *log_level_name(enum log_level level);

#endif
