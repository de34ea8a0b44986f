/* sql_text.c: learner/sql/NAME.sql, turned into string literals by the build. */
#include "learner/sql_text.h"

const char sql_schema[] =
#include "schema.sql.inc"
    ;

const char sql_views[] =
#include "views.sql.inc"
    ;

const char sql_weights_type[] =
#include "weights_type.sql.inc"
    ;
