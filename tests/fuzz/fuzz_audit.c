/* the verifier of the audit log.
 *
 * Input:   how many entries of what kinds are written by administrators' requests; then what is
 *          changed in the stored log: a byte, an entry's end, an entry removed, copied over another,
 *          the head; or nothing.
 * Asserts: what was not changed verifies, with the number of entries that were written; any change of
 *          any byte is refused, and a headquarters that starts on it still answers; memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"

#include "common/store_mem/store_mem.h"
#include "server/core/hub.h"
#include "tests/lib/codec.h"
#include "tests/lib/seeded_rng.h"

#include <jansson.h>

struct scene {
    struct seeded_rng seeded;
    struct rng rng;
    struct crypto *crypto;
    struct model *model;
    struct store *store;
    struct hub_config config;
    struct hub *hub;
};

static const struct hub_now now = {{1760000000000}, {1}};

static void start(struct scene *s)
{
    static struct crypto *crypto;
    static struct model *model;
    struct err_info info;
    if (!model) {
        model = codec_model();
        fuzz_ok(crypto_new(&crypto));
    }
    seeded_rng_start(&s->seeded, 3);
    s->rng = seeded_rng_interface(&s->seeded);
    s->model = model;
    s->crypto = crypto;
    fuzz_ok(store_mem_open(model, &s->store));
    s->config = (struct hub_config){
        .model = model, .store = s->store, .crypto = crypto, .rng = &s->rng, .server_key = {7}};
    fuzz_ok(hub_create(&s->config, now, &info));
    fuzz_ok(hub_open(&s->config, now, &s->hub, &info));
}

static json_t *ask(struct scene *s, const char *request)
{
    struct buf answer;
    buf_init(&answer, 1 << 20);
    fuzz_ok(hub_admin(s->hub, bytes_of_text(request), now, &answer));
    json_t *json = json_loadb((const char *)answer.data, answer.size, 0, NULL);
    fuzz_check(json_is_object(json), "an answer that is no object");
    buf_done(&answer);
    return json;
}

static void write_entries(struct scene *s, struct fuzz_input *in)
{
    unsigned count = 1 + fuzz_u8(in) % 8;
    for (unsigned i = 0; i < count; i++) {
        char request[200];
        uint8_t kind = fuzz_u8(in);
        switch (kind % 5) {
        case 0:
            snprintf(request, sizeof request, "{\"do\":\"branch-add\",\"name\":\"n%u\"}", i);
            break;
        case 1:
            snprintf(request, sizeof request,
                     "{\"do\":\"user-add\",\"login\":\"u%u\",\"role\":\"rep\"}", kind / 5u % 4);
            break;
        case 2:
            snprintf(request, sizeof request, "{\"do\":\"enroll\",\"login\":\"u%u\"}",
                     kind / 5u % 4);
            break;
        case 3:
            snprintf(request, sizeof request,
                     "{\"do\":\"user-set\",\"login\":\"u%u\",\"role\":\"manager\"}", kind / 5u % 4);
            break;
        default:
            snprintf(request, sizeof request,
                     "{\"do\":\"archived\",\"marks\":{\"00000000000000a%u\":1}}", kind / 5u % 8);
        }
        json_decref(ask(s, request));
    }
}

/* --- the stored log --------------------------------------------------------------------------- */

enum { ENTRIES_MAX = 64 };

struct entries {
    struct arena arena;
    struct bytes keys[ENTRIES_MAX], values[ENTRIES_MAX];
    unsigned count;
};

static int collect(void *context, struct bytes key, struct bytes value)
{
    struct entries *e = context;
    if (e->count == ENTRIES_MAX)
        return STORE_STOP;
    fuzz_ok(arena_copy(&e->arena, key, &e->keys[e->count]));
    fuzz_ok(arena_copy(&e->arena, value, &e->values[e->count]));
    e->count++;
    return 0;
}

static void put(struct scene *s, struct bytes key, struct bytes value)
{
    fuzz_ok(store_side_put(s->store, SIDE_AUDIT, key, value));
}

static bool change_head(struct scene *s, struct entries *e, struct fuzz_input *in)
{
    struct bytes value, key = bytes_of_text("audit_head");
    fuzz_ok(store_side_get(s->store, SIDE_META, key, &e->arena, &value));
    uint8_t *copy = fuzz_copy(value), bit = fuzz_u8(in);
    size_t size = value.size;
    if (bit < 248)
        copy[fuzz_u8(in) % size] ^= (uint8_t)(1u << bit % 8);
    else
        size = fuzz_u8(in) % size;
    fuzz_ok(store_side_put(s->store, SIDE_META, key, bytes_of(copy, size)));
    free(copy);
    return true;
}

/* Changes what is stored; false: it is as it was. */
static bool change(struct scene *s, struct entries *e, struct fuzz_input *in)
{
    uint8_t kind = fuzz_u8(in);
    unsigned which = fuzz_u8(in) % e->count, other = fuzz_u8(in) % e->count;
    struct bytes value = e->values[which], more = e->values[other];
    uint8_t *copy = fuzz_copy(value), key[9] = {0};
    bool changed = true;
    if (kind < 128) { /* a bit */
        copy[fuzz_u16(in) % value.size] ^= (uint8_t)(1u << kind % 8);
        put(s, e->keys[which], bytes_of(copy, value.size));
    } else if (kind < 160) { /* cut */
        put(s, e->keys[which], bytes_of(copy, fuzz_u16(in) % value.size));
    } else if (kind < 184) { /* removed */
        fuzz_ok(store_side_delete(s->store, SIDE_AUDIT, e->keys[which]));
    } else if (kind < 208) { /* over another */
        put(s, e->keys[which], more);
        changed = !bytes_equal(value, more);
    } else if (kind < 216) { /* one more, of any key */
        memcpy(key, e->keys[which].data, 8);
        key[8] = fuzz_u8(in);
        size_t size = 1 + fuzz_u8(in) % 9;
        put(s, bytes_of(key, size), more);
        changed = size != 8 || !bytes_equal(value, more);
    } else if (kind < 240) {
        changed = change_head(s, e, in);
    } else {
        changed = false;
    }
    free(copy);
    return changed;
}

static void verify(struct scene *s, bool changed, unsigned count)
{
    json_t *answer = ask(s, "{\"do\":\"verify\"}");
    bool ok = json_is_true(json_object_get(answer, "ok"));
    char *text = json_dumps(answer, 0);
    fuzz_check(ok == !changed, "%s, and it was%s changed", text, changed ? "" : " not");
    if (ok)
        fuzz_check(json_integer_value(json_object_get(answer, "audit_entries")) == count, "%s",
                   text);
    free(text);
    json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene s;
    struct fuzz_input in = fuzz_input_of(data, size);
    struct entries e = {.count = 0};
    struct err_info info;
    fuzz_begin(FUZZ_MEMORY_MAX);
    start(&s);
    arena_init(&e.arena, 1 << 20);
    write_entries(&s, &in);
    fuzz_ok(store_begin(s.store, STORE_WRITE));
    fuzz_ok(
        store_side_scan(s.store, SIDE_AUDIT, bytes_of(NULL, 0), bytes_of(NULL, 0), collect, &e));
    fuzz_check(e.count > 0, "nothing was written");
    bool changed = change(&s, &e, &in);
    fuzz_ok(store_commit(s.store));
    verify(&s, changed, e.count);
    hub_close(s.hub);
    enum err again = hub_open(&s.config, now, &s.hub, &info);
    if (again == ERR_OK) {
        json_decref(ask(&s, "{\"do\":\"status\"}"));
        verify(&s, changed, e.count + 1); /* starts are entries */
        hub_close(s.hub);
    } else {
        fuzz_check(changed && info.message[0], "it does not start: %s", err_name(again));
    }
    store_close(s.store);
    arena_done(&e.arena);
    fuzz_end(1 << 20); /* libcrypto keeps tables; leaks are the sanitizer's to find */
    return 0;
}
