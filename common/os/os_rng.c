#include "common/os/os_rng.h"

#include <errno.h>
#include <sys/random.h>

static enum err fill(void *context, void *out, size_t size)
{
    uint8_t *at = out;

    (void)context;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);

        if (got < 0 && errno != EINTR)
            return ERR_IO;
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return ERR_OK;
}

struct rng os_rng(void)
{
    return (struct rng){.fill = fill, .context = NULL};
}
