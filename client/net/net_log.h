/* net_log.h - what libwebsockets says, as messages of struct log.
 *
 * Model:      libwebsockets logs through one function for the whole process, so the log of the
 *             moment is kept per thread: net_log_enter() before calling into the library,
 *             net_log_leave() after. Outside, nothing is written.
 * Levels:     a peer can make the library complain as often as it likes, so its errors and warnings
 *             are debug messages here. What a caller must know comes back as an error code; the last
 *             complaint is kept for the text of such an error (net_log_last).
 * Threads:    any number, each with its own log. */
#ifndef CLIENT_NET_NET_LOG_H
#define CLIENT_NET_NET_LOG_H

#include "common/log.h"

/* Nests. log may be NULL: quiet. Returns what net_log_leave() takes. */
const struct log *net_log_enter(const struct log *log);
void net_log_leave(const struct log *before);
/* The last complaint of the library in this thread since net_log_clear(), "" if there was none;
 * valid until the next call into the library. */
const char *net_log_last(void);
void net_log_clear(void);

#endif
