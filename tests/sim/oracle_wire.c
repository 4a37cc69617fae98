/* oracle_wire.c - what goes over the wire: no byte out of scope. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/sim/oracle.h"
#include "tests/sim/sight.h"

enum { CACHE = 16, INFLATED_MOST = 9 << 20, HEADER = 6 };

void wire_open(struct ledger *ledger)
{
    ledger->zlib = calloc(1, sizeof *ledger->zlib);
    ledger->inflated = malloc(INFLATED_MOST);
    if (!ledger->zlib || !ledger->inflated || inflateInit2(ledger->zlib, -15) != Z_OK)
        abort();
}

void wire_close(struct ledger *ledger)
{
    inflateEnd(ledger->zlib);
    free(ledger->zlib);
    free(ledger->inflated);
}

struct bytes oracle_payload(struct ledger *l, struct bytes frame)
{
    struct bytes payload = bytes_of(frame.data + HEADER, frame.size - HEADER);
    if ((frame.data[1] & 1) == 0)
        return payload;
    inflateReset(l->zlib);
    l->zlib->next_in = (Bytef *)(uintptr_t)payload.data; /* zlib does not write there */
    l->zlib->avail_in = (uInt)payload.size;
    l->zlib->next_out = l->inflated;
    l->zlib->avail_out = INFLATED_MOST;
    (void)inflate(l->zlib, Z_FINISH);
    return bytes_of(l->inflated, INFLATED_MOST - l->zlib->avail_out);
}

/* The buckets whose canaries are in the text. */
static uint64_t canaries(struct bytes text)
{
    uint64_t found = 0;
    for (size_t i = 0; i + 5 < text.size; i++) {
        const uint8_t *at = memchr(text.data + i, '@', text.size - i);
        if (!at)
            break;
        i = (size_t)(at - text.data);
        if (i + 5 >= text.size || at[1] != '@' || (at[2] != 'b' && at[2] != 'u'))
            continue;
        size_t k = i + 3;
        unsigned number = 0;
        while (k < text.size && text.data[k] >= '0' && text.data[k] <= '9' && number < 1000)
            number = number * 10 + (unsigned)(text.data[k++] - '0');
        if (k > i + 3 && k + 1 < text.size && text.data[k] == '@' && text.data[k + 1] == '@')
            found |= (uint64_t)1 << ((at[2] == 'b' ? number : number + BUCKET_USER) & 63);
    }
    return found;
}

static uint64_t frame_number(struct bytes frame)
{
    uint64_t hash = frame.size;
    for (size_t i = 0; i < frame.size; i++)
        hash = (hash ^ frame.data[i]) * 0x100000001b3;
    return hash | 1;
}

static uint64_t scopes_of_frame(struct ledger *l, struct bytes frame)
{
    uint64_t hash = frame_number(frame);
    size_t slot = hash >> 20 & (CACHE - 1);
    if (l->frame_hash[slot] != hash) {
        l->frame_hash[slot] = hash;
        l->frame_scopes[slot] = canaries(oracle_payload(l, frame));
    }
    return l->frame_scopes[slot];
}

uint64_t oracle_canaries(struct ledger *l, struct bytes frame)
{
    return scopes_of_frame(l, frame);
}

void oracle_sent_down(struct node *node, struct link *link, struct bytes frame)
{
    struct world *world = node->world;
    struct ledger *l = world->ledger;
    const struct node *device = &world->nodes[link->ends[LOWER]];
    if (frame.size < HEADER)
        return;
    enum message_type type = (enum message_type)frame.data[0];
    if (type == MESSAGE_WELCOME) {
        link->welcomed = true;
        world->cover[COVER_SESSIONS]++;
    }
    if (world->sight) {
        sight_look(node);
    } else if (node_is_branch(node)) {
        link->scopes |= oracle_scope_at(node, device->user); /* rights are those that it knows of */
    } else {
        if (link->welcomed)
            link->scopes |= l->people[device->user].scope;
        if (l->people_stale)
            oracle_people(world);
        if (l->people_stale)
            link->scopes = UINT64_MAX; /* nobody can say what it may see */
    }
    if (type != MESSAGE_PAGE && type != MESSAGE_CHECKPOINT && type != MESSAGE_FAILURE &&
        type != MESSAGE_PENDING && type != MESSAGE_FATES && type != MESSAGE_CHUNK)
        return;
    if (world->sight) {
        sight_wire(node, link, message_name(type), oracle_payload(l, frame));
        return;
    }
    uint64_t out = scopes_of_frame(l, frame) & ~link->scopes;
    for (unsigned i = 0; out && i < 64; i++)
        if (out >> i & 1) {
            broken(world, "nothing out of scope",
                   "a %s from %s to %s holds text of %s %u, which user u%u may not see",
                   message_name(type), node->name, device->name,
                   i < BUCKET_USER ? "branch" : "user", i < BUCKET_USER ? i : i - BUCKET_USER,
                   device->user);
            return;
        }
}

/* A Byzantine device keeps what it has pushed. */
void oracle_sent_up(struct node *node, struct link *link, struct bytes frame)
{
    (void)link;
    if (frame.size < HEADER || frame.data[0] != MESSAGE_PUSH)
        return;
    struct buf *keep = &node->pushes[node->push_count++ % OLD_PUSHES];
    buf_reset(keep);
    (void)buf_append(keep, frame.data, frame.size);
}
