/* cmd_status.c - satchel status: what is saved where. */
#include <inttypes.h>
#include <stdio.h>

#include "args.h"

static void print_attachments(const struct satchel_status *s)
{
    char size[32];
    uint64_t n = s->attachments_to_send;
    bool photos = n == s->photos_to_send;
    if (n > 0) {
        cli_size(s->attachment_bytes_to_send, size);
        printf("Attachments        %" PRIu64 " %s, %s to send\n", n,
               photos ? (n == 1 ? "photo" : "photos") : (n == 1 ? "attachment" : "attachments"),
               size);
    }
    if (s->attachments_refused > 0)
        printf("Too large          %" PRIu64 " of them for headquarters  (satchel attachments)\n",
               s->attachments_refused);
    if (s->attachments_to_fetch > 0) {
        cli_size(s->attachment_bytes_to_fetch, size);
        printf("On the server      %" PRIu64 " attachments, %s  (satchel fetch)\n",
               s->attachments_to_fetch, size);
    }
    if (s->attachments_here > 0) {
        cli_size(s->attachment_bytes_here, size);
        printf("Attachments here   %" PRIu64 ", %s\n", s->attachments_here, size);
    }
    if (s->attachments_unnamed > 0)
        printf("Kept               %" PRIu64
               " attachments that no record names, and headquarters does not have\n",
               s->attachments_unnamed);
}

static void print_part(const char *label, uint64_t bytes)
{
    char size[32];
    cli_size(bytes, size);
    printf("%s %s", label, size);
}

/* sizes: NULL: not asked for. */
static void print_sizes(const struct satchel_status *s, const struct satchel_sizes *sizes)
{
    print_part("On the disk       ", s->file_bytes + s->wal_bytes);
    if (sizes) {
        print_part(": records", sizes->records_bytes);
        if (sizes->conflicts_bytes > 0)
            print_part(", conflicts", sizes->conflicts_bytes);
        print_part(", own changes", sizes->own_groups_bytes);
        printf(" (%" PRIu64 " wait, %" PRIu64 " kept)", s->saved_here + s->at_branch + s->at_server,
               s->sent_log);
        if (sizes->deleted > 0) {
            printf(", %" PRIu64, sizes->deleted);
            print_part(" deleted records", sizes->deleted_bytes);
        }
    }
    print_part(sizes ? ", free" : ": free", s->free_bytes);
    print_part(", write-ahead log", s->wal_bytes);
    puts(sizes ? "" : "  (satchel status --sizes tells more)");
}

static void print(struct cli *cli, const struct satchel_status *s,
                  const struct satchel_sizes *sizes)
{
    char at[32];
    cli_time(s->last_exchange_ms, at);
    if (s->saved_here > 0)
        printf("%sAll is saved on this device; %" PRIu64 " %s to be sent.%s\n",
               cli_style(cli, STYLE_YELLOW), s->saved_here,
               s->saved_here == 1 ? "change waits" : "changes wait", cli_plain(cli));
    else
        printf("%sAll is saved on this device, nothing waits to be sent.%s\n",
               cli_style(cli, STYLE_GREEN), cli_plain(cli));
    printf("Last exchange      %s\n", at[0] ? at : "never");
    printf("Records received   %" PRIu64 "\n", s->records);
    if (s->at_branch > 0)
        printf("At the branch      %" PRIu64 ", not known to be at headquarters\n", s->at_branch);
    if (s->at_server > 0)
        printf("At headquarters    %" PRIu64 " on their way back\n", s->at_server);
    if (s->colleagues > 0)
        printf("Of colleagues      %" PRIu64 " shown that headquarters does not have yet\n",
               s->colleagues);
    print_attachments(s);
    if (s->conflicts_open > 0)
        printf("To decide          %" PRIu64 "  (satchel conflicts)\n", s->conflicts_open);
    if (s->conflicts_automatic > 0)
        printf("Merged for you     %" PRIu64 "  (satchel conflicts)\n", s->conflicts_automatic);
    if (s->parked + s->attention > 0)
        printf("Needs attention    %" PRIu64 "  (satchel attention)\n", s->parked + s->attention);
    if (s->server_model == SATCHEL_MODEL_EARLIER)
        printf("Model              version %" PRIu32 "; the server has an earlier one (%" PRIu32
               "): what uses what is new waits there\n",
               s->model_version, s->server_model_version);
    if (s->server_model == SATCHEL_MODEL_STRANGE)
        printf("Model              version %" PRIu32 "; %s\n", s->model_version,
               s->server_model_why);
    if (s->enrolled)
        printf("Server             %s (%s), as %s on '%s'\n", s->server,
               s->server_is_branch ? "a branch's" : "headquarters", s->login, s->device_name);
    else
        printf("Server             none: 'satchel enroll TICKET'\n");
    printf("Directory          %s\n", s->directory);
    print_sizes(s, sizes);
    if (s->clock_offset_ms > 60000 || s->clock_offset_ms < -60000)
        printf("This device's clock differs from the server's by %" PRId64 " s\n",
               s->clock_offset_ms / 1000);
}

static json_t *sizes_json(const struct satchel_status *s, const struct satchel_sizes *sizes)
{
    json_t *json =
        json_pack("{s:I, s:I, s:I}", "file_bytes", (json_int_t)s->file_bytes, "free_bytes",
                  (json_int_t)s->free_bytes, "wal_bytes", (json_int_t)s->wal_bytes);
    json_t *areas =
        sizes ? json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "records_bytes",
                          (json_int_t)sizes->records_bytes, "conflicts_bytes",
                          (json_int_t)sizes->conflicts_bytes, "deleted", (json_int_t)sizes->deleted,
                          "deleted_bytes", (json_int_t)sizes->deleted_bytes, "own_groups_bytes",
                          (json_int_t)sizes->own_groups_bytes, "pending_bytes",
                          (json_int_t)sizes->pending_bytes, "parked_bytes",
                          (json_int_t)sizes->parked_bytes)
              : json_object();
    if (!json || !areas || json_object_update(json, areas))
        cli_out_of_memory();
    json_decref(areas);
    return json;
}

static int run(struct cli *cli, int argc, char **argv)
{
    static const char *const models[] = {"same", "earlier", "strange"};
    struct satchel_status s;
    struct satchel_sizes measured, *sizes = NULL;
    bool measure = false;
    const struct option options[] = {{"sizes", OPTION_FLAG, &measure}};
    int failed = args_parse(cli, &command_status, options, 1, &argc, argv, 0, 0);
    if (!failed)
        failed = cli_open(cli, true);
    if (failed)
        return failed;
    if (satchel_status(cli->handle, &s) != SATCHEL_OK)
        return cli_failed(cli);
    if (measure) {
        sizes = &measured;
        if (satchel_sizes(cli->handle, sizes) != SATCHEL_OK)
            return cli_failed(cli);
    }
    if (!cli->json) {
        print(cli, &s, sizes);
        return EXIT_DONE;
    }
    json_t *json = json_pack(
        "{s:s, s:b, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "directory",
        s.directory, "enrolled", s.enrolled, "server", s.server, "login", s.login, "device",
        s.device_name, "device_id", cli_json_id(&s.device), "written", (json_int_t)s.written,
        "saved_here", (json_int_t)s.saved_here, "at_server", (json_int_t)s.at_server, "decided",
        (json_int_t)s.decided, "sent_log", (json_int_t)s.sent_log, "parked", (json_int_t)s.parked,
        "attention", (json_int_t)s.attention, "records", (json_int_t)s.records);
    if (!json)
        cli_out_of_memory();
    json_object_set_new(json, "server_is_branch", json_boolean(s.server_is_branch));
    json_object_set_new(json, "at_branch", json_integer((json_int_t)s.at_branch));
    json_object_set_new(json, "colleagues", json_integer((json_int_t)s.colleagues));
    json_object_set_new(
        json, "attachments",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "to_send",
                  (json_int_t)s.attachments_to_send, "photos_to_send", (json_int_t)s.photos_to_send,
                  "bytes_to_send", (json_int_t)s.attachment_bytes_to_send, "to_fetch",
                  (json_int_t)s.attachments_to_fetch, "bytes_to_fetch",
                  (json_int_t)s.attachment_bytes_to_fetch, "here", (json_int_t)s.attachments_here,
                  "bytes_here", (json_int_t)s.attachment_bytes_here, "refused",
                  (json_int_t)s.attachments_refused, "unnamed", (json_int_t)s.attachments_unnamed,
                  "limit", (json_int_t)s.attachment_limit));
    json_object_set_new(json, "conflicts_open", json_integer((json_int_t)s.conflicts_open));
    json_object_set_new(json, "conflicts_automatic",
                        json_integer((json_int_t)s.conflicts_automatic));
    json_object_set_new(json, "bootstrapped", json_boolean(s.bootstrapped));
    json_object_set_new(json, "last_checkpoint", cli_json_time(s.last_checkpoint_ms));
    json_object_set_new(json, "last_exchange", cli_json_time(s.last_exchange_ms));
    json_object_set_new(json, "clock_offset_ms", json_integer(s.clock_offset_ms));
    json_object_set_new(json, "model_version", json_integer(s.model_version));
    json_object_set_new(json, "server_model", json_string(models[s.server_model]));
    json_object_set_new(json, "server_model_why", json_string(s.server_model_why));
    json_object_set_new(json, "database", sizes_json(&s, sizes));
    cli_print_json(json);
    return EXIT_DONE;
}

const struct command command_status = {"status", "[--sizes]", "what is saved where, and what waits",
                                       "Needs no network: it says what this device knows.\n"
                                       "--sizes   what takes how much of the file, which is read\n"
                                       "\n"
                                       "examples:\n"
                                       "  satchel status\n"
                                       "  satchel status --json\n",
                                       run};
