/* cmd_attach.c - satchel attach: a photo, a signature, a document beside a record. */
#include <inttypes.h>
#include <stdio.h>

#include "args.h"

static int run(struct cli *cli, int argc, char **argv)
{
    struct satchel_attach what = {0};
    const char *taken = NULL;
    const struct option options[] = {{"kind", OPTION_TEXT, &what.kind},
                                     {"name", OPTION_TEXT, &what.name},
                                     {"type", OPTION_TEXT, &what.media_type},
                                     {"taken", OPTION_TEXT, &taken}};
    struct satchel_id record, id;
    struct satchel_attachment attachment;
    int failed = args_parse(cli, &command_attach, options, 4, &argc, argv, 3, 3);
    if (!failed)
        failed = cli_open(cli, false);
    const struct satchel_table *table = failed ? NULL : cli_table(cli, argv[0]);
    if (!table)
        return failed ? failed : EXIT_USAGE;
    failed = cli_resolve(cli, table, argv[1], &record);
    if (failed)
        return failed;
    if (taken) {
        struct satchel_value at;
        const struct satchel_table *attachments = satchel_table(cli->handle, "attachment");
        const struct satchel_column *column =
            attachments ? satchel_column(attachments, "taken_at") : NULL;
        if (column && satchel_parse_value(cli->handle, column, taken, &at) != SATCHEL_OK)
            return cli_failed(cli);
        if (column && at.kind == SATCHEL_INT)
            what.taken_at_ms = at.as.integer;
    }
    what.table = table->name;
    what.record = &record;
    what.file = argv[2];
    if (satchel_attach(cli->handle, &what, &id) != SATCHEL_OK ||
        satchel_attachment(cli->handle, &id, &attachment) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json) {
        cli_print_json(cli_json_attachment(&attachment));
    } else {
        char text[SATCHEL_ID_TEXT_SIZE], size[32];
        satchel_id_format(&id, text);
        cli_size(attachment.size, size);
        if (!cli->quiet)
            printf("%s  '%s', %s, %s: saved here; 'satchel sync' sends it\n", text, attachment.name,
                   attachment.kind, size);
    }
    return EXIT_DONE;
}

const struct command command_attach = {
    "attach", "TABLE ID|KEY FILE [options]",
    "put a photo, a signature or a document beside a record",
    "The file is copied into this device's replica, so it may be moved or deleted afterwards. The\n"
    "record is a customer, or one that belongs to a customer (a visit, an order, a deal ...); who\n"
    "sees the customer sees what is attached. Nothing is sent: 'satchel sync' does, records "
    "first.\n"
    "\n"
    "  --kind KIND   photo, signature, document or other (else by the file's name)\n"
    "  --name NAME   what people read (else the file's name)\n"
    "  --type TYPE   media type, such as image/jpeg (else by the file's name)\n"
    "  --taken WHEN  when it was taken, as 2026-11-22T10:15\n"
    "\n"
    "examples:\n"
    "  satchel attach party ALFKI shelf.jpg --kind photo\n"
    "  satchel attach visit 018f2a contract.pdf --name 'The signed contract'\n",
    run};
