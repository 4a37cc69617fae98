/* verify.c - satchel_verify(): what is wrong with the replica, in words. */
#include "client/api/api_internal.h"

#include <stdarg.h>
#include <stdio.h>

struct verification {
    struct satchel *h;
    satchel_problem_fn *fn;
    void *context;
    struct arena arena;
    struct replica_bucket *wrong; /* in the arena */
    uint32_t wrong_count, wrong_capacity;
    bool no_memory;
    struct satchel_verification result;
};

__attribute__((format(printf, 2, 3))) static void tell(struct verification *v, const char *format,
                                                       ...)
{
    char text[600];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    v->result.problems++;
    v->fn(v->context, text);
}

static void file_problem(void *context, const char *text)
{
    tell(context, "the database file: %s", text);
}

static void take_bucket(void *context, const struct replica_bucket *bucket)
{
    struct verification *v = context;
    v->result.buckets++;
    v->result.records += bucket->found;
    if (bucket->right)
        return;
    struct replica_bucket *wrong =
        arena_extend(&v->arena, v->wrong, v->wrong_count, &v->wrong_capacity, sizeof *wrong);
    v->no_memory |= wrong == NULL;
    if (wrong == NULL)
        return;
    v->wrong = wrong;
    wrong[v->wrong_count++] = *bucket;
}

static enum err tell_bucket(struct verification *v, const struct replica_bucket *bucket)
{
    static const char *const whose[] = {"the records of a bucket without a name",
                                        "the company's records",
                                        "the records of branch",
                                        "the records of",
                                        "the records that nobody owns",
                                        "the records of team"};
    struct satchel *h = v->h;
    const char *name = "";
    uint32_t kind = bucket->kind < sizeof whose / sizeof *whose ? bucket->kind : 0;
    enum err e = ERR_OK;
    static const uint32_t named[] = {[BUCKET_KIND_BRANCH] = TABLE_BRANCH,
                                     [BUCKET_KIND_USER] = TABLE_USER,
                                     [BUCKET_KIND_TEAM] = TABLE_TEAM};
    uint32_t table = kind < sizeof named / sizeof *named ? named[kind] : 0;
    if (table) {
        e = api_title_of(h, model_table_by_id(h->model, table), &bucket->key, &v->arena, &name);
    }
    if (e != ERR_OK)
        return e;
    if (bucket->saved != bucket->found)
        tell(v, "%s%s%s: %llu were saved, %llu are there", whose[kind], *name ? " " : "", name,
             (unsigned long long)bucket->saved, (unsigned long long)bucket->found);
    else
        tell(v, "%s%s%s: of %llu at least one is not as it was saved", whose[kind],
             *name ? " " : "", name, (unsigned long long)bucket->saved);
    return ERR_OK;
}

static enum err tell_buckets(struct verification *v)
{
    enum err e = v->no_memory ? ERR_NOMEM : api_read_begin(v->h);
    if (e != ERR_OK)
        return e;
    for (uint32_t i = 0; e == ERR_OK && i < v->wrong_count; i++)
        e = tell_bucket(v, &v->wrong[i]);
    api_read_end(v->h);
    return e;
}

static enum err verify(struct verification *v)
{
    struct satchel *h = v->h;
    enum err e = store_sqlite_verify(h->store, file_problem, v);
    if (e != ERR_OK && (e != ERR_CORRUPT || v->result.problems == 0))
        return e;
    uint64_t unreadable = 0;
    e = replica_verify(h->replica, !h->read_only, take_bucket, v, &unreadable);
    if (e == ERR_CORRUPT && v->result.problems > 0) {
        tell(v, "the records could not be counted: the file is too damaged");
        return ERR_OK;
    }
    if (e != ERR_OK)
        return e;
    if (unreadable > 0)
        tell(v, "%llu records cannot be read", (unsigned long long)unreadable);
    v->result.unreadable = unreadable;
    v->result.repairable = unreadable > 0 || v->wrong_count > 0;
    v->result.marked = v->result.repairable && !h->read_only;
    v->result.repairable_problems = (unreadable > 0) + (uint64_t)v->wrong_count;
    return tell_buckets(v);
}

enum satchel_code satchel_verify(struct satchel *handle, satchel_problem_fn *fn, void *context,
                                 struct satchel_verification *ret_verification)
{
    struct verification v = {.h = handle, .fn = fn, .context = context};
    enum err e = api_start(handle);
    if (e == ERR_OK && (handle->transaction || handle->reading > 0 || handle->sync.loop != NULL))
        e = err_set(&handle->error, ERR_INVALID,
                    "not within a transaction, a callback or an exchange");
    if (e != ERR_OK)
        return api_end(handle, e);
    arena_init(&v.arena, API_ARENA_MAX);
    e = verify(&v);
    arena_done(&v.arena);
    if (e == ERR_OK)
        *ret_verification = v.result;
    return api_end(handle, e);
}
