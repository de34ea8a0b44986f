/* words.c: names of the learner's own enumerations. */
#include "learner/words.h"

#include <stddef.h>
#include <string.h>

#include "common/base/mem.h"

/* One name per enum value, "?" outside the range: a damaged value is shown, never followed. */
#define NAME_FUNCTION(function, type, ...)                                                         \
    const char *function(type value)                                                               \
    {                                                                                              \
        static const char *const names[] = {__VA_ARGS__};                                          \
        return (size_t)value < ARRAY_LEN(names) ? names[value] : "?";                              \
    }

NAME_FUNCTION(job_kind_name, enum job_kind, "sample", "grade")
NAME_FUNCTION(job_state_name, enum job_state, "ready", "leased", "done")
NAME_FUNCTION(group_state_name, enum group_state, "planned", "sampled", "scored")
NAME_FUNCTION(sample_mode_name, enum sample_mode, "sampled", "greedy")
NAME_FUNCTION(worker_state_name, enum worker_state, "up", "gone", "lost")
NAME_FUNCTION(event_level_name, enum event_level, "info", "warn", "alarm")
NAME_FUNCTION(lease_outcome_name, enum lease_outcome, NULL, "submitted", "expired", "released",
    "lost", "rejected")

int event_level_parse(const char *name)
{
    for (int i = EVENT_INFO; i <= EVENT_ALARM; i++) {
        if (strcmp(event_level_name((enum event_level)i), name) == 0)
            return i;
    }
    return -1;
}
