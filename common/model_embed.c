/* model_embed.c - the model files, compiled in as they are.
 *
 * SATCHEL_SOURCE_DIR comes from the build: `.incbin` looks relative names up from where the assembler
 * runs, which with link-time optimisation is elsewhere. */
#include "common/model_embed.h"

#include "common/model.h"

#ifdef __wasm__
#define EMBED_SECTION(name) ".section .rodata." name ",\"\",@\n"
#define EMBED_END(name)     ".size satchel_" name ", satchel_" name "_end - satchel_" name "\n"
#else
#define EMBED_SECTION(name) ".section .rodata\n"
#define EMBED_END(name)     ".previous\n"
#endif

#define EMBED(name)                                                                           \
    __asm__(EMBED_SECTION(#name) ".globl satchel_" #name "\n"                                 \
                                 ".globl satchel_" #name "_end\n"                             \
                                 ".hidden satchel_" #name "\n"                                \
                                 ".hidden satchel_" #name "_end\n"                            \
                                 ".type satchel_" #name ", @object\n"                         \
                                 ".type satchel_" #name "_end, @object\n"                     \
                                 "satchel_" #name ":\n"                                       \
                                 ".incbin \"" SATCHEL_SOURCE_DIR "/common/" #name ".json\"\n" \
                                 "satchel_" #name "_end:\n"                                   \
                                 ".byte 0\n" EMBED_END(#name));                               \
    extern const uint8_t satchel_##name[] __attribute__((visibility("hidden")));              \
    extern const uint8_t satchel_##name##_end[] __attribute__((visibility("hidden")))

EMBED(model_crm);
EMBED(model_system);

static struct bytes view(const uint8_t *start, const uint8_t *end)
{
    return bytes_of(start, (size_t)((uintptr_t)end - (uintptr_t)start));
}

struct bytes model_builtin_json(void)
{
    return view(satchel_model_crm, satchel_model_crm_end);
}

struct bytes model_system_json(void)
{
    return view(satchel_model_system, satchel_model_system_end);
}
