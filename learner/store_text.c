/* store_text.c: texts of completions, and texts that columns hold. */
#include "learner/store_db.h"

#include <stdlib.h>

/* The end-of-text token says that the text ends; it is no part of it. */
void completion_text(const struct store *s, const struct completion *c, struct buf *out)
{
    uint32_t len = c->len > 0 && c->stop == STOP_EOS ? c->len - 1 : c->len;
    tokenizer_decode(s->o.tokenizer, c->tokens, len, out);
}

uint32_t completion_think_tokens(const struct store *s, const struct completion *c)
{
    uint32_t opens = 0, closes = 0, open_at = 0, close_at = 0;
    if (s->think_open < 0 || s->think_close < 0)
        return 0;
    for (uint32_t t = 0; t < c->len; t++) {
        if (c->tokens[t] == s->think_open) {
            opens++;
            open_at = t;
        } else if (c->tokens[t] == s->think_close) {
            closes++;
            close_at = t;
        }
    }
    return opens == 1 && closes == 1 && open_at < close_at ? close_at - open_at - 1 : 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of the escape at s (1: none begins here) and the byte it stands for. */
static size_t escape_at(const char *s, char *ret)
{
    if (s[0] == '\\' && (s[1] == 'n' || s[1] == 't' || s[1] == '\\')) {
        *ret = s[1] == 'n' ? '\n' : s[1] == 't' ? '\t' : '\\';
        return 2;
    }
    if (s[0] == '\\' && s[1] == 'x' && hex_digit(s[2]) >= 0 && hex_digit(s[3]) >= 0) {
        *ret = (char)(hex_digit(s[2]) << 4 | hex_digit(s[3]));
        return 4;
    }
    *ret = s[0];
    return 1;
}

void text_unescape(struct buf *out, const char *s)
{
    while (*s) {
        char byte;
        s += escape_at(s, &byte);
        buf_append(out, &byte, 1);
    }
}

void members_print(const uint32_t *members, uint32_t count, struct buf *out)
{
    buf_puts(out, ""); /* so that there is a text even of none */
    for (uint32_t i = 0; i < count; i++)
        buf_printf(out, i ? ",%u" : "%u", members[i]);
}

bool members_parse(
    const char *text, uint32_t n, struct arena *a, const uint32_t **ret, uint32_t *ret_count)
{
    uint32_t *members = arena_alloc(a, (size_t)n * sizeof(*members)), count = 0;
    while (*text) {
        char *end;
        unsigned long index = strtoul(text, &end, 10);
        if (end == text || index >= n || count == n || (*end != ',' && *end != '\0'))
            return false;
        members[count++] = (uint32_t)index;
        text = *end == ',' ? end + 1 : end;
    }
    *ret = count ? members : NULL;
    *ret_count = count;
    return true;
}
