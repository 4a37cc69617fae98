/* cmd_handover.c - satchel handover: what one person looks after goes to another, in one transaction. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "text.h"

enum { RECORDS_MAX = 100000 }; /* of one transaction */

struct portfolio {
    const struct satchel_table *table;
    struct satchel_id *ids;
    size_t count, capacity;
};

struct handover {
    struct cli *cli;
    struct satchel_id from, to;
    struct satchel_value to_branch; /* NULL kind: the person has none */
    char branch_bytes[16];
    struct portfolio *list; /* per routed table */
    size_t tables, records;
};

static int keep(void *context, const struct satchel_record *record)
{
    struct portfolio *p = context;
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 256;
        p->ids = need(realloc(p->ids, p->capacity * sizeof *p->ids));
    }
    p->ids[p->count++] = record->id;
    return p->count > RECORDS_MAX;
}

/* Every record that `from` owns. Returns an exit code. */
static int gather(struct handover *h)
{
    const struct satchel_schema *schema = satchel_schema(h->cli->handle);
    const struct satchel_value owner = satchel_reference(&h->from);
    h->list = need(calloc((size_t)schema->table_count + 1, sizeof *h->list));
    for (uint16_t i = 0; i < schema->table_count; i++) {
        const struct satchel_table *table = &schema->tables[i];
        if (table->owner_column < 0)
            continue;
        struct portfolio *p = &h->list[h->tables++];
        p->table = table;
        const struct satchel_condition condition = {table->columns[table->owner_column].name,
                                                    SATCHEL_OP_EQ, NULL, &owner};
        const struct satchel_query query = {.conditions = &condition, .condition_count = 1};
        if (satchel_list(h->cli->handle, table->name, &query, keep, p) != SATCHEL_OK)
            return cli_failed(h->cli);
        h->records += p->count;
    }
    if (h->records > RECORDS_MAX)
        return cli_failf(h->cli, EXIT_REFUSED,
                         "more than %d records: an administrator has to hand these over in parts",
                         RECORDS_MAX);
    return EXIT_DONE;
}

/* The branch of a person, as the records that they get will name it. */
static int branch_of(struct handover *h)
{
    const struct satchel_table *users = satchel_table(h->cli->handle, "user");
    const struct satchel_column *branch = users ? satchel_column(users, "branch") : NULL;
    struct satchel_record *record;
    h->to_branch = satchel_null();
    if (!branch)
        return EXIT_DONE;
    if (satchel_get(h->cli->handle, "user", &h->to, 0, &record) != SATCHEL_OK)
        return cli_failed(h->cli);
    const struct satchel_value *value = &record->cells[branch->index].value;
    if (value->kind == SATCHEL_BLOB && value->as.bytes.size == sizeof h->branch_bytes) {
        memcpy(h->branch_bytes, value->as.bytes.data, sizeof h->branch_bytes);
        h->to_branch = satchel_blob(h->branch_bytes, sizeof h->branch_bytes);
    }
    satchel_record_free(record);
    return EXIT_DONE;
}

static void preview(const struct handover *h)
{
    for (size_t i = 0; i < h->tables; i++)
        if (h->list[i].count)
            cli_say(h->cli, "  %zu %s", h->list[i].count,
                    h->list[i].count == 1 ? h->list[i].table->label.text[SATCHEL_EN]
                                          : h->list[i].table->label_plural.text[SATCHEL_EN]);
    cli_say(h->cli, "with all that belongs to them");
}

/* All or nothing: one transaction, which headquarters decides as one. */
static int hand_over(struct handover *h)
{
    struct satchel *handle = h->cli->handle;
    if (satchel_begin(handle) != SATCHEL_OK)
        return cli_failed(h->cli);
    for (size_t t = 0; t < h->tables; t++) {
        const struct portfolio *p = &h->list[t];
        const uint16_t columns[2] = {p->table->columns[p->table->owner_column].id,
                                     p->table->columns[p->table->branch_column].id};
        const struct satchel_value values[2] = {satchel_reference(&h->to), h->to_branch};
        for (size_t i = 0; i < p->count; i++)
            if (satchel_update(handle, p->table->id, &p->ids[i], columns, values,
                               h->to_branch.kind == SATCHEL_NULL ? 1 : 2) != SATCHEL_OK) {
                int failed = cli_failed(h->cli);
                satchel_rollback(handle);
                return failed;
            }
    }
    return satchel_commit(handle, NULL) == SATCHEL_OK ? EXIT_DONE : cli_failed(h->cli);
}

static int tell(const struct handover *h, bool done)
{
    if (!h->cli->json) {
        cli_say(h->cli, done
                            ? "saved here; headquarters hands them over when this device has synced"
                            : "nothing was changed (--dry-run)");
        return EXIT_DONE;
    }
    json_t *counts = json_object();
    for (size_t i = 0; i < h->tables; i++)
        json_object_set_new(counts, h->list[i].table->name,
                            json_integer((json_int_t)h->list[i].count));
    cli_print_json(json_pack("{s:b, s:I, s:o}", "done", done, "records", (json_int_t)h->records,
                             "tables", counts));
    return EXIT_DONE;
}

static int decide(struct handover *h, bool yes, bool dry)
{
    int failed = gather(h);
    if (!failed)
        failed = branch_of(h);
    if (failed)
        return failed;
    if (h->records == 0)
        return cli_failf(h->cli, EXIT_NOT_FOUND, "there is nothing of theirs here");
    preview(h);
    if (dry)
        return tell(h, false);
    failed = cli_agree(h->cli, yes, "hand over?", "nothing was changed");
    if (!failed)
        failed = hand_over(h);
    return failed ? failed : tell(h, true);
}

static int run(struct cli *cli, int argc, char **argv)
{
    bool yes = false, dry = false;
    const struct option options[] = {{"yes", OPTION_FLAG, &yes}, {"dry-run", OPTION_FLAG, &dry}};
    struct handover h = {.cli = cli};
    int failed = args_parse(cli, &command_handover, options, 2, &argc, argv, 2, 2);
    if (!failed)
        failed = cli_open(cli, false);
    const struct satchel_table *users = failed ? NULL : cli_table(cli, "user");
    if (!users)
        return failed ? failed : EXIT_USAGE;
    failed = cli_resolve(cli, users, argv[0], &h.from);
    if (!failed)
        failed = cli_resolve(cli, users, argv[1], &h.to);
    if (!failed && memcmp(&h.from, &h.to, sizeof h.from) == 0)
        failed = cli_failf(cli, EXIT_USAGE, "that is the same person");
    if (!failed)
        failed = decide(&h, yes, dry);
    for (size_t i = 0; i < h.tables; i++)
        free(h.list[i].ids);
    free(h.list);
    return failed;
}

const struct command command_handover = {
    "handover", "FROM TO [--dry-run] [--yes]", "what one person looks after goes to another",
    "Counts what FROM owns (customers, deals, orders, tasks), asks, and gives it all to TO, and "
    "to\n"
    "TO's branch, in one transaction. People, visits and notes go with their customer. A person "
    "may\n"
    "hand over what is their own, a manager what they see. Who had it keeps nothing of it after "
    "the\n"
    "next sync; what they wrote before they heard of it still counts for 14 days.\n"
    "\n"
    "  --dry-run   only count\n"
    "  --yes       do not ask\n"
    "\n"
    "examples:\n"
    "  satchel handover anna boris --dry-run\n",
    run};
