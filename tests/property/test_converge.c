/* Random histories of devices and headquarters: edits, cuts at any frame, restarts of either side,
 * clocks years off. In the end every replica equals headquarters, version for version.
 *
 * SATCHEL_SEED replays one history; SATCHEL_ROUNDS says how many are tried.
 * ctest: timeout=900 */
#include "tests/lib/pair.h"

enum { DEVICES = 4, STEPS = 120, RECORDS_MAX = 64 };

struct history {
    struct pair pair;
    struct seeded_rng dice;
    struct uuid parties[RECORDS_MAX];
    uint32_t party_count;
    uint32_t edits, cuts, restarts, refused;
};

static const char *const names[] = {"Acme", "Globex", "Initech", "Umbrella", "Hooli"};

static struct pair_device *any_device(struct history *h)
{
    return &h->pair.devices[seeded_below(&h->dice, h->pair.device_count)];
}

/* One transaction on the device; what the local rules refuse is rolled back. */
static void edit(struct history *h, struct pair_device *device)
{
    const struct model_table *party = model_table_by_name(h->pair.model, bytes_of_text("party"));
    struct err_info info;
    struct dot dot;
    assert_ok(replica_begin(device->replica, h->pair.now_ms + device->skew_ms));
    uint32_t changes = 1 + (uint32_t)seeded_below(&h->dice, 3);
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < changes; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s %u", names[seeded_below(&h->dice, 5)], (unsigned)h->edits);
        struct value value = value_text(bytes_of_text(text));
        uint16_t name = model_column_by_name(party, bytes_of_text("name"))->index;
        if (h->party_count < 3 ||
            (seeded_below(&h->dice, 5) == 0 && h->party_count < RECORDS_MAX)) {
            struct uuid id = {{0}};
            e = replica_insert(device->replica, party, &id, &name, &value, 1, &info);
            if (e == ERR_OK)
                h->parties[h->party_count++] = id;
            continue;
        }
        const struct uuid *id = &h->parties[seeded_below(&h->dice, h->party_count)];
        static const char *const columns[] = {"name",           "legal_name", "tax_id",
                                              "notes",          "city",       "phones",
                                              "loyalty_points", "do_not_call"};
        const struct model_column *c =
            model_column_by_name(party, bytes_of_text(columns[seeded_below(&h->dice, 8)]));
        if (c->type == COLUMN_SET)
            value = value_text(
                bytes_of_text(seeded_below(&h->dice, 2) ? "[\"1\",\"2\"]" : "[\"2\",\"3\"]"));
        if (c->type == COLUMN_INTEGER || c->type == COLUMN_BOOLEAN)
            value = value_int((int64_t)seeded_below(&h->dice, 2));
        uint64_t what = seeded_below(&h->dice, 12);
        if (what == 0)
            e = replica_delete(device->replica, party, id, &info);
        else if (what == 1)
            e = replica_restore(device->replica, party, id, &info);
        else
            e = replica_update(device->replica, party, id, &c->index, &value, 1, what == 2, &info);
        if (e == ERR_NOT_FOUND) /* not here, or dead, or alive already */
            e = ERR_OK;
    }
    if (e == ERR_OK) {
        assert_ok(replica_commit(device->replica, &dot));
        h->edits++;
    } else {
        if (err_class(e) != ERR_CLASS_INPUT)
            fail_msg("%s: %s", err_name(e), info.message);
        replica_rollback(device->replica);
        h->refused++;
    }
    struct uplink_effects effects;
    if (device->up)
        uplink_local_change(
            device->uplink,
            (struct now){{h->pair.now_ms + device->skew_ms}, {h->pair.now_ms * 1000}}, &effects);
}

static void step(struct history *h)
{
    struct pair_device *device = any_device(h);
    switch (seeded_below(&h->dice, 10)) {
    case 0:
        if (!device->up)
            pair_connect(&h->pair, device, seeded_below(&h->dice, 2));
        break;
    case 1:
        if (device->up)
            device->frames_until_cut = 1 + (uint32_t)seeded_below(&h->dice, 8);
        h->cuts++;
        break;
    case 2:
        if (seeded_below(&h->dice, 4) == 0) {
            pair_restart_hub(&h->pair);
            h->restarts++;
        } else if (seeded_below(&h->dice, 3) == 0) {
            pair_restart_device(&h->pair, device);
            h->restarts++;
        }
        break;
    case 3: pair_run(&h->pair); break;
    default: edit(h, device); break;
    }
    h->pair.now_ms += (int64_t)seeded_below(&h->dice, 5000);
}

static void settle(struct history *h)
{
    for (uint32_t i = 0; i < h->pair.device_count; i++) {
        h->pair.devices[i].frames_until_cut = 0;
        pair_cut(&h->pair, &h->pair.devices[i]);
    }
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < h->pair.device_count; i++)
            pair_sync(&h->pair, &h->pair.devices[i]);
    for (uint32_t i = 0; i < h->pair.device_count; i++)
        pair_assert_equal(&h->pair, &h->pair.devices[i]);
}

static void replicas_converge(void **state)
{
    (void)state;
    const char *rounds_text = getenv("SATCHEL_ROUNDS"), *seed_text = getenv("SATCHEL_SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : 1000;
    long rounds = rounds_text ? strtol(rounds_text, NULL, 10) : seed_text ? 1 : 60;
    uint32_t edits = 0, cuts = 0, restarts = 0, conflicts = 0;
    for (long i = 0; i < rounds; i++, seed++) {
        static struct history h;
        memset(&h, 0, sizeof h);
        if (getenv("SATCHEL_VERBOSE"))
            print_message("seed %llu\n", (unsigned long long)seed);
        seeded_rng_start(&h.dice, seed);
        pair_init(&h.pair, NULL, seed);
        for (int d = 0; d < DEVICES; d++) {
            char login[16];
            snprintf(login, sizeof login, "user%d", d);
            struct pair_device *device = pair_enrol(&h.pair, login, "admin");
            if (d == 3)
                device->skew_ms = (int64_t)(seeded_below(&h.dice, 3) - 1) * 3 * 365 * 86400000;
        }
        for (int s = 0; s < STEPS; s++)
            step(&h);
        settle(&h);
        edits += h.edits;
        cuts += h.cuts;
        restarts += h.restarts;
        conflicts += pair_count(&h.pair, NULL, "conflict");
        pair_done(&h.pair);
    }
    print_message("%ld histories (last seed %llu): %u transactions, %u cuts, %u restarts, %u "
                  "conflict records\n",
                  rounds, (unsigned long long)seed - 1, edits, cuts, restarts, conflicts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replicas_converge)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
