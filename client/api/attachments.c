/* attachments.c - photos, signatures, documents: attaching, listing, reading, asking for. */
#include "client/api/api_internal.h"

#include "client/core/replica_blobs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OWNER_DEPTH_MAX = 8 };

/* The table `attachment` of the model, by names: people's models may have it or not. */
struct shape {
    const struct model_table *table, *owner; /* owner: what its parent column refers to */
    const struct model_column *party, *about, *name, *kind, *media_type, *size, *sha256, *taken_at;
};

static enum err shape_of(struct satchel *h, struct shape *ret)
{
    const struct model_table *t = model_table_by_name(h->model, bytes_of_text("attachment"));
    struct shape s = {.table = t};
    if (t != NULL && t->parent_column >= 0) {
        s.party = &t->columns[t->parent_column];
        s.owner = &h->model->tables[s.party->target];
        s.about = model_column_by_name(t, bytes_of_text("about"));
        s.name = model_column_by_name(t, bytes_of_text("name"));
        s.kind = model_column_by_name(t, bytes_of_text("kind"));
        s.media_type = model_column_by_name(t, bytes_of_text("media_type"));
        s.size = model_column_by_name(t, bytes_of_text("size"));
        s.sha256 = model_column_by_name(t, bytes_of_text("sha256"));
        s.taken_at = model_column_by_name(t, bytes_of_text("taken_at"));
    }
    bool all =
        s.party && s.about && s.name && s.kind && s.media_type && s.size && s.sha256 && s.taken_at;
    *ret = s;
    return all ? ERR_OK : err_set(&h->error, ERR_MODEL, "this model has no table for attachments");
}

/* ---- whose it is ---- */

/* The column by which a record of this table names one of the owner's table, or a step towards it. */
static const struct model_column *step_to(const struct model_table *table,
                                          const struct model_table *owner)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (table->columns[i].type == COLUMN_REFERENCE && table->columns[i].target == owner->index)
            return &table->columns[i];
    return table->parent_column >= 0 ? &table->columns[table->parent_column] : NULL;
}

/* Within a transaction. */
static enum err find_owner(struct satchel *h, const struct model_table *table,
                           const struct uuid *id, const struct shape *shape, struct arena *arena,
                           struct uuid *ret)
{
    struct uuid at = *id;
    for (int depth = 0; depth < OWNER_DEPTH_MAX; depth++) {
        struct store_row row;
        enum err e = store_row_get(h->store, table, &at, arena, &row);
        if (e == ERR_NOT_FOUND || (e == ERR_OK && row.dead))
            return err_set(&h->error, ERR_NOT_FOUND, "%s: there is no such record here",
                           table->name);
        if (e != ERR_OK)
            return e;
        if (table == shape->owner) {
            *ret = at;
            return ERR_OK;
        }
        const struct model_column *step = step_to(table, shape->owner);
        if (step == NULL || step->target < 0 || !value_id(&row.values[step->index], &at))
            break;
        table = &h->model->tables[step->target];
    }
    return err_set(&h->error, ERR_INVALID,
                   "%s: this record belongs to no %s; attach it to one, or to something of one",
                   table->name, shape->owner->name);
}

/* ---- attaching ---- */

struct media {
    const char *ending, *type, *kind;
};

static const struct media media[] = {
    {"jpg", "image/jpeg", "photo"},
    {"jpeg", "image/jpeg", "photo"},
    {"png", "image/png", "photo"},
    {"heic", "image/heic", "photo"},
    {"webp", "image/webp", "photo"},
    {"gif", "image/gif", "photo"},
    {"svg", "image/svg+xml", "signature"},
    {"pdf", "application/pdf", "document"},
    {"txt", "text/plain", "document"},
    {"csv", "text/csv", "document"},
    {"doc", "application/msword", "document"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document"},
    {"xls", "application/vnd.ms-excel", "document"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "document"},
    {"zip", "application/zip", "other"},
    {"mp4", "video/mp4", "other"},
    {"", "application/octet-stream", "other"},
};

static const struct media *media_of(const char *name)
{
    const char *dot = name != NULL ? strrchr(name, '.') : NULL;
    size_t i = 0;
    for (; media[i].ending[0]; i++) {
        const char *a = dot != NULL ? dot + 1 : "", *b = media[i].ending;
        while (*a && *b && (*a | 0x20) == *b)
            a++, b++;
        if (!*a && !*b)
            break;
    }
    return &media[i];
}

static long read_file(void *context, void *data, size_t size)
{
    FILE *file = context;
    size_t got = fread(data, 1, size, file);
    return ferror(file) ? -1 : (long)got;
}

/* A whole chunk, or what is left. */
static enum err fill_chunk(struct satchel *h, const struct satchel_attach *what,
                           uint8_t chunk[BLOB_CHUNK], size_t *ret_size)
{
    size_t size = 0;
    while (size < BLOB_CHUNK) {
        long got = what->source(what->source_context, chunk + size, BLOB_CHUNK - size);
        if (got < 0 || (size_t)got > BLOB_CHUNK - size)
            return err_set(&h->error, ERR_IO, "'%s' cannot be read",
                           what->file != NULL ? what->file : what->name);
        if (got == 0)
            break;
        size += (size_t)got;
    }
    *ret_size = size;
    return ERR_OK;
}

static enum err too_large(struct satchel *h, const struct satchel_attach *what, uint64_t limit)
{
    return err_set(&h->error, ERR_TOO_LARGE,
                   "'%s' is larger than the %.1f MB that headquarters takes for one attachment",
                   what->name, (double)limit / 1e6);
}

static enum err copy_in(struct satchel *h, const struct satchel_attach *what,
                        struct blob_writer *writer)
{
    static _Thread_local uint8_t chunk[BLOB_CHUNK];
    uint64_t limit;
    size_t size = BLOB_CHUNK;
    enum err e = replica_blob_limit(h->replica, &limit);
    if (e == ERR_OK)
        e = replica_blob_begin(h->replica, writer);
    while (e == ERR_OK && size == BLOB_CHUNK) {
        e = fill_chunk(h, what, chunk, &size);
        if (e == ERR_OK && writer->size + size > limit)
            e = too_large(h, what, limit);
        if (e == ERR_OK && size > 0)
            e = replica_blob_add(h->replica, writer, bytes_of(chunk, size));
    }
    if (e == ERR_OK && writer->size == 0)
        e = err_set(&h->error, ERR_INVALID, "'%s' is empty", what->name);
    return e;
}

static enum err insert_record(struct satchel *h, const struct satchel_attach *what,
                              const struct shape *shape, const struct uuid *party,
                              struct blob_writer *writer, struct uuid *ret_id)
{
    uint8_t hash[BLOB_HASH], random[10];
    const struct media *by_name = media_of(what->name);
    enum err e = replica_blob_end(h->replica, writer, hash);
    if (e == ERR_OK)
        e = rng_fill(&h->rng, random, sizeof random);
    if (e != ERR_OK)
        return e;
    *ret_id = uuid_next(&h->ids, (uint64_t)clock_wall(&h->clock).ms, random);
    const uint16_t columns[] = {shape->party->index,  shape->about->index,      shape->name->index,
                                shape->kind->index,   shape->media_type->index, shape->size->index,
                                shape->sha256->index, shape->taken_at->index};
    const struct value values[] = {
        value_blob(bytes_of(party->byte, 16)),
        value_blob(bytes_of(what->record->byte, 16)),
        value_text(bytes_of_text(what->name)),
        value_text(bytes_of_text(what->kind != NULL ? what->kind : by_name->kind)),
        value_text(bytes_of_text(what->media_type != NULL ? what->media_type : by_name->type)),
        value_int((int64_t)writer->size),
        value_blob(bytes_of(hash, BLOB_HASH)),
        what->taken_at_ms != 0 ? value_int(what->taken_at_ms) : value_null()};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        e = model_check_value(&shape->table->columns[columns[i]], &values[i], &h->error);
        if (e != ERR_OK)
            return e;
    }
    return replica_insert(h->replica, shape->table, ret_id, columns, values,
                          sizeof values / sizeof *values, &h->error);
}

static enum err attach(struct satchel *h, const struct satchel_attach *what,
                       const struct model_table *table, struct uuid *ret_id)
{
    struct blob_writer writer = {.number = 0};
    struct shape shape;
    struct uuid party;
    struct arena arena;
    bool own;
    enum err e = shape_of(h, &shape);
    if (e == ERR_OK)
        e = api_read_begin(h);
    if (e != ERR_OK)
        return e;
    arena_init(&arena, API_ARENA_MAX);
    e = find_owner(h, table, api_uuid(what->record), &shape, &arena, &party);
    arena_done(&arena);
    api_read_end(h);
    if (e == ERR_OK)
        e = copy_in(h, what, &writer);
    if (e == ERR_OK)
        e = api_write_begin(h, &own);
    if (e == ERR_OK)
        e = api_write_end(h, own, insert_record(h, what, &shape, &party, &writer, ret_id));
    blob_writer_done(&writer);
    return e;
}

enum satchel_code satchel_attach(struct satchel *handle, const struct satchel_attach *what,
                                 struct satchel_id *ret_id)
{
    struct satchel_attach full = *what;
    struct uuid id;
    FILE *file = NULL;
    enum err e = api_start(handle);
    const struct model_table *table =
        e == ERR_OK ? api_table_by_name(handle, what->table, &e) : NULL;
    if (e == ERR_OK && handle->read_only)
        e = err_set(&handle->error, ERR_FORBIDDEN, "this handle was opened for reading only");
    if (e == ERR_OK && what->file != NULL) {
        const char *slash = strrchr(what->file, '/');
        full.name = what->name != NULL ? what->name : (slash != NULL ? slash + 1 : what->file);
        file = fopen(what->file, "rb");
        if (file == NULL)
            e = err_set(&handle->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "'%s': %s",
                        what->file, strerror(errno));
        full.source = read_file;
        full.source_context = file;
    }
    if (e == ERR_OK && full.name == NULL)
        full.name = "attachment";
    if (e == ERR_OK)
        e = attach(handle, &full, table, &id);
    if (file != NULL)
        (void)fclose(file);
    if (e == ERR_OK)
        *ret_id = api_id(&id);
    return api_end(handle, e);
}

/* ---- listing ---- */

static const char *text_or(const struct value *value, const char *otherwise, struct arena *arena)
{
    const char *text = value->kind == VALUE_TEXT ? arena_text(arena, value->as.bytes) : otherwise;
    return text != NULL ? text : "";
}

static enum err describe(struct satchel *h, const struct shape *shape, const struct uuid *id,
                         const struct store_row *row, struct arena *arena,
                         struct satchel_attachment *ret)
{
    const struct value *v = row->values, *sha256 = &v[shape->sha256->index];
    struct satchel_attachment a = {.id = api_id(id), .place = SATCHEL_ATTACHMENT_ON_SERVER};
    struct uplink_progress progress = {0};
    struct uuid other;
    struct blob blob = {.whole = false};
    if (value_id(&v[shape->party->index], &other))
        a.party = api_id(&other);
    if (value_id(&v[shape->about->index], &other))
        a.about = api_id(&other);
    a.name = text_or(&v[shape->name->index], "", arena);
    a.kind = text_or(&v[shape->kind->index], "other", arena);
    a.media_type = text_or(&v[shape->media_type->index], "", arena);
    if (v[shape->size->index].kind == VALUE_INT)
        a.size = (uint64_t)v[shape->size->index].as.integer;
    if (v[shape->taken_at->index].kind == VALUE_INT)
        a.taken_at_ms = v[shape->taken_at->index].as.integer;
    *ret = a;
    if (sha256->kind != VALUE_BLOB || sha256->as.bytes.size != BLOB_HASH)
        return ERR_OK;
    memcpy(ret->sha256, sha256->as.bytes.data, BLOB_HASH);
    enum err e = blob_get(h->store, ret->sha256, &blob);
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        e = blob_list_has(h->store, BLOB_ASKED, ret->sha256, &ret->asked);
    if (h->sync.uplink != NULL)
        uplink_progress(h->sync.uplink, &progress);
    if (memcmp(progress.sending, ret->sha256, BLOB_HASH) == 0 && !blob.confirmed)
        ret->sent = progress.sending_done < a.size ? progress.sending_done : a.size;
    ret->here = blob_here(&blob);
    ret->too_large = blob.refused;
    if (blob.whole)
        ret->place = blob.confirmed   ? SATCHEL_ATTACHMENT_AT_HEADQUARTERS
                     : blob.at_branch ? SATCHEL_ATTACHMENT_AT_BRANCH
                                      : SATCHEL_ATTACHMENT_HERE;
    return e;
}

struct listing {
    struct satchel *h;
    struct shape shape;
    const struct uuid *record; /* NULL: all */
    satchel_attachment_fn *fn;
    void *context;
    struct arena arena;
};

static int list_one(void *context, const struct uuid *id)
{
    struct listing *list = context;
    struct satchel_attachment attachment;
    struct store_row row;
    struct uuid about, party;
    arena_reset(&list->arena);
    enum err e = store_row_get(list->h->store, list->shape.table, id, &list->arena, &row);
    if (e != ERR_OK)
        return (int)e;
    bool it = list->record == NULL ||
              (value_id(&row.values[list->shape.about->index], &about) &&
               uuid_equal(&about, list->record)) ||
              (value_id(&row.values[list->shape.party->index], &party) &&
               uuid_equal(&party, list->record));
    if (row.dead || !it)
        return 0;
    e = describe(list->h, &list->shape, id, &row, &list->arena, &attachment);
    return e != ERR_OK ? (int)e : api_stop(list->fn(list->context, &attachment));
}

enum satchel_code satchel_attachments(struct satchel *handle, const char *table,
                                      const struct satchel_id *record, satchel_attachment_fn *fn,
                                      void *context)
{
    struct listing list = {.h = handle, .fn = fn, .context = context};
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = shape_of(handle, &list.shape);
    if (e == ERR_OK && table != NULL)
        (void)api_table_by_name(handle, table, &e);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    list.record = table != NULL ? api_uuid(record) : NULL;
    arena_init(&list.arena, API_ARENA_MAX);
    e = store_row_scan(handle->store, list.shape.table, NULL, list_one, &list);
    arena_done(&list.arena);
    api_read_end(handle);
    return api_end(handle, e);
}

/* Within api_read_begin(). */
static enum err find(struct satchel *h, const struct satchel_id *id, struct arena *arena,
                     struct satchel_attachment *ret)
{
    struct shape shape;
    struct store_row row;
    enum err e = shape_of(h, &shape);
    if (e == ERR_OK)
        e = store_row_get(h->store, shape.table, api_uuid(id), arena, &row);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && row.dead))
        return err_set(&h->error, ERR_NOT_FOUND, "there is no such attachment here");
    return e == ERR_OK ? describe(h, &shape, api_uuid(id), &row, arena, ret) : e;
}

enum satchel_code satchel_attachment(struct satchel *handle, const struct satchel_id *id,
                                     struct satchel_attachment *ret_attachment)
{
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    arena_reset(&handle->read_arena);
    e = find(handle, id, &handle->read_arena, ret_attachment);
    api_read_end(handle);
    return api_end(handle, e);
}

/* ---- reading, asking ---- */

static enum err read_all(struct satchel *h, const struct satchel_id *id, satchel_bytes_fn *fn,
                         void *context)
{
    struct satchel_attachment attachment;
    struct arena arena;
    struct blob blob = {.whole = false};
    int stop = 0;
    arena_init(&arena, API_ARENA_MAX);
    enum err e = find(h, id, &arena, &attachment);
    if (e == ERR_OK)
        e = blob_get(h->store, attachment.sha256, &blob);
    if ((e == ERR_NOT_FOUND && h->error.code != e) || (e == ERR_OK && !blob.whole))
        e = err_set(&h->error, ERR_OFFLINE, "'%s' is on the server only: it has to be fetched",
                    attachment.name);
    for (uint32_t n = 0; e == ERR_OK && !stop && n < blob_chunks(blob.size); n++) {
        struct bytes data;
        arena_reset(&arena);
        e = blob_chunk(h->store, &blob, n, &arena, &data);
        if (e == ERR_OK)
            stop = fn(context, data.data, data.size);
        if (e == ERR_NOT_FOUND)
            e = err_set(&h->error, ERR_CORRUPT, "a part of the attachment is missing in the file");
    }
    arena_done(&arena);
    return e;
}

enum satchel_code satchel_attachment_read(struct satchel *handle, const struct satchel_id *id,
                                          satchel_bytes_fn *fn, void *context)
{
    enum err e = api_start(handle);
    if (e == ERR_OK)
        e = api_read_begin(handle);
    if (e != ERR_OK)
        return api_end(handle, e);
    e = read_all(handle, id, fn, context);
    api_read_end(handle);
    return api_end(handle, e);
}

enum satchel_code satchel_attachment_fetch(struct satchel *handle, const struct satchel_id *id)
{
    struct satchel_attachment attachment;
    enum satchel_code code = satchel_attachment(handle, id, &attachment);
    if (code != SATCHEL_OK)
        return code;
    enum err e = handle->read_only ? err_set(&handle->error, ERR_FORBIDDEN,
                                             "a handle for reading only cannot ask")
                                   : replica_blob_ask(handle->replica, attachment.sha256);
    if (e == ERR_OK && handle->sync.link != NULL)
        client_link_wake(handle->sync.link);
    return api_end(handle, e);
}

enum satchel_code satchel_attachments_automatic(struct satchel *handle, uint64_t bytes)
{
    enum err e = api_start(handle);
    if (e == ERR_OK && handle->read_only)
        e = err_set(&handle->error, ERR_FORBIDDEN, "this handle was opened for reading only");
    if (e == ERR_OK)
        e = replica_blob_set_policy(handle->replica, bytes);
    return api_end(handle, e);
}

void satchel_carry_attachments(struct satchel *handle, bool carry)
{
    handle->no_attachments = !carry;
}

/* ---- status ---- */

struct counting {
    struct satchel *h;
    struct shape shape;
    struct satchel_status *status;
    bool photo;
    int64_t size; /* by the record; 0: not known */
};

static int look_at_name(void *context, const struct model_table *table, const struct uuid *id,
                        bool live)
{
    struct counting *c = context;
    struct store_row row;
    struct arena arena;
    if (!live || table != c->shape.table)
        return 0;
    arena_init(&arena, API_ARENA_MAX);
    enum err e = store_row_get(c->h->store, table, id, &arena, &row);
    if (e == ERR_OK) {
        const struct value *kind = &row.values[c->shape.kind->index];
        const struct value *size = &row.values[c->shape.size->index];
        c->photo = kind->kind == VALUE_TEXT && bytes_equal(kind->as.bytes, bytes_of_text("photo"));
        c->size = size->kind == VALUE_INT ? size->as.integer : 0;
    }
    arena_done(&arena);
    return e == ERR_OK || e == ERR_NOT_FOUND ? STORE_STOP : (int)e;
}

static int count_photo(void *context, const uint8_t hash[BLOB_HASH])
{
    struct counting *c = context;
    struct blob blob = {.whole = false};
    c->photo = false;
    enum err e = blob_names(c->h->store, hash, look_at_name, c);
    if (e == ERR_OK)
        e = blob_get(c->h->store, hash, &blob);
    c->status->photos_to_send += c->photo && !blob.at_branch;
    return e == ERR_NOT_FOUND ? 0 : (int)e;
}

/* What its record says where the size is not known otherwise. */
static int count_size(void *context, const uint8_t hash[BLOB_HASH])
{
    struct counting *c = context;
    struct blob blob = {.whole = false};
    c->size = 0;
    enum err e = blob_get(c->h->store, hash, &blob);
    if (e == ERR_NOT_FOUND || (e == ERR_OK && blob.size == 0))
        e = blob_names(c->h->store, hash, look_at_name, c);
    if (c->size > 0)
        c->status->attachment_bytes_to_fetch += (uint64_t)c->size;
    return (int)e;
}

enum err api_attachments_status(struct satchel *h, struct satchel_status *ret)
{
    struct blob_counts counts;
    struct counting c = {.h = h, .status = ret};
    if (shape_of(h, &c.shape) != ERR_OK) {
        h->error = (struct err_info){0};
        return ERR_OK; /* a model without attachments */
    }
    enum err e = replica_blob_counts_within(h->replica, &counts);
    if (e == ERR_OK)
        e = replica_blob_settings_within(h->replica, &ret->attachments_automatic,
                                         &ret->attachment_limit);
    if (e != ERR_OK)
        return e;
    ret->attachments_to_send = counts.to_send;
    ret->attachment_bytes_to_send = counts.bytes_to_send;
    ret->attachments_to_fetch = counts.to_fetch;
    ret->attachment_bytes_to_fetch = counts.bytes_to_fetch;
    ret->attachments_here = counts.here;
    ret->attachment_bytes_here = counts.bytes_here;
    ret->attachments_refused = counts.refused;
    ret->attachments_unnamed = counts.unnamed;
    e = blob_list_scan(h->store, BLOB_TO_OFFER, count_photo, &c);
    if (e == ERR_OK)
        e = blob_list_scan(h->store, BLOB_TO_FETCH, count_size, &c);
    return e;
}
