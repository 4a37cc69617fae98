/* ask.h - an administrator's request, to the running server or to the store itself.
 *
 * Model:      a server that runs answers on DIR/control.sock. When none does, the store is opened here:
 *             only to look if the request reads, otherwise as a start of headquarters would (which adds
 *             an incarnation; harmless, and seen in `starts`). */
#ifndef SERVER_MAIN_ASK_H
#define SERVER_MAIN_ASK_H

#include <jansson.h>

#include "server/main/house.h"

/* Takes the request (decref). *ret_answer is the answer's object, owned by the caller; an answer that
 * is not ok becomes the error that it names, with its message in info. ret_running may be NULL.
 * ERR_NOT_FOUND, ERR_BUSY (the server does not answer), ERR_LINK, and those of house_open(). */
enum err ask(struct house *house, json_t *request, bool writes, json_t **ret_answer,
             bool *ret_running, struct err_info *info);
/* Whether this is the place to ask. ERR_FORBIDDEN: a branch, and only headquarters has it. */
enum err ask_is_possible(const struct house *house, const json_t *request, struct err_info *info);
/* {"do": what}. */
json_t *ask_for(const char *what);
/* Sets a text unless it is NULL. */
void ask_with(json_t *request, const char *name, const char *text);

struct common_options;
/* The whole of a command that asks: opens the directory, asks, tells a failure. Returns an exit code;
 * on EXIT_DONE *ret_answer is the caller's. */
int ask_once(const struct common_options *common, json_t *request, bool writes,
             json_t **ret_answer);

#endif
