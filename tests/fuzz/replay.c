/* replay.c - main() of a fuzz target without libFuzzer: runs each file of its corpus once.
 *
 * usage: <target> FOLDER|FILE ...
 * Fails where the target aborts, where there is nothing to replay, or where one input takes longer
 * than a second of processor time for each 10 KiB of it, 10 seconds at least. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

enum { INPUT_MAX = 4 << 20 };

struct replayed {
    unsigned files;
    size_t bytes;
    double slowest;
    char slowest_name[256];
};

static double processor_seconds(void)
{
    struct timespec now;
    fuzz_check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0, "no clock");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void replay_file(const char *path, struct replayed *r)
{
    FILE *file = fopen(path, "rb");
    fuzz_check(file, "%s cannot be read", path);
    uint8_t *data = malloc(INPUT_MAX);
    fuzz_check(data, "no memory");
    size_t size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    uint8_t *exact = fuzz_copy(bytes_of(data, size));
    free(data);
    fprintf(stderr, "%s\n", path); /* the last line before a failure says which it was */
    double start = processor_seconds();
    LLVMFuzzerTestOneInput(exact, size);
    double took = processor_seconds() - start;
    fuzz_check(took < 10 + (double)size / 10240, "%s takes %.1f s", path, took);
    free(exact);
    r->files++;
    r->bytes += size;
    if (took > r->slowest) {
        r->slowest = took;
        snprintf(r->slowest_name, sizeof r->slowest_name, "%s", path);
    }
}

static void replay(const char *path, struct replayed *r)
{
    struct stat about;
    struct dirent **entries;
    char name[1024];
    fuzz_check(stat(path, &about) == 0, "%s is not there", path);
    if (!S_ISDIR(about.st_mode)) {
        replay_file(path, r);
        return;
    }
    int count = scandir(path, &entries, NULL, alphasort);
    fuzz_check(count >= 0, "%s cannot be read", path);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
            replay(name, r);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    struct replayed r = {0};
    for (int i = 1; i < argc; i++)
        replay(argv[i], &r);
    printf("%u inputs, %zu bytes; the slowest took %.0f ms: %s\n", r.files, r.bytes,
           r.slowest * 1000, r.slowest_name);
    return r.files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
