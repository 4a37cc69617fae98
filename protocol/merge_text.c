/* merge_text.c - merges several texts over one base, line by line.
 *
 * Model:      each text is compared with the base and becomes a list of hunks (base lines [a, b) are
 *             replaced by text lines [c, d)). Hunks of different texts that overlap make a region. In a
 *             region, one and the same change is taken once; different ones stand one after the other
 *             as given, and the merge is not clean. Lines that several texts add at one and the same
 *             place all stay, in the order of the texts: that is clean.
 * Lines:      "\n" stands between lines and belongs to none, so a last line without it is a line like
 *             any other; the empty text has no lines.
 * Cost:       O(sum of sizes) and, between the first and the last line that differ, O(n * m) up to
 *             CELLS_MAX; past it that whole stretch is one hunk. Past LINES_MAX nothing is merged: the
 *             first text is the result, not clean.
 * Source:     Khanna, Kunal, Pierce, "A Formal Investigation of Diff3", FSTTCS 2007. */
#include "protocol/merge_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS_MAX = 1 << 17, LINES_MAX = 20000 };

struct lines {
    struct bytes *lines;
    uint32_t count;
};

struct hunk {
    uint32_t base_start, base_end, text_start, text_end;
    uint16_t text;
};

/* Lines [start, end) of both sides that lie between what is common at the start and at the end. */
struct stretch {
    uint32_t start, base_end, text_end;
};

struct text_merge {
    struct arena *arena;
    struct lines base, texts[FRONTIER_MAX], out;
    uint16_t count;
    struct hunk *hunks; /* a text has at most one more than it has lines */
    uint32_t hunk_count;
    uint16_t *lengths; /* of common subsequences; scratch of every diff */
    bool clean;
};

static uint32_t count_lines(struct bytes text)
{
    uint32_t count = text.size > 0;

    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '\n';
    return count;
}

static void split_lines(struct bytes text, struct lines *lines)
{
    const uint8_t *at = text.data;
    size_t left = text.size;

    for (uint32_t i = 0; i < lines->count; i++) {
        const uint8_t *end = left == 0 ? NULL : memchr(at, '\n', left);
        size_t size = end == NULL ? left : (size_t)(end - at);

        lines->lines[i] = bytes_of(at, size);
        if (end != NULL) {
            at = end + 1;
            left -= size + 1;
        }
    }
}

static struct stretch find_stretch(const struct lines *base, const struct lines *text)
{
    struct stretch s = {.start = 0, .base_end = base->count, .text_end = text->count};

    while (s.start < s.base_end && s.start < s.text_end &&
           bytes_equal(base->lines[s.start], text->lines[s.start]))
        s.start++;
    while (s.base_end > s.start && s.text_end > s.start &&
           bytes_equal(base->lines[s.base_end - 1], text->lines[s.text_end - 1])) {
        s.base_end--;
        s.text_end--;
    }
    return s;
}

/* 0: too large to be compared line by line. */
static size_t stretch_cells(const struct stretch *s)
{
    uint64_t n = s->base_end - s->start, m = s->text_end - s->start;

    return n * m > CELLS_MAX ? 0 : (size_t)((n + 1) * (m + 1));
}

static void add_hunk(struct text_merge *merge, uint16_t text, struct hunk hunk)
{
    if (hunk.base_start == hunk.base_end && hunk.text_start == hunk.text_end)
        return;
    hunk.text = text;
    merge->hunks[merge->hunk_count++] = hunk;
}

/* lengths[i * (m + 1) + j]: the longest common subsequence of base lines i.. and text lines j... */
static void fill_lengths(uint16_t *lengths, const struct bytes *base, uint32_t n,
                         const struct bytes *text, uint32_t m)
{
    size_t row = (size_t)m + 1;

    memset(lengths + n * row, 0, row * sizeof(*lengths));
    for (uint32_t i = n; i-- > 0;) {
        lengths[i * row + m] = 0;
        for (uint32_t j = m; j-- > 0;) {
            uint16_t down = lengths[(i + 1) * row + j], right = lengths[i * row + j + 1];

            if (bytes_equal(base[i], text[j]))
                lengths[i * row + j] = (uint16_t)(lengths[(i + 1) * row + j + 1] + 1);
            else
                lengths[i * row + j] = down >= right ? down : right;
        }
    }
}

static void diff(struct text_merge *merge, uint16_t which, const struct stretch *s)
{
    const struct bytes *base = merge->base.lines + s->start;
    const struct bytes *text = merge->texts[which].lines + s->start;
    uint32_t n = s->base_end - s->start, m = s->text_end - s->start, i = 0, j = 0;
    struct hunk hunk = {s->start, s->start, s->start, s->start, which};
    size_t row = (size_t)m + 1;

    if (n > 0 && m > 0 && stretch_cells(s) > 0) {
        fill_lengths(merge->lengths, base, n, text, m);
        while (i < n && j < m) {
            if (bytes_equal(base[i], text[j])) {
                add_hunk(merge, which, hunk);
                i++;
                j++;
                hunk.base_start = s->start + i;
                hunk.text_start = s->start + j;
            } else if (merge->lengths[(i + 1) * row + j] >= merge->lengths[i * row + j + 1]) {
                i++;
            } else {
                j++;
            }
            hunk.base_end = s->start + i;
            hunk.text_end = s->start + j;
        }
    }
    hunk.base_end = s->base_end;
    hunk.text_end = s->text_end;
    add_hunk(merge, which, hunk);
}

static int compare_hunks(const void *a, const void *b)
{
    const struct hunk *x = a, *y = b;

    if (x->base_start != y->base_start)
        return x->base_start < y->base_start ? -1 : 1;
    if (x->base_end != y->base_end)
        return x->base_end < y->base_end ? -1 : 1;
    return (x->text > y->text) - (x->text < y->text);
}

static void emit(struct text_merge *merge, const struct bytes *lines, uint32_t count)
{
    if (count == 0)
        return;
    memcpy(merge->out.lines + merge->out.count, lines, count * sizeof(*lines));
    merge->out.count += count;
}

static bool lines_equal(const struct bytes *a, uint32_t a_count, const struct bytes *b,
                        uint32_t b_count)
{
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++) {
        if (!bytes_equal(a[i], b[i]))
            return false;
    }
    return true;
}

/* Base lines [start, end) as each text that changed them has them: different ones, in text order. */
static void resolve(struct text_merge *merge, const struct hunk *hunks, uint32_t count,
                    uint32_t start, uint32_t end)
{
    struct bytes *variants[FRONTIER_MAX];
    uint32_t sizes[FRONTIER_MAX];
    uint16_t variant_count = 0;

    for (uint16_t text = 0; text < merge->count; text++) {
        const struct hunk *first = NULL, *last = NULL;
        uint16_t same = 0;

        for (uint32_t i = 0; i < count; i++) {
            if (hunks[i].text != text)
                continue;
            first = first == NULL ? &hunks[i] : first;
            last = &hunks[i];
        }
        if (first == NULL)
            continue;
        /* What lies between a text's hunks is common to it and the base: one slice of the text. */
        uint32_t from = first->text_start - (first->base_start - start);
        uint32_t size = last->text_end + (end - last->base_end) - from;
        struct bytes *slice = merge->texts[text].lines + from;

        while (same < variant_count && !lines_equal(variants[same], sizes[same], slice, size))
            same++;
        if (same < variant_count)
            continue;
        variants[variant_count] = slice;
        sizes[variant_count++] = size;
        emit(merge, slice, size);
    }
    if (variant_count > 1 && start < end)
        merge->clean = false;
}

static void merge_hunks(struct text_merge *merge)
{
    const struct hunk *hunks = merge->hunks;
    uint32_t done = 0;

    for (uint32_t i = 0, next; i < merge->hunk_count; i = next) {
        uint32_t start = hunks[i].base_start, end = hunks[i].base_end;

        /* Overlapping, or added at the same place. */
        for (next = i + 1; next < merge->hunk_count; next++) {
            bool both_added = start == end && hunks[next].base_end == end;

            if (hunks[next].base_start >= end && !both_added)
                break;
            if (hunks[next].base_end > end)
                end = hunks[next].base_end;
        }
        emit(merge, merge->base.lines + done, start - done);
        resolve(merge, hunks + i, next - i, start, end);
        done = end;
    }
    emit(merge, merge->base.lines + done, merge->base.count - done);
}

static enum err join_lines(const struct lines *lines, struct arena *arena, struct bytes *ret)
{
    size_t size = lines->count > 0 ? lines->count - 1 : 0;
    uint8_t *text, *at;

    for (uint32_t i = 0; i < lines->count; i++)
        size += lines->lines[i].size;
    text = at = arena_alloc(arena, size);
    if (text == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < lines->count; i++) {
        if (i > 0)
            *at++ = '\n';
        if (lines->lines[i].size > 0)
            memcpy(at, lines->lines[i].data, lines->lines[i].size);
        at += lines->lines[i].size;
    }
    *ret = bytes_of(text, size);
    return ERR_OK;
}

/* `total` lines of base and texts: read once, and once more in what is made of them. */
static enum err split_all(struct text_merge *merge, struct bytes base, const struct bytes *texts,
                          uint32_t total)
{
    struct bytes *room = arena_alloc(merge->arena, 2 * (size_t)total * sizeof(*room));

    merge->hunks =
        arena_alloc(merge->arena, ((size_t)total + merge->count) * sizeof(*merge->hunks));
    if (room == NULL || merge->hunks == NULL)
        return ERR_NOMEM;
    merge->base.lines = room;
    split_lines(base, &merge->base);
    room += merge->base.count;
    for (uint16_t i = 0; i < merge->count; i++) {
        merge->texts[i].lines = room;
        split_lines(texts[i], &merge->texts[i]);
        room += merge->texts[i].count;
    }
    merge->out.lines = room;
    return ERR_OK;
}

static enum err diff_all(struct text_merge *merge)
{
    struct stretch stretches[FRONTIER_MAX];
    size_t cells = 0;

    for (uint16_t i = 0; i < merge->count; i++) {
        stretches[i] = find_stretch(&merge->base, &merge->texts[i]);
        if (stretch_cells(&stretches[i]) > cells)
            cells = stretch_cells(&stretches[i]);
    }
    merge->lengths = arena_alloc(merge->arena, cells * sizeof(*merge->lengths));
    if (merge->lengths == NULL)
        return ERR_NOMEM;
    for (uint16_t i = 0; i < merge->count; i++)
        diff(merge, i, &stretches[i]);
    return ERR_OK;
}

enum err merge_text(struct bytes base, const struct bytes *texts, uint16_t count,
                    struct arena *arena, struct bytes *ret_text, bool *ret_clean)
{
    struct text_merge merge = {.arena = arena, .count = count, .clean = true};
    uint64_t total;
    enum err error;

    assert(count >= 1 && count <= FRONTIER_MAX);
    total = merge.base.count = count_lines(base);
    for (uint16_t i = 0; i < count; i++)
        total += merge.texts[i].count = count_lines(texts[i]);
    if (total > LINES_MAX) {
        *ret_text = texts[0];
        *ret_clean = false;
        return ERR_OK;
    }
    error = split_all(&merge, base, texts, (uint32_t)total);
    if (error == ERR_OK)
        error = diff_all(&merge);
    if (error != ERR_OK)
        return error;
    if (merge.hunk_count > 1)
        qsort(merge.hunks, merge.hunk_count, sizeof(*merge.hunks), compare_hunks);
    merge_hunks(&merge);
    error = join_lines(&merge.out, arena, ret_text);
    if (error == ERR_OK)
        *ret_clean = merge.clean;
    return error;
}
