#include "common/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "common/text.h"

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    char message[LOG_MESSAGE_MAX];
    va_list arguments;
    int wanted;

    if (log == NULL || log->write == NULL || level > log->level)
        return;
    va_start(arguments, format);
    wanted = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (wanted < 0)
        return;
    if ((size_t)wanted >= sizeof(message))
        message[utf8_whole(bytes_of_text(message))] = '\0';
    log->write(log->context, level, message);
}

const char *log_level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR: return "error";
    case LOG_LEVEL_WARNING: return "warning";
    case LOG_LEVEL_INFO: return "info";
    case LOG_LEVEL_DEBUG: return "debug";
    }
    return "unknown";
}
