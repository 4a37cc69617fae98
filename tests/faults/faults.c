/* faults - puts every fault into every scripted flow, and prints how many that were.
 *
 *   faults [--part N] [--flow NAME] [--only "FLOW VICTIM SERIES K [K2]"] [--apart] [--list]
 *
 * --part N: each N-th fault of each series (default 1: all of them). --only: one story again. --apart: each
 * story in a process of its own, so that those after a failure run as well.
 *
 * ctest: labels=asan timeout=600 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/flows.h"
#include "tests/faults/series.h"
#include "tests/lib/failing_alloc.h"
#include "tests/lib/unfailing.h"

static int usage(void)
{
    (void)fprintf(stderr, "usage: faults [--part N] [--flow NAME] [--series NAME]"
                          " [--only \"FLOW VICTIM SERIES K [K2]\"]"
                          " [--apart] [--list]\n");
    return 2;
}

static int list(void)
{
    for (int i = 0; i < flow_count; i++)
        (void)printf("%-11s %s\n", flows[i].name, flows[i].about);
    return 0;
}

int main(int argc, char **argv)
{
    struct plan plan = {.part = 1};
    const char *flow = NULL;
    uint64_t found = 0, wrong = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            return list();
        if (strcmp(argv[i], "--apart") == 0) {
            plan.apart = true;
            continue;
        }
        if (i + 1 == argc)
            return usage();
        if (strcmp(argv[i], "--part") == 0)
            plan.part = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--flow") == 0)
            flow = argv[++i];
        else if (strcmp(argv[i], "--series") == 0)
            plan.series = argv[++i];
        else if (strcmp(argv[i], "--only") == 0)
            plan.only = argv[++i], rig_tells = true;
        else
            return usage();
    }
    if (plan.part == 0)
        return usage();
    unfailing_libraries();
    plan.allocations = failing_alloc_works();
    for (int i = 0; i < flow_count; i++) {
        if (flow != NULL && strcmp(flow, flows[i].name) != 0)
            continue;
        if (plan.only != NULL && strncmp(plan.only, flows[i].name, strlen(flows[i].name)) != 0)
            continue;
        wrong += series_of_flow(&flows[i], &plan);
        found++;
    }
    return found == 0 ? usage() : wrong > 0 ? 1 : 0;
}
