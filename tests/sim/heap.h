/* heap.h - what is going to happen, by time; of the same time, what was planned first.
 *
 * Cost:       put and take O(log n). Ownership: the caller embeds the struct; heap_done() frees. */
#ifndef TESTS_SIM_HEAP_H
#define TESTS_SIM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event {
    int64_t at_us;
    uint64_t order; /* breaks ties */
    uint8_t kind;   /* enum event_kind of world.h */
    uint8_t side;   /* of a link */
    uint16_t node;  /* whom it befalls: it waits while that one is paused */
    uint32_t life;  /* of the node: an event of a process that is gone is dropped; 0: of any */
    uint32_t what;  /* number of a link, or of an action */
};

struct heap {
    struct event *items;
    size_t count, capacity;
    uint64_t order;
};

void heap_done(struct heap *heap);
/* Sets the event's order. Ends the program when memory is short. */
void heap_put(struct heap *heap, struct event event);
/* false: there is none. */
bool heap_take(struct heap *heap, struct event *ret);

#endif
