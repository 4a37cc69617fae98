/* planted.h - included before every source of the exam build: whether this bug is the one chosen. */
#ifndef TESTS_SIM_EXAM_PLANTED_H
#define TESTS_SIM_EXAM_PLANTED_H

extern int satchel_planted_bug; /* 0: none */

#define satchel_planted(number) (satchel_planted_bug == (number))

/* Chooses a bug by its name; an unknown one ends the program. */
void satchel_plant(const char *name);

#endif
