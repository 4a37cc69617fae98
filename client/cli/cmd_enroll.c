/* cmd_enroll.c - satchel enroll: makes this device known to headquarters. */
#include <stdio.h>

#include "args.h"

static int run(struct cli *cli, int argc, char **argv)
{
    const char *name = NULL;
    const struct option options[] = {{"name", OPTION_TEXT, &name}};
    struct satchel_error error;
    struct satchel_ticket ticket;
    int failed = args_parse(cli, &command_enroll, options, 1, &argc, argv, 1, 1);
    if (failed)
        return failed;
    enum satchel_code code = satchel_ticket_parse(argv[0], &ticket, &error);
    if (code != SATCHEL_OK)
        return cli_fail(cli, code, error.message);
    struct satchel_enrollment enrollment = {
        .directory = cli->directory, .ticket = argv[0], .device_name = name};
    code = satchel_enroll(&enrollment, &error);
    if (code == SATCHEL_E_EXISTS)
        return cli_failf(cli, EXIT_REFUSED, "%s; another --dir can be enrolled beside it",
                         error.message);
    if (code != SATCHEL_OK)
        return cli_fail(cli, code, error.message);
    struct satchel_status status;
    failed = cli_open(cli, false);
    if (failed)
        return failed;
    if (satchel_status(cli->handle, &status) != SATCHEL_OK)
        return cli_failed(cli);
    if (cli->json) {
        cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:o}", "directory", cli->directory, "server",
                                 status.server, "login", status.login, "device", status.device_name,
                                 "device_id", cli_json_id(&status.device)));
        return EXIT_DONE;
    }
    printf("enrolled at %s as %s, this device is '%s', its data are in %s\n", status.server,
           status.login, status.device_name, cli->directory);
    cli_say(cli, "'satchel sync' brings the customers here");
    return EXIT_DONE;
}

const struct command command_enroll = {
    "enroll", "TICKET [--name NAME]", "make this device known to headquarters",
    "The ticket comes from headquarters (satcheld enroll LOGIN) and works once. The device makes\n"
    "its own key; the server's certificate is pinned.\n"
    "\n"
    "  --name NAME   what people call this device (the host's name)\n"
    "\n"
    "examples:\n"
    "  satchel enroll 'satchel://hq.example.com:7443/7KQ2-...?pin=...' --name 'Anna, laptop'\n"
    "  satchel --dir /data/anna enroll \"$TICKET\"\n",
    run};
