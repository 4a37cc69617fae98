/* What no honest branch would send to headquarters, no honest device to its branch, and no honest server to either:
 * each is answered with a defined code, what is held is as it was, and others go on. */
#include "client/core/replica_internal.h"
#include "client/core/replica_relay.h"
#include "server/core/hub_internal.h"
#include "tests/lib/hands.h"
#include "tests/lib/hostile.h"

/* The branch of Kazan with Anna and Boris; Maria is at headquarters. */
struct town {
    struct pair p;
    struct pair_branch *kazan;
    struct pair_device *anna, *boris, *maria;
    struct uuid customer;
    struct hostile h;
    struct arena arena;
};

static void town_open(struct town *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    pair_init(&t->p, NULL, seed);
    arena_init(&t->arena, 1 << 26);
    t->kazan = pair_branch_new(&t->p, "Kazan", NULL);
    t->anna = pair_enrol_at(&t->p, "anna", "Kazan", t->kazan);
    t->boris = pair_enrol_at(&t->p, "boris", "Kazan", t->kazan);
    t->maria = pair_enrol(&t->p, "maria", "admin");
    pair_go_live(&t->p, t->anna);
    pair_go_live(&t->p, t->boris);
    pair_go_live(&t->p, t->maria);
    const struct hands_cell cells[] = {{"name", "Acme", {{0}}}, {"visibility", "company", {{0}}}};
    t->customer = hands_put(&t->p, t->maria, "party", (struct uuid){{0}}, cells, 2);
    pair_say(&t->p, t->maria);
}

/* The hostile peer takes the place of this device, which is cut off. */
static void stand_in(struct town *t, struct pair_device *device, bool open)
{
    pair_cut(&t->p, device);
    hostile_attach(&t->h, &t->p, device);
    if (open)
        hostile_open(&t->h);
}

static void again(struct town *t)
{
    struct pair_device *device = t->h.device;
    hostile_end(&t->h);
    stand_in(t, device, true);
}

static void expect(struct town *t, const struct message *message, enum err failure)
{
    hostile_send(&t->h, message);
    hostile_expect(&t->h, failure);
    again(t);
}

/* All come together: nothing waits, and all have what headquarters has. */
static void town_close(struct town *t)
{
    hostile_end(&t->h);
    pair_links_again(&t->p);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t i = 0; i < t->p.device_count; i++)
            if (!t->p.devices[i].up)
                pair_go_live(&t->p, &t->p.devices[i]);
    for (uint32_t i = 0; i < t->p.device_count; i++) {
        assert_int_equal(replica_pending_count(t->p.devices[i].replica), 0);
        pair_assert_equal(&t->p, &t->p.devices[i]);
    }
    hands_assert_verified(&t->p);
    arena_done(&t->arena);
    pair_done(&t->p);
}

static uint64_t origin_of(const struct pair_device *device)
{
    return pair_status(device).origin;
}

static struct message relay_of(uint64_t origin, const struct pair_device *device, int64_t at_ms)
{
    return (struct message){
        .type = MESSAGE_RELAY,
        .as.relay = {.origin = origin, .device = device->identity.device, .received_ms = at_ms}};
}

static const struct message *discard_of(struct message *m, uint64_t origin, uint64_t oseq)
{
    *m = (struct message){.type = MESSAGE_DISCARD, .as.discard = {.origin = origin, .oseq = oseq}};
    return m;
}

/* As the peer, with a run of the device's own; signed by it. */
static void push_as(struct town *t, struct pair_device *author, uint64_t first,
                    const struct bytes *groups, uint32_t count)
{
    struct pair_device *device = t->h.device;
    uint64_t origin = t->h.origin;
    uint8_t signature[64];
    t->h.device = author;
    t->h.origin = origin_of(author);
    hostile_sign(&t->h, first, groups, count, signature);
    const struct message push = {.type = MESSAGE_PUSH,
                                 .as.push = {.origin = t->h.origin,
                                             .first = first,
                                             .groups = groups,
                                             .groups_count = count,
                                             .signature = bytes_of(signature, 64)}};
    t->h.device = device;
    t->h.origin = origin;
    hostile_send(&t->h, &push);
}

static uint32_t outbox_of(struct town *t, const struct pair_device *device, uint64_t from,
                          const struct bytes **ret)
{
    uint32_t count;
    uint64_t first;
    assert_ok(replica_outbox(device->replica, from, 1 << 20, 100, &t->arena, ret, &count, &first));
    return count;
}

/* ---- to headquarters ---- */

static void a_branch_speaks_for_its_devices_alone(void **state)
{
    struct town t;
    struct message m;
    const struct bytes *groups;
    (void)state;
    town_open(&t, 1);
    const uint64_t anna = origin_of(t.anna);
    pair_set(&t.p, t.anna, "party", t.customer, "fax", "known");
    pair_say(&t.p, t.anna);
    pair_cut(&t.p, t.anna);
    pair_set(&t.p, t.anna, "party", t.customer, "tax_id", "555");
    assert_int_equal(outbox_of(&t, t.anna, 2, &groups), 1);
    /* who is no branch speaks for nobody */
    stand_in(&t, t.maria, true);
    m = relay_of(anna, t.anna, t.p.now_ms);
    expect(&t, &m, ERR_PROTOCOL);
    hostile_end(&t.h);
    /* nor a branch before it has said who it is */
    stand_in(&t, t.kazan->link, false);
    hostile_send(&t.h, &m);
    hostile_expect(&t.h, ERR_PROTOCOL);
    again(&t);
    m = relay_of(0, t.anna, t.p.now_ms);
    expect(&t, &m, ERR_PROTOCOL);
    m = relay_of(origin_of(t.kazan->link), t.anna, t.p.now_ms);
    expect(&t, &m, ERR_PROTOCOL);
    m = relay_of(anna, &(struct pair_device){.identity = {.device = {{9}}}}, t.p.now_ms);
    expect(&t, &m, ERR_AUTH);          /* a device that nobody enrolled */
    push_as(&t, t.anna, 2, groups, 1); /* nobody said whose it is */
    hostile_expect(&t.h, ERR_PROTOCOL);
    again(&t);
    m = relay_of(anna, t.boris, t.p.now_ms); /* Anna's as Boris': her origin is known here */
    hostile_send(&t.h, &m);
    push_as(&t, t.anna, 2, groups, 1);
    hostile_settle(&t.h);
    assert_int_equal(t.h.fork_oseq, 1);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "tax_id"), "");
    again(&t);
    m = relay_of(anna, t.anna, t.p.now_ms); /* a run that she did not sign */
    hostile_send(&t.h, &m);
    struct pair_device forger = *t.boris;
    forger.replica = t.anna->replica;
    push_as(&t, &forger, 2, groups, 1);
    hostile_expect(&t.h, ERR_AUTH);
    again(&t);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "tax_id"), "");
    hostile_send(&t.h, &m); /* and one that she did */
    push_as(&t, t.anna, 2, groups, 1);
    hostile_settle(&t.h);
    assert_int_equal(t.h.failure, ERR_OK);
    assert_int_equal(t.h.acked_upto, 2);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "tax_id"), "555");
    town_close(&t);
}

/* What reached the branch before the device was revoked counts; what came after has no rights. */
static void what_a_revoked_device_wrote_counts_if_it_came_before(void **state)
{
    struct town t;
    char request[120], id[UUID_TEXT_SIZE];
    const struct bytes *groups;
    (void)state;
    town_open(&t, 2);
    pair_cut(&t.p, t.anna);
    pair_set(&t.p, t.anna, "party", t.customer, "tax_id", "before");
    pair_set(&t.p, t.anna, "party", t.customer, "fax", "after");
    assert_int_equal(outbox_of(&t, t.anna, 1, &groups), 2);
    const int64_t before_ms = t.p.now_ms;
    t.p.now_ms += 1000;
    uuid_format(&t.anna->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    pair_admin(&t.p, request);
    pair_run(&t.p);
    stand_in(&t, t.kazan->link, true);
    struct message m = relay_of(origin_of(t.anna), t.anna, before_ms);
    hostile_send(&t.h, &m);
    push_as(&t, t.anna, 1, groups, 1);
    hostile_settle(&t.h);
    m = relay_of(origin_of(t.anna), t.anna, t.p.now_ms);
    hostile_send(&t.h, &m);
    push_as(&t, t.anna, 2, groups + 1, 1);
    hostile_settle(&t.h);
    assert_int_equal(t.h.failure, ERR_OK);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "tax_id"), "before");
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "fax"), "");
    hostile_end(&t.h);
    pair_go_live(&t.p, t.kazan->link);
    pair_assert_equal(&t.p, t.boris);
    hands_assert_verified(&t.p);
    arena_done(&t.arena);
    pair_done(&t.p);
}

static void a_list_of_origins_has_a_bound(void **state)
{
    enum { PART = 40000 };
    struct town t;
    struct origin_floor *origins = calloc(PART, sizeof *origins);
    (void)state;
    assert_non_null(origins);
    town_open(&t, 3);
    stand_in(&t, t.kazan->link, false);
    const struct message follow = {.type = MESSAGE_FOLLOW,
                                   .as.follow = {.origins = origins, .origins_count = PART}};
    const struct message none = {.type = MESSAGE_FOLLOW};
    hostile_send(&t.h, &none);
    hostile_expect(&t.h, ERR_PROTOCOL); /* not before it has said who it is */
    again(&t);
    for (uint64_t i = 0; i < PART; i++)
        origins[i] = (struct origin_floor){1000 + i, 0};
    hostile_send(&t.h, &follow);
    hostile_send(&t.h, &follow); /* the same again is no more */
    hostile_settle(&t.h);
    assert_int_equal(t.h.failure, ERR_OK);
    assert_int_equal(t.h.peer->follow_count, PART);
    for (uint64_t i = 0; i < PART; i++)
        origins[i].origin += PART;
    hostile_send(&t.h, &follow);
    hostile_expect(&t.h, ERR_LIMIT);
    free(origins);
    town_close(&t);
}

/* ---- to a branch ---- */

static uint64_t run_end(const struct town *t)
{
    return relay_run_end(t->kazan->link->replica);
}

static void a_device_speaks_for_itself_alone(void **state)
{
    struct town t;
    struct message m;
    const struct bytes *groups;
    (void)state;
    town_open(&t, 4);
    pair_set(&t.p, t.boris, "party", t.customer, "fax", "of Boris");
    pair_say(&t.p, t.boris);
    pair_set(&t.p, t.anna, "party", t.customer, "tax_id", "555");
    assert_int_equal(outbox_of(&t, t.anna, 1, &groups), 1);
    stand_in(&t, t.anna, true);
    const uint64_t end = run_end(&t);
    m = relay_of(origin_of(t.boris), t.boris, t.p.now_ms);
    expect(&t, &m, ERR_PROTOCOL);
    expect(&t, discard_of(&m, origin_of(t.anna), 0), ERR_PROTOCOL);
    expect(&t, discard_of(&m, origin_of(t.boris), 1), ERR_PROTOCOL);
    again(&t);
    hostile_send(&t.h,
                 discard_of(&m, 12345, 1)); /* never heard of here: its author says it elsewhere */
    hostile_settle(&t.h);
    assert_int_equal(t.h.failure, ERR_OK);
    assert_int_equal(run_end(&t), end);
    const struct origin_floor nobody = {0, 0};
    m = (struct message){.type = MESSAGE_FOLLOW,
                         .as.follow = {.origins = &nobody, .origins_count = 1}};
    expect(&t, &m, ERR_PROTOCOL);
    struct pair_device forger = *t.boris;
    forger.replica = t.anna->replica;
    push_as(&t, &forger, 1, groups, 1);
    hostile_expect(&t.h, ERR_AUTH);
    again(&t);
    push_as(&t, t.boris, 2, groups,
            1); /* another's origin, which is known: it is told to renumber */
    hostile_settle(&t.h);
    assert_int_equal(t.h.fork_oseq, 1);
    assert_int_equal(run_end(&t), end);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.customer, "tax_id"), "");
    assert_string_equal(pair_cell(&t.p, t.kazan->link, "party", t.customer, "tax_id"), "");
    town_close(&t);
}

/* Nor a branch below for devices that are not its own; what of its own it gives up goes on. */
static void a_branch_below_gives_up_its_own_alone(void **state)
{
    struct town t;
    struct message m;
    (void)state;
    town_open(&t, 10);
    struct pair_branch *port = pair_branch_new(&t.p, "Port", t.kazan);
    pair_links_again(&t.p);
    struct pair_device *carl = pair_enrol_at(&t.p, "carl", "Port", port);
    pair_go_live(&t.p, carl);
    pair_set(&t.p, carl, "party", t.customer, "fax", "of Carl");
    pair_say(&t.p, carl);
    pair_set(&t.p, t.boris, "party", t.customer, "tax_id", "of Boris");
    pair_say(&t.p, t.boris);
    stand_in(&t, port->link, true);
    const uint64_t end = run_end(&t);
    expect(&t, discard_of(&m, origin_of(t.boris), 1), ERR_PROTOCOL);
    m = relay_of(0, carl, t.p.now_ms);
    expect(&t, &m, ERR_PROTOCOL);
    m = relay_of(5, &(struct pair_device){.identity = {.device = {{9}}}}, t.p.now_ms);
    expect(&t, &m, ERR_AUTH);
    assert_int_equal(run_end(&t), end);
    m = relay_of(origin_of(carl), carl, t.p.now_ms);
    hostile_send(&t.h, &m);
    hostile_send(&t.h,
                 discard_of(&m, origin_of(carl), 1)); /* which was decided: nothing is given up */
    hostile_settle(&t.h);
    assert_int_equal(t.h.failure, ERR_OK);
    assert_int_equal(run_end(&t), end + 1);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "fax"), "of Carl");
    town_close(&t);
}

/* Runs that come with gaps are acknowledged as what they are; a number is of one group. */
static void runs_come_in_any_order(void **state)
{
    struct town t;
    char text[20];
    const struct bytes *groups, *other;
    (void)state;
    town_open(&t, 5);
    pair_cut(&t.p, t.kazan->link);
    pair_cut(&t.p, t.anna);
    for (int i = 1; i <= 6; i++) {
        snprintf(text, sizeof text, "fax %d", i);
        pair_set(&t.p, t.anna, "party", t.customer, "fax", text);
    }
    assert_int_equal(outbox_of(&t, t.anna, 1, &groups), 6);
    stand_in(&t, t.anna, true);
    push_as(&t, t.anna, 6, groups + 5, 1);
    push_as(&t, t.anna, 2, groups + 1, 1);
    push_as(&t, t.anna, 4, groups + 3, 1);
    hostile_settle(&t.h);
    assert_int_equal(t.h.acked_upto, 0);
    assert_int_equal(t.h.acked_ranges, 3);
    push_as(&t, t.anna, 3, groups + 2, 1);
    hostile_settle(&t.h);
    assert_int_equal(t.h.acked_ranges, 2);
    push_as(&t, t.anna, 2, groups + 1, 3); /* all of it is here */
    hostile_settle(&t.h);
    assert_int_equal(t.h.fork_oseq, 0);
    push_as(&t, t.anna, 1, groups, 1);
    hostile_settle(&t.h);
    assert_int_equal(t.h.acked_upto, 1); /* it is not looked for what lies beyond what came */
    push_as(&t, t.anna, 4, groups + 3, 2);
    hostile_settle(&t.h);
    assert_int_equal(t.h.acked_upto, 6);
    assert_int_equal(t.h.acked_ranges, 0);
    assert_int_equal(outbox_of(&t, t.anna, 5, &other), 2);
    push_as(&t, t.anna, 4, other, 1); /* the fifth as the fourth */
    hostile_settle(&t.h);
    assert_int_equal(t.h.fork_oseq, 4);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.customer, "fax"), "");
    pair_run(&t.p);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.customer, "fax"), "fax 6");
    town_close(&t);
}

/* A signed run of what is no group, and of a group that says that it is another one's: each goes up as it came,
 * headquarters refuses it, and what came with it is decided. Nobody sees it before, and no number of another is
 * taken by it. */
static void what_cannot_be_read_goes_up_and_is_refused(void **state)
{
    struct town t;
    static const uint8_t junk[40] = {0x93, 1, 2, 3};
    const struct bytes *groups, *others;
    (void)state;
    town_open(&t, 6);
    pair_cut(&t.p, t.kazan->link);
    pair_cut(&t.p, t.boris);
    pair_set(&t.p, t.boris, "party", t.customer, "website", "boris.example");
    assert_int_equal(outbox_of(&t, t.boris, 1, &others), 1);
    pair_cut(&t.p, t.anna);
    static const char *const columns[] = {"tax_id", "legal_name", "bank_details", "fax"};
    for (int i = 0; i < 4; i++)
        pair_set(&t.p, t.anna, "party", t.customer, columns[i], "typed");
    assert_int_equal(outbox_of(&t, t.anna, 1, &groups), 4);
    const struct bytes run[] = {groups[0], bytes_of(junk, sizeof junk), others[0], groups[3]};
    stand_in(&t, t.anna, true);
    push_as(&t, t.anna, 1, run, 4);
    hostile_settle(&t.h);
    assert_int_equal(t.h.failure, ERR_OK);
    assert_int_equal(t.h.acked_upto, 4);
    pair_go_live(&t.p, t.boris); /* his number is free, and what he wrote is his */
    assert_int_equal(t.boris->why, ERR_OK);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.customer, "tax_id"), "typed");
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.customer, "fax"), "typed");
    assert_int_equal(replica_pending_count(t.boris->replica), 2);
    pair_restart_branch(&t.p, t.kazan);
    t.h.peer = NULL; /* it went with the process */
    pair_go_live(&t.p, t.kazan->link);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "tax_id"), "typed");
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "fax"), "typed");
    pair_go_live(&t.p, t.boris);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "website"), "boris.example");
    assert_int_equal(replica_pending_count(t.kazan->link->replica), 0);
    assert_int_equal(replica_pending_count(t.boris->replica), 0);
    pair_assert_equal(&t.p, t.boris);
    pair_assert_equal(&t.p, t.kazan->link);
    hands_assert_verified(&t.p);
    hostile_end(&t.h);
    arena_done(&t.arena);
    pair_done(&t.p);
}

/* ---- to a device, to a branch ---- */

static enum err pending_from(struct pair_device *device, uint64_t relay,
                             const struct pending_group *groups, uint32_t count)
{
    const struct message_pending m = {
        .relay = relay, .seq = 1000, .groups = groups, .groups_count = count};
    return replica_pending(device->replica, &m, 1);
}

static struct uplink_effects give(struct town *t, struct pair_device *device,
                                  const struct message *message)
{
    struct uplink_effects effects = {0};
    struct buf payload, frame;
    buf_init(&payload, FRAME_INFLATED_MAX);
    buf_init(&frame, FRAME_MAX);
    assert_ok(frame_encode(message, NULL, &payload, &frame));
    uplink_receive(device->uplink, buf_view(&frame), pair_device_now(&t->p, device), &effects);
    buf_done(&payload);
    buf_done(&frame);
    return effects;
}

static void refused(struct town *t, struct pair_device *device, const struct message *message,
                    enum err why)
{
    struct uplink_effects effects = give(t, device, message);
    if (!effects.hang_up || effects.why != why)
        fail_msg("%s: the session ended with %s, not %s", message_name(message->type),
                 err_name(effects.hang_up ? effects.why : ERR_OK), err_name(why));
    pair_cut(&t->p, device);
    pair_go_live(&t->p, device);
}

/* A message that is refused changes nothing of what is held. */
static void a_device_takes_no_nonsense_of_others_groups(void **state)
{
    struct town t;
    static const uint8_t junk[40] = {0x93, 1, 2, 3};
    const struct bytes *own, *others;
    (void)state;
    town_open(&t, 7);
    pair_cut(&t.p, t.kazan->link);
    pair_set(&t.p, t.anna, "party", t.customer, "tax_id", "555");
    pair_say(&t.p, t.anna);
    pair_set(&t.p, t.boris, "party", t.customer, "fax", "777");
    const uint64_t relay = t.boris->replica->relay, seq = t.boris->replica->relay_seq;
    assert_int_equal(outbox_of(&t, t.boris, 1, &own), 1);
    assert_int_equal(outbox_of(&t, t.anna, 1, &others), 1);
    const struct pending_group bad[] = {{1, others[0]}, {2, bytes_of(junk, sizeof junk)}};
    assert_err(pending_from(t.boris, relay, bad, 2), ERR_MALFORMED);
    assert_err(pending_from(t.boris, 0, bad, 1), ERR_PROTOCOL);
    assert_int_equal(t.boris->replica->relay_seq, seq);
    const struct pending_group mine[] = {{1, own[0]},
                                         {1, others[0]}}; /* his own; one that he has */
    assert_ok(pending_from(t.boris, relay, mine, 2));
    assert_int_equal(replica_pending_count(t.boris->replica), 1);
    assert_string_equal(pair_cell(&t.p, t.boris, "party", t.customer, "tax_id"), "555");
    struct message m = {.type = MESSAGE_PENDING, .as.pending = {.relay = relay + 1, .seq = 5}};
    refused(&t, t.boris, &m, ERR_PROTOCOL);
    const struct mark marks[] = {{.origin = 1, .upto = 1}};
    m = (struct message){.type = MESSAGE_FATES, .as.fates = {.live = 0}};
    refused(&t, t.boris, &m, ERR_PROTOCOL); /* of nobody */
    m.as.fates = (struct message_fates){.live = 9, .marks = marks, .marks_count = 1};
    refused(&t, t.boris, &m, ERR_PROTOCOL);
    /* of his own origin: that is for checkpoints to say */
    const struct mark his[] = {{.origin = origin_of(t.boris), .upto = 50}};
    m = (struct message){.type = MESSAGE_FATES,
                         .as.fates = {.live = FEED_LIVE, .marks = his, .marks_count = 1}};
    assert_false(give(&t, t.boris, &m).hang_up);
    m = (struct message){.type = MESSAGE_CHECKPOINT, .as.checkpoint = {.live = FEED_LIVE}};
    assert_false(give(&t, t.boris, &m).hang_up);
    assert_int_equal(pair_status(t.boris).outbox_count, 1);
    /* a group that has the right number, and another tag, is not the one that was renumbered */
    const struct mark hers[] = {{.origin = origin_of(t.anna)}};
    const struct range_count renamed[] = {{1, 12345}, {7, 1}};
    m = (struct message){.type = MESSAGE_FATES,
                         .as.fates = {.live = FEED_LIVE,
                                      .marks = hers,
                                      .marks_count = 1,
                                      .renamed = renamed,
                                      .renamed_count = 2}};
    assert_false(give(&t, t.boris, &m).hang_up);
    m = (struct message){.type = MESSAGE_CHECKPOINT, .as.checkpoint = {.live = FEED_LIVE}};
    assert_false(give(&t, t.boris, &m).hang_up);
    assert_int_equal(replica_pending_count(t.boris->replica), 1);
    pair_go_live(&t.p, t.kazan->link);
    hostile_attach(&t.h, &t.p, t.anna);
    town_close(&t);
}

/* The server above tells of a fork: what is of a number before is as it was, who is live here is told, and a later
 * number does not undo an earlier one. */
static void a_branch_passes_a_fork_on(void **state)
{
    struct town t;
    struct relay_origin known;
    (void)state;
    town_open(&t, 8);
    pair_set(&t.p, t.anna, "party", t.customer, "tax_id", "555");
    pair_say(&t.p, t.anna);
    const uint64_t anna = origin_of(t.anna);
    struct pair_device *link = t.kazan->link;
    struct message m = {.type = MESSAGE_FORK, .as.fork = {.origin = anna, .oseq = 0}};
    refused(&t, link, &m, ERR_PROTOCOL);
    m.as.fork = (struct message_fork){.origin = 987654, .oseq = 3}; /* nobody's here */
    assert_false(give(&t, link, &m).hang_up);
    m.as.fork = (struct message_fork){.origin = anna, .oseq = 9};
    assert_false(give(&t, link, &m).hang_up);
    m.as.fork.oseq = 12;
    assert_false(give(&t, link, &m).hang_up);
    assert_ok(store_begin(link->store, STORE_READ));
    assert_ok(relay_origin_get(link->replica, anna, &known));
    store_rollback(link->store);
    assert_int_equal(known.forked, 9);
    pair_run(&t.p);
    if (!t.anna->up)
        pair_go_live(&t.p, t.anna);
    assert_int_not_equal(origin_of(t.anna), anna);
    pair_set(&t.p, t.anna, "party", t.customer, "fax", "777");
    pair_say(&t.p, t.anna);
    assert_string_equal(pair_cell(&t.p, NULL, "party", t.customer, "fax"), "777");
    hostile_attach(&t.h, &t.p, t.anna);
    town_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_branch_speaks_for_its_devices_alone),
        cmocka_unit_test(what_a_revoked_device_wrote_counts_if_it_came_before),
        cmocka_unit_test(a_list_of_origins_has_a_bound),
        cmocka_unit_test(a_device_speaks_for_itself_alone),
        cmocka_unit_test(a_branch_below_gives_up_its_own_alone),
        cmocka_unit_test(runs_come_in_any_order),
        cmocka_unit_test(what_cannot_be_read_goes_up_and_is_refused),
        cmocka_unit_test(a_device_takes_no_nonsense_of_others_groups),
        cmocka_unit_test(a_branch_passes_a_fork_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
