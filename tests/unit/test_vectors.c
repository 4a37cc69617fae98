/* The golden vectors of tests/vectors: what the encoders give for fixed contents, byte by byte.
 * SATCHEL_UPDATE_VECTORS=1 writes the files anew; a change of them is a change of the protocol. */
#include "tests/lib/unit.h"

#include "common/text.h"
#include "protocol/digest.h"
#include "protocol/frame.h"
#include "protocol/page.h"
#include "tests/lib/codec.h"
#include "tests/lib/messages.h"

struct fixture {
    struct model *model;
    const struct model_table *item, *count;
    struct arena arena;
    struct buf out, scratch;
    struct vectors vectors;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->model = codec_model();
    f->item = model_table_by_id(f->model, CODEC_ITEM);
    f->count = model_table_by_id(f->model, CODEC_COUNT);
    arena_init(&f->arena, 16 << 20);
    buf_init(&f->out, 1 << 20);
    buf_init(&f->scratch, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_done(&f->out);
    buf_done(&f->scratch);
    arena_done(&f->arena);
    model_free(f->model);
    free(f);
    return 0;
}

/* --- Fixed contents --------------------------------------------------------------------------- */

static const struct uuid id_1 = {{0x01, 0x8f, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x01}};
static const struct uuid id_2 = {{0x01, 0x8f, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x02}};
static const struct dot dot_a = {0xa1, 7, 0x11111111};
static const struct dot dot_b = {0xb2, 3, 0x22222222};
static const struct dot dot_c = {0xb2, 4, 0x33333333};
#define STAMP 0x018f000000000001u /* 48 bits of ms, 16 of counter */

static struct bytes fill(struct fixture *f, uint8_t byte, size_t size)
{
    uint8_t *data = arena_alloc(&f->arena, size);

    assert_non_null(data);
    memset(data, byte, size);
    return bytes_of(data, size);
}

static struct value text(const char *text)
{
    return value_text(bytes_of_text(text));
}

/* --- Messages --------------------------------------------------------------------------------- */

static void add_message(struct fixture *f, const char *meaning, const struct message *message)
{
    struct message got;

    buf_reset(&f->out);
    assert_ok(message_encode(message, &f->out));
    assert_ok(message_decode(message->type, buf_view(&f->out), &f->arena, &got));
    assert_true(messages_equal(message, &got));
    vectors_add(&f->vectors, message_name(message->type), meaning, buf_view(&f->out));
}

static void add_handshake(struct fixture *f)
{
    struct message m = {.type = MESSAGE_HELLO};

    m.as.hello =
        (struct message_hello){1, 1, id_1, fill(f, 0x01, 32), bytes_of_text("satchel 0.1")};
    add_message(f, "protocol 1 to 1, device id_1, nonce of 32 bytes 01, agent 'satchel 0.1'", &m);
    m.type = MESSAGE_CHALLENGE;
    m.as.challenge = (struct message_challenge){
        1, fill(f, 0x02, 32), fill(f, 0x03, 32), 0xc0ffee, id_2, 1714521600000,
        3, fill(f, 0x04, 32)};
    add_message(f,
                "protocol 1, nonce of 02, server key of 03, incarnation 0xc0ffee, history id_2, "
                "wall clock 2024-05-01T00:00:00Z, model version 3 with a hash of 04",
                &m);
    m.type = MESSAGE_ENROL;
    m.as.enrol =
        (struct message_enrol){fill(f, 0x05, 16),      fill(f, 0x06, 32), bytes_of_text("Phone"),
                               bytes_of_text("linux"), bytes_of(NULL, 0), bytes_of(NULL, 0)};
    add_message(f,
                "code of 16 bytes 05, public key of 06, name 'Phone', platform 'linux'; no server "
                "itself: no address, no pin",
                &m);
    m.type = MESSAGE_ENROLLED;
    m.as.enrolled = (struct message_enrolled){id_1, id_2, bytes_of_text("anna"), id_2};
    add_message(f, "device id_1, user id_2, login 'anna', history id_2", &m);
    m.type = MESSAGE_PROVE;
    m.as.prove = (struct message_prove){fill(f, 0x07, 64), 0xa1, 7, 5, 0x11111111, 1714521600000};
    add_message(f,
                "signature of 64 bytes 07, origin 0xa1, last oseq 7, floor 5 with tag 0x11111111, "
                "wall clock 2024-05-01T00:00:00Z",
                &m);
    m.type = MESSAGE_FAILURE;
    m.as.failure = (struct message_failure){15, bytes_of_text("this device has been revoked")};
    add_message(f, "ERR_REVOKED (15)", &m);
}

static void add_welcome(struct fixture *f)
{
    const struct bucket_name names[] = {{1, BUCKET_KIND_COMPANY, {{0}}, 103},
                                        {0, BUCKET_KIND_BRANCH, id_1, 0}};
    static const struct bucket_position first[] = {{1, 100}, {2, 40}};
    static const struct incarnation incarnations[] = {{0xbeef, NULL, 0}, {0xc0ffee, first, 2}};
    static const struct oseq_range ranges[] = {{7, 7}, {9, 12}};
    static const struct mark marks[] = {{0xa1, 5, ranges, 2}};
    static const struct bucket_position floors[] = {{2, 17}};
    struct message m = {.type = MESSAGE_WELCOME};

    m.as.welcome = (struct message_welcome){id_2, 1,     4, names,  2,       incarnations,
                                            2,    marks, 1, 3,      1048576, 1714521600000,
                                            0,    0xb0,  1, floors, 1};
    add_message(
        f,
        "user id_2, role 1 (rep), scope revision 4, bucket 1 (company), whose head is at 103, and "
        "that of branch id_1, which is not held there, "
        "incarnations 0xbeef (no buckets yet) and 0xc0ffee (bucket 1 from 100, 2 from 40), mark of "
        "origin 0xa1: 1..5, 7, 9..12; archived up to 3, credit 1 MiB, not a fork, from "
        "a branch that is online and whose list is 0xb0, floor of bucket 2 at 17",
        &m);
}

static void add_up(struct fixture *f)
{
    static const struct oseq_range ranges[] = {{10, 12}};
    struct bytes groups[2] = {bytes_of_text("group 8"), bytes_of_text("group 9")};
    struct message m = {.type = MESSAGE_PUSH};

    m.as.push = (struct message_push){0xa1, 8, groups, 2, fill(f, 0x08, 64)};
    add_message(
        f, "origin 0xa1, groups 8 and 9 (their bytes are placeholders here), signature of 08", &m);
    m.type = MESSAGE_PART;
    m.as.part =
        (struct message_part){0xa1, 10, 1, 3, 1200000, bytes_of_text("data"), bytes_of(NULL, 0)};
    add_message(f, "origin 0xa1, oseq 10, part 1 of 3, 1,200,000 bytes in all, no signature yet",
                &m);
    m.type = MESSAGE_ACK;
    m.as.ack = (struct message_ack){0xa1, 8, ranges, 1, 4096};
    add_message(f, "origin 0xa1, durable: 1..8 and 10..12, credit 4096", &m);
    m.type = MESSAGE_FORK;
    m.as.fork = (struct message_fork){0xa1, 9};
    add_message(f, "origin 0xa1: oseq 9 is another group's", &m);
    m.type = MESSAGE_DISCARD;
    m.as.discard = (struct message_discard){0xa1, 8};
    add_message(f, "origin 0xa1 gives up its parked group 8", &m);
}

static void add_down(struct fixture *f)
{
    static const struct bucket_position cursors[] = {{1, 250}, {2, 0}};
    static const struct bucket_digest heads[] = {
        {1, 260, 91, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}};
    static const struct mark marks[] = {{0xa1, 9, NULL, 0}};
    const struct bytes none = bytes_of(NULL, 0);
    struct group_result results[2] = {{8, 1, RESULT_APPLIED, 0, none, none},
                                      {9, 1, RESULT_PARKED, 2, bytes_of_text("item.amount"), none}};
    struct message m = {.type = MESSAGE_SUBSCRIBE};

    m.as.subscribe = (struct message_subscribe){4, cursors, 2, 1048576, 0};
    add_message(f, "scope revision 4, bucket 1 from 250, bucket 2 from the start, credit 1 MiB",
                &m);
    m.type = MESSAGE_PAGE;
    m.as.page = (struct message_page){1, 250, 260, 0, bytes_of("\x91\x90", 2)};
    add_message(f, "bucket 1, positions after 250 to 260, catching up, an empty body", &m);
    m.type = MESSAGE_CHECKPOINT;
    m.as.checkpoint = (struct message_checkpoint){0, 4, heads, 1, marks, 1, results, 2, 3, NULL, 0};
    add_message(
        f,
        "end of catching up, scope revision 4, bucket 1 at 260 with 91 records and their sum, mark "
        "of origin 0xa1: 1..9; group 8 applied, group 9 parked "
        "(reason 2), archived up to 3, no new incarnations",
        &m);
    m.type = MESSAGE_CREDIT;
    m.as.credit = (struct message_credit){262144};
    add_message(f, "256 KiB more of PAGE may be sent", &m);
    m.type = MESSAGE_PING;
    m.as.ping = (struct message_ping){7};
    add_message(f, "token 7", &m);
    m.type = MESSAGE_PONG;
    m.as.pong = (struct message_pong){7};
    add_message(f, "token 7", &m);
}

static void add_comparison(struct fixture *f)
{
    static const struct range_name numbers[] = {{3}, {12}};
    static const struct range_count differing[] = {{25, 14}};
    struct message m = {.type = MESSAGE_RANGES};

    m.as.ranges =
        (struct message_ranges){1, 260, 0x5a17, 4, 1, numbers, 2, fill(f, 0x09, 32), 1, 1};
    add_message(f,
                "bucket 1 at 260, salt 0x5a17, ranges 3 and 12 of depth 4, each in 2 parts, 4 sums "
                "of 09; the rows of the parts that differ, and this is the last question",
                &m);
    m.type = MESSAGE_DIFFERENCES;
    m.as.differences = (struct message_differences){1, 0x5a17, 5, differing, 1};
    add_message(f, "bucket 1, salt 0x5a17: of depth 5, part 25 differs, which has 14 records here",
                &m);
}

static void add_branches(struct fixture *f)
{
    static const uint8_t name[36] = {0, 0, 0, 2, 0xaa, 0xbb}, hash[32] = {0xcc};
    const struct bytes former[] = {bytes_of(name, sizeof name)};
    static const struct range_count renamed[] = {{14, 0x33}};
    static const struct origin_floor floors[] = {{0xa1, 9}, {0xb2, 0}};
    static const struct oseq_range ranges[] = {{12, 12}};
    static const struct mark marks[] = {{0xb2, 10, ranges, 1}};
    struct group_result results[] = {
        {12, 1, RESULT_PARKED, 2, bytes_of_text("item.amount"), bytes_of(NULL, 0)}};
    struct pending_group groups[] = {{0x18f00000001, bytes_of_text("group")}};
    struct message m = {.type = MESSAGE_RELAY};

    m.as.relay = (struct message_relay){0xb2, id_1, 1714521600000, -250};
    add_message(f,
                "what follows under origin 0xb2 is of device id_1, and came at "
                "2024-05-01T00:00:00Z from a clock 250 ms ahead",
                &m);
    m.type = MESSAGE_FOLLOW;
    m.as.follow = (struct message_follow){floors, 2, 0xb0, 7};
    add_message(f,
                "the fates of origin 0xa1 above 9, and of 0xb2; of list 0xb0 everything up to 7 is "
                "here",
                &m);
    m.type = MESSAGE_FATES;
    m.as.fates = (struct message_fates){1, marks, 1, results, 1, 3, renamed, 1};
    add_message(f,
                "with the next live checkpoint: of origin 0xb2 1..10 and 12 are decided, 12 is "
                "parked (reason 2), archived up to 3; 14 with tag 0x33 is decided elsewhere",
                &m);
    results[0].tags = bytes_of_text("abcd");
    m.as.fates = (struct message_fates){1, marks, 1, results, 1, 0, NULL, 0};
    add_message(f, "the same to a branch: the tag of 12 is 0x61626364", &m);
    m.type = MESSAGE_PENDING;
    m.as.pending = (struct message_pending){0xb0, 8, groups, 1};
    add_message(f, "list 0xb0 up to 8: one group (its bytes are a placeholder) and its stamp", &m);
    m.type = MESSAGE_MODEL_ASK;
    m.as.model_ask = (struct message_model_ask){0};
    add_message(f, "the model's text, from its begin", &m);
    m.type = MESSAGE_MODEL;
    m.as.model =
        (struct message_model){3, bytes_of(hash, 32), 5, 0, bytes_of_text("{\"a\""), former, 1};
    add_message(f,
                "version 3 of the model, 5 bytes in all, which are here (a placeholder); it "
                "continues version 2",
                &m);
}

static void add_attachments(struct fixture *f)
{
    struct blob_offer offers[] = {{fill(f, 0xab, 32), 150000}};
    struct blob_state states[] = {{fill(f, 0xab, 32), BLOB_WANTED, 2},
                                  {fill(f, 0xcd, 32), BLOB_AT_HEADQUARTERS, 0}};
    struct message m = {.type = MESSAGE_OFFER};

    m.as.offer = (struct message_offer){offers, 1};
    add_message(f, "an attachment of 150,000 bytes is whole here", &m);
    m.type = MESSAGE_STATES;
    m.as.states = (struct message_states){states, 2, 33554432, 1};
    add_message(f, "chunk 2 of the first, please; the second is at headquarters; at most 32 MiB",
                &m);
    m.type = MESSAGE_WANT;
    m.as.want = (struct message_want){fill(f, 0xab, 32), 2, 1048576};
    add_message(f, "chunk 2, if the whole has at most 1 MiB", &m);
    m.type = MESSAGE_CHUNK;
    m.as.chunk =
        (struct message_chunk){fill(f, 0xab, 32), 131080, 2, BLOB_AT_BRANCH, fill(f, 7, 8)};
    add_message(f, "the last 8 of 131,080 bytes; a branch has them", &m);
}

static void messages(void **state)
{
    struct fixture *f = *state;

    vectors_start(&f->vectors, "Payloads of messages, by name (SPEC.md 7). id_1 is "
                               "018f0000-0000-7000-8000-000000000001, id_2 ends in 2.");
    add_handshake(f);
    add_welcome(f);
    add_up(f);
    add_down(f);
    add_comparison(f);
    add_branches(f);
    add_attachments(f);
    vectors_check(&f->vectors, "tests/vectors/messages.json");
}

static void frames(void **state)
{
    struct fixture *f = *state;
    struct message m = {.type = MESSAGE_PING, .as.ping.token = 7};

    vectors_start(&f->vectors,
                  "Frames (SPEC.md 7): header and payload. Deflated ones are not here, for "
                  "their bytes are up to the sender's zlib.");
    assert_ok(frame_encode(&m, NULL, &f->scratch, &f->out));
    vectors_add(&f->vectors, "ping", "PING, token 7", buf_view(&f->out));
    m.type = MESSAGE_HELLO;
    m.as.hello =
        (struct message_hello){1, 1, {{0}}, fill(f, 0x01, 32), bytes_of_text("satchel 0.1")};
    assert_ok(frame_encode(&m, NULL, &f->scratch, &f->out));
    vectors_add(&f->vectors, "hello", "HELLO of a device that wants to enrol", buf_view(&f->out));
    vectors_check(&f->vectors, "tests/vectors/frames.json");
}

/* --- Groups ----------------------------------------------------------------------------------- */

static void add_group(struct fixture *f, const char *name, const char *meaning,
                      const struct mutation *mutations, uint32_t count, struct dot renamed)
{
    struct group got, group = {.dot = {0xa1, 8, 0x44444444},
                               .stamp = STAMP,
                               .model_version = 3,
                               .renamed = renamed,
                               .mutations = mutations,
                               .mutation_count = count};

    buf_reset(&f->out);
    assert_ok(group_encode(&group, &f->out));
    assert_ok(group_decode(f->model, buf_view(&f->out), &f->arena, &got, NULL));
    codec_assert_group(&group, &got);
    vectors_add(&f->vectors, name, meaning, buf_view(&f->out));
}

static void add_inserts(struct fixture *f)
{
    struct value name = text("Lamp"), price[2] = {value_int(1250), text("EUR")},
                 weight = value_real(0.5);
    struct value n = value_int(-1);
    struct unit_write writes[3] = {{.unit = &f->item->units[0], .values = &name},
                                   {.unit = &f->item->units[7], .values = &weight},
                                   {.unit = &f->item->units[11], .values = price}};
    struct unit_write count_write = {.unit = &f->count->units[0], .values = &n};
    struct mutation mutations[2] = {
        {.table = f->item, .op = MUTATION_INSERT, .id = id_1, .writes = writes, .write_count = 3},
        {.table = f->count,
         .op = MUTATION_INSERT,
         .id = id_2,
         .writes = &count_write,
         .write_count = 1}};

    add_group(f, "insert",
              "two inserts: item id_1 {name 'Lamp', weight 0.5, price 12.50 EUR}, "
              "count id_2 {n -1}",
              mutations, 2, (struct dot){0});
    add_group(f, "renamed",
              "one insert: item id_1, in a group that was (0xa1, 5, 0x55555555) before a fork",
              mutations, 1, (struct dot){0xa1, 5, 0x55555555});
}

static void add_updates(struct fixture *f)
{
    struct dot seen_dots[2] = {dot_a, dot_b};
    struct value name = text("Lamp 2"), points = value_int(5);
    struct value notes = text("new\n"), notes_base = value_null();
    struct value price[2] = {value_int(1300), text("EUR")},
                 base[2] = {value_int(1250), text("EUR")};
    struct bytes adds[1] = {bytes_of_text("blue")};
    struct set_pair removes[1] = {{bytes_of_text("red"), dot_a}};
    struct unit_write writes[5] = {
        {.unit = &f->item->units[0], .values = &name},
        {.unit = &f->item->units[2], .values = &points, .seen = {&dot_b, 1}},
        {.unit = &f->item->units[3],
         .adds = adds,
         .add_count = 1,
         .removes = removes,
         .remove_count = 1},
        {.unit = &f->item->units[4], .values = &notes, .base = &notes_base, .seen = {seen_dots, 2}},
        {.unit = &f->item->units[11], .values = price, .base = base}};
    struct mutation mutation = {.table = f->item,
                                .op = MUTATION_UPDATE,
                                .id = id_1,
                                .insert = dot_a,
                                .writes = writes,
                                .write_count = 5};

    add_group(
        f, "update",
        "item id_1, inserted by dot a: name 'Lamp 2', seen {insert}; points +5, seen {b}; tags add "
        "'blue', remove ('red', a), seen {insert}; notes 'new\\n' over NULL, seen {a, b}; price "
        "13.00 "
        "EUR over 12.50 EUR, seen {insert}",
        &mutation, 1, (struct dot){0});
}

static void add_deletes(struct fixture *f)
{
    struct dot several[2] = {dot_b, dot_c};
    struct unit_seen frontier[2] = {{0, {&dot_b, 1}}, {11, {several, 2}}};
    struct value name = text("Lamp");
    struct unit_write write = {.unit = &f->item->units[0], .values = &name, .seen = {&dot_b, 1}};
    struct mutation mutations[2] = {{.table = f->item,
                                     .op = MUTATION_DELETE,
                                     .id = id_1,
                                     .insert = dot_a,
                                     .frontier = frontier,
                                     .frontier_count = 2},
                                    {.table = f->item,
                                     .op = MUTATION_RESTORE,
                                     .id = id_2,
                                     .insert = dot_a,
                                     .deletes = {several, 2},
                                     .writes = &write,
                                     .write_count = 1}};

    add_group(f, "delete",
              "item id_1 deleted: name seen at {b}, price at {b, c}, all else at {insert}; item "
              "id_2 restored from the deletes b and c with the name 'Lamp', seen {b}",
              mutations, 2, (struct dot){0});
}

static void groups(void **state)
{
    struct fixture *f = *state;

    vectors_start(&f->vectors,
                  "Groups (SPEC.md 4) on the model of model.json, dot (0xa1, 8, 0x44444444), stamp "
                  "0x018f000000000001. id_1 is 018f0000-0000-7000-8000-000000000001, id_2 ends in "
                  "2; dot a is "
                  "(0xa1, 7, 0x11111111), b (0xb2, 3, 0x22222222), c (0xb2, 4, 0x33333333).");
    add_inserts(f);
    add_updates(f);
    add_deletes(f);
    vectors_check(&f->vectors, "tests/vectors/groups.json");
}

/* --- Versions, pages, digests ----------------------------------------------------------------- */

static void encode_version(struct fixture *f, const struct version *version)
{
    buf_reset(&f->out);
    assert_ok(version_encode(f->item, version, &f->out));
}

static struct version simple_version(void)
{
    return (struct version){.insert = dot_a, .insert_stamp = STAMP, .revision = 1};
}

static void versions(void **state)
{
    struct fixture *f = *state;
    struct version version = simple_version(), got;
    struct value x = text("x"), y = text("y");
    struct candidate one = {.dot = dot_b, .stamp = STAMP + 1};
    struct candidate two[2] = {{.dot = dot_b, .stamp = STAMP + 1, .values = &x},
                               {.dot = dot_c, .stamp = STAMP, .values = &y}};
    struct set_pair pair = {bytes_of_text("red"), dot_b};
    struct unit_state units[2] = {
        {.unit = 0, .count = 2, .candidates = two},
        {.unit = 3, .count = 1, .candidates = &one, .pairs = &pair, .pair_count = 1}};
    struct delete_mark deletes[1] = {{dot_c, STAMP}};

    vectors_start(&f->vectors,
                  "Versions (SPEC.md 3) of a record of table item; dots as in groups.json.");
    encode_version(f, &version);
    vectors_add(&f->vectors, "simple", "inserted by a, stamp 0x018f000000000001, revision 1",
                buf_view(&f->out));
    version.units = units;
    version.unit_count = 2;
    version.deletes = deletes;
    version.delete_count = 1;
    version.revision = 300;
    version.stamp_adjusted = true;
    encode_version(f, &version);
    assert_ok(version_decode(f->item, buf_view(&f->out), &f->arena, &got));
    vectors_add(&f->vectors, "concurrent",
                "the same, its stamp adjusted, revision 300; name has the candidates b 'x' (stamp "
                "+ 1) and c "
                "'y'; tags written by b (stamp + 1), holding ('red', b); deleted by c",
                buf_view(&f->out));
    vectors_check(&f->vectors, "tests/vectors/versions.json");
}

static struct store_row vector_row(struct fixture *f, struct value *values)
{
    struct version version = simple_version();
    struct bytes copy;

    memset(values, 0, sizeof(*values) * f->item->column_count);
    values[0] = text("Lamp");
    values[1] = value_int(1250);
    values[2] = text("EUR");
    values[9] = value_real(0.5);
    encode_version(f, &version);
    assert_ok(arena_copy(&f->arena, buf_view(&f->out), &copy));
    return (struct store_row){.values = values, .version = copy};
}

static enum err count_entry(void *context, const struct page_entry *entry)
{
    (void)entry;
    ++*(unsigned *)context;
    return ERR_OK;
}

static void pages(void **state)
{
    struct fixture *f = *state;
    struct value values[13], price[2] = {value_int(1300), text("EUR")}, name = text("Lamp 2");
    struct store_row row = vector_row(f, values);
    struct page_unit units[2] = {{0, &name}, {11, price}};
    struct page_writer w;
    struct bytes body;
    unsigned entries = 0;

    vectors_start(&f->vectors,
                  "Bodies of PAGE (SPEC.md 8); ids, dots and stamps as in groups.json.");
    page_writer_init(&w);
    assert_ok(page_writer_finish(&w, &body));
    vectors_add(&f->vectors, "empty", "no entries", body);
    assert_ok(page_write_row(&w, 251, f->item, &id_1, &row));
    assert_ok(page_write_delta(&w, 252, f->item, &id_1, 1, 2, &dot_b, STAMP + 1, units, 2));
    assert_ok(page_write_gone(&w, 260, f->count, &id_2));
    assert_ok(page_write_own(&w, 261, 8, 0, 5));
    assert_ok(page_writer_finish(&w, &body));
    assert_ok(page_read(f->model, body, NULL, count_entry, &entries));
    assert_int_equal(entries, 4);
    vectors_add(&f->vectors, "entries",
                "position 251: the row of item id_1, live, version 'simple', {name 'Lamp', price "
                "12.50 EUR, "
                "weight 0.5}; 252: its change from revision 1 to 2 by dot b, stamp "
                "0x018f000000000002, name "
                "'Lamp 2', price 13.00 EUR; 260: count id_2 has left; 261: "
                "the record of mutation 0 of the receiver's group 8 is at revision 5",
                body);
    page_writer_done(&w);
    vectors_check(&f->vectors, "tests/vectors/pages.json");
}

static void digests(void **state)
{
    struct fixture *f = *state;
    struct value values[13];
    struct store_row row = vector_row(f, values);
    struct digest sum = {{0}}, one;
    struct crypto *crypto;

    vectors_start(&f->vectors, "Digests (SPEC.md 9) of the row in pages.json, 'entries'.");
    assert_ok(crypto_new(&crypto));
    assert_ok(digest_row(crypto, f->item, &id_1, &row, &f->scratch, &one));
    vectors_add(&f->vectors, "form", "the canonical form of item id_1", buf_view(&f->scratch));
    vectors_add(&f->vectors, "row", "its digest: the first 16 bytes of the form's SHA-256",
                bytes_of(one.byte, 16));
    digest_add(&sum, &one);
    row.dead = true;
    assert_ok(digest_row(crypto, f->item, &id_2, &row, &f->scratch, &one));
    vectors_add(&f->vectors, "dead row", "the digest of the same content as a dead record id_2",
                bytes_of(one.byte, 16));
    digest_add(&sum, &one);
    vectors_add(&f->vectors, "sum", "of both", bytes_of(sum.byte, 16));
    crypto_free(crypto);
    vectors_check(&f->vectors, "tests/vectors/digests.json");
}

/* --- The examples in the specification are the vectors ---------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages, setup, teardown),
        cmocka_unit_test_setup_teardown(frames, setup, teardown),
        cmocka_unit_test_setup_teardown(groups, setup, teardown),
        cmocka_unit_test_setup_teardown(versions, setup, teardown),
        cmocka_unit_test_setup_teardown(pages, setup, teardown),
        cmocka_unit_test_setup_teardown(digests, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
