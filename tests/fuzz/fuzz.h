/* fuzz.h - what every fuzz target starts with: input that is read as choices, checks that abort, and
 * a bound on memory.
 *
 * Model:      fuzz_<name>.c defines LLVMFuzzerTestOneInput() and uses what is here. Built by clang it
 *             is a libFuzzer program; by any compiler, with replay.c as main(), it replays its corpus.
 * Input:      a target reads its input front to back by fuzz_u8() and the like. Past the end all is
 *             zero, so that every prefix of an input is an input.
 * Order:      one choice per statement: compilers differ in the order in which they evaluate
 *             arguments, and an input has to mean the same everywhere.
 * Failing:    fuzz_check() prints and aborts; cmocka's assertions of tests/lib do the same.
 * Memory:     fuzz_begin() .. fuzz_end() watch what is allocated meanwhile, under the address
 *             sanitizer: not more than the limit at any moment, and nothing left at the end.
 * Ownership:  an input borrows the fuzzer's bytes. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/bytes.h"
#include "common/error.h"
#include "common/uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- checks ----------------------------------------------------------------------------------- */

#define fuzz_check(condition, ...) \
    ((condition) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #condition, __VA_ARGS__))
/* The call returned ERR_OK. */
#define fuzz_ok(call)       fuzz_error((call), ERR_OK, #call, __FILE__, __LINE__)
#define fuzz_err(call, err) fuzz_error((call), (err), #call, __FILE__, __LINE__)

void fuzz_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));
void fuzz_error(enum err got, enum err expected, const char *call, const char *file, int line);
/* The error is one of these, ERR_OK included; `which` ends with ERR_OK. */
void fuzz_one_of(enum err got, const char *call, const enum err *which);

/* --- input ------------------------------------------------------------------------------------ */

struct fuzz_input {
    const uint8_t *data;
    size_t size, at;
};

struct fuzz_input fuzz_input_of(const uint8_t *data, size_t size);
bool fuzz_more(const struct fuzz_input *in);
uint8_t fuzz_u8(struct fuzz_input *in);
uint16_t fuzz_u16(struct fuzz_input *in);
uint32_t fuzz_u24(struct fuzz_input *in);
uint64_t fuzz_u64(struct fuzz_input *in);
/* [0, bound), bound > 0: one byte where bound <= 256, else eight. */
uint64_t fuzz_below(struct fuzz_input *in, uint64_t bound);
/* 0, 1, 2, a small number, a number of 16 or 64 bits, or one near a limit of some type. */
uint64_t fuzz_number(struct fuzz_input *in);
/* The next size bytes, or what is left. */
struct bytes fuzz_take(struct fuzz_input *in, size_t size);
struct bytes fuzz_rest(struct fuzz_input *in);
/* The input's next part: up to a line that is "%%" alone, or the end. */
struct bytes fuzz_part(struct fuzz_input *in);

/* --- memory and time -------------------------------------------------------------------------- */

enum { FUZZ_MEMORY_MAX = 64 << 20 };

/* Starts watching. limit_bytes: how much may be allocated at a time beyond what is now. */
void fuzz_begin(size_t limit_bytes);
/* Asserts that at most `slack_bytes` more is allocated than at the beginning (what is kept for
 * good, such as tables of a library), and that the limit was kept meanwhile. */
void fuzz_end(size_t slack_bytes);
/* The highest since fuzz_begin(); 0 where it cannot be known. */
size_t fuzz_peak(void);

/* A copy in memory of exactly this size, so that the sanitizer sees a read past its end. */
uint8_t *fuzz_copy(struct bytes in);
/* The path of a file in a folder of this process: in memory where the system has that, and gone, with
 * all files of it that were asked for here, when the process ends. Static per name; at most 8. */
const char *fuzz_path(const char *name);

/* A terminated copy. */
char *fuzz_text(struct bytes in);

#endif
