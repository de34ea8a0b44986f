/* rundir.h: the run directory at start: its lock, its configuration, its tokenizer and data.
 *
 * RUN/lock is held (flock, close-on-exec) as long as the learner lives: a second learner is
 * refused. RUN/run.conf is the effective configuration with the origin of every value; on resume it
 * is what a new configuration is compared with. Nothing here knows the database. One thread.
 */
#ifndef COHORT_LEARNER_RUNDIR_H
#define COHORT_LEARNER_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/config.h"
#include "common/base/err.h"
#include "common/recipe/recipe_files.h"

struct rundir {
    const char *path; /* borrowed */
    int lock_fd;
    struct config *config; /* owned, checked */
    char *config_text;     /* owned: what run.conf holds */
    char **changes;        /* owned: live and extend options that differ from the last start */
    size_t change_count;
};

struct rundir_args {
    const char *path;
    const char *conf; /* run file; NULL: the stored one */
    const char *const *sets;
    size_t set_count;
};

/* Makes the directory, takes the lock, reads and compares the configuration, writes run.conf.
 * ERR_FAIL when another learner holds the lock; ERR_CONFIG for a changed identity option (both
 * values), and for a stage that shrinks, or grows although its schedule depends on its length. */
int rundir_open(const struct rundir_args *a, struct rundir *ret, struct err *e) ERR_WARN_UNUSED;
void rundir_close(struct rundir *r);

/* RUN/tokenizer.json: written at first, compared later. ERR_DATA when the model's is another one
 * now. */
int rundir_tokenizer(
    const struct rundir *r, const struct tokenizer *t, struct err *e) ERR_WARN_UNUSED;

/* Every dataset that a stage names, generated into RUN/data where it is generated: a bad row stops
 * the start. */
int rundir_data(const struct rundir *r, const struct recipe *recipe, struct err *e) ERR_WARN_UNUSED;

#endif
