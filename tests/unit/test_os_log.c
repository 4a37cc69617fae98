#include "common/os/os_log.h"

#include <unistd.h>

#include "common/text.h"
#include "tests/lib/unit.h"

/* What is written to stderr meanwhile. */
static size_t capture(struct log log, enum log_level level, const char *message, char *out,
                      size_t size)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    size_t got;

    assert_non_null(file);
    assert_true(saved >= 0);
    dup2(fileno(file), STDERR_FILENO);
    log_write(&log, level, "%s", message);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    got = fread(out, 1, size - 1, file);
    out[got] = '\0';
    fclose(file);
    return got;
}

static void a_line_has_a_time_and_a_level(void **state)
{
    char line[200];
    int64_t ms;

    (void)state;
    capture(os_log(LOG_LEVEL_INFO), LOG_LEVEL_WARNING, "disk is slow", line, sizeof(line));
    assert_ok(text_parse_instant(bytes_of(line, 24), &ms));
    assert_string_equal(line + 24, " warning disk is slow\n");
}

static void what_is_not_asked_for_is_not_written(void **state)
{
    char line[200];

    (void)state;
    assert_int_equal(
        capture(os_log(LOG_LEVEL_ERROR), LOG_LEVEL_WARNING, "text", line, sizeof(line)), 0);
}

static void a_message_cannot_forge_a_line(void **state)
{
    char line[200];

    (void)state;
    capture(os_log(LOG_LEVEL_DEBUG), LOG_LEVEL_ERROR, "a\n2026 error b\x1b[2J\x7f\r\xd0\x96", line,
            sizeof(line));
    assert_string_equal(line + 24, " error a?2026 error b?[2J??\xd0\x96\n");
}

static void the_longest_message_fits(void **state)
{
    char message[LOG_MESSAGE_MAX], line[2 * LOG_MESSAGE_MAX];

    (void)state;
    memset(message, 'm', sizeof(message));
    message[sizeof(message) - 1] = '\0';
    assert_int_equal(
        capture(os_log(LOG_LEVEL_DEBUG), LOG_LEVEL_WARNING, message, line, sizeof(line)),
        24 + strlen(" warning ") + strlen(message) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_a_time_and_a_level),
        cmocka_unit_test(what_is_not_asked_for_is_not_written),
        cmocka_unit_test(a_message_cannot_forge_a_line),
        cmocka_unit_test(the_longest_message_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
