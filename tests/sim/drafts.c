/* drafts.c - all is quiet: what headquarters has set aside of a device's present origin, the device keeps as a
 * draft; else its author takes it for done, and nobody else has it. */
#include <sqlite3.h>
#include <string.h>

#include "common/store_sqlite/store_sqlite.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"

static bool has_draft(struct node *node, const uint8_t key[16])
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(node->store),
                           "SELECT 1 FROM satchel_parked WHERE k=?", -1, &row, NULL) != SQLITE_OK)
        return true;
    sqlite3_bind_blob(row, 1, key, 16, SQLITE_TRANSIENT);
    bool lacks = sqlite3_step(row) == SQLITE_DONE;
    sqlite3_finalize(row);
    return !lacks;
}

void drafts_end(struct world *world)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(store_sqlite_handle(world->nodes[0].store),
                           "SELECT k FROM satchel_parked", -1, &row, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(row) == SQLITE_ROW && !world->failed) {
        const uint8_t *key = sqlite3_column_blob(row, 0);
        for (uint32_t i = 1; i < world->node_count && sqlite3_column_bytes(row, 0) == 16; i++) {
            struct node *node = &world->nodes[i];
            struct replica_status status;
            if (node->erased || !node->running || node->dishonest)
                continue;
            replica_status(node->replica, &status);
            if (status.origin == be64_get(key) && !has_draft(node, key))
                broken(
                    world, "who was refused knows",
                    "headquarters has set group %016llx/%llu of %s aside, which has no draft of it",
                    (unsigned long long)be64_get(key), (unsigned long long)be64_get(key + 8),
                    node->name);
        }
    }
    sqlite3_finalize(row);
}
