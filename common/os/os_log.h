/* os_log.h - log messages on stderr: "2026-11-22T10:00:00.000Z warning text". For applications. */
#ifndef COMMON_OS_LOG_H
#define COMMON_OS_LOG_H

#include "common/log.h"

/* One write(2) per message, so that lines of several threads do not mix. Control characters in the
 * message become '?' (a peer's text cannot forge lines or drive the terminal). */
struct log os_log(enum log_level level);

#endif
