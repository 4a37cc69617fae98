#include "tests/sim/cover.h"

static const char *const texts[] = {
#define COVER_TEXT(name, fault, text) text,
    COVER_LIST(COVER_TEXT)
#undef COVER_TEXT
};

static const int faults[] = {
#define COVER_FAULT(name, fault, text) fault,
    COVER_LIST(COVER_FAULT)
#undef COVER_FAULT
};

const char *cover_text(enum cover cover)
{
    return texts[cover];
}

int cover_is_fault(enum cover cover)
{
    return faults[cover];
}
