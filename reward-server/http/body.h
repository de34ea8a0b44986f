/* body.h: JSON from a stranger, within bounds that are checked before memory is allocated for it.
 *
 * jansson makes a node of some hundred bytes out of three characters, and recurses for nesting, so
 * values and depth are counted in the text first. Pure but for allocation; any thread.
 */
#ifndef COHORT_HTTP_BODY_H
#define COHORT_HTTP_BODY_H

#include <jansson.h>

#include "common/base/err.h"

enum {
    BODY_DEPTH_MAX = 32,
    BODY_VALUES_MAX = 1 << 17, /* values and names of members together */
};

/* One JSON value, an object, with nothing behind it. Members that occur twice are refused: two
 * readers of the same text must not see different requests. ERR_LIMIT says what and where. */
int body_parse(const char *text, size_t n, json_t **ret, struct err *e) ERR_WARN_UNUSED;

/* ---- members, for routes; ERR_DATA names the member, what was found and what is expected ---- */

/* *ret stays as it was when the member is absent or null. Borrowed from object. */
int body_text(const json_t *object, const char *name, const char **ret, size_t *ret_len,
    struct err *e) ERR_WARN_UNUSED;
int body_number(const json_t *object, const char *name, double min, double max, double *ret,
    struct err *e) ERR_WARN_UNUSED;
int body_list(const json_t *object, const char *name, json_t **ret, struct err *e) ERR_WARN_UNUSED;

/* "a list", "text", ... or "nothing", for messages. */
const char *body_type(const json_t *v);

#endif
