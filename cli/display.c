/* display.c: see display.h. */
#include "cli/display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/text/utf8.h"

/* Whether escaping s did nothing but double its backslashes: then s was display text. */
static bool only_backslashes(const char *s, const struct buf *escaped)
{
    size_t i = 0;
    for (; *s; s++, i++) {
        if (*s == '\\')
            i++;
        if (i >= escaped->len || (char)escaped->data[i] != *s)
            return false;
    }
    return i == escaped->len;
}

void display_put(struct buf *out, const char *s)
{
    CLEANUP_BUF struct buf escaped = {0};
    text_escape(&escaped, s, strlen(s));
    if (only_backslashes(s, &escaped))
        buf_puts(out, s);
    else
        buf_append(out, escaped.data, escaped.len);
}

char *display_dup(const char *s)
{
    struct buf b = {0};
    buf_puts(&b, "");
    display_put(&b, s);
    return (char *)b.data;
}

json_t *display_json(const void *text, size_t n)
{
    json_t *exact = json_stringn(n > 0 ? text : "", n);
    if (exact != NULL)
        return exact;
    CLEANUP_BUF struct buf escaped = {0};
    text_escape(&escaped, text, n);
    return json_stringn((const char *)escaped.data, escaped.len);
}

/* Bytes of the character at s; 1 for a byte that starts none. */
static size_t step(const char *s)
{
    size_t n = utf8_next(s, strlen(s), NULL);
    return n > 0 ? n : 1;
}

size_t display_width(const char *s)
{
    size_t width = 0;
    for (; *s; s += step(s))
        width++;
    return width;
}

void display_cut(struct buf *out, const char *s, size_t width)
{
    size_t whole = display_width(s), keep = whole <= width ? whole : width > 3 ? width - 3 : 0;
    const char *end = s;
    for (size_t i = 0; i < keep; i++)
        end += step(end);
    buf_append(out, s, (size_t)(end - s));
    if (keep < whole)
        buf_puts(out, &"..."[width < 3 ? 3 - width : 0]);
}

size_t display_terminal_width(void)
{
    struct winsize size = {0};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
