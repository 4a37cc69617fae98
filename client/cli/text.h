/* text.h - growing strings, display width, folding, likeness. Out of memory ends the program. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *need(void *memory); /* ends the program when it is NULL */
char *text_copy(const char *text);
char *text_copy_n(const char *text, size_t size);

/* A growing string, always terminated once something was added. All zero is empty. */
struct text {
    char *data;
    size_t size, capacity;
};
void text_done(struct text *text);
void text_clear(struct text *text);
void text_add(struct text *text, const char *add);
void text_add_n(struct text *text, const char *add, size_t size);
__attribute__((format(printf, 2, 3))) void text_addf(struct text *text, const char *format, ...);
/* The string, which the caller frees; `text` is empty afterwards. Never NULL. */
char *text_take(struct text *text);
/* Its characters; "" when empty. */
const char *text_get(const struct text *text);

/* The next character of UTF-8 at `s` of `size` bytes (> 0); bytes that are no UTF-8 are U+FFFD, one
 * byte each. Returns its bytes. */
size_t text_decode(const char *s, size_t size, uint32_t *ret_character);
void text_add_character(struct text *text, uint32_t character);
/* Columns that it takes on a terminal: wide characters two, combining ones none. */
int text_width(const char *s);
int text_character_width(uint32_t character);

/* Folds case and drops all but letters and digits: "GTX Pro" and "gtxpro" become one. Freed by the
 * caller. */
char *text_fold(const char *s);
/* Whether they fold to the same, and to more than nothing. */
bool text_alike(const char *a, const char *b);
/* The candidate most like `name`, or NULL when none is close. */
const char *text_nearest(const char *name, const char *const *candidates, size_t count);
/* a-z, 0-9 and dots: a login made of a name ("Anna Snelling" -> "anna.snelling"), Cyrillic and
 * accented letters transcribed. Freed by the caller. */
char *text_login(const char *name);

#endif
