/* histories.h - random histories, one per seed, for property tests.
 *
 * SATCHEL_SEED replays one history; SATCHEL_ROUNDS says how many are tried; SATCHEL_TELL names each before it is played. */
#ifndef TESTS_LIB_HISTORIES_H
#define TESTS_LIB_HISTORIES_H

#include <stdint.h>

/* Plays `usual` histories from seed 1 on, a tenth of them under a slow tool, or what the environment asks for; play
 * adds what happened to sums. Returns how many were played. */
uint64_t histories_play(unsigned usual, void (*play)(uint64_t seed, uint64_t *sums),
                        uint64_t *sums);

#endif
