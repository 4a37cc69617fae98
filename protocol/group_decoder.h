/* group_decoder.h - what the two halves of the decoder share: group_head.c reads what comes before
 * the mutations, group_decode.c the mutations.
 *
 * Internal to group_*.c. */
#ifndef PROTOCOL_GROUP_DECODER_H
#define PROTOCOL_GROUP_DECODER_H

#include "protocol/group_format.h"
#include "protocol/unpack.h"

struct group_shape {
    const struct model_table *table;
    const struct model_unit **units;
    uint16_t unit_count;
    bool used;
    uint32_t value_count;                  /* columns of all units */
    uint32_t fields[MUTATION_RESTORE + 1]; /* objects after `insert` (INSERT: after id), per op */
};

struct group_decoder {
    const struct model *model;
    struct arena *arena;
    struct err_info *info;
    struct unpacker u;
    struct group group;
    struct dot *dots;
    uint8_t *dot_used;
    uint32_t dot_count;
    struct group_shape *shapes;
    uint32_t shape_count;
    uint32_t index; /* of the mutation at hand */
};

/* Each returns the code, with a message in d->info. */
enum err group_no_memory(struct group_decoder *d);
enum err group_malformed(struct group_decoder *d, const char *what);
/* The head, the dictionary and the shapes. ERR_VERSION, ERR_MALFORMED, ERR_MODEL, ERR_NOMEM. */
enum err group_read_head(struct group_decoder *d);

#endif
