/* satcheld revoke - a device that was lost or whose user has left. */
#include <stdio.h>
#include <string.h>

#include "server/main/ask.h"
#include "server/main/command.h"

enum { PREFIX_MIN = 4 };

/* By id, by the beginning of one, or by name, if only one device answers to it. */
static enum err find_device(const json_t *devices, const char *text, const char **ret_id,
                            struct err_info *info)
{
    const json_t *device;
    const char *found = NULL;
    size_t i, count = 0, size = strlen(text);
    json_array_foreach(devices, i, device)
    {
        const char *id = json_string_value(json_object_get(device, "id"));
        const char *name = json_string_value(json_object_get(device, "name"));
        bool exact = id && strcmp(id, text) == 0;
        bool prefix = id && size >= PREFIX_MIN && strncmp(id, text, size) == 0;
        bool named = name && strcmp(name, text) == 0;
        if (exact || prefix || named) {
            found = id;
            count = exact ? 1 : count + 1;
        }
        if (exact)
            break;
    }
    if (count == 0)
        return err_set(info, ERR_NOT_FOUND,
                       "there is no device '%s'; 'satcheld devices' lists them with their ids",
                       text);
    if (count > 1)
        return err_set(info, ERR_INVALID, "%zu devices answer to '%s'; give the whole id", count,
                       text);
    *ret_id = found;
    return ERR_OK;
}

static enum err revoke(struct house *house, const char *text, json_t **ret_answer,
                       struct err_info *info)
{
    json_t *list = NULL, *request;
    const char *id = NULL;
    enum err e = ask(house, ask_for("devices"), false, &list, NULL, info);
    if (e == ERR_OK)
        e = find_device(json_object_get(list, "devices"), text, &id, info);
    if (e == ERR_OK) {
        request = ask_for("revoke");
        ask_with(request, "device", id);
        e = ask(house, request, true, ret_answer, NULL, info);
    }
    if (e == ERR_OK)
        json_object_set_new(*ret_answer, "device", json_string(id));
    json_decref(list);
    return e;
}

int command_revoke(int argc, char **argv)
{
    struct common_options common = {0};
    const char *device;
    const struct option options[] = {OPTIONS_COMMON(&common)};
    const struct usage usage = {
        "satcheld revoke",
        "DEVICE",
        "Refuses a device from now on: a live session is closed at once, and the device erases\n"
        "its copy when it connects. DEVICE is its id, the beginning of it, or its name.",
        "  satcheld revoke 0199a1c2",
        options,
        sizeof options / sizeof *options,
        1,
        1};
    int code = options_parse(&usage, argc, argv, &device);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house;
    struct err_info info = {0};
    json_t *answer = NULL;
    enum err e = house_init(&house, data_of(&common), &info);
    if (e == ERR_OK)
        e = revoke(&house, device, &answer, &info);
    house_close(&house);
    if (e == ERR_OK && common.json)
        print_json(answer);
    else if (e == ERR_OK)
        printf("Device %s is revoked.\n", json_string_value(json_object_get(answer, "device")));
    json_decref(answer);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&common, e, &info);
}
