/* progress.h: what a person sees while a run is running: one line per step, evaluations, alarms.
 *
 * Reads run.db a few times a second and prints what is new. On a terminal a status line stays below
 * the printed lines; in a pipe there are only whole lines. Nothing it meets in the database stops
 * it: a database that is not there yet, or busy, is asked again at the next poll.
 */
#ifndef COHORT_CLI_PROGRESS_H
#define COHORT_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

struct progress;

struct progress_options {
    const char *run_dir;
    FILE *out;
    bool terminal;
    int width; /* of the terminal, columns; 0: no limit */
};

/* What the database does not know. */
struct progress_children {
    unsigned actors, reward_servers, restarts;
    double seconds; /* since the command began */
    bool stopping;
};

struct progress *progress_new(const struct progress_options *o);
void progress_free(struct progress *p); /* clears the status line */

/* Before the learner starts: what is in the database already is not printed again. Says where a run
 * continues. */
void progress_skip_past(struct progress *p);

void progress_poll(struct progress *p, const struct progress_children *c);
void progress_note(struct progress *p, const char *line); /* above the status line */

#endif
