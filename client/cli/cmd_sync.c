/* cmd_sync.c - satchel sync: one exchange with headquarters, or a live one until it is ended. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "term.h"

struct sync {
    struct cli *cli;
    struct progress progress, carrying; /* of records; of attachments, bytes */
    struct satchel_sync_event last;     /* the counts of the last event that had some */
    bool live, revoked, ended;
    enum satchel_code code;
    char message[512];
};

/* Things, as the replica counts them: before and after say what a sync has changed. */
struct figures {
    uint64_t conflicts, merged, parked, waiting, records;
};

static int end_fd = -1; /* written by the signal handler, to wake the loop */

static void on_signal(int signal_number)
{
    (void)signal_number;
    if (end_fd >= 0 && write(end_fd, "x", 1) < 0)
        _exit(EXIT_NETWORK);
}

static struct figures figures_of(struct cli *cli)
{
    struct satchel_status status;
    struct figures figures = {0};
    if (satchel_status(cli->handle, &status) == SATCHEL_OK)
        figures = (struct figures){.conflicts = status.conflicts_open,
                                   .merged = status.conflicts_automatic,
                                   .parked = status.parked,
                                   .waiting = status.saved_here,
                                   .records = status.records};
    return figures;
}

static const char *plural(uint64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

static void tell_live(struct sync *sync, const struct satchel_sync_event *event)
{
    static const char *const names[] = {"connected", "progress", "checkpoint", "caught_up",
                                        "results",   "closed",   "retry",      "revoked",
                                        "pending",   "model"};
    struct cli *cli = sync->cli;
    if (cli->json) {
        json_t *line = json_pack("{s:s, s:I, s:I, s:I, s:s}", "event", names[event->kind], "pushed",
                                 (json_int_t)event->pushed, "pulled", (json_int_t)event->pulled,
                                 "checkpoints", (json_int_t)event->checkpoints, "message",
                                 event->message ? event->message : "");
        if (line && event->kind != SATCHEL_SYNC_PROGRESS) {
            json_dumpf(line, stdout, JSON_COMPACT);
            putchar('\n');
            fflush(stdout);
        }
        json_decref(line);
        return;
    }
    if (event->kind == SATCHEL_SYNC_CONNECTED)
        cli_say(cli, "connected");
    else if (event->kind == SATCHEL_SYNC_CAUGHT_UP)
        cli_say(cli, "up to date; changes come as they are made (Ctrl-C ends)");
    else if (event->kind == SATCHEL_SYNC_MODEL)
        cli_say(cli, "%s: there may be new columns and tables (satchel tables)", event->message);
    else if (event->kind == SATCHEL_SYNC_RETRY)
        cli_say(cli, "%s; tries again in %d s", event->message, (int)(event->retry_ms / 1000) + 1);
    else if (event->kind == SATCHEL_SYNC_RESULTS && figures_of(cli).parked > 0)
        cli_say(cli, "something needs your attention: satchel attention");
}

static int on_event(void *context, struct satchel *handle, const struct satchel_sync_event *event)
{
    struct sync *sync = context;
    (void)handle;
    uint64_t carried = event->attachment_bytes_sent + event->attachment_bytes_received;
    if (event->pushed || event->pulled || event->push_total || event->checkpoints || carried)
        sync->last = *event;
    if (carried > 0) {
        progress_end(&sync->progress);
        progress_step(&sync->carrying, carried);
    } else {
        progress_step(&sync->progress, event->pushed + event->pulled);
    }
    if (event->pull_total > 0)
        sync->progress.total = event->push_total + event->pull_total;
    if (event->kind == SATCHEL_SYNC_REVOKED)
        sync->revoked = true;
    if (event->kind == SATCHEL_SYNC_CLOSED || event->kind == SATCHEL_SYNC_REVOKED) {
        sync->ended = true;
        sync->code = event->code;
        snprintf(sync->message, sizeof sync->message, "%s", event->message ? event->message : "");
    }
    if (sync->live) {
        progress_end(&sync->progress);
        progress_end(&sync->carrying);
        tell_live(sync, event);
    }
    return 0;
}

static int run_live(struct sync *sync)
{
    struct cli *cli = sync->cli;
    struct satchel_error error;
    struct satchel_loop *loop;
    int pipe_fds[2];
    if (pipe(pipe_fds) != 0)
        return cli_failf(cli, EXIT_STORAGE, "no pipe could be made");
    enum satchel_code code = satchel_loop_new(NULL, &loop, &error);
    if (code != SATCHEL_OK)
        return cli_fail(cli, code, error.message);
    end_fd = pipe_fds[1];
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    code = satchel_connect(cli->handle, loop, SATCHEL_LIVE, on_event, sync);
    enum satchel_woken woken = SATCHEL_WOKEN_BY_EVENT;
    while (code == SATCHEL_OK && !sync->ended && woken != SATCHEL_WOKEN_BY_FD)
        code = satchel_loop_run(loop, pipe_fds[0], -1, &woken);
    int result = EXIT_DONE;
    if (code != SATCHEL_OK)
        result = cli_failed(cli);
    else if (sync->ended && sync->code != SATCHEL_OK)
        result = cli_fail_exchange(cli, sync->code, sync->message);
    satchel_disconnect(cli->handle);
    satchel_loop_free(loop);
    end_fd = -1;
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return result;
}

static void print_attachments(const struct sync *sync)
{
    const struct satchel_sync_event *last = &sync->last;
    struct satchel_status status;
    char sent[32], received[32], left[32];
    cli_size(last->attachment_bytes_sent, sent);
    cli_size(last->attachment_bytes_received, received);
    if (last->attachment_bytes_sent + last->attachment_bytes_received > 0)
        printf("attachments: sent %" PRIu64 " (%s), received %" PRIu64 " (%s)\n",
               last->attachments_sent, sent, last->attachments_received, received);
    if (satchel_status(sync->cli->handle, &status) != SATCHEL_OK)
        return;
    cli_size(status.attachment_bytes_to_send, left);
    if (status.attachments_to_send > 0)
        printf("%" PRIu64 " %s, %s still to send\n", status.attachments_to_send,
               plural(status.attachments_to_send, "attachment", "attachments"), left);
    if (status.attachments_refused > 0) {
        cli_size(status.attachment_limit, left);
        printf("%" PRIu64 " of them: larger than the %s that headquarters takes\n",
               status.attachments_refused, left);
    }
}

static json_t *json_attachments(const struct sync *sync)
{
    const struct satchel_sync_event *last = &sync->last;
    return json_pack("{s:I, s:I, s:I, s:I}", "sent", (json_int_t)last->attachments_sent,
                     "sent_bytes", (json_int_t)last->attachment_bytes_sent, "received",
                     (json_int_t)last->attachments_received, "received_bytes",
                     (json_int_t)last->attachment_bytes_received);
}

static int report(struct sync *sync, const struct figures *before)
{
    struct cli *cli = sync->cli;
    struct figures now = figures_of(cli);
    uint64_t merged = now.merged > before->merged ? now.merged - before->merged : 0;
    if (cli->json) {
        cli_print_json(
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "pushed",
                      (json_int_t)sync->last.pushed, "pulled", (json_int_t)sync->last.pulled,
                      "merged", (json_int_t)merged, "conflicts", (json_int_t)now.conflicts,
                      "attention", (json_int_t)now.parked, "waiting", (json_int_t)now.waiting,
                      "records", (json_int_t)now.records, "sent_bytes",
                      (json_int_t)sync->last.pushed_bytes, "received_bytes",
                      (json_int_t)sync->last.pulled_bytes, "attachments", json_attachments(sync)));
    } else if (!cli->quiet) {
        printf("sent %" PRIu64 " %s, received %" PRIu64 " %s", sync->last.pushed,
               plural(sync->last.pushed, "change", "changes"), sync->last.pulled,
               plural(sync->last.pulled, "record", "records"));
        if (merged > 0)
            printf(", merged %" PRIu64 " for you", merged);
        printf("; %" PRIu64 " waiting\n", now.waiting);
        print_attachments(sync);
        if (now.conflicts > 0)
            printf("%" PRIu64 " %s to decide: satchel conflicts\n", now.conflicts,
                   plural(now.conflicts, "conflict", "conflicts"));
        if (now.parked > 0)
            printf("%" PRIu64 " %s your attention: satchel attention\n", now.parked,
                   plural(now.parked, "change needs", "changes need"));
    }
    return now.parked > before->parked ? EXIT_REFUSED : EXIT_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct sync sync = {.cli = cli};
    bool records_only = false;
    const struct option options[] = {{"live", OPTION_FLAG, &sync.live},
                                     {"no-attachments", OPTION_FLAG, &records_only}};
    int failed = args_parse(cli, &command_sync, options, 2, &argc, argv, 0, 0);
    if (!failed)
        failed = cli_open(cli, false);
    if (failed)
        return failed;
    struct satchel_status status;
    if (satchel_status(cli->handle, &status) == SATCHEL_OK && !status.enrolled)
        return cli_failf(cli, EXIT_AUTH, "%s is not enrolled: 'satchel enroll TICKET' first",
                         cli->directory);
    struct figures before = figures_of(cli);
    satchel_carry_attachments(cli->handle, !records_only);
    progress_begin(&sync.progress, cli, "exchanging", "things", 0);
    progress_begin(&sync.carrying, cli, "attachments", "bytes", status.attachment_bytes_to_send);
    if (sync.live) {
        int result = run_live(&sync);
        progress_end(&sync.progress);
        return result;
    }
    enum satchel_code code = satchel_sync(cli->handle, on_event, &sync);
    progress_end(&sync.progress);
    progress_end(&sync.carrying);
    if (sync.revoked)
        return cli_fail(cli, SATCHEL_E_REVOKED,
                        "this device has been revoked, and its data are erased");
    if (code == SATCHEL_OK)
        return report(&sync, &before);
    const struct satchel_error *error = satchel_last_error(cli->handle);
    return cli_fail_exchange(cli, error->code, error->message);
}

const struct command command_sync = {
    "sync", "[--live] [--no-attachments]", "exchange changes with headquarters",
    "Sends what was written here, and brings what others wrote. What is cut off goes on from "
    "there\n"
    "the next time; nothing is sent or shown twice.\n"
    "\n"
    "Records come first, then attachments that wait here and small ones that are new to this "
    "device\n"
    "(see 'satchel attachments --automatic').\n"
    "\n"
    "  --live             stay connected until Ctrl-C; with --json an event per line\n"
    "  --no-attachments   records alone\n"
    "\n"
    "examples:\n"
    "  satchel sync\n"
    "  satchel sync --live\n",
    run};
