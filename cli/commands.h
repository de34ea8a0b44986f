/* commands.h: the commands of `cohort`, one function each.
 *
 * argv[0] is the command's name. A command prints its own errors and returns the exit status of
 * DESIGN section 11: 0 done, 1 failed, 2 wrong usage, 3 configuration, 4 data, 5 interrupted with
 * state saved. The table is in main.c.
 */
#ifndef COHORT_CLI_COMMANDS_H
#define COHORT_CLI_COMMANDS_H

#include "common/base/err.h"

int cmd_digest(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_grade(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_sample(int argc, char **argv);

/* How this program was called, for commands that a person may copy: "cohort", or its path. */
const char *command_program(void);

/* Prints "cohort COMMAND: message" on stderr and returns the exit status of the error. */
int command_failed(const char *command, const struct err *e);

#endif
