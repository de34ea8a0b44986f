/* daemons.h: which children `cohort run` starts, and with which command lines. */
#ifndef COHORT_CLI_DAEMONS_H
#define COHORT_CLI_DAEMONS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/args.h"
#include "cli/launcher.h"

/* The words of every child's command line. */
struct daemon_line {
    const char *run_dir, *conf;
    const struct args_words *sets;   /* of --set */
    bool accept_training_id;         /* for the learner */
    const struct args_words *faults; /* "CHILD:SITE:NTH:ACTION" */
};

struct daemon_children {
    struct child_spec *specs; /* owned, as is all that they point to */
    size_t count;
};

/* Adds that many children of a role: learner, actor-1, actor-2, ..., reward-1, ... The programs are
 * those beside this one: installed in one directory, or in the build tree. */
int daemon_children_add(struct daemon_children *c, const struct daemon_line *line,
    enum child_role role, unsigned count, struct err *e) ERR_WARN_UNUSED;
void daemon_children_done(struct daemon_children *c);

#endif
