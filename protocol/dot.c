#include "protocol/dot.h"

#include <string.h>

enum { INSERTION_SORT_MAX = 24 };

int dot_compare(const struct dot *a, const struct dot *b)
{
    if (a->origin != b->origin)
        return a->origin < b->origin ? -1 : 1;
    if (a->oseq != b->oseq)
        return a->oseq < b->oseq ? -1 : 1;
    if (a->tag != b->tag)
        return a->tag < b->tag ? -1 : 1;
    return 0;
}

bool dot_equal(const struct dot *a, const struct dot *b)
{
    return a->oseq == b->oseq && a->origin == b->origin && a->tag == b->tag;
}

bool dot_is_none(const struct dot *dot)
{
    return dot->oseq == 0;
}

/* Sets have at most FRONTIER_MAX dots and one as a rule: a scan beats a search. */
bool dot_set_has(struct dot_set set, const struct dot *dot)
{
    for (uint16_t i = 0; i < set.count; i++) {
        if (dot_equal(&set.dots[i], dot))
            return true;
    }
    return false;
}

bool dot_set_equal(struct dot_set a, struct dot_set b)
{
    if (a.count != b.count)
        return false;
    for (uint16_t i = 0; i < a.count; i++) {
        if (!dot_equal(&a.dots[i], &b.dots[i]))
            return false;
    }
    return true;
}

bool dot_set_within(struct dot_set a, struct dot_set b)
{
    uint16_t at = 0;

    for (uint16_t i = 0; i < a.count; i++) {
        while (at < b.count && dot_compare(&b.dots[at], &a.dots[i]) < 0)
            at++;
        if (at == b.count || !dot_equal(&b.dots[at], &a.dots[i]))
            return false;
    }
    return true;
}

static void insertion_sort(struct dot *dots, uint16_t count)
{
    for (uint16_t i = 1; i < count; i++) {
        struct dot moving = dots[i];
        uint16_t at = i;

        for (; at > 0 && dot_compare(&dots[at - 1], &moving) > 0; at--)
            dots[at] = dots[at - 1];
        dots[at] = moving;
    }
}

static void sift_down(struct dot *dots, uint32_t at, uint32_t count)
{
    struct dot moving = dots[at];

    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && dot_compare(&dots[child], &dots[child + 1]) < 0)
            child++;
        if (dot_compare(&moving, &dots[child]) >= 0)
            break;
        dots[at] = dots[child];
        at = child;
    }
    dots[at] = moving;
}

static void heap_sort(struct dot *dots, uint32_t count)
{
    for (uint32_t i = count / 2; i > 0; i--)
        sift_down(dots, i - 1, count);
    for (uint32_t i = count - 1; i > 0; i--) {
        struct dot last = dots[i];

        dots[i] = dots[0];
        dots[0] = last;
        sift_down(dots, 0, i);
    }
}

uint16_t dot_sort(struct dot *dots, uint16_t count)
{
    uint16_t kept = 0;

    if (count <= INSERTION_SORT_MAX)
        insertion_sort(dots, count);
    else
        heap_sort(dots, count);
    for (uint16_t i = 0; i < count; i++) {
        if (kept == 0 || !dot_equal(&dots[kept - 1], &dots[i]))
            dots[kept++] = dots[i];
    }
    return kept;
}
