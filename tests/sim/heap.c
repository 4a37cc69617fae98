#include "tests/sim/heap.h"

#include <stdlib.h>

void heap_done(struct heap *heap)
{
    free(heap->items);
    *heap = (struct heap){0};
}

static bool before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void heap_put(struct heap *heap, struct event event)
{
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 256;
        heap->items = realloc(heap->items, heap->capacity * sizeof *heap->items);
        if (!heap->items)
            abort();
    }
    event.order = ++heap->order;
    size_t i = heap->count++;
    for (; i > 0 && before(&event, &heap->items[(i - 1) / 2]); i = (i - 1) / 2)
        heap->items[i] = heap->items[(i - 1) / 2];
    heap->items[i] = event;
}

bool heap_take(struct heap *heap, struct event *ret)
{
    if (heap->count == 0)
        return false;
    *ret = heap->items[0];
    struct event last = heap->items[--heap->count];
    size_t i = 0;
    for (size_t child = 1; child < heap->count; child = 2 * i + 1) {
        if (child + 1 < heap->count && before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!before(&heap->items[child], &last))
            break;
        heap->items[i] = heap->items[child];
        i = child;
    }
    if (heap->count)
        heap->items[i] = last;
    return true;
}
