/* replica_fates.c - what headquarters has decided of others: their groups leave the pending layer, with the
 * checkpoint that has what became of them.
 *
 * A branch keeps, besides, what it has to tell its devices: MARK origin -> as of the own one, the results
 * (replica_results.c); and the groups that came from below, until they are archived. One whose number is that of
 * another group, as headquarters has decided it, is kept as well: its author is told to renumber it (relay_forks).
 * Source:     SPEC.md 12.3, 12.5. */
#include "client/core/replica_install.h"
#include "client/core/replica_relay.h"
#include "protocol/mark.h"

#include <stdlib.h>
#include <string.h>

enum { FATES_MAX = 65536, FATES_ARENA_MAX = 16 << 20 };

void fates_drop(struct replica *r, uint64_t live)
{
    struct held_fate **at = &r->fates;
    r->fates_tail = NULL;
    while (*at) {
        struct held_fate *fate = *at;
        if (live != UINT64_MAX && fate->fates.live != live) {
            r->fates_tail = fate;
            at = &fate->next;
            continue;
        }
        *at = fate->next;
        arena_done(&fate->arena);
        free(fate);
        r->fate_count--;
    }
}

static enum err copy_fate(struct held_fate *fate, const struct message_fates *m)
{
    struct mark *mark = arena_calloc(&fate->arena, 1, sizeof *mark);
    struct oseq_range *ranges =
        arena_calloc(&fate->arena, m->marks[0].range_count + 1u, sizeof *ranges);
    struct group_result *results =
        arena_calloc(&fate->arena, m->results_count + 1u, sizeof *results);
    struct range_count *renamed =
        arena_calloc(&fate->arena, m->renamed_count + 1u, sizeof *renamed);
    if (!mark || !ranges || !results || !renamed)
        return ERR_NOMEM;
    if (m->renamed_count)
        memcpy(renamed, m->renamed, m->renamed_count * sizeof *renamed);
    *mark = m->marks[0];
    if (mark->range_count)
        memcpy(ranges, mark->ranges, mark->range_count * sizeof *ranges);
    mark->ranges = ranges;
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < m->results_count; i++) {
        results[i] = m->results[i];
        e = arena_copy(&fate->arena, m->results[i].detail, &results[i].detail);
        if (e == ERR_OK)
            e = arena_copy(&fate->arena, m->results[i].tags, &results[i].tags);
    }
    fate->fates = *m;
    fate->fates.marks = mark;
    fate->fates.results = results;
    fate->fates.renamed = renamed;
    return e;
}

enum err replica_fates(struct replica *r, const struct message_fates *m)
{
    if (m->marks_count != 1 || m->live > FEED_REPAIR)
        return ERR_PROTOCOL;
    if (r->fate_count >= FATES_MAX)
        return ERR_LIMIT;
    struct held_fate *fate = calloc(1, sizeof *fate);
    if (!fate)
        return ERR_NOMEM;
    arena_init(&fate->arena, FATES_ARENA_MAX);
    enum err e = copy_fate(fate, m);
    if (e != ERR_OK) {
        arena_done(&fate->arena);
        free(fate);
        return e;
    }
    if (r->fates_tail)
        r->fates_tail->next = fate;
    else
        r->fates = fate;
    r->fates_tail = fate;
    r->fate_count++;
    return ERR_OK;
}

/* ---- at the checkpoint ---- */

struct covered {
    const struct message_fates *fates;
    const struct mark *mark;
    uint64_t archived;
    struct arena *arena;
    const struct group_result *results; /* of a branch: all that it was told of the origin */
    uint32_t result_count;
    struct decided {
        uint64_t oseq;
        bool taken; /* by another group */
    } * decided;
    struct archived {
        uint64_t oseq, run;
    } * archive;
    uint32_t decided_count, decided_capacity, archive_count, archive_capacity;
};

/* Whether the group is one that was decided under another number. */
static bool is_renamed(const struct message_fates *fates, uint64_t oseq, struct bytes value)
{
    struct group head;
    for (uint32_t i = 0; i < fates->renamed_count; i++) /* those of copies have the same number */
        if (fates->renamed[i].number == oseq &&
            group_peek(bytes_of(value.data + PENDING_HEAD, value.size - PENDING_HEAD), &head) ==
                ERR_OK &&
            head.dot.tag == fates->renamed[i].count)
            return true;
    return false;
}

/* Whether it came from below, and is not the group that headquarters has decided under its number. */
static bool is_taken(const struct covered *list, uint64_t oseq, struct bytes value)
{
    struct bytes raw = bytes_of(value.data + PENDING_HEAD, value.size - PENDING_HEAD);
    return (value.data[0] & PENDING_WHOLE) &&
           relay_identity_of(list->results, list->result_count, list->mark->origin, oseq, raw) ==
               RELAY_OTHER;
}

static int collect_covered(void *context, struct bytes key, struct bytes value)
{
    struct covered *list = context;
    uint64_t oseq = be64_get(key.data + 8);
    if (value.size < PENDING_HEAD)
        return ERR_CORRUPT;
    bool decided = value.data[0] & PENDING_DECIDED;
    bool renamed = !decided && is_renamed(list->fates, oseq, value);
    if (!decided && (renamed || mark_covers(list->mark, oseq))) {
        struct decided *grown = arena_extend(list->arena, list->decided, list->decided_count,
                                             &list->decided_capacity, sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        list->decided = grown;
        grown[list->decided_count++] =
            (struct decided){oseq, !renamed && is_taken(list, oseq, value)};
        decided = true;
    }
    if (!decided || oseq > list->archived)
        return 0;
    struct archived *more = arena_extend(list->arena, list->archive, list->archive_count,
                                         &list->archive_capacity, sizeof *more);
    if (!more)
        return ERR_NOMEM;
    list->archive = more;
    more[list->archive_count++] = (struct archived){oseq, be64_get(value.data + 9)};
    return 0;
}

static bool in_effect(const struct message_fates *fates, uint64_t oseq)
{
    for (uint32_t i = 0; i < fates->results_count; i++) {
        const struct group_result *result = &fates->results[i];
        if (oseq >= result->oseq && oseq - result->oseq < result->count)
            return result->code == RESULT_APPLIED || result->code == RESULT_MERGED;
    }
    return true;
}

static enum err pending_delete(struct replica *r, uint64_t origin, uint64_t oseq, uint64_t run)
{
    uint8_t key[REPLICA_KEY];
    own_key(origin, oseq, key);
    cache_drop(r);
    enum err e = store_side_delete(r->store, SIDE_PENDING, bytes_of(key, sizeof key));
    return e == ERR_OK ? relay_run_gone(r, run, oseq) : e;
}

static enum err leave(struct install *in, const struct message_fates *fates,
                      const struct decided *decided)
{
    struct replica *r = in->r;
    uint64_t oseq = decided->oseq;
    uint64_t origin = fates->marks[0].origin;
    struct group *group;
    struct bytes value;
    uint8_t key[REPLICA_KEY];
    own_key(origin, oseq, key);
    enum err e = outbox_group(r, origin, oseq, &group);
    if (e == ERR_OK)
        e = install_leave(in, group, !decided->taken && in_effect(fates, oseq));
    if (e == ERR_MODEL || e == ERR_LIMIT || e == ERR_CORRUPT)
        e = ERR_OK; /* it was never shown */
    arena_reset(&in->entry);
    if (e == ERR_OK)
        e = store_side_get(r->store, SIDE_PENDING, bytes_of(key, sizeof key), &in->entry, &value);
    if (e == ERR_OK && value.size < PENDING_HEAD)
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return e;
    (void)hash_map_remove(&r->pending, bytes_of(key, sizeof key), NULL);
    if (!(value.data[0] & PENDING_WHOLE))
        return pending_delete(r, origin, oseq, be64_get(value.data + 9));
    struct bytes raw = bytes_of(value.data + PENDING_HEAD, value.size - PENDING_HEAD);
    if (!(value.data[0] & PENDING_UNREADABLE) && !outbox_readable(bytes_of(key, sizeof key), raw))
        return ERR_CORRUPT; /* it is kept for the day when headquarters is restored */
    buf_reset(&r->encode);
    buf_append(&r->encode, value.data, value.size);
    if (r->encode.error != ERR_OK)
        return r->encode.error;
    r->encode.data[0] |= PENDING_DECIDED | (decided->taken ? PENDING_TAKEN : 0);
    return store_side_put(r->store, SIDE_PENDING, bytes_of(key, sizeof key), buf_view(&r->encode));
}

enum err install_forget(struct install *in, const struct dot *dot)
{
    struct replica *r = in->r;
    struct group *group;
    struct bytes value;
    uint8_t key[REPLICA_KEY];
    own_key(dot->origin, dot->oseq, key);
    enum err e =
        store_side_get(r->store, SIDE_PENDING, bytes_of(key, sizeof key), &in->entry, &value);
    if (e == ERR_NOT_FOUND)
        return ERR_OK; /* an own one */
    if (e == ERR_OK && value.size < PENDING_HEAD)
        e = ERR_CORRUPT;
    if (e != ERR_OK || (value.data[0] & PENDING_WHOLE))
        return e;
    uint64_t run = be64_get(value.data + 9);
    e = outbox_group(r, dot->origin, dot->oseq, &group);
    if (e == ERR_OK)
        e = install_leave(in, group, false);
    if (e != ERR_OK)
        return e;
    (void)hash_map_remove(&r->pending, bytes_of(key, sizeof key), NULL);
    return pending_delete(r, dot->origin, dot->oseq, run);
}

static enum err take_fate(struct install *in, struct held_fate *fate)
{
    struct replica *r = in->r;
    const struct message_fates *fates = &fate->fates;
    const struct mark *mark = &fates->marks[0];
    if (mark->origin == r->origin)
        return ERR_OK;
    uint8_t from[REPLICA_KEY], to[REPLICA_KEY];
    own_key(mark->origin, 0, from);
    own_key(mark->origin, UINT64_MAX, to);
    struct covered list = {
        .fates = fates, .mark = mark, .archived = fates->archived, .arena = &in->arena};
    enum err e = ERR_OK;
    if (r->config.branch)
        e = relay_results_from(r->store, mark->origin, 0, &in->arena, &list.results,
                               &list.result_count);
    if (e == ERR_OK)
        e = store_side_scan(r->store, SIDE_PENDING, bytes_of(from, sizeof from),
                            bytes_of(to, sizeof to), collect_covered, &list);
    for (uint32_t i = 0; e == ERR_OK && i < list.decided_count; i++) {
        e = leave(in, fates, &list.decided[i]);
        if (list.decided[i].taken && !fate->forked)
            fate->forked = list.decided[i].oseq;
    }
    uint64_t needed = UINT64_MAX;
    if (e == ERR_OK && r->config.branch && list.archive_count > 0)
        e = relay_runs_from(r, mark->origin, fates->archived, &needed);
    for (uint32_t i = 0; e == ERR_OK && i < list.archive_count; i++)
        if (list.archive[i].oseq < needed)
            e = pending_delete(r, mark->origin, list.archive[i].oseq, list.archive[i].run);
    return e;
}

/* A branch notes all first: results may come in several messages, and tell whose groups they are. */
enum err install_fates(struct install *in)
{
    struct replica *r = in->r;
    enum err e = ERR_OK;
    for (struct held_fate *fate = r->fates; r->config.branch && e == ERR_OK && fate;
         fate = fate->next)
        if (fate->fates.live == in->checkpoint->live && fate->fates.marks[0].origin != r->origin)
            e = relay_note_fate(r, &fate->fates, &in->arena);
    for (struct held_fate *fate = r->fates; e == ERR_OK && fate; fate = fate->next)
        if (fate->fates.live == in->checkpoint->live)
            e = take_fate(in, fate);
    return e;
}
