/* satcheld devices - which devices there are, and their state. */
#include <stdio.h>
#include <string.h>

#include "server/main/ask.h"
#include "server/main/command.h"
#include "server/main/table.h"

int command_devices(int argc, char **argv)
{
    static const char *const headings[] = {"Device", "User", "State", "Enrolled (UTC)", "Id"};
    struct common_options common = {0};
    const struct option options[] = {OPTIONS_COMMON(&common)};
    const struct usage usage = {"satcheld devices",
                                "",
                                "Lists the devices that have enrolled.",
                                NULL,
                                options,
                                sizeof options / sizeof *options,
                                0,
                                0};
    int code = options_parse(&usage, argc, argv, NULL);
    json_t *answer = NULL, *device;
    size_t i;
    if (code != OPTIONS_GO_ON)
        return code;
    code = ask_once(&common, ask_for("devices"), false, &answer);
    if (code != EXIT_DONE)
        return code;
    if (common.json) {
        print_json(answer);
        json_decref(answer);
        return EXIT_DONE;
    }
    struct table table;
    table_init(&table, 5, headings);
    json_array_foreach(json_object_get(answer, "devices"), i, device)
    {
        char when[WHEN_SIZE];
        bool revoked = json_is_true(json_object_get(device, "revoked"));
        bool connected = json_is_true(json_object_get(device, "connected"));
        table_cell(&table, json_string_value(json_object_get(device, "name")));
        table_cell(&table, json_string_value(json_object_get(device, "login")));
        table_cell(&table, revoked ? "revoked" : connected ? "connected" : "away");
        table_cell(&table,
                   when_text(json_integer_value(json_object_get(device, "enrolled_ms")), when));
        table_cell(&table, json_string_value(json_object_get(device, "id")));
    }
    table_print(&table, "No device has enrolled yet: satcheld enroll LOGIN");
    json_decref(answer);
    return EXIT_DONE;
}
