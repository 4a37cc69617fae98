/* learn.c - the server's model, where it is not the replica's.
 *
 * Model:      CHALLENGE names it. One that the replica's continues is of a server that is behind: what it sends is
 *             right (rows of it lack new columns, which have their defaults), and what it cannot read waits there.
 *             Any other is asked for, and nothing else is said until it has come. If it extends the replica's, it is
 *             noted as the store's next and the session ends: whoever owns the store opens it anew. If this program
 *             cannot read it, but the server says that it continues the replica's, writes go up and nothing comes down.
 *             Any other is another file's, or was changed twice: nothing is said at all.
 * Source:     SPEC.md 14.3, ADR-17. */
#include "client/core/uplink_internal.h"

#include "common/model_change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void learn_done(struct uplink *u)
{
    buf_done(&u->model_text);
    free(u->model_former);
    u->model_former = NULL;
    u->model_former_count = 0;
}

static enum err note(struct uplink *u, enum replica_model state, const char *why)
{
    return replica_note_server_model(u->config.replica, state, (uint32_t)u->model_version, why);
}

enum err learn_begin(struct uplink *u)
{
    const struct model *model = replica_model(u->config.replica);
    bool same = memcmp(u->model_hash, model->hash, 32) == 0, was = false;
    u->learning = LEARN_NOTHING;
    if (same && u->model_version <= model->version)
        return note(u, MODEL_SAME, "");
    enum err e = same ? ERR_OK : replica_model_was(u->config.replica, u->model_hash, &was);
    if (e != ERR_OK)
        return e;
    if (was)
        return note(u, MODEL_EARLIER, "");
    u->learning = LEARN_ASK;
    buf_reset(&u->model_text);
    return ERR_OK;
}

enum err learn_ask(struct uplink *u, struct buf *out)
{
    struct message m = {.type = MESSAGE_MODEL_ASK, .as.model_ask = {.from = u->model_text.size}};
    u->learning = LEARN_COMING;
    return uplink_send(u, &m, out);
}

/* ---- judging ---- */

static enum err go_on(struct uplink *u, enum replica_model state, const char *why)
{
    u->learning = LEARN_NOTHING;
    return note(u, state, why);
}

static bool continues(const struct uplink *u, const uint8_t hash[32])
{
    for (uint32_t i = 0; i < u->model_former_count; i++)
        if (memcmp(u->model_former[i].hash, hash, 32) == 0)
            return true;
    return false;
}

/* This program is too old for it, or it is no continuation of what is here. */
static enum err refuse(struct uplink *u, const struct err_info *info, bool strange,
                       struct uplink_effects *effects)
{
    if (strange && continues(u, replica_model(u->config.replica)->hash)) {
        snprintf(u->model_why, sizeof u->model_why,
                 "this program is too old for headquarters' model (%.70s). Update it; until then "
                 "what is "
                 "written here goes up, and nothing comes down",
                 info->message);
        u->learning = LEARN_REFUSED;
        u->send_subscribe = u->send_follow = false;
        u->pull = PULL_OFF;
        log_write(u->config.log, LOG_LEVEL_WARNING, "%s", u->model_why);
        return note(u, MODEL_STRANGE, u->model_why);
    }
    snprintf(u->model_why, sizeof u->model_why,
             "the server's model does not continue the one here (%.100s). Nothing is exchanged",
             info->message);
    enum err e = note(u, MODEL_STRANGE, u->model_why);
    if (e == ERR_OK)
        uplink_end(u, ERR_MODEL, u->model_why, effects);
    return e;
}

static enum err judge(struct uplink *u, const struct model *theirs, struct uplink_effects *effects)
{
    struct replica *replica = u->config.replica;
    const struct model *ours = replica_model(replica);
    struct err_info info = {0};
    struct model_name name = {.version = (uint32_t)u->model_version};
    char text[120];
    memcpy(name.hash, u->model_hash, 32);
    bool same = memcmp(theirs->hash, ours->hash, 32) == 0 && theirs->version <= ours->version;
    if (same || (memcmp(theirs->hash, ours->hash, 32) != 0 &&
                 model_extends(theirs, ours, NULL) == ERR_OK)) {
        enum err e =
            replica_model_continues(replica, &name); /* an older program's, or it was restored */
        return e == ERR_OK ? go_on(u, MODEL_EARLIER, "") : e;
    }
    enum err e =
        replica_model_learn(replica, theirs, u->model_former, u->model_former_count, &info);
    if (e == ERR_OK && memcmp(theirs->hash, u->model_hash, 32) != 0)
        e = replica_model_continues(replica, &name);
    if (e == ERR_MODEL)
        return refuse(u, &info, false, effects);
    if (e != ERR_OK)
        return e;
    effects->learned = true;
    snprintf(text, sizeof text, "headquarters' model has version %u now",
             (unsigned)theirs->version);
    uplink_end(u, ERR_CLOSED, text, effects);
    return ERR_OK;
}

static enum err whole(struct uplink *u, struct uplink_effects *effects)
{
    struct model *theirs = NULL;
    struct err_info info = {0};
    enum err e = model_parse_whole(buf_view(&u->model_text), u->model_hash, &theirs, &info);
    if (e == ERR_NOMEM || e == ERR_CRYPTO || e == ERR_MALFORMED)
        return e;
    if (e == ERR_OK)
        e = judge(u, theirs, effects);
    else
        e = refuse(u, &info, true, effects);
    model_free(theirs);
    buf_done(&u->model_text);
    buf_init(&u->model_text, MODEL_WHOLE_MAX);
    return e;
}

enum err on_model(struct uplink *u, const struct message_model *m, struct uplink_effects *effects)
{
    if (u->learning != LEARN_COMING || m->from != u->model_text.size || m->data.size == 0 ||
        m->total > MODEL_WHOLE_MAX || m->data.size > m->total - m->from ||
        !bytes_equal(m->hash, bytes_of(u->model_hash, 32)))
        return ERR_PROTOCOL;
    if (m->from == 0) {
        free(u->model_former);
        u->model_former_count = 0;
        u->model_former = calloc(m->former_count + 1u, sizeof *u->model_former);
        if (!u->model_former)
            return ERR_NOMEM;
        for (uint32_t i = 0; i < m->former_count; i++)
            if (model_name_read(m->former[i], &u->model_former[i]) != ERR_OK)
                return ERR_MALFORMED;
        u->model_former_count = m->former_count;
    }
    enum err e = buf_append(&u->model_text, m->data.data, m->data.size);
    if (e != ERR_OK)
        return e;
    if (u->model_text.size == m->total)
        return whole(u, effects);
    u->learning = LEARN_ASK;
    return ERR_OK;
}
