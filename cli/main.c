/* main.c: the command `cohort`: a table of commands, and help that teaches. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

struct command {
    const char *name;
    const char *usage; /* what follows the name */
    const char *help;  /* one line */
    int (*run)(int argc, char **argv);
};

/* One line for each; the last is empty. */
static const struct command commands[] = {
    {"run", "CONF [--run DIR]", "train: learner, actors and reward servers on this machine",
        cmd_run},
    {"init", "--conf CONF DIR", "make a randomly initialised model directory", cmd_init},
    {"sample", "MODEL --prompt TEXT [-n G]", "completions of one prompt", cmd_sample},
    {"eval", "MODEL --data FILE [-k K]", "how good a model is on a dataset", cmd_eval},
    {"grade", "--data FILE --responses FILE", "score responses that are already there", cmd_grade},
    {"inspect", "RUN [steps|groups|group ID|workers|verdicts|events]", "a run as tables",
        cmd_inspect},
    {"explain", "RUN COMPLETION_ID", "the whole story of one completion", cmd_explain},
    {"replay", "RUN GROUP_ID", "sample a stored group again and compare the bits", cmd_replay},
    {"digest", "RUN|MODEL", "the digest of the parameters: equal digests, equal bits", cmd_digest},
    {0},
};

static const char intro[] =
    "Usage: cohort COMMAND [ARGUMENT]...\n"
    "\n"
    "Trains language models to reason with reinforcement learning from verifiable rewards.\n"
    "Actors sample completions, reward servers grade them, the learner updates the weights;\n"
    "the whole state of a run is in one directory and can be read while it runs.\n"
    "\n"
    "Commands:\n";

static const char outro[] =
    "\n"
    "Start here:\n"
    "  cohort run examples/quickstart.conf --dry-run   what it would do: stages, tasks, memory\n"
    "  cohort run examples/quickstart.conf             train; Ctrl-C stops, the same command goes "
    "on\n"
    "  sqlite3 -readonly quickstart-run/run.db 'SELECT * FROM v_steps'\n"
    "                                                  every sample, score and step is in SQL\n"
    "\n"
    "`cohort COMMAND --help` explains a command. Exit status: 0 done, 1 failed, 2 wrong usage,\n"
    "3 configuration, 4 data, 5 interrupted with the state saved.\n";

static void print_help(FILE *out)
{
    fputs(intro, out);
    for (const struct command *c = commands; c->name != NULL; c++) {
        fprintf(out, "  %-8s %s\n", c->name, c->help);
        fprintf(out, "           cohort %s %s\n", c->name, c->usage);
    }
    fputs(outro, out);
}

static const char *program = "cohort";

const char *command_program(void)
{
    return program;
}

/* A path below the working directory is shown relative to it. */
static void set_program(const char *called)
{
    static char here[PATH_MAX];
    program = called;
    if (called[0] != '/' || getcwd(here, sizeof(here)) == NULL)
        return;
    size_t n = strlen(here);
    if (n > 1 && strncmp(called, here, n) == 0 && called[n] == '/')
        program = called + n + 1;
}

int command_failed(const char *command, const struct err *e)
{
    fprintf(stderr, "cohort %s: %s\n", command, e->msg);
    return err_exit_status(e->code);
}

/* What a command has printed is out, or the command has failed: a full disk is no success. */
static int finish(const char *command, int status)
{
    struct err e;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || status != 0)
        return status;
    (void)err_sys(&e, ERR_FAIL, "writing to standard output");
    return command_failed(command, &e);
}

int main(int argc, char **argv)
{
    if (argc > 0)
        set_program(argv[0]);
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return finish(name, 0);
    }
    if (strcmp(name, "--version") == 0) {
        puts("cohort " COHORT_VERSION);
        return finish(name, 0);
    }
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (strcmp(name, c->name) == 0)
            return finish(c->name, c->run(argc - 1, argv + 1));
    }
    fprintf(stderr, "cohort: unknown command '%s'; `cohort --help` lists them\n", name);
    return 2;
}
