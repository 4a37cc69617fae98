/* merging whole histories.
 *
 * Input:   every choice of tests/lib/merge_history.c (who writes what to which record, who learns from
 *          whom, whose clock is off) and the orders in which the groups are decided.
 * Asserts: headquarters' records are the oracle's after each order; a refused group is one that the
 *          oracle refuses; values of policies that do not go by the order of decision are the same in
 *          all orders; every version encodes, decodes and encodes to the same bytes; memory is bounded.
 * How:     the linker puts a function of ours in the place of seeded_below(): it reads the input. Where
 *          that ends, the numbers of the seed go on.
 * ctest: labels=asan */
#include "tests/fuzz/fuzz.h"
#include "tests/lib/merge_history.h"

enum { ORDERS = 3 };

static struct fuzz_input input;

/* --- random numbers that are the input -------------------------------------------------------- */

uint64_t __real_seeded_below(struct seeded_rng *r, uint64_t bound);
uint64_t __wrap_seeded_below(struct seeded_rng *r, uint64_t bound);

uint64_t __wrap_seeded_below(struct seeded_rng *r, uint64_t bound)
{
    if (bound <= 256 && fuzz_more(&input))
        return fuzz_u8(&input) % bound;
    return input.at + 8 <= input.size ? fuzz_u64(&input) % bound : __real_seeded_below(r, bound);
}

/* --- orders ----------------------------------------------------------------------------------- */

struct replay {
    struct arena arena;
    struct merge_world world;
    const struct oracle_op *ops[HISTORY_OPS];
    bool refused[HISTORY_OPS];
    int order[HISTORY_OPS];
};

/* An order in which causes come before effects: the pick-th of those that may come next. */
static void choose_order(struct history *h, int *order)
{
    uint64_t done = 0;
    for (int n = 0; n < h->op_count; n++) {
        int open[HISTORY_OPS], count = 0;
        for (int i = 0; i < h->op_count; i++)
            if ((done >> i & 1) == 0 && (h->ops[i].past & ~done) == 0)
                open[count++] = i;
        fuzz_check(count > 0, "causes in a circle");
        order[n] = open[history_below(h, count)];
        done |= UINT64_C(1) << order[n];
    }
}

static void decide(struct history *h, struct replay *p)
{
    arena_init(&p->arena, 64 << 20);
    p->world = (struct merge_world){
        &h->model.model, arena_calloc(&p->arena, HISTORY_RECORDS, sizeof *p->world.slots), 0,
        HISTORY_RECORDS};
    fuzz_check(p->world.slots, "no memory");
    choose_order(h, p->order);
    for (int n = 0; n < h->op_count; n++) {
        const struct operation *op = &h->ops[p->order[n]];
        const struct merge_context context = {op->group.dot, op->op.stamp, false, MERGE_DECIDE,
                                              &p->arena};
        struct apply_report report;
        fuzz_ok(world_apply(&p->world, &context, &op->group, &report));
        p->ops[n] = &op->op;
        p->refused[n] = report.reason != REASON_NONE;
    }
}

/* --- checks ----------------------------------------------------------------------------------- */

static void as_the_oracle(struct history *h, struct replay *p)
{
    struct oracle oracle;
    char why[MERGE_WHY_SIZE];
    oracle_init(&oracle, &h->model.model, p->ops, (uint32_t)h->op_count, &p->arena);
    for (int n = 0; n < h->op_count; n++)
        fuzz_check(p->refused[n] == (oracle.reason[n] != REASON_NONE), "operation %d is%s refused",
                   p->order[n], p->refused[n] ? "" : " not");
    for (int i = 0; i < h->record_count; i++) {
        const struct known_record *k = &h->records[i];
        struct oracle_record expected;
        oracle_record(&oracle, k->table, &k->id, &expected);
        fuzz_check(same_as_oracle(k->table, world_find(&p->world, k->table, &k->id), &expected,
                                  &p->arena, why),
                   "%s:%x: %s", k->table->name, k->id.byte[15], why);
    }
}

static void one_encoding(struct history *h, struct replay *p)
{
    struct buf first, second;
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    for (int i = 0; i < h->record_count; i++) {
        const struct known_record *k = &h->records[i];
        const struct record *record = world_find(&p->world, k->table, &k->id);
        struct version version;
        if (!record)
            continue;
        buf_reset(&first);
        buf_reset(&second);
        fuzz_ok(version_encode(k->table, &record->version, &first));
        fuzz_ok(version_decode(k->table, buf_view(&first), &p->arena, &version));
        fuzz_ok(version_encode(k->table, &version, &second));
        fuzz_check(bytes_equal(buf_view(&first), buf_view(&second)), "%s", k->table->name);
    }
    buf_done(&first);
    buf_done(&second);
}

static bool by_rank(const struct model_unit *unit)
{
    return unit->policy == MERGE_FIRST || unit->policy == MERGE_MANUAL ||
           unit->policy == MERGE_FSM || unit->policy == MERGE_UPSTREAM;
}

/* Where nothing was refused for coming too late, the order has a say in ranks alone. */
static void same_values(struct history *h, struct replay *a, struct replay *b)
{
    for (int n = 0; n < h->op_count; n++)
        if (a->refused[n] || b->refused[n])
            return;
    for (int i = 0; i < h->record_count; i++) {
        const struct known_record *k = &h->records[i];
        const struct record *x = world_find(&a->world, k->table, &k->id);
        const struct record *y = world_find(&b->world, k->table, &k->id);
        fuzz_check((x == NULL) == (y == NULL), "%s is missing", k->table->name);
        for (uint16_t u = 0; x && u < k->table->unit_count; u++) {
            const struct model_unit *unit = &k->table->units[u];
            for (uint16_t c = 0; !by_rank(unit) && c < unit->column_count; c++)
                fuzz_check(value_equal(&x->values[unit->columns[c]], &y->values[unit->columns[c]]),
                           "%s.%s", k->table->name, unit->name);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct history h; /* large */
    struct replay *replays = calloc(ORDERS, sizeof *replays);
    fuzz_check(replays, "no memory");
    input = fuzz_input_of(data, size);
    fuzz_begin(FUZZ_MEMORY_MAX);
    history_make(&h, 1);
    for (int i = 0; i < ORDERS; i++) {
        decide(&h, &replays[i]);
        as_the_oracle(&h, &replays[i]);
        one_encoding(&h, &replays[i]);
        if (i > 0)
            same_values(&h, &replays[0], &replays[i]);
    }
    for (int i = 0; i < ORDERS; i++)
        arena_done(&replays[i].arena);
    history_done(&h);
    fuzz_end(0);
    free(replays);
    return 0;
}
