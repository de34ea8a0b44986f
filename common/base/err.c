/* err.c: errors with context. Messages are cut, never overrun. */
#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (e == NULL)
        return code;
    /* Formatted apart, because an argument may be e->msg itself. */
    char msg[sizeof(e->msg)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    memcpy(e->msg, msg, sizeof(msg));
    e->code = code;
    return code;
}

static int code_of_errno(int number, int code)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
        return ERR_RETRY;
    default:
        return code;
    }
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
    int number = errno;
    code = code_of_errno(number, code);
    if (e == NULL)
        return code;
    char what[sizeof(e->msg)], reason[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    const char *text = strerror_r(number, reason, sizeof(reason));
    return err_set(e, code, "%.*s: %s", (int)(sizeof(what) - sizeof(reason)), what, text);
}

int err_ctx(struct err *e, const char *fmt, ...)
{
    if (e == NULL)
        return ERR_FAIL;
    char what[sizeof(e->msg)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return err_set(e, e->code, "%s: %s", what, e->msg);
}

int err_exit_status(int code)
{
    if (code == 0)
        return 0;
    return code <= ERR_FAIL && code >= ERR_INTERRUPTED ? -code : 1;
}
