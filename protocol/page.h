/* page.h - rows as they come down: the body of a PAGE message.
 *
 * Model:      a body is a MessagePack array of entries, each one record in the page's bucket:
 *             ROW    the whole confirmed record, live or dead, its version as the opaque blob of
 *                    version.h;
 *             DELTA  changed units of a record whose confirmed revision is `previous`: each written
 *                    unit has the one dot (its frontier is that dot alone), units not named are as
 *                    before;
 *             GONE   the record left this bucket (it moved, or was purged);
 *             OWN    live pages only: the receiver's own mutation (oseq, index) was applied as it
 *                    was written, and its record has this revision now: the author holds the rest.
 * Format:     page.c; dots of deltas are named by index into a dictionary at the head of the body.
 * Cost:       one pass; writing a row does not look into its version.
 * Ownership:  reading yields views into the body and arrays of the reader, both valid during the
 *             call.
 * Source:     SPEC.md 8. */
#ifndef PROTOCOL_PAGE_H
#define PROTOCOL_PAGE_H

#include "common/store.h"
#include "protocol/version.h"

enum page_entry_kind { PAGE_ROW = 0, PAGE_DELTA = 1, PAGE_GONE = 2, PAGE_OWN = 3 };

enum {
    PAGE_ENTRIES_MAX = 2000,
    PAGE_BYTES_TARGET = 256 << 10,
    PAGE_BODY_MAX =
        (8 << 20) - 4096, /* leaves room for the rest of a frame of FRAME_INFLATED_MAX */
};

struct page_unit {
    uint16_t unit; /* index in table->units */
    const struct value *values;
};

struct page_entry {
    enum page_entry_kind kind;
    uint64_t position;
    const struct model_table *table;
    struct uuid id;
    bool dead;                     /* ROW */
    const struct value *values;    /* ROW: table->column_count */
    struct bytes version;          /* ROW */
    uint64_t previous, revision;   /* DELTA; OWN: revision */
    uint64_t oseq;                 /* OWN: the receiver's group; table and id are not set */
    uint32_t mutation;             /* OWN: index in the group's mutations */
    struct dot dot;                /* DELTA */
    uint64_t stamp;                /* DELTA: effective */
    const struct page_unit *units; /* DELTA */
    uint16_t unit_count;
};

/* Writes a body. Usage: init, add..., finish (which gives the body), done. */
struct page_writer {
    struct buf entries, dots, body; /* packed entries, packed dictionary, the finished body */
    struct dot *dictionary;         /* to find what is in `dots` already */
    uint64_t *stamps;
    uint32_t dot_count, dot_capacity, entry_count;
    uint64_t last_position;
};
void page_writer_init(struct page_writer *w);
void page_writer_done(struct page_writer *w);
void page_writer_reset(struct page_writer *w);
size_t page_writer_size(const struct page_writer *w); /* bytes so far, about */
/* Positions ascend, from 1 (asserted). ERR_NOMEM; ERR_TOO_LARGE: PAGE_ENTRIES_MAX, PAGE_BODY_MAX,
 * or a text that is larger than any receiver takes. On failure the page is as before and can be
 * finished. */
enum err page_write_row(struct page_writer *w, uint64_t position, const struct model_table *table,
                        const struct uuid *id, const struct store_row *row);
enum err page_write_delta(struct page_writer *w, uint64_t position, const struct model_table *table,
                          const struct uuid *id, uint64_t previous, uint64_t revision,
                          const struct dot *dot, uint64_t stamp, const struct page_unit *units,
                          uint16_t unit_count);
enum err page_write_gone(struct page_writer *w, uint64_t position, const struct model_table *table,
                         const struct uuid *id);
/* Entry: [3, position delta, oseq, mutation index, revision]. */
enum err page_write_own(struct page_writer *w, uint64_t position, uint64_t oseq, uint32_t mutation,
                        uint64_t revision);
enum err page_writer_finish(struct page_writer *w, struct bytes *ret_body);

/* Reads a body (which it scans as it goes): calls fn for each entry in order; entry and what it
 * points to are valid during the call. arena is for fn alone: it is reset before each entry; may be
 * NULL. An error of fn ends it and is returned; ERR_MALFORMED, ERR_MODEL (a table or unit that the
 * model does not have, another number of columns, a value of another type), ERR_NOMEM. fn may have
 * been called for the entries before the bad one. */
typedef enum err page_entry_fn(void *context, const struct page_entry *entry);
enum err page_read(const struct model *model, struct bytes body, struct arena *arena,
                   page_entry_fn *fn, void *context);

#endif
