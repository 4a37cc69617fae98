#include "tests/lib/stage.h"

#include "common/store_mem/store_mem.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/failing_place.h"

void stage_start(struct stage *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    pair_init(&s->run.pair, NULL, seed);
    pair_admin(&s->run.pair, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&s->run.pair, "{\"do\":\"branch-add\",\"name\":\"South\"}");
    s->boss = pair_enrol(&s->run.pair, "boss", "admin");
    s->rep = pair_enrol(&s->run.pair, "rita", "rep");
    s->party = pair_insert(&s->run.pair, s->boss, "party", "name", "Shared");
    pair_sync(&s->run.pair, s->boss);
    pair_sync(&s->run.pair, s->rep);
}

void stage_end(struct stage *s)
{
    for (int round = 0; round < 3; round++) {
        pair_sync(&s->run.pair, s->boss);
        pair_sync(&s->run.pair, s->rep);
    }
    pair_assert_equal(&s->run.pair, s->boss);
    pair_assert_equal(&s->run.pair, s->rep);
    (void)pair_admin(&s->run.pair, "{\"do\":\"verify\"}");
    pair_done(&s->run.pair);
}

static struct store *store_of(struct stage *s, enum stage_source source)
{
    return source == STAGE_HUB_STORE    ? s->run.pair.hub_store
           : source == STAGE_BOSS_STORE ? s->boss->store
                                        : s->rep->store;
}

/* The step with its k-th call failing; false: it has none. */
static bool fails_at(struct stage *s, enum stage_source source, uint64_t k, step_fn *step)
{
    static const enum err errors[] = {ERR_BUSY, ERR_FULL, ERR_NOMEM, ERR_IO};
    bool met;
    s->round++;
    if (source == STAGE_MEMORY) {
        failing_alloc_start(k);
        step(s);
        return failing_alloc_stop();
    }
    uint64_t before = store_mem_call_count(store_of(s, source));
    store_mem_fail_at(store_of(s, source), k, errors[k % 4]);
    step(s);
    met = store_mem_call_count(store_of(s, source)) - before >= k;
    store_mem_fail_at(store_of(s, source), 0, ERR_OK);
    return met;
}

bool stage_some_places(struct stage *s, enum place_kind kind, uint32_t most, step_fn *prepare,
                       step_fn *step, step_fn *check)
{
    bool met = failing_alloc_works();
    s->kind = kind;
    for (uint32_t i = 0; met && i < most; i++) {
        if (prepare)
            prepare(s);
        s->round++;
        failing_place_start(kind);
        step(s);
        met = failing_place_stop();
        s->places += met;
        if (check)
            check(s);
    }
    return met;
}

void stage_each_place(struct stage *s, const char *name, step_fn *prepare, step_fn *step,
                      step_fn *check)
{
    static const enum place_kind kinds[] = {PLACE_ERRORS, PLACE_DAMAGE};
    failing_place_story();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint32_t before = s->places;
        assert_false(stage_some_places(s, kinds[i], STAGE_PLACES_MAX, prepare, step, check));
        print_message("%s: %u places %s\n", name, s->places - before,
                      kinds[i] == PLACE_ERRORS ? "failed" : "gave what was damaged");
    }
}

void stage_each_world(const char *name, uint64_t seed, uint32_t most, step_fn *begin,
                      step_fn *prepare, step_fn *step, step_fn *check)
{
    static const enum place_kind kinds[] = {PLACE_ERRORS, PLACE_DAMAGE};
    uint32_t places = 0, worlds = 0;
    failing_place_story();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (bool more = true; more; worlds++) {
            struct stage s;
            assert_true(worlds < STAGE_PLACES_MAX);
            stage_start(&s, seed);
            if (begin)
                begin(&s);
            more = stage_some_places(&s, kinds[i], most, prepare, step, check);
            places += s.places;
            stage_end(&s);
        }
    print_message("%s: %u places in %u worlds\n", name, places, worlds);
}

/* prepare (may be NULL) and check run without failures. */
void stage_each_fault(struct stage *s, const char *name, unsigned sources, step_fn *prepare,
                      step_fn *step, step_fn *check)
{
    for (int source = 0; source < STAGE_SOURCES; source++) {
        uint64_t k = 1, rounds = 0, part = unit_rounds(48);
        if (!(sources & 1u << source) || (source == STAGE_MEMORY && !failing_alloc_works()))
            continue;
        for (bool met = true; met && rounds < STAGE_ROUNDS; k += 1 + k / part, rounds++) {
            if (prepare)
                prepare(s);
            met = fails_at(s, (enum stage_source)source, k, step);
            if (check)
                check(s);
        }
        print_message("%s, %s: %llu calls failed\n", name,
                      ((const char *[]){"headquarters' store", "boss's store", "rita's store",
                                        "memory"})[source],
                      (unsigned long long)rounds - 1);
        assert_true(rounds > 1);
    }
    stage_each_place(s, name, prepare, step, check);
}

/* Values by column name, as text; memory for them does not fail. */
static void cells(struct stage *s, const struct model_table *table, const char *const *pairs,
                  struct arena *arena, uint16_t *columns, struct value *values, uint16_t *ret_count)
{
    bool was = failing_alloc_pause(true);
    struct err_info info = {0};
    (void)s;
    for (*ret_count = 0; *pairs; pairs += 2, ++*ret_count) {
        const struct model_column *column = model_column_by_name(table, bytes_of_text(pairs[0]));
        assert_non_null(column);
        columns[*ret_count] = column->index;
        assert_ok(model_value_from_text(column, bytes_of_text(pairs[1]), arena, &values[*ret_count],
                                        &info));
    }
    (void)failing_alloc_pause(was);
}

const struct model_table *stage_table(struct stage *s, const char *name)
{
    return model_table_by_name(s->run.pair.model, bytes_of_text(name));
}

/* The id made, or the one given. */
enum err stage_put(struct stage *s, struct pair_device *device, const char *name, bool insert,
                   struct uuid *id, const char *const *pairs)
{
    const struct model_table *table = stage_table(s, name);
    struct err_info info = {0};
    struct arena arena;
    uint16_t columns[16], count;
    struct value values[16];
    arena_init(&arena, 1 << 20);
    cells(s, table, pairs, &arena, columns, values, &count);
    enum err e =
        insert ? replica_insert(device->replica, table, id, columns, values, count, &info)
               : replica_update(device->replica, table, id, columns, values, count, false, &info);
    arena_done(&arena);
    return e;
}

enum err stage_put_child(struct stage *s, struct pair_device *device, const char *name,
                         const char *parent, struct uuid of, const char *column, const char *text)
{
    char id[UUID_TEXT_SIZE];
    struct uuid child = {{0}};
    uuid_format(&of, id);
    return stage_put(s, device, name, true, &child,
                     (const char *const[]){parent, id, column, text, NULL});
}

/* A transaction that is tried until it is taken. */
void stage_transact(struct stage *s, struct pair_device *device,
                    enum err (*body)(struct stage *s, struct pair_device *device))
{
    for (int tries = 0; tries < 4; tries++) {
        struct dot dot;
        enum err e = replica_begin(device->replica, s->run.pair.now_ms);
        if (e == ERR_OK)
            e = body(s, device);
        if (e == ERR_OK)
            e = replica_commit(device->replica, &dot);
        else if (replica_in_transaction(device->replica))
            replica_rollback(device->replica);
        if (e == ERR_OK)
            return;
        assert_true(err_class(e) == ERR_CLASS_RETRY || err_class(e) == ERR_CLASS_FATAL);
        s->refused++;
        if (err_class(e) == ERR_CLASS_FATAL)
            pair_restart_device(&s->run.pair, device);
    }
    fail_msg("a transaction was refused four times");
}

const char *stage_number(uint32_t n)
{
    static char text[16];
    snprintf(text, sizeof text, "%u", n);
    return text;
}

/* Asks until it is done. One that failed after its commit is found done: EXISTS. */
void stage_admin(struct stage *s, const char *request)
{
    for (int tries = 0; tries < 4; tries++) {
        struct hub_now now = {{s->run.pair.now_ms}, {s->run.pair.now_ms * 1000}};
        struct buf answer;
        buf_init(&answer, 1 << 20);
        enum err e = hub_admin(s->run.pair.hub, bytes_of_text(request), now, &answer);
        bool was = failing_alloc_pause(true);
        (void)buf_append(&answer, "", 1);
        const char *text = e == ERR_OK ? (const char *)answer.data : "";
        bool done = strstr(text, "\"ok\":true") || (tries > 0 && strstr(text, "EXISTS"));
        bool again = e != ERR_OK || strstr(text, "NOMEM") || strstr(text, "BUSY") ||
                     strstr(text, "FULL") || strstr(text, "CRYPTO");
        bool fatal = strstr(text, "\"IO\"") || strstr(text, "CORRUPT");
        if (!done && !again && !fatal)
            fail_msg("%s: %s", request, text);
        buf_done(&answer);
        (void)failing_alloc_pause(was);
        if (done)
            return;
        s->refused++;
        s->run.pair.now_ms += 200;
        if (fatal)
            fault_play_restart_hub(&s->run);
    }
    fail_msg("%s was refused four times", request);
}

void stage_archive(struct stage *s, struct pair_device *device)
{
    char text[120];
    struct replica_status status;
    replica_status(device->replica, &status);
    snprintf(text, sizeof text, "{\"do\":\"archived\",\"marks\":{\"%016llx\":%llu}}",
             (unsigned long long)status.origin, (unsigned long long)status.last_oseq);
    (void)pair_admin(&s->run.pair, text);
    (void)pair_insert(&s->run.pair, device, "party", "name", "After the backup");
    pair_sync(&s->run.pair, device);
}
