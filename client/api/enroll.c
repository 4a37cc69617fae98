#include "client/api/api_internal.h"

#include "client/api/join.h"
#include "common/os/os_clock.h"
#include "common/os/os_rng.h"

static enum err enroll(const struct satchel_enrollment *enrollment, const char *path,
                       struct err_info *info)
{
    if (os_file_exists(path))
        return err_set(info, ERR_EXISTS,
                       "'%s' is enrolled already: use another directory, or erase this one first",
                       enrollment->directory);
    struct api_log log_to = {enrollment->log, enrollment->log_context};
    const struct log log = api_log(&log_to);
    const struct clock clock = os_clock();
    const struct rng rng = os_rng();
    const struct join input = {.ticket = enrollment->ticket,
                               .name = enrollment->device_name,
                               .platform = enrollment->platform,
                               .timeout_ms = enrollment->timeout_ms,
                               .clock = &clock,
                               .rng = &rng,
                               .log = &log};
    struct identity identity = {0};
    enum err e = join_run(&input, &identity, info);
    if (e == ERR_OK)
        e = identity_save(path, &identity, info);
    identity_done(&identity);
    return e;
}

enum satchel_code satchel_enroll(const struct satchel_enrollment *enrollment,
                                 struct satchel_error *ret_error)
{
    struct err_info unwanted;
    struct err_info *info = ret_error != NULL ? (struct err_info *)(void *)ret_error : &unwanted;
    char path[OS_PATH_MAX], lock_path[OS_PATH_MAX];
    struct satchel_ticket ticket;
    struct os_lock lock;
    info->message[0] = '\0';
    if (enrollment->directory == NULL || enrollment->ticket == NULL)
        return (enum satchel_code)err_set(info, ERR_INVALID, "a directory and a ticket are needed");
    enum err e = ticket_parse(enrollment->ticket, &ticket, info); /* before a directory is made */
    crypto_wipe(&ticket, sizeof ticket);
    if (e == ERR_OK)
        e = os_dir_make(enrollment->directory, 0700, info);
    if (e == ERR_OK)
        e = api_path(enrollment->directory, IDENTITY_FILE, path, info);
    if (e == ERR_OK)
        e = api_path(enrollment->directory, "lock", lock_path, info);
    if (e == ERR_OK)
        e = os_lock_take(lock_path, &lock, info);
    if (e == ERR_OK) {
        e = enroll(enrollment, path, info);
        os_lock_release(&lock);
    }
    if (e != ERR_OK && info->message[0] == '\0')
        (void)err_set(info, e, "%s", err_text(e));
    return (enum satchel_code)e;
}
