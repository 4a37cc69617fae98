/* attach.c - an attachment in the stories of the rig: what was promised of it, and what must never be seen. */
#include <string.h>

#include "client/core/replica_blobs.h"
#include "tests/faults/rig.h"
#include "tests/lib/unfailing.h"

enum { SIZE = 2 * BLOB_CHUNK + 100 };

static struct bytes content(void)
{
    static uint8_t data[SIZE];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    return bytes_of(data, sizeof data);
}

static bool look(struct rig_node *node)
{
    sim_disk_pause_faults(node->disk, true);
    if (node->store && store_begin(node->store, STORE_READ) == ERR_OK)
        return true;
    sim_disk_pause_faults(node->disk, false);
    return false;
}

static void look_away(struct rig_node *node)
{
    store_rollback(node->store);
    sim_disk_pause_faults(node->disk, false);
}

static struct blob state_of(const struct rig *rig, struct rig_node *node)
{
    struct blob blob = {.whole = false};
    enum err e = blob_get(node->store, rig->photo, &blob);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        rig_fail(rig, "an attachment of node %d cannot be read: ERR_%s", node->number, err_name(e));
    return blob;
}

/* Whatever is shown as whole is. */
static int is_right(void *context, const uint8_t hash[BLOB_HASH], const struct blob *blob)
{
    struct rig_node *const *looking = context;
    struct rig *rig = (struct rig *)(void *)looking[1];
    if (blob->whole && blob_verify(looking[0]->store, rig->crypto, hash, blob) != ERR_OK)
        rig_fail(rig, "node %d shows an attachment that is not whole", looking[0]->number);
    return 0;
}

void rig_check_photo(struct rig *rig, struct rig_node *node)
{
    struct rig_node *context[2] = {node, (struct rig_node *)(void *)rig};
    if (!look(node))
        rig_fail(rig, "node %d cannot be read", node->number);
    if (blob_scan(node->store, is_right, context) != ERR_OK)
        rig_fail(rig, "the attachments of node %d cannot be read", node->number);
    bool whole = state_of(rig, node).whole;
    look_away(node);
    if (rig->photo_saved && node->number == rig->photo_node && !whole)
        rig_fail(rig, "node %d has lost an attachment that was saved", node->number);
    if (rig->photo_confirmed && node->number == RIG_HUB && !whole)
        rig_fail(rig, "headquarters has lost an attachment that it had confirmed");
}

void rig_note_photo(struct rig *rig, struct rig_node *device)
{
    if (!rig->photo_saved || device->number != rig->photo_node || !look(device))
        return;
    rig->photo_confirmed |= state_of(rig, device).confirmed;
    look_away(device);
}

static enum err attach(struct rig *rig, struct rig_node *device, struct uuid *id)
{
    const struct model_table *contact = rig_table(device, "contact");
    const uint16_t columns[] = {model_column_by_name(contact, bytes_of_text("party"))->index,
                                model_column_by_name(contact, bytes_of_text("picture"))->index};
    struct replica *replica = device->replica;
    struct blob_writer writer = {.number = 0};
    struct bytes data = content();
    struct err_info info = {0};
    struct dot dot;
    enum err e = replica_blob_begin(replica, &writer);
    for (size_t at = 0; e == ERR_OK && at < data.size; at += BLOB_CHUNK)
        e = replica_blob_add(
            replica, &writer,
            bytes_of(data.data + at, data.size - at < BLOB_CHUNK ? data.size - at : BLOB_CHUNK));
    if (e == ERR_OK)
        e = replica_begin(replica, rig->now_ms);
    bool begun = e == ERR_OK;
    if (e == ERR_OK)
        e = replica_blob_end(replica, &writer, rig->photo);
    const struct value values[] = {value_blob(bytes_of(rig->shared.byte, 16)),
                                   value_blob(bytes_of(rig->photo, BLOB_HASH))};
    if (e == ERR_OK)
        e = replica_insert(replica, contact, id, columns, values, 2, &info);
    if (e == ERR_OK)
        e = replica_commit(replica, &dot);
    else if (begun && replica_in_transaction(replica))
        replica_rollback(replica);
    blob_writer_done(&writer);
    return e;
}

/* A commit that was not answered may have happened. */
static bool is_done(struct rig *rig, struct rig_node *device, const struct uuid *id)
{
    struct store_row row;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    if (!look(device))
        rig_fail(rig, "node %d cannot be read", device->number);
    enum err e = store_row_get(device->store, rig_table(device, "contact"), id, &arena, &row);
    look_away(device);
    arena_done(&arena);
    return e == ERR_OK;
}

void rig_attach(struct rig *rig, struct rig_node *device)
{
    struct uuid id = {{0}};
    rig->photo_node = device->number;
    for (;;) {
        rig_ready(rig, device);
        rig->now_ms++;
        if (!uuid_is_nil(&id) && is_done(rig, device, &id))
            break;
        id = (struct uuid){{0}};
        rig_enter(rig, device);
        enum err e = attach(rig, device, &id);
        rig_leave(rig, device);
        rig->photo_saved |= e == ERR_OK; /* also if the power goes right after */
        rig_after(rig, device, e);
        if (e == ERR_OK)
            return;
        if (err_class(e) != ERR_CLASS_FATAL && err_class(e) != ERR_CLASS_RETRY)
            rig_fail(rig, "attaching ends with ERR_%s", err_name(e));
        rig_in_vain(rig, "attaching", e);
    }
    rig->photo_saved = true;
}

void rig_check_photo_is_everywhere(struct rig *rig)
{
    for (int i = 0; i < rig->count; i++) {
        if (!look(&rig->nodes[i]))
            rig_fail(rig, "node %d cannot be read", i);
        bool whole = state_of(rig, &rig->nodes[i]).whole;
        look_away(&rig->nodes[i]);
        if (!whole)
            rig_fail(rig, "node %d lacks the attachment", i);
    }
}
