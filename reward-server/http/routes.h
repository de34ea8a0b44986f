/* routes.h: the ways of asking; each is the `answer` of a line in the table of routes.c.
 *
 * Shapes are those of the systems named, so that their clients work as they are; unknown members of
 * a request are ignored, as their own servers do. Requests and answers are described at each file's
 * head.
 */
#ifndef COHORT_HTTP_ROUTES_H
#define COHORT_HTTP_ROUTES_H

#include "reward-server/http/call.h"

int route_score(struct call *c, json_t *body, json_t **ret, struct err *e);
int route_get_reward(struct call *c, json_t *body, json_t **ret, struct err *e);
int route_slime(struct call *c, json_t *body, json_t **ret, struct err *e);
int route_test_program(struct call *c, json_t *body, json_t **ret, struct err *e);
int route_test_program_stdio(struct call *c, json_t *body, json_t **ret, struct err *e);
int route_run_code(struct call *c, json_t *body, json_t **ret, struct err *e);

#endif
