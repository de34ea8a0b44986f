/* hostile.h: programs that must end in a known way, whatever they try, as a table. */
#ifndef COHORT_TESTS_HOSTILE_H
#define COHORT_TESTS_HOSTILE_H

#include <stdbool.h>

#include "reward-server/box/box.h"

enum { ANY = -1 };

struct hostile {
    const char *name, *language, *source;
    unsigned ends;      /* a set of 1 << enum box_end */
    int detail;         /* ANY: not looked at */
    const char *output; /* all of standard output, NULL: not looked at */
    bool slow;          /* takes an emulated processor longer than its limit */
};

extern const struct hostile hostile_programs[];
extern const size_t hostile_count;

#endif
