/* routes.c: the table of routes. */
#include "reward-server/http/routes.h"

/* verl and its kin send a program again after 504 and after nothing else. */
const struct route routes[] = {
    {"/v1/score", "POST", 503, "error", route_score},
    {"/get_reward", "POST", 503, "error", route_get_reward},
    {"/slime", "POST", 503, "error", route_slime},
    {"/run_code", "POST", 504, "detail", route_run_code},
    {"/test_program", "POST", 503, "detail", route_test_program},
    {"/test_program_stdio", "POST", 503, "detail", route_test_program_stdio},
    {"/health", "GET", 503, "error", NULL},
    {"/metrics", "GET", 503, "error", NULL},
    {"/v1/ping", "GET", 503, "error", NULL},
};
const size_t route_count = ARRAY_LEN(routes);
