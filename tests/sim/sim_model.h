/* sim_model.h - the simulator's data model: few tables, each merge and delete policy, each bucket rule. */
#ifndef TESTS_SIM_SIM_MODEL_H
#define TESTS_SIM_SIM_MODEL_H

extern const char sim_model_json[];

/* The same with teams: a fourth visibility, and a column for it. Heap. */
char *sim_model_with_teams(void);

#endif
