#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/text.h"

struct err_row {
    const char *name;
    const char *text;
    enum err_class class;
};

static const struct err_row *err_row(enum err code)
{
    static const struct err_row rows[] = {
#define ERR_ROW(name, value, class, text) [value] = {#name, text, ERR_CLASS_##class},
        ERR_LIST(ERR_ROW)
#undef ERR_ROW
    };
    static const struct err_row unknown = {"UNKNOWN", "unknown error", ERR_CLASS_BUG};
    size_t index = (size_t)code;

    /* Codes also arrive from the wire, so any number may be asked about. */
    if (index >= sizeof(rows) / sizeof(rows[0]) || rows[index].name == NULL)
        return &unknown;
    return &rows[index];
}

const char *err_name(enum err code)
{
    return err_row(code)->name;
}

enum err_class err_class(enum err code)
{
    return err_row(code)->class;
}

const char *err_text(enum err code)
{
    return err_row(code)->text;
}

enum err err_set(struct err_info *info, enum err code, const char *format, ...)
{
    va_list arguments;
    int wanted;

    if (info == NULL)
        return code;
    info->code = code;
    info->native = 0;
    va_start(arguments, format);
    wanted = vsnprintf(info->message, sizeof(info->message), format, arguments);
    va_end(arguments);
    if (wanted < 0)
        info->message[0] = '\0';
    else if ((size_t)wanted >= sizeof(info->message))
        info->message[utf8_whole(bytes_of_text(info->message))] = '\0';
    return code;
}
