#define _GNU_SOURCE /* getaddrinfo_a(); the flags of the tree name POSIX alone */

#include "client/net/resolve.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct resolve {
    struct gaicb question;
    struct addrinfo hints;
    char host[256];
};

enum err resolve_start(const char *host, struct resolve **ret)
{
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (!resolve) {
        return ERR_NOMEM;
    }
    strncpy(resolve->host, host, sizeof resolve->host - 1);
    resolve->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    resolve->question = (struct gaicb){.ar_name = resolve->host, .ar_request = &resolve->hints};
    struct gaicb *questions[1] = {&resolve->question};
    if (getaddrinfo_a(GAI_NOWAIT, questions, 1, NULL) != 0) {
        free(resolve);
        return ERR_LINK;
    }
    *ret = resolve;
    return ERR_OK;
}

enum err resolve_look(const struct resolve *resolve, uint32_t attempt, char out[RESOLVE_TEXT_SIZE],
                      const char **ret_why)
{
    const struct addrinfo *first = resolve->question.ar_result, *at;
    struct gaicb *question = (struct gaicb *)(uintptr_t)&resolve->question; /* is only looked at */
    uint32_t count = 0;
    int result = gai_error(question);
    if (result == EAI_INPROGRESS) {
        return ERR_BUSY;
    }
    if (result == 0) {
        for (at = first; at; at = at->ai_next) {
            count++;
        }
        at = first;
        for (uint32_t i = count > 0 ? attempt % count : 0; i > 0; i--) {
            at = at->ai_next;
        }
        result = at ? getnameinfo(at->ai_addr, at->ai_addrlen, out, RESOLVE_TEXT_SIZE, NULL, 0,
                                  NI_NUMERICHOST)
                    : EAI_NONAME;
    }
    if (ret_why) {
        *ret_why = result != 0 ? gai_strerror(result) : "";
    }
    return result == 0 ? ERR_OK : ERR_LINK;
}

void resolve_free(struct resolve *resolve)
{
    if (!resolve) {
        return;
    }
    /* Of one that is answered, gai_cancel() says for a moment that it is still at work. */
    if (gai_error(&resolve->question) == EAI_INPROGRESS &&
        gai_cancel(&resolve->question) == EAI_NOTCANCELED) {
        return; /* a thread will write to it; this is at the program's end, or as good as never */
    }
    if (resolve->question.ar_result) {
        freeaddrinfo(resolve->question.ar_result);
    }
    free(resolve);
}
