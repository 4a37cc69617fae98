/* cmd_fetch.c - satchel fetch: an attachment's bytes onto this device, and into a file. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "term.h"
#include "text.h"

struct fetching {
    struct cli *cli;
    struct progress progress;
    uint64_t already;
};

static int on_event(void *context, struct satchel *handle, const struct satchel_sync_event *event)
{
    struct fetching *fetching = context;
    (void)handle;
    progress_step(&fetching->progress, fetching->already + event->attachment_bytes_received);
    return 0;
}

/* From the server, with the records that wait. */
static int bring(struct cli *cli, const struct satchel_attachment *attachment)
{
    struct fetching fetching = {.cli = cli, .already = attachment->here};
    struct satchel_id id = attachment->id;
    if (satchel_attachment_fetch(cli->handle, &id) != SATCHEL_OK)
        return cli_failed(cli);
    progress_begin(&fetching.progress, cli, "fetching", "bytes", attachment->size);
    enum satchel_code code = satchel_sync(cli->handle, on_event, &fetching);
    progress_end(&fetching.progress);
    if (code == SATCHEL_OK)
        return EXIT_DONE;
    const struct satchel_error *error = satchel_last_error(cli->handle);
    return cli_fail_exchange(cli, error->code, error->message);
}

struct output {
    FILE *file;
    bool failed;
};

static int write_piece(void *context, const void *data, size_t size)
{
    struct output *out = context;
    out->failed |= fwrite(data, 1, size, out->file) != size;
    return out->failed;
}

/* Into a file beside, which takes the name when it is whole. */
static int save(struct cli *cli, const struct satchel_id *id, const char *path)
{
    struct output out = {.file = stdout};
    struct text partial = {0};
    bool standard = strcmp(path, "-") == 0;
    text_addf(&partial, "%s.partial", path);
    char *name = text_take(&partial);
    if (!standard)
        out.file = fopen(name, "wb");
    int result = EXIT_DONE;
    if (!out.file) {
        result = cli_failf(cli, EXIT_STORAGE, "'%s': %s", name, strerror(errno));
    } else if (satchel_attachment_read(cli->handle, id, write_piece, &out) != SATCHEL_OK) {
        result = cli_failed(cli);
    }
    if (out.file && !standard && fclose(out.file) != 0)
        out.failed = true;
    if (result == EXIT_DONE && (out.failed || (!standard && rename(name, path) != 0)))
        result =
            cli_failf(cli, EXIT_STORAGE, "'%s' could not be written: %s", path, strerror(errno));
    if (result != EXIT_DONE && out.file && !standard)
        (void)unlink(name);
    free(name);
    return result;
}

static int find(struct cli *cli, const char *text, struct satchel_attachment *ret)
{
    const struct satchel_table *table = cli_table(cli, "attachment");
    struct satchel_id id;
    if (!table)
        return EXIT_USAGE;
    if (satchel_id_parse(text, &id) != SATCHEL_OK) {
        int failed = cli_resolve(cli, table, text, &id);
        if (failed)
            return failed;
    }
    return satchel_attachment(cli->handle, &id, ret) == SATCHEL_OK ? EXIT_DONE : cli_failed(cli);
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *output = NULL;
    const struct option options[] = {{"output", OPTION_TEXT, &output}};
    struct satchel_attachment a;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = "--output";
    int failed = args_parse(cli, &command_fetch, options, 1, &argc, argv, 1, 1);
    if (!failed)
        failed = cli_open(cli, false);
    if (!failed)
        failed = find(cli, argv[0], &a);
    if (!failed && a.place == SATCHEL_ATTACHMENT_ON_SERVER) {
        const struct satchel_id id = a.id;
        failed = bring(cli, &a);
        if (!failed && satchel_attachment(cli->handle, &id, &a) != SATCHEL_OK)
            failed = cli_failed(cli);
    }
    if (failed)
        return failed;
    if (a.place == SATCHEL_ATTACHMENT_ON_SERVER)
        return cli_failf(cli, EXIT_NOT_FOUND,
                         "the server does not have the bytes of '%s' yet: who attached it has to "
                         "sync; it comes with the first exchange after that",
                         a.name);
    const struct satchel_id id = a.id;
    if (cli->json)
        cli_print_json(cli_json_attachment(&a));
    else if (!output)
        cli_say(cli, "'%s' is on this device", a.name);
    return output ? save(cli, &id, output) : EXIT_DONE;
}

const struct command command_fetch = {"fetch", "ID|NAME [-o FILE]",
                                      "bring an attachment onto this device, and into a file",
                                      "What is on the server only is fetched in one exchange; what "
                                      "is cut off goes on from there the\n"
                                      "next time. What is on this device needs no network.\n"
                                      "\n"
                                      "  -o, --output FILE   write it there (-: to stdout)\n"
                                      "\n"
                                      "examples:\n"
                                      "  satchel fetch 018f2a6c -o shelf.jpg\n"
                                      "  satchel fetch shelf.jpg -o - | feh -\n",
                                      run};
