/* Groups that wait at headquarters for others (tests/lib/scene.h). */
#include "server/core/hub_internal.h"
#include "tests/lib/pair_copy.h"
#include "tests/lib/scene.h"

/* The group under another origin's number, in the scene's arena. */
static struct bytes under_origin(struct scene *s, struct bytes raw, uint64_t origin)
{
    struct group group, fresh;
    struct buf out;
    struct bytes copy;
    buf_init(&out, 1 << 16);
    assert_ok(group_decode(s->pair.model, raw, &s->arena, &group, NULL));
    assert_ok(group_renumber(&group, group.dot.origin, NULL, 0, origin, &s->arena, &fresh));
    fresh.renamed = (struct dot){0};
    assert_ok(group_encode(&fresh, &out));
    assert_ok(arena_copy(&s->arena, buf_view(&out), &copy));
    buf_done(&out);
    return copy;
}

/* Keys of what waits are ranges by the missing dot: no origin may lie beyond their end. */
static void what_waits_is_released_whatever_its_origin(void **state)
{
    (void)state;
    static const uint64_t origins[] = {1, 0x80ffffffffffffff, 0xff00000000000001,
                                       0xffdca151c5ab749d, UINT64_MAX};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        struct scene s;
        const struct bytes *groups;
        struct bytes moved[2];
        scene_start(&s, 31 + i, NULL);
        struct uuid id = pair_insert(&s.pair, s.bad, "party", "name", "Acme");
        pair_set(&s.pair, s.bad, "party", id, "loyalty_points", "7");
        assert_int_equal(hostile_groups(&s.h, 1, &s.arena, &groups), 2);
        for (int k = 0; k < 2; k++)
            moved[k] = under_origin(&s, groups[k], origins[i]);
        s.h.origin = origins[i];
        hostile_open(&s.h);
        hostile_push(&s.h, 2, &moved[1], 1);
        hostile_settle(&s.h);
        assert_int_equal(s.pair.hub->waiting_count, 1);
        hostile_push(&s.h, 1, &moved[0], 1);
        hostile_settle(&s.h);
        assert_int_equal(s.pair.hub->waiting_count, 0);
        assert_string_equal(pair_cell(&s.pair, NULL, "party", id, "loyalty_points"), "7");
        s.parties = 1;
        scene_end(&s);
    }
}

static enum err see_reason(void *context, const struct parked_group *parked)
{
    *(enum reason *)context = parked->reason;
    return ERR_OK;
}

/* Its author was locked out while it waited: it is set aside, and who brings what it waited for is not
 * blamed. */
static void what_waits_of_a_locked_author_is_set_aside(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, 37);
    struct pair_device *a = pair_enrol(&p, "anna", "admin"), *b = pair_enrol(&p, "boris", "admin");
    pair_sync(&p, a);
    pair_sync(&p, b);
    struct store *backup = pair_copy_store(&p, p.hub_store);
    struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
    pair_sync(&p, a);
    pair_sync(&p, b);
    pair_put_hub_store(&p, backup); /* which has lost the customer */
    pair_set(&p, b, "party", id, "legal_name", "Acme Ltd");
    pair_connect(&p, b, false);
    pair_run(&p);
    assert_int_equal(p.hub->waiting_count, 1);
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"boris\",\"active\":false}");
    pair_run(&p);
    pair_sync(&p, a); /* brings it again */
    assert_int_equal(p.hub->waiting_count, 0);
    assert_int_equal(p.hub->parked_count, 1);
    assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "Acme");
    assert_string_equal(pair_cell(&p, NULL, "party", id, "legal_name"), "");
    pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"boris\",\"active\":true}");
    pair_sync(&p, b);
    enum reason reason = REASON_NONE;
    assert_ok(replica_parked(b->replica, see_reason, &reason));
    assert_int_equal(reason, REASON_RIGHTS);
    pair_sync(&p, a);
    pair_assert_equal(&p, a);
    pair_assert_equal(&p, b);
    pair_done(&p);
}

static struct replica_status status_of(struct pair_device *device)
{
    struct replica_status status;
    replica_status(device->replica, &status);
    return status;
}

/* Headquarters has forgotten what it had set aside, and is given it again: it is set aside once more, or taken
 * if its author may by now. */
static void what_was_set_aside_and_lost_is_sent_again(void **state)
{
    (void)state;
    for (int may = 0; may < 2; may++) {
        struct pair p;
        pair_init(&p, NULL, 57);
        struct pair_device *a = pair_enrol(&p, "anna", "rep");
        pair_sync(&p, a);
        struct store *backup = pair_copy_store(&p, p.hub_store);
        struct uuid id = pair_insert(&p, a, "party", "name", "Acme");
        struct uuid product = pair_insert(&p, a, "product", "name", "Not a rep's to write");
        pair_sync(&p, a);
        assert_int_equal(status_of(a).parked_count, 1);
        pair_put_hub_store(&p, backup);
        if (may)
            pair_admin(&p, "{\"do\":\"user-set\",\"login\":\"anna\",\"role\":\"admin\"}");
        pair_sync(&p, a);
        assert_string_equal(pair_cell(&p, NULL, "party", id, "name"), "Acme");
        assert_int_equal(p.hub->parked_count, may ? 0 : 1);
        assert_int_equal(status_of(a).parked_count, may ? 0 : 1);
        assert_int_equal(status_of(a).outbox_count, 0);
        assert_string_equal(pair_cell(&p, a, "product", product, "name"),
                            may ? "Not a rep's to write" : "-");
        pair_restart_device(&p, a);
        assert_int_equal(status_of(a).parked_count, may ? 0 : 1);
        pair_sync(&p, a);
        pair_assert_equal(&p, a);
        pair_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_is_released_whatever_its_origin),
        cmocka_unit_test(what_waits_of_a_locked_author_is_set_aside),
        cmocka_unit_test(what_was_set_aside_and_lost_is_sent_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
