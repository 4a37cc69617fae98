/* agent_fill.c - the command `fill` of satchel_bench_agent: new rows of a size, that deflate cannot make small.
 *
 *   fill N BYTES USER    N rows that only this user (a UUID) has, with notes of BYTES random characters, some
 *                        per transaction; {"ok"} when all are decided */
#define _POSIX_C_SOURCE 200809L
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILL_MAX = 60000, FILL_BATCH_BYTES = 250000 };

static void fill_text(char *text, unsigned size, uint64_t *state)
{
    static const char letters[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    for (unsigned i = 0; i < size; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        text[i] = letters[*state >> 58];
    }
    text[size] = '\0';
}

void command_fill(struct agent *agent, const char *arguments)
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    static char text[FILL_MAX + 1];
    const uint16_t columns[] = {column_of("notes"), COLUMN_VISIBILITY, COLUMN_OWNER};
    unsigned count, size, in_batch = 0;
    char name[SATCHEL_ID_TEXT_SIZE];
    struct satchel_id owner;
    if (sscanf(arguments, "%u %u %36s", &count, &size, name) != 3 || size > FILL_MAX ||
        satchel_id_parse(name, &owner) != SATCHEL_OK)
        die("needs fill N BYTES USER", arguments);
    for (unsigned i = 0; i < count; i++) {
        struct satchel_id id = {{0}};
        fill_text(text, size, &state);
        const struct satchel_value values[] = {satchel_text(text), satchel_text("owner"),
                                               satchel_reference(&owner)};
        if (in_batch == 0)
            check(agent->handle, satchel_begin(agent->handle), "begin");
        check(agent->handle, satchel_insert(agent->handle, TABLE, &id, columns, values, 3),
              "insert");
        in_batch += size + 1;
        if (in_batch >= FILL_BATCH_BYTES || i + 1 == count) {
            check(agent->handle, satchel_commit(agent->handle, NULL), "commit");
            in_batch = 0;
        }
    }
    command_flush(agent, "");
}
