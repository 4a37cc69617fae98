#include "tests/lib/unfailing.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 16 }; /* holds the size, and keeps what follows aligned */

/* failing_alloc.c replaces malloc, calloc and realloc, and not aligned_alloc. */
void *unfailing_malloc(size_t size)
{
    size_t whole = (size + HEAD + HEAD - 1) / HEAD * HEAD;
    uint8_t *memory = aligned_alloc(HEAD, whole);
    if (memory == NULL) {
        (void)fprintf(stderr, "the test itself is out of memory\n");
        abort();
    }
    memset(memory, 0, whole);
    memcpy(memory, &size, sizeof size);
    return memory + HEAD;
}

void unfailing_free(void *memory)
{
    if (memory != NULL)
        free((uint8_t *)memory - HEAD);
}

void *unfailing_realloc(void *memory, size_t size)
{
    size_t old = 0;
    uint8_t *other = unfailing_malloc(size);
    if (memory != NULL) {
        memcpy(&old, (uint8_t *)memory - HEAD, sizeof old);
        memcpy(other, memory, old < size ? old : size);
        unfailing_free(memory);
    }
    return other;
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return unfailing_malloc(size);
}

static void *openssl_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return unfailing_realloc(memory, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    unfailing_free(memory);
}

/* What json_dumps() returns is freed by free(), so this one has no head. */
static void *jansson_malloc(size_t size)
{
    return aligned_alloc(HEAD, (size + HEAD - 1) / HEAD * HEAD);
}

void unfailing_libraries(void)
{
    json_set_alloc_funcs(jansson_malloc, free);
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1) {
        (void)fprintf(stderr, "OpenSSL has been used before\n");
        abort();
    }
}
