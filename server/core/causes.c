/* causes.c - which dots are in effect here.
 *
 * Model:      a dot is in effect if its group was applied, under this number or another (renamed.c); what
 *             headquarters wrote itself is. The last ones looked for are kept.
 * Invariants: what is kept stands for itself, as dots get others to stand for them before they are in effect
 *             or never; a turn that is undone forgets them all.
 * Stored:     PARKED_INSERT (record, dot of a group that inserts it and is set aside) -> nothing: a change that is
 *             tried again may be set aside as well, before the first one is given up.
 * Cost:       an index into a table, or a receipt. */
#include "server/core/hub_internal.h"

#include <string.h>

static struct dot *known_slot(struct hub *hub, const struct dot *dot)
{
    uint64_t h = (dot->origin ^ dot->oseq * 0x9E3779B97F4A7C15ULL) * 0xFF51AFD7ED558CCDULL;
    return &hub->known[h >> 52 & (KNOWN_DOTS - 1)];
}

bool dot_is_known(struct hub *hub, const struct dot *dot)
{
    return dot_equal(known_slot(hub, dot), dot);
}

enum err dot_in_effect(struct hub *hub, const struct dot *named)
{
    struct dot stands = *named;
    const struct dot *dot = &stands;
    if (dot_is_known(hub, named))
        return ERR_OK;
    enum err e = renamed_find(hub, named, &stands);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    struct dot *slot = known_slot(hub, dot);
    struct origin *origin;
    e = origin_get(hub, dot->origin, &origin);
    if (e != ERR_OK)
        return e;
    if (!origin_decided(origin, dot->oseq))
        return ERR_NOT_FOUND;
    if (!uuid_is_nil(&origin->device)) {
        struct receipt receipt;
        e = receipt_find(hub, dot->origin, dot->oseq, &receipt);
        if (e != ERR_OK)
            return e;
        if (receipt.tag != dot->tag || receipt.code == RESULT_PARKED)
            return ERR_NOT_FOUND;
        if (receipt.code == RESULT_REJECTED || receipt.code == RESULT_DISCARDED)
            return ERR_FORBIDDEN;
    }
    *slot = *dot;
    return ERR_OK;
}

void dot_note_effect(struct hub *hub, const struct dot *dot)
{
    *known_slot(hub, dot) = *dot;
}

/* ---- records that groups which are set aside insert ---- */

void parked_insert_key(const uint8_t id[16], const struct dot *dot, uint8_t out[PARKED_INSERT_KEY])
{
    memcpy(out, id, 16);
    key_origin(dot->origin, dot->oseq, out + 16);
    be32_put(out + 16 + KEY_ORIGIN_SIZE, dot->tag);
}

static int take_dot(void *context, struct bytes key, struct bytes value)
{
    struct dot *dot = context;
    (void)value;
    if (key.size != PARKED_INSERT_KEY)
        return ERR_CORRUPT;
    const uint8_t *at = key.data + 16;
    *dot = (struct dot){be64_get(at), be64_get(at + 8), be32_get(at + 16)};
    return ERR_OK; /* the last one counts: the others have been tried again, most likely */
}

enum err parked_insert_find(struct hub *hub, const uint8_t id[16], struct dot *ret)
{
    uint8_t from[PARKED_INSERT_KEY], to[PARKED_INSERT_KEY];
    const struct dot first = {0}, last = {UINT64_MAX, UINT64_MAX, UINT32_MAX};
    parked_insert_key(id, &first, from);
    parked_insert_key(id, &last, to);
    return store_side_scan(hub->store, SIDE_PARKED_INSERT, bytes_of(from, sizeof from),
                           bytes_of(to, sizeof to), take_dot, ret);
}
