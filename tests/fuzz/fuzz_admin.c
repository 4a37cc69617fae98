/* administrators' requests: the JSON of the control socket.
 *
 * Input:   requests, one per line.
 * Asserts: every answer is an object with a boolean `ok`, and `code` and `message` where it is false;
 *          a refused request changes nothing in the list of people and branches; a hub that only looks
 *          refuses what writes and answers the rest the same; at the end the audit log and every
 *          bucket verify, and after a restart people are the same; memory is bounded.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"

#include "common/store_mem/store_mem.h"
#include "server/core/hub.h"
#include "tests/lib/codec.h"
#include "tests/lib/seeded_rng.h"

#include <jansson.h>

enum { REQUESTS_MAX = 16 };

static const struct hub_now now = {{1760000000000}, {1}};

static json_t *ask(struct hub *hub, struct bytes request)
{
    struct buf answer;
    buf_init(&answer, 8 << 20);
    fuzz_ok(hub_admin(hub, request, now, &answer));
    json_t *json = json_loadb((const char *)answer.data, answer.size, 0, NULL);
    fuzz_check(json_is_object(json), "%.*s", (int)answer.size, (const char *)answer.data);
    const json_t *ok = json_object_get(json, "ok");
    fuzz_check(json_is_boolean(ok), "%.*s", (int)answer.size, (const char *)answer.data);
    if (!json_is_true(ok))
        fuzz_check(json_is_string(json_object_get(json, "code")) &&
                       json_string_length(json_object_get(json, "message")) > 0,
                   "%.*s", (int)answer.size, (const char *)answer.data);
    buf_done(&answer);
    return json;
}

static bool is_ok(const json_t *answer)
{
    return json_is_true(json_object_get(answer, "ok"));
}

/* Who is there, as a text. */
static char *people(struct hub *hub)
{
    json_t *users = ask(hub, bytes_of_text("{\"do\":\"user-list\"}"));
    json_t *branches = ask(hub, bytes_of_text("{\"do\":\"branch-list\"}"));
    fuzz_check(is_ok(users) && is_ok(branches), "the lists");
    json_t *both = json_pack("[oo]", users, branches);
    char *text = json_dumps(both, JSON_SORT_KEYS);
    json_decref(both);
    return text;
}

static void request(struct hub *hub, struct hub *looking, struct bytes line)
{
    char *before = people(hub);
    json_t *seen = ask(looking, line);
    json_t *answer = ask(hub, line);
    char *after = people(hub);
    if (!is_ok(answer)) {
        fuzz_check(strcmp(before, after) == 0, "refused, and yet: %s, then %s", before, after);
    } else if (!is_ok(seen)) {
        const char *code = json_string_value(json_object_get(seen, "code"));
        fuzz_check(code && strcmp(code, "FORBIDDEN") == 0, "%s", code);
    } else {
        fuzz_check(strcmp(before, after) == 0, "a hub that looks took it");
    }
    json_decref(seen);
    json_decref(answer);
    free(before);
    free(after);
}

static void verify(struct hub *hub)
{
    json_t *answer = ask(hub, bytes_of_text("{\"do\":\"verify\"}"));
    char *text = json_dumps(answer, 0);
    fuzz_check(is_ok(answer), "%s", text);
    free(text);
    json_decref(answer);
}

static void run(struct hub_config *config, struct fuzz_input *in)
{
    struct hub *hub, *looking;
    struct hub_config look = *config;
    struct err_info info;
    look.inspect = true;
    fuzz_ok(hub_create(config, now, &info));
    fuzz_ok(hub_open(config, now, &hub, &info));
    fuzz_ok(hub_open(&look, now, &looking, &info));
    for (int i = 0; i < REQUESTS_MAX && fuzz_more(in); i++) {
        size_t left = in->size - in->at;
        const uint8_t *end = memchr(in->data + in->at, '\n', left);
        struct bytes line = fuzz_take(in, end ? (size_t)(end - in->data) - in->at : left);
        request(hub, looking, line);
        (void)fuzz_u8(in); /* the newline */
    }
    verify(hub);
    char *before = people(hub);
    hub_close(looking);
    hub_close(hub);
    fuzz_ok(hub_open(config, now, &hub, &info));
    char *after = people(hub);
    fuzz_check(strcmp(before, after) == 0, "%s, after a restart %s", before, after);
    verify(hub);
    free(before);
    free(after);
    hub_close(hub);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crypto *crypto;
    static struct model *model;
    struct seeded_rng seeded;
    struct fuzz_input in = fuzz_input_of(data, size);
    if (!model) {
        model = codec_model();
        fuzz_ok(crypto_new(&crypto));
    }
    fuzz_begin(FUZZ_MEMORY_MAX);
    seeded_rng_start(&seeded, 3);
    struct rng rng = seeded_rng_interface(&seeded);
    struct hub_config config = {.model = model, .crypto = crypto, .rng = &rng, .server_key = {7}};
    fuzz_ok(store_mem_open(model, &config.store));
    run(&config, &in);
    store_close(config.store);
    fuzz_end(1 << 20); /* libcrypto keeps tables; leaks are the sanitizer's to find */
    return 0;
}
