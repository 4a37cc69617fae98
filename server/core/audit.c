/* audit.c - what happened, in a chain that cannot be changed unnoticed; signatures of runs.
 *
 * Model:      SIDE_AUDIT number BE8 -> SHA-256(previous hash, text) 32, text. META "audit_head" keeps the
 *             number and hash of the last entry, so that a cut end is noticed as well.
 * Source:     DESIGN.md 12; SPEC.md 11. */
#include "server/core/hub_internal.h"

#include "common/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err chain(struct hub *hub, const uint8_t previous[32], struct bytes text,
                      uint8_t out[32])
{
    struct crypto_sha256_state state = {0};
    enum err e = crypto_sha256_begin(hub->config.crypto, &state);
    if (e == ERR_OK)
        e = crypto_sha256_update(&state, bytes_of(previous, 32));
    if (e == ERR_OK)
        e = crypto_sha256_update(&state, text);
    if (e == ERR_OK)
        e = crypto_sha256_end(&state, out);
    crypto_sha256_done(&state);
    return e;
}

enum err audit_load(struct hub *hub)
{
    struct bytes value;
    enum err e =
        store_side_get(hub->store, SIDE_META, bytes_of_text("audit_head"), &hub->turn, &value);
    hub->audit_count = 0;
    memset(hub->audit_head, 0, sizeof hub->audit_head);
    hub->audit_loaded = e == ERR_OK || e == ERR_NOT_FOUND;
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK && value.size != 40)
        e = ERR_CORRUPT;
    if (e != ERR_OK)
        return e;
    hub->audit_count = be64_get(value.data);
    memcpy(hub->audit_head, value.data + 8, 32);
    return ERR_OK;
}

enum err audit_append(struct hub *hub, const char *json)
{
    enum err e = hub->audit_loaded ? ERR_OK : audit_load(hub);
    if (e != ERR_OK)
        return e;
    char text[1024];
    int size =
        snprintf(text, sizeof text, "{\"at\":%lld,%s", (long long)hub->now.wall.ms, json + 1);
    if (size < 0 || (size_t)size >= sizeof text)
        return ERR_LIMIT;
    uint8_t entry[32 + sizeof text], key[8], head[40];
    e = chain(hub, hub->audit_head, bytes_of(text, (size_t)size), entry);
    if (e != ERR_OK)
        return e;
    memcpy(entry + 32, text, (size_t)size);
    be64_put(key, hub->audit_count + 1);
    e = store_side_put(hub->store, SIDE_AUDIT, bytes_of(key, 8),
                       bytes_of(entry, 32 + (size_t)size));
    be64_put(head, hub->audit_count + 1);
    memcpy(head + 8, entry, 32);
    if (e == ERR_OK)
        e = store_side_put(hub->store, SIDE_META, bytes_of_text("audit_head"), bytes_of(head, 40));
    if (e == ERR_OK) {
        hub->audit_count++;
        memcpy(hub->audit_head, entry, 32);
    }
    return e;
}

struct verification {
    struct hub *hub;
    uint8_t head[32];
    uint64_t entries, bad;
    enum err error;
};

static int verify_entry(void *context, struct bytes key, struct bytes value)
{
    struct verification *v = context;
    uint8_t expected[32];
    v->entries++;
    if (value.size < 32 || key.size != 8 || be64_get(key.data) != v->entries) {
        v->bad = v->entries;
        return STORE_STOP;
    }
    v->error = chain(v->hub, v->head, bytes_of(value.data + 32, value.size - 32), expected);
    if (v->error != ERR_OK)
        return (int)v->error;
    if (memcmp(expected, value.data, 32) != 0) {
        v->bad = v->entries;
        return STORE_STOP;
    }
    memcpy(v->head, expected, 32);
    return 0;
}

enum err audit_verify(struct hub *hub, uint64_t *ret_entries, uint64_t *ret_bad)
{
    struct verification v = {.hub = hub};
    enum err e = audit_load(hub);
    if (e == ERR_OK)
        e = store_side_scan(hub->store, SIDE_AUDIT, bytes_of(NULL, 0), bytes_of(NULL, 0),
                            verify_entry, &v);
    if (e != ERR_OK)
        return e;
    if (!v.bad && (v.entries != hub->audit_count || memcmp(v.head, hub->audit_head, 32) != 0))
        v.bad = v.entries + 1; /* the end was cut off */
    *ret_entries = v.entries;
    *ret_bad = v.bad;
    return ERR_OK;
}

/* ---- signatures of runs ---- */

static enum err run_hash(struct hub *hub, uint32_t count, const uint8_t *hashes, uint8_t out[32])
{
    return crypto_sha256(hub->config.crypto, bytes_of(hashes, count * (size_t)32), out);
}

enum err audit_run(struct hub *hub, const struct uuid *author, uint64_t origin, uint64_t first,
                   uint32_t count, const uint8_t *hashes, const uint8_t signature[64])
{
    uint8_t hash[32];
    char device[UUID_TEXT_SIZE];
    enum err e = run_hash(hub, count, hashes, hash);
    if (e != ERR_OK)
        return e;
    uuid_format(author, device);
    struct buf *b = &hub->row_scratch;
    buf_reset(b);
    text_append_format(b,
                       "{\"what\":\"run\",\"device\":\"%s\",\"origin\":\"%016llx\",\"first\":%llu,"
                       "\"count\":%u,\"hash\":\"",
                       device, (unsigned long long)origin, (unsigned long long)first, count);
    text_append_hex(b, bytes_of(hash, 32));
    text_append(b, "\",\"signature\":\"");
    text_append_hex(b, bytes_of(signature, 64));
    text_append(b, "\"}");
    buf_append_byte(b, 0);
    return b->error == ERR_OK ? audit_append(hub, (const char *)b->data) : b->error;
}

enum { RUN_TEXT = sizeof "satchel-run-v1" - 1 + 24 + 32 };

/* What the signature of a run is over. */
static enum err run_text(struct hub *hub, uint64_t origin, uint64_t first, uint32_t count,
                         const uint8_t *hashes, uint8_t out[RUN_TEXT])
{
    static const char label[] = "satchel-run-v1";
    uint8_t *at = out;
    memcpy(at, label, sizeof label - 1);
    at += sizeof label - 1;
    be64_put(at, origin);
    be64_put(at + 8, first);
    be64_put(at + 16, count);
    return run_hash(hub, count, hashes, at + 24);
}

enum err verify_now(struct hub *hub, const uint8_t public_key[32], uint64_t origin, uint64_t first,
                    uint32_t count, const uint8_t *hashes, const uint8_t signature[64])
{
    uint8_t text[RUN_TEXT];
    enum err e = run_text(hub, origin, first, count, hashes, text);
    return e == ERR_OK ? crypto_ed25519_verify(hub->config.crypto, public_key,
                                               bytes_of(text, sizeof text), signature)
                       : e;
}

enum err verify_later(struct hub *hub, const struct peer *peer, uint64_t origin, uint64_t first,
                      uint32_t count, const uint8_t *hashes, const uint8_t signature[64])
{
    struct run_check *check = calloc(1, sizeof *check);
    if (!check)
        return ERR_NOMEM;
    check->peer_number = peer->number;
    check->device = peer->session.device;
    memcpy(check->public_key, peer->public_key, 32);
    memcpy(check->signature, signature, 64);
    enum err e = run_text(hub, origin, first, count, hashes, check->text);
    if (e != ERR_OK) {
        free(check);
        return e;
    }
    check->size = RUN_TEXT;
    check->next = NULL;
    if (hub->checks_tail)
        hub->checks_tail->next = check;
    else
        hub->checks = check;
    hub->checks_tail = check;
    hub->check_count++;
    return ERR_OK;
}

void checks_drop(struct hub *hub, struct run_check *after)
{
    struct run_check **link = after ? &after->next : &hub->checks;
    while (*link) {
        struct run_check *next = (*link)->next;
        free(*link);
        *link = next;
        hub->check_count--;
    }
    hub->checks_tail = after;
}

static enum err audit_bad_run(struct hub *hub, void *context)
{
    const struct run_check *check = context;
    char device[UUID_TEXT_SIZE], entry[200];
    uuid_format(&check->device, device);
    log_write(hub->config.log, LOG_LEVEL_WARNING,
              "device %s sent a run whose signature is not its own", device);
    size_t at = sizeof "satchel-run-v1" - 1;
    snprintf(entry, sizeof entry,
             "{\"what\":\"bad signature\",\"device\":\"%s\",\"origin\":\"%016llx\",\"first\":%llu,"
             "\"count\":%llu}",
             device, (unsigned long long)be64_get(check->text + at),
             (unsigned long long)be64_get(check->text + at + 8),
             (unsigned long long)be64_get(check->text + at + 16));
    return audit_append(hub, entry);
}

enum err verify_some(struct hub *hub)
{
    for (int n = 0; n < 8 && hub->checks; n++) {
        struct run_check *check = hub->checks;
        enum err e = crypto_ed25519_verify(hub->config.crypto, check->public_key,
                                           bytes_of(check->text, check->size), check->signature);
        if (e == ERR_AUTH) {
            e = hub_transact(hub, audit_bad_run, check);
            if (e != ERR_OK)
                return e; /* it is looked at again */
            for (struct peer *peer = hub->peers; peer; peer = peer->next)
                if (peer->number == check->peer_number)
                    peer_fail(hub, peer, ERR_AUTH, "a signature is not valid");
            hub->stats.bad_signatures++;
        } else if (e != ERR_OK) {
            return e; /* no memory, say: not a verdict */
        }
        hub->checks = check->next;
        if (!hub->checks)
            hub->checks_tail = NULL;
        hub->check_count--;
        free(check);
    }
    return ERR_OK;
}
