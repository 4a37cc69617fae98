#include "common/os/os_term.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/lib/unit.h"

static int64_t now_us;

static int64_t read_mono(void *context)
{
    (void)context;
    return now_us;
}

static const struct clock fake_clock = {.mono_us = read_mono};

/* A progress of which a test decides where it is shown. */
static struct progress make(bool tty, int width, uint64_t total, int fd)
{
    struct progress p;

    now_us = 1000000;
    progress_init(&p, "importing", "rows", total, &fake_clock, true);
    p.tty = tty;
    p.width = width;
    p.fd = fd;
    return p;
}

static void render(const struct progress *p, int64_t elapsed_us, char *out, size_t size)
{
    progress_render(p, mono_add_ms(p->start, elapsed_us / 1000), out, size);
}

static void a_line_has_bar_share_rate_and_time_left(void **state)
{
    struct progress p = make(true, 80, 4000, -1);
    char line[PROGRESS_LINE_MAX];

    (void)state;
    p.done = 1000;
    render(&p, 10000000, line, sizeof(line));
    assert_string_equal(
        line, "importing  [=====>                    ]   25%  1000/4000 rows  100/s  30 s left");
    p.done = 4000;
    render(&p, 10000000, line, sizeof(line));
    assert_string_equal(
        line, "importing  [=====================================]  100%  4000/4000 rows  400/s");
    p.done = 0;
    render(&p, 0, line, sizeof(line));
    assert_string_equal(
        line, "importing  [                                        ]    0%  0/4000 rows  0/s");
}

static void without_a_total_there_is_neither_bar_nor_time_left(void **state)
{
    struct progress p = make(true, 80, 0, -1);
    char line[PROGRESS_LINE_MAX];

    (void)state;
    p.done = 1000;
    render(&p, 2000000, line, sizeof(line));
    assert_string_equal(line, "importing  1000 rows  500/s");
}

static void durations_are_for_people(void **state)
{
    struct progress p = make(true, 20, 2, -1);
    char line[PROGRESS_LINE_MAX];

    (void)state;
    p.width = 200;
    p.done = 1;
    render(&p, 125000000, line, sizeof(line));
    assert_non_null(strstr(line, "  2 min 5 s left"));
    render(&p, (int64_t)11460 * 1000000, line, sizeof(line));
    assert_non_null(strstr(line, "  3 h 11 min left"));
    render(&p, (int64_t)10000000 * 1000000, line, sizeof(line));
    assert_non_null(strstr(line, "  days left"));
}

static void no_line_is_wider_than_the_terminal(void **state)
{
    (void)state;
    for (int width = 20; width < 300; width++) {
        struct progress p = make(true, width, 3000000000, -1);
        char line[PROGRESS_LINE_MAX];

        p.done = 1234567890;
        render(&p, 3600000000, line, sizeof(line));
        assert_true(strlen(line) < (size_t)width);
        render(&p, 3600000000, line, 10);
        assert_true(strlen(line) <= 9);
    }
}

static void extremes_do_no_harm(void **state)
{
    struct progress p = make(true, 80, UINT64_MAX, -1);
    char line[PROGRESS_LINE_MAX];

    (void)state;
    p.done = UINT64_MAX;
    render(&p, 1000, line, sizeof(line));
    assert_non_null(strstr(line, "100%"));
    p.total = 1; /* more done than there was to do */
    render(&p, 1000, line, sizeof(line));
    assert_non_null(strstr(line, "100%"));
    p.done = 1;
    p.total = UINT64_MAX;
    render(&p, 3600000000, line, sizeof(line));
    assert_non_null(strstr(line, "  0%"));
}

static size_t written(int fd, char *out, size_t size)
{
    ssize_t got = read(fd, out, size - 1);

    if (got < 0)
        got = 0; /* nothing: the pipe does not block */
    out[got] = '\0';
    return (size_t)got;
}

static void a_terminal_is_redrawn_ten_times_a_second_at_most(void **state)
{
    char text[4096];
    int ends[2];
    struct progress p;
    int draws = 0;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    p = make(true, 60, 1000, ends[1]);
    for (uint64_t i = 1; i <= 1000; i++) {
        now_us += 1000; /* a second in all */
        progress_step(&p, i);
        if (written(ends[0], text, sizeof(text)) > 0) {
            draws++;
            assert_int_equal(text[0], '\r');
            assert_null(strchr(text, '\n'));
            assert_int_equal(strlen(text), 60); /* the return, and all but the last column */
        }
    }
    assert_int_equal(draws, 10);
    progress_end(&p);
    written(ends[0], text, sizeof(text));
    assert_non_null(strstr(text, "1000/1000"));
    assert_int_equal(text[strlen(text) - 1], '\n');
    progress_step(&p, 1000);
    progress_end(&p);
    assert_int_equal(written(ends[0], text, sizeof(text)), 0);
    close(ends[0]);
    close(ends[1]);
}

static void elsewhere_it_writes_lines_if_asked(void **state)
{
    char text[4096];
    int ends[2], lines = 0;
    struct progress p;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    p = make(false, 80, 5000, ends[1]);
    for (uint64_t i = 1; i <= 5000; i++) {
        now_us += 1000;
        progress_step(&p, i);
        if (written(ends[0], text, sizeof(text)) > 0) {
            lines++;
            assert_null(strchr(text, '\r'));
            assert_int_equal(text[strlen(text) - 1], '\n');
        }
    }
    assert_int_equal(lines, 5);

    p = make(false, 80, 5000, ends[1]);
    p.enabled = false;
    now_us += 10000000;
    progress_step(&p, 5);
    progress_end(&p);
    assert_int_equal(written(ends[0], text, sizeof(text)), 0);
    close(ends[0]);
    close(ends[1]);
}

static void what_was_quick_is_not_shown(void **state)
{
    char text[100];
    int ends[2];
    struct progress p;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    p = make(true, 80, 10, ends[1]);
    progress_step(&p, 10);
    progress_end(&p);
    assert_int_equal(written(ends[0], text, sizeof(text)), 0);
    close(ends[0]);
    close(ends[1]);
}

static void a_pipe_is_no_terminal(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_false(os_term_is_tty(ends[0]));
    assert_int_equal(os_term_width(ends[0]), OS_TERM_WIDTH_DEFAULT);
    assert_false(os_term_is_tty(-1));
    assert_int_equal(os_term_width(-1), OS_TERM_WIDTH_DEFAULT);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_bar_share_rate_and_time_left),
        cmocka_unit_test(without_a_total_there_is_neither_bar_nor_time_left),
        cmocka_unit_test(durations_are_for_people),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
        cmocka_unit_test(extremes_do_no_harm),
        cmocka_unit_test(a_terminal_is_redrawn_ten_times_a_second_at_most),
        cmocka_unit_test(elsewhere_it_writes_lines_if_asked),
        cmocka_unit_test(what_was_quick_is_not_shown),
        cmocka_unit_test(a_pipe_is_no_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
