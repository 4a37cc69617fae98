/* failing_place.h - each place of the product fails once.
 *
 * Model:      a place is where something that can fail is called, and on which way: the return address and the
 *             depth of the stack. In a round the first place that has not failed yet does, the others go well;
 *             rounds are repeated until one met no new place. So errors are met as deep in a session as they can
 *             arise, in rounds as many as there are places, not as there are calls. What has failed does not
 *             again in the same program; with SATCHEL_EACH_STORY=1 in the environment (./dev coverage), not again in
 *             the same story.
 *             Under a tool that makes everything slow (SATCHEL_SLOW_TOOL) a place is the return address alone.
 * Kinds:      PLACE_ERRORS: allocations (of arenas and buffers too), calls of a store, of the cipher library, of
 *             randomness. PLACE_DAMAGE: what a store hands out is empty, a byte shorter or a byte longer than what
 *             was put there, each once per place. PLACE_NATIVE: calls of SQLite.
 * Needs:      `ctest: arena` in the head of the test, and `sqlite` for the last kind. */
#ifndef TESTS_LIB_FAILING_PLACE_H
#define TESTS_LIB_FAILING_PLACE_H

#include <stdbool.h>
#include <stdint.h>

enum place_kind { PLACE_NONE, PLACE_ERRORS, PLACE_DAMAGE, PLACE_NATIVE };

/* Another story begins. */
void failing_place_story(void);
/* From now on the first new place of this kind fails, once. */
void failing_place_start(enum place_kind kind);
/* Back to normal; whether one failed. */
bool failing_place_stop(void);
/* Within code that is not the one under test; failing_alloc_pause() does it as well. */
void failing_place_pause(bool pause);

/* For what can fail: whether it is to fail now. variant: each counts as a place. from, frame: of who called it
 * (PLACE_HERE). */
bool failing_place_now(enum place_kind kind, unsigned variant, const void *from, const void *frame);
#define PLACE_HERE __builtin_return_address(0), __builtin_frame_address(0)
/* A number that follows from the place that has failed. */
uint64_t failing_place_number(void);
/* Whether this kind is looked for. */
bool failing_place_looks_for(enum place_kind kind);

#endif
