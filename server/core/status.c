/* status.c - what headquarters tells of itself: counts, and how long it keeps things. */
#include "server/core/status.h"

#include "server/core/hub_internal.h"

static json_t *days(int64_t kept_ms)
{
    return kept_ms > 0 ? json_real((double)kept_ms / (24 * 3600 * 1000)) : json_null();
}

static enum err fill_retention(struct hub *hub, json_t *answer)
{
    uint64_t purged_at;
    json_t *retention = json_object();
    json_object_set_new(retention, "horizon_days", days(purge_horizon_ms(hub)));
    json_object_set_new(retention, "lease_days", days(purge_lease_ms(hub)));
    json_object_set_new(retention, "archive_days", days(purge_archive_ms(hub)));
    enum err e = meta_get_u64(hub, "purged_at", 0, &purged_at);
    json_object_set_new(retention, "last_purge_ms",
                        e == ERR_OK && purged_at ? json_integer((json_int_t)purged_at)
                                                 : json_null());
    json_object_set_new(retention, "records_purged",
                        json_integer((json_int_t)hub->stats.records_purged));
    json_object_set_new(retention, "departures_purged",
                        json_integer((json_int_t)hub->stats.departures_purged));
    json_object_set_new(answer, "retention", retention);
    return e;
}

struct attachments {
    uint64_t whole, bytes, missing;
};

static int count_whole(void *context, const uint8_t hash[BLOB_HASH], const struct blob *blob)
{
    struct attachments *found = context;
    (void)hash;
    found->whole += blob->whole;
    found->bytes += blob_here(blob);
    return 0;
}

static int count_missing(void *context, const uint8_t hash[BLOB_HASH])
{
    struct attachments *found = context;
    (void)hash;
    found->missing++;
    return 0;
}

static enum err fill_counts(struct hub *hub, json_t *answer)
{
    struct hub_stats stats;
    struct attachments found = {0};
    uint64_t records = 0;
    hub_stats(hub, &stats);
    enum err e = blob_scan(hub->store, count_whole, &found);
    if (e == ERR_OK)
        e = blob_list_scan(hub->store, BLOB_TO_FETCH, count_missing, &found);
    if (e != ERR_OK)
        return e;
    for (uint32_t i = 0; i < hub->bucket_count; i++)
        records += hub->buckets[i]->count;
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {{"records", records},
                   {"buckets", hub->bucket_count},
                   {"attachments", found.whole},
                   {"attachment_bytes", found.bytes},
                   {"attachments_missing", found.missing},
                   {"waiting", hub->waiting_count},
                   {"parked", hub->parked_count},
                   {"sessions", stats.peers},
                   {"live", stats.peers_live},
                   {"starts", hub->incarnation_count},
                   {"groups_applied", stats.groups_applied},
                   {"groups_merged", stats.groups_merged},
                   {"groups_parked", stats.groups_parked},
                   {"duplicates", stats.duplicates},
                   {"conflicts", stats.conflicts},
                   {"forks", stats.forks},
                   {"commits", stats.commits},
                   {"rows_written", stats.rows_written},
                   {"rows_sent", stats.rows_sent},
                   {"pages_shared", stats.pages_shared},
                   {"bytes_in", stats.bytes_in},
                   {"bytes_out", stats.bytes_out},
                   {"fallbacks", stats.fallbacks}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(answer, numbers[i].name, json_integer((json_int_t)numbers[i].number));
    return ERR_OK;
}

enum err status_fill(struct hub *hub, json_t *answer)
{
    char history[UUID_TEXT_SIZE];
    uuid_format(&hub->history, history);
    json_object_set_new(answer, "history", json_string(history));
    enum err e = fill_counts(hub, answer);
    if (e == ERR_OK)
        e = models_status(hub, answer);
    return e == ERR_OK ? fill_retention(hub, answer) : e;
}
