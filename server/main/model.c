/* satcheld model - shows the data model, says what a file would change, and changes it. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/model_change.h"
#include "server/main/ask.h"
#include "server/main/command.h"
#include "server/main/house.h"

struct model_options {
    struct common_options common;
    bool dry_run;
};

/* ---- show ---- */

static void print_table(const struct model_table *table)
{
    printf("\n%s (%u)  %s\n", table->name, (unsigned)table->id, table->label.text[0]);
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct model_column *column = &table->columns[i];
        const struct model_unit *unit = &table->units[column->unit_index];
        printf("  %5u  %-24s %-10s %-9s %s\n", (unsigned)column->id, column->name,
               column_type_name(column->type), merge_policy_name(unit->policy),
               column->label.text[0]);
    }
}

static int show(struct house *house, const struct model_options *with)
{
    const struct model *model = house->model;
    if (with->common.json) {
        json_t *whole = json_loadb((const char *)model->text.data, model->text.size, 0, NULL);
        print_json(whole);
        json_decref(whole);
        return EXIT_DONE;
    }
    printf("Model '%s', version %u. Columns: id, name, type, merge policy, label.\n", model->name,
           (unsigned)model->version);
    for (uint16_t i = 0; i < model->table_count; i++)
        if (!model->tables[i].system)
            print_table(&model->tables[i]);
    return EXIT_DONE;
}

/* ---- check, extend ---- */

static void print_changes(const json_t *answer)
{
    const json_t *changes = json_object_get(answer, "changes");
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        printf("  %s %s\n", json_is_true(json_object_get(change, "allowed")) ? "+" : "!",
               json_string_value(json_object_get(change, "text")));
    }
}

static void print_change(void *context, bool allowed, const char *text)
{
    json_array_append_new(context, json_pack("{s:b,s:s}", "allowed", allowed, "text", text));
}

/* Without a server, and without asking one: what the file would change. */
static int check(struct house *house, const struct model_options *with, const char *file)
{
    struct err_info info = {0};
    struct model *later = NULL, *given = NULL;
    struct buf text;
    json_t *changes = json_array();
    buf_init(&text, MODEL_FILE_MAX);
    enum err e = os_file_read(file, &text, &info);
    if (e == ERR_OK)
        e = model_extend(house->model, buf_view(&text), &later, &info);
    if (e == ERR_OK)
        (void)model_changes(house->model, later, print_change, changes, NULL);
    else if (e == ERR_MODEL && model_parse(buf_view(&text), &given, NULL) == ERR_OK)
        (void)model_changes(house->model, given, print_change, changes, NULL);
    json_t *answer = json_pack("{s:b,s:o}", "ok", e == ERR_OK, "changes", changes);
    if (later)
        json_object_set_new(answer, "version", json_integer((json_int_t)later->version));
    if (e != ERR_OK)
        json_object_set_new(answer, "message", json_string(info.message));
    if (with->common.json) {
        print_json(answer);
    } else {
        print_changes(answer);
        if (e == ERR_OK)
            printf("It can be taken over: satcheld model extend %s --data %s\n", file, house->dir);
    }
    json_decref(answer);
    model_free(later);
    model_free(given);
    buf_done(&text);
    if (e != ERR_OK && with->common.json)
        return EXIT_REFUSED;
    return e == ERR_OK ? EXIT_DONE : tell_failure(&with->common, e, &info);
}

/* With the server stopped the store is brought to the model at once, so that it is known to have worked. */
static enum err bring(struct house *house, struct err_info *info)
{
    enum err e = house_open(house, HOUSE_SERVE, NULL, info);
    house_leave(house);
    return e;
}

/* A running server has another working directory. */
static void absolute(const char *file, char out[OS_PATH_MAX])
{
    char here[OS_PATH_MAX / 2];
    if (file[0] == '/' || !getcwd(here, sizeof here))
        snprintf(out, OS_PATH_MAX, "%s", file);
    else
        snprintf(out, OS_PATH_MAX, "%s/%s", here, file);
}

/* A running server opens its store anew, after it has told its devices: within some seconds. */
static enum err await(struct house *house, uint32_t version, struct err_info *info)
{
    enum { TRIES = 200, STEP_MS = 50 };
    for (int i = 0; i < TRIES; i++) {
        enum err e = house_open(house, HOUSE_LOOK, NULL, NULL);
        bool there = e == ERR_OK && house->model->version >= version;
        house_leave(house);
        if (there)
            return ERR_OK;
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
    return err_set(
        info, ERR_TIMEOUT,
        "the model was changed, but the running server has not taken it over yet; see its log");
}

static int extend(struct house *house, const struct model_options *with, const char *file)
{
    struct err_info info = {0};
    json_t *answer = NULL, *request = ask_for("model-extend");
    char path[OS_PATH_MAX];
    bool running = false;
    absolute(file, path);
    ask_with(request, "file", path);
    json_object_set_new(request, "dry_run", json_boolean(with->dry_run));
    enum err e = ask(house, request, !with->dry_run, &answer, &running, &info);
    if (e == ERR_OK && !with->dry_run && !running)
        e = bring(house, &info);
    if (e == ERR_OK && !with->dry_run && running)
        e = await(house, (uint32_t)json_integer_value(json_object_get(answer, "version")), &info);
    if (e == ERR_OK && with->common.json) {
        print_json(answer);
    } else if (e == ERR_OK) {
        print_changes(answer);
        printf("%s version %lld of the model%s\n", with->dry_run ? "This would be" : "This is",
               (long long)json_integer_value(json_object_get(answer, "version")),
               with->dry_run ? "; nothing was changed."
                             : ". Branches and devices learn it when they connect.");
    }
    json_decref(answer);
    return e == ERR_OK ? EXIT_DONE : tell_failure(&with->common, e, &info);
}

/* The model as it is now, beside a running server. */
static enum err look(struct house *house, const struct model_options *with, struct err_info *info)
{
    enum err e = house_init(house, data_of(&with->common), info);
    if (e == ERR_OK)
        e = house_open(house, HOUSE_LOOK, NULL, info);
    return e;
}

int command_model(int argc, char **argv)
{
    struct model_options with = {0};
    const char *words[2] = {NULL, NULL};
    const struct option options[] = {
        OPTIONS_COMMON(&with.common),
        {"dry-run", OPTION_FLAG, &with.dry_run, NULL, "only says what would change", 0, 0},
    };
    const struct usage usage = {
        "satcheld model",
        "show|check|extend [FILE]",
        "The data model: its tables, columns and merge policies. FILE is a whole model file, or "
        "an\n"
        "extension file, which lists only what is added:\n"
        "  {\"extends\": \"crm\", \"tables\": [{\"name\": \"party\", \"columns\": [\n"
        "    {\"name\": \"shoe_size\", \"type\": \"integer\", \"label\": {\"en\": \"Shoe "
        "size\"}}]}]}\n"
        "Ids that it does not give are chosen, and stay. What is incompatible is refused.",
        "  satcheld model show --json\n"
        "  satcheld model check fields.json\n"
        "  satcheld model extend fields.json --dry-run",
        options,
        sizeof options / sizeof *options,
        1,
        2};
    int code = options_parse(&usage, argc, argv, words);
    if (code != OPTIONS_GO_ON)
        return code;
    struct house house = {.lock = {-1}};
    struct err_info info = {0};
    bool shows = strcmp(words[0], "show") == 0, checks = strcmp(words[0], "check") == 0;
    enum err e = ERR_OK;
    if (!shows && !checks && strcmp(words[0], "extend") != 0)
        e = err_set(&info, ERR_INVALID,
                    "there is model show, model check and model extend, no '%s'", words[0]);
    else if (!shows && !words[1])
        e = err_set(&info, ERR_INVALID, "say which file: satcheld model %s FILE", words[0]);
    if (e == ERR_OK)
        e = shows || checks ? look(&house, &with, &info)
                            : house_init(&house, data_of(&with.common), &info);
    if (e != ERR_OK)
        code = tell_failure(&with.common, e, &info);
    else
        code = shows    ? show(&house, &with)
               : checks ? check(&house, &with, words[1])
                        : extend(&house, &with, words[1]);
    house_close(&house);
    return code;
}
