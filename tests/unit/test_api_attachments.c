/* Attachments through the public interface, without a server. */
#include "tests/lib/api_kit.h"
#include "tests/lib/unit.h"

enum { SIZE = 3 * 65536 + 77 };

/* A stream that gives a few bytes at a time, and may fail after so many. */
struct stream {
    size_t at, size, fail_at;
};

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 + i / 999);
}

static long give(void *context, void *data, size_t size)
{
    struct stream *s = context;
    size_t n = s->size - s->at < 1000 ? s->size - s->at : 1000;
    n = n < size ? n : size;
    if (s->fail_at > 0 && s->at >= s->fail_at)
        return -1;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)data)[i] = byte_at(s->at + i);
    s->at += n;
    return (long)n;
}

static enum satchel_code attach(const char *table, const struct satchel_id *record,
                                struct stream *stream, struct satchel_id *ret)
{
    const struct satchel_attach what = {.table = table,
                                        .record = record,
                                        .source = give,
                                        .source_context = stream,
                                        .name = "shelf.jpg",
                                        .taken_at_ms = 1700000000000};
    return satchel_attach(h, &what, ret);
}

static int take(void *context, const void *data, size_t size)
{
    size_t *at = context;
    for (size_t i = 0; i < size; i++)
        assert_int_equal(((const uint8_t *)data)[i], byte_at(*at + i));
    *at += size;
    return 0;
}

static int count(void *context, const struct satchel_attachment *attachment)
{
    assert_string_equal(attachment->name, "shelf.jpg");
    ++*(int *)context;
    return 0;
}

static struct satchel_status status(void)
{
    struct satchel_status s;
    assert_done(satchel_status(h, &s));
    return s;
}

static void a_stream_is_kept_and_read_back(void **state)
{
    const struct satchel_id party = api_party("Acme", "Gyumri");
    struct stream stream = {.size = SIZE};
    struct satchel_id visit = {{0}}, id;
    struct satchel_attachment a;
    size_t at = 0;
    int n = 0;
    (void)state;
    const struct satchel_value whose = satchel_reference(&party);
    const struct satchel_field field = {"party", NULL, &whose};
    assert_done(satchel_insert_fields(h, "visit", &visit, &field, 1));
    assert_done(attach("visit", &visit, &stream, &id));
    assert_done(satchel_attachment(h, &id, &a));
    assert_memory_equal(&a.party, &party, 16);
    assert_memory_equal(&a.about, &visit, 16);
    assert_string_equal(a.kind, "photo");
    assert_string_equal(a.media_type, "image/jpeg");
    assert_int_equal(a.size, SIZE);
    assert_int_equal(a.here, SIZE);
    assert_int_equal(a.taken_at_ms, 1700000000000);
    assert_int_equal(a.place, SATCHEL_ATTACHMENT_HERE);
    api_reopen();
    assert_done(satchel_attachment_read(h, &id, take, &at));
    assert_int_equal(at, SIZE);
    assert_done(satchel_attachments(h, "visit", &visit, count, &n));
    assert_done(satchel_attachments(h, "party", &party, count, &n));
    assert_done(satchel_attachments(h, NULL, NULL, count, &n));
    assert_int_equal(n, 3);
    assert_int_equal(status().attachments_to_send, 1);
    assert_int_equal(status().photos_to_send, 1);
    assert_int_equal(status().attachment_bytes_to_send, SIZE);
    assert_int_equal(status().attachments_here, 1);
    assert_done(satchel_attachment_fetch(h, &id)); /* it is here: nothing to do */
    assert_int_equal(status().attachments_to_fetch, 0);
}

static void what_fails_leaves_nothing(void **state)
{
    const struct satchel_id party = api_party("Acme", "Gyumri"), nobody = {{7}};
    struct stream broken = {.size = SIZE, .fail_at = 100000}, empty = {.size = 0},
                  huge = {.size = (size_t)33 << 20}, good = {.size = 10};
    struct satchel_id territory = {{0}}, id;
    (void)state;
    assert_code(attach("party", &party, &broken, &id), SATCHEL_E_IO);
    assert_code(attach("party", &party, &empty, &id), SATCHEL_E_INVALID);
    assert_message_has("'shelf.jpg' is empty");
    assert_code(attach("party", &party, &huge, &id), SATCHEL_E_TOO_LARGE);
    assert_message_has("33.6 MB that headquarters takes");
    assert_code(attach("party", &nobody, &good, &id), SATCHEL_E_NOT_FOUND);
    const struct satchel_field named = {"name", "Nord", NULL};
    assert_done(satchel_insert_fields(h, "territory", &territory, &named, 1));
    assert_code(attach("territory", &territory, &good, &id), SATCHEL_E_INVALID);
    assert_message_has("belongs to no party");
    assert_code(satchel_attachment_fetch(h, &nobody), SATCHEL_E_NOT_FOUND);
    assert_int_equal(status().attachments_here, 0);
    assert_int_equal(status().attachments_to_send, 0);
}

/* Within a transaction it is part of it: taken back with it, or kept. */
static void a_transaction_has_it_or_not(void **state)
{
    struct stream one = {.size = SIZE}, two = {.size = SIZE};
    const struct satchel_id party = api_party("Acme", "Gyumri");
    struct satchel_id id;
    struct satchel_attachment a;
    (void)state;
    assert_done(satchel_begin(h));
    assert_done(attach("party", &party, &one, &id));
    satchel_rollback(h);
    assert_code(satchel_attachment(h, &id, &a), SATCHEL_E_NOT_FOUND);
    assert_int_equal(status().attachments_here, 0);
    assert_done(satchel_begin(h));
    assert_done(attach("party", &party, &two, &id));
    assert_done(satchel_commit(h, NULL));
    assert_done(satchel_attachment(h, &id, &a));
    assert_int_equal(a.here, SIZE);
}

static void a_deleted_one_is_kept_while_it_is_here_alone(void **state)
{
    struct stream stream = {.size = 500};
    const struct satchel_id party = api_party("Acme", "Gyumri");
    struct satchel_id id;
    (void)state;
    assert_done(attach("party", &party, &stream, &id));
    assert_done(satchel_delete(h, satchel_table(h, "attachment")->id, &id));
    assert_int_equal(status().attachments_unnamed, 1);
    assert_int_equal(status().attachments_to_send, 0);
    assert_done(satchel_attachments_automatic(h, 0));
    assert_int_equal(status().attachments_automatic, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HANDLE(a_stream_is_kept_and_read_back),
        WITH_HANDLE(what_fails_leaves_nothing),
        WITH_HANDLE(a_transaction_has_it_or_not),
        WITH_HANDLE(a_deleted_one_is_kept_while_it_is_here_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
