/* replica_model.c - the model of a replica, and that of its server.
 *
 * Stored:     META "model_shown" -> the hash of the model with which what is shown was computed; "server_model" ->
 *             state u8, version BE4, text for people. MODELS: common/store_models.h.
 * Source:     SPEC.md 14, ADR-17. */
#include "client/core/replica_internal.h"
#include "common/model_change.h"
#include "common/store_models.h"

#include <string.h>

static const char shown_name[] = "model_shown";
static const char server_name[] = "server_model";

enum { SERVER_HEAD = 5 };

const struct model *replica_model(const struct replica *r)
{
    return r->model;
}

enum err model_is_new(struct replica *r, bool *ret)
{
    struct bytes value;
    enum err e = store_side_get(r->store, SIDE_META, bytes_of_text(shown_name), &r->arena, &value);
    *ret = e == ERR_NOT_FOUND || (e == ERR_OK && !bytes_equal(value, bytes_of(r->model->hash, 32)));
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err model_show_anew(struct replica *r)
{
    enum err e = hash_map_count(&r->pending) > 0 ? pending_show_again(r) : ERR_OK;
    return e == ERR_OK ? store_side_put(r->store, SIDE_META, bytes_of_text(shown_name),
                                        bytes_of(r->model->hash, 32))
                       : e;
}

enum err replica_model_was(struct replica *r, const uint8_t hash[32], bool *ret)
{
    enum err e = replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    e = store_models_was(r->store, hash, ret);
    store_rollback(r->store);
    return e;
}

/* Nothing was written here and nothing has come. */
static bool is_blank(const struct replica *r)
{
    return !r->bootstrapped && r->last_oseq == 0 && r->cursor_count == 0 && r->outbox_count == 0 &&
           r->sent_count == 0 && r->parked_count == 0 && r->stage_next == 0 &&
           hash_map_count(&r->pending) == 0;
}

enum err replica_model_learn(struct replica *r, const struct model *model,
                             const struct model_name *former, uint32_t former_count,
                             struct err_info *info)
{
    enum err e = model_extends(r->model, model, info);
    bool anew = e == ERR_MODEL && is_blank(r);
    if (e != ERR_OK && !anew)
        return e;
    e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    for (uint32_t i = 0; e == ERR_OK && i < former_count; i++)
        if (memcmp(former[i].hash, model->hash, 32) != 0)
            e = store_models_add(r->store, &former[i]);
    if (e == ERR_OK)
        e = store_models_next(r->store, model->text, anew);
    return replica_leave(r, e);
}

enum err replica_model_continues(struct replica *r, const struct model_name *former)
{
    enum err e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    return replica_leave(r, store_models_add(r->store, former));
}

/* ---- for people ---- */

enum err replica_note_server_model(struct replica *r, enum replica_model state, uint32_t version,
                                   const char *why)
{
    uint8_t value[SERVER_HEAD + 400];
    size_t size =
        strlen(why) < sizeof value - SERVER_HEAD ? strlen(why) : sizeof value - SERVER_HEAD;
    struct bytes before;
    value[0] = (uint8_t)state;
    be32_put(value + 1, version);
    memcpy(value + SERVER_HEAD, why, size);
    const struct bytes now = bytes_of(value, SERVER_HEAD + size);
    enum err e = replica_enter(r, STORE_READ);
    if (e != ERR_OK)
        return e;
    arena_reset(&r->arena);
    e = store_side_get(r->store, SIDE_META, bytes_of_text(server_name), &r->arena, &before);
    bool same = e == ERR_OK ? bytes_equal(before, now) : e == ERR_NOT_FOUND && state == MODEL_SAME;
    store_rollback(r->store);
    if (same || (e != ERR_OK && e != ERR_NOT_FOUND))
        return same ? ERR_OK : e;
    e = replica_enter(r, STORE_WRITE);
    if (e != ERR_OK)
        return e;
    return replica_leave(r, store_side_put(r->store, SIDE_META, bytes_of_text(server_name), now));
}

enum err replica_server_model(struct store *store, struct arena *arena, enum replica_model *ret,
                              uint32_t *ret_version, const char **ret_why)
{
    struct bytes value;
    enum err e = store_side_get(store, SIDE_META, bytes_of_text(server_name), arena, &value);
    *ret = MODEL_SAME;
    *ret_version = 0;
    *ret_why = "";
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK && (value.size < SERVER_HEAD || value.data[0] > MODEL_STRANGE))
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return e;
    *ret = (enum replica_model)value.data[0];
    *ret_version = be32_get(value.data + 1);
    *ret_why = arena_text(arena, bytes_of(value.data + SERVER_HEAD, value.size - SERVER_HEAD));
    return *ret_why ? ERR_OK : ERR_NOMEM;
}
