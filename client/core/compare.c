/* compare.c - a comparison by ranges, in the course of a session.
 *
 * Model:      when a checkpoint leaves the replica with a digest that differs, its records are summed up
 *             while the session goes on as ever; then SUBSCRIBE asks the server to keep a snapshot, the
 *             checkpoint of which brings both to the same state, and questions go up until the rows of
 *             what differs come. Three round trips, while the buckets are of up to some ten million
 *             records and little differs. What that does not mend is read anew.
 * Source:     SPEC.md 9.5, 10.7; DESIGN.md 7. */
#include "client/core/uplink_internal.h"

/* Where comparing and reading anew do not help, doing it for ever would not either, and may cost the
 * user's money: the next session tries again. */
enum { REPAIRS_MAX = 3 };

static void end_unfounded(struct uplink *u, struct uplink_effects *effects)
{
    uplink_end(u, ERR_PROTOCOL,
               "the records that the server sends do not add up to its digest; run 'satcheld "
               "verify' there. Nothing of yours is lost: it goes on being sent",
               effects);
}

bool repair_begins(struct uplink *u, struct uplink_effects *effects)
{
    if (++u->repairs <= REPAIRS_MAX)
        return true;
    end_unfounded(u, effects);
    return false;
}

bool compare_scans(const struct uplink *u)
{
    if (u->shake != SHAKE_OPEN)
        return false;
    enum replica_compare state = replica_compare_state(u->config.replica);
    return state == COMPARE_SCAN || state == COMPARE_SCAN_PARTS;
}

bool compare_asks(const struct uplink *u)
{
    return u->shake == SHAKE_OPEN && replica_compare_state(u->config.replica) == COMPARE_ASK;
}

enum err compare_step(struct uplink *u)
{
    enum err e = replica_compare_scan(u->config.replica, UPLINK_COMPARE_ROWS);
    if (e == ERR_OK && replica_compare_state(u->config.replica) == COMPARE_READY) {
        u->send_subscribe = true;
        u->pull = PULL_WANTED;
        u->progress.live = false;
    }
    return e;
}

enum err compare_due(struct uplink *u, const struct replica_status *status,
                     struct uplink_effects *effects)
{
    struct replica *replica = u->config.replica;
    if (replica_compare_state(replica) == COMPARE_AGREES) { /* only the cursors were wrong */
        replica_compare_drop(replica);
        u->send_subscribe = true;
        u->pull = PULL_WANTED;
        return ERR_OK;
    }
    if (!status->differs || replica_compare_state(replica) != COMPARE_NONE ||
        !repair_begins(u, effects))
        return ERR_OK;
    enum err e = replica_compare_begin(replica);
    if (e == ERR_OK && compare_scans(u))
        return compare_step(u);       /* a small replica is read at once */
    u->send_subscribe |= e == ERR_OK; /* no snapshot can be had: anew */
    return e;
}

enum err compare_ask(struct uplink *u, struct buf *out)
{
    struct message m = {.type = MESSAGE_RANGES};
    enum err e = replica_compare_question(u->config.replica, &u->arena, &m.as.ranges);
    return e == ERR_OK ? uplink_send(u, &m, out) : e;
}

enum err on_differences(struct uplink *u, const struct message_differences *m,
                        struct uplink_effects *effects)
{
    enum err e = replica_compare_answer(u->config.replica, m);
    if (e != ERR_OK)
        return e;
    struct replica_status status;
    replica_status(u->config.replica, &status);
    if (replica_compare_state(u->config.replica) == COMPARE_UNFOUNDED)
        end_unfounded(u, effects);
    else if (status.reconcile && repair_begins(u, effects))
        u->send_subscribe = true; /* too much differs */
    else if (compare_scans(u))
        return compare_step(u);
    return ERR_OK;
}
