/* Commands of headquarters' administrator that are given wrongly, and what lists tell. Failing stores and
 * memory: test_session_faults.c. */
#include "tests/lib/pair.h"

/* The code of the answer is this one, and no row was written. */
static void refused(struct pair *p, const char *request, const char *code)
{
    struct buf answer;
    char expected[40];
    struct hub_stats before, after;
    buf_init(&answer, 1 << 16);
    hub_stats(p->hub, &before);
    assert_ok(hub_admin(p->hub, bytes_of_text(request),
                        (struct hub_now){{p->now_ms}, {p->now_ms * 1000}}, &answer));
    assert_ok(buf_append(&answer, "", 1));
    hub_stats(p->hub, &after);
    snprintf(expected, sizeof expected, "\"code\":\"%s\"", code);
    if (!strstr((const char *)answer.data, expected))
        fail_msg("%s: %s, not %s", request, (const char *)answer.data, code);
    assert_non_null(strstr((const char *)answer.data, "\"message\":\""));
    assert_int_equal(before.rows_written, after.rows_written);
    buf_done(&answer);
}

static void what_is_asked_wrongly_is_refused_and_explained(void **state)
{
    (void)state;
    static const struct {
        const char *request, *code;
    } wrong[] = {
        {"[]", "PARSE"},
        {"{", "PARSE"},
        {"{\"do\":5}", "INVALID"},
        {"{\"do\":\"nothing of this\"}", "INVALID"},
        {"{\"do\":\"branch-add\"}", "INVALID"},
        {"{\"do\":\"branch-add\",\"name\":\"\"}", "INVALID"},
        {"{\"do\":\"branch-add\",\"name\":\"North\"}", "EXISTS"},
        {"{\"do\":\"user-add\"}", "INVALID"},
        {"{\"do\":\"user-add\",\"login\":\"\"}", "INVALID"},
        {"{\"do\":\"user-add\",\"login\":\"anna\"}", "EXISTS"},
        {"{\"do\":\"user-add\",\"login\":\"new\",\"role\":\"king\"}", "INVALID"},
        {"{\"do\":\"user-add\",\"login\":\"new\",\"branch\":\"Nowhere\"}", "NOT_FOUND"},
        {"{\"do\":\"user-set\",\"login\":\"nobody\",\"role\":\"rep\"}", "NOT_FOUND"},
        {"{\"do\":\"user-set\",\"login\":\"anna\"}", "INVALID"},
        {"{\"do\":\"enroll\",\"login\":\"nobody\"}", "NOT_FOUND"},
        {"{\"do\":\"enroll\",\"login\":\"anna\",\"minutes\":10081}", "INVALID"},
        {"{\"do\":\"revoke\"}", "INVALID"},
        {"{\"do\":\"revoke\",\"device\":\"one\"}", "INVALID"},
        {"{\"do\":\"revoke\",\"device\":\"00000000-0000-0000-0000-00000000abcd\"}", "NOT_FOUND"},
        {"{\"do\":\"archived\",\"marks\":{\"ff\":1}}", "INVALID"},
        {"{\"do\":\"archived\",\"marks\":{\"00000000000000ff\":\"1\"}}", "INVALID"},
    };
    struct pair p;
    pair_init(&p, NULL, 3);
    pair_admin(&p, "{\"do\":\"branch-add\",\"name\":\"North\"}");
    pair_admin(&p, "{\"do\":\"user-add\",\"login\":\"anna\",\"role\":\"rep\"}");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused(&p, wrong[i].request, wrong[i].code);
    pair_done(&p);
}

static void lists_tell_who_is_there(void **state)
{
    (void)state;
    struct pair p;
    char request[120], id[UUID_TEXT_SIZE];
    pair_init(&p, NULL, 4);
    pair_admin(&p, "{\"do\":\"branch-add\",\"name\":\"North\",\"city\":\"Gyumri\"}");
    struct pair_device *anna = pair_enrol(&p, "anna", "rep"),
                       *boris = pair_enrol(&p, "boris", "admin");
    assert_null(strstr(pair_admin(&p, "{\"do\":\"devices\"}"), "\"connected\":true"));
    pair_connect(&p, anna, false);
    pair_connect(&p, boris, false);
    pair_run(&p);
    assert_non_null(strstr(pair_admin(&p, "{\"do\":\"devices\"}"), "\"connected\":true"));
    assert_null(strstr(pair_admin(&p, "{\"do\":\"devices\"}"), "\"revoked\":true"));
    uuid_format(&anna->identity.device, id);
    snprintf(request, sizeof request, "{\"do\":\"revoke\",\"device\":\"%s\"}", id);
    pair_admin(&p, request); /* it is connected: it is told at once */
    pair_run(&p);
    assert_int_equal(anna->why, ERR_REVOKED);
    assert_true(boris->up);
    assert_non_null(strstr(pair_admin(&p, "{\"do\":\"devices\"}"), "\"revoked\":true"));
    pair_admin(&p,
               "{\"do\":\"user-set\",\"login\":\"anna\",\"active\":false,\"branch\":\"North\"}");
    assert_non_null(strstr(pair_admin(&p, "{\"do\":\"user-list\"}"), "\"active\":false"));
    assert_non_null(strstr(pair_admin(&p, "{\"do\":\"user-list\"}"), "\"branch\":\"North\""));
    assert_non_null(strstr(pair_admin(&p, "{\"do\":\"branch-list\"}"), "\"city\":\"Gyumri\""));
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_wrongly_is_refused_and_explained),
        cmocka_unit_test(lists_tell_who_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
