#include "common/os/os_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/failing_alloc.h"
#include "tests/lib/unit.h"

/* Each test has a new, empty folder as its current one. */
static char folder[OS_PATH_MAX];
static int home = -1;

static int set_up(void **state)
{
    const char *base = getenv("TMPDIR");

    (void)state;
    snprintf(folder, sizeof(folder), "%s/satchel-test-XXXXXX", base == NULL ? "/tmp" : base);
    home = open(".", O_RDONLY | O_DIRECTORY);
    return home < 0 || mkdtemp(folder) == NULL || chdir(folder) != 0 ? -1 : 0;
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (directory == NULL) {
        unlink(path);
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        char name[2 * OS_PATH_MAX];
        struct stat status;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (lstat(name, &status) == 0 && S_ISDIR(status.st_mode))
            remove_tree(name);
        else
            unlink(name);
    }
    closedir(directory);
    rmdir(path);
}

static int tear_down(void **state)
{
    int result = fchdir(home);

    (void)state;
    close(home);
    remove_tree(folder);
    return result;
}

static int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

static void assert_file(const char *path, const char *content)
{
    struct buf b;

    buf_init(&b, 1000);
    assert_ok(os_file_read(path, &b, NULL));
    assert_text(buf_view(&b), content);
    buf_done(&b);
}

static void what_is_written_is_read(void **state)
{
    struct stat status;
    struct buf b;

    (void)state;
    umask(077);
    assert_ok(os_file_write("a", bytes_of_text("one"), 0644, NULL));
    assert_int_equal(stat("a", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_ok(os_file_write("a", bytes_of_text("two, longer"), 0600, NULL));
    assert_int_equal(stat("a", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_file("a", "two, longer");
    assert_ok(os_file_write("a", bytes_of(NULL, 0), 0600, NULL));
    assert_file("a", "");
    assert_ok(os_file_write("a", BYTES("\0binary\xff"), 0600, NULL));
    buf_init(&b, 100);
    buf_append(&b, "before ", 7);
    assert_ok(os_file_read("a", &b, NULL));
    assert_true(bytes_equal(buf_view(&b), BYTES("before \0binary\xff")));
    buf_done(&b);
    assert_int_equal(count_entries("."), 1); /* nothing temporary is left */
}

static void a_file_may_be_as_large_as_the_limit(void **state)
{
    static uint8_t content[200001];
    struct err_info info;
    struct buf b;

    (void)state;
    memset(content, 'c', sizeof(content));
    assert_ok(os_file_write("a", bytes_of(content, sizeof(content)), 0600, NULL));
    buf_init(&b, sizeof(content));
    assert_ok(os_file_read("a", &b, &info));
    assert_true(bytes_equal(buf_view(&b), bytes_of(content, sizeof(content))));
    buf_done(&b);
    buf_init(&b, sizeof(content) - 1);
    assert_err(os_file_read("a", &b, &info), ERR_TOO_LARGE);
    assert_int_equal(b.size, 0);
    assert_int_equal(b.error, ERR_TOO_LARGE);
    assert_string_equal(info.message, "a is larger than the 200000 bytes allowed");
    assert_err(os_file_read("a", &b, &info), ERR_TOO_LARGE); /* until it is reset */
    buf_done(&b);
    assert_ok(os_file_write("empty", bytes_of(NULL, 0), 0600, NULL));
    buf_init(&b, 0);
    assert_ok(os_file_read("empty", &b, NULL));
    buf_done(&b);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct err_info info;
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    assert_err(os_file_read("none", &b, &info), ERR_NOT_FOUND);
    assert_string_equal(info.message, "opening none failed: No such file or directory");
    assert_int_equal(info.native, ENOENT);
    assert_int_equal(b.error, ERR_OK);
    assert_err(os_file_read(".", &b, &info), ERR_EXISTS); /* a directory is in the way */
    assert_err(os_file_write("none/a", bytes_of_text("x"), 0600, &info), ERR_NOT_FOUND);
    assert_err(os_file_remove("none", &info), ERR_NOT_FOUND);
    assert_false(os_file_exists("none"));
    assert_true(os_file_exists("."));
    buf_done(&b);
}

static void a_failed_write_keeps_the_old_file(void **state)
{
    char name[OS_PATH_MAX + 10];

    (void)state;
    assert_ok(os_dir_make("a/b", 0700, NULL));
    assert_err(os_file_write("a", bytes_of_text("x"), 0600, NULL), ERR_EXISTS); /* a directory */
    assert_true(os_file_exists("a/b"));
    assert_int_equal(count_entries("."), 1);
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_err(os_file_write(name, bytes_of_text("x"), 0600, NULL), ERR_INVALID);
    name[250] = '\0'; /* a name that is allowed, but not with what is added to it */
    assert_err(os_file_write(name, bytes_of_text("x"), 0600, NULL), ERR_INVALID);
    assert_int_equal(count_entries("."), 1);
}

/* The kernel stops the writing half-way, as a full disk would. */
static void a_write_that_breaks_off_keeps_the_old_file(void **state)
{
    static uint8_t content[100000];
    struct rlimit before, limit;
    struct err_info info;
    enum err error;

    (void)state;
    assert_ok(os_file_write("a", bytes_of_text("old"), 0600, NULL));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 50000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    error = os_file_write("a", bytes_of(content, sizeof(content)), 0600, &info);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_err(error, ERR_FULL);
    assert_int_equal(info.native, EFBIG);
    assert_file("a", "old");
    assert_int_equal(count_entries("."), 1);
}

/* Such as one that somebody put there to have another file overwritten. */
static void a_link_is_replaced_and_not_followed(void **state)
{
    (void)state;
    assert_ok(os_file_write("target", bytes_of_text("precious"), 0600, NULL));
    assert_int_equal(symlink("target", "link"), 0);
    assert_ok(os_file_write("link", bytes_of_text("new"), 0600, NULL));
    assert_file("link", "new");
    assert_file("target", "precious");
}

static void leftovers_of_a_crash_are_stepped_over(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof(name), "a.tmp.%ld.0", (long)getpid());
    assert_ok(os_file_write(name, bytes_of_text("left over"), 0600, NULL));
    assert_ok(os_file_write("a", bytes_of_text("new"), 0600, NULL));
    assert_file("a", "new");
    assert_file(name, "left over");
}

static void removing_removes(void **state)
{
    (void)state;
    assert_ok(os_file_write("a", bytes_of_text("x"), 0600, NULL));
    assert_ok(os_file_remove("a", NULL));
    assert_false(os_file_exists("a"));
}

static void directories_are_made_with_their_parents(void **state)
{
    char path[2 * OS_PATH_MAX];
    struct stat status;

    (void)state;
    umask(077);
    assert_ok(os_dir_make("a/b/c", 0700, NULL));
    assert_ok(os_dir_make("a/b/c", 0700, NULL)); /* there already */
    assert_ok(os_dir_make("a//d///", 0700, NULL));
    assert_ok(os_dir_make("./e/../f", 0700, NULL));
    assert_ok(os_dir_make(".", 0700, NULL));
    assert_ok(os_dir_make("/", 0700, NULL));
    assert_int_equal(stat("a/b/c", &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_true(os_file_exists("a/d"));
    assert_true(os_file_exists("f"));
    snprintf(path, sizeof(path), "%s/absolute/path", folder);
    assert_ok(os_dir_make(path, 0700, NULL));
    assert_true(os_file_exists("absolute/path"));
    assert_err(os_dir_make("", 0700, NULL), ERR_INVALID);
    memset(path, 'p', OS_PATH_MAX);
    path[OS_PATH_MAX] = '\0';
    assert_err(os_dir_make(path, 0700, NULL), ERR_INVALID);
}

static void a_file_is_not_taken_for_a_directory(void **state)
{
    struct err_info info;

    (void)state;
    assert_ok(os_file_write("a", bytes_of_text("x"), 0600, NULL));
    assert_err(os_dir_make("a", 0700, &info), ERR_EXISTS);
    assert_err(os_dir_make("a/b", 0700, &info), ERR_EXISTS);
    assert_string_equal(info.message, "making the directory a failed: Not a directory");
}

static void a_lock_is_held_once(void **state)
{
    struct os_lock lock, other;
    struct err_info info;
    char expected[200];

    (void)state;
    assert_ok(os_lock_take("lock", &lock, NULL));
    assert_err(os_lock_take("lock", &other, &info), ERR_BUSY);
    assert_int_equal(other.fd, -1);
    snprintf(expected, sizeof(expected), "lock is locked by process %ld; stop that process first",
             (long)getpid());
    assert_string_equal(info.message, expected);
    os_lock_release(&other);
    os_lock_release(&lock);
    assert_int_equal(lock.fd, -1);
    os_lock_release(&lock);
    assert_ok(os_lock_take("lock", &other, NULL));
    os_lock_release(&other);
    assert_err(os_lock_take("none/lock", &lock, NULL), ERR_NOT_FOUND);
    assert_int_equal(lock.fd, -1);
}

static void a_lock_ends_with_its_process(void **state)
{
    struct os_lock lock;
    int ready[2], go[2], status;
    pid_t child;
    char byte;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(go[1]);
        byte = os_lock_take("lock", &lock, NULL) == ERR_OK ? 'y' : 'n';
        if (write(ready[1], &byte, 1) == 1)
            (void)!read(go[0], &byte, 1); /* until the parent closes its end */
        _exit(0);
    }
    close(go[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_err(os_lock_take("lock", &lock, NULL), ERR_BUSY);
    close(go[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_ok(os_lock_take("lock", &lock, NULL));
    os_lock_release(&lock);
    close(ready[0]);
    close(ready[1]);
}

static enum err read_it(void *context)
{
    struct buf b;
    enum err error;

    (void)context;
    buf_init(&b, 1 << 20);
    error = os_file_read("a", &b, NULL);
    assert_int_equal(b.size, error == ERR_OK ? 300000 : 0);
    buf_done(&b);
    return error;
}

static void no_memory_is_an_error(void **state)
{
    static uint8_t content[300000];

    (void)state;
    if (!failing_alloc_works())
        skip();
    assert_ok(os_file_write("a", bytes_of(content, sizeof(content)), 0600, NULL));
    assert_true(failing_alloc_each(read_it, NULL, ERR_NOMEM) >= 3);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(what_is_written_is_read),
        IN_A_FOLDER(a_file_may_be_as_large_as_the_limit),
        IN_A_FOLDER(what_is_not_there_is_not_found),
        IN_A_FOLDER(a_failed_write_keeps_the_old_file),
        IN_A_FOLDER(a_write_that_breaks_off_keeps_the_old_file),
        IN_A_FOLDER(a_link_is_replaced_and_not_followed),
        IN_A_FOLDER(leftovers_of_a_crash_are_stepped_over),
        IN_A_FOLDER(removing_removes),
        IN_A_FOLDER(directories_are_made_with_their_parents),
        IN_A_FOLDER(a_file_is_not_taken_for_a_directory),
        IN_A_FOLDER(a_lock_is_held_once),
        IN_A_FOLDER(a_lock_ends_with_its_process),
        IN_A_FOLDER(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
