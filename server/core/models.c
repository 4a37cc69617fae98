/* models.c - the model of a customer file: told to who asks, changed by an administrator; groups of a later one.
 *
 * Later groups: a group that was written with a later model than this one (headquarters was restored to before a
 *             change, or the change is not here yet) and that this one cannot read is no mistake of its author: it waits,
 *             keyed by the dot that nobody has, and is judged once more when the model is another.
 * Stored:     META "models_judged" -> hash of the model with which those that wait were judged last.
 * Source:     SPEC.md 14, ADR-17. */
#include "common/model_change.h"
#include "common/store_models.h"
#include "server/core/hub_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char judged_name[] = "models_judged";

/* ---- telling ---- */

static enum err make_piece(struct hub *hub, uint64_t from, struct shared_frame **ret)
{
    const struct model *model = hub->model;
    const struct bytes *former = NULL;
    uint32_t former_count = 0;
    size_t rest = model->text.size - (size_t)from;
    enum err e =
        from == 0 ? store_models_list(hub->store, &hub->turn, &former, &former_count) : ERR_OK;
    const struct message answer = {
        .type = MESSAGE_MODEL,
        .as.model = {.version = model->version,
                     .hash = bytes_of(model->hash, 32),
                     .total = model->text.size,
                     .from = from,
                     .data = bytes_of(model->text.data + from,
                                      rest < MODEL_PIECE_MAX ? rest : MODEL_PIECE_MAX),
                     .former = former,
                     .former_count = former_count}};
    return e == ERR_OK ? frame_share(hub, &answer, ret) : e;
}

enum err handle_model_ask(struct hub *hub, struct peer *peer,
                          const struct message_model_ask *message)
{
    struct shared_frame *frame = message->from == 0 ? hub->model_frame : NULL;
    if (peer->session.state != PEER_OPEN || message->from >= hub->model->text.size)
        return ERR_PROTOCOL;
    if (peer->session.model_asks++ >= MODEL_ASKS_MAX) /* a text has few pieces */
        return ERR_PROTOCOL;
    enum err e = frame ? ERR_OK : make_piece(hub, message->from, &frame);
    if (e != ERR_OK)
        return e;
    e = peer_queue(hub, peer, frame);
    if (message->from == 0) /* mostly all there is; everybody asks for it after a change */
        hub->model_frame = frame;
    else
        frame_release(frame);
    return e;
}

/* ---- groups that wait for a later model ---- */

enum err models_load(struct hub *hub)
{
    struct bytes value;
    enum err e =
        store_side_get(hub->store, SIDE_META, bytes_of_text(judged_name), &hub->turn, &value);
    hub->models_due = hub->waiting_count > 0 && !hub->config.inspect &&
                      (e == ERR_NOT_FOUND || !bytes_equal(value, bytes_of(hub->model->hash, 32)));
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err models_release(struct hub *hub)
{
    const struct dot later = {0};
    enum err e = decide_waiting_again(hub, &later);
    return e == ERR_OK ? store_side_put(hub->store, SIDE_META, bytes_of_text(judged_name),
                                        bytes_of(hub->model->hash, 32))
                       : e;
}

static int count_one(void *context, struct bytes key, struct bytes value)
{
    (void)key;
    (void)value;
    ++*(json_int_t *)context;
    return 0;
}

enum err models_status(struct hub *hub, struct json_t *answer)
{
    static const uint8_t none[20], next[20] = {[19] = 1};
    json_int_t waiting = 0;
    enum err e = store_side_scan(hub->store, SIDE_WAITS_FOR, bytes_of(none, sizeof none),
                                 bytes_of(next, sizeof next), count_one, &waiting);
    json_object_set_new(answer, "model", json_string(hub->model->name));
    json_object_set_new(answer, "model_version", json_integer((json_int_t)hub->model->version));
    json_object_set_new(answer, "waiting_model", json_integer(waiting));
    return e;
}

/* ---- changing ---- */

struct extending {
    const struct model *later;
    const char *entry;
};

static enum err extend_body(struct hub *hub, void *context)
{
    const struct extending *x = context;
    enum err e = store_models_next(hub->store, x->later->text, false);
    return e == ERR_OK ? audit_append(hub, x->entry) : e;
}

static enum err commit_model(struct hub *hub, const struct model *later)
{
    char entry[200], hash[65];
    for (int i = 0; i < 32; i++)
        snprintf(hash + 2 * i, 3, "%02x", later->hash[i]);
    snprintf(entry, sizeof entry, "{\"what\":\"model\",\"version\":%u,\"hash\":\"%s\"}",
             (unsigned)later->version, hash);
    struct extending x = {later, entry};
    enum err e = hub_transact(hub, extend_body, &x);
    if (e != ERR_OK)
        return e;
    hub->reopens = true;
    for (struct peer *peer = hub->peers; peer; peer = peer->next)
        peer_fail(hub, peer, ERR_CLOSED, "the model has changed; connect again");
    return ERR_OK;
}

static void add_change(void *context, bool allowed, const char *text)
{
    json_array_append_new(context, json_pack("{s:b,s:s}", "allowed", allowed, "text", text));
}

/* What is wrong with a whole file that does not extend the model is told change by change. */
static void tell_changes(const struct model *model, struct bytes text, json_t *changes)
{
    struct model *later = NULL;
    if (model_parse(text, &later, NULL) == ERR_OK)
        (void)model_changes(model, later, add_change, changes, NULL);
    model_free(later);
}

static enum err extend(struct hub *hub, struct bytes text, bool dry_run, json_t *answer,
                       struct err_info *info)
{
    struct model *later = NULL;
    json_t *changes = json_array();
    json_object_set_new(answer, "changes", changes);
    if (hub->relay)
        return err_set(info, ERR_FORBIDDEN,
                       "the model is changed at headquarters; a branch learns it");
    if (hub->config.inspect && !dry_run)
        return err_set(info, ERR_FORBIDDEN, "this hub only looks");
    if (hub->reopens)
        return err_set(info, ERR_BUSY, "the model is being changed");
    enum err e = model_extend(hub->model, text, &later, info);
    if (e == ERR_MODEL)
        tell_changes(hub->model, text, changes);
    if (e != ERR_OK)
        return e;
    (void)model_changes(hub->model, later, add_change, changes, NULL);
    json_object_set_new(answer, "name", json_string(later->name));
    json_object_set_new(answer, "version", json_integer((json_int_t)later->version));
    e = dry_run ? ERR_OK : commit_model(hub, later);
    model_free(later);
    return e == ERR_OK ? ERR_OK : err_set(info, e, "the model was not changed: %s", err_text(e));
}

enum err hub_extend(struct hub *hub, struct bytes text, bool dry_run, struct hub_now now,
                    struct buf *answer)
{
    struct err_info info = {0};
    json_t *said = json_object();
    hub->now = now;
    enum err e = extend(hub, text, dry_run, said, &info);
    json_object_set_new(said, "ok", json_boolean(e == ERR_OK));
    if (e != ERR_OK) {
        json_object_set_new(said, "code", json_string(err_name(e)));
        json_object_set_new(said, "message", json_string(info.message));
    }
    char *line = json_dumps(said, JSON_COMPACT);
    e = line ? buf_append(answer, line, strlen(line)) : ERR_NOMEM;
    free(line);
    json_decref(said);
    return e;
}

bool hub_reopens(const struct hub *hub)
{
    return hub->reopens;
}
