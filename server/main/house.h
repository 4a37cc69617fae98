/* house.h - a data directory, opened: its files, lock, configuration, model, store and hub.
 *
 * Model:      headquarters', or, with the setting `upstream`, a branch's: then the hub serves a replica, which
 *             upstream.h keeps in touch with the server above.
 * Files:      hq.db (the store; a branch's: branch.db and upstream.json), tls.crt and
 *             tls.key, satcheld.conf, model.json (unless the model is the one built in), control.sock and
 *             address (while a server runs), lock.
 * Ownership:  the caller embeds it; house_close() accepts what house_open() left after a failure. */
#ifndef SERVER_MAIN_HOUSE_H
#define SERVER_MAIN_HOUSE_H

#include "common/os/os_file.h"
#include "common/store_sqlite/store_sqlite.h"
#include "server/core/hub.h"
#include "server/main/settings.h"

enum house_mode {
    HOUSE_MAKE,  /* init: takes the lock, may create hq.db, no hub */
    HOUSE_SERVE, /* takes the lock; the hub writes a new incarnation */
    HOUSE_LOOK, /* no lock, read-only, beside a running server; the hub only looks (a branch: no hub) */
    HOUSE_COPY,  /* as LOOK, of a file that may be an older program's: to copy it; no hub */
    HOUSE_FILES, /* takes the lock; no store, no hub */
};

struct house {
    const char *dir;
    struct settings settings;
    struct os_lock lock;
    struct clock clock;
    struct rng rng;
    struct log log;
    struct crypto *crypto;
    struct model *model;
    struct store *store;
    struct hub *hub;
    struct hub_config config;      /* of the hub */
    struct replica *replica;       /* of a branch */
    struct upstream *upstream;     /* the same */
    bool learned;                  /* a branch: its next model has come */
    void (*reopen)(void *context); /* NULL, or told so */
    void *reopen_context;
};

/* Reads satcheld.conf, with defaults where it says nothing. ERR_NOT_FOUND: no such directory. */
enum err house_init(struct house *house, const char *dir, struct err_info *info);
/* After house_init(). store_path: NULL for hq.db. ERR_NOT_FOUND: run init first; ERR_BUSY: another
 * satcheld works here; store and model errors. */
enum err house_open(struct house *house, enum house_mode mode, const char *store_path,
                    struct err_info *info);
/* Whether it is a branch's. */
/* The settings, as a hub takes them. */
struct hub_retention house_retention(const struct house *house);
bool house_is_branch(const struct house *house);
/* hub_admin(), and on a branch what takes its place. */
enum err house_admin(struct house *house, struct bytes request, struct buf *answer);
/* Another model is next: house_leave() and house_open() are due. */
bool house_reopens(const struct house *house);
/* Closes hub and store in this order; keeps settings, model and lock. */
void house_leave(struct house *house);
void house_close(struct house *house);

/* DIR/name, or name itself if it is absolute. ERR_INVALID: too long. */
enum err house_path(const struct house *house, const char *name, char out[OS_PATH_MAX],
                    struct err_info *info);
/* The server's pin: SHA-256 of its certificate's public key. */
enum err house_pin(const struct house *house, uint8_t pin[32], struct err_info *info);
struct hub_now house_now(const struct house *house);

#endif
