#include "common/log.h"

#include "tests/lib/unit.h"

struct seen {
    int count;
    enum log_level level;
    char message[LOG_MESSAGE_MAX];
};

static void note(void *context, enum log_level level, const char *message)
{
    struct seen *seen = context;

    seen->count++;
    seen->level = level;
    assert_true(strlen(message) < sizeof(seen->message));
    memcpy(seen->message, message, strlen(message) + 1);
}

static void what_is_severe_enough_is_written(void **state)
{
    struct seen seen = {0};
    struct log log = {.write = note, .context = &seen, .level = LOG_LEVEL_WARNING};

    (void)state;
    log_write(&log, LOG_LEVEL_INFO, "no");
    log_write(&log, LOG_LEVEL_DEBUG, "no");
    assert_int_equal(seen.count, 0);
    log_write(&log, LOG_LEVEL_WARNING, "%s of %d", "two", 3);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.level, LOG_LEVEL_WARNING);
    assert_string_equal(seen.message, "two of 3");
    log_write(&log, LOG_LEVEL_ERROR, "bad");
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.message, "bad");
}

static void nowhere_is_a_place_too(void **state)
{
    struct log empty = {0};

    (void)state;
    log_write(NULL, LOG_LEVEL_ERROR, "%d", 1);
    log_write(&empty, LOG_LEVEL_ERROR, "%d", 1);
}

static void long_messages_are_cut_between_characters(void **state)
{
    struct seen seen = {0};
    struct log log = {.write = note, .context = &seen, .level = LOG_LEVEL_DEBUG};
    char text[3 * LOG_MESSAGE_MAX + 1];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[LOG_MESSAGE_MAX - 1] = '\0';
    log_write(&log, LOG_LEVEL_DEBUG, "%s", text);
    assert_string_equal(seen.message, text);
    for (size_t i = 0; i < LOG_MESSAGE_MAX; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 4); /* the euro sign, three bytes */
    log_write(&log, LOG_LEVEL_DEBUG, "%s", text);
    assert_int_equal(strlen(seen.message), (LOG_MESSAGE_MAX - 1) / 3 * 3);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(log_level_name(LOG_LEVEL_ERROR), "error");
    assert_string_equal(log_level_name(LOG_LEVEL_WARNING), "warning");
    assert_string_equal(log_level_name(LOG_LEVEL_INFO), "info");
    assert_string_equal(log_level_name(LOG_LEVEL_DEBUG), "debug");
    assert_string_equal(log_level_name((enum log_level)9), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_severe_enough_is_written),
        cmocka_unit_test(nowhere_is_a_place_too),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(levels_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
