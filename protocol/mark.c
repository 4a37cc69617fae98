#include "protocol/mark.h"

#include <stdio.h>

bool mark_covers(const struct mark *mark, uint64_t oseq)
{
    if (oseq <= mark->upto)
        return true;
    for (uint32_t i = 0; i < mark->range_count; i++)
        if (oseq >= mark->ranges[i].from && oseq <= mark->ranges[i].to)
            return true;
    return false;
}

void mark_pack(const struct mark *mark, struct buf *out)
{
    buf_append_varint(out, mark->upto);
    buf_append_varint(out, mark->range_count);
    for (uint32_t i = 0; i < mark->range_count; i++) {
        buf_append_varint(out, mark->ranges[i].from);
        buf_append_varint(out, mark->ranges[i].to);
    }
}

enum err mark_unpack(struct bytes in, size_t *offset, struct arena *arena, struct mark *ret)
{
    uint64_t count;
    if (varint_get(in, offset, &ret->upto) != ERR_OK || varint_get(in, offset, &count) != ERR_OK ||
        count > in.size)
        return ERR_CORRUPT;
    struct oseq_range *ranges = arena_calloc(arena, (size_t)count, sizeof *ranges);
    if (!ranges)
        return ERR_NOMEM;
    for (uint64_t i = 0; i < count; i++)
        if (varint_get(in, offset, &ranges[i].from) != ERR_OK ||
            varint_get(in, offset, &ranges[i].to) != ERR_OK)
            return ERR_CORRUPT;
    ret->ranges = ranges;
    ret->range_count = (uint32_t)count;
    return ERR_OK;
}

void archived_name(uint64_t origin, char out[ARCHIVED_NAME_SIZE])
{
    snprintf(out, ARCHIVED_NAME_SIZE, "archived/%016llx", (unsigned long long)origin);
}
