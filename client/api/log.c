#include "client/api/api_internal.h"

static void write_message(void *context, enum log_level level, const char *message)
{
    const struct api_log *to = context;
    to->fn(to->context, (enum satchel_log_level)level, message);
}

struct log api_log(struct api_log *to)
{
    return (struct log){
        .write = to->fn != NULL ? write_message : NULL, .context = to, .level = LOG_LEVEL_INFO};
}
