#include "tests/lib/scene.h"

void scene_start(struct scene *s, uint64_t seed, const struct hub_limits *limits)
{
    pair_init(&s->pair, NULL, seed);
    if (limits) {
        s->pair.config.limits = *limits;
        pair_restart_hub(&s->pair);
    }
    s->good = pair_enrol(&s->pair, "good", "admin");
    s->bad = pair_enrol(&s->pair, "bad", "admin");
    arena_init(&s->arena, 1 << 30);
    s->parties = 0;
    hostile_attach(&s->h, &s->pair, s->bad);
}

/* The hostile peer has had its answer: others go on. */
void scene_others_go_on(struct scene *s)
{
    pair_insert(&s->pair, s->good, "party", "name", "Another");
    pair_sync(&s->pair, s->good);
    assert_int_equal(pair_count(&s->pair, NULL, "party"), ++s->parties);
    pair_assert_equal(&s->pair, s->good);
}

void scene_end(struct scene *s)
{
    scene_others_go_on(s);
    hostile_end(&s->h);
    scene_others_go_on(s);
    arena_done(&s->arena);
    pair_done(&s->pair);
}

struct hub_stats scene_stats(struct scene *s)
{
    struct hub_stats stats;
    hub_stats(s->pair.hub, &stats);
    return stats;
}

void scene_tick(struct scene *s, int64_t after_ms)
{
    s->pair.now_ms += after_ms;
    hub_tick(s->pair.hub, (struct hub_now){{s->pair.now_ms}, {s->pair.now_ms * 1000}});
}

/* Attaches anew, authenticated or not. */
void scene_again(struct scene *s, bool open)
{
    hostile_end(&s->h);
    hostile_attach(&s->h, &s->pair, s->bad);
    if (open)
        hostile_open(&s->h);
}
