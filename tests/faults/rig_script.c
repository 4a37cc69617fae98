/* What scripts do: administration, enrolment, sessions, transactions. Each tries until it is done. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "protocol/frame.h"
#include "tests/faults/rig.h"
#include "tests/lib/unfailing.h"

/* ---- administration ---- */

/* "code":"NAME" of an answer; ERR_OK where it is ok. */
static enum err code_of(const char *answer)
{
    const char *at = strstr(answer, "\"code\":\"");
    if (strstr(answer, "\"ok\":true") != NULL)
        return ERR_OK;
    for (int code = 1; at != NULL && code <= ERR_CONFLICT; code++) {
        const char *name = err_name((enum err)code);
        if (strncmp(at + 8, name, strlen(name)) == 0 && at[8 + strlen(name)] == '"')
            return (enum err)code;
    }
    return ERR_BUG;
}

static enum err ask(struct rig *rig, const char *request, char *out, size_t size)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    struct buf answer;
    out[0] = 0;
    rig_ready(rig, hub);
    buf_init(&answer, size - 1);
    rig_enter(rig, hub);
    enum err e = hub_admin(hub->hub, bytes_of_text(request), rig_hub_now(rig), &answer);
    rig_leave(rig, hub);
    if (e == ERR_OK) {
        memcpy(out, answer.data, answer.size);
        out[answer.size] = 0;
        e = code_of(out);
    }
    buf_done(&answer);
    rig_after(rig, hub, e);
    return e == ERR_OK && hub->store == NULL ? ERR_LINK : e;
}

const char *rig_admin(struct rig *rig, enum err already, const char *format, ...)
{
    static char answer[16384];
    char request[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(request, sizeof request, format, arguments);
    va_end(arguments);
    for (;;) {
        enum err e = ask(rig, request, answer, sizeof answer);
        if (e == ERR_OK || (already != ERR_OK && e == already)) {
            return answer;
        }
        if (err_class(e) != ERR_CLASS_RETRY && err_class(e) != ERR_CLASS_FATAL)
            rig_fail(rig, "%s: %s", request, answer);
        if (e == ERR_CORRUPT)
            rig_fail(rig, "%s: %s", request, answer);
        rig_in_vain(rig, request, e);
    }
}

void rig_add_user(struct rig *rig, const char *login)
{
    (void)rig_admin(rig, ERR_EXISTS, "{\"do\":\"user-add\",\"login\":\"%s\",\"role\":\"admin\"}",
                    login);
}

/* ---- sessions ---- */

/* What headquarters has said about this device's transactions: an ack promises the store. */
static void note_acknowledged(struct rig *rig, struct rig_node *device, bool over)
{
    struct replica_status status;
    struct uplink_progress progress;
    if (device->replica == NULL || device->uplink == NULL)
        return;
    rig_note_photo(rig, device);
    if (rig->restored && !over) /* what it was told before the restore does not count */
        return;
    replica_status(device->replica, &status);
    uplink_progress(device->uplink, &progress);
    for (int i = 0; i < rig->write_count; i++) {
        struct rig_write *write = &rig->writes[i];
        if (write->node == device->number && write->saved && write->dot.origin == status.origin &&
            (write->dot.oseq <= status.decided_upto ||
             write->dot.oseq <= progress.acknowledged_upto))
            write->decided = true;
    }
}

static void session_over(struct rig *rig, struct rig_node *device, enum err why)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    if (!device->up)
        return;
    note_acknowledged(rig, device, why == ERR_OK);
    rig_tell(rig, "node %d: the session ends, ERR_%s", device->number, err_name(why));
    device->why = why;
    device->revoked |= why == ERR_REVOKED;
    device->up = false;
    if (device->peer != NULL && hub->hub != NULL) {
        rig_enter(rig, hub);
        hub_detach(hub->hub, device->peer, rig_hub_now(rig));
        rig_leave(rig, hub);
    }
    device->peer = NULL;
    struct uplink_effects effects;
    rig_enter(rig, device);
    uplink_link_down(device->uplink, rig_device_now(rig), &effects);
    rig_leave(rig, device);
    if (device->store != NULL)
        rig_after(rig, device, why);
}

/* As the adapter does: a turn in any case (a batch that failed may be due again), then until nothing
 * is left. */
static void turns(struct rig *rig)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    for (int i = 0; hub->hub != NULL && (i == 0 || hub_has_work(hub->hub)); i++) {
        rig_enter(rig, hub);
        enum err e = hub_turn(hub->hub, rig_hub_now(rig));
        rig_leave(rig, hub);
        if (e != ERR_OK && err_class(e) != ERR_CLASS_FATAL)
            rig_fail(rig, "a turn ends with ERR_%s", err_name(e));
        if (e == ERR_CORRUPT)
            rig_fail(rig, "a turn ends with ERR_CORRUPT");
        rig_after(rig, hub, e);
        if (i > 1000)
            rig_fail(rig, "headquarters has work without end");
    }
}

/* A deadline that is now: an attachment is checked. */
static bool work(struct rig *rig, struct rig_node *device)
{
    struct uplink_effects effects = {0};
    if (!device->up || !uplink_works(device->uplink))
        return false;
    rig_enter(rig, device);
    uplink_tick(device->uplink, rig_device_now(rig), &effects);
    rig_leave(rig, device);
    if (effects.hang_up || sim_disk_is_down(device->disk))
        session_over(rig, device, effects.hang_up ? effects.why : ERR_IO);
    return true;
}

static bool frames_up(struct rig *rig, struct rig_node *device, struct buf *frame)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    bool moved = false;
    while (device->up) {
        struct uplink_effects effects = {0};
        rig_enter(rig, device);
        uplink_next_frame(device->uplink, rig_device_now(rig), frame, &effects);
        rig_leave(rig, device);
        size_t size = frame->size;
        if (size > 0 && hub->hub != NULL && device->peer != NULL) {
            rig_enter(rig, hub);
            hub_receive(hub->hub, device->peer, buf_view(frame), rig_hub_now(rig));
            rig_leave(rig, hub);
        }
        moved |= size > 0;
        if (effects.hang_up || sim_disk_is_down(device->disk))
            session_over(rig, device, effects.hang_up ? effects.why : ERR_IO);
        if (size == 0)
            break;
    }
    return moved;
}

static bool frames_down(struct rig *rig, struct rig_node *device, struct buf *frame)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    bool moved = false;
    while (device->up && hub->hub != NULL && device->peer != NULL) {
        struct uplink_effects effects = {0};
        rig_enter(rig, hub);
        hub_next_frame(hub->hub, device->peer, rig_hub_now(rig), frame);
        rig_leave(rig, hub);
        if (frame->size == 0)
            break;
        moved = true;
        rig_enter(rig, device);
        uplink_receive(device->uplink, buf_view(frame), rig_device_now(rig), &effects);
        rig_leave(rig, device);
        note_acknowledged(rig, device, false);
        if (effects.hang_up || sim_disk_is_down(device->disk))
            session_over(rig, device, effects.hang_up ? effects.why : ERR_IO);
    }
    return moved;
}

/* Whether headquarters wants to end the session. */
static bool is_hung_up(struct rig *rig, const struct rig_node *device)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    bool hang_up = false;
    while (hub->hub != NULL) {
        struct hub_effect effect = hub_next_effect(hub->hub);
        if (effect.kind == HUB_EFFECT_NONE)
            break;
        hang_up |= effect.kind == HUB_EFFECT_HANG_UP && effect.context == device;
    }
    return hang_up;
}

static void talk(struct rig *rig, struct rig_node *device)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    int quiet = 0;
    while (device->up) {
        struct buf frame;
        buf_init(&frame, FRAME_MAX);
        bool moved = work(rig, device);
        moved |= frames_up(rig, device, &frame);
        turns(rig);
        moved |= frames_down(rig, device, &frame);
        if (device->up && is_hung_up(rig, device)) {
            (void)frames_down(rig, device, &frame);
            session_over(rig, device, ERR_LINK);
        }
        buf_done(&frame);
        if (hub->hub == NULL)
            session_over(rig, device, ERR_LINK);
        quiet = moved ? 0 : quiet + 1;
        rig->now_ms += 1;
        if (quiet == 1)
            rig->now_ms += 150; /* a batch that is done again */
        if (quiet > 2)
            session_over(rig, device, ERR_TIMEOUT); /* a lost answer */
    }
}

static enum err start_session(struct rig *rig, struct rig_node *device,
                              const struct uplink_enrolment *enrolment)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    struct uplink_effects effects;
    const struct uplink_config config = {.replica = enrolment == NULL ? device->replica : NULL,
                                         .crypto = rig->crypto,
                                         .rng = &rig->rng,
                                         .agent = "faults",
                                         .once = true};
    uplink_free(device->uplink);
    device->uplink = NULL;
    rig_enter(rig, device);
    enum err e = uplink_new(&config, &device->identity, enrolment, &device->uplink);
    rig_leave(rig, device);
    if (e != ERR_OK)
        return e;
    rig_enter(rig, hub);
    e = hub_attach(hub->hub, device, rig_hub_now(rig), &device->peer);
    rig_leave(rig, hub);
    if (e != ERR_OK)
        return e;
    device->up = true;
    rig_enter(rig, device);
    uplink_link_up(device->uplink, rig_device_now(rig), &effects);
    rig_leave(rig, device);
    if (effects.hang_up)
        session_over(rig, device, effects.why);
    return ERR_OK;
}

enum err rig_session(struct rig *rig, struct rig_node *device)
{
    rig_ready(rig, &rig->nodes[RIG_HUB]);
    rig_ready(rig, device);
    rig->now_ms++;
    device->why = ERR_LINK;
    enum err e = start_session(rig, device, NULL);
    if (e != ERR_OK)
        return e;
    talk(rig, device);
    return device->why;
}

void rig_sync(struct rig *rig, struct rig_node *device)
{
    for (;;) {
        enum err e = rig_session(rig, device);
        if (e == ERR_OK || e == ERR_REVOKED) {
            return;
        }
        bool expected = err_class(e) == ERR_CLASS_RETRY || e == ERR_IO || e == ERR_CONFLICT;
        if (!expected && rig->failures == 0 && !rig->first_hit)
            rig_fail(rig, "node %d: a session ends with ERR_%s", device->number, err_name(e));
        rig_in_vain(rig, "a session", e);
    }
}

static enum err try_to_enrol(struct rig *rig, struct rig_node *device, const char *login)
{
    struct uplink_enrolment enrolment = {.name = login, .platform = "test"};
    struct uuid user, history;
    const char *name;
    const char *code = strstr(rig_admin(rig, ERR_OK, "{\"do\":\"enroll\",\"login\":\"%s\"}", login),
                              "\"code\":\"");
    if (code == NULL || text_parse_hex(bytes_of(code + 8, 32), enrolment.code, 16) != ERR_OK)
        rig_fail(rig, "no code");
    rig_ready(rig, &rig->nodes[RIG_HUB]);
    device->why = ERR_LINK;
    enum err e = start_session(rig, device, &enrolment);
    if (e != ERR_OK)
        return e;
    talk(rig, device);
    if (device->uplink == NULL ||
        uplink_enrolled(device->uplink, &device->identity.device, &user, &history, &name) != ERR_OK)
        return device->why == ERR_OK ? ERR_LINK : device->why;
    device->enrolled = true;
    return ERR_OK;
}

void rig_enrol_node(struct rig *rig, struct rig_node *device, const char *login)
{
    (void)rng_fill(&rig->rng, device->identity.seed, 32);
    device->identity.server_key[0] = 7;
    while (!device->enrolled) {
        enum err e = try_to_enrol(rig, device, login);
        if (e != ERR_OK)
            rig_in_vain(rig, "enrolment", e);
    }
}

struct rig_node *rig_enrol(struct rig *rig, const char *login)
{
    struct rig_node *device = rig_add_node(rig);
    rig_enrol_node(rig, device, login);
    return device;
}

/* ---- transactions ---- */

static const struct model_column *column_of(const struct model_table *table, const char *name)
{
    return model_column_by_name(table, bytes_of_text(name));
}

static enum err add_point(struct rig *rig, struct rig_node *device, struct err_info *info)
{
    const struct model_table *party = rig_table(device, "party");
    const uint16_t points = column_of(party, "points")->index;
    struct replica_record now;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    enum err e = replica_get(device->replica, party, &rig->shared, &arena, &now);
    if (e == ERR_OK) {
        const struct value value = value_int(now.record.values[points].as.integer + 1);
        e = replica_update(device->replica, party, &rig->shared, &points, &value, 1, false, info);
    }
    arena_done(&arena);
    return e;
}

static enum err transaction(struct rig *rig, struct rig_node *device, struct rig_write *write,
                            bool settle, struct err_info *info)
{
    const struct model_table *party = rig_table(device, "party");
    const uint16_t name = column_of(party, "name")->index;
    const struct value value = value_text(bytes_of_text(write->name));
    enum err e = replica_begin(device->replica, rig->now_ms);
    if (e != ERR_OK)
        return e;
    switch (write->kind) {
    case RIG_INSERT:
        e = replica_insert(device->replica, party, &write->id, &name, &value, 1, info);
        if (e == ERR_OK && !uuid_equal(&write->id, &rig->shared))
            e = add_point(rig, device, info);
        break;
    case RIG_SET:
        e = replica_update(device->replica, party, &write->id, &name, &value, 1, settle, info);
        break;
    case RIG_DELETE: e = replica_delete(device->replica, party, &write->id, info); break;
    }
    if (e == ERR_OK)
        e = replica_commit(device->replica, &write->dot);
    else if (replica_in_transaction(device->replica))
        replica_rollback(device->replica);
    return e;
}

/* Whether the device shows that it was done. */
static bool is_done(struct rig *rig, struct rig_node *device, const struct rig_write *write)
{
    const char *name = rig_name(rig, device, write->id);
    return strcmp(name, write->kind == RIG_DELETE ? "-" : write->name) == 0;
}

/* The dot of a transaction whose commit was not answered, and which has turned out to be there. */
static void find_dot(struct rig_node *device, struct rig_write *write)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    write->dot = (struct dot){status.origin, status.last_oseq, 0};
}

static void write_it(struct rig *rig, struct rig_node *device, enum rig_kind kind, struct uuid id,
                     const char *name, bool settle)
{
    struct rig_write *write = &rig->writes[rig->write_count];
    bool unknown = false;
    if (rig->write_count++ == RIG_WRITES)
        rig_fail(rig, "too many writes");
    *write = (struct rig_write){.kind = kind, .node = device->number, .id = id};
    (void)snprintf(write->name, sizeof write->name, "%s", name);
    for (int i = 0; i < rig->write_count - 1; i++) /* it may take effect before we know */
        if (uuid_equal(&rig->writes[i].id, &id) && rig->writes[i].node == device->number)
            rig->writes[i].over = true;
    for (;;) {
        struct err_info info = {0};
        rig_ready(rig, device);
        rig->now_ms++;
        if (unknown && is_done(rig, device, write)) {
            find_dot(device, write);
            break;
        }
        rig_enter(rig, device);
        enum err e = transaction(rig, device, write, settle, &info);
        rig_leave(rig, device);
        if (e == ERR_OK)
            write->saved = true; /* also if the power goes right after */
        rig_after(rig, device, e);
        if (e == ERR_OK)
            break;
        unknown = err_class(e) == ERR_CLASS_FATAL;
        if (!unknown && err_class(e) != ERR_CLASS_RETRY)
            rig_fail(rig, "a transaction ends with ERR_%s: %s", err_name(e), info.message);
        if (e == ERR_CORRUPT)
            rig_fail(rig, "a transaction ends with ERR_CORRUPT: %s", info.message);
        if (device->store != NULL && is_done(rig, device, write))
            rig_fail(rig, "a transaction that failed with ERR_%s is there", err_name(e));
        rig_in_vain(rig, "a transaction", e);
    }
    write->saved = true;
    rig_tell(rig, "node %d has written '%s'", device->number, write->name);
}

struct uuid rig_insert(struct rig *rig, struct rig_node *device, const char *name)
{
    struct uuid id;
    (void)rng_fill(&rig->rng, id.byte, sizeof id.byte);
    id.byte[6] = (uint8_t)(0x70 | (id.byte[6] & 15));
    id.byte[8] = (uint8_t)(0x80 | (id.byte[8] & 63));
    if (rig->write_count == 0)
        rig->shared = id;
    write_it(rig, device, RIG_INSERT, id, name, false);
    return id;
}

void rig_set(struct rig *rig, struct rig_node *device, struct uuid id, const char *name,
             bool settle)
{
    write_it(rig, device, RIG_SET, id, name, settle);
}

void rig_delete(struct rig *rig, struct rig_node *device, struct uuid id)
{
    write_it(rig, device, RIG_DELETE, id, "", false);
}

/* ---- backups ---- */

/* A file of that name is whole, even if nobody was told that it is there. */
static void check_whole(struct rig *rig, const char *path)
{
    struct rig_node other = rig->nodes[RIG_HUB];
    struct store *store = NULL;
    struct err_info info = {0};
    other.disk = sim_disk_new(0);
    other.files = sim_disk_files(other.disk);
    (void)sim_disk_carry(rig->nodes[RIG_HUB].disk, path, other.disk, path);
    if (rig_open_store(&other, path, true, &store, &info) != ERR_OK)
        rig_fail(rig, "half a copy has the name: %s", info.message);
    if (store_sqlite_verify(store, rig_problem, rig) != ERR_OK)
        rig_fail(rig, "half a copy has the name");
    store_close(store);
    sim_disk_free(other.disk);
}

static enum err copy(struct rig *rig, const char *source, const char *path, struct err_info *info)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    struct store *store = NULL;
    if (strcmp(source, RIG_STORE) == 0)
        return store_sqlite_backup(hub->store, path, NULL, NULL, info);
    enum err e = rig_open_store(hub, source, true, &store, info);
    if (e == ERR_OK)
        e = store_sqlite_backup(store, path, NULL, NULL, info);
    store_close(store);
    return e;
}

void rig_back_up(struct rig *rig, const char *source, const char *path)
{
    struct rig_node *hub = &rig->nodes[RIG_HUB];
    for (;;) {
        struct err_info info = {0};
        if (strcmp(source, RIG_STORE) == 0)
            rig_ready(rig, hub);
        else
            rig_start_machine(rig, hub);
        if (sim_disk_exists(hub->disk, path)) { /* whoever runs it would take another name */
            check_whole(rig, path);
            (void)sim_disk_remove(hub->disk, path);
        }
        rig_enter(rig, hub);
        enum err e = copy(rig, source, path, &info);
        rig_leave(rig, hub);
        rig_after(rig, hub, e);
        if (e == ERR_OK)
            break;
        /* CORRUPT: the copy could not be read back, and is refused for that. */
        if (err_class(e) != ERR_CLASS_RETRY && err_class(e) != ERR_CLASS_FATAL && e != ERR_EXISTS)
            rig_fail(rig, "the backup ends with ERR_%s: %s", err_name(e), info.message);
        rig_in_vain(rig, "a backup", e);
    }
}
