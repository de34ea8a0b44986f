/* log.h: one event per line on stderr, in logfmt.
 *
 *     log_info("lease", "expired, requeued", LOG_U64("lease", id), LOG_STR("worker", name));
 *     -> ts=2026-01-02T03:04:05.678Z level=info mod=lease msg="expired, requeued" lease=81
 * worker=a2
 *
 * Values are escaped by one function, so that a model's text can never forge a line or reach a
 * terminal's escape sequences. A line is one write(2) of at most 4 KiB; one that had to be
 * shortened ends with cut=1. log_write from any thread, log_setup before there are others.
 */
#ifndef COHORT_BASE_LOG_H
#define COHORT_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_type { LOG_TYPE_END, LOG_TYPE_U64, LOG_TYPE_I64, LOG_TYPE_F64, LOG_TYPE_STR };

struct log_field {
    const char *key;
    enum log_type type;
    union {
        uint64_t u;
        int64_t i;
        double f;
        const char *s; /* NULL prints as "" */
    } v;
};

#define LOG_U64(k, x) ((struct log_field){(k), LOG_TYPE_U64, {.u = (x)}})
#define LOG_I64(k, x) ((struct log_field){(k), LOG_TYPE_I64, {.i = (x)}})
#define LOG_F64(k, x) ((struct log_field){(k), LOG_TYPE_F64, {.f = (x)}})
#define LOG_STR(k, x) ((struct log_field){(k), LOG_TYPE_STR, {.s = (x)}})
#define LOG_ERR(err) LOG_STR("error", (err)->msg)

#define log_event(level, mod, msg, ...)                                                            \
    log_write((level), (mod), (msg), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define log_debug(mod, ...) log_event(LOG_DEBUG, mod, __VA_ARGS__)
#define log_info(mod, ...) log_event(LOG_INFO, mod, __VA_ARGS__)
#define log_warn(mod, ...) log_event(LOG_WARN, mod, __VA_ARGS__)
#define log_error(mod, ...) log_event(LOG_ERROR, mod, __VA_ARGS__)

/* Lowest level that is written (default LOG_INFO) and the name added as daemon=NAME ("" adds none).
 */
void log_setup(enum log_level lowest, const char *daemon);
int log_level_parse(const char *name, enum log_level *ret, struct err *e) ERR_WARN_UNUSED;

void log_write(
    enum log_level level, const char *mod, const char *msg, const struct log_field *fields);

/* Appends s as display text: valid UTF-8 kept, control characters and broken bytes as \n \t \xHH,
 * and backslash doubled. Control characters are C0, DEL, C1, and what breaks lines or reorders text
 * on a screen (U+2028 and 2029, the bidirectional controls, U+FEFF). The one escaping function:
 * logs, `text` columns and the terminal use it. */
void text_escape(struct buf *out, const void *s, size_t n);

#endif
