#include "server/net/server_net.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>

enum err server_net_stop_signals(int *ret_fd, struct err_info *info)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0) {
        return err_set(info, ERR_IO, "the signals to stop could not be blocked");
    }
    int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return err_set(info, errno == EMFILE || errno == ENFILE ? ERR_LIMIT : ERR_IO,
                       "the signals to stop could not be watched");
    }
    *ret_fd = fd;
    return ERR_OK;
}
