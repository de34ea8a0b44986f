/* log.c: one event, one line, one write(2); and the one escaping function. */
#include "common/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
    LOG_LINE_BYTES_MAX = 4096, /* PIPE_BUF: a write of this size to a pipe is never mixed up */
    LOG_TAIL_BYTES = 12,       /* kept free for "...", a closing quote, " cut=1" and the newline */
    LOG_DAEMON_BYTES_MAX = 65,
    LOG_FIELD_ROOM = 64,      /* any number, or the beginning of a text */
    ESCAPE_BYTES_MAX = 4 * 4, /* the longest unit: four bytes as \xHH each */
};

/* Set while the process starts, before its threads. */
static enum log_level level_lowest = LOG_INFO;
static char daemon_name[LOG_DAEMON_BYTES_MAX];

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

void log_setup(enum log_level lowest, const char *daemon)
{
    level_lowest = lowest;
    (void)snprintf(daemon_name, sizeof(daemon_name), "%s", daemon);
}

int log_level_parse(const char *name, enum log_level *ret, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(level_names[i], name) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return err_set(e, ERR_USAGE, "log level '%.100s': expected debug, info, warn or error", name);
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629, table 3-7 of Unicode), 0 when broken. */
static size_t utf8_sequence(const uint8_t *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len == 0 || p[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool too_long = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f;
    bool too_large = p[0] == 0xf4 && p[1] > 0x8f;
    return too_long || surrogate || too_large ? 0 : len;
}

static uint32_t utf8_decode(const uint8_t *p, size_t len)
{
    if (len == 1)
        return p[0];
    uint32_t c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

/* C0, DEL and C1 drive terminals; U+2028/9 break lines; the rest reorder text on a screen. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Writes the display form of the first character of s to out (ESCAPE_BYTES_MAX), its length to
 * *ret_out, and returns how many bytes of s it stands for. */
static size_t escape_unit(const uint8_t *s, size_t n, char *out, size_t *ret_out)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = utf8_sequence(s, n);
    if (*s == '\n' || *s == '\t' || *s == '\\') {
        out[0] = '\\';
        out[1] = *s == '\n' ? 'n' : *s == '\t' ? 't' : '\\';
        *ret_out = 2;
        return 1;
    }
    if (len > 0 && !is_control(utf8_decode(s, len))) {
        memcpy(out, s, len);
        *ret_out = len;
        return len;
    }
    size_t bytes = len > 0 ? len : 1;
    for (size_t i = 0; i < bytes; i++) {
        char hex[4] = {'\\', 'x', digits[s[i] >> 4], digits[s[i] & 15]};
        memcpy(out + 4 * i, hex, 4);
    }
    *ret_out = 4 * bytes;
    return bytes;
}

void text_escape(struct buf *out, const void *s, size_t n)
{
    const uint8_t *p = s;
    while (n > 0) {
        char unit[ESCAPE_BYTES_MAX];
        size_t unit_bytes, used = escape_unit(p, n, unit, &unit_bytes);
        buf_append(out, unit, unit_bytes);
        p += used;
        n -= used;
    }
}

/* A line under construction in a fixed place: logging must work when memory does not. */
struct line {
    char text[LOG_LINE_BYTES_MAX];
    size_t len;
    bool cut; /* full: whatever else comes is left out */
};

static size_t line_room(const struct line *l)
{
    const size_t full = sizeof(l->text) - LOG_TAIL_BYTES;
    return l->cut || l->len >= full ? 0 : full - l->len;
}

static void line_put(struct line *l, const char *s, size_t n)
{
    if (n > line_room(l)) {
        l->cut = true;
        return;
    }
    memcpy(l->text + l->len, s, n);
    l->len += n;
}

/* Into the room that is kept for the end of a line. */
static void line_put_tail(struct line *l, const char *s)
{
    size_t n = strlen(s);
    assert(n <= sizeof(l->text) - l->len);
    memcpy(l->text + l->len, s, n);
    l->len += n;
}

static void line_puts(struct line *l, const char *s)
{
    line_put(l, s, strlen(s));
}

/* Whether a logfmt reader would take s as one plain word. */
static bool is_word(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= ' ' || c == 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return true;
}

/* A value as text, cut with "..." between two characters when the line is full. */
static void line_put_value(struct line *l, const char *s)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t n = strlen(s);
    bool quoted = !is_word(s);
    if (quoted)
        line_put(l, "\"", 1);
    if (l->cut)
        return;
    while (n > 0) {
        char unit[ESCAPE_BYTES_MAX] = "\\\"";
        size_t unit_bytes = 2, used = 1;
        if (*p != '"')
            used = escape_unit(p, n, unit, &unit_bytes);
        if (unit_bytes > line_room(l)) {
            l->cut = true;
            line_put_tail(l, "...");
            break;
        }
        line_put(l, unit, unit_bytes);
        p += used;
        n -= used;
    }
    if (quoted)
        line_put_tail(l, "\"");
}

static void line_put_field(struct line *l, const struct log_field *f)
{
    char number[64];
    line_puts(l, " ");
    line_puts(l, f->key);
    line_puts(l, "=");
    switch (f->type) {
    case LOG_TYPE_U64:
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)f->v.u);
        break;
    case LOG_TYPE_I64:
        (void)snprintf(number, sizeof(number), "%lld", (long long)f->v.i);
        break;
    case LOG_TYPE_F64:
        (void)snprintf(number, sizeof(number), "%.9g", f->v.f);
        break;
    default:
        line_put_value(l, f->v.s != NULL ? f->v.s : "");
        return;
    }
    line_puts(l, number);
}

static void line_put_time(struct line *l)
{
    int64_t ms = clock_wall_ms();
    time_t seconds = (time_t)(ms / 1000);
    struct tm t;
    char text[64];
    if (gmtime_r(&seconds, &t) == NULL)
        return;
    size_t n = strftime(text, sizeof(text), "ts=%Y-%m-%dT%H:%M:%S", &t);
    line_put(l, text, n);
    (void)snprintf(text, sizeof(text), ".%03dZ", (int)(ms % 1000));
    line_puts(l, text);
}

/* A field that may find no room is left out whole, with those after it. */
static void line_put_fields(struct line *l, const struct log_field *fields)
{
    for (const struct log_field *f = fields; f->type != LOG_TYPE_END; f++) {
        if (line_room(l) < strlen(f->key) + LOG_FIELD_ROOM) {
            l->cut = true;
            return;
        }
        line_put_field(l, f);
    }
}

void log_write(
    enum log_level level, const char *mod, const char *msg, const struct log_field *fields)
{
    if (level < level_lowest || (unsigned)level >= ARRAY_LEN(level_names))
        return;
    int saved = errno; /* a log line must not change the error that its caller looks at next */
    struct line l;
    l.len = 0;
    l.cut = false;
    line_put_time(&l);
    line_puts(&l, " level=");
    line_puts(&l, level_names[level]);
    if (daemon_name[0] != '\0') {
        line_puts(&l, " daemon=");
        line_put_value(&l, daemon_name);
    }
    line_puts(&l, " mod=");
    line_put_value(&l, mod);
    line_puts(&l, " msg=");
    line_put_value(&l, msg);
    line_put_fields(&l, fields);
    line_put_tail(&l, l.cut ? " cut=1\n" : "\n");
    ssize_t n;
    do {
        n = write(STDERR_FILENO, l.text, l.len);
    } while (n < 0 && errno == EINTR);
    errno = saved; /* a log that cannot be written has nowhere to say so */
}
