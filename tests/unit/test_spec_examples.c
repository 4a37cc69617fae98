/* The examples in SPEC.md are those of the vectors. */
#include "tests/lib/unit.h"

#include "common/text.h"
#include "tests/lib/codec.h"

#include <ctype.h>
#include <jansson.h>

/* The hex pairs that a line starts with, up to the first double space. */
static void take_hex(const char *line, struct buf *hex)
{
    while (isxdigit((unsigned char)line[0]) && isxdigit((unsigned char)line[1]) &&
           (line[2] == ' ' || line[2] == '\0')) {
        assert_ok(buf_append(hex, line, 2));
        if (line[2] == '\0' || line[3] == ' ')
            break;
        line += 3;
    }
}

static void check_example(const char *reference, struct buf *hex, const char *document)
{
    char path[300], file[100], name[100];
    struct buf json;
    json_t *root, *item;
    size_t i;

    assert_int_equal(sscanf(reference, "vector %99[a-z]/%99[^\n]", file, name), 2);
    snprintf(path, sizeof(path), "tests/vectors/%s.json", file);
    buf_init(&json, 1 << 20);
    assert_true(codec_file(path, &json));
    root = json_loadb((const char *)json.data, json.size, 0, NULL);
    json_array_foreach(json_object_get(root, "vectors"), i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "name")), name) != 0)
            continue;
        if (!bytes_equal(buf_view(hex),
                         bytes_of_text(json_string_value(json_object_get(item, "hex")))))
            fail_msg("%s: %s is another: %.*s", document, reference, (int)hex->size,
                     (const char *)hex->data);
        json_decref(root);
        buf_done(&json);
        return;
    }
    fail_msg("%s: there is no %s", document, reference);
}

/* Blocks of lines after one "vector <file>/<name>", up to an empty line or the end of the code
 * block. */
static unsigned check_document(const char *document)
{
    struct buf file, hex;
    char *line, *rest, reference[200] = "";
    unsigned count = 0;

    buf_init(&file, 4 << 20);
    buf_init(&hex, 1 << 20);
    if (!codec_file(document, &file)) {
        buf_done(&file);
        return 0;
    }
    assert_ok(buf_append(&file, "\n\n", 3)); /* and a terminator */
    for (line = (char *)file.data; (rest = strchr(line, '\n')) != NULL; line = rest + 1) {
        *rest = '\0';
        if (strncmp(line, "vector ", 7) == 0) {
            snprintf(reference, sizeof(reference), "%s", line);
            buf_reset(&hex);
        } else if (reference[0] != '\0' && (line[0] == '\0' || line[0] == '`')) {
            check_example(reference, &hex, document);
            reference[0] = '\0';
            count++;
        } else if (reference[0] != '\0') {
            take_hex(line, &hex);
        }
    }
    buf_done(&file);
    buf_done(&hex);
    return count;
}

static void examples_in_the_specification(void **state)
{
    unsigned count = check_document("protocol/SPEC.md");

    (void)state;
    print_message("%u examples\n", count);
    assert_in_range(count, 1, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples_in_the_specification)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
