/* decide.c - one group at headquarters: duplicate, early, refused or applied.
 *
 * Model:      judge first, purely: decode, causes, rights, values, merge; then write. What is found wrong
 *             while judging parks the group; an error of the store undoes the whole turn.
 * Invariants: a dot gets one receipt; its mark is set in the same transaction; a group that waits
 *             has neither. Nothing queues behind a group that waits or is parked.
 * Source:     SPEC.md 11; DESIGN.md 5. */
#include "protocol/scan.h"
#include "server/core/judging.h"

#include <stdio.h>
#include <string.h>

void refuse(struct judging *j, enum reason reason, const struct model_table *table,
            const char *column, const char *what)
{
    j->reason = reason;
    snprintf(j->detail, sizeof j->detail, "%s%s%s%s%.180s", table ? table->name : "",
             column ? "." : "", column ? column : "", what && *what ? ": " : "", what ? what : "");
}

/* ---- values and rights ---- */

static void check_values(struct judging *j)
{
    for (uint32_t m = 0; m < j->group->mutation_count; m++) {
        const struct mutation *mutation = &j->group->mutations[m];
        const struct model_table *table = mutation->table;
        for (uint16_t i = 0; i < mutation->write_count; i++) {
            const struct unit_write *write = &mutation->writes[i];
            if (!write->values || write->unit->policy == MERGE_COUNTER)
                continue;
            for (uint16_t k = 0; k < write->unit->column_count; k++) {
                const struct model_column *column = &table->columns[write->unit->columns[k]];
                struct err_info info = {0};
                if (model_check_value(column, &write->values[k], &info) != ERR_OK) {
                    refuse(j, REASON_MODEL, table, column->name, info.message);
                    return;
                }
            }
        }
        if (j->author->audience->role < table->write_role) {
            refuse(j, REASON_RIGHTS, table, NULL, NULL);
            return;
        }
    }
}

/* A record has to fit into a frame, with all that is open about it. */
static size_t record_bytes(const struct model_table *table, const struct record *record)
{
    size_t size = 0;
    for (uint16_t i = 0; i < table->column_count; i++)
        if (record->values[i].kind == VALUE_TEXT || record->values[i].kind == VALUE_BLOB)
            size += record->values[i].as.bytes.size;
    for (uint16_t u = 0; u < record->version.unit_count; u++) {
        const struct unit_state *state = &record->version.units[u];
        uint16_t columns = table->units[state->unit].column_count;
        for (uint32_t p = 0; p < state->pair_count; p++)
            size += state->pairs[p].element.size;
        for (uint16_t c = 0; c < state->count; c++)
            for (uint16_t k = 0; k < columns; k++) {
                const struct candidate *candidate = &state->candidates[c];
                if (candidate->values && candidate->values[k].kind == VALUE_TEXT)
                    size += candidate->values[k].as.bytes.size;
                if (candidate->base && candidate->base[k].kind == VALUE_TEXT)
                    size += candidate->base[k].as.bytes.size;
            }
    }
    return size;
}

/* What only the whole record shows: required values, sizes. */
static void check_records(struct judging *j, const struct apply_report *report)
{
    for (uint32_t i = 0; i < report->count && j->reason == REASON_NONE; i++) {
        const struct applied_record *applied = &report->records[i];
        const struct value *values = applied->record.values;
        for (uint16_t c = 0; c < applied->table->column_count; c++) {
            const struct model_column *column = &applied->table->columns[c];
            bool text = values[c].kind == VALUE_TEXT;
            bool empty = values[c].kind == VALUE_NULL || (text && values[c].as.bytes.size == 0);
            if (text && values[c].as.bytes.size > MODEL_TEXT_MAX)
                refuse(j, REASON_TOO_LARGE, applied->table, column->name, NULL);
            if (applied->inserted && column->required && empty)
                refuse(j, REASON_REQUIRED, applied->table, column->name, NULL);
        }
        if (record_bytes(applied->table, &applied->record) > RECORD_BYTES_MAX)
            refuse(j, REASON_TOO_LARGE, applied->table, NULL, NULL);
    }
}

/* ---- outcomes ---- */

static enum err tell(struct judging *j, const struct dot *dot, enum result_code code)
{
    struct hub *hub = j->hub;
    if (j->author->peer_number == 0 && hub->followers == 0)
        return ERR_OK;
    struct live_result *last = hub->results_tail;
    if (last && !last->renamed && code == RESULT_APPLIED && last->result.code == code &&
        last->origin == dot->origin && last->result.oseq + last->result.count == dot->oseq &&
        last->result.count < RESULT_TAGS_MAX)
        return live_result_grow(hub, last, dot->tag);
    struct live_result *entry = arena_calloc(&hub->turn, 1, sizeof *entry);
    if (!entry)
        return ERR_NOMEM;
    entry->origin = dot->origin;
    entry->result = (struct group_result){.oseq = dot->oseq, .code = code, .reason = j->reason};
    enum err e = live_result_grow(hub, entry, dot->tag);
    if (e == ERR_OK)
        e = arena_copy(&hub->turn, bytes_of_text(j->detail), &entry->result.detail);
    if (e != ERR_OK)
        return e;
    if (last)
        last->next = entry;
    else
        hub->results_head = entry;
    hub->results_tail = entry;
    return ERR_OK;
}

static enum err settle(struct judging *j, const struct dot *dot, enum result_code code)
{
    enum err e = receipt_add(j->hub, dot, j->hash, code, j->reason);
    if (e == ERR_OK)
        e = origin_mark(j->hub, j->author->origin, dot->oseq);
    if (e == ERR_OK && j->group && !j->again)
        e = renamed_put(j->hub, &j->group->renamed, dot);
    if (e == ERR_OK)
        e = tell(j, dot, code);
    return e == ERR_OK && j->group ? follow_note_renamed(j->hub, &j->group->renamed) : e;
}

/* PARKED: reason u8, detail length u8, detail, group bytes. */
static enum err park(struct judging *j, const struct dot *dot)
{
    struct hub *hub = j->hub;
    uint8_t key[KEY_ORIGIN_SIZE];
    key_origin(dot->origin, dot->oseq, key);
    struct buf *b = &hub->payload;
    buf_reset(b);
    buf_append_byte(b, (uint8_t)j->reason);
    buf_append_byte(b, (uint8_t)strlen(j->detail));
    buf_append(b, j->detail, strlen(j->detail));
    buf_append(b, j->raw.data, j->raw.size);
    enum err e = b->error;
    if (e == ERR_OK)
        e = store_side_put(hub->store, SIDE_PARKED, bytes_of(key, sizeof key), buf_view(b));
    uint8_t insert[PARKED_INSERT_KEY];
    for (uint32_t m = 0; e == ERR_OK && j->group && m < j->group->mutation_count; m++) {
        parked_insert_key(j->group->mutations[m].id.byte, dot, insert);
        if (j->group->mutations[m].op == MUTATION_INSERT)
            e = store_side_put(hub->store, SIDE_PARKED_INSERT, bytes_of(insert, sizeof insert),
                               bytes_of(NULL, 0));
    }
    if (e != ERR_OK)
        return e;
    hub->parked_count++;
    hub->stats.groups_parked++;
    return settle(j, dot, RESULT_PARKED);
}

static enum err wait_for(struct judging *j, enum decision *ret)
{
    *ret = DECISION_WAITS;
    return waiting_put(j->hub, j->author, &j->missing, &j->group->dot, j->hash, j->raw);
}

/* Records that stay in their buckets, or are new. */
static enum err write_in_place(struct hub *hub, const struct apply_report *report,
                               const struct write_origin *of)
{
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < report->count; i++) {
        const struct applied_record *applied = &report->records[i];
        const struct store_row *old = world_row(hub, applied->table, &applied->id);
        struct write_origin origin = *of;
        if (!applied->result.revision_changes)
            continue; /* a delete that was lost: only told of */
        origin.mutation = i;
        e = write_record(hub, applied, old ? old->bucket : 0, &origin);
    }
    return e;
}

static enum err write_group(struct judging *j, const struct merge_context *context,
                            const struct apply_report *report)
{
    struct hub *hub = j->hub;
    bool moves = false;
    enum err e = move_in(hub, report, &moves);
    if (e != ERR_OK)
        return e;
    bool own = report->clean && !context->stamp_adjusted && !j->translated && !moves &&
               !j->purged.trimmed && report->count == j->group->mutation_count;
    struct write_origin origin = {.peer_number = own ? j->author->peer_number : 0,
                                  .oseq = context->dot.oseq,
                                  .dot = context->dot,
                                  .stamp = context->stamp};
    e = moves ? move_write(hub, report, &origin) : write_in_place(hub, report, &origin);
    for (uint32_t i = 0; e == ERR_OK && i < report->count; i++) {
        const struct applied_record *applied = &report->records[i];
        if (!needs_conflicts(applied))
            continue;
        bool restore = i < j->group->mutation_count &&
                       j->group->mutations[i].op == MUTATION_RESTORE &&
                       uuid_equal(&j->group->mutations[i].id, &applied->id);
        e = write_conflicts(hub, applied, &context->dot, context->stamp, restore);
    }
    if (e == ERR_OK)
        e = purged_tell(hub, &j->purged, &j->author->user, &context->dot, context->stamp);
    if (e != ERR_OK)
        return e;
    dot_note_effect(hub, &context->dot);
    bool clean = report->clean && j->purged.lost_count == 0 && !j->incomplete;
    if (clean)
        hub->stats.groups_applied++;
    else
        hub->stats.groups_merged++;
    if (j->incomplete)
        j->reason = REASON_LAPSED; /* what it was merged without stands in GIVEN_UP */
    /* of what the author may not see, not even that others changed it is told */
    return settle(j, &context->dot, clean || j->former ? RESULT_APPLIED : RESULT_MERGED);
}

/* Whether the group is here already, under this dot or the one it had before a fork. */
static enum err check_duplicate(struct hub *hub, const struct author *author, uint64_t oseq,
                                const struct group *head, const uint8_t hash[32],
                                enum decision *ret)
{
    struct receipt receipt;
    *ret = DECISION_DONE;
    if (origin_decided(author->origin, oseq)) {
        enum err e = receipt_find(hub, author->origin->id, oseq, &receipt);
        if (e != ERR_OK)
            return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
        bool same = receipt.tag == head->dot.tag && memcmp(receipt.hash, hash, 16) == 0;
        *ret = same ? DECISION_DUPLICATE : DECISION_FORK;
        return ERR_OK;
    }
    if (hub->waiting_count == 0)
        return ERR_OK;
    uint8_t key[KEY_ORIGIN_SIZE];
    key_origin(author->origin->id, oseq, key);
    struct bytes value;
    enum err e =
        store_side_get(hub->store, SIDE_WAITING, bytes_of(key, sizeof key), &hub->turn, &value);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK && value.size >= 80)
        *ret = memcmp(value.data + 48, hash, 32) == 0 ? DECISION_DUPLICATE : DECISION_FORK;
    return e;
}

/* The dot under which the group is decided already: its own is another one's, or the one that it had is, or
 * that one itself. */
static enum err stands_for(struct judging *j, struct dot *ret)
{
    enum err e = renamed_find(j->hub, &j->group->dot, ret);
    if (e == ERR_NOT_FOUND && !dot_is_none(&j->group->renamed))
        e = renamed_find(j->hub, &j->group->renamed, ret);
    if (e == ERR_NOT_FOUND) {
        *ret = j->group->renamed;
        e = ERR_OK;
    }
    return e;
}

/* A group of which another self was decided: the same identity, nothing to apply. */
static enum err check_renamed(struct judging *j, bool *ret_done)
{
    struct hub *hub = j->hub;
    struct dot stands;
    const struct dot *old = &stands;
    *ret_done = false;
    enum err e = stands_for(j, &stands);
    if (e != ERR_OK || dot_is_none(old))
        return e;
    struct origin *origin;
    e = origin_get(hub, old->origin, &origin);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && !origin_decided(origin, old->oseq)))
        return ERR_OK;
    struct receipt receipt;
    if (e == ERR_OK)
        e = receipt_find(hub, old->origin, old->oseq, &receipt);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (receipt.tag != old->tag)
        return ERR_OK;
    *ret_done = j->again = true;
    hub->stats.duplicates++;
    j->reason = (enum reason)receipt.reason;
    e = renamed_put(hub, &j->group->dot, old);
    if (e == ERR_OK && !dot_equal(&j->group->renamed, old))
        e = renamed_put(hub, &j->group->renamed, old);
    return e == ERR_OK ? settle(j, &j->group->dot, (enum result_code)receipt.code) : e;
}

/* Merges the group, without what it does to records that were purged. */
static enum err merge(struct judging *j, struct group *group, const struct merge_context *context,
                      struct apply_report *ret)
{
    struct hub *hub = j->hub;
    const struct apply_world world = {hub, world_get, world_children};
    world_reset(hub);
    enum err e = apply_group(hub->model, context, &world, group, ret);
    if (e != ERR_OK || ret->reason != REASON_NO_RECORD)
        return e;
    e = purged_look(hub, group, &j->purged);
    if (e != ERR_OK)
        return e;
    if (j->purged.refused) {
        refuse(j, REASON_PURGED, j->purged.refused->table, NULL, NULL);
        return ERR_OK;
    }
    world_reset(hub);
    *ret = (struct apply_report){.clean = true};
    return group->mutation_count ? apply_group(hub->model, context, &world, group, ret) : ERR_OK;
}

static enum err judge(struct judging *j, struct group *group, enum decision *ret)
{
    struct hub *hub = j->hub;
    bool done;
    enum err e = check_renamed(j, &done);
    if (e != ERR_OK || done)
        return e;
    e = judging_late(j);
    if (e != ERR_OK)
        return e;
    if (j->reason != REASON_NONE)
        return park(j, &j->group->dot);
    if (j->author->given_up)
        refuse(j, REASON_DEPENDS, NULL, NULL, NULL);
    else
        check_values(j);
    if (j->reason == REASON_MODEL && j->group->model_version > hub->model->version)
        return wait_for(j, ret); /* a symbol, a wider bound of a later model: models.c */
    if (j->reason == REASON_NONE)
        e = judging_causes(j);
    if (e != ERR_OK)
        return e;
    if (j->reason != REASON_NONE)
        return park(j, &j->group->dot);
    if (!dot_is_none(&j->missing))
        return wait_for(j, ret);
    struct merge_context context = {.dot = j->group->dot,
                                    .stamp = hlc_effective(j->group->stamp, &j->author->envelope),
                                    .mode = MERGE_DECIDE,
                                    .arena = &hub->turn};
    context.stamp_adjusted = context.stamp != j->group->stamp;
    j->stamp_ms = (int64_t)(context.stamp >> 16);
    struct apply_report report = {0};
    e = merge(j, group, &context, &report);
    if (e != ERR_OK)
        return e;
    if (j->reason != REASON_NONE)
        return park(j, &j->group->dot);
    if (report.reason != REASON_NONE)
        refuse(j, report.reason, j->group->mutations[report.refused_mutation].table,
               report.refused_column ? report.refused_column->name : NULL, NULL);
    else
        e = check_scope(j, &report);
    if (j->reason == REASON_NONE)
        check_records(j, &report);
    if (e != ERR_OK)
        return e;
    if (j->reason != REASON_NONE)
        return park(j, &j->group->dot);
    hub->hlc = hlc_learn(hub->hlc, context.stamp, hub->now.wall.ms);
    e = write_group(j, &context, &report);
    return e;
}

enum err decide_group(struct hub *hub, const struct author *author, uint64_t oseq, struct bytes raw,
                      const uint8_t hash[32], enum decision *ret)
{
    struct judging j = {.hub = hub, .author = author, .raw = raw, .hash = hash};
    struct group group = {0};
    struct err_info info = {0};
    *ret = DECISION_DONE;
    struct dot dot = {author->origin->id, oseq, 0};
    enum err e = scan_check(raw, &scan_limits_default);
    if (e == ERR_OK)
        e = group_peek(raw, &group);
    bool readable = e == ERR_OK && group.dot.origin == dot.origin && group.dot.oseq == oseq;
    if (readable)
        dot = group.dot;
    group.dot = dot;
    e = check_duplicate(hub, author, oseq, &group, hash, ret);
    if (e != ERR_OK)
        return e;
    if (*ret != DECISION_DONE) {
        if (*ret == DECISION_DUPLICATE)
            hub->stats.duplicates++;
        return ERR_OK;
    }
    if (!readable) {
        hub->stats.groups_rejected++;
        refuse(&j, REASON_MALFORMED, NULL, NULL, NULL);
        return settle(&j, &dot, RESULT_REJECTED);
    }
    e = group_decode(hub->model, raw, &hub->turn, &group, &info);
    if (e == ERR_NOMEM)
        return e;
    if (e == ERR_MODEL && group.model_version > hub->model->version) {
        j.group = &group; /* of a later model: models.c */
        return wait_for(&j, ret);
    }
    if (e != ERR_OK) {
        refuse(&j,
               e == ERR_MODEL   ? REASON_MODEL
               : e == ERR_LIMIT ? REASON_TOO_LARGE
                                : REASON_MALFORMED,
               NULL, NULL, info.message);
        return park(&j, &dot);
    }
    e = renamed_translate(hub, &group, &j.translated);
    if (e != ERR_OK)
        return e;
    j.group = &group;
    return judge(&j, &group, ret);
}
