/* api_kit.h - what the tests of libsatchel without a server share: a directory and a handle of the
 * CRM's model for each test. Failures are cmocka failures. */
#ifndef TESTS_LIB_API_KIT_H
#define TESTS_LIB_API_KIT_H

#include "client/api/satchel.h"

/* Of the test that runs; set_up() makes them anew. */
extern char api_directory[64];
extern struct satchel *h;

int api_set_up(void **state);
/* Closes h and removes the directory. */
int api_tear_down(void **state);
/* Another handle on the directory, or NULL with the reason printed. */
struct satchel *api_open(struct satchel_options options);
/* Closes h and opens it again. */
void api_reopen(void);

/* The call on h returned this code; else its message is printed. */
#define assert_code(call, expected) api_check((call), (expected), #call, __FILE__, __LINE__)
#define assert_done(call)           assert_code(call, SATCHEL_OK)
void api_check(enum satchel_code got, enum satchel_code expected, const char *call,
               const char *file, int line);
/* The last error's message has this in it. */
void assert_message_has(const char *part);

/* A new customer. */
struct satchel_id api_party(const char *name, const char *city);
const struct satchel_cell *api_cell(const struct satchel_record *record, const char *column);
/* The record's column reads so. */
void assert_cell(const char *table, const struct satchel_id *id, const char *column,
                 const char *text);

#define WITH_HANDLE(test) cmocka_unit_test_setup_teardown(test, api_set_up, api_tear_down)

#endif
