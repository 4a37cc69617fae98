/* unit.h - what a cmocka test file starts with: cmocka in its order of headers, and assertions that
 * speak of our types. */
#ifndef TESTS_LIB_UNIT_H
#define TESTS_LIB_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/error.h"

/* The call returned this code; both are printed by name. */
#define assert_err(call, expected) unit_assert_err((call), (expected), #call, __FILE__, __LINE__)
#define assert_ok(call)            assert_err((call), ERR_OK)
/* A view or buffer holds exactly this text. */
#define assert_text(view, text)    unit_assert_text((view), (text), __FILE__, __LINE__)

static inline void unit_assert_err(enum err got, enum err expected, const char *call,
                                   const char *file, int line)
{
    if (got == expected)
        return;
    print_error("%s\n  is ERR_%s, not ERR_%s\n", call, err_name(got), err_name(expected));
    _fail(file, line);
}

static inline void unit_assert_text(struct bytes got, const char *expected, const char *file,
                                    int line)
{
    if (bytes_equal(got, bytes_of_text(expected)))
        return;
    print_error("\"%.*s\"\n  is not \"%s\"\n", (int)got.size,
                got.size == 0 ? "" : (const char *)got.data, expected);
    _fail(file, line);
}

/* n, or a tenth of it under a tool that makes everything slow (SATCHEL_SLOW_TOOL). */
static inline unsigned unit_rounds(unsigned n)
{
    return getenv("SATCHEL_SLOW_TOOL") == NULL ? n : (n + 9) / 10;
}

/* 1, or n under such a tool: of what is tried one after the other, each n-th. */
static inline unsigned unit_step(unsigned n)
{
    return getenv("SATCHEL_SLOW_TOOL") == NULL ? 1 : n;
}

/* A literal with NUL bytes inside it, as a view. */
#define BYTES(literal) bytes_of(literal, sizeof(literal) - 1)

#endif
