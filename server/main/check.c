#include "server/main/check.h"

#include <stdio.h>
#include <string.h>

#include "common/blob.h"

enum { PROBLEMS_MAX = 100, ANSWER_MAX = 16 << 20 };

static void note(void *context, const char *text)
{
    json_t *problems = context;
    if (json_array_size(problems) < PROBLEMS_MAX)
        json_array_append_new(problems, json_string(text));
}

static void note_audit(json_t *problems, const json_t *answer)
{
    char text[200];
    json_int_t bad = json_integer_value(json_object_get(answer, "audit_bad_entry"));
    if (bad <= 0)
        return;
    json_int_t entries = json_integer_value(json_object_get(answer, "audit_entries"));
    if (bad > entries)
        (void)snprintf(text, sizeof text, "audit log: its end was cut off after entry %lld",
                       (long long)entries);
    else
        (void)snprintf(text, sizeof text,
                       "audit log: entry %lld (table satchel_audit) is not what was written",
                       (long long)bad);
    note(problems, text);
}

static void note_buckets(json_t *problems, const json_t *answer)
{
    const json_t *wrong;
    size_t i;
    json_array_foreach(json_object_get(answer, "wrong"), i, wrong)
    {
        char text[300];
        (void)snprintf(text, sizeof text,
                       "bucket %lld (%s): its records do not add up to its digest (%lld records "
                       "found, %lld expected): a row was changed past the server",
                       (long long)json_integer_value(json_object_get(wrong, "bucket")),
                       json_string_value(json_object_get(wrong, "of")),
                       (long long)json_integer_value(json_object_get(wrong, "found")),
                       (long long)json_integer_value(json_object_get(wrong, "expected")));
        note(problems, text);
    }
}

/* Digests and audit, which only the hub understands. */
static enum err check_hub(struct house *house, json_t *report, json_t *problems,
                          struct err_info *info)
{
    struct buf text;
    buf_init(&text, ANSWER_MAX);
    enum err e =
        hub_admin(house->hub, bytes_of_text("{\"do\":\"verify\"}"), house_now(house), &text);
    json_t *answer = e == ERR_OK ? json_loadb((const char *)text.data, text.size, 0, NULL) : NULL;
    buf_done(&text);
    if (!answer)
        return err_set(info, e == ERR_OK ? ERR_BUG : e, "the digests could not be checked");
    static const char *const names[] = {"records", "buckets", "audit_entries"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set(report, names[i], json_object_get(answer, names[i]));
    note_audit(problems, answer);
    note_buckets(problems, answer);
    if (!json_is_true(json_object_get(answer, "ok")) && json_array_size(problems) == 0)
        note(problems, json_string_value(json_object_get(answer, "message")));
    json_decref(answer);
    return ERR_OK;
}

static void note_bucket(void *context, const struct replica_bucket *bucket)
{
    json_t *report = context;
    json_int_t records = json_integer_value(json_object_get(report, "records"));
    json_int_t buckets = json_integer_value(json_object_get(report, "buckets"));
    json_object_set_new(report, "records", json_integer(records + (json_int_t)bucket->found));
    json_object_set_new(report, "buckets", json_integer(buckets + 1));
    if (bucket->right)
        return;
    char text[200];
    (void)snprintf(text, sizeof text,
                   "bucket %lu: its records do not add up to its digest (%llu records found, %llu "
                   "expected)",
                   (unsigned long)bucket->number, (unsigned long long)bucket->found,
                   (unsigned long long)bucket->saved);
    note(json_object_get(report, "problems"), text);
}

/* A branch's records, against the digests that headquarters told. */
static enum err check_replica(struct house *house, json_t *report, json_t *problems,
                              struct err_info *info)
{
    uint64_t unreadable = 0;
    enum err e = replica_verify(house->replica, false, note_bucket, report, &unreadable);
    if (e != ERR_OK)
        return err_set(info, e, "the records could not be counted: %s", err_text(e));
    char text[80];
    (void)snprintf(text, sizeof text, "%llu records cannot be read",
                   (unsigned long long)unreadable);
    if (unreadable > 0)
        note(problems, text);
    return ERR_OK;
}

struct blobs_check {
    struct house *house;
    json_t *problems;
    uint64_t count;
};

static int check_blob(void *context, const uint8_t hash[BLOB_HASH], const struct blob *blob)
{
    struct blobs_check *check = context;
    char hex[2 * BLOB_HASH + 1], text[200];
    if (!blob->whole)
        return 0;
    check->count++;
    enum err e = blob_verify(check->house->store, check->house->crypto, hash, blob);
    for (int i = 0; i < BLOB_HASH; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    (void)snprintf(text, sizeof text, "attachment %s: its bytes are not those that were saved",
                   hex);
    if (e == ERR_CORRUPT)
        note(check->problems, text);
    return e == ERR_CORRUPT ? 0 : (int)e;
}

/* Each attachment against its hash. */
static enum err check_blobs(struct house *house, json_t *report, json_t *problems,
                            struct err_info *info)
{
    struct blobs_check check = {house, problems, 0};
    enum err e = store_begin(house->store, STORE_READ);
    if (e == ERR_OK) {
        e = blob_scan(house->store, check_blob, &check);
        store_rollback(house->store);
    }
    json_object_set_new(report, "attachments", json_integer((json_int_t)check.count));
    return e == ERR_OK ? e : err_set(info, e, "the attachments could not be read: %s", err_text(e));
}

enum err check_store(struct house *house, const char *path, json_t **ret_report,
                     struct err_info *info)
{
    json_t *problems = json_array();
    json_t *report = json_pack("{s:b,s:o}", "ok", 0, "problems", problems);
    enum err e = house_open(house, HOUSE_LOOK, path, info);
    bool damaged = e == ERR_CORRUPT;
    if (damaged)
        note(problems, info->message);
    if (e == ERR_OK) {
        e = store_sqlite_verify(house->store, note, problems);
        if (e != ERR_OK && e != ERR_CORRUPT)
            err_set(info, e, "%s could not be read: %s", path ? path : "hq.db", err_text(e));
        if (e == ERR_CORRUPT && json_array_size(problems) == 0)
            note(problems, "the file is damaged");
    }
    if (e == ERR_OK)
        e = house->replica ? check_replica(house, report, problems, info)
                           : check_hub(house, report, problems, info);
    if (e == ERR_OK)
        e = check_blobs(house, report, problems, info);
    house_leave(house);
    if (e != ERR_OK && e != ERR_CORRUPT) {
        json_decref(report);
        return e;
    }
    json_object_set_new(report, "ok", json_boolean(json_array_size(problems) == 0));
    *ret_report = report;
    return ERR_OK;
}

bool check_is_clean(const json_t *report)
{
    return json_is_true(json_object_get(report, "ok"));
}

const char *check_first(const json_t *report)
{
    const char *text = json_string_value(json_array_get(json_object_get(report, "problems"), 0));
    return text ? text : "";
}
