/* language.h: the languages that can be run in a box, as a table.
 *
 * The box takes from here what it shows of the file system and what it starts; the scorer takes the
 * names of the files. Constant data; any thread.
 */
#ifndef COHORT_BOX_LANGUAGE_H
#define COHORT_BOX_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    LANGUAGE_WORDS_MAX = 12, /* of a command line, with its NULL */
    LANGUAGE_PATHS_MAX = 12, /* shown in the root, with the NULL */
};

/* One way of starting something: the command, and the paths of the host that it may read. A path
 * that is not there is left out. */
struct language_phase {
    const char *argv[LANGUAGE_WORDS_MAX];
    const char *paths[LANGUAGE_PATHS_MAX];
};

struct language {
    const char *name;
    const char *source; /* name of the program's file in the work directory */
    const char *built;  /* what compile leaves there, NULL for interpreters */
    bool wide; /* reserves more address space than any limit of it: runs in control groups only */
    struct language_phase compile; /* prints the compiled program on its standard output */
    struct language_phase run;
    struct language_phase warm; /* an interpreter as a zygote (launch.h); argv[0] NULL: none */
};

/* Where such an interpreter finds the library that makes it one. */
#define LANGUAGE_WARM_LIBRARY "/warm.so"

const struct language *language_find(const char *name); /* also by a usual alias; NULL: unknown */

/* Whether what the table starts is installed here. */
bool language_installed(const struct language *l);

#endif
