/* Models that a program cannot read, that come in pieces, that nobody asked for. */
#include "tests/lib/models_kit.h"

/* ---- programs that are too old ---- */

/* Headquarters' text as a later program would have it: with a key that this one does not know. */
static void spoil(struct pair *p, struct model **ret)
{
    static struct model spoilt;
    static char text[200000];
    const struct model *model = p->hub_store->model;
    int size = snprintf(text, sizeof text, "{\"glow\":1,%.*s", (int)model->text.size - 1,
                        (const char *)model->text.data + 1);
    spoilt = *model;
    spoilt.text = bytes_of(text, (size_t)size);
    *ret = &spoilt;
}

static void a_program_that_is_too_old_pushes_and_is_told(void **state)
{
    struct pair p;
    struct err_info info;
    struct model *later;
    uint32_t version;
    (void)state;
    start(&p, 10);
    struct pair_device *a = pair_enrol(&p, "a", "rep"), *b = pair_enrol(&p, "b", "rep");
    pair_sync(&p, a);
    extend(&p);
    spoil(&p, &later);
    hub_close(p.hub);
    p.config.model = later;
    assert_ok(hub_open(&p.config, pair_hub_now(&p), &p.hub, &info));
    struct uuid one = pair_insert(&p, a, "thing", "name", "written meanwhile");
    pair_connect(&p, a, true);
    pair_run(&p);
    assert_true(a->ended);
    assert_err(a->why, ERR_MODEL);
    assert_non_null(strstr(a->message, "too old"));
    assert_non_null(strstr(a->message, "glow"));
    assert_int_equal(server_model(a, &version), MODEL_STRANGE);
    assert_int_equal(version, 2);
    assert_string_equal(pair_cell(&p, NULL, "thing", one, "name"), "written meanwhile");
    assert_int_equal(version_of(a), 1);
    /* live as well: it stays, and pushes */
    pair_go_live(&p, a);
    assert_true(a->up);
    struct uuid two = pair_insert(&p, a, "thing", "name", "live");
    pair_say(&p, a);
    assert_string_equal(pair_cell(&p, NULL, "thing", two, "name"), "live");
    assert_true(a->up);
    pair_cut(&p, a);
    /* who has nothing in common with it says nothing: a first sync */
    pair_insert(&p, b, "thing", "name", "alone");
    uint32_t count = pair_count(&p, NULL, "thing");
    pair_connect(&p, b, true);
    pair_run(&p);
    assert_err(b->why, ERR_MODEL);
    assert_int_equal(pair_count(&p, NULL, "thing"),
                     count + (b->message[0] && strstr(b->message, "too old") ? 1 : 0));
    /* updated: the same text without the key */
    hub_close(p.hub);
    p.config.model = p.hub_store->model;
    assert_ok(hub_open(&p.config, pair_hub_now(&p), &p.hub, &info));
    pair_sync(&p, a);
    pair_sync(&p, a);
    assert_int_equal(version_of(a), 2);
    assert_int_equal(pair_status(a).outbox_count, 0);
    pair_assert_equal(&p, a);
    stop(&p);
}

/* ---- pieces, and what nobody asked for ---- */

static void a_large_model_comes_in_pieces(void **state)
{
    struct pair p;
    (void)state;
    start(&p, 11);
    struct pair_device *a = pair_enrol(&p, "a", "rep");
    pair_sync(&p, a);
    /* noise in labels, so that it does not deflate away: 24 tables of 100 columns, about 1.2 MB */
    struct buf text;
    buf_init(&text, MODEL_FILE_MAX);
    const char *head = "{\"extends\":\"m\",\"tables\":[";
    assert_ok(buf_append(&text, head, strlen(head)));
    for (int t = 0; t < 24; t++) {
        char piece[700];
        int size =
            snprintf(piece, sizeof piece,
                     "%s{\"name\":\"big%d\",\"bucket\":\"company\",\"columns\":[", t ? "," : "", t);
        assert_ok(buf_append(&text, piece, (size_t)size));
        for (int c = 0; c < 100; c++) {
            char label[190];
            for (size_t i = 0; i + 1 < sizeof label; i++)
                label[i] = (char)('a' + seeded_below(&p.seeded, 26));
            label[sizeof label - 1] = 0;
            size = snprintf(
                piece, sizeof piece,
                "%s{\"name\":\"c%d\",\"type\":\"text\",\"label\":{\"en\":\"%s\",\"ru\":\"%s\"}}",
                c ? "," : "", c, label, label);
            assert_ok(buf_append(&text, piece, (size_t)size));
        }
        assert_ok(buf_append(&text, "]}", 2));
    }
    assert_ok(buf_append(&text, "]}", 3));
    assert_non_null(strstr(extend_with(&p, (const char *)text.data, true), "\"ok\":true"));
    struct buf answer;
    buf_init(&answer, 1 << 20);
    assert_ok(
        hub_extend(p.hub, bytes_of(text.data, text.size - 1), false, pair_hub_now(&p), &answer));
    buf_done(&answer);
    buf_done(&text);
    pair_run(&p);
    reopen_hub(&p, "hq");
    assert_true(p.config.model->text.size > 2 * (512 << 10));
    pair_sync(&p, a);
    assert_int_equal(a->store->model->table_count, p.config.model->table_count);
    assert_true(bytes_equal(a->store->model->text, p.config.model->text));
    stop(&p);
}

static struct bytes forged(const struct message_model *m, struct buf *out)
{
    static struct deflater *deflater;
    struct buf payload;
    const struct message message = {.type = MESSAGE_MODEL, .as.model = *m};
    buf_init(&payload, 2 << 20);
    if (!deflater)
        assert_ok(deflater_new(1, &deflater));
    buf_reset(out);
    assert_ok(frame_encode(&message, deflater, &payload, out));
    buf_done(&payload);
    return buf_view(out);
}

/* A device that has asked, and what it gets instead of an answer. */
static enum err told(uint64_t seed, const struct message_model *m)
{
    struct pair p;
    struct uplink_effects effects;
    struct buf frame;
    start(&p, seed);
    struct pair_device *a = pair_enrol(&p, "a", "rep");
    pair_sync(&p, a);
    extend(&p);
    pair_connect(&p, a, false);
    buf_init(&frame, FRAME_MAX);
    for (int i = 0; i < 3; i++) { /* until MODEL_ASK has gone */
        for (int k = 0; k < 8; k++) {
            uplink_next_frame(a->uplink, (struct now){{p.now_ms}, {p.now_ms * 1000}}, &frame,
                              &effects);
            if (!frame.size)
                break;
            if (frame.data[0] == MESSAGE_MODEL_ASK)
                goto asked;
            hub_receive(p.hub, a->peer, buf_view(&frame), pair_hub_now(&p));
        }
        assert_ok(hub_turn(p.hub, pair_hub_now(&p)));
        for (;;) {
            hub_next_frame(p.hub, a->peer, pair_hub_now(&p), &frame);
            if (!frame.size)
                break;
            uplink_receive(a->uplink, buf_view(&frame), (struct now){{p.now_ms}, {p.now_ms * 1000}},
                           &effects);
        }
    }
    fail_msg("nothing was asked");
asked:;
    struct message_model answer = *m;
    if (answer.hash.size == 1)
        answer.hash = bytes_of(p.config.model->hash, 32);
    uplink_receive(a->uplink, forged(&answer, &frame), (struct now){{p.now_ms}, {p.now_ms * 1000}},
                   &effects);
    enum err why = effects.hang_up ? effects.why : ERR_OK;
    assert_false(effects.learned);
    assert_int_equal(version_of(a), 1);
    buf_done(&frame);
    stop(&p);
    return why;
}

static void forged_models_are_refused(void **state)
{
    static const uint8_t wrong[32] = {1};
    const struct bytes right = bytes_of("h", 1), data = bytes_of_text("{\"a\":1}");
    (void)state;
    assert_err(told(20, &(struct message_model){2, bytes_of(wrong, 32), 7, 0, data, NULL, 0}),
               ERR_PROTOCOL);
    assert_err(told(21, &(struct message_model){2, right, 7, 1, data, NULL, 0}), ERR_PROTOCOL);
    assert_err(told(22, &(struct message_model){2, right, 6, 0, data, NULL, 0}), ERR_PROTOCOL);
    assert_err(told(23, &(struct message_model){2, right, 7, 0, bytes_of("", 0), NULL, 0}),
               ERR_PROTOCOL);
    assert_err(told(24, &(struct message_model){2, right, MODEL_WHOLE_MAX + 1u, 0, data, NULL, 0}),
               ERR_PROTOCOL);
    assert_err(told(25, &(struct message_model){2, right, 7, 0, data, NULL, 0}),
               ERR_MODEL); /* not readable, unknown */
    /* a readable one of another hash */
    struct model *other;
    struct err_info info;
    assert_ok(model_parse(bytes_of_text(first_model), &other, &info));
    assert_err(
        told(26, &(struct message_model){2, right, other->text.size, 0, other->text, NULL, 0}),
        ERR_MALFORMED);
    model_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_that_is_too_old_pushes_and_is_told),
        cmocka_unit_test(a_large_model_comes_in_pieces),
        cmocka_unit_test(forged_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
