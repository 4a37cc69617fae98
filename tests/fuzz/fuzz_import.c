/* `satchel import` as a whole: a file, a mapping, arguments; into a replica of its own.
 * sources: client/cli
 *
 * Input:   three parts, between lines "%%": arguments (--table, --key, ...), the mapping's JSON (may be
 *          empty), the file.
 * Asserts: the exit code is one of those documented; the counts add up for every step and in all; a dry run
 *          writes nothing; importing the same again adds nothing and changes nothing; what was refused
 *          once is refused again; memory is bounded.
 * ctest: labels=asan */
#include "client/cli/import.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMORY_MAX = 192 << 20, ARGUMENTS_MAX = 8, PATH_SIZE = 128 };

struct total {
    int code;
    long long read, inserted, updated, unchanged, refused, created;
};

static void write_file(const char *name, struct bytes content)
{
    FILE *file = fopen(fuzz_path(name), "wb");
    fuzz_check(file && fwrite(content.data, 1, content.size, file) == content.size, "%s", name);
    fclose(file);
}

static struct bytes read_file(const char *name)
{
    struct stat about;
    FILE *file = fopen(fuzz_path(name), "rb");
    fuzz_check(file && fstat(fileno(file), &about) == 0, "%s", name);
    uint8_t *data = malloc((size_t)about.st_size + 1);
    fuzz_check(data && fread(data, 1, (size_t)about.st_size, file) == (size_t)about.st_size, "%s",
               name);
    fclose(file);
    data[about.st_size] = 0;
    return bytes_of(data, (size_t)about.st_size);
}

static char folder[PATH_SIZE];
static struct bytes empty_replica; /* the file of one, to start from each time */

static void prepare(void)
{
    struct satchel *handle;
    struct satchel_error error;
    const char *path = fuzz_path("replica.db");
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    const struct satchel_options options = {.directory = folder, .create = true};
    fuzz_check(satchel_open(&options, &handle, &error) == SATCHEL_OK, "%s", error.message);
    satchel_close(handle);
    empty_replica = read_file("replica.db");
}

/* Takes the words of the first part that are safe: options without a path, and no further file. */
static int arguments_of(char *text, char **argv)
{
    static const char *const allowed[] = {"--table",    "--key",  "--delimiter",
                                          "--encoding", "--rows", "--batch"};
    int count = 0;
    for (char *save = NULL, *word = strtok_r(text, " \n", &save); word && count + 2 < ARGUMENTS_MAX;
         word = strtok_r(NULL, " \n", &save)) {
        bool known = false;
        for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
            known |= strcmp(word, allowed[i]) == 0;
        char *value = known ? strtok_r(NULL, " \n", &save) : NULL;
        if (!value)
            continue;
        argv[count++] = word;
        argv[count++] = value;
    }
    return count;
}

/* stdout is a file meanwhile. */
static json_t *run(int argc, char **argv, int *ret_code)
{
    struct cli cli = {.directory = folder, .json = true, .quiet = true};
    fflush(stdout);
    int kept = dup(STDOUT_FILENO),
        file = open(fuzz_path("answer"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    fuzz_check(kept >= 0 && file >= 0 && dup2(file, STDOUT_FILENO) >= 0, "no file");
    *ret_code = command_import.run(&cli, argc, argv);
    satchel_close(cli.handle);
    fflush(stdout);
    (void)dup2(kept, STDOUT_FILENO);
    close(kept);
    close(file);
    struct bytes answer = read_file("answer");
    json_t *json = json_loadb((const char *)answer.data, answer.size, 0, NULL);
    fuzz_check(json_is_object(json), "%s", (const char *)answer.data);
    free((void *)(uintptr_t)answer.data);
    return json;
}

static long long number(const json_t *counts, const char *name)
{
    return json_integer_value(json_object_get(counts, name));
}

static void check_counts(const json_t *counts)
{
    fuzz_check(number(counts, "read") == number(counts, "inserted") + number(counts, "updated") +
                                             number(counts, "unchanged") +
                                             number(counts, "refused"),
               "read %lld, inserted %lld, updated %lld, unchanged %lld, refused %lld",
               number(counts, "read"), number(counts, "inserted"), number(counts, "updated"),
               number(counts, "unchanged"), number(counts, "refused"));
}

/* The same arguments are parsed anew each time: they are cut in doing so. */
static struct total import(struct bytes words, bool mapped, bool dry)
{
    char *argv[ARGUMENTS_MAX + 6], *text = fuzz_text(words), file[PATH_SIZE], map[PATH_SIZE];
    struct total total = {.code = 0};
    int argc = arguments_of(text, argv);
    char flag_map[] = "--map", flag_dry[] = "--dry-run";
    (void)fuzz_path("lock"); /* SQLite and the lock leave files, which go in the end */
    snprintf(file, sizeof file, "%s", fuzz_path("file.csv"));
    snprintf(map, sizeof map, "%s", fuzz_path("map.json"));
    if (mapped) {
        argv[argc++] = flag_map;
        argv[argc++] = map;
    }
    if (dry)
        argv[argc++] = flag_dry;
    argv[argc++] = file;
    argv[argc] = NULL;
    json_t *json = run(argc, argv, &total.code);
    const json_t *sum = json_object_get(json, "total"), *steps = json_object_get(json, "steps");
    size_t i;
    json_t *step;
    fuzz_check(total.code == EXIT_DONE || total.code == EXIT_NOT_FOUND ||
                   total.code == EXIT_USAGE || total.code == EXIT_REFUSED,
               "exit code %d", total.code);
    if (sum) {
        check_counts(sum);
        total.read = number(sum, "read");
        total.inserted = number(sum, "inserted");
        total.updated = number(sum, "updated");
        total.unchanged = number(sum, "unchanged");
        total.refused = number(sum, "refused");
        total.created = number(sum, "created");
    }
    json_array_foreach((json_t *)(uintptr_t)steps, i, step) check_counts(step);
    json_decref(json);
    free(text);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input_of(data, size);
    if (!folder[0])
        prepare();
    struct bytes words = fuzz_part(&in), mapping = fuzz_part(&in), content = fuzz_rest(&in);
    bool mapped = mapping.size > 1;
    fuzz_begin(MEMORY_MAX);
    (void)unlink(fuzz_path("replica.db-wal"));
    (void)unlink(fuzz_path("replica.db-shm"));
    write_file("replica.db", empty_replica);
    write_file("map.json", mapping);
    write_file("file.csv", content);
    struct total dry = import(words, mapped, true);
    struct total first = import(words, mapped, false);
    fuzz_check(dry.code == first.code && dry.read == first.read && dry.inserted == first.inserted &&
                   dry.refused == first.refused && dry.created == first.created,
               "a dry run: exit %d, %lld new, %lld refused; then exit %d, %lld new, %lld refused",
               dry.code, dry.inserted, dry.refused, first.code, first.inserted, first.refused);
    if (first.code == EXIT_DONE || first.code == EXIT_REFUSED) {
        struct total again = import(words, mapped, false);
        fuzz_check(again.inserted == 0 && again.updated == 0 && again.created == 0,
                   "again: %lld new, %lld changed, %lld made", again.inserted, again.updated,
                   again.created);
        fuzz_check(again.read == first.read && again.refused == first.refused,
                   "%lld of %lld refused, at first %lld of %lld", again.refused, again.read,
                   first.refused, first.read);
    }
    fuzz_end(1 << 20); /* what SQLite and libcrypto keep; leaks are the sanitizer's to find */
    return 0;
}
