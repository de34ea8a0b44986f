/* sql_text.h: the scripts of learner/sql, built into the binary. */
#ifndef COHORT_LEARNER_SQL_TEXT_H
#define COHORT_LEARNER_SQL_TEXT_H

extern const char sql_schema[];
extern const char sql_views[];
extern const char sql_weights_type[];

#endif
