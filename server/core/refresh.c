/* refresh.c - what a failure leaves to be done: memory that is not as the store has it, rights of live
 * sessions that have changed.
 *
 * Model:      after a transaction that failed, memory is dropped and read anew. Where that fails as well
 *             (no memory, a busy store), the hub is stale: it reads and writes nothing, and tries again
 *             at the next turn. A commit stands whatever fails after it. */
#include "server/core/hub_internal.h"
#include "server/core/relay.h"

static int count_entry(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return ERR_OK;
}

enum err side_count(struct hub *hub, enum store_side side, uint64_t *ret)
{
    *ret = 0;
    return store_side_scan(hub->store, side, bytes_of(NULL, 0), bytes_of(NULL, 0), count_entry,
                           ret);
}

static enum err state_reload(struct hub *hub)
{
    enum err e = store_begin(hub->store, STORE_READ);
    if (e != ERR_OK)
        return e;
    if (hub->relay) {
        e = relay_load(hub);
        store_rollback(hub->store);
        return e;
    }
    e = state_load(hub);
    if (e == ERR_OK)
        e = side_count(hub, SIDE_WAITING, &hub->waiting_count);
    if (e == ERR_OK)
        e = side_count(hub, SIDE_PARKED, &hub->parked_count);
    if (e == ERR_OK)
        e = side_count(hub, SIDE_RENAMED, &hub->renamed_count);
    if (e == ERR_OK)
        e = side_count(hub, SIDE_GIVEN_UP, &hub->given_up_count);
    if (e == ERR_OK)
        e = meta_get_u64(hub, "scope_revision", 1, &hub->scope_revision);
    if (e == ERR_OK)
        e = audit_load(hub);
    struct origin *origin;
    if (e == ERR_OK)
        e = origin_get(hub, hub->incarnation, &origin);
    if (e == ERR_OK)
        hub->own_oseq = origin->upto;
    store_rollback(hub->store);
    return e;
}

enum err hub_refresh(struct hub *hub)
{
    if (!hub->stale)
        return ERR_OK;
    state_drop(hub);
    enum err e = state_reload(hub);
    arena_reset(&hub->turn);
    if (e != ERR_OK) {
        hub->retry_us = hub->now.mono.us + HUB_RETRY_US;
        return e;
    }
    hub->stale = false;
    for (struct peer *peer = hub->peers; peer; peer = peer->next)
        if (peer->session.pull == PULL_CATCHING_UP)
            peer_want_write(peer); /* it was given nothing meanwhile */
    return ERR_OK;
}

enum err hub_renew_rights(struct hub *hub)
{
    hub->scope_due |= hub->scope_changed; /* by the turn that has been committed */
    if (!hub->scope_due)
        return ERR_OK;
    enum err e = scope_refresh(hub);
    if (e == ERR_OK) {
        hub->scope_due = false;
        for (struct peer *peer = hub->peers; peer; peer = peer->next)
            if (peer->session.pull == PULL_CATCHING_UP)
                peer_want_write(peer); /* it was given nothing meanwhile */
    } else if (err_class(e) == ERR_CLASS_RETRY)
        hub->retry_us = hub->now.mono.us + HUB_RETRY_US;
    return err_class(e) == ERR_CLASS_RETRY ? ERR_OK : e;
}
