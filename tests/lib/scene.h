/* scene.h - where hostile peers play: one headquarters, and a device beside that must not be harmed.
 * scene_end() asserts that others go on, with the hostile peer still there and after it has left. */
#ifndef TESTS_LIB_SCENE_H
#define TESTS_LIB_SCENE_H

#include "tests/lib/hostile.h"

/* One headquarters, a device that behaves and one whose key the hostile peer has. */
struct scene {
    struct pair pair;
    struct pair_device *good, *bad;
    struct hostile h;
    struct arena arena;
    uint32_t parties; /* that headquarters ought to have */
};

/* limits NULL: the defaults. The hostile peer is attached, with the bad device's key. */
void scene_start(struct scene *s, uint64_t seed, const struct hub_limits *limits);
void scene_end(struct scene *s);
/* The good device writes and syncs, and headquarters has what it ought to have. */
void scene_others_go_on(struct scene *s);
struct hub_stats scene_stats(struct scene *s);
/* Time passes, and the hub's deadlines with it. */
void scene_tick(struct scene *s, int64_t after_ms);
/* The hostile peer connects anew, authenticated or not. */
void scene_again(struct scene *s, bool open);

#endif
